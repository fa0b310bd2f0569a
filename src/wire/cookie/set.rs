//! Cookies that are to be set.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use super::CookieFault;
use crate::wire::syntax::{HOST, is, is_token};
use crate::wire::{http_date, is_field_value};

/// Bytes of name and value together that clients take (RFC 6265bis §5.6).
const PAIR_MAX: usize = 4096;

/// Bytes of an attribute's value that clients take.
const ATTRIBUTE_MAX: usize = 1024;

/// A cookie that a client is to keep (RFC 6265 §4.1, RFC 6265bis).
///
/// It is checked when it is [written](Self::to_value): what a client would not keep, or would take for something else,
/// is a [fault](CookieFault).
///
/// A cookie that is a key to something should be [`http_only`](Self::http_only), so that no script reads it, and
/// [`secure`](Self::secure), and have a name that begins with `__Host-`.
#[derive(Clone, PartialEq, Eq, Debug)]
#[must_use = "a cookie goes nowhere until a reply has it"]
pub struct SetCookie {
    name: String,
    value: String,
    path: Option<String>,
    domain: Option<String>,
    max_age: Option<Duration>,
    expires: Option<SystemTime>,
    secure: bool,
    http_only: bool,
    same_site: Option<SameSite>,
    partitioned: bool,
}

/// Whether a cookie is sent with requests that other sites' pages cause.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum SameSite {
    /// Never.
    Strict,
    /// When somebody follows a link. Most clients assume this.
    Lax,
    /// Always. The cookie must be [secure](SetCookie::secure).
    None,
}

impl SetCookie {
    /// One that lasts until the client is closed.
    pub fn new(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            value: value.into(),
            path: None,
            domain: None,
            max_age: None,
            expires: None,
            secure: false,
            http_only: false,
            same_site: None,
            partitioned: false,
        }
    }

    /// Makes a client forget a cookie. Give it the path and the domain that the cookie was set with.
    pub fn removal(name: impl Into<String>) -> Self {
        Self::new(name, "").max_age(Duration::ZERO).expires(SystemTime::UNIX_EPOCH)
    }

    /// For paths below this one; else for those below the directory of the path that was asked for.
    pub fn path(mut self, path: impl Into<String>) -> Self {
        self.path = Some(path.into());
        self
    }

    /// For this domain and all below it; else for the host that was asked only.
    pub fn domain(mut self, domain: impl Into<String>) -> Self {
        self.domain = Some(domain.into());
        self
    }

    /// For so long, in whole seconds; at once over if it is less than one. Clients prefer this to
    /// [`expires`](Self::expires), and keep nothing for more than 400 days.
    pub fn max_age(mut self, age: Duration) -> Self {
        self.max_age = Some(age);
        self
    }

    /// Until then.
    pub fn expires(mut self, time: SystemTime) -> Self {
        self.expires = Some(time);
        self
    }

    /// To be sent over TLS only.
    pub fn secure(mut self) -> Self {
        self.secure = true;
        self
    }

    /// To be kept from scripts.
    pub fn http_only(mut self) -> Self {
        self.http_only = true;
        self
    }

    /// Says what of the requests that other sites cause.
    pub fn same_site(mut self, same_site: SameSite) -> Self {
        self.same_site = Some(same_site);
        self
    }

    /// One jar for each site in which this one is embedded (CHIPS). It must be [secure](Self::secure).
    pub fn partitioned(mut self) -> Self {
        self.partitioned = true;
        self
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The value of `Set-Cookie`.
    ///
    /// # Errors
    ///
    /// See [`CookieFault`].
    ///
    /// ```
    /// use evloop::wire::cookie::{CookieFault, SetCookie};
    ///
    /// assert_eq!(SetCookie::new("a", "1").to_value()?, "a=1");
    /// assert_eq!(SetCookie::new("a", "1; Domain=b").to_value(), Err(CookieFault::BadValue));
    /// assert_eq!(SetCookie::new("__Host-a", "1").secure().to_value(), Err(CookieFault::NotOfHost));
    /// # Ok::<(), CookieFault>(())
    /// ```
    pub fn to_value(&self) -> Result<String, CookieFault> {
        self.check()?;
        let mut text = format!("{}={}", self.name, self.value);
        if let Some(path) = &self.path {
            text.push_str("; Path=");
            text.push_str(path);
        }
        if let Some(domain) = &self.domain {
            text.push_str("; Domain=");
            text.push_str(domain);
        }
        if let Some(age) = self.max_age {
            // Writing to a string cannot fail.
            let _ = write!(text, "; Max-Age={}", age.as_secs());
        }
        if let Some(time) = self.expires {
            text.push_str("; Expires=");
            text.push_str(&String::from_utf8_lossy(&http_date(time)));
        }
        for (is_so, attribute) in [
            (self.secure, "; Secure"),
            (self.http_only, "; HttpOnly"),
            (self.same_site == Some(SameSite::Strict), "; SameSite=Strict"),
            (self.same_site == Some(SameSite::Lax), "; SameSite=Lax"),
            (self.same_site == Some(SameSite::None), "; SameSite=None"),
            (self.partitioned, "; Partitioned"),
        ] {
            if is_so {
                text.push_str(attribute);
            }
        }
        Ok(text)
    }

    fn check(&self) -> Result<(), CookieFault> {
        if !is_token(self.name.as_bytes()) {
            return Err(CookieFault::BadName);
        }
        let value = self.value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
        if !value.unwrap_or(&self.value).bytes().all(is_value_byte) {
            return Err(CookieFault::BadValue);
        }
        let attribute_len =
            |text: &Option<String>| text.as_ref().map(String::len).unwrap_or_default();
        if self.name.len().saturating_add(self.value.len()) > PAIR_MAX
            || attribute_len(&self.path).max(attribute_len(&self.domain)) > ATTRIBUTE_MAX
        {
            return Err(CookieFault::TooLong);
        }
        if let Some(path) = &self.path {
            let plain = is_field_value(path.as_bytes()) && path.is_ascii();
            if !path.starts_with('/') || path.contains([';', '\t']) || !plain {
                return Err(CookieFault::BadPath);
            }
        }
        if let Some(domain) = &self.domain {
            let plain = domain.bytes().all(|byte| is(byte, HOST) && byte != b';');
            if domain.trim_start_matches('.').is_empty() || !plain {
                return Err(CookieFault::BadDomain);
            }
        }
        // Clients compare the prefixes in any case (RFC 6265bis §5.6).
        let of_host = has_prefix(&self.name, "__Host-");
        let needs = of_host || has_prefix(&self.name, "__Secure-") || self.partitioned;
        if !self.secure && (needs || self.same_site == Some(SameSite::None)) {
            return Err(CookieFault::NotSecure);
        }
        if of_host && (self.domain.is_some() || self.path.as_deref() != Some("/")) {
            return Err(CookieFault::NotOfHost);
        }
        Ok(())
    }
}

/// `cookie-octet` of RFC 6265 §4.1.1.
fn is_value_byte(byte: u8) -> bool {
    byte.is_ascii_graphic() && !b"\",;\\".contains(&byte)
}

fn has_prefix(name: &str, prefix: &str) -> bool {
    name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}
