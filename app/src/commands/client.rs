//! `pmsgate client …`: API clients and their secrets.

use std::{
    fs,
    io::{self, Read as _},
    path::Path,
};

use anyhow::{Context as _, Result, bail};
use authz_domain::{Actor, AuthenticationMethod, SecretState};
use authz_server::{
    ClientView, EndedSecret, IssuedCredentials, NewClient, NewProof, RegisteredProof, SecretView,
};
use pms_terms::{Domains, OrganisationId};
use serde_json::{Value, json};

use super::{iso, print};
use crate::{
    House,
    cli::{ClientCommand, ClientCreate, Common, DpopWish, ProofArgs},
};

const CREDENTIAL_COLUMNS: &[&str] =
    &["client_id", "client_secret", "secret_id", "issued_at", "expires_at", "token_url", "scope"];
/// And the older secrets that stopped working with it.
const ROTATION_COLUMNS: &[&str] =
    &["client_id", "client_secret", "secret_id", "issued_at", "expires_at", "token_url", "scope", "ended"];
/// What was registered in place of a secret.
const REGISTRATION_COLUMNS: &[&str] =
    &["client_id", "method", "secret_id", "hint", "issued_at", "expires_at", "token_url", "scope", "ended"];
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
    "authentication",
    "dpop_required",
    "secrets",
];

pub(super) async fn run(common: &Common, command: ClientCommand) -> Result<()> {
    let acts = House::open(common)?.use_cases().await?.because(command.reason())?;
    match command {
        ClientCommand::Create(mut options) => {
            let proof = options.proof.take().map(read).transpose()?;
            let new = new_client(options);
            if let Some(proof) = proof {
                let registered = acts.create_client_with(Actor::Operator, new, proof).await?;
                print(common, registration(&registered), REGISTRATION_COLUMNS)
            } else {
                let issued = acts.create_client(Actor::Operator, new).await?;
                print(common, credentials(&issued), CREDENTIAL_COLUMNS)
            }
        }
        ClientCommand::Register { client_id, proof, immediately, .. } => {
            let proof = read(proof)?;
            let registered = acts.register_proof(Actor::Operator, &client_id, proof, immediately).await?;
            print(common, registration(&registered), REGISTRATION_COLUMNS)
        }
        ClientCommand::Rotate { client_id, immediately, .. } => {
            let issued = acts.rotate_secret(Actor::Operator, &client_id, immediately).await?;
            let mut shown = credentials(&issued);
            shown["ended"] = ended(&issued.ended);
            print(common, shown, ROTATION_COLUMNS)
        }
        ClientCommand::Change { client_id, label, contact, dpop } => {
            let before = acts.show_client(&client_id).await?.client;
            let (label, contact) = (label.unwrap_or(before.label), contact.or(before.contact));
            acts.change_client(Actor::Operator, &client_id, &label, contact.as_deref()).await?;
            if let Some(wish) = dpop {
                acts.require_dpop(Actor::Operator, &client_id, wish == DpopWish::Required).await?;
            }
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

/// What was handed over by name of a file, read.
fn read(proof: ProofArgs) -> Result<NewProof> {
    let bytes = |path: &Path| read_file(path).with_context(|| format!("{} cannot be read", path.display()));
    Ok(match proof {
        ProofArgs { jwks: Some(path), .. } => NewProof::Keys(bytes(&path)?),
        ProofArgs { jwks_uri: Some(address), .. } => NewProof::KeysAt(address),
        ProofArgs { certificate: Some(path), .. } => NewProof::KeyOf(bytes(&path)?),
        ProofArgs { tls_certificate: Some(path), .. } => NewProof::Certificate(bytes(&path)?),
        ProofArgs { tls_subject: Some(subject), .. } => NewProof::Subject(subject),
        ProofArgs {
            jwks: None,
            jwks_uri: None,
            certificate: None,
            tls_certificate: None,
            tls_subject: None,
        } => {
            bail!("say what is to be registered")
        }
    })
}

/// The bytes of a file, or of standard input for `-`.
fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    if path == Path::new("-") {
        let mut bytes = Vec::new();
        io::stdin().lock().read_to_end(&mut bytes).map(|_| bytes)
    } else {
        fs::read(path)
    }
}

/// What was registered in place of a secret. Nothing in it is one.
fn registration(made: &RegisteredProof) -> Value {
    json!({
        "client_id": made.client_id.as_str(),
        "method": made.method.as_str(),
        "secret_id": made.secret_id.as_str(),
        "hint": made.hint,
        "issued_at": iso(made.issued_at),
        "expires_at": iso(made.expires_at),
        "token_url": made.token_url,
        "scope": made.scope,
        "ended": ended(&made.ended),
    })
}

fn ended(ended: &[EndedSecret]) -> Value {
    ended.iter().map(|one| json!({ "secret_id": one.id.as_str(), "hint": one.hint })).collect()
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
        "dpop_required": client.dpop_required,
        "authentication": view.method().map(AuthenticationMethod::as_str),
        "secrets": view.secrets.iter().map(secret).collect::<Vec<_>>(),
    })
}

fn secret(view: &SecretView) -> Value {
    let secret = &view.secret;
    json!({
        "secret_id": secret.id.as_str(),
        "method": secret.proof.method().as_str(),
        "hint": secret.hint,
        "issued_at": iso(secret.issued_at),
        "expires_at": iso(secret.expires_at),
        "retires_at": secret.retires_at.map(iso),
        "last_used_at": secret.last_used_at.map(iso),
        "status": view.state.as_str(),
    })
}
