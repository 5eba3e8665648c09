//! Processor time and memory of processes, and of the whole machine, as Linux tells them under `/proc`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::command;

/// What `/proc/PID/stat` says of one process, in clock ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stat {
    parent: u32,
    /// It ended, but nobody has asked for its exit status yet.
    ended: bool,
    own: u64,
    /// Of children that ended and were waited for.
    children: u64,
}

/// The machine's ticks since it started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Machine {
    /// Ticks in which a processor worked, for whomever; stolen ones included.
    pub(super) busy: u64,
    pub(super) total: u64,
}

/// Length of a clock tick.
pub(super) fn tick() -> Duration {
    static TICKS: OnceLock<u32> = OnceLock::new();
    let per_second = *TICKS.get_or_init(|| {
        let printed = command::stdout_of(Command::new("getconf").arg("CLK_TCK"));
        printed.ok().and_then(|text| text.trim().parse().ok()).filter(|ticks| *ticks > 0).unwrap_or(100)
    });
    Duration::from_secs(1) / per_second
}

/// A process and all that it started, directly or not, as far as they still run.
pub(super) fn family(root: u32) -> Result<BTreeSet<u32>> {
    let mut parents = BTreeMap::new();
    for entry in fs::read_dir("/proc").context("no /proc: the benchmark runs on Linux only")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        // A process may end while we look.
        if let Some(stat) = stat_of(&pid.to_string()).filter(|stat| !stat.ended) {
            parents.insert(pid, stat.parent);
        }
    }
    let mut family = BTreeSet::from([root]);
    loop {
        let before = family.len();
        family.extend(
            parents
                .iter()
                .filter(|(_, parent)| family.contains(parent))
                .map(|(pid, _)| *pid)
                .collect::<Vec<_>>(),
        );
        if family.len() == before {
            return Ok(family);
        }
    }
}

/// User and system ticks that a process used so far; nothing for one that is gone.
pub(super) fn ticks_of(pid: u32) -> u64 {
    stat_of(&pid.to_string()).map_or(0, |stat| stat.own)
}

/// Our own ticks and those of children that ended.
pub(super) fn own_ticks() -> u64 {
    stat_of("self").map_or(0, |stat| stat.own + stat.children)
}

/// Resident memory in bytes.
pub(super) fn resident(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes: Option<u64> = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    kibibytes.unwrap_or(0) * 1024
}

/// The machine's ticks now.
pub(super) fn machine() -> Result<Machine> {
    let stat = fs::read_to_string("/proc/stat")?;
    parse_machine(&stat).context("/proc/stat is not understood")
}

fn stat_of(pid: &str) -> Option<Stat> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// Fields are counted after the name, which stands in parentheses and may hold anything.
fn parse_stat(line: &str) -> Option<Stat> {
    let fields: Vec<&str> = line[line.rfind(')')? + 1..].split_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
    Some(Stat {
        ended: fields.first() == Some(&"Z"),
        parent: u32::try_from(number(1)?).ok()?,
        own: number(11)? + number(12)?,
        children: number(13)? + number(14)?,
    })
}

/// `cpu user nice system idle iowait irq softirq steal …`.
fn parse_machine(stat: &str) -> Option<Machine> {
    let fields: Vec<u64> = stat
        .lines()
        .next()?
        .strip_prefix("cpu ")?
        .split_whitespace()
        .filter_map(|field| field.parse().ok())
        .collect();
    let (idle, waiting) = (*fields.get(3)?, *fields.get(4)?);
    let total = fields.iter().take(8).sum::<u64>();
    Some(Machine { busy: total - idle - waiting, total })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_name_may_hold_anything() {
        let line = "77 (a) b (c) S 12 1 1 0 -1 4194560 100 0 0 0 31 11 5 2 20 0 3 0 1 2 3";
        assert_eq!(parse_stat(line), Some(Stat { parent: 12, ended: false, own: 42, children: 7 }));
        assert!(parse_stat(&line.replace(" S ", " Z ")).unwrap().ended);
        assert_eq!(parse_stat("77 (cut"), None);
    }

    #[test]
    fn waiting_for_disks_is_not_work() {
        let machine = parse_machine("cpu  10 1 5 80 4 0 0 2 0 0\ncpu0 1 2 3").unwrap();
        assert_eq!(machine, Machine { busy: 18, total: 102 });
    }

    #[test]
    fn we_are_in_our_own_family() {
        let own = std::process::id();
        assert!(family(own).unwrap().contains(&own));
        assert!(resident(own) > 100_000);
    }
}
