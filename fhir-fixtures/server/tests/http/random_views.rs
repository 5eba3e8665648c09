//! Random products, every caller, every door: the model says what is left out, the bytes must hold none of it.

use fhir_model::{
    Product,
    access::{self, AccessMatrix, DEFAULT_MATRIX},
};
use proptest::test_runner::{Config, TestRunner};
use serde_json::Value;

use crate::{
    harness::{Caller, House},
    other_products::doors,
    side_channels::search,
    specimen::{self, Press, Specimen},
};

#[test]
fn no_answer_holds_a_byte_of_what_the_view_leaves_out() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let matrix = AccessMatrix::parse(DEFAULT_MATRIX, "config/access-levels.toml").unwrap();
    let press = Press::new(&matrix, DEFAULT_MATRIX);
    let rows = press.mixable();
    let strategy = (
        proptest::collection::btree_set(0..rows.len(), 1..10),
        proptest::sample::select(vec!["100000000012", "100000000013", "100000000014"]),
        proptest::sample::select(vec!["100000072099", "220000000066", "100000072122", "100000072113"]),
        proptest::bool::ANY,
    );
    let house = runtime.block_on(async {
        let house = House::empty().await;
        house.import(specimen::others()).await;
        house
    });
    let mut runner = TestRunner::new(Config { cases: 24, failure_persistence: None, ..Config::default() });
    let counted = std::cell::Cell::new((0_usize, 0_usize));
    let case = std::cell::Cell::new(0_u64);
    runner
        .run(&strategy, |(picks, domain, status, met)| {
            case.set(case.get() + 1);
            let id = format!("64{:010}", case.get());
            let picks: Vec<_> = picks.iter().map(|at| &rows[*at]).collect();
            let specimen = press.mixture(&picks, met, &id, domain, status);
            let (shown, withheld) = runtime.block_on(hunt(&house, &specimen));
            counted.set((counted.get().0 + shown, counted.get().1 + withheld));
            Ok(())
        })
        .unwrap();
    let (shown, withheld) = counted.get();
    assert!(case.get() >= 24 && shown > 100 && withheld > 500, "{shown} shown, {withheld} withheld");
}

/// Looks for the marks that a caller's view leaves out in whatever it can be answered.
async fn hunt(house: &House, specimen: &Specimen) -> (usize, usize) {
    house.import(vec![specimen.bundle()]).await;
    house.follow().await;
    let stored = fhir_store::find(house.database(), &specimen.id).await.unwrap().unwrap();
    let (mut shown, mut withheld) = (0, 0);
    for caller in Caller::ALL {
        let viewer = caller.viewer();
        let targets = house.known_to(&viewer, &stored).await;
        let column = access::column(&viewer, &stored.facts);
        let view = access::gate(&house.matrix, &viewer, &stored.facts)
            .visible
            .then(|| access::filter(&house.matrix, column, &stored.facts, &stored.product, &targets))
            .flatten()
            .map(|filtered| text(&filtered.product))
            .unwrap_or_default();
        let hidden: Vec<&String> =
            specimen.marks.iter().filter(|mark| !view.contains(mark.as_str())).collect();
        let mut targets: Vec<String> =
            doors(&caller, &specimen.id).into_iter().map(|(door, _)| door).collect();
        targets.push(search(&caller, &format!("_id={}&_include=*&_revinclude=*", specimen.id)));
        for target in targets {
            let answer = house.get(&caller, &target).await;
            for mark in &hidden {
                assert!(!answer.text.contains(mark.as_str()), "{} sees {mark} at {target}", caller.label);
                withheld += 1;
            }
            shown += specimen.marks.iter().filter(|mark| answer.text.contains(mark.as_str())).count();
        }
        for mark in hidden.into_iter().take(6) {
            for parameter in ["name", "identifier"] {
                let answer = house.get(&caller, &search(&caller, &format!("{parameter}={mark}"))).await;
                assert_eq!(answer.json()["total"], 0, "{} finds {mark} by {parameter}", caller.label);
            }
        }
    }
    (shown, withheld)
}

fn text(product: &Product) -> String {
    product.resources().map(Value::to_string).collect()
}
