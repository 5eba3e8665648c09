//! Putting a message into the outbox, within the unit of work of the act that it tells about.

use authz_domain::Account;
use authz_store::{outbox, outbox::OutboxMessage};
use database::Db;

use super::{UseCaseError, UseCases};
use crate::{
    entropy::entropy,
    mail::{Letter, Message},
};

impl UseCases {
    /// Puts a mail to `to` into the outbox; without a recipient a mail that nobody gets, so that acts for known and
    /// unknown people write the same.
    pub async fn post(
        &self,
        db: &mut Db<'_>,
        to: Option<&str>,
        name: &str,
        letter: &Letter,
    ) -> Result<(), UseCaseError> {
        let message = letter.render(to, name, &self.settings.base_url).map_err(|_| UseCaseError::Letter)?;
        self.enqueue(db, "mail", letter.notice, &message).await
    }

    /// Puts a mail to somebody with an account into the outbox.
    pub async fn post_to(
        &self,
        db: &mut Db<'_>,
        account: &Account,
        letter: &Letter,
    ) -> Result<(), UseCaseError> {
        self.post(db, Some(account.email.as_str()), &account.full_name(), letter).await
    }

    /// Puts a text message into the outbox.
    pub(crate) async fn post_text(&self, db: &mut Db<'_>, to: &str, text: &str) -> Result<(), UseCaseError> {
        let message = Message {
            to: Some(to.to_owned()),
            subject: String::new(),
            text: text.to_owned(),
            html: String::new(),
        };
        self.enqueue(db, "text", "text-message", &message).await
    }

    async fn enqueue(
        &self,
        db: &mut Db<'_>,
        channel: &str,
        notice: &str,
        message: &Message,
    ) -> Result<(), UseCaseError> {
        let id = hex::encode(entropy::<16>()?);
        let plain = serde_json::to_vec(message).map_err(|_| UseCaseError::Letter)?;
        let sealed = self.keys.seal_for(&id, &plain)?;
        let row = OutboxMessage {
            id,
            channel: channel.to_owned(),
            notice: notice.to_owned(),
            sealed: Some(sealed),
            created_at: self.now(),
            tries: 0,
        };
        Ok(outbox::enqueue(db, &row).await?)
    }

    /// Wakes the job that sends, after a commit.
    pub(crate) fn nudge_delivery(&self) {
        if let Some(server) = &self.server {
            server.portal.deliver.notify_one();
        }
    }
}
