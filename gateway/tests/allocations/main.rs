//! How often a read of a known token allocates memory in the gateway, its listener and its connections: counted, and
//! held to a budget. And whether figures stay small that nobody asks for.
//!
//! A program of its own, because the allocator that counts is the whole program's. Upstream and caller are plain
//! threads that allocate nothing while it counts. With `PMSGATE_HEAP_PROFILE=FILE` it writes where the allocations
//! come from, for <https://nnethercote.github.io/dh_view/dh_view.html>.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use access_token::{Algorithm, JwkSet, SigningKey};
use caller_context::ContextKey;
use gateway::{Gateway, testing};
use http_service::{Clock, Health, ServeOptions, bind};
use time::macros::datetime;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

#[global_allocator]
static COUNTING: dhat::Alloc = dhat::Alloc;

/// Reads before the count: connections, caches and buffers are there then.
const WARM_UP: u64 = 300;
/// Reads that are counted.
const COUNTED: u64 = 500;
/// Allocations of one read, on average. Fewer is better: lower it then.
const BUDGET: u64 = 25;

/// Held by who counts: there is one count in a program.
static COUNTER: Mutex<()> = Mutex::const_new(());

/// Answers every request of every connection with the same bytes.
fn answering(answer: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            thread::spawn(move || {
                let mut buffer = [0; 16 * 1024];
                while matches!(stream.read(&mut buffer), Ok(1..)) {
                    stream.write_all(answer).unwrap();
                }
            });
        }
    });
    address
}

/// Sends the request so often, one after the other, on one connection.
fn read(address: SocketAddr, request: &[u8], times: u64) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    let mut buffer = [0; 16 * 1024];
    for _ in 0..times {
        stream.write_all(request).unwrap();
        let many = stream.read(&mut buffer).unwrap();
        let status = buffer.get(..15.min(many)).unwrap();
        assert_eq!(status, b"HTTP/1.1 200 OK", "{}", String::from_utf8_lossy(&buffer[..many]));
    }
}

#[tokio::test]
async fn a_read_with_a_known_token_allocates_seldom() {
    rustls::crypto::aws_lc_rs::default_provider().install_default().unwrap();
    let now = datetime!(2026-06-12 12:00 UTC);
    let key = SigningKey::generate(Algorithm::Es256).unwrap();
    let keys = serde_json::to_string(&JwkSet { keys: vec![key.public_jwk().clone()] }).unwrap();
    let answer = |media: &str, body: &str| {
        let head =
            format!("HTTP/1.1 200 OK\r\ncontent-type: {media}\r\ncontent-length: {}\r\n\r\n", body.len());
        &*Box::leak((head + body).into_bytes().into_boxed_slice())
    };
    let issuer = answering(answer("application/json", &keys));
    let product = r#"{"resourceType":"MedicinalProductDefinition","id":"600000000001"}"#;
    let upstream = answering(answer("application/fhir+json", product));

    let mut settings = testing::settings(&format!("http://{upstream}"));
    settings.jwks_url = format!("http://{issuer}/oauth2/jwks");
    let context_key = ContextKey::new(&Zeroizing::new([7; 32]));
    let gateway = Gateway::new(settings, context_key, Clock::manual(now)).unwrap();
    let (stop, health) = (CancellationToken::new(), Health::default());
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    tokio::spawn(Arc::clone(&gateway).run(client, health.register("gateway"), stop.clone()));
    let listening = bind(SocketAddr::from(([127, 0, 0, 1], 0)), 1).unwrap();
    let address = listening.address();
    listening.serve(&ServeOptions::plain("gateway"), move |_| gateway.worker(), &stop).unwrap();
    let started = Instant::now();
    while !health.troubles().is_empty() {
        assert!(started.elapsed() < Duration::from_secs(5), "{:?}", health.troubles());
        tokio::task::yield_now().await;
    }

    let claims = testing::caller(|claims| {
        let second = now.unix_timestamp();
        (claims.nbf, claims.iat, claims.exp) = (second, second, second + 3600);
        claims.iss = "https://gate.example:8443".to_owned();
        claims.aud = "api://pmsgate/pms".to_owned();
        claims.org_id = "ORG-100000001".parse().ok();
    });
    let token = key.sign(&claims.claims).unwrap();
    let request = format!(
        "GET /pms/api/v3/MedicinalProductDefinition/600000000001 HTTP/1.1\r\nhost: gate.example\r\n\
         accept: application/fhir+json\r\nauthorization: Bearer {token}\r\n\r\n"
    );
    // This thread's runtime rests meanwhile: nothing else allocates.
    read(address, request.as_bytes(), WARM_UP);
    let profile = std::env::var_os("PMSGATE_HEAP_PROFILE");
    let turn = COUNTER.lock().await;
    let profiler = match &profile {
        Some(file) => dhat::Profiler::builder().file_name(file).trim_backtraces(Some(40)).build(),
        None => dhat::Profiler::builder().testing().build(),
    };
    read(address, request.as_bytes(), COUNTED);
    if profile.is_none() {
        let stats = dhat::HeapStats::get();
        let (blocks, bytes) = (stats.total_blocks / COUNTED, stats.total_bytes / COUNTED);
        println!("{blocks} allocations and {bytes} bytes a read");
        assert!(blocks <= BUDGET, "{blocks} allocations a read; the budget is {BUDGET}");
        assert!(blocks > 5, "{blocks} allocations a read: nothing was counted");
    }
    drop((profiler, turn));
    stop.cancel();
}

#[tokio::test(start_paused = true)]
async fn durations_that_nobody_asks_for_take_no_room() {
    let stop = CancellationToken::new();
    let adding = tokio::spawn(http_service::install_metrics().add_up(stop.clone()));
    let durations = metrics::histogram!("pmsgate_durations_seconds");
    let _turn = COUNTER.lock().await;
    let _profiler = dhat::Profiler::builder().testing().build();
    let second = async || {
        for _ in 0..100_000 {
            durations.record(0.001);
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        dhat::HeapStats::get()
    };
    let before = second().await;
    for _ in 0..9 {
        second().await;
    }
    let after = second().await;
    assert!(after.total_bytes - before.total_bytes > 1_000_000, "nothing was kept, so nothing was shown");
    let grown = after.curr_bytes.saturating_sub(before.curr_bytes);
    assert!(grown < 1_000_000, "{grown} bytes more after a million durations");
    stop.cancel();
    adding.await.unwrap();
}
