//! The SQL search against a plain look at each product, for each class of callers.

use std::collections::BTreeSet;

use fhir_store::search::{
    Clause, Query, Sort, SortBy, SortKey, SystemMatch, TextMatch, TimeMatch, TokenMatch,
};
use pms_terms::Domains;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::{
    plain::{self, Known},
    sample::{
        LATER, NOW, Sample, agency, authority, bundle, databases, found_in_order, import, import_at,
        industry, matrix, public, qualified,
    },
};

/// A product with elements that not everybody sees.
#[derive(Clone, Debug)]
struct Shape {
    sample: Sample,
    second_name: Option<String>,
    secret: u8,
    excipient: Option<u8>,
    later: bool,
}

impl Shape {
    fn resources(&self, n: usize) -> Vec<Value> {
        let mut resources = Sample { id: format!("60000000000{n}"), ..self.sample.clone() }.resources();
        let coding =
            |code: String| json!({"coding": [{"system": "https://company.example/terms", "code": code}]});
        let root = &mut resources[0];
        if let Some(name) = &self.second_name {
            root["name"].as_array_mut().unwrap().push(json!({"productName": name}));
        }
        root["characteristic"] = json!([{"type": coding(format!("c{}", self.secret))}]);
        root["classification"].as_array_mut().unwrap().push(coding(format!("k{}", self.secret)));
        root["identifier"][1]["value"] = json!(format!("SECRET-{}", self.secret));
        root["type"] = coding(format!("t{}", self.secret));
        root["name"][0]["usage"] =
            json!([{"country": {"text": "ES"}, "language": coding(format!("l{}", self.secret))}]);
        root["contact"] = json!([
            {"type": {"text": "QPPV"}, "contact": {"reference": format!("PractitionerRole/p{n}-role")}},
            {"type": {"text": "other"}, "contact": {"reference": format!("Organization/{}", self.sample.holder)}},
        ]);
        root["masterFile"] = json!([{"reference": format!("DocumentReference/p{n}-file")}]);
        resources
            .push(json!({"resourceType": "PractitionerRole", "id": format!("p{n}-role"), "active": true}));
        resources.push(json!({
            "resourceType": "DocumentReference", "id": format!("p{n}-file"), "status": "current",
            "content": [{"attachment": {"url": "https://company.example/file"}}],
        }));
        if let Some(excipient) = self.excipient {
            resources.push(json!({
                "resourceType": "Ingredient", "id": format!("60000000000{n}-ex"), "status": "active",
                "meta": {"security": [{
                    "system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R",
                }]},
                "for": [{"reference": format!("ManufacturedItemDefinition/60000000000{n}-mid")}],
                "role": {"coding": [{
                    "system": "http://spor.ema.europa.eu/v1/lists/100000072050", "code": "100000072082",
                }]},
                "substance": {"code": {"concept": coding(format!("e{excipient}"))}},
            }));
        }
        resources
    }
}

fn shape() -> impl Strategy<Value = Shape> {
    let name = "[abÁ][ab ]{0,2}[b5]";
    let sample = (
        name,
        any::<bool>(),
        prop::sample::select(vec!["200000005004", "200000005003", "200000005005"]),
        prop::sample::select(vec!["100000072099", "100000072099", "220000000066", "100000072117"]),
        prop::sample::select(vec!["ORG-100000001", "ORG-100000002"]),
    )
        .prop_map(|(name, veterinary, status, authorisation, holder)| {
            let mut sample = Sample { status, authorisation, ..Sample::new("", &name).held_by(holder) };
            if veterinary {
                sample = sample.veterinary();
            }
            sample
        });
    (sample, prop::option::of(name), 0..3_u8, prop::option::of(0..3_u8), any::<bool>()).prop_map(
        |(sample, second_name, secret, excipient, later)| Shape {
            sample,
            second_name,
            secret,
            excipient,
            later,
        },
    )
}

fn clause() -> impl Strategy<Value = Clause> {
    let company = "https://company.example/terms";
    let token = prop::sample::select(vec![
        ("identifier", None, Some("SECRET-1")),
        ("identifier", Some("https://company.example/product-code"), None),
        ("status", None, Some("200000005004")),
        ("status", None, Some("200000005005")),
        ("domain", None, Some("100000000013")),
        ("product-classification", Some(company), None),
        ("product-classification", None, Some("k1")),
        ("characteristic", None, Some("c0")),
        ("characteristic", Some(company), Some("c1")),
        ("ingredient", None, Some("e0")),
        ("ingredient", Some(company), None),
        ("ingredient", Some(""), Some("e2")),
        ("type", None, Some("t1")),
        ("type", Some(company), None),
        ("name-language", None, Some("l0")),
        ("name-language", Some(company), Some("l2")),
        ("contact", None, Some("p0-role")),
        ("contact", Some("PractitionerRole"), Some("p1-role")),
        ("contact", Some("Organization"), Some("ORG-100000002")),
        ("contact", Some("Organization"), Some("p1-role")),
        ("master-file", None, Some("p0-file")),
        ("master-file", Some("DocumentReference"), Some("p2-file")),
    ]);
    let token = (token, any::<bool>(), prop::option::of(0..3_u8)).prop_map(|(wanted, not, other)| {
        let (parameter, system, code) = wanted;
        let system = match system {
            None => SystemMatch::Any,
            Some("") => SystemMatch::Absent,
            Some(system) => SystemMatch::Is(system.to_owned()),
        };
        let mut any_of = vec![TokenMatch { system, code: code.map(str::to_owned) }];
        any_of.extend(other.map(|n| TokenMatch { system: SystemMatch::Any, code: Some(format!("e{n}")) }));
        Clause::Token { parameter, any_of, not }
    });
    let text = prop_oneof![
        "[ab5]{1,2}".prop_map(TextMatch::StartsWith),
        "[ab5]{1,2}".prop_map(TextMatch::Contains),
        "[abÁ][b5]".prop_map(TextMatch::Exact),
    ];
    prop_oneof![
        4 => token,
        2 => prop::collection::vec(text, 1..3).prop_map(|any_of| Clause::Text { parameter: "name", any_of }),
        1 => prop::collection::vec(0..9_u8, 0..6)
            .prop_map(|all| Clause::Ids(all.iter().map(|n| format!("60000000000{n}")).collect())),
        2 => prop::collection::vec(span(), 1..3).prop_map(Clause::LastUpdated),
    ]
}

/// What each prefix makes of a date: a span, its outside, all before it or all after it.
fn span() -> impl Strategy<Value = TimeMatch> {
    let at = || {
        prop::sample::select(vec![NOW, LATER])
            .prop_flat_map(|at| (-1..=1_i64).prop_map(move |by| database::micros(at) + by))
    };
    prop_oneof![
        (at(), at(), any::<bool>()).prop_map(|(a, b, outside)| {
            TimeMatch { from: Some(a.min(b)), until: Some(a.max(b) + 1), outside }
        }),
        at().prop_map(|at| TimeMatch { from: Some(at), until: None, outside: false }),
        at().prop_map(|at| TimeMatch { from: None, until: Some(at), outside: false }),
    ]
}

fn keys() -> impl Strategy<Value = Vec<SortKey>> {
    let all = vec![SortBy::Id, SortBy::LastUpdated, SortBy::Name, SortBy::Status];
    let by = prop::sample::subsequence(all, 0..3).prop_shuffle();
    (by, any::<[bool; 4]>()).prop_map(|(all, descending)| {
        all.into_iter().zip(descending).map(|(by, descending)| SortKey { by, descending }).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]
    /// What the SQL finds, counts and pages through is what a look at each filtered product finds.
    #[test]
    fn sql_finds_what_looking_at_each_visible_product_finds(
        shapes in prop::collection::vec(shape(), 1..9),
        searches in prop::collection::vec((prop::collection::vec(clause(), 0..3), keys(), 0..4_usize), 1..8),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let matrix = matrix();
            let known: Vec<Known> = shapes.iter().enumerate().map(|(n, shape)| {
                Known::new(shape.resources(n), database::micros(if shape.later { LATER } else { NOW }))
            }).collect();
            let bundles = |later: bool| -> Vec<Value> {
                let these = shapes.iter().enumerate().filter(|(_, shape)| shape.later == later);
                these.map(|(n, shape)| bundle(&shape.resources(n))).collect()
            };
            let audiences = [
                public(),
                industry("ORG-100000001"),
                industry("ORG-100000003"),
                qualified("ORG-100000002"),
                authority(Domains::HUMAN),
                authority(Domains::VETERINARY),
                authority(Domains::BOTH),
                agency(),
            ];
            for td in databases().await {
                let db = td.database();
                for (later, at) in [(false, NOW), (true, LATER)] {
                    let report = if later {
                        import_at(db, bundles(later), at).await
                    } else {
                        import(db, bundles(later)).await
                    };
                    assert_eq!(report.refused, []);
                }
                for (clauses, keys, broad_from) in &searches {
                    // Found in whichever way, it is the same.
                    let query = Query { clauses: clauses.clone(), broad_from: *broad_from };
                    for audience in &audiences {
                        let expected = plain::find(&matrix, audience.viewer(), &known, &query, keys);
                        let unique: BTreeSet<&String> = expected.iter().collect();
                        assert_eq!(unique.len(), expected.len());
                        let found = found_in_order(db, audience, &query, &Sort::new(keys)).await;
                        assert_eq!(found, expected, "{:?} {query:?} {keys:?}", audience.viewer());
                    }
                }
            }
        });
    }
}
