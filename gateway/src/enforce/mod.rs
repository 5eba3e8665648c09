//! Access levels in the gateway, for products in front of FHIR servers that know none (`enforce = "gateway"`).
//!
//! The server is asked *which* products there are and for everything that belongs to them; what a caller sees of them
//! is decided here, by the same matrix and the same rules as in our own backend, and every answer is written anew.
//! Nothing that the server sends passes by itself: no body, no link, no header, no error text. What cannot be judged
//! is not sent ([`Unfilterable`]).
//!
//! Pure: what may be searched ([`admissible`]), what the server said ([`page`]), what the caller sees of it
//! ([`judge`]), where the next page starts ([`cursor`]). [`server`] asks, also whose the locations are that hold something
//! ([`register`]); [`flow`] has the order of work.

mod admissible;
mod cursor;
mod flow;
mod foreign;
mod judge;
mod page;
mod register;
mod render;
mod server;

use pms_terms::Stakeholder;

pub(crate) use {cursor::CursorKey, flow::Enforcer, foreign::Foreign, server::Server};
pub use {cursor::CursorRefusal, page::Unfilterable};

/// Why a request to a product that the gateway filters is refused. Texts are shown to the caller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Not there, or not for this caller: one answer.
    #[error("there is no such resource, or it is not for this caller")]
    NotFound,
    /// A parameter over elements that the caller's group never sees.
    #[error("the parameter {name:?} looks at elements that callers of the group {group} do not see here")]
    HiddenParameter {
        /// The parameter.
        name: String,
        /// The caller's stakeholder group.
        group: Stakeholder,
    },
    /// A parameter over elements that the caller sees in part: it could tell of the rest.
    #[error(
        "the parameter {name:?} looks at elements of which callers of the group {group} see a part only; here it can be a plain token, without a modifier, and not an order"
    )]
    PartlyHiddenParameter {
        /// The parameter.
        name: String,
        /// The caller's stakeholder group.
        group: Stakeholder,
    },
    /// A value that makes no sense.
    #[error("the value of the parameter {name:?} {problem}")]
    Value {
        /// The parameter.
        name: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A page link that cannot be followed.
    #[error("{0}")]
    Cursor(#[from] CursorRefusal),
    /// The server does not take this search.
    #[error(
        "the FHIR server behind this API does not take this search; look at its parameters and their values"
    )]
    Search,
    /// A state that is not the one which the request assumes (`If-Match`).
    #[error("the state is not the one that If-Match names: read it without the condition")]
    OtherState,
    /// Something of the answer has no form in XML.
    #[error("this answer cannot be written as XML; ask for `application/fhir+json`")]
    NotAsXml,
}
