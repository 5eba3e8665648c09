//! The letters about a secret's end: what ends, when, and how to renew it.

use authz_domain::{AuthenticationMethod, Client, ReminderStep, Secret};
use pms_terms::OrganisationId;
use time::OffsetDateTime;

use super::{Letter, credentials::exact};

/// A secret ends soon, or has. `waiting` is a successor that nobody has used yet.
pub(crate) fn secret_ends(
    client: &Client,
    role: &str,
    secret: &Secret,
    waiting: Option<&Secret>,
    step: ReminderStep,
    now: OffsetDateTime,
    base_url: &str,
) -> Letter {
    let end = secret.ends_at();
    // By the clock, not by the step: after a downtime the step may lie days back. A day that has begun counts.
    let days = ((end - now).whole_seconds() + 86_399).div_euclid(86_400).max(1);
    let name = if client.label.is_empty() { client.id.as_str() } else { &client.label };
    // A machine can renew a secret with the secret; a key or certificate is registered by somebody who may.
    let is_secret = secret.proof.secret().is_some();
    let notice = match (is_secret, step == ReminderStep::ENDED, days) {
        (true, true, _) => "secret-ended",
        (true, false, 1) => "secret-ends-tomorrow",
        (true, false, _) => "secret-ends",
        (false, true, _) => "registration-ended",
        (false, false, _) => "registration-ends",
    };
    let page = if is_secret { "" } else { "/keys" };
    let mut letter = Letter::new(notice)
        .with("name", name)
        .with("client", client.id.as_str())
        .with("organisation", client.organisation.as_ref().map_or("", OrganisationId::as_str))
        .with("role", role)
        .with("hint", hint(secret))
        .with("ends", exact(end))
        .with("last_used", secret.last_used_at.map(exact).unwrap_or_default())
        .with("waiting", waiting.map(hint).unwrap_or_default())
        .with("url", format!("{base_url}/portal/clients/{}{page}", client.id));
    if notice == "secret-ends" {
        letter = letter.with("days", days.to_string());
    }
    if is_secret && notice != "secret-ended" {
        letter = letter
            .with("token_url", format!("{base_url}/oauth2/token"))
            .with("rotate_url", format!("{base_url}/api/v1/client/secrets"));
    }
    letter
}

/// What people tell a credential apart by.
fn hint(secret: &Secret) -> String {
    match secret.proof.method() {
        AuthenticationMethod::ClientSecret => format!("{}…", secret.hint),
        other => format!("{} ({other})", secret.hint),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use access_token::Scope;
    use authz_domain::{ClientId, ClientSecret, ClientStatus, Proof, SecretId, SecretLifetime, SecretPepper};
    use pms_terms::Domains;
    use time::{Duration, macros::datetime};

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-03-05 12:00 UTC);

    fn secret(number: u8, ends_in: Duration) -> Secret {
        let mut secret = Secret::issue(
            SecretId::from_entropy([number; 16]),
            ClientId::from_entropy([1; 16]),
            &ClientSecret::from_entropy(&[number; 32]),
            &SecretPepper::new(&[0; 32]),
            SecretLifetime::Exactly(ends_in),
            NOW,
        );
        secret.last_used_at = Some(NOW);
        secret
    }

    /// Every letter of this file, with every value given.
    pub(crate) fn all() -> Vec<Letter> {
        let client = Client {
            id: ClientId::from_entropy([1; 16]),
            label: "ERP link".to_owned(),
            contact: None,
            role: "pms-industry-api".to_owned(),
            organisation: Some("ORG-100000001".parse().unwrap()),
            owner: None,
            external_key: None,
            qualified: false,
            domains: Domains::BOTH,
            allowed: Scope::parse("system/*.rs").unwrap(),
            dpop_required: false,
            status: ClientStatus::Active,
            created_at: NOW,
        };
        let waiting = secret(2, Duration::days(700));
        let letter = |secret: Secret, step: &str| {
            let step = step.parse().unwrap();
            secret_ends(&client, "PMS Industry API", &secret, Some(&waiting), step, NOW, "https://x.example")
        };
        let certificate = |days: i64| {
            let proof = Proof::Certificate("A5BYxvLAy0ksUzsKTRTvd8wPeKvMztUofYShogEc-4E".to_owned());
            Secret { hint: proof.hint(), proof, ..secret(1, Duration::days(days)) }
        };
        let secret = |days: i64| secret(1, Duration::days(days));
        vec![
            letter(secret(30), "30d"),
            letter(secret(1), "1d"),
            letter(secret(0), "ended"),
            letter(certificate(1), "1d"),
            letter(certificate(0), "ended"),
        ]
    }

    #[test]
    fn days_are_counted_by_the_clock_not_by_the_step() {
        let notices: Vec<&str> = all().iter().map(|letter| letter.notice).collect();
        let secrets = ["secret-ends", "secret-ends-tomorrow", "secret-ended"];
        assert_eq!(notices, [&secrets[..], &["registration-ends", "registration-ended"]].concat());
    }
}
