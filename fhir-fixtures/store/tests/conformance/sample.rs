//! Small fictional products, and the callers who look at them.

use std::path::{Path, PathBuf};

use database::{Database, testing::TestDatabase};
use fhir_model::access::{AccessMatrix, DEFAULT_MATRIX, Viewer};
use fhir_store::{
    Audience,
    import::Report,
    search::{self, Counting},
};
use pms_terms::{Domains, Stakeholder};
use serde_json::{Value, json};
use time::{OffsetDateTime, macros::datetime};

pub(crate) const NOW: OffsetDateTime = datetime!(2026-03-01 12:00 UTC);
pub(crate) const LATER: OffsetDateTime = datetime!(2026-03-02 12:00 UTC);

pub(crate) fn matrix() -> AccessMatrix {
    AccessMatrix::parse(DEFAULT_MATRIX, "config/access-levels.toml").unwrap()
}

/// Both databases with the tables made.
pub(crate) async fn databases() -> Vec<TestDatabase> {
    let all = TestDatabase::each().await;
    for one in &all {
        fhir_store::migrate(one.database(), NOW).await.unwrap();
    }
    all
}

/// A product under construction: human, current, validly authorised, held by `ORG-100000001`.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) domain: &'static str,
    pub(crate) status: &'static str,
    pub(crate) authorisation: &'static str,
    pub(crate) holder: String,
}

impl Sample {
    pub(crate) fn new(id: &str, name: &str) -> Self {
        Self {
            id: id.to_owned(),
            name: name.to_owned(),
            domain: "100000000012",
            status: "200000005004",
            authorisation: "100000072099",
            holder: "ORG-100000001".to_owned(),
        }
    }

    pub(crate) fn veterinary(mut self) -> Self {
        self.domain = "100000000013";
        self
    }

    pub(crate) fn pending(mut self) -> Self {
        self.authorisation = "220000000066";
        self
    }

    pub(crate) fn held_by(mut self, holder: &str) -> Self {
        holder.clone_into(&mut self.holder);
        self
    }

    pub(crate) fn resources(&self) -> Vec<Value> {
        let id = &self.id;
        let term = |list: &str, code: &str| json!({"coding": [{"system": format!("http://spor.ema.europa.eu/v1/lists/{list}"), "code": code}]});
        vec![
            json!({
                "resourceType": "MedicinalProductDefinition", "id": id,
                "identifier": [
                    {"system": "http://ema.europa.eu/fhir/mpId", "value": format!("ES-100099999-{id}")},
                    {"system": "https://company.example/product-code", "value": format!("SECRET-{id}")},
                ],
                "domain": term("100000000004", self.domain),
                "status": term("200000005003", self.status),
                "classification": [term("100000093533", "100000095065")],
                "name": [{"productName": self.name}],
            }),
            json!({
                "resourceType": "RegulatedAuthorization", "id": format!("{id}-ra"),
                "identifier": [{"system": "http://ema.europa.eu/fhir/marketingAuthorizationNumber", "value": format!("ES/{id}")}],
                "subject": [{"reference": format!("MedicinalProductDefinition/{id}")}],
                "type": term("220000000060", "220000000061"),
                "status": term("100000072049", self.authorisation),
                "holder": {"reference": format!("Organization/{}", self.holder)},
            }),
            json!({
                "resourceType": "Ingredient", "id": format!("{id}-in"), "status": "active",
                "for": [{"reference": format!("ManufacturedItemDefinition/{id}-mid")}],
                "role": term("100000072050", "100000072072"),
                "substance": {"code": {"concept": {"text": "examplol"}}},
            }),
            json!({
                "resourceType": "PackagedProductDefinition", "id": format!("{id}-ppd"),
                "packageFor": [{"reference": format!("MedicinalProductDefinition/{id}")}],
                "packaging": {"containedItem": [
                    {"item": {"reference": {"reference": format!("ManufacturedItemDefinition/{id}-mid")}}},
                ]},
            }),
            json!({
                "resourceType": "ManufacturedItemDefinition", "id": format!("{id}-mid"), "status": "active",
                "manufacturedDoseForm": term("200000000004", "100000073664"),
            }),
            organisation(&self.holder),
        ]
    }

    pub(crate) fn bundle(&self) -> Value {
        bundle(&self.resources())
    }
}

pub(crate) fn organisation(id: &str) -> Value {
    let system = if id.starts_with("LOC-") { "locations" } else { "organisations" };
    json!({
        "resourceType": "Organization", "id": id, "name": format!("Holder {id}"),
        "identifier": [{"system": format!("http://spor.ema.europa.eu/v1/{system}"), "value": id}],
    })
}

pub(crate) fn bundle(resources: &[Value]) -> Value {
    let entries: Vec<Value> = resources.iter().map(|resource| json!({"resource": resource})).collect();
    json!({"resourceType": "Bundle", "type": "collection", "entry": entries})
}

pub(crate) async fn import(database: &Database, bundles: Vec<Value>) -> Report {
    fhir_store::import::documents(database, &matrix(), "memory", bundles, &|| NOW).await.unwrap()
}

pub(crate) async fn import_at(database: &Database, bundles: Vec<Value>, now: OffsetDateTime) -> Report {
    fhir_store::import::documents(database, &matrix(), "memory", bundles, &move || now).await.unwrap()
}

pub(crate) async fn import_files(database: &Database, paths: &[PathBuf]) -> Report {
    let report = fhir_store::import::files(database, &matrix(), paths, &|| NOW, &mut |_| {}).await.unwrap();
    assert!(fhir_store::status(database).await.is_ok());
    report
}

pub(crate) fn write(folder: &Path, name: &str, content: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, content).unwrap();
    path
}

fn audience(stakeholder: Stakeholder, domains: Domains, organisation: Option<&str>) -> Audience {
    let organisation = organisation.map(|id| id.parse().unwrap());
    Audience::new(Viewer { stakeholder, qualified: false, domains, organisation })
}

pub(crate) fn public() -> Audience {
    audience(Stakeholder::Public, Domains::NONE, None)
}

pub(crate) fn industry(organisation: &str) -> Audience {
    audience(Stakeholder::Industry, Domains::NONE, Some(organisation))
}

pub(crate) fn qualified(organisation: &str) -> Audience {
    let viewer = industry(organisation).viewer().clone();
    Audience::new(Viewer { qualified: true, ..viewer })
}

pub(crate) fn authority(domains: Domains) -> Audience {
    audience(Stakeholder::Nca, domains, None)
}

pub(crate) fn agency() -> Audience {
    audience(Stakeholder::Ema, Domains::BOTH, None)
}

/// All ids that a query finds, page by page, and checked against the count.
pub(crate) async fn found(database: &Database, audience: &Audience, query: &search::Query) -> Vec<String> {
    found_in_order(database, audience, query, &search::Sort::default()).await
}

/// All ids that a query finds, in an order, page by page, and checked against the count.
pub(crate) async fn found_in_order(
    database: &Database,
    audience: &Audience,
    query: &search::Query,
    sort: &search::Sort,
) -> Vec<String> {
    let (mut page, total) =
        search::first_page(database, audience, query, sort, 3, Counting::Exact).await.unwrap();
    let mut ids: Vec<String> = Vec::new();
    loop {
        // A place survives being written down.
        let next = page.next().map(|next| sort.position(next.fields()).unwrap());
        ids.extend(page.matches.into_iter().map(|one| one.head.product_id));
        let Some(next) = next else { break };
        page = search::page_after(database, audience, query, sort, &next, 3).await.unwrap();
    }
    assert_eq!(total, i64::try_from(ids.len()).ok());
    let count = search::count(database, audience, query).await.unwrap();
    assert_eq!(usize::try_from(count).unwrap(), ids.len());
    ids
}
