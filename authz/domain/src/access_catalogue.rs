//! What people can ask for, who decides on it, and what excludes what. The catalogue is data; these are its rules.

use std::collections::BTreeMap;

use pms_terms::OrganisationId;
use thiserror::Error;

use crate::{Organisation, OrganisationCategory};

/// Everything that can be asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccessCatalogue {
    /// Applications, in the order of the file.
    pub applications: Vec<Application>,
    /// Roles, in the order of the file.
    pub roles: Vec<AccessRole>,
    /// What excludes what.
    pub exclusions: Vec<Exclusion>,
    /// Terms of use.
    pub terms: Vec<Terms>,
}

/// An application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Application {
    /// Its id.
    pub id: String,
    /// Its name.
    pub title: String,
    /// What it is for.
    pub summary: String,
    /// Advice while asking.
    pub advice: Option<String>,
    /// Whether the organisation is chosen by network and country.
    pub by_network: bool,
}

/// A role that a person can hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessRole {
    /// Its id.
    pub id: String,
    /// Its application.
    pub application: String,
    /// Its name.
    pub title: String,
    /// What its holder may do.
    pub summary: String,
    /// In which organisations it is held; none: without one.
    pub categories: Vec<OrganisationCategory>,
    /// A document that is needed.
    pub document: Option<String>,
    /// Whether only while nobody of the organisation can decide.
    pub document_for_first_only: bool,
    /// Terms that are needed.
    pub terms: Option<String>,
    /// Whether a language is needed.
    pub language: bool,
    /// Whether a second factor is needed.
    pub second_factor: bool,
    /// Whether only an operator can give it.
    pub by_operator_only: bool,
    /// Whether its holder acts for the agency.
    pub acts_for_agency: bool,
    /// Roles of which the requester must hold one in the organisation; none: anybody may ask.
    pub requested_by: Vec<String>,
    /// The API role of the client that is made when it is approved, in place of a role for the requester.
    pub issues: Option<String>,
    /// Whether approval gives a client a new secret, in place of a role for the requester.
    pub renews: bool,
    /// Who decides.
    pub approval: Approval,
    /// What its holder is asked at first.
    pub preference: Option<Preference>,
    /// A sentence for the mail that says it was granted, by language (ISO 639-1).
    pub welcome: BTreeMap<String, String>,
}

/// Who decides on a role.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Approval {
    /// Roles whose holders decide; none: the agency.
    pub by: Vec<String>,
    /// Whether the deciding role is held in the network that the organisation is part of.
    pub within_network: bool,
    /// Why it is refused while nobody else can decide; without it the agency decides.
    pub refusal: Option<String>,
    /// Granted at once to somebody who could decide it.
    pub automatic_for_approver: bool,
    /// Granted at once to everybody.
    pub automatic: bool,
}

/// What a holder is asked at the first sign-in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preference {
    /// What is asked for.
    pub title: String,
    /// What can be chosen.
    pub choices: Vec<String>,
}

/// Two sides that exclude each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exclusion {
    /// Its id.
    pub id: String,
    /// The rule in one sentence.
    pub rule: String,
    /// One side.
    pub between: Vec<String>,
    /// The other side.
    pub and: Vec<String>,
    /// Whether both must be held in one organisation for it to be broken; else anywhere.
    pub within_organisation: bool,
    /// Whether a reviewer may let it pass.
    pub waivable: bool,
}

/// Terms of use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Their id.
    pub id: String,
    /// Their title.
    pub title: String,
    /// Their version.
    pub version: String,
    /// Their text; blank lines part paragraphs.
    pub text: String,
}

/// A role that somebody holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldRole {
    /// The role.
    pub role: String,
    /// Where.
    pub organisation: Option<OrganisationId>,
}

/// A broken exclusion rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The rule's id.
    pub rule_id: String,
    /// The rule in one sentence.
    pub rule: String,
    /// The wanted role that breaks it.
    pub wanted: String,
    /// What it does not go with.
    pub against: String,
    /// Whether `against` is held already, rather than wanted as well.
    pub against_held: bool,
    /// Whether a reviewer may let it pass.
    pub waivable: bool,
}

/// Who decides on a wanted role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// Nobody: it is granted at once.
    Automatic,
    /// Holders of the deciding roles.
    Organisation,
    /// The agency.
    Agency,
    /// Refused, for this reason.
    Refused(String),
}

/// Why a role cannot be asked for.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NotOffered {
    /// There is no such role in the application.
    #[error("There is no such role.")]
    NoSuchRole,
    /// It is given by operators only.
    #[error("This role cannot be asked for here.")]
    ByOperatorOnly,
    /// The organisation is of another kind.
    #[error("{0} is not for this kind of organisation.")]
    WrongCategory(String),
    /// A language is missing.
    #[error("Choose the language of your translations.")]
    LanguageMissing,
    /// The second factor is missing.
    #[error("{0} needs a second factor: set one up under Account, then come back.")]
    SecondFactorMissing(String),
}

impl AccessCatalogue {
    /// The role with this id.
    pub fn role(&self, id: &str) -> Option<&AccessRole> {
        self.roles.iter().find(|role| role.id == id)
    }

    /// The name of a role for people; its id when it is not in the catalogue any more.
    pub fn title_of<'c>(&'c self, role: &'c str) -> &'c str {
        self.role(role).map_or(role, |known| known.title.as_str())
    }

    /// The application with this id.
    pub fn application(&self, id: &str) -> Option<&Application> {
        self.applications.iter().find(|application| application.id == id)
    }

    /// The terms with this id.
    pub fn terms(&self, id: &str) -> Option<&Terms> {
        self.terms.iter().find(|terms| terms.id == id)
    }

    /// The roles of an application that people can ask for, to hold them.
    pub fn roles_of<'c>(&'c self, application: &'c str) -> impl Iterator<Item = &'c AccessRole> {
        self.roles.iter().filter(move |role| {
            role.application == application && !role.by_operator_only && !role.is_about_credentials()
        })
    }

    /// What can be asked for to get credentials: for an organisation, or without one.
    pub fn issuing(&self, for_organisation: bool) -> impl Iterator<Item = &AccessRole> {
        self.roles
            .iter()
            .filter(move |role| role.issues.is_some() && role.categories.is_empty() != for_organisation)
    }

    /// What can be asked for to renew credentials: those of organisations, or those without one.
    pub fn renewing(&self, for_organisation: bool) -> Option<&AccessRole> {
        self.roles.iter().find(|role| role.renews && role.categories.is_empty() != for_organisation)
    }

    /// The roles whose holders administer clients of an API role in their organisation.
    pub fn administrators_of(&self, api_role: &str) -> &[String] {
        self.roles
            .iter()
            .find(|role| role.issues.as_deref() == Some(api_role))
            .map_or(&[], |role| &role.requested_by)
    }

    /// The applications that have a role that can be asked for.
    pub fn offered(&self) -> impl Iterator<Item = &Application> {
        self.applications.iter().filter(|application| self.roles_of(&application.id).next().is_some())
    }

    /// The kinds of organisation that an application's roles are held in; none: no organisation is asked for.
    pub fn categories_of(&self, application: &str) -> Vec<OrganisationCategory> {
        let mut all: Vec<_> = self.roles_of(application).flat_map(|role| role.categories.clone()).collect();
        all.sort();
        all.dedup();
        all
    }

    /// Every rule that granting `wanted` for `organisation` beside `held` would break, once each.
    pub fn violations(
        &self,
        held: &[HeldRole],
        wanted: &[&str],
        organisation: Option<&OrganisationId>,
    ) -> Vec<Violation> {
        let mut found = Vec::new();
        for rule in &self.exclusions {
            for (index, role) in wanted.iter().enumerate() {
                let opposite: &[String] = if rule.between.iter().any(|one| one == role) {
                    &rule.and
                } else if rule.and.iter().any(|one| one == role) {
                    &rule.between
                } else {
                    continue;
                };
                let excludes = |other: &str| opposite.iter().any(|one| one == other);
                let in_scope = |other: &HeldRole| {
                    !rule.within_organisation || other.organisation.as_ref() == organisation
                };
                let beside = wanted[index + 1..]
                    .iter()
                    .find(|other| excludes(other))
                    .map(|other| ((*other).to_owned(), false));
                let before = held
                    .iter()
                    .find(|other| excludes(&other.role) && in_scope(other))
                    .map(|other| (other.role.clone(), true));
                for (against, against_held) in before.into_iter().chain(beside) {
                    found.push(Violation {
                        rule_id: rule.id.clone(),
                        rule: rule.rule.clone(),
                        wanted: (*role).to_owned(),
                        against,
                        against_held,
                        waivable: rule.waivable,
                    });
                }
            }
        }
        found
    }

    /// Whether somebody with these roles acts for the agency.
    pub fn acts_for_agency(&self, held: &[HeldRole]) -> bool {
        held.iter().any(|one| self.role(&one.role).is_some_and(|role| role.acts_for_agency))
    }

    /// The roles whose holders act for the agency.
    pub fn agency_roles(&self) -> Vec<&str> {
        self.roles.iter().filter(|role| role.acts_for_agency).map(|role| role.id.as_str()).collect()
    }

    /// Whether somebody with these roles needs a second factor.
    pub fn needs_second_factor(&self, held: &[HeldRole]) -> bool {
        held.iter().any(|one| self.role(&one.role).is_some_and(|role| role.second_factor))
    }

    /// The roles, of any application, on which holders of `role` decide.
    pub fn decided_by(&self, role: &str) -> Vec<&AccessRole> {
        self.roles.iter().filter(|other| other.approval.by.iter().any(|by| by == role)).collect()
    }
}

impl AccessRole {
    /// Whether approval is about a client's credentials rather than a role that somebody holds.
    pub fn is_about_credentials(&self) -> bool {
        self.issues.is_some() || self.renews
    }

    /// Whether somebody with these roles may ask for it in an organisation.
    pub fn may_be_requested(&self, held: &[HeldRole], organisation: Option<&OrganisationId>) -> bool {
        self.requested_by.is_empty()
            || held.iter().any(|one| {
                one.organisation.is_some()
                    && one.organisation.as_ref() == organisation
                    && self.requested_by.contains(&one.role)
            })
    }

    /// Whether it is held in this organisation, or without one.
    pub fn admits(&self, organisation: Option<&Organisation>) -> Result<(), NotOffered> {
        let fits = match organisation {
            None => self.categories.is_empty(),
            Some(organisation) => self.categories.contains(&organisation.category),
        };
        if fits { Ok(()) } else { Err(NotOffered::WrongCategory(self.title.clone())) }
    }

    /// The organisation in which its deciding roles are held.
    pub fn deciding_organisation<'o>(&self, organisation: &'o Organisation) -> Option<&'o OrganisationId> {
        if self.approval.within_network { organisation.parent.as_ref() } else { Some(&organisation.id) }
    }

    /// Who decides, when other people than the requester hold a deciding role (`others_decide`), or the requester does.
    pub fn route(&self, others_decide: bool, requester_decides: bool) -> Route {
        let approval = &self.approval;
        if approval.automatic || (requester_decides && approval.automatic_for_approver) {
            Route::Automatic
        } else if others_decide {
            Route::Organisation
        } else {
            match &approval.refusal {
                // The only administrator cannot decide for themself: then the agency does.
                Some(reason) if !requester_decides && !approval.by.is_empty() => {
                    Route::Refused(reason.clone())
                }
                Some(_) | None => Route::Agency,
            }
        }
    }

    /// The document that a request for it needs, when its route is `route`.
    pub fn needed_document(&self, route: &Route) -> Option<&str> {
        let first = matches!(route, Route::Agency);
        self.document.as_deref().filter(|_| first || !self.document_for_first_only)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(id: &str, by: &[&str], refusal: Option<&str>, automatic_for_approver: bool) -> AccessRole {
        AccessRole {
            id: id.to_owned(),
            application: "a".to_owned(),
            title: id.to_owned(),
            summary: String::new(),
            categories: vec![OrganisationCategory::Industry],
            document: Some("Letter".to_owned()),
            document_for_first_only: true,
            terms: None,
            language: false,
            second_factor: false,
            by_operator_only: false,
            acts_for_agency: false,
            requested_by: Vec::new(),
            issues: None,
            renews: false,
            approval: Approval {
                by: by.iter().map(|one| (*one).to_owned()).collect(),
                within_network: false,
                refusal: refusal.map(str::to_owned),
                automatic_for_approver,
                automatic: false,
            },
            preference: None,
            welcome: BTreeMap::new(),
        }
    }

    #[test]
    fn the_route_depends_on_who_is_there_to_decide() {
        let admin = role("admin", &["admin"], None, false);
        let user = role("user", &["admin"], Some("no admin yet"), true);
        let form = role("form", &["admin"], Some("no admin yet"), false);
        let refused = Route::Refused("no admin yet".to_owned());
        for (role, others, own, expected) in [
            (&admin, false, false, Route::Agency),
            (&admin, true, false, Route::Organisation),
            (&user, false, false, refused.clone()),
            (&user, true, false, Route::Organisation),
            (&user, false, true, Route::Automatic),
            (&user, true, true, Route::Automatic),
            (&form, false, false, refused),
            (&form, true, true, Route::Organisation),
            (&form, false, true, Route::Agency),
        ] {
            assert_eq!(role.route(others, own), expected, "{} {others} {own}", role.id);
        }
        assert_eq!(admin.needed_document(&Route::Agency), Some("Letter"));
        assert_eq!(admin.needed_document(&Route::Organisation), None);
    }

    fn exclusion(between: &str, and: &str, within_organisation: bool, waivable: bool) -> Exclusion {
        Exclusion {
            id: format!("{between}-{and}"),
            rule: "rule".to_owned(),
            between: vec![between.to_owned()],
            and: vec![and.to_owned()],
            within_organisation,
            waivable,
        }
    }

    #[test]
    fn exclusions_look_at_what_is_held_and_what_is_wanted() {
        let catalogue = AccessCatalogue {
            exclusions: vec![
                exclusion("industry", "nca", false, false),
                exclusion("user", "qualified", true, true),
            ],
            ..AccessCatalogue::default()
        };
        let one: OrganisationId = "ORG-100000001".parse().unwrap();
        let two: OrganisationId = "ORG-100000002".parse().unwrap();
        let held = |role: &str, organisation: &OrganisationId| {
            vec![HeldRole { role: role.to_owned(), organisation: Some(organisation.clone()) }]
        };
        let broken = |held: &[HeldRole], wanted: &[&str]| {
            let found = catalogue.violations(held, wanted, Some(&one));
            found.iter().map(|one| (one.rule_id.clone(), one.against_held)).collect::<Vec<_>>()
        };
        assert_eq!(broken(&held("nca", &two), &["industry"]), [("industry-nca".to_owned(), true)]);
        assert_eq!(broken(&held("industry", &two), &["nca"]), [("industry-nca".to_owned(), true)]);
        assert_eq!(broken(&[], &["user", "qualified"]), [("user-qualified".to_owned(), false)]);
        assert_eq!(broken(&held("user", &two), &["qualified"]), []);
        assert_eq!(broken(&held("user", &one), &["qualified"]), [("user-qualified".to_owned(), true)]);
        assert_eq!(broken(&held("user", &one), &["user", "industry"]), []);
    }
}
