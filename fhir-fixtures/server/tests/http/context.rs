//! Nobody is answered without a caller context made for exactly this request.

use http::{Method, StatusCode};
use time::Duration;

use crate::{
    catalogue,
    harness::{Answer, Caller, House, OWNER, PUBLIC, V3},
};

fn is_refused(answer: &Answer) {
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{}", answer.text);
    assert_eq!(answer.json()["issue"][0]["code"], "login");
    assert!(!answer.text.contains("60000"), "{}", answer.text);
    assert_eq!(answer.header("content-type"), "application/fhir+json");
}

#[tokio::test]
async fn a_request_without_a_valid_context_learns_nothing() {
    let house = House::empty().await;
    house.import(vec![catalogue::product("600000000001", "Examplol", OWNER)]).await;
    let target = format!("{V3}/MedicinalProductDefinition/600000000001");
    let header = caller_context::HEADER;
    assert_eq!(house.get(&Caller::OWNER, &target).await.status, StatusCode::OK);

    is_refused(&house.send(&Method::GET, &target, &[]).await);
    is_refused(&house.send(&Method::GET, &target, &[(header, "garbage")]).await);
    is_refused(&house.send(&Method::GET, "/anything", &[]).await);
    is_refused(&house.send(&Method::DELETE, &target, &[]).await);

    let context = house.context(&Caller::OWNER, &target);
    let sign = |method: &str, target: &str| {
        caller_context::sign(&context, &house.key, method, target, house.clock.now()).unwrap()
    };
    let good = sign("GET", &target);
    is_refused(&house.send(&Method::GET, &target, &[(header, &good), (header, &good)]).await);
    is_refused(&house.send(&Method::GET, &format!("{target}?_pretty=true"), &[(header, &good)]).await);
    is_refused(&house.send(&Method::GET, &format!("{target}/$everything"), &[(header, &good)]).await);
    is_refused(&house.send(&Method::GET, &target, &[(header, &sign("POST", &target))]).await);
    // The same path under another product's base: made for v3, sent to public.
    let elsewhere = format!("{PUBLIC}/MedicinalProductDefinition/600000000001");
    is_refused(&house.send(&Method::GET, &elsewhere, &[(header, &sign("GET", &elsewhere))]).await);

    house.clock.advance(Duration::minutes(2));
    is_refused(&house.send(&Method::GET, &target, &[(header, &good)]).await);
    assert_eq!(house.get(&Caller::OWNER, &target).await.status, StatusCode::OK);
}
