//! The callers that one worker saw last, found by their tokens as they stand: no digest is made, no shared table asked.
//!
//! What is here says only that a token was verified once. What can change with time is asked each time, as it is of those
//! that the shared table has.

use std::{cell::RefCell, fmt, sync::Arc};

use zeroize::Zeroizing;

use crate::caller::Caller;

/// Places for callers. Of tokens that share a place the last one has it; the others are found by their digests.
const PLACES: usize = 512;

/// A place is found by the end of a token: of its signature, of which no two are alike.
const END: usize = 16;

/// The callers at hand. On one thread, so nothing is locked or counted.
pub struct AtHand(RefCell<Box<[Option<Known>]>>);

struct Known {
    token: Zeroizing<Box<[u8]>>,
    caller: Arc<Caller>,
}

impl AtHand {
    /// Room for no more callers than are remembered at all.
    pub fn new(capacity: u64) -> Self {
        let places = usize::try_from(capacity).unwrap_or(PLACES).min(PLACES);
        Self(RefCell::new((0..places).map(|_| None).collect()))
    }

    /// Whose token this is.
    pub fn find(&self, token: &[u8]) -> Option<Arc<Caller>> {
        let places = self.0.borrow();
        let end = token.last_chunk::<END>()?;
        let known = places.get(place(end, places.len())?)?.as_ref()?;
        // Their ends first, in one step, so that a comparison which stops at the first difference is not made before its
        // caller has shown what only the token's holder knows.
        let found = known.token.last_chunk() == Some(end) && **known.token == *token;
        found.then(|| Arc::clone(&known.caller))
    }

    /// Remembers whose token this is.
    pub fn keep(&self, token: &[u8], caller: &Arc<Caller>) {
        let mut places = self.0.borrow_mut();
        let place = token.last_chunk().and_then(|end| place(end, places.len()));
        if let Some(place) = place.and_then(|at| places.get_mut(at)) {
            *place = Some(Known { token: Zeroizing::new(token.into()), caller: Arc::clone(caller) });
        }
    }
}

/// Shows nobody.
impl fmt::Debug for AtHand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AtHand(…)")
    }
}

/// Where a token that ends so has its place; none where there is none at all.
fn place(end: &[u8; END], places: usize) -> Option<usize> {
    let (low, high) = end.split_first_chunk()?;
    let mixed = u64::from_le_bytes(*low) ^ u64::from_le_bytes(*high.first_chunk()?).rotate_left(32);
    // By 2^64 divided by the golden ratio: what differs anywhere differs at the top.
    let spread = mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    usize::try_from(spread).ok()?.checked_rem(places)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    fn token(number: u32) -> Vec<u8> {
        format!("eyJhbGciOiJFUzI1NiJ9.e30.{number:086}").into_bytes()
    }

    fn caller(id: &str) -> Arc<Caller> {
        Arc::new(testing::caller(|claims| id.clone_into(&mut claims.client_id)))
    }

    #[test]
    fn a_caller_is_found_by_its_own_token_only() {
        let at_hand = AtHand::new(1000);
        at_hand.keep(&token(1), &caller("one"));
        assert_eq!(&*at_hand.find(&token(1)).unwrap().client_id, "one");
        assert!(at_hand.find(&token(2)).is_none());
        // The same end, and another beginning, another length, or nothing else.
        let (mut other, mut longer) = (token(1), vec![b'e']);
        other[0] = b'f';
        longer.extend(token(1));
        for wrong in [&other[..], &longer, &token(1)[1..], &token(1)[token(1).len() - END..], b"short", b""] {
            assert!(at_hand.find(wrong).is_none(), "{}", wrong.escape_ascii());
        }
    }

    #[test]
    fn most_of_a_hundred_tokens_have_places_of_their_own_and_none_takes_anothers_caller() {
        let at_hand = AtHand::new(100_000);
        for number in 0..100 {
            at_hand.keep(&token(number), &caller(&number.to_string()));
        }
        let found: Vec<_> =
            (0..100).filter_map(|number| Some((number, at_hand.find(&token(number))?))).collect();
        assert!(found.len() > 80, "{}", found.len());
        assert!(found.iter().all(|(number, caller)| *caller.client_id == number.to_string()));
    }

    #[test]
    fn where_nobody_is_remembered_nobody_is_at_hand() {
        let at_hand = AtHand::new(0);
        at_hand.keep(&token(1), &caller("one"));
        assert!(at_hand.find(&token(1)).is_none());
    }
}
