//! Which passwords are good enough (EU Login §2.3), and which are guessed too soon.

use thiserror::Error;

/// The shortest password, in characters.
const MIN_PASSWORD_LENGTH: usize = 10;
/// The longest, in bytes: hashing takes time, and nobody types more.
pub const MAX_PASSWORD_LENGTH: usize = 256;

/// The rules in one sentence, for people.
pub const PASSWORD_RULES: &str = "At least 10 characters from at least three of: upper case, lower case, digits, \
     special characters. Spaces are welcome. Not your user name or e-mail address.";

/// Why a password is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PasswordRefused {
    /// Too short.
    #[error("Use at least 10 characters.")]
    Short,
    /// Too long.
    #[error("Use at most 256 characters.")]
    Long,
    /// Too few kinds of characters.
    #[error("Use at least three of: upper case, lower case, digits, special characters.")]
    Uniform,
    /// Contains who it belongs to.
    #[error("Do not use your user name or e-mail address in it.")]
    Personal,
    /// Found early by a guesser.
    #[error("This password is easily guessed. Add words that do not belong together.")]
    Guessable,
}

/// Whether `password` is good enough for somebody with these `names` (user name, address, first and last name).
pub fn check_password(password: &str, names: &[&str]) -> Result<(), PasswordRefused> {
    if password.chars().count() < MIN_PASSWORD_LENGTH {
        return Err(PasswordRefused::Short);
    }
    if password.len() > MAX_PASSWORD_LENGTH {
        return Err(PasswordRefused::Long);
    }
    let kinds = [
        password.chars().any(char::is_uppercase),
        password.chars().any(char::is_lowercase),
        password.chars().any(char::is_numeric),
        password.chars().any(|c| !c.is_alphanumeric()),
    ];
    if kinds.iter().filter(|there| **there).count() < 3 {
        return Err(PasswordRefused::Uniform);
    }
    let folded = password.to_lowercase();
    // The user name and the whole address, and the address's mailbox: what EU Login forbids. First and last names only
    // weigh in the guess below.
    let owns = |name: &str| name.chars().count() >= 4 && folded.contains(&name.to_lowercase());
    let mailboxes = names.iter().filter_map(|name| name.split_once('@').map(|(mailbox, _)| mailbox));
    let whole = names.iter().copied().filter(|name| name.contains('@') || name.starts_with('n'));
    if whole.chain(mailboxes).any(owns) {
        return Err(PasswordRefused::Personal);
    }
    // 3 of 4: more than 10^8 guesses, with the person's own names known to the guesser.
    if zxcvbn::zxcvbn(password, names).score() < zxcvbn::Score::Three {
        return Err(PasswordRefused::Guessable);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 4] = ["n00ccgbd", "ana.silva@fable.example", "Ana", "Silva"];

    #[test]
    fn the_examples_of_the_seed_are_taken() {
        for good in ["WuWWBzzJp$", "hBJhGXJwf.", "WyqdCJfQ{ x9", "correct Horse battery 9", "Žluťoučký kůň 7"]
        {
            assert_eq!(check_password(good, &NAMES), Ok(()), "{good}");
        }
    }

    #[test]
    fn weak_ones_are_refused_with_their_reason() {
        use PasswordRefused::{Guessable, Long, Personal, Short, Uniform};
        let long = format!("aB3{}", "x".repeat(300));
        for (password, reason) in [
            ("aB3$", Short),
            (long.as_str(), Long),
            ("alllowercaseletters", Uniform),
            ("N00ccgbd-xQ9", Personal),
            ("x9 Ana.Silva zzQ", Personal),
            ("Password123!", Guessable),
            ("Qwertyuiop1", Guessable),
            ("Silva12345", Guessable),
        ] {
            assert_eq!(check_password(password, &NAMES), Err(reason), "{password}");
        }
    }
}
