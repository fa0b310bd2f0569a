//! The side that asks who the other is.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use super::filter::TlsFilter;
use super::identity::trust;
use super::{
    HANDSHAKE_TIMEOUT, KeyHook, LogKey, TlsIdentity, TlsVersion, protocols, provider, refused,
    versions,
};
use crate::net::Filter;
use crate::{Error, ErrorKind, Result};

/// What a client decides once about TLS: whom it trusts, and who it is.
///
/// Unless told otherwise it trusts whom Mozilla trusts, by a list that is compiled in. Clones share
/// everything, the sessions that can be resumed included (256 of the latest, in memory).
///
/// ```
/// use evloop::net::TlsClient;
///
/// let tls = TlsClient::new()?;
/// let filter = tls.filter("example.org")?;
/// # Ok::<(), evloop::Error>(())
/// ```
///
/// # Sharp edges
///
/// * The end of a connection means nothing unless the peer said so: without its `close_notify` anybody on
///   the way may have cut it. `Eof` has `clean: false` then, and a body that ends with the connection is
///   not whole.
/// * With TLS 1.3 the handshake is over before the server has looked at this client's certificate. If it
///   refuses it, that is an error later, at the first read.
/// * A resumed session does not look at the server's certificate again. Other trust needs another `TlsClient`.
/// * Revocation is not checked. Certificates are checked against the clock on the wall.
#[derive(Clone)]
pub struct TlsClient(Arc<Client>);

struct Client {
    config: Arc<ClientConfig>,
    handshake_timeout: Duration,
}

/// Makes a [`TlsClient`]. What is wrong with any of it comes out of [`build`](Self::build).
#[must_use = "nothing happens before `build`"]
pub struct TlsClientBuilder {
    bundled: bool,
    roots: Vec<Vec<u8>>,
    identity: Option<TlsIdentity>,
    alpn: Vec<Vec<u8>>,
    lowest: TlsVersion,
    highest: TlsVersion,
    names: bool,
    verify: Verify,
    key_log: Option<LogKey>,
    handshake_timeout: Duration,
}

#[derive(Clone, Copy)]
enum Verify {
    All,
    AnyName,
    Nothing,
}

impl TlsClient {
    /// A client that trusts whom Mozilla trusts, and has no certificate of its own.
    ///
    /// # Errors
    ///
    /// None that are known; as for [`build`](TlsClientBuilder::build).
    pub fn new() -> Result<Self> {
        Self::builder().build()
    }

    /// For a client with more to decide.
    ///
    /// ```no_run
    /// use evloop::net::{TlsClient, TlsIdentity};
    ///
    /// # fn file(name: &str) -> Vec<u8> { std::fs::read(name).unwrap() }
    /// let tls = TlsClient::builder()
    ///     .roots_pem(file("our-ca.pem"))
    ///     .identity(TlsIdentity::from_pem(file("me.pem"), file("my-key.pem"))?)
    ///     .alpn(["http/1.1"])
    ///     .build()?;
    /// # Ok::<(), evloop::Error>(())
    /// ```
    pub fn builder() -> TlsClientBuilder {
        TlsClientBuilder {
            bundled: true,
            roots: Vec::new(),
            identity: None,
            alpn: Vec::new(),
            lowest: TlsVersion::Tls12,
            highest: TlsVersion::Tls13,
            names: true,
            verify: Verify::All,
            key_log: None,
            handshake_timeout: HANDSHAKE_TIMEOUT,
        }
    }

    /// A filter for one connection to the server of this name, to be
    /// [pushed](crate::net::Stream::push_filter) on a stream, also in the middle of a conversation, as with
    /// `STARTTLS`: once the server has agreed to it, and with nothing of it left in the input.
    ///
    /// The name is what the certificate has to be for: a host name, in ASCII (`xn--…` for others), or an IP
    /// address, in brackets or not.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] if the name is neither.
    pub fn filter(&self, server_name: &str) -> Result<Box<dyn Filter>> {
        Ok(Box::new(self.tls_filter(server_name)?))
    }

    pub(super) fn tls_filter(&self, server_name: &str) -> Result<TlsFilter> {
        const DOING: &str = "naming the server to connect to over TLS";
        let name = server_name.strip_suffix('.').unwrap_or(server_name);
        let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
        let name = match bare {
            // Brackets are for addresses of the sixth version only.
            Some(bare) if !bare.contains(':') => Err(Error::new(ErrorKind::InvalidInput, DOING)),
            bare => ServerName::try_from(bare.unwrap_or(name))
                .map_err(|error| Error::caused(ErrorKind::InvalidInput, DOING, error.into())),
        }?;
        let asked = name.to_str().to_ascii_lowercase();
        let connection = rustls::ClientConnection::new(Arc::clone(&self.0.config), name.to_owned());
        Ok(TlsFilter::new(connection.map(Into::into), Some(asked)))
    }

    /// How long a handshake may take: 10 s unless told otherwise. The filter knows no clock; who starts TLS on
    /// a stream has the stream keep this.
    #[must_use]
    pub fn handshake_timeout(&self) -> Duration {
        self.0.handshake_timeout
    }
}

impl fmt::Debug for TlsClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsClient").finish_non_exhaustive()
    }
}

impl TlsClientBuilder {
    /// Trusts only whom these certificates, in PEM, belong to, and those of further calls. Some of a bundle
    /// that cannot be used are passed over.
    pub fn roots_pem(mut self, certificates: impl Into<Vec<u8>>) -> Self {
        self.bundled = false;
        self.add_roots(certificates)
    }

    /// Trusts these too.
    pub fn add_roots(mut self, certificates: impl Into<Vec<u8>>) -> Self {
        self.roots.push(certificates.into());
        self
    }

    /// The certificate to show to servers that ask for one.
    pub fn identity(mut self, identity: TlsIdentity) -> Self {
        self.identity = Some(identity);
        self
    }

    /// The protocols that may be spoken (ALPN): `["http/1.1"]`. A server that knows only others
    /// refuses; one that knows nothing of ALPN chooses none, which
    /// [`TlsInfo::alpn`](super::TlsInfo::alpn) tells.
    pub fn alpn<N: AsRef<[u8]>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.alpn = names.into_iter().map(|name| name.as_ref().to_vec()).collect();
        self
    }

    /// The lowest version that is spoken: TLS 1.2 unless told otherwise.
    pub fn min_version(mut self, version: TlsVersion) -> Self {
        self.lowest = version;
        self
    }

    /// The highest version that is spoken: TLS 1.3 unless told otherwise.
    pub fn max_version(mut self, version: TlsVersion) -> Self {
        self.highest = version;
        self
    }

    /// Does not say in the clear for which name it has come (SNI). Servers with several certificates
    /// show the wrong one then.
    pub fn without_server_name(mut self) -> Self {
        self.names = false;
        self
    }

    /// Has a closure called with the secrets of each connection, as lines of the
    /// [key log format](https://www.ietf.org/archive/id/draft-ietf-tls-keylogfile-02.html), without their
    /// ends, which Wireshark reads.
    ///
    /// Whoever has them can read along. Only for finding faults.
    pub fn key_log(mut self, log: impl Fn(&str) + Send + Sync + 'static) -> Self {
        self.key_log = Some(Box::new(log));
        self
    }

    /// How long a handshake may take: 10 s unless told otherwise, zero for as long as it likes.
    pub fn handshake_timeout(mut self, timeout: Duration) -> Self {
        self.handshake_timeout = timeout;
        self
    }

    /// Takes a certificate for any name as long as who issued it is trusted: anybody who has such a
    /// certificate for a name of his own can pose as every server.
    pub fn dangerously_without_name_verification(mut self) -> Self {
        if matches!(self.verify, Verify::All) {
            self.verify = Verify::AnyName;
        }
        self
    }

    /// Takes any certificate of any server: the connection is encrypted, and nobody knows to whom.
    /// Whoever is on the way can read and change everything. Only for tests.
    pub fn dangerously_without_verification(mut self) -> Self {
        self.verify = Verify::Nothing;
        self
    }

    /// The client.
    ///
    /// # Errors
    ///
    /// * [`ErrorKind::InvalidInput`]: a protocol's name that is empty or longer than 255 bytes, a
    ///   lowest version above the highest.
    /// * [`ErrorKind::Tls`]: certificates to trust that do not parse, or there are none.
    pub fn build(self) -> Result<TlsClient> {
        const DOING: &str = "setting up TLS for a client";
        let mut roots = RootCertStore::empty();
        if self.bundled {
            roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        }
        for pem in &self.roots {
            trust(&mut roots, pem)?;
        }
        let provider = provider();
        let verifier = match self.verify {
            Verify::Nothing => None,
            Verify::All | Verify::AnyName => {
                let roots = Arc::new(roots);
                let verifier =
                    WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider));
                Some(verifier.build().map_err(|error| refused(DOING, error))?)
            }
        };
        let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&versions(self.lowest, self.highest)?)
            .map_err(|error| refused(DOING, error))?;
        let config = match (self.verify, verifier) {
            (Verify::All, Some(verifier)) => config.with_webpki_verifier(verifier),
            (_, verifier) => config
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(Lax { verifier, provider })),
        };
        let mut config = match self.identity {
            Some(identity) => config.with_client_cert_resolver(Arc::new(Own(identity))),
            None => config.with_no_client_auth(),
        };
        config.alpn_protocols = protocols(self.alpn)?;
        config.enable_sni = self.names;
        // Said, not left to a default: what is sent early can be sent again by somebody else.
        config.enable_early_data = false;
        if let Some(log) = self.key_log {
            config.key_log = Arc::new(KeyHook(log));
        }
        Ok(TlsClient(Arc::new(Client {
            config: Arc::new(config),
            handshake_timeout: self.handshake_timeout,
        })))
    }
}

impl fmt::Debug for TlsClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsClientBuilder").finish_non_exhaustive()
    }
}

struct Own(TlsIdentity);

impl ResolvesClientCert for Own {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

impl fmt::Debug for Own {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Looks away: from the name with a verifier, from the whole certificate without. That the peer has the key
/// of the certificate it shows is verified all the same.
struct Lax {
    verifier: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Lax {
    fn verify_server_cert(
        &self,
        own: &CertificateDer<'_>,
        issuers: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        use rustls::{CertificateError as Wrong, Error::InvalidCertificate};
        let Some(verifier) = &self.verifier else { return Ok(ServerCertVerified::assertion()) };
        match verifier.verify_server_cert(own, issuers, name, ocsp, now) {
            // The name is looked at last, when all the rest was found right.
            Err(InvalidCertificate(
                Wrong::NotValidForName | Wrong::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            result => result,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

impl fmt::Debug for Lax {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lax")
    }
}
