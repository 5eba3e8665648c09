//! A plain HTTP client: asks for tokens, asks the APIs, shows the whole answer.

use std::path::Path;

use http::{HeaderMap, StatusCode};
use serde_json::Value;

use crate::Credentials;

/// An HTTP client for one server.
#[derive(Clone, Debug)]
pub struct ApiClient {
    http: reqwest::Client,
    base_url: String,
}

/// An answer, read to its end.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// Body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {}", self.text()))
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// One header, empty when missing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// What comes with the answer but for the request id, the date and what is left of the caller's limits: what must
    /// not differ between hidden and absent.
    pub fn without_request_id(&self) -> (StatusCode, Vec<(String, String)>, String) {
        let id = self.header("x-request-id").to_owned();
        let mut headers: Vec<(String, String)> = self
            .headers
            .iter()
            .filter(|(name, _)| !matches!(name.as_str(), "x-request-id" | "date" | "ratelimit"))
            .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
            .collect();
        headers.sort();
        (self.status, headers, self.text().replace(&id, "REQUEST-ID"))
    }
}

impl ApiClient {
    /// A client that trusts `ca_file` besides the public authorities.
    pub fn new(base_url: &str, ca_file: Option<&Path>) -> Self {
        // A second installation is refused, which is fine: it is the same provider.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let mut builder = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
        if let Some(path) = ca_file {
            let pem = std::fs::read(path).unwrap();
            builder = builder.tls_certs_only([reqwest::Certificate::from_pem(&pem).unwrap()]);
        }
        Self { http: builder.build().unwrap(), base_url: base_url.to_owned() }
    }

    /// A request to a path of the server, to be completed.
    pub fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method.parse().unwrap(), format!("{}{path}", self.base_url))
    }

    /// Sends a request and reads the whole answer.
    pub async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        Answer { status, headers, body: response.bytes().await.unwrap().to_vec() }
    }

    /// Asks the token endpoint with a form.
    pub async fn ask_token(&self, form: &[(&str, &str)]) -> Answer {
        self.send(self.request("POST", "/oauth2/token").form(form)).await
    }

    /// A token for a client, which must be granted.
    pub async fn token(&self, credentials: &Credentials) -> String {
        let (id, secret, scope) = (&credentials.client_id, &credentials.client_secret, &credentials.scope);
        self.token_for(id, secret, scope).await
    }

    /// A token, which must be granted.
    pub async fn token_for(&self, id: &str, secret: &str, scope: &str) -> String {
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", id),
            ("client_secret", secret),
            ("scope", scope),
        ];
        let answer = self.ask_token(&form).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        answer.json()["access_token"].as_str().unwrap().to_owned()
    }

    /// `GET path`, with a token.
    pub async fn get(&self, path: &str, token: &str) -> Answer {
        self.send(self.request("GET", path).bearer_auth(token)).await
    }

    /// `GET` of an absolute URL that an answer gave, with a token.
    pub async fn follow(&self, url: &str, token: &str) -> Answer {
        let path = url
            .strip_prefix(&self.base_url)
            .unwrap_or_else(|| panic!("{url} is not below {}", self.base_url));
        self.get(path, token).await
    }
}
