//! Following a server that tells news line by line, and gives a sign of life while there is none. Silence means a broken
//! connection: it is opened again, soon at first and then with more patience.

use std::{pin::Pin, time::Duration};

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use http::StatusCode;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::upstream::body::BoxError;

/// The longest line of a feed, in bytes.
const MAX_LINE: usize = 4 * 1024;
/// How long opening a feed may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// The first wait before a feed is opened again; doubled up to [`MAX_BACK_OFF`].
const FIRST_BACK_OFF: Duration = Duration::from_millis(50);
/// The longest wait before a feed is opened again: well below the second that news may take.
const MAX_BACK_OFF: Duration = Duration::from_millis(500);
/// How often a feed that stays away is complained about.
const COMPLAIN_EVERY: Duration = Duration::from_secs(60);

/// An open feed: what comes of it, cut anywhere.
pub(crate) type Opened = Pin<Box<dyn Stream<Item = Result<Bytes, FeedError>> + Send>>;

/// Who knows where a feed is, and what its lines mean.
pub(crate) trait Listener {
    /// What is remembered from line to line of one connection.
    type Hearing;

    /// Opens the feed, to be told whatever is not known yet.
    fn open(&self) -> impl Future<Output = Result<Opened, FeedError>> + Send;

    /// The longest silence.
    fn patience(&self) -> Duration;

    /// The feed is open.
    fn begin(&self) -> Self::Hearing;

    /// A sign of life came.
    fn sign(&self);

    /// A line came that is not empty.
    fn hear(&self, hearing: &mut Self::Hearing, line: &[u8]) -> Result<(), FeedError>;

    /// The feed broke, or did not open. Answers whether it had been caught up.
    fn lose(&self) -> bool;

    /// Says so in the log.
    fn complain(&self, error: &FeedError);
}

impl FeedError {
    /// The exchange failed.
    pub(crate) fn http(error: impl Into<BoxError>) -> Self {
        Self::Http(error.into())
    }

    /// Only 200 is the beginning of a feed.
    pub(crate) fn unless_ok(status: StatusCode) -> Result<(), Self> {
        if status == StatusCode::OK { Ok(()) } else { Err(Self::Status(status)) }
    }
}

/// Why a feed broke.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FeedError {
    #[error("{0}")]
    Http(BoxError),
    #[error("status {0}")]
    Status(StatusCode),
    #[error("nothing was heard within the time allowed")]
    Silent,
    #[error("the feed ended")]
    Ended,
    #[error("a line that is no feed line")]
    Malformed,
    #[error("the server's feed is behind the position known here; reading it anew")]
    HistoryChanged,
}

/// Follows a feed until stopped.
pub(crate) async fn follow(listener: &impl Listener, stop: &CancellationToken) {
    let mut back_off = FIRST_BACK_OFF;
    let mut complained: Option<Instant> = None;
    loop {
        let error = tokio::select! {
            () = stop.cancelled() => return,
            error = listen(listener) => error,
        };
        let was_fresh = listener.lose();
        // Said when it breaks or does not open, and then no more often than once in a while.
        let due = complained.is_none_or(|at| at.elapsed() >= COMPLAIN_EVERY);
        if was_fresh || (due && back_off == MAX_BACK_OFF) {
            complained = Some(Instant::now());
            listener.complain(&error);
        } else {
            tracing::debug!(%error, "feed not open");
        }
        back_off = if was_fresh { FIRST_BACK_OFF } else { (back_off * 2).min(MAX_BACK_OFF) };
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(back_off) => {}
        }
    }
}

/// Reads one connection to its end, which is always an error.
async fn listen(listener: &impl Listener) -> FeedError {
    let mut chunks = match timeout(CONNECT_TIMEOUT, listener.open()).await {
        Err(_) => return FeedError::Silent,
        Ok(Err(error)) => return error,
        Ok(Ok(chunks)) => chunks,
    };
    let mut lines = Lines::default();
    let mut hearing = listener.begin();
    loop {
        let chunk = match timeout(listener.patience(), chunks.next()).await {
            Err(_) => return FeedError::Silent,
            Ok(None) => return FeedError::Ended,
            Ok(Some(Err(error))) => return error,
            Ok(Some(Ok(chunk))) => chunk,
        };
        listener.sign();
        if let Err(error) = lines.push(&chunk, |line| listener.hear(&mut hearing, line)) {
            return error;
        }
    }
}

/// Cuts a stream of chunks into lines.
#[derive(Debug, Default)]
struct Lines {
    rest: Vec<u8>,
}

impl Lines {
    /// Takes in a chunk, and gives away each line that it completes and that is not empty.
    fn push(
        &mut self,
        chunk: &[u8],
        mut hear: impl FnMut(&[u8]) -> Result<(), FeedError>,
    ) -> Result<(), FeedError> {
        self.rest.extend_from_slice(chunk);
        let mut start = 0;
        while let Some(length) = self.rest[start..].iter().position(|byte| *byte == b'\n') {
            let line = self.rest[start..start + length].trim_ascii();
            start += length + 1;
            if !line.is_empty() {
                hear(line)?;
            }
        }
        self.rest.drain(..start);
        if self.rest.len() > MAX_LINE { Err(FeedError::Malformed) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn lines_do_not_depend_on_where_chunks_end(cuts in prop::collection::vec(0usize..40, 0..8)) {
            let text = b"first\n\n second line\r\n\n7\n";
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.sort_unstable();
            let mut lines = Lines::default();
            let mut read = Vec::new();
            let mut start = 0;
            for cut in cuts.into_iter().chain([text.len()]) {
                lines.push(&text[start..cut], |line| {
                    read.push(line.to_owned());
                    Ok(())
                }).unwrap();
                start = cut;
            }
            prop_assert_eq!(read, [&b"first"[..], b"second line", b"7"]);
        }
    }

    #[test]
    fn a_line_without_end_is_not_waited_for() {
        let mut lines = Lines::default();
        assert!(lines.push(&[b'x'; MAX_LINE], |_| Ok(())).is_ok());
        assert!(matches!(lines.push(b"x", |_| Ok(())), Err(FeedError::Malformed)));
    }
}
