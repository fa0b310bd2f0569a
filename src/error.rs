//! The one error type of the crate.
//!
//! An [`Error`] is one word wide and says three things: what kind of trouble it is ([`ErrorKind`]),
//! what was being done, and, through [`source`](std::error::Error::source), what caused it. Its
//! text is this level only; `{:#}` has all its causes behind that, on one line.

use std::{fmt, io};

/// What evloop's fallible functions return.
///
/// A `main` that meets errors of `std` too returns `std::io::Result<()>` or `Result<(), Box<dyn std::error::Error>>`: `?`
/// makes either of an [`Error`], but no [`Error`] of what `std` returns, [`stdin`](crate::stdin) included.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What kind of trouble an [`Error`] reports.
///
/// More kinds may join; match with a `_` arm.
///
/// ```
/// assert_eq!(evloop::ErrorKind::Suspended.to_string(), "the loop is suspended");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The key names a watcher that was freed, or that belongs to another loop.
    Stale,
    /// An argument that cannot be acted on, such as edge- and level-triggered watchers on one
    /// descriptor.
    InvalidInput,
    /// The backend in use cannot do this, for example edge-triggered watching with `poll`.
    Unsupported,
    /// The loop could not be created: no requested backend is usable, or a descriptor for it
    /// could not be opened.
    Create,
    /// The system refused to watch a descriptor, to open one that a watcher needs, or to install a
    /// signal's handler (`ENOSPC`, `ENOMEM`, `EBADF`, `EMFILE` …).
    Register,
    /// The kernel wait failed with something other than an interruption.
    Wait,
    /// The loop is suspended: call [`resume`](crate::EvLoop::resume) first.
    Suspended,
    /// `run` or `turn` was called where the loop cannot be entered: from the callback of a
    /// prepare or check watcher.
    Nested,
    /// The process is a fork of the one that made the loop: call
    /// [`after_fork`](crate::EvLoop::after_fork) first.
    Forked,
    /// A signal could not be sent to a process: it has ended, or we may not.
    Kill,
    /// A callback reported an error with [`fail`](crate::EvLoop::fail); the error itself is the
    /// source.
    Callback,
    /// As much waits as was allowed to: there are [limits](crate::net::set_work_queue) so that what
    /// comes faster than it is done does not take all memory. Feature `net`.
    #[cfg(feature = "net")]
    #[cfg_attr(docsrs, doc(cfg(feature = "net")))]
    Full,
    /// The system refused to start a thread (`EAGAIN`). Feature `net`.
    #[cfg(feature = "net")]
    #[cfg_attr(docsrs, doc(cfg(feature = "net")))]
    Thread,
    /// A job panicked; its message is the source. Feature `net`.
    #[cfg(feature = "net")]
    #[cfg_attr(docsrs, doc(cfg(feature = "net")))]
    Panicked,
    /// A host's name could not be resolved: there is none of that name, or nobody could be asked.
    /// Feature `net`.
    #[cfg(feature = "net")]
    #[cfg_attr(docsrs, doc(cfg(feature = "net")))]
    Resolve,
    /// No connection came about: it was refused, or nobody was reached. Feature `net`.
    #[cfg(feature = "net")]
    #[cfg_attr(docsrs, doc(cfg(feature = "net")))]
    Connect,
    /// An address could not be bound or listened on, or a listener cannot accept. Feature `net`.
    #[cfg(feature = "net")]
    #[cfg_attr(docsrs, doc(cfg(feature = "net")))]
    Listen,
    /// The system refused to read or write, or the peer ended the connection the hard way
    /// (`ECONNRESET`, `EPIPE`, `ETIMEDOUT` …). Feature `net`.
    #[cfg(feature = "net")]
    #[cfg_attr(docsrs, doc(cfg(feature = "net")))]
    Io,
    /// It took longer than it was allowed to. Feature `net`.
    #[cfg(feature = "net")]
    #[cfg_attr(docsrs, doc(cfg(feature = "net")))]
    TimedOut,
    /// The stream is closed, or this direction of it was shut. Feature `net`.
    #[cfg(feature = "net")]
    #[cfg_attr(docsrs, doc(cfg(feature = "net")))]
    Closed,
    /// A filter of the stream could make nothing of the bytes; its own error is the source. Feature `net`.
    #[cfg(feature = "net")]
    #[cfg_attr(docsrs, doc(cfg(feature = "net")))]
    Filter,
    /// A certificate, key or setting that cannot be used, or a handshake or record that broke the rules.
    /// Feature `tls`.
    #[cfg(feature = "tls")]
    #[cfg_attr(docsrs, doc(cfg(feature = "tls")))]
    Tls,
    /// What came, or what was to be sent, does not keep the rules of HTTP; the
    /// [`Fault`](crate::wire::Fault) is the source. Feature `http-server`.
    #[cfg(feature = "http-server")]
    #[cfg_attr(docsrs, doc(cfg(feature = "http-server")))]
    Protocol,
    /// A scripted backend was asked to wait for ever for something that nobody can send
    /// (feature `test-util`).
    Stuck,
}

/// An error of the loop, or of what is built on it.
///
/// Its text says what was being done and what kind of trouble that met; `{error:#}` says why too, with all the causes on
/// one line. For logs and people that is the one to print. Programs ask [`kind`](Self::kind).
///
/// ```
/// use evloop::{ErrorKind, EvLoop, Interest};
///
/// let mut ev = EvLoop::new()?;
/// let input = ev.io(evloop::stdin()?, Interest::READ, |_, _| {});
/// input.free(&mut ev);
/// let error = input.start(&mut ev).unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::Stale);
///
/// ev.fail("the configuration is gone");
/// let error = ev.run().unwrap_err();
/// assert_eq!(error.to_string(), "running the loop: a callback failed");
/// assert_eq!(format!("{error:#}"), "running the loop: a callback failed: the configuration is gone");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    doing: &'static str,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// What kind of trouble this is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The system's error number, where the cause is a refused system call.
    #[must_use]
    pub fn raw_os_error(&self) -> Option<i32> {
        self.io_error()?.raw_os_error()
    }

    /// The first of its causes that the system, or `std`, has given.
    fn io_error(&self) -> Option<&io::Error> {
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            match error.downcast_ref::<io::Error>() {
                None => cause = error.source(),
                found => return found,
            }
        }
        None
    }

    #[cold]
    pub(crate) fn new(kind: ErrorKind, doing: &'static str) -> Self {
        Self(Box::new(Inner { kind, doing, source: None }))
    }

    #[cold]
    pub(crate) fn os(kind: ErrorKind, doing: &'static str, cause: io::Error) -> Self {
        Self::caused(kind, doing, Box::new(cause))
    }

    #[cold]
    pub(crate) fn caused(
        kind: ErrorKind,
        doing: &'static str,
        cause: Box<dyn std::error::Error + Send + Sync>,
    ) -> Self {
        Self(Box::new(Inner { kind, doing, source: Some(cause) }))
    }

    /// What the system has refused, with the name of what it was refused for: an address, a path.
    #[cfg(feature = "net")]
    #[cold]
    pub(crate) fn named(
        kind: ErrorKind,
        doing: &'static str,
        name: impl fmt::Display,
        cause: io::Error,
    ) -> Self {
        Self::caused(kind, doing, Box::new(Refused { name: name.to_string(), cause }))
    }

    #[cold]
    pub(crate) fn stale(doing: &'static str) -> Self {
        Self::new(ErrorKind::Stale, doing)
    }
}

/// Whom an error of the system is about. Its cause is that error.
#[cfg(feature = "net")]
#[derive(Debug)]
struct Refused {
    name: String,
    cause: io::Error,
}

#[cfg(feature = "net")]
impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

#[cfg(feature = "net")]
impl std::error::Error for Refused {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.cause)
    }
}

impl ErrorKind {
    fn text(self) -> &'static str {
        match self {
            Self::Stale => "the watcher was freed or belongs to another loop",
            Self::InvalidInput => "invalid input",
            Self::Unsupported => "not supported by the backend in use",
            Self::Create => "the event loop could not be created",
            Self::Register => "the system refused",
            Self::Wait => "the kernel wait failed",
            Self::Suspended => "the loop is suspended",
            Self::Nested => "the loop cannot be run from a prepare or check callback",
            Self::Forked => "the process was forked and the loop was not told",
            Self::Kill => "the signal could not be sent",
            Self::Callback => "a callback failed",
            #[cfg(feature = "net")]
            Self::Full => "too much waits already",
            #[cfg(feature = "net")]
            Self::Thread => "the system refused to start a thread",
            #[cfg(feature = "net")]
            Self::Panicked => "it panicked",
            #[cfg(feature = "net")]
            Self::Resolve => "the name could not be resolved",
            #[cfg(feature = "net")]
            Self::Connect => "no connection came about",
            #[cfg(feature = "net")]
            Self::Listen => "it cannot be listened on",
            #[cfg(feature = "net")]
            Self::Io => "reading or writing failed",
            #[cfg(feature = "net")]
            Self::TimedOut => "it took too long",
            #[cfg(feature = "net")]
            Self::Closed => "the stream is closed",
            #[cfg(feature = "net")]
            Self::Filter => "a filter failed",
            #[cfg(feature = "tls")]
            Self::Tls => "TLS failed",
            #[cfg(feature = "http-server")]
            Self::Protocol => "it breaks the rules of HTTP",
            Self::Stuck => "nothing can end this wait",
        }
    }
}

/// The text that an [`Error`] of this kind has, without what was being done.
impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.text())
    }
}

/// For conversions that cannot fail.
impl From<std::convert::Infallible> for Error {
    fn from(never: std::convert::Infallible) -> Self {
        match never {}
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.doing, self.0.kind)?;
        if f.alternate() {
            let mut cause = std::error::Error::source(self);
            while let Some(error) = cause {
                write!(f, ": {error}")?;
                cause = error.source();
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("doing", &self.0.doing)
            .field("source", &self.0.source)
            .finish()
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|e| e as _)
    }
}

/// Keeps the meaning for programs whose `main` returns [`io::Result`]: the [`io::ErrorKind`] is
/// the cause's where there is one.
impl From<Error> for io::Error {
    fn from(e: Error) -> Self {
        let kind = match (e.io_error(), e.0.kind) {
            (Some(cause), _) => cause.kind(),
            (None, ErrorKind::Stale) => io::ErrorKind::NotFound,
            (None, ErrorKind::InvalidInput) => io::ErrorKind::InvalidInput,
            (None, ErrorKind::Unsupported) => io::ErrorKind::Unsupported,
            #[cfg(feature = "net")]
            (None, ErrorKind::TimedOut) => io::ErrorKind::TimedOut,
            #[cfg(feature = "net")]
            (None, ErrorKind::Closed) => io::ErrorKind::NotConnected,
            #[cfg(feature = "http-server")]
            (None, ErrorKind::Protocol) => io::ErrorKind::InvalidData,
            (None, _) => io::ErrorKind::Other,
        };
        Self::new(kind, e)
    }
}
