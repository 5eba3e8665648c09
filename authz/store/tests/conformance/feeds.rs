//! What others follow: changes and revocations.

use access_token::RevocationSubject;
use authz_store::{
    changes::{self, Change},
    revocations,
};
use time::Duration;

use crate::{NOW, on_each, work};

#[tokio::test]
async fn changes_are_read_after_a_number() {
    on_each(|database| async move {
        let all = [
            Change::Client("c-1".to_owned()),
            Change::Organisations,
            Change::SigningKeys,
            Change::Everything,
        ];
        let mut work = work(&database).await;
        for change in &all {
            changes::append(&mut work.db(), change, NOW).await.unwrap();
        }
        work.commit().await.unwrap();
        let mut reader = database.read().await.unwrap();
        assert_eq!(changes::latest(&mut reader.db()).await.unwrap(), 4);
        assert_eq!(changes::after(&mut reader.db(), 0).await.unwrap(), all);
        assert_eq!(changes::after(&mut reader.db(), 3).await.unwrap(), all[3..]);
        drop(reader);
        let mut work = crate::work(&database).await;
        changes::forget_before(&mut work.db(), NOW + Duration::SECOND).await.unwrap();
        assert_eq!(changes::after(&mut work.db(), 0).await.unwrap(), []);
        assert_eq!(changes::latest(&mut work.db()).await.unwrap(), 4);
    })
    .await;
}

#[tokio::test]
async fn the_last_word_about_a_subject_is_the_one_that_is_told() {
    on_each(|database| async move {
        let mut work = work(&database).await;
        let mut db = work.db();
        let (client, token) =
            (RevocationSubject::Client("c-1".to_owned()), RevocationSubject::Token("t-1".to_owned()));
        let now = NOW.unix_timestamp();
        let first = revocations::append(&mut db, &client, now + 60, true, NOW).await.unwrap();
        revocations::append(&mut db, &token, now + 10, true, NOW).await.unwrap();
        let lifted = revocations::append(&mut db, &client, now + 60, false, NOW).await.unwrap();
        let told = revocations::after(&mut db, 0, NOW).await.unwrap();
        assert_eq!(
            told.iter().map(|r| (&r.subject, r.revoked)).collect::<Vec<_>>(),
            [(&token, true), (&client, false)]
        );
        assert!(told.iter().all(|told| told.at == database::micros(NOW)));
        assert!(first < lifted);
        let later = NOW + Duration::seconds(10);
        assert_eq!(revocations::after(&mut db, 0, later).await.unwrap().len(), 1);
        assert_eq!(revocations::after(&mut db, lifted, NOW).await.unwrap(), []);
        revocations::forget_dead(&mut db, later).await.unwrap();
        assert_eq!(revocations::after(&mut db, 0, NOW).await.unwrap().len(), 1);
        let secret = RevocationSubject::Secret("s-1".to_owned());
        revocations::append(&mut db, &secret, now + 60, true, NOW).await.unwrap();
        assert_eq!(revocations::after(&mut db, lifted, NOW).await.unwrap()[0].subject, secret);
    })
    .await;
}

#[tokio::test]
async fn concurrent_changes_get_distinct_numbers_in_the_order_of_commits() {
    on_each(|database| async move {
        let append = |n: usize| {
            let database = database.clone();
            async move {
                let mut work = authz_store::begin(&database).await.unwrap();
                changes::append(&mut work.db(), &Change::Client(format!("c-{n}")), NOW).await.unwrap();
                work.commit().await.unwrap();
            }
        };
        let all: Vec<_> = (0..12).map(|n| tokio::spawn(append(n))).collect();
        for one in all {
            one.await.unwrap();
        }
        let mut reader = database.read().await.unwrap();
        assert_eq!(changes::after(&mut reader.db(), 0).await.unwrap().len(), 12);
        assert_eq!(changes::latest(&mut reader.db()).await.unwrap(), 12);
    })
    .await;
}
