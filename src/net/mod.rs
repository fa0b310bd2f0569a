//! Connections: buffered streams, listeners, name resolution, datagrams, TLS. Feature `net`.
//!
//! It is to [`EvLoop`](crate::EvLoop) what libevent's bufferevents and listeners are to its base, made of the
//! loop's public watchers and nothing else. The guide has a [chapter](crate::guide::connections) on how it is used.
//!
//! A TCP server that answers lines in upper case:
//!
//! ```
//! use evloop::EvLoop;
//! use evloop::net::{Eol, Stream, StreamEvent};
//!
//! fn serve(ev: &mut EvLoop, stream: Stream, event: StreamEvent) {
//!     match event {
//!         StreamEvent::Received(_) => {
//!             while let Ok(Some(mut line)) = stream.take_line(ev, Eol::Lf, 4096) {
//!                 line.make_ascii_uppercase();
//!                 line.push(b'\n');
//!                 if stream.write_owned(ev, line).is_err() {
//!                     return stream.close_now(ev); // does not read what it asked for
//!                 }
//!             }
//!         }
//!         StreamEvent::Eof { .. } => stream.close_after_flush(ev),
//!         _ => {}
//!     }
//! }
//!
//! let mut ev = EvLoop::new()?;
//! let listener = ev.listen("127.0.0.1:0", |ev, accepted| {
//!     accepted.serve(ev, serve);
//! })?;
//! # let address = listener.addresses(&ev)[0].to_string();
//! # let remote = ev.remote();
//! # let client = std::thread::spawn(move || {
//! #     use std::io::{Read, Write};
//! #     let mut client = std::net::TcpStream::connect(address).unwrap();
//! #     let mut answer = [0; 6];
//! #     client.write_all(b"hello\n").unwrap();
//! #     client.read_exact(&mut answer).unwrap();
//! #     remote.break_loop(evloop::Break::All);
//! #     answer
//! # });
//! ev.run()?;
//! # assert_eq!(&client.join().unwrap(), b"HELLO\n");
//! # Ok::<(), evloop::Error>(())
//! ```
//!
//! # The parts
//!
//! | | what it is | libevent |
//! |---|---|---|
//! | [`Stream`] | a connection: a descriptor, its buffers, a handler that gets [`StreamEvent`]s | `bufferevent` |
//! | [`Listener`], [`Accepted`] | who connects here; with options, [`ListenOptions`] | `evconnlistener` |
//! | [`EvLoop::connect`](crate::EvLoop::connect) | connects from here, also by name; with options, [`ConnectOptions`] | `bufferevent_socket_connect_hostname` |
//! | [`EvLoop::stream`](crate::EvLoop::stream), [`stream_of_two`](crate::EvLoop::stream_of_two) | makes a stream of what is open already: sockets, pipes, terminals | `bufferevent_socket_new` |
//! | [`EvLoop::stream_pair`](crate::EvLoop::stream_pair) | two streams, connected inside the loop | `bufferevent_pair_new` |
//! | [`Buffer`], [`Shared`] | the byte queue of streams, and bytes that many of them hold at once | `evbuffer`, its references |
//! | [`Filter`] | what is between a stream's buffers and its descriptor | `bufferevent_filter_new` |
//! | [`RateLimit`], [`RateGroup`] | how fast a stream may be, or many together | `bufferevent_set_rate_limit`, `bufferevent_rate_limit_group` |
//! | [`StreamRemote`] | messages to streams from other threads | – |
//! | [`Parts`] | a stream on its way to another loop | – |
//! | [`Datagram`], [`DatagramOptions`] | UDP and Unix datagrams | – |
//! | [`Address`] | where something listens or is reached, as people write it | `evutil_parse_sockaddr_port` |
//! | [`EvLoop::resolve`](crate::EvLoop::resolve) | addresses of a name, by the system's resolver on a thread | `evdns_getaddrinfo` |
//! | [`EvLoop::work`](crate::EvLoop::work) | blocking work on threads, its result on the loop | – |
//! | [`LoopThread`] | a thread with a loop of its own | – |
//! | [`recv_with_fds`], [`send_with_fds`], [`peer_credentials`] | descriptors and credentials over Unix sockets | – |
#![cfg_attr(
    feature = "tls",
    doc = "| [`TlsServer`], [`TlsClient`] | TLS on a stream, over rustls | `bufferevent_openssl_socket_new` |"
)]
#![cfg_attr(
    not(feature = "tls"),
    doc = "| `TlsServer`, `TlsClient` | TLS on a stream; they come with the feature `tls`, which is turned off here | `bufferevent_openssl_socket_new` |"
)]
//!
//! # What holds for all of them
//!
//! * **Keys.** [`Stream`], [`Listener`] and [`Datagram`] are numbers, as watchers are. Verbs on what is closed do
//!   nothing or return an error, and never reach another.
//! * **Nobody is called from inside a verb.** Callbacks are called by the loop. They may close everything,
//!   that they are called for included, panic, and run the loop.
//! * **Everything has an end and a size.** What waits is limited, and has a time-out or can be given one. Each
//!   says what the limits are.
//! * **Descriptors** are non-blocking and close-on-exec from birth. No `SIGPIPE` comes of them.

mod address;
mod buffer;
mod crew;
mod datagram;
mod dial;
mod filter;
mod listener;
mod rate;
mod resolve;
mod search;
mod segment;
mod shared;
mod socket;
mod stream;
mod thread;
#[cfg(feature = "tls")]
mod tls;
mod unix;
mod work;

pub use address::{Address, Place, Scheme};
pub use buffer::{Buffer, Chunk, Chunks, FileChunk};
pub use crew::{set_work_queue, set_work_threads};
pub use datagram::{
    Datagram, DatagramCounters, DatagramEvent, DatagramOptions, DropPolicy, Interface, Packet,
    Peer, Sent,
};
pub use dial::{Attempt, ConnectError, ConnectOptions, Family};
pub use filter::{Filter, FilterError, Mode, Pass, Verdict};
pub use listener::{
    AcceptError, Accepted, InheritedFd, ListenAddresses, ListenOptions, Listener, ListenerPause,
    ListenerStats, Permit, listen_fds_from_environment, listeners,
};
pub use rate::{RateGroup, RateLimit};
pub use resolve::Resolve;
pub use search::{Eol, Line, LineTooLong};
pub use shared::Shared;
pub use stream::{
    Direction, Input, LimitKind, Message, Parts, Phase, Reason, Stream, StreamEvent, StreamInfo,
    StreamRemote, StreamState, Writer, Written,
};
#[cfg(feature = "http-server")]
pub(crate) use stream::{serve_accepted, serve_given};
pub use thread::LoopThread;
#[cfg(feature = "tls")]
#[cfg_attr(docsrs, doc(cfg(feature = "tls")))]
pub use tls::{
    ClientCertificates, ClientHello, TlsClient, TlsClientBuilder, TlsFault, TlsIdentity, TlsInfo,
    TlsServer, TlsServerBuilder, TlsVersion,
};
pub use unix::{PeerCredentials, peer_credentials, recv_with_fds, send_with_fds};
pub use work::Work;
