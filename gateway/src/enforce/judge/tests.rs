//! What the gateway shows of a product that it gathered equals what our own backend's rules show of the complete one.

use std::{
    collections::{HashMap, HashSet},
    sync::LazyLock,
};

use fhir_model::{
    access::{DEFAULT_MATRIX, filter},
    demo,
    gather::{Gathering, Question},
    generate::{Generator, Seed},
    links, resource_key,
};
use pms_terms::{Domains, Stakeholder};
use proptest::prelude::*;

use super::*;

/// A server that has demo products and generated ones, every resource loose.
static SERVER: LazyLock<Vec<Value>> = LazyLock::new(|| {
    let generator = Generator::new(Seed::try_from(7).unwrap());
    let generated = (0..30).map(|number| generator.bundle(number));
    let mut by_key: HashMap<ResourceKey, Value> = HashMap::new();
    for bundle in demo::bundles().into_iter().chain(generated) {
        for entry in bundle["entry"].as_array().unwrap() {
            by_key.insert(resource_key(&entry["resource"]).unwrap(), entry["resource"].clone());
        }
    }
    let mut resources: Vec<Value> = by_key.into_values().collect();
    resources.sort_by_key(|resource| resource_key(resource).unwrap());
    resources
});

static PRODUCTS: LazyLock<Vec<Product>> = LazyLock::new(|| {
    let part = |at: &usize| SERVER[*at].clone();
    let product =
        |group: &links::Group| Product::new(part(&group.root), group.parts.iter().map(part).collect());
    links::group(&SERVER).products.iter().map(product).collect()
});

static MATRIX: LazyLock<AccessMatrix> =
    LazyLock::new(|| AccessMatrix::parse(DEFAULT_MATRIX, "default").unwrap());

/// Every resource with what it refers to.
static REFERENCES: LazyLock<Vec<(ResourceKey, HashSet<String>)>> = LazyLock::new(|| {
    let targets =
        |resource| links::references(resource).into_iter().map(|link| link.key.to_string()).collect();
    SERVER.iter().map(|resource| (resource_key(resource).unwrap(), targets(resource))).collect()
});

/// What the server answers to a question: what refers to one of the values anywhere, which is more than it must.
fn answer(question: &Question) -> Vec<Value> {
    let asked = |(key, targets): &(ResourceKey, HashSet<String>)| {
        key.resource_type == question.resource_type
            && if question.parameter == "_id" {
                question.values.contains(&key.id)
            } else {
                question.values.iter().any(|value| targets.contains(value))
            }
    };
    REFERENCES
        .iter()
        .zip(SERVER.iter())
        .filter(|(one, _)| asked(one))
        .map(|(_, resource)| resource.clone())
        .collect()
}

fn gather(gathering: &mut Gathering, step: impl Fn(&mut Gathering) -> Vec<Question>) {
    loop {
        let questions = step(gathering);
        if questions.is_empty() {
            return;
        }
        for resource in questions.iter().flat_map(answer) {
            assert!(gathering.add(resource));
        }
    }
}

fn gathered(wanted: &ResourceKey) -> Gathering {
    let mut gathering = Gathering::new(ResourceType::ALL);
    gathering.want(wanted.clone());
    gather(&mut gathering, |gathering| gathering.climb(wanted));
    gather(&mut gathering, Gathering::questions);
    gathering.want_mentioned();
    gather(&mut gathering, Gathering::questions);
    gathering
}

fn judge<'m>(matrix: &'m AccessMatrix, viewer: &'m Viewer, gathered: &Gathering) -> Judge<'m> {
    Judge::new(matrix, viewer, gathered.products(), &Register::default())
}

/// What our own backend's rules say, told the complete products.
fn expected(matrix: &AccessMatrix, viewer: &Viewer, product: &Product) -> Option<(Vec<Value>, usize)> {
    let of = |product: &Product| facts(product, &|_| None);
    let open = |product: &Product| gate(matrix, viewer, &of(product)).visible;
    let mentioned = links::cross_references(product);
    let known = PRODUCTS.iter().filter(|other| mentioned.contains(other.id()) && open(other));
    let targets = Targets { visible: known.map(|other| other.id().to_owned()).collect() };
    let facts = of(product);
    if !open(product) {
        return None;
    }
    let filtered = filter(matrix, column(viewer, &facts), &facts, product, &targets)?;
    let mut resources: Vec<Value> = filtered.product.resources().cloned().collect();
    resources.sort_by_key(|resource| resource_key(resource).unwrap());
    Some((resources, filtered.subsetted.len()))
}

fn viewers() -> impl Strategy<Value = Viewer> {
    let owners: Vec<_> = PRODUCTS
        .iter()
        .flat_map(|product| facts(product, &|_| None).owners)
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    let stakeholder = prop::sample::select(vec![
        Stakeholder::Public,
        Stakeholder::Industry,
        Stakeholder::Industry,
        Stakeholder::Nca,
        Stakeholder::Ema,
    ]);
    let domains =
        prop::sample::select(vec![Domains::NONE, Domains::HUMAN, Domains::VETERINARY, Domains::BOTH]);
    let organisation = prop::option::weighted(0.9, prop::sample::select(owners));
    (stakeholder, any::<bool>(), domains, organisation).prop_map(
        |(stakeholder, qualified, domains, organisation)| Viewer {
            stakeholder,
            qualified,
            domains,
            organisation,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_gateway_shows_what_the_backend_would(viewer in viewers(), at in 0..PRODUCTS.len(), part in any::<prop::sample::Index>()) {
        let matrix = &*MATRIX;
        let product = &PRODUCTS[at];
        let key = ResourceKey::new(ResourceType::MedicinalProductDefinition, product.id());
        let gathered_whole = gathered(&key);
        let sheet = judge(matrix, &viewer, &gathered_whole).sheet(product.id());
        let shown = sheet.clone().map(|sheet| {
            let subsetted = sheet.resources.iter().filter(|seen| seen.withheld > 0).count();
            let mut resources = sheet.resources;
            resources.sort_by(|one, other| one.key.cmp(&other.key));
            (resources.into_iter().map(|seen| seen.resource).collect::<Vec<_>>(), subsetted)
        });
        let expected = expected(matrix, &viewer, product);
        prop_assert_eq!(&shown, &expected);

        // A part that is read by itself is shown as in its product.
        let part = part.get(&product.parts);
        let part_key = resource_key(part).unwrap();
        if !links::parents(part).is_empty() {
            let alone = judge(matrix, &viewer, &gathered(&part_key)).part(&part_key);
            let within = sheet.and_then(|sheet| sheet.find(&part_key).cloned());
            if links::parents(part).iter().all(|parent| parent.resource_type != ResourceType::ActivityDefinition) {
                prop_assert_eq!(alone, within);
            } else {
                prop_assert!(alone.is_none() || alone == within);
            }
        }
    }
}

#[test]
fn viewers_differ_in_what_they_see() {
    let matrix = &*MATRIX;
    let sees = |stakeholder, organisation: Option<&str>, qualified| {
        let organisation = organisation.map(|id| id.parse().unwrap());
        let viewer = Viewer { stakeholder, qualified, domains: Domains::BOTH, organisation };
        PRODUCTS
            .iter()
            .filter_map(|product| expected(matrix, &viewer, product))
            .map(|(all, _)| all.len())
            .sum::<usize>()
    };
    let owner = facts(&PRODUCTS[0], &|_| None).owners.first().unwrap().to_string();
    let counts = [
        sees(Stakeholder::Public, None, false),
        sees(Stakeholder::Industry, Some(&owner), false),
        sees(Stakeholder::Industry, Some(&owner), true),
        sees(Stakeholder::Ema, None, false),
    ];
    assert!(
        counts[0] > 0 && counts.is_sorted() && counts[0] < counts[1] && counts[2] < counts[3],
        "{counts:?}"
    );
}
