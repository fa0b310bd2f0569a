// Receiving: boundaries, order, batches, truncation, pausing, errors.

use crate::datagrams::*;
use evloop::net::*;

#[test]
fn datagrams_come_in_order_with_their_boundaries_and_their_senders() {
    let mut ev = live_ev();
    let (outside, from) = outside();
    let told = Told::new();
    let log = told.clone();
    let socket = ev
        .datagram("127.0.0.1:0", move |_, _, event| {
            let DatagramEvent::Received(packet) = event else { return };
            assert_eq!(packet.peer.socket_addr(), Some(from));
            assert!(!packet.truncated && packet.fds.is_empty() && !packet.fds_lost);
            assert_eq!(packet.length, packet.bytes.len());
            log.push(String::from_utf8_lossy(packet.bytes).into_owned());
        })
        .unwrap();
    let to = host(&mut ev, socket);
    for text in ["one", "two", "", "four"] {
        outside.send_to(text.as_bytes(), to).unwrap();
    }
    assert_eq!(until(&mut ev, &told, 4), ["one", "two", "", "four"]);
    let counters = socket.counters(&ev).unwrap();
    assert_eq!((counters.packets_in, counters.bytes_in), (4, 10));
}

#[test]
fn an_empty_datagram_is_no_end() {
    let mut ev = live_ev();
    let told = Told::new();
    let (socket, far) = half(&mut ev, &DatagramOptions::new(), tells(&told, "near"));
    for _ in 0..100 {
        far.send(b"").unwrap();
        far.send(b"x").unwrap();
        assert_eq!(until(&mut ev, &told, 2), ["near: ", "near: x"]);
    }
    // A whole batch of them is looked at twice.
    far.set_nonblocking(true).unwrap();
    let mut sent = 0;
    while sent < 40 {
        match far.send(b"") {
            Ok(_) => sent += 1,
            Err(_) => pass(&mut ev),
        }
    }
    settle(&mut ev);
    assert_eq!(told.take().len(), 40);
    assert!(socket.exists(&ev));
}

#[test]
fn many_that_wait_are_received_together() {
    let mut ev = live_ev();
    let told = Told::new();
    let socket = ev.datagram("127.0.0.1:0", tells(&told, "in")).unwrap();
    let to = host(&mut ev, socket);
    let (outside, _) = outside();
    for n in 0..70 {
        outside.send_to(n.to_string().as_bytes(), to).unwrap();
    }
    let all: Vec<String> = (0..70).map(|n| format!("in: {n}")).collect();
    assert_eq!(until(&mut ev, &told, 70), all);
    let counters = socket.counters(&ev).unwrap();
    assert_eq!((counters.packets_in, counters.batches_in), (70, 3));
}

#[test]
fn a_burst_leaves_others_their_turn() {
    let mut ev = live_ev();
    let told = Told::new();
    let busy = ev.datagram("127.0.0.1:0", tells(&told, "busy")).unwrap();
    let other = ev.datagram("127.0.0.1:0", tells(&told, "other")).unwrap();
    let (outside, _) = outside();
    let (to_busy, to_other) = (host(&mut ev, busy), host(&mut ev, other));
    for _ in 0..64 {
        outside.send_to(b"x", to_busy).unwrap();
    }
    outside.send_to(b"y", to_other).unwrap();
    let all = until(&mut ev, &told, 65);
    let place = all.iter().position(|said| said == "other: y").unwrap();
    assert!(place <= 32, "after {place}");
}

#[test]
fn what_is_too_long_is_cut_and_says_how_long_it_was() {
    for (most, text) in [(8, "truncate of 14"), (14, "truncated text")] {
        let mut ev = live_ev();
        let told = Told::new();
        let options = DatagramOptions::new().max_packet(most);
        let socket = options.bind(&mut ev, "127.0.0.1:0", tells(&told, "in")).unwrap();
        let to = host(&mut ev, socket);
        let (outside, _) = outside();
        outside.send_to(b"truncated text", to).unwrap();
        outside.send_to(b"short", to).unwrap();
        assert_eq!(until(&mut ev, &told, 2), [format!("in: {text}"), "in: short".to_owned()]);
        let counters = socket.counters(&ev).unwrap();
        assert_eq!((counters.truncated, counters.bytes_in), (u64::from(most == 8), 19));
    }
}

#[test]
fn the_longest_there_can_be_is_received_whole() {
    let mut ev = live_ev();
    let sizes = Log::new();
    let log = sizes.clone();
    let options = DatagramOptions::new().max_packet(65_535);
    let socket = options
        .bind(&mut ev, "127.0.0.1:0", move |ev, socket, event| {
            let DatagramEvent::Received(packet) = event else { return };
            assert!(packet.bytes.iter().all(|&byte| byte == 7));
            log.push((packet.bytes.len(), packet.truncated));
            socket.close(ev);
        })
        .unwrap();
    let to = host(&mut ev, socket);
    outside().0.send_to(&vec![7; 65_507], to).unwrap();
    ev.run().unwrap();
    assert_eq!(sizes.take(), [(65_507, false)]);
}

#[test]
fn sockets_with_room_for_different_lengths_share_a_loop() {
    let mut ev = live_ev();
    let told = Told::new();
    let (outside, _) = outside();
    for (most, expected) in [(4, "in: xxxx of 3000"), (65_535, ""), (1, "in: x of 3000"), (3000, "")] {
        let options = DatagramOptions::new().max_packet(most);
        let socket = options.bind(&mut ev, "127.0.0.1:0", tells(&told, "in")).unwrap();
        let to = host(&mut ev, socket);
        outside.send_to(&[b'x'; 3000], to).unwrap();
        let said = until(&mut ev, &told, 1).remove(0);
        match expected {
            "" => assert_eq!(said.len(), 3004),
            text => assert_eq!(said, text),
        }
    }
}

#[test]
fn paused_it_is_told_nothing_and_resumed_it_is_told_what_came_meanwhile() {
    let mut ev = live_ev();
    let told = Told::new();
    let (socket, far) = half(&mut ev, &DatagramOptions::new(), tells(&told, "near"));
    assert!(socket.pause(&mut ev).is_paused(&ev));
    far.send(b"early").unwrap();
    settle(&mut ev);
    assert!(told.take().is_empty());
    let _ = socket.send(&mut ev, b"out").unwrap();
    assert_eq!(take_all(&far), ["out"], "it sends as before");
    assert!(!socket.resume(&mut ev).is_paused(&ev));
    assert_eq!(until(&mut ev, &told, 1), ["near: early"]);
}

#[test]
fn paused_in_the_middle_of_a_batch_the_rest_comes_when_it_is_resumed() {
    let mut ev = live_ev();
    let told = Told::new();
    let log = told.clone();
    let (socket, far) = half(&mut ev, &DatagramOptions::new(), move |ev, socket, event| {
        log.push(text(&event));
        socket.pause(ev);
    });
    for text in ["one", "two", "three"] {
        far.send(text.as_bytes()).unwrap();
    }
    settle(&mut ev);
    far.send(b"four").unwrap();
    for expected in ["one", "two", "three", "four"] {
        settle(&mut ev);
        assert_eq!(told.take(), [expected]);
        socket.resume(&mut ev);
    }
}

#[test]
fn a_refusal_is_told_and_ends_nothing() {
    let mut ev = live_ev();
    let told = Told::new();
    let (outside, to) = outside_alone();
    let socket =
        DatagramOptions::new().connect(&mut ev, to, tells(&told, "in")).unwrap();
    let from = host(&mut ev, socket);
    drop(outside);
    assert_eq!(socket.send(&mut ev, b"anybody?").unwrap(), Sent::Now);
    assert_eq!(until(&mut ev, &told, 1), [format!("in: error {}", libc::ECONNREFUSED)]);
    let counters = socket.counters(&ev).unwrap();
    assert_eq!((counters.errors, counters.packets_out), (1, 1));
    // Somebody is there again.
    let again = std::net::UdpSocket::bind(to).unwrap();
    assert_eq!(socket.send(&mut ev, b"hello").unwrap(), Sent::Now);
    assert_eq!(next(&again), "hello");
    again.send_to(b"yes", from).unwrap();
    assert_eq!(until(&mut ev, &told, 1), ["in: yes"]);
}

#[test]
fn a_refusal_of_the_one_before_does_not_cost_the_next_one() {
    let mut ev = live_ev();
    let told = Told::new();
    let (outside, to) = outside_alone();
    let socket =
        DatagramOptions::new().connect(&mut ev, to, tells(&told, "in")).unwrap();
    drop(outside);
    let _ = socket.send(&mut ev, b"lost").unwrap();
    let again = std::net::UdpSocket::bind(to).unwrap();
    // The refusal of the first waits at the socket, and is told by whatever is called next.
    assert_eq!(socket.send(&mut ev, b"found").unwrap(), Sent::Now);
    assert_eq!(next(&again), "found");
    assert_eq!(until(&mut ev, &told, 1), [format!("in: error {}", libc::ECONNREFUSED)]);
    settle(&mut ev);
    assert!(told.take().is_empty(), "once");
}

#[test]
fn errors_that_wait_to_be_told_have_a_cap_and_are_counted() {
    let mut ev = live_ev();
    let told = Told::new();
    let (outside, to) = outside_alone();
    drop(outside);
    let socket =
        DatagramOptions::new().connect(&mut ev, to, tells(&told, "in")).unwrap();
    for _ in 0..100 {
        let _ = socket.send(&mut ev, b"x");
    }
    let errors = socket.counters(&ev).unwrap().errors;
    assert!(errors > 40, "{errors}");
    settle(&mut ev);
    assert!(told.take().len() <= 18);
}

#[test]
fn a_socket_that_somebody_has_shut_ends_instead_of_spinning() {
    let mut ev = live_ev();
    let told = Told::new();
    let (unix, _far) = UnixDatagram::pair().unwrap();
    let (udp, to) = outside();
    udp.connect(to).unwrap();
    for near in [OwnedFd::from(unix), OwnedFd::from(udp)] {
        let other = near.try_clone().unwrap();
        DatagramOptions::new().adopt(&mut ev, near, tells(&told, "in")).unwrap();
        pass(&mut ev);
        rustix::net::shutdown(other, rustix::net::Shutdown::Read).unwrap();
        assert_eq!(until(&mut ev, &told, 2), ["in: Closed", "in: Failed"]);
    }
}

#[test]
fn an_idle_socket_wakes_nobody() {
    let mut ev = ev();
    let waits = Count::new();
    let count = waits.clone();
    ev.on_wait(
        move || {
            count.up();
        },
        || {},
    );
    let (_socket, _far) = half(&mut ev, &DatagramOptions::new(), silent);
    ev.after(secs(60), |ev| ev.break_loop(Break::One));
    ev.run().unwrap();
    assert!(waits.get() <= 2, "{} waits", waits.get());
}

#[test]
fn a_handler_that_answers_each_refusal_with_the_next_try_does_not_starve_the_loop() {
    let mut ev = live_ev();
    let (outside, to) = outside_alone();
    drop(outside);
    let socket = DatagramOptions::new()
        .connect(&mut ev, to, |ev, socket, event| {
            if matches!(event, DatagramEvent::Error(_)) {
                // The second is told of the first one's refusal.
                let _ = socket.send(ev, b"now?").and_then(|_| socket.send(ev, b"and now?"));
            }
        })
        .unwrap();
    let _ = socket.send(&mut ev, b"anybody?").unwrap();
    ev.after(ms(20), |ev| ev.break_loop(Break::One));
    let _watchdog = Watchdog::new(secs(20));
    ev.run().unwrap();
    assert!(socket.counters(&ev).unwrap().errors > 2);
}

#[test]
fn what_reading_does_not_clear_does_not_make_the_loop_spin() {
    let mut ev = live_ev();
    let (outside, to) = outside_alone();
    let (near, _) = crate::datagrams::outside();
    near.connect(to).unwrap();
    let on = 1_i32;
    // SAFETY: the pointer and the length describe a number that outlives the call.
    let done = unsafe {
        use std::os::fd::AsRawFd;
        libc::setsockopt(near.as_raw_fd(), libc::SOL_IP, libc::IP_RECVERR, (&raw const on).cast(), 4)
    };
    assert_eq!(done, 0);
    drop(outside);
    let told = Told::new();
    let socket = DatagramOptions::new().adopt(&mut ev, near.into(), tells(&told, "in")).unwrap();
    let _ = socket.send(&mut ev, b"x").unwrap();
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
    assert!(waits.get() < 400, "{} waits", waits.get());
    assert_eq!(told.take(), [format!("in: error {}", libc::ECONNREFUSED)]);
}
