// Collect intervals: loop.md 1.7.

#[test]
fn timer_collect_bunches_timers_that_are_near() {
    for by_builder in [true, false] {
        let clock = MockClock::new();
        let mut ev = if by_builder {
            builder().mock_clock(&clock).timer_collect(ms(100)).build().unwrap()
        } else {
            builder().mock_clock(&clock).build().unwrap()
        };
        if !by_builder {
            ev.set_timer_collect(ms(100));
        }
        let log = Log::<(u64, u64)>::new();
        for n in [50, 10, 90, 250] {
            let (log, clock) = (log.clone(), clock.clone());
            ev.timer(ms(n), ZERO, move |_, _| log.push((n, clock.elapsed().as_millis() as u64)))
                .start(&mut ev);
        }
        ev.run().unwrap();
        assert_eq!(log.take(), [(10, 100), (50, 100), (90, 100), (250, 250)]);
        assert_eq!(ev.iteration(), 2);
    }
}

#[test]
fn timer_collect_does_not_touch_a_zero_wait() {
    let (mut ev, clock) = ev_with_clock();
    ev.set_timer_collect(secs(1));
    let calls = Count::new();
    let idle = ev.idle(calls.ups()).start(&mut ev);
    anchor(&mut ev);
    ev.run_mode(Run::Once).unwrap();
    idle.stop(&mut ev);
    ev.run_mode(Run::NoWait).unwrap();
    ev.turn(Some(ZERO)).unwrap();
    assert_eq!((calls.get(), clock.elapsed()), (1, ZERO));
}

#[test]
fn io_collect_never_sleeps_past_the_next_timer() {
    for by_builder in [true, false] {
        let clock = MockClock::new();
        let mut ev = if by_builder {
            builder().mock_clock(&clock).io_collect(ms(100)).build().unwrap()
        } else {
            builder().mock_clock(&clock).build().unwrap()
        };
        if !by_builder {
            ev.set_io_collect(ms(100));
        }
        let log = Log::<(u64, u64)>::new();
        for n in [30, 37, 500] {
            let (log, clock) = (log.clone(), clock.clone());
            ev.timer(ms(n), ZERO, move |_, _| log.push((n, clock.elapsed().as_millis() as u64)))
                .start(&mut ev);
        }
        ev.run().unwrap();
        assert_eq!(log.take(), [(30, 30), (37, 37), (500, 500)], "timers stay punctual");
    }
}

#[test]
fn intervals_set_to_zero_are_off_again() {
    let (mut ev, clock) = ev_with_clock();
    ev.set_timer_collect(secs(9));
    ev.set_io_collect(secs(9));
    ev.set_timer_collect(ZERO);
    ev.set_io_collect(ZERO);
    ev.timer(ms(5), ZERO, nothing).start(&mut ev);
    ev.run().unwrap();
    assert_eq!(clock.elapsed(), ms(5));
}

#[test]
fn the_hooks_stand_around_the_collecting_sleep_too() {
    let (mut ev, clock) = ev_with_clock();
    ev.set_io_collect(ms(100));
    let (since, asleep) = (Rc::new(Cell::new(ZERO)), Rc::new(Cell::new(ZERO)));
    let (from, hand) = (Rc::clone(&since), clock.clone());
    let (total, time) = (Rc::clone(&asleep), clock.clone());
    ev.on_wait(
        move || from.set(hand.elapsed()),
        move || total.set(total.get() + time.elapsed() - since.get()),
    );
    for n in [30, 350, 500] {
        ev.timer(ms(n), ZERO, nothing).start(&mut ev);
    }
    ev.run().unwrap();
    assert_eq!((asleep.get(), clock.elapsed()), (ms(500), ms(500)));
}
