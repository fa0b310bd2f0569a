//! Cookies (RFC 6265): what clients send back is read, what they are to keep is written.
//!
//! ```
//! use std::time::Duration;
//! use evloop::wire::cookie::{self, SameSite, SetCookie};
//!
//! let all: Vec<_> = cookie::parse(b"id=31d4; theme=\"dark\";id=2").collect();
//! assert_eq!(all, [("id", "31d4"), ("theme", "dark"), ("id", "2")]);
//!
//! let cookie = SetCookie::new("__Host-id", "31d4").path("/").secure().http_only()
//!     .same_site(SameSite::Lax).max_age(Duration::from_secs(3600));
//! assert_eq!(cookie.to_value()?, "__Host-id=31d4; Path=/; Max-Age=3600; Secure; HttpOnly; SameSite=Lax");
//! # Ok::<(), cookie::CookieFault>(())
//! ```

mod fault;
mod set;

pub use fault::CookieFault;
pub use set::{SameSite, SetCookie};

use super::syntax::trim;

/// How many cookies of one request are read unless something else is asked for.
pub const COOKIES_MAX: usize = 100;

/// Reads a value of `Cookie`, in order, repeats included (`MHD_COOKIE_KIND`).
///
/// Nothing is malformed here: white space around names and values is left out, and so is one pair of quotes around
/// a value; without `=` the value is empty. What has no name, or is not UTF-8, is skipped. Nothing is unescaped:
/// what `%20` means is between a program and itself.
///
/// Of several cookies of one name, clients send the one with the longest path first (RFC 6265 §5.4), but a
/// neighbouring domain can have set any of them: `__Host-` in front of a name rules that out.
///
/// Reading ends after [`COOKIES_MAX`] of them, or what [`limit`](Cookies::limit) says.
#[must_use]
pub fn parse(value: &[u8]) -> Cookies<'_> {
    Cookies { rest: Some(value), left: COOKIES_MAX }
}

/// The cookies of a request, from [`parse`].
#[derive(Clone, Debug)]
pub struct Cookies<'a> {
    rest: Option<&'a [u8]>,
    left: usize,
}

impl Cookies<'_> {
    /// Reads so many from here on, and no more.
    #[must_use]
    pub fn limit(mut self, cookies: usize) -> Self {
        self.left = cookies;
        self
    }

    /// Whether there are some that will not be read, because there are more than the limit allows.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.left == 0 && self.clone().limit(1).next().is_some()
    }
}

impl<'a> Iterator for Cookies<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            return None;
        }
        while let Some(rest) = self.rest {
            let (pair, after) = split(rest, b';');
            self.rest = after;
            let (name, value) = split(pair, b'=');
            let name = std::str::from_utf8(trim(name)).unwrap_or_default();
            let value = std::str::from_utf8(unquoted(trim(value.unwrap_or_default())));
            if let (false, Ok(value)) = (name.is_empty(), value) {
                self.left -= 1;
                return Some((name, value));
            }
        }
        None
    }
}

fn split(bytes: &[u8], at: u8) -> (&[u8], Option<&[u8]>) {
    let mut parts = bytes.splitn(2, |byte| *byte == at);
    (parts.next().unwrap_or_default(), parts.next())
}

fn unquoted(value: &[u8]) -> &[u8] {
    match value {
        [b'"', value @ .., b'"'] => value,
        _ => value,
    }
}
