//! The authorization server's SQL: the only room of it that knows tables and columns.
//!
//! # How to add a repository function
//!
//! A plain function in the module of its table, taking `db: &mut Db<'_>`; one SQL text for both databases (see the
//! `database` crate for the portable subset); rows that do not parse are `DatabaseError::Corrupt`, never a panic.
//! Whatever changes something runs in a unit of work opened by [`begin`], together with its row in [`changes`] and
//! [`audit_events`]. Every function is called in `tests/conformance` on both databases.

pub mod access_requests;
pub mod accounts;
pub mod api_access;
pub mod audit_events;
mod batch;
pub mod calendar_feeds;
pub mod changes;
pub mod clients;
mod convert;
pub mod credential_links;
pub mod documents;
pub mod expiry_reminders;
pub mod granted_roles;
pub mod noted_configuration;
pub mod one_time_tokens;
pub mod organisations;
pub mod outbox;
pub mod registrations;
pub mod revocations;
pub mod sandbox_clock;
pub mod secrets;
pub mod sessions;
pub mod signing_keys;
pub mod used_assertions;
pub mod webhooks;

use database::{Database, DatabaseError, Migration, UnitOfWork, on_db};

/// The name of this schema in the ledger of migrations.
pub const COMPONENT: &str = "authz";

/// Every step of the schema, in order. A released step is never edited.
pub const MIGRATIONS: &[Migration] = &[
    Migration {
        version: 1,
        name: "clients and keys",
        sql: include_str!("../migrations/0001_clients_and_keys.sql"),
    },
    Migration { version: 2, name: "portal", sql: include_str!("../migrations/0002_portal.sql") },
    Migration { version: 3, name: "credentials", sql: include_str!("../migrations/0003_credentials.sql") },
    Migration {
        version: 4,
        name: "watching expiry, audit chain",
        sql: include_str!("../migrations/0004_watch.sql"),
    },
    Migration {
        version: 5,
        name: "places and drafts",
        sql: include_str!("../migrations/0005_places_and_drafts.sql"),
    },
    Migration {
        version: 6,
        name: "domains of requested clients",
        sql: include_str!("../migrations/0006_domains.sql"),
    },
    Migration {
        version: 7,
        name: "revocation issue",
        sql: include_str!("../migrations/0007_revocation_issue.sql"),
    },
    Migration {
        version: 8,
        name: "keys of clients",
        sql: include_str!("../migrations/0008_client_keys.sql"),
    },
    Migration { version: 9, name: "bound tokens", sql: include_str!("../migrations/0009_bound_tokens.sql") },
    Migration {
        version: 10,
        name: "counted mails",
        sql: include_str!("../migrations/0010_counted_mails.sql"),
    },
];

/// Opens a unit of work for a change. It waits for every other change to be over and keeps later ones waiting, on
/// both databases: what is read in it holds until it commits, and sequence numbers appear in the order of commits.
pub async fn begin(database: &Database) -> Result<UnitOfWork, DatabaseError> {
    let mut work = database.begin().await?;
    let mut db = work.db();
    on_db!(&mut db, conn => sqlx::query("UPDATE authz_sequence SET value = value WHERE only_row = 1")
        .execute(conn).await.map(|_| ()))?;
    Ok(work)
}
