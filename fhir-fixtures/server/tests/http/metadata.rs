//! `/metadata`: open to all, from the same data as the routes.

use http::{Method, StatusCode};

use crate::harness::{HOST, House, PUBLIC, V3, V5};

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
    for parameter in resource["searchParam"].as_array().unwrap() {
        let text = parameter["documentation"].as_str().unwrap();
        let restricted = ["contact", "master-file", "ingredient", "characteristic"]
            .contains(&parameter["name"].as_str().unwrap());
        assert_eq!(text.contains("For callers of these groups only"), restricted, "{parameter}");
    }
    assert_eq!(resource["operation"][0]["name"], "everything");
    let lists = |member: &str, one: &str| resource[member].as_array().unwrap().iter().any(|two| two == one);
    assert!(lists("searchInclude", "MedicinalProductDefinition:contact"), "{resource}");
    assert!(lists("searchRevInclude", "RegulatedAuthorization:subject"), "{resource}");
    assert!(resource["interaction"][3]["documentation"].as_str().unwrap().contains("_search"), "{resource}");
    let v5 = house.send(&Method::GET, &format!("{V5}/metadata"), &[]).await.json();
    let resources = v5["rest"][0]["resource"].as_array().unwrap();
    assert_eq!(resources.len(), 1, "a TransactionResponse is no resource of FHIR: {v5}");
    let operations = resources[0]["operation"].as_array().unwrap();
    let names: Vec<_> = operations.iter().map(|operation| operation["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["everything", "merge"]);
    let public = house.send(&Method::GET, &format!("{PUBLIC}/metadata"), &[]).await.json();
    assert!(!public.to_string().contains("history-instance"));
}
