//! Search: products that match, of those the caller may know of (EP301).

use axum::response::Response;

use crate::{
    answer,
    bundle::BundleWriter,
    call::Call,
    cursor::Place,
    outcome::{self, Refusal},
};

const MATCH: &str = r#","search":{"mode":"match"}"#;

pub(super) async fn answer(call: &Call<'_>) -> Result<Response, Refusal> {
    let state = call.state;
    if call.operation.resource_type != "MedicinalProductDefinition" {
        return Err(Refusal::NotFound);
    }
    let query = call.parameters.search()?;
    let limit = call.parameters.count(state.page_size, state.max_page_size)?;
    let binding = call.binding();
    let place =
        call.parameters.one("_cursor").map(|cursor| state.cursor_key.open(cursor, &binding)).transpose()?;
    if limit == 0 {
        let total = fhir_store::search::count(&state.database, &call.audience, &query).await?;
        let bundle = BundleWriter::new("searchset", total, &call.links(None), 0).finish();
        return Ok(answer::ok(bundle, None, &call.headers, call.parameters.pretty));
    }
    let (page, total) = match place {
        None => fhir_store::search::first_page(&state.database, &call.audience, &query, limit).await?,
        Some(Place { total, after }) => {
            let database = &state.database;
            (fhir_store::search::page_after(database, &call.audience, &query, &after, limit).await?, total)
        }
    };
    let mut views = Vec::with_capacity(page.products.len());
    for head in &page.products {
        // Both were decided by the SQL already; should one of them say otherwise now, the product is left out.
        let Some(column) = head.seen_by(&call.audience) else { continue };
        views.extend(state.views.root(head, column, call.product.fhir_version).await?);
    }
    let next = page
        .more
        .then(|| page.products.last())
        .flatten()
        .map(|last| state.cursor_key.seal(&Place { total, after: last.product_id.clone() }, &binding));
    let room = views.iter().map(|view| view.resource.body.len() + 200).sum();
    let mut bundle = BundleWriter::new("searchset", total, &call.links(next), room);
    for view in &views {
        bundle.entry(&call.base, &view.resource, MATCH);
    }
    if !call.parameters.ignored.is_empty() {
        let text = format!("Ignored, because not supported here: {}.", call.parameters.ignored.join(", "));
        bundle.outcome(&outcome::outcome("warning", "not-supported", &text, None, None).to_string());
    }
    Ok(answer::ok(bundle.finish(), None, &call.headers, call.parameters.pretty))
}
