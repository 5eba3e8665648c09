//! The model over its public edge, on real and on random products.

mod access;
mod rendering;
mod sample;
mod shared;
mod validation;
