//! What the system has taken of a socket's output and the peer has not acknowledged.

use std::os::fd::{AsRawFd, BorrowedFd};

/// How many bytes that is. `None` where the system does not say.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) fn output(socket: BorrowedFd<'_>) -> Option<u64> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: the descriptor is borrowed for the call, which writes one integer to a local that outlives it.
    let asked = unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
    if asked == 0 { u64::try_from(bytes).ok() } else { None }
}

/// How many bytes that is. `None` where the system does not say.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) fn output(_socket: BorrowedFd<'_>) -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    #[test]
    #[cfg(target_os = "linux")]
    fn it_is_less_when_the_peer_has_read() {
        let (mut near, mut far) = UnixStream::pair().unwrap();
        assert_eq!(output(near.as_fd()), Some(0));
        near.write_all(&[0; 1000]).unwrap();
        let waiting = output(near.as_fd()).unwrap();
        assert!(waiting >= 1000);
        far.read_exact(&mut [0; 1000]).unwrap();
        assert_eq!(output(near.as_fd()), Some(0));
        let file = std::fs::File::open("/dev/null").unwrap();
        assert_eq!(output(file.as_fd()), None);
    }
}
