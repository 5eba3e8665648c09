//! One-time tokens: made, mailed, and checked with few tries.

use authz_store::{one_time_tokens, one_time_tokens::OneTimeToken};
use database::Db;
use time::Duration;

use super::{UseCaseError, UseCases};
use crate::{entropy::entropy, portal::keys::Label};

/// Wrong tries of one token.
pub(crate) const MAX_TRIES: i64 = 5;
/// Tokens that one subject, or one address that nobody confirmed, is sent in an hour.
const MAX_AN_HOUR: i64 = 6;

/// What a token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    ConfirmAddress,
    ResetPassword,
    Reactivate,
    ConfirmPhone,
    SignInByText,
}

impl Purpose {
    const fn word(self) -> &'static str {
        match self {
            Self::ConfirmAddress => "confirm-address",
            Self::ResetPassword => "reset-password",
            Self::Reactivate => "reactivate",
            Self::ConfirmPhone => "confirm-phone",
            Self::SignInByText => "sign-in-by-text",
        }
    }
}

/// A new token.
pub(crate) struct IssuedToken {
    /// For addresses and hidden fields.
    pub(crate) id: String,
    /// For the mail: eight digits in two groups.
    pub(crate) code: String,
    /// Whether the subject was sent too many already; then the token does not work and must not be mailed.
    pub(crate) too_many: bool,
}

/// What a code was worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CodeVerdict {
    Right,
    Wrong,
    /// Used, lapsed, tried too often, or never there.
    Over,
}

impl UseCases {
    /// Makes a token for a subject, which ends its earlier ones. Without a subject it is made as well and never works.
    pub(crate) async fn issue_token(
        &self,
        db: &mut Db<'_>,
        purpose: Purpose,
        subject: Option<&str>,
    ) -> Result<IssuedToken, UseCaseError> {
        self.issue_counted(db, purpose, subject, subject.unwrap_or_default()).await
    }

    /// The same for an address that anybody may have typed: every token to it counts, whoever asks and whatever the mail
    /// says.
    pub(crate) async fn issue_token_to(
        &self,
        db: &mut Db<'_>,
        purpose: Purpose,
        subject: Option<&str>,
        address: &str,
    ) -> Result<IssuedToken, UseCaseError> {
        let counted_for = self.keys.portal_hash(Label::MailedAddress, &address.to_lowercase());
        self.issue_counted(db, purpose, subject, &counted_for).await
    }

    async fn issue_counted(
        &self,
        db: &mut Db<'_>,
        purpose: Purpose,
        subject: Option<&str>,
        counted_for: &str,
    ) -> Result<IssuedToken, UseCaseError> {
        let now = self.now();
        let id = hex::encode(entropy::<16>()?);
        // 26.5 bits: with five tries a token and six tokens an hour, guessing takes millennia.
        let number = u64::from_be_bytes(entropy::<8>()?) % 100_000_000;
        let code = format!("{:04}-{:04}", number / 10_000, number % 10_000);
        let sent = one_time_tokens::sent_since(db, counted_for, purpose.word(), now - Duration::HOUR).await?;
        // Tokens for nobody go nowhere.
        let too_many = !counted_for.is_empty() && sent >= MAX_AN_HOUR;
        // The last one that was sent stays good when no other follows it.
        if !too_many {
            one_time_tokens::end_earlier(db, subject.unwrap_or(&id), purpose.word(), now).await?;
        }
        let token = OneTimeToken {
            code_hash: self.keys.portal_hash(Label::OneTimeCode, &hashed(&id, &code)),
            id: id.clone(),
            purpose: purpose.word().to_owned(),
            subject: subject.filter(|_| !too_many).map(str::to_owned),
            counted_for: if too_many { String::new() } else { counted_for.to_owned() },
            created_at: now,
            expires_at: now + self.settings.portal.token_lifetime,
            tries: 0,
            used: false,
        };
        one_time_tokens::insert(db, &token).await?;
        Ok(IssuedToken { id, code, too_many })
    }

    /// Ends what a subject was sent for a purpose: it was about something that is so no more.
    pub(crate) async fn end_tokens(
        &self,
        db: &mut Db<'_>,
        purpose: Purpose,
        subject: &str,
    ) -> Result<(), UseCaseError> {
        Ok(one_time_tokens::end_earlier(db, subject, purpose.word(), self.now()).await?)
    }

    /// Checks a code, counts a wrong one, and uses a right one up. A right code of a token for nobody is wrong.
    pub(crate) async fn use_token(
        &self,
        db: &mut Db<'_>,
        purpose: Purpose,
        id: &str,
        typed: &str,
    ) -> Result<(CodeVerdict, Option<String>), UseCaseError> {
        let now = self.now();
        let found = one_time_tokens::find(db, id).await?.filter(|token| token.purpose == purpose.word());
        let Some(token) = found else { return Ok((CodeVerdict::Over, None)) };
        if token.used || token.expires_at <= now || token.tries >= MAX_TRIES {
            return Ok((CodeVerdict::Over, None));
        }
        let digits: String = typed.chars().filter(char::is_ascii_digit).collect();
        let code = match digits.split_at_checked(4) {
            Some((left, right)) => format!("{left}-{right}"),
            None => String::new(),
        };
        let right = self.keys.portal_hash_is(Label::OneTimeCode, &hashed(id, &code), &token.code_hash);
        match token.subject {
            Some(subject) if right => {
                if one_time_tokens::use_up(db, id, now).await? {
                    Ok((CodeVerdict::Right, Some(subject)))
                } else {
                    Ok((CodeVerdict::Over, None))
                }
            }
            _ => {
                one_time_tokens::count_try(db, id).await?;
                Ok((CodeVerdict::Wrong, None))
            }
        }
    }
}

fn hashed(id: &str, code: &str) -> String {
    format!("{id}\0{code}")
}
