//! A configuration that cannot be used: which key, where it stands, what to do.

/// Why the configuration is refused. The text is one line for a person.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The file named on the command line is not there or cannot be read.
    #[error("{path}: cannot be read ({reason})")]
    Unreadable {
        /// The file.
        path: String,
        /// What the system said.
        reason: String,
    },
    /// A key that does not exist.
    #[error("{place}: unknown key {key:?}{}", suggestion.as_ref().map(|s| format!("; did you mean {s:?}?")).unwrap_or_default())]
    UnknownKey {
        /// File or environment.
        place: String,
        /// The whole key, `section.name`.
        key: String,
        /// The nearest known key.
        suggestion: Option<String>,
    },
    /// A value that does not fit its key.
    #[error("{place}: {key}: {problem}")]
    Value {
        /// File or environment.
        place: String,
        /// The whole key.
        key: String,
        /// What is wrong, and what would be right.
        problem: String,
    },
    /// Values that do not fit together.
    #[error("{key}: {problem}")]
    Inconsistent {
        /// The key to change.
        key: String,
        /// What is wrong, and what would be right.
        problem: String,
    },
}

impl ConfigError {
    pub(crate) fn inconsistent(key: &str, problem: impl Into<String>) -> Self {
        Self::Inconsistent { key: key.to_owned(), problem: problem.into() }
    }

    /// Our words for figment's first complaint.
    pub(crate) fn from_figment(error: &figment::Error) -> Self {
        use figment::error::Kind;
        let place = error.metadata.as_ref().map_or_else(
            || "configuration".to_owned(),
            |metadata| match &metadata.source {
                Some(figment::Source::File(path)) => path.display().to_string(),
                _ if metadata.name.contains("environment") => "environment".to_owned(),
                _ => metadata.name.to_string(),
            },
        );
        let inside = |name: &str| {
            error
                .path
                .iter()
                .map(String::as_str)
                .chain((!name.is_empty()).then_some(name))
                .collect::<Vec<_>>()
                .join(".")
        };
        match &error.kind {
            Kind::UnknownField(name, known) => {
                // figment puts the unknown name at the end of the path for some sources and not for others.
                let section = match error.path.split_last() {
                    Some((last, rest)) if last == name => rest.to_vec(),
                    _ => error.path.clone(),
                };
                let whole = |leaf: &str| {
                    section.iter().map(String::as_str).chain([leaf]).collect::<Vec<_>>().join(".")
                };
                Self::UnknownKey { place, key: whole(name), suggestion: nearest(name, known).map(whole) }
            }
            Kind::UnknownVariant(found, known) => Self::Value {
                place,
                key: inside(""),
                problem: format!("{found:?} is not known: one of {}", known.join(", ")),
            },
            Kind::InvalidType(found, wanted) | Kind::InvalidValue(found, wanted) => {
                Self::Value { place, key: inside(""), problem: format!("found {found}, expected {wanted}") }
            }
            Kind::MissingField(name) => {
                Self::Value { place, key: inside(name), problem: "this key is required".to_owned() }
            }
            other => Self::Value { place, key: inside(""), problem: other.to_string() },
        }
    }
}

/// The known word that looks most like `word`, if any does.
pub(crate) fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    known
        .iter()
        .map(|candidate| (strsim::jaro_winkler(word, candidate), *candidate))
        .filter(|(likeness, _)| *likeness > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}
