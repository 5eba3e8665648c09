//! Search: products that match, of those the caller may know of (EP301).

use axum::response::Response;
use fhir_store::search::{Position, Sort};
use serde_json::Value;

use crate::{
    answer,
    bundle::BundleWriter,
    call::Call,
    cursor::Place,
    outcome::{self, Refusal},
    shape::Shape,
    views::Rendered,
};

const MATCH: &str = r#","search":{"mode":"match"}"#;

pub(super) async fn answer(call: &Call<'_>) -> Result<Response, Refusal> {
    let state = call.state;
    if call.operation.resource_type != "MedicinalProductDefinition" {
        return Err(Refusal::NotFound);
    }
    let query = call.parameters.search()?;
    let sort = call.parameters.sort()?;
    let counted = call.parameters.counts()?;
    let shape = call.parameters.shape(call.product.fhir_version, &call.operation.resource_type)?;
    let limit = call.parameters.count(state.page_size, state.max_page_size)?;
    let binding = call.binding();
    let place =
        call.parameters.one("_cursor").map(|cursor| state.cursor_key.open(cursor, &binding)).transpose()?;
    let (database, audience) = (&state.database, &call.audience);
    if limit == 0 || shape == Shape::Count {
        let total = fhir_store::search::count(database, audience, &query).await?;
        return Ok(finish(call, BundleWriter::new("searchset", Some(total), &call.links(None), 0)));
    }
    let (page, total) = match place {
        None => fhir_store::search::first_page(database, audience, &query, &sort, limit, counted).await?,
        Some(Place { total, after }) => {
            let after = position(&sort, &after).ok_or(Refusal::Cursor)?;
            (fhir_store::search::page_after(database, audience, &query, &sort, &after, limit).await?, total)
        }
    };
    let mut resources = Vec::with_capacity(page.products.len());
    for head in &page.products {
        // Both were decided by the SQL already; should one of them say otherwise now, the product is left out.
        let Some(column) = head.seen_by(audience) else { continue };
        let Some(view) = state.views.root(head, column, call.product.fhir_version).await? else { continue };
        resources.push(Rendered { body: shape.apply(&view.resource.body), ..view.resource.clone() });
    }
    let next = page.next.map(|next| {
        let after = Value::from(next.fields()).to_string();
        state.cursor_key.seal(&Place { total, after }, &binding)
    });
    let room = resources.iter().map(|resource| resource.body.len() + 200).sum();
    let mut bundle = BundleWriter::new("searchset", total, &call.links(next), room);
    for resource in &resources {
        bundle.entry(&call.base, resource, MATCH);
    }
    Ok(finish(call, bundle))
}

/// The place in a cursor, if it is one of this order.
fn position(sort: &Sort, after: &str) -> Option<Position> {
    sort.position(serde_json::from_str(after).ok()?)
}

/// Says at the end what was ignored.
fn finish(call: &Call<'_>, mut bundle: BundleWriter) -> Response {
    if !call.parameters.ignored.is_empty() {
        let text = format!("Ignored, because not supported here: {}.", call.parameters.ignored.join(", "));
        bundle.outcome(&outcome::outcome("warning", "not-supported", &text, None, None).to_string());
    }
    answer::ok(bundle.finish(), None, &call.headers, call.parameters.pretty)
}
