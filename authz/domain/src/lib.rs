//! The rules of the authorization server: organisations and roles, clients and how they prove themselves, grants,
//! signing keys, the audit trail's entries. No IO, no clock, no generator: `now` and entropy are parameters.

mod access_catalogue;
mod access_request;
mod account;
mod audit;
mod audit_record;
mod certificate;
mod certificate_subject;
mod client;
mod client_assertion;
mod client_keys;
mod client_secret;
mod decoy_keys;
mod error;
mod expiry_reminder;
mod grant;
mod ids;
mod organisation;
mod password_policy;
mod proof;
mod role;
mod rotation;
mod secret;
mod signing_key;
mod totp;
mod webhook;

pub use ::audit_chain::{ChainBroken, ChainHead, ChainKey, ChainWalk};
pub use access_catalogue::{
    AccessCatalogue, AccessRole, Application, Approval, Exclusion, HeldRole, NotOffered, Preference, Route,
    Terms, Violation,
};
pub use access_request::{AccessRequest, RequestAct, RequestState, request_name};
pub use account::{
    Account, AccountStatus, AddressRefused, EmailAddress, NameRefused, PhoneNumber, PhoneRefused,
    RegistrationRules,
};
pub use audit::{Act, Actor, AuditEvent, Subject};
pub use audit_record::AuditRecord;
pub use certificate::{Certificate, CertificateRefused};
pub use certificate_subject::{CertificateSubject, MalformedSubject};
pub use client::{Client, ClientStatus, MalformedParticulars, UnknownStatus, check_particulars};
pub use client_assertion::{
    ASSERTION_LEEWAY, ASSERTION_LIFETIME, ASSERTION_TYPE, AssertionRefused, AssertionRules, ClientAssertion,
    UsedAssertion,
};
pub use client_keys::{ClientKeys, KeyNamed, KeysRefused, MAX_CLIENT_KEYS};
pub use client_secret::{
    ClientSecret, LENGTH as SECRET_LENGTH, PREFIX as SECRET_PREFIX, SecretHash, SecretPepper, is_recognised,
};
pub use error::InvalidTransition;
pub use expiry_reminder::{ReminderStep, due_reminder};
pub use grant::{Grant, InvalidScope, MAX_SCOPE_LENGTH, grant};
pub use ids::{ClientId, MAX_ID_LENGTH, MalformedIdentifier, SecretId, is_identifier};
pub use organisation::{
    Location, MalformedOrganisation, Organisation, OrganisationCategory, UnknownCategory,
};
pub use password_policy::{MAX_PASSWORD_LENGTH, PASSWORD_RULES, PasswordRefused, check_password};
pub use proof::{AuthenticationMethod, Proof, UnknownMethod};
pub use role::{ApiRole, RoleRefused};
pub use rotation::{MAX_LIVE_SECRETS, Rotation, RotationMode, ended_by_successor, rotate, supersede};
pub use secret::{Secret, SecretLifetime, SecretState};
pub use signing_key::{SigningKeyLife, SigningKeyPolicy, SigningKeyState, SigningKeyStep, plan, rotate_keys};
pub use totp::{
    TOTP_SECRET_LENGTH, base32, normal_recovery_code, otpauth_uri, recovery_code, totp_code, verify_totp,
};
pub use webhook::{MessageSecret, WebhookEvent, next_try};
