//! How often clients may call, as data: rows by product and role, and what an address may get wrong.

use std::num::{NonZeroU32, NonZeroU64};

use serde::Deserialize;

use crate::{ApiProducts, Catalogue, ConfigError, data::DataFile};

/// The limits on requests: spec of the gateway, "Rate limits".
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestLimits {
    /// The first row that fits a request decides; the last fits all.
    #[serde(rename = "limit")]
    pub rows: Vec<RequestLimit>,
    /// Failed authentications of one address.
    pub address: Budget,
}

/// A row: whom it is for, and how much.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestLimit {
    /// The id of an API product; none: every one.
    pub product: Option<String>,
    /// The id of a role in the catalogue; none: every one.
    pub role: Option<String>,
    /// Requests at once.
    pub burst: NonZeroU32,
    /// Requests in the long run, for each minute.
    pub per_minute: NonZeroU32,
    /// Requests on one day (UTC).
    pub per_day: Option<NonZeroU64>,
}

/// So many at once, so many in the long run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// At once.
    pub burst: NonZeroU32,
    /// In the long run, for each minute.
    pub per_minute: NonZeroU32,
}

impl RequestLimit {
    /// Burst and sustained rate.
    pub const fn budget(&self) -> Budget {
        Budget { burst: self.burst, per_minute: self.per_minute }
    }

    /// Whether every request that `other` fits falls under this row.
    fn covers(&self, other: &Self) -> bool {
        let covers = |mine: &Option<String>, theirs: &Option<String>| mine.is_none() || mine == theirs;
        covers(&self.product, &other.product) && covers(&self.role, &other.role)
    }
}

impl RequestLimits {
    /// Reads and checks a data file.
    pub(crate) fn read(
        file: &DataFile,
        products: &ApiProducts,
        catalogue: &Catalogue,
    ) -> Result<Self, ConfigError> {
        let limits: Self = file.parse()?;
        let wrong = |row: usize, problem: String| ConfigError::Value {
            place: file.place.clone(),
            key: format!("limit {}", row + 1),
            problem,
        };
        for (at, row) in limits.rows.iter().enumerate() {
            if let Some(id) = row.product.as_ref().filter(|id| products.iter().all(|known| known.id != **id))
            {
                return Err(wrong(at, format!("there is no product {id:?} in products.toml")));
            }
            if let Some(id) = row.role.as_ref().filter(|id| catalogue.role(id).is_none()) {
                return Err(wrong(at, format!("there is no role {id:?} in catalogue.toml")));
            }
            if let Some(earlier) = limits.rows[..at].iter().position(|earlier| earlier.covers(row)) {
                return Err(wrong(at, format!("never decides: limit {} fits all that it fits", earlier + 1)));
            }
        }
        match limits.rows.last() {
            Some(last) if last.product.is_none() && last.role.is_none() => Ok(limits),
            _ => Err(wrong(
                limits.rows.len().saturating_sub(1),
                "the last row must fit everything: leave out product and role".to_owned(),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Data, DataFiles};

    fn read(text: &str) -> Result<RequestLimits, String> {
        let built_in = DataFiles::load(&Data::default()).unwrap();
        let file = DataFile { place: "limits.toml".into(), text: format!("{text}\n{ADDRESS}") };
        RequestLimits::read(&file, &built_in.products, &built_in.catalogue).map_err(|error| error.to_string())
    }

    const ADDRESS: &str = "[address]\nburst = 1\nper_minute = 1\n";
    const ALL: &str = "[[limit]]\nburst = 1\nper_minute = 1\n";

    #[test]
    fn the_built_in_limits_are_the_public_services_own() {
        let limits = DataFiles::load(&Data::default()).unwrap().limits;
        assert_eq!(limits.rows[0].product.as_deref(), Some("public-v1"));
        assert_eq!(limits.rows[0].per_minute.get(), 500);
    }

    #[test]
    fn a_row_that_makes_no_sense_is_named() {
        assert!(read(ALL).is_ok());
        for (text, told) in [
            (
                "[[limit]]\nproduct = \"pms\"\nburst = 1\nper_minute = 1\n".to_owned() + ALL,
                "limit 1: there is no product \"pms\"",
            ),
            (
                "[[limit]]\nrole = \"king\"\nburst = 1\nper_minute = 1\n".to_owned() + ALL,
                "limit 1: there is no role \"king\"",
            ),
            (format!("{ALL}{ALL}"), "limit 2: never decides: limit 1 fits"),
            (
                "[[limit]]\nproduct = \"public-v1\"\nburst = 1\nper_minute = 1\n".to_owned(),
                "limit 1: the last row must fit everything",
            ),
            ("[[limit]]\nburst = 0\nper_minute = 1\n".to_owned(), "limits.toml:2"),
            ("limit = []\n".to_owned(), "the last row must fit everything"),
            ("[[limit]]\nburst = 1\nper_hour = 1\n".to_owned(), "per_hour"),
        ] {
            let error = read(&text).unwrap_err();
            assert!(error.contains(told), "{error}");
        }
    }
}
