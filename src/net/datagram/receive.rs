//! What comes in.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::Peer;
use super::event::{DatagramEvent, Packet};
use super::room::{self, Desk, Room};
use crate::sys::datagram::Batch;
use crate::{Error, ErrorKind, EvLoop};

const DOING: &str = "receiving datagrams";

/// A datagram that could not be delivered yet.
pub(super) struct Kept {
    bytes: Box<[u8]>,
    peer: Peer,
    length: usize,
    fds: Vec<OwnedFd>,
    fds_lost: bool,
}

/// Receives once, and delivers what came.
pub(super) fn receive(ev: &mut EvLoop, desk: &Rc<Desk>, room: &Rc<Room>) {
    let Some(fd) = room.fd() else { return };
    let mut batch = desk.batch.take().unwrap_or_default();
    match receive_into(&mut batch, desk, room, &fd) {
        Ok(None) => room.vain_in_a_row.set(0),
        Ok(Some(error)) => room.note_error(Error::os(ErrorKind::Io, DOING, error)),
        Err(error) => {
            desk.batch.set(Some(batch));
            return refused(ev, room, &fd, error);
        }
    }
    let count = batch.len();
    room.count(|counters| {
        counters.batches_in += 1;
        counters.packets_in += count as u64;
        for slot in (0..count).filter_map(|index| batch.slot(index)) {
            counters.bytes_in += slot.length as u64;
            counters.truncated += u64::from(slot.length > slot.bytes.len());
        }
    });
    let is_empty = |index| batch.slot(index).is_some_and(|slot| slot.length == 0);
    if count == room.layout.slots && (0..count).all(is_empty) && is_at_its_end(&fd) {
        // Nobody has sent these: it is how the end of some sockets looks.
        desk.batch.set(Some(batch));
        return room.fail(ev, Error::new(ErrorKind::Closed, DOING));
    }
    drop(fd);
    let mut delivery = Delivery { ev, desk, room, batch, next: 0 };
    while room.is_open() && !room.is_paused.get() && delivery.next < count {
        let index = delivery.next;
        // Before the call: what panics is not delivered again.
        delivery.next += 1;
        let fds = delivery.batch.take_fds(index);
        let Some(slot) = delivery.batch.slot(index) else { break };
        let packet = Packet {
            bytes: slot.bytes,
            peer: Peer::from_raw(slot.name),
            length: slot.length,
            truncated: slot.length > slot.bytes.len(),
            fds,
            fds_lost: slot.is_control_cut,
        };
        room::call(delivery.ev, room, DatagramEvent::Received(packet));
    }
}

fn receive_into(
    batch: &mut Batch,
    desk: &Desk,
    room: &Room,
    fd: &Rc<OwnedFd>,
) -> io::Result<Option<io::Error>> {
    if !desk.receive_singly.get() {
        match batch.receive(fd.as_fd(), room.layout, false) {
            // An old filter of system calls does not know it. It says the one or the other.
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM)) => {}
            other => return other,
        }
    }
    let result = batch.receive(fd.as_fd(), room.layout, true);
    if result.is_ok() {
        desk.receive_singly.set(true);
    }
    result
}

fn refused(ev: &mut EvLoop, room: &Rc<Room>, fd: &Rc<OwnedFd>, error: io::Error) {
    if error.kind() == io::ErrorKind::WouldBlock {
        if is_at_its_end(fd) {
            room.fail(ev, Error::new(ErrorKind::Closed, DOING));
        } else {
            room.count_vain(ev);
        }
        return;
    }
    let is_fatal = matches!(
        error.raw_os_error(),
        Some(libc::EBADF | libc::ENOTSOCK | libc::EINVAL | libc::EFAULT | libc::EOPNOTSUPP)
    );
    let error = Error::os(ErrorKind::Io, DOING, error);
    if is_fatal {
        room.fail(ev, error);
    } else {
        room.note_receive_error(ev, error);
    }
}

/// Whether nothing more can come, because somebody who shares the descriptor has shut it: it is readable for
/// ever then, and there is nothing to read, or empty datagrams without end.
fn is_at_its_end(fd: &Rc<OwnedFd>) -> bool {
    let mut fds = [PollFd::from_borrowed_fd(fd.as_fd(), PollFlags::RDHUP)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut fds, Some(&now)).is_ok_and(|n| n > 0) && fds[0].revents().contains(PollFlags::RDHUP)
}

/// Delivers what was kept, in order, until it is paused again.
pub(super) fn deliver_kept(ev: &mut EvLoop, room: &Rc<Room>) {
    while room.is_open() && !room.is_paused.get() {
        let Some(kept) = room.kept.borrow_mut().pop_front() else { return };
        let packet = Packet {
            bytes: &kept.bytes,
            peer: kept.peer,
            length: kept.length,
            truncated: kept.length > kept.bytes.len(),
            fds: kept.fds,
            fds_lost: kept.fds_lost,
        };
        room::call(ev, room, DatagramEvent::Received(packet));
    }
}

/// A batch that is being delivered. What is left at the end, because the handler paused the socket or
/// panicked, is kept; what is left when it was closed is dropped.
struct Delivery<'a> {
    ev: &'a mut EvLoop,
    desk: &'a Desk,
    room: &'a Room,
    batch: Batch,
    next: usize,
}

impl Drop for Delivery<'_> {
    fn drop(&mut self) {
        let left = self.next..self.batch.len();
        if self.room.is_open() {
            for index in left {
                let fds = self.batch.take_fds(index);
                let Some(slot) = self.batch.slot(index) else { break };
                self.room.kept.borrow_mut().push_back(Kept {
                    bytes: slot.bytes.into(),
                    peer: Peer::from_raw(slot.name),
                    length: slot.length,
                    fds,
                    fds_lost: slot.is_control_cut,
                });
            }
        } else {
            self.room.count(|counters| counters.undelivered += left.len() as u64);
        }
        // Closes what descriptors are left in it.
        self.batch.clear();
        self.desk.batch.set(Some(std::mem::take(&mut self.batch)));
    }
}
