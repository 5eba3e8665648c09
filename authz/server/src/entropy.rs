//! Random bytes from the operating system's generator, by way of the crypto library.

use aws_lc_rs::rand;

use crate::use_cases::UseCaseError;

/// `N` random bytes. The generator does not fail on any system we run on; if it does, nothing secret is made.
pub(crate) fn entropy<const N: usize>() -> Result<[u8; N], UseCaseError> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).map_err(|_| UseCaseError::NoEntropy)?;
    Ok(bytes)
}
