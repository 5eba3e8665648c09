//! What operators watch with: alert rules that promtool accepts and plays through, a dashboard whose figures exist.

use std::{
    collections::BTreeSet,
    process::Command,
    time::{Duration, Instant},
};

use harness::{ApiClient, Program, Store, checkout};
use serde_json::Value;

/// Names of our metrics in a text.
fn metrics(text: &str) -> BTreeSet<String> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|word| word.starts_with("pmsgate_"))
        .map(str::to_owned)
        .collect()
}

#[test]
fn alert_rules_are_accepted_and_do_what_their_examples_say() {
    let folder = checkout().join("config/monitoring");
    for arguments in
        [["check", "rules", "prometheus-rules.yaml"], ["test", "rules", "prometheus-rules.test.yaml"]]
    {
        let Ok(output) = Command::new("promtool").args(arguments).current_dir(&folder).output() else {
            assert!(
                std::env::var_os("PMSGATE_TEST_COMPLETE").is_none(),
                "the set-up is complete but has no promtool"
            );
            println!("NOT CHECKED: promtool is not installed; `cargo xtask test` installs it");
            return;
        };
        let said = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&said));
    }
}

#[tokio::test]
async fn every_figure_of_rules_and_dashboard_is_told_by_a_running_program() {
    let folder = checkout().join("config/monitoring");
    let mut wanted = BTreeSet::new();
    for name in ["grafana-dashboard.json", "grafana-gateway.json"] {
        let dashboard: Value = serde_json::from_slice(&std::fs::read(folder.join(name)).unwrap()).unwrap();
        for panel in dashboard["panels"].as_array().unwrap() {
            for target in panel["targets"].as_array().unwrap() {
                wanted.extend(metrics(target["expr"].as_str().unwrap()));
            }
        }
    }
    let rules = std::fs::read_to_string(folder.join("prometheus-rules.yaml")).unwrap();
    for line in rules.lines().filter_map(|line| line.trim().strip_prefix("expr: ")) {
        wanted.extend(metrics(line));
    }
    assert!(wanted.len() >= 30, "{wanted:?}");

    // The feed of changes is heard where answers are kept.
    let settings = [("PMSGATE__GATEWAY__RESPONSE_CACHE_BYTES", "1000000")];
    let program = Program::serve_with(Store::Sqlite, &settings).await;
    let client = program.industry("ORG-100000001", &[]);
    let api = program.api();
    let token = api.token(&client).await;
    assert_eq!(api.get("/pms/api/v3/MedicinalProductDefinition?_count=1", &token).await.status, 200);
    assert_eq!(api.get("/pms/api/v3/MedicinalProductDefinition", "no-token").await.status, 401);
    let form = [("grant_type", "client_credentials"), ("client_id", "nobody"), ("client_secret", "x")];
    assert_eq!(api.ask_token(&form).await.status, 401);
    // A revocation, whose way to the gateway is measured.
    program.result(&["client", "suspend", &program.industry("ORG-100000001", &[]).client_id]);
    // Nudges the job that tells figures.
    program.result(&["clock", "reset"]);
    let admin = ApiClient::new(&program.ready.admin_url, None);
    let deadline = Instant::now() + Duration::from_secs(15);
    loop {
        let told = admin.send(admin.request("GET", "/metrics")).await.text();
        let there = metrics(&told);
        let missing: Vec<_> = wanted.difference(&there).collect();
        let series =
            format!("client_id=\"{}\",organisation=\"ORG-100000001\",product=\"pms\"", client.client_id);
        if missing.is_empty() && told.contains(&series) {
            break;
        }
        assert!(Instant::now() < deadline, "not told: {missing:?}, or {series}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
