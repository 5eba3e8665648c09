//! Invented names: of companies, people, substances and products. None is meant to be anybody's.

use super::dice::Dice;

const STARTS: &[&str] = &[
    "ab", "al", "bel", "cor", "dal", "der", "el", "fen", "gal", "hal", "im", "jor", "kel", "lam", "lor",
    "mel", "mor", "nar", "nel", "or", "pal", "per", "quel", "ras", "rel", "sal", "sel", "tal", "tor", "ul",
    "val", "ver", "vor", "xan", "yel", "zan", "zor",
];
const MIDDLES: &[&str] = &[
    "a", "adi", "ami", "ano", "ari", "e", "eri", "i", "ili", "imo", "o", "ola", "ori", "u", "uri", "y", "yla",
];
const STEMS: &[&str] = &[
    "cillin", "dipine", "fenac", "floxan", "gliptex", "lukant", "mabid", "mycen", "oxetal", "prazine",
    "pril-x", "profane", "sartex", "setrol", "statine", "tidine", "trexol", "vastin", "vudine", "zepan",
    "zolide", "zumid",
];
const BRANDS: &[&str] =
    &["al", "an", "ax", "el", "ena", "era", "exa", "ida", "il", "iva", "ol", "on", "ora", "us", "yl", "ys"];
const FIRMS: &[(&str, &str)] = &[
    ("NL", "B.V."),
    ("DE", "GmbH"),
    ("FR", "S.A.S."),
    ("ES", "S.L."),
    ("PT", "Lda."),
    ("SE", "AB"),
    ("FI", "Oy"),
    ("EE", "OÜ"),
    ("CZ", "s.r.o."),
    ("EL", "Α.Ε."),
    ("IE", "Ltd"),
    ("AT", "Ges.m.b.H."),
    ("BE", "N.V."),
];
const TRADES: &[&str] = &["Pharma", "Labs", "Therapeutics", "Remedies", "Healthcare", "Biotech", "Medica"];
const PEOPLE: &[&str] =
    &["Aino", "Bram", "Chloé", "Dorothée", "Eneko", "Františka", "Grete", "Ivo", "Jürgen", "Lea"];

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn stem(dice: &mut Dice) -> String {
    let mut text = dice.pick(STARTS).to_owned();
    for _ in 0..=dice.below(2) {
        text += dice.pick(MIDDLES);
        text += dice.pick(&["b", "d", "f", "g", "k", "l", "m", "n", "p", "r", "s", "t", "v", "z"]);
    }
    text
}

/// A substance, as an international non-proprietary name sounds.
pub(super) fn substance(dice: &mut Dice) -> String {
    capital(&(stem(dice) + dice.pick(STEMS)))
}

/// The invented part of a product's name.
pub(super) fn brand(dice: &mut Dice) -> String {
    capital(&(stem(dice) + dice.pick(BRANDS)))
}

/// A company: its short name, its whole name and its country.
pub(super) fn company(dice: &mut Dice) -> (String, String, &'static str) {
    let short = capital(&stem(dice));
    let (country, form) = dice.weighted(&FIRMS.iter().map(|firm| (1, *firm)).collect::<Vec<_>>());
    let whole = format!("{short} {} {form}", dice.pick(TRADES));
    (short, whole, country)
}

/// Given and family name.
pub(super) fn person(dice: &mut Dice) -> (&'static str, String) {
    (dice.pick(PEOPLE), capital(&stem(dice)))
}
