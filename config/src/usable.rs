//! Values that are well written and with which nobody could work: no time, no room, an address that is none.

use crate::{ConfigError, Settings};

impl Settings {
    /// Checks values that stand alone.
    ///
    /// # Errors
    /// The first key whose value nobody can work with.
    pub(crate) fn check_values(&self) -> Result<(), ConfigError> {
        let Self { listen, gateway, portal, mail, .. } = self;
        let wrong = ConfigError::inconsistent;
        let times = [
            ("listen.certificate_check", listen.certificate_check),
            ("listen.head_timeout", listen.head_timeout),
            ("listen.body_timeout", listen.body_timeout),
            ("gateway.feed_timeout", gateway.feed_timeout),
            ("gateway.connect_timeout", gateway.connect_timeout),
            ("gateway.answer_timeout", gateway.answer_timeout),
            ("gateway.total_timeout", gateway.total_timeout),
            ("gateway.limits_timeout", gateway.limits_timeout),
            ("portal.token_lifetime", portal.token_lifetime),
            ("portal.request_lifetime", portal.request_lifetime),
            ("mail.timeout", mail.timeout),
        ];
        if let Some((key, _)) = times.into_iter().find(|(_, time)| time.0.is_zero()) {
            return Err(wrong(key, "must be longer than nothing, for example 30s"));
        }
        let numbers = [
            ("listen.max_connections", listen.max_connections as u64),
            ("gateway.max_in_flight", gateway.max_in_flight as u64),
            ("gateway.max_body", gateway.max_body),
        ];
        if let Some((key, _)) = numbers.into_iter().find(|(_, number)| *number == 0) {
            return Err(wrong(key, "must be at least 1"));
        }
        if !is_mailbox(&mail.sender) {
            return Err(wrong(
                "mail.sender",
                "must be an address, such as \"pmsgate <no-reply@example.org>\"",
            ));
        }
        if mail.username.is_some() && mail.password_file.is_none() {
            return Err(wrong("mail.password_file", "mail.username needs it"));
        }
        if let Some(url) = &portal.sms_url {
            if !["https://", "http://"].iter().any(|scheme| url.starts_with(scheme)) {
                return Err(wrong("portal.sms_url", "must start with https:// or http://"));
            }
            if !["{phone}", "{text}"].iter().all(|place| portal.sms_body.contains(place)) {
                return Err(wrong("portal.sms_body", "must hold {phone} and {text}"));
            }
        }
        let days = portal.request_lifetime.0.as_secs() / 86_400;
        if portal.request_reminders.iter().any(|day| *day == 0 || u64::from(*day) >= days) {
            let problem = format!(
                "must be days after the first and before the last of portal.request_lifetime, {days}"
            );
            return Err(wrong("portal.request_reminders", &problem));
        }
        Ok(())
    }
}

/// An address, alone or in angle brackets behind a name (RFC 5322 §3.4). Whether somebody reads there shows when it is used.
fn is_mailbox(text: &str) -> bool {
    let address = match text.split_once('<') {
        None => text.trim(),
        Some((_, rest)) => match rest.strip_suffix('>') {
            Some(address) => address,
            None => return false,
        },
    };
    let plain =
        |part: &str| !part.is_empty() && !part.contains(|c: char| c.is_whitespace() || "<>@,;".contains(c));
    address.split_once('@').is_some_and(|(local, domain)| plain(local) && plain(domain))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Span;

    fn refused(change: impl FnOnce(&mut Settings)) -> String {
        let mut settings = Settings::default();
        assert!(settings.check().is_ok());
        change(&mut settings);
        settings.check().unwrap_err().to_string()
    }

    #[test]
    fn what_nobody_can_work_with_names_its_key_and_what_is_allowed() {
        let nothing = Span::seconds(0);
        assert!(refused(|all| all.listen.head_timeout = nothing).contains("listen.head_timeout"));
        assert!(refused(|all| all.gateway.answer_timeout = nothing).contains("gateway.answer_timeout"));
        assert!(refused(|all| all.portal.token_lifetime = nothing).contains("portal.token_lifetime"));
        assert!(refused(|all| all.listen.max_connections = 0).contains("at least 1"));
        assert!(refused(|all| all.gateway.max_in_flight = 0).contains("gateway.max_in_flight"));
        assert!(refused(|all| all.gateway.max_body = 0).contains("gateway.max_body"));
        assert!(refused(|all| all.mail.username = Some("name".into())).contains("mail.password_file"));
        assert!(refused(|all| all.portal.request_reminders = vec![0]).contains("portal.request_reminders"));
        assert!(
            refused(|all| all.portal.request_reminders = vec![30, 200]).contains("portal.request_reminders")
        );
        assert!(refused(|all| all.portal.sms_url = Some("x".into())).contains("https://"));
        let body = |all: &mut Settings| {
            (all.portal.sms_url, all.portal.sms_body) =
                (Some("https://sms.example".into()), "{phone}".into());
        };
        assert!(refused(body).contains("{text}"));
    }

    #[test]
    fn a_sender_is_an_address_with_or_without_a_name() {
        for sender in ["a@b.example", "pmsgate <no-reply@localhost.localdomain>", "\"A, B\" <a@b>"] {
            assert!(is_mailbox(sender), "{sender}");
        }
        for sender in ["x", "", "a@", "@b", "a b@c", "A <a@b", "A <a@b> x", "a@b@c", "a@b, c@d"] {
            assert!(!is_mailbox(sender), "{sender}");
            assert!(refused(|all| all.mail.sender = sender.to_owned()).contains("mail.sender"));
        }
    }
}
