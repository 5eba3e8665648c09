//! `pmsgate audit … --trail reads`: the gateways' records of who read what.

use std::{io::Write, path::PathBuf};

use anyhow::{Result, anyhow, bail};
use audit_chain::ChainKey;
use config::Purpose;
use gateway::audit::{self, Line};
use serde_json::json;

use super::{
    audit::{Export, Form, parse_head},
    print,
};
use crate::{House, cli::Common, failure::WrongUsage};

const COLUMNS: &[&str] = &["trail", "records", "sound", "head", "broken", "known"];

/// The trails of this house's gateways; each process that writes at the same time has one of its own.
fn trails(house: &House) -> Result<Vec<(String, PathBuf)>> {
    Ok(audit::folders(&house.read_trail_folder())?)
}

/// Walks along every trail. `known`: `TRAIL/NUMBER:LINK`, as the head is printed.
pub(super) fn verify(common: &Common, house: &House, known: Option<&str>) -> Result<()> {
    let known = known.map(parse_known).transpose()?;
    let trails = trails(house)?;
    if let Some((name, ..)) = known.as_ref().filter(|known| trails.iter().all(|(name, _)| *name != known.0)) {
        bail!("--known: there is no trail {name} in {}", house.read_trail_folder().display());
    }
    let key = ChainKey::new(&house.master_key.derive(Purpose::ReadTrail));
    let (mut shown, mut faults) = (Vec::new(), Vec::new());
    for (name, folder) in trails {
        let known = known.as_ref().filter(|(trail, ..)| *trail == name);
        let verdict = audit::verify(&folder, &key, known.map(|(_, number, link)| (*number, link.as_str())))?;
        let broken = verdict.broken.map(|broken| broken.to_string());
        faults.extend(broken.iter().map(|broken| format!("trail {name} is broken: {broken}")));
        if verdict.as_known == Some(false) {
            faults.push(format!("trail {name} is another one than the one noted: that record is not in it"));
        }
        shown.push(json!({
            "trail": name,
            "records": verdict.head.number,
            "sound": verdict.sound,
            "head": format!("{name}/{}:{}", verdict.head.number, verdict.head.link),
            "broken": broken,
            "known": verdict.as_known,
        }));
    }
    print(common, shown.into(), COLUMNS)?;
    if faults.is_empty() { Ok(()) } else { bail!("the record of who read what: {}", faults.join("; ")) }
}

/// `TRAIL/NUMBER:LINK`.
fn parse_known(text: &str) -> Result<(String, i64, String), WrongUsage> {
    let advice = "--known: give TRAIL/NUMBER:LINK, as `pmsgate audit verify --trail reads` printed it";
    let (trail, head) = text.split_once('/').ok_or_else(|| WrongUsage(advice.to_owned()))?;
    let (number, link) = parse_head(head)?;
    Ok((trail.to_owned(), number, link))
}

/// Writes every record of every trail.
pub(super) fn write_all(house: &House, source: &str, form: Form, writer: &mut dyn Write) -> Result<()> {
    let mut export = Export::begin(form, writer)?;
    for (name, folder) in trails(house)? {
        for line in audit::lines(&folder)? {
            let line = line?;
            let place = || {
                anyhow!(
                    "trail {name} holds a line that is no record: see `pmsgate audit verify --trail reads`"
                )
            };
            let (record, link) = Line::read(&line).map_err(|_| place())?;
            let event = audit::audit_event(&name, &record, link, source).ok_or_else(place)?;
            export.add(|| line.clone(), || (format!("urn:pmsgate:reads:{name}:{}", record.number), event))?;
        }
    }
    export.end()
}
