//! History: all versions of a product's MedicinalProductDefinition, newest first, by today's policy (EP307).

use axum::response::Response;
use fhir_model::{ResourceKey, ResourceType};

use super::vread::with_history;
use crate::{
    answer::{self, Validators},
    bundle::BundleWriter,
    call::Call,
    cursor::Place,
    outcome::Refusal,
    views,
};

pub(super) async fn answer(call: &Call<'_>) -> Result<Response, Refusal> {
    let state = call.state;
    let since = call.parameters.since()?;
    let limit = call.parameters.count(state.page_size, state.max_page_size)?;
    let (stored, column) = with_history(call).await?;
    let binding = call.binding();
    let place =
        call.parameters.one("_cursor").map(|cursor| state.cursor_key.open(cursor, &binding)).transpose()?;
    let before = match &place {
        None => None,
        Some(place) => Some(place.after.parse::<i64>().map_err(|_| Refusal::Cursor)?),
    };
    let key = ResourceKey::new(ResourceType::MedicinalProductDefinition, stored.head.product_id.as_str());
    let one_more = i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1);
    let (mut versions, total) = fhir_store::versions(&state.database, &key, since, before, one_more).await?;
    let more = versions.len() > limit;
    versions.truncate(limit);
    let total = place.and_then(|place| place.total).unwrap_or(total);
    let next = more.then(|| versions.last()).flatten().map(|last| {
        state.cursor_key.seal(&Place { total: Some(total), after: last.version_id.to_string() }, &binding)
    });
    let mut bundle = BundleWriter::new("history", Some(total), &call.links(next), versions.len() * 4096);
    for version in &versions {
        let matrix = state.views.matrix();
        let Some(resource) =
            views::old_version(matrix, &stored, column, call.product.fhir_version, &version.body)
        else {
            continue;
        };
        let (method, url, status) = if version.version_id == 1 {
            ("POST", "MedicinalProductDefinition".to_owned(), "201")
        } else {
            ("PUT", key.to_string(), "200")
        };
        let after = format!(
            r#","request":{{"method":"{method}","url":"{url}"}},"response":{{"status":"{status}","etag":"W/\"{}\"","lastModified":"{}"}}"#,
            version.version_id,
            fhir_store::instant_text(version.last_updated),
        );
        bundle.entry(&call.base, &views::rendered(&resource), &after);
    }
    let validators = Validators::new(format_args!("h{}", stored.head.revision), stored.head.last_updated);
    let whole = since.is_none() && before.is_none() && !more;
    Ok(answer::ok(bundle.finish(), whole.then_some(&validators), &call.headers, call.parameters.pretty))
}
