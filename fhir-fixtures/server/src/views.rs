//! Prepared answers: each resource of a product filtered for a column, in a FHIR version, written to bytes once.

use std::{collections::BTreeSet, sync::Arc};

use bytes::Bytes;
use caller_context::Disclosure;
use database::Database;
use fhir_model::{
    Product,
    access::{self, AccessMatrix, Column, Targets},
    links, render,
};
use fhir_store::{ProductHead, StoredProduct};
use http::HeaderValue;
use moka::future::Cache;
use pms_terms::FhirVersion;
use serde_json::Value;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{answer::Validators, call::Call, fingerprint, outcome::Refusal};

/// From where a caller looks at a product: all that its view hangs on, but for the FHIR version.
#[derive(Clone, Debug)]
pub(crate) struct Angle {
    pub(crate) head: Arc<ProductHead>,
    pub(crate) column: Column,
    /// Those of the other products that it mentions that the caller may know of. Most mention none, so that callers
    /// of one column share one view.
    pub(crate) targets: Targets,
}

impl Angle {
    /// The same for old versions, which may mention products that the current one does not.
    pub(crate) async fn over<'v>(
        self,
        call: &Call<'_>,
        versions: impl IntoIterator<Item = &'v Value>,
    ) -> Result<Self, Refusal> {
        let mut mentioned: BTreeSet<String> = self.head.mentions.iter().cloned().collect();
        for version in versions {
            mentioned.extend(links::products_in(version));
        }
        let targets = call.known(mentioned.iter().map(String::as_str)).await?;
        Ok(Self { targets, ..self })
    }
}

/// What a view hangs on. Whatever else could change it gives the product a new revision.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    product_id: String,
    revision: i64,
    column: Column,
    targets: Targets,
    version: FhirVersion,
}

/// A resource as it is sent.
#[derive(Clone, Debug)]
pub(crate) struct Rendered {
    /// The resource type, as this FHIR version calls it.
    pub(crate) resource_type: String,
    pub(crate) id: String,
    pub(crate) last_updated: OffsetDateTime,
    /// Of the body: equal for equal bodies.
    pub(crate) fingerprint: String,
    pub(crate) body: Bytes,
    /// How many elements are missing from it.
    pub(crate) withheld: u32,
}

/// The MedicinalProductDefinition alone.
#[derive(Clone, Debug)]
pub(crate) struct RootView {
    pub(crate) resource: Rendered,
    pub(crate) validators: Validators,
    /// What showing it discloses, as the gateway is told.
    pub(crate) disclosed: HeaderValue,
}

/// The whole product, its MedicinalProductDefinition first.
#[derive(Clone, Debug)]
pub(crate) struct ProductView {
    pub(crate) resources: Vec<Rendered>,
    /// When the youngest of them was stored.
    pub(crate) last_updated: OffsetDateTime,
    /// How many resources of the product are not among them.
    pub(crate) hidden: u32,
}

/// Prepared answers, bounded by their bytes. Many requests for the same one prepare it once.
#[derive(Debug)]
pub(crate) struct Views {
    database: Database,
    matrix: Arc<AccessMatrix>,
    roots: Cache<Key, Option<Arc<RootView>>>,
    products: Cache<Key, Option<Arc<ProductView>>>,
}

impl Views {
    /// A third of `bytes` for products' roots, which searches show, the rest for whole products.
    pub(crate) fn new(database: Database, matrix: Arc<AccessMatrix>, bytes: u64) -> Self {
        let roots = Cache::builder()
            .max_capacity(bytes / 3)
            .weigher(|key: &Key, view: &Option<Arc<RootView>>| {
                weight(key, view.iter().map(|view| &view.resource))
            })
            .build();
        let products = Cache::builder()
            .max_capacity(bytes - bytes / 3)
            .weigher(|key: &Key, view: &Option<Arc<ProductView>>| {
                weight(key, view.iter().flat_map(|view| &view.resources))
            })
            .build();
        Self { database, matrix, roots, products }
    }

    /// The MedicinalProductDefinition of a product; nothing when the column does not see it.
    pub(crate) async fn root(
        &self,
        angle: &Angle,
        version: FhirVersion,
    ) -> Result<Option<Arc<RootView>>, Refusal> {
        let key = key(angle, version);
        if let Some(view) = self.roots.get(&key).await {
            return Ok(view);
        }
        let wanted = key.clone();
        let made = Box::pin(self.roots.try_get_with(key, async {
            let Some(whole) = self.whole(wanted, angle).await? else { return Ok(None) };
            let Some(resource) = whole.resources.first().cloned() else { return Ok(None) };
            let (version, stored) = (angle.head.version_id, angle.head.last_updated);
            let validators = Validators::of_version(version, &resource.body, stored, whole.last_updated);
            let mut disclosure = Disclosure::default();
            disclosing(&mut disclosure, &resource);
            disclosure.name(&angle.head.product_id);
            let disclosed = header(&disclosure);
            Ok(Some(Arc::new(RootView { resource, validators, disclosed })))
        }));
        made.await.map_err(|error: Arc<Refusal>| Refusal::Preparation(error.to_string()))
    }

    /// A whole product; nothing when the column does not see it.
    pub(crate) async fn product(
        &self,
        angle: &Angle,
        version: FhirVersion,
    ) -> Result<Option<Arc<ProductView>>, Refusal> {
        let key = key(angle, version);
        if let Some(view) = self.products.get(&key).await {
            return Ok(view);
        }
        self.whole(key, angle).await
    }

    async fn whole(&self, key: Key, angle: &Angle) -> Result<Option<Arc<ProductView>>, Refusal> {
        let version = key.version;
        // In a box: it is large, and seldom needed.
        let made = Box::pin(self.products.try_get_with(key, async {
            let Some(stored) = fhir_store::find(&self.database, &angle.head.product_id).await? else {
                return Ok(None);
            };
            Ok(self.prepare(&stored, angle, version).map(Arc::new))
        }));
        made.await.map_err(|error: Arc<Refusal>| Refusal::Preparation(chain(&error)))
    }

    fn prepare(&self, stored: &StoredProduct, angle: &Angle, version: FhirVersion) -> Option<ProductView> {
        let (facts, product) = (&stored.facts, &stored.product);
        let view = access::View::new(&self.matrix, angle.column, facts, product, &angle.targets)?;
        let access::Filtered { product: filtered, hidden, .. } = view.filtered();
        let product = match version {
            FhirVersion::V5_0_0 => filtered,
            FhirVersion::V4_4_0 => render::product_to_4_4_0(&filtered),
        };
        // Rendering keeps their order.
        let withheld = view.shown().map(|shown| count(shown.withheld));
        let mut resources: Vec<Rendered> = product
            .resources()
            .zip(withheld)
            .map(|(resource, withheld)| rendered(resource, withheld))
            .collect();
        // The root first, then a fixed order, by which pages are cut.
        if let Some((_, parts)) = resources.split_first_mut() {
            parts.sort_by(|a, b| (&a.resource_type, &a.id).cmp(&(&b.resource_type, &b.id)));
        }
        let last_updated =
            resources.iter().map(|one| one.last_updated).max().unwrap_or(stored.head.last_updated);
        Some(ProductView { resources, last_updated, hidden: count(hidden.len()) })
    }

    /// The matrix by which views are filtered.
    pub(crate) fn matrix(&self) -> &AccessMatrix {
        &self.matrix
    }
}

fn key(angle: &Angle, version: FhirVersion) -> Key {
    let Angle { head, column, targets } = angle;
    Key {
        product_id: head.product_id.clone(),
        revision: head.revision,
        column: *column,
        targets: targets.clone(),
        version,
    }
}

/// Bytes of an entry, with an allowance for what surrounds the bodies.
fn weight<'r>(key: &Key, resources: impl Iterator<Item = &'r Rendered>) -> u32 {
    let bytes: usize = resources.map(|one| one.body.len() + one.id.len() + 160).sum();
    let targets: usize = key.targets.visible.iter().map(|id| id.len() + 60).sum();
    u32::try_from(bytes + targets + key.product_id.len() + 200).unwrap_or(u32::MAX)
}

/// A resource written to bytes.
pub(crate) fn rendered(resource: &Value, withheld: u32) -> Rendered {
    let text = |name: &str| resource.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let last_updated = last_updated_of(resource);
    let body = Bytes::from(resource.to_string());
    let fingerprint = fingerprint::of(&body);
    Rendered {
        resource_type: text("resourceType"),
        id: text("id"),
        last_updated,
        fingerprint,
        body,
        withheld,
    }
}

/// Counts a resource among what is disclosed.
pub(crate) fn disclosing(disclosure: &mut Disclosure, resource: &Rendered) {
    disclosure.resources += 1;
    disclosure.withheld += resource.withheld;
}

/// A disclosure as the gateway is told.
pub(crate) fn header(disclosure: &Disclosure) -> HeaderValue {
    HeaderValue::try_from(disclosure.to_string()).unwrap_or_else(|_| HeaderValue::from_static("0 0 0"))
}

fn count(of: usize) -> u32 {
    u32::try_from(of).unwrap_or(u32::MAX)
}

fn last_updated_of(resource: &Value) -> OffsetDateTime {
    resource
        .pointer("/meta/lastUpdated")
        .and_then(Value::as_str)
        .and_then(|text| OffsetDateTime::parse(text, &Rfc3339).ok())
        .unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// What a column sees of a version.
pub(crate) struct Seen {
    value: Value,
    withheld: u32,
}

/// Old versions of a product's root, filtered by today's policy.
pub(crate) struct Past<'a> {
    view: access::View<'a>,
    version: FhirVersion,
    /// The other resources as they are now: 4.4.0 shows links to them.
    parts: Vec<Value>,
}

impl<'a> Past<'a> {
    /// Nothing when the column does not see the product.
    pub(crate) fn of(
        matrix: &'a AccessMatrix,
        stored: &'a StoredProduct,
        angle: &'a Angle,
        version: FhirVersion,
    ) -> Option<Self> {
        let view = access::View::new(matrix, angle.column, &stored.facts, &stored.product, &angle.targets)?;
        let parts = match version {
            FhirVersion::V5_0_0 => Vec::new(),
            FhirVersion::V4_4_0 => view.filtered().product.parts,
        };
        Some(Self { view, version, parts })
    }

    /// What the column sees of a version; nothing when that is nothing.
    pub(crate) fn seen(&self, body: &Value) -> Option<Seen> {
        let (value, withheld) = self.view.counted(body)?;
        Some(Seen { value, withheld: count(withheld) })
    }

    /// What was seen, in the FHIR version of the answer.
    pub(crate) fn rendered(&self, seen: Seen) -> Rendered {
        let value = match self.version {
            FhirVersion::V5_0_0 => seen.value,
            FhirVersion::V4_4_0 => {
                render::product_to_4_4_0(&Product::new(seen.value, self.parts.clone())).root
            }
        };
        rendered(&value, seen.withheld)
    }

    /// When the youngest resource was stored that an old version's links may show.
    pub(crate) fn youngest_link(&self) -> OffsetDateTime {
        let parts = self.parts.iter().map(last_updated_of);
        parts.max().unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }
}

fn chain(error: &Refusal) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
