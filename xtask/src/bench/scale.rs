//! `cargo xtask bench scale`: how the backend bears many products. Generates a small and a large store, measures
//! inside the backend, and compares.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde::{Deserialize, Serialize};

use super::report::Bar;
use crate::command;
use crate::workspace::Workspace;

/// The seed of the products: figures of two runs compare.
const SEED: &str = "7";

/// What `cargo xtask bench scale` understands.
#[derive(Args)]
pub(crate) struct Options {
    /// Products in the small store
    #[arg(long, value_name = "N", default_value_t = 20_000)]
    small: u32,
    /// Products in the large one, which the small one grows into
    #[arg(long, value_name = "N", default_value_t = 200_000)]
    large: u32,
    /// Requests of each kind
    #[arg(long, value_name = "N", default_value_t = 300)]
    requests: u32,
    /// Measures on this PostgreSQL database, which must be empty, instead of an SQLite file
    #[arg(long, value_name = "URL")]
    postgres: Option<String>,
    /// Measures this program instead of building one
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
    /// Writes the results as JSON, too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// What `products generate` and `products import` take and make.
#[derive(Debug, Serialize)]
struct Filling {
    what: String,
    resources: u64,
    seconds: f64,
    per_second: f64,
}

/// What `products measure` prints.
#[derive(Debug, Deserialize, Serialize)]
struct Measured {
    products: u64,
    resources: u64,
    versions: u64,
    resident_bytes: u64,
    rows: Vec<Row>,
}

#[derive(Debug, Deserialize, Serialize)]
struct Row {
    name: String,
    requests: u32,
    p50_ms: f64,
    p99_ms: f64,
    raw_p50_ms: f64,
    resources: f64,
}

#[derive(Debug, Serialize)]
struct Report {
    database: &'static str,
    filling: Vec<Filling>,
    small: Measured,
    large: Measured,
    bars: Vec<Bar>,
}

/// Generates, measures, generates more, measures again, prints.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    if options.small >= options.large {
        bail!("the large store must be larger than the small one");
    }
    let program = super::build(workspace, options.program.as_deref(), false)?;
    let folder = workspace.build_folder("bench")?.join(format!("scale-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let outcome = measure(options, &program, &folder);
    fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    let report = outcome?;
    report.print();
    if let Some(path) = &options.json {
        fs::write(path, serde_json::to_string_pretty(&report)? + "\n")
            .with_context(|| format!("cannot write {}", path.display()))?;
        println!("bench: written to {}", path.display());
    }
    Ok(())
}

fn measure(options: &Options, program: &Path, folder: &Path) -> Result<Report> {
    let house = |arguments: &[&str]| {
        let mut run = Command::new(program);
        run.args(arguments).arg("--data-dir").arg(folder.join("data")).args(["--format", "json"]);
        if let Some(url) = &options.postgres {
            run.env("PMSGATE__DATABASE__URL", url);
        }
        run
    };
    let (small, large, requests) =
        (options.small.to_string(), options.large.to_string(), options.requests.to_string());
    let file = folder.join("products.ndjson");
    let path = file.display().to_string();
    let mut filling = Vec::new();
    let started = Instant::now();
    command::stdout_of(&mut house(&[
        "products", "generate", "--count", &small, "--seed", SEED, "--out", &path,
    ]))?;
    println!("bench: {small} products written in {}", command::shown_time(started));

    filling.push(fill("import", &mut house(&["products", "import", &path]))?);
    fs::remove_file(&file)?;
    let measuring = ["products", "measure", "--requests", &requests];
    let small = told(&mut house(&measuring))?;
    filling.push(fill("generate", &mut house(&["products", "generate", "--count", &large, "--seed", SEED]))?);
    let large = told(&mut house(&measuring))?;
    let database = if options.postgres.is_some() { "PostgreSQL" } else { "SQLite" };
    let bars = bars(&filling, &small, &large);
    Ok(Report { database, filling, small, large, bars })
}

/// Runs a command that stores resources.
fn fill(what: &str, run: &mut Command) -> Result<Filling> {
    #[derive(Deserialize)]
    struct Result_ {
        #[serde(alias = "imported")]
        resources: u64,
    }
    let started = Instant::now();
    let printed = command::stdout_of(run)?;
    let seconds = started.elapsed().as_secs_f64();
    let Result_ { resources } =
        serde_json::from_str(&printed).with_context(|| format!("`products {what}` printed {printed}"))?;
    let per_second = as_f64(resources) / seconds;
    println!("bench: {what}: {resources} resources in {seconds:.0} s, {per_second:.0} a second");
    Ok(Filling { what: what.to_owned(), resources, seconds, per_second })
}

fn told(run: &mut Command) -> Result<Measured> {
    let printed = command::stdout_of(run)?;
    let measured: Measured = serde_json::from_str(&printed).context("what `products measure` printed")?;
    println!("bench: measured with {} products", measured.products);
    Ok(measured)
}

fn bars(filling: &[Filling], small: &Measured, large: &Measured) -> Vec<Bar> {
    let mut bars = Vec::new();
    let mut bar = |what: String, wanted: String, measured: String, reached: bool| {
        bars.push(Bar { what, wanted, measured, reached });
    };
    for one in filling {
        bar(
            one.what.clone(),
            ">= 3000 resources/s".to_owned(),
            format!("{:.0}", one.per_second),
            one.per_second >= 3000.0,
        );
    }
    let before: BTreeMap<&str, f64> = small.rows.iter().map(|row| (row.name.as_str(), row.p50_ms)).collect();
    for row in &large.rows {
        let (p50, p99) = match row.name.split(',').next() {
            Some("read") => (0.5, None),
            Some("$everything") => (3.0, None),
            _ => (3.0, Some(15.0)),
        };
        bar(row.name.clone(), format!("p50 <= {p50} ms"), format!("{:.3}", row.p50_ms), row.p50_ms <= p50);
        if let Some(p99) = p99 {
            bar(
                row.name.clone(),
                format!("p99 <= {p99} ms"),
                format!("{:.3}", row.p99_ms),
                row.p99_ms <= p99,
            );
        }
        if let Some(before) = before.get(row.name.as_str()).filter(|before| **before > 0.0) {
            let growth = row.p50_ms / before;
            // A twentieth of a millisecond is the clock's and the machine's, not the store's.
            let reached = growth <= 1.3 || row.p50_ms - before < 0.05;
            bar(row.name.clone(), "growth <= 1.3 x".to_owned(), format!("{growth:.2}"), reached);
        }
    }
    let resident = as_f64(large.resident_bytes) / 1e6;
    bar(
        "memory of the process".to_owned(),
        "< 400 MB".to_owned(),
        format!("{resident:.0} MB"),
        resident < 400.0,
    );
    bars
}

#[expect(clippy::cast_precision_loss, reason = "counts of one benchmark stay far below 2^52")]
const fn as_f64(count: u64) -> f64 {
    count as f64
}

impl Report {
    fn print(&self) {
        let (small, large) = (&self.small, &self.large);
        println!(
            "\n{}, {} and {} products ({} resources, {} versions), milliseconds inside the backend:",
            self.database, small.products, large.products, large.resources, large.versions
        );
        println!(
            "{:<44} {:>9} {:>9} {:>9} {:>9} {:>7} {:>9} {:>9}",
            "", "small p50", "p99", "large p50", "p99", "growth", "raw p50", "resources"
        );
        for (before, row) in small.rows.iter().zip(&large.rows) {
            println!(
                "{:<44} {:>9.3} {:>9.3} {:>9.3} {:>9.3} {:>7.2} {:>9.3} {:>9.1}",
                row.name,
                before.p50_ms,
                before.p99_ms,
                row.p50_ms,
                row.p99_ms,
                row.p50_ms / before.p50_ms,
                row.raw_p50_ms,
                row.resources
            );
        }
        println!(
            "\nraw: the answer's resources read by their keys through sqlx, nothing decided, nothing written."
        );
        println!("\nBars:");
        for bar in &self.bars {
            let verdict = if bar.reached { "reached" } else { "MISSED " };
            println!("  {verdict}  {:<44} bar {:<20} measured {}", bar.what, bar.wanted, bar.measured);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(p50_ms: f64) -> Measured {
        let row = |name: &str| Row {
            name: name.to_owned(),
            requests: 1,
            p50_ms,
            p99_ms: 2.0 * p50_ms,
            raw_p50_ms: 0.1,
            resources: 1.0,
        };
        Measured {
            products: 1,
            resources: 1,
            versions: 1,
            resident_bytes: 1,
            rows: vec![row("read, public"), row("name, owner")],
        }
    }

    #[test]
    fn what_is_slow_or_grows_misses_its_bar() {
        let missed = |small, large| {
            bars(&[], &measured(small), &measured(large)).into_iter().filter(|bar| !bar.reached).count()
        };
        assert_eq!(missed(0.4, 0.4), 0);
        assert_eq!(missed(0.4, 0.6), 3, "too slow to read, and both grew");
        assert_eq!(missed(9.0, 9.0), 3, "too slow to read and to search, at the median and the slowest");
    }
}
