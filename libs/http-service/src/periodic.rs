//! Work that runs every so often or when nudged, never twice at once.

use std::{future::Future, time::Duration};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Runs `act` at once, then every `interval` and whenever `nudge` is notified, until `stop`. `act` takes no input,
/// is idempotent, and reports its own failures.
pub async fn periodically<F>(
    interval: Duration,
    nudge: &Notify,
    stop: &CancellationToken,
    mut act: impl FnMut() -> F,
) where
    F: Future<Output = ()>,
{
    loop {
        act().await;
        tokio::select! {
            () = stop.cancelled() => return,
            () = nudge.notified() => {}
            () = tokio::time::sleep(interval) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, rc::Rc};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_runs_at_once_on_time_when_nudged_and_not_after_the_end() {
        let (runs, nudge, stop) = (Rc::new(Cell::new(0)), Rc::new(Notify::new()), CancellationToken::new());
        let task = tokio::task::LocalSet::new();
        task.spawn_local({
            let (runs, nudge, stop) = (runs.clone(), nudge.clone(), stop.clone());
            async move {
                periodically(Duration::from_secs(60), &nudge, &stop, || {
                    runs.set(runs.get() + 1);
                    std::future::ready(())
                })
                .await;
            }
        });
        task.run_until(async {
            tokio::time::advance(Duration::from_secs(1)).await;
            tokio::task::yield_now().await;
            assert_eq!(runs.get(), 1);
            tokio::time::sleep(Duration::from_secs(61)).await;
            assert_eq!(runs.get(), 2);
            nudge.notify_one();
            tokio::time::sleep(Duration::from_secs(1)).await;
            assert_eq!(runs.get(), 3);
            stop.cancel();
            tokio::time::sleep(Duration::from_secs(600)).await;
            assert_eq!(runs.get(), 3);
        })
        .await;
    }
}
