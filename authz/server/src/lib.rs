//! The authorization server: token endpoint, metadata, keys, revocation feed, the portal's first page, and the use
//! cases behind the command line.
//!
//! [`Authz::start`] brings it up on an open database; [`Authz::router`] is everything it answers, on one screen in
//! `router.rs`; [`Authz::spawn_tasks`] starts what it does by itself. [`UseCases`] are its acts without HTTP: one unit
//! of work each, with the audit entry, the revocation and the note for other instances in it.
//!
//! It never forwards FHIR and knows no gateway: gateways read its keys and its revocation feed.

mod api;
mod audit_words;
mod authz;
mod certificate_issuers;
mod client_cache;
mod documents;
mod entropy;
mod figures;
mod jobs;
mod key_ring;
mod key_sets;
mod last_use;
mod mail;
mod oauth;
mod origin;
mod portal;
mod public_address;
mod revocation_board;
mod router;
mod sandbox_clock;
mod seal;
mod settings;
mod state;
mod throttle;
mod use_cases;
mod webhook_call;

pub use audit_words::audit_event;
pub use authz::{Authz, StartError, migrate, migration_status};
pub use certificate_issuers::CertificateIssuersError;
pub use key_sets::KeySetsError;
pub use mail::{Letter, Part};
pub use portal::settings::{MailSettings, MailTransport, PortalSettings, TextMessages};
pub use public_address::Reach;
pub use seal::SealError;
pub use settings::{
    AuthzKeys, AuthzSettings, ClientKeySettings, ProductLink, SettingsError, WebhookSettings,
};
pub use use_cases::{
    ApiAccessForm, ClientView, ClockView, Decision, DemoCredentials, DocumentRefused, EndedSecret,
    EnsuredClient, ExpiringSecret, FieldRefused, HouseHealth, ImportReport, IssuedCredentials, KeyRotation,
    NewAccount, NewClient, NewProof, NewWebhook, ORGANISATION_COLUMNS, OfferedSecret, OpenedAccount,
    OrganisationAdmins, PlannedRole, RefusedRecord, RegisteredProof, RenewalForm, RequestPlan, Reviewer,
    Rotate, SecretView, SigningKeyView, SubmitRefused, Submitted, TrailVerdict, UseCaseError, UseCases,
    WebhookView, by_month, location_json, locations_cell, organisations_in, sandbox_offset,
};
