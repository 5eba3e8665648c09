//! A record as it stands in the file: one line of JSON whose last member is its link in the chain.

use audit_chain::{ChainKey, Chained, Text};
use config::Interaction;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::Call;

/// What stands before the link in a line.
const LINK: &str = ",\"link\":\"";
/// Characters of a link: a SHA-256 in hexadecimal.
const LINK_LENGTH: usize = 64;

/// A call of a known caller.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ReadRecord {
    /// The id by which the caller, the access log and the backend's log know the request.
    pub request_id: String,
    /// The client.
    pub client: String,
    /// Its organisation; none for public clients.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub organisation: Option<String>,
    /// Its stakeholder group.
    pub stakeholder: String,
    /// The network address it came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// The API product.
    pub product: String,
    /// The operation's number: `EP303`.
    pub operation: String,
    /// The kind of interaction: `read`, `vread`, `search-type`, `history-instance`, or an operation's name.
    pub interaction: String,
    /// The resource type that it is about.
    pub resource_type: String,
    /// The id that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// The version that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The names of the parameters, without their values.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parameters: Vec<String>,
    /// The status of the answer.
    pub status: u16,
    /// The rule that refused it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refusal: Option<String>,
    /// Resources shown.
    pub resources: u32,
    /// Elements withheld from them.
    pub withheld: u32,
    /// Resources wholly withheld, where the answer is about whole products.
    pub hidden: u32,
    /// The products that something was shown of, at most the first fifty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub products: Vec<String>,
}

/// What a record tells of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A call.
    Read(Box<ReadRecord>),
    /// So many calls found no place in the queue and left no record.
    Lost(u64),
}

impl ReadRecord {
    /// What a request left; none when its operation cannot be found any more, which cannot be.
    pub(super) fn of(call: &Call) -> Option<Self> {
        let (product, operation) = call.operation()?;
        let caller = &call.caller;
        let told = call.disclosed.clone().unwrap_or_default();
        Some(Self {
            request_id: call.request_id.as_ref().map(|id| id.as_str().to_owned()).unwrap_or_default(),
            client: caller.client_id.to_string(),
            organisation: caller.organisation.as_ref().map(ToString::to_string),
            stakeholder: caller.grant.stakeholder.to_string(),
            origin: call.origin.map(|address| address.to_string()),
            product: product.id.clone(),
            operation: operation.ep.clone(),
            interaction: word(operation.interaction).to_owned(),
            resource_type: operation.resource_type.clone(),
            id: call.subject.id.clone(),
            version: call.subject.version.clone(),
            parameters: call.subject.parameters.clone(),
            status: call.status.as_u16(),
            refusal: call.refusal.map(str::to_owned),
            resources: told.resources,
            withheld: told.withheld,
            hidden: told.hidden,
            products: told.products,
        })
    }
}

/// FHIR's own words (code system restful-interaction), and the names of operations.
const fn word(interaction: Interaction) -> &'static str {
    match interaction {
        Interaction::Search => "search-type",
        Interaction::Read => "read",
        Interaction::Vread => "vread",
        Interaction::History => "history-instance",
        Interaction::Everything => "everything",
        Interaction::Merge => "merge",
        Interaction::TransactionResponse => "transaction-response",
    }
}

/// A record with its place in the chain, to the byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// 1, 2, 3… without gaps.
    pub number: i64,
    /// The JSON object without its link.
    body: String,
}

/// Why a line is no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a line is no record of this trail")]
pub struct NoRecord;

impl Line {
    /// A new record.
    pub(super) fn new(number: i64, at: OffsetDateTime, entry: &Entry) -> Self {
        #[derive(Serialize)]
        struct Body<'a> {
            number: i64,
            at: String,
            #[serde(skip_serializing_if = "Option::is_none")]
            read: Option<&'a ReadRecord>,
            #[serde(skip_serializing_if = "Option::is_none")]
            lost: Option<u64>,
        }
        let (read, lost) = match entry {
            Entry::Read(read) => (Some(&**read), None),
            Entry::Lost(count) => (None, Some(*count)),
        };
        let body = Body { number, at: at.format(&Rfc3339).unwrap_or_default(), read, lost };
        Self { number, body: serde_json::to_string(&body).unwrap_or_default() }
    }

    /// The line with its link, and a line feed.
    pub(super) fn sealed(&self, link: &str) -> String {
        let body = self.body.strip_suffix('}').unwrap_or(&self.body);
        format!("{body}{LINK}{link}\"}}\n")
    }

    /// Reads a line: the record, and the link that it carries.
    ///
    /// # Errors
    /// A line of another form.
    pub fn read(line: &str) -> Result<(Self, &str), NoRecord> {
        let rest = line.trim_end_matches('\n').strip_suffix("\"}").ok_or(NoRecord)?;
        let (rest, link) =
            rest.split_at_checked(rest.len().checked_sub(LINK_LENGTH).ok_or(NoRecord)?).ok_or(NoRecord)?;
        let body = format!("{}}}", rest.strip_suffix(LINK).ok_or(NoRecord)?);
        let number = parsed(&body).and_then(|body| body.get("number")?.as_i64()).ok_or(NoRecord)?;
        Ok((Self { number, body }, link))
    }

    /// What it tells, and when that was.
    pub fn content(&self) -> Option<(OffsetDateTime, Entry)> {
        let mut body = parsed(&self.body)?;
        let at = OffsetDateTime::parse(body.get("at")?.as_str()?, &Rfc3339).ok()?;
        let entry = match body.get("lost").and_then(Value::as_u64) {
            Some(count) => Entry::Lost(count),
            None => Entry::Read(serde_json::from_value(body.get_mut("read")?.take()).ok()?),
        };
        Some((at, entry))
    }

    /// The link that it has after `previous`.
    pub(super) fn link(&self, key: &ChainKey, previous: &str) -> String {
        key.link(previous, self)
    }
}

fn parsed(body: &str) -> Option<Value> {
    serde_json::from_str(body).ok()
}

impl Chained for Line {
    const FORM: &'static str = "pmsgate read record v1";

    fn number(&self) -> i64 {
        self.number
    }

    fn write(&self, text: &mut Text) {
        text.field(Some(&self.body));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use time::macros::datetime;

    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let read = ReadRecord { client: "c\"1".into(), withheld: 3, ..ReadRecord::default() };
        for entry in [Entry::Read(Box::new(read)), Entry::Lost(7)] {
            let at = datetime!(2026-06-12 12:00:00.5 UTC);
            let line = Line::new(5, at, &entry);
            let link = line.link(&ChainKey::new(&[1; 32]), "");
            let text = line.sealed(&link);
            assert_eq!(text.lines().count(), 1);
            assert_eq!(Line::read(&text), Ok((line.clone(), link.as_str())));
            assert_eq!(line.content(), Some((at, entry)));
        }
    }

    proptest! {
        #[test]
        fn any_line_is_a_record_or_none(text in ".{0,200}") {
            let _ = Line::read(&text);
        }
    }
}
