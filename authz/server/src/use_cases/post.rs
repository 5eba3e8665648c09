//! Putting a message into the outbox, within the unit of work of the act that it tells about.

use authz_domain::{Account, Act, Actor, PhoneNumber};
use authz_store::{outbox, outbox::OutboxMessage};
use database::Db;

use super::{UseCaseError, UseCases};
use crate::{
    entropy::entropy,
    mail::{
        Letter, Message, Recipient,
        texts::{Texts, filled},
    },
};

impl UseCases {
    /// Puts a mail into the outbox; without an address one that nobody gets, so that acts for known and unknown people
    /// write the same.
    pub async fn post(
        &self,
        db: &mut Db<'_>,
        to: Recipient<'_>,
        letter: &Letter,
    ) -> Result<(), UseCaseError> {
        let rendered = letter.render(to, &self.settings.base_url).ok().flatten();
        self.enqueue(db, "mail", letter.notice, &rendered.ok_or(UseCaseError::Letter)?).await
    }

    /// Puts a mail to somebody with an account into the outbox.
    pub async fn post_to(
        &self,
        db: &mut Db<'_>,
        account: &Account,
        letter: &Letter,
    ) -> Result<(), UseCaseError> {
        self.post_if(db, Some(account), letter).await
    }

    /// The same, to nobody when there is no account: then nothing but the mail differs.
    pub(crate) async fn post_if(
        &self,
        db: &mut Db<'_>,
        account: Option<&Account>,
        letter: &Letter,
    ) -> Result<(), UseCaseError> {
        let name = account.map(Account::full_name).unwrap_or_default();
        let to = Recipient {
            address: account.map(|one| one.email.as_str()),
            name: &name,
            language: account.map_or("", |one| &one.language),
        };
        self.post(db, to, letter).await
    }

    /// Puts a text message with a code to somebody's phone into the outbox.
    pub(crate) async fn post_code(
        &self,
        db: &mut Db<'_>,
        account: &Account,
        phone: &PhoneNumber,
        code: &str,
    ) -> Result<(), UseCaseError> {
        let text = filled(Texts::of(&account.language).word("text-code"), &|_| code.to_owned());
        let message = Message {
            to: Some(phone.as_str().to_owned()),
            subject: String::new(),
            text: text.unwrap_or_default(),
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

    /// Lets every message that waits for its next try go at once.
    pub async fn retry_messages(&self, actor: Actor) -> Result<(), UseCaseError> {
        let mut work = authz_store::begin(&self.database).await?;
        let mut db = work.db();
        let (waiting, _) = outbox::waiting(&mut db).await?;
        outbox::make_due(&mut db, self.now()).await?;
        let details = vec![("waiting", waiting.to_string())];
        self.audit(&mut db, &actor, Act::MessagesRetried, "", details).await?;
        work.commit().await?;
        self.nudge_delivery();
        Ok(())
    }

    /// Wakes the job that sends, after a commit.
    pub(crate) fn nudge_delivery(&self) {
        if let Some(server) = &self.server {
            server.portal.deliver.notify_one();
        }
    }
}
