//! Prepared answers: each resource of a product filtered for a column, in a FHIR version, written to bytes once.

use std::{
    collections::{BTreeSet, HashMap},
    num::NonZero,
    sync::Arc,
};

use bytes::Bytes;
use caller_context::Disclosure;
use database::Database;
use fhir_model::{
    Product,
    access::{self, AccessMatrix, Column, Outline, ShownRoot, Targets},
    facts::ProductFacts,
    json::Json,
    links, render,
};
use fhir_store::{ProductHead, StoredProduct, StoredRoot};
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
            if let Some(view) = self.outlined(&[angle], version).await?.pop().flatten() {
                return Ok(Some(view));
            }
            let Some(whole) = self.whole(wanted, angle).await? else { return Ok(None) };
            let resource = whole.resources.first().cloned();
            Ok(resource.map(|resource| root_view(angle, resource, whole.last_updated)))
        }));
        made.await.map_err(|error: Arc<Refusal>| Refusal::Preparation(error.to_string()))
    }

    /// The same for many products at once, in their order.
    pub(crate) async fn roots(
        &self,
        angles: &[Angle],
        version: FhirVersion,
    ) -> Result<Vec<Option<Arc<RootView>>>, Refusal> {
        let keys: Vec<Key> = angles.iter().map(|angle| key(angle, version)).collect();
        let mut kept = Vec::with_capacity(angles.len());
        for key in &keys {
            kept.push(self.roots.get(key).await);
        }
        let cold: Vec<&Angle> =
            angles.iter().zip(&kept).filter(|(_, kept)| kept.is_none()).map(|(angle, _)| angle).collect();
        let mut made = Box::pin(self.outlined(&cold, version)).await?.into_iter();
        let mut views = Vec::with_capacity(angles.len());
        for ((angle, key), kept) in angles.iter().zip(keys).zip(kept) {
            views.push(match kept {
                Some(view) => view,
                None => match made.next().flatten() {
                    Some(view) => {
                        self.roots.insert(key, Some(Arc::clone(&view))).await;
                        Some(view)
                    }
                    None => self.root(angle, version).await?,
                },
            });
        }
        Ok(views)
    }

    /// Roots by the outlines that are stored beside them, in order: nothing where the whole product must be looked at.
    /// Where they are many, they are read and drawn in parts beside each other.
    async fn outlined(
        &self,
        angles: &[&Angle],
        version: FhirVersion,
    ) -> Result<Vec<Option<Arc<RootView>>>, Refusal> {
        let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
        let mut parts =
            angles.chunks(angles.len().div_ceil(processors).max(WORTH_A_THREAD)).map(|angles| Part {
                work: angles
                    .iter()
                    .map(|angle| ((*angle).clone(), self.is_quicker(angle, version)))
                    .collect(),
                database: self.database.clone(),
                matrix: Arc::clone(&self.matrix),
                version,
            });
        let Some(first) = parts.next() else { return Ok(Vec::new()) };
        let others: Vec<_> = parts.map(|part| tokio::spawn(part.draw_beside())).collect();
        let mut views = first.read().await?.draw()?;
        for other in others {
            views.extend(other.await.map_err(|error| Refusal::Preparation(error.to_string()))??);
        }
        Ok(views)
    }

    /// Whether the outline is for this reader, and the whole product is not at hand.
    fn is_quicker(&self, angle: &Angle, version: FhirVersion) -> bool {
        Outline::is_for(angle.column, &angle.targets, &angle.head.mentions)
            && !self.products.contains_key(&key(angle, version))
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
            let found = fhir_store::find_whole(&self.database, &angle.head).await?;
            Ok(found
                .and_then(|(product, facts)| self.prepare(&product, &facts, angle, version))
                .map(Arc::new))
        }));
        made.await.map_err(|error: Arc<Refusal>| Refusal::Preparation(chain(&error)))
    }

    fn prepare(
        &self,
        product: &Product,
        facts: &ProductFacts,
        angle: &Angle,
        version: FhirVersion,
    ) -> Option<ProductView> {
        let view = access::View::new(&self.matrix, angle.column, facts, product, &angle.targets)?;
        let shown: Vec<&Value> = view.shown().map(|shown| shown.resource).collect();
        let withheld = view.shown().map(|shown| count(shown.withheld));
        let with = |(resource, withheld): (Json<'_>, u32)| rendered(&resource, withheld);
        let mut resources: Vec<Rendered> = match version {
            FhirVersion::V5_0_0 => shown.into_iter().map(Json::from).zip(withheld).map(with).collect(),
            FhirVersion::V4_4_0 => render::each_to_4_4_0(&shown).zip(withheld).map(with).collect(),
        };
        // The root first, then a fixed order, by which pages are cut.
        if let Some((_, parts)) = resources.split_first_mut() {
            parts.sort_by(|a, b| (&a.resource_type, &a.id).cmp(&(&b.resource_type, &b.id)));
        }
        let last_updated =
            resources.iter().map(|one| one.last_updated).max().unwrap_or(angle.head.last_updated);
        Some(ProductView { resources, last_updated, hidden: count(view.hidden()) })
    }

    /// The matrix by which views are filtered.
    pub(crate) fn matrix(&self) -> &AccessMatrix {
        &self.matrix
    }
}

/// So many roots are read and drawn in the time that it takes to wake another thread, and some more.
const WORTH_A_THREAD: usize = 4;

/// Some roots, to be drawn by their outlines if that is quicker.
struct Part {
    work: Vec<(Angle, bool)>,
    database: Database,
    matrix: Arc<AccessMatrix>,
    version: FhirVersion,
}

/// The same, with what is stored of those that are to be drawn.
struct ReadPart {
    work: Vec<(Angle, Option<StoredRoot>)>,
    matrix: Arc<AccessMatrix>,
    version: FhirVersion,
}

impl Part {
    async fn read(self) -> Result<ReadPart, Refusal> {
        let Self { work, database, matrix, version } = self;
        let ids: Vec<&str> =
            work.iter().filter(|(_, due)| *due).map(|(angle, _)| angle.head.product_id.as_str()).collect();
        let mut found: HashMap<String, StoredRoot> = HashMap::new();
        if !ids.is_empty() {
            let roots = fhir_store::find_roots(&database, &ids).await?;
            found.extend(roots.into_iter().map(|root| (root.product_id.clone(), root)));
        }
        let stored = |angle: Angle| {
            let root = found.remove(&angle.head.product_id);
            (angle, root)
        };
        Ok(ReadPart { work: work.into_iter().map(|(angle, _)| angle).map(stored).collect(), matrix, version })
    }

    async fn draw_beside(self) -> Result<Vec<Option<Arc<RootView>>>, Refusal> {
        let part = self.read().await?;
        let drawn = tokio::task::spawn_blocking(move || part.draw()).await;
        drawn.map_err(|error| Refusal::Preparation(error.to_string()))?
    }
}

impl ReadPart {
    fn draw(&self) -> Result<Vec<Option<Arc<RootView>>>, Refusal> {
        let one = |(angle, stored): &(Angle, Option<StoredRoot>)| {
            stored.as_ref().map_or(Ok(None), |stored| draw(angle, stored, &self.matrix, self.version))
        };
        self.work.iter().map(one).collect()
    }
}

/// A root by its outline; nothing where the whole product must be looked at.
fn draw(
    angle: &Angle,
    stored: &StoredRoot,
    matrix: &AccessMatrix,
    version: FhirVersion,
) -> Result<Option<Arc<RootView>>, Refusal> {
    // Of another revision: it changed since the head was read, and so may have who sees what of it.
    if stored.revision != angle.head.revision {
        return Ok(None);
    }
    let Some(outline) = Outline::read(&stored.outline, matrix) else { return Ok(None) };
    let Some(shown) = outline.shown(angle.column, &angle.targets, stored.read()?) else { return Ok(None) };
    let ShownRoot { root, withheld, links, youngest } = shown;
    let root = match version {
        FhirVersion::V5_0_0 => root,
        FhirVersion::V4_4_0 => render::root_to_4_4_0(root, &links),
    };
    let youngest = youngest.as_deref().map_or(OffsetDateTime::UNIX_EPOCH, instant);
    Ok(Some(root_view(angle, rendered(&root, count(withheld)), youngest)))
}

/// `changed`: when anything last did that the view may show.
fn root_view(angle: &Angle, resource: Rendered, changed: OffsetDateTime) -> Arc<RootView> {
    let (version, stored) = (angle.head.version_id, angle.head.last_updated);
    let validators = Validators::of_version(version, &resource.fingerprint, stored, changed);
    let mut disclosure = Disclosure::default();
    disclosing(&mut disclosure, &resource);
    disclosure.name(&angle.head.product_id);
    Arc::new(RootView { resource, validators, disclosed: header(&disclosure) })
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

/// Most resources are no longer than so many bytes.
const COMMON_LENGTH: usize = 4096;

/// A resource written to bytes.
pub(crate) fn rendered(resource: &Json<'_>, withheld: u32) -> Rendered {
    let text = |name: &str| resource.get(name).and_then(Json::as_str).unwrap_or_default().to_owned();
    let last_updated = resource
        .at(&["meta", "lastUpdated"])
        .and_then(Json::as_str)
        .map_or(OffsetDateTime::UNIX_EPOCH, instant);
    let mut body = Vec::with_capacity(COMMON_LENGTH);
    resource.write(&mut body);
    let body = Bytes::from(body.into_boxed_slice());
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
    let text = resource.pointer("/meta/lastUpdated").and_then(Value::as_str);
    text.map_or(OffsetDateTime::UNIX_EPOCH, instant)
}

fn instant(text: &str) -> OffsetDateTime {
    OffsetDateTime::parse(text, &Rfc3339).unwrap_or(OffsetDateTime::UNIX_EPOCH)
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
            FhirVersion::V4_4_0 => view.shown().skip(1).map(|part| part.resource.clone()).collect(),
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
        rendered(&Json::from(&value), seen.withheld)
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
