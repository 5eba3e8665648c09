//! Drives oxide-auth's client-credentials state machine. The only place that knows that crate.
//!
//! The machine holds the order of the steps: no grant before authentication, no token before a grant; it checks
//! the grant type and the scope's alphabet. Parsing, authentication, scope policy and errors are ours, because the
//! crate's own front end answers several of them wrongly (missing credentials, a too wide scope, Basic beside an equal
//! client id) and cannot say why.

use std::borrow::Cow;

use oxide_auth::{
    code_grant::client_credentials::{ClientCredentials, Input, Output, Request},
    primitives::{
        grant::Extensions,
        registrar::{BoundClient, ExactUrl, PreGrant, RegisteredUrl},
    },
};

use super::error::OAuthError;

/// What the machine sees of a request: already parsed, one set of credentials at most.
struct CleanRequest<'r> {
    grant_type: Option<&'r str>,
    client_id: Option<&'r str>,
    scope: Option<&'r str>,
}

impl Request for CleanRequest<'_> {
    fn valid(&self) -> bool {
        true
    }

    fn authorization(&self) -> Option<(Cow<'_, str>, Cow<'_, [u8]>)> {
        // The secret is checked by us: the machine needs to know that there is one, not what it is.
        self.client_id.map(|client_id| (Cow::Borrowed(client_id), Cow::Borrowed(&[][..])))
    }

    fn scope(&self) -> Option<Cow<'_, str>> {
        self.scope.map(Cow::Borrowed)
    }

    fn grant_type(&self) -> Option<Cow<'_, str>> {
        self.grant_type.map(Cow::Borrowed)
    }

    fn extension(&self, _: &str) -> Option<Cow<'_, str>> {
        None
    }
}

/// A request that has passed the machine's first checks and waits for authentication.
pub(crate) struct AwaitingAuthentication(ClientCredentials);

/// An authenticated request that waits for its grant.
pub(crate) struct AwaitingGrant(ClientCredentials);

/// Proof that the machine ran to its end: authenticated, negotiated, granted.
pub(crate) struct Granted(());

/// Starts the flow. `client_id` is none when the request carries no usable credentials; then the answer is an error,
/// and whether it is about the grant type is what the caller wants to know first.
pub(crate) fn begin(
    grant_type: Option<&str>,
    client_id: Option<&str>,
    scope: Option<&str>,
) -> Result<AwaitingAuthentication, OAuthError> {
    let grant_type_text = grant_type.ok_or(OAuthError::MissingParameter("grant_type"))?;
    // A scope outside RFC 6749's alphabet would end the machine with a bare `invalid_request`. It is refused by the
    // grant, after authentication, with a reason; the machine sees none.
    let scope = scope.filter(|scope| scope.bytes().all(is_scope_byte));
    let request = CleanRequest { grant_type, client_id, scope };
    let mut machine = ClientCredentials::new(&request);
    match machine.advance(Input::None) {
        Output::Authenticate { .. } => {}
        _ if grant_type_text != "client_credentials" => return Err(OAuthError::UnsupportedGrantType),
        _ => return Err(OAuthError::NoCredentials),
    }
    Ok(AwaitingAuthentication(machine))
}

/// RFC 6749 §3.3: the characters of scope tokens, and the space between them.
fn is_scope_byte(byte: u8) -> bool {
    matches!(byte, b' ' | 0x21 | 0x23..=0x5b | 0x5d..=0x7e)
}

impl AwaitingAuthentication {
    /// The client proved itself.
    pub(crate) fn authenticated(self) -> Result<AwaitingGrant, OAuthError> {
        let Self(mut machine) = self;
        let client_id = match machine.advance(Input::Authenticated) {
            Output::Binding { client_id } => client_id.to_owned(),
            _ => return Err(OAuthError::Internal),
        };
        // This grant has no redirection; the machine insists on an address, which nothing ever follows.
        let unused: ExactUrl = "urn:unused".parse().map_err(|_| OAuthError::Internal)?;
        let bound_client = BoundClient {
            client_id: Cow::Owned(client_id),
            redirect_uri: Cow::Owned(RegisteredUrl::Exact(unused)),
        };
        if !matches!(machine.advance(Input::Bound { bound_client }), Output::Extend) {
            return Err(OAuthError::Internal);
        }
        if !matches!(
            machine.advance(Input::Extended { extensions: Extensions::new() }),
            Output::Negotiate { .. }
        ) {
            return Err(OAuthError::Internal);
        }
        Ok(AwaitingGrant(machine))
    }
}

impl AwaitingGrant {
    /// The grant was decided: `scope` is what the client gets.
    pub(crate) fn granted(self, scope: &str) -> Result<Granted, OAuthError> {
        let Self(mut machine) = self;
        let (client_id, redirect_uri) = match machine.advance(Input::None) {
            Output::Negotiate { bound_client, .. } => {
                (bound_client.client_id.clone().into_owned(), bound_client.redirect_uri.clone().into_owned())
            }
            _ => return Err(OAuthError::Internal),
        };
        let scope = scope.parse().map_err(|_| OAuthError::Internal)?;
        let pre_grant = PreGrant { client_id, redirect_uri, scope };
        match machine.advance(Input::Negotiated { pre_grant }) {
            Output::Ok { .. } => Ok(Granted(())),
            _ => Err(OAuthError::Internal),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_steps_lead_to_a_grant() {
        let flow = begin(Some("client_credentials"), Some("c-1"), Some("system/*.rs")).unwrap();
        assert!(flow.authenticated().unwrap().granted("system/*.rs").is_ok());
    }

    #[test]
    fn the_grant_type_is_judged_before_credentials() {
        let refused = |grant_type, client_id| begin(grant_type, client_id, None).err().unwrap();
        assert!(matches!(refused(None, None), OAuthError::MissingParameter("grant_type")));
        assert!(matches!(refused(Some("password"), None), OAuthError::UnsupportedGrantType));
        assert!(matches!(refused(Some("password"), Some("c")), OAuthError::UnsupportedGrantType));
        assert!(matches!(refused(Some("client_credentials"), None), OAuthError::NoCredentials));
    }

    #[test]
    fn a_scope_outside_the_alphabet_does_not_end_the_flow() {
        assert!(begin(Some("client_credentials"), Some("c"), Some("\"ä\\")).is_ok());
    }
}
