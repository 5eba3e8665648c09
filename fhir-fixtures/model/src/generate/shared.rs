//! What generated products share: holders, their contacts and files, and substances, in the catalogue's notation. They
//! hang on no seed, so that products of different seeds can stand in one store.

use std::fmt::Write as _;

use super::{dice::Dice, names};

/// How many companies hold generated products, beside the two of the demo.
pub(super) const HOLDERS: u64 = 400;

/// How many active substances there are.
pub(super) const SUBSTANCES: u64 = 1500;

/// A company that holds products.
#[derive(Clone, Debug)]
pub(super) struct Holder {
    /// As the catalogue's texts name it; its contacts and files are named after it.
    pub(super) key: String,
    /// What its products' names end in.
    pub(super) short: String,
    pub(super) country: &'static str,
    /// A place of it, for products that name a location only.
    pub(super) location: String,
    /// In the numbers of its products.
    pub(super) organisation: String,
}

/// The holders, those of the demo first; and the texts that describe the others.
pub(super) fn holders() -> (Vec<Holder>, String) {
    let demo = |key: &str, short: &str, country, location: &str, organisation: &str| Holder {
        key: key.to_owned(),
        short: short.to_owned(),
        country,
        location: location.to_owned(),
        organisation: organisation.to_owned(),
    };
    let mut holders = vec![
        demo("aurelia", "Aurelia", "NL", "LOC-100000012", "100000001"),
        demo("valldemar", "Valldemar", "SE", "LOC-100000022", "100000002"),
    ];
    let mut text = String::new();
    for n in 0..HOLDERS {
        let dice = &mut Dice::new(0, n);
        let (short, whole, country) = names::company(dice);
        let (given, family) = names::person(dice);
        let key = format!("holder-{n}");
        let (organisation, location) = (300_000_000 + n, 300_000_000 + n);
        let domain = format!("holder{n}.example");
        let _ = write!(
            text,
            r#"
[organisation.{key}]
id = "{id}"
org = "ORG-{organisation}"
name = "{whole}"
city = "Fictville"
country = "{country}"
[organisation.{key}-enquiries]
id = "{enquiries}"
org = "ORG-{organisation}"
name = "{whole}, pharmacovigilance enquiries"
part-of = "{key}"
country = "{country}"
contact = {{ purpose = "Pharmacovigilance enquiry", email = "safety@{domain}" }}
[organisation.{key}-plant]
id = "{plant}"
location = "LOC-{location}"
name = "{short} manufacturing site"
country = "{country}"
[person.{key}-qppv]
id = "{person}"
role-id = "{role}"
family = "{family}"
given = "{given}"
email = "qppv@{domain}"
phone = "+00 0 {n:07}"
organisation = "{key}"
[file.{key}-psmf]
id = "{file}"
type = "psmf"
system = "http://spor.ema.europa.eu/v1/lists/100000000009/terms/100000075665"
number = "MFL{file}"
title = "Pharmacovigilance system master file of {short}"
custodian = "{key}"
country = "{country}"
description = "Kept at the holder's seat."
date = "2024-01-10T08:00:00Z"
"#,
            id = 300_000 + 10 * n,
            enquiries = 300_001 + 10 * n,
            plant = 300_002 + 10 * n,
            person = 310_000 + n,
            role = 320_000 + n,
            file = 910_000 + n,
        );
        let (location, organisation) = (format!("LOC-{location}"), organisation.to_string());
        holders.push(Holder { key, short, country, location, organisation });
    }
    (holders, text)
}

/// The names of the active substances; and the texts that describe them.
pub(super) fn substances() -> (Vec<String>, String) {
    let mut names = Vec::new();
    let mut text = String::new();
    for n in 0..SUBSTANCES {
        let name = names::substance(&mut Dice::new(0, 1_000_000 + n));
        let _ = write!(text, "\n[substance.active-{n}]\nsms = \"9000002{n:05}\"\nname = \"{name}\"\n");
        names.push(name);
    }
    (names, text)
}
