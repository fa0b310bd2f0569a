//! What a client can read: content codings and their weights (RFC 9110 §12.5.3).

use super::Fields;
use super::syntax::{members, trim};

/// The coding that is none.
pub const IDENTITY: &str = "identity";

/// A weight of 1.
const FULL: u16 = 1000;

/// Which content codings the fields allow, by `Accept-Encoding`.
///
/// ```
/// use evloop::wire::accept::{IDENTITY, encodings};
/// use evloop::wire::Fields;
///
/// let mut fields = Fields::new();
/// fields.push("Accept-Encoding", "gzip;q=0.8, br, *;q=0")?;
/// let accepted = encodings(&fields);
/// assert_eq!((accepted.weight("br"), accepted.weight("gzip"), accepted.weight("zstd")), (1000, 800, 0));
/// assert_eq!(accepted.best(["zstd", "gzip", "br"]), Some("br"));
/// assert_eq!(accepted.best(["zstd"]), None); // not even as it is
/// assert_eq!(encodings(&Fields::new()).best(["br"]), Some(IDENTITY));
/// # Ok::<(), evloop::wire::Fault>(())
/// ```
#[must_use]
pub fn encodings(fields: &Fields) -> Encodings<'_> {
    Encodings { fields, present: fields.get(NAME).is_some() }
}

const NAME: &str = "accept-encoding";

/// Accepted content codings, from [`encodings`].
#[derive(Clone, Copy, Debug)]
pub struct Encodings<'a> {
    fields: &'a Fields,
    present: bool,
}

impl Encodings<'_> {
    /// Whether the client says anything at all.
    #[must_use]
    pub fn is_present(&self) -> bool {
        self.present
    }

    /// How welcome a coding is, from 0, which is not at all, to 1000.
    ///
    /// What is listed has its weight, or else that of `*`. `identity` is welcome unless it is refused,
    /// by name or as part of `*`. `x-gzip` and `gzip` are one. A client that says nothing is taken to read
    /// [`IDENTITY`] only: the RFC would allow anything, and clients that cannot read it exist.
    /// A member whose weight is malformed counts as none.
    ///
    /// Linear in the length of the fields, for each call.
    #[must_use]
    pub fn weight(&self, coding: &str) -> u16 {
        let is_identity = coding.eq_ignore_ascii_case(IDENTITY);
        let mut any = None;
        let mut named = None;
        for member in self.fields.get_all(NAME).flat_map(members) {
            let Some((name, weight)) = weighted(member) else { continue };
            if name == b"*" {
                any.get_or_insert(weight);
            } else if plain(name).eq_ignore_ascii_case(plain(coding.as_bytes())) {
                named.get_or_insert(weight);
            }
        }
        match (named, any) {
            (Some(weight), _) => weight,
            (None, Some(0)) => 0,
            // It is welcome, but not more than what was asked for.
            (None, _) if is_identity => {
                if self.present {
                    1
                } else {
                    FULL
                }
            }
            (None, any) => any.unwrap_or(0),
        }
    }

    /// The most welcome of those that can be had, of equals the first; [`IDENTITY`] if nothing is more welcome. `None`
    /// if the client can read none of them, and not what is not coded either.
    #[must_use]
    pub fn best<'b>(&self, offered: impl IntoIterator<Item = &'b str>) -> Option<&'b str> {
        let mut best = None;
        let mut weight = 0;
        if self.present {
            for coding in offered {
                let its = self.weight(coding);
                if its > weight {
                    (best, weight) = (Some(coding), its);
                }
            }
        }
        // Whoever asks for nothing but what is there as it is gets that.
        if self.weight(IDENTITY) > weight { Some(IDENTITY) } else { best }
    }
}

fn plain(name: &[u8]) -> &[u8] {
    if name.eq_ignore_ascii_case(b"x-gzip") { b"gzip" } else { name }
}

/// A member's name and its weight in thousandths.
fn weighted(member: &[u8]) -> Option<(&[u8], u16)> {
    let mut parts = member.split(|&byte| byte == b';');
    let name = trim(parts.next()?);
    let mut weight = FULL;
    for part in parts {
        if let [b'q' | b'Q', b'=', value @ ..] = trim(part) {
            weight = thousandths(value)?;
        }
    }
    Some((name, weight))
}

/// RFC 9110 §12.4.2: `0`, `1`, or with up to three digits behind the point.
fn thousandths(value: &[u8]) -> Option<u16> {
    let (whole, rest) = match value {
        [whole @ (b'0' | b'1'), rest @ ..] => (u16::from(whole - b'0') * FULL, rest),
        _ => return None,
    };
    let digits = match rest {
        [] => return Some(whole),
        [b'.', digits @ ..] if digits.len() <= 3 => digits,
        _ => return None,
    };
    let mut weight = whole;
    let mut unit = FULL;
    for digit in digits {
        unit /= 10;
        weight += u16::from(digit.checked_sub(b'0').filter(|digit| *digit < 10)?) * unit;
    }
    (weight <= FULL).then_some(weight)
}
