//! How a connection is made: what a program may say of it.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use super::order::Plan;
use crate::net::resolve;

/// How long it may take in all unless somebody says otherwise.
pub(super) const LIMIT: Duration = Duration::from_secs(10);

/// The "Connection Attempt Delay" of RFC 8305, and its bounds.
pub(super) const DELAY: Duration = Duration::from_millis(250);
pub(super) const SHORTEST_DELAY: Duration = Duration::from_millis(10);
pub(super) const LONGEST_DELAY: Duration = Duration::from_secs(2);

/// How many addresses are tried unless somebody says otherwise, and at most.
pub(super) const ATTEMPTS: usize = 16;
pub(super) const MOST_ATTEMPTS: usize = 64;

/// How a connection is made.
///
/// ```
/// use evloop::net::{ConnectOptions, Family};
/// use std::time::Duration;
///
/// let options = ConnectOptions::new()
///     .family(Family::PreferV4)
///     .timeout(Duration::from_secs(3))
///     // Like curl's `--resolve`: the server that is to become example.org.
///     .hint("example.org", ["127.0.0.1".parse()?]);
/// # let _ = options;
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
///
/// # Which address is tried when
///
/// A name may have many addresses, some of which nobody can reach. They are tried in the order of the
/// resolver, but the families in turns, beginning with the [preferred](Self::family) one. When an attempt has
/// failed, or has come to nothing within [250 ms](Self::attempt_delay), the next one is begun beside it. The
/// first connection wins, the other attempts are given up (RFC 8305, "happy eyeballs"). "This machine"
/// (`:80`) is `::1` and `127.0.0.1`.
///
/// If all fail, the error is of the kind [`Connect`](crate::ErrorKind::Connect), if it took too long
/// [`TimedOut`](crate::ErrorKind::TimedOut); a [`ConnectError`](super::ConnectError) says what became of each
/// attempt.
#[derive(Clone, Debug)]
pub struct ConnectOptions {
    family: Family,
    hints: BTreeMap<String, Vec<IpAddr>>,
    from_v4: Option<SocketAddr>,
    from_v6: Option<SocketAddr>,
    pub(super) limit: Duration,
    pub(super) resolve_limit: Duration,
    pub(super) delay: Duration,
    attempts: usize,
}

/// Which addresses of a name are tried, and which of them first.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[non_exhaustive]
pub enum Family {
    /// All, in turns, beginning with the family that the resolver names first: that of IPv6, where the
    /// machine has it.
    #[default]
    Any,
    /// All, in turns, IPv4 first.
    PreferV4,
    /// All, in turns, IPv6 first.
    PreferV6,
    /// Those of IPv4 alone (curl's `-4`).
    OnlyV4,
    /// Those of IPv6 alone (curl's `-6`).
    OnlyV6,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self {
            family: Family::default(),
            hints: BTreeMap::new(),
            from_v4: None,
            from_v6: None,
            limit: LIMIT,
            resolve_limit: resolve::PATIENCE,
            delay: DELAY,
            attempts: ATTEMPTS,
        }
    }
}

impl ConnectOptions {
    /// The default ones.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets which addresses are tried, and which first. Default: [`Family::Any`].
    #[must_use]
    pub fn family(mut self, family: Family) -> Self {
        self.family = family;
        self
    }

    /// Says which addresses a host has (curl's `--resolve`): the resolver is not asked then. A second call for
    /// the same host replaces the first; with no addresses at all the host has none.
    #[must_use]
    pub fn hint(mut self, host: &str, addresses: impl IntoIterator<Item = IpAddr>) -> Self {
        self.hints.insert(normal(host), addresses.into_iter().collect());
        self
    }

    /// Sets the address of this machine that is connected from; the port is 0 for any.
    ///
    /// It counts for its family, so it may be called twice. If it was called for one family alone,
    /// addresses of the other are not tried. Unix sockets do not care.
    ///
    /// With a port there can be one connection to each peer at a time.
    #[must_use]
    pub fn bind(mut self, local: SocketAddr) -> Self {
        match local {
            SocketAddr::V4(_) => self.from_v4 = Some(local),
            SocketAddr::V6(_) => self.from_v6 = Some(local),
        }
        self
    }

    /// Sets how long it may take in all, resolving included. Default: 10 s. [`Duration::MAX`] for as long as
    /// the system tries, which is some two minutes for each address.
    #[must_use]
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Sets how long resolving a name may take. Default: 10 s, so no less than the
    /// [whole](Self::timeout).
    #[must_use]
    pub fn resolve_timeout(mut self, limit: Duration) -> Self {
        self.resolve_limit = limit;
        self
    }

    /// Sets how long one address is tried alone before the next one is tried beside it: 10 ms to 2 s.
    /// Default: 250 ms.
    #[must_use]
    pub fn attempt_delay(mut self, delay: Duration) -> Self {
        self.delay = delay.clamp(SHORTEST_DELAY, LONGEST_DELAY);
        self
    }

    /// Sets how many addresses are tried at most: 1 to 64. Default: 16.
    #[must_use]
    pub fn max_attempts(mut self, attempts: usize) -> Self {
        self.attempts = attempts.clamp(1, MOST_ATTEMPTS);
        self
    }

    /// What was said about the host.
    pub(super) fn hinted(&self, host: &str) -> Option<Rc<[SocketAddr]>> {
        let addresses = self.hints.get(normal(host).as_str())?;
        Some(addresses.iter().map(|ip| SocketAddr::new(*ip, 0)).collect())
    }

    pub(super) fn plan(&self) -> Plan {
        let Self { family, from_v4, from_v6, attempts, .. } = *self;
        Plan { family, from_v4, from_v6, attempts }
    }
}

/// Host names are compared without regard to case, and to the dot of the root.
fn normal(host: &str) -> String {
    host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()
}
