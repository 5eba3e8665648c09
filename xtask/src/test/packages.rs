//! Debian packages that the tests need: installed as root, named to everyone else.

use std::process::Command;

use super::is_root;
use super::postgres;
use crate::command::{self, find_program};

/// Installs what is missing, saying so first. What cannot be installed is only named here:
/// the part that needs it fails by itself, with its own words.
pub(super) fn provide(for_postgres: bool, for_clients: bool) {
    let wanted = missing(for_postgres, for_clients);
    if wanted.is_empty() {
        return;
    }
    let packages = wanted.join(" ");
    if find_program("apt-get").is_none() {
        eprintln!("test: missing here: {packages} (Debian's names); install them by this system's own means");
        return;
    }
    if !is_root() {
        eprintln!("test: missing here; please run: sudo apt-get install --no-install-recommends {packages}");
        return;
    }
    println!("test: installing Debian packages: {packages}");
    if let Err(error) = install(&wanted) {
        eprintln!("test: {error:#}");
    }
}

/// Debian's names of what is not there yet.
fn missing(for_postgres: bool, for_clients: bool) -> Vec<&'static str> {
    let mut missing = Vec::new();
    if for_postgres && postgres::find_binaries().is_none() {
        missing.push("postgresql");
    }
    if find_program("redis-server").is_none() {
        missing.push("redis-server");
    }
    if for_clients {
        if !command::succeeds(Command::new("python3").args(["-c", "import venv, ensurepip"])) {
            missing.extend(["python3", "python3-venv"]);
        }
        if find_program("node").is_none() {
            missing.push("nodejs");
        }
        if find_program("npm").is_none() {
            missing.push("npm");
        }
        if find_program("chromium").is_none() || find_program("chromedriver").is_none() {
            missing.extend(["chromium", "chromium-driver"]);
        }
        if find_program("promtool").is_none() {
            missing.push("prometheus");
        }
    }
    missing
}

fn install(packages: &[&str]) -> anyhow::Result<()> {
    let apt = || {
        let mut apt = Command::new("apt-get");
        apt.env("DEBIAN_FRONTEND", "noninteractive").args(["-qq", "-o", "Dpkg::Use-Pty=0"]);
        apt
    };
    command::aloud(apt().arg("update"))?;
    command::aloud(apt().args(["install", "-y", "--no-install-recommends"]).args(packages))
}
