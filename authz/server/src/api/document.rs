//! The OpenAPI 3.1 document, made from the table of operations and the types of the wire.

use std::sync::Arc;

use access_token::AdministrationScope;
use axum::{
    Json,
    extract::State as Extract,
    response::{IntoResponse, Response},
};
use http::header;
use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use super::{Operation, model, operations};
use crate::state::State;

/// A parameter of an operation.
#[derive(Clone, Copy)]
pub(crate) struct Parameter {
    name: &'static str,
    /// `path` or `query`.
    place: &'static str,
    description: &'static str,
}

impl Parameter {
    pub(crate) const fn path(name: &'static str, description: &'static str) -> Self {
        Self { name, place: "path", description }
    }

    pub(crate) const fn query(name: &'static str, description: &'static str) -> Self {
        Self { name, place: "query", description }
    }
}

/// A type of the wire.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Client,
    ClientChange,
    ClientMade,
    ClientWanted,
    Clients,
    Credentials,
    Expiring,
    OwnRotation,
    ProofMade,
    ProofWanted,
    Request,
    Requests,
    Rotation,
}

impl Kind {
    fn schema(self, generator: &mut SchemaGenerator) -> Value {
        fn of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Value {
            generator.subschema_for::<T>().into()
        }
        match self {
            Self::Client => of::<model::Client>(generator),
            Self::ClientChange => of::<model::ClientChange>(generator),
            Self::ClientMade => of::<model::ClientMade>(generator),
            Self::ClientWanted => of::<model::ClientWanted>(generator),
            Self::Clients => of::<model::Clients>(generator),
            Self::Credentials => of::<model::Credentials>(generator),
            Self::Expiring => of::<model::Expiring>(generator),
            Self::OwnRotation => of::<model::OwnRotation>(generator),
            Self::ProofMade => of::<model::ProofMade>(generator),
            Self::ProofWanted => of::<model::ProofWanted>(generator),
            Self::Request => of::<model::Request>(generator),
            Self::Requests => of::<model::Requests>(generator),
            Self::Rotation => of::<model::Rotation>(generator),
        }
    }

    /// Whether a body of this type may be left out.
    const fn is_optional(self) -> bool {
        matches!(self, Self::OwnRotation | Self::Rotation)
    }
}

/// An answer of an operation.
#[derive(Clone, Copy)]
pub(crate) struct Answer {
    status: u16,
    description: &'static str,
    content: Content,
}

#[derive(Clone, Copy)]
enum Content {
    Nothing,
    Json(Kind),
    Problem,
}

impl Answer {
    pub(crate) const fn ok(status: u16, description: &'static str, kind: Kind) -> Self {
        Self { status, description, content: Content::Json(kind) }
    }

    pub(crate) const fn nothing(status: u16, description: &'static str) -> Self {
        Self { status, description, content: Content::Nothing }
    }

    pub(crate) const fn problem(status: u16, description: &'static str) -> Self {
        Self { status, description, content: Content::Problem }
    }

    fn written(self, generator: &mut SchemaGenerator) -> Value {
        match self.content {
            Content::Nothing => json!({ "description": self.description }),
            Content::Json(kind) => json!({
                "description": self.description,
                "content": { "application/json": { "schema": kind.schema(generator) } },
            }),
            Content::Problem => json!({
                "description": self.description,
                "content": { "application/problem+json": { "schema": problem(generator) } },
            }),
        }
    }
}

fn problem(generator: &mut SchemaGenerator) -> Value {
    generator.subschema_for::<model::ProblemDetails>().into()
}

fn operation(generator: &mut SchemaGenerator, operation: &Operation) -> Value {
    let parameters: Vec<Value> = operation
        .parameters
        .iter()
        .map(|one| {
            json!({
                "name": one.name,
                "in": one.place,
                "required": one.place == "path",
                "description": one.description,
                "schema": { "type": "string" },
            })
        })
        .collect();
    let mut responses = Map::new();
    for answer in &operation.answers {
        responses.insert(answer.status.to_string(), answer.written(generator));
    }
    let anything = Answer::problem(0, "A refusal: what was wrong and what to do.").written(generator);
    responses.insert("default".to_owned(), anything);
    let mut written = json!({
        "operationId": operation.id,
        "summary": operation.summary,
        "security": [{ "oauth2": [operation.scope.as_str()] }],
        "responses": responses,
    });
    let mut add = |name: &str, value: Value| {
        if let Some(members) = written.as_object_mut() {
            members.insert(name.to_owned(), value);
        }
    };
    if !operation.description.is_empty() {
        add("description", operation.description.into());
    }
    if !parameters.is_empty() {
        add("parameters", parameters.into());
    }
    if let Some(kind) = operation.body {
        let schema = kind.schema(generator);
        let required = !kind.is_optional();
        add(
            "requestBody",
            json!({ "required": required, "content": { "application/json": { "schema": schema } } }),
        );
    }
    written
}

const fn meaning(scope: AdministrationScope) -> &'static str {
    match scope {
        AdministrationScope::RotateOwnSecret => "Give yourself a new secret; for every client.",
        AdministrationScope::ReadClients => "Look at clients, their secrets, and what expires.",
        AdministrationScope::WriteClients => "Make, change, rotate and end clients.",
        AdministrationScope::ReadRequests => "Look at requests for access.",
    }
}

/// The document of a server at `base_url`.
fn document(base_url: &str) -> Value {
    let mut generator = SchemaSettings::draft2020_12()
        .with(|settings| {
            settings.definitions_path = "/components/schemas".into();
            settings.meta_schema = None;
        })
        .into_generator();
    let mut paths = Map::new();
    let mut scopes = Map::new();
    for one in operations() {
        let written = operation(&mut generator, &one);
        let path = paths.entry(one.path).or_insert_with(|| json!({}));
        if let Some(path) = path.as_object_mut() {
            path.insert(one.method.to_owned(), written);
        }
        scopes.insert(one.scope.as_str().to_owned(), meaning(one.scope).into());
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "pmsgate administration API",
            "version": "1",
            "summary": "Clients, their secrets, and requests for access, for machines.",
            "description": "Tokens come from the token endpoint with the client-credentials grant. Every client may ask \
                            for the scope client.rotate and give itself a new secret; the other scopes are for clients \
                            of the roles operator and organisation-operator, which are made on the command line. What a \
                            token of one organisation does not see does not exist for it. Every act is in the audit \
                            trail. Errors are problem details (RFC 9457).",
        },
        "servers": [{ "url": base_url }],
        "paths": paths,
        "components": {
            "schemas": generator.take_definitions(true),
            "securitySchemes": {
                "oauth2": {
                    "type": "oauth2",
                    "flows": { "clientCredentials": { "tokenUrl": format!("{base_url}/oauth2/token"), "scopes": scopes } },
                },
            },
        },
    })
}

/// `GET /api/v1/openapi.json`
pub(crate) async fn get(Extract(state): Extract<Arc<State>>) -> Response {
    ([(header::CACHE_CONTROL, "max-age=300")], Json(document(&state.settings.base_url))).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where the document of the demo's address is kept for readers.
    const KEPT: &str = include_str!("../../../../docs/openapi.json");

    #[test]
    fn the_kept_document_is_the_served_one() {
        let fresh = format!("{:#}\n", document("https://localhost:8443"));
        if fresh != KEPT {
            let path = std::env::temp_dir().join("openapi.json");
            std::fs::write(&path, &fresh).unwrap();
            panic!("docs/openapi.json is out of date: copy {} there", path.display());
        }
    }

    #[test]
    fn every_reference_and_every_parameter_of_a_path_is_there() {
        let document = document("https://x.example");
        let text = document.to_string();
        for reference in text.split("\"$ref\":\"#").skip(1) {
            let pointer = reference.split('"').next().unwrap();
            assert!(document.pointer(pointer).is_some(), "{pointer}");
        }
        for one in operations() {
            for name in one.path.split('{').skip(1).map(|rest| rest.split('}').next().unwrap()) {
                let named = one.parameters.iter().any(|it| it.name == name && it.place == "path");
                assert!(named, "{} {name}", one.path);
            }
        }
    }
}
