//! The files of a trail: lines appended to numbered files, and a sealed note of where the chain ends.
//!
//! A folder holds one trail for each process that may write at the same time (`1`, `2`, …): the first whose lock is free
//! is gone on with. A line that a crash cut in two is taken away; records after the note prove themselves.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
};

use audit_chain::{ChainHead, ChainKey};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::record::{Entry, Line};

/// The note of where the chain ends.
const HEAD: &str = "head.json";
/// Trails of one folder, at most.
const MAX_TRAILS: u32 = 1000;
/// The end of a file that is looked at for its last record; lines are far shorter.
const TAIL: u64 = 256 * 1024;

/// Why a trail cannot be gone on with.
#[derive(Debug, thiserror::Error)]
pub enum TrailError {
    /// The disk, or the rights on it.
    #[error("the audit trail at {path} cannot be used: {error}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// Every trail of the folder is in use.
    #[error("all {MAX_TRAILS} audit trails at {0} are in use")]
    NoneFree(PathBuf),
}

/// `error` with its place.
pub(super) fn at(path: &Path) -> impl FnOnce(io::Error) -> TrailError {
    let path = path.to_owned();
    move |error| TrailError::Io { path, error }
}

/// The note as it is stored.
#[derive(Serialize, Deserialize)]
struct Note {
    number: i64,
    link: String,
    seal: String,
}

/// A trail being written.
#[derive(Debug)]
pub(super) struct Trail {
    folder: PathBuf,
    key: ChainKey,
    file_size: u64,
    file: File,
    file_number: u32,
    /// Bytes of the file that are whole records.
    length: u64,
    head: ChainHead,
    /// The last note. One that was changed or taken away stays visibly so.
    noted: ChainHead,
    /// Held while it is written.
    _lock: File,
}

impl Trail {
    /// The first trail of the folder that nobody writes, where it ended.
    pub(super) fn open(folder: &Path, key: ChainKey, file_size: u64) -> Result<Self, TrailError> {
        for number in 1..=MAX_TRAILS {
            let own = folder.join(number.to_string());
            make_private_folder(&own).map_err(at(&own))?;
            let path = own.join("lock");
            let lock = private(&path, OpenOptions::new().append(true)).map_err(at(&path))?;
            match lock.try_lock() {
                Ok(()) => return Self::go_on(own, key, file_size, lock),
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(at(&path)(error)),
            }
        }
        Err(TrailError::NoneFree(folder.to_owned()))
    }

    fn go_on(folder: PathBuf, key: ChainKey, file_size: u64, lock: File) -> Result<Self, TrailError> {
        let mut noted = read_head(&folder)?;
        let known = files(&folder)?;
        if known.is_empty() && noted == ChainHead::unwritten() {
            // From here on, a trail without a note is one whose note was taken away.
            noted = key.head(0, "");
            write_head(&folder, &noted)?;
        }
        let file_number = known.last().map_or(1, |(number, _)| *number);
        let path = file_path(&folder, file_number);
        let mut file = open_file(&path).map_err(at(&path))?;
        let (length, mut last) = whole_records(&mut file).map_err(at(&path))?;
        file.set_len(length).map_err(at(&path))?;
        // The last file may have been begun a moment before the crash.
        for (_, path) in known.iter().rev().skip(1) {
            if last.is_none() {
                last = whole_records(&mut open_file(path).map_err(at(path))?).map_err(at(path))?.1;
            }
        }
        let mut head = noted.clone();
        match last {
            Some((number, link)) if number >= noted.number => (head.number, head.link) = (number, link),
            None if noted.number == 0 => {}
            _ => {
                tracing::error!(folder = %folder.display(), noted = noted.number, "the audit trail is shorter than noted: records were removed");
            }
        }
        Ok(Self { folder, key, file_size, file, file_number, length, head, noted, _lock: lock })
    }

    /// Appends records, all or none.
    pub(super) fn append(&mut self, entries: &[(OffsetDateTime, Entry)]) -> Result<(), TrailError> {
        if self.length >= self.file_size {
            let path = file_path(&self.folder, self.file_number + 1);
            self.file = open_file(&path).map_err(at(&path))?;
            (self.file_number, self.length) = (self.file_number + 1, 0);
        }
        let mut head = self.head.clone();
        let mut text = String::with_capacity(entries.len() * 512);
        for (moment, entry) in entries {
            let line = Line::new(head.number + 1, *moment, entry);
            let link = line.link(&self.key, &head.link);
            text.push_str(&line.sealed(&link));
            // Sealed when it is noted.
            (head.number, head.link) = (line.number, link);
        }
        if let Err(error) = self.file.write_all(text.as_bytes()) {
            let path = file_path(&self.folder, self.file_number);
            // What was written of it must not stand before the next try; if that fails, too, its line is found torn.
            let _ = self.file.set_len(self.length);
            return Err(at(&path)(error));
        }
        self.length += text.len() as u64;
        self.head = head;
        Ok(())
    }

    /// Brings what was appended to the disk, and notes where the chain ends.
    pub(super) fn note(&mut self) -> Result<(), TrailError> {
        if self.noted.number == self.head.number {
            return Ok(());
        }
        self.file.sync_data().map_err(at(&self.folder))?;
        let head = self.key.advance(&self.noted, self.head.number, &self.head.link);
        write_head(&self.folder, &head)?;
        self.noted = head;
        Ok(())
    }
}

/// Writes a trail's note beside its place first, so that a crash leaves the old one or the new one.
fn write_head(folder: &Path, head: &ChainHead) -> Result<(), TrailError> {
    let path = folder.join(HEAD);
    let draft = path.with_extension("draft");
    let note = Note { number: head.number, link: head.link.clone(), seal: head.seal.clone() };
    let mut file = private(&draft, OpenOptions::new().write(true).truncate(true)).map_err(at(&draft))?;
    file.write_all(serde_json::to_string(&note).unwrap_or_default().as_bytes()).map_err(at(&draft))?;
    file.sync_data().map_err(at(&draft))?;
    fs::rename(&draft, &path).map_err(at(&path))
}

/// The note of a trail's folder.
pub(super) fn read_head(folder: &Path) -> Result<ChainHead, TrailError> {
    let path = folder.join(HEAD);
    match fs::read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(ChainHead::unwritten()),
        Err(error) => Err(at(&path)(error)),
        Ok(bytes) => Ok(match serde_json::from_slice(&bytes) {
            Ok(Note { number, link, seal }) => ChainHead { number, link, seal },
            // No note of ours: a number that no trail has, and no seal.
            Err(_) => ChainHead { number: i64::MAX, link: String::new(), seal: "unreadable".to_owned() },
        }),
    }
}

/// The files of a trail's folder, in order, with their numbers.
pub(super) fn files(folder: &Path) -> Result<Vec<(u32, PathBuf)>, TrailError> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(at(folder))? {
        let path = entry.map_err(at(folder))?.path();
        let number = path.file_name().and_then(|name| name.to_str()?.strip_suffix(".ndjson")?.parse().ok());
        found.extend(number.map(|number| (number, path)));
    }
    found.sort();
    Ok(found)
}

fn file_path(folder: &Path, number: u32) -> PathBuf {
    folder.join(format!("{number:06}.ndjson"))
}

fn open_file(path: &Path) -> io::Result<File> {
    private(path, OpenOptions::new().read(true).append(true))
}

/// A file that only its owner can read.
fn private(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options.create(true).open(path)
}

fn make_private_folder(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(path)
}

/// The bytes of a file that are whole lines, and the last record's number and link.
fn whole_records(file: &mut File) -> io::Result<(u64, Option<(i64, String)>)> {
    let length = file.metadata()?.len();
    let start = length.saturating_sub(TAIL);
    file.seek(SeekFrom::Start(start))?;
    let mut tail = Vec::new();
    file.read_to_end(&mut tail)?;
    let Some(end) = tail.iter().rposition(|byte| *byte == b'\n') else {
        return Ok((if start == 0 { 0 } else { length }, None));
    };
    let lines = &tail[..end];
    let begin = lines.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let last = std::str::from_utf8(&lines[begin..]).ok().and_then(|line| Line::read(line).ok());
    Ok((start + end as u64 + 1, last.map(|(line, link)| (line.number, link.to_owned()))))
}
