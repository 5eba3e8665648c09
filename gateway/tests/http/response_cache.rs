//! The response cache: what it answers, what it leaves alone, and that it never answers what is not so any more.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{body::Body, response::Response};
use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt as _, stream};
use gateway::{GatewaySettings, ResponseCacheSettings};
use http::{HeaderValue, StatusCode, header};
use time::Duration as Span;
use tokio::sync::Semaphore;

use crate::house::{Answer, House, MERGE, READ, Received, SEARCH, eventually, fhir};

const OTHER: &str = "/pms/api/v3/MedicinalProductDefinition/600000000002";
const MAX_ENTRY: u64 = 4096;

type Answering = Box<dyn Fn(&Received) -> Response + Send + Sync>;

pub(crate) fn keeping(settings: &mut GatewaySettings) {
    let max_age = Duration::from_secs(60);
    settings.response_cache = Some(ResponseCacheSettings { bytes: 1 << 20, entry_bytes: MAX_ENTRY, max_age });
}

/// A house whose gateway keeps answers, and an upstream that numbers its answers.
async fn house() -> House {
    house_with(|_| {}).await
}

async fn house_with(change: impl FnOnce(&mut GatewaySettings)) -> House {
    let house = House::start_with(|settings| {
        keeping(settings);
        change(settings);
    })
    .await;
    number_answers(&house);
    house.upstream.data.begin();
    is_heard(&house).await;
    house
}

/// Each answer has another number.
pub(crate) fn number_answers(house: &House) {
    let count = AtomicUsize::new(0);
    house.upstream.answer(move |received| {
        let number = count.fetch_add(1, Ordering::SeqCst);
        let mut answer = numbered(number);
        if received.method == http::Method::HEAD {
            *answer.body_mut() = Body::empty();
        }
        answer
    });
}

fn numbered(number: usize) -> Response {
    let mut answer = fhir(StatusCode::OK, format!("{{\"resourceType\":\"Basic\",\"id\":\"{number}\"}}"));
    let headers = answer.headers_mut();
    headers.insert(header::ETAG, HeaderValue::try_from(format!("W/\"{number}.x\"")).unwrap());
    headers.insert(header::LAST_MODIFIED, HeaderValue::from_static("Fri, 12 Jun 2026 10:00:00 GMT"));
    headers.insert(caller_context::CHANGED_HEADER, HeaderValue::from_static("1781262000"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    answer
}

/// The gateway hears the feed of changes: it keeps what it is asked for twice.
pub(crate) async fn is_heard(house: &House) {
    let tries = AtomicUsize::new(0);
    eventually("an answer is kept", || async {
        // Limits are not what is tried here.
        let number = tries.fetch_add(1, Ordering::SeqCst);
        let token = house.token_with(|claims| claims.client_id = format!("early-{number}"));
        let answer = house.ask("/pms/api/v3/MedicinalProductDefinition/early", &token).await;
        answer.header("cache-status") == "pmsgate; fwd=miss; stored"
    })
    .await;
}

/// What the gateway knows of changes is what the upstream knows.
pub(crate) async fn is_up_to_date(house: &House, before: &Answer) {
    let token = house.token();
    eventually("the change is heard", || async { house.ask(READ, &token).await.text != before.text }).await;
}

#[tokio::test]
async fn the_second_one_who_asks_is_answered_from_here() {
    let house = house().await;
    let asked = house.upstream.count();
    let first = house.ask(READ, &house.token()).await;
    assert_eq!(first.header("cache-status"), "pmsgate; fwd=miss; stored");
    house.clock.advance(Span::seconds(7));
    let other = house.token_with(|claims| {
        claims.client_id = "client-2".into();
        claims.jti = "token-2".into();
    });
    let second = house.ask(READ, &other).await;
    assert_eq!((second.header("cache-status"), second.header("age")), ("pmsgate; hit; ttl=53", "7"));
    assert_eq!((second.status, &second.text), (first.status, &first.text));
    for name in ["content-type", "etag", "last-modified", "cache-control", "vary", "content-length"] {
        assert_eq!(second.header(name), first.header(name), "{name}");
    }
    assert_eq!(house.upstream.count(), asked + 1);
    for answer in [first, second] {
        assert_eq!(answer.headers.get(caller_context::STATE_HEADER), None);
        assert_eq!(answer.headers.get(caller_context::CHANGED_HEADER), None);
    }
    house.clock.advance(Span::seconds(54));
    assert_eq!(house.ask(READ, &house.token()).await.header("age"), "", "not for ever");
}

#[tokio::test]
async fn a_kept_answer_counts_against_the_caller_s_limit() {
    let house = house_with(|settings| settings.rate_limits.rules = gateway::testing::rules(5, None)).await;
    let token = house.token_with(|claims| claims.client_id = "client-2".into());
    let mut hits = 0;
    for _ in 0..5 {
        hits += usize::from(house.ask(READ, &token).await.header("cache-status").contains("hit"));
    }
    let sixth = house.ask(READ, &token).await;
    assert_eq!((hits, sixth.status), (4, StatusCode::TOO_MANY_REQUESTS));
    assert_eq!(sixth.header("cache-status"), "");
}

#[tokio::test]
async fn nothing_is_kept_unless_wished_for() {
    let house = House::start().await;
    number_answers(&house);
    house.upstream.data.begin();
    for _ in 0..3 {
        assert_eq!(house.ask(READ, &house.token()).await.header("cache-status"), "");
    }
    assert_eq!(house.upstream.count(), 3);
}

#[tokio::test]
async fn a_merge_is_seen_at_once_here_and_within_a_second_at_another_gateway() {
    let house = house().await;
    let there = house.another(|_| {}).await;
    is_heard(&there).await;
    let token = house.token();
    for _ in 0..5 {
        let here = house.ask(READ, &token).await;
        assert_eq!(there.ask(READ, &token).await.status, StatusCode::OK);
        let before = there.ask(READ, &token).await;
        assert!(before.header("cache-status").contains("hit"));
        // The feed says nothing of it: the answer to the merge does.
        let upstream = Arc::downgrade(&house.upstream);
        house.upstream.answer(move |_| {
            upstream.upgrade().unwrap().data.change();
            fhir(StatusCode::OK, r#"{"resourceType":"Bundle","type":"transaction-response"}"#)
        });
        let merged = house.client.post(house.url(MERGE)).bearer_auth(&token).body("{}").send().await.unwrap();
        assert_eq!(merged.status(), StatusCode::OK);
        assert!(!merged.headers().contains_key("cache-status"));
        let number = house.upstream.count();
        house.upstream.answer(move |_| numbered(number));
        assert_ne!(house.ask(READ, &token).await.text, here.text);
        let began = std::time::Instant::now();
        is_up_to_date(&there, &before).await;
        assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    }
}

#[tokio::test]
async fn of_many_that_ask_at_once_one_asks_the_upstream() {
    let house = house().await;
    let asked = house.upstream.count();
    let gate = Arc::new(Semaphore::new(0));
    let held = Arc::clone(&gate);
    house.upstream.answer(move |_| gated(&held, "{}", "{}"));
    let token = house.token();
    let all = futures_util::future::join_all((0..20).map(|_| house.ask(SEARCH, &token)));
    let release = async {
        eventually("one asks", || async { house.upstream.count() > asked }).await;
        // The others have come as far as they can when a request behind them has been refused.
        for _ in 0..20 {
            assert_eq!(house.ask("/nowhere", &token).await.status, StatusCode::NOT_FOUND);
        }
        gate.add_permits(1000);
    };
    let (answers, ()) = tokio::join!(all, release);
    assert_eq!(house.upstream.count(), asked + 1);
    let count = |how: &str| answers.iter().filter(|one| one.header("cache-status").starts_with(how)).count();
    assert_eq!(count("pmsgate; fwd=miss; stored"), 1);
    assert_eq!(count("pmsgate; fwd=miss; collapsed") + count("pmsgate; hit"), 19);
}

/// An answer whose body comes in two parts, the second when the gate is open.
fn gated(gate: &Arc<Semaphore>, first: &'static str, second: &'static str) -> Response {
    let gate = Arc::clone(gate);
    let rest = async move {
        gate.acquire().await.unwrap().forget();
        Ok::<_, std::io::Error>(Bytes::from_static(second.as_bytes()))
    };
    let body = stream::iter([Ok(Bytes::from_static(first.as_bytes()))]).chain(rest.into_stream());
    let mut answer = fhir(StatusCode::OK, "");
    answer.headers_mut().remove(header::CONTENT_LENGTH);
    *answer.body_mut() = Body::from_stream(body);
    answer
}

#[tokio::test]
async fn who_asks_after_a_change_is_not_answered_with_what_was_fetched_before_it() {
    let house = house().await;
    let token = house.token();
    let (gate, data) = (Arc::new(Semaphore::new(0)), &house.upstream.data);
    let held = Arc::clone(&gate);
    house.upstream.answer(move |_| gated(&held, "{\"old\":", "true}"));
    let asked = house.upstream.count();
    let old = house.ask(READ, &token);
    let new = async {
        eventually("one asks", || async { house.upstream.count() > asked }).await;
        house.upstream.answer(|_| fhir(StatusCode::OK, "{}"));
        data.change();
        // By the answer to another question the gateway knows of the change.
        house.ask(OTHER, &token).await;
        let later = house.ask(READ, &token);
        let open = async {
            for _ in 0..20 {
                house.ask("/nowhere", &token).await;
            }
            gate.add_permits(1);
        };
        tokio::join!(later, open).0
    };
    let (old, new) = tokio::join!(old, new);
    assert_eq!((old.text.as_str(), new.text.as_str()), ("{\"old\":true}", "{}"));
    assert_eq!(house.ask(READ, &token).await.text, "{}", "and it was not kept");
}

#[tokio::test]
async fn what_changes_while_it_is_fetched_is_not_kept() {
    let house = house().await;
    let upstream = Arc::downgrade(&house.upstream);
    house.upstream.answer(move |_| {
        upstream.upgrade().unwrap().data.change();
        fhir(StatusCode::OK, "{}")
    });
    for _ in 0..3 {
        // Each is followed by a change that the feed may tell of before or after it is put away.
        let answer = house.ask(READ, &house.token()).await;
        assert!(!answer.header("cache-status").contains("hit"), "{:?}", answer.headers);
    }
}

#[tokio::test]
async fn only_whole_good_answers_that_may_be_kept_are() {
    let house = house().await;
    let token = house.token();
    let cut = || {
        let mut answer = fhir(StatusCode::OK, "");
        let half = stream::iter([Ok(Bytes::from_static(b"{\"half\":"))]);
        // Later, so that the half is sent.
        let end = async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            Err(std::io::Error::other("broken"))
        };
        answer.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(100));
        *answer.body_mut() = Body::from_stream(half.chain(end.into_stream()));
        answer
    };
    let never = || {
        let mut answer = fhir(StatusCode::OK, "{}");
        answer.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        answer
    };
    let large = |announced: bool| {
        let text = format!("{{\"a\":\"{}\"}}", "x".repeat(usize::try_from(MAX_ENTRY).unwrap()));
        let mut answer = fhir(StatusCode::OK, text.clone());
        if !announced {
            answer.headers_mut().remove(header::CONTENT_LENGTH);
            let chunks: Vec<_> = text
                .as_bytes()
                .chunks(500)
                .map(|chunk| Ok::<_, std::io::Error>(Bytes::copy_from_slice(chunk)))
                .collect();
            *answer.body_mut() = Body::from_stream(stream::iter(chunks));
        }
        answer
    };
    let kinds: [(&str, Answering); 6] = [
        ("absent", Box::new(|_| fhir(StatusCode::NOT_FOUND, "{}"))),
        ("failed", Box::new(|_| fhir(StatusCode::INTERNAL_SERVER_ERROR, "{}"))),
        ("cut", Box::new(move |_| cut())),
        ("never", Box::new(move |_| never())),
        ("large", Box::new(move |_| large(true))),
        ("long", Box::new(move |_| large(false))),
    ];
    for (kind, answering) in kinds {
        house.upstream.answer(answering);
        let path = format!("/pms/api/v3/MedicinalProductDefinition/{kind}");
        let asked = house.upstream.count();
        for _ in 0..2 {
            let answer = house.get(&path, &token).send().await.unwrap();
            let how = answer.headers().get("cache-status").map(HeaderValue::as_bytes);
            if kind == "cut" {
                // Its head is not sent yet, so it can be said.
                assert_eq!((answer.status(), how), (StatusCode::BAD_GATEWAY, None));
                continue;
            }
            assert_eq!(how, Some(&b"pmsgate; fwd=miss"[..]), "{kind}: {answer:?}");
            let whole = usize::try_from(MAX_ENTRY).unwrap() + 8;
            assert!(!kind.starts_with('l') || answer.bytes().await.unwrap().len() == whole, "{kind}");
        }
        assert_eq!(house.upstream.count(), asked + 2, "{kind}");
    }
    house.upstream.answer(|_| fhir(StatusCode::OK, "{}"));
    house.upstream.data.tell(false);
    for _ in 0..2 {
        let answer = house.ask(OTHER, &token).await;
        assert_eq!(answer.header("cache-status"), "pmsgate; fwd=miss", "an upstream that says nothing of it");
    }
}

#[tokio::test]
async fn conditions_are_judged_here() {
    let house = house().await;
    let token = house.token();
    let first = house.ask(READ, &token).await;
    let asked = house.upstream.count();
    let conditional = async |name: &str, value: &str| {
        Answer::of(house.get(READ, &token).header(name, value).send().await.unwrap()).await
    };
    let (tag, stored) = (first.header("etag").to_owned(), "Fri, 12 Jun 2026 11:00:00 GMT");
    for (name, value) in
        [("if-none-match", tag.as_str()), ("if-none-match", "*"), ("if-modified-since", stored)]
    {
        let known = conditional(name, value).await;
        assert_eq!((known.status, known.text.as_str()), (StatusCode::NOT_MODIFIED, ""), "{name}: {value}");
        assert_eq!((known.header("etag"), known.header("content-type")), (tag.as_str(), ""));
        assert!(known.header("cache-status").contains("hit"));
    }
    for (name, value) in [
        ("if-none-match", "\"other\""),
        // When it was stored is told; what it shows changed later.
        ("if-modified-since", first.header("last-modified")),
        ("if-match", tag.as_str()),
    ] {
        let whole = conditional(name, value).await;
        assert_eq!((whole.status, &whole.text), (StatusCode::OK, &first.text), "{name}: {value}");
    }
    assert_eq!(house.upstream.count(), asked);
    // The refusal is the upstream's to write.
    let other = conditional("if-match", "\"other\"").await;
    assert_eq!((other.header("cache-status"), house.upstream.count()), ("pmsgate; fwd=request", asked + 1));
    let head = Answer::of(house.client.head(house.url(READ)).bearer_auth(&token).send().await.unwrap()).await;
    assert_eq!(
        (head.header("content-length"), head.text.as_str()),
        (first.text.len().to_string().as_str(), "")
    );
    assert!(head.header("cache-status").contains("hit"));
}

#[tokio::test]
async fn a_caller_may_want_its_answer_fresh() {
    let house = house_with(|settings| settings.sandbox = true).await;
    let token = house.token();
    house.ask(READ, &token).await;
    house.clock.advance(Span::seconds(10));
    for (name, value, how) in [
        ("cache-control", "no-cache", "pmsgate; fwd=bypass"),
        ("cache-control", "no-store", "pmsgate; fwd=bypass"),
        ("cache-control", "max-age=5", "pmsgate; fwd=stale"),
        ("cache-control", "max-age=30", "pmsgate; hit; ttl=50"),
        ("x-sandbox-fault", "truncate", "pmsgate; fwd=bypass"),
        ("x-sandbox-fault", "slow=1s", "pmsgate; fwd=bypass"),
    ] {
        let answer = Answer::of(house.get(READ, &token).header(name, value).send().await.unwrap()).await;
        assert_eq!(answer.header("cache-status"), how, "{name}: {value}");
    }
    assert_eq!(house.ask(READ, &token).await.header("cache-status"), "pmsgate; hit; ttl=50");
}

#[tokio::test]
async fn a_header_that_is_kept_from_the_upstream_poisons_nothing() {
    let house = house().await;
    let token = house.token();
    house.upstream.answer(|received| {
        let accept =
            received.headers.get("accept").map_or("none", |accept| accept.to_str().unwrap()).to_owned();
        fhir(StatusCode::OK, format!("\"{accept}\""))
    });
    let asked = |hidden: bool| {
        let connection = if hidden { "close, Accept" } else { "close" };
        format!(
            "GET {READ} HTTP/1.1\r\nHost: gate.example\r\nAuthorization: Bearer {token}\r\nAccept: application/fhir+xml\r\n\
             Connection: {connection}\r\n\r\n"
        )
    };
    assert!(house.raw(&asked(true)).await.ends_with("\"none\""));
    assert!(house.raw(&asked(false)).await.ends_with("\"application/fhir+xml\""));
}

#[tokio::test]
async fn while_no_changes_are_heard_every_answer_comes_from_the_upstream() {
    let house = house().await;
    let (token, data) = (house.token(), &house.upstream.data);
    let kept = house.ask(READ, &token).await;
    data.be_deaf(true);
    eventually("nothing is believed", || async {
        house.ask(READ, &token).await.header("cache-status") == "pmsgate; fwd=bypass"
    })
    .await;
    assert_ne!(house.ask(READ, &token).await.text, kept.text);
    data.be_deaf(false);
    eventually("what was kept is good again, as nothing changed", || async {
        house.ask(READ, &token).await.text == kept.text
    })
    .await;
    // Something changes while nobody hears it.
    data.be_deaf(true);
    eventually("nothing is believed", || async {
        house.ask(READ, &token).await.header("cache-status") == "pmsgate; fwd=bypass"
    })
    .await;
    data.tell(false);
    data.change();
    data.be_deaf(false);
    eventually("the feed is heard", || async {
        house.ask(READ, &token).await.header("cache-status") != "pmsgate; fwd=bypass"
    })
    .await;
    assert_ne!(house.ask(READ, &token).await.text, kept.text);
}

#[tokio::test]
async fn an_upstream_that_begins_anew_has_said_nothing_yet() {
    let house = house().await;
    let token = house.token();
    let kept = house.ask(READ, &token).await;
    assert_eq!(house.ask(READ, &token).await.text, kept.text);
    // Another policy over the same data; or other data, whose changes are numbered anew.
    for change in [1, 0] {
        house.upstream.data.restart(change);
        is_up_to_date(&house, &kept).await;
        eventually("answers are kept again", || async {
            house.ask(READ, &token).await.header("cache-status").contains("hit")
        })
        .await;
    }
}

#[tokio::test]
async fn other_routes_begin_with_nothing_kept() {
    let house = house().await;
    let token = house.token();
    let kept = house.ask(READ, &token).await;
    house.gateway.reload(house.settings.clone()).unwrap();
    assert_ne!(house.ask(READ, &token).await.text, kept.text);
}
