//! The audit trail: the one place that appends to it, and reading, verifying and paging it.

use authz_domain::{Act, Actor, AuditEvent, ChainBroken, ChainHead, ChainWalk};
use authz_store::{audit_events, audit_events::ChainedRecord, noted_configuration};
use aws_lc_rs::digest;
use database::Db;

use super::{UseCaseError, UseCases};
use crate::origin;

/// Records read at a time.
const AT_ONCE: i64 = 500;

/// What a walk along the trail found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrailVerdict {
    /// Records that are sound, from the first one on.
    pub sound: i64,
    /// Where the trail ends, by the note beside it. Kept elsewhere, it shows later that nothing before was changed.
    pub head: ChainHead,
    /// What is wrong, and where.
    pub broken: Option<ChainBroken>,
    /// Whether the record that was asked for has the link that was asked for; none when none was.
    pub as_known: Option<bool>,
}

/// The fault of a record that stands behind the end.
fn behind(head: &ChainHead, last: i64) -> Option<ChainBroken> {
    (last > head.number).then_some(ChainBroken::Behind { number: last, end: head.number })
}

impl UseCases {
    /// Appends to the audit trail, within the unit of work of the act. From where it came is known to the request.
    pub(crate) async fn audit(
        &self,
        db: &mut Db<'_>,
        actor: &Actor,
        act: Act,
        subject: &str,
        mut details: Vec<(&'static str, String)>,
    ) -> Result<(), UseCaseError> {
        if !self.reason.is_empty() && !details.iter().any(|(name, _)| *name == "reason") {
            details.push(("reason", self.reason.clone()));
        }
        let event = AuditEvent {
            at: self.now(),
            actor: actor.clone(),
            origin: origin::address(),
            act,
            subject: subject.to_owned(),
            details,
        };
        audit_events::append(db, &self.keys.audit, &event).await?;
        Ok(())
    }

    /// Walks along the trail from its first record to its end. `known` is the number and the link of a record as
    /// somebody noted it elsewhere; `progress` hears how many records were walked.
    pub async fn verify_trail(
        &self,
        known: Option<(i64, &str)>,
        mut progress: impl FnMut(i64),
    ) -> Result<TrailVerdict, UseCaseError> {
        // What is appended from now on lies behind this head, and is left for the next time.
        let (head, last) = audit_events::ends(&mut self.database.read().await?.db()).await?;
        let mut walk = ChainWalk::new(&self.keys.audit);
        let mut verdict =
            TrailVerdict { sound: 0, head: head.clone(), broken: None, as_known: known.map(|_| false) };
        'walk: loop {
            let mut reader = self.database.read().await?;
            let records = audit_events::after(&mut reader.db(), verdict.sound, AT_ONCE).await?;
            drop(reader);
            let read = records.len();
            for ChainedRecord { record, link } in
                records.iter().filter(|one| one.record.number <= head.number)
            {
                if let Err(broken) = walk.take(record, link) {
                    verdict.broken = Some(broken);
                    break 'walk;
                }
                verdict.sound = record.number;
                if known.is_some_and(|(number, known)| number == record.number && known == link) {
                    verdict.as_known = Some(true);
                }
            }
            progress(verdict.sound);
            if read == 0 || records.iter().any(|one| one.record.number >= head.number) {
                break;
            }
        }
        if verdict.broken.is_none() {
            verdict.broken = walk.finish(&head).err().or_else(|| behind(&head, last));
        }
        Ok(verdict)
    }

    /// Records after a number, in order: what an export reads, piece by piece.
    pub async fn trail_after(&self, number: i64) -> Result<Vec<ChainedRecord>, UseCaseError> {
        Ok(audit_events::after(&mut self.database.read().await?.db(), number, AT_ONCE).await?)
    }

    /// What is wrong with the end of the trail, where something stands behind it.
    pub async fn trail_end_fault(&self) -> Result<Option<ChainBroken>, UseCaseError> {
        let (head, last) = audit_events::ends(&mut self.database.read().await?.db()).await?;
        Ok(behind(&head, last))
    }

    /// How many records there are, by the note of where the trail ends.
    pub async fn trail_length(&self) -> Result<i64, UseCaseError> {
        Ok(audit_events::head(&mut self.database.read().await?.db()).await?.number)
    }

    /// Notes with which configuration the server starts: what differs from the last start is told in the trail, by
    /// section, without values. `sections` are names and texts.
    pub async fn note_configuration(&self, sections: &[(String, String)]) -> Result<(), UseCaseError> {
        let mut work = authz_store::begin(&self.database).await?;
        let mut db = work.db();
        let before = noted_configuration::list(&mut db).await?;
        let mut changed = Vec::new();
        for (section, text) in sections {
            let hash = hex::encode(digest::digest(&digest::SHA256, text.as_bytes()));
            if before.get(section) != Some(&hash) {
                noted_configuration::set(&mut db, section, &hash).await?;
                changed.push(section.as_str());
            }
        }
        if changed.is_empty() {
            return Ok(());
        }
        let sections = if before.is_empty() { "first start".to_owned() } else { changed.join(" ") };
        self.audit(&mut db, &Actor::System, Act::ConfigurationChanged, "", vec![("sections", sections)])
            .await?;
        Ok(work.commit().await?)
    }
}
