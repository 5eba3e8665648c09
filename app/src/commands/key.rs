//! `pmsgate key …`: signing keys of access tokens.

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use authz_domain::Actor;
use rsa::{
    RsaPrivateKey, pkcs1::DecodeRsaPrivateKey as _, pkcs8::DecodePrivateKey as _, traits::PublicKeyParts as _,
};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::{iso, print};
use crate::{
    House,
    cli::{Common, KeyCommand},
};

pub(super) async fn run(common: &Common, command: KeyCommand) -> Result<()> {
    match command {
        KeyCommand::List => {
            let keys = House::open(common)?.use_cases().await?.list_signing_keys().await?;
            let rows: Vec<Value> = keys
                .iter()
                .map(|key| {
                    json!({
                        "kid": key.life.kid,
                        "algorithm": key.life.algorithm.as_str(),
                        "state": key.state.as_str(),
                        "created_at": iso(key.life.created_at),
                        "signs_from": iso(key.life.not_before),
                        "signs_until": key.life.not_after.map(iso),
                    })
                })
                .collect();
            print(common, rows.into(), &["kid", "algorithm", "state", "signs_from", "signs_until"])
        }
        KeyCommand::Rotate => {
            let acts = House::open(common)?.use_cases().await?;
            let rotation = acts.rotate_signing_keys(Actor::Operator, false).await?;
            print(
                common,
                json!({"kid": rotation.kid, "signs_from": iso(rotation.begins_at)}),
                &["kid", "signs_from"],
            )
        }
        KeyCommand::Inspect { file } => {
            print(common, inspect(&file)?, &["bits", "sound", "acceptable", "jwk"])
        }
    }
}

/// Looks at an operator's RSA key with a library that is independent of the one that signs. Nothing a network could
/// time: RUSTSEC-2023-0071 concerns private-key operations that others can measure.
fn inspect(file: &Path) -> Result<Value> {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
    let pem = Zeroizing::new(
        std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?,
    );
    let Ok(key) = RsaPrivateKey::from_pkcs8_pem(&pem).or_else(|_| RsaPrivateKey::from_pkcs1_pem(&pem)) else {
        bail!("{}: no RSA private key in PEM (PKCS#8 or PKCS#1, not encrypted)", file.display());
    };
    let bits = key.n().bits();
    let jwk = access_token::Jwk {
        kty: "RSA".to_owned(),
        key_use: Some("sig".to_owned()),
        alg: Some("RS256".to_owned()),
        n: Some(URL_SAFE_NO_PAD.encode(key.n().to_bytes_be())),
        e: Some(URL_SAFE_NO_PAD.encode(key.e().to_bytes_be())),
        ..access_token::Jwk::default()
    };
    let jwk = access_token::Jwk { kid: jwk.thumbprint(), ..jwk };
    Ok(json!({
        "bits": bits,
        "sound": key.validate().is_ok(),
        "acceptable": (2048..=4096).contains(&bits),
        "jwk": serde_json::to_value(jwk)?,
    }))
}
