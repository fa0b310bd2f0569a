//! Words for cases about listeners: clients, names nobody else uses, waiting for what must come.

// Every test binary includes the whole file and uses a part of it.
#![allow(dead_code)]

use std::cell::RefCell;
use std::io::{ErrorKind as IoErrorKind, Read};
use std::net::{SocketAddr, TcpStream};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixStream};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use evloop::net::{Accepted, Address, ListenOptions, Listener, Place};
use evloop::{EvLoop, Run};

use crate::suite::temporary;

/// Connections that were accepted, oldest first, and still are there.
pub type Kept = Rc<RefCell<Vec<Accepted>>>;

/// Keeps what it is given.
pub fn keeps(kept: &Kept) -> impl FnMut(&mut EvLoop, Accepted) + use<> + 'static {
    let kept = Rc::clone(kept);
    move |_, accepted| kept.borrow_mut().push(accepted)
}

/// The first of the listener's addresses, which is IP.
pub fn ip_of(listener: Listener, ev: &mut EvLoop) -> SocketAddr {
    match listener.addresses(ev).first().map(Address::place) {
        Some(Place::Socket(socket)) => *socket,
        other => panic!("not an IP address: {other:?}"),
    }
}

/// Connects, or panics.
#[track_caller]
pub fn connect(address: SocketAddr) -> TcpStream {
    TcpStream::connect(address).expect("a connection")
}

fn unique() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// An abstract name that no other test uses, as an address: connecting there is done when it returns,
/// which with TCP it need not be.
pub fn name() -> String {
    format!("unix:@evloop-listener-{}-{}", std::process::id(), unique())
}

/// Connects to a name.
#[track_caller]
pub fn call(name: &str) -> UnixStream {
    let bytes = name.strip_prefix("unix:@").expect("a name");
    let address = UnixAddr::from_abstract_name(bytes).expect("an address");
    UnixStream::connect_addr(&address).expect("a connection")
}

/// A directory of one's own, removed when dropped.
pub struct Room(pub PathBuf);

impl Room {
    pub fn new() -> Self {
        let path = temporary("listener");
        std::fs::create_dir(&path).expect("a directory");
        Self(path)
    }

    /// A path in it, as an address.
    pub fn address(&self, name: &str) -> String {
        format!("unix:{}", self.0.join(name).display())
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Runs the loop until this is so.
#[track_caller]
pub fn until(ev: &mut EvLoop, mut is_so: impl FnMut(&mut EvLoop) -> bool) {
    let begun = Instant::now();
    while !is_so(ev) {
        assert!(begun.elapsed() < Duration::from_secs(10), "nothing happens");
        ev.turn(Some(Duration::from_millis(20))).expect("a turn");
    }
}

/// One pass without waiting.
#[track_caller]
pub fn pass(ev: &mut EvLoop) {
    ev.run_mode(Run::NoWait).expect("a pass");
    ev.verify();
}

/// Whether the peer has ended the connection: waits for that, or for a byte.
#[track_caller]
pub fn is_ended(mut client: impl Read) -> bool {
    loop {
        match client.read(&mut [0]) {
            Ok(n) => return n == 0,
            Err(e) if e.kind() == IoErrorKind::ConnectionReset => return true,
            Err(e) if e.kind() == IoErrorKind::Interrupted => {}
            Err(e) => panic!("{e}"),
        }
    }
}

/// Whether the peer neither has ended it nor sent anything.
#[track_caller]
pub fn is_open(client: &UnixStream) -> bool {
    client.set_nonblocking(true).expect("a socket");
    let answer = { client }.read(&mut [0]);
    client.set_nonblocking(false).expect("a socket");
    matches!(answer, Err(e) if e.kind() == IoErrorKind::WouldBlock)
}

/// A listener at a name of its own that keeps what it accepts.
#[track_caller]
pub fn keeper(ev: &mut EvLoop, options: &ListenOptions) -> (Listener, String, Kept) {
    let (name, kept) = (name(), Kept::default());
    let listener = options.listen(ev, &*name, keeps(&kept)).expect("a listener");
    (listener, name, kept)
}
