//! What all programs that serve a load do alike. Included by `serve` and `serve-http`.

use std::io::{self, Write};

use crate::epoll;

/// Before anything else: it ends with whoever started it, takes as many connections as the system allows, and ends on SIGTERM.
pub fn prepare() -> io::Result<()> {
    epoll::end_with_parent()?;
    epoll::raise_fd_limit()?;
    // An orderly end: callgrind and strace then say what they have counted.
    let end: extern "C" fn(libc::c_int) = end;
    // SAFETY: the handler makes one call that is allowed in handlers.
    let before = unsafe { libc::signal(libc::SIGTERM, end as libc::sighandler_t) };
    if before == libc::SIG_ERR { Err(io::Error::last_os_error()) } else { Ok(()) }
}

extern "C" fn end(_signal: libc::c_int) {
    // SAFETY: `_exit` has no preconditions, and is allowed in signal handlers.
    unsafe { libc::_exit(0) }
}

/// Tells the driver whom to talk to.
pub fn announce(port: u16) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "pid={}\nport={port}", std::process::id())?;
    stdout.flush()
}

/// Says that this contender has nothing of the kind, and why; nothing where that is not worth a note.
pub fn unsupported(why: &str) {
    println!("unsupported={why}");
}
