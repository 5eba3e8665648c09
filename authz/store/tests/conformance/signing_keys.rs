//! Signing keys.

use access_token::Algorithm;
use authz_domain::SigningKeyLife;
use authz_store::signing_keys::{self, StoredSigningKey};
use time::Duration;

use crate::{NOW, on_each, work};

#[tokio::test]
async fn keys_come_in_the_order_in_which_they_sign() {
    on_each(|database| async move {
        let mut work = work(&database).await;
        let mut db = work.db();
        let key = |kid: &str, after: Duration| StoredSigningKey {
            life: SigningKeyLife {
                kid: kid.to_owned(),
                algorithm: Algorithm::Es256,
                created_at: NOW,
                not_before: NOW + after,
                not_after: None,
            },
            sealed: format!("sealed {kid}"),
        };
        signing_keys::insert(&mut db, &key("b", Duration::days(90))).await.unwrap();
        signing_keys::insert(&mut db, &key("a", Duration::ZERO)).await.unwrap();
        signing_keys::set_not_after(&mut db, "a", NOW + Duration::days(1)).await.unwrap();
        signing_keys::set_not_before(&mut db, "b", NOW + Duration::days(1)).await.unwrap();
        let found = signing_keys::list(&mut db).await.unwrap();
        assert_eq!(found.iter().map(|key| key.life.kid.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(found[0].life.not_after, Some(NOW + Duration::days(1)));
        assert_eq!(found[1].life.not_before, NOW + Duration::days(1));
        assert_eq!(found[1].sealed, "sealed b");
        signing_keys::delete(&mut db, "a").await.unwrap();
        assert_eq!(signing_keys::list(&mut db).await.unwrap().len(), 1);
    })
    .await;
}
