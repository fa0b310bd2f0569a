//! Basic (RFC 7617).

use std::fmt;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::{AuthFault, behind};

/// Some clients leave the padding out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The name and the password of a user.
#[derive(Clone, PartialEq, Eq)]
pub struct BasicCredentials {
    /// The name, without a colon.
    pub user: String,
    /// The password. Compare it with [`same`](super::same).
    pub password: String,
}

impl BasicCredentials {
    /// Reads a value of `Authorization`.
    ///
    /// # Errors
    ///
    /// [`OtherScheme`](AuthFault::OtherScheme), [`Malformed`](AuthFault::Malformed), and
    /// [`BadText`](AuthFault::BadText) for what is not UTF-8, which is what our [challenge](super::Challenge::basic)
    /// asks for.
    pub fn parse(value: &str) -> Result<Self, AuthFault> {
        let encoded = behind(value, "basic")?;
        let bytes = BASE64.decode(encoded).map_err(|_| AuthFault::Malformed)?;
        let text = String::from_utf8(bytes).map_err(|_| AuthFault::BadText)?;
        if text.chars().any(char::is_control) {
            return Err(AuthFault::BadText);
        }
        let (user, password) = text.split_once(':').ok_or(AuthFault::Malformed)?;
        Ok(Self { user: user.to_owned(), password: password.to_owned() })
    }

    /// Writes it as a value of `Authorization`.
    ///
    /// # Errors
    ///
    /// [`BadValue`](AuthFault::BadValue): a colon in the name, or a control character.
    ///
    /// ```
    /// use evloop::wire::auth::BasicCredentials;
    ///
    /// let credentials = BasicCredentials { user: "test".into(), password: "123£".into() };
    /// assert_eq!(credentials.to_value()?, "Basic dGVzdDoxMjPCow==");
    /// # Ok::<(), evloop::wire::auth::AuthFault>(())
    /// ```
    pub fn to_value(&self) -> Result<String, AuthFault> {
        let text = format!("{}:{}", self.user, self.password);
        if self.user.contains(':') || text.chars().any(char::is_control) {
            return Err(AuthFault::BadValue);
        }
        Ok(format!("Basic {}", BASE64.encode(text)))
    }
}

/// Without the password.
impl fmt::Debug for BasicCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BasicCredentials").field("user", &self.user).finish_non_exhaustive()
    }
}
