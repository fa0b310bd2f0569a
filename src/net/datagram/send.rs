//! What goes out.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;

use rustix::cmsg_space;
use rustix::net::{
    AddressFamily, MMsgHdr, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrAny,
    sockopt,
};

use super::event::{DropPolicy, Sent};
use super::options::DatagramOptions;
use super::room::{Desk, Room};
use super::{Datagram, Peer};
use crate::net::unix::{self, MAX_FDS};
use crate::sys::datagram::BATCH;
use crate::{Error, ErrorKind, EvLoop, Result, Timer};

const DOING: &str = "sending a datagram";
const WAITING: &str = "waiting to send datagrams";

/// Without a wait also if somebody who shares the socket has made it block again.
const FLAGS: SendFlags = SendFlags::NOSIGNAL.union(SendFlags::DONTWAIT);

/// What leaves before others have their turn.
const SHARE: usize = 2 * BATCH;

/// What waits until the system takes it.
pub(super) struct Queue {
    waiting: VecDeque<Outgoing>,
    /// Of all that waits.
    bytes: usize,
    most_packets: usize,
    most_bytes: usize,
    policy: DropPolicy,
    limit: Duration,
    /// Runs while something waits and nothing moves.
    timer: Option<Timer>,
}

struct Outgoing {
    to: Option<SocketAddrAny>,
    bytes: Box<[u8]>,
    fds: Vec<OwnedFd>,
}

impl Queue {
    pub(super) fn new(options: &DatagramOptions) -> Self {
        Self {
            waiting: VecDeque::new(),
            bytes: 0,
            most_packets: options.queue_packets,
            most_bytes: options.queue_bytes,
            policy: options.drop_policy,
            limit: options.queue_timeout,
            timer: None,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Datagrams and bytes.
    pub(super) fn size(&self) -> (usize, usize) {
        (self.waiting.len(), self.bytes)
    }

    fn has_room_for(&self, len: usize) -> bool {
        self.waiting.len() < self.most_packets && self.bytes.saturating_add(len) <= self.most_bytes
    }

    fn push(&mut self, one: Outgoing) {
        self.bytes += one.bytes.len();
        self.waiting.push_back(one);
    }

    fn pop(&mut self) -> Option<Outgoing> {
        let one = self.waiting.pop_front()?;
        self.bytes -= one.bytes.len();
        Some(one)
    }

    /// Drops all that waits, and says how many that were.
    pub(super) fn clear(&mut self, ev: &mut EvLoop) -> usize {
        if let Some(timer) = self.timer.take() {
            timer.free(ev);
        }
        self.bytes = 0;
        std::mem::take(&mut self.waiting).len()
    }
}

/// Sends at once, or queues.
pub(super) fn send(
    ev: &mut EvLoop,
    key: Datagram,
    to: Option<Peer>,
    bytes: &[u8],
    fds: &[BorrowedFd<'_>],
) -> Result<Sent> {
    let room = ev.local::<Desk>().find_open(key, DOING)?;
    let wrong =
        |errno| Error::os(ErrorKind::InvalidInput, DOING, io::Error::from_raw_os_error(errno));
    let is_unix = room.family == AddressFamily::UNIX;
    if !fds.is_empty() && (!is_unix || fds.len() > MAX_FDS) {
        return Err(wrong(libc::EINVAL));
    }
    let address = match &to {
        Some(peer) => Some(peer.for_family(room.family)?),
        None if room.is_connected => None,
        None => return Err(wrong(libc::EDESTADDRREQ)),
    };
    let fd = room.fd().ok_or_else(|| Error::new(ErrorKind::Closed, DOING))?;
    let outcome = if room.queue.borrow().is_empty() {
        attempt(ev, &room, fd.as_fd(), address.as_ref(), bytes, fds)?
    } else {
        None
    };
    match outcome {
        Some(sent) => Ok(sent),
        None if !may_ever_leave(&room, &fd, to, bytes.len()) => Err(wrong(libc::EMSGSIZE)),
        None => enqueue(ev, &room, address, bytes, fds),
    }
}

/// `None` if the system takes nothing now.
fn attempt(
    ev: &mut EvLoop,
    room: &Rc<Room>,
    fd: BorrowedFd<'_>,
    to: Option<&SocketAddrAny>,
    bytes: &[u8],
    fds: &[BorrowedFd<'_>],
) -> Result<Option<Sent>> {
    let mut earlier = None;
    let outcome = loop {
        match unix::send_message(fd, to, bytes, fds, FLAGS) {
            Ok(_) => {
                room.vain_in_a_row.set(0);
                room.count(|counters| {
                    counters.packets_out += 1;
                    counters.bytes_out += bytes.len() as u64;
                });
                break Ok(Some(Sent::Now));
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break Ok(None),
            Err(error) if earlier.is_none() && may_be_old(room, &error) => earlier = Some(error),
            Err(error) => break Err(error),
        }
    };
    let same = |earlier: &io::Error| {
        outcome.as_ref().is_err_and(|error| error.raw_os_error() == earlier.raw_os_error())
    };
    // Refused twice for one reason, it was this one.
    if let Some(earlier) = earlier.filter(|earlier| !same(earlier)) {
        room.note_error(failed(earlier));
        room.nudge(ev);
    }
    outcome.map_err(failed)
}

/// Whether it may be about an earlier datagram, whose refusal has come meanwhile: the system tells it at the
/// next call, whichever that is, and only once. Unix sockets are refused at once.
fn may_be_old(room: &Room, error: &io::Error) -> bool {
    room.family != AddressFamily::UNIX || is_unknown_call(error)
}

/// How an old filter of system calls refuses `sendmmsg`: the one or the other.
fn is_unknown_call(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM))
}

fn failed(error: io::Error) -> Error {
    let kind = match error.raw_os_error() {
        Some(libc::EMSGSIZE | libc::EINVAL) | None => ErrorKind::InvalidInput,
        _ => ErrorKind::Io,
    };
    Error::os(kind, DOING, error)
}

/// Whether it is short enough for this socket: what waits is refused now rather than when its turn comes.
fn may_ever_leave(room: &Room, fd: &Rc<OwnedFd>, to: Option<Peer>, len: usize) -> bool {
    match room.family {
        AddressFamily::INET => len <= 65_507,
        AddressFamily::INET6 if to.is_some_and(|to| to.is_ipv4()) => len <= 65_507,
        AddressFamily::INET6 => len <= 65_527,
        AddressFamily::UNIX => {
            let buffer = sockopt::socket_send_buffer_size(fd).unwrap_or(usize::MAX);
            len <= buffer.saturating_sub(32)
        }
        _ => true,
    }
}

fn enqueue(
    ev: &mut EvLoop,
    room: &Rc<Room>,
    to: Option<SocketAddrAny>,
    bytes: &[u8],
    fds: &[BorrowedFd<'_>],
) -> Result<Sent> {
    let mut queue = room.queue.borrow_mut();
    let fits_at_all = queue.most_packets > 0 && bytes.len() <= queue.most_bytes;
    let is_dropped =
        !fits_at_all || (queue.policy == DropPolicy::Newest && !queue.has_room_for(bytes.len()));
    if is_dropped {
        room.count(|counters| counters.dropped += 1);
        return Ok(Sent::Dropped);
    }
    // They may be closed by the time they leave.
    let fds: io::Result<Vec<OwnedFd>> = fds.iter().map(BorrowedFd::try_clone_to_owned).collect();
    let fds = fds.map_err(failed)?;
    while !queue.has_room_for(bytes.len()) && queue.pop().is_some() {
        room.count(|counters| counters.dropped += 1);
    }
    queue.push(Outgoing { to, bytes: bytes.into(), fds });
    if queue.timer.is_none() && !queue.limit.is_zero() {
        queue.timer = Some(limit(ev, room, queue.limit));
    }
    drop(queue);
    room.attend(ev);
    Ok(Sent::Queued)
}

/// Gives up what waits when nothing has moved for so long.
fn limit(ev: &mut EvLoop, room: &Rc<Room>, limit: Duration) -> Timer {
    let room = Rc::downgrade(room);
    let timer = ev.timer(limit, limit, move |ev, _| {
        let Some(room) = room.upgrade() else { return };
        let count = room.queue.borrow_mut().clear(ev);
        room.count(|counters| counters.dropped += count as u64);
        room.note_error(Error::new(ErrorKind::TimedOut, WAITING));
        room.note_drained();
        room.nudge(ev);
        room.attend(ev);
    });
    timer.set_ref(ev, false).start(ev)
}

/// The socket can be written to: sends what waits, as much as it takes.
pub(super) fn flush(ev: &mut EvLoop, desk: &Desk, room: &Rc<Room>) {
    let Some(fd) = room.fd() else { return };
    let mut queue = room.queue.borrow_mut();
    if queue.is_empty() {
        return;
    }
    let mut budget = SHARE;
    let mut has_moved = false;
    let mut is_blocked = false;
    // An error about the first that waits, which may be about one that has left.
    let mut earlier = None;
    while budget > 0 && !is_blocked && !queue.is_empty() {
        let singly = earlier.is_some() || desk.send_singly.get() || queue.waiting.len() == 1;
        let result = if singly {
            send_first(fd.as_fd(), &queue).map(|()| 1)
        } else {
            send_some(fd.as_fd(), &queue, budget)
        };
        match result {
            Ok(count) => {
                note_earlier(desk, room, earlier.take());
                let bytes =
                    queue.waiting.iter().take(count).map(|one| one.bytes.len() as u64).sum::<u64>();
                room.count(|counters| {
                    counters.packets_out += count as u64;
                    counters.bytes_out += bytes;
                    counters.batches_out += 1;
                });
                (0..count).for_each(|_| drop(queue.pop()));
                has_moved = true;
                budget = budget.saturating_sub(count.max(1));
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                note_earlier(desk, room, earlier.take());
                is_blocked = true;
            }
            Err(error) if earlier.is_none() && may_be_old(room, &error) => {
                earlier = Some((error, singly));
            }
            Err(error) => {
                earlier = None;
                drop(queue.pop());
                room.count(|counters| counters.refused += 1);
                room.note_error(failed(error));
                has_moved = true;
                budget -= 1;
            }
        }
    }
    // The budget never ends between an error and the second try: only what comes after it costs.
    if queue.is_empty() {
        queue.clear(ev);
        room.note_drained();
    } else if has_moved {
        if let Some(timer) = queue.timer {
            timer.again(ev);
        }
    }
    drop(queue);
    if is_blocked && !has_moved {
        // A Unix socket that is not connected can be written to whatever its receivers say: one of them
        // is full, and nobody would tell when it is not.
        room.rest_sending(ev);
    }
}

/// Tells of an error after which the same datagram has left, or has to wait, so that it was not the cause.
fn note_earlier(desk: &Desk, room: &Room, earlier: Option<(io::Error, bool)>) {
    let Some((error, was_single)) = earlier else { return };
    if !was_single && is_unknown_call(&error) {
        desk.send_singly.set(true);
    } else {
        room.note_error(failed(error));
    }
}

fn send_first(fd: BorrowedFd<'_>, queue: &Queue) -> io::Result<()> {
    let Some(one) = queue.waiting.front() else { return Ok(()) };
    let fds: Vec<BorrowedFd<'_>> = one.fds.iter().map(AsFd::as_fd).collect();
    unix::send_message(fd, one.to.as_ref(), &one.bytes, &fds, FLAGS).map(drop)
}

/// As many as there are, with one call; how many it took.
fn send_some(fd: BorrowedFd<'_>, queue: &Queue, most: usize) -> io::Result<usize> {
    let all = || queue.waiting.iter().take(most.min(BATCH));
    let slices: Vec<[IoSlice<'_>; 1]> = all().map(|one| [IoSlice::new(&one.bytes)]).collect();
    let fds: Vec<Vec<BorrowedFd<'_>>> =
        all().map(|one| one.fds.iter().map(AsFd::as_fd).collect()).collect();
    let mut spaces: Vec<Vec<MaybeUninit<u8>>> = fds
        .iter()
        .map(|fds| match fds.len() {
            0 => Vec::new(),
            count => vec![MaybeUninit::uninit(); cmsg_space!(ScmRights(count))],
        })
        .collect();
    let mut controls: Vec<SendAncillaryBuffer<'_, '_, '_>> = Vec::with_capacity(spaces.len());
    for (space, fds) in spaces.iter_mut().zip(&fds) {
        let mut control = SendAncillaryBuffer::new(space);
        if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        controls.push(control);
    }
    let parts = all().zip(&slices).zip(&mut controls);
    let mut messages: Vec<MMsgHdr<'_>> = parts
        .map(|((one, slices), control)| match &one.to {
            Some(to) => MMsgHdr::new_with_addr(to, slices, control),
            None => MMsgHdr::new(slices, control),
        })
        .collect();
    Ok(rustix::io::retry_on_intr(|| rustix::net::sendmmsg(fd, &mut messages, FLAGS))?)
}
