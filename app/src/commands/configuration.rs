//! `pmsgate config …`: check, show and describe the configuration.

use anyhow::Result;
use authz_server::AuthzSettings;
use config::Settings;
use serde_json::json;

use super::print;
use crate::{
    cli::{Common, ConfigCommand},
    house::read_data,
    output::print_text,
};

pub(super) fn run(common: &Common, command: &ConfigCommand) -> Result<()> {
    match command {
        ConfigCommand::Schema => print_text(&(serde_json::to_string_pretty(&Settings::schema())? + "\n")),
        ConfigCommand::Show => print_text(&Settings::load(common.config.as_deref())?.to_toml()?),
        ConfigCommand::Check => {
            let settings = Settings::load(common.config.as_deref())?;
            let (files, matrix) = read_data(&settings)?;
            AuthzSettings::from_config(&settings, &files, "https://localhost")?;
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
