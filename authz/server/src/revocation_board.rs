//! The revocations in force, in memory: what the feed sends on and introspection asks.

use std::sync::{Mutex, PoisonError};

use access_token::{AccessTokenClaims, Revocation, RevocationSubject};
use time::OffsetDateTime;
use tokio::sync::watch;

/// Every revocation that still matters, in the order of the feed.
#[derive(Debug)]
pub(crate) struct RevocationBoard {
    entries: Mutex<Vec<Revocation>>,
    latest: watch::Sender<i64>,
}

impl RevocationBoard {
    pub(crate) fn new() -> Self {
        Self { entries: Mutex::new(Vec::new()), latest: watch::Sender::new(0) }
    }

    /// Takes in new entries, which all come after the present ones, and forgets what no longer matters.
    pub(crate) fn add(&self, new: Vec<Revocation>, now: OffsetDateTime) {
        let now = now.unix_timestamp();
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.retain(|old| old.until > now && !new.iter().any(|entry| entry.subject == old.subject));
        let Some(latest) = new.last().map(|entry| entry.seq) else { return };
        entries.extend(new);
        drop(entries);
        self.latest.send_replace(latest);
    }

    /// Entries after `seq`, in order, and the position they lead to.
    pub(crate) fn after(&self, seq: i64, now: OffsetDateTime) -> (Vec<Revocation>, i64) {
        let latest = *self.latest.borrow();
        let now = now.unix_timestamp();
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let after = entries.iter().filter(|entry| entry.seq > seq && entry.until > now).cloned().collect();
        (after, latest.max(seq))
    }

    /// Tells when there is something new.
    pub(crate) fn follow(&self) -> watch::Receiver<i64> {
        self.latest.subscribe()
    }

    /// Whether a token must not be honoured any longer.
    pub(crate) fn revokes(&self, claims: &AccessTokenClaims) -> bool {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.iter().any(|entry| {
            entry.revoked
                && match &entry.subject {
                    RevocationSubject::Client(id) => *id == claims.client_id,
                    RevocationSubject::Secret(id) => *id == claims.secret_id,
                    RevocationSubject::Token(id) => *id == claims.jti,
                }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(seq: i64, client: &str, revoked: bool) -> Revocation {
        let subject = RevocationSubject::Client(client.to_owned());
        Revocation { seq, at: 0, subject, until: 100, revoked }
    }

    #[test]
    fn a_follower_gets_what_it_has_not_seen_and_the_last_word_only() {
        let now = OffsetDateTime::UNIX_EPOCH;
        let board = RevocationBoard::new();
        board.add(vec![entry(1, "a", true), entry(2, "b", true)], now);
        let (all, position) = board.after(0, now);
        assert_eq!((all.len(), position), (2, 2));
        board.add(vec![entry(5, "a", false)], now);
        let (all, position) = board.after(2, now);
        assert_eq!((all, position), (vec![entry(5, "a", false)], 5));
        let (all, _) = board.after(0, now);
        assert_eq!(all.iter().map(|entry| entry.seq).collect::<Vec<_>>(), [2, 5]);
        let later = OffsetDateTime::from_unix_timestamp(100).unwrap();
        assert_eq!(board.after(0, later).0, []);
        assert_eq!(board.after(9, later).1, 9);
    }
}
