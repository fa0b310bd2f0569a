//! Forms, the files in them, and cookies.
//!
//! What HTML forms send comes in two encodings, and both come to the same here: a [`Form`]. Where the body was
//! gathered, [`Request::form`] reads it; where it is streamed, [`Request::receive_form`] does as it comes, so that files
//! go to a disk, or to somebody else, and not to memory.

// The rooms: `form` is what comes out, `collecting` makes it, of whole bodies too; `receiving` does as they come;
// `stored` is a file on disk.

mod collecting;
mod error;
mod form;
mod receiving;
mod stored;

pub use error::FormError;
pub use form::{Form, FormContent, FormField, FormFile};
pub use receiving::{FormEvent, FormOptions, FormPart, PartData};
pub use stored::StoredFile;

use super::Request;
use crate::wire::cookie::{self, COOKIES_MAX};
use crate::wire::multipart::MultipartLimits;
use crate::wire::urlencoded;
use collecting::Collected;

/// How many files of a form are stored unless it is said: empty ones cost a disk something too.
const STORED_MAX: usize = 32;

/// How much of a form is taken. More is [`FormError::TooLarge`], or a [fault](FormError::Multipart) of the same
/// meaning.
///
/// ```
/// use evloop::http::FormLimits;
///
/// let limits = FormLimits { file: 1 << 30, total: 2 << 30, ..FormLimits::default() };
/// assert_eq!((limits.parts, limits.pairs), (128, 1000));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FormLimits {
    /// Parts of a multipart body, fields and files together; 128.
    pub parts: usize,
    /// Those of them that are [stored](StoredFile) on disk; 32.
    pub stored: usize,
    /// Pairs of a query and of an urlencoded body, together; 1000.
    pub pairs: usize,
    /// Bytes of the head of a part; 8 KiB.
    pub head: usize,
    /// Bytes of a field; of a pair, its name included; 64 KiB.
    pub field: u64,
    /// Bytes of a file; 16 MiB.
    pub file: u64,
    /// Bytes of everything that is kept in memory, names and types included, and a few for each field; 8 MiB.
    pub memory: u64,
    /// Bytes of the body; 64 MiB.
    pub total: u64,
}

impl Default for FormLimits {
    fn default() -> Self {
        let MultipartLimits { parts, head, field, file, total } = MultipartLimits::default();
        let (pairs, memory) = (urlencoded::PAIRS_MAX, 8 << 20);
        Self { parts, stored: STORED_MAX, pairs, head, field, file, memory, total }
    }
}

impl FormLimits {
    fn multipart(&self) -> MultipartLimits {
        let Self { parts, head, field, file, total, .. } = *self;
        MultipartLimits { parts, head, field, file, total }
    }
}

/// Forms in gathered bodies, and cookies.
impl Request {
    /// The form in the body, urlencoded or multipart; its files are in memory
    /// (`MHD_post_process`). Of a [streamed](crate::http::Routes::streaming) body see
    /// [`receive_form`](Self::receive_form).
    ///
    /// # Errors
    ///
    /// See [`FormError`], which knows what to answer.
    pub fn form(&self, limits: &FormLimits) -> Result<Form, FormError> {
        let mut collected = Collected::new(*limits, None);
        collecting::whole(self, &mut collected)?;
        Ok(collected.form)
    }

    /// The pairs of the query, and behind them the form in the body, if there is a body. The limits are for both
    /// together.
    ///
    /// # Errors
    ///
    /// See [`FormError`].
    pub fn form_with_query(&self, limits: &FormLimits) -> Result<Form, FormError> {
        let mut collected = Collected::new(*limits, None);
        let mut pairs = self.query_pairs().limit(limits.pairs);
        for (name, value) in pairs.by_ref() {
            collected.pair(name.into_owned(), value.into_owned())?;
        }
        if pairs.is_cut() {
            return Err(FormError::TooLarge);
        }
        if self.has_body() && (!self.body().is_empty() || self.content_type().is_some()) {
            collecting::whole(self, &mut collected)?;
        }
        Ok(collected.form)
    }

    /// The cookies that the client has sent, in order, as [`cookie::parse`] reads them; at most
    /// [`COOKIES_MAX`] (`MHD_COOKIE_KIND`).
    ///
    /// Clients can say what they like here: what must not be changed has to be signed.
    pub fn cookies(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields().get_all("cookie").flat_map(cookie::parse).take(COOKIES_MAX)
    }

    /// The value of the first cookie of this name.
    #[must_use]
    pub fn cookie(&self, name: &str) -> Option<&str> {
        self.cookies().find(|(each, _)| *each == name).map(|(_, value)| value)
    }
}
