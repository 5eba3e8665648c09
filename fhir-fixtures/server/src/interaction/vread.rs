//! Vread: one version of a product's MedicinalProductDefinition, by today's policy (EP306).

use axum::response::Response;
use fhir_model::{ResourceKey, ResourceType, access};
use fhir_store::StoredProduct;

use crate::{
    answer::{self, Validators},
    call::Call,
    outcome::Refusal,
    views,
};

pub(super) async fn answer(call: &Call<'_>) -> Result<Response, Refusal> {
    let version_id = version_id(call.segment("vid")).ok_or(Refusal::NotFound)?;
    let (stored, column) = with_history(call).await?;
    let key = ResourceKey::new(ResourceType::MedicinalProductDefinition, call.segment("id"));
    let version =
        fhir_store::find_version(&call.state.database, &key, version_id).await?.ok_or(Refusal::NotFound)?;
    let matrix = call.state.views.matrix();
    let resource = views::old_version(matrix, &stored, column, call.product.fhir_version, &version.body)
        .ok_or(Refusal::NotFound)?;
    let validators = Validators::new(version.version_id, version.last_updated);
    Ok(answer::ok(views::rendered(&resource).body, Some(&validators), &call.headers, call.parameters.pretty))
}

/// The product of the path for a caller who may see its history; for any other caller there is none.
pub(super) async fn with_history(call: &Call<'_>) -> Result<(StoredProduct, access::Column), Refusal> {
    let (head, column) = call.visible().await?;
    if !access::may_see_history(call.state.views.matrix(), column) {
        return Err(Refusal::NotFound);
    }
    let stored = fhir_store::find(&call.state.database, &head.product_id).await?.ok_or(Refusal::NotFound)?;
    Ok((stored, column))
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
