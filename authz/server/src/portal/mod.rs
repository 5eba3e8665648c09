//! The portal: pages for people. Every route is on this screen.
//!
//! A handler reads what was sent, calls one use case, and shows a page made of blocks (`page.rs`, `form.rs`); it never
//! writes HTML. Every form carries the hash of its cookie (`visitor.rs`); whatever changes something answers with
//! `303 See Other`, so that a reload or the back button repeats nothing.

mod account;
mod api_access;
mod calendar;
mod challenge;
mod client_keys;
mod clients;
mod dashboard;
mod documents;
mod error;
mod expiring;
mod first_page;
mod form;
pub(crate) mod keys;
mod mailbox;
mod messages;
mod notifications;
mod organisations;
mod page;
pub(crate) mod passwords;
mod people;
mod recover;
mod register;
mod requests;
mod review;
mod second_factor;
mod secrets;
mod service_desk;
pub(crate) mod settings;
mod sign_in;
mod slowdown;
mod snippets;
mod trail;
mod visitor;
mod wizard;

use std::sync::Arc;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    middleware,
    routing::{get, post},
};
use tokio::sync::Notify;

use self::{
    passwords::Passwords,
    slowdown::Slowdown,
    wizard::{application, organisation, recap, roles, violations},
};
use crate::state::State;

/// What the portal's handlers share beside the rest.
#[derive(Debug)]
pub(crate) struct PortalState {
    pub(crate) passwords: Passwords,
    pub(crate) slowdown: Slowdown,
    /// Wakes the job that sends messages.
    pub(crate) deliver: Notify,
}

impl PortalState {
    pub(crate) fn new() -> Self {
        Self { passwords: Passwords::new(), slowdown: Slowdown::new(), deliver: Notify::new() }
    }
}

/// The routes.
pub(crate) fn routes() -> Router<Arc<State>> {
    Router::new()
        .route("/", get(first_page::root))
        .route("/assets/portal.css", get(first_page::stylesheet))
        .route("/assets/challenge.js", get(first_page::challenge_script))
        .route("/assets/draft.js", get(first_page::draft_script))
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
        .route("/portal/organisations/download", get(organisations::download))
        .route("/portal/organisations/{id}", get(organisations::show))
        // asking for access
        .route("/portal/requests", get(requests::list))
        .route("/portal/requests/new", get(application::get).post(application::post))
        .route("/portal/requests/{id}", get(requests::show).post(requests::withdraw))
        .route("/portal/requests/{id}/organisation", get(organisation::get).post(organisation::post))
        .route("/portal/requests/{id}/roles", get(roles::get).post(roles::post))
        .route("/portal/requests/{id}/violations", get(violations::get).post(violations::post))
        .route(
            "/portal/requests/{id}/recap",
            get(recap::get).post(recap::post).layer(DefaultBodyLimit::disable()),
        )
        .route("/portal/requests/{id}/documents", post(documents::upload).layer(DefaultBodyLimit::disable()))
        // API credentials
        .route("/portal/access", get(api_access::overview))
        .route("/portal/api-access", get(api_access::terms).post(api_access::accept))
        .route("/portal/api-access/{id}", get(api_access::form).post(api_access::submit))
        .route("/portal/public-api-access", get(api_access::public_terms).post(api_access::public_submit))
        .route("/portal/api-services", get(service_desk::get).post(service_desk::post))
        .route("/portal/clients", get(clients::list))
        .route("/portal/clients/{id}", get(clients::show).post(clients::save))
        .route("/portal/clients/{id}/status", post(clients::status))
        .route("/portal/clients/{id}/rotate", get(secrets::rotation).post(secrets::rotate))
        .route("/portal/clients/{id}/keys", get(client_keys::get).post(client_keys::post))
        .route("/portal/clients/{id}/end", get(secrets::confirm).post(secrets::end))
        .route("/portal/credentials", get(secrets::offered).post(secrets::take))
        // deciding
        .route("/portal/review", get(review::inbox))
        .route("/portal/review/{id}", get(review::show).post(review::decide))
        .route("/portal/documents/{id}", get(documents::read))
        .route("/portal/people", get(people::list))
        .route("/portal/people/{id}", get(people::show).post(people::block))
        .route("/portal/roles/{id}/revoke", get(people::confirm).post(people::revoke))
        .route("/portal/messages", get(messages::list).post(messages::again))
        // watching
        .route("/portal/expiring", get(expiring::get))
        .route("/portal/audit", get(trail::get))
        .route("/portal/calendar.ics", get(calendar::get))
        .route("/portal/notifications", get(notifications::get))
        .route("/portal/notifications/calendar", post(notifications::calendar))
        .route(
            "/portal/notifications/webhooks/{place}",
            get(notifications::new_webhook).post(notifications::add_webhook),
        )
        .route("/portal/webhooks/{id}", get(notifications::show_webhook).post(notifications::change_webhook))
        // a sandbox's mails
        .route("/portal/mailbox", get(mailbox::list))
        .route("/portal/mailbox/{name}", get(mailbox::show))
        .route_layer(middleware::from_fn(sign_in::lead_back))
}
