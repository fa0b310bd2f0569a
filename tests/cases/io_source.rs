// The watcher owns its source and gives it back; its callback can be replaced (loop-api.md b, c).

use crate::sockets::*;
use std::os::unix::net::UnixStream;

#[test]
fn into_source_gives_the_source_back_in_every_state() {
    for state in ["initialised", "active", "seen by a wait", "pending", "stopped"] {
        let mut ev = ev();
        let count = Count::new();
        let (near, far) = pair();
        put(&far);
        let io = ev.io(near, Interest::READ, counts(&count));
        if state != "initialised" {
            io.start(&mut ev).unwrap();
        }
        match state {
            "seen by a wait" => assert!(pass(&mut ev)),
            "pending" => assert!(io.feed(&mut ev, Events::CUSTOM)),
            "stopped" => assert!(io.stop(&mut ev)),
            _ => {}
        }
        let before = count.get();
        let source = io.into_source::<UnixStream>(&mut ev).expect(state);
        let near = Rc::try_unwrap(source).expect("nobody else holds it");
        assert_eq!(drain(&near), 1, "{state}");
        assert!(!io.exists(&ev));
        assert!(!io.start(&mut ev).is_ok_and(|_| true), "{state}: the key is stale");
        put(&far);
        assert!(!pass(&mut ev), "{state}: nothing is left");
        assert_eq!(count.get(), before, "{state}");
        assert!(io.into_source::<UnixStream>(&mut ev).is_none(), "{state}: once");
    }
}

#[test]
fn into_source_of_another_type_takes_nothing() {
    let mut ev = ev();
    let told = Told::new();
    let (near, _far) = ready_pair();
    let io = ev.io(near, Interest::READ, tells(&told, "x"));
    io.start(&mut ev).unwrap();
    assert!(io.into_source::<UnixStream>(&mut ev).is_none(), "it is an Rc<UnixStream>");
    assert!(io.exists(&ev) && io.is_active(&ev));
    pass(&mut ev);
    assert_eq!(told.take(), [("x", READ)]);
}

#[test]
fn into_source_works_inside_the_own_callback() {
    both_ways(ev, |ev| {
        let (near, far) = pair();
        put(&far);
        let taken = Rc::new(RefCell::new(None));
        let hand = Rc::clone(&taken);
        let io = ev.io(near, Interest::READ, move |ev, e| {
            let source = e.watcher.into_source::<UnixStream>(ev).unwrap();
            assert!(!e.watcher.exists(ev));
            assert_eq!(drain(e.source), 1, "it is open while the callback runs");
            *hand.borrow_mut() = Some(source);
        });
        io.start(ev).unwrap();
        pass(ev);
        let source = taken.take().unwrap();
        let near = Rc::try_unwrap(source).expect("the callback has returned");
        put(&far);
        pass(ev);
        assert_eq!(drain(&near), 1);
    });
}

#[test]
fn a_source_can_be_handed_to_another_loop() {
    let (mut one, mut two) = (ev(), ev());
    let told = Told::new();
    let (near, _far) = ready_pair();
    let first = one.io(near, Interest::READ, tells(&told, "one"));
    first.start(&mut one).unwrap();
    pass(&mut one);
    let source = first.into_source::<Rc<UnixStream>>(&mut one).unwrap();
    two.io(source, Interest::READ, tells(&told, "two")).start(&mut two).unwrap();
    pass(&mut one);
    pass(&mut two);
    assert_eq!(told.take(), [("one", READ), ("two", READ)]);
}

#[test]
fn one_source_can_be_watched_by_two_loops() {
    let (mut one, mut two) = (ev(), ev());
    let told = Told::new();
    let (near, _far) = ready_pair();
    one.io(Rc::clone(&near), Interest::READ, tells(&told, "one")).start(&mut one).unwrap();
    two.io(near, Interest::READ, tells(&told, "two")).start(&mut two).unwrap();
    pass(&mut one);
    pass(&mut two);
    assert_eq!(told.take(), [("one", READ), ("two", READ)]);
}

#[test]
fn free_closes_the_source_unless_it_is_shared() {
    let mut ev = ev();
    let (near, far) = pair();
    let io = ev.io(near, Interest::READ, quiet);
    io.start(&mut ev).unwrap();
    io.free(&mut ev);
    assert_eq!(std::io::Read::read(&mut &far, &mut [0]).unwrap(), 0, "the end of the stream");
    let (near, far) = shared_pair();
    let io = ev.io(Rc::clone(&near), Interest::READ, quiet);
    io.start(&mut ev).unwrap();
    io.free(&mut ev);
    assert!(std::io::Read::read(&mut &far, &mut [0]).is_err(), "nothing yet");
    assert_eq!(Rc::strong_count(&near), 1);
}

#[test]
fn dropping_the_loop_closes_the_sources_and_drops_the_closures() {
    let mut ev = ev();
    let (near, far) = pair();
    let token = Rc::new(());
    let held = Rc::clone(&token);
    let io = ev.io(near, Interest::READ, move |_, _| drop(Rc::clone(&held)));
    io.start(&mut ev).unwrap();
    drop(ev);
    assert_eq!(std::io::Read::read(&mut &far, &mut [0]).unwrap(), 0, "the end of the stream");
    assert_eq!(Rc::strong_count(&token), 1);
}

#[test]
fn set_callback_acts_on_an_event_that_is_queued_already() {
    let mut ev = ev();
    let told = Told::new();
    let (near, _far) = shared_pair();
    let io = ev.io(near, Interest::READ, tells(&told, "old"));
    io.feed(&mut ev, READ);
    assert!(io.set_callback::<Rc<UnixStream>>(&mut ev, tells(&told, "new")));
    pass(&mut ev);
    assert_eq!(told.take(), [("new", READ)]);
}

#[test]
fn set_callback_on_a_peer_later_in_the_batch_acts_in_this_batch() {
    both_ways(ev, |ev| {
        let told = Told::new();
        let (near, _far) = ready_pair();
        let second = ev.io(Rc::clone(&near), Interest::READ, tells(&told, "old"));
        let log = told.clone();
        let first = ev.io(near, Interest::READ, move |ev, _| {
            second.set_callback::<Rc<UnixStream>>(ev, tells(&log, "new"));
        });
        first.start(ev).unwrap();
        second.start(ev).unwrap();
        pass(ev);
        assert_eq!(told.take(), [("new", READ)]);
    });
}

#[test]
fn set_callback_inside_the_own_callback_acts_after_it_returns() {
    both_ways(ev, |ev| {
        let told = Told::new();
        let (near, _far) = ready_pair();
        let log = told.clone();
        let alive = Rc::new(());
        let mine = Rc::clone(&alive);
        let io = ev.io(near, Interest::READ, move |ev, e| {
            let new = tells(&log, "new");
            assert!(e.watcher.set_callback::<Rc<UnixStream>>(ev, new));
            log.push(("old", e.ready));
            assert_eq!(Rc::strong_count(&mine), 2, "our captures live to the end of the call");
        });
        io.start(ev).unwrap();
        pass(ev);
        assert_eq!(Rc::strong_count(&alive), 1, "and no longer");
        pass(ev);
        assert_eq!(told.take(), [("old", READ), ("new", READ)]);
    });
}

#[test]
fn set_callback_for_another_type_of_source_or_a_stale_key_is_refused() {
    let mut ev = ev();
    let told = Told::new();
    let (near, _far) = ready_pair();
    let io = ev.io(near, Interest::READ, tells(&told, "old"));
    io.start(&mut ev).unwrap();
    assert!(!io.set_callback::<UnixStream>(&mut ev, tells(&told, "new")));
    pass(&mut ev);
    assert_eq!(told.take(), [("old", READ)]);
    io.free(&mut ev);
    assert!(!io.set_callback::<Rc<UnixStream>>(&mut ev, tells(&told, "new")));
}

#[test]
fn start_or_free_starts_and_a_key_of_another_loop_is_refused() {
    let (mut ours, mut theirs) = (ev(), ev());
    let told = Told::new();
    let (near, _far) = ready_pair();
    let io = ours.io(near, Interest::READ, tells(&told, "x"));
    let (other_near, _other_far) = ready_pair();
    let other = theirs.io(other_near, Interest::READ, tells(&told, "other"));
    assert_eq!(io.start(&mut theirs).unwrap_err().kind(), ErrorKind::Stale);
    assert!(!io.exists(&theirs) && !io.stop(&mut theirs) && !io.free(&mut theirs));
    assert!(!io.feed(&mut theirs, READ) && !io.invoke(&mut theirs, READ));
    assert!(io.into_source::<Rc<UnixStream>>(&mut theirs).is_none());
    assert!(other.exists(&theirs) && !other.is_active(&theirs));
    assert!(io.start_or_free(&mut ours).unwrap().is_active(&ours));
    pass(&mut ours);
    assert_eq!(told.take(), [("x", READ)]);
}

#[test]
fn io_fd_names_the_number_and_the_key_is_eight_bytes() {
    let mut ev = ev();
    let (near, _far) = shared_pair();
    let io = ev.io(Rc::clone(&near), Interest::READ, quiet);
    io.start(&mut ev).unwrap();
    assert_eq!(io.fd(&ev), Some(std::os::fd::AsRawFd::as_raw_fd(&*near)));
    assert_eq!(size_of::<Io>(), 8);
}
