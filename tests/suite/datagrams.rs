//! Words for cases about datagrams: handlers that write down what they are told, and waiting for it.

// Every test binary includes the whole file and uses a part of it.
#![allow(dead_code)]

use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use evloop::net::{Datagram, DatagramEvent, DatagramOptions, Place};
use evloop::{EvLoop, Run};

use crate::suite::{Log, secs, temporary};

pub use std::os::fd::{AsFd, OwnedFd};
pub use std::os::unix::net::UnixDatagram;

/// What handlers were told, as texts.
pub type Told = Log<String>;

/// A handler that writes down everything, under a name.
pub fn tells(
    log: &Told,
    name: &'static str,
) -> impl FnMut(&mut EvLoop, Datagram, DatagramEvent<'_>) + use<> + 'static {
    let log = log.clone();
    move |_, _, event| log.push(format!("{name}: {}", text(&event)))
}

/// A handler that is never told anything but its end.
pub fn silent(_: &mut EvLoop, _: Datagram, event: DatagramEvent<'_>) {
    assert!(matches!(event, DatagramEvent::Closed(_)), "{event:?}");
}

/// What an event says, without what differs from run to run.
pub fn text(event: &DatagramEvent<'_>) -> String {
    match event {
        DatagramEvent::Received(packet) => {
            let mut text = String::from_utf8_lossy(packet.bytes).into_owned();
            if packet.truncated {
                text += &format!(" of {}", packet.length);
            }
            if !packet.fds.is_empty() {
                text += &format!(" with {}", packet.fds.len());
            }
            if packet.fds_lost {
                text += " lost some";
            }
            text
        }
        DatagramEvent::Drained => "drained".to_owned(),
        DatagramEvent::Error(error) => match error.raw_os_error() {
            Some(errno) => format!("error {errno}"),
            None => format!("{:?}", error.kind()),
        },
        DatagramEvent::Closed(reason) => format!("{reason:?}"),
        other => format!("{other:?}"),
    }
}

/// Runs until so much was told; fails after ten seconds.
#[track_caller]
pub fn until(ev: &mut EvLoop, log: &Told, count: usize) -> Vec<String> {
    let start = std::time::Instant::now();
    while log.len() < count {
        assert!(start.elapsed() < secs(10), "still waiting after {:?}", log.take());
        ev.turn(Some(std::time::Duration::from_millis(50))).unwrap();
        ev.verify();
    }
    log.take()
}

/// One pass without waiting.
pub fn pass(ev: &mut EvLoop) {
    ev.run_mode(Run::NoWait).unwrap();
    ev.verify();
}

/// Passes until nothing more is told. For what is there already: loopback is immediate.
pub fn settle(ev: &mut EvLoop) {
    for _ in 0..4 {
        pass(ev);
    }
}

/// The port and host that a socket is bound to.
pub fn host(ev: &mut EvLoop, socket: Datagram) -> SocketAddr {
    let address = socket.local(ev).expect("it is bound");
    match *address.place() {
        Place::Socket(host) => host,
        _ => panic!("{address}"),
    }
}

/// A socket of the standard library's, and where it is.
pub fn outside() -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(secs(10))).unwrap();
    let host = socket.local_addr().unwrap();
    (socket, host)
}

/// The same at an address that no other test has: for ports that nobody may take when they are let go.
pub fn outside_alone() -> (UdpSocket, SocketAddr) {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed) as u8;
    let socket =
        UdpSocket::bind(SocketAddr::from(([127, 77, std::process::id() as u8, number], 0)))
            .unwrap();
    socket.set_read_timeout(Some(secs(10))).unwrap();
    let host = socket.local_addr().unwrap();
    (socket, host)
}

/// What the next datagram says.
pub fn next(socket: &UdpSocket) -> String {
    let mut bytes = [0; 70_000];
    let n = socket.recv(&mut bytes).unwrap();
    String::from_utf8_lossy(&bytes[..n]).into_owned()
}

/// All that waits at a Unix socket.
pub fn take_all(socket: &UnixDatagram) -> Vec<String> {
    socket.set_nonblocking(true).unwrap();
    let mut bytes = [0; 70_000];
    let mut all = Vec::new();
    while let Ok(n) = socket.recv(&mut bytes) {
        all.push(String::from_utf8_lossy(&bytes[..n]).into_owned());
    }
    all
}

/// One of ours that is connected to one of the standard library's.
pub fn half(
    ev: &mut EvLoop,
    options: &DatagramOptions,
    handler: impl FnMut(&mut EvLoop, Datagram, DatagramEvent<'_>) + 'static,
) -> (Datagram, UnixDatagram) {
    let (near, far) = UnixDatagram::pair().unwrap();
    (options.adopt(ev, near.into(), handler).unwrap(), far)
}

/// A path that nothing is at.
pub fn path() -> PathBuf {
    temporary("datagram")
}
