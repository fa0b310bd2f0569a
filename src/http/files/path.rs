//! Names of files, as peers may give them.

use std::{error, fmt};

/// A path below a served directory, that cannot lead out of it and says nothing but names.
///
/// Relative, of segments divided by `/`. Empty it is the directory itself; with a slash at its end it is a directory.
/// What is refused is refused whatever is on disk: it would mean something else to another system, a shell or a log,
/// or is a name that only attackers use.
///
/// ```
/// use evloop::http::{FilePath, FilePathFault};
///
/// let path = FilePath::parse("img/logo.svg", false)?;
/// assert_eq!((path.as_str(), path.is_directory()), ("img/logo.svg", false));
/// assert_eq!(FilePath::parse("../etc/passwd", false), Err(FilePathFault::Dots));
/// assert_eq!(FilePath::parse(r"..\secret", true), Err(FilePathFault::Backslash));
/// assert_eq!(FilePath::parse("..%2fsecret", true), Err(FilePathFault::EscapedSlash));
/// assert_eq!(FilePath::parse(".git/config", false), Err(FilePathFault::Hidden));
/// # Ok::<(), FilePathFault>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct FilePath<'a> {
    /// Without the slash at its end.
    path: &'a str,
    directory: bool,
}

/// Why a path is none.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum FilePathFault {
    /// It begins with a slash, or two slashes follow each other.
    Empty,
    /// A segment is `.` or `..`.
    Dots,
    /// A segment begins with a dot, where hidden files are not served.
    Hidden,
    /// There is a control byte in it, NUL for example.
    Control,
    /// There is a backslash in it, which separates on other systems.
    Backslash,
    /// There is `%2F` in it: a slash that was escaped, to be unescaped by somebody later on.
    EscapedSlash,
    /// A segment begins like `c:`, which is a drive elsewhere.
    Drive,
    /// A segment is longer than 255 bytes, or all of it than 4095: no file has such a name.
    TooLong,
}

/// `NAME_MAX` and `PATH_MAX`.
const SEGMENT_MAX: usize = 255;
const PATH_MAX: usize = 4095;

impl<'a> FilePath<'a> {
    /// Reads a path that was [decoded](crate::wire::decode_path) once, as [`Request::path`](super::super::Request::path)
    /// and captures are.
    ///
    /// # Errors
    ///
    /// What is wrong with it; [`Hidden`](FilePathFault::Hidden) only unless `hidden`.
    pub fn parse(path: &'a str, hidden: bool) -> Result<Self, FilePathFault> {
        if path.len() > PATH_MAX {
            return Err(FilePathFault::TooLong);
        }
        let (path, directory) = match path.strip_suffix('/') {
            Some("") => return Err(FilePathFault::Empty),
            Some(path) => (path, true),
            None => (path, path.is_empty()),
        };
        if !path.is_empty() {
            for segment in path.as_bytes().split(|&byte| byte == b'/') {
                check(segment, hidden)?;
            }
        }
        Ok(Self { path, directory })
    }

    /// The path, without a slash at its end. Empty for the served directory itself.
    #[must_use]
    pub fn as_str(&self) -> &'a str {
        self.path
    }

    /// Whether it can only be a directory.
    #[must_use]
    pub fn is_directory(&self) -> bool {
        self.directory
    }

    /// The directory it is in, and its name there. `None` for the served directory itself.
    #[must_use]
    pub fn split_last(&self) -> Option<(&'a str, &'a str)> {
        match self.path.rsplit_once('/') {
            None if self.path.is_empty() => None,
            None => Some(("", self.path)),
            some => some,
        }
    }
}

/// Linear: each byte is looked at a fixed number of times.
fn check(segment: &[u8], hidden: bool) -> Result<(), FilePathFault> {
    match segment {
        [] => return Err(FilePathFault::Empty),
        b"." | b".." => return Err(FilePathFault::Dots),
        [letter, b':', ..] if letter.is_ascii_alphabetic() => return Err(FilePathFault::Drive),
        _ if segment.len() > SEGMENT_MAX => return Err(FilePathFault::TooLong),
        _ => {}
    }
    let mut rest = segment;
    while let Some((&byte, after)) = rest.split_first() {
        match (byte, after) {
            (b'\\', _) => return Err(FilePathFault::Backslash),
            (b'%', [b'2', b'f' | b'F', ..]) => return Err(FilePathFault::EscapedSlash),
            // The second are the control characters behind ASCII, in UTF-8.
            (0..=0x1F | 0x7F, _) | (0xC2, [0x80..=0x9F, ..]) => return Err(FilePathFault::Control),
            _ => rest = after,
        }
    }
    if segment.starts_with(b".") && !hidden {
        return Err(FilePathFault::Hidden);
    }
    Ok(())
}

impl fmt::Display for FilePathFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "a segment of the path is empty",
            Self::Dots => "a segment of the path is . or ..",
            Self::Hidden => "a segment of the path is hidden",
            Self::Control => "the path has a control byte",
            Self::Backslash => "the path has a backslash",
            Self::EscapedSlash => "the path has an escaped slash",
            Self::Drive => "a segment of the path looks like a drive",
            Self::TooLong => "the path is too long",
        })
    }
}

impl error::Error for FilePathFault {}
