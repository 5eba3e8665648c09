//! Gateways that keep answers, over real backends and one store: nobody sees what is not so any more, and nobody sees what
//! is another's.

use std::time::{Duration, Instant};

use harness::{Answer, ApiClient, Program};
use http::StatusCode;
use serde_json::{Value, json};

const ID: &str = "600000900001";
const SEARCH: &str = "/pms/api/v3/MedicinalProductDefinition";
const KEEPING: (&str, &str) = ("PMSGATE__GATEWAY__RESPONSE_CACHE_BYTES", "16777216");

/// Within this a change is seen at every gateway.
const SEEN: Duration = Duration::from_secs(1);

fn path() -> String {
    format!("{SEARCH}/{ID}")
}

/// Asks until an answer is as it should be; how long that took.
async fn until(
    api: &ApiClient,
    path: &str,
    token: &str,
    what: &str,
    right: impl Fn(&Answer) -> bool,
) -> Duration {
    let began = Instant::now();
    loop {
        let answer = api.get(path, token).await;
        if right(&answer) {
            return began.elapsed();
        }
        assert!(began.elapsed() < Duration::from_secs(20), "{what}: {:?} {}", answer.headers, answer.text());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn is_kept(api: &ApiClient, path: &str, token: &str) {
    until(api, path, token, "it is kept", |answer| answer.header("cache-status").starts_with("pmsgate; hit"))
        .await;
}

/// Another name for the product, by a merge.
async fn merge(api: &ApiClient, token: &str, name: &str, headers: &[(&str, &str)]) -> Answer {
    let write = "/pms/api/v5-alpha/MedicinalProductDefinition";
    let mut root =
        api.get(&format!("{write}/{ID}/$everything"), token).await.json()["entry"][0]["resource"].clone();
    root["name"][0]["productName"] = name.into();
    let entry = json!({"resource": root, "request": {"method": "PUT", "url": format!("MedicinalProductDefinition/{ID}")}});
    let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": [entry]});
    let mut request = api.request("POST", &format!("{write}/$merge")).bearer_auth(token);
    for (name, value) in headers.iter().chain(&[("content-type", "application/fhir+json")]) {
        request = request.header(*name, *value);
    }
    api.send(request.body(bundle.to_string())).await
}

fn shows(answer: &Answer, name: &str) -> bool {
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    answer.json()["name"][0]["productName"] == name
}

#[tokio::test]
async fn every_gateway_forgets_what_it_kept_when_something_changes() {
    for store in Program::stores() {
        let program = Program::serve_with(store, &[KEEPING]).await;
        let backend = Program::backend_beside(&program).await;
        let settings = [KEEPING, ("PMSGATE__GATEWAY__BACKEND_URL", backend.ready.base_url.as_str())];
        let beside = Program::serve_part("gateway", Some(&program), &settings).await;
        let (here, there) = (program.api(), beside.api());
        let token = here.token(&program.industry("ORG-100000001", &[])).await;
        let path = path();
        for name in ["Keepol 1", "Keepol 2", "Keepol 3"] {
            is_kept(&here, &path, &token).await;
            is_kept(&there, &path, &token).await;
            let merged = merge(&here, &token, name, &[]).await;
            assert_eq!(merged.status, StatusCode::OK, "{}", merged.text());
            assert!(shows(&here.get(&path, &token).await, name), "{store:?}: who merged sees it at once");
            let took = until(&there, &path, &token, name, |answer| shows(answer, name)).await;
            assert!(took < SEEN, "{store:?}: {took:?}");
        }
        // By the queue, through the other gateway.
        is_kept(&here, &path, &token).await;
        is_kept(&there, &path, &token).await;
        let queued = merge(&there, &token, "Keepol queued", &[("prefer", "respond-async")]).await;
        assert_eq!(queued.status, StatusCode::ACCEPTED, "{}", queued.text());
        let outcome = queued.header("content-location").to_owned();
        let began = Instant::now();
        while there.follow(&outcome, &token).await.status == StatusCode::ACCEPTED {
            assert!(began.elapsed() < Duration::from_secs(20), "it is applied");
        }
        for api in [&here, &there] {
            let took = until(api, &path, &token, "queued", |answer| shows(answer, "Keepol queued")).await;
            assert!(took < SEEN, "{store:?}: {took:?}");
        }
        // By the command line, in another process.
        is_kept(&here, &path, &token).await;
        is_kept(&there, &path, &token).await;
        let exported = program.run(&["products", "export"]).stdout;
        let file = program.data_dir().join("changed.ndjson");
        std::fs::write(&file, exported.replace("Keepol queued", "Keepol imported")).unwrap();
        let imported = program.run(&["products", "import", file.to_str().unwrap()]);
        assert_eq!(imported.code, Some(0), "{}", imported.stderr);
        for api in [&here, &there] {
            let took = until(api, &path, &token, "imported", |answer| shows(answer, "Keepol imported")).await;
            assert!(took < SEEN, "{store:?}: {took:?}");
        }
    }
}

/// Numbers that look random and are the same each time.
struct Dice(u64);

impl Dice {
    fn throw<'v, T>(&mut self, values: &'v [T]) -> &'v T {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        &values[usize::try_from((self.0 >> 33) % values.len() as u64).unwrap()]
    }
}

/// All of an answer but for what no two answers share, what is left of the limits, what a cache says of itself, framing.
fn comparable(answer: &Answer) -> (StatusCode, Vec<(String, String)>, String) {
    let (status, headers, text) = answer.without_request_id();
    let own = ["age", "cache-status", "content-length", "transfer-encoding"];
    (status, headers.into_iter().filter(|(name, _)| !own.contains(&name.as_str())).collect(), text)
}

#[tokio::test]
async fn with_and_without_kept_answers_everybody_sees_the_same() {
    let program = Program::serve().await;
    let backend = Program::backend_beside(&program).await;
    let behind = ("PMSGATE__GATEWAY__BACKEND_URL", backend.ready.base_url.as_str());
    let forgetful = Program::serve_part("gateway", Some(&program), &[behind]).await;
    let keeping = Program::serve_part("gateway", Some(&program), &[behind, KEEPING]).await;
    let (here, plain) = (keeping.api(), forgetful.api());
    let base = &keeping.ready.base_url;
    let comparable = |answer: &Answer| {
        let (status, headers, text) = comparable(answer);
        // Links name the gateway.
        (status, headers, text.replace(&forgetful.ready.base_url, base))
    };
    let mut tokens = Vec::new();
    for credentials in [
        program.industry("ORG-100000001", &[]),
        program.industry("ORG-100000001", &[]),
        program.industry("ORG-100000001", &["--qualified"]),
        program.industry("ORG-100000002", &[]),
        program.authority(&["human"]),
        program.authority(&["veterinary"]),
        program.authority(&["human", "veterinary"]),
    ] {
        tokens.push(program.api().token(&credentials).await);
    }
    is_kept(&here, &path(), &tokens[0]).await;
    let bundle = here.get(&format!("{SEARCH}?_count=20"), &tokens[6]).await.json();
    let ids: Vec<String> = bundle["entry"].as_array().unwrap().iter().map(id).collect();
    let mut targets: Vec<String> =
        ["", "?_count=3", "?_count=3&_sort=name", "?_summary=count", "?_count=3&_format=xml"]
            .iter()
            .map(|query| format!("{SEARCH}{query}"))
            .collect();
    for id in ids.iter().take(4) {
        targets.extend(
            ["", "/$everything", "/_history", "/_history/1"].map(|rest| format!("{SEARCH}/{id}{rest}")),
        );
    }
    let (mut dice, mut hits) = (Dice(7), 0);
    for _ in 0..400 {
        let (token, mut target) = (dice.throw(&tokens), dice.throw(&targets).clone());
        for _ in 0..2 {
            let (with, without) = (here.get(&target, token).await, plain.get(&target, token).await);
            assert_eq!(comparable(&with), comparable(&without), "{target}");
            hits += usize::from(with.header("cache-status").starts_with("pmsgate; hit"));
            // A link to the next page is for the class that got it, whoever of it follows, and from wherever it came.
            match next(&with) {
                Some(next) => target = next.strip_prefix(base).unwrap().to_owned(),
                None => break,
            }
            assert_eq!(here.get(&target, token).await.status, StatusCode::OK, "{target}");
        }
    }
    assert!(hits > 100, "{hits} answers were kept ones");
    let page = here.get(&format!("{SEARCH}?_count=3"), &tokens[0]).await;
    let link = next(&page).unwrap();
    for (token, status) in tokens.iter().zip([200, 200, 400, 400, 400, 400, 400]) {
        assert_eq!(here.follow(&link, token).await.status.as_u16(), status);
    }
}

fn id(entry: &Value) -> String {
    entry["resource"]["id"].as_str().unwrap().to_owned()
}

fn next(answer: &Answer) -> Option<String> {
    let bundle: Value = serde_json::from_slice(&answer.body).ok()?;
    let link = bundle["link"].as_array()?.iter().find(|link| link["relation"] == "next")?;
    Some(link["url"].as_str()?.to_owned())
}
