//! `pmsgate doctor`: looks for what is wrong and says what to do.

mod surroundings;

use anyhow::{Result, bail};
use audit_chain::ChainKey;
use authz_domain::{ClientStatus, SigningKeyState};
use authz_server::UseCases;
use config::{MasterKey, Purpose};
use serde_json::{Value, json};
use time::Duration;

use super::{clock::offset as clock_offset, database, print};
use crate::{House, cli::Common, house::Which};

/// Secrets with less than this left are worth a warning.
const SOON: Duration = Duration::days(30);
/// A message that waits longer than this does not leave by itself.
const SLOW: Duration = Duration::minutes(15);

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
    // Whatever opens a house makes what is missing; who looks for faults changes nothing.
    let shown = common.data_dir.display();
    if !common.data_dir.exists() {
        bail!("there is no folder {shown}: name the one of the server with --data-dir, or start it once");
    }
    if MasterKey::given()?.is_none() && !common.data_dir.join("master.key").exists() {
        bail!("{shown} holds no master key: name the server's folder with --data-dir, or start it once");
    }
    // A configuration that cannot be read is an error of its own, with its own exit code.
    let house = House::open(common)?;
    let mut checks =
        vec![Check::ok("configuration", "readable, and its data files fit together"), folder(&house)];
    checks.push(read_trails(&house)?);
    // As they are: what is asked below would bring them up to date.
    let mut up_to_date = true;
    let missing = Which::ALL.into_iter().find(|which| !house.has_database(*which));
    match missing {
        Some(which) => {
            up_to_date = false;
            let found = format!("{} is not there yet", which.name());
            checks.push(Check::warning(
                "databases",
                found,
                "start the server once, or pmsgate database migrate",
            ));
        }
        None => match database::status(&house).await {
            Ok(rows) => {
                up_to_date = rows.iter().all(|row| pending(row) == 0);
                checks.extend(rows.iter().map(schema));
            }
            Err(error) => checks.push(Check::wrong(
                "databases",
                format!("{error:#}"),
                "check database.url, that the server runs, and that this account may use it",
            )),
        },
    }
    if up_to_date && checks.iter().all(|check| !matches!(check.state, State::Wrong)) {
        checks.extend(credentials(&house).await?);
    }
    checks.extend(surroundings::certificate(&house));
    checks.extend(surroundings::others(&house).await);
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

/// How many migrations of a database are pending.
fn pending(row: &Value) -> usize {
    row["pending"].as_array().map_or(0, Vec::len)
}

fn schema(row: &Value) -> Check {
    let name = if row["database"] == "authz" { "authorization database" } else { "products database" };
    match pending(row) {
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
                "{} expire within {} days, the first of {}, {}",
                expiring.len(),
                SOON.whole_days(),
                first.client.id,
                match first.days_left {
                    left @ 0.. => format!("in {left} days"),
                    left => format!("{} days ago", -left),
                }
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
    let mut checks = vec![signing, secrets, Check::ok("clients", format!("{suspended} suspended"))];
    checks.extend(people_and_messages(house, &acts).await?);
    checks.push(clock(&acts).await?);
    checks.push(trail(&acts).await?);
    Ok(checks)
}

/// Whether messages leave, and whether somebody is there to decide.
async fn people_and_messages(house: &House, acts: &UseCases) -> Result<Vec<Check>> {
    let health = acts.house_health().await?;
    let now = acts.show_clock().await?.now;
    let mail = match health.oldest_message {
        Some(oldest) if now - oldest > SLOW => Check::wrong(
            "mail",
            format!(
                "{} messages wait, the oldest for {} minutes",
                health.messages_waiting,
                (now - oldest).whole_minutes()
            ),
            "see [mail] and the log of the server: is it running, and does the mail server take messages?",
        ),
        _ if house.mails_reach_nobody() => Check::warning(
            "mail",
            "there is no mail server: mails are written into a folder and reach nobody",
            "set mail.host, and mail.username with mail.password_file where it wants them",
        ),
        _ => Check::ok("mail", format!("{} messages wait", health.messages_waiting)),
    };
    let webhooks = match health.dead_webhook_messages {
        0 => Check::ok("webhooks", "no message was given up"),
        n => Check::warning(
            "webhooks",
            format!("{n} messages were given up"),
            "see /portal/notifications: they can be sent again there",
        ),
    };
    let without = &health.without_administrators;
    let people = if health.agency_administrators == 0 {
        Check::warning(
            "administrators",
            "nobody acts for the agency",
            "pmsgate account create --agency-admin --email … --first-name … --last-name …",
        )
    } else if without.is_empty() {
        Check::ok("administrators", format!("{} of the agency", health.agency_administrators))
    } else {
        let names: Vec<String> = without.iter().map(ToString::to_string).collect();
        Check::warning(
            "administrators",
            format!("the last administrator is gone of {}", names.join(", ")),
            "somebody of the organisation asks for the role at /portal/requests/new; the agency decides",
        )
    };
    Ok(vec![mail, webhooks, people])
}

async fn clock(acts: &UseCases) -> Result<Check> {
    let view = acts.show_clock().await?;
    let seconds = view.offset.whole_seconds();
    let offset = clock_offset(seconds);
    Ok(match (seconds, view.by_command) {
        (0, _) => Check::ok("clock", "not moved"),
        (_, true) => Check::warning("clock", format!("moved by {offset}, by command"), "pmsgate clock reset"),
        (_, false) => Check::warning(
            "clock",
            format!("moved by {offset}, by sandbox_clock"),
            "remove the key sandbox_clock",
        ),
    })
}

/// The gateways' records of who read what, where there are any here.
fn read_trails(house: &House) -> Result<Check> {
    let key = ChainKey::new(&house.master_key.derive(Purpose::ReadTrail));
    let mut sound = 0;
    for (name, folder) in gateway::audit::folders(&house.read_trail_folder())? {
        let verdict = gateway::audit::verify(&folder, &key, None)?;
        if let Some(broken) = verdict.broken {
            return Ok(Check::wrong(
                "read trail",
                format!("trail {name}: {broken}"),
                "somebody changed its files by hand: compare with a backup, and find out who and why",
            ));
        }
        sound += verdict.sound;
    }
    Ok(Check::ok("read trail", format!("{sound} records, sound")))
}

async fn trail(acts: &UseCases) -> Result<Check> {
    let verdict = acts.verify_trail(None, |_| {}).await?;
    Ok(match verdict.broken {
        None => Check::ok("audit trail", format!("{} records, one sound chain", verdict.sound)),
        Some(broken) => Check::wrong(
            "audit trail",
            broken.to_string(),
            "somebody changed the database by hand: compare with a backup, and find out who and why",
        ),
    })
}
