//! Changing a client: what it is called and whom to write to; stopping it for the time being, letting it go on, ending
//! it for good.

use access_token::RevocationSubject;
use authz_domain::{Act, Actor, Client, InvalidTransition, check_particulars};
use authz_store::{changes, changes::Change, clients, revocations};

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

    /// Changes what a client is called and its technical contact. What stays the same leaves no trace.
    pub async fn change_client(
        &self,
        actor: Actor,
        client_id: &str,
        label: &str,
        contact: Option<&str>,
    ) -> Result<(), UseCaseError> {
        let (label, contact) = (label.trim(), contact.map(str::trim).filter(|contact| !contact.is_empty()));
        check_particulars(label, contact)?;
        let mut work = authz_store::begin(&self.database).await?;
        let mut db = work.db();
        let client = self.client(&mut db, client_id).await?;
        client.may_change()?;
        if client.organisation.is_none() && client.contact.is_some() && contact.is_none() {
            return Err(UseCaseError::ContactMissing(client.role));
        }
        let mut changed = Vec::new();
        if client.label != label {
            changed.push("label");
        }
        if client.contact.as_deref() != contact {
            changed.push("contact");
        }
        if changed.is_empty() {
            return Ok(());
        }
        clients::set_particulars(&mut db, &client.id, label, contact).await?;
        changes::append(&mut db, &Change::Client(client.id.to_string()), self.now()).await?;
        let details = vec![("changed", changed.join(" "))];
        self.audit(&mut db, &actor, Act::ClientChanged, client.id.as_str(), details).await?;
        work.commit().await?;
        self.committed().await;
        Ok(())
    }

    /// Says whether a client may have only tokens that are bound to a key of its own by DPoP proofs. What stays the same
    /// leaves no trace.
    pub async fn require_dpop(
        &self,
        actor: Actor,
        client_id: &str,
        required: bool,
    ) -> Result<(), UseCaseError> {
        let now = self.now();
        let mut work = authz_store::begin(&self.database).await?;
        let mut db = work.db();
        let client = self.client(&mut db, client_id).await?;
        client.may_change()?;
        if client.dpop_required == required {
            return Ok(());
        }
        clients::set_dpop_required(&mut db, &client.id, required).await?;
        changes::append(&mut db, &Change::Client(client.id.to_string()), now).await?;
        let details = vec![("dpop_required", required.to_string())];
        self.audit(&mut db, &actor, Act::ClientChanged, client.id.as_str(), details).await?;
        work.commit().await?;
        self.committed().await;
        Ok(())
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
        let client = change(self.client(&mut db, client_id).await?)?;
        clients::set_status(&mut db, &client.id, client.status).await?;
        let subject = RevocationSubject::Client(client.id.to_string());
        revocations::append(&mut db, &subject, self.last_token_dead_at(now), stops_tokens, now).await?;
        changes::append(&mut db, &Change::Client(client.id.to_string()), now).await?;
        self.audit(&mut db, &actor, act, client.id.as_str(), Vec::new()).await?;
        work.commit().await?;
        self.committed().await;
        Ok(())
    }
}
