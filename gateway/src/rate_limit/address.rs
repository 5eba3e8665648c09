//! What addresses get wrong before anybody is known: guessing and hammering cost the caller time, not us.

use std::{
    net::{IpAddr, Ipv6Addr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use config::Budget;
use governor::clock::Clock as _;
use moka::sync::Cache;

use super::meter::{Rate, Steady, nanos, rate, whole_seconds};

/// Addresses that are remembered.
const ADDRESSES: u64 = 100_000;
/// The bits of an IPv6 address that one customer of a provider has for sure.
const NETWORK: u128 = !0 << 64;

/// The failures of all addresses.
#[derive(Debug)]
pub(super) struct Addresses {
    clock: Steady,
    budget: Budget,
    failures: Cache<IpAddr, Arc<Failures>>,
}

#[derive(Debug)]
struct Failures {
    rate: Rate,
    /// Until when, in nanoseconds of the steady clock, nothing unknown is tried for this address.
    closed_until: AtomicU64,
}

impl Addresses {
    pub(super) fn new(budget: Budget, clock: Steady) -> Self {
        // Who stayed away for as long as the whole budget takes to refill starts anew.
        let refill = u64::from(budget.burst.get()) * 60 / u64::from(budget.per_minute.get());
        let idle = Duration::from_secs(refill.max(60));
        let failures = Cache::builder().max_capacity(ADDRESSES).time_to_idle(idle).build();
        Self { clock, budget, failures }
    }

    /// These, where the budget is the same; else others, without failures yet.
    pub(super) fn following(self: &Arc<Self>, budget: Budget) -> Arc<Self> {
        if self.budget == budget { Arc::clone(self) } else { Arc::new(Self::new(budget, self.clock)) }
    }

    /// What is different, in a line.
    pub(super) fn change_to(&self, after: &Self) -> Option<String> {
        let words = |of: Budget| format!("{}/{}", of.burst, of.per_minute);
        let (before, after) = (self.budget, after.budget);
        (before != after).then(|| format!("~ limit address: {} became {}", words(before), words(after)))
    }

    /// Whether something unknown may be tried, or in how many seconds.
    pub(super) fn may_try(&self, address: IpAddr) -> Result<(), u32> {
        let Some(failures) = self.failures.get(&network(address)) else { return Ok(()) };
        let left = failures.closed_until.load(Ordering::Relaxed).saturating_sub(nanos(self.clock));
        if left == 0 { Ok(()) } else { Err(whole_seconds(Duration::from_nanos(left))) }
    }

    /// Counts a failure; one too many closes the address until the budget has refilled by one.
    pub(super) fn failed(&self, address: IpAddr) {
        let failures = self.failures.get_with(network(address), || {
            Arc::new(Failures { rate: rate(self.budget, self.clock), closed_until: AtomicU64::new(0) })
        });
        let wait = match failures.rate.check() {
            Ok(state) if state.remaining_burst_capacity() > 0 => return,
            // The last one that was free: the next is a minute's share away.
            Ok(_) => Duration::from_secs(60) / self.budget.per_minute.get(),
            Err(until) => until.wait_time_from(self.clock.now()),
        };
        let until = nanos(self.clock).saturating_add(u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX));
        failures.closed_until.fetch_max(until, Ordering::Relaxed);
    }
}

/// An IPv4 address, or the /64 network of an IPv6 one.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & NETWORK)),
        v4 @ IpAddr::V4(_) => v4,
    }
}
