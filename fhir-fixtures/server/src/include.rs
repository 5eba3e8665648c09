//! `_include` and `_revinclude`: what comes along with the products found (FHIR search, including other resources).
//!
//! Only ever from the caller's own view of each product: what is filtered out of that view cannot be reached by any
//! link, nor can another product.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use fhir_model::{
    ResourceKey, ResourceType,
    link_parameters::{self, Link, LinkParameter},
};
use pms_terms::FhirVersion;
use serde_json::Value;

use crate::{
    outcome::Refusal,
    parameters::{Parameters, wrong},
    views::{ProductView, Rendered},
};

/// Included resources on one page: a page that would get more ends earlier, but for its first product.
pub(crate) const MAX_INCLUDED: usize = 1000;

/// The type of what is searched for here.
const ROOT: ResourceType = ResourceType::MedicinalProductDefinition;

/// All that is to be included.
#[derive(Clone, Debug, Default)]
pub(crate) struct Inclusions(Vec<Inclusion>);

/// One wish.
#[derive(Clone, Debug)]
struct Inclusion {
    /// From the target to the source of a link.
    reverse: bool,
    /// Also from what was included itself.
    iterate: bool,
    /// The type whose links are meant; any without one.
    source: Option<ResourceType>,
    /// The parameter; any link without one.
    parameter: Option<LinkParameter>,
    /// The type of the target; any without one.
    target: Option<ResourceType>,
}

impl Parameters {
    /// `_include` and `_revinclude`.
    pub(crate) fn includes(&self, version: FhirVersion) -> Result<Inclusions, Refusal> {
        self.inclusions()
            .map(|(name, modifier, value)| Inclusion::read(name, modifier, value, version))
            .collect::<Result<_, _>>()
            .map(Inclusions)
    }
}

impl Inclusion {
    fn read(name: &str, modifier: &str, value: &str, version: FhirVersion) -> Result<Self, Refusal> {
        let iterate = match modifier {
            "" => false,
            "iterate" => true,
            other => {
                let problem = format!("does not take the modifier :{other}; there is :iterate");
                return Err(wrong(name, &problem));
            }
        };
        let reverse = name == "_revinclude";
        let mut parts = value.split(':');
        let (source, parameter, target) = (parts.next().unwrap_or_default(), parts.next(), parts.next());
        if parts.next().is_some() {
            return Err(wrong(
                name,
                "has too many colons: write Type:parameter or Type:parameter:TargetType",
            ));
        }
        if (source, parameter) == ("*", None) {
            return Ok(Self { reverse, iterate, source: None, parameter: None, target: None });
        }
        let type_of = |text: &str| {
            ResourceType::ALL.into_iter().find(|known| known.as_str_in(version) == text).ok_or_else(|| {
                let known = ResourceType::ALL.map(|known| known.as_str_in(version)).join(", ");
                wrong(name, &format!("{text:?} is no resource type of this API; there are {known}"))
            })
        };
        let source = type_of(source)?;
        let target = target.map(type_of).transpose()?;
        if !reverse && !iterate && source != ROOT {
            let problem = format!(
                "{source} is not what is searched for here, so nothing could be included by its links: write \
                 {name}:iterate={value} to follow them from what is included otherwise"
            );
            return Err(wrong(name, &problem));
        }
        let of_source: Vec<LinkParameter> =
            link_parameters::all(version).into_iter().filter(|one| one.resource_type == source).collect();
        let parameter = match parameter {
            None => return Err(wrong(name, "names no parameter: write Type:parameter, Type:* or *")),
            Some("*") => None,
            Some(text) => Some(of_source.iter().find(|one| one.name == text).copied().ok_or_else(|| {
                let known: Vec<&str> = of_source.iter().map(|one| one.name).collect();
                let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                let source = source.as_str_in(version);
                wrong(name, &format!("{source} has no link {text:?} in FHIR {version}; there are {known}"))
            })?),
        };
        Ok(Self { reverse, iterate, source: Some(source), parameter, target })
    }

    fn follows(&self, source: ResourceType, link: &Link) -> bool {
        self.source.is_none_or(|wanted| wanted == source)
            && self.target.is_none_or(|wanted| wanted == link.target.resource_type)
            && self.parameter.is_none_or(|parameter| parameter.follows(link))
    }
}

impl Inclusions {
    /// Whether nothing is to be included.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Places in the view of what comes along with its root, in the order of the view.
    fn of(&self, view: &ProductView) -> BTreeSet<usize> {
        let nodes: Vec<(usize, Node)> = view
            .resources
            .iter()
            .enumerate()
            .filter_map(|(place, resource)| Some((place, Node::read(resource)?)))
            .collect();
        let places: HashMap<&ResourceKey, usize> =
            nodes.iter().map(|(place, node)| (&node.key, *place)).collect();
        let mut included = BTreeSet::from([0]);
        let mut starts = vec![0];
        let mut first = true;
        // Each round includes something new or is the last: there are at most as many as there are resources.
        while !starts.is_empty() {
            let mut found = BTreeSet::new();
            for wish in self.0.iter().filter(|wish| first || wish.iterate) {
                if wish.reverse {
                    for (place, node) in &nodes {
                        let points_here = |link: &Link| {
                            wish.follows(node.key.resource_type, link)
                                && places.get(&link.target).is_some_and(|target| starts.contains(target))
                        };
                        if node.links.iter().any(points_here) {
                            found.insert(*place);
                        }
                    }
                } else {
                    for (_, node) in nodes.iter().filter(|(place, _)| starts.contains(place)) {
                        let kind = node.key.resource_type;
                        let followed = node.links.iter().filter(|link| wish.follows(kind, link));
                        found.extend(followed.filter_map(|link| places.get(&link.target)));
                    }
                }
            }
            starts = found.into_iter().filter(|place| included.insert(*place)).collect();
            first = false;
        }
        included.remove(&0);
        included
    }
}

/// A resource with its links.
struct Node {
    key: ResourceKey,
    links: Vec<Link>,
}

impl Node {
    fn read(resource: &Rendered) -> Option<Self> {
        let key = ResourceKey::new(resource.resource_type.parse().ok()?, resource.id.as_str());
        let tree: Value = serde_json::from_slice(&resource.body).ok()?;
        Some(Self { key, links: link_parameters::links_of(&tree) })
    }
}

/// What is included on one page, each resource once.
#[derive(Debug, Default)]
pub(crate) struct Along {
    keys: HashSet<(String, String)>,
    views: Vec<(Arc<ProductView>, Vec<usize>)>,
}

impl Along {
    /// Adds what comes along with the root of `view`. Says no, and adds nothing, when the page is full.
    pub(crate) fn add(&mut self, wishes: &Inclusions, view: &Arc<ProductView>) -> bool {
        let key = |place: &usize| {
            let resource = view.resources.get(*place)?;
            Some((resource.resource_type.clone(), resource.id.clone()))
        };
        let mut places: Vec<usize> = wishes.of(view).into_iter().collect();
        places.retain(|place| key(place).is_some_and(|key| !self.keys.contains(&key)));
        if !self.views.is_empty() && self.keys.len() + places.len() > MAX_INCLUDED {
            return false;
        }
        self.keys.extend(places.iter().filter_map(key));
        self.views.push((Arc::clone(view), places));
        true
    }

    /// The included resources, in the order of the products that they came with.
    pub(crate) fn resources(&self) -> impl Iterator<Item = &Rendered> {
        self.views
            .iter()
            .flat_map(|(view, places)| places.iter().filter_map(|place| view.resources.get(*place)))
    }
}
