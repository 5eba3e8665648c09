//! The one program: composition and command line.
//!
//! [`house`] opens what a data folder and a configuration hold; [`serve`] starts parts of it and is the one file that
//! knows every room; `commands/` are the doors for operators, each a thin layer over a use case.

mod certificate;
pub mod cli;
pub mod commands;
mod demo;
mod development_ca;
pub mod failure;
mod house;
pub mod output;
mod reload;
mod sandbox_clock;
mod serve;
mod telemetry;

pub use house::House;
pub use serve::{Running, start};
