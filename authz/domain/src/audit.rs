//! The audit trail's entry: who did what to what, when, from where and why.

use std::net::IpAddr;

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

/// What the subject of an entry is an id of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// An API client.
    Client,
    /// A person's account.
    Account,
    /// A request for access.
    Request,
    /// A document of a request.
    Document,
    /// A signing key.
    SigningKey,
    /// An organisation.
    Organisation,
    /// A webhook.
    Webhook,
    /// The installation, or many things at once: there is no id, or a name of a part.
    House,
}

/// The acts, each with its word in the trail and what its subject is.
macro_rules! acts {
    ($($(#[$doc:meta])* $name:ident = $word:literal of $subject:ident),+ $(,)?) => {
        /// What was done. The word in the trail is the wire name and never changes its meaning.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Act {
            $($(#[$doc])* $name),+
        }

        impl Act {
            /// Every act.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The word in the trail.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word),+ }
            }

            /// What its subject is an id of.
            pub const fn subject(self) -> Subject {
                match self { $(Self::$name => Subject::$subject),+ }
            }
        }
    };
}

acts! {
    /// A client was registered, with its first secret.
    ClientCreated = "client.created" of Client,
    /// A client was stopped for the time being.
    ClientSuspended = "client.suspended" of Client,
    /// A suspended client works again.
    ClientResumed = "client.resumed" of Client,
    /// A client was ended for good.
    ClientRevoked = "client.revoked" of Client,
    /// Label or contact of a client were changed.
    ClientChanged = "client.changed" of Client,
    /// A link to a new secret was mailed.
    SecretOffered = "secret.offered" of Client,
    /// A client got its first secret.
    SecretIssued = "secret.issued" of Client,
    /// A secret got a successor.
    SecretRotated = "secret.rotated" of Client,
    /// One secret was ended on purpose.
    SecretRevoked = "secret.revoked" of Client,
    /// A client registered keys or a certificate to prove itself by.
    ProofRegistered = "proof.registered" of Client,
    /// A successor authenticated its client for the first time.
    SuccessorUsed = "secret.successor_used" of Client,
    /// People were told that a secret ends, or has ended.
    ExpiryReminded = "secret.expiry_reminded" of Client,
    /// One access token was ended by its client (RFC 7009).
    TokenRevoked = "token.revoked" of Client,
    /// A signing key was made.
    SigningKeyCreated = "signing_key.created" of SigningKey,
    /// The signing key changed ahead of its schedule.
    SigningKeyRotated = "signing_key.rotated" of SigningKey,
    /// A signing key was removed with everything it could sign being dead.
    SigningKeyRemoved = "signing_key.removed" of SigningKey,
    /// Organisations were taken in from a file.
    OrganisationsImported = "organisations.imported" of House,
    /// An account was opened.
    AccountCreated = "account.created" of Account,
    /// An account was ended by its owner, taken up again, or stopped by a reviewer.
    AccountStatusChanged = "account.status_changed" of Account,
    /// A password was changed or set anew.
    PasswordChanged = "account.password_changed" of Account,
    /// Name, phone, language or questions of an account were changed.
    AccountChanged = "account.changed" of Account,
    /// A second factor was added or removed.
    SecondFactorChanged = "account.second_factor_changed" of Account,
    /// Somebody signed in.
    SignedIn = "account.signed_in" of Account,
    /// Terms of use were accepted.
    TermsAccepted = "terms.accepted" of Account,
    /// A request for access was handed in.
    RequestSubmitted = "access_request.submitted" of Request,
    /// A request for access was decided, taken back, or expired.
    RequestClosed = "access_request.closed" of Request,
    /// A reviewer asked for a document.
    RequestSentBack = "access_request.sent_back" of Request,
    /// A document was looked at.
    DocumentRead = "document.read" of Document,
    /// A role was given to a person.
    RoleGranted = "role.granted" of Account,
    /// A role was taken from a person.
    RoleRevoked = "role.revoked" of Account,
    /// An organisation's calendar got a new address, or none.
    CalendarChanged = "calendar.changed" of Organisation,
    /// A webhook was set up.
    WebhookCreated = "webhook.created" of Webhook,
    /// A webhook was stopped or let go on.
    WebhookChanged = "webhook.changed" of Webhook,
    /// A webhook was taken away.
    WebhookRemoved = "webhook.removed" of Webhook,
    /// A message that a webhook had given up on was sent again.
    WebhookResent = "webhook.resent" of Webhook,
    /// Messages that waited were let go at once.
    MessagesRetried = "messages.retried" of House,
    /// A sandbox's clock was moved or set right.
    ClockMoved = "clock.moved" of House,
    /// The server started with another configuration than before.
    ConfigurationChanged = "configuration.changed" of House,
}

/// One entry of the audit trail. It never holds a secret, a token or an e-mail address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEvent {
    /// When it was done.
    pub at: OffsetDateTime,
    /// Who did it.
    pub actor: Actor,
    /// From which address, where it came over the network.
    pub origin: Option<IpAddr>,
    /// What was done.
    pub act: Act,
    /// To what: an id of what [`Act::subject`] says; empty when it concerns many.
    pub subject: String,
    /// Particulars, as name and value: `reason` says why.
    pub details: Vec<(&'static str, String)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_act_has_a_word_of_its_own() {
        let mut words: Vec<&str> = Act::ALL.iter().map(|act| act.as_str()).collect();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), Act::ALL.len());
    }
}
