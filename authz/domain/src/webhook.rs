//! Webhooks: which records of the audit trail are told, how a message is signed, and when it is tried again
//! (Standard Webhooks, <https://www.standardwebhooks.com>).

use std::fmt;

use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use time::Duration;
use zeroize::Zeroizing;

use crate::{Act, ReminderStep};

/// What a webhook can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WebhookEvent {
    /// A secret ends soon.
    SecretExpiring,
    /// A secret has ended and no successor was used.
    SecretExpired,
    /// A secret got a successor.
    SecretRotated,
    /// A successor was used for the first time.
    SuccessorUsed,
    /// A client was stopped for the time being.
    ClientSuspended,
    /// A suspended client works again.
    ClientResumed,
    /// A client was ended for good.
    ClientRevoked,
    /// A request for access was decided, taken back, or expired.
    RequestDecided,
}

impl WebhookEvent {
    /// Every event.
    pub const ALL: [Self; 8] = [
        Self::SecretExpiring,
        Self::SecretExpired,
        Self::SecretRotated,
        Self::SuccessorUsed,
        Self::ClientSuspended,
        Self::ClientResumed,
        Self::ClientRevoked,
        Self::RequestDecided,
    ];

    /// Its type on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SecretExpiring => "client.secret.expiring",
            Self::SecretExpired => "client.secret.expired",
            Self::SecretRotated => "client.secret.rotated",
            Self::SuccessorUsed => "client.secret.successor_used",
            Self::ClientSuspended => "client.suspended",
            Self::ClientResumed => "client.resumed",
            Self::ClientRevoked => "client.revoked",
            Self::RequestDecided => "request.decided",
        }
    }

    /// For people.
    pub const fn title(self) -> &'static str {
        match self {
            Self::SecretExpiring => "A secret expires soon",
            Self::SecretExpired => "A secret has expired",
            Self::SecretRotated => "A secret was rotated",
            Self::SuccessorUsed => "A new secret was used for the first time",
            Self::ClientSuspended => "A client was suspended",
            Self::ClientResumed => "A client was resumed",
            Self::ClientRevoked => "A client was revoked",
            Self::RequestDecided => "A request was decided",
        }
    }

    /// The event that a record of the trail is, by the word of its act and, of a reminder, its step. None: not told.
    pub fn of_record(act: &str, step: &str) -> Option<Self> {
        let ended = ReminderStep::ENDED.to_string();
        Some(match act {
            act if act == Act::ExpiryReminded.as_str() && step == ended => Self::SecretExpired,
            act if act == Act::ExpiryReminded.as_str() => Self::SecretExpiring,
            act if act == Act::SecretRotated.as_str() => Self::SecretRotated,
            act if act == Act::SuccessorUsed.as_str() => Self::SuccessorUsed,
            act if act == Act::ClientSuspended.as_str() => Self::ClientSuspended,
            act if act == Act::ClientResumed.as_str() => Self::ClientResumed,
            act if act == Act::ClientRevoked.as_str() => Self::ClientRevoked,
            act if act == Act::RequestClosed.as_str() => Self::RequestDecided,
            _ => return None,
        })
    }
}

/// What stands before the Base64 of a signing secret.
const PREFIX: &str = "whsec_";

/// The secret that messages to one webhook are signed with. `Debug` shows nothing.
#[derive(Clone)]
pub struct MessageSecret(Zeroizing<Vec<u8>>);

impl fmt::Debug for MessageSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MessageSecret(…)")
    }
}

impl MessageSecret {
    /// A new secret of 256 random bits.
    pub fn from_entropy(entropy: [u8; 32]) -> Self {
        Self(Zeroizing::new(entropy.to_vec()))
    }

    /// One that was kept.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self(Zeroizing::new(bytes.to_vec()))
    }

    /// The bytes, to be sealed.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// As its receiver needs it, for the one showing: `whsec_` and Base64.
    pub fn expose(&self) -> Zeroizing<String> {
        Zeroizing::new(format!("{PREFIX}{}", STANDARD.encode(self.0.as_slice())))
    }

    /// The header `webhook-signature` of a message: `v1,` and the HMAC-SHA256 over id, time and body.
    pub fn sign(&self, id: &str, timestamp: i64, body: &str) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.0);
        let tag = hmac::sign(&key, format!("{id}.{timestamp}.{body}").as_bytes());
        format!("v1,{}", STANDARD.encode(tag))
    }
}

/// Pauses after the first, second… failure, as Standard Webhooks recommends them; after the last the message is dead.
const PAUSES: [Duration; 9] = [
    Duration::seconds(5),
    Duration::minutes(5),
    Duration::minutes(30),
    Duration::hours(2),
    Duration::hours(5),
    Duration::hours(10),
    Duration::hours(14),
    Duration::hours(20),
    Duration::hours(24),
];

/// How long to wait after `tries` failures; up to a fifth longer by `jitter`, so that what failed together is not
/// tried together. None: it is given up.
pub fn next_try(tries: i64, jitter: u16) -> Option<Duration> {
    let pause = usize::try_from(tries - 1).ok().and_then(|index| PAUSES.get(index))?;
    Some(*pause + *pause * (f64::from(jitter) / f64::from(u16::MAX) / 5.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_that_of_the_specification() {
        // The example of the specification's reference implementations.
        let bytes = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let secret = MessageSecret::from_bytes(&bytes);
        let signature = secret.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, "{\"test\": 2432232314}");
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        assert_eq!(secret.expose().as_str(), "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        assert_eq!(format!("{secret:?}"), "MessageSecret(…)");
    }

    #[test]
    fn pauses_grow_and_end() {
        let mut last = Duration::ZERO;
        for tries in 1..=9 {
            let (least, most) = (next_try(tries, 0).unwrap(), next_try(tries, u16::MAX).unwrap());
            assert!(least > last && most > least && most <= least * 1.2, "{tries}");
            last = least;
        }
        assert_eq!(next_try(10, 0), None);
        assert_eq!(next_try(0, 0), None);
    }

    #[test]
    fn records_that_concern_others_are_told_and_the_rest_is_not() {
        let told = |act: Act, step: &str| WebhookEvent::of_record(act.as_str(), step);
        assert_eq!(told(Act::ExpiryReminded, "30d"), Some(WebhookEvent::SecretExpiring));
        assert_eq!(told(Act::ExpiryReminded, "ended"), Some(WebhookEvent::SecretExpired));
        assert_eq!(told(Act::ClientSuspended, ""), Some(WebhookEvent::ClientSuspended));
        assert_eq!(told(Act::SignedIn, ""), None);
        let reachable = |event| {
            Act::ALL.iter().any(|act| ["", "ended"].iter().any(|step| told(*act, step) == Some(event)))
        };
        assert!(WebhookEvent::ALL.into_iter().all(reachable));
    }
}
