//! Reminds people of secrets that end, and tells the figures that alerts are made of.

use std::{collections::BTreeSet, sync::Arc};

use authz_domain::ClientStatus;
use authz_store::{audit_events, outbox, webhooks};
use time::{Duration, OffsetDateTime};
use tokio::sync::Mutex;

use crate::{
    state::State,
    use_cases::{ExpiringSecret, UseCaseError, UseCases},
};

/// Clients with a figure of their own, those that end soonest; all are counted.
const MAX_SERIES: usize = 2000;
/// How far ahead a figure looks: every secret that lives now.
const AHEAD: Duration = Duration::days(11 * 366);
/// Up to how many days from now each bucket reaches; what lies further is `later`, what is over `expired`.
const BUCKETS: [(i64, &str); 4] = [(7, "7d"), (30, "30d"), (60, "60d"), (90, "90d")];

/// The labels of the figures shown last: what is not there any more must stop being shown.
pub(super) type Shown = Mutex<BTreeSet<[String; 3]>>;

/// One round.
pub(super) async fn run(state: Arc<State>, shown: Arc<Shown>) {
    let acts = UseCases::of(Arc::clone(&state));
    if let Err(error) = acts.remind_of_expiry().await {
        tracing::error!(error = &error as &dyn std::error::Error, "reminders of expiry are not sent");
    }
    if let Err(error) = figures(&state, &acts, &shown).await {
        tracing::warn!(error = &error as &dyn std::error::Error, "figures are not up to date");
    }
}

#[expect(clippy::cast_precision_loss, reason = "figures are floating-point numbers, far below 2^52")]
async fn figures(state: &State, acts: &UseCases, shown: &Shown) -> Result<(), UseCaseError> {
    let now = state.clock.now();
    let secrets = newest(acts.expiring_secrets(AHEAD).await?);
    let mut now_shown = BTreeSet::new();
    for one in secrets.iter().take(MAX_SERIES) {
        let labels = labels(one);
        gauge(&labels).set(one.secret.ends_at().unix_timestamp() as f64);
        now_shown.insert(labels);
    }
    let mut before = shown.lock().await;
    for gone in before.difference(&now_shown) {
        // Not a number: no rule compares with it, and no panel draws it.
        gauge(gone).set(f64::NAN);
    }
    *before = now_shown;
    drop(before);
    for bucket in BUCKETS.iter().map(|(_, bucket)| *bucket).chain(["expired", "later"]) {
        let count = secrets.iter().filter(|one| bucket_of(one.secret.ends_at(), now) == bucket).count();
        metrics::gauge!("pmsgate_client_secrets", "expires_in" => bucket).set(count as f64);
    }
    let mut reader = state.database.read().await?;
    let mut db = reader.db();
    let (waiting, oldest) = outbox::waiting(&mut db).await?;
    metrics::gauge!("pmsgate_outbox_waiting").set(waiting as f64);
    metrics::gauge!("pmsgate_outbox_oldest_seconds")
        .set(oldest.map_or(0.0, |oldest| (now - oldest).as_seconds_f64().max(0.0)));
    let (waiting, dead) = webhooks::count(&mut db).await?;
    metrics::gauge!("pmsgate_webhook_messages", "state" => "waiting").set(waiting as f64);
    metrics::gauge!("pmsgate_webhook_messages", "state" => "dead").set(dead as f64);
    metrics::gauge!("pmsgate_audit_records").set(audit_events::head(&mut db).await?.number as f64);
    metrics::gauge!("pmsgate_clock_offset_seconds")
        .set((now - state.clock.unmoved()).as_seconds_f64().round());
    Ok(())
}

/// The secret of each client that ends last, soonest first: when it ends, the client stops.
fn newest(secrets: Vec<ExpiringSecret>) -> Vec<ExpiringSecret> {
    let mut newest: Vec<ExpiringSecret> = secrets
        .into_iter()
        .filter(|one| !one.successor && one.client.status != ClientStatus::Revoked)
        .collect();
    // Sorted by expiry: of two of one client the last one counts.
    let mut seen = BTreeSet::new();
    newest.reverse();
    newest.retain(|one| seen.insert(one.client.id.to_string()));
    newest.reverse();
    newest
}

fn labels(one: &ExpiringSecret) -> [String; 3] {
    let organisation = one.client.organisation.as_ref().map(ToString::to_string).unwrap_or_default();
    [one.client.id.to_string(), organisation, one.product.clone()]
}

fn gauge([client, organisation, product]: &[String; 3]) -> metrics::Gauge {
    metrics::gauge!(
        "pmsgate_client_secret_expiry_timestamp_seconds",
        "client_id" => client.clone(), "organisation" => organisation.clone(), "product" => product.clone()
    )
}

fn bucket_of(expires_at: OffsetDateTime, now: OffsetDateTime) -> &'static str {
    if expires_at <= now {
        return "expired";
    }
    let fits = |days: i64| expires_at - now <= Duration::days(days);
    BUCKETS.iter().find(|(days, _)| fits(*days)).map_or("later", |(_, bucket)| bucket)
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn every_moment_has_one_bucket() {
        let now = datetime!(2026-03-05 12:00 UTC);
        for (days, bucket) in [
            (-1, "expired"),
            (0, "expired"),
            (1, "7d"),
            (7, "7d"),
            (8, "30d"),
            (60, "60d"),
            (61, "90d"),
            (91, "later"),
        ] {
            assert_eq!(bucket_of(now + Duration::days(days), now), bucket, "{days}");
        }
    }
}
