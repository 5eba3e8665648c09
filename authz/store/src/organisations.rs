//! Organisations and their locations.

use std::collections::BTreeMap;

use authz_domain::{Location, Organisation, OrganisationCategory};
use database::{DatabaseError, Db, micros, on_db};
use pms_terms::{LocationId, OrganisationId};
use time::OffsetDateTime;

use crate::{
    batch::{batches, in_batch},
    convert::Cell,
};

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

type Row = (String, String, String, String, String, Option<String>);

/// Id, address and country.
type LocationRow = (String, String, String);

fn read(row: Row, locations: Vec<LocationRow>) -> Result<Organisation, DatabaseError> {
    let (id, name, country, category, address, parent) = row;
    let cell = |column| Cell { table: "organisations", column, row: &id };
    let locations = locations
        .into_iter()
        .map(|(id, address, country)| {
            let cell = Cell { table: "organisation_locations", column: "location_id", row: &id };
            Ok(Location { id: cell.parse(&id)?, address, country })
        })
        .collect::<Result<Vec<_>, DatabaseError>>()?;
    let (parsed, category) = (cell("id").parse(&id)?, cell("category").parse(&category)?);
    let parent = parent.map(|parent| cell("parent_id").parse(&parent)).transpose()?;
    Ok(Organisation { id: parsed, name, country, category, locations, address, parent })
}

/// The organisation, or none.
pub async fn find(db: &mut Db<'_>, id: &OrganisationId) -> Result<Option<Organisation>, DatabaseError> {
    let row = on_db!(db, conn => sqlx::query_as::<_, Row>(
        "SELECT id, name, country, category, address, parent_id FROM organisations WHERE id = $1"
    ).bind(id.as_str()).fetch_optional(conn).await)?;
    let Some(row) = row else { return Ok(None) };
    Ok(with_locations(db, vec![row]).await?.pop())
}

/// Organisations with their locations.
async fn with_locations(db: &mut Db<'_>, rows: Vec<Row>) -> Result<Vec<Organisation>, DatabaseError> {
    let mut locations: BTreeMap<String, Vec<LocationRow>> = BTreeMap::new();
    for batch in batches(rows.iter().map(|row| row.0.as_str())) {
        let found = on_db!(db, conn => {
            let mut query = sqlx::query_as::<_, (String, String, String, String)>(concat!(
                "SELECT organisation_id, location_id, address, country FROM organisation_locations
                 WHERE organisation_id IN ", in_batch!(), " ORDER BY location_id"
            ));
            for id in batch {
                query = query.bind(id);
            }
            query.fetch_all(conn).await
        })?;
        for (organisation, id, address, country) in found {
            locations.entry(organisation).or_default().push((id, address, country));
        }
    }
    rows.into_iter()
        .map(|row| {
            let own = locations.remove(&row.0).unwrap_or_default();
            read(row, own)
        })
        .collect()
}

/// All organisations by id, with their locations.
pub async fn list(db: &mut Db<'_>) -> Result<Vec<Organisation>, DatabaseError> {
    let rows = on_db!(db, conn => sqlx::query_as::<_, Row>(
        "SELECT id, name, country, category, address, parent_id FROM organisations ORDER BY id"
    ).fetch_all(conn).await)?;
    with_locations(db, rows).await
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
    locations: &[Location],
) -> Result<Option<(LocationId, String)>, DatabaseError> {
    for location in locations {
        let owner = on_db!(db, conn => sqlx::query_scalar::<_, String>(
            "SELECT organisation_id FROM organisation_locations WHERE location_id = $1 AND organisation_id <> $2"
        ).bind(location.id.as_str()).bind(organisation.as_str()).fetch_optional(conn).await)?;
        if let Some(owner) = owner {
            return Ok(Some((location.id.clone(), owner)));
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
        "INSERT INTO organisations (id, name, name_key, country, category, address, parent_id, updated_at)
         VALUES ($1, $2, $6, $3, $4, $7, $8, $5)
         ON CONFLICT (id) DO UPDATE SET name = excluded.name, name_key = excluded.name_key,
             country = excluded.country, category = excluded.category, address = excluded.address,
             parent_id = excluded.parent_id, updated_at = excluded.updated_at"
    )
    .bind(organisation.id.as_str()).bind(organisation.name.as_str()).bind(organisation.country.as_str())
    .bind(organisation.category.as_str()).bind(micros(now)).bind(organisation.name.to_lowercase())
    .bind(organisation.address.as_str()).bind(organisation.parent.as_ref().map(OrganisationId::as_str))
    .execute(conn).await.map(|_| ()))?;
    let before = stored.as_ref().map_or(&[][..], |stored| &stored.locations[..]);
    for gone in before.iter().filter(|location| !organisation.locations.contains(location)) {
        on_db!(db, conn => sqlx::query("DELETE FROM organisation_locations WHERE location_id = $1")
            .bind(gone.id.as_str()).execute(conn).await.map(|_| ()))?;
    }
    for new in organisation.locations.iter().filter(|location| !before.contains(location)) {
        on_db!(db, conn => sqlx::query(
            "INSERT INTO organisation_locations (location_id, organisation_id, address, country)
             VALUES ($1, $2, $3, $4)"
        )
        .bind(new.id.as_str()).bind(organisation.id.as_str()).bind(new.address.as_str())
        .bind(new.country.as_str()).execute(conn).await.map(|_| ()))?;
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

/// What to look for; every part that is given must fit.
#[derive(Clone, Debug, Default)]
pub struct OrganisationQuery<'q> {
    /// A part of the name, or the beginning of an ORG-ID or LOC-ID.
    pub text: &'q str,
    /// ISO 3166-1 alpha-2; empty for all.
    pub country: &'q str,
    /// The words of the categories; empty for all.
    pub categories: &'q [OrganisationCategory],
    /// The organisation they are part of.
    pub parent: Option<&'q OrganisationId>,
}

/// Up to `limit` organisations that fit, by name, with their locations.
pub async fn search(
    db: &mut Db<'_>,
    query: &OrganisationQuery<'_>,
    limit: i64,
) -> Result<Vec<Organisation>, DatabaseError> {
    // `%` and `_` mean themselves.
    let escaped = query.text.trim().replace('!', "!!").replace('%', "!%").replace('_', "!_");
    let (name, id) = (format!("%{}%", escaped.to_lowercase()), format!("{}%", escaped.to_uppercase()));
    let country = query.country.trim().to_uppercase();
    let categories: Vec<&str> = query.categories.iter().map(|one| one.as_str()).collect();
    let any = categories.is_empty();
    let at = |n: usize| categories.get(n).copied().unwrap_or("");
    let parent = query.parent.map_or("", OrganisationId::as_str);
    let rows = on_db!(db, conn => sqlx::query_as::<_, Row>(
        "SELECT o.id, o.name, o.country, o.category, o.address, o.parent_id FROM organisations o
         WHERE (o.name_key LIKE $1 ESCAPE '!' OR o.id LIKE $2 ESCAPE '!'
                OR EXISTS (SELECT 1 FROM organisation_locations l
                           WHERE l.organisation_id = o.id AND l.location_id LIKE $2 ESCAPE '!'))
           AND ($3 = '' OR o.country = $3) AND ($4 = '' OR o.parent_id = $4)
           AND ($5 OR o.category IN ($6, $7, $8, $9, $10))
         ORDER BY o.name_key, o.id LIMIT $11"
    )
    .bind(name.as_str()).bind(id.as_str()).bind(country.as_str()).bind(parent).bind(any)
    .bind(at(0)).bind(at(1)).bind(at(2)).bind(at(3)).bind(at(4)).bind(limit)
    .fetch_all(conn).await)?;
    with_locations(db, rows).await
}

/// The countries in which an organisation has parts, or in which there are organisations at all, sorted.
pub async fn countries(
    db: &mut Db<'_>,
    parent: Option<&OrganisationId>,
) -> Result<Vec<String>, DatabaseError> {
    let parent = parent.map_or("", OrganisationId::as_str);
    Ok(on_db!(db, conn => sqlx::query_scalar::<_, String>(
        "SELECT DISTINCT country FROM organisations WHERE $1 = '' OR parent_id = $1 ORDER BY country"
    ).bind(parent).fetch_all(conn).await)?)
}
