//! Rotation: a successor is made, and what happens to the secrets before it.

use time::{Duration, OffsetDateTime};

use crate::{AuthenticationMethod, Secret, SecretId, SecretState};

/// The most secrets of a client that are live at the same time.
pub const MAX_LIVE_SECRETS: usize = 2;

/// How the secrets before the successor end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RotationMode {
    /// Old and new both work for this long, never past the old one's own expiry.
    Overlap(Duration),
    /// Everything before the successor ends at once, and so do the tokens bought with it: for a compromise.
    Immediately,
}

impl RotationMode {
    /// Thirty days of overlap.
    pub const DEFAULT: Self = Self::Overlap(Duration::days(30));
}

/// What a rotation changes.
#[derive(Debug)]
pub struct Rotation {
    /// Older secrets whose times changed, to be written back.
    pub changed: Vec<Secret>,
}

/// The live secret that a successor made at `now` with an overlap ends at once, when two are live already.
pub fn ended_by_successor(current: &[Secret], now: OffsetDateTime) -> Option<Secret> {
    rotate(current.to_vec(), RotationMode::DEFAULT, None, now)
        .changed
        .into_iter()
        .find(|secret| secret.retires_at == Some(now))
}

/// Decides what a successor made at `now` does to the secrets before it.
///
/// With an overlap one live secret goes on until it is over: the one `in_use`, by which a machine that rotates its own
/// secret has just proven itself, else the newest. Another one ends now, because at most two may be live. Its tokens
/// run out by themselves: nobody said it was stolen. So a machine that never received a successor can ask for another
/// one as often as it must.
pub fn rotate(
    current: Vec<Secret>,
    mode: RotationMode,
    in_use: Option<&SecretId>,
    now: OffsetDateTime,
) -> Rotation {
    let mut live: Vec<Secret> =
        current.into_iter().filter(|secret| secret.state(now) == SecretState::Live).collect();
    // Newest first. Two may be of the same second; then the one already told to retire is the older.
    live.sort_by_key(|secret| {
        let used = in_use == Some(&secret.id);
        (!used, secret.retires_at.is_some(), std::cmp::Reverse(secret.issued_at))
    });
    let mut changed = Vec::with_capacity(live.len());
    for (age, mut secret) in live.into_iter().enumerate() {
        match mode {
            RotationMode::Immediately => secret.revoked_at = Some(now),
            RotationMode::Overlap(overlap) if age + 1 < MAX_LIVE_SECRETS => {
                let retires_at = now.saturating_add(overlap.max(Duration::ZERO)).min(secret.ends_at());
                if secret.retires_at == Some(retires_at) {
                    continue;
                }
                secret.retires_at = Some(retires_at);
            }
            RotationMode::Overlap(_) => secret.retires_at = Some(now),
        }
        changed.push(secret);
    }
    Rotation { changed }
}

/// Decides what a credential of `method` registered at `now` does to those before it.
///
/// Those of the same method go on as after any rotation. Those of another one end now: a client has one method at a time,
/// so that whoever finds an old secret cannot go round the key (RFC 7591 §2, one `token_endpoint_auth_method`). Tokens
/// that were bought with them run out by themselves, which is the time to switch in.
pub fn supersede(
    current: Vec<Secret>,
    method: AuthenticationMethod,
    mode: RotationMode,
    now: OffsetDateTime,
) -> Rotation {
    let (same, other): (Vec<Secret>, Vec<Secret>) =
        current.into_iter().partition(|one| one.proof.method() == method);
    let mut rotation = rotate(same, mode, None, now);
    for mut one in other.into_iter().filter(|one| one.is_live(now)) {
        match mode {
            RotationMode::Immediately => one.revoked_at = Some(now),
            RotationMode::Overlap(_) => one.retires_at = Some(now),
        }
        rotation.changed.push(one);
    }
    rotation
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use time::macros::datetime;

    use super::*;
    use crate::{ClientId, ClientSecret, Proof, SecretLifetime, SecretPepper};

    fn secret(number: u8, issued_at: OffsetDateTime) -> Secret {
        Secret::issue(
            SecretId::from_entropy([number; 16]),
            ClientId::from_entropy([1; 16]),
            &ClientSecret::from_entropy(&[number; 32]),
            &SecretPepper::new(&[0; 32]),
            SecretLifetime::DEFAULT,
            issued_at,
        )
    }

    #[test]
    fn old_and_new_overlap_for_thirty_days() {
        let now = datetime!(2026-05-01 0:00 UTC);
        let rotation =
            rotate(vec![secret(1, datetime!(2026-01-01 0:00 UTC))], RotationMode::DEFAULT, None, now);
        assert_eq!(rotation.changed[0].retires_at, Some(datetime!(2026-05-31 0:00 UTC)));
        assert!(rotation.changed[0].is_live(now));
    }

    #[test]
    fn the_overlap_never_passes_the_old_expiry() {
        let now = datetime!(2027-12-25 0:00 UTC);
        let old = secret(1, datetime!(2026-01-01 0:00 UTC));
        let rotation = rotate(vec![old.clone()], RotationMode::DEFAULT, None, now);
        assert_eq!(rotation.changed[0].retires_at, Some(old.expires_at));
        assert_eq!(rotation.changed[0].state(old.expires_at), SecretState::Expired);
    }

    #[test]
    fn a_third_secret_ends_the_first() {
        let (one, two) =
            (secret(1, datetime!(2026-01-01 0:00 UTC)), secret(2, datetime!(2026-02-01 0:00 UTC)));
        let now = datetime!(2026-02-02 0:00 UTC);
        let rotation = rotate(vec![one.clone(), two.clone()], RotationMode::DEFAULT, None, now);
        let find = |wanted: &Secret| rotation.changed.iter().find(|s| s.id == wanted.id).unwrap();
        assert_eq!(find(&one).state(now), SecretState::Retired);
        assert_eq!(find(&one).revoked_at, None);
        assert!(find(&two).is_live(now));
    }

    #[test]
    fn the_secret_in_use_outlives_a_successor_that_never_arrived() {
        let (mut used, lost) =
            (secret(1, datetime!(2026-01-01 0:00 UTC)), secret(2, datetime!(2026-02-01 0:00 UTC)));
        used.retires_at = Some(datetime!(2026-03-03 0:00 UTC));
        let now = datetime!(2026-02-02 0:00 UTC);
        let current = vec![lost.clone(), used.clone()];
        let rotation = rotate(current, RotationMode::DEFAULT, Some(&used.id), now);
        assert_eq!(rotation.changed.len(), 1, "the one in use goes on as long as it would have");
        assert_eq!(rotation.changed[0].id, lost.id);
        assert_eq!(rotation.changed[0].state(now), SecretState::Retired);
    }

    #[test]
    fn immediately_revokes_all_before() {
        let now = datetime!(2026-02-02 0:00 UTC);
        let rotation = rotate(
            vec![secret(1, datetime!(2026-01-01 0:00 UTC)), secret(2, datetime!(2026-02-01 0:00 UTC))],
            RotationMode::Immediately,
            None,
            now,
        );
        assert_eq!(rotation.changed.len(), 2);
        assert!(rotation.changed.iter().all(|s| s.state(now) == SecretState::Revoked));
    }

    #[test]
    fn another_method_ends_at_once_and_the_same_one_overlaps() {
        let key = |number: u8| {
            let proof = Proof::KeysAt("https://client.example/jwks".to_owned());
            Secret { proof, ..secret(number, datetime!(2026-01-01 0:00 UTC)) }
        };
        let now = datetime!(2026-02-02 0:00 UTC);
        let current = || vec![key(1), secret(2, datetime!(2026-01-01 0:00 UTC))];
        let states = |method, mode| {
            let mut changed = supersede(current(), method, mode, now).changed;
            changed.sort_by_key(|one| one.proof.method() != AuthenticationMethod::PrivateKeyJwt);
            changed.into_iter().map(|one| one.state(now)).collect::<Vec<_>>()
        };
        assert_eq!(
            states(AuthenticationMethod::PrivateKeyJwt, RotationMode::DEFAULT),
            [SecretState::Live, SecretState::Retired]
        );
        assert_eq!(
            states(AuthenticationMethod::ClientSecret, RotationMode::DEFAULT),
            [SecretState::Retired, SecretState::Live]
        );
        let immediately = states(AuthenticationMethod::PrivateKeyJwt, RotationMode::Immediately);
        assert_eq!(immediately, [SecretState::Revoked; 2]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn never_more_than_two_live_and_nothing_lives_longer_than_before(
            steps in prop::collection::vec((0_i64..400, prop::option::of(0_i64..60)), 1..12)
        ) {
            let mut now = datetime!(2026-01-01 0:00 UTC);
            let mut secrets = vec![secret(0, now)];
            for (number, (days, overlap)) in steps.into_iter().enumerate() {
                now += Duration::days(days);
                let mode = overlap.map_or(RotationMode::Immediately, |days| RotationMode::Overlap(Duration::days(days)));
                for changed in rotate(secrets.clone(), mode, None, now).changed {
                    let old = secrets.iter_mut().find(|s| s.id == changed.id).unwrap();
                    prop_assert!(changed.ends_at() <= old.ends_at());
                    prop_assert_eq!(changed.expires_at, old.expires_at);
                    *old = changed;
                }
                secrets.push(secret(u8::try_from(number).unwrap() + 1, now));
                let live = secrets.iter().filter(|s| s.is_live(now)).count();
                prop_assert!((1..=MAX_LIVE_SECRETS).contains(&live));
                prop_assert!(secrets.last().unwrap().is_live(now));
            }
        }
    }
}
