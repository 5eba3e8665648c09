//! Search: products that match, of those the caller may know of (EP301).

use std::sync::Arc;

use axum::response::Response;
use caller_context::Disclosure;
use fhir_store::search::{Counting, Match, Page, Position, Sort};
use serde_json::Value;

use crate::{
    answer::{self, Validators},
    bundle::{BundleWriter, INCLUDED, MATCH},
    call::Call,
    cursor::Place,
    fingerprint::Fingerprint,
    include::{Along, Inclusions},
    outcome::{self, Refusal},
    shape::Shape,
    views::{self, Angle, Rendered},
};

pub(super) async fn answer(call: &Call<'_>) -> Result<Response, Refusal> {
    let state = call.state;
    if call.operation.resource_type != "MedicinalProductDefinition" {
        return Err(Refusal::NotFound);
    }
    let (parameters, version) = (&call.parameters, call.product.fhir_version);
    let query = parameters.search(state.clock.now())?;
    let sort = parameters.sort()?;
    let counting = parameters.counts()?;
    let shape = parameters.shape(version, &call.operation.resource_type)?;
    let wishes = parameters.includes(version)?;
    let limit = parameters.count(state.page_size, state.max_page_size)?;
    let place = parameters
        .one("_cursor")
        .map(|cursor| state.cursor_key.open(cursor, &call.binding()))
        .transpose()?
        .filter(|place| !place.after.is_empty());
    let (database, audience) = (&state.database, &call.audience);
    let known = Known::of(call);
    if limit == 0 || shape == Shape::Count {
        let total = match known.total {
            Some(total) => total,
            None => fhir_store::search::count(database, audience, &query).await?,
        };
        known.keep(call, total);
        return finish(call, Answer::new(Some(total), shape), None);
    }
    let (page, total) = match place {
        None => {
            let due = if known.total.is_none() { counting } else { Counting::Never };
            let (page, total) =
                fhir_store::search::first_page(database, audience, &query, &sort, limit, due).await?;
            if let Some(total) = total {
                known.keep(call, total);
            }
            let all_here = (!page.more).then(|| i64::try_from(page.matches.len()).unwrap_or(i64::MAX));
            (page, all_here.or(total).or(known.total).filter(|_| counting != Counting::Never))
        }
        Some(Place { total, after }) => {
            let after = position(&sort, &after).ok_or(Refusal::Cursor)?;
            (fhir_store::search::page_after(database, audience, &query, &sort, &after, limit).await?, total)
        }
    };
    let mut answer = Answer::new(total, shape);
    let end = answer.fill(call, page, &wishes).await?;
    let next = end.map(|end| Place { total, after: Value::from(end.fields()).to_string() });
    finish(call, answer, next.as_ref())
}

/// The place in a cursor, if it is one of this order.
fn position(sort: &Sort, after: &str) -> Option<Position> {
    sort.position(serde_json::from_str(after).ok()?)
}

/// The total of a search, if it was counted before and nothing was changed since.
struct Known {
    latest: Option<i64>,
    total: Option<i64>,
}

impl Known {
    fn of(call: &Call<'_>) -> Self {
        let latest = call.state.heads.latest_change();
        let latest = latest.filter(|_| !call.hangs_on_time());
        let total = latest.and_then(|latest| call.state.totals.find(&call.counted(), latest));
        Self { latest, total }
    }

    fn keep(&self, call: &Call<'_>, total: i64) {
        if let Some(latest) = self.latest.filter(|_| self.total.is_none())
            && call.state.heads.latest_change() == Some(latest)
        {
            call.state.totals.keep(call.counted(), latest, total);
        }
    }
}

/// What one page shows.
struct Answer {
    total: Option<i64>,
    shape: Shape,
    matches: Vec<Rendered>,
    along: Along,
}

impl Answer {
    fn new(total: Option<i64>, shape: Shape) -> Self {
        Self { total, shape, matches: Vec::new(), along: Along::default() }
    }

    /// Takes the products of a page, and what comes along with them, until the page ends or what comes along is too
    /// much. Answers where the next page starts, if there is one.
    async fn fill(
        &mut self,
        call: &Call<'_>,
        page: Page,
        wishes: &Inclusions,
    ) -> Result<Option<Position>, Refusal> {
        let (views, version) = (&call.state.views, call.product.fhir_version);
        let mentioned = page.matches.iter().flat_map(|one| &one.head.mentions).map(String::as_str);
        let known = call.known(mentioned).await?;
        let (mut end, mut more) = (None, page.more);
        let mut angles = Vec::with_capacity(page.matches.len());
        for Match { head, place } in page.matches {
            // Both were decided by the SQL already; should one of them say otherwise now, the product is left out.
            if let Some(column) = head.seen_by(&call.audience) {
                let targets = known.among(&head.mentions);
                let angle = Angle { head: Arc::new(head), column, targets };
                if !wishes.is_empty()
                    && let Some(view) = views.product(&angle, version).await?
                    && !self.along.add(wishes, &view)
                {
                    more = true;
                    break;
                }
                angles.push(angle);
            }
            end = Some(place);
        }
        let roots = views.roots(&angles, version).await?;
        self.matches.extend(roots.into_iter().flatten().map(|view| view.resource.clone()));
        Ok(end.filter(|_| more))
    }
}

/// Writes it down, and says at the end what was ignored.
fn finish(call: &Call<'_>, answer: Answer, next: Option<&Place>) -> Result<Response, Refusal> {
    let version = call.product.fhir_version;
    let links = call.links(next)?;
    let mut fingerprint = Fingerprint::default().with(answer.total.unwrap_or(-1).to_be_bytes());
    for (relation, url) in &links {
        fingerprint = fingerprint.with(relation).with(url);
    }
    let room = answer.matches.iter().chain(answer.along.resources()).map(|one| one.body.len() + 200).sum();
    let mut bundle = BundleWriter::new("searchset", answer.total, &links, room);
    let mut disclosure = Disclosure::default();
    for resource in answer.matches {
        views::disclosing(&mut disclosure, &resource);
        disclosure.name(&resource.id);
        fingerprint = fingerprint.with(&resource.fingerprint);
        let body = answer.shape.apply(version, &resource.body);
        bundle.entry(&call.base, &Rendered { body, ..resource }, MATCH);
    }
    for resource in answer.along.resources() {
        views::disclosing(&mut disclosure, resource);
        fingerprint = fingerprint.with(&resource.fingerprint);
        let body = answer.shape.apply_to_included(version, &resource.body);
        bundle.entry(&call.base, &Rendered { body, ..resource.clone() }, INCLUDED);
    }
    let ignored = call.parameters.ignored.join(", ");
    if !ignored.is_empty() {
        let text = format!("Ignored, because not supported here: {ignored}.");
        bundle.outcome(&outcome::outcome("warning", "not-supported", &text, None, None).to_string());
        fingerprint = fingerprint.with(&ignored);
    }
    // No time: what no longer matches leaves no trace.
    let validators = Validators::of_bundle(fingerprint, None);
    let response = answer::ok(bundle.finish(), Some(&validators), &call.headers, call.look)?;
    Ok(answer::disclosed(response, views::header(&disclosure)))
}
