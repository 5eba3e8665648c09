//! `pmsgate account …`: accounts of people at the portal.

use anyhow::{Context as _, Result};
use authz_domain::Actor;
use authz_server::NewAccount;
use serde_json::json;

use super::print;
use crate::{
    House,
    cli::{AccountCommand, AccountCreate, Common},
};

/// The role of agency administrators in the catalogue.
const AGENCY_ADMIN: &str = "agency-admin";

pub(super) async fn run(common: &Common, command: AccountCommand) -> Result<()> {
    let AccountCommand::Create(wanted) = command;
    let acts = House::open(common)?.use_cases().await?;
    let opened = acts.open_account(Actor::Operator, new_account(wanted)?).await?;
    print(
        common,
        json!({ "id": opened.id, "user_name": opened.user_name, "password": opened.password }),
        &["id", "user_name", "password"],
    )
}

fn new_account(wanted: AccountCreate) -> Result<NewAccount> {
    let password = match &wanted.password_file {
        Some(path) => {
            let text = std::fs::read_to_string(path)
                .with_context(|| format!("{} cannot be read", path.display()))?;
            Some(text.trim_end_matches(['\r', '\n']).to_owned())
        }
        None => None,
    };
    let mut roles = Vec::new();
    if wanted.agency_admin {
        roles.push((AGENCY_ADMIN.to_owned(), None));
    }
    for text in &wanted.role {
        roles.push(match text.split_once('@') {
            None => (text.clone(), None),
            Some((role, organisation)) => {
                let id = organisation.parse().with_context(|| format!("{organisation:?} in --role"))?;
                (role.to_owned(), Some(id))
            }
        });
    }
    Ok(NewAccount {
        email: wanted.email,
        first_name: wanted.first_name,
        last_name: wanted.last_name,
        password,
        roles,
    })
}
