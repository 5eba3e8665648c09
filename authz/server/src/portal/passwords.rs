//! Hashing and checking passwords: Argon2id, away from the threads that answer requests, at most two at once.

use std::sync::{Arc, OnceLock};

use argon2::{
    Argon2,
    password_hash::{PasswordHasher as _, PasswordVerifier as _, phc::PasswordHash},
};
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use crate::{entropy::entropy, use_cases::UseCaseError};

/// Hashes at once: each takes 19 MiB and a processor for some tens of milliseconds.
const AT_ONCE: usize = 2;

/// The gate before the hashing threads. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Passwords(Arc<Semaphore>);

/// A hash that no password has, so that unknown accounts take as long as known ones.
static NOBODYS: OnceLock<String> = OnceLock::new();

impl Passwords {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE)))
    }

    /// The hash of a password, as a PHC string.
    pub(crate) async fn hash(&self, password: &str) -> Result<String, UseCaseError> {
        let password = Zeroizing::new(password.to_owned());
        self.run(move || hash(&password)).await?
    }

    /// Whether a password has this hash. Without a hash it takes as long and says no.
    pub(crate) async fn check(&self, password: &str, phc: Option<&str>) -> Result<bool, UseCaseError> {
        let password = Zeroizing::new(password.to_owned());
        let phc = phc.map(str::to_owned);
        self.run(move || {
            let known = phc.is_some();
            let text = match phc {
                Some(text) => text,
                None => nobodys()?.to_owned(),
            };
            let parsed = PasswordHash::new(&text).map_err(|_| UseCaseError::PasswordHash)?;
            Ok(known & Argon2::default().verify_password(password.as_bytes(), &parsed).is_ok())
        })
        .await?
    }

    async fn run<T: Send + 'static>(
        &self,
        act: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, UseCaseError> {
        let place = self.0.acquire().await.map_err(|_| UseCaseError::PasswordHash)?;
        let done = tokio::task::spawn_blocking(act).await.map_err(|_| UseCaseError::PasswordHash);
        drop(place);
        done
    }
}

fn hash(password: &str) -> Result<String, UseCaseError> {
    let salt: [u8; 16] = entropy()?;
    let hash = Argon2::default()
        .hash_password_with_salt(password.as_bytes(), &salt)
        .map_err(|_| UseCaseError::PasswordHash)?;
    Ok(hash.to_string())
}

fn nobodys() -> Result<&'static str, UseCaseError> {
    if let Some(known) = NOBODYS.get() {
        return Ok(known);
    }
    let made = hash(&hex::encode(entropy::<32>()?))?;
    Ok(NOBODYS.get_or_init(|| made))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hashing is done elsewhere, two at a time: meanwhile the one thread of this test answers others.
    #[tokio::test]
    async fn at_most_two_hash_at_once_and_never_on_the_thread_that_answers() {
        use std::sync::atomic::{AtomicUsize, Ordering};
        let (passwords, here) = (Passwords::new(), std::thread::current().id());
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let hashing: Vec<_> = (0..8)
            .map(|_| {
                let (passwords, now, most) = (passwords.clone(), Arc::clone(&now), Arc::clone(&most));
                tokio::spawn(async move {
                    let act = move || {
                        assert_ne!(std::thread::current().id(), here);
                        most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        let hashed = hash("correct Horse 9");
                        now.fetch_sub(1, Ordering::SeqCst);
                        hashed
                    };
                    passwords.run(act).await.unwrap().unwrap()
                })
            })
            .collect();
        let mut answered = 0;
        while !hashing.iter().all(tokio::task::JoinHandle::is_finished) {
            answered += 1;
            tokio::task::yield_now().await;
        }
        for one in hashing {
            one.await.unwrap();
        }
        assert_eq!(most.load(Ordering::SeqCst), AT_ONCE);
        assert!(answered > 10, "the thread was held up: {answered}");
    }

    #[tokio::test]
    async fn a_password_matches_its_own_hash_only() {
        let passwords = Passwords::new();
        let hash = passwords.hash("correct Horse 9").await.unwrap();
        assert!(hash.starts_with("$argon2id$"), "{hash}");
        assert!(passwords.check("correct Horse 9", Some(&hash)).await.unwrap());
        assert!(!passwords.check("correct Horse 8", Some(&hash)).await.unwrap());
        assert!(!passwords.check("correct Horse 9", None).await.unwrap());
        assert!(passwords.check("x", Some("nonsense")).await.is_err());
    }
}
