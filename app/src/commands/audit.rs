//! `pmsgate audit …`: checking and writing out the audit trail.

use std::{
    fs::File,
    io::{self, Write},
    path::PathBuf,
};

use anyhow::{Context as _, Result, anyhow, bail};
use authz_server::{UseCases, audit_event};
use authz_store::audit_events::ChainedRecord;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use super::{iso, print};
use crate::{
    House,
    cli::{AuditCommand, Common},
    output::OutputFormat,
};

const COLUMNS: &[&str] = &["records", "sound", "head", "broken", "known"];

pub(super) async fn run(common: &Common, command: AuditCommand) -> Result<()> {
    let house = House::open(common)?;
    let acts = house.use_cases().await?;
    match command {
        AuditCommand::Verify { known } => verify(common, &acts, known.as_deref()).await,
        AuditCommand::Export { out } => {
            let source = house.known_base_url();
            export(common, &acts, &source, out).await
        }
    }
}

/// A bar on standard error, and nowhere when that is no terminal.
fn bar(length: i64) -> ProgressBar {
    ProgressBar::new(u64::try_from(length).unwrap_or(0)).with_style(
        ProgressStyle::with_template("{bar:32} {pos} of {len} records  {eta} left")
            .unwrap_or_else(|_| ProgressStyle::default_bar()),
    )
}

async fn verify(common: &Common, acts: &UseCases, known: Option<&str>) -> Result<()> {
    let known = known.map(parse_head).transpose()?;
    let bar = bar(acts.trail_length().await?);
    let verdict = acts
        .verify_trail(known.as_ref().map(|(number, link)| (*number, link.as_str())), |walked| {
            bar.set_position(u64::try_from(walked).unwrap_or(0));
        })
        .await?;
    bar.finish_and_clear();
    let broken = verdict.broken.as_ref().map(ToString::to_string);
    let shown = json!({
        "records": verdict.head.number,
        "sound": verdict.sound,
        "head": format!("{}:{}", verdict.head.number, verdict.head.link),
        "broken": broken,
        "known": verdict.as_known,
    });
    print(common, shown, COLUMNS)?;
    if let Some(broken) = broken {
        bail!("the audit trail is broken: {broken}");
    }
    if verdict.as_known == Some(false) {
        bail!("the audit trail is another one than the one noted: that record is not in it");
    }
    Ok(())
}

/// `NUMBER:LINK`, as `audit verify` prints the head.
fn parse_head(text: &str) -> Result<(i64, String)> {
    let wrong =
        || anyhow!("--known: {text:?} is no head: give NUMBER:LINK, as `pmsgate audit verify` printed it");
    let (number, link) = text.split_once(':').ok_or_else(wrong)?;
    Ok((number.parse().map_err(|_| wrong())?, link.to_owned()))
}

/// Which form an export takes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// One JSON object a line.
    Ndjson,
    /// One FHIR Bundle of AuditEvents.
    Fhir,
}

async fn export(common: &Common, acts: &UseCases, source: &str, out: Option<PathBuf>) -> Result<()> {
    let form = match common.format {
        None | Some(OutputFormat::Ndjson | OutputFormat::Json) => Form::Ndjson,
        Some(OutputFormat::Fhir) => Form::Fhir,
        Some(OutputFormat::Table | OutputFormat::Csv) => {
            bail!("the audit trail is exported with --format ndjson or --format fhir")
        }
    };
    let mut writer: Box<dyn Write> = match &out {
        Some(path) => {
            Box::new(io::BufWriter::new(File::create(path).with_context(|| path.display().to_string())?))
        }
        None => Box::new(io::BufWriter::new(io::stdout().lock())),
    };
    match write_all(acts, source, form, writer.as_mut()).await {
        // A reader that has gone away (`| head`) is no error.
        Err(error) if is_broken_pipe(&error) => Ok(()),
        outcome => outcome,
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

async fn write_all(acts: &UseCases, source: &str, form: Form, writer: &mut dyn Write) -> Result<()> {
    let bar = bar(acts.trail_length().await?);
    if form == Form::Fhir {
        writer.write_all(b"{\"resourceType\":\"Bundle\",\"type\":\"collection\"")?;
    }
    let (mut last, mut first) = (0, true);
    loop {
        let records = acts.trail_after(last).await?;
        let Some(end) = records.last().map(|one| one.record.number) else { break };
        for one in &records {
            match form {
                Form::Ndjson => writeln!(writer, "{}", line(one))?,
                Form::Fhir => {
                    // An empty array is no FHIR: the entry begins with its first element.
                    writer.write_all(if first { b",\"entry\":[\n" } else { b",\n" })?;
                    let id = format!("urn:pmsgate:audit:{}", one.record.number);
                    let event = audit_event(&one.record, &one.link, source);
                    write!(writer, "{}", json!({ "fullUrl": id, "resource": event }))?;
                }
            }
            first = false;
        }
        last = end;
        bar.set_position(u64::try_from(last).unwrap_or(0));
    }
    if form == Form::Fhir {
        writer.write_all(if first { b"}\n" } else { b"]}\n" })?;
    }
    writer.flush()?;
    bar.finish_and_clear();
    Ok(())
}

fn line(one: &ChainedRecord) -> Value {
    let record = &one.record;
    json!({
        "number": record.number,
        "at": iso(record.at),
        "actor": { "kind": record.actor_kind, "id": record.actor_id },
        "origin": record.origin,
        "act": record.act,
        "subject": record.subject,
        "client": record.client,
        "organisation": record.organisation,
        "details": serde_json::from_str::<Value>(&record.details).unwrap_or_default(),
        "link": one.link,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_as_it_is_printed() {
        assert_eq!(parse_head("12:abc").unwrap(), (12, "abc".to_owned()));
        for wrong in ["", "12", "x:abc"] {
            assert!(parse_head(wrong).unwrap_err().to_string().contains("NUMBER:LINK"));
        }
    }
}
