//! The audit trail, for agency administrators.

use std::{collections::BTreeMap, sync::Arc};

use authz_domain::Act;
use authz_store::{accounts, audit_events, audit_events::AuditQuery};
use axum::{
    extract::{RawQuery, State as Extract},
    response::Response,
};
use time::{Date, Duration, OffsetDateTime, macros::format_description};

use super::{
    error::PortalError,
    form::{Errors, Field, Fields, Form, Kind},
    page::{Block, Cell, Page, Table},
    visitor::Visitor,
};
use crate::{audit_words::particulars, mail::letters::shown, state::State};

/// Records on one page.
const SHOWN: i64 = 50;
/// Kinds of actors that have no id.
const KINDS: [&str; 4] = ["operator", "system", "client", "account"];

/// `GET /portal/audit`
pub(crate) async fn get(
    Extract(state): Extract<Arc<State>>,
    RawQuery(query): RawQuery,
    visitor: Visitor,
) -> Result<Response, PortalError> {
    if !visitor.require()?.for_agency {
        return Err(PortalError::NotFound);
    }
    let query = Fields::parse(query.unwrap_or_default().as_bytes());
    let mut errors = Errors::default();
    let from = errors.take("from", day(query.get("from"))).flatten();
    let until = errors.take("until", day(query.get("until"))).flatten();
    let mut reader = state.database.read().await?;
    let mut db = reader.db();
    // People are looked for by what is known of them; the trail has their id.
    let wanted = query.get("actor");
    let actor = match wanted {
        "" => String::new(),
        kind if KINDS.contains(&kind) => kind.to_owned(),
        name => accounts::find_by_name(&mut db, name).await?.map_or(name.to_owned(), |account| account.id),
    };
    let filter = AuditQuery {
        from,
        // The day that is typed belongs to it.
        until: until.map(|day| day + Duration::DAY),
        actor: &actor,
        act: query.get("act"),
        organisation: query.get("organisation"),
        client: query.get("client"),
    };
    let before = query.get("before").parse().ok();
    let mut found = audit_events::page(&mut db, &filter, before, SHOWN + 1).await?;
    let more = found.len() > usize::try_from(SHOWN).unwrap_or(0);
    found.truncate(usize::try_from(SHOWN).unwrap_or(0));
    let mut names: BTreeMap<String, String> = BTreeMap::new();
    for one in &found {
        for id in [one.record.actor_id.as_deref(), Some(one.record.subject.as_str())].into_iter().flatten() {
            if !names.contains_key(id)
                && let Some(account) = accounts::find(&mut db, id).await?
            {
                names.insert(id.to_owned(), account.full_name());
            }
        }
    }
    let named = |id: &str| names.get(id).cloned().unwrap_or_else(|| id.to_owned());
    let rows = found
        .iter()
        .map(|one| {
            let record = &one.record;
            vec![
                Cell::text(record.number.to_string()),
                Cell::text(shown(record.at)),
                Cell::text(record.actor_id.as_deref().map_or(record.actor_kind.clone(), named)),
                Cell::text(record.origin.clone().unwrap_or_default()),
                Cell::State(record.act.clone()),
                Cell::text(named(&record.subject)),
                Cell::text(record.organisation.clone().unwrap_or_default()),
                Cell::text(particulars(&record.details)),
            ]
        })
        .collect();
    let mut page = Page::new("Audit trail").form(filters(&query, &errors)).block(Block::Table(Table {
        caption: "What was done, newest first".to_owned(),
        head: vec!["No.", "When", "Who", "From", "What", "To what", "Organisation", "Particulars"],
        rows,
        empty: "Nothing fits.",
    }));
    let last = found.last().map(|one| one.record.number).filter(|_| more);
    if let Some(last) = last {
        let older = older(&query, last);
        page = page.block(Block::Links(vec![(older, "Older records".to_owned(), String::new())]));
    }
    Ok(page
        .text("`pmsgate audit verify` checks that nothing was changed or removed; `pmsgate audit export` writes it all out.")
        .show(&visitor))
}

fn filters(query: &Fields, errors: &Errors) -> Form {
    let mut act = Field::new(Kind::Select, "act", "What").choice("", "Everything", "", true);
    for one in Act::ALL {
        act = act.choice(one.as_str(), one.as_str(), "", false);
    }
    let text = |name, label: &str| Field::new(Kind::Text, name, label).optional().typed(query, errors);
    Form::search(
        "/portal/audit",
        vec![
            text("from", "From (YYYY-MM-DD)"),
            text("until", "Until (YYYY-MM-DD)"),
            text("actor", "Who (e-mail, user name, client id, operator, system)"),
            act.typed(query, errors),
            text("organisation", "Organisation (ORG-ID)"),
            text("client", "Client id"),
        ],
    )
}

/// The same search, from an older record on.
fn older(query: &Fields, before: i64) -> String {
    let mut address = form_urlencoded::Serializer::new("/portal/audit?".to_owned());
    for name in ["from", "until", "actor", "act", "organisation", "client"] {
        if !query.get(name).is_empty() {
            address.append_pair(name, query.get(name));
        }
    }
    address.append_pair("before", &before.to_string());
    address.finish()
}

fn day(text: &str) -> Result<Option<OffsetDateTime>, &'static str> {
    if text.is_empty() {
        return Ok(None);
    }
    Date::parse(text, format_description!("[year]-[month]-[day]"))
        .map(|date| Some(date.midnight().assume_utc()))
        .map_err(|_| "Write a day like 2026-03-05.")
}
