//! Looking a path up component by component, where the system cannot do it in one step (`openat2`).

// Each component is opened below the one before, never following a link by itself, so nothing that is renamed or
// replaced meanwhile leads out. Links are read, and their components walked like those of the path; `..`, which only
// links can have, goes back to a directory that was walked through, and never to the parent of one.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags, openat, readlinkat};
use rustix::io::Errno;

use super::root::{Symlinks, retry};

/// How many links are followed: as many as the system does.
const LINKS_MAX: usize = 40;

const STEP: OFlags =
    OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

pub(super) fn find(
    root: BorrowedFd<'_>,
    path: &str,
    links: Symlinks,
    flags: OFlags,
) -> Result<OwnedFd, Errno> {
    // From the end, so that the next one is popped.
    let mut left: Vec<Vec<u8>> = components(path.as_bytes()).collect();
    let mut passed: Vec<OwnedFd> = Vec::new();
    let mut followed = 0;
    while let Some(name) = left.pop() {
        if name == b".." {
            // Above the root there is nothing.
            passed.pop().ok_or(Errno::XDEV)?;
            continue;
        }
        let at = passed.last().map_or(root, AsFd::as_fd);
        let is_last = left.is_empty();
        let wanted = if is_last { flags.union(OFlags::NOFOLLOW) } else { STEP };
        match retry(|| openat(at, name.as_slice(), wanted, Mode::empty())) {
            Ok(fd) if is_last && !is_link(&fd, flags) => return Ok(fd),
            Ok(fd) if !is_last => {
                passed.push(fd);
                continue;
            }
            // A link, where none is followed, or where a directory should be.
            Ok(_) | Err(Errno::LOOP | Errno::NOTDIR) => {}
            Err(error) => return Err(error),
        }
        if links == Symlinks::Off {
            return Err(Errno::LOOP);
        }
        // An error if it is none: then it is something that is no directory, and should be one.
        let target = retry(|| readlinkat(at, name.as_slice(), Vec::new()));
        let target = target.map_err(|_| Errno::NOTDIR)?.into_bytes();
        followed += 1;
        if followed > LINKS_MAX {
            return Err(Errno::LOOP);
        }
        if target.starts_with(b"/") {
            return Err(Errno::XDEV);
        }
        left.extend(components(&target));
    }
    // It ends in a directory that was passed, or at the root.
    let at = passed.last().map_or(root, AsFd::as_fd);
    retry(|| openat(at, ".", flags, Mode::empty()))
}

/// Whether it is a link that was opened, which it can be where it was only to be looked at.
fn is_link(fd: &OwnedFd, flags: OFlags) -> bool {
    flags.contains(OFlags::PATH)
        && !flags.contains(OFlags::DIRECTORY)
        && readlinkat(fd, "", Vec::new()).is_ok()
}

/// The names in a path, the last one first.
fn components(path: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let parts = path.rsplit(|&byte| byte == b'/');
    parts.filter(|part| !part.is_empty() && *part != b".").map(<[u8]>::to_vec)
}
