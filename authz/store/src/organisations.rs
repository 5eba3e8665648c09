//! Organisations and their locations.

use authz_domain::{Organisation, OrganisationCategory};
use database::{DatabaseError, Db, micros, on_db};
use pms_terms::{LocationId, OrganisationId};
use time::OffsetDateTime;

use crate::convert::Cell;

/// What an upsert did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upserted {
    /// It was not there.
    Imported,
    /// It was there and differed.
    Updated,
    /// It was there, the same.
    Unchanged,
}

type Row = (String, String, String, String);

fn read(row: Row, locations: &[String]) -> Result<Organisation, DatabaseError> {
    let (id, name, country, category) = row;
    let cell = |column| Cell { table: "organisations", column, row: &id };
    let locations = locations
        .iter()
        .map(|text| Cell { table: "organisation_locations", column: "location_id", row: text }.parse(text))
        .collect::<Result<Vec<LocationId>, _>>()?;
    let (parsed, category) = (cell("id").parse(&id)?, cell("category").parse(&category)?);
    Ok(Organisation { id: parsed, name, country, category, locations })
}

/// The organisation, or none.
pub async fn find(db: &mut Db<'_>, id: &OrganisationId) -> Result<Option<Organisation>, DatabaseError> {
    let row = on_db!(db, conn => sqlx::query_as::<_, Row>(
        "SELECT id, name, country, category FROM organisations WHERE id = $1"
    ).bind(id.as_str()).fetch_optional(conn).await)?;
    let Some(row) = row else { return Ok(None) };
    let locations = on_db!(db, conn => sqlx::query_scalar::<_, String>(
        "SELECT location_id FROM organisation_locations WHERE organisation_id = $1 ORDER BY location_id"
    ).bind(id.as_str()).fetch_all(conn).await)?;
    read(row, &locations).map(Some)
}

/// All organisations by id, with their locations.
pub async fn list(db: &mut Db<'_>) -> Result<Vec<Organisation>, DatabaseError> {
    let rows = on_db!(db, conn => sqlx::query_as::<_, Row>(
        "SELECT id, name, country, category FROM organisations ORDER BY id"
    ).fetch_all(conn).await)?;
    let mut locations = locations(db).await?.into_iter().peekable();
    rows.into_iter()
        .map(|row| {
            let mut own = Vec::new();
            while let Some((location, _)) =
                locations.next_if(|(_, organisation)| organisation.as_str() == row.0)
            {
                own.push(String::from(location));
            }
            read(row, &own)
        })
        .collect()
}

/// Every location with its organisation, by organisation and location.
pub async fn locations(db: &mut Db<'_>) -> Result<Vec<(LocationId, OrganisationId)>, DatabaseError> {
    let rows = on_db!(db, conn => sqlx::query_as::<_, (String, String)>(
        "SELECT location_id, organisation_id FROM organisation_locations ORDER BY organisation_id, location_id"
    ).fetch_all(conn).await)?;
    rows.into_iter()
        .map(|(location, organisation)| {
            let cell = |column| Cell { table: "organisation_locations", column, row: &location };
            Ok((cell("location_id").parse(&location)?, cell("organisation_id").parse(&organisation)?))
        })
        .collect()
}

/// Which of `locations` belong to another organisation than `organisation`.
pub async fn claimed_by_others(
    db: &mut Db<'_>,
    organisation: &OrganisationId,
    locations: &[LocationId],
) -> Result<Option<(LocationId, String)>, DatabaseError> {
    for location in locations {
        let owner = on_db!(db, conn => sqlx::query_scalar::<_, String>(
            "SELECT organisation_id FROM organisation_locations WHERE location_id = $1 AND organisation_id <> $2"
        ).bind(location.as_str()).bind(organisation.as_str()).fetch_optional(conn).await)?;
        if let Some(owner) = owner {
            return Ok(Some((location.clone(), owner)));
        }
    }
    Ok(None)
}

/// Takes an organisation in, or makes the stored one equal to it. A location of another organisation is a
/// conflict; ask [`claimed_by_others`] first.
pub async fn upsert(
    db: &mut Db<'_>,
    organisation: &Organisation,
    now: OffsetDateTime,
) -> Result<Upserted, DatabaseError> {
    let stored = find(db, &organisation.id).await?;
    if stored.as_ref() == Some(organisation) {
        return Ok(Upserted::Unchanged);
    }
    on_db!(db, conn => sqlx::query(
        "INSERT INTO organisations (id, name, country, category, updated_at) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (id) DO UPDATE SET name = excluded.name, country = excluded.country,
             category = excluded.category, updated_at = excluded.updated_at"
    )
    .bind(organisation.id.as_str()).bind(organisation.name.as_str()).bind(organisation.country.as_str())
    .bind(organisation.category.as_str()).bind(micros(now))
    .execute(conn).await.map(|_| ()))?;
    let before = stored.as_ref().map_or(&[][..], |stored| &stored.locations[..]);
    for gone in before.iter().filter(|location| !organisation.locations.contains(location)) {
        on_db!(db, conn => sqlx::query("DELETE FROM organisation_locations WHERE location_id = $1")
            .bind(gone.as_str()).execute(conn).await.map(|_| ()))?;
    }
    for new in organisation.locations.iter().filter(|location| !before.contains(location)) {
        on_db!(db, conn => sqlx::query(
            "INSERT INTO organisation_locations (location_id, organisation_id) VALUES ($1, $2)"
        ).bind(new.as_str()).bind(organisation.id.as_str()).execute(conn).await.map(|_| ()))?;
    }
    Ok(if stored.is_none() { Upserted::Imported } else { Upserted::Updated })
}

/// The category of an organisation, or none when there is no such organisation.
pub async fn category(
    db: &mut Db<'_>,
    id: &OrganisationId,
) -> Result<Option<OrganisationCategory>, DatabaseError> {
    let word = on_db!(db, conn => sqlx::query_scalar::<_, String>(
        "SELECT category FROM organisations WHERE id = $1"
    ).bind(id.as_str()).fetch_optional(conn).await)?;
    word.map(|word| Cell { table: "organisations", column: "category", row: id.as_str() }.parse(&word))
        .transpose()
}
