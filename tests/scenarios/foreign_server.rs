//! In front of a FHIR server that others wrote and that enforces nothing: with configuration alone, every caller sees of
//! it what our own backend would show it of the same products.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use harness::{ApiClient, Program, Store};
use http::StatusCode;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::third_party_clients::provided;

/// The page for operators, and the products that are shipped.
const PAGE: &str = include_str!("../../docs/foreign-servers.md");
const SHIPPED: &str = include_str!("../../config/products.toml");

const PARTNER: &str = "/partner/r5/MedicinalProductDefinition";

/// Products whose holder is known by its location only, and who owns them.
const HELD_BY_A_LOCATION: [(&str, &str); 2] = [("700000900037", "owner"), ("700000900039", "another")];
/// The register of locations that our own backend has for these products.
const REGISTER: &str = include_str!("../../config/demo-organisations.csv");

/// A server made with fhirstarter. Killed when dropped.
struct Partner {
    child: Child,
    url: String,
}

impl Drop for Partner {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Partner {
    fn start(python: &Path) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/serve_with_fhirstarter.py");
        let mut child = Command::new(python)
            .arg(script)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut port = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut port).unwrap();
        let port: u16 = port.trim().parse().unwrap();
        Self { child, url: format!("http://127.0.0.1:{port}") }
    }

    /// Puts all products of the house into it, as they are stored.
    async fn fill(&self, program: &Program) {
        let http = self.http();
        let exported = program.run(&["products", "export"]);
        assert_eq!(exported.code, Some(0), "{}", exported.stderr);
        for line in exported.stdout.lines().filter(|line| !line.is_empty()) {
            let value: Value = serde_json::from_str(line).unwrap();
            let resources: Vec<&Value> = match value["entry"].as_array() {
                Some(entries) => entries.iter().map(|entry| &entry["resource"]).collect(),
                None => vec![&value],
            };
            for resource in resources {
                let (kind, id) =
                    (resource["resourceType"].as_str().unwrap(), resource["id"].as_str().unwrap());
                let put = http.request("PUT", &format!("/fhir/{kind}/{id}"));
                let put = put.header("content-type", "application/fhir+json").body(resource.to_string());
                let answer = http.send(put).await;
                assert_eq!(answer.status, StatusCode::OK, "{kind}/{id}: {}", answer.text());
            }
        }
    }

    /// Tells it whose the locations are.
    async fn learn_locations(&self) {
        let http = self.http();
        let mut learnt = 0;
        for line in REGISTER.lines().filter(|line| line.starts_with("ORG-")) {
            let words = line.split([',', ';', ' ']);
            for location in words.clone().filter(|word| word.starts_with("LOC-")) {
                let id = location.to_lowercase();
                let body = json!({"resourceType": "Location", "id": id,
                    "identifier": [{"system": "https://spor.ema.europa.eu/v1/locations", "value": location}],
                    "managingOrganization": {"identifier": {"value": words.clone().next()}}});
                let put = http.request("PUT", &format!("/fhir/Location/{id}"));
                let put = put.header("content-type", "application/fhir+json").body(body.to_string());
                let answer = http.send(put).await;
                assert_eq!(answer.status, StatusCode::OK, "{location}: {}", answer.text());
                learnt += 1;
            }
        }
        assert!(learnt > 5, "{learnt}");
    }

    fn http(&self) -> ApiClient {
        ApiClient::new(&self.url, None)
    }

    /// The names and values of the headers of all that it was asked.
    async fn asked(&self) -> String {
        let http = self.http();
        http.send(http.request("GET", "/asked")).await.text()
    }
}

/// The program with the products that are shipped and those of the page for operators, which name `partner`; one more
/// is the page's for the public.
async fn serve(partner: &Partner) -> (Program, TempDir) {
    let (_, behind) = PAGE.split_once("```toml\n").unwrap();
    let (example, _) = behind.split_once("```").unwrap();
    let example = example.replace("http://127.0.0.1:8090", &partner.url);
    assert!(example.contains(&partner.url));
    let public = example
        .replace("\"partner-r5\"", "\"partner-public\"")
        .replace("\"/partner/r5\"", "\"/partner/public\"")
        .replace("\"api://pmsgate/pms\"", "\"api://pmsgate/public\"")
        .replace(r#"["pms-industry-api", "pms-nca-api"]"#, r#"["public-pms-api"]"#);
    let (products, parameters) = SHIPPED.split_once("\n[parameter.").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("products.toml");
    std::fs::write(&path, format!("{products}\n{example}\n{public}\n[parameter.{parameters}")).unwrap();
    let settings = [("PMSGATE__DATA__PRODUCTS", path.to_str().unwrap())];
    (Program::serve_with(Store::Sqlite, &settings).await, folder)
}

/// The resources of a `$everything`, by type and id, without what only tells of storing. fhirstarter writes 1.50 as 1.5
/// and an instant's Z as +00:00: numbers are compared as numbers, and the zone in one spelling.
fn resources(bundle: &Value) -> BTreeMap<String, Value> {
    let entries = bundle["entry"].as_array().unwrap();
    let told = |entry: &Value| {
        let mut resource = entry["resource"].clone();
        let key = format!("{}/{}", resource["resourceType"], resource["id"]);
        plain(&mut resource);
        if let Some(Value::Object(mut meta)) = resource.as_object_mut().unwrap().remove("meta") {
            meta.retain(|name, _| name != "versionId" && name != "lastUpdated");
            if !meta.is_empty() {
                resource["meta"] = meta.into();
            }
        }
        (key, resource)
    };
    entries.iter().map(told).collect()
}

fn plain(value: &mut Value) {
    match value {
        Value::Number(number) => *value = number.as_f64().unwrap().to_string().into(),
        Value::String(text) => *text = text.replace("+00:00", "Z"),
        Value::Array(items) => items.iter_mut().for_each(plain),
        Value::Object(object) => object.values_mut().for_each(plain),
        _ => {}
    }
}

/// The ids on all pages of a search.
async fn ids(api: &ApiClient, path: &str, token: &str) -> Vec<String> {
    let mut ids = Vec::new();
    let mut page = api.get(path, token).await.json();
    loop {
        let entries = page["entry"].as_array().into_iter().flatten();
        ids.extend(entries.into_iter().map(|entry| entry["resource"]["id"].as_str().unwrap().to_owned()));
        let next = page["link"].as_array().unwrap().iter().find(|link| link["relation"] == "next").cloned();
        let Some(next) = next else { break };
        page = api.follow(next["url"].as_str().unwrap(), token).await.json();
    }
    ids.sort();
    ids
}

#[tokio::test]
async fn a_foreign_server_is_seen_as_our_own_backend_would_be() {
    let Some(python) = provided("PMSGATE_TEST_PYTHON") else { return };
    let partner = Partner::start(&python);
    let (program, _folder) = serve(&partner).await;
    partner.fill(&program).await;
    let api = program.api();
    for (held, owner) in HELD_BY_A_LOCATION {
        let organisation = if owner == "owner" { "ORG-100000001" } else { "ORG-100000002" };
        let token = api.token(&program.industry(organisation, &[])).await;
        let everything = async |base: &str| {
            let path = format!("{base}/MedicinalProductDefinition/{held}/$everything");
            resources(&api.get(&path, &token).await.json())
        };
        let (theirs, ours) = (everything("/partner/r5").await, everything("/pms/api/v5-alpha").await);
        assert_ne!(theirs, ours, "{held}: it does not say whose the location is");
    }
    partner.learn_locations().await;
    let mut differing = Vec::new();
    for (name, client, own, foreign) in [
        ("public", program.public(), "/public/v1", "/partner/public"),
        ("owner", program.industry("ORG-100000001", &[]), "/pms/api/v5-alpha", "/partner/r5"),
        (
            "qualified",
            program.industry("ORG-100000001", &["--qualified"]),
            "/pms/api/v5-alpha",
            "/partner/r5",
        ),
        ("another", program.industry("ORG-100000002", &[]), "/pms/api/v5-alpha", "/partner/r5"),
        ("human", program.authority(&["human"]), "/pms/api/v5-alpha", "/partner/r5"),
        ("veterinary", program.authority(&["veterinary"]), "/pms/api/v5-alpha", "/partner/r5"),
    ] {
        let token = api.token(&client).await;
        let search = if name == "public" { own } else { "/pms/api/v3" };
        let known = ids(&api, &format!("{search}/MedicinalProductDefinition?_count=50"), &token).await;
        let found = ids(&api, &format!("{foreign}/MedicinalProductDefinition?_count=7"), &token).await;
        assert_eq!(found, known, "{name} finds the same products");
        let mut size = 0;
        for id in &known {
            let path = |base: &str| format!("{base}/MedicinalProductDefinition/{id}/$everything");
            let ours = api.get(&path(own), &token).await;
            let theirs = api.get(&path(foreign), &token).await;
            assert_eq!(
                (ours.status, theirs.status),
                (StatusCode::OK, StatusCode::OK),
                "{name} {id}: {}",
                theirs.text()
            );
            assert!(!theirs.text().contains(&partner.url), "no address of the server is shown");
            size += theirs.text().len();
            let (theirs, ours) = (resources(&theirs.json()), resources(&ours.json()));
            assert_eq!(theirs.keys().collect::<Vec<_>>(), ours.keys().collect::<Vec<_>>(), "{name} {id}");
            for (key, resource) in &ours {
                assert_eq!(&theirs[key], resource, "{name} {id} {key}");
            }
        }
        differing.push(size / known.len());
        let read = api.get(&format!("{foreign}/MedicinalProductDefinition/{}", known[0]), &token).await;
        assert_eq!(read.json()["id"], known[0].as_str());
        let absent = api.get(&format!("{foreign}/MedicinalProductDefinition/600000999999"), &token).await;
        assert_eq!(absent.status, StatusCode::NOT_FOUND);
    }
    differing.sort_unstable();
    differing.dedup();
    assert!(differing.len() > 3, "different callers see different elements: {differing:?}");
    let asked = partner.asked().await;
    for word in ["authorization", "x-pmsgate", "forwarded"] {
        assert!(!asked.contains(word), "nothing of the caller reaches the server: {word}");
    }
}

#[tokio::test]
async fn fhirpy_reads_a_foreign_server_to_its_last_page() {
    let Some(python) = provided("PMSGATE_TEST_PYTHON") else { return };
    let partner = Partner::start(&python);
    let (program, _folder) = serve(&partner).await;
    partner.fill(&program).await;
    let api = program.api();
    let client = program.authority(&["human", "veterinary"]);
    let token = api.token(&client).await;
    let known = ids(&api, &format!("{PARTNER}?_count=50"), &token).await;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/with_fhirpy.py");
    let output = Command::new(&python)
        .arg(script)
        .env("PMSGATE_BASE_URL", &program.ready.base_url)
        .env("PMSGATE_BASE_PATH", "/partner/r5")
        .env("PMSGATE_CLIENT_ID", &client.client_id)
        .env("PMSGATE_CLIENT_SECRET", &client.client_secret)
        .env("PMSGATE_SCOPE", &client.scope)
        .env("REQUESTS_CA_BUNDLE", program.ready.ca_file.as_ref().unwrap())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let printed: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(printed["products"], known.len(), "{printed}");
}
