//! Reading `access-levels.toml`: every row is checked against the schema, every mistake named with its line.

mod text;

use std::{
    collections::{BTreeSet, HashMap},
    ops::Range,
};

use aws_lc_rs::digest::{SHA256, digest};
use pms_terms::FhirVersion;
use toml::Spanned;

use crate::{
    ResourceType,
    facts::AuthorisationStatus,
    schema::{Listing, Node},
    search::normalise,
    terms::canonical_system,
};

use super::{
    AccessMatrix, Column,
    concept::Listed,
    matrix::{Class, Condition, ExtensionRow, Permission, Row, Rules, Switches},
    table::{Cell, MatrixRow, RowSubject},
};
use text::{ClassText, FileText, NonOwner, PermissionText, RowText, SwitchesText};

/// A mistake in the matrix file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{source_name}:{line}: {message}")]
pub struct MatrixError {
    /// The file, as the caller named it.
    pub source_name: String,
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub message: String,
}

impl AccessMatrix {
    /// Reads and checks the text of a matrix file. `source_name` is what errors call it.
    pub fn parse(text: &str, source_name: &str) -> Result<Self, MatrixError> {
        let reader = Reader { text, source_name, listing: Listing::of(FhirVersion::V5_0_0) };
        let file: FileText = toml::from_str(text).map_err(|error| {
            let at = error.span().unwrap_or(0..0);
            reader.error(&at, error.message())
        })?;
        reader.compile(file)
    }
}

struct Reader<'t> {
    text: &'t str,
    source_name: &'t str,
    listing: &'static Listing,
}

impl Reader<'_> {
    fn line(&self, span: &Range<usize>) -> usize {
        let end = span.start.min(self.text.len());
        self.text.get(..end).map_or(1, |before| before.matches('\n').count() + 1)
    }

    fn error(&self, span: &Range<usize>, message: impl Into<String>) -> MatrixError {
        MatrixError {
            source_name: self.source_name.to_owned(),
            line: self.line(span),
            message: message.into(),
        }
    }

    fn compile(&self, file: FileText) -> Result<AccessMatrix, MatrixError> {
        let mut classes = vec![Class::Marketing, Class::Manufacturing];
        let mut names = HashMap::from([("marketing".to_owned(), 0), ("manufacturing".to_owned(), 1)]);
        for (name, class) in file.class {
            let span = class.span();
            if names.contains_key(&name) || Condition::built_in(&name).is_some() {
                return Err(self.error(&span, format!("{name} is built in and cannot be a class")));
            }
            names.insert(name.clone(), classes.len());
            classes.push(Class::Listed(self.class(&name, &span, class.into_inner())?));
        }
        let switches = self.switches(file.switches, names.get("batch-release-activity").copied())?;
        let (mut table, mut element_rows) = (Vec::new(), Vec::new());
        let mut all_open = [true; 6];
        let mut types: HashMap<String, Rules> =
            ResourceType::ALL.iter().map(|each| (each.as_str().to_owned(), Rules::new())).collect();
        for row in file.rows.element {
            let span = row.span();
            let row = self.place(&mut types, (&names, &classes), &span, row.into_inner())?;
            for (open, permission) in all_open.iter_mut().zip(&row.permissions) {
                *open &= *permission == Permission::Yes;
            }
            element_rows.push(MatrixRow {
                about: RowSubject::Element { path: row.path, class: row.class.map(|(name, _)| name) },
                line: row.line,
                cells: row.permissions.each_ref().map(Cell::from),
            });
        }
        let mut extensions: HashMap<String, Vec<ExtensionRow>> = HashMap::new();
        for row in file.extension {
            let (line, span, row) = (self.line(&row.span()), row.span(), row.into_inner());
            if let Some(path) = &row.path {
                self.node_at(path, &span)?;
            }
            let permissions = [row.public, row.industry, row.owner, row.qualified, row.nca, row.ema];
            for (open, permission) in all_open.iter_mut().zip(permissions) {
                *open &= permission;
            }
            table.push(MatrixRow {
                about: RowSubject::Extension { url: row.url.clone(), path: row.path.clone() },
                line,
                cells: permissions.each_ref().map(Cell::from),
            });
            let rows = extensions.entry(row.url.clone()).or_default();
            rows.push(ExtensionRow { path: row.path, line, url: row.url, permissions });
        }
        table.append(&mut element_rows);
        let history = file.history;
        Ok(AccessMatrix {
            digest: hex::encode(digest(&SHA256, self.text.as_bytes())),
            banner: file.banner,
            table,
            switches,
            history: [
                history.public,
                history.industry,
                history.owner,
                history.qualified,
                history.nca,
                history.ema,
            ],
            all_open,
            classes,
            types,
            extensions,
        })
    }

    fn switches(
        &self,
        text: SwitchesText,
        batch_release_class: Option<usize>,
    ) -> Result<Switches, MatrixError> {
        let columns = |list: Spanned<Vec<String>>| -> Result<BTreeSet<Column>, MatrixError> {
            let span = list.span();
            list.into_inner()
                .into_iter()
                .map(|name| {
                    let column = Column::ALL.into_iter().find(|column| column.as_str() == name);
                    column.ok_or_else(|| self.error(&span, format!("{name:?} is no column")))
                })
                .collect()
        };
        let statuses = |list: Spanned<Vec<String>>| -> Result<BTreeSet<AuthorisationStatus>, MatrixError> {
            let span = list.span();
            list.into_inner()
                .into_iter()
                .map(|name| {
                    let status = AuthorisationStatus::ALL.into_iter().find(|status| status.as_str() == name);
                    let status = status.ok_or_else(|| self.error(&span, format!("{name:?} is no status")))?;
                    if status.is_tentative() {
                        return Err(self.error(
                            &span,
                            format!("{name} was never granted: owners and authorities only (G2)"),
                        ));
                    }
                    Ok(status)
                })
                .collect()
        };
        Ok(Switches {
            industry_sees_public_subset: matches!(text.industry_non_owner, NonOwner::PublicSubset),
            marketing_status: columns(text.marketing_status)?,
            batch_release: columns(text.batch_release_manufacturer)?,
            batch_release_class,
            public_authorisations: statuses(text.public_authorisations)?,
            industry_authorisations: statuses(text.industry_authorisations)?,
            not_confidential: text.not_confidential.iter().map(|word| normalise(word)).collect(),
        })
    }

    fn class(&self, name: &str, span: &Range<usize>, text: ClassText) -> Result<Listed, MatrixError> {
        let (path, in_target) = match (text.at, text.target) {
            (Some(path), None) => (path, false),
            (None, Some(path)) => (path, true),
            _ => return Err(self.error(span, format!("class {name}: either at or target"))),
        };
        if text.systems.is_empty() && text.codes.is_empty() && text.texts.is_empty() {
            return Err(self.error(span, format!("class {name}: systems, codes or texts")));
        }
        self.node_at(&path, span)?;
        let at: Vec<String> = path.split('.').map(str::to_owned).collect();
        Ok(Listed {
            at,
            in_target,
            systems: text.systems.iter().map(|system| canonical_system(system).into_owned()).collect(),
            codes: text.codes.into_iter().collect(),
            texts: text.texts.iter().map(|text| normalise(text)).collect(),
        })
    }

    /// Checks that an element path exists, choices without `[x]`, and returns its element names.
    fn node_at<'p>(&self, path: &'p str, span: &Range<usize>) -> Result<Vec<&'p str>, MatrixError> {
        let mut segments = path.split('.');
        let type_name = segments.next().unwrap_or_default();
        let known = type_name == "Resource" || type_name.parse::<ResourceType>().is_ok();
        let mut node = self.listing.type_node(type_name).filter(|_| known);
        if node.is_none() {
            return Err(self.error(span, format!("{type_name:?} is no resource type of this server")));
        }
        let mut names = vec![type_name];
        for segment in segments {
            let element =
                node.and_then(|node: &Node| node.elements.iter().find(|element| element.name == segment));
            let Some(element) = element else {
                return Err(self.error(span, format!("{path}: no element {segment:?} in FHIR 5.0.0")));
            };
            node = match element.types.as_slice() {
                [kind] => self.listing.node_of(&kind.content),
                _ => None,
            };
            names.push(segment);
        }
        Ok(names)
    }

    /// A class must be about the resource type of the row, or about what the element refers to.
    fn class_fits(
        &self,
        name: &str,
        class: Option<&Class>,
        span: &Range<usize>,
        path: &str,
    ) -> Result<(), MatrixError> {
        let own = path.split('.').next().unwrap_or_default();
        let fits = match class {
            Some(Class::Marketing | Class::Manufacturing) => own == "RegulatedAuthorization",
            Some(Class::Listed(listed)) => {
                listed.in_target || listed.at.first().is_some_and(|about| about == own)
            }
            None => false,
        };
        if fits { Ok(()) } else { Err(self.error(span, format!("class {name} says nothing about {path}"))) }
    }

    fn permission(
        &self,
        (names, classes): (&HashMap<String, usize>, &[Class]),
        span: &Range<usize>,
        path: &str,
        text: PermissionText,
    ) -> Result<Permission, MatrixError> {
        let name = match text {
            PermissionText::Plain(true) => return Ok(Permission::Yes),
            PermissionText::Plain(false) => return Ok(Permission::No),
            PermissionText::Named(name) => name,
        };
        let condition = match (Condition::built_in(&name), names.get(&name)) {
            (Some(condition), _) => condition,
            (None, Some(class)) => {
                self.class_fits(&name, classes.get(*class), span, path)?;
                Condition::Class(name.clone(), *class)
            }
            (None, None) => {
                return Err(self.error(span, format!("{name:?} is neither a condition nor a class")));
            }
        };
        if !condition.has_meaning_at(path) {
            return Err(self.error(span, format!("{name} cannot be decided at {path}")));
        }
        if condition == Condition::BatchRelease && !names.contains_key("batch-release-activity") {
            return Err(self.error(span, "batch-release needs a [class.batch-release-activity]"));
        }
        Ok(Permission::If(condition))
    }

    fn place(
        &self,
        types: &mut HashMap<String, Rules>,
        (names, classes): (&HashMap<String, usize>, &[Class]),
        span: &Range<usize>,
        text: RowText,
    ) -> Result<Row, MatrixError> {
        let path = text.path;
        let (element, rest) = match path.strip_suffix(".*") {
            Some(element) => (element, true),
            None => (path.as_str(), false),
        };
        let segments = self.node_at(element, span)?;
        let class = match text.class {
            None => None,
            Some(name) => match names.get(&name) {
                Some(&index) => {
                    self.class_fits(&name, classes.get(index), span, element)?;
                    Some((name, index))
                }
                None => return Err(self.error(span, format!("there is no class {name:?}"))),
            },
        };
        let mut permissions = Vec::with_capacity(6);
        for permission in [text.public, text.industry, text.owner, text.qualified, text.nca, text.ema] {
            permissions.push(self.permission((names, classes), span, element, permission)?);
        }
        let Ok(permissions) = <[Permission; 6]>::try_from(permissions) else {
            return Err(self.error(span, "six columns are due"));
        };
        let row = Row { path: path.clone(), line: self.line(span), class, permissions };
        let (type_name, below) = (segments[0], &segments[1..]);
        let targets: Vec<&str> = if type_name == "Resource" {
            if below.is_empty() || rest {
                return Err(self.error(span, "Resource stands for every type: name one of its elements"));
            }
            ResourceType::ALL.iter().map(|each| each.as_str()).collect()
        } else {
            vec![type_name]
        };
        for target in targets {
            let mut rules = types.entry(target.to_owned()).or_default();
            for segment in below {
                rules = rules.children.get_or_insert_default().entry((*segment).to_owned()).or_default();
            }
            let rows = if rest { &mut rules.rest } else { &mut rules.rows };
            if let Some(earlier) = rows.iter().find(|earlier| earlier.class.is_none()) {
                return Err(self.error(span, format!("{path} is decided by line {} already", earlier.line)));
            }
            rows.push(row.clone());
        }
        Ok(row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::DEFAULT_MATRIX;

    fn error(text: &str) -> MatrixError {
        AccessMatrix::parse(text, "levels.toml").unwrap_err()
    }

    /// The default file with one line of its rows replaced; returns the number of that line too.
    fn with_row(row: &str) -> (String, usize) {
        let line = DEFAULT_MATRIX
            .lines()
            .position(|line| line.contains("\"MedicinalProductDefinition.version\""))
            .unwrap();
        let text: Vec<&str> = DEFAULT_MATRIX
            .lines()
            .enumerate()
            .map(|(at, each)| if at == line { row } else { each })
            .collect();
        (text.join("\n"), line + 1)
    }

    #[test]
    fn the_default_matrix_is_read() {
        let matrix = AccessMatrix::parse(DEFAULT_MATRIX, "config/access-levels.toml").unwrap();
        assert!(matrix.banner().contains("own reading"));
        assert_eq!(matrix.digest().len(), 64);
        assert!(matrix.industry_non_owner_sees_public_subset());
    }

    #[test]
    fn a_bad_row_is_named_with_its_line() {
        for (row, word) in [
            (
                r#"{ path = "MedicinalProductDefinition.versoin", public = false, industry = false, owner = true },"#,
                "versoin",
            ),
            (r#"{ path = "Patient.name", public = false, industry = false, owner = true },"#, "Patient"),
            (
                r#"{ path = "Ingredient.group", public = "sometimes", industry = false, owner = true },"#,
                "sometimes",
            ),
            (
                r#"{ path = "Ingredient.group", class = "nobody", public = true, industry = false, owner = true },"#,
                "nobody",
            ),
            (r#"{ path = "Ingredient.identifier", public = false, industry = false },"#, "owner"),
            (
                r#"{ path = "Ingredient.identifier", public = false, industry = false, owner = true, vip = true },"#,
                "vip",
            ),
            (
                r#"{ path = "Organization.name", public = "batch-release", industry = false, owner = true },"#,
                "batch-release",
            ),
            (
                r#"{ path = "MedicinalProductDefinition.domain", public = true, industry = true, owner = true },"#,
                "already",
            ),
            (r#"{ path = "Resource", public = true, industry = true, owner = true },"#, "Resource"),
            (r#"{ path = "Resource.*", public = true, industry = true, owner = true },"#, "Resource"),
            (r"{ path = , },", ""),
        ] {
            let (text, line) = with_row(row);
            let found = error(&text);
            assert_eq!(found.line, line, "{row}: {found}");
            assert!(found.message.contains(word), "{row}: {found}");
            assert!(found.to_string().starts_with(&format!("levels.toml:{line}: ")));
        }
    }

    #[test]
    fn bad_switches_and_classes_are_named_with_their_line() {
        let never = DEFAULT_MATRIX
            .replace(r#"public_authorisations = ["valid""#, r#"public_authorisations = ["pending", "valid""#);
        let found = error(&never);
        assert!(found.message.contains("never granted") && found.line > 1, "{found}");
        let nowhere = DEFAULT_MATRIX.replace(r#"at = "Ingredient.role""#, r#"at = "Ingredient.rule""#);
        assert!(error(&nowhere).message.contains("rule"));
        let stray = format!("{DEFAULT_MATRIX}\n[surprise]\n");
        assert!(error(&stray).message.contains("surprise"));
        assert!(error("").message.contains("banner"));
    }
}
