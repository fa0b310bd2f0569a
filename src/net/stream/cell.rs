//! The state of one stream.

// Everything is in one `RefCell`, borrowed for a few lines at a time and never while foreign code runs that
// could get back here, which takes an `EvLoop`: filters, traces and the owners of shared bytes have none.
//
// Sizes matter: a server has thousands of these that do nothing. What most streams never need is in
// `Extra` and `Times`, made on demand, and bytes are in buffers that an idle stream does not have.

use std::any::{Any, TypeId};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::rc::Rc;
#[cfg(feature = "websocket")]
use std::sync::Arc;

use super::chain::Chain;
use super::rates::Rate;
use super::transport::Transport;
use super::{Handler, Reason, Stream};
#[cfg(feature = "websocket")]
use crate::net::Shared;
use crate::net::dial::Dial;
use crate::net::{Buffer, Direction, Message, Permit};
use crate::{Error, Io};

#[repr(C)]
pub(super) struct StreamCell {
    pub(super) key: Stream,
    pub(super) state: RefCell<State>,
}

/// While so many descriptors wait to be taken, nothing is read.
const MOST_FDS: usize = 253;

/// So many parts of files are as much as is to wait: each may keep a file open, however short it is.
const MOST_FILES: usize = 8;

/// A moment that does not come.
pub(super) const NEVER: u64 = u64::MAX;

// In this order: what every pass looks at is in the first two lines of the cache, also where there are so many streams
// that none is there any more.
#[repr(C)]
pub(super) struct State {
    pub(super) flags: u64,
    /// What the handler is to be told.
    pub(super) news: u16,
    /// The most urgent reason to close; `Some` from the first call that closes.
    pub(super) reason: Option<Reason>,
    pub(super) extra: Option<Box<Extra>>,
    pub(super) times: Option<Box<Times>>,
    pub(super) transport: Transport,
    /// A message for many, if that is all there is to be sent: there is no `output` then.
    #[cfg(feature = "websocket")]
    pub(super) shared: Option<Arc<Shared>>,
    /// `None` while there is nothing in it.
    pub(super) output: Option<Box<Buffer>>,
    pub(super) input: Option<Box<Buffer>>,
    /// Bytes that `Received` and `Sent` have not told yet.
    pub(super) sent: usize,
    pub(super) received: usize,
    /// Through the transport.
    pub(super) bytes_out: u64,
    pub(super) bytes_in: u64,
    /// `None` while it is being called.
    pub(super) handler: Option<Handler>,
    /// When bytes last came, or waiting for them began.
    pub(super) read_at: u64,
    /// `NEVER` for none.
    pub(super) read_timeout: u64,
    /// When it is looked at next: the due time of its entry in the hub's heap.
    pub(super) scheduled: u64,
    pub(super) opened_at: u64,
    /// Its place among the connections of the listener it came from.
    pub(super) permit: Option<Permit>,
}

/// For how long a stream lingers, in nanoseconds, and what is read and thrown away meanwhile, in bytes.
const LINGER_TIME: u64 = 1_000_000_000;
const LINGER_MOST: usize = 256 * 1024;

/// Times that few streams have. `NEVER` for none.
pub(super) struct Times {
    pub(super) write_timeout: u64,
    /// When the system last took bytes, or they began to wait.
    pub(super) write_at: u64,
    /// What `write_at` was when it was looked how much the peer has still to acknowledge, and how much that was.
    pub(super) queued_at: u64,
    pub(super) queued: u64,
    pub(super) deadline: u64,
    pub(super) timer: u64,
    /// 0 for a timer that goes off once.
    pub(super) repeat: u64,
    pub(super) handshake: u64,
    /// The end of lingering.
    pub(super) linger: u64,
    /// For how long it lingers, and how much is read and thrown away meanwhile.
    pub(super) linger_time: u64,
    pub(super) linger_most: usize,
    /// When there are tokens again.
    pub(super) rate: [u64; 2],
}

impl Default for Times {
    fn default() -> Self {
        Self {
            write_timeout: NEVER,
            write_at: NEVER,
            queued_at: NEVER,
            queued: 0,
            deadline: NEVER,
            timer: NEVER,
            repeat: 0,
            handshake: NEVER,
            linger: NEVER,
            linger_time: LINGER_TIME,
            linger_most: LINGER_MOST,
            rate: [NEVER; 2],
        }
    }
}

/// What few streams have.
pub(super) struct Extra {
    pub(super) limits: Limits,
    pub(super) chain: Chain,
    pub(super) error: Option<(Error, Option<Direction>)>,
    pub(super) messages: VecDeque<Message>,
    /// What the owner has attached, by type.
    pub(super) data: Vec<(TypeId, Rc<dyn Any>)>,
    /// The connection being made.
    pub(super) dial: Option<Dial>,
    /// There is a name, and nobody knows its addresses yet.
    pub(super) resolving: bool,
    /// The watcher of the descriptor that is written, where there are two.
    pub(super) write_io: Option<Io>,
    pub(super) rate: Option<Box<Rate>>,
    pub(super) trace: Option<Trace>,
    /// How much was read and thrown away while lingering.
    pub(super) discarded: usize,
    /// Descriptors to go with the byte at this place of all that is sent.
    pub(super) fds_out: VecDeque<(u64, Vec<OwnedFd>)>,
    pub(super) fds_in: VecDeque<OwnedFd>,
    /// The owner wants descriptors.
    pub(super) takes_fds: bool,
    /// Which of the directions timed out and was not told.
    pub(super) timed_out: [bool; 2],
    /// That of the watchers.
    pub(super) priority: i8,
}

/// Called with the bytes that pass.
pub(super) type Trace = Box<dyn FnMut(Direction, &[u8])>;

#[derive(Clone, Copy)]
pub(super) struct Limits {
    pub(super) read_low: usize,
    pub(super) read_high: usize,
    pub(super) write_low: usize,
    pub(super) soft: usize,
    pub(super) hard: usize,
    /// Per iteration.
    pub(super) read_most: usize,
    pub(super) write_most: usize,
}

impl Limits {
    pub(super) const DEFAULT: Self = Self {
        read_low: 0,
        read_high: usize::MAX,
        write_low: 0,
        soft: 256 * 1024,
        hard: 1024 * 1024,
        read_most: 64 * 1024,
        write_most: 64 * 1024,
    };
}

impl Default for Extra {
    fn default() -> Self {
        Self {
            limits: Limits::DEFAULT,
            chain: Chain::default(),
            error: None,
            messages: VecDeque::new(),
            data: Vec::new(),
            dial: None,
            resolving: false,
            write_io: None,
            rate: None,
            trace: None,
            discarded: 0,
            fds_out: VecDeque::new(),
            fds_in: VecDeque::new(),
            takes_fds: false,
            timed_out: [false; 2],
            priority: 0,
        }
    }
}

/// Bits of [`State::flags`].
pub(super) mod flag {
    /// Connected, and not closed.
    pub(in super::super) const OPEN: u64 = 1;
    pub(in super::super) const ACCEPTED: u64 = 1 << 1;
    /// Enabled by the owner.
    pub(in super::super) const READ: u64 = 1 << 2;
    pub(in super::super) const WRITE: u64 = 1 << 3;
    /// Nothing more comes from the transport.
    pub(in super::super) const EOF: u64 = 1 << 4;
    /// Nothing more comes out of the filters: `Eof` can be told.
    pub(in super::super) const ENDED: u64 = 1 << 5;
    /// And the end was proper.
    pub(in super::super) const CLEAN: u64 = 1 << 6;
    /// The input is at its high mark.
    pub(in super::super) const HELD: u64 = 1 << 7;
    /// The system took less than it was given.
    pub(in super::super) const BLOCKED: u64 = 1 << 8;
    /// There is output that was not offered yet, or an end to be sent.
    pub(in super::super) const DIRTY: u64 = 1 << 9;
    /// The owner writes no more.
    pub(in super::super) const SHUT: u64 = 1 << 10;
    pub(in super::super) const FIN_SENT: u64 = 1 << 11;
    /// To be closed when it is flushed.
    pub(in super::super) const CLOSING: u64 = 1 << 12;
    /// And then to be read until the peer ends it too.
    pub(in super::super) const LINGER: u64 = 1 << 13;
    /// Lingering has begun.
    pub(in super::super) const DISCARD: u64 = 1 << 14;
    /// To be closed now.
    pub(in super::super) const OVER: u64 = 1 << 15;
    /// It was closed: its resources are gone.
    pub(in super::super) const CLOSED: u64 = 1 << 16;
    /// The handler is on the stack.
    pub(in super::super) const BUSY: u64 = 1 << 17;
    /// In the hub's queue.
    pub(in super::super) const QUEUED: u64 = 1 << 18;
    /// Handlers are called from the hub's queue only.
    pub(in super::super) const DEFERRED: u64 = 1 << 19;
    /// The output was above the low mark since `Drained` was told.
    pub(in super::super) const ABOVE: u64 = 1 << 20;
    /// The filters hold input that did not fit, or new input that they were not given yet.
    pub(in super::super) const FILTER: u64 = 1 << 21;
    /// The filters have still to agree with the peer.
    pub(in super::super) const SHAKING: u64 = 1 << 22;
    /// The time-outs are to be looked at.
    pub(in super::super) const RETIME: u64 = 1 << 23;
    /// Output waits for readiness, also if the last write was not short.
    pub(in super::super) const PATIENT: u64 = 1 << 24;
    pub(in super::super) const CLOSE_ON_EOF: u64 = 1 << 25;
    /// Something may be read although no watcher says so: the other end of a pair did something.
    pub(in super::super) const NUDGED: u64 = 1 << 26;
    /// Close with a reset.
    pub(in super::super) const RESET: u64 = 1 << 27;
    /// What the watcher asks for.
    pub(in super::super) const ASKS_READ: u64 = 1 << 28;
    pub(in super::super) const ASKS_WRITE: u64 = 1 << 29;
    /// It keeps no loop running.
    pub(in super::super) const UNREF: u64 = 1 << 30;
    /// There is a time-out that it waits for.
    pub(in super::super) const WAITS: u64 = 1 << 31;
    /// The handler knows that the peer has ended.
    pub(in super::super) const TOLD_EOF: u64 = 1 << 32;
    /// What leaves at once is not told of.
    pub(in super::super) const QUIET: u64 = 1 << 33;
    /// Output had to wait since `Drained` was told, or a quiet stream was last empty.
    pub(in super::super) const WAITED: u64 = 1 << 34;
    /// Also while nothing is read, the owner wants to know that the peer is gone.
    pub(in super::super) const WATCHED: u64 = 1 << 35;
    /// The peer has ended its side, or is gone, though what it sent before was not read yet.
    pub(in super::super) const HUNG_UP: u64 = 1 << 36;
    /// It has been reported so often that there is nothing to be learned any more.
    pub(in super::super) const UNWATCHED: u64 = 1 << 37;
    /// What the watcher asks for, for that.
    pub(in super::super) const ASKS_CLOSE: u64 = 1 << 38;
    pub(in super::super) const ASKS_URGENT: u64 = 1 << 39;
    /// The system holds back what does not fill a segment, as long as a file is sent.
    pub(in super::super) const CORKED: u64 = 1 << 40;
    /// It is not told to: the owner has said what it is to do, or it is nothing that can.
    pub(in super::super) const OWN_CORK: u64 = 1 << 41;
    /// The end waits for what has come once more before it.
    pub(in super::super) const EOF_WAITS: u64 = 1 << 42;
    /// Its watcher is started when it first has to wait.
    pub(in super::super) const UNSTARTED: u64 = 1 << 43;
    /// It is closing, and for how long it may was not said yet.
    pub(in super::super) const UNLIMITED: u64 = 1 << 44;
    /// That the system takes nothing is told of, as if the stream were quiet.
    pub(in super::super) const LOUD: u64 = 1 << 45;
    /// It was closed with output that had not left.
    pub(in super::super) const UNSENT: u64 = 1 << 46;
    /// All of what it asks for.
    pub(in super::super) const ASKS: u64 = ASKS_READ | ASKS_WRITE | ASKS_CLOSE | ASKS_URGENT;
}

/// Bits of [`State::news`], in the order in which they are told.
pub(super) mod news {
    pub(in super::super) const OPENED: u16 = 1;
    pub(in super::super) const RESOLVED: u16 = 1 << 1;
    pub(in super::super) const CONNECTED: u16 = 1 << 2;
    pub(in super::super) const ACCEPTED: u16 = 1 << 3;
    pub(in super::super) const HANDSHAKED: u16 = 1 << 4;
    pub(in super::super) const WAKEUP: u16 = 1 << 5;
    pub(in super::super) const RECEIVED: u16 = 1 << 6;
    pub(in super::super) const SENT: u16 = 1 << 7;
    pub(in super::super) const DRAINED: u16 = 1 << 8;
    pub(in super::super) const TIMER: u16 = 1 << 9;
    pub(in super::super) const TIMEOUT: u16 = 1 << 10;
    pub(in super::super) const EOF: u16 = 1 << 11;
    pub(in super::super) const ERROR: u16 = 1 << 12;
    /// `RECEIVED` is told whatever the low mark says.
    pub(in super::super) const FORCED: u16 = 1 << 13;
}

impl State {
    pub(super) fn has(&self, flags: u64) -> bool {
        self.flags & flags != 0
    }

    pub(super) fn set(&mut self, flags: u64) {
        self.flags |= flags;
    }

    pub(super) fn clear(&mut self, flags: u64) {
        self.flags &= !flags;
    }

    pub(super) fn put(&mut self, flags: u64, on: bool) {
        if on { self.set(flags) } else { self.clear(flags) }
    }

    pub(super) fn limits(&self) -> &Limits {
        self.extra.as_ref().map_or(&Limits::DEFAULT, |extra| &extra.limits)
    }

    pub(super) fn extra(&mut self) -> &mut Extra {
        self.extra.get_or_insert_default()
    }

    pub(super) fn times(&mut self) -> &mut Times {
        self.times.get_or_insert_default()
    }

    pub(super) fn has_filters(&self) -> bool {
        self.extra.as_ref().is_some_and(|extra| !extra.chain.is_empty())
    }

    pub(super) fn input_len(&self) -> usize {
        self.input.as_ref().map_or(0, |input| input.len())
    }

    /// Everything that waits to be sent.
    pub(super) fn output_len(&self) -> usize {
        let own = match &self.output {
            Some(output) => output.len(),
            None => self.shared_len(),
        };
        own + self.extra.as_ref().map_or(0, |extra| extra.chain.output_len())
    }

    #[cfg(feature = "websocket")]
    fn shared_len(&self) -> usize {
        self.shared.as_ref().map_or(0, |bytes| bytes.len())
    }

    #[cfg(not(feature = "websocket"))]
    fn shared_len(&self) -> usize {
        0
    }

    /// Nothing is sent in a way of its own.
    #[cfg(not(feature = "websocket"))]
    pub(super) fn unshare(&mut self, _hub: &super::hub::Hub) {}

    /// Whether so much of it waits that it is time to stop.
    pub(super) fn is_full(&self) -> bool {
        self.output_len() >= self.limits().soft || self.has_many_files()
    }

    #[inline]
    pub(super) fn has_many_files(&self) -> bool {
        self.output.as_ref().is_some_and(|output| output.files() >= MOST_FILES)
    }

    /// What of that counts against the limits: what was copied.
    pub(super) fn output_owned(&self) -> usize {
        let own = self.output.as_ref().map_or(0, |output| output.owned_len());
        own + self.extra.as_ref().map_or(0, |extra| extra.chain.output_owned())
    }

    /// Whether the transport is to be read.
    pub(super) fn wants_input(&self) -> bool {
        if !self.has(flag::OPEN) || self.has(flag::EOF | flag::OVER) {
            return false;
        }
        if self.has(flag::DISCARD) {
            return true;
        }
        // A filter has found the end: nothing is made of what comes behind it.
        if self.has(flag::ENDED) {
            return false;
        }
        // Descriptors that nobody takes are not gathered until the process has no more.
        if self.extra.as_ref().is_some_and(|extra| extra.fds_in.len() >= MOST_FDS) {
            return false;
        }
        // A handshake needs what the peer says, whoever wants to read.
        let wanted = self.has(flag::READ) && !self.has(flag::HELD | flag::CLOSING);
        (wanted || self.has(flag::SHAKING)) && !self.has(flag::FILTER)
    }

    /// Whether it is looked out for that the peer is gone.
    pub(super) fn wants_watching(&self) -> bool {
        self.has(flag::WATCHED)
            && self.has(flag::OPEN)
            && !self.has(flag::CLOSING | flag::OVER | flag::UNWATCHED)
            && matches!(self.transport, Transport::Socket(_))
    }

    /// A pair has no watcher that would say again what was said in vain: what the other end did while
    /// this one cared for nothing is looked at when it cares.
    pub(super) fn look_at_pair(&mut self) {
        if matches!(self.transport, Transport::Pair(_)) {
            self.set(flag::NUDGED);
        }
    }

    /// Whether there is something to send that nothing but the transport stops.
    pub(super) fn wants_output(&self) -> bool {
        self.has(flag::OPEN)
            && !self.has(flag::FIN_SENT | flag::OVER)
            && self.has(flag::WRITE | flag::CLOSING | flag::SHAKING)
            && self.has(flag::BLOCKED | flag::DIRTY)
    }
}

impl StreamCell {
    pub(super) fn has(&self, flags: u64) -> bool {
        self.state.borrow().has(flags)
    }
}

#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<StreamCell>() <= 192);
