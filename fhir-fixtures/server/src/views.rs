//! Prepared answers: each resource of a product filtered for a column, in a FHIR version, written to bytes once.

use std::sync::Arc;

use bytes::Bytes;
use database::Database;
use fhir_model::{
    Product,
    access::{self, AccessMatrix, Column},
    render,
};
use fhir_store::{ProductHead, StoredProduct};
use moka::future::Cache;
use pms_terms::FhirVersion;
use serde_json::Value;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{answer::Validators, outcome::Refusal};

/// What a view hangs on. Whatever else could change it gives the product a new revision.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    product_id: String,
    revision: i64,
    column: Column,
    version: FhirVersion,
}

/// A resource as it is sent.
#[derive(Clone, Debug)]
pub(crate) struct Rendered {
    /// The resource type, as this FHIR version calls it.
    pub(crate) resource_type: String,
    pub(crate) id: String,
    pub(crate) last_updated: OffsetDateTime,
    pub(crate) body: Bytes,
}

/// The MedicinalProductDefinition alone.
#[derive(Clone, Debug)]
pub(crate) struct RootView {
    pub(crate) resource: Rendered,
    pub(crate) validators: Validators,
}

/// The whole product, its MedicinalProductDefinition first.
#[derive(Clone, Debug)]
pub(crate) struct ProductView {
    pub(crate) resources: Vec<Rendered>,
    pub(crate) validators: Validators,
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
        head: &ProductHead,
        column: Column,
        version: FhirVersion,
    ) -> Result<Option<Arc<RootView>>, Refusal> {
        let key = key(head, column, version);
        if let Some(view) = self.roots.get(&key).await {
            return Ok(view);
        }
        let wanted = key.clone();
        let made = Box::pin(self.roots.try_get_with(key, async {
            let Some(whole) = self.whole(wanted, head).await? else { return Ok(None) };
            let Some(resource) = whole.resources.first().cloned() else { return Ok(None) };
            let validators = Validators::new(head.version_id, head.last_updated);
            Ok(Some(Arc::new(RootView { resource, validators })))
        }));
        made.await.map_err(|error: Arc<Refusal>| Refusal::Preparation(error.to_string()))
    }

    /// A whole product; nothing when the column does not see it.
    pub(crate) async fn product(
        &self,
        head: &ProductHead,
        column: Column,
        version: FhirVersion,
    ) -> Result<Option<Arc<ProductView>>, Refusal> {
        let key = key(head, column, version);
        if let Some(view) = self.products.get(&key).await {
            return Ok(view);
        }
        self.whole(key, head).await
    }

    async fn whole(&self, key: Key, head: &ProductHead) -> Result<Option<Arc<ProductView>>, Refusal> {
        let (column, version) = (key.column, key.version);
        // In a box: it is large, and seldom needed.
        let made = Box::pin(self.products.try_get_with(key, async {
            let Some(stored) = fhir_store::find(&self.database, &head.product_id).await? else {
                return Ok(None);
            };
            Ok(self.prepare(&stored, column, version).map(Arc::new))
        }));
        made.await.map_err(|error: Arc<Refusal>| Refusal::Preparation(chain(&error)))
    }

    fn prepare(&self, stored: &StoredProduct, column: Column, version: FhirVersion) -> Option<ProductView> {
        let filtered =
            access::filter(&self.matrix, column, &stored.facts, &stored.product, &stored.targets)?.product;
        let product = match version {
            FhirVersion::V5_0_0 => filtered,
            FhirVersion::V4_4_0 => render::product_to_4_4_0(&filtered),
        };
        let mut resources: Vec<Rendered> = product.resources().map(rendered).collect();
        // The root first, then a fixed order, by which pages are cut.
        if let Some((_, parts)) = resources.split_first_mut() {
            parts.sort_by(|a, b| (&a.resource_type, &a.id).cmp(&(&b.resource_type, &b.id)));
        }
        let last_updated =
            resources.iter().map(|one| one.last_updated).max().unwrap_or(stored.head.last_updated);
        let validators = Validators::new(format_args!("r{}", stored.head.revision), last_updated);
        Some(ProductView { resources, validators })
    }

    /// The matrix by which views are filtered.
    pub(crate) fn matrix(&self) -> &AccessMatrix {
        &self.matrix
    }
}

fn key(head: &ProductHead, column: Column, version: FhirVersion) -> Key {
    Key { product_id: head.product_id.clone(), revision: head.revision, column, version }
}

/// Bytes of an entry, with an allowance for what surrounds the bodies.
fn weight<'r>(key: &Key, resources: impl Iterator<Item = &'r Rendered>) -> u32 {
    let bytes: usize = resources.map(|one| one.body.len() + one.id.len() + 160).sum();
    u32::try_from(bytes + key.product_id.len() + 200).unwrap_or(u32::MAX)
}

/// A resource written to bytes.
pub(crate) fn rendered(resource: &Value) -> Rendered {
    let text = |name: &str| resource.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let last_updated = resource
        .pointer("/meta/lastUpdated")
        .and_then(Value::as_str)
        .and_then(|text| OffsetDateTime::parse(text, &Rfc3339).ok())
        .unwrap_or(OffsetDateTime::UNIX_EPOCH);
    Rendered {
        resource_type: text("resourceType"),
        id: text("id"),
        last_updated,
        body: Bytes::from(resource.to_string()),
    }
}

/// One old version of a product's root, filtered by today's policy and written in `version`.
pub(crate) fn old_version(
    matrix: &AccessMatrix,
    stored: &StoredProduct,
    column: Column,
    version: FhirVersion,
    body: &Value,
) -> Option<Value> {
    let resource =
        access::filter_resource(matrix, column, &stored.facts, &stored.product, &stored.targets, body)?;
    match version {
        FhirVersion::V5_0_0 => Some(resource),
        FhirVersion::V4_4_0 => {
            let parts = access::filter(matrix, column, &stored.facts, &stored.product, &stored.targets)?
                .product
                .parts;
            Some(render::product_to_4_4_0(&Product::new(resource, parts)).root)
        }
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
