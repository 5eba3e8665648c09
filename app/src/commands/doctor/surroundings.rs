//! What the house depends on outside its folder: its certificate's time, the servers it asks, and what time it is.

use std::{collections::BTreeSet, path::PathBuf, time::Duration};

use config::TlsMode;
use database::Database;
use http::{Uri, header};
use http_service::{TlsError, certificates, valid_until};
use time::{OffsetDateTime, format_description::well_known::Rfc2822};
use tokio::{net::TcpStream, time::timeout};

use super::{Check, SOON};
use crate::{House, house::Which};

const SERVERS: &str = "other servers";
/// How long another server may take to be reached.
const PATIENCE: Duration = Duration::from_secs(3);
/// How far two clocks may differ before tokens and records suffer, in seconds. An answer tells whole ones only.
const TOLERATED: i64 = 5;

/// How long the certificate of the public listener is valid, where there is one.
pub(super) fn certificate(house: &House) -> Option<Check> {
    const NAME: &str = "certificate";
    let listen = &house.settings.listen;
    let (file, advice) = match listen.tls {
        TlsMode::Off => return None,
        TlsMode::Files => (listen.certificate_file.clone()?, "put a new one into listen.certificate_file"),
        TlsMode::Development => {
            (house.data_dir.join("tls").join("server.pem"), "start the server: it makes a new one")
        }
    };
    let read = match std::fs::read(&file) {
        Ok(pem) => certificates(&pem),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && listen.tls == TlsMode::Development => {
            return Some(Check::ok(NAME, "none yet: the first start makes one"));
        }
        Err(error) => return Some(Check::wrong(NAME, format!("{}: {error}", file.display()), advice)),
    };
    // The system's time: clients have no other.
    let now = OffsetDateTime::now_utc();
    let until = read
        .and_then(|chain| chain.first().map_or(Err(TlsError::NoCertificate), |leaf| valid_until(leaf, now)));
    Some(match until {
        Ok(until) if until - now < SOON => {
            Check::warning(NAME, format!("ends in {} days", (until - now).whole_days()), advice)
        }
        Ok(until) => Check::ok(NAME, format!("valid for {} days", (until - now).whole_days())),
        Err(error) => Check::wrong(NAME, format!("{}: {error}", file.display()), advice),
    })
}

/// Whether the servers that the configuration names can be reached, and whether their clocks and the database's agree with
/// this machine's.
pub(super) async fn others(house: &House) -> Vec<Check> {
    let mut told = Vec::new();
    let (mut unreached, mut own_unreached) = (Vec::new(), Vec::new());
    let named = named(house);
    for server in &named {
        match ask(server, house.settings.gateway.ca_file.as_ref()).await {
            Ok(date) => told.extend(date.map(|date| (server.shown(), date - OffsetDateTime::now_utc()))),
            Err(error) if server.is_backend_of(house) => {
                own_unreached.push(format!("{}: {error}", server.shown()));
            }
            Err(error) => unreached.push(format!("{}: {error}", server.shown())),
        }
    }
    // A file has no clock, and opening one that is not there would make it.
    if house.database_file(Which::Authz).is_none()
        && let Ok(database @ Database::Postgres(_)) = house.connect(Which::Authz).await
        && let Ok(time) = database.server_time().await
    {
        told.push(("the database".to_owned(), time - OffsetDateTime::now_utc()));
    }
    let servers = if named.is_empty() {
        Check::ok(SERVERS, "none is named: everything runs in one program")
    } else if !unreached.is_empty() {
        unreached.extend(own_unreached);
        Check::wrong(
            SERVERS,
            unreached.join("; "),
            "start it, or correct gateway.authz_url, gateway.backend_url, gateway.limits_url, or upstreams of the product",
        )
    } else if !own_unreached.is_empty() {
        Check::warning(
            SERVERS,
            format!("{}; it is this configuration's own backend", own_unreached.join("; ")),
            "nothing, when `pmsgate serve` runs all parts in one program; else start `pmsgate serve backend`",
        )
    } else {
        Check::ok(SERVERS, format!("{} can be reached", named.len()))
    };
    let farthest = told.iter().max_by_key(|(_, skew)| skew.whole_seconds().abs());
    let skew = match farthest {
        None => Check::ok("clock skew", "nobody to compare with"),
        Some((name, skew)) if skew.whole_seconds().abs() > TOLERATED => Check::warning(
            "clock skew",
            format!("the clock of {name} is {:+} seconds from this machine's", skew.whole_seconds()),
            "let both machines follow a time server (NTP): tokens are refused when clocks differ",
        ),
        Some(_) => Check::ok("clock skew", format!("{} clocks agree with this machine's", told.len())),
    };
    vec![servers, skew]
}

/// Servers that this house asks and does not run itself, as far as its configuration says so.
fn named(house: &House) -> BTreeSet<Server> {
    let section = &house.settings.gateway;
    let default = config::Settings::default().gateway;
    let products = house.products().iter().flat_map(|product| product.upstreams.iter().cloned());
    let backend = Some(&section.backend_url).filter(|url| **url != default.backend_url).cloned();
    let limits = section.limits_url.clone();
    let all = products.chain(section.authz_url.clone()).chain(backend).chain(limits);
    all.filter_map(|url| Server::named_by(&url)).collect()
}

/// A server by its address. Passwords of a URL are left behind.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Server {
    scheme: String,
    host: String,
    port: u16,
}

impl Server {
    /// URLs were read with the configuration; one that names no host has been refused there.
    fn named_by(url: &str) -> Option<Self> {
        let uri: Uri = url.parse().ok()?;
        let scheme = uri.scheme_str()?.to_owned();
        let usual = match scheme.as_str() {
            "https" => 443,
            "redis" | "rediss" => 6379,
            _ => 80,
        };
        let host = uri.host()?.trim_matches(['[', ']']).to_owned();
        Some(Self { port: uri.port_u16().unwrap_or(usual), host, scheme })
    }

    fn shown(&self) -> String {
        let Self { scheme, host, port } = self;
        if host.contains(':') {
            format!("{scheme}://[{host}]:{port}")
        } else {
            format!("{scheme}://{host}:{port}")
        }
    }

    /// Whether it is where the backend of this configuration listens when it runs apart.
    fn is_backend_of(&self, house: &House) -> bool {
        let own = house.settings.backend.address;
        let same = self.host == "localhost" || self.host.parse() == Ok(own.ip());
        same && self.port == own.port()
    }
}

/// Connects to a server. Where that shows nothing secret and needs no keys, it asks what time it is there, too.
async fn ask(server: &Server, ca_file: Option<&PathBuf>) -> anyhow::Result<Option<OffsetDateTime>> {
    timeout(PATIENCE, TcpStream::connect((server.host.as_str(), server.port)))
        .await
        .map_err(|_| anyhow::anyhow!("no answer within {} seconds", PATIENCE.as_secs()))??;
    if !server.scheme.starts_with("http") {
        return Ok(None);
    }
    let mut client = reqwest::Client::builder().no_proxy().timeout(PATIENCE);
    if let Some(certificate) =
        ca_file.and_then(|file| reqwest::Certificate::from_pem(&std::fs::read(file).ok()?).ok())
    {
        client = client.tls_certs_merge([certificate]);
    }
    // A server that shows its certificate to others only is reached all the same.
    let Ok(answer) = client.build()?.head(server.shown()).send().await else { return Ok(None) };
    let date = answer.headers().get(header::DATE).and_then(|date| date.to_str().ok());
    // HTTP's form of a date is one of mail's, but for the name of the zone (RFC 9110 §5.6.7).
    Ok(date.and_then(|date| OffsetDateTime::parse(&date.replace("GMT", "+0000"), &Rfc2822).ok()))
}
