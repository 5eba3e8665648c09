//! The portal: pages for people. Every route is on this screen.
//!
//! A handler reads what was sent, calls one use case, and shows a page made of blocks (`page.rs`, `form.rs`); it never
//! writes HTML. Every form carries the hash of its cookie (`visitor.rs`); whatever changes something answers with
//! `303 See Other`, so that a reload or the back button repeats nothing.

mod account;
mod challenge;
mod dashboard;
mod documents;
mod error;
mod first_page;
mod form;
pub(crate) mod keys;
mod mailbox;
mod organisations;
mod page;
pub(crate) mod passwords;
mod people;
mod recover;
mod register;
mod request_steps;
mod requests;
mod review;
mod second_factor;
pub(crate) mod settings;
mod sign_in;
mod slowdown;
mod visitor;

use std::sync::Arc;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    routing::{get, post},
};
use tokio::sync::Notify;

use self::{challenge::Challenges, passwords::Passwords, slowdown::Slowdown};
use crate::state::State;

/// What the portal's handlers share beside the rest.
#[derive(Debug)]
pub(crate) struct PortalState {
    pub(crate) passwords: Passwords,
    pub(crate) slowdown: Slowdown,
    pub(crate) challenges: Challenges,
    /// Wakes the job that sends messages.
    pub(crate) deliver: Notify,
}

impl PortalState {
    pub(crate) fn new() -> Self {
        Self {
            passwords: Passwords::new(),
            slowdown: Slowdown::new(),
            challenges: Challenges::new(),
            deliver: Notify::new(),
        }
    }
}

/// The routes.
pub(crate) fn routes() -> Router<Arc<State>> {
    Router::new()
        .route("/", get(first_page::root))
        .route("/assets/portal.css", get(first_page::stylesheet))
        .route("/portal", get(dashboard::get))
        .route("/portal/privacy", get(dashboard::privacy))
        .route("/portal/terms/{id}", get(dashboard::terms))
        .route("/portal/preference/{id}", get(dashboard::preference).post(dashboard::choose))
        // people without a session
        .route("/portal/register", get(register::get).post(register::post))
        .route("/portal/register/questions", get(register::questions).post(register::answer))
        .route("/portal/register/confirm", get(register::confirm).post(register::open))
        .route("/portal/sign-in", get(sign_in::get).post(sign_in::post))
        .route("/portal/sign-in/second-factor", get(sign_in::second_factor).post(sign_in::prove))
        .route("/portal/sign-out", post(sign_in::sign_out))
        .route("/portal/recover", get(recover::get))
        .route("/portal/recover/password", get(recover::password).post(recover::ask_password))
        .route("/portal/recover/questions", post(recover::answer))
        .route("/portal/recover/new-password", get(recover::new_password).post(recover::set_password))
        .route("/portal/recover/user-name", get(recover::user_name).post(recover::send_user_name))
        .route("/portal/recover/account", get(recover::account).post(recover::ask_account))
        .route("/portal/recover/account/confirm", get(recover::confirm_account).post(recover::reactivate))
        // one's own account
        .route("/portal/account", get(account::get).post(account::save))
        .route("/portal/account/password", get(account::password).post(account::change_password))
        .route("/portal/account/questions", get(account::questions).post(account::save_questions))
        .route("/portal/account/sessions", get(account::sessions).post(account::end_session))
        .route("/portal/account/deactivate", get(account::deactivate).post(account::end))
        .route("/portal/account/second-factor", get(second_factor::get).post(second_factor::post))
        // organisations, for everybody
        .route("/portal/organisations", get(organisations::search))
        .route("/portal/organisations/{id}", get(organisations::show))
        // asking for access
        .route("/portal/requests", get(requests::list))
        .route("/portal/requests/new", get(request_steps::application).post(request_steps::begin))
        .route("/portal/requests/{id}", get(requests::show).post(requests::withdraw))
        .route(
            "/portal/requests/{id}/organisation",
            get(request_steps::organisation).post(request_steps::choose),
        )
        .route("/portal/requests/{id}/roles", get(request_steps::roles).post(request_steps::fill_cart))
        .route("/portal/requests/{id}/violations", get(request_steps::violations).post(request_steps::settle))
        .route("/portal/requests/{id}/recap", get(request_steps::recap).post(request_steps::submit))
        .route("/portal/requests/{id}/documents", post(documents::upload).layer(DefaultBodyLimit::disable()))
        // deciding
        .route("/portal/review", get(review::inbox))
        .route("/portal/review/{id}", get(review::show).post(review::decide))
        .route("/portal/documents/{id}", get(documents::read))
        .route("/portal/people", get(people::list))
        .route("/portal/people/{id}", get(people::show).post(people::block))
        .route("/portal/roles/{id}/revoke", get(people::confirm).post(people::revoke))
        // a sandbox's mails
        .route("/portal/mailbox", get(mailbox::list))
        .route("/portal/mailbox/{name}", get(mailbox::show))
}
