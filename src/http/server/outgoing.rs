//! Bodies of replies, piece by piece.

use std::fmt;
use std::fs::File;
use std::rc::Rc;
use std::sync::Arc;

use super::Server;
use super::connection::{self, At, conn_flag};
use super::exchange::{Answer, Framing, flag};
#[cfg(feature = "compress")]
use super::packing;
use super::pieces::{self, Piece};
use super::reply::gone;
use super::sending;
use super::service::Service;
use crate::net::{Buffer, Written};
use crate::wire::{self, Fields};
use crate::{Error, ErrorKind, EvLoop, Result};

const WRITING: &str = "writing the body of a reply";

/// Whether it is known how long a body will be.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum BodyLength {
    /// So many bytes, no more and no fewer.
    Known(u64),
    /// Nobody knows.
    Unknown,
}

/// A reply whose body is sent piece by piece (`evhttp_send_reply_chunk`).
///
/// ```
/// use std::time::Duration;
/// use evloop::EvLoop;
/// use evloop::http::{BodyLength, Reply, Routes};
///
/// let routes = Routes::new().get("/count", |ev: &mut EvLoop, _, reply: Reply| {
///     let stream = reply.header("Content-Type", "text/plain").stream(ev, BodyLength::Unknown)?;
///     let mut stream = Some(stream);
///     let mut n = 0;
///     let every = Duration::from_millis(100);
///     ev.timer(every, every, move |ev, e| {
///         n += 1;
///         let written = stream.as_mut().map(|stream| stream.write(ev, format!("{n}\n")));
///         if n == 10 || !matches!(written, Some(Ok(_))) {
///             e.watcher.free(ev);
///             if let Some(stream) = stream.take() {
///                 stream.end(ev).ok();
///             }
///         }
///     })
///     .start(ev);
///     Ok::<(), evloop::Error>(())
/// });
/// ```
///
/// # Sharp edges
///
/// * **Dropped before its [end](Self::end)** it cuts the connection: that is how a client learns that the body
///   is not complete.
/// * **[`Written::Full`]** means that the client is slow: stop until [drained](Self::on_drained).
/// * **Of a reply to `HEAD` no body is sent**: it is complete with its head, what is written is thrown away, and the
///   answer is [`Written::Full`] every time. Hooks are dropped with the request.
#[must_use = "dropped before its end, it cuts the connection"]
pub struct ReplyStream {
    /// `None` once it has ended.
    service: Option<Rc<Service>>,
    at: At,
    serial: u32,
    /// None of the body is sent: the reply is to a `HEAD`, for example.
    absent: bool,
}

impl ReplyStream {
    pub(super) fn new(service: Rc<Service>, at: At, serial: u32) -> Self {
        Self { service: Some(service), at, serial, absent: false }
    }

    /// One for a reply that is complete with its head.
    pub(super) fn absent(service: Rc<Service>, at: At, serial: u32) -> Self {
        Self { service: Some(service), at, serial, absent: true }
    }

    /// Whether none of it is sent, and the reply was complete with its head.
    pub(crate) fn is_absent(&self) -> bool {
        self.absent
    }

    pub(super) fn server(&self) -> Server {
        self.service.as_ref().map_or(Server { id: 0 }, |service| service.key)
    }

    pub(super) fn at(&self) -> At {
        self.at
    }

    pub(super) fn serial(&self) -> u32 {
        self.serial
    }

    /// Sends a piece, which is copied. In the chunked coding, each is one chunk, unless it is
    /// [packed](super::Routes).
    ///
    /// # Errors
    ///
    /// Nothing of it was taken then. [`ErrorKind::Closed`] if the client is gone;
    /// [`ErrorKind::Full`] if more waits than its [hard limit](crate::net::Stream::set_write_limits) of 1 MiB;
    /// [`ErrorKind::InvalidInput`] for more than the length that was named.
    pub fn write(&self, ev: &mut EvLoop, bytes: impl AsRef<[u8]>) -> Result<Written> {
        self.put(ev, Piece::Bytes(bytes.as_ref()))
    }

    /// Sends a `Vec` or `String` that is handed over.
    ///
    /// # Errors
    ///
    /// Those of [`write`](Self::write).
    pub fn write_owned(&self, ev: &mut EvLoop, bytes: impl Into<Vec<u8>>) -> Result<Written> {
        self.put(ev, Piece::Owned(bytes.into()))
    }

    /// Sends all that is in a buffer, which is empty afterwards.
    ///
    /// # Errors
    ///
    /// Those of [`write`](Self::write); the buffer is as it was then.
    pub fn write_buffer(&self, ev: &mut EvLoop, buffer: &mut Buffer) -> Result<Written> {
        self.put(ev, Piece::Buffer(buffer))
    }

    /// Sends a part of a file.
    ///
    /// # Errors
    ///
    /// Those of [`write`](Self::write); [`ErrorKind::InvalidInput`] for a part that cannot be.
    pub fn write_file(
        &self,
        ev: &mut EvLoop,
        file: Arc<File>,
        offset: u64,
        len: u64,
    ) -> Result<Written> {
        let mut buffer = Buffer::new();
        buffer.append_file(file, offset, len)?;
        self.put(ev, Piece::Buffer(&mut buffer))
    }

    fn put(&self, ev: &mut EvLoop, piece: Piece<'_>) -> Result<Written> {
        self.put_and(ev, piece, true)
    }

    /// A piece that was pulled: if it is packed it may wait for more.
    pub(super) fn write_pulled(&self, ev: &mut EvLoop, mut bytes: Vec<u8>) -> Result<Written> {
        self.put_and(ev, Piece::Asked(&mut bytes), false)
    }

    /// A piece out of a pipe, which was read because there was room.
    pub(super) fn write_piped(&self, ev: &mut EvLoop, mut bytes: Vec<u8>) -> Result<Written> {
        self.put(ev, Piece::Asked(&mut bytes))
    }

    fn put_and(&self, ev: &mut EvLoop, piece: Piece<'_>, flushes: bool) -> Result<Written> {
        #[cfg(not(feature = "compress"))]
        let _ = flushes;
        let service = self.service.as_ref().ok_or_else(gone)?;
        if self.absent {
            // Whoever stops when it is full stops here.
            if let Piece::Buffer(buffer) = piece {
                buffer.clear();
            }
            return Ok(Written::Full);
        }
        let mut state = service.state.borrow_mut();
        let state = &mut *state;
        let Some(exchange) = state.exchange(self.at, self.serial) else { return Err(gone()) };
        let Answer::Streaming(framing) = exchange.answer else { return Err(gone()) };
        #[cfg(feature = "compress")]
        if exchange.has(flag::PACKS) {
            return packing::put(ev, state, self.at, self.serial, framing, piece, flushes);
        }
        let len = piece.len() as u64;
        if let Framing::Length(left) = framing {
            if len > left {
                let cause = "more than the length that was named";
                return Err(Error::caused(ErrorKind::InvalidInput, WRITING, cause.into()));
            }
        }
        let written = pieces::write_piece(ev, state, self.at, framing, piece)?;
        if let Some(exchange) = state.exchange(self.at, self.serial) {
            if let Framing::Length(left) = framing {
                exchange.answer = Answer::Streaming(Framing::Length(left - len));
            }
            exchange.bytes_out += len;
        }
        Ok(written)
    }

    /// That was all.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Closed`] if the client is gone; [`ErrorKind::InvalidInput`] if fewer bytes came than
    /// were named, and then the connection is cut.
    pub fn end(self, ev: &mut EvLoop) -> Result<()> {
        self.end_with(ev, &Fields::default())
    }

    /// That was all, and these fields come behind it, if the client [takes
    /// them](super::Response::trailers) and the body is sent in chunks.
    ///
    /// # Errors
    ///
    /// Those of [`end`](Self::end).
    pub fn end_with(mut self, ev: &mut EvLoop, trailers: &Fields) -> Result<()> {
        let Some(service) = self.service.take() else { return Err(gone()) };
        if self.absent {
            return Ok(());
        }
        let result = {
            let mut state = service.state.borrow_mut();
            let state = &mut *state;
            let Some(exchange) = state.exchange(self.at, self.serial) else { return Err(gone()) };
            let Answer::Streaming(framing) = exchange.answer else { return Err(gone()) };
            let takes = exchange.has(flag::TAKES_TRAILERS);
            #[cfg(feature = "compress")]
            let packed = packing::end(ev, state, self.at, self.serial, framing);
            #[cfg(not(feature = "compress"))]
            let packed = Ok(());
            match framing {
                _ if packed.is_err() => packed,
                Framing::Length(left) if left > 0 => {
                    let cause = "fewer bytes than the length that was named";
                    Err(Error::caused(ErrorKind::InvalidInput, WRITING, cause.into()))
                }
                Framing::Chunked => {
                    state.scratch.clear();
                    if takes {
                        wire::last_chunk(trailers, &mut state.scratch);
                    } else {
                        state.scratch.extend_from_slice(wire::LAST_CHUNK);
                    }
                    // What was taken comes to its end, however much of it waits.
                    let result = self.at.stream.write_anyway(ev, &state.scratch);
                    sending::note_written(ev, state, self.at, &result);
                    result.map(|_| ())
                }
                _ => Ok(()),
            }
        };
        match result {
            Ok(()) => {
                if let Some(exchange) = service.state.borrow_mut().exchange(self.at, self.serial) {
                    exchange.answer = Answer::Done;
                }
                connection::touch(ev, &service, self.at);
                Ok(())
            }
            Err(error) => {
                connection::cut(ev, &service, self.at, self.serial);
                Err(error)
            }
        }
    }

    /// Cuts the connection: the client learns that the body is not complete.
    pub fn abort(mut self, ev: &mut EvLoop) {
        if let Some(service) = self.service.take().filter(|_| !self.absent) {
            connection::cut(ev, &service, self.at, self.serial);
        }
    }

    /// Has `hook` called each time when all that was written has left. Replaces one that was set before.
    pub fn on_drained(&self, hook: impl FnMut(&mut EvLoop) + 'static) {
        let Some(service) = &self.service else { return };
        let mut state = service.state.borrow_mut();
        let Some(exchange) = state.exchange(self.at, self.serial) else { return };
        let old = exchange.hooks().on_drained.replace(Box::new(hook));
        drop(state);
        drop(old);
    }

    /// Has `hook` called if the client leaves: [`Reply::on_disconnect`](super::Reply::on_disconnect).
    pub fn on_disconnect(&self, hook: impl FnMut(&mut EvLoop, super::Disconnected) + 'static) {
        let Some(service) = &self.service else { return };
        let mut state = service.state.borrow_mut();
        let Some(exchange) = state.exchange(self.at, self.serial) else { return };
        let old = exchange.hooks().on_disconnect.replace(Box::new(hook));
        drop(state);
        drop(old);
    }

    /// How many bytes wait to leave.
    #[must_use]
    pub fn waiting(&self, ev: &EvLoop) -> usize {
        self.at.stream.output_len(ev)
    }

    /// Whether so much waits that it is time to stop.
    #[must_use]
    pub fn is_full(&self, _ev: &EvLoop) -> bool {
        let Some(service) = self.service.as_ref().filter(|_| !self.absent) else { return true };
        let mut state = service.state.borrow_mut();
        state.conn(self.at).is_none_or(|conn| conn.has(conn_flag::STALLED))
    }

    /// Whether the client is still there.
    #[must_use]
    pub fn is_connected(&self, _ev: &EvLoop) -> bool {
        let Some(service) = &self.service else { return false };
        let mut state = service.state.borrow_mut();
        state.open_exchange(self.at, self.serial).is_some()
    }

    /// It is somebody else's again.
    pub(super) fn forget(mut self) {
        self.service = None;
    }

    /// The rest is for somebody who is asked for it.
    pub(super) fn pull(mut self, ev: &mut EvLoop, puller: Puller) {
        let Some(service) = self.service.take() else { return };
        {
            let mut state = service.state.borrow_mut();
            let Some(exchange) = state.exchange(self.at, self.serial) else { return };
            exchange.hooks().puller = Some(puller);
        }
        connection::touch(ev, &service, self.at);
    }
}

impl Drop for ReplyStream {
    fn drop(&mut self) {
        if let Some(service) = self.service.take().filter(|_| !self.absent) {
            service.note_dropped(self.at, self.serial);
        }
    }
}

impl fmt::Debug for ReplyStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplyStream")
            .field("connection", &self.at.stream.id())
            .finish_non_exhaustive()
    }
}

/// What a body that is pulled has for now.
#[derive(Debug)]
#[non_exhaustive]
pub enum Pull {
    /// These bytes; an empty `Vec` is not the end.
    Data(Vec<u8>),
    /// Nothing, until it is [woken](super::PullWaker::wake).
    Later,
    /// That was all.
    End,
    /// There should be more, and there is not: the connection is cut.
    Failed,
}

type Source = Box<dyn FnMut(&mut EvLoop) -> Pull>;

/// Who is asked for a body.
pub(super) struct Puller {
    /// `None` while it is called.
    pub(super) source: Option<Source>,
    /// It has said that it has nothing for now.
    pub(super) sleeps: bool,
    /// It was woken while it was called.
    pub(super) woken: bool,
}

impl Puller {
    pub(super) fn new(source: impl FnMut(&mut EvLoop) -> Pull + 'static) -> Self {
        Self { source: Some(Box::new(source)), sleeps: false, woken: false }
    }
}
