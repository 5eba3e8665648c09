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
use time::{OffsetDateTime, macros::datetime};
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

/// Tokens that are seen for the first time while it counts.
const REMEMBERED: usize = 2000;
/// Bytes of each of them that stay.
const ROOM: usize = 1400;

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

/// A gateway with one worker, and what signs tokens for it.
struct House {
    key: SigningKey,
    address: SocketAddr,
    stop: CancellationToken,
}

const NOW: OffsetDateTime = datetime!(2026-06-12 12:00 UTC);

impl House {
    async fn start() -> Self {
        // The second test of a process finds it installed.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let key = SigningKey::generate(Algorithm::Es256).unwrap();
        let keys = serde_json::to_string(&JwkSet { keys: vec![key.public_jwk().clone()] }).unwrap();
        let answer = |media: &str, body: &str| {
            let length = body.len();
            let head =
                format!("HTTP/1.1 200 OK\r\ncontent-type: {media}\r\ncontent-length: {length}\r\n\r\n");
            &*Box::leak((head + body).into_bytes().into_boxed_slice())
        };
        let issuer = answering(answer("application/json", &keys));
        let product = r#"{"resourceType":"MedicinalProductDefinition","id":"600000000001"}"#;
        let upstream = answering(answer("application/fhir+json", product));
        let mut settings = testing::settings(&format!("http://{upstream}"));
        settings.jwks_url = format!("http://{issuer}/oauth2/jwks");
        settings.token_cache_capacity = 10_000;
        let context_key = ContextKey::new(&Zeroizing::new([7; 32]));
        let gateway = Gateway::new(settings, context_key, Clock::manual(NOW)).unwrap();
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
        Self { key, address, stop }
    }

    /// A read with a token of its own, as the authorization server would issue it.
    fn request(&self, number: usize) -> Vec<u8> {
        let mut claims = testing::claims();
        let second = NOW.unix_timestamp();
        (claims.nbf, claims.iat, claims.exp) = (second, second, second + 3600);
        claims.iss = "https://gate.example:8443".into();
        claims.aud = "api://pmsgate/pms".into();
        claims.org_id = "ORG-100000001".parse().ok();
        claims.client_id = format!("00000000-0000-4000-8000-{number:012}");
        (claims.sub, claims.azp) = (claims.client_id.clone(), claims.client_id.clone());
        claims.secret_id = format!("00000000-0000-4000-8001-{number:012}");
        claims.jti = format!("00000000-0000-4000-8002-{number:012}");
        claims.tid = "00000000-0000-4000-8003-000000000000".into();
        claims.scope =
            ["MedicinalProductDefinition", "Ingredient", "PackagedProductDefinition", "Organization"]
                .map(|kind| format!("system/{kind}.rs"))
                .join(" ");
        let token = self.key.sign(&claims).unwrap();
        format!(
            "GET /pms/api/v3/MedicinalProductDefinition/600000000001 HTTP/1.1\r\nhost: gate.example\r\n\
             accept: application/fhir+json\r\nauthorization: Bearer {token}\r\n\r\n"
        )
        .into_bytes()
    }
}

#[tokio::test]
async fn a_read_with_a_known_token_allocates_seldom() {
    let turn = COUNTER.lock().await;
    let house = House::start().await;
    let request = house.request(0);
    // This thread's runtime rests meanwhile: nothing else allocates.
    read(house.address, &request, WARM_UP);
    let profile = std::env::var_os("PMSGATE_HEAP_PROFILE");
    let profiler = match &profile {
        Some(file) => dhat::Profiler::builder().file_name(file).trim_backtraces(Some(40)).build(),
        None => dhat::Profiler::builder().testing().build(),
    };
    read(house.address, &request, COUNTED);
    if profile.is_none() {
        let stats = dhat::HeapStats::get();
        let (blocks, bytes) = (stats.total_blocks / COUNTED, stats.total_bytes / COUNTED);
        println!("{blocks} allocations and {bytes} bytes a read");
        assert!(blocks <= BUDGET, "{blocks} allocations a read; the budget is {BUDGET}");
        assert!(blocks > 5, "{blocks} allocations a read: nothing was counted");
    }
    drop((profiler, turn));
    house.stop.cancel();
}

#[tokio::test]
async fn a_remembered_token_takes_little_room() {
    let turn = COUNTER.lock().await;
    let house = House::start().await;
    let requests: Vec<_> = (0..2 * REMEMBERED).map(|number| house.request(number)).collect();
    let (before, counted) = requests.split_at(REMEMBERED);
    let all = |requests: &[Vec<u8>]| requests.iter().for_each(|request| read(house.address, request, 1));
    // All places of tokens as they stand are taken then.
    all(before);
    let profiler = dhat::Profiler::builder().testing().build();
    all(counted);
    let grown = dhat::HeapStats::get().curr_bytes / counted.len();
    println!("{grown} bytes a token");
    assert!(grown <= ROOM, "{grown} bytes a token; the budget is {ROOM}");
    assert!(grown > 200, "{grown} bytes a token: nothing was counted");
    drop((profiler, turn));
    house.stop.cancel();
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
