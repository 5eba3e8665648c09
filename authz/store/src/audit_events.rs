//! The audit trail: appended in the unit of work of the act itself, chained, never changed.

use authz_domain::{AuditEvent, AuditRecord, ChainHead, ChainKey, Subject};
use database::{DatabaseError, Db, instant, micros, on_db};
use time::OffsetDateTime;

use crate::{changes::next_seq, convert::Cell};

/// A record as read back, with its place in the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainedRecord {
    /// What it says.
    pub record: AuditRecord,
    /// The keyed hash over it and the link before it.
    pub link: String,
}

impl ChainedRecord {
    /// One of the particulars; empty when it is not among them.
    pub fn detail(&self, name: &str) -> String {
        serde_json::from_str::<serde_json::Value>(&self.record.details)
            .ok()
            .and_then(|details| details.get(name)?.as_str().map(str::to_owned))
            .unwrap_or_default()
    }
}

/// What to look for; an empty text and no time mean anything.
#[derive(Clone, Copy, Debug, Default)]
pub struct AuditQuery<'q> {
    /// Not before.
    pub from: Option<OffsetDateTime>,
    /// Before.
    pub until: Option<OffsetDateTime>,
    /// A kind of actor, or an actor's id.
    pub actor: &'q str,
    /// An act's word.
    pub act: &'q str,
    /// An organisation.
    pub organisation: &'q str,
    /// A client.
    pub client: &'q str,
}

#[derive(sqlx::FromRow)]
struct Row {
    seq: i64,
    number: Option<i64>,
    happened_at: i64,
    actor_kind: String,
    actor_id: Option<String>,
    origin: Option<String>,
    act: String,
    subject: String,
    client_id: Option<String>,
    organisation_id: Option<String>,
    details: String,
    link: Option<String>,
}

impl Row {
    fn chained(self) -> Result<ChainedRecord, DatabaseError> {
        let cell = |column| Cell { table: "audit_events", column, row: &self.seq.to_string() }.corrupt();
        Ok(ChainedRecord {
            link: self.link.ok_or_else(|| cell("link"))?,
            record: AuditRecord {
                number: self.number.ok_or_else(|| cell("number"))?,
                at: instant(self.happened_at),
                actor_kind: self.actor_kind,
                actor_id: self.actor_id,
                origin: self.origin,
                act: self.act,
                subject: self.subject,
                client: self.client_id,
                organisation: self.organisation_id,
                details: self.details,
            },
        })
    }
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT seq, number, happened_at, actor_kind, actor_id, origin, act, subject, client_id, organisation_id,
                 details, link
             FROM audit_events ",
            $rest
        )
    };
}

/// Appends an entry to the chain. Answers its number.
///
/// Taking the next number of the shared sequence first makes writers queue, so that of two servers at once each sees
/// the other's head.
pub async fn append(db: &mut Db<'_>, key: &ChainKey, event: &AuditEvent) -> Result<i64, DatabaseError> {
    let seq = next_seq(db).await?;
    let before = begun_head(db, key).await?;
    let (client, organisation) = concerned(db, event).await?;
    let (actor_kind, actor_id) = event.actor.parts();
    let details: serde_json::Map<_, _> =
        event.details.iter().map(|(name, value)| ((*name).to_owned(), value.clone().into())).collect();
    let record = AuditRecord {
        number: before.number + 1,
        // As it is read back.
        at: instant(micros(event.at)),
        actor_kind: actor_kind.to_owned(),
        actor_id: actor_id.map(str::to_owned),
        origin: event.origin.map(|address| address.to_string()),
        act: event.act.as_str().to_owned(),
        subject: event.subject.clone(),
        client,
        organisation,
        details: serde_json::Value::Object(details).to_string(),
    };
    let link = key.link(&before.link, &record);
    on_db!(db, conn => sqlx::query(
        "INSERT INTO audit_events (seq, number, happened_at, actor_kind, actor_id, origin, act, subject, client_id,
             organisation_id, details, link)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)"
    )
    .bind(seq).bind(record.number).bind(micros(record.at)).bind(actor_kind).bind(actor_id)
    .bind(record.origin.as_deref()).bind(record.act.as_str()).bind(record.subject.as_str())
    .bind(record.client.as_deref()).bind(record.organisation.as_deref()).bind(record.details.as_str())
    .bind(link.as_str())
    .execute(conn).await.map(|_| ()))?;
    set_head(db, &key.advance(&before, record.number, &link)).await?;
    Ok(record.number)
}

/// The client and the organisation that an entry concerns, for looking it up.
async fn concerned(
    db: &mut Db<'_>,
    event: &AuditEvent,
) -> Result<(Option<String>, Option<String>), DatabaseError> {
    let detail = |wanted: &str| {
        event
            .details
            .iter()
            .find(|(name, value)| *name == wanted && !value.is_empty())
            .map(|(_, v)| v.clone())
    };
    let subject = event.subject.as_str();
    let named = detail("organisation");
    Ok(match event.act.subject() {
        Subject::Client if named.is_none() => {
            let organisation = on_db!(db, conn => sqlx::query_scalar::<_, Option<String>>(
                "SELECT organisation_id FROM clients WHERE id = $1"
            ).bind(subject).fetch_optional(conn).await)?;
            (Some(subject.to_owned()), organisation.flatten())
        }
        Subject::Client => (Some(subject.to_owned()), named),
        Subject::Request if named.is_none() => {
            let organisation = on_db!(db, conn => sqlx::query_scalar::<_, Option<String>>(
                "SELECT organisation_id FROM access_requests WHERE id = $1"
            ).bind(subject).fetch_optional(conn).await)?;
            (detail("client_id"), organisation.flatten())
        }
        Subject::Organisation => (None, Some(subject.to_owned())),
        _ => (detail("client_id"), named),
    })
}

/// Where the chain ends, by the note of it; as if nothing was ever written when the note is gone.
pub async fn head(db: &mut Db<'_>) -> Result<ChainHead, DatabaseError> {
    Ok(ends(db).await?.0)
}

/// Where the chain ends, and the number of the last record there is, both of one moment.
pub async fn ends(db: &mut Db<'_>) -> Result<(ChainHead, i64), DatabaseError> {
    let (last, number, link, seal) = on_db!(db, conn => sqlx::query_as::<_, (i64, Option<i64>, Option<String>, Option<String>)>(
        "SELECT r.last, h.number, h.link, h.seal FROM (SELECT COALESCE(MAX(number), 0) AS last FROM audit_events) r
         LEFT JOIN audit_head h ON h.only_row = 1"
    ).fetch_one(conn).await)?;
    let head = match (number, link, seal) {
        (Some(number), Some(link), Some(seal)) => ChainHead { number, link, seal },
        _ => ChainHead::unwritten(),
    };
    Ok((head, last))
}

/// The head to append to. Only an empty trail has none: a note that was emptied is not begun anew.
async fn begun_head(db: &mut Db<'_>, key: &ChainKey) -> Result<ChainHead, DatabaseError> {
    let (head, last) = ends(db).await?;
    match (head.seal.is_empty(), last) {
        (false, _) => Ok(head),
        (true, 0) => Ok(key.head(0, "")),
        (true, _) => Err(Cell { table: "audit_head", column: "seal", row: "1" }.corrupt()),
    }
}

async fn set_head(db: &mut Db<'_>, head: &ChainHead) -> Result<(), DatabaseError> {
    on_db!(db, conn => sqlx::query("UPDATE audit_head SET number = $1, link = $2, seal = $3 WHERE only_row = 1")
        .bind(head.number).bind(head.link.as_str()).bind(head.seal.as_str()).execute(conn).await.map(|_| ()))?;
    Ok(())
}

/// Up to `limit` records after a number, in order, to where the chain ends: what stands behind that, nobody here wrote.
pub async fn after(db: &mut Db<'_>, number: i64, limit: i64) -> Result<Vec<ChainedRecord>, DatabaseError> {
    let rows = on_db!(db, conn => sqlx::query_as::<_, Row>(select!(
        "WHERE number > $1 AND number <= (SELECT number FROM audit_head WHERE only_row = 1)
         ORDER BY number LIMIT $2"
    )).bind(number).bind(limit).fetch_all(conn).await)?;
    rows.into_iter().map(Row::chained).collect()
}

/// Up to `limit` records that fit, newest first, before a number where one is given.
pub async fn page(
    db: &mut Db<'_>,
    query: &AuditQuery<'_>,
    before: Option<i64>,
    limit: i64,
) -> Result<Vec<ChainedRecord>, DatabaseError> {
    let rows = on_db!(db, conn => sqlx::query_as::<_, Row>(select!(
        "WHERE number < $1 AND number <= (SELECT number FROM audit_head WHERE only_row = 1) AND happened_at >= $2 AND happened_at < $3
           AND ($4 = '' OR actor_kind = $4 OR actor_id = $4) AND ($5 = '' OR act = $5)
           AND ($6 = '' OR organisation_id = $6) AND ($7 = '' OR client_id = $7)
         ORDER BY number DESC LIMIT $8"
    ))
    .bind(before.unwrap_or(i64::MAX)).bind(query.from.map_or(i64::MIN, micros))
    .bind(query.until.map_or(i64::MAX, micros)).bind(query.actor).bind(query.act).bind(query.organisation)
    .bind(query.client).bind(limit)
    .fetch_all(conn).await)?;
    rows.into_iter().map(Row::chained).collect()
}
