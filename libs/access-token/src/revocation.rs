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
    /// Whose tokens.
    pub subject: RevocationSubject,
    /// When the last token concerned is dead and the entry may be forgotten (seconds since the epoch).
    pub until: i64,
    /// `false` lifts an earlier revocation, as when a suspended client is resumed.
    pub revoked: bool,
}

/// A line of the feed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum FeedLine {
    /// A change.
    Revocation(Revocation),
    /// Nothing new up to this position; the connection lives.
    Heartbeat {
        /// The last position sent.
        heartbeat: i64,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_the_shape_that_gateways_read() {
        let line = FeedLine::Revocation(Revocation {
            seq: 7,
            subject: RevocationSubject::Client("c-1".to_owned()),
            until: 99,
            revoked: true,
        });
        let text = r#"{"seq":7,"subject":{"kind":"client","id":"c-1"},"until":99,"revoked":true}"#;
        assert_eq!(serde_json::to_string(&line).unwrap(), text);
        assert_eq!(serde_json::from_str::<FeedLine>(text).unwrap(), line);
        let beat = FeedLine::Heartbeat { heartbeat: 7 };
        assert_eq!(serde_json::to_string(&beat).unwrap(), r#"{"heartbeat":7}"#);
        assert_eq!(serde_json::from_str::<FeedLine>(r#"{"heartbeat":7}"#).unwrap(), beat);
    }
}
