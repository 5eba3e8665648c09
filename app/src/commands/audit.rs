//! `pmsgate audit …`: checking and writing out the audit trail.

use std::{
    fs::File,
    io::{self, Write},
    path::Path,
};

use anyhow::{Context as _, Result, bail};
use authz_server::{UseCases, audit_event};
use authz_store::audit_events::ChainedRecord;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use super::{iso, print, read_trail};
use crate::{
    House,
    cli::{AuditCommand, Common, Trail},
    failure::WrongUsage,
    output::OutputFormat,
};

const COLUMNS: &[&str] = &["records", "sound", "head", "broken", "known"];

pub(super) async fn run(common: &Common, command: AuditCommand) -> Result<()> {
    let house = House::open(common)?;
    match command {
        AuditCommand::Verify { trail: Trail::Reads, known } => {
            read_trail::verify(common, &house, known.as_deref())
        }
        AuditCommand::Verify { trail: Trail::Acts, known } => {
            verify(common, &house.use_cases().await?, known.as_deref()).await
        }
        AuditCommand::Export { trail, out } => {
            let (form, mut writer) = (Form::of(common)?, writer(out.as_deref())?);
            let source = house.known_base_url();
            let written = match trail {
                Trail::Reads => read_trail::write_all(&house, &source, form, writer.as_mut()),
                Trail::Acts => write_all(&house.use_cases().await?, &source, form, writer.as_mut()).await,
            };
            match written {
                // A reader that has gone away (`| head`) is no error.
                Err(error) if is_broken_pipe(&error) => Ok(()),
                outcome => outcome,
            }
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
pub(super) fn parse_head(text: &str) -> Result<(i64, String), WrongUsage> {
    let wrong = || {
        WrongUsage(format!(
            "--known: {text:?} is no head: give NUMBER:LINK, as `pmsgate audit verify` printed it"
        ))
    };
    let (number, link) = text.split_once(':').ok_or_else(wrong)?;
    Ok((number.parse().map_err(|_| wrong())?, link.to_owned()))
}

/// Which form an export takes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// One JSON object a line.
    Ndjson,
    /// One FHIR Bundle of AuditEvents.
    Fhir,
}

impl Form {
    fn of(common: &Common) -> Result<Self, WrongUsage> {
        match common.format {
            None | Some(OutputFormat::Ndjson | OutputFormat::Json) => Ok(Self::Ndjson),
            Some(OutputFormat::Fhir) => Ok(Self::Fhir),
            Some(OutputFormat::Table | OutputFormat::Csv) => {
                Err(WrongUsage("an audit trail is exported with --format ndjson or --format fhir".to_owned()))
            }
        }
    }
}

fn writer(out: Option<&Path>) -> Result<Box<dyn Write>> {
    Ok(match out {
        Some(path) => {
            Box::new(io::BufWriter::new(File::create(path).with_context(|| path.display().to_string())?))
        }
        None => Box::new(io::BufWriter::new(io::stdout().lock())),
    })
}

/// An export being written, record by record.
pub(super) struct Export<'w> {
    form: Form,
    writer: &'w mut dyn Write,
    first: bool,
}

impl<'w> Export<'w> {
    pub(super) fn begin(form: Form, writer: &'w mut dyn Write) -> Result<Self> {
        if form == Form::Fhir {
            writer.write_all(b"{\"resourceType\":\"Bundle\",\"type\":\"collection\"")?;
        }
        Ok(Self { form, writer, first: true })
    }

    /// Adds a record: as its own line, or as an event with its address.
    pub(super) fn add(
        &mut self,
        line: impl FnOnce() -> String,
        event: impl FnOnce() -> (String, Value),
    ) -> Result<()> {
        match self.form {
            Form::Ndjson => writeln!(self.writer, "{}", line())?,
            Form::Fhir => {
                // An empty array is no FHIR: the entry begins with its first element.
                self.writer.write_all(if self.first { b",\"entry\":[\n" } else { b",\n" })?;
                let (id, event) = event();
                write!(self.writer, "{}", json!({ "fullUrl": id, "resource": event }))?;
            }
        }
        self.first = false;
        Ok(())
    }

    pub(super) fn end(self) -> Result<()> {
        if self.form == Form::Fhir {
            self.writer.write_all(if self.first { b"}\n" } else { b"]}\n" })?;
        }
        Ok(self.writer.flush()?)
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

async fn write_all(acts: &UseCases, source: &str, form: Form, writer: &mut dyn Write) -> Result<()> {
    let bar = bar(acts.trail_length().await?);
    let (mut last, mut export) = (0, Export::begin(form, writer)?);
    loop {
        let records = acts.trail_after(last).await?;
        let Some(end) = records.last().map(|one| one.record.number) else { break };
        for one in &records {
            let event = || {
                let id = format!("urn:pmsgate:audit:{}", one.record.number);
                (id, audit_event(&one.record, &one.link, source))
            };
            export.add(|| line(one).to_string(), event)?;
        }
        last = end;
        bar.set_position(u64::try_from(last).unwrap_or(0));
    }
    bar.finish_and_clear();
    export.end()?;
    match acts.trail_end_fault().await? {
        None => Ok(()),
        Some(fault) => {
            Err(anyhow::Error::new(fault)
                .context("what was written ends before it; see `pmsgate audit verify`"))
        }
    }
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
