//! `/metadata`: open to all, from the same data as the routes.

use http::{Method, StatusCode};

use crate::harness::{HOST, House, PUBLIC, V3};

#[tokio::test]
async fn every_product_says_what_it_can_do_without_a_context() {
    let house = House::empty().await;
    for product in house.products.iter() {
        let answer = house.send(&Method::GET, &format!("{}/metadata", product.base_path), &[]).await;
        assert_eq!(answer.status, StatusCode::OK);
        let statement = answer.json();
        assert_eq!(statement["resourceType"], "CapabilityStatement");
        assert_eq!(statement["fhirVersion"], product.fhir_version.as_str());
        assert_eq!(statement["implementation"]["url"], format!("http://{HOST}{}", product.base_path));
    }
    let v3 = house.send(&Method::GET, &format!("{V3}/metadata"), &[]).await.json();
    let resource = &v3["rest"][0]["resource"][0];
    let codes: Vec<_> =
        resource["interaction"].as_array().unwrap().iter().map(|i| i["code"].as_str().unwrap()).collect();
    assert_eq!(codes, ["read", "vread", "history-instance", "search-type"]);
    let names: Vec<_> =
        resource["searchParam"].as_array().unwrap().iter().map(|p| p["name"].as_str().unwrap()).collect();
    assert!(
        names.contains(&"identifier") && names.contains(&"_lastUpdated") && !names.contains(&"_count"),
        "{names:?}"
    );
    let public = house.send(&Method::GET, &format!("{PUBLIC}/metadata"), &[]).await.json();
    assert!(!public.to_string().contains("history-instance"));
}
