// Edges that were lost (loop.md 3.1), where the backend has them.

use crate::sockets::*;

const EDGE: Interest = Interest::EDGE;

/// A watcher for edges whose report is outstanding when a peer ahead of it runs `first`, and a
/// peer behind it that runs `last`. Returns what it was told.
fn outstanding(first: fn(&mut EvLoop, Io), last: fn(&mut EvLoop, Io)) -> Vec<Events> {
    let mut ev = ev();
    let told = Log::new();
    let key = Rc::new(Cell::new(None::<Io>));
    let mut keep = Vec::new();
    let mut peer = |ev: &mut EvLoop, does: fn(&mut EvLoop, Io)| {
        let (near, far) = ready_pair();
        let key = Rc::clone(&key);
        ev.io(near, Interest::READ, move |ev, e| {
            e.watcher.stop(ev);
            does(ev, key.get().unwrap());
        })
        .start(ev)
        .unwrap();
        keep.push(far);
    };
    peer(&mut ev, first);
    let (near, _far) = ready_pair();
    let log = told.clone();
    let io = ev.io(near, Interest::READ | EDGE, move |_, e| log.push(e.ready));
    key.set(Some(io.start(&mut ev).unwrap()));
    peer(&mut ev, last);
    for _ in 0..3 {
        pass(&mut ev);
    }
    told.take()
}

/// Not interested in reading for a while, as in ordinary back-pressure.
fn pause(ev: &mut EvLoop, io: Io) {
    io.set_interest(ev, Interest::WRITE | EDGE).unwrap();
}

fn resume(ev: &mut EvLoop, io: Io) {
    io.set_interest(ev, Interest::READ | EDGE).unwrap();
}

#[test]
fn an_edge_survives_an_interest_that_is_taken_back_within_the_batch() {
    assert_eq!(outstanding(pause, resume), [READ]);
}

#[test]
fn an_edge_survives_an_interest_that_is_taken_back_within_the_callback() {
    let toggled = |ev: &mut EvLoop, io: Io| {
        // Its event is queued for it alone before the interest changes.
        io.set_priority(ev, 1);
        assert!(io.is_pending(ev));
        pause(ev, io);
        assert!(!io.is_pending(ev), "not asked for any more");
        resume(ev, io);
    };
    assert_eq!(outstanding(toggled, |_, _| {}), [READ]);
}

#[test]
fn an_edge_survives_an_interest_that_is_taken_back_after_its_event_was_queued() {
    let toggled = |ev: &mut EvLoop, io: Io| {
        // A fed event joins what is outstanding; both wait under one entry.
        io.feed(ev, Events::CUSTOM);
        pause(ev, io);
        resume(ev, io);
    };
    let told = outstanding(toggled, |_, _| {});
    assert_eq!(told.iter().filter(|ready| ready.contains(READ)).count(), 1, "{told:?}");
    assert_eq!(told.iter().filter(|ready| ready.contains(Events::CUSTOM)).count(), 1, "{told:?}");
}

#[test]
fn an_edge_for_a_watcher_started_in_a_batch_that_panics_is_not_lost() {
    let mut ev = ev();
    let told = Told::new();
    let (near, _far) = ready_pair();
    let fresh = ev.io(near, Interest::READ | EDGE, tells(&told, "fresh"));
    let (near, _far_first) = ready_pair();
    let first = ev.io(near, Interest::READ, move |ev, e| {
        fresh.start(ev).unwrap();
        e.watcher.free(ev);
    });
    first.start(&mut ev).unwrap();
    let (near, _far_last) = ready_pair();
    let high = ev.timer(ZERO, ZERO, nothing).set_priority(&mut ev, 1);
    let last = ev.io(near, Interest::READ, move |ev, e| {
        high.feed(ev, Events::CUSTOM);
        e.watcher.free(ev);
        panic!("on purpose");
    });
    last.start(&mut ev).unwrap();
    assert_eq!(panic_of(|| ev.run_mode(Run::NoWait)).as_deref(), Some("on purpose"));
    for _ in 0..3 {
        pass(&mut ev);
    }
    assert_eq!(told.take(), [("fresh", READ)]);
}
