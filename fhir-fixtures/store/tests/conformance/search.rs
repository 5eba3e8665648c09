//! Search: what matches, and that nothing hidden is found, counted or paged over.

use fhir_model::search::normalise;
use fhir_store::search::{Clause, Query, SystemMatch, TextMatch, TimeMatch, TokenMatch};
use pms_terms::Domains;
use proptest::prelude::*;

use crate::sample::{
    LATER, NOW, Sample, agency, authority, databases, found, import, import_at, industry, public,
};

fn token(parameter: &'static str, system: SystemMatch, code: Option<&str>) -> Query {
    let wanted = TokenMatch { system, code: code.map(str::to_owned) };
    Query::new(vec![Clause::Token { parameter, any_of: vec![wanted], not: false }])
}

fn name(wanted: TextMatch) -> Query {
    Query::new(vec![Clause::Text { parameter: "name", any_of: vec![wanted] }])
}

#[tokio::test]
async fn names_match_by_start_part_and_exactly_and_wildcards_mean_themselves() {
    for td in databases().await {
        let db = td.database();
        let samples = [
            ("600000000001", "Éxamplol 5 mg"),
            ("600000000002", "EXAMPLOL 50% gel"),
            ("600000000003", "Other_examplol"),
        ];
        import(db, samples.iter().map(|(id, name)| Sample::new(id, name).bundle()).collect()).await;
        let all = agency();
        let starts = |text: &str| name(TextMatch::StartsWith(normalise(text)));
        let contains = |text: &str| name(TextMatch::Contains(normalise(text)));
        assert_eq!(found(db, &all, &starts("examplol")).await, ["600000000001", "600000000002"]);
        assert_eq!(found(db, &all, &starts("éxamplól 5 m")).await, ["600000000001"]);
        assert_eq!(found(db, &all, &contains("examplol")).await.len(), 3);
        assert_eq!(found(db, &all, &contains("50%")).await, ["600000000002"]);
        assert_eq!(found(db, &all, &contains("r_e")).await, ["600000000003"]);
        assert_eq!(found(db, &all, &contains("l_5")).await, Vec::<String>::new());
        assert_eq!(found(db, &all, &contains("%")).await, ["600000000002"]);
        assert_eq!(found(db, &all, &name(TextMatch::Exact("Other_examplol".into()))).await, ["600000000003"]);
        assert_eq!(
            found(db, &all, &name(TextMatch::Exact("other_examplol".into()))).await,
            Vec::<String>::new()
        );
    }
}

#[tokio::test]
async fn tokens_match_by_system_and_code() {
    for td in databases().await {
        let db = td.database();
        import(
            db,
            vec![
                Sample::new("600000000001", "A").bundle(),
                Sample::new("600000000002", "B").veterinary().bundle(),
            ],
        )
        .await;
        let all = agency();
        let is = |system: &str| SystemMatch::Is(fhir_model::search::canonical_system(system).into_owned());
        let mp_id = "http://ema.europa.eu/fhir/mpId";
        assert_eq!(
            found(db, &all, &token("identifier", is(mp_id), Some("ES-100099999-600000000001"))).await,
            ["600000000001"]
        );
        assert_eq!(
            found(db, &all, &token("identifier", SystemMatch::Any, Some("ES-100099999-600000000002"))).await,
            ["600000000002"]
        );
        assert_eq!(
            found(db, &all, &token("identifier", SystemMatch::Absent, Some("ES-100099999-600000000001")))
                .await,
            Vec::<String>::new()
        );
        assert_eq!(found(db, &all, &token("identifier", is(mp_id), None)).await.len(), 2);
        for spelling in [
            "http://spor.ema.europa.eu/v1/lists/100000000004",
            "https://spor.ema.europa.eu/v1/lists/100000000004",
            "https://spor.ema.europa.eu/v1/100000000004",
        ] {
            assert_eq!(
                found(db, &all, &token("domain", is(spelling), Some("100000000013"))).await,
                ["600000000002"],
                "{spelling}"
            );
        }
        let both = Query {
            clauses: vec![
                Clause::Token {
                    parameter: "domain",
                    any_of: ["100000000012", "100000000013"]
                        .map(|code| TokenMatch { system: SystemMatch::Any, code: Some(code.into()) })
                        .to_vec(),
                    not: false,
                },
                Clause::Ids(vec!["600000000002".into(), "nonsense".into()]),
            ],
            ..Query::default()
        };
        assert_eq!(found(db, &all, &both).await, ["600000000002"]);
    }
}

#[tokio::test]
async fn as_many_conditions_and_alternatives_as_a_request_may_have_are_answered() {
    for td in databases().await {
        let db = td.database();
        import(db, vec![Sample::new("600000000001", "A").bundle()]).await;
        let alternatives = |system: SystemMatch| -> Vec<TokenMatch> {
            let code = |n: usize| if n == 0 { "100000000012".to_owned() } else { n.to_string() };
            (0..100).map(|n| TokenMatch { system: system.clone(), code: Some(code(n)) }).collect()
        };
        let list = fhir_model::search::canonical_system("http://spor.ema.europa.eu/v1/lists/100000000004");
        let any_of = alternatives(SystemMatch::Is(list.into_owned()));
        let clause = Clause::Token { parameter: "domain", any_of, not: false };
        for broad_from in [0, 500] {
            let query = Query { clauses: vec![clause.clone(); 10], broad_from };
            for audience in [agency(), industry("ORG-100000001")] {
                assert_eq!(found(db, &audience, &query).await, ["600000000001"]);
            }
        }
    }
}

#[tokio::test]
async fn times_match_by_span() {
    for td in databases().await {
        let db = td.database();
        import(db, vec![Sample::new("600000000001", "A").bundle()]).await;
        import_at(db, vec![Sample::new("600000000002", "B").bundle()], LATER).await;
        let at = database::micros;
        let times = |from, until, outside| Query {
            clauses: vec![Clause::LastUpdated(vec![TimeMatch { from, until, outside }])],
            ..Query::default()
        };
        let all = agency();
        assert_eq!(found(db, &all, &times(Some(at(LATER)), None, false)).await, ["600000000002"]);
        assert_eq!(found(db, &all, &times(None, Some(at(LATER)), false)).await, ["600000000001"]);
        assert_eq!(found(db, &all, &times(Some(at(NOW)), Some(at(NOW) + 1), false)).await, ["600000000001"]);
        assert_eq!(found(db, &all, &times(Some(at(NOW)), Some(at(NOW) + 1), true)).await, ["600000000002"]);
    }
}

#[tokio::test]
async fn each_class_of_callers_finds_and_counts_its_own_products_only() {
    for td in databases().await {
        let db = td.database();
        let other = "ORG-100000002";
        import(
            db,
            vec![
                Sample::new("600000000001", "Human").bundle(),
                Sample::new("600000000002", "Veterinary").veterinary().bundle(),
                Sample::new("600000000003", "Pending").pending().bundle(),
                Sample::new("600000000004", "Pending of the other").pending().held_by(other).bundle(),
                Sample::new("600000000005", "Human of the other").held_by(other).bundle(),
            ],
        )
        .await;
        let everything = Query::default();
        assert_eq!(found(db, &public(), &everything).await, ["600000000001", "600000000005"]);
        assert_eq!(
            found(db, &industry("ORG-100000001"), &everything).await,
            ["600000000001", "600000000002", "600000000003", "600000000005"]
        );
        assert_eq!(
            found(db, &industry(other), &everything).await,
            ["600000000001", "600000000004", "600000000005"]
        );
        assert_eq!(
            found(db, &industry("ORG-100000003"), &everything).await,
            ["600000000001", "600000000005"]
        );
        assert_eq!(found(db, &authority(Domains::HUMAN), &everything).await.len(), 4);
        assert_eq!(found(db, &authority(Domains::VETERINARY), &everything).await, ["600000000002"]);
        assert_eq!(found(db, &authority(Domains::NONE), &everything).await, Vec::<String>::new());
        assert_eq!(found(db, &agency(), &everything).await.len(), 5);
    }
}

#[tokio::test]
async fn a_hidden_element_is_not_searchable_and_the_same_query_finds_ones_own() {
    for td in databases().await {
        let db = td.database();
        let other = "ORG-100000002";
        import(
            db,
            vec![
                Sample::new("600000000001", "A").bundle(),
                Sample::new("600000000002", "B").held_by(other).bundle(),
            ],
        )
        .await;
        let code = |id: &str| token("identifier", SystemMatch::Any, Some(&format!("SECRET-{id}")));
        let any_code =
            token("identifier", SystemMatch::Is("https://company.example/product-code".into()), None);
        let own = industry("ORG-100000001");
        assert_eq!(found(db, &own, &code("600000000001")).await, ["600000000001"]);
        assert_eq!(found(db, &own, &code("600000000002")).await, Vec::<String>::new());
        assert_eq!(found(db, &own, &any_code).await, ["600000000001"]);
        assert_eq!(found(db, &industry(other), &any_code).await, ["600000000002"]);
        assert_eq!(found(db, &public(), &any_code).await, Vec::<String>::new());
        assert_eq!(found(db, &authority(Domains::HUMAN), &any_code).await.len(), 2);
    }
}

#[tokio::test]
async fn a_changed_product_is_found_by_its_new_values_only() {
    for td in databases().await {
        let db = td.database();
        import(db, vec![Sample::new("600000000001", "Before").bundle()]).await;
        import_at(db, vec![Sample::new("600000000001", "After").pending().bundle()], LATER).await;
        let starts = |text: &str| name(TextMatch::StartsWith(normalise(text)));
        assert_eq!(found(db, &agency(), &starts("before")).await, Vec::<String>::new());
        assert_eq!(found(db, &agency(), &starts("after")).await, ["600000000001"]);
        assert_eq!(found(db, &public(), &starts("after")).await, Vec::<String>::new());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]
    /// What the SQL finds is what a look at each name finds.
    #[test]
    fn sql_finds_what_comparing_each_name_finds(
        names in proptest::collection::vec("[abÉé%_!\\\\' 5]{1,6}x", 1..6),
        needle in "[abÉé%_!\\\\' 5]{0,2}[ab%_!é]",
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            for td in databases().await {
                let db = td.database();
                let ids: Vec<String> = (0..names.len()).map(|n| format!("60000000000{n}")).collect();
                let bundles = ids.iter().zip(&names).map(|(id, name)| Sample::new(id, name).bundle()).collect();
                import(db, bundles).await;
                let wanted = normalise(&needle);
                let by = |matches: &dyn Fn(&str) -> bool| -> Vec<String> {
                    ids.iter().zip(&names).filter(|(_, name)| matches(name)).map(|(id, _)| id.clone()).collect()
                };
                let all = agency();
                assert_eq!(
                    found(db, &all, &name(TextMatch::StartsWith(wanted.clone()))).await,
                    by(&|name| normalise(name).starts_with(&wanted))
                );
                assert_eq!(
                    found(db, &all, &name(TextMatch::Contains(wanted.clone()))).await,
                    by(&|name| normalise(name).contains(&wanted))
                );
                assert_eq!(
                    found(db, &all, &name(TextMatch::Exact(names[0].clone()))).await,
                    by(&|name| *name == names[0])
                );
            }
        });
    }
}
