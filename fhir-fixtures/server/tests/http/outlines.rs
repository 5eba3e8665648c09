//! Roots shown by their outlines: the same answers as from the whole product, headers and all, without a look at it.

use http::StatusCode;

use crate::{
    catalogue,
    harness::{Answer, Caller, House, OWNER, PUBLIC, V3},
};

const ID: &str = "600000000001";

fn same(one: &Answer, other: &Answer, what: &str) {
    assert_eq!(one.status, other.status, "{what}");
    assert_eq!(one.headers, other.headers, "{what}");
    assert!(one.text == other.text, "{what}:\n{}\n{}", one.text, other.text);
}

#[tokio::test]
async fn answers_are_the_same_whichever_way_they_were_made() {
    let (by_outline, by_whole, by_page) = (House::demo().await, House::demo().await, House::demo().await);
    let ids = fhir_store::ids_by_steps(by_outline.database(), 1).await.unwrap();
    let mut shown = 0;
    for caller in &Caller::ALL {
        for base in [V3, PUBLIC] {
            let all = format!("{base}/MedicinalProductDefinition?_count=100");
            for id in &ids {
                let read = format!("{base}/MedicinalProductDefinition/{id}");
                // Whoever asked for all of a product is shown its root from there.
                by_whole.get(caller, &format!("{read}/$everything")).await;
                let one = by_outline.get(caller, &read).await;
                same(&one, &by_whole.get(caller, &read).await, &format!("{} {read}", caller.label));
                shown += usize::from(one.status == StatusCode::OK);
            }
            let page = by_page.get(caller, &all).await;
            assert!(page.link("next").is_none());
            same(&page, &by_whole.get(caller, &all).await, &format!("{} {all}", caller.label));
            // A page prepared the roots that it showed.
            for id in ids.iter().step_by(7) {
                let read = format!("{base}/MedicinalProductDefinition/{id}");
                let after = by_page.get(caller, &read).await;
                same(&after, &by_whole.get(caller, &read).await, &format!("{} {read}", caller.label));
            }
        }
    }
    assert!(shown > 300, "{shown}");
}

#[tokio::test]
async fn neither_a_read_nor_a_page_looks_at_the_whole_product() {
    let house = House::empty().await;
    house.import(vec![catalogue::product(ID, "Examplol", OWNER)]).await;
    let read = format!("{V3}/MedicinalProductDefinition/{ID}");
    let page = format!("{V3}/MedicinalProductDefinition?_id={ID}");
    house.follow().await;
    assert_eq!(house.get(&Caller::OWNER, &read).await.status, StatusCode::OK);
    assert_eq!(house.get(&Caller::STRANGER, &page).await.entries().len(), 1);
    house.follow().await;
    tokio::time::pause();
    // Closing waits for timers, which a standing clock would jump to.
    tokio::time::resume();
    house.database().close().await;
    tokio::time::pause();
    let everything = format!("{read}/$everything");
    for caller in [&Caller::OWNER, &Caller::STRANGER] {
        assert_eq!(house.get(caller, &read).await.status, StatusCode::OK, "{}", caller.label);
        let whole = house.get(caller, &everything).await;
        assert_eq!(whole.status, StatusCode::SERVICE_UNAVAILABLE, "{}", caller.label);
    }
}
