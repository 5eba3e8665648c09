//! Which budget a request falls under: the first row of the data file that fits its product and role.

use std::{
    num::NonZeroU64,
    sync::{Arc, OnceLock, Weak},
    time::Duration,
};

use config::{Budget, RequestLimit};
use http::HeaderValue;
use moka::sync::Cache;

use super::{
    fields,
    meter::{Meter, Steady},
};
use crate::settings::RateLimitRules;

/// Clients whose budgets are remembered, for each policy.
const CLIENTS: u64 = 100_000;
/// A client that was silent for so long has its whole day's quota again; the rate is long refilled by then. No token lives
/// longer.
const SILENCE: Duration = Duration::from_secs(86_400);

/// A row of the data file, at work.
#[derive(Debug)]
pub struct Policy {
    row: RequestLimit,
    /// The row's role, as tokens name it.
    token_role: Option<String>,
    /// Burst and sustained rate.
    pub(super) budget: Budget,
    /// Requests on one day.
    pub(super) per_day: Option<NonZeroU64>,
    /// The name of its budgets in a shared store: changed numbers start anew.
    pub(super) key: String,
    /// The `RateLimit-Policy` field.
    pub(super) field: HeaderValue,
    meters: Cache<String, Arc<Meter>>,
}

impl Policy {
    fn new(row: &RequestLimit, token_role: Option<String>) -> Self {
        let budget = row.budget();
        let per_day = row.per_day.map_or(0, NonZeroU64::get);
        let any = |id: &Option<String>| id.clone().unwrap_or_else(|| "*".to_owned());
        Self {
            key: format!(
                "{}/{}/{}/{}/{per_day}",
                any(&row.product),
                any(&row.role),
                budget.burst,
                budget.per_minute
            ),
            field: fields::policy(budget, row.per_day),
            token_role,
            budget,
            per_day: row.per_day,
            meters: Cache::builder().max_capacity(CLIENTS).time_to_idle(SILENCE).build(),
            row: row.clone(),
        }
    }

    /// Whether what was used up of one was used up of the other.
    fn is(&self, other: &Self) -> bool {
        self.row == other.row && self.token_role == other.token_role
    }

    fn fits(&self, product: &str, roles: &[String]) -> bool {
        self.row.product.as_ref().is_none_or(|own| own == product)
            && self.row.role.as_ref().is_none_or(|_| {
                self.token_role.as_ref().is_some_and(|own| roles.iter().any(|role| role == own))
            })
    }

    /// What a client has used up, found by what was `kept` with its token.
    pub(super) fn meter(self: &Arc<Self>, client: &str, kept: &KeptMeter, clock: Steady) -> Arc<Meter> {
        let find = || match self.meters.get(client) {
            Some(meter) => meter,
            None => self.meters.get_with_by_ref(client, || Arc::new(Meter::new(self, clock))),
        };
        let (policy, meter) = kept.0.get_or_init(|| (Arc::downgrade(self), find()));
        if std::ptr::eq(policy.as_ptr(), Arc::as_ptr(self)) { Arc::clone(meter) } else { find() }
    }

    /// Seconds until the burst is whole again, when so much of it is left.
    pub(super) fn refill(&self, left: u32) -> u64 {
        let taken = u64::from(self.budget.burst.get().saturating_sub(left));
        (taken * 60).div_ceil(u64::from(self.budget.per_minute.get()))
    }
}

/// What the client of a token has used up under the policy that it fell under first: most fall under no other.
#[derive(Debug, Default)]
pub struct KeptMeter(OnceLock<(Weak<Policy>, Arc<Meter>)>);

/// The rows in their order.
#[derive(Debug)]
pub(super) struct Policies(Vec<Arc<Policy>>);

impl Policies {
    pub(super) fn new(rules: &RateLimitRules) -> Self {
        let token_role = |row: &RequestLimit| rules.token_roles.get(row.role.as_ref()?).cloned();
        Self(rules.limits.rows.iter().map(|row| Arc::new(Policy::new(row, token_role(row)))).collect())
    }

    /// These, but with the policies of `before` that are the same: they know what clients have used up.
    pub(super) fn keeping(self, before: &Self) -> Self {
        let same =
            |policy: Arc<Policy>| before.0.iter().find(|old| old.is(&policy)).cloned().unwrap_or(policy);
        Self(self.0.into_iter().map(same).collect())
    }

    /// What is different, a line each.
    pub(super) fn changes_to(&self, after: &Self) -> Vec<String> {
        let missing = |from: &Self, sign: &str| -> Vec<String> {
            let gone = from.0.iter().filter(|one| {
                let other = if std::ptr::eq(from, self) { after } else { self };
                !other.0.iter().any(|kept| kept.is(one))
            });
            gone.map(|policy| format!("{sign} limit {}", policy.key)).collect()
        };
        let mut changes = missing(self, "-");
        changes.extend(missing(after, "+"));
        if changes.is_empty() && self.0.iter().map(|p| &p.key).ne(after.0.iter().map(|p| &p.key)) {
            changes.push("~ limits: in another order".to_owned());
        }
        changes
    }

    /// The policy of a request. The last row fits everything, which the configuration has checked.
    pub(super) fn of(&self, product: &str, roles: &[String]) -> Arc<Policy> {
        let fitting = self.0.iter().find(|policy| policy.fits(product, roles));
        Arc::clone(fitting.unwrap_or(&self.0[self.0.len() - 1]))
    }
}
