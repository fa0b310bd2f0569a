//! How a datagram socket is opened.

use std::ffi::OsStr;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::net::{AddressFamily, SocketType, sockopt};

use super::room::{self, Desk};
use super::{Datagram, DatagramEvent, DropPolicy, Peer, settings};
use crate::net::socket::{self, Target};
use crate::net::unix::MAX_FDS;
use crate::net::{Address, Place, Scheme};
use crate::sys::{datagram as sys, fork};
use crate::{Error, ErrorKind, EvLoop, Result};

const BINDING: &str = "binding a datagram socket";
const CONNECTING: &str = "connecting a datagram socket";
const ADOPTING: &str = "adopting a datagram socket";
const PAIRING: &str = "making a pair of datagram sockets";
const READING: &str = "reading the address of a datagram socket";

/// How a [`Datagram`] socket is opened, and what bounds it; the defaults are those of
/// [`EvLoop::datagram`].
///
/// ```
/// use evloop::net::{DatagramEvent, DatagramOptions, DropPolicy};
/// use evloop::EvLoop;
///
/// let mut ev = EvLoop::new()?;
/// let options = DatagramOptions::new().max_packet(9000).drop_policy(DropPolicy::Oldest);
/// let receiver = options.bind(&mut ev, "127.0.0.1:0", |ev, socket, event| {
///     if let DatagramEvent::Received(packet) = event {
///         assert_eq!(packet.bytes, b"ping");
///         socket.close(ev);
///     }
/// })?;
/// let address = receiver.local(&ev).expect("it is bound");
/// let sender = DatagramOptions::new().connect(&mut ev, address, |_, _, _| {})?.set_ref(&mut ev, false);
/// let _ = sender.send(&mut ev, b"ping")?;
/// ev.run()?;
/// # Ok::<(), evloop::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "options open nothing by themselves"]
pub struct DatagramOptions {
    pub(super) max_packet: usize,
    pub(super) accept_fds: usize,
    pub(super) queue_packets: usize,
    pub(super) queue_bytes: usize,
    pub(super) queue_timeout: Duration,
    pub(super) drop_policy: DropPolicy,
    local: Option<Peer>,
    reuse_address: bool,
    reuse_port: bool,
    only_v6: bool,
    broadcast: bool,
    receive_buffer: Option<usize>,
    send_buffer: Option<usize>,
    hops: Option<u8>,
    multicast_hops: Option<u8>,
    multicast_loop: Option<bool>,
    unlink_stale: bool,
    unlink_on_close: bool,
}

impl Default for DatagramOptions {
    fn default() -> Self {
        Self {
            max_packet: 2048,
            accept_fds: 0,
            queue_packets: 1024,
            queue_bytes: 1 << 20,
            queue_timeout: Duration::from_secs(30),
            drop_policy: DropPolicy::Newest,
            local: None,
            reuse_address: false,
            reuse_port: false,
            only_v6: false,
            broadcast: false,
            receive_buffer: None,
            send_buffer: None,
            hops: None,
            multicast_hops: None,
            multicast_loop: None,
            unlink_stale: false,
            unlink_on_close: true,
        }
    }
}

impl DatagramOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// The longest datagram that is received whole, in bytes; 2048 unless it is set, and at least 1. What
    /// is longer is [truncated](super::Packet::truncated). 65 535 is enough for everything over IP; Unix sockets
    /// carry as much as their sender's buffer is set to, and 1 MiB is the most that can be asked for.
    ///
    /// All sockets of a loop receive into the same memory: 64 KiB, and four times this where that is more.
    /// It is also the most that is received before others have their turn.
    pub fn max_packet(mut self, bytes: usize) -> Self {
        self.max_packet = bytes.clamp(1, 1 << 20);
        self
    }

    /// How many descriptors a datagram of a Unix socket may bring; none unless it is set, 253 at most.
    ///
    /// More than that, and all that it brings are closed at once. Each peer can fill the descriptor table of
    /// this process that far.
    pub fn accept_fds(mut self, count: usize) -> Self {
        self.accept_fds = count.min(MAX_FDS);
        self
    }

    /// How many datagrams may wait to be sent; 1024 unless it is set. With 0 nothing waits, and what the system
    /// does not take at once is dropped.
    pub fn queue_packets(mut self, count: usize) -> Self {
        self.queue_packets = count;
        self
    }

    /// How many bytes may wait to be sent; 1 MiB unless it is set.
    pub fn queue_bytes(mut self, bytes: usize) -> Self {
        self.queue_bytes = bytes;
        self
    }

    /// How long what waits to be sent may wait while nothing moves; 30 s unless it is set, and zero for ever.
    /// Then all of it is dropped, and told as an error.
    pub fn queue_timeout(mut self, limit: Duration) -> Self {
        self.queue_timeout = limit;
        self
    }

    /// What is dropped when as much waits as may.
    pub fn drop_policy(mut self, policy: DropPolicy) -> Self {
        self.drop_policy = policy;
        self
    }

    /// Where a socket that is to be connected is bound first. Without it the system finds a port; a Unix socket
    /// stays unnamed, and nobody can answer it.
    pub fn local(mut self, address: impl Into<Peer>) -> Self {
        self.local = Some(address.into());
        self
    }

    /// Whether others may be bound to the same address and port if they say so too (`SO_REUSEADDR`): what
    /// several receivers of one multicast group need. Of what is sent to one host, the system then gives all
    /// to one of them.
    pub fn reuse_address(mut self, reuse: bool) -> Self {
        self.reuse_address = reuse;
        self
    }

    /// Whether the same user's sockets may be bound to the same address and port, and share what comes, by
    /// sender (`SO_REUSEPORT`).
    pub fn reuse_port(mut self, reuse: bool) -> Self {
        self.reuse_port = reuse;
        self
    }

    /// Whether a socket of an IPv6 address leaves IPv4 alone (`IPV6_V6ONLY`). Of use for `[::]` only.
    pub fn only_v6(mut self, only: bool) -> Self {
        self.only_v6 = only;
        self
    }

    /// Whether sending to broadcast addresses is allowed; also [`Datagram::set_broadcast`].
    pub fn broadcast(mut self, allow: bool) -> Self {
        self.broadcast = allow;
        self
    }

    /// How much the system may hold that was not received yet (`SO_RCVBUF`), in bytes. It doubles that for its
    /// own needs and has a limit of its own (`net.core.rmem_max`), which it applies in silence.
    pub fn receive_buffer(mut self, bytes: usize) -> Self {
        self.receive_buffer = Some(bytes);
        self
    }

    /// How much the system may hold that has not left yet (`SO_SNDBUF`); otherwise the same.
    pub fn send_buffer(mut self, bytes: usize) -> Self {
        self.send_buffer = Some(bytes);
        self
    }

    /// How many routers what is sent may pass; also [`Datagram::set_hops`].
    pub fn hops(mut self, hops: u8) -> Self {
        self.hops = Some(hops);
        self
    }

    /// How many routers what is sent to a group may pass; also [`Datagram::set_multicast_hops`].
    pub fn multicast_hops(mut self, hops: u8) -> Self {
        self.multicast_hops = Some(hops);
        self
    }

    /// Whether what is sent to a group comes back to this machine; also [`Datagram::set_multicast_loop`].
    pub fn multicast_loop(mut self, on: bool) -> Self {
        self.multicast_loop = Some(on);
        self
    }

    /// Whether the path of a Unix socket that nobody serves any more is removed, so that it can be bound to.
    /// Only a socket is, and only one that refuses to be connected to.
    pub fn unlink_stale(mut self, unlink: bool) -> Self {
        self.unlink_stale = unlink;
        self
    }

    /// Whether the path that a Unix socket was bound to is removed when it is closed, which it is unless this
    /// says `false`. Not if something else is there by then, nor in a forked child.
    pub fn unlink_on_close(mut self, unlink: bool) -> Self {
        self.unlink_on_close = unlink;
        self
    }

    /// Opens a socket that is bound to an address, and receives from everybody.
    ///
    /// A port of 0 is any that is free; [`local`](Datagram::local) says which. `:53`, without a
    /// host, is all of this machine's addresses, IPv4 and IPv6. A Unix socket's path must not exist.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] for what is no address, a host by name (resolve it first), or a scheme other
    /// than `udp`. [`ErrorKind::Listen`] if the system refuses to bind to it; else those of
    /// [`Io::start`](crate::Io::start). The handler is dropped then and was not called.
    pub fn bind<A: TryInto<Address>>(
        &self,
        ev: &mut EvLoop,
        address: A,
        handler: impl FnMut(&mut EvLoop, Datagram, DatagramEvent<'_>) + 'static,
    ) -> Result<Datagram>
    where
        A::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let address = read(address)?;
        if let Place::Any(port) = *address.place() {
            let v6 = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
            let socket = match self.bound(&Target::Ip(v6)) {
                // No IPv6 here.
                Err(error) if error.raw_os_error() == Some(libc::EAFNOSUPPORT) && !self.only_v6 => {
                    self.bound(&Target::Ip((Ipv4Addr::UNSPECIFIED, port).into()))
                }
                other => other,
            };
            return self.open(ev, socket.map_err(binding)?, None, Box::new(handler));
        }
        let target = target(&address)?;
        let socket = self.bound(&target).map_err(binding)?;
        let file = self.file_of(match address.place() {
            Place::Path(path) => Some(path),
            _ => None,
        });
        self.open(ev, socket, file, Box::new(handler))
    }

    /// Opens a socket that is connected to an address: it sends there, receives only from there, and is told
    /// when what it has sent was refused.
    ///
    /// # Errors
    ///
    /// As for [`bind`](Self::bind), but [`ErrorKind::Connect`] if the system refuses.
    pub fn connect<A: TryInto<Address>>(
        &self,
        ev: &mut EvLoop,
        address: A,
        handler: impl FnMut(&mut EvLoop, Datagram, DatagramEvent<'_>) + 'static,
    ) -> Result<Datagram>
    where
        A::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let target = target(&read(address)?)?;
        let refused = |error| Error::os(ErrorKind::Connect, CONNECTING, error);
        let (socket, file) = match self.local {
            None => (self.fresh(&target).map_err(refused)?, None),
            Some(local) => {
                let Some(here) = local.target() else {
                    return Err(Error::new(ErrorKind::InvalidInput, CONNECTING));
                };
                let socket = self.bound(&here).map_err(binding)?;
                (socket, self.file_of(local.path()))
            }
        };
        let connected = connect(&target, &socket);
        if let Err(error) = connected {
            if let Some(file) = file {
                file.remove();
            }
            return Err(refused(error));
        }
        self.open(ev, socket, file, Box::new(handler))
    }

    /// Takes a socket that comes from elsewhere, such as a service manager: bound, connected or neither. It is
    /// made non-blocking and close-on-exec; of the options, those apply that do not concern the address.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] if it is not a socket of datagrams; else those of
    /// [`Io::start`](crate::Io::start). It is closed then.
    pub fn adopt(
        &self,
        ev: &mut EvLoop,
        socket: OwnedFd,
        handler: impl FnMut(&mut EvLoop, Datagram, DatagramEvent<'_>) + 'static,
    ) -> Result<Datagram> {
        let wrong =
            |error: rustix::io::Errno| Error::os(ErrorKind::InvalidInput, ADOPTING, error.into());
        if sockopt::socket_type(&socket).map_err(wrong)? != SocketType::DGRAM {
            return Err(Error::new(ErrorKind::InvalidInput, ADOPTING));
        }
        let flags = rustix::io::fcntl_getfd(&socket).map_err(wrong)?;
        rustix::io::fcntl_setfd(&socket, flags | rustix::io::FdFlags::CLOEXEC).map_err(wrong)?;
        rustix::io::ioctl_fionbio(&socket, true).map_err(wrong)?;
        self.adjust(&socket)
            .map_err(|error| Error::os(ErrorKind::InvalidInput, ADOPTING, error))?;
        self.open(ev, socket, None, Box::new(handler))
    }

    /// Opens two Unix sockets that are connected with each other and have no names (`socketpair`).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Connect`] if the system refuses; else those of [`Io::start`](crate::Io::start). Neither is
    /// open then.
    pub fn pair(
        &self,
        ev: &mut EvLoop,
        first: impl FnMut(&mut EvLoop, Datagram, DatagramEvent<'_>) + 'static,
        second: impl FnMut(&mut EvLoop, Datagram, DatagramEvent<'_>) + 'static,
    ) -> Result<(Datagram, Datagram)> {
        let refused = |error: io::Error| Error::os(ErrorKind::Connect, PAIRING, error);
        let (unix, kind) = (AddressFamily::UNIX, SocketType::DGRAM);
        let pair = rustix::net::socketpair(unix, kind, socket::FLAGS, None);
        let (one, other) = pair.map_err(|error| refused(error.into()))?;
        self.adjust(&one).map_err(refused)?;
        self.adjust(&other).map_err(refused)?;
        let one = self.open(ev, one, None, Box::new(first))?;
        match self.open(ev, other, None, Box::new(second)) {
            Ok(other) => Ok((one, other)),
            Err(error) => {
                // As if it had never been: nobody has seen its key.
                ev.local::<Desk>().forget(ev, one);
                Err(error)
            }
        }
    }

    fn open(
        &self,
        ev: &mut EvLoop,
        socket: OwnedFd,
        file: Option<BoundFile>,
        handler: room::Handler,
    ) -> Result<Datagram> {
        room::open(ev, socket, self, file, handler)
    }

    /// A socket for that address, with everything set that has to be before it is bound.
    fn fresh(&self, target: &Target) -> io::Result<OwnedFd> {
        let socket = target.socket(SocketType::DGRAM)?;
        if self.reuse_address {
            sockopt::set_socket_reuseaddr(&socket, true)?;
        }
        if self.reuse_port {
            sockopt::set_socket_reuseport(&socket, true)?;
        }
        if matches!(target, Target::Ip(SocketAddr::V6(_))) {
            sockopt::set_ipv6_v6only(&socket, self.only_v6)?;
        }
        if matches!(target, Target::Ip(_)) {
            sys::hear_own_groups_only(socket.as_fd());
        }
        self.adjust(&socket)?;
        Ok(socket)
    }

    /// What does not concern the address.
    fn adjust(&self, socket: &OwnedFd) -> io::Result<()> {
        let fd = socket.as_fd();
        if self.broadcast {
            sockopt::set_socket_broadcast(fd, true)?;
        }
        if let Some(bytes) = self.receive_buffer {
            sockopt::set_socket_recv_buffer_size(fd, bytes)?;
        }
        if let Some(bytes) = self.send_buffer {
            sockopt::set_socket_send_buffer_size(fd, bytes)?;
        }
        if let Some(hops) = self.hops {
            settings::set_hops(fd, hops)?;
        }
        if let Some(hops) = self.multicast_hops {
            settings::set_multicast_hops(fd, hops)?;
        }
        if let Some(on) = self.multicast_loop {
            settings::set_multicast_loop(fd, on)?;
        }
        Ok(())
    }

    fn bound(&self, target: &Target) -> io::Result<OwnedFd> {
        let socket = self.fresh(target)?;
        match target.bind(&socket) {
            Err(error) if self.unlink_stale && error.kind() == io::ErrorKind::AddrInUse => {
                if !remove_stale(target) {
                    return Err(error);
                }
                target.bind(&socket)?;
            }
            other => other?,
        }
        Ok(socket)
    }

    /// What was made by binding, if that is to be removed one day.
    fn file_of(&self, path: Option<&Path>) -> Option<BoundFile> {
        BoundFile::at(path.filter(|_| self.unlink_on_close)?)
    }

    pub(super) fn layout(&self) -> sys::Layout {
        /// What is received before others have their turn, unless datagrams are large.
        const SHARE: usize = 64 * 1024;
        let slots = (SHARE / self.max_packet).clamp(4, sys::BATCH);
        sys::Layout { slots, size: self.max_packet, fds: self.accept_fds }
    }
}

/// A path that we have bound to.
#[derive(Debug)]
pub(super) struct BoundFile {
    path: PathBuf,
    device: u64,
    inode: u64,
    generation: u32,
}

impl BoundFile {
    fn at(path: &Path) -> Option<Self> {
        // The loop's directory may change before it is closed.
        let path = std::path::absolute(path).ok()?;
        let found = std::fs::symlink_metadata(&path).ok()?;
        let (device, inode) = (found.dev(), found.ino());
        Some(Self { path, device, inode, generation: fork::generation() })
    }

    /// Removes it, if it is still the one, and ours.
    pub(super) fn remove(self) {
        let Ok(found) = std::fs::symlink_metadata(&self.path) else { return };
        let is_it = (found.dev(), found.ino()) == (self.device, self.inode);
        if is_it && fork::generation() == self.generation {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Removes a Unix socket that nobody serves; says whether it has.
fn remove_stale(target: &Target) -> bool {
    let Target::Unix(unix) = target else { return false };
    let Some(path) = unix.path_bytes() else { return false };
    let path = Path::new(OsStr::from_bytes(path));
    let is_socket =
        std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket());
    let Ok(probe) = target.socket(SocketType::DGRAM) else { return false };
    // Of another type, served: EPROTOTYPE, since the type is looked at last.
    let refused =
        connect(target, &probe).is_err_and(|e| e.kind() == io::ErrorKind::ConnectionRefused);
    is_socket && refused && std::fs::remove_file(path).is_ok()
}

fn connect(target: &Target, socket: &OwnedFd) -> io::Result<()> {
    loop {
        match target.connect(socket) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

fn binding(error: io::Error) -> Error {
    Error::os(ErrorKind::Listen, BINDING, error)
}

fn read<A: TryInto<Address>>(address: A) -> Result<Address>
where
    A::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let wrong = |cause: A::Error| Error::caused(ErrorKind::InvalidInput, READING, cause.into());
    let address = address.try_into().map_err(wrong)?;
    match address.scheme() {
        None | Some(Scheme::Udp) => Ok(address),
        Some(_) => {
            let cause = "of the schemes only udp:// is one of datagrams";
            Err(Error::caused(ErrorKind::InvalidInput, READING, cause.into()))
        }
    }
}

fn target(address: &Address) -> Result<Target> {
    match Target::of(address.place()) {
        Ok(Some(target)) => Ok(target),
        Ok(None) => {
            let cause = "a host by name, or none, has to be resolved first";
            Err(Error::caused(ErrorKind::InvalidInput, READING, cause.into()))
        }
        Err(error) => Err(Error::os(ErrorKind::InvalidInput, READING, error)),
    }
}
