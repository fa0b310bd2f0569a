//! Challenges: what a server asks for.

use super::{AuthFault, grammar};

/// How many challenges are read from one field, and parameters in each.
const MOST: usize = 32;

/// One challenge: a scheme, and what it needs to know (RFC 9110 §11.3).
///
/// Who takes several kinds of credentials sends several, each best in a field of its own, what is wanted most first.
///
/// ```
/// use evloop::wire::auth::Challenge;
///
/// let challenge = Challenge::bearer("files").parameter("error", "invalid_token");
/// assert_eq!(challenge.to_value()?, r#"Bearer realm="files", error="invalid_token""#);
///
/// let all = Challenge::parse_all(r#"Newauth realm="a \"b\"", x=y,, Basic realm=c, Negotiate abc=="#)?;
/// assert_eq!(all.iter().map(Challenge::scheme).collect::<Vec<_>>(), ["Newauth", "Basic", "Negotiate"]);
/// assert_eq!(all[0].get("realm"), Some("a \"b\""));
/// assert_eq!(all[2].token(), Some("abc=="));
/// # Ok::<(), evloop::wire::auth::AuthFault>(())
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
#[must_use]
pub struct Challenge {
    scheme: String,
    token: Option<String>,
    parameters: Vec<Parameter>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Parameter {
    name: String,
    value: String,
    is_plain: bool,
}

impl Challenge {
    /// One of a scheme, without parameters.
    pub fn new(scheme: impl Into<String>) -> Self {
        Self { scheme: scheme.into(), token: None, parameters: Vec::new() }
    }

    /// For a name and a password, in UTF-8 (RFC 7617). The realm is what people are shown.
    pub fn basic(realm: &str) -> Self {
        Self::new("Basic").parameter("realm", realm).parameter("charset", "UTF-8")
    }

    /// For a token (RFC 6750). Parameters are `scope`, and, if one has come that was not right, `error` and
    /// `error_description`.
    pub fn bearer(realm: &str) -> Self {
        Self::new("Bearer").parameter("realm", realm)
    }

    /// Adds a parameter, in quotes.
    pub fn parameter(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.parameters.push(Parameter { name: name.into(), value: value.into(), is_plain: false });
        self
    }

    /// Adds one without quotes, for schemes that want that.
    pub fn plain_parameter(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.parameters.push(Parameter { name: name.into(), value: value.into(), is_plain: true });
        self
    }

    /// The scheme.
    #[must_use]
    pub fn scheme(&self) -> &str {
        &self.scheme
    }

    /// What stands there instead of parameters, in schemes such as Negotiate.
    #[must_use]
    pub fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// The value of the parameter of this name, in any case.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.parameters.iter().find(|each| each.name.eq_ignore_ascii_case(name));
        found.map(|parameter| parameter.value.as_str())
    }

    /// A value of `WWW-Authenticate`.
    ///
    /// # Errors
    ///
    /// [`BadValue`](AuthFault::BadValue) for what cannot be in one, a line break for example.
    pub fn to_value(&self) -> Result<String, AuthFault> {
        let mut text = match grammar::token(&self.scheme) {
            Some((scheme, "")) => format!("{scheme} "),
            _ => return Err(AuthFault::BadValue),
        };
        if let Some(token) = &self.token {
            text.push_str(token);
        }
        for Parameter { name, value, is_plain } in &self.parameters {
            if *is_plain {
                grammar::push_plain(&mut text, name, value)?;
            } else {
                grammar::push_quoted(&mut text, name, value)?;
            }
        }
        Ok(text.trim_end().to_owned())
    }

    /// Reads a value of `WWW-Authenticate`, which may have several of them. Credentials are written the same
    /// way.
    ///
    /// # Errors
    ///
    /// [`Malformed`](AuthFault::Malformed), also if one has two parameters of a name, and for more than 32 challenges, or
    /// parameters in one.
    pub fn parse_all(value: &str) -> Result<Vec<Self>, AuthFault> {
        read_all(value).ok_or(AuthFault::Malformed)
    }

    /// The only one.
    pub(super) fn parse_one(value: &str) -> Result<Self, AuthFault> {
        let mut all = Self::parse_all(value)?;
        match (all.pop(), all.is_empty()) {
            (Some(only), true) => Ok(only),
            _ => Err(AuthFault::Malformed),
        }
    }

    fn add(&mut self, name: &str, value: String) -> Option<()> {
        if self.parameters.len() == MOST || self.get(name).is_some() {
            return None;
        }
        self.parameters.push(Parameter { name: name.to_owned(), value, is_plain: false });
        Some(())
    }
}

fn read_all(value: &str) -> Option<Vec<Challenge>> {
    let mut all: Vec<Challenge> = Vec::new();
    let mut rest = value.trim_start_matches([' ', '\t', ',']);
    while !rest.is_empty() {
        // Behind a comma is the next parameter, or the next scheme.
        if let (Some(last), Some((name, value, after))) = (all.last_mut(), grammar::parameter(rest))
        {
            last.add(name, value)?;
            rest = grammar::comma(after)?;
            continue;
        }
        let (scheme, after) = grammar::token(rest)?;
        if all.len() == MOST {
            return None;
        }
        let mut challenge = Challenge::new(scheme);
        let behind = after.trim_start_matches(' ');
        let token = grammar::token68(behind).filter(|(_, after)| {
            let after = after.trim_start_matches([' ', '\t']);
            after.is_empty() || after.starts_with(',')
        });
        rest = if behind.len() == after.len() {
            grammar::comma(after)?
        } else if let Some((token, after)) = token {
            challenge.token = Some(token.to_owned());
            grammar::comma(after)?
        } else if let Some((name, value, after)) = grammar::parameter(behind) {
            challenge.add(name, value)?;
            grammar::comma(after)?
        } else {
            grammar::comma(behind)?
        };
        all.push(challenge);
    }
    Some(all)
}
