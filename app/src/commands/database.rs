//! `pmsgate database …`: the schema, what is stored, and copies of it.

use anyhow::Result;
use database::{DatabaseKind, MigrationStatus};
use serde_json::{Value, json};

use super::{backup, print};
use crate::{
    House,
    cli::{Common, DatabaseCommand},
    house::Which,
};

const COLUMNS: &[&str] = &["database", "kind", "applied", "pending", "holds"];

pub(super) async fn run(common: &Common, command: DatabaseCommand) -> Result<()> {
    let house = House::open(common)?;
    match command {
        DatabaseCommand::Status => {}
        DatabaseCommand::Migrate => {
            house.authz_database().await?;
            house.products_database().await?;
        }
        DatabaseCommand::Backup { file } => {
            return print(common, backup::take(&house, &file).await?, &["database", "bytes", "file"]);
        }
        DatabaseCommand::Restore { file } => {
            return print(common, backup::restore(&house, &file).await?, &["database", "bytes", "replaced"]);
        }
    }
    print(common, Value::Array(status(&house).await?), COLUMNS)
}

/// Both databases: kind, applied and pending migrations, what they hold.
pub(super) async fn status(house: &House) -> Result<Vec<Value>> {
    let authz = house.connect(Which::Authz).await?;
    let schema = authz_server::migration_status(&authz).await?;
    let mut rows = vec![row("authz", authz.kind(), &schema)];
    if schema.pending.is_empty() {
        rows[0]["holds"] = json!({"clients": house.use_cases().await?.list_clients().await?.len()});
    }
    let products = house.connect(Which::Products).await?;
    let schema = fhir_store::migration_status(&products).await?;
    let mut row = row("products", products.kind(), &schema);
    if schema.pending.is_empty() {
        let status = fhir_store::status(&products).await?;
        row["holds"] =
            json!({"products": status.products, "resources": status.resources, "versions": status.versions});
    }
    rows.push(row);
    Ok(rows)
}

/// `holds` stays null while migrations are pending: what is stored cannot be counted before.
fn row(name: &str, kind: DatabaseKind, schema: &MigrationStatus) -> Value {
    json!({
        "database": name,
        "kind": match kind {
            DatabaseKind::Sqlite => "sqlite",
            DatabaseKind::Postgres => "postgresql",
        },
        "applied": schema.applied.iter().map(|(version, name)| format!("{version} {name}")).collect::<Vec<_>>(),
        "pending": schema.pending.iter().map(|(version, name)| format!("{version} {name}")).collect::<Vec<_>>(),
        "holds": Value::Null,
    })
}
