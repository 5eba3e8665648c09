//! Letters about credentials. Their words are in `authz/server/mail`.

use time::{OffsetDateTime, format_description::well_known::Rfc3339, macros::format_description};

use super::Letter;
use crate::IssuedCredentials;

/// What can be told about a client to whom it belongs.
#[derive(Clone, Debug)]
pub(crate) struct Particulars {
    pub(crate) client_id: String,
    pub(crate) label: String,
    /// The title of its role.
    pub(crate) role: String,
    /// Empty for public clients.
    pub(crate) organisation: String,
    pub(crate) token_url: String,
    /// The scope to ask for.
    pub(crate) scope: String,
    pub(crate) base_url: String,
    /// The APIs it may call: title and base path.
    pub(crate) apis: Vec<(String, String)>,
    /// Whether the server's certificate is its own make: then programs must be told whom to trust.
    pub(crate) development_certificate: bool,
}

/// What a client's programs call the file with the certificate that a development server signs with.
pub(crate) const CA_FILE: &str = "ca.pem";

impl Particulars {
    /// curl, told whom to trust where it cannot know.
    pub(crate) fn curl_command(&self) -> String {
        if self.development_certificate { format!("curl --cacert {CA_FILE}") } else { "curl".to_owned() }
    }

    /// A token request for a shell, with the secret in a variable: what is typed ends up in a history.
    pub(crate) fn curl(&self) -> String {
        format!(
            "{} -X POST {} -d grant_type=client_credentials -d client_id={} -d client_secret=\"$CLIENT_SECRET\" -d scope={}",
            self.curl_command(),
            self.token_url,
            self.client_id,
            self.scope
        )
    }

    fn short_letter(&self, notice: &'static str) -> Letter {
        Letter::new(notice)
            .with("client_id", self.client_id.as_str())
            .with("label", self.label.as_str())
            .with("url", format!("{}/portal/clients/{}", self.base_url, self.client_id))
    }

    fn letter(&self, notice: &'static str) -> Letter {
        let apis: Vec<String> = self.apis.iter().map(|(title, url)| format!("{title} {url}")).collect();
        self.short_letter(notice)
            .with("role", self.role.as_str())
            .with("organisation", self.organisation.as_str())
            .with("token_url", format!("POST {}", self.token_url))
            .with("scope", self.scope.as_str())
            .with("apis", apis.join(", "))
            .with("curl", self.curl())
    }
}

/// An instant to the second, with its zone (ISO 8601).
pub(crate) fn exact(at: OffsetDateTime) -> String {
    at.replace_nanosecond(0).unwrap_or(at).format(&Rfc3339).unwrap_or_default()
}

/// An instant in both forms: ISO 8601, and as the seeds write it (`MM/DD/YYYY hh:mm:ss`).
fn both(at: OffsetDateTime) -> String {
    let seeds =
        at.format(format_description!("[month]/[day]/[year] [hour]:[minute]:[second]")).unwrap_or_default();
    format!("{} ({seeds})", exact(at))
}

/// New credentials (EU IG PMS Chapter 1 §3.2.1, figure 4), with the secret: this letter is sealed until it is sent and
/// wiped then.
pub(crate) fn credentials(particulars: &Particulars, issued: &IssuedCredentials) -> Letter {
    let ended: Vec<String> = issued.ended.iter().map(|one| format!("{}…", one.hint)).collect();
    particulars
        .letter("credentials")
        .with("ended", ended.join(", "))
        .with("client_secret", issued.client_secret.expose())
        .with("expires_at", both(issued.expires_at))
}

/// New credentials, with a link in place of the secret.
pub(crate) fn credentials_link(particulars: &Particulars, link: &str, until: OffsetDateTime) -> Letter {
    particulars.letter("credentials-link").with("link", link).with("until", exact(until))
}

/// A successor is in use: the one before it is not needed any more.
pub(crate) fn successor_used(
    particulars: &Particulars,
    hint: &str,
    old_hint: &str,
    old_ends_at: OffsetDateTime,
) -> Letter {
    particulars
        .short_letter("successor-used")
        .with("hint", hint)
        .with("old_hint", old_hint)
        .with("old_ends_at", exact(old_ends_at))
}

#[cfg(test)]
pub(crate) mod tests {
    use authz_domain::{ClientSecret, SecretId};
    use time::macros::datetime;

    use super::*;
    use crate::{EndedSecret, mail::Recipient};

    pub(crate) fn particulars() -> Particulars {
        Particulars {
            client_id: "ad93c62c".to_owned(),
            label: "ERP <link>".to_owned(),
            role: "PMS Industry API".to_owned(),
            organisation: "ORG-100000001".to_owned(),
            token_url: "https://x.example/oauth2/token".to_owned(),
            scope: "api://pmsgate/pms/.default".to_owned(),
            base_url: "https://x.example".to_owned(),
            development_certificate: false,
            apis: vec![
                ("PMS Read API v3".to_owned(), "https://x.example/pms/api/v3".to_owned()),
                ("PMS Write API".to_owned(), "https://x.example/pms/api/v5-alpha".to_owned()),
            ],
        }
    }

    fn issued() -> IssuedCredentials {
        IssuedCredentials {
            client_id: "ad93c62c".parse().unwrap(),
            client_secret: ClientSecret::from_entropy(&[1; 32]),
            secret_id: SecretId::from_entropy([1; 16]),
            issued_at: datetime!(2025-08-15 11:29:14 UTC),
            expires_at: datetime!(2027-08-15 11:29:14 UTC),
            token_url: "https://x.example/oauth2/token".to_owned(),
            scope: "api://pmsgate/pms/.default".to_owned(),
            ended: vec![EndedSecret { id: SecretId::from_entropy([2; 16]), hint: "pms_old1".to_owned() }],
        }
    }

    /// Every letter, with every value given.
    pub(crate) fn all() -> Vec<Letter> {
        let (particulars, at) = (particulars(), datetime!(2026-01-01 0:00 UTC));
        vec![
            credentials(&particulars, &issued()),
            credentials_link(&particulars, "https://x.example/portal/credentials?t=x", at),
            successor_used(&particulars, "pms_new1", "pms_old1", at),
        ]
    }

    #[test]
    fn the_mail_has_every_field_of_the_seed_in_text_and_in_html() {
        let issued = issued();
        let secret = issued.client_secret.expose();
        let to = Recipient { address: Some("api@x.example"), name: "", language: "en" };
        let mail = credentials(&particulars(), &issued).render(to, "https://x.example").unwrap().unwrap();
        assert_eq!(mail.subject, "Your API credentials: PMS Industry API");
        for line in [
            "Token URL: POST https://x.example/oauth2/token\n",
            "Client Id: ad93c62c\n",
            &format!("Client Secret: {secret}\n"),
            "Scope: api://pmsgate/pms/.default\n",
            "Expiration date: 2027-08-15T11:29:14Z (08/15/2027 11:29:14)\n",
            "Base paths: PMS Read API v3 https://x.example/pms/api/v3, PMS Write API https://x.example/pms/api/v5-alpha\n",
            "Rotate the client secret before the expiration date.",
            "    curl -X POST https://x.example/oauth2/token -d grant_type=client_credentials -d client_id=ad93c62c \
             -d client_secret=\"$CLIENT_SECRET\" -d scope=api://pmsgate/pms/.default\n",
            "https://x.example/portal/clients/ad93c62c\n",
        ] {
            assert!(mail.text.contains(line), "{line}: {}", mail.text);
        }
        for cell in [
            "Token URL",
            "POST https://x.example/oauth2/token",
            "ad93c62c",
            secret,
            "api://pmsgate/pms/.default",
            "2027-08-15T11:29:14Z (08/15/2027 11:29:14)",
            "https://x.example/pms/api/v5-alpha",
            "ERP &#60;link&#62;",
        ] {
            assert!(mail.html.contains(cell), "{cell}: {}", mail.html);
        }
        assert_eq!(mail.text.matches(secret).count(), 1, "the secret stands there once");
        let link = credentials_link(&particulars(), "https://x.example/l?t=abc", issued.expires_at);
        let mail = link.render(to, "https://x.example").unwrap().unwrap();
        assert!(mail.text.contains("https://x.example/l?t=abc\n") && !mail.text.contains("pms_"));
        assert!(mail.text.contains("2027-08-15T11:29:14Z"), "{}", mail.text);
    }
}
