//! The model over its public edge, on real, on made-up and on random products.

mod access;
mod conversion;
mod properties;
mod rendering;
mod sample;
mod search;
mod shared;
mod validation;
