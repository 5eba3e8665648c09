//! Data tools: generating goes on after `kill -9`, exports come back the same, and the store holds together after all.

use std::{fs, process::Stdio, time::Duration};

use harness::Program;
use serde_json::{Value, json};

const SEED: [&str; 2] = ["--seed", "9"];

fn generate(count: &str) -> Vec<&str> {
    ["products", "generate", "--count", count].into_iter().chain(SEED).collect()
}

fn number(json: &Value, name: &str) -> u64 {
    json[name].as_u64().unwrap_or_else(|| panic!("no {name} in {json}"))
}

#[tokio::test]
async fn generating_goes_on_where_it_was_killed_and_makes_nothing_twice() {
    for store in Program::stores() {
        let program = Program::serve_with(store, &[]).await;
        let demo = number(&program.result(&["products", "verify"]), "products");
        let whole = generate("300");
        let mut interrupted = 0;
        for wait in [150, 500, 1200] {
            let mut child =
                program.command(&whole).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            std::thread::sleep(Duration::from_millis(wait));
            interrupted += u32::from(child.try_wait().unwrap().is_none());
            let _ = child.kill();
            child.wait().unwrap();
        }
        assert!(interrupted > 0, "no run was interrupted");
        program.result(&whole);
        let verified = program.result(&["products", "verify"]);
        assert_eq!(verified["faults"], json!([]), "{store:?}");
        assert_eq!(number(&verified, "products"), demo + 300);

        let again = program.result(&whole);
        assert_eq!((&again["products"], &again["resources"]), (&json!(0), &json!(0)));
        let more = program.result(&generate("310"));
        assert_eq!(number(&more, "products"), 10);
        assert!(number(&more, "resources") > 50 && more["seconds"].is_number(), "{more}");

        // What was generated is served: an owner finds the products of its organisation.
        let api = program.api();
        let token = api.token(&program.industry("ORG-100000001", &[])).await;
        let answer = api.get("/pms/api/v3/MedicinalProductDefinition?_count=50", &token).await;
        let ids = answer.json()["entry"].as_array().unwrap().len();
        assert_eq!(ids, 50, "{}", answer.text());
    }
}

#[tokio::test]
async fn a_file_is_generated_imported_and_exported_and_is_the_same_each_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (first, second) = (path("first.ndjson"), path("second.ndjson"));
    let mut exports = Vec::new();
    for store in Program::stores() {
        let program = Program::serve_with(store, &[]).await;
        for out in [&first, &second] {
            let arguments: Vec<&str> = generate("40").into_iter().chain(["--out", out]).collect();
            assert_eq!(number(&program.result(&arguments), "products"), 40);
        }
        assert!(
            fs::read(&first).unwrap() == fs::read(&second).unwrap(),
            "the same seed makes the same bytes"
        );
        let report = program.result(&["products", "import", &first]);
        assert_eq!(report["refused"], json!([]));
        let again = program.result(&["products", "import", &first]);
        assert_eq!((number(&again, "imported"), number(&again, "updated")), (0, 0));

        let export = path(&format!("{store:?}.ndjson"));
        let written = program.result(&["products", "export", "--out", &export]);
        assert_eq!(number(&written, "products"), fs::read_to_string(&export).unwrap().lines().count() as u64);
        let printed = program.run(&["products", "export"]);
        assert!(printed.stdout == fs::read_to_string(&export).unwrap(), "standard output has the same");
        let one = program.run(&["products", "export", "--organisation", "ORG-100000001", "--history"]);
        assert!(one.stdout.lines().count() > 10 && one.stdout.contains("\"type\":\"history\""));
        let other = Program::serve_with(store, &[]).await;
        assert_eq!(other.result(&["products", "import", &export])["refused"], json!([]));
        let back = path(&format!("{store:?}-back.ndjson"));
        other.result(&["products", "export", "--out", &back]);
        assert!(fs::read(&back).unwrap() == fs::read(&export).unwrap(), "{store:?}");
        exports.push(fs::read_to_string(&export).unwrap());
    }
    assert!(exports.windows(2).all(|pair| pair[0] == pair[1]), "both databases hold the same");
}

#[tokio::test]
async fn what_an_import_cannot_keep_is_refused_with_its_place() {
    let program = Program::serve().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bad.ndjson");
    let product = |id: &str, more: &str| {
        format!(
            r#"{{"resourceType":"Bundle","type":"collection","entry":[{{"resource":{{"resourceType":"MedicinalProductDefinition","id":"{id}"{more},"name":[{{"productName":"A"}}]}}}}]}}"#
        )
    };
    let lines = [
        product("610000000001", r#","version":"1","version":"2""#),
        product("..", ""),
        product("610000000002", ""),
    ];
    fs::write(&file, lines.join("\n")).unwrap();
    let report = program.result(&["products", "import", &file.display().to_string()]);
    assert_eq!(number(&report, "imported"), 1);
    let reasons: Vec<&str> =
        report["refused"].as_array().unwrap().iter().map(|one| one["reason"].as_str().unwrap()).collect();
    assert!(reasons[0].contains("entry[0].resource.version is there twice at line 1"), "{reasons:?}");
    assert!(reasons[1].contains("\"..\""), "{reasons:?}");
}
