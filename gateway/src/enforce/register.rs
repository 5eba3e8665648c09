//! Holders that are known by a location only: whose it is, as far as the foreign server tells. Our own backend has a
//! register of locations for that.

use std::collections::{BTreeMap, BTreeSet};

use fhir_model::{
    Product, ResourceKey,
    ResourceType::Organization,
    facts::{holder_locations, named_organisation},
    gather::Gathering,
    links,
};
use pms_terms::{LocationId, OrganisationId};
use serde_json::Value;

use super::Server;
use crate::error::GatewayError;

/// The organisations that locations belong to.
#[derive(Debug, Default)]
pub(crate) struct Register(BTreeMap<LocationId, OrganisationId>);

impl Register {
    /// Asks the server for the locations that hold something of these products, and for the organisations that manage
    /// them. What it does not tell is nobody's.
    pub(crate) async fn ask(server: &Server<'_>, products: &[Product]) -> Result<Self, GatewayError> {
        let wanted: BTreeSet<LocationId> = products.iter().flat_map(holder_locations).collect();
        if wanted.is_empty() {
            return Ok(Self::default());
        }
        let ids: Vec<&str> = wanted.iter().map(LocationId::as_str).collect();
        let locations = server.locations(&ids).await?;
        let mut managers = Gathering::new([Organization]);
        let nobody = |_: &ResourceKey| None;
        for reference in locations.iter().filter_map(manager) {
            let link = reference.get("reference").and_then(Value::as_str).and_then(links::parse_reference);
            if let (None, Some(key)) = (named_organisation(reference, &nobody), link) {
                managers.want(key);
            }
        }
        server.gather(&mut managers, Gathering::questions).await?;
        Ok(Self::read(&wanted, &locations, &managers))
    }

    /// Reads what was told. A location that is said to belong to several belongs to nobody.
    fn read(wanted: &BTreeSet<LocationId>, locations: &[Value], managers: &Gathering) -> Self {
        let mut told: BTreeMap<LocationId, BTreeSet<OrganisationId>> = BTreeMap::new();
        for location in locations {
            let organisation = manager(location)
                .and_then(|reference| named_organisation(reference, &|key| managers.find(key)));
            if let Some(organisation) = organisation {
                for id in ids(location).filter(|id| wanted.contains(id)) {
                    told.entry(id).or_default().insert(organisation.clone());
                }
            }
        }
        let single = |(location, mut organisations): (_, BTreeSet<_>)| match organisations.len() {
            1 => organisations.pop_first().map(|organisation| (location, organisation)),
            _ => None,
        };
        Self(told.into_iter().filter_map(single).collect())
    }

    /// The organisation that a location belongs to.
    pub(crate) fn organisation(&self, location: &LocationId) -> Option<OrganisationId> {
        self.0.get(location).cloned()
    }
}

fn manager(location: &Value) -> Option<&Value> {
    location.get("managingOrganization")
}

/// The ids of OMS that a Location has: in its identifiers, or as its own.
fn ids(location: &Value) -> impl Iterator<Item = LocationId> {
    let identifiers = location.get("identifier").and_then(Value::as_array).into_iter().flatten();
    let values = identifiers.filter_map(|identifier| identifier.get("value"));
    values.chain(location.get("id")).filter_map(|text| text.as_str()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// What is known of `LOC-100000001` when this is told.
    fn told(locations: &[Value], organisations: &[Value]) -> Option<String> {
        let location: LocationId = "LOC-100000001".parse().unwrap();
        let mut managers = Gathering::new([Organization]);
        for organisation in organisations {
            managers.add(organisation.clone());
        }
        let register = Register::read(&BTreeSet::from([location.clone()]), locations, &managers);
        register.organisation(&location).map(|organisation| organisation.to_string())
    }

    fn location(manager: &Value) -> Value {
        json!({"resourceType": "Location", "id": "a", "identifier": [{"value": "x"}, {"value": "LOC-100000001"}],
            "managingOrganization": manager})
    }

    #[test]
    fn a_location_belongs_to_the_organisation_of_oms_that_manages_it() {
        let one = Some("ORG-100000001".to_owned());
        for manager in [
            json!({"identifier": {"value": "ORG-100000001"}}),
            json!({"reference": "Organization/ORG-100000001"}),
            json!({"reference": "Organization/o1"}),
        ] {
            let named = json!({"resourceType": "Organization", "id": "o1", "identifier": [{"value": "ORG-100000001"}]});
            assert_eq!(told(&[location(&manager)], &[named]), one, "{manager}");
        }
        let mut by_id = location(&json!({"reference": "Organization/ORG-100000001"}));
        by_id["id"] = "LOC-100000001".into();
        by_id["identifier"].take();
        assert_eq!(told(&[by_id], &[]), one);
    }

    #[test]
    fn what_is_not_told_for_certain_is_nobodys() {
        let of = |id: &str| location(&json!({"identifier": {"value": id}}));
        let mut others = of("ORG-100000001");
        others["identifier"] = json!([{"value": "LOC-100000002"}]);
        for locations in [
            vec![],
            vec![others],
            vec![of("x")],
            vec![of("LOC-100000001")],
            vec![location(&Value::Null)],
            vec![location(&json!({"reference": "Organization/unknown"}))],
            vec![of("ORG-100000001"), of("ORG-100000002")],
        ] {
            assert_eq!(told(&locations, &[]), None, "{locations:?}");
        }
        let twice = [of("ORG-100000001"), of("ORG-100000001")];
        assert_eq!(told(&twice, &[]).as_deref(), Some("ORG-100000001"), "said twice, and the same");
    }
}
