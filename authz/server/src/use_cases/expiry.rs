//! Watching secrets end: what ends soon, and telling people in time, once.

use std::collections::BTreeMap;

use authz_domain::{
    Account, Act, Actor, Client, ClientStatus, ReminderStep, Secret, SecretState, due_reminder,
};
use authz_store::{accounts, clients, expiry_reminders, organisations, secrets};
use database::Db;
use pms_terms::OrganisationId;
use time::{Duration, OffsetDateTime};

use super::{UseCaseError, UseCases};
use crate::mail::{Letter, Recipient, credentials::exact, expiry_letters};

/// People of the agency who are written to when there is nobody else.
const MAX_ADMINS: i64 = 20;

/// A secret that expires soon, or has.
#[derive(Clone, Debug)]
pub struct ExpiringSecret {
    /// Whose it is.
    pub client: Client,
    /// The name of the client's organisation; empty when it has none.
    pub organisation: String,
    /// What its role opens: `pms`, `public`, …
    pub product: String,
    /// The record.
    pub secret: Secret,
    /// Whole days until it expires; negative when it has.
    pub days_left: i64,
    /// Whether the client has a newer secret that lives longer.
    pub successor: bool,
    /// The reminders that went out, the latest last.
    pub reminders: Vec<ReminderStep>,
}

impl UseCases {
    /// Secrets that end within a time from now, because they expire or because their successor lets them, soonest first;
    /// those of revoked clients and those that were ended on purpose or by a rotation are no concern any more, nor is an
    /// expired one that has a successor.
    pub async fn expiring_secrets(&self, within: Duration) -> Result<Vec<ExpiringSecret>, UseCaseError> {
        let now = self.now();
        let before = now.saturating_add(within);
        let mut reader = self.database.read().await?;
        let mut sent = expiry_reminders::list(&mut reader.db()).await?;
        let names: BTreeMap<OrganisationId, String> = organisations::list(&mut reader.db())
            .await?
            .into_iter()
            .map(|organisation| (organisation.id, organisation.name))
            .collect();
        drop(reader);
        let mut expiring = Vec::new();
        for view in self.list_clients().await? {
            if view.client.status == ClientStatus::Revoked {
                continue;
            }
            for one in &view.secrets {
                let secret = &one.secret;
                let successor = view.secrets.iter().any(|other| {
                    other.state == SecretState::Live && other.secret.ends_at() > secret.ends_at()
                });
                let over = one.state == SecretState::Expired && successor;
                if !matches!(one.state, SecretState::Live | SecretState::Expired)
                    || over
                    || secret.ends_at() > before
                {
                    continue;
                }
                expiring.push(ExpiringSecret {
                    organisation: view
                        .client
                        .organisation
                        .as_ref()
                        .and_then(|id| names.get(id).cloned())
                        .unwrap_or_default(),
                    product: self.product_of(&view.client.role),
                    client: view.client.clone(),
                    secret: secret.clone(),
                    // Downwards: what ended a minute ago is over, not of today.
                    days_left: (secret.ends_at() - now).whole_seconds().div_euclid(86_400),
                    successor,
                    reminders: sent.remove(secret.id.as_str()).unwrap_or_default(),
                });
            }
        }
        expiring.sort_by(|a, b| {
            (a.secret.ends_at(), a.client.id.as_str()).cmp(&(b.secret.ends_at(), b.client.id.as_str()))
        });
        Ok(expiring)
    }

    /// What a role opens, in one word: the end of its resource.
    pub(crate) fn product_of(&self, role: &str) -> String {
        let resource = self.settings.role(role).map_or("", |role| role.resource.as_str());
        resource.rsplit('/').next().unwrap_or_default().to_owned()
    }

    /// Sends every reminder that is due. Of several servers one does it; what was missed is not made up for. Answers
    /// how many went out.
    pub async fn remind_of_expiry(&self) -> Result<usize, UseCaseError> {
        let mut reminded = 0;
        for (client, secret) in self.reminders_due().await? {
            reminded += usize::from(self.remind(&client, &secret).await?);
        }
        if reminded > 0 {
            self.nudge_delivery();
        }
        Ok(reminded)
    }

    /// Client and secret of each reminder that seems due: a look without keeping others waiting.
    async fn reminders_due(&self) -> Result<Vec<(String, String)>, UseCaseError> {
        let now = self.now();
        let sent = expiry_reminders::list(&mut self.database.read().await?.db()).await?;
        let mut due = Vec::new();
        for view in self.list_clients().await? {
            if view.client.status == ClientStatus::Revoked {
                continue;
            }
            // Newest first.
            let all: Vec<Secret> = view.secrets.into_iter().map(|one| one.secret).collect();
            for (place, secret) in all.iter().enumerate() {
                let before = sent.get(secret.id.as_str()).map_or(&[][..], Vec::as_slice);
                if due_reminder(secret, &all[..place], before, now).is_some() {
                    due.push((view.client.id.to_string(), secret.id.to_string()));
                }
            }
        }
        Ok(due)
    }

    /// Sends one reminder, if it still is due once nobody else writes. Whether it was.
    async fn remind(&self, client_id: &str, secret_id: &str) -> Result<bool, UseCaseError> {
        let now = self.now();
        let mut work = authz_store::begin(&self.database).await?;
        let mut db = work.db();
        let Some(registered) = clients::find(&mut db, client_id).await? else { return Ok(false) };
        let client = registered.client;
        if client.status == ClientStatus::Revoked {
            return Ok(false);
        }
        let all = secrets::of_client(&mut db, client_id).await?;
        let Some(place) = all.iter().position(|secret| secret.id.as_str() == secret_id) else {
            return Ok(false);
        };
        let secret = &all[place];
        let before = expiry_reminders::of_secret(&mut db, &secret.id).await?;
        let Some(step) = due_reminder(secret, &all[..place], &before, now) else { return Ok(false) };
        if !expiry_reminders::note(&mut db, &secret.id, step, now).await? {
            return Ok(false);
        }
        let waiting = all[..place].iter().find(|one| one.is_live(now));
        let letter = self.expiry_letter(&client, secret, waiting, step, now);
        let told = self.tell_owners(&mut db, &client, &letter).await?;
        let details = vec![
            ("secret_id", secret.id.to_string()),
            ("step", step.to_string()),
            ("ends_at", exact(secret.ends_at())),
            ("letters", told.to_string()),
        ];
        self.audit(&mut db, &Actor::System, Act::ExpiryReminded, client_id, details).await?;
        work.commit().await?;
        tracing::info!(client = client_id, secret = secret_id, %step, letters = told, "a secret's end was told");
        Ok(true)
    }

    fn expiry_letter(
        &self,
        client: &Client,
        secret: &Secret,
        waiting: Option<&Secret>,
        step: ReminderStep,
        now: OffsetDateTime,
    ) -> Letter {
        let role = self.settings.role(&client.role).map_or(client.role.clone(), |role| role.title.clone());
        expiry_letters::secret_ends(client, &role, secret, waiting, step, now, &self.settings.base_url)
    }

    /// Posts a letter to the technical contact, the owner of a public client, and the administrators of the
    /// organisation, each address once; to the agency when there is nobody else. Answers how many it went to.
    async fn tell_owners(
        &self,
        db: &mut Db<'_>,
        client: &Client,
        letter: &Letter,
    ) -> Result<usize, UseCaseError> {
        let mut people: Vec<Account> = self.administrators_of(db, client).await?;
        if people.is_empty() && client.contact.is_none() {
            let catalogue = &self.settings.portal.catalogue;
            let agency: Vec<&str> = catalogue
                .roles
                .iter()
                .filter(|role| role.acts_for_agency)
                .map(|role| role.id.as_str())
                .collect();
            people = accounts::holders(db, &agency, None, MAX_ADMINS).await?;
        }
        let mut told = Vec::new();
        for person in &people {
            let key = person.email.key();
            if !told.contains(&key) {
                self.post_to(db, person, letter).await?;
                told.push(key);
            }
        }
        if let Some(contact) = &client.contact
            && !told.contains(&contact.to_lowercase())
        {
            let to = Recipient { address: Some(contact), name: "", language: "" };
            self.post(db, to, letter).await?;
            told.push(contact.to_lowercase());
        }
        Ok(told.len())
    }
}

/// The present month and those that the bars look ahead: a secret made today ends in the last one.
const MONTHS: usize = 1 + 24;

/// How many secrets without a successor expire in the rest of this month and in each of the next 24, by month: `2026-03`.
pub fn by_month(now: OffsetDateTime, secrets: &[ExpiringSecret]) -> Vec<(String, usize)> {
    let (mut year, mut month) = (now.year(), now.month());
    let mut months = Vec::with_capacity(MONTHS);
    for _ in 0..MONTHS {
        let here = |one: &&ExpiringSecret| {
            let at = one.secret.ends_at();
            !one.successor && at > now && at.year() == year && at.month() == month
        };
        months.push((format!("{year:04}-{:02}", u8::from(month)), secrets.iter().filter(here).count()));
        month = month.next();
        year += i32::from(month == time::Month::January);
    }
    months
}
