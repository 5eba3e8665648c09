//! Products by the hundred thousand, always the same for the same seed: for load, for scale, for demonstrations.
//!
//! A generated product is written in the notation of the hand-made catalogue ([`crate::demo`]) and expanded as those
//! are. Each is worked out from its seed and its number alone, so that any part of a run can be made anew. How often
//! what occurs is guessed from public registers; names, companies, numbers and substances are invented.

mod dice;
mod history;
mod names;
mod parts;
mod product;
mod shared;

use serde_json::{Value, json};

use crate::demo::{
    self,
    expansion::{self, Numbers},
    terms::Terms,
};

use self::{dice::Dice, shared::Holder};

/// The number of products that one seed can make.
pub const MOST_PRODUCTS: u32 = 1_000_000;

/// Makes the products of one seed.
pub struct Generator {
    seed: Seed,
    terms: Terms,
    shared: demo::shared::Shared,
    holders: Vec<Holder>,
    substances: Vec<String>,
}

/// Which products are made: 1 to 99. It stands in their ids, so those of different seeds can stand in one store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seed(u8);

/// A number that is no seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is no seed: a number from 1 to 99, which becomes part of the products' ids")]
pub struct NoSeed(pub u64);

impl TryFrom<u64> for Seed {
    type Error = NoSeed;

    fn try_from(number: u64) -> Result<Self, NoSeed> {
        u8::try_from(number).ok().filter(|seed| (1..=99).contains(seed)).map(Self).ok_or(NoSeed(number))
    }
}

impl Seed {
    /// The id of product `number`, counted from 0. Ids with `6000` are of the Union, those with `7000` of a country.
    fn product_id(self, number: u32) -> String {
        let scope = if product::is_central(self, number) { "6000" } else { "7000" };
        format!("{scope}{:08}", self.number_of(number))
    }

    /// The part of the ids that only product `number` has.
    fn number_of(self, number: u32) -> u64 {
        u64::from(self.0) * u64::from(MOST_PRODUCTS) + u64::from(number)
    }

    /// The number of the product that has this id, if it is one of this seed.
    pub fn number_in(self, product_id: &str) -> Option<u32> {
        let number: u64 =
            product_id.strip_prefix("6000").or_else(|| product_id.strip_prefix("7000"))?.parse().ok()?;
        let number = number.checked_sub(u64::from(self.0) * u64::from(MOST_PRODUCTS))?;
        u32::try_from(number).ok().filter(|number| *number < MOST_PRODUCTS && product_id.len() == 12)
    }

    /// Where the ids of this seed's products stand: two spans, each from and up to, both included.
    pub fn id_spans(self) -> [(String, String); 2] {
        let (first, last) = (self.number_of(0), self.number_of(MOST_PRODUCTS - 1));
        ["6000", "7000"].map(|scope| (format!("{scope}{first:08}"), format!("{scope}{last:08}")))
    }
}

impl Generator {
    /// Prepares the generator of one seed.
    ///
    /// # Panics
    /// Never: it reads texts that are part of the program, and a test reads them.
    #[expect(clippy::expect_used, reason = "the texts are part of the program and a test reads them all")]
    pub fn new(seed: Seed) -> Self {
        let (holders, organisations) = shared::holders();
        let (names, substances) = shared::substances();
        let terms = demo::terms().expect("the words of the catalogue are read by its tests");
        let shared = demo::shared(&terms, &organisations, &substances)
            .expect("what generated products share is in the catalogue's notation");
        Self { seed, terms, shared, holders, substances: names }
    }

    /// Product `number` of this seed, counted from 0: a Bundle of type collection, or history when it has one. What it
    /// shares with others stands in the first Bundle that refers to it; numbers from 0 without gaps are complete.
    ///
    /// # Panics
    /// Never: a test expands as many products as have every word that the generator knows.
    #[expect(clippy::expect_used, reason = "all words are the catalogue's, and a test expands thousands")]
    pub fn bundle(&self, number: u32) -> Value {
        let mut dice = Dice::new(u64::from(self.seed.0), u64::from(number));
        let holder = self.holder(&mut dice, number);
        let product = product::write(self, &mut dice, number, holder);
        let numbers = Numbers::generated(self.seed.number_of(number));
        let mut resources = expansion::own_resources(&self.terms, &self.shared, &product, numbers)
            .expect("a generated product is in the catalogue's notation");
        let id = format!("generated-{}", product.id);
        if self.introduces(number) {
            expansion::include_shared(&self.shared, &mut resources);
        } else if history::happens(&mut dice) {
            return history::bundle(&id, &resources, &mut dice);
        }
        let entries: Vec<Value> = resources.into_iter().map(expansion::entry).collect();
        json!({"resourceType": "Bundle", "id": id, "type": "collection", "entry": entries})
    }

    /// The first products have a holder each, and bring what is shared; the others a holder of those, most of them a
    /// large one, and the demo's two a fixed share.
    fn holder(&self, dice: &mut Dice, number: u32) -> &Holder {
        let many = self.holders.len() as u64;
        let index = if self.introduces(number) {
            u64::from(number)
        } else {
            match dice.below(100) {
                0..8 => 0,
                8..15 => 1,
                // The square of an even chance: few hold much, many hold little.
                _ => 2 + dice.below(many - 2) * dice.below(many - 2) / many,
            }
        };
        &self.holders[usize::try_from(index).unwrap_or_default()]
    }

    fn introduces(&self, number: u32) -> bool {
        (number as usize) < self.holders.len()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::{Product, facts, links, schema};

    fn generator(seed: u64) -> Generator {
        Generator::new(Seed::try_from(seed).unwrap())
    }

    fn resources(bundle: &Value) -> Vec<Value> {
        bundle["entry"].as_array().unwrap().iter().map(|entry| entry["resource"].clone()).collect()
    }

    #[test]
    fn the_same_seed_makes_the_same_bytes_and_another_makes_others() {
        let (one, again, other) = (generator(7), generator(7), generator(8));
        for number in [0, 1, 401, 402, 977, 123_456, MOST_PRODUCTS - 1] {
            assert_eq!(one.bundle(number).to_string(), again.bundle(number).to_string());
            assert_ne!(one.bundle(number).to_string(), other.bundle(number).to_string());
        }
        // Bytes that a later program must make, too: whoever measured with a seed can measure again.
        let print = aws_lc_rs::digest::digest(
            &aws_lc_rs::digest::SHA256,
            (400..440).map(|number| one.bundle(number).to_string()).collect::<String>().as_bytes(),
        );
        assert_eq!(hex::encode(print)[..16], *"416afd48697d6ac3");
    }

    #[test]
    fn ids_name_seed_and_number_and_are_found_again() {
        let seed = Seed::try_from(42).unwrap();
        let [union, country] = seed.id_spans();
        for number in [0, 17, MOST_PRODUCTS - 1] {
            let id = seed.product_id(number);
            assert_eq!(seed.number_in(&id), Some(number), "{id}");
            let inside = |(from, to): &(String, String)| (from..=to).contains(&&id);
            assert!(inside(&union) || inside(&country), "{id}");
        }
        for other in ["600000900001", "600043000001", "6000420000001", "x", "5000420000001"] {
            assert_eq!(seed.number_in(other), None, "{other}");
        }
        assert!(Seed::try_from(0).is_err() && Seed::try_from(100).is_err());
    }

    #[test]
    fn every_resource_is_valid_and_every_link_leads_somewhere() {
        let generator = generator(3);
        let mut known = BTreeSet::new();
        let mut linked = BTreeSet::new();
        let (mut own, last) = (0, 520);
        for number in 0..last {
            let bundle = generator.bundle(number);
            let mut versions = BTreeMap::<String, u64>::new();
            for resource in resources(&bundle) {
                let problems = schema::check(&resource);
                assert!(problems.is_empty(), "{number}: {problems:?}");
                let key = crate::resource_key(&resource).unwrap().to_string();
                linked.extend(links::references(&resource).into_iter().map(|link| link.key.to_string()));
                let said: u64 = resource["meta"]["versionId"].as_str().unwrap().parse().unwrap();
                if bundle["type"] == "history" {
                    let last = versions.entry(key.clone()).or_default();
                    *last += 1;
                    assert_eq!(*last, said, "{key}");
                } else {
                    assert!(versions.insert(key.clone(), 1).is_none(), "{key} twice in one Bundle");
                }
                own += u32::from(known.insert(key) && !generator.introduces(number));
            }
        }
        let lost: Vec<_> = linked.difference(&known).collect();
        assert!(lost.is_empty(), "{lost:?}");
        let average = f64::from(own) / f64::from(last - 402);
        assert!((7.0..8.0).contains(&average), "{average} resources for each product");
    }

    #[test]
    fn what_registers_hold_occurs_as_often_as_in_them() {
        let generator = generator(1);
        let mut counts = BTreeMap::<&str, u32>::new();
        let many = 700;
        for number in 402..402 + many {
            let bundle = generator.bundle(number);
            let mut current = BTreeMap::new();
            for resource in resources(&bundle) {
                current.insert(crate::resource_key(&resource).unwrap(), resource);
            }
            let (roots, parts): (Vec<Value>, Vec<Value>) =
                current.into_values().partition(|one| one["resourceType"] == "MedicinalProductDefinition");
            let product = Product::new(roots[0].clone(), parts);
            let facts = facts::facts(&product, &|_| None);
            let mut count = |what, yes| *counts.entry(what).or_default() += u32::from(yes);
            count("human", facts.domains.human);
            count("veterinary", facts.domains.veterinary);
            count("central", facts.centrally_authorised);
            count("valid", facts.authorisations.iter().any(|one| one.status.is_valid()));
            count("tentative", facts.authorisations.iter().any(|one| one.status.is_tentative()));
            count("history", bundle["type"] == "history");
            count("operation", product.root.get("operation").is_some());
            count("cross reference", product.root.get("crossReference").is_some());
            let text = product.parts.iter().map(Value::to_string).collect::<String>();
            count("confidential ingredient", text.contains("\"restricted\""));
            count("pack size in words", text.contains("Package_size:"));
        }
        let share = |what: &str| f64::from(counts[what]) / f64::from(many);
        for (what, from, to) in [
            ("human", 0.84, 0.95),
            ("veterinary", 0.06, 0.16),
            ("central", 0.08, 0.17),
            ("valid", 0.76, 0.92),
            ("tentative", 0.015, 0.09),
            ("history", 0.03, 0.1),
            ("operation", 0.05, 0.16),
            ("cross reference", 0.01, 0.07),
            ("confidential ingredient", 0.01, 0.1),
            ("pack size in words", 0.03, 0.13),
        ] {
            assert!((from..to).contains(&share(what)), "{what}: {}", share(what));
        }
    }
}
