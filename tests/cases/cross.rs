// Cases with more than one thread, on the real clock.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, mpsc};
use std::thread;

/// Fails a case that hangs.
fn watchdog() -> Watchdog {
    Watchdog::new(secs(120))
}

/// A notifier that is started and never sent: something to wait for.
fn hold(ev: &mut EvLoop) -> Async {
    let (watcher, _) = ev.notifier(nothing);
    watcher.start(ev)
}

#[test]
fn a_post_ends_the_wait_and_runs_on_the_loops_thread() {
    let _dog = watchdog();
    let mut ev = live_ev();
    hold(&mut ev);
    let (home, remote) = (thread::current().id(), ev.remote());
    let poster = thread::spawn(move || {
        assert!(remote.post(move |ev| {
            assert_eq!(thread::current().id(), home);
            ev.break_loop(Break::All);
        }));
    });
    assert!(ev.run().unwrap());
    poster.join().unwrap();
}

#[test]
fn a_break_ends_the_wait() {
    let _dog = watchdog();
    for how in [Break::One, Break::All] {
        let mut ev = live_ev();
        hold(&mut ev);
        let remote = ev.remote();
        let breaker = thread::spawn(move || assert!(remote.break_loop(how)));
        assert!(ev.run().unwrap());
        breaker.join().unwrap();
    }
}

#[test]
fn a_break_sent_just_before_run_is_not_lost() {
    let _dog = watchdog();
    let mut ev = live_ev();
    hold(&mut ev);
    for _ in 0..200 {
        let remote = ev.remote();
        // No order is imposed: the break may come before, at the start of, or inside the run.
        let breaker = thread::spawn(move || assert!(remote.break_loop(Break::All)));
        assert!(ev.run().unwrap());
        breaker.join().unwrap();
    }
}

#[test]
fn a_wake_makes_the_loop_go_round() {
    let _dog = watchdog();
    let mut ev = live_ev();
    hold(&mut ev);
    let (remote, (round, rounds)) = (ev.remote(), mpsc::channel());
    let checks = Count::new();
    ev.check(move |ev, _| {
        let _ = round.send(());
        if checks.up() == 5 {
            ev.break_loop(Break::All);
        }
    })
    .start(&mut ev);
    let waker = thread::spawn(move || {
        // One wake, one more round: a lost wake would block here for ever.
        while remote.wake() && rounds.recv().is_ok() {}
    });
    assert!(ev.run().unwrap());
    drop(ev);
    waker.join().unwrap();
}

#[test]
fn every_post_of_many_threads_runs_exactly_once_and_in_the_order_of_its_thread() {
    const THREADS: usize = 8;
    const POSTS: usize = 500;
    let _dog = watchdog();
    let mut ev = live_ev();
    hold(&mut ev);
    let start = Arc::new(Barrier::new(THREADS));
    let posters: Vec<_> = (0..THREADS)
        .map(|id| {
            let (remote, start) = (ev.remote(), Arc::clone(&start));
            thread::spawn(move || {
                start.wait();
                for n in 0..POSTS {
                    assert!(remote.post(move |ev| {
                        let seen = ev.local::<RefCell<[usize; THREADS]>>();
                        let next = &mut seen.borrow_mut()[id];
                        assert_eq!(*next, n, "of thread {id}");
                        *next += 1;
                        let all = ev.local::<Cell<usize>>();
                        all.set(all.get() + 1);
                        if all.get() == THREADS * POSTS {
                            ev.break_loop(Break::All);
                        }
                    }));
                }
            })
        })
        .collect();
    assert!(ev.run().unwrap());
    for poster in posters {
        poster.join().unwrap();
    }
    assert_eq!(*ev.local::<RefCell<[usize; THREADS]>>().borrow(), [POSTS; THREADS]);
}

#[test]
fn a_thread_that_posts_for_ever_does_not_keep_timers_from_firing() {
    let _dog = watchdog();
    let mut ev = live_ev();
    let stop = Arc::new(AtomicBool::new(false));
    let (remote, over) = (ev.remote(), Arc::clone(&stop));
    let poster =
        thread::spawn(move || while !over.load(Ordering::Relaxed) && remote.post(|_| ()) {});
    let ticks = Count::new();
    ev.timer(ms(1), ms(1), move |ev, _| {
        if ticks.up() == 10 {
            ev.break_loop(Break::All);
        }
    })
    .start(&mut ev);
    assert!(ev.run().unwrap());
    stop.store(true, Ordering::Relaxed);
    poster.join().unwrap();
}

#[test]
fn a_thread_that_notifies_for_ever_does_not_keep_timers_from_firing() {
    let _dog = watchdog();
    let mut ev = live_ev();
    let calls = Count::new();
    let (watcher, notifier) = ev.notifier(calls.ups());
    watcher.start(&mut ev);
    let stop = Arc::new(AtomicBool::new(false));
    let over = Arc::clone(&stop);
    let sender = thread::spawn(move || while !over.load(Ordering::Relaxed) && notifier.notify() {});
    let ticks = Count::new();
    ev.timer(ms(1), ms(1), move |ev, _| {
        if ticks.up() == 10 {
            ev.break_loop(Break::All);
        }
    })
    .start(&mut ev);
    assert!(ev.run().unwrap());
    stop.store(true, Ordering::Relaxed);
    sender.join().unwrap();
    assert!(calls.get() > 0);
}

#[test]
fn after_every_notification_there_is_a_callback() {
    let _dog = watchdog();
    let mut ev = live_ev();
    const SENDS: usize = 2000;
    // The other side sends the next only when the last was told: nothing coalesces.
    let (tell, told) = mpsc::channel();
    let calls = Count::new();
    let count = calls.clone();
    let (watcher, notifier) = ev.notifier(move |ev, e| {
        tell.send(()).unwrap();
        if count.up() == SENDS {
            e.watcher.stop(ev);
        }
    });
    watcher.start(&mut ev);
    let sender = thread::spawn(move || {
        for _ in 0..SENDS {
            assert!(notifier.notify());
            told.recv().unwrap();
        }
    });
    assert!(!ev.run().unwrap());
    sender.join().unwrap();
    assert_eq!(calls.get(), SENDS);
}

#[test]
fn unpaced_notifications_coalesce_and_the_last_one_is_seen() {
    let _dog = watchdog();
    const THREADS: usize = 4;
    const SENDS: usize = 2000;
    let mut ev = live_ev();
    let sent = Arc::new(AtomicUsize::new(0));
    let calls = Count::new();
    let (count, total) = (calls.clone(), Arc::clone(&sent));
    let (watcher, notifier) = ev.notifier(move |ev, e| {
        count.up();
        // A send that follows the flag's taking yields another callback, so the last is seen.
        if total.load(Ordering::SeqCst) == THREADS * SENDS {
            e.watcher.stop(ev);
        }
    });
    watcher.start(&mut ev);
    let senders: Vec<_> = (0..THREADS)
        .map(|_| {
            let (notifier, sent) = (notifier.clone(), Arc::clone(&sent));
            thread::spawn(move || {
                for _ in 0..SENDS {
                    sent.fetch_add(1, Ordering::SeqCst);
                    notifier.notify();
                }
            })
        })
        .collect();
    assert!(!ev.run().unwrap());
    for sender in senders {
        sender.join().unwrap();
    }
    assert!((1..=THREADS * SENDS).contains(&calls.get()));
}

#[test]
fn a_notification_during_a_long_callback_is_not_lost() {
    let _dog = watchdog();
    let mut ev = live_ev();
    let log = Log::new();
    let (watcher, notifier) = ev.notifier(nothing);
    let seen = log.clone();
    watcher.set_callback(&mut ev, move |ev, e| {
        seen.push("async");
        e.watcher.stop(ev);
    });
    watcher.start(&mut ev);
    let seen = log.clone();
    ev.timer(ZERO, ZERO, move |_, _| {
        let notifier = notifier.clone();
        thread::spawn(move || assert!(notifier.notify())).join().unwrap();
        seen.push("timer");
    })
    .start(&mut ev);
    assert!(!ev.run().unwrap());
    assert_eq!(log.take(), ["timer", "async"]);
}

#[test]
fn a_channel_carries_everything_from_many_threads_in_their_order() {
    let _dog = watchdog();
    const THREADS: usize = 4;
    const MESSAGES: usize = 2000;
    let mut ev = live_ev();
    let seen = Rc::new(RefCell::new([0; THREADS]));
    let next = Rc::clone(&seen);
    let (watcher, sender) = ev.channel(16, move |_, (id, n): (usize, usize)| {
        let next = &mut next.borrow_mut()[id];
        assert_eq!(*next, n, "of thread {id}");
        *next += 1;
    });
    watcher.start(&mut ev);
    let senders: Vec<_> = (0..THREADS)
        .map(|id| {
            let sender = sender.clone();
            thread::spawn(move || {
                for n in 0..MESSAGES {
                    let mut message = (id, n);
                    while let Err(refused) = sender.send(message) {
                        assert!(matches!(refused, SendError::Full(_)));
                        message = refused.into_inner();
                        thread::yield_now();
                    }
                }
            })
        })
        .collect();
    drop(sender);
    assert!(!ev.run().unwrap(), "ends by itself when the last sender is gone");
    for sender in senders {
        sender.join().unwrap();
    }
    assert_eq!(*seen.borrow(), [MESSAGES; THREADS]);
}

#[test]
fn the_last_sender_dropped_by_another_thread_ends_the_wait() {
    let _dog = watchdog();
    let mut ev = live_ev();
    let (watcher, sender) = ev.channel(1, |_, _: u8| ());
    watcher.start(&mut ev);
    let (waiting, waits) = mpsc::channel();
    ev.on_wait(move || _ = waiting.send(()), || ());
    let dropper = thread::spawn(move || {
        waits.recv().unwrap();
        drop(sender);
    });
    assert!(!ev.run().unwrap());
    dropper.join().unwrap();
}

#[test]
fn handles_used_while_the_loop_is_dropped_say_sooner_or_later_that_it_is_gone() {
    let _dog = watchdog();
    for _ in 0..50 {
        let mut ev = live_ev();
        let (watcher, notifier) = ev.notifier(nothing);
        let (channel, sender) = ev.channel(4, |_, _: usize| ());
        watcher.start(&mut ev);
        channel.start(&mut ev);
        let (remote, ready) = (ev.remote(), Arc::new(Barrier::new(4)));
        let users = [
            thread::spawn({
                let (remote, ready) = (remote.clone(), Arc::clone(&ready));
                move || {
                    ready.wait();
                    while remote.post(|_| ()) {}
                    assert!(!remote.wake());
                }
            }),
            thread::spawn({
                let ready = Arc::clone(&ready);
                move || {
                    ready.wait();
                    while notifier.notify() {}
                }
            }),
            thread::spawn({
                let ready = Arc::clone(&ready);
                move || {
                    ready.wait();
                    while !matches!(sender.send(1), Err(SendError::Closed(_))) {}
                }
            }),
        ];
        ready.wait();
        ev.run_mode(Run::NoWait).unwrap();
        drop(ev);
        for user in users {
            user.join().unwrap();
        }
        assert!(!remote.post(|_| ()));
    }
}

#[test]
fn two_loops_in_two_threads_wake_each_other() {
    let _dog = watchdog();
    const ROUNDS: usize = 2000;
    /// A loop that answers each notification with one to the other side.
    fn player(give: mpsc::Sender<Notifier>, take: mpsc::Receiver<Notifier>, serves: bool) -> usize {
        let mut ev = live_ev();
        let calls = Count::new();
        let (watcher, mine) = ev.notifier(nothing);
        watcher.start(&mut ev);
        give.send(mine).unwrap();
        let other = take.recv().unwrap();
        let (count, back) = (calls.clone(), other.clone());
        watcher.set_callback(&mut ev, move |ev, e| {
            if count.up() == ROUNDS {
                e.watcher.stop(ev);
            }
            back.notify(); // The last one may find the other side stopped.
        });
        if serves {
            assert!(other.notify());
        }
        assert!(!ev.run().unwrap());
        calls.get()
    }
    let ((to_b, from_a), (to_a, from_b)) = (mpsc::channel(), mpsc::channel());
    let a = thread::spawn(move || player(to_b, from_b, true));
    let b = thread::spawn(move || player(to_a, from_a, false));
    assert_eq!((a.join().unwrap(), b.join().unwrap()), (ROUNDS, ROUNDS));
}

#[test]
fn a_waiting_loop_uses_no_processor_time() {
    let _dog = watchdog();
    let mut ev = live_ev();
    let (watcher, _notifier) = ev.notifier(nothing);
    watcher.start(&mut ev);
    ev.timer(ms(300), ZERO, |ev, _| ev.break_loop(Break::All)).start(&mut ev);
    let before = processor_time();
    assert!(ev.run().unwrap());
    let used = processor_time() - before;
    assert!(used < ms(100), "{used:?} of 300 ms");
    assert!(ev.iteration() <= 3, "{} iterations", ev.iteration());
}

#[test]
fn a_wait_of_many_days_is_neither_refused_nor_endless_nor_spun() {
    let _dog = watchdog();
    for days in [24, 25, 50, 40_000, 100_000_000_000] {
        let mut ev = live_ev();
        ev.timer(secs(days * 86_400), ZERO, nothing).start(&mut ev);
        let (waiting, waits) = mpsc::channel();
        ev.on_wait(move || _ = waiting.send(()), || ());
        let remote = ev.remote();
        let breaker = thread::spawn(move || {
            waits.recv().unwrap();
            assert!(remote.break_loop(Break::All));
        });
        assert!(ev.run().unwrap(), "{days} days");
        breaker.join().unwrap();
        assert!(ev.iteration() <= 2, "{days} days: {} iterations", ev.iteration());
    }
}

/// What this thread has spent on a processor.
fn processor_time() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
}
