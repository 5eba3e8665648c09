//! Searches by form: judged like queries, before anything is sent on; and what the backend is told of them.

use axum::response::IntoResponse as _;
use http::{Method, StatusCode};
use pms_terms::Stakeholder;

use crate::house::{Answer, House, SEARCH, fhir};

const FORM: &str = "/pms/api/v3/MedicinalProductDefinition/_search";

async fn house() -> House {
    let house = House::start().await;
    house.upstream.answer(|_| fhir(StatusCode::OK, r#"{"resourceType":"Bundle"}"#));
    house
}

async fn post(
    house: &House,
    target: &str,
    form: impl Into<reqwest::Body>,
    headers: &[(&str, &str)],
) -> Answer {
    let mut request = house.client.post(house.url(target)).bearer_auth(house.token()).body(form);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    Answer::of(request.send().await.unwrap()).await
}

const URLENCODED: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

#[tokio::test]
async fn an_admitted_form_arrives_as_it_was_sent() {
    let house = house().await;
    let long = format!("name={}", "a%20b,".repeat(8000));
    for (target, form) in [(FORM, "name=a+b&status=%7Cx"), (FORM, ""), (&format!("{FORM}?_count=2"), &long)] {
        let answer = post(&house, target, form.to_owned(), &[URLENCODED]).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        let received = house.upstream.last();
        assert_eq!((received.method, received.uri.to_string().as_str()), (Method::POST, target));
        assert_eq!(received.body, form);
        assert_eq!(received.headers["content-type"], "application/x-www-form-urlencoded");
        assert!(!received.headers.contains_key("x-pmsgate-ignored"));
    }
}

#[tokio::test]
async fn forms_are_refused_by_the_rules_of_queries() {
    let house = house().await;
    let before = house.upstream.count();
    for (target, form, status, rule) in [
        (FORM, "contact=x", StatusCode::FORBIDDEN, "parameter-not-admitted"),
        (FORM, "contact:exact=x", StatusCode::FORBIDDEN, "parameter-not-admitted"),
        (FORM, "%63ontact=x", StatusCode::FORBIDDEN, "parameter-not-admitted"),
        (FORM, "_sort=contact", StatusCode::FORBIDDEN, "parameter-not-admitted"),
        (FORM, "colour=red", StatusCode::BAD_REQUEST, "parameter-unknown"),
        (FORM, "name=%4", StatusCode::BAD_REQUEST, "form-malformed"),
        (FORM, "name=a;contact=b", StatusCode::BAD_REQUEST, "form-malformed"),
        (FORM, "name=a\nb", StatusCode::BAD_REQUEST, "form-malformed"),
        (FORM, "access_token=x", StatusCode::BAD_REQUEST, "token-in-address"),
        (&format!("{FORM}?_count=1"), "_count=2", StatusCode::BAD_REQUEST, "parameter-repeated"),
        (
            &format!("{FORM}?{}", ["name=a"; 6].join("&")),
            &["name=a"; 5].join("&"),
            StatusCode::BAD_REQUEST,
            "too-many-parameters",
        ),
        (FORM, &format!("name={}", "x".repeat(65_536)), StatusCode::PAYLOAD_TOO_LARGE, "body-too-large"),
    ] {
        let answer = post(&house, target, form.to_owned(), &[URLENCODED]).await;
        assert_eq!((answer.status, answer.rule().as_str()), (status, rule), "{target} {}", answer.text);
    }
    let json = post(&house, FORM, "{}", &[("content-type", "application/json")]).await;
    assert_eq!((json.status, json.rule().as_str()), (StatusCode::UNSUPPORTED_MEDIA_TYPE, "form-media-type"));
    let latin = post(&house, FORM, b"name=\xe9".to_vec(), &[URLENCODED]).await;
    assert_eq!(
        (latin.status, latin.rule().as_str()),
        (StatusCode::UNSUPPORTED_MEDIA_TYPE, "form-media-type")
    );
    let gzip = post(&house, FORM, "name=a", &[URLENCODED, ("content-encoding", "gzip")]).await;
    assert_eq!((gzip.status, gzip.rule().as_str()), (StatusCode::UNSUPPORTED_MEDIA_TYPE, "form-media-type"));
    assert_eq!(house.upstream.count(), before, "nothing of it reached the upstream");
}

#[tokio::test]
async fn a_form_needs_a_token_and_the_scope_of_a_search_before_it_is_read() {
    let house = house().await;
    let answer = Answer::of(house.client.post(house.url(FORM)).body("name=a").send().await.unwrap()).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    let reader = house.token_with(|claims| claims.scope = "system/MedicinalProductDefinition.r".into());
    let request = house.client.post(house.url(FORM)).bearer_auth(reader).header(URLENCODED.0, URLENCODED.1);
    let answer = Answer::of(request.body("name=a").send().await.unwrap()).await;
    assert_eq!((answer.status, answer.rule().as_str()), (StatusCode::FORBIDDEN, "scope-missing"));
    // The same path is nothing to read.
    let answer = house.ask(FORM, &house.token()).await;
    assert_eq!((answer.status, answer.header("allow")), (StatusCode::METHOD_NOT_ALLOWED, "POST"));
}

#[tokio::test]
async fn what_lenience_leaves_out_is_told_to_the_upstream() {
    let house = house().await;
    let lenient = ("prefer", "handling=lenient");
    let answer = post(&house, &format!("{FORM}?shoe=1"), "colour=red&name=a", &[URLENCODED, lenient]).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    let received = house.upstream.last();
    assert_eq!((received.uri.to_string().as_str(), received.body), (FORM, "name=a".into()));
    assert_eq!(received.headers["x-pmsgate-ignored"], "shoe&colour");
    let request = house
        .get(&format!("{SEARCH}?name=a&colour=red"), &house.token())
        .header("prefer", "handling=lenient")
        .header("x-pmsgate-ignored", "forged");
    assert_eq!(Answer::of(request.send().await.unwrap()).await.status, StatusCode::OK);
    assert_eq!(house.upstream.last().headers["x-pmsgate-ignored"], "colour");
    // Forbidden stays forbidden.
    let nca = house.token_with(|claims| claims.stakeholder = Stakeholder::Nca);
    for (token, status) in [(house.token(), StatusCode::FORBIDDEN), (nca, StatusCode::OK)] {
        let request = house.client.post(house.url(FORM)).bearer_auth(token).body("contact=x");
        let request = request.header(URLENCODED.0, URLENCODED.1).header("prefer", "handling=lenient");
        assert_eq!(Answer::of(request.send().await.unwrap()).await.status, status);
    }
}

#[tokio::test]
async fn the_links_of_an_xml_bundle_are_ours() {
    let house = House::start().await;
    let base = house.upstream.base();
    let xml = move |body: String| {
        (StatusCode::OK, [("content-type", "application/fhir+xml")], body).into_response()
    };
    let bundle = format!(
        r#"<?xml version="1.0" encoding="UTF-8"?><Bundle xmlns="http://hl7.org/fhir"><link><relation value="next"/><url value="{base}/X?_cursor=abc&amp;_format=xml"/></link><entry><fullUrl value="{base}/X/1"/><resource><X><url value="{base}/X/1"/></X></resource></entry></Bundle>"#
    );
    let sent = bundle.clone();
    house.upstream.answer(move |_| xml(sent.clone()));
    let answer = house.ask(&format!("{SEARCH}?_format=xml"), &house.token()).await;
    assert_eq!(answer.header("content-type"), "application/fhir+xml");
    assert_eq!(answer.header("content-length"), answer.text.len().to_string());
    assert_eq!(answer.text.matches("https://gate.example:8443/pms/api/v3/X").count(), 2, "{}", answer.text);
    assert_eq!(
        answer.text.matches(&house.upstream.base()).count(),
        1,
        "a resource keeps its own: {}",
        answer.text
    );
    // What cannot be rewritten is not passed on.
    for broken in [bundle.replace("</Bundle>", ""), "{}".to_owned(), format!("<!DOCTYPE x>{bundle}")] {
        house.upstream.answer(move |_| xml(broken.clone()));
        let answer = house.ask(SEARCH, &house.token()).await;
        assert_eq!(answer.status, StatusCode::BAD_GATEWAY, "{}", answer.text);
        assert!(!answer.text.contains(&house.upstream.base()));
    }
}
