//! The token endpoint: what it gives, and every way in which it refuses.

use authz_domain::Actor;
use authz_server::NewClient;
use axum::body::Body;
use http::Request;
use pms_terms::{Domains, Stakeholder};
use time::Duration;

use crate::harness::{
    BASE, DEFAULT_SCOPE, START, TENANT, TestAuthz, basic, escaped, form_request, new_client, token_body,
};

#[tokio::test]
async fn a_token_says_what_the_client_may() {
    for authz in TestAuthz::each().await {
        let credentials = authz.industry_client().await;
        let answer = authz.token(&credentials, DEFAULT_SCOPE).await;
        assert_eq!(answer.header("cache-control"), "no-store");
        assert_eq!(answer.header("pragma"), "no-cache");
        assert_eq!(answer.header("content-type"), "application/json");
        let json = answer.json();
        assert_eq!(json["token_type"], "Bearer");
        assert_eq!(json["expires_in"], 3600);
        assert_eq!(json["ext_expires_in"], 3600);
        assert_eq!(json["scope"], DEFAULT_SCOPE);
        assert!(json.get("refresh_token").is_none());

        let claims = authz.verified(&answer.access_token(), "api://pmsgate/pms").await;
        assert_eq!(claims.iss, BASE);
        assert_eq!((claims.iat, claims.nbf), (START.unix_timestamp(), START.unix_timestamp()));
        assert_eq!(claims.exp, START.unix_timestamp() + 3600);
        assert_eq!(claims.scope, "system/*.cruds");
        assert_eq!(claims.roles, ["PMS.Industry.API"]);
        assert_eq!(claims.org_id.unwrap().as_str(), "ORG-100000001");
        assert_eq!(claims.stakeholder, Stakeholder::Industry);
        assert_eq!(claims.domains, Domains::BOTH);
        assert!(!claims.qualified);
        assert_eq!(claims.client_id, credentials.client_id.as_str());
        assert_eq!((&claims.sub, &claims.azp), (&claims.client_id, &claims.client_id));
        assert_eq!(claims.secret_id, credentials.secret_id.as_str());
        assert_eq!((claims.tid.as_str(), claims.ver.as_str()), (TENANT, "2.0"));
    }
}

#[tokio::test]
async fn the_tenant_endpoint_gives_tokens_of_the_tenants_issuer() {
    let authz = TestAuthz::start().await;
    let credentials = authz.industry_client().await;
    let path = format!("/{TENANT}/oauth2/v2.0/token");
    let answer = authz.post(&path, &token_body(&credentials, DEFAULT_SCOPE)).await;
    let claims = authz.verified(&answer.access_token(), "api://pmsgate/pms").await;
    assert_eq!(claims.iss, format!("{BASE}/{TENANT}/v2.0"));
    assert_eq!(claims.tid, TENANT);
    let unknown = authz.post("/other/oauth2/v2.0/token", &token_body(&credentials, DEFAULT_SCOPE)).await;
    assert_eq!(unknown.verdict(), (400, "invalid_request".to_owned()));
}

#[tokio::test]
async fn every_token_has_its_own_id() {
    let authz = TestAuthz::start().await;
    let credentials = authz.industry_client().await;
    let mut ids = Vec::new();
    for _ in 0..2 {
        let token = authz.token(&credentials, DEFAULT_SCOPE).await.access_token();
        ids.push(authz.verified(&token, "api://pmsgate/pms").await.jti);
    }
    assert_ne!(ids[0], ids[1]);
}

#[tokio::test]
async fn credentials_are_taken_as_real_clients_send_them() {
    let authz = TestAuthz::start().await;
    let credentials = authz.industry_client().await;
    let (id, secret) = (credentials.client_id.as_str(), credentials.client_secret.expose());
    let form = "application/x-www-form-urlencoded";
    let rest = format!("grant_type=client_credentials&scope={}", escaped(DEFAULT_SCOPE));
    let with_id = format!("{rest}&client_id={id}");
    let in_body = token_body(&credentials, DEFAULT_SCOPE);
    let msal = format!("{in_body}&client_info=1&x-client-sku=msal.js.node&x-client-ver=7.2.1&x-app-name=");
    let resource = format!("{in_body}&resource={}", escaped("https://authz.example/pms/api/v3"));
    for (what, path, authorization, content_type, body) in [
        ("raw Basic", "/oauth2/token", Some(basic(id, secret)), form, &rest),
        ("form-encoded Basic", "/oauth2/token", Some(basic(&escaped(id), &escaped(secret))), form, &rest),
        ("Basic beside an equal client_id", "/oauth2/token", Some(basic(id, secret)), form, &with_id),
        ("charset", "/oauth2/token", None, "application/x-www-form-urlencoded;charset=UTF-8", &in_body),
        ("capitals", "/oauth2/token", None, "Application/X-WWW-Form-URLEncoded", &in_body),
        (
            "MSAL's extra fields",
            "/oauth2/token?client-request-id=b5e55a9a-8f2f-4d5e-8a52-1f7c1f0ad111",
            None,
            form,
            &msal,
        ),
        ("resource", "/oauth2/token", None, form, &resource),
    ] {
        let mut request = Request::post(path).header("content-type", content_type);
        if let Some(authorization) = authorization {
            request = request.header("authorization", authorization);
        }
        let answer = authz.send(request.body(Body::from(body.clone())).unwrap()).await;
        assert_eq!(answer.status, 200, "{what}: {}", answer.text);
    }
}

#[tokio::test]
async fn each_wrong_request_has_its_own_useful_answer() {
    let authz = TestAuthz::start().await;
    let credentials = authz.industry_client().await;
    let (id, secret) = (credentials.client_id.as_str(), credentials.client_secret.expose());
    let good = token_body(&credentials, DEFAULT_SCOPE);
    let own = format!("client_id={id}&client_secret={secret}");
    let many = format!("{good}&{}", (0..61).map(|n| format!("p{n}=1")).collect::<Vec<_>>().join("&"));
    for (body, verdict, words) in [
        (own.clone(), (400, "invalid_request"), "'grant_type' is missing"),
        (format!("{own}&grant_type="), (400, "invalid_request"), "'grant_type' is missing"),
        (format!("{own}&grant_type=password"), (400, "unsupported_grant_type"), "client_credentials"),
        ("grant_type=client_credentials".to_owned(), (401, "invalid_client"), "no client credentials"),
        (
            format!("grant_type=client_credentials&client_id={id}"),
            (401, "invalid_client"),
            "no client credentials",
        ),
        (
            format!("grant_type=client_credentials&client_id={id}&client_secret="),
            (401, "invalid_client"),
            "no client credentials",
        ),
        (
            "grant_type=client_credentials&client_secret=x".to_owned(),
            (400, "invalid_request"),
            "'client_id' is missing",
        ),
        (
            "grant_type=client_credentials&client_assertion=x&client_id=y".to_owned(),
            (400, "invalid_request"),
            "'client_assertion_type' is missing",
        ),
        (format!("{good}&client_assertion=x"), (400, "invalid_request"), "more than one set"),
        (format!("{good}&scope=x"), (400, "invalid_request"), "'scope' is repeated"),
        (format!("{good}&client_id={id}"), (400, "invalid_request"), "'client_id' is repeated"),
        (format!("{good}&a=%zz"), (400, "invalid_request"), "percent escape"),
        (format!("{good}&a=%ff"), (400, "invalid_request"), "UTF-8"),
        (format!("{good}&a=%00"), (400, "invalid_request"), "NUL"),
        (many, (400, "invalid_request"), "64 parameters"),
        (format!("{good}{}", "x".repeat(17_000)), (413, "invalid_request"), "16 KiB"),
        (
            format!("{own}&grant_type=client_credentials&scope=openid"),
            (400, "invalid_scope"),
            "system/*.cruds",
        ),
        (
            format!("{own}&grant_type=client_credentials&scope=api://other/.default"),
            (400, "invalid_scope"),
            DEFAULT_SCOPE,
        ),
        (
            format!("{own}&grant_type=client_credentials&scope=api://pmsgate/pms"),
            (400, "invalid_scope"),
            DEFAULT_SCOPE,
        ),
        (
            format!("{own}&grant_type=client_credentials&scope={}", escaped("\"\\ä")),
            (400, "invalid_scope"),
            DEFAULT_SCOPE,
        ),
        (format!("{good}&resource=api://pmsgate/public"), (400, "invalid_target"), "api://pmsgate/pms"),
    ] {
        let answer = authz.post("/oauth2/token", &body).await;
        let verdict = (verdict.0, verdict.1.to_owned());
        assert_eq!(answer.verdict(), verdict, "{}: {}", &body[..body.len().min(200)], answer.text);
        assert!(answer.description().contains(words), "{words:?} in {}", answer.text);
        assert_eq!(answer.header("cache-control"), "no-store");
        assert_eq!(answer.status == 401, answer.headers.contains_key("www-authenticate"), "{}", answer.text);
        let described = answer.description();
        assert!(
            described.bytes().all(|b| matches!(b, 0x20..=0x21 | 0x23..=0x5b | 0x5d..=0x7e)),
            "{described}"
        );
    }
}

#[tokio::test]
async fn what_is_wrong_about_the_head_is_said_too() {
    let authz = TestAuthz::start().await;
    let credentials = authz.industry_client().await;
    let (id, secret) = (credentials.client_id.as_str(), credentials.client_secret.expose());
    let body = token_body(&credentials, DEFAULT_SCOPE);
    let bare = "grant_type=client_credentials";
    let other_id = format!("{bare}&client_id=somebody");
    let no_basic: [(&str, String); 4] = [
        ("authorization", "Bearer abc".to_owned()),
        ("authorization", "Basic !!!".to_owned()),
        ("authorization", "Basic bm9jb2xvbg==".to_owned()),
        ("authorization", basic(id, "")),
    ];
    for (name, value) in no_basic {
        let request = form_request("/oauth2/token", bare);
        let (mut parts, body) = request.into_parts();
        parts.headers.insert(name, value.parse().unwrap());
        let answer = authz.send(Request::from_parts(parts, body)).await;
        assert_eq!(answer.verdict(), (401, "invalid_client".to_owned()), "{value}");
        assert_eq!(answer.header("www-authenticate"), "Basic realm=\"pmsgate\", charset=\"UTF-8\"");
    }
    for (what, path, headers, body, verdict) in [
        (
            "json",
            "/oauth2/token",
            vec![("content-type", "application/json".to_owned())],
            body.as_str(),
            (400, "invalid_request"),
        ),
        ("no type", "/oauth2/token", vec![], body.as_str(), (400, "invalid_request")),
        (
            "latin-1",
            "/oauth2/token",
            vec![("content-type", "application/x-www-form-urlencoded; charset=iso-8859-1".to_owned())],
            body.as_str(),
            (400, "invalid_request"),
        ),
        (
            "compressed",
            "/oauth2/token",
            vec![
                ("content-type", "application/x-www-form-urlencoded".to_owned()),
                ("content-encoding", "gzip".to_owned()),
            ],
            body.as_str(),
            (400, "invalid_request"),
        ),
        (
            "query",
            "/oauth2/token?scope=x",
            vec![("content-type", "application/x-www-form-urlencoded".to_owned())],
            body.as_str(),
            (400, "invalid_request"),
        ),
        (
            "escaped query",
            "/oauth2/token?client%5fsecret=x",
            vec![("content-type", "application/x-www-form-urlencoded".to_owned())],
            body.as_str(),
            (400, "invalid_request"),
        ),
        (
            "two headers",
            "/oauth2/token",
            vec![
                ("content-type", "application/x-www-form-urlencoded".to_owned()),
                ("authorization", basic(id, secret)),
                ("authorization", basic(id, secret)),
            ],
            bare,
            (400, "invalid_request"),
        ),
        (
            "Basic and body",
            "/oauth2/token",
            vec![
                ("content-type", "application/x-www-form-urlencoded".to_owned()),
                ("authorization", basic(id, secret)),
            ],
            body.as_str(),
            (400, "invalid_request"),
        ),
        (
            "Basic beside another id",
            "/oauth2/token",
            vec![
                ("content-type", "application/x-www-form-urlencoded".to_owned()),
                ("authorization", basic(id, secret)),
            ],
            other_id.as_str(),
            (400, "invalid_request"),
        ),
    ] {
        let mut request = Request::post(path);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let answer = authz.send(request.body(Body::from(body.to_owned())).unwrap()).await;
        assert_eq!(answer.verdict(), (verdict.0, verdict.1.to_owned()), "{what}: {}", answer.text);
    }
    for method in ["GET", "PUT", "DELETE", "HEAD", "OPTIONS"] {
        let request = Request::builder().method(method).uri("/oauth2/token").body(Body::empty()).unwrap();
        let answer = authz.send(request).await;
        assert_eq!((answer.status.as_u16(), answer.header("allow")), (405, "POST"), "{method}");
    }
}

#[tokio::test]
async fn an_unknown_client_and_a_wrong_secret_are_one_answer() {
    let authz = TestAuthz::start().await;
    let credentials = authz.industry_client().await;
    let body = |id: &str, secret: &str| {
        format!("grant_type=client_credentials&client_id={id}&client_secret={secret}")
    };
    let id = credentials.client_id.as_str();
    let reference = scrubbed(&authz.post("/oauth2/token", &body(id, "wrong")).await);
    for (id, secret) in [
        (id, "pms_0000000000000000000000000000000000000000000000000"),
        ("11111111-2222-4333-8444-555555555555", "wrong"),
        ("nobody", credentials.client_secret.expose()),
        ("%C3%A4%20%27", "wrong"),
        (&"x".repeat(500), "wrong"),
    ] {
        let answer = authz.post("/oauth2/token", &body(id, secret)).await;
        assert_eq!(answer.verdict(), (401, "invalid_client".to_owned()), "{id}");
        assert_eq!(scrubbed(&answer), reference, "{id}");
    }
}

/// Headers and body without what differs between any two requests.
fn scrubbed(answer: &crate::harness::Answer) -> String {
    let mut json = answer.json();
    for id in ["trace_id", "correlation_id"] {
        assert!(json[id].as_str().is_some_and(|id| !id.is_empty()));
        json[id] = "…".into();
    }
    format!("{} {:?} {json}", answer.status, answer.headers)
}

#[tokio::test]
async fn an_expired_secret_says_so_to_its_owner_only() {
    let authz = TestAuthz::start().await;
    let credentials = authz.industry_client().await;
    authz.clock.advance(Duration::days(730));
    assert_eq!(authz.token(&credentials, DEFAULT_SCOPE).await.status, 200);
    authz.clock.advance(Duration::days(1));
    let answer = authz.token(&credentials, DEFAULT_SCOPE).await;
    assert_eq!(answer.verdict(), (401, "invalid_client".to_owned()));
    assert!(answer.description().contains("expired at 2028-03-05T12:34:56Z"), "{}", answer.text);
    assert!(answer.description().contains("renew"), "{}", answer.text);
    let stranger =
        format!("grant_type=client_credentials&client_id={}&client_secret=x", credentials.client_id);
    let answer = authz.post("/oauth2/token", &stranger).await;
    assert!(!answer.text.contains("expired"), "{}", answer.text);
}

#[tokio::test]
async fn a_token_never_outlives_its_secret() {
    let authz = TestAuthz::start().await;
    let credentials = authz.industry_client().await;
    authz.clock.advance(credentials.expires_at - START - Duration::seconds(90));
    let answer = authz.token(&credentials, DEFAULT_SCOPE).await;
    assert_eq!(answer.json()["expires_in"], 90);
    let claims = authz.verified(&answer.access_token(), "api://pmsgate/pms").await;
    assert_eq!(claims.exp, credentials.expires_at.unix_timestamp());
}

#[tokio::test]
async fn less_can_be_asked_for_and_more_is_refused() {
    let authz = TestAuthz::start().await;
    let narrow = NewClient { scope: Some("system/*.rs".to_owned()), ..new_client() };
    let credentials = authz.acts().create_client(Actor::Operator, narrow).await.unwrap();
    let wish = "system/MedicinalProductDefinition.r  system/Ingredient.rs";
    let answer = authz.token(&credentials, wish).await;
    assert_eq!(answer.json()["scope"], wish.replace("  ", " "), "one blank each (RFC 6749 §3.3)");
    let claims = authz.verified(&answer.access_token(), "api://pmsgate/pms").await;
    assert_eq!(claims.scope, "system/Ingredient.rs system/MedicinalProductDefinition.r");
    let everything = authz.token(&credentials, DEFAULT_SCOPE).await;
    assert_eq!(authz.verified(&everything.access_token(), "api://pmsgate/pms").await.scope, "system/*.rs");
    let unsaid = authz.token(&credentials, "").await;
    assert_eq!(unsaid.json()["scope"], "system/*.rs");
    let more = authz.token(&credentials, "system/MedicinalProductDefinition.cruds").await;
    assert_eq!(more.verdict(), (400, "invalid_scope".to_owned()));
    assert!(more.description().contains("system/*.rs"), "{}", more.text);
}

#[tokio::test]
async fn a_public_client_gets_tokens_for_the_public_api_only() {
    let authz = TestAuthz::start().await;
    let public = NewClient { organisation: None, role: "public-pms-api".to_owned(), ..new_client() };
    let credentials = authz.acts().create_client(Actor::Operator, public).await.unwrap();
    assert_eq!(credentials.scope, "api://pmsgate/public/.default");
    let answer = authz.token(&credentials, &credentials.scope).await;
    let claims = authz.verified(&answer.access_token(), "api://pmsgate/public").await;
    assert_eq!(claims.stakeholder, Stakeholder::Public);
    assert_eq!((claims.org_id, claims.scope.as_str()), (None, "system/*.rs"));
    assert_eq!(authz.token(&credentials, DEFAULT_SCOPE).await.verdict(), (400, "invalid_scope".to_owned()));
}

#[tokio::test]
async fn the_agency_asks_as_itself() {
    let authz = TestAuthz::start().await;
    for (organisation, stakeholder) in
        [("ORG-100000101", Stakeholder::Nca), ("ORG-100000201", Stakeholder::Ema)]
    {
        let new = NewClient {
            organisation: Some(organisation.parse().unwrap()),
            role: "pms-nca-api".to_owned(),
            domains: Domains::HUMAN,
            ..new_client()
        };
        let credentials = authz.acts().create_client(Actor::Operator, new).await.unwrap();
        let token = authz.token(&credentials, DEFAULT_SCOPE).await.access_token();
        let claims = authz.verified(&token, "api://pmsgate/pms").await;
        assert_eq!((claims.stakeholder, claims.domains), (stakeholder, Domains::HUMAN));
    }
}

#[tokio::test]
async fn errors_carry_entras_fields_and_its_numbers_on_request() {
    let plain = TestAuthz::start().await;
    let answer = plain.post("/oauth2/token", "grant_type=x").await;
    let json = answer.json();
    assert_eq!(json["error_codes"], serde_json::json!([]));
    assert_eq!(json["timestamp"], "2026-03-05 12:34:56Z");

    let entra = TestAuthz::with(|settings| settings.compat.entra_errors = true).await;
    let credentials = entra.industry_client().await;
    let id = credentials.client_id.as_str();
    let own = format!("client_id={id}&client_secret={}", credentials.client_secret.expose());
    for (body, code) in [
        (format!("grant_type=client_credentials&client_id={id}&client_secret=x"), 7_000_215),
        (format!("grant_type=client_credentials&client_id={id}"), 7_000_218),
        (own.clone(), 900_144),
        (format!("grant_type=x&{own}"), 70_003),
        (format!("grant_type=client_credentials&{own}&scope=api://x/.default"), 500_011),
        (format!("grant_type=client_credentials&{own}&scope=api://pmsgate/pms"), 1_002_012),
        (format!("grant_type=client_credentials&{own}&scope=what"), 70_011),
    ] {
        let (mut parts, body) = form_request("/oauth2/token", &body).into_parts();
        parts.headers.insert("client-request-id", "b5e55a9a-8f2f-4d5e-8a52-1f7c1f0ad111".parse().unwrap());
        let answer = entra.send(Request::from_parts(parts, body)).await;
        let json = answer.json();
        assert_eq!(json["error_codes"], serde_json::json!([code]), "{}", answer.text);
        assert_eq!(json["correlation_id"], "b5e55a9a-8f2f-4d5e-8a52-1f7c1f0ad111");
        assert!(answer.description().starts_with(&format!("AADSTS{code}: ")), "{}", answer.text);
    }
    entra.clock.advance(Duration::days(800));
    let answer = entra.token(&credentials, DEFAULT_SCOPE).await;
    assert_eq!(answer.json()["error_codes"], serde_json::json!([7_000_222]));
}

#[tokio::test]
async fn the_last_use_is_written_down() {
    for authz in TestAuthz::each().await {
        let credentials = authz.industry_client().await;
        let id = credentials.client_id.as_str();
        assert_eq!(authz.acts().show_client(id).await.unwrap().secrets[0].secret.last_used_at, None);
        authz.token(&credentials, DEFAULT_SCOPE).await.access_token();
        let tasks = tokio_util::task::TaskTracker::new();
        authz.authz.spawn_tasks(&tasks);
        authz.stop.cancel();
        tasks.close();
        tasks.wait().await;
        assert_eq!(authz.acts().show_client(id).await.unwrap().secrets[0].secret.last_used_at, Some(START));
    }
}

#[tokio::test]
async fn a_request_without_credentials_is_told_what_is_offered_here() {
    let authz = TestAuthz::start().await;
    let answer = authz.post("/oauth2/token", "grant_type=client_credentials").await.json();
    let told = answer["error_description"].as_str().unwrap();
    assert!(
        told.ends_with("or HTTP Basic, or client_assertion"),
        "no certificates without mutual TLS: {told}"
    );
}

#[tokio::test]
async fn a_granted_scope_has_each_part_once_between_single_spaces() {
    let authz = TestAuthz::start().await;
    let credentials = authz.industry_client().await;
    for (wished, told) in [
        ("system/*.rs", "system/*.rs"),
        ("system/Ingredient.rs  system/*.r", "system/Ingredient.rs system/*.r"),
        (" system/Ingredient.rs system/*.r system/Ingredient.rs ", "system/Ingredient.rs system/*.r"),
        (&format!(" {DEFAULT_SCOPE} "), DEFAULT_SCOPE),
    ] {
        let answer = authz.token(&credentials, wished).await;
        assert_eq!(answer.json()["scope"], told, "{wished:?}");
        let claims = authz.verified(&answer.access_token(), "api://pmsgate/pms").await;
        let parts: Vec<&str> = claims.scope.split(' ').collect();
        let mut once = parts.clone();
        once.sort_unstable();
        once.dedup();
        assert_eq!(parts.len(), once.len(), "{wished:?}: {}", claims.scope);
        assert!(!parts.contains(&""), "{wished:?}: {}", claims.scope);
    }
}
