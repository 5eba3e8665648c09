//! The development CA: made on first start in the data folder, so that TLS is on from the first request.
//!
//! Four files in `tls/`: `ca.pem`, `ca.key`, `server.pem`, `server.key`. The CA is never overwritten; the server's
//! certificate is made anew when it is about to expire or lacks a name.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    net::IpAddr,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, SanType,
};
use time::{Duration, OffsetDateTime};

const CA_LIFETIME: Duration = Duration::days(3650);
const SERVER_LIFETIME: Duration = Duration::days(397);
/// The server's certificate is replaced when it has less than this left.
const RENEW_BEFORE: Duration = Duration::days(30);

/// A certificate for this machine and the CA that vouches for it.
#[derive(Debug)]
pub(crate) struct DevelopmentTls {
    /// The CA's certificate, to be given to clients.
    pub(crate) ca_file: PathBuf,
    /// The server's chain, PEM.
    pub(crate) chain_file: PathBuf,
    /// The server's key, PEM.
    pub(crate) key_file: PathBuf,
    /// Whether the CA was made just now.
    pub(crate) made: bool,
}

/// Reads or makes what is needed for `localhost`, the loopback addresses and `host`.
pub(crate) fn load_or_create(data_dir: &Path, host: &str, now: OffsetDateTime) -> Result<DevelopmentTls> {
    let folder = data_dir.join("tls");
    make_private_folder(&folder)?;
    // Programs that start at once in one folder take turns, or one's certificate would stand beside another's key.
    let turn = fs::File::create(folder.join("lock"))?;
    turn.lock()?;
    let [ca_file, ca_key_file, chain_file, key_file, names_file] =
        ["ca.pem", "ca.key", "server.pem", "server.key", "server.names"].map(|name| folder.join(name));
    let made = !ca_file.try_exists()?;
    if made {
        let (certificate, key) = make_ca(now)?;
        write_private(&ca_key_file, key.as_bytes())?;
        write_public(&ca_file, certificate.as_bytes())?;
    }
    let names = names(host);
    let wanted = format!("{}\n", names.join(" "));
    let fresh = !made && is_fresh(&names_file, &wanted, &chain_file, &key_file, now);
    if !fresh {
        let (chain, key) = make_server(&ca_file, &ca_key_file, &names, now).with_context(|| {
            format!("the development CA in {} cannot be used; move that folder away", folder.display())
        })?;
        write_private(&key_file, key.as_bytes())?;
        write_public(&chain_file, chain.as_bytes())?;
        let until = (now + SERVER_LIFETIME).unix_timestamp();
        write_public(&names_file, format!("{wanted}{until}\n").as_bytes())?;
    }
    // `turn` is held until here, and given back when it is dropped.
    Ok(DevelopmentTls { ca_file, chain_file, key_file, made })
}

fn names(host: &str) -> Vec<String> {
    let mut names: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    if !names.iter().any(|name| name == host) {
        names.push(host.to_owned());
    }
    names
}

/// Whether the server's certificate has these names and lives long enough, by the note kept beside it.
fn is_fresh(names_file: &Path, wanted: &str, chain: &Path, key: &Path, now: OffsetDateTime) -> bool {
    let Ok(note) = fs::read_to_string(names_file) else { return false };
    let until = note.strip_prefix(wanted).and_then(|rest| rest.trim().parse::<i64>().ok());
    chain.exists() && key.exists() && until.is_some_and(|until| until > (now + RENEW_BEFORE).unix_timestamp())
}

fn make_ca(now: OffsetDateTime) -> Result<(String, String)> {
    let key = KeyPair::generate()?;
    let certificate = ca_params(now)?.self_signed(&key)?;
    Ok((certificate.pem(), key.serialize_pem()))
}

fn ca_params(now: OffsetDateTime) -> Result<CertificateParams> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name = named("pmsgate development CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = now - Duration::days(1);
    params.not_after = now + CA_LIFETIME;
    Ok(params)
}

fn make_server(ca: &Path, ca_key: &Path, names: &[String], now: OffsetDateTime) -> Result<(String, String)> {
    let ca_pem = fs::read_to_string(ca)?;
    let issuer = Issuer::from_ca_cert_pem(&ca_pem, KeyPair::from_pem(&fs::read_to_string(ca_key)?)?)?;
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name = named("pmsgate development server");
    for name in names {
        params.subject_alt_names.push(match name.parse::<IpAddr>() {
            Ok(address) => SanType::IpAddress(address),
            Err(_) => SanType::DnsName(name.as_str().try_into()?),
        });
    }
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    params.not_before = now - Duration::days(1);
    params.not_after = now + SERVER_LIFETIME;
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, &issuer)?;
    Ok((certificate.pem() + &ca_pem, key.serialize_pem()))
}

fn named(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    name
}

/// Makes a folder that only its owner can look into; an existing one is left as it is.
pub(crate) fn make_private_folder(path: &Path) -> Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).with_context(|| format!("the folder {} cannot be made", path.display()))
}

/// Writes a file that only its owner can read, whole or not at all.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> Result<()> {
    write_atomically(path, bytes, 0o600).with_context(|| format!("{} cannot be written", path.display()))
}

/// Writes a file that everybody may read, whole or not at all.
pub(crate) fn write_public(path: &Path, bytes: &[u8]) -> Result<()> {
    write_atomically(path, bytes, 0o644).with_context(|| format!("{} cannot be written", path.display()))
}

fn write_atomically(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let draft = path.with_extension(format!("draft-{}", std::process::id()));
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
    let mut file = options.open(&draft)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&draft, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: OffsetDateTime = time::macros::datetime!(2026-11-22 10:00 UTC);

    #[test]
    fn the_ca_is_made_once_and_the_certificate_follows_names_and_time() {
        let folder = tempfile::tempdir().unwrap();
        let first = load_or_create(folder.path(), "localhost", NOW).unwrap();
        assert!(first.made);
        let chain = |tls: &DevelopmentTls| fs::read(&tls.chain_file).unwrap();
        let first_chain = chain(&first);
        http_service::Certificate::new(&first_chain, &fs::read(&first.key_file).unwrap()).unwrap();
        let ca = fs::read(&first.ca_file).unwrap();

        let again = load_or_create(folder.path(), "localhost", NOW + Duration::days(1)).unwrap();
        assert!(!again.made);
        assert_eq!(chain(&again), first_chain);

        let renamed = load_or_create(folder.path(), "gate.example", NOW).unwrap();
        let renamed_chain = chain(&renamed);
        assert_ne!(renamed_chain, first_chain);
        let later = load_or_create(folder.path(), "gate.example", NOW + Duration::days(380)).unwrap();
        assert_ne!(chain(&later), renamed_chain);
        assert_eq!(fs::read(&later.ca_file).unwrap(), ca);
    }

    #[cfg(unix)]
    #[test]
    fn keys_are_for_their_owner_only() {
        use std::os::unix::fs::MetadataExt as _;
        let folder = tempfile::tempdir().unwrap();
        load_or_create(folder.path(), "localhost", NOW).unwrap();
        for name in ["ca.key", "server.key"] {
            let mode = fs::metadata(folder.path().join("tls").join(name)).unwrap().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
    }
}
