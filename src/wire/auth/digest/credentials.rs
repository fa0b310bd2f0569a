//! What a client answers.

use super::super::{behind, grammar};
use super::{AuthFault, Challenge, DigestAlgorithm, Qop};
use crate::wire::extended;

/// What stands in an `Authorization: Digest …` (RFC 7616 §3.4).
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct DigestCredentials {
    /// Who.
    pub user: DigestUser,
    /// Where.
    pub realm: String,
    /// What the server has asked with.
    pub nonce: String,
    /// The target, as the client has seen it.
    pub uri: String,
    /// The proof.
    pub response: String,
    /// How it was made: MD5 if nothing is said.
    pub algorithm: DigestAlgorithm,
    /// What the client has added; empty without [`qop`](Self::qop).
    pub cnonce: String,
    /// What the server wants to have back.
    pub opaque: Option<String>,
    /// What is protected. `None` is what RFC 2069 had.
    pub qop: Option<Qop>,
    /// How often the nonce was used, this time included.
    pub count: u32,
    /// The same, as it came: that is what was hashed.
    count_text: String,
}

/// The name of a user, as a client gives it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DigestUser {
    /// As it is.
    Name(String),
    /// The hash of it and the realm, in lower-case digits: nobody on the way learns it (`userhash`, RFC 7616 §3.4.4).
    Hash(String),
}

impl DigestCredentials {
    /// Reads a value of `Authorization`.
    ///
    /// # Errors
    ///
    /// [`OtherScheme`](AuthFault::OtherScheme); [`Malformed`](AuthFault::Malformed) for what lacks something or has
    /// something twice; [`Unknown`](AuthFault::Unknown) for another algorithm or quality of protection.
    pub fn parse(value: &str) -> Result<Self, AuthFault> {
        behind(value, "digest")?;
        let all = Challenge::parse_one(value)?;
        let required = |name| all.get(name).map(str::to_owned).ok_or(AuthFault::Malformed);
        let algorithm = match all.get("algorithm") {
            None => DigestAlgorithm::Md5,
            Some(name) => DigestAlgorithm::from_name(name).ok_or(AuthFault::Unknown)?,
        };
        let is_hash = match all.get("userhash") {
            None => false,
            Some(text) if text.eq_ignore_ascii_case("false") => false,
            Some(text) if text.eq_ignore_ascii_case("true") => true,
            Some(_) => return Err(AuthFault::Malformed),
        };
        let user = match (all.get("username"), all.get("username*")) {
            (Some(hash), None) if is_hash => DigestUser::Hash(hash.to_ascii_lowercase()),
            (Some(name), None) => DigestUser::Name(name.to_owned()),
            (None, Some(name)) if !is_hash => {
                DigestUser::Name(extended::decode(name).ok_or(AuthFault::BadText)?)
            }
            _ => return Err(AuthFault::Malformed),
        };
        let name = match &user {
            DigestUser::Name(text) | DigestUser::Hash(text) => text,
        };
        if name.chars().any(char::is_control) {
            return Err(AuthFault::BadText);
        }
        let qop = match all.get("qop") {
            None => None,
            Some(name) => Some(Qop::from_name(name).ok_or(AuthFault::Unknown)?),
        };
        let (mut cnonce, mut count_text, mut count) = (String::new(), String::new(), 0);
        if qop.is_some() {
            cnonce = required("cnonce")?;
            count_text = required("nc")?;
            let is_hex = count_text.bytes().all(|byte| byte.is_ascii_hexdigit());
            if count_text.len() != 8 || !is_hex {
                return Err(AuthFault::Malformed);
            }
            count = u32::from_str_radix(&count_text, 16).map_err(|_| AuthFault::Malformed)?;
        }
        Ok(Self {
            user,
            realm: required("realm")?,
            nonce: required("nonce")?,
            uri: required("uri")?,
            response: required("response")?,
            algorithm,
            cnonce,
            opaque: all.get("opaque").map(str::to_owned),
            qop,
            count,
            count_text,
        })
    }

    /// Those for a request, without the proof.
    pub(super) fn new(user: DigestUser, algorithm: DigestAlgorithm, qop: Option<Qop>) -> Self {
        Self {
            user,
            realm: String::new(),
            nonce: String::new(),
            uri: String::new(),
            response: String::new(),
            algorithm,
            cnonce: String::new(),
            opaque: None,
            qop,
            count: 0,
            count_text: String::new(),
        }
    }

    pub(super) fn set_count(&mut self, count: u32) {
        self.count = count;
        self.count_text = format!("{count:08x}");
    }

    pub(super) fn count_as_written(&self) -> &str {
        &self.count_text
    }

    /// Writes them as a value of `Authorization`.
    ///
    /// # Errors
    ///
    /// [`BadValue`](AuthFault::BadValue) for what cannot be in one, a line break for example.
    pub fn to_value(&self) -> Result<String, AuthFault> {
        let mut text = "Digest ".to_owned();
        let out = &mut text;
        match &self.user {
            DigestUser::Name(name) if name.is_ascii() => {
                grammar::push_quoted(out, "username", name)?;
            }
            DigestUser::Name(name) => {
                if name.chars().any(char::is_control) {
                    return Err(AuthFault::BadValue);
                }
                grammar::push_quoted(out, "username*", "")?;
                // Such a value has no quotes around it.
                out.truncate(out.len() - 2);
                out.push_str(&extended::encode(name));
            }
            DigestUser::Hash(hash) => grammar::push_quoted(out, "username", hash)?,
        }
        grammar::push_quoted(out, "realm", &self.realm)?;
        grammar::push_quoted(out, "nonce", &self.nonce)?;
        grammar::push_quoted(out, "uri", &self.uri)?;
        grammar::push_quoted(out, "response", &self.response)?;
        grammar::push_plain(out, "algorithm", self.algorithm.name())?;
        if let Some(qop) = self.qop {
            grammar::push_quoted(out, "cnonce", &self.cnonce)?;
            grammar::push_plain(out, "qop", qop.name())?;
            grammar::push_plain(out, "nc", &self.count_text)?;
        }
        if let Some(opaque) = &self.opaque {
            grammar::push_quoted(out, "opaque", opaque)?;
        }
        if matches!(self.user, DigestUser::Hash(_)) {
            grammar::push_plain(out, "userhash", "true")?;
        }
        Ok(text)
    }
}
