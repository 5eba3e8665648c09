//! Requests that cannot be read, and paths that lead nowhere: each is told why, with a request id, by every part.

use std::sync::Arc;

use harness::{Program, Store};
use http::StatusCode;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// Without TLS, so that bytes can be sent as they are.
async fn plain() -> Program {
    Program::serve_with(Store::Sqlite, &[("PMSGATE__LISTEN__TLS", "off")]).await
}

async fn exchange(program: &Program, text: &str) -> String {
    let port = program.ready.base_url.rsplit(':').next().unwrap();
    let mut stream = TcpStream::connect(format!("127.0.0.1:{port}")).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // The server may end the connection before everything was read.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn what_cannot_be_read_safely_is_400_with_words_wherever_it_was_to_go() {
    let program = Arc::new(plain().await);
    let api = program.api();
    let token = api.token(&program.industry("ORG-100000001", &["--qualified"])).await;
    let merge = "/pms/api/v5-alpha/MedicinalProductDefinition/$merge";
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    for (name, text) in [
        ("a fragment", "GET /pms/api/v3/metadata#x HTTP/1.1\r\nHost: a\r\n\r\n".to_owned()),
        ("a host that is none", "GET /pms/api/v3/metadata HTTP/1.1\r\nHost: a b\r\n\r\n".to_owned()),
        ("a host that is none, at the portal", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n".to_owned()),
        ("no request at all", "hello\r\n\r\n".to_owned()),
        (
            "a broken chunk at the token endpoint",
            format!(
                "POST /oauth2/token HTTP/1.1\r\nHost: a\r\n{form}Transfer-Encoding: chunked\r\n\r\n5\r\ngrant\r\nxyz\r\n"
            ),
        ),
        (
            "a broken chunk of a merge",
            format!(
                "POST {merge} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\nContent-Type: application/fhir+json\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{{\r\nxyz\r\n"
            ),
        ),
    ] {
        let answer = exchange(&program, &text).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{name}: {answer}");
        assert!(answer.contains("x-request-id: ") && answer.trim_end().ends_with('}'), "{name}: {answer}");
    }
}

#[tokio::test]
async fn a_path_that_leads_nowhere_is_told_in_words() {
    let program = Program::serve().await;
    let api = program.api();
    for path in ["/x", "/pms", "/pms/api/v3/x", "/public/v1", "/oauth2/x", "/.well-known/x"] {
        let answer = api.send(api.request("GET", path)).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        let media_type = answer.header("content-type").to_owned();
        assert!(!answer.header("x-request-id").is_empty(), "{path}");
        assert!(!media_type.is_empty() && answer.body.len() > 60, "{path}: {media_type}: {}", answer.text());
    }
    let answer = api.send(api.request("DELETE", "/oauth2/jwks")).await;
    assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
    assert!(!answer.text().is_empty() && !answer.header("allow").is_empty(), "{}", answer.text());
}

#[tokio::test]
async fn blanks_are_no_scope() {
    let program = Program::serve().await;
    let api = program.api();
    let client = program.industry("ORG-100000001", &[]);
    let (id, secret) = (client.client_id.as_str(), client.client_secret.as_str());
    let form = |scope| {
        [("grant_type", "client_credentials"), ("client_id", id), ("client_secret", secret), ("scope", scope)]
    };
    let answer = api.ask_token(&form(" ")).await;
    assert_eq!(
        (answer.status, answer.json()["error"].as_str()),
        (StatusCode::BAD_REQUEST, Some("invalid_scope"))
    );
    // A parameter without a value is as good as none (RFC 6749 §3.1).
    let answer = api.ask_token(&form("")).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    assert!(!answer.json()["scope"].as_str().unwrap().is_empty());
}
