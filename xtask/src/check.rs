//! `cargo xtask check`: everything that must hold for every commit, except the tests.

use std::time::Instant;

use anyhow::{Result, bail};

use crate::command;
use crate::tidy;
use crate::workspace::Workspace;

/// What a step came to.
enum Outcome {
    Passed,
    /// Passed, with something worth saying.
    Noted(String),
    Failed(anyhow::Error),
}

impl From<Result<()>> for Outcome {
    fn from(result: Result<()>) -> Self {
        match result {
            Ok(()) => Self::Passed,
            Err(error) => Self::Failed(error),
        }
    }
}

/// A step's name and what it does.
type Step = (&'static str, fn(&Workspace) -> Outcome);

/// Cheap and most telling first; every step runs even when an earlier one failed.
const STEPS: [Step; 5] =
    [("fmt", formatting), ("tidy", rules), ("clippy", lints), ("docs", documentation), ("deny", policy)];

/// Runs all steps and fails with the list of those that did.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let started = Instant::now();
    let mut failed = Vec::new();
    for (name, step) in STEPS {
        let step_started = Instant::now();
        let outcome = step(workspace);
        let time = command::shown_time(step_started);
        match outcome {
            Outcome::Passed => println!("check: {name:<7} ok      {time}"),
            Outcome::Noted(note) => println!("check: {name:<7} ok      {time} ({note})"),
            Outcome::Failed(error) => {
                println!("check: {name:<7} FAILED  {time}\n{error:#}");
                failed.push(name);
            }
        }
    }
    let time = command::shown_time(started);
    if !failed.is_empty() {
        bail!("check failed after {time}: {}", failed.join(", "));
    }
    println!("check: all {} steps passed in {time}", STEPS.len());
    Ok(())
}

fn formatting(workspace: &Workspace) -> Outcome {
    cargo_step(workspace, "fmt", &["fmt", "--all", "--check"], &[]).into()
}

fn lints(workspace: &Workspace) -> Outcome {
    let arguments = ["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"];
    cargo_step(workspace, "clippy", &arguments, &[]).into()
}

fn rules(workspace: &Workspace) -> Outcome {
    match tidy::violations(workspace) {
        Err(error) => Outcome::Failed(error),
        Ok(violations) if violations.is_empty() => Outcome::Passed,
        Ok(violations) => Outcome::Failed(anyhow::anyhow!("{}", tidy::listed(&violations))),
    }
}

/// The documentation is read by people who work on this house: private items are in it, and may be linked to.
fn documentation(workspace: &Workspace) -> Outcome {
    let arguments = ["doc", "--no-deps", "--workspace", "--locked", "--document-private-items"];
    let flags = [("RUSTDOCFLAGS", "-Dwarnings -Arustdoc::private_intra_doc_links")];
    cargo_step(workspace, "docs", &arguments, &flags).into()
}

/// Licences, bans and sources of all dependencies. Advisories need a database from the network;
/// where it cannot be fetched the step says so and passes on the rest.
fn policy(workspace: &Workspace) -> Outcome {
    if !workspace.cargo().has_subcommand("deny") {
        return Outcome::Noted(
            "not run: cargo-deny is not installed; `cargo install cargo-deny --locked` adds it".to_owned(),
        );
    }
    let offline_part = ["deny", "check", "bans", "licenses", "sources"];
    if let Err(error) = cargo_step(workspace, "deny", &offline_part, &[]) {
        return Outcome::Failed(error);
    }
    let reachable = workspace.cargo().command().args(["deny", "fetch", "db"]).output();
    if !reachable.is_ok_and(|output| output.status.success()) {
        return Outcome::Noted(
            "advisories not checked: their database is not reachable from here".to_owned(),
        );
    }
    cargo_step(workspace, "deny-advisories", &["deny", "check", "advisories"], &[]).into()
}

fn cargo_step(
    workspace: &Workspace,
    name: &str,
    arguments: &[&str],
    environment: &[(&str, &str)],
) -> Result<()> {
    let log = workspace.build_folder("check")?.join(format!("{name}.log"));
    let mut cargo = workspace.cargo().command();
    cargo.args(arguments).envs(environment.iter().copied());
    command::quietly(&mut cargo, &log)
}
