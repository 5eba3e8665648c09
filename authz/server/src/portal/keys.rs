//! Keyed hashes and sealed texts of the portal, all under one key derived from the master key.

use aws_lc_rs::hmac;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::{AuthzKeys, SealError, seal};

/// What a keyed hash is over: the same text for two purposes has two hashes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Label {
    /// A form, bound to its cookie.
    Csrf,
    /// A session's cookie.
    Session,
    /// A one-time code, with its token's id.
    OneTimeCode,
    /// A recovery code, with its account.
    RecoveryCode,
    /// The question that a registration answers.
    Challenge,
    /// An address that mails are counted for.
    MailedAddress,
    /// The token of a mailed link to a secret.
    CredentialLink,
    /// What stands in the address of an organisation's calendar.
    Calendar,
    /// The key that seals.
    Seal,
}

impl Label {
    const fn word(self) -> &'static str {
        match self {
            Self::Csrf => "csrf",
            Self::Session => "session",
            Self::OneTimeCode => "one-time code",
            Self::RecoveryCode => "recovery code",
            Self::Challenge => "challenge",
            Self::MailedAddress => "mailed address",
            Self::CredentialLink => "credential link",
            Self::Calendar => "calendar",
            Self::Seal => "seal",
        }
    }
}

impl AuthzKeys {
    fn portal_tag(&self, label: Label, text: &str) -> hmac::Tag {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.portal.as_slice());
        hmac::sign(&key, format!("{}\0{text}", label.word()).as_bytes())
    }

    /// A keyed hash in hexadecimal.
    pub(crate) fn portal_hash(&self, label: Label, text: &str) -> String {
        hex::encode(self.portal_tag(label, text))
    }

    /// Whether `hash` is that of `text`, in constant time.
    pub(crate) fn portal_hash_is(&self, label: Label, text: &str, hash: &str) -> bool {
        self.portal_hash(label, text).as_bytes().ct_eq(hash.as_bytes()).into()
    }

    fn seal_key(&self) -> Zeroizing<[u8; 32]> {
        let mut key = Zeroizing::new([0; 32]);
        key.copy_from_slice(self.portal_tag(Label::Seal, "").as_ref());
        key
    }

    /// Seals a text for one row: it does not open in another.
    pub(crate) fn seal_for(&self, row: &str, text: &[u8]) -> Result<String, SealError> {
        seal::seal(&self.seal_key(), &format!("portal {row}"), text)
    }

    /// Opens what [`AuthzKeys::seal_for`] made.
    pub(crate) fn open_for(&self, row: &str, sealed: &str) -> Result<Zeroizing<Vec<u8>>, SealError> {
        seal::open(&self.seal_key(), &format!("portal {row}"), sealed)
    }
}
