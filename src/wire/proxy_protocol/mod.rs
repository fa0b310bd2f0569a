//! The PROXY protocol, versions 1 and 2: who a proxy says that the client is.
//!
//! A proxy that passes a connection on hides who is at its other end. With this protocol (by HAProxy; nginx, Envoy, the
//! balancers of the large clouds speak it too) it says so in front of everything else, once per connection:
//!
//! ```
//! use evloop::wire::proxy_protocol::{ProxyCommand, ProxyLimits, ProxyParser};
//!
//! let mut parser = ProxyParser::new(ProxyLimits::default());
//! let input = b"PROXY TCP4 203.0.113.7 192.0.2.1 51234 443\r\nGET / HTTP/1.1\r\n";
//! let progress = parser.feed(input)?;
//! assert!(progress.done); // else: read more, and feed that
//! assert_eq!(&input[progress.used..], b"GET / HTTP/1.1\r\n");
//!
//! let header = parser.header().expect("it is done");
//! assert_eq!(header.command(), ProxyCommand::Proxy);
//! assert_eq!(header.source(), Some("203.0.113.7:51234".parse()?));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Version 1 is a line of text of at most 107 bytes. Version 2 is binary, and can say more: the name the client has asked
//! for, what is known of its TLS, an id ([`ProxyHeader::tlvs`]). The parser takes both, and nothing else.
//!
//! # What always holds
//!
//! * **However the bytes are cut, the outcome is the same**, and no byte behind the header is taken.
//! * **A byte that cannot be is a fault at once**: the first byte of a request, say. Nothing is ever
//!   taken for a request because it is no header, nor the other way round.
//! * **Memory is that of the header**, at most [`ProxyLimits`]; none is taken for a length that was only announced.
//! * **A fault is the end**, and comes again from every further call.
//!
//! # Sharp edges
//!
//! * **Whoever can connect can say this.** Take it only from addresses that are known to be proxies, and there take
//!   nothing without it: the protocol has no room for guessing, for he who may choose whether to send it chooses who he
//!   is.
//! * **[`Local`](ProxyCommand::Local), and [`Unspecified`](ProxyAddresses::Unspecified) addresses**, mean that the
//!   connection is the proxy's own, as those of its health checks are, or that it has no name for the client: what the
//!   socket says is true then.
//! * A deadline is for the caller to keep: 3 s is usual.

mod checksum;
mod fault;
mod header;
mod parser;
mod tlv;
mod write;

pub use fault::ProxyFault;
pub use header::{ProxyAddresses, ProxyCommand, ProxyHeader};
pub use parser::{ProxyLimits, ProxyParser};
pub use tlv::{ProxySsl, ProxyTlvs, tlv_type};

/// What version 2 begins with.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// What version 2 has before addresses: the signature, two bytes, and a length.
const FIXED: usize = 16;

/// The most that a header of version 1 has, with its line end.
const LONGEST_LINE: usize = 107;

/// What a path of a Unix socket has.
const PATH: usize = 108;
