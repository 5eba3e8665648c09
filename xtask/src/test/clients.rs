//! The third-party clients and readers of `tests/clients`, installed at pinned versions into the build folder.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result};

use crate::command;
use crate::workspace::Workspace;

/// Where pins and scripts are, relative to the root.
const SCRIPTS: &str = "tests/clients";

/// The pins of the Python clients.
const REQUIREMENTS: &str = "requirements.txt";

/// The pins of the JavaScript clients, and npm's settings for them.
const NODE_PROJECT: [&str; 3] = ["package.json", "package-lock.json", ".npmrc"];

/// A folder with a file that says what was installed into it.
const STAMP: &str = "installed-from";

/// A virtual environment with the Python clients; the variable names its interpreter.
pub(super) fn python(workspace: &Workspace) -> Result<Option<(&'static str, String)>> {
    let pins = workspace.root().join(SCRIPTS).join(REQUIREMENTS);
    let folder = workspace.target().join("xtask").join("python-clients");
    let interpreter = folder.join("bin").join("python");
    let version = command::stdout_of(Command::new("python3").arg("--version"))?;
    let wanted = version + &fs::read_to_string(&pins).with_context(|| pins.display().to_string())?;
    let names = "Python packages requests-oauthlib, Authlib, msal, fhir.resources, fhirpy, fhirstarter, jsonschema, openapi-spec-validator";
    install_once(&folder, &wanted, names, || {
        command::stdout_of(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
        let mut pip = Command::new(&interpreter);
        pip.args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--no-input",
            "--no-deps",
        ]);
        command::aloud(pip.arg("--requirement").arg(&pins))
    })?;
    Ok(Some(("PMSGATE_TEST_PYTHON", interpreter.display().to_string())))
}

/// A folder `node_modules` with the JavaScript clients; the variable names it.
pub(super) fn node(workspace: &Workspace) -> Result<Option<(&'static str, String)>> {
    let source = workspace.root().join(SCRIPTS);
    let folder = workspace.target().join("xtask").join("node-clients");
    let mut wanted = command::stdout_of(Command::new("node").arg("--version"))?;
    for file in NODE_PROJECT {
        wanted += &fs::read_to_string(source.join(file)).with_context(|| format!("{SCRIPTS}/{file}"))?;
    }
    let names = "npm packages openid-client, simple-oauth2, axe-core, hl7.fhir.r5.core (92 MB)";
    install_once(&folder, &wanted, names, || {
        for file in NODE_PROJECT {
            fs::copy(source.join(file), folder.join(file))?;
        }
        let mut npm = Command::new("npm");
        npm.current_dir(&folder).args([
            "ci",
            "--ignore-scripts",
            "--no-audit",
            "--no-fund",
            "--loglevel=error",
        ]);
        command::aloud(&mut npm)
    })?;
    Ok(Some(("PMSGATE_TEST_NODE_MODULES", folder.join("node_modules").display().to_string())))
}

/// Runs `install` on an empty folder unless its stamp says that just this was installed before.
fn install_once(folder: &Path, wanted: &str, what: &str, install: impl FnOnce() -> Result<()>) -> Result<()> {
    let stamp = folder.join(STAMP);
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    let started = Instant::now();
    println!("test: installing into the build folder: {what}");
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("cannot clear {}", folder.display()))?;
    }
    fs::create_dir_all(folder)?;
    install()?;
    fs::write(&stamp, wanted)?;
    println!("test: installed ({})", command::shown_time(started));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_installed_is_not_installed_again() {
        let folder = std::env::temp_dir().join(format!("pmsgate-xtask-stamp-{}", std::process::id()));
        let mut installs = 0;
        for wanted in ["a==1", "a==1", "a==2"] {
            install_once(&folder, wanted, "nothing", || {
                installs += 1;
                Ok(())
            })
            .unwrap();
        }
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(installs, 2);
    }

    #[test]
    fn a_failed_installation_is_tried_again() {
        let folder = std::env::temp_dir().join(format!("pmsgate-xtask-failed-{}", std::process::id()));
        assert!(install_once(&folder, "a==1", "nothing", || anyhow::bail!("no network")).is_err());
        assert!(install_once(&folder, "a==1", "nothing", || Ok(())).is_ok());
        fs::remove_dir_all(&folder).unwrap();
    }
}
