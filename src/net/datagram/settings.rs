//! Multicast groups and the other things a socket can be told at any time.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::BorrowedFd;

use rustix::net::{AddressFamily, SocketType, netdevice, sockopt};

use super::Datagram;
use super::room::Desk;
use crate::net::socket;
use crate::sys::datagram as sys;
use crate::{Error, ErrorKind, EvLoop, Result};

const JOINING: &str = "joining a multicast group";
const LEAVING: &str = "leaving a multicast group";
const SETTING: &str = "setting an option of a datagram socket";
const NAMING: &str = "looking up a network interface";

/// One of this machine's network interfaces.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[non_exhaustive]
pub enum Interface {
    /// The one that the system takes, by its routes.
    #[default]
    Any,
    /// By its number.
    Index(u32),
    /// The one with this address; for IPv4 only.
    Address(Ipv4Addr),
}

impl Interface {
    /// By its name, such as `eth0`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] if there is none of this name.
    pub fn named(name: &str) -> Result<Self> {
        let any =
            rustix::net::socket_with(AddressFamily::INET, SocketType::DGRAM, socket::FLAGS, None);
        let index = any.and_then(|socket| netdevice::name_to_index(socket, name));
        let wrong =
            |error: rustix::io::Errno| Error::os(ErrorKind::InvalidInput, NAMING, error.into());
        index.map(Self::Index).map_err(wrong)
    }

    fn index(self) -> io::Result<u32> {
        match self {
            Self::Any => Ok(0),
            Self::Index(index) => Ok(index),
            Self::Address(_) => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    /// An address and a number, of which the number counts if it is not 0.
    fn for_v4(self) -> (Ipv4Addr, u32) {
        match self {
            Self::Any => (Ipv4Addr::UNSPECIFIED, 0),
            Self::Index(index) => (Ipv4Addr::UNSPECIFIED, index),
            Self::Address(address) => (address, 0),
        }
    }
}

impl Datagram {
    /// Receives what is sent to a group, on one interface.
    ///
    /// The socket has to be bound to the group's port, and to no other host's address: to `0.0.0.0` or `[::]`,
    /// or to the group itself, which keeps out what is sent to the port otherwise. It hears of the groups that it
    /// has joined and no others; Linux, left alone, delivers what anybody on the machine has joined
    /// (`IP_MULTICAST_ALL`).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] if it is no group, if it is of another family than the socket, or is
    /// joined already, or if there is no such interface; [`ErrorKind::Io`] if the system refuses for another
    /// reason (`ENOBUFS`: there is a limit, 20 for IPv4); [`ErrorKind::Stale`], [`ErrorKind::Closed`].
    pub fn join(self, ev: &mut EvLoop, group: IpAddr, interface: Interface) -> Result<()> {
        self.set(ev, JOINING, |fd| {
            // One that was adopted may not know yet.
            sys::hear_own_groups_only(fd);
            match group {
                IpAddr::V4(group) => {
                    let (address, index) = interface.for_v4();
                    Ok(sockopt::set_ip_add_membership_with_ifindex(fd, &group, &address, index)?)
                }
                IpAddr::V6(group) => {
                    Ok(sockopt::set_ipv6_add_membership(fd, &group, interface.index()?)?)
                }
            }
        })
    }

    /// Receives it no longer.
    ///
    /// # Errors
    ///
    /// As for [`join`](Self::join); [`ErrorKind::InvalidInput`] if it was not joined there.
    pub fn leave(self, ev: &mut EvLoop, group: IpAddr, interface: Interface) -> Result<()> {
        self.set(ev, LEAVING, |fd| match group {
            IpAddr::V4(group) => {
                let (address, index) = interface.for_v4();
                Ok(sockopt::set_ip_drop_membership_with_ifindex(fd, &group, &address, index)?)
            }
            IpAddr::V6(group) => {
                Ok(sockopt::set_ipv6_drop_membership(fd, &group, interface.index()?)?)
            }
        })
    }

    /// Where what is sent to groups leaves.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] if there is no such interface; else as for [`join`](Self::join).
    pub fn set_multicast_interface(self, ev: &mut EvLoop, interface: Interface) -> Result<()> {
        self.set(ev, SETTING, |fd| {
            let (address, index) = interface.for_v4();
            if sockopt::socket_domain(fd)? == AddressFamily::INET6 {
                sockopt::set_ipv6_multicast_if(fd, interface.index()?)?;
            }
            let any = Ipv4Addr::UNSPECIFIED;
            for_v4(fd, |fd| sockopt::set_ip_multicast_if_with_ifindex(fd, &any, &address, index))
        })
    }

    /// Whether what is sent to groups comes back to receivers on this machine, which it does at first. On the
    /// loopback interface it always does.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] if it is a Unix socket; else as for [`join`](Self::join).
    pub fn set_multicast_loop(self, ev: &mut EvLoop, on: bool) -> Result<()> {
        self.set(ev, SETTING, |fd| set_multicast_loop(fd, on))
    }

    /// How many routers what is sent to groups may pass: 1 at first, which stays in the local network.
    ///
    /// # Errors
    ///
    /// As for [`set_multicast_loop`](Self::set_multicast_loop).
    pub fn set_multicast_hops(self, ev: &mut EvLoop, hops: u8) -> Result<()> {
        self.set(ev, SETTING, |fd| set_multicast_hops(fd, hops))
    }

    /// How many routers what is sent to hosts may pass, at least 1.
    ///
    /// # Errors
    ///
    /// As for [`set_multicast_loop`](Self::set_multicast_loop).
    pub fn set_hops(self, ev: &mut EvLoop, hops: u8) -> Result<()> {
        self.set(ev, SETTING, |fd| set_hops(fd, hops))
    }

    /// Whether sending to broadcast addresses is allowed; otherwise it fails with `EACCES`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Stale`], [`ErrorKind::Closed`].
    pub fn set_broadcast(self, ev: &mut EvLoop, allow: bool) -> Result<()> {
        self.set(ev, SETTING, |fd| Ok(sockopt::set_socket_broadcast(fd, allow)?))
    }

    fn set(
        self,
        ev: &mut EvLoop,
        doing: &'static str,
        f: impl FnOnce(BorrowedFd<'_>) -> io::Result<()>,
    ) -> Result<()> {
        let fd = ev.local::<Desk>().open_fd(self, doing)?;
        f(std::os::fd::AsFd::as_fd(&fd)).map_err(|error| {
            let wrong = [libc::EINVAL, libc::ENODEV, libc::EADDRINUSE, libc::EADDRNOTAVAIL];
            let wrong = wrong.map(Some).contains(&error.raw_os_error())
                || matches!(
                    error.raw_os_error(),
                    Some(libc::ENOPROTOOPT | libc::EOPNOTSUPP | libc::ENXIO) | None
                );
            let kind = if wrong { ErrorKind::InvalidInput } else { ErrorKind::Io };
            Error::os(kind, doing, error)
        })
    }
}

/// For IPv4: what a socket of either family may send, unless it has been told to be IPv6 only.
fn for_v4(
    fd: BorrowedFd<'_>,
    f: impl FnOnce(BorrowedFd<'_>) -> rustix::io::Result<()>,
) -> io::Result<()> {
    match sockopt::socket_domain(fd)? {
        AddressFamily::INET => Ok(f(fd)?),
        AddressFamily::INET6 => {
            // Some systems refuse it there. What it is about is never sent then.
            let _ = f(fd);
            Ok(())
        }
        _ => Err(io::Error::from_raw_os_error(libc::EOPNOTSUPP)),
    }
}

pub(super) fn set_hops(fd: BorrowedFd<'_>, hops: u8) -> io::Result<()> {
    if sockopt::socket_domain(fd)? == AddressFamily::INET6 {
        sockopt::set_ipv6_unicast_hops(fd, Some(hops))?;
    }
    for_v4(fd, |fd| sockopt::set_ip_ttl(fd, hops.into()))
}

pub(super) fn set_multicast_hops(fd: BorrowedFd<'_>, hops: u8) -> io::Result<()> {
    if sockopt::socket_domain(fd)? == AddressFamily::INET6 {
        sockopt::set_ipv6_multicast_hops(fd, hops.into())?;
    }
    for_v4(fd, |fd| sockopt::set_ip_multicast_ttl(fd, hops.into()))
}

pub(super) fn set_multicast_loop(fd: BorrowedFd<'_>, on: bool) -> io::Result<()> {
    if sockopt::socket_domain(fd)? == AddressFamily::INET6 {
        sockopt::set_ipv6_multicast_loop(fd, on)?;
    }
    for_v4(fd, |fd| sockopt::set_ip_multicast_loop(fd, on))
}
