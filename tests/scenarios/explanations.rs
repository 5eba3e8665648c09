//! `pmsgate explain`: one story in order, from the client over the gateway to each element, and what of it comes true.

use harness::Program;
use http::StatusCode;
use serde_json::Value;

const PRODUCT: &str = "/pms/api/v3/MedicinalProductDefinition/600000900001";
const PENDING: &str = "/pms/api/v3/MedicinalProductDefinition/600000900020";

fn story(program: &Program, client: &str, method: &str, url: &str) -> Vec<Value> {
    let told = program.result(&["explain", "--client", client, method, url]);
    told.as_array().unwrap().clone()
}

/// Where each decision was made, without repetition, and the last decision.
fn outline(story: &[Value]) -> (Vec<&str>, String) {
    let mut places: Vec<&str> = story.iter().map(|told| told["at"].as_str().unwrap()).collect();
    places.dedup();
    let last = &story[story.len() - 1];
    let word = |name: &str| last[name].as_str().unwrap().to_owned();
    (places, format!("{} {}: {}", word("rule"), word("outcome"), word("reason")))
}

#[tokio::test]
async fn a_story_goes_from_the_client_over_the_gateway_to_each_element() {
    let program = Program::serve().await;
    let api = program.api();
    let stranger = program.industry("ORG-100000002", &[]);
    let token = api.token(&stranger).await;
    let told =
        story(&program, &stranger.client_id, "GET", &format!("https://localhost{PRODUCT}?_pretty=true"));
    let (places, _) = outline(&told);
    assert_eq!(places, ["client", "gateway", "backend"]);
    let rules: Vec<&str> = told.iter().map(|one| one["rule"].as_str().unwrap()).take(7).collect();
    assert_eq!(rules, ["status", "route", "audience", "role", "scope", "parameter", "EP303"]);
    // What it says of elements is what the answer shows.
    let shown = api.get(PRODUCT, &token).await.json();
    for element in ["description", "version", "domain", "name"] {
        let path = format!("MedicinalProductDefinition/600000900001.{element}");
        let about = told.iter().find(|one| {
            one["path"].as_str().is_some_and(|at| at == path || at.starts_with(&format!("{path}[")))
        });
        let kept = about.map(|one| one["outcome"] != "removed");
        assert_eq!(kept.unwrap_or_default(), shown.get(element).is_some(), "{element}: {about:?}");
    }
    assert!(
        told.iter().any(|one| one["outcome"] == "removed" && one["rule"].as_str().unwrap().contains("line "))
    );
}

#[tokio::test]
async fn a_story_ends_where_the_request_does_and_says_why() {
    let program = Program::serve().await;
    let api = program.api();
    let stranger = program.industry("ORG-100000002", &[]);
    let token = api.token(&stranger).await;
    for (method, url, places, words, status) in [
        ("GET", PENDING, &["client", "gateway", "backend"][..], "G1 removed", StatusCode::NOT_FOUND),
        (
            "GET",
            "/pms/api/v3/MedicinalProductDefinition/600000999999",
            &["client", "gateway", "backend"],
            "store absent",
            StatusCode::NOT_FOUND,
        ),
        ("GET", &format!("{PRODUCT}/_history"), &["client", "gateway", "backend"], "", StatusCode::NOT_FOUND),
        (
            "DELETE",
            PRODUCT,
            &["client", "gateway"],
            "route refused: the method is not offered",
            StatusCode::METHOD_NOT_ALLOWED,
        ),
        ("GET", "/pms/api/v3/Patient/1", &["client", "gateway"], "route refused", StatusCode::NOT_FOUND),
        (
            "GET",
            "/pms/api/v3/MedicinalProductDefinition?contact=a",
            &["client", "gateway"],
            "parameter refused",
            StatusCode::FORBIDDEN,
        ),
        (
            "GET",
            "/public/v1/MedicinalProductDefinition/600000900001",
            &["client", "gateway"],
            "audience refused",
            StatusCode::UNAUTHORIZED,
        ),
    ] {
        let told = story(&program, &stranger.client_id, method, url);
        let (found, last) = outline(&told);
        assert_eq!(found, places, "{method} {url}: {told:#?}");
        assert!(last.starts_with(words), "{method} {url}: {last}");
        if method == "GET" {
            assert_eq!(api.get(url, &token).await.status, status, "{url}");
        }
    }
    let history = story(&program, &stranger.client_id, "GET", &format!("{PRODUCT}/_history"));
    assert!(history.iter().any(|one| one["rule"] == "G4" && one["outcome"] == "hidden"), "{history:#?}");
}

#[tokio::test]
async fn who_cannot_ask_at_all_is_told_so() {
    let program = Program::serve().await;
    let client = program.industry("ORG-100000002", &[]);
    program.result(&["client", "suspend", &client.client_id]);
    let told = story(&program, &client.client_id, "GET", PRODUCT);
    let (places, last) = outline(&told);
    assert_eq!(places, ["client"]);
    assert!(last.contains("suspended") && last.contains("401"), "{last}");
    let outcome =
        program.run(&["explain", "--client", "00000000-0000-4000-8000-000000000000", "GET", PRODUCT]);
    assert_ne!(outcome.code, Some(0));
    let words = format!("{}{}", outcome.stdout, outcome.stderr);
    assert!(words.contains("there is no client"), "{words}");
}

#[tokio::test]
async fn an_example_of_the_help_can_be_asked_as_it_stands() {
    let program = Program::serve().await;
    let help = program.run(&["explain", "--help"]).stdout;
    let example = help.lines().find(|line| line.contains("GET /pms")).unwrap();
    let client = program.authority(&["human"]);
    let words: Vec<&str> = example
        .split_whitespace()
        .skip(1)
        .map(|word| if word == "CLIENT_ID" { client.client_id.as_str() } else { word })
        .collect();
    let told = program.result(&words);
    assert!(told.as_array().unwrap().iter().any(|one| one["outcome"] == "kept"), "{told:#}");
}
