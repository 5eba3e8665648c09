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
    let mut unreached = Vec::new();
    let named = named(house);
    for address in &named {
        match ask(address, house.settings.gateway.ca_file.as_ref()).await {
            Ok(date) => told.extend(date.map(|date| (address.clone(), date - OffsetDateTime::now_utc()))),
            Err(error) => unreached.push(format!("{address}: {error}")),
        }
    }
    if let Ok(database @ Database::Postgres(_)) = house.connect(Which::Authz).await
        && let Ok(time) = database.server_time().await
    {
        told.push(("the database".to_owned(), time - OffsetDateTime::now_utc()));
    }
    let servers = match (named.len(), unreached.is_empty()) {
        (0, _) => Check::ok("other servers", "none is named: everything runs in one program"),
        (count, true) => Check::ok("other servers", format!("{count} can be reached")),
        (_, false) => Check::wrong(
            "other servers",
            unreached.join("; "),
            "start it, or correct gateway.authz_url, gateway.backend_url, or upstreams of the product",
        ),
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
fn named(house: &House) -> BTreeSet<String> {
    let section = &house.settings.gateway;
    let default = config::Settings::default().gateway;
    let products = house.products().iter().flat_map(|product| product.upstreams.iter().cloned());
    let backend = Some(&section.backend_url).filter(|url| **url != default.backend_url).cloned();
    products.chain(section.authz_url.clone()).chain(backend).collect()
}

/// Connects to a server. Where that shows nothing secret and needs no keys, it asks what time it is there, too.
async fn ask(address: &str, ca_file: Option<&PathBuf>) -> anyhow::Result<Option<OffsetDateTime>> {
    let uri: Uri = address.parse()?;
    let (host, tls) = (uri.host().unwrap_or_default(), uri.scheme_str() == Some("https"));
    let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
    timeout(PATIENCE, TcpStream::connect((host.trim_matches(['[', ']']), port)))
        .await
        .map_err(|_| anyhow::anyhow!("no answer within {} seconds", PATIENCE.as_secs()))??;
    let mut client = reqwest::Client::builder().no_proxy().timeout(PATIENCE);
    if let Some(certificate) =
        ca_file.and_then(|file| reqwest::Certificate::from_pem(&std::fs::read(file).ok()?).ok())
    {
        client = client.tls_certs_merge([certificate]);
    }
    // A server that shows its certificate to others only is reached all the same.
    let Ok(answer) = client.build()?.head(address).send().await else { return Ok(None) };
    let date = answer.headers().get(header::DATE).and_then(|date| date.to_str().ok());
    // HTTP's form of a date is one of mail's, but for the name of the zone (RFC 9110 §5.6.7).
    Ok(date.and_then(|date| OffsetDateTime::parse(&date.replace("GMT", "+0000"), &Rfc2822).ok()))
}
