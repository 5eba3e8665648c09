//! The chain of the audit trail: each record carries a keyed hash over itself and the link before it.
//!
//! The key is derived from the master key, which is never in the database: who can write to the database alone can
//! forge neither a record nor the head that says where the chain ends. What the chain cannot show by itself is that the
//! whole database was put back to an earlier state, or that somebody with the master key wrote it anew: for that, keep
//! the head that `pmsgate audit verify` prints somewhere else and compare.

use std::fmt;

use aws_lc_rs::hmac;
use thiserror::Error;
use time::OffsetDateTime;

/// The key under which records are chained. `Debug` shows nothing.
#[derive(Clone)]
pub struct ChainKey(hmac::Key);

impl fmt::Debug for ChainKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChainKey(…)")
    }
}

/// A record of the trail as it is chained: what its columns hold, to the byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRecord {
    /// 1, 2, 3… without gaps.
    pub number: i64,
    /// When it was done, to the microsecond.
    pub at: OffsetDateTime,
    /// `operator`, `system`, `client` or `account`.
    pub actor_kind: String,
    /// The actor's id, where it has one.
    pub actor_id: Option<String>,
    /// The network address it came from.
    pub origin: Option<String>,
    /// What was done.
    pub act: String,
    /// To what.
    pub subject: String,
    /// The client it concerns.
    pub client: Option<String>,
    /// The organisation it concerns.
    pub organisation: Option<String>,
    /// Particulars, as a JSON object.
    pub details: String,
}

/// Where the chain ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainHead {
    /// The number of the last record; 0 when there is none.
    pub number: i64,
    /// Its link; empty when there is none.
    pub link: String,
    /// The head's own proof.
    pub seal: String,
}

/// What is wrong with a chain, and where.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ChainBroken {
    /// Records are gone from the middle or the beginning.
    #[error("record {missing} is missing: the next one is {found}")]
    Missing {
        /// The first one that is not there.
        missing: i64,
        /// The one that is there instead.
        found: i64,
    },
    /// A record does not fit its link.
    #[error("record {number} was changed, or stands in another's place")]
    Changed {
        /// Which.
        number: i64,
    },
    /// Records are gone from the end.
    #[error("the trail ends with record {found}, but it had {expected}: the end was cut off")]
    CutOff {
        /// The last one that is there.
        found: i64,
        /// The last one there was.
        expected: i64,
    },
    /// The head is not what this program wrote.
    #[error("the note of where the trail ends was changed: records after {number} may have been removed")]
    HeadChanged {
        /// The number it gives.
        number: i64,
    },
}

impl ChainKey {
    /// The key from 32 bytes derived from the master key.
    pub fn new(bytes: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, bytes))
    }

    /// The link of a record that follows `previous` (empty before the first).
    pub fn link(&self, previous: &str, record: &AuditRecord) -> String {
        let mut text = Vec::with_capacity(256);
        put(&mut text, Some("pmsgate audit record v1"));
        put(&mut text, Some(previous));
        text.extend(record.number.to_be_bytes());
        text.extend((record.at.unix_timestamp_nanos() / 1000).to_be_bytes());
        for field in [
            Some(record.actor_kind.as_str()),
            record.actor_id.as_deref(),
            record.origin.as_deref(),
            Some(record.act.as_str()),
            Some(record.subject.as_str()),
            record.client.as_deref(),
            record.organisation.as_deref(),
            Some(record.details.as_str()),
        ] {
            put(&mut text, field);
        }
        hexadecimal(hmac::sign(&self.0, &text).as_ref())
    }

    /// The head after a record.
    pub fn head(&self, number: i64, link: &str) -> ChainHead {
        let seal = hexadecimal(hmac::sign(&self.0, &head_text(number, link)).as_ref());
        ChainHead { number, link: link.to_owned(), seal }
    }

    /// The head after one more record: a head that was changed stays visibly so.
    pub fn advance(&self, before: &ChainHead, number: i64, link: &str) -> ChainHead {
        let mut head = self.head(number, link);
        if !self.made(before) {
            before.seal.clone_into(&mut head.seal);
        }
        head
    }

    /// Whether a head is one that this key made.
    fn made(&self, head: &ChainHead) -> bool {
        // In constant time, although a seal is no secret.
        from_hexadecimal(&head.seal)
            .is_some_and(|seal| hmac::verify(&self.0, &head_text(head.number, &head.link), &seal).is_ok())
    }
}

/// A walk along the chain, record by record, from the first.
#[derive(Debug)]
pub struct ChainWalk<'k> {
    key: &'k ChainKey,
    last: i64,
    link: String,
}

impl<'k> ChainWalk<'k> {
    /// A walk that has seen nothing yet.
    pub const fn new(key: &'k ChainKey) -> Self {
        Self { key, last: 0, link: String::new() }
    }

    /// Takes the next record with its stored link.
    pub fn take(&mut self, record: &AuditRecord, link: &str) -> Result<(), ChainBroken> {
        let next = self.last + 1;
        if record.number != next {
            return Err(ChainBroken::Missing { missing: next, found: record.number });
        }
        let expected = self.key.link(&self.link, record);
        if expected != link {
            return Err(ChainBroken::Changed { number: next });
        }
        self.last = next;
        self.link = expected;
        Ok(())
    }

    /// Compares the end with the head. How many records there are.
    pub fn finish(self, head: &ChainHead) -> Result<i64, ChainBroken> {
        // Nothing was ever written: there is no head yet either.
        if self.last == 0 && head.number == 0 && head.seal.is_empty() {
            return Ok(0);
        }
        if !self.key.made(head) {
            return Err(ChainBroken::HeadChanged { number: head.number });
        }
        if head.number != self.last {
            return Err(ChainBroken::CutOff { found: self.last, expected: head.number });
        }
        if head.link != self.link {
            return Err(ChainBroken::Changed { number: self.last });
        }
        Ok(self.last)
    }
}

fn head_text(number: i64, link: &str) -> Vec<u8> {
    let mut text = Vec::with_capacity(128);
    put(&mut text, Some("pmsgate audit head v1"));
    text.extend(number.to_be_bytes());
    put(&mut text, Some(link));
    text
}

/// A field with its length, so that no two records have one form.
fn put(text: &mut Vec<u8>, field: Option<&str>) {
    match field {
        None => text.push(0),
        Some(field) => {
            text.push(1);
            text.extend((field.len() as u64).to_be_bytes());
            text.extend(field.as_bytes());
        }
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    hex::encode(bytes)
}

fn from_hexadecimal(text: &str) -> Option<Vec<u8>> {
    hex::decode(text).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use time::{Duration, macros::datetime};

    use super::*;

    fn record(number: i64) -> AuditRecord {
        AuditRecord {
            number,
            at: datetime!(2026-03-05 12:00 UTC) + Duration::microseconds(number),
            actor_kind: "account".to_owned(),
            actor_id: Some("a-1".to_owned()),
            origin: Some("192.0.2.1".to_owned()),
            act: "client.created".to_owned(),
            subject: format!("c-{}", number % 3),
            client: Some("c-1".to_owned()),
            organisation: None,
            details: "{}".to_owned(),
        }
    }

    fn chain(key: &ChainKey, count: i64) -> (Vec<(AuditRecord, String)>, ChainHead) {
        let mut chained = Vec::new();
        let mut head = key.head(0, "");
        for number in 1..=count {
            let record = record(number);
            let link = key.link(&head.link, &record);
            head = key.advance(&head, number, &link);
            chained.push((record, link));
        }
        (chained, head)
    }

    fn walk(key: &ChainKey, chained: &[(AuditRecord, String)], head: &ChainHead) -> Result<i64, ChainBroken> {
        let mut walk = ChainWalk::new(key);
        // As the database gives them: by number.
        let mut sorted: Vec<_> = chained.iter().collect();
        sorted.sort_by_key(|(record, _)| record.number);
        for (record, link) in sorted {
            walk.take(record, link)?;
        }
        walk.finish(head)
    }

    #[test]
    fn a_sound_chain_is_walked_to_its_end_and_an_empty_one_is_sound() {
        let key = ChainKey::new(&[1; 32]);
        let (chained, head) = chain(&key, 5);
        assert_eq!(walk(&key, &chained, &head), Ok(5));
        let unwritten = ChainHead { number: 0, link: String::new(), seal: String::new() };
        assert_eq!(walk(&key, &[], &unwritten), Ok(0));
        assert_eq!(walk(&ChainKey::new(&[2; 32]), &chained, &head), Err(ChainBroken::Changed { number: 1 }));
    }

    #[test]
    fn a_cut_off_end_is_found_even_when_the_head_is_moved_back() {
        let key = ChainKey::new(&[1; 32]);
        let (mut chained, head) = chain(&key, 5);
        chained.truncate(3);
        assert_eq!(walk(&key, &chained, &head), Err(ChainBroken::CutOff { found: 3, expected: 5 }));
        let moved = ChainHead { number: 3, link: chained[2].1.clone(), seal: head.seal };
        assert_eq!(walk(&key, &chained, &moved), Err(ChainBroken::HeadChanged { number: 3 }));
        // Nor does the program's next record heal it.
        let record = record(4);
        let link = key.link(&moved.link, &record);
        let after = key.advance(&moved, 4, &link);
        chained.push((record, link));
        assert_eq!(walk(&key, &chained, &after), Err(ChainBroken::HeadChanged { number: 4 }));
        assert_eq!(walk(&key, &[], &after), Err(ChainBroken::HeadChanged { number: 4 }));
    }

    #[test]
    fn a_value_cannot_move_into_the_next_field() {
        let key = ChainKey::new(&[1; 32]);
        let one = AuditRecord { act: "ab".to_owned(), subject: "c".to_owned(), ..record(1) };
        let two = AuditRecord { act: "a".to_owned(), subject: "bc".to_owned(), ..record(1) };
        assert_ne!(key.link("", &one), key.link("", &two));
        let none = AuditRecord { client: None, ..record(1) };
        let empty = AuditRecord { client: Some(String::new()), ..record(1) };
        assert_ne!(key.link("", &none), key.link("", &empty));
    }

    #[derive(Clone, Copy, Debug)]
    enum Tampering {
        Remove,
        Swap(usize),
        SwapContent(usize),
        Change(u8),
        Link,
    }

    fn tampering() -> impl Strategy<Value = Tampering> {
        prop_oneof![
            Just(Tampering::Remove),
            (1_usize..8).prop_map(Tampering::Swap),
            (1_usize..8).prop_map(Tampering::SwapContent),
            (0_u8..9).prop_map(Tampering::Change),
            Just(Tampering::Link),
        ]
    }

    fn change(record: &mut AuditRecord, field: u8) {
        match field {
            0 => record.at += Duration::microseconds(1),
            1 => record.actor_kind = "system".to_owned(),
            2 => record.actor_id = None,
            3 => record.origin = Some("192.0.2.2".to_owned()),
            4 => record.act = "client.revoked".to_owned(),
            5 => record.subject.push('x'),
            6 => record.client = None,
            7 => record.organisation = Some("ORG-100000001".to_owned()),
            _ => record.details = "{\"reason\":\"x\"}".to_owned(),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn any_single_change_removal_or_swap_is_found(
            count in 2_i64..12, at in 0_usize..12, tampering in tampering()
        ) {
            let key = ChainKey::new(&[1; 32]);
            let (mut chained, head) = chain(&key, count);
            let at = at % chained.len();
            let sound = chained.clone();
            match tampering {
                Tampering::Remove => drop(chained.remove(at)),
                Tampering::Swap(by) => {
                    // Two rows change their numbers, links and all.
                    let other = (at + by) % chained.len();
                    let (one, two) = (chained[at].0.number, chained[other].0.number);
                    chained[at].0.number = two;
                    chained[other].0.number = one;
                }
                Tampering::SwapContent(by) => {
                    let other = (at + by) % chained.len();
                    let (one, two) = (chained[at].0.clone(), chained[other].0.clone());
                    chained[at].0 = AuditRecord { number: one.number, ..two };
                    chained[other].0 = AuditRecord { number: chained[other].0.number, ..one };
                }
                Tampering::Change(field) => change(&mut chained[at].0, field),
                Tampering::Link => chained[at].1 = key.link("x", &chained[at].0),
            }
            let outcome = walk(&key, &chained, &head);
            if chained == sound {
                prop_assert_eq!(outcome, Ok(count));
            } else {
                prop_assert!(outcome.is_err(), "{tampering:?} of record {}", at + 1);
            }
        }
    }
}
