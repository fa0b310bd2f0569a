// The end: closed exactly once, by whoever, and whatever else is going on.

use crate::datagrams::*;
use evloop::net::*;

#[test]
fn closed_is_told_once_and_later_and_the_key_is_stale_then() {
    let mut ev = live_ev();
    let told = Told::new();
    let socket = ev.datagram("127.0.0.1:0", tells(&told, "it")).unwrap();
    assert!(socket.close(&mut ev));
    assert!(!socket.close(&mut ev), "once");
    assert!(told.take().is_empty(), "nobody is called from within a call");
    assert!(!socket.exists(&ev) && socket.counters(&ev).is_some());
    assert!(!ev.run().unwrap());
    assert_eq!(told.take(), ["it: Local"]);
    assert_eq!(socket.counters(&ev), None);
    assert!(!socket.close(&mut ev));
    assert_eq!(socket.local(&ev), None);
    let _ = socket.pause(&mut ev).resume(&mut ev).set_ref(&mut ev, true);
}

#[test]
fn closed_in_the_middle_of_a_batch_the_rest_is_dropped_and_counted() {
    let mut ev = live_ev();
    let told = Told::new();
    let log = told.clone();
    let (_, far) = half(&mut ev, &DatagramOptions::new(), move |ev, socket, event| {
        log.push(text(&event));
        if matches!(event, DatagramEvent::Closed(_)) {
            assert_eq!(socket.counters(ev).unwrap().undelivered, 2);
        }
        socket.close(ev);
    });
    for text in ["one", "two", "three"] {
        far.send(text.as_bytes()).unwrap();
    }
    ev.run().unwrap();
    assert_eq!(told.take(), ["one", "Local"]);
}

#[test]
fn what_waits_is_dropped_and_counted_when_it_is_closed() {
    let mut ev = live_ev();
    let dropped = Count::new();
    let count = dropped.clone();
    let (socket, _far) = half(&mut ev, &DatagramOptions::new(), move |ev, socket, event| {
        assert!(matches!(event, DatagramEvent::Closed(Reason::Local)));
        assert_eq!(socket.counters(ev).unwrap().dropped, 1);
        count.up();
    });
    while socket.send(&mut ev, b"x").unwrap() == Sent::Now {}
    socket.close(&mut ev);
    ev.run().unwrap();
    assert_eq!(dropped.get(), 1);
}

#[test]
fn the_end_of_the_loop_is_told_to_all() {
    let mut ev = live_ev();
    let told = Told::new();
    for name in ["first", "second"] {
        ev.datagram("127.0.0.1:0", tells(&told, name)).unwrap();
    }
    let third = ev.datagram("127.0.0.1:0", tells(&told, "third")).unwrap();
    third.close(&mut ev);
    drop(ev);
    assert_eq!(told.take(), ["first: LoopGone", "second: LoopGone", "third: Local"]);
}

#[test]
fn a_panic_at_the_end_of_the_loop_costs_nobody_their_end() {
    let mut ev = live_ev();
    let told = Told::new();
    ev.datagram("127.0.0.1:0", |_, _, _| panic!("at the end")).unwrap();
    ev.datagram("127.0.0.1:0", tells(&told, "other")).unwrap();
    assert_eq!(panic_of(move || drop(ev)).as_deref(), Some("at the end"));
    assert_eq!(told.take(), ["other: LoopGone"]);
}

#[test]
fn nothing_can_be_opened_at_the_end_of_the_loop() {
    let mut ev = live_ev();
    let kinds = Log::new();
    let log = kinds.clone();
    ev.datagram("127.0.0.1:0", move |ev, _, _| {
        log.push(ev.datagram("127.0.0.1:0", silent).unwrap_err().kind());
    })
    .unwrap();
    drop(ev);
    assert_eq!(kinds.take(), [ErrorKind::Closed]);
}

#[test]
fn the_descriptor_is_handed_out_as_it_is() {
    let mut ev = live_ev();
    let told = Told::new();
    let (path, log) = (path(), told.clone());
    let socket = ev.datagram(Address::unix(&path).unwrap(), tells(&log, "it")).unwrap();
    let fd = socket.into_fd(&mut ev).unwrap();
    assert!(socket.into_fd(&mut ev).is_none());
    ev.run().unwrap();
    assert_eq!(told.take(), ["it: HandedOff"]);
    let taken = UnixDatagram::from(fd);
    UnixDatagram::unbound().unwrap().send_to(b"still there", &path).unwrap();
    assert_eq!(take_all(&taken), ["still there"]);
    std::fs::remove_file(path).unwrap();
}

#[test]
fn an_open_socket_keeps_the_loop_running_unless_it_is_told_not_to() {
    let mut ev = live_ev();
    let (socket, _far) = half(&mut ev, &DatagramOptions::new(), silent);
    assert!(ev.has_refs());
    assert!(socket.pause(&mut ev).exists(&ev) && ev.has_refs());
    socket.set_ref(&mut ev, false);
    assert!(!ev.has_refs());
    assert!(!ev.run().unwrap());
    socket.resume(&mut ev).set_ref(&mut ev, true);
    assert!(ev.has_refs());
}
