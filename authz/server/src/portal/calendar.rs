//! The calendar of an organisation (iCalendar, RFC 5545): an event at each moment when a secret expires.

use std::sync::Arc;

use authz_domain::Organisation;
use aws_lc_rs::digest;
use axum::{
    extract::{RawQuery, State as Extract},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use icalendar::{Calendar, Component as _, Event, Property};
use time::{OffsetDateTime, UtcOffset, macros::format_description};

use super::{error::PortalError, form::Fields};
use crate::{
    state::State,
    use_cases::{ExpiringSecret, UseCases},
};

/// How long a calendar program may keep what it read.
const CACHE: HeaderValue = HeaderValue::from_static("private, max-age=3600");

/// `GET /portal/calendar.ics?key=…`: the key stands in the query, which is never logged. A wrong one is answered as a
/// page that does not exist.
pub(crate) async fn get(
    Extract(state): Extract<Arc<State>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, PortalError> {
    let query = Fields::parse(query.unwrap_or_default().as_bytes());
    let found = UseCases::of(Arc::clone(&state)).read_calendar(query.get("key")).await?;
    let (organisation, secrets) = found.ok_or(PortalError::NotFound)?;
    let body = calendar(&organisation, &secrets, &state.settings.base_url);
    let tag =
        format!("\"{}\"", hex::encode(&digest::digest(&digest::SHA256, body.as_bytes()).as_ref()[..16]));
    let kept = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok()).unwrap_or_default();
    // RFC 9110 §13.1.2: a list, or anything; compared weakly.
    let unchanged =
        kept.trim() == "*" || kept.split(',').any(|one| one.trim().trim_start_matches("W/") == tag);
    let etag = HeaderValue::from_str(&tag).unwrap_or(HeaderValue::from_static("\"\""));
    let common = [
        (header::ETAG, etag),
        (header::CACHE_CONTROL, CACHE),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    if unchanged {
        return Ok((StatusCode::NOT_MODIFIED, common).into_response());
    }
    let form = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/calendar; charset=utf-8")),
        (header::CONTENT_DISPOSITION, HeaderValue::from_static("inline; filename=\"pmsgate.ics\"")),
    ];
    Ok((common, form, body).into_response())
}

/// The whole calendar. The same secrets give the same text: nothing in it is of the moment of asking.
fn calendar(organisation: &Organisation, secrets: &[ExpiringSecret], base_url: &str) -> String {
    let host = base_url.split("://").nth(1).unwrap_or("pmsgate");
    // Without the library's own name, which it would write beside ours.
    let mut calendar = Calendar::empty();
    calendar
        .append_property(Property::new("VERSION", "2.0"))
        .append_property(Property::new("CALSCALE", "GREGORIAN"))
        .name(&format!("API secrets of {}", organisation.name))
        .append_property(Property::new("PRODID", "-//pmsgate//API secrets//EN"))
        .append_property(
            Property::new("REFRESH-INTERVAL", "PT12H").add_parameter("VALUE", "DURATION").done(),
        );
    for one in secrets {
        let client = &one.client;
        let name = if client.label.is_empty() { client.id.as_str() } else { &client.label };
        let mut event = Event::new();
        event
            .uid(&format!("{}@{host}", one.secret.id))
            .summary(&format!("API secret of {name} expires"))
            .description(&format!(
                "Client {}, secret {}…{}. Renew it before: {base_url}/portal/clients/{}",
                client.id,
                one.secret.hint,
                if one.successor { ", which has a successor already" } else { "" },
                client.id
            ))
            .url(&format!("{base_url}/portal/clients/{}", client.id))
            .add_property("DTSTAMP", stamp(one.secret.issued_at))
            .add_property("DTSTART", stamp(one.secret.ends_at()))
            .add_property("TRANSP", "TRANSPARENT");
        calendar.push(event.done());
    }
    calendar.done().to_string()
}

/// `20260305T120000Z` (RFC 5545 §3.3.5, form 2).
fn stamp(at: OffsetDateTime) -> String {
    at.to_offset(UtcOffset::UTC)
        .format(format_description!("[year][month][day]T[hour][minute][second]Z"))
        .unwrap_or_default()
}
