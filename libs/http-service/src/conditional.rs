//! Conditional requests (RFC 9110 §13): whether the caller's copy is still good, and whether what it assumes still holds.
//!
//! Two things are FHIR's way. Entity tags are weak, and `If-Match` compares them all the same ("http", managing resource
//! contention); strong comparison would refuse every one. And a tag may be a bare version, `W/"3"`: it stands for whatever
//! is shown of version 3, `W/"3.x7Kd…"` (`docs/decisions/0005-entity-tags.md`).

use std::time::SystemTime;

use http::{HeaderMap, HeaderName, HeaderValue, header};
use time::OffsetDateTime;

/// The headers that make a request conditional.
pub const CONDITIONS: [HeaderName; 4] =
    [header::IF_MATCH, header::IF_UNMODIFIED_SINCE, header::IF_NONE_MATCH, header::IF_MODIFIED_SINCE];

/// What tells one state of a representation from another.
#[derive(Clone, Copy, Debug)]
pub struct Validators<'v> {
    /// Its entity tag, as the header `ETag` has it.
    pub tag: &'v str,
    /// When it last changed, in whole seconds, if that is known.
    pub changed: Option<OffsetDateTime>,
}

/// What the conditions of a request come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// They hold, or there are none: the answer is the one without them.
    Answer,
    /// The caller has this state: 304.
    NotModified,
    /// The state is not the one that the caller assumes: 412.
    Failed,
}

impl Validators<'_> {
    /// Judges a request to read, in the order of RFC 9110 §13.2.2. To be asked once the answer is known to be a success
    /// (§13.2.1). What is no date counts as absent.
    pub fn judge(&self, headers: &HeaderMap) -> Judgement {
        if headers.contains_key(header::IF_MATCH) {
            if !self.is_named(headers, &header::IF_MATCH) {
                return Judgement::Failed;
            }
        } else if let (Some(since), Some(changed)) =
            (date(headers, &header::IF_UNMODIFIED_SINCE), self.changed)
            && changed > since
        {
            return Judgement::Failed;
        }
        let has_it = if headers.contains_key(header::IF_NONE_MATCH) {
            self.is_named(headers, &header::IF_NONE_MATCH)
        } else {
            let since = date(headers, &header::IF_MODIFIED_SINCE);
            since.zip(self.changed).is_some_and(|(since, changed)| changed <= since)
        };
        if has_it { Judgement::NotModified } else { Judgement::Answer }
    }

    /// Whether one of the tags in a header names this state: `*`, the tag, or the version in front of its dot.
    fn is_named(&self, headers: &HeaderMap, name: &HeaderName) -> bool {
        let own = opaque(self.tag);
        let names = |tag: &str| {
            let version = || {
                let version = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"'))?;
                let digits = !version.is_empty() && version.bytes().all(|byte| byte.is_ascii_digit());
                let rest = own.strip_prefix('"')?.strip_prefix(version)?;
                (digits && rest.starts_with('.')).then_some(())
            };
            tag == "*" || tag == own || version().is_some()
        };
        let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).map(opaque).any(names)
    }
}

/// Whether a request is conditional.
pub fn is_conditional(headers: &HeaderMap) -> bool {
    CONDITIONS.iter().any(|name| headers.contains_key(name))
}

/// A time as headers have it (RFC 9110 §5.6.7), in whole seconds.
pub fn http_date(at: OffsetDateTime) -> Option<HeaderValue> {
    // What lies before the epoch has no such form.
    (at.unix_timestamp() >= 0)
        .then(|| HeaderValue::try_from(httpdate::fmt_http_date(SystemTime::from(at))).ok())
        .flatten()
}

/// The one date in a header, in any of the three forms of RFC 9110 §5.6.7.
fn date(headers: &HeaderMap, name: &HeaderName) -> Option<OffsetDateTime> {
    let mut values = headers.get_all(name).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    httpdate::parse_http_date(value.to_str().ok()?.trim()).ok().map(OffsetDateTime::from)
}

/// An entity tag without its weakness.
fn opaque(tag: &str) -> &str {
    let tag = tag.trim();
    tag.strip_prefix("W/").unwrap_or(tag)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use time::macros::datetime;

    use super::*;

    const CHANGED: OffsetDateTime = datetime!(2026-01-15 09:30 UTC);
    const STATE: Validators<'static> = Validators { tag: "W/\"7.x7Kd\"", changed: Some(CHANGED) };

    fn judged(headers: &[(HeaderName, &str)]) -> Judgement {
        let header =
            |(name, value): &(HeaderName, &str)| (name.clone(), HeaderValue::from_str(value).unwrap());
        STATE.judge(&headers.iter().map(header).collect())
    }

    #[test]
    fn a_state_is_known_by_its_tag_its_version_or_a_star() {
        for tag in ["W/\"7.x7Kd\"", "\"7.x7Kd\"", "W/\"7\"", "\"7\"", "\"1\", W/\"7\"", "*"] {
            assert_eq!(judged(&[(header::IF_NONE_MATCH, tag)]), Judgement::NotModified, "{tag}");
            assert_eq!(judged(&[(header::IF_MATCH, tag)]), Judgement::Answer, "{tag}");
        }
        for tag in ["W/\"6\"", "\"7.x7\"", "\"7.x7Kd.xml\"", "\"\"", "7", "\"7.\"", "", "W/"] {
            assert_eq!(judged(&[(header::IF_NONE_MATCH, tag)]), Judgement::Answer, "{tag}");
            assert_eq!(judged(&[(header::IF_MATCH, tag)]), Judgement::Failed, "{tag}");
        }
    }

    #[test]
    fn times_are_compared_in_whole_seconds_and_in_all_three_forms() {
        for same in
            ["Thu, 15 Jan 2026 09:30:00 GMT", "Thursday, 15-Jan-26 09:30:00 GMT", "Thu Jan 15 09:30:00 2026"]
        {
            assert_eq!(judged(&[(header::IF_MODIFIED_SINCE, same)]), Judgement::NotModified, "{same}");
            assert_eq!(judged(&[(header::IF_UNMODIFIED_SINCE, same)]), Judgement::Answer, "{same}");
        }
        let before = "Thu, 15 Jan 2026 09:29:59 GMT";
        assert_eq!(judged(&[(header::IF_MODIFIED_SINCE, before)]), Judgement::Answer);
        assert_eq!(judged(&[(header::IF_UNMODIFIED_SINCE, before)]), Judgement::Failed);
        for none in ["yesterday", "", "2026-01-15T09:30:00Z"] {
            assert_eq!(judged(&[(header::IF_MODIFIED_SINCE, none)]), Judgement::Answer);
            assert_eq!(judged(&[(header::IF_UNMODIFIED_SINCE, none)]), Judgement::Answer);
        }
    }

    #[test]
    fn tags_count_before_times_and_assumptions_before_copies() {
        let (before, after) = ("Thu, 15 Jan 2026 09:29:59 GMT", "Fri, 16 Jan 2026 09:30:00 GMT");
        assert_eq!(
            judged(&[(header::IF_NONE_MATCH, "\"6\""), (header::IF_MODIFIED_SINCE, after)]),
            Judgement::Answer
        );
        assert_eq!(
            judged(&[(header::IF_MATCH, "\"7\""), (header::IF_UNMODIFIED_SINCE, before)]),
            Judgement::Answer
        );
        assert_eq!(
            judged(&[(header::IF_MATCH, "\"6\""), (header::IF_NONE_MATCH, "\"7\"")]),
            Judgement::Failed
        );
        assert_eq!(
            judged(&[(header::IF_MATCH, "\"7\""), (header::IF_NONE_MATCH, "\"7\"")]),
            Judgement::NotModified
        );
    }

    #[test]
    fn without_a_time_only_tags_count() {
        let state = Validators { changed: None, ..STATE };
        let later = HeaderValue::from_static("Fri, 16 Jan 2026 09:30:00 GMT");
        assert_eq!(
            state.judge(&HeaderMap::from_iter([(header::IF_MODIFIED_SINCE, later)])),
            Judgement::Answer
        );
    }

    #[test]
    fn dates_are_written_as_they_are_read() {
        assert_eq!(http_date(CHANGED).unwrap(), "Thu, 15 Jan 2026 09:30:00 GMT");
        assert_eq!(http_date(datetime!(1969-12-31 23:59:59 UTC)), None);
    }

    proptest! {
        #[test]
        fn any_header_is_judged(value in "[ -~]{0,40}") {
            for name in CONDITIONS {
                let _ = judged(&[(name, &value)]);
            }
        }
    }
}
