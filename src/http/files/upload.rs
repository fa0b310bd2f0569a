//! Files are taken from clients.

use std::fmt;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::marks::{Attributes, Mark};
use super::root::{NAME_IN, Root};
use super::storing::{Place, Storing};
use super::waiting::Waiting;
use super::{FilePath, Stored, Symlinks, Tags, UploadError, below};
use crate::http::{BodyEvent, Method, Reply, Request, RequestBody, Routes, Status};
use crate::wire::Fields;
use crate::wire::conditional::{Current, Verdict, evaluate};
use crate::wire::range::{parse_content_range, unsatisfied};
use crate::{EvLoop, Result};

/// How large files may be unless it is said: 1 GiB.
const SIZE_MAX: u64 = 1 << 30;

/// How many parts of files may wait for the rest unless it is said, and for how long: a day.
const PARTS_MAX: usize = 1000;
const PARTS_AGE: Duration = Duration::from_secs(24 * 60 * 60);

/// Takes files into a directory, from the bodies of requests (`mg_http_upload`).
///
/// ```
/// use evloop::http::{Routes, Upload};
///
/// # let dir = std::env::temp_dir();
/// let upload = Upload::new(dir)?.max_size(100 << 20);
/// let routes = Routes::new().upload("/incoming", upload); // PUT /incoming/photo.jpg
/// # Ok::<(), evloop::Error>(())
/// ```
///
/// What comes is written under another name beside its place, and gets its own only when all of it has come, was
/// written, and closing the file has agreed. Until then, and if anything goes wrong, there is under that name what was
/// there before. 201 is answered for a new file, 204 for one that was replaced, 507 where the disk is full.
///
/// Names are [`FilePath`]s that do not begin with a dot, directories on the way must be there, and nothing outside
/// the directory is written.
///
/// # Sharp edges
///
/// * **Writing blocks the loop** while the disk takes it, at most 64 KiB at a time, as nginx does: mostly that only
///   fills the page cache. With [`sync`](Self::sync) it waits for the disk at the end of each file.
/// * **Names that begin with a dot and end in `.part`** are those of files that are not complete. What a crash leaves
///   of them, and what [waits](Self::max_parts) when a program ends, is for the next run of it to remove.
/// * **How many files there are, and how large together, is not limited**: let in only who may fill the disk.
pub struct Upload {
    root: Arc<Root>,
    links: Symlinks,
    max_size: u64,
    syncs: bool,
    resumes: bool,
    max_parts: usize,
    parts_age: Duration,
    waiting: Arc<Waiting>,
    replaces: bool,
}

/// Where what has come of a file is left until the rest comes.
pub(super) struct Keeping {
    pub(super) waiting: Arc<Waiting>,
    /// How many may wait at a time.
    pub(super) most: usize,
    pub(super) links: Symlinks,
}

type Done = Box<dyn FnOnce(&mut EvLoop, std::result::Result<Stored, UploadError>, Reply)>;

impl Upload {
    /// Into a directory, which is opened now.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) if there is no such directory.
    pub fn new(directory: impl AsRef<Path>) -> Result<Self> {
        Root::open(directory.as_ref()).map(Self::of)
    }

    /// Into a directory that is open already.
    pub fn in_directory(directory: impl Into<OwnedFd>) -> Self {
        Self::of(Root::of(directory.into()))
    }

    fn of(root: Root) -> Self {
        let root = Arc::new(root);
        Self {
            waiting: Arc::new(Waiting::new(Arc::clone(&root))),
            root,
            links: Symlinks::default(),
            max_size: SIZE_MAX,
            syncs: false,
            resumes: false,
            max_parts: PARTS_MAX,
            parts_age: PARTS_AGE,
            replaces: true,
        }
    }

    /// What becomes of symbolic links to directories on the way; those that stay inside are followed by default. One in
    /// the place of the file is replaced, never written through.
    #[must_use]
    pub fn symlinks(mut self, links: Symlinks) -> Self {
        self.links = links;
        self
    }

    /// How large a file may be, in bytes; 1 GiB by default. More is 413.
    #[must_use]
    pub fn max_size(mut self, bytes: u64) -> Self {
        self.max_size = bytes;
        self
    }

    /// Whether a file must have reached the disk before it gets its name (`fsync`). Off by default: after a loss of
    /// power a file that was said to be stored may be empty.
    #[must_use]
    pub fn sync(mut self, syncs: bool) -> Self {
        self.syncs = syncs;
        self
    }

    /// Whether files may come in parts; off by default. What has come of one is kept, as `.NAME.part`, also if the
    /// client goes away. A `PUT` with `Content-Range: bytes 500-999/1000` goes on with it, and is answered with 202
    /// until the last byte has come. One that begins behind what is there is 416, with how much that is.
    ///
    /// What waits for its rest is removed after [a while](Self::parts_age), and when there is [too
    /// much](Self::max_parts) of it. Its client is told 416 then, and begins again.
    #[must_use]
    pub fn resumable(mut self, resumes: bool) -> Self {
        self.resumes = resumes;
        self
    }

    /// How many files may wait for their rest at a time, where they [may come in parts](Self::resumable): 1000, and at
    /// least one. If there is one more, the one to which nobody has added for the longest time is removed. Those that are
    /// coming just now do not count.
    ///
    /// Each `Upload` counts its own, and what an earlier run of the program has left is nobody's.
    #[must_use]
    pub fn max_parts(mut self, parts: usize) -> Self {
        self.max_parts = parts.max(1);
        self
    }

    /// How long a file waits for its rest after something of it came last: a day. What has waited for longer is removed
    /// when a later upload begins.
    #[must_use]
    pub fn parts_age(mut self, age: Duration) -> Self {
        self.parts_age = age;
        self
    }

    /// Whether a file may take the place of another; it may by default. If not, that is 409.
    #[must_use]
    pub fn replace(mut self, replaces: bool) -> Self {
        self.replaces = replaces;
        self
    }

    pub(super) fn size_limit(&self) -> u64 {
        self.max_size
    }

    pub(super) fn syncs(&self) -> bool {
        self.syncs
    }

    pub(super) fn keeping(&self) -> Option<Keeping> {
        let (most, links) = (self.max_parts, self.links);
        self.resumes.then(|| Keeping { waiting: Arc::clone(&self.waiting), most, links })
    }

    /// Takes the body of a [streamed](Routes::streaming) request as the file at a path below the directory, and answers.
    ///
    /// # Errors
    ///
    /// Those of [`Request::receive`], and of [all replies](Reply#errors).
    pub fn receive(
        &self,
        ev: &mut EvLoop,
        request: &Request,
        path: &str,
        reply: Reply,
    ) -> Result<()> {
        self.receive_with(ev, request, path, reply, |ev, result, reply| {
            // If the client is gone, nothing is owed.
            let _ = answer(ev, &result, reply);
        })
    }

    /// The same, with somebody who is told how it went, and answers.
    ///
    /// # Errors
    ///
    /// Those of [`Request::receive`]; `done` is dropped then, with the reply.
    pub fn receive_with(
        &self,
        ev: &mut EvLoop,
        request: &Request,
        path: &str,
        reply: Reply,
        done: impl FnOnce(&mut EvLoop, std::result::Result<Stored, UploadError>, Reply) + 'static,
    ) -> Result<()> {
        let place = match request.fields().get("content-range") {
            None => Ok(Place::WHOLE),
            Some(_) if !self.resumes => Err(UploadError::BadPart),
            Some(value) => match parse_content_range(value) {
                Some((range, total)) => {
                    Ok(Place { offset: range.offset, len: Some(range.len), total, is_whole: false })
                }
                None => Err(UploadError::BadPart),
            },
        };
        self.take(ev, request, path, place, reply, Box::new(done))
    }

    /// The same, for a part that begins so many bytes into a file of this length, wherever that was said: in the
    /// query for example. Without a length, it is not complete with this part. Only where files
    /// [may come in parts](Self::resumable).
    ///
    /// # Errors
    ///
    /// Those of [`receive_with`](Self::receive_with).
    #[expect(clippy::too_many_arguments, reason = "where, what, how much of it, and who is told")]
    pub fn receive_part(
        &self,
        ev: &mut EvLoop,
        request: &Request,
        path: &str,
        offset: u64,
        total: Option<u64>,
        reply: Reply,
        done: impl FnOnce(&mut EvLoop, std::result::Result<Stored, UploadError>, Reply) + 'static,
    ) -> Result<()> {
        let place = if self.resumes {
            Ok(Place { offset, len: None, total, is_whole: false })
        } else {
            Err(UploadError::BadPart)
        };
        self.take(ev, request, path, place, reply, Box::new(done))
    }

    fn take(
        &self,
        ev: &mut EvLoop,
        request: &Request,
        path: &str,
        place: std::result::Result<Place, UploadError>,
        reply: Reply,
        done: Done,
    ) -> Result<()> {
        let now = ev.now();
        if let Some(until) = now.checked_sub(self.parts_age) {
            self.waiting.expire(until, self.links);
        }
        let storing = match place.and_then(|place| self.begin(request, path, place, now)) {
            Ok(storing) => storing,
            Err(error) => {
                done(ev, Err(error), reply);
                return Ok(());
            }
        };
        let mut under_way = Some((storing, reply, done));
        let body = request.receive(ev, move |ev, body: RequestBody, event| {
            let Some((storing, _, _)) = &mut under_way else { return };
            let result = match event {
                BodyEvent::Data(buffer) => {
                    storing.touched = ev.now();
                    match storing.write(buffer) {
                        Ok(()) => return,
                        Err(error) => {
                            body.discard(ev);
                            Err(error)
                        }
                    }
                }
                BodyEvent::End(_) => Ok(()),
                BodyEvent::Failed(error) => Err(UploadError::Body(error)),
            };
            if let Some((storing, reply, done)) = under_way.take() {
                // Dropped, what there is of it is removed or kept.
                let result = result.and_then(|()| storing.finish());
                done(ev, result, reply);
            }
        })?;
        body.set_limit(ev, self.max_size);
        Ok(())
    }

    fn begin(
        &self,
        request: &Request,
        path: &str,
        place: Place,
        now: Instant,
    ) -> std::result::Result<Storing, UploadError> {
        let path = FilePath::parse(path, false).map_err(UploadError::Path)?;
        let Some((parent, name)) = path.split_last() else { return Err(UploadError::IsDirectory) };
        if path.is_directory() {
            return Err(UploadError::IsDirectory);
        }
        let announced = request.content_length();
        if place.len.is_some_and(|len| announced.is_some_and(|announced| announced != len)) {
            return Err(UploadError::BadPart);
        }
        let len = announced.or(place.len).unwrap_or(0);
        let end = place.offset.saturating_add(len).max(place.total.unwrap_or(0));
        if end > self.max_size {
            return Err(UploadError::TooLarge);
        }
        let directory = self.root.find(parent, self.links, NAME_IN)?;
        // Whoever wants to make it does not want to replace what somebody else has made meanwhile.
        let makes = request.fields().get("if-none-match") == Some(b"*");
        let replaces = self.replaces && !makes;
        let conditions = Conditions::of(request.fields());
        if let Some(conditions) = &conditions {
            let flags = rustix::fs::OFlags::PATH.union(rustix::fs::OFlags::CLOEXEC);
            let there = self.root.find(path.as_str(), self.links, flags);
            conditions.check(there.ok().and_then(|fd| Attributes::of(fd).ok()))?;
        }
        let mut storing =
            Storing::begin(self, directory, path.as_str(), name, place, replaces, now)?;
        storing.conditions = conditions;
        Ok(storing)
    }
}

fn answer(
    ev: &mut EvLoop,
    result: &std::result::Result<Stored, UploadError>,
    reply: Reply,
) -> Result<()> {
    match result {
        Ok(stored) if !stored.complete => reply.status(Status::ACCEPTED).empty(ev),
        Ok(stored) if stored.created => reply.status(Status::CREATED).empty(ev),
        Ok(_) => reply.status(Status::NO_CONTENT).empty(ev),
        Err(UploadError::Gap { size }) => {
            let mut value = Vec::new();
            unsatisfied(&mut value, *size);
            reply.header("Content-Range", value).error(ev, Status::RANGE_NOT_SATISFIABLE)
        }
        Err(error) => reply.error(ev, error.status()),
    }
}

/// What a request makes its upload depend on.
pub(super) struct Conditions(Fields);

impl Conditions {
    fn of(fields: &Fields) -> Option<Self> {
        const NAMES: [&str; 3] = ["if-match", "if-none-match", "if-unmodified-since"];
        let are_there = NAMES.iter().any(|name| fields.get(name).is_some());
        are_there.then(|| Self(fields.clone()))
    }

    /// For what is there, or is not.
    pub(super) fn check(&self, there: Option<Attributes>) -> std::result::Result<(), UploadError> {
        let mark = there.map(|attributes| Mark::new(&attributes, "", Tags::Strong));
        let current = Current {
            tag: mark.as_ref().and_then(Mark::tag),
            modified: there.map(|attributes| attributes.modified()),
            now: None,
            missing: there.is_none(),
        };
        match evaluate(&Method::PUT, &self.0, &current) {
            Verdict::PreconditionFailed => Err(UploadError::Condition),
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upload")
            .field("root", &self.root)
            .field("max_size", &self.max_size)
            .field("resumes", &self.resumes)
            .finish_non_exhaustive()
    }
}

impl Routes {
    /// Takes files into a directory, by `PUT` to a path and everything below it: `PUT /incoming/b.txt` with the prefix
    /// `/incoming` is the file `b.txt` in it. What is below the whole prefix is the path, also where that is a pattern.
    ///
    /// ```
    /// use evloop::http::{Routes, Upload};
    ///
    /// # let dir = std::env::temp_dir();
    /// let routes = Routes::new().upload("/incoming", Upload::new(dir)?.max_size(100 << 20));
    /// # Ok::<(), evloop::Error>(())
    /// ```
    pub fn upload(self, prefix: &str, upload: Upload) -> Self {
        let (_, below, capture) = below(prefix);
        let handler = move |ev: &mut EvLoop, request: Request, reply: Reply| {
            upload.receive(ev, &request, request.capture(capture).unwrap_or_default(), reply)
        };
        self.streaming(Method::PUT, &below, handler)
    }
}
