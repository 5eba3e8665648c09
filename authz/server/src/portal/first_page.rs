//! The portal's first page: what is here, and where.

use std::sync::Arc;

use askama::Template;
use axum::{
    extract::State as Extract,
    response::{IntoResponse, Response},
};
use http::{HeaderName, HeaderValue, StatusCode, header};

use super::page::CSP;
use crate::{AuthzSettings, ProductLink, state::State};

/// Headers of every page.
const PAGE: [(HeaderName, HeaderValue); 6] = [
    (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
    (header::CONTENT_SECURITY_POLICY, CSP),
    (header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000")),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
];

#[derive(Template)]
#[template(path = "root.html")]
struct RootPage<'a> {
    base_url: &'a str,
    token_url: String,
    tenant: &'a str,
    issuer: &'a str,
    algorithm: &'static str,
    products: &'a [ProductLink],
    sandbox: bool,
}

impl<'a> RootPage<'a> {
    fn new(settings: &'a AuthzSettings) -> Self {
        Self {
            base_url: &settings.base_url,
            token_url: settings.token_url(),
            tenant: settings.default_tenant(),
            issuer: &settings.issuer,
            algorithm: settings.signing_keys.algorithm.as_str(),
            products: &settings.products,
            sandbox: settings.sandbox,
        }
    }
}

/// `GET /`
pub(crate) async fn root(Extract(state): Extract<Arc<State>>) -> Response {
    match RootPage::new(&state.settings).render() {
        Ok(page) => (PAGE, page).into_response(),
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "the first page does not render");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// `GET /assets/portal.css`
pub(crate) async fn stylesheet() -> Response {
    asset("text/css; charset=utf-8", include_str!("../../assets/portal.css"))
}

/// `GET /assets/challenge.js`
pub(crate) async fn challenge_script() -> Response {
    asset("text/javascript; charset=utf-8", include_str!("../../assets/challenge.js"))
}

/// `GET /assets/draft.js`
pub(crate) async fn draft_script() -> Response {
    asset("text/javascript; charset=utf-8", include_str!("../../assets/draft.js"))
}

fn asset(kind: &'static str, text: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600")),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    (headers, text).into_response()
}
