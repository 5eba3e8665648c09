//! The administration API: what operators' machines do, what a machine does for itself, and what neither may.

use access_token::{ProofAlgorithm, testing::ClientSigner};
use authz_domain::Actor;
use authz_server::{IssuedCredentials, NewClient};
use axum::body::Body;
use database::testing::TestDatabase;
use http::Request;
use pms_terms::Domains;
use serde_json::{Value, json};
use time::Duration;

use crate::harness::{Answer, DEFAULT_SCOPE, TestAuthz, new_client};

const EVERYTHING: &str = "clients.read clients.write requests.read";

async fn operator(authz: &TestAuthz, organisation: Option<&str>) -> IssuedCredentials {
    let role = if organisation.is_some() { "organisation-operator" } else { "operator" };
    let new = NewClient {
        organisation: organisation.map(|id| id.parse().unwrap()),
        owner: None,
        external_key: None,
        role: role.to_owned(),
        label: "terraform".to_owned(),
        contact: None,
        qualified: false,
        domains: Domains::BOTH,
        scope: None,
    };
    authz.acts().create_client(Actor::Operator, new).await.unwrap()
}

async fn token_of(authz: &TestAuthz, client: &IssuedCredentials, scope: &str) -> String {
    authz.token(client, scope).await.access_token()
}

async fn call(authz: &TestAuthz, method: &str, path: &str, token: &str, body: Option<Value>) -> Answer {
    let mut request =
        Request::builder().method(method).uri(path).header("authorization", format!("Bearer {token}"));
    if body.is_some() {
        request = request.header("content-type", "application/json");
    }
    let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
    authz.send(request.body(body).unwrap()).await
}

/// Status and the last part of the problem's type.
fn problem(answer: &Answer) -> (u16, String) {
    assert_eq!(answer.header("content-type"), "application/problem+json", "{}", answer.text);
    let body = answer.json();
    assert_eq!(body["status"], answer.status.as_u16());
    assert!(body["title"].is_string() && body["detail"].is_string());
    let kind = body["type"].as_str().unwrap().strip_prefix("urn:pmsgate:problem:").unwrap().to_owned();
    (answer.status.as_u16(), kind)
}

fn wanted() -> Value {
    json!({ "role": "pms-industry-api", "organisation": "ORG-100000001", "label": "ERP", "contact": "it.team@medco.example" })
}

#[tokio::test]
async fn a_client_is_made_once_by_its_key_and_brought_up_to_date_after_that() {
    for authz in TestAuthz::each().await {
        let token = token_of(&authz, &operator(&authz, None).await, EVERYTHING).await;
        let path = "/api/v1/clients/by-key/erp-prod";
        let made = call(&authz, "PUT", path, &token, Some(wanted())).await;
        assert_eq!(made.status, 201, "{}", made.text);
        let id = made.json()["client"]["client_id"].as_str().unwrap().to_owned();
        assert_eq!(made.header("location"), format!("/api/v1/clients/{id}"));
        assert_eq!(made.header("cache-control"), "no-store");
        let secret = made.json()["credentials"]["client_secret"].as_str().unwrap().to_owned();
        let body = format!("grant_type=client_credentials&client_id={id}&client_secret={secret}");
        assert_eq!(authz.post("/oauth2/token", &body).await.status, 200);

        let again = call(&authz, "PUT", path, &token, Some(wanted())).await;
        assert_eq!((again.status.as_u16(), &again.json()["client_id"]), (200, &json!(id)));
        assert!(!again.text.contains(&secret), "shown once");
        let mut changed = wanted();
        changed["label"] = json!("ERP, Leiden");
        assert_eq!(call(&authz, "PUT", path, &token, Some(changed)).await.json()["label"], "ERP, Leiden");
        for (name, value) in
            [("role", json!("pms-nca-api")), ("qualified", json!(true)), ("scope", json!("system/*.rs"))]
        {
            let mut other = wanted();
            other[name] = value;
            let refused = call(&authz, "PUT", path, &token, Some(other)).await;
            assert!(matches!(refused.status.as_u16(), 409 | 422), "{name}: {}", refused.text);
            problem(&refused);
        }
        assert_eq!(call(&authz, "DELETE", &format!("/api/v1/clients/{id}"), &token, None).await.status, 204);
        assert_eq!(call(&authz, "DELETE", &format!("/api/v1/clients/{id}"), &token, None).await.status, 204);
        let anew = call(&authz, "PUT", path, &token, Some(wanted())).await;
        assert_eq!(anew.status, 201, "a revoked client gives its key free: {}", anew.text);
    }
}

#[tokio::test]
async fn clients_are_listed_page_by_page_changed_rotated_and_watched() {
    let authz = TestAuthz::start().await;
    let operator = operator(&authz, None).await;
    let token = token_of(&authz, &operator, EVERYTHING).await;
    for n in 0..5 {
        let path = format!("/api/v1/clients/by-key/k{n}");
        assert_eq!(call(&authz, "PUT", &path, &token, Some(wanted())).await.status, 201);
    }
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = format!("/api/v1/clients?limit=2{cursor}&organisation=ORG-100000001");
        let page = call(&authz, "GET", &path, &token, None).await.json();
        let items = page["items"].as_array().unwrap();
        assert!(items.len() <= 2);
        seen.extend(items.iter().map(|one| one["external_key"].as_str().unwrap().to_owned()));
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    seen.sort();
    assert_eq!(seen, ["k0", "k1", "k2", "k3", "k4"]);
    let all = call(&authz, "GET", "/api/v1/clients", &token, None).await.json();
    let id =
        all["items"].as_array().unwrap().iter().find(|one| one["external_key"] == "k0").unwrap()["client_id"]
            .as_str()
            .unwrap()
            .to_owned();
    let path = format!("/api/v1/clients/{id}");
    let change = json!({ "label": "new", "status": "suspended" });
    let changed = call(&authz, "PATCH", &path, &token, Some(change.clone())).await.json();
    assert_eq!(
        (&changed["label"], &changed["status"], &changed["contact"]),
        (&json!("new"), &json!("suspended"), &json!("it.team@medco.example"))
    );
    assert_eq!(call(&authz, "PATCH", &path, &token, Some(change)).await.status, 200, "again changes nothing");
    assert_eq!(
        call(&authz, "PATCH", &path, &token, Some(json!({ "status": "active" }))).await.json()["status"],
        "active"
    );

    let first = changed["secrets"][0]["secret_id"].as_str().unwrap().to_owned();
    let rotation = json!({ "newest_known": first });
    let rotated = call(&authz, "POST", &format!("{path}/secrets"), &token, Some(rotation.clone())).await;
    assert_eq!(rotated.status, 201, "{}", rotated.text);
    let repeated = call(&authz, "POST", &format!("{path}/secrets"), &token, Some(rotation)).await;
    assert_eq!(problem(&repeated), (409, "conflict".to_owned()));
    let gone = call(&authz, "DELETE", &format!("{path}/secrets/{first}"), &token, None).await;
    assert_eq!(gone.status, 204);
    let twice = call(&authz, "DELETE", &format!("{path}/secrets/{first}"), &token, None).await;
    assert_eq!(problem(&twice), (409, "conflict".to_owned()));

    let none = call(&authz, "GET", "/api/v1/credentials/expiring?within=90", &token, None).await.json();
    assert_eq!(none["items"], json!([]));
    authz.clock.advance(Duration::days(700));
    let token = token_of(&authz, &operator, "clients.read").await;
    let soon = call(&authz, "GET", "/api/v1/credentials/expiring?within=90", &token, None).await.json();
    let found = soon["items"].as_array().unwrap();
    assert!(found.iter().any(|one| one["client_id"] == json!(id) && one["days_left"] == 31), "{soon}");
}

#[tokio::test]
async fn a_token_of_one_organisation_sees_and_does_nothing_elsewhere() {
    let authz = TestAuthz::start().await;
    let own = authz.industry_client().await;
    let nca = NewClient {
        organisation: Some("ORG-100000101".parse().unwrap()),
        role: "pms-nca-api".to_owned(),
        ..new_client()
    };
    let foreign = authz.acts().create_client(Actor::Operator, nca).await.unwrap();
    let public = NewClient { organisation: None, role: "public-pms-api".to_owned(), ..new_client() };
    let public = authz.acts().create_client(Actor::Operator, public).await.unwrap();
    let whole = operator(&authz, None).await;
    let limited = operator(&authz, Some("ORG-100000001")).await;
    let token = token_of(&authz, &limited, EVERYTHING).await;
    let listed = call(&authz, "GET", "/api/v1/clients", &token, None).await.json();
    let ids: Vec<&str> =
        listed["items"].as_array().unwrap().iter().map(|one| one["client_id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), 2);
    assert!(ids.contains(&own.client_id.as_str()) && ids.contains(&limited.client_id.as_str()));
    for other in [&foreign, &public, &whole] {
        let path = format!("/api/v1/clients/{}", other.client_id);
        let absent = call(&authz, "GET", "/api/v1/clients/nobody", &token, None).await.text;
        for (method, path, body) in [
            ("GET", path.clone(), None),
            ("PATCH", path.clone(), Some(json!({ "status": "suspended" }))),
            ("DELETE", path.clone(), None),
            ("POST", format!("{path}/secrets"), Some(json!({}))),
            ("POST", format!("{path}/keys"), Some(json!({ "jwks_uri": "https://client.example/jwks" }))),
            ("DELETE", format!("{path}/secrets/{}", other.secret_id), None),
        ] {
            let answer = call(&authz, method, &path, &token, body).await;
            assert_eq!(problem(&answer), (404, "not-found".to_owned()), "{method} {path}");
            assert_eq!(answer.text, absent, "hidden and absent are one answer");
        }
    }
    let mut elsewhere = wanted();
    elsewhere["organisation"] = json!("ORG-100000101");
    elsewhere["role"] = json!("pms-nca-api");
    let refused = call(&authz, "PUT", "/api/v1/clients/by-key/x", &token, Some(elsewhere)).await;
    assert_eq!(problem(&refused).0, 403);
    let mut here = wanted();
    here.as_object_mut().unwrap().remove("organisation");
    let made = call(&authz, "PUT", "/api/v1/clients/by-key/x", &token, Some(here)).await;
    assert_eq!(made.json()["client"]["organisation"], "ORG-100000001");
    // Nobody gives themself what another one who administers has.
    let whole_token = token_of(&authz, &whole, EVERYTHING).await;
    let path = format!("/api/v1/clients/{}/secrets", limited.client_id);
    assert_eq!(problem(&call(&authz, "POST", &path, &whole_token, None).await).0, 403);
    let mut more = wanted();
    more["role"] = json!("operator");
    let refused = call(&authz, "PUT", "/api/v1/clients/by-key/y", &whole_token, Some(more)).await;
    assert_eq!(problem(&refused).0, 403);
}

#[tokio::test]
async fn a_machine_rotates_its_own_secret_and_its_token_does_nothing_else() {
    for authz in TestAuthz::each().await {
        let client = authz.industry_client().await;
        let token = token_of(&authz, &client, "client.rotate").await;
        let claims = authz.verified(&token, "api://pmsgate/administration").await;
        assert!(claims.roles.is_empty() && claims.scope == "client.rotate");
        for (method, path) in [
            ("GET", "/api/v1/clients".to_owned()),
            ("GET", format!("/api/v1/clients/{}", client.client_id)),
            ("POST", format!("/api/v1/clients/{}/secrets", client.client_id)),
            ("DELETE", format!("/api/v1/clients/{}", client.client_id)),
            ("GET", "/api/v1/credentials/expiring".to_owned()),
            ("GET", "/api/v1/requests".to_owned()),
        ] {
            let answer = call(&authz, method, &path, &token, None).await;
            assert_eq!(problem(&answer), (403, "insufficient-scope".to_owned()), "{method} {path}");
            assert!(answer.header("www-authenticate").contains("insufficient_scope"));
        }
        // Its other tokens do not rotate, and more than this is not granted beside it.
        let products = token_of(&authz, &client, DEFAULT_SCOPE).await;
        let refused = call(&authz, "POST", "/api/v1/client/secrets", &products, None).await;
        assert_eq!(problem(&refused), (401, "unauthorized".to_owned()));
        for scope in ["client.rotate clients.read", "client.rotate system/*.rs", "clients.write"] {
            assert_eq!(authz.token(&client, scope).await.verdict(), (400, "invalid_scope".to_owned()));
        }
        // Answers may be lost: the secret in use goes on, whatever happens to successors.
        for _ in 0..4 {
            let answer = call(&authz, "POST", "/api/v1/client/secrets", &token, None).await;
            assert_eq!(answer.status, 201, "{}", answer.text);
            assert_eq!(authz.token(&client, DEFAULT_SCOPE).await.status, 200);
        }
        let answer = call(&authz, "POST", "/api/v1/client/secrets", &token, Some(json!({}))).await.json();
        let new = answer["client_secret"].as_str().unwrap();
        assert_eq!(answer["scope"], DEFAULT_SCOPE);
        let body =
            format!("grant_type=client_credentials&client_id={}&client_secret={new}", client.client_id);
        assert_eq!(authz.post("/oauth2/token", &body).await.status, 200);
        let live = authz.acts().show_client(client.client_id.as_str()).await.unwrap();
        let live = live.secrets.iter().filter(|one| one.state == authz_domain::SecretState::Live).count();
        assert_eq!(live, 2);
        // At once: the secret that bought the token ends, and the token with it.
        let immediately = Some(json!({ "immediately": true }));
        assert_eq!(call(&authz, "POST", "/api/v1/client/secrets", &token, immediately).await.status, 201);
        let over = call(&authz, "POST", "/api/v1/client/secrets", &token, None).await;
        assert_eq!(problem(&over), (401, "unauthorized".to_owned()));
    }
}

#[tokio::test]
async fn a_suspended_or_revoked_client_does_not_rotate() {
    let authz = TestAuthz::start().await;
    let client = authz.industry_client().await;
    let id = client.client_id.as_str();
    let token = token_of(&authz, &client, "client.rotate").await;
    authz.acts().suspend_client(Actor::Operator, id).await.unwrap();
    assert_eq!(call(&authz, "POST", "/api/v1/client/secrets", &token, None).await.status, 401);
    authz.acts().resume_client(Actor::Operator, id).await.unwrap();
    assert_eq!(call(&authz, "POST", "/api/v1/client/secrets", &token, None).await.status, 201);
    authz.acts().revoke_client(Actor::Operator, id).await.unwrap();
    assert_eq!(call(&authz, "POST", "/api/v1/client/secrets", &token, None).await.status, 401);
    assert_eq!(authz.acts().show_client(id).await.unwrap().secrets.len(), 2);
}

#[tokio::test]
async fn every_operation_of_the_document_is_there_behind_its_scope() {
    let authz = TestAuthz::start().await;
    let document = authz.get("/api/v1/openapi.json").await.json();
    assert_eq!(
        (&document["openapi"], &document["servers"][0]["url"]),
        (&json!("3.1.0"), &json!("https://authz.example"))
    );
    let client = authz.industry_client().await;
    let (rotates, reads) = (token_of(&authz, &client, "client.rotate").await, operator(&authz, None).await);
    let reads = token_of(&authz, &reads, "clients.read").await;
    let mut count = 0;
    for (path, operations) in document["paths"].as_object().unwrap() {
        let path = path
            .replace("{client_id}", "x")
            .replace("{secret_id}", "y")
            .replace("{external_key}", "k")
            .replace("{request}", "REQ-00000001");
        for (method, operation) in operations.as_object().unwrap() {
            count += 1;
            let method = method.to_uppercase();
            let scope = operation["security"][0]["oauth2"][0].as_str().unwrap();
            let bare =
                Request::builder().method(method.as_str()).uri(path.as_str()).body(Body::empty()).unwrap();
            let answer = authz.send(bare).await;
            assert_eq!(problem(&answer), (401, "unauthorized".to_owned()), "{method} {path}");
            assert_eq!(answer.header("www-authenticate"), "Bearer realm=\"pmsgate\"");
            let other = if scope == "client.rotate" { &reads } else { &rotates };
            let answer = call(&authz, &method, &path, other, None).await;
            assert_eq!(problem(&answer).1, "insufficient-scope", "{method} {path}");
        }
    }
    assert_eq!(count, 12);
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_with_a_reason() {
    let authz = TestAuthz::start().await;
    let token = token_of(&authz, &operator(&authz, None).await, EVERYTHING).await;
    let put = |kind: &'static str, body: String| {
        let request = Request::put("/api/v1/clients/by-key/k")
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", kind)
            .body(Body::from(body))
            .unwrap();
        authz.send(request)
    };
    assert_eq!(problem(&put("text/plain", wanted().to_string()).await).0, 415);
    assert_eq!(problem(&put("application/json", "{".to_owned()).await).0, 400);
    assert_eq!(
        problem(&put("application/json", "{\"role\":\"pms-industry-api\",\"rôle\":1}".to_owned()).await).0,
        400
    );
    assert_eq!(problem(&put("application/json", " ".repeat(20_000)).await).0, 413);
    for (path, status) in [
        ("/api/v1/clients?limit=0", 400),
        ("/api/v1/clients?limit=x", 400),
        ("/api/v1/clients?cursor=%21", 400),
        ("/api/v1/clients?limit=1&limit=2", 400),
        ("/api/v1/clients?organization=ORG-100000001", 400),
        ("/api/v1/credentials/expiring?within=-1", 400),
        ("/api/v1/requests/REQ-99999999", 404),
        ("/api/v1/requests/nothing", 404),
        ("/api/v1/clients/nobody", 404),
    ] {
        assert_eq!(problem(&call(&authz, "GET", path, &token, None).await).0, status, "{path}");
    }
    let mut wrong = wanted();
    wrong["organisation"] = json!("ORG-999999999");
    assert_eq!(problem(&call(&authz, "PUT", "/api/v1/clients/by-key/k", &token, Some(wrong)).await).0, 422);
    let two = Request::get("/api/v1/clients")
        .header("authorization", format!("Bearer {token}"))
        .header("authorization", "Bearer x")
        .body(Body::empty())
        .unwrap();
    assert_eq!(problem(&authz.send(two).await).0, 400);
    for value in ["Bearer", "Bearer x.y.z", "Basic eDp5"] {
        let request =
            Request::get("/api/v1/clients").header("authorization", value).body(Body::empty()).unwrap();
        assert_eq!(problem(&authz.send(request).await).0, 401, "{value}");
    }
}

#[tokio::test]
async fn every_act_is_in_the_trail_with_the_client_that_did_it() {
    let authz = TestAuthz::on(TestDatabase::sqlite().await, |_| {}).await;
    let operator = operator(&authz, None).await;
    let token = token_of(&authz, &operator, EVERYTHING).await;
    let made = call(&authz, "PUT", "/api/v1/clients/by-key/k", &token, Some(wanted())).await.json();
    let id = made["client"]["client_id"].as_str().unwrap();
    let path = format!("/api/v1/clients/{id}");
    let suspended = json!({ "label": "x", "status": "suspended", "reason": "why-1" });
    call(&authz, "PATCH", &path, &token, Some(suspended)).await;
    call(&authz, "PATCH", &path, &token, Some(json!({ "status": "active" }))).await;
    call(&authz, "POST", &format!("{path}/secrets"), &token, Some(json!({ "reason": "why-2" }))).await;
    let first = made["credentials"]["secret_id"].as_str().unwrap();
    call(&authz, "DELETE", &format!("{path}/secrets/{first}?reason=why-3"), &token, None).await;
    let long = format!("{path}?reason={}", "x".repeat(1001));
    assert_eq!(problem(&call(&authz, "DELETE", &long, &token, None).await).0, 422);
    call(&authz, "DELETE", &format!("{path}?reason=why-4"), &token, None).await;
    let acts = authz.trail_of(id).await;
    let by_operator = format!("client {}", operator.client_id);
    let expected = [
        "client.created",
        "secret.issued",
        "client.changed",
        "client.suspended",
        "client.resumed",
        "secret.rotated",
        "secret.revoked",
        "client.revoked",
    ];
    assert_eq!(acts, expected.map(|act| (act.to_owned(), by_operator.clone())));
    let mut reader = authz.database.database().read().await.unwrap();
    let records = authz_store::audit_events::after(&mut reader.db(), 0, 1000).await.unwrap();
    let said = records.iter().filter_map(|one| {
        let why = one.record.details.split("why-").nth(1)?.split('"').next()?;
        Some((one.record.act.as_str(), why))
    });
    let reasons = [
        ("client.changed", "1"),
        ("client.suspended", "1"),
        ("secret.rotated", "2"),
        ("secret.revoked", "3"),
        ("client.revoked", "4"),
    ];
    assert_eq!(said.collect::<Vec<_>>(), reasons);
}

#[tokio::test]
async fn keys_are_registered_one_kind_at_a_time() {
    let authz = TestAuthz::start().await;
    let operator = operator(&authz, None).await;
    let client = authz.industry_client().await;
    let token = token_of(&authz, &operator, EVERYTHING).await;
    let path = format!("/api/v1/clients/{}/keys", client.client_id);
    let jwk = ClientSigner::generate(ProofAlgorithm::Es256).jwk(Some("k1"));
    for (body, verdict) in [
        (json!({}), (400, "malformed")),
        (json!([]), (400, "malformed")),
        (json!({ "jwks": jwk, "jwks_uri": "https://client.example/jwks" }), (400, "malformed")),
        (json!({ "jwks": { "keys": [] } }), (422, "unacceptable")),
        (json!({ "jwks_uri": "https://127.0.0.1/jwks" }), (422, "unacceptable")),
        (json!({ "certificate": "-----BEGIN" }), (422, "unacceptable")),
    ] {
        let answer = call(&authz, "POST", &path, &token, Some(body.clone())).await;
        assert_eq!(problem(&answer), (verdict.0, verdict.1.to_owned()), "{body}: {}", answer.text);
    }
    let listed = call(&authz, "POST", &path, &token, Some(json!([]))).await;
    assert_eq!(listed.json()["detail"], "the body: expected a JSON object");
    let wanted = json!({ "jwks": { "keys": [jwk] }, "reason": "no more secrets" });
    let made = call(&authz, "POST", &path, &token, Some(wanted)).await;
    assert_eq!(made.status, 201, "{}", made.text);
    assert_eq!((&made.json()["method"], &made.json()["hint"]), (&json!("private_key_jwt"), &json!("k1")));
    let shown =
        call(&authz, "GET", &format!("/api/v1/clients/{}", client.client_id), &token, None).await.json();
    assert_eq!(shown["authentication"], "private_key_jwt");
    assert_eq!(shown["secrets"][0]["method"], "private_key_jwt");
    assert_eq!(shown["secrets"][1]["status"], "retired");
    let secret = call(&authz, "POST", &path.replace("/keys", "/secrets"), &token, Some(json!({}))).await;
    assert_eq!(problem(&secret), (409, "conflict".to_owned()));
}
