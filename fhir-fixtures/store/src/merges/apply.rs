//! Deciding a merge over the product as it is stored, and storing it, in the caller's unit of work.

use std::collections::{BTreeSet, VecDeque};

use database::{Database, Db, on_db};
use fhir_model::{
    ResourceKey, ResourceType,
    access::{AccessMatrix, Viewer},
    merge::{self, Plan, Rejection, Request},
};
use serde_json::Value;
use time::OffsetDateTime;

use super::{Answer, AppliedResource, Limits, Outcome, Submission, queue, reach, rows};
use crate::{
    Audience, StoreError, StoredProduct, compartment,
    index::{self, RootVersion},
    products,
    resources::{self, NextVersion, Stamps, unstamp},
};

/// A merge that may be done, and the product that it was decided over.
struct Decided {
    stored: StoredProduct,
    plan: Plan,
}

/// What a merge would do, or the rules that it breaks; stores nothing.
///
/// # Errors
/// When the database fails.
pub async fn check(
    database: &Database,
    matrix: &AccessMatrix,
    viewer: &Viewer,
    bundle: &Value,
) -> Result<Result<Plan, Vec<Rejection>>, StoreError> {
    let mut reader = database.read().await?;
    let decided = decide(&mut reader.db(), matrix, viewer, bundle).await?;
    Ok(decided.map(|decided| decided.plan))
}

/// Does a merge at once: what it answers is stored. Behind another merge of the same product that waits, it waits too.
///
/// # Errors
/// When the database fails; then nothing is stored, and it can be sent again.
pub async fn submit(
    database: &Database,
    matrix: &AccessMatrix,
    submission: &Submission<'_>,
    limits: &Limits,
    now: OffsetDateTime,
) -> Result<Answer, StoreError> {
    let product_id = match at_the_door(database, submission).await? {
        Ok(product_id) => product_id,
        Err(rejections) => return Ok(Answer::Done(Outcome::refused(&rejections))),
    };
    let mut work = database.begin().await?;
    let mut db = work.db();
    index::lock(&mut db).await?;
    let mut place = None;
    if let Some(key) = submission.idempotency_key {
        place = Some(rows::next_place(&mut db).await?);
        if let Some(answer) = rows::answered_before(&mut db, submission, key, now).await? {
            return Ok(answer);
        }
    }
    if waits(&mut db, &product_id).await? {
        work.rollback().await?;
        return queue::enqueue(database, submission, limits, now).await;
    }
    let outcome = act(&mut db, matrix, submission.viewer, submission.bundle, now).await?;
    if let Some(place) = place {
        rows::insert(&mut db, submission, place, &product_id, Some(&outcome), limits, now).await?;
    }
    if place.is_some() || outcome.is_applied() {
        work.commit().await?;
    }
    Ok(Answer::Done(outcome))
}

/// The product that a merge is about; or that there is none which the viewer may write, which costs no lock to say.
pub(super) async fn at_the_door(
    database: &Database,
    submission: &Submission<'_>,
) -> Result<Result<String, Vec<Rejection>>, StoreError> {
    let product_id = match merge::product_id(submission.bundle) {
        Ok(product_id) => product_id,
        Err(rejections) => return Ok(Err(rejections)),
    };
    let audience = Audience::new(submission.viewer.clone());
    let head = products::find_head(database, &product_id).await?;
    let writes = head.and_then(|head| head.seen_by(&audience)).is_some_and(merge::writes);
    Ok(if writes { Ok(product_id) } else { Err(merge::not_yours(submission.bundle)) })
}

async fn waits(db: &mut Db<'_>, product_id: &str) -> Result<bool, StoreError> {
    let waiting = on_db!(db, conn => sqlx::query_scalar::<_, i64>(
        "SELECT COUNT(*) FROM merges WHERE product_id = $1 AND state = 'queued'"
    ).bind(product_id).fetch_one(conn).await)?;
    Ok(waiting > 0)
}

/// Decides and stores, under the lock of [`index::lock`].
pub(super) async fn act(
    db: &mut Db<'_>,
    matrix: &AccessMatrix,
    viewer: &Viewer,
    bundle: &Value,
    now: OffsetDateTime,
) -> Result<Outcome, StoreError> {
    match decide(db, matrix, viewer, bundle).await? {
        Ok(decided) => store(db, matrix, &decided, now).await,
        Err(rejections) => Ok(Outcome::refused(&rejections)),
    }
}

async fn decide(
    db: &mut Db<'_>,
    matrix: &AccessMatrix,
    viewer: &Viewer,
    bundle: &Value,
) -> Result<Result<Decided, Vec<Rejection>>, StoreError> {
    let product_id = match merge::product_id(bundle) {
        Ok(product_id) => product_id,
        Err(rejections) => return Ok(Err(rejections)),
    };
    let audience = Audience::new(viewer.clone());
    let head = products::head(db, &product_id).await?;
    let Some(head) = head.filter(|head| head.seen_by(&audience).is_some_and(merge::writes)) else {
        return Ok(Err(merge::not_yours(bundle)));
    };
    let members = resources::members(db, &product_id).await?;
    let Some(product) = products::assemble(&product_id, members) else {
        return Ok(Err(merge::not_yours(bundle)));
    };
    let facts = products::known_facts(db, &product).await?;
    let outside = merge::outside(bundle, &product);
    // One answer for what is linked to already and for what is to be: the gates of each product.
    let mentions: BTreeSet<&str> =
        head.mentions.iter().chain(&outside.products).map(String::as_str).collect();
    let targets = products::targets(db, &audience, &Vec::from_iter(mentions)).await?;
    let known = reach::usable(db, &audience, outside.resources).await?;
    let organisations = reach::organisations(db, &known).await?;
    let shared = reach::shared(db, &product).await?;
    let planned = merge::plan(&Request {
        bundle,
        product: &product,
        viewer,
        matrix,
        facts: &facts,
        targets: &targets,
        known: &known,
        organisations: &organisations,
        shared: &shared,
    });
    Ok(planned.map(|plan| Decided { stored: StoredProduct { head, product, facts }, plan }))
}

/// New versions, the rows derived from them, and the change that servers follow.
async fn store(
    db: &mut Db<'_>,
    matrix: &AccessMatrix,
    decided: &Decided,
    now: OffsetDateTime,
) -> Result<Outcome, StoreError> {
    let Decided { stored: StoredProduct { head, product, .. }, plan } = decided;
    let mut done = Vec::with_capacity(plan.changed.len() + plan.created.len() + plan.unchanged.len());
    for (entry, key) in &plan.unchanged {
        let version_id = product.find(key).map_or(0, version_of);
        done.push(AppliedResource::new(*entry, key, version_id, false));
    }
    if !plan.is_empty() {
        let mut ids = VecDeque::with_capacity(plan.created.len());
        for creation in &plan.created {
            ids.push_back(rows::next_resource_id(db, creation.resource_type.as_str()).await?);
        }
        let mut next = Vec::with_capacity(plan.changed.len() + plan.created.len());
        for mut resolved in plan.resolve(&mut |_| ids.pop_front().unwrap_or_default()) {
            unstamp(&mut resolved.body);
            let version_id = product.find(&resolved.key).map_or(1, |before| version_of(before) + 1);
            let created = resolved.expected_version.is_none();
            done.push(AppliedResource::new(resolved.entry, &resolved.key, version_id, created));
            next.push(NextVersion { key: resolved.key, version_id, body: resolved.body });
        }
        resources::write(db, &next, now).await?;
        let root_key = ResourceKey::new(ResourceType::MedicinalProductDefinition, &plan.product_id);
        let root =
            next.iter().find(|next| next.key == root_key).map_or(
                RootVersion { version_id: head.version_id, last_updated: head.last_updated },
                |root| RootVersion { version_id: root.version_id, last_updated: now },
            );
        let mut stamps = Stamps::default();
        for next in &next {
            stamps.note(&next.key, next.version_id, now);
        }
        let (keys, bodies): (Vec<ResourceKey>, Vec<Value>) =
            next.into_iter().map(|next| (next.key, next.body)).unzip();
        if let Some(mut product) = compartment::gather(db, &plan.product_id, true, bodies).await? {
            stamps.apply(&mut product);
            index::write(db, matrix, &product, root, Some(head)).await?;
        }
        for other in index::products_with(db, &keys).await? {
            if other != plan.product_id {
                index::look_again(db, matrix, &other).await?;
            }
        }
    }
    done.sort_by_key(|one| one.entry);
    Ok(Outcome::Applied {
        product_id: plan.product_id.clone(),
        resources: done,
        told: merge::told(&plan.warnings),
    })
}

/// The version that a stored resource carries.
fn version_of(resource: &Value) -> i64 {
    let text = resource.pointer("/meta/versionId").and_then(Value::as_str).unwrap_or_default();
    text.parse().unwrap_or_default()
}
