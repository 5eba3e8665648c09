//! Every letter that the portal writes, each from exactly its data. Their words are in `authz/server/mail`.

use authz_domain::AccessRequest;
use time::{Duration, OffsetDateTime, macros::format_description};

use super::Letter;

/// An instant for people: to the minute, UTC.
pub(crate) fn shown(at: OffsetDateTime) -> String {
    at.format(format_description!("[year]-[month]-[day] [hour]:[minute] UTC"))
        .unwrap_or_else(|_| at.to_string())
}

/// A one-time token with the page to type it on.
fn token(notice: &'static str, code: &str, url: &str, lifetime: Duration) -> Letter {
    Letter::new(notice)
        .with("code", code)
        .with("url", url)
        .with("minutes", lifetime.whole_minutes().to_string())
}

/// Confirm an address.
pub(crate) fn confirm_address(code: &str, url: &str, lifetime: Duration) -> Letter {
    token("confirm-address", code, url, lifetime)
}

/// Somebody registered with an address that has an account.
pub(crate) fn already_registered(base_url: &str) -> Letter {
    Letter::new("already-registered").with("url", format!("{base_url}/portal/recover"))
}

/// An account was opened.
pub(crate) fn account_opened(user_name: &str, base_url: &str) -> Letter {
    Letter::new("account-opened")
        .with("user_name", user_name)
        .with("url", format!("{base_url}/portal/sign-in"))
}

/// A token to set a new password.
pub(crate) fn reset_password(code: &str, url: &str, lifetime: Duration) -> Letter {
    token("reset-password", code, url, lifetime)
}

/// A token to take an account up again.
pub(crate) fn reactivate(code: &str, url: &str, lifetime: Duration) -> Letter {
    token("reactivate", code, url, lifetime)
}

/// A forgotten user name.
pub(crate) fn user_name(name: &str, base_url: &str) -> Letter {
    Letter::new("user-name").with("user_name", name).with("url", format!("{base_url}/portal/sign-in"))
}

/// What was changed about how somebody proves who they are.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Changed {
    /// The password, while signed in.
    Password,
    /// The password, with a mailed token.
    PasswordByToken,
    Questions,
    AppAdded,
    PhoneAdded,
    CodesRenewed,
    FactorRemoved,
}

/// Something about how somebody proves who they are was changed.
pub(crate) fn changed(what: Changed) -> Letter {
    Letter::new(match what {
        Changed::Password => "password-changed",
        Changed::PasswordByToken => "password-set",
        Changed::Questions => "questions-changed",
        Changed::AppAdded => "app-added",
        Changed::PhoneAdded => "phone-added",
        Changed::CodesRenewed => "codes-renewed",
        Changed::FactorRemoved => "factor-removed",
    })
}

/// An account was taken up again, by its owner or, with a reason, by a reviewer.
pub(crate) fn account_active(reason: &str, base_url: &str) -> Letter {
    Letter::new("account-active").with("reason", reason).with("url", format!("{base_url}/portal/sign-in"))
}

/// An account was ended by its owner.
pub(crate) fn account_deactivated(base_url: &str) -> Letter {
    Letter::new("account-deactivated").with("url", format!("{base_url}/portal/recover/account"))
}

/// An account was stopped by a reviewer.
pub(crate) fn account_blocked(reason: &str) -> Letter {
    Letter::new("account-blocked").with("reason", reason)
}

/// A request was handed in. Without `who_decides` the agency does.
pub(crate) fn request_received(
    request: &AccessRequest,
    what: &str,
    who_decides: Option<String>,
    base_url: &str,
) -> Letter {
    let letter = Letter::new("request-received")
        .with("request", request.name())
        .with("what", what)
        .with("url", format!("{base_url}/portal/requests"));
    match who_decides {
        Some(who) => letter.with("who", who),
        None => letter.with_word("who", "agency"),
    }
}

/// A request waits for a reviewer, for the first time or still.
pub(crate) fn request_waiting(
    request: &AccessRequest,
    what: &str,
    requester: &str,
    still: bool,
    base_url: &str,
) -> Letter {
    Letter::new(if still { "request-still-waiting" } else { "request-waiting" })
        .with("request", request.name())
        .with("what", what)
        .with("requester", requester)
        .with("url", format!("{base_url}/portal/review/{}", request.id))
}

/// How a request ended.
#[derive(Clone, Debug)]
pub(crate) enum Outcome<'o> {
    /// With the reviewer's remark and the sentences of the roles.
    Approved {
        remark: &'o str,
        welcome: &'o [String],
    },
    /// With the reason.
    Rejected(&'o str),
    Withdrawn,
    /// After so many days.
    Expired(i64),
}

/// A request was decided, or is over.
pub(crate) fn request_closed(
    request: &AccessRequest,
    what: &str,
    outcome: &Outcome<'_>,
    base_url: &str,
) -> Letter {
    let letter = match outcome {
        Outcome::Approved { remark, welcome } => {
            Letter::new("request-approved").with("reason", *remark).with("welcome", welcome.join(" "))
        }
        Outcome::Rejected(reason) => Letter::new("request-rejected").with("reason", *reason),
        Outcome::Withdrawn => Letter::new("request-withdrawn"),
        Outcome::Expired(days) => Letter::new("request-expired").with("days", days.to_string()),
    };
    letter
        .with("request", request.name())
        .with("what", what)
        .with("url", format!("{base_url}/portal/requests"))
}

/// A reviewer asks for a document.
pub(crate) fn documents_wanted(request: &AccessRequest, reason: &str, base_url: &str) -> Letter {
    Letter::new("documents-wanted")
        .with("request", request.name())
        .with("reason", reason)
        .with("url", format!("{base_url}/portal/requests/{}", request.id))
}

/// A role was taken away.
pub(crate) fn role_revoked(what: &str, reason: &str) -> Letter {
    Letter::new("role-revoked").with("role", what).with("reason", reason)
}

/// The last administrator of an organisation is gone.
pub(crate) fn last_admin_gone(organisation: &str, role: &str) -> Letter {
    Letter::new("last-admin-gone").with("organisation", organisation).with("role", role)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use authz_domain::RequestState;
    use time::macros::datetime;

    use super::*;
    use crate::mail::{Recipient, texts::tests as texts};

    fn request() -> AccessRequest {
        AccessRequest {
            id: "key".to_owned(),
            number: Some(7),
            account: "account".to_owned(),
            application: "pui".to_owned(),
            organisation: None,
            deciding_organisation: None,
            roles: Vec::new(),
            language: None,
            comment: String::new(),
            state: RequestState::Submitted,
            by_agency: true,
            waiver_asked: false,
            terms_ticked: false,
            created_at: datetime!(2026-01-01 0:00 UTC),
            submitted_at: None,
            decided_at: None,
            decided_by: None,
            reason: String::new(),
            reminders: 0,
        }
    }

    /// Every letter, with every value given.
    fn all() -> Vec<Letter> {
        let (request, url, lifetime) = (request(), "https://x.example", Duration::minutes(5));
        let welcome = ["Welcome to it.".to_owned()];
        let mut all = vec![
            confirm_address("1234-5678", url, lifetime),
            already_registered(url),
            account_opened("nx", url),
            reset_password("1234-5678", url, lifetime),
            reactivate("1234-5678", url, lifetime),
            user_name("nx", url),
            account_active("mistake", url),
            account_deactivated(url),
            account_blocked("left"),
            request_received(&request, "PUI", None, url),
            request_waiting(&request, "PUI", "Ana", false, url),
            request_waiting(&request, "PUI", "Ana", true, url),
            request_closed(&request, "PUI", &Outcome::Approved { remark: "fine", welcome: &welcome }, url),
            request_closed(&request, "PUI", &Outcome::Rejected("no"), url),
            request_closed(&request, "PUI", &Outcome::Withdrawn, url),
            request_closed(&request, "PUI", &Outcome::Expired(90), url),
            documents_wanted(&request, "letter", url),
            role_revoked("Admin", "left"),
            last_admin_gone("ORG-100000001", "Admin"),
        ];
        all.extend(crate::mail::credentials::tests::all());
        all.extend(crate::mail::expiry_letters::tests::all());
        all.extend(
            [
                Changed::Password,
                Changed::PasswordByToken,
                Changed::Questions,
                Changed::AppAdded,
                Changed::PhoneAdded,
                Changed::CodesRenewed,
                Changed::FactorRemoved,
            ]
            .map(changed),
        );
        all
    }

    #[test]
    fn every_letter_is_written_in_every_language_with_all_its_values() {
        let written: BTreeSet<_> = all().iter().map(|letter| letter.notice).collect();
        assert_eq!(written, texts::names().into_iter().collect(), "letters and texts");
        for language in texts::languages() {
            let to = Recipient { address: Some("a@x.example"), name: "Ana", language };
            for letter in all() {
                let message = letter.render(to, "https://x.example").unwrap().unwrap();
                let notice = letter.notice;
                for text in [&message.subject, &message.text, &message.html] {
                    assert!(!text.is_empty() && !text.contains(['{', '}']), "{language} {notice}: {text}");
                }
                for (name, value) in &letter.values {
                    if let crate::mail::Value::Text(value) = value {
                        let whole = format!("{}{}", message.subject, message.text);
                        assert!(whole.contains(value.as_str()), "{language} {notice} does not say {name}");
                    }
                }
            }
        }
    }
}
