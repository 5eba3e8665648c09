//! FHIR as others read it: PyPI `fhir.resources` (R5 models), HL7's JSON schema of 5.0.0, and PyPI `fhirpy`.
//!
//! The scripts in `tests/clients` say what each is asked to do; `cargo xtask test` installs them.

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use harness::{ApiClient, Credentials, Program, Store, checkout, product_files, shared};
use http::StatusCode;
use serde_json::{Value, json};

use super::{api_documents, third_party_clients::provided};

/// The organisation that owns the real products in this test.
const OWNER: &str = "ORG-900000001";
/// A product of the demo's first industry organisation.
const DEMO_PRODUCT: &str = "600000900001";

/// The shipped products, with the read API speaking 5.0.0, so that every operation answers in it.
fn products_file(folder: &Path) -> String {
    let shipped = fs::read_to_string(checkout().join("config/products.toml")).unwrap();
    let changed = shipped.replace("fhir_version = \"4.4.0\"", "fhir_version = \"5.0.0\"");
    assert_ne!(changed, shipped);
    let path = folder.join("products.toml");
    fs::write(&path, changed).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Answers, saved one a file.
struct Collection<'a> {
    api: &'a ApiClient,
    folder: tempfile::TempDir,
    saved: usize,
}

impl Collection<'_> {
    async fn take(&mut self, path: &str, token: &str) -> (StatusCode, Value) {
        let answer = self.api.get(path, token).await;
        let media_type = answer.header("content-type");
        assert!(media_type.starts_with("application/fhir+json"), "{path}: {media_type}: {}", answer.text());
        self.keep(&answer.body);
        (answer.status, answer.json())
    }

    fn keep(&mut self, body: &[u8]) {
        fs::write(self.folder.path().join(format!("{:04}.json", self.saved)), body).unwrap();
        self.saved += 1;
    }
}

/// Imports the real products, where they are, for [`OWNER`].
fn import_real_products(program: &Program) {
    let Some(shared) = shared() else { return };
    let files = product_files(&shared);
    let mut locations = BTreeSet::new();
    for file in &files {
        let text = fs::read_to_string(file).unwrap();
        for (at, _) in text.match_indices("LOC-") {
            let id: String = text[at..].chars().take(13).collect();
            if id.len() == 13 && id[4..].bytes().all(|b| b.is_ascii_digit()) {
                locations.insert(id);
            }
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("holders.json");
    let holder = json!([{"id": OWNER, "name": "Holder of the real products", "category": "industry", "country": "XX", "locations": locations}]);
    fs::write(&path, holder.to_string()).unwrap();
    program.result(&["organisation", "import", path.to_str().unwrap()]);
    for file in &files {
        // What is refused is another test's matter.
        program.run(&["products", "import", file.to_str().unwrap()]);
    }
}

#[tokio::test]
async fn every_kind_of_answer_in_5_0_0_is_read_by_the_models_and_the_schema_of_others() {
    let (Some(python), Some(modules)) =
        (provided("PMSGATE_TEST_PYTHON"), provided("PMSGATE_TEST_NODE_MODULES"))
    else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let products = products_file(folder.path());
    let program = Program::serve_with(Store::Sqlite, &[("PMSGATE__DATA__PRODUCTS", &products)]).await;
    import_real_products(&program);
    let api = program.api();
    let owner = api.token(&program.industry("ORG-100000001", &["--qualified"])).await;
    let authority = api.token(&program.authority(&["human", "veterinary"])).await;
    let public = api.token(&program.public()).await;
    let mut all = Collection { api: &api, folder: tempfile::tempdir().unwrap(), saved: 0 };

    for (base, token) in [("/pms/api/v3", &owner), ("/pms/api/v3", &authority), ("/public/v1", &public)] {
        let products = format!("{base}/MedicinalProductDefinition");
        let (status, page) = all.take(&format!("{products}?_count=200"), token).await;
        assert_eq!(status, StatusCode::OK);
        for shape in [
            "_summary=true",
            "_summary=data",
            "_summary=count",
            "_elements=name",
            "_count=0",
            "_count=2&_include=*",
        ] {
            assert_eq!(all.take(&format!("{products}?{shape}"), token).await.0, StatusCode::OK, "{shape}");
        }
        let everything_base = if base == "/pms/api/v3" { "/pms/api/v5-alpha" } else { base };
        for entry in page["entry"].as_array().unwrap() {
            let id = entry["resource"]["id"].as_str().unwrap();
            all.take(&format!("{products}/{id}"), token).await;
            let everything = format!("{everything_base}/MedicinalProductDefinition/{id}/$everything");
            assert_eq!(all.take(&everything, token).await.0, StatusCode::OK);
            if base == "/pms/api/v3" {
                all.take(&format!("{products}/{id}/_history"), token).await;
                all.take(&format!("{products}/{id}/_history/1"), token).await;
            }
        }
        for wrong in ["?colour=red", "?_lastUpdated=yesterday", "/no-such-product", "/a_b", "?_sort=shoe"] {
            assert!(all.take(&format!("{products}{wrong}"), token).await.0.is_client_error(), "{wrong}");
        }
        all.take(&format!("{base}/metadata"), token).await;
    }
    assert_eq!(
        all.take("/public/v1/MedicinalProductDefinition", "no-token").await.0,
        StatusCode::UNAUTHORIZED
    );
    merges(&mut all, &owner).await;
    for (id, _, version) in api_documents::PRODUCTS {
        if version == "5.0.0" {
            api_documents::save_examples(id, all.folder.path());
        }
    }

    let files: Vec<_> = fs::read_dir(all.folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    let output = Command::new(python)
        .arg(checkout().join("tests/clients/read_fhir.py"))
        .args(&files)
        .env("PMSGATE_TEST_NODE_MODULES", modules)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let taken: Value = serde_json::from_slice(&output.stdout).unwrap();
    println!("{taken} of {} answers", all.saved);
    assert_eq!(taken["fhir.resources"].as_u64(), Some(files.len() as u64));
    assert!(all.saved > 200 && taken["hl7.fhir.r5.core"].as_u64() > Some(files.len() as u64), "{taken}");
}

/// A merge that is done, one that only could be, one that breaks a rule, and one that is done later.
async fn merges(all: &mut Collection<'_>, token: &str) {
    let base = "/pms/api/v5-alpha";
    let read = format!("{base}/MedicinalProductDefinition/{DEMO_PRODUCT}/$everything");
    let send = async |query: &str, prefer: &str, stale: bool| {
        let everything = all.api.get(&read, token).await.json();
        let mut product = everything["entry"][0]["resource"].clone();
        if stale {
            product["meta"]["versionId"] = json!("999");
        }
        let bundle = json!({"resourceType": "Bundle", "type": "transaction", "entry": [{
            "fullUrl": everything["entry"][0]["fullUrl"],
            "resource": product,
            "request": {"method": "PUT", "url": format!("MedicinalProductDefinition/{DEMO_PRODUCT}")},
        }]});
        let path = format!("{base}/MedicinalProductDefinition/$merge{query}");
        let request = all.api.request("POST", &path).bearer_auth(token).header("Prefer", prefer);
        let request = request.header("Content-Type", "application/fhir+json").body(bundle.to_string());
        all.api.send(request).await
    };
    let validated = send("?_validate-only=true", "handling=strict", false).await;
    let done = send("", "handling=strict", false).await;
    let refused = send("", "handling=strict", true).await;
    let accepted = send("", "respond-async", false).await;
    assert_eq!(validated.status, StatusCode::OK, "{}", validated.text());
    assert_eq!(done.status, StatusCode::OK, "{}", done.text());
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.text());
    assert_eq!(accepted.status, StatusCode::ACCEPTED, "{}", accepted.text());
    for answer in [&validated, &done, &refused, &accepted] {
        all.keep(&answer.body);
    }
    let place = accepted.header("content-location").to_owned();
    loop {
        let outcome = all.api.follow(&place, token).await;
        all.keep(&outcome.body);
        if outcome.status != StatusCode::ACCEPTED {
            assert_eq!(outcome.status, StatusCode::OK, "{}", outcome.text());
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn fhirpy_reads_pages_to_the_end_and_follows_links() {
    let Some(python) = provided("PMSGATE_TEST_PYTHON") else { return };
    let program = Program::serve().await;
    import_real_products(&program);
    let read = |credentials: &Credentials, base_path: &str| {
        let output = Command::new(&python)
            .arg(checkout().join("tests/clients/with_fhirpy.py"))
            .env("PMSGATE_BASE_URL", &program.ready.base_url)
            .env("PMSGATE_BASE_PATH", base_path)
            .env("PMSGATE_CLIENT_ID", &credentials.client_id)
            .env("PMSGATE_CLIENT_SECRET", &credentials.client_secret)
            .env("PMSGATE_SCOPE", &credentials.scope)
            .env("REQUESTS_CA_BUNDLE", program.ready.ca_file.as_ref().unwrap())
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .output()
            .unwrap();
        assert!(output.status.success(), "{base_path}: {}", String::from_utf8_lossy(&output.stderr));
        println!("{base_path}: {}", String::from_utf8_lossy(&output.stdout));
    };
    read(&program.authority(&["human", "veterinary"]), "/pms/api/v3");
    read(&program.public(), "/public/v1");
}
