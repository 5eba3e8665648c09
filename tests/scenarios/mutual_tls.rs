//! Clients known by the certificates of their connections, and tokens that are good on these alone (RFC 8705), against the
//! shipped program.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use harness::{Program, Store};
use http::StatusCode;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use serde_json::Value;
use tempfile::TempDir;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

const PRODUCT: &str = "/pms/api/v3/MedicinalProductDefinition/600000900001";
const SCOPE: &str = "api://pmsgate/pms/.default";

type Issuer = CertifiedIssuer<'static, KeyPair>;

fn issuer() -> Issuer {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "issuer of clients");
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate of the client `erp`, by an issuer or by itself, valid for so many days from now.
struct Shown {
    certificate: String,
    key: String,
    until: OffsetDateTime,
}

fn certificate(issuer: Option<&Issuer>, days: i64) -> Shown {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["erp.example.org".to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, "erp");
    let now = OffsetDateTime::now_utc().replace_nanosecond(0).unwrap();
    params.not_before = now - time::Duration::days(30);
    params.not_after = now + time::Duration::days(days);
    let until = params.not_after;
    let made = match issuer {
        Some(issuer) => params.signed_by(&key, issuer),
        None => params.self_signed(&key),
    };
    Shown { certificate: made.unwrap().pem(), key: key.serialize_pem(), until }
}

struct Stage {
    program: Program,
    issuer: Issuer,
    folder: TempDir,
}

impl Stage {
    async fn set() -> Self {
        let (issuer, folder) = (issuer(), tempfile::tempdir().unwrap());
        let issuers = folder.path().join("issuers.pem");
        fs::write(&issuers, issuer.pem()).unwrap();
        let settings = [
            ("PMSGATE__LISTEN__CLIENT_CERTIFICATES", "handshake"),
            ("PMSGATE__CLIENT_KEYS__CERTIFICATE_ISSUERS_FILE", issuers.to_str().unwrap()),
        ];
        let program = Program::serve_with(Store::Sqlite, &settings).await;
        Self { program, issuer, folder }
    }

    fn file(&self, text: &str) -> PathBuf {
        let file = self.folder.path().join("client.pem");
        fs::write(&file, text).unwrap();
        file
    }

    fn client(&self, option: &str, value: &Path) -> Value {
        let options = ["client", "create", "--organisation", "ORG-100000001", "--role", "pms-industry-api"];
        self.program.result(&[&options[..], &[option, value.to_str().unwrap()]].concat())
    }

    /// Connections that show a certificate, or none.
    fn connections(&self, shown: Option<&Shown>) -> reqwest::Client {
        // Err: another test of this process was first.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let ca = fs::read(self.program.ready.ca_file.as_ref().unwrap()).unwrap();
        let mut builder = reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only([reqwest::Certificate::from_pem(&ca).unwrap()]);
        if let Some(Shown { certificate, key, .. }) = shown {
            let identity = reqwest::Identity::from_pem(format!("{certificate}{key}").as_bytes()).unwrap();
            builder = builder.identity(identity);
        }
        builder.build().unwrap()
    }

    async fn ask(&self, http: &reqwest::Client, client: &Value) -> (StatusCode, Value) {
        let id = client["client_id"].as_str().unwrap();
        let form = [("grant_type", "client_credentials"), ("client_id", id), ("scope", SCOPE)];
        let answer = http
            .post(format!("{}/oauth2/token", self.program.ready.base_url))
            .form(&form)
            .send()
            .await
            .unwrap();
        (answer.status(), answer.json().await.unwrap())
    }

    async fn token(&self, http: &reqwest::Client, client: &Value) -> String {
        let (status, answer) = self.ask(http, client).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        answer["access_token"].as_str().unwrap().to_owned()
    }

    async fn read(&self, http: &reqwest::Client, token: &str) -> StatusCode {
        let url = format!("{}{PRODUCT}", self.program.ready.base_url);
        http.get(url).bearer_auth(token).send().await.unwrap().status()
    }
}

#[tokio::test]
async fn a_registered_certificate_opens_a_product_and_its_token_opens_nothing_without_it() {
    let stage = Stage::set().await;
    let shown = certificate(None, 60);
    let client = stage.client("--tls-certificate", &stage.file(&shown.certificate));
    assert_eq!(client["method"], "self_signed_tls_client_auth");
    assert_eq!(client["expires_at"], shown.until.format(&Rfc3339).unwrap(), "what expires first");
    let expiring = stage.program.result(&["credentials", "expiring", "--within", "61d"]);
    let listed = |one: &Value| one["client_id"] == client["client_id"];
    assert!(expiring.as_array().unwrap().iter().any(listed), "{expiring}");

    let holder = stage.connections(Some(&shown));
    let token = stage.token(&holder, &client).await;
    for _ in 0..2 {
        assert_eq!(stage.read(&holder, &token).await, StatusCode::OK);
    }
    let (bare, stranger) = (stage.connections(None), stage.connections(Some(&certificate(None, 60))));
    for thief in [&bare, &stranger] {
        assert_eq!(stage.read(thief, &token).await, StatusCode::UNAUTHORIZED);
        assert_eq!(stage.ask(thief, &client).await.0, StatusCode::UNAUTHORIZED);
    }
    // Callers without one come in as ever.
    let secret = stage.program.industry("ORG-100000001", &[]);
    let unbound = stage.program.api().token(&secret).await;
    assert_eq!(stage.read(&bare, &unbound).await, StatusCode::OK);

    // Ended on purpose, it takes its token along on every gateway.
    let (id, registration) = (client["client_id"].as_str().unwrap(), client["secret_id"].as_str().unwrap());
    stage.program.result(&["client", "revoke-secret", id, registration]);
    let revoked = Instant::now();
    while stage.read(&holder, &token).await != StatusCode::UNAUTHORIZED {
        assert!(revoked.elapsed() < Duration::from_secs(5));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_subject_is_known_by_any_valid_certificate_of_its_issuer() {
    let stage = Stage::set().await;
    let client = stage.client("--tls-subject", Path::new("dn:CN=erp"));
    assert_eq!(client["method"], "tls_client_auth");
    let (first, second) = (certificate(Some(&stage.issuer), 1), certificate(Some(&stage.issuer), 60));
    let (first, second) = (stage.connections(Some(&first)), stage.connections(Some(&second)));
    let token = stage.token(&first, &client).await;
    assert_eq!(stage.read(&first, &token).await, StatusCode::OK);
    let another = stage.token(&second, &client).await;
    assert_eq!(stage.read(&second, &another).await, StatusCode::OK, "changed without a word to anybody");
    assert_eq!(stage.read(&second, &token).await, StatusCode::UNAUTHORIZED, "each token for its certificate");
    for (what, shown, words) in [
        ("by itself", certificate(None, 60), "not registered with the certificate"),
        ("by another issuer", certificate(Some(&issuer()), 60), "not registered with the certificate"),
        ("expired", certificate(Some(&stage.issuer), -1), "expired at"),
    ] {
        let (status, answer) = stage.ask(&stage.connections(Some(&shown)), &client).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{what}");
        assert!(answer["error_description"].as_str().unwrap().contains(words), "{what}: {answer}");
    }
}

#[tokio::test]
async fn without_mutual_tls_nothing_is_registered_for_it_and_no_header_is_believed() {
    let program = Program::serve().await;
    let options = ["client", "create", "--organisation", "ORG-100000001", "--role", "pms-industry-api"];
    let refused = program.run(&[&options[..], &["--tls-subject", "dns:erp.example.org"]].concat());
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("listen.client_certificates"), "{}", refused.stderr);
    let api = program.api();
    let form = [("grant_type", "client_credentials"), ("client_id", "anybody"), ("scope", SCOPE)];
    let ask = api.request("POST", "/oauth2/token").header("client-cert", ":AQID:").form(&form);
    let answer = api.send(ask).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert!(answer.text().contains("there are no client credentials"), "{}", answer.text());
}
