//! The property of the response cache: whoever asks whatever whenever gets, byte for byte, what it would get without.
//!
//! The stub upstream answers with everything that an answer may hang on: the caller's class, product, version, path,
//! parameters, representation, policy, data. Two entries that should be one cost an answer; one that should be two is
//! seen as another caller's data.

use std::collections::BTreeMap;

use axum::response::Response;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use pms_terms::{Domains, Stakeholder};
use proptest::{
    prelude::*,
    sample::{Index, select},
    test_runner::{Config, TestRunner},
};
use serde_json::json;

use crate::{
    house::{Answer, House, Received, eventually, fhir},
    response_cache::keeping,
};

/// Headers in which two answers may differ: ids and times of the exchange, what is left of the limits, what the cache
/// says of itself, and framing.
const NAMED: [&str; 7] =
    ["x-request-id", "date", "ratelimit", "age", "cache-status", "content-length", "transfer-encoding"];

/// What is kept, and asked again and again, to see whether the gateway has heard of a change.
const PROBE: &str = "/pms/api/v3/MedicinalProductDefinition/probe";

#[derive(Clone, Debug)]
enum Step {
    Ask {
        caller: Index,
        target: &'static str,
        representation: Index,
        condition: Index,
    },
    /// Through the gateway that keeps answers.
    Merge,
    /// By somebody else.
    Import,
    /// The access policy changes: the backend starts again.
    Policy,
}

/// Targets of one family differ in one thing: where they lead, what they ask for, what of it is ignored.
const TARGETS: [&[&str]; 3] = [
    &[
        "/pms/api/v3/MedicinalProductDefinition/1",
        "/pms/api/v3/MedicinalProductDefinition/%31",
        "/pms/api/v3/MedicinalProductDefinition/2",
        "/pms/api/v3/MedicinalProductDefinition/hidden",
        "/pms/api/v3/MedicinalProductDefinition/1/$everything",
        "/pms/api/v3/MedicinalProductDefinition/1/_history",
        "/pms/api/v3/MedicinalProductDefinition/1/_history/1",
    ],
    &[
        "/pms/api/v3/MedicinalProductDefinition",
        "/pms/api/v3/MedicinalProductDefinition?name=a&status=b",
        "/pms/api/v3/MedicinalProductDefinition?status=b&name=a",
        "/pms/api/v3/MedicinalProductDefinition?name=%61&status=b",
        "/pms/api/v3/MedicinalProductDefinition?name=a&name=b",
        "POST /pms/api/v3/MedicinalProductDefinition/_search",
    ],
    &[
        "/pms/api/v3/MedicinalProductDefinition?name=a",
        "/pms/api/v3/MedicinalProductDefinition?name=a&colour=b",
        "/pms/api/v3/MedicinalProductDefinition?name=a&shape=b",
    ],
];

const REPRESENTATIONS: [(&str, &str); 6] = [
    ("accept", "application/fhir+json"),
    ("accept", "application/fhir+xml"),
    ("accept-language", "de"),
    ("prefer", "handling=lenient"),
    ("prefer", "return=minimal"),
    ("user-agent", "another"),
];

const CONDITIONS: [Option<(&str, &str)>; 7] = [
    None,
    None,
    None,
    Some(("if-none-match", "*")),
    Some(("if-none-match", "\"1\"")),
    Some(("if-match", "\"1\"")),
    Some(("cache-control", "no-cache")),
];

/// Every two of them differ in one part of their class, and each class has two clients.
fn tokens(house: &House) -> Vec<String> {
    let (owner, other) = ("ORG-100000001", "ORG-100000002");
    let classes = [
        (Stakeholder::Industry, Some(owner), false, Domains::NONE),
        (Stakeholder::Industry, Some(owner), true, Domains::NONE),
        (Stakeholder::Industry, Some(other), false, Domains::NONE),
        (Stakeholder::Industry, None, false, Domains::NONE),
        (Stakeholder::Nca, Some(owner), false, Domains::NONE),
        (Stakeholder::Nca, Some(owner), false, Domains::HUMAN),
        (Stakeholder::Nca, Some(owner), false, Domains::VETERINARY),
        (Stakeholder::Ema, Some(owner), false, Domains::HUMAN),
    ];
    let clients =
        classes.iter().enumerate().flat_map(|(class, facts)| [(class, 0, facts), (class, 1, facts)]);
    clients
        .map(|(class, client, (stakeholder, organisation, qualified, domains))| {
            house.token_with(|claims| {
                claims.client_id = format!("client-{class}-{client}");
                claims.jti = format!("token-{class}-{client}");
                claims.stakeholder = *stakeholder;
                claims.org_id = organisation.map(|id| id.parse().unwrap());
                claims.qualified = *qualified;
                claims.domains = *domains;
            })
        })
        .collect()
}

/// Everything that an answer may hang on.
fn everything(received: &Received, policy: u64, change: i64) -> Response {
    let context = &received.context;
    let said = |name: &str| {
        let values = received.headers.get_all(name).iter().map(|value| value.to_str().unwrap());
        values.collect::<Vec<_>>().join(", ")
    };
    let path = received.uri.path();
    if path.ends_with("/hidden") && context.stakeholder == Stakeholder::Industry {
        return fhir(StatusCode::NOT_FOUND, json!({"resourceType": "OperationOutcome"}).to_string());
    }
    let decoded = |text: &str| text.replace("%61", "a");
    let body = json!({
        "class": [
            json!(context.stakeholder), json!(context.organisation), json!(context.qualified), json!(context.domains),
        ],
        "product": context.product,
        "fhirVersion": context.fhir_version,
        "method": received.method == Method::POST,
        "path": path,
        "query": decoded(received.uri.query().unwrap_or_default()),
        "form": String::from_utf8_lossy(&received.body),
        "representation": [said("accept"), said("accept-language"), said("prefer")],
        "ignored": said(caller_context::IGNORED_HEADER),
        "policy": policy,
        "change": change,
    })
    .to_string();
    let tag =
        format!("W/\"1.{}\"", body.bytes().fold(7_u64, |sum, byte| sum.wrapping_mul(31) + u64::from(byte)));
    let mut answer = fhir(StatusCode::OK, body);
    answer.headers_mut().insert(header::ETAG, HeaderValue::try_from(tag.clone()).unwrap());
    // The same judgement as the backend's.
    let validators = http_service::conditional::Validators { tag: &tag, changed: None };
    let headers: HeaderMap =
        if received.method == Method::POST { HeaderMap::new() } else { received.headers.clone() };
    match validators.judge(&headers) {
        http_service::conditional::Judgement::Answer => {}
        http_service::conditional::Judgement::NotModified => {
            *answer.status_mut() = StatusCode::NOT_MODIFIED;
            answer.headers_mut().remove(header::CONTENT_TYPE);
            *answer.body_mut() = axum::body::Body::empty();
        }
        http_service::conditional::Judgement::Failed => {
            return fhir(
                StatusCode::PRECONDITION_FAILED,
                json!({"resourceType": "OperationOutcome"}).to_string(),
            );
        }
    }
    answer
}

struct Pair {
    plain: House,
    keeping: House,
    tokens: Vec<String>,
}

impl Pair {
    async fn start() -> Self {
        let plain = House::start().await;
        let upstream = std::sync::Arc::downgrade(&plain.upstream);
        plain.upstream.answer(move |received| {
            let data = &upstream.upgrade().unwrap().data;
            if received.uri.path().ends_with("$merge") {
                data.change();
                return fhir(StatusCode::OK, "{}");
            }
            everything(received, data.state().instance, data.state().change)
        });
        plain.upstream.data.begin();
        let keeping = plain.another(keeping).await;
        let tokens = tokens(&plain);
        Self { plain, keeping, tokens }
    }

    async fn take(&self, step: &Step) -> Result<bool, TestCaseError> {
        let data = &self.plain.upstream.data;
        match step {
            Step::Ask { caller, target, representation, condition } => {
                let token = caller.get(&self.tokens);
                let ask = async |house: &House| {
                    let request = match target.strip_prefix("POST ") {
                        Some(path) => house
                            .client
                            .post(house.url(path))
                            .header("content-type", "application/x-www-form-urlencoded")
                            .body("name=a"),
                        None => house.client.get(house.url(target)),
                    };
                    let (name, value) = *representation.get(&REPRESENTATIONS);
                    let mut request = request.bearer_auth(token).header(name, value);
                    if let Some((name, value)) = *condition.get(&CONDITIONS) {
                        request = request.header(name, value);
                    }
                    Answer::of(request.send().await.unwrap()).await
                };
                let (with, without) = (ask(&self.keeping).await, ask(&self.plain).await);
                prop_assert_eq!(comparable(&with), comparable(&without));
                return Ok(with.header("cache-status").contains("hit"));
            }
            Step::Merge => {
                let url = self.keeping.url("/pms/api/v5-alpha/MedicinalProductDefinition/$merge");
                let merge = self.keeping.client.post(url).bearer_auth(&self.tokens[1]).body("{}");
                prop_assert_eq!(merge.send().await.unwrap().status(), StatusCode::OK);
            }
            Step::Import => {
                self.probe().await;
                data.change();
                self.is_heard().await;
            }
            Step::Policy => {
                self.probe().await;
                data.restart(data.state().change);
                self.is_heard().await;
            }
        }
        Ok(false)
    }

    async fn probe(&self) -> Answer {
        self.keeping.ask(PROBE, &self.tokens[0]).await
    }

    async fn is_heard(&self) {
        eventually("the gateway hears of it", || async {
            let state = self.plain.upstream.data.state();
            let shown = self.probe().await.json();
            shown["policy"] == state.instance && shown["change"] == state.change
        })
        .await;
    }
}

/// All of an answer but for the named headers.
fn comparable(answer: &Answer) -> (StatusCode, BTreeMap<String, String>, String) {
    let headers = answer.headers.iter().filter(|(name, _)| !NAMED.contains(&name.as_str()));
    let headers = headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
    let id = answer.header("x-request-id");
    (answer.status, headers.collect(), answer.text.replace(id, "REQUEST-ID"))
}

/// Few questions that are alike, so that many are asked twice, by whomsoever.
fn steps() -> impl Strategy<Value = Vec<Step>> {
    let three = prop::collection::vec(any::<Index>(), 3);
    (select(&TARGETS[..]), three.clone(), three).prop_flat_map(|(family, targets, representations)| {
        let targets: Vec<&str> = targets.iter().map(|target| *target.get(family)).collect();
        let ask = (any::<Index>(), select(targets), select(representations), any::<Index>()).prop_map(
            |(caller, target, representation, condition)| Step::Ask {
                caller,
                target,
                representation,
                condition,
            },
        );
        let step = prop_oneof![40 => ask, 1 => select(vec![Step::Merge, Step::Import, Step::Policy])];
        prop::collection::vec(step, 80)
    })
}

#[test]
fn with_the_cache_everybody_is_answered_as_without() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let pair = runtime.block_on(Pair::start());
    let hits = std::cell::Cell::new(0_usize);
    let mut runner = TestRunner::new(Config {
        cases: 24,
        max_shrink_iters: 64,
        failure_persistence: None,
        ..Config::default()
    });
    let outcome = runner.run(&steps(), |steps| {
        for step in &steps {
            hits.set(hits.get() + usize::from(runtime.block_on(pair.take(step))?));
        }
        Ok(())
    });
    outcome.unwrap();
    assert!(hits.get() > 100, "{} answers came from the cache", hits.get());
}
