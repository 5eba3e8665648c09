//! Resources that several products refer to: organisations, persons, pharmacovigilance files, substances.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    amount,
    catalogue::{CatalogueError, parse_toml},
    json::without_absent,
    terms::{Spelling, Terms, Words},
};

/// When the shared resources were last updated: one instant, so that every Bundle has the same bytes of them.
const LAST_UPDATED: &str = "2033-01-10T06:30:00Z";

const ORGANISATIONS: &str = "https://spor.ema.europa.eu/v1/organisations";
const LOCATIONS: &str = "https://spor.ema.europa.eu/v1/locations";
const LICENCES: &str = "http://ema.europa.eu/fhir/manufacturingAuthorizationNumber";
const FILE_COUNTRY: &str = "http://ema.europa.eu/fhir/extension/psmfLocationCountry";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Organisations {
    organisation: BTreeMap<String, Organisation>,
    person: BTreeMap<String, Person>,
    file: BTreeMap<String, MasterFile>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Organisation {
    id: String,
    org: Option<String>,
    location: Option<String>,
    name: String,
    #[serde(default)]
    aliases: Vec<String>,
    description: Option<String>,
    part_of: Option<String>,
    line: Option<String>,
    city: Option<String>,
    postal_code: Option<String>,
    country: Option<String>,
    contact: Option<Contact>,
    /// Number of a manufacturing licence, as a qualification.
    licence: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Contact {
    purpose: Option<String>,
    family: Option<String>,
    given: Option<String>,
    email: Option<String>,
    phone: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Person {
    id: String,
    role_id: String,
    family: String,
    given: String,
    email: String,
    phone: String,
    organisation: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct MasterFile {
    id: String,
    #[serde(rename = "type")]
    kind: String,
    system: String,
    number: String,
    title: String,
    custodian: String,
    country: Option<String>,
    description: String,
    date: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Substances {
    substance: BTreeMap<String, Substance>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Substance {
    sms: String,
    name: String,
    /// Whether the source wrote the substance register's address in the old way.
    #[serde(default)]
    old_system: bool,
    definition: Option<Definition>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Definition {
    id: String,
    domain: Option<String>,
    classification: Option<String>,
    description: Option<String>,
    formula: Option<String>,
    weight: Option<String>,
    property: Option<String>,
    property_value: Option<String>,
    manufacturer: Option<String>,
    supplier: Option<String>,
    #[serde(default)]
    synonyms: Vec<String>,
    source_genus: Option<String>,
    source_species: Option<String>,
    related_to: Option<String>,
}

/// All shared resources, found by the key that the catalogue uses.
pub(crate) struct Shared {
    /// Complete resources by `Type/id`.
    resources: BTreeMap<String, Value>,
    organisations: BTreeMap<String, (String, String)>,
    roles: BTreeMap<String, String>,
    files: BTreeMap<String, (String, Option<String>)>,
    substances: BTreeMap<String, Value>,
}

impl Shared {
    pub(crate) fn parse(
        terms: &Terms,
        organisations_file: &'static str,
        organisations: &str,
        substances_file: &'static str,
        substances: &str,
    ) -> Result<Self, CatalogueError> {
        let words = terms.spelt(Spelling::Http);
        let read: Organisations = parse_toml(organisations_file, organisations)?;
        let mut shared = Self {
            resources: BTreeMap::new(),
            organisations: read
                .organisation
                .iter()
                .map(|(key, it)| (key.clone(), (format!("Organization/{}", it.id), it.name.clone())))
                .collect(),
            roles: read
                .person
                .iter()
                .map(|(key, it)| (key.clone(), format!("PractitionerRole/{}", it.role_id)))
                .collect(),
            files: read
                .file
                .iter()
                .map(|(key, it)| (key.clone(), (format!("DocumentReference/{}", it.id), it.country.clone())))
                .collect(),
            substances: BTreeMap::new(),
        };
        for organisation in read.organisation.values() {
            let resource = shared.organization(organisation)?;
            shared.keep("Organization", &organisation.id, resource);
        }
        for person in read.person.values() {
            let role = shared.practitioner_role(person)?;
            shared.keep("PractitionerRole", &person.role_id, role);
            shared.keep("Practitioner", &person.id, practitioner(person));
        }
        for file in read.file.values() {
            let document = shared.master_file(&words, file)?;
            shared.keep("DocumentReference", &file.id, document);
        }
        let read: Substances = parse_toml(substances_file, substances)?;
        for (key, substance) in &read.substance {
            let code = substance_code(substance);
            shared.substances.insert(key.clone(), code);
        }
        for substance in read.substance.values() {
            if let Some(definition) = &substance.definition {
                let resource = shared.substance_definition(&words, substance, definition)?;
                shared.keep("SubstanceDefinition", &definition.id, resource);
            }
        }
        Ok(shared)
    }

    fn keep(&mut self, resource_type: &str, id: &str, members: Value) {
        let mut resource = Map::new();
        resource.insert("resourceType".to_owned(), json!(resource_type));
        resource.insert("id".to_owned(), json!(id));
        resource.insert("meta".to_owned(), json!({"versionId": "1", "lastUpdated": LAST_UPDATED}));
        if let Value::Object(members) = without_absent(members) {
            resource.extend(members);
        }
        self.resources.insert(format!("{resource_type}/{id}"), Value::Object(resource));
    }

    /// The shared resource that a literal reference names.
    pub(crate) fn resource(&self, reference: &str) -> Option<&Value> {
        self.resources.get(reference)
    }

    /// A reference to the organisation of that key, with its name as display.
    pub(crate) fn organisation(&self, key: &str) -> Result<Value, CatalogueError> {
        let (reference, name) = found(&self.organisations, "organisation", key)?;
        Ok(json!({"reference": reference, "display": name}))
    }

    /// References to several organisations.
    pub(crate) fn organisations(&self, keys: &[String]) -> Result<Vec<Value>, CatalogueError> {
        keys.iter().map(|key| self.organisation(key)).collect()
    }

    /// A reference to the organisation of that key, or null.
    pub(crate) fn maybe_organisation(&self, key: Option<&str>) -> Result<Value, CatalogueError> {
        key.map_or(Ok(Value::Null), |key| self.organisation(key))
    }

    /// A reference to the role of the person of that key. It names nobody.
    pub(crate) fn role(&self, key: &str) -> Result<Value, CatalogueError> {
        Ok(json!({"reference": found(&self.roles, "person", key)?}))
    }

    /// A reference to the master file of that key. That of a pharmacovigilance system carries its country,
    /// which more callers may see than the file.
    pub(crate) fn file(&self, words: &Words<'_>, key: &str) -> Result<Value, CatalogueError> {
        let (reference, country) = found(&self.files, "file", key)?;
        let country = country
            .as_ref()
            .map(|country| {
                Ok::<_, CatalogueError>(json!([{
                    "url": FILE_COUNTRY,
                    "valueCodeableConcept": words.concept("country", country)?,
                }]))
            })
            .transpose()?;
        Ok(json!({"extension": country, "reference": reference}))
    }

    /// A CodeableReference to the substance of that key.
    pub(crate) fn substance(&self, key: &str) -> Result<Value, CatalogueError> {
        found(&self.substances, "substance", key).cloned()
    }

    fn organization(&self, it: &Organisation) -> Result<Value, CatalogueError> {
        let contact = it.contact.as_ref();
        Ok(json!({
            "identifier": [
                it.location.as_ref().map(|loc| json!({"system": LOCATIONS, "value": loc})),
                it.org.as_ref().map(|org| json!({"system": ORGANISATIONS, "value": org})),
            ],
            "active": true,
            "name": it.name,
            "alias": it.aliases,
            "description": it.description,
            "contact": [{
                "purpose": contact.and_then(|who| who.purpose.as_ref()).map(|text| json!({"text": text})),
                "name": contact.and_then(|who| who.family.as_ref()).map(|family| json!([{
                    "family": family,
                    "given": contact.and_then(|who| who.given.as_ref()).map(|given| [given]),
                }])),
                "telecom": contact.map(telecom),
                "address": {
                    "line": it.line.as_ref().map(|line| [line]),
                    "city": it.city,
                    "postalCode": it.postal_code,
                    "country": it.country,
                },
            }],
            "partOf": self.maybe_organisation(it.part_of.as_deref())?,
            "qualification": it.licence.as_ref().map(|number| json!([{
                "identifier": [{"system": LICENCES, "value": number}],
                "code": {"text": "Manufacturing and importation authorisation"},
            }])),
        }))
    }

    fn practitioner_role(&self, it: &Person) -> Result<Value, CatalogueError> {
        Ok(json!({
            "active": true,
            "practitioner": {
                "reference": format!("Practitioner/{}", it.id),
                "display": format!("{} {}", it.given, it.family),
            },
            "organization": self.organisation(&it.organisation)?,
            "code": [{"text": "Qualified Person Responsible for Pharmacovigilance"}],
            "contact": [{"telecom": [
                {"system": "email", "value": it.email, "use": "work"},
                {"system": "phone", "value": it.phone, "use": "work"},
            ]}],
        }))
    }

    fn master_file(&self, words: &Words<'_>, it: &MasterFile) -> Result<Value, CatalogueError> {
        Ok(json!({
            "identifier": [{"system": it.system, "value": it.number}],
            "status": "current",
            "type": words.concept("document", &it.kind)?,
            "date": it.date,
            "custodian": self.organisation(&it.custodian)?,
            "description": it.description,
            "content": [{"attachment": {"title": it.title}}],
        }))
    }

    fn substance_definition(
        &self,
        words: &Words<'_>,
        substance: &Substance,
        it: &Definition,
    ) -> Result<Value, CatalogueError> {
        Ok(json!({
            "identifier": [{"system": sms(substance), "value": substance.sms}],
            "version": "2",
            "status": words.concept("record-status", "current")?,
            "classification": it.classification.as_ref().map(|text| [json!({"text": text})]),
            "domain": words.maybe("domain", it.domain.as_deref())?,
            "description": it.description,
            "manufacturer": [self.maybe_organisation(it.manufacturer.as_deref())?],
            "supplier": [self.maybe_organisation(it.supplier.as_deref())?],
            "property": it.property.as_ref().map(|kind| json!([{
                "type": {"text": kind},
                "valueCodeableConcept": it.property_value.as_ref().map(|text| json!({"text": text})),
            }])),
            "molecularWeight": it.weight.as_ref()
                .map(|weight| Ok::<_, CatalogueError>(json!([{"amount": amount::quantity(words, weight)?}])))
                .transpose()?,
            "structure": {"molecularFormula": it.formula},
            "code": [{
                "code": {"coding": [{
                    "system": sms(substance), "code": substance.sms, "display": substance.name,
                }]},
                "status": {"text": "Current"},
                "statusDate": "2030-05-05",
            }],
            "name": [{
                "name": substance.name,
                "type": {"text": "Official name"},
                "preferred": true,
                "synonym": it.synonyms.iter().map(|name| json!({"name": name})).collect::<Vec<_>>(),
            }],
            "relationship": it.related_to.as_ref()
                .map(|key| self.substance(key))
                .transpose()?
                .and_then(|other| other.get("concept").cloned())
                .map(|concept| json!([{
                    "substanceDefinitionCodeableConcept": concept,
                    "type": {"text": "Salt of"},
                    "isDefining": true,
                }])),
            "sourceMaterial": {
                "genus": it.source_genus.as_ref().map(|text| json!({"text": text})),
                "species": it.source_species.as_ref().map(|text| json!({"text": text})),
            },
        }))
    }
}

fn found<'m, V>(
    map: &'m BTreeMap<String, V>,
    kind: &'static str,
    key: &str,
) -> Result<&'m V, CatalogueError> {
    map.get(key).ok_or_else(|| CatalogueError::UnknownKey { kind, key: key.to_owned() })
}

fn telecom(contact: &Contact) -> Vec<Value> {
    let email = contact.email.as_ref().map(|value| json!({"system": "email", "value": value, "use": "work"}));
    let phone = contact.phone.as_ref().map(|value| json!({"system": "phone", "value": value, "use": "work"}));
    email.into_iter().chain(phone).collect()
}

fn practitioner(it: &Person) -> Value {
    json!({
        "active": true,
        "name": [{"use": "official", "family": it.family, "given": [it.given]}],
        "telecom": [{"system": "email", "value": it.email, "use": "work"}],
        "qualification": [{"code": {"text": "Physician"}}],
    })
}

const fn sms(substance: &Substance) -> &'static str {
    if substance.old_system {
        "https://spor.azure-api.net/sms/api/v2/SubstanceDefinition"
    } else {
        "https://spor.ema.europa.eu/v2/SubstanceDefinition"
    }
}

fn substance_code(it: &Substance) -> Value {
    without_absent(json!({
        "concept": {"coding": [{"system": sms(it), "code": it.sms, "display": it.name}]},
        "reference": it.definition.as_ref()
            .map(|definition| json!({"reference": format!("SubstanceDefinition/{}", definition.id)})),
    }))
}
