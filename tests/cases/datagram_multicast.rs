// Groups, on the loopback interface.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use crate::datagrams::*;
use evloop::net::*;

const GROUP: Ipv4Addr = Ipv4Addr::new(239, 255, 77, 9);

/// Its number is 1 everywhere on Linux; by its name it is found too.
fn loopback() -> Interface {
    Interface::named("lo").unwrap()
}

#[test]
fn what_is_sent_to_a_group_comes_to_who_has_joined() {
    for interface in [Interface::Address(Ipv4Addr::LOCALHOST), loopback()] {
        let mut ev = live_ev();
        let told = Told::new();
        let receiver = ev.datagram("0.0.0.0:0", tells(&told, "in")).unwrap();
        let to = SocketAddr::from((GROUP, host(&mut ev, receiver).port()));
        let sender = ev.datagram("127.0.0.1:0", silent).unwrap();
        sender.set_multicast_interface(&mut ev, interface).unwrap();
        let group = IpAddr::from(GROUP);

        let _ = sender.send_to(&mut ev, b"too early", to).unwrap();
        receiver.join(&mut ev, group, interface).unwrap();
        let _ = sender.send_to(&mut ev, b"hello", to).unwrap();
        assert_eq!(until(&mut ev, &told, 1), ["in: hello"]);

        let again = receiver.join(&mut ev, group, interface).unwrap_err();
        assert_eq!(again.kind(), ErrorKind::InvalidInput);

        sender.set_multicast_hops(&mut ev, 2).unwrap();
        let _ = sender.send_to(&mut ev, b"again", to).unwrap();
        assert_eq!(until(&mut ev, &told, 1), ["in: again"]);

        receiver.leave(&mut ev, group, interface).unwrap();
        let twice = receiver.leave(&mut ev, group, interface).unwrap_err();
        assert_eq!(twice.kind(), ErrorKind::InvalidInput);
        let direct = SocketAddr::from((Ipv4Addr::LOCALHOST, to.port()));
        let _ = sender.send_to(&mut ev, b"too late", to).unwrap();
        let _ = sender.send_to(&mut ev, b"direct", direct).unwrap();
        assert_eq!(until(&mut ev, &told, 1), ["in: direct"]);
    }
}

#[test]
fn several_receivers_of_a_group_share_a_port_and_all_are_told() {
    let mut ev = live_ev();
    let told = Told::new();
    let options = DatagramOptions::new().reuse_address(true);
    let first = options.bind(&mut ev, "0.0.0.0:0", tells(&told, "first")).unwrap();
    let port = host(&mut ev, first).port();
    let second = options.bind(&mut ev, format!("0.0.0.0:{port}").as_str(), tells(&told, "second")).unwrap();
    for receiver in [first, second] {
        receiver.join(&mut ev, GROUP.into(), loopback()).unwrap();
    }
    let sender = ev.datagram("127.0.0.1:0", silent).unwrap();
    sender.set_multicast_interface(&mut ev, loopback()).unwrap();
    let _ = sender.send_to(&mut ev, b"x", SocketAddr::from((GROUP, port))).unwrap();
    let mut all = until(&mut ev, &told, 2);
    all.sort();
    assert_eq!(all, ["first: x", "second: x"]);
}

#[test]
fn a_group_of_ipv6_is_joined_by_the_number_of_an_interface() {
    let mut ev = live_ev();
    let told = Told::new();
    let group = Ipv6Addr::new(0xFF02, 0, 0, 0, 0, 0, 0x4D, 0x1234);
    let receiver = ev.datagram("[::]:0", tells(&told, "in")).unwrap();
    receiver.join(&mut ev, group.into(), loopback()).unwrap();
    let again = receiver.join(&mut ev, group.into(), loopback()).unwrap_err();
    assert_eq!(again.kind(), ErrorKind::InvalidInput);
    let sender = ev.datagram("[::]:0", silent).unwrap();
    sender.set_multicast_interface(&mut ev, loopback()).unwrap();
    let port = host(&mut ev, receiver).port();
    let to = SocketAddr::from(SocketAddrV6::new(group, port, 0, 1));
    match sender.send_to(&mut ev, b"hello", to) {
        Ok(sent) => {
            assert_eq!(sent, Sent::Now);
            assert_eq!(until(&mut ev, &told, 1), ["in: hello"]);
        }
        // Where the loopback interface has no route for groups.
        Err(error) => assert_eq!(error.raw_os_error(), Some(libc::ENETUNREACH)),
    }
    receiver.leave(&mut ev, group.into(), loopback()).unwrap();
    assert!(receiver.leave(&mut ev, group.into(), loopback()).is_err());
}

#[test]
fn a_socket_of_both_families_joins_groups_of_both() {
    let mut ev = live_ev();
    let told = Told::new();
    let receiver = ev.datagram(":0", tells(&told, "in")).unwrap();
    receiver.join(&mut ev, GROUP.into(), loopback()).unwrap();
    let sender = ev.datagram("127.0.0.1:0", silent).unwrap();
    sender.set_multicast_interface(&mut ev, loopback()).unwrap();
    let to = SocketAddr::from((GROUP, host(&mut ev, receiver).port()));
    let _ = sender.send_to(&mut ev, b"hello", to).unwrap();
    assert_eq!(until(&mut ev, &told, 1), ["in: hello"]);
}

#[test]
fn what_is_no_group_or_no_interface_is_refused() {
    let mut ev = live_ev();
    let v4 = ev.datagram("127.0.0.1:0", silent).unwrap();
    let v6 = ev.datagram("[::1]:0", silent).unwrap();
    let (unix, _far) = half(&mut ev, &DatagramOptions::new(), silent);
    let group = Ipv6Addr::new(0xFF02, 0, 0, 0, 0, 0, 0, 9);
    let wrong: [(Datagram, IpAddr, Interface); 6] = [
        (v4, Ipv4Addr::LOCALHOST.into(), Interface::Any),
        (v4, GROUP.into(), Interface::Index(u32::MAX)),
        (v4, group.into(), Interface::Any),
        (v6, Ipv6Addr::LOCALHOST.into(), Interface::Any),
        (v6, group.into(), Interface::Address(Ipv4Addr::LOCALHOST)),
        (unix, GROUP.into(), Interface::Any),
    ];
    for (socket, group, interface) in wrong {
        let error = socket.join(&mut ev, group, interface).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{group} {interface:?}: {error:?}");
    }
    assert_eq!(Interface::named("no such one").unwrap_err().kind(), ErrorKind::InvalidInput);
    v4.close(&mut ev);
    assert_eq!(v4.join(&mut ev, GROUP.into(), Interface::Any).unwrap_err().kind(), ErrorKind::Closed);
}
