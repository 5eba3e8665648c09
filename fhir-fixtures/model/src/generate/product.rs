//! One product in the catalogue's notation: name, status, authorisation; its parts are in [`super::parts`].

use super::{
    Dice, Generator, Seed, names, parts,
    shared::{Holder, SUBSTANCES},
};
use crate::demo::{
    product_text::{Authorisation, Case, CrossReference, Marketing, Name, Product},
    terms::Spelling,
};

/// Whether a product has one authorisation for the whole Union: known from its number, as other products' links need
/// its id.
pub(super) fn is_central(seed: Seed, number: u32) -> bool {
    Dice::new(u64::from(seed.0) + 1000, u64::from(number)).happens(120)
}

/// What is decided first and shows in many places.
pub(super) struct Outline<'a> {
    pub(super) holder: &'a Holder,
    pub(super) number: u64,
    pub(super) central: bool,
    pub(super) veterinary: bool,
    pub(super) country: &'static str,
    pub(super) language: &'static str,
    pub(super) form: &'static parts::Form,
    /// In milligrams, or what the form is measured in.
    pub(super) strength: &'static str,
    /// Keys and names of its active substances.
    pub(super) substances: Vec<(String, &'a str)>,
    pub(super) brand: String,
    pub(super) granted: String,
}

const COUNTRIES: &[(u64, (&str, &str))] = &[
    (20, ("DE", "de")),
    (14, ("FR", "fr")),
    (14, ("ES", "es")),
    (10, ("NL", "nl")),
    (8, ("PT", "pt")),
    (7, ("SE", "sv")),
    (6, ("CZ", "cs")),
    (5, ("AT", "de")),
    (4, ("BE", "fr")),
    (4, ("FI", "fi")),
    (3, ("EL", "el")),
    (3, ("IE", "en")),
    (2, ("EE", "et")),
];

/// Writes product `number`.
pub(super) fn write(from: &Generator, dice: &mut Dice, number: u32, holder: &Holder) -> Product {
    let outline = outline(from, dice, number, holder);
    let number_text = format!("{:08}", outline.number);
    let mut product = Product {
        id: from.seed.product_id(number),
        version_id: "1".to_owned(),
        last_updated: "2026-01-01T00:00:00Z".to_owned(),
        spelling: dice.weighted(&[
            (70, Spelling::Http),
            (15, Spelling::Https),
            (8, Spelling::Bare),
            (7, Spelling::Mixed),
        ]),
        names: product_names(&outline, dice),
        domain: domain(&outline, dice).map(str::to_owned),
        kind: Some(dice.weighted(&[(86, "chemical"), (10, "biological"), (4, "vaccine")]).to_owned()),
        mpid: (!dice.happens(10))
            .then(|| format!("{}-{}-{number_text}", outline.country, holder.organisation)),
        ev_code: dice.happens(800).then(|| format!("PRD{number_text}")),
        status: dice
            .weighted(&[
                (900, Some("current")),
                (40, Some("provisional")),
                (50, Some("non-current")),
                (7, Some("nullified")),
                (3, None),
            ])
            .map(str::to_owned),
        status_date: Some(outline.granted.clone()),
        description: dice.happens(200).then(|| format!("Record of {}.", outline.brand)),
        form: Some(outline.form.word.to_owned()),
        routes: vec![outline.form.route.to_owned()],
        indication: dice
            .happens(600)
            .then(|| format!("Treatment of invented conditions with {}.", outline.brand)),
        supply: Some(
            dice.weighted(&[(75, "prescription"), (18, "free"), (5, "restricted"), (2, "special")])
                .to_owned(),
        ),
        legal_basis: Some(
            if outline.veterinary {
                "veterinary-full"
            } else {
                dice.weighted(&[(60, "generic"), (30, "full"), (10, "well-established")])
            }
            .to_owned(),
        ),
        marketing: marketing(&outline, dice),
        master_files: vec![format!("{}-psmf", holder.key)],
        qppv: Some(format!("{}-qppv", holder.key)),
        enquiries: Some(format!("{}-enquiries", holder.key)),
        cross_references: cross_references(from, dice, number),
        operations: parts::operations(&outline, dice, from.introduces(number)),
        documents: parts::documents(&outline, dice),
        authorisations: vec![authorisation(&outline, dice)],
        ..Product::default()
    };
    let atc = atc(&outline);
    if outline.veterinary {
        product.atc_veterinary = Some(format!("Q{atc}"));
    } else {
        product.atc = Some(atc);
    }
    if dice.happens(80) {
        product.authorisations.push(second_authorisation(&outline, dice));
    }
    parts::write(&mut product, &outline, dice);
    product
}

fn outline<'a>(from: &'a Generator, dice: &mut Dice, number: u32, holder: &'a Holder) -> Outline<'a> {
    let veterinary = dice.happens(100);
    let central = is_central(from.seed, number);
    let (country, language) = if central {
        ("EU", "en")
    } else if dice.happens(250) {
        (holder.country, "en")
    } else {
        dice.weighted(COUNTRIES)
    };
    let form = dice.weighted(if veterinary { parts::VETERINARY_FORMS } else { parts::HUMAN_FORMS });
    let many = dice.weighted(&[(88, 1), (10, 2), (2, 3)]);
    // Some substances are in very many products, most in few.
    let first = dice.below(SUBSTANCES) * dice.below(SUBSTANCES) / SUBSTANCES;
    let substances = (0..many)
        .map(|n| (first + 37 * n) % SUBSTANCES)
        .filter_map(|n| {
            let name = from.substances.get(usize::try_from(n).ok()?)?;
            Some((format!("active-{n}"), name.as_str()))
        })
        .collect::<Vec<_>>();
    let brand = if dice.happens(550) {
        // A generic: the substance's name is the product's.
        substances.first().map_or_else(String::new, |(_, name)| (*name).to_owned())
    } else {
        names::brand(dice)
    };
    Outline {
        holder,
        number: from.seed.number_of(number),
        central,
        veterinary,
        country,
        language,
        form,
        strength: dice.pick(form.strengths),
        substances,
        brand,
        granted: dice.date(1996, 2025),
    }
}

fn domain(outline: &Outline<'_>, dice: &mut Dice) -> Option<&'static str> {
    match dice.below(1000) {
        0..5 => None,
        5..20 => Some("both"),
        _ if outline.veterinary => Some("veterinary"),
        _ => Some("human"),
    }
}

fn product_names(outline: &Outline<'_>, dice: &mut Dice) -> Vec<Name> {
    let strength = format!("{} {}", outline.strength, outline.form.strength_unit);
    let name = |country: &str, language: &str, dice: &mut Dice| {
        let form = outline.form.in_language(language);
        let mut full = format!("{} {} {strength} {form}", outline.brand, outline.holder.short);
        match dice.below(100) {
            // As some registers have them.
            0 => full = full.to_uppercase(),
            1 => full = format!("{} ", full.replacen(' ', "  ", 1)),
            _ => {}
        }
        Name {
            full,
            invented: Some(format!("{} {}", outline.brand, outline.holder.short)),
            strength: Some(strength.clone()),
            form: Some(form.to_owned()),
            usage: vec![format!("{country} {language}")],
            ..Name::default()
        }
    };
    let mut all = vec![name(outline.country, outline.language, dice)];
    if outline.central {
        for (country, language) in [("DE", "de"), ("FR", "fr"), ("SE", "sv")] {
            if dice.happens(400) {
                all.push(name(country, language, dice));
            }
        }
    }
    all
}

/// Level 5 of the classification, invented: one for each active substance.
fn atc(outline: &Outline<'_>) -> String {
    const GROUPS: &[&str] =
        &["A10B", "B01A", "C09C", "C10A", "D07A", "G03A", "J01C", "L01X", "M01A", "N02B", "N06A", "R03A"];
    let (key, name) = outline.substances.first().map_or(("active-0", ""), |(key, name)| (key.as_str(), name));
    let n: usize = key.trim_start_matches("active-").parse().unwrap_or_default();
    let group = GROUPS[n % GROUPS.len()];
    let letter = char::from(b'A' + u8::try_from(n / GROUPS.len() % 26).unwrap_or_default());
    format!("{group}{letter}{:02} {}", n % 90, name.to_lowercase())
}

fn marketing(outline: &Outline<'_>, dice: &mut Dice) -> Vec<Marketing> {
    if outline.country == "EU" || dice.happens(500) {
        return Vec::new();
    }
    vec![Marketing {
        country: Some(outline.country.to_owned()),
        status: dice
            .weighted(&[(80, "marketed"), (12, "not-marketed"), (5, "unavailable"), (3, "never-marketed")])
            .to_owned(),
        from: dice.happens(700).then(|| outline.granted.clone()),
        ..Marketing::default()
    }]
}

fn cross_references(from: &Generator, dice: &mut Dice, number: u32) -> Vec<CrossReference> {
    if number == 0 || !dice.happens(30) {
        return Vec::new();
    }
    let other = number - 1 - u32::try_from(dice.below(u64::from(number.min(50)))).unwrap_or_default();
    let kind = dice.weighted(&[(5, "line-extension"), (3, "national-variant"), (2, "duplicate")]);
    vec![CrossReference { to: from.seed.product_id(other), kind: Some(kind.to_owned()), display: None }]
}

fn authorisation(outline: &Outline<'_>, dice: &mut Dice) -> Authorisation {
    let status = dice.weighted(&[
        (700, Some("valid")),
        (120, Some("renewed")),
        (20, Some("transferred")),
        (30, Some("pending")),
        (58, Some("withdrawn")),
        (30, Some("expired")),
        (10, Some("suspended")),
        (7, Some("revoked")),
        (8, Some("rejected")),
        (5, Some("sunset")),
        (5, Some("not-renewed")),
        (3, Some("surrendered")),
        (2, Some("pre-submission")),
        (2, None),
    ]);
    let (year, n) = (&outline.granted[2..4], outline.number);
    let (number, kind) = if outline.central {
        (format!("EU/{}/{year}/{n:08}/001", 1 + u8::from(outline.veterinary)), "centralised")
    } else {
        let kind = dice.weighted(&[(54, "national"), (28, "decentralised"), (18, "mutual-recognition")]);
        (format!("{}-{year}-{n:08}", outline.country), kind)
    };
    let holder = if dice.happens(40) { outline.holder.location.clone() } else { outline.holder.key.clone() };
    Authorisation {
        number: (!dice.happens(15)).then_some(number),
        kind: "marketing".to_owned(),
        regions: vec![outline.country.to_owned()],
        status: status.map(str::to_owned),
        status_date: Some(outline.granted.clone()),
        from: Some(outline.granted.clone()),
        holder: Some(holder),
        regulator: Some("authority".to_owned()),
        procedure: Some(Case {
            number: Some(format!(
                "{}/H/{n:08}/001/{}",
                outline.country,
                if kind == "decentralised" { "DC" } else { "MR" }
            )),
            kind: Some(kind.to_owned()),
            ..Case::default()
        }),
        ..Authorisation::default()
    }
}

/// As a product that was renewed under another number, or lost one of two.
fn second_authorisation(outline: &Outline<'_>, dice: &mut Dice) -> Authorisation {
    Authorisation {
        number: Some(format!("{}-OLD-{:08}", outline.country, outline.number)),
        kind: "marketing".to_owned(),
        regions: vec![outline.country.to_owned()],
        status: Some(dice.weighted(&[(6, "expired"), (3, "withdrawn"), (1, "valid")]).to_owned()),
        holder: Some(outline.holder.key.clone()),
        regulator: Some("authority".to_owned()),
        ..Authorisation::default()
    }
}
