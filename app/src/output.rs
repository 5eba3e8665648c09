//! What commands print: a table for people, JSON or CSV for machines.

use std::io::{self, IsTerminal as _, Write as _};

use anyhow::Result;
use clap::ValueEnum;
use comfy_table::{ContentArrangement, Table, presets::UTF8_HORIZONTAL_ONLY};
use serde_json::Value;

use crate::failure::WrongUsage;

/// The form in which a result is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// For people.
    Table,
    /// For machines.
    Json,
    /// For spreadsheets.
    Csv,
    /// For machines, one object a line.
    Ndjson,
    /// FHIR: of `audit export` only.
    Fhir,
}

impl OutputFormat {
    /// What was asked for; else a table on a terminal and JSON elsewhere.
    pub(crate) fn choose(asked: Option<Self>) -> Self {
        asked.unwrap_or(if io::stdout().is_terminal() { Self::Table } else { Self::Json })
    }
}

/// Why a command that is no export does not take `--format fhir`.
pub(crate) fn only_exports_have_fhir() -> WrongUsage {
    WrongUsage("only `audit export` has a FHIR form: use --format table, json, ndjson or csv".to_owned())
}

/// A result: one object, or a list of objects, with the columns that people want to see first.
#[derive(Debug)]
pub(crate) struct Report {
    /// The JSON form: an object or an array of objects.
    pub json: Value,
    /// Fields shown as columns, in order. Nested values are shown as compact JSON.
    pub columns: &'static [&'static str],
}

impl Report {
    /// Prints it.
    pub(crate) fn print(&self, format: OutputFormat) -> Result<()> {
        let text = match format {
            OutputFormat::Json => serde_json::to_string_pretty(&self.json)? + "\n",
            OutputFormat::Csv => self.csv(),
            OutputFormat::Ndjson => {
                self.rows().iter().flat_map(|row| [row.to_string(), "\n".to_owned()]).collect()
            }
            OutputFormat::Fhir => return Err(only_exports_have_fhir().into()),
            OutputFormat::Table => self.table(),
        };
        print_text(&text)
    }

    fn rows(&self) -> Vec<&Value> {
        match &self.json {
            Value::Array(rows) => rows.iter().collect(),
            one => vec![one],
        }
    }

    fn table(&self) -> String {
        let mut table = Table::new();
        table.load_style(UTF8_HORIZONTAL_ONLY).set_content_arrangement(ContentArrangement::Dynamic);
        match &self.json {
            Value::Array(rows) if rows.is_empty() => return "nothing\n".to_owned(),
            Value::Array(_) => {
                table.set_header(self.columns.iter().map(|name| name.replace('_', " ")));
                for row in self.rows() {
                    table.add_row(self.columns.iter().map(|name| cell(&row[*name])));
                }
            }
            one => {
                for name in self.columns {
                    table.add_row([name.replace('_', " "), cell(&one[*name])]);
                }
            }
        }
        format!("{table}\n")
    }

    fn csv(&self) -> String {
        let mut text = self.columns.join(",") + "\r\n";
        for row in self.rows() {
            let cells: Vec<String> = self.columns.iter().map(|name| csv_cell(&cell(&row[*name]))).collect();
            text += &(cells.join(",") + "\r\n");
        }
        text
    }
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// One CSV cell (RFC 4180). A leading `=`, `+`, `-` or `@` would be run as a formula by spreadsheets.
fn csv_cell(text: &str) -> String {
    let text = if text.starts_with(['=', '+', '@']) { format!("'{text}") } else { text.to_owned() };
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

/// Writes to standard output; a reader that has gone away (`| head`) is no error.
pub(crate) fn print_text(text: &str) -> Result<()> {
    match io::stdout().write_all(text.as_bytes()).and_then(|()| io::stdout().flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => Ok(other?),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn report() -> Report {
        Report {
            json: json!([{"client_id": "c-1", "label": "a, \"b\"", "hidden": 1}, {"client_id": "c-2", "label": null}]),
            columns: &["client_id", "label"],
        }
    }

    #[test]
    fn csv_quotes_what_needs_it_and_runs_no_formula() {
        assert_eq!(report().csv(), "client_id,label\r\nc-1,\"a, \"\"b\"\"\"\r\nc-2,\r\n");
        assert_eq!(csv_cell("=cmd()"), "'=cmd()");
    }

    #[test]
    fn a_table_shows_the_chosen_columns() {
        let table = report().table();
        assert!(table.contains("client id") && table.contains("c-2") && !table.contains("hidden"), "{table}");
        let empty = Report { json: json!([]), columns: &["x"] };
        assert_eq!(empty.table(), "nothing\n");
    }
}
