//! Merges: decided and stored in one unit of work, queued durably, done once and in order, forgotten in time.

use database::Database;
use fhir_model::{ResourceKey, ResourceType, access::Column};
use fhir_store::{
    Audience,
    merges::{self, Answer, Limits, Outcome, Submission},
};
use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};

use crate::{
    outlines,
    sample::{LATER, NOW, Sample, agency, bundle, databases, import, industry, matrix, qualified},
};

const ID: &str = "600000000001";
const OWNER: &str = "ORG-100000001";
const LIMITS: Limits = Limits {
    waiting_per_client: 3,
    waiting: 4,
    key_lifetime: Duration::hours(24),
    outcome_lifetime: Duration::days(90),
};

/// The current state of the product's own resources of these types, as a transaction.
async fn sending(database: &Database, kinds: &[&str], change: impl Fn(&mut Value)) -> Value {
    let stored = fhir_store::find(database, ID).await.unwrap().unwrap();
    let entries: Vec<Value> = stored
        .product
        .resources()
        .filter(|it| kinds.contains(&it["resourceType"].as_str().unwrap()))
        .map(|resource| {
            let key = fhir_model::resource_key(resource).unwrap().to_string();
            let mut resource = resource.clone();
            change(&mut resource);
            json!({"request": {"method": "PUT", "url": key}, "resource": resource})
        })
        .collect();
    json!({"resourceType": "Bundle", "type": "transaction", "entry": entries})
}

fn rename(name: &str) -> impl Fn(&mut Value) {
    let name = name.to_owned();
    move |resource| {
        if resource["resourceType"] == "MedicinalProductDefinition" {
            resource["name"][0]["productName"] = name.as_str().into();
        }
    }
}

const ROOT: [&str; 1] = ["MedicinalProductDefinition"];

struct Sender<'a> {
    client_id: &'a str,
    audience: Audience,
    key: Option<&'a str>,
    digest: &'a str,
}

impl Sender<'_> {
    fn owner() -> Self {
        Sender { client_id: "client", audience: industry(OWNER), key: None, digest: "d" }
    }

    fn submission<'s>(&'s self, merge_id: &'s str, bundle: &'s Value) -> Submission<'s> {
        Submission {
            merge_id,
            client_id: self.client_id,
            viewer: self.audience.viewer(),
            bundle,
            request_digest: self.digest,
            idempotency_key: self.key,
        }
    }

    async fn submit(
        &self,
        database: &Database,
        merge_id: &str,
        bundle: &Value,
        now: OffsetDateTime,
    ) -> Answer {
        let submission = self.submission(merge_id, bundle);
        merges::submit(database, &matrix(), &submission, &LIMITS, now).await.unwrap()
    }

    async fn enqueue(&self, database: &Database, merge_id: &str, bundle: &Value) -> Answer {
        merges::enqueue(database, &self.submission(merge_id, bundle), &LIMITS, NOW).await.unwrap()
    }
}

async fn work_off(database: &Database) -> Option<merges::WorkedOff> {
    merges::work_off_next(database, &matrix(), LIMITS.outcome_lifetime, LATER).await.unwrap()
}

async fn name(database: &Database) -> String {
    let stored = fhir_store::find(database, ID).await.unwrap().unwrap();
    stored.product.root["name"][0]["productName"].as_str().unwrap().to_owned()
}

fn rules(answer: &Answer) -> Vec<String> {
    match answer {
        Answer::Done(Outcome::Refused { rules, .. }) => rules.clone(),
        other => panic!("not refused: {other:?}"),
    }
}

fn versions(outcome: &Outcome) -> Vec<(String, i64)> {
    let Outcome::Applied { resources, .. } = outcome else { panic!("not applied: {outcome:?}") };
    resources.iter().map(|it| (it.key().unwrap().to_string(), it.version_id)).collect()
}

#[tokio::test]
async fn a_merge_makes_versions_index_rows_and_a_change() {
    for td in databases().await {
        let database = td.database();
        import(database, vec![Sample::new(ID, "Examplol").bundle()]).await;
        let before = fhir_store::find_head(database, ID).await.unwrap().unwrap();
        let feed = fhir_store::latest_change(database).await.unwrap();
        let kinds = ["MedicinalProductDefinition", "PackagedProductDefinition", "RegulatedAuthorization"];
        let bundle = sending(database, &kinds, |resource| {
            if resource["resourceType"] == "PackagedProductDefinition" {
                resource["containedItemQuantity"] = json!([{"value": 20}]);
            }
        })
        .await;
        let Answer::Done(outcome) = Sender::owner().submit(database, "m1", &bundle, LATER).await else {
            panic!("not done")
        };
        // The product is renewed with its pack; what says nothing new stays as it is.
        assert_eq!(
            versions(&outcome),
            [
                (format!("MedicinalProductDefinition/{ID}"), 2),
                (format!("PackagedProductDefinition/{ID}-ppd"), 2),
                (format!("RegulatedAuthorization/{ID}-ra"), 1),
            ]
        );
        let head = fhir_store::find_head(database, ID).await.unwrap().unwrap();
        assert_eq!((head.version_id, head.last_updated), (2, LATER));
        assert!(head.revision > before.revision);
        assert_eq!(head.owners, before.owners);
        let changes = fhir_store::changes_after(database, feed, 10).await.unwrap();
        assert_eq!(changes.len(), 1);
        let key = ResourceKey::new(ResourceType::MedicinalProductDefinition, ID);
        assert_eq!(fhir_store::versions(database, &key, None, None, 9).await.unwrap().len(), 2);

        // The old version does not do again, and nothing is left of the attempt.
        assert_eq!(rules(&Sender::owner().submit(database, "m2", &bundle, LATER).await), ["R1"]);
        assert_eq!(fhir_store::find_head(database, ID).await.unwrap().unwrap(), head);
    }
}

#[tokio::test]
async fn a_merge_changes_the_outline_for_those_who_see_what_it_changed() {
    let (before, after) = (fhir_store::instant_text(NOW), fhir_store::instant_text(LATER));
    for td in databases().await {
        let database = td.database();
        let sender = Sender { audience: qualified(OWNER), ..Sender::owner() };
        import(database, vec![bundle(&outlines::product("Package leaflet"))]).await;
        let next = sending(database, &["MedicinalProductDefinition", "ActivityDefinition"], |resource| {
            if resource["resourceType"] == "ActivityDefinition" {
                resource["code"] = json!({"text": "Printing"});
            }
        })
        .await;
        let Answer::Done(outcome) = sender.submit(database, "m1", &next, LATER).await else {
            panic!("not done")
        };
        assert!(versions(&outcome).contains(&(format!("ActivityDefinition/{ID}-act"), 2)), "{outcome:?}");
        let root = fhir_store::find_head(database, ID).await.unwrap().unwrap().version_id;
        // No time tells others of a change that they do not see.
        let public = if root == 1 { &before } else { &after };
        assert_eq!(outlines::seen_by(database, Column::Public).await, (true, public.clone()));
        assert_eq!(outlines::seen_by(database, Column::IndustryOwner).await, (true, after.clone()));
        assert_eq!(outlines::compare(database).await, 12);

        let renamed = sending(database, &ROOT, rename("Examplol forte")).await;
        sender.submit(database, "m2", &renamed, LATER).await;
        assert_eq!(fhir_store::find_head(database, ID).await.unwrap().unwrap().version_id, root + 1);
        assert_eq!(outlines::compare(database).await, 12);
        let verified = fhir_store::verify::verify(database, &matrix(), false, &mut |_, _| ()).await.unwrap();
        assert_eq!(verified.faults, []);
    }
}

#[tokio::test]
async fn a_key_is_answered_once_for_one_request_while_it_is_remembered() {
    for td in databases().await {
        let database = td.database();
        import(database, vec![Sample::new(ID, "Examplol").bundle()]).await;
        let bundle = sending(database, &ROOT, rename("One")).await;
        let sender = Sender { key: Some("k"), ..Sender::owner() };
        let first = sender.submit(database, "m1", &bundle, NOW).await;
        let again = sender.submit(database, "m2", &bundle, NOW + Duration::hours(23)).await;
        assert_eq!(first, again);
        assert_eq!(sender.enqueue(database, "m3", &bundle).await, first, "whatever way it comes");
        assert_eq!(fhir_store::find_head(database, ID).await.unwrap().unwrap().version_id, 2);

        let other_body = Sender { digest: "e", key: Some("k"), ..Sender::owner() };
        assert_eq!(other_body.submit(database, "m4", &bundle, NOW).await, Answer::KeyReused);
        assert_eq!(other_body.enqueue(database, "m5", &bundle).await, Answer::KeyReused);
        let other_client = Sender { client_id: "other", key: Some("k"), ..Sender::owner() };
        assert_eq!(
            rules(&other_client.submit(database, "m6", &bundle, NOW).await),
            ["R1"],
            "keys are the client's own"
        );
        // A refusal is remembered, too.
        let next = sending(database, &ROOT, rename("Two")).await;
        assert_eq!(rules(&other_client.submit(database, "m7", &next, NOW).await), ["R1"]);
        // After its time the key is free.
        let late = sender.submit(database, "m8", &next, NOW + Duration::hours(24)).await;
        assert_eq!(
            versions(match &late {
                Answer::Done(outcome) => outcome,
                other => panic!("{other:?}"),
            })[0]
                .1,
            3
        );
    }
}

#[tokio::test]
async fn what_waits_is_done_in_order_and_told_to_its_sender_alone() {
    for td in databases().await {
        let database = td.database();
        import(database, vec![Sample::new(ID, "Examplol").bundle()]).await;
        let sender = Sender::owner();
        let queued = |id: &str| Answer::Queued { merge_id: id.to_owned(), is_done: false };
        for (n, id) in ["a", "b", "c"].into_iter().enumerate() {
            // A client knows what the versions will be.
            let bundle = sending(database, &ROOT, |resource| {
                rename(id)(resource);
                resource["meta"]["versionId"] = (n + 1).to_string().into();
            })
            .await;
            let answer = if n == 1 {
                // One that could be answered at once does not overtake.
                sender.submit(database, id, &bundle, NOW).await
            } else {
                sender.enqueue(database, id, &bundle).await
            };
            assert_eq!(answer, queued(id));
        }
        let full = sending(database, &ROOT, rename("d")).await;
        assert_eq!(sender.enqueue(database, "d", &full).await, Answer::ClientQueueFull);
        let other = Sender { client_id: "other", ..Sender::owner() };
        assert_eq!(other.enqueue(database, "e", &full).await, queued("e"));
        assert_eq!(other.enqueue(database, "f", &full).await, Answer::QueueFull);
        assert_eq!(name(database).await, "Examplol");
        let status = merges::queue_status(database).await.unwrap();
        assert_eq!((status.length, status.oldest_accepted_at), (4, Some(NOW)));
        assert_eq!(merges::find(database, "client", "a", NOW).await.unwrap().unwrap().outcome, None);

        // Several instances at once: each merge is done once, in order.
        let workers = (0..3).map(|_| async {
            let mut done = Vec::new();
            while let Some(one) = work_off(database).await {
                done.push((one.merge_id, one.outcome.is_applied(), one.fault.is_none()));
            }
            done
        });
        let mut done: Vec<_> = futures_util::future::join_all(workers).await.concat();
        done.sort();
        let expected = [("a", true), ("b", true), ("c", true), ("e", false)];
        assert_eq!(done, expected.map(|(id, applied)| (id.to_owned(), applied, true)));
        assert_eq!(name(database).await, "c");
        assert_eq!(fhir_store::find_head(database, ID).await.unwrap().unwrap().version_id, 4);

        let asked = async |client: &str, id: &str, at| merges::find(database, client, id, at).await.unwrap();
        let told = asked("client", "b", LATER).await.unwrap();
        assert_eq!(told.product_id, ID);
        assert_eq!(versions(&told.outcome.unwrap())[0].1, 3);
        assert_eq!(asked("other", "b", LATER).await, None);
        assert_eq!(asked("client", "none", LATER).await, None);
        let end = LATER + Duration::days(90);
        assert!(asked("client", "b", end - Duration::seconds(1)).await.is_some());
        assert_eq!(asked("client", "b", end).await, None, "even before it is swept up");
        assert_eq!(merges::purge(database, end - Duration::seconds(1)).await.unwrap(), 0);
        assert_eq!(merges::purge(database, end).await.unwrap(), 4);
    }
}

#[tokio::test]
async fn a_queued_merge_is_answered_again_by_its_place() {
    for td in databases().await {
        let database = td.database();
        import(database, vec![Sample::new(ID, "Examplol").bundle()]).await;
        let bundle = sending(database, &ROOT, rename("One")).await;
        let sender = Sender { key: Some("k"), ..Sender::owner() };
        let first = sender.enqueue(database, "m1", &bundle).await;
        assert_eq!(sender.enqueue(database, "m2", &bundle).await, first);
        assert!(work_off(database).await.unwrap().outcome.is_applied());
        let done = Answer::Queued { merge_id: "m1".to_owned(), is_done: true };
        assert_eq!(sender.enqueue(database, "m3", &bundle).await, done);
        assert_eq!(sender.submit(database, "m4", &bundle, NOW).await, done);
        assert!(work_off(database).await.is_none());
        assert_eq!(name(database).await, "One");
    }
}

#[tokio::test]
async fn a_merge_whose_record_is_damaged_is_given_up_and_holds_up_nobody() {
    for td in databases().await {
        let database = td.database();
        import(database, vec![Sample::new(ID, "Examplol").bundle()]).await;
        let bundle = sending(database, &ROOT, rename("One")).await;
        let sender = Sender::owner();
        sender.enqueue(database, "m1", &bundle).await;
        sender.enqueue(database, "m2", &bundle).await;
        let mut work = database.begin().await.unwrap();
        database::on_db!(&mut work.db(), conn => sqlx::query("UPDATE merges SET body = '{' WHERE merge_id = 'm1'")
            .execute(conn).await.map(|_| ()))
        .unwrap();
        work.commit().await.unwrap();
        let given_up = work_off(database).await.unwrap();
        assert!(given_up.fault.is_some() && given_up.merge_id == "m1");
        assert!(matches!(given_up.outcome, Outcome::Refused { status: 500, .. }));
        assert!(work_off(database).await.unwrap().outcome.is_applied());
        let told = merges::find(database, "client", "m1", LATER).await.unwrap().unwrap();
        assert!(told.outcome.is_some(), "nobody waits for ever");
    }
}

#[tokio::test]
async fn whoever_may_not_write_learns_nothing() {
    for td in databases().await {
        let database = td.database();
        let pending = Sample::new("600000000002", "Pending").pending();
        import(database, vec![Sample::new(ID, "Examplol").bundle(), pending.bundle()]).await;
        let open = sending(database, &ROOT, rename("Stolen")).await;
        let about = |id: &str| serde_json::from_str::<Value>(&open.to_string().replace(ID, id)).unwrap();
        let stranger = Sender { audience: industry("ORG-100000099"), ..Sender::owner() };
        let told = async |bundle: Value, id: &str| {
            let now = stranger.submit(database, "m1", &bundle, NOW).await;
            assert_eq!(stranger.enqueue(database, "m2", &bundle).await, now);
            let checked =
                merges::check(database, &matrix(), stranger.audience.viewer(), &bundle).await.unwrap();
            assert_eq!(Answer::Done(Outcome::refused(&checked.unwrap_err())), now);
            format!("{now:?}").replace(id, "ID")
        };
        let absent = told(about("699999999999"), "699999999999").await;
        assert!(absent.contains("ownership"), "{absent}");
        assert_eq!(told(about(ID), ID).await, absent, "another's product that everybody sees");
        assert_eq!(told(about("600000000002"), "600000000002").await, absent, "a hidden product");
        assert_eq!(merges::queue_status(database).await.unwrap().length, 0);
        assert_eq!(name(database).await, "Examplol");
    }
}

/// A product with a manufacturing operation and a contact person.
fn manufactured(id: &str, holder: &str, person: &str) -> Value {
    let sample = Sample::new(id, "Manufactol").held_by(holder);
    let mut resources = sample.resources();
    resources[0]["operation"] = json!([{
        "type": {"reference": {"reference": format!("ActivityDefinition/{id}-act")}},
        "organization": [{"reference": format!("Organization/{holder}")}],
    }]);
    resources[0]["contact"] = json!([{"contact": {"reference": format!("PractitionerRole/{person}")}}]);
    resources.push(
        json!({"resourceType": "ActivityDefinition", "id": format!("{id}-act"), "status": "active",
        "code": {"text": "Batch release"},
        "participant": [{"typeReference": {"reference": format!("Organization/{holder}")}}]}),
    );
    resources.push(json!({"resourceType": "PractitionerRole", "id": person, "active": true}));
    bundle(&resources)
}

#[tokio::test]
async fn nothing_of_another_owner_is_drawn_in() {
    for td in databases().await {
        let database = td.database();
        let (other, both) = ("600000000002", "600000000003");
        let report = import(
            database,
            vec![
                manufactured(ID, OWNER, "mine"),
                manufactured(other, "ORG-100000099", "theirs"),
                manufactured(both, OWNER, "mine-too"),
            ],
        )
        .await;
        assert_eq!(report.refused, []);
        let sender = Sender { audience: qualified(OWNER), ..Sender::owner() };
        let with = async |path: &str, link: &str| {
            sending(database, &ROOT, |root| *root.pointer_mut(path).unwrap() = link.into()).await
        };
        let contact = "/contact/0/contact/reference";
        for (path, link, refused) in [
            (contact, "PractitionerRole/theirs", true),
            (contact, "PractitionerRole/none", true),
            (contact, "PractitionerRole/mine-too", false),
            ("/operation/0/type/reference/reference", "ActivityDefinition/600000000002-act", true),
            ("/operation/0/type/reference/reference", "ActivityDefinition/600000000003-act", true),
            ("/operation/0/organization/0/reference", "Organization/none", true),
            ("/operation/0/organization/0/reference", "Organization/ORG-100000099", false),
        ] {
            let bundle = with(path, link).await;
            let checked =
                merges::check(database, &matrix(), sender.audience.viewer(), &bundle).await.unwrap();
            assert_eq!(checked.is_err(), refused, "{link}: {checked:?}");
        }
        // The agency knows everybody's persons.
        let bundle = with(contact, "PractitionerRole/theirs").await;
        assert!(merges::check(database, &matrix(), agency().viewer(), &bundle).await.unwrap().is_ok());
    }
}

#[tokio::test]
async fn a_new_resource_gets_an_id_that_nobody_has_or_waits_for() {
    for td in databases().await {
        let database = td.database();
        // Another product refers to an activity that is not there yet: it must not come to have ours.
        let mut waiting = Sample::new("600000000002", "Waitol").held_by("ORG-100000099").resources();
        waiting[0]["operation"] =
            json!([{"type": {"reference": {"reference": "ActivityDefinition/600070000001"}}}]);
        import(database, vec![manufactured(ID, OWNER, "mine"), bundle(&waiting)]).await;
        let temporary = "urn:uuid:5f0c2c6e-0000-4000-8000-000000000001";
        let mut bundle = sending(database, &ROOT, |root| {
            let new = json!({"type": {"reference": {"reference": temporary}}, "organization": [{"reference": format!("Organization/{OWNER}")}]});
            root["operation"].as_array_mut().unwrap().push(new);
        })
        .await;
        bundle["entry"].as_array_mut().unwrap().push(json!({
            "fullUrl": temporary,
            "request": {"method": "POST", "url": "ActivityDefinition"},
            "resource": {"resourceType": "ActivityDefinition", "status": "active", "code": {"text": "Packaging"},
                "participant": [{"typeReference": {"reference": format!("Organization/{OWNER}")}}]},
        }));
        let sender = Sender { audience: qualified(OWNER), ..Sender::owner() };
        let Answer::Done(outcome) = sender.submit(database, "m1", &bundle, LATER).await else {
            panic!("not done")
        };
        assert_eq!(versions(&outcome)[1], ("ActivityDefinition/600070000002".to_owned(), 1));
        let stored = fhir_store::find(database, ID).await.unwrap().unwrap();
        let link = &stored.product.root["operation"][1]["type"]["reference"]["reference"];
        assert_eq!(link, "ActivityDefinition/600070000002");
        let key = ResourceKey::new(ResourceType::ActivityDefinition, "600070000002");
        assert!(stored.product.find(&key).is_some());
    }
}
