// Urgent data and the peer's half-close (loop.md 3.1, "additions beyond libev").

use crate::sockets::*;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::AsRawFd;

/// Two ends of a TCP connection on this machine.
fn tcp() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let far = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (near, _) = listener.accept().unwrap();
    (near, far)
}

#[test]
fn urgent_data_is_told_as_priority() {
    let mut ev = live_ev();
    let _dog = Watchdog::new(secs(30));
    let told = Told::new();
    let (near, far) = tcp();
    let near = Rc::new(near);
    let urgent = ev.io(Rc::clone(&near), Interest::PRIORITY, tells(&told, "urgent"));
    urgent.start(&mut ev).unwrap();
    std::io::Write::write_all(&mut &far, b"plain").unwrap();
    pass(&mut ev);
    assert_eq!(told.take(), [], "plain data is not urgent");
    // SAFETY: one byte of a live buffer, to a descriptor that `far` owns.
    let sent = unsafe { libc::send(far.as_raw_fd(), b"!".as_ptr().cast(), 1, libc::MSG_OOB) };
    assert_eq!(sent, 1);
    ev.run_mode(Run::Once).unwrap();
    assert_eq!(told.take(), [("urgent", Events::PRIORITY)]);
    ev.io(near, Interest::READ, tells(&told, "plain")).start(&mut ev).unwrap();
    pass(&mut ev);
    assert_eq!(told.take(), [("urgent", Events::PRIORITY), ("plain", READ)]);
}

#[test]
fn the_peers_half_close_is_told_although_data_waits() {
    both_ways(ev, |ev| {
        let told = Told::new();
        let (near, far) = shared_pair();
        let close = ev.io(Rc::clone(&near), Interest::PEER_CLOSE, tells(&told, "close"));
        close.start(ev).unwrap();
        put(&far);
        pass(ev);
        assert_eq!(told.take(), [], "data is not an end");
        far.shutdown(Shutdown::Write).unwrap();
        pass(ev);
        assert_eq!(told.take(), [("close", Events::PEER_CLOSE)]);
        ev.io(Rc::clone(&near), Interest::READ, tells(&told, "r")).start(ev).unwrap();
        pass(ev);
        assert_eq!(told.take(), [("close", Events::PEER_CLOSE), ("r", READ)]);
        assert_eq!(drain(&near), 1);
    });
}

#[test]
fn one_watcher_can_ask_for_reading_and_the_peers_close() {
    let mut ev = ev();
    let told = Told::new();
    let (near, far) = shared_pair();
    let io = ev.io(near, Interest::READ | Interest::PEER_CLOSE, tells(&told, "x"));
    io.start(&mut ev).unwrap();
    put(&far);
    pass(&mut ev);
    assert_eq!(told.take(), [("x", READ)]);
    far.shutdown(Shutdown::Write).unwrap();
    pass(&mut ev);
    assert_eq!(told.take(), [("x", READ | Events::PEER_CLOSE)]);
}

#[test]
fn a_reader_who_pauses_after_the_end_of_the_stream_does_not_spin_on_it() {
    let (mut ev, clock) = ev_with_clock();
    let (near, far) = shared_pair();
    let io = ev.io(near, Interest::READ | Interest::PEER_CLOSE, |ev, e| {
        e.watcher.set_interest(ev, Interest::NONE).unwrap();
    });
    io.start(&mut ev).unwrap();
    far.shutdown(Shutdown::Write).unwrap();
    let waits = waits(&mut ev);
    ev.after(secs(1), |ev| ev.break_loop(Break::One));
    ev.run().unwrap();
    assert_eq!(clock.elapsed(), secs(1));
    assert!(waits.get() <= 3, "{} waits", waits.get());
}
