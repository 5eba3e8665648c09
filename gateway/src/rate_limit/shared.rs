//! Budgets shared by many gateways, in Valkey or Redis: one script, one round trip; without it, every gateway by itself.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use redis::{
    Client, RedisError, Script,
    aio::{ConnectionManager, ConnectionManagerConfig},
};
use time::OffsetDateTime;

use super::{
    Policy,
    meter::{Exceeded, Left, Steady, day_of, nanos, rest_of_day, whole_seconds},
};
use crate::settings::SharedStoreSettings;

/// For how long a store that failed is left alone; then one request tries it.
const PAUSE: Duration = Duration::from_secs(1);

/// GCRA and the day's count, by the store's own clock. Both or neither: a script is atomic.
///
/// KEYS: the time at which the burst is whole again (µs); the day's count.
/// ARGV: µs that one request costs; burst; the day's quota or 0.
/// Answers: 0 admitted, 1 rate used up, 2 day used up; µs until the burst is whole or until another is admitted; count.
const TAKE: &str = r"
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local cost, burst, quota = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local used = 0
if quota > 0 then
  used = tonumber(redis.call('GET', KEYS[2]) or '0')
  if used >= quota then return {2, 0, used} end
end
local whole = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now)
local wait = whole - now - cost * (burst - 1)
if wait > 0 then return {1, wait, used} end
whole = whole + cost
redis.call('SET', KEYS[1], string.format('%.0f', whole), 'PX', math.ceil((whole - now) / 1000) + 1)
if quota > 0 then
  used = redis.call('INCR', KEYS[2])
  if used == 1 then redis.call('EXPIRE', KEYS[2], 172800) end
end
return {0, whole - now, used}
";

/// A store that several gateways share.
pub(super) struct SharedStore {
    connection: ConnectionManager,
    script: Script,
    timeout: Duration,
    /// 0: in use. Else the steady clock's nanoseconds at which it is tried again.
    retry_at: AtomicU64,
    up: metrics::Gauge,
}

impl std::fmt::Debug for SharedStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SharedStore").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

impl SharedStore {
    /// A store that is reached when it is first needed.
    pub(super) fn new(settings: &SharedStoreSettings) -> Result<Self, RedisError> {
        let timeout = settings.timeout;
        let manager = ConnectionManagerConfig::new()
            .set_number_of_retries(1)
            .set_connection_timeout(Some(timeout))
            .set_response_timeout(Some(timeout));
        let connection =
            ConnectionManager::new_lazy_with_config(Client::open(settings.url.as_str())?, manager)?;
        let up = metrics::gauge!("pmsgate_gateway_shared_limits_up");
        Ok(Self { connection, script: Script::new(TAKE), timeout, retry_at: AtomicU64::new(0), up })
    }

    /// Takes one request of a client's budget; none: the store does not answer, and budgets here must do.
    pub(super) async fn take(
        &self,
        policy: &Policy,
        client: &str,
        now: OffsetDateTime,
        clock: Steady,
    ) -> Option<Result<Left, (Exceeded, u32)>> {
        if !self.may_ask(clock) {
            return None;
        }
        let quota = policy.per_day.map_or(0, std::num::NonZeroU64::get);
        let cost = 60_000_000.0 / f64::from(policy.budget.per_minute.get());
        // The braces keep both keys on one node of a cluster.
        let rate_key = format!("pmsgate:limit:{{{client}}}:{}", policy.key);
        let day_key = format!("{rate_key}:{}", day_of(now));
        let mut script = self.script.key(rate_key);
        script.key(day_key).arg(cost).arg(policy.budget.burst.get()).arg(quota);
        let mut connection = self.connection.clone();
        let asked = script.invoke_async(&mut connection);
        let (verdict, micros, used): (u8, f64, u64) = self.answer(asked, clock).await?;
        let wait = Duration::from_micros(micros_of(micros));
        Some(match verdict {
            0 => {
                let taken = micros / cost;
                let burst = (f64::from(policy.budget.burst.get()) - taken).max(0.0);
                Ok(Left {
                    burst: whole(burst),
                    burst_in: wait.as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX),
                    day: policy.per_day.map(|quota| (quota.get().saturating_sub(used), rest_of_day(now))),
                })
            }
            1 => Err((Exceeded::Rate, whole_seconds(wait))),
            _ => Err((Exceeded::Day, rest_of_day(now))),
        })
    }

    /// Looks whether it answers, for a gateway that nobody calls. Whether it does, as far as is known.
    pub(super) async fn look(&self, clock: Steady) -> bool {
        if self.may_ask(clock) {
            let mut connection = self.connection.clone();
            let _: Option<()> = self.answer(redis::cmd("PING").exec_async(&mut connection), clock).await;
        }
        self.retry_at.load(Ordering::Relaxed) == 0
    }

    /// What it answers in the time allowed; none and a note when it does not.
    async fn answer<T>(
        &self,
        asked: impl Future<Output = Result<T, RedisError>>,
        clock: Steady,
    ) -> Option<T> {
        match tokio::time::timeout(self.timeout, asked).await {
            Ok(Ok(answer)) => {
                self.found();
                Some(answer)
            }
            Ok(Err(error)) => self.lost(clock, &error.to_string()),
            Err(_) => self.lost(clock, "no answer in time"),
        }
    }

    /// Whether it is in use, or this request is the one that tries it again.
    fn may_ask(&self, clock: Steady) -> bool {
        let retry_at = self.retry_at.load(Ordering::Relaxed);
        if retry_at == 0 {
            return true;
        }
        let now = nanos(clock);
        now >= retry_at
            && self
                .retry_at
                .compare_exchange(retry_at, now + pause(), Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }

    fn lost<T>(&self, clock: Steady, cause: &str) -> Option<T> {
        if self.retry_at.swap(nanos(clock) + pause(), Ordering::Relaxed) == 0 {
            self.up.set(0.0);
            tracing::error!(
                cause,
                "the shared store of limits does not answer: every gateway limits by itself"
            );
        }
        None
    }

    fn found(&self) {
        if self.retry_at.load(Ordering::Relaxed) != 0 && self.retry_at.swap(0, Ordering::Relaxed) != 0 {
            self.up.set(1.0);
            tracing::info!("the shared store of limits answers again");
        }
    }
}

fn pause() -> u64 {
    u64::try_from(PAUSE.as_nanos()).unwrap_or(u64::MAX)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "not negative, and far from u64's end"
)]
fn micros_of(micros: f64) -> u64 {
    micros.max(0.0) as u64
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and a u32's burst")]
fn whole(requests: f64) -> u32 {
    requests.floor() as u32
}
