//! What the authorization server tells gateways about tokens that must not be honoured any longer.
//!
//! The feed is a stream of JSON lines: first what is in force, then each change as it happens, and a heartbeat at
//! least once a second, so that silence means a broken connection.

use serde::{Deserialize, Serialize};

/// Whose tokens are meant.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", content = "id", rename_all = "lowercase")]
pub enum RevocationSubject {
    /// All tokens of a client (`client_id`).
    Client(String),
    /// All tokens bought with one secret (`secret_id`).
    Secret(String),
    /// One token (`jti`).
    Token(String),
}

/// One revocation, or its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revocation {
    /// Position in the feed; later entries have greater numbers.
    pub seq: i64,
    /// When it was issued, in microseconds since the epoch; 0 when that is not known.
    pub at: i64,
    /// Whose tokens.
    pub subject: RevocationSubject,
    /// When the last token concerned is dead and the entry may be forgotten (seconds since the epoch).
    pub until: i64,
    /// `false` lifts an earlier revocation, as when a suspended client is resumed.
    pub revoked: bool,
}

/// A line of the feed: a revocation's object, or `{"heartbeat":7}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RawLine", into = "RawLine")]
pub enum FeedLine {
    /// A change.
    Revocation(Revocation),
    /// Nothing new up to this position; the connection lives.
    Heartbeat {
        /// The last position sent.
        heartbeat: i64,
    },
}

/// Both kinds of line in one: an untagged enum would buffer the line, in which numbers of arbitrary precision are lost.
#[derive(Serialize, Deserialize)]
struct RawLine {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    heartbeat: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    seq: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    at: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    subject: Option<RevocationSubject>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    revoked: Option<bool>,
}

impl TryFrom<RawLine> for FeedLine {
    type Error = &'static str;

    fn try_from(line: RawLine) -> Result<Self, Self::Error> {
        match line {
            RawLine { heartbeat: Some(heartbeat), seq: None, .. } => Ok(Self::Heartbeat { heartbeat }),
            RawLine {
                heartbeat: None,
                seq: Some(seq),
                at,
                subject: Some(subject),
                until: Some(until),
                revoked: Some(revoked),
            } => Ok(Self::Revocation(Revocation { seq, at: at.unwrap_or(0), subject, until, revoked })),
            _ => Err("neither a revocation nor a heartbeat"),
        }
    }
}

impl From<FeedLine> for RawLine {
    fn from(line: FeedLine) -> Self {
        let empty = Self { heartbeat: None, seq: None, at: None, subject: None, until: None, revoked: None };
        match line {
            FeedLine::Heartbeat { heartbeat } => Self { heartbeat: Some(heartbeat), ..empty },
            FeedLine::Revocation(Revocation { seq, at, subject, until, revoked }) => Self {
                seq: Some(seq),
                at: Some(at),
                subject: Some(subject),
                until: Some(until),
                revoked: Some(revoked),
                ..empty
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_the_shape_that_gateways_read() {
        let line = FeedLine::Revocation(Revocation {
            seq: 7,
            at: 5,
            subject: RevocationSubject::Client("c-1".to_owned()),
            until: 99,
            revoked: true,
        });
        let text = r#"{"seq":7,"at":5,"subject":{"kind":"client","id":"c-1"},"until":99,"revoked":true}"#;
        assert_eq!(serde_json::to_string(&line).unwrap(), text);
        assert_eq!(serde_json::from_str::<FeedLine>(text).unwrap(), line);
        let beat = FeedLine::Heartbeat { heartbeat: 7 };
        assert_eq!(serde_json::to_string(&beat).unwrap(), r#"{"heartbeat":7}"#);
        assert_eq!(serde_json::from_str::<FeedLine>(r#"{"heartbeat":7}"#).unwrap(), beat);
    }
}
