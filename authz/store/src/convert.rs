//! Stored text to domain types; what does not parse is a corrupt row, named by table, column and key.

use std::str::FromStr;

use database::DatabaseError;

/// A cell that may not mean what its column promises.
#[derive(Clone, Copy)]
pub(crate) struct Cell<'r> {
    pub table: &'static str,
    pub column: &'static str,
    pub row: &'r str,
}

impl Cell<'_> {
    pub(crate) fn corrupt(self) -> DatabaseError {
        DatabaseError::Corrupt { table: self.table, column: self.column, row: self.row.to_owned() }
    }

    pub(crate) fn parse<T: FromStr>(self, text: &str) -> Result<T, DatabaseError> {
        text.parse().map_err(|_| self.corrupt())
    }
}
