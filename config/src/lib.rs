//! Typed settings, and the catalogue, routes and access levels as data.
//!
//! A leaf: it knows the words of `pms-terms` and nothing else of ours. The program reads [`Settings`] once and hands
//! each service its own section; domain functions receive values. Two kinds of configuration live here:
//!
//! - **settings**, one section a file in `sections/`: defaults that start with no file at all, then a TOML file, then
//!   `PMSGATE__SECTION__KEY` in the environment; unknown keys are refused with the nearest known one;
//! - **data**, TOML files beside `Cargo.toml` that are compiled in and can be replaced by a path in the settings:
//!   `products.toml` (the API products and their operations), `catalogue.toml` (roles), `limits.toml` (how often
//!   clients may call), `access-levels.toml` (the matrix, read by the backend's model).
//!
//! To add a key: a field with a doc comment and a default in its section; the schema, `config show` and the check for
//! unknown keys follow by themselves.

mod access_catalogue;
mod catalogue;
mod data;
mod error;
mod foreign;
mod limits;
mod master_key;
mod network;
mod products;
mod sections;
mod settings;
mod span;
mod usable;

pub use access_catalogue::{
    AccessRole, Application, Approval, ApproverScope, Exclusion, ExclusionScope, Otherwise, Preference, Terms,
};
pub use catalogue::{Catalogue, OrganisationCategory, Role};
pub use data::{DataFile, DataFiles};
pub use error::ConfigError;
pub use foreign::{Enforce, Foreign, HeaderSecret};
pub use limits::{Budget, RequestLimit, RequestLimits};
pub use master_key::{MasterKey, MasterKeyError, Purpose};
pub use network::Network;
pub use products::{ApiProduct, ApiProducts, Interaction, Method, Operation, ParameterText, ParameterTexts};
pub use sections::{
    audit::{Audit, WhenFull},
    backend::Backend,
    client_keys::ClientKeys,
    compat::Compat,
    credentials::{Credentials, Delivery},
    data_files::Data,
    database::DatabaseSection,
    gateway::{FeedLoss, Gateway, Http2, Upstream},
    listen::{ClientAddressFrom, ClientCertificates, Listen, TlsMode},
    mail::{Mail, MailTls},
    merge::Merge,
    portal::Portal,
    telemetry::{LogFormat, Telemetry},
    tokens::{TokenAlgorithm, Tokens},
    webhooks::Webhooks,
};
pub use settings::{Environment, Settings};
pub use span::{ClockOffset, Lifetime, Span};
