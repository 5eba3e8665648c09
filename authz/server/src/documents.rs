//! Metadata documents, written once at start: every URL in them is one of the router's.

use std::collections::BTreeMap;

use access_token::{AdministrationScope, ProofAlgorithm};
use bytes::Bytes;
use serde_json::{Value, json};

use crate::AuthzSettings;

/// The documents, ready to send.
pub(crate) struct Documents {
    /// RFC 8414, for the root issuer.
    pub(crate) server: Bytes,
    /// SMART App Launch, "Using .well-known".
    pub(crate) smart: Bytes,
    tenants: BTreeMap<String, Bytes>,
}

impl Documents {
    pub(crate) fn new(settings: &AuthzSettings) -> Self {
        let base = &settings.base_url;
        let server = metadata(
            settings,
            &settings.issuer,
            &settings.token_url(),
            &format!("{base}/oauth2/jwks"),
            &format!("{base}/{}/oauth2/v2.0/authorize", settings.default_tenant()),
        );
        let smart = json!({
            "issuer": settings.issuer,
            "jwks_uri": format!("{base}/oauth2/jwks"),
            "token_endpoint": settings.token_url(),
            "introspection_endpoint": format!("{base}/oauth2/introspect"),
            "revocation_endpoint": format!("{base}/oauth2/revoke"),
            "grant_types_supported": ["client_credentials"],
            "token_endpoint_auth_methods_supported": settings.authentication_methods(),
            "token_endpoint_auth_signing_alg_values_supported": ProofAlgorithm::NAMES,
            "scopes_supported": scopes(settings),
            "response_types_supported": [],
            "code_challenge_methods_supported": [],
            "capabilities": ["client-confidential-symmetric", "client-confidential-asymmetric", "permission-v2"],
        });
        let tenants = settings
            .tenants
            .iter()
            .map(|tenant| {
                let document = metadata(
                    settings,
                    &settings.tenant_issuer(tenant),
                    &format!("{base}/{tenant}/oauth2/v2.0/token"),
                    &format!("{base}/{tenant}/discovery/v2.0/keys"),
                    &format!("{base}/{tenant}/oauth2/v2.0/authorize"),
                );
                (tenant.clone(), bytes(&document))
            })
            .collect();
        Self { server: bytes(&server), smart: bytes(&smart), tenants }
    }

    /// The document of one tenant.
    pub(crate) fn tenant(&self, tenant: &str) -> Option<&Bytes> {
        self.tenants.get(tenant)
    }
}

/// RFC 8414 §2 and what OpenID Connect Discovery 1.0 §3 requires, because generic clients insist on it. The
/// authorization endpoint exists and says that no person signs in here.
fn metadata(settings: &AuthzSettings, issuer: &str, token: &str, jwks: &str, authorize: &str) -> Value {
    let base = &settings.base_url;
    let methods = settings.authentication_methods();
    let mut document = json!({
        "issuer": issuer,
        "authorization_endpoint": authorize,
        "token_endpoint": token,
        "jwks_uri": jwks,
        "introspection_endpoint": format!("{base}/oauth2/introspect"),
        "revocation_endpoint": format!("{base}/oauth2/revoke"),
        "service_documentation": format!("{base}/"),
        "grant_types_supported": ["client_credentials"],
        "response_types_supported": [],
        "scopes_supported": scopes(settings),
        "token_endpoint_auth_methods_supported": methods,
        "token_endpoint_auth_signing_alg_values_supported": ProofAlgorithm::NAMES,
        "introspection_endpoint_auth_methods_supported": methods,
        "introspection_endpoint_auth_signing_alg_values_supported": ProofAlgorithm::NAMES,
        "revocation_endpoint_auth_methods_supported": methods,
        "revocation_endpoint_auth_signing_alg_values_supported": ProofAlgorithm::NAMES,
        "dpop_signing_alg_values_supported": ProofAlgorithm::NAMES,
        // RFC 8705 §3.3.
        "tls_client_certificate_bound_access_tokens": settings.mutual_tls.is_some(),
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": [settings.signing_keys.algorithm.as_str()],
    });
    if let Some(other) = settings.mutual_tls.as_ref().and_then(|tls| tls.url.as_ref()) {
        // RFC 8705 §5: the same endpoints, where certificates are asked for.
        document["mtls_endpoint_aliases"] = json!({
            "token_endpoint": token.replacen(base, other, 1),
            "introspection_endpoint": format!("{other}/oauth2/introspect"),
            "revocation_endpoint": format!("{other}/oauth2/revoke"),
        });
    }
    document
}

fn scopes(settings: &AuthzSettings) -> Vec<String> {
    let everything = settings.resources().into_iter().map(|resource| format!("{resource}/.default"));
    let of_roles: Vec<String> = settings.roles.iter().map(|role| role.scope.to_string()).collect();
    let of_roles = of_roles.iter().flat_map(|scopes| scopes.split_whitespace());
    // Every client may have the last one.
    let every = of_roles.chain([AdministrationScope::RotateOwnSecret.as_str()]);
    let mut widest: Vec<String> = every.map(str::to_owned).collect();
    widest.sort();
    widest.dedup();
    everything.chain(widest).collect()
}

fn bytes(document: &Value) -> Bytes {
    Bytes::from(document.to_string())
}
