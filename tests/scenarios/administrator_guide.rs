//! The page for administrators says nothing that does not work: its commands are run, its settings read, and each
//! system in its table names scenarios that exist.

use std::{
    fs,
    path::{Path, PathBuf},
};

use harness::{Program, data_folder_command};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn guide() -> String {
    fs::read_to_string(root().join("docs/administrator.md")).unwrap()
}

/// The fenced blocks of one kind.
fn blocks(text: &str, kind: &str) -> Vec<String> {
    text.split(&format!("```{kind}\n"))
        .skip(1)
        .map(|rest| rest.split("\n```").next().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn every_command_of_the_page_for_administrators_works() {
    let program = Program::serve().await;
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join("organisations.csv"),
        "id,name,country,category,address,parent,locations\n\
         ORG-100000901,Guide Pharma,NL,industry,Plein 1,,\"LOC-100000901 NL Plein 1, Leiden\"\n",
    )
    .unwrap();
    let mut run = 0;
    for command in
        blocks(&guide(), "sh").iter().flat_map(|block| block.lines().map(str::to_owned).collect::<Vec<_>>())
    {
        let command = command.split('#').next().unwrap().trim().to_owned();
        let Some(arguments) = command.strip_prefix("pmsgate ") else {
            assert_eq!(command, "", "not a command of the program");
            continue;
        };
        let arguments: Vec<&str> = arguments.split_whitespace().collect();
        let output = program.command(&arguments).current_dir(folder.path()).output().unwrap();
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
        run += 1;
    }
    assert!(run >= 4, "{run} commands");
    let listed = program.result(&["organisation", "list"]).to_string();
    assert!(listed.contains("ORG-100000901"), "{listed}");
    // What the list writes is read again, all of it and as it is.
    for format in ["csv", "json", "ndjson"] {
        let list = program.command(&["organisation", "list", "--format", format]).output().unwrap();
        let file = folder.path().join(format!("again.{format}"));
        fs::write(&file, &list.stdout).unwrap();
        let report = program.result(&["organisation", "import", file.to_str().unwrap()]);
        assert_eq!(report["refused"], serde_json::json!([]), "{format}: {report}");
        assert_eq!((&report["imported"], &report["updated"]), (&0.into(), &0.into()), "{format}: {report}");
        assert!(report["unchanged"].as_u64().unwrap() > 1, "{format}: {report}");
    }
}

#[test]
fn every_setting_of_the_page_for_administrators_is_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pmsgate.toml");
    let settings = blocks(&guide(), "toml");
    assert!(settings.len() >= 2, "{settings:?}");
    for text in settings {
        fs::write(&path, &text).unwrap();
        let arguments = ["config", "check", "--config", path.to_str().unwrap()];
        let output = data_folder_command(&folder.path().join("data"), &[]).args(arguments).output().unwrap();
        assert!(output.status.success(), "{text}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn every_system_of_the_originals_has_a_row_with_scenarios_that_exist() {
    let mut sources = String::new();
    for folder in ["tests/scenarios", "authz/server/tests/http"] {
        for entry in fs::read_dir(root().join(folder)).unwrap() {
            sources.push_str(&fs::read_to_string(entry.unwrap().path()).unwrap());
        }
    }
    let guide = guide();
    let table = guide.split("## What the original systems do").nth(1).unwrap().split("\n## ").next().unwrap();
    for system in [
        "SPOR registration",
        "SPOR roles",
        "SPOR portal as guest",
        "PMS administrators",
        "PUI roles",
        "EU Login style account",
        "EU Login second factor",
        "CPMS access wizard",
        "Public PMS access",
    ] {
        let row = table.lines().find(|line| line.starts_with(&format!("| {system} ")));
        let row = row.unwrap_or_else(|| panic!("no row for {system}"));
        let scenarios: Vec<&str> = row.split('|').nth(3).unwrap().split('`').skip(1).step_by(2).collect();
        assert!(!scenarios.is_empty(), "{row}");
        for scenario in scenarios {
            assert!(sources.contains(&format!("fn {scenario}()")), "there is no scenario {scenario}");
        }
    }
}
