//! Reminders go out once, with two servers on one database, and across restarts.

use std::{
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use harness::{Program, Store, data_folder_command};

use crate::clock_travel::has_mails;

/// A second server on the same database, stopped when dropped.
struct Second(Child);

impl Second {
    async fn start(program: &Program) -> Self {
        let url = program.database().unwrap().url().to_owned();
        let ready = program.data_dir().join("second.json");
        let _ = std::fs::remove_file(&ready);
        let environment = [("PMSGATE__DATABASE__URL".to_owned(), url)];
        let child = data_folder_command(&program.data_dir(), &environment)
            .args(["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--ready-file"])
            .arg(&ready)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let deadline = Instant::now() + Duration::from_secs(120);
        while !ready.exists() {
            assert!(Instant::now() < deadline, "the second server is not ready");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Self(child)
    }
}

impl Drop for Second {
    fn drop(&mut self) {
        // Fails only when it is gone already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn two_servers_on_one_database_remind_once_and_so_after_a_restart() {
    if !Program::stores().contains(&Store::Postgres) {
        println!("NOT CHECKED: no PostgreSQL; `cargo xtask test` starts one");
        return;
    }
    let mut program = Program::serve_with(Store::Postgres, &[]).await;
    let second = Second::start(&program).await;
    for n in 0..5 {
        program
            .industry("ORG-100000001", &["--contact", &format!("team{n}@tests.example"), "--label", "ERP"]);
    }
    program.result(&["clock", "set", "+700d"]);
    for n in 0..5 {
        let mails = has_mails(&program, &format!("team{n}@tests.example"), 1).await;
        assert!(mails[0]["subject"].as_str().unwrap().contains("expires in 3"), "{}", mails[0]["subject"]);
    }
    // Both die, time goes on: what is missed meanwhile comes as one mail.
    drop(second);
    program.kill();
    program.result(&["clock", "set", "+725d"]);
    program.kill_and_restart(&[]).await;
    let _second = Second::start(&program).await;
    for n in 0..5 {
        let mails = has_mails(&program, &format!("team{n}@tests.example"), 2).await;
        assert!(mails[1]["subject"].as_str().unwrap().contains("days"), "{}", mails[1]["subject"]);
    }
    assert_eq!(program.result(&["audit", "verify"])["broken"], serde_json::Value::Null);
}
