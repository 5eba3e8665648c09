//! `pmsgate credentials …`: secrets over all clients.

use anyhow::Result;
use authz_domain::ReminderStep;
use authz_server::{ExpiringSecret, by_month};
use pms_terms::OrganisationId;
use serde_json::{Value, json};
use time::Duration;

use super::{iso, print};
use crate::{
    House,
    cli::{Common, CredentialsCommand},
    output::{OutputFormat, print_text},
};

const COLUMNS: &[&str] = &[
    "client_id",
    "secret_id",
    "organisation",
    "role",
    "contact",
    "expires_at",
    "days_left",
    "last_used_at",
    "successor",
    "label",
    "product",
    "reminders",
];

/// What people want to see: the rest is in the other forms.
const TABLE: &[&str] = &[
    "client_id",
    "label",
    "organisation",
    "product",
    "contact",
    "expires_at",
    "days_left",
    "last_used_at",
    "reminders",
    "successor",
];

/// How far ahead the bars look: every secret that lives now.
const EVERYTHING: Duration = Duration::days(11 * 366);
/// Characters of the longest bar.
const WIDEST: usize = 40;

pub(super) async fn run(common: &Common, command: CredentialsCommand) -> Result<()> {
    let CredentialsCommand::Expiring { within } = command;
    let within = Duration::try_from(within.0)?;
    let house = House::open(common)?;
    let acts = house.use_cases().await?;
    let rows: Vec<Value> = acts.expiring_secrets(within).await?.iter().map(row).collect();
    if OutputFormat::choose(common.format) != OutputFormat::Table {
        return print(common, rows.into(), COLUMNS);
    }
    print(common, rows.into(), TABLE)?;
    let all = acts.expiring_secrets(EVERYTHING).await?;
    print_text(&bars(&by_month(house.clock.now(), &all)))
}

/// The contract's object, and what was added to it.
fn row(row: &ExpiringSecret) -> Value {
    json!({
        "client_id": row.client.id.as_str(),
        "secret_id": row.secret.id.as_str(),
        "organisation": row.client.organisation.as_ref().map(OrganisationId::as_str),
        "role": row.client.role,
        "contact": row.client.contact,
        "expires_at": iso(row.secret.ends_at()),
        "days_left": row.days_left,
        "last_used_at": row.secret.last_used_at.map(iso),
        "successor": row.successor,
        "label": row.client.label,
        "product": row.product,
        "reminders": row.reminders.iter().map(ReminderStep::to_string).collect::<Vec<_>>(),
    })
}

/// A bar a month.
fn bars(months: &[(String, usize)]) -> String {
    let highest = months.iter().map(|(_, count)| *count).max().unwrap_or(0).max(1);
    let mut text = "\nexpiring without a successor, by month\n".to_owned();
    for (month, count) in months {
        let length = (count * WIDEST).div_ceil(highest);
        let shown = if *count == 0 { String::new() } else { format!(" {count}") };
        text.extend([month.as_str(), " ", &"█".repeat(length), &shown, "\n"]);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_month_is_the_longest_bar_and_few_are_not_none() {
        let months = [("2026-03".to_owned(), 80), ("2026-04".to_owned(), 1), ("2026-05".to_owned(), 0)];
        let text = bars(&months);
        assert!(text.contains(&format!("2026-03 {} 80\n", "█".repeat(WIDEST))), "{text}");
        assert!(text.contains("2026-04 █ 1\n2026-05 \n"), "{text}");
    }
}
