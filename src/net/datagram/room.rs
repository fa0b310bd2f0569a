//! The sockets of a loop, and how their owners are told.

// Everything but the end is told from the callback of the socket's own io watcher: a running watcher is not
// entered again, so a nested run neither overtakes nor repeats. What happens elsewhere is noted, and the
// watcher is fed. `Closed` comes from a deferred closure, because the watcher is gone by then.
//
// The handler is taken out of its place while it is called, so that no borrow is held.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::os::fd::{AsFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::net::{AddressFamily, sockopt};
use slab::Slab;

use super::event::{DatagramCounters, DatagramEvent};
use super::options::{BoundFile, DatagramOptions};
use super::receive::Kept;
use super::send::Queue;
use super::{Datagram, receive, send};
use crate::net::Reason;
use crate::sys::datagram::{Batch, Layout};
use crate::{Cleanup, Error, ErrorKind, EvLoop, Events, Interest, Io, IoEvent, Result};

pub(super) type Handler = Box<dyn FnMut(&mut EvLoop, Datagram, DatagramEvent<'_>)>;

/// Errors that wait to be told, at most.
const MOST_ERRORS: usize = 16;

/// After being ready in vain so often, with nothing between, receiving rests: the system is out of memory, or
/// reports what reading does not clear, such as the error queue of a socket that was adopted.
const VAIN_IN_A_ROW: u32 = 8;

/// How long what is tried in vain rests.
const REST: Duration = Duration::from_millis(5);

/// All of a loop.
#[derive(Default)]
pub(super) struct Desk {
    sockets: RefCell<Slab<Rc<Room>>>,
    /// What is received into; a run inside a handler finds none and makes a second one.
    pub(super) batch: Cell<Option<Batch>>,
    /// There is no `recvmmsg` here, or no `sendmmsg`.
    pub(super) receive_singly: Cell<bool>,
    pub(super) send_singly: Cell<bool>,
    cleanup: Cell<Option<Cleanup>>,
    /// The loop is being dropped: who opened another one now would never hear of its end.
    is_ending: Cell<bool>,
}

/// One socket.
pub(super) struct Room {
    pub(super) key: Cell<Datagram>,
    pub(super) fd: RefCell<Option<Rc<OwnedFd>>>,
    pub(super) family: AddressFamily,
    pub(super) is_connected: bool,
    pub(super) layout: Layout,
    pub(super) counters: Cell<DatagramCounters>,
    pub(super) is_paused: Cell<bool>,
    /// Received and not delivered: its handler paused it, or panicked.
    pub(super) kept: RefCell<VecDeque<Kept>>,
    pub(super) queue: RefCell<Queue>,
    pub(super) is_blocked: Cell<bool>,
    pub(super) vain_in_a_row: Cell<u32>,
    is_resting: Cell<bool>,
    handler: Cell<Option<Handler>>,
    notices: RefCell<VecDeque<Notice>>,
    io: Cell<Option<Io>>,
    asked: Cell<Interest>,
    file: RefCell<Option<BoundFile>>,
    state: Cell<State>,
    /// `Closed` could not be told because the handler was running.
    is_owed: Cell<bool>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// `Closed` is still to be told.
    Closing(Reason),
    Gone,
}

pub(super) enum Notice {
    Drained,
    Error(Error),
}

pub(super) fn open(
    ev: &mut EvLoop,
    socket: OwnedFd,
    options: &DatagramOptions,
    file: Option<BoundFile>,
    handler: Handler,
) -> Result<Datagram> {
    static IDS: AtomicU64 = AtomicU64::new(1);
    let desk = ev.local::<Desk>();
    if desk.is_ending.get() {
        if let Some(file) = file {
            file.remove();
        }
        return Err(Error::new(ErrorKind::Closed, "opening a datagram socket"));
    }
    let fd = Rc::new(socket);
    let room = Rc::new(Room {
        key: Cell::new(Datagram { id: IDS.fetch_add(1, Ordering::Relaxed), slot: 0 }),
        family: sockopt::socket_domain(&fd).unwrap_or(AddressFamily::UNSPEC),
        is_connected: rustix::net::getpeername(&fd).is_ok(),
        fd: RefCell::new(Some(Rc::clone(&fd))),
        layout: options.layout(),
        counters: Cell::default(),
        is_paused: Cell::default(),
        kept: RefCell::default(),
        queue: RefCell::new(Queue::new(options)),
        is_blocked: Cell::default(),
        vain_in_a_row: Cell::default(),
        is_resting: Cell::default(),
        handler: Cell::new(Some(handler)),
        notices: RefCell::default(),
        io: Cell::default(),
        asked: Cell::new(Interest::READ),
        file: RefCell::new(file),
        state: Cell::new(State::Open),
        is_owed: Cell::default(),
    });
    let for_it = Rc::downgrade(&room);
    let io = ev.io(fd, Interest::READ, move |ev, e: IoEvent<'_, Rc<OwnedFd>>| {
        if let Some(room) = for_it.upgrade() {
            on_ready(ev, &room, e.ready);
        }
    });
    if let Err(error) = io.start_or_free(ev) {
        room.shut();
        return Err(error);
    }
    room.io.set(Some(io));
    let mut sockets = desk.sockets.borrow_mut();
    let place = sockets.vacant_entry();
    // There are fewer descriptors than that.
    let key = Datagram { id: room.key.get().id, slot: place.key() as u32 };
    room.key.set(key);
    place.insert(room);
    drop(sockets);
    desk.attend_the_end(ev);
    Ok(key)
}

impl Desk {
    pub(super) fn find(&self, key: Datagram) -> Option<Rc<Room>> {
        let sockets = self.sockets.borrow();
        let room = sockets.get(key.slot as usize)?;
        (room.key.get() == key).then(|| Rc::clone(room))
    }

    pub(super) fn find_open(&self, key: Datagram, doing: &'static str) -> Result<Rc<Room>> {
        let room = self.find(key).ok_or_else(|| Error::stale(doing))?;
        if room.is_open() { Ok(room) } else { Err(Error::new(ErrorKind::Closed, doing)) }
    }

    pub(super) fn open_fd(&self, key: Datagram, doing: &'static str) -> Result<Rc<OwnedFd>> {
        let room = self.find_open(key, doing)?;
        room.fd().ok_or_else(|| Error::new(ErrorKind::Closed, doing))
    }

    /// Takes one out that nobody has heard of yet.
    pub(super) fn forget(&self, ev: &mut EvLoop, key: Datagram) {
        let Some(room) = self.find(key) else { return };
        room.state.set(State::Gone);
        room.take_down(ev);
        self.remove(key);
    }

    fn remove(&self, key: Datagram) {
        // What it holds is dropped with no borrow.
        let _room =
            self.find(key).and_then(|_| self.sockets.borrow_mut().try_remove(key.slot as usize));
    }

    /// Sees to it that the end of the loop is told.
    fn attend_the_end(&self, ev: &mut EvLoop) {
        // Who lists the loop's watchers may free them.
        if !self.cleanup.get().is_some_and(|cleanup| cleanup.exists(ev)) {
            self.cleanup.set(Some(ev.on_close(|ev, _| end_all(ev)).start(ev)));
        }
    }
}

/// The loop goes.
fn end_all(ev: &mut EvLoop) {
    let desk = ev.local::<Desk>();
    desk.is_ending.set(true);
    let all: Vec<Rc<Room>> =
        desk.sockets.borrow().iter().map(|(_, room)| Rc::clone(room)).collect();
    let mut panicked = None;
    for room in all {
        let told = catch_unwind(AssertUnwindSafe(|| {
            room.close(ev, Reason::LoopGone);
            tell_closed(ev, &room);
        }));
        // One that panics must not cost the others their end.
        panicked = told.err().or(panicked);
    }
    if let Some(payload) = panicked {
        resume_unwind(payload);
    }
}

impl Room {
    pub(super) fn is_open(&self) -> bool {
        self.state.get() == State::Open
    }

    pub(super) fn fd(&self) -> Option<Rc<OwnedFd>> {
        self.fd.borrow().clone()
    }

    pub(super) fn count(&self, f: impl FnOnce(&mut DatagramCounters)) {
        let mut counters = self.counters.get();
        f(&mut counters);
        self.counters.set(counters);
    }

    /// Notes an error, to be told by the watcher.
    pub(super) fn note_error(&self, error: Error) {
        self.count(|counters| counters.errors += 1);
        let mut notices = self.notices.borrow_mut();
        let waiting = notices.iter().filter(|notice| matches!(notice, Notice::Error(_))).count();
        if waiting < MOST_ERRORS {
            notices.push_back(Notice::Error(error));
        }
    }

    pub(super) fn note_drained(&self) {
        let mut notices = self.notices.borrow_mut();
        if !matches!(notices.back(), Some(Notice::Drained)) {
            // With errors between them there are at most as many as of those, and one.
            notices.push_back(Notice::Drained);
        }
    }

    pub(super) fn set_ref(&self, ev: &mut EvLoop, keeps_running: bool) {
        if let Some(io) = self.io.get() {
            io.set_ref(ev, keeps_running);
        }
    }

    /// Has the watcher called in the next iteration, which does not wait. Not in this one: a handler that
    /// answers each error with what causes the next would keep everybody else from their turn.
    pub(super) fn nudge(&self, ev: &mut EvLoop) {
        if let Some(io) = self.io.get() {
            io.feed_later(ev, Events::NONE);
        }
    }

    /// Asks the loop for what can be used now.
    pub(super) fn attend(&self, ev: &mut EvLoop) {
        let Some(io) = self.io.get() else { return };
        let mut interest = Interest::NONE;
        if !self.is_paused.get() && !self.is_resting.get() {
            interest |= Interest::READ;
        }
        if !self.queue.borrow().is_empty() && !self.is_blocked.get() {
            interest |= Interest::WRITE;
        }
        if interest != self.asked.replace(interest) {
            // It fails only for a watcher that somebody else has freed.
            let _ = io.set_interest(ev, interest);
        }
    }

    /// Does not try again for a while what was in vain.
    fn rest(self: &Rc<Self>, ev: &mut EvLoop, what: fn(&Self) -> &Cell<bool>) {
        if what(self).replace(true) {
            return;
        }
        let room = Rc::downgrade(self);
        let timer = ev.after(REST, move |ev| {
            if let Some(room) = room.upgrade() {
                what(&room).set(false);
                room.attend(ev);
            }
        });
        // The watcher alone decides whether the loop goes on.
        timer.set_ref(ev, false);
    }

    pub(super) fn rest_receiving(self: &Rc<Self>, ev: &mut EvLoop) {
        self.rest(ev, |room| &room.is_resting);
    }

    pub(super) fn rest_sending(self: &Rc<Self>, ev: &mut EvLoop) {
        self.rest(ev, |room| &room.is_blocked);
    }

    pub(super) fn note_receive_error(self: &Rc<Self>, ev: &mut EvLoop, error: Error) {
        self.note_error(error);
        self.count_vain(ev);
    }

    /// Was ready, and there was nothing, or an error.
    pub(super) fn count_vain(self: &Rc<Self>, ev: &mut EvLoop) {
        self.vain_in_a_row.set(self.vain_in_a_row.get() + 1);
        if self.vain_in_a_row.get() >= VAIN_IN_A_ROW {
            self.vain_in_a_row.set(0);
            self.rest_receiving(ev);
        }
    }

    /// Ends it; `Closed` is told later. Says whether it was open.
    pub(super) fn close(self: &Rc<Self>, ev: &mut EvLoop, reason: Reason) -> bool {
        if !self.is_open() {
            return false;
        }
        self.state.set(State::Closing(reason));
        self.take_down(ev);
        let room = Rc::clone(self);
        ev.defer(move |ev| tell_closed(ev, &room));
        true
    }

    fn take_down(&self, ev: &mut EvLoop) {
        if let Some(io) = self.io.take() {
            io.free(ev);
        }
        self.shut();
        let kept = self.kept.take();
        let unsent = self.queue.borrow_mut().clear(ev);
        self.count(|counters| {
            counters.undelivered += kept.len() as u64;
            counters.dropped += unsent as u64;
        });
        self.notices.borrow_mut().retain(|notice| matches!(notice, Notice::Error(_)));
    }

    /// Closes the descriptor and removes the path.
    fn shut(&self) {
        let file = self.file.take();
        // The path first: who finds nothing there does not send into the void.
        if let Some(file) = file {
            file.remove();
        }
        let _closed = self.fd.take();
    }

    /// Leaves the path where it is.
    pub(super) fn keep_file(&self) {
        self.file.take();
    }
}

/// The watcher was called: readiness, or something was noted.
fn on_ready(ev: &mut EvLoop, room: &Rc<Room>, ready: Events) {
    let desk = ev.local::<Desk>();
    let turn = Turn { ev, room };
    tell_notices(turn.ev, room);
    if ready.contains(Events::ERROR) && room.io.get().is_some_and(|io| !io.is_active(turn.ev)) {
        room.fail(turn.ev, Error::new(ErrorKind::Register, "watching a datagram socket"));
        return;
    }
    if room.is_open() && ready.contains(Events::WRITE) && !room.is_blocked.get() {
        send::flush(turn.ev, &desk, room);
        tell_notices(turn.ev, room);
    }
    receive::deliver_kept(turn.ev, room);
    let hears = room.is_open() && !room.is_paused.get() && !room.is_resting.get();
    if hears && ready.contains(Events::READ) {
        receive::receive(turn.ev, &desk, room);
        tell_notices(turn.ev, room);
    }
}

/// A call of the watcher. At its end the loop is asked for what is left to do, also if a handler panicked.
struct Turn<'a> {
    ev: &'a mut EvLoop,
    room: &'a Rc<Room>,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if !self.room.is_open() {
            return;
        }
        let waits = !self.room.kept.borrow().is_empty() && !self.room.is_paused.get();
        if waits || !self.room.notices.borrow().is_empty() {
            self.room.nudge(self.ev);
        }
        self.room.attend(self.ev);
    }
}

impl Room {
    /// Ends it because of an error.
    pub(super) fn fail(self: &Rc<Self>, ev: &mut EvLoop, error: Error) {
        self.note_error(error);
        self.close(ev, Reason::Failed);
    }
}

/// Tells what was noted so far.
fn tell_notices(ev: &mut EvLoop, room: &Rc<Room>) {
    let count = room.notices.borrow().len();
    for _ in 0..count {
        // The errors that ended it are told with its end.
        if !room.is_open() {
            return;
        }
        match room.next_notice() {
            Some(Notice::Error(error)) => call(ev, room, DatagramEvent::Error(error)),
            Some(Notice::Drained) => call(ev, room, DatagramEvent::Drained),
            None => return,
        }
    }
}

fn tell_closed(ev: &mut EvLoop, room: &Rc<Room>) {
    let State::Closing(reason) = room.state.get() else { return };
    let handler = room.handler.take();
    let is_running = handler.is_none();
    room.handler.set(handler);
    if is_running {
        room.is_owed.set(true);
        return;
    }
    // After a close by hand nobody wants to know of them.
    while let Some(Notice::Error(error)) = room.next_notice() {
        if reason == Reason::Failed {
            call(ev, room, DatagramEvent::Error(error));
        }
    }
    if room.state.replace(State::Gone) != State::Gone {
        call(ev, room, DatagramEvent::Closed(reason));
    }
}

impl Room {
    fn next_notice(&self) -> Option<Notice> {
        self.notices.borrow_mut().pop_front()
    }
}

/// Calls the handler; not if it is running.
pub(super) fn call(ev: &mut EvLoop, room: &Rc<Room>, event: DatagramEvent<'_>) {
    let mut call = Call { ev, room, handler: room.handler.take() };
    if let Some(handler) = call.handler.as_mut() {
        handler(call.ev, room.key.get(), event);
    }
}

/// A handler that is being called; it is put back at the end, however that comes.
struct Call<'a> {
    ev: &'a mut EvLoop,
    room: &'a Rc<Room>,
    handler: Option<Handler>,
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        let Some(handler) = self.handler.take() else { return };
        if self.room.state.get() == State::Gone {
            // That was the end. The handler goes with the rest, when nothing is borrowed.
            self.ev.local::<Desk>().remove(self.room.key.get());
            return;
        }
        self.room.handler.set(Some(handler));
        let is_closing = matches!(self.room.state.get(), State::Closing(_));
        if is_closing && (self.room.is_owed.take() || std::thread::panicking()) {
            let room = Rc::clone(self.room);
            self.ev.defer(move |ev| tell_closed(ev, &room));
        }
    }
}

/// Closes it, and gives its descriptor away.
pub(super) fn take_fd(ev: &mut EvLoop, room: &Rc<Room>) -> Option<OwnedFd> {
    let fd = room.fd()?;
    // A duplicate, because a running watcher still has the other one.
    let taken = fd.as_fd().try_clone_to_owned().ok()?;
    drop(fd);
    room.keep_file();
    room.close(ev, Reason::HandedOff);
    Some(taken)
}
