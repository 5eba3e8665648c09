//! The public keys that a client registered, by which it signs assertions (RFC 7523).

use std::fmt;

use access_token::{Jwk, ProofAlgorithm, PublicKey, UnfitKey};
use serde_json::Value;
use thiserror::Error;

/// The most keys in one set: a key, its successor, and room.
pub const MAX_CLIENT_KEYS: usize = 10;

/// One key of a client.
#[derive(Clone, Debug)]
struct ClientKey {
    jwk: Jwk,
    key: PublicKey,
}

/// The keys of a client, checked.
#[derive(Clone, Debug)]
pub struct ClientKeys(Vec<ClientKey>);

/// Why a set of keys cannot be registered. The texts are for the person who registers it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum KeysRefused {
    /// Not a JWK Set.
    #[error(
        "this is no JWK Set (RFC 7517 §5): a JSON object with a list of public keys in 'keys', or one public key"
    )]
    NoSet,
    /// None, or too many.
    #[error("a set has 1 to {MAX_CLIENT_KEYS} keys, and this one has {0}")]
    Count(usize),
    /// A secret half.
    #[error(
        "key {0} of the set has its private half ('{1}'): it is no secret any more. Make a new key, and register only its public half"
    )]
    Private(usize, &'static str),
    /// Unfit.
    #[error("key {0} of the set cannot be used: {1}")]
    Unfit(usize, UnfitKey),
    /// Two of the same name.
    #[error("two keys of the set have the same 'kid'")]
    SameName,
    /// Several without a name.
    #[error("a set of several keys needs a 'kid' for each of them")]
    Nameless,
}

impl ClientKeys {
    /// Reads a JWK Set, or one JWK, as JSON.
    ///
    /// # Errors
    /// What is wrong, and with which key of the set.
    pub fn parse(json: &[u8]) -> Result<Self, KeysRefused> {
        let value: Value = serde_json::from_slice(json).map_err(|_| KeysRefused::NoSet)?;
        Self::from_value(value)
    }

    /// The same of JSON that was read already.
    ///
    /// # Errors
    /// As [`ClientKeys::parse`].
    pub fn from_value(value: Value) -> Result<Self, KeysRefused> {
        let Value::Object(mut object) = value else { return Err(KeysRefused::NoSet) };
        let members = match object.remove("keys") {
            Some(Value::Array(keys)) => keys,
            None if object.contains_key("kty") => vec![Value::Object(object)],
            _ => return Err(KeysRefused::NoSet),
        };
        if members.is_empty() || members.len() > MAX_CLIENT_KEYS {
            return Err(KeysRefused::Count(members.len()));
        }
        let keys = members.into_iter().enumerate().map(|(at, member)| read(at + 1, member));
        let keys = keys.collect::<Result<Vec<_>, _>>()?;
        if keys.len() > 1 && keys.iter().any(|one| one.jwk.kid.is_none()) {
            return Err(KeysRefused::Nameless);
        }
        for (at, one) in keys.iter().enumerate() {
            if keys[..at].iter().any(|other| other.jwk.kid == one.jwk.kid) {
                return Err(KeysRefused::SameName);
            }
        }
        Ok(Self(keys))
    }

    /// Of what a client publishes under its own address: keys that cannot be used are left out, since it may publish
    /// them for others. The first ones count.
    ///
    /// # Errors
    /// When it is no set, or nothing is left.
    pub fn usable(json: &[u8]) -> Result<Self, KeysRefused> {
        let value: Value = serde_json::from_slice(json).map_err(|_| KeysRefused::NoSet)?;
        let Some(Value::Array(members)) = value.get("keys") else { return Err(KeysRefused::NoSet) };
        let usable: Vec<ClientKey> = members
            .iter()
            .enumerate()
            .filter_map(|(at, member)| read(at + 1, member.clone()).ok())
            .take(MAX_CLIENT_KEYS)
            .collect();
        if usable.is_empty() { Err(KeysRefused::Count(0)) } else { Ok(Self(usable)) }
    }

    /// The keys that may have made a signature of which the sender says this. More than one only where the sender names
    /// none.
    pub fn candidates<'k>(
        &'k self,
        named: &'k KeyNamed,
        algorithm: ProofAlgorithm,
    ) -> impl Iterator<Item = &'k PublicKey> {
        self.0
            .iter()
            .filter(move |one| named.names(&one.jwk))
            .map(|one| &one.key)
            .filter(move |key| key.fits(algorithm))
    }

    /// As a JWK Set, public members only.
    pub fn to_json(&self) -> String {
        let keys: Vec<&Jwk> = self.0.iter().map(|one| &one.jwk).collect();
        serde_json::json!({ "keys": keys }).to_string()
    }

    /// What people tell the set apart by: the beginning of its first key's name or thumbprint.
    pub fn hint(&self) -> String {
        let name = |one: &ClientKey| one.jwk.kid.clone().unwrap_or_else(|| one.key.thumbprint().to_owned());
        self.0.first().map(|one| name(one).chars().take(12).collect()).unwrap_or_default()
    }
}

fn read(number: usize, member: Value) -> Result<ClientKey, KeysRefused> {
    if let Some(private) = Jwk::private_member(&member) {
        return Err(KeysRefused::Private(number, private));
    }
    let jwk: Jwk = serde_json::from_value(member).map_err(|_| KeysRefused::NoSet)?;
    let key = PublicKey::from_jwk(&jwk).map_err(|unfit| KeysRefused::Unfit(number, unfit))?;
    Ok(ClientKey { jwk, key })
}

/// How a signature's header names its key. Everything in it is the sender's claim.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct KeyNamed {
    /// `kid` (RFC 7515 §4.1.4).
    pub kid: Option<String>,
    /// `x5t` (§4.1.7), as MSAL has it in place of `kid`.
    pub x5t: Option<String>,
    /// `x5t#S256` (§4.1.8).
    pub x5t_s256: Option<String>,
}

impl KeyNamed {
    /// Whether it means this key: what is named must be its own; who names nothing means any.
    fn names(&self, jwk: &Jwk) -> bool {
        // MSAL pads its thumbprints, against RFC 7515 §2.
        let plain = |text: &Option<String>| text.as_deref().map(|text| text.trim_end_matches('=').to_owned());
        let agrees = |named: &Option<String>, own: &Option<String>| named.is_none() || plain(named) == *own;
        // A `kid` is enough: clients that send a certificate's thumbprint beside it need not have registered that.
        if self.kid.is_some() {
            return self.kid == jwk.kid;
        }
        agrees(&self.x5t_s256, &jwk.x5t_s256) && (self.x5t_s256.is_some() || agrees(&self.x5t, &jwk.x5t))
    }
}

impl fmt::Debug for KeyNamed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyNamed(…)")
    }
}

#[cfg(test)]
mod tests {
    use access_token::{Algorithm, SigningKey};
    use serde_json::json;

    use super::*;

    fn jwk(kid: Option<&str>) -> Value {
        let mut jwk = SigningKey::generate(Algorithm::Es256).unwrap().public_jwk().clone();
        jwk.kid = kid.map(str::to_owned);
        serde_json::to_value(jwk).unwrap()
    }

    #[test]
    fn a_set_or_one_key_is_read_and_written() {
        let one = ClientKeys::from_value(jwk(None)).unwrap();
        assert_eq!(one.hint().len(), 12);
        let two = ClientKeys::from_value(json!({ "keys": [jwk(Some("a")), jwk(Some("b"))] })).unwrap();
        assert_eq!(two.hint(), "a");
        assert_eq!(ClientKeys::parse(two.to_json().as_bytes()).unwrap().to_json(), two.to_json());
    }

    #[test]
    fn what_cannot_be_registered_is_refused_by_name() {
        let refused = |value: Value| ClientKeys::from_value(value).unwrap_err();
        for value in [json!([]), json!("x"), json!({}), json!({ "keys": 1 }), json!({ "keys": [1] })] {
            assert_eq!(refused(value.clone()), KeysRefused::NoSet, "{value}");
        }
        assert_eq!(refused(json!({ "keys": [] })), KeysRefused::Count(0));
        let many: Vec<Value> = (0..11).map(|n| jwk(Some(&n.to_string()))).collect();
        assert_eq!(refused(json!({ "keys": many })), KeysRefused::Count(11));
        let mut private = jwk(Some("a"));
        private["d"] = json!("secret");
        assert_eq!(refused(json!({ "keys": [jwk(Some("b")), private] })), KeysRefused::Private(2, "d"));
        assert_eq!(refused(json!({ "kty": "oct", "k": "AAAA" })), KeysRefused::Private(1, "k"));
        assert_eq!(refused(json!({ "keys": [jwk(Some("a")), jwk(Some("a"))] })), KeysRefused::SameName);
        assert_eq!(refused(json!({ "keys": [jwk(Some("a")), jwk(None)] })), KeysRefused::Nameless);
        assert!(matches!(refused(json!({ "kty": "EC" })), KeysRefused::Unfit(1, _)));
    }

    #[test]
    fn of_published_keys_those_that_fit_are_taken() {
        let published = json!({ "keys": [{ "kty": "oct" }, jwk(Some("a")), { "kty": "OKP" }] }).to_string();
        assert_eq!(ClientKeys::usable(published.as_bytes()).unwrap().hint(), "a");
        assert!(ClientKeys::usable(br#"{"keys":[{"kty":"oct"}]}"#).is_err());
    }

    #[test]
    fn a_key_is_found_by_the_name_it_was_registered_under() {
        let mut certified = jwk(None);
        certified["x5t"] = json!("sha-1");
        certified["x5t#S256"] = json!("sha-256");
        certified["kid"] = json!("k");
        let keys = ClientKeys::from_value(json!({ "keys": [certified, jwk(Some("b"))] })).unwrap();
        let text = |text: &str| Some(text.to_owned());
        let found = |named: KeyNamed| keys.candidates(&named, ProofAlgorithm::Es256).count();
        assert_eq!(found(KeyNamed { kid: text("k"), ..KeyNamed::default() }), 1);
        assert_eq!(found(KeyNamed { x5t: text("sha-1"), ..KeyNamed::default() }), 1);
        assert_eq!(found(KeyNamed { x5t_s256: text("sha-256"), ..KeyNamed::default() }), 1);
        assert_eq!(found(KeyNamed { x5t_s256: text("sha-256="), ..KeyNamed::default() }), 1, "padded");
        assert_eq!(found(KeyNamed::default()), 2);
        for wrong in [
            KeyNamed { kid: text("x"), x5t: text("sha-1"), ..KeyNamed::default() },
            KeyNamed { x5t: text("x"), ..KeyNamed::default() },
            KeyNamed { x5t_s256: text("x"), x5t: text("sha-1"), ..KeyNamed::default() },
        ] {
            assert_eq!(found(wrong), 0);
        }
        let named = KeyNamed { kid: text("k"), ..KeyNamed::default() };
        assert_eq!(keys.candidates(&named, ProofAlgorithm::Rs256).count(), 0);
    }
}
