//! Copies of the databases: taken while the server runs, put back while it rests, and never half.

use std::{fs, path::Path};

use harness::{Credentials, Outcome, Program, Store};
use http::StatusCode;
use serde_json::Value;

fn clients(program: &Program) -> Vec<String> {
    let listed = program.result(&["client", "list"]);
    let id = |client: &Value| client["client_id"].as_str().unwrap().to_owned();
    listed.as_array().unwrap().iter().map(id).collect()
}

async fn token_status(program: &Program, client: &Credentials) -> StatusCode {
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", client.client_id.as_str()),
        ("client_secret", client.client_secret.as_str()),
        ("scope", client.scope.as_str()),
    ];
    program.api().ask_token(&form).await.status
}

fn restore(program: &Program, file: &Path) -> Outcome {
    program.run(&["database", "restore", file.to_str().unwrap()])
}

#[tokio::test]
async fn a_backup_of_a_running_server_is_put_back_whole() {
    let mut program = Program::serve().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("backup.tar");
    let name = file.to_str().unwrap();
    let before = program.industry("ORG-100000001", &["--label", "before"]);
    let taken = program.result(&["database", "backup", name]);
    let names: Vec<_> = taken.as_array().unwrap().iter().map(|row| row["database"].clone()).collect();
    assert_eq!(names, ["authz.db", "products.db"]);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left there");
    let again = program.run(&["database", "backup", name]);
    assert!(again.code == Some(1) && again.stderr.contains("name a new file"), "{}", again.stderr);

    let after = program.industry("ORG-100000001", &["--label", "after"]);
    let running = restore(&program, &file);
    assert!(running.code == Some(1) && running.stderr.contains("stop the server"), "{}", running.stderr);
    assert_eq!(token_status(&program, &after).await, StatusCode::OK, "nothing happened");

    program.terminate().await;
    let restored = restore(&program, &file).json();
    for row in restored.as_array().unwrap() {
        assert!(Path::new(row["replaced"].as_str().unwrap()).exists(), "{row}");
    }
    program.kill_and_restart(&[]).await;
    let known = clients(&program);
    assert!(known.contains(&before.client_id) && !known.contains(&after.client_id), "{known:?}");
    assert_eq!(token_status(&program, &before).await, StatusCode::OK);
    assert_eq!(token_status(&program, &after).await, StatusCode::UNAUTHORIZED);
    let token = program.api().token(&before).await;
    let answer = program.api().get("/pms/api/v3/MedicinalProductDefinition/600000900001", &token).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
}

#[tokio::test]
async fn a_backup_that_is_not_good_changes_nothing() {
    let mut program = Program::serve().await;
    let stranger = Program::serve().await;
    let folder = tempfile::tempdir().unwrap();
    let [good, foreign] = ["good.tar", "foreign.tar"].map(|name| folder.path().join(name));
    program.result(&["database", "backup", good.to_str().unwrap()]);
    stranger.result(&["database", "backup", foreign.to_str().unwrap()]);
    program.terminate().await;
    let before = clients(&program);

    let whole = fs::read(&good).unwrap();
    let [cut, torn, text, twice] =
        ["cut.tar", "torn.tar", "text.tar", "twice.tar"].map(|name| folder.path().join(name));
    // Two blocks of zeros end an archive (POSIX ustar): what precedes them, two times.
    let end = whole.iter().rposition(|byte| *byte != 0).unwrap().next_multiple_of(512);
    fs::write(&twice, [&whole[..end], &whole[..]].concat()).unwrap();
    fs::write(&cut, &whole[..whole.len() / 2]).unwrap();
    let mut bytes = whole.clone();
    // Pages of the first database, behind the archive's own block and the file's first page.
    bytes[8 * 1024..40 * 1024].fill(0x5a);
    fs::write(&torn, bytes).unwrap();
    fs::write(&text, "no archive at all").unwrap();
    for (file, code, words) in [
        (&cut, 1, "cut.tar"),
        (&torn, 1, "torn.tar"),
        (&twice, 1, "authz.db twice"),
        (&text, 1, "is not a file that `database backup` wrote"),
        (&folder.path().join("absent.tar"), 1, "cannot be read"),
        (&foreign, 78, "master key"),
    ] {
        let refused = restore(&program, file);
        assert_eq!(refused.code, Some(code), "{}: {}", file.display(), refused.stderr);
        assert!(refused.stderr.contains(words) && refused.stderr.lines().count() == 1, "{}", refused.stderr);
    }
    let left: Vec<_> =
        fs::read_dir(program.data_dir()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().contains("restor")), "{left:?}");
    assert!(left.iter().all(|name| !name.to_string_lossy().contains("replaced")), "{left:?}");
    assert_eq!(clients(&program), before);
}

#[tokio::test]
async fn of_postgresql_it_is_said_how_to_copy_it() {
    for store in Program::stores().into_iter().filter(|store| *store == Store::Postgres) {
        let program = Program::serve_with(store, &[]).await;
        for verb in ["backup", "restore"] {
            let refused = program.run(&["database", verb, "copy.dump"]);
            assert_eq!(refused.code, Some(1));
            assert!(
                refused.stderr.contains("pg_dump") && refused.stderr.contains("pg_restore"),
                "{}",
                refused.stderr
            );
        }
    }
}
