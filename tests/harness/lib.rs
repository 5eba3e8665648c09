//! The shipped program, started for a test: on free ports, in a folder of its own, stopped and swept up afterwards.
//!
//! Scenarios speak to it as its users do: the command line, HTTP, and the ready file of the contract.
#![expect(clippy::print_stdout, reason = "what could not be checked is said aloud")]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a test fails by panicking"
)]

mod api_client;
mod browser;
mod program;
mod shared_data;
mod visitor;
mod wire;

pub use api_client::{Answer, ApiClient};
pub use browser::{Browser, Driver};
pub use program::{Credentials, Outcome, Program, Ready, Store, binary, data_folder_command};
pub use shared_data::{check_fhir, checkout, product_files, shared};
pub use visitor::Visitor;
pub use wire::Wire;

/// What an industry, authority or public client may ask for on the read and write APIs.
pub const PMS_SCOPE: &str = "api://pmsgate/pms/.default";
/// What a public client may ask for.
pub const PUBLIC_SCOPE: &str = "api://pmsgate/public/.default";
