//! How streams end.

use std::time::Duration;

use super::cell::{flag, news};
use super::hub::Hub;
use super::{Reason, Stream, ending};
use crate::EvLoop;

/// Of these verbs a stronger one takes the place of a weaker one that is under way: `shutdown_write`,
/// `close_after_flush`, `close_lingering`, `close_now`, `reset`. Otherwise a second call changes nothing. All are
/// legal at any time, and do nothing for a stream that is gone.
impl Stream {
    /// Ends the output: when all that was written has left, the peer is told that nothing follows
    /// (`shutdown(SHUT_WR)`, a TCP FIN; before that what TLS says for it). Reading goes on.
    ///
    /// When the peer has ended its side too, and the handler was told, the stream closes, with
    /// [`Reason::PeerEof`].
    pub fn shutdown_write(self, ev: &mut EvLoop) {
        self.change(ev, |state| state.set(flag::SHUT | flag::DIRTY));
    }

    /// Ends the input (`shutdown(SHUT_RD)`): nothing more is read, and no `Eof` is told. What is in the input
    /// stays.
    pub fn shutdown_read(self, ev: &mut EvLoop) {
        let other = self.change_to(ev, |state| {
            if !state.has(flag::ENDED) {
                state.transport.end_reading();
            }
            state.set(flag::EOF | flag::ENDED);
            state.news &= !news::EOF;
            ending::other_end(state)
        });
        // Of a pair, it may wait for room.
        let hub = ev.local::<Hub>();
        ending::nudge(ev, &hub, other.flatten());
    }

    /// Closes when everything that was written has left. Until then nothing is read.
    ///
    /// If the system takes no byte for as long as the [write time-out](Self::set_write_timeout), or for 30 s
    /// if there is none, the stream is closed all the same, with an `Error` before. The reason is else
    /// [`Reason::Flushed`].
    ///
    /// # Sharp edges
    ///
    /// A peer that is still sending may lose the end of what was sent to it: see
    /// [`close_lingering`](Self::close_lingering), which this is where the stream has filters and was not
    /// accepted: a TLS server sends something by itself.
    pub fn close_after_flush(self, ev: &mut EvLoop) {
        self.close_flushed(ev, false);
    }

    /// [`close_after_flush`](Self::close_after_flush), and what the peer still sends is read and thrown
    /// away, for a second or 256 KiB, until it has ended its side.
    ///
    /// For a last word to a peer that has not finished speaking. The system answers what is not read
    /// with a reset, and on that the peer forgets what it has not read itself.
    pub fn close_lingering(self, ev: &mut EvLoop) {
        self.close_flushed(ev, true);
    }

    /// [`close_lingering`](Self::close_lingering) for so long, or so many bytes.
    ///
    /// Until then it has its descriptor, and is one of its listener's connections: a peer decides whether it is for the
    /// whole time.
    pub fn close_lingering_within(self, ev: &mut EvLoop, time: Duration, bytes: usize) {
        self.change(ev, |state| {
            let times = state.times();
            times.linger_time = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
            times.linger_most = bytes;
        });
        self.close_flushed(ev, true);
    }

    fn close_flushed(self, ev: &mut EvLoop, lingers: bool) {
        let hub = ev.local::<Hub>();
        let now = hub.now(ev);
        self.change(ev, |state| {
            ending::close_when_flushed(state, now, Reason::Flushed, lingers);
        });
    }

    /// Closes at once. Output that has not left is thrown away (`bufferevent_free`).
    ///
    /// `Closed` is told later in this iteration, and nothing before it.
    pub fn close_now(self, ev: &mut EvLoop) {
        self.end(ev, 0);
    }

    /// [`close_now`](Self::close_now) with a reset: with TCP the peer's next read fails, and no state of
    /// the connection remains here (`SO_LINGER` of zero, a RST). A Unix socket's peer sees an end.
    pub fn reset(self, ev: &mut EvLoop) {
        self.end(ev, flag::RESET);
    }

    fn end(self, ev: &mut EvLoop, flags: u64) {
        self.change(ev, |state| {
            state.set(flags | flag::SHUT);
            if state.has(flag::OVER) {
                // It has failed meanwhile, which the reason tells.
                state.news &= news::OPENED;
                return;
            }
            state.set(flag::OVER);
            state.reason = Some(Reason::Local);
        });
    }

    /// Whether the stream [closes when it is flushed](Self::close_after_flush) as soon as the peer has
    /// ended its side and the handler was told; the default is no. The reason is then
    /// [`Reason::PeerEof`].
    pub fn set_close_on_eof(self, ev: &mut EvLoop, closes: bool) {
        self.change(ev, |state| state.put(flag::CLOSE_ON_EOF, closes));
    }
}
