//! What a foreign server said: a page of a search, read with suspicion.

use fhir_model::schema::is_valid_id;
use serde_json::Value;

/// How deep an answer may nest. The rules stop a little deeper, and then they hide.
const MAX_DEPTH: usize = 64;

/// Why an answer of a foreign server cannot be filtered, and so is not sent. For the log; the caller learns only that it
/// is so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfilterable {
    /// A status that is neither success nor error, or a success that is not the whole.
    #[error("its status is {0}")]
    Status(u16),
    /// Not FHIR JSON.
    #[error("its media type is not FHIR JSON")]
    MediaType,
    /// Compressed, though nobody asked for that.
    #[error("it has a content coding")]
    Coded,
    /// Larger than is read.
    #[error("it is larger than {0} bytes")]
    TooLarge(usize),
    /// It ended early, or did not end in time.
    #[error("it did not arrive whole")]
    Cut,
    /// Not JSON in UTF-8.
    #[error("it is not JSON")]
    NotJson,
    /// Nested deeper than is read.
    #[error("it is nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
    /// Not a Bundle of a search.
    #[error("it is not a Bundle of the type searchset")]
    NotASearchset,
    /// An entry that is not what was asked for, or has no id.
    #[error("an entry is not a {0} with an id")]
    Entry(&'static str),
    /// A resource that the server itself calls incomplete.
    #[error("a resource has the tag SUBSETTED")]
    Incomplete,
    /// A link that leads elsewhere, or two.
    #[error("its link to the next page does not lead to the server")]
    Link,
    /// More questions or bytes than one request may cost.
    #[error("the request would cost more than {0} questions or bytes")]
    TooMuch(usize),
    /// The place of the next page does not fit into an address.
    #[error("its link to the next page is too long")]
    LongLink,
}

/// One page of a search.
#[derive(Debug)]
pub(crate) struct Page {
    /// The matches with their ids, in the server's order.
    pub(crate) matches: Vec<(String, Value)>,
    /// The link to the next page, as told.
    pub(crate) next: Option<String>,
}

/// Reads the answer to a search for resources of a type. Entries that are not matches are not looked at.
pub(crate) fn read(body: &[u8], expected: &'static str) -> Result<Page, Unfilterable> {
    let mut bundle: Value = serde_json::from_slice(body).map_err(|error| {
        // The parser's own limit is deeper than ours.
        if error.to_string().contains("recursion limit") {
            Unfilterable::TooDeep
        } else {
            Unfilterable::NotJson
        }
    })?;
    if is_deeper(&bundle, MAX_DEPTH) {
        return Err(Unfilterable::TooDeep);
    }
    let says = |name: &str, word: &str| bundle.get(name).and_then(Value::as_str) == Some(word);
    if !(says("resourceType", "Bundle") && says("type", "searchset")) {
        return Err(Unfilterable::NotASearchset);
    }
    let next = next_link(&bundle)?;
    let entries = match bundle.get_mut("entry").map(Value::take) {
        None => Vec::new(),
        Some(Value::Array(entries)) => entries,
        Some(_) => return Err(Unfilterable::NotASearchset),
    };
    let mut matches = Vec::with_capacity(entries.len());
    for mut entry in entries {
        let mode = entry.get("search").and_then(|search| search.get("mode")?.as_str());
        if mode.is_some_and(|mode| mode != "match") {
            continue;
        }
        let resource = entry.get_mut("resource").map(Value::take).ok_or(Unfilterable::Entry(expected))?;
        let text = |name: &str| resource.get(name).and_then(Value::as_str);
        let id = text("id").filter(|id| text("resourceType") == Some(expected) && is_valid_id(id));
        let id = id.ok_or(Unfilterable::Entry(expected))?.to_owned();
        if is_subsetted(&resource) {
            return Err(Unfilterable::Incomplete);
        }
        matches.push((id, resource));
    }
    Ok(Page { matches, next })
}

fn next_link(bundle: &Value) -> Result<Option<String>, Unfilterable> {
    let links = bundle.get("link").and_then(Value::as_array).into_iter().flatten();
    let mut next = links.filter(|link| link.get("relation").and_then(Value::as_str) == Some("next"));
    match (next.next(), next.next()) {
        (None, _) => Ok(None),
        (Some(link), None) => {
            let url = link.get("url").and_then(Value::as_str).ok_or(Unfilterable::Link)?;
            Ok(Some(url.to_owned()))
        }
        (Some(_), Some(_)) => Err(Unfilterable::Link),
    }
}

fn is_subsetted(resource: &Value) -> bool {
    let tags = resource.get("meta").and_then(|meta| meta.get("tag")?.as_array());
    tags.into_iter().flatten().any(|tag| tag.get("code").and_then(Value::as_str) == Some("SUBSETTED"))
}

fn is_deeper(value: &Value, levels: usize) -> bool {
    let deeper = |value: &Value| levels == 0 || is_deeper(value, levels - 1);
    match value {
        Value::Array(items) => items.iter().any(deeper),
        Value::Object(object) => object.values().any(deeper),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const PRODUCT: &str = "MedicinalProductDefinition";

    fn entry(resource: &Value) -> Value {
        json!({"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": resource}]})
    }

    fn refusal(bundle: &Value) -> Unfilterable {
        read(bundle.to_string().as_bytes(), PRODUCT).unwrap_err()
    }

    #[test]
    fn matches_and_the_next_link_are_read() {
        let product = json!({"resourceType": "MedicinalProductDefinition", "id": "1"});
        let bundle = json!({"resourceType": "Bundle", "type": "searchset", "total": 17,
            "link": [{"relation": "self", "url": "a"}, {"relation": "next", "url": "b"}],
            "entry": [
                {"resource": product, "search": {"mode": "match"}},
                {"resource": {"resourceType": "OperationOutcome"}, "search": {"mode": "outcome"}},
                {"resource": {"resourceType": "Organization", "id": "o"}, "search": {"mode": "include"}}]});
        let page = read(bundle.to_string().as_bytes(), PRODUCT).unwrap();
        assert_eq!((page.matches.len(), page.next.as_deref()), (1, Some("b")));
        let empty = read(br#"{"resourceType":"Bundle","type":"searchset"}"#, PRODUCT).unwrap();
        assert!(empty.matches.is_empty() && empty.next.is_none());
    }

    #[test]
    fn what_is_not_a_page_of_what_was_asked_is_refused() {
        use Unfilterable::{Entry, Incomplete, Link, NotASearchset, NotJson, TooDeep};
        for body in ["", "{", "<Bundle/>", "{}x", "\u{feff}{}"] {
            assert_eq!(read(body.as_bytes(), PRODUCT).unwrap_err(), NotJson, "{body}");
        }
        assert_eq!(read(b"{\"a\":\"\xff\"}", PRODUCT).unwrap_err(), NotJson);
        for bundle in [
            json!([]),
            json!({"resourceType": "OperationOutcome"}),
            json!({"resourceType": "Bundle", "type": "batch"}),
            json!({"resourceType": "Bundle", "type": "searchset", "entry": {}}),
        ] {
            assert_eq!(refusal(&bundle), NotASearchset, "{bundle}");
        }
        for resource in [
            json!(null),
            json!({"resourceType": "Patient", "id": "1"}),
            json!({"resourceType": "Ingredient", "id": "1"}),
            json!({"resourceType": "MedicinalProductDefinition"}),
            json!({"resourceType": "MedicinalProductDefinition", "id": "../1"}),
        ] {
            assert_eq!(refusal(&entry(&resource)), Entry(PRODUCT), "{resource}");
        }
        let part = json!({"resourceType": "MedicinalProductDefinition", "id": "1",
            "meta": {"tag": [{"code": "SUBSETTED"}]}});
        assert_eq!(refusal(&entry(&part)), Incomplete);
        let two = json!({"resourceType": "Bundle", "type": "searchset",
            "link": [{"relation": "next", "url": "a"}, {"relation": "next", "url": "b"}]});
        assert_eq!(refusal(&two), Link);
        for depth in [MAX_DEPTH, 200] {
            let deep = format!(
                r#"{{"resourceType":"Bundle","type":"searchset","entry":[{{"resource":{}1{}}}]}}"#,
                "[".repeat(depth),
                "]".repeat(depth)
            );
            assert_eq!(read(deep.as_bytes(), PRODUCT).unwrap_err(), TooDeep, "{depth}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&body, PRODUCT);
        }
    }
}
