// Level triggering, hang-ups, and the interest in nothing (loop.md 3.1).

use crate::sockets::*;

#[test]
fn a_watcher_is_told_in_every_iteration_until_the_data_is_gone() {
    let mut ev = ev();
    let told = Told::new();
    let (near, _far) = ready_pair();
    ev.io(Rc::clone(&near), Interest::READ, tells(&told, "r")).start(&mut ev).unwrap();
    for _ in 0..3 {
        pass(&mut ev);
        assert_eq!(told.take(), [("r", READ)]);
    }
    drain(&near);
    pass(&mut ev);
    assert_eq!(told.take(), []);
}

#[test]
fn a_watcher_is_told_only_what_is_ready_and_only_what_it_asked_for() {
    let mut ev = ev();
    let told = Told::new();
    let (near, far) = shared_pair();
    let io = ev.io(Rc::clone(&near), Interest::READ | Interest::WRITE, tells(&told, "both"));
    io.start(&mut ev).unwrap();
    pass(&mut ev);
    assert_eq!(told.take(), [("both", WRITE)]);
    put(&far);
    pass(&mut ev);
    assert_eq!(told.take(), [("both", READ | WRITE)]);
    fill(&near);
    pass(&mut ev);
    assert_eq!(told.take(), [("both", READ)]);
    drain(&near);
    pass(&mut ev);
    assert_eq!(told.take(), []);
    drain(&far);
    pass(&mut ev);
    assert_eq!(told.take(), [("both", WRITE)]);
}

#[test]
fn the_callback_gets_the_source_and_the_key_it_was_made_with() {
    let mut ev = ev();
    let (near, _far) = ready_pair();
    let (same, seen) = (Rc::clone(&near), Count::new());
    let (key, up) = (Rc::new(Cell::new(None)), seen.clone());
    let mine = Rc::clone(&key);
    let io = ev.io(near, Interest::READ, move |ev, e| {
        assert!(Rc::ptr_eq(e.source, &same));
        assert_eq!(Some(e.watcher), mine.get());
        assert!(e.watcher.is_active(ev) && !e.watcher.is_pending(ev));
        assert_eq!(ev.depth(), 1);
        up.up();
    });
    key.set(Some(io));
    io.start(&mut ev).unwrap();
    pass(&mut ev);
    assert_eq!(seen.get(), 1);
}

#[test]
fn a_watcher_that_was_not_started_is_not_told_and_keeps_nothing_running() {
    let mut ev = ev();
    let count = Count::new();
    let (near, _far) = ready_pair();
    let io = ev.io(near, Interest::READ, counts(&count));
    assert!(!io.is_active(&ev) && io.exists(&ev));
    assert!(!ev.run().unwrap());
    assert_eq!(count.get(), 0);
}

#[test]
fn starting_twice_is_starting_once() {
    let mut ev = ev();
    let count = Count::new();
    let (near, _far) = ready_pair();
    let io = ev.io(near, Interest::READ, counts(&count));
    io.start(&mut ev).unwrap().start(&mut ev).unwrap();
    pass(&mut ev);
    assert_eq!(count.get(), 1);
    assert!(io.stop(&mut ev));
    pass(&mut ev);
    assert_eq!(count.get(), 1);
}

#[test]
fn the_loop_runs_until_the_last_watcher_stops() {
    let mut ev = ev();
    let _dog = Watchdog::new(secs(30));
    let (near, _far) = ready_pair();
    let times = Count::new();
    let up = times.clone();
    let io = ev.io(near, Interest::READ, move |ev, e| {
        if up.up() == 5 {
            e.watcher.stop(ev);
        }
    });
    io.start(&mut ev).unwrap();
    assert!(!ev.run().unwrap());
    assert_eq!(times.get(), 5);
    assert!(!io.is_active(&ev) && io.exists(&ev));
}

#[test]
fn a_hang_up_is_told_to_one_who_only_writes() {
    let mut ev = ev();
    let told = Told::new();
    let (near, far) = shared_pair();
    fill(&near);
    ev.io(near, Interest::WRITE, tells(&told, "w")).start(&mut ev).unwrap();
    pass(&mut ev);
    assert_eq!(told.take(), []);
    drop(far);
    pass(&mut ev);
    assert_eq!(told.take(), [("w", WRITE)]);
}

#[test]
fn a_hang_up_is_told_to_one_who_only_reads() {
    let mut ev = ev();
    let told = Told::new();
    let (reader, writer) = std::io::pipe().unwrap();
    ev.io(reader, Interest::READ, tells(&told, "r")).start(&mut ev).unwrap();
    pass(&mut ev);
    assert_eq!(told.take(), []);
    drop(writer);
    pass(&mut ev);
    assert_eq!(told.take(), [("r", READ)]);
}

#[test]
fn an_error_is_told_as_readable_and_writable() {
    // The reading end of a pipe is gone: the writing end is in error (EPOLLERR, no EPOLLHUP).
    for (interest, expected) in [
        (Interest::READ, READ),
        (Interest::WRITE, WRITE),
        (Interest::READ | Interest::WRITE, READ | WRITE),
    ] {
        let mut ev = ev();
        let told = Told::new();
        let (reader, writer) = std::io::pipe().unwrap();
        ev.io(writer, interest, tells(&told, "e")).start(&mut ev).unwrap();
        drop(reader);
        pass(&mut ev);
        assert_eq!(told.take(), [("e", expected)], "{interest:?}");
    }
}

#[test]
fn interest_in_nothing_keeps_the_loop_alive_and_never_fires_nor_spins() {
    let (mut ev, clock) = ev_with_clock();
    let count = Count::new();
    let (near, far) = shared_pair();
    let io = ev.io(near, Interest::NONE, counts(&count));
    io.start(&mut ev).unwrap();
    put(&far);
    drop(far);
    assert!(io.is_active(&ev));
    assert!(pass(&mut ev), "it counts as a reference");
    let waits = waits(&mut ev);
    ev.after(secs(1), |ev| ev.break_loop(Break::One));
    ev.run().unwrap();
    assert_eq!(clock.elapsed(), secs(1));
    assert_eq!((count.get(), waits.get()), (0, 1));
}

#[test]
fn a_paused_reader_does_not_spin_on_a_hang_up_and_sees_it_when_it_goes_on() {
    let (mut ev, clock) = ev_with_clock();
    let told = Told::new();
    let (near, far) = shared_pair();
    let io = ev.io(near, Interest::READ, tells(&told, "r"));
    io.start(&mut ev).unwrap();
    pass(&mut ev);
    io.set_interest(&mut ev, Interest::NONE).unwrap();
    drop(far);
    let waits = waits(&mut ev);
    ev.after(secs(1), |ev| ev.break_loop(Break::One));
    ev.run().unwrap();
    assert_eq!(clock.elapsed(), secs(1));
    assert!(waits.get() <= 2, "{} waits", waits.get());
    assert_eq!(told.take(), []);
    io.set_interest(&mut ev, Interest::READ).unwrap();
    pass(&mut ev);
    assert_eq!(told.take(), [("r", READ)]);
}

#[test]
fn a_ready_descriptor_ends_the_wait_before_a_timer_does() {
    let (mut ev, clock) = ev_with_clock();
    let log = Log::new();
    let (_io, _near, far) = reader(&mut ev, &log, "io");
    ev.timer(secs(5), ZERO, log.says("timer")).start(&mut ev);
    put(&far);
    assert!(ev.run_mode(Run::Once).unwrap());
    assert_eq!((log.take(), clock.elapsed()), (vec!["io"], ZERO));
    ev.run_mode(Run::Once).unwrap();
    assert_eq!((log.take(), clock.elapsed()), (vec!["timer"], secs(5)));
}

#[test]
fn the_loop_wakes_when_another_thread_makes_a_descriptor_ready() {
    let mut ev = live_ev();
    let _dog = Watchdog::new(secs(30));
    let log = Log::new();
    let (_io, _near, far) = reader(&mut ev, &log, "io");
    let writer = std::thread::spawn(move || {
        put(&far);
        far
    });
    ev.run_mode(Run::Once).unwrap();
    assert_eq!(log.take(), ["io"]);
    writer.join().unwrap();
}

#[test]
fn a_watcher_that_holds_no_reference_is_served_while_others_run() {
    let mut ev = ev();
    let log = Log::new();
    let (io, _near, far) = reader(&mut ev, &log, "io");
    io.set_ref(&mut ev, false);
    assert!(!ev.has_refs());
    put(&far);
    assert!(!ev.run().unwrap(), "nothing holds the loop");
    assert_eq!(log.take(), ["io"], "but its one pass serves what is ready");
}
