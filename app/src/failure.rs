//! How a command fails: one line for people, an exit code for scripts.

use std::fmt;

use config::{ConfigError, MasterKeyError};

/// What scripts see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitCode {
    /// Refused or failed.
    Failed = 1,
    /// The configuration is wrong (`EX_CONFIG`).
    Configuration = 78,
}

/// The exit code that an error deserves.
pub fn exit_code(error: &anyhow::Error) -> ExitCode {
    let configuration = error.chain().any(|cause| {
        cause.is::<ConfigError>()
            || cause.is::<MasterKeyError>()
            || cause.is::<fhir_model::access::MatrixError>()
    });
    if configuration { ExitCode::Configuration } else { ExitCode::Failed }
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

    use super::*;

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
