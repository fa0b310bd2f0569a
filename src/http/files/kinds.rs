//! What kind of content a file has, by its name.

use std::borrow::Cow;
use std::cell::Cell;

/// Types by extension.
#[derive(Debug)]
pub(super) struct Kinds {
    /// Extensions in lower case, the last one first.
    own: Vec<(Box<str>, Box<str>)>,
    default: Box<str>,
    /// What texts are in; empty if nobody says.
    charset: Cow<'static, str>,
    /// Extensions that were looked up lately, each in the one place that it can have.
    known: [Cell<Known>; PLACES],
}

/// How many extensions are kept: the files of most directories have fewer.
const PLACES: usize = 32;

/// An extension, as its bytes are in memory, and what it stands for. No extension is zero.
type Known = (u64, Option<&'static str>);

impl Kinds {
    pub(super) fn new() -> Self {
        Self {
            own: Vec::new(),
            default: "application/octet-stream".into(),
            charset: Cow::Borrowed("utf-8"),
            known: [const { Cell::new((0, None)) }; PLACES],
        }
    }

    pub(super) fn add(&mut self, extension: &str, kind: &str) {
        let extension = extension.trim_start_matches('.').to_ascii_lowercase();
        self.own.insert(0, (extension.into(), kind.into()));
    }

    pub(super) fn set_default(&mut self, kind: &str) {
        self.default = kind.into();
    }

    pub(super) fn set_charset(&mut self, charset: &str) {
        self.charset = Cow::Owned(charset.to_owned());
    }

    /// The `Content-Type` of a file of this name.
    pub(super) fn of(&self, path: &str) -> Cow<'_, str> {
        let name = path.rsplit('/').next().unwrap_or(path);
        let Some((_, extension)) = name.rsplit_once('.') else {
            return Cow::Borrowed(&self.default);
        };
        for (own, kind) in &self.own {
            if own.eq_ignore_ascii_case(extension) {
                return Cow::Borrowed(kind);
            }
        }
        match self.guess(extension) {
            None => Cow::Borrowed(&self.default),
            Some(kind) => self.with_charset(kind),
        }
    }

    /// A search in a table of a thousand costs more than the rest of finding the type, so its result is kept.
    fn guess(&self, extension: &str) -> Option<&'static str> {
        let look_up = || mime_guess::from_ext(extension).first_raw();
        let mut bytes = [0; 8];
        let fits = bytes.get_mut(..extension.len()).filter(|place| !place.is_empty());
        let Some(place) = fits else { return look_up() };
        place.copy_from_slice(extension.as_bytes());
        let extension = u64::from_le_bytes(bytes);
        // The upper bits of the product depend on all of the extension.
        let at = (extension.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 59) as usize;
        let Some(known) = self.known.get(at) else { return look_up() };
        match known.get() {
            (there, kind) if there == extension => kind,
            _ => {
                let kind = look_up();
                known.set((extension, kind));
                kind
            }
        }
    }

    fn with_charset(&self, kind: &'static str) -> Cow<'_, str> {
        if !kind.starts_with("text/") || self.charset.is_empty() {
            return Cow::Borrowed(kind);
        }
        if self.charset == "utf-8" {
            // Those that are asked for most take no memory.
            match kind {
                "text/html" => return Cow::Borrowed("text/html; charset=utf-8"),
                "text/css" => return Cow::Borrowed("text/css; charset=utf-8"),
                "text/plain" => return Cow::Borrowed("text/plain; charset=utf-8"),
                "text/javascript" => return Cow::Borrowed("text/javascript; charset=utf-8"),
                _ => {}
            }
        }
        Cow::Owned(format!("{kind}; charset={}", self.charset))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_extension_says_the_kind_in_any_case() {
        let mut kinds = Kinds::new();
        for (name, kind) in [
            ("a.html", "text/html; charset=utf-8"),
            ("A.HTML", "text/html; charset=utf-8"),
            ("dir.d/a.js", "text/javascript; charset=utf-8"),
            ("a.csv", "text/csv; charset=utf-8"),
            ("a.png", "image/png"),
            ("a.json", "application/json"),
            ("a.tar.gz", "application/gzip"),
            ("a.wasm", "application/wasm"),
            ("a.html/b", "application/octet-stream"),
            ("a", "application/octet-stream"),
            ("a.", "application/octet-stream"),
            ("a.nosuchthing", "application/octet-stream"),
        ] {
            assert_eq!(kinds.of(name), kind, "{name}");
        }
        // Also when they share a place, and when asked again.
        for _ in 0..2 {
            for number in 0..200 {
                assert_eq!(kinds.of(&format!("a.q7z{number}")), "application/octet-stream");
                assert_eq!(kinds.of("a.longextension"), "application/octet-stream");
                assert_eq!(
                    (kinds.of("a.svg"), kinds.of("a.png")),
                    ("image/svg+xml".into(), "image/png".into())
                );
            }
        }
        kinds.add(".JSON", "application/x-mine");
        kinds.set_default("text/x-default");
        assert_eq!(
            (kinds.of("a.json"), kinds.of("a")),
            ("application/x-mine".into(), "text/x-default".into())
        );
        kinds.set_charset("");
        assert_eq!(kinds.of("a.html"), "text/html");
        kinds.set_charset("latin1");
        assert_eq!(kinds.of("a.html"), "text/html; charset=latin1");
    }
}
