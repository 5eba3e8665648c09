//! How a command fails: one line for people, an exit code for scripts.

use std::fmt;

use clap::error::ErrorKind;
use config::{ConfigError, MasterKeyError};

/// What scripts see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitCode {
    /// Refused or failed.
    Failed = 1,
    /// Typed wrongly.
    Usage = 2,
    /// The configuration is wrong (`EX_CONFIG`).
    Configuration = 78,
}

/// What was typed can be read, and does not fit together. Nothing was done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct WrongUsage(pub String);

/// The exit code that an error deserves.
pub fn exit_code(error: &anyhow::Error) -> ExitCode {
    if error.is::<WrongUsage>() {
        return ExitCode::Usage;
    }
    let configuration = error.chain().any(|cause| {
        cause.is::<ConfigError>()
            || cause.is::<MasterKeyError>()
            || cause.is::<fhir_model::access::MatrixError>()
            || cause.is::<gateway::RouteTableError>()
    });
    if configuration { ExitCode::Configuration } else { ExitCode::Failed }
}

/// Wrong usage on one line: what is wrong, what was perhaps meant, and how it goes.
pub fn usage(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let line = |prefix: &str| text.lines().find_map(|line| line.trim().strip_prefix(prefix));
    let said = if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        // clap has the whole help for this, and no message.
        "a command is missing".to_owned()
    } else {
        let message = text.lines().take_while(|line| !line.trim().is_empty()).map(str::trim);
        message.collect::<Vec<_>>().join(" ").trim_start_matches("error: ").to_owned()
    };
    let mut parts = vec![said];
    parts.extend(line("tip: ").map(str::to_owned));
    parts.extend(line("Usage: ").map(|usage| format!("usage: {usage}")));
    parts.push("--help says more".to_owned());
    parts.join("; ")
}

/// An error and its causes on one line.
#[derive(Debug)]
pub struct OneLine<'a>(pub &'a anyhow::Error);

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut last = String::new();
        for cause in self.0.chain() {
            let text = cause.to_string().replace(['\n', '\r'], " ");
            // Some libraries repeat their cause in their own text.
            if last.ends_with(&text) {
                continue;
            }
            write!(f, "{}{text}", if last.is_empty() { "" } else { ": " })?;
            last = text;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use anyhow::{Context as _, anyhow};
    use clap::Parser as _;

    use super::*;
    use crate::cli::Cli;

    #[test]
    fn wrong_usage_is_one_line_that_says_what_to_do() {
        for (typed, words) in [
            (&["client", "crate"][..], "'create'; usage: pmsgate client"),
            (&["client", "show"], "not provided: <CLIENT_ID>; usage: pmsgate client show"),
            (&["client"], "a command is missing; usage: pmsgate client"),
            (
                &["client", "register", "ID"],
                "|--certificate <FILE>|--tls-certificate <FILE>|--tls-subject <SUBJECT>>",
            ),
            (&["serve", "--listen", "here"], "invalid value 'here' for '--listen <ADDR>'"),
            (&["serve", "everything"], "[possible values: all, authz, gateway, backend]"),
            (&["client", "list", "--formt", "json"], "a similar argument exists: '--format'"),
        ] {
            let wrong = Cli::try_parse_from(["pmsgate"].iter().chain(typed)).unwrap_err();
            let line = usage(&wrong);
            assert!(line.contains(words) && line.ends_with("--help says more"), "{typed:?}: {line}");
            assert_eq!(line.lines().count(), 1, "{line}");
        }
    }

    #[test]
    fn causes_stand_on_one_line_and_once() {
        let error = anyhow!("no such\nfile").context("cannot read x: no such file").context("import");
        assert_eq!(OneLine(&error).to_string(), "import: cannot read x: no such file");
    }

    #[test]
    fn a_wrong_configuration_has_its_own_code() {
        let error: anyhow::Result<()> =
            Err(ConfigError::Unreadable { path: "x".to_owned(), reason: "gone".to_owned() }).context("start");
        assert_eq!(exit_code(&error.unwrap_err()), ExitCode::Configuration);
        assert_eq!(exit_code(&anyhow!("other")), ExitCode::Failed);
    }
}
