//! As of when an answer is true: what lets a gateway keep answers, and what makes it forget them.
//!
//! A backend numbers the changes of its data. With an answer it says, in [`STATE_HEADER`], a change that the answer is
//! at least as new as; on the feed at [`CHANGES_PATH`] it says the latest one, again and again. A gateway may give an
//! answer again while it hears of no later change from a backend that it is in touch with. An answer that says nothing
//! is good once: it hangs on the time, or on whom exactly it is for.

use std::{fmt, str::FromStr};

/// The header of a backend's answer that says which [`DataState`] it shows. Gateways do not pass it on.
pub const STATE_HEADER: &str = "x-pmsgate-state";

/// The header of a backend's answer that says when anything last changed that it shows, in seconds since the epoch,
/// where that is known: it may be later than `Last-Modified`, which is `meta.lastUpdated`. Gateways do not pass it on.
pub const CHANGED_HEADER: &str = "x-pmsgate-changed";

/// Where a backend tells gateways of changes: lines of a [`DataState`] each, several in a second. Asked with a caller
/// context like everything else.
pub const CHANGES_PATH: &str = "/changes";

/// A state of a backend's data. Written `90f3c1d2e4a5b687.42`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataState {
    /// The run of the backend's program, drawn by lot at its start: its policy and its settings stay as they are.
    pub instance: u64,
    /// The latest change: later ones have greater numbers.
    pub change: i64,
}

impl fmt::Display for DataState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}.{}", self.instance, self.change)
    }
}

/// A text that is no [`DataState`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a state of data: 16 hexadecimal digits, a dot, and a number")]
pub struct NoDataState;

impl FromStr for DataState {
    type Err = NoDataState;

    fn from_str(text: &str) -> Result<Self, NoDataState> {
        let (instance, change) = text.split_once('.').ok_or(NoDataState)?;
        let digits =
            |text: &str, most: usize| text.len() <= most && text.bytes().all(|b| b.is_ascii_alphanumeric());
        if instance.len() != 16 || !digits(instance, 16) || !digits(change, 19) {
            return Err(NoDataState);
        }
        Ok(Self {
            instance: u64::from_str_radix(instance, 16).map_err(|_| NoDataState)?,
            change: change.parse().map_err(|_| NoDataState)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_state_is_read_as_it_was_written(instance: u64, change in 0..=i64::MAX) {
            let state = DataState { instance, change };
            prop_assert_eq!(state.to_string().parse(), Ok(state));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[0-9a-f+.-]{0,40}") {
            if let Ok(state) = text.parse::<DataState>() {
                prop_assert!(state.change >= 0);
            }
        }
    }

    #[test]
    fn what_is_no_state_is_refused() {
        for text in [
            "",
            ".",
            "90f3c1d2e4a5b687",
            "90f3c1d2e4a5b687.",
            "90f3c1d2e4a5b687.-1",
            "+0f3c1d2e4a5b687.1",
            "1.1",
        ] {
            assert_eq!(text.parse::<DataState>(), Err(NoDataState), "{text}");
        }
    }
}
