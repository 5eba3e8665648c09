//! What a search asks of a product, as SQL over the index: who may find it by a value stands beside the value.

use crate::{
    Audience,
    derived::{code_key, is_whole_in_key, sort_key},
    statement::Statement,
};

use super::{Clause, SystemMatch, TextMatch, TimeMatch, TokenMatch};

/// Whether the viewer is of one of the classes of callers that `bits`, a column of `table`, names: one of industry as an
/// owner of the product or not. Who owns it is looked up only where that makes a difference, and only for products with the
/// viewer's mark.
pub(super) fn seen(statement: &mut Statement, audience: &Audience, table: &str, bits: &str) {
    let other = audience.sight(false).gate;
    let Some(organisation) = audience.organisation() else {
        statement.push(&format!("({table}.{bits} & {other}) <> 0"));
        return;
    };
    let (own, mark) = (audience.sight(true).gate, audience.mark());
    let (both, all) = (own | other, own | other | mark);
    statement.push(&format!(
        "(CASE {table}.{bits} & {all} WHEN {both} THEN TRUE WHEN {all} THEN TRUE WHEN {other} THEN TRUE \
         WHEN 0 THEN FALSE WHEN {own} THEN FALSE WHEN {mark} THEN FALSE \
         ELSE (({table}.{bits} & {own}) <> 0) = EXISTS (SELECT 1 FROM product_owners o WHERE o.organisation = "
    ));
    statement.text(organisation.as_str());
    statement.push(&format!(" AND o.product_id = {table}.product_id) END)"));
}

/// ` AND …` for each clause but the one at `met`: what they ask of the product of a row of `table`.
pub(super) fn others(
    statement: &mut Statement,
    audience: &Audience,
    clauses: &[Clause],
    met: Option<usize>,
    table: &str,
) {
    for (_, clause) in clauses.iter().enumerate().filter(|(at, _)| Some(*at) != met) {
        statement.push(" AND ");
        clause.holds(statement, audience, table);
    }
}

impl Clause {
    /// Whether the product of a row of `table` meets it.
    fn holds(&self, statement: &mut Statement, audience: &Audience, table: &str) {
        match self {
            // PostgreSQL knows no empty list.
            Self::Ids(ids) if ids.is_empty() => {
                statement.push("1 = 0");
            }
            Self::Ids(ids) => {
                statement.push(table).push(".product_id IN ").list(ids.iter().map(String::as_str));
            }
            Self::LastUpdated(any_of) if table == "p" => {
                alternatives(statement, any_of, |s, span| time(s, "p", *span));
            }
            Self::LastUpdated(any_of) => {
                statement.push(&format!(
                    "EXISTS (SELECT 1 FROM products u WHERE u.product_id = {table}.product_id AND "
                ));
                alternatives(statement, any_of, |statement, span| time(statement, "u", *span));
                statement.push(")");
            }
            // All values are read to know whose these are: once, not for each product.
            Self::Text { .. } if !self.is_indexed() => {
                statement.push(&format!("{table}.product_id IN (SELECT t.product_id FROM "));
                self.values(statement, Some(audience), "t", None, None);
                statement.push(")");
            }
            Self::Token { .. } | Self::Text { .. } => {
                let not = matches!(self, Self::Token { not: true, .. });
                statement.push(if not { "NOT EXISTS (SELECT 1 FROM " } else { "EXISTS (SELECT 1 FROM " });
                self.values(statement, Some(audience), "t", Some(table), None);
                statement.push(")");
            }
        }
    }

    /// Whether an index tells which products meet it.
    pub(super) fn is_indexed(&self) -> bool {
        match self {
            Self::Token { not, any_of, .. } => !not && any_of.iter().all(|one| one.code.is_some()),
            Self::Text { any_of, .. } => any_of.iter().all(|one| !matches!(one, TextMatch::Contains(_))),
            Self::Ids(_) | Self::LastUpdated(_) => false,
        }
    }

    /// Whether an index tells them in the order of their ids, for each alternative.
    pub(super) fn is_in_order(&self) -> bool {
        self.is_indexed()
            && match self {
                Self::Text { any_of, .. } => any_of.iter().all(|one| matches!(one, TextMatch::Exact(_))),
                _ => true,
            }
    }

    /// How many alternatives it has.
    pub(super) fn alternatives(&self) -> usize {
        match self {
            Self::Token { any_of, .. } => any_of.len(),
            Self::Text { any_of, .. } => any_of.len(),
            Self::Ids(ids) => ids.len(),
            Self::LastUpdated(any_of) => any_of.len(),
        }
    }

    /// `search_… s WHERE …`, with `s` for `table`: the values that meet it and that the audience sees (without one: all),
    /// of all products or of that of a row of the table `of`, for all alternatives or the one at `only`.
    pub(super) fn values(
        &self,
        statement: &mut Statement,
        audience: Option<&Audience>,
        table: &str,
        of: Option<&str>,
        only: Option<usize>,
    ) {
        let (values, parameter) = match self {
            Self::Token { parameter, .. } => ("search_tokens", *parameter),
            Self::Text { parameter, .. } => ("search_strings", *parameter),
            Self::Ids(_) | Self::LastUpdated(_) => return,
        };
        statement.push(&format!("{values} {table} WHERE "));
        match of {
            // A product has few texts. The concatenation keeps SQLite from looking for it among all that are alike.
            Some(of) if matches!(self, Self::Text { .. }) => {
                statement
                    .push(&format!("{table}.product_id = {of}.product_id AND ({table}.parameter || '')"));
            }
            Some(of) => {
                statement.push(&format!("{table}.product_id = {of}.product_id AND {table}.parameter"));
            }
            None => {
                statement.push(&format!("{table}.parameter"));
            }
        }
        // In the text, and not bound: SQLite compares it with the conditions of partial indexes while it plans, and would
        // plan anew for every execution, which costs more than most searches.
        statement.push(&format!(" = '{parameter}' AND "));
        match self {
            Self::Token { any_of, .. } => {
                let tested = of.is_some();
                alternatives(statement, chosen(any_of, only), |statement, one| {
                    token(statement, table, one, tested);
                });
            }
            Self::Text { any_of, .. } => {
                alternatives(statement, chosen(any_of, only), |statement, one| text(statement, table, one));
            }
            Self::Ids(_) | Self::LastUpdated(_) => {}
        }
        if let Some(audience) = audience {
            statement.push(" AND ");
            seen(statement, audience, table, "seen_by");
        }
    }
}

fn chosen<T>(any_of: &[T], only: Option<usize>) -> &[T] {
    only.map_or(any_of, |at| any_of.get(at..=at).unwrap_or_default())
}

fn alternatives<T>(statement: &mut Statement, any_of: &[T], one: impl Fn(&mut Statement, &T)) {
    // No alternative at all matches nothing.
    statement.push(if any_of.is_empty() { "(1 = 0" } else { "(" });
    for (n, alternative) in any_of.iter().enumerate() {
        statement.push(if n == 0 { "(" } else { " OR (" });
        one(statement, alternative);
        statement.push(")");
    }
    statement.push(")");
}

/// `tested`: of one product, that another condition led to.
fn token(statement: &mut Statement, table: &str, wanted: &TokenMatch, tested: bool) {
    match &wanted.code {
        Some(code) => statement.push(&format!("{table}.code = ")).text(code_key(code)),
        None => statement.push("1 = 1"),
    };
    // The rows of one code lie together, and products that are tested one after the other are found in what is at hand of
    // them. The concatenation keeps SQLite from looking for each among all rows of all products instead.
    let system = match (tested, &wanted.code) {
        (true, Some(_)) => format!("({table}.system || '')"),
        _ => format!("{table}.system"),
    };
    match &wanted.system {
        SystemMatch::Any => {}
        SystemMatch::Absent => {
            statement.push(&format!(" AND {system} = ''"));
        }
        SystemMatch::Is(wanted) => {
            statement.push(&format!(" AND {system} = ")).text(wanted);
        }
    }
}

fn text(statement: &mut Statement, table: &str, wanted: &TextMatch) {
    let like = |statement: &mut Statement, pattern: String| {
        statement.push(&format!("{table}.normalised LIKE ")).text(pattern).push(" ESCAPE '!'");
    };
    match wanted {
        TextMatch::StartsWith(prefix) => {
            let from = sort_key(prefix);
            // 'g' follows every hexadecimal digit.
            let until = format!("{from}g");
            statement.push(&format!("{table}.sort_key >= ")).text(from);
            statement.push(&format!(" AND {table}.sort_key < ")).text(until);
            if !is_whole_in_key(prefix) {
                statement.push(" AND ");
                like(statement, format!("{}%", escape_like(prefix)));
            }
        }
        TextMatch::Contains(part) => like(statement, format!("%{}%", escape_like(part))),
        TextMatch::Exact(whole) => {
            statement
                .push(&format!("{table}.sort_key = "))
                .text(sort_key(&fhir_model::search::normalise(whole)));
            statement.push(&format!(" AND {table}.original = ")).text(whole);
        }
    }
}

/// Makes `%`, `_` and the escape character itself mean themselves.
fn escape_like(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut escaped, c| {
        if matches!(c, '%' | '_' | '!') {
            escaped.push('!');
        }
        escaped.push(c);
        escaped
    })
}

fn time(statement: &mut Statement, table: &str, span: TimeMatch) {
    statement.push(if span.outside { "NOT (1 = 1" } else { "(1 = 1" });
    if let Some(from) = span.from {
        statement.push(&format!(" AND {table}.last_updated >= ")).integer(from);
    }
    if let Some(until) = span.until {
        statement.push(&format!(" AND {table}.last_updated < ")).integer(until);
    }
    statement.push(")");
}

#[cfg(test)]
mod tests {
    use fhir_model::access::Viewer;
    use pms_terms::{Domains, Stakeholder};

    use super::*;
    use crate::statement::Bind;

    #[test]
    fn wildcards_of_like_mean_themselves() {
        assert_eq!(escape_like("50%_a!"), "50!%!_a!!");
    }

    #[test]
    fn values_are_bound_and_never_part_of_the_text() {
        let audience = Audience::new(Viewer {
            stakeholder: Stakeholder::Industry,
            qualified: false,
            domains: Domains::HUMAN,
            organisation: Some("ORG-100000001".parse().unwrap()),
        });
        let hostile = "'; DROP TABLE products; --".to_owned();
        let clauses = [
            Clause::Ids(vec![hostile.clone()]),
            Clause::Text { parameter: "name", any_of: vec![TextMatch::Contains(hostile.clone())] },
            Clause::Token {
                parameter: "identifier",
                any_of: vec![TokenMatch {
                    system: SystemMatch::Is(hostile.clone()),
                    code: Some(hostile.clone()),
                }],
                not: true,
            },
        ];
        for met in [None, Some(1), Some(2)] {
            let mut statement = Statement::new("");
            others(&mut statement, &audience, &clauses, met, "p");
            assert!(!statement.sql.contains("DROP"), "{}", statement.sql);
            assert!(statement.binds.contains(&Bind::Text(hostile.clone())));
        }
    }
}
