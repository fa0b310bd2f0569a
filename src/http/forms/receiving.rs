//! Forms as they come.

use std::io;
use std::path::{Path, PathBuf};

use super::collecting::{Collected, Encoding, Part};
use super::{Form, FormContent, FormError, FormLimits, StoredFile};
use crate::http::{BodyEvent, Request, RequestBody};
use crate::net::{Buffer, Chunk};
use crate::wire::multipart::{MultipartEvent, PartHead};
use crate::wire::{Fields, Status};
use crate::{EvLoop, Result};

/// How a form is [received](Request::receive_form).
#[derive(Clone, Default, Debug)]
#[must_use = "options do nothing until a form is received with them"]
pub struct FormOptions {
    limits: FormLimits,
    directory: Option<PathBuf>,
}

impl FormOptions {
    /// With the default [limits](FormLimits); files are kept in memory.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets how much is taken.
    pub fn limits(mut self, limits: FormLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Has files written into this directory, unless it is [said](FormPart) where they go: see [`StoredFile`].
    pub fn files_in(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = Some(directory.into());
        self
    }
}

/// What becomes of a form.
#[derive(Debug)]
#[non_exhaustive]
pub enum FormEvent<'a> {
    /// A part begins: say where it is to go, or nothing. Only in multipart bodies.
    Part(FormPart<'a>),
    /// It is complete: this is what was in it. The last event.
    Complete(Form),
    /// It is not, and will not be. The rest of it is read by nobody, and what was stored is gone. The last event.
    Failed(FormError),
}

/// What comes to whoever [takes](FormPart::send_to) a part.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum PartData<'a> {
    /// Some of it.
    Bytes(&'a [u8]),
    /// It is complete. Who is dropped without that has seen a part of it only.
    End,
}

type Taker = Box<dyn FnMut(&mut EvLoop, RequestBody, PartData<'_>) -> io::Result<()>>;
type Handler = Box<dyn FnMut(&mut EvLoop, RequestBody, FormEvent<'_>)>;

/// Where a part is to go.
enum Choice {
    /// A file into the directory of the options, if they name one; else to memory.
    Default,
    Memory,
    Directory(PathBuf),
    Taker(Taker),
    Discard,
    Refuse(Status),
}

/// A part that begins, and the choice where it is to go.
///
/// Who chooses nothing has fields kept in memory, and files too unless the options have a
/// [directory](FormOptions::files_in) for them.
pub struct FormPart<'a> {
    head: &'a PartHead,
    choice: &'a mut Choice,
}

impl FormPart<'_> {
    /// The name of the field.
    #[must_use]
    pub fn name(&self) -> &str {
        self.head.name()
    }

    /// The name that the file has at the client; `None` if it is no file. See
    /// [`PartHead::filename`] for what it must not be used for.
    #[must_use]
    pub fn filename(&self) -> Option<&str> {
        self.head.filename()
    }

    /// The type, as the client sees it.
    #[must_use]
    pub fn content_type(&self) -> Option<&str> {
        self.head.content_type()
    }

    /// The fields of its head.
    #[must_use]
    pub fn fields(&self) -> &Fields {
        self.head.fields()
    }

    /// Has it kept in memory, as [much](FormLimits::memory) as that may be.
    pub fn keep_in_memory(self) {
        *self.choice = Choice::Memory;
    }

    /// Has it written to a new file in this directory.
    pub fn store_in(self, directory: impl AsRef<Path>) {
        *self.choice = Choice::Directory(directory.as_ref().to_owned());
    }

    /// Has it given to `taker`, as it comes. Who is behind [pauses](RequestBody::pause) the body, and
    /// [resumes](RequestBody::resume) it later; an error ends the form.
    pub fn send_to(
        self,
        taker: impl FnMut(&mut EvLoop, RequestBody, PartData<'_>) -> io::Result<()> + 'static,
    ) {
        *self.choice = Choice::Taker(Box::new(taker));
    }

    /// Has it read and dropped.
    pub fn discard(self) {
        *self.choice = Choice::Discard;
    }

    /// Takes no more of the form: it [fails](FormEvent::Failed) with this status.
    pub fn refuse(self, status: Status) {
        *self.choice = Choice::Refuse(status);
    }
}

impl std::fmt::Debug for FormPart<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FormPart").field("head", self.head).finish_non_exhaustive()
    }
}

/// Forms in streamed bodies.
impl Request {
    /// Reads the form in the body of a [streamed](crate::http::Routes::streaming) request, urlencoded or
    /// multipart, as it comes (`MHD_create_post_processor`, `mg_http_upload`).
    ///
    /// `handler` is called by the loop, never from inside of this: when a part of a multipart body begins, to
    /// [say](FormPart) where it goes, and once with the whole [`Form`], or with what was [wrong](FormError).
    ///
    /// A body that is no form, or is announced to be larger than it may be, is told as such without being read: a client
    /// that waits to be told to go on does not send it.
    ///
    /// # Errors
    ///
    /// Those of [`receive`](Self::receive). What is wrong with the form is told to the handler.
    ///
    /// # Sharp edges
    ///
    /// * **Files are written from the loop's thread**, as the bytes come, up to 64 KiB at a time. Where the disk may be
    ///   slow, take them with [`send_to`](FormPart::send_to), and [work](crate::EvLoop::work).
    /// * **A process that is killed leaves files behind**, whose names begin with `.upload-`.
    ///
    /// ```
    /// use evloop::EvLoop;
    /// use evloop::http::{FormEvent, FormOptions, Method, Reply, Request, Routes};
    ///
    /// let routes = Routes::new().streaming(Method::POST, "/photos", |ev: &mut EvLoop, request: Request, reply: Reply| {
    ///     let mut reply = Some(reply);
    ///     let options = FormOptions::new().files_in("/var/tmp");
    ///     request.receive_form(ev, options, move |ev, _body, event| match (event, reply.take()) {
    ///         (FormEvent::Complete(form), Some(reply)) => {
    ///             // `form.take_files()`, and `persist` what is to be kept.
    ///             reply.text(ev, format!("{} files", form.files().len())).ok();
    ///         }
    ///         (FormEvent::Failed(error), Some(reply)) => {
    ///             reply.error(ev, error.status()).ok();
    ///         }
    ///         (_, kept) => reply = kept,
    ///     })?;
    ///     Ok::<(), evloop::Error>(())
    /// });
    /// ```
    pub fn receive_form(
        &self,
        ev: &mut EvLoop,
        options: FormOptions,
        handler: impl FnMut(&mut EvLoop, RequestBody, FormEvent<'_>) + 'static,
    ) -> Result<RequestBody> {
        let mut handler: Handler = Box::new(handler);
        let encoding = Encoding::of(self, &options.limits).and_then(|encoding| {
            let announced = self.content_length().unwrap_or_default();
            if announced > options.limits.total { Err(FormError::TooLarge) } else { Ok(encoding) }
        });
        let encoding = match encoding {
            Ok(encoding) => encoding,
            Err(error) => {
                let body = self.body_key();
                self.call_later(ev, move |ev| handler(ev, body, FormEvent::Failed(error)));
                return Ok(body);
            }
        };
        let mut receiving = Receiving {
            encoding,
            collected: Collected::new(options.limits, Some(self.held())),
            directory: options.directory,
            stored_left: options.limits.stored,
            part: None,
            taker: None,
            handler: Some(handler),
        };
        self.receive(ev, move |ev, body, event| receiving.take(ev, body, event))
    }
}

/// A form that is coming.
struct Receiving {
    encoding: Encoding,
    collected: Collected,
    directory: Option<PathBuf>,
    /// How many more files may be stored.
    stored_left: usize,
    part: Option<Part>,
    /// Who takes the part.
    taker: Option<Taker>,
    /// Until it was told the end.
    handler: Option<Handler>,
}

impl Receiving {
    fn take(&mut self, ev: &mut EvLoop, body: RequestBody, event: BodyEvent<'_>) {
        let outcome = match event {
            BodyEvent::Data(data) => {
                let outcome = self.read(ev, body, data);
                if outcome.is_err() {
                    data.drain(usize::MAX);
                }
                outcome.map(|()| None)
            }
            BodyEvent::End(_) => self.end().map(Some),
            BodyEvent::Failed(error) => Err(FormError::Body(error)),
        };
        let event = match outcome {
            Ok(None) => return,
            Ok(Some(form)) => FormEvent::Complete(form),
            Err(error) => {
                // Files are removed before anybody hears of it.
                self.part = None;
                self.taker = None;
                self.collected.form = Form::default();
                body.discard(ev);
                FormEvent::Failed(error)
            }
        };
        if let Some(mut handler) = self.handler.take() {
            handler(ev, body, event);
        }
    }

    /// Reads what there is, as long as it is wanted.
    fn read(
        &mut self,
        ev: &mut EvLoop,
        body: RequestBody,
        data: &mut Buffer,
    ) -> Result<(), FormError> {
        loop {
            let Some(Chunk::Bytes(bytes)) = data.chunks().next() else { return Ok(()) };
            let (used, goes_on) = match &mut self.encoding {
                Encoding::Urlencoded(pairs) => {
                    pairs.feed(bytes, &mut self.collected)?;
                    (bytes.len(), true)
                }
                Encoding::Multipart(_) => self.read_multipart(ev, body, bytes)?,
            };
            data.drain(used);
            if !goes_on {
                return Ok(());
            }
        }
    }

    /// How much of these was used, and whether more is wanted.
    fn read_multipart(
        &mut self,
        ev: &mut EvLoop,
        body: RequestBody,
        bytes: &[u8],
    ) -> Result<(usize, bool), FormError> {
        let Self { encoding: Encoding::Multipart(parser), .. } = self else {
            return Ok((bytes.len(), true));
        };
        let mut used = 0;
        loop {
            let progress = parser.feed(bytes.get(used..).unwrap_or_default())?;
            used += progress.used;
            let told = match progress.event {
                None => return Ok((used, true)),
                Some(MultipartEvent::Begin(head)) => {
                    let mut choice = Choice::Default;
                    if let Some(handler) = &mut self.handler {
                        let part = FormPart { head, choice: &mut choice };
                        handler(ev, body, FormEvent::Part(part));
                    }
                    let directory = self.directory.as_deref();
                    let (part, taker) = begin(head, choice, directory, &mut self.stored_left)?;
                    self.part = Some(part);
                    self.taker = taker;
                    true
                }
                Some(MultipartEvent::Data(data)) => {
                    let Some(part) = &mut self.part else { continue };
                    self.collected.keep(part, data)?;
                    let Some(taker) = &mut self.taker else { continue };
                    taker(ev, body, PartData::Bytes(data))?;
                    true
                }
                Some(MultipartEvent::PartEnd) => {
                    let taker = self.taker.take();
                    if let Some(part) = self.part.take() {
                        self.collected.finish(part)?;
                    }
                    match taker {
                        Some(mut taker) => {
                            taker(ev, body, PartData::End)?;
                            true
                        }
                        None => false,
                    }
                }
                Some(_) => false,
            };
            // Who was called may have had enough of it.
            if told && !body.is_wanted(ev) {
                return Ok((used, false));
            }
        }
    }

    /// The whole of it, if it is.
    fn end(&mut self) -> Result<Form, FormError> {
        match &mut self.encoding {
            Encoding::Urlencoded(pairs) => pairs.finish(&mut self.collected)?,
            Encoding::Multipart(parser) => parser.end_of_input()?,
        }
        Ok(std::mem::take(&mut self.collected.form))
    }
}

/// A part, where it was chosen to go.
fn begin(
    head: &PartHead,
    choice: Choice,
    directory: Option<&Path>,
    stored_left: &mut usize,
) -> Result<(Part, Option<Taker>), FormError> {
    let mut taken = None;
    let mut open = None;
    let mut stored = |directory: &Path| {
        *stored_left = stored_left.checked_sub(1).ok_or(FormError::TooLarge)?;
        let (stored, file) = StoredFile::create(directory)?;
        open = Some(file);
        Ok::<_, FormError>(FormContent::Stored(stored))
    };
    let content = match (choice, directory) {
        (Choice::Default, Some(directory)) if head.is_file() => stored(directory)?,
        (Choice::Default | Choice::Memory, _) => FormContent::Memory(Vec::new()),
        (Choice::Directory(directory), _) => stored(&directory)?,
        (Choice::Taker(taker), _) => {
            taken = Some(taker);
            FormContent::Taken
        }
        (Choice::Discard, _) => FormContent::Discarded,
        (Choice::Refuse(status), _) => return Err(FormError::Refused(status)),
    };
    Ok((Part::new(head, content, open), taken))
}
