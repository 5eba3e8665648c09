//! The house as its users meet it: the shipped program, real sockets, real databases.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![expect(clippy::print_stdout, reason = "what could not be checked is said aloud")]

mod administrator_guide;
mod api_documents;
mod audit_export;
mod backup;
mod certificates;
mod clients_without_secrets;
mod clock_travel;
mod crash;
mod credentials;
mod credentials_story;
mod every_route_is_guarded;
mod expiry_monitoring;
mod expiry_reminders;
mod explanations;
mod fhir_readers;
mod fidelity;
mod first_call;
mod foreign_server;
mod hidden_is_absent;
mod kept_answers;
mod key_rollover;
mod many_gateways;
mod merge;
mod merge_crash;
mod mutual_tls;
mod operating;
mod portal_crash;
mod portal_in_a_browser;
mod products_tools;
mod program;
mod real_products;
mod refused_uploads;
mod revocation;
mod sandbox_faults;
mod search;
mod split_processes;
mod third_party_clients;
mod unreadable_requests;
