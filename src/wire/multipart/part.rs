//! The head of a part, and what it says the part is.

use super::MultipartFault;
use crate::wire::{Fields, extended, is_field_value, is_token};

/// What stands before the content of a part: its name, and more where it is a file.
///
/// All of it is what the client says, and may be anything. In names, bytes that are not UTF-8 have become U+FFFD.
#[derive(Clone, Debug, Default)]
pub struct PartHead {
    name: String,
    filename: Option<String>,
    content_type: Option<String>,
    fields: Fields,
}

impl PartHead {
    /// The name of the field, which several parts may have.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name that the file has at the client; empty if the user has chosen none. `None` where it is no file.
    ///
    /// Never make a path of it: it may be `../../etc/passwd`, or `C:\a.txt`, or have a line break in it. It is for
    /// people to read.
    #[must_use]
    pub fn filename(&self) -> Option<&str> {
        self.filename.as_deref()
    }

    /// `Content-Type`, as it came. Without one a field is `text/plain` (RFC 7578 §4.4).
    #[must_use]
    pub fn content_type(&self) -> Option<&str> {
        self.content_type.as_deref()
    }

    /// Whether it is a file: it has a [name of one](Self::filename).
    #[must_use]
    pub fn is_file(&self) -> bool {
        self.filename.is_some()
    }

    /// All the fields of the head. `Content-Transfer-Encoding` is among them if somebody sends it, and undone by nobody
    /// (RFC 7578 §4.7).
    #[must_use]
    pub fn fields(&self) -> &Fields {
        &self.fields
    }

    /// Adds a line, without its end.
    pub(super) fn add_line(&mut self, line: &[u8]) -> Result<(), MultipartFault> {
        const BAD: MultipartFault = MultipartFault::BadField;
        let colon = line.iter().position(|byte| *byte == b':').ok_or(BAD)?;
        let (name, value) = line.split_at_checked(colon).ok_or(BAD)?;
        let value = crate::wire::syntax::trim(value.get(1..).ok_or(BAD)?);
        if !is_token(name) || !is_field_value(value) {
            return Err(BAD);
        }
        let name = std::str::from_utf8(name).map_err(|_| BAD)?;
        self.fields.push(name, value).map_err(|_| BAD)
    }

    /// Reads what was added.
    pub(super) fn finish(&mut self) -> Result<(), MultipartFault> {
        const BAD: MultipartFault = MultipartFault::BadDisposition;
        let value = {
            let mut all = self.fields.get_all("content-disposition");
            let value = String::from_utf8_lossy(all.next().ok_or(BAD)?).into_owned();
            if all.next().is_some() {
                return Err(BAD);
            }
            value
        };
        let disposition = Disposition::parse(&value).ok_or(BAD)?;
        self.name = disposition.name.ok_or(BAD)?;
        // That of RFC 8187 says what the other could not (RFC 6266 §4.3).
        self.filename = disposition.filename_extended.or(disposition.filename);
        let content_type = self.fields.get("content-type");
        self.content_type = content_type.map(|value| String::from_utf8_lossy(value).into_owned());
        Ok(())
    }
}

#[derive(Default)]
struct Disposition {
    name: Option<String>,
    filename: Option<String>,
    filename_extended: Option<String>,
}

impl Disposition {
    fn parse(value: &str) -> Option<Self> {
        let (kind, mut rest) = value.split_at_checked(value.find(';').unwrap_or(value.len()))?;
        if !kind.trim_matches(OWS).eq_ignore_ascii_case("form-data") {
            return None;
        }
        let mut found = Self::default();
        loop {
            rest = rest.trim_start_matches([' ', '\t', ';']);
            if rest.is_empty() {
                return Some(found);
            }
            let (name, after) = rest.split_once('=')?;
            let name = name.trim_end_matches(OWS);
            if !is_token(name.as_bytes()) {
                return None;
            }
            let (value, after) = value_of(after.trim_start_matches(OWS))?;
            rest = after.trim_start_matches(OWS);
            if !rest.is_empty() && !rest.starts_with(';') {
                return None;
            }
            let (place, value) = if name.eq_ignore_ascii_case("name") {
                (&mut found.name, value)
            } else if name.eq_ignore_ascii_case("filename") {
                (&mut found.filename, value)
            } else if name.eq_ignore_ascii_case("filename*") {
                (&mut found.filename_extended, extended::decode(&value)?)
            } else {
                continue;
            };
            // Whoever reads this after us might take the other.
            if place.replace(value).is_some() {
                return None;
            }
        }
    }
}

const OWS: [char; 2] = [' ', '\t'];

/// A value, and what comes after it.
fn value_of(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([';', ' ', '\t', '"']).unwrap_or(text.len());
        let (value, rest) = text.split_at_checked(end)?;
        return (!value.is_empty()).then(|| (value.to_owned(), rest));
    };
    let mut value = String::new();
    let mut rest = quoted;
    loop {
        let (plain, special) = rest.split_at_checked(rest.find(['"', '\\', '%'])?)?;
        value.push_str(plain);
        // Browsers escape three characters, and no backslash (HTML §4.10.21.8); others do as RFC 9110 says. Who has
        // a backslash before anything else, as in a path of Windows, means it.
        let escapes = [("\\\"", '"'), ("\\\\", '\\'), ("%22", '"'), ("%0d", '\r'), ("%0a", '\n')];
        let found = escapes.iter().find(|(escape, _)| {
            let start = special.get(..escape.len());
            start.is_some_and(|start| start.eq_ignore_ascii_case(escape))
        });
        if let Some((escape, meant)) = found {
            value.push(*meant);
            rest = special.get(escape.len()..)?;
        } else if let Some(after) = special.strip_prefix('"') {
            return Some((value, after));
        } else {
            let mut after = special.chars();
            value.push(after.next()?);
            rest = after.as_str();
        }
    }
}
