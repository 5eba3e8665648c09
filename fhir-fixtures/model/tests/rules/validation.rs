//! Import validation on real products.

use fhir_model::schema;
use pms_terms::FhirVersion;

use crate::shared;

#[test]
fn every_real_product_passes() {
    for (file, resources) in shared::files("data/products") {
        for resource in &resources {
            assert_eq!(schema::check(resource), vec![], "{file}");
        }
    }
    for (file, resources) in shared::files("data/products/fhir-4.4.0") {
        for resource in &resources {
            assert_eq!(schema::check_in(FhirVersion::V4_4_0, resource), vec![], "{file}");
        }
    }
}
