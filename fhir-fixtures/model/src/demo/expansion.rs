//! From one product of the catalogue to one Bundle: ids, order of the members, and what they refer to.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::{
    BASE,
    amount::quantity,
    authorisation,
    catalogue::CatalogueError,
    clinical_use, composition,
    json::{references, without_absent},
    package, product,
    product_text::{Product, Property},
    shared::Shared,
    terms::{Terms, Words},
};

/// The Bundle of one product.
pub(super) fn bundle(terms: &Terms, shared: &Shared, product: &Product) -> Result<Value, CatalogueError> {
    let expansion = Expansion::new(terms, shared, product)?;
    let mut members = vec![product::medicinal_product(&expansion)?];
    members.extend(authorisation::marketing(&expansion)?);
    members.extend(package::packs(&expansion)?);
    members.extend(composition::administered(&expansion)?);
    members.extend(composition::items(&expansion)?);
    members.extend(composition::ingredients(&expansion)?);
    members.extend(clinical_use::uses(&expansion)?);
    members.extend(authorisation::activities(&expansion)?);
    members.extend(product::documents(&expansion)?);
    include_shared(shared, &mut members);
    let entries: Vec<Value> = members
        .into_iter()
        .map(|resource| {
            let full_url = format!("{BASE}/{}/{}", text(&resource, "resourceType"), text(&resource, "id"));
            json!({"fullUrl": full_url, "resource": resource})
        })
        .collect();
    Ok(json!({
        "resourceType": "Bundle",
        "id": format!("demo-{}", product.id),
        "type": "collection",
        "timestamp": product.last_updated,
        "entry": entries,
    }))
}

/// Appends every shared resource that a member refers to, and what that refers to, once each.
fn include_shared(shared: &Shared, members: &mut Vec<Value>) {
    let mut included = BTreeSet::new();
    let mut next = 0;
    while let Some(member) = members.get(next) {
        let found: Vec<Value> = references(member)
            .into_iter()
            .filter(|reference| included.insert((*reference).to_owned()))
            .filter_map(|reference| shared.resource(reference).cloned())
            .collect();
        members.extend(found);
        next += 1;
    }
}

fn text<'v>(resource: &'v Value, member: &str) -> &'v str {
    resource.get(member).and_then(Value::as_str).unwrap_or_default()
}

/// The types of which every product has its own resources, with the number from which their ids count. A
/// product has a hundred ids of each; its number is the last three digits of its own id.
#[derive(Clone, Copy)]
pub(super) enum Part {
    MarketingAuthorisation,
    ManufacturingAuthorisation,
    Pack,
    Administered,
    Item,
    Ingredient,
    ClinicalUse,
    Activity,
    Document,
}

impl Part {
    const fn resource_type(self) -> &'static str {
        match self {
            Self::MarketingAuthorisation | Self::ManufacturingAuthorisation => "RegulatedAuthorization",
            Self::Pack => "PackagedProductDefinition",
            Self::Administered => "AdministrableProductDefinition",
            Self::Item => "ManufacturedItemDefinition",
            Self::Ingredient => "Ingredient",
            Self::ClinicalUse => "ClinicalUseDefinition",
            Self::Activity => "ActivityDefinition",
            Self::Document => "DocumentReference",
        }
    }

    const fn first_id(self) -> u64 {
        match self {
            Self::MarketingAuthorisation => 220_000_000_000,
            Self::ManufacturingAuthorisation => 220_000_500_000,
            Self::Pack => 700_000,
            Self::Administered => 400_000,
            Self::Item => 300_000,
            Self::Ingredient => 2_000_000,
            Self::ClinicalUse => 800_000,
            Self::Activity => 6_500_000,
            Self::Document => 4_000_000,
        }
    }
}

/// What every part of the expansion needs: the product, the words in its spelling, the shared resources.
pub(super) struct Expansion<'a> {
    pub(super) product: &'a Product,
    pub(super) words: Words<'a>,
    pub(super) shared: &'a Shared,
    number: u64,
}

impl<'a> Expansion<'a> {
    fn new(terms: &'a Terms, shared: &'a Shared, product: &'a Product) -> Result<Self, CatalogueError> {
        let number = Some(product.id.as_str())
            .filter(|id| id.len() == 12 && id.bytes().all(|byte| byte.is_ascii_digit()))
            .and_then(|id| id.get(9..)?.parse().ok())
            .ok_or_else(|| CatalogueError::ProductId(product.id.clone()))?;
        Ok(Self { product, words: terms.spelt(product.spelling), shared, number })
    }

    /// The id of the part at `position`, counted from 1.
    pub(super) fn id(&self, part: Part, position: usize) -> String {
        (part.first_id() + self.number * 100 + position as u64).to_string()
    }

    /// A reference to the part at `position`.
    pub(super) fn link(&self, part: Part, position: usize) -> Value {
        json!({"reference": format!("{}/{}", part.resource_type(), self.id(part, position))})
    }

    /// A reference to a part that must exist: `count` is how many there are.
    pub(super) fn require(
        &self,
        part: Part,
        kind: &'static str,
        position: usize,
        count: usize,
    ) -> Result<Value, CatalogueError> {
        if position == 0 || position > count {
            return Err(CatalogueError::UnknownPosition { kind, position });
        }
        Ok(self.link(part, position))
    }

    /// A reference to the product.
    pub(super) fn product_link(&self) -> Value {
        json!({"reference": format!("MedicinalProductDefinition/{}", self.product.id)})
    }

    /// A part with type, id and meta in front of `members`.
    pub(super) fn part(&self, part: Part, position: usize, members: Value) -> Value {
        self.resource(part.resource_type(), &self.id(part, position), members)
    }

    /// A resource with type, id and meta in front of `members`; a `meta` among these adds to it.
    pub(super) fn resource(&self, resource_type: &str, id: &str, members: Value) -> Value {
        let mut meta = Map::new();
        meta.insert("versionId".to_owned(), json!(self.product.version_id));
        meta.insert("lastUpdated".to_owned(), json!(self.product.last_updated));
        let mut resource = Map::new();
        resource.insert("resourceType".to_owned(), json!(resource_type));
        resource.insert("id".to_owned(), json!(id));
        resource.insert("meta".to_owned(), Value::Null);
        if let Value::Object(members) = without_absent(members) {
            for (name, member) in members {
                match (name.as_str(), member) {
                    ("meta", Value::Object(more)) => meta.extend(more),
                    (_, member) => {
                        resource.insert(name, member);
                    }
                }
            }
        }
        resource.insert("meta".to_owned(), Value::Object(meta));
        Value::Object(resource)
    }

    /// A property or characteristic: its type and the one value it has.
    pub(super) fn properties(&self, properties: &[Property]) -> Result<Vec<Value>, CatalogueError> {
        properties
            .iter()
            .map(|property| {
                let amount = property.amount.as_ref();
                Ok(json!({
                    "type": self.words.concept("property", &property.kind)?,
                    "valueCodeableConcept": property.text.as_ref().map(|text| json!({"text": text})),
                    "valueQuantity": amount.map(|text| quantity(&self.words, text)).transpose()?,
                    "valueBoolean": property.flag,
                    "valueDate": property.date,
                }))
            })
            .collect()
    }
}
