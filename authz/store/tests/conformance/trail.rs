//! The audit trail: what is kept, and that it is one chain whoever writes.

use authz_domain::{Act, Actor, AuditEvent, ChainBroken, ChainKey, ChainWalk};
use authz_store::{audit_events, audit_events::AuditQuery, organisations};
use database::{Database, Db, on_db};
use time::Duration;

use crate::{NOW, on_each, organisation, work};

fn key() -> ChainKey {
    ChainKey::new(&[3; 32])
}

fn event(act: Act, subject: &str, details: Vec<(&'static str, String)>) -> AuditEvent {
    AuditEvent {
        at: NOW,
        actor: Actor::Account("a-1".to_owned()),
        origin: Some("192.0.2.7".parse().unwrap()),
        act,
        subject: subject.to_owned(),
        details,
    }
}

/// Walks the whole chain.
async fn walk(db: &mut Db<'_>) -> Result<i64, ChainBroken> {
    let key = key();
    let mut walk = ChainWalk::new(&key);
    for one in audit_events::after(db, 0, 1000).await.unwrap() {
        walk.take(&one.record, &one.link)?;
    }
    walk.finish(&audit_events::head(db).await.unwrap())
}

async fn tamper(database: &Database, sql: &'static str) {
    let mut work = work(database).await;
    on_db!(&mut work.db(), conn => sqlx::query(sql).execute(conn).await.map(|_| ())).unwrap();
    work.commit().await.unwrap();
}

#[tokio::test]
async fn a_record_says_who_did_what_from_where_and_can_be_looked_up() {
    on_each(|database| async move {
        let mut work = work(&database).await;
        let mut db = work.db();
        organisations::upsert(&mut db, &organisation("ORG-100000001", &[]), NOW).await.unwrap();
        let details =
            vec![("organisation", "ORG-100000001".to_owned()), ("reason", "a \"good\" one".to_owned())];
        let one = event(Act::ClientCreated, "c-1", details);
        assert_eq!(audit_events::append(&mut db, &key(), &one).await.unwrap(), 1);
        let two = AuditEvent {
            actor: Actor::Operator,
            origin: None,
            at: NOW + Duration::HOUR,
            ..event(Act::ClockMoved, "", vec![])
        };
        assert_eq!(audit_events::append(&mut db, &key(), &two).await.unwrap(), 2);
        work.commit().await.unwrap();
        let mut reader = database.read().await.unwrap();
        let mut db = reader.db();
        let read = audit_events::after(&mut db, 0, 10).await.unwrap();
        let first = &read[0].record;
        assert_eq!((first.actor_kind.as_str(), first.actor_id.as_deref()), ("account", Some("a-1")));
        assert_eq!(
            (first.act.as_str(), first.at, first.origin.as_deref()),
            ("client.created", NOW, Some("192.0.2.7"))
        );
        assert_eq!(
            (first.client.as_deref(), first.organisation.as_deref()),
            (Some("c-1"), Some("ORG-100000001"))
        );
        assert_eq!(read[0].detail("reason"), "a \"good\" one");
        assert_eq!(audit_events::after(&mut db, 1, 10).await.unwrap().len(), 1);
        for (query, found) in [
            (AuditQuery::default(), vec![2, 1]),
            (AuditQuery { actor: "operator", ..AuditQuery::default() }, vec![2]),
            (AuditQuery { actor: "a-1", ..AuditQuery::default() }, vec![1]),
            (AuditQuery { act: "clock.moved", ..AuditQuery::default() }, vec![2]),
            (AuditQuery { organisation: "ORG-100000001", ..AuditQuery::default() }, vec![1]),
            (AuditQuery { client: "c-1", ..AuditQuery::default() }, vec![1]),
            (AuditQuery { from: Some(NOW + Duration::SECOND), ..AuditQuery::default() }, vec![2]),
            (AuditQuery { until: Some(NOW + Duration::SECOND), ..AuditQuery::default() }, vec![1]),
        ] {
            let page = audit_events::page(&mut db, &query, None, 10).await.unwrap();
            assert_eq!(page.iter().map(|one| one.record.number).collect::<Vec<_>>(), found, "{query:?}");
        }
        let page = audit_events::page(&mut db, &AuditQuery::default(), Some(2), 10).await.unwrap();
        assert_eq!(page.iter().map(|one| one.record.number).collect::<Vec<_>>(), [1]);
        assert_eq!(walk(&mut db).await, Ok(2));
    })
    .await;
}

#[tokio::test]
async fn many_writers_make_one_chain_without_gaps() {
    on_each(|database| async move {
        let write = |n: usize| {
            let database = database.clone();
            async move {
                // As some units of work do: without taking the lock first.
                let mut work = database.begin().await.unwrap();
                let event = event(Act::SignedIn, &format!("a-{n}"), vec![]);
                audit_events::append(&mut work.db(), &key(), &event).await.unwrap();
                if n.is_multiple_of(3) {
                    work.rollback().await.unwrap();
                } else {
                    work.commit().await.unwrap();
                }
            }
        };
        let all: Vec<_> = (0..24).map(|n| tokio::spawn(write(n))).collect();
        for one in all {
            one.await.unwrap();
        }
        let mut reader = database.read().await.unwrap();
        assert_eq!(walk(&mut reader.db()).await, Ok(16));
    })
    .await;
}

#[tokio::test]
async fn what_was_done_to_the_table_is_found_with_its_place() {
    let tampering = [
        ("UPDATE audit_events SET details = '{}' WHERE number = 3", ChainBroken::Changed { number: 3 }),
        (
            "UPDATE audit_events SET happened_at = happened_at + 1 WHERE number = 1",
            ChainBroken::Changed { number: 1 },
        ),
        ("DELETE FROM audit_events WHERE number = 2", ChainBroken::Missing { missing: 2, found: 3 }),
        ("DELETE FROM audit_events WHERE number > 3", ChainBroken::CutOff { found: 3, expected: 5 }),
        (
            "UPDATE audit_events SET number = CASE number WHEN 2 THEN -3 ELSE -2 END WHERE number IN (2, 3)",
            ChainBroken::Missing { missing: 2, found: 4 },
        ),
        ("UPDATE audit_head SET number = 4", ChainBroken::HeadChanged { number: 4 }),
    ];
    for (sql, broken) in tampering {
        on_each(|database| {
            let broken = broken.clone();
            async move {
                let mut work = work(&database).await;
                for n in 0..5 {
                    let event = event(Act::SignedIn, "a-1", vec![("how", n.to_string())]);
                    audit_events::append(&mut work.db(), &key(), &event).await.unwrap();
                }
                work.commit().await.unwrap();
                assert_eq!(walk(&mut database.read().await.unwrap().db()).await, Ok(5));
                tamper(&database, sql).await;
                assert_eq!(walk(&mut database.read().await.unwrap().db()).await, Err(broken), "{sql}");
            }
        })
        .await;
    }
}

#[tokio::test]
async fn a_record_that_nobody_appended_is_not_read_and_an_emptied_end_is_not_begun_anew() {
    on_each(|database| async move {
        let append = || async {
            let mut work = work(&database).await;
            let next = event(Act::SignedIn, "a-1", vec![]);
            let number = audit_events::append(&mut work.db(), &key(), &next).await?;
            work.commit().await.map(|()| number)
        };
        assert_eq!((append().await.unwrap(), append().await.unwrap()), (1, 2));
        tamper(
            &database,
            "INSERT INTO audit_events (seq, number, happened_at, actor_kind, act, subject, details, link)
             VALUES (-1, 3, 6, 'system', 'client.revoked', 'c-1', '{}', 'x')",
        )
        .await;
        let ends = || async { audit_events::ends(&mut database.read().await.unwrap().db()).await.unwrap() };
        let (head, last) = ends().await;
        assert_eq!((head.number, last), (2, 3));
        let mut reader = database.read().await.unwrap();
        let read = audit_events::after(&mut reader.db(), 0, 10).await.unwrap();
        let page = audit_events::page(&mut reader.db(), &AuditQuery::default(), None, 10).await.unwrap();
        assert_eq!((read.len(), page.len()), (2, 2));
        drop(reader);
        assert!(append().await.is_err(), "its place is taken");
        tamper(&database, "DELETE FROM audit_events WHERE seq = -1").await;
        tamper(&database, "UPDATE audit_head SET number = 0, link = '', seal = ''").await;
        assert!(append().await.is_err(), "records would be passed off as the first");
        tamper(&database, "DELETE FROM audit_head").await;
        assert!(append().await.is_err());
        assert_eq!(ends().await.1, 2);
    })
    .await;
}
