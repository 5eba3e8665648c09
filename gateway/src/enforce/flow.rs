//! The order of work for a product that the gateway filters: gather, judge, write anew.

use axum::body::Body;
use caller_context::Disclosure;
use config::Interaction;
use fhir_model::{ResourceKey, ResourceType, access::Viewer, gather::Gathering};
use http::{Response, request::Parts};
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::{
    CursorKey, Refused, Server,
    admissible::{self, Search},
    cursor::Place,
    judge::{Judge, Seen, Sheet, viewer},
    page::Unfilterable,
    register::Register,
    render,
};
use crate::{authorize::Permit, error::GatewayError};

const PRODUCT: ResourceType = ResourceType::MedicinalProductDefinition;

/// The server's pages that are read for one page of ours, as long as no more than half of what a request may cost was
/// spent. Where more hold nothing for the caller, its page is shorter than it asked for.
const MAX_PAGES: usize = 10;

/// A request to a product that the gateway filters.
pub(crate) struct Enforcer<'a> {
    server: Server<'a>,
    cursors: &'a CursorKey,
    permit: &'a Permit<'a>,
    parts: &'a Parts,
    viewer: Viewer,
    now: OffsetDateTime,
}

/// Counts a resource among what is disclosed.
fn add(disclosed: &mut Disclosure, seen: &Seen) {
    disclosed.resources += 1;
    disclosed.withheld += count(seen.withheld);
}

fn count(of: usize) -> u32 {
    u32::try_from(of).unwrap_or(u32::MAX)
}

/// What a search has found so far.
#[derive(Default)]
struct Found {
    roots: Vec<Seen>,
    disclosed: Disclosure,
    /// Where the next page starts.
    next: Option<Place>,
}

impl<'a> Enforcer<'a> {
    pub(crate) fn new(
        server: Server<'a>,
        cursors: &'a CursorKey,
        permit: &'a Permit<'a>,
        parts: &'a Parts,
        now: OffsetDateTime,
    ) -> Self {
        Self { server, cursors, viewer: viewer(permit.caller()), permit, parts, now }
    }

    /// Answers it.
    pub(crate) async fn answer(&self) -> Result<Response<Body>, GatewayError> {
        match self.permit.request().operation.interaction {
            Interaction::Read => self.read().await,
            Interaction::Everything => self.everything().await,
            Interaction::Search => self.search().await,
            // No such route is compiled for these products.
            Interaction::Vread
            | Interaction::History
            | Interaction::Merge
            | Interaction::TransactionResponse => Err(Refused::NotFound.into()),
        }
    }

    async fn read(&self) -> Result<Response<Body>, GatewayError> {
        let key = self.key()?;
        let mut gathering = self.nothing();
        gathering.want(key.clone());
        self.server.gather(&mut gathering, |gathering| gathering.climb(&key)).await?;
        let seen = self.judged(gathering).await?.part(&key).ok_or(Refused::NotFound)?;
        let mut disclosed = Disclosure::default();
        disclosed.name(&key.id);
        add(&mut disclosed, &seen);
        self.respond(&seen.resource, disclosed)
    }

    async fn everything(&self) -> Result<Response<Body>, GatewayError> {
        let key = self.key()?;
        let mut gathering = self.nothing();
        gathering.want(key.clone());
        let Sheet { resources, hidden } =
            self.judged(gathering).await?.sheet(&key.id).ok_or(Refused::NotFound)?;
        let mut disclosed = Disclosure { hidden: count(hidden), ..Disclosure::default() };
        disclosed.name(&key.id);
        for seen in &resources {
            add(&mut disclosed, seen);
        }
        let links = vec![self.link("self", self.parts.uri.query())];
        self.respond(&self.bundle(Some(resources.len()), links, &resources), disclosed)
    }

    async fn search(&self) -> Result<Response<Body>, GatewayError> {
        let cursor = admissible::cursor(self.permit)?;
        let caller = self.permit.caller();
        let start = match cursor {
            Some(cursor) => {
                self.cursors.open(cursor, caller, self.server.product, self.now).map_err(Refused::from)?
            }
            None => first(admissible::search(&self.server.foreign.matrix, &self.viewer, self.permit)?),
        };
        let found = self.find(start).await?;
        let mut links = vec![self.link("self", self.asked().as_deref())];
        if let Some(place) = &found.next {
            let cursor = self.cursors.seal(place, caller, self.server.product, self.now);
            let cursor = cursor.ok_or_else(|| self.server.unfilterable(Unfilterable::LongLink))?;
            links.push(self.link("next", Some(&format!("_cursor={cursor}"))));
        }
        // No total: the server's counts hidden products, too.
        self.respond(&self.bundle(None, links, &found.roots), found.disclosed)
    }

    /// Reads the server's pages until ours is full and it is known whether anything visible follows: a link to a page
    /// without entries would tell of hidden ones.
    async fn find(&self, start: Place) -> Result<Found, GatewayError> {
        let mut found = Found::default();
        let mut place = start;
        for _ in 0..MAX_PAGES {
            let page = self.server.page(&place.target, PRODUCT.as_str()).await?;
            let following = self.server.next(&page)?.map(str::to_owned);
            let mut at = place.skip;
            while at < page.matches.len() {
                if at > place.skip && self.server.is_half_spent() {
                    (place.skip, found.next) = (at, Some(place.clone()));
                    return Ok(found);
                }
                // A server may send more than it was asked for.
                let due = &page.matches[at..page.matches.len().min(at + place.count + 1)];
                let judge = self.judged(self.beginning(due)).await?;
                for (id, _) in due {
                    let Some(root) = root_for(&judge, id, &place) else {
                        found.disclosed.hidden += 1;
                        at += 1;
                        continue;
                    };
                    if found.roots.len() == place.count {
                        place.skip = at;
                        found.next = Some(place);
                        return Ok(found);
                    }
                    found.disclosed.name(&root.key.id);
                    add(&mut found.disclosed, &root);
                    found.roots.push(root);
                    at += 1;
                }
            }
            match following {
                None => return Ok(found),
                Some(target) => (place.target, place.skip) = (target, 0),
            }
            if self.server.is_half_spent() {
                break;
            }
        }
        found.next = Some(place);
        Ok(found)
    }

    /// Gathers the whole of the products, and of those that they mention: whether the caller may know of these decides
    /// about the references.
    async fn judged(&self, mut gathering: Gathering) -> Result<Judge<'_>, GatewayError> {
        self.server.gather(&mut gathering, Gathering::questions).await?;
        gathering.want_mentioned();
        self.server.gather(&mut gathering, Gathering::questions).await?;
        let products = gathering.products();
        // Owners matter to who is of an organisation.
        let register = match self.viewer.organisation {
            Some(_) => Register::ask(&self.server, &products).await?,
            None => Register::default(),
        };
        Ok(Judge::new(&self.server.foreign.matrix, &self.viewer, products, &register))
    }

    /// What a page brought along.
    fn beginning(&self, matches: &[(String, Value)]) -> Gathering {
        let mut gathering = self.nothing();
        for (_, resource) in matches {
            let mut resource = resource.clone();
            self.server.foreign.localise(&mut resource);
            gathering.add(resource);
        }
        gathering
    }

    fn nothing(&self) -> Gathering {
        Gathering::new(self.server.foreign.types.iter().copied())
    }

    /// The resource that the path names.
    fn key(&self) -> Result<ResourceKey, Refused> {
        let request = self.permit.request();
        let resource_type = request.operation.resource_type.parse().map_err(|_| Refused::NotFound)?;
        Ok(ResourceKey::new(resource_type, request.id().ok_or(Refused::NotFound)?))
    }

    /// The query of the search, that of a form included.
    fn asked(&self) -> Option<String> {
        let texts = [self.permit.query(), self.permit.form()];
        let texts: Vec<&str> = texts.into_iter().flatten().filter(|text| !text.is_empty()).collect();
        (!texts.is_empty()).then(|| texts.join("&"))
    }

    fn link(&self, relation: &str, query: Option<&str>) -> Value {
        let request = self.permit.request();
        let base = &self.server.product.public_base;
        let path = match request.operation.interaction {
            // A page is read by GET, however the search was sent.
            Interaction::Search => format!("/{}", request.operation.resource_type),
            _ => request.product.rest_of(&request.path).unwrap_or_default().to_owned(),
        };
        let query = query.map_or(String::new(), |query| format!("?{query}"));
        json!({"relation": relation, "url": format!("{base}{path}{query}")})
    }

    fn bundle(&self, total: Option<usize>, links: Vec<Value>, resources: &[Seen]) -> Value {
        let base = &self.server.product.public_base;
        let entry = |seen: &Seen| {
            json!({"fullUrl": format!("{base}/{}", seen.key), "resource": seen.resource,
                "search": {"mode": "match"}})
        };
        let mut bundle = json!({"resourceType": "Bundle", "type": "searchset"});
        if let Some(total) = total {
            bundle["total"] = total.into();
        }
        bundle["link"] = links.into();
        if !resources.is_empty() {
            bundle["entry"] = resources.iter().map(entry).collect();
        }
        bundle
    }

    fn respond(&self, resource: &Value, disclosed: Disclosure) -> Result<Response<Body>, GatewayError> {
        let mut parameters = self.permit.request().parameters.iter();
        let pretty = parameters.any(|given| given.name == "_pretty" && given.value == "true");
        render::respond(resource, self.parts, pretty, disclosed)
    }
}

/// The product itself, where it is visible and what was asked for is found in what is shown of it.
fn root_for(judge: &Judge<'_>, id: &str, place: &Place) -> Option<Seen> {
    let sheet = judge.sheet(id)?;
    if !place.checks.is_empty() {
        let shown = sheet.product();
        if !place.checks.iter().all(|check| check.holds(&shown)) {
            return None;
        }
    }
    sheet.resources.into_iter().next()
}

/// The beginning of a search.
fn first(search: Search) -> Place {
    let Search { query, count, checks } = search;
    let joint = if query.is_empty() { "" } else { "&" };
    // One more than a page holds: where nothing is hidden, one question tells whether another page follows.
    let asked = count + 1;
    Place { target: format!("/{PRODUCT}?{query}{joint}_count={asked}"), skip: 0, count, checks }
}
