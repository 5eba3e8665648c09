//! Pure: what a caller wishes of a cache (RFC 9111 §5.2.1).

use http::{HeaderMap, header};

/// Whether, and how old, a kept answer may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// Any that is true.
    Any,
    /// At most so many seconds.
    Younger(u64),
    /// None: the answer shall come from where it is made, and not be kept for others either.
    None,
}

impl Wish {
    /// Of several directives the strictest counts; what is not understood of `max-age` counts as strictest.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let mut wish = Self::Any;
        for value in headers.get_all(header::CACHE_CONTROL) {
            for directive in value.to_str().unwrap_or("no-store").split(',') {
                let (name, argument) = directive.split_once('=').unwrap_or((directive, ""));
                let name = name.trim();
                if name.eq_ignore_ascii_case("no-store") || name.eq_ignore_ascii_case("no-cache") {
                    return Self::None;
                }
                if name.eq_ignore_ascii_case("max-age") {
                    let seconds = argument.trim().trim_matches('"').parse().unwrap_or(0);
                    wish = match wish {
                        Self::Younger(known) => Self::Younger(known.min(seconds)),
                        _ => Self::Younger(seconds),
                    };
                }
            }
        }
        if wish == Self::Younger(0) { Self::None } else { wish }
    }

    /// Whether an answer of this age will do.
    pub(super) fn takes(self, age: u64) -> bool {
        match self {
            Self::Any => true,
            Self::Younger(most) => age <= most,
            Self::None => false,
        }
    }
}

/// Whether an answer may be kept by nobody (RFC 9111 §5.2.2.5). `private` and `no-cache` speak to caches that know neither
/// callers nor changes.
pub(super) fn forbids_keeping(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::CACHE_CONTROL).iter();
    values
        .flat_map(|value| value.to_str().unwrap_or("no-store").split(','))
        .any(|directive| directive.trim().eq_ignore_ascii_case("no-store"))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(values: &[&str]) -> HeaderMap {
        values.iter().map(|value| (header::CACHE_CONTROL, HeaderValue::from_str(value).unwrap())).collect()
    }

    #[test]
    fn the_strictest_wish_counts() {
        for (values, wish) in [
            (&[][..], Wish::Any),
            (&["max-stale=5", "no-transform"], Wish::Any),
            (&["max-age=60"], Wish::Younger(60)),
            (&["max-age=60, MAX-AGE = \"5\""], Wish::Younger(5)),
            (&["max-age=60", "no-cache"], Wish::None),
            (&["No-Store"], Wish::None),
            (&["max-age=0"], Wish::None),
            (&["max-age"], Wish::None),
            (&["max-age=soon"], Wish::None),
            (&["é"], Wish::None),
        ] {
            assert_eq!(Wish::of(&headers(values)), wish, "{values:?}");
        }
        assert!(Wish::Younger(5).takes(5) && !Wish::Younger(5).takes(6) && !Wish::None.takes(0));
    }

    #[test]
    fn an_answer_says_whether_it_may_be_kept() {
        assert!(!forbids_keeping(&headers(&[])));
        assert!(!forbids_keeping(&headers(&["private, no-cache"])));
        assert!(forbids_keeping(&headers(&["private", "max-age=1, NO-STORE"])));
    }
}
