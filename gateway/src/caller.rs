//! Who calls: what is asked of a token again after it was verified, in as few bytes as can be, for thousands are remembered.

use std::{
    borrow::Cow,
    collections::HashSet,
    sync::{Arc, Mutex, OnceLock, PoisonError, atomic::AtomicU64},
};

use access_token::{AccessTokenClaims, Confirmation, Scope, SystemScope};
use caller_context::{CallerContextRef, Introduction};
use pms_terms::{Domains, FhirVersion, OrganisationId, Stakeholder};

use crate::{rate_limit::KeptMeter, routes::Product};

/// How many different grants are shared. There is one for each way of registering a client and each scope that is asked for.
const MAX_GRANTS: usize = 1024;

/// A caller whose token was verified.
#[derive(Debug)]
pub struct Caller {
    /// The client.
    pub client_id: Box<str>,
    /// The organisation on whose behalf it acts; none for public clients.
    pub organisation: Option<OrganisationId>,
    /// What it may do.
    pub grant: Arc<Grant>,
    /// The secret that bought its token.
    pub(crate) secret_id: Box<str>,
    /// The token's own id.
    pub(crate) token_id: Box<str>,
    /// The token holds from then, in seconds since the epoch.
    pub(crate) not_before: i64,
    /// The token ends then, in seconds since the epoch.
    pub(crate) expires: i64,
    /// What the token is bound to.
    pub(crate) confirmation: Option<Box<Confirmation>>,
    /// What a backend is told about it, for the product that it asked first: most ask no other.
    introduction: OnceLock<(Box<str>, FhirVersion, Introduction)>,
    /// What its client has used up.
    pub(crate) meter: KeptMeter,
    /// The last edition of the revocations that did not name it.
    pub(crate) cleared: AtomicU64,
}

/// What many tokens say in the same words.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Grant {
    /// The resource that the token is for.
    pub audience: String,
    /// Application roles.
    pub roles: Vec<String>,
    /// The granted scopes. Those of another kind than SMART system scopes grant nothing here.
    pub scope: Scope,
    /// The stakeholder group that decides the access level.
    pub stakeholder: Stakeholder,
    /// Whether commercially sensitive data of the client's own organisation may be seen.
    pub qualified: bool,
    /// Domains that an authority's client may see.
    pub domains: Domains,
    /// The key that signed it.
    pub(crate) kid: String,
}

impl Caller {
    /// A caller as its token describes it, with a grant of its own.
    pub fn new(claims: AccessTokenClaims, kid: String) -> Self {
        Self::with(claims, kid, Arc::new)
    }

    fn with(claims: AccessTokenClaims, kid: String, share: impl FnOnce(Grant) -> Arc<Grant>) -> Self {
        let scope = claims.scope.split(' ').filter_map(|word| word.parse::<SystemScope>().ok()).collect();
        Self {
            client_id: claims.client_id.into(),
            organisation: claims.org_id,
            grant: share(Grant {
                audience: claims.aud,
                roles: claims.roles,
                scope,
                stakeholder: claims.stakeholder,
                qualified: claims.qualified,
                domains: claims.domains,
                kid,
            }),
            secret_id: claims.secret_id.into(),
            token_id: claims.jti.into(),
            not_before: claims.nbf,
            expires: claims.exp,
            confirmation: claims.cnf.map(Box::new),
            introduction: OnceLock::new(),
            meter: KeptMeter::default(),
            cleared: AtomicU64::new(0),
        }
    }

    /// What the backend of a product is told about it. `None` only when it cannot be written as JSON.
    pub fn introduction(&self, product: &Product) -> Option<Cow<'_, Introduction>> {
        let made = || {
            Introduction::new(CallerContextRef {
                client_id: &self.client_id,
                organisation: self.organisation.as_ref(),
                stakeholder: self.grant.stakeholder,
                qualified: self.grant.qualified,
                domains: self.grant.domains,
                product: &product.id,
                fhir_version: product.fhir_version,
                request_id: "",
            })
        };
        let (id, version, known) = if let Some(known) = self.introduction.get() {
            known
        } else {
            let made = made()?;
            self.introduction.get_or_init(|| (product.id.as_str().into(), product.fhir_version, made))
        };
        if **id == product.id && *version == product.fhir_version {
            Some(Cow::Borrowed(known))
        } else {
            made().map(Cow::Owned)
        }
    }
}

/// The grants of remembered callers, each once.
#[derive(Debug, Default)]
pub(crate) struct Grants(Mutex<HashSet<Arc<Grant>>>);

impl Grants {
    /// A caller as its token describes it, whose grant is shared with all that have the same.
    pub(crate) fn caller(&self, claims: AccessTokenClaims, kid: String) -> Caller {
        Caller::with(claims, kid, |grant| self.share(grant))
    }

    fn share(&self, grant: Grant) -> Arc<Grant> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(same) = known.get(&grant) {
            return Arc::clone(same);
        }
        let grant = Arc::new(grant);
        if known.len() >= MAX_GRANTS {
            known.retain(|grant| Arc::strong_count(grant) > 1);
        }
        // All of them in use: the next one is its caller's alone.
        if known.len() < MAX_GRANTS {
            known.insert(Arc::clone(&grant));
        }
        grant
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn callers_with_the_same_grant_share_it_and_no_others_do() {
        let grants = Grants::default();
        let caller = |change: fn(&mut AccessTokenClaims)| {
            let mut claims = testing::claims();
            change(&mut claims);
            grants.caller(claims, "key-1".into())
        };
        let one = caller(|_| {});
        let same = caller(|claims| (claims.client_id, claims.jti, claims.exp) = ("o".into(), "t".into(), 7));
        assert!(Arc::ptr_eq(&one.grant, &same.grant));
        let changes: [fn(&mut AccessTokenClaims); 6] = [
            |claims| claims.aud = "api://other".into(),
            |claims| claims.roles.push("PMS.NCA.API".into()),
            |claims| claims.scope = "system/*.r".into(),
            |claims| claims.stakeholder = Stakeholder::Nca,
            |claims| claims.qualified = true,
            |claims| claims.domains = Domains::BOTH,
        ];
        for (at, change) in changes.into_iter().enumerate() {
            assert!(!Arc::ptr_eq(&one.grant, &caller(change).grant), "{at}");
        }
        assert!(!Arc::ptr_eq(&one.grant, &grants.caller(testing::claims(), "key-2".into()).grant));
    }

    #[test]
    fn grants_that_nobody_has_any_more_make_room() {
        let grants = Grants::default();
        let caller = |audience: usize| {
            let mut claims = testing::claims();
            claims.aud = audience.to_string();
            grants.caller(claims, String::new())
        };
        let held: Vec<_> = (0..MAX_GRANTS).map(caller).collect();
        let beyond = caller(MAX_GRANTS);
        assert!(!Arc::ptr_eq(&beyond.grant, &caller(MAX_GRANTS).grant), "all places are taken");
        drop(held);
        let kept = caller(MAX_GRANTS);
        assert!(Arc::ptr_eq(&kept.grant, &caller(MAX_GRANTS).grant));
        assert_eq!(grants.0.lock().unwrap().len(), 1);
    }
}
