//! Reading what was sent: JSON bodies, query parameters, cursors. Whatever cannot be read is named.

use axum::body::{Body, to_bytes};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderMap, header};
use serde::de::DeserializeOwned;

use super::problem::Problem;

/// Bytes of a body.
const MAX_BODY: usize = 16 * 1024;
/// Items of a page when nothing is asked for, and at most.
const PAGE: i64 = 50;
const LARGEST_PAGE: i64 = 200;

/// A JSON body.
pub(crate) async fn json<T: DeserializeOwned>(headers: &HeaderMap, body: Body) -> Result<T, Problem> {
    let bytes = bytes(body).await?;
    parse(headers, &bytes)
}

/// A JSON body that may be left out.
pub(crate) async fn json_or_default<T: DeserializeOwned + Default>(
    headers: &HeaderMap,
    body: Body,
) -> Result<T, Problem> {
    let bytes = bytes(body).await?;
    if bytes.is_empty() { Ok(T::default()) } else { parse(headers, &bytes) }
}

async fn bytes(body: Body) -> Result<bytes::Bytes, Problem> {
    to_bytes(body, MAX_BODY).await.map_err(|_| Problem::too_large())
}

fn parse<T: DeserializeOwned>(headers: &HeaderMap, bytes: &[u8]) -> Result<T, Problem> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("application/json") {
        return Err(Problem::media_type());
    }
    // An array would be read as the members of an object in their order.
    if bytes.trim_ascii_start().first() != Some(&b'{') {
        return Err(Problem::malformed("the body: expected a JSON object"));
    }
    serde_json::from_slice(bytes).map_err(|error| Problem::malformed(format!("the body: {error}")))
}

/// The parameters of a query, each known and at most once.
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    /// Of a request's query.
    pub(crate) fn parse(query: Option<&str>, known: &[&str]) -> Result<Self, Problem> {
        let pairs: Vec<(String, String)> = form_urlencoded::parse(query.unwrap_or_default().as_bytes())
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect();
        for (index, (name, _)) in pairs.iter().enumerate() {
            if !known.contains(&name.as_str()) {
                let shown: String = name.chars().take(40).collect();
                let detail = format!("there is no parameter {shown:?} here: one of {}", known.join(", "));
                return Err(Problem::malformed(detail));
            }
            if pairs[..index].iter().any(|(other, _)| other == name) {
                return Err(Problem::malformed(format!("the parameter {name} is there twice")));
            }
        }
        Ok(Self(pairs))
    }

    /// The value of a parameter.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(one, _)| one == name).map(|(_, value)| value.as_str())
    }

    /// The size of a page.
    pub(crate) fn limit(&self) -> Result<i64, Problem> {
        self.number("limit", 1, LARGEST_PAGE, PAGE)
    }

    /// A whole number within bounds.
    pub(crate) fn number(&self, name: &str, least: i64, most: i64, usual: i64) -> Result<i64, Problem> {
        let Some(text) = self.get(name) else { return Ok(usual) };
        match text.parse::<i64>() {
            Ok(number) if (least..=most).contains(&number) => Ok(number),
            _ => Err(Problem::malformed(format!("{name} is a whole number from {least} to {most}"))),
        }
    }

    /// Where a page begins.
    pub(crate) fn cursor<T: DeserializeOwned>(&self) -> Result<Option<T>, Problem> {
        let Some(text) = self.get("cursor") else { return Ok(None) };
        let decoded = URL_SAFE_NO_PAD.decode(text).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        decoded.map(Some).ok_or_else(|| Problem::malformed("the cursor is none of ours: begin without one"))
    }
}

/// A cursor that says where the next page begins.
pub(crate) fn cursor(place: &serde_json::Value) -> String {
    URL_SAFE_NO_PAD.encode(place.to_string())
}
