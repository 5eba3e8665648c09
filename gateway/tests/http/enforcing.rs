//! In front of a FHIR server that enforces nothing: what callers see of it, and that nothing else gets through.

use std::{collections::BTreeSet, sync::Arc};

use access_token::AccessTokenClaims;
use axum::{
    body::Body,
    response::{IntoResponse as _, Response},
};
use caller_context::Disclosure;
use config::HeaderSecret;
use futures_util::{StreamExt as _, stream};
use gateway::{GatewaySettings, testing::partner};
use http::{Method, StatusCode};
use pms_terms::{Domains, Stakeholder};
use serde_json::{Value, json};
use time::Duration;

use crate::{
    house::{Answer, House, claims, fhir},
    partner::Partner,
};

const BASE: &str = "/partner/r5";
const PRODUCTS: &str = "/partner/r5/MedicinalProductDefinition";
/// A product that says more than anybody may learn.
const PRODUCT: &str = r#"{"resourceType":"MedicinalProductDefinition","id":"1","description":"SECRET"}"#;

type Faulty = Box<dyn Fn() -> Response + Send + Sync>;

async fn house() -> (House, Arc<Partner>) {
    let partner = Partner::start();
    (house_before(&partner, |_| {}).await, partner)
}

async fn house_before(server: &Partner, change: impl FnOnce(&mut GatewaySettings)) -> House {
    House::start_with(|settings| {
        settings.products = vec![partner(&server.url())];
        change(settings);
    })
    .await
}

fn agency(house: &House) -> String {
    house.token_with(|claims| claims.stakeholder = Stakeholder::Ema)
}

fn public(house: &House) -> String {
    house.token_with(of_the_public)
}

fn of_the_public(claims: &mut AccessTokenClaims) {
    (claims.stakeholder, claims.org_id, claims.qualified) = (Stakeholder::Public, None, false);
    claims.client_id = "public-1".into();
}

/// The ids on a page.
fn ids(page: &Value) -> Vec<String> {
    let entries = page["entry"].as_array().into_iter().flatten();
    entries.into_iter().map(|entry| entry["resource"]["id"].as_str().unwrap().to_owned()).collect()
}

fn next(page: &Value) -> Option<String> {
    let links = page["link"].as_array().unwrap();
    let next = links.iter().find(|link| link["relation"] == "next")?;
    Some(next["url"].as_str().unwrap().strip_prefix("https://gate.example:8443").unwrap().to_owned())
}

/// All pages of a search.
async fn pages(house: &House, first: &str, token: &str) -> Vec<Vec<String>> {
    let mut pages = Vec::new();
    let mut path = Some(first.to_owned());
    while let Some(at) = path {
        let answer = house.ask(&at, token).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        let page = answer.json();
        assert!(page.get("total").is_none(), "a total would count hidden products");
        path = next(&page);
        pages.push(ids(&page));
    }
    pages
}

/// Products that the agency sees and the public does not.
async fn hidden_and_shown(house: &House) -> (Vec<String>, Vec<String>) {
    let all = pages(house, PRODUCTS, &agency(house)).await.concat();
    let shown = pages(house, PRODUCTS, &public(house)).await.concat();
    let hidden: Vec<String> = all.into_iter().filter(|id| !shown.contains(id)).collect();
    assert!(hidden.len() > 3 && shown.len() > 3, "{hidden:?} {shown:?}");
    (hidden, shown)
}

#[tokio::test]
async fn callers_see_what_their_group_may_see() {
    let (house, _partner) = house().await;
    let (hidden, shown) = hidden_and_shown(&house).await;
    let path = format!("{PRODUCTS}/{}", shown[0]);
    let whole = house.ask(&path, &agency(&house)).await.json();
    let part = house.ask(&path, &public(&house)).await.json();
    assert!(part.as_object().unwrap().len() < whole.as_object().unwrap().len());
    assert_eq!(part["meta"]["tag"][0]["code"], "SUBSETTED");
    assert!(whole["meta"]["tag"].is_null() && part["name"] == whole["name"]);

    let everything = house.ask(&format!("{path}/$everything"), &public(&house)).await.json();
    assert_eq!(everything["total"], everything["entry"].as_array().unwrap().len());
    for entry in everything["entry"].as_array().unwrap() {
        let url = entry["fullUrl"].as_str().unwrap();
        assert!(url.starts_with("https://gate.example:8443/partner/r5/"), "{url}");
        assert_ne!(entry["resource"]["resourceType"], "PractitionerRole");
    }

    // Hidden and absent are one answer.
    let mut answers = Vec::new();
    for id in [&hidden[0], "999999999999"] {
        for tail in ["", "/$everything"] {
            let answer = house.get(&format!("{PRODUCTS}/{id}{tail}"), &public(&house));
            let answer = Answer::of(answer.header("x-request-id", "r-1").send().await.unwrap()).await;
            assert_eq!((answer.status, answer.rule().as_str()), (StatusCode::NOT_FOUND, "no-such-resource"));
            answers.push(answer.text);
        }
    }
    answers.dedup();
    assert_eq!(answers.len(), 1);
}

#[tokio::test]
async fn a_part_is_read_through_the_gate_of_its_product() {
    let (house, partner) = house().await;
    let (hidden, shown) = hidden_and_shown(&house).await;
    let packs: Vec<(String, String)> = {
        let resources = partner.resources.lock().unwrap();
        let packs = resources.iter().filter(|one| one["resourceType"] == "PackagedProductDefinition");
        let of = |pack: &Value| {
            pack["packageFor"][0]["reference"].as_str().unwrap().rsplit('/').next().unwrap().to_owned()
        };
        packs.map(|pack| (pack["id"].as_str().unwrap().to_owned(), of(pack))).collect()
    };
    for (product, status) in [(&shown, StatusCode::OK), (&hidden, StatusCode::NOT_FOUND)] {
        let (pack, _) = packs.iter().find(|(_, of)| product.contains(of)).unwrap();
        let path = format!("{BASE}/PackagedProductDefinition/{pack}");
        assert_eq!(house.ask(&path, &public(&house)).await.status, status, "{path}");
        assert_eq!(house.ask(&path, &agency(&house)).await.status, StatusCode::OK, "{path}");
    }
    let lost = house.ask(&format!("{BASE}/PackagedProductDefinition/none"), &agency(&house)).await;
    assert_eq!(lost.rule(), "no-such-resource");
    // A part whose product the server does not have is nobody's.
    partner.resources.lock().unwrap().retain(|one| one["resourceType"] != "MedicinalProductDefinition");
    let (pack, _) = &packs[0];
    let orphan = house.ask(&format!("{BASE}/PackagedProductDefinition/{pack}"), &agency(&house)).await;
    assert_eq!(orphan.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn nothing_of_the_caller_reaches_the_server() {
    let partner = Partner::start();
    let house = house_before(&partner, |settings| {
        let foreign = settings.products[0].product.foreign.as_mut().unwrap();
        foreign.header = Some("x-api-key".into());
        foreign.header_value = Some(HeaderSecret::new("let-me-in".into()));
    })
    .await;
    let request = house
        .get(&format!("{PRODUCTS}?name=A"), &agency(&house))
        .header("cookie", "a=b")
        .header("x-api-key", "mine")
        .header("user-agent", "caller")
        .header("if-none-match", "W/\"1\"")
        .header("if-modified-since", "Mon, 01 Jan 2024 00:00:00 GMT")
        .header("x-anything", "x");
    assert_eq!(request.send().await.unwrap().status(), StatusCode::OK);
    assert_eq!(house.ask(&format!("{BASE}/metadata"), &agency(&house)).await.status, StatusCode::OK);
    let received = partner.received.lock().unwrap();
    assert!(received.len() > 2);
    for (uri, headers) in received.iter() {
        let mut names: Vec<&str> = headers.keys().map(http::HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(
            names,
            ["accept", "accept-encoding", "host", "prefer", "user-agent", "x-api-key", "x-request-id"],
            "{uri}"
        );
        assert_eq!(
            (headers["x-api-key"].as_bytes(), headers["user-agent"].as_bytes()),
            (&b"let-me-in"[..], &b"pmsgate"[..])
        );
        assert!(!uri.to_string().contains("cursor"));
    }
}

#[tokio::test]
async fn pages_are_full_and_lead_to_the_end() {
    let (house, _partner) = house().await;
    for token in [house.token(), public(&house)] {
        let all = pages(&house, &format!("{PRODUCTS}?_count=50"), &token).await.concat();
        for count in [7, 9] {
            let pages = pages(&house, &format!("{PRODUCTS}?_count={count}"), &token).await;
            let (last, full) = pages.split_last().unwrap();
            assert!(full.iter().all(|page| page.len() == count), "hidden products leave no gaps: {pages:?}");
            assert!(!last.is_empty(), "no link leads to an empty page");
            assert_eq!(pages.concat(), all);
        }
    }
}

#[tokio::test]
async fn a_page_link_is_for_its_caller_and_its_time() {
    let (house, partner) = house().await;
    let mine = house.token();
    let page = house.ask(&format!("{PRODUCTS}?_count=2"), &mine).await.json();
    let link = next(&page).unwrap();
    assert!(!page.to_string().contains(&partner.url()), "the server's address stays hidden");
    let asked = partner.asked();
    let other = house.token_with(|claims| claims.client_id = "other".into());
    let demoted = house.token_with(|claims| claims.qualified = false);
    for (path, token) in [
        (link.clone(), &other),
        (link.clone(), &demoted),
        (format!("{}x", &link[..link.len() - 1]), &mine),
        (format!("{PRODUCTS}?_cursor=AAAA"), &mine),
    ] {
        let answer = house.ask(&path, token).await;
        assert_eq!((answer.status, answer.rule().as_str()), (StatusCode::BAD_REQUEST, "page-link"), "{path}");
    }
    let more = house.ask(&format!("{link}&name=A"), &mine).await;
    assert_eq!(more.rule(), "parameter-value");
    assert_eq!(partner.asked(), asked, "the server was not asked");
    assert_eq!(house.ask(&link, &mine).await.status, StatusCode::OK);
    house.clock.advance(Duration::seconds(3601));
    let late = house.token_with(|claims| claims.exp += 7200);
    let lapsed = house.ask(&link, &late).await;
    assert_eq!((lapsed.status, lapsed.rule().as_str()), (StatusCode::BAD_REQUEST, "page-link-lapsed"));
}

/// Every way in which an answer cannot be filtered, on the search itself and on a question about what belongs to it.
#[tokio::test]
async fn what_cannot_be_filtered_is_not_sent() {
    let (house, partner) = house().await;
    let bundle = |entry: &str| {
        format!(r#"{{"resourceType":"Bundle","type":"searchset","entry":[{{"resource":{entry}}}]}}"#)
    };
    let with = |media: &'static str, coding: &'static str, body: String| {
        move || {
            (StatusCode::OK, [("content-type", media), ("content-encoding", coding)], body.clone())
                .into_response()
        }
    };
    let json = |body: String| move || fhir(StatusCode::OK, body.clone());
    let deep = format!("{}\"SECRET\"{}", "[".repeat(90), "]".repeat(90));
    let faults: Vec<(&str, Faulty)> = vec![
        ("not JSON", Box::new(json("SECRET".into()))),
        ("XML", Box::new(with("application/fhir+xml", "identity", "<Bundle><!--SECRET--></Bundle>".into()))),
        ("no media type", Box::new(|| without_media_type(PRODUCT))),
        ("compressed", Box::new(with("application/fhir+json", "gzip", "SECRET".into()))),
        ("too large", Box::new(json(bundle(&format!("\"SECRET{}\"", "x".repeat(9 * 1024 * 1024)))))),
        ("cut", Box::new(|| cut(r#"{"resourceType":"Bundle","SECRET""#))),
        ("too deep", Box::new(json(bundle(&deep)))),
        ("a resource", Box::new(json(PRODUCT.into()))),
        ("another kind of Bundle", Box::new(json(bundle(PRODUCT).replace("searchset", "collection")))),
        ("another type", Box::new(json(bundle(&PRODUCT.replace("MedicinalProductDefinition", "Patient"))))),
        ("no id", Box::new(json(bundle(&PRODUCT.replace(r#""id":"1","#, ""))))),
        (
            "incomplete",
            Box::new(json(bundle(
                &PRODUCT.replace(r#""id":"1","#, r#""id":"1","meta":{"tag":[{"code":"SUBSETTED"}]},"#),
            ))),
        ),
        (
            "a redirect",
            Box::new(|| (StatusCode::FOUND, [("location", "http://evil.example/")]).into_response()),
        ),
        ("a part", Box::new(|| fhir(StatusCode::PARTIAL_CONTENT, "SECRET"))),
        ("nothing", Box::new(|| StatusCode::NO_CONTENT.into_response())),
    ];
    for (name, fault) in faults {
        let fault = Arc::new(fault);
        for question in ["/fhir/MedicinalProductDefinition?", "/fhir/RegulatedAuthorization?"] {
            let fault = Arc::clone(&fault);
            partner.misbehave(move |target| target.starts_with(question).then(|| fault()));
            for path in [PRODUCTS.to_owned(), format!("{PRODUCTS}/600000900001")] {
                let answer = house.ask(&path, &agency(&house)).await;
                let expected = (StatusCode::BAD_GATEWAY, "answer-unfilterable".to_owned());
                assert_eq!(
                    (answer.status, answer.rule()),
                    expected,
                    "{name} {question} {path}: {}",
                    answer.text
                );
                assert!(!answer.text.contains("SECRET"), "{name}");
            }
        }
    }
}

fn without_media_type(product: &str) -> Response {
    let mut response = Response::new(Body::from(product.to_owned()));
    response.headers_mut().remove("content-type");
    response
}

/// A body that ends before its end.
fn cut(beginning: &'static str) -> Response {
    // The pause has the beginning sent.
    let end = async {
        tokio::task::yield_now().await;
        Err(std::io::Error::other("cut"))
    };
    let start = stream::iter([Ok(bytes::Bytes::from(beginning))]);
    let frames = start.chain(stream::once(end));
    let mut response = Response::new(Body::from_stream(frames));
    response.headers_mut().insert("content-type", http::HeaderValue::from_static("application/fhir+json"));
    response
}

#[tokio::test]
async fn errors_keep_their_class_and_lose_their_words() {
    let (house, partner) = house().await;
    let words = r#"{"resourceType":"OperationOutcome","issue":[{"diagnostics":"SECRET"}]}"#;
    for (status, search, question) in [
        (400, (400, "search-not-taken"), (502, "upstream-answer")),
        (404, (400, "search-not-taken"), (502, "upstream-answer")),
        (422, (400, "search-not-taken"), (502, "upstream-answer")),
        (401, (502, "upstream-answer"), (502, "upstream-answer")),
        (403, (502, "upstream-answer"), (502, "upstream-answer")),
        (429, (503, "upstream-busy"), (503, "upstream-busy")),
        (500, (502, "upstream-answer"), (502, "upstream-answer")),
        (503, (503, "upstream-busy"), (503, "upstream-busy")),
        (504, (504, "upstream-timeout"), (504, "upstream-timeout")),
    ] {
        for (target, expected) in [("MedicinalProductDefinition", search), ("Ingredient", question)] {
            partner.misbehave(move |asked| {
                let answer = || fhir(StatusCode::from_u16(status).unwrap(), words);
                asked.starts_with(&format!("/fhir/{target}?")).then(answer)
            });
            let answer = house.ask(PRODUCTS, &agency(&house)).await;
            assert_eq!((answer.status.as_u16(), answer.rule().as_str()), expected, "{status} {target}");
            assert!(!answer.text.contains("SECRET"));
        }
    }
}

#[tokio::test]
async fn only_the_server_itself_is_followed() {
    let (house, partner) = house().await;
    let elsewhere = Partner::start();
    let (there, here) = (elsewhere.url(), partner.url());
    for link in [
        format!("{there}/fhir/MedicinalProductDefinition"),
        format!("{here}/admin"),
        format!("{here}/fhir/../admin"),
        format!("{here}@evil.example/fhir/x"),
        "file:///etc/passwd".to_owned(),
    ] {
        for question in ["MedicinalProductDefinition", "Ingredient"] {
            let bundle = json!({"resourceType": "Bundle", "type": "searchset",
                "link": [{"relation": "next", "url": link}]});
            let body = bundle.to_string();
            partner.misbehave(move |target| {
                target.starts_with(&format!("/fhir/{question}?")).then(|| fhir(StatusCode::OK, body.clone()))
            });
            let answer = house.ask(PRODUCTS, &agency(&house)).await;
            let known = question == "Ingredient" || answer.rule() == "answer-unfilterable";
            assert!(known, "{link} {question}: {}", answer.text);
        }
    }
    assert_eq!(elsewhere.asked(), 0);
    let mut received = partner.received.lock().unwrap().clone().into_iter();
    assert!(received.all(|(uri, _)| uri.path().starts_with("/fhir/")));
}

#[tokio::test]
async fn a_server_without_end_is_left() {
    let (house, partner) = house().await;
    let link = format!("{}/fhir/Ingredient?again", partner.url());
    let body =
        json!({"resourceType": "Bundle", "type": "searchset", "link": [{"relation": "next", "url": link}]});
    partner.misbehave(move |target| {
        target.starts_with("/fhir/Ingredient").then(|| fhir(StatusCode::OK, body.to_string()))
    });
    let answer = house.ask(&format!("{PRODUCTS}/600000900001"), &agency(&house)).await;
    assert_eq!(answer.rule(), "answer-unfilterable");
    assert!(partner.asked() <= 500, "{}", partner.asked());
}

#[tokio::test]
async fn hidden_elements_are_not_searched() {
    let (house, partner) = house().await;
    for (query, rule, word) in [
        ("characteristic=x", "parameter-not-admitted", "characteristic"),
        ("master-file:missing=true", "parameter-not-admitted", "master-file"),
        ("_sort=-identifier", "parameter-partly-hidden", "_sort"),
        ("identifier:not=x", "parameter-partly-hidden", "identifier"),
        ("contact=x", "parameter-partly-hidden", "contact"),
        ("_count=0", "parameter-value", "_count"),
        ("_has:Ingredient:for:status=x", "parameter-unknown", "_has"),
        ("contact.name=x", "parameter-unknown", "contact.name"),
        ("_include=*", "parameter-unknown", "_include"),
        ("_elements=name", "parameter-unknown", "_elements"),
        ("_filter=x", "parameter-unknown", "_filter"),
    ] {
        let answer = house.ask(&format!("{PRODUCTS}?{query}"), &public(&house)).await;
        assert!(answer.status.is_client_error() && answer.rule() == rule, "{query}: {}", answer.text);
        assert!(answer.text.contains(word), "{query}: {}", answer.text);
    }
    assert_eq!(partner.asked(), 0, "the server was not asked");
    let form = house.client.post(house.url(&format!("{PRODUCTS}/_search"))).bearer_auth(public(&house));
    let form = form.header("content-type", "application/x-www-form-urlencoded").body("characteristic=x");
    let answer = Answer::of(form.send().await.unwrap()).await;
    assert_eq!((answer.rule().as_str(), partner.asked()), ("parameter-not-admitted", 0));
}

#[tokio::test]
async fn nobody_finds_by_an_identifier_that_it_does_not_see() {
    let (house, partner) = house().await;
    let (_, shown) = hidden_and_shown(&house).await;
    let secret = json!({"system": "http://example.org/internal", "value": "INTERNAL-1"});
    let id = shown[0].clone();
    partner.change("MedicinalProductDefinition", |product| {
        if product["id"] == id.as_str() {
            product["identifier"].as_array_mut().unwrap().push(secret.clone());
        }
    });
    let find = |token: String| {
        let house = &house;
        async move { pages(house, &format!("{PRODUCTS}?identifier=INTERNAL-1"), &token).await.concat() }
    };
    assert_eq!(find(agency(&house)).await, [id]);
    assert_eq!(find(public(&house)).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_change_of_what_is_hidden_changes_no_tag() {
    let (house, partner) = house().await;
    let (_, shown) = hidden_and_shown(&house).await;
    let path = format!("{PRODUCTS}/{}", shown[0]);
    let tags = async || {
        let mut tags = Vec::new();
        for token in [agency(&house), public(&house)] {
            let answer = house.ask(&path, &token).await;
            assert!(!answer.headers.contains_key("last-modified"));
            tags.push(answer.header("etag").to_owned());
        }
        (tags.remove(0), tags.remove(0))
    };
    let before = tags().await;
    partner.change("MedicinalProductDefinition", |product| product["description"] = json!("another"));
    let after = tags().await;
    assert!(before.0 != after.0 && before.1 == after.1, "{before:?} {after:?}");

    for (condition, known, status) in [
        ("if-none-match", after.1.as_str(), StatusCode::NOT_MODIFIED),
        ("if-none-match", "W/\"1\"", StatusCode::OK),
        ("if-match", after.1.as_str(), StatusCode::OK),
        ("if-match", "W/\"1\"", StatusCode::PRECONDITION_FAILED),
    ] {
        let request = house.get(&path, &public(&house)).header(condition, known);
        let answer = Answer::of(request.send().await.unwrap()).await;
        assert_eq!(answer.status, status, "{condition}: {known}");
        assert_eq!(answer.text.is_empty(), status == StatusCode::NOT_MODIFIED);
        if status == StatusCode::PRECONDITION_FAILED {
            assert_eq!(answer.rule(), "precondition");
        }
    }
    let head = house.client.head(house.url(&path)).bearer_auth(public(&house)).send().await.unwrap();
    assert_eq!((head.status(), head.headers()["etag"].to_str().unwrap()), (StatusCode::OK, after.1.as_str()));
    assert!(head.headers()["content-length"].to_str().unwrap().parse::<usize>().unwrap() > 100);
}

#[tokio::test]
async fn answers_are_written_as_asked() {
    let (house, _partner) = house().await;
    let path = format!("{PRODUCTS}?_count=1");
    let xml = house.get(&path, &public(&house)).header("accept", "application/fhir+xml");
    let xml = Answer::of(xml.send().await.unwrap()).await;
    assert_eq!((xml.status, xml.header("content-type")), (StatusCode::OK, "application/fhir+xml"));
    assert!(xml.text.contains("<Bundle xmlns=\"http://hl7.org/fhir\">"), "{}", xml.text);
    let pretty = house.ask(&format!("{path}&_pretty=true"), &public(&house)).await;
    assert!(pretty.text.contains("\n  \"type\": \"searchset\""), "{}", pretty.text);
}

#[tokio::test]
async fn nothing_is_written_and_nothing_else_is_there() {
    let (house, partner) = house().await;
    for (method, path, status) in [
        (Method::PUT, "/MedicinalProductDefinition/1", StatusCode::METHOD_NOT_ALLOWED),
        (Method::POST, "/MedicinalProductDefinition", StatusCode::METHOD_NOT_ALLOWED),
        (Method::DELETE, "/MedicinalProductDefinition/1", StatusCode::METHOD_NOT_ALLOWED),
        (Method::GET, "/MedicinalProductDefinition/1/_history", StatusCode::NOT_FOUND),
        (Method::GET, "/MedicinalProductDefinition/1/_history/1", StatusCode::NOT_FOUND),
        (Method::GET, "/Patient", StatusCode::NOT_FOUND),
        (Method::GET, "/Organization/1", StatusCode::NOT_FOUND),
    ] {
        let request = house.client.request(method.clone(), house.url(&format!("{BASE}{path}")));
        let answer = request.bearer_auth(agency(&house)).send().await.unwrap();
        assert_eq!(answer.status(), status, "{method} {path}");
    }
    assert_eq!(partner.asked(), 0);
    let statement = house.ask(&format!("{BASE}/metadata"), "").await.json();
    let resources = statement["rest"][0]["resource"].as_array().unwrap();
    assert_eq!((resources.len(), &resources[0]["type"]), (1, &json!("MedicinalProductDefinition")));
    assert!(!resources[0].to_string().contains("delete"));
}

/// The count goes to whoever writes the audit trail, in the process, and not to the caller.
#[tokio::test]
async fn what_was_withheld_is_counted() {
    let (house, _partner) = house().await;
    let worker = house.gateway.worker();
    let mut counts = BTreeSet::new();
    for change in
        [of_the_public as fn(&mut AccessTokenClaims), |claims| claims.stakeholder = Stakeholder::Ema]
    {
        let token = house.issuer.key.sign(&claims(change)).unwrap();
        let request = http::Request::get(format!("{PRODUCTS}/600000900001/$everything"));
        let request =
            request.header("host", "gate.example").header("authorization", format!("Bearer {token}"));
        let request = request.body(Body::empty()).unwrap();
        let response = worker.handle(request).await;
        assert_eq!(response.status(), StatusCode::OK);
        let disclosed = response.extensions().get::<Disclosure>().unwrap();
        assert!(disclosed.resources > 0 && disclosed.products == ["600000900001"], "{disclosed:?}");
        counts.insert((disclosed.hidden, disclosed.withheld));
    }
    let counts: Vec<_> = counts.into_iter().collect();
    assert_eq!(counts[0], (0, 0), "the agency sees all");
    assert!(counts[1].0 > 0 && counts[1].1 > 0, "{counts:?}");
}

#[tokio::test]
async fn an_authority_sees_its_domain() {
    let (house, _partner) = house().await;
    let of = |domains: Domains| {
        house.token_with(|claims| (claims.stakeholder, claims.domains) = (Stakeholder::Nca, domains))
    };
    let human = pages(&house, PRODUCTS, &of(Domains::HUMAN)).await.concat();
    let veterinary = pages(&house, PRODUCTS, &of(Domains::VETERINARY)).await.concat();
    let apart = |some: &[String], others: &[String]| some.iter().filter(|id| !others.contains(id)).count();
    assert!(apart(&human, &veterinary) > 0 && apart(&veterinary, &human) > 0);
    assert_eq!(pages(&house, PRODUCTS, &of(Domains::NONE)).await.concat(), Vec::<String>::new());
}

#[tokio::test]
async fn who_is_known_by_its_location_owns_what_the_server_says_it_does() {
    let (house, partner) = house().await;
    // Its holder is an Organization that has the id LOC-100000012 alone.
    let path = format!("{PRODUCTS}/700000900037/$everything");
    let (owner, public) = (house.token(), public(&house));
    let seen = async || house.ask(&path, &owner).await.text.len();
    let asked = || {
        partner.received.lock().unwrap().iter().filter(|(uri, _)| uri.path().ends_with("Location")).count()
    };
    let others = seen().await;
    assert_eq!(asked(), 2, "by the ids of OMS and by its own");
    house.ask(&path, &public).await;
    assert_eq!(asked(), 2, "who is of no organisation owns nothing anyway");

    let location =
        json!({"resourceType": "Location", "id": "l1", "identifier": [{"value": "LOC-100000012"}]});
    partner.resources.lock().unwrap().push(location);
    let belongs_to = |manager: Value| {
        partner.change("Location", |location| location["managingOrganization"] = manager.clone());
    };
    let url = partner.url();
    for (manager, owns) in [
        (Value::Null, false),
        (json!({"identifier": {"value": "ORG-100000002"}}), false),
        (json!({"identifier": {"value": "ORG-100000001"}}), true),
        (json!({"reference": format!("{url}/fhir/Organization/ORG-100000001")}), true),
        (json!({"reference": "Organization/100004"}), true),
        (json!({"reference": "Organization/nobody"}), false),
    ] {
        belongs_to(manager.clone());
        assert_eq!(seen().await > others, owns, "{manager}");
    }
    belongs_to(json!({"identifier": {"value": "ORG-100000001"}}));
    for (status, expected) in [
        (StatusCode::NOT_FOUND, StatusCode::OK),
        (StatusCode::BAD_REQUEST, StatusCode::OK),
        (StatusCode::NOT_IMPLEMENTED, StatusCode::OK),
        (StatusCode::UNAUTHORIZED, StatusCode::BAD_GATEWAY),
        (StatusCode::INTERNAL_SERVER_ERROR, StatusCode::BAD_GATEWAY),
        (StatusCode::SERVICE_UNAVAILABLE, StatusCode::SERVICE_UNAVAILABLE),
    ] {
        partner.misbehave(move |target| target.starts_with("/fhir/Location").then(|| fhir(status, "{}")));
        let answer = house.ask(&path, &owner).await;
        assert_eq!(answer.status, expected, "{status}");
        if expected == StatusCode::OK {
            assert_eq!(answer.text.len(), others, "{status}: it tells nothing of locations");
        }
    }
    partner.misbehave(|_| None);
    let house = house_before(&partner, |settings| {
        let types = ["MedicinalProductDefinition", "RegulatedAuthorization"].map(str::to_owned).to_vec();
        settings.products[0].product.foreign.get_or_insert_default().types = Some(types);
    })
    .await;
    let before = asked();
    assert_eq!(house.ask(&path, &house.token()).await.status, StatusCode::OK);
    assert_eq!(asked(), before, "a type that is not listed is not asked for");
}
