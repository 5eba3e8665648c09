//! The program as a process: serving, and its commands.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use database::testing::TestDatabase;
use serde::Deserialize;
use serde_json::Value;
use tempfile::TempDir;

use crate::ApiClient;

/// How long a server may take to be ready on a busy machine before a test gives up.
const PATIENCE: Duration = Duration::from_secs(120);

/// The program under test: `PMSGATE_TEST_PROGRAM`, else the one that Cargo put two folders above this test.
pub fn binary() -> PathBuf {
    let path = match std::env::var_os("PMSGATE_TEST_PROGRAM") {
        Some(path) => PathBuf::from(path),
        None => std::env::current_exe().unwrap().parent().unwrap().parent().unwrap().join("pmsgate"),
    };
    assert!(path.exists(), "{} is missing: run `cargo build` first, or `cargo xtask test`", path.display());
    path
}

/// A command of the program on a data folder, with nothing of the tester's own configuration.
pub fn data_folder_command(data_dir: &Path, environment: &[(String, String)]) -> Command {
    let mut command = Command::new(binary());
    for (name, _) in std::env::vars() {
        if name.starts_with("PMSGATE_") {
            command.env_remove(name);
        }
    }
    command.envs(environment.iter().cloned()).arg("--data-dir").arg(data_dir).stdin(Stdio::null());
    command
}

/// Where a server under test keeps its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Store {
    /// The embedded files.
    Sqlite,
    /// A schema of the throw-away server.
    Postgres,
}

/// What a command answered.
#[derive(Debug)]
pub struct Outcome {
    /// Its exit code; none when it was killed.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Outcome {
    fn of(output: &Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Its JSON result; it must have succeeded.
    pub fn json(&self) -> Value {
        assert_eq!(self.code, Some(0), "{}", self.stderr);
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error} in {}", self.stdout))
    }
}

/// What `client create` and `client rotate` answer.
#[derive(Clone, Debug, Deserialize)]
pub struct Credentials {
    /// The client.
    pub client_id: String,
    /// Its new secret.
    pub client_secret: String,
    /// The secret's id.
    pub secret_id: String,
    /// ISO 8601.
    pub issued_at: String,
    /// ISO 8601.
    pub expires_at: String,
    /// Where to get tokens.
    pub token_url: String,
    /// What to ask for.
    pub scope: String,
}

/// The ready file of the contract.
#[derive(Clone, Debug, Deserialize)]
pub struct Ready {
    /// Public listener.
    pub base_url: String,
    /// Operator's listener.
    pub admin_url: String,
    /// The development CA.
    pub ca_file: Option<PathBuf>,
    /// The portal.
    pub portal_url: Option<String>,
    /// The token endpoint.
    pub token_url: Option<String>,
    /// Demo credentials, in a sandbox.
    pub demo: Option<Demo>,
}

/// Credentials that work out of the box.
#[derive(Clone, Debug, Deserialize)]
pub struct Demo {
    /// The client.
    pub client_id: String,
    /// Its secret.
    pub client_secret: String,
    /// What to ask for.
    pub scope: String,
}

/// A running server. Killed when dropped.
#[derive(Debug)]
pub struct Program {
    child: Child,
    folder: TempDir,
    /// Its data folder: its own, or that of the program beside which it stands.
    data: PathBuf,
    /// Which part it serves; none for all of them.
    part: Option<&'static str>,
    database: Option<TestDatabase>,
    environment: Vec<(String, String)>,
    /// What the ready file said.
    pub ready: Ready,
}

impl Program {
    /// `pmsgate serve` in an empty folder, with demo data.
    pub async fn serve() -> Self {
        Self::serve_with(Store::Sqlite, &[]).await
    }

    /// The stores that can be tested here: SQLite, and PostgreSQL where a server is given.
    pub fn stores() -> Vec<Store> {
        let mut stores = vec![Store::Sqlite];
        if std::env::var_os(database::testing::POSTGRES_URL).is_some() {
            stores.push(Store::Postgres);
        }
        stores
    }

    /// `pmsgate serve` on `store` with further settings, as environment variables.
    pub async fn serve_with(store: Store, settings: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = match store {
            Store::Sqlite => None,
            Store::Postgres => Some(TestDatabase::postgres().await.unwrap()),
        };
        let mut environment: Vec<(String, String)> =
            settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        if let Some(database) = &database {
            environment.push(("PMSGATE__DATABASE__URL".to_owned(), database.url().to_owned()));
        }
        let data = folder.path().join("data");
        let (child, ready) = start(folder.path(), &data, None, &environment, "127.0.0.1:0").await;
        Self { child, folder, data, part: None, database, environment, ready }
    }

    /// `pmsgate serve PART` in an empty folder of its own. It knows the authorization server `beside` by what an operator
    /// would give it: the master key, the address, the CA.
    pub async fn serve_part(part: &'static str, beside: Option<&Self>, settings: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut environment = Vec::new();
        if let Some(authz) = beside {
            let (url, key) = (authz.ready.base_url.clone(), authz.data_dir().join("master.key"));
            environment.extend([
                ("PMSGATE_MASTER_KEY_FILE".to_owned(), key.display().to_string()),
                ("PMSGATE__TOKENS__ISSUER".to_owned(), url.clone()),
                ("PMSGATE__GATEWAY__AUTHZ_URL".to_owned(), url),
            ]);
            let ca_file = authz.ready.ca_file.iter().map(|path| path.display().to_string());
            environment.extend(ca_file.map(|path| ("PMSGATE__GATEWAY__CA_FILE".to_owned(), path)));
        }
        environment.extend(settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let data = folder.path().join("data");
        let (child, ready) = start(folder.path(), &data, Some(part), &environment, "127.0.0.1:0").await;
        Self { child, folder, data, part: Some(part), database: None, environment, ready }
    }

    /// `pmsgate serve backend` as another process on the data of the program `beside`.
    pub async fn backend_beside(beside: &Self) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (data, environment) = (beside.data.clone(), beside.environment.clone());
        let (child, ready) = start(folder.path(), &data, Some("backend"), &environment, "127.0.0.1:0").await;
        Self { child, folder, data, part: Some("backend"), database: None, environment, ready }
    }

    /// Stops it hard and starts it again on the same data and port, with further settings.
    pub async fn kill_and_restart(&mut self, settings: &[(&str, &str)]) {
        self.kill();
        self.environment
            .extend(settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let address = self.ready.base_url.replace("https://localhost", "127.0.0.1");
        let (child, ready) =
            start(self.folder.path(), &self.data, self.part, &self.environment, &address).await;
        self.child = child;
        self.ready = ready;
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        // Fails only when it is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// SIGTERM, then its exit code.
    pub async fn terminate(&mut self) -> Option<i32> {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(Instant::now() < deadline, "it does not stop");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its data folder.
    pub fn data_dir(&self) -> PathBuf {
        self.data.clone()
    }

    /// What the server said since it was started last.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("server.log")).unwrap_or_default()
    }

    /// The first figure of a metric, whatever its labels.
    pub async fn figure(&self, name: &str) -> Option<f64> {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let page = client.get(format!("{}/metrics", self.ready.admin_url)).send().await.unwrap();
        let page = page.text().await.unwrap();
        let line = page.lines().find(|line| {
            line.strip_prefix(name).is_some_and(|rest| rest.starts_with(' ') || rest.starts_with('{'))
        })?;
        line.rsplit_once(' ')?.1.parse().ok()
    }

    /// The throw-away database, when it is not the embedded one.
    pub fn database(&self) -> Option<&TestDatabase> {
        self.database.as_ref()
    }

    /// A command on the same data, not started yet.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = data_folder_command(&self.data_dir(), &self.environment);
        command.args(["--format", "json"]).args(arguments);
        command
    }

    /// Runs a command on the same data, while the server runs.
    pub fn run(&self, arguments: &[&str]) -> Outcome {
        Outcome::of(&self.command(arguments).output().unwrap())
    }

    /// Runs a command that must succeed, and reads its JSON result.
    pub fn result(&self, arguments: &[&str]) -> Value {
        self.run(arguments).json()
    }

    /// `client create` with these options.
    pub fn create_client(&self, options: &[&str]) -> Credentials {
        let arguments = [&["client", "create"], options].concat();
        serde_json::from_value(self.result(&arguments)).unwrap()
    }

    /// A client of an industry organisation.
    pub fn industry(&self, organisation: &str, options: &[&str]) -> Credentials {
        self.create_client(
            &[&["--role", "pms-industry-api", "--organisation", organisation], options].concat(),
        )
    }

    /// A client of the demo authority for these domains.
    pub fn authority(&self, domains: &[&str]) -> Credentials {
        let domains: Vec<&str> = domains.iter().flat_map(|domain| ["--domain", domain]).collect();
        self.create_client(
            &[&["--role", "pms-nca-api", "--organisation", "ORG-100000101"], &domains[..]].concat(),
        )
    }

    /// A public client.
    pub fn public(&self) -> Credentials {
        self.create_client(&["--role", "public-pms-api", "--contact", "reader@tests.example"])
    }

    /// An HTTP client that trusts its development CA.
    pub fn api(&self) -> ApiClient {
        ApiClient::new(&self.ready.base_url, self.ready.ca_file.as_deref())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
    }
}

async fn start(
    folder: &Path,
    data: &Path,
    part: Option<&str>,
    environment: &[(String, String)],
    address: &str,
) -> (Child, Ready) {
    let ready_file = folder.join("ready.json");
    let log = folder.join("server.log");
    // A ready file of an earlier run would be believed.
    let _ = std::fs::remove_file(&ready_file);
    let mut child = data_folder_command(data, environment)
        .arg("serve")
        .args(part)
        .args(["--listen", address, "--admin-listen", "127.0.0.1:0", "--ready-file"])
        .arg(&ready_file)
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(&log).unwrap())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Ok(text) = std::fs::read_to_string(&ready_file) {
            return (child, serde_json::from_str(&text).unwrap());
        }
        if let Some(status) = child.try_wait().unwrap() {
            panic!("the server ended with {status}: {}", std::fs::read_to_string(&log).unwrap_or_default());
        }
        if Instant::now() > deadline {
            let _ = child.kill();
            panic!("the server is not ready: {}", std::fs::read_to_string(&log).unwrap_or_default());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
