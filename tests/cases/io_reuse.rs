// Numbers that are closed and used again (loop.md 3.1, reliability.md 4).

use crate::sockets::*;
use std::os::fd::OwnedFd;

#[test]
fn stop_or_free_then_close_open_the_same_number_and_start_in_one_callback_works() {
    // `place` closes what stands at the number and opens another file there, in one step.
    for (freed, interest) in [
        (false, Interest::READ),
        (true, Interest::READ),
        (false, Interest::READ | Interest::WRITE),
        (true, Interest::READ | Interest::WRITE),
    ] {
        both_ways(ev, |ev| {
            let told = Told::new();
            let n = number();
            let (near, far) = pair();
            let (fresh, fresh_far) = pair();
            fill(&fresh);
            let source = Rc::new(moved(near, n));
            let (log, fresh) = (told.clone(), RefCell::new(Some(fresh)));
            let old = ev.io(source, Interest::READ, move |ev, e| {
                if freed {
                    e.watcher.free(ev);
                } else {
                    e.watcher.stop(ev);
                }
                place(fresh.take().expect("one call"), n);
                let new = ev.io(Rc::clone(e.source), interest, tells(&log, "new"));
                new.start(ev).unwrap();
            });
            old.start(ev).unwrap();
            put(&far);
            for _ in 0..3 {
                pass(ev);
                assert_eq!(told.take(), []);
            }
            put(&fresh_far);
            pass(ev);
            assert_eq!(told.take(), [("new", READ)], "freed: {freed}, {interest:?}");
        });
    }
}

#[test]
fn into_source_close_open_the_same_number_and_start_between_runs_works() {
    let mut ev = ev();
    let told = Told::new();
    let n = number();
    let mut previous = None;
    for round in 0..4 {
        let (near, far) = pair();
        let io = ev.io(moved(near, n), Interest::READ, tells(&told, "io"));
        io.start(&mut ev).unwrap();
        pass(&mut ev);
        assert_eq!(told.take(), [], "round {round}: nothing was said");
        put(&far);
        pass(&mut ev);
        assert_eq!(told.take(), [("io", READ)], "round {round}");
        if round % 2 == 0 {
            io.free(&mut ev);
        } else {
            drop(io.into_source::<OwnedFd>(&mut ev));
        }
        previous = Some((io, far));
        assert!(!previous.as_ref().unwrap().0.exists(&ev));
    }
    drop(previous);
}

#[test]
fn a_queued_event_does_not_reach_the_next_owner_of_the_number() {
    both_ways(ev, |ev| {
        let told = Told::new();
        let n = number();
        let (near, far) = pair();
        let (fresh, _fresh_far) = pair();
        // Both are ready; the first frees the second, closes its number and reuses it.
        let second = ev.io(moved(near, n), Interest::READ, tells(&told, "second"));
        let (first_near, first_far) = ready_pair();
        let (log, fresh) = (told.clone(), RefCell::new(Some(fresh)));
        let first = ev.io(first_near, Interest::READ, move |ev, e| {
            log.push(("first", e.ready));
            drain(e.source);
            if let Some(fresh) = fresh.take() {
                assert!(second.free(ev));
                let third = ev.io(moved(fresh, n), Interest::READ, tells(&log, "third"));
                third.start(ev).unwrap();
            }
        });
        first.start(ev).unwrap();
        second.start(ev).unwrap();
        put(&far);
        for _ in 0..3 {
            pass(ev);
        }
        assert_eq!(told.take(), [("first", READ)]);
        drop(first_far);
    });
}

#[test]
fn a_file_replaced_under_a_stopped_watcher_does_not_wake_its_successor() {
    // The old open file lives on elsewhere: epoll keeps its registration under the old number (a
    // ghost), which cannot be removed by number. It must not be heard, nor make the loop spin.
    let (mut ev, clock) = ev_with_clock();
    let told = Told::new();
    let n = number();
    let (near, far) = pair();
    let alive = near.try_clone().unwrap();
    let source = Rc::new(moved(near, n));
    let old = ev.io(Rc::clone(&source), Interest::READ, tells(&told, "old"));
    old.start(&mut ev).unwrap();
    pass(&mut ev);
    old.stop(&mut ev);
    let (fresh, fresh_far) = pair();
    place(fresh, n);
    ev.io(source, Interest::READ, tells(&told, "new")).start(&mut ev).unwrap();
    put(&far);
    let waits = waits(&mut ev);
    ev.after(secs(1), |ev| ev.break_loop(Break::One));
    ev.run().unwrap();
    assert_eq!((clock.elapsed(), told.take()), (secs(1), vec![]));
    assert!(waits.get() <= 3, "{} waits: the ghost is exorcised, not suffered", waits.get());
    put(&fresh_far);
    pass(&mut ev);
    assert_eq!(told.take(), [("new", READ)]);
    drop(alive);
}

#[test]
fn the_descriptors_of_the_other_watchers_survive_a_rebuild() {
    let mut ev = ev();
    let told = Told::new();
    let log = Log::new();
    let readers: Vec<_> = (0..5).map(|_| reader(&mut ev, &log, "other")).collect();
    let (mute, _mute_far) = ready_pair();
    ev.io(mute, Interest::NONE, tells(&told, "none")).start(&mut ev).unwrap();
    let n = number();
    let (near, far) = pair();
    let alive = near.try_clone().unwrap();
    let source = Rc::new(moved(near, n));
    let old = ev.io(Rc::clone(&source), Interest::READ, tells(&told, "old"));
    old.start(&mut ev).unwrap();
    pass(&mut ev);
    old.stop(&mut ev);
    place(pair().0, n);
    ev.io(source, Interest::WRITE, tells(&told, "new")).start(&mut ev).unwrap();
    put(&far);
    for _ in 0..3 {
        pass(&mut ev);
    }
    assert!(told.take().iter().all(|(name, _)| *name == "new"));
    for (_, _, far) in &readers {
        put(far);
    }
    pass(&mut ev);
    assert_eq!(log.take().len(), 5);
    drop(alive);
}

#[test]
fn a_freed_slot_used_again_inside_the_own_callback_is_left_alone() {
    both_ways(ev, |ev| {
        let told = Told::new();
        let (near, _far) = ready_pair();
        let log = told.clone();
        let made = Rc::new(Cell::new(None));
        let key = Rc::clone(&made);
        let io = ev.io(near, Interest::READ, move |ev, e| {
            log.push(("old", e.ready));
            assert!(e.watcher.free(ev));
            assert!(!e.watcher.exists(ev));
            // The source is still open: it closes after the return, not under our feet.
            assert_eq!(drain(e.source), 1);
            let new = ev.io(Rc::clone(e.source), Interest::WRITE, tells(&log, "new"));
            new.start(ev).unwrap();
            key.set(Some(new));
        });
        io.start(ev).unwrap();
        pass(ev);
        assert_eq!(told.take(), [("old", READ)], "started now, told later");
        let new = made.get().unwrap();
        assert!(new.is_active(ev) && !io.exists(ev) && new != io);
        pass(ev);
        assert_eq!(told.take(), [("new", WRITE)]);
    });
}
