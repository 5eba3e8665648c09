//! The program `pmsgate`: arguments → command → exit code.

use std::{io::Write as _, process::ExitCode};

use clap::Parser as _;
use pmsgate::{cli::Cli, commands, failure};

/// Requests allocate small things on several threads at once, which the system's allocator is slow at.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    access_token::install_crypto_provider();
    // An error means that a provider is installed already, and there is only this one.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        // Help and version are results, not errors.
        Err(asked) if !asked.use_stderr() => asked.exit(),
        Err(wrong) => {
            let _ = writeln!(std::io::stderr(), "pmsgate: {}", failure::usage(&wrong));
            return ExitCode::from(failure::ExitCode::Usage as u8);
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(commands::run(cli)),
        Err(error) => Err(error.into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody can be told that nobody can be told.
            let _ = writeln!(std::io::stderr(), "pmsgate: {}", failure::OneLine(&error));
            ExitCode::from(failure::exit_code(&error) as u8)
        }
    }
}
