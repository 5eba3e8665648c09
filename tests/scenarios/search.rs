//! Search through the gateway: forms, pages to the end, XML, what comes along, for each kind of caller.

use std::collections::BTreeSet;

use harness::{Answer, ApiClient, Program};
use http::StatusCode;
use quick_xml::{Reader, events::Event};
use serde_json::Value;

const V3: &str = "/pms/api/v3/MedicinalProductDefinition";
const PUBLIC: &str = "/public/v1/MedicinalProductDefinition";

async fn post(api: &ApiClient, path: &str, form: &[(&str, &str)], token: &str) -> Answer {
    api.send(api.request("POST", path).bearer_auth(token).form(form)).await
}

fn entries(bundle: &Value, mode: &str) -> Vec<Value> {
    let all = bundle["entry"].as_array().into_iter().flatten();
    all.filter(|entry| entry["search"]["mode"] == mode).map(|entry| entry["resource"].clone()).collect()
}

fn link(bundle: &Value, relation: &str) -> Option<String> {
    let links = bundle["link"].as_array()?;
    Some(links.iter().find(|link| link["relation"] == relation)?["url"].as_str()?.to_owned())
}

/// Nothing of an answer may tell where the backend is.
fn assert_no_upstream(program: &Program, answer: &Answer) {
    let text = answer.text();
    assert!(!text.contains("http://127.0.0.1") && !text.contains("http://localhost"), "{text}");
    assert!(text.contains(&program.ready.base_url), "{text}");
}

/// Three kinds of callers with the path where they search.
async fn callers(program: &Program) -> Vec<(&'static str, &'static str, String)> {
    let api = program.api();
    vec![
        ("public", PUBLIC, api.token(&program.public()).await),
        ("owner", V3, api.token(&program.industry("ORG-100000001", &["--qualified"])).await),
        ("authority", V3, api.token(&program.authority(&["human", "veterinary"])).await),
    ]
}

async fn all_ids(api: &ApiClient, path: &str, token: &str) -> Vec<String> {
    let mut ids = Vec::new();
    let mut next = Some(format!("{path}?_count=50"));
    while let Some(target) = next {
        let answer = if target.starts_with('/') {
            api.get(&target, token).await
        } else {
            api.follow(&target, token).await
        };
        let page = answer.json();
        ids.extend(entries(&page, "match").iter().map(|one| one["id"].as_str().unwrap().to_owned()));
        next = link(&page, "next");
    }
    ids
}

#[tokio::test]
async fn a_long_form_pages_to_the_end_through_the_gateway() {
    for store in Program::stores() {
        let program = Program::serve_with(store, &[]).await;
        let api = program.api();
        for (caller, path, token) in callers(&program).await {
            let wanted = all_ids(&api, path, &token).await;
            let ids = wanted.join(",");
            // Far too long for an address.
            let without =
                (0..100).map(|n| format!("no-such-identifier-of-anything-{n}")).collect::<Vec<_>>().join(",");
            let form =
                [("_id", ids.as_str()), ("identifier:not", &without), ("_count", "7"), ("_sort", "-_id")];
            let forbidden = [("contact", "x")];
            let mut found = Vec::new();
            let mut answer = post(&api, &format!("{path}/_search"), &form, &token).await;
            loop {
                assert_eq!(answer.status, StatusCode::OK, "{caller}: {}", answer.text());
                assert_no_upstream(&program, &answer);
                let page = answer.json();
                assert_eq!(page["total"], wanted.len(), "{caller}");
                found
                    .extend(entries(&page, "match").iter().map(|one| one["id"].as_str().unwrap().to_owned()));
                let Some(next) = link(&page, "next") else { break };
                assert!(next.len() <= 2048 + program.ready.base_url.len(), "{}", next.len());
                answer = api.follow(&next, &token).await;
            }
            found.reverse();
            assert_eq!(found, wanted, "{caller}");
            if caller != "authority" {
                let refused = post(&api, &format!("{path}/_search"), &forbidden, &token).await;
                assert_eq!(refused.status, StatusCode::FORBIDDEN, "{caller}: {}", refused.text());
            }
            let lenient = api.request("POST", &format!("{path}/_search")).bearer_auth(&token);
            let lenient =
                lenient.header("prefer", "handling=lenient").form(&[("colour", "red"), ("_count", "1")]);
            let told = api.send(lenient).await.json();
            let outcome = entries(&told, "outcome");
            assert!(outcome[0].to_string().contains("colour"), "{caller}: {told}");
            assert!(!link(&told, "self").unwrap().contains("colour"), "{caller}");
        }
    }
}

/// The id of each product and the next address of an XML page.
fn read_xml(text: &str) -> (Vec<String>, Option<String>) {
    let mut reader = Reader::from_str(text);
    reader.config_mut().expand_empty_elements = true;
    let (mut path, mut ids, mut relation, mut next) = (Vec::<String>::new(), Vec::new(), String::new(), None);
    loop {
        match reader.read_event().unwrap() {
            Event::Start(start) => {
                path.push(start.local_name().into_inner().to_owned());
                let value = start.try_get_attribute("value").unwrap();
                let value = value.map(|value| {
                    value.normalized_value(quick_xml::XmlVersion::Implicit1_0).unwrap().into_owned()
                });
                match (path.join("/").as_str(), value) {
                    ("Bundle/entry/resource/MedicinalProductDefinition/id", Some(id)) => ids.push(id),
                    ("Bundle/link/relation", Some(value)) => relation = value,
                    ("Bundle/link/url", url) if relation == "next" => next = url,
                    _ => {}
                }
            }
            Event::End(_) => {
                path.pop();
            }
            Event::Eof => return (ids, next),
            _ => {}
        }
    }
}

#[tokio::test]
async fn a_walk_in_xml_reaches_the_end_and_never_names_the_backend() {
    let program = Program::serve().await;
    let api = program.api();
    for (caller, path, token) in callers(&program).await {
        let wanted = all_ids(&api, path, &token).await;
        let mut found = Vec::new();
        let mut next = Some(format!("{}{path}?_count=9", program.ready.base_url));
        while let Some(url) = next {
            let target = url.strip_prefix(&program.ready.base_url).unwrap_or_else(|| panic!("{url}"));
            let request =
                api.request("GET", target).bearer_auth(&token).header("accept", "application/fhir+xml");
            let answer = api.send(request).await;
            assert_eq!(answer.status, StatusCode::OK, "{caller}: {}", answer.text());
            assert_eq!(answer.header("content-type"), "application/fhir+xml");
            assert_no_upstream(&program, &answer);
            let (ids, further) = read_xml(&answer.text());
            found.extend(ids);
            next = further;
        }
        assert_eq!(found, wanted, "{caller}");
        // One product with everything, in XML, is a Bundle as well.
        let everything = format!("{path}/{}/$everything?_format=xml", wanted[0]);
        let answer = api.get(&everything, &token).await;
        assert_no_upstream(&program, &answer);
        assert!(answer.text().starts_with("<?xml"), "{}", answer.text());
    }
}

#[tokio::test]
async fn what_comes_along_is_what_the_caller_may_see() {
    let program = Program::serve().await;
    let api = program.api();
    for (caller, path, token) in callers(&program).await {
        let names = if path == PUBLIC {
            "_revinclude=RegulatedAuthorization:subject&_revinclude=PackagedProductDefinition:package-for&_include:iterate=PackagedProductDefinition:manufactured-item&_revinclude:iterate=Ingredient:for"
        } else {
            "_revinclude=RegulatedAuthorization:subject&_revinclude=PackagedProductDefinition:subject&_include:iterate=PackagedProductDefinition:manufactured-item&_include:iterate=ManufacturedItemDefinition:ingredient"
        };
        let mut next = Some(format!("{}{path}?_count=10&{names}", program.ready.base_url));
        let (mut total, mut matches, mut along) = (0, 0, 0);
        while let Some(url) = next {
            let answer = api.follow(&url, &token).await;
            assert_eq!(answer.status, StatusCode::OK, "{caller}: {}", answer.text());
            assert_no_upstream(&program, &answer);
            let page = answer.json();
            let mut seen = BTreeSet::new();
            let included = entries(&page, "include");
            for one in &included {
                let key = (one["resourceType"].to_string(), one["id"].to_string());
                assert!(seen.insert(key), "{caller}: twice on a page: {one}");
            }
            // Each stands in the $everything of a product of this page, as it stands there.
            let mut whole = BTreeSet::new();
            for one in entries(&page, "match") {
                let id = one["id"].as_str().unwrap();
                let everything = api.get(&format!("{path}/{id}/$everything"), &token).await.json();
                whole.extend(entries(&everything, "match").iter().map(Value::to_string));
                matches += 1;
            }
            assert!(included.iter().all(|one| whole.contains(&one.to_string())), "{caller}");
            along += included.len();
            total = page["total"].as_u64().unwrap();
            next = link(&page, "next");
        }
        assert_eq!(total, matches, "{caller}: what comes along is not counted");
        assert!(u64::try_from(along).unwrap() > matches, "{caller}: {along}");
    }
}
