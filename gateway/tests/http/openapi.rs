//! The documents under `docs/openapi` are those that the program serves with its defaults.

use std::path::Path;

use config::{Data, DataFiles, Settings};
use gateway::{Addresses, GatewaySettings, openapi};

#[test]
fn the_committed_documents_are_fresh() {
    let files = DataFiles::load(&Data::default()).unwrap();
    let base = "https://localhost:8443".to_owned();
    let addresses = Addresses {
        public_base_url: base.clone(),
        authz_url: base,
        backend_url: "http://127.0.0.1:8081".to_owned(),
    };
    let settings = Settings::default();
    let settings = GatewaySettings::new(&settings, &files, &addresses, String::new());
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/openapi");
    let mut names = Vec::new();
    for (id, document) in openapi::documents(&settings).unwrap() {
        let name = format!("{id}.json");
        let committed = std::fs::read_to_string(folder.join(&name)).unwrap_or_default();
        let fresh = serde_json::to_string_pretty(&document).unwrap() + "\n";
        assert!(
            committed == fresh,
            "docs/openapi/{name} is stale: `cargo run -- config openapi docs/openapi`"
        );
        names.push(name);
    }
    let mut found: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    found.retain(|name| Path::new(name).extension().is_some_and(|ending| ending == "json"));
    names.sort();
    found.sort();
    assert_eq!(found, names, "documents of products that are gone");
}
