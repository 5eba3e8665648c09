//! `pmsgate doctor`: looks for what is wrong and says what to do.

use anyhow::{Result, bail};
use authz_domain::{ClientStatus, SigningKeyState};
use serde_json::{Value, json};
use time::Duration;

use super::{database, print};
use crate::{House, cli::Common};

/// Secrets with less than this left are worth a warning.
const SOON: Duration = Duration::days(30);

enum State {
    Ok,
    Warning,
    Wrong,
}

struct Check {
    name: &'static str,
    state: State,
    found: String,
    advice: String,
}

impl Check {
    fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, state: State::Ok, found: found.into(), advice: String::new() }
    }

    fn warning(name: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { name, state: State::Warning, found: found.into(), advice: advice.into() }
    }

    fn wrong(name: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { name, state: State::Wrong, found: found.into(), advice: advice.into() }
    }

    fn json(&self) -> Value {
        let state = match self.state {
            State::Ok => "ok",
            State::Warning => "warning",
            State::Wrong => "wrong",
        };
        json!({"check": self.name, "state": state, "found": self.found, "advice": self.advice})
    }
}

pub(super) async fn run(common: &Common) -> Result<()> {
    // A configuration that cannot be read is an error of its own, with its own exit code.
    let house = House::open(common)?;
    let mut checks =
        vec![Check::ok("configuration", "readable, and its data files fit together"), folder(&house)];
    // As they are, before anything below brings them up to date.
    match database::status(&house).await {
        Ok(rows) => checks.extend(rows.iter().map(schema)),
        Err(error) => checks.push(Check::wrong(
            "databases",
            format!("{error:#}"),
            "check database.url, that the server runs, and that this account may use it",
        )),
    }
    if checks.iter().all(|check| !matches!(check.state, State::Wrong)) {
        checks.extend(credentials(&house).await?);
    }
    let wrong = checks.iter().filter(|check| matches!(check.state, State::Wrong)).count();
    let rows: Vec<Value> = checks.iter().map(Check::json).collect();
    print(common, rows.into(), &["check", "state", "found", "advice"])?;
    if wrong > 0 {
        bail!("{wrong} of {} checks found something wrong", checks.len());
    }
    Ok(())
}

fn folder(house: &House) -> Check {
    let shown = house.data_dir.display();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(&house.data_dir).map(|data| data.permissions().mode() & 0o077);
        if mode.is_ok_and(|mode| mode != 0) {
            return Check::warning(
                "data folder",
                format!("{shown} can be read by others; it holds keys"),
                format!("chmod 700 {shown}"),
            );
        }
    }
    Check::ok("data folder", shown.to_string())
}

fn schema(row: &Value) -> Check {
    let name = if row["database"] == "authz" { "authorization database" } else { "products database" };
    match row["pending"].as_array().map_or(0, Vec::len) {
        0 => Check::ok(
            name,
            format!("{}, schema up to date, holds {}", row["kind"].as_str().unwrap_or("?"), row["holds"]),
        ),
        n => Check::warning(
            name,
            format!("{n} migrations are pending"),
            "pmsgate database migrate, or start the server",
        ),
    }
}

async fn credentials(house: &House) -> Result<Vec<Check>> {
    let acts = house.use_cases().await?;
    let keys = acts.list_signing_keys().await?;
    let active = keys.iter().filter(|key| key.state == SigningKeyState::Active).count();
    let next = keys.iter().filter(|key| key.state == SigningKeyState::Next).count();
    let signing = match (active, next) {
        (0, _) => Check::warning(
            "signing keys",
            "none is active yet",
            "start the authorization server once: it makes them",
        ),
        (_, 0) => Check::warning("signing keys", "no next key is published", "pmsgate key rotate"),
        _ => Check::ok("signing keys", format!("{active} active, {next} next")),
    };
    let expiring: Vec<_> =
        acts.expiring_secrets(SOON).await?.into_iter().filter(|row| !row.successor).collect();
    let secrets = match expiring.first() {
        None => Check::ok(
            "client secrets",
            format!("none expires within {} days without a successor", SOON.whole_days()),
        ),
        Some(first) => Check::warning(
            "client secrets",
            format!(
                "{} expire within {} days, the first of {} in {} days",
                expiring.len(),
                SOON.whole_days(),
                first.client.id,
                first.days_left
            ),
            format!("pmsgate client rotate {}", first.client.id),
        ),
    };
    let suspended = acts
        .list_clients()
        .await?
        .iter()
        .filter(|view| view.client.status == ClientStatus::Suspended)
        .count();
    Ok(vec![signing, secrets, Check::ok("clients", format!("{suspended} suspended"))])
}
