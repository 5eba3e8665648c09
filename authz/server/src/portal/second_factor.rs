//! Setting up a second factor: authenticator app with QR code, text message, recovery codes.

use std::{fmt::Write as _, sync::Arc};

use authz_domain::{
    Account, Act, Actor, TOTP_SECRET_LENGTH, base32, otpauth_uri, recovery_code, verify_totp,
};
use authz_store::{accounts, sessions};
use axum::{extract::State as Extract, response::Response};
use qrcode::{Color, QrCode};

use super::{
    account::confirm_password,
    error::PortalError,
    form::{Button, Errors, Field, Form, Kind, current_password},
    page::{Block, Page, see_other},
    settings::TextMessages,
    sign_in::{begin_session, recovery_hash, totp_row},
    visitor::{Posted, Visitor},
};
use crate::{
    entropy::entropy,
    mail::letters::{Changed, changed},
    state::State,
    use_cases::{CodeVerdict, Purpose, UseCaseError, UseCases},
};

/// Recovery codes of one set.
const CODES: usize = 10;
const HERE: &str = "/portal/account/second-factor";

async fn overview(state: &State, account: &Account, errors: &Errors) -> Result<Page, PortalError> {
    let mut reader = state.database.read().await?;
    let left = accounts::recovery_codes_left(&mut reader.db(), &account.id).await?;
    let mut page = Page::new("Second factor")
        .text("Besides your password you then need something you have. Some roles require it.")
        .block(Block::Facts(vec![
            (
                "Authenticator app".to_owned(),
                if account.totp_enrolled { "set up" } else { "not set up" }.to_owned(),
            ),
            (
                "Text message".to_owned(),
                match &account.phone {
                    Some(phone) if account.phone_confirmed => format!("to {}", phone.hint()),
                    _ => "not set up".to_owned(),
                },
            ),
            ("Recovery codes left".to_owned(), left.to_string()),
        ]));
    let texts = !matches!(state.settings.portal.text_messages, TextMessages::None);
    let mut buttons = Vec::new();
    if !account.totp_enrolled {
        buttons.push(Button { value: "start".to_owned(), ..Button::main("Set up an authenticator app") });
    }
    if let Some(phone) = account.phone.as_ref().filter(|_| texts && !account.phone_confirmed) {
        buttons.push(Button::other(format!("Use text messages to {}", phone.hint()), "phone"));
    } else if texts && account.phone.is_none() {
        page = page.text("To use text messages, add your mobile phone under Account first.");
    }
    if account.has_second_factor() {
        buttons.push(Button::other("Make new recovery codes", "codes"));
        buttons.push(Button::danger("Remove the second factor", "remove"));
    }
    if !buttons.is_empty() {
        let password = current_password(errors).hint("Whatever you change here, it is asked for again.");
        page = page.form(Form::post(HERE, vec![password], buttons));
    }
    Ok(page)
}

/// `GET /portal/account/second-factor`
pub(crate) async fn get(
    Extract(state): Extract<Arc<State>>,
    visitor: Visitor,
) -> Result<Response, PortalError> {
    let account = &visitor.require()?.account;
    Ok(overview(&state, account, &Errors::default()).await?.show(&visitor))
}

/// The page with the QR code. The same secret is shown again after a wrong code.
fn enrol_page(account: &Account, secret: &[u8], errors: &Errors) -> Page {
    let uri = otpauth_uri("pmsgate", account.email.as_str(), secret);
    let key = base32(secret);
    let grouped: Vec<String> =
        key.as_bytes().chunks(4).map(|part| String::from_utf8_lossy(part).into_owned()).collect();
    let mut page = Page::new("Set up an authenticator app")
        .text("Scan this code with your app, or type the key. Then enter the six digits that the app shows.");
    if let Ok(code) = QrCode::new(uri.as_bytes()) {
        let (path, side) = qr_path(&code);
        page = page.block(Block::Qr {
            path,
            side,
            title: "QR code for your authenticator app; the key below says the same".to_owned(),
        });
    }
    let field = Field::new(Kind::Code, "code", "Code")
        .hint("Six digits.")
        .autocomplete("one-time-code")
        .with_error(errors);
    page.block(Block::Facts(vec![("Key".to_owned(), grouped.join(" "))])).form(Form::post(
        HERE,
        vec![field],
        vec![Button { value: "confirm".to_owned(), ..Button::main("Finish") }],
    ))
}

/// The dark modules as one path, with the quiet zone around them.
fn qr_path(code: &QrCode) -> (String, usize) {
    const QUIET: usize = 4;
    let width = code.width();
    let mut path = String::new();
    for (n, color) in code.to_colors().into_iter().enumerate() {
        if color == Color::Dark {
            // Writing into a String cannot fail.
            let _ = write!(path, "M{} {}h1v1h-1z", n % width + QUIET, n / width + QUIET);
        }
    }
    (path, width + 2 * QUIET)
}

/// New recovery codes in place of the earlier ones, to be shown once.
async fn new_codes(
    state: &State,
    db: &mut database::Db<'_>,
    account: &str,
) -> Result<Vec<String>, PortalError> {
    let mut codes = Vec::with_capacity(CODES);
    for _ in 0..CODES {
        codes.push(recovery_code(entropy()?));
    }
    let hashes: Vec<String> = codes.iter().map(|code| recovery_hash(&state.keys, account, code)).collect();
    accounts::set_recovery_codes(db, account, &hashes).await?;
    Ok(codes)
}

fn codes_page(codes: &[String]) -> Page {
    Page::new("Your recovery codes")
        .block(Block::good(
            "Your second factor is set up",
            "Keep these codes where you keep important papers.",
        ))
        .text("Each of them signs you in once when you have neither app nor phone. They are not shown again.")
        .block(Block::Plain(codes.join("\n")))
        .block(Block::Links(vec![("/portal".to_owned(), "I have kept them".to_owned(), String::new())]))
}

/// `POST /portal/account/second-factor`
pub(crate) async fn post(
    Extract(state): Extract<Arc<State>>,
    Posted { mut visitor, fields }: Posted,
) -> Result<Response, PortalError> {
    let account = visitor.require()?.account.clone();
    let acts = UseCases::of(Arc::clone(&state));
    let actor = Actor::Account(account.id.clone());
    let now = state.clock.now();
    // What begins a change asks for the password; what finishes it, for the code that was begun with.
    let begins = matches!(fields.get("do"), "start" | "phone" | "codes" | "remove");
    if begins {
        let mut errors = Errors::default();
        confirm_password(&state, &visitor, &fields, &mut errors).await?;
        if !errors.is_empty() {
            return Ok(overview(&state, &account, &errors).await?.show(&visitor));
        }
    }
    match fields.get("do") {
        "start" if !account.totp_enrolled => {
            let secret: [u8; TOTP_SECRET_LENGTH] = entropy()?;
            let sealed = state.keys.seal_for(&totp_row(&account.id), &secret).map_err(UseCaseError::from)?;
            let mut work = state.database.begin().await?;
            accounts::set_totp(&mut work.db(), &account.id, Some(&sealed), false).await?;
            work.commit().await?;
            Ok(enrol_page(&account, &secret, &Errors::default()).show(&visitor))
        }
        "confirm" if !account.totp_enrolled => {
            let mut work = authz_store::begin(&state.database).await?;
            let mut db = work.db();
            let secrets = accounts::secrets(&mut db, &account.id).await?;
            let Some((last, sealed)) = secrets.and_then(|one| Some((one.totp_last_step, one.totp_secret?)))
            else {
                return Ok(see_other(&visitor, HERE));
            };
            let secret = state.keys.open_for(&totp_row(&account.id), &sealed).map_err(UseCaseError::from)?;
            let Some(step) = verify_totp(&secret, fields.get("code"), now, last) else {
                let errors = Errors::of(
                    "code",
                    "That is not the code. Look at the app again; check your phone's clock.",
                );
                return Ok(enrol_page(&account, &secret, &errors).show(&visitor));
            };
            accounts::set_totp(&mut db, &account.id, Some(&sealed), true).await?;
            accounts::use_totp_step(&mut db, &account.id, step).await?;
            let codes = new_codes(&state, &mut db, &account.id).await?;
            let details = vec![("factor", "authenticator app".to_owned())];
            sessions::end_others(&mut db, &account.id, "").await?;
            acts.audit(&mut db, &actor, Act::SecondFactorChanged, &account.id, details).await?;
            acts.post_to(&mut db, &account, &changed(Changed::AppAdded)).await?;
            work.commit().await?;
            acts.nudge_delivery();
            begin_session(&state, &mut visitor, &account, false, true).await?;
            Ok(codes_page(&codes).show(&visitor))
        }
        "phone" => {
            let Some(phone) = &account.phone else { return Ok(see_other(&visitor, HERE)) };
            let mut work = state.database.begin().await?;
            let mut db = work.db();
            let token = acts.issue_token(&mut db, Purpose::ConfirmPhone, Some(&account.id)).await?;
            if !token.too_many {
                acts.post_code(&mut db, &account, phone, &token.code).await?;
            }
            work.commit().await?;
            acts.nudge_delivery();
            Ok(phone_page(&token.id, &Errors::default()).show(&visitor))
        }
        "confirm-phone" => {
            let mut work = authz_store::begin(&state.database).await?;
            let mut db = work.db();
            let (verdict, subject) =
                acts.use_token(&mut db, Purpose::ConfirmPhone, fields.get("t"), fields.get("code")).await?;
            if verdict != CodeVerdict::Right || subject.as_deref() != Some(&account.id) {
                work.commit().await?;
                let errors = Errors::of("code", "That is not the code, or it is over. Ask for another one.");
                return Ok(phone_page(fields.get("t"), &errors).show(&visitor));
            }
            let mut after = account.clone();
            after.phone_confirmed = true;
            accounts::set_preferences(&mut db, &after).await?;
            let had_codes = accounts::recovery_codes_left(&mut db, &account.id).await? > 0;
            let codes = if had_codes { Vec::new() } else { new_codes(&state, &mut db, &account.id).await? };
            let details = vec![("factor", "text message".to_owned())];
            sessions::end_others(&mut db, &account.id, "").await?;
            acts.audit(&mut db, &actor, Act::SecondFactorChanged, &account.id, details).await?;
            acts.post_to(&mut db, &account, &changed(Changed::PhoneAdded)).await?;
            work.commit().await?;
            acts.nudge_delivery();
            begin_session(&state, &mut visitor, &account, false, true).await?;
            Ok(if codes.is_empty() { see_other(&visitor, HERE) } else { codes_page(&codes).show(&visitor) })
        }
        "codes" if account.has_second_factor() => {
            let mut work = authz_store::begin(&state.database).await?;
            let mut db = work.db();
            let codes = new_codes(&state, &mut db, &account.id).await?;
            let details = vec![("factor", "recovery codes".to_owned())];
            acts.audit(&mut db, &actor, Act::SecondFactorChanged, &account.id, details).await?;
            acts.post_to(&mut db, &account, &changed(Changed::CodesRenewed)).await?;
            work.commit().await?;
            acts.nudge_delivery();
            Ok(codes_page(&codes).show(&visitor))
        }
        "remove" => {
            let mut after = account.clone();
            after.phone_confirmed = false;
            let mut work = authz_store::begin(&state.database).await?;
            let mut db = work.db();
            accounts::set_totp(&mut db, &account.id, None, false).await?;
            accounts::set_preferences(&mut db, &after).await?;
            accounts::set_recovery_codes(&mut db, &account.id, &[]).await?;
            let details = vec![("factor", "removed".to_owned())];
            acts.audit(&mut db, &actor, Act::SecondFactorChanged, &account.id, details).await?;
            acts.post_to(&mut db, &account, &changed(Changed::FactorRemoved)).await?;
            work.commit().await?;
            acts.nudge_delivery();
            begin_session(&state, &mut visitor, &after, false, false).await?;
            Ok(see_other(&visitor, HERE))
        }
        _ => Ok(see_other(&visitor, HERE)),
    }
}

fn phone_page(token: &str, errors: &Errors) -> Page {
    let field = Field::new(Kind::Code, "code", "Text message challenge code")
        .autocomplete("one-time-code")
        .with_error(errors);
    Page::new("Confirm your mobile phone").text("A code was just sent to your phone.").form(Form::post(
        HERE,
        vec![field, Field::hidden("t", token)],
        vec![Button { value: "confirm-phone".to_owned(), ..Button::main("Finalise") }],
    ))
}
