//! Streams: connections with buffers on both sides, and one handler that is told what happens.
//!
//! A [`Stream`] is to a descriptor what libevent's `bufferevent` is: what has come is in its
//! [`input`](Stream::input) until somebody takes it, what is [written](Stream::write) is taken at once and
//! leaves as the peer reads, and everything that happens is a [`StreamEvent`] for its handler. Streams
//! [are made](crate::EvLoop::connect) by connecting, by [accepting](crate::EvLoop::listen), of
//! [descriptors](crate::EvLoop::stream) and [in pairs](crate::EvLoop::stream_pair), and are
//! the same afterwards.
//!
//! # Rules
//!
//! * **A handler is called by the loop**, never from inside a verb. Verbs may be called from anywhere, also
//!   from the handler of the stream itself, and what they set going happens later in the same iteration.
//! * **`Closed` is the last event, and comes once.** After it the key is stale: verbs do nothing, or return
//!   [`ErrorKind::Closed`](crate::ErrorKind::Closed).
//! * **Nothing is sent from inside `write`.** All that is written in one iteration leaves in one system
//!   call, when the handlers that are being called have returned, without waiting to be told that there is room.
//! * **One stream cannot starve others**: in an iteration it reads and sends
//!   [64 KiB](Stream::set_transfer_limits) at most.

// The rooms: `cell` is the state of one stream, `hub` what those of a loop share. `drive` makes a stream
// go, in passes of `reading`, `telling`, `writing`, and `settling` or `ending`. `transport`, `watched`, `pair` and
// `chain` move bytes, and `many` what goes to many; `serving` is how those of a server begin. The rest are verbs, by subject.

mod cell;
mod chain;
mod closing;
mod drive;
mod ending;
mod event;
mod finding;
mod hub;
mod info;
mod input;
#[cfg(feature = "websocket")]
mod many;
mod open;
mod pair;
mod parts;
mod rates;
mod reading;
mod remote;
#[cfg(feature = "http-server")]
mod serving;
mod settings;
mod settling;
mod telling;
mod times;
mod transport;
mod watched;
mod writing;

use std::fs::File;
use std::mem;
use std::sync::Arc;

use super::{Buffer, Eol, LineTooLong, Shared};
use crate::{EvLoop, Result};
use cell::{State, flag, news};
use finding::{added, closed, may_write, touch};
use hub::Hub;

pub use event::{Direction, LimitKind, Phase, Reason, StreamEvent};
pub use info::{StreamInfo, StreamState};
pub use input::{Input, Writer};
pub(super) use open::open_accepted;
pub use parts::Parts;
pub use remote::{Message, StreamRemote};
#[cfg(feature = "http-server")]
pub(crate) use serving::{serve_accepted, serve_given};

/// Is told what happens to a stream.
pub(super) type Handler = Box<dyn FnMut(&mut EvLoop, Stream, StreamEvent)>;

const WRITING: &str = "writing to a stream";
const SETTING: &str = "setting up a stream";

/// The key of a stream (`bufferevent`).
///
/// As with watchers it is a number, and may be copied and kept. It can also be sent to other threads, which
/// [post](StreamRemote::post) to it.
///
/// ```
/// use evloop::EvLoop;
/// use evloop::net::{Eol, StreamEvent};
///
/// let mut ev = EvLoop::new()?;
/// ev.listen("127.0.0.1:0", |ev, accepted| {
///     accepted.serve(ev, |ev, stream, event| match event {
///         StreamEvent::Received(_) => {
///             while let Ok(Some(line)) = stream.take_line(ev, Eol::Any, 4096) {
///                 let _ = stream.write(ev, line.to_ascii_uppercase());
///                 let _ = stream.write(ev, "\n");
///             }
///         }
///         StreamEvent::Eof { .. } => stream.close_after_flush(ev),
///         _ => {}
///     });
/// })?;
/// # Ok::<(), evloop::Error>(())
/// ```
///
/// # Sharp edges
///
/// * **`Eof` closes nothing.** The peer may have ended its side and wait for the answer. Whoever has none
///   closes then, or has said so with [`set_close_on_eof`](Self::set_close_on_eof); else the stream and its
///   descriptor stay as long as the loop.
/// * **Input that nobody takes stays**, and is limited by nothing but the
///   [read high mark](Self::set_read_marks).
/// * **A peer that does not read** has output pile up to the [hard limit](Self::set_write_limits), where
///   `write` is refused. To look at what it returns is to know when to stop, or whom to close.
/// * An open stream keeps the loop running, unless [`set_ref`](Self::set_ref) says otherwise.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Stream {
    id: u64,
    slot: u32,
}

/// How much room is left after a [`write`](Stream::write).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Written {
    /// Enough.
    Room,
    /// The output has reached its soft limit, with all that waits, or eight parts of files are among it: the bytes were
    /// taken, and now it is time to wait for [`Drained`](StreamEvent::Drained).
    Full,
}

impl Stream {
    /// A number that no other stream of this process has, ever.
    #[must_use]
    pub fn id(self) -> u64 {
        self.id
    }

    /// Whether it is of this loop and was not closed.
    #[must_use]
    pub fn exists(self, ev: &EvLoop) -> bool {
        self.cell_of(ev).is_some_and(|cell| !cell.has(flag::CLOSED))
    }

    // --- reading ---------------------------------------------------------------------------------

    /// What has come and was not taken yet (`bufferevent_get_input`). Take what there is a use for, and
    /// leave the rest.
    ///
    /// Of a stream that is gone it is empty.
    pub fn input(self, ev: &mut EvLoop) -> Input<'_> {
        Input::new(ev, self)
    }

    /// The next line of the input, without its end; `None` if there is no whole one yet
    /// (`evbuffer_readln`). See [`Buffer::take_line`].
    ///
    /// # Errors
    ///
    /// A line longer than `longest` bytes, or the beginning of one; it stays where it is.
    pub fn take_line(
        self,
        ev: &mut EvLoop,
        eol: Eol,
        longest: usize,
    ) -> Result<Option<Vec<u8>>, LineTooLong> {
        self.input(ev).take_line(eol, longest)
    }

    /// The first `n` bytes of the input, or all if there are fewer (`bufferevent_read`).
    pub fn take(self, ev: &mut EvLoop, n: usize) -> Vec<u8> {
        let mut input = self.input(ev);
        let mut bytes = vec![0; n.min(input.len())];
        let n = input.copy_out(0, &mut bytes);
        bytes.truncate(n);
        input.drain(n);
        bytes
    }

    /// All of the input.
    pub fn take_all(self, ev: &mut EvLoop) -> Vec<u8> {
        self.take(ev, usize::MAX)
    }

    /// How many bytes are in the input.
    #[must_use]
    pub fn input_len(self, ev: &EvLoop) -> usize {
        self.look(ev, |state| state.input_len()).unwrap_or(0)
    }

    /// Moves up to `n` bytes of the input to another stream's output, without copying them. Returns how
    /// many.
    ///
    /// It stops where the other's output is at its soft limit: the rest stays where it is, to be moved
    /// when that is told [`Drained`](StreamEvent::Drained).
    pub fn forward(self, ev: &mut EvLoop, to: Self, n: usize) -> usize {
        let hub = ev.local::<Hub>();
        let (Some(from), Some(to)) = (hub.get(self), hub.get(to)) else { return 0 };
        let (room, closed) = {
            let state = to.state.borrow();
            let room = state.limits().soft.saturating_sub(state.output_len());
            (room, state.has(flag::SHUT | flag::OVER))
        };
        let mut input = from.state.borrow_mut().input.take();
        let Some(held) = &mut input else { return 0 };
        let n = if closed { 0 } else { n.min(room).min(held.len()) };
        if n > 0 {
            {
                let mut state = to.state.borrow_mut();
                state.unshare(&hub);
                let output = &mut state.output;
                if n == held.len() && output.as_ref().is_none_or(|output| output.is_empty()) {
                    // The buffers change places. `tidy` sees to it that few bytes do not keep much memory.
                    mem::swap(output, &mut input);
                } else {
                    held.move_to(n, output.get_or_insert_with(|| hub.take_buffer()));
                }
                added(&mut state);
            }
            touch(ev, &hub, &to);
        }
        let may_go_on = input::give_back(&hub, &from, input);
        if may_go_on {
            touch(ev, &hub, &from);
        }
        n
    }

    // --- writing ---------------------------------------------------------------------------------

    /// Sends bytes, after those that wait already (`bufferevent_write`).
    ///
    /// They are copied, and leave in this iteration as far as the system takes them.
    ///
    /// # Errors
    ///
    /// None of the bytes was taken then. [`ErrorKind::Full`](crate::ErrorKind::Full) if the output would be above its
    /// [hard limit](Self::set_write_limits); [`ErrorKind::Closed`](crate::ErrorKind::Closed) if the stream is closed, is being closed,
    /// or was [shut](Self::shutdown_write).
    pub fn write(self, ev: &mut EvLoop, bytes: impl AsRef<[u8]>) -> Result<Written> {
        let bytes = bytes.as_ref();
        self.append(ev, bytes.len(), |output| output.append(bytes))
    }

    /// Sends bytes, [however much waits](Self::append_anyway).
    #[cfg(feature = "http-server")]
    pub(crate) fn write_anyway(self, ev: &mut EvLoop, bytes: &[u8]) -> Result<Written> {
        self.append_anyway(ev, |output| output.append(bytes))
    }

    /// Sends several slices as if they were one, [however much waits](Self::append_anyway).
    #[cfg(feature = "http-server")]
    #[inline]
    pub(crate) fn write_parts<const N: usize>(
        self,
        ev: &mut EvLoop,
        parts: [&[u8]; N],
    ) -> Result<Written> {
        let len = parts.iter().map(|part| part.len()).sum();
        self.append_anyway(ev, |output| output.append_parts(parts, len))
    }

    /// Sends a `Vec` or `String` that is handed over, without copying it.
    ///
    /// # Errors
    ///
    /// As for [`write`](Self::write), but what is handed over does not count itself: it is taken whole, and
    /// refused only where what waits already is at the hard limit.
    pub fn write_owned(self, ev: &mut EvLoop, bytes: impl Into<Vec<u8>>) -> Result<Written> {
        let bytes = bytes.into();
        self.append(ev, 0, |output| output.append_owned(bytes))
    }

    /// Sends bytes that others hold too, such as one message for many peers, without copying them
    /// (`evbuffer_add_reference`). They do not count against the hard limit, so who sends to peers that
    /// may not read looks at what this returns.
    ///
    /// # Errors
    ///
    /// As for [`write_owned`](Self::write_owned).
    pub fn write_shared(self, ev: &mut EvLoop, bytes: impl Into<Shared>) -> Result<Written> {
        let bytes = bytes.into();
        self.append(ev, 0, |output| output.append_shared(bytes))
    }

    /// Sends all that is in a buffer, which is empty afterwards; its bytes are not copied
    /// (`bufferevent_write_buffer`).
    ///
    /// # Errors
    ///
    /// As for [`write`](Self::write); the buffer is as it was then.
    pub fn write_buffer(self, ev: &mut EvLoop, buffer: &mut Buffer) -> Result<Written> {
        self.append(ev, buffer.owned_len(), |output| output.append_buffer(buffer))
    }

    /// Sends a part of a file (`evbuffer_add_file`): by the system itself where it can (`sendfile`), else
    /// piece by piece as it leaves. It does not count against the hard limit.
    ///
    /// Many streams may send from one file at a time. Should it have become shorter than the part when its
    /// turn comes, the stream fails with [`ErrorKind::Io`](crate::ErrorKind::Io), rather than send something else.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) for a part that cannot be; else as for [`write_owned`](Self::write_owned).
    pub fn write_file(
        self,
        ev: &mut EvLoop,
        file: Arc<File>,
        offset: u64,
        len: u64,
    ) -> Result<Written> {
        self.look(ev, |state| may_write(state, 0)).unwrap_or_else(|| Err(closed()))?;
        let mut part = Buffer::new();
        part.append_file(file, offset, len)?;
        self.append(ev, 0, |output| output.append_buffer(&mut part))
    }

    /// For `write!`: [`io::Write`](std::io::Write) and [`fmt::Write`](std::fmt::Write) to the output.
    ///
    /// ```
    /// # use evloop::EvLoop;
    /// # let mut ev = EvLoop::new()?;
    /// # let (stream, _) = ev.stream_pair(|_, _, _| {}, |_, _, _| {})?;
    /// use std::io::Write;
    ///
    /// write!(stream.writer(&mut ev), "{} of {}\n", 3, 7)?;
    /// # assert_eq!(stream.output_len(&ev), 7);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn writer(self, ev: &mut EvLoop) -> Writer<'_> {
        Writer::new(ev, self)
    }

    /// How many bytes wait to be sent; with filters, also what these have made of them.
    #[must_use]
    pub fn output_len(self, ev: &EvLoop) -> usize {
        self.look(ev, State::output_len).unwrap_or(0)
    }

    /// Memory that its buffers take, in bytes: input, and output that was copied.
    #[cfg(feature = "http-server")]
    pub(crate) fn memory(self, ev: &EvLoop) -> usize {
        self.look(ev, |state| {
            let buffers = [&state.input, &state.output].into_iter().flatten();
            let below = state.extra.as_ref().map_or(0, |extra| extra.chain.memory());
            buffers.map(|buffer| buffer.kept()).sum::<usize>() + below
        })
        .unwrap_or(0)
    }

    /// Whether something waits to be sent that, with so many bytes more, would be as much as [may](Self::set_write_limits).
    /// `Drained` is told then: not so of what never was above its [mark](Self::set_write_mark).
    #[cfg(feature = "http-server")]
    pub(crate) fn is_full_with(self, ev: &EvLoop, bytes: usize) -> bool {
        self.look(ev, |state| {
            let (waits, limits) = (state.output_len(), state.limits());
            waits > limits.write_low && waits.saturating_add(bytes) >= limits.soft
        })
        .unwrap_or(false)
    }

    // --- enabling --------------------------------------------------------------------------------

    /// Has the stream read, which it does from the start (`bufferevent_enable`), also after a read time-out
    /// went off. The time for the next begins anew.
    ///
    /// Returns whether the stream exists, as all of these do.
    pub fn enable_read(self, ev: &mut EvLoop) -> bool {
        let now = ev.local::<Hub>().now(ev);
        self.change(ev, |state| {
            state.read_at = now;
            state.set(flag::READ | flag::RETIME);
            if state.received > 0 {
                state.news |= news::RECEIVED;
            }
            state.look_at_pair();
        })
    }

    /// Has the stream read no more, until [enabled](Self::enable_read) (`bufferevent_disable`): the peer
    /// is held up when the system's buffers are full. `Received` and `Eof` are not told meanwhile.
    pub fn disable_read(self, ev: &mut EvLoop) -> bool {
        self.change(ev, |state| state.clear(flag::READ))
    }

    /// Has the stream send, which it does from the start, also after a write time-out went off. The time for
    /// the next begins anew.
    pub fn enable_write(self, ev: &mut EvLoop) -> bool {
        let now = ev.local::<Hub>().now(ev);
        self.change(ev, |state| {
            if let Some(times) = &mut state.times {
                times.write_at = now;
            }
            state.set(flag::WRITE | flag::DIRTY | flag::RETIME);
            state.look_at_pair();
        })
    }

    /// Has the stream send nothing, until [enabled](Self::enable_write). What is written is kept.
    pub fn disable_write(self, ev: &mut EvLoop) -> bool {
        self.change(ev, |state| state.clear(flag::WRITE))
    }

    /// Raises `Received` though nothing has come (`bufferevent_trigger`): for a new handler that is to see
    /// what is there. If `anyway` is not set, only where the read low mark is met.
    pub fn trigger_received(self, ev: &mut EvLoop, anyway: bool) -> bool {
        self.change(ev, |state| {
            let met = state.input_len() >= state.limits().read_low;
            if state.has(flag::OVER) {
                // What is over has only its end to tell.
            } else if anyway {
                state.news |= news::RECEIVED | news::FORCED;
            } else if met {
                state.news |= news::RECEIVED;
            }
        })
    }

    /// Tells a new handler of the end of the input, too, which the old one may have been told: it is told once.
    #[cfg(feature = "http-server")]
    pub(crate) fn tell_eof_again(self, ev: &mut EvLoop) {
        self.change(ev, |state| {
            if state.has(flag::TOLD_EOF) && !state.has(flag::CLOSING | flag::OVER) {
                state.news |= news::EOF;
            }
        });
    }

    /// Raises `Drained`. If `anyway` is not set, only where the output is at its low mark.
    pub fn trigger_drained(self, ev: &mut EvLoop, anyway: bool) -> bool {
        self.change(ev, |state| {
            let met = state.output_len() <= state.limits().write_low;
            if (anyway || met) && !state.has(flag::OVER) {
                state.news |= news::DRAINED;
            }
        })
    }

    /// Gives the stream another handler, which is told everything from the next event on
    /// (`bufferevent_setcb`). The old one is dropped; if it is running, when it returns.
    pub fn set_handler(
        self,
        ev: &mut EvLoop,
        handler: impl FnMut(&mut EvLoop, Self, StreamEvent) + 'static,
    ) -> bool {
        let Some((_, cell)) = self.find(ev) else { return false };
        let _old = cell.state.borrow_mut().handler.replace(Box::new(handler));
        true
    }

    /// For the handler itself, while it runs: whether another one has come in its place.
    #[cfg(feature = "websocket")]
    pub(crate) fn has_other_handler(self, ev: &EvLoop) -> bool {
        // The one that runs is out of its place.
        self.look(ev, |state| state.handler.is_some()) == Some(true)
    }

    /// Whether so much waits to be sent that it is full, and that it takes no more.
    #[cfg(feature = "websocket")]
    pub(crate) fn is_full_or_more(self, ev: &EvLoop) -> (bool, bool) {
        let found =
            self.look(ev, |state| (state.is_full(), state.output_len() >= state.limits().hard));
        found.unwrap_or_default()
    }

    /// Whether it would take so many bytes more, and if not, why.
    #[cfg(feature = "compress")]
    pub(crate) fn takes(self, ev: &mut EvLoop, n: usize) -> Result<()> {
        self.look(ev, |state| may_write(state, n)).unwrap_or_else(|| Err(closed()))
    }
}
