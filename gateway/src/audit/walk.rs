//! Reading trails back: all records in order, and what is wrong with them.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
};

use audit_chain::{ChainBroken, ChainHead, ChainKey, ChainWalk};

use super::{
    record::Line,
    trail::{TrailError, at, files, read_head},
};

/// What a walk along a trail found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Records that are sound, from the first one on.
    pub sound: i64,
    /// Where the trail ends. Kept elsewhere, it shows later that nothing before was changed.
    pub head: ChainHead,
    /// What is wrong, and where.
    pub broken: Option<ChainBroken>,
    /// Whether the record that was asked for has the link that was asked for; none when none was.
    pub as_known: Option<bool>,
}

/// The folders of the trails below a folder, in order, with their names. None where there is no such folder.
///
/// # Errors
/// A folder that cannot be read.
pub fn folders(folder: &Path) -> Result<Vec<(String, PathBuf)>, TrailError> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(at(folder))? {
        let path = entry.map_err(at(folder))?.path();
        let number: Option<u32> = path.file_name().and_then(|name| name.to_str()?.parse().ok());
        found.extend(number.filter(|_| path.is_dir()).map(|number| (number, path)));
    }
    found.sort();
    Ok(found.into_iter().map(|(number, path)| (number.to_string(), path)).collect())
}

/// All lines of a trail, in order.
///
/// # Errors
/// A folder that cannot be read.
pub fn lines(folder: &Path) -> Result<impl Iterator<Item = Result<String, TrailError>>, TrailError> {
    Ok(files(folder)?.into_iter().flat_map(|(_, path)| match File::open(&path) {
        Ok(file) => {
            let place = path.clone();
            let read = BufReader::new(file).lines().map(move |line| line.map_err(at(&place)));
            Box::new(read) as Box<dyn Iterator<Item = _>>
        }
        Err(error) => Box::new(std::iter::once(Err(at(&path)(error)))),
    }))
}

/// Walks along a trail, which may be written meanwhile. `known`: a number and the link that it is known to have.
///
/// # Errors
/// A folder that cannot be read.
pub fn verify(folder: &Path, key: &ChainKey, known: Option<(i64, &str)>) -> Result<Verdict, TrailError> {
    // Before the records: what is appended from now on lies behind it.
    let noted = read_head(folder)?;
    let mut walk = ChainWalk::new(key);
    let (mut passed, mut last_link) = (noted.number == 0, String::new());
    let mut as_known = known.map(|(number, link)| number == 0 && link.is_empty());
    let mut broken = None;
    let mut lines = lines(folder)?.peekable();
    while let Some(line) = lines.next() {
        let line = line?;
        let next = walk.last() + 1;
        match Line::read(&line) {
            Ok((record, link)) => {
                if let Err(error) = walk.take(&record, link) {
                    broken = Some(error);
                    break;
                }
                passed |= walk.stands_at(&noted);
                if known == Some((record.number, link)) {
                    as_known = Some(true);
                }
                link.clone_into(&mut last_link);
            }
            // The last line of a trail that is being written may not be whole yet.
            Err(_) if lines.peek().is_none() && walk.last() >= noted.number => break,
            Err(_) => {
                broken = Some(ChainBroken::Changed { number: next });
                break;
            }
        }
    }
    let sound = walk.last();
    if broken.is_none() {
        broken = match noted {
            ref noted if *noted == ChainHead::unwritten() && sound == 0 => None,
            ref noted if !key.made(noted) => Some(ChainBroken::HeadChanged { number: noted.number }),
            ref noted if sound < noted.number => {
                Some(ChainBroken::CutOff { found: sound, expected: noted.number })
            }
            _ if !passed => Some(ChainBroken::Changed { number: noted.number }),
            _ => None,
        };
    }
    let head = if sound >= noted.number { key.head(sound, &last_link) } else { noted };
    Ok(Verdict { sound, head, broken, as_known })
}
