//! The side that has a certificate to show.

use std::collections::HashMap;
use std::fmt;
#[cfg(feature = "http-server")]
use std::sync::OnceLock;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rustls::pki_types::DnsName;
use rustls::server::{
    NoServerSessionStorage, ResolvesServerCert, ServerSessionMemoryCache, WebPkiClientVerifier,
};
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, ServerConfig};

use super::filter::TlsFilter;
use super::identity::trust;
use super::{
    HANDSHAKE_TIMEOUT, KeyHook, LogKey, TlsIdentity, TlsVersion, protocols, provider, refused,
    versions,
};
use crate::net::Filter;
use crate::{Error, ErrorKind, Result};

/// How many sessions are remembered unless told otherwise.
const SESSIONS: usize = 1024;

/// How many can be: room for them is made at once, and finding the one to forget takes as long as there are.
const MOST_SESSIONS: usize = 65_536;

/// What a server decides once about TLS: its certificates, and whom it lets in.
///
/// Clones share everything, also across threads: [`reload`](Self::reload) one, and all of them show the new
/// certificate.
///
/// ```no_run
/// use evloop::net::TlsServer;
///
/// let tls = TlsServer::new(std::fs::read("chain.pem")?, std::fs::read("key.pem")?)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// With more to decide:
///
/// ```no_run
/// use evloop::net::{ClientCertificates, TlsIdentity, TlsServer};
///
/// # fn file(name: &str) -> Vec<u8> { std::fs::read(name).unwrap() }
/// let usual = TlsIdentity::from_pem(file("chain.pem"), file("key.pem"))?;
/// let other = TlsIdentity::from_pem(file("other-chain.pem"), file("other-key.pem"))?;
/// let tls = TlsServer::builder(usual)
///     .name("*.other.example", other)
///     .alpn(["http/1.1"])
///     .client_certificates(file("clients-ca.pem"), ClientCertificates::Optional)
///     .build()?;
/// # Ok::<(), evloop::Error>(())
/// ```
///
/// # Sessions
///
/// A client that comes again may go on with an earlier session, which saves both the costly part of the
/// handshake. Sessions are remembered here, in memory, and clients only get a number; with TLS 1.3, each can be
/// resumed once. [`reload`](Self::reload) forgets them all. There are no tickets that carry the session
/// itself: whoever got hold of their key could read what was recorded, and a reload could not call them
/// back. So processes share no sessions. And there is no early data (0-RTT), which could be replayed.
///
/// # Sharp edges
///
/// * The name that a client asks for (SNI) chooses the certificate. It authorises nothing.
/// * With TLS 1.3 a client is done with the handshake before the server has looked at its certificate:
///   one that is refused is told so in place of the first answer, and may have written by then.
/// * A resumed session brings the client's certificate along as it was verified at first, also if it has
///   expired since.
/// * Certificates are checked against the clock on the wall.
/// * A connection holds about 8 KiB while it is idle, and in a handshake that is made to cost much up
///   to 160 KiB.
/// * Where the crate and rustls are built with debug assertions, a peer that breaks the rules after our
///   side has ended makes rustls 0.23 panic inside. That is caught, and an error like any other; but
///   the panic hook has its say, and a program that aborts on panics ends.
#[derive(Clone)]
pub struct TlsServer(Arc<Server>);

struct Server {
    now: RwLock<Now>,
    sessions: usize,
    handshake_timeout: Duration,
}

/// What new connections get. A change makes another one, so each handshake is of one piece: its
/// certificate, and the sessions that came of handshakes with it.
struct Now {
    config: Arc<ServerConfig>,
    chooser: Arc<Chooser>,
    /// The same, for those who speak HTTP, made when the first of them asks.
    #[cfg(feature = "http-server")]
    http: OnceLock<Arc<ServerConfig>>,
}

impl Now {
    fn new(config: ServerConfig, chooser: Arc<Chooser>) -> Self {
        Self {
            config: Arc::new(config),
            chooser,
            #[cfg(feature = "http-server")]
            http: OnceLock::new(),
        }
    }
}

/// Who is shown which certificate.
#[derive(Clone)]
struct Chooser {
    usual: TlsIdentity,
    /// By lower-case name, or `*.` and the rest of it.
    names: HashMap<String, TlsIdentity>,
    only_names: bool,
    resolver: Option<Arc<Resolver>>,
}

/// Makes a [`TlsServer`]. What is wrong with any of it comes out of [`build`](Self::build).
#[must_use = "nothing happens before `build`"]
pub struct TlsServerBuilder {
    usual: TlsIdentity,
    names: Vec<(String, TlsIdentity)>,
    only_names: bool,
    resolver: Option<Arc<Resolver>>,
    clients: Option<(Vec<u8>, ClientCertificates)>,
    alpn: Vec<Vec<u8>>,
    lowest: TlsVersion,
    highest: TlsVersion,
    sessions: usize,
    key_log: Option<LogKey>,
    handshake_timeout: Duration,
}

type Resolver = dyn Fn(&ClientHello<'_>) -> Option<TlsIdentity> + Send + Sync;

/// Whether a client has to show a certificate.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ClientCertificates {
    /// It has to. Without one, the handshake fails.
    Required,
    /// It may. One that is shown has to be valid: a wrong one is worse than none.
    Optional,
}

/// What a client wants, as it says in its first message.
pub struct ClientHello<'a>(rustls::server::ClientHello<'a>);

impl TlsServer {
    /// A server with one certificate and the usual rest, out of PEM: [`TlsIdentity::from_pem`] says what is
    /// understood.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn new(certificates: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> Result<Self> {
        Self::builder(TlsIdentity::from_pem(certificates, key)?).build()
    }

    /// For a server with more to decide. `identity` is shown to whoever asks for no other.
    pub fn builder(identity: TlsIdentity) -> TlsServerBuilder {
        TlsServerBuilder {
            usual: identity,
            names: Vec::new(),
            only_names: false,
            resolver: None,
            clients: None,
            alpn: Vec::new(),
            lowest: TlsVersion::Tls12,
            highest: TlsVersion::Tls13,
            sessions: SESSIONS,
            key_log: None,
            handshake_timeout: HANDSHAKE_TIMEOUT,
        }
    }

    /// A filter for one connection, to be [pushed](crate::net::Stream::push_filter) on a stream whose
    /// peer begins with TLS now.
    ///
    /// Also in the middle of a conversation, as with `STARTTLS`. Make sure then that nothing the client
    /// sent in the clear is acted on afterwards: what it sends behind its `STARTTLS` without
    /// waiting for the answer is taken as its part of the handshake, and fails there.
    #[must_use]
    pub fn filter(&self) -> Box<dyn Filter> {
        Box::new(self.tls_filter())
    }

    pub(super) fn tls_filter(&self) -> TlsFilter {
        let config = {
            let now = self.0.now.read().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(&now.config)
        };
        TlsFilter::new(rustls::ServerConnection::new(config).map(Into::into), None)
    }

    /// As [`filter`](Self::filter), for HTTP/1.1: where no protocols were named for ALPN, it is that one.
    #[cfg(feature = "http-server")]
    pub(crate) fn filter_for_http(&self) -> Box<dyn Filter> {
        let config = {
            let now = self.0.now.read().unwrap_or_else(PoisonError::into_inner);
            let config = now.http.get_or_init(|| {
                if !now.config.alpn_protocols.is_empty() {
                    return Arc::clone(&now.config);
                }
                let mut config = ServerConfig::clone(&now.config);
                config.alpn_protocols = vec![b"http/1.1".to_vec()];
                Arc::new(config)
            });
            Arc::clone(config)
        };
        Box::new(TlsFilter::new(rustls::ServerConnection::new(config).map(Into::into), None))
    }

    /// Shows another certificate on the connections whose [filter](Self::filter) is made from now on, by
    /// any clone; those that are there stay as they are. Sessions are forgotten, so that nobody goes on with
    /// one of the old certificate's.
    ///
    /// # Errors
    ///
    /// As for [`TlsIdentity::from_pem`]; the old certificate stays in use.
    ///
    /// ```no_run
    /// # fn run(ev: &mut evloop::EvLoop, tls: evloop::net::TlsServer) -> evloop::Result<()> {
    /// let reload = ev.signal(libc::SIGHUP, move |_, _| {
    ///     let Ok(chain) = std::fs::read("chain.pem") else { return };
    ///     let Ok(key) = std::fs::read("key.pem") else { return };
    ///     if let Err(error) = tls.reload(chain, key) {
    ///         eprintln!("the certificate stays as it is: {error}");
    ///     }
    /// });
    /// reload.start(ev)?;
    /// # Ok(()) }
    /// ```
    pub fn reload(&self, certificates: impl AsRef<[u8]>, key: impl AsRef<[u8]>) -> Result<()> {
        self.set_identity(TlsIdentity::from_pem(certificates, key)?);
        Ok(())
    }

    /// As [`reload`](Self::reload), with what was read already.
    pub fn set_identity(&self, identity: TlsIdentity) {
        self.change(|table| table.usual = identity);
    }

    /// Shows another certificate to those who ask for this name, which may be new;
    /// [`TlsServerBuilder::name`] says how it may look. `None` takes it out. Sessions are forgotten.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] if it is no name.
    pub fn set_name(&self, name: &str, identity: Option<TlsIdentity>) -> Result<()> {
        let name = pattern(name)?;
        self.change(|table| match identity {
            Some(identity) => drop(table.names.insert(name, identity)),
            None => drop(table.names.remove(&name)),
        });
        Ok(())
    }

    /// How long a handshake may take: 10 s unless told otherwise. The filter knows no clock; who starts TLS on
    /// a stream has the stream keep this.
    #[must_use]
    pub fn handshake_timeout(&self) -> Duration {
        self.0.handshake_timeout
    }

    fn change(&self, how: impl FnOnce(&mut Chooser)) {
        let mut now = self.0.now.write().unwrap_or_else(PoisonError::into_inner);
        let mut chooser = Chooser::clone(&now.chooser);
        how(&mut chooser);
        let chooser = Arc::new(chooser);
        let mut config = ServerConfig::clone(&now.config);
        config.cert_resolver = Arc::clone(&chooser) as _;
        remember(&mut config, self.0.sessions);
        let old = std::mem::replace(&mut *now, Now::new(config, chooser));
        drop(now);
        drop(old); // many sessions, and what a resolver holds: not with the lock held
    }
}

impl fmt::Debug for TlsServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsServer").finish_non_exhaustive()
    }
}

impl TlsServerBuilder {
    /// Shows another certificate to clients that ask for this name (SNI): `example.org`, or `*.example.org` for
    /// all names with one label more. The exact one goes first. Names in other scripts are given as
    /// they go over the wire, `xn--…`. Clients that connect to a bare IP address ask for none.
    ///
    /// Whether the certificate is for this name is not asked.
    pub fn name(mut self, name: impl Into<String>, identity: TlsIdentity) -> Self {
        self.names.push((name.into(), identity));
        self
    }

    /// Refuses clients that ask for a name nobody [gave](Self::name), or for none.
    pub fn only_names(mut self) -> Self {
        self.only_names = true;
        self
    }

    /// Asks a closure first which certificate to show. `None` leaves it to the names.
    ///
    /// It is called in the middle of a handshake, on the thread of the connection's loop, and should
    /// have its certificates at hand: all connections of that loop wait for it. Sessions that began with an
    /// earlier answer go on; [`set_identity`](TlsServer::set_identity), also with the same, ends them.
    /// A panic passes through the loop's `run`, and that connection is lost.
    ///
    /// ```no_run
    /// # use evloop::net::{TlsIdentity, TlsServer};
    /// use std::fs::read;
    ///
    /// let people = TlsIdentity::from_pem(read("people.pem")?, read("people.key")?)?;
    /// let machines = TlsIdentity::from_pem(read("machines.pem")?, read("machines.key")?)?;
    /// let tls = TlsServer::builder(people)
    ///     .resolver(move |hello| hello.alpn().any(|name| name == b"mqtt").then(|| machines.clone()))
    ///     .build()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn resolver(
        mut self,
        resolver: impl Fn(&ClientHello<'_>) -> Option<TlsIdentity> + Send + Sync + 'static,
    ) -> Self {
        self.resolver = Some(Arc::new(resolver));
        self
    }

    /// Asks clients for a certificate that was issued by one of these, in PEM.
    pub fn client_certificates(
        mut self,
        issuers: impl Into<Vec<u8>>,
        which: ClientCertificates,
    ) -> Self {
        self.clients = Some((issuers.into(), which));
        self
    }

    /// The protocols that may be spoken, the best first (ALPN): `["http/1.1"]`. The first that
    /// a client names too is chosen. A client that names only others is refused; one that names none is not.
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

    /// How many sessions are remembered, the oldest making room: 1024 unless told otherwise, 65,536 at most;
    /// with 0, each handshake is a full one. A connection takes two, of about 200 bytes and the client's
    /// certificates each.
    pub fn sessions(mut self, most: usize) -> Self {
        self.sessions = most.min(MOST_SESSIONS);
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

    /// The server.
    ///
    /// # Errors
    ///
    /// * [`ErrorKind::InvalidInput`]: a name that is none, a protocol's name that is empty or longer than
    ///   255 bytes, a lowest version above the highest.
    /// * [`ErrorKind::Tls`]: the issuers of client certificates do not parse, or there are none.
    pub fn build(self) -> Result<TlsServer> {
        const DOING: &str = "setting up TLS for a server";
        let names = self.names.into_iter();
        let names = names.map(|(name, identity)| Ok((pattern(&name)?, identity)));
        let chooser = Arc::new(Chooser {
            usual: self.usual,
            names: names.collect::<Result<_>>()?,
            only_names: self.only_names,
            resolver: self.resolver,
        });

        let config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&versions(self.lowest, self.highest)?)
            .map_err(|error| refused(DOING, error))?;
        let config = match self.clients {
            None => config.with_no_client_auth(),
            Some((pem, which)) => {
                let mut roots = RootCertStore::empty();
                trust(&mut roots, &pem)?;
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
                let verifier = match which {
                    ClientCertificates::Required => verifier,
                    ClientCertificates::Optional => verifier.allow_unauthenticated(),
                };
                let verifier = verifier.build().map_err(|error| refused(DOING, error))?;
                config.with_client_cert_verifier(verifier)
            }
        };
        let mut config = config.with_cert_resolver(Arc::clone(&chooser) as _);
        config.alpn_protocols = protocols(self.alpn)?;
        // Said, not left to a default: what is sent early can be sent again by somebody else.
        config.max_early_data_size = 0;
        remember(&mut config, self.sessions);
        if let Some(log) = self.key_log {
            config.key_log = Arc::new(KeyHook(log));
        }
        Ok(TlsServer(Arc::new(Server {
            now: RwLock::new(Now::new(config, chooser)),
            sessions: self.sessions,
            handshake_timeout: self.handshake_timeout,
        })))
    }
}

impl fmt::Debug for TlsServerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsServerBuilder").finish_non_exhaustive()
    }
}

impl ClientHello<'_> {
    /// The name that the client asks for, in lower case; none if it connected to an address.
    #[must_use]
    pub fn server_name(&self) -> Option<&str> {
        self.0.server_name()
    }

    /// The protocols that it names with ALPN.
    pub fn alpn(&self) -> impl Iterator<Item = &[u8]> {
        self.0.alpn().into_iter().flatten()
    }
}

impl fmt::Debug for ClientHello<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientHello")
            .field("server_name", &self.server_name())
            .finish_non_exhaustive()
    }
}

/// A name, or `*.` and a name, in lower case.
fn pattern(name: &str) -> Result<String> {
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    match DnsName::try_from(name.strip_prefix("*.").unwrap_or(&name)) {
        Ok(_) => Ok(name),
        Err(_) => Err(Error::new(ErrorKind::InvalidInput, "naming a server")),
    }
}

/// Gives it a new memory for sessions.
fn remember(config: &mut ServerConfig, most: usize) {
    if most > 0 {
        config.session_storage = ServerSessionMemoryCache::new(most);
    } else {
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
    }
}

impl ResolvesServerCert for Chooser {
    fn resolve(&self, hello: rustls::server::ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let hello = ClientHello(hello);
        if let Some(identity) = self.resolver.as_ref().and_then(|resolver| resolver(&hello)) {
            return Some(identity.0);
        }
        let named = hello.server_name().and_then(|name| {
            let name = name.to_ascii_lowercase();
            let name = name.strip_suffix('.').unwrap_or(&name);
            self.names.get(name).or_else(|| {
                let (_, rest) = name.split_once('.')?;
                self.names.get(&format!("*.{rest}"))
            })
        });
        let identity = match named {
            Some(identity) => identity,
            None if self.only_names => return None,
            None => &self.usual,
        };
        Some(Arc::clone(&identity.0))
    }
}

impl fmt::Debug for Chooser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Chooser")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_may_send_before_the_handshake_has_ended() {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let identity = TlsIdentity::from_pem(made.cert.pem(), made.signing_key.serialize_pem());
        let server = TlsServer::builder(identity.unwrap()).build().unwrap();
        // What comes early may have come before, from somebody else (RFC 8446 §8).
        assert_eq!(server.0.now.read().unwrap().config.max_early_data_size, 0);
        #[cfg(feature = "http-server")]
        {
            drop(server.filter_for_http());
            let now = server.0.now.read().unwrap();
            assert_eq!(now.http.get().unwrap().max_early_data_size, 0);
        }
    }
}
