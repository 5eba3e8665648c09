//! The revocation feed for gateways: what is in force, then every change as it happens, and a sign of life.

use std::{
    convert::Infallible,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use access_token::FeedLine;
use axum::{
    body::Body,
    extract::{RawQuery, State as Extract},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use subtle::ConstantTimeEq;
use tokio::sync::watch;

use crate::state::State;

/// Silence on the feed is never longer than this; gateways count on less than a second.
const HEARTBEAT: Duration = Duration::from_millis(500);

/// `GET /oauth2/revocations?after=SEQ`, with `Authorization: Bearer` and the feed key.
pub(crate) async fn get(
    Extract(state): Extract<Arc<State>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    if !has_feed_key(&headers, &state.keys.feed) {
        let challenge =
            [(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"pmsgate gateways\""))];
        return (StatusCode::UNAUTHORIZED, challenge, "this feed is for gateways that hold the feed key\n")
            .into_response();
    }
    let query = query.unwrap_or_default();
    let after =
        query.split('&').find_map(|pair| pair.strip_prefix("after=")).map_or(Ok(0), str::parse::<i64>);
    let Ok(after) = after else {
        return (StatusCode::BAD_REQUEST, "after must be the number of the last entry seen\n")
            .into_response();
    };
    // A number that was never given belongs to another database: start from the beginning.
    let latest = *state.revocations.follow().borrow();
    let follower = Follower {
        board: state.revocations.follow(),
        state,
        position: if after > latest { 0 } else { after },
        begun: false,
    };
    let lines = stream::unfold(follower, |mut follower| async move {
        let lines = follower.next().await?;
        Some((Ok::<_, Infallible>(lines), follower))
    });
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (headers, Body::from_stream(lines)).into_response()
}

/// Compared in constant time; lengths are no secret.
fn has_feed_key(headers: &HeaderMap, key: &str) -> bool {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return false };
    let Some((scheme, token)) = value.as_bytes().split_at_checked(7) else { return false };
    scheme.eq_ignore_ascii_case(b"bearer ") && bool::from(token.ct_eq(key.as_bytes()))
}

struct Follower {
    state: Arc<State>,
    board: watch::Receiver<i64>,
    position: i64,
    begun: bool,
}

impl Follower {
    /// The next lines; none when the server stops. Silence while the database is not followed: a sign of life would
    /// say that nothing was revoked.
    async fn next(&mut self) -> Option<Bytes> {
        while self.begun {
            tokio::select! {
                changed = self.board.changed() => { changed.ok()?; break }
                () = tokio::time::sleep(HEARTBEAT) => {
                    if self.state.following.load(Ordering::Relaxed) {
                        break;
                    }
                }
                () = self.state.stop.cancelled() => return None,
            }
        }
        self.begun = true;
        self.board.borrow_and_update();
        let (entries, position) = self.state.revocations.after(self.position, self.state.clock.now());
        self.position = position;
        let mut lines = Vec::with_capacity(64 + entries.len() * 128);
        for line in
            entries.into_iter().map(FeedLine::Revocation).chain([FeedLine::Heartbeat { heartbeat: position }])
        {
            serde_json::to_writer(&mut lines, &line).ok()?;
            lines.push(b'\n');
        }
        Some(Bytes::from(lines))
    }
}
