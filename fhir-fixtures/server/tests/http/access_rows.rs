//! Each row of the access matrix at each door, for each class of callers.

use std::collections::{BTreeMap, BTreeSet};

use fhir_model::{
    Product,
    access::{self, AccessMatrix, DEFAULT_MATRIX},
    render,
};
use http::StatusCode;
use pms_terms::Stakeholder;
use serde_json::Value;
use uuid::Uuid;

use crate::{
    harness::{Caller, House, NOW, V3, V5},
    other_products::doors,
    specimen::{self, Press, Specimen, opens},
};

async fn house(specimens: &[Specimen]) -> House {
    let house = House::empty().await;
    house.import(specimen::others()).await;
    house.import(specimens.iter().map(Specimen::bundle).collect()).await;
    house.follow().await;
    house
}

/// What an answer of a door could hold at most: the complete product, in its FHIR version.
struct Complete(BTreeMap<(bool, bool), String>);

impl Complete {
    fn of(specimen: &Specimen) -> Self {
        let product = Product::new(specimen.resources[0].clone(), specimen.resources[1..].to_vec());
        let old = render::product_to_4_4_0(&product);
        let text = |product: &Product| product.resources().map(Value::to_string).collect::<String>();
        Self(BTreeMap::from([
            ((false, false), product.root.to_string()),
            ((false, true), text(&product)),
            ((true, false), old.root.to_string()),
            ((true, true), text(&old)),
        ]))
    }

    fn has(&self, target: &str, mark: &str) -> bool {
        self.0[&(target.starts_with(V3), shows_all(target))].contains(mark)
    }
}

/// Whether a door shows all resources of a product, not its root alone.
fn shows_all(target: &str) -> bool {
    target.contains("$everything") || target.contains(TOLD)
}

/// Where the outcome of a merge is told.
const TOLD: &str = "/TransactionResponse/";

/// The door at which is told what a merge has stored: one that touched everything in the specimen.
async fn merge_answer(house: &House, specimen: &Specimen, product: &Product) -> String {
    let merge_id = Uuid::new_v4().to_string();
    let sender = Caller::QUALIFIED.viewer();
    let merge = (merge_id.as_str(), "client", &sender);
    fhir_store::merges::testing::keep_applied(house.database(), merge, product, NOW).await.unwrap();
    assert_eq!(product.root["id"], specimen.id.as_str());
    format!("{V5}{TOLD}{merge_id}")
}

/// Whether a value stands at a path, through arrays.
fn stands(value: &Value, path: &[&str]) -> bool {
    match (value, path) {
        (Value::Array(items), path) => items.iter().any(|item| stands(item, path)),
        (_, []) => !value.is_null(),
        (value, [name, rest @ ..]) => value.get(name).is_some_and(|value| stands(value, rest)),
    }
}

fn matrix() -> AccessMatrix {
    AccessMatrix::parse(DEFAULT_MATRIX, "config/access-levels.toml").unwrap()
}

#[test]
fn every_row_has_a_specimen_that_can_be_told() {
    let matrix = matrix();
    let specimens = Press::new(&matrix, DEFAULT_MATRIX).all();
    let lines: BTreeSet<usize> = specimens.iter().map(|specimen| specimen.line).collect();
    let missing: Vec<_> = matrix.rows().iter().filter(|row| !lines.contains(&row.line)).collect();
    // About what every product has: its id, its version, its time.
    assert_eq!(missing.len(), 3, "{missing:#?}");
    for specimen in &specimens {
        assert!(!specimen.marks.is_empty() || specimen.place.is_some(), "{}", specimen.name);
        let complete = Complete::of(specimen);
        for mark in &specimen.marks {
            assert!(complete.has("$everything", mark), "{}: {mark}", specimen.name);
        }
    }
    let without_row = specimens.iter().filter(|specimen| specimen.line == 0).count();
    assert!(without_row > 40, "{without_row}");
}

#[tokio::test]
async fn elements_of_the_product_are_shown_to_those_their_rows_name_and_to_nobody_else() {
    check(&["Medic"]).await;
}

#[tokio::test]
async fn elements_of_authorisations_packs_and_items_are_shown_to_those_their_rows_name_and_to_nobody_else() {
    check(&["Regul", "Packag", "Admin", "Manuf"]).await;
}

#[tokio::test]
async fn elements_of_ingredients_substances_and_uses_are_shown_to_those_their_rows_name_and_to_nobody_else() {
    check(&["Ingr", "Subst", "Clinical"]).await;
}

#[tokio::test]
async fn elements_of_organisations_people_and_documents_are_shown_to_those_their_rows_name_and_to_nobody_else()
 {
    check(&["Org", "Pract", "Doc", "Res", "ext"]).await;
}

#[tokio::test]
async fn elements_of_activities_are_shown_to_those_their_rows_name_and_to_nobody_else() {
    check(&["Act"]).await;
}

/// Asks every door as every caller about the specimens of resources whose type starts so.
async fn check(kinds: &[&str]) {
    let mut specimens = Press::new(&matrix(), DEFAULT_MATRIX).all();
    specimens.retain(|specimen| kinds.iter().any(|start| specimen.kind().starts_with(start)));
    let house = house(&specimens).await;
    let (mut shown, mut withheld, mut wrong) = (0, 0, Vec::new());
    for specimen in &specimens {
        let stored = fhir_store::find(house.database(), &specimen.id).await.unwrap().unwrap();
        let complete = Complete::of(specimen);
        let told = merge_answer(&house, specimen, &stored.product).await;
        for caller in Caller::ALL {
            let visible = caller.label != "veterinary authority";
            let is_public = caller.stakeholder == Stakeholder::Public;
            let column = access::column(&caller.viewer(), &stored.facts);
            let open = visible && opens(&specimen.cells[column as usize], specimen.state, is_public);
            let told = (!is_public).then(|| (told.clone(), true));
            for (target, certain) in doors(&caller, &specimen.id).into_iter().chain(told) {
                // Of parts, the root's versions say all that their list does.
                if target.ends_with("/_history") && specimen.kind() != "MedicinalProductDefinition" {
                    continue;
                }
                let answer = house.get(&caller, &target).await;
                let found = answer.status == StatusCode::OK;
                let searched = target.contains("?_id");
                if found != (visible && (certain || column >= access::Column::IndustryOwner)) && !searched {
                    wrong.push(format!("{} {target}: {}", caller.label, answer.status));
                }
                // That there was an entry is no news to who had sent it: its place stays, what stands there does not.
                let text = if target.contains(TOLD) && found {
                    answer.entries().iter().map(|entry| entry["resource"].to_string()).collect()
                } else {
                    answer.text.clone()
                };
                for mark in &specimen.marks {
                    let due = open && found && complete.has(&target, mark);
                    if text.contains(mark) != due {
                        wrong.push(format!(
                            "{}, line {}, {:?}: {} {} {mark} at {target}",
                            specimen.name,
                            specimen.line,
                            specimen.state,
                            caller.label,
                            if due { "misses" } else { "sees" },
                        ));
                    }
                    if due { shown += 1 } else { withheld += 1 }
                }
                if let Some((kind, path)) = &specimen.place
                    && found
                    && shows_all(&target)
                    && !target.starts_with(V3)
                {
                    let path: Vec<&str> = path.split('/').collect();
                    let has =
                        answer.entries().iter().map(|entry| &entry["resource"]).any(|resource| {
                            resource["resourceType"] == kind.as_str() && stands(resource, &path)
                        });
                    if has != open {
                        wrong.push(format!("{}: {} at {target}: {has}", specimen.name, caller.label));
                    }
                }
            }
        }
    }
    wrong.truncate(60);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(shown > 500 && withheld > 1_000, "{shown} shown, {withheld} withheld");
}
