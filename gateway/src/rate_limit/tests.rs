//! Budgets under an advancing clock.

use std::{net::IpAddr, time::Duration};

use access_token::AccessTokenClaims;
use config::RequestLimit;
use http::HeaderMap;
use pms_terms::{Domains, Stakeholder};
use proptest::prelude::*;
use time::{OffsetDateTime, macros::datetime};

use super::{Admission, Exceeded, RateLimits, Refused};
use crate::{
    caller::Caller,
    routes::Routes,
    settings::{RateLimitRules, RateLimitSettings},
    testing,
};

const NOON: OffsetDateTime = datetime!(2026-06-12 12:00 UTC);

fn limits(rules: RateLimitRules) -> RateLimits {
    RateLimits::new(&RateLimitSettings { rules, shared: None }).unwrap()
}

fn caller(client: &str, role: &str) -> Caller {
    let claims = AccessTokenClaims {
        iss: String::new(),
        sub: client.into(),
        aud: String::new(),
        exp: 0,
        nbf: 0,
        iat: 0,
        jti: String::new(),
        client_id: client.into(),
        azp: client.into(),
        scope: String::new(),
        roles: vec![role.into()],
        org_id: None,
        stakeholder: Stakeholder::Public,
        qualified: false,
        domains: Domains::NONE,
        tid: String::new(),
        ver: String::new(),
        secret_id: String::new(),
        cnf: None,
    };
    Caller::new(claims, String::new())
}

async fn ask(limits: &RateLimits, client: &str, now: OffsetDateTime) -> Result<Admission, Refused> {
    ask_as(limits, &caller(client, "Public.PMS.API"), "public-v1", now).await
}

async fn ask_as(
    limits: &RateLimits,
    caller: &Caller,
    product: &str,
    now: OffsetDateTime,
) -> Result<Admission, Refused> {
    let routes = Routes::compile(&testing::settings("http://127.0.0.1:9")).unwrap();
    let product = routes.products().iter().find(|one| one.id == product).unwrap();
    limits.admit(caller, product, now).await
}

fn field(admission: &Admission, name: &str) -> String {
    let mut headers = HeaderMap::new();
    admission.tell(&mut headers);
    headers[name].to_str().unwrap().to_owned()
}

#[tokio::test(start_paused = true)]
async fn a_burst_is_admitted_then_the_sustained_rate() {
    // 6 at once, 6 a minute: one in ten seconds.
    let limits = limits(testing::rules(6, None));
    for left in (0..6).rev() {
        let admission = ask(&limits, "a", NOON).await.unwrap();
        assert_eq!(field(&admission, "ratelimit-policy"), "\"rate\";q=6;w=60");
        assert_eq!(field(&admission, "ratelimit"), format!("\"rate\";r={left};t={}", (6 - left) * 10));
    }
    let refused = ask(&limits, "a", NOON).await.unwrap_err();
    assert_eq!((refused.exceeded, refused.retry_after), (Exceeded::Rate, 10));
    assert!(ask(&limits, "b", NOON).await.is_ok(), "another client has its own budget");
    tokio::time::advance(Duration::from_millis(9_900)).await;
    assert_eq!(ask(&limits, "a", NOON).await.unwrap_err().retry_after, 1, "rounded up");
    tokio::time::advance(Duration::from_millis(100)).await;
    assert!(ask(&limits, "a", NOON).await.is_ok());
    assert!(ask(&limits, "a", NOON).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_day_has_its_quota_and_refusals_do_not_count() {
    let limits = limits(testing::rules(3, Some(4)));
    for _ in 0..3 {
        ask(&limits, "a", NOON).await.unwrap();
    }
    for _ in 0..20 {
        assert_eq!(ask(&limits, "a", NOON).await.unwrap_err().exceeded, Exceeded::Rate);
    }
    tokio::time::advance(Duration::from_secs(60)).await;
    let admission = ask(&limits, "a", NOON).await.unwrap();
    assert_eq!(field(&admission, "ratelimit"), "\"rate\";r=2;t=20, \"day\";r=0;t=43200");
    assert_eq!(field(&admission, "ratelimit-policy"), "\"rate\";q=3;w=60, \"day\";q=4;w=86400");
    let refused = ask(&limits, "a", NOON).await.unwrap_err();
    assert_eq!((refused.exceeded, refused.retry_after), (Exceeded::Day, 43_200));
    assert!(ask(&limits, "a", NOON + time::Duration::hours(12)).await.is_ok(), "another day");
}

#[tokio::test(start_paused = true)]
async fn the_first_row_that_fits_decides() {
    let mut rules = testing::rules(5, None);
    let row = |product: Option<&str>, role: Option<&str>, burst: u32| RequestLimit {
        product: product.map(Into::into),
        role: role.map(Into::into),
        burst: burst.try_into().unwrap(),
        ..rules.limits.rows[0].clone()
    };
    let rows = [row(Some("public-v1"), None, 1), row(None, Some("pms-nca-api"), 2)];
    rules.limits.rows.splice(0..0, rows);
    rules.token_roles.insert("pms-nca-api".into(), "PMS.NCA.API".into());
    let limits = limits(rules);
    for (client, role, product, burst) in [
        ("p", "Public.PMS.API", "public-v1", 1),
        ("n", "PMS.NCA.API", "pms-read-v3", 2),
        ("i", "PMS.Industry.API", "pms-read-v3", 5),
    ] {
        let caller = caller(client, role);
        for _ in 0..burst {
            assert!(ask_as(&limits, &caller, product, NOON).await.is_ok(), "{client}");
        }
        assert!(ask_as(&limits, &caller, product, NOON).await.is_err(), "{client}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_reload_keeps_what_was_used_up_where_nothing_changed() {
    let limits = limits(testing::rules(2, None));
    for _ in 0..2 {
        ask(&limits, "a", NOON).await.unwrap();
    }
    let same = limits.following(&testing::rules(2, None));
    assert_eq!(limits.changes_to(&same), Vec::<String>::new());
    assert!(ask(&same, "a", NOON).await.is_err());
    let others = same.following(&testing::rules(3, None));
    let changes = limits.changes_to(&others);
    assert_eq!(changes, ["- limit */*/2/2/0", "+ limit */*/3/3/0", "~ limit address: 2/2 became 3/3"]);
    assert!(ask(&others, "a", NOON).await.is_ok());
    assert!(ask(&limits, "a", NOON).await.is_err(), "who began under the old ones ends under them");
}

#[tokio::test(start_paused = true)]
async fn an_address_that_fails_too_often_waits_and_its_neighbours_do_not() {
    let limits = limits(testing::rules(3, None));
    let address: IpAddr = "192.0.2.1".parse().unwrap();
    for _ in 0..3 {
        assert!(limits.may_try(address).is_ok());
        limits.failed(address);
    }
    let refused = limits.may_try(address).unwrap_err();
    assert_eq!((refused.exceeded, refused.retry_after), (Exceeded::Address, 20));
    assert!(limits.may_try("192.0.2.2".parse().unwrap()).is_ok());
    assert!(
        limits.may_try("::ffff:192.0.2.1".parse().unwrap()).is_err(),
        "the same address in other clothes"
    );
    tokio::time::advance(Duration::from_secs(20)).await;
    assert!(limits.may_try(address).is_ok());

    let six: IpAddr = "2001:db8::1".parse().unwrap();
    for _ in 0..3 {
        limits.failed(six);
    }
    assert!(limits.may_try("2001:db8::2".parse().unwrap()).is_err(), "one network of 64 bits");
    assert!(limits.may_try("2001:db8:0:1::1".parse().unwrap()).is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Over any time, no client gets more than its burst and what was refilled meanwhile, and never more than its day.
    #[test]
    fn nobody_gets_more_than_burst_and_refill(
        burst in 1u32..20,
        quota in prop::option::of(1u64..60),
        pauses in prop::collection::vec(0u64..4_000, 1..120),
    ) {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let limits = limits(testing::rules(burst, quota));
            let (mut elapsed, mut admitted) = (0, 0u64);
            for pause in pauses {
                tokio::time::advance(Duration::from_millis(pause)).await;
                elapsed += pause;
                let now = NOON + Duration::from_millis(elapsed);
                let before = admitted;
                match ask(&limits, "a", now).await {
                    Ok(_) => admitted += 1,
                    Err(refused) if refused.exceeded == Exceeded::Day => prop_assert_eq!(Some(before), quota),
                    Err(_) => prop_assert!(admitted > 0),
                }
                let refilled = elapsed * u64::from(burst) / 60_000 + 1;
                prop_assert!(admitted <= u64::from(burst) + refilled);
                prop_assert!(quota.is_none_or(|quota| admitted <= quota));
            }
            Ok(())
        })?;
    }
}
