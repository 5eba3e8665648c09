//! A person's account: who it is, how to reach them, and whether they may sign in.

use std::{fmt, str::FromStr};

use thiserror::Error;
use time::OffsetDateTime;

use crate::InvalidTransition;

/// Whether a person may sign in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountStatus {
    /// They may.
    Active,
    /// Ended by its owner, who can take it up again.
    Deactivated,
    /// Stopped by a reviewer; only a reviewer or an operator can undo it.
    Blocked,
}

impl AccountStatus {
    /// The word in lists and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Deactivated => "deactivated",
            Self::Blocked => "blocked",
        }
    }
}

impl fmt::Display for AccountStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for AccountStatus {
    type Err = ();

    fn from_str(word: &str) -> Result<Self, ()> {
        [Self::Active, Self::Deactivated, Self::Blocked]
            .into_iter()
            .find(|one| one.as_str() == word)
            .ok_or(())
    }
}

/// An account. The password's hash is not in here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its id.
    pub id: String,
    /// The name to sign in with; the address works as well.
    pub user_name: String,
    /// The address, as typed.
    pub email: EmailAddress,
    /// First name.
    pub first_name: String,
    /// Last name.
    pub last_name: String,
    /// Mobile phone, E.164.
    pub phone: Option<PhoneNumber>,
    /// Whether the phone was proven by a code and is used as second factor.
    pub phone_confirmed: bool,
    /// Another way to reach the person.
    pub second_contact: Option<String>,
    /// Language of e-mails (ISO 639-1).
    pub language: String,
    /// Whether they want mails that are not needed for their access.
    pub notifications: bool,
    /// Whether they may sign in.
    pub status: AccountStatus,
    /// Whether an authenticator app is enrolled.
    pub totp_enrolled: bool,
    /// Since when.
    pub created_at: OffsetDateTime,
}

impl Account {
    /// First and last name.
    pub fn full_name(&self) -> String {
        format!("{} {}", self.first_name, self.last_name)
    }

    /// Whether a second factor is there.
    pub const fn has_second_factor(&self) -> bool {
        self.totp_enrolled || self.phone_confirmed
    }

    /// Its status after its owner ended it.
    pub fn deactivate(&self) -> Result<AccountStatus, InvalidTransition> {
        self.step(AccountStatus::Active, AccountStatus::Deactivated, "deactivated")
    }

    /// Its status after its owner took it up again.
    pub fn reactivate(&self) -> Result<AccountStatus, InvalidTransition> {
        self.step(AccountStatus::Deactivated, AccountStatus::Active, "re-activated")
    }

    /// Its status after a reviewer stopped it.
    pub fn block(&self) -> Result<AccountStatus, InvalidTransition> {
        match self.status {
            AccountStatus::Blocked => {
                Err(InvalidTransition { what: "account", state: "blocked", act: "blocked" })
            }
            AccountStatus::Active | AccountStatus::Deactivated => Ok(AccountStatus::Blocked),
        }
    }

    /// Its status after a reviewer let its owner in again.
    pub fn unblock(&self) -> Result<AccountStatus, InvalidTransition> {
        self.step(AccountStatus::Blocked, AccountStatus::Active, "let in again")
    }

    fn step(
        &self,
        from: AccountStatus,
        to: AccountStatus,
        act: &'static str,
    ) -> Result<AccountStatus, InvalidTransition> {
        if self.status == from {
            Ok(to)
        } else {
            Err(InvalidTransition { what: "account", state: self.status.as_str(), act })
        }
    }
}

/// The longest address (RFC 5321 §4.5.3.1.3).
const MAX_ADDRESS_LENGTH: usize = 254;

/// A well-formed e-mail address. Two that differ in case only are the same person's.
#[derive(Clone, PartialEq, Eq)]
pub struct EmailAddress(String);

impl fmt::Debug for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EmailAddress(…)")
    }
}

impl EmailAddress {
    /// The address.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The form by which duplicates are found.
    pub fn key(&self) -> String {
        self.0.to_lowercase()
    }

    fn parts(&self) -> (&str, &str) {
        self.0.rsplit_once('@').unwrap_or((&self.0, ""))
    }
}

impl FromStr for EmailAddress {
    type Err = AddressRefused;

    fn from_str(text: &str) -> Result<Self, AddressRefused> {
        let text = text.trim();
        let (local, domain) = text.rsplit_once('@').ok_or(AddressRefused::Malformed)?;
        let sound_local = !local.is_empty()
            && local.len() <= 64
            && local.split('.').all(|atom| {
                !atom.is_empty()
                    && atom.chars().all(|c| c.is_alphanumeric() || "!#$%&'*+/=?^_`{|}~-".contains(c))
            });
        let sound_domain = domain.contains('.')
            && domain.split('.').all(|label| {
                (1..=63).contains(&label.len())
                    && !label.starts_with('-')
                    && !label.ends_with('-')
                    && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
            })
            && domain.rsplit('.').next().is_some_and(|last| last.chars().any(|c| c.is_ascii_alphabetic()));
        if sound_local && sound_domain && text.len() <= MAX_ADDRESS_LENGTH {
            Ok(Self(text.to_owned()))
        } else {
            Err(AddressRefused::Malformed)
        }
    }
}

/// Why an address cannot be that of an account (Annex B §2.1).
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AddressRefused {
    /// Not an address.
    #[error("Enter an e-mail address such as name.surname@yourcompany.com.")]
    Malformed,
    /// A mailbox of nobody in particular.
    #[error("This is a generic mailbox. Use your own work address, such as name.surname@yourcompany.com.")]
    Generic,
    /// A mailbox at a personal provider.
    #[error("Addresses of personal mail providers are not accepted. Use your work address.")]
    Personal,
}

/// Which addresses and names are refused: lists from the configuration.
#[derive(Clone, Debug, Default)]
pub struct RegistrationRules {
    /// Parts before `@` that belong to nobody.
    pub generic_mailboxes: Vec<String>,
    /// Personal providers, without their last label.
    pub personal_providers: Vec<String>,
    /// Words that are no part of a name.
    pub unreal_names: Vec<String>,
}

impl RegistrationRules {
    /// Whether an address may be that of an account.
    pub fn check_address(&self, address: &EmailAddress) -> Result<(), AddressRefused> {
        let key = address.key();
        let (local, domain) = EmailAddress(key).parts_owned();
        let bare = local.split('+').next().unwrap_or_default();
        let digits_off = bare.trim_end_matches(|c: char| c.is_ascii_digit());
        if self.generic_mailboxes.iter().any(|word| word == bare || word == digits_off) {
            return Err(AddressRefused::Generic);
        }
        // `gmail` covers gmail.com and mail.yahoo.co.uk by any of its labels but the last.
        let labels: Vec<&str> = domain.split('.').collect();
        let owners = labels.split_last().map_or(&[][..], |(_, rest)| rest);
        let owner = owners.iter().rev().find(|label| label.len() > 3 || owners.len() == 1);
        if owner.is_some_and(|label| self.personal_providers.iter().any(|word| word == label)) {
            return Err(AddressRefused::Personal);
        }
        Ok(())
    }

    /// Whether a first or last name can be a person's.
    pub fn check_name(&self, name: &str) -> Result<String, NameRefused> {
        let name = name.trim();
        if name.is_empty() || name.chars().count() > 100 {
            return Err(NameRefused::Length);
        }
        if !name.chars().all(|c| c.is_alphabetic() || c == ' ' || "'’-.·".contains(c) || is_mark(c)) {
            return Err(NameRefused::Characters);
        }
        let unreal = |word: &str| self.unreal_names.iter().any(|one| one == &word.to_lowercase());
        if name.split_whitespace().all(unreal) {
            return Err(NameRefused::Unreal);
        }
        Ok(name.to_owned())
    }
}

/// Combining marks, which many names are written with.
fn is_mark(c: char) -> bool {
    matches!(c, '\u{0300}'..='\u{036f}' | '\u{0900}'..='\u{0dff}')
}

impl EmailAddress {
    fn parts_owned(&self) -> (String, String) {
        let (local, domain) = self.parts();
        (local.to_owned(), domain.to_owned())
    }
}

/// Why a name is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NameRefused {
    /// Empty or too long.
    #[error("Enter a name of 1 to 100 characters.")]
    Length,
    /// Not letters.
    #[error("A name has letters, spaces, hyphens and apostrophes only.")]
    Characters,
    /// No person's name.
    #[error("Enter your real name: accounts belong to persons.")]
    Unreal,
}

/// A phone number in E.164: `+`, country code, number.
#[derive(Clone, PartialEq, Eq)]
pub struct PhoneNumber(String);

impl fmt::Debug for PhoneNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PhoneNumber(…)")
    }
}

impl PhoneNumber {
    /// `+` and digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The last two digits, for a hint.
    pub fn hint(&self) -> String {
        format!("…{}", &self.0[self.0.len().saturating_sub(2)..])
    }
}

impl FromStr for PhoneNumber {
    type Err = PhoneRefused;

    fn from_str(text: &str) -> Result<Self, PhoneRefused> {
        let kept: String =
            text.trim().chars().filter(|c| !matches!(c, ' ' | '-' | '(' | ')' | '.')).collect();
        let digits = kept.strip_prefix('+').ok_or(PhoneRefused)?;
        let sound = (7..=15).contains(&digits.len())
            && digits.bytes().all(|byte| byte.is_ascii_digit())
            && !digits.starts_with('0');
        if sound { Ok(Self(kept)) } else { Err(PhoneRefused) }
    }
}

/// Not a number in E.164.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("Begin with + and the country code, such as +31 6 1234 5678.")]
pub struct PhoneRefused;

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> RegistrationRules {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect();
        RegistrationRules {
            generic_mailboxes: words("info contact admin noreply no-reply"),
            personal_providers: words("gmail yahoo hotmail gmx me"),
            unreal_names: words("info desk admin"),
        }
    }

    fn verdict(text: &str) -> Result<(), AddressRefused> {
        text.parse::<EmailAddress>().and_then(|address| rules().check_address(&address))
    }

    #[test]
    fn a_work_address_of_a_person_is_taken() {
        for sound in
            ["ana.silva@fable-pharma.example", "o'brien+x@x.example", "j@sub.gov.example", "me@medco.eu"]
        {
            assert_eq!(verdict(sound), Ok(()), "{sound}");
        }
    }

    #[test]
    fn generic_and_personal_mailboxes_are_refused() {
        for generic in ["info@x.example", "INFO@x.example", "info2@x.example", "no-reply+a@x.example"] {
            assert_eq!(verdict(generic), Err(AddressRefused::Generic), "{generic}");
        }
        for personal in ["ana@gmail.com", "ana@GMX.de", "ana@yahoo.co.uk", "ana@mail.yahoo.com", "ana@me.com"]
        {
            assert_eq!(verdict(personal), Err(AddressRefused::Personal), "{personal}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let long = format!("{}@x.example", "a".repeat(65));
        for wrong in [
            "",
            "ana",
            "@x.example",
            "ana@",
            "ana@x",
            "a b@x.example",
            "ana@x..example",
            "ana@-x.example",
            "ana@x.example\r\nBcc: b@x.example",
            ".a@x.example",
            "ana@x.1",
            "a@@x.example",
            &long,
        ] {
            assert_eq!(verdict(wrong), Err(AddressRefused::Malformed), "{wrong:?}");
        }
    }

    #[test]
    fn names_are_those_of_persons() {
        for sound in ["Ana", "José María", "O’Brien", "Łukasz", "Σελήνη", "Smith-Jones", "van der Berg"]
        {
            assert!(rules().check_name(sound).is_ok(), "{sound}");
        }
        assert_eq!(rules().check_name("Info Desk"), Err(NameRefused::Unreal));
        assert_eq!(rules().check_name("<b>Ana</b>"), Err(NameRefused::Characters));
        assert_eq!(rules().check_name(" "), Err(NameRefused::Length));
    }

    #[test]
    fn phones_are_in_e164() {
        assert_eq!("+31 6 1234-5678".parse::<PhoneNumber>().unwrap().as_str(), "+31612345678");
        for wrong in ["0612345678", "+0612345678", "+31", "+31a612345678", "+1234567890123456"] {
            assert!(wrong.parse::<PhoneNumber>().is_err(), "{wrong}");
        }
    }
}
