//! What an operator should know: messages that do not leave, and organisations that nobody administers any more.

use std::collections::BTreeSet;

use authz_domain::ClientStatus;
use authz_store::{granted_roles, outbox, webhooks};
use pms_terms::OrganisationId;
use time::OffsetDateTime;

use super::{UseCaseError, UseCases};

/// What waits and what is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HouseHealth {
    /// Mails and text messages that wait.
    pub messages_waiting: i64,
    /// Since when the oldest of them does.
    pub oldest_message: Option<OffsetDateTime>,
    /// Messages to webhooks that were given up.
    pub dead_webhook_messages: i64,
    /// People who may act for the agency.
    pub agency_administrators: i64,
    /// Organisations with API clients that had administrators and have none any more.
    pub without_administrators: Vec<OrganisationId>,
}

impl UseCases {
    /// Looks after it.
    pub async fn house_health(&self) -> Result<HouseHealth, UseCaseError> {
        let clients = self.list_clients().await?;
        let catalogue = &self.settings.portal.catalogue;
        let mut reader = self.database.read().await?;
        let mut db = reader.db();
        let (messages_waiting, oldest_message) = outbox::waiting(&mut db).await?;
        let (_, dead_webhook_messages) = webhooks::count(&mut db).await?;
        let mut agency_administrators = 0;
        for role in catalogue.roles.iter().filter(|role| role.acts_for_agency) {
            agency_administrators += granted_roles::count_others(&mut db, &role.id, None, "").await?;
        }
        let looked_after: BTreeSet<(&OrganisationId, &str)> = clients
            .iter()
            .filter(|view| view.client.status != ClientStatus::Revoked)
            .filter_map(|view| Some((view.client.organisation.as_ref()?, view.client.role.as_str())))
            .collect();
        let mut without_administrators = Vec::new();
        for (organisation, role) in looked_after {
            let (mut now, mut ever) = (0, 0);
            for admin in catalogue.administrators_of(role) {
                now += granted_roles::count_others(&mut db, admin, Some(organisation), "").await?;
                ever += granted_roles::count_ever(&mut db, admin, organisation).await?;
            }
            if now == 0 && ever > 0 && !without_administrators.contains(organisation) {
                without_administrators.push(organisation.clone());
            }
        }
        Ok(HouseHealth {
            messages_waiting,
            oldest_message,
            dead_webhook_messages,
            agency_administrators,
            without_administrators,
        })
    }
}
