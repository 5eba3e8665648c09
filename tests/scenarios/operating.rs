//! What operators do to a running server: SIGHUP takes routes and limits anew, SIGTERM cuts nothing off.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use harness::{Program, Ready, Store, checkout, data_folder_command};
use http::StatusCode;
use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};

const IN_FLIGHT: usize = 1000;
const READ: &str = "/pms/api/v3/MedicinalProductDefinition/600000900001";
const READ_ROUTE: &str = "route pms-read-v3 EP303 GET /pms/api/v3/MedicinalProductDefinition/{id}";
const BODY: &str = "{\"resourceType\":\"MedicinalProductDefinition\"}";

/// A backend that keeps every request waiting until it is told to answer.
struct SlowBackend {
    port: u16,
    asked: Arc<AtomicUsize>,
    answer: watch::Sender<bool>,
}

impl SlowBackend {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (asked, answer) = (Arc::new(AtomicUsize::new(0)), watch::Sender::new(false));
        let (counted, answering) = (Arc::clone(&asked), answer.subscribe());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(converse(stream, Arc::clone(&counted), answering.clone()));
            }
        });
        Self { port, asked, answer }
    }

    async fn is_asked(&self, times: usize) {
        eventually("the requests are in flight", || self.asked.load(Ordering::SeqCst) == times).await;
    }
}

/// Answers requests of one connection, each in two pieces with a breath between them.
async fn converse(mut stream: TcpStream, asked: Arc<AtomicUsize>, mut answering: watch::Receiver<bool>) {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while stream.read_exact(&mut byte).await.is_ok() {
        head.push(byte[0]);
        if head.ends_with(b"\r\n\r\n") {
            head.clear();
            asked.fetch_add(1, Ordering::SeqCst);
            // Err: the test is over.
            let _ = answering.wait_for(|answer| *answer).await;
            let (first, second) = BODY.split_at(10);
            let start = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/fhir+json\r\ncontent-length: {}\r\n\r\n{first}",
                BODY.len()
            );
            for piece in [start.as_str(), second] {
                if stream.write_all(piece.as_bytes()).await.is_err() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }
}

/// Data files of a house, to be changed while it runs.
struct DataFolder {
    folder: TempDir,
    products: String,
}

impl DataFolder {
    fn new() -> Self {
        let products = std::fs::read_to_string(checkout().join("config/products.toml")).unwrap();
        let this = Self { folder: tempfile::tempdir().unwrap(), products };
        this.write_products(&this.products);
        this.write_limits(100_000);
        this
    }

    /// So many requests at once and for each minute, for everybody.
    fn write_limits(&self, burst: u32) {
        let budget = format!("burst = {burst}\nper_minute = {burst}\n");
        std::fs::write(self.path("limits.toml"), format!("[address]\n{budget}\n[[limit]]\n{budget}"))
            .unwrap();
    }

    /// The products without the route to read one.
    fn without_read(&self) -> String {
        let (before, after) = self.products.split_once("[[product.operation]]\nep = \"EP303\"").unwrap();
        format!("{before}{}", &after[after.find("[[product.operation]]").unwrap()..])
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write_products(&self, text: &str) {
        std::fs::write(self.path("products.toml"), text).unwrap();
    }

    /// The first product at another backend.
    fn lead_to(&self, backend: &SlowBackend) {
        let place = "base_path = \"/pms/api/v3\"\n";
        assert!(self.products.contains(place));
        let upstreams = format!("{place}upstreams = [\"http://127.0.0.1:{}\"]\n", backend.port);
        self.write_products(&self.products.replacen(place, &upstreams, 1));
    }

    async fn serve(&self, more: &[(&str, &str)]) -> Program {
        let (products, limits) = (self.path("products.toml"), self.path("limits.toml"));
        let mut settings = vec![
            ("PMSGATE__DATA__PRODUCTS", products.to_str().unwrap()),
            ("PMSGATE__DATA__LIMITS", limits.to_str().unwrap()),
        ];
        settings.extend(more);
        Program::serve_with(Store::Sqlite, &settings).await
    }
}

pub(crate) async fn eventually(what: &str, mut check: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !check() {
        assert!(Instant::now() < deadline, "not within a minute: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

pub(crate) fn signal(name: &str, pid: u32) {
    assert!(Command::new("kill").args([name, &pid.to_string()]).status().unwrap().success());
}

#[tokio::test]
async fn a_hang_up_takes_routes_anew_and_refuses_nonsense() {
    let data = DataFolder::new();
    let program = data.serve(&[]).await;
    let api = program.api();
    let token = api.token(&program.industry("ORG-100000001", &["--qualified"])).await;
    assert_eq!(api.get(READ, &token).await.status, StatusCode::OK);
    let said = |what: &str| program.log().contains(what);

    data.write_products(&data.without_read());
    signal("-HUP", program.pid());
    eventually("the log tells the change", || said(&format!("- {READ_ROUTE}"))).await;
    eventually("the log tells that it is in force", || said("read again and in force")).await;
    assert_eq!(api.get(READ, &token).await.status, StatusCode::NOT_FOUND);

    data.write_products(&data.products.replace("system/MedicinalProductDefinition.r", "everything"));
    signal("-HUP", program.pid());
    eventually("the log tells the refusal", || said("refused: nothing changed")).await;
    assert!(said("scope \"everything\""), "{}", program.log());
    assert_eq!(api.get(READ, &token).await.status, StatusCode::NOT_FOUND);

    data.write_products(&data.products);
    signal("-HUP", program.pid());
    eventually("the log tells what came back", || said(&format!("+ {READ_ROUTE}"))).await;
    eventually("the log tells that it is in force", || said("changes=1")).await;
    assert_eq!(api.get(READ, &token).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_hang_up_takes_routes_and_limits_together_or_neither() {
    let data = DataFolder::new();
    let program = data.serve(&[]).await;
    let api = program.api();
    let token = api.token(&program.industry("ORG-100000001", &[])).await;
    let in_force = async || {
        let read = api.get(READ, &token).await.status;
        let search = api.get("/pms/api/v3/MedicinalProductDefinition?_count=1", &token).await;
        (read, search.header("ratelimit-policy").to_owned())
    };
    let before = (StatusCode::OK, "\"rate\";q=100000;w=60".to_owned());
    assert_eq!(in_force().await, before);
    let said = |what: &str| program.log().contains(what);

    data.write_products(&data.without_read());
    data.write_limits(0);
    signal("-HUP", program.pid());
    eventually("the log tells the refusal", || said("refused: nothing changed")).await;
    assert!(said("limits.toml"), "{}", program.log());
    assert_eq!(in_force().await, before, "the routes were fine");

    data.write_limits(50);
    signal("-HUP", program.pid());
    let gone = format!("- {READ_ROUTE}");
    for change in [&gone, "+ limit */*/50/50/0", "~ limit address: 100000/100000 became 50/50"] {
        eventually(change, || said(change)).await;
    }
    eventually("the log tells that it is in force", || said("changes=4")).await;
    assert_eq!(in_force().await, (StatusCode::NOT_FOUND, "\"rate\";q=50;w=60".to_owned()));
}

#[tokio::test]
async fn the_access_log_has_a_line_a_request_without_values_or_tokens() {
    let program = Program::serve_with(Store::Sqlite, &[("PMSGATE__TELEMETRY__ACCESS_LOG", "true")]).await;
    let api = program.api();
    let client = program.industry("ORG-100000001", &[]);
    let token = api.token(&client).await;
    api.get("/pms/api/v3/MedicinalProductDefinition?name=Quietol&_count=3", &token).await;
    api.get("/pms/api/v3/MedicinalProductDefinition?name=Quietol", "a.wrong.token").await;
    eventually("both are told", || program.log().matches("pms-read-v3 EP301").count() == 2).await;
    let log = program.log();
    let line = log.lines().find(|line| line.contains("pms-read-v3 EP301")).unwrap();
    for part in [
        "method=GET",
        "status=200",
        "path=\"/pms/api/v3/MedicinalProductDefinition\"",
        "micros=",
        "request_id=",
    ] {
        assert!(line.contains(part), "{part}: {line}");
    }
    assert!(line.contains(&client.client_id), "{line}");
    assert!(
        log.lines().any(|line| line.contains("status=401") && line.contains("refusal=\"token-malformed\"")),
        "{log}"
    );
    for secret in ["Quietol", token.as_str(), "a.wrong.token", client.client_secret.as_str()] {
        assert!(!log.contains(secret), "{secret} in {log}");
    }
}

#[tokio::test]
async fn who_read_what_is_kept_by_the_house_verified_and_written_out() {
    let mut program = Program::serve().await;
    let api = program.api();
    let owner = api.token(&program.industry("ORG-100000001", &["--qualified"])).await;
    let other = api.token(&program.public()).await;
    assert_eq!(api.get(READ, &owner).await.status, StatusCode::OK);
    assert_eq!(api.get(&format!("{READ}/$everything"), &owner).await.status, StatusCode::OK);
    let public = api.get("/public/v1/MedicinalProductDefinition/600000900001", &other).await;
    assert_eq!(public.status, StatusCode::OK);
    assert!(!public.headers.contains_key("x-pmsgate-disclosed"));
    assert_eq!(program.terminate().await, Some(0));

    let verified = program.result(&["audit", "verify", "--trail", "reads"]);
    assert_eq!((verified[0]["sound"].as_i64(), &verified[0]["broken"]), (Some(3), &Value::Null));
    let export = |form: &str| {
        let output = data_folder_command(&program.data_dir(), &[])
            .args(["audit", "export", "--trail", "reads", "--format", form])
            .output();
        String::from_utf8(output.unwrap().stdout).unwrap()
    };
    let lines: Vec<Value> =
        export("ndjson").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let withheld = |at: usize| lines[at]["read"]["withheld"].as_u64().unwrap();
    assert!(withheld(0) < withheld(2), "the owner sees more than the public does: {lines:?}");
    assert!(withheld(2) > 0);
    assert!(lines[1]["read"]["resources"].as_u64().unwrap() > 1);
    assert_eq!(lines[0]["read"]["organisation"], "ORG-100000001");
    assert_eq!(lines[0]["read"]["products"][0], "600000900001");
    let bundle: Value = serde_json::from_str(&export("fhir")).unwrap();
    assert_eq!(bundle["entry"].as_array().unwrap().len(), 3);
    if let Some(shared) = harness::shared() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("reads.json"), bundle.to_string()).unwrap();
        assert_eq!(harness::check_fhir(&shared, "5.0.0", folder.path()), Vec::<String>::new());
    }

    let file = program.data_dir().join("reads/1/000001.ndjson");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replacen("ORG-100000001", "ORG-100000002", 1)).unwrap();
    let outcome = program.run(&["audit", "verify", "--trail", "reads"]);
    assert_eq!(outcome.code, Some(1));
    assert!(outcome.stderr.contains("record 1 was changed"), "{}", outcome.stderr);
    let doctor = program.run(&["doctor"]);
    assert!(doctor.stdout.contains("record 1 was changed"), "{}", doctor.stdout);
}

/// A part of the house in a process of its own. Killed when dropped.
struct Part {
    child: Child,
    folder: TempDir,
}

impl Drop for Part {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Part {
    async fn start(part: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (ready, log) = (folder.path().join("ready.json"), folder.path().join("log"));
        let child = data_folder_command(&folder.path().join("data"), &[])
            .args(["serve", part, "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--ready-file"])
            .arg(&ready)
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(log).unwrap())
            .spawn()
            .unwrap();
        eventually(part, || read_ready(&ready).is_some()).await;
        Self { child, folder }
    }
}

fn read_ready(file: &Path) -> Option<Ready> {
    serde_json::from_str(&std::fs::read_to_string(file).ok()?).ok()
}

#[tokio::test]
async fn a_part_without_a_gateway_outlives_a_hang_up() {
    for part in ["authz", "backend"] {
        let mut part = Part::start(part).await;
        signal("-HUP", part.child.id());
        let log = part.folder.path().join("log");
        eventually("the log tells of it", || std::fs::read_to_string(&log).unwrap().contains("SIGHUP")).await;
        assert!(part.child.try_wait().unwrap().is_none());
    }
}

fn http() -> reqwest::ClientBuilder {
    // A second installation is refused, which is fine: it is the same provider.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    reqwest::Client::builder().no_proxy()
}

/// A thousand requests are in flight over these clients, evenly, when the server is told to stop.
async fn drained(clients: Vec<reqwest::Client>) {
    let (data, backend) = (DataFolder::new(), SlowBackend::start().await);
    data.lead_to(&backend);
    let mut program = data.serve(&[("PMSGATE__LISTEN__TLS", "off")]).await;
    let token = program.api().token(&program.industry("ORG-100000001", &[])).await;
    let url = format!("{}{READ}", program.ready.base_url);
    let mut requests = JoinSet::new();
    for number in 0..IN_FLIGHT {
        let request = clients[number % clients.len()].get(&url).bearer_auth(&token);
        requests.spawn(async move {
            let answer = request.send().await.map_err(|error| format!("{error:?}"))?;
            let status = answer.status();
            Ok::<_, String>((status, answer.text().await.map_err(|error| format!("{error:?}"))?))
        });
    }
    backend.is_asked(IN_FLIGHT).await;

    signal("-TERM", program.pid());
    let address = program.ready.base_url.strip_prefix("http://localhost").unwrap();
    let address = format!("127.0.0.1{address}");
    let mut refused = false;
    let deadline = Instant::now() + Duration::from_secs(10);
    while !refused && Instant::now() < deadline {
        refused = TcpStream::connect(&address).await.is_err();
    }
    assert!(refused, "nobody new is let in");
    assert!(requests.try_join_next().is_none(), "nothing has ended yet");
    backend.answer.send_replace(true);
    let mut answered = 0;
    while let Some(answer) = requests.join_next().await {
        let (status, text) = answer.unwrap().unwrap_or_else(|error| panic!("after {answered}: {error}"));
        assert_eq!((status, text.as_str()), (StatusCode::OK, BODY));
        answered += 1;
    }
    assert_eq!(answered, IN_FLIGHT);
    assert_eq!(program.terminate().await, Some(0));
}

#[tokio::test]
async fn a_thousand_requests_in_flight_over_http_1_end_whole_after_sigterm() {
    drained(vec![http().http1_only().build().unwrap()]).await;
}

#[tokio::test]
async fn a_thousand_requests_in_flight_over_http_2_end_whole_after_sigterm() {
    let client = || http().http2_prior_knowledge().build().unwrap();
    drained((0..10).map(|_| client()).collect()).await;
}

#[tokio::test]
async fn who_never_ends_is_not_waited_for_longer_than_configured() {
    let (data, backend) = (DataFolder::new(), SlowBackend::start().await);
    data.lead_to(&backend);
    let settings = [("PMSGATE__LISTEN__TLS", "off"), ("PMSGATE__LISTEN__DRAIN_TIMEOUT", "300ms")];
    let mut program = data.serve(&settings).await;
    let token = program.api().token(&program.industry("ORG-100000001", &[])).await;
    let client = http().build().unwrap();
    let request = client.get(format!("{}{READ}", program.ready.base_url)).bearer_auth(token);
    let waiting = tokio::spawn(request.send());
    backend.is_asked(1).await;
    let told = Instant::now();
    assert_eq!(program.terminate().await, Some(0));
    let took = told.elapsed();
    assert!(took >= Duration::from_millis(300), "{took:?}");
    assert!(took < Duration::from_secs(20), "{took:?}");
    assert!(waiting.await.unwrap().is_err(), "it was cut off");
    assert!(program.log().contains("still in flight"), "{}", program.log());
}
