//! `pmsgate explain`: which rule decides what a client sees.

use anyhow::Result;
use fhir_model::access::Viewer;

use super::print;
use crate::{House, cli::Common};

pub(super) async fn run(common: &Common, client_id: &str, method: &str, url: &str) -> Result<()> {
    let house = House::open(common)?;
    let view = house.use_cases().await?.show_client(client_id).await?;
    let viewer = Viewer {
        stakeholder: view.stakeholder,
        qualified: view.client.qualified,
        domains: view.client.domains,
        organisation: view.client.organisation,
    };
    let products = house.products_database().await?;
    let decisions =
        fhir_server::explain(&products, &house.matrix, house.products(), &viewer, method, url).await?;
    print(common, serde_json::to_value(decisions)?, &["path", "rule", "outcome", "reason"])
}
