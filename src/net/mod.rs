//! Connections: what lies between a descriptor that is ready and a protocol.
//!
//! So far these are its parts:
//!
//! * [`Buffer`]: the byte queue, what libevent calls an `evbuffer`, and [`Shared`], bytes that many buffers
//!   hold at once. Neither knows loops, watchers or sockets.
//! * [`Address`]: where something listens or is reached, as people write it.
//! * [`EvLoop::work`](crate::EvLoop::work): blocking work on threads, its result on the loop.
//!
//! ```
//! use evloop::net::{Buffer, Eol};
//!
//! let mut input = Buffer::new();
//! input.append(b"GET / HTTP/1.1\r\nHost: exa"); // as much as the peer has sent
//! assert_eq!(input.take_line(Eol::CrLf, 8192)?.unwrap(), b"GET / HTTP/1.1");
//! assert_eq!(input.take_line(Eol::CrLf, 8192)?, None); // not complete yet
//! input.append(b"mple\r\n");
//! assert_eq!(input.take_line(Eol::CrLf, 8192)?.unwrap(), b"Host: example");
//! # Ok::<(), evloop::net::LineTooLong>(())
//! ```

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
    Direction, Input, Message, Parts, Phase, Reason, Stream, StreamEvent, StreamInfo, StreamRemote,
    StreamState, Writer, Written,
};
pub use thread::LoopThread;
#[cfg(feature = "tls")]
#[cfg_attr(docsrs, doc(cfg(feature = "tls")))]
pub use tls::{
    ClientCertificates, ClientHello, TlsClient, TlsClientBuilder, TlsFault, TlsIdentity, TlsInfo,
    TlsServer, TlsServerBuilder, TlsVersion,
};
pub use unix::{PeerCredentials, peer_credentials, recv_with_fds, send_with_fds};
pub use work::Work;
