//! Pages: blocks of content in one layout, so that looks and manners are decided in one place.

use askama::Template;
use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};

use super::{
    form::{Field, Form, Kind},
    visitor::Visitor,
};

/// Nothing but our own stylesheet: no scripts, no frames, no forms to elsewhere.
pub(crate) const CSP: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
);

/// Headers of every page with something personal on it.
const PAGE: [(HeaderName, HeaderValue); 7] = [
    (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
    (header::CONTENT_SECURITY_POLICY, CSP),
    (header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000")),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::REFERRER_POLICY, HeaderValue::from_static("same-origin")),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
];

/// What stands in a cell of a table.
#[derive(Clone, Debug)]
pub(crate) enum Cell {
    Text(String),
    Link { href: String, text: String },
    Form(Form),
    State(String),
}

impl Cell {
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    pub(crate) fn link(href: impl Into<String>, text: impl Into<String>) -> Self {
        Self::Link { href: href.into(), text: text.into() }
    }
}

/// A table.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    pub(crate) caption: String,
    pub(crate) head: Vec<&'static str>,
    pub(crate) rows: Vec<Vec<Cell>>,
    /// What stands instead of no rows.
    pub(crate) empty: &'static str,
}

/// One block of a page.
#[derive(Clone, Debug)]
pub(crate) enum Block {
    Text(String),
    Heading(String),
    /// A message that matters: `good`, `bad` or `note`.
    Notice {
        look: &'static str,
        title: String,
        text: Vec<String>,
    },
    Facts(Vec<(String, String)>),
    Links(Vec<(String, String, String)>),
    List(Vec<String>),
    Table(Table),
    Form(Form),
    /// Text as it is.
    Plain(String),
    /// A QR code: the data of its path, its width, and what it is.
    Qr {
        path: String,
        side: usize,
        title: String,
    },
}

impl Block {
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    pub(crate) fn note(title: impl Into<String>, text: impl Into<String>) -> Self {
        Self::Notice { look: "note", title: title.into(), text: vec![text.into()] }
    }

    pub(crate) fn good(title: impl Into<String>, text: impl Into<String>) -> Self {
        Self::Notice { look: "good", title: title.into(), text: vec![text.into()] }
    }
}

/// One step of several.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) label: &'static str,
    /// `done`, `now` or `later`.
    pub(crate) state: &'static str,
    /// Where to go back to.
    pub(crate) href: String,
}

/// A page before it is rendered.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    pub(crate) title: String,
    pub(crate) steps: Vec<Step>,
    pub(crate) blocks: Vec<Block>,
    status: StatusCode,
}

#[derive(Template)]
#[template(path = "portal/page.html")]
struct PageTemplate<'a> {
    page: &'a Page,
    errors: Vec<&'a Field>,
    menu: Vec<(&'static str, &'static str)>,
    name: &'a str,
    signed_in: bool,
    csrf: &'a str,
    sandbox: bool,
}

impl Page {
    pub(crate) fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), steps: Vec::new(), blocks: Vec::new(), status: StatusCode::OK }
    }

    pub(crate) fn block(mut self, block: Block) -> Self {
        self.blocks.push(block);
        self
    }

    pub(crate) fn blocks(mut self, blocks: impl IntoIterator<Item = Block>) -> Self {
        self.blocks.extend(blocks);
        self
    }

    pub(crate) fn text(self, text: impl Into<String>) -> Self {
        self.block(Block::text(text))
    }

    pub(crate) fn form(self, form: Form) -> Self {
        self.block(Block::Form(form))
    }

    pub(crate) fn steps(mut self, steps: Vec<Step>) -> Self {
        self.steps = steps;
        self
    }

    pub(crate) fn status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// The page for a visitor. Fields with errors make it 422 unless a status was set.
    pub(crate) fn show(&self, visitor: &Visitor) -> Response {
        let errors: Vec<&Field> = self
            .blocks
            .iter()
            .filter_map(|block| match block {
                Block::Form(form) => Some(form.fields.iter().filter(|field| !field.error.is_empty())),
                _ => None,
            })
            .flatten()
            .collect();
        let status = if self.status == StatusCode::OK && !errors.is_empty() {
            StatusCode::UNPROCESSABLE_ENTITY
        } else {
            self.status
        };
        let template = PageTemplate {
            page: self,
            errors,
            menu: visitor.menu(),
            name: visitor.name(),
            signed_in: visitor.is_signed_in(),
            csrf: &visitor.csrf,
            sandbox: visitor.sandbox,
        };
        match template.render() {
            Ok(text) => visitor.with_cookie((status, PAGE, text).into_response()),
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "a page does not render");
                StatusCode::INTERNAL_SERVER_ERROR.into_response()
            }
        }
    }
}

/// `303 See Other`: a reload or the back button does not send the form again.
pub(crate) fn see_other(visitor: &Visitor, location: &str) -> Response {
    let mut response = StatusCode::SEE_OTHER.into_response();
    // Our own paths are ASCII; anything else leads to the start.
    let location = HeaderValue::from_str(location).unwrap_or(HeaderValue::from_static("/portal"));
    response.headers_mut().insert(header::LOCATION, location);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    visitor.with_cookie(response)
}
