//! One's own account: details, password, questions, sessions, ending it.

use std::sync::Arc;

use authz_domain::{Account, Act, Actor, PASSWORD_RULES, PhoneNumber, check_password};
use authz_store::{accounts, sessions};
use axum::{extract::State as Extract, response::Response};

use super::{
    error::PortalError,
    form::{Button, Errors, Field, Fields, Form, Kind},
    page::{Block, Cell, Page, Table, see_other},
    register::{language_name, optional, question_fields, read_questions, short_text},
    visitor::{Posted, Visitor},
};
use crate::{
    mail::letters::{account_changed, shown},
    state::State,
    use_cases::UseCases,
};

fn account_page(state: &State, account: &Account, fields: &Fields, errors: &Errors) -> Page {
    let mut language = Field::new(Kind::Select, "language", "Language of e-mails");
    for code in &state.settings.portal.languages {
        language = language.choice(code.clone(), language_name(code), "", *code == account.language);
    }
    let notifications =
        Field::new(Kind::Tick, "notifications", "Also send me mails that are not needed for my access")
            .value(if account.notifications { "yes" } else { "" });
    let all = vec![
        Field::new(Kind::Tel, "phone", "Mobile phone")
            .hint("With + and country code, such as +31 6 1234 5678.")
            .autocomplete("tel")
            .value(account.phone.as_ref().map_or("", PhoneNumber::as_str))
            .optional()
            .typed(fields, errors),
        Field::new(Kind::Text, "second_contact", "Second point of contact")
            .value(account.second_contact.clone().unwrap_or_default())
            .optional()
            .typed(fields, errors),
        language.typed(fields, errors),
        if fields.has("do") { notifications.typed(fields, errors) } else { notifications },
    ];
    let link = |href: &str, title: &str, text: &str| (href.to_owned(), title.to_owned(), text.to_owned());
    let mut links = vec![
        link("/portal/account/password", "Change password", ""),
        link(
            "/portal/account/second-factor",
            "Second factor",
            "Authenticator app, text message, recovery codes.",
        ),
        link("/portal/account/sessions", "Sessions", "Where you are signed in."),
        link("/portal/account/deactivate", "Deactivate account", "You can take it up again."),
    ];
    if state.settings.portal.questions {
        links.insert(1, link("/portal/account/questions", "Update authentication questions", ""));
    }
    Page::new("Account")
        .block(Block::Facts(vec![
            ("Name".to_owned(), account.full_name()),
            ("User name".to_owned(), account.user_name.clone()),
            ("E-mail".to_owned(), account.email.as_str().to_owned()),
        ]))
        .block(Block::Heading("Preferences".to_owned()))
        .form(Form::post("/portal/account", all, vec![Button::main("Save")]))
        .block(Block::Links(links))
}

/// `GET /portal/account`
pub(crate) async fn get(
    Extract(state): Extract<Arc<State>>,
    visitor: Visitor,
) -> Result<Response, PortalError> {
    let account = &visitor.require()?.account;
    Ok(account_page(&state, account, &Fields::default(), &Errors::default()).show(&visitor))
}

/// `POST /portal/account`
pub(crate) async fn save(
    Extract(state): Extract<Arc<State>>,
    Posted { visitor, fields }: Posted,
) -> Result<Response, PortalError> {
    let mut account = visitor.require()?.account.clone();
    let mut errors = Errors::default();
    let phone =
        optional(fields.get("phone")).and_then(|text| errors.take("phone", text.parse::<PhoneNumber>()));
    let second_contact = errors.take("second_contact", short_text(fields.get("second_contact"))).flatten();
    if !state.settings.portal.languages.iter().any(|one| one == fields.get("language")) {
        errors.add("language", "Choose a language.");
    }
    if !errors.is_empty() {
        return Ok(account_page(&state, &account, &fields, &errors).show(&visitor));
    }
    // A new number has proven nothing yet.
    account.phone_confirmed &= phone == account.phone;
    account.phone = phone;
    account.second_contact = second_contact;
    fields.get("language").clone_into(&mut account.language);
    account.notifications = fields.has("notifications");
    let acts = UseCases::of(Arc::clone(&state));
    let mut work = authz_store::begin(&state.database).await?;
    let mut db = work.db();
    accounts::set_preferences(&mut db, &account).await?;
    let actor = Actor::Account(account.id.clone());
    acts.audit(&mut db, &actor, Act::AccountChanged, &account.id, vec![("what", "preferences".to_owned())])
        .await?;
    work.commit().await?;
    Ok(see_other(&visitor, "/portal/account"))
}

fn password_page(errors: &Errors) -> Page {
    let fields = vec![
        Field::new(Kind::Password, "current", "Current password")
            .autocomplete("current-password")
            .with_error(errors),
        Field::new(Kind::Password, "password", "New password")
            .hint(PASSWORD_RULES)
            .autocomplete("new-password")
            .with_error(errors),
        Field::new(Kind::Password, "password_again", "Confirm new password")
            .autocomplete("new-password")
            .with_error(errors),
    ];
    Page::new("Change password").text("All your other sessions end when you change it.").form(Form::post(
        "/portal/account/password",
        fields,
        vec![Button::main("Change password")],
    ))
}

/// `GET /portal/account/password`
pub(crate) async fn password(visitor: Visitor) -> Result<Response, PortalError> {
    visitor.require()?;
    Ok(password_page(&Errors::default()).show(&visitor))
}

/// Whether the typed password is that of the account; wrong ones are slowed down like those at the sign-in.
pub(super) async fn knows_password(
    state: &State,
    visitor: &Visitor,
    account: &Account,
    typed: &str,
) -> Result<bool, PortalError> {
    let now = state.clock.now();
    let counted = format!("password of {}", account.id);
    if state.portal.slowdown.must_wait(&counted, visitor.address, now).is_some() {
        return Ok(false);
    }
    let mut reader = state.database.read().await?;
    let secrets = accounts::secrets(&mut reader.db(), &account.id).await?;
    drop(reader);
    let hash = secrets.as_ref().map(|secrets| secrets.password_hash.as_str());
    let right = state.portal.passwords.check(typed, hash).await?;
    if right {
        state.portal.slowdown.succeeded(&counted, visitor.address);
    } else {
        state.portal.slowdown.failed(&counted, visitor.address, now);
    }
    Ok(right)
}

/// `POST /portal/account/password`
pub(crate) async fn change_password(
    Extract(state): Extract<Arc<State>>,
    Posted { visitor, fields }: Posted,
) -> Result<Response, PortalError> {
    let account = &visitor.require()?.account;
    let mut errors = Errors::default();
    let password = fields.raw("password");
    let names = [
        account.user_name.as_str(),
        account.email.as_str(),
        account.first_name.as_str(),
        account.last_name.as_str(),
    ];
    errors.take("password", check_password(password, &names));
    if password != fields.raw("password_again") {
        errors.add("password_again", "The two passwords are not the same.");
    }
    if errors.is_empty() && !knows_password(&state, &visitor, account, fields.raw("current")).await? {
        errors.add("current", "That is not your current password.");
    }
    if !errors.is_empty() {
        return Ok(password_page(&errors).show(&visitor));
    }
    let hash = state.portal.passwords.hash(password).await?;
    let acts = UseCases::of(Arc::clone(&state));
    let mut work = authz_store::begin(&state.database).await?;
    let mut db = work.db();
    accounts::set_password(&mut db, &account.id, &hash).await?;
    let kept = visitor.session.as_ref().map_or("", |session| session.id_hash.as_str());
    sessions::end_others(&mut db, &account.id, kept).await?;
    let actor = Actor::Account(account.id.clone());
    acts.audit(&mut db, &actor, Act::PasswordChanged, &account.id, vec![("how", "signed in".to_owned())])
        .await?;
    acts.post_to(&mut db, account, &account_changed("Your password was changed.")).await?;
    work.commit().await?;
    acts.nudge_delivery();
    Ok(see_other(&visitor, "/portal/account"))
}

fn questions_page(fields: &Fields, errors: &Errors) -> Page {
    let mut all = question_fields(fields, errors);
    all.push(
        Field::new(Kind::Password, "current", "Current password")
            .autocomplete("current-password")
            .with_error(errors),
    );
    Page::new("Update authentication questions").form(Form::post(
        "/portal/account/questions",
        all,
        vec![Button::main("Save")],
    ))
}

/// `GET /portal/account/questions`
pub(crate) async fn questions(
    Extract(state): Extract<Arc<State>>,
    visitor: Visitor,
) -> Result<Response, PortalError> {
    visitor.require()?;
    if !state.settings.portal.questions {
        return Err(PortalError::NotFound);
    }
    Ok(questions_page(&Fields::default(), &Errors::default()).show(&visitor))
}

/// `POST /portal/account/questions`
pub(crate) async fn save_questions(
    Extract(state): Extract<Arc<State>>,
    Posted { visitor, fields }: Posted,
) -> Result<Response, PortalError> {
    let account = &visitor.require()?.account;
    if !state.settings.portal.questions {
        return Err(PortalError::NotFound);
    }
    let (chosen, mut errors) = read_questions(&fields);
    if errors.is_empty() && !knows_password(&state, &visitor, account, fields.raw("current")).await? {
        errors.add("current", "That is not your current password.");
    }
    if !errors.is_empty() {
        return Ok(questions_page(&fields, &errors).show(&visitor));
    }
    let mut answers = Vec::new();
    for (question, typed) in chosen {
        answers.push((question, state.portal.passwords.hash(&typed).await?));
    }
    let acts = UseCases::of(Arc::clone(&state));
    let mut work = authz_store::begin(&state.database).await?;
    let mut db = work.db();
    accounts::set_answers(&mut db, &account.id, &answers).await?;
    let actor = Actor::Account(account.id.clone());
    acts.audit(&mut db, &actor, Act::AccountChanged, &account.id, vec![("what", "questions".to_owned())])
        .await?;
    acts.post_to(&mut db, account, &account_changed("Your authentication questions were changed.")).await?;
    work.commit().await?;
    acts.nudge_delivery();
    Ok(see_other(&visitor, "/portal/account"))
}

/// `GET /portal/account/sessions`
pub(crate) async fn sessions(
    Extract(state): Extract<Arc<State>>,
    visitor: Visitor,
) -> Result<Response, PortalError> {
    let account = &visitor.require()?.account;
    let present = visitor.session.as_ref().map_or("", |session| session.id_hash.as_str());
    let mut reader = state.database.read().await?;
    let all = sessions::of_account(&mut reader.db(), &account.id).await?;
    let rows = all
        .into_iter()
        .map(|session| {
            let end = if session.id_hash == present {
                Cell::State("This one".to_owned())
            } else {
                let which = vec![Field::hidden("session", session.public_id)];
                Cell::Form(Form::button("/portal/account/sessions", which, Button::other("End it", "one")))
            };
            vec![
                Cell::text(session.agent),
                Cell::text(session.address),
                Cell::text(shown(session.created_at)),
                Cell::text(shown(session.seen_at)),
                end,
            ]
        })
        .collect();
    Ok(Page::new("Sessions")
        .block(Block::Table(Table {
            caption: "Where you are signed in".to_owned(),
            head: vec!["Browser", "Address", "Since", "Last used", ""],
            rows,
            empty: "",
        }))
        .form(Form::post(
            "/portal/account/sessions",
            Vec::new(),
            vec![Button::danger("End all others", "others")],
        ))
        .show(&visitor))
}

/// `POST /portal/account/sessions`
pub(crate) async fn end_session(
    Extract(state): Extract<Arc<State>>,
    Posted { visitor, fields }: Posted,
) -> Result<Response, PortalError> {
    let account = &visitor.require()?.account;
    let present = visitor.session.as_ref().map_or("", |session| session.id_hash.as_str());
    if fields.get("do") == "others" {
        UseCases::of(Arc::clone(&state)).end_other_sessions(&account.id, present).await?;
    } else {
        let mut work = state.database.begin().await?;
        sessions::end_one(&mut work.db(), &account.id, fields.get("session")).await?;
        work.commit().await?;
    }
    Ok(see_other(&visitor, "/portal/account/sessions"))
}

fn deactivate_page(errors: &Errors) -> Page {
    let field = Field::new(Kind::Password, "current", "Current password")
        .autocomplete("current-password")
        .with_error(errors);
    Page::new("Deactivate account")
        .text("You are signed out everywhere and cannot sign in any more. Your roles stay with the account; you can take it up again by mail.")
        .form(Form::post("/portal/account/deactivate", vec![field], vec![Button::danger("Deactivate my account", "end")]))
}

/// `GET /portal/account/deactivate`
pub(crate) async fn deactivate(visitor: Visitor) -> Result<Response, PortalError> {
    visitor.require()?;
    Ok(deactivate_page(&Errors::default()).show(&visitor))
}

/// `POST /portal/account/deactivate`
pub(crate) async fn end(
    Extract(state): Extract<Arc<State>>,
    Posted { visitor, fields }: Posted,
) -> Result<Response, PortalError> {
    let account = &visitor.require()?.account;
    if !knows_password(&state, &visitor, account, fields.raw("current")).await? {
        return Ok(
            deactivate_page(&Errors::of("current", "That is not your current password.")).show(&visitor)
        );
    }
    let actor = Actor::Account(account.id.clone());
    let acts = UseCases::of(Arc::clone(&state));
    acts.change_account_status(actor, &account.id, Account::deactivate, "by its owner").await?;
    Ok(see_other(&visitor, "/portal"))
}
