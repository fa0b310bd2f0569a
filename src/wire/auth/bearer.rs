//! Bearer (RFC 6750).

use super::{AuthFault, behind, grammar};

/// The token in a value of `Authorization`. What it means, whoever has issued it knows.
///
/// # Errors
///
/// [`OtherScheme`](AuthFault::OtherScheme), or [`Malformed`](AuthFault::Malformed) if it is no `token68`.
pub fn bearer_token(value: &str) -> Result<&str, AuthFault> {
    match grammar::token68(behind(value, "bearer")?) {
        Some((token, "")) => Ok(token),
        _ => Err(AuthFault::Malformed),
    }
}
