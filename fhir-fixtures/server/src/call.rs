//! One request that carries a valid caller context: who asks, for what, how.

use std::sync::Arc;

use axum::extract::Request;
use caller_context::CallerContext;
use config::{ApiProduct, Operation};
use fhir_model::access::{Column, Viewer};
use fhir_store::{Audience, ProductHead};
use http::{HeaderMap, Method, Uri};

use crate::{bundle::Base, outcome::Refusal, parameters::Parameters, state::State};

/// A request about to be answered.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    pub(crate) state: &'a State,
    pub(crate) product: &'a ApiProduct,
    pub(crate) operation: &'a Operation,
    pub(crate) audience: Audience,
    pub(crate) base: Base,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) parameters: Parameters,
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
    /// Reads a request whose context was found valid.
    pub(crate) fn read(
        state: &'a State,
        product: &'a ApiProduct,
        operation: &'a Operation,
        context: CallerContext,
        request: Request,
    ) -> Result<Self, Refusal> {
        if context.product != product.id || context.fhir_version != product.fhir_version {
            return Err(Refusal::NoContext);
        }
        let (head, _) = request.into_parts();
        let parameters = Parameters::read(&head.uri, &head.headers, operation, context.stakeholder)?;
        let viewer = Viewer {
            stakeholder: context.stakeholder,
            qualified: context.qualified,
            domains: context.domains,
            organisation: context.organisation,
        };
        Ok(Self {
            state,
            product,
            operation,
            audience: Audience::new(viewer),
            base: Base::of(&head.uri, &head.headers, &product.base_path),
            uri: head.uri,
            headers: head.headers,
            parameters,
        })
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

    /// The product named by the path, and the column by which the caller sees it. An unknown product and a hidden one
    /// end here alike.
    pub(crate) async fn visible(&self) -> Result<(Arc<ProductHead>, Column), Refusal> {
        let id = self.segment("id");
        if self.operation.resource_type != "MedicinalProductDefinition"
            || !fhir_model::schema::is_valid_id(id)
        {
            return Err(Refusal::NotFound);
        }
        let head = self.state.heads.find(id).await?.ok_or(Refusal::NotFound)?;
        let column = head.seen_by(&self.audience).ok_or(Refusal::NotFound)?;
        Ok((head, column))
    }

    /// What a page link is sealed with: the caller's class, the API and the query. Whoever sees the same through the
    /// same API may follow the link; nobody else.
    pub(crate) fn binding(&self) -> Vec<u8> {
        let viewer = self.audience.viewer();
        format!(
            "{}\n{}\n{}\n{}\n{}{}\n{}\n{}",
            self.product.id,
            viewer.stakeholder,
            viewer.organisation.as_ref().map_or("", |own| own.as_str()),
            viewer.qualified,
            u8::from(viewer.domains.human),
            u8::from(viewer.domains.veterinary),
            self.path(),
            self.parameters.query_without(&["_cursor", "_count", "_format", "_pretty"]),
        )
        .into_bytes()
    }

    /// The links of a page: self, first and, if there is more, next.
    pub(crate) fn links(&self, next: Option<String>) -> Vec<(&'static str, String)> {
        let path = self.path();
        let mut links = vec![
            ("self", self.base.link(path, &self.parameters.query_without(&[]))),
            ("first", self.base.link(path, &self.parameters.query_without(&["_cursor"]))),
        ];
        if let Some(cursor) = next {
            let rest = self.parameters.query_without(&["_cursor"]);
            let mark = if rest.is_empty() { "" } else { "&" };
            links.push(("next", self.base.link(path, &format!("{rest}{mark}_cursor={cursor}"))));
        }
        links
    }
}
