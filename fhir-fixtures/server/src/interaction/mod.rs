//! What can be asked, one file each.

mod everything;
mod history;
mod merge;
mod read;
mod search;
mod transaction_response;
mod vread;

use axum::{body::Body, response::Response};
use config::Interaction;

use crate::{call::Call, outcome::Refusal};

/// Answers a request.
pub(crate) async fn answer(call: &Call<'_>, body: Body) -> Result<Response, Refusal> {
    match call.operation.interaction {
        Interaction::Search => search::answer(call).await,
        Interaction::Read => read::answer(call).await,
        Interaction::Vread => vread::answer(call).await,
        Interaction::History => history::answer(call).await,
        Interaction::Everything => everything::answer(call).await,
        Interaction::Merge => merge::answer(call, body).await,
        Interaction::TransactionResponse => transaction_response::answer(call).await,
    }
}
