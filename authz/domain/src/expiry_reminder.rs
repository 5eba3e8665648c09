//! Which reminder of a secret's end is due: each step once, after downtime the latest only, none when it is settled.

use std::{fmt, str::FromStr};

use time::{Duration, OffsetDateTime};

use crate::{Secret, SecretState};

/// A step on the way to a secret's end: so many days before, or the end itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReminderStep(u16);

impl ReminderStep {
    /// The end itself.
    pub const ENDED: Self = Self(0);
    /// Every step, the earliest first.
    pub const ALL: [Self; 7] = [Self(90), Self(60), Self(30), Self(14), Self(7), Self(1), Self::ENDED];

    /// How many days before the end; 0 for the end itself.
    pub const fn days(self) -> u16 {
        self.0
    }

    /// When it is reached on the way to `end`.
    pub fn reached_at(self, end: OffsetDateTime) -> OffsetDateTime {
        end.saturating_sub(Duration::days(i64::from(self.0)))
    }
}

impl fmt::Display for ReminderStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.write_str("ended"),
            days => write!(f, "{days}d"),
        }
    }
}

/// A word that names no step.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no reminder {0:?}")]
pub struct UnknownStep(String);

impl FromStr for ReminderStep {
    type Err = UnknownStep;

    fn from_str(word: &str) -> Result<Self, UnknownStep> {
        Self::ALL
            .into_iter()
            .find(|step| step.to_string() == word)
            .ok_or_else(|| UnknownStep(word.to_owned()))
    }
}

/// Times of one act differ by so much: secrets are issued at whole seconds, and retire at the instant.
const OF_ONE_ACT: Duration = Duration::MINUTE;

/// The reminder of a secret's end that is due at `now`, when `sent` went out before. `newer` are the secrets that the
/// same client was given after this one.
///
/// - Of the steps reached, only the latest counts: what was missed during a downtime is not made up for.
/// - A step that was reached before anybody could have wanted it is none: before the secret was issued (its lifetime
///   is short), or before its successor was (whoever rotates knows, also within the minute).
/// - A successor that was used settles it, and one that has itself ended is what to talk about.
pub fn due_reminder(
    secret: &Secret,
    newer: &[Secret],
    sent: &[ReminderStep],
    now: OffsetDateTime,
) -> Option<ReminderStep> {
    let successors = || newer.iter().filter(|one| one.revoked_at.is_none());
    let state = secret.state(now);
    if state == SecretState::Revoked
        || (state == SecretState::Retired && successors().next().is_none())
        || successors().any(|one| one.last_used_at.is_some() || !one.is_live(now))
    {
        return None;
    }
    let end = secret.ends_at();
    let known_since = successors().map(|one| one.issued_at).max().unwrap_or(secret.issued_at);
    ReminderStep::ALL
        .into_iter()
        .rfind(|step| step.reached_at(end) <= now)
        .filter(|step| step.reached_at(end) > known_since + OF_ONE_ACT && !sent.contains(step))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use time::macros::datetime;

    use super::*;
    use crate::{ClientId, ClientSecret, SecretId, SecretLifetime, SecretPepper};

    const START: OffsetDateTime = datetime!(2026-01-01 0:00 UTC);

    fn secret(number: u8, issued_at: OffsetDateTime, lifetime: Duration) -> Secret {
        Secret::issue(
            SecretId::from_entropy([number; 16]),
            ClientId::from_entropy([1; 16]),
            &ClientSecret::from_entropy(&[number; 32]),
            &SecretPepper::new(&[0; 32]),
            SecretLifetime::Exactly(lifetime),
            issued_at,
        )
    }

    fn due(secret: &Secret, newer: &[Secret], sent: &[ReminderStep], days: i64) -> Option<u16> {
        due_reminder(secret, newer, sent, START + Duration::days(days)).map(ReminderStep::days)
    }

    #[test]
    fn each_step_is_due_from_its_day_on_and_once() {
        let secret = secret(1, START, Duration::days(730));
        for (day, step) in [
            (639, None),
            (640, Some(90)),
            (699, Some(60)),
            (700, Some(30)),
            (716, Some(14)),
            (723, Some(7)),
            (729, Some(1)),
            (730, Some(0)),
            (2000, Some(0)),
        ] {
            assert_eq!(due(&secret, &[], &[], day), step, "day {day}");
        }
        assert_eq!(due(&secret, &[], &[ReminderStep(90)], 641), None);
        assert_eq!(
            due(&secret, &[], &[ReminderStep(90)], 729),
            Some(1),
            "what was missed is not made up for"
        );
    }

    #[test]
    fn a_short_life_has_no_steps_from_before_it() {
        let secret = secret(1, START, Duration::days(30));
        assert_eq!(due(&secret, &[], &[], 0), None, "30 days before is the day of issue");
        assert_eq!(due(&secret, &[], &[], 15), None);
        assert_eq!(due(&secret, &[], &[], 16), Some(14));
    }

    #[test]
    fn a_successor_in_use_settles_it_and_one_that_waits_does_not() {
        let mut old = secret(1, START, Duration::days(730));
        let mut new = secret(2, START + Duration::days(641), Duration::days(730));
        // An instant has parts of a second, an issue has not.
        old.retires_at = Some(START + Duration::days(671) + Duration::milliseconds(400));
        assert_eq!(due(&old, std::slice::from_ref(&new), &[], 642), None, "the day of rotation is known");
        assert_eq!(due(&old, std::slice::from_ref(&new), &[], 671), Some(1));
        assert_eq!(
            due(&old, std::slice::from_ref(&new), &[], 672),
            Some(0),
            "it retired, and nobody switched"
        );
        new.last_used_at = Some(START + Duration::days(650));
        assert_eq!(due(&old, &[new], &[], 670), None);
        assert_eq!(due(&old, &[], &[], 700), None, "retired, and the successor is gone on purpose");
    }

    #[test]
    fn of_two_that_have_ended_the_newer_one_is_talked_about() {
        let old = secret(1, START, Duration::days(100));
        let new = secret(2, START + Duration::days(10), Duration::days(100));
        assert_eq!(due(&old, std::slice::from_ref(&new), &[], 105), Some(0));
        assert_eq!(due(&old, std::slice::from_ref(&new), &[], 300), None);
        assert_eq!(due(&new, &[], &[], 300), Some(0));
        let revoked = old.clone().revoke(START).unwrap();
        assert_eq!(due(&revoked, &[], &[], 99), None);
    }

    #[test]
    fn a_step_reads_as_it_is_written() {
        for step in ReminderStep::ALL {
            assert_eq!(step.to_string().parse(), Ok(step));
        }
        assert!("2d".parse::<ReminderStep>().is_err());
    }

    /// What may happen between two looks at the clock.
    #[derive(Clone, Copy, Debug)]
    enum Happens {
        Nothing,
        Rotated,
        Used,
        Revoked,
    }

    fn history() -> impl Strategy<Value = Vec<(i64, Happens)>> {
        let happens = prop_oneof![
            6 => Just(Happens::Nothing),
            1 => Just(Happens::Rotated),
            1 => Just(Happens::Used),
            1 => Just(Happens::Revoked),
        ];
        prop::collection::vec((0_i64..200, happens), 1..25)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn whatever_happens_each_step_goes_out_at_most_once_and_only_while_it_helps(
            history in history(), lifetime in 20_i64..800
        ) {
            let mut now = START;
            // Oldest first, with what was sent for each.
            let mut secrets = vec![(secret(0, now, Duration::days(lifetime)), Vec::<ReminderStep>::new())];
            for (days, happens) in history {
                now += Duration::days(days);
                let newest = secrets.len() - 1;
                match happens {
                    Happens::Nothing => {}
                    Happens::Rotated => {
                        let end = secrets[newest].0.ends_at().min(now + Duration::days(30));
                        if secrets[newest].0.is_live(now) {
                            secrets[newest].0.retires_at = Some(end);
                        }
                        let number = u8::try_from(secrets.len()).unwrap();
                        secrets.push((secret(number, now, Duration::days(lifetime)), Vec::new()));
                    }
                    Happens::Used => {
                        if secrets[newest].0.is_live(now) {
                            secrets[newest].0.last_used_at = Some(now);
                        }
                    }
                    Happens::Revoked => {
                        if let Ok(revoked) = secrets[newest].0.clone().revoke(now) {
                            secrets[newest].0 = revoked;
                        }
                    }
                }
                for index in 0..secrets.len() {
                    let newer: Vec<Secret> = secrets[index + 1..].iter().map(|(one, _)| one.clone()).collect();
                    let (one, sent) = &secrets[index];
                    let Some(step) = due_reminder(one, &newer, sent, now) else { continue };
                    // Once, never early, never an earlier step after a later one of the same end.
                    prop_assert!(!sent.contains(&step));
                    prop_assert!(step.reached_at(one.ends_at()) <= now);
                    prop_assert!(step.reached_at(one.ends_at()) > one.issued_at);
                    prop_assert!(one.revoked_at.is_none());
                    prop_assert!(!newer.iter().any(|new| new.revoked_at.is_none() && new.last_used_at.is_some()));
                    // The latest reached: the next one is still to come.
                    let next = ReminderStep::ALL.into_iter().find(|later| *later < step);
                    prop_assert!(next.is_none_or(|later| later.reached_at(one.ends_at()) > now));
                    secrets[index].1.push(step);
                    // And at once there is nothing more to say: no burst.
                    let (one, sent) = &secrets[index];
                    prop_assert_eq!(due_reminder(one, &newer, sent, now), None);
                }
            }
        }

        #[test]
        fn who_looks_every_day_sends_every_step_in_order(lifetime in 1_i64..800) {
            let secret = secret(1, START, Duration::days(lifetime));
            let mut sent = Vec::new();
            for day in 0..lifetime + 40 {
                sent.extend(due_reminder(&secret, &[], &sent, START + Duration::days(day)));
            }
            let expected: Vec<_> =
                ReminderStep::ALL.into_iter().filter(|step| i64::from(step.days()) < lifetime).collect();
            prop_assert_eq!(sent, expected);
        }
    }
}
