//! What the APIs say about themselves: OpenAPI, Swagger UI in a real browser, CapabilityStatements.

use std::{fs, path::Path, process::Command};

use harness::{Driver, Program, Store, check_fhir, checkout, shared};
use http::StatusCode;
use serde_json::Value;

use super::third_party_clients::provided;

/// The products: id, base path, FHIR version.
pub(crate) const PRODUCTS: [(&str, &str, &str); 3] = [
    ("pms-read-v3", "/pms/api/v3", "4.4.0"),
    ("pms-write-v5-alpha", "/pms/api/v5-alpha", "5.0.0"),
    ("public-v1", "/public/v1", "5.0.0"),
];

/// The committed document of a product.
fn committed(id: &str) -> String {
    fs::read_to_string(checkout().join(format!("docs/openapi/{id}.json"))).unwrap()
}

/// All examples of resources in a document.
fn examples(document: &Value, found: &mut Vec<Value>) {
    match document {
        Value::Object(members) => {
            if let Some(example) =
                members.get("example").filter(|example| example["resourceType"].is_string())
            {
                found.push(example.clone());
            }
            members.values().for_each(|value| examples(value, found));
        }
        Value::Array(elements) => elements.iter().for_each(|value| examples(value, found)),
        _ => {}
    }
}

/// The examples of the committed document of a product, as files.
pub(crate) fn save_examples(id: &str, folder: &Path) -> usize {
    let mut found = Vec::new();
    examples(&serde_json::from_str(&committed(id)).unwrap(), &mut found);
    for (number, example) in found.iter().enumerate() {
        fs::write(folder.join(format!("example-{id}-{number}.json")), example.to_string()).unwrap();
    }
    found.len()
}

#[tokio::test]
async fn the_documents_are_served_as_committed_and_valid() {
    let program = Program::serve().await;
    let api = program.api();
    let folder = tempfile::tempdir().unwrap();
    let mut files = Vec::new();
    for (id, base, _) in PRODUCTS {
        let answer = api.send(api.request("GET", &format!("{base}/openapi.json"))).await;
        assert_eq!((answer.status, answer.header("content-type")), (StatusCode::OK, "application/json"));
        let expected = committed(id).replace("https://localhost:8443", &program.ready.base_url);
        assert_eq!(answer.json(), serde_json::from_str::<Value>(&expected).unwrap(), "{id}");
        let file = folder.path().join(format!("{id}.json"));
        fs::write(&file, &answer.body).unwrap();
        files.push(file);
    }
    let Some(python) = provided("PMSGATE_TEST_PYTHON") else { return };
    let script = checkout().join("tests/clients/check_openapi.py");
    let output = Command::new(python).arg(script).args(&files).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn the_command_writes_what_is_committed() {
    let folder = tempfile::tempdir().unwrap();
    let output = harness::data_folder_command(&folder.path().join("data"), &[])
        .args(["config", "openapi"])
        .arg(folder.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for (id, _, _) in PRODUCTS {
        let written = fs::read_to_string(folder.path().join(format!("{id}.json"))).unwrap();
        assert!(
            written == committed(id),
            "docs/openapi/{id}.json is stale: cargo run -- config openapi docs/openapi"
        );
    }
}

#[tokio::test]
async fn capability_statements_and_examples_are_valid_fhir() {
    let program = Program::serve().await;
    let api = program.api();
    for (id, base, version) in PRODUCTS {
        let folder = tempfile::tempdir().unwrap();
        let answer = api.send(api.request("GET", &format!("{base}/metadata"))).await;
        assert_eq!(answer.header("content-type"), "application/fhir+json");
        let statement = answer.json();
        assert_eq!(statement["fhirVersion"], version);
        assert_eq!(statement["implementation"]["url"], format!("{}{base}", program.ready.base_url));
        let token_url = &statement["rest"][0]["security"]["extension"][0]["extension"][0]["valueUri"];
        assert_eq!(*token_url, program.ready.token_url.clone().unwrap());
        fs::write(folder.path().join("metadata.json"), &answer.body).unwrap();

        let xml = api
            .send(api.request("GET", &format!("{base}/metadata")).header("Accept", "application/fhir+xml"));
        let xml = xml.await;
        assert_eq!(xml.header("content-type"), "application/fhir+xml");
        let text = xml.text();
        assert!(text.contains(&format!("<fhirVersion value=\"{version}\"/>")), "{text}");
        assert!(text.contains(&format!("<valueUri value={token_url}/>")), "{text}");

        assert!(save_examples(id, folder.path()) > 10);
        if let Some(shared) = shared() {
            assert_eq!(check_fhir(&shared, version, folder.path()), Vec::<String>::new(), "{id}");
        }
    }
}

#[tokio::test]
async fn swagger_ui_shows_each_api_and_sends_a_request_with_a_token() {
    let Some(driver) = Driver::start() else { return };
    let program = Program::serve_with(Store::Sqlite, &[]).await;
    let browser = driver.browser(&program.ready.base_url).await;
    for (id, base, _) in PRODUCTS {
        browser.visit(&format!("{base}/swagger")).await;
        let document: Value = serde_json::from_str(&committed(id)).unwrap();
        let title = browser.wait_for(".info .title").await;
        assert!(title.starts_with(document["info"]["title"].as_str().unwrap()), "{title}");
        browser.wait_for(".opblock").await;
        let operations: usize =
            document["paths"].as_object().unwrap().values().map(|path| path.as_object().unwrap().len()).sum();
        let shown = browser.texts(".opblock-summary-description").await;
        assert_eq!(shown.len(), operations, "{id}: {shown:?}");
        assert_eq!(browser.complaints().await, Vec::<String>::new(), "{id}");
    }

    // The whole way of somebody who tries it out: a token by client credentials, then a search.
    browser.visit("/pms/api/v3/swagger").await;
    browser.click(".auth-wrapper .authorize").await;
    let demo = program.ready.demo.as_ref().unwrap();
    browser.type_into("#client_id_clientCredentials", &demo.client_id).await;
    browser.type_into("#client_secret_clientCredentials", &demo.client_secret).await;
    browser.click(".modal-ux .auth-btn-wrapper .authorize").await;
    browser.wait_for(".modal-ux .auth-btn-wrapper .btn-done").await;
    browser.wait_for(".modal-ux .auth-container code").await;
    browser.click(".modal-ux .auth-btn-wrapper .btn-done").await;
    browser.click("#operations-MedicinalProductDefinition-EP301 .opblock-summary-control").await;
    browser.click("#operations-MedicinalProductDefinition-EP301 .execute").await;
    let status = browser.wait_for(".live-responses-table tr.response .response-col_status").await;
    assert!(status.contains("200"), "{status}: {}", browser.text().await);
    let body = browser.wait_for(".live-responses-table tr.response .response-col_description").await;
    assert!(body.contains("\"resourceType\": \"Bundle\""), "{body}");
    assert_eq!(browser.complaints().await, Vec::<String>::new());
    browser.screenshot("swagger").await;
    browser.close().await;
}
