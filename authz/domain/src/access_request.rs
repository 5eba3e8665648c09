//! A request for access and its states: draft, submitted, decided, over.

use std::{fmt, str::FromStr};

use pms_terms::OrganisationId;
use time::OffsetDateTime;

use crate::{AccessCatalogue, HeldRole, InvalidTransition};

/// Where a request stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestState {
    /// Being put together.
    Draft,
    /// Waiting for a decision.
    Submitted,
    /// Waiting for a document that a reviewer asked for.
    WaitingForDocuments,
    /// Granted.
    Approved,
    /// Refused, with a reason.
    Rejected,
    /// Taken back by the requester.
    Withdrawn,
    /// Not decided in time.
    Expired,
}

impl RequestState {
    /// Every state.
    pub const ALL: [Self; 7] = [
        Self::Draft,
        Self::Submitted,
        Self::WaitingForDocuments,
        Self::Approved,
        Self::Rejected,
        Self::Withdrawn,
        Self::Expired,
    ];

    /// The word in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Submitted => "submitted",
            Self::WaitingForDocuments => "waiting",
            Self::Approved => "approved",
            Self::Rejected => "rejected",
            Self::Withdrawn => "withdrawn",
            Self::Expired => "expired",
        }
    }

    /// The words for people.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Draft => "Draft",
            Self::Submitted => "Waiting for a decision",
            Self::WaitingForDocuments => "Waiting for your documents",
            Self::Approved => "Approved",
            Self::Rejected => "Rejected",
            Self::Withdrawn => "Withdrawn",
            Self::Expired => "Expired",
        }
    }

    /// Whether a decision is still to come.
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Submitted | Self::WaitingForDocuments)
    }
}

impl fmt::Display for RequestState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.title())
    }
}

impl FromStr for RequestState {
    type Err = ();

    fn from_str(word: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|state| state.as_str() == word).ok_or(())
    }
}

/// What moves a request on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestAct {
    /// The requester hands it in.
    Submit,
    /// A reviewer asks for a document.
    AskForDocuments,
    /// The requester gave it.
    GiveDocuments,
    /// A reviewer, or the system, grants it.
    Approve,
    /// A reviewer refuses it.
    Reject,
    /// The requester takes it back.
    Withdraw,
    /// Nobody decided in time.
    Expire,
}

impl RequestAct {
    const fn done(self) -> &'static str {
        match self {
            Self::Submit => "submitted",
            Self::AskForDocuments => "sent back for documents",
            Self::GiveDocuments => "completed",
            Self::Approve => "approved",
            Self::Reject => "rejected",
            Self::Withdraw => "withdrawn",
            Self::Expire => "expired",
        }
    }
}

impl RequestState {
    /// The state after `act`, or why it cannot be done now.
    pub fn after(self, act: RequestAct) -> Result<Self, InvalidTransition> {
        match (self, act) {
            (Self::Draft, RequestAct::Submit) | (Self::WaitingForDocuments, RequestAct::GiveDocuments) => {
                Ok(Self::Submitted)
            }
            (Self::Submitted, RequestAct::AskForDocuments) => Ok(Self::WaitingForDocuments),
            (Self::Submitted | Self::WaitingForDocuments, RequestAct::Approve) => Ok(Self::Approved),
            (Self::Submitted | Self::WaitingForDocuments, RequestAct::Reject) => Ok(Self::Rejected),
            (Self::Draft | Self::Submitted | Self::WaitingForDocuments, RequestAct::Withdraw) => {
                Ok(Self::Withdrawn)
            }
            (Self::Submitted | Self::WaitingForDocuments, RequestAct::Expire) => Ok(Self::Expired),
            _ => Err(InvalidTransition { what: "request", state: self.as_str(), act: act.done() }),
        }
    }
}

/// A request as kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessRequest {
    /// Its key; the number comes with submission.
    pub id: String,
    /// Its number, once submitted: `REQ-` and eight digits for people.
    pub number: Option<i64>,
    /// Who asks.
    pub account: String,
    /// For which application.
    pub application: String,
    /// On whose behalf.
    pub organisation: Option<OrganisationId>,
    /// The organisation whose administrators decide.
    pub deciding_organisation: Option<OrganisationId>,
    /// The roles asked for.
    pub roles: Vec<String>,
    /// The language of a translator.
    pub language: Option<String>,
    /// What the requester says.
    pub comment: String,
    /// Where it stands.
    pub state: RequestState,
    /// Whether the agency decides.
    pub by_agency: bool,
    /// Whether it was submitted against a rule.
    pub waiver_asked: bool,
    /// Whether the box beside the terms is ticked. They are accepted by submitting.
    pub terms_ticked: bool,
    /// When it was begun.
    pub created_at: OffsetDateTime,
    /// When it was submitted.
    pub submitted_at: Option<OffsetDateTime>,
    /// When it was decided or over.
    pub decided_at: Option<OffsetDateTime>,
    /// Who decided: an account, or none for the system.
    pub decided_by: Option<String>,
    /// Why.
    pub reason: String,
    /// How many reminders went out.
    pub reminders: i64,
}

impl AccessRequest {
    /// `REQ-00000042`, or what a draft is called.
    pub fn name(&self) -> String {
        self.number.map_or_else(|| "Draft".to_owned(), request_name)
    }

    /// Whether somebody else with the roles `held` may decide on it: the agency where it decides, and in every case
    /// those who hold a deciding role of each role asked for in the deciding organisation.
    pub fn may_be_decided_by(&self, catalogue: &AccessCatalogue, reviewer: &str, held: &[HeldRole]) -> bool {
        if reviewer == self.account || self.roles.is_empty() {
            return false;
        }
        let holds = |role: &String| {
            held.iter().any(|one| one.role == *role && one.organisation == self.deciding_organisation)
        };
        let by_organisation = self.deciding_organisation.is_some()
            && self
                .roles
                .iter()
                .all(|id| catalogue.role(id).is_some_and(|role| role.approval.by.iter().any(holds)));
        by_organisation || (self.by_agency && catalogue.acts_for_agency(held))
    }
}

/// `REQ-` and eight digits.
pub fn request_name(number: i64) -> String {
    format!("REQ-{number:08}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_over_stays_over() {
        use RequestAct::{Approve, AskForDocuments, Expire, GiveDocuments, Reject, Submit, Withdraw};
        let acts = [Submit, AskForDocuments, GiveDocuments, Approve, Reject, Withdraw, Expire];
        for state in RequestState::ALL {
            let allowed: Vec<_> = acts.into_iter().filter(|act| state.after(*act).is_ok()).collect();
            let expected: &[RequestAct] = match state {
                RequestState::Draft => &[Submit, Withdraw],
                RequestState::Submitted => &[AskForDocuments, Approve, Reject, Withdraw, Expire],
                RequestState::WaitingForDocuments => &[GiveDocuments, Approve, Reject, Withdraw, Expire],
                _ => &[],
            };
            assert_eq!(allowed, expected, "{state}");
        }
        let refused = RequestState::Approved.after(Reject).unwrap_err();
        assert_eq!(refused.to_string(), "the request is approved and cannot be rejected");
        assert_eq!(request_name(42), "REQ-00000042");
    }
}
