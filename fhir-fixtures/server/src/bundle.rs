//! Bundles put together from prepared bytes, without parsing or writing any resource again.

use std::fmt::Write as _;

use bytes::Bytes;
use http::{HeaderMap, Uri, header};

use crate::views::Rendered;

/// The address under which this server was asked, and everything in its answers stands.
#[derive(Clone, Debug)]
pub(crate) struct Base(String);

impl Base {
    /// From the Host header (HTTP/1.1) or the authority (HTTP/2), and the product's base path.
    pub(crate) fn of(uri: &Uri, headers: &HeaderMap, base_path: &str) -> Self {
        let host = headers
            .get(header::HOST)
            .and_then(|host| host.to_str().ok())
            .or_else(|| uri.authority().map(http::uri::Authority::as_str))
            .filter(|host| {
                (1..=255).contains(&host.len())
                    && host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-:[]_".contains(&b))
            })
            .unwrap_or("localhost");
        Self(format!("http://{host}{base_path}"))
    }

    /// The address itself.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The address of `path`, with a query where that is not empty.
    pub(crate) fn link(&self, path: &str, query: &str) -> String {
        let mark = if query.is_empty() { "" } else { "?" };
        format!("{}{path}{mark}{query}", self.0)
    }
}

/// Why an entry is on a page (FHIR search, `Bundle.entry.search`).
pub(crate) const MATCH: &str = r#","search":{"mode":"match"}"#;

/// The entry is there because of `_include` or `_revinclude`.
pub(crate) const INCLUDED: &str = r#","search":{"mode":"include"}"#;

/// A Bundle being written.
pub(crate) struct BundleWriter {
    out: String,
    entries: usize,
}

impl BundleWriter {
    /// Type, total (if counted) and links first; `room` is the expected length of the bodies.
    pub(crate) fn new(kind: &str, total: Option<i64>, links: &[(&str, String)], room: usize) -> Self {
        let mut out = String::with_capacity(room + 512);
        let _ = write!(out, r#"{{"resourceType":"Bundle","type":"{kind}""#);
        if let Some(total) = total {
            let _ = write!(out, r#","total":{total}"#);
        }
        out.push_str(r#","link":["#);
        for (n, (relation, url)) in links.iter().enumerate() {
            let comma = if n == 0 { "" } else { "," };
            // A URI holds no control characters; quotes and backslashes are all that JSON needs escaped.
            let url = url.replace('\\', "\\\\").replace('"', "\\\"");
            let _ = write!(out, r#"{comma}{{"relation":"{relation}","url":"{url}"}}"#);
        }
        out.push(']');
        Self { out, entries: 0 }
    }

    /// An entry with a resource; `after` is what follows it, such as `,"search":{"mode":"match"}`.
    pub(crate) fn entry(&mut self, base: &Base, resource: &Rendered, after: &str) {
        self.open();
        let _ = write!(
            self.out,
            r#"{{"fullUrl":"{}/{}/{}","resource":"#,
            base.as_str(),
            resource.resource_type,
            resource.id
        );
        self.resource(&resource.body);
        self.out.push_str(after);
        self.out.push('}');
    }

    /// An entry without address: an OperationOutcome about the search.
    pub(crate) fn outcome(&mut self, outcome: &str) {
        self.open();
        let _ = write!(self.out, r#"{{"resource":{outcome},"search":{{"mode":"outcome"}}}}"#);
    }

    fn open(&mut self) {
        self.out.push_str(if self.entries == 0 { r#","entry":["# } else { "," });
        self.entries += 1;
    }

    fn resource(&mut self, body: &Bytes) {
        // Written by serde_json, so it is UTF-8.
        self.out.push_str(std::str::from_utf8(body).unwrap_or("null"));
    }

    /// The finished Bundle.
    pub(crate) fn finish(mut self) -> Bytes {
        self.out.push_str(if self.entries == 0 { "}" } else { "]}" });
        Bytes::from(self.out)
    }
}
