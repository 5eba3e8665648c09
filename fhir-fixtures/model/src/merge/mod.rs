//! `$merge` (EP502a): what a transaction Bundle would do to a product, or which rules stand against it. Pure.
//!
//! The caller asks [`product_id`], loads the product if [`writes`] says so of its reader's column (else the answer is
//! [`not_yours`], whether there is such a product or not), finds out what of [`outside`] the client may link to, and
//! gets a [`Plan`] or a list of [`Rejection`]s from [`plan()`].
//!
//! The rules are those of EMA's Write PMS API Implementation Guide as far as they are public, and our reading of the
//! rest (`docs/merge-examples/README.md`). They look at two things only, what the caller sent and what the caller was
//! shown, so that no answer tells of anything hidden. A fault that was shown already is not the caller's: it becomes
//! a warning, and so an unchanged product can always be sent back.
//!
//! To add a rule: name it in `rule.rs`, find its faults in `invariant.rs` (one resource) or `merger.rs` (the whole
//! Bundle), add an accepted and a rejected example to `docs/merge-examples`.

mod entry;
mod invariant;
mod merger;
mod plan;
mod reference;
mod response;
mod rule;

pub use {
    entry::{Outside, not_yours, outside, product_id},
    merger::{plan, writes},
    plan::{Change, Creation, Plan, Request, Resolved},
    response::{Done, response, validated},
    rule::{RULES, Rejection, Rule, outcome, status, told},
};
