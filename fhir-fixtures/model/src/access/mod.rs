//! Access levels: who may see which product, which of its resources, which of their elements.
//!
//! The matrix is data (`config/access-levels.toml`, [`AccessMatrix`]). A [`Viewer`] stands in one [`Column`] of it for
//! each product. [`gate()`] decides about the product as a whole, [`filter()`] about the rest. Whatever has no row is
//! hidden from all but qualified owners and authorities.
//!
//! To add a condition: name it in `matrix.rs`, decide it in `condition.rs`, describe it at the top of the file.

mod column;
mod concept;
mod condition;
mod context;
mod explain;
mod filter;
mod gate;
mod matrix;
mod merge;
mod openness;
mod outline;
mod parse;
mod table;
mod tag;
mod walk;

pub use {
    column::{Column, ColumnSet, Viewer, column},
    context::Targets,
    explain::{Decision, Outcome, explain},
    filter::{Filtered, Shown, View, filter, filter_resource},
    gate::{Gate, gate, may_see_history, passes_public_gate},
    matrix::AccessMatrix,
    merge::merge_hidden,
    openness::Openness,
    outline::{Outline, ShownRoot},
    parse::MatrixError,
    table::{Cell, MatrixRow, RowSubject},
};
pub(crate) use {context::names_a_product, outline::Sketch};

/// The text of `config/access-levels.toml`, built in: what holds when no other file is configured.
pub const DEFAULT_MATRIX: &str = include_str!("../../../../config/access-levels.toml");
