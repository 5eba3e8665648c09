//! `pmsgate client …`: API clients and their secrets.

use anyhow::Result;
use authz_domain::{Actor, SecretState};
use authz_server::{ClientView, IssuedCredentials, NewClient, SecretView};
use pms_terms::{Domains, OrganisationId};
use serde_json::{Value, json};

use super::{iso, print};
use crate::{
    House,
    cli::{ClientCommand, ClientCreate, Common},
};

const CREDENTIAL_COLUMNS: &[&str] =
    &["client_id", "client_secret", "secret_id", "issued_at", "expires_at", "token_url", "scope"];
/// And the older secrets that stopped working with it.
const ROTATION_COLUMNS: &[&str] =
    &["client_id", "client_secret", "secret_id", "issued_at", "expires_at", "token_url", "scope", "ended"];
const LIST_COLUMNS: &[&str] =
    &["client_id", "label", "organisation", "role", "status", "contact", "expires_at"];
const SHOW_COLUMNS: &[&str] = &[
    "client_id",
    "label",
    "organisation",
    "role",
    "stakeholder",
    "qualified",
    "domains",
    "scope",
    "status",
    "contact",
    "created_at",
    "secrets",
];

pub(super) async fn run(common: &Common, command: ClientCommand) -> Result<()> {
    let acts = House::open(common)?.use_cases().await?.because(command.reason())?;
    match command {
        ClientCommand::Create(options) => {
            let issued = acts.create_client(Actor::Operator, new_client(options)).await?;
            print(common, credentials(&issued), CREDENTIAL_COLUMNS)
        }
        ClientCommand::Rotate { client_id, immediately, .. } => {
            let issued = acts.rotate_secret(Actor::Operator, &client_id, immediately).await?;
            let mut shown = credentials(&issued);
            let ended = issued.ended.iter();
            shown["ended"] =
                ended.map(|one| json!({ "secret_id": one.id.as_str(), "hint": one.hint })).collect();
            print(common, shown, ROTATION_COLUMNS)
        }
        ClientCommand::Change { client_id, label, contact } => {
            let before = acts.show_client(&client_id).await?.client;
            let (label, contact) = (label.unwrap_or(before.label), contact.or(before.contact));
            acts.change_client(Actor::Operator, &client_id, &label, contact.as_deref()).await?;
            print(common, client(&acts.show_client(&client_id).await?), SHOW_COLUMNS)
        }
        ClientCommand::RevokeSecret { client_id, secret_id, .. } => {
            acts.revoke_secret(Actor::Operator, &client_id, &secret_id).await?;
            print(common, client(&acts.show_client(&client_id).await?), SHOW_COLUMNS)
        }
        ClientCommand::List => {
            let clients: Vec<Value> = acts.list_clients().await?.iter().map(client).collect();
            print(common, clients.into(), LIST_COLUMNS)
        }
        ClientCommand::Show { client_id } => {
            print(common, client(&acts.show_client(&client_id).await?), SHOW_COLUMNS)
        }
        ClientCommand::Suspend { client_id, .. } => {
            acts.suspend_client(Actor::Operator, &client_id).await?;
            print(common, client(&acts.show_client(&client_id).await?), SHOW_COLUMNS)
        }
        ClientCommand::Resume { client_id, .. } => {
            acts.resume_client(Actor::Operator, &client_id).await?;
            print(common, client(&acts.show_client(&client_id).await?), SHOW_COLUMNS)
        }
        ClientCommand::Revoke { client_id, .. } => {
            acts.revoke_client(Actor::Operator, &client_id).await?;
            print(common, client(&acts.show_client(&client_id).await?), SHOW_COLUMNS)
        }
    }
}

fn new_client(options: ClientCreate) -> NewClient {
    let domains =
        if options.domain.is_empty() { Domains::BOTH } else { options.domain.into_iter().collect() };
    NewClient {
        organisation: options.organisation,
        owner: None,
        external_key: options.external_key,
        role: options.role,
        label: options.label,
        contact: options.contact,
        qualified: options.qualified,
        domains,
        scope: (!options.scope.is_empty()).then(|| options.scope.join(" ")),
    }
}

/// The contract's answer to `create` and `rotate`: the one place where a secret is shown.
fn credentials(issued: &IssuedCredentials) -> Value {
    json!({
        "client_id": issued.client_id.as_str(),
        "client_secret": issued.client_secret.expose(),
        "secret_id": issued.secret_id.as_str(),
        "issued_at": iso(issued.issued_at),
        "expires_at": iso(issued.expires_at),
        "token_url": issued.token_url,
        "scope": issued.scope,
    })
}

/// The contract's client object.
fn client(view: &ClientView) -> Value {
    let client = &view.client;
    let live = view.secrets.iter().filter(|secret| secret.state == SecretState::Live);
    json!({
        "client_id": client.id.as_str(),
        "label": client.label,
        "organisation": client.organisation.as_ref().map(OrganisationId::as_str),
        "role": client.role,
        "stakeholder": view.stakeholder.as_str(),
        "qualified": client.qualified,
        "domains": client.domains,
        "scope": client.allowed.to_string(),
        "status": client.status.as_str(),
        "contact": client.contact,
        "created_at": iso(client.created_at),
        "expires_at": live.map(|secret| secret.secret.ends_at()).max().map(iso),
        "secrets": view.secrets.iter().map(secret).collect::<Vec<_>>(),
    })
}

fn secret(view: &SecretView) -> Value {
    let secret = &view.secret;
    json!({
        "secret_id": secret.id.as_str(),
        "hint": secret.hint,
        "issued_at": iso(secret.issued_at),
        "expires_at": iso(secret.expires_at),
        "retires_at": secret.retires_at.map(iso),
        "last_used_at": secret.last_used_at.map(iso),
        "status": view.state.as_str(),
    })
}
