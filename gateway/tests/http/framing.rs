//! Requests that two programs could read differently end at the gateway.

use crate::house::{House, READ};

#[tokio::test]
async fn ambiguous_requests_are_refused_and_the_connection_is_closed() {
    let house = House::start().await;
    let token = house.token();
    let get =
        |path: &str, rest: &str| format!("GET {path} HTTP/1.1\r\nAuthorization: Bearer {token}\r\n{rest}");
    let read = |rest: &str| get(READ, rest);
    let merge = "/pms/api/v5-alpha/MedicinalProductDefinition/$merge";
    let post =
        |rest: &str| format!("POST {merge} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n{rest}");
    for (name, request) in [
        ("no host", read("\r\n")),
        ("two hosts", read("Host: a\r\nHost: a\r\n\r\n")),
        ("another host in the address", get(&format!("http://b{READ}"), "Host: a\r\n\r\n")),
        ("a body on GET", read("Host: a\r\nContent-Length: 3\r\n\r\nabc")),
        ("a chunked body on GET", read("Host: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")),
        ("both lengths", read("Host: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n")),
        ("differing lengths", read("Host: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd")),
        ("an unknown transfer coding", read("Host: a\r\nTransfer-Encoding: gzip\r\n\r\n")),
        ("a hidden transfer coding", read("Host: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n")),
        ("a bare LF", read("Host: a\nX: y\r\n\r\n")),
        ("a chunk without a size", post("Transfer-Encoding: chunked\r\n\r\nxyz\r\n")),
        ("a space before the colon", read("Host : a\r\n\r\n")),
        ("a folded line", read("Host: a\r\nX: a\r\n b\r\n\r\n")),
        ("NUL in a header", read("Host: a\r\nX: a\0b\r\n\r\n")),
        ("a host that is none", read("Host: a b\r\n\r\n")),
        ("a fragment", get(&format!("{READ}#x"), "Host: a\r\n\r\n")),
        ("bytes before the line", format!("\0{}", read("Host: a\r\n\r\n"))),
    ] {
        let answer = house.raw(&request).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{name}: {answer}");
        assert!(answer.contains("x-request-id: ") && answer.ends_with('}'), "{name}: {answer}");
    }
    assert_eq!(house.upstream.count(), 0);
}

#[tokio::test]
async fn a_second_request_hidden_in_a_body_is_no_request() {
    let house = House::start().await;
    let token = house.token();
    let hidden = format!("GET {READ} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n\r\n");
    let outer = format!(
        "GET {READ} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\nContent-Length: {}\r\n\r\n{hidden}",
        hidden.len()
    );
    let answer = house.raw(&outer).await;
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    assert_eq!(house.upstream.count(), 0);
}

#[tokio::test]
async fn a_request_with_both_framings_reaches_nobody() {
    let house = House::start().await;
    let token = house.token();
    // By its length the body would reach to the end of the second request.
    let hidden = format!("GET {READ} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n\r\n");
    let (length, coding) =
        (format!("Content-Length: {}\r\n", hidden.len() + 12), "Transfer-Encoding: chunked\r\n");
    for framing in [format!("{length}{coding}"), format!("{coding}{length}")] {
        let answer = house
            .raw(&format!(
                "POST /pms/api/v5-alpha/MedicinalProductDefinition/$merge HTTP/1.1\r\nHost: a\r\n\
                 Authorization: Bearer {token}\r\n{framing}\r\n2\r\n{{}}\r\n0\r\n\r\n{hidden}"
            ))
            .await;
        assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("connection: close"), "{answer}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "what is hidden is not answered: {answer}");
    }
    assert_eq!(house.upstream.count(), 0);
}

#[tokio::test]
async fn path_tricks_never_reach_the_upstream() {
    let house = House::start().await;
    let token = house.token();
    for path in [
        "/pms/api/v3/../v5-alpha/MedicinalProductDefinition/1/$everything",
        "/pms/api/v3/MedicinalProductDefinition/%2e%2e/x",
        "/pms/api/v3/MedicinalProductDefinition/a%2fb",
        "/pms/api/v3/MedicinalProductDefinition/%252e%252e",
        "/pms/api/v3//MedicinalProductDefinition",
        "/pms/api/v3/MedicinalProductDefinition/",
        "/pms/api/v3/MedicinalProductDefinition;x=1",
        "/pms/api/v3/MedicinalProductDefinition/1%00",
        "/pms/api/v3/MedicinalProductDefinition?name=%zz",
        "/pms/api/v3/MedicinalProductDefinition?name=a;status=b",
        "/pms/api/v3/MedicinalProductDefinition?_count=1&_count=2",
    ] {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\r\n"
        );
        let answer = house.raw(&request).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{path}: {answer}");
        assert!(answer.contains("OperationOutcome"), "{path}: {answer}");
    }
    let long = format!("{READ}?x={}", "a".repeat(2100));
    let answer = house.raw(&format!("GET {long} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 414"), "{answer}");
    assert_eq!(house.upstream.count(), 0);
}
