//! History: all versions of a product's MedicinalProductDefinition, newest first, by today's policy (EP307).

use axum::response::Response;
use caller_context::Disclosure;
use fhir_model::{ResourceKey, ResourceType};
use fhir_store::{StoredProduct, StoredResource};
use time::OffsetDateTime;

use super::vread::with_history;
use crate::{
    answer::{self, Validators},
    bundle::BundleWriter,
    call::Call,
    cursor::Place,
    fingerprint::Fingerprint,
    outcome::Refusal,
    views::{self, Angle, Past, Rendered},
};

/// Versions read at once.
const CHUNK: i64 = 100;

/// What one page shows.
struct Page {
    versions: Vec<(StoredResource, Rendered)>,
    /// How many there are in all.
    total: i64,
    more: bool,
    /// When the youngest resource was stored that its links may show.
    youngest_link: OffsetDateTime,
}

pub(super) async fn answer(call: &Call<'_>) -> Result<Response, Refusal> {
    let state = call.state;
    let since = call.parameters.since()?;
    let limit = call.parameters.count(state.page_size, state.max_page_size)?;
    let (stored, angle) = with_history(call).await?;
    let binding = call.binding();
    let place =
        call.parameters.one("_cursor").map(|cursor| state.cursor_key.open(cursor, &binding)).transpose()?;
    let Page { versions, total, more, youngest_link } =
        page(call, &stored, &angle, since, place.as_ref(), limit).await?;
    let next = versions
        .last()
        .filter(|_| more)
        .map(|(last, _)| Place { total: Some(total), after: last.version_id.to_string() });
    let links = call.links(next.as_ref())?;
    let mut bundle = BundleWriter::new("history", Some(total), &links, versions.len() * 4096);
    let mut fingerprint = Fingerprint::default().with(total.to_be_bytes()).with([u8::from(more)]);
    let mut disclosure = Disclosure::default();
    disclosure.name(&stored.head.product_id);
    for (version, shown) in &versions {
        views::disclosing(&mut disclosure, shown);
        let (method, url, status) = if version.version_id == 1 {
            ("POST", "MedicinalProductDefinition".to_owned(), "201")
        } else {
            ("PUT", version.key.to_string(), "200")
        };
        let after = format!(
            r#","request":{{"method":"{method}","url":"{url}"}},"response":{{"status":"{status}","etag":"W/\"{}\"","lastModified":"{}"}}"#,
            version.version_id,
            fhir_store::instant_text(version.last_updated),
        );
        bundle.entry(&call.base, shown, &after);
        fingerprint = fingerprint.with(&shown.fingerprint);
    }
    // Only additions change a history, so the time of the newest version is that of the page; one that starts later
    // may lose what it shows to the page before.
    let newest = versions.first().filter(|_| place.is_none()).map(|(version, _)| version.last_updated);
    let validators = Validators::of_bundle(fingerprint, newest.map(|newest| newest.max(youngest_link)));
    let response = answer::ok(bundle.finish(), Some(&validators), &call.headers, call.look)?;
    Ok(answer::disclosed(response, views::header(&disclosure)))
}

/// Reads versions until the page is full and, on the first page, until all are counted. A version of which the caller
/// sees nothing is none: neither shown nor counted.
async fn page(
    call: &Call<'_>,
    stored: &StoredProduct,
    angle: &Angle,
    since: Option<OffsetDateTime>,
    place: Option<&Place>,
    limit: usize,
) -> Result<Page, Refusal> {
    let state = call.state;
    let key = ResourceKey::new(ResourceType::MedicinalProductDefinition, stored.head.product_id.as_str());
    let told = place.and_then(|place| place.total);
    let mut before = match place {
        None => None,
        Some(place) => Some(place.after.parse::<i64>().map_err(|_| Refusal::Cursor)?),
    };
    let mut page =
        Page { versions: Vec::new(), total: 0, more: false, youngest_link: OffsetDateTime::UNIX_EPOCH };
    loop {
        let versions = fhir_store::versions(&state.database, &key, since, before, CHUNK).await?;
        let whole = i64::try_from(versions.len()).is_ok_and(|length| length == CHUNK);
        before = versions.last().map(|version| version.version_id);
        let angle = angle.clone().over(call, versions.iter().map(|version| &version.body)).await?;
        let Some(past) = Past::of(state.views.matrix(), stored, &angle, call.product.fhir_version) else {
            return Err(Refusal::NotFound);
        };
        page.youngest_link = page.youngest_link.max(past.youngest_link());
        for version in versions {
            let Some(seen) = past.seen(&version.body) else { continue };
            page.total += 1;
            if page.versions.len() < limit {
                page.versions.push((version, past.rendered(seen)));
            } else {
                page.more = limit > 0;
            }
        }
        if !whole || (page.more && told.is_some()) {
            break;
        }
    }
    page.total = told.unwrap_or(page.total);
    Ok(page)
}
