//! Writing a product as a third party does it: read, change, merge, read again; at once and through the queue.

use harness::{Answer, ApiClient, Program};
use http::StatusCode;
use serde_json::{Value, json};

const PRODUCT: &str = "600000900001";
const WRITE: &str = "/pms/api/v5-alpha";

async fn merge(
    api: &ApiClient,
    token: &str,
    headers: &[(&str, &str)],
    query: &str,
    bundle: &Value,
) -> Answer {
    let mut request = api
        .request("POST", &format!("{WRITE}/MedicinalProductDefinition/$merge{query}"))
        .bearer_auth(token)
        .header("content-type", "application/fhir+json");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    api.send(request.body(bundle.to_string())).await
}

/// The product and its first pack, as `$everything` shows them.
async fn read(api: &ApiClient, token: &str) -> (Value, Value) {
    let answer = api.get(&format!("{WRITE}/MedicinalProductDefinition/{PRODUCT}/$everything"), token).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    let bundle = answer.json();
    let find = |kind: &str| {
        let mut all = bundle["entry"].as_array().unwrap().iter().map(|entry| &entry["resource"]);
        all.find(|resource| resource["resourceType"] == kind).unwrap().clone()
    };
    (find("MedicinalProductDefinition"), find("PackagedProductDefinition"))
}

fn version(resource: &Value) -> u32 {
    resource["meta"]["versionId"].as_str().unwrap().parse().unwrap()
}

fn transaction(resources: &[&Value]) -> Value {
    let entries: Vec<Value> = resources
        .iter()
        .map(|resource| {
            let url = format!(
                "{}/{}",
                resource["resourceType"].as_str().unwrap(),
                resource["id"].as_str().unwrap()
            );
            json!({"resource": resource, "request": {"method": "PUT", "url": url}})
        })
        .collect();
    json!({"resourceType": "Bundle", "type": "transaction", "entry": entries})
}

#[tokio::test]
async fn a_pack_size_is_changed_by_reading_merging_and_reading_again() {
    for store in Program::stores() {
        let program = Program::serve_with(store, &[]).await;
        let api = program.api();
        let token = api.token(&program.industry("ORG-100000001", &[])).await;
        let (root, mut pack) = read(&api, &token).await;
        pack["containedItemQuantity"] = json!([{"value": 4711, "unit": "tablet"}]);
        let bundle = transaction(&[&root, &pack]);

        let checked = merge(&api, &token, &[], "?_validate-only=true", &bundle).await;
        assert_eq!(checked.status, StatusCode::OK, "{}", checked.text());
        assert_eq!(version(&read(&api, &token).await.0), version(&root), "nothing changed");

        let merged = merge(&api, &token, &[("idempotency-key", "\"pack-4711\"")], "", &bundle).await;
        assert_eq!(merged.status, StatusCode::OK, "{}", merged.text());
        let response = merged.json();
        assert_eq!(response["type"], "transaction-response");
        let first = &response["entry"][0];
        assert_eq!(version(&first["resource"]), version(&root) + 1);
        let base = format!("{}{WRITE}/", program.ready.base_url);
        for place in [&first["fullUrl"], &first["response"]["location"]] {
            assert!(place.as_str().unwrap().starts_with(&base), "{place} is not below {base}");
        }
        let (new_root, new_pack) = read(&api, &token).await;
        assert_eq!(version(&new_root), version(&root) + 1);
        assert_eq!(new_pack["containedItemQuantity"][0]["value"], 4711);
        assert_eq!(response["entry"][1]["resource"], new_pack);
        let page = api.get(&format!("/pms/api/v3/MedicinalProductDefinition/{PRODUCT}"), &token).await;
        assert_eq!(version(&page.json()), version(&root) + 1, "the read API shows it, too");

        let again = merge(&api, &token, &[("idempotency-key", "\"pack-4711\"")], "", &bundle).await;
        assert_eq!((again.status, again.json()), (merged.status, response));
        let late = merge(&api, &token, &[], "", &bundle).await;
        assert_eq!(late.status, StatusCode::UNPROCESSABLE_ENTITY);
        let issue = &late.json()["issue"][0];
        assert_eq!(issue["details"]["coding"][0]["code"], "R1");
        assert_eq!(issue["expression"][0], "Bundle.entry[0].resource.meta.versionId");
    }
}

#[tokio::test]
async fn a_merge_that_may_wait_is_told_at_the_address_it_was_given() {
    for store in Program::stores() {
        let program = Program::serve_with(store, &[]).await;
        let api = program.api();
        let credentials = program.industry("ORG-100000001", &[]);
        let token = api.token(&credentials).await;
        let (mut root, _) = read(&api, &token).await;
        root["name"][0]["productName"] = "Waitol 5 mg".into();
        let bundle = transaction(&[&root]);
        let taken = merge(&api, &token, &[("prefer", "respond-async")], "", &bundle).await;
        assert_eq!(taken.status, StatusCode::ACCEPTED, "{}", taken.text());
        assert!(!taken.header("retry-after").is_empty());
        let place = taken.header("content-location").to_owned();
        let base = format!("{}{WRITE}/TransactionResponse/", program.ready.base_url);
        assert!(place.starts_with(&base), "{place} is not below {base}");
        let outcome = loop {
            let answer = api.follow(&place, &token).await;
            if answer.status != StatusCode::ACCEPTED {
                break answer;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        };
        assert_eq!(outcome.status, StatusCode::OK, "{}", outcome.text());
        assert_eq!(outcome.json()["entry"][0]["resource"]["name"][0]["productName"], "Waitol 5 mg");
        assert_eq!(read(&api, &token).await.0, outcome.json()["entry"][0]["resource"]);
        // Another client of the same organisation, and an id that was never given.
        let other = api.token(&program.industry("ORG-100000001", &["--qualified"])).await;
        let foreign = api.follow(&place, &other).await;
        let unknown = format!("{WRITE}/TransactionResponse/0b0e7c52-6c4e-4df2-9a0c-0d7c39a7c1a4");
        let unknown = api.get(&unknown, &other).await;
        assert_eq!(unknown.status, StatusCode::NOT_FOUND);
        assert_eq!(foreign.without_request_id(), unknown.without_request_id());
    }
}

#[tokio::test]
async fn only_the_write_api_merges_and_only_for_the_holder() {
    let program = Program::serve().await;
    let api = program.api();
    let owner = api.token(&program.industry("ORG-100000001", &[])).await;
    let (mut root, _) = read(&api, &owner).await;
    root["name"][0]["productName"] = "Stolenol".into();
    let bundle = transaction(&[&root]);
    for caller in
        [program.industry("ORG-100000002", &["--qualified"]), program.authority(&["human", "veterinary"])]
    {
        let token = api.token(&caller).await;
        let about = async |id: &str| {
            let bundle: Value = serde_json::from_str(&bundle.to_string().replace(PRODUCT, id)).unwrap();
            let (status, headers, text) = merge(&api, &token, &[], "", &bundle).await.without_request_id();
            (status, headers, text.replace(id, "ID"))
        };
        let unknown = about("600000999999").await;
        assert_eq!(unknown.0, StatusCode::FORBIDDEN, "{}", unknown.2);
        assert_eq!(about(PRODUCT).await, unknown);
    }
    let narrow = program.industry("ORG-100000001", &["--scope", "system/MedicinalProductDefinition.rs"]);
    let narrow = api.token(&narrow).await;
    assert_eq!(merge(&api, &narrow, &[], "", &bundle).await.status, StatusCode::FORBIDDEN);
    let public = api.token(&program.public()).await;
    for (path, token) in [
        ("/public/v1/MedicinalProductDefinition/$merge", &public),
        ("/public/v1/TransactionResponse/0b0e7c52-6c4e-4df2-9a0c-0d7c39a7c1a4", &public),
        ("/pms/api/v3/MedicinalProductDefinition/$merge", &owner),
    ] {
        let request =
            api.request("POST", path).bearer_auth(token).header("content-type", "application/fhir+json");
        let answer = api.send(request.body(bundle.to_string())).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}: {}", answer.text());
    }
    assert_ne!(read(&api, &owner).await.0["name"][0]["productName"], "Stolenol");
}
