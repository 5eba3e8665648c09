//! Four gateways follow one authorization server: what is revoked there is refused by all of them within a second, also
//! when the connection of the feed breaks in between.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use harness::{ApiClient, Program};
use http::StatusCode;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

const GATEWAYS: usize = 4;
const CLIENTS: usize = 12;
const PRODUCT: &str = "/pms/api/v3/MedicinalProductDefinition/600000900001";

/// The contract's promise, for 99 of a hundred. There are fewer here, so it is for all.
const IN_FORCE: Duration = Duration::from_secs(1);

/// Passes bytes on to `target`, and can cut all connections.
struct Wire {
    port: u16,
    connections: Arc<Mutex<JoinSet<()>>>,
}

impl Wire {
    async fn to(target: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let connections = Arc::new(Mutex::new(JoinSet::new()));
        let kept = Arc::clone(&connections);
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                kept.lock().unwrap().spawn(async move {
                    if let Ok(mut far) = TcpStream::connect(("127.0.0.1", target)).await {
                        // Ends with an error when either side does: so does the connection.
                        let _ = copy_bidirectional(&mut near, &mut far).await;
                    }
                });
            }
        });
        Self { port, connections }
    }

    /// Every connection ends here and now; new ones are taken again.
    fn cut(&self) {
        self.connections.lock().unwrap().abort_all();
    }
}

/// A `pmsgate serve gateway` process that follows `issuer`, which it reaches over `wire`.
async fn gateway(issuer: &Program, wire: &Wire) -> Program {
    let authz_url = format!("https://localhost:{}", wire.port);
    let settings =
        [("PMSGATE__GATEWAY__AUTHZ_URL", authz_url.as_str()), ("PMSGATE__GATEWAY__FEED_LOSS", "closed")];
    Program::serve_part("gateway", Some(issuer), &settings).await
}

/// Whether a token passes; what lies behind the gateway does not matter here.
async fn admits(gateway: &ApiClient, token: &str) -> bool {
    gateway.get(PRODUCT, token).await.status != StatusCode::UNAUTHORIZED
}

#[tokio::test]
async fn four_gateways_refuse_what_was_revoked_within_a_second_though_the_feed_breaks() {
    let program = Program::serve().await;
    let port = program.ready.base_url.rsplit_once(':').unwrap().1.parse().unwrap();
    let wire = Wire::to(port).await;
    let mut gateways = Vec::new();
    for _ in 0..GATEWAYS {
        gateways.push(gateway(&program, &wire).await);
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
    let (median, last) = (delays[delays.len() / 2], delays[delays.len() - 1]);
    assert!(last < IN_FORCE, "median {median:?}, longest {last:?}");
}
