// Looking at intervals, where nobody hints: loop.md 3.6, 1.4 (step 14). The clock is a mock, so what is
// due when is exact, and waiting takes no time.

use std::fs;

/// The interval of those that were given none: libev's, odd fraction included.
const DEFAULT: Duration = Duration::from_nanos(5_007_489_100);

/// A watcher with this interval that writes down when it was told.
fn watch_each(
    ev: &mut EvLoop,
    clock: &MockClock,
    path: &std::path::Path,
    interval: Duration,
) -> (Stat, Log<Duration>) {
    let log = Log::new();
    let (seen, clock) = (log.clone(), clock.clone());
    let watcher = ev.stat(path, interval, move |_, _| seen.push(clock.elapsed()));
    assert_eq!(watcher.interval(ev), interval.min(Duration::from_nanos(u64::MAX)));
    (watcher.start(ev).unwrap(), log)
}

#[test]
fn intervals_are_kept_and_have_a_default_and_a_minimum() {
    let scratch = Scratch::new();
    let path = scratch.file("file", "");
    for (interval, real) in [
        (ZERO, DEFAULT),
        (Duration::from_nanos(1), ms(100)),
        (ms(99), ms(100)),
        (ms(100), ms(100)),
        (us(100_001), us(100_001)),
        (secs(1), secs(1)),
        (secs(86_400 * 365 * 100), secs(86_400 * 365 * 100)),
    ] {
        let (mut ev, clock) = ev_with_clock();
        let (watcher, log) = watch_each(&mut ev, &clock, &path, interval);
        append(&path, "x");
        assert!(ev.next_deadline().is_some_and(|due| due == ev.now() + real));
        ev.run_mode(Run::Once).unwrap();
        assert_eq!(log.take(), [real], "{interval:?}");
        append(&path, "x");
        ev.run_mode(Run::Once).unwrap();
        assert_eq!(log.take(), [2 * real], "{interval:?}: the second look");
        assert_eq!(watcher.interval(&ev), interval, "as it was asked for");
        assert!(!watcher.is_hinted(&ev));
    }
}

#[test]
fn an_interval_of_centuries_is_never_due_and_does_not_overflow() {
    let scratch = Scratch::new();
    let path = scratch.file("file", "");
    let (mut ev, clock) = ev_with_clock();
    let logs = [Duration::MAX, secs(u64::MAX), Duration::from_nanos(u64::MAX)]
        .map(|interval| watch_each(&mut ev, &clock, &path, interval).1);
    append(&path, "x");
    assert_eq!(ev.next_deadline(), None);
    ev.after(secs(1_000_000_000), |ev| ev.break_loop(Break::All));
    assert!(ev.run().unwrap());
    ev.verify();
    assert!(logs.iter().all(|log| log.len() == 0));
    assert_eq!(ev.iteration(), 1, "nor does anybody look in between");
}

#[test]
fn a_change_is_found_by_the_next_look() {
    let scratch = Scratch::new();
    let path = scratch.file("file", "");
    let (mut ev, clock) = ev_with_clock();
    let (_, log) = watch_each(&mut ev, &clock, &path, secs(1));
    for millis in [300, 2999, 3000, 4001] {
        let file = path.clone();
        ev.after(ms(millis), move |_| append(&file, "x"));
    }
    ev.after(secs(10), |ev| ev.break_loop(Break::All));
    ev.run().unwrap();
    // Looks come before timers, so what a timer changes at the same moment is for the next look.
    assert_eq!(log.take(), [secs(1), secs(3), secs(4), secs(5)]);
}

#[test]
fn set_interval_counts_from_now() {
    let scratch = Scratch::new();
    let path = scratch.file("file", "");
    let (mut ev, clock) = ev_with_clock();
    let (watcher, log) = watch_each(&mut ev, &clock, &path, secs(10));
    append(&path, "x");
    ev.after(secs(4), move |ev| {
        assert_eq!(watcher.set_interval(ev, secs(3)).interval(ev), secs(3));
        ev.verify();
    });
    run_until(&mut ev, |_| log.len() > 0);
    append(&path, "x");
    run_until(&mut ev, |_| log.len() > 1);
    assert_eq!(log.take(), [secs(7), secs(10)]);
    // While it is stopped it is only noted.
    watcher.stop(&mut ev);
    watcher.set_interval(&mut ev, secs(2));
    assert_eq!((ev.next_deadline(), watcher.is_active(&ev)), (None, false));
    watcher.start(&mut ev).unwrap();
    append(&path, "x");
    run_until(&mut ev, |_| log.len() > 0);
    assert_eq!(log.take(), [secs(12)]);
    watcher.set_interval(&mut ev, ZERO);
    append(&path, "x");
    run_until(&mut ev, |_| log.len() > 0);
    assert_eq!(log.take(), [secs(12) + DEFAULT]);
    watcher.free(&mut ev);
    assert_eq!(watcher.set_interval(&mut ev, secs(1)).interval(&ev), ZERO);
    ev.verify();
}

#[test]
fn set_interval_from_its_own_callback_counts_from_there() {
    let scratch = Scratch::new();
    let path = scratch.file("file", "");
    let (mut ev, clock) = ev_with_clock();
    let log = Log::new();
    let (seen, time, file) = (log.clone(), clock.clone(), path.clone());
    ev.stat(&path, secs(1), move |ev, e| {
        seen.push(time.elapsed());
        append(&file, "x");
        e.watcher.set_interval(ev, secs(10 * seen.len() as u64));
    })
    .start(&mut ev)
    .unwrap();
    append(&path, "x");
    ev.after(secs(32), |ev| ev.break_loop(Break::All));
    ev.run().unwrap();
    assert_eq!(log.take(), [secs(1), secs(11), secs(31)]);
}

#[test]
fn a_loop_that_is_late_looks_once_and_counts_from_then() {
    let scratch = Scratch::new();
    let path = scratch.file("file", "");
    let (mut ev, clock) = ev_with_clock();
    let (_, log) = watch_each(&mut ev, &clock, &path, secs(1));
    append(&path, "x");
    clock.advance(ms(5500));
    ev.run_mode(Run::NoWait).unwrap();
    assert_eq!(log.take(), [ms(5500)], "what was missed is not made up for");
    append(&path, "x");
    ev.run_mode(Run::Once).unwrap();
    assert_eq!(log.take(), [ms(6500)]);
}

#[test]
fn no_wait_looks_only_at_what_is_due() {
    let scratch = Scratch::new();
    let path = scratch.file("file", "");
    let (mut ev, clock) = ev_with_clock();
    let (_, log) = watch_each(&mut ev, &clock, &path, secs(1));
    append(&path, "x");
    ev.run_mode(Run::NoWait).unwrap();
    clock.advance(secs(1) - Duration::from_nanos(1));
    ev.run_mode(Run::NoWait).unwrap();
    assert_eq!(log.len(), 0, "not early by a nanosecond");
    clock.advance(Duration::from_nanos(1));
    ev.run_mode(Run::NoWait).unwrap();
    assert_eq!(log.len(), 1);
}

#[test]
fn looks_that_find_nothing_keep_no_run_once_from_waiting() {
    let scratch = Scratch::new();
    let path = scratch.file("file", "");
    let (mut ev, clock) = ev_with_clock();
    let (watcher, log) = watch_each(&mut ev, &clock, &path, ms(100));
    let waits = Count::new();
    let count = waits.clone();
    let file = path.clone();
    let change = move || {
        // A change that no event of the loop brings.
        if count.up() == 25 {
            append(&file, "x");
        }
    };
    ev.on_wait(change, || ());
    assert!(ev.run_mode(Run::Once).unwrap());
    assert_eq!((log.take(), ev.iteration()), (vec![ms(2500)], 1));
    // A limit ends it, too.
    assert!(ev.turn(Some(ms(350))).unwrap());
    assert_eq!((clock.elapsed(), log.len()), (ms(2850), 0));
    // And a stopped watcher is not looked after.
    watcher.stop(&mut ev);
    assert!(!ev.turn(Some(secs(1))).unwrap());
    assert_eq!(clock.elapsed(), ms(2850));
}

#[test]
fn what_is_found_is_told_after_asyncs_and_before_periodics_and_timers() {
    let scratch = Scratch::new();
    let path = scratch.file("file", "");
    let (mut ev, clock) = ev_with_clock();
    let log = Log::new();
    let (near, far) = std::os::unix::net::UnixStream::pair().unwrap();
    drop(far);
    // The other way round than they are told.
    ev.io(near, Interest::READ, {
        let log = log.clone();
        move |ev, e| {
            log.push("io");
            e.watcher.stop(ev);
        }
    })
    .start(&mut ev)
    .unwrap();
    ev.timer(ms(100), ZERO, log.says("timer")).start(&mut ev);
    let at = clock.wall() + ms(100);
    ev.periodic(Schedule::at(at), log.says("periodic")).start(&mut ev);
    ev.stat(&path, ms(100), names(&log, "stat")).start(&mut ev).unwrap();
    let (watcher, notifier) = ev.notifier(log.says("async"));
    watcher.start(&mut ev);
    ev.check(log.says("check")).start(&mut ev);
    let later = ev.timer(ZERO, ZERO, log.says("later"));
    later.feed_later(&mut ev, Events::CUSTOM);

    append(&path, "x");
    clock.advance(ms(100));
    assert!(notifier.notify());
    ev.run_mode(Run::NoWait).unwrap();
    assert_eq!(log.take(), ["check", "async", "stat", "periodic", "timer", "io", "later"]);
}

#[test]
fn those_due_first_are_told_first() {
    let scratch = Scratch::new();
    let path = scratch.file("file", "");
    let (mut ev, clock) = ev_with_clock();
    let log = Log::new();
    for (millis, name) in [(300, "third"), (100, "first"), (200, "second"), (300, "fourth")] {
        ev.stat(&path, ms(millis), names(&log, name)).start(&mut ev).unwrap();
    }
    append(&path, "x");
    clock.advance(secs(1));
    ev.run_mode(Run::NoWait).unwrap();
    assert_eq!(log.take(), ["first", "second", "third", "fourth"]);
}

#[test]
fn a_thousand_that_are_due_at_once_are_each_looked_at_once() {
    let scratch = Scratch::new();
    let (mut ev, clock) = ev_with_clock();
    let paths: Vec<_> = (0..1000).map(|n| scratch.file(&n.to_string(), "")).collect();
    let log = Log::<usize>::new();
    let watchers: Vec<_> = paths
        .iter()
        .enumerate()
        .map(|(n, path)| {
            let seen = log.clone();
            let watcher = ev.stat(path, secs(1), move |_, e| {
                assert_eq!((e.prev.size, e.attr.size), (0, 1));
                seen.push(n);
            });
            watcher.start(&mut ev).unwrap()
        })
        .collect();
    // Every third is changed, every fifth stopped.
    for path in paths.iter().step_by(3) {
        append(path, "x");
    }
    for watcher in watchers.iter().step_by(5) {
        watcher.stop(&mut ev);
    }
    ev.verify();
    clock.advance(secs(1));
    ev.run_mode(Run::NoWait).unwrap();
    ev.verify();
    let expected: Vec<_> = (0..1000).filter(|n| n % 3 == 0 && n % 5 != 0).collect();
    assert_eq!(log.take(), expected, "in the order of their starts");
    ev.turn(Some(secs(3))).unwrap();
    assert_eq!((log.len(), clock.elapsed()), (0, secs(4)));
    for watcher in watchers {
        watcher.free(&mut ev);
    }
    assert_eq!(ev.next_deadline(), None);
}

#[test]
fn a_look_that_became_due_while_suspended_is_made_once_after_resume() {
    let scratch = Scratch::new();
    let path = scratch.file("file", "");
    let (mut ev, clock) = ev_with_clock();
    let (_, log) = watch_each(&mut ev, &clock, &path, secs(10));
    clock.advance(secs(1));
    ev.suspend();
    clock.advance(secs(100));
    append(&path, "x");
    ev.resume();
    ev.verify();
    ev.run_mode(Run::NoWait).unwrap();
    assert_eq!(log.take(), [secs(101)], "only timers are moved");
    append(&path, "x");
    ev.run_mode(Run::Once).unwrap();
    assert_eq!(log.take(), [secs(111)]);
}

#[test]
fn a_number_of_hard_links_is_an_attribute() {
    let scratch = Scratch::new();
    let (path, second) = (scratch.file("file", ""), scratch.dir("other").join("second"));
    let (mut ev, _) = ev_with_clock();
    let (_, told) = watch(&mut ev, &path);
    fs::hard_link(&path, &second).unwrap();
    let (prev, attr) = next(&mut ev, &told);
    assert_eq!((prev.nlink, attr.nlink), (1, 2));
    append(&second, "x");
    assert_eq!(next(&mut ev, &told).1.size, 1, "by whatever name it is written");
    fs::remove_file(&second).unwrap();
    assert_eq!(next(&mut ev, &told).1.nlink, 1);
}

#[test]
fn a_parent_that_is_a_link_is_followed_where_it_leads() {
    let scratch = Scratch::new();
    scratch.dir("one");
    scratch.dir("two");
    scratch.file("one/file", "1");
    scratch.file("two/file", "22");
    let link = scratch.path("current");
    std::os::unix::fs::symlink("one", &link).unwrap();
    let (mut ev, _) = ev_with_clock();
    let (_, told) = watch(&mut ev, link.join("file"));
    std::os::unix::fs::symlink("two", scratch.path("next")).unwrap();
    fs::rename(scratch.path("next"), &link).unwrap();
    let (prev, attr) = next(&mut ev, &told);
    assert_eq!((prev.size, attr.size), (1, 2));
}

#[test]
fn on_the_real_clock_a_look_is_never_early() {
    let scratch = Scratch::new();
    let path = scratch.file("file", "");
    let _dog = Watchdog::new(secs(60));
    let mut ev = builder().build().unwrap();
    let start = Instant::now();
    let told = Told::new();
    ev.stat(&path, ZERO, tells(&told))
        .set_interval(&mut ev, Duration::from_nanos(1))
        .start(&mut ev)
        .unwrap();
    append(&path, "x");
    ev.run_mode(Run::Once).unwrap();
    assert!(start.elapsed() >= ms(100), "after {:?}", start.elapsed());
    assert_eq!(told.take().len(), 1);
}
