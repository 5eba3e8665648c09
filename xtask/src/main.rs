//! Development tasks of this repository: `cargo xtask check | tidy | test | bench`.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line tool for people and CI: what it prints is its result"
)]

mod bench;
mod check;
mod command;
mod test;
mod tidy;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::workspace::Workspace;

/// Development tasks of pmsgate.
#[derive(Parser)]
#[command(name = "cargo xtask", disable_version_flag = true)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Formatting, lints, tidy rules, documentation and dependency policy: what must hold for every commit
    Check,
    /// Only the house's own rules: crate edges, module docs, markers, lock files, dependency tree
    Tidy,
    /// Installs what the tests need (saying so), starts throw-away servers and runs all tests
    Test(test::Options),
    /// Measures the release build under a fixed loopback load, beside nginx and HAProxy where installed
    Bench(bench::Options),
}

fn main() -> ExitCode {
    let outcome = Workspace::open().and_then(|workspace| match Arguments::parse().task {
        Task::Check => check::run(&workspace),
        Task::Tidy => tidy::run(&workspace),
        Task::Test(options) => test::run(&workspace, &options),
        Task::Bench(options) => bench::run(&workspace, &options),
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
