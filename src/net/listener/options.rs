//! How to listen, and where.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::Duration;

use super::{Accepted, Listener, bind};
use crate::net::Address;
use crate::sys::listen;
use crate::{Error, ErrorKind, EvLoop, Result};

const LISTENING: &str = "listening";

/// So many of the descriptors that the process may have are left for other things than connections.
const OTHER_DESCRIPTORS: usize = 64;

/// How to listen (`evconnlistener_new`, `MHD_OPTION_…`).
///
/// ```
/// use evloop::EvLoop;
/// use evloop::net::ListenOptions;
/// use std::time::Duration;
///
/// let mut ev = EvLoop::new()?;
/// let listener = ListenOptions::new()
///     .backlog(4096)
///     .max_connections(1000)
///     .max_per_ip(10)
///     .defer_accept(Duration::from_secs(5))
///     .listen(&mut ev, ["127.0.0.1:0", "unix:@evloop-options-example"], |_, accepted| {
///         println!("{:?} came and is sent away", accepted.peer());
///     })?;
/// assert_eq!(listener.addresses(&ev).len(), 2);
/// # Ok::<(), evloop::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "options do nothing until `listen` or `adopt`"]
pub struct ListenOptions {
    pub(super) backlog: u32,
    pub(super) reuse_address: bool,
    pub(super) reuse_port: bool,
    pub(super) v6_only: Option<bool>,
    pub(super) defer_accept: Option<Duration>,
    pub(super) accepts_per_wakeup: u32,
    pub(super) rate: u32,
    pub(super) burst: u32,
    pub(super) max_connections: usize,
    pub(super) max_per_ip: u32,
    pub(super) spare_descriptor: bool,
    pub(super) unlink_stale: bool,
    pub(super) remove_on_close: bool,
    pub(super) mode: Option<u32>,
}

impl Default for ListenOptions {
    fn default() -> Self {
        Self {
            backlog: 1024,
            reuse_address: true,
            reuse_port: false,
            v6_only: None,
            defer_accept: None,
            accepts_per_wakeup: 64,
            rate: 0,
            burst: 0,
            max_connections: 10_000,
            max_per_ip: 0,
            spare_descriptor: true,
            unlink_stale: true,
            remove_on_close: true,
            mode: None,
        }
    }
}

impl ListenOptions {
    /// Those of [`EvLoop::listen`].
    pub fn new() -> Self {
        Self::default()
    }

    /// How many connections wait in the kernel to be accepted, 1024 by default. Linux has a limit of its
    /// own: `net.core.somaxconn`.
    pub fn backlog(mut self, backlog: u32) -> Self {
        self.backlog = backlog;
        self
    }

    /// Whether a port can be bound while old connections of it linger (`SO_REUSEADDR`), as it must be for a
    /// server to be restarted. On by default.
    pub fn reuse_address(mut self, on: bool) -> Self {
        self.reuse_address = on;
        self
    }

    /// Whether several sockets of this user may listen on one address (`SO_REUSEPORT`): the kernel spreads the
    /// connections. For one loop per thread. Off by default.
    pub fn reuse_port(mut self, on: bool) -> Self {
        self.reuse_port = on;
        self
    }

    /// Whether sockets for IPv6 are for nothing else (`IPV6_V6ONLY`).
    ///
    /// Without this an address is what it says: `:80` every address of both families, by one dual-stack
    /// socket, or IPv4 alone where there is no IPv6; `[::]:80` those of IPv6. With `true` `:80` is IPv6
    /// alone, with `false` `[::]:80` is both. The setting of the system (`bindv6only`) is not asked.
    pub fn v6_only(mut self, on: bool) -> Self {
        self.v6_only = Some(on);
        self
    }

    /// Has the kernel keep connections back until something has come on them, for about so long
    /// (`TCP_DEFER_ACCEPT`, in whole seconds). For protocols in which the client speaks first. TCP only; off
    /// by default.
    pub fn defer_accept(mut self, wait: Duration) -> Self {
        self.defer_accept = (!wait.is_zero()).then_some(wait);
        self
    }

    /// How many connections are accepted before others have their turn, 64 by default; 0 is taken as 1.
    /// Several sockets of one listener share it, with one for each at least.
    pub fn accepts_per_wakeup(mut self, most: u32) -> Self {
        self.accepts_per_wakeup = most.max(1);
        self
    }

    /// How many connections are accepted per second on average, and how many at once after a rest. What is
    /// more waits in the kernel. 0 per second, the default, is no limit.
    pub fn accept_rate(mut self, per_second: u32, burst: u32) -> Self {
        (self.rate, self.burst) = (per_second, burst);
        self
    }

    /// How many connections of this listener may be open, 10 000 by default: with so many it rests until one is
    /// closed, and others wait in the kernel.
    ///
    /// In any case 64 less than the process may have descriptors (`RLIMIT_NOFILE`), and one at least; 0 means
    /// that limit alone.
    pub fn max_connections(mut self, most: usize) -> Self {
        self.max_connections = most;
        self
    }

    /// How many connections one host may have open: further ones are accepted and closed at once. IPv6 hosts
    /// are told apart by their first 64 bits. 0, the default, is no limit; Unix sockets have none.
    pub fn max_per_ip(mut self, most: u32) -> Self {
        self.max_per_ip = most;
        self
    }

    /// Whether a descriptor is kept in reserve. When the process has no other left, it is given up for a
    /// moment to accept and close who waits, so that they learn of it. On by default; without it they wait.
    pub fn spare_descriptor(mut self, on: bool) -> Self {
        self.spare_descriptor = on;
        self
    }

    /// Whether the file of a Unix socket at which nobody listens any more gives way. On by default.
    ///
    /// One that answers stays, as does what is no socket; listening is then refused with `EADDRINUSE`. Two
    /// processes that start at the same moment may still take the file from each other.
    pub fn unlink_stale(mut self, on: bool) -> Self {
        self.unlink_stale = on;
        self
    }

    /// Whether the file of a Unix socket is removed when its listener is closed, or the loop dropped, if
    /// it still is the same. On by default. Only the process that made it does so, not its forked children.
    pub fn remove_on_close(mut self, on: bool) -> Self {
        self.remove_on_close = on;
        self
    }

    /// Who may do what with the file of a Unix socket: the nine bits of `chmod`. To connect is to write.
    /// Without this it is the umask's affair.
    ///
    /// The file is never open to more than these bits allow. On other systems than Linux its
    /// directory should be closed to others instead.
    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = Some(mode & bind::PERMISSIONS);
        self
    }

    /// Listens: `callback` is called with each connection. One address, or several.
    ///
    /// What addresses mean is told at [`v6_only`](Self::v6_only). Port 0 is any that is free:
    /// [`Listener::addresses`] tells which. Names are not resolved, as that could block, except `localhost`,
    /// which is 127.0.0.1 and `[::1]`, as far as they exist, at one port. Other
    /// schemes than `udp://` say nothing here.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) for what is no address, for names, and for no
    /// address at all; [`ErrorKind::Listen`](crate::ErrorKind::Listen) if the system refuses one
    /// (`EADDRINUSE`, `EACCES` …), and then none is listened on; those of [`Io::start`](crate::Io::start).
    pub fn listen(
        &self,
        ev: &mut EvLoop,
        addresses: impl ListenAddresses,
        callback: impl FnMut(&mut EvLoop, Accepted) + 'static,
    ) -> Result<Listener> {
        let addresses = addresses.addresses()?;
        ev.be_unforked(LISTENING)?;
        let bound = bind::all(self, &addresses)?;
        Listener::open(ev, self, bound, Box::new(callback))
    }

    /// Accepts connections from a socket that listens already: one that was
    /// [passed](super::listen_fds_from_environment) to the process, or taken out of
    /// [another listener](Listener::into_fds).
    ///
    /// It is made non-blocking and close-on-exec, and its connections have `TCP_NODELAY`. Options about how
    /// to bind do nothing, and the file of a Unix socket stays when the listener is closed.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) if it is not a stream socket that listens;
    /// those of [`Io::start`](crate::Io::start). The descriptor is closed then.
    pub fn adopt(
        &self,
        ev: &mut EvLoop,
        socket: impl Into<OwnedFd>,
        callback: impl FnMut(&mut EvLoop, Accepted) + 'static,
    ) -> Result<Listener> {
        let bound = bind::adopt(socket.into())?;
        Listener::open(ev, self, vec![bound], Box::new(callback))
    }

    /// As [`adopt`](Self::adopt), for several sockets, all of which one listener accepts from.
    ///
    /// # Errors
    ///
    /// Those of [`adopt`](Self::adopt); [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) if there are none.
    /// All of them are closed then.
    pub fn adopt_all(
        &self,
        ev: &mut EvLoop,
        sockets: impl IntoIterator<Item = OwnedFd>,
        callback: impl FnMut(&mut EvLoop, Accepted) + 'static,
    ) -> Result<Listener> {
        let bound = sockets.into_iter().map(bind::adopt).collect::<Result<Vec<_>>>()?;
        if bound.is_empty() {
            let cause = "no sockets were given";
            return Err(Error::caused(ErrorKind::InvalidInput, "adopting sockets", cause.into()));
        }
        Listener::open(ev, self, bound, Box::new(callback))
    }

    /// How many connections there may be now: the process's limit may change.
    pub(super) fn connections_cap(&self) -> usize {
        let descriptors = listen::descriptor_limit().saturating_sub(OTHER_DESCRIPTORS).max(1);
        match self.max_connections {
            0 => descriptors,
            most => most.min(descriptors),
        }
    }
}

/// One address to listen on, or several: text, [`Address`], [`SocketAddr`], and arrays, slices and vectors
/// of them.
pub trait ListenAddresses {
    /// What they are.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) for text that is no address.
    fn addresses(self) -> Result<Vec<Address>>;
}

impl ListenAddresses for &str {
    fn addresses(self) -> Result<Vec<Address>> {
        Ok(vec![self.parse()?])
    }
}

impl ListenAddresses for String {
    fn addresses(self) -> Result<Vec<Address>> {
        self.as_str().addresses()
    }
}

impl ListenAddresses for &String {
    fn addresses(self) -> Result<Vec<Address>> {
        self.as_str().addresses()
    }
}

impl ListenAddresses for Address {
    fn addresses(self) -> Result<Vec<Address>> {
        Ok(vec![self])
    }
}

impl ListenAddresses for &Address {
    fn addresses(self) -> Result<Vec<Address>> {
        self.clone().addresses()
    }
}

impl ListenAddresses for SocketAddr {
    fn addresses(self) -> Result<Vec<Address>> {
        Address::from(self).addresses()
    }
}

impl<T: ListenAddresses> ListenAddresses for Vec<T> {
    fn addresses(self) -> Result<Vec<Address>> {
        all(self)
    }
}

impl<T: ListenAddresses, const N: usize> ListenAddresses for [T; N] {
    fn addresses(self) -> Result<Vec<Address>> {
        all(self)
    }
}

impl<T: ListenAddresses + Clone> ListenAddresses for &[T] {
    fn addresses(self) -> Result<Vec<Address>> {
        all(self.iter().cloned())
    }
}

impl<T: ListenAddresses + Clone> ListenAddresses for &Vec<T> {
    fn addresses(self) -> Result<Vec<Address>> {
        self.as_slice().addresses()
    }
}

impl<T: ListenAddresses + Clone, const N: usize> ListenAddresses for &[T; N] {
    fn addresses(self) -> Result<Vec<Address>> {
        self.as_slice().addresses()
    }
}

fn all<T: ListenAddresses>(list: impl IntoIterator<Item = T>) -> Result<Vec<Address>> {
    let mut addresses = Vec::new();
    for one in list {
        addresses.append(&mut one.addresses()?);
    }
    Ok(addresses)
}
