//! Closing, and hearing how that went: some file systems say only then that what was written is lost.

use std::io;
use std::os::fd::{IntoRawFd, OwnedFd};

/// `close(2)`. Whatever it says, the descriptor is gone.
pub(crate) fn close(fd: impl Into<OwnedFd>) -> io::Result<()> {
    // SAFETY: the descriptor was owned here, and nobody owns it any more: it is closed once.
    let result = unsafe { libc::close(fd.into().into_raw_fd()) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
