//! What can stand behind the addresses in version 2: types, lengths and values.

use super::ProxyFault;

/// The types of extensions that the protocol names.
pub mod tlv_type {
    /// The protocol that was agreed on over TLS.
    pub const ALPN: u8 = 0x01;
    /// The name of the host that the client has asked for.
    pub const AUTHORITY: u8 = 0x02;
    /// A checksum over the header.
    pub const CRC32C: u8 = 0x03;
    /// Nothing: it fills up.
    pub const NOOP: u8 = 0x04;
    /// An id of the connection.
    pub const UNIQUE_ID: u8 = 0x05;
    /// What is known of the client's TLS: see [`ProxySsl`](super::ProxySsl).
    pub const SSL: u8 = 0x20;
    /// Within that: the version, `TLSv1.3`.
    pub const SSL_VERSION: u8 = 0x21;
    /// Within that: the common name of the client's certificate.
    pub const SSL_CN: u8 = 0x22;
    /// Within that: the cipher.
    pub const SSL_CIPHER: u8 = 0x23;
    /// Within that: how the client's certificate was signed.
    pub const SSL_SIG_ALG: u8 = 0x24;
    /// Within that: the key of the client's certificate, `RSA2048`.
    pub const SSL_KEY_ALG: u8 = 0x25;
    /// The network namespace of the client.
    pub const NETNS: u8 = 0x30;
}

/// The longest id that a proxy may give.
const LONGEST_ID: usize = 128;

/// Types and values, from [`ProxyHeader::tlvs`](super::ProxyHeader::tlvs) and [`ProxySsl::tlvs`].
#[derive(Debug, Clone)]
pub struct ProxyTlvs<'a> {
    rest: &'a [u8],
}

impl<'a> ProxyTlvs<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }
}

impl<'a> Iterator for ProxyTlvs<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (kind, value, rest) = divide(self.rest)?;
        self.rest = rest;
        Some((kind, value))
    }
}

/// The first of them, and what comes behind it.
fn divide(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let ([kind, high, low], rest) = bytes.split_first_chunk::<3>()?;
    let len = usize::from(u16::from_be_bytes([*high, *low]));
    let (value, rest) = rest.split_at_checked(len)?;
    Some((*kind, value, rest))
}

/// What the header's extensions are.
pub(super) struct Extensions {
    /// All but the checksum and what fills up.
    pub(super) kept: Vec<u8>,
    /// The checksum, and where it is.
    pub(super) checksum: Option<(u32, usize)>,
}

/// Looks through extensions.
pub(super) fn read(bytes: &[u8], most: usize) -> Result<Extensions, ProxyFault> {
    let mut extensions = Extensions { kept: Vec::new(), checksum: None };
    let mut rest = bytes;
    let mut count = 0;
    while !rest.is_empty() {
        let (kind, value, behind) = divide(rest).ok_or(ProxyFault::BadTlv)?;
        count += 1;
        if count > most {
            return Err(ProxyFault::BadTlv);
        }
        match kind {
            tlv_type::CRC32C => {
                let value = value.try_into().map_err(|_| ProxyFault::BadTlv)?;
                let at = bytes.len() - behind.len() - 4;
                let checksum = (u32::from_be_bytes(value), at);
                if extensions.checksum.replace(checksum).is_some() {
                    // Each would be over the other.
                    return Err(ProxyFault::BadTlv);
                }
            }
            tlv_type::NOOP => {}
            tlv_type::UNIQUE_ID if value.len() > LONGEST_ID => return Err(ProxyFault::BadTlv),
            _ => extensions.kept.extend(rest.iter().take(3 + value.len())),
        }
        rest = behind;
    }
    Ok(extensions)
}

/// What a proxy knows of the TLS between a client and itself.
#[derive(Debug, Clone)]
pub struct ProxySsl<'a> {
    client: u8,
    verify: u32,
    tlvs: &'a [u8],
}

impl<'a> ProxySsl<'a> {
    pub(super) fn parse(value: &'a [u8]) -> Option<Self> {
        let ([client, a, b, c, d], tlvs) = value.split_first_chunk::<5>()?;
        let mut rest = tlvs;
        while !rest.is_empty() {
            rest = divide(rest)?.2;
        }
        Some(Self { client: *client, verify: u32::from_be_bytes([*a, *b, *c, *d]), tlvs })
    }

    /// Whether the client speaks TLS.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.client & 1 != 0
    }

    /// Whether the client has shown a certificate, on this connection or on one before it.
    #[must_use]
    pub fn has_certificate(&self) -> bool {
        self.client & 0b110 != 0
    }

    /// Whether the client has shown a certificate, which the proxy has found to be good.
    #[must_use]
    pub fn is_verified(&self) -> bool {
        self.has_certificate() && self.verify == 0
    }

    /// What was found out about the client's certificate: 0 is that it is good, or that there is none.
    #[must_use]
    pub fn verify(&self) -> u32 {
        self.verify
    }

    /// The version: `TLSv1.3`.
    #[must_use]
    pub fn version(&self) -> Option<&'a str> {
        self.text(tlv_type::SSL_VERSION)
    }

    /// The common name of the client's certificate.
    #[must_use]
    pub fn common_name(&self) -> Option<&'a str> {
        self.text(tlv_type::SSL_CN)
    }

    /// The cipher.
    #[must_use]
    pub fn cipher(&self) -> Option<&'a str> {
        self.text(tlv_type::SSL_CIPHER)
    }

    fn text(&self, kind: u8) -> Option<&'a str> {
        let value = self.tlvs().find(|(of, _)| *of == kind)?.1;
        std::str::from_utf8(value).ok()
    }

    /// All that is said, in order: types and values.
    #[must_use]
    pub fn tlvs(&self) -> ProxyTlvs<'a> {
        ProxyTlvs::new(self.tlvs)
    }
}
