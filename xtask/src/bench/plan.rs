//! What is measured: the servers that run during the benchmark and the rows of its table.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::house::{Authz, Client, House, decode_part};
use super::load::{self, Load};
use super::peers::{LARGE_ID, PRODUCT_ID, PRODUCTS, Peers};
use super::procfs;
use super::report::Sample;
use super::server::{Server, free_address};
use super::{http, tap::Tap};
use crate::workspace::Workspace;

/// Clients whose tokens come in turn, and tokens in all.
const CLIENTS: usize = 10;
const TOKENS: usize = 100;
/// Tokens in turn where there are many: as many as a gateway is to know at once.
const MANY_TOKENS: usize = 10_000;

/// Names of rows that others are compared with.
pub(super) const NGINX: &str = "nginx proxy_pass, no checks";
pub(super) const HAPROXY_RS256: &str = "HAProxy RS256, 100 tokens";
pub(super) const HAPROXY_ES256: &str = "HAProxy ES256, 100 tokens";
/// Names of rows that bars are set for.
pub(super) const TOKEN_ES256: &str = "token ES256";
pub(super) const TOKEN_RS256: &str = "token RS256";
pub(super) const READ_KNOWN: &str = "gateway read, 1 token";
pub(super) const READ_ROTATING: &str = "gateway read, 100 tokens";
pub(super) const READ_MANY: &str = "gateway read, 10,000 tokens";
pub(super) const READ_LARGE: &str = "gateway read, 100 kB";
pub(super) const PAGE_LARGE: &str = "gateway page of 100 kB, links rewritten";
pub(super) const SEARCH: &str = "gateway search, 100 tokens";
pub(super) const READ_NEW: &str = "gateway read, every token new";
pub(super) const REFUSED_NO_TOKEN: &str = "gateway refuses: no token";
pub(super) const REFUSED_GARBAGE: &str = "gateway refuses: garbage";
pub(super) const REFUSED_FORGED: &str = "gateway refuses: forged signature";
pub(super) const REFUSED_EXPIRED: &str = "gateway refuses: expired token";
pub(super) const BACKEND_READ: &str = "backend read, direct";
pub(super) const BACKEND_SEARCH: &str = "backend search page of 10, direct";

/// One row of the table.
pub(super) struct Row {
    pub(super) name: String,
    address: SocketAddr,
    method: &'static str,
    target: String,
    headers: Headers,
    body: String,
    /// The server whose processor time is the row's.
    charged: usize,
    /// The server behind it, whose time is told separately.
    behind: Option<usize>,
    /// Whether every answer must be a refusal; otherwise none may be.
    refused: bool,
    /// Before this it would be answered otherwise.
    not_before: Option<Instant>,
}

/// Header lines of the variants that come in turn.
enum Headers {
    Fixed(Vec<String>),
    /// The caller context that the tap's gateway signs for this request, fresh for each round: it lives half a minute.
    Context {
        token: String,
    },
}

/// Everything that runs.
pub(super) struct Plan {
    folder: PathBuf,
    servers: Vec<Server>,
    rows: Vec<Row>,
    tap: Tap,
    /// The gateway in front of the tap.
    tapped: SocketAddr,
    remarks: Vec<String>,
}

/// Starts all servers and asks each row's question once. `quick` leaves out what takes a minute to prepare.
pub(super) fn prepare(workspace: &Workspace, program: &Path, folder: &Path, quick: bool) -> Result<Plan> {
    let es256_address = free_address()?;
    let es256_house = House::new(program, folder.join("es256"), "ES256", es256_address)?;
    let es256 = es256_house.authz("authz-ES256", es256_address, &[])?;
    let rs256_address = free_address()?;
    let rs256_house = House::new(program, folder.join("rs256"), "RS256", rs256_address)?;
    let rs256 = rs256_house.authz("authz-RS256", rs256_address, &[])?;
    let clients = es256_house.clients(CLIENTS)?;
    let first = clients.first().context("no client")?;
    let expiring = if quick { None } else { Some(expiring_token(&es256_house, first)?) };
    let tokens = es256.tokens(&clients, TOKENS)?;
    let many_tokens = if quick { Vec::new() } else { es256.tokens(&clients, MANY_TOKENS)? };
    let rs256_clients = rs256_house.clients(CLIENTS)?;
    let rs256_tokens = rs256.tokens(&rs256_clients, TOKENS)?;

    let tap = Tap::start()?;
    let mut plan = Plan {
        folder: folder.to_owned(),
        servers: Vec::new(),
        rows: Vec::new(),
        tapped: tap.address(),
        tap,
        remarks: Vec::new(),
    };
    let peers = Peers::find(workspace.root(), folder);
    plan.remarks.extend(peers.remarks());

    let form = first.token_form();
    let rs256_form = rs256_clients.first().context("no client")?.token_form();
    if peers.has_nginx() {
        let (server, upstream) = peers.static_upstream()?;
        let behind = plan.add_server(server);
        plan.add_row(
            "upstream alone (nginx, static 4 kB)",
            upstream,
            &read_target(),
            anonymous(),
            behind,
            None,
        );
        plan.add_proxies(&peers, upstream, behind, (&es256, &tokens), (&rs256, &rs256_tokens))?;
        plan.add_gateway(&es256_house, (upstream, behind), &tokens, &many_tokens, expiring)?;
    }
    plan.add_house(&es256_house, &tokens)?;
    let charged = plan.add_server(es256.server);
    plan.add_token_row(TOKEN_ES256, es256.address, form, charged);
    let charged = plan.add_server(rs256.server);
    plan.add_token_row(TOKEN_RS256, rs256.address, rs256_form, charged);

    for row in plan.rows.iter().filter(|row| row.not_before.is_none()) {
        plan.probe(row)?;
    }
    // Each of many tokens is judged once before: the row is about tokens that are known.
    if let Some(row) = plan.rows.iter().find(|row| row.name == READ_MANY) {
        for lines in plan.variants(row)? {
            http::get(row.address, &row.target, &(lines.replace('\t', "\r\n") + "\r\n"))?;
        }
    }
    Ok(plan)
}

impl Plan {
    pub(super) fn rows(&self) -> &[Row] {
        &self.rows
    }

    pub(super) fn remarks(&self) -> Vec<String> {
        self.remarks.clone()
    }

    /// Resident memory of the server that a row is charged to, in bytes.
    pub(super) fn resident(&self, row: &Row) -> Result<u64> {
        self.servers.get(row.charged).context("no such server")?.resident()
    }

    fn add_server(&mut self, server: Server) -> usize {
        self.servers.push(server);
        self.servers.len() - 1
    }

    /// A `GET` that is answered.
    fn add_row(
        &mut self,
        name: &str,
        address: SocketAddr,
        target: &str,
        headers: Headers,
        charged: usize,
        behind: Option<usize>,
    ) {
        self.rows.push(Row {
            name: name.to_owned(),
            address,
            method: "GET",
            target: target.to_owned(),
            headers,
            body: String::new(),
            charged,
            behind,
            refused: false,
            not_before: None,
        });
    }

    fn add_token_row(&mut self, name: &str, address: SocketAddr, form: String, charged: usize) {
        let headers = Headers::Fixed(vec!["Content-Type: application/x-www-form-urlencoded".to_owned()]);
        self.add_row(name, address, "/oauth2/token", headers, charged, None);
        if let Some(row) = self.rows.last_mut() {
            row.method = "POST";
            row.body = form;
        }
    }

    fn add_proxies(
        &mut self,
        peers: &Peers,
        upstream: SocketAddr,
        behind: usize,
        es256: (&Authz, &[String]),
        rs256: (&Authz, &[String]),
    ) -> Result<()> {
        let (server, address) = peers.plain_proxy(upstream)?;
        let charged = self.add_server(server);
        self.add_row(NGINX, address, &read_target(), bearing(es256.1), charged, Some(behind));
        if !peers.has_haproxy() {
            return Ok(());
        }
        for (name, algorithm, (authz, tokens)) in
            [(HAPROXY_RS256, "RS256", rs256), (HAPROXY_ES256, "ES256", es256)]
        {
            let token = tokens.first().context("no token")?;
            let (server, address) =
                peers.checking_proxy(upstream, &authz.key_of(token)?, &decode_part(token, 1)?, algorithm)?;
            let charged = self.add_server(server);
            self.add_row(name, address, &read_target(), bearing(tokens), charged, Some(behind));
        }
        Ok(())
    }

    /// Our gateway in front of the static upstream: what the peers do, and refusals.
    fn add_gateway(
        &mut self,
        house: &House,
        (upstream, behind): (SocketAddr, usize),
        tokens: &[String],
        many_tokens: &[String],
        expiring: Option<(String, Instant)>,
    ) -> Result<()> {
        let (server, address) = house.gateway("gateway-static", upstream, &[])?;
        let charged = self.add_server(server);
        let first = tokens.first().context("no token")?;
        let one = || bearing(std::slice::from_ref(first));
        self.add_row(READ_KNOWN, address, &read_target(), one(), charged, Some(behind));
        self.add_row(READ_ROTATING, address, &read_target(), bearing(tokens), charged, Some(behind));
        if !many_tokens.is_empty() {
            self.add_row(READ_MANY, address, &read_target(), bearing(many_tokens), charged, Some(behind));
        }
        self.add_row(SEARCH, address, &search_target(), bearing(tokens), charged, Some(behind));
        let large = format!("{PRODUCTS}/{LARGE_ID}");
        self.add_row(READ_LARGE, address, &large, bearing(tokens), charged, Some(behind));
        let large = format!("{PRODUCTS}?_count=100");
        self.add_row(PAGE_LARGE, address, &large, bearing(tokens), charged, Some(behind));
        let mut refusals = vec![
            (REFUSED_NO_TOKEN, anonymous(), None),
            (REFUSED_GARBAGE, bearing(&["garbage".to_owned()]), None),
            (REFUSED_FORGED, bearing(&[forged(first)?]), None),
        ];
        refusals.extend(expiring.map(|(token, at)| (REFUSED_EXPIRED, bearing(&[token]), Some(at))));
        for (name, headers, not_before) in refusals {
            self.add_row(name, address, &read_target(), headers, charged, None);
            if let Some(row) = self.rows.last_mut() {
                row.refused = true;
                row.not_before = not_before;
            }
        }
        // Records each read, as is the default; the static upstream says nothing of what it discloses.
        let recording = [("PMSGATE__AUDIT__READS", "true".to_owned())];
        let (server, recorded) = house.gateway("gateway-recording", upstream, &recording)?;
        let charged = self.add_server(server);
        let name = "gateway read, recorded, 100 tokens";
        self.add_row(name, recorded, &read_target(), bearing(tokens), charged, Some(behind));
        // Remembers no verdict, so that each request checks its token anew.
        let forgetful = [("PMSGATE__GATEWAY__TOKEN_CACHE", "0".to_owned())];
        let (server, address) = house.gateway("gateway-forgetful", upstream, &forgetful)?;
        let charged = self.add_server(server);
        self.add_row(READ_NEW, address, &read_target(), bearing(tokens), charged, Some(behind));
        Ok(())
    }

    /// Our gateway in front of our backend, and the backend alone.
    fn add_house(&mut self, house: &House, tokens: &[String]) -> Result<()> {
        let address = free_address()?;
        let backend = self.add_server(house.backend(address)?);
        let (server, gateway) = house.gateway("gateway-backend", address, &[])?;
        let charged = self.add_server(server);
        let first = tokens.first().context("no token")?;
        let id = some_product(gateway, first)?;
        let read = format!("{PRODUCTS}/{id}");
        let name = "gateway and backend: read";
        self.add_row(name, gateway, &read, bearing(tokens), charged, Some(backend));
        let name = "gateway and backend: page of 10";
        self.add_row(name, gateway, &search_target(), bearing(tokens), charged, Some(backend));

        // The first to ask of each class is answered by the backend, which tells when to ask again.
        let keeping = [("PMSGATE__GATEWAY__RESPONSE_CACHE_BYTES", "16777216".to_owned())];
        let (server, cached) = house.gateway("gateway-keeping", address, &keeping)?;
        let charged = self.add_server(server);
        self.add_row("gateway read, cached", cached, &read, bearing(tokens), charged, Some(backend));

        let (server, tapped) = house.gateway("gateway-tapped", self.tap.address(), &[])?;
        self.add_server(server);
        self.tapped = tapped;
        for (name, target) in [(BACKEND_READ, &read), (BACKEND_SEARCH, &search_target())] {
            let headers = Headers::Context { token: first.clone() };
            self.add_row(name, address, target, headers, backend, None);
        }
        Ok(())
    }

    /// The header lines of all variants, now.
    fn variants(&self, row: &Row) -> Result<Vec<String>> {
        match &row.headers {
            Headers::Fixed(variants) => Ok(variants.clone()),
            Headers::Context { token } => {
                let headers = format!("Authorization: Bearer {token}\r\n");
                // What the gateway makes of the tap's answer does not matter here.
                let ask = || http::get(self.tapped, &row.target, &headers).map(drop);
                Ok(vec![format!("x-pmsgate-caller: {}", self.tap.context_of(ask)?)])
            }
        }
    }

    /// Asks once and looks at the status: a load of wrong answers measures nothing.
    fn probe(&self, row: &Row) -> Result<()> {
        let answer = if row.method == "POST" {
            http::post_form(row.address, &row.target, &row.body)?
        } else {
            let variants = self.variants(row)?;
            let headers =
                variants.first().map(|lines| lines.replace('\t', "\r\n") + "\r\n").unwrap_or_default();
            http::get(row.address, &row.target, &headers)?
        };
        let expected = if row.refused { 401 } else { 200 };
        if answer.status != expected {
            let body = String::from_utf8_lossy(&answer.body).into_owned();
            bail!("{}: answered {} instead of {expected}: {body}", row.name, answer.status);
        }
        Ok(())
    }

    /// One round of one row.
    pub(super) fn measure(&self, row: &Row, wrk: &Path, root: &Path, duration: Duration) -> Result<Sample> {
        if let Some(instant) = row.not_before {
            thread::sleep(instant.saturating_duration_since(Instant::now()));
            self.probe(row)?;
        }
        let variants = self.variants(row)?;
        let load = Load {
            method: row.method,
            base_url: format!("http://{}", row.address),
            target: &row.target,
            variants: &variants,
            body: &row.body,
        };
        let before = self.clocks(row)?;
        let counted = load::run(wrk, root, &self.folder, &load, duration)?;
        let after = self.clocks(row)?;

        let wrong = if row.refused { counted.requests.abs_diff(counted.refused) } else { counted.refused };
        if wrong > 0 {
            bail!("{}: {wrong} of {} answers had the wrong status", row.name, counted.requests);
        }
        let tick = procfs::tick().as_secs_f64();
        let seconds = |after: u64, before: u64| to_f64(after.saturating_sub(before)) * tick;
        let busy = seconds(after.machine.busy, before.machine.busy);
        let total = seconds(after.machine.total, before.machine.total);
        let ours = seconds(after.all + after.own, before.all + before.own);
        Ok(Sample {
            requests: counted.requests,
            seconds: to_f64(counted.microseconds) / 1e6,
            cpu_seconds: seconds(after.charged, before.charged),
            behind_cpu_seconds: row.behind.map(|_| seconds(after.behind, before.behind)),
            p50_milliseconds: counted.p50_microseconds / 1e3,
            p99_milliseconds: counted.p99_microseconds / 1e3,
            broken: counted.broken,
            foreign_share: ((busy - ours) / total).max(0.0),
        })
    }

    fn clocks(&self, row: &Row) -> Result<Clocks> {
        let mut all = 0;
        let mut each = Vec::with_capacity(self.servers.len());
        for server in &self.servers {
            let ticks = server.ticks()?;
            all += ticks;
            each.push(ticks);
        }
        let of = |index: usize| each.get(index).copied().unwrap_or(0);
        Ok(Clocks {
            machine: procfs::machine()?,
            own: procfs::own_ticks(),
            all,
            charged: of(row.charged),
            behind: row.behind.map_or(0, of),
        })
    }
}

/// Processor time so far, in clock ticks.
struct Clocks {
    machine: procfs::Machine,
    /// Ours and the load's.
    own: u64,
    /// All servers'.
    all: u64,
    charged: u64,
    behind: u64,
}

/// A token with the shortest lifetime there is, and when it will have expired.
fn expiring_token(house: &House, client: &Client) -> Result<(String, Instant)> {
    let short_lived = [("PMSGATE__TOKENS__LIFETIME", "1m".to_owned())];
    let authz = house.authz("authz-short-lived", free_address()?, &short_lived)?;
    Ok((authz.token(client)?, Instant::now() + Duration::from_secs(62)))
}

fn anonymous() -> Headers {
    Headers::Fixed(vec!["Accept: application/fhir+json".to_owned()])
}

fn bearing(tokens: &[String]) -> Headers {
    let line = |token| format!("Accept: application/fhir+json\tAuthorization: Bearer {token}");
    Headers::Fixed(tokens.iter().map(line).collect())
}

/// The same claims under a signature that is well-formed and does not fit: refusing it takes a whole verification.
fn forged(token: &str) -> Result<String> {
    let (signed, signature) = token.rsplit_once('.').context("not a JWT")?;
    // Neither end: the first byte may push the number out of its range, the last letter holds unused bits.
    let (start, rest) = signature.split_at_checked(8).context("a short signature")?;
    let other = if rest.starts_with('A') { 'B' } else { 'A' };
    Ok(format!("{signed}.{start}{other}{}", rest.get(1..).unwrap_or_default()))
}

fn read_target() -> String {
    format!("{PRODUCTS}/{PRODUCT_ID}")
}

fn search_target() -> String {
    format!("{PRODUCTS}?_count=10")
}

/// The id of a product that the token's owner may see.
fn some_product(gateway: SocketAddr, token: &str) -> Result<String> {
    let headers = format!("Authorization: Bearer {token}\r\nAccept: application/fhir+json\r\n");
    let bundle = http::get(gateway, &search_target(), &headers)?.json()?;
    let id = bundle["entry"][0]["resource"]["id"].as_str();
    id.map(str::to_owned).with_context(|| format!("no product in the demo data: {bundle}"))
}

#[expect(clippy::cast_precision_loss, reason = "counts of one benchmark stay far below 2^52")]
fn to_f64(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forged_token_differs_in_one_letter_of_its_signature() {
        let token = format!("e30.e30.{}", "A".repeat(86));
        let forged = forged(&token).unwrap();
        assert_eq!(forged.len(), token.len());
        assert_eq!(forged.bytes().zip(token.bytes()).filter(|(new, old)| new != old).count(), 1);
        assert!(super::forged("e30.e30.AA").is_err());
    }
}
