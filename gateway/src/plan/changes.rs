//! What one plan has that another has not, in lines that an operator reads in the log.

use config::Operation;

use crate::settings::{GatewaySettings, ProductSettings};

/// The differences of products, routes and upstreams, a line each: `+` came, `-` went, `~` is another now.
pub(super) fn between(before: &GatewaySettings, after: &GatewaySettings) -> Vec<String> {
    let mut lines = Vec::new();
    let both = paired(&before.products, &after.products, |product| &product.product.id);
    for (id, old, new) in both {
        match (old, new) {
            (Some(old), Some(new)) => product(&mut lines, id, old, new),
            (None, Some(new)) => lines.push(format!("+ product {id} at {}", new.product.base_path)),
            (Some(old), None) => lines.push(format!("- product {id} at {}", old.product.base_path)),
            (None, None) => {}
        }
        routes(&mut lines, old, new);
        upstreams(&mut lines, id, old, new);
    }
    if before.access_levels.text != after.access_levels.text {
        lines.push("~ access levels, as far as the gateway filters by them".to_owned());
    }
    if before.parameter_texts != after.parameter_texts {
        lines.push("~ what the documents say about parameters".to_owned());
    }
    lines
}

fn product(lines: &mut Vec<String>, id: &str, old: &ProductSettings, new: &ProductSettings) {
    let changed = differing(&[
        ("title", old.product.title != new.product.title),
        ("base_path", old.product.base_path != new.product.base_path),
        ("fhir_version", old.product.fhir_version != new.product.fhir_version),
        ("resource", old.product.resource != new.product.resource),
        ("roles", old.token_roles != new.token_roles),
        ("enforce", old.product.enforce != new.product.enforce),
        ("foreign", old.product.foreign != new.product.foreign),
    ]);
    if !changed.is_empty() {
        lines.push(format!("~ product {id}: {changed}"));
    }
}

fn routes(lines: &mut Vec<String>, old: Option<&ProductSettings>, new: Option<&ProductSettings>) {
    let place = |side: Option<&ProductSettings>, operation: &Operation| {
        let product = side.map_or(("", ""), |side| (&side.product.id, &side.product.base_path));
        format!(
            "route {} {} {} {}{}",
            product.0,
            operation.ep,
            operation.method.as_str(),
            product.1,
            operation.path
        )
    };
    let (olds, news) = (operations(old), operations(new));
    for (_, was, is) in paired(olds, news, |operation| &operation.ep) {
        match (was, is) {
            (Some(was), Some(is)) if was != is => {
                let changed = differing(&[
                    ("title", was.title != is.title),
                    ("method", was.method != is.method),
                    ("path", was.path != is.path),
                    ("interaction", was.interaction != is.interaction),
                    ("resource_type", was.resource_type != is.resource_type),
                    ("scope", was.scope != is.scope),
                    ("parameters", was.parameters != is.parameters),
                    ("restricted_parameters", was.restricted_parameters != is.restricted_parameters),
                    ("form_path", was.form_path != is.form_path),
                ]);
                lines.push(format!("~ {}: {changed}", place(new, is)));
            }
            (None, Some(is)) => lines.push(format!("+ {}", place(new, is))),
            (Some(was), None) => lines.push(format!("- {}", place(old, was))),
            _ => {}
        }
    }
}

fn upstreams(
    lines: &mut Vec<String>,
    id: &str,
    old: Option<&ProductSettings>,
    new: Option<&ProductSettings>,
) {
    let (olds, news) = (upstreams_of(old), upstreams_of(new));
    for (upstream, was, is) in paired(olds, news, String::as_str) {
        match (was, is) {
            (None, Some(_)) => lines.push(format!("+ upstream {id} {upstream}")),
            (Some(_), None) => lines.push(format!("- upstream {id} {upstream}")),
            _ => {}
        }
    }
    let same = |one: &[String], other: &[String]| {
        one.len() == other.len() && one.iter().all(|it| other.contains(it))
    };
    if olds != news && same(olds, news) {
        lines.push(format!("~ upstreams {id}: in another order"));
    }
}

/// What has the same key on both sides, side by side: in the new side's order, then what is gone.
fn paired<'a, T>(
    old: &'a [T],
    new: &'a [T],
    key: impl Fn(&'a T) -> &'a str,
) -> Vec<(&'a str, Option<&'a T>, Option<&'a T>)> {
    let in_old = |wanted: &str| old.iter().find(|one| key(one) == wanted);
    let in_new = |wanted: &str| new.iter().any(|one| key(one) == wanted);
    let stays_or_came = new.iter().map(|one| (key(one), in_old(key(one)), Some(one)));
    let went = old.iter().filter(|one| !in_new(key(one))).map(|one| (key(one), Some(one), None));
    stays_or_came.chain(went).collect()
}

fn operations(side: Option<&ProductSettings>) -> &[Operation] {
    side.map_or(&[], |side| &side.product.operations)
}

fn upstreams_of(side: Option<&ProductSettings>) -> &[String] {
    side.map_or(&[], |side| &side.upstreams)
}

fn differing(fields: &[(&str, bool)]) -> String {
    fields.iter().filter(|(_, differs)| *differs).map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::settings;

    #[test]
    fn what_came_went_and_changed_is_told_a_line_each() {
        let before = settings("http://127.0.0.1:9");
        assert_eq!(between(&before, &before), Vec::<String>::new());
        let mut after = before.clone();
        let read = &mut after.products[0];
        let vread = read.product.operations.remove(4);
        read.product.operations[0].scope = "system/*.s".into();
        read.product.operations[0].parameters.push("gtin".into());
        read.product.operations.push(Operation { ep: "EP399".into(), ..vread });
        read.token_roles.pop();
        read.upstreams = vec!["http://127.0.0.1:7".into(), "http://127.0.0.1:9".into()];
        after.products.remove(2);
        insta::assert_snapshot!(between(&before, &after).join("\n"), @"
        ~ product pms-read-v3: roles
        ~ route pms-read-v3 EP301 GET /pms/api/v3/MedicinalProductDefinition: scope, parameters
        + route pms-read-v3 EP399 GET /pms/api/v3/MedicinalProductDefinition/{id}/_history/{vid}
        - route pms-read-v3 EP306 GET /pms/api/v3/MedicinalProductDefinition/{id}/_history/{vid}
        + upstream pms-read-v3 http://127.0.0.1:7
        - product public-v1 at /public/v1
        - route public-v1 public-search GET /public/v1/MedicinalProductDefinition
        - upstream public-v1 http://127.0.0.1:9
        ");
        let mut turned = after.clone();
        turned.products[0].upstreams.reverse();
        assert_eq!(between(&after, &turned), ["~ upstreams pms-read-v3: in another order"]);
    }
}
