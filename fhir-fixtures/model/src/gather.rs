//! Bringing products together from a FHIR server that keeps their resources apart: what to ask it next, and when all
//! is there. Does no asking itself.
//!
//! A product is known by its MedicinalProductDefinition. What points up to it is found by searches
//! (`RegulatedAuthorization?subject=…`), what it points down to by id; both for many products at once. Whoever reads a
//! part first climbs from it to the products that it may belong to ([`Gathering::climb`]).

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::Value;

use crate::{
    Product, ResourceKey,
    ResourceType::{
        self, ActivityDefinition, AdministrableProductDefinition, ClinicalUseDefinition, Ingredient,
        ManufacturedItemDefinition, MedicinalProductDefinition, PackagedProductDefinition,
        RegulatedAuthorization,
    },
    links, resource_key,
};

/// Ids in one question, so that its address stays short enough for every server.
const IDS: usize = 50;

/// The searches that find what points up (FHIR 5.0.0): type, parameter, and the types that it may point to.
const BELOW: &[(ResourceType, &str, &[ResourceType])] = &[
    (
        RegulatedAuthorization,
        "subject",
        &[
            MedicinalProductDefinition,
            PackagedProductDefinition,
            ManufacturedItemDefinition,
            ActivityDefinition,
        ],
    ),
    (PackagedProductDefinition, "package-for", &[MedicinalProductDefinition]),
    (AdministrableProductDefinition, "form-of", &[MedicinalProductDefinition]),
    (
        Ingredient,
        "for",
        &[
            MedicinalProductDefinition,
            AdministrableProductDefinition,
            ManufacturedItemDefinition,
            PackagedProductDefinition,
        ],
    ),
    (
        ClinicalUseDefinition,
        "subject",
        &[MedicinalProductDefinition, PackagedProductDefinition, ActivityDefinition],
    ),
];

/// The search that finds the packs in which an item lies: the way up from it.
const PACKS_WITH: (ResourceType, &str) = (PackagedProductDefinition, "contained-item");

/// One search that a FHIR 5.0.0 server answers with a Bundle.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Question {
    /// The type that is searched.
    pub resource_type: ResourceType,
    /// The parameter: `_id`, or one of type reference.
    pub parameter: &'static str,
    /// Its alternatives: ids, or `Type/id`. Nothing in them needs encoding.
    pub values: Vec<String>,
}

impl Question {
    /// What is asked below the server's base: `Ingredient?for=ManufacturedItemDefinition/1,…`.
    pub fn target(&self) -> String {
        format!("{}?{}={}", self.resource_type, self.parameter, self.values.join(","))
    }
}

/// Resources on their way to becoming products.
#[derive(Debug)]
pub struct Gathering {
    /// The types that the server has.
    kept: BTreeSet<ResourceType>,
    resources: BTreeMap<ResourceKey, Value>,
    /// Keys whose resource was asked for, found or not.
    asked: BTreeSet<ResourceKey>,
    /// Keys of which it was asked what points up to them.
    asked_below: BTreeSet<ResourceKey>,
    /// Items of which it was asked in which packs they lie.
    asked_packs: BTreeSet<ResourceKey>,
    /// What the next questions are about.
    wanted: BTreeSet<ResourceKey>,
}

impl Gathering {
    /// Nothing yet. `kept`: the types that the server has; others are not asked for.
    pub fn new(kept: impl IntoIterator<Item = ResourceType>) -> Self {
        Self {
            kept: kept.into_iter().collect(),
            resources: BTreeMap::new(),
            asked: BTreeSet::new(),
            asked_below: BTreeSet::new(),
            asked_packs: BTreeSet::new(),
            wanted: BTreeSet::new(),
        }
    }

    /// This resource is needed: a product, or a part to climb from.
    pub fn want(&mut self, key: ResourceKey) {
        self.wanted.insert(key);
    }

    /// A resource that the server told. `false` when it has no type and id of ours.
    pub fn add(&mut self, resource: Value) -> bool {
        let Some(key) = resource_key(&resource) else { return false };
        self.asked.insert(key.clone());
        self.resources.entry(key).or_insert(resource);
        true
    }

    /// A resource, if the server has it.
    pub fn find(&self, key: &ResourceKey) -> Option<&Value> {
        self.resources.get(key)
    }

    /// How many resources there are by now.
    pub fn len(&self) -> usize {
        self.resources.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.resources.is_empty()
    }

    /// The products that any resource mentions are needed, too: whether a reader may know of them is decided by their
    /// own gates. To be said once, when the rest is whole; what those products mention does not matter.
    pub fn want_mentioned(&mut self) {
        let product = |id| ResourceKey::new(MedicinalProductDefinition, id);
        self.wanted.extend(self.resources.values().flat_map(links::products_in).map(product));
    }

    /// The next questions, which may be asked at once; none when every wanted product is whole.
    pub fn questions(&mut self) -> Vec<Question> {
        for resource in self.resources.values() {
            self.wanted.extend(links::children(resource));
        }
        let mut questions = self.by_id();
        let unasked: Vec<&ResourceKey> =
            self.resources.keys().filter(|key| !self.asked_below.contains(key)).collect();
        for (resource_type, parameter, parents) in BELOW {
            let values = unasked.iter().filter(|key| parents.contains(&key.resource_type));
            questions.extend(self.chunked(*resource_type, parameter, values.map(ToString::to_string)));
        }
        self.asked_below.extend(unasked.into_iter().cloned().collect::<Vec<_>>());
        questions
    }

    /// The next questions on the way from `part` up to its products; none when there is nothing more to learn.
    /// The products found are wanted from then on.
    pub fn climb(&mut self, part: &ResourceKey) -> Vec<Question> {
        let (mut open, mut seen) = (vec![part.clone()], BTreeSet::new());
        let mut items = BTreeSet::new();
        while let Some(key) = open.pop() {
            if !seen.insert(key.clone()) {
                continue;
            }
            if key.resource_type == ManufacturedItemDefinition && self.asked_packs.insert(key.clone()) {
                items.insert(key.to_string());
            }
            match self.resources.get(&key) {
                Some(resource) => open.extend(links::parents(resource)),
                None => {
                    self.wanted.insert(key.clone());
                }
            }
            if key.resource_type == ManufacturedItemDefinition {
                let holds = |pack: &&Value| links::children(pack).contains(&key);
                let packs = self.resources.values().filter(holds).filter_map(resource_key);
                open.extend(packs.filter(|pack| pack.resource_type == PackagedProductDefinition));
            }
        }
        let mut questions = self.by_id();
        let (resource_type, parameter) = PACKS_WITH;
        questions.extend(self.chunked(resource_type, parameter, items));
        questions
    }

    /// The products that are here, each with what belongs to it.
    pub fn products(&self) -> Vec<Product> {
        let resources: Vec<Value> = self.resources.values().cloned().collect();
        let part = |at: &usize| resources.get(*at).cloned();
        links::group(&resources)
            .products
            .iter()
            .filter_map(|group| {
                Some(Product::new(part(&group.root)?, group.parts.iter().filter_map(part).collect()))
            })
            .collect()
    }

    /// Questions for the wanted resources that were not asked for yet.
    fn by_id(&mut self) -> Vec<Question> {
        let mut ids: HashMap<ResourceType, Vec<String>> = HashMap::new();
        for key in std::mem::take(&mut self.wanted) {
            if self.asked.insert(key.clone()) {
                ids.entry(key.resource_type).or_default().push(key.id);
            }
        }
        let mut questions: Vec<Question> =
            ids.into_iter().flat_map(|(kind, ids)| self.chunked(kind, "_id", ids)).collect();
        questions.sort();
        questions
    }

    fn chunked(
        &self,
        resource_type: ResourceType,
        parameter: &'static str,
        values: impl IntoIterator<Item = String>,
    ) -> Vec<Question> {
        if !self.kept.contains(&resource_type) {
            return Vec::new();
        }
        let values: Vec<String> = values.into_iter().collect();
        let one = |values: &[String]| Question { resource_type, parameter, values: values.to_vec() };
        values.chunks(IDS).map(one).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::demo;

    /// A server that has these resources, and answers by what they say.
    fn answer<'v>(server: &'v [Value], question: &Question) -> Vec<&'v Value> {
        let element = match question.parameter {
            "_id" => "",
            "subject" => "subject",
            "package-for" => "packageFor",
            "form-of" => "formOf",
            "for" => "for",
            "contained-item" => "packaging",
            other => panic!("{other}"),
        };
        let matches = |resource: &&Value| {
            let key = resource_key(resource).unwrap();
            key.resource_type == question.resource_type
                && if element.is_empty() {
                    question.values.contains(&key.id)
                } else {
                    let text = resource.get(element).map(Value::to_string).unwrap_or_default();
                    question.values.iter().any(|value| text.contains(&format!("\"{value}\"")))
                }
        };
        server.iter().filter(matches).collect()
    }

    fn resources(bundles: &[Value]) -> Vec<Value> {
        let mut by_key = BTreeMap::new();
        for entry in bundles.iter().flat_map(|bundle| bundle["entry"].as_array().unwrap()) {
            by_key.insert(resource_key(&entry["resource"]).unwrap(), entry["resource"].clone());
        }
        by_key.into_values().collect()
    }

    fn gather(server: &[Value], gathering: &mut Gathering) {
        loop {
            let questions = gathering.questions();
            if questions.is_empty() {
                return;
            }
            for resource in questions.iter().flat_map(|question| answer(server, question)) {
                assert!(gathering.add(resource.clone()));
            }
        }
    }

    #[test]
    fn a_gathered_product_is_the_one_that_grouping_all_resources_makes() {
        let server = resources(&demo::bundles());
        let grouped = links::group(&server);
        for group in &grouped.products {
            let root = resource_key(&server[group.root]).unwrap();
            let mut gathering = Gathering::new(ResourceType::ALL);
            gathering.want(root.clone());
            gather(&server, &mut gathering);
            let products = gathering.products();
            let product = products.iter().find(|product| product.id() == root.id).unwrap();
            let keys = |parts: Vec<Value>| parts.iter().map(|one| resource_key(one).unwrap()).collect();
            let wanted: BTreeSet<ResourceKey> =
                keys(group.parts.iter().map(|at| server[*at].clone()).collect());
            assert_eq!(keys(product.parts.clone()), wanted, "{root}");
        }
    }

    #[test]
    fn every_part_that_points_up_is_climbed_from() {
        let server = resources(&demo::bundles());
        let grouped = links::group(&server);
        let mut climbed = 0;
        for group in &grouped.products {
            let root = resource_key(&server[group.root]).unwrap();
            for part in group.parts.iter().map(|at| resource_key(&server[*at]).unwrap()) {
                if !BELOW.iter().any(|(below, ..)| *below == part.resource_type)
                    || links::parents(
                        &server[server.iter().position(|r| resource_key(r) == Some(part.clone())).unwrap()],
                    )
                    .iter()
                    .any(|parent| parent.resource_type == ActivityDefinition)
                {
                    continue;
                }
                let mut gathering = Gathering::new(ResourceType::ALL);
                gathering.want(part.clone());
                loop {
                    let questions = gathering.climb(&part);
                    if questions.is_empty() {
                        break;
                    }
                    for resource in questions.iter().flat_map(|question| answer(&server, question)) {
                        gathering.add(resource.clone());
                    }
                }
                assert!(gathering.find(&root).is_some(), "{part} belongs to {root}");
                climbed += 1;
            }
        }
        assert!(climbed > 20, "{climbed}");
    }

    #[test]
    fn many_products_are_asked_for_at_once_and_missing_types_never() {
        let mut gathering = Gathering::new([MedicinalProductDefinition, PackagedProductDefinition]);
        for n in 0..60 {
            gathering.want(ResourceKey::new(MedicinalProductDefinition, n.to_string()));
        }
        let first = gathering.questions();
        assert_eq!(first.len(), 2, "60 ids are two questions: {first:?}");
        for n in 0..3 {
            gathering.add(json!({"resourceType": "MedicinalProductDefinition", "id": n.to_string(),
                "contact": [{"contact": {"reference": "Organization/o"}}]}));
        }
        let second: Vec<String> = gathering.questions().iter().map(Question::target).collect();
        assert_eq!(
            second,
            [
                "PackagedProductDefinition?package-for=MedicinalProductDefinition/0,MedicinalProductDefinition/1,MedicinalProductDefinition/2"
            ]
        );
        assert_eq!(gathering.questions(), []);
        assert!(!gathering.add(json!({"resourceType": "Patient", "id": "1"})));
    }
}
