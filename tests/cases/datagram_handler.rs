// What a handler may do: send, run the loop, close anything, panic.

use crate::datagrams::*;
use evloop::net::*;

#[test]
fn a_handler_answers_from_within() {
    let mut ev = live_ev();
    let told = Told::new();
    let echo = ev
        .datagram("127.0.0.1:0", |ev, socket, event| {
            if let DatagramEvent::Received(packet) = event {
                assert_eq!(socket.send_to(ev, packet.bytes, packet.peer).unwrap(), Sent::Now);
            }
        })
        .unwrap();
    let address = echo.local(&ev).unwrap();
    let client = DatagramOptions::new().connect(&mut ev, address, tells(&told, "back")).unwrap();
    for text in ["one", "", "three"] {
        let _ = client.send(&mut ev, text.as_bytes()).unwrap();
    }
    assert_eq!(until(&mut ev, &told, 3), ["back: one", "back: ", "back: three"]);
}

#[test]
fn in_a_nested_run_others_are_told_and_its_own_wait_in_order() {
    let mut ev = live_ev();
    let told = Told::new();
    let (_, far_other) = half(&mut ev, &DatagramOptions::new(), tells(&told, "other"));
    let log = told.clone();
    let mut others = Some(far_other);
    let (near, far) = UnixDatagram::pair().unwrap();
    let late = far.try_clone().unwrap();
    DatagramOptions::new()
        .adopt(&mut ev, near.into(), move |ev, _, event| {
            log.push(text(&event));
            if let Some(other) = others.take() {
                other.send(b"hello").unwrap();
                late.send(b"three").unwrap();
                settle(ev);
                log.push("back".to_owned());
            }
        })
        .unwrap();
    for text in ["one", "two"] {
        far.send(text.as_bytes()).unwrap();
    }
    assert_eq!(until(&mut ev, &told, 5), ["one", "other: hello", "back", "two", "three"]);
}

#[test]
fn closed_before_a_nested_run_the_end_is_told_after_it() {
    let mut ev = live_ev();
    let told = Told::new();
    let log = told.clone();
    let (_, far) = half(&mut ev, &DatagramOptions::new(), move |ev, socket, event| {
        log.push(text(&event));
        if socket.close(ev) {
            settle(ev);
            assert!(socket.counters(ev).is_some(), "its end was not told yet");
            log.push("back".to_owned());
        }
    });
    far.send(b"one").unwrap();
    ev.run().unwrap();
    assert_eq!(told.take(), ["one", "back", "Local"]);
}

#[test]
fn a_panic_loses_only_what_was_being_delivered() {
    let mut ev = live_ev();
    let told = Told::new();
    let log = told.clone();
    let (socket, far) = half(&mut ev, &DatagramOptions::new(), move |_, _, event| {
        let text = text(&event);
        assert!(!text.starts_with("bad"), "{text}");
        log.push(text);
    });
    for text in ["one", "bad", "three", "bad again", "five"] {
        far.send(text.as_bytes()).unwrap();
    }
    assert_eq!(panic_of(|| ev.run()).as_deref(), Some("bad"));
    assert_eq!(told.take(), ["one"]);
    far.send(b"six").unwrap();
    assert_eq!(panic_of(|| ev.run()).as_deref(), Some("bad again"));
    assert_eq!(told.take(), ["three"]);
    // Without anything new the rest comes by itself.
    assert_eq!(until(&mut ev, &told, 2), ["five", "six"]);
    assert_eq!(socket.counters(&ev).unwrap().undelivered, 0);
}

#[test]
fn a_panic_in_the_middle_of_a_batch_after_which_nothing_comes_loses_nothing() {
    let mut ev = live_ev();
    let told = Told::new();
    let log = told.clone();
    let (socket, far) = half(&mut ev, &DatagramOptions::new(), move |ev, socket, event| {
        let text = text(&event);
        assert_ne!(text, "bad");
        if text == "last" {
            socket.close(ev);
        }
        log.push(text);
    });
    for text in ["bad", "last"] {
        far.send(text.as_bytes()).unwrap();
    }
    assert!(panic_of(|| ev.run()).is_some());
    ev.run().unwrap();
    assert_eq!(told.take(), ["last", "Local"]);
    assert!(!socket.exists(&ev));
}

#[test]
fn closed_and_panicked_it_is_still_told_of_its_end() {
    let mut ev = live_ev();
    let told = Told::new();
    let log = told.clone();
    let (_, far) = half(&mut ev, &DatagramOptions::new(), move |ev, socket, event| {
        log.push(text(&event));
        if socket.close(ev) {
            settle(ev);
            panic!("after the close");
        }
    });
    far.send(b"one").unwrap();
    assert!(panic_of(|| ev.run()).is_some());
    ev.run().unwrap();
    assert_eq!(told.take(), ["one", "Local"]);
}

#[test]
fn a_handler_may_close_the_others_that_are_ready() {
    let mut ev = live_ev();
    let told = Told::new();
    let keys = Rc::new(RefCell::new(Vec::<Datagram>::new()));
    let mut fars = Vec::new();
    for _ in 0..3 {
        let (log, all) = (told.clone(), Rc::clone(&keys));
        let (socket, far) = half(&mut ev, &DatagramOptions::new(), move |ev, _, event| {
            log.push(text(&event));
            let all = all.borrow().clone();
            for key in all {
                key.close(ev);
            }
        });
        keys.borrow_mut().push(socket);
        far.send(b"x").unwrap();
        fars.push(far);
    }
    ev.run().unwrap();
    assert_eq!(told.take(), ["x", "Local", "Local", "Local"]);
}

#[test]
fn what_a_handler_holds_is_dropped_after_the_end() {
    let mut ev = live_ev();
    let held = Rc::new(());
    let weak = Rc::downgrade(&held);
    let socket = ev.datagram("127.0.0.1:0", move |_, _, _| drop(Rc::clone(&held))).unwrap();
    socket.close(&mut ev);
    assert!(weak.upgrade().is_some());
    ev.run().unwrap();
    assert!(weak.upgrade().is_none());
}
