//! Chains of audit records: each carries a keyed hash over itself and the link before it.
//!
//! The key is derived from the master key, which is never where the records are: who can write to their place alone can
//! forge neither a record nor the head that says where the chain ends. What a chain cannot show by itself is that all of it
//! was put back to an earlier state, or that somebody with the master key wrote it anew: for that, keep the head that
//! `pmsgate audit verify` prints somewhere else and compare.

use std::fmt;

use aws_lc_rs::hmac;
use thiserror::Error;

/// The key under which records are chained. `Debug` shows nothing.
#[derive(Clone)]
pub struct ChainKey(hmac::Key);

impl fmt::Debug for ChainKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChainKey(…)")
    }
}

/// A record that can be chained.
pub trait Chained {
    /// The name and version of its form: a chain holds records of one form.
    const FORM: &'static str;

    /// Its place: 1, 2, 3… without gaps.
    fn number(&self) -> i64;

    /// Adds everything that must not change, but for the number.
    fn write(&self, text: &mut Text);
}

/// What a hash is taken over. No two records have one form.
#[derive(Debug)]
pub struct Text(Vec<u8>);

impl Text {
    fn of(form: &str) -> Self {
        let mut text = Self(Vec::with_capacity(512));
        text.field(Some(form));
        text
    }

    /// A field with its length; none is told from empty.
    pub fn field(&mut self, field: Option<&str>) {
        match field {
            None => self.0.push(0),
            Some(field) => {
                self.0.push(1);
                self.0.extend((field.len() as u64).to_be_bytes());
                self.0.extend(field.as_bytes());
            }
        }
    }

    /// A field of fixed length.
    pub fn bytes<const LENGTH: usize>(&mut self, bytes: [u8; LENGTH]) {
        self.0.extend(bytes);
    }
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
    /// A record stands where nobody appended one.
    #[error(
        "record {number} stands behind the end of the trail, which is record {end}: this program did not write it"
    )]
    Behind {
        /// Which.
        number: i64,
        /// The last one there was.
        end: i64,
    },
    /// The head is not what this program wrote.
    #[error("the note of where the trail ends was changed: records after {number} may have been removed")]
    HeadChanged {
        /// The number it gives.
        number: i64,
    },
}

impl ChainHead {
    /// Nothing was ever written.
    pub const fn unwritten() -> Self {
        Self { number: 0, link: String::new(), seal: String::new() }
    }
}

impl ChainKey {
    /// The key from 32 bytes derived from the master key.
    pub fn new(bytes: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, bytes))
    }

    /// The link of a record that follows `previous` (empty before the first).
    pub fn link<R: Chained>(&self, previous: &str, record: &R) -> String {
        let mut text = Text::of(R::FORM);
        text.field(Some(previous));
        text.bytes(record.number().to_be_bytes());
        record.write(&mut text);
        self.sign(&text)
    }

    /// The head after a record.
    pub fn head(&self, number: i64, link: &str) -> ChainHead {
        let seal = self.sign(&head_text(number, link));
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
    pub fn made(&self, head: &ChainHead) -> bool {
        // In constant time, although a seal is no secret.
        hex::decode(&head.seal)
            .is_ok_and(|seal| hmac::verify(&self.0, &head_text(head.number, &head.link).0, &seal).is_ok())
    }

    fn sign(&self, text: &Text) -> String {
        hex::encode(hmac::sign(&self.0, &text.0))
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
    pub fn take<R: Chained>(&mut self, record: &R, link: &str) -> Result<(), ChainBroken> {
        let next = self.last + 1;
        if record.number() != next {
            return Err(ChainBroken::Missing { missing: next, found: record.number() });
        }
        let expected = self.key.link(&self.link, record);
        if expected != link {
            return Err(ChainBroken::Changed { number: next });
        }
        self.last = next;
        self.link = expected;
        Ok(())
    }

    /// How many records were sound so far.
    pub const fn last(&self) -> i64 {
        self.last
    }

    /// Whether the walk stands where a head says that the chain ended.
    pub fn stands_at(&self, head: &ChainHead) -> bool {
        self.last == head.number && self.link == head.link
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

fn head_text(number: i64, link: &str) -> Text {
    let mut text = Text::of("pmsgate audit head v1");
    text.bytes(number.to_be_bytes());
    text.field(Some(link));
    text
}
