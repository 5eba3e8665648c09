//! The outline of a product: what of its root each column sees, kept so that the root can be shown without a look at
//! the rest of the product (`docs/decisions/0010-outlines.md`).
//!
//! What a column sees of the root hangs on the other resources: whether they are hidden themselves, what they say of an
//! activity or a contact. So it is worked out when the product is stored, in the view of a reader who knows no other
//! product, and in that of one who knows all that this one mentions, and kept as that which is to be cut from the stored
//! root. An outline fails closed: a column for which the cut does not give exactly what its view gave has none, and neither
//! has any for another version or another matrix, or for a reader who knows some of what is mentioned and not all.

use std::{borrow::Cow, collections::BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    json::{Fields, Json},
    render::Links,
};

use super::{AccessMatrix, Column, ColumnSet, Targets, tag::tag_borrowed};

/// How much of the matrix's digest stands in an outline, in hexadecimal digits.
const DIGEST: usize = 16;

/// How the root of one product, in one version, looks to the columns of one matrix.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outline {
    /// The start of the matrix's digest.
    matrix: String,
    /// `meta.versionId` of the root.
    version: String,
    /// For readers who know of no other product.
    cutouts: Vec<Cutout>,
    /// For those who know of all that this one mentions, where it mentions any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    knowing: Option<Knowing>,
}

/// How the root looks to those who may know of these other products.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Knowing {
    mentions: BTreeSet<String>,
    cutouts: Vec<Cutout>,
}

/// How the root looks to some columns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Cutout {
    columns: ColumnSet,
    /// How many elements are missing from the root, which is tagged as incomplete if any are.
    #[serde(default)]
    withheld: usize,
    /// JSON pointers (RFC 6901) into the root, tagged where it is to be, in the order of the document.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    cuts: Vec<String>,
    #[serde(default, skip_serializing_if = "Links::is_empty")]
    links: Links,
    /// The second of the greatest `meta.lastUpdated` that the columns see in the product.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    youngest: Option<String>,
}

/// A product's root as a column sees it, and what it needs to know of the rest.
#[derive(Clone, Debug, PartialEq)]
pub struct ShownRoot<'t> {
    /// What the column sees of the root.
    pub root: Json<'t>,
    /// How many elements are missing from it, each with all that was below it.
    pub withheld: usize,
    /// The inverse links that it sees, for [`crate::render::root_to_4_4_0`].
    pub links: Links,
    /// When the youngest resource that it sees was stored: an instant of RFC 3339, without fractions of its second.
    /// None when it sees of none when that was.
    pub youngest: Option<String>,
}

impl Outline {
    /// Reads [`Outline::text`]. Nothing when it was made by another matrix, or is no outline.
    pub fn read(text: &str, matrix: &AccessMatrix) -> Option<Self> {
        let outline: Self = serde_json::from_str(text).ok()?;
        (outline.matrix == start_of(matrix)).then_some(outline)
    }

    /// As it is stored.
    pub fn text(&self) -> String {
        // Texts, numbers and lists of them: there is nothing that could not be written.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// What a column sees of the stored root when its reader may know of these other products. Nothing when that is
    /// to be asked of the whole product.
    pub fn shown<'t>(self, column: Column, targets: &Targets, stored: Json<'t>) -> Option<ShownRoot<'t>> {
        if version(&stored)? != self.version {
            return None;
        }
        let cutouts = if knows_enough_without(column, targets) {
            self.cutouts
        } else {
            self.knowing.filter(|knowing| knowing.mentions == targets.visible)?.cutouts
        };
        let cutout = cutouts.into_iter().find(|cutout| cutout.columns.contains(column))?;
        let root = cutout.cut(stored)?;
        let Cutout { withheld, links, youngest, .. } = cutout;
        Some(ShownRoot { root, withheld, links, youngest })
    }

    /// Whether the outline of a product that mentions `mentions` is for readers like this: who may know of none of these, or
    /// of all.
    pub fn is_for(column: Column, targets: &Targets, mentions: &[String]) -> bool {
        knows_enough_without(column, targets) || targets.visible.iter().eq(mentions)
    }

    /// The outline by this matrix of the product that was sketched for those who know none of `mentions`, and for those who
    /// know all of them.
    pub(crate) fn new(matrix: &AccessMatrix, none: Sketch<'_>, all: Option<(&Targets, Sketch<'_>)>) -> Self {
        Self {
            matrix: start_of(matrix).to_owned(),
            version: version(&none.root).unwrap_or_default().to_owned(),
            cutouts: none.finish(),
            knowing: all.map(|(targets, sketch)| Knowing {
                mentions: targets.visible.clone(),
                cutouts: sketch.finish(),
            }),
        }
    }
}

/// Whether the view of a reader who knows no other product is this one's: nobody's gates are closed to the agency.
fn knows_enough_without(column: Column, targets: &Targets) -> bool {
    targets.visible.is_empty() || column.passes_every_gate()
}

impl Cutout {
    fn cut<'t>(&self, mut root: Json<'t>) -> Option<Json<'t>> {
        if self.withheld > 0 {
            tag_borrowed(&mut root);
        }
        // Backwards, so that the places of what is still to be cut stay what they were.
        self.cuts.iter().rev().all(|pointer| take(&mut root, pointer)).then_some(root)
    }
}

/// Draws the outline of one product for one kind of reader, column by column.
#[derive(Debug)]
pub(crate) struct Sketch<'p> {
    root: Json<'p>,
    /// Each with what it leaves of the root.
    cutouts: Vec<(Cutout, Json<'p>)>,
}

impl<'p> Sketch<'p> {
    /// Of the product with this root, as it will be read from the store.
    pub(crate) fn new(root: &'p Value) -> Self {
        Self { root: Json::from(root), cutouts: Vec::new() }
    }

    /// Takes over what some columns see of the product, of its root and of the rest, and how many elements are missing
    /// from the root.
    pub(crate) fn add(&mut self, columns: ColumnSet, shown: &Value, parts: &[&Value], withheld: usize) {
        if self.root.get("contained").is_some() {
            // In 4.4.0, it would show links of its own.
            return;
        }
        let Ok(youngest) = youngest(shown, parts) else { return };
        let links = Links::of_root(shown, parts);
        let shown = Json::from(shown);
        let same = self.cutouts.iter_mut().find(|(cutout, root)| {
            cutout.withheld == withheld
                && cutout.youngest == youngest
                && cutout.links == links
                && is_identical(root, &shown)
        });
        if let Some((cutout, _)) = same {
            cutout.columns = cutout.columns.union(columns);
            return;
        }
        let mut cutout = Cutout { columns, withheld, cuts: Vec::new(), links, youngest };
        let mut root = self.root.clone();
        if !is_identical(&root, &shown) {
            if withheld > 0 {
                tag_borrowed(&mut root);
            }
            if !compare(&root, &shown, &mut Vec::new(), &mut cutout.cuts) {
                return;
            }
            match cutout.cut(root) {
                Some(left) if is_identical(&left, &shown) => root = left,
                _ => return,
            }
        }
        self.cutouts.push((cutout, root));
    }

    fn finish(self) -> Vec<Cutout> {
        self.cutouts.into_iter().map(|(cutout, _)| cutout).collect()
    }
}

fn start_of(matrix: &AccessMatrix) -> &str {
    let digest = matrix.digest();
    digest.get(..DIGEST).unwrap_or(digest)
}

fn version<'j>(root: &'j Json<'_>) -> Option<&'j str> {
    root.get("meta")?.get("versionId")?.as_str()
}

/// The second of the greatest `meta.lastUpdated` of the resources. Fails when one is not in UTC, as the store writes it.
fn youngest(root: &Value, parts: &[&Value]) -> Result<Option<String>, ()> {
    let mut youngest: Option<&str> = None;
    for resource in parts.iter().chain([&root]) {
        let Some(text) = resource.get("meta").and_then(|meta| meta.get("lastUpdated")?.as_str()) else {
            continue;
        };
        let rest = text.get("2026-01-15T09:30:00".len()..).unwrap_or_default();
        if !(rest == "Z" || rest.starts_with('.') && rest.ends_with('Z')) {
            return Err(());
        }
        youngest = youngest.max(Some(&text[..text.len() - rest.len()]));
    }
    Ok(youngest.map(|second| format!("{second}Z")))
}

/// Whether two trees are written as the same bytes: the members of an object have an order.
fn is_identical(one: &Json<'_>, other: &Json<'_>) -> bool {
    match (one, other) {
        (Json::Object(one), Json::Object(other)) => {
            one.len() == other.len()
                && one
                    .iter()
                    .zip(other.iter())
                    .all(|((a, one), (b, other))| a == b && is_identical(one, other))
        }
        (Json::Array(one), Json::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| is_identical(one, other))
        }
        _ => one == other,
    }
}

/// A step from a tree to what stands in it.
#[derive(Clone, Copy)]
enum Step<'t> {
    Name(&'t str),
    Index(usize),
}

/// Notes in `cuts` what is to be cut from `whole`, which stands at `path`, so that `shown` is left; whether that can be.
/// Which of several like items goes makes no difference to what is left.
fn compare<'t>(
    whole: &'t Json<'_>,
    shown: &Json<'_>,
    path: &mut Vec<Step<'t>>,
    cuts: &mut Vec<String>,
) -> bool {
    match (whole, shown) {
        (Json::Object(whole), Json::Object(shown)) => {
            let mut rest = shown.iter().peekable();
            for (name, value) in whole.iter() {
                path.push(Step::Name(name));
                match rest.next_if(|(shown, _)| *shown == name) {
                    None => cuts.push(pointer(path)),
                    Some((_, shown)) if compare(value, shown, path, cuts) => {}
                    Some(_) => return false,
                }
                path.pop();
            }
            rest.next().is_none()
        }
        (Json::Array(whole), Json::Array(shown)) => {
            let mut rest = shown.iter().peekable();
            let (depth, mut noted) = (path.len(), cuts.len());
            for (index, item) in whole.iter().enumerate() {
                path.push(Step::Index(index));
                if rest.next_if(|shown| compare(item, shown, path, cuts)).is_none() {
                    path.truncate(depth + 1);
                    cuts.truncate(noted);
                    cuts.push(pointer(path));
                }
                path.pop();
                noted = cuts.len();
            }
            rest.next().is_none()
        }
        _ => whole == shown,
    }
}

/// A path as a JSON pointer.
fn pointer(path: &[Step<'_>]) -> String {
    let mut text = String::new();
    for step in path {
        text.push('/');
        match step {
            Step::Name(name) if name.contains(['~', '/']) => {
                text.push_str(&name.replace('~', "~0").replace('/', "~1"));
            }
            Step::Name(name) => text.push_str(name),
            Step::Index(index) => text.push_str(&index.to_string()),
        }
    }
    text
}

/// Takes out what a pointer points to; whether there was something.
fn take(root: &mut Json<'_>, pointer: &str) -> bool {
    let Some((parent, name)) = pointer.rsplit_once('/') else { return false };
    match below(root, parent) {
        Some(Json::Object(fields)) => remove(fields, name),
        Some(Json::Array(items)) => match name.parse() {
            Ok(index) if index < items.len() => {
                items.remove(index);
                true
            }
            _ => false,
        },
        _ => false,
    }
}

/// What a pointer points to.
fn below<'j, 't>(root: &'j mut Json<'t>, pointer: &str) -> Option<&'j mut Json<'t>> {
    let Some(path) = pointer.strip_prefix('/') else { return pointer.is_empty().then_some(root) };
    path.split('/').try_fold(root, |json, step| match json {
        Json::Object(fields) => fields.get_mut(&plain(step)),
        Json::Array(items) => items.get_mut(step.parse::<usize>().ok()?),
        _ => None,
    })
}

fn remove(fields: &mut Fields<'_>, name: &str) -> bool {
    fields.remove(&plain(name)).is_some()
}

/// A name in a pointer (RFC 6901 §4).
fn plain(step: &str) -> Cow<'_, str> {
    if step.contains('~') { step.replace("~1", "/").replace("~0", "~").into() } else { step.into() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn cut(whole: &Value, shown: &Value) -> Option<Vec<String>> {
        let mut cuts = Vec::new();
        let (mut left, shown) = (Json::from(whole), Json::from(shown));
        if !compare(&left.clone(), &shown, &mut Vec::new(), &mut cuts) {
            return None;
        }
        assert!(cuts.iter().rev().all(|pointer| take(&mut left, pointer)));
        assert!(is_identical(&left, &shown), "{left} {shown}");
        Some(cuts)
    }

    #[test]
    fn what_is_cut_leaves_what_is_shown() {
        let whole = json!({"a": [{"x": 1, "y": 2}, {"x": 1}, {"x": 3, "y": [1, 2, 3]}], "b/c": {"~": 1, "d": 2}, "e": "f"});
        for (shown, cuts) in [
            (whole.clone(), &[] as &[&str]),
            (json!({}), &["/a", "/b~1c", "/e"]),
            (
                json!({"a": [{"x": 3, "y": [2]}], "e": "f"}),
                &["/a/0", "/a/1", "/a/2/y/0", "/a/2/y/2", "/b~1c"],
            ),
            (
                json!({"a": [{"x": 1}, {"x": 3}], "b/c": {"d": 2}}),
                &["/a/0/y", "/a/1", "/a/2/y", "/b~1c/~0", "/e"],
            ),
        ] {
            assert_eq!(cut(&whole, &shown).unwrap(), cuts, "{shown}");
        }
        for other in [
            json!({"e": "f", "a": []}),
            json!({"e": "g"}),
            json!({"z": 1}),
            json!({"a": [{"x": 3}, {"x": 1}]}),
            json!({"a": {"x": 1}}),
        ] {
            assert_eq!(cut(&whole, &other), None, "{other}");
        }
    }

    #[test]
    fn what_does_not_fit_is_not_cut() {
        for pointer in ["", "a", "/z", "/a/3", "/a/x", "/e/f", "/z/z"] {
            let whole = json!({"a": [1, 2, 3], "e": "f"});
            assert!(!take(&mut Json::from(&whole), pointer), "{pointer}");
        }
    }
}
