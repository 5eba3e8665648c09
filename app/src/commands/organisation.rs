//! `pmsgate organisation …`: organisations and their locations.

use anyhow::{Context as _, Result, bail};
use authz_domain::Actor;
use serde_json::{Value, json};

use super::print;
use crate::{
    House,
    cli::{Common, OrganisationCommand},
};

pub(super) async fn run(common: &Common, command: OrganisationCommand) -> Result<()> {
    let house = House::open(common)?;
    let acts = house.use_cases().await?;
    match command {
        OrganisationCommand::List => {
            let rows: Vec<Value> = acts
                .list_organisations()
                .await?
                .iter()
                .map(|organisation| {
                    json!({
                        "id": organisation.id.as_str(),
                        "name": organisation.name,
                        "category": organisation.category.as_str(),
                        "country": organisation.country,
                        "locations": organisation.locations.iter().map(|one| one.id.as_str()).collect::<Vec<_>>(),
                    })
                })
                .collect();
            print(common, rows.into(), &["id", "name", "category", "country", "locations"])
        }
        OrganisationCommand::Import { file } => {
            let text = std::fs::read_to_string(&file)
                .with_context(|| format!("{} cannot be read", file.display()))?;
            let report =
                acts.import_organisations(Actor::Operator, &file.display().to_string(), &text).await?;
            // The backend resolves holders that are given by location; it has a database of its own.
            let organisations = acts.list_organisations().await?;
            let locations: Vec<_> = organisations
                .iter()
                .flat_map(|organisation| {
                    organisation.locations.iter().map(|one| (one.id.clone(), organisation.id.clone()))
                })
                .collect();
            let products = house.products_database().await?;
            fhir_store::locations::upsert(&products, &house.matrix, &locations).await?;
            let refused: Vec<Value> = report
                .refused
                .iter()
                .map(|record| json!({"file": record.file, "resource": record.resource, "reason": record.reason}))
                .collect();
            let taken = report.imported + report.updated + report.unchanged;
            let nothing = taken == 0 && !refused.is_empty();
            print(
                common,
                json!({
                    "imported": report.imported,
                    "updated": report.updated,
                    "unchanged": report.unchanged,
                    "refused": refused,
                }),
                &["imported", "updated", "unchanged", "refused"],
            )?;
            if nothing {
                bail!("nothing was imported: every record was refused, see the report");
            }
            Ok(())
        }
    }
}
