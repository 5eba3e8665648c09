//! Step 2: the organisation, by name or id, or by network, country and centre.

use std::sync::Arc;

use authz_domain::{Location, OrganisationCategory};
use authz_store::{organisations, organisations::OrganisationQuery};
use axum::{
    extract::{Path, RawQuery, State as Extract},
    response::Response,
};
use pms_terms::OrganisationId;

use super::{change, draft, first_step, step, step_page};
use crate::{
    portal::{
        error::PortalError,
        form::{Button, Errors, Field, Fields, Form, Kind},
        page::{Block, Cell, Page, Table, link, see_other},
        visitor::{Posted, Visitor},
    },
    state::State,
    use_cases::RequestPlan,
};

/// Organisations on one page.
const SHOWN: i64 = 30;

/// `GET /portal/requests/{id}/organisation`
pub(in crate::portal) async fn get(
    Extract(state): Extract<Arc<State>>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
    visitor: Visitor,
) -> Result<Response, PortalError> {
    let plan = draft(&state, visitor.require()?, &id).await?;
    let query = Fields::parse(query.unwrap_or_default().as_bytes());
    let application = &plan.request.application;
    let mut page = step_page("Your organisation", 1);
    if let Some(chosen) = &plan.organisation {
        page = page
            .block(Block::note("Chosen so far", format!("{} ({})", chosen.name, chosen.id)))
            .block(Block::Links(vec![link(step(&id, "roles"), "Keep it and go on", "")]));
    }
    let by_network =
        state.settings.portal.catalogue.application(application).is_some_and(|one| one.by_network);
    let page = if by_network {
        network_page(&state, &plan, page, &query).await?
    } else {
        name_page(&state, &plan, page, &query).await?
    };
    let back = link(first_step(application), "Back to the applications", "");
    Ok(page.block(Block::Links(vec![back])).show(&visitor))
}

async fn name_page(
    state: &State,
    plan: &RequestPlan,
    page: Page,
    query: &Fields,
) -> Result<Page, PortalError> {
    let id = &plan.request.id;
    let field =
        Field::new(Kind::Search, "q", "Part of the name, ORG-ID or LOC-ID").typed(query, &Errors::default());
    let page = page.form(Form::search(step(id, "organisation"), vec![field]));
    if !query.has("q") {
        return Ok(page);
    }
    let categories = state.settings.portal.catalogue.categories_of(&plan.request.application);
    let wanted =
        OrganisationQuery { text: query.get("q"), categories: &categories, ..OrganisationQuery::default() };
    choose_table(state, id, page, &wanted).await
}

/// A table of organisations, each with a button that chooses it.
async fn choose_table(
    state: &State,
    id: &str,
    page: Page,
    wanted: &OrganisationQuery<'_>,
) -> Result<Page, PortalError> {
    let mut reader = state.database.read().await?;
    let found = organisations::search(&mut reader.db(), wanted, SHOWN).await?;
    let place = |one: &Location| [one.id.as_str(), &one.country].join(" ").trim().to_owned();
    let rows = found
        .into_iter()
        .map(|one| {
            let button = Button::other(format!("Choose {}", one.id), "choose");
            let which = vec![Field::hidden("organisation", one.id.to_string())];
            vec![
                Cell::text(one.name),
                Cell::text(one.country),
                Cell::text(one.address),
                Cell::text(one.locations.iter().map(place).collect::<Vec<_>>().join(", ")),
                Cell::Form(Form::button(step(id, "organisation"), which, button)),
            ]
        })
        .collect();
    Ok(page.block(Block::Table(Table {
        caption: "Organisations".to_owned(),
        head: vec!["Name", "Country", "Address", "Locations", ""],
        rows,
        empty: "Nothing fits. Try a shorter part of the name, or look under Organisations.",
    })))
}

/// Network, then country, then centre (seed 003 §4.3).
async fn network_page(
    state: &State,
    plan: &RequestPlan,
    page: Page,
    query: &Fields,
) -> Result<Page, PortalError> {
    let base = step(&plan.request.id, "organisation");
    let mut reader = state.database.read().await?;
    let Ok(network) = query.get("network").parse::<OrganisationId>() else {
        let wanted = OrganisationQuery {
            categories: &[OrganisationCategory::Network],
            ..OrganisationQuery::default()
        };
        let networks = organisations::search(&mut reader.db(), &wanted, SHOWN).await?;
        let links = networks
            .into_iter()
            .map(|one| link(format!("{base}?network={}", one.id), format!("Open {}", one.name), ""))
            .collect();
        return Ok(page.block(Block::Heading("Network".to_owned())).block(Block::Links(links)));
    };
    if !query.has("country") {
        let countries = organisations::countries(&mut reader.db(), Some(&network)).await?;
        let mut links: Vec<_> = countries
            .into_iter()
            .map(|code| link(format!("{base}?network={network}&country={code}"), format!("Open {code}"), ""))
            .collect();
        links.push(link(format!("{base}?network={network}&country="), "All countries", ""));
        let page = page.block(Block::Heading("Country".to_owned())).block(Block::Links(links));
        let itself = vec![Field::hidden("organisation", network.to_string())];
        let button = Button::other("Choose the network itself (coordinators)", "choose");
        return Ok(page.form(Form::button(base, itself, button)));
    }
    drop(reader);
    let wanted = OrganisationQuery {
        country: query.get("country"),
        parent: Some(&network),
        ..OrganisationQuery::default()
    };
    choose_table(state, &plan.request.id, page.block(Block::Heading("Centre".to_owned())), &wanted).await
}

/// `POST /portal/requests/{id}/organisation`
pub(in crate::portal) async fn post(
    Extract(state): Extract<Arc<State>>,
    Path(id): Path<String>,
    Posted { visitor, fields }: Posted,
) -> Result<Response, PortalError> {
    let one = visitor.require()?;
    let wanted: OrganisationId = fields.get("organisation").parse().map_err(|_| PortalError::NotFound)?;
    let mut reader = state.database.read().await?;
    let found = organisations::find(&mut reader.db(), &wanted).await?.ok_or(PortalError::NotFound)?;
    drop(reader);
    change(&state, one, &id, |request| {
        if request.organisation.as_ref() != Some(&found.id) {
            request.roles.clear();
            request.waiver_asked = false;
        }
        request.organisation = Some(found.id);
    })
    .await?;
    Ok(see_other(&visitor, &step(&id, "roles")))
}
