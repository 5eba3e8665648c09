//! Compares the listing with the official definitions, where they lie beside the checkout.

use std::path::PathBuf;

use pms_terms::FhirVersion;
use serde_json::Value;

use super::{Listing, Node};

fn definitions(version: FhirVersion) -> Option<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/data/fhir-definitions")
        .join(version.as_str());
    if !folder.is_dir() {
        println!("skipped: no official definitions at {}", folder.display());
        return None;
    }
    Some(folder)
}

/// The elements directly below a path as `name cardinality types`, from an official file.
fn official(elements: &[Value], path: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for element in elements {
        let full = element["path"].as_str().unwrap();
        let Some(name) = full.strip_prefix(path).and_then(|rest| rest.strip_prefix('.')) else { continue };
        if name.contains('.') {
            continue;
        }
        let types = match element["types"].as_array() {
            Some(types) => {
                let mut kinds: Vec<(&str, Vec<&str>)> = Vec::new();
                for kind in types {
                    let code = kind["code"].as_str().unwrap();
                    let is_link = matches!(code, "Reference" | "CodeableReference");
                    let targets = kind["targets"].as_array().filter(|_| is_link).into_iter().flatten();
                    let targets = targets.map(|it| it.as_str().unwrap()).filter(|it| *it != "Resource");
                    match kinds.last_mut() {
                        Some((last, known)) if *last == code => known.extend(targets),
                        _ => kinds.push((code, targets.collect())),
                    }
                }
                kinds.iter().map(|(code, targets)| kind(code, targets)).collect::<Vec<_>>().join("|")
            }
            None => "BackboneElement".to_owned(),
        };
        let max = element["max"].as_str().unwrap();
        lines.push(format!("{name} {}..{} {types}", element["min"], if max == "1" { "1" } else { "*" }));
    }
    lines
}

fn kind(code: &str, targets: &[&str]) -> String {
    if targets.is_empty() { code.to_owned() } else { format!("{code}({})", targets.join(",")) }
}

fn ours(node: &Node) -> Vec<String> {
    let line = |element: &super::Element| {
        let types: Vec<String> = element.types.iter().map(|each| kind(each.name, &each.targets)).collect();
        let choice = if element.choice { "[x]" } else { "" };
        let (min, max) = (i32::from(element.required), if element.repeats { "*" } else { "1" });
        format!("{}{choice} {min}..{max} {}", element.name, types.join("|"))
    };
    node.elements.iter().map(line).collect()
}

fn compare(listing: &'static Listing, node: &Node, elements: &[Value], path: &str, wrong: &mut Vec<String>) {
    let (official, own) = (official(elements, path), ours(node));
    for line in official.iter().filter(|line| !own.contains(line)) {
        wrong.push(format!("{path}: official {line}"));
    }
    for line in own.iter().filter(|line| !official.contains(line)) {
        wrong.push(format!("{path}: ours {line}"));
    }
    if official.len() == own.len() && official != own {
        wrong.push(format!("{path}: another order"));
    }
    for element in &node.elements {
        let below = format!("{path}.{}", element.name);
        let has_own = elements
            .iter()
            .any(|each| each["path"].as_str().is_some_and(|p| p.starts_with(&format!("{below}."))));
        if let (true, Some(inner)) =
            (has_own, element.types.first().and_then(|kind| listing.node_of(&kind.content)))
        {
            compare(listing, inner, elements, &below, wrong);
        }
    }
    for element in elements
        .iter()
        .filter(|element| element["path"].as_str().unwrap().rsplit_once('.').is_some_and(|(p, _)| p == path))
    {
        let name = element["path"].as_str().unwrap().rsplit('.').next().unwrap().trim_end_matches("[x]");
        let summary = element["summary"].as_bool() == Some(true);
        let of_resource =
            path.chars().next().is_some_and(char::is_uppercase) && !path.contains('.') && node.is_resource;
        if of_resource && node.elements.iter().any(|each| each.name == name && each.summary != summary) {
            wrong.push(format!("{path}.{name}: summary is {summary}"));
        }
    }
}

#[test]
fn the_listing_agrees_with_the_official_definitions() {
    for version in [FhirVersion::V4_4_0, FhirVersion::V5_0_0] {
        let Some(folder) = definitions(version) else { continue };
        let listing = Listing::of(version);
        let mut wrong = Vec::new();
        let mut compared = 0;
        for name in listing.type_names() {
            let Ok(text) = std::fs::read_to_string(folder.join(format!("{name}.json"))) else {
                wrong.push(format!("{name}: no official definition"));
                continue;
            };
            let definition: Value = serde_json::from_str(&text).unwrap();
            let elements = definition["elements"].as_array().unwrap();
            compare(listing, listing.type_node(name).unwrap(), elements, name, &mut wrong);
            compared += 1;
        }
        assert_eq!(wrong, Vec::<String>::new(), "{version}");
        println!("{compared} types compared with FHIR {version}");
    }
}

#[test]
fn closed_lists_agree_with_the_official_ones() {
    for version in [FhirVersion::V4_4_0, FhirVersion::V5_0_0] {
        let Some(folder) = definitions(version) else { continue };
        let lists: Value =
            serde_json::from_str(&std::fs::read_to_string(folder.join("code-lists.json")).unwrap()).unwrap();
        let listing = Listing::of(version);
        let mut wrong = Vec::new();
        for name in listing.type_names() {
            let text = std::fs::read_to_string(folder.join(format!("{name}.json"))).unwrap();
            let definition: Value = serde_json::from_str(&text).unwrap();
            for element in definition["elements"].as_array().unwrap() {
                let path = element["path"].as_str().unwrap();
                let is_code =
                    element["types"][0]["code"] == "code" && element["binding"]["strength"] == "required";
                let members = is_code
                    .then(|| lists["valueSets"][element["binding"]["valueSet"].as_str().unwrap()].as_array())
                    .flatten();
                let Some(members) = members else { continue };
                let official: Vec<&str> = members.iter().map(|code| code.as_str().unwrap()).collect();
                let own = own_members(listing, path);
                // Lists of type names and MIME types are long and guard nothing here.
                if official.len() < 60 && own != official {
                    wrong.push(format!("{path}: {own:?} instead of {official:?}"));
                }
            }
        }
        assert_eq!(wrong, Vec::<String>::new(), "{version}");
    }
}

fn own_members(listing: &'static Listing, path: &str) -> Vec<&'static str> {
    let mut segments = path.split('.');
    let mut node = listing.type_node(segments.next().unwrap()).unwrap();
    let mut found = Vec::new();
    for segment in segments {
        let kind = node.property(segment).unwrap().1;
        match &kind.content {
            super::Content::Primitive(_, members) => found = members.clone().unwrap_or_default(),
            content => node = listing.node_of(content).unwrap(),
        }
    }
    found
}
