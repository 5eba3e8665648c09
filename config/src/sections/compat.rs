//! `[compat]`: looking more like the agency's present services.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Looking more like the agency's present services, for clients that read their errors.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Compat {
    /// The token endpoint adds the AADSTS numbers that Entra ID would give. They are emulated.
    pub entra_errors: bool,
    /// The gateway answers 401, 404 and 429 in the JSON shape of Azure API Management instead of an OperationOutcome.
    pub apim_errors: bool,
}
