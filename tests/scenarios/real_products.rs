//! Real, openly licensed products: imported or refused with a reason, and given back through the gateway in valid FHIR.

use std::{collections::BTreeSet, fs, path::Path};

use harness::{ApiClient, Program, check_fhir, product_files, shared};
use http::StatusCode;
use serde_json::{Value, json};

/// The organisation of the clients that own the real products in this test.
const OWNER: &str = "ORG-900000001";

#[tokio::test]
async fn every_file_imports_or_is_refused_and_every_product_comes_back_valid_for_every_kind_of_caller() {
    let Some(shared) = shared() else { return };
    for store in Program::stores() {
        let program = Program::serve_with(store, &[]).await;
        let files = product_files(&shared);
        assert!(files.len() >= 37);
        let owned = register_holders(&program, &files);

        let mut products = BTreeSet::new();
        let mut refusals = Vec::new();
        for file in &files {
            let report = program.run(&["products", "import", file.to_str().unwrap()]);
            let report: Value =
                serde_json::from_str(&report.stdout).unwrap_or_else(|_| panic!("{}", report.stderr));
            let stored: u64 =
                ["imported", "updated", "unchanged"].iter().map(|name| report[name].as_u64().unwrap()).sum();
            let refused = report["refused"].as_array().unwrap();
            assert!(stored > 0 || !refused.is_empty(), "{} vanished", file.display());
            for refusal in refused {
                let reason = refusal["reason"].as_str().unwrap();
                assert!(reason.len() > 20, "{refusal}");
                refusals.push(format!(
                    "{}: {}: {reason}",
                    file.file_name().unwrap().display(),
                    refusal["resource"]
                ));
            }
            if stored > 0 {
                products.extend(product_ids(file));
            }
        }
        println!("{} products, refused:\n{}", products.len(), refusals.join("\n"));
        assert!(products.len() >= 22, "{}", products.len());

        let api = program.api();
        let doors = ["", "/$everything", "/_history", "/_history/1"];
        for (name, credentials) in [
            ("owner", program.industry(OWNER, &["--qualified"])),
            ("plain owner", program.industry(OWNER, &[])),
            ("stranger", program.industry("ORG-100000002", &[])),
            ("authority", program.authority(&["human"])),
        ] {
            let token = api.token(&credentials).await;
            let folder = tempfile::tempdir().unwrap();
            let v3 = save(&api, &token, "/pms/api/v3", &products, &doors, folder.path()).await;
            assert_eq!(check_fhir(&shared, "4.4.0", folder.path()), Vec::<String>::new(), "{name}, v3");
            let folder = tempfile::tempdir().unwrap();
            let v5 = save(&api, &token, "/pms/api/v5-alpha", &products, &doors[1..2], folder.path()).await;
            assert_eq!(check_fhir(&shared, "5.0.0", folder.path()), Vec::<String>::new(), "{name}, v5-alpha");
            println!("{store:?} {name}: {v3} answers of v3, {v5} of v5-alpha");
            if name == "authority" {
                let seen = count_ok(&api, &token, "/pms/api/v3", &products).await;
                assert!(seen >= 22, "{seen}");
            }
            if name == "owner" {
                let seen = count_ok(&api, &token, "/pms/api/v3", &products).await;
                assert!(seen >= owned.min(22), "{seen} of {owned}");
            }
        }
        let token = api.token(&program.public()).await;
        let folder = tempfile::tempdir().unwrap();
        let public = save(&api, &token, "/public/v1", &products, &doors[..2], folder.path()).await;
        assert_eq!(check_fhir(&shared, "5.0.0", folder.path()), Vec::<String>::new(), "public");
        println!("{store:?} public: {public} answers");
        assert!(public >= 40, "{public}");
    }
}

/// Makes every holder in the files a location of one organisation, so that this test's client owns the products.
/// Answers how many files name a holder.
fn register_holders(program: &Program, files: &[std::path::PathBuf]) -> usize {
    let mut locations = BTreeSet::new();
    let mut with_holder = 0;
    for file in files {
        let text = fs::read_to_string(file).unwrap();
        let mut found = false;
        for (at, _) in text.match_indices("LOC-") {
            let id: String = text[at..].chars().take(13).collect();
            if id.len() == 13 && id[4..].bytes().all(|b| b.is_ascii_digit()) {
                locations.insert(id);
                found = true;
            }
        }
        with_holder += usize::from(found);
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("holders.json");
    let organisation = json!([{
        "id": OWNER, "name": "Holder of the real products", "category": "industry", "country": "XX",
        "locations": locations,
    }]);
    fs::write(&path, organisation.to_string()).unwrap();
    let report = program.result(&["organisation", "import", path.to_str().unwrap()]);
    assert_eq!(report["refused"], json!([]), "{report}");
    with_holder
}

/// Ids of the products in a file.
fn product_ids(file: &Path) -> Vec<String> {
    let document: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    let resources: Vec<&Value> = match document["entry"].as_array() {
        Some(entries) => entries.iter().map(|entry| &entry["resource"]).collect(),
        None => vec![&document],
    };
    resources
        .into_iter()
        .filter(|resource| resource["resourceType"] == "MedicinalProductDefinition")
        .filter_map(|resource| resource["id"].as_str().map(str::to_owned))
        .collect()
}

/// Saves what the doors answer about the products; how many answers there were. 404 is an answer, too, and checked.
async fn save(
    api: &ApiClient,
    token: &str,
    base: &str,
    products: &BTreeSet<String>,
    doors: &[&str],
    folder: &Path,
) -> usize {
    let mut saved = 0;
    for id in products {
        for door in doors {
            let answer = api.get(&format!("{base}/MedicinalProductDefinition/{id}{door}"), token).await;
            assert!(
                [StatusCode::OK, StatusCode::NOT_FOUND].contains(&answer.status),
                "{base} {id}{door}: {}",
                answer.text()
            );
            let name = format!("{id}{}-{}.json", door.replace('/', "-"), answer.status.as_u16());
            fs::write(folder.join(name), &answer.body).unwrap();
            saved += usize::from(answer.status == StatusCode::OK);
        }
    }
    if base != "/pms/api/v5-alpha" {
        let answer = api.get(&format!("{base}/MedicinalProductDefinition?_count=200"), token).await;
        assert_eq!(answer.status, StatusCode::OK);
        fs::write(folder.join("search.json"), &answer.body).unwrap();
    }
    saved
}

async fn count_ok(api: &ApiClient, token: &str, base: &str, products: &BTreeSet<String>) -> usize {
    let mut seen = 0;
    for id in products {
        let answer = api.get(&format!("{base}/MedicinalProductDefinition/{id}"), token).await;
        seen += usize::from(answer.status == StatusCode::OK);
    }
    seen
}
