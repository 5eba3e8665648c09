//! `cargo xtask test`: installs what the tests need, starts throw-away servers, runs every test.

mod clients;
mod packages;
mod postgres;
mod runner;

use std::process::Command;
use std::time::Instant;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};

use crate::command;
use crate::workspace::Workspace;
use postgres::Postgres;

/// What `cargo xtask test` understands; everything else goes to the runner.
#[derive(Args)]
pub(crate) struct Options {
    /// Leaves out a part of the set-up, and with it the tests that need it (may be repeated)
    #[arg(long, value_name = "PART")]
    without: Vec<Part>,
    /// Filters and options for the runner (`cargo nextest run`, or `cargo test` where nextest is missing)
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "FILTER")]
    runner: Vec<String>,
}

/// A part of the set-up that can be left out.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// The throw-away PostgreSQL; every test then runs on SQLite alone
    Postgres,
    /// The third-party clients and FHIR readers written in Python and JavaScript
    Clients,
}

/// What the tests find in their environment.
#[derive(Default)]
struct Environment {
    variables: Vec<(&'static str, String)>,
    /// What could not be set up although it was wanted.
    missing: Vec<String>,
}

/// Sets up, runs, and takes down again; fails when a test failed or when a part could not be set up.
pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let started = Instant::now();
    let wants = |part: Part| !options.without.contains(&part);
    packages::provide(wants(Part::Postgres), wants(Part::Clients));

    let mut environment = Environment::default();
    // Held until the end of this function: dropping it stops the server.
    let postgres = if wants(Part::Postgres) { start_postgres(&mut environment) } else { None };
    if wants(Part::Clients) {
        environment.take("third-party clients in Python", clients::python(workspace));
        environment.take("third-party clients in JavaScript", clients::node(workspace));
    }
    environment.variables.push(("PMSGATE_TEST_PROGRAM", runner::build_program(workspace)?));
    if options.without.is_empty() && environment.missing.is_empty() {
        // Tells the tests that everything is there: one that finds a part missing must then fail, not pass idly.
        environment.variables.push(("PMSGATE_TEST_COMPLETE", "1".to_owned()));
    }
    println!("test: set-up took {}", command::shown_time(started));

    let outcome = runner::run_all(workspace, &options.runner, &environment.variables);
    drop(postgres);

    for line in outcome.closing_lines() {
        println!("{line}");
    }
    let time = command::shown_time(started);
    if !outcome.passed() {
        bail!("tests failed after {time}");
    }
    if !environment.missing.is_empty() {
        bail!("what ran passed, but not everything could run:\n  {}", environment.missing.join("\n  "));
    }
    println!("test: passed in {time}");
    Ok(())
}

impl Environment {
    /// Takes over a variable, or notes what is missing.
    fn take(&mut self, what: &str, outcome: Result<Option<(&'static str, String)>>) {
        match outcome {
            Ok(variable) => self.variables.extend(variable),
            Err(error) => {
                eprintln!("test: no {what}: {error:#}");
                self.missing.push(format!("{what}: {error:#}"));
            }
        }
    }
}

fn start_postgres(environment: &mut Environment) -> Option<Postgres> {
    match Postgres::start() {
        Ok(postgres) => {
            environment.variables.push(("PMSGATE_TEST_POSTGRES_URL", postgres.url()));
            Some(postgres)
        }
        Err(error) => {
            eprintln!("test: no PostgreSQL: {error:#}");
            environment.missing.push(format!("PostgreSQL: {error:#}"));
            None
        }
    }
}

/// Whether we are root, who may install packages and must not run PostgreSQL.
fn is_root() -> bool {
    command::stdout_of(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0")
}
