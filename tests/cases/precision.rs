// Timers on the real clock.

/// How long a timer of `after` takes, measured outside the loop, and the iterations it took.
fn measured(ev: &mut EvLoop, after: Duration) -> (Duration, u64) {
    let polls = ev.iteration();
    let start = Instant::now();
    ev.timer(after, ZERO, |ev, e| _ = e.watcher.free(ev)).start(ev);
    assert!(!ev.run().unwrap());
    (start.elapsed(), ev.iteration() - polls)
}

#[test]
fn a_timer_of_100_microseconds_is_neither_early_nor_rounded_up_to_a_millisecond() {
    let mut ev = live_ev();
    let tries: Vec<_> = (0..100).map(|_| measured(&mut ev, us(100)).0).collect();
    assert!(tries.iter().all(|took| *took >= us(100)), "early: {tries:?}");
    let best = tries.iter().min().unwrap();
    assert!(*best < us(900), "the best of 100 took {best:?}");
}

#[test]
fn waits_of_any_length_are_never_early() {
    let mut ev = live_ev();
    for after in [1, 50, 333, 999, 1000, 1001, 1500, 2000, 2999, 10_000, 10_001].map(us) {
        let took = measured(&mut ev, after).0;
        assert!(took >= after, "{after:?} took {took:?}");
    }
}

#[test]
fn a_wait_is_slept_not_spun() {
    let mut ev = live_ev();
    // One poll that waits; a second where the kernel's clock and ours disagree on the instant.
    for after in [us(400), us(1500), ms(20)] {
        let polls = (0..10).map(|_| measured(&mut ev, after).1).min().unwrap();
        assert!(polls <= 2, "{polls} iterations for {after:?}");
    }
}

#[test]
fn once_does_not_return_on_a_lazily_moved_timer() {
    let mut ev = live_ev();
    let calls = Count::new();
    let key = ev.timer(ms(20), ms(20), calls.ups()).start(&mut ev);
    let (start, polls) = (Instant::now(), ev.iteration());
    key.set_repeat(&mut ev, ms(60)).again(&mut ev);
    assert!(ev.run_mode(Run::Once).unwrap());
    assert_eq!(calls.get(), 1);
    assert!(start.elapsed() >= ms(60));
    assert!(ev.iteration() - polls <= 2, "{} iterations", ev.iteration() - polls);
}

#[test]
fn a_repeater_keeps_its_rhythm() {
    let mut ev = live_ev();
    let start = Instant::now();
    let calls = Count::new();
    let count = calls.clone();
    ev.timer(ms(5), ms(5), move |ev, e| {
        let n = count.up() as u32;
        assert!(start.elapsed() >= ms(5) * n, "call {n} is early");
        if n == 10 {
            e.watcher.stop(ev);
        }
    })
    .start(&mut ev);
    assert!(!ev.run().unwrap());
    assert_eq!(calls.get(), 10);
}

#[test]
fn now_is_the_time_of_the_last_reading() {
    let mut ev = live_ev();
    ev.update_now();
    let cached = ev.now();
    assert!(cached <= Instant::now());
    ev.timer(ms(2), ZERO, move |ev, _| {
        assert!(ev.now() >= cached + ms(2) && ev.now() <= Instant::now());
        let wall = ev.wall_now();
        let real = std::time::SystemTime::now();
        let apart = real.duration_since(wall).unwrap_or_else(|e| e.duration());
        assert!(apart < secs(5), "{apart:?}");
    })
    .start(&mut ev);
    ev.run().unwrap();
}
