//! One credential's life: live from its issue until it expires, retires after a rotation, or is revoked. Most are
//! secrets; a registered key lives by the same rules.

use time::{Date, Duration, Month, OffsetDateTime};

use crate::{ClientId, ClientSecret, InvalidTransition, Proof, SecretId, SecretPepper};

/// How long a secret lives from its issue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretLifetime {
    /// So many calendar years, to the second, in UTC; 29 February becomes 28 February where the year has none.
    CalendarYears(u8),
    /// Exactly this long.
    Exactly(Duration),
}

impl SecretLifetime {
    /// Two calendar years, as the seeds have it.
    pub const DEFAULT: Self = Self::CalendarYears(2);

    /// The instant from which a secret issued at `issued_at` is expired.
    pub fn expires_at(self, issued_at: OffsetDateTime) -> OffsetDateTime {
        match self {
            Self::CalendarYears(years) => add_calendar_years(issued_at, years),
            Self::Exactly(lifetime) => issued_at.saturating_add(lifetime),
        }
    }
}

fn add_calendar_years(instant: OffsetDateTime, years: u8) -> OffsetDateTime {
    let year = instant.year() + i32::from(years);
    let date = Date::from_calendar_date(year, instant.month(), instant.day())
        .or_else(|_| Date::from_calendar_date(year, Month::February, 28));
    // Past the last year that a date can hold there is no later instant to give.
    date.map_or(instant, |date| instant.replace_date(date))
}

/// What a secret is good for at some instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretState {
    /// It authenticates its client.
    Live,
    /// Its lifetime is over.
    Expired,
    /// A successor took its place and the overlap is over.
    Retired,
    /// It was ended on purpose.
    Revoked,
}

impl SecretState {
    /// The word used in lists.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Expired => "expired",
            Self::Retired => "retired",
            Self::Revoked => "revoked",
        }
    }
}

/// What is kept of a secret, or of what is registered in place of one. The text itself is not among it.
#[derive(Clone, Debug)]
pub struct Secret {
    /// Names the secret in lists and tokens.
    pub id: SecretId,
    /// Whose secret it is.
    pub client_id: ClientId,
    /// The first characters, or the name of a key, for people.
    pub hint: String,
    /// What it is known by.
    pub proof: Proof,
    /// When it was assigned, in whole seconds.
    pub issued_at: OffsetDateTime,
    /// The instant from which it is expired.
    pub expires_at: OffsetDateTime,
    /// The instant from which a rotation ends it; never after `expires_at`.
    pub retires_at: Option<OffsetDateTime>,
    /// When it was ended on purpose.
    pub revoked_at: Option<OffsetDateTime>,
    /// When it last authenticated its client; flushed in batches, so it may lag by seconds.
    pub last_used_at: Option<OffsetDateTime>,
}

impl Secret {
    /// The record of a new secret for `client_id`, issued at `now` cut to the second.
    pub fn issue(
        id: SecretId,
        client_id: ClientId,
        text: &ClientSecret,
        pepper: &SecretPepper,
        lifetime: SecretLifetime,
        now: OffsetDateTime,
    ) -> Self {
        let proof = Proof::Secret(pepper.hash(text.expose()));
        Self { hint: text.hint(), ..Self::register(id, client_id, proof, lifetime, now) }
    }

    /// The record of what `client_id` registers to prove itself by, at `now` cut to the second.
    pub fn register(
        id: SecretId,
        client_id: ClientId,
        proof: Proof,
        lifetime: SecretLifetime,
        now: OffsetDateTime,
    ) -> Self {
        let issued_at = now.replace_nanosecond(0).unwrap_or(now);
        Self {
            id,
            client_id,
            hint: proof.hint(),
            proof,
            issued_at,
            expires_at: lifetime.expires_at(issued_at),
            retires_at: None,
            revoked_at: None,
            last_used_at: None,
        }
    }

    /// The same, where what was registered ends by itself before.
    #[must_use]
    pub fn until(self, end: OffsetDateTime) -> Self {
        Self { expires_at: self.expires_at.min(end), ..self }
    }

    /// What the secret is good for at `now`.
    pub fn state(&self, now: OffsetDateTime) -> SecretState {
        if self.revoked_at.is_some_and(|at| at <= now) {
            SecretState::Revoked
        } else if self.retires_at.is_some_and(|at| at <= now && at < self.expires_at) {
            SecretState::Retired
        } else if self.expires_at <= now {
            SecretState::Expired
        } else {
            SecretState::Live
        }
    }

    /// Whether the secret authenticates its client at `now`.
    pub fn is_live(&self, now: OffsetDateTime) -> bool {
        self.state(now) == SecretState::Live
    }

    /// The instant after which neither the secret nor any token bought with it may work, unless it is revoked before.
    pub fn ends_at(&self) -> OffsetDateTime {
        self.retires_at.map_or(self.expires_at, |at| at.min(self.expires_at))
    }

    /// The secret, ended at `now`. One that is no longer live cannot be ended again.
    pub fn revoke(mut self, now: OffsetDateTime) -> Result<Self, InvalidTransition> {
        match self.state(now) {
            SecretState::Live => {
                self.revoked_at = Some(now);
                Ok(self)
            }
            state => {
                let what = self.proof.method().noun();
                Err(InvalidTransition { what, state: state.as_str(), act: "revoked" })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use time::macros::datetime;

    use super::*;

    fn secret(now: OffsetDateTime) -> Secret {
        Secret::issue(
            SecretId::from_entropy([1; 16]),
            ClientId::from_entropy([2; 16]),
            &ClientSecret::from_entropy(&[3; 32]),
            &SecretPepper::new(&[4; 32]),
            SecretLifetime::DEFAULT,
            now,
        )
    }

    #[test]
    fn a_secret_lives_two_calendar_years_to_the_second() {
        let secret = secret(datetime!(2026-03-05 12:34:56.789 UTC));
        assert_eq!(secret.issued_at, datetime!(2026-03-05 12:34:56 UTC));
        assert_eq!(secret.expires_at, datetime!(2028-03-05 12:34:56 UTC));
        assert_eq!(secret.state(datetime!(2028-03-05 12:34:55.999 UTC)), SecretState::Live);
        assert_eq!(secret.state(datetime!(2028-03-05 12:34:56 UTC)), SecretState::Expired);
    }

    #[test]
    fn the_leap_day_becomes_the_28th() {
        assert_eq!(secret(datetime!(2028-02-29 23:59:59 UTC)).expires_at, datetime!(2030-02-28 23:59:59 UTC));
        let four = SecretLifetime::CalendarYears(4);
        assert_eq!(four.expires_at(datetime!(2028-02-29 0:00 UTC)), datetime!(2032-02-29 0:00 UTC));
    }

    #[test]
    fn whatever_ended_a_secret_first_is_its_state() {
        let now = datetime!(2026-01-01 0:00 UTC);
        let mut retiring = secret(now);
        retiring.retires_at = Some(datetime!(2026-02-01 0:00 UTC));
        assert_eq!(retiring.state(datetime!(2026-01-31 23:59 UTC)), SecretState::Live);
        assert_eq!(retiring.state(datetime!(2026-02-01 0:00 UTC)), SecretState::Retired);
        assert_eq!(retiring.ends_at(), datetime!(2026-02-01 0:00 UTC));

        let mut to_the_end = secret(now);
        to_the_end.retires_at = Some(to_the_end.expires_at);
        assert_eq!(to_the_end.state(to_the_end.expires_at), SecretState::Expired);

        let revoked = retiring.revoke(datetime!(2026-01-02 0:00 UTC)).unwrap();
        assert_eq!(revoked.state(datetime!(2026-03-01 0:00 UTC)), SecretState::Revoked);
        assert!(revoked.revoke(datetime!(2026-01-03 0:00 UTC)).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn two_years_later_is_the_same_second_of_the_same_or_the_28th_day(unix in 0_i64..4_102_444_800) {
            let issued_at = OffsetDateTime::from_unix_timestamp(unix).unwrap();
            let expires_at = SecretLifetime::DEFAULT.expires_at(issued_at);
            prop_assert_eq!(expires_at.time(), issued_at.time());
            prop_assert_eq!(expires_at.year(), issued_at.year() + 2);
            prop_assert_eq!(expires_at.month(), issued_at.month());
            let leap_day = issued_at.month() == Month::February && issued_at.day() == 29;
            prop_assert_eq!(expires_at.day(), if leap_day { 28 } else { issued_at.day() });
        }
    }
}
