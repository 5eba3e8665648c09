//! Files whose change is noticed by looking at what is in them: their times say nothing after a restore, and a link that
//! is turned to another folder, as orchestrators do, tells no watcher.

use std::{io, path::PathBuf, time::Duration};

use tokio::signal::unix::Signal;
use tokio_util::sync::CancellationToken;

/// Some files that belong together.
#[derive(Debug)]
pub struct WatchedFiles {
    paths: Vec<PathBuf>,
    /// What was in them when they were last looked at, or the words of the failure.
    seen: Vec<Result<Vec<u8>, String>>,
}

impl WatchedFiles {
    /// Watches these files, beginning with what is in them now.
    pub fn new(paths: Vec<PathBuf>) -> Self {
        let seen = paths.iter().map(read).collect();
        Self { paths, seen }
    }

    /// The files.
    pub fn paths(&self) -> &[PathBuf] {
        &self.paths
    }

    /// What is in the files now, in their order.
    ///
    /// # Errors
    /// The first file that cannot be read, by name.
    pub fn contents(&self) -> io::Result<Vec<Vec<u8>>> {
        self.seen.iter().map(|seen| seen.clone().map_err(io::Error::other)).collect()
    }

    /// Looks every so often, and calls `act` when something differs; at a hang-up also when nothing does. Ends when
    /// stopped.
    pub async fn follow(
        mut self,
        every: Duration,
        mut hang_ups: Signal,
        stop: CancellationToken,
        mut act: impl FnMut(&Self),
    ) {
        loop {
            let asked = tokio::select! {
                () = stop.cancelled() => return,
                heard = hang_ups.recv() => heard.is_some(),
                () = tokio::time::sleep(every) => false,
            };
            if self.look() || asked {
                act(&self);
            }
        }
    }

    /// Looks again; whether anything differs from what was seen before.
    fn look(&mut self) -> bool {
        let now: Vec<_> = self.paths.iter().map(read).collect();
        let changed = now != self.seen;
        self.seen = now;
        changed
    }
}

fn read(path: &PathBuf) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("{} cannot be read: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_seen_once_and_a_missing_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let [one, two] = ["one", "two"].map(|name| folder.path().join(name));
        std::fs::write(&one, "1").unwrap();
        let mut files = WatchedFiles::new(vec![one, two.clone()]);
        assert!(!files.look());
        assert!(files.contents().unwrap_err().to_string().contains("two cannot be read"));
        std::fs::write(&two, "2").unwrap();
        assert!(files.look() && !files.look());
        assert_eq!(files.contents().unwrap(), [b"1", b"2"]);
        std::fs::write(&two, "3").unwrap();
        assert!(files.look());
    }
}
