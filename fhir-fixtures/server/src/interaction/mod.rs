//! What can be asked, one file each.

mod everything;
mod history;
mod read;
mod search;
mod vread;

use axum::response::Response;
use config::Interaction;

use crate::{call::Call, outcome::Refusal};

/// Answers a request.
pub(crate) async fn answer(call: &Call<'_>) -> Result<Response, Refusal> {
    match call.operation.interaction {
        Interaction::Search => search::answer(call).await,
        Interaction::Read => read::answer(call).await,
        Interaction::Vread => vread::answer(call).await,
        Interaction::History => history::answer(call).await,
        Interaction::Everything => everything::answer(call).await,
        Interaction::Merge => Err(Refusal::NotSupported(
            "$merge is not supported by this server yet: products can be read, not changed.",
        )),
        // Nothing was ever merged here, so there is no outcome of it.
        Interaction::TransactionResponse => Err(Refusal::NotFound),
    }
}
