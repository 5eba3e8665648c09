//! The first page.

use crate::harness::{BASE, TestAuthz};

#[tokio::test]
async fn the_first_page_says_what_is_here() {
    let authz = TestAuthz::start().await;
    let page = authz.get("/").await;
    assert_eq!(page.status, 200);
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    assert!(page.header("content-security-policy").starts_with("default-src 'none'"));
    assert!(page.header("strict-transport-security").starts_with("max-age="));
    assert_eq!(page.header("x-content-type-options"), "nosniff");
    for words in [
        &format!("{BASE}/oauth2/token"),
        "/pms/api/v3",
        "/public/v1",
        "api://pmsgate/public/.default",
        "Sandbox",
    ] {
        assert!(page.text.contains(words), "{words}");
    }
    let inside: Vec<_> =
        page.text.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    for link in inside.iter().filter(|link| !link.ends_with("/metadata") && !link.starts_with('#')) {
        assert_eq!(authz.get(link).await.status, 200, "{link}");
    }
    assert!(!page.text.contains("<script") && !page.text.contains("style=\""));
}
