// `once`: readiness or time-out, exactly one call, the source given back (loop.md 1.6).

use crate::sockets::*;
use std::os::unix::net::UnixStream;

/// Starts a `once` that writes what it was told and keeps the source.
fn once(
    ev: &mut EvLoop,
    told: &Told,
    near: UnixStream,
    interest: Interest,
    limit: Option<Duration>,
) -> (Io, Rc<RefCell<Option<UnixStream>>>) {
    let back = Rc::new(RefCell::new(None));
    let (log, hand) = (told.clone(), Rc::clone(&back));
    let io = ev.once(near, interest, limit, move |_, source: UnixStream, ready| {
        log.push(("once", ready));
        *hand.borrow_mut() = Some(source);
    });
    (io.expect("a started once"), back)
}

#[test]
fn once_is_told_of_readiness_and_gives_the_source_back() {
    for limit in [None, Some(secs(5))] {
        let (mut ev, clock) = ev_with_clock();
        let _dog = Watchdog::new(secs(30));
        let told = Told::new();
        let (near, far) = pair();
        let (io, back) = once(&mut ev, &told, near, Interest::READ, limit);
        assert!(io.is_active(&ev));
        put(&far);
        assert!(!ev.run().unwrap(), "and nothing is left");
        assert_eq!((told.take(), clock.elapsed()), (vec![("once", READ)], ZERO));
        assert!(!io.exists(&ev));
        let near = back.take().expect("the source by value");
        assert_eq!(drain(&near), 1);
    }
}

#[test]
fn once_is_told_of_the_time_out_and_gives_the_source_back() {
    let (mut ev, clock) = ev_with_clock();
    let told = Told::new();
    let (near, far) = pair();
    let (io, back) = once(&mut ev, &told, near, Interest::READ, Some(ms(5500)));
    assert!(!ev.run().unwrap());
    assert_eq!((told.take(), clock.elapsed()), (vec![("once", Events::TIMER)], ms(5500)));
    assert!(!io.exists(&ev) && back.borrow().is_some());
    put(&far);
    assert!(!pass(&mut ev));
    assert_eq!(told.take(), []);
}

#[test]
fn readiness_and_time_out_in_the_same_iteration_are_one_call() {
    let (mut ev, clock) = ev_with_clock();
    for interest in [Interest::READ, Interest::READ | Interest::WRITE] {
        let told = Told::new();
        let (near, far) = pair();
        let (io, _back) = once(&mut ev, &told, near, interest, Some(secs(1)));
        put(&far);
        clock.advance(secs(2));
        pass(&mut ev);
        let ready = if interest == Interest::READ { READ } else { READ | WRITE };
        assert_eq!(told.take(), [("once", ready | Events::TIMER)]);
        assert!(!io.exists(&ev));
        pass(&mut ev);
        assert_eq!(told.take(), []);
    }
}

#[test]
fn a_time_out_of_zero_is_due_in_the_next_iteration() {
    let (mut ev, clock) = ev_with_clock();
    let told = Told::new();
    let (near, far) = pair();
    once(&mut ev, &told, near, Interest::READ, Some(ZERO));
    ev.run_mode(Run::Once).unwrap();
    assert_eq!((told.take(), clock.elapsed()), (vec![("once", Events::TIMER)], ZERO));
    drop(far);
}

#[test]
fn a_huge_time_out_never_comes() {
    let (mut ev, clock) = ev_with_clock();
    let told = Told::new();
    let (near, far) = pair();
    once(&mut ev, &told, near, Interest::READ, Some(Duration::MAX));
    clock.advance(secs(1 << 31));
    pass(&mut ev);
    assert_eq!(told.take(), []);
    put(&far);
    pass(&mut ev);
    assert_eq!(told.take(), [("once", READ)]);
}

#[test]
fn both_watchers_of_a_once_are_stopped_before_its_call() {
    let (mut ev, clock) = ev_with_clock();
    let count = Count::new();
    let (near, far) = pair();
    put(&far);
    let up = count.clone();
    let io = ev.once(near, Interest::READ, Some(secs(1)), move |ev, near: UnixStream, _| {
        up.up();
        assert!(ev.watchers().is_empty(), "{ev:?}");
        // Neither fires into a nested run, and the source can be watched anew.
        put(&far);
        let again = ev.once(near, Interest::READ, None, move |_, _, _| drop(far));
        again.unwrap();
        assert!(!ev.run().unwrap());
    });
    io.unwrap();
    ev.run().unwrap();
    clock.advance(secs(5));
    pass(&mut ev);
    assert_eq!(count.get(), 1);
}

#[test]
fn a_freed_or_stopped_once_is_never_called() {
    let (mut ev, clock) = ev_with_clock();
    let told = Told::new();
    let (near, far) = pair();
    let (io, back) = once(&mut ev, &told, near, Interest::READ, Some(secs(1)));
    put(&far);
    assert!(io.free(&mut ev));
    clock.advance(secs(2));
    assert!(!pass(&mut ev), "its time-out is gone with it");
    assert_eq!((told.take(), back.borrow().is_none()), (vec![], true));
    assert_eq!(Rc::strong_count(&back), 1, "its closure is gone too");
}

#[test]
fn a_once_that_is_fed_runs_with_what_it_was_fed() {
    let mut ev = ev();
    let told = Told::new();
    let (near, _far) = pair();
    let (io, _back) = once(&mut ev, &told, near, Interest::READ, Some(secs(1)));
    assert!(io.feed(&mut ev, Events::CUSTOM));
    assert!(!ev.run().unwrap());
    assert_eq!(told.take(), [("once", Events::CUSTOM)]);
}

#[test]
fn once_on_a_regular_file_is_ready_at_once() {
    let mut ev = ev();
    let told = Told::new();
    let file = std::fs::File::open(std::env::current_exe().unwrap()).unwrap();
    let log = told.clone();
    ev.once(file, Interest::READ, None, move |_, _, ready| log.push(("file", ready))).unwrap();
    assert!(!ev.run().unwrap());
    assert_eq!(told.take(), [("file", READ)]);
}

#[test]
fn a_once_whose_closure_panics_is_gone_and_the_loop_lives() {
    let mut ev = ev();
    let log = Log::new();
    let (near, far) = pair();
    put(&far);
    ev.once(near, Interest::READ, Some(secs(1)), |_, _, _| panic!("on purpose")).unwrap();
    assert_eq!(panic_of(|| ev.run()).as_deref(), Some("on purpose"));
    assert_eq!(ev.depth(), 0);
    ev.verify();
    ev.timer(ZERO, ZERO, log.says("timer")).start(&mut ev);
    assert!(!ev.run().unwrap());
    assert_eq!(log.take(), ["timer"]);
}
