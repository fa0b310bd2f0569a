// The run, its idle watchers and timers, `once`, and notifiers: loop.md 1.4, 1.10, 2.1, 2.4, 3.2.

use crate::sockets::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;

#[test]
fn a_run_inside_an_idle_watcher_invoked_outside_any_run_sleeps() {
    let (mut ev, clock) = ev_with_clock();
    let waits = Count::new();
    // On this clock a loop that does not sleep never sees its timer: it must not spin for ever.
    ev.on_wait(move || assert!(waits.up() <= 3, "it spins"), || {});
    let idle = ev.idle(move |ev, _| {
        assert_eq!(ev.depth(), 0);
        ev.after(secs(1), |ev| ev.break_loop(Break::All));
        ev.run().unwrap();
    });
    idle.start(&mut ev);
    assert!(idle.invoke(&mut ev, Events::IDLE));
    assert_eq!(clock.elapsed(), secs(1));
    ev.verify();
}

#[test]
fn once_comes_back_although_an_idle_watcher_pumps_the_loop() {
    let mut ev = ev();
    let (calls, log) = (Count::new(), Log::new());
    let up = calls.clone();
    ev.idle(move |ev, _| {
        assert!(up.up() <= 100, "called over and over in one iteration");
        ev.run_mode(Run::NoWait).unwrap();
    })
    .start(&mut ev);
    ev.check(log.says("check")).start(&mut ev);
    let says = log.clone();
    ev.defer(move |_| says.push("deferred"));
    assert!(ev.run_mode(Run::Once).unwrap());
    assert_eq!(calls.get(), 1);
    assert!(log.take().contains(&"deferred"));
    ev.verify();
}

#[test]
fn a_run_whose_idle_watcher_pumps_the_loop_can_be_broken() {
    let mut ev = ev();
    let calls = Count::new();
    let up = calls.clone();
    ev.idle(move |ev, _| {
        let call = up.up();
        assert!(call <= 100, "the break is lost");
        if call == 3 {
            // Of a lower priority, so that it does not lock the idle watcher out.
            let breaker = ev.after(ZERO, |ev| {
                assert_eq!(ev.depth(), 2);
                ev.break_loop(Break::All);
            });
            breaker.set_priority(ev, -1);
        }
        ev.run_mode(Run::NoWait).unwrap();
    })
    .start(&mut ev);
    assert!(ev.run().unwrap());
    assert_eq!(calls.get(), 3);
}

#[test]
fn two_idle_watchers_that_pump_the_loop_still_give_it_back() {
    let mut ev = ev();
    let log = Log::new();
    for name in ["a", "b"] {
        let says = log.clone();
        ev.idle(move |ev, _| {
            says.push(name);
            assert!(says.len() <= 100, "called over and over in one iteration");
            ev.run_mode(Run::NoWait).unwrap();
        })
        .start(&mut ev);
    }
    assert!(ev.run_mode(Run::Once).unwrap());
    let log = log.take();
    assert!(log.contains(&"a") && log.contains(&"b"), "{log:?}");
    ev.verify();
}

#[test]
fn once_waits_on_past_the_early_heap_entry_of_a_timer_that_was_pushed_back() {
    let (mut ev, clock) = ev_with_clock();
    let count = Count::new();
    let timer = ev.timer(ms(10), ms(10), count.ups()).start(&mut ev);
    clock.advance(ms(5));
    timer.set_repeat(&mut ev, ms(30)).again(&mut ev);
    clock.advance(ms(8));
    // 13 ms: the old deadline has passed, the true one is 35 ms.
    assert!(ev.run_mode(Run::Once).unwrap());
    assert_eq!((count.get(), clock.elapsed()), (1, ms(35)));
}

#[test]
fn turn_waits_no_longer_than_its_limit_whatever_the_collect_interval_of_timers() {
    let clock = MockClock::new();
    let mut ev = builder().timer_collect(ms(200)).mock_clock(&clock).build().unwrap();
    let count = Count::new();
    ev.timer(ms(100), ZERO, count.ups()).start(&mut ev);
    ev.turn(Some(ms(5))).unwrap();
    assert_eq!((count.get(), clock.elapsed()), (0, ms(5)));
    ev.turn(None).unwrap();
    assert_eq!((count.get(), clock.elapsed()), (1, ms(205)), "the timer itself waits for company");
}

#[test]
fn once_that_was_stopped_is_not_called_with_its_time_out() {
    let (mut ev, clock) = ev_with_clock();
    let (near, _far) = pair();
    let f = |_: &mut EvLoop, _, _| panic!("called after stop");
    let key = ev.once(near, Interest::READ, Some(ms(5)), f).unwrap();
    assert!(key.stop(&mut ev));
    ev.after(ms(20), |_| {});
    ev.run().unwrap();
    assert_eq!(clock.elapsed(), ms(20));
    ev.verify();
}

#[test]
fn a_notifier_that_says_true_while_its_watcher_is_being_started_is_heard() {
    const ROUNDS: usize = 20_000;
    let _dog = Watchdog::new(secs(120));
    let mut ev = live_ev();
    let count = Count::new();
    let (watcher, notifier) = ev.notifier(count.ups());
    // Each waits asleep for the other: who only lets others run before it has its turn after all of them, and where
    // there are many, thousands of times for milliseconds.
    let (is_ready, ready) = mpsc::channel();
    let (is_answered, answered) = mpsc::channel();
    let (is_over, over) = mpsc::channel();
    let caller = {
        std::thread::spawn(move || {
            for _ in 0..ROUNDS {
                is_ready.send(()).unwrap();
                // From before the start until it is told that it will be heard.
                let mut tries = 0;
                while !notifier.notify() {
                    tries += 1;
                    if tries % 1000 == 0 {
                        // The loop may need this processor to get there.
                        std::thread::yield_now();
                    }
                }
                is_answered.send(()).unwrap();
                over.recv().unwrap();
            }
        })
    };
    for round in 1..=ROUNDS {
        ready.recv().unwrap();
        watcher.start(&mut ev);
        answered.recv().unwrap();
        ev.run_mode(Run::NoWait).unwrap();
        watcher.stop(&mut ev);
        assert_eq!(count.get(), round, "told that it would be heard, and was not");
        is_over.send(()).unwrap();
    }
    caller.join().unwrap();
}

/// Notifies when it is dropped, and keeps the answer.
struct Parting(Notifier, Arc<AtomicBool>);

impl Drop for Parting {
    fn drop(&mut self) {
        self.1.store(self.0.notify(), Ordering::Release);
    }
}

/// Two started notifiers; the closure of one, or a posted one, notifies the other when the loop
/// drops it. What that said.
fn said_at_the_end(posted: bool) -> bool {
    // If the closure is not dropped at all, that shows as well.
    let said = Arc::new(AtomicBool::new(true));
    let mut ev = ev();
    let parting = Rc::new(RefCell::new(None::<Parting>));
    let kept = Rc::clone(&parting);
    let (first, _) = ev.notifier(move |_, _| assert!(kept.borrow().is_some()));
    first.start(&mut ev);
    let (other, notifier) = ev.notifier(nothing);
    other.start(&mut ev);
    assert!(notifier.notify(), "it is started");
    let last = Parting(notifier, Arc::clone(&said));
    if posted {
        ev.remote().post(move |_| drop(last));
    } else {
        *parting.borrow_mut() = Some(last);
    }
    drop(parting);
    drop(ev);
    said.load(Ordering::Acquire)
}

#[test]
fn notify_says_false_to_the_closures_that_a_dropped_loop_drops() {
    assert!(!said_at_the_end(false));
}

#[test]
fn notify_says_false_to_the_posted_closures_that_a_dropped_loop_drops() {
    assert!(!said_at_the_end(true));
}

/// The shortest of ten self-checks of a loop with `n` watchers: io on one descriptor, and timers.
fn time_to_verify(n: usize) -> Duration {
    let mut ev = ev();
    let (near, _far) = shared_pair();
    for _ in 0..n {
        ev.io(Rc::clone(&near), Interest::READ, quiet).start(&mut ev).unwrap();
        anchor(&mut ev);
    }
    let once = |_| {
        let start = Instant::now();
        ev.verify();
        start.elapsed()
    };
    (0..10).map(once).min().unwrap()
}

#[test]
fn verify_takes_time_linear_in_the_watchers() {
    // Sixteen times the watchers: 16 if linear, 256 if quadratic.
    let (few, many) = (time_to_verify(125), time_to_verify(2000));
    assert!(many < few * 64, "{few:?} for 125, {many:?} for 2000");
}

#[test]
fn verify_accepts_the_descriptors_that_the_loop_watches_for_itself() {
    let mut ev = live_ev();
    // The clock's timer, and a process descriptor.
    ev.periodic(Schedule::every(secs(3600)), nothing).start(&mut ev);
    ev.verify();
    let process = std::process::Command::new("true").spawn().unwrap();
    let child = ev.child(process, |_, _| ()).start(&mut ev).unwrap();
    ev.verify();
    while child.is_active(&ev) {
        ev.run_mode(Run::Once).unwrap();
        ev.verify();
    }
}
