//! Methods: tokens, most of which are known by name (RFC 9110 §9, RFC 5789, WebDAV).

use std::fmt;

use super::Fault;
use super::syntax::is_token;

/// How long a method may be.
pub(crate) const METHOD_MAX: usize = 32;

/// The method of a request. Case counts: `get` is not `GET`.
///
/// Any token of at most 32 bytes is one. It holds its own text and allocates nothing.
///
/// ```
/// use evloop::wire::{Fault, Method};
///
/// let method = Method::from_bytes(b"GET")?;
/// assert_eq!(method, Method::GET);
/// assert!(method.is_safe());
/// assert_eq!(Method::try_from("BREW")?, "BREW");
/// assert_eq!(Method::try_from("B REW"), Err(Fault::BadRequestLine));
/// # Ok::<(), Fault>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Method(Kind);

// Invariant: what `Known` has a name for is never `Other`, and `Other`'s text ends in zeros, so that
// equality is that of the text.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Known(Known),
    Other(u8, [u8; METHOD_MAX]),
}

macro_rules! methods {
    ($($variant:ident $name:ident $bytes:literal $text:literal;)*) => {
        #[derive(Clone, Copy, PartialEq, Eq, Hash)]
        enum Known {
            $($variant,)*
        }

        impl Method {
            $(
                #[doc = concat!("`", $text, "`")]
                pub const $name: Self = Self(Kind::Known(Known::$variant));
            )*
        }

        impl Known {
            const fn text(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }

            #[inline]
            fn from_bytes(bytes: &[u8]) -> Option<Self> {
                match bytes {
                    $($bytes => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }
    };
}

methods! {
    Get GET b"GET" "GET";
    Head HEAD b"HEAD" "HEAD";
    Post POST b"POST" "POST";
    Put PUT b"PUT" "PUT";
    Delete DELETE b"DELETE" "DELETE";
    Options OPTIONS b"OPTIONS" "OPTIONS";
    Patch PATCH b"PATCH" "PATCH";
    Trace TRACE b"TRACE" "TRACE";
    Connect CONNECT b"CONNECT" "CONNECT";
    Propfind PROPFIND b"PROPFIND" "PROPFIND";
    Proppatch PROPPATCH b"PROPPATCH" "PROPPATCH";
    Mkcol MKCOL b"MKCOL" "MKCOL";
    Copy COPY b"COPY" "COPY";
    Move MOVE b"MOVE" "MOVE";
    Lock LOCK b"LOCK" "LOCK";
    Unlock UNLOCK b"UNLOCK" "UNLOCK";
    Search SEARCH b"SEARCH" "SEARCH";
    Report REPORT b"REPORT" "REPORT";
}

impl Method {
    /// The method of this name.
    ///
    /// # Errors
    ///
    /// [`Fault::BadRequestLine`] if that is not a token, [`Fault::MethodTooLong`] if it is one of more
    /// than 32 bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Fault> {
        if let Some(known) = Known::from_bytes(bytes) {
            return Ok(Self(Kind::Known(known)));
        }
        if !is_token(bytes) {
            return Err(Fault::BadRequestLine);
        }
        let mut text = [0; METHOD_MAX];
        let len = u8::try_from(bytes.len()).map_err(|_| Fault::MethodTooLong)?;
        text.get_mut(..bytes.len()).ok_or(Fault::MethodTooLong)?.copy_from_slice(bytes);
        Ok(Self(Kind::Other(len, text)))
    }

    /// Its name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Kind::Known(known) => known.text(),
            Kind::Other(len, text) => {
                let name = text.get(..usize::from(*len)).unwrap_or_default();
                std::str::from_utf8(name).unwrap_or_default()
            }
        }
    }

    /// Whether it is one of those that have a constant here.
    #[must_use]
    pub fn is_known(&self) -> bool {
        matches!(self.0, Kind::Known(_))
    }

    /// Whether it asks for nothing to change (RFC 9110 §9.2.1). Not so for one that is not known.
    #[must_use]
    pub fn is_safe(&self) -> bool {
        use Known::{Get, Head, Options, Propfind, Report, Search, Trace};
        matches!(self.0, Kind::Known(Get | Head | Options | Propfind | Report | Search | Trace))
    }

    /// Whether doing it twice is as doing it once (RFC 9110 §9.2.2). Not so for one that is not known.
    #[must_use]
    pub fn is_idempotent(&self) -> bool {
        use Known::{Copy, Delete, Mkcol, Move, Proppatch, Put, Unlock};
        self.is_safe()
            || matches!(
                self.0,
                Kind::Known(Put | Delete | Proppatch | Mkcol | Copy | Move | Unlock)
            )
    }
}

/// `GET`.
impl Default for Method {
    fn default() -> Self {
        Self::GET
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Method({})", self.as_str())
    }
}

impl TryFrom<&str> for Method {
    type Error = Fault;

    fn try_from(name: &str) -> Result<Self, Fault> {
        Self::from_bytes(name.as_bytes())
    }
}

impl std::str::FromStr for Method {
    type Err = Fault;

    fn from_str(name: &str) -> Result<Self, Fault> {
        Self::from_bytes(name.as_bytes())
    }
}

impl AsRef<str> for Method {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl PartialEq<str> for Method {
    fn eq(&self, name: &str) -> bool {
        self.as_str() == name
    }
}

impl PartialEq<&str> for Method {
    fn eq(&self, name: &&str) -> bool {
        self.as_str() == *name
    }
}
