//! The data files: compiled in, replaceable by a path.

use std::{fs, path::Path};

use crate::{ApiProducts, Catalogue, ConfigError, Data, RequestLimits};

/// The text of a data file and where it comes from, for error messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataFile {
    /// A path, or `built-in NAME`.
    pub place: String,
    /// The TOML text.
    pub text: String,
}

impl DataFile {
    fn load(path: Option<&Path>, name: &str, built_in: &str) -> Result<Self, ConfigError> {
        match path {
            None => Ok(Self { place: format!("built-in {name}"), text: built_in.to_owned() }),
            Some(path) => {
                let place = path.display().to_string();
                match fs::read_to_string(path) {
                    Ok(text) => Ok(Self { place, text }),
                    Err(error) => Err(ConfigError::Unreadable { path: place, reason: error.to_string() }),
                }
            }
        }
    }

    /// Reads the text as `T`; errors name the line.
    pub(crate) fn parse<T: serde::de::DeserializeOwned>(&self) -> Result<T, ConfigError> {
        toml::from_str(&self.text).map_err(|error| ConfigError::Value {
            place: match error.span() {
                Some(span) => format!("{}:{}", self.place, line_of(&self.text, span.start)),
                None => self.place.clone(),
            },
            key: "data".to_owned(),
            problem: error.message().to_owned(),
        })
    }
}

fn line_of(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|b| *b == b'\n').count() + 1
}

/// All data files, read and checked against each other.
#[derive(Clone, Debug)]
pub struct DataFiles {
    /// The API products and their operations.
    pub products: ApiProducts,
    /// The roles and what they give.
    pub catalogue: Catalogue,
    /// How often clients may call.
    pub limits: RequestLimits,
    /// The access-level matrix, to be compiled by the backend's model.
    pub access_levels: DataFile,
}

impl DataFiles {
    /// Reads what `paths` name and the built-in text of the rest.
    ///
    /// # Errors
    /// File and line of the first thing that is wrong.
    pub fn load(paths: &Data) -> Result<Self, ConfigError> {
        let products =
            DataFile::load(paths.products.as_deref(), "products.toml", include_str!("../products.toml"))?;
        let catalogue =
            DataFile::load(paths.catalogue.as_deref(), "catalogue.toml", include_str!("../catalogue.toml"))?;
        let limits = DataFile::load(paths.limits.as_deref(), "limits.toml", include_str!("../limits.toml"))?;
        let access_levels = DataFile::load(
            paths.access_levels.as_deref(),
            "access-levels.toml",
            include_str!("../access-levels.toml"),
        )?;
        let products = ApiProducts::read(&products)?;
        let catalogue = Catalogue::read(&catalogue, &products)?;
        let limits = RequestLimits::read(&limits, &products, &catalogue)?;
        Ok(Self { products, catalogue, limits, access_levels })
    }
}
