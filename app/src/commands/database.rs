//! `pmsgate database …`: the schema and what is stored.

use anyhow::Result;
use database::{DatabaseKind, MigrationStatus};
use serde_json::{Value, json};

use super::print;
use crate::{
    House,
    cli::{Common, DatabaseCommand},
    house::Which,
};

const COLUMNS: &[&str] = &["database", "kind", "applied", "pending", "holds"];

pub(super) async fn run(common: &Common, command: DatabaseCommand) -> Result<()> {
    let house = House::open(common)?;
    if matches!(command, DatabaseCommand::Migrate) {
        house.authz_database().await?;
        house.products_database().await?;
    }
    print(common, Value::Array(status(&house).await?), COLUMNS)
}

/// Both databases: kind, applied and pending migrations, what they hold.
pub(super) async fn status(house: &House) -> Result<Vec<Value>> {
    let authz = house.connect(Which::Authz).await?;
    let schema = authz_server::migration_status(&authz).await?;
    let holds = match schema.pending.is_empty() {
        true => json!({"clients": house.use_cases().await?.list_clients().await?.len()}),
        false => Value::Null,
    };
    let mut rows = vec![row("authz", authz.kind(), &schema, holds)];
    let products = house.connect(Which::Products).await?;
    let schema = fhir_store::migration_status(&products).await?;
    let holds = match schema.pending.is_empty() {
        true => {
            let status = fhir_store::status(&products).await?;
            json!({"products": status.products, "resources": status.resources, "versions": status.versions})
        }
        false => Value::Null,
    };
    rows.push(row("products", products.kind(), &schema, holds));
    Ok(rows)
}

fn row(name: &str, kind: DatabaseKind, schema: &MigrationStatus, holds: Value) -> Value {
    json!({
        "database": name,
        "kind": match kind {
            DatabaseKind::Sqlite => "sqlite",
            DatabaseKind::Postgres => "postgresql",
        },
        "applied": schema.applied.iter().map(|(version, name)| format!("{version} {name}")).collect::<Vec<_>>(),
        "pending": schema.pending.iter().map(|(version, name)| format!("{version} {name}")).collect::<Vec<_>>(),
        "holds": holds,
    })
}
