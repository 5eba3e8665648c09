//! `pmsgate organisation …`: organisations and their locations.

use anyhow::{Context as _, Result, bail};
use authz_domain::{Actor, Organisation};
use authz_server::{ORGANISATION_COLUMNS, location_json, locations_cell};
use pms_terms::OrganisationId;
use serde_json::{Value, json};

use super::print;
use crate::{
    House,
    cli::{Common, OrganisationCommand},
    output::OutputFormat,
};

/// An organisation as `organisation import` reads it, in each form of output.
fn record(organisation: &Organisation, in_cells: bool) -> Value {
    let locations = &organisation.locations;
    json!({
        "id": organisation.id.as_str(),
        "name": organisation.name,
        "country": organisation.country,
        "category": organisation.category.as_str(),
        "locations": if in_cells {
            locations_cell(locations).into()
        } else {
            locations.iter().map(location_json).collect::<Value>()
        },
        "address": organisation.address,
        "parent": organisation.parent.as_ref().map(OrganisationId::as_str),
    })
}

pub(super) async fn run(common: &Common, command: OrganisationCommand) -> Result<()> {
    let house = House::open(common)?;
    let acts = house.use_cases().await?;
    match command {
        OrganisationCommand::List => {
            let in_cells =
                matches!(OutputFormat::choose(common.format), OutputFormat::Csv | OutputFormat::Table);
            let organisations = acts.list_organisations().await?;
            let rows: Vec<Value> = organisations.iter().map(|one| record(one, in_cells)).collect();
            print(common, rows.into(), &ORGANISATION_COLUMNS)
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
