//! A client: a machine that may ask for tokens, with what it may have and whether it may now.

use std::{fmt, str::FromStr};

use access_token::Scope;
use pms_terms::{Domains, OrganisationId};
use thiserror::Error;
use time::OffsetDateTime;

use crate::{ClientId, InvalidTransition};

/// Whether a client may have tokens now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientStatus {
    /// It may.
    Active,
    /// Stopped for the time being; can be resumed.
    Suspended,
    /// Ended for good.
    Revoked,
}

impl ClientStatus {
    /// The word used in lists and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Revoked => "revoked",
        }
    }
}

impl fmt::Display for ClientStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ClientStatus {
    type Err = UnknownStatus;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        [Self::Active, Self::Suspended, Self::Revoked]
            .into_iter()
            .find(|status| status.as_str() == word)
            .ok_or_else(|| UnknownStatus(word.to_owned()))
    }
}

/// A word that names no status.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("unknown client status {0:?}: one of active, suspended, revoked")]
pub struct UnknownStatus(pub String);

/// A registered client (RFC 6749 §2).
#[derive(Clone, Debug)]
pub struct Client {
    /// Its public name on the wire.
    pub id: ClientId,
    /// What its owners call it.
    pub label: String,
    /// The technical contact's e-mail address.
    pub contact: Option<String>,
    /// Id of its API role, such as `pms-industry-api`.
    pub role: String,
    /// On whose behalf it acts; a public client has none.
    pub organisation: Option<OrganisationId>,
    /// The account that a public client belongs to; none when an operator made it.
    pub owner: Option<String>,
    /// What automation calls it: unique within its organisation.
    pub external_key: Option<String>,
    /// Whether it may see what only qualified users may.
    pub qualified: bool,
    /// The domains of products it may see.
    pub domains: Domains,
    /// The most it may be granted: its role's scope, or less.
    pub allowed: Scope,
    /// Whether it may have only tokens that are bound to a key of its own (RFC 9449 §5.2, `dpop_bound_access_tokens`).
    pub dpop_required: bool,
    /// Whether it may have tokens now.
    pub status: ClientStatus,
    /// When it was registered.
    pub created_at: OffsetDateTime,
}

impl Client {
    /// The client, stopped for the time being.
    pub fn suspend(self) -> Result<Self, InvalidTransition> {
        match self.status {
            ClientStatus::Active => Ok(Self { status: ClientStatus::Suspended, ..self }),
            ClientStatus::Suspended | ClientStatus::Revoked => Err(self.refused("suspended")),
        }
    }

    /// The suspended client, working again.
    pub fn resume(self) -> Result<Self, InvalidTransition> {
        match self.status {
            ClientStatus::Suspended => Ok(Self { status: ClientStatus::Active, ..self }),
            ClientStatus::Active | ClientStatus::Revoked => Err(self.refused("resumed")),
        }
    }

    /// The client, ended for good.
    pub fn revoke(self) -> Result<Self, InvalidTransition> {
        match self.status {
            ClientStatus::Active | ClientStatus::Suspended => {
                Ok(Self { status: ClientStatus::Revoked, ..self })
            }
            ClientStatus::Revoked => Err(self.refused("revoked")),
        }
    }

    /// Whether the client may get a new secret.
    pub fn may_rotate(&self) -> Result<(), InvalidTransition> {
        match self.status {
            ClientStatus::Active | ClientStatus::Suspended => Ok(()),
            ClientStatus::Revoked => Err(self.refused("given a new secret")),
        }
    }

    /// Whether its label and contact may be changed.
    pub fn may_change(&self) -> Result<(), InvalidTransition> {
        match self.status {
            ClientStatus::Active | ClientStatus::Suspended => Ok(()),
            ClientStatus::Revoked => Err(self.refused("changed")),
        }
    }

    fn refused(&self, act: &'static str) -> InvalidTransition {
        InvalidTransition { what: "client", state: self.status.as_str(), act }
    }
}

/// The longest label, in bytes.
const MAX_LABEL_LENGTH: usize = 200;
/// The longest contact address, in bytes (RFC 5321 §4.5.3.1.3, less the brackets).
const MAX_CONTACT_LENGTH: usize = 254;

/// Checks what people wrote about a client.
pub fn check_particulars(label: &str, contact: Option<&str>) -> Result<(), MalformedParticulars> {
    if label.len() > MAX_LABEL_LENGTH || label.chars().any(char::is_control) {
        return Err(MalformedParticulars::Label);
    }
    // The address is proven by the mail that reaches it; here only what could never be one is refused.
    let sound = |address: &str| {
        let Some((local, domain)) = address.rsplit_once('@') else { return false };
        !local.is_empty()
            && domain.split('.').all(|part| !part.is_empty())
            && address.len() <= MAX_CONTACT_LENGTH
            && !address.chars().any(|c| c.is_control() || c.is_whitespace() || "<>,;\"".contains(c))
    };
    if contact.is_some_and(|address| !sound(address)) {
        return Err(MalformedParticulars::Contact);
    }
    Ok(())
}

/// Why a label or contact cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum MalformedParticulars {
    /// Too long, or control characters.
    #[error("the label may have at most 200 bytes and no control characters")]
    Label,
    /// No e-mail address.
    #[error("the contact must be an e-mail address, such as api-team@example.org")]
    Contact,
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    fn client(status: ClientStatus) -> Client {
        Client {
            id: ClientId::from_entropy([1; 16]),
            label: "nightly export".to_owned(),
            contact: None,
            role: "pms-industry-api".to_owned(),
            organisation: None,
            owner: None,
            external_key: None,
            qualified: false,
            domains: Domains::BOTH,
            allowed: Scope::parse("system/*.rs").unwrap(),
            dpop_required: false,
            status,
            created_at: datetime!(2026-01-01 0:00 UTC),
        }
    }

    #[test]
    fn a_suspended_client_can_be_resumed_and_a_revoked_one_cannot() {
        let suspended = client(ClientStatus::Active).suspend().unwrap();
        assert_eq!(suspended.clone().resume().unwrap().status, ClientStatus::Active);
        let revoked = suspended.revoke().unwrap();
        assert_eq!(revoked.status, ClientStatus::Revoked);
        assert_eq!(
            revoked.clone().resume().unwrap_err().to_string(),
            "the client is revoked and cannot be resumed"
        );
        assert!(revoked.may_rotate().is_err());
        assert!(revoked.revoke().is_err());
    }

    #[test]
    fn suspending_twice_says_so() {
        assert!(client(ClientStatus::Suspended).suspend().is_err());
        assert!(client(ClientStatus::Active).resume().is_err());
    }

    #[test]
    fn what_cannot_be_an_address_is_refused() {
        assert!(check_particulars("a label", Some("api-team@example.org")).is_ok());
        assert!(check_particulars("", None).is_ok());
        for wrong in ["", "x", "@example.org", "a@", "a@b..c", "a b@example.org", "a@example.org\nBcc: x@y.z"]
        {
            assert_eq!(check_particulars("", Some(wrong)), Err(MalformedParticulars::Contact), "{wrong:?}");
        }
        assert_eq!(check_particulars("a\tb", None), Err(MalformedParticulars::Label));
    }
}
