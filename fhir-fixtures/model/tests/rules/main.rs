//! The model over its public edge, on real and on random products.

mod shared;
mod validation;
