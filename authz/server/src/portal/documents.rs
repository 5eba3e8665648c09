//! Documents of requests: taken in by their owner, read by reviewers. They never have an address of their own kind:
//! each reading is authorised, and the browser is told to save it, not to open it.

use std::sync::Arc;

use authz_domain::RequestState;
use axum::{
    body::Body,
    extract::{FromRequestParts as _, Path, Request, State as Extract},
    response::{IntoResponse, Response},
};
use http::{HeaderValue, header};
use multer::{Constraints, Multipart, SizeLimit};

use super::{
    error::PortalError,
    form::{Errors, Fields},
    page::see_other,
    request_steps::recap_page,
    requests::show_page,
    visitor::Visitor,
};
use crate::{
    state::State,
    use_cases::{DocumentRefused, Reviewer, UseCases},
};

/// What stands around the file in a form.
const AROUND: u64 = 64 * 1024;

/// `POST /portal/requests/{id}/documents`
pub(crate) async fn upload(
    Extract(state): Extract<Arc<State>>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, PortalError> {
    let (mut parts, body) = request.into_parts();
    let visitor = Visitor::from_request_parts(&mut parts, &state).await?;
    let one = visitor.require()?;
    let limit = state.settings.portal.document_limit;
    let kind =
        parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let boundary = multer::parse_boundary(kind).map_err(|_| PortalError::StaleForm)?;
    let limits = Constraints::new()
        .allowed_fields(vec!["csrf", "file", "do"])
        .size_limit(SizeLimit::new().whole_stream(limit + AROUND).per_field(limit + 1));
    let mut form = Multipart::with_constraints(body.into_data_stream(), boundary, limits);
    let (mut token, mut file) = (String::new(), None);
    loop {
        let field = match form.next_field().await {
            Ok(Some(field)) => field,
            Ok(None) => break,
            Err(_) => return Err(PortalError::TooLarge),
        };
        match field.name() {
            // It stands first in our forms: a file of somebody else is not read to its end.
            Some("csrf") => {
                token = field.text().await.map_err(|_| PortalError::TooLarge)?;
                visitor.check_form(&state, &parts.headers, &token)?;
            }
            Some("file") if !token.is_empty() => {
                let name = field.file_name().unwrap_or_default().to_owned();
                match field.bytes().await {
                    Ok(bytes) => file = Some((name, bytes)),
                    Err(_) => {
                        return refused(&state, &visitor, &id, DocumentRefused::Size(limit / (1024 * 1024)))
                            .await;
                    }
                }
            }
            _ => {}
        }
    }
    visitor.check_form(&state, &parts.headers, &token)?;
    let (name, bytes) = file.unwrap_or_default();
    let taken = UseCases::of(Arc::clone(&state)).add_document(&one.account, &id, &name, &bytes).await?;
    match taken.ok_or(PortalError::NotFound)? {
        Ok(()) => Ok(see_other(&visitor, &format!("/portal/requests/{id}"))),
        Err(problem) => refused(&state, &visitor, &id, problem).await,
    }
}

/// The page that the form stood on, with what is wrong.
async fn refused(
    state: &Arc<State>,
    visitor: &Visitor,
    id: &str,
    problem: DocumentRefused,
) -> Result<Response, PortalError> {
    let one = visitor.require()?;
    let plan =
        UseCases::of(Arc::clone(state)).plan_request(&one.account, id).await?.ok_or(PortalError::NotFound)?;
    let errors = Errors::of("file", problem);
    let page = if plan.request.state == RequestState::Draft {
        recap_page(state, &plan, &Fields::default(), &errors)
    } else {
        show_page(state, &plan, &errors)
    };
    Ok(page.show(visitor))
}

/// `GET /portal/documents/{id}`: for those who review its request.
pub(crate) async fn read(
    Extract(state): Extract<Arc<State>>,
    Path(id): Path<String>,
    visitor: Visitor,
) -> Result<Response, PortalError> {
    let one = visitor.require_reviewer()?;
    let reviewer = Reviewer { account: &one.account, held: &one.held };
    let found = UseCases::of(Arc::clone(&state)).read_document(reviewer, &id).await?;
    let (document, content) = found.ok_or(PortalError::NotFound)?;
    let ascii: String = document
        .file_name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' })
        .collect();
    let disposition = HeaderValue::from_str(&format!("attachment; filename=\"{ascii}\""))
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
