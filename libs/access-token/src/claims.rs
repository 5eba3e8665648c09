//! What an access token says (RFC 9068 §2.2, plus our own claims and those that Entra's clients read).

use pms_terms::{Domains, OrganisationId, Stakeholder};
use serde::{Deserialize, Serialize};

use crate::Confirmation;

/// The `typ` header of every access token (RFC 9068 §2.1).
pub const TOKEN_TYPE: &str = "at+jwt";

/// The claims of an access token. Times are seconds since the epoch (RFC 7519 §2, NumericDate).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessTokenClaims {
    /// Issuer: the URL of the endpoint family that made it.
    pub iss: String,
    /// Subject: the client itself (RFC 9068 §2.2), in a form that cannot be taken for a person.
    pub sub: String,
    /// Audience: the resource, for example `api://pmsgate/pms`.
    pub aud: String,
    /// Expires at.
    pub exp: i64,
    /// Not valid before.
    pub nbf: i64,
    /// Issued at.
    pub iat: i64,
    /// The token's own id.
    pub jti: String,
    /// The client.
    pub client_id: String,
    /// The client again, under the name that Entra's v2 tokens use.
    pub azp: String,
    /// Granted SMART system scopes, separated by spaces.
    pub scope: String,
    /// Application roles, for example `PMS.Industry.API`.
    pub roles: Vec<String>,
    /// The organisation on whose behalf the client acts; none for public clients.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub org_id: Option<OrganisationId>,
    /// The stakeholder group that decides the access level.
    pub stakeholder: Stakeholder,
    /// Whether the client may see commercially sensitive data of its own organisation.
    pub qualified: bool,
    /// Domains an authority's client may see.
    pub domains: Domains,
    /// The tenant whose endpoint made it.
    pub tid: String,
    /// The version of the token format, `2.0` as Entra's.
    pub ver: String,
    /// The secret that bought it, so that a revoked secret takes its tokens along.
    pub secret_id: String,
    /// Proof-of-possession binding (RFC 7800, RFC 8705, RFC 9449), when there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cnf: Option<Confirmation>,
}
