//! What a caller may not see does not exist for it: same answer, no trace in searches, by domain and by owner.

use harness::{ApiClient, Program};
use http::StatusCode;
use serde_json::{Value, json};

const SEARCH: &str = "/pms/api/v3/MedicinalProductDefinition";
const VETERINARY: [&str; 2] = ["600000900050", "700000900052"];
const BOTH: &str = "700000900060";
const HUMAN: &str = "600000900001";
const WITHOUT_DOMAIN: &str = "700000900033";
const PENDING_OF_FIRST: &str = "600000900020";
const ABSENT: &str = "600000999999";

/// All ids that a search shows, page by page, and its total.
async fn all_ids(api: &ApiClient, token: &str, path: &str) -> (Vec<String>, u64) {
    let mut ids = Vec::new();
    let mut page = api.get(path, token).await.json();
    let total = page["total"].as_u64().unwrap();
    loop {
        for entry in page["entry"].as_array().into_iter().flatten() {
            ids.push(entry["resource"]["id"].as_str().unwrap().to_owned());
        }
        let next = page["link"].as_array().unwrap().iter().find(|link| link["relation"] == "next").cloned();
        let Some(next) = next else { return (ids, total) };
        page = api.follow(next["url"].as_str().unwrap(), token).await.json();
    }
}

#[tokio::test]
async fn an_authority_for_human_products_never_sees_a_veterinary_one() {
    for store in Program::stores() {
        let program = Program::serve_with(store, &[]).await;
        let api = program.api();
        let human = api.token(&program.authority(&["human"])).await;
        let veterinary = api.token(&program.authority(&["veterinary"])).await;

        for door in ["", "/$everything", "/_history", "/_history/1"] {
            for id in VETERINARY {
                let answer = api.get(&format!("{SEARCH}/{id}{door}"), &human).await;
                assert_eq!(answer.status, StatusCode::NOT_FOUND, "{id}{door}");
                let answer = api.get(&format!("{SEARCH}/{id}{door}"), &veterinary).await;
                assert_eq!(answer.status, StatusCode::OK, "{id}{door}: {}", answer.text());
            }
            let answer = api.get(&format!("{SEARCH}/{HUMAN}{door}"), &veterinary).await;
            assert_eq!(answer.status, StatusCode::NOT_FOUND, "{door}");
            for token in [&human, &veterinary] {
                assert_eq!(api.get(&format!("{SEARCH}/{BOTH}{door}"), token).await.status, StatusCode::OK);
                let answer = api.get(&format!("{SEARCH}/{WITHOUT_DOMAIN}{door}"), token).await;
                assert_eq!(
                    answer.status,
                    StatusCode::NOT_FOUND,
                    "a product without a domain is for no authority"
                );
            }
        }
        let (ids, total) = all_ids(&api, &human, &format!("{SEARCH}?_count=10")).await;
        assert_eq!(ids.len() as u64, total);
        assert!(ids.iter().any(|id| id == HUMAN) && ids.iter().any(|id| id == BOTH));
        assert!(!ids.iter().any(|id| VETERINARY.contains(&id.as_str()) || id == WITHOUT_DOMAIN));
        for id in VETERINARY {
            let (ids, total) = all_ids(&api, &human, &format!("{SEARCH}?_id={id}")).await;
            assert_eq!((ids.len(), total), (0, 0));
        }
        let veterinary_only = "domain=http://spor.ema.europa.eu/v1/lists/100000000004|100000000013";
        let (_, total) = all_ids(&api, &human, &format!("{SEARCH}?{veterinary_only}")).await;
        assert_eq!(total, 0);
        let (_, total) = all_ids(&api, &veterinary, &format!("{SEARCH}?{veterinary_only}")).await;
        assert!(total > 0);
    }
}

#[tokio::test]
async fn a_stranger_and_an_unknown_id_give_byte_identical_answers() {
    for store in Program::stores() {
        let program = Program::serve_with(store, &[]).await;
        let api = program.api();
        let stranger = api.token(&program.industry("ORG-100000002", &["--qualified"])).await;
        let owner = api.token(&program.industry("ORG-100000001", &[])).await;
        for base in ["/pms/api/v3", "/pms/api/v5-alpha"] {
            for door in ["", "/$everything", "/_history", "/_history/1", "/_history/2"] {
                let path = |id: &str| format!("{base}/MedicinalProductDefinition/{id}{door}");
                let hidden = api.get(&path(PENDING_OF_FIRST), &stranger).await;
                let absent = api.get(&path(ABSENT), &stranger).await;
                assert_eq!(hidden.status, StatusCode::NOT_FOUND, "{base}{door}");
                let (status, headers, body) = hidden.without_request_id();
                let hidden = (status, headers, body.replace(PENDING_OF_FIRST, "ID"));
                let (status, headers, body) = absent.without_request_id();
                assert_eq!(hidden, (status, headers, body.replace(ABSENT, "ID")), "{base}{door}");
            }
        }
        assert_eq!(api.get(&format!("{SEARCH}/{PENDING_OF_FIRST}"), &owner).await.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn elements_are_seen_by_those_who_may_and_withheld_from_the_rest() {
    let program = Program::serve().await;
    let api = program.api();
    let everything = format!("{SEARCH}/{HUMAN}/$everything");
    let mut seen = Vec::new();
    for (name, token) in [
        ("stranger", api.token(&program.industry("ORG-100000002", &["--qualified"])).await),
        ("owner", api.token(&program.industry("ORG-100000001", &[])).await),
        ("qualified owner", api.token(&program.industry("ORG-100000001", &["--qualified"])).await),
        ("authority", api.token(&program.authority(&["human"])).await),
    ] {
        let answer = api.get(&everything, &token).await;
        assert_eq!(answer.status, StatusCode::OK);
        let bundle = answer.json();
        let has = |key: &str| {
            bundle["entry"].as_array().unwrap().iter().any(|entry| {
                format!(
                    "{}/{}",
                    entry["resource"]["resourceType"].as_str().unwrap(),
                    entry["resource"]["id"].as_str().unwrap()
                ) == key
            })
        };
        let root = &bundle["entry"][0]["resource"];
        assert_eq!(root["resourceType"], "MedicinalProductDefinition");
        let subsetted = root["meta"]["tag"].to_string().contains("SUBSETTED");
        seen.push((
            name,
            [
                has("ActivityDefinition/6500101"),
                has("ActivityDefinition/6500102"),
                has("DocumentReference/4000101"),
                has("DocumentReference/4000104"),
                root.get("description").is_some(),
                subsetted,
            ],
        ));
        // A hidden operation leaves no trace by its id either.
        if !has("ActivityDefinition/6500102") {
            assert!(!answer.text().contains("6500102"), "{name}");
        }
    }
    assert_eq!(
        seen,
        [
            //                   batch release, granulation, SmPC, risk plan, description, subsetted
            ("stranger", [false, false, true, false, false, true]),
            ("owner", [true, false, true, true, true, true]),
            ("qualified owner", [true, true, true, true, true, false]),
            ("authority", [true, true, true, true, true, false]),
        ]
    );
}

#[tokio::test]
async fn a_product_of_which_nothing_is_left_is_not_counted() {
    let program = Program::serve().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("modified.json");
    // Public by its gates; but nobody without clearance may see a modifier that has no row, nor what it modifies.
    let coding = |list: &str, code: &str| json!({"coding": [{"system": format!("http://spor.ema.europa.eu/v1/lists/{list}"), "code": code}]});
    let bundle = json!({"resourceType": "Bundle", "type": "collection", "entry": [
        {"resource": {"resourceType": "MedicinalProductDefinition", "id": "600000930001",
            "modifierExtension": [{"url": "https://tests.example/not-really", "valueBoolean": true}],
            "domain": coding("100000000004", "100000000012"), "status": coding("200000005003", "200000005004"),
            "name": [{"productName": "Modifol"}]}},
        {"resource": {"resourceType": "RegulatedAuthorization", "id": "220000930001",
            "subject": [{"reference": "MedicinalProductDefinition/600000930001"}],
            "type": coding("220000000060", "220000000061"), "status": coding("100000072049", "100000072099")}},
    ]});
    std::fs::write(&file, bundle.to_string()).unwrap();
    let report = program.result(&["products", "import", file.to_str().unwrap()]);
    assert_eq!(report["imported"], 2, "{report}");

    let api = program.api();
    let authority = api.token(&program.authority(&["human"])).await;
    let public = api.token(&program.public()).await;
    let path = "/MedicinalProductDefinition?_id=600000930001";
    assert_eq!(api.get(&format!("/pms/api/v3{path}"), &authority).await.json()["total"], 1);
    let answer = api.get(&format!("/public/v1{path}"), &public).await.json();
    assert_eq!(answer["total"], 0, "{answer}");
    let (ids, total) = all_ids(&api, &public, "/public/v1/MedicinalProductDefinition?_count=10").await;
    assert_eq!(ids.len() as u64, total);
}

#[tokio::test]
async fn a_product_shows_references_to_those_products_only_that_its_reader_may_read() {
    for store in Program::stores() {
        let program = Program::serve_with(store, &[]).await;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("referring.json");
        let coding = |list: &str, code: &str| json!({"coding": [{"system": format!("http://spor.ema.europa.eu/v1/lists/{list}"), "code": code}]});
        let mentioned = [HUMAN, PENDING_OF_FIRST, VETERINARY[0], ABSENT];
        let references = mentioned.map(
            |id| json!({"product": {"reference": {"reference": format!("MedicinalProductDefinition/{id}")}}}),
        );
        let bundle = json!({"resourceType": "Bundle", "type": "collection", "entry": [
            {"resource": {"resourceType": "MedicinalProductDefinition", "id": "600000930002", "crossReference": references,
                "domain": coding("100000000004", "100000000012"), "status": coding("200000005003", "200000005004"),
                "name": [{"productName": "Referol"}]}},
            {"resource": {"resourceType": "RegulatedAuthorization", "id": "220000930002",
                "subject": mentioned.into_iter().chain(["600000930002"])
                    .map(|id| json!({"reference": format!("MedicinalProductDefinition/{id}")})).collect::<Vec<_>>(),
                "type": coding("220000000060", "220000000061"), "status": coding("100000072049", "100000072099")}},
        ]});
        std::fs::write(&file, bundle.to_string()).unwrap();
        program.result(&["products", "import", file.to_str().unwrap()]);
        let api = program.api();
        for (name, token) in [
            ("stranger", api.token(&program.industry("ORG-100000002", &["--qualified"])).await),
            ("owner of the pending one", api.token(&program.industry("ORG-100000001", &[])).await),
            ("human", api.token(&program.authority(&["human"])).await),
            ("both", api.token(&program.authority(&["human", "veterinary"])).await),
        ] {
            for door in ["/600000930002", "/600000930002/$everything", "?_id=600000930002"] {
                let shown = api.get(&format!("{SEARCH}{door}"), &token).await;
                assert_eq!(shown.status, StatusCode::OK, "{name} {door}");
                for id in mentioned {
                    let readable = api.get(&format!("{SEARCH}/{id}"), &token).await.status == StatusCode::OK;
                    assert_eq!(shown.text().contains(id), readable, "{name} {door} {id}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_hidden_identifier_finds_nothing() {
    let program = Program::serve().await;
    let api = program.api();
    let owner = api.token(&program.industry("ORG-100000001", &[])).await;
    let stranger = api.token(&program.industry("ORG-100000002", &[])).await;
    let product = api.get(&format!("{SEARCH}/{HUMAN}"), &owner).await.json();
    let shown = api.get(&format!("{SEARCH}/{HUMAN}"), &stranger).await.json();
    let systems = |product: &Value| -> Vec<(String, String)> {
        let of = |identifier: &Value, name: &str| identifier[name].as_str().unwrap().to_owned();
        product["identifier"].as_array().unwrap().iter().map(|i| (of(i, "system"), of(i, "value"))).collect()
    };
    let hidden: Vec<_> =
        systems(&product).into_iter().filter(|identifier| !systems(&shown).contains(identifier)).collect();
    assert!(!hidden.is_empty());
    for (system, value) in hidden {
        let path = format!("{SEARCH}?identifier={system}%7C{value}");
        assert!(api.get(&path, &owner).await.json()["total"].as_u64().is_some_and(|n| n > 0), "{path}");
        assert_eq!(api.get(&path, &stranger).await.json()["total"], 0, "{path}");
        let path = format!("{SEARCH}?identifier={value}");
        assert_eq!(api.get(&path, &stranger).await.json()["total"], 0, "{path}");
    }
}
