//! `$everything`: a product with all that belongs to it and that the caller may see (EP304, EP501a).

use axum::response::Response;
use caller_context::Disclosure;

use crate::{
    answer::{self, Validators},
    bundle::{BundleWriter, MATCH},
    call::Call,
    cursor::Place,
    fingerprint::Fingerprint,
    outcome::Refusal,
    views::{self, Rendered},
};

pub(super) async fn answer(call: &Call<'_>) -> Result<Response, Refusal> {
    let state = call.state;
    let angle = call.visible().await?;
    let view = state.views.product(&angle, call.product.fhir_version).await?.ok_or(Refusal::NotFound)?;
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
            after(&wanted, place.after.split_once('/').unwrap_or_default())
        }
    };
    let page = wanted.iter().skip(start).take(limit);
    let end = start.saturating_add(limit);
    let next = (limit > 0 && end < wanted.len())
        .then(|| wanted.get(end - 1))
        .flatten()
        .map(|last| Place { total: Some(total), after: format!("{}/{}", last.resource_type, last.id) });
    let room = page.clone().map(|one| one.body.len() + 200).sum();
    let mut bundle = BundleWriter::new("searchset", Some(total), &call.links(next.as_ref())?, room);
    let mut fingerprint = Fingerprint::default().with(total.to_be_bytes());
    let mut disclosure = Disclosure { hidden: view.hidden, ..Disclosure::default() };
    disclosure.name(&angle.head.product_id);
    for resource in page {
        views::disclosing(&mut disclosure, resource);
        bundle.entry(&call.base, resource, MATCH);
        fingerprint = fingerprint.with(&resource.fingerprint);
    }
    // A whole product that loses a resource gets a new version of what had pointed to it; a part of one need not.
    let whole = since.is_none() && limit == usize::MAX;
    let validators = Validators::of_bundle(fingerprint, whole.then_some(view.last_updated));
    let response = answer::ok(bundle.finish(), Some(&validators), &call.headers, call.look)?;
    Ok(answer::disclosed(response, views::header(&disclosure)))
}

/// Where the page after the entry `last` starts. The entry may have gone since; then where it would stand.
fn after(wanted: &[&Rendered], last: (&str, &str)) -> usize {
    fn key(one: &Rendered) -> (&str, &str) {
        (&one.resource_type, &one.id)
    }
    if let Some(at) = wanted.iter().position(|one| key(one) == last) {
        return at + 1;
    }
    // The root stands first whatever its key.
    wanted.iter().skip(1).position(|one| key(one) > last).map_or(wanted.len(), |at| at + 1)
}
