//! A connection that was accepted and has no stream yet.

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::{Listener, Permit};
use crate::EvLoop;
use crate::net::stream::{self, Stream, StreamEvent};
use crate::net::{Address, socket};

/// A connection that a [`Listener`] has accepted: serve it, take its socket, or drop it.
///
/// Dropped, it is refused: the socket is closed.
///
/// It may go to another thread, also to be [served](Self::serve) by the loop there; it stays counted by the
/// listener it came from.
///
/// The socket is non-blocking and close-on-exec, and with TCP `TCP_NODELAY` is set.
#[must_use = "dropped, the connection is closed"]
pub struct Accepted {
    // The socket is closed before its place is free.
    socket: OwnedFd,
    permit: Permit,
    peer: Option<Address>,
    listener: Listener,
}

impl Accepted {
    pub(super) fn new(
        socket: OwnedFd,
        permit: Permit,
        peer: Option<Address>,
        listener: Listener,
    ) -> Self {
        Self { socket, permit, peer, listener }
    }

    /// Who connected. `None` for a Unix socket that is not bound, which is most of them.
    ///
    /// Who comes by IPv4 to a dual-stack socket has an IPv4 address here.
    #[must_use]
    pub fn peer(&self) -> Option<&Address> {
        self.peer.as_ref()
    }

    /// The address that was connected to; asks the system each time.
    #[must_use]
    pub fn local(&self) -> Option<Address> {
        socket::local_address(&self.socket)
    }

    /// The listener it came from, which may be closed meanwhile.
    #[must_use]
    pub fn listener(&self) -> Listener {
        self.listener
    }

    /// Makes it a stream of this loop. It is counted by the listener until the stream is closed.
    ///
    /// Should the system refuse to watch it, the stream's handler is told, with its first events.
    pub fn serve(
        self,
        ev: &mut EvLoop,
        handler: impl FnMut(&mut EvLoop, Stream, StreamEvent) + 'static,
    ) -> Stream {
        // The permit goes by itself, since `ev` may be another loop than the listener's.
        stream::open_accepted(ev, self.socket, Box::new(handler), self.permit)
    }

    /// [`serve`](Self::serve)s it with TLS: what the handler receives and sends is what is inside. It is told
    /// [`Handshaked`](StreamEvent::Handshaked) when both sides have agreed.
    #[cfg(feature = "tls")]
    #[cfg_attr(docsrs, doc(cfg(feature = "tls")))]
    pub fn serve_tls(
        self,
        ev: &mut EvLoop,
        tls: &crate::net::TlsServer,
        handler: impl FnMut(&mut EvLoop, Stream, StreamEvent) + 'static,
    ) -> Stream {
        let stream = self.serve(ev, handler);
        if stream.start_tls_server(ev, tls).is_err() {
            // It was opened a line above. Should there ever be a reason, nothing is sent in the clear.
            stream.close_now(ev);
        }
        stream
    }

    /// Takes the socket out, for another loop, thread or process. The listener counts it no longer.
    #[must_use = "dropped, the connection is closed"]
    pub fn into_fd(self) -> OwnedFd {
        self.socket
    }

    /// Takes the socket out, with what keeps it counted.
    pub fn into_parts(self) -> (OwnedFd, Permit) {
        (self.socket, self.permit)
    }
}

/// For options of the socket.
impl AsFd for Accepted {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl fmt::Debug for Accepted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Accepted")
            .field("socket", &self.socket)
            .field("peer", &self.peer)
            .field("listener", &self.listener)
            .finish_non_exhaustive()
    }
}
