//! Messages that did not leave yet, for agency administrators: what each is about, why it failed, when it is tried again.
//! To whom it goes and what it says stay sealed.

use std::sync::Arc;

use authz_domain::Actor;
use authz_store::outbox;
use axum::{extract::State as Extract, response::Response};

use super::{
    error::PortalError,
    form::{Button, Form},
    page::{Block, Cell, Page, Table, see_other},
    visitor::{Posted, SignedIn, Visitor},
};
use crate::{mail::letters::shown, state::State, use_cases::UseCases};

/// Messages on the page.
const SHOWN: i64 = 100;
const HERE: &str = "/portal/messages";

fn agency(visitor: &Visitor) -> Result<&SignedIn, PortalError> {
    let one = visitor.require()?;
    if one.for_agency { Ok(one) } else { Err(PortalError::NotFound) }
}

/// `GET /portal/messages`
pub(crate) async fn list(
    Extract(state): Extract<Arc<State>>,
    visitor: Visitor,
) -> Result<Response, PortalError> {
    agency(&visitor)?;
    let mut reader = state.database.read().await?;
    let (count, _) = outbox::waiting(&mut reader.db()).await?;
    let rows = outbox::waiting_list(&mut reader.db(), SHOWN)
        .await?
        .into_iter()
        .map(|one| {
            vec![
                Cell::text(one.notice),
                Cell::text(one.channel),
                Cell::text(shown(one.created_at)),
                Cell::text(one.tries.to_string()),
                Cell::text(shown(one.due_at)),
                Cell::text(one.failure),
            ]
        })
        .collect();
    let mut page = Page::new("Messages that wait").block(Block::Table(Table {
        caption: format!("Not sent yet: {count}"),
        head: vec!["About", "By", "Since", "Tries", "Next try", "Why it failed"],
        rows,
        empty: "Nothing waits: every message was sent.",
    }));
    if count > 0 {
        let again = Button::other("Try all of them now", "again");
        page = page.form(Form::post(HERE, Vec::new(), vec![again]));
    }
    Ok(page.show(&visitor))
}

/// `POST /portal/messages`: all are due now.
pub(crate) async fn again(
    Extract(state): Extract<Arc<State>>,
    Posted { visitor, .. }: Posted,
) -> Result<Response, PortalError> {
    let actor = Actor::Account(agency(&visitor)?.account.id.clone());
    UseCases::of(state).retry_messages(actor).await?;
    Ok(see_other(&visitor, HERE))
}
