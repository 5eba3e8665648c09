//! The fields `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10), structured fields both.

use std::{fmt::Write as _, num::NonZeroU64};

use config::Budget;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::{Admission, Exceeded, Refused, meter::Left};

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const STATE: HeaderName = HeaderName::from_static("ratelimit");

/// Room for both budgets, with numbers of twenty digits.
const LONGEST_STATE: usize = 112;

/// The policy of a row: quota `q` in a window of `w` seconds, in which the whole quota comes back.
pub(super) fn policy(budget: Budget, per_day: Option<NonZeroU64>) -> HeaderValue {
    let window = (u64::from(budget.burst.get()) * 60).div_ceil(u64::from(budget.per_minute.get()));
    let mut text = format!("\"rate\";q={};w={window}", budget.burst);
    if let Some(quota) = per_day {
        let _ = write!(text, ", \"day\";q={quota};w=86400");
    }
    // Digits, quotes and ASCII letters make a field value.
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

impl Admission {
    /// Tells the caller what is left: `r` requests now, the whole quota in `t` seconds.
    pub fn tell(&self, headers: &mut HeaderMap) {
        headers.insert(POLICY, self.policy.field.clone());
        let Left { burst, burst_in, day } = self.left;
        let mut text = String::with_capacity(LONGEST_STATE);
        budget(&mut text, "\"rate\";r=", burst.into(), burst_in);
        if let Some((left, seconds)) = day {
            budget(&mut text, ", \"day\";r=", left, seconds.into());
        }
        if let Ok(value) = HeaderValue::try_from(text) {
            headers.insert(STATE, value);
        }
    }
}

/// What is left of one budget. Every answer says so: it is written without the detours of general formatting.
fn budget(text: &mut String, name: &str, left: u64, seconds: u64) {
    text.push_str(name);
    text.push_str(itoa::Buffer::new().format(left));
    text.push_str(";t=");
    text.push_str(itoa::Buffer::new().format(seconds));
}

impl Refused {
    /// Tells the caller which budget is used up.
    pub fn tell(&self, headers: &mut HeaderMap) {
        let Some(policy) = &self.policy else { return };
        headers.insert(POLICY, policy.field.clone());
        let name = if self.exceeded == Exceeded::Day { "day" } else { "rate" };
        if let Ok(value) = HeaderValue::try_from(format!("\"{name}\";r=0;t={}", self.retry_after)) {
            headers.insert(STATE, value);
        }
    }
}
