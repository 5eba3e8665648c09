//! To FHIR 4.4.0.
use crate::Product;
use serde_json::Value;
/// r
pub fn to_4_4_0(resource: &Value, _product: &Product) -> Value {
    resource.clone()
}
/// r
pub fn product_to_4_4_0(product: &Product) -> Product {
    product.clone()
}
