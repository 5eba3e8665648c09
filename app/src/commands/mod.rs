//! The commands, one file a noun. Each opens the house, calls a use case, and prints.

mod account;
mod audit;
mod backup;
mod client;
mod clock;
mod configuration;
mod credentials;
mod database;
mod doctor;
mod explain;
mod key;
mod measure;
mod organisation;
mod products;
mod read_trail;
mod serve;

use anyhow::Result;
use clap::CommandFactory as _;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{
    cli::{AuditCommand, Cli, Command, Common, Serve},
    output::{OutputFormat, Report, only_exports_have_fhir},
};

/// Runs what was typed. Without a command: `serve all`.
pub async fn run(cli: Cli) -> Result<()> {
    let common = cli.common;
    // Before anything is done that could not be told afterwards.
    if common.format == Some(OutputFormat::Fhir)
        && !matches!(cli.command, Some(Command::Audit(AuditCommand::Export { .. })))
    {
        return Err(only_exports_have_fhir().into());
    }
    match cli.command.unwrap_or_else(|| Command::Serve(Serve::default())) {
        Command::Serve(options) => Box::pin(serve::run(&common, &options)).await,
        Command::Client(command) => client::run(&common, command).await,
        Command::Credentials(command) => credentials::run(&common, command).await,
        Command::Organisation(command) => organisation::run(&common, command).await,
        Command::Account(command) => account::run(&common, command).await,
        Command::Products(command) => products::run(&common, command).await,
        Command::Explain { client, method, url } => explain::run(&common, &client, &method, &url).await,
        // In a box: rotating keys is seldom done, and its state is large.
        Command::Key(command) => Box::pin(key::run(&common, command)).await,
        Command::Audit(command) => Box::pin(audit::run(&common, command)).await,
        Command::Clock(command) => clock::run(&common, command).await,
        // In a box, as are keys.
        Command::Database(command) => Box::pin(database::run(&common, command)).await,
        Command::Config(command) => configuration::run(&common, &command),
        Command::Doctor => doctor::run(&common).await,
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "pmsgate", &mut std::io::stdout());
            Ok(())
        }
    }
}

/// Prints a result in the form that was asked for.
fn print(common: &Common, json: Value, columns: &'static [&'static str]) -> Result<()> {
    Report { json, columns }.print(OutputFormat::choose(common.format))
}

/// A bar on standard error, and nowhere when that is no terminal.
fn bar(length: u64) -> ProgressBar {
    ProgressBar::new(length).with_style(
        ProgressStyle::with_template("{bar:32} {percent:>3}%  {msg}  {eta} left")
            .unwrap_or_else(|_| ProgressStyle::default_bar()),
    )
}

/// An instant in ISO 8601, UTC.
fn iso(at: OffsetDateTime) -> String {
    at.format(&Rfc3339).unwrap_or_else(|_| at.to_string())
}
