//! `cargo xtask bench soak`: whether a gateway's memory stays where it is under a load that goes on.

use std::fs;
use std::process;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;

use super::plan::{self, Row};
use super::report::megabytes;
use crate::command::find_program;
use crate::workspace::Workspace;

/// One kind of request after the other, each this long.
const TURN: Duration = Duration::from_secs(10);
/// Before this much of the time has passed, memory may still grow to what the load needs.
const WARM_UP: f64 = 0.2;
/// What a gateway may hold (performance bars), in bytes.
const MOST: u64 = 40 << 20;
/// How much more than after the warm-up still counts as flat.
const FLAT: f64 = 1.05;

/// What `cargo xtask bench soak` understands.
#[derive(Args)]
pub(crate) struct Options {
    /// How long
    #[arg(long, value_name = "N", default_value_t = 10)]
    minutes: u64,
    /// Measures this program instead of building one
    #[arg(long, value_name = "FILE")]
    program: Option<std::path::PathBuf>,
}

/// Loads the gateway in turn with reads, searches and refusals, and looks at its memory after each turn.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let wrk =
        find_program("wrk").context("wrk is not installed; as root: apt-get install wrk nginx-light")?;
    let program = super::build(workspace, options.program.as_deref(), false)?;
    let folder = workspace.build_folder("bench")?.join(format!("soak-{}", process::id()));
    fs::create_dir_all(&folder)?;
    let plan = plan::prepare(workspace, &program, &folder, false)?;
    let kinds =
        [plan::READ_MANY, plan::SEARCH, plan::REFUSED_NO_TOKEN, plan::PAGE_LARGE, plan::REFUSED_FORGED];
    let rows: Vec<&Row> = plan.rows().iter().filter(|row| kinds.contains(&row.name.as_str())).collect();
    if rows.len() < kinds.len() {
        bail!("nginx, which is the upstream, is not installed; as root: apt-get install nginx-light");
    }
    let (started, whole) = (Instant::now(), Duration::from_secs(60 * options.minutes));
    let (mut requests, mut seen) = (0, Vec::new());
    for row in rows.iter().cycle() {
        let sample = plan.measure(row, &wrk, workspace.root(), TURN)?;
        requests += sample.requests;
        let (elapsed, resident) = (started.elapsed(), plan.resident(row)?);
        println!(
            "soak: {:>5.0} s  {:<42} {:>7.0} req/s  {:>6.1} MB resident",
            elapsed.as_secs_f64(),
            row.name,
            sample.requests_per_second(),
            megabytes(resident)
        );
        seen.push((elapsed, resident));
        if elapsed >= whole {
            break;
        }
    }
    drop(plan);
    fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    judge(&seen, whole, requests)
}

/// The greatest memory after the warm-up beside the greatest of its end.
fn judge(seen: &[(Duration, u64)], whole: Duration, requests: u64) -> Result<()> {
    let (before, after): (Vec<_>, Vec<_>) =
        seen.iter().copied().partition(|(at, _)| at.as_secs_f64() < WARM_UP * whole.as_secs_f64());
    let greatest = |of: &[(Duration, u64)]| of.iter().map(|(_, bytes)| *bytes).max().unwrap_or_default();
    let half = after.len().div_ceil(2);
    let (first, last) = (greatest(&after[..half]), greatest(&after[half..]));
    println!(
        "soak: {requests} requests; at most {:.1} MB while warming up, {:.1} MB in the first half after, {:.1} MB in the second",
        megabytes(greatest(&before)),
        megabytes(first),
        megabytes(last)
    );
    #[expect(clippy::cast_precision_loss, reason = "a process of ours stays far below 2^52 bytes")]
    let flat = last as f64 <= FLAT * first as f64;
    if !flat || first.max(last) > MOST {
        bail!("the bar is missed: at most 40 MiB, and no more in the second half than in the first");
    }
    println!("soak: flat, and below 40 MiB");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(megabytes: &[u64]) -> bool {
        let seen: Vec<_> =
            megabytes.iter().zip(0..).map(|(mb, n)| (Duration::from_secs(60 * n), mb << 20)).collect();
        judge(&seen, Duration::from_mins(10), 1).is_ok()
    }

    #[test]
    fn memory_that_grows_or_is_much_misses_the_bar() {
        assert!(verdict(&[10, 20, 30, 30, 30, 30, 30, 30, 30, 31]));
        assert!(!verdict(&[10, 20, 30, 31, 32, 33, 34, 35, 36, 37]), "grows");
        assert!(!verdict(&[50, 50, 50, 50, 50, 50, 50, 50, 50, 50]), "much");
    }
}
