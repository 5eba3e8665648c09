//! Registering what a client proves itself by in place of a secret: its public keys, or a certificate.

use authz_domain::{
    Act, Actor, AuthenticationMethod, Certificate, CertificateRefused, CertificateSubject, Client, ClientId,
    ClientKeys, KeysRefused, MalformedSubject, Proof, RotationMode, Secret, SecretId, supersede,
};
use authz_store::{changes, changes::Change, secrets};
use database::Db;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{EndedSecret, NewClient, UseCaseError, UseCases};
use crate::{entropy::entropy, key_sets::check_address};

/// What is to be registered, as it was handed in.
#[derive(Clone, Debug)]
pub enum NewProof {
    /// Public keys as a JWK Set, or one JWK.
    Keys(Vec<u8>),
    /// The address at which the client publishes them.
    KeysAt(String),
    /// A certificate, in PEM or DER, whose key signs assertions.
    KeyOf(Vec<u8>),
    /// A certificate, in PEM or DER, that the client shows in TLS handshakes.
    Certificate(Vec<u8>),
    /// Whom the certificates that it shows are for: `dn:`, `dns:`, `uri:`, `ip:` or `email:`, and the name.
    Subject(String),
}

/// What was handed in, checked.
struct ReadProof {
    proof: Proof,
    /// When it ends by itself.
    until: Option<OffsetDateTime>,
}

/// What was registered.
#[derive(Clone, Debug)]
pub struct RegisteredProof {
    /// The client.
    pub client_id: ClientId,
    /// The name of what was registered, in lists and tokens.
    pub secret_id: SecretId,
    /// How the client authenticates from now on.
    pub method: AuthenticationMethod,
    /// What people tell it apart by.
    pub hint: String,
    /// When it was registered.
    pub issued_at: OffsetDateTime,
    /// From when it does not work any more.
    pub expires_at: OffsetDateTime,
    /// Where to get tokens.
    pub token_url: String,
    /// The scope to ask for.
    pub scope: String,
    /// What stopped working by it.
    pub ended: Vec<EndedSecret>,
}

impl UseCases {
    /// Registers what a client proves itself by from now on. What was registered before for the same method works for the
    /// configured overlap; what was registered for another one, a secret for example, stops at once. `immediately`
    /// ends all of it, with every token bought with it.
    pub async fn register_proof(
        &self,
        actor: Actor,
        client_id: &str,
        new: NewProof,
        immediately: bool,
    ) -> Result<RegisteredProof, UseCaseError> {
        let read = self.read_proof(new)?;
        let mut work = authz_store::begin(&self.database).await?;
        let mut db = work.db();
        let client = self.client(&mut db, client_id).await?;
        let registered = self.keep_proof(&mut db, &actor, &client, read, immediately).await?;
        work.commit().await?;
        self.committed().await;
        Ok(registered)
    }

    /// Registers a client that never has a secret.
    pub async fn create_client_with(
        &self,
        actor: Actor,
        new: NewClient,
        proof: NewProof,
    ) -> Result<RegisteredProof, UseCaseError> {
        let read = self.read_proof(proof)?;
        let mut work = authz_store::begin(&self.database).await?;
        let mut db = work.db();
        let client = self.register(&mut db, &actor, new, ClientId::from_entropy(entropy()?)).await?;
        let registered = self.keep_proof(&mut db, &actor, &client, read, false).await?;
        work.commit().await?;
        self.committed().await;
        Ok(registered)
    }

    /// Checks what was handed in.
    fn read_proof(&self, new: NewProof) -> Result<ReadProof, UseCaseError> {
        let mut until = None;
        let proof = match new {
            NewProof::Keys(json) => Proof::Keys(ClientKeys::parse(&json)?),
            NewProof::KeysAt(address) => {
                let address = check_address(&address, &self.settings.client_keys.reach);
                Proof::KeysAt(address.map_err(UseCaseError::KeyAddress)?.to_string())
            }
            NewProof::KeyOf(certificate) => Proof::Keys(Certificate::parse(&certificate)?.keys()?),
            NewProof::Certificate(bytes) => {
                let certificate = Certificate::parse(&bytes)?;
                certificate.check_fit(self.now())?;
                until = Some(certificate.valid_until());
                Proof::Certificate(certificate.thumbprint())
            }
            NewProof::Subject(subject) => Proof::Subject(subject.parse::<CertificateSubject>()?),
        };
        // Or the client would be locked out: its secret ends.
        if self.settings.authentication_methods().contains(&proof.method().as_str()) {
            Ok(ReadProof { proof, until })
        } else {
            Err(UseCaseError::MethodNotOffered(proof.method()))
        }
    }

    async fn keep_proof(
        &self,
        db: &mut Db<'_>,
        actor: &Actor,
        client: &Client,
        read: ReadProof,
        immediately: bool,
    ) -> Result<RegisteredProof, UseCaseError> {
        let ReadProof { proof, until } = read;
        let now = self.now();
        client.may_rotate()?;
        let role = self.role(&client.role)?;
        let method = proof.method();
        let mode = if immediately {
            RotationMode::Immediately
        } else {
            RotationMode::Overlap(self.settings.overlap)
        };
        let current = secrets::of_client(db, client.id.as_str()).await?;
        let changed = supersede(current, method, mode, now).changed;
        for one in &changed {
            secrets::set_end(db, one).await?;
            if immediately {
                self.revoke_tokens_of(db, one, now).await?;
            }
        }
        let id = SecretId::from_entropy(entropy()?);
        let secret = Secret::register(id, client.id.clone(), proof, self.settings.secret_lifetime, now);
        let secret = until.into_iter().fold(secret, Secret::until);
        secrets::insert(db, &secret).await?;
        changes::append(db, &Change::Client(client.id.to_string()), now).await?;
        let details = vec![
            ("secret_id", secret.id.to_string()),
            ("method", method.to_string()),
            ("expires_at", secret.expires_at.format(&Rfc3339).unwrap_or_default()),
            ("immediately", immediately.to_string()),
            ("ended", changed.iter().map(|one| one.id.as_str()).collect::<Vec<_>>().join(" ")),
        ];
        self.audit(db, actor, Act::ProofRegistered, client.id.as_str(), details).await?;
        Ok(RegisteredProof {
            client_id: client.id.clone(),
            secret_id: secret.id,
            method,
            hint: secret.hint,
            issued_at: secret.issued_at,
            expires_at: secret.expires_at,
            token_url: self.settings.token_url(),
            scope: format!("{}/.default", role.resource),
            ended: changed
                .into_iter()
                .filter(|one| !one.is_live(now))
                .map(|one| EndedSecret { id: one.id, hint: one.hint })
                .collect(),
        })
    }
}

impl From<KeysRefused> for UseCaseError {
    fn from(refused: KeysRefused) -> Self {
        Self::Proof(refused.to_string())
    }
}

impl From<MalformedSubject> for UseCaseError {
    fn from(refused: MalformedSubject) -> Self {
        Self::Proof(refused.to_string())
    }
}

impl From<CertificateRefused> for UseCaseError {
    fn from(refused: CertificateRefused) -> Self {
        Self::Proof(refused.to_string())
    }
}
