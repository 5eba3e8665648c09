//! `$merge` and TransactionResponse over HTTP: every documented example, and what hangs on the exchange.

use axum::body::Body;
use fhir_model::merge::Rule;
use http::{HeaderName, HeaderValue, Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use time::Duration;
use tower::ServiceExt as _;

use crate::harness::{Answer, Caller, HOST, House, V5};

const HOLDER: &str = "ORG-100099001";
pub(crate) const ID: &str = "600000000901";

pub(crate) const OWNER: Caller = Caller { organisation: Some(HOLDER), ..Caller::OWNER };
pub(crate) const QUALIFIED: Caller = Caller { organisation: Some(HOLDER), ..Caller::QUALIFIED };

pub(crate) fn example(name: &str) -> Option<Value> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/merge-examples");
    let text = std::fs::read_to_string(folder.join(name)).ok()?;
    Some(serde_json::from_str(&text).unwrap())
}

/// The products of the examples, in the versions that the examples are about: imported so often.
pub(crate) async fn documented() -> House {
    let house = House::empty().await;
    // Together, as what stands in both must be known to be of both.
    let resources: Vec<Value> = ["product.json", "other-product.json"]
        .into_iter()
        .flat_map(|name| example(name).unwrap()["entry"].as_array().unwrap().clone())
        .map(|entry| entry["resource"].clone())
        .collect();
    let version = |it: &Value| it["meta"]["versionId"].as_str().unwrap().parse::<usize>().unwrap();
    let most = resources.iter().map(version).max().unwrap();
    for round in 1..=most {
        let entries: Vec<Value> = resources
            .iter()
            .map(|resource| {
                let mut resource = resource.clone();
                if round < version(&resource) {
                    resource["language"] = ["en", "de", "fr", "es"][round % 4].into();
                }
                json!({"resource": resource})
            })
            .collect();
        house.import(vec![json!({"resourceType": "Bundle", "type": "collection", "entry": entries})]).await;
    }
    house
}

/// A request with a body, in the name of a client.
async fn send(
    house: &House,
    (caller, client_id): (&Caller, &str),
    method: Method,
    path: &str,
    headers: &[(&'static str, &str)],
    body: impl Into<Body>,
) -> Answer {
    let target = format!("{V5}{path}");
    let mut context = house.context(caller, &target);
    client_id.clone_into(&mut context.client_id);
    let now = house.clock.now();
    let signed = caller_context::sign(&context, &house.key, method.as_str(), &target, now).unwrap();
    let mut request =
        Request::builder().method(method).uri(&target).header("host", HOST).body(body.into()).unwrap();
    for (name, value) in headers.iter().copied().chain([(caller_context::HEADER, signed.as_str())]) {
        request.headers_mut().append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
    }
    let response = house.backend.router.clone().oneshot(request).await.unwrap();
    let (head, body) = response.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    Answer { status: head.status, headers: head.headers, text: String::from_utf8(bytes.to_vec()).unwrap() }
}

const JSON: (&str, &str) = ("content-type", "application/fhir+json");

pub(crate) async fn merge(
    house: &House,
    caller: &Caller,
    headers: &[(&'static str, &str)],
    bundle: &Value,
) -> Answer {
    let headers = [&[JSON], headers].concat();
    let path = "/MedicinalProductDefinition/$merge";
    send(house, (caller, "client"), Method::POST, path, &headers, bundle.to_string()).await
}

/// A merge as it is written.
pub(crate) async fn send_bundle(house: &House, caller: &Caller, kind: &str, text: String) -> Answer {
    let path = "/MedicinalProductDefinition/$merge";
    send(house, (caller, "client"), Method::POST, path, &[("content-type", kind)], text).await
}

/// What the caller reads of the product, by `Type/id`.
pub(crate) async fn everything(house: &House, caller: &Caller) -> std::collections::BTreeMap<String, Value> {
    let target = format!("{V5}/MedicinalProductDefinition/{ID}/$everything");
    let entries = house.get(caller, &target).await.entries();
    let key = |it: &Value| fhir_model::resource_key(it).unwrap().to_string();
    entries.into_iter().map(|entry| (key(&entry["resource"]), entry["resource"].clone())).collect()
}

/// The Bundle that tells the outcome of a merge that goes through the queue.
pub(crate) async fn outcome_later(house: &House, caller: &Caller, bundle: &Value) -> Value {
    let taken = merge(house, caller, &[("prefer", "respond-async")], bundle).await;
    assert_eq!(taken.status, StatusCode::ACCEPTED, "{}", taken.text);
    let id = taken.header("content-location").rsplit('/').next().unwrap().to_owned();
    house.backend.merge_worker.run_once().await.unwrap();
    let path = format!("/TransactionResponse/{id}");
    let done = send(house, (caller, "client"), Method::GET, &path, &[], Body::empty()).await;
    assert_eq!(done.status, StatusCode::OK, "{}", done.text);
    done.json()
}

#[tokio::test]
async fn every_documented_rejection_is_told_and_changes_nothing() {
    let house = documented().await;
    let before = everything(&house, &Caller::AGENCY).await;
    let mut seen = 0;
    for rule in Rule::ALL {
        let Some(bundle) = example(&format!("{}.rejected.json", rule.id())) else { continue };
        let caller = match rule {
            Rule::Ownership => Caller { organisation: Some("ORG-100099777"), ..Caller::QUALIFIED },
            Rule::Qualified => OWNER,
            _ => QUALIFIED,
        };
        let answer = merge(&house, &caller, &[], &bundle).await;
        let due = match rule {
            Rule::Transaction | Rule::Entry => 400,
            Rule::Ownership | Rule::Qualified => 403,
            _ => 422,
        };
        assert_eq!(answer.status.as_u16(), due, "{}: {}", rule.id(), answer.text);
        let outcome = answer.json();
        let issue = &outcome["issue"][0];
        assert_eq!(issue["details"]["coding"][0]["code"], rule.id(), "{outcome:#}");
        assert!(issue["details"]["text"].as_str().unwrap().len() > 20);
        assert!(issue["diagnostics"].as_str().unwrap().contains("Read: "), "{issue:#}");
        assert!(issue["expression"][0].as_str().is_some_and(|it| it.starts_with("Bundle")), "{issue:#}");
        seen += 1;
    }
    assert!(seen > 28, "{seen}");
    assert_eq!(everything(&house, &Caller::AGENCY).await, before);
}

#[tokio::test]
async fn every_documented_acceptance_is_stored_and_told_as_it_is_read() {
    for rule in Rule::ALL {
        let house = documented().await;
        let bundle = example(&format!("{}.accepted.json", rule.id())).unwrap();
        let answer = merge(&house, &QUALIFIED, &[], &bundle).await;
        assert_eq!(answer.status, StatusCode::OK, "{}: {}", rule.id(), answer.text);
        let response = answer.json();
        assert_eq!(response["type"], "transaction-response");
        let root = &response["entry"][0];
        assert_eq!(root["resource"]["meta"]["versionId"], "4", "{}", rule.id());
        let told = root["response"]["outcome"]["issue"].as_array().cloned().unwrap_or_default();
        let warns = matches!(rule, Rule::Placeholder | Rule::Detached);
        let is_rule = |issue: &Value| issue["details"]["coding"][0]["code"] == rule.id();
        assert_eq!(told.iter().any(is_rule), warns, "{}: {told:#?}", rule.id());
        let read = everything(&house, &QUALIFIED).await;
        let sent = bundle["entry"].as_array().unwrap();
        for (entry, sent) in response["entry"].as_array().unwrap().iter().zip(sent) {
            let resource = &entry["resource"];
            let key = fhir_model::resource_key(resource).unwrap().to_string();
            assert_eq!(read.get(&key), Some(resource), "{}", rule.id());
            let version = resource["meta"]["versionId"].as_str().unwrap();
            let place = format!("http://{HOST}{V5}/{key}/_history/{version}");
            assert_eq!(entry["response"]["location"], place);
            let created = sent["request"]["method"] == "POST";
            let status = if created { "201 Created" } else { "200 OK" };
            assert_eq!(entry["response"]["status"], status, "{entry:#}");
            assert!(!created || resource["id"].as_str().unwrap().starts_with("6000"), "{key}");
        }
        assert!(!answer.text.contains("urn:uuid"), "{}", answer.text);
    }
}

#[tokio::test]
async fn the_answer_shows_each_writer_what_it_may_read_and_hidden_parts_stay() {
    for (caller, whole) in [(OWNER, false), (QUALIFIED, true), (Caller::AGENCY, true)] {
        let house = documented().await;
        // Something that only the qualified see.
        let mut product = example("product.json").unwrap();
        let entries = product["entry"].as_array_mut().unwrap();
        entries[0]["resource"]["operation"][0]["confidentialityIndicator"] = json!({"text": "Confidential"});
        house.import(vec![product]).await;
        let stored = everything(&house, &Caller::AGENCY).await;
        let root_key = format!("MedicinalProductDefinition/{ID}");
        let seen = everything(&house, &caller).await;
        assert_eq!(seen[&root_key].get("operation").is_some(), whole, "{}", caller.label);
        let mut root = seen[&root_key].clone();
        root["name"][0]["productName"] = "Mergolin forte".into();
        let entry = json!({"request": {"method": "PUT", "url": root_key}, "resource": root});
        let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": [entry]});
        let answer = merge(&house, &caller, &[], &bundle).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        let shown = &answer.json()["entry"][0]["resource"];
        assert_eq!(shown, &everything(&house, &caller).await[&root_key]);
        assert_eq!(shown.get("operation").is_some(), whole);
        let now = everything(&house, &Caller::AGENCY).await;
        assert_eq!(now[&root_key]["operation"], stored[&root_key]["operation"]);
        assert_eq!(now[&root_key]["name"][0]["productName"], "Mergolin forte");
    }
}

#[tokio::test]
async fn another_s_hidden_and_absent_products_are_refused_to_the_same_byte() {
    let house = documented().await;
    let hidden = "600000000003";
    let pending = crate::catalogue::with_status(hidden, "Pending", HOLDER, "100000000012", "220000000066");
    house.import(vec![pending]).await;
    let bundle = example("R1.accepted.json").unwrap().to_string();
    for follow in [false, true] {
        if follow {
            house.follow().await;
        }
        for caller in [Caller::STRANGER, Caller::AUTHORITY] {
            for headers in [&[][..], &[("prefer", "respond-async")], &[("idempotency-key", "k")]] {
                let mut told = Vec::new();
                for id in ["699999999999", ID, hidden] {
                    let bundle: Value = serde_json::from_str(&bundle.replace(ID, id)).unwrap();
                    let answer = merge(&house, &caller, headers, &bundle).await;
                    assert_eq!(answer.status, StatusCode::FORBIDDEN, "{}", answer.text);
                    let text = answer.text.replace(id, "ID");
                    told.push((answer.headers.clone(), text));
                }
                assert!(told.iter().all(|one| *one == told[0]), "{told:#?}");
            }
        }
    }
}

#[tokio::test]
async fn a_queued_merge_is_told_to_its_sender_for_ninety_days() {
    let house = documented().await;
    let bundle = example("qualified.accepted.json").unwrap();
    let taken =
        merge(&house, &QUALIFIED, &[("prefer", "return=representation, respond-async")], &bundle).await;
    assert_eq!(taken.status, StatusCode::ACCEPTED, "{}", taken.text);
    assert_eq!(taken.header("preference-applied"), "respond-async");
    assert_eq!(taken.header("retry-after"), "1");
    assert_eq!(taken.json()["resourceType"], "OperationOutcome");
    let base = format!("http://{HOST}{V5}/TransactionResponse/");
    let id = taken.header("content-location").strip_prefix(&base).unwrap().to_owned();
    assert_eq!((id.len(), id.as_bytes()[14]), (36, b'4'), "a random UUID: {id}");
    let ask = async |client: (&Caller, &str), id: &str| {
        send(&house, client, Method::GET, &format!("/TransactionResponse/{id}"), &[], Body::empty()).await
    };
    let waiting = ask((&QUALIFIED, "client"), &id).await;
    assert_eq!((waiting.status, waiting.header("retry-after")), (StatusCode::ACCEPTED, "1"));
    assert_eq!(house.backend.merge_worker.run_once().await.unwrap(), 1);
    let done = ask((&QUALIFIED, "client"), &id).await;
    assert_eq!(done.status, StatusCode::OK, "{}", done.text);
    let response = done.json();
    assert_eq!(response["entry"][1]["response"]["status"], "201 Created");
    let read = everything(&house, &QUALIFIED).await;
    assert_eq!(read[&format!("MedicinalProductDefinition/{ID}")], response["entry"][0]["resource"]);
    // The same client without the flag sees less of the same.
    let less = ask((&OWNER, "client"), &id).await.json();
    assert_eq!(less["entry"][1].get("resource"), None, "{less:#}");

    let unknown = ask((&QUALIFIED, "client"), "0b0e7c52-6c4e-4df2-9a0c-0d7c39a7c1a4").await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
    let upper = id.to_uppercase();
    for (client, id) in [
        ((&QUALIFIED, "another"), id.as_str()),
        ((&Caller::STRANGER, "stranger"), id.as_str()),
        ((&QUALIFIED, "client"), upper.as_str()),
        ((&QUALIFIED, "client"), "1"),
    ] {
        let refused = ask(client, id).await;
        assert_eq!(
            (refused.status, &refused.headers, &refused.text),
            (unknown.status, &unknown.headers, &unknown.text)
        );
    }
    house.clock.advance(Duration::days(90) - Duration::seconds(1));
    assert_eq!(ask((&QUALIFIED, "client"), &id).await.status, StatusCode::OK);
    house.clock.advance(Duration::seconds(1));
    assert_eq!(ask((&QUALIFIED, "client"), &id).await.text, unknown.text);
    house.backend.merge_worker.run_once().await.unwrap();
    house.clock.advance(-Duration::days(1));
    assert_eq!(ask((&QUALIFIED, "client"), &id).await.text, unknown.text, "it is gone, not only hidden");
}

#[tokio::test]
async fn a_queued_merge_that_breaks_a_rule_says_so_in_its_response() {
    let house = documented().await;
    let later = outcome_later(&house, &QUALIFIED, &example("R3.rejected.json").unwrap()).await;
    let response = &later["entry"][0]["response"];
    assert_eq!(response["status"], "422 Unprocessable Entity");
    assert_eq!(response["outcome"]["issue"][0]["details"]["coding"][0]["code"], "R3");
}

#[tokio::test]
async fn a_large_merge_waits_and_later_ones_of_its_product_wait_behind_it() {
    let house = documented().await;
    let mut large = example("R1.accepted.json").unwrap();
    large["entry"][1]["resource"]["description"] = "x".repeat(600_000).into();
    let taken = merge(&house, &QUALIFIED, &[], &large).await;
    assert_eq!(taken.status, StatusCode::ACCEPTED, "{}", taken.text);
    assert_eq!(taken.header("preference-applied"), "");
    let behind = merge(&house, &QUALIFIED, &[], &example("R1.accepted.json").unwrap()).await;
    assert_eq!(behind.status, StatusCode::ACCEPTED);
    assert_eq!(house.backend.merge_worker.run_once().await.unwrap(), 2);
    let root = &everything(&house, &QUALIFIED).await[&format!("MedicinalProductDefinition/{ID}")];
    assert_eq!(root["meta"]["versionId"], "4", "the second came with the old version");
}

#[tokio::test]
async fn an_idempotency_key_stands_for_one_request_of_one_client() {
    let house = documented().await;
    let bundle = example("R1.accepted.json").unwrap();
    let key = [("idempotency-key", "\"8e03978e-40d5-43e8-bc93-6894a57f9324\"")];
    let (first, second) =
        tokio::join!(merge(&house, &QUALIFIED, &key, &bundle), merge(&house, &QUALIFIED, &key, &bundle));
    assert_eq!((first.status, second.status), (StatusCode::OK, StatusCode::CONFLICT), "{}", second.text);
    let again = merge(&house, &QUALIFIED, &key, &bundle).await;
    assert_eq!((again.status, &again.text), (first.status, &first.text));
    let other = merge(&house, &QUALIFIED, &key, &example("R3.accepted.json").unwrap()).await;
    assert_eq!(other.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(other.json()["issue"][0]["expression"][0], "http.Idempotency-Key");
    let malformed = merge(&house, &QUALIFIED, &[("idempotency-key", "a b")], &bundle).await;
    assert_eq!(malformed.status, StatusCode::BAD_REQUEST);
    let root = &everything(&house, &QUALIFIED).await[&format!("MedicinalProductDefinition/{ID}")];
    assert_eq!(root["meta"]["versionId"], "4");
    // Without a key the same request meets its own version.
    let without = merge(&house, &QUALIFIED, &[], &bundle).await;
    assert_eq!(without.json()["issue"][0]["details"]["coding"][0]["code"], "R1");
}

#[tokio::test]
async fn validation_says_what_would_happen_and_changes_nothing() {
    let house = documented().await;
    let before = everything(&house, &Caller::AGENCY).await;
    let ask = async |value: &str, name: &str| {
        let path = format!("/MedicinalProductDefinition/$merge?_validate-only={value}");
        let body = example(name).unwrap().to_string();
        send(&house, (&QUALIFIED, "client"), Method::POST, &path, &[JSON], body).await
    };
    let fine = ask("true", "placeholder.accepted.json").await;
    assert_eq!(fine.status, StatusCode::OK);
    let issues = fine.json()["issue"].as_array().unwrap().clone();
    let severities: Vec<_> = issues.iter().map(|issue| issue["severity"].as_str().unwrap()).collect();
    assert_eq!(severities, ["information", "information", "information", "warning"], "{issues:#?}");
    assert_eq!(ask("true", "R4.rejected.json").await.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(ask("perhaps", "R4.accepted.json").await.status, StatusCode::BAD_REQUEST);
    assert_eq!(everything(&house, &Caller::AGENCY).await, before);
    assert_eq!(ask("false", "R4.accepted.json").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_body_is_read_within_limits_in_json_and_xml() {
    let house = documented().await;
    let path = "/MedicinalProductDefinition/$merge";
    let post = async |kind: &str, body: Vec<u8>| {
        send(&house, (&QUALIFIED, "client"), Method::POST, path, &[("content-type", kind)], body).await
    };
    for (kind, body, status, code) in [
        ("application/fhir+json", b"{\"a\":".to_vec(), 400, "structure"),
        ("application/fhir+json", b"[]".to_vec(), 400, "structure"),
        ("application/fhir+json", Vec::new(), 400, "structure"),
        ("application/fhir+xml", b"<Bundle".to_vec(), 400, "structure"),
        ("application/fhir+xml", vec![0xff], 400, "structure"),
        ("text/plain", b"{}".to_vec(), 415, "not-supported"),
        ("application/json", vec![b' '; 10 * 1024 * 1024 + 1], 413, "too-long"),
    ] {
        let answer = post(kind, body).await;
        assert_eq!(answer.status.as_u16(), status, "{}", answer.text);
        assert_eq!(answer.json()["issue"][0]["code"], code, "{}", answer.text);
    }
    let bundle = example("R1.accepted.json").unwrap();
    let xml = fhir_model::xml::write(pms_terms::FhirVersion::V5_0_0, &bundle).unwrap();
    let answer = post("application/fhir+xml; charset=utf-8", xml.into_bytes()).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    assert_eq!(answer.json()["entry"][1]["resource"]["containedItemQuantity"][0]["value"], 20);
}
