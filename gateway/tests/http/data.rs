//! The state of the stub upstream's data: what it says with its answers, and its feed of changes.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    body::Body,
    extract::State,
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use caller_context::{DataState, HEADER, STATE_HEADER};
use http::{HeaderMap, HeaderValue, StatusCode};
use tokio::sync::watch;

use crate::house::{Received, Upstream, context_key};

/// How often the feed gives a sign of life.
const BEAT: Duration = Duration::from_millis(100);

/// The state, which only tests that call [`Data::begin`] have.
pub(crate) struct Data {
    state: watch::Sender<DataState>,
    tells: AtomicBool,
    /// The feed says nothing, and does not open.
    deaf: AtomicBool,
}

impl Default for Data {
    fn default() -> Self {
        Self {
            state: watch::Sender::new(DataState { instance: 1, change: 1 }),
            tells: AtomicBool::new(false),
            deaf: AtomicBool::new(true),
        }
    }
}

impl Data {
    /// From now on answers say what they show, and the feed is open.
    pub(crate) fn begin(&self) {
        self.tells.store(true, Ordering::SeqCst);
        self.deaf.store(false, Ordering::SeqCst);
    }

    pub(crate) fn state(&self) -> DataState {
        *self.state.borrow()
    }

    /// Something changes.
    pub(crate) fn change(&self) {
        self.state.send_modify(|state| state.change += 1);
    }

    /// The program starts again: open feeds end.
    pub(crate) fn restart(&self, change: i64) {
        self.state.send_modify(|state| *state = DataState { instance: state.instance + 1, change });
    }

    /// Answers say nothing any more, or something again.
    pub(crate) fn tell(&self, tells: bool) {
        self.tells.store(tells, Ordering::SeqCst);
    }

    /// The feed falls silent, and later opens again.
    pub(crate) fn be_deaf(&self, deaf: bool) {
        self.deaf.store(deaf, Ordering::SeqCst);
        self.state.send_modify(|_| {});
    }

    /// What the answer says: a read the state before it, a merge the state after it.
    pub(crate) fn label(&self, received: &Received, before: DataState, mut answer: Response) -> Response {
        let state = if received.uri.path().ends_with("$merge") { self.state() } else { before };
        if self.tells.load(Ordering::SeqCst) {
            answer.headers_mut().insert(STATE_HEADER, HeaderValue::try_from(state.to_string()).unwrap());
        }
        answer
    }
}

/// `GET /changes`.
pub(crate) async fn feed(State(upstream): State<Arc<Upstream>>, headers: HeaderMap) -> Response {
    let now = upstream.clock.now();
    let header = headers[HEADER].to_str().unwrap();
    caller_context::verify(header, &context_key(), "GET", caller_context::CHANGES_PATH, now)
        .expect("the gateway signs what it sends");
    if upstream.data.deaf.load(Ordering::SeqCst) {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let changed = upstream.data.state.subscribe();
    let instance = changed.borrow().instance;
    let lines = futures_util::stream::unfold(
        (upstream, changed, true),
        move |(upstream, mut changed, first)| async move {
            if !first {
                let _ = tokio::time::timeout(BEAT, changed.changed()).await;
            }
            while upstream.data.deaf.load(Ordering::SeqCst) {
                // The connection stands, and nothing comes.
                changed.changed().await.ok()?;
            }
            let state = *changed.borrow_and_update();
            let line = Bytes::from(format!("{state}\n"));
            (state.instance == instance)
                .then_some((Ok::<_, std::io::Error>(line), (upstream, changed, false)))
        },
    );
    Body::from_stream(lines).into_response()
}
