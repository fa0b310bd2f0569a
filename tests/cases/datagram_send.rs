// Sending: at once, queued, dropped, refused.

use crate::datagrams::*;
use evloop::net::*;

/// Sends until the system takes no more; how many it took.
fn fill(ev: &mut EvLoop, socket: Datagram) -> usize {
    for n in 0..10_000 {
        match socket.send(ev, format!("{n}").as_bytes()).unwrap() {
            Sent::Now => {}
            Sent::Queued | Sent::Dropped => return n,
        }
    }
    panic!("it takes everything");
}

#[test]
fn what_the_system_takes_is_sent_within_the_call() {
    let mut ev = live_ev();
    let (outside, to) = outside();
    let socket = ev.datagram("127.0.0.1:0", silent).unwrap();
    for text in ["one", "", "three"] {
        assert_eq!(socket.send_to(&mut ev, text.as_bytes(), to).unwrap(), Sent::Now);
        assert_eq!(next(&outside), text);
    }
    let counters = socket.counters(&ev).unwrap();
    assert_eq!((counters.packets_out, counters.bytes_out, counters.batches_out), (3, 8, 0));
}

#[test]
fn what_has_to_wait_leaves_in_order_in_batches_and_is_told_when_it_has() {
    let mut ev = live_ev();
    let told = Told::new();
    let (socket, far) = half(&mut ev, &DatagramOptions::new(), tells(&told, "near"));
    let taken = fill(&mut ev, socket);
    let total = taken + 100;
    for n in taken + 1..total {
        assert_eq!(socket.send(&mut ev, format!("{n}").as_bytes()).unwrap(), Sent::Queued);
    }
    assert_eq!(socket.queued(&ev).0, 100);
    settle(&mut ev);
    assert!(told.take().is_empty());
    let mut all = Vec::new();
    while told.len() == 0 {
        all.extend(take_all(&far));
        pass(&mut ev);
    }
    all.extend(take_all(&far));
    assert_eq!(told.take(), ["near: drained"]);
    assert_eq!(all, (0..total).map(|n| n.to_string()).collect::<Vec<_>>());
    assert_eq!(socket.queued(&ev), (0, 0));
    let counters = socket.counters(&ev).unwrap();
    assert_eq!((counters.packets_out, counters.dropped), (total as u64, 0));
    assert!(counters.batches_out < 60, "{counters:?}");
    assert_eq!(socket.send(&mut ev, b"again").unwrap(), Sent::Now);
}

#[test]
fn the_newest_is_dropped_when_as_many_wait_as_may() {
    let mut ev = live_ev();
    let options = DatagramOptions::new().queue_packets(3);
    let (socket, far) = half(&mut ev, &options, |_, _, _| {});
    let taken = fill(&mut ev, socket); // and one waits
    for expected in [Sent::Queued, Sent::Queued, Sent::Dropped, Sent::Dropped] {
        assert_eq!(socket.send(&mut ev, b"more").unwrap(), expected);
    }
    assert_eq!(socket.counters(&ev).unwrap().dropped, 2);
    assert_eq!(take_all(&far).len(), taken);
    pass(&mut ev);
    assert_eq!(take_all(&far), [&taken.to_string(), "more", "more"]);
}

#[test]
fn the_oldest_go_if_the_policy_says_so() {
    let mut ev = live_ev();
    let options = DatagramOptions::new().queue_packets(2).drop_policy(DropPolicy::Oldest);
    let (socket, far) = half(&mut ev, &options, |_, _, _| {});
    fill(&mut ev, socket);
    for text in ["a", "b", "c"] {
        assert_eq!(socket.send(&mut ev, text.as_bytes()).unwrap(), Sent::Queued);
    }
    assert_eq!(socket.counters(&ev).unwrap().dropped, 2);
    take_all(&far);
    pass(&mut ev);
    assert_eq!(take_all(&far), ["b", "c"]);
}

#[test]
fn the_bytes_that_wait_have_a_cap_too() {
    for (policy, left) in [(DropPolicy::Newest, vec!["12345", "xxx"]), (DropPolicy::Oldest, vec!["xxx", "123456"])] {
        let mut ev = live_ev();
        let options = DatagramOptions::new().queue_bytes(9).drop_policy(policy);
        let (socket, far) = half(&mut ev, &options, |_, _, _| {});
        fill(&mut ev, socket);
        // What the filling has left there goes.
        while socket.queued(&ev).0 > 0 {
            take_all(&far);
            pass(&mut ev);
        }
        while socket.send(&mut ev, b"").unwrap() == Sent::Now {}
        for text in ["12345", "xxx", "123456"] {
            let _ = socket.send(&mut ev, text.as_bytes()).unwrap();
        }
        assert_eq!(socket.send(&mut ev, b"more than nine").unwrap(), Sent::Dropped);
        assert!(socket.queued(&ev).1 <= 9);
        take_all(&far);
        pass(&mut ev);
        let got: Vec<String> = take_all(&far).into_iter().filter(|text| !text.is_empty()).collect();
        assert_eq!(got, left, "{policy:?}");
    }
}

#[test]
fn with_no_queue_nothing_waits() {
    for policy in [DropPolicy::Newest, DropPolicy::Oldest] {
        let mut ev = live_ev();
        let options = DatagramOptions::new().queue_packets(0).drop_policy(policy);
        let (socket, _far) = half(&mut ev, &options, silent);
        fill(&mut ev, socket);
        assert_eq!(socket.queued(&ev), (0, 0));
        assert_eq!(socket.counters(&ev).unwrap().dropped, 1);
    }
}

#[test]
fn what_does_not_move_is_given_up() {
    let mut ev = ev();
    let told = Told::new();
    let options = DatagramOptions::new().queue_timeout(secs(3));
    let (socket, far) = half(&mut ev, &options, tells(&told, "near"));
    let taken = fill(&mut ev, socket);
    ev.after(secs(2), |_| {});
    ev.after(secs(4), |ev| ev.break_loop(Break::One));
    ev.run().unwrap();
    assert_eq!(told.take(), ["near: TimedOut", "near: drained"]);
    assert_eq!(socket.queued(&ev), (0, 0));
    assert_eq!(socket.counters(&ev).unwrap().dropped, 1);
    assert_eq!(take_all(&far).len(), taken);
    assert_eq!(socket.send(&mut ev, b"again").unwrap(), Sent::Now);
}

#[test]
fn what_is_longer_than_a_datagram_is_refused_at_once() {
    let mut ev = live_ev();
    let (_outside, to) = outside();
    let socket = ev.datagram("127.0.0.1:0", silent).unwrap();
    let error = socket.send_to(&mut ev, &[0; 65_508], to).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert_eq!(error.raw_os_error(), Some(libc::EMSGSIZE));
    // Also when others wait, which is not when the system would say it.
    let (unix, _far) = half(&mut ev, &DatagramOptions::new().queue_bytes(1 << 30), silent);
    fill(&mut ev, unix);
    let error = unix.send(&mut ev, &vec![0; 1 << 24]).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EMSGSIZE));
}

#[test]
fn what_has_nowhere_to_go_is_refused() {
    let mut ev = live_ev();
    let socket = ev.datagram("127.0.0.1:0", silent).unwrap();
    let error = socket.send(&mut ev, b"to nobody").unwrap_err();
    assert_eq!((error.kind(), error.raw_os_error()), (ErrorKind::InvalidInput, Some(libc::EDESTADDRREQ)));
    for wrong in [Peer::unix("/run/it").unwrap(), Peer::from(std::net::SocketAddr::from(([0; 16], 1)))] {
        let error = socket.send_to(&mut ev, b"x", wrong).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{wrong}");
    }
    let error = socket.send_fds(&mut ev, b"x", &[std::io::stdin().as_fd()]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

#[test]
fn nothing_is_sent_by_a_key_that_is_closed_stale_or_of_another_loop() {
    let (mut ev, mut other) = (live_ev(), live_ev());
    let (socket, _far) = half(&mut ev, &DatagramOptions::new(), |_, _, _| {});
    assert_eq!(socket.send(&mut other, b"x").unwrap_err().kind(), ErrorKind::Stale);
    assert!(socket.close(&mut ev));
    assert_eq!(socket.send(&mut ev, b"x").unwrap_err().kind(), ErrorKind::Closed);
    settle(&mut ev);
    assert_eq!(socket.send(&mut ev, b"x").unwrap_err().kind(), ErrorKind::Stale);
    let (next, _far) = half(&mut ev, &DatagramOptions::new(), |_, _, _| {});
    assert_eq!(socket.send(&mut ev, b"x").unwrap_err().kind(), ErrorKind::Stale);
    assert!(next.exists(&ev) && !socket.exists(&ev));
}

#[test]
fn a_receiver_that_is_gone_is_told_for_what_waited() {
    let mut ev = live_ev();
    let told = Told::new();
    let (socket, far) = half(&mut ev, &DatagramOptions::new(), tells(&told, "near"));
    fill(&mut ev, socket);
    for _ in 0..40 {
        let _ = socket.send(&mut ev, b"x").unwrap();
    }
    drop(far);
    let all = until(&mut ev, &told, 17);
    assert_eq!(all[16], "near: drained");
    let errno = all[0].strip_prefix("near: error ").unwrap().parse::<i32>().unwrap();
    assert!([libc::ECONNREFUSED, libc::ECONNRESET].contains(&errno), "{errno}");
    let counters = socket.counters(&ev).unwrap();
    assert_eq!(counters.refused, 41);
    assert!(socket.exists(&ev));
    let error = socket.send(&mut ev, b"x").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
}

#[test]
fn a_full_receiver_of_a_socket_that_is_not_connected_does_not_make_the_loop_spin() {
    let mut ev = live_ev();
    let (path, told) = (path(), Told::new());
    let slow = UnixDatagram::bind(&path).unwrap();
    let peer = Peer::unix(&path).unwrap();
    let (near, _) = UnixDatagram::pair().unwrap();
    drop(near);
    let unbound = UnixDatagram::unbound().unwrap();
    let socket = DatagramOptions::new().adopt(&mut ev, unbound.into(), tells(&told, "out")).unwrap();
    while socket.send_to(&mut ev, b"x", peer).unwrap() == Sent::Now {}
    let waits = Count::new();
    let count = waits.clone();
    ev.on_wait(
        move || {
            count.up();
        },
        || {},
    );
    ev.after(ms(100), |ev| ev.break_loop(Break::One));
    ev.run().unwrap();
    assert!(waits.get() < 60, "{} waits", waits.get());
    take_all(&slow);
    assert_eq!(until(&mut ev, &told, 1), ["out: drained"]);
    assert_eq!(take_all(&slow), ["x"]);
    std::fs::remove_file(path).unwrap();
}
