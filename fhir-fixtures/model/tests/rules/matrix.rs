//! The default matrix against the table it was made from, written out here once more, symbol by symbol.
//!
//! ● seen · ○ removed · ◐n seen on a condition (note n) · Q by qualified owners only. The columns are public,
//! industry on other people's products, owner, authority, agency.

use std::collections::BTreeSet;

use fhir_model::access::{Cell, Column, MatrixRow, RowSubject, may_see_history};

use crate::sample::matrix;

/// What the source says, what it says to each column, and the rows of the file that say it.
const TABLE: &[(&str, &str, &[&str])] = &[
    (
        "id, meta.versionId, meta.lastUpdated",
        "● ● ● ● ●",
        &["Resource.id", "Resource.meta.versionId", "Resource.meta.lastUpdated"],
    ),
    // Not in the source: without it texts could not be read.
    ("language of the resource", "● ● ● ● ●", &["Resource.language"]),
    // --- MedicinalProductDefinition
    ("the product itself, by its gates", "● ● ● ● ●", &["MedicinalProductDefinition"]),
    ("identifier: mpId, pmsId", "● ● ● ● ●", &["MedicinalProductDefinition.identifier (product-number)"]),
    (
        "identifier: EV code, eurdId, local/internal systems",
        "○ ○ ● ● ●",
        &["MedicinalProductDefinition.identifier"],
    ),
    (
        "type, domain, name.*",
        "● ● ● ● ●",
        &[
            "MedicinalProductDefinition.type",
            "MedicinalProductDefinition.domain",
            "MedicinalProductDefinition.name",
        ],
    ),
    ("version", "○ ○ ● ● ●", &["MedicinalProductDefinition.version"]),
    (
        "status, statusDate",
        "● ● ● ● ●",
        &["MedicinalProductDefinition.status", "MedicinalProductDefinition.statusDate"],
    ),
    ("description", "○ ○ ● ● ●", &["MedicinalProductDefinition.description"]),
    (
        "combinedPharmaceuticalDoseForm, ext authorisedDoseForm, route",
        "● ● ● ● ●",
        &[
            "MedicinalProductDefinition.combinedPharmaceuticalDoseForm",
            "http://ema.europa.eu/fhir/extension/authorisedDoseForm at MedicinalProductDefinition",
            "MedicinalProductDefinition.route",
        ],
    ),
    ("indication (text)", "● ● ● ● ●", &["MedicinalProductDefinition.indication"]),
    ("legalStatusOfSupply", "● ● ● ● ●", &["MedicinalProductDefinition.legalStatusOfSupply"]),
    (
        "additionalMonitoringIndicator, specialMeasures",
        "● ● ● ● ●",
        &[
            "MedicinalProductDefinition.additionalMonitoringIndicator",
            "MedicinalProductDefinition.specialMeasures",
        ],
    ),
    ("pediatricUseIndicator", "● ● ● ● ●", &["MedicinalProductDefinition.pediatricUseIndicator"]),
    ("classification: ATC", "● ● ● ● ●", &["MedicinalProductDefinition.classification (atc)"]),
    (
        "classification: orphan designation",
        "● ● ● ● ●",
        &["MedicinalProductDefinition.classification (orphan-designation)"],
    ),
    (
        "classification: legal basis / application type",
        "◐1 ◐1 ● ● ●",
        &["MedicinalProductDefinition.classification (legal-basis)"],
    ),
    // Not in the source: other classifications are as local identifiers.
    ("classification: any other", "○ ○ ● ● ●", &["MedicinalProductDefinition.classification"]),
    ("characteristic", "○ ○ ● ● ●", &["MedicinalProductDefinition.characteristic"]),
    ("marketingStatus.country, status", "◐2 ◐2 ● ● ●", &["MedicinalProductDefinition.marketingStatus"]),
    (
        "… where marketingStatus is seen",
        "● ● ● ● ●",
        &[
            "MedicinalProductDefinition.marketingStatus.country",
            "MedicinalProductDefinition.marketingStatus.status",
        ],
    ),
    (
        "marketingStatus.dateRange, restoreDate",
        "○ ○ ● ● ●",
        &["MedicinalProductDefinition.marketingStatus.*"],
    ),
    (
        "attachedDocument (SmPC, PL, labelling)",
        "● ● ● ● ●",
        &["MedicinalProductDefinition.attachedDocument (public-document)"],
    ),
    ("attachedDocument (any other type)", "○ ○ ● ● ●", &["MedicinalProductDefinition.attachedDocument"]),
    (
        "masterFile: PSMF number, full location/address; plasma master file number",
        "○ ○ ● ● ●",
        &["MedicinalProductDefinition.masterFile.*"],
    ),
    (
        "masterFile: PSMF location country only",
        "● ● ● ● ●",
        &["http://ema.europa.eu/fhir/extension/psmfLocationCountry at MedicinalProductDefinition.masterFile"],
    ),
    (
        "contact: PhV enquiry organisation, e-mail, phone",
        "● ● ● ● ●",
        &["MedicinalProductDefinition.contact (enquiry)"],
    ),
    ("contact: QPPV", "○ ○ Q ● ●", &["MedicinalProductDefinition.contact (qppv)"]),
    ("clinicalTrial", "○ ○ ● ● ●", &["MedicinalProductDefinition.clinicalTrial"]),
    ("crossReference", "◐3 ◐3 ● ● ●", &["MedicinalProductDefinition.crossReference"]),
    (
        "operation.type, effectiveDate",
        "○ ○ ◐4 ● ●",
        &["MedicinalProductDefinition.operation.type", "MedicinalProductDefinition.operation.effectiveDate"],
    ),
    ("operation.organization", "◐5 ◐5 ◐4 ● ●", &["MedicinalProductDefinition.operation.organization"]),
    (
        "operation.confidentialityIndicator",
        "○ ○ Q ● ●",
        &["MedicinalProductDefinition.operation.confidentialityIndicator"],
    ),
    (
        "comprisedOf, impurity, code",
        "○ ○ Q ● ●",
        &[
            "MedicinalProductDefinition.comprisedOf",
            "MedicinalProductDefinition.impurity",
            "MedicinalProductDefinition.code",
        ],
    ),
    // --- RegulatedAuthorization
    (
        "marketing authorisations, by their status (gate G2)",
        "◐G2 ◐G2 ● ● ●",
        &["RegulatedAuthorization (marketing)"],
    ),
    ("manufacturing authorisations, whole", "○ ○ ◐4 ● ●", &["RegulatedAuthorization (manufacturing)"]),
    (
        "identifier (MA number), type, region, status, statusDate",
        "● ● ● ● ●",
        &[
            "RegulatedAuthorization.identifier",
            "RegulatedAuthorization.type",
            "RegulatedAuthorization.region",
            "RegulatedAuthorization.status",
            "RegulatedAuthorization.statusDate",
        ],
    ),
    // Not in the source: what the authorisation is about.
    ("subject", "● ● ● ● ●", &["RegulatedAuthorization.subject"]),
    ("holder", "● ● ● ● ●", &["RegulatedAuthorization.holder"]),
    ("regulator", "● ● ● ● ●", &["RegulatedAuthorization.regulator"]),
    ("validityPeriod", "● ● ● ● ●", &["RegulatedAuthorization.validityPeriod"]),
    // The source opens numbers of centralised procedures and closes what national ones say: both are note 1.
    ("case", "◐1 ◐1 ● ● ●", &["RegulatedAuthorization.case"]),
    (
        "case.application, basis, intendedUse, description",
        "○ ○ ● ● ●",
        &[
            "RegulatedAuthorization.case.application",
            "RegulatedAuthorization.basis",
            "RegulatedAuthorization.intendedUse",
            "RegulatedAuthorization.description",
        ],
    ),
    ("indication", "◐6 ◐6 ● ● ●", &["RegulatedAuthorization.indication"]),
    (
        "… of which the text is shown nowhere else",
        "○ ○ ● ● ●",
        &["RegulatedAuthorization.indication.concept"],
    ),
    (
        "attachedDocument, by the rule of the product's documents",
        "● ● ● ● ●",
        &["RegulatedAuthorization.attachedDocument (public-document)"],
    ),
    ("attachedDocument (any other type)", "○ ○ ● ● ●", &["RegulatedAuthorization.attachedDocument"]),
    // --- PackagedProductDefinition
    ("the pack itself", "● ● ● ● ●", &["PackagedProductDefinition"]),
    (
        "identifier: PCID, pack MA number, data carrier",
        "● ● ● ● ●",
        &[
            "PackagedProductDefinition.identifier (pack-number)",
            "PackagedProductDefinition.packaging.identifier (packaging-number)",
        ],
    ),
    (
        "identifier: any other",
        "○ ○ ● ● ●",
        &["PackagedProductDefinition.identifier", "PackagedProductDefinition.packaging.identifier"],
    ),
    (
        "name, description, containedItemQuantity, packageFor",
        "● ● ● ● ●",
        &[
            "PackagedProductDefinition.name",
            "PackagedProductDefinition.description",
            "PackagedProductDefinition.containedItemQuantity",
            "http://ema.europa.eu/fhir/extension/containedItemQuantity at PackagedProductDefinition",
            "PackagedProductDefinition.packageFor",
        ],
    ),
    (
        "status, statusDate, legalStatusOfSupply",
        "● ● ● ● ●",
        &[
            "PackagedProductDefinition.status",
            "PackagedProductDefinition.statusDate",
            "PackagedProductDefinition.legalStatusOfSupply",
        ],
    ),
    ("marketingStatus", "◐2 ◐2 ● ● ●", &["PackagedProductDefinition.marketingStatus"]),
    (
        "… where marketingStatus is seen",
        "● ● ● ● ●",
        &[
            "PackagedProductDefinition.marketingStatus.country",
            "PackagedProductDefinition.marketingStatus.status",
        ],
    ),
    ("marketingStatus.dateRange, restoreDate", "○ ○ ● ● ●", &["PackagedProductDefinition.marketingStatus.*"]),
    (
        "attachedDocument, by the rule of the product's documents",
        "● ● ● ● ●",
        &["PackagedProductDefinition.attachedDocument (public-document)"],
    ),
    ("attachedDocument (any other type)", "○ ○ ● ● ●", &["PackagedProductDefinition.attachedDocument"]),
    (
        "packaging.type, quantity, containedItem",
        "● ● ● ● ●",
        &[
            "PackagedProductDefinition.packaging.type",
            "PackagedProductDefinition.packaging.quantity",
            "PackagedProductDefinition.packaging.containedItem",
        ],
    ),
    (
        "packaging.material, alternateMaterial",
        "● ● ● ● ●",
        &[
            "PackagedProductDefinition.packaging.material",
            "PackagedProductDefinition.packaging.alternateMaterial",
        ],
    ),
    ("packaging.shelfLifeStorage", "● ● ● ● ●", &["PackagedProductDefinition.packaging.shelfLifeStorage"]),
    (
        "packaging.manufacturer, manufacturer",
        "○ ○ Q ● ●",
        &["PackagedProductDefinition.packaging.manufacturer", "PackagedProductDefinition.manufacturer"],
    ),
    ("characteristic", "○ ○ ● ● ●", &["PackagedProductDefinition.characteristic"]),
    // --- AdministrableProductDefinition
    ("all elements", "● ● ● ● ●", &["AdministrableProductDefinition", "AdministrableProductDefinition.*"]),
    (
        "… names of ingredients as of the ingredients themselves",
        "◐7 ◐7 ● ● ●",
        &["AdministrableProductDefinition.ingredient"],
    ),
    // --- ManufacturedItemDefinition
    (
        "dose form, unit, colour/shape property",
        "● ● ● ● ●",
        &[
            "ManufacturedItemDefinition",
            "ManufacturedItemDefinition.status",
            "ManufacturedItemDefinition.manufacturedDoseForm",
            "ManufacturedItemDefinition.unitOfPresentation",
            "ManufacturedItemDefinition.property (appearance)",
        ],
    ),
    (
        "manufacturer, component.*",
        "○ ○ Q ● ●",
        &["ManufacturedItemDefinition.manufacturer", "ManufacturedItemDefinition.component"],
    ),
    // --- Ingredient
    (
        "role Active: substance.code, strength, referenceStrength",
        "● ● ● ● ●",
        &[
            "Ingredient (active)",
            "Ingredient.status",
            "Ingredient.for",
            "Ingredient.role",
            "Ingredient.substance.code",
            "Ingredient.substance.strength (active)",
        ],
    ),
    ("role Excipient, other roles: substance.code", "◐7 ◐7 ● ● ●", &["Ingredient"]),
    ("role Excipient: strength", "○ ○ Q ● ●", &["Ingredient.substance.strength (excipient)"]),
    // Note 7 opens their codes; quantities are not printed.
    ("other roles: strength", "○ ○ ● ● ●", &["Ingredient.substance.strength"]),
    (
        "manufacturer, function, group",
        "○ ○ Q ● ●",
        &["Ingredient.manufacturer", "Ingredient.function", "Ingredient.group"],
    ),
    // --- SubstanceDefinition
    (
        "identifier, name, code",
        "● ● ● ● ●",
        &[
            "SubstanceDefinition",
            "SubstanceDefinition.identifier",
            "SubstanceDefinition.name",
            "SubstanceDefinition.code",
        ],
    ),
    (
        "structure, manufacturer, supplier, property",
        "○ ○ Q ● ●",
        &[
            "SubstanceDefinition.structure",
            "SubstanceDefinition.manufacturer",
            "SubstanceDefinition.supplier",
            "SubstanceDefinition.property",
        ],
    ),
    // --- ClinicalUseDefinition
    ("indication, contraindication, …", "● ● ● ● ●", &["ClinicalUseDefinition", "ClinicalUseDefinition.*"]),
    // --- Organization
    (
        "id, name, country",
        "● ● ● ● ●",
        &[
            "Organization",
            "Organization.identifier (oms-number)",
            "Organization.name",
            "Organization.contact.address.country",
        ],
    ),
    (
        "full address, contact persons, other identifiers",
        "○ ○ ● ● ●",
        &["Organization.contact.address.*", "Organization.contact.*", "Organization.identifier"],
    ),
    // The e-mail and phone of the row of contacts stand here.
    (
        "PhV enquiry e-mail, phone",
        "◐enquiry-point ◐enquiry-point ● ● ●",
        &["Organization.contact.purpose", "Organization.contact.telecom"],
    ),
    // --- the rest
    ("PractitionerRole / Practitioner", "○ ○ Q ● ●", &["PractitionerRole", "Practitioner"]),
    (
        "DocumentReference follows its referrer's row",
        "● ● ● ● ●",
        &[
            "DocumentReference",
            "DocumentReference.identifier",
            "DocumentReference.version",
            "DocumentReference.status",
            "DocumentReference.docStatus",
            "DocumentReference.type",
            "DocumentReference.category",
            "DocumentReference.subject",
            "DocumentReference.period",
            "DocumentReference.date",
            "DocumentReference.description",
            "DocumentReference.content",
        ],
    ),
    // Not in the source: who keeps the file.
    ("DocumentReference.custodian", "○ ○ ● ● ●", &["DocumentReference.custodian"]),
    ("ActivityDefinition (manufacturing)", "○ ○ ◐4 ● ●", &["ActivityDefinition"]),
    ("… where it is seen, whole", "○ ○ ● ● ●", &["ActivityDefinition.*"]),
    // Not in the source: annotations that say nothing of their own.
    (
        "names of code systems, reasons for absence",
        "● ● ● ● ●",
        &[
            "http://ema.europa.eu/fhir/extension/codeSystemName",
            "http://hl7.org/fhir/StructureDefinition/data-absent-reason",
        ],
    ),
];

/// The last row: history of any resource.
const HISTORY: &str = "○ ○ ● ● ●";

/// The conditions that a note may be called in the file.
fn conditions(note: &str) -> &'static [&'static str] {
    match note {
        "1" => &["central-only"],
        "2" => &["marketing-status"],
        "3" => &["target-visible"],
        "4" => &["unless-confidential"],
        "5" => &["batch-release"],
        "6" => &["already-public"],
        "7" => &["unless-confidential", "not-hidden-ingredient"],
        "G2" => &["authorisation-status"],
        "enquiry-point" => &["enquiry-point"],
        _ => &[],
    }
}

/// Whether a cell says what a symbol says. An owner's symbol speaks of two columns.
fn agrees(symbol: &str, column: Column, cell: &Cell) -> bool {
    let qualified = column == Column::IndustryOwnerQualified;
    match (symbol, cell) {
        ("●", Cell::Seen) | ("○", Cell::Removed) => true,
        ("Q", cell) => *cell == if qualified { Cell::Seen } else { Cell::Removed },
        (_, Cell::Seen) => qualified && symbol.starts_with('◐'),
        (_, Cell::If(condition)) => {
            let note = symbol.strip_prefix('◐').unwrap_or_default();
            !qualified && conditions(note).contains(&condition.as_str())
        }
        _ => false,
    }
}

fn name(row: &MatrixRow) -> String {
    match &row.about {
        RowSubject::Element { path, class: None } => path.clone(),
        RowSubject::Element { path, class: Some(class) } => format!("{path} ({class})"),
        RowSubject::Extension { url, path: None } => url.clone(),
        RowSubject::Extension { url, path: Some(path) } => format!("{url} at {path}"),
    }
}

#[test]
fn every_row_of_the_source_is_in_the_file_and_says_the_same_to_every_column() {
    let (mut wrong, mut checked) = (Vec::new(), 0);
    for (what, symbols, rows) in TABLE {
        let [public, industry, owner, nca, ema] = symbols.split(' ').collect::<Vec<_>>()[..] else {
            panic!("{what}: {symbols}")
        };
        for wanted in *rows {
            let Some(row) = matrix().rows().iter().find(|row| name(row) == *wanted) else {
                wrong.push(format!("{what}: no row {wanted}"));
                continue;
            };
            for (column, symbol) in Column::ALL.into_iter().zip([public, industry, owner, owner, nca, ema]) {
                let cell = &row.cells[column as usize];
                checked += 1;
                if !agrees(symbol, column, cell) {
                    wrong.push(format!(
                        "{what}: {wanted}, line {}: {column} is {cell:?}, not {symbol}",
                        row.line
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(checked > 600, "{checked}");
}

#[test]
fn the_file_has_no_row_that_the_source_does_not_have() {
    let known: BTreeSet<&str> = TABLE.iter().flat_map(|(_, _, rows)| *rows).copied().collect();
    let named: usize = TABLE.iter().map(|(_, _, rows)| rows.len()).sum();
    assert_eq!(known.len(), named, "a row is named twice");
    let surplus: Vec<String> =
        matrix().rows().iter().map(name).filter(|row| !known.contains(row.as_str())).collect();
    assert_eq!(surplus, Vec::<String>::new());
}

#[test]
fn history_is_as_its_row_says() {
    let [public, industry, owner, nca, ema] = HISTORY.split(' ').collect::<Vec<_>>()[..] else { panic!() };
    for (column, symbol) in Column::ALL.into_iter().zip([public, industry, owner, owner, nca, ema]) {
        assert_eq!(may_see_history(matrix(), column), symbol == "●", "{column}");
    }
}

/// `docs/access-levels.md` holds the table for those who write clients.
#[test]
fn the_published_table_is_that_of_the_file() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/access-levels.md");
    let page = std::fs::read_to_string(path).unwrap();
    let (before, rest) = page.split_once("<!-- table -->\n").unwrap();
    let (table, after) = rest.split_once("<!-- end -->").unwrap();
    let due = matrix().markdown();
    if std::env::var_os("PMSGATE_WRITE_DOCS").is_some() {
        std::fs::write(path, format!("{before}<!-- table -->\n{due}<!-- end -->{after}")).unwrap();
    } else {
        assert!(table == due, "docs/access-levels.md is stale: run this test with PMSGATE_WRITE_DOCS=1");
    }
    assert!(page.contains(matrix().banner()));
}
