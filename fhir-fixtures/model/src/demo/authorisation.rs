//! RegulatedAuthorizations: of the product and its packs, and of manufacturing with its ActivityDefinitions.

use serde_json::{Value, json};

use super::{
    catalogue::CatalogueError,
    expansion::{Expansion, Part},
    product_text::{Authorisation, Case},
};

const MARKETING_NUMBER: &str = "http://ema.europa.eu/fhir/marketingAuthorizationNumber";
const MANUFACTURING_NUMBER: &str = "http://ema.europa.eu/fhir/manufacturingAuthorizationNumber";
const GMP_NUMBER: &str = "http://ema.europa.eu/fhir/eudraGmpNumber";

/// The authorisations of the product and its packs.
pub(crate) fn marketing(on: &Expansion<'_>) -> Result<Vec<Value>, CatalogueError> {
    on.product
        .authorisations
        .iter()
        .enumerate()
        .map(|(index, it)| Ok(on.part(Part::MarketingAuthorisation, index + 1, authorisation(on, it)?)))
        .collect()
}

fn authorisation(on: &Expansion<'_>, it: &Authorisation) -> Result<Value, CatalogueError> {
    let (words, product) = (&on.words, on.product);
    let subjects = if it.packs.is_empty() {
        vec![on.product_link()]
    } else {
        it.packs
            .iter()
            .map(|pack| on.require(Part::Pack, "pack", *pack, product.packs.len()))
            .collect::<Result<_, _>>()?
    };
    let indication = it
        .indication
        .map(|position| on.require(Part::ClinicalUse, "use", position, product.uses.len()))
        .transpose()?;
    Ok(json!({
        "identifier": [it.number.as_ref().map(|number| json!({"system": MARKETING_NUMBER, "value": number}))],
        "subject": subjects,
        "type": words.concept("entitlement", &it.kind)?,
        "description": it.description,
        "region": words.each("country", &it.regions)?,
        "status": words.maybe("authorisation-status", it.status.as_deref())?,
        "statusDate": it.status_date,
        "validityPeriod": {"start": it.from, "end": it.to},
        "indication": [{"reference": indication}],
        "intendedUse": it.intended_use.as_ref().map(|text| json!({"text": text})),
        "basis": words.each("legal-basis", &it.basis)?,
        "holder": holder(on, it.holder.as_deref())?,
        "regulator": on.shared.maybe_organisation(it.regulator.as_deref())?,
        "attachedDocument": it.documents.iter()
            .map(|position| on.require(Part::Document, "document", *position, product.documents.len()))
            .collect::<Result<Vec<_>, _>>()?,
        "case": it.procedure.as_ref().map(|procedure| case(on, procedure)).transpose()?,
    }))
}

/// The holder: a link to an organisation, or for a `LOC-…` id a logical reference, which links to nothing.
fn holder(on: &Expansion<'_>, holder: Option<&str>) -> Result<Value, CatalogueError> {
    match holder {
        Some(location) if location.starts_with("LOC-") => Ok(json!({
            "type": "Organization",
            "identifier": {"system": "https://spor.ema.europa.eu/v1/locations", "value": location},
        })),
        other => on.shared.maybe_organisation(other),
    }
}

fn case(on: &Expansion<'_>, it: &Case) -> Result<Value, CatalogueError> {
    Ok(json!({
        "identifier": it.number.as_ref()
            .map(|number| json!({"system": "http://ema.europa.eu/fhir/procedureNumber", "value": number})),
        "type": on.words.maybe("procedure", it.kind.as_deref())?,
        "status": on.words.maybe("procedure-status", it.status.as_deref())?,
        "datePeriod": {"start": it.from, "end": it.to},
        "dateDateTime": it.date,
        "application": it.applications.iter()
            .map(|application| case(on, application))
            .collect::<Result<Vec<_>, _>>()?,
    }))
}

/// The ActivityDefinitions of the manufacturing operations, each followed by its manufacturing authorisation.
pub(crate) fn activities(on: &Expansion<'_>) -> Result<Vec<Value>, CatalogueError> {
    let mut resources = Vec::new();
    for (index, it) in on.product.operations.iter().enumerate() {
        let position = index + 1;
        let sites = on.shared.organisations(&it.sites)?;
        resources.push(on.part(
            Part::Activity,
            position,
            json!({
                "status": "active",
                "effectivePeriod": {"start": it.from, "end": it.to},
                "code": on.words.concept("activity", &it.activity)?,
                "participant": sites.first().map(|site| json!([{"typeReference": site}])),
            }),
        ));
        let Some(number) = &it.authorisation else { continue };
        resources.push(on.part(
            Part::ManufacturingAuthorisation,
            position,
            json!({
                "identifier": [
                    {"system": MANUFACTURING_NUMBER, "value": number},
                    it.gmp_certificate.as_ref().map(|number| json!({"system": GMP_NUMBER, "value": number})),
                ],
                "subject": [on.link(Part::Activity, position)],
                "type": on.words.concept("entitlement", "manufacturing")?,
                "status": on.words.concept("authorisation-status", "valid")?,
                "validityPeriod": {"start": it.from, "end": it.to},
                "holder": sites.first(),
                "regulator": on.shared.maybe_organisation(it.regulator.as_deref())?,
            }),
        ));
    }
    Ok(resources)
}
