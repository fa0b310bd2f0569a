//! Receiving many datagrams with one call, descriptors that come with messages, whose process a Unix socket's
//! peer is, and an option of multicast.
//!
//! rustix has no `recvmmsg`; its control messages take a process id of 0 for impossible, which the kernel
//! gives out for a peer of another pid namespace, and pass over descriptors of kinds it does not know. Nor has
//! it `IP_MULTICAST_ALL`.

use std::io;
use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;

/// How many datagrams one call receives at most.
pub(crate) const BATCH: usize = 32;

/// How many descriptors a message can carry: `SCM_MAX_FD`.
pub(crate) const MAX_FDS: usize = 253;

/// What a socket's name takes at most: `sockaddr_storage`.
const NAME: usize = 128;

/// The memory for a batch, and what came last.
#[derive(Default)]
pub(crate) struct Batch {
    /// Never shrinks. Pages that nothing was received into are not there.
    bytes: Vec<u8>,
    names: Vec<[u8; NAME]>,
    /// In words, because control messages are aligned.
    control: Vec<u64>,
    received: Vec<Received>,
    /// Of each slot in `bytes`.
    size: usize,
}

/// How a batch is laid out.
#[derive(Clone, Copy)]
pub(crate) struct Layout {
    /// Datagrams, at most `BATCH`.
    pub(crate) slots: usize,
    /// Bytes of each.
    pub(crate) size: usize,
    /// Descriptors with each, at most `MAX_FDS`.
    pub(crate) fds: usize,
}

struct Received {
    name_len: usize,
    /// As it was sent.
    length: usize,
    is_control_cut: bool,
    fds: Vec<OwnedFd>,
}

/// One datagram of a batch.
pub(crate) struct Slot<'a> {
    /// As much as there was room for.
    pub(crate) bytes: &'a [u8],
    /// How long it was when it was sent.
    pub(crate) length: usize,
    /// A `sockaddr`; empty if the sender has none.
    pub(crate) name: &'a [u8],
    /// Descriptors came, or other control messages, for which there was no room. Those that
    /// did fit were closed.
    pub(crate) is_control_cut: bool,
}

impl Batch {
    /// How many datagrams are in it.
    pub(crate) fn len(&self) -> usize {
        self.received.len()
    }

    pub(crate) fn slot(&self, index: usize) -> Option<Slot<'_>> {
        let one = self.received.get(index)?;
        let start = index * self.size;
        let bytes = self.bytes.get(start..start + one.length.min(self.size))?;
        let name = self.names.get(index)?.get(..one.name_len)?;
        Some(Slot { bytes, length: one.length, name, is_control_cut: one.is_control_cut })
    }

    /// The descriptors that came with one, in order.
    pub(crate) fn take_fds(&mut self, index: usize) -> Vec<OwnedFd> {
        self.received.get_mut(index).map(|one| mem::take(&mut one.fds)).unwrap_or_default()
    }

    /// Forgets what came, and closes what descriptors are still in it.
    pub(crate) fn clear(&mut self) {
        self.received.clear();
    }

    /// Receives what there is, without waiting: with one call, or with one for each datagram, where the other
    /// is not to be had.
    ///
    /// What stops the second way after the first datagram is returned beside them.
    ///
    /// # Errors
    ///
    /// Those of `recvmmsg(2)`, if nothing was received; `EINTR` is not among them.
    pub(crate) fn receive(
        &mut self,
        fd: BorrowedFd<'_>,
        layout: Layout,
        one_by_one: bool,
    ) -> io::Result<Option<io::Error>> {
        let slots = layout.slots.clamp(1, BATCH);
        let size = layout.size.max(1);
        let (words, control_len) = control_size(layout.fds.min(MAX_FDS));
        self.clear();
        self.size = size;
        if self.bytes.len() < slots * size {
            // Not grown but made anew: zeroed memory comes from the system untouched.
            self.bytes = vec![0; slots * size];
        }
        self.names.resize(BATCH, [0; NAME]);
        if self.control.len() < slots * words {
            self.control = vec![0; slots * words];
        }
        self.received.reserve(BATCH);

        // SAFETY: both are plain numbers and pointers, for which zeros are valid.
        let (mut headers, mut vectors) = unsafe {
            (mem::zeroed::<[libc::mmsghdr; BATCH]>(), mem::zeroed::<[libc::iovec; BATCH]>())
        };
        let data = self.bytes.chunks_exact_mut(size);
        let places =
            data.zip(&mut self.names).zip(headers.iter_mut().zip(&mut vectors)).take(slots);
        for ((bytes, name), (header, vector)) in places {
            vector.iov_base = bytes.as_mut_ptr().cast();
            vector.iov_len = bytes.len();
            header.msg_hdr.msg_name = name.as_mut_ptr().cast();
            header.msg_hdr.msg_namelen = NAME as libc::socklen_t;
            header.msg_hdr.msg_iov = vector;
            header.msg_hdr.msg_iovlen = 1;
        }
        if words > 0 {
            for (control, header) in
                self.control.chunks_exact_mut(words).zip(&mut headers).take(slots)
            {
                header.msg_hdr.msg_control = control.as_mut_ptr().cast();
                header.msg_hdr.msg_controllen = control_len as _;
            }
        }
        let flags = libc::MSG_DONTWAIT | libc::MSG_TRUNC | libc::MSG_CMSG_CLOEXEC;
        let (n, stopped) = if one_by_one {
            receive_singly(fd, &mut headers[..slots], flags)?
        } else {
            (receive_together(fd, &mut headers[..slots], flags)?, None)
        };
        for header in headers.iter().take(n) {
            let is_control_cut = header.msg_hdr.msg_flags & libc::MSG_CTRUNC != 0;
            // SAFETY: the kernel has filled it just now, and its control buffer is ours and still there.
            let fds = unsafe { claim(&header.msg_hdr) };
            self.received.push(Received {
                name_len: (header.msg_hdr.msg_namelen as usize).min(NAME),
                length: header.msg_len as usize,
                is_control_cut,
                // A part of them is of no use to anybody.
                fds: if is_control_cut { Vec::new() } else { fds },
            });
        }
        Ok(stopped)
    }
}

/// Room for so many descriptors: in words, and in bytes to the last of them, since the kernel puts in what
/// fits.
fn control_size(fds: usize) -> (usize, usize) {
    if fds == 0 {
        return (0, 0);
    }
    let bytes = (fds * size_of::<libc::c_int>()) as u32;
    // SAFETY: arithmetic on a small number.
    let (space, len) = unsafe { (libc::CMSG_SPACE(bytes), libc::CMSG_LEN(bytes)) };
    ((space as usize).div_ceil(size_of::<u64>()), len as usize)
}

fn receive_together(
    fd: BorrowedFd<'_>,
    headers: &mut [libc::mmsghdr],
    flags: libc::c_int,
) -> io::Result<usize> {
    loop {
        // SAFETY: `fd` is open for the duration of the borrow. The pointer and the count describe the slice,
        // and all that the headers point to are exclusive borrows of the caller, live and as long as
        // they say. A null time-out is none.
        let n = unsafe {
            libc::recvmmsg(
                fd.as_raw_fd(),
                headers.as_mut_ptr(),
                headers.len() as libc::c_uint,
                flags as _,
                ptr::null_mut(),
            )
        };
        match usize::try_from(n) {
            Ok(n) => return Ok(n),
            Err(_) => retry_only_if_interrupted()?,
        }
    }
}

fn receive_singly(
    fd: BorrowedFd<'_>,
    headers: &mut [libc::mmsghdr],
    flags: libc::c_int,
) -> io::Result<(usize, Option<io::Error>)> {
    for (done, header) in headers.iter_mut().enumerate() {
        match receive_one(fd, &mut header.msg_hdr, flags) {
            Ok(length) => header.msg_len = length as libc::c_uint,
            Err(error) if done == 0 => return Err(error),
            Err(error) => {
                let is_news = error.kind() != io::ErrorKind::WouldBlock;
                return Ok((done, is_news.then_some(error)));
            }
        }
    }
    Ok((headers.len(), None))
}

fn receive_one(
    fd: BorrowedFd<'_>,
    header: &mut libc::msghdr,
    flags: libc::c_int,
) -> io::Result<usize> {
    loop {
        // SAFETY: as in `receive_together`, for one header.
        let n = unsafe { libc::recvmsg(fd.as_raw_fd(), header, flags) };
        match usize::try_from(n) {
            Ok(n) => return Ok(n),
            Err(_) => retry_only_if_interrupted()?,
        }
    }
}

fn retry_only_if_interrupted() -> io::Result<()> {
    match io::Error::last_os_error() {
        error if error.kind() == io::ErrorKind::Interrupted => Ok(()),
        error => Err(error),
    }
}

/// Takes the descriptors in the control messages, which are nobody's yet: all of them, so that none stays
/// open unseen.
///
/// # Safety
///
/// The header is as the kernel has filled it, its control buffer is there, and this is called once.
unsafe fn claim(header: &libc::msghdr) -> Vec<OwnedFd> {
    /// Linux 6.5; not in `libc` for every target.
    const SCM_PIDFD: libc::c_int = 4;
    let mut fds = Vec::new();
    // SAFETY: the macros stay within `msg_controllen`, which is how much the kernel has written; with 0 the
    // first is null.
    let mut next = unsafe { libc::CMSG_FIRSTHDR(header) };
    while !next.is_null() {
        // SAFETY: not null, so it is a whole `cmsghdr` in the buffer, aligned because that is, and written.
        let message = unsafe { ptr::read(next) };
        let is_rights = message.cmsg_type == libc::SCM_RIGHTS;
        if message.cmsg_level == libc::SOL_SOCKET && (is_rights || message.cmsg_type == SCM_PIDFD) {
            // SAFETY: arithmetic.
            let head = unsafe { libc::CMSG_LEN(0) } as usize;
            let count = (message.cmsg_len as usize).saturating_sub(head) / size_of::<libc::c_int>();
            // SAFETY: as `next`.
            let data = unsafe { libc::CMSG_DATA(next) }.cast::<libc::c_int>();
            for index in 0..count {
                // SAFETY: `cmsg_len` says that so many numbers are there; Linux cuts it down to what it wrote.
                let fd = unsafe { ptr::read_unaligned(data.add(index)) };
                if fd >= 0 {
                    // SAFETY: the kernel has opened it for us, and nobody else knows of it.
                    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
                    if is_rights {
                        fds.push(fd);
                    }
                }
            }
        }
        // SAFETY: both are what they were for the first.
        next = unsafe { libc::CMSG_NXTHDR(header, next) };
    }
    fds
}

/// Receives bytes and descriptors from any Unix socket, without a wait if it does not block: how many bytes,
/// and whether control data was cut off. Then there are no descriptors; those that did fit were closed.
///
/// # Errors
///
/// Those of `recvmsg(2)`, but not `EINTR`.
pub(crate) fn receive_with_fds(
    fd: BorrowedFd<'_>,
    into: &mut [u8],
) -> io::Result<(usize, bool, Vec<OwnedFd>)> {
    let (words, control_len) = control_size(MAX_FDS);
    let mut control = vec![0_u64; words];
    let mut vector = libc::iovec { iov_base: into.as_mut_ptr().cast(), iov_len: into.len() };
    // SAFETY: plain numbers and pointers, for which zeros are valid.
    let mut header = unsafe { mem::zeroed::<libc::msghdr>() };
    header.msg_iov = &raw mut vector;
    header.msg_iovlen = 1;
    header.msg_control = control.as_mut_ptr().cast();
    header.msg_controllen = control_len as _;
    let n = receive_one(fd, &mut header, libc::MSG_CMSG_CLOEXEC)?;
    // SAFETY: filled by the kernel just now; `control` is still there.
    let fds = unsafe { claim(&header) };
    let is_cut = header.msg_flags & libc::MSG_CTRUNC != 0;
    Ok((n, is_cut, if is_cut { Vec::new() } else { fds }))
}

/// The process at the other end of a Unix socket: pid, uid, gid, as they were when it connected. The pid is
/// 0 if it has none here, and the rest all ones if there is no such process at all.
///
/// # Errors
///
/// Those of `getsockopt(2)`.
pub(crate) fn peer_credentials(fd: BorrowedFd<'_>) -> io::Result<libc::ucred> {
    let mut found = libc::ucred { pid: 0, uid: libc::uid_t::MAX, gid: libc::gid_t::MAX };
    let mut len = size_of::<libc::ucred>() as libc::socklen_t;
    // SAFETY: `fd` is open for the duration of the borrow; pointer and length describe `found`, which any
    // numbers are valid for.
    let result = unsafe {
        libc::getsockopt(
            fd.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut found).cast(),
            &raw mut len,
        )
    };
    if result == 0 { Ok(found) } else { Err(io::Error::last_os_error()) }
}

/// Has a socket hear only of the multicast groups that it has joined itself. Linux otherwise delivers to every
/// socket of a port what is sent to any group that anybody on this machine has joined.
///
/// It fails only on sockets to which this does not apply, and on old kernels, which cannot do it.
pub(crate) fn hear_own_groups_only(fd: BorrowedFd<'_>) {
    let off: libc::c_int = 0;
    let len = size_of::<libc::c_int>() as libc::socklen_t;
    for (level, option) in
        [(libc::SOL_IP, libc::IP_MULTICAST_ALL), (libc::SOL_IPV6, libc::IPV6_MULTICAST_ALL)]
    {
        // SAFETY: `fd` is open for the duration of the borrow; pointer and length describe a number that
        // outlives the call.
        let _ = unsafe {
            libc::setsockopt(fd.as_raw_fd(), level, option, (&raw const off).cast(), len)
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixDatagram;

    const LAYOUT: Layout = Layout { slots: 4, size: 8, fds: 0 };

    fn texts(batch: &Batch) -> Vec<(&[u8], usize)> {
        let slots = (0..batch.len()).map(|index| batch.slot(index).unwrap());
        slots.map(|slot| (slot.bytes, slot.length)).collect()
    }

    #[test]
    fn both_ways_receive_the_same() {
        for one_by_one in [false, true] {
            let (near, far) = UnixDatagram::pair().unwrap();
            let mut batch = Batch::default();
            let error = batch.receive(near.as_fd(), LAYOUT, one_by_one).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
            for text in ["one", "", "longer than eight", "four", "five"] {
                far.send(text.as_bytes()).unwrap();
            }
            assert!(batch.receive(near.as_fd(), LAYOUT, one_by_one).unwrap().is_none());
            let expected: [(&[u8], usize); 4] =
                [(b"one", 3), (b"", 0), (b"longer t", 17), (b"four", 4)];
            assert_eq!(texts(&batch), expected);
            assert!(batch.slot(4).is_none());
            assert!(batch.receive(near.as_fd(), LAYOUT, one_by_one).unwrap().is_none());
            assert_eq!(texts(&batch), [(&b"five"[..], 4)]);
        }
    }

    #[test]
    fn the_error_behind_a_datagram_is_kept() {
        for one_by_one in [false, true] {
            let near = UdpSocket::bind("127.0.0.1:0").unwrap();
            let far = UdpSocket::bind("127.0.0.1:0").unwrap();
            near.connect(far.local_addr().unwrap()).unwrap();
            far.send_to(b"bye", near.local_addr().unwrap()).unwrap();
            drop(far);
            near.send(b"anybody?").unwrap();
            let mut batch = Batch::default();
            // The error comes first, here as everywhere: the kernel looks for it before the queue.
            let error = batch.receive(near.as_fd(), LAYOUT, one_by_one).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
            assert!(batch.receive(near.as_fd(), LAYOUT, one_by_one).unwrap().is_none());
            assert_eq!(texts(&batch), [(&b"bye"[..], 3)]);
        }
    }

    #[test]
    fn a_larger_layout_after_a_smaller_one_is_given_room() {
        let (near, far) = UnixDatagram::pair().unwrap();
        let mut batch = Batch::default();
        for size in [8, 1000, 16] {
            far.send(&vec![7; size]).unwrap();
            let layout = Layout { slots: BATCH, size, fds: 3 };
            batch.receive(near.as_fd(), layout, false).unwrap();
            assert_eq!(texts(&batch), [(&vec![7; size][..], size)]);
        }
    }

    #[test]
    fn a_socket_that_is_no_unix_socket_has_no_credentials() {
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let found = peer_credentials(udp.as_fd()).unwrap();
        assert_eq!((found.pid, found.uid), (0, libc::uid_t::MAX));
    }
}
