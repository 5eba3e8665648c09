//! The challenge of a registration: a proof of work that a script of ours does, or, without scripts, a question in words.
//!
//! The proof is that of ALTCHA (altcha.org, "proof-of-work mechanism"), made and checked here: a number is wanted whose
//! SHA-256 with a salt is given. It keeps robots out who do not pay for each try; what really limits abuse are the mailed
//! token and the slowdown. No third party is asked, and each challenge is answered once, on whichever instance.

use authz_store::{one_time_tokens, one_time_tokens::OneTimeToken};
use aws_lc_rs::digest;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;
use subtle::ConstantTimeEq as _;
use time::{Duration, OffsetDateTime};

use super::{
    form::{Errors, Field, Fields, Kind},
    keys::Label,
};
use crate::{AuthzKeys, entropy::entropy, state::State, use_cases::UseCaseError};

const WORDS: [&str; 10] = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"];
/// How long an answer is taken.
const LIFETIME: Duration = Duration::minutes(30);
/// What used challenges are called in the table of one-time tokens.
const PURPOSE: &str = "challenge";

/// A challenge in both forms: whoever answers one of them passes.
#[derive(Clone, Debug)]
pub(crate) struct Challenge {
    /// For people.
    question: String,
    /// The question's signed token, for a hidden field.
    token: String,
    /// For a script.
    work: Work,
}

/// A proof of work as it is asked for.
#[derive(Clone, Debug)]
struct Work {
    salt: String,
    challenge: String,
    signature: String,
    /// The number is at most this.
    most: u32,
}

/// A proof of work as it comes back: Base64 of this as JSON.
#[derive(Deserialize)]
struct Proof {
    algorithm: String,
    challenge: String,
    number: u32,
    salt: String,
    signature: String,
}

fn work_hash(salt: &str, number: u32) -> String {
    hex::encode(digest::digest(&digest::SHA256, format!("{salt}{number}").as_bytes()))
}

fn tag(keys: &AuthzKeys, what: &str) -> String {
    keys.portal_hash(Label::Challenge, what)
}

impl Challenge {
    /// A new challenge. The work takes `most / 2` hashes on average.
    pub(crate) fn new(keys: &AuthzKeys, now: OffsetDateTime, most: u32) -> Result<Self, UseCaseError> {
        let bytes: [u8; 22] = entropy()?;
        let (left, right) = (usize::from(bytes[0] % 9) + 1, usize::from(bytes[1] % 9) + 1);
        let wanted = u32::from_be_bytes([bytes[2], bytes[3], bytes[4], bytes[5]]) % most.saturating_add(1);
        let nonce = hex::encode(&bytes[6..]);
        let until = (now + LIFETIME).unix_timestamp();
        let salt = format!("{nonce}?expires={until}");
        let challenge = work_hash(&salt, wanted);
        Ok(Self {
            question: format!("How much is {} plus {}? Answer with a number.", WORDS[left], WORDS[right]),
            token: format!("{nonce}.{until}.{}", tag(keys, &format!("sum {nonce}.{until}.{}", left + right))),
            work: Work { signature: tag(keys, &format!("work {challenge}")), salt, challenge, most },
        })
    }

    /// Its fields: the question, which a script takes away when it has done the work.
    pub(crate) fn fields(self, errors: &Errors) -> [Field; 3] {
        let work = self.work;
        [
            Field::new(Kind::Text, "challenge", self.question)
                .hint("This keeps robots out.")
                .autocomplete("off")
                .with_error(errors),
            Field::hidden("challenge_token", self.token),
            Field::hidden("challenge_proof", "")
                .data("salt", work.salt)
                .data("challenge", work.challenge)
                .data("signature", work.signature)
                .data("most", work.most.to_string()),
        ]
    }
}

/// The nonce of a challenge that was answered rightly and in time, by work or by words.
fn answered(keys: &AuthzKeys, fields: &Fields, now: OffsetDateTime) -> Option<String> {
    proven(keys, fields.get("challenge_proof"), now)
        .or_else(|| summed(keys, fields.get("challenge_token"), fields.get("challenge"), now))
}

fn in_time(until: &str, now: OffsetDateTime) -> bool {
    until.parse::<i64>().is_ok_and(|until| until > now.unix_timestamp())
}

fn proven(keys: &AuthzKeys, typed: &str, now: OffsetDateTime) -> Option<String> {
    let proof: Proof = serde_json::from_slice(&STANDARD.decode(typed).ok()?).ok()?;
    let (nonce, until) = proof.salt.split_once("?expires=")?;
    let signature = tag(keys, &format!("work {}", proof.challenge));
    let sound = proof.algorithm == "SHA-256"
        && bool::from(signature.as_bytes().ct_eq(proof.signature.as_bytes()))
        && work_hash(&proof.salt, proof.number) == proof.challenge
        && in_time(until, now);
    sound.then(|| nonce.to_owned())
}

fn summed(keys: &AuthzKeys, token: &str, answer: &str, now: OffsetDateTime) -> Option<String> {
    let mut parts = token.splitn(3, '.');
    let (nonce, until, signature) = (parts.next()?, parts.next()?, parts.next()?);
    let number = WORDS.iter().position(|word| word.eq_ignore_ascii_case(answer)).map(|n| n.to_string());
    let answer = number.as_deref().unwrap_or(answer);
    let sound = keys.portal_hash_is(Label::Challenge, &format!("sum {nonce}.{until}.{answer}"), signature)
        && in_time(until, now);
    sound.then(|| nonce.to_owned())
}

/// Whether a challenge was answered, for the first time.
pub(crate) async fn pass(state: &State, fields: &Fields) -> Result<bool, UseCaseError> {
    let now = state.clock.now();
    let Some(nonce) = answered(&state.keys, fields, now) else { return Ok(false) };
    // A used challenge is a token that nobody can use: its row says that it was there.
    let used = OneTimeToken {
        id: nonce,
        purpose: PURPOSE.to_owned(),
        subject: None,
        counted_for: String::new(),
        code_hash: String::new(),
        created_at: now,
        expires_at: now + LIFETIME,
        tries: 0,
        used: false,
    };
    let mut work = state.database.begin().await?;
    match one_time_tokens::insert(&mut work.db(), &used).await {
        Ok(()) => {}
        Err(database::DatabaseError::Conflict { .. }) => return Ok(false),
        Err(error) => return Err(error.into()),
    }
    work.commit().await?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use config::MasterKey;
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-01-01 0:00 UTC);

    fn keys() -> AuthzKeys {
        AuthzKeys::derive(&MasterKey::from_bytes([7; 32]))
    }

    fn fields(pairs: &[(&str, &str)]) -> Fields {
        let mut fields = Fields::default();
        for (name, value) in pairs {
            fields.push(name, (*value).to_owned());
        }
        fields
    }

    /// What the script sends, with a part changed.
    fn proof(work: &Work, change: impl FnOnce(&mut serde_json::Value)) -> String {
        let number = (0..=work.most).find(|n| work_hash(&work.salt, *n) == work.challenge).unwrap();
        let mut proof = serde_json::json!({
            "algorithm": "SHA-256", "challenge": work.challenge, "number": number, "salt": work.salt,
            "signature": work.signature,
        });
        change(&mut proof);
        STANDARD.encode(proof.to_string())
    }

    #[test]
    fn a_proof_of_work_counts_only_as_it_was_asked_for_and_in_time() {
        let (keys, most) = (keys(), 300);
        let work = Challenge::new(&keys, NOW, most).unwrap().work;
        let nonce = work.salt.split('?').next().unwrap().to_owned();
        let at = |text: String, now| answered(&keys, &fields(&[("challenge_proof", &text)]), now);
        let right = proof(&work, |_| {});
        assert_eq!(at(right.clone(), NOW), Some(nonce.clone()));
        assert_eq!(at(right.clone(), NOW + Duration::minutes(29)), Some(nonce));
        assert_eq!(at(right, NOW + Duration::minutes(30)), None);
        let easy = work_hash("easy?expires=99999999999", 1);
        for (name, value) in [
            ("number", serde_json::json!(most + 1)),
            ("salt", serde_json::json!(work.salt.replace("expires=", "expires=9"))),
            ("challenge", serde_json::json!(easy)),
            ("signature", serde_json::json!("")),
            ("algorithm", serde_json::json!("MD5")),
        ] {
            assert_eq!(at(proof(&work, |proof| proof[name] = value), NOW), None, "{name}");
        }
        for text in ["", "x", "e30="] {
            assert_eq!(at(text.to_owned(), NOW), None);
        }
    }

    #[test]
    fn the_question_can_be_answered_in_digits_and_in_words() {
        let keys = keys();
        let asked = Challenge::new(&keys, NOW, 300).unwrap();
        let sum: usize = asked
            .question
            .trim_start_matches("How much is ")
            .split('?')
            .next()
            .unwrap()
            .split(" plus ")
            .map(|word| WORDS.iter().position(|one| *one == word).unwrap())
            .sum();
        let at = |answer: &str, now| {
            answered(&keys, &fields(&[("challenge_token", &asked.token), ("challenge", answer)]), now)
        };
        assert!(at(&sum.to_string(), NOW).is_some());
        if let Some(word) = WORDS.get(sum) {
            assert!(at(word, NOW).is_some());
        }
        assert!(at(&(sum + 1).to_string(), NOW).is_none());
        assert!(at(&sum.to_string(), NOW + LIFETIME).is_none());
    }
}
