//! What the server does on people's behalf: one act, one unit of work, whichever door it came through.
//!
//! Each act writes its change, its audit entry, the revocation where tokens must stop, and the note for other
//! instances, together or not at all. The command line calls these in a process of its own; the running server
//! follows within 200 ms.

mod accounts;
mod api_access;
mod calendar;
mod client_changes;
mod clock;
mod create_client;
mod deciders;
mod expiry;
mod hand_over;
mod health;
mod import_organisations;
mod list_clients;
mod my_clients;
mod one_time;
mod post;
mod register_proof;
mod request_documents;
mod request_drafts;
mod request_ending;
mod request_plan;
mod request_submission;
mod review;
mod rotate_secret;
mod seed_demo;
mod signing_keys;
mod table;
mod trail;
mod webhooks;

use std::sync::Arc;

use authz_domain::{
    AuthenticationMethod, InvalidScope, InvalidTransition, MalformedParticulars, RoleRefused, SecretPepper,
};
use database::{Database, DatabaseError};
use http_service::Clock;
use thiserror::Error;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

pub use accounts::{NewAccount, OpenedAccount};
pub(crate) use accounts::{new_id, new_user_name};
pub use api_access::{ApiAccessForm, FieldRefused, RenewalForm, Submitted};
pub use clock::{ClockView, sandbox_offset};
pub(crate) use create_client::named;
pub use create_client::{EndedSecret, EnsuredClient, IssuedCredentials, NewClient};
pub use expiry::{ExpiringSecret, by_month};
pub use hand_over::OfferedSecret;
pub use health::HouseHealth;
pub use import_organisations::{
    ImportReport, ORGANISATION_COLUMNS, RefusedRecord, location_json, locations_cell, organisations_in,
};
pub use list_clients::{ClientView, SecretView};
pub use my_clients::OrganisationAdmins;
pub(crate) use one_time::{CodeVerdict, Purpose};
pub use register_proof::{NewProof, RegisteredProof};
pub use request_documents::DocumentRefused;
pub use request_plan::{PlannedRole, RequestPlan};
pub use request_submission::SubmitRefused;
pub use review::{Decision, Reviewer};
pub use rotate_secret::Rotate;
pub use seed_demo::DemoCredentials;
pub use signing_keys::{KeyRotation, SigningKeyView};
pub use trail::TrailVerdict;
pub use webhooks::{NewWebhook, WebhookView};

use crate::{AuthzKeys, AuthzSettings, SealError, state::State};

/// Why an act was refused or failed. The text is for the person who asked.
#[derive(Debug, Error)]
pub enum UseCaseError {
    /// No such client.
    #[error("there is no client {0}")]
    NoSuchClient(String),
    /// No such organisation.
    #[error("there is no organisation {0}: import it first")]
    NoSuchOrganisation(String),
    /// No such secret.
    #[error("there is no secret {0}")]
    NoSuchSecret(String),
    /// No such role.
    #[error("there is no role {role}: one of {known}")]
    NoSuchRole {
        /// The role asked for.
        role: String,
        /// The roles there are.
        known: String,
    },
    /// The role cannot be held so.
    #[error(transparent)]
    Role(#[from] RoleRefused),
    /// The scope cannot be allowed.
    #[error(transparent)]
    Scope(#[from] InvalidScope),
    /// Label or contact cannot be taken.
    #[error(transparent)]
    Particulars(#[from] MalformedParticulars),
    /// A public client needs somebody to write to.
    #[error("a client of the role {0} needs a contact: its owner's e-mail address")]
    ContactMissing(String),
    /// A client that would see nothing.
    #[error("a client sees products of at least one domain: human or veterinary")]
    NoDomain,
    /// Keys or a certificate that a client cannot prove itself by.
    #[error("{0}")]
    Proof(String),
    /// A method that this installation does not have.
    #[error(
        "{0} is not offered here: it needs listen.client_certificates, and tls_client_auth needs \
         client_keys.certificate_issuers_file besides"
    )]
    MethodNotOffered(AuthenticationMethod),
    /// Keys are not read from there.
    #[error("{0}")]
    KeyAddress(&'static str),
    /// A secret is wanted for a client that proves itself by something else.
    #[error(
        "this client authenticates by {0}: register a new key or certificate for it, or revoke the present one first if \
         it shall have a secret"
    )]
    OtherMethod(AuthenticationMethod),
    /// A secret is to be mailed, and nobody is named who gets it.
    #[error(
        "this client has no technical contact that a secret could be mailed to: name one on its page, or rotate it there \
         and copy the secret"
    )]
    NoContact,
    /// A reason cannot be kept so.
    #[error("a reason has at most {MAX_REASON} characters and no control characters")]
    Reason,
    /// The organisation has as many clients as it may.
    #[error("{organisation} has {count} clients already, the most it may have: revoke one first")]
    TooManyClients {
        /// The organisation.
        organisation: String,
        /// How many it has.
        count: u32,
    },
    /// The present state does not admit it.
    #[error(transparent)]
    State(#[from] InvalidTransition),
    /// There is no next signing key to rotate to.
    #[error("there is no next signing key yet: try again in a moment")]
    NoNextKey,
    /// A file that is neither CSV nor JSON of organisations.
    #[error("{place}: {problem}")]
    Unreadable {
        /// The file, and the line where it is known.
        place: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Private keys cannot be sealed or opened.
    #[error("the signing keys cannot be used")]
    Seal(#[from] SealError),
    /// The crypto library failed.
    #[error("a signing key cannot be made")]
    Key(#[from] access_token::KeyError),
    /// The operating system gives no random bytes.
    #[error("the operating system gives no random bytes")]
    NoEntropy,
    /// No such account.
    #[error("there is no such account")]
    NoSuchAccount,
    /// An account cannot be opened or changed so.
    #[error("{0}")]
    Account(String),
    /// Somebody would hold roles that exclude each other.
    #[error("{0} One of the roles has to go first, or this one is not given")]
    Excluded(String),
    /// The client got a newer secret than the one that was looked at.
    #[error("a new secret was made meanwhile: look at the client's secrets before you make another one")]
    RotatedMeanwhile,
    /// The key is another client's.
    #[error("a client of this key is there, and its {0} is another: use another key, or revoke it first")]
    OtherClient(&'static str),
    /// All secrets are over, and renewing then is not allowed.
    #[error(
        "the secret ended at {}: it cannot be renewed here any more, ask the agency",
        at.replace_nanosecond(0).unwrap_or(*at).format(&Rfc3339).unwrap_or_default()
    )]
    ExpiredForGood {
        /// When it ended.
        at: OffsetDateTime,
    },
    /// The catalogue has no such terms.
    #[error("there are no such terms")]
    NoSuchTerms,
    /// A request about credentials without its particulars.
    #[error("the request does not say for which client it is")]
    NoParticulars,
    /// Somebody else was faster.
    #[error("somebody else decided this meanwhile")]
    DecidedMeanwhile,
    /// A password cannot be hashed or checked.
    #[error("a password cannot be checked")]
    PasswordHash,
    /// A message cannot be written, or a stored one not be read.
    #[error("a message cannot be written")]
    Letter,
    /// Only a sandbox may do it.
    #[error(
        "only a sandbox's clock can be moved, and this installation is none: see `sandbox` and `environment`"
    )]
    NotASandbox,
    /// A webhook cannot be set up so.
    #[error("{0}")]
    Webhook(String),
    /// The database.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

/// The acts of the authorization server, for the command line, the portal and its own tasks.
#[derive(Clone)]
pub struct UseCases {
    settings: Arc<AuthzSettings>,
    keys: AuthzKeys,
    database: Database,
    clock: Clock,
    /// The server in this process, if there is one: it takes changes in at once.
    server: Option<Arc<State>>,
    /// Why, in the words of whoever acts; empty when they did not say.
    reason: String,
}

/// Characters of a reason.
pub(crate) const MAX_REASON: usize = 1000;

/// Whether a reason can be kept: of a sane length, without control characters other than white space.
pub(crate) fn is_sound_reason(reason: &str) -> bool {
    reason.chars().count() <= MAX_REASON && !reason.chars().any(|c| c.is_control() && !c.is_whitespace())
}

/// Whose fault a failed act is, when it is not the house's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It names something that is not there.
    Absent,
    /// It cannot be done so, by anybody.
    Unacceptable,
    /// What is there stands in the way.
    Conflict,
}

impl UseCaseError {
    /// What whoever asked did wrong; none when the house failed.
    pub(crate) const fn refusal(&self) -> Option<Refusal> {
        match self {
            Self::NoSuchClient(_) | Self::NoSuchSecret(_) | Self::NoSuchAccount | Self::NoSuchTerms => {
                Some(Refusal::Absent)
            }
            Self::NoSuchOrganisation(_)
            | Self::NoSuchRole { .. }
            | Self::Role(_)
            | Self::Scope(_)
            | Self::Particulars(_)
            | Self::ContactMissing(_)
            | Self::NoDomain
            | Self::Proof(_)
            | Self::MethodNotOffered(_)
            | Self::KeyAddress(_)
            | Self::Reason
            | Self::Unreadable { .. }
            | Self::Account(_)
            | Self::Webhook(_)
            | Self::NotASandbox => Some(Refusal::Unacceptable),
            Self::OtherMethod(_)
            | Self::NoContact
            | Self::TooManyClients { .. }
            | Self::State(_)
            | Self::Excluded(_)
            | Self::RotatedMeanwhile
            | Self::OtherClient(_)
            | Self::ExpiredForGood { .. }
            | Self::DecidedMeanwhile => Some(Refusal::Conflict),
            Self::NoNextKey
            | Self::Seal(_)
            | Self::Key(_)
            | Self::NoEntropy
            | Self::NoParticulars
            | Self::PasswordHash
            | Self::Letter
            | Self::Database(_) => None,
        }
    }

    /// Its text as a sentence on a page.
    pub(crate) fn sentence(&self) -> String {
        let text = self.to_string();
        let mut letters = text.chars();
        let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
        format!("{first}{}.", letters.as_str().trim_end_matches('.'))
    }
}

impl std::fmt::Debug for UseCases {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UseCases").field("in_server", &self.server.is_some()).finish_non_exhaustive()
    }
}

impl UseCases {
    /// The acts on a database whose schema is up to date (see [`crate::migrate`]), in a process without the server.
    pub fn new(settings: AuthzSettings, keys: AuthzKeys, database: Database, clock: Clock) -> Self {
        Self::shared(Arc::new(settings), keys, database, clock)
    }

    pub(crate) fn shared(
        settings: Arc<AuthzSettings>,
        keys: AuthzKeys,
        database: Database,
        clock: Clock,
    ) -> Self {
        Self { settings, keys, database, clock, server: None, reason: String::new() }
    }

    pub(crate) fn of(state: Arc<State>) -> Self {
        Self {
            settings: Arc::clone(&state.settings),
            keys: state.keys.clone(),
            database: state.database.clone(),
            clock: state.clock.clone(),
            server: Some(state),
            reason: String::new(),
        }
    }

    /// The same acts, done for a reason: the records of the audit trail say it.
    pub fn because(self, reason: &str) -> Result<Self, UseCaseError> {
        let reason = reason.trim();
        if !is_sound_reason(reason) {
            return Err(UseCaseError::Reason);
        }
        Ok(Self { reason: reason.to_owned(), ..self })
    }

    fn now(&self) -> OffsetDateTime {
        self.clock.now()
    }

    fn pepper(&self) -> &SecretPepper {
        &self.keys.pepper
    }

    /// Makes what was committed count in this process. If that fails the follower does it a moment later.
    async fn committed(&self) {
        if let Some(server) = &self.server
            && let Err(error) = server.catch_up().await
        {
            tracing::warn!(error = &error as &dyn std::error::Error, "a change is taken in later");
        }
    }

    /// When the last token that could be alive now is dead everywhere (seconds since the epoch): until then gateways
    /// must remember a revocation.
    fn last_token_dead_at(&self, now: OffsetDateTime) -> i64 {
        (now + self.settings.token_lifetime + crate::settings::LEEWAY).unix_timestamp()
    }
}
