//! The authorization server over its edge: its own router in process, a manual clock, real databases.

#![expect(clippy::unwrap_used, reason = "what a test cannot have must fail it")]

mod administration;
mod audit_trail;
mod client_keys;
mod clients;
mod credentials;
mod dpop;
mod feed;
mod followers;
mod harness;
mod hostile;
mod introspection;
mod keys;
mod metadata;
mod mutual_tls;
mod organisations;
mod portal;
mod portal_deciders;
mod portal_figures;
mod portal_hostile;
mod portal_mail;
mod portal_requests;
mod portal_visitor;
mod portal_wizard;
mod private_key_jwt;
mod throttling;
mod token;
mod watching;
