//! Files of an import: one JSON document, or one on each line (NDJSON), read without holding a large file in memory.

use std::{
    io::{Read as _, Seek as _, SeekFrom},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use fhir_model::json::strict;
use serde::de::IgnoredAny;
use serde_json::Value;
use tokio::{
    fs::File,
    io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader},
};

/// The longest line or document that is read.
const MAX_DOCUMENT: u64 = 256 << 20;

/// How a file is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// One JSON document.
    Document,
    /// One JSON document on each line.
    Lines,
}

/// A file to import.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) path: PathBuf,
    /// As the person gave it.
    pub(super) name: String,
    pub(super) bytes: u64,
}

/// Where a document stands in its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) offset: u64,
    pub(super) bytes: u64,
    /// From 1; 0 when the document is the whole file.
    pub(super) line: u64,
}

impl Span {
    /// `line 7`, or nothing for a whole file.
    pub(super) fn place(self) -> String {
        if self.line == 0 { String::new() } else { format!("line {}", self.line) }
    }
}

/// Looks at a file; the error is a reason for a person.
pub(super) async fn source(path: &Path) -> Result<Source, String> {
    let name = path.display().to_string();
    match tokio::fs::metadata(path).await {
        Ok(found) if found.is_file() => Ok(Source { path: path.to_owned(), name, bytes: found.len() }),
        Ok(_) => Err("is not a file: name the files themselves".to_owned()),
        Err(error) => Err(format!("cannot be read: {error}")),
    }
}

/// Reads a file document by document.
pub(super) struct Documents {
    reader: BufReader<File>,
    layout: Layout,
    offset: u64,
    line: u64,
    done: bool,
}

/// What was read, not yet looked into.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) span: Span,
    bytes: Vec<u8>,
}

impl Document {
    /// The document as a tree, or why it is none.
    pub(super) fn parse(&self) -> Result<Value, String> {
        parse(&self.bytes, self.span.line)
    }
}

impl Documents {
    /// Opens a file and finds out how it is laid out.
    pub(super) async fn open(source: &Source) -> Result<Self, String> {
        let layout = layout(source).await?;
        if layout == Layout::Document && source.bytes > MAX_DOCUMENT {
            return Err(format!(
                "is one document of more than {} MiB: write it as NDJSON, one resource or Bundle on each line",
                MAX_DOCUMENT >> 20
            ));
        }
        Ok(Self {
            reader: BufReader::new(open(&source.path).await?),
            layout,
            offset: 0,
            line: 0,
            done: false,
        })
    }

    /// The next document; nothing at the end of the file. Empty lines are passed over.
    pub(super) async fn next(&mut self) -> Result<Option<Document>, String> {
        if self.layout == Layout::Document {
            if std::mem::replace(&mut self.done, true) {
                return Ok(None);
            }
            let mut bytes = Vec::new();
            self.reader.read_to_end(&mut bytes).await.map_err(unreadable)?;
            let span = Span { offset: 0, bytes: bytes.len() as u64, line: 0 };
            return Ok(Some(Document { span, bytes }));
        }
        loop {
            let mut bytes = Vec::new();
            let read = (&mut self.reader)
                .take(MAX_DOCUMENT)
                .read_until(b'\n', &mut bytes)
                .await
                .map_err(unreadable)?;
            if read == 0 {
                return Ok(None);
            }
            if read as u64 == MAX_DOCUMENT && bytes.last() != Some(&b'\n') {
                return Err(format!("line {} is longer than {} MiB", self.line + 1, MAX_DOCUMENT >> 20));
            }
            self.line += 1;
            let span = Span { offset: self.offset, bytes: read as u64, line: self.line };
            self.offset += read as u64;
            if !trimmed(&bytes).is_empty() {
                return Ok(Some(Document { span, bytes }));
            }
        }
    }
}

/// Reads documents of a file again.
#[derive(Clone, Debug)]
pub(super) struct Rereader {
    /// Locked from finding the place until all of it is read.
    file: Arc<Mutex<std::fs::File>>,
}

impl Rereader {
    pub(super) fn open(source: &Source) -> Result<Self, String> {
        let file = std::fs::File::open(&source.path).map_err(unreadable)?;
        Ok(Self { file: Arc::new(Mutex::new(file)) })
    }

    /// The document at `span`. Blocks.
    pub(super) fn read(&self, span: Span) -> Result<Value, String> {
        let mut bytes = vec![0; usize::try_from(span.bytes).map_err(|_| "is too long".to_owned())?];
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(span.offset))
            .and_then(|_| file.read_exact(&mut bytes))
            .map_err(unreadable)?;
        drop(file);
        parse(&bytes, span.line)
    }
}

async fn open(path: &Path) -> Result<File, String> {
    File::open(path).await.map_err(unreadable)
}

#[expect(clippy::needless_pass_by_value, reason = "the signature of map_err")]
fn unreadable(error: std::io::Error) -> String {
    format!("cannot be read: {error}")
}

/// NDJSON by its name, or because its first line is a whole object and more follows.
async fn layout(source: &Source) -> Result<Layout, String> {
    let extension = source.path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    if ["ndjson", "jsonl"].iter().any(|lines| extension.eq_ignore_ascii_case(lines)) {
        return Ok(Layout::Lines);
    }
    let mut reader = BufReader::new(open(&source.path).await?);
    let mut first = Vec::new();
    (&mut reader).take(MAX_DOCUMENT).read_until(b'\n', &mut first).await.map_err(unreadable)?;
    let text = trimmed(&first);
    if !text.starts_with(b"{") || serde_json::from_slice::<IgnoredAny>(text).is_err() {
        return Ok(Layout::Document);
    }
    loop {
        let mut next = Vec::new();
        if (&mut reader).take(MAX_DOCUMENT).read_until(b'\n', &mut next).await.map_err(unreadable)? == 0 {
            return Ok(Layout::Document);
        }
        if !trimmed(&next).is_empty() {
            return Ok(if trimmed(&next).starts_with(b"{") { Layout::Lines } else { Layout::Document });
        }
    }
}

/// Without white space around it and the byte order mark before it.
fn trimmed(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii()
}

/// Parses a document; the reason names line and column in the file.
fn parse(bytes: &[u8], line: u64) -> Result<Value, String> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    if trimmed(bytes).is_empty() {
        return Err("is empty".to_owned());
    }
    if trimmed(bytes).starts_with(b"<") {
        return Err("looks like XML: only JSON and NDJSON are imported".to_owned());
    }
    strict::parse(bytes).map_err(|error| {
        let line = if line == 0 { error.line as u64 } else { line };
        format!("is not valid JSON: {} at line {line}, column {}", error.what, error.column)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_named_by_its_line_in_the_file() {
        assert_eq!(
            parse(b"{\n \"a\": }", 0),
            Err("is not valid JSON: expected value at line 2, column 7".to_owned())
        );
        assert_eq!(
            parse(b"{\"a\": }", 12),
            Err("is not valid JSON: expected value at line 12, column 7".to_owned())
        );
        assert!(parse(b"<Bundle/>", 0).unwrap_err().contains("XML"));
        assert!(parse(b"\xef\xbb\xbf{}", 0).is_ok());
    }
}
