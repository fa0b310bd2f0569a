//! Access logs: one line for each request that is over, and for what was refused before it was one.
//!
//! ```no_run
//! use evloop::EvLoop;
//! use evloop::http::{AccessLog, LogFormat, Routes};
//!
//! let mut ev = EvLoop::new()?;
//! let log = AccessLog::file("access.log")?.format(LogFormat::Json);
//! let routes = Routes::new().access_log(log.clone()).get("/", |ev, _, reply| reply.text(ev, "hello"));
//! // After logrotate has moved the file away.
//! let hup = ev.signal(1, move |_, _| drop(log.reopen()));
//! hup.start(&mut ev);
//! ev.http_server("127.0.0.1:8080", routes)?;
//! ev.run()?;
//! # Ok::<(), evloop::Error>(())
//! ```
//!
//! # What always holds
//!
//! * **Whole lines.** However little a write takes, the rest of a line is written before the next one begins.
//! * **One write per iteration of the loop**, of all lines that have come in it. Between them they wait in memory, at most as
//!   many bytes as [`buffer`](AccessLog::buffer) says.
//! * **Nobody can forge a line.** What clients say is escaped: control bytes, quotes, whatever is not ASCII; and cut where
//!   it is too long, so that no line has more than 4096 bytes.
//! * **A log that cannot be written harms nobody.** On a full disk lines wait, and are tried again each second; what there is
//!   no room for is dropped, and [counted](AccessLog::stats). [`on_error`](AccessLog::on_error) is told at most once a
//!   second. To a pipe or terminal that takes nothing for now nobody waits either.

// `AccessLog` is what users hold, for all loops; `Gathering` what a loop has gathered; `Output` where it goes, under a lock
// which is held while the system is called and never while a user's closure is.

mod escape;
mod gathering;
mod lines;
mod output;

use std::fmt;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::Routes;
use crate::{Error, ErrorKind, Result};
use gathering::Gathering;
use lines::Entry;
use output::{Output, Written};

const OPENING: &str = "opening an access log";

/// How much a loop keeps of what could not be written yet, unless it is said otherwise.
const BUFFER: usize = 256 * 1024;

/// What lines look like. All times are UTC, and those at which requests were over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum LogFormat {
    /// The Common Log Format: `192.0.2.1 - user [06/Nov/1994:08:49:37 +0000] "GET / HTTP/1.1" 200 123`.
    ///
    /// The address is the client's, or `-` on Unix sockets; the number at the end is the bytes of the reply's
    /// body.
    /// The status is 0 where there was no reply. Of what was refused before it was a request there may be nothing to tell:
    /// `192.0.2.1 - - [06/Nov/1994:08:49:37 +0000] "-" 400 16`. A client that goes in the middle of a head has a line with
    /// status 0 as well; who says nothing has none.
    Common,
    /// The same with `"referer" "user agent"` at its end, as Apache's `combined`. The default.
    #[default]
    Combined,
    /// An object of JSON: `time`, `client`, `peer`, `user`, `id`, `method`, `target`, `version`, `host`, `status`,
    /// `reason`, `duration_us`, `bytes_in`, `bytes_out`, `referer`, `user_agent`. What is not known is `null`.
    Json,
}

/// What a log has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub struct AccessLogStats {
    /// Lines that were handed to the system, or to the closure.
    pub written: u64,
    /// Lines that were lost, since there was no room for them.
    pub dropped: u64,
    /// Writes that have failed.
    pub failed: u64,
}

/// What is wrong with a log.
#[derive(Debug)]
#[non_exhaustive]
pub struct AccessLogError<'a> {
    /// How the last write has failed. [`WouldBlock`](io::ErrorKind::WouldBlock) is a reader that is too slow.
    pub error: &'a io::Error,
    /// Lines that were lost since this was told before.
    pub dropped: u64,
}

/// Where lines go, and how they look. Cloned it is the same log: servers on several loops and threads can share one.
///
/// # Sharp edges
///
/// * **Lines of one iteration are lost if the process is killed** before it is over. When the server stops, and when the
///   loop is dropped, they are written.
/// * **Files are written by the loop's thread**: a disk that hangs hangs it.
/// * What a request's path has in it, tokens and names, is in the log too.
#[derive(Clone)]
pub struct AccessLog {
    config: Config,
    on_error: Option<Arc<OnError>>,
    shared: Arc<Shared>,
}

type OnError = dyn Fn(&AccessLogError<'_>) + Send + Sync;

#[derive(Clone, Copy)]
struct Config {
    format: LogFormat,
    timings: bool,
    buffer: usize,
}

struct Shared {
    output: Mutex<Output>,
    written: AtomicU64,
    dropped: AtomicU64,
    failed: AtomicU64,
    told: Mutex<Told>,
}

/// When somebody was told of an error.
#[derive(Default)]
struct Told {
    at: Option<Instant>,
    dropped: u64,
}

impl AccessLog {
    /// Appends to a file, which is made if there is none, for its owner to write and its group to read (mode 0640).
    ///
    /// # Errors
    ///
    /// Those of opening it.
    pub fn file(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let output = Output::file(path).map_err(|error| refused(OPENING, path, error))?;
        Ok(Self::of(output))
    }

    /// Writes to standard output.
    ///
    /// # Errors
    ///
    /// That there is none.
    pub fn stdout() -> Result<Self> {
        let stdout = io::stdout().as_fd().try_clone_to_owned();
        stdout.and_then(Output::fd).map(Self::of).map_err(|error| failed(OPENING, error))
    }

    /// Writes to a descriptor: a pipe to another program, for example.
    ///
    /// It may be one that blocks: nothing is written that would have to wait.
    ///
    /// # Errors
    ///
    /// That it cannot be looked at.
    pub fn fd(fd: impl Into<OwnedFd>) -> Result<Self> {
        Output::fd(fd.into()).map(Self::of).map_err(|error| failed(OPENING, error))
    }

    /// Gives lines to a closure: one or more of them, each with a line feed at its end.
    ///
    /// Lines that come while it is running, on other threads say, wait until the next iteration. It is called by the loop
    /// as any callback is: a panic of it goes on to [`run`](crate::EvLoop::run).
    #[must_use]
    pub fn to(closure: impl FnMut(&[u8]) + Send + 'static) -> Self {
        Self::of(Output::closure(Box::new(closure)))
    }

    fn of(output: Output) -> Self {
        Self {
            config: Config { format: LogFormat::default(), timings: false, buffer: BUFFER },
            on_error: None,
            shared: Arc::new(Shared {
                output: Mutex::new(output),
                written: AtomicU64::new(0),
                dropped: AtomicU64::new(0),
                failed: AtomicU64::new(0),
                told: Mutex::default(),
            }),
        }
    }

    /// Sets what lines look like.
    #[must_use]
    pub fn format(mut self, format: LogFormat) -> Self {
        self.config.format = format;
        self
    }

    /// Adds to the lines of the first two formats how the request has ended, how long it took from the end of its head in
    /// seconds, how many bytes it had, and its id: `… ok 0.000213 78 -`. Most programs that read such lines do not
    /// mind. JSON always has them.
    #[must_use]
    pub fn timings(mut self) -> Self {
        self.config.timings = true;
        self
    }

    /// Sets how many bytes each loop keeps of what cannot be written for now: 256 KiB. At least 4 KiB.
    #[must_use]
    pub fn buffer(mut self, bytes: usize) -> Self {
        self.config.buffer = bytes.max(lines::LONGEST);
        self
    }

    /// Has a closure told of writes that fail, and of lines that are lost: at most once a second, in whichever thread
    /// that is. Without one they are only [counted](Self::stats).
    #[must_use]
    pub fn on_error(mut self, hook: impl Fn(&AccessLogError<'_>) + Send + Sync + 'static) -> Self {
        self.on_error = Some(Arc::new(hook));
        self
    }

    /// Opens the file again, by its name: after it was moved away. Logs that are no files are left as they are.
    ///
    /// What was begun in the old file is not continued in the new one: if the disk was full in the middle of a line,
    /// that line counts as lost.
    ///
    /// # Errors
    ///
    /// Those of opening it; then the old one is written on.
    pub fn reopen(&self) -> Result<()> {
        let path = self.shared.output().path().map(Path::to_owned);
        let Some(path) = path else { return Ok(()) };
        let new = Output::file(&path);
        let new = new.map_err(|error| refused("opening an access log again", &path, error))?;
        let old = std::mem::replace(&mut *self.shared.output(), new);
        if old.is_torn() {
            self.shared.written.fetch_sub(1, Ordering::Relaxed);
            self.shared.dropped.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    /// What it has come to so far, on all loops.
    #[must_use]
    pub fn stats(&self) -> AccessLogStats {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let Shared { written, dropped, failed, .. } = &*self.shared;
        AccessLogStats { written: of(written), dropped: of(dropped), failed: of(failed) }
    }

    /// Writes as many lines as can be written now; says how many bytes those were, and what has stopped it.
    fn write(&self, lines: &[u8]) -> (usize, Option<io::Error>) {
        let closure = {
            let mut output = self.shared.output();
            match output.write(lines) {
                Written::Lines { bytes, error } => {
                    drop(output);
                    self.count(lines.get(..bytes).unwrap_or_default());
                    return (bytes, error);
                }
                Written::Closure(closure) => closure,
            }
        };
        let Some(closure) = closure else { return (0, Some(io::ErrorKind::WouldBlock.into())) };
        let mut lent = output::Lent::new(&self.shared, closure);
        lent.call(lines);
        drop(lent);
        self.count(lines);
        (lines.len(), None)
    }

    fn count(&self, lines: &[u8]) {
        let count = lines.iter().filter(|byte| **byte == b'\n').count();
        self.shared.written.fetch_add(count as u64, Ordering::Relaxed);
    }

    /// A write has failed.
    fn failed(&self, error: &io::Error, now: Instant) {
        if error.kind() != io::ErrorKind::WouldBlock {
            self.shared.failed.fetch_add(1, Ordering::Relaxed);
        }
        self.tell(error, now, false);
    }

    /// Lines were lost, and now there is room again. Says whether somebody was told, or nobody wants to know.
    fn recovered(&self, now: Instant) -> bool {
        self.tell(&io::ErrorKind::WouldBlock.into(), now, false)
    }

    /// There was no room for a line.
    fn drop_line(&self) {
        self.shared.dropped.fetch_add(1, Ordering::Relaxed);
    }

    /// Unless that was less than a second ago, or it is the `last` time. Says whether there is nothing left to tell.
    fn tell(&self, error: &io::Error, now: Instant, last: bool) -> bool {
        let Some(hook) = &self.on_error else { return true };
        let dropped = {
            let mut told = self.shared.told.lock().unwrap_or_else(PoisonError::into_inner);
            let all = self.shared.dropped.load(Ordering::Relaxed);
            let dropped = all.saturating_sub(told.dropped);
            // Who is slow for a moment, and has missed nothing, is nobody's concern.
            let is_loss = dropped > 0 || error.kind() != io::ErrorKind::WouldBlock;
            let is_due = told.at.is_none_or(|at| now.saturating_duration_since(at).as_secs() >= 1);
            if !is_loss || !(is_due || last) {
                return !is_loss;
            }
            *told = Told { at: Some(now), dropped: all };
            dropped
        };
        hook(&AccessLogError { error, dropped });
        true
    }
}

impl Shared {
    fn output(&self) -> std::sync::MutexGuard<'_, Output> {
        // Nothing panics while it is held; and were it so, it would still be in order.
        self.output.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for AccessLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessLog")
            .field("format", &self.config.format)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

impl Routes {
    /// Writes a line for each request that is over, and for each head that was [refused](Self::on_refused) or broken off: see
    /// [`AccessLog`]. Several logs are several lines.
    pub fn access_log(self, log: AccessLog) -> Self {
        let gathering = Rc::new(Gathering::new(log));
        let also = Rc::clone(&gathering);
        self.with_details()
            .on_completed(move |ev, completed| gathering.note(ev, &Entry::of(completed)))
            .on_refused(move |ev, refused| also.note(ev, &Entry::of_refused(refused)))
    }
}

#[cold]
fn refused(doing: &'static str, path: &Path, error: io::Error) -> Error {
    Error::named(ErrorKind::Io, doing, path.display(), error)
}

#[cold]
fn failed(doing: &'static str, error: io::Error) -> Error {
    Error::os(ErrorKind::Io, doing, error)
}
