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
pub(crate) fn bundle(terms: &Terms, shared: &Shared, product: &Product) -> Result<Value, CatalogueError> {
    let mut members = own_resources(terms, shared, product, Numbers::of_catalogue(&product.id)?)?;
    include_shared(shared, &mut members);
    Ok(json!({
        "resourceType": "Bundle",
        "id": format!("demo-{}", product.id),
        "type": "collection",
        "timestamp": product.last_updated,
        "entry": members.into_iter().map(entry).collect::<Vec<_>>(),
    }))
}

/// The product and the resources that are its own, without what it shares with others.
pub(crate) fn own_resources(
    terms: &Terms,
    shared: &Shared,
    product: &Product,
    numbers: Numbers,
) -> Result<Vec<Value>, CatalogueError> {
    let expansion = Expansion { product, words: terms.spelt(product.spelling), shared, numbers };
    let mut members = vec![product::medicinal_product(&expansion)?];
    members.extend(authorisation::marketing(&expansion)?);
    members.extend(package::packs(&expansion)?);
    members.extend(composition::administered(&expansion)?);
    members.extend(composition::items(&expansion)?);
    members.extend(composition::ingredients(&expansion)?);
    members.extend(clinical_use::uses(&expansion)?);
    members.extend(authorisation::activities(&expansion)?);
    members.extend(product::documents(&expansion)?);
    Ok(members)
}

/// A resource as an entry of a collection.
pub(crate) fn entry(resource: Value) -> Value {
    let full_url = format!("{BASE}/{}/{}", text(&resource, "resourceType"), text(&resource, "id"));
    let members = [("fullUrl".to_owned(), Value::String(full_url)), ("resource".to_owned(), resource)];
    Value::Object(members.into_iter().collect())
}

/// Appends every shared resource that a member refers to, and what that refers to, once each.
pub(crate) fn include_shared(shared: &Shared, members: &mut Vec<Value>) {
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

/// Where the ids of a product's own resources count from: a product has a hundred of each type.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Numbers {
    /// Of the product, different from that of any other.
    product: u64,
    /// Added for manufacturing authorisations, which share a type with marketing authorisations.
    manufacturing: u64,
}

impl Numbers {
    /// A product of the catalogue is numbered by the last three digits of its id.
    fn of_catalogue(id: &str) -> Result<Self, CatalogueError> {
        let number = Some(id)
            .filter(|id| id.len() == 12 && id.bytes().all(|byte| byte.is_ascii_digit()))
            .and_then(|id| id.get(9..)?.parse().ok())
            .ok_or_else(|| CatalogueError::ProductId(id.to_owned()))?;
        Ok(Self { product: number, manufacturing: 500_000 })
    }

    /// A generated product has a number from 1,000,000 to 99,999,999, above all of the catalogue.
    pub(crate) const fn generated(number: u64) -> Self {
        Self { product: number, manufacturing: 10_000_000_000 }
    }
}

/// The types of which every product has its own resources, with the number from which their ids count.
#[derive(Clone, Copy)]
pub(crate) enum Part {
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
            Self::MarketingAuthorisation | Self::ManufacturingAuthorisation => 220_000_000_000,
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
pub(crate) struct Expansion<'a> {
    pub(crate) product: &'a Product,
    pub(crate) words: Words<'a>,
    pub(crate) shared: &'a Shared,
    pub(crate) numbers: Numbers,
}

impl Expansion<'_> {
    /// The id of the part at `position`, counted from 1.
    pub(crate) fn id(&self, part: Part, position: usize) -> String {
        let manufacturing = match part {
            Part::ManufacturingAuthorisation => self.numbers.manufacturing,
            _ => 0,
        };
        (part.first_id() + manufacturing + self.numbers.product * 100 + position as u64).to_string()
    }

    /// A reference to the part at `position`.
    pub(crate) fn link(&self, part: Part, position: usize) -> Value {
        json!({"reference": format!("{}/{}", part.resource_type(), self.id(part, position))})
    }

    /// A reference to a part that must exist: `count` is how many there are.
    pub(crate) fn require(
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
    pub(crate) fn product_link(&self) -> Value {
        json!({"reference": format!("MedicinalProductDefinition/{}", self.product.id)})
    }

    /// A part with type, id and meta in front of `members`.
    pub(crate) fn part(&self, part: Part, position: usize, members: Value) -> Value {
        self.resource(part.resource_type(), &self.id(part, position), members)
    }

    /// A resource with type, id and meta in front of `members`; a `meta` among these adds to it.
    pub(crate) fn resource(&self, resource_type: &str, id: &str, members: Value) -> Value {
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
    pub(crate) fn properties(&self, properties: &[Property]) -> Result<Vec<Value>, CatalogueError> {
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
