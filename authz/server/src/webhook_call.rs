//! Calling webhooks: where to may be called, and one call.
//!
//! Whoever sets a webhook up chooses whom this server calls: see [`crate::public_address`]. Of the answer nothing is read
//! but its status.

use authz_domain::MessageSecret;
use reqwest::Url;
use time::OffsetDateTime;

use crate::settings::WebhookSettings;

/// Characters of an address.
const MAX_URL: usize = 500;

/// What became of a call. The text holds nothing that the receiver sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It was taken.
    Taken,
    /// It was not, for this reason.
    Failed(String),
    /// The receiver says that it wants no more (410).
    Gone,
}

/// Checks where a webhook wants to be called. The text of a refusal is for the person.
pub(crate) fn check_url(text: &str, settings: &WebhookSettings) -> Result<Url, String> {
    let text = text.trim();
    if text.len() > MAX_URL {
        return Err(format!("An address has at most {MAX_URL} characters."));
    }
    let url = Url::parse(text)
        .map_err(|_| "Write the whole address, for example https://example.org/hook.".to_owned())?;
    match url.scheme() {
        "https" => {}
        "http" if settings.plain_http => {}
        _ => return Err("The address must begin with https://.".to_owned()),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("An address with a user name or password cannot be used.".to_owned());
    }
    if url.fragment().is_some() {
        return Err("Leave out what stands behind #: it would not be sent.".to_owned());
    }
    if settings.reach.admits(&url) {
        Ok(url)
    } else {
        Err("This is an internal address. Internal networks are called only when webhooks.allowed_networks names \
             them."
            .to_owned())
    }
}

/// What calls webhooks.
#[derive(Debug)]
pub(crate) struct Caller {
    http: reqwest::Client,
    settings: WebhookSettings,
}

impl Caller {
    pub(crate) fn new(settings: &WebhookSettings) -> Result<Self, reqwest::Error> {
        let http = settings.reach.client(settings.timeout).build()?;
        Ok(Self { http, settings: settings.clone() })
    }

    /// Makes one call. `at` is the time that the receiver compares with its own clock.
    pub(crate) async fn call(
        &self,
        url: &str,
        secret: &MessageSecret,
        id: &str,
        body: &str,
        at: OffsetDateTime,
    ) -> Outcome {
        // Again: the configuration may be another one than when it was set up.
        let url = match check_url(url, &self.settings) {
            Ok(url) => url,
            Err(refused) => return Outcome::Failed(refused),
        };
        let timestamp = at.unix_timestamp();
        let request = self
            .http
            .post(url)
            .header("content-type", "application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", timestamp)
            .header("webhook-signature", secret.sign(id, timestamp, body))
            .body(body.to_owned());
        match request.send().await {
            Ok(answer) if answer.status().is_success() => Outcome::Taken,
            Ok(answer) if answer.status() == http::StatusCode::GONE => Outcome::Gone,
            Ok(answer) => Outcome::Failed(format!("answered {}", answer.status().as_u16())),
            Err(error) if error.is_timeout() => Outcome::Failed("did not answer in time".to_owned()),
            Err(error) if error.is_connect() => {
                tracing::debug!(
                    error = &error.without_url() as &dyn std::error::Error,
                    "a webhook is not reached"
                );
                Outcome::Failed("cannot be reached".to_owned())
            }
            Err(_) => Outcome::Failed("the call broke off".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::public_address::Reach;

    fn settings(allowed: &[&str], plain_http: bool) -> WebhookSettings {
        WebhookSettings {
            reach: Reach::new(allowed.iter().map(|network| network.parse().unwrap()).collect()),
            plain_http,
            timeout: std::time::Duration::from_secs(1),
        }
    }

    #[test]
    fn an_address_is_checked_before_it_is_kept() {
        let strict = settings(&[], false);
        assert!(check_url("https://hooks.example.org/a?b=c", &strict).is_ok());
        for wrong in [
            "http://hooks.example.org/",
            "ftp://hooks.example.org/",
            "https://me:hush@hooks.example.org/",
            "https://hooks.example.org/#a",
            "https://127.0.0.1/",
            "https://[::1]:8443/",
            "https://2130706433/",
            "https://0x7f.1/",
            "/hook",
            "",
        ] {
            assert!(check_url(wrong, &strict).is_err(), "{wrong}");
        }
        assert!(check_url(&format!("https://x.example/{}", "a".repeat(500)), &strict).is_err());
        let sandbox = settings(&["127.0.0.0/8"], true);
        assert!(check_url("http://127.0.0.1:9000/hook", &sandbox).is_ok());
        assert!(check_url("http://10.0.0.1/hook", &sandbox).is_err());
    }

    #[tokio::test]
    async fn a_name_that_leads_inside_is_not_called() {
        // The program installs it; here nobody has.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let caller = Caller::new(&settings(&[], true)).unwrap();
        let secret = MessageSecret::from_entropy([1; 32]);
        let now = OffsetDateTime::UNIX_EPOCH;
        for url in ["http://localhost:9/", "http://127.0.0.1:9/"] {
            let outcome = caller.call(url, &secret, "msg_1", "{}", now).await;
            assert!(matches!(outcome, Outcome::Failed(_)), "{url}: {outcome:?}");
        }
    }
}
