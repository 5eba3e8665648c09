//! The parts of a product: packs, items, administered forms, ingredients, uses, operations, documents.

use super::{dice::Dice, product::Outline};
use crate::demo::{
    composition_text::{
        Administered, ClinicalUse, Container, Held, Ingredient, Item, Pack, Route, ShelfLife, Species,
        Strength, Withdrawal,
    },
    product_text::{Document, Marketing, Operation, Product, Property},
};

/// A dose form and what goes with it.
#[derive(Debug)]
pub(super) struct Form {
    /// In the words of the catalogue.
    pub(super) word: &'static str,
    /// What one of it is called.
    unit: &'static str,
    packaging: &'static str,
    material: &'static str,
    pub(super) route: &'static str,
    pub(super) strengths: &'static [&'static str],
    pub(super) strength_unit: &'static str,
    sizes: &'static [&'static str],
    /// In English, German, French, Spanish and, for others, in English again.
    names: [&'static str; 4],
}

impl Form {
    pub(super) fn in_language(&self, language: &str) -> &'static str {
        match language {
            "de" => self.names[1],
            "fr" => self.names[2],
            "es" => self.names[3],
            _ => self.names[0],
        }
    }
}

const SOLID: &[&str] =
    &["1", "2.5", "5", "10", "20", "25", "40", "50", "75", "100", "150", "200", "250", "400", "500", "1000"];
const LIQUID: &[&str] = &["1", "2", "5", "10", "20", "25", "50", "100"];
const SOLID_SIZES: &[&str] = &["7", "10", "14", "20", "28", "30", "50", "56", "60", "84", "90", "98", "100"];
const LIQUID_SIZES: &[&str] = &["1", "2", "5", "6", "10", "20"];

const fn solid(word: &'static str, unit: &'static str, names: [&'static str; 4]) -> Form {
    Form {
        word,
        unit,
        packaging: "blister",
        material: "aluminium",
        route: "oral",
        strengths: SOLID,
        strength_unit: "mg",
        sizes: SOLID_SIZES,
        names,
    }
}

const fn liquid(
    word: &'static str,
    unit: &'static str,
    route: &'static str,
    names: [&'static str; 4],
) -> Form {
    Form {
        word,
        unit,
        packaging: unit,
        material: "glass",
        route,
        strengths: LIQUID,
        strength_unit: "mg/ml",
        sizes: LIQUID_SIZES,
        names,
    }
}

const FILM_COATED: Form = solid(
    "film-coated-tablet",
    "tablet",
    ["film-coated tablets", "Filmtabletten", "comprimé pelliculé", "comprimidos recubiertos con película"],
);
const TABLET: Form = solid("tablet", "tablet", ["tablets", "Tabletten", "comprimé", "comprimidos"]);
const CAPSULE: Form =
    solid("hard-capsule", "capsule", ["hard capsules", "Hartkapseln", "gélule", "cápsulas duras"]);
const PROLONGED: Form = solid(
    "prolonged-release-tablet",
    "tablet",
    [
        "prolonged-release tablets",
        "Retardtabletten",
        "comprimé à libération prolongée",
        "comprimidos de liberación prolongada",
    ],
);
const INJECTION: Form = liquid(
    "solution-for-injection",
    "vial",
    "intravenous",
    ["solution for injection", "Injektionslösung", "solution injectable", "solución inyectable"],
);
const AMPOULE: Form = liquid(
    "solution-for-injection",
    "ampoule",
    "intramuscular",
    ["solution for injection", "Injektionslösung", "solution injectable", "solución inyectable"],
);
const INFUSION: Form = liquid(
    "solution-for-infusion",
    "bag",
    "intravenous",
    ["solution for infusion", "Infusionslösung", "solution pour perfusion", "solución para perfusión"],
);
const ORAL: Form = liquid(
    "oral-solution",
    "bottle",
    "oral",
    ["oral solution", "Lösung zum Einnehmen", "solution buvable", "solución oral"],
);
const CREAM: Form = liquid("cream", "tube", "cutaneous", ["cream", "Creme", "crème", "crema"]);
const CHEWABLE: Form = solid(
    "chewable-tablet",
    "tablet",
    ["chewable tablets", "Kautabletten", "comprimé à croquer", "comprimidos masticables"],
);
const SUSPENSION: Form = liquid(
    "suspension-for-injection",
    "vial",
    "subcutaneous",
    ["suspension for injection", "Injektionssuspension", "suspension injectable", "suspensión inyectable"],
);
const SPOT_ON: Form = liquid(
    "spot-on",
    "pipette",
    "spot-on",
    [
        "spot-on solution",
        "Lösung zum Auftropfen",
        "solution pour spot-on",
        "solución para unción dorsal puntual",
    ],
);

pub(super) const HUMAN_FORMS: &[(u64, &Form)] = &[
    (28, &FILM_COATED),
    (20, &TABLET),
    (13, &CAPSULE),
    (6, &PROLONGED),
    (11, &INJECTION),
    (5, &AMPOULE),
    (5, &INFUSION),
    (7, &ORAL),
    (5, &CREAM),
];

pub(super) const VETERINARY_FORMS: &[(u64, &Form)] =
    &[(25, &CHEWABLE), (20, &INJECTION), (20, &SUSPENSION), (20, &SPOT_ON), (15, &ORAL)];

/// Adds what the product consists of; one in twenty is a thin record without.
pub(super) fn write(product: &mut Product, outline: &Outline<'_>, dice: &mut Dice) {
    let thin = dice.happens(50);
    if !thin {
        product.items = vec![Item {
            form: outline.form.word.to_owned(),
            unit: Some(outline.form.unit.to_owned()),
            properties: colour(dice),
            ..Item::default()
        }];
        product.administered = vec![administered(outline)];
    }
    product.ingredients = ingredients(outline, dice);
    for n in 0..dice.weighted(&[(68, 1), (22, 2), (8, 3), (2, 4)]) {
        product.packs.push(pack(outline, dice, n, thin));
    }
    for _ in 0..dice.weighted(&[(80, 0), (15, 1), (5, 2)]) {
        product.uses.push(clinical_use(dice));
    }
}

fn colour(dice: &mut Dice) -> Vec<Property> {
    if !dice.happens(300) {
        return Vec::new();
    }
    let text = dice.pick(&["White", "Off-white", "Yellow", "Pink", "Blue"]).to_owned();
    vec![Property { kind: "colour".to_owned(), text: Some(text), ..Property::default() }]
}

fn administered(outline: &Outline<'_>) -> Administered {
    let species = if outline.veterinary {
        vec![Species {
            of: "cattle".to_owned(),
            withdrawal: vec![Withdrawal { tissue: "meat".to_owned(), period: "14 d".to_owned(), note: None }],
        }]
    } else {
        Vec::new()
    };
    Administered {
        form: Some(outline.form.word.to_owned()),
        unit: Some(outline.form.unit.to_owned()),
        from: vec![1],
        routes: vec![Route { by: outline.form.route.to_owned(), species, ..Route::default() }],
        ..Administered::default()
    }
}

fn ingredients(outline: &Outline<'_>, dice: &mut Dice) -> Vec<Ingredient> {
    let unit = outline.form.unit;
    let mut all: Vec<Ingredient> = outline
        .substances
        .iter()
        .map(|(key, _)| {
            let amount = format!("{} mg", outline.strength);
            let strength = if outline.form.strength_unit == "mg" {
                Strength { per_unit: Some(format!("{amount} / 1 {unit}")), ..Strength::default() }
            } else {
                Strength { per_amount: Some(format!("{amount} / 1 ml")), ..Strength::default() }
            };
            Ingredient {
                substance: key.clone(),
                role: "active".to_owned(),
                strength: vec![strength],
                ..Ingredient::default()
            }
        })
        .collect();
    for _ in 0..dice.weighted(&[(72, 0), (18, 1), (10, 2)]) {
        let substance = dice.pick(&[
            "lactose",
            "magnesium-stearate",
            "water",
            "mannitol",
            "titanium-dioxide",
            "polysorbate",
        ]);
        if all.iter().all(|one| one.substance != substance) {
            all.push(Ingredient {
                substance: substance.to_owned(),
                role: "excipient".to_owned(),
                confidential: dice.happens(150),
                ..Ingredient::default()
            });
        }
    }
    all
}

fn pack(outline: &Outline<'_>, dice: &mut Dice, n: u64, thin: bool) -> Pack {
    let (form, size) = (outline.form, dice.pick(outline.form.sizes));
    let in_words = dice.happens(50);
    let packaging = Container {
        kind: "box".to_owned(),
        quantity: 1,
        of: vec!["cardboard".to_owned()],
        inside: vec![Container {
            kind: form.packaging.to_owned(),
            quantity: 1,
            of: vec![form.material.to_owned()],
            holds: vec![Held { item: 1, amount: Some(format!("{size} {}", form.unit)) }],
            shelf_life: if dice.happens(300) {
                let period = dice.pick(&["24 month", "36 month", "60 month"]).to_owned();
                vec![ShelfLife {
                    kind: Some("closed".to_owned()),
                    period: Some(period),
                    ..ShelfLife::default()
                }]
            } else {
                Vec::new()
            },
            ..Container::default()
        }],
        ..Container::default()
    };
    Pack {
        pcid: Some(format!("{:03}", 101 + n)),
        status: Some("current".to_owned()),
        quantities: if in_words { Vec::new() } else { vec![format!("{size} {}", form.unit)] },
        description: Some(if in_words {
            format!("Package_size:{size} {}, Content:as labelled", form.unit)
        } else {
            format!("{size} {}", form.in_language(outline.language))
        }),
        marketing: if outline.country != "EU" && dice.happens(350) {
            let status = dice.weighted(&[(4, "marketed"), (1, "not-marketed")]).to_owned();
            vec![Marketing { country: Some(outline.country.to_owned()), status, ..Marketing::default() }]
        } else {
            Vec::new()
        },
        packaging: (!thin).then_some(packaging),
        ..Pack::default()
    }
}

fn clinical_use(dice: &mut Dice) -> ClinicalUse {
    let kind = dice.weighted(&[(5, "indication"), (3, "contraindication"), (2, "undesirable-effect")]);
    let about = dice.pick(&[
        "Fictitious hypertension",
        "Imaginary infection",
        "Invented pain",
        "Hypothetical fever",
        "Supposed hypersensitivity",
    ]);
    ClinicalUse { kind: kind.to_owned(), about: about.to_owned(), ..ClinicalUse::default() }
}

/// What industry tells the agency alone: where and how it is made. A product that `introduces` its holder has some.
pub(super) fn operations(outline: &Outline<'_>, dice: &mut Dice, introduces: bool) -> Vec<Operation> {
    if !dice.happens(100) && !introduces {
        return Vec::new();
    }
    let plant = match outline.holder.key.as_str() {
        "aurelia" => "aurelia-cork".to_owned(),
        "valldemar" => "valldemar-plant".to_owned(),
        key => format!("{key}-plant"),
    };
    (0..=dice.below(2))
        .map(|n| Operation {
            activity: dice
                .pick(&["batch-release", "primary-packaging", "granulation", "active-substance"])
                .to_owned(),
            sites: vec![plant.clone()],
            confidentiality: dice
                .weighted(&[(6, Some("confidential")), (3, Some("public")), (1, None)])
                .map(str::to_owned),
            from: Some(outline.granted.clone()),
            authorisation: dice.happens(500).then(|| format!("M-{:08}-{n}", outline.number)),
            ..Operation::default()
        })
        .collect()
}

pub(super) fn documents(outline: &Outline<'_>, dice: &mut Dice) -> Vec<Document> {
    let kinds: &[&str] = match dice.below(100) {
        0..14 => &["smpc"],
        14..19 => &["smpc", "leaflet"],
        19..20 => &["smpc", "assessment-report"],
        _ => &[],
    };
    kinds
        .iter()
        .map(|kind| Document {
            kind: (*kind).to_owned(),
            title: format!("{}: {kind}", outline.brand),
            language: Some(outline.language.to_owned()),
            ..Document::default()
        })
        .collect()
}
