//! Limits that several gateways share in a real Valkey or Redis server, and what happens without it.

use std::{
    net::{Ipv4Addr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    time::Duration,
};

use gateway::{
    RateLimitSettings, SharedStoreSettings,
    caller::Caller,
    rate_limit::{Exceeded, RateLimits},
    routes::Routes,
    testing::{rules, settings},
};

use crate::house::{NOW, claims, eventually};

/// A server with nothing in it, gone with the test.
struct Server {
    port: u16,
    process: Child,
}

impl Server {
    /// None, and a line that says so, where no server is installed and not everything must be tested.
    #[expect(clippy::print_stderr, reason = "a test that cannot run says so")]
    fn start() -> Option<Self> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        match Self::on(port) {
            Ok(server) => Some(server),
            Err(error) => {
                assert!(std::env::var_os("PMSGATE_TEST_COMPLETE").is_none(), "redis-server: {error}");
                eprintln!("not tested, no redis-server here: {error}");
                None
            }
        }
    }

    fn on(port: u16) -> std::io::Result<Self> {
        let mut server = Command::new("redis-server");
        server.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
        server.args(["--dir", "/", "--logfile", ""]).stdout(Stdio::null());
        let server = Self { port, process: server.spawn()? };
        let began = std::time::Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            assert!(began.elapsed() < Duration::from_secs(10), "the server listens within 10 s");
            std::thread::yield_now();
        }
        Ok(server)
    }

    fn gateway(&self, burst: u32, per_day: Option<u64>) -> RateLimits {
        let url = format!("redis://127.0.0.1:{}", self.port);
        let shared = Some(SharedStoreSettings { url, timeout: Duration::from_secs(2) });
        RateLimits::new(&RateLimitSettings { rules: rules(burst, per_day), shared }).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

async fn ask(gateway: &RateLimits, client: &str) -> Result<(), (Exceeded, u32)> {
    let routes = Routes::compile(&settings("http://127.0.0.1:9")).unwrap();
    let caller = Caller::new(claims(|claims| claims.client_id = client.into()), String::new());
    let admitted = gateway.admit(&caller, &routes.products()[0], NOW).await;
    admitted.map(drop).map_err(|refused| (refused.exceeded, refused.retry_after))
}

#[tokio::test]
async fn two_gateways_admit_together_what_one_would() {
    let Some(server) = Server::start() else { return };
    let gateways = [server.gateway(10, None), server.gateway(10, None)];
    let mut admitted = 0;
    for turn in 0..30 {
        match ask(&gateways[turn % 2], "client").await {
            Ok(()) => admitted += 1,
            Err((exceeded, seconds)) => {
                assert_eq!(exceeded, Exceeded::Rate);
                assert!((1..=6).contains(&seconds), "{seconds}");
            }
        }
    }
    // One more where the test took six seconds.
    assert!((10..=11).contains(&admitted), "{admitted}");
    assert!(ask(&gateways[0], "another").await.is_ok());
}

#[tokio::test]
async fn a_days_quota_is_shared_and_many_at_once_do_not_overdraw_it() {
    let Some(server) = Server::start() else { return };
    let gateways = [server.gateway(1000, Some(20)), server.gateway(1000, Some(20))];
    let asked = (0..60).map(|turn| ask(&gateways[turn % 2], "client"));
    let answers = futures_util::future::join_all(asked).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 20);
    assert!(answers.iter().filter_map(|answer| answer.err()).all(|(exceeded, _)| exceeded == Exceeded::Day));
}

#[tokio::test]
async fn without_the_server_a_gateway_limits_by_itself_and_returns_to_it() {
    let Some(mut server) = Server::start() else { return };
    let gateway = server.gateway(3, None);
    for _ in 0..3 {
        assert!(ask(&gateway, "client").await.is_ok());
    }
    assert!(ask(&gateway, "client").await.is_err());
    server.process.kill().unwrap();
    server.process.wait().unwrap();
    // A budget of its own, as strict as the shared one.
    eventually("the gateway notices", || async { ask(&gateway, "client").await.is_ok() }).await;
    let mut alone = 1;
    while ask(&gateway, "client").await.is_ok() {
        alone += 1;
    }
    assert!(alone <= 3, "{alone}");
    // The server is back, empty: the budget there is whole.
    let server = Server::on(server.port).unwrap();
    eventually("the gateway asks the server again", || async { ask(&gateway, "client").await.is_ok() }).await;
    drop(server);
}

#[tokio::test]
async fn a_gateway_that_nobody_calls_knows_whether_the_server_answers() {
    let Some(mut server) = Server::start() else { return };
    let gateway = server.gateway(3, None);
    assert_eq!(gateway.look().await, Some(true));
    server.process.kill().unwrap();
    server.process.wait().unwrap();
    eventually("it is missed", || async { gateway.look().await == Some(false) }).await;
    let server = Server::on(server.port).unwrap();
    eventually("it is found again", || async { gateway.look().await == Some(true) }).await;
    drop(server);
    let alone = RateLimits::new(&RateLimitSettings { rules: rules(3, None), shared: None }).unwrap();
    assert_eq!(alone.look().await, None);
}
