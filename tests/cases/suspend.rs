// Suspend and resume: loop.md 1.8.

#[test]
fn run_and_turn_are_refused_between_suspend_and_resume() {
    let mut ev = ev();
    let calls = Count::new();
    ev.timer(ZERO, ZERO, calls.ups()).start(&mut ev);
    ev.suspend();
    for result in [ev.run(), ev.run_mode(Run::Once), ev.run_mode(Run::NoWait), ev.turn(Some(ZERO))]
    {
        assert_eq!(result.unwrap_err().kind(), ErrorKind::Suspended);
    }
    assert_eq!((calls.get(), ev.depth(), ev.iteration()), (0, 0, 0));
    ev.resume();
    assert!(!ev.run().unwrap());
    assert_eq!(calls.get(), 1);
}

#[test]
fn resume_moves_every_timer_later_by_the_elapsed_time() {
    let (mut ev, clock) = ev_with_clock();
    let log = Log::<(usize, u64)>::new();
    let start = ev.now();
    let mut keys = Vec::new();
    for (n, after) in [5, 3, 9].into_iter().enumerate() {
        let (log, clock) = (log.clone(), clock.clone());
        let key = ev.timer(secs(after), ZERO, move |_, _| log.push((n, clock.elapsed().as_secs())));
        keys.push(key.start(&mut ev));
    }
    clock.advance(secs(1));
    ev.suspend();
    clock.advance(secs(10));
    ev.resume();
    assert_eq!(ev.now(), start + secs(11), "resume refreshes time");
    assert_eq!(keys[0].due(&ev), Some(start + secs(15)));
    assert_eq!(keys[0].remaining(&ev), secs(4));
    ev.verify();
    ev.run().unwrap();
    assert_eq!(log.take(), [(1, 13), (0, 15), (2, 19)]);
}

#[test]
fn suspend_refreshes_time_and_a_second_one_changes_nothing() {
    let (mut ev, clock) = ev_with_clock();
    let start = ev.now();
    let key = ev.timer(secs(5), ZERO, nothing).start(&mut ev);
    clock.advance(secs(1));
    ev.suspend();
    assert_eq!(ev.now(), start + secs(1));
    clock.advance(secs(1));
    ev.suspend();
    clock.advance(secs(1));
    ev.resume();
    assert_eq!(key.due(&ev), Some(start + secs(7)), "two seconds were spent suspended");
    ev.resume();
    assert_eq!(key.due(&ev), Some(start + secs(7)), "nor does a second resume");
}

#[test]
fn everything_else_works_while_suspended() {
    let mut ev = ev();
    let log = Log::new();
    ev.suspend();
    let fed = ev.timer(ZERO, ZERO, log.says("fed"));
    assert!(fed.feed(&mut ev, Events::CUSTOM));
    ev.invoke_pending();
    assert!(fed.invoke(&mut ev, Events::CUSTOM));
    let timer = ev.timer(ms(1), ZERO, log.says("timer")).start(&mut ev);
    let idle = ev.idle(nothing).start(&mut ev);
    assert!(timer.is_active(&ev) && idle.stop(&mut ev) && idle.free(&mut ev));
    assert!(ev.remote().post(|_| ()));
    ev.verify();
    ev.resume();
    ev.run().unwrap();
    assert_eq!(log.take(), ["fed", "fed", "timer"]);
}

#[test]
fn lazily_moved_and_endless_timers_survive_the_shift() {
    let (mut ev, clock) = ev_with_clock();
    let calls = Count::new();
    let start = ev.now();
    let moved = ev.timer(secs(1), secs(4), calls.ups()).start(&mut ev).again(&mut ev);
    let never = ev.timer(Duration::MAX, ZERO, nothing).start(&mut ev);
    ev.suspend();
    clock.advance(secs(60));
    ev.resume();
    assert_eq!((moved.due(&ev), never.due(&ev)), (Some(start + secs(64)), None));
    never.stop(&mut ev);
    moved.set_repeat(&mut ev, ZERO);
    ev.run().unwrap();
    assert_eq!((calls.get(), clock.elapsed()), (1, secs(64)));
}
