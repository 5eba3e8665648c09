//! Recovering a password, a user name, an ended account. No page tells whether there is such an account.

use std::sync::Arc;

use authz_domain::{Account, AccountStatus, Act, Actor, check_password};
use authz_store::{accounts, sessions};
use aws_lc_rs::digest;
use axum::{
    extract::{RawQuery, State as Extract},
    response::Response,
};

use super::{
    error::PortalError,
    form::{self, Button, Errors, Field, Fields, Form, Kind},
    keys::Label,
    page::{Block, Page, link, see_other},
    register::{QUESTIONS, normal_answer},
    visitor::{Posted, Visitor},
};
use crate::{
    mail::letters,
    state::State,
    use_cases::{CodeVerdict, Purpose, UseCases},
};

/// `GET /portal/recover`
pub(crate) async fn get(visitor: Visitor) -> Response {
    Page::new("Recover your account")
        .block(Block::Links(vec![
            link(
                "/portal/recover/password",
                "Forgot password",
                "Set a new one with a token that is mailed to you.",
            ),
            link("/portal/recover/user-name", "Forgot user name", "It is mailed to your registered address."),
            link("/portal/recover/account", "Re-activate account", "Take up an account that you ended."),
        ]))
        .show(&visitor)
}

fn name_form(action: &str) -> Form {
    let field = Field::new(Kind::Text, "name", "User name or e-mail").autocomplete("username");
    Form::post(action, vec![field], vec![Button::main("Next")])
}

/// `GET /portal/recover/password`
pub(crate) async fn password(visitor: Visitor) -> Response {
    Page::new("Forgot password").form(name_form("/portal/recover/password")).show(&visitor)
}

async fn find(state: &State, name: &str) -> Result<Option<Account>, PortalError> {
    let mut reader = state.database.read().await?;
    Ok(accounts::find_by_name(&mut reader.db(), name).await?)
}

/// The questions of an account; for a name without any, three that are always the same for this name.
async fn questions_of(state: &State, name: &str) -> Result<Vec<(String, Option<String>)>, PortalError> {
    let account = find(state, name).await?;
    let mut reader = state.database.read().await?;
    let id = account.map_or_else(|| "nobody".to_owned(), |account| account.id);
    let own = accounts::answers(&mut reader.db(), &id).await?;
    if !own.is_empty() {
        return Ok(own.into_iter().map(|(question, hash)| (question, Some(hash))).collect());
    }
    let mark = state.keys.portal_hash(Label::Challenge, &name.to_lowercase());
    let mark = digest::digest(&digest::SHA256, mark.as_bytes());
    let mut left: Vec<&str> = QUESTIONS.to_vec();
    let mut made = Vec::new();
    for byte in mark.as_ref().iter().take(3) {
        let question = left.remove(usize::from(*byte) % left.len());
        made.push((question.to_owned(), None));
    }
    Ok(made)
}

/// `POST /portal/recover/password`
pub(crate) async fn ask_password(
    Extract(state): Extract<Arc<State>>,
    Posted { visitor, fields }: Posted,
) -> Result<Response, PortalError> {
    let name = fields.get("name");
    if !state.settings.portal.questions {
        let token = send_reset(&state, name, true).await?;
        return Ok(see_other(&visitor, &format!("/portal/recover/new-password?t={token}")));
    }
    Ok(questions_page(&state, name).await?.show(&visitor))
}

async fn questions_page(state: &State, name: &str) -> Result<Page, PortalError> {
    let mut all = vec![Field::hidden("name", name)];
    for (field, (question, _)) in ["a1", "a2", "a3"].into_iter().zip(questions_of(state, name).await?) {
        all.push(Field::new(Kind::Text, field, question).autocomplete("off"));
    }
    Ok(Page::new("Your authentication questions").form(Form::post(
        "/portal/recover/questions",
        all,
        vec![Button::main("Next")],
    )))
}

/// `POST /portal/recover/questions`: whether the answers are right shows in the mail only.
pub(crate) async fn answer(
    Extract(state): Extract<Arc<State>>,
    Posted { visitor, fields }: Posted,
) -> Result<Response, PortalError> {
    let (name, now) = (fields.get("name").to_lowercase(), state.clock.now());
    let counted = format!("answers of {name}");
    if let Some(wait) = state.portal.slowdown.must_wait(&counted, visitor.address, now) {
        return Ok(questions_page(&state, &name).await?.please_wait(wait).show(&visitor));
    }
    // Right answers count, too: whether one must wait tells nothing about the account, nor whether there is one.
    state.portal.slowdown.failed(&counted, visitor.address, now);
    let mut right = true;
    for (field, (_, hash)) in ["a1", "a2", "a3"].into_iter().zip(questions_of(&state, &name).await?) {
        let typed = normal_answer(fields.get(field));
        let matches = state.portal.passwords.check(&typed, hash.as_deref()).await?;
        // An account without questions is asked all the same: then the mailed token alone counts.
        right &= matches || hash.is_none();
    }
    let token = send_reset(&state, &name, right).await?;
    Ok(see_other(&visitor, &format!("/portal/recover/new-password?t={token}")))
}

/// Makes a token and mails it to an active account that may have it; for everybody else the same is written, for
/// nobody. Answers the token's id.
async fn send_reset(state: &Arc<State>, name: &str, allowed: bool) -> Result<String, PortalError> {
    let acts = UseCases::of(Arc::clone(state));
    let account = find(state, name).await?.filter(|one| allowed && one.status == AccountStatus::Active);
    let mut work = state.database.begin().await?;
    let mut db = work.db();
    let subject = account.as_ref().map(|one| one.id.as_str());
    let token = acts.issue_token(&mut db, Purpose::ResetPassword, subject).await?;
    let url =
        format!("{}/portal/recover/new-password?t={}&c={}", state.settings.base_url, token.id, token.code);
    let letter = letters::reset_password(&token.code, &url, state.settings.portal.token_lifetime);
    acts.post_if(&mut db, account.as_ref().filter(|_| !token.too_many), &letter).await?;
    work.commit().await?;
    acts.nudge_delivery();
    Ok(token.id)
}

fn token_field(state: &State, code: &str, errors: &Errors) -> Field {
    let minutes = state.settings.portal.token_lifetime.whole_minutes();
    Field::new(Kind::Code, "code", "One-time token")
        .hint(format!(
            "If what you entered is right, it was just mailed to the registered address. It works once, within {minutes} minutes."
        ))
        .autocomplete("one-time-code")
        .value(code)
        .with_error(errors)
}

fn new_password_page(state: &State, token: &str, code: &str, errors: &Errors) -> Page {
    let [password, again] = form::new_password("New password", "Confirm new password", errors);
    let fields = vec![token_field(state, code, errors), password, again, Field::hidden("t", token)];
    Page::new("Set a new password")
        .form(Form::post("/portal/recover/new-password", fields, vec![Button::main("Set password")]))
        .block(Block::Links(vec![link("/portal/recover/password", "No mail? Ask again", "")]))
}

/// `GET /portal/recover/new-password`
pub(crate) async fn new_password(
    Extract(state): Extract<Arc<State>>,
    RawQuery(query): RawQuery,
    visitor: Visitor,
) -> Response {
    let query = Fields::parse(query.unwrap_or_default().as_bytes());
    let code: String = query.get("c").chars().filter(|c| c.is_ascii_digit() || *c == '-').take(9).collect();
    new_password_page(&state, query.get("t"), &code, &Errors::default()).show(&visitor)
}

/// `POST /portal/recover/new-password`
pub(crate) async fn set_password(
    Extract(state): Extract<Arc<State>>,
    Posted { visitor, fields }: Posted,
) -> Result<Response, PortalError> {
    let mut errors = Errors::default();
    let password = fields.raw("password");
    errors.take("password", check_password(password, &[]));
    if password != fields.raw("password_again") {
        errors.add("password_again", "The two passwords are not the same.");
    }
    if !errors.is_empty() {
        return Ok(new_password_page(&state, fields.get("t"), fields.get("code"), &errors).show(&visitor));
    }
    let hash = state.portal.passwords.hash(password).await?;
    let acts = UseCases::of(Arc::clone(&state));
    let mut work = authz_store::begin(&state.database).await?;
    let mut db = work.db();
    let (verdict, subject) =
        acts.use_token(&mut db, Purpose::ResetPassword, fields.get("t"), fields.get("code")).await?;
    let account = match subject {
        Some(id) if verdict == CodeVerdict::Right => accounts::find(&mut db, &id).await?,
        _ => None,
    };
    let Some(account) = account else {
        work.commit().await?;
        let errors = Errors::of(
            "code",
            "The token is wrong or over. Look at the newest mail, or ask for another one.",
        );
        return Ok(new_password_page(&state, fields.get("t"), "", &errors).show(&visitor));
    };
    let names = [
        account.user_name.as_str(),
        account.email.as_str(),
        account.first_name.as_str(),
        account.last_name.as_str(),
    ];
    if let Err(refused) = check_password(password, &names) {
        // Not committed: the token still works.
        let page =
            new_password_page(&state, fields.get("t"), fields.get("code"), &Errors::of("password", refused));
        return Ok(page.show(&visitor));
    }
    accounts::set_password(&mut db, &account.id, &hash).await?;
    sessions::end_others(&mut db, &account.id, "").await?;
    let actor = Actor::Account(account.id.clone());
    acts.audit(&mut db, &actor, Act::PasswordChanged, &account.id, vec![("how", "recovery".to_owned())])
        .await?;
    acts.post_to(&mut db, &account, &letters::changed(letters::Changed::PasswordByToken)).await?;
    work.commit().await?;
    acts.nudge_delivery();
    Ok(Page::new("Your password is set")
        .block(Block::good("Sign in with it", "All earlier sessions were ended."))
        .block(Block::Links(vec![link("/portal/sign-in", "Sign in", "")]))
        .show(&visitor))
}

fn user_name_page() -> Page {
    let field = Field::new(Kind::Email, "email", "E-mail address of your account").autocomplete("email");
    let button = Button::main("Send it");
    Page::new("Forgot user name").form(Form::post("/portal/recover/user-name", vec![field], vec![button]))
}

/// `GET /portal/recover/user-name`
pub(crate) async fn user_name(visitor: Visitor) -> Response {
    user_name_page().show(&visitor)
}

/// `POST /portal/recover/user-name`
pub(crate) async fn send_user_name(
    Extract(state): Extract<Arc<State>>,
    Posted { visitor, fields }: Posted,
) -> Result<Response, PortalError> {
    let (typed, now) = (fields.get("email").to_lowercase(), state.clock.now());
    let counted = format!("user name of {typed}");
    if let Some(wait) = state.portal.slowdown.must_wait(&counted, visitor.address, now) {
        return Ok(user_name_page().please_wait(wait).show(&visitor));
    }
    state.portal.slowdown.failed(&counted, visitor.address, now);
    let account = find(&state, &typed).await?.filter(|one| one.email.key() == typed);
    let acts = UseCases::of(Arc::clone(&state));
    let letter =
        letters::user_name(account.as_ref().map_or("", |one| &one.user_name), &state.settings.base_url);
    let mut work = state.database.begin().await?;
    acts.post_if(&mut work.db(), account.as_ref(), &letter).await?;
    work.commit().await?;
    acts.nudge_delivery();
    Ok(Page::new("Look at your mail")
        .block(Block::note(
            "If there is an account with this address",
            "its user name was just mailed to it.",
        ))
        .show(&visitor))
}

/// `GET /portal/recover/account`
pub(crate) async fn account(visitor: Visitor) -> Response {
    Page::new("Re-activate your account").form(name_form("/portal/recover/account")).show(&visitor)
}

/// `POST /portal/recover/account`
pub(crate) async fn ask_account(
    Extract(state): Extract<Arc<State>>,
    Posted { visitor, fields }: Posted,
) -> Result<Response, PortalError> {
    let acts = UseCases::of(Arc::clone(&state));
    let found = find(&state, fields.get("name")).await?;
    let account = found.filter(|one| one.status == AccountStatus::Deactivated);
    let mut work = state.database.begin().await?;
    let mut db = work.db();
    let subject = account.as_ref().map(|one| one.id.as_str());
    let token = acts.issue_token(&mut db, Purpose::Reactivate, subject).await?;
    let url = format!("{}/portal/recover/account/confirm?t={}", state.settings.base_url, token.id);
    let letter = letters::reactivate(&token.code, &url, state.settings.portal.token_lifetime);
    acts.post_if(&mut db, account.as_ref().filter(|_| !token.too_many), &letter).await?;
    work.commit().await?;
    acts.nudge_delivery();
    Ok(see_other(&visitor, &format!("/portal/recover/account/confirm?t={}", token.id)))
}

fn confirm_page(state: &State, token: &str, errors: &Errors) -> Page {
    Page::new("Re-activate your account").form(Form::post(
        "/portal/recover/account/confirm",
        vec![token_field(state, "", errors), Field::hidden("t", token)],
        vec![Button::main("Re-activate")],
    ))
}

/// `GET /portal/recover/account/confirm`
pub(crate) async fn confirm_account(
    Extract(state): Extract<Arc<State>>,
    RawQuery(query): RawQuery,
    visitor: Visitor,
) -> Response {
    let query = Fields::parse(query.unwrap_or_default().as_bytes());
    confirm_page(&state, query.get("t"), &Errors::default()).show(&visitor)
}

/// `POST /portal/recover/account/confirm`
pub(crate) async fn reactivate(
    Extract(state): Extract<Arc<State>>,
    Posted { visitor, fields }: Posted,
) -> Result<Response, PortalError> {
    let acts = UseCases::of(Arc::clone(&state));
    let mut work = state.database.begin().await?;
    let (verdict, subject) =
        acts.use_token(&mut work.db(), Purpose::Reactivate, fields.get("t"), fields.get("code")).await?;
    work.commit().await?;
    let Some(id) = subject.filter(|_| verdict == CodeVerdict::Right) else {
        let errors = Errors::of(
            "code",
            "The token is wrong or over. Look at the newest mail, or ask for another one.",
        );
        return Ok(confirm_page(&state, fields.get("t"), &errors).show(&visitor));
    };
    acts.change_account_status(Actor::Account(id.clone()), &id, Account::reactivate, "").await?;
    Ok(see_other(&visitor, "/portal/sign-in?welcome=1"))
}
