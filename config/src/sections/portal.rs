//! `[portal]`: how people register, sign in and ask for access.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Span;

/// How people register, sign in and ask for access.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Portal {
    /// Whether registering with a known address says so, as the agency's page does. Default: both get the same answer,
    /// and the owner of the known address gets a mail.
    pub reveal_duplicates: bool,
    /// Mailbox names that belong to no person (the part before `@`).
    pub generic_mailboxes: Vec<String>,
    /// Domains of personal mail providers, without the part after the last dot: `gmail` covers `gmail.com`.
    pub personal_providers: Vec<String>,
    /// Words that are no part of a real name.
    pub unreal_names: Vec<String>,
    /// Whether accounts have authentication questions. Default: in a sandbox, because the agency's flow has them; not
    /// in production, because OWASP ASVS 5.0 §6.4.2 advises against them.
    pub authentication_questions: Option<bool>,
    /// How much work a browser does to register: it looks for a number up to this one, one SHA-256 a try. 50000 take a
    /// laptop about a second. Without scripts a question in words takes its place.
    pub challenge_work: u32,
    /// How long a mailed one-time token works.
    pub token_lifetime: Span,
    /// How long a session lasts without a request.
    pub session_idle: Span,
    /// How long a session lasts at most.
    pub session_lifetime: Span,
    /// Languages of e-mails to choose from (ISO 639-1).
    pub languages: Vec<String>,
    /// How long a submitted request waits for a decision before it expires.
    pub request_lifetime: Span,
    /// Days after submission on which reviewers are reminded.
    pub request_reminders: Vec<u16>,
    /// Bytes of one document.
    pub document_limit: u64,
    /// Where text messages are posted to. Without it they are put into the mail spool of a sandbox; elsewhere text
    /// messages cannot be chosen as second factor.
    pub sms_url: Option<String>,
    /// The body that is posted: JSON in which `{phone}` and `{text}` are replaced.
    pub sms_body: String,
    /// A file with the value of the `Authorization` header for `sms_url`.
    pub sms_authorization_file: Option<PathBuf>,
}

impl Default for Portal {
    fn default() -> Self {
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect();
        Self {
            reveal_duplicates: false,
            generic_mailboxes: words(
                "info contact admin administrator office sales support noreply no-reply donotreply help helpdesk \
                 enquiries mail postmaster webmaster hostmaster abuse marketing team service regulatory reception",
            ),
            personal_providers: words(
                "gmail googlemail yahoo ymail hotmail outlook live msn icloud me mac aol gmx web proton protonmail pm \
                 mail yandex zoho tutanota tuta t-online freenet laposte libero",
            ),
            unreal_names: words(
                "info desk admin administrator test user support office team sales service helpdesk",
            ),
            authentication_questions: None,
            challenge_work: 50_000,
            token_lifetime: Span::seconds(300),
            session_idle: Span::seconds(30 * 60),
            session_lifetime: Span::seconds(12 * 3600),
            languages: words("en de fr"),
            request_lifetime: Span::days(90),
            request_reminders: vec![14, 30, 60, 80],
            document_limit: 10 * 1024 * 1024,
            sms_url: None,
            sms_body: r#"{"to":"{phone}","text":"{text}"}"#.to_owned(),
            sms_authorization_file: None,
        }
    }
}
