//! What can be asked about streams.

use std::time::Instant;

use super::Stream;
use super::cell::flag;
use super::hub::Hub;
use super::transport::Transport;
use crate::EvLoop;
use crate::net::{Address, socket};

/// How far a stream has come. More may join.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum StreamState {
    /// Its name is being resolved.
    Resolving,
    /// The connection is being made.
    Connecting,
    /// The filters have still to agree with the peer.
    Handshaking,
    /// Bytes can move.
    Open,
    /// It closes when it is flushed.
    Closing,
    /// It was closed, and its handler is being told.
    Closed,
}

/// What there is to know about a [`Stream`], as it is now.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StreamInfo {
    /// How far it has come.
    pub state: StreamState,
    /// It came from a listener.
    pub is_accepted: bool,
    /// It is one end of a pair inside the loop.
    pub is_pair: bool,
    /// How many filters are on it.
    pub filters: usize,
    /// Reading is enabled.
    pub read_enabled: bool,
    /// Writing is enabled.
    pub write_enabled: bool,
    /// The input is at its high mark, so nothing is read.
    pub is_held_back: bool,
    /// The output is at its soft limit, or eight parts of files wait.
    pub is_full: bool,
    /// The system has taken less than it was given.
    pub is_blocked: bool,
    /// The peer has ended its side.
    pub has_ended: bool,
    /// The output was shut.
    pub is_shut: bool,
    /// Bytes in the input.
    pub input_len: usize,
    /// Bytes that wait to be sent.
    pub output_len: usize,
    /// Bytes that have come through the transport.
    pub bytes_in: u64,
    /// Bytes that have left through it.
    pub bytes_out: u64,
    /// Of those that came, how many the filters have kept to themselves; with TLS, its overhead.
    pub filter_overhead_in: i64,
    /// Of those that left, how many the filters have added.
    pub filter_overhead_out: i64,
    /// When it was opened.
    pub opened: Option<Instant>,
    /// When bytes last came, or waiting for them began.
    pub last_read: Option<Instant>,
}

impl Stream {
    /// Everything about the stream; `None` if it is gone.
    #[must_use]
    pub fn info(self, ev: &EvLoop) -> Option<StreamInfo> {
        let hub = ev.local_if_made::<Hub>()?;
        self.look(ev, |state| {
            let moved = match &state.extra {
                Some(extra) if state.has_filters() => (extra.chain.inner_in, extra.chain.inner_out),
                _ => (state.bytes_in, state.bytes_out),
            };
            StreamInfo {
                state: if state.has(flag::CLOSED) {
                    StreamState::Closed
                } else if state.has(flag::CLOSING | flag::OVER) {
                    StreamState::Closing
                } else if state.extra.as_ref().is_some_and(|extra| extra.resolving) {
                    StreamState::Resolving
                } else if !state.has(flag::OPEN) {
                    StreamState::Connecting
                } else if state.has(flag::SHAKING) {
                    StreamState::Handshaking
                } else {
                    StreamState::Open
                },
                is_accepted: state.has(flag::ACCEPTED),
                is_pair: matches!(state.transport, Transport::Pair(_)),
                filters: state.extra.as_ref().map_or(0, |extra| extra.chain.len()),
                read_enabled: state.has(flag::READ),
                write_enabled: state.has(flag::WRITE),
                is_held_back: state.has(flag::HELD),
                is_full: state.is_full(),
                is_blocked: state.has(flag::BLOCKED),
                has_ended: state.has(flag::ENDED),
                is_shut: state.has(flag::SHUT),
                input_len: state.input_len(),
                output_len: state.output_len(),
                bytes_in: state.bytes_in,
                bytes_out: state.bytes_out,
                filter_overhead_in: difference(state.bytes_in, moved.0),
                filter_overhead_out: difference(state.bytes_out, moved.1),
                opened: hub.instant(ev, state.opened_at),
                last_read: hub.instant(ev, state.read_at),
            }
        })
    }

    /// Whom the stream is connected to; `None` for what has no address, such as a pair, and when it is gone.
    #[must_use]
    pub fn peer(self, ev: &EvLoop) -> Option<Address> {
        self.look(ev, |state| socket::peer_address(state.transport.socket()?))?
    }

    /// How many bytes of what has left the peer has acknowledged, as far as the system says.
    #[cfg(feature = "http-server")]
    pub(crate) fn acknowledged(self, ev: &EvLoop) -> u64 {
        let found = self.look(ev, |state| {
            let queued = state.transport.socket().and_then(crate::sys::queued::output).unwrap_or(0);
            state.bytes_out.saturating_sub(queued)
        });
        found.unwrap_or(0)
    }

    /// How many bytes have come and left through the transport.
    #[cfg(feature = "http-server")]
    pub(crate) fn moved(self, ev: &EvLoop) -> Option<(u64, u64)> {
        self.look(ev, |state| (state.bytes_in, state.bytes_out))
    }

    /// Whether `Drained` is still to be told of what waits to leave, unless it ends before.
    #[cfg(feature = "http-server")]
    pub(crate) fn is_to_drain(self, ev: &EvLoop) -> bool {
        let is_so = self.look(ev, |state| {
            let tells = !state.has(flag::QUIET) || state.has(flag::WAITED);
            tells && state.has(flag::ABOVE) && state.output_len() > state.limits().write_low
        });
        is_so == Some(true)
    }

    /// Where it was closed, and is telling that: whether some of its output had not left.
    #[cfg(feature = "http-server")]
    pub(crate) fn has_lost_output(self, ev: &EvLoop) -> bool {
        self.look(ev, |state| state.has(flag::UNSENT)) == Some(true)
    }

    /// Whether it is a Unix socket.
    #[cfg(feature = "http-server")]
    pub(crate) fn is_unix(self, ev: &EvLoop) -> bool {
        self.look(ev, |state| state.transport.socket().is_some_and(socket::is_unix)) == Some(true)
    }

    /// The stream's own address.
    #[must_use]
    pub fn local(self, ev: &EvLoop) -> Option<Address> {
        self.look(ev, |state| socket::local_address(state.transport.socket()?))?
    }
}

fn difference(more: u64, less: u64) -> i64 {
    i64::try_from(i128::from(more) - i128::from(less)).unwrap_or(i64::MAX)
}

impl EvLoop {
    /// The streams there are now: any of them may be closed, and others opened, while the list is gone
    /// through (mongoose's `mgr->conns`).
    ///
    /// ```
    /// # let mut ev = evloop::EvLoop::new()?;
    /// # ev.stream_pair(|_, _, _| {}, |_, _, _| {})?;
    /// for stream in ev.streams() {
    ///     let _ = stream.write(&mut ev, "going down\n");
    ///     stream.close_after_flush(&mut ev);
    /// }
    /// # ev.run()?;
    /// # assert_eq!(ev.stream_count(), 0);
    /// # Ok::<(), evloop::Error>(())
    /// ```
    #[must_use]
    pub fn streams(&self) -> Vec<Stream> {
        self.local_if_made::<Hub>().map_or_else(Vec::new, Hub::keys)
    }

    /// How many streams there are.
    #[must_use]
    pub fn stream_count(&self) -> usize {
        self.local_if_made::<Hub>().map_or(0, Hub::len)
    }

    /// The stream with this [id](Stream::id). It is searched for; who has the [`Stream`] need not search.
    #[must_use]
    pub fn stream_by_id(&self, id: u64) -> Option<Stream> {
        self.local_if_made::<Hub>()?.find(id)
    }
}
