//! The contract between gateway and backend: the signed caller context.
