//! Every letter that the portal writes, each from exactly its data.

use authz_domain::AccessRequest;
use time::{Duration, OffsetDateTime, macros::format_description};

use super::Letter;

/// An instant for people: to the minute, UTC.
pub(crate) fn shown(at: OffsetDateTime) -> String {
    at.format(format_description!("[year]-[month]-[day] [hour]:[minute] UTC"))
        .unwrap_or_else(|_| at.to_string())
}

/// A length of time for people.
fn length(span: Duration) -> String {
    let minutes = span.whole_minutes();
    if minutes == 1 { "1 minute".to_owned() } else { format!("{minutes} minutes") }
}

/// Confirm an address.
pub(crate) fn confirm_address(code: &str, url: &str, lifetime: Duration) -> Letter {
    Letter::new("confirm-address", "Confirm your e-mail address")
        .text("You asked for an account. Type this one-time token on the page that is open in your browser:")
        .code(code)
        .link("Or open this page and type it there", url)
        .text(format!(
            "The token works once, within {} from the time this message was sent. After that you can ask for \
             another one on the same page.",
            length(lifetime)
        ))
        .text("If you did not ask for an account, do nothing: none will be made.")
}

/// Somebody registered with an address that has an account.
pub(crate) fn already_registered(base_url: &str) -> Letter {
    Letter::new("already-registered", "You already have an account")
        .text("Somebody, perhaps you, asked for an account with your e-mail address. You have one already.")
        .link("If you do not know your password or user name any more", format!("{base_url}/portal/recover"))
        .text("If it was not you, do nothing: nothing was changed.")
}

/// An account was opened.
pub(crate) fn account_opened(user_name: &str, base_url: &str) -> Letter {
    Letter::new("account-opened", "Your account is active")
        .text("Your e-mail address is confirmed and your account is active.")
        .facts(vec![("User name".to_owned(), user_name.to_owned())])
        .link("Sign in with your user name or e-mail address", format!("{base_url}/portal/sign-in"))
}

/// A token to set a new password.
pub(crate) fn reset_password(code: &str, url: &str, lifetime: Duration) -> Letter {
    Letter::new("reset-password", "Set a new password")
        .text("Type this one-time token to set a new password:")
        .code(code)
        .link("On this page", url)
        .text(format!("It works once, within {}.", length(lifetime)))
        .text("If you did not ask for it, do nothing: your password stays as it is.")
}

/// A token to take an account up again.
pub(crate) fn reactivate(code: &str, url: &str, lifetime: Duration) -> Letter {
    Letter::new("reactivate", "Re-activate your account")
        .text("Type this one-time token to take your account up again:")
        .code(code)
        .link("On this page", url)
        .text(format!("It works once, within {}.", length(lifetime)))
}

/// A forgotten user name.
pub(crate) fn user_name(name: &str, base_url: &str) -> Letter {
    Letter::new("user-name", "Your user name")
        .facts(vec![("User name".to_owned(), name.to_owned())])
        .link("Sign in", format!("{base_url}/portal/sign-in"))
}

/// Something about the account was changed.
pub(crate) fn account_changed(what: &str) -> Letter {
    Letter::new("account-changed", "Your account was changed")
        .text(what)
        .text("If it was not you, set a new password at once and write to your administrator.")
}

/// A request was handed in.
pub(crate) fn request_received(
    request: &AccessRequest,
    what: &str,
    who_decides: &str,
    base_url: &str,
) -> Letter {
    Letter::new("request-received", format!("{}: we have your request", request.name()))
        .text("Your request for access was submitted.")
        .facts(vec![
            ("Request".to_owned(), request.name()),
            ("What".to_owned(), what.to_owned()),
            ("Who decides".to_owned(), who_decides.to_owned()),
        ])
        .link("Track my requests", format!("{base_url}/portal/requests"))
}

/// A request waits for a reviewer.
pub(crate) fn request_waiting(
    request: &AccessRequest,
    what: &str,
    requester: &str,
    reminder: bool,
    base_url: &str,
) -> Letter {
    let subject = if reminder { "still waits for your decision" } else { "waits for your decision" };
    Letter::new("request-waiting", format!("{} {subject}", request.name()))
        .facts(vec![
            ("Request".to_owned(), request.name()),
            ("What".to_owned(), what.to_owned()),
            ("Who asks".to_owned(), requester.to_owned()),
        ])
        .link("Decide", format!("{base_url}/portal/review/{}", request.id))
}

/// A request was decided, or is over.
pub(crate) fn request_closed(
    request: &AccessRequest,
    what: &str,
    welcome: &[String],
    base_url: &str,
) -> Letter {
    let mut letter = Letter::new(
        "request-closed",
        format!("{}: {}", request.name(), request.state.title().to_lowercase()),
    )
    .facts(vec![
        ("Request".to_owned(), request.name()),
        ("What".to_owned(), what.to_owned()),
        ("State".to_owned(), request.state.title().to_owned()),
    ]);
    if !request.reason.is_empty() {
        letter = letter.text(format!("Reason: {}", request.reason));
    }
    for sentence in welcome {
        letter = letter.text(sentence);
    }
    letter.link("Track my requests", format!("{base_url}/portal/requests"))
}

/// A reviewer asks for a document.
pub(crate) fn documents_wanted(request: &AccessRequest, reason: &str, base_url: &str) -> Letter {
    Letter::new("documents-wanted", format!("{}: a document is missing", request.name()))
        .text(format!("The reviewer writes: {reason}"))
        .link("Add it here", format!("{base_url}/portal/requests/{}", request.id))
}

/// A role was taken away.
pub(crate) fn role_revoked(what: &str, reason: &str) -> Letter {
    Letter::new("role-revoked", "A role was taken from you")
        .facts(vec![("Role".to_owned(), what.to_owned())])
        .text(format!("Reason: {reason}"))
}

/// The last administrator of an organisation is gone.
pub(crate) fn last_admin_gone(organisation: &str, role: &str) -> Letter {
    Letter::new("last-admin-gone", "An organisation has no administrator any more")
        .facts(vec![
            ("Organisation".to_owned(), organisation.to_owned()),
            ("Role".to_owned(), role.to_owned()),
        ])
        .text("Open requests of the organisation come to you now. Its API credentials keep working.")
}
