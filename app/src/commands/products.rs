//! `pmsgate products …`: medicinal products.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use anyhow::{Context as _, Result, bail};
use fhir_model::generate::{Generator, Seed};
use fhir_store::{
    export::{Exported, Selection},
    import::{Progress, Report},
    verify::Verified,
};
use serde_json::json;

use super::{bar, measure, print};
use crate::{
    House,
    cli::{Common, ProductsCommand},
    output::OutputFormat,
};

/// What stands before `Type/id` in the fullUrls of an export. The import of any server makes its own of it.
const EXPORT_BASE: &str = "https://pmsgate.example/fhir";

pub(super) async fn run(common: &Common, command: ProductsCommand) -> Result<()> {
    match command {
        ProductsCommand::Import { files } => {
            let house = House::open(common)?;
            let report = import(&house, &files).await?;
            print_import(common, &report)
        }
        ProductsCommand::Generate { count, seed, out } => {
            let seed = Seed::try_from(seed)?;
            let started = Instant::now();
            let (products, resources) = match out {
                Some(path) => write_generated(seed, count, &path)?,
                None => store_generated(&House::open(common)?, seed, count).await?,
            };
            // To the millisecond: a person reads it.
            let seconds = (started.elapsed().as_secs_f64() * 1e3).round() / 1e3;
            let json = json!({"products": products, "resources": resources, "seconds": seconds});
            print(common, json, &["products", "resources", "seconds"])
        }
        ProductsCommand::Export { out, organisation, history } => {
            let house = House::open(common)?;
            let selection = Selection { organisation, history };
            if let Some(path) = out {
                let exporting =
                    async |write: &mut (dyn io::Write + Send)| export(&house, &selection, write).await;
                let exported = whole_file(&path, exporting).await?;
                print(common, serde_json::to_value(exported)?, &["products", "resources"])
            } else {
                let mut stdout = BufWriter::new(io::stdout());
                export(&house, &selection, &mut stdout).await?;
                Ok(stdout.flush()?)
            }
        }
        ProductsCommand::Verify { repair } => {
            let house = House::open(common)?;
            let verified = verify(&house, repair).await?;
            print_verified(common, &verified, repair)
        }
        ProductsCommand::Measure { requests } => measure::run(common, usize::try_from(requests)?).await,
    }
}

async fn import(house: &House, files: &[PathBuf]) -> Result<Report> {
    let database = house.products_database().await?;
    let bar = bar(0);
    let mut progress = |at: Progress<'_>| {
        bar.set_length(at.bytes_total);
        bar.set_position(at.bytes_done);
        bar.set_message(format!("{} resources, {} refused", at.resources, at.refused));
    };
    let now = || house.clock.now();
    let report = fhir_store::import::files(&database, &house.matrix, files, &now, &mut progress).await?;
    bar.finish_and_clear();
    Ok(report)
}

fn print_import(common: &Common, report: &Report) -> Result<()> {
    let stored = report.imported + report.updated + report.unchanged;
    let mut json = serde_json::to_value(report)?;
    let table = OutputFormat::choose(common.format) == OutputFormat::Table;
    if table {
        json["refused"] = report.refused.len().into();
    }
    print(common, json, &["imported", "updated", "unchanged", "refused"])?;
    if table && !report.refused.is_empty() {
        print(common, serde_json::to_value(&report.refused)?, &["file", "resource", "reason"])?;
    }
    if stored == 0
        && let Some(first) = report.refused.first()
    {
        bail!("nothing was imported; {}: {}", first.file, first.reason);
    }
    Ok(())
}

/// Writes generated products into a file: how many products and resources it has.
fn write_generated(seed: Seed, count: u32, path: &Path) -> Result<(u64, u64)> {
    let generator = Generator::new(seed);
    let part = part_of(path);
    let mut file = BufWriter::new(create(&part)?);
    let bar = bar(u64::from(count));
    let mut resources = 0;
    for number in 0..count {
        let bundle = generator.bundle(number);
        resources += bundle["entry"].as_array().map_or(0, |entries| entries.len() as u64);
        serde_json::to_writer(&mut file, &bundle)?;
        file.write_all(b"\n")?;
        bar.inc(1);
    }
    file.flush()?;
    fs::rename(&part, path).with_context(|| format!("cannot name {}", path.display()))?;
    bar.finish_and_clear();
    Ok((u64::from(count), resources))
}

/// Stores generated products, those after the last that is there: how many were made, and of how many resources.
async fn store_generated(house: &House, seed: Seed, count: u32) -> Result<(u64, u64)> {
    let database = house.products_database().await?;
    let mut first = 0;
    for (from, to) in seed.id_spans() {
        let last = fhir_store::last_id_between(&database, &from, &to).await?;
        first = first.max(last.and_then(|id| seed.number_in(&id)).map_or(0, |last| last + 1));
    }
    let generator = Arc::new(Generator::new(seed));
    let makers = (first..count).map(|number| {
        let generator = Arc::clone(&generator);
        move || generator.bundle(number)
    });
    let bar = bar(u64::from(count));
    bar.set_position(u64::from(first));
    let now = || house.clock.now();
    let mut progress = |done: u64| bar.set_position(u64::from(first) + done);
    let name = "generated products";
    let report =
        fhir_store::import::made(&database, &house.matrix, name, makers, &now, &mut progress).await?;
    bar.finish_and_clear();
    if let Some(refused) = report.refused.first() {
        bail!("a generated product was refused: {} {}", refused.resource, refused.reason);
    }
    Ok((u64::from(count.saturating_sub(first)), report.imported))
}

async fn export(house: &House, selection: &Selection, out: &mut (dyn io::Write + Send)) -> Result<Exported> {
    let database = house.products_database().await?;
    let bar = bar(0);
    let mut write = |line: &str| out.write_all(line.as_bytes());
    let mut progress = |done, of| {
        bar.set_length(of);
        bar.set_position(done);
    };
    let exported =
        fhir_store::export::export(&database, selection, EXPORT_BASE, &mut write, &mut progress).await?;
    bar.finish_and_clear();
    Ok(exported)
}

/// Writes a file that is there whole or, when something fails, as it was before.
async fn whole_file<T>(
    path: &Path,
    write: impl AsyncFnOnce(&mut (dyn io::Write + Send)) -> Result<T>,
) -> Result<T> {
    let part = part_of(path);
    let mut file = BufWriter::new(create(&part)?);
    let written = write(&mut file).await?;
    file.flush()?;
    fs::rename(&part, path).with_context(|| format!("cannot name {}", path.display()))?;
    Ok(written)
}

fn part_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".part");
    name.into()
}

fn create(path: &Path) -> Result<File> {
    File::create(path).with_context(|| format!("cannot write {}", path.display()))
}

async fn verify(house: &House, repair: bool) -> Result<Verified> {
    let database = house.products_database().await?;
    let bar = bar(0);
    let mut progress = |done, of| {
        bar.set_length(of);
        bar.set_position(done);
    };
    let verified = fhir_store::verify::verify(&database, &house.matrix, repair, &mut progress).await?;
    bar.finish_and_clear();
    Ok(verified)
}

fn print_verified(common: &Common, verified: &Verified, repair: bool) -> Result<()> {
    let columns = &["products", "versions", "faults", "dangling", "repaired"];
    let mut json = serde_json::to_value(verified)?;
    let table = OutputFormat::choose(common.format) == OutputFormat::Table;
    if table {
        json["faults"] = verified.faults.len().into();
    }
    print(common, json, columns)?;
    if table && !verified.faults.is_empty() {
        print(common, serde_json::to_value(&verified.faults)?, &["resource", "kind", "text"])?;
    }
    match verified.faults.first() {
        None => Ok(()),
        Some(first) => {
            let next = if repair {
                "verify again to see what is left"
            } else {
                "see above; --repair mends derived rows"
            };
            bail!(
                "{} faults, the first at {}: {}; {next}",
                verified.faults.len(),
                first.resource,
                first.text
            );
        }
    }
}
