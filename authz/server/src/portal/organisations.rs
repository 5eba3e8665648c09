//! Looking organisations up: for everybody, without signing in.

use std::sync::Arc;

use authz_domain::{Location, Organisation};
use authz_store::{organisations, organisations::OrganisationQuery};
use axum::{
    extract::{Path, RawQuery, State as Extract},
    response::{IntoResponse as _, Response},
};
use http::{HeaderValue, header};
use pms_terms::OrganisationId;

use super::{
    error::PortalError,
    form::{Errors, Field, Fields, Form, Kind},
    page::{Block, Cell, Page, Table, link},
    visitor::Visitor,
};
use crate::{state::State, use_cases::locations_cell};

/// Organisations on one page.
const SHOWN: i64 = 50;
/// Organisations in one file.
const DOWNLOADED: i64 = 10_000;

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
            head: vec!["Location", "Country", "Address", "Organisation", "ORG-ID", "Category"],
            rows,
            empty: "Nothing fits. Try a shorter part of the name.",
        }));
        if visitor.is_signed_in() {
            let what = form_urlencoded::Serializer::new(String::new())
                .append_pair("q", query.get("q"))
                .append_pair("country", query.get("country"))
                .finish();
            let path = format!("/portal/organisations/download?{what}");
            page = page.block(Block::Links(vec![link(
                path,
                "Download as CSV",
                "All that fit, with their locations.",
            )]));
        }
        if more {
            page = page.text(format!("Only the first {SHOWN} are shown: narrow the search."));
        }
    }
    Ok(page.show(&visitor))
}

/// `GET /portal/organisations/download`: what a search finds, as CSV in the form that `organisation import` reads. Guests
/// look, people with an account download (seed 000, "user roles vs. functionality").
pub(crate) async fn download(
    Extract(state): Extract<Arc<State>>,
    RawQuery(query): RawQuery,
    visitor: Visitor,
) -> Result<Response, PortalError> {
    visitor.require()?;
    let query = Fields::parse(query.unwrap_or_default().as_bytes());
    let mut reader = state.database.read().await?;
    let wanted = OrganisationQuery {
        text: query.get("q"),
        country: query.get("country"),
        ..OrganisationQuery::default()
    };
    let mut text = String::from("id,name,country,category,address,parent,locations\r\n");
    for one in organisations::search(&mut reader.db(), &wanted, DOWNLOADED).await? {
        let fields = [
            one.id.to_string(),
            one.name,
            one.country,
            one.category.to_string(),
            one.address,
            one.parent.as_ref().map(ToString::to_string).unwrap_or_default(),
            locations_cell(&one.locations),
        ];
        text.push_str(&fields.map(|field| quoted(&field)).join(","));
        text.push_str("\r\n");
    }
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8")),
        (header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment; filename=\"organisations.csv\"")),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    Ok((headers, text).into_response())
}

/// A field of a CSV file (RFC 4180). A spreadsheet must not take a name for a formula.
fn quoted(text: &str) -> String {
    let guard = if text.starts_with(['=', '+', '-', '@', '\t']) { "'" } else { "" };
    if guard.is_empty() && !text.contains([',', '"', '\r', '\n']) {
        return text.to_owned();
    }
    format!("\"{guard}{}\"", text.replace('"', "\"\""))
}

/// A row for each location, with its organisation; one row for an organisation without any.
fn rows_of(one: &Organisation) -> Vec<Vec<Cell>> {
    let row = |location: &str, country: &str, address: &str| {
        vec![
            Cell::text(location),
            Cell::text(country),
            Cell::text(address),
            Cell::link(format!("/portal/organisations/{}", one.id), one.name.clone()),
            Cell::text(one.id.to_string()),
            Cell::text(one.category.as_str()),
        ]
    };
    if one.locations.is_empty() {
        return vec![row("none", &one.country, &one.address)];
    }
    one.locations.iter().map(|place| row(place.id.as_str(), &place.country, &place.address)).collect()
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
        let name = organisations::find(&mut db, parent).await?.map_or_else(String::new, |one| one.name);
        facts.push(("Part of".to_owned(), format!("{name} ({parent})")));
    }
    let mut page = Page::new(one.name.clone()).block(Block::Facts(facts));
    if let Some(parent) = &one.parent {
        let path = format!("/portal/organisations/{parent}");
        page = page.block(Block::Links(vec![link(path, "Open its parent organisation", "")]));
    }
    if !one.locations.is_empty() {
        let cells = |place: Location| {
            vec![Cell::text(place.id.to_string()), Cell::text(place.country), Cell::text(place.address)]
        };
        page = page.block(Block::Table(Table {
            caption: "Locations".to_owned(),
            head: vec!["LOC-ID", "Country", "Address"],
            rows: one.locations.into_iter().map(cells).collect(),
            empty: "",
        }));
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
