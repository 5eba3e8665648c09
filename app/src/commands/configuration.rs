//! `pmsgate config …`: check, show and describe the configuration.

use std::path::Path;

use anyhow::{Context as _, Result};
use authz_server::AuthzSettings;
use config::{DataFiles, MasterKey, Settings};
use gateway::{Addresses, GatewaySettings, openapi};
use serde_json::{Value, json};

use super::print;
use crate::{
    cli::{Common, ConfigCommand},
    house::{base_url, read_data},
    output::print_text,
    telemetry,
};

pub(super) fn run(common: &Common, command: &ConfigCommand) -> Result<()> {
    match command {
        ConfigCommand::Schema => print_text(&(serde_json::to_string_pretty(&Settings::schema())? + "\n")),
        ConfigCommand::Show => print_text(&Settings::load(common.config.as_deref())?.to_toml()?),
        ConfigCommand::Openapi { folder } => {
            let settings = Settings::load(common.config.as_deref())?;
            let (files, _) = read_data(&settings)?;
            write_documents(&documents(&settings, &files)?, folder)
        }
        ConfigCommand::Check => {
            let settings = Settings::load(common.config.as_deref())?;
            let (files, matrix) = read_data(&settings)?;
            AuthzSettings::from_config(&settings, &files, "https://localhost")?;
            telemetry::filter(&settings.telemetry)?;
            // Files of secrets may lie on another machine; what the environment gives is here.
            MasterKey::given()?;
            documents(&settings, &files)?;
            let operations: usize = files.products.iter().map(|product| product.operations.len()).sum();
            print(
                common,
                json!({
                    "configuration": "ok",
                    "sandbox": settings.is_sandbox(),
                    "products": files.products.iter().count(),
                    "operations": operations,
                    "roles": files.catalogue.roles().len(),
                    "access_levels": matrix.banner(),
                }),
                &["configuration", "sandbox", "products", "operations", "roles", "access_levels"],
            )
        }
    }
}

/// The OpenAPI documents of the gateway that this configuration makes; so its routes are looked at, too.
fn documents(settings: &Settings, files: &DataFiles) -> Result<Vec<(String, Value)>> {
    let public = base_url(settings, settings.listen.address.port());
    let addresses = Addresses {
        authz_url: public.clone(),
        public_base_url: public,
        backend_url: settings.gateway.backend_url.clone(),
    };
    let settings = GatewaySettings::new(settings, files, &addresses, String::new());
    Ok(openapi::documents(&settings)?)
}

fn write_documents(documents: &[(String, Value)], folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    for (id, document) in documents {
        let path = folder.join(format!("{id}.json"));
        std::fs::write(&path, serde_json::to_string_pretty(document)? + "\n")
            .with_context(|| format!("{} cannot be written", path.display()))?;
        print_text(&format!("{}\n", path.display()))?;
    }
    Ok(())
}
