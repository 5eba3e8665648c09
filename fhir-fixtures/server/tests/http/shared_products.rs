//! Real products that lie beside a full checkout: every answer passes the structural checker of its FHIR version.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use http::StatusCode;

use crate::harness::{Caller, House, PUBLIC, V3, V5};

fn shared() -> Option<PathBuf> {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    if shared.is_dir() {
        return Some(shared);
    }
    println!("NOT CHECKED: {} is not there", shared.display());
    None
}

/// Writes answers into a folder and runs the checker over them.
struct Checker {
    folder: tempfile::TempDir,
    files: Vec<(PathBuf, &'static str)>,
}

impl Checker {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), files: Vec::new() }
    }

    fn add(&mut self, version: &'static str, text: &str) {
        let path = self.folder.path().join(format!("{:05}.json", self.files.len()));
        std::fs::write(&path, text).unwrap();
        self.files.push((path, version));
    }

    fn run(&self, shared: &Path) {
        for version in ["4.4.0", "5.0.0"] {
            let files: Vec<&PathBuf> =
                self.files.iter().filter(|(_, of)| *of == version).map(|(path, _)| path).collect();
            assert!(!files.is_empty());
            let done = Command::new("python3")
                .arg(shared.join("tools/check_fhir.py"))
                .args(["--no-warnings", version])
                .args(&files)
                .output()
                .unwrap();
            let summary = String::from_utf8_lossy(&done.stderr).trim().to_owned();
            println!("{version}: {summary}");
            assert!(done.status.success(), "{summary}\n{}", String::from_utf8_lossy(&done.stdout));
        }
    }
}

/// Everything that each class can get of what is stored, through every door.
async fn ask_everything(house: &House, callers: &[Caller], checker: &mut Checker) -> usize {
    let mut answers = 0;
    for caller in callers {
        let public = caller.stakeholder == pms_terms::Stakeholder::Public;
        let (base, version) = if public { (PUBLIC, "5.0.0") } else { (V3, "4.4.0") };
        let mut target = Some(format!("{base}/MedicinalProductDefinition?_count=10"));
        let mut ids = Vec::new();
        while let Some(page) = target {
            let answer = house.get(caller, &page).await;
            checker.add(version, &answer.text);
            answers += 1;
            ids.extend(answer.ids());
            target = answer.link("next");
        }
        for query in [
            "_count=20&_include:iterate=*&_revinclude:iterate=*",
            "_summary=true&_revinclude=*",
            "_summary=data",
            "_summary=text",
            "_summary=count",
            "_elements=identifier",
        ] {
            let answer = house.get(caller, &format!("{base}/MedicinalProductDefinition?{query}")).await;
            assert_eq!(answer.status, StatusCode::OK, "{} {query}", caller.label);
            checker.add(version, &answer.text);
        }
        for id in ids {
            let mut doors = vec![(base, version, String::new()), (base, version, "/$everything".to_owned())];
            if !public {
                doors.push((V5, "5.0.0", "/$everything".to_owned()));
                doors.push((V3, "4.4.0", "/_history".to_owned()));
                doors.push((V3, "4.4.0", "/_history/1".to_owned()));
            }
            for (base, version, path) in doors {
                let answer =
                    house.get(caller, &format!("{base}/MedicinalProductDefinition/{id}{path}")).await;
                if answer.status == StatusCode::OK {
                    answers += 1;
                } else {
                    assert!(path.starts_with("/_history"), "{} {id}{path} {}", caller.label, answer.status);
                }
                checker.add(version, &answer.text);
            }
        }
    }
    answers
}

#[tokio::test]
async fn every_answer_about_the_shared_products_passes_the_checker() {
    let Some(shared) = shared() else { return };
    let house = House::empty().await;
    let folder = shared.join("data/products");
    let mut paths: Vec<PathBuf> = [folder.clone(), folder.join("fhir-4.4.0")]
        .iter()
        .flat_map(|folder| std::fs::read_dir(folder).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    paths.sort();
    let report = fhir_store::import::files(
        house.database(),
        &house.matrix,
        &paths,
        &|| crate::harness::NOW,
        &mut |_| {},
    )
    .await
    .unwrap();
    for refused in &report.refused {
        println!("refused: {} {}: {}", refused.file, refused.resource, refused.reason);
    }
    house.follow().await;
    // Their holders are locations; give one of them to our owner.
    let locations: Vec<_> = ["LOC-100002580", "LOC-100000450", "LOC-100001468"]
        .iter()
        .map(|location| (location.parse().unwrap(), crate::harness::OWNER.parse().unwrap()))
        .collect();
    fhir_store::locations::upsert(house.database(), &house.matrix, &locations).await.unwrap();
    let mut checker = Checker::new();
    for product in house.products.iter() {
        let metadata = house.send(&http::Method::GET, &format!("{}/metadata", product.base_path), &[]).await;
        checker.add(product.fhir_version.as_str(), &metadata.text);
    }
    let callers = [
        Caller::OWNER,
        Caller::QUALIFIED,
        Caller::STRANGER,
        Caller::AUTHORITY,
        Caller::PUBLIC,
        Caller::AGENCY,
    ];
    let answers = ask_everything(&house, &callers, &mut checker).await;
    println!("{answers} answers");
    assert!(answers > 300, "{answers}");
    checker.run(&shared);
}

#[tokio::test]
async fn every_answer_about_the_demo_catalogue_passes_the_checker() {
    let Some(shared) = shared() else { return };
    let house = House::demo().await;
    house.follow().await;
    let mut checker = Checker::new();
    let answers = ask_everything(&house, &Caller::ALL, &mut checker).await;
    assert!(answers > 500, "{answers}");
    checker.run(&shared);
}
