// Several watchers on one descriptor, one file under several descriptors (loop.md 3.1).

use crate::sockets::*;

#[test]
fn two_watchers_of_one_descriptor_each_get_their_own_bit() {
    let mut ev = ev();
    let told = Told::new();
    let (near, _far) = ready_pair();
    ev.io(Rc::clone(&near), Interest::READ, tells(&told, "r")).start(&mut ev).unwrap();
    ev.io(near, Interest::WRITE, tells(&told, "w")).start(&mut ev).unwrap();
    pass(&mut ev);
    assert_eq!(told.take(), [("r", READ), ("w", WRITE)]);
}

#[test]
fn watchers_of_one_descriptor_are_told_in_start_order() {
    both_ways(ev, |ev| {
        let told = Told::new();
        let (near, _far) = ready_pair();
        let names = ["a", "b", "c", "d"];
        let ios = names.map(|n| ev.io(Rc::clone(&near), Interest::READ, tells(&told, n)));
        for i in [2, 0, 3, 1] {
            ios[i].start(ev).unwrap();
        }
        pass(ev);
        assert_eq!(told.take(), [("c", READ), ("a", READ), ("d", READ), ("b", READ)]);
        ios[2].stop(ev);
        ios[2].start(ev).unwrap();
        pass(ev);
        assert_eq!(told.take(), [("a", READ), ("d", READ), ("b", READ), ("c", READ)]);
    });
}

#[test]
fn watchers_of_one_descriptor_follow_their_priorities_first() {
    let mut ev = ev();
    let told = Told::new();
    let (near, _far) = ready_pair();
    for (name, priority) in [("low", -1), ("mid", 0), ("high", 2), ("mid too", 0)] {
        let io = ev.io(Rc::clone(&near), Interest::READ, tells(&told, name));
        io.set_priority(&mut ev, priority).start(&mut ev).unwrap();
    }
    pass(&mut ev);
    let expected = [("high", READ), ("mid", READ), ("mid too", READ), ("low", READ)];
    assert_eq!(told.take(), expected);
}

#[test]
fn the_kernel_is_asked_for_the_union_and_everybody_gets_a_share() {
    both_ways(ev, |ev| {
        let told = Told::new();
        let (near, far) = shared_pair();
        let both = Interest::READ | Interest::WRITE;
        for (name, interest) in
            [("none", Interest::NONE), ("r", Interest::READ), ("rw", both), ("w", Interest::WRITE)]
        {
            ev.io(Rc::clone(&near), interest, tells(&told, name)).start(ev).unwrap();
        }
        pass(ev);
        assert_eq!(told.take(), [("rw", WRITE), ("w", WRITE)]);
        put(&far);
        pass(ev);
        assert_eq!(told.take(), [("r", READ), ("rw", READ | WRITE), ("w", WRITE)]);
        fill(&near);
        pass(ev);
        assert_eq!(told.take(), [("r", READ), ("rw", READ)]);
    });
}

#[test]
fn stopping_one_watcher_leaves_the_others_and_does_not_spin_on_its_share() {
    let (mut ev, clock) = ev_with_clock();
    let told = Told::new();
    let (near, far) = shared_pair();
    let writer = ev.io(Rc::clone(&near), Interest::WRITE, tells(&told, "w"));
    ev.io(Rc::clone(&near), Interest::READ, tells(&told, "r")).start(&mut ev).unwrap();
    writer.start(&mut ev).unwrap();
    pass(&mut ev);
    assert_eq!(told.take(), [("w", WRITE)]);
    writer.stop(&mut ev);
    let waits = waits(&mut ev);
    ev.after(secs(1), |ev| ev.break_loop(Break::One));
    ev.run().unwrap();
    assert_eq!((clock.elapsed(), told.take()), (secs(1), vec![]));
    assert!(waits.get() <= 2, "{} waits", waits.get());
    put(&far);
    pass(&mut ev);
    assert_eq!(told.take(), [("r", READ)]);
}

#[test]
fn freeing_one_watcher_of_a_shared_source_leaves_the_others_registered() {
    let mut ev = ev();
    let told = Told::new();
    let (near, _far) = ready_pair();
    let a = ev.io(Rc::clone(&near), Interest::READ, tells(&told, "a"));
    let b = ev.io(Rc::clone(&near), Interest::READ, tells(&told, "b"));
    a.start(&mut ev).unwrap();
    b.start(&mut ev).unwrap();
    pass(&mut ev);
    assert_eq!(told.take().len(), 2);
    assert!(a.free(&mut ev));
    pass(&mut ev);
    assert_eq!(told.take(), [("b", READ)]);
    assert_eq!(Rc::strong_count(&near), 2, "one of them is let go");
}

#[test]
fn a_peer_on_the_same_descriptor_that_is_stopped_in_the_batch_is_not_told() {
    both_ways(ev, |ev| {
        let told = Told::new();
        let (near, _far) = ready_pair();
        let second = ev.io(Rc::clone(&near), Interest::READ, tells(&told, "second"));
        let log = told.clone();
        let first = ev.io(near, Interest::READ, move |ev, e| {
            log.push(("first", e.ready));
            second.stop(ev);
        });
        first.start(ev).unwrap();
        second.start(ev).unwrap();
        pass(ev);
        assert_eq!(told.take(), [("first", READ)]);
    });
}

#[test]
fn a_watcher_that_stops_itself_does_not_hide_its_successor_on_the_descriptor() {
    both_ways(ev, |ev| {
        let told = Told::new();
        let (near, _far) = ready_pair();
        for name in ["a", "b", "c"] {
            let log = told.clone();
            let io = ev.io(Rc::clone(&near), Interest::READ, move |ev, e| {
                log.push((name, e.ready));
                e.watcher.free(ev);
            });
            io.start(ev).unwrap();
        }
        pass(ev);
        assert_eq!(told.take(), [("a", READ), ("b", READ), ("c", READ)]);
        pass(ev);
        assert_eq!(told.take(), []);
    });
}

#[test]
fn dup_ed_descriptors_of_one_file_both_fire() {
    let mut ev = ev();
    let told = Told::new();
    let (near, _far) = ready_pair();
    let twin = near.try_clone().unwrap();
    let a = ev.io(near, Interest::READ, tells(&told, "a")).start(&mut ev).unwrap();
    ev.io(twin, Interest::READ, tells(&told, "b")).start(&mut ev).unwrap();
    pass(&mut ev);
    let mut both = told.take();
    both.sort_by_key(|(name, _)| *name);
    assert_eq!(both, [("a", READ), ("b", READ)]);
    a.free(&mut ev);
    pass(&mut ev);
    assert_eq!(told.take(), [("b", READ)]);
}

#[test]
fn freeing_a_watcher_whose_file_lives_on_under_another_number_leaves_no_ghost() {
    let (mut ev, clock) = ev_with_clock();
    let count = Count::new();
    let (near, _far) = ready_pair();
    let _twin = near.try_clone().unwrap();
    let io = ev.io(near, Interest::READ, counts(&count));
    io.start(&mut ev).unwrap();
    pass(&mut ev);
    assert_eq!(count.get(), 1);
    io.free(&mut ev);
    let waits = waits(&mut ev);
    ev.after(secs(1), |_| {});
    ev.run().unwrap();
    assert_eq!((clock.elapsed(), count.get(), waits.get()), (secs(1), 1, 1));
}
