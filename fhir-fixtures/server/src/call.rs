//! One request that carries a valid caller context: who asks, for what, how.

use axum::body::Body;
use bytes::Bytes;
use caller_context::CallerContext;
use config::{ApiProduct, Operation};
use fhir_model::access::{Targets, Viewer};
use fhir_store::Audience;
use http::{HeaderMap, Method, Uri, header, request::Parts};
use http_service::conditional;

use crate::{
    answer::{Format, Look},
    bundle::Base,
    cursor::{Binding, Place},
    outcome::Refusal,
    parameters::{self, MAX_TARGET, Parameters},
    state::State,
    views::Angle,
};

/// The longest form that is read, in bytes: ten parameters with their alternatives fit in many times over.
pub(crate) const MAX_FORM: usize = 64 * 1024;

/// The last segment of the path of a search by form.
const FORM_SEGMENT: &str = "/_search";

/// Parameters that say how a page is written, not what is on it: they stand in links as they are, and whoever follows
/// one may change them.
const FREE: [&str; 3] = ["_count", "_format", "_pretty"];

/// A request about to be answered.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    pub(crate) state: &'a State,
    pub(crate) product: &'a ApiProduct,
    pub(crate) operation: &'a Operation,
    pub(crate) client_id: String,
    pub(crate) audience: Audience,
    pub(crate) base: Base,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) parameters: Parameters,
    pub(crate) look: Look,
}

/// The caller context of a request, if it is valid for exactly this request.
pub(crate) fn context(
    state: &State,
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<CallerContext, Refusal> {
    let mut given = headers.get_all(caller_context::HEADER).iter();
    let (Some(header), None) = (given.next(), given.next()) else { return Err(Refusal::NoContext) };
    let header = header.to_str().map_err(|_| Refusal::NoContext)?;
    let target = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    caller_context::verify(header, &state.context_key, method.as_str(), target, state.clock.now())
        .map_err(|_| Refusal::NoContext)
}

impl<'a> Call<'a> {
    /// Reads a request whose context was found valid; `form` is the body of a search by form.
    pub(crate) fn read(
        state: &'a State,
        product: &'a ApiProduct,
        operation: &'a Operation,
        context: &CallerContext,
        head: Parts,
        form: &Bytes,
    ) -> Result<Self, Refusal> {
        if context.product != product.id || context.fhir_version != product.fhir_version {
            return Err(Refusal::NoContext);
        }
        let mut headers = head.headers;
        if operation.form {
            // A search by POST selects no representation that a condition could be about (RFC 9110 §13.2.1).
            for name in &conditional::CONDITIONS {
                headers.remove(name);
            }
        }
        let query = head.uri.query().unwrap_or_default();
        if head.uri.path().len() + 1 + query.len() > MAX_TARGET {
            return Err(Refusal::TooMuch("The URL is longer than 2048 characters."));
        }
        let viewer = Viewer {
            stakeholder: context.stakeholder,
            qualified: context.qualified,
            domains: context.domains,
            organisation: context.organisation.clone(),
        };
        let mut call = Self {
            state,
            product,
            operation,
            client_id: context.client_id.clone(),
            audience: Audience::new(viewer),
            base: Base::of(&head.uri, &headers, &product.base_path),
            uri: head.uri,
            headers,
            parameters: Parameters::default(),
            look: Look { format: Format::Json, pretty: false, version: product.fhir_version },
        };
        let mut given = parameters::pairs(call.uri.query().unwrap_or_default().as_bytes());
        given.extend(parameters::pairs(form));
        let cursor = given.iter().find(|(name, _)| name == "_cursor").map(|(_, cursor)| cursor);
        if let Some(cursor) = cursor
            && let Some(query) = state.cursor_key.carried_query(cursor, &call.binding().caller)?
        {
            given.splice(..0, parameters::pairs(query.as_bytes()));
        }
        call.parameters = Parameters::read(given, &call.headers, operation, context.stakeholder)?;
        call.look = call.parameters.look(&call.headers, product.fhir_version)?;
        Ok(call)
    }

    /// The path below the product's base path.
    pub(crate) fn path(&self) -> &str {
        let path = self.uri.path();
        path.strip_prefix(self.product.base_path.as_str()).unwrap_or(path)
    }

    /// What stands in the request's path where the operation's template has `{name}`.
    pub(crate) fn segment(&self, name: &str) -> &str {
        let at = self.operation.path.split('/').position(|segment| {
            segment.strip_prefix('{').and_then(|segment| segment.strip_suffix('}')) == Some(name)
        });
        at.and_then(|at| self.path().split('/').nth(at)).unwrap_or_default()
    }

    /// From where the caller looks at the product named by the path. An unknown product and a hidden one end here
    /// alike.
    pub(crate) async fn visible(&self) -> Result<Angle, Refusal> {
        let id = self.segment("id");
        if self.operation.resource_type != "MedicinalProductDefinition"
            || !fhir_model::schema::is_valid_id(id)
        {
            return Err(Refusal::NotFound);
        }
        self.angle(id).await
    }

    /// From where the caller looks at a product.
    pub(crate) async fn angle(&self, product_id: &str) -> Result<Angle, Refusal> {
        let head = self.state.heads.find(product_id).await?.ok_or(Refusal::NotFound)?;
        let column = head.seen_by(&self.audience).ok_or(Refusal::NotFound)?;
        let targets = self.known(head.mentions.iter().map(String::as_str)).await?;
        Ok(Angle { head, column, targets })
    }

    /// Those of the products `ids` that the caller may know of.
    pub(crate) async fn known<'i>(&self, ids: impl IntoIterator<Item = &'i str>) -> Result<Targets, Refusal> {
        Ok(self.state.heads.known_to(&self.audience, ids).await?)
    }

    /// What a page link is sealed with: the caller's class, the API and the query. Whoever sees the same through the
    /// same API may follow the link; nobody else.
    pub(crate) fn binding(&self) -> Binding {
        let viewer = self.audience.viewer();
        let caller = format!(
            "{}\n{}\n{}\n{}\n{}{}\n{}",
            self.product.id,
            viewer.stakeholder,
            viewer.organisation.as_ref().map_or("", |own| own.as_str()),
            viewer.qualified,
            u8::from(viewer.domains.human),
            u8::from(viewer.domains.veterinary),
            self.link_path(),
        );
        let but: Vec<&str> = FREE.into_iter().chain(["_cursor"]).collect();
        Binding { caller, query: self.parameters.query_without(&but) }
    }

    /// What the total of a search hangs on: the caller's class, the API and the conditions.
    pub(crate) fn counted(&self) -> String {
        format!("{}\n{}", self.binding().caller, self.parameters.conditions())
    }

    /// Whether the answer hangs on the time at which it is given: what a date with the prefix `ap` stands for does.
    pub(crate) fn hangs_on_time(&self) -> bool {
        self.parameters.one("_lastUpdated").is_some()
    }

    /// The path that links lead to: of a search by form, the search itself.
    fn link_path(&self) -> &str {
        let path = self.path();
        if self.operation.form { path.strip_suffix(FORM_SEGMENT).unwrap_or(path) } else { path }
    }

    /// The links of a page: self, first and, if there is more, next. A search whose query is too long for a link
    /// (it came as a form) has it packed into the link's cursor.
    pub(crate) fn links(&self, next: Option<&Place>) -> Result<Vec<(&'static str, String)>, Refusal> {
        let path = self.link_path();
        let fits = |query: &str| self.product.base_path.len() + path.len() + 1 + query.len() <= MAX_TARGET;
        let joined = |query: String, cursor: String| {
            let mark = if query.is_empty() { "" } else { "&" };
            format!("{query}{mark}_cursor={cursor}")
        };
        let free = self.parameters.query_of(&FREE);
        let packed = |place: &Place| {
            let cursor = self.state.cursor_key.seal_with_query(place, &self.binding());
            Some(joined(free.clone(), cursor)).filter(|query| fits(query))
        };
        let whole = self.parameters.query_without(&[]);
        let first = self.parameters.query_without(&["_cursor"]);
        let is_first = self.parameters.one("_cursor").is_none();
        let first_link =
            Some(first.clone()).filter(|query| fits(query)).or_else(|| packed(&Place::default()));
        // What was searched for is told in any case, even if nobody can follow such a link.
        let own = match &first_link {
            Some(link) if is_first => link.clone(),
            _ if fits(&whole) => whole,
            _ => self
                .parameters
                .one("_cursor")
                .map_or(whole.clone(), |cursor| joined(free.clone(), cursor.to_owned())),
        };
        let mut links = vec![("self", self.base.link(path, &own))];
        links.extend(first_link.map(|query| ("first", self.base.link(path, &query))));
        if let Some(place) = next {
            let beside = joined(first, self.state.cursor_key.seal(place, &self.binding()));
            let query = Some(beside).filter(|query| fits(query)).or_else(|| packed(place)).ok_or(Refusal::TooMuch(
                "This search has more than one page, and is too long to be carried in the link to the next one: ask \
                 for larger pages (_count), or for less at a time.",
            ))?;
            links.push(("next", self.base.link(path, &query)));
        }
        Ok(links)
    }
}

/// The form in the body of a search by form.
pub(crate) async fn form(headers: &HeaderMap, body: Body) -> Result<Bytes, Refusal> {
    let form = axum::body::to_bytes(body, MAX_FORM).await.map_err(|_| Refusal::TooLong(MAX_FORM))?;
    let media = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media = media.split(';').next().unwrap_or_default().trim();
    // A search without any parameter needs no form.
    if !form.is_empty() && !media.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Err(Refusal::NotAForm);
    }
    Ok(form)
}
