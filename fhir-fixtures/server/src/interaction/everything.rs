//! `$everything`: a product with all that belongs to it and that the caller may see (EP304, EP501a).

use axum::response::Response;

use crate::{answer, bundle::BundleWriter, call::Call, cursor::Place, outcome::Refusal, views::Rendered};

const MATCH: &str = r#","search":{"mode":"match"}"#;

pub(super) async fn answer(call: &Call<'_>) -> Result<Response, Refusal> {
    let state = call.state;
    let (head, column) = call.visible().await?;
    let view =
        state.views.product(&head, column, call.product.fhir_version).await?.ok_or(Refusal::NotFound)?;
    let since = call.parameters.since()?;
    let wanted: Vec<&Rendered> =
        view.resources.iter().filter(|one| since.is_none_or(|since| one.last_updated >= since)).collect();
    let total = i64::try_from(wanted.len()).unwrap_or(i64::MAX);
    // One whole Bundle unless the caller asks for pages (FHIR, operation $everything).
    let limit = match call.parameters.one("_count") {
        None => usize::MAX,
        Some(_) => call.parameters.count(state.page_size, state.max_page_size)?,
    };
    let binding = call.binding();
    let start = match call.parameters.one("_cursor") {
        None => 0,
        Some(cursor) => {
            let place = state.cursor_key.open(cursor, &binding)?;
            // The entry may have gone since; then the page starts where it would stand.
            let last = place.after.split_once('/').unwrap_or_default();
            let key = |one: &Rendered| (one.resource_type.clone(), one.id.clone());
            match wanted.iter().position(|one| (one.resource_type.as_str(), one.id.as_str()) == last) {
                Some(at) => at + 1,
                None => {
                    let last = (last.0.to_owned(), last.1.to_owned());
                    wanted.iter().skip(1).position(|one| key(one) > last).map_or(wanted.len(), |at| at + 1)
                }
            }
        }
    };
    let page = wanted.iter().skip(start).take(limit);
    let end = start.saturating_add(limit);
    let next = (limit > 0 && end < wanted.len()).then(|| wanted.get(end - 1)).flatten().map(|last| {
        state
            .cursor_key
            .seal(&Place { total, after: format!("{}/{}", last.resource_type, last.id) }, &binding)
    });
    let room = page.clone().map(|one| one.body.len() + 200).sum();
    let mut bundle = BundleWriter::new("searchset", total, &call.links(next), room);
    for resource in page {
        bundle.entry(&call.base, resource, MATCH);
    }
    // The tag stands for the whole product; a part of it asked for by time or page has none.
    let whole = since.is_none() && limit == usize::MAX;
    Ok(answer::ok(bundle.finish(), whole.then_some(&view.validators), &call.headers, call.parameters.pretty))
}
