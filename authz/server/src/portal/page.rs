//! Pages: blocks of content in one layout, so that looks and manners are decided in one place.

use askama::Template;
use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};
use time::Duration;

use super::{
    form::{Button, Field, Form, Kind},
    slowdown::try_again,
    visitor::Visitor,
};

/// Nothing but our own stylesheet: no scripts, no frames, no forms to elsewhere. Pages without a script have this.
pub(crate) const CSP: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
);

/// The same with our own scripts, which may talk to nobody but us.
const CSP_WITH_SCRIPT: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
);

/// Headers of every page with something personal on it.
const PAGE: [(HeaderName, HeaderValue); 6] = [
    (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
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
    Link {
        href: String,
        text: String,
    },
    Form(Form),
    /// A button of the form around the page.
    Button(Button),
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

/// A row of bars, drawn without styles or scripts.
#[derive(Clone, Debug)]
pub(crate) struct Bars {
    pub(crate) title: &'static str,
    pub(crate) width: usize,
    pub(crate) columns: Vec<Bar>,
}

/// One bar: where it stands, how high it is, what is written above and below.
#[derive(Clone, Debug)]
pub(crate) struct Bar {
    pub(crate) x: usize,
    pub(crate) middle: usize,
    pub(crate) y: usize,
    pub(crate) height: usize,
    pub(crate) above: String,
    pub(crate) below: String,
}

impl Bars {
    /// A bar for each label and number; the highest fills the height. Of labels like `2026-03` the month is written, and
    /// the year where it begins.
    pub(crate) fn new(title: &'static str, numbers: &[(String, usize)]) -> Self {
        let (pitch, full, top) = (32, 100, 20);
        let highest = numbers.iter().map(|(_, number)| *number).max().unwrap_or(0).max(1);
        let mut year = "";
        let columns = numbers
            .iter()
            .enumerate()
            .map(|(place, (label, number))| {
                let height = number * full / highest;
                let (this_year, month) = label.split_once('-').unwrap_or(("", label));
                let below = if year == this_year {
                    month.to_owned()
                } else {
                    format!("{month}/{}", this_year.get(2..).unwrap_or(this_year))
                };
                year = this_year;
                Bar {
                    x: place * pitch + 8,
                    middle: place * pitch + 16,
                    y: top + full - height,
                    height,
                    above: if *number == 0 { String::new() } else { number.to_string() },
                    below,
                }
            })
            .collect();
        Self { title, width: numbers.len() * pitch, columns }
    }
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
    /// Fields of the form around the page.
    Fields(Vec<Field>),
    /// Buttons of the form around the page.
    Buttons(Vec<Button>),
    /// Text as it is.
    Plain(String),
    /// A row of bars; a table beside it says the same.
    Bars(Bars),
    /// Text to be copied, and what it is.
    Snippet {
        label: &'static str,
        text: String,
    },
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
}

/// Several steps, of which the one at place `now` is being taken.
pub(crate) fn steps(labels: &[&'static str], now: usize) -> Vec<Step> {
    let state = |place: usize| match place.cmp(&now) {
        std::cmp::Ordering::Less => "done",
        std::cmp::Ordering::Equal => "now",
        std::cmp::Ordering::Greater => "later",
    };
    labels.iter().enumerate().map(|(place, label)| Step { label, state: state(place) }).collect()
}

/// A form around the whole page, so that every button on it brings everything that was typed.
#[derive(Clone, Debug)]
pub(crate) struct Around {
    pub(crate) action: String,
}

/// A link with its title and a sentence.
pub(crate) fn link(
    href: impl Into<String>,
    title: impl Into<String>,
    text: impl Into<String>,
) -> (String, String, String) {
    (href.into(), title.into(), text.into())
}

/// A page before it is rendered.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    pub(crate) title: String,
    pub(crate) steps: Vec<Step>,
    pub(crate) blocks: Vec<Block>,
    pub(crate) around: Option<Around>,
    /// A script of ours that makes the page more comfortable; it works without.
    pub(crate) script: Option<&'static str>,
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
        Self {
            title: title.into(),
            steps: Vec::new(),
            blocks: Vec::new(),
            around: None,
            script: None,
            status: StatusCode::OK,
        }
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

    /// With a form around all blocks; their fields and buttons belong to it.
    pub(crate) fn around(mut self, action: impl Into<String>) -> Self {
        self.around = Some(Around { action: action.into() });
        self
    }

    pub(crate) fn script(mut self, path: &'static str) -> Self {
        self.script = Some(path);
        self
    }

    pub(crate) fn steps(mut self, steps: Vec<Step>) -> Self {
        self.steps = steps;
        self
    }

    pub(crate) fn status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// Says what stands in the way, where that is no matter of one field.
    pub(crate) fn refused(mut self, title: &str, problem: String) -> Self {
        self.blocks.insert(0, Block::Notice { look: "bad", title: title.to_owned(), text: vec![problem] });
        self.status(StatusCode::UNPROCESSABLE_ENTITY)
    }

    /// Asks to wait: what was sent is not looked at.
    pub(crate) fn please_wait(mut self, wait: Duration) -> Self {
        let title = "Please wait".to_owned();
        self.blocks.insert(0, Block::Notice { look: "bad", title, text: vec![try_again(wait)] });
        self.status(StatusCode::TOO_MANY_REQUESTS)
    }

    /// The page for a visitor. Fields with errors make it 422 unless a status was set.
    pub(crate) fn show(&self, visitor: &Visitor) -> Response {
        let errors: Vec<&Field> = self
            .blocks
            .iter()
            .filter_map(|block| match block {
                Block::Form(form) => Some(&form.fields),
                Block::Fields(fields) => Some(fields),
                _ => None,
            })
            .flatten()
            .filter(|field| !field.error.is_empty())
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
            Ok(text) => {
                let csp = if self.script.is_some() { CSP_WITH_SCRIPT } else { CSP };
                let csp = [(header::CONTENT_SECURITY_POLICY, csp)];
                visitor.with_cookie((status, PAGE, csp, text).into_response())
            }
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
