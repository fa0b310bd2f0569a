//! Queries and urlencoded bodies: `name=value&name=value`, as HTML forms send them.
//!
//! One reading serves both places, the query of a target and the body of a POST (`application/x-www-form-urlencoded`,
//! WHATWG URL §5.1). [`parse`] takes whatever comes and lends it; [`parse_strict`] refuses what no client would write;
//! [`Form`] keeps the pairs of several places together.
//!
//! ```
//! use evloop::wire::urlencoded::{self, Form};
//!
//! let pairs: Vec<_> = urlencoded::parse("q=a+b%21&flag&q=c").collect();
//! assert_eq!(pairs, [("q".into(), "a b!".into()), ("flag".into(), "".into()), ("q".into(), "c".into())]);
//!
//! let mut form = Form::new();
//! form.read("page=2")?; // the query
//! form.read(b"text=some+text")?; // the body
//! assert_eq!(form.get("page"), Some("2"));
//! assert_eq!(form.get("text"), Some("some text"));
//!
//! assert_eq!(urlencoded::encode([("a", "1 & 2"), ("b", "ü")]), "a=1+%26+2&b=%C3%BC");
//! # Ok::<(), evloop::wire::Fault>(())
//! ```

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::fault::Fault;
use super::syntax::{TARGET, is};

/// How many pairs are read unless something else is asked for.
pub const PAIRS_MAX: usize = 1000;

/// Reads pairs, in order, repeats included.
///
/// Nothing is malformed here: `+` is a space, `%XX` a byte, and a `%` that begins no escape is itself. Only `&`
/// divides; what is empty between two of them is skipped; without `=` the value is empty. Bytes that are not UTF-8
/// once decoded become U+FFFD, so that different inputs can read alike: compare no secrets that way.
///
/// Reading ends after [`PAIRS_MAX`] pairs, or what [`limit`](Pairs::limit) says.
pub fn parse<T: AsRef<[u8]> + ?Sized>(input: &T) -> Pairs<'_> {
    Pairs { rest: form_urlencoded::parse(input.as_ref()), left: PAIRS_MAX }
}

/// The pairs of a query or body, from [`parse`].
#[derive(Clone)]
pub struct Pairs<'a> {
    rest: form_urlencoded::Parse<'a>,
    left: usize,
}

impl Pairs<'_> {
    /// Reads so many pairs from here on, and no more.
    #[must_use]
    pub fn limit(mut self, pairs: usize) -> Self {
        self.left = pairs;
        self
    }

    /// Whether there are pairs that will not be read, because there are more than the limit allows.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.left == 0 && self.rest.clone().next().is_some()
    }
}

impl<'a> Iterator for Pairs<'a> {
    type Item = (Cow<'a, str>, Cow<'a, str>);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        self.rest.next()
    }
}

impl std::fmt::Debug for Pairs<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.clone()).finish()
    }
}

/// Reads pairs and refuses what is malformed.
///
/// An empty input has no pairs. A pair without `=` has an empty value, as in [`parse`].
///
/// # Errors
///
/// * [`BadQuery`](Fault::BadQuery): a byte that must be escaped (a control, white space, `#`, one that is not ASCII), or
///   nothing between two `&`, before the first or after the last;
/// * [`BadEscape`](Fault::BadEscape): a `%` without two hexadecimal digits, or what is not UTF-8 once decoded;
/// * [`TooManyPairs`](Fault::TooManyPairs): more than [`PAIRS_MAX`].
///
/// ```
/// use evloop::wire::{Fault, urlencoded::parse_strict};
///
/// assert_eq!(parse_strict("a=1&b=%20")?, [("a".into(), "1".into()), ("b".into(), " ".into())]);
/// assert_eq!(parse_strict("a=100%"), Err(Fault::BadEscape));
/// assert_eq!(parse_strict("a=1&&b=2"), Err(Fault::BadQuery));
/// # Ok::<(), Fault>(())
/// ```
pub fn parse_strict<T: AsRef<[u8]> + ?Sized>(input: &T) -> Result<Vec<(String, String)>, Fault> {
    let input = input.as_ref();
    let mut pairs = Vec::new();
    if input.is_empty() {
        return Ok(pairs);
    }
    for pair in input.split(|&byte| byte == b'&') {
        if pair.is_empty() || !pair.iter().all(|&byte| is(byte, TARGET)) {
            return Err(Fault::BadQuery);
        }
        if pairs.len() == PAIRS_MAX {
            return Err(Fault::TooManyPairs);
        }
        let equals = pair.iter().position(|&byte| byte == b'=');
        let (name, value) = match equals.and_then(|at| pair.split_at_checked(at)) {
            Some((name, [_, value @ ..])) => (name, value),
            _ => (pair, &[][..]),
        };
        pairs.push((decode(name, true)?, decode(value, true)?));
    }
    Ok(pairs)
}

/// Writes pairs, so that [`parse`] and [`parse_strict`] read the same: spaces as `+`, and all but letters, digits and
/// `*-._` as escapes of their UTF-8.
#[must_use]
pub fn encode<I, N, V>(pairs: I) -> String
where
    I: IntoIterator<Item = (N, V)>,
    N: AsRef<str>,
    V: AsRef<str>,
{
    let mut out = form_urlencoded::Serializer::new(String::new());
    out.extend_pairs(pairs);
    out.finish()
}

/// What stays as it is in [`percent_encode_component`]: `unreserved` of RFC 3986 §2.3.
const COMPONENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Escapes all but letters, digits and `-._~`, for one segment of a path or one part of a query.
///
/// A space becomes `%20`, which is right everywhere, also where `+` is none. Borrowed if there is nothing to do.
///
/// ```
/// use evloop::wire::urlencoded::percent_encode_component;
///
/// assert_eq!(percent_encode_component("a/b c?"), "a%2Fb%20c%3F");
/// ```
///
/// # Sharp edges
///
/// `.` and `..` stay, as escaping them would change nothing: they are dot segments in either form.
#[must_use]
pub fn percent_encode_component(text: &str) -> Cow<'_, str> {
    utf8_percent_encode(text, COMPONENT).into()
}

/// Decodes `%XX`; `+` stays a plus. Borrowed if there is nothing to do.
///
/// For the path of a target use [`decode_path`](super::decode_path): here a slash is a slash.
///
/// # Errors
///
/// [`BadEscape`](Fault::BadEscape): a `%` without two hexadecimal digits, or what is not UTF-8 once decoded.
///
/// ```
/// use evloop::wire::{Fault, urlencoded::percent_decode};
///
/// assert_eq!(percent_decode("1%2B1")?, "1+1");
/// assert_eq!(percent_decode("100%"), Err(Fault::BadEscape));
/// # Ok::<(), Fault>(())
/// ```
pub fn percent_decode(text: &str) -> Result<Cow<'_, str>, Fault> {
    if text.contains('%') {
        return decode(text.as_bytes(), false).map(Cow::Owned);
    }
    Ok(Cow::Borrowed(text))
}

fn decode(bytes: &[u8], plus_is_space: bool) -> Result<String, Fault> {
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        decoded.push(match byte {
            b'+' if plus_is_space => b' ',
            b'%' => {
                let [high, low, after @ ..] = after else { return Err(Fault::BadEscape) };
                rest = after;
                super::target::hex_pair(*high, *low).ok_or(Fault::BadEscape)?
            }
            _ => byte,
        });
    }
    String::from_utf8(decoded).map_err(|_| Fault::BadEscape)
}

/// Pairs of one or more places, kept: those of a query, then those of a body.
///
/// Pairs of the same name are kept all, in the order in which they were read; [`get`](Self::get) gives the first.
#[derive(Clone, Debug)]
pub struct Form {
    pairs: Vec<(String, String)>,
    limit: usize,
}

impl Default for Form {
    fn default() -> Self {
        Self { pairs: Vec::new(), limit: PAIRS_MAX }
    }
}

impl Form {
    /// Without pairs, for at most [`PAIRS_MAX`] of them.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// For at most so many pairs, of all places together.
    #[must_use]
    pub fn limit(mut self, pairs: usize) -> Self {
        self.limit = pairs;
        self
    }

    /// Adds the pairs of a query or body, as [`parse`] reads them.
    ///
    /// # Errors
    ///
    /// [`TooManyPairs`](Fault::TooManyPairs), and then those that are within the limit have been added.
    pub fn read<T: AsRef<[u8]> + ?Sized>(&mut self, input: &T) -> Result<(), Fault> {
        let left = self.limit.saturating_sub(self.pairs.len());
        let mut pairs = parse(input).limit(left);
        self.pairs.extend(pairs.by_ref().map(|(name, value)| (name.into(), value.into())));
        if pairs.is_cut() { Err(Fault::TooManyPairs) } else { Ok(()) }
    }

    /// Adds the pairs of a query or body, as [`parse_strict`] reads them.
    ///
    /// # Errors
    ///
    /// Those of [`parse_strict`]; none of the pairs have been added then.
    pub fn read_strict<T: AsRef<[u8]> + ?Sized>(&mut self, input: &T) -> Result<(), Fault> {
        let mut pairs = parse_strict(input)?;
        if pairs.len() > self.limit.saturating_sub(self.pairs.len()) {
            return Err(Fault::TooManyPairs);
        }
        self.pairs.append(&mut pairs);
        Ok(())
    }

    /// The first value of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(each, _)| *each == name).map(|(_, value)| value)
    }

    /// All values of this name.
    pub fn get_all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.iter().filter(move |(each, _)| *each == name).map(|(_, value)| value)
    }

    /// All pairs.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// How many pairs there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pairs.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }
}
