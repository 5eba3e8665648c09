//! What was imported comes back as it was written.

use harness::Program;
use http::StatusCode;
use serde_json::json;

#[tokio::test]
async fn a_decimal_keeps_its_precision_from_import_to_answer() {
    let program = Program::serve().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("precise.json");
    // FHIR, "decimal": the precision is significant, 1.50 mg is not 1.5 mg.
    let bundle = json!({"resourceType": "Bundle", "type": "collection", "entry": [
        {"fullUrl": "https://precise.example/MedicinalProductDefinition/620000000001", "resource": {
            "resourceType": "MedicinalProductDefinition", "id": "620000000001",
            "domain": {"coding": [{"system": "http://spor.ema.europa.eu/v1/lists/100000000004", "code": "100000000012"}]},
            "name": [{"productName": "Precisol"}]}},
        {"fullUrl": "https://precise.example/PackagedProductDefinition/62000001", "resource": {
            "resourceType": "PackagedProductDefinition", "id": "62000001",
            "packageFor": [{"reference": "MedicinalProductDefinition/620000000001"}],
            "containedItemQuantity": [{"value": 777_777, "unit": "mg"}]}},
    ]});
    let text = bundle.to_string().replace("777777", "1.500");
    std::fs::write(&file, text).unwrap();
    let report = program.result(&["products", "import", file.to_str().unwrap()]);
    assert_eq!((report["imported"].as_u64(), report["refused"].clone()), (Some(2), json!([])));
    // Importing it again finds nothing changed: the comparison knows the precision, too.
    let report = program.result(&["products", "import", file.to_str().unwrap()]);
    assert_eq!(report["unchanged"], 2);

    let api = program.api();
    let token = api.token(&program.authority(&["human"])).await;
    for base in ["/pms/api/v3", "/pms/api/v5-alpha"] {
        let answer =
            api.get(&format!("{base}/MedicinalProductDefinition/620000000001/$everything"), &token).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        if base.ends_with("v5-alpha") {
            assert!(answer.text().contains("\"value\":1.500"), "{}", answer.text());
        }
    }
}
