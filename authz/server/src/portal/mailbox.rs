//! The development mailbox: what a sandbox would have mailed or texted. It exists in a sandbox without a mail server.

use std::{fs, path::Path as FilePath, sync::Arc};

use axum::{
    extract::{Path, State as Extract},
    response::Response,
};
use serde::Deserialize;
use time::OffsetDateTime;

use super::{
    error::PortalError,
    page::{Block, Cell, Page, Table, link},
    visitor::Visitor,
};
use crate::{mail::letters::shown, state::State};

/// Mails on the page.
const SHOWN: usize = 100;

#[derive(Deserialize)]
struct Spooled {
    to: String,
    subject: String,
    text: String,
    at: i64,
}

fn read(path: &FilePath) -> Option<Spooled> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

fn time_of(mail: &Spooled) -> String {
    OffsetDateTime::from_unix_timestamp(mail.at).map(shown).unwrap_or_default()
}

/// `GET /portal/mailbox`
pub(crate) async fn list(
    Extract(state): Extract<Arc<State>>,
    visitor: Visitor,
) -> Result<Response, PortalError> {
    let folder = state.settings.portal.spool().filter(|_| visitor.sandbox).ok_or(PortalError::NotFound)?;
    let mut names: Vec<String> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter_map(|name| name.strip_suffix(".json").map(str::to_owned))
        .filter(|name| !name.starts_with('.'))
        .collect();
    names.sort_unstable_by(|a, b| b.cmp(a));
    let rows = names
        .into_iter()
        .take(SHOWN)
        .filter_map(|name| {
            let mail = read(&folder.join(format!("{name}.json")))?;
            Some(vec![
                Cell::text(time_of(&mail)),
                Cell::text(mail.to),
                Cell::link(format!("/portal/mailbox/{name}"), mail.subject),
            ])
        })
        .collect();
    Ok(Page::new("Development mailbox")
        .text("This is a sandbox: nothing is really sent. Everybody who reaches it can read these mails.")
        .block(Block::Table(Table {
            caption: "Newest first".to_owned(),
            head: vec!["When", "To", "Subject"],
            rows,
            empty: "No mail yet. Reload the page in a moment.",
        }))
        .show(&visitor))
}

/// `GET /portal/mailbox/{name}`
pub(crate) async fn show(
    Extract(state): Extract<Arc<State>>,
    Path(name): Path<String>,
    visitor: Visitor,
) -> Result<Response, PortalError> {
    let folder = state.settings.portal.spool().filter(|_| visitor.sandbox).ok_or(PortalError::NotFound)?;
    let sound = name.len() < 100 && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let mail = Some(name).filter(|_| sound).and_then(|name| read(&folder.join(format!("{name}.json"))));
    let mail = mail.ok_or(PortalError::NotFound)?;
    let links = mail
        .text
        .split_whitespace()
        .filter_map(|word| word.strip_prefix(&state.settings.base_url))
        .filter(|path| path.starts_with("/portal/"))
        .map(|path| (path.to_owned(), "Open the link of this mail".to_owned(), String::new()))
        .collect::<Vec<_>>();
    let mut page = Page::new(mail.subject.clone())
        .block(Block::Facts(vec![("To".to_owned(), mail.to.clone()), ("When".to_owned(), time_of(&mail))]))
        .block(Block::Plain(mail.text));
    if !links.is_empty() {
        page = page.block(Block::Links(links));
    }
    Ok(page.block(Block::Links(vec![link("/portal/mailbox", "All mails", "")])).show(&visitor))
}
