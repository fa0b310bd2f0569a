// A panic leaves the loop usable and the rest of the batch pending (loop.md 1.4, R10).

use crate::sockets::*;

#[test]
fn a_panic_keeps_the_rest_of_the_batch_for_the_next_run() {
    both_ways(ev, |ev| {
        let log = Log::new();
        let (before, _n, far_before) = reader(ev, &log, "before");
        let (near, far) = shared_pair();
        let says = log.clone();
        let bad = ev.io(near, Interest::READ, move |_, e| {
            says.push("bad");
            drain(e.source);
            panic!("on purpose");
        });
        bad.start(ev).unwrap();
        let after = ["after", "last"].map(|name| reader(ev, &log, name));
        put(&far_before);
        put(&far);
        for (_, _, far) in &after {
            put(far);
        }
        assert_eq!(panic_of(|| ev.run()).as_deref(), Some("on purpose"));
        assert_eq!(log.take(), ["before", "bad"]);
        assert_eq!((ev.depth(), ev.pending_count()), (0, 2));
        assert!(after.iter().all(|(io, ..)| io.is_pending(ev)));
        assert!(bad.is_active(ev) && !bad.is_pending(ev) && before.is_active(ev));
        ev.verify();
        // First thing in the next run, before anything new.
        put(&far_before);
        pass(ev);
        assert_eq!(log.take(), ["after", "last", "before"]);
    });
}

#[test]
fn the_panicking_watcher_survives_and_is_told_again() {
    both_ways(ev, |ev| {
        let count = Count::new();
        let (near, _far) = ready_pair();
        let up = count.clone();
        let io = ev.io(near, Interest::READ, move |_, _| {
            assert!(up.up() > 2, "not yet");
        });
        io.start(ev).unwrap();
        for _ in 0..2 {
            assert!(panic_of(|| ev.run_mode(Run::NoWait)).is_some());
            ev.verify();
        }
        pass(ev);
        assert_eq!(count.get(), 3);
    });
}

#[test]
fn what_was_fed_to_a_watcher_that_then_panics_is_not_lost() {
    both_ways(ev, |ev| {
        let told = Told::new();
        let (near, _far) = ready_pair();
        let log = told.clone();
        let io = ev.io(near, Interest::READ, move |ev, e| {
            log.push(("x", e.ready));
            drain(e.source);
            if e.ready == READ {
                e.watcher.feed(ev, Events::CUSTOM);
                panic!("on purpose");
            }
        });
        io.start(ev).unwrap();
        assert!(panic_of(|| ev.run()).is_some());
        assert!(io.is_pending(ev));
        pass(ev);
        assert_eq!(told.take(), [("x", READ), ("x", Events::CUSTOM)]);
    });
}

#[test]
fn a_stopped_peer_of_a_batch_cut_short_by_a_panic_is_not_told_later() {
    both_ways(ev, |ev| {
        let log = Log::new();
        let (near, far) = shared_pair();
        let bad = ev.io(near, Interest::READ, |_, _| panic!("on purpose"));
        bad.start(ev).unwrap();
        let (stopped, _n1, far1) = reader(ev, &log, "stopped");
        let (freed, _n2, far2) = reader(ev, &log, "freed");
        let (_kept, _n3, far3) = reader(ev, &log, "kept");
        for far in [&far, &far1, &far2, &far3] {
            put(far);
        }
        assert!(panic_of(|| ev.run()).is_some());
        bad.free(ev);
        stopped.stop(ev);
        freed.free(ev);
        pass(ev);
        assert_eq!(log.take(), ["kept"]);
    });
}

#[test]
fn a_panic_in_invoke_reaches_its_caller_and_the_watcher_can_be_invoked_again() {
    let mut ev = ev();
    let count = Count::new();
    let (near, _far) = shared_pair();
    let up = count.clone();
    let io = ev.io(near, Interest::READ, move |_, _| {
        assert!(up.up() > 1, "not yet");
    });
    assert!(panic_of(|| io.invoke(&mut ev, READ)).is_some());
    ev.verify();
    assert!(io.invoke(&mut ev, READ));
    assert_eq!(count.get(), 2);
}

#[test]
fn a_watcher_freed_by_a_callback_that_then_panics_is_gone() {
    both_ways(ev, |ev| {
        let token = Rc::new(());
        let held = Rc::clone(&token);
        let (near, _far) = ready_pair();
        let io = ev.io(near, Interest::READ, move |ev, e| {
            let _held = &held;
            e.watcher.free(ev);
            panic!("on purpose");
        });
        io.start(ev).unwrap();
        assert!(panic_of(|| ev.run()).is_some());
        assert!(!io.exists(ev));
        assert_eq!(Rc::strong_count(&token), 1, "its closure is dropped");
        ev.verify();
    });
}
