//! How streams begin.

use std::os::fd::OwnedFd;
use std::rc::Rc;

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::{FdFlags, fcntl_getfd, fcntl_setfd};
use rustix::net::sockopt;

use super::cell::{NEVER, State, StreamCell, flag, news};
use super::hub::Hub;
use super::pair::End;
use super::transport::{Files, Transport};
use super::watched::Watched;
use super::{Handler, Reason, Stream, StreamEvent, drive, ending};
use crate::net::dial::{self, Dialed};
use crate::net::{Address, ConnectOptions, Permit, Place};
use crate::{Error, ErrorKind, EvLoop, Result};

const OPENING: &str = "opening a stream";

impl EvLoop {
    /// Connects to an address, and makes a stream of the connection (`bufferevent_socket_connect_hostname`).
    ///
    /// The address is what [`Address`] reads: `example.org:80`, `[::1]:80`, `unix:/run/it.sock`. Names are
    /// resolved on a thread, and of the addresses they have the first that answers is taken. What is
    /// [written](Stream::write) meanwhile is sent when the connection is there. For other than the usual,
    /// there is [`ConnectOptions::connect`].
    ///
    /// ```
    /// use evloop::EvLoop;
    /// use evloop::net::StreamEvent;
    /// use std::{cell::RefCell, rc::Rc};
    ///
    /// let mut ev = EvLoop::new()?;
    /// let listener = ev.listen("127.0.0.1:0", |ev, accepted| {
    ///     accepted.serve(ev, |ev, stream, event| match event {
    ///         StreamEvent::Opened => drop(stream.write(ev, "hello\n")),
    ///         StreamEvent::Eof { .. } => stream.close_after_flush(ev),
    ///         _ => {}
    ///     });
    /// })?;
    /// listener.set_ref(&mut ev, false);
    ///
    /// let address = listener.addresses(&ev).remove(0);
    /// ev.connect(address, |ev, stream, event| match event {
    ///     StreamEvent::Received(_) => {
    ///         assert_eq!(stream.input(ev).drain(100), 6);
    ///         stream.close_now(ev);
    ///     }
    ///     StreamEvent::Error { error, .. } => panic!("{error}"),
    ///     _ => {}
    /// })?;
    /// ev.run()?;
    /// # Ok::<(), evloop::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] for what is no address, or cannot be connected to; [`ErrorKind::Forked`].
    /// That nobody is reached, or nobody has that name, is told to the handler.
    pub fn connect<A>(
        &mut self,
        address: A,
        handler: impl FnMut(&mut EvLoop, Stream, StreamEvent) + 'static,
    ) -> Result<Stream>
    where
        A: TryInto<Address>,
        A::Error: Into<Error>,
    {
        ConnectOptions::new().connect(self, address, handler)
    }

    /// Makes a stream of a descriptor that is open already (`bufferevent_socket_new`): a socket that is
    /// connected, or one end of a socket pair; a terminal; a pipe, or a device.
    ///
    /// It is made non-blocking and close-on-exec. Of a pipe the one direction it does not have fails when
    /// it is used; reading is not enabled where it cannot be read. That its reader is gone is found out
    /// when it is written.
    ///
    /// ```
    /// use evloop::EvLoop;
    /// use evloop::net::StreamEvent;
    /// use std::os::unix::net::UnixStream;
    ///
    /// let mut ev = EvLoop::new()?;
    /// let (one, other) = UnixStream::pair()?;
    /// let one = ev.stream(one, |_, _, _| {})?;
    /// ev.stream(other, |ev, stream, event| match event {
    ///     StreamEvent::Received(_) => assert_eq!(stream.input(ev).drain(9), 2),
    ///     StreamEvent::Eof { .. } => stream.close_now(ev),
    ///     _ => {}
    /// })?;
    /// one.write(&mut ev, "hi")?;
    /// one.close_after_flush(&mut ev);
    /// ev.run()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] for a socket that is not of the stream kind or listens, and for what is
    /// no descriptor of that use, with the system's error as its source; [`ErrorKind::Forked`].
    ///
    /// # Sharp edges
    ///
    /// * **Non-blocking is a property of what was opened**, not of the descriptor: who else has the same
    ///   terminal or pipe, as the shell that started this program, has it non-blocking too.
    /// * A connection that is still being made is for [`ConnectOptions::adopt`].
    pub fn stream(
        &mut self,
        fd: impl Into<OwnedFd>,
        handler: impl FnMut(&mut EvLoop, Stream, StreamEvent) + 'static,
    ) -> Result<Stream> {
        let fd = fd.into();
        let transport = prepare_for(self, fd)?;
        let (hub, cell) = new(self, Box::new(handler), 0, news::CONNECTED);
        attach(self, &hub, &cell, transport);
        Ok(cell.key)
    }

    /// Makes a stream of two descriptors, one to read and one to write: two pipes, as those of a
    /// [child](crate::Child).
    ///
    /// Ending what is written ([`shutdown_write`](Stream::shutdown_write)) closes the second.
    ///
    /// # Errors
    ///
    /// As for [`stream`](Self::stream).
    pub fn stream_of_two(
        &mut self,
        read: impl Into<OwnedFd>,
        write: impl Into<OwnedFd>,
        handler: impl FnMut(&mut EvLoop, Stream, StreamEvent) + 'static,
    ) -> Result<Stream> {
        let (read, write) = (read.into(), write.into());
        self.be_unforked(OPENING)?;
        for fd in [&read, &write] {
            make_ready(fd)?;
        }
        let transport = Raw::Files(read, write);
        let (hub, cell) = new(self, Box::new(handler), 0, news::CONNECTED);
        attach(self, &hub, &cell, transport);
        Ok(cell.key)
    }

    /// Makes two streams that are connected to each other, inside this loop and without descriptors
    /// (`bufferevent_pair_new`). They can do what others can, but for what only sockets have.
    ///
    /// For a connection between two loops there are socket pairs: `std`'s `UnixStream::pair`, and
    /// [`stream`](Self::stream) for each end.
    ///
    /// ```
    /// use evloop::EvLoop;
    /// use evloop::net::StreamEvent;
    ///
    /// let mut ev = EvLoop::new()?;
    /// let (client, _server) = ev.stream_pair(
    ///     |ev, stream, event| {
    ///         if let StreamEvent::Received(n) = event {
    ///             assert_eq!(n, 4);
    ///             stream.close_now(ev);
    ///         }
    ///     },
    ///     |ev, stream, event| match event {
    ///         StreamEvent::Received(_) => {
    ///             let question = stream.take_all(ev);
    ///             drop(stream.write(ev, question.to_ascii_uppercase()));
    ///         }
    ///         StreamEvent::Eof { .. } => stream.close_now(ev),
    ///         _ => {}
    ///     },
    /// )?;
    /// client.write(&mut ev, "ping")?;
    /// ev.run()?;
    /// # Ok::<(), evloop::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Forked`].
    ///
    /// # Sharp edges
    ///
    /// Nothing outside can wake a pair, so it keeps no loop running that has nothing else to do.
    pub fn stream_pair(
        &mut self,
        one: impl FnMut(&mut EvLoop, Stream, StreamEvent) + 'static,
        other: impl FnMut(&mut EvLoop, Stream, StreamEvent) + 'static,
    ) -> Result<(Stream, Stream)> {
        self.be_unforked(OPENING)?;
        let (mut left, mut right) = End::pair();
        let (hub, one) = new(self, Box::new(one), 0, news::CONNECTED);
        let (_, other) = new(self, Box::new(other), 0, news::CONNECTED);
        left.know(&other);
        right.know(&one);
        attach(self, &hub, &one, Raw::Pair(left));
        attach(self, &hub, &other, Raw::Pair(right));
        Ok((one.key, other.key))
    }
}

impl ConnectOptions {
    /// Connects with these options; else as [`EvLoop::connect`].
    ///
    /// # Errors
    ///
    /// As for [`EvLoop::connect`].
    pub fn connect<A>(
        &self,
        ev: &mut EvLoop,
        address: A,
        handler: impl FnMut(&mut EvLoop, Stream, StreamEvent) + 'static,
    ) -> Result<Stream>
    where
        A: TryInto<Address>,
        A::Error: Into<Error>,
    {
        let address = address.try_into().map_err(Into::into)?;
        ev.be_unforked(OPENING)?;
        let (hub, cell) = new(ev, Box::new(handler), 0, 0);
        let key = cell.key;
        let on_resolved = move |ev: &mut EvLoop| resolved(ev, key);
        let done = move |ev: &mut EvLoop, dialed: Result<Dialed>| {
            connected(ev, key, dialed.map(|dialed| dialed.socket));
        };
        let dialed = dial::dial(ev, &address, self, on_resolved, done);
        cell.state.borrow_mut().extra().resolving = matches!(address.place(), Place::Name { .. });
        begin(ev, &hub, &cell, dialed)
    }

    /// Makes a stream of a socket on which `connect` was called by somebody else, and may not be done.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] for what is not a socket, and for one that listens;
    /// [`ErrorKind::Forked`].
    pub fn adopt(
        &self,
        ev: &mut EvLoop,
        socket: impl Into<OwnedFd>,
        handler: impl FnMut(&mut EvLoop, Stream, StreamEvent) + 'static,
    ) -> Result<Stream> {
        let socket = socket.into();
        ev.be_unforked(OPENING)?;
        let (hub, cell) = new(ev, Box::new(handler), 0, 0);
        let key = cell.key;
        let done = move |ev: &mut EvLoop, socket: Result<OwnedFd>| connected(ev, key, socket);
        let dialed = dial::dial_adopted(ev, socket, self, done);
        begin(ev, &hub, &cell, dialed)
    }
}

/// Makes a stream of an accepted connection, which its listener counts until it is closed.
pub(in super::super) fn open_accepted(
    ev: &mut EvLoop,
    socket: OwnedFd,
    handler: Handler,
    permit: Permit,
) -> Stream {
    let (hub, cell) = new(ev, handler, flag::ACCEPTED, news::ACCEPTED);
    cell.state.borrow_mut().permit = Some(permit);
    // Nagle's algorithm was turned off by the listener.
    attach(ev, &hub, &cell, Raw::Socket(socket));
    cell.key
}

/// Makes a stream of a connection that comes with what was read and not sent yet.
pub(super) fn open_with(
    ev: &mut EvLoop,
    transport: Raw,
    handler: Handler,
    fill: impl FnOnce(&mut State),
) -> Stream {
    let (hub, cell) = new(ev, handler, 0, news::CONNECTED);
    fill(&mut cell.state.borrow_mut());
    attach(ev, &hub, &cell, transport);
    cell.key
}

pub(super) fn new(
    ev: &mut EvLoop,
    handler: Handler,
    flags: u64,
    news: u16,
) -> (Rc<Hub>, Rc<StreamCell>) {
    let hub = ev.local::<Hub>();
    let cell = hub.insert(ev, |now| State {
        flags: flags | flag::READ | flag::WRITE,
        news: news::OPENED | news,
        reason: None,
        transport: Transport::None,
        input: None,
        output: None,
        #[cfg(feature = "websocket")]
        shared: None,
        handler: Some(handler),
        received: 0,
        sent: 0,
        bytes_in: 0,
        bytes_out: 0,
        opened_at: now,
        read_at: now,
        read_timeout: NEVER,
        scheduled: NEVER,
        times: None,
        extra: None,
        permit: None,
    });
    (hub, cell)
}

/// The connection is being made, or could not even be begun.
fn begin(
    ev: &mut EvLoop,
    hub: &Rc<Hub>,
    cell: &Rc<StreamCell>,
    dialed: Result<dial::Dial>,
) -> Result<Stream> {
    match dialed {
        Ok(dial) => {
            cell.state.borrow_mut().extra().dial = Some(dial);
            hub.enqueue(ev, cell);
            Ok(cell.key)
        }
        Err(error) => {
            // Nobody was told that there is a stream, so nobody is told that there is none.
            let _cell = hub.remove(cell);
            Err(error)
        }
    }
}

fn resolved(ev: &mut EvLoop, key: Stream) {
    let hub = ev.local::<Hub>();
    if let Some(cell) = hub.get(key) {
        if cell.has(flag::OVER) {
            return;
        }
        {
            let mut state = cell.state.borrow_mut();
            state.news |= news::RESOLVED;
            state.extra().resolving = false;
        }
        drive::resume(ev, &hub, &cell);
    }
}

fn connected(ev: &mut EvLoop, key: Stream, outcome: Result<OwnedFd>) {
    let hub = ev.local::<Hub>();
    let Some(cell) = hub.get(key) else { return };
    cell.state.borrow_mut().extra().dial = None;
    if cell.has(flag::OVER) {
        return;
    }
    match outcome {
        Ok(socket) => {
            let _ = sockopt::set_tcp_nodelay(&socket, true);
            cell.state.borrow_mut().news |= news::CONNECTED;
            attach(ev, &hub, &cell, Raw::Socket(socket));
        }
        Err(error) => {
            let reason = dial::reason_of(&error);
            ending::fail(&mut cell.state.borrow_mut(), error, None, reason);
        }
    }
    drive::resume(ev, &hub, &cell);
}

/// What a stream's bytes are to travel over, before anybody watches it.
pub(super) enum Raw {
    Socket(OwnedFd),
    File(OwnedFd),
    Files(OwnedFd, OwnedFd),
    Pair(End),
}

/// Gives the stream what its bytes travel over. It is looked at later in this iteration.
pub(super) fn attach(ev: &mut EvLoop, hub: &Rc<Hub>, cell: &Rc<StreamCell>, raw: Raw) {
    // The descriptor is the watcher's and the stream's: the stream says when it is closed.
    let mut watch = |fd| Watched::new(ev, cell, fd);
    let mut write_io = None;
    let transport = match raw {
        Raw::Socket(fd) => Transport::Socket(watch(fd)),
        Raw::File(fd) => Transport::File(watch(fd)),
        Raw::Files(read, write) => {
            let (read, write) = (watch(read), watch(write));
            write_io = write.io();
            Transport::Files(Box::new(Files { read, write: Some(write) }))
        }
        Raw::Pair(end) => Transport::Pair(Box::new(end)),
    };
    let io = transport.io();
    let is_deaf = matches!(&transport, Transport::File(fd)
        if fcntl_getfl(fd).is_ok_and(|flags| flags & OFlags::ACCMODE == OFlags::WRONLY));
    let (unref, priority, starts) = {
        let mut state = cell.state.borrow_mut();
        if is_deaf {
            // The end of a pipe that is written: it would fail when its reader goes.
            state.clear(flag::READ);
        }
        state.transport = transport;
        if write_io.is_some() {
            state.extra().write_io = write_io;
        }
        // What was written before goes now.
        state.set(flag::OPEN | flag::DIRTY | flag::RETIME);
        let priority = state.extra.as_ref().map_or(0, |extra| extra.priority);
        (state.has(flag::UNREF), priority, !state.has(flag::UNSTARTED))
    };
    for io in [io, write_io].into_iter().flatten() {
        if unref {
            io.set_ref(ev, false);
        }
        if priority != 0 {
            io.set_priority(ev, priority);
        }
        if !starts {
            continue;
        }
        // From now on it keeps the loop running, also if it is not to be read.
        if let Err(error) = io.start(ev) {
            ending::fail(&mut cell.state.borrow_mut(), error, None, Reason::Failed);
        }
    }
    hub.enqueue(ev, cell);
}

/// What it is, and so how it is read and written.
pub(super) fn prepare_for(ev: &mut EvLoop, fd: OwnedFd) -> Result<Raw> {
    ev.be_unforked(OPENING)?;
    prepare(fd)
}

fn prepare(fd: OwnedFd) -> Result<Raw> {
    use rustix::io::Errno;
    use rustix::net::SocketType;
    make_ready(&fd)?;
    match sockopt::socket_type(&fd) {
        Ok(SocketType::STREAM) => {
            if sockopt::socket_acceptconn(&fd).unwrap_or(false) {
                let cause = "a listening socket is for ListenOptions::adopt";
                return Err(Error::caused(ErrorKind::InvalidInput, OPENING, cause.into()));
            }
            let _ = sockopt::set_tcp_nodelay(&fd, true);
            Ok(Raw::Socket(fd))
        }
        Ok(_) => {
            let cause = "the socket keeps the boundaries of messages";
            Err(Error::caused(ErrorKind::InvalidInput, OPENING, cause.into()))
        }
        Err(Errno::NOTSOCK) => Ok(Raw::File(fd)),
        Err(error) => Err(unfit(error)),
    }
}

/// Non-blocking, and not inherited by programs that are started.
fn make_ready(fd: &OwnedFd) -> Result<()> {
    let flags = fcntl_getfl(fd).map_err(unfit)?;
    fcntl_setfl(fd, flags | OFlags::NONBLOCK).map_err(unfit)?;
    let flags = fcntl_getfd(fd).map_err(unfit)?;
    fcntl_setfd(fd, flags | FdFlags::CLOEXEC).map_err(unfit)
}

fn unfit(error: rustix::io::Errno) -> Error {
    Error::os(ErrorKind::InvalidInput, OPENING, error.into())
}
