//! What the portal needs to know, in its own words.

use std::{path::PathBuf, sync::Arc};

use authz_domain::{
    AccessCatalogue, AccessRole, Application, Approval, Exclusion, OrganisationCategory, Preference,
    RegistrationRules, Terms, UnknownCategory,
};
use config::{ApproverScope, DataFiles, ExclusionScope, MailTls, Otherwise, Settings, Span};
use time::Duration;

/// The settings of the portal.
#[derive(Clone, Debug)]
pub struct PortalSettings {
    /// What people can ask for.
    pub catalogue: Arc<AccessCatalogue>,
    /// Which names and addresses are refused.
    pub registration: RegistrationRules,
    /// Whether a known address is told so.
    pub reveal_duplicates: bool,
    /// Whether accounts have authentication questions.
    pub questions: bool,
    /// Hashes that a registration costs at most.
    pub challenge_work: u32,
    /// How long a one-time token works.
    pub token_lifetime: Duration,
    /// How long a session lasts without a request.
    pub session_idle: Duration,
    /// How long a session lasts at most.
    pub session_lifetime: Duration,
    /// Languages of e-mails.
    pub languages: Vec<String>,
    /// How long a request waits for a decision.
    pub request_lifetime: Duration,
    /// Days after which reviewers are reminded, ascending.
    pub request_reminders: Vec<i64>,
    /// Bytes of one document.
    pub document_limit: u64,
    /// How text messages are sent.
    pub text_messages: TextMessages,
    /// How mails are sent.
    pub mail: MailSettings,
}

/// How text messages are sent.
#[derive(Clone, Debug)]
pub enum TextMessages {
    /// Not at all.
    None,
    /// Into the mail spool, for a sandbox.
    Spool,
    /// Posted to a provider.
    Http {
        /// Where to.
        url: String,
        /// The JSON body with `{phone}` and `{text}`.
        body: String,
        /// A file with the value of the `Authorization` header.
        authorization_file: Option<PathBuf>,
    },
}

/// How mails are sent.
#[derive(Clone, Debug)]
pub struct MailSettings {
    /// From whom.
    pub sender: String,
    /// How.
    pub transport: MailTransport,
}

/// The two ways.
#[derive(Clone, Debug)]
pub enum MailTransport {
    /// Into a folder.
    Spool(PathBuf),
    /// To a server.
    Smtp {
        /// The server.
        host: String,
        /// Its port.
        port: u16,
        /// How the connection is protected.
        tls: MailTls,
        /// User name and the file with the password.
        login: Option<(String, Option<PathBuf>)>,
        /// A certificate to trust.
        ca_file: Option<PathBuf>,
        /// How long a conversation may take.
        timeout: std::time::Duration,
    },
}

impl PortalSettings {
    /// From the program's configuration.
    pub(crate) fn from_config(settings: &Settings, files: &DataFiles) -> Result<Self, UnknownCategory> {
        let (portal, sandbox) = (&settings.portal, settings.is_sandbox());
        let mut request_reminders: Vec<i64> =
            portal.request_reminders.iter().map(|n| i64::from(*n)).collect();
        request_reminders.sort_unstable();
        Ok(Self {
            catalogue: Arc::new(catalogue(files)?),
            registration: RegistrationRules {
                generic_mailboxes: portal.generic_mailboxes.clone(),
                personal_providers: portal.personal_providers.clone(),
                unreal_names: portal.unreal_names.clone(),
            },
            reveal_duplicates: portal.reveal_duplicates,
            questions: portal.authentication_questions.unwrap_or(sandbox),
            challenge_work: portal.challenge_work,
            token_lifetime: span(portal.token_lifetime),
            session_idle: span(portal.session_idle),
            session_lifetime: span(portal.session_lifetime),
            languages: portal.languages.clone(),
            request_lifetime: span(portal.request_lifetime),
            request_reminders,
            document_limit: portal.document_limit,
            text_messages: match &portal.sms_url {
                Some(url) => TextMessages::Http {
                    url: url.clone(),
                    body: portal.sms_body.clone(),
                    authorization_file: portal.sms_authorization_file.clone(),
                },
                None if sandbox => TextMessages::Spool,
                None => TextMessages::None,
            },
            mail: mail(settings),
        })
    }

    /// The folder of mails, when they go into one.
    pub(crate) fn spool(&self) -> Option<&PathBuf> {
        match &self.mail.transport {
            MailTransport::Spool(folder) => Some(folder),
            MailTransport::Smtp { .. } => None,
        }
    }
}

fn span(span: Span) -> Duration {
    Duration::try_from(span.0).unwrap_or(Duration::MAX)
}

fn mail(settings: &Settings) -> MailSettings {
    let mail = &settings.mail;
    let transport = match &mail.host {
        None => {
            MailTransport::Spool(mail.spool_dir.clone().unwrap_or_else(|| PathBuf::from("pmsgate-data/mail")))
        }
        Some(host) => MailTransport::Smtp {
            host: host.clone(),
            port: mail.port.unwrap_or(match mail.tls {
                MailTls::Starttls => 587,
                MailTls::Tls => 465,
                MailTls::Off => 25,
            }),
            tls: mail.tls,
            login: mail.username.clone().map(|name| (name, mail.password_file.clone())),
            ca_file: mail.ca_file.clone(),
            timeout: mail.timeout.0,
        },
    };
    MailSettings { sender: mail.sender.clone(), transport }
}

fn catalogue(files: &DataFiles) -> Result<AccessCatalogue, UnknownCategory> {
    let from = &files.catalogue;
    Ok(AccessCatalogue {
        applications: from
            .applications()
            .iter()
            .map(|one| Application {
                id: one.id.clone(),
                title: one.title.clone(),
                summary: one.summary.clone(),
                advice: one.advice.clone(),
                by_network: one.by_network,
            })
            .collect(),
        roles: from.access_roles().iter().map(role).collect::<Result<_, _>>()?,
        exclusions: from
            .exclusions()
            .iter()
            .map(|one| Exclusion {
                id: one.id.clone(),
                rule: one.rule.clone(),
                between: one.between.clone(),
                and: one.and.clone(),
                within_organisation: one.within == ExclusionScope::Organisation,
                waivable: one.waivable,
            })
            .collect(),
        terms: from
            .terms()
            .iter()
            .map(|one| Terms {
                id: one.id.clone(),
                title: one.title.clone(),
                version: one.version.clone(),
                text: one.text.clone(),
            })
            .collect(),
    })
}

fn role(role: &config::AccessRole) -> Result<AccessRole, UnknownCategory> {
    let approval = &role.approval;
    Ok(AccessRole {
        id: role.id.clone(),
        application: role.application.clone(),
        title: role.title.clone(),
        summary: role.summary.clone(),
        categories: role
            .organisation_categories
            .iter()
            .map(|category| category.as_str().parse::<OrganisationCategory>())
            .collect::<Result<_, _>>()?,
        document: role.document.clone(),
        document_for_first_only: role.document_for_first_only,
        terms: role.terms.clone(),
        language: role.language,
        second_factor: role.second_factor,
        by_operator_only: role.by_operator_only,
        acts_for_agency: role.acts_for_agency,
        requested_by: role.requested_by.clone(),
        issues: role.issues.clone(),
        renews: role.renews,
        approval: Approval {
            by: approval.by.clone(),
            within_network: approval.within == ApproverScope::Network,
            refusal: approval.refusal.clone().filter(|_| approval.otherwise == Otherwise::Refuse),
            automatic_for_approver: approval.automatic_for_approver,
            automatic: approval.automatic,
        },
        preference: role
            .preference
            .as_ref()
            .map(|asked| Preference { title: asked.title.clone(), choices: asked.choices.clone() }),
        welcome: role.welcome.clone(),
    })
}
