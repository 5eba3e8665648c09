//! Webhooks: set up, stopped and taken away by people; told what the audit trail says.
//!
//! The trail is the outbox: an act's record is written in its own unit of work, and every record is looked at once, in
//! order. So nothing that happened is missed, and nothing is told that did not happen.

use authz_domain::{Act, Actor, MessageSecret, WebhookEvent};
use authz_store::{
    audit_events,
    audit_events::ChainedRecord,
    webhooks,
    webhooks::{Delivery, Webhook},
};
use aws_lc_rs::digest;
use pms_terms::OrganisationId;
use serde_json::{Map, Value, json};
use time::format_description::well_known::Rfc3339;
use zeroize::Zeroizing;

use super::{UseCaseError, UseCases, new_id};
use crate::{entropy::entropy, webhook_call};

/// Records looked at in one unit of work.
const ROUND: i64 = 500;
/// Webhooks of one organisation, or of the agency.
const MAX_OF_ONE: usize = 10;
/// Messages shown of one webhook.
const SHOWN: i64 = 100;
/// Particulars of records that are told; others may hold words of people.
const TOLD: [&str; 8] =
    ["secret_id", "before", "ends_at", "expires_at", "step", "immediately", "request", "state"];

/// A webhook to be set up.
#[derive(Clone, Debug)]
pub struct NewWebhook {
    /// Whose it is; none: the agency's, which hears about every organisation.
    pub organisation: Option<OrganisationId>,
    /// Where messages go.
    pub url: String,
    /// What it is told; empty: everything.
    pub events: Vec<WebhookEvent>,
}

/// A webhook with its messages.
#[derive(Clone, Debug)]
pub struct WebhookView {
    /// The webhook.
    pub webhook: Webhook,
    /// Its messages: those given up, then the newest.
    pub deliveries: Vec<Delivery>,
}

impl UseCases {
    /// Sets a webhook up. Answers its id and its signing secret, to be shown once.
    pub async fn create_webhook(
        &self,
        actor: Actor,
        new: NewWebhook,
    ) -> Result<(String, Zeroizing<String>), UseCaseError> {
        let url =
            webhook_call::check_url(&new.url, &self.settings.webhooks).map_err(UseCaseError::Webhook)?;
        let secret = MessageSecret::from_entropy(entropy()?);
        let id = new_id()?;
        let mut work = authz_store::begin(&self.database).await?;
        let mut db = work.db();
        let all = webhooks::list(&mut db).await?;
        if all.iter().filter(|one| one.organisation == new.organisation).count() >= MAX_OF_ONE {
            let problem = format!("There are {MAX_OF_ONE} webhooks already: take one away first.");
            return Err(UseCaseError::Webhook(problem));
        }
        let webhook = Webhook {
            id: id.clone(),
            organisation: new.organisation.clone(),
            url: url.to_string(),
            events: new.events.iter().map(|event| event.as_str().to_owned()).collect(),
            sealed: self.keys.seal_for(&id, secret.as_bytes())?,
            active: true,
            created_at: self.now(),
            after_number: audit_events::head(&mut db).await?.number,
        };
        webhooks::insert(&mut db, &webhook).await?;
        let details = vec![
            ("organisation", new.organisation.map(String::from).unwrap_or_default()),
            // Without the path, which may hold a key of the receiver's.
            ("host", url.host_str().unwrap_or_default().to_owned()),
            ("events", webhook.events.join(" ")),
        ];
        self.audit(&mut db, &actor, Act::WebhookCreated, &id, details).await?;
        work.commit().await?;
        Ok((id, secret.expose()))
    }

    /// The webhooks of these organisations, and the agency's own when asked for, oldest first.
    pub async fn list_webhooks(
        &self,
        organisations: &[OrganisationId],
        agency: bool,
    ) -> Result<Vec<Webhook>, UseCaseError> {
        let mut all = webhooks::list(&mut self.database.read().await?.db()).await?;
        all.retain(|one| one.organisation.as_ref().map_or(agency, |id| agency || organisations.contains(id)));
        Ok(all)
    }

    /// One webhook with its messages.
    pub async fn show_webhook(&self, id: &str) -> Result<Option<WebhookView>, UseCaseError> {
        let mut reader = self.database.read().await?;
        let mut db = reader.db();
        let Some(webhook) = webhooks::find(&mut db, id).await? else { return Ok(None) };
        let deliveries = webhooks::deliveries(&mut db, id, SHOWN).await?;
        Ok(Some(WebhookView { webhook, deliveries }))
    }

    /// Stops a webhook or lets it go on; messages that wait are kept. Whether it was there.
    pub async fn set_webhook_active(
        &self,
        actor: Actor,
        id: &str,
        active: bool,
    ) -> Result<bool, UseCaseError> {
        let mut work = authz_store::begin(&self.database).await?;
        let mut db = work.db();
        let Some(webhook) = webhooks::find(&mut db, id).await? else { return Ok(false) };
        webhooks::set_active(&mut db, id, active).await?;
        let details = vec![("organisation", owner(&webhook)), ("active", active.to_string())];
        self.audit(&mut db, &actor, Act::WebhookChanged, id, details).await?;
        work.commit().await?;
        self.nudge_webhooks();
        Ok(true)
    }

    /// Takes a webhook away, with its messages. Whether it was there.
    pub async fn remove_webhook(&self, actor: Actor, id: &str) -> Result<bool, UseCaseError> {
        let mut work = authz_store::begin(&self.database).await?;
        let mut db = work.db();
        let Some(webhook) = webhooks::find(&mut db, id).await? else { return Ok(false) };
        webhooks::remove(&mut db, id).await?;
        let details = vec![("organisation", owner(&webhook))];
        self.audit(&mut db, &actor, Act::WebhookRemoved, id, details).await?;
        work.commit().await?;
        Ok(true)
    }

    /// Lets a message be sent once more, with the same id. Whether there was one to send.
    pub async fn resend(&self, actor: Actor, webhook: &str, message: &str) -> Result<bool, UseCaseError> {
        let mut work = authz_store::begin(&self.database).await?;
        let mut db = work.db();
        let Some(found) = webhooks::find(&mut db, webhook).await? else { return Ok(false) };
        if !webhooks::send_again(&mut db, webhook, message, self.now()).await? {
            return Ok(false);
        }
        let details = vec![("organisation", owner(&found)), ("message", message.to_owned())];
        self.audit(&mut db, &actor, Act::WebhookResent, webhook, details).await?;
        work.commit().await?;
        self.nudge_webhooks();
        Ok(true)
    }

    /// Puts down what webhooks are to be told of the records that came since the last look. Of several servers each
    /// record is looked at by one. Answers whether there may be more.
    pub(crate) async fn tell_webhooks(&self) -> Result<bool, UseCaseError> {
        let mut reader = self.database.read().await?;
        let head = audit_events::head(&mut reader.db()).await?.number;
        if webhooks::position(&mut reader.db()).await? >= head {
            return Ok(false);
        }
        drop(reader);
        let mut work = authz_store::begin(&self.database).await?;
        let mut db = work.db();
        let position = webhooks::position(&mut db).await?;
        let records = audit_events::after(&mut db, position, ROUND).await?;
        let Some(last) = records.last().map(|one| one.record.number) else { return Ok(false) };
        let hooks = webhooks::list(&mut db).await?;
        for record in records.iter().filter(|_| !hooks.is_empty()) {
            let Some(event) = WebhookEvent::of_record(&record.record.act, &record.detail("step")) else {
                continue;
            };
            for hook in hooks.iter().filter(|hook| listens(hook, record, event)) {
                let delivery = Delivery {
                    id: message_id(&hook.id, record.record.number),
                    webhook: hook.id.clone(),
                    number: record.record.number,
                    event: event.as_str().to_owned(),
                    body: body(record, event),
                    created_at: self.now(),
                    due_at: self.now(),
                    tries: 0,
                    delivered_at: None,
                    dead_at: None,
                    failure: None,
                };
                webhooks::enqueue(&mut db, &delivery).await?;
            }
        }
        webhooks::set_position(&mut db, last).await?;
        work.commit().await?;
        Ok(last < head)
    }

    /// Wakes the job that calls webhooks, after a commit.
    pub(crate) fn nudge_webhooks(&self) {
        if let Some(server) = &self.server {
            server.nudges.webhooks.notify_one();
        }
    }
}

fn owner(webhook: &Webhook) -> String {
    webhook.organisation.as_ref().map(ToString::to_string).unwrap_or_default()
}

/// Whether a webhook is told a record: since it was set up, of its organisation, and what it asked for.
fn listens(hook: &Webhook, record: &ChainedRecord, event: WebhookEvent) -> bool {
    hook.active
        && hook.after_number < record.record.number
        && hook
            .organisation
            .as_ref()
            .is_none_or(|id| record.record.organisation.as_deref() == Some(id.as_str()))
        && (hook.events.is_empty() || hook.events.iter().any(|one| one == event.as_str()))
}

/// The same for the same webhook and record, whenever and by whomever it is made.
fn message_id(webhook: &str, number: i64) -> String {
    let hash = digest::digest(&digest::SHA256, format!("{webhook} {number}").as_bytes());
    format!("msg_{}", hex::encode(&hash.as_ref()[..16]))
}

/// `{"type", "timestamp", "data"}`, as Standard Webhooks recommends.
fn body(record: &ChainedRecord, event: WebhookEvent) -> String {
    let mut data = Map::new();
    let record_data = [("client_id", &record.record.client), ("organisation", &record.record.organisation)];
    for (name, value) in record_data {
        if let Some(value) = value {
            data.insert(name.to_owned(), value.clone().into());
        }
    }
    let details: Map<String, Value> = serde_json::from_str(&record.record.details).unwrap_or_default();
    for name in TOLD {
        if let Some(value) = details.get(name) {
            data.insert(name.to_owned(), value.clone());
        }
    }
    let at = record.record.at;
    let timestamp = at.format(&Rfc3339).unwrap_or_else(|_| at.to_string());
    json!({ "type": event.as_str(), "timestamp": timestamp, "data": data }).to_string()
}
