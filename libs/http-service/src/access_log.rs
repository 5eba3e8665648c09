//! One line a request: what was asked and answered, without query values, tokens or secrets.

use std::time::Duration;

use http::{Method, StatusCode, Version};

use crate::{Peer, RequestId};

/// A request extension: a line or a span will be written, and a handler may add an [`AccessNote`].
#[derive(Clone, Copy, Debug)]
pub struct NoteWanted;

/// What a handler adds to the line: an extension of its answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccessNote {
    /// The client that asked, when it is known.
    pub client_id: Option<String>,
    /// The product and operation, for example `pms-read-v3 EP301`.
    pub operation: Option<String>,
    /// Why it was refused, in one word.
    pub refusal: Option<&'static str>,
}

pub(crate) struct Line<'a> {
    pub(crate) listener: &'static str,
    pub(crate) method: &'a Method,
    pub(crate) path: &'a str,
    pub(crate) version: Version,
    pub(crate) status: StatusCode,
    pub(crate) took: Duration,
    /// Bytes of the body, where they are known before it is sent.
    pub(crate) bytes: Option<u64>,
    pub(crate) peer: Peer,
    pub(crate) request_id: &'a RequestId,
    pub(crate) note: Option<&'a AccessNote>,
}

impl Line<'_> {
    pub(crate) fn write(&self) {
        let none = AccessNote::default();
        let note = self.note.unwrap_or(&none);
        tracing::info!(
            target: "access",
            listener = self.listener,
            method = %self.method,
            path = self.path,
            version = ?self.version,
            status = self.status.as_u16(),
            bytes = self.bytes,
            micros = u64::try_from(self.took.as_micros()).unwrap_or(u64::MAX),
            peer = %self.peer.address.ip(),
            request_id = self.request_id.as_str(),
            client_id = note.client_id.as_deref().unwrap_or("-"),
            operation = note.operation.as_deref().unwrap_or("-"),
            refusal = note.refusal.unwrap_or("-"),
            "answered"
        );
    }
}
