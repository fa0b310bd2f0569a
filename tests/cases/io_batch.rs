// What one callback does to the others of its batch (loop.md 2.1, 2.2; loop-api.md b, f).
// Every case runs twice: with the loop walking the kernel's report itself, and through the queues.

use crate::sockets::*;

/// Three readers, all ready, told in the order in which they were started.
struct Three {
    log: Log,
    ios: [Io; 3],
    nears: [Rc<std::os::unix::net::UnixStream>; 3],
    fars: [std::os::unix::net::UnixStream; 3],
}

const NAMES: [&str; 3] = ["a", "b", "c"];

/// `act` runs in the callback of the first, once.
fn three(ev: &mut EvLoop, act: impl FnOnce(&mut EvLoop, [Io; 3], &Log) + 'static) -> Three {
    let log = Log::new();
    let pairs = [(); 3].map(|()| shared_pair());
    let keys: Rc<Cell<Option<[Io; 3]>>> = Rc::default();
    let (mine, says, act) = (Rc::clone(&keys), log.clone(), Cell::new(Some(act)));
    let first = ev.io(Rc::clone(&pairs[0].0), Interest::READ, move |ev, e| {
        says.push("a");
        drain(e.source);
        if let Some(act) = act.take() {
            act(ev, mine.get().unwrap(), &says);
            ev.verify();
        }
    });
    let second = ev.io(Rc::clone(&pairs[1].0), Interest::READ, empties(&log, "b"));
    let third = ev.io(Rc::clone(&pairs[2].0), Interest::READ, empties(&log, "c"));
    let ios = [first, second, third];
    keys.set(Some(ios));
    for (io, (_, far)) in ios.iter().zip(&pairs) {
        io.start(ev).unwrap();
        put(far);
    }
    let [a, b, c] = pairs;
    Three { log, ios, nears: [a.0, b.0, c.0], fars: [a.1, b.1, c.1] }
}

#[test]
fn a_batch_is_told_in_order() {
    both_ways(ev, |ev| {
        let t = three(ev, |ev, [a, b, c], _| {
            assert_eq!(ev.pending_count(), 2);
            assert!(!a.is_pending(ev) && b.is_pending(ev) && c.is_pending(ev));
        });
        pass(ev);
        assert_eq!(t.log.take(), NAMES);
    });
}

#[test]
fn stopping_a_peer_cancels_its_event() {
    both_ways(ev, |ev| {
        let t = three(ev, |ev, [_, b, _], _| {
            assert!(b.stop(ev));
            assert!(!b.is_pending(ev));
            assert_eq!(ev.pending_count(), 1);
        });
        pass(ev);
        assert_eq!(t.log.take(), ["a", "c"]);
        t.ios[1].start(ev).unwrap();
        pass(ev);
        assert_eq!(t.log.take(), ["b"], "its data was still there");
    });
}

#[test]
fn stopping_and_starting_a_peer_cancels_its_event_until_the_next_iteration() {
    both_ways(ev, |ev| {
        let t = three(ev, |ev, [_, b, _], _| {
            b.stop(ev);
            b.start(ev).unwrap();
            assert!(!b.is_pending(ev));
        });
        pass(ev);
        assert_eq!(t.log.take(), ["a", "c"]);
        pass(ev);
        assert_eq!(t.log.take(), ["b"]);
    });
}

#[test]
fn freeing_a_peer_cancels_its_event() {
    both_ways(ev, |ev| {
        let t = three(ev, |ev, [_, b, c], _| {
            assert!(b.free(ev));
            assert!(!b.is_pending(ev) && !b.exists(ev) && c.is_pending(ev));
            assert_eq!(ev.pending_count(), 1);
        });
        pass(ev);
        assert_eq!(t.log.take(), ["a", "c"]);
        assert_eq!(Rc::strong_count(&t.nears[1]), 1, "and lets go of its source");
    });
}

#[test]
fn a_new_watcher_in_the_slot_and_on_the_descriptor_of_a_freed_peer_waits_for_the_next_iteration() {
    both_ways(ev, |ev| {
        let (near, far) = ready_pair();
        let on_the_same = Rc::clone(&near);
        let t = three(ev, move |ev, [_, b, c], log| {
            b.free(ev);
            c.free(ev);
            let mine = log.clone();
            let one = ev.io(Rc::clone(&on_the_same), Interest::READ, empties(&mine, "one"));
            let two = ev.io(on_the_same, Interest::READ, empties(&mine, "two"));
            one.start(ev).unwrap();
            two.start(ev).unwrap();
            assert_eq!(ev.pending_count(), 1, "the one at the end of the batch");
        });
        // A watcher of that descriptor that is in the batch itself, at its end.
        let last = ev.io(near, Interest::READ, tells(&Told::new(), "last"));
        last.start(ev).unwrap();
        pass(ev);
        assert_eq!(t.log.take(), ["a"]);
        pass(ev);
        assert_eq!(t.log.take(), ["one", "two"]);
        last.free(ev);
        drop(far);
    });
}

#[test]
fn a_watcher_started_in_a_batch_on_a_descriptor_still_to_come_is_not_told_in_it() {
    both_ways(ev, |ev| {
        let fresh = Rc::new(Cell::new(None::<Io>));
        let key = Rc::clone(&fresh);
        let t = three(ev, move |ev, _, _| {
            key.get().unwrap().start(ev).unwrap();
        });
        let told = Told::new();
        let io = ev.io(Rc::clone(&t.nears[2]), Interest::READ, tells(&told, "new"));
        fresh.set(Some(io));
        pass(ev);
        assert_eq!((t.log.take(), told.take()), (NAMES.to_vec(), vec![]));
        put(&t.fars[2]);
        pass(ev);
        assert_eq!((t.log.take(), told.take()), (vec!["c"], vec![("new", READ)]));
    });
}

#[test]
fn a_watcher_started_in_a_batch_that_is_then_interrupted_is_told_in_the_next_iteration() {
    // The first starts it, the last has something of a higher priority called.
    both_ways(ev, |ev| {
        let (log, told) = (Log::new(), Told::new());
        let (near, _far) = ready_pair();
        let fresh = ev.io(near, Interest::READ, tells(&told, "fresh"));
        let urgent = ev.timer(ZERO, ZERO, log.says("urgent")).set_priority(ev, 2);
        let (one, two) = (ready_pair(), ready_pair());
        let starts = ev.io(one.0, Interest::READ, move |ev, e| {
            drain(e.source);
            fresh.start(ev).unwrap();
        });
        let feeds = ev.io(two.0, Interest::READ, move |ev, e| {
            drain(e.source);
            urgent.feed(ev, Events::CUSTOM);
        });
        starts.start(ev).unwrap();
        feeds.start(ev).unwrap();
        pass(ev);
        assert_eq!((log.take(), told.take()), (vec!["urgent"], vec![]));
        pass(ev);
        assert_eq!(told.take(), [("fresh", READ)]);
    });
}

#[test]
fn an_interest_widened_in_the_batch_is_told_from_the_next_iteration() {
    both_ways(ev, |ev| {
        let t = three(ev, |_, _, _| {});
        let told = Told::new();
        // On the descriptor of the last of the batch, which is reported as readable.
        let late = ev.io(Rc::clone(&t.nears[2]), Interest::PRIORITY, tells(&told, "late"));
        late.start(ev).unwrap();
        let widen = move |ev: &mut EvLoop, _: IoEvent<'_, _>| {
            late.set_interest(ev, Interest::READ).unwrap();
        };
        assert!(t.ios[0].set_callback::<Rc<std::os::unix::net::UnixStream>>(ev, widen));
        pass(ev);
        assert_eq!(told.take(), [], "the report is older than the interest");
        put(&t.fars[2]);
        pass(ev);
        assert_eq!(told.take(), [("late", READ)]);
    });
}

#[test]
fn a_question_and_a_feed_in_one_callback_lose_nothing_of_the_batch() {
    both_ways(ev, |ev| {
        let other = Rc::new(Cell::new(None::<Io>));
        let key = Rc::clone(&other);
        let t = three(ev, move |ev, [_, b, c], _| {
            assert!(b.is_pending(ev) && c.is_pending(ev));
            key.get().unwrap().feed(ev, Events::CUSTOM);
            assert!(b.is_pending(ev) && c.is_pending(ev));
            assert_eq!(ev.pending_count(), 3);
        });
        let (near, _far) = shared_pair();
        other.set(Some(ev.io(near, Interest::READ, empties(&t.log, "fed"))));
        pass(ev);
        assert_eq!(t.log.take(), ["a", "b", "c", "fed"]);
    });
}

#[test]
fn clear_pending_takes_a_peer_out_of_the_batch() {
    both_ways(ev, |ev| {
        let t = three(ev, |ev, [a, b, c], _| {
            assert_eq!(b.clear_pending(ev), READ);
            assert_eq!(b.clear_pending(ev), Events::NONE);
            assert_eq!(a.clear_pending(ev), Events::NONE);
            assert!(!b.is_pending(ev) && b.is_active(ev) && c.is_pending(ev));
            assert_eq!(ev.pending_count(), 1);
        });
        pass(ev);
        assert_eq!(t.log.take(), ["a", "c"]);
        pass(ev);
        assert_eq!(t.log.take(), ["b"]);
    });
}

#[test]
fn an_event_fed_to_a_peer_that_is_still_to_come_joins_its_own() {
    both_ways(ev, |ev| {
        let told = Told::new();
        let (near, _far) = shared_pair();
        let x = ev.io(Rc::clone(&near), Interest::WRITE, tells(&told, "x"));
        let t = three(ev, move |ev, [_, b, _], _| {
            x.feed(ev, Events::CUSTOM);
            b.feed(ev, Events::CUSTOM);
            assert_eq!(b.clear_pending(ev), READ | Events::CUSTOM);
            assert_eq!(ev.pending_count(), 3, "c, last and x");
        });
        let last = ev.io(near, Interest::WRITE, tells(&told, "last"));
        last.start(ev).unwrap();
        x.start(ev).unwrap();
        pass(ev);
        assert_eq!(t.log.take(), ["a", "c"]);
        assert_eq!(told.take(), [("last", WRITE), ("x", WRITE | Events::CUSTOM)]);
    });
}

#[test]
fn events_fed_in_the_batch_come_after_it_in_the_order_they_were_fed() {
    both_ways(ev, |ev| {
        let fed = Rc::new(RefCell::new(Vec::<Io>::new()));
        let list = Rc::clone(&fed);
        let t = three(ev, move |ev, _, _| {
            for io in list.borrow().iter().rev() {
                io.feed(ev, Events::CUSTOM);
            }
        });
        for name in ["x", "y"] {
            let (near, far) = shared_pair();
            let io = ev.io(near, Interest::READ, empties(&t.log, name));
            fed.borrow_mut().push(io);
            drop(far);
        }
        pass(ev);
        assert_eq!(t.log.take(), ["a", "b", "c", "y", "x"]);
    });
}

#[test]
fn an_event_fed_at_a_higher_priority_overtakes_the_rest_of_the_batch() {
    both_ways(ev, |ev| {
        let urgent = Rc::new(Cell::new(None::<Timer>));
        let key = Rc::clone(&urgent);
        let t = three(ev, move |ev, _, _| {
            key.get().unwrap().feed(ev, Events::CUSTOM);
        });
        let timer = ev.timer(ZERO, ZERO, t.log.says("urgent")).set_priority(ev, 2);
        urgent.set(Some(timer));
        pass(ev);
        assert_eq!(t.log.take(), ["a", "urgent", "b", "c"]);
    });
}

#[test]
fn a_priority_changed_in_the_batch_counts_from_the_next_event() {
    both_ways(ev, |ev| {
        let t = three(ev, |ev, [_, b, c], _| {
            c.set_priority(ev, 2);
            b.set_priority(ev, -2);
            assert_eq!((c.priority(ev), b.priority(ev)), (2, -2));
            assert_eq!(ev.pending_count(), 2);
        });
        pass(ev);
        assert_eq!(t.log.take(), NAMES, "what was queued stays where it was");
        for far in &t.fars {
            put(far);
        }
        pass(ev);
        assert_eq!(t.log.take(), ["c", "a", "b"]);
    });
}

#[test]
fn invoking_a_peer_that_is_still_to_come_calls_it_twice() {
    both_ways(ev, |ev| {
        let t = three(ev, |ev, [_, b, _], _| {
            assert!(b.invoke(ev, Events::CUSTOM));
            assert!(b.is_pending(ev), "invoke changes no state");
        });
        pass(ev);
        assert_eq!(t.log.take(), ["a", "b", "b", "c"]);
    });
}

#[test]
fn invoke_pending_inside_a_callback_delivers_the_rest_of_the_batch() {
    both_ways(ev, |ev| {
        let t = three(ev, |ev, _, log| {
            ev.invoke_pending();
            assert_eq!(ev.pending_count(), 0);
            log.push("back in a");
        });
        pass(ev);
        assert_eq!(t.log.take(), ["a", "b", "c", "back in a"]);
    });
}

#[test]
fn taking_the_source_of_a_peer_cancels_its_event() {
    both_ways(ev, |ev| {
        let t = three(ev, |ev, [_, b, _], _| {
            let source = b.into_source::<Rc<std::os::unix::net::UnixStream>>(ev).unwrap();
            assert_eq!(drain(&source), 1);
        });
        pass(ev);
        assert_eq!(t.log.take(), ["a", "c"]);
    });
}

#[test]
fn a_break_lets_the_batch_finish() {
    both_ways(ev, |ev| {
        let t = three(ev, |ev, _, _| ev.break_loop(Break::One));
        assert!(ev.run().unwrap());
        assert_eq!(t.log.take(), NAMES);
        assert_eq!(ev.iteration(), 1);
    });
}

#[test]
fn a_failure_lets_the_batch_finish_and_is_returned_after_it() {
    both_ways(ev, |ev| {
        let t = three(ev, |ev, _, _| ev.fail("no more"));
        let error = ev.run().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Callback);
        assert_eq!(t.log.take(), NAMES);
    });
}

#[test]
fn checks_and_timers_come_before_io_of_their_priority() {
    both_ways(ev, |ev| {
        let t = three(ev, |_, _, _| {});
        ev.timer(ZERO, ZERO, t.log.says("timer")).start(ev);
        ev.check(t.log.says("check")).start(ev);
        ev.idle(t.log.says("idle")).start(ev);
        ev.timer(ZERO, ZERO, t.log.says("late timer")).set_priority(ev, -1).start(ev);
        pass(ev);
        assert_eq!(t.log.take(), ["check", "timer", "a", "b", "c", "late timer"]);
    });
}

#[test]
fn any_mixture_of_priorities_is_served_from_high_to_low_and_in_order_within() {
    for priorities in [
        [0, 0, 0, 0, 0],
        [2, 2, 2, 2, 2],
        [0, 2, -2, 0, 1],
        [-2, -1, 0, 1, 2],
        [1, 1, -1, 1, -1],
        [99, -99, 0, 3, -3],
    ] {
        let mut ev = ev();
        let log = Log::new();
        let names = ["0", "1", "2", "3", "4"];
        let readers = names.map(|name| reader(&mut ev, &log, name));
        let mut expected: Vec<_> = (0..5).collect();
        for (i, (io, ..)) in readers.iter().enumerate() {
            io.set_priority(&mut ev, priorities[i]);
            assert_eq!(io.priority(&ev), priorities[i].clamp(-2, 2), "clamped at once");
        }
        expected.sort_by_key(|i| -priorities[*i].clamp(-2, 2));
        let expected: Vec<_> = expected.into_iter().map(|i| names[i]).collect();
        for _ in 0..2 {
            for (_, _, far) in &readers {
                put(far);
            }
            pass(&mut ev);
            assert_eq!(log.take(), expected, "{priorities:?}");
        }
    }
}

#[test]
fn two_loops_swapped_inside_a_callback_stay_sound() {
    let mut one = ev();
    let mut two = ev();
    bystander(&mut two);
    let kept = Rc::new(RefCell::new(Some(two)));
    let hand = Rc::clone(&kept);
    let t = three(&mut one, move |ev, _, _| {
        let mut other = hand.take().unwrap();
        std::mem::swap(ev, &mut other);
        *hand.borrow_mut() = Some(other);
    });
    let _ = one.run_mode(Run::NoWait);
    one.verify();
    let mut two = kept.take().unwrap();
    two.verify();
    let _ = two.run_mode(Run::NoWait);
    let _ = one.run_mode(Run::NoWait);
    assert_eq!(t.log.take().first(), Some(&"a"));
}
