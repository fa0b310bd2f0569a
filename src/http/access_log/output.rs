//! Where lines go.

// Regular files take all at once. Whatever else there is, a pipe, a terminal, a device, is asked first
// whether it would take something, and is then given no more than a pipe takes whole or not at all: so nobody waits, and
// of two processes that write to one pipe none comes between the bytes of a line.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{SendFlags, send};

use super::Shared;
use crate::sys::sigpipe;

/// What a pipe takes whole, or not at all (`PIPE_BUF`).
const ATOMIC: usize = 4096;

pub(super) type Closure = Box<dyn FnMut(&[u8]) + Send>;

pub(super) struct Output {
    target: Target,
    /// The rest of a line that was begun.
    torn: Vec<u8>,
}

enum Target {
    File(File, Kind, PathBuf),
    Fd(File, Kind),
    /// `None` while it is being called.
    Closure(Option<Closure>),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Regular,
    Socket,
    Other,
}

/// What has become of lines.
pub(super) enum Written {
    Lines {
        bytes: usize,
        error: Option<io::Error>,
    },
    /// They are for this closure, if nobody is calling it just now.
    Closure(Option<Closure>),
}

impl Output {
    pub(super) fn file(path: &Path) -> io::Result<Self> {
        // Whoever changes the working directory later still means this file.
        let path = std::path::absolute(path)?;
        // Not to wait for somebody who reads a FIFO; of files it means nothing.
        let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
        let mut options = OpenOptions::new();
        options.append(true).create(true).mode(0o640).custom_flags(flags);
        let file = options.open(&path)?;
        let kind = kind_of(&file)?;
        Ok(Self { target: Target::File(file, kind, path), torn: Vec::new() })
    }

    pub(super) fn fd(fd: OwnedFd) -> io::Result<Self> {
        let file = File::from(fd);
        let kind = kind_of(&file)?;
        Ok(Self { target: Target::Fd(file, kind), torn: Vec::new() })
    }

    pub(super) fn closure(closure: Closure) -> Self {
        Self { target: Target::Closure(Some(closure)), torn: Vec::new() }
    }

    pub(super) fn path(&self) -> Option<&Path> {
        match &self.target {
            Target::File(_, _, path) => Some(path),
            _ => None,
        }
    }

    pub(super) fn is_torn(&self) -> bool {
        !self.torn.is_empty()
    }

    /// Writes as many of these lines as it can. One that was begun counts as written: its rest goes first the next time.
    pub(super) fn write(&mut self, lines: &[u8]) -> Written {
        let Self { target, torn } = self;
        let (file, kind) = match target {
            Target::Closure(closure) => return Written::Closure(closure.take()),
            Target::Fd(file, kind) | Target::File(file, kind, _) => (&*file, *kind),
        };
        let mut done = 0;
        loop {
            while !torn.is_empty() {
                match write_some(file, kind, torn) {
                    Ok(n) => drop(torn.drain(..n)),
                    Err(error) => return Written::Lines { bytes: done, error: Some(error) },
                }
            }
            let rest = lines.get(done..).unwrap_or_default();
            if rest.is_empty() {
                return Written::Lines { bytes: done, error: None };
            }
            let batch = if kind == Kind::Regular { rest } else { first_lines(rest) };
            match write_some(file, kind, batch) {
                Ok(n) => {
                    let whole = batch.get(..n).is_some_and(|taken| taken.ends_with(b"\n"));
                    let begun = batch.get(n..).filter(|_| !whole).unwrap_or_default();
                    let len = begun.iter().position(|byte| *byte == b'\n').map_or(0, |at| at + 1);
                    torn.extend(begun.iter().take(len));
                    done += n + len;
                }
                Err(error) => return Written::Lines { bytes: done, error: Some(error) },
            }
        }
    }
}

fn kind_of(file: &File) -> io::Result<Kind> {
    let kind = file.metadata()?.file_type();
    Ok(match kind {
        _ if kind.is_file() => Kind::Regular,
        _ if kind.is_socket() => Kind::Socket,
        _ => Kind::Other,
    })
}

/// As many lines as a pipe takes at once; the first one in any case.
fn first_lines(lines: &[u8]) -> &[u8] {
    let Some(most) = lines.get(..ATOMIC) else { return lines };
    let end = match most.iter().rposition(|byte| *byte == b'\n') {
        Some(at) => at + 1,
        None => lines.iter().position(|byte| *byte == b'\n').map_or(lines.len(), |at| at + 1),
    };
    lines.get(..end).unwrap_or(lines)
}

/// Without waiting. Never zero.
fn write_some(file: &File, kind: Kind, bytes: &[u8]) -> io::Result<usize> {
    loop {
        let result = match kind {
            Kind::Regular => (&mut &*file).write(bytes),
            Kind::Socket => {
                let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
                send(file, bytes, flags).map_err(io::Error::from)
            }
            Kind::Other => is_ready(file).and_then(|()| sigpipe::write(file, bytes)),
        };
        match result {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// Whether it would take something now.
fn is_ready(file: &File) -> io::Result<()> {
    let mut fds = [PollFd::from_borrowed_fd(file.as_fd(), PollFlags::OUT)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    // What is wrong with it the write will tell.
    if poll(&mut fds, Some(&now))? == 0 { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
}

/// A closure that is being called, and goes back even if it panics.
pub(super) struct Lent<'a> {
    shared: &'a Shared,
    closure: Option<Closure>,
}

impl<'a> Lent<'a> {
    pub(super) fn new(shared: &'a Shared, closure: Closure) -> Self {
        Self { shared, closure: Some(closure) }
    }

    pub(super) fn call(&mut self, lines: &[u8]) {
        if let Some(closure) = &mut self.closure {
            closure(lines);
        }
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        if let Target::Closure(place) = &mut self.shared.output().target {
            *place = self.closure.take();
        }
    }
}
