//! The product itself (MedicinalProductDefinition) and its documents.

use serde_json::{Value, json};

use super::{
    catalogue::CatalogueError,
    expansion::{Expansion, Part},
    product_text::{Marketing, Name, Operation},
    terms::Words,
};

const AUTHORISED_DOSE_FORM: &str = "http://ema.europa.eu/fhir/extension/authorisedDoseForm";
const CODE_SYSTEM_NAME: &str = "http://ema.europa.eu/fhir/extension/codeSystemName";

/// The MedicinalProductDefinition.
pub(crate) fn medicinal_product(on: &Expansion<'_>) -> Result<Value, CatalogueError> {
    let (it, words) = (on.product, &on.words);
    Ok(on.resource(
        "MedicinalProductDefinition",
        &it.id,
        json!({
            "text": it.narrative.as_ref().map(|text| json!({
                "status": "generated",
                "div": format!("<div xmlns=\"http://www.w3.org/1999/xhtml\"><p>{text}</p></div>"),
            })),
            "extension": [
                it.authorised_form.as_ref()
                    .map(|form| Ok::<_, CatalogueError>(json!({
                        "url": AUTHORISED_DOSE_FORM,
                        "valueCoding": words.coding("form", form)?,
                    })))
                    .transpose()?,
                it.unknown_extension.as_ref().map(|text| json!({
                    "url": "https://demo.pmsgate.example/fhir/extension/internal-remark",
                    "valueString": text,
                })),
            ],
            "identifier": identifiers(on),
            "type": words.maybe("product-type", it.kind.as_deref())?,
            "domain": domain(on)?,
            "version": it.version,
            "status": words.maybe("record-status", it.status.as_deref())?,
            "statusDate": it.status_date,
            "description": it.description,
            "combinedPharmaceuticalDoseForm": words.maybe("form", it.form.as_deref())?,
            "route": words.each("route", &it.routes)?,
            "indication": it.indication,
            "legalStatusOfSupply": words.maybe("supply", it.supply.as_deref())?,
            "additionalMonitoringIndicator": flag(words, "monitoring", it.monitoring)?,
            "specialMeasures": it.measures.iter().map(|text| json!({"text": text})).collect::<Vec<_>>(),
            "pediatricUseIndicator": flag(words, "paediatric", it.paediatric)?,
            "classification": classifications(on)?,
            "marketingStatus": marketing_statuses(words, &it.marketing)?,
            "comprisedOf": (1..=it.items.len()).filter(|_| it.comprised)
                .map(|position| on.link(Part::Item, position)).collect::<Vec<_>>(),
            "impurity": it.impurities.iter()
                .map(|key| on.shared.substance(key)).collect::<Result<Vec<_>, _>>()?,
            "attachedDocument": (1..=it.documents.len())
                .map(|position| on.link(Part::Document, position)).collect::<Vec<_>>(),
            "masterFile": it.master_files.iter()
                .map(|key| on.shared.file(words, key)).collect::<Result<Vec<_>, _>>()?,
            "contact": contacts(on)?,
            "clinicalTrial": it.clinical_trials.iter().map(|number| json!({
                "type": "ResearchStudy",
                "identifier": {"system": "https://euclinicaltrials.eu", "value": number},
            })).collect::<Vec<_>>(),
            "code": it.codes.iter().map(|code| json!({
                "system": "https://demo.pmsgate.example/special-codes",
                "code": code,
            })).collect::<Vec<_>>(),
            "name": it.names.iter().map(|name| product_name(words, name)).collect::<Result<Vec<_>, _>>()?,
            "crossReference": it.cross_references.iter()
                .map(|cross| Ok::<_, CatalogueError>(json!({
                    "product": {"reference": {
                        "reference": format!("MedicinalProductDefinition/{}", cross.to),
                        "display": cross.display,
                    }},
                    "type": words.maybe("cross-reference", cross.kind.as_deref())?,
                })))
                .collect::<Result<Vec<_>, _>>()?,
            "operation": it.operations.iter().enumerate()
                .map(|(index, operation)| product_operation(on, index + 1, operation))
                .collect::<Result<Vec<_>, _>>()?,
            "characteristic": on.properties(&it.characteristics)?,
        }),
    ))
}

fn identifiers(on: &Expansion<'_>) -> Value {
    let it = on.product;
    let identifier =
        |system: &str, value: Option<&String>| value.map(|value| json!({"system": system, "value": value}));
    json!([
        identifier("http://ema.europa.eu/fhir/mpId", it.mpid.as_ref()),
        identifier("http://ema.europa.eu/fhir/pmsId", Some(&it.id)),
        identifier("http://spor.ema.europa.eu/v1/lists/100000000009/terms/100000075665", it.ev_code.as_ref()),
        identifier("http://ema.europa.eu/fhir/eurdId", it.eurd.as_ref()),
        identifier("https://demo.pmsgate.example/company-product-code", it.company_code.as_ref()),
    ])
}

/// The domain; its coding carries the name of the list, as the write profiles want it.
fn domain(on: &Expansion<'_>) -> Result<Value, CatalogueError> {
    let Some(word) = on.product.domain.as_deref() else { return Ok(Value::Null) };
    if word.starts_with("text:") {
        return on.words.concept("domain", word);
    }
    let term = on.words.term("domain", word)?;
    Ok(json!({"coding": [{
        "extension": [{"url": CODE_SYSTEM_NAME, "valueString": "Domain"}],
        "system": term.system,
        "code": term.code,
        "display": term.display,
    }]}))
}

fn flag(words: &Words<'_>, kind: &'static str, flag: Option<bool>) -> Result<Value, CatalogueError> {
    words.maybe(kind, flag.map(|yes| if yes { "yes" } else { "no" }))
}

/// ATC, ATCvet, orphan designation, legal basis.
fn classifications(on: &Expansion<'_>) -> Result<Value, CatalogueError> {
    let (it, words) = (on.product, &on.words);
    let atc = |list: &'static str, who: &str, text: Option<&String>| {
        text.map(|text| {
            let (code, name) = text.split_once(' ').unwrap_or((text, ""));
            let term = words.term(list, "any")?;
            Ok::<_, CatalogueError>(json!({"coding": [
                {"system": term.system, "code": rms_code_of(code), "display": code},
                {"system": who, "code": code, "display": name},
            ]}))
        })
        .transpose()
    };
    Ok(json!([
        atc("atc", "http://www.whocc.no/atc", it.atc.as_ref())?,
        atc("atc-veterinary", "http://www.whocc.no/atcvet", it.atc_veterinary.as_ref())?,
        words.maybe("orphan", it.orphan.as_deref())?,
        words.maybe("legal-basis", it.legal_basis.as_deref())?,
    ]))
}

/// An invented term id for an ATC code: the letters and digits of the code as numbers, so that it is the same
/// wherever the code is.
fn rms_code_of(atc: &str) -> String {
    let number = atc.bytes().fold(0_u64, |sum, byte| (sum * 36 + u64::from(byte % 36)) % 100_000_000);
    format!("9001{number:08}")
}

/// MarketingStatus, used by the product, its packs and its items.
pub(crate) fn marketing_statuses(
    words: &Words<'_>,
    statuses: &[Marketing],
) -> Result<Vec<Value>, CatalogueError> {
    statuses
        .iter()
        .map(|it| {
            Ok(json!({
                "country": words.maybe("country", it.country.as_deref())?,
                "status": words.concept("marketing-status", &it.status)?,
                "dateRange": {"start": it.from, "end": it.to},
                "restoreDate": it.restored,
            }))
        })
        .collect()
}

fn contacts(on: &Expansion<'_>) -> Result<Vec<Value>, CatalogueError> {
    let mut contacts = Vec::new();
    if let Some(key) = &on.product.qppv {
        contacts.push(json!({"type": on.words.concept("contact", "qppv")?, "contact": on.shared.role(key)?}));
    }
    if let Some(key) = &on.product.enquiries {
        contacts.push(
            json!({"type": on.words.concept("contact", "enquiry")?, "contact": on.shared.organisation(key)?}),
        );
    }
    Ok(contacts)
}

fn product_name(words: &Words<'_>, it: &Name) -> Result<Value, CatalogueError> {
    let part = |kind: &'static str, text: Option<&String>| {
        text.map(|text| {
            Ok::<_, CatalogueError>(json!({"part": text, "type": words.concept("name-part", kind)?}))
        })
        .transpose()
    };
    Ok(json!({
        "productName": it.full,
        "type": words.maybe("name-type", it.kind.as_deref())?,
        "part": [
            part("invented", it.invented.as_ref())?,
            part("scientific", it.scientific.as_ref())?,
            part("strength", it.strength.as_ref())?,
            part("form", it.form.as_ref())?,
        ],
        "usage": it.usage.iter().map(|usage| {
            let (country, language) = usage.split_once(' ').unwrap_or((usage, "en"));
            Ok::<_, CatalogueError>(json!({
                "country": words.concept("country", country)?,
                "jurisdiction": (country != "EU").then(|| words.concept("country", "EU")).transpose()?,
                "language": words.concept("language", language)?,
            }))
        }).collect::<Result<Vec<_>, _>>()?,
    }))
}

fn product_operation(on: &Expansion<'_>, position: usize, it: &Operation) -> Result<Value, CatalogueError> {
    Ok(json!({
        "type": {
            "concept": it.spelt_out.then(|| on.words.concept("activity", &it.activity)).transpose()?,
            "reference": on.link(Part::Activity, position),
        },
        "effectiveDate": {"start": it.from, "end": it.to},
        "organization": on.shared.organisations(&it.sites)?,
        "confidentialityIndicator": on.words.maybe("confidentiality", it.confidentiality.as_deref())?,
    }))
}

/// The DocumentReferences of the product.
pub(crate) fn documents(on: &Expansion<'_>) -> Result<Vec<Value>, CatalogueError> {
    on.product
        .documents
        .iter()
        .enumerate()
        .map(|(index, it)| {
            let position = index + 1;
            let url = format!("{}/document/{}", super::BASE, on.id(Part::Document, position));
            Ok(on.part(
                Part::Document,
                position,
                json!({
                    "status": "current",
                    "docStatus": "final",
                    "type": on.words.concept("document", &it.kind)?,
                    "date": it.date,
                    "author": [on.shared.maybe_organisation(it.author.as_deref())?],
                    "description": it.description,
                    "content": [{"attachment": {
                        "contentType": "application/pdf",
                        "language": it.language,
                        "url": url,
                        "title": it.title,
                    }}],
                }),
            ))
        })
        .collect()
}
