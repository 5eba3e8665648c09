//! The records of the audit trail as they are chained.

use audit_chain::{Chained, Text};
use time::OffsetDateTime;

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

impl Chained for AuditRecord {
    const FORM: &'static str = "pmsgate audit record v1";

    fn number(&self) -> i64 {
        self.number
    }

    fn write(&self, text: &mut Text) {
        text.bytes((self.at.unix_timestamp_nanos() / 1000).to_be_bytes());
        for field in [
            Some(self.actor_kind.as_str()),
            self.actor_id.as_deref(),
            self.origin.as_deref(),
            Some(self.act.as_str()),
            Some(self.subject.as_str()),
            self.client.as_deref(),
            self.organisation.as_deref(),
            Some(self.details.as_str()),
        ] {
            text.field(field);
        }
    }
}

#[cfg(test)]
mod tests {
    use audit_chain::{ChainBroken, ChainHead, ChainKey, ChainWalk};
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
    fn records_that_were_written_long_ago_keep_their_links() {
        let link = "b27de58f24ff9d37f8baef6c8f98ab541ff02f94a73ff8ac7eda9b39fc19a63c";
        assert_eq!(ChainKey::new(&[1; 32]).link("", &record(1)), link);
    }

    #[test]
    fn a_sound_chain_is_walked_to_its_end_and_an_empty_one_is_sound() {
        let key = ChainKey::new(&[1; 32]);
        let (chained, head) = chain(&key, 5);
        assert_eq!(walk(&key, &chained, &head), Ok(5));
        let unwritten = ChainHead::unwritten();
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
