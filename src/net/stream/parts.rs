//! A connection on its way from one loop to another.

use std::mem;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

use super::cell::{flag, news};
use super::transport::Transport;
use super::{Reason, SETTING, Stream, StreamEvent, closed, open, touch};
use crate::net::Buffer;
use crate::{Error, ErrorKind, EvLoop, Result};

/// What a stream consists of: its descriptor, and what was received and sent only so far. It belongs to no
/// loop, and can be sent to another thread.
#[derive(Debug)]
#[non_exhaustive]
pub struct Parts {
    /// The descriptor.
    pub fd: OwnedFd,
    /// What has come and was not taken.
    pub input: Buffer,
    /// What was written and has not left.
    pub output: Buffer,
}

impl Stream {
    /// Takes the connection out of the stream, with all that is in its buffers: for another loop, or for
    /// code that wants the descriptor (`evhttp_connection_get_bufferevent` and its kin, HTTP's `Upgrade`).
    ///
    /// The stream is closed, and told so with [`Reason::HandedOff`]. Its listener counts it no longer; to keep it
    /// counted, take it out [when it is accepted](crate::net::Accepted::into_parts).
    ///
    /// ```
    /// use evloop::EvLoop;
    /// use evloop::net::{LoopThread, StreamEvent};
    ///
    /// # let (socket, mut peer) = std::os::unix::net::UnixStream::pair()?;
    /// let other = LoopThread::spawn("other loop", |_| Ok(()))?;
    ///
    /// let mut ev = EvLoop::new()?;
    /// let stream = ev.stream(socket, |_, _, _| {})?;
    /// let parts = stream.into_parts(&mut ev)?;
    /// other.remote().post(move |ev| {
    ///     let adopted = parts.adopt(ev, |ev, stream, event| {
    ///         if let StreamEvent::Opened = event {
    ///             let _ = stream.write(ev, "from over here");
    ///             stream.close_after_flush(ev);
    ///         }
    ///     });
    ///     assert!(adopted.is_ok());
    /// });
    /// # let mut text = String::new();
    /// # std::io::Read::read_to_string(&mut peer, &mut text)?;
    /// # assert_eq!(text, "from over here");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The stream is as it was then. [`ErrorKind::Closed`] if it is closed, was not connected yet, or one of
    /// its directions has ended; [`ErrorKind::Unsupported`] for pairs, for two descriptors, and where
    /// filters, or descriptors that were sent or received, are a part of the connection's state; [`ErrorKind::Register`] if the descriptor is in use by a callback further down and
    /// the system refuses a second one.
    pub fn into_parts(self, ev: &mut EvLoop) -> Result<Parts> {
        let (hub, cell) = self.find(ev).ok_or_else(closed)?;
        let (io, second, transport, input, output) = {
            let mut state = cell.state.borrow_mut();
            let state = &mut *state;
            if state.has(flag::OVER | flag::SHUT | flag::EOF) || !state.has(flag::OPEN) {
                return Err(closed());
            }
            let whole = matches!(state.transport, Transport::Socket(_) | Transport::File(_));
            let has_fds = state
                .extra
                .as_ref()
                .is_some_and(|extra| !extra.fds_in.is_empty() || !extra.fds_out.is_empty());
            if !whole || has_fds || state.has_filters() {
                return Err(Error::new(ErrorKind::Unsupported, SETTING));
            }
            // Its watcher's callback may be on the stack, and holds the descriptor until it returns.
            let second = match state.transport.fd() {
                Some(fd) if state.has(flag::BUSY) => {
                    let second = fd.try_clone_to_owned();
                    Some(second.map_err(|e| Error::os(ErrorKind::Register, SETTING, e))?)
                }
                _ => None,
            };
            super::writing::uncork(state);
            state.unshare(&hub);
            state.set(flag::OVER | flag::SHUT);
            state.reason = Some(Reason::HandedOff);
            state.news &= news::OPENED;
            state.clear(flag::OPEN | flag::ASKS);
            let transport = mem::replace(&mut state.transport, Transport::None);
            (transport.io(), second, transport, state.input.take(), state.output.take())
        };
        // Before the descriptor can be watched by anybody else.
        if let Some(io) = io {
            io.free(ev);
        }
        touch(ev, &hub, &cell);
        let watched = match transport {
            Transport::Socket(watched) | Transport::File(watched) => Rc::try_unwrap(watched),
            Transport::None | Transport::Files(_) | Transport::Pair(_) => return Err(closed()),
        };
        let fd = match (second, watched) {
            (Some(second), _) => second,
            (None, Ok(watched)) => watched.into_fd(),
            (None, Err(shared)) => shared
                .as_fd()
                .try_clone_to_owned()
                .map_err(|e| Error::os(ErrorKind::Register, SETTING, e))?,
        };
        Ok(Parts {
            fd,
            input: input.map_or_else(Buffer::new, |buffer| *buffer),
            output: output.map_or_else(Buffer::new, |buffer| *buffer),
        })
    }
}

impl Parts {
    /// Makes a stream of them in a loop. What was received before is told with the first `Received`; what
    /// was not sent is sent.
    ///
    /// # Errors
    ///
    /// As for [`EvLoop::stream`].
    pub fn adopt(
        self,
        ev: &mut EvLoop,
        handler: impl FnMut(&mut EvLoop, Stream, StreamEvent) + 'static,
    ) -> Result<Stream> {
        let transport = open::prepare_for(ev, self.fd)?;
        let (input, output) = (self.input, self.output);
        Ok(open::open_with(ev, transport, Box::new(handler), |state| {
            if !input.is_empty() {
                state.received = input.len();
                state.news |= news::RECEIVED;
                state.input = Some(Box::new(input));
            }
            if !output.is_empty() {
                state.set(flag::ABOVE);
                state.output = Some(Box::new(output));
            }
        }))
    }
}

impl AsFd for Parts {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
