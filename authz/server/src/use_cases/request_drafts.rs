//! Drafts of requests: begun, changed step by step, taken up again.

use authz_domain::{AccessRequest, RequestState};
use authz_store::access_requests;

use super::{UseCaseError, UseCases, accounts::new_id};

/// Open requests and drafts of one account.
const MAX_OF_ACCOUNT: i64 = 200;

impl UseCases {
    /// Begins a draft. A draft for the same application that is still there is taken up again.
    pub async fn begin_request(&self, account: &str, application: &str) -> Result<String, UseCaseError> {
        if !self.catalogue().offered().any(|one| one.id == application) {
            return Err(UseCaseError::Account("there is no such application".to_owned()));
        }
        let mut work = authz_store::begin(&self.database).await?;
        let mut db = work.db();
        let mine = access_requests::of_account(&mut db, account, MAX_OF_ACCOUNT).await?;
        let same = |one: &&AccessRequest| one.state == RequestState::Draft && one.application == application;
        if let Some(draft) = mine.iter().find(same) {
            return Ok(draft.id.clone());
        }
        let request = AccessRequest {
            id: new_id()?,
            number: None,
            account: account.to_owned(),
            application: application.to_owned(),
            organisation: None,
            deciding_organisation: None,
            roles: Vec::new(),
            language: None,
            comment: String::new(),
            state: RequestState::Draft,
            by_agency: false,
            waiver_asked: false,
            terms_ticked: false,
            created_at: self.now(),
            submitted_at: None,
            decided_at: None,
            decided_by: None,
            reason: String::new(),
            reminders: 0,
        };
        access_requests::insert(&mut db, &request).await?;
        work.commit().await?;
        Ok(request.id)
    }

    /// Changes a draft of an account; none when there is no such draft.
    pub async fn change_draft(
        &self,
        account: &str,
        id: &str,
        change: impl FnOnce(&mut AccessRequest) + Send,
    ) -> Result<Option<AccessRequest>, UseCaseError> {
        let mut work = authz_store::begin(&self.database).await?;
        let mut db = work.db();
        let found = access_requests::find(&mut db, id).await?;
        let mine = |one: &AccessRequest| one.account == account && one.state == RequestState::Draft;
        let Some(mut request) = found.filter(mine) else { return Ok(None) };
        change(&mut request);
        request.state = RequestState::Draft;
        if !access_requests::update(&mut db, &request, RequestState::Draft).await? {
            return Ok(None);
        }
        work.commit().await?;
        Ok(Some(request))
    }
}
