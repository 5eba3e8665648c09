//! The audit trail on the command line: verified, written out in both forms, and tampering found.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use harness::{Program, check_fhir, data_folder_command, shared};
use serde_json::Value;

fn export(program: &Program, form: &str) -> String {
    let output =
        data_folder_command(&program.data_dir(), &[]).args(["audit", "export", "--format", form]).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test]
async fn the_trail_is_verified_exported_and_a_change_by_hand_is_found() {
    let program = Program::serve().await;
    let client = program.industry("ORG-100000001", &["--contact", "team@tests.example"]);
    let verified = program.result(&["audit", "verify"]);
    assert_eq!(verified["broken"], Value::Null);
    let head = verified["head"].as_str().unwrap().to_owned();
    program.result(&["client", "suspend", &client.client_id]);
    let known = program.result(&["audit", "verify", "--known", &head]);
    assert_eq!(known["known"], true);
    let records = usize::try_from(known["records"].as_i64().unwrap()).unwrap();

    let ndjson = export(&program, "ndjson");
    let lines: Vec<Value> = ndjson.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), records);
    let last = lines.last().unwrap();
    assert_eq!(
        (last["act"].as_str(), last["subject"].as_str()),
        (Some("client.suspended"), Some(client.client_id.as_str()))
    );
    assert_eq!(last["organisation"], "ORG-100000001");
    assert_eq!(lines[0]["number"], 1);
    assert!(!ndjson.contains(&client.client_secret) && !ndjson.contains("team@tests.example"));

    let fhir = export(&program, "fhir");
    let bundle: Value = serde_json::from_str(&fhir).unwrap();
    assert_eq!(bundle["entry"].as_array().unwrap().len(), records);
    if let Some(python) = std::env::var_os("PMSGATE_TEST_PYTHON") {
        let script = harness::checkout().join("tests/clients/with_fhir_audit_events.py");
        let mut reader = Command::new(python);
        reader.arg(script).env("PYTHONDONTWRITEBYTECODE", "1").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut reader = reader.spawn().unwrap();
        reader.stdin.take().unwrap().write_all(fhir.as_bytes()).unwrap();
        let output = reader.wait_with_output().unwrap();
        assert!(output.status.success());
        let read: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(read["events"], records);
    } else {
        assert!(
            std::env::var_os("PMSGATE_TEST_COMPLETE").is_none(),
            "the set-up is complete but has no Python"
        );
    }
    if let Some(shared) = shared() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("trail.json"), &fhir).unwrap();
        assert_eq!(check_fhir(&shared, "5.0.0", folder.path()), Vec::<String>::new());
    }

    let tamper = |sql: &str| {
        let script = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], timeout=20); c.execute(sys.argv[2]); c.commit()";
        let path = program.data_dir().join("authz.db");
        assert!(Command::new("python3").args(["-c", script]).arg(path).arg(sql).status().unwrap().success());
    };
    tamper(
        "INSERT INTO audit_events (seq, number, happened_at, actor_kind, act, subject, details, link) \
         SELECT -1, MAX(number) + 1, 0, 'system', 'client.revoked', 'forged', '{}', '' FROM audit_events",
    );
    let outcome = program.run(&["audit", "verify"]);
    assert!(outcome.stderr.contains("stands behind the end of the trail"), "{}", outcome.stderr);
    let outcome = program.run(&["audit", "export", "--format", "ndjson"]);
    assert!(outcome.code == Some(1) && !outcome.stdout.contains("forged"), "{}", outcome.stderr);
    tamper("DELETE FROM audit_events WHERE seq = -1");
    tamper("UPDATE audit_events SET subject = 'nobody' WHERE number = 3");
    let outcome = program.run(&["audit", "verify"]);
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.stderr.contains("record 3 was changed"), "{}", outcome.stderr);
    assert_eq!(outcome.stderr.lines().count(), 1);
    let doctor = program.run(&["doctor"]);
    assert_eq!(doctor.code, Some(1));
    assert!(doctor.stdout.contains("record 3 was changed"), "{}", doctor.stdout);
}
