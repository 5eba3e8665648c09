//! `kill -9` under a stream of merges: what was acknowledged is there once, versions have no gaps, no outcome hangs.

use std::{
    fs,
    time::{Duration, Instant, SystemTime},
};

use harness::{ApiClient, Program, Store};
use http::StatusCode;
use serde_json::{Value, json};

const PRODUCT: &str = "620000000001";
const HOLDER: &str = "ORG-100000001";
const WRITE: &str = "/pms/api/v5-alpha";

/// Servers that are killed side by side, each with a store of its own.
const SIDE_BY_SIDE: u64 = 4;

fn term(list: &str, code: &str) -> Value {
    json!({"coding": [{"system": format!("http://spor.ema.europa.eu/v1/lists/{list}"), "code": code}]})
}

fn root(name: &str) -> Value {
    json!({"resourceType": "MedicinalProductDefinition", "id": PRODUCT,
        "extension": [{"url": "http://ema.europa.eu/fhir/extension/authorisedDoseForm",
            "valueCoding": {"system": "http://spor.ema.europa.eu/v1/lists/200000000004", "code": "100000073664"}}],
        "domain": term("100000000004", "100000000012"),
        "status": term("200000005003", "200000005004"),
        "name": [{"productName": name}]})
}

fn pack(size: usize) -> Value {
    json!({"resourceType": "PackagedProductDefinition", "id": "82620001",
        "packageFor": [{"reference": format!("MedicinalProductDefinition/{PRODUCT}")}],
        "containedItemQuantity": [{"value": size, "unit": "tablet"}]})
}

fn product() -> Value {
    let authorisation = json!({"resourceType": "RegulatedAuthorization", "id": "81620001",
        "subject": [{"reference": format!("MedicinalProductDefinition/{PRODUCT}")}],
        "type": term("220000000060", "220000000061"),
        "status": term("100000072049", "100000072099"),
        "holder": {"identifier": {"system": "https://spor.ema.europa.eu/v1/organisations", "value": HOLDER}}});
    let entries: Vec<Value> = [root("m0"), pack(0), authorisation]
        .into_iter()
        .map(|resource| json!({"resource": resource}))
        .collect();
    json!({"resourceType": "Bundle", "type": "collection", "entry": entries})
}

/// The `n`-th merge: it brings product and pack from version `n` to `n + 1`.
fn bundle(n: usize) -> Value {
    let put = |mut resource: Value| {
        resource["meta"] = json!({"versionId": n.to_string()});
        let url =
            format!("{}/{}", resource["resourceType"].as_str().unwrap(), resource["id"].as_str().unwrap());
        json!({"resource": resource, "request": {"method": "PUT", "url": url}})
    };
    let entries = [put(root(&format!("m{n}"))), put(pack(n))];
    json!({"resourceType": "Bundle", "type": "transaction", "entry": entries})
}

/// SplitMix64: the same seed gives the same kills.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit
    }
}

/// A client that sends one merge after another and remembers what was acknowledged.
#[derive(Debug, Default)]
struct Stream {
    /// Merges acknowledged, and so the last one's number.
    acknowledged: usize,
    /// Where the outcomes of those that waited are.
    places: Vec<String>,
}

impl Stream {
    /// Sends the next merge until it is acknowledged.
    async fn acknowledge(&mut self, api: &ApiClient, token: &str) {
        while !self.send(api, token).await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Sends the next merge; `false` when the connection broke, which tells nothing about it. It is sent again with
    /// the same key.
    async fn send(&mut self, api: &ApiClient, token: &str) -> bool {
        let n = self.acknowledged + 1;
        let mut request = api
            .request("POST", &format!("{WRITE}/MedicinalProductDefinition/$merge"))
            .bearer_auth(token)
            .header("content-type", "application/fhir+json")
            .header("idempotency-key", format!("\"merge-{n}\""));
        if n.is_multiple_of(3) {
            request = request.header("prefer", "respond-async");
        }
        let Ok(response) = request.body(bundle(n).to_string()).send().await else { return false };
        let (status, headers) = (response.status(), response.headers().clone());
        let Ok(body) = response.text().await else { return false };
        match status {
            StatusCode::OK => {}
            StatusCode::ACCEPTED => {
                let place = headers["content-location"].to_str().unwrap().to_owned();
                if !self.places.contains(&place) {
                    self.places.push(place);
                }
            }
            // The gateway lost its backend, or the server is on its way out: nothing is known about the merge.
            status if status.is_server_error() => return false,
            other => panic!("merge {n}: {other} {body}"),
        }
        self.acknowledged = n;
        true
    }
}

/// Kills a server `kills` times under a stream of merges, then looks at what is there.
async fn survives(store: Store, kills: u64, mut chance: Chance) {
    // No demo data: it starts faster.
    let mut program = Program::serve_with(store, &[("PMSGATE__SANDBOX", "false")]).await;
    let folder = tempfile::tempdir().unwrap();
    let import = |command: &str, name: &str, text: &str| {
        let file = folder.path().join(name);
        fs::write(&file, text).unwrap();
        program.result(&[command, "import", &file.display().to_string()])
    };
    let holder = format!("id,name,category,country,locations\n{HOLDER},Mergers,industry,ES,\n");
    import("organisation", "holder.csv", &holder);
    let report = import("products", "product.json", &product().to_string());
    assert_eq!(report["refused"], json!([]));
    let token = program.api().token(&program.industry(HOLDER, &[])).await;
    let mut stream = Stream::default();
    for kill in 0..kills {
        let api = program.api();
        // Three of four while merges flow, the fourth while the server has hardly begun.
        if kill % 4 > 0 {
            stream.acknowledge(&api, &token).await;
        }
        let instant = Duration::from_micros(chance.below(80_000));
        let flow = async {
            loop {
                stream.acknowledge(&api, &token).await;
            }
        };
        // Killed whatever the stream is doing: of the request in flight nobody knows whether it was done.
        let killed: Result<(), _> = tokio::time::timeout(instant, flow).await;
        assert!(killed.is_err());
        program.kill_and_restart(&[]).await;
    }
    let api = program.api();
    stream.acknowledge(&api, &token).await;
    assert!(stream.acknowledged as u64 > kills / 2, "{stream:?}");

    let deadline = Instant::now() + Duration::from_secs(60);
    for place in &stream.places {
        loop {
            let answer = api.follow(place, &token).await;
            if answer.status == StatusCode::OK {
                let status = &answer.json()["entry"][0]["response"]["status"];
                assert_eq!(status, "200 OK", "{}", answer.text());
                break;
            }
            assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.text());
            assert!(Instant::now() < deadline, "{place} hangs");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    let mut versions = Vec::new();
    let mut next = Some(format!(
        "{}/pms/api/v3/MedicinalProductDefinition/{PRODUCT}/_history?_count=100",
        program.ready.base_url
    ));
    while let Some(page) = next {
        let page = api.follow(&page, &token).await.json();
        for entry in page["entry"].as_array().unwrap() {
            let resource = &entry["resource"];
            let version: usize = resource["meta"]["versionId"].as_str().unwrap().parse().unwrap();
            versions.push((version, resource["name"][0]["productName"].as_str().unwrap().to_owned()));
        }
        let link = page["link"].as_array().unwrap().iter().find(|link| link["relation"] == "next");
        next = link.map(|link| link["url"].as_str().unwrap().to_owned());
    }
    versions.reverse();
    // Version 1 is the import; each merge made the next one, and none was done twice or left out.
    let expected: Vec<(usize, String)> =
        (0..=stream.acknowledged).map(|n| (n + 1, format!("m{n}"))).collect();
    assert_eq!(versions, expected);
    let everything = format!("{WRITE}/MedicinalProductDefinition/{PRODUCT}/$everything");
    let everything = api.get(&everything, &token).await.json();
    let mut parts = everything["entry"].as_array().unwrap().iter().map(|entry| &entry["resource"]);
    let pack = parts.find(|part| part["resourceType"] == "PackagedProductDefinition").unwrap();
    assert_eq!(pack["containedItemQuantity"][0]["value"], stream.acknowledged);
    assert_eq!(pack["meta"]["versionId"], (stream.acknowledged + 1).to_string());
    let verified = program.run(&["products", "verify"]);
    assert_eq!(verified.code, Some(0), "{} {}", verified.stdout, verified.stderr);
    println!(
        "{store:?}: {} merges, {} of them queued, {kills} kills",
        stream.acknowledged,
        stream.places.len()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_kill_loses_or_doubles_a_merge() {
    let seed =
        std::env::var("PMSGATE_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| {
            let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
            u64::try_from(since.as_millis()).unwrap()
        });
    println!("PMSGATE_TEST_SEED={seed}");
    for store in Program::stores() {
        let kills = if store == Store::Sqlite { 200 } else { 20 };
        let runs: Vec<_> = (0..SIDE_BY_SIDE)
            .map(|n| {
                let chance = Chance(seed ^ (n << 56));
                tokio::spawn(survives(store, kills / SIDE_BY_SIDE, chance))
            })
            .collect();
        for run in runs {
            run.await.unwrap();
        }
    }
}
