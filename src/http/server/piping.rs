//! A body that comes out of a pipe.

// The pipe is a stream of the loop's. What comes is handed on at once, and while the client is behind nothing is read:
// whoever writes is held up then. The request's end closes it, whatever that was.

use std::cell::RefCell;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use super::outgoing::{BodyLength, ReplyStream};
use super::reply::Reply;
use crate::net::{Stream, StreamEvent, Written};
use crate::{EvLoop, Result};

/// What has become of it.
struct Pipe {
    /// Where it goes; `None` once it is over.
    body: Option<ReplyStream>,
    /// How much is to come, if that is known.
    left: Option<u64>,
    /// Nothing more comes out of it.
    has_ended: bool,
}

impl Reply {
    /// Sends the head now, and as the body what comes out of a pipe or a socket until its end: of another program, for
    /// example (`MHD_create_response_from_pipe`). Of a known length no more than that is taken, and less cuts the
    /// connection.
    ///
    /// While the client does not read, nothing is read here. The descriptor is closed when the request is over, also
    /// when the client leaves, by which its writer learns of it (`EPIPE`).
    ///
    /// ```
    /// use std::process::{Command, Stdio};
    /// use evloop::EvLoop;
    /// use evloop::http::{BodyLength, Reply, Routes};
    ///
    /// let routes = Routes::new().get("/uptime", |ev: &mut EvLoop, _, reply: Reply| {
    ///     let mut child = Command::new("uptime").stdout(Stdio::piped()).spawn()?;
    ///     if let Some(stdout) = child.stdout.take() {
    ///         reply.header("Content-Type", "text/plain").pipe(ev, stdout, BodyLength::Unknown)?;
    ///     }
    ///     // Somebody has to wait for it.
    ///     ev.child(child, |_, _| {}).start(ev)?;
    ///     Ok::<(), Box<dyn std::error::Error>>(())
    /// });
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`stream`](Self::stream), and of [`EvLoop::stream`] for a descriptor that is neither, which is 500.
    ///
    /// # Sharp edges
    ///
    /// The end of a pipe says nothing about why it has ended: of a program that has failed half-way the client gets half,
    /// in order. Who needs to tell reads the pipe himself, and [writes](ReplyStream::write_buffer) what comes.
    pub fn pipe(
        self,
        ev: &mut EvLoop,
        source: impl Into<OwnedFd>,
        length: BodyLength,
    ) -> Result<()> {
        let left = match length {
            BodyLength::Known(length) => Some(length),
            BodyLength::Unknown => None,
        };
        let pipe = Rc::new(RefCell::new(Pipe { body: None, left, has_ended: false }));
        let of = Rc::clone(&pipe);
        let source = ev.stream(source, move |ev, source, event| {
            match event {
                StreamEvent::Received(_) => {}
                StreamEvent::Eof { .. } => of.borrow_mut().has_ended = true,
                StreamEvent::Error { .. } | StreamEvent::Closed(_) => return give_up(ev, &of),
                _ => return,
            }
            go_on(ev, source, &of);
        })?;
        self.on_completed(move |ev, _| source.close_now(ev));
        let body = match self.stream(ev, length) {
            Ok(body) if !body.is_absent() => body,
            other => {
                source.close_now(ev);
                return other.map(drop);
            }
        };
        body.on_drained(move |ev| {
            source.enable_read(ev);
            source.trigger_received(ev, true);
        });
        pipe.borrow_mut().body = Some(body);
        go_on(ev, source, &pipe);
        Ok(())
    }
}

/// Hands on what has come.
fn go_on(ev: &mut EvLoop, source: Stream, pipe: &RefCell<Pipe>) {
    let mut pipe = pipe.borrow_mut();
    let pipe = &mut *pipe;
    let Some(body) = &pipe.body else { return };
    if body.is_full(ev) {
        // What is left is there the next time.
        source.disable_read(ev);
        return;
    }
    let wanted = usize::try_from(pipe.left.unwrap_or(u64::MAX)).unwrap_or(usize::MAX);
    let bytes = source.take(ev, wanted);
    let len = bytes.len() as u64;
    let written = if len == 0 { Ok(Written::Room) } else { body.write_piped(ev, bytes) };
    match written {
        Ok(Written::Room) => {}
        Ok(Written::Full) => {
            source.disable_read(ev);
        }
        // The client is gone, which ends the request.
        Err(_) => {
            pipe.body = None;
            source.close_now(ev);
            return;
        }
    }
    pipe.left = pipe.left.map(|left| left.saturating_sub(len));
    if pipe.left == Some(0) || pipe.has_ended && source.input_len(ev) == 0 {
        if let Some(body) = pipe.body.take() {
            // What is missing cuts the connection, which says it all.
            let _ = body.end(ev);
        }
        source.close_now(ev);
    }
}

/// It is broken, and what should have come will not.
fn give_up(ev: &mut EvLoop, pipe: &RefCell<Pipe>) {
    let body = pipe.borrow_mut().body.take();
    if let Some(body) = body {
        body.abort(ev);
    }
}
