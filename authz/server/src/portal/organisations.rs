//! Looking organisations up: for everybody, without signing in.

use std::sync::Arc;

use authz_domain::Organisation;
use authz_store::{organisations, organisations::OrganisationQuery};
use axum::{
    extract::{Path, RawQuery, State as Extract},
    response::Response,
};
use pms_terms::OrganisationId;

use super::{
    error::PortalError,
    form::{Errors, Field, Fields, Form, Kind},
    page::{Block, Cell, Page, Table},
    visitor::Visitor,
};
use crate::state::State;

/// Organisations on one page.
const SHOWN: i64 = 50;

/// `GET /portal/organisations`
pub(crate) async fn search(
    Extract(state): Extract<Arc<State>>,
    RawQuery(query): RawQuery,
    visitor: Visitor,
) -> Result<Response, PortalError> {
    let query = Fields::parse(query.unwrap_or_default().as_bytes());
    let mut reader = state.database.read().await?;
    let mut country = Field::new(Kind::Select, "country", "Country").choice("", "All countries", "", true);
    for code in organisations::countries(&mut reader.db(), None).await? {
        country = country.choice(code.clone(), code, "", false);
    }
    let errors = Errors::default();
    let form = Form::search(
        "/portal/organisations",
        vec![
            Field::new(Kind::Search, "q", "Part of the name, ORG-ID or LOC-ID")
                .optional()
                .typed(&query, &errors),
            country.typed(&query, &errors),
        ],
    );
    let mut page = Page::new("Organisations").form(form);
    if query.has("q") {
        let wanted = OrganisationQuery {
            text: query.get("q"),
            country: query.get("country"),
            ..OrganisationQuery::default()
        };
        let found = organisations::search(&mut reader.db(), &wanted, SHOWN + 1).await?;
        let more = found.len() > usize::try_from(SHOWN).unwrap_or(0);
        let rows = found.iter().take(usize::try_from(SHOWN).unwrap_or(0)).flat_map(rows_of).collect();
        page = page.block(Block::Table(Table {
            caption: "Organisations with their locations".to_owned(),
            head: vec!["Location", "Organisation", "ORG-ID", "Category", "Country"],
            rows,
            empty: "Nothing fits. Try a shorter part of the name.",
        }));
        if more {
            page = page.text(format!("Only the first {SHOWN} are shown: narrow the search."));
        }
    }
    Ok(page.show(&visitor))
}

/// A row for each location, with its organisation; one row for an organisation without any.
fn rows_of(one: &Organisation) -> Vec<Vec<Cell>> {
    let row = |location: String| {
        vec![
            Cell::text(location),
            Cell::link(format!("/portal/organisations/{}", one.id), one.name.clone()),
            Cell::text(one.id.to_string()),
            Cell::text(one.category.as_str()),
            Cell::text(one.country.clone()),
        ]
    };
    if one.locations.is_empty() {
        return vec![row("none".to_owned())];
    }
    one.locations.iter().map(|location| row(location.to_string())).collect()
}

/// `GET /portal/organisations/{id}`
pub(crate) async fn show(
    Extract(state): Extract<Arc<State>>,
    Path(id): Path<String>,
    visitor: Visitor,
) -> Result<Response, PortalError> {
    let id: OrganisationId = id.parse().map_err(|_| PortalError::NotFound)?;
    let mut reader = state.database.read().await?;
    let mut db = reader.db();
    let one = organisations::find(&mut db, &id).await?.ok_or(PortalError::NotFound)?;
    let parts = OrganisationQuery { parent: Some(&id), ..OrganisationQuery::default() };
    let parts = organisations::search(&mut db, &parts, SHOWN).await?;
    let mut facts = vec![
        ("ORG-ID".to_owned(), one.id.to_string()),
        ("Category".to_owned(), one.category.as_str().to_owned()),
        ("Country".to_owned(), one.country.clone()),
    ];
    if !one.address.is_empty() {
        facts.push(("Address".to_owned(), one.address.clone()));
    }
    if let Some(parent) = &one.parent {
        facts.push(("Part of".to_owned(), parent.to_string()));
    }
    let mut page = Page::new(one.name.clone()).block(Block::Facts(facts));
    if !one.locations.is_empty() {
        page = page
            .block(Block::Heading("Locations".to_owned()))
            .block(Block::List(one.locations.iter().map(ToString::to_string).collect()));
    }
    if !parts.is_empty() {
        page = page.block(Block::Table(Table {
            caption: "Its centres".to_owned(),
            head: vec!["Name", "ORG-ID", "Country"],
            rows: parts
                .into_iter()
                .map(|part| {
                    vec![
                        Cell::link(format!("/portal/organisations/{}", part.id), part.name),
                        Cell::text(part.id.to_string()),
                        Cell::text(part.country),
                    ]
                })
                .collect(),
            empty: "",
        }));
    }
    Ok(page.show(&visitor))
}
