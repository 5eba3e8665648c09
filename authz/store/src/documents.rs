//! Documents of requests, kept in pieces beside their request.

use database::{DatabaseError, Db, instant, micros, on_db};
use time::OffsetDateTime;

/// A document without its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Its id.
    pub id: String,
    /// The request it belongs to.
    pub request: String,
    /// Its name, for people.
    pub file_name: String,
    /// Its size in bytes.
    pub bytes: i64,
    /// SHA-256 of the content, hexadecimal.
    pub sha256: String,
    /// When it came.
    pub uploaded_at: OffsetDateTime,
}

type Row = (String, String, String, i64, String, i64);

fn read(row: Row) -> Document {
    let (id, request, file_name, bytes, sha256, uploaded_at) = row;
    Document { id, request, file_name, bytes, sha256, uploaded_at: instant(uploaded_at) }
}

/// Keeps a document; `pieces` are its content in text form, in order.
pub async fn insert(db: &mut Db<'_>, document: &Document, pieces: &[String]) -> Result<(), DatabaseError> {
    on_db!(db, conn => sqlx::query(
        "INSERT INTO documents (id, request_id, file_name, bytes, sha256, uploaded_at)
         VALUES ($1, $2, $3, $4, $5, $6)"
    )
    .bind(document.id.as_str()).bind(document.request.as_str()).bind(document.file_name.as_str())
    .bind(document.bytes).bind(document.sha256.as_str()).bind(micros(document.uploaded_at))
    .execute(conn).await.map(|_| ()))?;
    for (position, piece) in (0_i64..).zip(pieces) {
        on_db!(db, conn => sqlx::query(
            "INSERT INTO document_pieces (document_id, position, piece) VALUES ($1, $2, $3)"
        ).bind(document.id.as_str()).bind(position).bind(piece.as_str()).execute(conn).await.map(|_| ()))?;
    }
    Ok(())
}

/// The documents of a request, oldest first.
pub async fn of_request(db: &mut Db<'_>, request: &str) -> Result<Vec<Document>, DatabaseError> {
    let rows = on_db!(db, conn => sqlx::query_as::<_, Row>(
        "SELECT id, request_id, file_name, bytes, sha256, uploaded_at FROM documents
         WHERE request_id = $1 ORDER BY uploaded_at, id"
    ).bind(request).fetch_all(conn).await)?;
    Ok(rows.into_iter().map(read).collect())
}

/// The document with this id.
pub async fn find(db: &mut Db<'_>, id: &str) -> Result<Option<Document>, DatabaseError> {
    let row = on_db!(db, conn => sqlx::query_as::<_, Row>(
        "SELECT id, request_id, file_name, bytes, sha256, uploaded_at FROM documents WHERE id = $1"
    ).bind(id).fetch_optional(conn).await)?;
    Ok(row.map(read))
}

/// The content's pieces, in order.
pub async fn pieces(db: &mut Db<'_>, id: &str) -> Result<Vec<String>, DatabaseError> {
    Ok(on_db!(db, conn => sqlx::query_scalar::<_, String>(
        "SELECT piece FROM document_pieces WHERE document_id = $1 ORDER BY position"
    ).bind(id).fetch_all(conn).await)?)
}

/// Removes a document of a request. Whether it was there.
pub async fn delete(db: &mut Db<'_>, request: &str, id: &str) -> Result<bool, DatabaseError> {
    on_db!(db, conn => sqlx::query(
        "DELETE FROM document_pieces WHERE document_id IN (SELECT id FROM documents WHERE id = $1 AND request_id = $2)"
    ).bind(id).bind(request).execute(conn).await.map(|_| ()))?;
    let gone = on_db!(db, conn => sqlx::query("DELETE FROM documents WHERE id = $1 AND request_id = $2")
        .bind(id).bind(request).execute(conn).await.map(|done| done.rows_affected()))?;
    Ok(gone == 1)
}

/// Gives the documents of one request to another, when a cart is split on submission.
pub async fn move_to(db: &mut Db<'_>, from: &str, to: &str) -> Result<(), DatabaseError> {
    on_db!(db, conn => sqlx::query("UPDATE documents SET request_id = $2 WHERE request_id = $1")
        .bind(from).bind(to).execute(conn).await.map(|_| ()))?;
    Ok(())
}
