//! `cargo xtask bench`: the release build under a fixed loopback load, beside its peers.

mod house;
mod http;
mod load;
mod peers;
mod pem;
mod plan;
mod procfs;
mod report;
mod scale;
mod server;
mod soak;
mod tap;

use std::fs;
use std::path::{Path, PathBuf};
use std::process;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};

use crate::command::{self, find_program};
use crate::workspace::Workspace;
use plan::Row;
use report::{Measurement, Report};

/// What `cargo xtask bench` understands.
#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Options {
    #[command(subcommand)]
    plan: Option<Plan>,
    /// One short round: shows that everything runs, not how fast
    #[arg(long)]
    quick: bool,
    /// Builds with the profile `dist` (slower to build, a few per cent faster) instead of `release`
    #[arg(long)]
    dist: bool,
    /// Measures this program instead of building one
    #[arg(long, value_name = "FILE", conflicts_with = "dist")]
    program: Option<PathBuf>,
    /// Only rows whose name contains this text (may be repeated)
    #[arg(long, value_name = "TEXT")]
    only: Vec<String>,
    /// Writes the results as JSON, too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Benchmarks beside the one of requests.
#[derive(Subcommand)]
enum Plan {
    /// How the backend bears many products: import, searches, reads, memory, with 20,000 and 200,000 of them
    Scale(scale::Options),
    /// Whether a gateway's memory stays flat under a load that goes on
    Soak(soak::Options),
}

impl Options {
    /// What the report calls the build.
    fn build(&self) -> &'static str {
        match (&self.program, self.dist) {
            (Some(_), _) => "as given",
            (None, true) => "dist",
            (None, false) => "release",
        }
    }

    fn rounds(&self) -> usize {
        if self.quick { 1 } else { 3 }
    }

    fn seconds(&self) -> u64 {
        if self.quick { 1 } else { 4 }
    }

    fn wants(&self, row: &Row) -> bool {
        self.only.is_empty() || self.only.iter().any(|text| row.name.contains(text.as_str()))
    }
}

/// Builds, starts, measures in turn, stops, prints.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    match &options.plan {
        Some(Plan::Scale(options)) => return scale::run(workspace, options),
        Some(Plan::Soak(options)) => return soak::run(workspace, options),
        None => {}
    }
    let Some(wrk) = find_program("wrk") else {
        bail!(
            "wrk, which makes the load, is not installed; as root: apt-get install wrk nginx-light haproxy"
        );
    };
    let program = build(workspace, options.program.as_deref(), options.dist)?;
    let folder = workspace.build_folder("bench")?.join(format!("run-{}", process::id()));
    fs::create_dir_all(&folder)?;
    let outcome = measure(workspace, options, &wrk, &program, &folder);
    if outcome.is_ok() {
        fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    } else {
        eprintln!("bench: what the servers wrote stands in {}", folder.display());
    }
    let report = outcome?;
    report.print();
    if let Some(path) = &options.json {
        let json = serde_json::to_string_pretty(&report)?;
        fs::write(path, json + "\n").with_context(|| format!("cannot write {}", path.display()))?;
        println!("bench: written to {}", path.display());
    }
    Ok(())
}

/// The program in the wanted profile, or the one that was named.
fn build(workspace: &Workspace, program: Option<&Path>, dist: bool) -> Result<PathBuf> {
    if let Some(program) = program {
        return program.canonicalize().with_context(|| format!("no program {}", program.display()));
    }
    let profile = if dist { "dist" } else { "release" };
    println!("bench: building pmsgate (profile {profile})");
    let mut build = workspace.cargo().command();
    command::aloud(build.args([
        "build",
        "--locked",
        "--profile",
        profile,
        "--package",
        "pmsgate",
        "--bin",
        "pmsgate",
    ]))?;
    Ok(workspace.target().join(profile).join("pmsgate"))
}

fn measure(
    workspace: &Workspace,
    options: &Options,
    wrk: &Path,
    program: &Path,
    folder: &Path,
) -> Result<Report> {
    let started = Instant::now();
    let footprint = house::footprint(program, &folder.join("all"))?;
    let plan = plan::prepare(workspace, program, folder, options.quick)?;
    let rows: Vec<&Row> = plan.rows().iter().filter(|row| options.wants(row)).collect();
    let duration = Duration::from_secs(options.seconds());
    println!(
        "bench: {} rows, {} round(s) of {} s each; set-up took {}",
        rows.len(),
        options.rounds(),
        options.seconds(),
        command::shown_time(started)
    );

    let mut measurements = Vec::new();
    for round in 1..=options.rounds() {
        // In turn and not one after the other: what disturbs the machine then disturbs all rows alike.
        for row in &rows {
            let measured = plan.measure(row, wrk, workspace.root(), duration)?;
            println!(
                "bench: round {round}: {:<34} {:>9.0} req/s {:>8.1} µs CPU{}",
                row.name,
                measured.requests_per_second(),
                measured.cpu_per_request(),
                measured.disturbance()
            );
            measurements.push(Measurement { row: row.name.clone(), round, sample: measured });
        }
    }
    Ok(Report::new(options.build(), &rows, measurements, footprint, plan.remarks()))
}
