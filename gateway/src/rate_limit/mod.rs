//! How often clients may call: budgets by product and role, kept here or, for many gateways, in Valkey/Redis.
//!
//! Rates are GCRA (`governor`): a burst, and a sustained rate that refills it. A day's quota is counted beside it. What
//! a client has used up is its own, whatever address it calls from; addresses count only for what fails to authenticate.

mod address;
mod fields;
mod meter;
mod policy;
mod shared;
#[cfg(test)]
mod tests;

use std::{net::IpAddr, sync::Arc};

use time::OffsetDateTime;

use self::{address::Addresses, meter::Steady, policy::Policies, shared::SharedStore};
pub use self::{
    meter::{Exceeded, Left},
    policy::{KeptMeter, Policy},
};
use crate::{
    caller::Caller,
    routes::Product,
    settings::{RateLimitRules, RateLimitSettings},
};

/// The limits of one plan, and what was used up of them. What follows on them shares what did not change.
#[derive(Debug)]
pub struct RateLimits {
    policies: Policies,
    addresses: Arc<Addresses>,
    shared: Option<Arc<SharedStore>>,
    clock: Steady,
}

/// An admitted request: its policy, and what is left of it.
#[derive(Clone, Debug)]
pub struct Admission {
    policy: Arc<Policy>,
    left: Left,
}

/// A refused request: which budget is used up, and when to come back.
#[derive(Clone, Debug)]
pub struct Refused {
    /// The policy that refused; none: the address's.
    pub policy: Option<Arc<Policy>>,
    /// Which of its budgets.
    pub exceeded: Exceeded,
    /// Seconds until another request is admitted, at least 1.
    pub retry_after: u32,
}

impl RateLimits {
    /// Nothing used up yet. To be made inside a runtime that lives as long as the gateway, where a store is shared.
    ///
    /// # Errors
    /// The URL of the shared store is none.
    pub fn new(settings: &RateLimitSettings) -> Result<Self, redis::RedisError> {
        let clock = Steady::start();
        // Nothing is lost where nothing is shared.
        metrics::gauge!("pmsgate_gateway_shared_limits_up").set(1.0);
        let shared = settings.shared.as_ref().map(SharedStore::new).transpose()?;
        Ok(Self {
            policies: Policies::new(&settings.rules),
            addresses: Arc::new(Addresses::new(settings.rules.limits.address, clock)),
            shared: shared.map(Arc::new),
            clock,
        })
    }

    /// The limits of another data file. Budgets that did not change keep what was used up of them.
    #[must_use]
    pub fn following(&self, rules: &RateLimitRules) -> Self {
        Self {
            policies: Policies::new(rules).keeping(&self.policies),
            addresses: self.addresses.following(rules.limits.address),
            shared: self.shared.clone(),
            clock: self.clock,
        }
    }

    /// What is different in `after`, a line each, for the log.
    pub fn changes_to(&self, after: &Self) -> Vec<String> {
        let mut changes = self.policies.changes_to(&after.policies);
        changes.extend(self.addresses.change_to(&after.addresses));
        changes
    }

    /// Counts a request of `caller` to `product`, or refuses it; a refused one is not counted.
    pub async fn admit(
        &self,
        caller: &Caller,
        product: &Product,
        now: OffsetDateTime,
    ) -> Result<Admission, Refused> {
        let policy = self.policies.of(&product.id, &caller.grant.roles);
        let client = &*caller.client_id;
        let shared = match &self.shared {
            Some(shared) => Box::pin(shared.take(&policy, client, now, self.clock)).await,
            None => None,
        };
        let taken = shared.unwrap_or_else(|| {
            policy.meter(client, &caller.meter, self.clock).take(&policy, now, self.clock)
        });
        match taken {
            Ok(left) => Ok(Admission { policy, left }),
            Err((exceeded, retry_after)) => Err(Refused { policy: Some(policy), exceeded, retry_after }),
        }
    }

    /// Looks whether the shared store answers; none: nothing is shared. So that a gateway that nobody calls knows it, too.
    pub async fn look(&self) -> Option<bool> {
        match &self.shared {
            Some(shared) => Some(shared.look(self.clock).await),
            None => None,
        }
    }

    /// Whether somebody at `address` whose token is not known yet may try.
    pub fn may_try(&self, address: IpAddr) -> Result<(), Refused> {
        self.addresses.may_try(address).map_err(|retry_after| Refused {
            policy: None,
            exceeded: Exceeded::Address,
            retry_after,
        })
    }

    /// Somebody at `address` failed to authenticate.
    pub fn failed(&self, address: IpAddr) {
        self.addresses.failed(address);
    }
}
