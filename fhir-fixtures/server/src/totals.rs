//! Totals of searches in memory: to count what matches is the one part of a search that grows with what is stored.

use moka::sync::Cache;

/// Bytes of searches whose totals are kept.
const KEPT: u64 = 8 * 1024 * 1024;

/// Totals by search and class of callers, each good as long as nothing was changed since.
#[derive(Debug)]
pub(crate) struct Totals(Cache<String, Counted>);

/// What was counted, and the latest change when it was.
#[derive(Clone, Copy, Debug)]
struct Counted {
    after: i64,
    total: i64,
}

impl Default for Totals {
    fn default() -> Self {
        let weigh = |search: &String, _: &Counted| u32::try_from(search.len() + 64).unwrap_or(u32::MAX);
        Self(Cache::builder().max_capacity(KEPT).weigher(weigh).build())
    }
}

impl Totals {
    /// The total of `search`, if it was counted after the change `latest`, which is the latest one.
    pub(crate) fn find(&self, search: &str, latest: i64) -> Option<i64> {
        self.0.get(search).filter(|counted| counted.after == latest).map(|counted| counted.total)
    }

    /// Keeps a total that was counted when `latest` was the latest change, before and after counting.
    pub(crate) fn keep(&self, search: String, latest: i64, total: i64) {
        self.0.insert(search, Counted { after: latest, total });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_total_is_good_until_the_next_change() {
        let totals = Totals::default();
        totals.keep("name=a".to_owned(), 7, 42);
        assert_eq!(totals.find("name=a", 7), Some(42));
        assert_eq!(totals.find("name=a", 8), None);
        assert_eq!(totals.find("name=b", 7), None);
        totals.keep("name=a".to_owned(), 8, 43);
        assert_eq!(totals.find("name=a", 8), Some(43));
    }
}
