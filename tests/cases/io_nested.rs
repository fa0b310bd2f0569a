// Nested runs inside io callbacks: a running watcher is never entered again, and its readiness
// does not make the inner loop spin (loop.md 1.4; loop-api.md b).

use crate::sockets::*;

/// Runs a nested loop of one second of loop time and returns how many waits it took.
fn nested_second(ev: &mut EvLoop, waits: &Count) -> usize {
    let before = waits.get();
    ev.after(secs(1), |ev| ev.break_loop(Break::One));
    ev.run().expect("a nested run");
    waits.get() - before
}

#[test]
fn a_nested_run_does_not_spin_on_the_data_of_the_running_watcher() {
    both_ways(ev, |ev| {
        let told = Told::new();
        let (near, _far) = ready_pair();
        let (log, waits) = (told.clone(), waits(ev));
        let io = ev.io(near, Interest::READ, move |ev, e| {
            log.push(("in", e.ready));
            assert_eq!(ev.depth(), 1);
            let spent = nested_second(ev, &waits);
            assert!(spent <= 2, "{spent} waits");
            log.push(("out", e.ready));
        });
        io.start(ev).unwrap();
        for _ in 0..2 {
            pass(ev);
            assert_eq!(told.take(), [("in", READ), ("out", READ)], "its data is still there");
        }
    });
}

#[test]
fn a_nested_run_does_not_spin_on_a_running_regular_file() {
    both_ways(ev, |ev| {
        let count = Count::new();
        let (up, waits) = (count.clone(), waits(ev));
        let file = std::fs::File::open(std::env::current_exe().unwrap()).unwrap();
        let io = ev.io(file, Interest::READ, move |ev, _| {
            up.up();
            let spent = nested_second(ev, &waits);
            assert!(spent <= 2, "{spent} waits");
        });
        io.start(ev).unwrap();
        pass(ev);
        pass(ev);
        assert_eq!(count.get(), 2);
    });
}

#[test]
fn the_rest_of_the_batch_is_served_first_thing_in_a_nested_run() {
    both_ways(ev, |ev| {
        let log = Log::new();
        let (near, _far) = ready_pair();
        let says = log.clone();
        let io = ev.io(near, Interest::READ, move |ev, e| {
            says.push("outer");
            drain(e.source);
            ev.run_mode(Run::NoWait).unwrap();
            says.push("back");
        });
        io.start(ev).unwrap();
        let peers = ["b", "c"].map(|name| reader(ev, &log, name));
        for (_, _, far) in &peers {
            put(far);
        }
        pass(ev);
        assert_eq!(log.take(), ["outer", "b", "c", "back"]);
    });
}

#[test]
fn a_peer_on_the_same_descriptor_is_served_in_the_nested_run() {
    both_ways(ev, |ev| {
        let log = Log::new();
        let (near, far) = ready_pair();
        let (says, waits) = (log.clone(), waits(ev));
        let outer = ev.io(Rc::clone(&near), Interest::READ, move |ev, e| {
            says.push("outer");
            drain(e.source);
            put(&far);
            nested_second(ev, &waits);
            assert!(waits.get() < 10, "{} waits", waits.get());
            says.push("back");
            e.watcher.stop(ev);
        });
        let peer = ev.io(near, Interest::READ, empties(&log, "peer"));
        outer.start(ev).unwrap();
        pass(ev);
        assert_eq!(log.take(), ["outer", "back"]);
        outer.start(ev).unwrap();
        peer.start(ev).unwrap();
        pass(ev);
        let log = log.take();
        assert_eq!((log[0], log[log.len() - 1]), ("outer", "back"));
        assert!(log.contains(&"peer"), "{log:?}");
    });
}

#[test]
fn what_is_fed_to_a_running_watcher_in_a_nested_run_comes_once_when_it_returns() {
    both_ways(ev, |ev| {
        let told = Told::new();
        let (near, _far) = ready_pair();
        let log = told.clone();
        let io = ev.io(near, Interest::READ, move |ev, e| {
            log.push(("in", e.ready));
            if !e.ready.contains(READ) {
                return;
            }
            drain(e.source);
            let me = e.watcher;
            let poke = move |ev: &mut EvLoop, _| {
                me.feed(ev, Events::CUSTOM);
                me.feed(ev, Events::TIMER);
            };
            ev.timer(ZERO, ZERO, poke).start(ev);
            ev.run_mode(Run::Once).unwrap();
            assert!(me.is_pending(ev));
            log.push(("out", e.ready));
        });
        io.start(ev).unwrap();
        pass(ev);
        let collected = Events::CUSTOM | Events::TIMER;
        assert_eq!(told.take(), [("in", READ), ("out", READ), ("in", collected)]);
    });
}

#[test]
fn a_watcher_stopped_or_freed_in_the_nested_run_does_not_come_back() {
    for freed in [false, true] {
        both_ways(ev, |ev| {
            let count = Count::new();
            let (near, _far) = ready_pair();
            let up = count.clone();
            let io = ev.io(near, Interest::READ, move |ev, e| {
                up.up();
                let me = e.watcher;
                ev.after(ZERO, move |ev| {
                    if freed {
                        me.free(ev);
                    } else {
                        me.stop(ev);
                    }
                });
                ev.run_mode(Run::Once).unwrap();
                assert_eq!((me.is_active(ev), me.exists(ev)), (false, !freed));
            });
            io.start(ev).unwrap();
            pass(ev);
            pass(ev);
            assert_eq!(count.get(), 1);
            assert_eq!(io.exists(ev), !freed);
        });
    }
}

#[test]
fn an_interest_changed_in_the_nested_run_holds_after_it() {
    both_ways(ev, |ev| {
        let told = Told::new();
        let (near, _far) = ready_pair();
        let log = told.clone();
        let io = ev.io(near, Interest::READ, move |ev, e| {
            log.push(("x", e.ready));
            let me = e.watcher;
            ev.after(ZERO, move |ev| {
                me.set_interest(ev, Interest::WRITE).unwrap();
            });
            ev.run_mode(Run::Once).unwrap();
        });
        io.start(ev).unwrap();
        pass(ev);
        pass(ev);
        assert_eq!(told.take(), [("x", READ), ("x", WRITE)]);
    });
}

#[test]
fn nested_runs_go_several_levels_deep_and_every_level_is_restored() {
    both_ways(ev, |ev| {
        let log = Log::new();
        let waits = waits(ev);
        let mut keep = Vec::new();
        for name in ["a", "b", "c"] {
            let (near, far) = ready_pair();
            let says = log.clone();
            let io = ev.io(near, Interest::READ, move |ev, e| {
                says.push(name);
                assert!(ev.depth() <= 3, "depth {}", ev.depth());
                ev.after(secs(1), |_| {});
                ev.run_mode(Run::Once).unwrap();
                assert!(e.watcher.is_active(ev));
            });
            io.start(ev).unwrap();
            keep.push((io, far));
        }
        for _ in 0..2 {
            let before = waits.get();
            pass(ev);
            let calls = log.take();
            assert_eq!(calls[..3], ["a", "b", "c"], "each runs inside the one before");
            let spent = waits.get() - before;
            assert!(spent <= 2 * calls.len() + 2, "{spent} waits for {} calls", calls.len());
            assert_eq!(ev.depth(), 0);
            for (io, _) in &keep {
                assert!(io.is_active(ev));
                assert_eq!(io.interest(ev), Interest::READ);
            }
        }
    });
}

#[test]
fn a_watcher_started_in_the_batch_is_told_in_a_run_nested_in_it() {
    both_ways(ev, |ev| {
        let told = Told::new();
        let (near, _far) = ready_pair();
        let fresh = ev.io(near, Interest::READ, tells(&told, "fresh"));
        let start = move |ev: &mut EvLoop, _: CheckEvent| {
            fresh.start(ev).unwrap();
        };
        ev.check(start).start(ev);
        let (near, _far) = ready_pair();
        let log = told.clone();
        let last = ev.io(near, Interest::READ, move |ev, e| {
            drain(e.source);
            ev.run_mode(Run::NoWait).unwrap();
            log.push(("back", Events::NONE));
        });
        last.start(ev).unwrap();
        pass(ev);
        assert_eq!(told.take(), [("fresh", READ), ("back", Events::NONE)]);
    });
}

#[test]
fn a_run_inside_an_invoked_callback_outside_any_run_does_not_spin_either() {
    both_ways(ev, |ev| {
        let (near, _far) = ready_pair();
        let waits = waits(ev);
        let spent = Rc::new(Cell::new(0));
        let sum = Rc::clone(&spent);
        let io = ev.io(near, Interest::READ, move |ev, e| {
            if e.ready == Events::CUSTOM {
                sum.set(nested_second(ev, &waits));
            }
        });
        io.start(ev).unwrap();
        assert!(io.invoke(ev, Events::CUSTOM));
        assert!((1..=2).contains(&spent.get()), "{} waits", spent.get());
    });
}

#[test]
fn break_all_ends_the_nested_run_and_the_outer_one() {
    let mut ev = ev();
    let log = Log::new();
    let (near, _far) = ready_pair();
    let says = log.clone();
    let io = ev.io(near, Interest::READ, move |ev, _| {
        says.push("io");
        ev.after(ZERO, |ev| {
            assert_eq!(ev.depth(), 2);
            ev.break_loop(Break::All);
        });
        ev.run().unwrap();
        says.push("back");
    });
    io.start(&mut ev).unwrap();
    assert!(ev.run().unwrap());
    assert_eq!(log.take(), ["io", "back"]);
}

#[test]
fn a_panic_in_a_nested_run_restores_the_interest_of_the_running_watcher() {
    both_ways(ev, |ev| {
        let told = Told::new();
        let (near, _far) = ready_pair();
        let (log, once) = (told.clone(), Cell::new(true));
        let io = ev.io(near, Interest::READ, move |ev, e| {
            log.push(("x", e.ready));
            if once.replace(false) {
                ev.after(ZERO, |_| panic!("on purpose"));
                ev.run().unwrap();
            }
        });
        io.start(ev).unwrap();
        assert_eq!(panic_of(|| ev.run()).as_deref(), Some("on purpose"));
        assert_eq!(ev.depth(), 0);
        ev.verify();
        told.take();
        pass(ev);
        // Once, or twice if the inner loop had it reported before the panic.
        let calls = told.take();
        assert!(!calls.is_empty() && calls.iter().all(|call| *call == ("x", READ)), "{calls:?}");
        pass(ev);
        assert_eq!(told.take(), [("x", READ)]);
    });
}
