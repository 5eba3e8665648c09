//! A server under measurement: started as a process of its own, stopped however the benchmark ends.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::procfs;

/// Starts the server, then waits for the end of its standard input, which comes when we end in whatever way.
/// Signals that end us are left to us: a server dies by this hand only.
const GUARD: &str = r#"
"$@" </dev/null & child=$!
trap '' INT TERM HUP
read -r _
kill -TERM $child 2>/dev/null
for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25; do
    kill -0 $child 2>/dev/null || exit 0
    sleep 0.1
done
kill -KILL $child 2>/dev/null
"#;

/// How long a server may take to answer at first.
const PATIENCE: Duration = Duration::from_mins(1);

/// A running server.
pub(super) struct Server {
    name: String,
    guard: Child,
    lifeline: Option<ChildStdin>,
    log: PathBuf,
}

impl Server {
    /// Starts a command whose output goes into `LOG`.
    pub(super) fn start(name: &str, command: &Command, log: &Path) -> Result<Self> {
        let file = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        let mut guard = Command::new("sh");
        guard.args(["-c", GUARD, "sh"]).arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => guard.env(name, value),
                None => guard.env_remove(name),
            };
        }
        guard.stdin(Stdio::piped()).stdout(file.try_clone()?).stderr(file);
        let mut guard = guard.spawn().with_context(|| format!("cannot start {name}"))?;
        let lifeline = guard.stdin.take();
        Ok(Self { name: name.to_owned(), guard, lifeline, log: log.to_owned() })
    }

    /// Waits until something listens at the address.
    pub(super) fn wait_for_listener(&mut self, address: SocketAddr) -> Result<()> {
        self.wait_until(|| TcpStream::connect(address).is_ok())
    }

    /// Waits until the file exists.
    pub(super) fn wait_for_file(&mut self, path: &Path) -> Result<()> {
        self.wait_until(|| path.exists())
    }

    fn wait_until(&mut self, is_ready: impl Fn() -> bool) -> Result<()> {
        let started = Instant::now();
        let mut next_look = Duration::from_millis(200);
        while !is_ready() {
            // Looking through all processes is not cheap: rarely, so that it does not slow the start down.
            if started.elapsed() > next_look {
                next_look += Duration::from_millis(200);
                if self.processes()?.is_empty() {
                    bail!("{} ended at once: {}", self.name, self.last_words());
                }
            }
            if started.elapsed() > PATIENCE {
                bail!("{} is not ready after {} s: {}", self.name, PATIENCE.as_secs(), self.last_words());
            }
            thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }

    /// User and system clock ticks of all its processes.
    pub(super) fn ticks(&self) -> Result<u64> {
        Ok(self.processes()?.into_iter().map(procfs::ticks_of).sum())
    }

    /// Resident memory of all its processes, in bytes.
    pub(super) fn resident(&self) -> Result<u64> {
        Ok(self.processes()?.into_iter().map(procfs::resident).sum())
    }

    /// Its processes, without the guard.
    fn processes(&self) -> Result<Vec<u32>> {
        Ok(procfs::family(self.guard.id())?.into_iter().filter(|pid| *pid != self.guard.id()).collect())
    }

    fn last_words(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(5)..].join("\n")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.lifeline.take());
        if let Err(error) = self.guard.wait() {
            eprintln!("bench: {} may still run: {error}", self.name);
        }
    }
}

/// A loopback address that nobody listens at.
pub(super) fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}
