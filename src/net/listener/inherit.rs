//! Listening descriptors that came with the process: what `sd_listen_fds_with_names` does.

use std::env;
use std::os::fd::OwnedFd;

use crate::sys::listen;
use crate::{Error, ErrorKind, Result};

const TAKING: &str = "taking the descriptors the process was started with";

/// The first descriptor that is passed, after standard input, output and error.
const FIRST: i32 = 3;

/// A descriptor that the process was started with.
#[derive(Debug)]
#[non_exhaustive]
pub struct InheritedFd {
    /// What whoever started us calls it (`FileDescriptorName=`); `unknown` if they gave no names.
    pub name: String,
    /// The descriptor.
    pub fd: OwnedFd,
}

/// Takes the descriptors that systemd, or who speaks its protocol, has passed to this process
/// (`sd_listen_fds_with_names`).
///
/// `LISTEN_PID` must name this process; then there are `LISTEN_FDS` of them, and
/// `LISTEN_FDNAMES` has their names. They are made close-on-exec. The environment stays as it is: programs that
/// are executed later know by `LISTEN_PID` that they are not meant.
///
/// They are handed out once: a second call gets an empty list, as does a process that nothing was passed
/// to. Call it early in `main`. Give each listening socket among them to
/// [`ListenOptions::adopt`](super::ListenOptions::adopt), which refuses what is none.
///
/// ```
/// use evloop::EvLoop;
/// use evloop::net::{ListenOptions, listen_fds_from_environment};
///
/// let mut ev = EvLoop::new()?;
/// for inherited in listen_fds_from_environment()? {
///     ListenOptions::new().adopt(&mut ev, inherited.fd, |_, accepted| drop(accepted))?;
/// }
/// # Ok::<(), evloop::Error>(())
/// ```
///
/// # Errors
///
/// [`ErrorKind::InvalidInput`] if a number is none or there are not as many names as descriptors;
/// [`ErrorKind::Listen`] if a descriptor that was announced is not open. Nothing is taken then.
///
/// # Sharp edges
///
/// Do not use another library for the same beside it: both would own the descriptors.
pub fn listen_fds_from_environment() -> Result<Vec<InheritedFd>> {
    let Some(pid) = env::var_os("LISTEN_PID") else { return Ok(Vec::new()) };
    let Some(count) = env::var_os("LISTEN_FDS") else { return Ok(Vec::new()) };
    let pid: u32 = number(&pid, "LISTEN_PID is not a number")?;
    if pid != std::process::id() {
        return Ok(Vec::new());
    }
    let count: usize = number(&count, "LISTEN_FDS is not a number")?;
    let names = match env::var_os("LISTEN_FDNAMES") {
        Some(names) => {
            let names = names.to_string_lossy();
            let names: Vec<String> = names.split(':').map(str::to_owned).collect();
            // Of nothing there is one name, which is empty.
            if names.len() != count && count > 0 {
                return Err(invalid("there are not as many LISTEN_FDNAMES as LISTEN_FDS"));
            }
            Some(names)
        }
        None => None,
    };
    let fds = listen::inherit(FIRST, count)
        .map_err(|cause| Error::os(ErrorKind::Listen, TAKING, cause))?;
    let name = |at: usize| names.as_ref().and_then(|names| names.get(at)).cloned();
    let inherited = |(at, fd)| InheritedFd { name: name(at).unwrap_or("unknown".to_owned()), fd };
    Ok(fds.into_iter().enumerate().map(inherited).collect())
}

/// Digits, and nothing else.
fn number<T: std::str::FromStr>(text: &std::ffi::OsStr, fault: &'static str) -> Result<T> {
    let digits = text.to_str().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    digits.and_then(|digits| digits.parse().ok()).ok_or_else(|| invalid(fault))
}

fn invalid(why: &'static str) -> Error {
    Error::caused(ErrorKind::InvalidInput, TAKING, why.into())
}
