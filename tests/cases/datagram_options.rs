// Opening: addresses, options, what is refused.

use crate::datagrams::*;
use evloop::net::*;
use rustix::net::sockopt;

/// What an option of the socket is.
fn look<T>(ev: &mut EvLoop, socket: Datagram, f: impl Fn(std::os::fd::BorrowedFd<'_>) -> rustix::io::Result<T>) -> T {
    let number = socket.fd(ev).unwrap();
    // SAFETY: the socket is open and nobody closes it meanwhile.
    f(unsafe { std::os::fd::BorrowedFd::borrow_raw(number) }).unwrap()
}

#[test]
fn the_address_is_told_with_the_real_port() {
    let mut ev = live_ev();
    for text in ["127.0.0.1:0", "udp://127.0.0.1:0", "[::1]:0", ":0"] {
        let socket = ev.datagram(text, silent).unwrap();
        let host = host(&mut ev, socket);
        assert_ne!(host.port(), 0, "{text}");
        assert_eq!(host.ip().is_loopback(), text != ":0");
        assert_eq!(socket.peer(&ev), None);
        socket.close(&mut ev);
    }
    let address: std::net::SocketAddr = "127.0.0.1:0".parse().unwrap();
    let socket = ev.datagram(address, silent).unwrap();
    let here = socket.local(&ev).unwrap();
    let client = DatagramOptions::new().connect(&mut ev, here.clone(), silent).unwrap();
    assert_eq!(client.peer(&ev), Some(here));
}

#[test]
fn what_cannot_be_bound_to_is_refused_and_leaves_nothing_open() {
    let mut ev = live_ev();
    let taken = ev.datagram("127.0.0.1:0", silent).unwrap();
    let taken = taken.local(&ev).unwrap().to_string();
    let wrong = [
        ("", ErrorKind::InvalidInput),
        ("not an address", ErrorKind::InvalidInput),
        ("localhost:1", ErrorKind::InvalidInput),
        ("tcp://127.0.0.1:1", ErrorKind::InvalidInput),
        ("192.0.2.1:1", ErrorKind::Listen),
        ("unix:/nowhere/at/all", ErrorKind::Listen),
        (taken.as_str(), ErrorKind::Listen),
    ];
    for (address, kind) in wrong {
        let error = ev.datagram(address, silent).unwrap_err();
        assert_eq!(error.kind(), kind, "{address}: {error:?}");
        if kind == ErrorKind::InvalidInput {
            let error = DatagramOptions::new().connect(&mut ev, address, silent).unwrap_err();
            assert_eq!(error.kind(), kind, "{address}");
        }
    }
    let error = DatagramOptions::new().connect(&mut ev, "unix:/nowhere", silent).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connect);
    for stream in [std::os::unix::net::UnixStream::pair().unwrap().0.into(), OwnedFd::from(std::fs::File::open("/").unwrap())] {
        let error = DatagramOptions::new().adopt(&mut ev, stream, silent).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
}

#[test]
fn options_are_those_that_were_asked_for() {
    let mut ev = live_ev();
    let options = DatagramOptions::new()
        .reuse_address(true)
        .reuse_port(true)
        .broadcast(true)
        .receive_buffer(20_000)
        .send_buffer(30_000)
        .hops(7)
        .multicast_hops(3)
        .multicast_loop(false);
    let socket = options.bind(&mut ev, "127.0.0.1:0", silent).unwrap();
    assert!(look(&mut ev, socket, |fd| sockopt::socket_reuseaddr(fd)));
    assert!(look(&mut ev, socket, |fd| sockopt::socket_reuseport(fd)));
    assert!(look(&mut ev, socket, |fd| sockopt::socket_broadcast(fd)));
    assert_eq!(look(&mut ev, socket, |fd| sockopt::socket_recv_buffer_size(fd)), 40_000);
    assert_eq!(look(&mut ev, socket, |fd| sockopt::socket_send_buffer_size(fd)), 60_000);
    assert_eq!(look(&mut ev, socket, |fd| sockopt::ip_ttl(fd)), 7);
    assert_eq!(look(&mut ev, socket, |fd| sockopt::ip_multicast_ttl(fd)), 3);
    assert!(!look(&mut ev, socket, |fd| sockopt::ip_multicast_loop(fd)));
    // A second one at the same place.
    let here = socket.local(&ev).unwrap();
    options.bind(&mut ev, here, silent).unwrap();
    let v6 = options.only_v6(true).bind(&mut ev, "[::1]:0", silent).unwrap();
    assert!(look(&mut ev, v6, |fd| sockopt::ipv6_v6only(fd)));
    assert_eq!(look(&mut ev, v6, |fd| sockopt::ipv6_unicast_hops(fd)), 7);
    assert_eq!(look(&mut ev, v6, |fd| sockopt::ipv6_multicast_hops(fd)), 3);
    assert!(!look(&mut ev, v6, |fd| sockopt::ipv6_multicast_loop(fd)));
}

#[test]
fn options_can_be_changed_while_it_is_open() {
    let mut ev = live_ev();
    let socket = ev.datagram("127.0.0.1:0", silent).unwrap();
    let (_outside, to) = outside();
    let everybody = std::net::SocketAddr::from(([255, 255, 255, 255], to.port()));
    let error = socket.send_to(&mut ev, b"x", everybody).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EACCES));
    socket.set_broadcast(&mut ev, true).unwrap();
    assert!(look(&mut ev, socket, |fd| sockopt::socket_broadcast(fd)));
    socket.set_hops(&mut ev, 9).unwrap();
    assert_eq!(look(&mut ev, socket, |fd| sockopt::ip_ttl(fd)), 9);
    assert_eq!(socket.set_hops(&mut ev, 0).unwrap_err().kind(), ErrorKind::InvalidInput);
    let (unix, _far) = half(&mut ev, &DatagramOptions::new(), silent);
    assert_eq!(unix.set_hops(&mut ev, 9).unwrap_err().kind(), ErrorKind::InvalidInput);
    let v6 = ev.datagram("[::1]:0", silent).unwrap();
    v6.set_multicast_hops(&mut ev, 4).unwrap();
    v6.set_multicast_loop(&mut ev, false).unwrap();
    assert_eq!(look(&mut ev, v6, |fd| sockopt::ipv6_multicast_hops(fd)), 4);
    assert!(!look(&mut ev, v6, |fd| sockopt::ipv6_multicast_loop(fd)));
}

#[test]
fn descriptors_are_close_on_exec_and_never_block() {
    let mut ev = live_ev();
    let bound = ev.datagram("127.0.0.1:0", silent).unwrap();
    let here = bound.local(&ev).unwrap();
    let connected = DatagramOptions::new().connect(&mut ev, here, silent).unwrap();
    let (adopted, far) = half(&mut ev, &DatagramOptions::new(), silent);
    let (one, other) = DatagramOptions::new().pair(&mut ev, silent, silent).unwrap();
    for socket in [bound, connected, adopted, one, other] {
        let flags = look(&mut ev, socket, |fd| rustix::io::fcntl_getfd(fd));
        assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
        let flags = look(&mut ev, socket, |fd| rustix::fs::fcntl_getfl(fd));
        assert!(flags.contains(rustix::fs::OFlags::NONBLOCK));
    }
    drop(far);
}

#[test]
fn a_socket_of_both_families_has_one_name_for_a_peer() {
    let mut ev = live_ev();
    let told = Told::new();
    let log = told.clone();
    let socket = ev
        .datagram(":0", move |ev, socket, event| {
            let DatagramEvent::Received(packet) = event else { return };
            log.push(packet.peer.to_string());
            assert_eq!(socket.send_to(ev, b"back", packet.peer).unwrap(), Sent::Now);
        })
        .unwrap();
    let port = host(&mut ev, socket).port();
    let (outside, from) = outside();
    outside.send_to(b"x", ("127.0.0.1", port)).unwrap();
    assert_eq!(until(&mut ev, &told, 1), [from.to_string()]);
    assert_eq!(next(&outside), "back");
    let v6 = std::net::UdpSocket::bind("[::1]:0").unwrap();
    v6.set_read_timeout(Some(secs(10))).unwrap();
    v6.send_to(b"x", ("::1", port)).unwrap();
    assert_eq!(until(&mut ev, &told, 1), [v6.local_addr().unwrap().to_string()]);
    assert_eq!(next(&v6), "back");
}

#[test]
fn a_connected_socket_can_be_bound_first() {
    let mut ev = live_ev();
    let (outside, to) = outside();
    let here = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    let socket = DatagramOptions::new().local(here).connect(&mut ev, to, silent).unwrap();
    let _ = socket.send(&mut ev, b"x").unwrap();
    let mut byte = [0];
    let (_, from) = outside.recv_from(&mut byte).unwrap();
    assert_eq!(from, host(&mut ev, socket));
}
