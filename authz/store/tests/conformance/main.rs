//! Every repository function, on SQLite always and on PostgreSQL where the tests are given a server.

#![expect(clippy::unwrap_used, reason = "what a test cannot have must fail it")]

mod clients;
mod credentials;
mod feeds;
mod organisations;
mod portal;
mod signing_keys;
mod trail;
mod watch;

use std::future::Future;

use authz_domain::{Location, Organisation, OrganisationCategory};
use authz_store::{COMPONENT, MIGRATIONS};
use database::{Database, UnitOfWork, migrate, testing::TestDatabase};
use time::{OffsetDateTime, macros::datetime};

pub(crate) const NOW: OffsetDateTime = datetime!(2026-03-05 12:34:56.123456 UTC);

/// Runs `test` on each kind of database, with the schema in place.
pub(crate) async fn on_each<F: Future<Output = ()>>(test: impl Fn(Database) -> F) {
    for fresh in TestDatabase::each().await {
        migrate(fresh.database(), COMPONENT, MIGRATIONS, NOW).await.unwrap();
        test(fresh.database().clone()).await;
    }
}

pub(crate) async fn work(database: &Database) -> UnitOfWork {
    authz_store::begin(database).await.unwrap()
}

pub(crate) fn organisation(id: &str, locations: &[&str]) -> Organisation {
    let place = |id: &&str| Location::new(id.parse().unwrap(), "nl", "Voorbeeldplein 1").unwrap();
    let locations = locations.iter().map(place).collect();
    Organisation::new(id.parse().unwrap(), "Fable Pharma", "NL", OrganisationCategory::Industry, locations)
        .unwrap()
}
