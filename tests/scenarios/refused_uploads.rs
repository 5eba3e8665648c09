//! Uploads that nobody wants, by a program whose authors are not ours: it tells its user why they were refused.

use std::process::Command;

use harness::Program;

#[tokio::test]
async fn curl_reads_why_its_upload_is_refused_by_each_part() {
    let version = Command::new("curl").arg("--version").output();
    if !version.is_ok_and(|it| String::from_utf8_lossy(&it.stdout).contains("HTTP2")) {
        println!("NOT CHECKED: curl with HTTP/2 is not installed");
        return;
    }
    let program = Program::serve().await;
    let api = program.api();
    let folder = tempfile::tempdir().unwrap();
    let body = folder.path().join("body");
    let token = api.token(&program.industry("ORG-100000001", &["--qualified"])).await;
    let merge = "/pms/api/v5-alpha/MedicinalProductDefinition/$merge";
    for (path, token, length, status) in [
        ("/api/v1/clients", "x", 3, "401"),
        ("/oauth2/token", "x", 3, "400"),
        ("/nothing", "x", 3, "404"),
        (merge, "x", 3, "401"),
        (merge, "x", 30, "401"),
        (merge, token.as_str(), 30, "413"),
    ] {
        std::fs::write(&body, vec![b' '; length * 1024 * 1024]).unwrap();
        for version in ["--http1.1", "--http2"] {
            let output = Command::new("curl")
                .args(["--silent", "--show-error", "--fail-with-body", version, "--max-time", "20"])
                // Without this, it asks first over HTTP/1.1.
                .args(["--header", "Expect:", "--header", "Content-Type: application/json"])
                .args(["--header", &format!("Authorization: Bearer {token}")])
                .arg("--cacert")
                .arg(program.ready.ca_file.as_ref().unwrap())
                .args(["--write-out", " %{http_code}", "--data-binary"])
                .arg(format!("@{}", body.display()))
                .arg(format!("{}{path}", program.ready.base_url))
                .output()
                .unwrap();
            let told = String::from_utf8_lossy(&output.stdout);
            let case = format!(
                "{path}, {length} MiB, {version}: {told} {}",
                String::from_utf8_lossy(&output.stderr)
            );
            assert!(told.starts_with('{') && told.ends_with(&format!(" {status}")), "{case}");
            assert_eq!(output.status.code(), Some(22), "an error by its status, and no other: {case}");
        }
    }
}
