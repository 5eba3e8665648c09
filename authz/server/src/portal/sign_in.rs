//! Signing in and out: password, then the second factor where there is one.
//!
//! An unknown name takes as long as a known one and gets the same answer. The cookie changes with each step.

use std::sync::Arc;

use authz_domain::{Account, AccountStatus, Act, Actor, normal_recovery_code, verify_totp};
use authz_store::{accounts, sessions, sessions::Session};
use axum::{
    extract::{RawQuery, State as Extract},
    response::Response,
};

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

fn sign_in_page(fields: &Fields, errors: &Errors, welcome: bool) -> Page {
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
    page.form(Form::post("/portal/sign-in", vec![name, password], vec![Button::main("Sign in")])).block(
        Block::Links(vec![
            link("/portal/recover", "Forgot your user name or password?", ""),
            link("/portal/register", "Create an account", ""),
        ]),
    )
}

/// `GET /portal/sign-in`
pub(crate) async fn get(RawQuery(query): RawQuery, visitor: Visitor) -> Response {
    if visitor.is_signed_in() {
        return see_other(&visitor, "/portal");
    }
    let welcome = query.as_deref() == Some("welcome=1");
    sign_in_page(&Fields::default(), &Errors::default(), welcome).show(&visitor)
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
        return Ok(sign_in_page(&fields, &Errors::default(), false).please_wait(wait).show(&visitor));
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
        return Ok(sign_in_page(&fields, &errors, false).show(&visitor));
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
    Ok(see_other(&visitor, if pending { "/portal/sign-in/second-factor" } else { "/portal" }))
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

fn factor_page(account: &Account, text_token: &str, errors: &Errors) -> Page {
    let hint = if text_token.is_empty() {
        "The six digits of your authenticator app, or one of your recovery codes."
    } else {
        "The code that was just sent to your mobile phone."
    };
    let mut fields = vec![
        Field::new(Kind::Code, "code", "Code").hint(hint).autocomplete("one-time-code").with_error(errors),
    ];
    if !text_token.is_empty() {
        fields.push(Field::hidden("t", text_token));
    }
    let mut buttons = vec![Button::main("Sign in")];
    if let Some(phone) = account.phone.as_ref().filter(|_| account.phone_confirmed) {
        buttons.push(Button::other(format!("Send a text message to {}", phone.hint()), "text"));
    }
    Page::new("Your second factor").form(Form::post("/portal/sign-in/second-factor", fields, buttons))
}

/// `GET /portal/sign-in/second-factor`
pub(crate) async fn second_factor(
    Extract(state): Extract<Arc<State>>,
    visitor: Visitor,
) -> Result<Response, PortalError> {
    let account = pending_account(&state, &visitor).await?;
    Ok(factor_page(&account, "", &Errors::default()).show(&visitor))
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
        let page = factor_page(&account, fields.get("t"), &Errors::default());
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
        return Ok(factor_page(&account, &token.id, &Errors::default()).show(&visitor));
    }
    if !is_proven(&state, &account, &fields).await? {
        state.portal.slowdown.failed(&counted, visitor.address, now);
        let errors = Errors::of("code", "That is not the code, or it was used already.");
        return Ok(factor_page(&account, fields.get("t"), &errors).show(&visitor));
    }
    state.portal.slowdown.succeeded(&counted, visitor.address);
    begin_session(&state, &mut visitor, &account, false, true).await?;
    Ok(see_other(&visitor, "/portal"))
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
