//! What a connection agreed on.

use std::fmt;

/// A version of TLS. Older ones are not spoken.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum TlsVersion {
    /// TLS 1.2, only with forward secrecy and authenticated encryption.
    Tls12,
    /// TLS 1.3.
    Tls13,
}

impl fmt::Display for TlsVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tls12 => "TLSv1.2",
            Self::Tls13 => "TLSv1.3",
        })
    }
}

/// What the two ends of a connection agreed on in the handshake, and what they told each other. More may
/// join.
///
/// It is what [`Stream::filter_info`](crate::net::Stream::filter_info) answers for TLS, once the
/// handshake is done.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct TlsInfo {
    /// The version of the protocol.
    pub version: TlsVersion,
    /// The cipher suite, `TLS13_AES_256_GCM_SHA384` for example.
    pub suite: &'static str,
    /// The protocol chosen with ALPN. `None` if one of the ends named none.
    pub alpn: Option<Vec<u8>>,
    /// On a server, the name that the client asked for, in lower case (SNI): it has chosen the
    /// certificate, and it authorises nothing, for a client may ask for any name and then send requests
    /// for another. On a client, the name that it was given.
    pub server_name: Option<String>,
    /// The certificates of the peer, each as DER, its own first; verified, unless verification was turned off.
    /// On a server, empty if it did not ask for one or the client had none.
    pub peer_certificates: Vec<Vec<u8>>,
    /// Whether an earlier session went on: then the certificates are those of that one, and were not
    /// verified anew.
    pub resumed: bool,
}
