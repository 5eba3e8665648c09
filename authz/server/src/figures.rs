//! What the figures of the authorization server mean, for who reads `/metrics`.

use metrics::{describe_counter, describe_gauge};

/// Describes each. The process's recorder must be installed before.
pub(crate) fn describe() {
    describe_counter!("pmsgate_tokens_issued_total", "Access tokens issued");
    describe_counter!("pmsgate_token_requests_refused_total", "Token requests refused");
    describe_counter!(
        "pmsgate_authz_throttled_total",
        "Requests slowed down after failures, by client or address"
    );
    describe_counter!(
        "pmsgate_client_key_readings_total",
        "Readings of key sets that clients publish, by outcome"
    );
    describe_counter!("pmsgate_messages_sent_total", "Mails and text messages sent");
    describe_counter!("pmsgate_messages_failed_total", "Attempts to send a mail or text message that failed");
    describe_counter!("pmsgate_webhook_calls_total", "Calls of webhooks, by outcome");
    describe_gauge!("pmsgate_authz_following", "1: this instance follows what others change");
    describe_gauge!("pmsgate_signing_keys", "Signing keys that are published");
    describe_gauge!("pmsgate_client_secrets", "Live secrets and keys of clients, by the time they have left");
    describe_gauge!(
        "pmsgate_client_secret_expiry_timestamp_seconds",
        "When the newest secret or key of a client ends, in seconds since the epoch"
    );
    describe_gauge!("pmsgate_outbox_waiting", "Mails and text messages that wait to be sent");
    describe_gauge!("pmsgate_outbox_oldest_seconds", "For how long the oldest of them has waited");
    describe_gauge!(
        "pmsgate_webhook_messages",
        "Messages to webhooks that wait, or were given up (dead), by state"
    );
    describe_gauge!("pmsgate_audit_records", "Records of the audit trail");
    describe_gauge!("pmsgate_clock_offset_seconds", "How far a sandbox's clock is moved");
}
