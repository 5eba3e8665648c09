//! A backend in process, and callers whose requests are signed as a gateway would sign them.

use std::sync::Arc;

use axum::body::Body;
use caller_context::{CallerContext, ContextKey};
use config::ApiProducts;
use database::{Database, testing::TestDatabase};
use fhir_model::access::{AccessMatrix, DEFAULT_MATRIX, Targets, Viewer};
use fhir_server::{Backend, CursorKey, Parts};
use fhir_store::{Audience, StoredProduct};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use http_service::Clock;
use pms_terms::{Domains, Stakeholder};
use serde_json::Value;
use time::{OffsetDateTime, macros::datetime};
use tower::ServiceExt as _;
use zeroize::Zeroizing;

pub(crate) const NOW: OffsetDateTime = datetime!(2026-03-01 12:00 UTC);
pub(crate) const HOST: &str = "127.0.0.1:8081";
pub(crate) const V3: &str = "/pms/api/v3";
pub(crate) const V5: &str = "/pms/api/v5-alpha";
pub(crate) const PUBLIC: &str = "/public/v1";
pub(crate) const OWNER: &str = "ORG-100000001";

pub(crate) struct House {
    _database: TestDatabase,
    pub(crate) backend: Backend,
    pub(crate) clock: Clock,
    pub(crate) key: ContextKey,
    database: Database,
    pub(crate) matrix: Arc<AccessMatrix>,
    pub(crate) products: ApiProducts,
}

/// A caller without what hangs on the request.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) label: &'static str,
    pub(crate) stakeholder: Stakeholder,
    pub(crate) qualified: bool,
    pub(crate) domains: Domains,
    pub(crate) organisation: Option<&'static str>,
}

impl Caller {
    pub(crate) const PUBLIC: Self = Self::new("public", Stakeholder::Public, None);
    pub(crate) const OWNER: Self = Self::new("owner", Stakeholder::Industry, Some(OWNER));
    pub(crate) const QUALIFIED: Self =
        Self { qualified: true, ..Self::new("qualified", Stakeholder::Industry, Some(OWNER)) };
    pub(crate) const STRANGER: Self = Self::new("stranger", Stakeholder::Industry, Some("ORG-100000099"));
    pub(crate) const AUTHORITY: Self =
        Self { domains: Domains::BOTH, ..Self::new("authority", Stakeholder::Nca, Some("ORG-100000101")) };
    pub(crate) const HUMAN_AUTHORITY: Self =
        Self { domains: Domains::HUMAN, label: "human authority", ..Self::AUTHORITY };
    pub(crate) const VETERINARY_AUTHORITY: Self =
        Self { domains: Domains::VETERINARY, label: "veterinary authority", ..Self::AUTHORITY };
    pub(crate) const AGENCY: Self =
        Self { domains: Domains::BOTH, ..Self::new("agency", Stakeholder::Ema, Some("ORG-100000200")) };
    pub(crate) const ALL: [Self; 8] = [
        Self::PUBLIC,
        Self::OWNER,
        Self::QUALIFIED,
        Self::STRANGER,
        Self::AUTHORITY,
        Self::HUMAN_AUTHORITY,
        Self::VETERINARY_AUTHORITY,
        Self::AGENCY,
    ];

    const fn new(label: &'static str, stakeholder: Stakeholder, organisation: Option<&'static str>) -> Self {
        Self { label, stakeholder, qualified: false, domains: Domains::NONE, organisation }
    }

    /// The caller as the access matrix knows it.
    pub(crate) fn viewer(&self) -> Viewer {
        Viewer {
            stakeholder: self.stakeholder,
            qualified: self.qualified,
            domains: self.domains,
            organisation: self.organisation.map(|id| id.parse().unwrap()),
        }
    }

    /// The API that such a caller reads searches from.
    pub(crate) fn base(&self) -> &'static str {
        if self.stakeholder == Stakeholder::Public { PUBLIC } else { V3 }
    }
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn entries(&self) -> Vec<Value> {
        assert_eq!(self.status, StatusCode::OK, "{}", self.text);
        let bundle = self.json();
        assert_eq!(bundle["resourceType"], "Bundle");
        bundle["entry"].as_array().cloned().unwrap_or_default()
    }

    pub(crate) fn ids(&self) -> Vec<String> {
        self.entries().iter().map(|entry| entry["resource"]["id"].as_str().unwrap().to_owned()).collect()
    }

    pub(crate) fn link(&self, relation: &str) -> Option<String> {
        let bundle = self.json();
        let links = bundle["link"].as_array()?;
        let link = links.iter().find(|link| link["relation"] == relation)?;
        Some(link["url"].as_str().unwrap().strip_prefix(&format!("http://{HOST}")).unwrap().to_owned())
    }
}

impl House {
    /// An empty backend whose memory is trusted only after [`House::follow`].
    pub(crate) async fn empty() -> Self {
        let td = TestDatabase::sqlite().await;
        let database = td.database().clone();
        fhir_store::migrate(&database, NOW).await.unwrap();
        let matrix = Arc::new(AccessMatrix::parse(DEFAULT_MATRIX, "config/access-levels.toml").unwrap());
        fhir_store::ensure_current(&database, &matrix).await.unwrap();
        let (clock, key) = (Clock::manual(NOW), ContextKey::new(&Zeroizing::new([5; 32])));
        let products = products();
        let backend = fhir_server::build(Parts {
            settings: config::Backend::default(),
            products: products.clone(),
            database: database.clone(),
            matrix: Arc::clone(&matrix),
            context_key: key.clone(),
            cursor_key: CursorKey::new(&[6; 32]),
            clock: clock.clone(),
            sandbox: true,
        });
        Self { _database: td, backend, clock, key, database, matrix, products }
    }

    /// A backend with the demo catalogue.
    pub(crate) async fn demo() -> Self {
        let house = Self::empty().await;
        house.import(fhir_model::demo::bundles()).await;
        house
    }

    pub(crate) fn database(&self) -> &Database {
        &self.database
    }

    pub(crate) async fn import(&self, bundles: Vec<Value>) {
        let now = self.clock.now();
        let report =
            fhir_store::import::documents(self.database(), &self.matrix, "memory", bundles, &move || now)
                .await
                .unwrap();
        let refused: Vec<String> =
            report.refused.iter().map(|one| format!("{}: {}", one.resource, one.reason)).collect();
        assert!(refused.is_empty(), "{}", refused.join("\n"));
    }

    /// Those of the products that a product mentions that `viewer` may know of.
    pub(crate) async fn known_to(&self, viewer: &Viewer, product: &StoredProduct) -> Targets {
        let mentions: Vec<&str> = product.head.mentions.iter().map(String::as_str).collect();
        let audience = Audience::new(viewer.clone());
        fhir_store::known_to(self.database(), &audience, &mentions).await.unwrap()
    }

    pub(crate) async fn follow(&self) {
        self.backend.change_feed.follow_once().await.unwrap();
    }

    pub(crate) fn context(&self, caller: &Caller, target: &str) -> CallerContext {
        let product =
            self.products.iter().find(|product| target.starts_with(&format!("{}/", product.base_path)));
        let product = product.unwrap_or_else(|| self.products.iter().next().unwrap());
        CallerContext {
            client_id: "client".to_owned(),
            organisation: caller.organisation.map(|id| id.parse().unwrap()),
            stakeholder: caller.stakeholder,
            qualified: caller.qualified,
            domains: caller.domains,
            product: product.id.clone(),
            fhir_version: product.fhir_version,
            request_id: "r-1".to_owned(),
        }
    }

    pub(crate) async fn get(&self, caller: &Caller, target: &str) -> Answer {
        self.get_with(caller, target, &[]).await
    }

    pub(crate) async fn get_with(
        &self,
        caller: &Caller,
        target: &str,
        headers: &[(&'static str, &str)],
    ) -> Answer {
        self.ask(caller, &Method::GET, target, headers).await
    }

    pub(crate) async fn ask(
        &self,
        caller: &Caller,
        method: &Method,
        target: &str,
        headers: &[(&'static str, &str)],
    ) -> Answer {
        let context = self.context(caller, target);
        let signed =
            caller_context::sign(&context, &self.key, method.as_str(), target, self.clock.now()).unwrap();
        let mut all = vec![(caller_context::HEADER, signed.as_str())];
        all.extend_from_slice(headers);
        self.send(method, target, &all).await
    }

    /// Posts a form.
    pub(crate) async fn form(&self, caller: &Caller, target: &str, form: &str) -> Answer {
        self.form_with(caller, target, form, &[("content-type", "application/x-www-form-urlencoded")]).await
    }

    pub(crate) async fn form_with(
        &self,
        caller: &Caller,
        target: &str,
        form: &str,
        headers: &[(&'static str, &str)],
    ) -> Answer {
        let context = self.context(caller, target);
        let signed = caller_context::sign(&context, &self.key, "POST", target, self.clock.now()).unwrap();
        let mut all = vec![(caller_context::HEADER, signed.as_str())];
        all.extend_from_slice(headers);
        self.send_with(&Method::POST, target, &all, form).await
    }

    /// Sends exactly this, signed or not.
    pub(crate) async fn send(
        &self,
        method: &Method,
        target: &str,
        headers: &[(&'static str, &str)],
    ) -> Answer {
        self.send_with(method, target, headers, "").await
    }

    async fn send_with(
        &self,
        method: &Method,
        target: &str,
        headers: &[(&'static str, &str)],
        body: &str,
    ) -> Answer {
        let body = Body::from(body.to_owned());
        let mut request =
            Request::builder().method(method).uri(target).header("host", HOST).body(body).unwrap();
        for (name, value) in headers {
            request
                .headers_mut()
                .append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        }
        let response = self.backend.router.clone().oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        Answer {
            status: head.status,
            headers: head.headers,
            text: String::from_utf8(bytes.to_vec()).unwrap(),
        }
    }

    /// All ids of a search, page by page, each page no longer than asked; the total of every page is the same.
    pub(crate) async fn all_ids(&self, caller: &Caller, query: &str, count: usize) -> Vec<String> {
        let mark = if query.is_empty() { "" } else { "&" };
        let mut target =
            Some(format!("{}/MedicinalProductDefinition?{query}{mark}_count={count}", caller.base()));
        let mut ids = Vec::new();
        let mut totals = Vec::new();
        while let Some(page) = target {
            let answer = self.get(caller, &page).await;
            let here = answer.ids();
            assert!(here.len() <= count);
            ids.extend(here);
            totals.push(answer.json()["total"].as_u64().unwrap());
            target = answer.link("next");
        }
        assert!(
            totals.iter().all(|total| usize::try_from(*total).unwrap() == ids.len()),
            "{totals:?} {}",
            ids.len()
        );
        ids
    }
}

/// The products as the program reads them.
pub(crate) fn products() -> ApiProducts {
    config::DataFiles::load(&config::Data::default()).unwrap().products
}
