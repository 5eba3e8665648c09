//! `kill -9` in the middle of things: the database opens, and everything is there whole or not at all.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::{Child, Stdio},
    time::Duration,
};

use harness::Program;
use serde_json::{Value, json};

/// A small product of our own with parts that only make sense together.
fn product(n: u32) -> Value {
    let id = format!("6100{n:08}");
    json!({"resourceType": "Bundle", "type": "collection", "entry": [
        {"fullUrl": format!("https://crash.example/MedicinalProductDefinition/{id}"), "resource": {
            "resourceType": "MedicinalProductDefinition", "id": id,
            "domain": {"coding": [{"system": "http://spor.ema.europa.eu/v1/lists/100000000004", "code": "100000000012"}]},
            "status": {"coding": [{"system": "http://spor.ema.europa.eu/v1/lists/200000005003", "code": "200000005004"}]},
            "name": [{"productName": format!("Crashol {n} mg tablets")}]}},
        {"fullUrl": format!("https://crash.example/RegulatedAuthorization/81{n:06}"), "resource": {
            "resourceType": "RegulatedAuthorization", "id": format!("81{n:06}"),
            "subject": [{"reference": format!("MedicinalProductDefinition/{id}")}],
            "type": {"coding": [{"system": "http://spor.ema.europa.eu/v1/lists/220000000060", "code": "220000000061"}]},
            "status": {"coding": [{"system": "http://spor.ema.europa.eu/v1/lists/100000072049", "code": "100000072099"}]},
            "holder": {"identifier": {"system": "https://spor.ema.europa.eu/v1/organisations", "value": "ORG-100000001"}}}},
        {"fullUrl": format!("https://crash.example/PackagedProductDefinition/82{n:06}"), "resource": {
            "resourceType": "PackagedProductDefinition", "id": format!("82{n:06}"),
            "packageFor": [{"reference": format!("MedicinalProductDefinition/{id}")}],
            "containedItemQuantity": [{"value": n, "unit": "tablet"}]}},
    ]})
}

fn write_bundles(folder: &Path, count: u32) -> Vec<String> {
    (0..count)
        .map(|n| {
            let path = folder.join(format!("{n:04}.json"));
            fs::write(&path, product(n).to_string()).unwrap();
            path.display().to_string()
        })
        .collect()
}

fn kill_after(mut child: Child, wait: Duration) -> bool {
    std::thread::sleep(wait);
    let still_running = child.try_wait().unwrap().is_none();
    let _ = child.kill();
    child.wait().unwrap();
    still_running
}

#[tokio::test]
async fn an_import_that_is_killed_leaves_every_product_whole_or_absent_and_can_be_resumed() {
    const COUNT: u32 = 400;
    for store in Program::stores() {
        let program = Program::serve_with(store, &[]).await;
        let folder = tempfile::tempdir().unwrap();
        let files = write_bundles(folder.path(), COUNT);
        let arguments: Vec<&str> =
            ["products", "import"].into_iter().chain(files.iter().map(String::as_str)).collect();
        let mut interrupted = 0;
        for wait in [30, 80, 140, 220, 300] {
            let child =
                program.command(&arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            interrupted += u32::from(kill_after(child, Duration::from_millis(wait)));
        }
        assert!(interrupted > 0, "no run was interrupted");

        let api = program.api();
        let token = api.token(&program.industry("ORG-100000001", &["--qualified"])).await;
        let mut states = BTreeMap::<usize, u32>::new();
        for n in 0..COUNT {
            let path = format!("/pms/api/v5-alpha/MedicinalProductDefinition/6100{n:08}/$everything");
            let answer = api.get(&path, &token).await;
            let parts = match answer.status.as_u16() {
                200 => answer.json()["entry"].as_array().unwrap().len(),
                404 => 0,
                other => panic!("{other}: {}", answer.text()),
            };
            *states.entry(parts).or_default() += 1;
        }
        assert!(states.keys().all(|parts| [0, 3].contains(parts)), "{store:?}: parts → products {states:?}");

        let report = program.result(&arguments);
        assert_eq!(report["refused"], json!([]));
        let sum = |names: &[&str]| names.iter().map(|name| report[name].as_u64().unwrap()).sum::<u64>();
        assert_eq!(sum(&["imported", "updated", "unchanged"]), u64::from(3 * COUNT));
        assert_eq!(sum(&["updated"]), 0, "resuming makes no new version");
        let answer = api.get("/pms/api/v3/MedicinalProductDefinition?name=crashol&_count=1", &token).await;
        assert_eq!(answer.json()["total"], COUNT);
    }
}

#[tokio::test]
async fn a_client_creation_that_is_killed_leaves_a_whole_client_or_none() {
    for store in Program::stores() {
        let program = Program::serve_with(store, &[]).await;
        let before = program.result(&["client", "list"]).as_array().unwrap().len();
        let arguments = ["client", "create", "--role", "pms-industry-api", "--organisation", "ORG-100000001"];
        for wait in (0..24).map(|n| Duration::from_millis(5 * n)) {
            let child =
                program.command(&arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            kill_after(child, wait);
        }
        let clients = program.result(&["client", "list"]);
        let clients = clients.as_array().unwrap();
        for client in clients {
            assert_eq!(client["secrets"].as_array().map(Vec::len), Some(1), "{store:?}: {client}");
        }
        assert!(clients.len() >= before);
        // And it still works.
        let client = program.create_client(&arguments[2..]);
        program.api().token(&client).await;
    }
}
