//! The demo of a sandbox: organisations, a client, fictional products, and three lines to paste.

use std::path::Path;

use anyhow::{Context as _, Result};
use authz_domain::Actor;
use authz_server::{DemoCredentials, UseCases};
use database::Database;
use pms_terms::{LocationId, OrganisationId};

use crate::{House, development_ca::write_private};

/// The organisations of the demo, in the form that `organisation import` reads.
const ORGANISATIONS: &str = include_str!("../../config/demo-organisations.csv");

/// A network with its centres, for CPMS.
const NETWORKS: &str = include_str!("../../config/demo-networks.csv");

/// A product that the demo client owns and everybody may see.
const PRODUCT: &str = "600000900001";

/// Fills empty databases. Running it again finishes what was interrupted and changes nothing else.
pub(crate) async fn seed_authz(use_cases: &UseCases) -> Result<Option<DemoCredentials>> {
    if use_cases.seed_demo("demo-organisations.csv", ORGANISATIONS).await? {
        use_cases.import_organisations(Actor::System, "demo-networks.csv", NETWORKS).await?;
    }
    Ok(use_cases.demo_credentials().await?)
}

/// Puts the demo catalogue into an empty database.
pub(crate) async fn seed_products(house: &House, database: &Database) -> Result<()> {
    if fhir_store::status(database).await?.products > 0 {
        return Ok(());
    }
    fhir_store::locations::upsert(database, &house.matrix, &locations()?).await?;
    let bundles = fhir_model::demo::bundles();
    let now = || house.clock.now();
    let report = fhir_store::import::documents(database, &house.matrix, "demo", bundles, &now).await?;
    if let Some(refused) = report.refused.first() {
        anyhow::bail!("a demo product was refused: {} {}", refused.resource, refused.reason);
    }
    Ok(())
}

/// Which organisation each location of the demo belongs to.
fn locations() -> Result<Vec<(LocationId, OrganisationId)>> {
    let organisations = authz_server::organisations_in("demo-organisations.csv", ORGANISATIONS)?;
    Ok(organisations
        .into_iter()
        .flat_map(|one| one.locations.into_iter().map(move |location| (location.id, one.id.clone())))
        .collect())
}

/// Three commands: a token, a search, a read.
pub(crate) fn first_call(base_url: &str, ca_file: Option<&Path>, demo: &DemoCredentials) -> [String; 3] {
    let trust = ca_file.map(|path| format!(" --cacert '{}'", path.display())).unwrap_or_default();
    let curl = format!("curl -fsS{trust}");
    let api = format!("{base_url}/pms/api/v3/MedicinalProductDefinition");
    [
        format!(
            "TOKEN=$({curl} -d grant_type=client_credentials -d client_id={} -d client_secret={} -d scope={} {base_url}/oauth2/token \
             | sed 's/.*\"access_token\":\"\\([^\"]*\\)\".*/\\1/')",
            demo.client_id,
            demo.client_secret.expose(),
            demo.scope,
        ),
        format!(
            "{curl} -H \"Authorization: Bearer $TOKEN\" '{api}?domain=100000000012&_count=3&_pretty=true'"
        ),
        format!("{curl} -H \"Authorization: Bearer $TOKEN\" '{api}/{PRODUCT}?_pretty=true'"),
    ]
}

/// Writes the three commands into the data folder, for its owner only: they hold the demo client's secret.
pub(crate) fn write_first_call(data_dir: &Path, lines: &[String; 3]) -> Result<()> {
    let text = format!(
        "# A token, a search, a read: paste them into a shell, or run `sh {}`.\n{}\n",
        data_dir.join("first-call.sh").display(),
        lines.join("\n")
    );
    write_private(&data_dir.join("first-call.sh"), text.as_bytes()).context("the first call")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_demo_location_is_read() {
        let found = locations().unwrap();
        let written = ORGANISATIONS.matches("LOC-").count();
        assert_eq!(found.len(), written);
    }
}
