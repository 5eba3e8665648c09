//! Several gateways follow one authorization server: what is revoked there is refused by all of them within a second, also
//! when the connection of the feed breaks in between; one that hears nothing refuses or serves, as it was told.

use std::time::{Duration, Instant};

use harness::{ApiClient, Program, Wire};
use http::StatusCode;

const GATEWAYS: usize = 4;
const CLIENTS: usize = 25;
const PRODUCT: &str = "/pms/api/v3/MedicinalProductDefinition/600000900001";

/// The contract's promise, for 99 of a hundred.
const IN_FORCE: Duration = Duration::from_secs(1);

/// A gateway that reaches the program over `wire`.
async fn gateway(program: &Program, wire: &Wire, settings: &[(&str, &str)]) -> Program {
    let authz_url = format!("https://localhost:{}", wire.port);
    let settings = [&[("PMSGATE__GATEWAY__AUTHZ_URL", authz_url.as_str())], settings].concat();
    Program::serve_part("gateway", Some(program), &settings).await
}

fn port(program: &Program) -> u16 {
    program.ready.base_url.rsplit_once(':').unwrap().1.parse().unwrap()
}

/// Whether a token passes; what lies behind the gateway does not matter here.
async fn admits(api: &ApiClient, token: &str) -> bool {
    api.get(PRODUCT, token).await.status != StatusCode::UNAUTHORIZED
}

#[tokio::test]
async fn four_gateways_refuse_what_was_revoked_within_a_second_though_the_feed_breaks() {
    let program = Program::serve().await;
    let wire = Wire::to(port(&program)).await;
    let mut gateways = Vec::new();
    for _ in 0..GATEWAYS {
        gateways.push(gateway(&program, &wire, &[("PMSGATE__GATEWAY__FEED_LOSS", "closed")]).await);
    }
    let apis: Vec<ApiClient> = gateways.iter().map(Program::api).collect();
    let mut delays = Vec::new();
    for number in 0..CLIENTS {
        let client = program.industry("ORG-100000001", &[]);
        let token = program.api().token(&client).await;
        for api in &apis {
            let waiting = async { while !admits(api, &token).await {} };
            tokio::time::timeout(Duration::from_secs(10), waiting).await.unwrap();
        }
        if number % 3 == 2 {
            wire.cut();
        }
        program.result(&["client", "suspend", &client.client_id]);
        let suspended = Instant::now();
        for api in &apis {
            while admits(api, &token).await {
                assert!(suspended.elapsed() < 10 * IN_FORCE, "a suspended client's token still passes");
            }
            delays.push(suspended.elapsed());
        }
    }
    delays.sort();
    let (median, p99) = (delays[delays.len() / 2], delays[delays.len() * 99 / 100 - 1]);
    assert!(p99 < IN_FORCE, "median {median:?}, 99th percentile {p99:?} of {}", delays.len());
}

/// How long a gateway hears nothing before it does what it was told for that case.
const BOUND: Duration = Duration::from_secs(1);

/// The alarm of `config/monitoring/prometheus-rules.yaml` looks at this.
const FRESH: &str = "pmsgate_gateway_revocation_fresh";

/// Asks until an answer is as it should be; a deadline keeps a broken promise from hanging the test.
async fn until(
    api: &ApiClient,
    token: &str,
    what: &str,
    right: impl Fn(&harness::Answer) -> bool,
) -> harness::Answer {
    let began = Instant::now();
    loop {
        let answer = api.get(PRODUCT, token).await;
        if right(&answer) {
            return answer;
        }
        assert!(
            began.elapsed() < Duration::from_secs(20),
            "{what}: still {} {}",
            answer.status,
            answer.text()
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_gateway_that_hears_nothing_refuses_or_serves_as_it_was_told_and_catches_up() {
    let program = Program::serve().await;
    let backend = Program::backend_beside(&program).await;
    let wire = Wire::to(port(&program)).await;
    let bound = format!("{}s", BOUND.as_secs());
    let settings = [
        ("PMSGATE__GATEWAY__FEED_TIMEOUT", bound.as_str()),
        ("PMSGATE__GATEWAY__BACKEND_URL", backend.ready.base_url.as_str()),
    ];
    let told = |feed_loss| [&[("PMSGATE__GATEWAY__FEED_LOSS", feed_loss)], &settings[..]].concat();
    let closed = gateway(&program, &wire, &told("closed")).await;
    let open = gateway(&program, &wire, &told("open")).await;
    let (refusing, serving) = (closed.api(), open.api());
    let (staying, leaving) = (program.industry("ORG-100000001", &[]), program.industry("ORG-100000001", &[]));
    let token = program.api().token(&staying).await;
    let revoked = program.api().token(&leaving).await;
    for (api, token) in [(&refusing, &token), (&serving, &token), (&refusing, &revoked), (&serving, &revoked)]
    {
        until(api, token, "all is well", |answer| answer.status == StatusCode::OK).await;
    }

    wire.fall_silent(true);
    let silent = Instant::now();
    program.result(&["client", "suspend", &leaving.client_id]);
    let is_stale = |answer: &harness::Answer| answer.status == StatusCode::SERVICE_UNAVAILABLE;
    let refusal = until(&refusing, &token, "closed: nobody is served", is_stale).await;
    // The feed gives a sign of life every half second: so long ago the last one may have been.
    assert!(silent.elapsed() > BOUND.saturating_sub(Duration::from_millis(600)), "{:?}", silent.elapsed());
    assert_eq!(refusal.json()["issue"][0]["details"]["coding"][0]["code"], "revocations-stale");
    assert_eq!(refusal.header("retry-after"), "1");
    for (gateway, refuses) in [(&closed, "true"), (&open, "false")] {
        let told = || async {
            gateway.figure(FRESH).await == Some(0.0) && gateway.log().contains("revocation feed broken")
        };
        let began = Instant::now();
        while !told().await {
            assert!(began.elapsed() < Duration::from_secs(20), "the alarm is not raised: {}", gateway.log());
        }
        let log = gateway.log();
        let line = log.lines().find(|line| line.contains("revocation feed broken")).unwrap();
        assert!(line.contains("WARN") && line.contains("refusing") && line.contains(refuses), "{line}");
    }
    for token in [&token, &revoked] {
        let answer = serving.get(PRODUCT, token).await;
        assert_eq!(answer.status, StatusCode::OK, "open: served by what is known");
    }

    wire.fall_silent(false);
    for (gateway, api) in [(&closed, &refusing), (&open, &serving)] {
        until(api, &revoked, "caught up", |answer| answer.status == StatusCode::UNAUTHORIZED).await;
        until(api, &token, "served again", |answer| answer.status == StatusCode::OK).await;
        assert_eq!(gateway.figure(FRESH).await, Some(1.0));
    }
}
