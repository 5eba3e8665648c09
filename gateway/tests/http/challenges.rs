//! Who is refused, with which status, rule and challenge.

use access_token::Confirmation;
use http::StatusCode;
use pms_terms::Stakeholder;

use crate::house::{Answer, House, NOW, READ, SEARCH};

#[tokio::test]
async fn every_kind_of_wrong_token_has_its_own_answer() {
    let house = House::start().await;
    let garbage = "not-a-token".to_owned();
    let mut forged = house.token();
    // The last character of a P-256 signature carries two unused bits: the one before it is changed, to another one.
    let at = forged.len() - 2;
    let other = if &forged[at..=at] == "A" { "B" } else { "A" };
    forged.replace_range(at..=at, other);
    let rows = [
        (garbage, StatusCode::UNAUTHORIZED, "token-malformed", r#"error="invalid_token""#),
        (forged, StatusCode::UNAUTHORIZED, "token-signature", r#"error="invalid_token""#),
        (
            house.token_with(|c| c.exp = NOW.unix_timestamp() - 61),
            StatusCode::UNAUTHORIZED,
            "token-expired",
            "The token expired at 2026-06-12T11:58:59Z",
        ),
        (
            house.token_with(|c| c.nbf = NOW.unix_timestamp() + 61),
            StatusCode::UNAUTHORIZED,
            "token-not-yet-valid",
            r#"error="invalid_token""#,
        ),
        (
            house.token_with(|c| c.iss = "https://elsewhere.example".into()),
            StatusCode::UNAUTHORIZED,
            "token-issuer",
            r#"error="invalid_token""#,
        ),
        (
            house.token_with(|c| c.aud = "api://pmsgate/public".into()),
            StatusCode::UNAUTHORIZED,
            "token-audience",
            "The token is for api://pmsgate/public, not for this resource",
        ),
        (
            house.token_with(|c| c.cnf = Some(Confirmation::Key("x".to_owned()))),
            StatusCode::UNAUTHORIZED,
            "token-bound",
            r#"error="invalid_token""#,
        ),
        (
            house.token_with(|c| c.roles = vec!["Public.PMS.API".into()]),
            StatusCode::FORBIDDEN,
            "role-missing",
            r#"error="insufficient_scope""#,
        ),
        (
            house.token_with(|c| c.scope = "system/Organization.rs".into()),
            StatusCode::FORBIDDEN,
            "scope-missing",
            r#"scope="system/MedicinalProductDefinition.r""#,
        ),
    ];
    for (token, status, rule, challenge) in &rows {
        // Twice: the second time from the cache, where there is one.
        for round in 0..2 {
            let answer = house.ask(READ, token).await;
            assert_eq!((answer.status, answer.rule().as_str()), (*status, *rule), "round {round}");
            assert!(answer.header("www-authenticate").contains(challenge), "{answer:?}");
            assert!(answer.header("www-authenticate").contains(
                r#"resource_metadata="https://gate.example:8443/.well-known/oauth-protected-resource/pms/api/v3""#
            ));
            assert_eq!(answer.header("content-type"), "application/fhir+json");
            assert!(answer.text.contains(answer.header("x-request-id")));
        }
    }
    assert_eq!(house.upstream.count(), 0);
}

#[tokio::test]
async fn skew_of_a_minute_is_forgiven() {
    let house = House::start().await;
    let old = house.token_with(|c| c.exp = NOW.unix_timestamp() - 59);
    assert_eq!(house.ask(READ, &old).await.status, StatusCode::OK);
}

#[tokio::test]
async fn no_token_is_challenged_without_an_error() {
    let house = House::start().await;
    for request in
        [house.client.get(house.url(READ)), house.client.get(house.url(READ)).basic_auth("a", Some("b"))]
    {
        let answer = Answer::of(request.send().await.unwrap()).await;
        assert_eq!((answer.status, answer.rule().as_str()), (StatusCode::UNAUTHORIZED, "token-missing"));
        let challenge = answer.header("www-authenticate");
        assert!(
            challenge.starts_with(r#"Bearer realm="pms-read-v3", scope="#) && !challenge.contains("error"),
            "{challenge}"
        );
    }
}

#[tokio::test]
async fn a_token_belongs_into_one_header() {
    let house = House::start().await;
    let token = house.token();
    let twice = house.get(READ, &token).header("authorization", "Bearer other");
    let answer = Answer::of(twice.send().await.unwrap()).await;
    assert_eq!((answer.status, answer.rule().as_str()), (StatusCode::BAD_REQUEST, "authorization-malformed"));
    assert!(answer.header("www-authenticate").contains(r#"error="invalid_request""#));

    let in_query = house.client.get(house.url(&format!("{SEARCH}?access_token={token}")));
    let answer = Answer::of(in_query.send().await.unwrap()).await;
    assert_eq!((answer.status, answer.rule().as_str()), (StatusCode::BAD_REQUEST, "token-in-address"));
}

#[tokio::test]
async fn a_cached_token_still_expires() {
    let house = House::start().await;
    let token = house.token();
    assert_eq!(house.ask(READ, &token).await.status, StatusCode::OK);
    house.clock.advance(time::Duration::seconds(3661));
    assert_eq!(house.ask(READ, &token).await.rule(), "token-expired");
}

#[tokio::test]
async fn an_expired_token_is_remembered_until_a_sandbox_s_clock_goes_back() {
    let house = House::start().await;
    let token = house.token();
    house.clock.advance(time::Duration::seconds(3661));
    for _ in 0..2 {
        assert_eq!(house.ask(READ, &token).await.rule(), "token-expired");
    }
    house.clock.advance(time::Duration::seconds(-3661));
    assert_eq!(house.ask(READ, &token).await.status, StatusCode::OK);
}

#[tokio::test]
async fn parameters_are_refused_by_group_and_by_name() {
    let house = House::start().await;
    let industry = house.token();
    let answer = house.ask(&format!("{SEARCH}?contact=x"), &industry).await;
    assert_eq!((answer.status, answer.rule().as_str()), (StatusCode::FORBIDDEN, "parameter-not-admitted"));
    assert!(answer.text.contains("contact") && answer.headers.get("www-authenticate").is_none());
    let answer = house.ask(&format!("{SEARCH}?colour=x"), &industry).await;
    assert_eq!((answer.status, answer.rule().as_str()), (StatusCode::BAD_REQUEST, "parameter-unknown"));

    let nca = house.token_with(|c| {
        c.roles = vec!["PMS.NCA.API".into()];
        c.stakeholder = Stakeholder::Nca;
    });
    house.upstream.answer(|_| crate::house::fhir(StatusCode::OK, r#"{"resourceType":"Bundle"}"#));
    assert_eq!(house.ask(&format!("{SEARCH}?contact=x"), &nca).await.status, StatusCode::OK);
    let lenient = house.get(&format!("{SEARCH}?colour=x&name=a"), &nca).header("prefer", "handling=lenient");
    assert_eq!(lenient.send().await.unwrap().status(), StatusCode::OK);
    assert_eq!(house.upstream.last().uri, "/pms/api/v3/MedicinalProductDefinition?name=a");
}

#[tokio::test]
async fn unknown_paths_and_methods_are_outcomes_too() {
    let house = House::start().await;
    let token = house.token();
    let answer = house.ask("/pms/api/v3/RegulatedAuthorization", &token).await;
    assert_eq!((answer.status, answer.rule().as_str()), (StatusCode::NOT_FOUND, "no-such-operation"));
    for method in [http::Method::DELETE, http::Method::OPTIONS, http::Method::PUT] {
        let request = house.client.request(method, house.url(READ)).bearer_auth(&token);
        let answer = Answer::of(request.send().await.unwrap()).await;
        assert_eq!((answer.status, answer.header("allow")), (StatusCode::METHOD_NOT_ALLOWED, "GET, HEAD"));
        assert!(answer.headers.keys().all(|name| !name.as_str().starts_with("access-control")));
    }
    let answer = house.ask("/pms/api/v3/MedicinalProductDefinition/a_b", &token).await;
    assert_eq!((answer.status, answer.rule().as_str()), (StatusCode::BAD_REQUEST, "id-malformed"));
}

#[tokio::test]
async fn outcomes_are_xml_where_xml_is_asked_for() {
    let house = House::start().await;
    let request = house.client.get(house.url(READ)).header("accept", "application/fhir+xml");
    let answer = Answer::of(request.send().await.unwrap()).await;
    assert_eq!(answer.header("content-type"), "application/fhir+xml");
    assert!(answer.text.starts_with(
        r#"<?xml version="1.0" encoding="UTF-8"?><OperationOutcome xmlns="http://hl7.org/fhir">"#
    ));
}

#[tokio::test]
async fn the_compatible_shape_can_be_switched_on() {
    let house = House::start_with(|settings| settings.apim_errors = true).await;
    let answer = Answer::of(house.client.get(house.url(READ)).send().await.unwrap()).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert_eq!(answer.text, r#"{"statusCode":401,"message":"JWT not present."}"#);
    assert!(answer.header("www-authenticate").starts_with("Bearer"));
    let answer = house.ask("/pms/api/v3/Nothing", &house.token()).await;
    assert_eq!(
        answer.text,
        r#"{"statusCode":404,"message":"Unable to match incoming request to an operation."}"#
    );
}
