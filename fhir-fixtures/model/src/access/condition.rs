//! Deciding the conditions and classes of the matrix (`domain.md` §6.4, notes 1 to 7). In doubt, no.

use serde_json::Value;

use crate::{
    ResourceKey, ResourceType,
    facts::{AuthorisationKind, authorisation_kind, authorisation_status},
    links, resource_key, resource_type,
    terms::{MARKETING_STATUS, codes_in_list},
};

use super::{
    Column,
    concept::{Listed, descend},
    context::{Context, substance_marks},
    matrix::{Class, Condition, Permission, Row},
};

/// The element at hand: the values from the resource down to it.
#[derive(Clone, Copy)]
pub(super) struct Place<'s, 'v> {
    /// The resource first, the element last. Array items, not arrays.
    pub(super) values: &'s [&'v Value],
    /// The resource is not the current version.
    pub(super) old: bool,
}

impl<'v> Place<'_, 'v> {
    fn root(&self) -> &'v Value {
        self.values.first().copied().unwrap_or(&Value::Null)
    }

    fn here(&self) -> &'v Value {
        self.values.last().copied().unwrap_or(&Value::Null)
    }

    /// The value that stands at the first `common` segments of a path whose whole length is `depth`.
    fn ancestor(&self, common: usize, depth: usize) -> &'v Value {
        if common <= 1 {
            return self.root();
        }
        let up = depth - common;
        self.values
            .len()
            .checked_sub(1 + up)
            .and_then(|at| self.values.get(at))
            .copied()
            .unwrap_or(&Value::Null)
    }
}

/// What a row says to a column at a place.
pub(super) fn permits(context: &Context<'_>, row: &Row, place: Place<'_, '_>) -> bool {
    match row.permission(context.column) {
        Permission::Yes => true,
        Permission::No => false,
        Permission::If(condition) => holds(context, condition, &row.path, place),
    }
}

/// Whether the element belongs to the row's class.
pub(super) fn in_class(context: &Context<'_>, row: &Row, place: Place<'_, '_>) -> bool {
    row.class.as_ref().is_none_or(|(_, class)| is_of_class(context, *class, &row.path, place))
}

fn holds(context: &Context<'_>, condition: &Condition, path: &str, place: Place<'_, '_>) -> bool {
    match condition {
        Condition::CentralOnly => context.facts.centrally_authorised,
        Condition::MarketingStatus => {
            context.matrix.switches.marketing_status.contains(&context.column)
                && is_marketed_or_not(place.here())
        }
        Condition::TargetVisible => targets_visible(context, place.here()),
        Condition::UnlessConfidential => !is_confidential(context, path, place),
        Condition::BatchRelease => {
            context.matrix.switches.batch_release.contains(&context.column)
                && !is_confidential(context, path, place)
                && is_batch_release(context, operation(path, place))
        }
        Condition::AlreadyPublic => is_shown_indication(context, place.here()),
        Condition::AuthorisationStatus => {
            let switches = &context.matrix.switches;
            let status = authorisation_status(place.root());
            match context.column {
                Column::Public => switches.public_authorisations.contains(&status),
                Column::IndustryOther => switches.industry_authorisations.contains(&status),
                _ => true,
            }
        }
        Condition::NotHiddenIngredient => {
            !substance_marks(place.here()).any(|mark| context.hidden_substances.contains(&mark))
        }
        Condition::Class(_, class) => is_of_class(context, *class, path, place),
    }
}

fn is_of_class(context: &Context<'_>, class: usize, path: &str, place: Place<'_, '_>) -> bool {
    match context.matrix.classes.get(class) {
        Some(Class::Marketing) => authorisation_kind(place.root()) == AuthorisationKind::Marketing,
        Some(Class::Manufacturing) => authorisation_kind(place.root()) == AuthorisationKind::Manufacturing,
        Some(Class::Listed(listed)) if listed.in_target => is_listed_in_target(context, listed, place.here()),
        Some(Class::Listed(listed)) => {
            let path: Vec<&str> = path.trim_end_matches(".*").split('.').collect();
            let common = path.iter().zip(&listed.at).take_while(|(own, at)| *own == at).count();
            if common == 0 {
                return false;
            }
            let found = descend(place.ancestor(common, path.len()), &listed.at[common..]);
            !found.is_empty() && found.into_iter().all(|value| listed.holds(value))
        }
        None => false,
    }
}

fn is_listed_in_target(context: &Context<'_>, listed: &Listed, reference: &Value) -> bool {
    let key = reference.get("reference").and_then(Value::as_str).and_then(links::parse_reference);
    let Some(target) = key.and_then(|key| context.members.get(&key)) else { return false };
    let found = descend(target, &listed.at[1..]);
    !found.is_empty() && found.into_iter().all(|value| listed.holds(value))
}

/// The `MedicinalProductDefinition.operation` around a place at or below it.
fn operation<'v>(path: &str, place: Place<'_, 'v>) -> &'v Value {
    place.ancestor(2, path.trim_end_matches(".*").split('.').count())
}

/// Notes 4 and 7. An old version is confidential when anything of the kind is so today.
fn is_confidential(context: &Context<'_>, path: &str, place: Place<'_, '_>) -> bool {
    match resource_type(place.root()) {
        Some(ResourceType::MedicinalProductDefinition) => {
            (place.old && context.any_confidential)
                || context.operation_is_confidential(operation(path, place))
        }
        Some(ResourceType::RegulatedAuthorization) => context.authorisation_is_confidential(place.root()),
        Some(ResourceType::ActivityDefinition) => {
            resource_key(place.root()).is_none_or(|key| context.activity_is_confidential(&key))
        }
        Some(ResourceType::Ingredient) => context.ingredient_is_confidential(place.root()),
        _ => true,
    }
}

/// Note 2: marketed or not marketed, and a country.
fn is_marketed_or_not(status: &Value) -> bool {
    let codes =
        status.get("status").map(|status| codes_in_list(status, MARKETING_STATUS).collect::<Vec<_>>());
    status.get("country").is_some()
        && codes.is_some_and(|codes| {
            !codes.is_empty() && codes.iter().all(|code| matches!(*code, "100000072083" | "100000072074"))
        })
}

/// Note 3: the reader may know of every product that the element mentions, and it mentions one.
fn targets_visible(context: &Context<'_>, element: &Value) -> bool {
    let found = links::targets(element);
    !found.is_empty() && found.into_iter().all(|key| is_open_product(context, &key))
}

fn is_open_product(context: &Context<'_>, key: &ResourceKey) -> bool {
    key.resource_type == ResourceType::MedicinalProductDefinition && context.knows_product(key)
}

fn is_batch_release(context: &Context<'_>, operation: &Value) -> bool {
    let Some(Class::Listed(class)) =
        context.matrix.switches.batch_release_class.and_then(|class| context.matrix.classes.get(class))
    else {
        return false;
    };
    let Some(kind) = operation.get("type") else { return false };
    let activity = kind.get("reference").and_then(|reference| reference.get("reference")?.as_str());
    let code = activity
        .and_then(links::parse_reference)
        .and_then(|key| context.members.get(&key))
        .and_then(|activity| activity.get("code"));
    let concept = kind.get("concept");
    (concept.is_some() || code.is_some())
        && concept.into_iter().chain(code).all(|concept| class.holds(concept))
}

/// Note 6: the indication refers to a clinical use definition of the product that the same column sees.
fn is_shown_indication(context: &Context<'_>, indication: &Value) -> bool {
    let reference = indication.get("reference").and_then(|reference| reference.get("reference")?.as_str());
    reference.and_then(links::parse_reference).is_some_and(|key| {
        key.resource_type == ResourceType::ClinicalUseDefinition
            && context.members.contains_key(&key)
            && !context.hidden.contains(&key)
    })
}
