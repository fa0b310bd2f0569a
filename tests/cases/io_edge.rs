// Edge triggering, where the backend has it (loop.md 3.1).

use crate::sockets::*;

const EDGE: Interest = Interest::EDGE;

#[test]
fn an_edge_triggered_watcher_is_told_once_per_change() {
    let mut ev = ev();
    let told = Told::new();
    let (near, far) = ready_pair();
    ev.io(Rc::clone(&near), Interest::READ | EDGE, tells(&told, "x")).start(&mut ev).unwrap();
    pass(&mut ev);
    assert_eq!(told.take(), [("x", READ)]);
    pass(&mut ev);
    assert_eq!(told.take(), [], "the data is still there, and that is no news");
    put(&far);
    pass(&mut ev);
    assert_eq!(told.take(), [("x", READ)]);
}

#[test]
fn restarting_an_edge_triggered_watcher_arms_it_again() {
    let mut ev = ev();
    let told = Told::new();
    let (near, _far) = ready_pair();
    let io = ev.io(near, Interest::READ | EDGE, tells(&told, "x"));
    io.start(&mut ev).unwrap();
    pass(&mut ev);
    assert_eq!(told.take(), [("x", READ)]);
    io.stop(&mut ev);
    io.start(&mut ev).unwrap();
    pass(&mut ev);
    assert_eq!(told.take(), [("x", READ)], "nothing was missed between stop and start");
}

#[test]
fn watchers_of_one_descriptor_must_agree_on_edge() {
    for (first, second) in [(EDGE, Interest::NONE), (Interest::NONE, EDGE)] {
        let mut ev = ev();
        let told = Told::new();
        let (near, far) = shared_pair();
        let one = ev.io(Rc::clone(&near), Interest::READ | first, tells(&told, "one"));
        let two = ev.io(Rc::clone(&near), Interest::WRITE | second, tells(&told, "two"));
        one.start(&mut ev).unwrap();
        let error = two.start(&mut ev).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(!two.is_active(&ev) && one.is_active(&ev));
        assert!(one.set_interest(&mut ev, Interest::READ | second).is_ok(), "alone it may change");
        assert!(two.start(&mut ev).is_ok(), "now they agree");
        let error = one.set_interest(&mut ev, Interest::READ | first).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert_eq!(one.interest(&ev), Interest::READ | second, "a refused change changes nothing");
        ev.verify();
        told.take();
        put(&far);
        pass(&mut ev);
        assert!(told.take().contains(&("one", READ)));
    }
}

#[test]
fn two_edge_triggered_watchers_of_one_descriptor_each_get_their_bit() {
    let mut ev = ev();
    let told = Told::new();
    let (near, _far) = ready_pair();
    ev.io(Rc::clone(&near), Interest::READ | EDGE, tells(&told, "r")).start(&mut ev).unwrap();
    let writer = ev.io(near, Interest::WRITE | EDGE, tells(&told, "w"));
    writer.start(&mut ev).unwrap();
    pass(&mut ev);
    assert_eq!(told.take(), [("r", READ), ("w", WRITE)]);
    writer.stop(&mut ev);
    pass(&mut ev);
    let after: Vec<_> = told.take();
    assert!(after.iter().all(|(name, _)| *name == "r"), "{after:?}");
}

#[test]
fn the_edge_survives_when_another_watcher_of_the_descriptor_is_removed() {
    // libevent/libevent#636.
    let mut ev = ev();
    let told = Told::new();
    let (near, far) = ready_pair();
    ev.io(Rc::clone(&near), Interest::READ | EDGE, tells(&told, "r")).start(&mut ev).unwrap();
    let other = ev.io(near, Interest::WRITE | EDGE, tells(&told, "w"));
    other.start(&mut ev).unwrap();
    pass(&mut ev);
    other.free(&mut ev);
    pass(&mut ev);
    told.take();
    pass(&mut ev);
    assert_eq!(told.take(), [], "still edge triggered");
    put(&far);
    pass(&mut ev);
    assert_eq!(told.take(), [("r", READ)]);
}

#[test]
fn an_edge_reported_while_the_watcher_runs_in_a_nested_loop_is_not_lost() {
    let mut ev = ev();
    let told = Told::new();
    let (near, far) = ready_pair();
    let log = told.clone();
    let io = ev.io(near, Interest::READ | EDGE, move |ev, e| {
        log.push(("x", e.ready));
        drain(e.source);
        if log.len() == 1 {
            put(&far);
            ev.run_mode(Run::NoWait).unwrap();
        }
    });
    io.start(&mut ev).unwrap();
    pass(&mut ev);
    pass(&mut ev);
    assert_eq!(told.take(), [("x", READ), ("x", READ)]);
}
