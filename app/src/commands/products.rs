//! `pmsgate products …`: medicinal products.

use std::path::PathBuf;

use anyhow::{Result, bail};
use fhir_store::import::{Progress, Report};
use indicatif::{ProgressBar, ProgressStyle};

use super::print;
use crate::{
    House,
    cli::{Common, ProductsCommand},
    output::OutputFormat,
};

pub(super) async fn run(common: &Common, command: ProductsCommand) -> Result<()> {
    let ProductsCommand::Import { files } = command;
    let house = House::open(common)?;
    let report = import(&house, &files).await?;
    let stored = report.imported + report.updated + report.unchanged;
    if OutputFormat::choose(common.format) == OutputFormat::Table {
        let mut json = serde_json::to_value(&report)?;
        json["refused"] = report.refused.len().into();
        print(common, json, &["imported", "updated", "unchanged", "refused"])?;
        if !report.refused.is_empty() {
            print(common, serde_json::to_value(&report.refused)?, &["file", "resource", "reason"])?;
        }
    } else {
        print(common, serde_json::to_value(&report)?, &["imported", "updated", "unchanged", "refused"])?;
    }
    if stored == 0
        && let Some(first) = report.refused.first()
    {
        bail!("nothing was imported; {}: {}", first.file, first.reason);
    }
    Ok(())
}

async fn import(house: &House, files: &[PathBuf]) -> Result<Report> {
    let database = house.products_database().await?;
    // indicatif draws on standard error, and nowhere when that is no terminal.
    let bar = ProgressBar::new(0).with_style(
        ProgressStyle::with_template("{bar:32} {percent:>3}%  {msg}  {eta} left")
            .unwrap_or_else(|_| ProgressStyle::default_bar()),
    );
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
