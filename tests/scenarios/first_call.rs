//! A newcomer's first minutes: start, token, search, read.

use std::process::Command;

use harness::Program;
use http::StatusCode;

#[tokio::test]
async fn the_demo_client_gets_a_token_and_reads_a_product_in_fhir_4_4_0() {
    for store in Program::stores() {
        let program = Program::serve_with(store, &[]).await;
        let api = program.api();
        let demo = program.ready.demo.clone().unwrap();
        let token = api.token_for(&demo.client_id, &demo.client_secret, &demo.scope).await;

        let page = api.get("/pms/api/v3/MedicinalProductDefinition?_count=3", &token).await;
        assert_eq!(page.status, StatusCode::OK, "{}", page.text());
        assert!(page.header("content-type").starts_with("application/fhir+json"));
        assert!(!page.header("x-request-id").is_empty());
        let bundle = page.json();
        assert_eq!(
            (bundle["type"].as_str(), bundle["entry"].as_array().map(Vec::len)),
            (Some("searchset"), Some(3))
        );
        let first = &bundle["entry"][0];
        let full_url = first["fullUrl"].as_str().unwrap();
        assert!(full_url.starts_with(&program.ready.base_url), "{full_url}");

        let product = api.follow(full_url, &token).await;
        assert_eq!(product.status, StatusCode::OK, "{}", product.text());
        assert_eq!(product.json(), first["resource"]);
        assert!(product.header("etag").starts_with("W/\""), "{:?}", product.headers);
    }
}

#[tokio::test]
async fn paging_shows_every_visible_product_once() {
    let program = Program::serve().await;
    let api = program.api();
    let demo = program.ready.demo.clone().unwrap();
    let token = api.token_for(&demo.client_id, &demo.client_secret, &demo.scope).await;
    let mut seen = Vec::new();
    let mut page = api.get("/pms/api/v3/MedicinalProductDefinition?_count=7", &token).await.json();
    let total = page["total"].as_u64().unwrap();
    loop {
        for entry in page["entry"].as_array().unwrap() {
            seen.push(entry["resource"]["id"].as_str().unwrap().to_owned());
        }
        let links = page["link"].as_array().unwrap();
        let Some(next) = links.iter().find(|link| link["relation"] == "next") else { break };
        page = api.follow(next["url"].as_str().unwrap(), &token).await.json();
    }
    let mut once = seen.clone();
    once.sort();
    once.dedup();
    assert_eq!(once.len(), seen.len(), "a product came twice");
    assert_eq!(seen.len() as u64, total);
    assert!(total >= 20, "{total}");
}

#[tokio::test]
async fn the_three_lines_that_the_program_prints_work_when_pasted() {
    if Command::new("curl").arg("--version").output().is_err() {
        println!("NOT CHECKED: curl is not installed");
        return;
    }
    let program = Program::serve().await;
    let lines: Vec<String> = std::fs::read_to_string(program.data_dir().join("first-call.sh"))
        .unwrap()
        .lines()
        .filter(|line| !line.starts_with('#') && !line.trim().is_empty())
        .map(str::to_owned)
        .collect();
    assert_eq!(lines.len(), 3, "{lines:?}");
    let output = Command::new("sh").arg("-c").arg(lines.join("\n")).output().unwrap();
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{shown} {}", String::from_utf8_lossy(&output.stderr));
    assert!(shown.contains("\"searchset\"") && shown.contains("\"MedicinalProductDefinition\""), "{shown}");
}
