//! From addresses to sockets that listen.

// A Unix socket is a file too, and the kernel neither removes it when the socket is closed nor binds
// where one is. Who removes a file must know that it is his: its device and inode are noted when it is
// made, and compared before it is removed.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{self, Mode, OFlags};
use rustix::io::{Errno, FdFlags};
use rustix::net::{self as sys, SocketAddrAny, SocketFlags, SocketType, sockopt};

use super::ListenOptions;
use crate::net::socket::{self, Target};
use crate::net::{Address, Place, Scheme};
use crate::sys::{fork, listen};
use crate::{Error, ErrorKind, Result};

/// As all sockets of the house are born.
pub(super) const FLAGS: SocketFlags = SocketFlags::NONBLOCK.union(SocketFlags::CLOEXEC);

const LISTENING: &str = "listening";
const ADOPTING: &str = "adopting a socket to accept connections from";

/// How often a port is asked for that is free in both families.
const PORT_ATTEMPTS: usize = 16;

/// A socket that listens, and the file it has made.
pub(super) struct Bound {
    // Removed before the socket is closed: whoever comes in between finds nothing, not a dead one.
    file: Option<SocketFile>,
    fd: OwnedFd,
    address: Option<Address>,
    /// Who is in its queue already may not have inherited its options.
    is_foreign_tcp: bool,
}

impl AsFd for Bound {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Bound {
    /// Where; `None` for an adopted socket that cannot tell.
    pub(super) fn address(&self) -> Option<&Address> {
        self.address.as_ref()
    }

    /// One connection, if somebody waits.
    pub(super) fn accept(&self) -> Result<(OwnedFd, Option<SocketAddrAny>), Errno> {
        let (socket, peer) = sys::acceptfrom_with(&self.fd, FLAGS)?;
        if self.is_foreign_tcp {
            // The next call will tell if it is dead.
            let _ = sockopt::set_tcp_nodelay(&socket, true);
        }
        Ok((socket, peer))
    }

    /// The socket, with its file left where it is.
    pub(super) fn into_fd(self) -> OwnedFd {
        if let Some(file) = self.file {
            file.leave();
        }
        self.fd
    }

    /// The port, of those that have one.
    fn port(&self) -> Option<u16> {
        self.address.as_ref()?.port()
    }
}

/// All of the addresses, or none.
pub(super) fn all(options: &ListenOptions, addresses: &[Address]) -> Result<Vec<Bound>> {
    if addresses.is_empty() {
        return Err(invalid("no address is given"));
    }
    let mut bound = Vec::with_capacity(addresses.len());
    for address in addresses {
        if address.scheme() == Some(Scheme::Udp) {
            return Err(invalid("there are no connections to accept with udp"));
        }
        one(options, address, &mut bound)?;
    }
    Ok(bound)
}

fn one(options: &ListenOptions, address: &Address, bound: &mut Vec<Bound>) -> Result<()> {
    let refused = |cause| refused(address, cause);
    match address.place() {
        Place::Any(port) => bound.push(any(options, *port).map_err(&refused)?),
        Place::Name { host, port } if matches!(host.as_str(), "localhost" | "localhost.") => {
            bound.extend(localhost(options, *port).map_err(&refused)?);
        }
        Place::Name { .. } => {
            return Err(invalid(
                "it is a name: to ask what it means could block; resolve it first, or listen on a number",
            ));
        }
        Place::Path(path) => bound.push(unix(options, path).map_err(&refused)?),
        place => {
            let target = Target::of(place).map_err(&refused)?;
            let target = target.ok_or_else(|| invalid("it is not an address of this machine"))?;
            let v6_only = options.v6_only.unwrap_or_else(|| !is_mapped(&target));
            bound.push(bind(options, &target, v6_only).map_err(&refused)?);
        }
    }
    Ok(())
}

/// Every address of the machine: one socket for both families, or IPv4 where there is nothing else.
fn any(options: &ListenOptions, port: u16) -> io::Result<Bound> {
    let v6 = Target::Ip((Ipv6Addr::UNSPECIFIED, port).into());
    match bind(options, &v6, options.v6_only.unwrap_or(false)) {
        Err(e) if lacks_family(&e) && options.v6_only != Some(true) => {
            let v4 = Target::Ip((Ipv4Addr::UNSPECIFIED, port).into());
            bind(options, &v4, false)
        }
        other => other,
    }
}

/// The loopback addresses that there are, at one port.
fn localhost(options: &ListenOptions, port: u16) -> io::Result<Vec<Bound>> {
    let bind_at = |ip: IpAddr, port| bind(options, &Target::Ip(SocketAddr::new(ip, port)), true);
    let (v4, v6) = (Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into());
    let mut attempts = if port == 0 { PORT_ATTEMPTS } else { 1 };
    loop {
        attempts -= 1;
        let first = match bind_at(v4, port) {
            Err(e) if lacks_family(&e) => return Ok(vec![bind_at(v6, port)?]),
            first => first?,
        };
        match bind_at(v6, first.port().unwrap_or(port)) {
            Ok(second) => return Ok(vec![first, second]),
            Err(e) if lacks_family(&e) => return Ok(vec![first]),
            // What is free with IPv4 need not be with IPv6.
            Err(e) if attempts > 0 && e.kind() == io::ErrorKind::AddrInUse => {}
            Err(e) => return Err(e),
        }
    }
}

fn bind(options: &ListenOptions, target: &Target, v6_only: bool) -> io::Result<Bound> {
    let fd = target.socket(SocketType::STREAM)?;
    if let Target::Ip(ip) = target {
        sockopt::set_socket_reuseaddr(&fd, options.reuse_address)?;
        if options.reuse_port {
            sockopt::set_socket_reuseport(&fd, true)?;
        }
        if ip.is_ipv6() {
            sockopt::set_ipv6_v6only(&fd, v6_only)?;
        }
        // Every connection inherits it, which is a system call less for each.
        sockopt::set_tcp_nodelay(&fd, true)?;
        if let Some(wait) = options.defer_accept {
            // The system counts seconds; less than one is not none.
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            listen::set_defer_accept(fd.as_fd(), i32::try_from(seconds).unwrap_or(i32::MAX))?;
        }
    }
    target.bind(&fd)?;
    start(options, &fd)?;
    let address = socket::local_address(&fd).unwrap_or_else(|| target.address());
    Ok(Bound { file: None, fd, address: Some(address), is_foreign_tcp: false })
}

fn start(options: &ListenOptions, fd: &OwnedFd) -> io::Result<()> {
    Ok(sys::listen(fd, i32::try_from(options.backlog).unwrap_or(i32::MAX))?)
}

fn unix(options: &ListenOptions, path: &Path) -> io::Result<Bound> {
    // A child must not remove what is its parent's.
    fork::watch()?;
    let place = Place::Path(path.to_owned());
    let target = Target::of(&place)?.ok_or(io::ErrorKind::InvalidInput)?;
    let fd = target.socket(SocketType::STREAM)?;
    if let Some(mode) = options.mode {
        // The file gets the mode of the socket, less the umask: nobody can connect before it is what was
        // asked for.
        fs::fchmod(&fd, Mode::from_raw_mode(mode))?;
    }
    match target.bind(&fd) {
        Err(e) if e.kind() == io::ErrorKind::AddrInUse && options.unlink_stale => {
            unlink_stale(&target, path, e)?;
            target.bind(&fd)?;
        }
        other => other?,
    }
    // Until the last step is done, also against the wish of the options.
    let file = SocketFile::new(path)?;
    if let Some(mode) = options.mode {
        file.widen(mode)?;
    }
    start(options, &fd)?;
    let address = Some(target.address());
    let file = if options.remove_on_close {
        Some(file)
    } else {
        file.leave();
        None
    };
    Ok(Bound { file, fd, address, is_foreign_tcp: false })
}

/// Removes a socket's file that nobody listens at; `in_use` if that is not what it is.
fn unlink_stale(target: &Target, path: &Path, in_use: io::Error) -> io::Result<()> {
    let identity = |stat: &fs::Stat| (stat.st_dev, stat.st_ino);
    let before = match fs::lstat(path) {
        Ok(stat) if fs::FileType::from_raw_mode(stat.st_mode).is_socket() => stat,
        // Whoever was there has removed it.
        Err(Errno::NOENT) => return Ok(()),
        _ => return Err(in_use),
    };
    let probe = target.socket(SocketType::STREAM)?;
    match target.connect(&probe) {
        Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => {}
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        // Connected, or its queue is full, or it takes datagrams, or we are not let near it.
        _ => return Err(in_use),
    }
    // Somebody may have made a new one meanwhile.
    match fs::lstat(path) {
        Ok(now) if identity(&now) == identity(&before) => Ok(fs::unlink(path)?),
        Err(Errno::NOENT) => Ok(()),
        _ => Err(in_use),
    }
}

/// The file of a Unix socket. Dropped, it is removed if it still is the one that was made.
struct SocketFile {
    /// Absolute: the working directory may change.
    path: PathBuf,
    device: u64,
    inode: u64,
    /// The process that made it: its forked children leave it alone.
    generation: u32,
    leave: bool,
}

impl SocketFile {
    fn new(path: &Path) -> io::Result<Self> {
        let path = std::path::absolute(path)?;
        let stat = fs::lstat(&path)?;
        let generation = fork::generation();
        Ok(Self { path, device: stat.st_dev, inode: stat.st_ino, generation, leave: false })
    }

    fn leave(mut self) {
        self.leave = true;
    }

    /// What the umask has taken away is given back.
    fn widen(&self, mode: u32) -> io::Result<()> {
        // By a descriptor, so that it is done to what was looked at.
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = fs::open(&self.path, flags, Mode::empty())?;
        let stat = fs::fstat(&file)?;
        if !self.is(&stat) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        if stat.st_mode & PERMISSIONS != mode {
            // `fchmod` takes no descriptor of this sort; that of the process's own directory does.
            let path = format!("/proc/self/fd/{}", file.as_raw_fd());
            fs::chmod(path, Mode::from_raw_mode(mode))?;
        }
        Ok(())
    }

    fn is(&self, stat: &fs::Stat) -> bool {
        (stat.st_dev, stat.st_ino) == (self.device, self.inode)
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.leave || self.generation != fork::generation() {
            return;
        }
        if fs::lstat(&self.path).is_ok_and(|stat| self.is(&stat)) {
            let _ = fs::unlink(&self.path);
        }
    }
}

/// The bits of a mode that say who may do what.
pub(super) const PERMISSIONS: u32 = 0o777;

/// A socket that somebody else has made listen.
pub(super) fn adopt(fd: OwnedFd) -> Result<Bound> {
    let unfit = |cause: Errno| Error::os(ErrorKind::InvalidInput, ADOPTING, cause.into());
    let why = |text: &'static str| Error::caused(ErrorKind::InvalidInput, ADOPTING, text.into());
    if sockopt::socket_type(&fd).map_err(unfit)? != SocketType::STREAM {
        return Err(why("it is not a socket of the kind stream"));
    }
    if !sockopt::socket_acceptconn(&fd).map_err(unfit)? {
        return Err(why("the socket does not listen"));
    }
    let prepare = || {
        fs::fcntl_setfl(&fd, fs::fcntl_getfl(&fd)? | OFlags::NONBLOCK)?;
        rustix::io::fcntl_setfd(&fd, rustix::io::fcntl_getfd(&fd)? | FdFlags::CLOEXEC)?;
        Ok(())
    };
    prepare().map_err(|cause: Errno| Error::os(ErrorKind::Listen, ADOPTING, cause.into()))?;
    let address = socket::local_address(&fd);
    Ok(Bound { file: None, is_foreign_tcp: socket::is_tcp(&fd), fd, address })
}

/// There is no such family here, or it was switched off.
fn lacks_family(error: &io::Error) -> bool {
    let missing = [Errno::AFNOSUPPORT, Errno::ADDRNOTAVAIL, Errno::PROTONOSUPPORT];
    missing.iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

/// An IPv4 address written as IPv6, which needs a socket for both.
fn is_mapped(target: &Target) -> bool {
    matches!(target, Target::Ip(SocketAddr::V6(v6)) if v6.ip().to_ipv4_mapped().is_some())
}

/// Which of the addresses it was, and why.
fn refused(address: &Address, cause: io::Error) -> Error {
    Error::named(ErrorKind::Listen, LISTENING, address, cause)
}

fn invalid(why: &'static str) -> Error {
    Error::caused(ErrorKind::InvalidInput, LISTENING, why.into())
}
