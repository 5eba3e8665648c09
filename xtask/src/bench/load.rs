//! The load: wrk in a process of its own, with request variants in turn.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::command;

/// wrk's script, relative to the root.
const SCRIPT: &str = "bench/wrk.lua";

/// One connection each for 64 callers, as in the published figures of the peers.
const CONNECTIONS: &str = "64";
const THREADS: &str = "2";

/// What is asked for, over and over.
pub(super) struct Load<'a> {
    pub(super) method: &'a str,
    /// Without a path.
    pub(super) base_url: String,
    pub(super) target: &'a str,
    /// Header lines of each variant; variants follow each other on every connection.
    pub(super) variants: &'a [String],
    pub(super) body: &'a str,
}

/// What wrk counted.
#[derive(Debug, Deserialize)]
pub(super) struct Counted {
    pub(super) requests: u64,
    pub(super) microseconds: u64,
    /// Answers with a status from 400 on.
    pub(super) refused: u64,
    /// Connections and reads that failed or took too long.
    pub(super) broken: u64,
    pub(super) p50_microseconds: f64,
    pub(super) p99_microseconds: f64,
}

/// Runs wrk for the duration.
pub(super) fn run(
    wrk: &Path,
    root: &Path,
    folder: &Path,
    load: &Load<'_>,
    duration: Duration,
) -> Result<Counted> {
    let variants = folder.join("variants");
    fs::write(&variants, load.variants.join("\n"))?;
    let mut command = Command::new(wrk);
    command.args(["-t", THREADS, "-c", CONNECTIONS, "--timeout", "5s"]);
    command.arg(format!("-d{}s", duration.as_secs()));
    command.arg("-s").arg(root.join(SCRIPT)).arg(&load.base_url);
    command.arg("--").args([load.method, load.target]).arg(&variants).arg(load.body);
    let printed = command::stdout_of(&mut command)?;
    let counted =
        printed.lines().find_map(|line| line.strip_prefix("counted ")).context("wrk counted nothing")?;
    let counted: Counted = serde_json::from_str(counted).with_context(|| format!("wrk printed {counted}"))?;
    if counted.requests == 0 {
        bail!("no request was answered at {}{}", load.base_url, load.target);
    }
    Ok(counted)
}
