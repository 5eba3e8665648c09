//! What requests assume: `If-Match` and `If-Unmodified-Since` on reads, and conditions where they mean nothing.

use http::{Method, StatusCode};
use time::Duration;

use crate::{
    catalogue,
    harness::{Caller, House, OWNER, V3},
};

const ID: &str = "600000000001";
const STORED: &str = "Sun, 01 Mar 2026 12:00:00 GMT";

async fn house() -> (House, String) {
    let house = House::empty().await;
    house.import(vec![catalogue::product(ID, "Examplol", OWNER)]).await;
    (house, format!("{V3}/MedicinalProductDefinition/{ID}"))
}

#[tokio::test]
async fn a_read_that_assumes_another_state_is_refused() {
    let (house, read) = house().await;
    let tag = house.get(&Caller::OWNER, &read).await.header("etag").to_owned();
    for right in [
        ("if-match", tag.as_str()),
        ("if-match", "W/\"1\""),
        ("if-match", "*"),
        ("if-unmodified-since", STORED),
    ] {
        let answer = house.get_with(&Caller::OWNER, &read, &[right]).await;
        assert_eq!(answer.status, StatusCode::OK, "{right:?}");
    }
    house.clock.advance(Duration::hours(1));
    house.import(vec![catalogue::product(ID, "Examplol new", OWNER)]).await;
    for wrong in [("if-match", tag.as_str()), ("if-match", "W/\"1\""), ("if-unmodified-since", STORED)] {
        for method in [Method::GET, Method::HEAD] {
            let answer = house.ask(&Caller::OWNER, &method, &read, &[wrong]).await;
            assert_eq!(answer.status, StatusCode::PRECONDITION_FAILED, "{wrong:?}");
            if method == Method::GET {
                assert_eq!(answer.json()["issue"][0]["code"], "conflict", "{}", answer.text);
            }
        }
    }
    // Who may not see the product is not told that there is a state.
    let stranger = house.get_with(&Caller::VETERINARY_AUTHORITY, &read, &[("if-match", "\"9\"")]).await;
    assert_eq!(stranger.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_search_by_post_has_no_state_to_compare_with() {
    let (house, _) = house().await;
    let search = format!("{V3}/MedicinalProductDefinition");
    let found = house.get(&Caller::OWNER, &format!("{search}?name=examplol")).await;
    let tag = found.header("etag").to_owned();
    let form = "application/x-www-form-urlencoded";
    for condition in [("if-none-match", tag.as_str()), ("if-none-match", "*"), ("if-match", "\"9\"")] {
        let headers = [("content-type", form), condition];
        let answer =
            house.form_with(&Caller::OWNER, &format!("{search}/_search"), "name=examplol", &headers).await;
        assert_eq!((answer.status, answer.ids()), (StatusCode::OK, found.ids()), "{condition:?}");
    }
}
