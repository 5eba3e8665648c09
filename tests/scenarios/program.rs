//! The program's manners: help, exit codes, one-line errors, readiness, metrics, stopping.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpListener,
    process::Command,
};

use harness::{Program, data_folder_command};
use http::StatusCode;
use serde_json::Value;

fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let folder = tempfile::tempdir().unwrap();
    let output = data_folder_command(&folder.path().join("data"), &[]).args(arguments).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn help_of_every_command_says_what_it_does() {
    for command in [
        &["--help"][..],
        &["serve", "--help"],
        &["client", "--help"],
        &["client", "create", "--help"],
        &["client", "rotate", "--help"],
        &["credentials", "expiring", "--help"],
        &["organisation", "import", "--help"],
        &["products", "import", "--help"],
        &["explain", "--help"],
        &["key", "--help"],
        &["database", "--help"],
        &["database", "backup", "--help"],
        &["database", "restore", "--help"],
        &["config", "--help"],
        &["doctor", "--help"],
    ] {
        let (code, stdout, _) = run(command);
        assert_eq!(code, Some(0), "{command:?}");
        assert!(stdout.contains("Usage: pmsgate") && stdout.contains("--data-dir"), "{command:?}: {stdout}");
    }
}

#[test]
fn wrong_usage_is_2_and_a_wrong_configuration_78_on_one_line() {
    for (arguments, words) in [
        (&["client", "crate"][..], "'create'"),
        (&["client", "show"], "<CLIENT_ID>"),
        (&["client"], "usage: pmsgate client"),
        (&["serve", "--listen", "here"], "--listen"),
        (&["clock", "set", "1d"], "+729d"),
        (&["credentials", "expiring", "--within", "soon"], "30d"),
        (&["client", "list", "--format", "fhir"], "audit export"),
        (&["client", "rotate", "x", "--format", "fhir"], "audit export"),
        (&["audit", "export", "--format", "csv"], "ndjson"),
        (&["audit", "verify", "--known", "here"], "NUMBER:LINK"),
    ] {
        let (code, stdout, stderr) = run(arguments);
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{arguments:?}");
        assert!(stderr.contains(words) && stderr.lines().count() == 1, "{arguments:?}: {stderr}");
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pmsgate.toml");
    fs::write(&path, "[listen]\nadress = \"127.0.0.1:1\"\n").unwrap();
    let (code, _, stderr) = run(&["config", "check", "--config", path.to_str().unwrap()]);
    assert_eq!(code, Some(78), "{stderr}");
    assert!(stderr.contains("listen.address") && stderr.lines().count() == 1, "{stderr}");
    // What a server would refuse, the check refuses, too.
    for (key, text) in [
        ("database.url", "[database]\nurl = \"mysql://localhost/x\"\n"),
        ("listen.tls", "[listen]\naddress = \"0.0.0.0:8443\"\ntls = \"off\"\n"),
    ] {
        fs::write(&path, text).unwrap();
        for command in [&["config", "check"][..], &["serve"]] {
            let (code, _, stderr) = run(&[command, &["--config", path.to_str().unwrap()]].concat());
            assert_eq!((code, stderr.lines().count()), (Some(78), 1), "{command:?}: {stderr}");
            assert!(stderr.contains(key), "{command:?}: {stderr}");
        }
    }
    let (code, _, stderr) = run(&["client", "list", "--config", "/no/such/file.toml"]);
    assert_eq!((code, stderr.lines().count()), (Some(78), 1), "{stderr}");
}

#[test]
fn a_refusal_is_1_and_one_line_that_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let output = data_folder_command(&folder.path().join("data"), &[]).args(arguments).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    for (arguments, word) in [
        (&["client", "show", "no-such-client"][..], "no-such-client"),
        (&["client", "create", "--role", "pms-industry-api"], "organisation"),
        (
            &["client", "create", "--role", "pms-industry-api", "--organisation", "ORG-999999999"],
            "ORG-999999999",
        ),
        (&["client", "create", "--role", "emperor"], "pms-nca-api"),
        (&["products", "import", "/no/such/file.json"], "/no/such/file.json"),
    ] {
        let (code, stderr) = run(arguments);
        assert_eq!(code, Some(1), "{arguments:?}: {stderr}");
        assert_eq!(stderr.trim_end().lines().count(), 1, "{arguments:?}: {stderr}");
        assert!(stderr.contains(word), "{arguments:?}: {stderr}");
    }
}

#[test]
fn the_configuration_can_be_checked_shown_and_described() {
    let (code, stdout, stderr) = run(&["config", "check"]);
    assert_eq!(code, Some(0), "{stdout}{stderr}");
    let (code, stdout, _) = run(&["config", "show"]);
    assert_eq!(code, Some(0));
    assert!(stdout.contains("[listen]") && stdout.contains("[gateway]"), "{stdout}");
    let (code, stdout, _) = run(&["config", "schema"]);
    assert_eq!(code, Some(0));
    let schema: Value = serde_json::from_str(&stdout).unwrap();
    assert!(schema["properties"]["listen"].is_object());
}

#[tokio::test]
async fn it_says_how_it_is_and_stops_cleanly() {
    let mut program = Program::serve().await;
    let admin = harness::ApiClient::new(&program.ready.admin_url, None);
    for path in ["/health/live", "/health/ready"] {
        let answer = admin.send(admin.request("GET", path)).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text());
    }
    let api = program.api();
    let token = api.token(&program.industry("ORG-100000001", &[])).await;
    api.get("/pms/api/v3/MedicinalProductDefinition?_count=1", &token).await;
    let metrics = admin.send(admin.request("GET", "/metrics")).await.text();
    for name in
        ["pmsgate_gateway_requests_total", "pmsgate_tokens_issued_total", "pmsgate_backend_requests_total"]
    {
        assert!(metrics.contains(name), "{name} is missing in\n{metrics}");
    }
    let figures = metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    let mute: Vec<_> = figures.filter(|name| !metrics.contains(&format!("# HELP {name} "))).collect();
    assert!(mute.is_empty(), "nothing says what they mean: {mute:?}");
    assert_eq!(program.terminate().await, Some(0));
    let leftovers = fs::read_dir(program.data_dir()).unwrap().count();
    assert!(leftovers > 0);
}

#[tokio::test]
async fn lists_come_as_json_csv_and_table() {
    let program = Program::serve().await;
    let client =
        program.industry("ORG-100000001", &["--label", "ERP, \"link\"", "--contact", "it@tests.example"]);
    let shown = program.result(&["client", "show", &client.client_id]);
    for field in ["client_id", "label", "organisation", "role", "status", "contact", "secrets"] {
        assert!(!shown[field].is_null(), "{field}: {shown}");
    }
    for field in ["secret_id", "hint", "issued_at", "expires_at", "last_used_at", "status"] {
        assert!(shown["secrets"][0].get(field).is_some(), "{field}: {shown}");
    }
    let csv = Command::new(harness::binary())
        .args(["client", "list", "--format", "csv", "--data-dir"])
        .arg(program.data_dir())
        .output()
        .unwrap();
    let csv = String::from_utf8(csv.stdout).unwrap();
    assert!(csv.contains("\"ERP, \"\"link\"\"\""), "{csv}");
    let expiring = program.result(&["credentials", "expiring", "--within", "800d"]);
    let row = expiring
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["client_id"] == client.client_id.as_str())
        .unwrap();
    assert!((729..=731).contains(&row["days_left"].as_i64().unwrap()), "{row}");
    assert_eq!(
        program.result(&["credentials", "expiring", "--within", "90d"]).as_array().map(Vec::len),
        Some(0)
    );
}

#[tokio::test]
async fn doctor_misses_the_first_administrator_of_a_fresh_house_and_then_nothing() {
    let program = Program::serve().await;
    let found = program.result(&["doctor"]);
    let wrong: Vec<_> = found.as_array().unwrap().iter().filter(|check| check["state"] != "ok").collect();
    assert!(wrong.len() == 1 && wrong[0]["check"] == "administrators", "{found}");
    let advice = wrong[0]["advice"].as_str().unwrap();
    assert!(advice.starts_with("pmsgate account create --agency-admin"), "{advice}");

    let person = ["--email", "grace.hall@agency.example", "--first-name", "Grace", "--last-name", "Hall"];
    program.result(&[&["account", "create", "--agency-admin"], &person[..]].concat());
    let found = program.result(&["doctor"]);
    let checks = found.as_array().unwrap();
    assert!(checks.len() >= 5, "{found}");
    assert!(checks.iter().all(|check| check["state"] == "ok"), "{found}");
}

/// Answers every connection with this head.
fn answering(head: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            // Who only looks whether somebody is there sends nothing.
            if matches!(stream.read(&mut [0; 4096]), Ok(1..)) {
                let _ = stream.write_all(head.as_bytes());
            }
        }
    });
    address
}

#[test]
fn doctor_looks_at_what_the_house_depends_on() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let missing = data_folder_command(&data, &[]).arg("doctor").output().unwrap();
    let said = String::from_utf8_lossy(&missing.stderr).into_owned();
    assert!(missing.status.code() == Some(1) && said.contains("there is no folder"), "{said}");
    assert!(!data.exists(), "who looks for faults makes nothing");
    fs::create_dir(&data).unwrap();
    let empty = data_folder_command(&data, &[]).arg("doctor").output().unwrap();
    let said = String::from_utf8_lossy(&empty.stderr).into_owned();
    assert!(empty.status.code() == Some(1) && said.contains("holds no master key"), "{said}");
    assert_eq!(fs::read_dir(&data).unwrap().count(), 0, "nor in an empty folder");
    let made = data_folder_command(&data, &[]).args(["database", "migrate"]).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    let doctor = |settings: &[(&str, &str)]| -> (Option<i32>, Value) {
        let settings: Vec<_> =
            settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let output = data_folder_command(&data, &settings).arg("doctor").output().unwrap();
        (output.status.code(), serde_json::from_slice(&output.stdout).unwrap())
    };
    let check = |found: &Value, name: &str| {
        let found = found.as_array().unwrap().iter().find(|check| check["check"] == name);
        found.map(|check| (check["state"].as_str().unwrap().to_owned(), check["found"].to_string()))
    };
    // One that is ahead, as only a broken clock can be.
    let ahead = answering(
        "HTTP/1.1 200 OK\r\nDate: Tue, 01 Jan 2199 00:00:00 GMT\r\nContent-Length: 0\r\n\r\n".to_owned(),
    );
    let (_, found) = doctor(&[("PMSGATE__GATEWAY__AUTHZ_URL", &ahead)]);
    let (state, text) = check(&found, "clock skew").unwrap();
    assert!(state == "warning" && text.contains(&ahead), "{text}");
    assert_eq!(check(&found, "other servers").unwrap().0, "ok", "{found}");
    let (code, found) = doctor(&[("PMSGATE__GATEWAY__BACKEND_URL", "http://127.0.0.1:1")]);
    let (state, text) = check(&found, "other servers").unwrap();
    assert!(code == Some(1) && state == "wrong" && text.contains("http://127.0.0.1:1"), "{text}");
    // Its own backend, which runs inside where all parts do.
    let own = [
        ("PMSGATE__GATEWAY__BACKEND_URL", "http://127.0.0.1:1"),
        ("PMSGATE__BACKEND__ADDRESS", "127.0.0.1:1"),
    ];
    let (code, found) = doctor(&own);
    assert_eq!((code, check(&found, "other servers").unwrap().0.as_str()), (Some(0), "warning"), "{found}");
    let limits = "redis://gateway:hidden-word@127.0.0.1:1";
    let (code, found) = doctor(&[("PMSGATE__GATEWAY__LIMITS_URL", limits)]);
    let (state, text) = check(&found, "other servers").unwrap();
    assert!(code == Some(1) && state == "wrong" && text.contains("redis://127.0.0.1:1"), "{text}");
    assert!(!found.to_string().contains("hidden-word"), "{found}");
    let chain = folder.path().join("chain.pem");
    fs::write(&chain, "no certificate").unwrap();
    let files = [
        ("PMSGATE__LISTEN__TLS", "files"),
        ("PMSGATE__LISTEN__CERTIFICATE_FILE", chain.to_str().unwrap()),
        ("PMSGATE__LISTEN__KEY_FILE", chain.to_str().unwrap()),
    ];
    let (code, found) = doctor(&files);
    let (state, text) = check(&found, "certificate").unwrap();
    assert!(code == Some(1) && state == "wrong" && text.contains("chain.pem"), "{text}");
}

#[tokio::test]
async fn explain_names_the_rule_of_what_is_withheld() {
    let program = Program::serve().await;
    let stranger = program.industry("ORG-100000002", &[]);
    let url = "/pms/api/v3/MedicinalProductDefinition/600000900001";
    let decisions = program.result(&["explain", "--client", &stranger.client_id, "GET", url]);
    let decisions = decisions.as_array().unwrap();
    let about = |path: &str| {
        decisions.iter().find(|decision| decision["path"].as_str().is_some_and(|p| p.ends_with(path)))
    };
    let description = about("MedicinalProductDefinition/600000900001.description").unwrap();
    assert_eq!(description["outcome"], "removed", "{description}");
    assert!(description["rule"].as_str().unwrap().contains("line "), "{description}");
    assert_eq!(about("MedicinalProductDefinition/600000900001.domain").unwrap()["outcome"], "kept");
    assert!(
        decisions.iter().all(|decision| decision["reason"].as_str().is_some_and(|reason| !reason.is_empty()))
    );
}

#[tokio::test]
async fn what_is_made_on_first_start_is_for_its_owner_only_and_kept() {
    use std::os::unix::fs::PermissionsExt as _;
    let mut program = Program::serve().await;
    let mode = |name: &str| fs::metadata(program.data_dir().join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(""), 0o700);
    for name in ["master.key", "tls/ca.key", "tls/server.key", "authz.db", "products.db", "first-call.sh"] {
        assert_eq!(mode(name) & 0o077, 0, "{name}");
    }
    let before = fs::read(program.data_dir().join("master.key")).unwrap();
    let demo = program.ready.demo.clone().unwrap();
    program.kill_and_restart(&[]).await;
    assert_eq!(fs::read(program.data_dir().join("master.key")).unwrap(), before);
    let again = program.ready.demo.clone().unwrap();
    assert_eq!((again.client_id, again.client_secret), (demo.client_id, demo.client_secret));
}

#[tokio::test]
async fn a_second_server_on_the_same_folder_leaves_the_first_one_its_address() {
    let program = Program::serve().await;
    let read = |name: &str| fs::read_to_string(program.data_dir().join(name)).unwrap();
    let (base_url, first_call) = (read("base-url"), read("first-call.sh"));
    assert_eq!(base_url, program.ready.base_url);
    let ready = program.data_dir().join("second.json");
    let mut second = program
        .command(&["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--ready-file"])
        .arg(&ready)
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    for _ in 0..1200 {
        if ready.exists() {
            break;
        }
        assert!(second.try_wait().unwrap().is_none(), "the second server does not start");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    let (after, first_call_after) = (read("base-url"), read("first-call.sh"));
    second.kill().unwrap();
    second.wait().unwrap();
    assert_eq!((after, first_call_after), (base_url, first_call));
}

#[tokio::test]
async fn another_master_key_is_refused_before_it_does_harm() {
    let mut program = Program::serve().await;
    let client = program.industry("ORG-100000001", &[]);
    program.api().token(&client).await;

    // A shell that lacks the server's key, and one that has another.
    let key_file = program.data_dir().join("master.key");
    let right = fs::read(&key_file).unwrap();
    fs::remove_file(&key_file).unwrap();
    let rotate = ["client", "rotate", client.client_id.as_str(), "--immediately"];
    let outcome = program.run(&rotate);
    assert_eq!(outcome.code, Some(78), "{}", outcome.stderr);
    assert!(
        outcome.stderr.contains("master key") && outcome.stderr.lines().count() == 1,
        "{}",
        outcome.stderr
    );
    assert!(!key_file.exists(), "a new key beside an old database would be mistaken for the right one");
    let other = program.command(&rotate).env("PMSGATE_MASTER_KEY", "07".repeat(32)).output().unwrap();
    assert_eq!(other.status.code(), Some(78));

    fs::write(&key_file, right).unwrap();
    program.api().token(&client).await;
    program.kill_and_restart(&[]).await;
    program.api().token(&client).await;
}

#[tokio::test]
async fn a_stopped_server_leaves_databases_that_can_be_copied() {
    let mut program = Program::serve().await;
    let client = program.industry("ORG-100000001", &[]);
    assert_eq!(program.terminate().await, Some(0));
    let copy = tempfile::tempdir().unwrap();
    for name in ["authz.db", "products.db", "master.key"] {
        fs::copy(program.data_dir().join(name), copy.path().join(name)).unwrap();
    }
    let output = data_folder_command(copy.path(), &[])
        .args(["client", "show", &client.client_id, "--format", "json"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}
