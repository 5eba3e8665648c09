//! Every route × every kind of caller: status, body type, challenge. One table.

use harness::{Answer, ApiClient, PUBLIC_SCOPE, Program};
use http::StatusCode;

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Caller {
    NoToken,
    Garbage,
    Expired,
    WrongAudience,
    WrongScope,
    Public,
    Stranger,
    Owner,
    Authority,
}

use Caller::{Authority, Expired, Garbage, NoToken, Owner, Public, Stranger, WrongAudience, WrongScope};

const CALLERS: [Caller; 9] =
    [NoToken, Garbage, Expired, WrongAudience, WrongScope, Public, Stranger, Owner, Authority];

/// A central human product of ORG-100000001, public.
const OWNED: &str = "600000900001";
/// A pending product of ORG-100000001.
const PENDING: &str = "600000900020";

struct Row {
    method: &'static str,
    path: String,
    /// Expected for public, stranger, owner, authority. The five refused callers are the same on every row.
    admitted: [u16; 4],
    /// Whether the product's audience is the public one.
    public: bool,
}

fn row(method: &'static str, path: impl Into<String>, admitted: [u16; 4]) -> Row {
    let path = path.into();
    let public = path.starts_with("/public");
    Row { method, path, admitted, public }
}

fn table() -> Vec<Row> {
    let read = "/pms/api/v3/MedicinalProductDefinition";
    let write = "/pms/api/v5-alpha";
    let open = "/public/v1/MedicinalProductDefinition";
    vec![
        // PMS read v3: EP301, EP303, EP304, EP306, EP307. A public client's token is for another audience: 401.
        row("GET", read, [401, 200, 200, 200]),
        row("GET", format!("{read}?name=a&_count=2"), [401, 200, 200, 200]),
        row("GET", format!("{read}?colour=blue"), [401, 400, 400, 400]),
        row("GET", format!("{read}/{OWNED}"), [401, 200, 200, 200]),
        row("GET", format!("{read}/{PENDING}"), [401, 404, 200, 200]),
        row("GET", format!("{read}/600000999999"), [401, 404, 404, 404]),
        row("GET", format!("{read}/{OWNED}/$everything"), [401, 200, 200, 200]),
        row("GET", format!("{read}/{PENDING}/$everything"), [401, 404, 200, 200]),
        row("GET", format!("{read}/{OWNED}/_history/1"), [401, 404, 200, 200]),
        row("GET", format!("{read}/{OWNED}/_history/99"), [401, 404, 404, 404]),
        row("GET", format!("{read}/{OWNED}/_history"), [401, 404, 200, 200]),
        row("HEAD", format!("{read}/{OWNED}"), [401, 200, 200, 200]),
        // PMS write v5-alpha: EP501a, EP502a, EP503a.
        row("GET", format!("{write}/MedicinalProductDefinition/{OWNED}/$everything"), [401, 200, 200, 200]),
        row("GET", format!("{write}/MedicinalProductDefinition/{PENDING}/$everything"), [401, 404, 200, 200]),
        row(
            "GET",
            format!("{write}/TransactionResponse/0b0e7c52-6c4e-4df2-9a0c-0d7c39a7c1a4"),
            [401, 404, 404, 404],
        ),
        // Public v1.
        row("GET", open, [200, 401, 401, 401]),
        row("GET", format!("{open}/{OWNED}"), [200, 401, 401, 401]),
        row("GET", format!("{open}/{PENDING}"), [404, 401, 401, 401]),
        row("GET", format!("{open}/{OWNED}/$everything"), [200, 401, 401, 401]),
    ]
}

/// Paths and methods that no table row admits, whoever asks.
fn nowhere() -> Vec<(&'static str, String, u16)> {
    let read = "/pms/api/v3";
    vec![
        ("GET", format!("{read}/Patient"), 404),
        ("GET", format!("{read}/MedicinalProductDefinition/{OWNED}/extra"), 404),
        ("GET", format!("{read}/RegulatedAuthorization?identifier=EU/1/11/111"), 404),
        ("POST", format!("{read}/MedicinalProductDefinition"), 405),
        ("DELETE", format!("{read}/MedicinalProductDefinition/{OWNED}"), 405),
        ("PUT", format!("{read}/MedicinalProductDefinition/{OWNED}"), 405),
        ("GET", "/public/v1/TransactionResponse/1".to_owned(), 404),
        ("GET", format!("/public/v1/MedicinalProductDefinition/{OWNED}/_history"), 404),
    ]
}

struct Callers {
    tokens: Vec<(Caller, Option<String>)>,
}

impl Callers {
    /// The authorization header of `caller` on a row; a wrong audience depends on the row.
    fn token(&self, caller: Caller, public: bool) -> Option<&str> {
        let caller = match (caller, public) {
            (WrongAudience, true) => Owner,
            (WrongAudience, false) => Public,
            (other, _) => other,
        };
        self.tokens.iter().find(|(kind, _)| *kind == caller).and_then(|(_, token)| token.as_deref())
    }
}

/// Makes the clients, gets their tokens, and moves the clock on so that one of them is an old one.
async fn callers(program: &mut Program) -> Callers {
    let stranger = program.industry("ORG-100000002", &[]);
    let owner = program.industry("ORG-100000001", &["--qualified"]);
    let authority = program.authority(&["human", "veterinary"]);
    let public = program.public();
    let narrow = program.industry("ORG-100000001", &["--scope", "system/Organization.r"]);
    let expired = program.api().token(&owner).await;
    program.kill_and_restart(&[("PMSGATE__SANDBOX_CLOCK", "+3h")]).await;
    let api = program.api();
    let tokens = vec![
        (Garbage, Some("not-a-token".to_owned())),
        (Expired, Some(expired)),
        (WrongScope, Some(api.token(&narrow).await)),
        (Public, Some(api.token(&public).await)),
        (Stranger, Some(api.token(&stranger).await)),
        (Owner, Some(api.token(&owner).await)),
        (Authority, Some(api.token(&authority).await)),
    ];
    Callers { tokens }
}

async fn ask(api: &ApiClient, method: &str, path: &str, token: Option<&str>) -> Answer {
    let request = api.request(method, path);
    api.send(match token {
        Some(token) => request.bearer_auth(token),
        None => request,
    })
    .await
}

fn is_outcome(answer: &Answer) -> bool {
    answer.header("content-type").starts_with("application/fhir+json")
        && answer.json()["resourceType"] == "OperationOutcome"
        && answer.json()["issue"][0]["diagnostics"].as_str().is_some_and(|text| !text.is_empty())
}

#[tokio::test]
async fn every_route_answers_every_caller_as_the_table_says() {
    let mut program = Program::serve().await;
    let callers = callers(&mut program).await;
    let api = program.api();
    let mut wrong = Vec::new();
    for row in table() {
        for caller in CALLERS {
            let token = callers.token(caller, row.public);
            let answer = ask(&api, row.method, &row.path, token).await;
            let expected = match caller {
                NoToken | Garbage | Expired | WrongAudience => 401,
                // A narrow scope exists for the PMS audience only; on the public product it is another audience.
                WrongScope => {
                    if row.public {
                        401
                    } else {
                        403
                    }
                }
                Public => row.admitted[0],
                Stranger => row.admitted[1],
                Owner => row.admitted[2],
                Authority => row.admitted[3],
            };
            let mut complaints = Vec::new();
            if answer.status.as_u16() != expected {
                complaints.push(format!("{} instead of {expected}: {}", answer.status, answer.text()));
            }
            if answer.header("x-request-id").is_empty() {
                complaints.push("no request id".to_owned());
            }
            if !answer.status.is_success() && row.method != "HEAD" && !is_outcome(&answer) {
                complaints.push(format!("no OperationOutcome: {}", answer.text()));
            }
            let challenge = answer.header("www-authenticate");
            let fits = match (answer.status, caller) {
                // RFC 6750 §3.1: no error code when no token was presented.
                (StatusCode::UNAUTHORIZED, NoToken) => {
                    challenge.starts_with("Bearer ") && !challenge.contains("error=")
                }
                (StatusCode::UNAUTHORIZED, _) => challenge.contains("error=\"invalid_token\""),
                (StatusCode::FORBIDDEN, _) => {
                    challenge.contains("error=\"insufficient_scope\"")
                        && challenge.contains("scope=\"system/")
                }
                _ => challenge.is_empty(),
            };
            let metadata = challenge.is_empty() || challenge.contains("resource_metadata=\"https://");
            if !fits || !metadata {
                complaints.push(format!("challenge {challenge:?}"));
            }
            for complaint in complaints {
                wrong.push(format!("{} {} as {caller:?}: {complaint}", row.method, row.path));
            }
        }
    }
    for (method, path, status) in nowhere() {
        for caller in [NoToken, Owner, Public] {
            let answer = ask(&api, method, &path, callers.token(caller, false)).await;
            if answer.status.as_u16() != status || !is_outcome(&answer) {
                wrong.push(format!("{method} {path} as {caller:?}: {} instead of {status}", answer.status));
            }
            if status == 405 && answer.header("allow").is_empty() {
                wrong.push(format!("{method} {path}: 405 without Allow"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} deviations:\n{}", wrong.len(), wrong.join("\n"));
}

#[tokio::test]
async fn what_needs_no_token_is_there_for_everybody() {
    let program = Program::serve().await;
    let api = program.api();
    for base in ["/pms/api/v3", "/pms/api/v5-alpha", "/public/v1"] {
        let answer = ask(&api, "GET", &format!("{base}/metadata"), None).await;
        assert_eq!(answer.status, StatusCode::OK, "{base}: {}", answer.text());
        let statement = answer.json();
        assert_eq!(statement["resourceType"], "CapabilityStatement");
        assert_eq!(statement["fhirVersion"], if base.ends_with("v3") { "4.4.0" } else { "5.0.0" });
        assert!(statement["rest"][0]["security"].to_string().contains("/oauth2/token"), "{statement}");
        let answer = ask(&api, "GET", &format!("/.well-known/oauth-protected-resource{base}"), None).await;
        assert_eq!(answer.status, StatusCode::OK, "{base}");
        assert!(answer.json()["authorization_servers"].is_array());
    }
    let answer = ask(&api, "GET", "/", None).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert!(answer.header("content-type").starts_with("text/html"));
}

#[tokio::test]
async fn every_url_in_the_metadata_documents_works() {
    let program = Program::serve().await;
    let api = program.api();
    let tenant = "6f0c1d4e-3b52-4c8a-9d27-5e8a1b7c9f30";
    for document in [
        "/.well-known/oauth-authorization-server".to_owned(),
        "/.well-known/smart-configuration".to_owned(),
        format!("/{tenant}/v2.0/.well-known/openid-configuration"),
    ] {
        let answer = ask(&api, "GET", &document, None).await;
        assert_eq!(answer.status, StatusCode::OK, "{document}");
        let metadata = answer.json();
        for (name, value) in metadata.as_object().unwrap() {
            let Some(url) = value.as_str().filter(|text| text.starts_with("https://")) else { continue };
            if name == "issuer" {
                continue;
            }
            let path = url.strip_prefix(&program.ready.base_url).unwrap_or_else(|| panic!("{name}: {url}"));
            let method = if name == "jwks_uri" || name == "service_documentation" { "GET" } else { "POST" };
            let status = ask(&api, method, path, None).await.status;
            assert!(
                ![404, 405, 500].contains(&status.as_u16()),
                "{document} {name}: {method} {url} → {status}"
            );
        }
    }
}

#[tokio::test]
async fn a_public_client_asking_for_more_than_it_may_have_is_told_what_it_may() {
    let program = Program::serve().await;
    let api = program.api();
    let public = program.public();
    assert_eq!(public.scope, PUBLIC_SCOPE);
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", public.client_id.as_str()),
        ("client_secret", public.client_secret.as_str()),
        ("scope", "system/*.cruds"),
    ];
    let answer = api.ask_token(&form).await;
    assert_eq!(
        (answer.status, answer.json()["error"].as_str()),
        (StatusCode::BAD_REQUEST, Some("invalid_scope"))
    );
    assert!(
        answer.json()["error_description"].as_str().unwrap().contains("system/*.rs"),
        "{}",
        answer.text()
    );
}
