//! From a watcher to a connection: what it takes to talk to a peer, and what streams do of it. Feature `net`.
//!
//! An [`Io`](crate::Io) watcher says that a descriptor is ready. The rest is the program's: to read, to write, to
//! keep what could not be written. This is an echo server of watchers alone:
//!
//! ```
//! use evloop::{Break, EvLoop, Interest};
//! use std::io::{Read, Write};
//! use std::net::{TcpListener, TcpStream};
//!
//! let mut ev = EvLoop::new()?;
//! let listener = TcpListener::bind("127.0.0.1:0")?;
//! listener.set_nonblocking(true)?;
//! # let address = listener.local_addr()?;
//! let accept = ev.io(listener, Interest::READ, |ev, e| {
//!     let Ok((socket, _)) = e.source.accept() else { return };
//!     let _ = socket.set_nonblocking(true);
//!     let echo = ev.io(socket, Interest::READ, |ev, e| {
//!         let (mut bytes, mut socket) = ([0; 4096], e.source);
//!         match socket.read(&mut bytes) {
//!             Ok(n) if n > 0 => drop(socket.write(&bytes[..n])),
//!             _ => drop(e.watcher.free(ev)),
//!         }
//!     });
//!     let _ = echo.start_or_free(ev);
//! });
//! accept.start(&mut ev)?;
//! # let remote = ev.remote();
//! # let client = std::thread::spawn(move || {
//! #     let mut client = TcpStream::connect(address).unwrap();
//! #     let mut answer = [0; 4];
//! #     client.write_all(b"ping").unwrap();
//! #     client.read_exact(&mut answer).unwrap();
//! #     remote.break_loop(Break::All);
//! #     answer
//! # });
//! ev.run()?;
//! # assert_eq!(&client.join().unwrap(), b"ping");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! It works as long as it is tried out by hand. What is wrong with it:
//!
//! * **`write` may take a part.** The rest is lost here. To keep it there must be a buffer, interest in
//!   writing while the buffer is not empty, and a decision what to read meanwhile.
//! * **A line comes in pieces**, or three at once. So there must be a buffer for input, too.
//! * **Not every error is one.** A read that would block, or was interrupted, ends this connection.
//! * **Nobody's time is limited.** A peer whose cable was pulled keeps a descriptor for ever.
//! * **Accepting may fail**, when the process has no descriptor left. The listener stays ready then, and the
//!   loop does nothing but ask it.
//! * **A peer that has sent all** may still wait for the answer.
//!
//! # A stream
//!
//! A [`Stream`](crate::net::Stream) is the descriptor with both buffers and one handler, which is told what
//! happens. A [`Listener`](crate::net::Listener) makes streams of those who connect. The server again, in lines
//! and in upper case, with a client on the same loop:
//!
//! ```
//! use evloop::EvLoop;
//! use evloop::net::{Eol, StreamEvent};
//!
//! let mut ev = EvLoop::new()?;
//! let listener = ev.listen("127.0.0.1:0", |ev, accepted| {
//!     accepted.serve(ev, |ev, stream, event| match event {
//!         StreamEvent::Received(_) => {
//!             while let Ok(Some(mut line)) = stream.take_line(ev, Eol::Any, 4096) {
//!                 line.make_ascii_uppercase();
//!                 line.push(b'\n');
//!                 let _ = stream.write_owned(ev, line);
//!             }
//!         }
//!         StreamEvent::Eof { .. } => stream.close_after_flush(ev),
//!         _ => {}
//!     });
//! })?;
//!
//! let address = listener.addresses(&ev).remove(0);
//! let client = ev.connect(address, move |ev, stream, event| match event {
//!     StreamEvent::Received(_) => {
//!         if let Ok(Some(line)) = stream.take_line(ev, Eol::Any, 4096) {
//!             assert_eq!(line, b"PING");
//!             stream.close_now(ev);
//!         }
//!     }
//!     StreamEvent::Closed(_) => drop(listener.close(ev)),
//!     _ => {}
//! })?;
//! client.write(&mut ev, "ping\n")?; // there is no connection yet: sent when there is
//! ev.run()?; // until all streams and listeners are closed
//! # Ok::<(), evloop::Error>(())
//! ```
//!
//! A stream is a key, as watchers are: it may be copied, and is stale when the stream is closed. Besides sockets
//! it may be [made of](crate::EvLoop::stream) any descriptor that is read and written as bytes, of
//! [two](crate::EvLoop::stream_of_two), or be one end of a [pair](crate::EvLoop::stream_pair) without descriptors.
//! In the repository, `examples/uppercase_echo.rs` is this server with limits and time-outs.
//!
//! # What is told, and when
//!
//! ```text
//!   connected from here:  Opened, Resolved?, Connected, Handshaked? ─┐
//!   accepted:             Opened, Accepted, Handshaked? ─────────────┤
//!                                                                    ▼
//!            Received, Sent, Drained, Timer, Timeout, Wakeup, as things happen
//!                                                                    ▼
//!                                                   Eof?, Error?, Closed
//! ```
//!
//! `Resolved` comes if there was a name, `Handshaked` if there is TLS. **`Closed` comes once, as the last**, for
//! each stream that exists: what belongs to a connection is given back there. What a peer has sent is told
//! before its end is. All is told by the loop, never from inside a verb.
//!
//! ```
//! use evloop::EvLoop;
//! use evloop::net::{Reason, StreamEvent};
//! use std::{cell::RefCell, rc::Rc};
//!
//! let mut ev = EvLoop::new()?;
//! let listener = ev.listen("127.0.0.1:0", |ev, accepted| {
//!     accepted.listener().close(ev);
//!     let stream = accepted.serve(ev, |_, _, _| {});
//!     let _ = stream.write(ev, "that is all");
//!     stream.close_after_flush(ev);
//! })?;
//! let told = Rc::new(RefCell::new(Vec::new()));
//! let note = Rc::clone(&told);
//! let address = listener.addresses(&ev).remove(0);
//! ev.connect(address, move |ev, stream, event| {
//!     if let StreamEvent::Eof { .. } = event {
//!         stream.close_after_flush(ev);
//!     }
//!     note.borrow_mut().push(match event {
//!         StreamEvent::Opened => "opened",
//!         StreamEvent::Connected => "connected",
//!         StreamEvent::Received(11) => "received",
//!         StreamEvent::Eof { clean: true } => "eof",
//!         StreamEvent::Closed(Reason::Flushed) => "closed",
//!         _ => "something else",
//!     });
//! })?;
//! ev.run()?;
//! assert_eq!(*told.borrow(), ["opened", "connected", "received", "eof", "closed"]);
//! # Ok::<(), evloop::Error>(())
//! ```
//!
//! # Taking what is there, leaving the rest
//!
//! `Received` says that the [input](crate::net::Stream::input) has grown, not that a message is there. Take the
//! messages that are whole, and leave the beginning of the next: it is told again when there is more. Here a
//! message is two bytes with its length, and so many bytes:
//!
//! ```
//! use evloop::EvLoop;
//! use evloop::net::{Stream, StreamEvent};
//! # use std::{cell::RefCell, rc::Rc};
//!
//! fn next(ev: &mut EvLoop, stream: Stream) -> Option<Vec<u8>> {
//!     let mut head = [0; 2];
//!     let mut input = stream.input(ev);
//!     if input.copy_out(0, &mut head) < 2 {
//!         return None;
//!     }
//!     let length = usize::from(u16::from_be_bytes(head));
//!     if input.len() < 2 + length {
//!         return None;
//!     }
//!     input.drain(2);
//!     drop(input); // lent, with the loop
//!     Some(stream.take(ev, length))
//! }
//!
//! # let messages = Rc::new(RefCell::new(Vec::new()));
//! # let note = Rc::clone(&messages);
//! let mut ev = EvLoop::new()?;
//! let (one, _other) = ev.stream_pair(
//!     |_, _, _| {},
//!     move |ev, stream, event| match event {
//!         StreamEvent::Received(_) => {
//!             while let Some(message) = next(ev, stream) {
//!                 // …
//! #               note.borrow_mut().push(message);
//!             }
//!         }
//!         StreamEvent::Eof { .. } => stream.close_now(ev),
//!         _ => {}
//!     },
//! )?;
//! one.write(&mut ev, b"\x00\x03one\x00\x05th")?; // one and a half
//! # ev.turn(Some(std::time::Duration::ZERO))?;
//! # assert_eq!(*messages.borrow(), [b"one"]);
//! one.write(&mut ev, b"ree")?;
//! one.close_after_flush(&mut ev);
//! ev.run()?;
//! # assert_eq!(*messages.borrow(), [b"one".to_vec(), b"three".to_vec()]);
//! # Ok::<(), evloop::Error>(())
//! ```
//!
//! Lines have [`take_line`](crate::net::Stream::take_line), with the longest there may be. Where nothing can be done
//! with less than so many bytes, a [low mark](crate::net::Stream::set_read_marks) has the handler called no
//! sooner. Whatever is taken byte by byte is looked at once: a search goes on where the last one ended.
//!
//! # Back-pressure
//!
//! What is written and not read by the peer waits here. Three limits say how much that may be:
//!
//! | limit | default | there |
//! |---|---|---|
//! | output, [soft](crate::net::Stream::set_write_limits) | 256 KiB | `write` takes the bytes and says [`Full`](crate::net::Written::Full): stop until `Drained` |
//! | output, hard | 1 MiB | `write` takes nothing, and fails with [`ErrorKind::Full`](crate::ErrorKind::Full) |
//! | input, [high mark](crate::net::Stream::set_read_marks) | none | nothing more is read until something was taken |
//!
//! Who makes up what is sent stops at `Full`, and goes on at `Drained`:
//!
//! ```
//! use evloop::EvLoop;
//! use evloop::net::{Stream, StreamEvent, Written};
//!
//! fn go_on(ev: &mut EvLoop, stream: Stream, line: &mut u32) {
//!     while *line < 100_000 {
//!         *line += 1;
//!         match stream.write(ev, format!("line {line}\n")) {
//!             Ok(Written::Room) => {}
//!             Ok(Written::Full) => return,
//!             Err(_) => return stream.close_now(ev),
//!         }
//!     }
//!     stream.close_after_flush(ev);
//! }
//!
//! let mut ev = EvLoop::new()?;
//! let mut line = 0;
//! # let bytes = std::rc::Rc::new(std::cell::Cell::new(0));
//! # let count = std::rc::Rc::clone(&bytes);
//! ev.stream_pair(
//!     move |ev, stream, event| match event {
//!         StreamEvent::Connected | StreamEvent::Drained => go_on(ev, stream, &mut line),
//!         _ => assert!(stream.output_len(ev) < 300_000),
//!     },
//!     move |ev, stream, event| match event {
//!         StreamEvent::Received(n) => {
//! #           count.set(count.get() + n);
//!             stream.input(ev).drain(n);
//!         }
//!         StreamEvent::Eof { .. } => stream.close_now(ev),
//!         _ => {}
//!     },
//! )?;
//! ev.run()?;
//! # assert_eq!(bytes.get(), 1_088_895);
//! # Ok::<(), evloop::Error>(())
//! ```
//!
//! Who answers what comes has to hold up the peer: at `Full` it takes no more of the input and
//! [disables reading](crate::net::Stream::disable_read), at `Drained` it enables it and goes on with what is
//! there. The system's buffers fill, and then the peer's writes wait. Who passes on from one stream to another has
//! [`forward`](crate::net::Stream::forward), which stops at the soft limit by itself, and sets a high mark on the
//! input:
//!
//! ```
//! use evloop::EvLoop;
//! use evloop::net::{Stream, StreamEvent};
//!
//! /// The handler of either side of a relay; the other's is the same with the two exchanged.
//! fn relay(ev: &mut EvLoop, from: Stream, to: Stream, event: StreamEvent) {
//!     match event {
//!         StreamEvent::Opened => drop(from.set_read_marks(ev, 0, Some(256 * 1024))),
//!         StreamEvent::Received(_) => drop(from.forward(ev, to, usize::MAX)),
//!         // There is room here: for what waits over there.
//!         StreamEvent::Drained => drop(to.forward(ev, from, usize::MAX)),
//!         StreamEvent::Eof { .. } => {
//!             let rest = from.take_all(ev);
//!             let _ = to.write_owned(ev, rest);
//!             to.shutdown_write(ev); // the other way goes on
//!         }
//!         StreamEvent::Closed(_) => to.close_after_flush(ev),
//!         _ => {}
//!     }
//! }
//! ```
//!
//! **Bytes that are [shared](crate::net::Stream::write_shared), and parts of files, are never refused**: they take no
//! memory of the stream, so they do not count against the hard limit. Who sends the same to many looks for `Full`, or
//! asks for
//! [`output_len`](crate::net::Stream::output_len), and decides whom to drop. `examples/chat.rs` does.
//!
//! # Time-outs and deadlines
//!
//! | | told or done | for |
//! |---|---|---|
//! | [`set_read_timeout`](crate::net::Stream::set_read_timeout) | `Timeout(Read)`: nothing has come for so long | peers that are silent |
//! | [`set_write_timeout`](crate::net::Stream::set_write_timeout) | `Timeout(Write)`: something waits, and nothing was taken | peers that do not read |
//! | [`set_deadline`](crate::net::Stream::set_deadline) | closed, whatever goes on | peers that send a byte a second |
//! | [`set_timer`](crate::net::Stream::set_timer) | `Timer` | whatever the protocol wants |
//! | [`ConnectOptions::timeout`](crate::net::ConnectOptions::timeout) | closed | a connection that is being made; 10 s unless told otherwise |
//!
//! A time-out closes nothing. It disables its direction and is told; the handler decides. There is none unless it
//! was set, so a server sets one: a peer that goes without a word is noticed by nothing else, but for
//! [keep-alive probes](crate::net::Stream::set_keepalive).
//!
//! ```
//! use evloop::EvLoop;
//! use evloop::net::{Direction, StreamEvent};
//! use std::os::unix::net::UnixStream;
//! use std::time::Duration;
//!
//! let mut ev = EvLoop::new()?;
//! let (socket, _silent) = UnixStream::pair()?;
//! ev.stream(socket, |ev, stream, event| match event {
//!     StreamEvent::Opened => drop(stream.set_read_timeout(ev, Some(Duration::from_millis(10)))),
//!     StreamEvent::Timeout(Direction::Read) => {
//!         let _ = stream.write(ev, "too slow\n");
//!         stream.close_after_flush(ev);
//!     }
//!     _ => {}
//! })?;
//! ev.run()?;
//! # let mut said = String::new();
//! # std::io::Read::read_to_string(&mut &_silent, &mut said)?;
//! # assert_eq!(said, "too slow\n");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! To be active costs nothing: thousands of streams that push their time-outs back share one timer of the loop.
//!
//! # Ending
//!
//! | verb | what waits | the peer sees |
//! |---|---|---|
//! | [`shutdown_write`](crate::net::Stream::shutdown_write) | is sent; reading goes on | an end, and may answer |
//! | [`close_after_flush`](crate::net::Stream::close_after_flush) | is sent | an end |
//! | [`close_lingering`](crate::net::Stream::close_lingering) | is sent; what still comes is thrown away for a second | an end, also one that was still sending |
//! | [`close_now`](crate::net::Stream::close_now) | is thrown away | an end, or a reset if it was still sending |
//! | [`reset`](crate::net::Stream::reset) | is thrown away | a reset |
//!
//! `Eof` closes nothing by itself: the peer has ended its side, and may wait for an answer. Answer and close
//! there, or [have it done](crate::net::Stream::set_close_on_eof). `Closed` has the [`Reason`](crate::net::Reason).
//!
//! A server that is to end closes its listener and then its streams. The loop ends by itself when they
//! are gone:
//!
//! ```
//! # use evloop::EvLoop;
//! # use evloop::net::Listener;
//! fn end(ev: &mut EvLoop, listener: Listener) {
//!     listener.close(ev);
//!     for stream in ev.streams() {
//!         stream.close_after_flush(ev);
//!     }
//! }
//! # let mut ev = EvLoop::new()?;
//! # let listener = ev.listen("127.0.0.1:0", |_, _| {})?;
//! # ev.stream_pair(|_, _, _| {}, |_, _, _| {})?;
//! # end(&mut ev, listener);
//! # ev.run()?;
//! # assert_eq!(ev.stream_count(), 0);
//! # Ok::<(), evloop::Error>(())
//! ```
//!
//! # TLS
//!
#![cfg_attr(
    feature = "tls",
    doc = "
TLS is a [filter](crate::net::Filter) on a stream. What the handler takes and writes is in the clear, the rest is as before.
[`Handshaked`](crate::net::StreamEvent::Handshaked) is told when both ends have agreed, and what is written before waits for
that. A handshake has 10 s.

```no_run
use evloop::EvLoop;
use evloop::net::{StreamEvent, TlsClient, TlsInfo, TlsServer};

let mut ev = EvLoop::new()?;
let tls = TlsServer::new(std::fs::read(\"chain.pem\")?, std::fs::read(\"key.pem\")?)?;
ev.listen(\":8443\", move |ev, accepted| {
    accepted.serve_tls(ev, &tls, |ev, stream, event| match event {
        StreamEvent::Handshaked => {
            let info = stream.filter_info::<TlsInfo>(ev); // version, name asked for, certificates
        }
        // …
        _ => {}
    });
})?;

let trust = TlsClient::new()?; // who is trusted by browsers
let client = ev.connect(\"example.org:443\", |ev, stream, event| { /* … */ })?;
client.start_tls_client(&mut ev, &trust, \"example.org\")?;
# Ok::<(), Box<dyn std::error::Error>>(())
```

It may also begin in the middle, as with `STARTTLS`: what has come and was not taken counts as the beginning of the
handshake. [`TlsServer::reload`](crate::net::TlsServer::reload) changes the certificate while connections are open;
`examples/tls_echo.rs` does so at `SIGHUP`.

An end that TLS did not announce may be forged by anybody on the way: `Eof { clean: false }`. Where the protocol itself
does not say where its messages end, what came before it should not be believed."
)]
#![cfg_attr(
    not(feature = "tls"),
    doc = "TLS is a [filter](crate::net::Filter) on a stream; it comes with the feature `tls`, which is turned off here."
)]
//!
//! # Many connections, other threads
//!
//! Each stream has an [`id`](crate::net::Stream::id) that no other has, ever, in the process.
//! [`streams`](crate::EvLoop::streams) lists those there are, and any may be closed on the way through the list.
//! What belongs to one connection lives in its handler; what others need too is
//! [attached](crate::net::Stream::set_data).
//!
//! Streams stay on their loop's thread. Others send them messages, to one or to many, which arrive as
//! `Wakeup`:
//!
//! ```
//! use evloop::EvLoop;
//! use evloop::net::{Shared, StreamEvent};
//! # use std::io::Read;
//! # use std::os::unix::net::UnixStream;
//!
//! let mut ev = EvLoop::new()?;
//! # let (socket, mut peer) = UnixStream::pair()?;
//! let stream = ev.stream(socket, |ev, stream, event| {
//!     if let StreamEvent::Wakeup(message) = event {
//!         if let Some(news) = message.downcast_ref::<Shared>() {
//!             let _ = stream.write_shared(ev, news.clone()); // in memory once, for all of them
//!         }
//! #       stream.close_after_flush(ev);
//!     }
//! })?;
//! let everybody = ev.stream_remote();
//! std::thread::spawn(move || {
//!     everybody.broadcast(|_, _| true, Shared::from_static(b"news\n"));
//! });
//! ev.run()?;
//! # let mut said = String::new();
//! # peer.read_to_string(&mut said)?;
//! # assert_eq!(said, "news\n");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! One thread serves thousands of connections. Where its processor is what they wait for, let one loop accept, and
//! [others](crate::net::LoopThread) serve:
//!
//! ```
//! use evloop::EvLoop;
//! use evloop::net::{LoopThread, Stream, StreamEvent};
//! # use std::io::Read;
//!
//! fn serve(ev: &mut EvLoop, stream: Stream, event: StreamEvent) {
//!     match event {
//!         StreamEvent::Accepted => {
//!             let name = std::thread::current().name().unwrap_or_default().to_owned();
//!             let _ = stream.write(ev, format!("served by {name}\n"));
//!             stream.close_after_flush(ev);
//!         }
//!         _ => {}
//!     }
//! }
//!
//! let start = |n| LoopThread::spawn(format!("server {n}"), |_| Ok(()));
//! let threads = (1..=2).map(start).collect::<evloop::Result<Vec<_>>>()?;
//! let mut turns = (0..threads.len()).cycle();
//!
//! let mut ev = EvLoop::new()?;
//! let listener = ev.listen("127.0.0.1:0", move |_, accepted| {
//!     let thread = &threads[turns.next().unwrap_or(0)];
//!     thread.post(move |ev| {
//!         accepted.serve(ev, serve);
//!     });
//! })?;
//! # let address = listener.addresses(&ev)[0].to_string();
//! # let remote = ev.remote();
//! # let client = std::thread::spawn(move || {
//! #     let mut said = String::new();
//! #     for _ in 0..2 {
//! #         std::net::TcpStream::connect(&address).unwrap().read_to_string(&mut said).unwrap();
//! #     }
//! #     remote.break_loop(evloop::Break::All);
//! #     said
//! # });
//! ev.run()?;
//! # assert_eq!(client.join().unwrap(), "served by server 1\nserved by server 2\n");
//! # Ok::<(), evloop::Error>(())
//! ```
//!
//! Limits of the listener hold over all of them. A loop per thread that accepts by itself is the other way:
//! [`reuse_port`](crate::net::ListenOptions::reuse_port). A stream that is open already moves as
//! [`Parts`](crate::net::Parts).
//!
//! # The words of others
//!
//! | libevent | mongoose | libmicrohttpd | here |
//! |---|---|---|---|
//! | `event_base` | `mg_mgr` | `MHD_Daemon` | [`EvLoop`](crate::EvLoop) |
//! | `bufferevent` | `mg_connection` | `MHD_Connection` | [`Stream`](crate::net::Stream) |
//! | `evbuffer` | `mg_iobuf` | – | [`Buffer`](crate::net::Buffer) |
//! | `bufferevent_setcb` | `c->fn` | – | the handler; [`set_handler`](crate::net::Stream::set_handler) |
//! | the argument of callbacks | `c->fn_data`, `c->data` | `MHD_CONNECTION_INFO_SOCKET_CONTEXT` | what the closure holds; [`set_data`](crate::net::Stream::set_data) |
//! | `bufferevent_socket_connect_hostname` | `mg_connect` | – | [`EvLoop::connect`](crate::EvLoop::connect) |
//! | `bufferevent_socket_new` | `mg_wrapfd` | `MHD_add_connection` | [`EvLoop::stream`](crate::EvLoop::stream) |
//! | `bufferevent_pair_new` | – | – | [`EvLoop::stream_pair`](crate::EvLoop::stream_pair) |
//! | `evconnlistener_new_bind` | `mg_listen` | `MHD_start_daemon` | [`EvLoop::listen`](crate::EvLoop::listen) |
//! | `evconnlistener_new` | – | `MHD_OPTION_LISTEN_SOCKET` | [`ListenOptions::adopt`](crate::net::ListenOptions::adopt) |
//! | `evconnlistener_disable` | – | – | [`Listener::pause`](crate::net::Listener::pause) |
//! | – | – | `MHD_quiesce_daemon` | [`Listener::into_fds`](crate::net::Listener::into_fds) |
//! | – | – | `MHD_OPTION_CONNECTION_LIMIT`, `MHD_OPTION_PER_IP_CONNECTION_LIMIT` | [`max_connections`](crate::net::ListenOptions::max_connections), [`max_per_ip`](crate::net::ListenOptions::max_per_ip) |
//! | `bufferevent_get_input` | `c->recv` | – | [`input`](crate::net::Stream::input) |
//! | `bufferevent_read`, `evbuffer_drain` | `mg_iobuf_del` | – | [`take`](crate::net::Stream::take), [`Buffer::drain`](crate::net::Buffer::drain) |
//! | `bufferevent_write` | `mg_send` | – | [`write`](crate::net::Stream::write) |
//! | `evbuffer_add_printf` | `mg_printf` | – | `write!` to a [`writer`](crate::net::Stream::writer) |
//! | `evbuffer_add_reference` | – | `MHD_create_response_from_buffer` | [`write_shared`](crate::net::Stream::write_shared) |
//! | `evbuffer_add_file` | – | `MHD_create_response_from_fd` | [`write_file`](crate::net::Stream::write_file) |
//! | `bufferevent_setwatermark` | – | – | [`set_read_marks`](crate::net::Stream::set_read_marks), [`set_write_mark`](crate::net::Stream::set_write_mark) |
//! | `bufferevent_enable`, `bufferevent_disable` | `c->is_full` | `MHD_suspend_connection`, `MHD_resume_connection` | [`enable_read`](crate::net::Stream::enable_read), [`disable_read`](crate::net::Stream::disable_read), … |
//! | `bufferevent_set_timeouts` | – | `MHD_OPTION_CONNECTION_TIMEOUT` | [`set_read_timeout`](crate::net::Stream::set_read_timeout), [`set_write_timeout`](crate::net::Stream::set_write_timeout) |
//! | `bufferevent_set_rate_limit`, `bufferevent_rate_limit_group` | – | – | [`set_rate`](crate::net::Stream::set_rate), [`RateGroup`](crate::net::RateGroup) |
//! | `bufferevent_filter_new` | `c->pfn` | – | [`push_filter`](crate::net::Stream::push_filter) |
//! | `bufferevent_free` | `c->is_closing` | – | [`close_now`](crate::net::Stream::close_now) |
//! | – | `c->is_draining` | – | [`close_after_flush`](crate::net::Stream::close_after_flush) |
//! | read callback | `MG_EV_READ` | – | [`Received`](crate::net::StreamEvent::Received) |
//! | write callback | – | – | [`Drained`](crate::net::StreamEvent::Drained) |
//! | – | `MG_EV_WRITE` | – | [`Sent`](crate::net::StreamEvent::Sent) |
//! | `BEV_EVENT_CONNECTED` | `MG_EV_CONNECT`, `MG_EV_ACCEPT` | `MHD_CONNECTION_NOTIFY_STARTED` | [`Connected`](crate::net::StreamEvent::Connected), [`Accepted`](crate::net::StreamEvent::Accepted) |
//! | `BEV_EVENT_EOF`, `BEV_EVENT_ERROR`, `BEV_EVENT_TIMEOUT` | –, `MG_EV_ERROR`, – | – | [`Eof`](crate::net::StreamEvent::Eof), [`Error`](crate::net::StreamEvent::Error), [`Timeout`](crate::net::StreamEvent::Timeout) |
//! | – | `MG_EV_CLOSE` | `MHD_CONNECTION_NOTIFY_CLOSED` | [`Closed`](crate::net::StreamEvent::Closed) |
//! | – | `MG_EV_POLL` | – | a timer: [`set_timer_every`](crate::net::Stream::set_timer_every) |
//! | – | `mgr->conns` | – | [`EvLoop::streams`](crate::EvLoop::streams) |
//! | – | `mg_wakeup` | – | [`StreamRemote::post`](crate::net::StreamRemote::post), [`broadcast`](crate::net::StreamRemote::broadcast) |
//! | `evdns_getaddrinfo` | the built-in resolver | – | [`EvLoop::resolve`](crate::EvLoop::resolve), with the system's own |
//! | locks, `BEV_OPT_THREADSAFE` | – | `MHD_USE_*_THREAD*` | none: each loop has its thread, and a [`LoopThread`](crate::net::LoopThread) is one with a loop |
//!
//! What differs: in libevent a bufferevent reads only when it is enabled, here from the start; its write
//! callback is called whenever the output is at the mark, `Drained` only when it falls to it; and freeing is
//! not needed, for a stream that is closed is gone.
//!
//! # Sharp edges
//!
//! * **A stream that nobody closes stays**, and keeps the loop running. Close at `Eof`, and set a time-out.
//! * **What `write` returns is part of the protocol.** Who ignores it loses what did not fit, and sends
//!   nonsense afterwards.
//! * **A handler that is told of one stream may close another.** That one's `Closed` comes later in the
//!   iteration; until then its verbs do nothing, or return [`ErrorKind::Closed`](crate::ErrorKind::Closed).
//! * **An [`Input`](crate::net::Input) has the loop lent** as long as it is there: let it go before calling a verb.
//! * **Names are resolved on a thread** of the work pool, with the system's resolver. That thread, and no other,
//!   waits as long as that takes.
