//! The challenge of a registration: a question in words that anybody can answer, made and checked here.
//!
//! It keeps the simplest robots out and costs people a second; what really limits abuse are the mailed token and the
//! slowdown. It works without a script and asks no third party.

use std::time::Duration as StdDuration;

use moka::sync::Cache;
use time::{Duration, OffsetDateTime};

use super::keys::Label;
use crate::{AuthzKeys, entropy::entropy, use_cases::UseCaseError};

const WORDS: [&str; 10] = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"];
/// How long an answer is taken.
const LIFETIME: Duration = Duration::minutes(30);

/// The challenges that were used: each works once.
#[derive(Debug)]
pub(crate) struct Challenges {
    used: Cache<String, ()>,
}

/// A question with its signed token.
#[derive(Clone, Debug)]
pub(crate) struct Challenge {
    /// For people.
    pub(crate) question: String,
    /// For a hidden field.
    pub(crate) token: String,
}

impl Challenges {
    pub(crate) fn new() -> Self {
        let used = Cache::builder().max_capacity(200_000).time_to_live(StdDuration::from_hours(1)).build();
        Self { used }
    }

    /// A new question.
    pub(crate) fn ask(keys: &AuthzKeys, now: OffsetDateTime) -> Result<Challenge, UseCaseError> {
        let bytes: [u8; 18] = entropy()?;
        let (left, right) = (usize::from(bytes[0] % 9) + 1, usize::from(bytes[1] % 9) + 1);
        let nonce = hex::encode(&bytes[2..]);
        let at = now.unix_timestamp();
        let answer = left + right;
        let tag = keys.portal_hash(Label::Challenge, &format!("{nonce}.{at}.{answer}"));
        Ok(Challenge {
            question: format!("How much is {} plus {}? Answer with a number.", WORDS[left], WORDS[right]),
            token: format!("{nonce}.{at}.{tag}"),
        })
    }

    /// Whether the answer is right, in time, and given for the first time.
    pub(crate) fn check(&self, keys: &AuthzKeys, token: &str, answer: &str, now: OffsetDateTime) -> bool {
        let mut parts = token.splitn(3, '.');
        let (Some(nonce), Some(at), Some(tag)) = (parts.next(), parts.next(), parts.next()) else {
            return false;
        };
        let Ok(asked_at) = at.parse::<i64>() else { return false };
        let age = now.unix_timestamp() - asked_at;
        let answer = answer.trim();
        let number = WORDS.iter().position(|word| word.eq_ignore_ascii_case(answer)).map(|n| n.to_string());
        let answer = number.as_deref().unwrap_or(answer);
        (0..LIFETIME.whole_seconds()).contains(&age)
            && keys.portal_hash_is(Label::Challenge, &format!("{nonce}.{at}.{answer}"), tag)
            && self.used.entry(nonce.to_owned()).or_insert(()).is_fresh()
    }
}
