//! One section a file: the keys, their meaning, their defaults.

pub(crate) mod audit;
pub(crate) mod backend;
pub(crate) mod client_keys;
pub(crate) mod compat;
pub(crate) mod credentials;
pub(crate) mod data_files;
pub(crate) mod database;
pub(crate) mod gateway;
pub(crate) mod listen;
pub(crate) mod mail;
pub(crate) mod merge;
pub(crate) mod portal;
pub(crate) mod telemetry;
pub(crate) mod tokens;
pub(crate) mod webhooks;
