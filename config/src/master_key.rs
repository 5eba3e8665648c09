//! The master key: one secret from which every other key that is not stored is derived.

use std::{
    fmt,
    fs::{self, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use aws_lc_rs::{hkdf, rand};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

/// What a derived key is for. Keys for different purposes tell nothing about each other (HKDF, RFC 5869).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// HMAC over client secrets before they are stored.
    ClientSecretPepper,
    /// AEAD over private signing keys before they are stored.
    SigningKeySeal,
    /// HMAC over the caller context between gateway and backend.
    CallerContext,
    /// What a gateway shows to follow the revocation feed.
    RevocationFeed,
    /// HMAC over paging cursors.
    PageCursor,
    /// HMAC over the records of the audit trail.
    AuditChain,
    /// HMAC over the gateways' records of who read what.
    ReadTrail,
    /// HMAC that makes nonces for DPoP proofs.
    DpopNonce,
    /// HMAC over the portal's sessions, forms and one-time tokens, and AEAD over what its rows hide.
    Portal,
}

impl Purpose {
    const fn label(self) -> &'static [u8] {
        match self {
            Self::ClientSecretPepper => b"pmsgate client secret pepper v1",
            Self::SigningKeySeal => b"pmsgate signing key seal v1",
            Self::CallerContext => b"pmsgate caller context v1",
            Self::RevocationFeed => b"pmsgate revocation feed v1",
            Self::PageCursor => b"pmsgate page cursor v1",
            Self::AuditChain => b"pmsgate audit chain v1",
            Self::ReadTrail => b"pmsgate read trail v1",
            Self::DpopNonce => b"pmsgate dpop nonce v1",
            Self::Portal => b"pmsgate portal v1",
        }
    }
}

/// 256 random bits. `Debug` shows nothing.
#[derive(Clone)]
pub struct MasterKey(Zeroizing<[u8; 32]>);

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(…)")
    }
}

/// The file in the data folder that holds a master key made on first start.
const FILE: &str = "master.key";

impl MasterKey {
    /// A key of given bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Reads 32 bytes in Base64 or hexadecimal.
    pub fn parse(text: &str, place: &str) -> Result<Self, MasterKeyError> {
        let text = text.trim();
        let bytes = Zeroizing::new(
            hex::decode(text)
                .ok()
                .or_else(|| STANDARD.decode(text).ok())
                .ok_or_else(|| MasterKeyError::Malformed(place.to_owned()))?,
        );
        let key: [u8; 32] =
            bytes.as_slice().try_into().map_err(|_| MasterKeyError::Malformed(place.to_owned()))?;
        Ok(Self::from_bytes(key))
    }

    /// The key from `PMSGATE_MASTER_KEY`, else from the file named by `PMSGATE_MASTER_KEY_FILE`, else from
    /// `master.key` in the data folder, which is made (mode 0600) when missing and never overwritten. Answers also
    /// the file that was made, if one was.
    pub fn load_or_create(data_dir: &Path) -> Result<(Self, Option<PathBuf>), MasterKeyError> {
        if let Some(given) = Self::given()? {
            return Ok((given, None));
        }
        let path = data_dir.join(FILE);
        match Self::create(&path) {
            Ok(key) => Ok((key, Some(path))),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok((Self::read(&path)?, None)),
            Err(error) => Err(MasterKeyError::unusable(&path, &error)),
        }
    }

    /// The key that the environment gives or names, if it does.
    ///
    /// # Errors
    /// When that is none.
    pub fn given() -> Result<Option<Self>, MasterKeyError> {
        if let Ok(text) = std::env::var("PMSGATE_MASTER_KEY") {
            return Self::parse(&text, "PMSGATE_MASTER_KEY").map(Some);
        }
        let file = std::env::var("PMSGATE_MASTER_KEY_FILE").ok();
        file.map(|path| Self::read(Path::new(&path))).transpose()
    }

    fn read(path: &Path) -> Result<Self, MasterKeyError> {
        let text = fs::read_to_string(path).map_err(|error| MasterKeyError::unusable(path, &error))?;
        Self::parse(&Zeroizing::new(text), &path.display().to_string())
    }

    /// Writes a new key beside its place and links it there, so that a crash never leaves half a key and of two
    /// programs starting at once one key wins.
    fn create(path: &Path) -> io::Result<Self> {
        if path.try_exists()? {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let mut bytes = Zeroizing::new([0; 32]);
        rand::fill(bytes.as_mut_slice()).map_err(|_| io::Error::other("no randomness"))?;
        let text = Zeroizing::new(STANDARD.encode(bytes.as_slice()) + "\n");
        let draft = path.with_extension(format!("draft-{}", std::process::id()));
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&draft)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        let linked = fs::hard_link(&draft, path);
        fs::remove_file(&draft)?;
        linked.map(|()| Self(bytes))
    }

    /// The key for one purpose.
    pub fn derive(&self, purpose: Purpose) -> Zeroizing<[u8; 32]> {
        let mut out = Zeroizing::new([0; 32]);
        let salt = hkdf::Salt::new(hkdf::HKDF_SHA256, b"pmsgate");
        let derived = salt
            .extract(self.0.as_slice())
            .expand(&[purpose.label()], hkdf::HKDF_SHA256)
            .and_then(|okm| okm.fill(out.as_mut_slice()));
        // HKDF refuses only outputs longer than 255 hashes.
        debug_assert!(derived.is_ok());
        out
    }
}

/// A master key that cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MasterKeyError {
    /// Not 32 bytes in Base64 or hexadecimal.
    #[error(
        "{0}: a master key is 32 random bytes in Base64 or hexadecimal (make one: openssl rand -base64 32)"
    )]
    Malformed(String),
    /// Another key than the one the database was made with.
    #[error(
        "this is not the master key that the database was made with: give that one in PMSGATE_MASTER_KEY, in the \
         file named by PMSGATE_MASTER_KEY_FILE, or as master.key in the data folder"
    )]
    Wrong,
    /// The file cannot be read or made.
    #[error("{path}: the master key cannot be read or made ({reason})")]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
}

impl MasterKeyError {
    fn unusable(path: &Path, error: &io::Error) -> Self {
        Self::Unusable { path: path.to_owned(), reason: error.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn purposes_have_different_keys_and_the_same_one_each_time() {
        let key = MasterKey::from_bytes([7; 32]);
        let all = [
            Purpose::ClientSecretPepper,
            Purpose::SigningKeySeal,
            Purpose::CallerContext,
            Purpose::RevocationFeed,
            Purpose::PageCursor,
            Purpose::AuditChain,
            Purpose::Portal,
        ];
        for (i, a) in all.iter().enumerate() {
            assert_eq!(key.derive(*a), key.derive(*a));
            assert_ne!(*key.derive(*a), [0; 32]);
            for b in &all[i + 1..] {
                assert_ne!(key.derive(*a), key.derive(*b));
            }
        }
    }

    #[test]
    fn base64_and_hexadecimal_mean_the_same_and_the_rest_is_refused() {
        let hexadecimal = "07".repeat(32);
        let key = MasterKey::parse(&hexadecimal, "here").unwrap();
        assert_eq!(*key.0, [7; 32]);
        assert_eq!(*MasterKey::parse(&STANDARD.encode([7; 32]), "here").unwrap().0, [7; 32]);
        for wrong in ["", "hush", &"07".repeat(31), &STANDARD.encode([7; 33])] {
            let error = MasterKey::parse(wrong, "here").unwrap_err();
            assert_eq!(error, MasterKeyError::Malformed("here".to_owned()));
        }
        assert_eq!(format!("{key:?}"), "MasterKey(…)");
    }

    #[test]
    fn a_key_file_is_made_once_with_safe_modes_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        let made = MasterKey::create(&path).unwrap();
        assert_eq!(MasterKey::create(&path).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(MasterKey::read(&path).unwrap().0, made.0);
        #[cfg(unix)]
        assert_eq!(std::os::unix::fs::MetadataExt::mode(&fs::metadata(&path).unwrap()) & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
