//! One's own account: details, password, questions, sessions, ending it.

use std::sync::Arc;

use authz_domain::{Account, Act, Actor, PhoneNumber, check_password};
use authz_store::{accounts, sessions};
use axum::{extract::State as Extract, response::Response};

use super::{
    error::PortalError,
    form::{Button, Errors, Field, Fields, Form, Kind, current_password, new_password},
    page::{Block, Cell, Page, Table, link, see_other},
    people::last_decider,
    register::{language_name, optional, question_fields, read_questions, short_text},
    slowdown::try_again,
    visitor::{Posted, Visitor},
};
use crate::{
    mail::letters::{Changed, changed, shown},
    state::State,
    use_cases::{Purpose, UseCases},
};

fn account_page(state: &State, account: &Account, fields: &Fields, errors: &Errors) -> Page {
    let mut language = Field::new(Kind::Select, "language", "Language of e-mails");
    for code in &state.settings.portal.languages {
        language = language.choice(code.clone(), language_name(code), "", *code == account.language);
    }
    let notifications =
        Field::new(Kind::Tick, "notifications", "Also send me mails that are not needed for my access")
            .value(if account.notifications { "yes" } else { "" });
    let mut all = vec![
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
    if account.phone_confirmed {
        let field = current_password(errors).optional();
        all.push(field.hint("Only to change the mobile phone: it is your second factor."));
    }
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
    if errors.is_empty() && account.phone_confirmed && phone != account.phone {
        confirm_password(&state, &visitor, &fields, &mut errors).await?;
    }
    if !errors.is_empty() {
        return Ok(account_page(&state, &account, &fields, &errors).show(&visitor));
    }
    // A new number has proven nothing yet, and a code that went to the one before proves nothing of it.
    let other_phone = phone != account.phone;
    account.phone_confirmed &= !other_phone;
    account.phone = phone;
    account.second_contact = second_contact;
    fields.get("language").clone_into(&mut account.language);
    account.notifications = fields.has("notifications");
    let acts = UseCases::of(Arc::clone(&state));
    let mut work = authz_store::begin(&state.database).await?;
    let mut db = work.db();
    accounts::set_preferences(&mut db, &account).await?;
    if other_phone {
        acts.end_tokens(&mut db, Purpose::ConfirmPhone, &account.id).await?;
    }
    let actor = Actor::Account(account.id.clone());
    acts.audit(&mut db, &actor, Act::AccountChanged, &account.id, vec![("what", "preferences".to_owned())])
        .await?;
    work.commit().await?;
    Ok(see_other(&visitor, "/portal/account"))
}

fn password_page(errors: &Errors) -> Page {
    let mut fields = vec![current_password(errors)];
    fields.extend(new_password("New password", "Confirm new password", errors));
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

/// Asks whether the typed password is that of who is signed in; wrong ones are slowed down like those at the sign-in.
pub(super) async fn confirm_password(
    state: &State,
    visitor: &Visitor,
    fields: &Fields,
    errors: &mut Errors,
) -> Result<(), PortalError> {
    let (id, now) = (&visitor.require()?.account.id, state.clock.now());
    let counted = format!("password of {id}");
    let slowdown = &state.portal.slowdown;
    if let Some(wait) = slowdown.must_wait(&counted, visitor.address, now) {
        errors.add("current", try_again(wait));
        return Ok(());
    }
    let secrets = accounts::secrets(&mut state.database.read().await?.db(), id).await?;
    let hash = secrets.as_ref().map(|secrets| secrets.password_hash.as_str());
    if state.portal.passwords.check(fields.raw("current"), hash).await? {
        slowdown.succeeded(&counted, visitor.address);
    } else {
        slowdown.failed(&counted, visitor.address, now);
        errors.add("current", "That is not your current password.");
    }
    Ok(())
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
    if errors.is_empty() {
        confirm_password(&state, &visitor, &fields, &mut errors).await?;
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
    acts.post_to(&mut db, account, &changed(Changed::Password)).await?;
    work.commit().await?;
    acts.nudge_delivery();
    Ok(see_other(&visitor, "/portal/account"))
}

fn questions_page(fields: &Fields, errors: &Errors) -> Page {
    let mut all = question_fields(fields, errors);
    all.push(current_password(errors));
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
    if errors.is_empty() {
        confirm_password(&state, &visitor, &fields, &mut errors).await?;
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
    acts.post_to(&mut db, account, &changed(Changed::Questions)).await?;
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

async fn deactivate_page(
    state: &Arc<State>,
    account: &Account,
    errors: &Errors,
) -> Result<Page, PortalError> {
    let acts = UseCases::of(Arc::clone(state));
    let (warning, tick) = last_decider(&acts, &account.id, errors).await?;
    Ok(Page::new("Deactivate account")
        .text("You are signed out everywhere and cannot sign in any more. Your roles stay with the account; you can take it up again by mail.")
        .blocks(warning)
        .form(Form::post(
            "/portal/account/deactivate",
            tick.into_iter().chain([current_password(errors)]).collect(),
            vec![Button::danger("Deactivate my account", "end")],
        )))
}

/// `GET /portal/account/deactivate`
pub(crate) async fn deactivate(
    Extract(state): Extract<Arc<State>>,
    visitor: Visitor,
) -> Result<Response, PortalError> {
    let account = &visitor.require()?.account;
    Ok(deactivate_page(&state, account, &Errors::default()).await?.show(&visitor))
}

/// `POST /portal/account/deactivate`
pub(crate) async fn end(
    Extract(state): Extract<Arc<State>>,
    Posted { visitor, fields }: Posted,
) -> Result<Response, PortalError> {
    let account = &visitor.require()?.account;
    let acts = UseCases::of(Arc::clone(&state));
    let mut errors = Errors::default();
    if !fields.has("sure") && !acts.last_deciding_roles(&account.id).await?.is_empty() {
        errors.add("sure", "Confirm that you are the last administrator.");
    }
    confirm_password(&state, &visitor, &fields, &mut errors).await?;
    if !errors.is_empty() {
        return Ok(deactivate_page(&state, account, &errors).await?.show(&visitor));
    }
    let actor = Actor::Account(account.id.clone());
    // The reason is for the trail; the letter to the owner does not repeat it.
    acts.change_account_status(actor, &account.id, Account::deactivate, "by its owner").await?;
    Ok(see_other(&visitor, "/portal"))
}
