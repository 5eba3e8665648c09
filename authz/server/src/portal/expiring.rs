//! When API secrets expire: for the agency over all organisations, for Admins over their own.

use std::sync::Arc;

use authz_domain::ReminderStep;
use axum::{
    extract::{RawQuery, State as Extract},
    response::Response,
};
use pms_terms::OrganisationId;
use time::Duration;

use super::{
    error::PortalError,
    form::{Errors, Field, Fields, Form, Kind},
    page::{Bars, Block, Cell, Page, Table},
    visitor::{SignedIn, Visitor},
};
use crate::{
    mail::letters::shown,
    state::State,
    use_cases::{ExpiringSecret, UseCases, by_month},
};

/// How far ahead one can look: every secret that lives now.
const EVERYTHING: i64 = 11 * 366;
/// Choices of how far to look ahead, in days.
const WITHIN: [(i64, &str); 6] = [
    (30, "30 days"),
    (90, "90 days"),
    (180, "half a year"),
    (366, "a year"),
    (732, "two years"),
    (EVERYTHING, "any time"),
];
/// Rows on the page.
const SHOWN: usize = 500;

/// Whether somebody sees a secret: the agency all, Admins those of their organisations.
fn sees(one: &SignedIn, secret: &ExpiringSecret) -> bool {
    let theirs = |id: &OrganisationId| one.administers.contains(id);
    one.for_agency || secret.client.organisation.as_ref().is_some_and(theirs)
}

/// `GET /portal/expiring`
pub(crate) async fn get(
    Extract(state): Extract<Arc<State>>,
    RawQuery(query): RawQuery,
    visitor: Visitor,
) -> Result<Response, PortalError> {
    let one = visitor.require()?;
    if !one.for_agency && one.administers.is_empty() {
        return Err(PortalError::NotFound);
    }
    let query = Fields::parse(query.unwrap_or_default().as_bytes());
    let now = state.clock.now();
    let mut all = UseCases::of(Arc::clone(&state)).expiring_secrets(Duration::days(EVERYTHING)).await?;
    all.retain(|secret| sees(one, secret));
    let form = filters(&all, &query);
    let mut chosen = all;
    chosen.retain(|secret| fits(secret, &query));
    let months = by_month(now, &chosen);
    // The bars look further than the list: of what fits otherwise, everything.
    let within = query.get("within").parse().unwrap_or(90);
    chosen.retain(|secret| secret.secret.ends_at() <= now + Duration::days(within));
    let total = chosen.len();
    let mut page = Page::new("Expiring credentials")
        .text("When API secrets expire, soonest first. An expired secret gets no tokens any more.")
        .form(form)
        .block(Block::Table(Table {
            caption: format!("{total} secrets"),
            head: vec![
                "Client",
                "Organisation",
                "Product",
                "Contact",
                "Expires",
                "In",
                "Last used",
                "Reminders sent",
                "Successor",
            ],
            rows: chosen.iter().take(SHOWN).map(row).collect(),
            empty: "Nothing expires in this time.",
        }));
    if total > SHOWN {
        page = page.text(format!("Only the first {SHOWN} are shown: narrow the search."));
    }
    let rows = months
        .iter()
        .map(|(month, count)| vec![Cell::text(month.clone()), Cell::text(count.to_string())])
        .collect();
    Ok(page
        .block(Block::Heading("This month and the next 24".to_owned()))
        .block(Block::Bars(Bars::new(
            "Secrets that expire, by month; the table below says the same",
            &months,
        )))
        .block(Block::Table(Table {
            caption: "Secrets that expire, by month".to_owned(),
            head: vec!["Month", "Secrets"],
            rows,
            empty: "",
        }))
        .show(&visitor))
}

fn filters(all: &[ExpiringSecret], query: &Fields) -> Form {
    let errors = Errors::default();
    let mut within = Field::new(Kind::Select, "within", "Expires within");
    for (days, label) in WITHIN {
        within = within.choice(days.to_string(), label, "", days == 90);
    }
    let mut products: Vec<&str> = all.iter().map(|one| one.product.as_str()).collect();
    products.sort_unstable();
    products.dedup();
    let mut product = Field::new(Kind::Select, "product", "Product").choice("", "All", "", true);
    for one in products {
        product = product.choice(one, one, "", false);
    }
    let successor = Field::new(Kind::Select, "successor", "Successor")
        .choice("", "All", "", true)
        .choice("no", "None yet", "", false)
        .choice("yes", "There is one", "", false);
    Form::search(
        "/portal/expiring",
        vec![
            within.typed(query, &errors),
            product.typed(query, &errors),
            successor.typed(query, &errors),
            Field::new(Kind::Search, "q", "Part of client, organisation or contact")
                .optional()
                .typed(query, &errors),
        ],
    )
}

fn fits(one: &ExpiringSecret, query: &Fields) -> bool {
    let text = query.get("q").to_lowercase();
    let client = &one.client;
    let named = [
        client.id.as_str(),
        &client.label,
        client.organisation.as_ref().map_or("", OrganisationId::as_str),
        &one.organisation,
        client.contact.as_deref().unwrap_or_default(),
    ];
    let product = query.get("product");
    (text.is_empty() || named.iter().any(|name| name.to_lowercase().contains(&text)))
        && (product.is_empty() || one.product == product)
        && match query.get("successor") {
            "yes" => one.successor,
            "no" => !one.successor,
            _ => true,
        }
}

fn row(one: &ExpiringSecret) -> Vec<Cell> {
    let client = &one.client;
    let name = if client.label.is_empty() { client.id.to_string() } else { client.label.clone() };
    let organisation = match &client.organisation {
        Some(id) => format!("{} {id}", one.organisation),
        None => "none".to_owned(),
    };
    let left = match one.days_left {
        days if days < 0 => "expired".to_owned(),
        0 => "today".to_owned(),
        1 => "1 day".to_owned(),
        days => format!("{days} days"),
    };
    let reminders: Vec<String> = one.reminders.iter().map(ReminderStep::to_string).collect();
    vec![
        Cell::link(format!("/portal/clients/{}", client.id), name),
        Cell::text(organisation),
        Cell::text(one.product.clone()),
        Cell::text(client.contact.clone().unwrap_or_default()),
        Cell::text(shown(one.secret.ends_at())),
        Cell::State(left),
        Cell::text(one.secret.last_used_at.map_or("never".to_owned(), shown)),
        Cell::text(if reminders.is_empty() { "none".to_owned() } else { reminders.join(", ") }),
        Cell::text(if one.successor { "yes" } else { "no" }),
    ]
}
