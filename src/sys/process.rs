//! Processes: descriptors for them, waiting for them, signals to them.
//!
//! rustix's `waitid` does not say which process it found, and its signals have no real-time ones.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::ptr;

/// Whom to wait for.
#[derive(Clone)]
pub(crate) enum Who<'a> {
    Any,
    Pid(u32),
    /// And its number, for kernels that can open such descriptors and not wait by them (Linux 5.3).
    Descriptor(BorrowedFd<'a>, u32),
}

/// Which changes to wait for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Changes {
    End,
    All,
    AllButEnd,
}

/// Whether the kernel forgets the change it told of.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Take {
    Take,
    Look,
}

/// One change of one process.
#[derive(Clone, Copy)]
pub(crate) struct Found {
    pub(crate) pid: u32,
    pub(crate) status: ExitStatus,
}

/// A descriptor for a process (`pidfd_open`), closed on exec; readable when the process has ended.
///
/// # Errors
///
/// `ENOSYS` on a kernel without the call, `EPERM` under a filter that does not know it, `ESRCH` for no
/// such process, `EINVAL` for a thread, and those of any new descriptor.
pub(crate) fn open(pid: u32) -> io::Result<OwnedFd> {
    // SAFETY: takes two integers and touches no memory of ours.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid as libc::pid_t, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just opened this number for us, so nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

/// Asks for a change without waiting for one; `None` if there is none yet.
///
/// # Errors
///
/// `ECHILD`: it is not a child of this process, or was waited for.
pub(crate) fn wait(who: Who<'_>, changes: Changes, take: Take) -> io::Result<Option<Found>> {
    let (kind, id) = match &who {
        Who::Any => (libc::P_ALL, 0),
        Who::Pid(pid) => (libc::P_PID, *pid),
        Who::Descriptor(fd, _) => (libc::P_PIDFD, fd.as_raw_fd() as u32),
    };
    let mut options = libc::WNOHANG;
    if changes != Changes::AllButEnd {
        options |= libc::WEXITED;
    }
    if changes != Changes::End {
        options |= libc::WSTOPPED | libc::WCONTINUED;
    }
    if take == Take::Look {
        options |= libc::WNOWAIT;
    }
    // SAFETY: all zeros is a valid `siginfo_t`, which is integers and pointers that nobody follows.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    loop {
        // SAFETY: the pointer is to a local that outlives the call, which writes it and nothing else.
        if unsafe { libc::waitid(kind, id, &raw mut info, options) } == 0 {
            break;
        }
        let e = io::Error::last_os_error();
        match (e.raw_os_error(), &who) {
            (Some(libc::EINTR), _) => {}
            (Some(libc::EINVAL), Who::Descriptor(_, pid)) => {
                return wait(Who::Pid(*pid), changes, take);
            }
            _ => return Err(e),
        }
    }
    // SAFETY: `waitid` has filled in the fields of a child's signal, or left the zeros where it found
    // nothing; both make them readable.
    let (pid, value) = unsafe { (info.si_pid(), info.si_status()) };
    if pid == 0 {
        return Ok(None);
    }
    let status = match info.si_code {
        libc::CLD_EXITED => (value & 0xff) << 8,
        libc::CLD_DUMPED => value | 0x80,
        libc::CLD_STOPPED | libc::CLD_TRAPPED => value << 8 | 0x7f,
        libc::CLD_CONTINUED => 0xffff,
        // CLD_KILLED, and there are no others.
        _ => value,
    };
    Ok(Some(Found { pid: pid as u32, status: ExitStatus::from_raw(status) }))
}

/// Sends a signal through a process descriptor: to that process and no other.
///
/// # Errors
///
/// `ESRCH` when it has ended and was waited for, `EPERM`, `EINVAL`.
pub(crate) fn send(process: BorrowedFd<'_>, signum: i32) -> io::Result<()> {
    let null = ptr::null::<libc::siginfo_t>();
    // SAFETY: the descriptor is open for the length of the borrow; a null `siginfo_t` is documented to
    // mean what `kill` sends.
    let sent = unsafe {
        libc::syscall(libc::SYS_pidfd_send_signal, process.as_raw_fd(), signum, null, 0_u32)
    };
    if sent == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Sends a signal to a process by number.
///
/// # Errors
///
/// Those of `kill(2)`.
pub(crate) fn kill(pid: u32, signum: i32) -> io::Result<()> {
    // 0 and what does not fit would mean groups of processes, or all.
    let pid = i32::try_from(pid).ok().filter(|pid| *pid > 0);
    let pid = pid.ok_or(io::ErrorKind::InvalidInput)?;
    // SAFETY: takes two integers and touches no memory of ours.
    let sent = unsafe { libc::kill(pid, signum) };
    if sent == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;
    use std::process::Command;

    #[test]
    fn statuses_are_those_of_the_standard_library() {
        for (script, code, signal) in [
            ("exit 0", Some(0), None),
            ("exit 255", Some(255), None),
            ("kill -9 $$", None, Some(9)),
        ] {
            let mut child = Command::new("sh").args(["-c", script]).spawn().unwrap();
            let fd = open(child.id()).unwrap();
            let found = loop {
                // Looking does not take it from the standard library.
                match wait(Who::Descriptor(fd.as_fd(), child.id()), Changes::End, Take::Look)
                    .unwrap()
                {
                    Some(found) => break found,
                    None => std::thread::yield_now(),
                }
            };
            assert_eq!(found.pid, child.id());
            assert_eq!((found.status.code(), found.status.signal()), (code, signal));
            assert_eq!(found.status, child.wait().unwrap());
            let gone = wait(Who::Pid(child.id()), Changes::End, Take::Look);
            assert_eq!(gone.err().and_then(|e| e.raw_os_error()), Some(libc::ECHILD));
            let sent = send(fd.as_fd(), libc::SIGTERM);
            assert_eq!(sent.err().and_then(|e| e.raw_os_error()), Some(libc::ESRCH));
        }
    }

    #[test]
    fn a_signal_never_goes_to_a_group() {
        assert!(kill(0, 0).is_err());
        assert!(kill(u32::MAX, 0).is_err());
    }
}
