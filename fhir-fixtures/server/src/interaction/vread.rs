//! Vread: one version of a product's MedicinalProductDefinition, by today's policy (EP306).

use axum::response::Response;
use caller_context::Disclosure;
use fhir_model::{ResourceKey, ResourceType, access};
use fhir_store::StoredProduct;

use crate::{
    answer::{self, Validators},
    call::Call,
    outcome::Refusal,
    views::{self, Angle, Past},
};

pub(super) async fn answer(call: &Call<'_>) -> Result<Response, Refusal> {
    let version_id = version_id(call.segment("vid")).ok_or(Refusal::NotFound)?;
    let (stored, angle) = with_history(call).await?;
    let key = ResourceKey::new(ResourceType::MedicinalProductDefinition, call.segment("id"));
    let version =
        fhir_store::find_version(&call.state.database, &key, version_id).await?.ok_or(Refusal::NotFound)?;
    let angle = angle.over(call, [&version.body]).await?;
    let past = Past::of(call.state.views.matrix(), &stored, &angle, call.product.fhir_version);
    let past = past.ok_or(Refusal::NotFound)?;
    let shown = past.rendered(past.seen(&version.body).ok_or(Refusal::NotFound)?);
    let changed = version.last_updated.max(past.youngest_link());
    let validators = Validators::of_version(version_id, &shown.fingerprint, version.last_updated, changed);
    let mut disclosure = Disclosure::default();
    views::disclosing(&mut disclosure, &shown);
    disclosure.name(&stored.head.product_id);
    let response = answer::ok(shown.body, Some(&validators), &call.headers, call.look)?;
    Ok(answer::disclosed(response, views::header(&disclosure)))
}

/// The product of the path for a caller who may see its history; for any other caller there is none.
pub(super) async fn with_history(call: &Call<'_>) -> Result<(StoredProduct, Angle), Refusal> {
    let angle = call.visible().await?;
    if !access::may_see_history(call.state.views.matrix(), angle.column) {
        return Err(Refusal::NotFound);
    }
    let product_id = &angle.head.product_id;
    let stored = fhir_store::find(&call.state.database, product_id).await?.ok_or(Refusal::NotFound)?;
    Ok((stored, angle))
}

/// A version as we write it: digits without a zero in front.
fn version_id(text: &str) -> Option<i64> {
    let version: i64 = text.parse().ok()?;
    (version > 0 && version.to_string() == text).then_some(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_has_one_spelling() {
        assert_eq!(version_id("12"), Some(12));
        for wrong in ["", "0", "01", "+1", "-1", "1.0", "99999999999999999999"] {
            assert_eq!(version_id(wrong), None, "{wrong}");
        }
    }
}
