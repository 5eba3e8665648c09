//! Documents of requests: checked by their content, added and removed by the requester, read by reviewers.

use authz_domain::{AccessRequest, Account, Act, Actor, RequestAct, RequestState};
use authz_store::{access_requests, documents, documents::Document};
use aws_lc_rs::digest;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use thiserror::Error;

use super::{Reviewer, UseCaseError, UseCases, accounts::new_id};

/// Bytes of one stored piece of a document, before Base64.
const PIECE: usize = 192 * 1024;
/// Documents of one request.
const MAX_DOCUMENTS: usize = 5;

/// Why a document was not taken.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DocumentRefused {
    /// Not a PDF, whatever its name says.
    #[error("This file is not a PDF.")]
    NotPdf,
    /// A PDF that does something when opened.
    #[error("This PDF contains scripts or starts programs. Print it to a new PDF and send that.")]
    Active,
    /// Empty or too large.
    #[error("A document has 1 byte to {0} MB.")]
    Size(u64),
    /// Too many.
    #[error("A request has at most {MAX_DOCUMENTS} documents.")]
    TooMany,
}

impl DocumentRefused {
    /// A document beyond `limit` bytes.
    pub(crate) const fn too_large(limit: u64) -> Self {
        Self::Size(limit / (1024 * 1024))
    }
}

/// What a document's first and last bytes must be, and what must not be in it (ISO 32000-1 §7.5.2, §7.5.5, §12.6.4).
pub(crate) fn check_pdf(bytes: &[u8], limit: u64) -> Result<(), DocumentRefused> {
    if bytes.is_empty() || bytes.len() as u64 > limit {
        return Err(DocumentRefused::too_large(limit));
    }
    let has = |slice: &[u8], word: &[u8]| slice.windows(word.len()).any(|window| window == word);
    let tail = &bytes[bytes.len().saturating_sub(1024)..];
    if !bytes.starts_with(b"%PDF-") || !has(tail, b"%%EOF") {
        return Err(DocumentRefused::NotPdf);
    }
    if [&b"/JavaScript"[..], b"/JS ", b"/JS(", b"/Launch", b"/EmbeddedFile"]
        .iter()
        .any(|word| has(bytes, word))
    {
        return Err(DocumentRefused::Active);
    }
    Ok(())
}

impl UseCases {
    /// Adds a document to a draft, or to a request that waits for one. None when there is no such request.
    pub async fn add_document(
        &self,
        account: &Account,
        id: &str,
        file_name: &str,
        bytes: &[u8],
    ) -> Result<Option<Result<(), DocumentRefused>>, UseCaseError> {
        if let Err(refused) = check_pdf(bytes, self.settings.portal.document_limit) {
            return Ok(Some(Err(refused)));
        }
        let document = Document {
            id: new_id()?,
            request: id.to_owned(),
            file_name: tidy_name(file_name),
            bytes: i64::try_from(bytes.len()).unwrap_or(i64::MAX),
            sha256: hex::encode(digest::digest(&digest::SHA256, bytes)),
            uploaded_at: self.now(),
        };
        let pieces: Vec<String> = bytes.chunks(PIECE).map(|piece| STANDARD.encode(piece)).collect();
        let mut work = authz_store::begin(&self.database).await?;
        let mut db = work.db();
        let found = access_requests::find(&mut db, id).await?;
        let takes = |one: &AccessRequest| {
            one.account == account.id
                && matches!(one.state, RequestState::Draft | RequestState::WaitingForDocuments)
        };
        let Some(mut request) = found.filter(takes) else { return Ok(None) };
        if documents::of_request(&mut db, id).await?.len() >= MAX_DOCUMENTS {
            return Ok(Some(Err(DocumentRefused::TooMany)));
        }
        documents::insert(&mut db, &document, &pieces).await?;
        if request.state == RequestState::WaitingForDocuments {
            let before = request.state;
            request.state = before.after(RequestAct::GiveDocuments)?;
            access_requests::update(&mut db, &request, before).await?;
            self.tell_reviewers(&mut db, &request, account, true).await?;
        }
        work.commit().await?;
        self.nudge_delivery();
        Ok(Some(Ok(())))
    }

    /// Removes a document of a draft. Whether there was one.
    pub async fn remove_document(
        &self,
        account: &str,
        id: &str,
        document: &str,
    ) -> Result<bool, UseCaseError> {
        let mut work = authz_store::begin(&self.database).await?;
        let mut db = work.db();
        let found = access_requests::find(&mut db, id).await?;
        if !found.is_some_and(|one| one.account == account && one.state == RequestState::Draft) {
            return Ok(false);
        }
        let removed = documents::delete(&mut db, id, document).await?;
        work.commit().await?;
        Ok(removed)
    }

    /// A document with its content: for those who review its request, and nobody else. Reading is noted.
    pub async fn read_document(
        &self,
        reviewer: Reviewer<'_>,
        id: &str,
    ) -> Result<Option<(Document, Vec<u8>)>, UseCaseError> {
        let mut work = authz_store::begin(&self.database).await?;
        let mut db = work.db();
        let Some(document) = documents::find(&mut db, id).await? else { return Ok(None) };
        let request = access_requests::find(&mut db, &document.request).await?;
        if !request.is_some_and(|request| self.sees(reviewer, &request)) {
            return Ok(None);
        }
        let mut content = Vec::new();
        for piece in documents::pieces(&mut db, id).await? {
            content.extend(STANDARD.decode(piece).map_err(|_| UseCaseError::Letter)?);
        }
        let actor = Actor::Account(reviewer.account.id.clone());
        let details = vec![("request", document.request.clone())];
        self.audit(&mut db, &actor, Act::DocumentRead, id, details).await?;
        work.commit().await?;
        Ok(Some((document, content)))
    }
}

/// A file's name without path and control characters; a name that is nothing else gets one.
fn tidy_name(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let kept: String =
        last.chars().filter(|c| c.is_alphanumeric() || " ._-()".contains(*c)).take(100).collect();
    let kept = kept.trim().trim_start_matches('.').to_owned();
    if kept.is_empty() { "document.pdf".to_owned() } else { kept }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_a_pdf_by_its_content() {
        let pdf = b"%PDF-1.7\n1 0 obj<<>>endobj\ntrailer<<>>\n%%EOF\n".to_vec();
        assert_eq!(check_pdf(&pdf, 1024), Ok(()));
        assert_eq!(check_pdf(b"<html>%PDF-</html>%%EOF", 1024), Err(DocumentRefused::NotPdf));
        assert_eq!(check_pdf(b"%PDF-1.7 MZ", 1024), Err(DocumentRefused::NotPdf));
        assert_eq!(check_pdf(b"", 1024), Err(DocumentRefused::Size(0)));
        assert!(matches!(check_pdf(&pdf, 8), Err(DocumentRefused::Size(_))));
        let active = b"%PDF-1.7\n<</OpenAction<</S/JavaScript/JS(app.alert(1))>>>>\n%%EOF".to_vec();
        assert_eq!(check_pdf(&active, 1024), Err(DocumentRefused::Active));
    }

    #[test]
    fn a_file_name_is_tidied() {
        for (given, kept) in [
            ("letter.pdf", "letter.pdf"),
            ("../../etc/passwd", "passwd"),
            ("C:\\x\\Brief (1).pdf", "Brief (1).pdf"),
            ("a\"\r\nX: y.pdf", "aX y.pdf"),
            ("..", "document.pdf"),
        ] {
            assert_eq!(tidy_name(given), kept);
        }
    }
}
