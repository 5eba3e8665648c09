//! Our own parts under measurement, each a process of its own, in plain HTTP as the peers are.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::http;
use super::server::{Server, free_address};
use crate::command;

/// Opens nothing but the databases of one benchmark run.
const MASTER_KEY: &str = "5f1d7c0a92e84b36a1c5d08f3e7b6942c8f0a1d35b7e9642038c4fd1ba65e7f9";

/// The demo's industry organisations; the seeds' limit of clients an organisation is far above what is made here.
const ORGANISATIONS: [&str; 2] = ["ORG-100000001", "ORG-100000002"];

/// Limits that count every request and refuse none.
const LIMITS: &str = "\
[[limit]]
burst = 100_000_000
per_minute = 1_000_000_000
per_day = 100_000_000_000

[address]
burst = 100_000_000
per_minute = 1_000_000_000
";

/// How long `serve all` rests before its memory is read.
const REST: Duration = Duration::from_secs(3);

/// What `serve all` with demo data needs before any load.
#[derive(Debug, Serialize)]
pub(super) struct Footprint {
    /// From the start of the process to the ready file, with nothing there: databases, keys, demo data are made.
    pub(super) first_start_seconds: f64,
    /// The same with everything there.
    pub(super) start_seconds: f64,
    pub(super) idle_bytes: u64,
}

/// Starts everything in one process twice and looks at it.
pub(super) fn footprint(program: &Path, folder: &Path) -> Result<Footprint> {
    fs::create_dir_all(folder)?;
    let mut starts = [0.0, 0.0];
    let mut idle_bytes = 0;
    for (index, seconds) in starts.iter_mut().enumerate() {
        let ready = folder.join(format!("ready-{index}.json"));
        let mut serve = Command::new(program);
        serve.args([
            "serve",
            "all",
            "--listen",
            "127.0.0.1:0",
            "--admin-listen",
            "127.0.0.1:0",
            "--data-dir",
        ]);
        serve.arg(folder.join("data")).arg("--ready-file").arg(&ready);
        serve.env("PMSGATE_MASTER_KEY", MASTER_KEY);
        let started = Instant::now();
        let mut server = Server::start("serve all", &serve, &folder.join(format!("serve-{index}.log")))?;
        server.wait_for_file(&ready)?;
        *seconds = started.elapsed().as_secs_f64();
        if index == 1 {
            thread::sleep(REST);
            idle_bytes = server.resident()?;
        }
    }
    let [first_start_seconds, start_seconds] = starts;
    Ok(Footprint { first_start_seconds, start_seconds, idle_bytes })
}

/// What `client create` prints.
#[derive(Debug, Deserialize)]
pub(super) struct Client {
    #[serde(rename = "client_id")]
    id: String,
    #[serde(rename = "client_secret")]
    secret: String,
    scope: String,
}

impl Client {
    /// The form that asks for a token.
    pub(super) fn token_form(&self) -> String {
        let Self { id, secret, scope } = self;
        let scope = scope.replace(':', "%3A").replace('/', "%2F").replace(' ', "+");
        format!("grant_type=client_credentials&client_id={id}&client_secret={secret}&scope={scope}")
    }
}

/// A data folder and what all processes that share it are told.
pub(super) struct House {
    program: PathBuf,
    folder: PathBuf,
    environment: Vec<(String, String)>,
}

/// An authorization server and where it listens.
pub(super) struct Authz {
    pub(super) server: Server,
    pub(super) address: SocketAddr,
}

impl House {
    /// A house whose authorization server signs with the algorithm.
    pub(super) fn new(program: &Path, folder: PathBuf, algorithm: &str, issuer: SocketAddr) -> Result<Self> {
        fs::create_dir_all(&folder)?;
        let limits = folder.join("limits.toml");
        fs::write(&limits, LIMITS)?;
        let environment = [
            ("PMSGATE__DATA__LIMITS", limits.display().to_string()),
            ("PMSGATE_MASTER_KEY", MASTER_KEY.to_owned()),
            ("PMSGATE__LISTEN__TLS", "off".to_owned()),
            ("PMSGATE__LISTEN__DRAIN_TIMEOUT", "1s".to_owned()),
            ("PMSGATE__TELEMETRY__LOG", "warn".to_owned()),
            // As the others are measured: nothing is written for a request.
            ("PMSGATE__AUDIT__READS", "false".to_owned()),
            ("PMSGATE__TOKENS__ALGORITHM", algorithm.to_owned()),
            ("PMSGATE__TOKENS__ISSUER", format!("http://{issuer}")),
            // An expired token is then refused at once, not a minute later.
            ("PMSGATE__GATEWAY__CLOCK_SKEW", "0s".to_owned()),
            ("PMSGATE__GATEWAY__AUTHZ_URL", format!("http://{issuer}")),
        ];
        let environment = environment.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Ok(Self { program: program.to_owned(), folder, environment })
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(arguments).arg("--data-dir").arg(self.folder.join("data"));
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Starts one part at an address and waits until it says it is ready.
    fn serve(
        &self,
        part: &str,
        name: &str,
        address: SocketAddr,
        settings: &[(&str, String)],
    ) -> Result<Server> {
        let ready = self.folder.join(format!("{name}.ready.json"));
        let listen = address.to_string();
        let mut serve = self.command(&["serve", part, "--listen", &listen, "--admin-listen", "127.0.0.1:0"]);
        serve.arg("--ready-file").arg(&ready);
        serve.env("PMSGATE__LISTEN__BASE_URL", format!("http://{address}"));
        serve.envs(settings.iter().map(|(name, value)| (name, value)));
        let mut server = Server::start(name, &serve, &self.folder.join(format!("{name}.log")))?;
        server.wait_for_file(&ready)?;
        Ok(server)
    }

    /// `serve authz`.
    pub(super) fn authz(
        &self,
        name: &str,
        address: SocketAddr,
        settings: &[(&str, String)],
    ) -> Result<Authz> {
        Ok(Authz { server: self.serve("authz", name, address, settings)?, address })
    }

    /// `serve backend`.
    pub(super) fn backend(&self, address: SocketAddr) -> Result<Server> {
        let mut server =
            self.serve("backend", "backend", address, &[("PMSGATE__BACKEND__ADDRESS", address.to_string())])?;
        server.wait_for_listener(address)?;
        Ok(server)
    }

    /// `serve gateway` in front of an upstream.
    pub(super) fn gateway(
        &self,
        name: &str,
        upstream: SocketAddr,
        settings: &[(&str, String)],
    ) -> Result<(Server, SocketAddr)> {
        let address = free_address()?;
        let mut settings = settings.to_vec();
        settings.push(("PMSGATE__GATEWAY__BACKEND_URL", format!("http://{upstream}")));
        Ok((self.serve("gateway", name, address, &settings)?, address))
    }

    /// New clients, in turn for one and the other organisation.
    pub(super) fn clients(&self, count: usize) -> Result<Vec<Client>> {
        ORGANISATIONS
            .iter()
            .cycle()
            .take(count)
            .map(|organisation| {
                let printed = command::stdout_of(&mut self.command(&[
                    "client",
                    "create",
                    "--organisation",
                    organisation,
                    "--role",
                    "pms-industry-api",
                    "--format",
                    "json",
                ]))?;
                serde_json::from_str(&printed).with_context(|| format!("`client create` printed {printed}"))
            })
            .collect()
    }
}

impl Authz {
    /// One access token.
    pub(super) fn token(&self, client: &Client) -> Result<String> {
        let answer = http::post_form(self.address, "/oauth2/token", &client.token_form())?;
        let body = answer.json()?;
        let Some(token) = body["access_token"].as_str() else { bail!("no token: {} {body}", answer.status) };
        Ok(token.to_owned())
    }

    /// Tokens of the clients in turn.
    pub(super) fn tokens(&self, clients: &[Client], count: usize) -> Result<Vec<String>> {
        clients.iter().cycle().take(count).map(|client| self.token(client)).collect()
    }

    /// The published key that signed the token.
    pub(super) fn key_of(&self, token: &str) -> Result<Value> {
        let header = decode_part(token, 0)?;
        let set = http::get(self.address, "/oauth2/jwks", "")?.json()?;
        let keys = set["keys"].as_array().context("no keys published")?;
        keys.iter()
            .find(|key| key["kid"] == header["kid"])
            .cloned()
            .context("the token's key is not published")
    }
}

/// Header (0) or claims (1) of a token.
pub(super) fn decode_part(token: &str, part: usize) -> Result<Value> {
    use base64::Engine as _;
    let text = token.split('.').nth(part).context("not a JWT")?;
    let json = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(text).context("not base64url")?;
    serde_json::from_slice(&json).context("not JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scope_is_form_encoded() {
        let client = Client {
            id: "c".to_owned(),
            secret: "s".to_owned(),
            scope: "api://pmsgate/pms/.default".to_owned(),
        };
        assert_eq!(
            client.token_form(),
            "grant_type=client_credentials&client_id=c&client_secret=s&scope=api%3A%2F%2Fpmsgate%2Fpms%2F.default"
        );
    }

    #[test]
    fn claims_are_read_without_a_key() {
        assert_eq!(decode_part("eyJhbGciOiJFUzI1NiJ9.e30.c2ln", 0).unwrap()["alg"], "ES256");
        assert!(decode_part("nonsense", 1).is_err());
    }
}
