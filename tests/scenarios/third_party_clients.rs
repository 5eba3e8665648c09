//! OAuth 2.0 clients written by others, unmodified, fetch tokens and read a product.
//!
//! The scripts in `tests/clients` say what each library is asked to do; `cargo xtask test` installs the libraries. Run in
//! any other way, a scenario whose library is missing says so and does nothing.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use aws_lc_rs::digest;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use harness::{ApiClient, Program};
use oauth2::{
    AuthType, ClientId, ClientSecret, HttpRequest, HttpResponse, Scope, TokenResponse, TokenUrl,
    basic::BasicClient,
};
use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256, RsaKeySize};
use serde_json::Value;

/// A tenant segment as a caller of the agency would have it.
const TENANT: &str = "1f6a2a5e-0c52-4d8b-9a7e-3c1d2b4e5f60";

/// What the set-up provides under this name. A set-up that calls itself complete must have it.
pub(crate) fn provided(name: &str) -> Option<PathBuf> {
    let value = env::var_os(name).map(PathBuf::from);
    if value.is_none() {
        assert!(env::var_os("PMSGATE_TEST_COMPLETE").is_none(), "the set-up is complete but has no {name}");
        println!("NOT CHECKED: {name} is not set; `cargo xtask test` provides it");
    }
    value
}

/// The program with demo data, for one tenant, over TLS with its own development CA.
async fn serve() -> Program {
    serve_with(&[]).await
}

/// The same with further settings.
async fn serve_with(settings: &[(&str, &str)]) -> Program {
    let tenants = format!("[\"{TENANT}\"]");
    let settings = [&[("PMSGATE__TOKENS__TENANTS", tenants.as_str())], settings].concat();
    Program::serve_with(harness::Store::Sqlite, &settings).await
}

/// The address of a product that the demo client may read.
async fn product_url(program: &Program, api: &ApiClient) -> String {
    let demo = program.ready.demo.as_ref().unwrap();
    let token = api.token_for(&demo.client_id, &demo.client_secret, &demo.scope).await;
    let page = api.get("/pms/api/v3/MedicinalProductDefinition?_count=1", &token).await;
    page.json()["entry"][0]["fullUrl"].as_str().unwrap().to_owned()
}

/// Runs a script of `tests/clients` with the interpreter and looks at what it printed.
async fn run_script(
    interpreter: &Path,
    node_modules: Option<&Path>,
    script: &str,
    client: &str,
    tokens: u64,
) {
    let program = serve().await;
    let demo = program.ready.demo.as_ref().unwrap();
    let credentials = [
        ("PMSGATE_CLIENT_ID", demo.client_id.clone()),
        ("PMSGATE_CLIENT_SECRET", demo.client_secret.clone()),
    ];
    run_on(&program, &credentials, interpreter, node_modules, script, client, tokens).await;
}

/// Runs a script against a program, with the credentials that it wants.
async fn run_on(
    program: &Program,
    credentials: &[(&str, String)],
    interpreter: &Path,
    node_modules: Option<&Path>,
    script: &str,
    client: &str,
    tokens: u64,
) {
    let read_url = product_url(program, &program.api()).await;
    let ca_file = program.ready.ca_file.as_ref().unwrap();
    let demo = program.ready.demo.as_ref().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients").join(script);
    let mut command = Command::new(interpreter);
    command
        .arg(&script)
        .env("PMSGATE_BASE_URL", &program.ready.base_url)
        .env("PMSGATE_TENANT", TENANT)
        .envs(credentials.iter().map(|(name, value)| (name, value)))
        .env("PMSGATE_SCOPE", &demo.scope)
        .env("PMSGATE_READ_URL", &read_url)
        .env("REQUESTS_CA_BUNDLE", ca_file)
        .env("NODE_EXTRA_CA_CERTS", ca_file)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::null());
    command.envs(node_modules.map(|folder| ("PMSGATE_TEST_NODE_MODULES", folder)));
    let output = command.output().unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {complaint}", script.display());
    let printed: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(printed["client"], client);
    assert_eq!(printed["status"], 200);
    assert_eq!(printed["resourceType"], "MedicinalProductDefinition");
    assert_eq!(printed["id"].as_str(), read_url.rsplit('/').next());
    assert_eq!(printed["tokens"], tokens, "every way of asking gives a token");
    // openid-client hands the type on in lower case (RFC 6749 §5.1: "Value is case insensitive").
    let kind = if script.ends_with("with_openid_client_dpop.mjs") { "DPoP" } else { "Bearer" };
    assert!(printed["token_type"].as_str().is_some_and(|one| one.eq_ignore_ascii_case(kind)), "{printed}");
}

async fn run_python(script: &str, client: &str, tokens: u64) {
    if let Some(python) = provided("PMSGATE_TEST_PYTHON") {
        run_script(&python, None, script, client, tokens).await;
    }
}

async fn run_node(script: &str, client: &str, tokens: u64) {
    if let Some(node_modules) = provided("PMSGATE_TEST_NODE_MODULES") {
        run_script(Path::new("node"), Some(&node_modules), script, client, tokens).await;
    }
}

#[tokio::test]
async fn requests_oauthlib_reads_a_product() {
    run_python("with_requests_oauthlib.py", "requests-oauthlib", 4).await;
}

#[tokio::test]
async fn authlib_reads_a_product_and_verifies_the_token() {
    run_python("with_authlib.py", "Authlib", 6).await;
}

#[tokio::test]
async fn msal_reads_a_product_from_a_generic_authority() {
    run_python("with_msal.py", "msal", 2).await;
}

#[tokio::test]
async fn openid_client_discovers_and_reads_a_product() {
    run_node("with_openid_client.mjs", "openid-client", 4).await;
}

#[tokio::test]
async fn openid_client_binds_its_tokens_by_dpop() {
    run_node("with_openid_client_dpop.mjs", "openid-client", 2).await;
}

#[tokio::test]
async fn simple_oauth2_reads_a_product() {
    run_node("with_simple_oauth2.mjs", "simple-oauth2", 6).await;
}

/// A client with an RSA key and a certificate of it in place of a secret, registered by this option, and what a script
/// needs to prove it.
fn certified_client(program: &Program, option: &str) -> Vec<(&'static str, String)> {
    let pair = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
    let certificate = CertificateParams::new(Vec::new()).unwrap().self_signed(&pair).unwrap();
    let kid = URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, certificate.der()));
    let (key_file, certificate_file) =
        (program.data_dir().join("client-key.pem"), program.data_dir().join("client.pem"));
    fs::write(&key_file, pair.serialize_pem()).unwrap();
    fs::write(&certificate_file, certificate.pem()).unwrap();
    let path = |path: &Path| path.to_str().unwrap().to_owned();
    let options = ["--organisation", "ORG-100000001", "--role", "pms-industry-api", option];
    let made = program.result(&[&["client", "create"], &options[..], &[&path(&certificate_file)]].concat());
    vec![
        ("PMSGATE_CLIENT_ID", made["client_id"].as_str().unwrap().to_owned()),
        ("PMSGATE_CLIENT_KEY_FILE", path(&key_file)),
        ("PMSGATE_CLIENT_CERTIFICATE_FILE", path(&certificate_file)),
        ("PMSGATE_CLIENT_KEY_ID", kid),
    ]
}

#[tokio::test]
async fn authlib_signs_with_a_private_key() {
    let Some(python) = provided("PMSGATE_TEST_PYTHON") else { return };
    let program = serve().await;
    run_on(
        &program,
        &certified_client(&program, "--certificate"),
        &python,
        None,
        "with_authlib_key.py",
        "Authlib",
        6,
    )
    .await;
}

#[tokio::test]
async fn msal_signs_with_the_key_of_a_certificate() {
    let Some(python) = provided("PMSGATE_TEST_PYTHON") else { return };
    let program = serve().await;
    run_on(
        &program,
        &certified_client(&program, "--certificate"),
        &python,
        None,
        "with_msal_certificate.py",
        "msal",
        2,
    )
    .await;
}

#[tokio::test]
async fn openid_client_signs_with_a_private_key() {
    let Some(modules) = provided("PMSGATE_TEST_NODE_MODULES") else { return };
    let program = serve().await;
    let (client, script) = (certified_client(&program, "--certificate"), "with_openid_client_key.mjs");
    run_on(&program, &client, Path::new("node"), Some(&modules), script, "openid-client", 4).await;
}

#[tokio::test]
async fn openid_client_is_known_by_its_certificate() {
    let Some(modules) = provided("PMSGATE_TEST_NODE_MODULES") else { return };
    let program = serve_with(&[("PMSGATE__LISTEN__CLIENT_CERTIFICATES", "handshake")]).await;
    let client = certified_client(&program, "--tls-certificate");
    let script = "with_openid_client_certificate.mjs";
    run_on(&program, &client, Path::new("node"), Some(&modules), script, "openid-client", 2).await;
}

/// The `oauth2` crate brings no HTTP client of its own here: it hands requests to ours.
#[tokio::test]
async fn the_oauth2_crate_reads_a_product() {
    let program = serve().await;
    let api = program.api();
    let read_url = product_url(&program, &api).await;
    let demo = program.ready.demo.as_ref().unwrap();
    let base_url = &program.ready.base_url;
    let send = |request: HttpRequest| async {
        let path = request.uri().to_string().replacen(base_url.as_str(), "", 1);
        let (head, body) = request.into_parts();
        let answer =
            api.send(api.request(head.method.as_str(), &path).headers(head.headers).body(body)).await;
        let mut response = HttpResponse::new(answer.body);
        *response.status_mut() = answer.status;
        *response.headers_mut() = answer.headers;
        Ok::<_, std::io::Error>(response)
    };
    for path in ["/oauth2/token", &format!("/{TENANT}/oauth2/v2.0/token")] {
        for authentication in [AuthType::BasicAuth, AuthType::RequestBody] {
            let client = BasicClient::new(ClientId::new(demo.client_id.clone()))
                .set_client_secret(ClientSecret::new(demo.client_secret.clone()))
                .set_auth_type(authentication)
                .set_token_uri(TokenUrl::new(format!("{base_url}{path}")).unwrap());
            let wish = client.exchange_client_credentials().add_scope(Scope::new(demo.scope.clone()));
            let token = wish.request_async(&send).await.unwrap();
            assert!(token.expires_in().is_some_and(|lifetime| lifetime > Duration::from_mins(1)));
            let product = api.follow(&read_url, token.access_token().secret()).await;
            assert_eq!(product.status, 200, "{}", product.text());
            assert_eq!(product.json()["resourceType"], "MedicinalProductDefinition");
        }
    }
}
