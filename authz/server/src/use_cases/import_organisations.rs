//! Taking in organisations from a file of the register: CSV, a JSON array, or JSON lines.

use std::collections::HashMap;

use authz_domain::{Act, Actor, Location, Organisation};
use authz_store::{
    changes,
    changes::Change,
    organisations::{self, Upserted},
};
use pms_terms::OrganisationId;
use serde::Deserialize;

use super::{UseCaseError, UseCases, table};

/// What an import did, record by record where it refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportReport {
    /// Organisations that were not there before.
    pub imported: usize,
    /// Organisations that differed.
    pub updated: usize,
    /// Organisations that were there, the same.
    pub unchanged: usize,
    /// Records that were not taken in.
    pub refused: Vec<RefusedRecord>,
}

/// A record that was not taken in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedRecord {
    /// The file.
    pub file: String,
    /// Which record: its id where it has one, else its line.
    pub resource: String,
    /// Why, and what to do.
    pub reason: String,
}

/// A record as the files have it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    id: String,
    name: String,
    country: String,
    category: String,
    #[serde(default)]
    locations: Vec<LocationRecord>,
    #[serde(default)]
    address: String,
    #[serde(default)]
    parent: Option<String>,
}

/// A location as the files have it: an id, or an id with a country and an address.
#[derive(Deserialize)]
#[serde(untagged)]
enum LocationRecord {
    Id(String),
    Placed(PlacedLocation),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PlacedLocation {
    id: String,
    #[serde(default)]
    country: String,
    #[serde(default)]
    address: String,
}

/// A record, or why it cannot be read.
type ReadRecord = Result<Record, RefusedRecord>;

impl UseCases {
    /// Takes organisations in. All that are sound are taken in together; the others are reported with reasons: what
    /// cannot be read, a location that has an organisation already, an organisation named twice in different words, a
    /// parent that nobody knows.
    pub async fn import_organisations(
        &self,
        actor: Actor,
        file: &str,
        text: &str,
    ) -> Result<ImportReport, UseCaseError> {
        let now = self.now();
        let mut report = ImportReport::default();
        let mut work = authz_store::begin(&self.database).await?;
        let mut db = work.db();
        let (sound, mut refusals) = once_each(file, read(file, text)?);
        let refuse = |at: usize, one: &Organisation, reason: String| {
            (at, RefusedRecord { file: file.to_owned(), resource: one.id.to_string(), reason })
        };
        // Whose parent is to come waits for it.
        let mut waiting = sound;
        loop {
            let before = waiting.len();
            let mut later = Vec::new();
            for (at, organisation) in waiting {
                if let Some(parent) = &organisation.parent
                    && organisations::find(&mut db, parent).await?.is_none()
                {
                    later.push((at, organisation));
                    continue;
                }
                let claimed =
                    organisations::claimed_by_others(&mut db, &organisation.id, &organisation.locations)
                        .await?;
                if let Some((location, owner)) = claimed {
                    let reason =
                        format!("location {location} belongs to {owner}: a location has one organisation");
                    refusals.push(refuse(at, &organisation, reason));
                    continue;
                }
                match organisations::upsert(&mut db, &organisation, now).await? {
                    Upserted::Imported => report.imported += 1,
                    Upserted::Updated => report.updated += 1,
                    Upserted::Unchanged => report.unchanged += 1,
                }
            }
            waiting = later;
            if waiting.is_empty() || waiting.len() == before {
                break;
            }
        }
        let left: Vec<OrganisationId> = waiting.iter().map(|(_, one)| one.id.clone()).collect();
        for (at, organisation) in waiting {
            let parent = organisation.parent.as_ref().map(ToString::to_string).unwrap_or_default();
            let reason = if organisation.parent.as_ref().is_some_and(|parent| left.contains(parent)) {
                format!(
                    "its parent {parent} is refused, too: what is above it is not known, or leads back to it"
                )
            } else {
                format!("its parent {parent} is not known: import it before or with this file")
            };
            refusals.push(refuse(at, &organisation, reason));
        }
        refusals.sort_by_key(|(at, _)| *at);
        report.refused = refusals.into_iter().map(|(_, refused)| refused).collect();
        if report.imported + report.updated > 0 {
            changes::append(&mut db, &Change::Organisations, now).await?;
            let details = vec![
                ("file", file.to_owned()),
                ("imported", report.imported.to_string()),
                ("updated", report.updated.to_string()),
                ("refused", report.refused.len().to_string()),
            ];
            self.audit(&mut db, &actor, Act::OrganisationsImported, "", details).await?;
        }
        work.commit().await?;
        self.committed().await;
        Ok(report)
    }

    /// Every organisation, by id.
    pub async fn list_organisations(&self) -> Result<Vec<Organisation>, UseCaseError> {
        Ok(organisations::list(&mut self.database.read().await?.db()).await?)
    }
}

/// The sound organisations of a file, for those who need to know of them without taking them in.
///
/// # Errors
/// When the file as a whole cannot be read.
pub fn organisations_in(file: &str, text: &str) -> Result<Vec<Organisation>, UseCaseError> {
    let records = read(file, text)?;
    Ok(records.into_iter().filter_map(|record| organisation(file, &record.ok()?).ok()).collect())
}

/// Sound organisations, and what was refused, by their places in the file.
type Sorted = (Vec<(usize, Organisation)>, Vec<(usize, RefusedRecord)>);

/// The sound organisations of a file, each once, and the records that are refused.
fn once_each(file: &str, records: Vec<ReadRecord>) -> Sorted {
    let (mut sound, mut refusals): Sorted = (Vec::new(), Vec::new());
    let mut places: HashMap<OrganisationId, usize> = HashMap::new();
    for (at, record) in records.into_iter().enumerate() {
        match record.and_then(|record| organisation(file, &record)) {
            Err(refused) => refusals.push((at, refused)),
            Ok(one) => match places.get(&one.id).and_then(|place| sound.get(*place)) {
                Some((_, first)) if *first != one => {
                    let reason =
                        "stands in this file twice, in different words: the first is kept, remove one";
                    refusals.push((at, refused(file, one.id.as_str(), &reason)));
                }
                Some(_) => {}
                None => {
                    places.insert(one.id.clone(), sound.len());
                    sound.push((at, one));
                }
            },
        }
    }
    (sound, refusals)
}

fn refused(file: &str, resource: &str, reason: &dyn std::fmt::Display) -> RefusedRecord {
    let resource = resource.chars().take(60).collect();
    RefusedRecord { file: file.to_owned(), resource, reason: reason.to_string() }
}

fn organisation(file: &str, record: &Record) -> Result<Organisation, RefusedRecord> {
    let id = record.id.trim().parse().map_err(|error| refused(file, &record.id, &error))?;
    let category = record.category.trim().parse().map_err(|error| refused(file, &record.id, &error))?;
    let locations = record
        .locations
        .iter()
        .map(|one| {
            let (id, country, address) = match one {
                LocationRecord::Id(id) => (id, "", ""),
                LocationRecord::Placed(one) => (&one.id, one.country.as_str(), one.address.as_str()),
            };
            let id = id.trim().parse().map_err(|error| refused(file, &record.id, &error))?;
            Location::new(id, country, address).map_err(|error| refused(file, &record.id, &error))
        })
        .collect::<Result<Vec<Location>, _>>()?;
    let parent = record
        .parent
        .as_deref()
        .map(str::trim)
        .filter(|parent| !parent.is_empty())
        .map(str::parse)
        .transpose()
        .map_err(|error| refused(file, &record.id, &error))?;
    Organisation::new(id, &record.name, &record.country, category, locations)
        .and_then(|organisation| organisation.placed(&record.address, parent))
        .map_err(|error| refused(file, &record.id, &error))
}

/// Splits a file into records: JSON by its first character, CSV otherwise.
fn read(file: &str, text: &str) -> Result<Vec<ReadRecord>, UseCaseError> {
    let unreadable = |place: String, problem: String| UseCaseError::Unreadable { place, problem };
    match text.trim_start_matches('\u{feff}').trim_start().chars().next() {
        None => Err(unreadable(file.to_owned(), "the file is empty".to_owned())),
        Some('[') => {
            let records: Vec<serde_json::Value> =
                serde_json::from_str(text.trim_start_matches('\u{feff}'))
                    .map_err(|error| unreadable(format!("{file}:{}", error.line()), error.to_string()))?;
            Ok(records
                .into_iter()
                .enumerate()
                .map(|(n, value)| from_json(file, &format!("record {}", n + 1), value))
                .collect())
        }
        Some('{') => Ok(text
            .lines()
            .enumerate()
            .filter(|(_, line)| !line.trim().is_empty())
            .map(|(n, line)| {
                let place = format!("line {}", n + 1);
                let value = serde_json::from_str(line).map_err(|error| refused(file, &place, &error))?;
                from_json(file, &place, value)
            })
            .collect()),
        Some(_) => from_csv(file, text),
    }
}

fn from_json(file: &str, place: &str, value: serde_json::Value) -> ReadRecord {
    let id = value.get("id").and_then(serde_json::Value::as_str).unwrap_or(place).to_owned();
    serde_json::from_value(value).map_err(|error| refused(file, &id, &error))
}

/// The columns of a CSV file; the last three may be missing. Locations are separated by semicolons or spaces; an id may
/// be followed by its country and its address: `LOC-100000011 NL Plein 1, Leiden; LOC-100000012 DE`. A JSON array of them,
/// as JSON files have it, is read as well.
pub const ORGANISATION_COLUMNS: [&str; 7] =
    ["id", "name", "country", "category", "locations", "address", "parent"];

fn from_csv(file: &str, text: &str) -> Result<Vec<ReadRecord>, UseCaseError> {
    let unreadable =
        |line: usize, problem: String| UseCaseError::Unreadable { place: format!("{file}:{line}"), problem };
    let mut records = table::records(text)
        .map_err(|line| unreadable(line, "a quote opens here and never closes".to_owned()))?
        .into_iter();
    let (_, header) = records.next().ok_or_else(|| unreadable(1, "the file is empty".to_owned()))?;
    let header: Vec<String> = header.iter().map(|name| name.trim().to_ascii_lowercase()).collect();
    if let Some(unknown) = header.iter().find(|name| !ORGANISATION_COLUMNS.contains(&name.as_str())) {
        return Err(unreadable(
            1,
            format!("unknown column {unknown:?}: the columns are {}", ORGANISATION_COLUMNS.join(",")),
        ));
    }
    let place = |column: &str| header.iter().position(|name| name == column);
    let required = |column: &str| {
        place(column).ok_or_else(|| {
            unreadable(1, format!("the column {column:?} is missing: {}", ORGANISATION_COLUMNS.join(",")))
        })
    };
    let (id, name, country, category) =
        (required("id")?, required("name")?, required("country")?, required("category")?);
    let (locations, address, parent) = (place("locations"), place("address"), place("parent"));
    Ok(records
        .map(|(line, fields)| {
            let field = |place: usize| unmarked(fields.get(place).map(String::as_str).unwrap_or_default());
            if fields.len() > header.len() {
                let reason = format!("{} fields where the first line has {}", fields.len(), header.len());
                return Err(refused(file, &format!("line {line}"), &reason));
            }
            let own_id = if field(id).is_empty() { format!("line {line}") } else { field(id).to_owned() };
            let locations = locations_of(locations.map(field).unwrap_or_default())
                .map_err(|error| refused(file, &own_id, &format!("its locations: {error}")))?;
            Ok(Record {
                id: own_id,
                name: field(name).to_owned(),
                country: field(country).to_owned(),
                category: field(category).to_owned(),
                locations,
                address: address.map(field).unwrap_or_default().to_owned(),
                parent: parent.map(field).map(str::to_owned),
            })
        })
        .collect())
}

/// Locations as a cell of a CSV file names them, so that they are read back as they are: in the short form, or as JSON where
/// that would be read otherwise.
pub fn locations_cell(locations: &[Location]) -> String {
    let short =
        |one: &Location| [one.id.as_str(), &one.country, &one.address].join(" ").trim_end().to_owned();
    let text = locations.iter().map(short).collect::<Vec<_>>().join("; ");
    let read = text.split(';').flat_map(listed_locations);
    let same = |(read, one): (LocationRecord, &Location)| match read {
        LocationRecord::Id(_) => false,
        LocationRecord::Placed(read) => {
            read.id == one.id.as_str() && read.country == one.country && read.address == one.address
        }
    };
    if text.split(';').flat_map(listed_locations).count() == locations.len() && read.zip(locations).all(same)
    {
        return text;
    }
    locations.iter().map(location_json).collect::<serde_json::Value>().to_string()
}

/// A location as a JSON file has it.
pub fn location_json(one: &Location) -> serde_json::Value {
    serde_json::json!({ "id": one.id.as_str(), "country": one.country, "address": one.address })
}

/// The locations of a cell: a JSON array of them, or a list.
fn locations_of(cell: &str) -> Result<Vec<LocationRecord>, serde_json::Error> {
    if cell.trim_start().starts_with('[') {
        return serde_json::from_str(cell);
    }
    Ok(cell.split(';').flat_map(listed_locations).collect())
}

/// A cell without the mark by which a spreadsheet is kept from running it as a formula.
fn unmarked(cell: &str) -> &str {
    match cell.strip_prefix('\'') {
        Some(rest) if rest.starts_with(['=', '+', '-', '@']) => rest,
        _ => cell,
    }
}

/// The locations of a stretch of a list: ids, and with one of them perhaps its country and address.
fn listed_locations(text: &str) -> Vec<LocationRecord> {
    let mut found: Vec<PlacedLocation> = Vec::new();
    for word in text.split_whitespace() {
        let word = word.to_owned();
        match found.last_mut() {
            Some(one) if !word.starts_with("LOC-") && one.country.is_empty() => one.country = word,
            Some(one) if !word.starts_with("LOC-") => {
                if !one.address.is_empty() {
                    one.address.push(' ');
                }
                one.address.push_str(&word);
            }
            _ => found.push(PlacedLocation { id: word, country: String::new(), address: String::new() }),
        }
    }
    found.into_iter().map(LocationRecord::Placed).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names(text: &str) -> Vec<Result<String, String>> {
        read("file", text)
            .unwrap()
            .into_iter()
            .map(|record| record.and_then(|record| organisation("file", &record)))
            .map(|read| read.map(|organisation| organisation.name).map_err(|refused| refused.reason))
            .collect()
    }

    #[test]
    fn the_three_forms_say_the_same() {
        let wanted = [Ok("Fable Pharma".to_owned())];
        let csv = "ID,name,country,category,locations\nORG-100000001,Fable Pharma,nl,industry,LOC-100000001;LOC-100000002\n";
        let json = r#"{"id":"ORG-100000001","name":"Fable Pharma","country":"NL","category":"industry","locations":["LOC-100000001"]}"#;
        assert_eq!(names(csv), wanted);
        assert_eq!(names(json), wanted);
        assert_eq!(names(&format!("[{json}]")), wanted);
    }

    #[test]
    fn locations_have_countries_and_addresses_where_they_are_given() {
        let csv = "id,name,country,category,locations\n\
            ORG-100000001,Fable,NL,industry,\"LOC-100000001 nl Plein 1, Leiden; LOC-100000002 LOC-100000003 DE\"\n";
        let json = r#"{"id":"ORG-100000001","name":"Fable","country":"NL","category":"industry","locations":[
            {"id":"LOC-100000001","country":"NL","address":"Plein 1, Leiden"},"LOC-100000002",
            {"id":"LOC-100000003","country":"de"}]}"#
            .replace('\n', " ");
        for text in [csv, &json] {
            let record = read("file", text).unwrap().remove(0).unwrap();
            let places: Vec<_> = organisation("file", &record)
                .unwrap()
                .locations
                .into_iter()
                .map(|one| format!("{} {} {}", one.id, one.country, one.address))
                .collect();
            let wanted = ["LOC-100000001 NL Plein 1, Leiden", "LOC-100000002  ", "LOC-100000003 DE "];
            assert_eq!(places, wanted, "{text}");
        }
        let bad = "id,name,country,category,locations\nORG-100000001,A,NL,industry,LOC-100000001 Leiden\n";
        assert!(names(bad)[0].as_ref().unwrap_err().contains("two letters"));
    }

    fn csv_cell(text: &str) -> String {
        format!("\"{}\"", text.replace('"', "\"\""))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn locations_in_a_cell_are_read_back_as_they_are(
            places in prop::collection::vec(
                (100_000_000_u32..100_000_020, "(|NL|DE)", "( ?(Plein|1,|a;b|LOC-1|\\[x\\]|\"q\"| )){0,4}"), 0..4),
        ) {
            let locations: Vec<Location> = places
                .iter()
                .map(|(n, country, address)| {
                    Location::new(format!("LOC-{n}").parse().unwrap(), country, address).unwrap()
                })
                .collect();
            let id = "ORG-100000001".parse().unwrap();
            let category = "industry".parse().unwrap();
            let one = Organisation::new(id, "=Fable, \"Inc\"", "NL", category, locations).unwrap();
            let text = format!(
                "{}\nORG-100000001,{},NL,industry,{},,\n",
                ORGANISATION_COLUMNS.join(","),
                csv_cell(&format!("'{}", one.name)),
                csv_cell(&locations_cell(&one.locations)),
            );
            let record = read("file", &text).unwrap().remove(0).unwrap();
            prop_assert_eq!(organisation("file", &record).unwrap(), one);
        }
    }

    #[test]
    fn a_bad_record_is_refused_and_the_others_are_read() {
        let csv = "id,name,country,category\nORG-1,A,NL,industry\nORG-100000002,B,NL,shop\nORG-100000003,C,NL,agency\nx,y,z,q,w\n";
        let read = names(csv);
        assert!(read[0].as_ref().unwrap_err().contains("nine digits"));
        assert!(read[1].as_ref().unwrap_err().contains("one of industry, authority, agency"));
        assert_eq!(read[2], Ok("C".to_owned()));
        assert!(read[3].as_ref().unwrap_err().contains("5 fields"));
    }

    #[test]
    fn a_file_of_another_kind_says_what_is_wanted() {
        for (text, word) in [
            ("", "empty"),
            ("a,b\n1,2", "id,name,country"),
            ("id,name\n", "missing"),
            ("[1", "EOF"),
            ("id,\"x", "never closes"),
        ] {
            let problem = match read("file", text) {
                Err(error) => error.to_string(),
                Ok(_) => String::new(),
            };
            assert!(problem.contains(word), "{text:?}: {problem}");
        }
        assert!(names("{\"id\":1}\n{").iter().all(Result::is_err));
    }
}
