//! What a backend tells the gateway about its answer, for the record of who read what.

use std::fmt::{self, Write as _};

/// The header that carries it. Gateways never pass it to callers.
pub const DISCLOSURE_HEADER: &str = "x-pmsgate-disclosed";

/// Products that are named; of more, the rest is counted only.
const NAMED: usize = 50;

/// What an answer shows, and how much was withheld from it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Disclosure {
    /// Resources shown.
    pub resources: u32,
    /// Elements missing from them, each with all that was below it.
    pub withheld: u32,
    /// Resources of the products asked for that are wholly withheld, where that was worked out.
    pub hidden: u32,
    /// The products that something was shown of, the first ones by their ids.
    pub products: Vec<String>,
}

impl Disclosure {
    /// Names a product that something is shown of.
    pub fn name(&mut self, product: &str) {
        if self.products.len() < NAMED && !self.products.iter().any(|known| known == product) {
            self.products.push(product.to_owned());
        }
    }

    /// Reads a header value; none when it is not of this form.
    pub fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let mut number = || words.next()?.parse().ok();
        let (resources, withheld, hidden) = (number()?, number()?, number()?);
        let products = words.take(NAMED).map(str::to_owned).collect();
        Some(Self { resources, withheld, hidden, products })
    }
}

/// As the header has it: three numbers and the ids, separated by spaces.
impl fmt::Display for Disclosure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.resources, self.withheld, self.hidden)?;
        self.products.iter().filter(|id| !id.is_empty()).try_for_each(|id| {
            f.write_char(' ')?;
            f.write_str(id)
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(resources: u32, withheld: u32, hidden: u32, ids in prop::collection::vec("[A-Za-z0-9.-]{1,12}", 0..60)) {
            let mut told = Disclosure { resources, withheld, hidden, products: Vec::new() };
            for id in ids {
                told.name(&id);
            }
            prop_assert!(told.products.len() <= NAMED);
            prop_assert_eq!(Disclosure::parse(&told.to_string()), Some(told));
        }

        #[test]
        fn other_texts_are_nothing_or_numbers(text in "[ -~]{0,40}") {
            if let Some(told) = Disclosure::parse(&text) {
                prop_assert!(text.starts_with(char::is_numeric) || text.starts_with('+'), "{told:?}");
            }
        }
    }
}
