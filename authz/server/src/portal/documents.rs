//! Documents of requests: taken in by their owner, read by reviewers. They never have an address of their own kind:
//! each reading is authorised, and the browser is told to save it, not to open it.

use std::sync::Arc;

use authz_domain::RequestState;
use axum::{
    body::Body,
    extract::{Path, State as Extract},
    response::{IntoResponse, Response},
};
use http::{HeaderValue, header};

use super::{
    error::PortalError,
    form::{Errors, Field, Kind},
    page::see_other,
    requests::show_page,
    visitor::{PostedFile, Upload, Visitor},
};
use crate::{
    state::State,
    use_cases::{DocumentRefused, RequestPlan, UseCases},
};

/// The field for one more document of a request.
pub(super) fn file_field(plan: &RequestPlan, errors: &Errors) -> Field {
    let needed = plan.needed_documents();
    let label =
        if needed.is_empty() { "Document (PDF)".to_owned() } else { format!("{} (PDF)", needed.join(", ")) };
    let mut field = Field::new(Kind::File, "file", label)
        .hint("At most 10 MB. Only reviewers of your request can read it.")
        .with_error(errors);
    field.required = !needed.is_empty() && plan.documents.is_empty();
    field
}

/// `POST /portal/requests/{id}/documents`: for a request that waits for one.
pub(crate) async fn upload(
    Extract(state): Extract<Arc<State>>,
    Path(id): Path<String>,
    PostedFile { visitor, file, .. }: PostedFile,
) -> Result<Response, PortalError> {
    let one = visitor.require()?;
    let acts = UseCases::of(Arc::clone(&state));
    let plan = acts.plan_request(&one.account, &id).await?;
    let waits = |plan: &RequestPlan| plan.request.state == RequestState::WaitingForDocuments;
    let plan = plan.filter(waits).ok_or(PortalError::NotFound)?;
    let taken = match file {
        Upload::None => acts.add_document(&one.account, &id, "", &[]).await?,
        Upload::TooLarge => Some(Err(DocumentRefused::too_large(state.settings.portal.document_limit))),
        Upload::File { name, bytes } => acts.add_document(&one.account, &id, &name, &bytes).await?,
    };
    match taken.ok_or(PortalError::NotFound)? {
        Ok(()) => Ok(see_other(&visitor, &format!("/portal/requests/{id}"))),
        Err(problem) => Ok(show_page(&state, &plan, &Errors::of("file", problem)).await?.show(&visitor)),
    }
}

/// `GET /portal/documents/{id}`: for those who review its request.
pub(crate) async fn read(
    Extract(state): Extract<Arc<State>>,
    Path(id): Path<String>,
    visitor: Visitor,
) -> Result<Response, PortalError> {
    let one = visitor.require_reviewer()?;
    let found = UseCases::of(Arc::clone(&state)).read_document(one.reviewer(), &id).await?;
    let (document, content) = found.ok_or(PortalError::NotFound)?;
    let ascii: String = document
        .file_name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' })
        .collect();
    // For browsers of this century the name as it is (RFC 6266 §5, RFC 8187).
    let full: String = form_urlencoded::byte_serialize(document.file_name.as_bytes()).collect();
    let full = full.replace('+', "%20").replace('*', "%2A");
    let disposition =
        HeaderValue::from_str(&format!("attachment; filename=\"{ascii}\"; filename*=UTF-8''{full}"))
            .unwrap_or(HeaderValue::from_static("attachment"));
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/pdf")),
        (header::CONTENT_DISPOSITION, disposition),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("sandbox; default-src 'none'")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    Ok((headers, Body::from(content)).into_response())
}
