//! The command tree: what can be typed. What each command does is in `commands/`.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use config::{ClockOffset, Span};
use pms_terms::{Domain, OrganisationId};

use crate::output::OutputFormat;

/// Machine-to-machine access to medicinal-product data: credentials, tokens, and a FHIR gateway.
#[derive(Debug, Parser)]
#[command(
    name = "pmsgate",
    version,
    max_term_width = 110,
    after_help = "Without a command, `serve all` runs. Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 78 wrong configuration.\n\n\
Examples:\n  \
  pmsgate                                  everything on https://localhost:8443, with demo data\n  \
  pmsgate client create --organisation ORG-100000001 --role pms-industry-api --label 'ERP link'\n  \
  pmsgate client rotate CLIENT_ID\n  \
  pmsgate products import products/*.json\n  \
  pmsgate products generate --count 20000 --seed 7\n  \
  pmsgate doctor"
)]
pub struct Cli {
    /// What applies to every command.
    #[command(flatten)]
    pub common: Common,
    /// What to do.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// Options of every command.
#[derive(Clone, Debug, Args)]
pub struct Common {
    /// Configuration file (TOML); without one the defaults start a sandbox on loopback.
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Folder for the embedded database, keys and certificates.
    #[arg(long, global = true, value_name = "DIR", default_value = "pmsgate-data")]
    pub data_dir: PathBuf,
    /// How results are printed. Default: table on a terminal, json elsewhere.
    #[arg(long, global = true, value_enum)]
    pub format: Option<OutputFormat>,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run everything, or one part.
    Serve(Serve),
    /// API clients and their secrets.
    #[command(subcommand)]
    Client(ClientCommand),
    /// Credentials over all clients.
    #[command(subcommand)]
    Credentials(CredentialsCommand),
    /// Organisations and their locations.
    #[command(subcommand)]
    Organisation(OrganisationCommand),
    /// Accounts of people at the portal.
    #[command(subcommand)]
    Account(AccountCommand),
    /// Medicinal products.
    #[command(subcommand)]
    Products(ProductsCommand),
    /// Say which rule decides what a client would see of a product, element by element.
    #[command(
        after_help = "Example:\n  pmsgate explain --client CLIENT_ID GET /pms/api/v3/MedicinalProductDefinition/600000900001"
    )]
    Explain {
        /// The client.
        #[arg(long, value_name = "CLIENT_ID")]
        client: String,
        /// The HTTP method.
        method: String,
        /// Path, or whole URL, of a product.
        url: String,
    },
    /// Signing keys of access tokens.
    #[command(subcommand)]
    Key(KeyCommand),
    /// The audit trail: who did what, when, from where and why.
    #[command(subcommand)]
    Audit(AuditCommand),
    /// A sandbox's clock.
    #[command(subcommand)]
    Clock(ClockCommand),
    /// The databases: their schema, and copies of them.
    #[command(subcommand)]
    Database(DatabaseCommand),
    /// The configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Look for what is wrong, and say what to do about it.
    Doctor,
    /// Print a completion script for a shell.
    #[command(after_help = "Example:\n  pmsgate completions bash > /etc/bash_completion.d/pmsgate")]
    Completions {
        /// Which shell.
        shell: Shell,
    },
}

/// `serve`.
#[derive(Clone, Debug, Default, Args)]
#[command(
    after_help = "Examples:\n  pmsgate serve\n  pmsgate serve gateway --listen 0.0.0.0:8443 --config /etc/pmsgate.toml\n  pmsgate serve --listen 127.0.0.1:0 --ready-file ready.json"
)]
pub struct Serve {
    /// Which part to run.
    #[arg(value_enum, default_value_t = Part::All)]
    pub part: Part,
    /// Public listener (for `serve backend`: its loopback listener). Port 0 takes a free one.
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<SocketAddr>,
    /// Operator's listener: /metrics, /health/live, /health/ready.
    #[arg(long, value_name = "ADDR")]
    pub admin_listen: Option<SocketAddr>,
    /// Written, as JSON, once every part answers.
    #[arg(long, value_name = "FILE")]
    pub ready_file: Option<PathBuf>,
}

/// The parts that can run by themselves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// All parts in one process.
    #[default]
    All,
    /// The authorization server and the portal.
    Authz,
    /// The FHIR gateway.
    Gateway,
    /// The product backend.
    Backend,
}

/// `client …`.
#[derive(Debug, Subcommand)]
pub enum ClientCommand {
    /// Create a client and its first secret, which is shown once; or with keys of its own in place of a secret.
    #[command(after_help = "Examples:\n  \
pmsgate client create --organisation ORG-100000001 --role pms-industry-api --label 'ERP link' --contact it@example.org\n  \
pmsgate client create --organisation ORG-100000101 --role pms-nca-api --domain human\n  \
pmsgate client create --role public-pms-api --contact reader@example.org\n  \
pmsgate client create --organisation ORG-100000001 --role pms-industry-api --jwks keys.json")]
    Create(ClientCreate),
    /// List all clients.
    List,
    /// Show one client.
    Show {
        /// The client's id.
        client_id: String,
    },
    /// Give a client a new secret; the old one keeps working for the overlap. At most two work: a third one ends the
    /// oldest at once, and the answer says which (`ended`).
    Rotate {
        /// The client's id.
        client_id: String,
        /// End the old secret, and the tokens bought with it, at once.
        #[arg(long)]
        immediately: bool,
        /// Why it is done.
        #[command(flatten)]
        why: Why,
    },
    /// Register what a client proves itself by in place of a secret: the public keys that it signs assertions with, or a
    /// certificate for mutual TLS. What was registered before for the same works for the overlap; a secret stops at once.
    #[command(after_help = "Examples:\n  \
pmsgate client register CLIENT_ID --jwks keys.json\n  \
pmsgate client register CLIENT_ID --jwks-uri https://client.example/jwks.json\n  \
pmsgate client register CLIENT_ID --certificate client.pem --immediately --reason 'key lost'\n  \
pmsgate client register CLIENT_ID --tls-certificate client.pem\n  \
pmsgate client register CLIENT_ID --tls-subject dns:erp.example.org",
        mut_group("ProofArgs", |group| group.required(true)))]
    Register {
        /// The client's id.
        client_id: String,
        /// What is registered.
        #[command(flatten)]
        proof: ProofArgs,
        /// End what was registered before, and the tokens bought with it, at once.
        #[arg(long)]
        immediately: bool,
        /// Why it is done.
        #[command(flatten)]
        why: Why,
    },
    /// Change what a client is called, its technical contact, or whether its tokens must be bound to a key.
    #[command(after_help = "Example:\n  pmsgate client change CLIENT_ID --dpop required")]
    Change {
        /// The client's id.
        client_id: String,
        /// A name for people.
        #[arg(long)]
        label: Option<String>,
        /// E-mail of the technical contact.
        #[arg(long, value_name = "MAIL")]
        contact: Option<String>,
        /// Whether its tokens must be bound to a key of its own by DPoP proofs (RFC 9449).
        #[arg(long, value_name = "required|optional")]
        dpop: Option<DpopWish>,
    },
    /// End one secret of a client at once, with the tokens bought with it.
    RevokeSecret {
        /// The client's id.
        client_id: String,
        /// The secret's id, as `client show` lists it.
        secret_id: String,
        /// Why it is done.
        #[command(flatten)]
        why: Why,
    },
    /// Refuse a client's secrets and tokens until it is resumed.
    Suspend {
        /// The client's id.
        client_id: String,
        /// Why it is done.
        #[command(flatten)]
        why: Why,
    },
    /// Let a suspended client work again.
    Resume {
        /// The client's id.
        client_id: String,
        /// Why it is done.
        #[command(flatten)]
        why: Why,
    },
    /// End a client for good.
    Revoke {
        /// The client's id.
        client_id: String,
        /// Why it is done.
        #[command(flatten)]
        why: Why,
    },
}

impl ClientCommand {
    /// Why it is done; empty when nobody said.
    pub fn reason(&self) -> &str {
        match self {
            Self::Rotate { why, .. }
            | Self::Register { why, .. }
            | Self::RevokeSecret { why, .. }
            | Self::Suspend { why, .. }
            | Self::Resume { why, .. }
            | Self::Revoke { why, .. } => &why.reason,
            Self::Create(_) | Self::List | Self::Show { .. } | Self::Change { .. } => "",
        }
    }
}

/// Whether a client's tokens must be bound to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DpopWish {
    /// They must.
    Required,
    /// They may.
    Optional,
}

/// Why something is done.
#[derive(Debug, Args)]
pub struct Why {
    /// Why, for the audit trail.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub reason: String,
}

/// What a client proves itself by in place of a secret.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub struct ProofArgs {
    /// Public keys that sign assertions (private_key_jwt): a file with a JWK Set or one JWK; - reads standard input.
    #[arg(long, value_name = "FILE")]
    pub jwks: Option<PathBuf>,
    /// Where the client publishes such a set, by https.
    #[arg(long, value_name = "URL")]
    pub jwks_uri: Option<String>,
    /// A certificate whose key signs assertions, as MSAL has it: a file, PEM or DER.
    #[arg(long, value_name = "FILE")]
    pub certificate: Option<PathBuf>,
    /// The certificate that the client shows in TLS handshakes (self_signed_tls_client_auth): a file, PEM or DER.
    #[arg(long, value_name = "FILE")]
    pub tls_certificate: Option<PathBuf>,
    /// Whom the certificates that it shows are for (tls_client_auth): dns:NAME, uri:…, ip:…, email:…, or dn: and the whole
    /// distinguished name.
    #[arg(long, value_name = "SUBJECT")]
    pub tls_subject: Option<String>,
}

/// `client create`.
#[derive(Debug, Args)]
pub struct ClientCreate {
    /// The organisation it acts for; not for public clients.
    #[arg(long, value_name = "ORG-ID")]
    pub organisation: Option<OrganisationId>,
    /// Its role: pms-industry-api, pms-nca-api, public-pms-api; operator or organisation-operator for automation at
    /// /api/v1.
    #[arg(long)]
    pub role: String,
    /// A name for people.
    #[arg(long, default_value = "")]
    pub label: String,
    /// What automation calls it: unique within its organisation.
    #[arg(long, value_name = "KEY")]
    pub external_key: Option<String>,
    /// E-mail of the technical contact.
    #[arg(long, value_name = "MAIL")]
    pub contact: Option<String>,
    /// May see commercially sensitive data of its own organisation.
    #[arg(long)]
    pub qualified: bool,
    /// Domains an authority's client may see; may be repeated. Default: both.
    #[arg(long, value_name = "human|veterinary")]
    pub domain: Vec<Domain>,
    /// Narrow what it may ask for, for example system/MedicinalProductDefinition.rs; may be repeated. Default:
    /// everything its role may.
    #[arg(long, value_name = "SCOPE")]
    pub scope: Vec<String>,
    /// What it proves itself by, when it shall have no secret.
    #[command(flatten)]
    pub proof: Option<ProofArgs>,
}

/// `credentials …`.
#[derive(Debug, Subcommand)]
pub enum CredentialsCommand {
    /// List secrets that are about to expire.
    #[command(after_help = "Example:\n  pmsgate credentials expiring --within 90d --format csv")]
    Expiring {
        /// How far to look ahead, for example 90d.
        #[arg(long, value_name = "SPAN", default_value = "90d")]
        within: Span,
    },
}

/// `audit …`.
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Check that no record was changed, removed or moved. Exit code 1 when one was, with its number.
    #[command(
        after_help = "Each record carries a keyed hash over itself and the one before it, under a key from the master key. What this \
cannot see by itself is that the whole database was put back to an earlier state, or was written anew with the master \
key: keep the `head` that it prints somewhere else, and give it later with --known.\n\n\
Examples:\n  pmsgate audit verify\n  pmsgate audit verify --known 1042:9f2c…\n  pmsgate audit verify --trail reads"
    )]
    Verify {
        /// Which trail: what was done to accounts, clients and keys, or who read what.
        #[arg(long, value_enum, default_value_t = Trail::Acts)]
        trail: Trail,
        /// A head as an earlier run printed it: that record must still be there, unchanged.
        #[arg(long, value_name = "NUMBER:LINK")]
        known: Option<String>,
    },
    /// Write the whole trail out, oldest first: --format ndjson (default), or fhir for one Bundle of R5 AuditEvents.
    #[command(after_help = "Examples:\n  \
pmsgate audit export --format ndjson --out trail.ndjson\n  \
pmsgate audit export --format fhir > trail.json\n  \
pmsgate audit export --trail reads --format ndjson --out reads.ndjson")]
    Export {
        /// Which trail: what was done to accounts, clients and keys, or who read what.
        #[arg(long, value_enum, default_value_t = Trail::Acts)]
        trail: Trail,
        /// The file; standard output without it.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
}

/// The trails of a house.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Trail {
    /// What was done to accounts, clients and keys: in the authorization server's database.
    Acts,
    /// Who read what: in the gateways' files.
    Reads,
}

/// `clock …`.
#[derive(Debug, Subcommand)]
pub enum ClockCommand {
    /// Show what the clock shows and how far it is moved.
    Show,
    /// Move the clock to so far from the real time, on every running server within a second. Only in a sandbox.
    #[command(after_help = "Examples:\n  \
pmsgate clock set +729d      a secret made today expires tomorrow: reminders go out\n  \
pmsgate clock set +731d      it has expired: the token endpoint says so\n  \
pmsgate clock reset")]
    Set {
        /// How far, for example +729d or -2h.
        #[arg(value_name = "DURATION", allow_hyphen_values = true)]
        offset: ClockOffset,
    },
    /// Set the clock right again.
    Reset,
}

/// `organisation …`.
#[derive(Debug, Subcommand)]
pub enum OrganisationCommand {
    /// Import organisations and locations from a CSV or JSON file.
    #[command(
        after_help = "The CSV columns are: id,name,category,country and, where wanted, address,parent,locations. Category is industry, \
authority, agency, network or centre; parent is the ORG-ID of a centre's network; locations are LOC ids separated by \
spaces. JSON is an array of objects with the same names."
    )]
    Import {
        /// The file.
        file: PathBuf,
    },
    /// List all organisations.
    List,
}

/// `account …`.
#[derive(Debug, Subcommand)]
pub enum AccountCommand {
    /// Open an account, for the first agency administrator above all. Its password is shown once.
    #[command(after_help = "Example:\n  \
pmsgate account create --agency-admin --email ana.silva@agency.example --first-name Ana --last-name Silva")]
    Create(AccountCreate),
}

/// `account create`.
#[derive(Args)]
pub struct AccountCreate {
    /// The person's own work address.
    #[arg(long, value_name = "MAIL")]
    pub email: String,
    /// First name.
    #[arg(long)]
    pub first_name: String,
    /// Last name.
    #[arg(long)]
    pub last_name: String,
    /// May decide what the agency decides, once a second factor is set up.
    #[arg(long)]
    pub agency_admin: bool,
    /// A role of the catalogue to give, with the organisation where it is held: ROLE or ROLE@ORG-ID; may be repeated.
    #[arg(long, value_name = "ROLE[@ORG-ID]")]
    pub role: Vec<String>,
    /// A file with the first password. Without it one is made up.
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
}

impl std::fmt::Debug for AccountCreate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AccountCreate")
            .field("agency_admin", &self.agency_admin)
            .field("role", &self.role)
            .finish_non_exhaustive()
    }
}

/// `products …`.
#[derive(Debug, Subcommand)]
pub enum ProductsCommand {
    /// Import FHIR Bundles, single resources (JSON) or NDJSON files. What is refused is reported with the reason.
    /// Running it again after an interruption goes on where it stopped. Exit code 1 only when nothing was taken.
    Import {
        /// The files.
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// Make fictional products, always the same for the same seed, and store them or write them into a file. Running it
    /// again goes on where it stopped, and makes nothing twice.
    #[command(after_help = "Examples:\n  \
pmsgate products generate --count 20000 --seed 7\n  \
pmsgate products generate --count 200000 --seed 7 --out products.ndjson")]
    Generate {
        /// How many, at most a million.
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(fhir_model::generate::MOST_PRODUCTS)))]
        count: u32,
        /// Which: 1 to 99. Products of different seeds can stand in one store.
        #[arg(long, value_name = "S", value_parser = clap::value_parser!(u64).range(1..=99))]
        seed: u64,
        /// Write them into this file, one Bundle a line (NDJSON), as `products import` reads it; store nothing.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Write products out as NDJSON, one Bundle a line, as `products import` reads it.
    #[command(after_help = "Examples:\n  \
pmsgate products export --out products.ndjson\n  \
pmsgate products export --organisation ORG-100000001 --history > aurelia.ndjson")]
    Export {
        /// The file; standard output without it.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        /// Only the products of this holder.
        #[arg(long, value_name = "ORG")]
        organisation: Option<OrganisationId>,
        /// With all versions, their numbers and times.
        #[arg(long)]
        history: bool,
    },
    /// Look whether versions, links and index hold together. Exit code 1 when something does not.
    Verify {
        /// Write derived rows anew where they are wrong: index, gates, members. Versions and bodies are never touched.
        #[arg(long)]
        repair: bool,
    },
    /// Measure how long the backend takes for what callers ask, on the products that are stored.
    #[command(hide = true)]
    Measure {
        /// Requests of each kind.
        #[arg(long, value_name = "N", default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=100_000))]
        requests: u32,
    },
}

/// `key …`.
#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// List signing keys and their state.
    List,
    /// Publish a next key now; it takes over after the configured lead time.
    Rotate,
    /// Inspect an RSA private key in PEM: size, whether it is sound, and its public JWK.
    Inspect {
        /// The PEM file (PKCS#8 or PKCS#1).
        file: PathBuf,
    },
}

/// `database …`.
#[derive(Debug, Subcommand)]
pub enum DatabaseCommand {
    /// Show applied and pending migrations and what is stored.
    Status,
    /// Apply pending migrations.
    Migrate,
    /// Copy both databases into one file, while the server runs. SQLite only: PostgreSQL has pg_dump.
    ///
    /// The file (tar) holds authz.db and products.db, each as it was at one instant. The master key is not in it: keep it
    /// in another safe. While it is made, it takes the room of both databases twice.
    #[command(after_help = "Example:\n  pmsgate database backup /var/backups/pmsgate-2026-11-23.tar")]
    Backup {
        /// The file to write; it must not be there yet.
        file: PathBuf,
    },
    /// Put the databases of a backup in place of those of the data folder, while no server runs.
    ///
    /// Nothing is lost: what was there is kept beside, as authz.db.replaced-… and products.db.replaced-…. A backup that is
    /// damaged, that a newer program made, or that belongs to another master key changes nothing.
    #[command(after_help = "Example:\n  pmsgate database restore /var/backups/pmsgate-2026-11-23.tar")]
    Restore {
        /// A file that `database backup` wrote.
        file: PathBuf,
    },
}

/// `config …`.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Check the configuration and the data files.
    Check,
    /// Print the configuration in force, as TOML; passwords are hidden.
    Show,
    /// Print the JSON schema of the configuration file.
    Schema,
    /// Write the OpenAPI description of each API product into a folder, as the gateway would serve it.
    #[command(after_help = "Example:\n  pmsgate config openapi docs/openapi")]
    Openapi {
        /// The folder; a file is named after its product.
        folder: PathBuf,
    },
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_tree_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_client_is_created_with_a_secret_or_with_keys_of_its_own() {
        let create = |rest: &[&str]| {
            let words = ["pmsgate", "client", "create", "--role", "pms-industry-api"];
            Cli::try_parse_from(words.iter().chain(rest)).map(|cli| match cli.command {
                Some(Command::Client(ClientCommand::Create(create))) => create.proof.is_some(),
                other => panic!("{other:?}"),
            })
        };
        assert!(!create(&[]).unwrap());
        assert!(create(&["--jwks", "keys.json"]).unwrap());
        assert!(create(&["--jwks", "keys.json", "--certificate", "c.pem"]).is_err());
    }

    #[test]
    fn common_options_may_stand_anywhere() {
        let cli = Cli::try_parse_from(["pmsgate", "client", "list", "--data-dir", "d", "--format", "json"])
            .unwrap();
        assert_eq!(cli.common.data_dir, PathBuf::from("d"));
        assert_eq!(cli.common.format, Some(OutputFormat::Json));
        assert!(Cli::try_parse_from(["pmsgate"]).unwrap().command.is_none());
    }
}
