//! The audit trail's entry: who did what to what, when and why.

use time::OffsetDateTime;

/// Who acts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// A person with access to the machine, through the command line.
    Operator,
    /// The server itself: schedules, demo data.
    System,
    /// A client, with its own credentials.
    Client(String),
    /// A person signed in at the portal, by account id.
    Account(String),
}

impl Actor {
    /// The actor as kept in the trail: a kind, and an id where there is one.
    pub fn parts(&self) -> (&'static str, Option<&str>) {
        match self {
            Self::Operator => ("operator", None),
            Self::System => ("system", None),
            Self::Client(id) => ("client", Some(id)),
            Self::Account(id) => ("account", Some(id)),
        }
    }
}

/// What was done. The word in the trail is the wire name and never changes its meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// A client was registered, with its first secret.
    ClientCreated,
    /// A client was stopped for the time being.
    ClientSuspended,
    /// A suspended client works again.
    ClientResumed,
    /// A client was ended for good.
    ClientRevoked,
    /// A secret got a successor.
    SecretRotated,
    /// One secret was ended on purpose.
    SecretRevoked,
    /// One access token was ended by its client (RFC 7009).
    TokenRevoked,
    /// A signing key was made.
    SigningKeyCreated,
    /// The signing key changed ahead of its schedule.
    SigningKeyRotated,
    /// A signing key was removed with everything it could sign being dead.
    SigningKeyRemoved,
    /// Organisations were taken in from a file.
    OrganisationsImported,
    /// An account was opened.
    AccountCreated,
    /// An account was ended by its owner, taken up again, or stopped by a reviewer.
    AccountStatusChanged,
    /// A password was changed or set anew.
    PasswordChanged,
    /// Name, phone, language or questions of an account were changed.
    AccountChanged,
    /// A second factor was added or removed.
    SecondFactorChanged,
    /// Somebody signed in.
    SignedIn,
    /// A request for access was handed in.
    RequestSubmitted,
    /// A request for access was decided, taken back, or expired.
    RequestClosed,
    /// A reviewer asked for a document.
    RequestSentBack,
    /// A document was looked at.
    DocumentRead,
    /// A role was given to a person.
    RoleGranted,
    /// A role was taken from a person.
    RoleRevoked,
}

impl Act {
    /// The word in the trail.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ClientCreated => "client.created",
            Self::ClientSuspended => "client.suspended",
            Self::ClientResumed => "client.resumed",
            Self::ClientRevoked => "client.revoked",
            Self::SecretRotated => "secret.rotated",
            Self::SecretRevoked => "secret.revoked",
            Self::TokenRevoked => "token.revoked",
            Self::SigningKeyCreated => "signing_key.created",
            Self::SigningKeyRotated => "signing_key.rotated",
            Self::SigningKeyRemoved => "signing_key.removed",
            Self::OrganisationsImported => "organisations.imported",
            Self::AccountCreated => "account.created",
            Self::AccountStatusChanged => "account.status_changed",
            Self::PasswordChanged => "account.password_changed",
            Self::AccountChanged => "account.changed",
            Self::SecondFactorChanged => "account.second_factor_changed",
            Self::SignedIn => "account.signed_in",
            Self::RequestSubmitted => "access_request.submitted",
            Self::RequestClosed => "access_request.closed",
            Self::RequestSentBack => "access_request.sent_back",
            Self::DocumentRead => "document.read",
            Self::RoleGranted => "role.granted",
            Self::RoleRevoked => "role.revoked",
        }
    }
}

/// One entry of the audit trail. It never holds a secret, a token or an e-mail address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEvent {
    /// When it was done.
    pub at: OffsetDateTime,
    /// Who did it.
    pub actor: Actor,
    /// What was done.
    pub act: Act,
    /// To what: an id of a client, a key, an organisation; empty when it concerns many.
    pub subject: String,
    /// Particulars, as name and value.
    pub details: Vec<(&'static str, String)>,
}
