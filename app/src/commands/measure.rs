//! `pmsgate products measure`: how long the backend takes for what callers ask, on the products that are stored, beside
//! the same rows read without any of its rules. For `cargo xtask bench scale`, which runs it on stores of two sizes.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use axum::{Router, body::Body};
use caller_context::{CallerContext, ContextKey};
use config::Purpose;
use database::Database;
use fhir_model::{ResourceKey, ResourceType};
use fhir_server::{CursorKey, Parts};
use http::Request;
use http_body_util::BodyExt as _;
use pms_terms::{Domains, FhirVersion, Stakeholder};
use serde::Serialize;
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::print;
use crate::{House, cli::Common};

/// Products whose values are asked for.
const SAMPLE: usize = 400;

/// Requests of each row that are not counted.
const WARM_UP: usize = 20;

/// Asks for XML; at the end of a target.
const XML: &str = "_format=xml";

/// The organisation that the owner belongs to: it holds a fixed share of generated products.
const OWNER: &str = "ORG-100000001";

/// One kind of request.
#[derive(Debug, Serialize)]
struct Row {
    name: String,
    requests: usize,
    p50_ms: f64,
    p99_ms: f64,
    /// The same resources read by their keys, nothing decided and nothing written.
    raw_p50_ms: f64,
    /// Resources in an answer, on average.
    resources: f64,
}

/// Measures and prints.
pub(super) async fn run(common: &Common, requests: usize) -> Result<()> {
    let house = House::open(common)?;
    let database = house.products_database().await?;
    let status = fhir_store::status(&database).await?;
    if status.products == 0 {
        bail!("there are no products to ask for: `pmsgate products generate` makes some");
    }
    let asking = Asking::start(&house, &database).await?;
    let samples = samples(&database, status.products).await?;
    let mut rows = Vec::new();
    for (name, who, targets) in plan(&samples) {
        rows.push(asking.measure(&database, name, &who, &targets, requests).await?);
    }
    asking.stop.cancel();
    let json = serde_json::json!({
        "products": status.products,
        "resources": status.resources,
        "versions": status.versions,
        "resident_bytes": resident(),
        "rows": rows,
    });
    print(common, json, &["products", "resources", "versions", "resident_bytes", "rows"])
}

/// Who asks, and by which API product.
#[derive(Clone, Debug)]
struct Who {
    name: &'static str,
    base: &'static str,
    product: &'static str,
    version: FhirVersion,
    stakeholder: Stakeholder,
    organisation: Option<&'static str>,
}

const PUBLIC: Who = Who {
    name: "public",
    base: "/public/v1",
    product: "public-v1",
    version: FhirVersion::V5_0_0,
    stakeholder: Stakeholder::Public,
    organisation: None,
};
const INDUSTRY: Who = Who {
    name: "owner",
    base: "/pms/api/v3",
    product: "pms-read-v3",
    version: FhirVersion::V4_4_0,
    stakeholder: Stakeholder::Industry,
    organisation: Some(OWNER),
};
const AUTHORITY: Who = Who {
    name: "authority",
    base: "/pms/api/v3",
    product: "pms-read-v3",
    version: FhirVersion::V4_4_0,
    stakeholder: Stakeholder::Nca,
    organisation: None,
};

/// The backend, asked within this process.
struct Asking {
    router: Router,
    key: ContextKey,
    clock: http_service::Clock,
    stop: CancellationToken,
}

impl Asking {
    async fn start(house: &House, database: &Database) -> Result<Self> {
        let derive = |purpose| house.master_key.derive(purpose);
        let key = ContextKey::new(&derive(Purpose::CallerContext));
        let backend = fhir_server::build(Parts {
            settings: house.settings.backend.clone(),
            products: house.products().clone(),
            database: database.clone(),
            matrix: house.matrix.clone(),
            context_key: key.clone(),
            cursor_key: CursorKey::new(&derive(Purpose::PageCursor)),
            clock: house.clock.clone(),
            sandbox: false,
        });
        let stop = CancellationToken::new();
        tokio::spawn(
            backend
                .change_feed
                .run(http_service::Health::default().register("backend"), stop.clone().cancelled_owned()),
        );
        // Until the feed was read once, no head is taken from memory.
        tokio::time::sleep(Duration::from_millis(400)).await;
        Ok(Self { router: backend.router, key, clock: house.clock.clone(), stop })
    }

    async fn measure(
        &self,
        database: &Database,
        name: &str,
        who: &Who,
        targets: &[String],
        requests: usize,
    ) -> Result<Row> {
        let mut times = Vec::with_capacity(requests);
        let mut raw = Vec::with_capacity(requests);
        let mut resources = 0;
        for (n, target) in targets.iter().cycle().take(WARM_UP + requests).enumerate() {
            let (took, keys) = self.ask(who, target).await?;
            let started = Instant::now();
            fhir_store::current_bodies(database, &keys).await?;
            if n >= WARM_UP {
                raw.push(started.elapsed());
                times.push(took);
                resources += keys.len();
            }
        }
        Ok(Row {
            name: format!("{name}, {}", who.name),
            requests,
            p50_ms: percentile(&mut times, 50),
            p99_ms: percentile(&mut times, 99),
            raw_p50_ms: percentile(&mut raw, 50),
            resources: ratio(resources, requests),
        })
    }

    /// How long the answer took, its body included, and the resources in it (none are counted in XML).
    async fn ask(&self, who: &Who, path: &str) -> Result<(Duration, Vec<ResourceKey>)> {
        let target = format!("{}/MedicinalProductDefinition{path}", who.base);
        let context = CallerContext {
            client_id: "measure".to_owned(),
            organisation: who.organisation.map(str::parse).transpose()?,
            stakeholder: who.stakeholder,
            qualified: false,
            domains: Domains::BOTH,
            product: who.product.to_owned(),
            fhir_version: who.version,
            request_id: "measure".to_owned(),
        };
        let header = caller_context::sign(&context, &self.key, "GET", &target, self.clock.now())
            .context("the caller context cannot be signed")?;
        let request = Request::get(&target).header(caller_context::HEADER, header).body(Body::empty())?;
        let router = self.router.clone();
        let started = Instant::now();
        let response = router.oneshot(request).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        let took = started.elapsed();
        // Some sampled products are hidden from some callers.
        if !status.is_success() && status.as_u16() != 404 {
            bail!("{target} was answered with {status}: {}", String::from_utf8_lossy(&body));
        }
        let keys = if path.ends_with(XML) { Vec::new() } else { keys(&serde_json::from_slice(&body)?) };
        Ok((took, keys))
    }
}

/// What may be asked for a product.
#[derive(Debug, Default)]
struct Sample {
    id: String,
    /// Values for each parameter, ready for a URL.
    values: BTreeMap<&'static str, String>,
}

/// Products spread over all ids.
async fn samples(database: &Database, products: i64) -> Result<Vec<Sample>> {
    let step = (usize::try_from(products)? / SAMPLE).max(1);
    let ids = fhir_store::ids_by_steps(database, step).await?;
    let mut samples = Vec::new();
    for id in ids.into_iter().take(SAMPLE) {
        let Some(stored) = fhir_store::find(database, &id).await? else { continue };
        let root = &stored.product.root;
        let text = |pointer: &str| root.pointer(pointer).and_then(Value::as_str);
        let token = |pointer: &str| {
            let coding = root.pointer(pointer)?;
            Some(format!(
                "{}%7C{}",
                encoded(coding.get("system")?.as_str()?),
                encoded(coding.get("code")?.as_str()?)
            ))
        };
        let mut sample = Sample { id, values: BTreeMap::new() };
        let mut put = |name, value: Option<String>| {
            if let Some(value) = value {
                sample.values.insert(name, value);
            }
        };
        let name = text("/name/0/productName").map(|name| name.trim().to_lowercase());
        put("name", name.as_ref().map(|name| encoded(&name.chars().take(8).collect::<String>())));
        put("name:exact", text("/name/0/productName").map(encoded));
        put(
            "name:contains",
            name.as_ref().map(|name| encoded(&name.chars().skip(2).take(6).collect::<String>())),
        );
        put("identifier", text("/identifier/0/value").map(encoded));
        put("domain", token("/domain/coding/0"));
        put("status", token("/status/coding/0"));
        put("type", token("/type/coding/0"));
        put("name-language", token("/name/0/usage/0/language/coding/0"));
        put("product-classification", token("/classification/0/coding/1"));
        put("contact", text("/contact/0/contact/reference").map(encoded));
        put("master-file", text("/masterFile/0/reference").map(encoded));
        let ingredient = stored
            .product
            .parts
            .iter()
            .filter(|part| part["resourceType"] == "Ingredient")
            .find_map(|part| part.pointer("/substance/code/concept/coding/0/code")?.as_str());
        put("ingredient", ingredient.map(encoded));
        samples.push(sample);
    }
    Ok(samples)
}

/// All rows: what they are called, who asks, and what in turn.
fn plan(samples: &[Sample]) -> Vec<(&'static str, Who, Vec<String>)> {
    let each = |make: &dyn Fn(&Sample) -> Option<String>| samples.iter().filter_map(make).collect::<Vec<_>>();
    let by = |name: &'static str| each(&|one| Some(format!("?{name}={}", one.values.get(name)?)));
    let both = |a: &'static str, b: &'static str| {
        each(&|one| Some(format!("?{a}={}&{b}={}", one.values.get(a)?, one.values.get(b)?)))
    };
    let mut rows = Vec::new();
    for who in [PUBLIC, INDUSTRY, AUTHORITY] {
        let mut add = |name, targets: Vec<String>| {
            if !targets.is_empty() {
                rows.push((name, who.clone(), targets));
            }
        };
        add("read", each(&|one| Some(format!("/{}", one.id))));
        add("$everything", each(&|one| Some(format!("/{}/$everything", one.id))));
        add("page of 10", vec!["?_count=10".to_owned()]);
        add("read as XML", each(&|one| Some(format!("/{}?{XML}", one.id))));
        add("$everything as XML", each(&|one| Some(format!("/{}/$everything?{XML}", one.id))));
        add("page of 10 as XML", vec![format!("?_count=10&{XML}")]);
        add("identifier", by("identifier"));
        add("name", by("name"));
        add("name:exact", by("name:exact"));
        add("product-classification", by("product-classification"));
        add("name-language", by("name-language"));
        add("domain", by("domain"));
        add("status", by("status"));
        add("type", by("type"));
        add("name and domain", both("name", "domain"));
        add("status and product-classification", both("status", "product-classification"));
        add("status and domain", both("status", "domain"));
        add(
            "_lastUpdated and name",
            each(&|one| Some(format!("?_lastUpdated=gt2020-01-01&name={}", one.values.get("name")?))),
        );
        if who.stakeholder == Stakeholder::Nca {
            add("contact", by("contact"));
        }
        if who.stakeholder != Stakeholder::Public {
            add("ingredient", by("ingredient"));
            add("master-file", by("master-file"));
            add("ingredient and status", both("ingredient", "status"));
            add(
                "_sort=name",
                by("domain").into_iter().map(|target| target + "&_sort=name&_count=10").collect(),
            );
        }
    }
    rows
}

/// The keys of the resources in an answer.
fn keys(body: &Value) -> Vec<ResourceKey> {
    let key = |resource: &Value| {
        let resource_type: ResourceType = resource.get("resourceType")?.as_str()?.parse().ok()?;
        Some(ResourceKey::new(resource_type, resource.get("id")?.as_str()?))
    };
    match body.get("entry").and_then(Value::as_array) {
        Some(entries) => entries.iter().filter_map(|entry| key(entry.get("resource")?)).collect(),
        None => key(body).into_iter().collect(),
    }
}

fn encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut url, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => url.push(char::from(byte)),
            _ => {
                use std::fmt::Write as _;
                let _ = write!(url, "%{byte:02X}");
            }
        }
        url
    })
}

/// In milliseconds.
fn percentile(times: &mut [Duration], percent: usize) -> f64 {
    times.sort_unstable();
    let index = (times.len() * percent / 100).min(times.len().saturating_sub(1));
    times.get(index).map_or(0.0, |time| (time.as_secs_f64() * 1e6).round() / 1e3)
}

#[expect(clippy::cast_precision_loss, reason = "counts of one measurement are far below 2^52")]
fn ratio(resources: usize, requests: usize) -> f64 {
    (resources as f64 / requests.max(1) as f64 * 10.0).round() / 10.0
}

/// Resident memory of this process in bytes, where the system tells.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) * 1024
}
