//! `pmsgate explain`: why a client is answered as it is, in the order in which a request meets the rules: the client, the
//! gateway, the gates of the product, each element.

use anyhow::{Context as _, Result};
use authz_domain::ClientStatus;
use authz_server::ClientView;
use config::{ApiProducts, Enforce};
use fhir_model::access::Viewer;
use gateway::{Addresses, Asker, GatewaySettings};
use serde::Serialize;
use serde_json::{Value, json};

use super::print;
use crate::{House, cli::Common};

pub(super) async fn run(common: &Common, client_id: &str, method: &str, url: &str) -> Result<()> {
    let house = House::open(common)?;
    let view = house.use_cases().await?.show_client(client_id).await?;
    let mut story = vec![about_client(&view)];
    if view.client.status == ClientStatus::Active {
        let decisions = gateway::explain(&gateway_settings(&house), &asker(&house, &view)?, method, url)?;
        let passed = decisions.iter().all(|decision| decision.outcome == "permitted");
        let forwarded = passed && !decisions.iter().any(|decision| decision.rule == "open");
        story.extend(told("gateway", decisions)?);
        if forwarded && is_filtered_by_the_gateway(house.products(), url) {
            story.push(json!({
                "at": "gateway", "path": url, "rule": "enforce", "outcome": "filtered",
                "reason": "a server of somebody else is asked; the access levels decide in the gateway, about what it answers",
            }));
        } else if forwarded {
            let products = house.products_database().await?;
            let viewer = viewer(&view);
            let decisions =
                fhir_server::explain(&products, &house.matrix, house.products(), &viewer, method, url)
                    .await?;
            story.extend(told("backend", decisions)?);
        }
    }
    print(common, Value::Array(story), &["at", "path", "rule", "outcome", "reason"])
}

/// Whether a URL leads to a product in front of a foreign server, of whose data this house knows nothing.
fn is_filtered_by_the_gateway(products: &ApiProducts, url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let path = rest.find('/').map_or("", |at| &rest[at..]);
    products.iter().any(|product| {
        product.enforce == Enforce::Gateway
            && path.strip_prefix(product.base_path.as_str()).is_some_and(|rest| rest.starts_with('/'))
    })
}

/// The decisions of a part of the house, each saying whose it is.
fn told(at: &str, decisions: Vec<impl Serialize>) -> Result<Vec<Value>> {
    decisions
        .into_iter()
        .map(|decision| {
            let mut decision = serde_json::to_value(decision)?;
            decision["at"] = at.into();
            Ok(decision)
        })
        .collect()
}

/// Whether the client can have a token at all, and what it would say.
fn about_client(view: &ClientView) -> Value {
    let client = &view.client;
    let works = client.status == ClientStatus::Active;
    let group = match &client.organisation {
        Some(organisation) => format!("{} of {organisation}", view.stakeholder),
        None => view.stakeholder.to_string(),
    };
    let domains = match (client.domains.human, client.domains.veterinary) {
        (true, true) => ", for human and veterinary products",
        (true, false) => ", for human products",
        (false, true) => ", for veterinary products",
        (false, false) => "",
    };
    let qualified = if client.qualified { ", cleared for sensitive data of its own products" } else { "" };
    let reason = if works {
        format!("{group}{domains}{qualified}; role {}", client.role)
    } else {
        format!("the client is {}: it is given no token, and its requests are answered 401", client.status)
    };
    json!({
        "at": "client", "path": client.id.as_str(), "rule": "status",
        "outcome": if works { "permitted" } else { "refused" }, "reason": reason,
    })
}

/// What the client's tokens say to the gateway.
fn asker(house: &House, view: &ClientView) -> Result<Asker> {
    let id = &view.client.role;
    let role = house.files.catalogue.role(id).with_context(|| {
        format!(
            "the role {id} of this client is not in the catalogue of this configuration: it is given no token"
        )
    })?;
    Ok(Asker {
        resource: role.resource.clone(),
        token_roles: vec![role.token_role.clone()],
        scope: view.client.allowed.to_string(),
        stakeholder: view.stakeholder,
    })
}

/// On whose behalf the backend would be asked.
fn viewer(view: &ClientView) -> Viewer {
    Viewer {
        stakeholder: view.stakeholder,
        qualified: view.client.qualified,
        domains: view.client.domains,
        organisation: view.client.organisation.clone(),
    }
}

/// The gateway that this configuration makes; nothing of it is started.
fn gateway_settings(house: &House) -> GatewaySettings {
    let public = house.known_base_url();
    let addresses = Addresses {
        authz_url: public.clone(),
        public_base_url: public,
        backend_url: house.settings.gateway.backend_url.clone(),
    };
    GatewaySettings::new(&house.settings, &house.files, &addresses, String::new())
}

#[cfg(test)]
mod tests {
    use config::{Data, DataFiles};

    use super::*;

    #[test]
    fn a_product_of_ours_is_explained_from_our_store() {
        let files = DataFiles::load(&Data::default()).unwrap();
        for url in [
            "/pms/api/v3/MedicinalProductDefinition/1",
            "https://localhost:8443/public/v1/metadata",
            "/x",
            "",
        ] {
            assert!(!is_filtered_by_the_gateway(&files.products, url), "{url}");
        }
    }
}
