//! Every operation of every product, and what is none.

use http::{Method, StatusCode};

use crate::{
    catalogue,
    harness::{Caller, House, OWNER, V3, V5},
};

#[tokio::test]
async fn every_operation_of_the_data_file_has_an_answer() {
    let house = House::empty().await;
    house.import(vec![catalogue::product("600000000001", "Examplol", OWNER)]).await;
    let mut asked = 0;
    for product in house.products.iter() {
        for operation in &product.operations {
            let path = operation.path.replace("{id}", "600000000001").replace("{vid}", "1");
            let method: Method = operation.method.as_str().parse().unwrap();
            let answer =
                house.ask(&Caller::QUALIFIED, &method, &format!("{}{path}", product.base_path), &[]).await;
            let expected = match operation.ep.as_str() {
                // Without a body.
                "EP502a" => StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "EP503a" => StatusCode::NOT_FOUND,
                _ => StatusCode::OK,
            };
            assert_eq!(answer.status, expected, "{} {}: {}", operation.ep, operation.path, answer.text);
            assert_eq!(answer.header("content-type"), "application/fhir+json");
            assert!(answer.json()["resourceType"].is_string());
            asked += 1;
        }
    }
    assert!(asked >= 11);
}

#[tokio::test]
async fn what_is_no_operation_is_refused_as_an_outcome() {
    let house = House::empty().await;
    for (method, target, expected) in [
        (Method::GET, "/".to_owned(), StatusCode::NOT_FOUND),
        (Method::GET, format!("{V3}/RegulatedAuthorization?identifier=EU/1/1"), StatusCode::NOT_FOUND),
        (Method::GET, format!("{V3}/MedicinalProductDefinition/1/2"), StatusCode::NOT_FOUND),
        (Method::GET, format!("{V5}/MedicinalProductDefinition/600000000001"), StatusCode::NOT_FOUND),
        (Method::DELETE, format!("{V3}/MedicinalProductDefinition/1"), StatusCode::METHOD_NOT_ALLOWED),
        (Method::GET, format!("{V5}/MedicinalProductDefinition/$merge"), StatusCode::METHOD_NOT_ALLOWED),
    ] {
        let answer = house.ask(&Caller::OWNER, &method, &target, &[]).await;
        assert_eq!(answer.status, expected, "{method} {target}");
        assert_eq!(answer.json()["resourceType"], "OperationOutcome", "{target}");
    }
}

#[tokio::test]
async fn hidden_and_absent_are_the_same_to_the_last_byte() {
    let house = House::empty().await;
    house
        .import(vec![
            catalogue::with_status("600000000002", "Pending", OWNER, "100000000012", "220000000066"),
            catalogue::with_status("600000000003", "Veterinary", OWNER, "100000000013", "100000072099"),
            catalogue::product("600000000004", "Open", OWNER),
        ])
        .await;
    for follow in [false, true] {
        if follow {
            house.follow().await;
        }
        for (caller, hidden) in [
            (Caller::PUBLIC, "600000000002"),
            (Caller::PUBLIC, "600000000003"),
            (Caller::STRANGER, "600000000002"),
            (Caller::STRANGER, "600000000003"),
            (Caller::HUMAN_AUTHORITY, "600000000003"),
            (Caller::VETERINARY_AUTHORITY, "600000000002"),
        ] {
            for path in ["", "/$everything", "/_history", "/_history/1"] {
                if caller.stakeholder == pms_terms::Stakeholder::Public && path.starts_with("/_history") {
                    continue;
                }
                let ask = |id: &'static str| {
                    let target = format!("{}/MedicinalProductDefinition/{id}{path}", caller.base());
                    let (house, caller) = (&house, &caller);
                    async move { house.get(caller, &target).await }
                };
                for _ in 0..2 {
                    let (one, other) = (ask(hidden).await, ask("699999999999").await);
                    assert_eq!(one.status, StatusCode::NOT_FOUND, "{} {hidden}{path}", caller.label);
                    assert_eq!(
                        (one.status, &one.headers, &one.text),
                        (other.status, &other.headers, &other.text)
                    );
                }
            }
        }
        // History that is closed looks like no product at all, although the product itself is open.
        let closed = house
            .get(&Caller::STRANGER, &format!("{V3}/MedicinalProductDefinition/600000000004/_history"))
            .await;
        let absent = house
            .get(&Caller::STRANGER, &format!("{V3}/MedicinalProductDefinition/699999999999/_history"))
            .await;
        assert_eq!((closed.status, closed.text), (absent.status, absent.text));
    }
}
