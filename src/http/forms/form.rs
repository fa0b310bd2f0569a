//! What was in a form.

use std::borrow::Cow;
use std::fmt;

use super::StoredFile;

/// The fields and files of a form, in order, repeats kept.
///
/// ```
/// use evloop::EvLoop;
/// use evloop::http::{FormLimits, Reply, Request, Routes, Status};
///
/// let routes = Routes::new().post("/form", |ev: &mut EvLoop, request: Request, reply: Reply| {
///     let form = match request.form(&FormLimits::default()) {
///         Ok(form) => form,
///         Err(error) => return reply.error(ev, error.status()),
///     };
///     let title = form.get("title").unwrap_or("nameless");
///     let sizes: u64 = form.files().iter().map(|file| file.len()).sum();
///     reply.text(ev, format!("{title}: {sizes} bytes"))
/// });
/// ```
#[derive(Debug, Default)]
pub struct Form {
    pub(super) fields: Vec<FormField>,
    pub(super) files: Vec<FormFile>,
}

/// A field of a form.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FormField {
    name: String,
    text: String,
    /// Where the text is not what came.
    raw: Option<Box<[u8]>>,
}

/// A file of a form, or what else was [put somewhere](super::FormPart).
#[derive(Debug)]
pub struct FormFile {
    pub(super) name: String,
    pub(super) filename: Option<String>,
    pub(super) content_type: Option<String>,
    pub(super) len: u64,
    pub(super) content: FormContent,
}

/// Where the content of a file is.
#[non_exhaustive]
pub enum FormContent {
    /// Here.
    Memory(Vec<u8>),
    /// In a file, which is removed when this is dropped.
    Stored(StoredFile),
    /// Whoever has [taken](super::FormPart::send_to) it knows.
    Taken,
    /// Nowhere: it was [not wanted](super::FormPart::discard).
    Discarded,
}

impl Form {
    /// The text of the first field of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|field| field.name == name).map(FormField::text)
    }

    /// The texts of all fields of this name.
    pub fn get_all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.fields.iter().filter(move |field| field.name == name).map(FormField::text)
    }

    /// All fields: those of the query first, where they were [asked for](crate::http::Request::form_with_query).
    #[must_use]
    pub fn fields(&self) -> &[FormField] {
        &self.fields
    }

    /// The first file of this name.
    #[must_use]
    pub fn file(&self, name: &str) -> Option<&FormFile> {
        self.files.iter().find(|file| file.name == name)
    }

    /// All files.
    #[must_use]
    pub fn files(&self) -> &[FormFile] {
        &self.files
    }

    /// All files, taken out.
    #[must_use]
    pub fn take_files(&mut self) -> Vec<FormFile> {
        std::mem::take(&mut self.files)
    }
}

impl FormField {
    pub(super) fn new(name: String, content: Vec<u8>) -> Self {
        match String::from_utf8_lossy(&content) {
            Cow::Borrowed(text) => Self { name, text: text.to_owned(), raw: None },
            Cow::Owned(text) => Self { name, text, raw: Some(content.into_boxed_slice()) },
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its value. What is not UTF-8 is U+FFFD here.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Its value as it came in a multipart body; of others it is [`text`](Self::text).
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.raw.as_deref().unwrap_or(self.text.as_bytes())
    }
}

impl FormFile {
    /// The name of the field that it is in.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name that it has at the client, if it is a file; empty if the user has chosen none.
    ///
    /// Never make a path of it: it may be `../../etc/passwd`, or have a line break in it. It is for people to read.
    #[must_use]
    pub fn filename(&self) -> Option<&str> {
        self.filename.as_deref()
    }

    /// The type, as the client sees it.
    #[must_use]
    pub fn content_type(&self) -> Option<&str> {
        self.content_type.as_deref()
    }

    /// How many bytes it has.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Where its content is.
    #[must_use]
    pub fn content(&self) -> &FormContent {
        &self.content
    }

    /// Its content, taken out.
    #[must_use]
    pub fn into_content(self) -> FormContent {
        self.content
    }

    /// Its content, if it is in memory.
    #[must_use]
    pub fn bytes(&self) -> Option<&[u8]> {
        match &self.content {
            FormContent::Memory(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// Its content, if it is in a file: to be [kept](StoredFile::persist).
    #[must_use]
    pub fn into_stored(self) -> Option<StoredFile> {
        match self.content {
            FormContent::Stored(file) => Some(file),
            _ => None,
        }
    }
}

impl fmt::Debug for FormContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory(bytes) => write!(f, "Memory({} bytes)", bytes.len()),
            Self::Stored(file) => f.debug_tuple("Stored").field(file).finish(),
            Self::Taken => f.write_str("Taken"),
            Self::Discarded => f.write_str("Discarded"),
        }
    }
}
