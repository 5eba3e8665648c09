//! What a client is granted: the wished scope against the allowed one.

use access_token::{AdministrationScope, Scope};
use pms_terms::ADMINISTRATION_RESOURCE;
use thiserror::Error;

/// The longest scope parameter that is read, in bytes.
pub const MAX_SCOPE_LENGTH: usize = 4096;
/// The most scope tokens in one request.
const MAX_SCOPE_TOKENS: usize = 64;
/// What stands behind a resource to ask for everything the client may have on it.
const EVERYTHING: &str = "/.default";

/// What a token may carry.
#[derive(Clone, Debug, PartialEq)]
pub struct Grant {
    /// What it is for: its audience.
    pub resource: String,
    /// What it may be used for there.
    pub scope: Scope,
}

/// Why a wish was not granted. The text names what is allowed: whoever reads it has proven to be the client.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvalidScope {
    /// Not readable as scope tokens of either form (RFC 6749 §3.3).
    #[error(
        "the scope {scope:?} is neither {resource}/.default nor a list of SMART scopes such as {allowed:?}"
    )]
    Malformed {
        /// The token that could not be read, shortened.
        scope: String,
        /// The client's resource.
        resource: String,
        /// What the client may have.
        allowed: String,
    },
    /// A resource without `/.default` behind it.
    #[error(
        "the scope {scope:?} names a resource: ask for {resource}/.default, or for SMART scopes within {allowed:?}"
    )]
    WithoutDefault {
        /// The token.
        scope: String,
        /// The client's resource.
        resource: String,
        /// What the client may have.
        allowed: String,
    },
    /// Another resource than the client's.
    #[error(
        "this client has nothing on {scope:?}: ask for {resource}/.default, or for SMART scopes within {allowed:?}"
    )]
    OtherResource {
        /// The token.
        scope: String,
        /// The client's resource.
        resource: String,
        /// What the client may have.
        allowed: String,
    },
    /// Two `/.default`, or one beside other scopes, or scopes of two APIs: a token is for one.
    #[error(
        "ask either for {resource}/.default alone, or for SMART scopes within {allowed:?}, or for client.rotate alone"
    )]
    Mixed {
        /// The client's resource.
        resource: String,
        /// What the client may have.
        allowed: String,
    },
    /// More than the client may have.
    #[error(
        "the scope {scope:?} is more than this client may have: SMART scopes within {allowed:?}, or {resource}/.default"
    )]
    NotAllowed {
        /// What was asked for, shortened.
        scope: String,
        /// The client's resource.
        resource: String,
        /// What the client may have.
        allowed: String,
    },
    /// Longer than is read.
    #[error("the scope may have at most 4096 bytes and 64 parts")]
    TooLong,
}

/// Decides what a client gets that wishes for `wish` (none: everything, RFC 6749 §3.3) and may have `allowed` on
/// `resource`. Nothing is granted that is not allowed, and nothing is silently left out. Every client may have
/// `client.rotate`, to give itself a new secret at the administration API, and nothing else with it.
pub fn grant(wish: Option<&str>, resource: &str, allowed: &Scope) -> Result<Grant, InvalidScope> {
    let everything = || Ok(Grant { resource: resource.to_owned(), scope: allowed.clone() });
    // A parameter without a value is as good as none (RFC 6749 §3.1); blanks alone are a scope without a token (§3.3).
    let Some(wish) = wish.filter(|wish| !wish.is_empty()) else { return everything() };
    let wish = wish.trim();
    if wish.is_empty() {
        let (resource, allowed) = names(resource, allowed);
        return Err(InvalidScope::Malformed { scope: " ".to_owned(), resource, allowed });
    }
    if wish.len() > MAX_SCOPE_LENGTH {
        return Err(InvalidScope::TooLong);
    }
    let is_ours = |token: &str| token.strip_suffix(EVERYTHING) == Some(resource);
    if is_ours(wish) {
        return everything();
    }

    let mut tokens = 0;
    let mut ours = 0;
    for token in wish.split(' ').filter(|token| !token.is_empty()) {
        tokens += 1;
        if tokens > MAX_SCOPE_TOKENS {
            return Err(InvalidScope::TooLong);
        }
        if is_ours(token) {
            ours += 1;
        } else if let Some(bare) = token.strip_suffix(EVERYTHING) {
            let (resource, allowed) = names(resource, allowed);
            return Err(InvalidScope::OtherResource { scope: shortened(bare), resource, allowed });
        } else if token.contains("://") {
            let (resource, allowed) = names(resource, allowed);
            return Err(InvalidScope::WithoutDefault { scope: shortened(token), resource, allowed });
        }
    }
    if ours > 0 {
        let (resource, allowed) = names(resource, allowed);
        return Err(InvalidScope::Mixed { resource, allowed });
    }
    let Ok(wished) = Scope::parse(wish) else {
        let (resource, allowed) = names(resource, allowed);
        let scope = wish.split(' ').find(|token| Scope::parse(token).is_err()).unwrap_or(wish);
        return Err(InvalidScope::Malformed { scope: shortened(scope), resource, allowed });
    };
    if wished.administers() && wished.iter().next().is_some() {
        let (resource, allowed) = names(resource, allowed);
        return Err(InvalidScope::Mixed { resource, allowed });
    }
    let may_have = allowed.clone().with_administration(AdministrationScope::RotateOwnSecret);
    if !wished.is_subset_of(&may_have) {
        let (resource, allowed) = names(resource, allowed);
        return Err(InvalidScope::NotAllowed { scope: shortened(wish), resource, allowed });
    }
    let resource = if wished.administers() { ADMINISTRATION_RESOURCE } else { resource };
    Ok(Grant { resource: resource.to_owned(), scope: wished })
}

fn names(resource: &str, allowed: &Scope) -> (String, String) {
    (resource.to_owned(), allowed.to_string())
}

/// The beginning of a text from outside, for showing it back.
fn shortened(text: &str) -> String {
    const SHOWN: usize = 80;
    let mut shown: String = text.chars().take(SHOWN).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RESOURCE: &str = "api://pmsgate/pms";

    fn granted(wish: Option<&str>, allowed: &str) -> Result<String, InvalidScope> {
        grant(wish, RESOURCE, &Scope::parse(allowed).unwrap()).map(|grant| grant.scope.to_string())
    }

    #[test]
    fn default_and_nothing_mean_everything_allowed() {
        for wish in [None, Some(""), Some("api://pmsgate/pms/.default"), Some(" api://pmsgate/pms/.default ")]
        {
            assert_eq!(granted(wish, "system/*.cruds").unwrap(), "system/*.cruds", "{wish:?}");
        }
    }

    #[test]
    fn less_can_be_asked_for() {
        assert_eq!(
            granted(Some("system/MedicinalProductDefinition.rs"), "system/*.cruds").unwrap(),
            "system/MedicinalProductDefinition.rs"
        );
    }

    #[test]
    fn more_is_refused_and_the_allowed_named() {
        let refusal = granted(Some("system/*.cruds"), "system/*.rs").unwrap_err();
        assert!(matches!(refusal, InvalidScope::NotAllowed { .. }));
        assert!(refusal.to_string().contains("system/*.rs"), "{refusal}");
        assert!(refusal.to_string().contains("api://pmsgate/pms/.default"), "{refusal}");
    }

    #[test]
    fn every_client_may_rotate_its_secret_with_a_token_for_nothing_else() {
        let allowed = Scope::parse("system/*.rs").unwrap();
        let granted = grant(Some("client.rotate"), RESOURCE, &allowed).unwrap();
        assert_eq!(granted.resource, ADMINISTRATION_RESOURCE);
        assert_eq!(granted.scope.to_string(), "client.rotate");
        assert_eq!(grant(None, RESOURCE, &allowed).unwrap().resource, RESOURCE);
        let refused = |wish: &str| grant(Some(wish), RESOURCE, &allowed).unwrap_err();
        assert!(matches!(refused("client.rotate system/*.rs"), InvalidScope::Mixed { .. }));
        assert!(matches!(refused("clients.read"), InvalidScope::NotAllowed { .. }));
        assert!(matches!(refused("client.rotate clients.write"), InvalidScope::NotAllowed { .. }));
        let operator = Scope::parse("clients.read").unwrap();
        let granted = grant(Some("clients.read client.rotate"), ADMINISTRATION_RESOURCE, &operator).unwrap();
        assert_eq!(granted.scope.to_string(), "client.rotate clients.read");
    }

    #[test]
    fn each_kind_of_wrong_wish_has_its_own_reason() {
        let reason = |wish: &str| granted(Some(wish), "system/*.rs").unwrap_err();
        assert!(matches!(reason("api://other/.default"), InvalidScope::OtherResource { .. }));
        assert!(matches!(reason("api://pmsgate/pms"), InvalidScope::WithoutDefault { .. }));
        assert!(matches!(reason("api://pmsgate/pms/.default system/*.rs"), InvalidScope::Mixed { .. }));
        assert!(matches!(reason("openid"), InvalidScope::Malformed { .. }));
        assert!(matches!(reason("  "), InvalidScope::Malformed { .. }));
        assert!(matches!(reason("system/*.zz"), InvalidScope::Malformed { .. }));
        assert!(matches!(reason(&"system/*.rs ".repeat(65)), InvalidScope::TooLong));
        assert!(matches!(reason(&"x".repeat(5000)), InvalidScope::TooLong));
    }

    #[test]
    fn a_long_wish_is_not_echoed_whole() {
        let refusal = granted(Some(&"y".repeat(4000)), "system/*.rs").unwrap_err();
        assert!(refusal.to_string().len() < 400);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn nothing_is_granted_that_is_not_allowed(
            wish in prop::collection::vec(
                ("(\\*|Ingredient|MedicinalProductDefinition)", "c?r?u?d?s?").prop_map(|(t, p)| format!("system/{t}.{p}")), 0..4),
            allowed in "c?ru?d?s",
        ) {
            let allowed = Scope::parse(&format!("system/*.{allowed}")).unwrap();
            if let Ok(grant) = grant(Some(&wish.join(" ")), RESOURCE, &allowed) {
                prop_assert!(grant.scope.is_subset_of(&allowed) && grant.resource == RESOURCE);
            }
        }

        #[test]
        fn any_text_is_granted_or_refused(wish in "\\PC{0,120}") {
            let _ = granted(Some(&wish), "system/*.rs");
        }
    }
}
