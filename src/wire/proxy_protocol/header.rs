use std::net::SocketAddr;

use super::tlv::{ProxySsl, ProxyTlvs, tlv_type};

/// On whose behalf a proxy has connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProxyCommand {
    /// On its own, to see whether we are well for example: what the socket says is true.
    Local,
    /// On that of a client.
    Proxy,
}

/// Both ends of the connection between a client and its proxy.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum ProxyAddresses {
    /// The proxy does not say, or does not know (`UNKNOWN`, `AF_UNSPEC`).
    #[default]
    Unspecified,
    /// Of TCP.
    Inet {
        /// The client's.
        source: SocketAddr,
        /// What the client has connected to.
        destination: SocketAddr,
    },
    /// Paths of Unix sockets, without the zeros behind them. Those of abstract sockets begin with a zero; one that has
    /// no name is empty.
    Unix {
        /// The client's, which seldom has one.
        source: Vec<u8>,
        /// What the client has connected to.
        destination: Vec<u8>,
    },
}

/// What a header of the PROXY protocol says. Read by a [`ProxyParser`](super::ProxyParser); made for
/// [writing](Self::write_v2) by those who are proxies, or test servers behind one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ProxyHeader {
    pub(super) command: ProxyCommand,
    pub(super) addresses: ProxyAddresses,
    /// Types, lengths and values as they were sent, without the checksum and what is there to fill up.
    pub(super) tlvs: Vec<u8>,
    pub(super) checksum: bool,
}

impl ProxyHeader {
    /// Of a connection that is the proxy's own.
    #[must_use]
    pub fn local() -> Self {
        Self { command: ProxyCommand::Local, ..Self::unknown() }
    }

    /// Of a client that cannot be named.
    #[must_use]
    pub fn unknown() -> Self {
        Self {
            command: ProxyCommand::Proxy,
            addresses: ProxyAddresses::Unspecified,
            tlvs: Vec::new(),
            checksum: false,
        }
    }

    /// Of a client at `source`, which has connected to `destination`. Should one be of IPv4 and the other of
    /// IPv6, the first is sent as it is mapped into the second.
    #[must_use]
    pub fn inet(source: SocketAddr, destination: SocketAddr) -> Self {
        let addresses = ProxyAddresses::Inet { source, destination };
        Self { addresses, ..Self::unknown() }
    }

    /// Of a client on a Unix socket.
    #[must_use]
    pub fn unix(source: impl Into<Vec<u8>>, destination: impl Into<Vec<u8>>) -> Self {
        let addresses =
            ProxyAddresses::Unix { source: source.into(), destination: destination.into() };
        Self { addresses, ..Self::unknown() }
    }

    /// Adds an extension: its type, of [`tlv_type`] or one's own from 0xE0 to 0xEF, and its value. Only version 2 has
    /// those, and only with addresses. Of a value of more than 65 535 bytes the end is left out, which makes the
    /// header longer than [can be written](Self::write_v2) anyway.
    ///
    /// The [checksum](Self::with_checksum) is not added like this, and [`NOOP`](tlv_type::NOOP) says nothing: both are
    /// passed over.
    #[must_use]
    pub fn with_tlv(mut self, kind: u8, value: impl AsRef<[u8]>) -> Self {
        if kind != tlv_type::CRC32C && kind != tlv_type::NOOP {
            let value = value.as_ref();
            let len = u16::try_from(value.len()).unwrap_or(u16::MAX);
            self.tlvs.push(kind);
            self.tlvs.extend_from_slice(&len.to_be_bytes());
            self.tlvs.extend(value.iter().take(usize::from(len)));
        }
        self
    }

    /// Has a checksum written with it.
    #[must_use]
    pub fn with_checksum(mut self) -> Self {
        self.checksum = true;
        self
    }

    /// Whose connection it is.
    #[must_use]
    pub fn command(&self) -> ProxyCommand {
        self.command
    }

    /// The addresses that were told. Of the proxy's own connections there are none.
    #[must_use]
    pub fn addresses(&self) -> &ProxyAddresses {
        &self.addresses
    }

    /// Where the client is, if it has an address of the internet: else what the socket says is all that is known.
    #[must_use]
    pub fn source(&self) -> Option<SocketAddr> {
        match self.addresses {
            ProxyAddresses::Inet { source, .. } => Some(source),
            _ => None,
        }
    }

    /// What the client has connected to, if that is an address of the internet.
    #[must_use]
    pub fn destination(&self) -> Option<SocketAddr> {
        match self.addresses {
            ProxyAddresses::Inet { destination, .. } => Some(destination),
            _ => None,
        }
    }

    /// Whether it had a checksum, which was right; or is to be written with one.
    #[must_use]
    pub fn has_checksum(&self) -> bool {
        self.checksum
    }

    /// The extensions, in order: types and values. Without the checksum.
    #[must_use]
    pub fn tlvs(&self) -> ProxyTlvs<'_> {
        ProxyTlvs::new(&self.tlvs)
    }

    /// The value of the first extension of a [type](tlv_type).
    #[must_use]
    pub fn tlv(&self, kind: u8) -> Option<&[u8]> {
        self.tlvs().find(|(of, _)| *of == kind).map(|(_, value)| value)
    }

    /// The protocol that was agreed on over TLS: `http/1.1`.
    #[must_use]
    pub fn alpn(&self) -> Option<&[u8]> {
        self.tlv(tlv_type::ALPN)
    }

    /// The name of the host that the client has asked for (SNI).
    #[must_use]
    pub fn authority(&self) -> Option<&str> {
        self.tlv(tlv_type::AUTHORITY).and_then(|value| std::str::from_utf8(value).ok())
    }

    /// The id that the proxy has given to this connection, of at most 128 bytes.
    #[must_use]
    pub fn unique_id(&self) -> Option<&[u8]> {
        self.tlv(tlv_type::UNIQUE_ID)
    }

    /// What is known of the TLS between client and proxy; `None` if nothing is, and if that is malformed.
    #[must_use]
    pub fn ssl(&self) -> Option<ProxySsl<'_>> {
        self.tlv(tlv_type::SSL).and_then(ProxySsl::parse)
    }
}
