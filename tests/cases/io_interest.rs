// `set_interest` in every state, and lazy stops (loop.md 2.1 and 3.1).

use crate::sockets::*;

#[test]
fn set_interest_on_a_stopped_watcher_counts_from_the_next_start() {
    let mut ev = ev();
    let told = Told::new();
    let (near, _far) = ready_pair();
    let io = ev.io(near, Interest::READ, tells(&told, "x"));
    assert_eq!(io.interest(&ev), Interest::READ);
    io.set_interest(&mut ev, Interest::WRITE).unwrap();
    assert_eq!(io.interest(&ev), Interest::WRITE);
    assert!(!io.is_active(&ev));
    pass(&mut ev);
    assert_eq!(told.take(), []);
    io.start(&mut ev).unwrap();
    pass(&mut ev);
    assert_eq!(told.take(), [("x", WRITE)]);
}

#[test]
fn set_interest_on_an_active_watcher_needs_no_restart() {
    let mut ev = ev();
    let told = Told::new();
    let (near, _far) = ready_pair();
    let io = ev.io(near, Interest::READ, tells(&told, "x"));
    io.start(&mut ev).unwrap();
    for (interest, expected) in [
        (Interest::READ, Some(READ)),
        (Interest::WRITE, Some(WRITE)),
        (Interest::NONE, None),
        (Interest::READ | Interest::WRITE, Some(READ | WRITE)),
        (Interest::NONE, None),
        (Interest::READ, Some(READ)),
    ] {
        io.set_interest(&mut ev, interest).unwrap();
        assert!(io.is_active(&ev));
        for _ in 0..2 {
            pass(&mut ev);
            let expected: Vec<_> = expected.map(|bits| ("x", bits)).into_iter().collect();
            assert_eq!(told.take(), expected, "{interest:?}");
        }
    }
}

#[test]
fn set_interest_inside_the_own_callback_counts_from_the_next_iteration() {
    let mut ev = ev();
    let told = Told::new();
    let (near, _far) = ready_pair();
    let log = told.clone();
    let io = ev.io(near, Interest::READ, move |ev, e| {
        log.push(("x", e.ready));
        let other = if e.ready == READ { Interest::WRITE } else { Interest::READ };
        e.watcher.set_interest(ev, other).unwrap();
    });
    io.start(&mut ev).unwrap();
    for _ in 0..4 {
        pass(&mut ev);
    }
    assert_eq!(told.take(), [("x", READ), ("x", WRITE), ("x", READ), ("x", WRITE)]);
}

#[test]
fn set_interest_from_another_watcher_of_the_same_batch_keeps_the_loop_consistent() {
    both_ways(ev, |ev| {
        let told = Told::new();
        let (near, _far) = ready_pair();
        let second = ev.io(Rc::clone(&near), Interest::READ, tells(&told, "second"));
        let first = ev.io(near, Interest::READ, move |ev, _| {
            second.set_interest(ev, Interest::WRITE).unwrap();
            ev.verify();
        });
        first.start(ev).unwrap();
        second.start(ev).unwrap();
        pass(ev);
        told.take();
        pass(ev);
        assert_eq!(told.take(), [("second", WRITE)], "from the next iteration at the latest");
    });
}

#[test]
fn set_interest_on_a_pending_watcher_does_not_lose_a_fed_event() {
    let mut ev = ev();
    let told = Told::new();
    let (near, _far) = ready_pair();
    let io = ev.io(near, Interest::READ, tells(&told, "x"));
    io.start(&mut ev).unwrap();
    io.feed(&mut ev, Events::CUSTOM);
    io.set_interest(&mut ev, Interest::NONE).unwrap();
    assert!(io.is_pending(&ev));
    pass(&mut ev);
    assert_eq!(told.take(), [("x", Events::CUSTOM)]);
}

#[test]
fn set_interest_on_a_stale_key_is_an_error() {
    let mut ev = ev();
    let (near, _far) = shared_pair();
    let io = ev.io(near, Interest::READ, quiet);
    assert!(io.free(&mut ev));
    assert_eq!(io.set_interest(&mut ev, Interest::WRITE).unwrap_err().kind(), ErrorKind::Stale);
    assert_eq!(io.interest(&ev), Interest::NONE);
    assert_eq!(io.start(&mut ev).unwrap_err().kind(), ErrorKind::Stale);
    assert_eq!(io.start_or_free(&mut ev).unwrap_err().kind(), ErrorKind::Stale);
    assert_eq!(io.fd(&ev), None);
}

#[test]
fn a_stopped_watcher_costs_at_most_one_wake_up_however_long_its_data_waits() {
    let (mut ev, clock) = ev_with_clock();
    let count = Count::new();
    let (near, far) = shared_pair();
    let io = ev.io(near, Interest::READ, counts(&count));
    io.start(&mut ev).unwrap();
    pass(&mut ev);
    io.stop(&mut ev);
    put(&far);
    let waits = waits(&mut ev);
    for second in 1..=3 {
        ev.after(secs(1), |_| {});
        ev.run().unwrap();
        assert_eq!(clock.elapsed(), secs(second));
    }
    assert_eq!(count.get(), 0);
    // Stop is lazy on epoll: exactly one event too many, then the registration is mended.
    let expected = if NAME == "epoll" { 4..=4 } else { 3..=4 };
    assert!(expected.contains(&waits.get()), "{} waits", waits.get());
    io.start(&mut ev).unwrap();
    pass(&mut ev);
    assert_eq!(count.get(), 1, "and a start registers it again");
}

#[test]
fn a_late_unwanted_event_does_not_end_run_once() {
    let (mut ev, clock) = ev_with_clock();
    let log = Log::new();
    let (io, _near, far) = reader(&mut ev, &log, "io");
    pass(&mut ev);
    io.stop(&mut ev);
    put(&far);
    ev.after(secs(1), {
        let log = log.clone();
        move |_| log.push("timer")
    });
    ev.run_mode(Run::Once).unwrap();
    assert_eq!((log.take(), clock.elapsed()), (vec!["timer"], secs(1)));
}

#[test]
fn stop_and_start_in_one_callback_leaves_everything_as_it_was() {
    both_ways(ev, |ev| {
        let log: Log = Log::new();
        let (near, _far) = ready_pair();
        let says = log.clone();
        let io = ev.io(near, Interest::READ, move |ev, e| {
            says.push("io");
            e.watcher.stop(ev);
            assert!(!e.watcher.is_active(ev));
            e.watcher.start(ev).unwrap();
        });
        io.start(ev).unwrap();
        for _ in 0..3 {
            pass(ev);
            assert_eq!(log.take(), ["io"]);
        }
    });
}

#[test]
fn interests_print_by_their_names_and_combine() {
    let both = Interest::READ | Interest::WRITE;
    assert_eq!(format!("{both:?}"), "READ | WRITE");
    assert!(both.contains(Interest::READ) && !both.contains(Interest::PRIORITY));
    assert_eq!(both - Interest::READ, Interest::WRITE);
    assert!(Interest::NONE.is_empty());
}
