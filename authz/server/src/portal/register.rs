//! Registering: details and challenge, authentication questions, the mailed token.
//!
//! A known address gets the same pages as an unknown one; only its owner learns of it, by mail. A registration reserves
//! nothing until its token came back.

use std::sync::Arc;

use authz_domain::{Account, AccountStatus, Act, Actor, EmailAddress, PhoneNumber, check_password};
use authz_store::{access_requests, accounts, registrations, registrations::StoredRegistration};
use axum::{
    extract::{RawQuery, State as Extract},
    response::Response,
};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use time::Duration;

use super::{
    challenge::{self, Challenge},
    error::PortalError,
    form::{Button, Errors, Field, Fields, Form, Kind, new_password},
    page::{Block, Page, Step, see_other, steps},
    visitor::{Posted, Visitor},
};
use crate::{
    mail::{Recipient, letters},
    state::State,
    use_cases::{CodeVerdict, Purpose, UseCaseError, UseCases, new_id, new_user_name},
};

/// How long a registration waits for its next step.
const LIFETIME: Duration = Duration::hours(1);

/// The list that all three questions come from (seed 000).
pub(crate) const QUESTIONS: [&str; 8] = [
    "What was the name of your first school?",
    "In which town did your parents meet?",
    "What was your first employer's name?",
    "What is the family name of your best childhood friend?",
    "Which street did you live in when you were ten?",
    "What was the make of your first bicycle or car?",
    "What is the second name of your eldest cousin?",
    "Which book did you read most often as a child?",
];

/// What was typed, kept sealed until the address is confirmed.
#[derive(Serialize, Deserialize)]
struct Registration {
    user_name: String,
    email: String,
    first_name: String,
    last_name: String,
    phone: Option<String>,
    second_contact: Option<String>,
    language: String,
    password_hash: String,
    answers: Vec<(String, String)>,
    privacy_version: String,
    /// Whether the address has an account already: then no token works.
    known: bool,
}

fn registration_steps(state: &State, now: usize) -> Vec<Step> {
    let mut labels = vec!["Your details", "Confirm your address"];
    if state.settings.portal.questions {
        labels.insert(1, "Authentication questions");
    }
    steps(&labels, now)
}

fn details_page(state: &State, fields: &Fields, errors: &Errors) -> Result<Page, PortalError> {
    let portal = &state.settings.portal;
    let challenge = Challenge::new(&state.keys, state.clock.now(), portal.challenge_work)?;
    let mut language = Field::new(Kind::Select, "language", "Language of e-mails");
    for (n, code) in portal.languages.iter().enumerate() {
        language = language.choice(code.clone(), language_name(code), "", n == 0);
    }
    let mut all = vec![
        Field::new(Kind::Text, "first_name", "First name").autocomplete("given-name"),
        Field::new(Kind::Text, "last_name", "Last name").autocomplete("family-name"),
        Field::new(Kind::Email, "email", "E-mail")
            .hint("Your own work address, such as name.surname@yourcompany.com. Generic (info@) and personal (Gmail, Yahoo…) addresses are not accepted.")
            .autocomplete("email"),
        Field::new(Kind::Email, "email_again", "Confirm e-mail").autocomplete("email"),
    ];
    all.extend(new_password("Password", "Confirm password", errors));
    all.extend([
        Field::new(Kind::Tel, "phone", "Mobile phone")
            .hint("With + and country code, such as +31 6 1234 5678.")
            .autocomplete("tel")
            .optional(),
        Field::new(Kind::Text, "second_contact", "Second point of contact")
            .hint("Recommended: another way to reach you when e-mail does not work.")
            .optional(),
        language,
        Field::new(Kind::Tick, "privacy", "I have read and understood the privacy statement")
            .hint("It is linked at the foot of this page."),
    ]);
    let mut all: Vec<Field> = all.into_iter().map(|field| field.typed(fields, errors)).collect();
    all.extend(challenge.fields(errors));
    Ok(Page::new("Create an account")
        .script("/assets/challenge.js")
        .steps(registration_steps(state, 0))
        .text("An account belongs to one person, with their real name.")
        .form(Form::post("/portal/register", all, vec![Button::main("Next")])))
}

/// The name of a language for people, where we know it.
pub(crate) fn language_name(code: &str) -> String {
    match code {
        "en" => "English",
        "de" => "Deutsch",
        "fr" => "français",
        "nl" => "Nederlands",
        "es" => "español",
        "it" => "italiano",
        other => other,
    }
    .to_owned()
}

/// `GET /portal/register`
pub(crate) async fn get(
    Extract(state): Extract<Arc<State>>,
    visitor: Visitor,
) -> Result<Response, PortalError> {
    Ok(details_page(&state, &Fields::default(), &Errors::default())?.show(&visitor))
}

/// A registration out of what was typed, or what is wrong with it. The password's hash is still empty.
fn read(state: &State, fields: &Fields) -> Result<(Registration, Errors), PortalError> {
    let (portal, mut errors) = (&state.settings.portal, Errors::default());
    let rules = &portal.registration;
    let first_name =
        errors.take("first_name", rules.check_name(fields.get("first_name"))).unwrap_or_default();
    let last_name = errors.take("last_name", rules.check_name(fields.get("last_name"))).unwrap_or_default();
    let parsed = fields.get("email").parse::<EmailAddress>();
    let checked = parsed.and_then(|address| rules.check_address(&address).map(|()| address));
    let email = errors.take("email", checked).map(|address| address.as_str().to_owned()).unwrap_or_default();
    if !fields.get("email").eq_ignore_ascii_case(fields.get("email_again")) {
        errors.add("email_again", "The two addresses are not the same.");
    }
    let user_name = new_user_name()?;
    let password = fields.raw("password");
    let names = [user_name.as_str(), fields.get("email"), first_name.as_str(), last_name.as_str()];
    errors.take("password", check_password(password, &names));
    if password != fields.raw("password_again") {
        errors.add("password_again", "The two passwords are not the same.");
    }
    let phone =
        optional(fields.get("phone")).and_then(|phone| errors.take("phone", phone.parse::<PhoneNumber>()));
    let second_contact = errors.take("second_contact", short_text(fields.get("second_contact"))).flatten();
    let language = fields.get("language").to_owned();
    if !portal.languages.contains(&language) {
        errors.add("language", "Choose a language.");
    }
    if !fields.has("privacy") {
        errors.add("privacy", "Tick the box when you have read the privacy statement.");
    }
    let registration = Registration {
        user_name,
        email,
        first_name,
        last_name,
        phone: phone.map(|phone| phone.as_str().to_owned()),
        second_contact,
        language,
        password_hash: String::new(),
        answers: Vec::new(),
        privacy_version: portal
            .catalogue
            .terms("privacy")
            .map_or_else(String::new, |one| one.version.clone()),
        known: false,
    };
    Ok((registration, errors))
}

pub(crate) fn optional(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}

/// A line of at most 200 characters, or nothing.
pub(crate) fn short_text(text: &str) -> Result<Option<String>, &'static str> {
    if text.chars().count() > 200 || text.chars().any(char::is_control) {
        return Err("Use at most 200 characters on one line.");
    }
    Ok(optional(text).map(str::to_owned))
}

/// `POST /portal/register`
pub(crate) async fn post(
    Extract(state): Extract<Arc<State>>,
    Posted { visitor, fields }: Posted,
) -> Result<Response, PortalError> {
    let (mut registration, mut errors) = read(&state, &fields)?;
    // Cheap checks first; a challenge is used up only when the rest is right.
    if errors.is_empty() && !challenge::pass(&state, &fields).await? {
        errors.add("challenge", "That was not the answer. Here is another question.");
    }
    if !errors.is_empty() {
        return Ok(details_page(&state, &fields, &errors)?.show(&visitor));
    }
    registration.password_hash = state.portal.passwords.hash(fields.raw("password")).await?;
    let mut reader = state.database.read().await?;
    if let Some(owner) = accounts::find_by_name(&mut reader.db(), &registration.email).await? {
        // The mail is for the owner, who may read another language than whoever typed the address.
        registration.known = true;
        registration.language = owner.language;
    }
    drop(reader);
    if registration.known && state.settings.portal.reveal_duplicates {
        let errors = Errors::of(
            "email",
            "There is an account with this address: use a different e-mail, or recover your password.",
        );
        return Ok(details_page(&state, &fields, &errors)?.show(&visitor));
    }
    let id = new_id()?;
    keep(&state, &id, &registration).await?;
    if state.settings.portal.questions {
        return Ok(see_other(&visitor, &format!("/portal/register/questions?r={id}")));
    }
    send_token(&state, &visitor, &id, &registration).await
}

async fn keep(state: &State, id: &str, registration: &Registration) -> Result<(), PortalError> {
    let plain = serde_json::to_vec(registration).map_err(|_| UseCaseError::Letter)?;
    let sealed = state.keys.seal_for(id, &plain).map_err(UseCaseError::from)?;
    let stored = StoredRegistration { id: id.to_owned(), email: registration.email.clone(), sealed };
    let mut work = state.database.begin().await?;
    registrations::upsert(&mut work.db(), &stored, state.clock.now() + LIFETIME).await?;
    Ok(work.commit().await?)
}

async fn find(state: &State, id: &str) -> Result<Registration, PortalError> {
    let mut reader = state.database.read().await?;
    let stored = registrations::find(&mut reader.db(), id, state.clock.now()).await?;
    let stored = stored.ok_or(PortalError::NotFound)?;
    let opened = state.keys.open_for(id, &stored.sealed).map_err(UseCaseError::from)?;
    Ok(serde_json::from_slice(&opened).map_err(|_| UseCaseError::Letter)?)
}

/// Makes a token and mails it; to the owner of a known address goes another letter. Leads to the page that takes the
/// token; when the address got too many, that page says so, of known and unknown ones alike.
async fn send_token(
    state: &Arc<State>,
    visitor: &Visitor,
    id: &str,
    registration: &Registration,
) -> Result<Response, PortalError> {
    let acts = UseCases::of(Arc::clone(state));
    let (base_url, lifetime) = (&state.settings.base_url, state.settings.portal.token_lifetime);
    let mut work = state.database.begin().await?;
    let mut db = work.db();
    let subject = Some(id).filter(|_| !registration.known);
    let token = acts.issue_token_to(&mut db, Purpose::ConfirmAddress, subject, &registration.email).await?;
    let to = Some(registration.email.as_str()).filter(|_| !token.too_many);
    let url = format!("{base_url}/portal/register/confirm?r={id}&t={}&c={}", token.id, token.code);
    let letter = if registration.known {
        letters::already_registered(base_url)
    } else {
        letters::confirm_address(&token.code, &url, lifetime)
    };
    let name = if registration.known {
        String::new()
    } else {
        format!("{} {}", registration.first_name, registration.last_name)
    };
    acts.post(&mut db, Recipient { address: to, name: &name, language: &registration.language }, &letter)
        .await?;
    work.commit().await?;
    acts.nudge_delivery();
    if token.too_many {
        let errors = Errors::of(
            "code",
            "As many mails as may be were mailed to this address within an hour. Use the link in the newest one, or ask \
             for another token later.",
        );
        let page = confirm_page(state, registration, id, &token.id, "", &errors);
        return Ok(page.status(StatusCode::TOO_MANY_REQUESTS).show(visitor));
    }
    Ok(see_other(visitor, &format!("/portal/register/confirm?r={id}&t={}", token.id)))
}

/// The fields of three different questions.
pub(crate) fn question_fields(fields: &Fields, errors: &Errors) -> Vec<Field> {
    const NAMES: [(&str, &str); 3] = [("q1", "a1"), ("q2", "a2"), ("q3", "a3")];
    let mut all = Vec::new();
    for (n, (question, answer)) in NAMES.into_iter().enumerate() {
        let mut select = Field::new(Kind::Select, question, format!("Question {}", n + 1));
        for (m, text) in QUESTIONS.iter().enumerate() {
            select = select.choice(m.to_string(), *text, "", m == n);
        }
        all.push(select.typed(fields, errors));
        all.push(
            Field::new(Kind::Text, answer, format!("Answer {}", n + 1))
                .autocomplete("off")
                .with_error(errors),
        );
    }
    all
}

/// Three different questions with answers, or what is wrong.
pub(crate) fn read_questions(fields: &Fields) -> (Vec<(String, String)>, Errors) {
    let mut errors = Errors::default();
    let mut chosen: Vec<(String, String)> = Vec::new();
    for (question, answer) in [("q1", "a1"), ("q2", "a2"), ("q3", "a3")] {
        let text = fields.get(question).parse::<usize>().ok().and_then(|n| QUESTIONS.get(n));
        let Some(text) = text else {
            errors.add(question, "Choose a question.");
            continue;
        };
        if chosen.iter().any(|(other, _)| other == text) {
            errors.add(question, "Choose three different questions.");
        }
        let typed = normal_answer(fields.get(answer));
        if typed.chars().count() < 2 || typed.len() > 200 {
            errors.add(answer, "Answer with at least 2 characters.");
        }
        chosen.push(((*text).to_owned(), typed));
    }
    (chosen, errors)
}

/// An answer as compared: case and spaces do not matter.
pub(crate) fn normal_answer(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

fn questions_page(state: &State, id: &str, fields: &Fields, errors: &Errors) -> Page {
    let mut all = question_fields(fields, errors);
    all.push(Field::hidden("r", id));
    Page::new("Authentication questions")
        .steps(registration_steps(state, 1))
        .text("When you forget your password you are asked these, besides a token that is mailed to you. Choose three different ones.")
        .form(Form::post("/portal/register/questions", all, vec![Button::main("Save and go on")]))
}

/// `GET /portal/register/questions`
pub(crate) async fn questions(
    Extract(state): Extract<Arc<State>>,
    RawQuery(query): RawQuery,
    visitor: Visitor,
) -> Result<Response, PortalError> {
    let query = Fields::parse(query.unwrap_or_default().as_bytes());
    find(&state, query.get("r")).await?;
    Ok(questions_page(&state, query.get("r"), &Fields::default(), &Errors::default()).show(&visitor))
}

/// `POST /portal/register/questions`
pub(crate) async fn answer(
    Extract(state): Extract<Arc<State>>,
    Posted { visitor, fields }: Posted,
) -> Result<Response, PortalError> {
    let id = fields.get("r");
    let mut registration = find(&state, id).await?;
    let (chosen, errors) = read_questions(&fields);
    if !errors.is_empty() {
        return Ok(questions_page(&state, id, &fields, &errors).show(&visitor));
    }
    registration.answers.clear();
    for (question, typed) in chosen {
        registration.answers.push((question, state.portal.passwords.hash(&typed).await?));
    }
    keep(&state, id, &registration).await?;
    send_token(&state, &visitor, id, &registration).await
}

fn confirm_page(
    state: &State,
    registration: &Registration,
    id: &str,
    token: &str,
    code: &str,
    errors: &Errors,
) -> Page {
    let facts = vec![
        ("Name".to_owned(), format!("{} {}", registration.first_name, registration.last_name)),
        ("E-mail".to_owned(), registration.email.clone()),
        ("Mobile phone".to_owned(), registration.phone.clone().unwrap_or_else(|| "none".to_owned())),
    ];
    let minutes = state.settings.portal.token_lifetime.whole_minutes();
    let field = Field::new(Kind::Code, "code", "One-time token")
        .hint(format!("From the mail that was just sent to you. It works once, within {minutes} minutes."))
        .autocomplete("one-time-code")
        .value(code)
        .with_error(errors);
    Page::new("Confirm registration")
        .steps(registration_steps(state, if state.settings.portal.questions { 2 } else { 1 }))
        .block(Block::Heading("Your details".to_owned()))
        .block(Block::Facts(facts))
        .form(Form::post(
            "/portal/register/confirm",
            vec![field, Field::hidden("r", id), Field::hidden("t", token)],
            vec![Button::main("Confirm"), Button::other("Send another token", "again")],
        ))
}

/// `GET /portal/register/confirm`: a mail scanner that only looks confirms nothing.
pub(crate) async fn confirm(
    Extract(state): Extract<Arc<State>>,
    RawQuery(query): RawQuery,
    visitor: Visitor,
) -> Result<Response, PortalError> {
    let query = Fields::parse(query.unwrap_or_default().as_bytes());
    let registration = find(&state, query.get("r")).await?;
    let code: String = query.get("c").chars().filter(|c| c.is_ascii_digit() || *c == '-').take(9).collect();
    let page = confirm_page(&state, &registration, query.get("r"), query.get("t"), &code, &Errors::default());
    Ok(page.show(&visitor))
}

/// `POST /portal/register/confirm`
pub(crate) async fn open(
    Extract(state): Extract<Arc<State>>,
    Posted { visitor, fields }: Posted,
) -> Result<Response, PortalError> {
    let (id, token) = (fields.get("r"), fields.get("t"));
    let registration = find(&state, id).await?;
    if fields.get("do") == "again" {
        return send_token(&state, &visitor, id, &registration).await;
    }
    let acts = UseCases::of(Arc::clone(&state));
    let mut work = authz_store::begin(&state.database).await?;
    let mut db = work.db();
    let (verdict, subject) =
        acts.use_token(&mut db, Purpose::ConfirmAddress, token, fields.get("code")).await?;
    if verdict != CodeVerdict::Right || subject.as_deref() != Some(id) {
        work.commit().await?;
        let problem = match verdict {
            CodeVerdict::Over => {
                "This token is over: it was used, is too old, or was tried too often. Ask for another one."
            }
            _ => "That is not the token. Look at the newest mail.",
        };
        let errors = Errors::of("code", problem);
        return Ok(confirm_page(&state, &registration, id, token, "", &errors).show(&visitor));
    }
    let now = state.clock.now();
    let account = Account {
        id: new_id()?,
        user_name: registration.user_name.clone(),
        email: registration.email.parse().map_err(|_| UseCaseError::Letter)?,
        first_name: registration.first_name.clone(),
        last_name: registration.last_name.clone(),
        phone: registration.phone.as_deref().and_then(|phone| phone.parse().ok()),
        phone_confirmed: false,
        second_contact: registration.second_contact.clone(),
        language: registration.language.clone(),
        notifications: true,
        status: AccountStatus::Active,
        totp_enrolled: false,
        created_at: now,
    };
    if accounts::find_by_name(&mut db, &registration.email).await?.is_some() {
        // Two registrations with one address: the first that was confirmed has it.
        return Err(PortalError::Conflict(
            "There is an account with this address. Sign in, or recover your password.".to_owned(),
        ));
    }
    accounts::insert(&mut db, &account, &registration.password_hash).await?;
    accounts::set_answers(&mut db, &account.id, &registration.answers).await?;
    access_requests::accept_terms(&mut db, &account.id, "privacy", &registration.privacy_version, None, now)
        .await?;
    registrations::delete(&mut db, id).await?;
    let actor = Actor::Account(account.id.clone());
    acts.audit(&mut db, &actor, Act::AccountCreated, &account.id, Vec::new()).await?;
    acts.post_to(&mut db, &account, &letters::account_opened(&account.user_name, &state.settings.base_url))
        .await?;
    work.commit().await?;
    acts.nudge_delivery();
    Ok(see_other(&visitor, "/portal/sign-in?welcome=1"))
}
