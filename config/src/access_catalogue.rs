//! What people can ask for, as data: applications, their roles, what a request needs, who decides, what excludes what.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::{ConfigError, OrganisationCategory, data::DataFile};

/// Everything in the catalogue that concerns people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct AccessCatalogue {
    pub(crate) applications: Vec<Application>,
    pub(crate) roles: Vec<AccessRole>,
    pub(crate) exclusions: Vec<Exclusion>,
    pub(crate) terms: Vec<Terms>,
}

/// An application that people can ask for access to.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Application {
    /// Id in addresses and in the database.
    pub id: String,
    /// Name for people.
    pub title: String,
    /// One sentence: what it is for.
    pub summary: String,
    /// Advice shown while asking.
    #[serde(default)]
    pub advice: Option<String>,
    /// Whether the organisation is chosen by network and country.
    #[serde(default)]
    pub by_network: bool,
}

/// A role that a person can hold.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccessRole {
    /// Id in the database. Never reused for something else.
    pub id: String,
    /// Its application.
    pub application: String,
    /// Name for people.
    pub title: String,
    /// One sentence: what its holder may do.
    pub summary: String,
    /// Categories of organisation in which it is held; none at all for roles without an organisation.
    #[serde(default)]
    pub organisation_categories: Vec<OrganisationCategory>,
    /// A document that must be attached: its name.
    #[serde(default)]
    pub document: Option<String>,
    /// Whether the document is needed only while nobody of the organisation can decide.
    #[serde(default)]
    pub document_for_first_only: bool,
    /// Terms that must be accepted: their id.
    #[serde(default)]
    pub terms: Option<String>,
    /// Whether a language must be named.
    #[serde(default)]
    pub language: bool,
    /// Whether its holder must have a second factor.
    #[serde(default)]
    pub second_factor: bool,
    /// Whether it cannot be asked for in the portal, only be given by an operator.
    #[serde(default)]
    pub by_operator_only: bool,
    /// Whether its holder acts for the agency: decides what the agency decides, and sees everything.
    #[serde(default)]
    pub acts_for_agency: bool,
    /// Roles of which the requester must hold one in the organisation; none: anybody may ask.
    #[serde(default)]
    pub requested_by: Vec<String>,
    /// The role of the API client that is made when it is approved, in place of a role for the requester: its id.
    #[serde(default)]
    pub issues: Option<String>,
    /// Whether approval gives an API client a new secret, in place of a role for the requester.
    #[serde(default)]
    pub renews: bool,
    /// Who decides.
    pub approval: Approval,
    /// What its holder is asked at the first sign-in with it.
    #[serde(default)]
    pub preference: Option<Preference>,
    /// A sentence for the mail that says it was granted, by language (ISO 639-1).
    #[serde(default)]
    pub welcome: BTreeMap<String, String>,
}

/// Who decides on a role.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    /// Roles whose holders decide; none: the agency does.
    #[serde(default)]
    pub by: Vec<String>,
    /// Where the deciding role must be held.
    #[serde(default)]
    pub within: ApproverScope,
    /// What happens while nobody holds such a role.
    #[serde(default)]
    pub otherwise: Otherwise,
    /// What the requester is told when it is refused for that.
    #[serde(default)]
    pub refusal: Option<String>,
    /// Granted at once to somebody who could decide it.
    #[serde(default)]
    pub automatic_for_approver: bool,
    /// Granted at once to everybody.
    #[serde(default)]
    pub automatic: bool,
}

/// Where the deciding role must be held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ApproverScope {
    /// In the same organisation.
    #[default]
    Organisation,
    /// In the network that the organisation belongs to.
    Network,
}

/// What happens to a request that nobody of the organisation can decide.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Otherwise {
    /// The agency decides.
    #[default]
    Agency,
    /// It is refused, with a reason.
    Refuse,
}

/// What a holder is asked at the first sign-in with a role.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preference {
    /// What is asked for.
    pub title: String,
    /// What can be chosen.
    pub choices: Vec<String>,
}

/// Roles that exclude each other.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exclusion {
    /// Id in the database.
    pub id: String,
    /// The rule in one sentence.
    pub rule: String,
    /// Roles of one side.
    pub between: Vec<String>,
    /// Roles of the other side.
    pub and: Vec<String>,
    /// Where both must be held for the rule to be broken.
    pub within: ExclusionScope,
    /// Whether a request may be submitted against it, for the reviewer to decide.
    #[serde(default)]
    pub waivable: bool,
}

/// Where two roles exclude each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ExclusionScope {
    /// Anywhere: no account holds both.
    Account,
    /// In one organisation.
    Organisation,
}

/// Terms of use.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// Id in addresses and in the database.
    pub id: String,
    /// Their title.
    pub title: String,
    /// Their version: recorded with each acceptance.
    pub version: String,
    /// Their text; blank lines part paragraphs.
    pub text: String,
}

impl AccessCatalogue {
    /// Whether all of it fits together, and to the roles of API clients; what does not is named with its line.
    pub(crate) fn check(&self, file: &DataFile, api_roles: &[&str]) -> Result<(), ConfigError> {
        let wrong = |table: &str, index: usize, word: &str, problem: String| {
            let line = line_of(&file.text, table, index, word);
            Err(ConfigError::Value {
                place: line.map_or_else(|| file.place.clone(), |line| format!("{}:{line}", file.place)),
                key: table.to_owned(),
                problem,
            })
        };
        let roles: BTreeSet<&str> = self.roles.iter().map(|role| role.id.as_str()).collect();
        let applications: BTreeSet<&str> = self.applications.iter().map(|one| one.id.as_str()).collect();
        let terms: BTreeSet<&str> = self.terms.iter().map(|one| one.id.as_str()).collect();
        let ids: [(&str, Vec<&str>); 4] = [
            ("application", self.applications.iter().map(|one| one.id.as_str()).collect()),
            ("access_role", self.roles.iter().map(|one| one.id.as_str()).collect()),
            ("exclusion", self.exclusions.iter().map(|one| one.id.as_str()).collect()),
            ("terms", self.terms.iter().map(|one| one.id.as_str()).collect()),
        ];
        for (table, ids) in &ids {
            for (index, id) in ids.iter().enumerate() {
                if !is_id(id) {
                    return wrong(
                        table,
                        index,
                        id,
                        format!("{id:?} is no id: use a to z, 0 to 9 and -, at most 64"),
                    );
                }
                if ids[..index].contains(id) {
                    return wrong(table, index, id, format!("the id {id:?} is used twice"));
                }
            }
        }
        for (index, role) in self.roles.iter().enumerate() {
            let wrong = |word: &str, problem: String| wrong("access_role", index, word, problem);
            if !applications.contains(role.application.as_str()) {
                return wrong(&role.application, format!("there is no application {:?}", role.application));
            }
            if let Some(id) = role.terms.as_deref().filter(|id| !terms.contains(id)) {
                return wrong(id, format!("there are no terms {id:?}"));
            }
            if let Some(id) = role.approval.by.iter().find(|id| !roles.contains(id.as_str())) {
                return wrong(id, format!("there is no role {id:?} that could decide"));
            }
            if let Some(id) = role.requested_by.iter().find(|id| !roles.contains(id.as_str())) {
                return wrong(id, format!("there is no role {id:?} that could ask"));
            }
            if let Some(id) = role.issues.as_deref().filter(|id| !api_roles.contains(id)) {
                return wrong(id, format!("there is no API role {id:?} to issue"));
            }
            if role.issues.is_some() && (role.renews || role.terms.is_none()) {
                let problem = "what issues credentials needs terms, and renews none";
                return wrong("issues", problem.to_owned());
            }
            if role.approval.otherwise == Otherwise::Refuse && role.approval.refusal.is_none() {
                return wrong("refuse", "a refusal needs its reason: add `refusal`".to_owned());
            }
            if role.approval.automatic && !role.approval.by.is_empty() {
                return wrong("automatic", "what is automatic is decided by nobody: remove `by`".to_owned());
            }
            if role.acts_for_agency && !role.second_factor {
                return wrong(
                    "acts_for_agency",
                    "who acts for the agency needs a second factor: set second_factor".to_owned(),
                );
            }
            if role.preference.as_ref().is_some_and(|asked| asked.choices.is_empty()) {
                return wrong("preference", "there is nothing to choose from".to_owned());
            }
            if let Some(code) = role.welcome.keys().find(|code| !is_language(code)) {
                return wrong(
                    code,
                    format!("{code:?} is no language: use two letters, such as en (ISO 639-1)"),
                );
            }
            if !role.welcome.is_empty() && !role.welcome.contains_key("en") {
                let problem = "languages without a sentence get the English one: add `en`";
                return wrong("welcome", problem.to_owned());
            }
        }
        for (index, rule) in self.exclusions.iter().enumerate() {
            let named = rule.between.iter().chain(&rule.and);
            if let Some(id) = named.clone().find(|id| !roles.contains(id.as_str())) {
                return wrong("exclusion", index, id, format!("there is no role {id:?}"));
            }
            if rule.between.is_empty() || rule.and.is_empty() {
                return wrong("exclusion", index, &rule.id, "both sides need a role".to_owned());
            }
            if let Some(id) = rule.between.iter().find(|id| rule.and.contains(id)) {
                return wrong("exclusion", index, id, format!("{id:?} cannot exclude itself"));
            }
        }
        Ok(())
    }
}

fn is_id(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

fn is_language(text: &str) -> bool {
    text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_lowercase())
}

/// The line on which `word` stands in the `index`th `[[table]]`; the table's own line when it is not found there.
fn line_of(text: &str, table: &str, index: usize, word: &str) -> Option<usize> {
    let header = format!("[[{table}]]");
    let mut lines = text.lines().enumerate();
    let start = lines.by_ref().filter(|(_, line)| line.trim() == header).nth(index)?.0;
    let found = lines
        .take_while(|(_, line)| !line.trim_start().starts_with("[["))
        .find(|(_, line)| line.contains(word) && !line.trim_start().starts_with('#'));
    Some(found.map_or(start, |(line, _)| line) + 1)
}

#[cfg(test)]
mod tests {
    use crate::{Data, DataFiles};

    const BASE: &str = include_str!("../catalogue.toml");

    fn refused(addition: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("catalogue.toml");
        std::fs::write(&path, format!("{BASE}{addition}")).unwrap();
        let data = Data { catalogue: Some(path), ..Data::default() };
        DataFiles::load(&data).unwrap_err().to_string()
    }

    #[test]
    fn every_mistake_in_the_catalogue_names_its_line() {
        let line = |n: usize| format!("catalogue.toml:{}:", BASE.lines().count() + n);
        for (addition, at, word) in [
            ("[[application]]\nid = \"x y\"\ntitle = \"X\"\nsummary = \"x\"\n", 2, "\"x y\" is no id"),
            ("[[application]]\nid = \"spor\"\ntitle = \"X\"\nsummary = \"x\"\n", 2, "used twice"),
            (
                "[[access_role]]\nid = \"x\"\napplication = \"gone\"\ntitle = \"X\"\nsummary = \"x\"\napproval = {}\n",
                3,
                "no application \"gone\"",
            ),
            (
                "[[access_role]]\nid = \"x\"\napplication = \"spor\"\ntitle = \"X\"\nsummary = \"x\"\n\
                 approval = { by = [\"nobody\"] }\n",
                6,
                "no role \"nobody\"",
            ),
            (
                "[[exclusion]]\nid = \"x\"\nrule = \"x\"\nbetween = [\"pui-user\"]\nand = [\"pui-x\"]\nwithin = \"account\"\n",
                5,
                "no role \"pui-x\"",
            ),
            (
                "[[access_role]]\nid = \"x\"\napplication = \"spor\"\ntitle = \"X\"\nsummary = \"x\"\n\
                 issues = \"pms-x-api\"\nterms = \"privacy\"\napproval = {}\n",
                6,
                "no API role \"pms-x-api\"",
            ),
            (
                "[[access_role]]\nid = \"x\"\napplication = \"spor\"\ntitle = \"X\"\nsummary = \"x\"\napproval = {}\n\
                 welcome = { de = \"Hallo.\" }\n",
                7,
                "add `en`",
            ),
            (
                "[[access_role]]\nid = \"x\"\napplication = \"spor\"\ntitle = \"X\"\nsummary = \"x\"\napproval = {}\n\
                 welcome = { en = \"Hello.\", german = \"Hallo.\" }\n",
                7,
                "\"german\" is no language",
            ),
            ("[[application]]\nid = \"x\"\ntitel = \"X\"\nsummary = \"x\"\n", 3, "titel"),
        ] {
            let text = refused(addition);
            assert!(text.contains(&line(at)) && text.contains(word), "{text}");
        }
    }
}
