//! Files of a directory, as a browser or a download tool asks for them.
//!
//! [`Files`] holds a directory and answers requests for what is below it: whole, in part, or by saying that it has not
//! changed. [`Upload`] takes files into one.

// The rooms: `path` says which names may be asked for, `root` finds them below the directory, by one system call or,
// with `walk`, by several. `marks` and `kinds` say what a file is; `serving` decides what is answered, `sending`
// answers it, `parts` in several parts, `listing` with what is in a directory. `upload` and `storing` go the other way; `waiting`
// knows what has come of files that are not complete.

mod kinds;
mod listing;
mod marks;
mod parts;
mod path;
mod root;
mod sending;
mod serving;
mod storing;
mod upload;
mod waiting;
mod walk;

use std::cell::Cell;
use std::fmt;
use std::os::fd::OwnedFd;
use std::path::Path;

use super::{Outline, Reply, Request, Routes};
use crate::wire::DateCache;
use crate::{EvLoop, Result};
use kinds::Kinds;
use root::Root;

pub use path::{FilePath, FilePathFault};
pub use root::Symlinks;
pub use storing::{Stored, UploadError};
pub use upload::Upload;

/// What kind of [entity tags](crate::wire::EntityTag) files get.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[non_exhaustive]
pub enum Tags {
    /// None: clients go by `Last-Modified`.
    Off,
    /// Weak ones: good to ask whether something has changed, and not for parts.
    Weak,
    /// Strong ones.
    #[default]
    Strong,
}

/// The files of a directory (`mg_http_serve_dir`; evhttp and libmicrohttpd leave it to their users).
///
/// ```
/// use evloop::http::{Files, Routes};
///
/// # let dir = std::env::temp_dir();
/// let files = Files::new(dir)?.index(["index.html"]).cache_control("max-age=3600");
/// let routes = Routes::new().files("/static", files);
/// # Ok::<(), evloop::Error>(())
/// ```
///
/// What is answered:
///
/// * **Only what is below the directory**, which is opened once: a path that leads out, also by a
///   [symbolic link](Symlinks), is 404, as is all that is not a [`FilePath`], and whatever is no regular file.
/// * **Conditions** in the order of RFC 9110 §13.2.2, **ranges** with 206, several of them as `multipart/byteranges`;
///   with `ETag`, `Last-Modified` and `Accept-Ranges`.
/// * **Exactly `Content-Length` bytes** of the file that was opened: if it grows no more is sent, if it is replaced the
///   old one is sent, and if it shrinks the connection is cut, or the reply begun again if it was not yet.
/// * **Small files** are read and leave with their head in one piece; larger ones are sent by the system
///   (`sendfile`).
/// * `GET` and `HEAD`; other methods are 405.
///
/// # Sharp edges
///
/// * **Reading blocks the loop** while the disk is slow, as nginx without `aio` does. From the page cache it
///   takes microseconds; for network file systems use a loop of their own.
/// * **A tag is as good as the file system's times**: a file that is changed twice within one tick of its clock and keeps
///   its size keeps its tag. Replace files by renaming.
/// * **A file that is cut in place while it is sent** may reach the client with zeros where it was cut, before the connection
///   is: the system sends the pages of the file itself. Another reason to rename.
/// * **Hidden files** are not there by default: names that begin with a dot, also of directories on the way.
pub struct Files {
    root: Root,
    links: Symlinks,
    hidden: bool,
    index: Vec<Box<str>>,
    /// How many entries are listed; 0 is none at all.
    listing: usize,
    tags: Tags,
    precompressed: bool,
    kinds: Kinds,
    /// The fields of every reply.
    outline: Outline,
    missing: Option<Missing>,
    spare: Cell<Option<Box<Spare>>>,
}

type Missing = Box<dyn Fn(&mut EvLoop, &Request, Reply) -> Result<()>>;

/// Memory that goes from one request to the next.
#[derive(Default)]
struct Spare {
    outline: Outline,
    body: Vec<u8>,
    /// What is served, below the root.
    path: String,
    dates: DateCache,
}

impl Files {
    /// The files below a directory, which is opened now: if it is moved later on it is still the same.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) if there is no such directory.
    pub fn new(directory: impl AsRef<Path>) -> Result<Self> {
        Root::open(directory.as_ref()).map(Self::of)
    }

    /// The files below a directory that is open already, for programs that cannot open any later on.
    pub fn in_directory(directory: impl Into<OwnedFd>) -> Self {
        Self::of(Root::of(directory.into()))
    }

    fn of(root: Root) -> Self {
        let mut outline = Outline::default();
        // Types are said, and not to be guessed: a text that looks like a page is not one.
        outline.add("X-Content-Type-Options", b"nosniff");
        Self {
            root,
            links: Symlinks::default(),
            hidden: false,
            index: vec!["index.html".into()],
            listing: 0,
            tags: Tags::default(),
            precompressed: false,
            kinds: Kinds::new(),
            outline,
            missing: None,
            spare: Cell::new(None),
        }
    }

    /// Goes component by component even where the system can do better.
    #[doc(hidden)]
    #[must_use]
    pub fn without_openat2(mut self) -> Self {
        self.root.walk();
        self
    }

    /// What becomes of symbolic links; those that stay [inside](Symlinks::Inside) are followed unless it is said here.
    #[must_use]
    pub fn symlinks(mut self, links: Symlinks) -> Self {
        self.links = links;
        self
    }

    /// Whether names may begin with a dot, which they may not by default.
    #[must_use]
    pub fn hidden(mut self, served: bool) -> Self {
        self.hidden = served;
        self
    }

    /// Which files stand for the directory they are in, the first that is there. By default `index.html`.
    #[must_use]
    pub fn index<N: Into<Box<str>>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.index = names.into_iter().map(Into::into).collect();
        self
    }

    /// Lists directories that have no [index](Self::index), up to so many entries; 0 is the default, which answers 404.
    ///
    /// `?sort=name`, `size` or `time` and `&order=desc` sort it. What could not be asked for is not listed.
    #[must_use]
    pub fn listing(mut self, entries: usize) -> Self {
        self.listing = entries;
        self
    }

    /// What kind of entity tags there are; strong ones by default.
    #[must_use]
    pub fn tags(mut self, tags: Tags) -> Self {
        self.tags = tags;
        self
    }

    /// Sends `style.css.br`, `.zst` or `.gz` instead of `style.css` where it is there and the client
    /// reads that; off by default. Caches are told (`Vary`).
    ///
    /// Nothing looks whether both are the same: that is for whoever puts them there.
    #[must_use]
    pub fn precompressed(mut self, sent: bool) -> Self {
        self.precompressed = sent;
        self
    }

    /// Gives files with this extension a type, instead of the one that is known.
    #[must_use]
    pub fn media_type(mut self, extension: &str, kind: &str) -> Self {
        self.kinds.add(extension, kind);
        self
    }

    /// The type of files whose extension is not known; `application/octet-stream` by default.
    #[must_use]
    pub fn default_media_type(mut self, kind: &str) -> Self {
        self.kinds.set_default(kind);
        self
    }

    /// What texts are in; `utf-8` by default. Empty, it is not said.
    #[must_use]
    pub fn charset(mut self, charset: &str) -> Self {
        self.kinds.set_charset(charset);
        self
    }

    /// Adds a field to the reply for every file and listing.
    ///
    /// What cannot be one is an error of [`listen`](super::ServerOptions::listen), or of [`serve`](Self::serve).
    #[must_use]
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.outline.add(name, value.as_ref());
        self
    }

    /// Says how long caches may keep files: `max-age=3600`, `no-cache`, `public, max-age=31536000, immutable`.
    #[must_use]
    pub fn cache_control(self, value: &str) -> Self {
        self.header("Cache-Control", value)
    }

    /// Answers for what is not there, instead of the [error page](Routes::error_page) of 404.
    ///
    /// The reply has status 404 already.
    #[must_use]
    pub fn not_found(
        mut self,
        hook: impl Fn(&mut EvLoop, &Request, Reply) -> Result<()> + 'static,
    ) -> Self {
        self.missing = Some(Box::new(hook));
        self
    }

    /// Answers a request with what is at a path below the directory: a decoded one, as captures are.
    ///
    /// With a status of its own, the reply keeps it, and the file is sent whole: for pages of errors.
    ///
    /// ```
    /// use evloop::http::{Files, Routes};
    ///
    /// # let dir = std::env::temp_dir();
    /// let files = Files::new(dir)?;
    /// let routes = Routes::new().get("/users/{name}/#", move |ev, request, reply| {
    ///     let path = format!("{}/public/{}", request.capture(0).unwrap_or(""), request.capture(1).unwrap_or(""));
    ///     files.serve(ev, &request, &path, reply)
    /// });
    /// # Ok::<(), evloop::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [all replies](Reply#errors). What is wrong with the path or the file is answered, and no error.
    pub fn serve(
        &self,
        ev: &mut EvLoop,
        request: &Request,
        path: &str,
        reply: Reply,
    ) -> Result<()> {
        let mut spare = self.spare.take().unwrap_or_default();
        let result = serving::serve(self, ev, request, path, reply, &mut spare);
        // A run nested in a hook may have left another one.
        self.spare.set(Some(spare));
        result
    }
}

impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Files")
            .field("root", &self.root)
            .field("links", &self.links)
            .field("index", &self.index)
            .finish_non_exhaustive()
    }
}

impl Routes {
    /// Serves the files of a directory at a path and everything below it: `GET /assets/a/b.css` with the prefix `/assets`
    /// is the file `a/b.css` in it. What is below the whole prefix is the path, also where that is a pattern.
    ///
    /// ```
    /// use evloop::http::{Files, Routes};
    ///
    /// # let dir = std::env::temp_dir();
    /// let routes = Routes::new().files("/", Files::new(dir)?);
    /// # Ok::<(), evloop::Error>(())
    /// ```
    pub fn files(mut self, prefix: &str, files: Files) -> Self {
        if let Err(error) = files.outline.check() {
            self.wrong.get_or_insert(error);
        }
        let (prefix, below, capture) = below(prefix);
        let files = std::rc::Rc::new(files);
        if !prefix.is_empty() {
            let files = std::rc::Rc::clone(&files);
            self = self.get(prefix, move |ev: &mut EvLoop, request: Request, reply: Reply| {
                files.serve(ev, &request, "", reply)
            });
        }
        self.get(&below, move |ev: &mut EvLoop, request: Request, reply: Reply| {
            files.serve(ev, &request, request.capture(capture).unwrap_or_default(), reply)
        })
    }
}

/// A prefix without slashes at its end, the pattern for what is below, and which of its captures that is.
fn below(prefix: &str) -> (&str, String, usize) {
    let prefix = prefix.trim_end_matches('/');
    let captures = prefix.bytes().filter(|byte| matches!(byte, b'{' | b'*' | b'#')).count();
    (prefix, format!("{prefix}/#"), captures)
}
