// Steady states with descriptors.

use crate::sockets::*;
use crate::{WARM_UP, allocations};

/// Warms the loop up, then asserts that a thousand turns allocate nothing.
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

fn turn(ev: &mut EvLoop) {
    ev.run_mode(Run::NoWait).unwrap();
}

#[test]
fn the_counter_counts() {
    assert!(allocations(|| drop(std::hint::black_box(Box::new(1)))) >= 1);
}

#[test]
fn an_io_event_allocates_nothing() {
    for make in [ev as fn() -> EvLoop, live_ev] {
        both_ways(make, |ev| {
            let pairs: Vec<_> = (0..10).map(|_| ready_pair()).collect();
            for (near, _) in &pairs {
                let io = ev.io(Rc::clone(near), Interest::READ, |_, e| {
                    let _ = std::hint::black_box(e.ready);
                });
                io.start(ev).unwrap();
            }
            steady(ev, turn);
        });
    }
}

#[test]
fn a_token_passed_around_with_a_time_out_armed_anew_per_event_allocates_nothing() {
    for make in [ev as fn() -> EvLoop, live_ev] {
        both_ways(make, |ev| {
            let pairs: Vec<_> = (0..10).map(|_| shared_pair()).collect();
            let fars: Rc<Vec<_>> =
                Rc::new(pairs.iter().map(|(_, far)| far.try_clone().unwrap()).collect());
            for (i, (near, _)) in pairs.iter().enumerate() {
                let limit = ev.timer(secs(60), secs(60), nothing);
                limit.start(ev);
                let fars = Rc::clone(&fars);
                let io = ev.io(Rc::clone(near), Interest::READ, move |ev, e| {
                    drain(e.source);
                    limit.again(ev);
                    put(&fars[(i + 3) % fars.len()]);
                });
                io.start(ev).unwrap();
            }
            put(&fars[0]);
            put(&fars[5]);
            steady(ev, turn);
        });
    }
}

#[test]
fn stopping_starting_and_changing_interest_allocates_nothing() {
    let mut ev = ev();
    let (near, _far) = ready_pair();
    let io = ev.io(near, Interest::READ, quiet);
    io.start(&mut ev).unwrap();
    steady(&mut ev, |ev| {
        io.stop(ev);
        turn(ev);
        io.start(ev).unwrap();
        turn(ev);
        io.set_interest(ev, Interest::READ | Interest::WRITE).unwrap();
        turn(ev);
        io.set_interest(ev, Interest::READ).unwrap();
        turn(ev);
    });
}

#[test]
fn a_regular_file_allocates_nothing() {
    let mut ev = ev();
    let file = std::fs::File::open(std::env::current_exe().unwrap()).unwrap();
    ev.io(file, Interest::READ, quiet).start(&mut ev).unwrap();
    steady(&mut ev, turn);
}

#[test]
fn a_nested_run_in_an_io_callback_allocates_nothing() {
    let mut ev = ev();
    let (near, _far) = ready_pair();
    ev.io(near, Interest::READ, |ev, _| turn(ev)).start(&mut ev).unwrap();
    steady(&mut ev, turn);
}

#[test]
fn a_notification_allocates_nothing() {
    let mut ev = live_ev();
    let count = Count::new();
    let (inbox, notifier) = ev.notifier(count.ups());
    inbox.start(&mut ev);
    steady(&mut ev, |ev| {
        assert!(notifier.notify());
        turn(ev);
    });
    assert_eq!(count.get(), WARM_UP + 1000);
}
