//! Stopping a client for the time being, letting it go on, ending it for good.

use access_token::RevocationSubject;
use authz_domain::{Act, Actor, AuditEvent, Client, InvalidTransition};
use authz_store::{audit_events, changes, changes::Change, clients, revocations};

use super::{UseCaseError, UseCases};

impl UseCases {
    /// Stops a client: no new tokens, and gateways refuse those it has.
    pub async fn suspend_client(&self, actor: Actor, client_id: &str) -> Result<(), UseCaseError> {
        self.change_status(actor, client_id, Act::ClientSuspended, true, Client::suspend).await
    }

    /// Lets a suspended client go on; tokens it had are good again.
    pub async fn resume_client(&self, actor: Actor, client_id: &str) -> Result<(), UseCaseError> {
        self.change_status(actor, client_id, Act::ClientResumed, false, Client::resume).await
    }

    /// Ends a client for good, with every token it has.
    pub async fn revoke_client(&self, actor: Actor, client_id: &str) -> Result<(), UseCaseError> {
        self.change_status(actor, client_id, Act::ClientRevoked, true, Client::revoke).await
    }

    async fn change_status(
        &self,
        actor: Actor,
        client_id: &str,
        act: Act,
        stops_tokens: bool,
        change: fn(Client) -> Result<Client, InvalidTransition>,
    ) -> Result<(), UseCaseError> {
        let now = self.now();
        let mut work = authz_store::begin(&self.database).await?;
        let mut db = work.db();
        let registered = clients::find(&mut db, client_id)
            .await?
            .ok_or_else(|| UseCaseError::NoSuchClient(client_id.to_owned()))?;
        let client = change(registered.client)?;
        clients::set_status(&mut db, &client.id, client.status).await?;
        let subject = RevocationSubject::Client(client.id.to_string());
        revocations::append(&mut db, &subject, self.last_token_dead_at(now), stops_tokens).await?;
        changes::append(&mut db, &Change::Client(client.id.to_string()), now).await?;
        let event = AuditEvent { at: now, actor, act, subject: client.id.to_string(), details: Vec::new() };
        audit_events::append(&mut db, &event).await?;
        work.commit().await?;
        self.committed().await;
        Ok(())
    }
}
