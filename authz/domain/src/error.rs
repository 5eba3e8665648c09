//! Refusals that several rules share.

use thiserror::Error;

/// An act that the present state does not admit.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the {what} is {state} and cannot be {act}")]
pub struct InvalidTransition {
    /// What kind of thing it is.
    pub what: &'static str,
    /// The state it is in.
    pub state: &'static str,
    /// What was to be done with it.
    pub act: &'static str,
}
