//! The table of products in `fhir-fixtures/data/README.md` is what the catalogue says.

use pms_terms::{LocationId, OrganisationId};

use super::*;
use crate::{
    Product,
    facts::{self, AuthorisationStatus, ProductFacts, RecordStatus},
};

const README: &str = include_str!("../../../../data/README.md");
const HEAD: &str = "| id | owner | domain | public | shows |\n|---|---|---|---|---|\n";

/// The organisation of a location, by the list of demo organisations.
fn organisation_of(location: &LocationId) -> Option<OrganisationId> {
    listed_organisations()
        .into_values()
        .find(|columns| columns[6].split(' ').any(|it| it == location.as_str()))
        .and_then(|columns| columns[0].parse().ok())
}

/// The public gate as the README explains it, read off the facts independently of the access rules.
fn is_public(facts: &ProductFacts) -> bool {
    let valid = |status| {
        matches!(
            status,
            AuthorisationStatus::Valid | AuthorisationStatus::Renewed | AuthorisationStatus::Transferred
        )
    };
    facts.domains.human
        && facts.record_status == RecordStatus::Current
        && facts.authorisations.iter().any(|it| valid(it.status))
}

fn row(bundle: &Value, shows: &str) -> String {
    let mut members: Vec<Value> = resources(bundle).cloned().collect();
    let root = members.remove(0);
    let id = root["id"].as_str().unwrap().to_owned();
    let facts = facts::facts(&Product { root, parts: members }, &organisation_of);
    let owners: Vec<_> = facts.owners.iter().map(|owner| owner.as_str().to_owned()).collect();
    let owners = if owners.is_empty() { "nobody".to_owned() } else { owners.join(", ") };
    let domains: Vec<_> = facts.domains.iter().map(pms_terms::Domain::as_str).collect();
    let domains = if domains.is_empty() { "none".to_owned() } else { domains.join(", ") };
    let public = if is_public(&facts) { "yes" } else { "no" };
    format!("| {id} | {owners} | {domains} | {public} | {shows} |\n")
}

#[test]
fn the_readme_tells_of_every_product() {
    let products = catalogue::parse(&PRODUCT_TEXTS).unwrap();
    let rows: String =
        bundles().iter().zip(&products).map(|(bundle, product)| row(bundle, &product.shows)).collect();
    let table = format!("{HEAD}{rows}");
    assert!(README.contains(&table), "put this table into the README:\n{table}");
}
