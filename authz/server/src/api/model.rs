//! What goes over the wire. The schemas of the document are made from these types.

#![expect(clippy::struct_field_names, reason = "the wire's names are those of the command line")]

use authz_domain::{AccessRequest, SecretState};
use database::micros;
use pms_terms::{Domains, OrganisationId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;

use crate::{
    mail::credentials::exact,
    use_cases::{ClientView, ExpiringSecret, IssuedCredentials, NewProof, RegisteredProof, SecretView},
};

/// A client that calls the APIs.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Client {
    /// Its public name on the wire.
    client_id: String,
    /// What automation calls it.
    external_key: Option<String>,
    /// What people call it.
    label: String,
    /// The organisation it acts for; null for public clients.
    organisation: Option<String>,
    /// Its role, such as pms-industry-api.
    role: String,
    /// Whether it sees commercially confidential data of its organisation.
    qualified: bool,
    /// Whether it sees products of human medicine.
    human: bool,
    /// Whether it sees products of veterinary medicine.
    veterinary: bool,
    /// The most it may ask for.
    scope: String,
    /// active, suspended or revoked.
    status: String,
    /// The technical contact's e-mail address.
    contact: Option<String>,
    /// ISO 8601.
    created_at: String,
    /// Until when its newest live secret works; null when it has none. ISO 8601.
    expires_at: Option<String>,
    /// How it authenticates: client_secret, private_key_jwt, tls_client_auth or self_signed_tls_client_auth; null when it
    /// has no live credential.
    authentication: Option<String>,
    /// Whether it may have only tokens that are bound to a key of its own (RFC 9449).
    dpop_required: bool,
    /// Its secrets and what is registered in place of them, newest first.
    secrets: Vec<Secret>,
}

/// A secret without its text, or what is registered in place of one.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Secret {
    /// Its name.
    secret_id: String,
    /// How the client authenticates by it: client_secret, private_key_jwt, tls_client_auth or
    /// self_signed_tls_client_auth.
    method: String,
    /// Its first characters; of keys, the first one's name, or the address where they are published.
    hint: String,
    /// live, expired, retired or revoked.
    status: String,
    /// ISO 8601.
    issued_at: String,
    /// From then on it is refused. ISO 8601.
    expires_at: String,
    /// When a successor takes its place. ISO 8601.
    retires_at: Option<String>,
    /// When it was used last, to some seconds. ISO 8601.
    last_used_at: Option<String>,
}

/// A page of clients.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Clients {
    pub(crate) items: Vec<Client>,
    /// The cursor of the next page; null on the last one.
    pub(crate) next: Option<String>,
}

/// What a client is to be.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ClientWanted {
    /// Its role: pms-industry-api, pms-nca-api or public-pms-api.
    pub(crate) role: String,
    /// The organisation it acts for; left out for public clients, and by tokens of one organisation.
    #[serde(default)]
    pub(crate) organisation: Option<String>,
    /// What people call it.
    #[serde(default)]
    pub(crate) label: String,
    /// The technical contact's e-mail address; needed for public clients.
    #[serde(default)]
    pub(crate) contact: Option<String>,
    /// Whether it sees commercially confidential data of its organisation.
    #[serde(default)]
    pub(crate) qualified: bool,
    /// Whether it sees products of human medicine.
    #[serde(default = "yes")]
    pub(crate) human: bool,
    /// Whether it sees products of veterinary medicine.
    #[serde(default = "yes")]
    pub(crate) veterinary: bool,
    /// The most it may ask for; left out: everything its role may.
    #[serde(default)]
    pub(crate) scope: Option<String>,
}

fn yes() -> bool {
    true
}

impl ClientWanted {
    pub(crate) fn domains(&self) -> Domains {
        Domains { human: self.human, veterinary: self.veterinary }
    }
}

/// A client that was made, with its first secret.
#[derive(Serialize, JsonSchema)]
pub(crate) struct ClientMade {
    pub(crate) client: Client,
    pub(crate) credentials: Credentials,
}

/// What is to change; what is left out stays.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ClientChange {
    /// What people call it.
    pub(crate) label: Option<String>,
    /// The technical contact's e-mail address.
    pub(crate) contact: Option<String>,
    /// active or suspended.
    pub(crate) status: Option<WantedStatus>,
    /// Whether it may have only tokens that are bound to a key of its own (RFC 9449).
    pub(crate) dpop_required: Option<bool>,
    /// Why, for the audit trail: at most 1000 characters.
    #[serde(default)]
    pub(crate) reason: String,
}

/// A status that a client can be put into.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum WantedStatus {
    /// It may have tokens.
    Active,
    /// It may not, for the time being.
    Suspended,
}

/// How to make a new secret.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Rotation {
    /// End the old secrets at once, with every token bought with them: for a compromise.
    pub(crate) immediately: bool,
    /// The newest secret you know of: when there is a newer one nothing is done, and the answer is 409.
    pub(crate) newest_known: Option<String>,
    /// Why, for the audit trail: at most 1000 characters.
    pub(crate) reason: String,
}

/// How to make a new secret for yourself.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct OwnRotation {
    /// End the old secrets at once, with every token bought with them: for a compromise.
    pub(crate) immediately: bool,
    /// Why, for the audit trail: at most 1000 characters.
    pub(crate) reason: String,
}

/// What a client is to prove itself by: exactly one of `jwks`, `jwks_uri`, `certificate`, `tls_certificate` and
/// `tls_subject`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProofWanted {
    /// A JWK Set of public keys that sign assertions (RFC 7523), or one such key.
    pub(crate) jwks: Option<Value>,
    /// Where the client publishes such a set: an https address.
    pub(crate) jwks_uri: Option<String>,
    /// A certificate in PEM whose key signs assertions, as MSAL has it.
    pub(crate) certificate: Option<String>,
    /// The certificate in PEM that the client shows in TLS handshakes (RFC 8705, self_signed_tls_client_auth).
    pub(crate) tls_certificate: Option<String>,
    /// Whom the certificates that it shows are for (RFC 8705, tls_client_auth): dns:, uri:, ip:, email: and the name, or dn:
    /// and the whole distinguished name (RFC 4514).
    pub(crate) tls_subject: Option<String>,
    /// End what was registered before at once, with every token bought with it: for a compromise.
    #[serde(default)]
    pub(crate) immediately: bool,
    /// Why, for the audit trail: at most 1000 characters.
    #[serde(default)]
    pub(crate) reason: String,
}

impl ProofWanted {
    /// The one thing that is to be registered.
    pub(crate) fn proof(&self) -> Option<NewProof> {
        let wanted = [
            self.jwks.as_ref().map(|jwks| NewProof::Keys(jwks.to_string().into_bytes())),
            self.jwks_uri.clone().map(NewProof::KeysAt),
            self.certificate.as_ref().map(|pem| NewProof::KeyOf(pem.clone().into_bytes())),
            self.tls_certificate.as_ref().map(|pem| NewProof::Certificate(pem.clone().into_bytes())),
            self.tls_subject.clone().map(NewProof::Subject),
        ];
        let mut wanted = wanted.into_iter().flatten();
        wanted.next().filter(|_| wanted.next().is_none())
    }
}

/// What was registered.
#[derive(Serialize, JsonSchema)]
pub(crate) struct ProofMade {
    /// The client.
    client_id: String,
    /// How it authenticates from now on.
    method: String,
    /// The name of what was registered, in lists and tokens.
    secret_id: String,
    /// The first key's name, or the address.
    hint: String,
    /// ISO 8601.
    issued_at: String,
    /// From then on it is refused. ISO 8601.
    expires_at: String,
    /// Where to get tokens, with POST.
    token_url: String,
    /// What to ask for.
    scope: String,
    /// What stopped working by it.
    ended: Vec<EndedSecret>,
}

/// New credentials. The secret is shown here and nowhere else.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Credentials {
    /// The client.
    client_id: String,
    /// The secret.
    client_secret: String,
    /// The secret's name in lists.
    secret_id: String,
    /// ISO 8601.
    issued_at: String,
    /// From then on it is refused. ISO 8601.
    expires_at: String,
    /// Where to get tokens, with POST.
    token_url: String,
    /// What to ask for.
    scope: String,
    /// Older secrets that stopped working when this one was made.
    ended: Vec<EndedSecret>,
}

/// A secret that a successor ended at once.
#[derive(Serialize, JsonSchema)]
pub(crate) struct EndedSecret {
    /// Its name.
    secret_id: String,
    /// Its first characters.
    hint: String,
}

/// Secrets that expire soon.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Expiring {
    pub(crate) items: Vec<ExpiringItem>,
}

/// A secret that expires soon.
#[derive(Serialize, JsonSchema)]
pub(crate) struct ExpiringItem {
    /// Whose secret it is.
    client_id: String,
    /// What people call the client.
    label: String,
    /// The organisation; null for public clients.
    organisation: Option<String>,
    /// The client's role.
    role: String,
    /// The secret's name.
    secret_id: String,
    /// Its first characters.
    hint: String,
    /// ISO 8601.
    expires_at: String,
    /// Whole days; negative when it has expired.
    days_left: i64,
    /// When it was used last. ISO 8601.
    last_used_at: Option<String>,
    /// Whether the client has a secret that lives longer.
    successor: bool,
}

/// A request for access.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Request {
    /// REQ- and eight digits.
    request: String,
    /// What is asked for, in words.
    what: String,
    /// The application's id.
    application: String,
    /// The roles' ids.
    roles: Vec<String>,
    /// On whose behalf.
    organisation: Option<String>,
    /// submitted, waiting, approved, rejected, withdrawn or expired.
    state: String,
    /// ISO 8601.
    submitted_at: Option<String>,
    /// ISO 8601.
    decided_at: Option<String>,
    /// The client that was made, or whose secret is renewed.
    client_id: Option<String>,
}

/// A page of requests.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Requests {
    pub(crate) items: Vec<Request>,
    /// The cursor of the next page; null on the last one.
    pub(crate) next: Option<String>,
}

/// Why not (RFC 9457).
#[derive(Serialize, JsonSchema)]
pub(crate) struct ProblemDetails {
    /// A URN that names the kind of problem.
    r#type: String,
    /// The kind of problem in words.
    title: String,
    /// The HTTP status.
    status: u16,
    /// What was wrong here and what to do.
    detail: String,
}

/// Where a page of clients begins.
#[derive(Serialize, Deserialize)]
pub(crate) struct ClientPlace {
    pub(crate) at: i64,
    pub(crate) id: String,
}

impl ClientPlace {
    pub(crate) fn after(view: &ClientView) -> Self {
        Self { at: micros(view.client.created_at), id: view.client.id.to_string() }
    }
}

fn organisation(id: Option<&OrganisationId>) -> Option<String> {
    id.map(ToString::to_string)
}

fn maybe(at: Option<OffsetDateTime>) -> Option<String> {
    at.map(exact)
}

impl From<&ClientView> for Client {
    fn from(view: &ClientView) -> Self {
        let client = &view.client;
        let live = view.secrets.iter().filter(|one| one.state == SecretState::Live);
        Self {
            client_id: client.id.to_string(),
            external_key: client.external_key.clone(),
            label: client.label.clone(),
            organisation: organisation(client.organisation.as_ref()),
            role: client.role.clone(),
            qualified: client.qualified,
            human: client.domains.human,
            veterinary: client.domains.veterinary,
            scope: client.allowed.to_string(),
            status: client.status.as_str().to_owned(),
            contact: client.contact.clone(),
            created_at: exact(client.created_at),
            expires_at: live.map(|one| one.secret.ends_at()).max().map(exact),
            dpop_required: client.dpop_required,
            authentication: view.method().map(|method| method.to_string()),
            secrets: view.secrets.iter().map(Secret::from).collect(),
        }
    }
}

impl From<&SecretView> for Secret {
    fn from(view: &SecretView) -> Self {
        let secret = &view.secret;
        Self {
            secret_id: secret.id.to_string(),
            method: secret.proof.method().to_string(),
            hint: secret.hint.clone(),
            status: view.state.as_str().to_owned(),
            issued_at: exact(secret.issued_at),
            expires_at: exact(secret.expires_at),
            retires_at: maybe(secret.retires_at),
            last_used_at: maybe(secret.last_used_at),
        }
    }
}

impl From<&IssuedCredentials> for Credentials {
    fn from(issued: &IssuedCredentials) -> Self {
        Self {
            client_id: issued.client_id.to_string(),
            client_secret: issued.client_secret.expose().to_owned(),
            secret_id: issued.secret_id.to_string(),
            issued_at: exact(issued.issued_at),
            expires_at: exact(issued.expires_at),
            token_url: issued.token_url.clone(),
            scope: issued.scope.clone(),
            ended: issued.ended.iter().map(EndedSecret::from).collect(),
        }
    }
}

impl From<&RegisteredProof> for ProofMade {
    fn from(made: &RegisteredProof) -> Self {
        Self {
            client_id: made.client_id.to_string(),
            method: made.method.to_string(),
            secret_id: made.secret_id.to_string(),
            hint: made.hint.clone(),
            issued_at: exact(made.issued_at),
            expires_at: exact(made.expires_at),
            token_url: made.token_url.clone(),
            scope: made.scope.clone(),
            ended: made.ended.iter().map(EndedSecret::from).collect(),
        }
    }
}

impl From<&crate::use_cases::EndedSecret> for EndedSecret {
    fn from(ended: &crate::use_cases::EndedSecret) -> Self {
        Self { secret_id: ended.id.to_string(), hint: ended.hint.clone() }
    }
}

impl From<&ExpiringSecret> for ExpiringItem {
    fn from(expiring: &ExpiringSecret) -> Self {
        let (client, secret) = (&expiring.client, &expiring.secret);
        Self {
            client_id: client.id.to_string(),
            label: client.label.clone(),
            organisation: organisation(client.organisation.as_ref()),
            role: client.role.clone(),
            secret_id: secret.id.to_string(),
            hint: secret.hint.clone(),
            expires_at: exact(secret.ends_at()),
            days_left: expiring.days_left,
            last_used_at: maybe(secret.last_used_at),
            successor: expiring.successor,
        }
    }
}

impl Request {
    pub(crate) fn new(request: &AccessRequest, what: String, client: Option<String>) -> Self {
        Self {
            request: request.name(),
            what,
            application: request.application.clone(),
            roles: request.roles.clone(),
            organisation: organisation(request.organisation.as_ref()),
            state: request.state.as_str().to_owned(),
            submitted_at: maybe(request.submitted_at),
            decided_at: maybe(request.decided_at),
            client_id: client,
        }
    }
}
