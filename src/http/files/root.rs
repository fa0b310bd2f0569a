//! The directory whose files are served, and what is found below it.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2};
use rustix::io::Errno;

use super::walk;
use crate::{Error, ErrorKind, Result};

/// What becomes of symbolic links below a served directory.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[non_exhaustive]
pub enum Symlinks {
    /// None is followed: what is behind one is not there.
    Off,
    /// Those that stay below the directory are followed. One that leads out, or is absolute, is not there.
    #[default]
    Inside,
    /// All are followed, wherever they lead. For directories to which nobody can add links.
    On,
}

/// A directory, held by its descriptor: whatever becomes of its name, it stays the same.
#[derive(Debug)]
pub(super) struct Root {
    fd: OwnedFd,
    /// The system has no `openat2`, or does not let us have it.
    walks: bool,
}

/// To look at a directory, and at what is below.
const LOOK: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// To read. A FIFO is not waited for, and no terminal becomes ours.
pub(super) const READ: OFlags =
    OFlags::RDONLY.union(OFlags::CLOEXEC).union(OFlags::NONBLOCK).union(OFlags::NOCTTY);

/// To read a directory.
pub(super) const READ_DIRECTORY: OFlags = READ.union(OFlags::DIRECTORY);

/// To have a directory to name things in.
pub(super) const NAME_IN: OFlags = LOOK;

/// How often a lookup is tried again that the system could not follow, because directories were being moved.
const RACES: usize = 8;

impl Root {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let fd = openat(CWD, path, LOOK, Mode::empty());
        let fd = fd.map_err(|errno| opening(path, errno))?;
        Ok(Self::of(fd))
    }

    /// One that is open.
    pub(super) fn of(fd: OwnedFd) -> Self {
        let tried = openat2(&fd, ".", LOOK, Mode::empty(), ResolveFlags::BENEATH);
        // ENOSYS comes from systems before Linux 5.6, EPERM from sandboxes that have not heard of it.
        let walks = matches!(tried, Err(Errno::NOSYS | Errno::PERM));
        Self { fd, walks }
    }

    /// Goes without `openat2`.
    pub(super) fn walk(&mut self) {
        self.walks = true;
    }

    /// Opens what is at a path, which is one of a [`FilePath`](super::FilePath).
    pub(super) fn find(
        &self,
        path: &str,
        links: Symlinks,
        flags: OFlags,
    ) -> std::result::Result<OwnedFd, Errno> {
        let path = if path.is_empty() { "." } else { path };
        let resolve = match links {
            Symlinks::On => return retry(|| openat(&self.fd, path, flags, Mode::empty())),
            _ if self.walks => return walk::find(self.fd.as_fd(), path, links, flags),
            Symlinks::Off => ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS),
            Symlinks::Inside => ResolveFlags::BENEATH.union(ResolveFlags::NO_MAGICLINKS),
        };
        let mut tried = 0;
        loop {
            match openat2(&self.fd, path, flags, Mode::empty(), resolve) {
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) if tried < RACES => tried += 1,
                result => return result,
            }
        }
    }
}

/// Until no signal comes in between.
pub(super) fn retry<T>(
    mut call: impl FnMut() -> std::result::Result<T, Errno>,
) -> std::result::Result<T, Errno> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            result => return result,
        }
    }
}

fn opening(path: &Path, errno: Errno) -> Error {
    Error::named(ErrorKind::Io, "opening a directory", path.display(), errno.into())
}
