// Steady states without descriptors.

use crate::{WARM_UP, allocations};

fn steady(ev: &mut EvLoop, mut turn: impl FnMut(&mut EvLoop)) {
    for _ in 0..WARM_UP {
        turn(ev);
    }
    let taken = allocations(|| {
        for _ in 0..1000 {
            turn(ev);
        }
    });
    assert_eq!(taken, 0, "allocations in a thousand turns");
    ev.verify();
}

#[test]
fn timers_that_fire_restart_and_are_armed_again_allocate_nothing() {
    let (mut ev, clock) = ev_with_clock();
    let repeating: Vec<_> =
        (1..=10).map(|n| ev.timer(ms(n), ms(n), nothing).start(&mut ev)).collect();
    let single = ev.timer(ms(3), ZERO, nothing);
    let postponed = ev.timer(ms(50), ms(50), nothing).start(&mut ev);
    steady(&mut ev, |ev| {
        clock.advance(ms(1));
        postponed.again(ev);
        single.restart(ev, ms(2));
        repeating[3].stop(ev);
        repeating[3].start(ev);
        ev.run_mode(Run::NoWait).unwrap();
    });
}

#[test]
fn idle_prepare_and_check_allocate_nothing() {
    let mut ev = ev();
    let count = Count::new();
    ev.idle(count.ups()).start(&mut ev);
    ev.prepare(count.ups()).start(&mut ev);
    ev.check(count.ups()).start(&mut ev);
    steady(&mut ev, |ev| {
        ev.run_mode(Run::NoWait).unwrap();
    });
    assert_eq!(count.get(), 3 * (WARM_UP + 1000));
}

#[test]
fn fed_events_allocate_nothing() {
    let mut ev = ev();
    let count = Count::new();
    let fed: Vec<_> = (0..10)
        .map(|n| ev.timer(secs(9), ZERO, count.ups()).set_priority(&mut ev, n % 5 - 2))
        .collect();
    steady(&mut ev, |ev| {
        for timer in &fed {
            timer.feed(ev, Events::CUSTOM);
        }
        fed[0].feed_later(ev, Events::CUSTOM);
        ev.run_mode(Run::NoWait).unwrap();
    });
}

#[test]
fn a_watcher_that_feeds_itself_allocates_nothing() {
    let mut ev = ev();
    let left = Rc::new(Cell::new(0));
    let mine = Rc::clone(&left);
    let timer = ev.timer(secs(9), ZERO, move |ev, e| {
        if mine.replace(mine.get() - 1) > 0 {
            e.watcher.feed(ev, Events::CUSTOM);
        }
    });
    steady(&mut ev, |ev| {
        left.set(10);
        timer.feed(ev, Events::CUSTOM);
        ev.run_mode(Run::NoWait).unwrap();
    });
}
