//! Taking organisations in.

use authz_domain::Actor;
use pms_terms::Stakeholder;

use crate::harness::{DEFAULT_SCOPE, TestAuthz};

#[tokio::test]
async fn an_import_reports_what_it_did() {
    for authz in TestAuthz::each().await {
        let csv = "id,name,country,category,locations\n\
            ORG-100000001,Fable Pharma,NL,industry,\n\
            ORG-100000101,Renamed Authority,SE,authority,LOC-100000101\n\
            ORG-100000003,New Industry,FR,industry,LOC-100000009\n\
            ORG-100000004,Thief,FR,industry,LOC-100000101\n\
            ORG-5,Broken,FR,industry,\n";
        let report = authz.acts().import_organisations(Actor::Operator, "oms.csv", csv).await.unwrap();
        assert_eq!((report.imported, report.updated, report.unchanged), (1, 1, 1));
        assert_eq!(report.refused.len(), 2);
        assert_eq!(
            (report.refused[0].file.as_str(), report.refused[0].resource.as_str()),
            ("oms.csv", "ORG-100000004")
        );
        assert!(report.refused[0].reason.contains("LOC-100000101 belongs to ORG-100000101"));
        let again = authz.acts().import_organisations(Actor::Operator, "oms.csv", csv).await.unwrap();
        assert_eq!((again.imported, again.updated, again.unchanged), (0, 0, 3));
    }
}

#[tokio::test]
async fn an_organisation_is_named_once_and_its_parent_is_known() {
    for authz in TestAuthz::each().await {
        let csv = "id,name,country,category,parent\n\
            ORG-100000301,Centre of the network,FR,centre,ORG-100000302\n\
            ORG-100000302,Network,FR,network,\n\
            ORG-100000302,Network,FR,network,\n\
            ORG-100000302,Another network,FR,network,\n\
            ORG-100000303,Orphan,FR,centre,ORG-100000399\n\
            ORG-100000304,Of an orphan,FR,centre,ORG-100000303\n";
        let report = authz.acts().import_organisations(Actor::Operator, "oms.csv", csv).await.unwrap();
        assert_eq!((report.imported, report.updated), (2, 0));
        let refused: Vec<(&str, &str)> =
            report.refused.iter().map(|it| (it.resource.as_str(), it.reason.as_str())).collect();
        let unknown = "is not known: import it before or with this file";
        assert_eq!(
            refused,
            [
                (
                    "ORG-100000302",
                    "stands in this file twice, in different words: the first is kept, remove one"
                ),
                ("ORG-100000303", &format!("its parent ORG-100000399 {unknown}")),
                (
                    "ORG-100000304",
                    "its parent ORG-100000303 is refused, too: what is above it is not known, or leads back to it"
                ),
            ]
        );
        let names: Vec<String> =
            authz.acts().list_organisations().await.unwrap().into_iter().map(|it| it.name).collect();
        assert!(names.contains(&"Network".to_owned()) && !names.contains(&"Another network".to_owned()));
    }
}

#[tokio::test]
async fn a_changed_category_changes_what_tokens_say() {
    let authz = TestAuthz::start().await;
    let credentials = authz.industry_client().await;
    let stakeholder = async || {
        let token = authz.token(&credentials, DEFAULT_SCOPE).await.access_token();
        authz.verified(&token, "api://pmsgate/pms").await.stakeholder
    };
    assert_eq!(stakeholder().await, Stakeholder::Industry);
    let json = r#"{"id":"ORG-100000001","name":"Fable Pharma","country":"NL","category":"authority"}"#;
    authz.acts().import_organisations(Actor::Operator, "x.ndjson", json).await.unwrap();
    assert_eq!(stakeholder().await, Stakeholder::Public, "its role is not for authorities: least rights");
}

#[tokio::test]
async fn a_file_of_another_kind_changes_nothing() {
    let authz = TestAuthz::start().await;
    let refused = authz.acts().import_organisations(Actor::Operator, "x.csv", "a,b\n").await.unwrap_err();
    assert!(refused.to_string().starts_with("x.csv:1: unknown column"), "{refused}");
}
