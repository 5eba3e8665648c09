//! Explanations name the operation, the gate and the rule of each element.

use fhir_server::{ExplainError, Explained, explain};

use crate::{
    catalogue,
    harness::{Caller, House, OWNER, V3},
};

async fn steps(
    house: &House,
    caller: &Caller,
    method: &str,
    url: &str,
) -> Result<Vec<Explained>, ExplainError> {
    explain(house.database(), &house.matrix, &house.products, &caller.viewer(), method, url).await
}

#[tokio::test]
async fn a_read_is_explained_from_the_gate_to_the_element() {
    let house = House::empty().await;
    house.import(vec![catalogue::product("600000000001", "Examplol", OWNER)]).await;
    let url = format!("https://localhost:8443{V3}/MedicinalProductDefinition/600000000001?_pretty=true");
    let owner = steps(&house, &Caller::OWNER, "GET", &url).await.unwrap();
    assert_eq!((owner[0].rule.as_str(), owner[0].outcome), ("EP303", "found"));
    let stranger = steps(&house, &Caller::STRANGER, "get", &url).await.unwrap();
    let removed = |steps: &[Explained]| steps.iter().filter(|step| step.outcome == "removed").count();
    assert!(removed(&stranger) > removed(&owner), "{stranger:#?}");
    assert!(
        stranger.iter().any(|step| step.path.contains("version") && step.outcome == "removed"),
        "{stranger:#?}"
    );
    assert!(stranger.iter().all(|step| !step.reason.is_empty()));
}

#[tokio::test]
async fn gates_history_absence_and_nonsense_are_explained_too() {
    let house = House::empty().await;
    house
        .import(vec![
            catalogue::with_status("600000000002", "Pending", OWNER, "100000000012", "220000000066"),
            catalogue::product("600000000001", "Examplol", OWNER),
        ])
        .await;
    let at = |id: &str, rest: &str| format!("{V3}/MedicinalProductDefinition/{id}{rest}");
    let hidden = steps(&house, &Caller::STRANGER, "GET", &at("600000000002", "")).await.unwrap();
    assert_eq!(hidden.last().unwrap().outcome, "removed", "{hidden:?}");
    let history = steps(&house, &Caller::STRANGER, "GET", &at("600000000001", "/_history")).await.unwrap();
    assert!(history.iter().any(|step| step.rule == "G4" && step.outcome == "hidden"), "{history:?}");
    let absent = steps(&house, &Caller::STRANGER, "GET", &at("699999999999", "/$everything")).await.unwrap();
    assert_eq!(absent.last().unwrap().outcome, "absent");
    let search = steps(&house, &Caller::OWNER, "GET", &format!("{V3}/MedicinalProductDefinition?name=x"))
        .await
        .unwrap();
    assert!(search.len() >= 2);
    assert!(steps(&house, &Caller::OWNER, "GET", "/pms/api/v3/Patient/1").await.is_err());
    assert!(steps(&house, &Caller::OWNER, "DELETE", &at("600000000001", "")).await.is_err());
}
