//! Values with parameters, as in `Content-Type` and `Content-Disposition` (RFC 9110 §5.6.6).

use std::borrow::Cow;

use super::fault::Fault;
use super::syntax::{TOKEN, VALUE, is};

/// Divides a field's value into what stands before the first semicolon, and the parameters behind it.
///
/// ```
/// use evloop::wire::{Fault, parameters};
///
/// let (kind, parameters) = parameters(r#"form-data; name="a \"b\""; filename=c.txt"#);
/// assert_eq!(kind, "form-data");
/// let all = parameters.clone().collect::<Result<Vec<_>, Fault>>()?;
/// assert_eq!(all, [("name", r#"a "b""#.into()), ("filename", "c.txt".into())]);
/// assert_eq!(parameters.named("Filename")?.as_deref(), Some("c.txt"));
/// # Ok::<(), Fault>(())
/// ```
#[must_use]
pub fn parameters(text: &str) -> (&str, Parameters<'_>) {
    let (value, rest) =
        text.split_at_checked(text.find(';').unwrap_or(text.len())).unwrap_or((text, ""));
    (value.trim_matches(OWS), Parameters { rest })
}

/// The parameters of what has nothing before the first of them, as in `Forwarded` (RFC 7239).
pub(super) fn pairs(text: &str) -> Parameters<'_> {
    Parameters { rest: text }
}

const OWS: [char; 2] = [' ', '\t'];

/// The parameters of a field's value, from [`parameters`]: names as they were written, and values without their
/// quotes.
///
/// Names are tokens; values are tokens, or strings in double quotes in which a backslash stands before what it
/// takes literally. Around a semicolon there may be white space, around `=` none. Between two semicolons there may
/// be nothing, as RFC 9110 has it.
///
/// Yields [`BadParameter`](Fault::BadParameter) for anything else, and ends there.
// Invariant: empty, or at a semicolon, or at what is not a parameter.
#[derive(Clone, Debug)]
pub struct Parameters<'a> {
    rest: &'a str,
}

impl<'a> Parameters<'a> {
    /// The value of this name, in any case. All of them are looked at.
    ///
    /// # Errors
    ///
    /// [`BadParameter`](Fault::BadParameter) if one is malformed, or there are two of this name: whoever
    /// reads the message after us might take the other.
    pub fn named(self, name: &str) -> Result<Option<Cow<'a, str>>, Fault> {
        let mut found = None;
        for parameter in self {
            let (each, value) = parameter?;
            if each.eq_ignore_ascii_case(name) && found.replace(value).is_some() {
                return Err(Fault::BadParameter);
            }
        }
        Ok(found)
    }
}

impl<'a> Iterator for Parameters<'a> {
    type Item = Result<(&'a str, Cow<'a, str>), Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut rest = self.rest;
        self.rest = "";
        // Semicolons with nothing between them, and the one before this parameter.
        loop {
            rest = rest.trim_start_matches(OWS);
            let after = rest.strip_prefix(';');
            match after {
                _ if rest.is_empty() => return None,
                Some(after) => rest = after,
                None => break,
            }
        }
        let Some((parameter, rest)) = one(rest) else { return Some(Err(Fault::BadParameter)) };
        self.rest = rest;
        Some(Ok(parameter))
    }
}

type Parameter<'a> = (&'a str, Cow<'a, str>);

/// The parameter at the beginning of this, and what comes after it.
fn one(text: &str) -> Option<(Parameter<'_>, &str)> {
    let (name, rest) = token(text)?;
    let rest = rest.strip_prefix('=')?;
    let (value, rest) = match rest.strip_prefix('"') {
        Some(rest) => quoted(rest)?,
        None => token(rest).map(|(value, rest)| (Cow::Borrowed(value), rest))?,
    };
    let rest = rest.trim_start_matches(OWS);
    (rest.is_empty() || rest.starts_with(';')).then_some(((name, value), rest))
}

fn token(text: &str) -> Option<(&str, &str)> {
    let end = text.bytes().position(|byte| !is(byte, TOKEN)).unwrap_or(text.len());
    text.split_at_checked(end).filter(|(token, _)| !token.is_empty())
}

/// What is between here and the closing quote, and what comes after that.
fn quoted(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let mut unquoted = String::new();
    let mut rest = text;
    loop {
        let end = rest
            .bytes()
            .position(|byte| matches!(byte, b'"' | b'\\') || !(is(byte, VALUE) || byte == b'\t'))?;
        let (plain, special) = rest.split_at_checked(end)?;
        if let Some(after) = special.strip_prefix('"') {
            if unquoted.is_empty() {
                return Some((Cow::Borrowed(plain), after));
            }
            unquoted.push_str(plain);
            return Some((Cow::Owned(unquoted), after));
        }
        let mut after = special.strip_prefix('\\')?.chars();
        let literal = after.next().filter(|c| *c == '\t' || !c.is_ascii_control())?;
        unquoted.push_str(plain);
        unquoted.push(literal);
        rest = after.as_str();
    }
}
