//! Signing in and out: password, then the second factor where there is one.
//!
//! An unknown name takes as long as a known one and gets the same answer. The cookie changes with each step.

use std::sync::Arc;

use authz_domain::{Account, AccountStatus, Act, Actor, normal_recovery_code, verify_totp};
use authz_store::{accounts, sessions, sessions::Session};
use axum::{
    extract::{RawQuery, Request, State as Extract},
    middleware::Next,
    response::Response,
};
use http::{HeaderValue, Method, header};

use super::{
    error::PortalError,
    form::{Button, Errors, Field, Fields, Form, Kind},
    keys::Label,
    page::{Block, Page, link, see_other},
    visitor::{Posted, Visitor},
};
use crate::{
    settings::AuthzKeys,
    state::State,
    use_cases::{CodeVerdict, Purpose, UseCaseError, UseCases, new_id},
};

const HERE: &str = "/portal/sign-in";
const FACTOR: &str = "/portal/sign-in/second-factor";

/// The page that somebody wanted before signing in, if it is one of ours; else the start page.
fn wanted(to: &str) -> &str {
    let sound = |byte: u8| byte.is_ascii_graphic() && byte != b'\\';
    let ours = to.starts_with("/portal/") && !to.starts_with(HERE) && !to.contains("//");
    if ours && to.len() <= MAX_WANTED && to.bytes().all(sound) { to } else { "/portal" }
}

/// Bytes of an address that is kept while somebody signs in.
const MAX_WANTED: usize = 500;

/// An address with what was wanted before.
fn towards(path: &str, to: &str) -> String {
    let query = form_urlencoded::Serializer::new(String::new()).append_pair("to", to).finish();
    format!("{path}?{query}")
}

/// Who must sign in first is led back to the page that they asked for, such as the one that a mail names.
pub(super) async fn lead_back(request: Request, next: Next) -> Response {
    let asked = (request.method() == Method::GET)
        .then(|| request.uri().path_and_query().map(|path| wanted(path.as_str()).to_owned()))
        .flatten()
        .filter(|path| path != "/portal");
    let mut response = next.run(request).await;
    if let Some(path) = asked
        && response.headers().get(header::LOCATION).is_some_and(|to| to == HERE)
        && let Ok(to) = HeaderValue::from_str(&towards(HERE, &path))
    {
        response.headers_mut().insert(header::LOCATION, to);
    }
    response
}

fn sign_in_page(to: &str, fields: &Fields, errors: &Errors, welcome: bool) -> Page {
    let mut page = Page::new("Sign in");
    if welcome {
        page = page.block(Block::good(
            "Your account is active",
            "Sign in with your e-mail address or the user name that was mailed to you.",
        ));
    }
    let name =
        Field::new(Kind::Text, "name", "User name or e-mail").autocomplete("username").typed(fields, errors);
    let password = Field::new(Kind::Password, "password", "Password")
        .autocomplete("current-password")
        .with_error(errors);
    let all = vec![name, password, Field::hidden("to", wanted(to))];
    page.form(Form::post(HERE, all, vec![Button::main("Sign in")])).block(Block::Links(vec![
        link("/portal/recover", "Forgot your user name or password?", ""),
        link("/portal/register", "Create an account", ""),
    ]))
}

/// `GET /portal/sign-in`
pub(crate) async fn get(RawQuery(query): RawQuery, visitor: Visitor) -> Response {
    let query = Fields::parse(query.unwrap_or_default().as_bytes());
    if visitor.is_signed_in() {
        return see_other(&visitor, wanted(query.get("to")));
    }
    let welcome = query.get("welcome") == "1";
    sign_in_page(query.get("to"), &Fields::default(), &Errors::default(), welcome).show(&visitor)
}

/// `POST /portal/sign-in`
pub(crate) async fn post(
    Extract(state): Extract<Arc<State>>,
    Posted { mut visitor, fields }: Posted,
) -> Result<Response, PortalError> {
    let now = state.clock.now();
    let name = fields.get("name").to_lowercase();
    let slowdown = &state.portal.slowdown;
    if let Some(wait) = slowdown.must_wait(&name, visitor.address, now) {
        return Ok(sign_in_page(fields.get("to"), &fields, &Errors::default(), false)
            .please_wait(wait)
            .show(&visitor));
    }
    let mut reader = state.database.read().await?;
    let account = accounts::find_by_name(&mut reader.db(), &name).await?;
    let secrets = match &account {
        Some(account) => accounts::secrets(&mut reader.db(), &account.id).await?,
        None => None,
    };
    drop(reader);
    let hash = secrets.as_ref().map(|secrets| secrets.password_hash.as_str());
    let right = state.portal.passwords.check(fields.raw("password"), hash).await?;
    let Some(account) = account.filter(|_| right) else {
        slowdown.failed(&name, visitor.address, now);
        let errors = Errors::of("password", "User name or password is wrong.");
        return Ok(sign_in_page(fields.get("to"), &fields, &errors, false).show(&visitor));
    };
    slowdown.succeeded(&name, visitor.address);
    // Only who knows the password learns more.
    match account.status {
        AccountStatus::Active => {}
        AccountStatus::Deactivated => {
            let page = Page::new("Your account is deactivated")
                .text("You ended it. You can take it up again.")
                .block(Block::Links(vec![link("/portal/recover/account", "Re-activate it", "")]));
            return Ok(page.show(&visitor));
        }
        AccountStatus::Blocked => {
            let page = Page::new("Your account was stopped")
                .text("An administrator stopped your account. Write to the administrators of your organisation or to the agency.");
            return Ok(page.show(&visitor));
        }
    }
    let pending = account.has_second_factor();
    begin_session(&state, &mut visitor, &account, pending, false).await?;
    let to = wanted(fields.get("to"));
    Ok(if pending { see_other(&visitor, &towards(FACTOR, to)) } else { see_other(&visitor, to) })
}

/// Begins a session under a new cookie and ends the one under the present cookie.
pub(super) async fn begin_session(
    state: &Arc<State>,
    visitor: &mut Visitor,
    account: &Account,
    pending: bool,
    second_factor: bool,
) -> Result<(), PortalError> {
    let now = state.clock.now();
    let before = visitor.session.take();
    let id_hash = visitor.renew(state)?;
    let session = Session {
        id_hash,
        public_id: new_id()?,
        account: account.id.clone(),
        pending,
        second_factor,
        address: visitor.address.to_string(),
        agent: visitor.agent.clone(),
        created_at: now,
        seen_at: now,
    };
    let mut work = authz_store::begin(&state.database).await?;
    let mut db = work.db();
    if let Some(before) = before {
        sessions::end(&mut db, &before.id_hash).await?;
    }
    sessions::insert(&mut db, &session).await?;
    if !pending {
        let actor = Actor::Account(account.id.clone());
        let details =
            vec![("second_factor", second_factor.to_string()), ("address", session.address.clone())];
        UseCases::of(Arc::clone(state)).audit(&mut db, &actor, Act::SignedIn, &account.id, details).await?;
    }
    work.commit().await?;
    visitor.session = Some(session);
    Ok(())
}

/// The account that has shown its password and not yet its second factor.
async fn pending_account(state: &State, visitor: &Visitor) -> Result<Account, PortalError> {
    let session =
        visitor.session.as_ref().filter(|session| session.pending).ok_or(PortalError::SignInFirst)?;
    let mut reader = state.database.read().await?;
    accounts::find(&mut reader.db(), &session.account).await?.ok_or(PortalError::SignInFirst)
}

fn factor_page(account: &Account, to: &str, text_token: &str, errors: &Errors) -> Page {
    let hint = if text_token.is_empty() {
        "The six digits of your authenticator app, or one of your recovery codes."
    } else {
        "The code that was just sent to your mobile phone."
    };
    let mut fields = vec![
        Field::new(Kind::Code, "code", "Code").hint(hint).autocomplete("one-time-code").with_error(errors),
        Field::hidden("to", wanted(to)),
    ];
    if !text_token.is_empty() {
        fields.push(Field::hidden("t", text_token));
    }
    let mut buttons = vec![Button::main("Sign in")];
    if let Some(phone) = account.phone.as_ref().filter(|_| account.phone_confirmed) {
        buttons.push(Button::other(format!("Send a text message to {}", phone.hint()), "text"));
    }
    Page::new("Your second factor").form(Form::post(FACTOR, fields, buttons))
}

/// `GET /portal/sign-in/second-factor`
pub(crate) async fn second_factor(
    Extract(state): Extract<Arc<State>>,
    RawQuery(query): RawQuery,
    visitor: Visitor,
) -> Result<Response, PortalError> {
    let account = pending_account(&state, &visitor).await?;
    let query = Fields::parse(query.unwrap_or_default().as_bytes());
    Ok(factor_page(&account, query.get("to"), "", &Errors::default()).show(&visitor))
}

/// `POST /portal/sign-in/second-factor`
pub(crate) async fn prove(
    Extract(state): Extract<Arc<State>>,
    Posted { mut visitor, fields }: Posted,
) -> Result<Response, PortalError> {
    let now = state.clock.now();
    let account = pending_account(&state, &visitor).await?;
    let acts = UseCases::of(Arc::clone(&state));
    let counted = format!("second factor of {}", account.id);
    if let Some(wait) = state.portal.slowdown.must_wait(&counted, visitor.address, now) {
        let page = factor_page(&account, fields.get("to"), fields.get("t"), &Errors::default());
        return Ok(page.please_wait(wait).show(&visitor));
    }
    if fields.get("do") == "text"
        && let Some(phone) = account.phone.as_ref().filter(|_| account.phone_confirmed)
    {
        let mut work = state.database.begin().await?;
        let mut db = work.db();
        let token = acts.issue_token(&mut db, Purpose::SignInByText, Some(&account.id)).await?;
        if !token.too_many {
            acts.post_code(&mut db, &account, phone, &token.code).await?;
        }
        work.commit().await?;
        acts.nudge_delivery();
        return Ok(factor_page(&account, fields.get("to"), &token.id, &Errors::default()).show(&visitor));
    }
    if !is_proven(&state, &account, &fields).await? {
        state.portal.slowdown.failed(&counted, visitor.address, now);
        let errors = Errors::of("code", "That is not the code, or it was used already.");
        return Ok(factor_page(&account, fields.get("to"), fields.get("t"), &errors).show(&visitor));
    }
    state.portal.slowdown.succeeded(&counted, visitor.address);
    begin_session(&state, &mut visitor, &account, false, true).await?;
    Ok(see_other(&visitor, wanted(fields.get("to"))))
}

/// Whether the code is that of the app, of a text message, or an unused recovery code. What is right is used up.
async fn is_proven(state: &Arc<State>, account: &Account, fields: &Fields) -> Result<bool, PortalError> {
    let (now, code) = (state.clock.now(), fields.get("code"));
    let mut work = state.database.begin().await?;
    let mut db = work.db();
    let mut proven = false;
    if fields.has("t") {
        let acts = UseCases::of(Arc::clone(state));
        let (verdict, subject) =
            acts.use_token(&mut db, Purpose::SignInByText, fields.get("t"), code).await?;
        proven = verdict == CodeVerdict::Right && subject.as_deref() == Some(&account.id);
    }
    if !proven
        && account.totp_enrolled
        && let Some(secrets) = accounts::secrets(&mut db, &account.id).await?
        && let Some(sealed) = &secrets.totp_secret
    {
        let secret = state.keys.open_for(&totp_row(&account.id), sealed).map_err(UseCaseError::from)?;
        if let Some(step) = verify_totp(&secret, code, now, secrets.totp_last_step) {
            proven = accounts::use_totp_step(&mut db, &account.id, step).await?;
        }
    }
    if !proven {
        let hash = recovery_hash(&state.keys, &account.id, code);
        proven = accounts::use_recovery_code(&mut db, &account.id, &hash, now).await?;
    }
    work.commit().await?;
    Ok(proven)
}

/// The row that a TOTP secret is sealed for.
pub(super) fn totp_row(account: &str) -> String {
    format!("totp {account}")
}

/// The keyed hash of a recovery code.
pub(super) fn recovery_hash(keys: &AuthzKeys, account: &str, code: &str) -> String {
    keys.portal_hash(Label::RecoveryCode, &format!("{account}\0{}", normal_recovery_code(code)))
}

/// `POST /portal/sign-out`
pub(crate) async fn sign_out(
    Extract(state): Extract<Arc<State>>,
    Posted { mut visitor, .. }: Posted,
) -> Result<Response, PortalError> {
    if let Some(session) = visitor.session.take() {
        let mut work = state.database.begin().await?;
        sessions::end(&mut work.db(), &session.id_hash).await?;
        work.commit().await?;
    }
    visitor.signed_in = None;
    visitor.renew(&state)?;
    Ok(see_other(&visitor, "/portal"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_led_to_a_page_that_is_not_ours() {
        for ours in ["/portal/review/3f0c8a52", "/portal/people?q=ana%20silva"] {
            assert_eq!(wanted(ours), ours);
        }
        for other in [
            "",
            "/",
            "//evil.example/portal/",
            "https://evil.example/portal/x",
            "/portal//evil.example",
            "/portal/\\evil.example",
            "/portal/x\r\nSet-Cookie: a=b",
            "/portal/sign-in?to=/portal/sign-in",
            "/portalx",
            &format!("/portal/{}", "x".repeat(500)),
        ] {
            assert_eq!(wanted(other), "/portal", "{other}");
        }
    }
}
