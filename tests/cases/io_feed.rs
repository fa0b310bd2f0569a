// Feeding, invoking and looking at io watchers (loop.md 1.6).

use crate::sockets::*;
use std::os::fd::AsRawFd;

#[test]
fn feed_fd_gives_every_watcher_of_the_descriptor_its_share() {
    both_ways(ev, |ev| {
        let told = Told::new();
        let (near, _far) = shared_pair();
        fill(&near);
        for (name, interest) in [
            ("r", Interest::READ),
            ("none", Interest::NONE),
            ("rw", Interest::READ | Interest::WRITE),
            ("w", Interest::WRITE),
        ] {
            ev.io(Rc::clone(&near), interest, tells(&told, name)).start(ev).unwrap();
        }
        let fd = near.as_raw_fd();
        ev.feed_fd(fd, READ);
        assert_eq!(ev.pending_count(), 2);
        pass(ev);
        assert_eq!(told.take(), [("r", READ), ("rw", READ)]);
        ev.feed_fd(fd, READ | WRITE);
        pass(ev);
        assert_eq!(told.take(), [("r", READ), ("rw", READ | WRITE), ("w", WRITE)]);
        ev.feed_fd(fd, Events::PRIORITY | Events::CUSTOM | Events::TIMER);
        assert_eq!(ev.pending_count(), 0);
        pass(ev);
        assert_eq!(told.take(), []);
    });
}

#[test]
fn feed_fd_on_an_unknown_negative_or_huge_number_has_no_effect() {
    let mut ev = ev();
    let count = Count::new();
    let (near, _far) = shared_pair();
    let io = ev.io(Rc::clone(&near), Interest::READ, counts(&count));
    for fd in [-1, -2, i32::MIN, i32::MAX, i32::MAX - 1, near.as_raw_fd(), 299] {
        ev.feed_fd(fd, READ | WRITE);
        ev.verify();
    }
    assert_eq!(ev.pending_count(), 0);
    io.start(&mut ev).unwrap();
    io.stop(&mut ev);
    ev.feed_fd(near.as_raw_fd(), READ);
    pass(&mut ev);
    assert_eq!(count.get(), 0, "a stopped watcher is none of the descriptor's");
}

#[test]
fn feeding_works_on_stopped_watchers_and_with_any_bits() {
    both_ways(ev, |ev| {
        let told = Told::new();
        let (near, _far) = shared_pair();
        let io = ev.io(near, Interest::READ, tells(&told, "x"));
        for bits in [Events::NONE, Events::CUSTOM, READ | WRITE, Events::TIMER] {
            assert!(io.feed(ev, bits));
            assert!(io.is_pending(ev) && !io.is_active(ev));
            pass(ev);
            assert_eq!(told.take(), [("x", bits)]);
        }
    });
}

#[test]
fn feeding_a_pending_watcher_adds_bits_and_keeps_its_place() {
    let mut ev = ev();
    let told = Told::new();
    let (near, _far) = shared_pair();
    let [a, b] = ["a", "b"].map(|n| ev.io(Rc::clone(&near), Interest::READ, tells(&told, n)));
    a.feed(&mut ev, READ);
    b.feed(&mut ev, READ);
    a.feed(&mut ev, Events::CUSTOM);
    assert_eq!(ev.pending_count(), 2);
    pass(&mut ev);
    assert_eq!(told.take(), [("a", READ | Events::CUSTOM), ("b", READ)]);
}

#[test]
fn clear_pending_returns_the_bits_and_cancels_the_call() {
    let mut ev = ev();
    let told = Told::new();
    let (near, _far) = shared_pair();
    let io = ev.io(near, Interest::READ, tells(&told, "x"));
    assert_eq!(io.clear_pending(&mut ev), Events::NONE);
    io.feed(&mut ev, READ | Events::CUSTOM);
    assert_eq!(io.clear_pending(&mut ev), READ | Events::CUSTOM);
    assert!(!io.is_pending(&ev));
    assert_eq!((io.clear_pending(&mut ev), ev.pending_count()), (Events::NONE, 0));
    pass(&mut ev);
    assert_eq!(told.take(), []);
}

#[test]
fn an_event_fed_with_nothing_is_pending_and_can_be_cleared() {
    let mut ev = ev();
    let (near, _far) = shared_pair();
    let io = ev.io(near, Interest::READ, quiet);
    io.feed(&mut ev, Events::NONE);
    assert!(io.is_pending(&ev));
    assert_eq!(ev.pending_count(), 1);
    assert_eq!(io.clear_pending(&mut ev), Events::NONE);
    assert_eq!(ev.pending_count(), 0);
}

#[test]
fn stop_forgets_a_fed_event_and_a_later_event_too() {
    let mut ev = ev();
    let told = Told::new();
    let (near, _far) = shared_pair();
    let io = ev.io(near, Interest::READ, tells(&told, "x"));
    io.feed(&mut ev, READ);
    io.feed_later(&mut ev, Events::CUSTOM);
    assert!(io.stop(&mut ev), "it exists");
    assert_eq!(ev.pending_count(), 0);
    for _ in 0..3 {
        pass(&mut ev);
    }
    assert_eq!(told.take(), []);
}

#[test]
fn feed_later_comes_in_the_next_iteration_which_does_not_sleep() {
    let (mut ev, clock) = ev_with_clock();
    let told = Told::new();
    let (near, _far) = ready_pair();
    let log = told.clone();
    let io = ev.io(near, Interest::READ, move |ev, e| {
        log.push(("x", e.ready));
        drain(e.source);
        if e.ready == READ {
            e.watcher.feed_later(ev, Events::CUSTOM);
        }
    });
    io.start(&mut ev).unwrap();
    ev.timer(secs(1), ZERO, nothing).start(&mut ev);
    ev.run_mode(Run::Once).unwrap();
    assert_eq!(told.take(), [("x", READ)]);
    ev.run_mode(Run::Once).unwrap();
    assert_eq!((told.take(), clock.elapsed()), (vec![("x", Events::CUSTOM)], ZERO));
}

#[test]
fn a_report_and_a_later_event_of_one_watcher_meet_in_the_same_way_whatever_the_priorities() {
    let seen = RefCell::new(Vec::new());
    both_ways(ev, |ev| {
        let told = Told::new();
        let [one, two] = [ready_pair(), ready_pair()];
        let a = ev.io(one.0, Interest::READ, tells(&told, "a"));
        let b = ev.io(two.0, Interest::READ, tells(&told, "b"));
        a.start(ev).unwrap();
        b.start(ev).unwrap();
        a.feed_later(ev, Events::CUSTOM);
        pass(ev);
        seen.borrow_mut().push(told.take());
    });
    let seen = seen.take();
    assert_eq!(seen[0], seen[1]);
    assert_eq!(seen[0].len(), 2, "one call each");
}

#[test]
fn feed_later_by_oneself_does_not_starve_the_others() {
    let mut ev = ev();
    let log = Log::new();
    let (near, _far) = shared_pair();
    let io = ev.io(near, Interest::NONE, |ev, e| {
        e.watcher.feed_later(ev, Events::CUSTOM);
    });
    io.feed(&mut ev, Events::CUSTOM);
    let (_io, _near, far) = reader(&mut ev, &log, "served");
    put(&far);
    pass(&mut ev);
    assert_eq!(log.take(), ["served"]);
}

#[test]
fn invoke_calls_at_once_and_changes_no_state() {
    let mut ev = ev();
    let told = Told::new();
    let (near, _far) = shared_pair();
    let io = ev.io(near, Interest::READ, tells(&told, "x"));
    assert!(io.invoke(&mut ev, Events::CUSTOM));
    assert_eq!(told.take(), [("x", Events::CUSTOM)]);
    assert!(!io.is_active(&ev));
    io.start(&mut ev).unwrap();
    io.feed(&mut ev, READ);
    assert!(io.invoke(&mut ev, WRITE));
    assert!(io.is_pending(&ev), "what was pending still is");
    pass(&mut ev);
    assert_eq!(told.take(), [("x", WRITE), ("x", READ)]);
}

#[test]
fn a_running_watcher_is_not_entered_again_and_what_it_is_fed_comes_when_it_returns() {
    both_ways(ev, |ev| {
        let told = Told::new();
        let (near, _far) = ready_pair();
        let log = told.clone();
        let io = ev.io(near, Interest::READ, move |ev, e| {
            log.push(("in", e.ready));
            if e.ready == READ {
                drain(e.source);
                assert!(!e.watcher.is_pending(ev));
                assert!(!e.watcher.invoke(ev, Events::CUSTOM), "it is running");
                e.watcher.feed(ev, WRITE);
                e.watcher.feed(ev, Events::CUSTOM);
                assert!(e.watcher.is_pending(ev));
                assert_eq!(ev.pending_count(), 1);
                ev.invoke_pending();
                log.push(("out", Events::NONE));
            }
        });
        io.start(ev).unwrap();
        pass(ev);
        let expected = [("in", READ), ("out", Events::NONE), ("in", WRITE | Events::CUSTOM)];
        assert_eq!(told.take(), expected, "in the same dispatch");
    });
}

#[test]
fn invoke_pending_outside_a_run_delivers_what_was_fed() {
    let mut ev = ev();
    let told = Told::new();
    let (near, _far) = shared_pair();
    let io = ev.io(near, Interest::READ, tells(&told, "x"));
    io.feed(&mut ev, READ);
    ev.invoke_pending();
    assert_eq!((told.take(), ev.pending_count()), (vec![("x", READ)], 0));
}

#[test]
fn every_verb_refuses_a_stale_key() {
    let mut ev = ev();
    let (near, _far) = shared_pair();
    let io = ev.io(Rc::clone(&near), Interest::READ, quiet);
    assert!(io.free(&mut ev));
    // The slot is used again at once: the old key must not mean the new watcher.
    let new = ev.io(near, Interest::READ, quiet);
    new.start(&mut ev).unwrap();
    new.feed(&mut ev, READ);
    assert!(!io.exists(&ev) && !io.is_active(&ev) && !io.is_pending(&ev));
    assert!(!io.free(&mut ev) && !io.stop(&mut ev));
    assert!(!io.feed(&mut ev, READ) && !io.feed_later(&mut ev, READ));
    assert!(!io.invoke(&mut ev, READ));
    assert_eq!(io.clear_pending(&mut ev), Events::NONE);
    assert_eq!(io.priority(&ev), 0);
    io.set_priority(&mut ev, 2).set_ref(&mut ev, false);
    assert!(new.is_active(&ev) && new.is_pending(&ev) && ev.has_refs());
    assert_eq!(new.priority(&ev), 0);
    ev.verify();
}
