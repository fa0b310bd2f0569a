// Where listeners listen: addresses, families, options of the socket, sockets from elsewhere.

use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};

use evloop::net::{Address, ListenOptions, Listener, listeners};
use rustix::net::sockopt;

use crate::listening::*;

fn refused(ev: &mut EvLoop, address: &str) -> Error {
    match ev.listen(address, nothing) {
        Ok(_) => panic!("{address} is listened on"),
        Err(error) => error,
    }
}

fn port(listener: Listener, ev: &mut EvLoop) -> u16 {
    ip_of(listener, ev).port()
}

#[test]
fn for_port_0_the_real_one_is_told_and_reached() {
    let (mut ev, kept) = (live_ev(), Kept::default());
    let listener = ev.listen("tcp://127.0.0.1:0", keeps(&kept)).unwrap();
    let address = ip_of(listener, &mut ev);
    assert_ne!(address.port(), 0);
    assert!(address.ip().is_loopback());
    let client = connect(address);
    until(&mut ev, |_| !kept.borrow().is_empty());
    let kept = kept.borrow();
    assert_eq!(kept[0].peer(), Some(&Address::from(client.local_addr().unwrap())));
    assert_eq!(kept[0].local(), Some(Address::from(address)));
    assert_eq!(kept[0].listener(), listener);
}

#[test]
fn a_port_alone_is_both_families_by_one_socket() {
    let (mut ev, kept) = (live_ev(), Kept::default());
    let listener = ev.listen(":0", keeps(&kept)).unwrap();
    assert_eq!(listener.addresses(&ev).len(), 1);
    let port = port(listener, &mut ev);
    let clients = [
        connect(SocketAddr::new([127, 0, 0, 1].into(), port)),
        connect(SocketAddr::new(std::net::Ipv6Addr::LOCALHOST.into(), port)),
    ];
    until(&mut ev, |_| kept.borrow().len() == 2);
    for (accepted, client) in kept.borrow().iter().zip(&clients) {
        // IPv4 looks like IPv4.
        assert_eq!(accepted.peer(), Some(&Address::from(client.local_addr().unwrap())));
        assert_eq!(accepted.local(), Some(Address::from(client.peer_addr().unwrap())));
    }
}

#[test]
fn an_ipv6_address_is_for_ipv6_unless_told_otherwise() {
    let mut ev = live_ev();
    let v4 = |port| TcpStream::connect(("127.0.0.1", port));
    // At a port that nobody on this machine has in the other family.
    let mut tries = (0..3).map(|_| {
        let alone = ev.listen("[::]:0", nothing).unwrap();
        (alone, port(alone, &mut ev))
    });
    let free = |(_, port): &(Listener, u16)| TcpListener::bind(("0.0.0.0", *port)).is_ok();
    let (alone, port_of_it) = tries.find(free).expect("the other family is free");
    drop(tries);
    assert!(v4(port_of_it).is_err());
    alone.add(&mut ev, format!("0.0.0.0:{port_of_it}")).unwrap();
    assert!(v4(port_of_it).is_ok());
    let both = ListenOptions::new().v6_only(false).listen(&mut ev, "[::]:0", nothing).unwrap();
    assert!(v4(port(both, &mut ev)).is_ok());
    let six = ListenOptions::new().v6_only(true).listen(&mut ev, ":0", nothing).unwrap();
    assert!(v4(port(six, &mut ev)).is_err());
    // An IPv4 address in the clothes of the other family is one.
    let mapped = ev.listen("[::ffff:127.0.0.1]:0", nothing).unwrap();
    assert!(v4(port(mapped, &mut ev)).is_ok());
}

#[test]
fn localhost_is_both_loopback_addresses_at_one_port() {
    let mut ev = live_ev();
    for _ in 0..20 {
        let listener = ev.listen("localhost:0", nothing).unwrap();
        let addresses = listener.addresses(&ev);
        let port = port(listener, &mut ev);
        let expected = [format!("127.0.0.1:{port}"), format!("[::1]:{port}")];
        assert_eq!(addresses, expected.map(|text| text.parse().unwrap()));
        listener.close(&mut ev);
    }
}

#[test]
fn what_cannot_be_listened_on_is_refused_with_its_kind() {
    let mut ev = live_ev();
    let table = [
        ("", ErrorKind::InvalidInput),
        ("127.0.0.1", ErrorKind::InvalidInput),
        ("::1:80", ErrorKind::InvalidInput),
        ("127.0.0.1:65536", ErrorKind::InvalidInput),
        ("udp://127.0.0.1:0", ErrorKind::InvalidInput),
        ("example.org:80", ErrorKind::InvalidInput),
        ("192.0.2.1:0", ErrorKind::Listen),
        ("[2001:db8::1]:0", ErrorKind::Listen),
        ("[fe80::1%no-such-thing]:0", ErrorKind::Listen),
        ("unix:/no/such/directory/socket", ErrorKind::Listen),
        ("unix:/proc/socket", ErrorKind::Listen),
    ];
    for (address, kind) in table {
        let error = refused(&mut ev, address);
        assert_eq!(error.kind(), kind, "{address}: {error:?}");
        assert_eq!(error.raw_os_error().is_some(), kind == ErrorKind::Listen, "{address}");
    }
    let none: [&str; 0] = [];
    assert_eq!(ev.listen(none, nothing).unwrap_err().kind(), ErrorKind::InvalidInput);
    let name = refused(&mut ev, "example.org:80");
    let why = std::error::Error::source(&name).unwrap().to_string();
    assert!(why.contains("resolve it first"), "{why}");
    assert!(listeners(&ev).is_empty());
    assert!(!ev.has_refs());
}

#[test]
fn addresses_come_in_many_shapes() {
    let mut ev = live_ev();
    let socket: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let (address, text) = (Address::from(socket), "127.0.0.1:0".to_owned());
    let one = [
        ev.listen("127.0.0.1:0", nothing),
        ev.listen("127.0.0.1:0".to_owned(), nothing),
        ev.listen(&text, nothing),
        ev.listen(socket, nothing),
        ev.listen(&address, nothing),
        ev.listen(address.clone(), nothing),
    ];
    for listener in one {
        assert_eq!(listener.unwrap().addresses(&ev).len(), 1);
    }
    let (texts, list) = (&["127.0.0.1:0", "[::1]:0"], vec![address.clone(), address.clone()]);
    let two = [
        ev.listen(["127.0.0.1:0", "[::1]:0"], nothing),
        ev.listen(texts, nothing),
        ev.listen(vec![address.clone(), address.clone()], nothing),
        ev.listen(&list, nothing),
        ev.listen(&[socket, socket][..], nothing),
    ];
    for listener in two {
        assert_eq!(listener.unwrap().addresses(&ev).len(), 2);
    }
    assert_eq!((text.len(), texts.len(), list.len()), (11, 2, 2), "they were only borrowed");
}

#[test]
fn if_one_address_is_refused_none_is_listened_on() {
    let (mut ev, room) = (live_ev(), Room::new());
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let free = room.address("socket");
    let error = ev.listen([&*free, &*taken], nothing).unwrap_err();
    assert_eq!((error.kind(), error.raw_os_error()), (ErrorKind::Listen, Some(libc::EADDRINUSE)));
    assert_eq!(std::fs::read_dir(&room.0).unwrap().count(), 0);
    let listener = ev.listen(&free, nothing).unwrap();
    let error = listener.add(&mut ev, ["127.0.0.1:0", &*taken]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Listen);
    assert_eq!(listener.addresses(&ev).len(), 1);
}

#[test]
fn several_loops_share_an_address_if_told_to() {
    let options = ListenOptions::new().reuse_port(true);
    let (mut first, mut second) = (live_ev(), live_ev());
    let (one, two) = (Kept::default(), Kept::default());
    let listener = options.listen(&mut first, "127.0.0.1:0", keeps(&one)).unwrap();
    let address = ip_of(listener, &mut first);
    let other = options.listen(&mut second, address, keeps(&two)).unwrap();
    let error = first.listen(address, nothing).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EADDRINUSE));
    let _clients: Vec<_> = (0..40).map(|_| connect(address)).collect();
    until(&mut first, |_| {
        pass(&mut second);
        one.borrow().len() + two.borrow().len() == 40
    });
    // A client goes to either by its port: that all forty go to one happens once in 10^12.
    assert!(!one.borrow().is_empty() && !two.borrow().is_empty());
    assert!(other.exists(&second) && !other.exists(&first));
}

#[test]
fn options_reach_the_socket() {
    let mut ev = live_ev();
    let socket = |ev: &mut EvLoop, options: ListenOptions| -> OwnedFd {
        options.listen(ev, "127.0.0.1:0", nothing).unwrap().into_fds(ev).remove(0)
    };
    let usual = socket(&mut ev, ListenOptions::new());
    assert!(sockopt::socket_reuseaddr(&usual).unwrap());
    assert!(!sockopt::socket_reuseport(&usual).unwrap());
    assert!(sockopt::tcp_nodelay(&usual).unwrap());
    let other = ListenOptions::new().reuse_address(false).reuse_port(true);
    let other = socket(&mut ev, other);
    assert!(!sockopt::socket_reuseaddr(&other).unwrap());
    assert!(sockopt::socket_reuseport(&other).unwrap());
}

#[test]
fn a_full_queue_is_as_long_as_the_backlog() {
    let mut ev = live_ev();
    let name = name();
    let options = ListenOptions::new().backlog(2);
    let _listener = options.listen(&mut ev, &*name, nothing).unwrap();
    let target = rustix::net::SocketAddrUnix::new_abstract_name(&name.as_bytes()[6..]).unwrap();
    let mut waiting = Vec::new();
    loop {
        let flags = rustix::net::SocketFlags::NONBLOCK;
        let (family, kind) = (rustix::net::AddressFamily::UNIX, rustix::net::SocketType::STREAM);
        let socket = rustix::net::socket_with(family, kind, flags, None).unwrap();
        match rustix::net::connect(&socket, &target) {
            Ok(()) => waiting.push(socket),
            Err(e) => break assert_eq!(e, rustix::io::Errno::AGAIN),
        }
    }
    assert_eq!(waiting.len(), 3, "Linux takes one more");
}

#[test]
fn a_deferred_connection_comes_with_its_first_bytes() {
    let (mut ev, kept) = (live_ev(), Kept::default());
    let options = ListenOptions::new().defer_accept(secs(60));
    let listener = options.listen(&mut ev, "127.0.0.1:0", keeps(&kept)).unwrap();
    let address = ip_of(listener, &mut ev);
    let mut silent = connect(address);
    let mut talking = connect(address);
    talking.write_all(b"x").unwrap();
    until(&mut ev, |_| !kept.borrow().is_empty());
    let peers = |kept: &Kept| -> Vec<Address> {
        kept.borrow().iter().map(|accepted| accepted.peer().unwrap().clone()).collect()
    };
    let of = |client: &TcpStream| Address::from(client.local_addr().unwrap());
    assert_eq!(peers(&kept), [of(&talking)]);
    silent.write_all(b"x").unwrap();
    until(&mut ev, |_| kept.borrow().len() == 2);
    assert_eq!(peers(&kept), [of(&talking), of(&silent)]);
}

#[test]
fn a_listening_socket_from_elsewhere_is_adopted() {
    let (mut ev, kept) = (live_ev(), Kept::default());
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let _early = connect(address);
    let listener = ListenOptions::new().adopt(&mut ev, socket, keeps(&kept)).unwrap();
    assert_eq!(listener.addresses(&ev), [Address::from(address)]);
    let _late = connect(address);
    until(&mut ev, |_| kept.borrow().len() == 2);
    for accepted in kept.borrow().iter() {
        assert!(sockopt::tcp_nodelay(accepted.as_fd()).unwrap());
    }
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.add_fd(&mut ev, other).unwrap();
    assert_eq!(listener.addresses(&ev).len(), 2);
    for fd in listener.into_fds(&mut ev) {
        let flags = rustix::fs::fcntl_getfl(&fd).unwrap();
        assert!(flags.contains(rustix::fs::OFlags::NONBLOCK));
        let flags = rustix::io::fcntl_getfd(&fd).unwrap();
        assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
    }
}

#[test]
fn what_does_not_listen_is_not_adopted() {
    let mut ev = live_ev();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let connected = connect(listener.local_addr().unwrap());
    let fds: [OwnedFd; 4] = [
        connected.into(),
        UdpSocket::bind("127.0.0.1:0").unwrap().into(),
        std::fs::File::open("/dev/null").unwrap().into(),
        std::os::unix::net::UnixStream::pair().unwrap().0.into(),
    ];
    for fd in fds {
        let error = ListenOptions::new().adopt(&mut ev, fd, nothing).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error:?}");
    }
    assert!(listeners(&ev).is_empty());
}

#[test]
fn sockets_taken_out_still_listen_and_lose_nobody() {
    let (mut ev, mut other) = (live_ev(), live_ev());
    let kept = Kept::default();
    let listener = ev.listen(["127.0.0.1:0", "[::1]:0"], nothing).unwrap();
    let addresses = listener.addresses(&ev);
    let address = ip_of(listener, &mut ev);
    let _before = connect(address);
    let mut fds = listener.into_fds(&mut ev);
    assert!(!listener.exists(&ev) && !ev.has_refs());
    let _between = connect(address);
    assert_eq!(fds.len(), 2);
    let second = fds.pop().unwrap();
    let first = fds.pop().unwrap();
    let moved = ListenOptions::new().adopt(&mut other, first, keeps(&kept)).unwrap();
    moved.add_fd(&mut other, second).unwrap();
    assert_eq!(moved.addresses(&other), addresses);
    until(&mut other, |_| kept.borrow().len() == 2);
    assert!(listener.into_fds(&mut ev).is_empty());
}

#[test]
fn addresses_are_added_and_removed_while_it_runs() {
    let (mut ev, kept) = (live_ev(), Kept::default());
    let listener = ev.listen("127.0.0.1:0", keeps(&kept)).unwrap();
    let first = ip_of(listener, &mut ev);
    listener.add(&mut ev, ["127.0.0.1:0", &*name()]).unwrap();
    let all = listener.addresses(&ev);
    assert_eq!(all.len(), 3);
    assert!(listener.remove(&mut ev, &Address::from(first)));
    assert!(!listener.remove(&mut ev, &Address::from(first)));
    assert_eq!(listener.addresses(&ev), all[1..]);
    assert!(TcpStream::connect(first).is_err());
    let _client = connect(ip_of(listener, &mut ev));
    until(&mut ev, |_| kept.borrow().len() == 1);
    for address in &all[1..] {
        assert!(listener.remove(&mut ev, address));
    }
    // It is there, and holds nothing up.
    assert!(listener.exists(&ev));
    assert!(!ev.run().unwrap());
    listener.add(&mut ev, first).unwrap();
    assert!(ev.has_refs());
}

#[test]
fn the_listeners_of_a_loop_are_listed() {
    let (mut ev, mut other) = (live_ev(), live_ev());
    let all: Vec<Listener> = (0..3).map(|_| ev.listen(&*name(), nothing).unwrap()).collect();
    let foreign = other.listen(&*name(), nothing).unwrap();
    assert_eq!(listeners(&ev), all);
    for listener in listeners(&ev) {
        assert!(listener.close(&mut ev));
    }
    assert!(listeners(&ev).is_empty());
    assert!(!foreign.close(&mut ev) && foreign.close(&mut other));
}

#[test]
fn a_closed_address_is_free_at_once() {
    let mut ev = live_ev();
    let first = ev.listen("127.0.0.1:0", nothing).unwrap();
    let address = ip_of(first, &mut ev);
    assert!(first.close(&mut ev));
    assert!(!first.close(&mut ev));
    let second = ev.listen(address, nothing).unwrap();
    assert_eq!(ip_of(second, &mut ev), address);
}
