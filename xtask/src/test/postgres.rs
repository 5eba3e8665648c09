//! A throw-away PostgreSQL cluster on a free port, gone when this program is, however it ends.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{self, Child, ChildStdin, Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use super::is_root;
use crate::command;

/// How often another port is tried when somebody took the free one first.
const ATTEMPTS: usize = 3;

/// Waits for the end of its standard input, which comes when we end in whatever way (also killed),
/// then stops the server and removes the cluster. It ignores the signals that end us.
const GUARD: &str = r#"
trap '' INT TERM HUP
cat >/dev/null
"$@" -D "$PMSGATE_CLUSTER/db" -m immediate -w stop >/dev/null 2>&1
rm -rf "$PMSGATE_CLUSTER"
"#;

/// A running cluster.
pub(super) struct Postgres {
    port: u16,
    guard: Child,
    /// Open as long as the server shall run.
    lifeline: Option<ChildStdin>,
}

/// The folder of PostgreSQL's server programs, which Debian keeps off the `PATH`; the newest version wins.
pub(super) fn find_binaries() -> Option<PathBuf> {
    let installed = fs::read_dir("/usr/lib/postgresql").ok()?.flatten().map(|entry| entry.path().join("bin"));
    let newest = installed
        .filter(|folder| folder.join("initdb").is_file())
        .max_by_key(|folder| version_of(folder).unwrap_or_default());
    newest.or_else(|| command::find_program("initdb").and_then(|initdb| initdb.parent().map(Path::to_owned)))
}

/// `15` of `/usr/lib/postgresql/15/bin`.
fn version_of(binaries: &Path) -> Option<u32> {
    binaries.parent()?.file_name()?.to_str()?.parse().ok()
}

impl Postgres {
    /// Makes a cluster in a temporary folder and starts it.
    pub(super) fn start() -> Result<Self> {
        let started = Instant::now();
        let binaries =
            find_binaries().context("no PostgreSQL server programs (Debian package `postgresql`)")?;
        let folder = std::env::temp_dir().join(format!("pmsgate-test-postgres-{}", process::id()));
        make_folder(&folder)?;
        let db = folder.join("db");
        let initialised = command::stdout_of(
            as_owner(&binaries.join("initdb")).current_dir(&folder).arg("-D").arg(&db).args([
                "-A",
                "trust",
                "-U",
                "postgres",
                "--no-sync",
                "-E",
                "UTF8",
                "--locale=C.UTF-8",
            ]),
        );
        let port = initialised.and_then(|_| start_on_free_port(&binaries, &folder, &db));
        let port = match port {
            Ok(port) => port,
            Err(error) => {
                fs::remove_dir_all(&folder).ok();
                return Err(error);
            }
        };
        let (guard, lifeline) = set_guard(&binaries, &folder)?;
        println!(
            "test: PostgreSQL {} on port {port}, throw-away ({})",
            version_of(&binaries).map_or_else(String::new, |version| version.to_string()),
            command::shown_time(started)
        );
        Ok(Self { port, guard, lifeline: Some(lifeline) })
    }

    /// What sqlx connects to.
    pub(super) fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        drop(self.lifeline.take());
        match self.guard.wait() {
            Ok(_) => println!("test: PostgreSQL stopped and removed"),
            Err(error) => eprintln!("test: PostgreSQL may still run on port {}: {error}", self.port),
        }
    }
}

fn set_guard(binaries: &Path, folder: &Path) -> Result<(Child, ChildStdin)> {
    let pg_ctl = as_owner(&binaries.join("pg_ctl"));
    let mut guard = Command::new("sh");
    guard.args(["-c", GUARD, "sh"]).arg(pg_ctl.get_program()).args(pg_ctl.get_args());
    guard.env("PMSGATE_CLUSTER", folder).current_dir("/").stdin(Stdio::piped());
    let mut guard = guard.spawn().context("cannot start the guard of the PostgreSQL server")?;
    let lifeline = guard.stdin.take().context("the guard has no standard input")?;
    Ok((guard, lifeline))
}

fn start_on_free_port(binaries: &Path, folder: &Path, db: &Path) -> Result<u16> {
    let mut complaint = None;
    for _ in 0..ATTEMPTS {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        // No fsync: nothing here outlives the run. Tests that crash the server start their own.
        let options = format!(
            "-k {} -c listen_addresses=127.0.0.1 -p {port} -c fsync=off -c full_page_writes=off \
             -c max_connections=400 -c log_min_messages=warning",
            folder.display()
        );
        let mut start = as_owner(&binaries.join("pg_ctl"));
        start.current_dir(folder).arg("-D").arg(db).arg("-w").arg("-l").arg(folder.join("log"));
        start.arg("-o").arg(options).arg("start");
        // Not captured through a pipe: the server keeps the inherited end open as long as it runs.
        let status = start.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status()?;
        if status.success() {
            return Ok(port);
        }
        complaint = fs::read_to_string(folder.join("log")).ok();
    }
    bail!("PostgreSQL does not start: {}", complaint.unwrap_or_else(|| "it wrote no log".to_owned()).trim())
}

/// A fresh folder that only the server's user can read.
fn make_folder(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("cannot clear {}", folder.display()))?;
    }
    let mut install = Command::new("install");
    install.args(["-d", "-m", "700"]);
    if is_root() {
        install.args(["-o", "postgres"]);
    }
    command::stdout_of(install.arg(folder)).map(drop)
}

/// PostgreSQL refuses to run as root, so root lets Debian's user `postgres` run it.
fn as_owner(program: &Path) -> Command {
    if is_root() {
        let mut command = Command::new("runuser");
        command.args(["-u", "postgres", "--"]).arg(program);
        command
    } else {
        Command::new(program)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_read_from_the_folder() {
        assert_eq!(version_of(Path::new("/usr/lib/postgresql/15/bin")), Some(15));
        assert_eq!(version_of(Path::new("/opt/pg/bin")), None);
    }
}
