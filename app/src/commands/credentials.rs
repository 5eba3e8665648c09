//! `pmsgate credentials …`: secrets over all clients.

use anyhow::{Result, anyhow};
use pms_terms::OrganisationId;
use serde_json::{Value, json};
use time::Duration;

use super::{iso, print};
use crate::{
    House,
    cli::{Common, CredentialsCommand},
};

const COLUMNS: &[&str] = &[
    "client_id",
    "secret_id",
    "organisation",
    "role",
    "contact",
    "expires_at",
    "days_left",
    "last_used_at",
    "successor",
];

pub(super) async fn run(common: &Common, command: CredentialsCommand) -> Result<()> {
    let CredentialsCommand::Expiring { within } = command;
    let within = parse_span(&within)?;
    let acts = House::open(common)?.use_cases().await?;
    let rows: Vec<Value> = acts
        .expiring_secrets(within)
        .await?
        .iter()
        .map(|row| {
            json!({
                "client_id": row.client.id.as_str(),
                "secret_id": row.secret.id.as_str(),
                "organisation": row.client.organisation.as_ref().map(OrganisationId::as_str),
                "role": row.client.role,
                "contact": row.client.contact,
                "expires_at": iso(row.secret.expires_at),
                "days_left": row.days_left,
                "last_used_at": row.secret.last_used_at.map(iso),
                "successor": row.successor,
            })
        })
        .collect();
    print(common, rows.into(), COLUMNS)
}

fn parse_span(text: &str) -> Result<Duration> {
    let span: config::Span =
        serde_json::from_value(text.into()).map_err(|error| anyhow!("--within: {error}"))?;
    Ok(Duration::try_from(span.0)?)
}
