// What a stat watcher does, whichever way it finds out: loop.md 3.6, 2.1 to 2.7.

use std::fs;

#[test]
fn a_change_is_told_with_what_was_before_and_what_is_now() {
    let scratch = Scratch::new();
    let path = scratch.file("file", "one");
    let mut ev = ev();
    let told = Told::new();
    let (log, expected) = (told.clone(), path.clone());
    let seen = Rc::new(Cell::new(None));
    let key = Rc::clone(&seen);
    let watcher = ev.stat(&path, ZERO, move |ev, e| {
        assert_eq!((e.path, e.ready), (&*expected, Events::STAT));
        assert!(e.watcher.is_active(ev) && !e.watcher.is_pending(ev));
        assert_eq!((e.watcher.attr(ev), e.watcher.prev(ev)), (e.attr, e.prev));
        key.set(Some(e.watcher));
        log.push((e.prev, e.attr));
    });
    assert!(!watcher.is_active(&ev) && watcher.exists(&ev));
    assert_eq!(watcher.attr(&ev), FileAttr::default(), "nobody has looked yet");
    watcher.start(&mut ev).unwrap();
    assert!(watcher.is_active(&ev));
    assert_eq!(watcher.path(&ev).as_deref(), Some(&*path));
    let start = watcher.attr(&ev);
    assert_eq!(start, FileAttr::from(&fs::symlink_metadata(&path).unwrap()));
    assert_eq!(watcher.prev(&ev), start);

    append(&path, "two");
    let (prev, attr) = next(&mut ev, &told);
    assert_eq!((prev, prev.size, attr.size), (start, 3, 6));
    assert_eq!(attr, FileAttr::from(&fs::symlink_metadata(&path).unwrap()));
    assert_eq!((seen.get(), attr.ino), (Some(watcher), prev.ino));

    append(&path, "three");
    let (prev, last) = next(&mut ev, &told);
    assert_eq!((prev, last.size), (attr, 11), "each change is compared with the one before");
    nothing_more(&mut ev, &told);
}

#[test]
fn what_has_changed_before_the_start_is_no_news() {
    let scratch = Scratch::new();
    let path = scratch.file("file", "one");
    let mut ev = ev();
    let told = Told::new();
    let watcher = ev.stat(&path, ZERO, tells(&told));
    append(&path, "two");
    watcher.start(&mut ev).unwrap();
    assert_eq!((watcher.attr(&ev).size, watcher.prev(&ev).size), (6, 6));
    nothing_more(&mut ev, &told);
}

#[test]
fn several_changes_between_two_looks_are_one() {
    let scratch = Scratch::new();
    let path = scratch.file("file", "");
    let mut ev = ev();
    let (_, told) = watch(&mut ev, &path);
    for _ in 0..10 {
        append(&path, "x");
    }
    let (prev, attr) = next(&mut ev, &told);
    assert_eq!((prev.size, attr.size), (0, 10));
    nothing_more(&mut ev, &told);
}

#[test]
fn times_are_compared_to_the_nanosecond() {
    let scratch = Scratch::new();
    let path = scratch.file("file", "same");
    let moment = std::time::UNIX_EPOCH + Duration::new(1_000_000_000, 500);
    touch(&path, moment);
    let mut ev = ev();
    let (_, told) = watch(&mut ev, &path);
    touch(&path, moment + Duration::from_nanos(1));
    let (prev, attr) = next(&mut ev, &told);
    assert_eq!((prev.size, prev.ino), (attr.size, attr.ino));
    assert_eq!(attr.modified.duration_since(prev.modified).unwrap(), Duration::from_nanos(1));
}

#[test]
fn a_rewrite_of_the_same_size_within_a_second_is_a_change() {
    let scratch = Scratch::new();
    let path = scratch.file("file", "one");
    let mut ev = ev();
    let (watcher, told) = watch(&mut ev, &path);
    let before = watcher.attr(&ev);
    let start = Instant::now();
    // The file system's clock moves in steps of some milliseconds at worst.
    while FileAttr::from(&fs::symlink_metadata(&path).unwrap()) == before {
        assert!(start.elapsed() < secs(10), "the clock of the file system stands still");
        fs::write(&path, "two").unwrap();
    }
    let (prev, attr) = next(&mut ev, &told);
    assert_eq!((prev.size, attr.size, prev.ino), (3, 3, attr.ino));
    assert!(attr.modified > prev.modified);
}

#[test]
fn every_attribute_counts() {
    use std::os::unix::fs::{PermissionsExt, chown};
    let scratch = Scratch::new();
    let path = scratch.file("file", "text");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let mut ev = ev();
    let (_, told) = watch(&mut ev, &path);

    fs::set_permissions(&path, fs::Permissions::from_mode(0o2640)).unwrap();
    let (prev, attr) = next(&mut ev, &told);
    assert_eq!((prev.permissions(), attr.permissions()), (0o600, 0o2640));
    assert_eq!((prev.modified, prev.size), (attr.modified, attr.size), "nothing else");

    let past = std::time::UNIX_EPOCH + secs(77);
    touch(&path, past);
    assert_eq!(next(&mut ev, &told).1.modified, past);

    let times = fs::FileTimes::new().set_accessed(past);
    fs::File::options().write(true).open(&path).unwrap().set_times(times).unwrap();
    let (prev, attr) = next(&mut ev, &told);
    assert_eq!((attr.accessed, prev.modified), (past, attr.modified));

    fs::File::options().write(true).open(&path).unwrap().set_len(1).unwrap();
    assert_eq!(next(&mut ev, &told).1.size, 1);

    if rustix::process::geteuid().is_root() {
        chown(&path, Some(12345), None).unwrap();
        let (prev, attr) = next(&mut ev, &told);
        assert_eq!((prev.uid, attr.uid, attr.gid), (0, 12345, prev.gid));
        chown(&path, None, Some(54321)).unwrap();
        let (prev, attr) = next(&mut ev, &told);
        assert_eq!((attr.uid, attr.gid), (prev.uid, 54321));
    }
    nothing_more(&mut ev, &told);
}

#[test]
fn missing_is_a_state_with_all_fields_zero() {
    let scratch = Scratch::new();
    let path = scratch.path("file");
    let mut ev = ev();
    let (watcher, told) = watch(&mut ev, &path);
    assert_eq!(watcher.attr(&ev), FileAttr::default());
    nothing_more(&mut ev, &told);

    scratch.file("file", "text");
    let (prev, attr) = next(&mut ev, &told);
    assert_eq!(prev, FileAttr::default());
    assert!(!prev.exists() && attr.exists() && attr.is_file());
    assert_eq!((prev.nlink, attr.nlink, attr.size), (0, 1, 4));

    fs::remove_file(&path).unwrap();
    let (gone, nothing) = next(&mut ev, &told);
    assert_eq!((gone, nothing), (attr, FileAttr::default()));
    assert_eq!((nothing.ino, nothing.mode, nothing.size), (0, 0, 0), "no leftovers");

    scratch.file("file", "again");
    assert_eq!(next(&mut ev, &told).1.size, 5);
    nothing_more(&mut ev, &told);
}

#[test]
fn what_is_deleted_and_made_again_between_two_looks_is_one_change() {
    let scratch = Scratch::new();
    let path = scratch.file("file", "text");
    let mut ev = ev();
    let (_, told) = watch(&mut ev, &path);
    for size in 5..8 {
        fs::remove_file(&path).unwrap();
        scratch.file("file", &"x".repeat(size));
        let (prev, attr) = next(&mut ev, &told);
        assert!(prev.exists() && attr.exists());
        assert_eq!((prev.size, attr.size), (size as u64 - 1, size as u64));
    }
    nothing_more(&mut ev, &told);
}

#[test]
fn what_appears_and_goes_between_two_looks_is_no_change() {
    let scratch = Scratch::new();
    let path = scratch.path("file");
    let mut ev = ev();
    let (_, told) = watch(&mut ev, &path);
    scratch.file("file", "");
    fs::remove_file(&path).unwrap();
    nothing_more(&mut ev, &told);
    scratch.file("file", "to stay");
    assert_eq!(next(&mut ev, &told).1.size, 7);
}

#[test]
fn replacing_by_rename_is_one_change_and_the_watch_goes_on_with_the_new_file() {
    let scratch = Scratch::new();
    let path = scratch.dir("here").join("file");
    let elsewhere = scratch.dir("elsewhere").join("temporary");
    fs::write(&path, "").unwrap();
    let mut ev = ev();
    let (watcher, told) = watch(&mut ev, &path);
    for round in 1..4 {
        // As editors do it.
        fs::write(&elsewhere, "x".repeat(round * 10)).unwrap();
        fs::rename(&elsewhere, &path).unwrap();
        let (prev, attr) = next(&mut ev, &told);
        assert!(prev.exists() && attr.exists(), "never missing in between");
        assert_ne!(prev.ino, attr.ino);
        assert_eq!(attr.size, round as u64 * 10);
        nothing_more(&mut ev, &told);
        append(&path, "x");
        let (prev, attr) = next(&mut ev, &told);
        assert_eq!((prev.ino, attr.size), (attr.ino, prev.size + 1), "not deaf");
    }
    assert_eq!(watcher.is_hinted(&ev), HINTED);
}

#[test]
fn a_file_renamed_away_is_missing_and_may_come_back() {
    let scratch = Scratch::new();
    let path = scratch.file("file", "text");
    let mut ev = ev();
    let (watcher, told) = watch(&mut ev, &path);
    let (away, ino) = (scratch.path("away"), inode(&path));
    fs::rename(&path, &away).unwrap();
    assert!(!next(&mut ev, &told).1.exists());
    append(&away, "more");
    nothing_more(&mut ev, &told);
    fs::rename(&away, &path).unwrap();
    let (_, attr) = next(&mut ev, &told);
    assert_eq!((attr.ino, attr.size), (ino, 8));
    assert_eq!(watcher.is_hinted(&ev), HINTED);
}

#[test]
fn refresh_swallows_a_change_of_ones_own() {
    let scratch = Scratch::new();
    let path = scratch.file("file", "one");
    let mut ev = ev();
    let (watcher, told) = watch(&mut ev, &path);
    append(&path, "two");
    let attr = watcher.refresh(&mut ev);
    assert_eq!((attr.size, watcher.attr(&ev)), (6, attr));
    nothing_more(&mut ev, &told);
    append(&path, "three");
    let (prev, attr) = next(&mut ev, &told);
    assert_eq!((prev.size, attr.size), (6, 11), "compared with what was refreshed");
}

#[test]
fn a_callback_that_writes_to_its_file_is_called_again_unless_it_refreshes() {
    let scratch = Scratch::new();
    let path = scratch.file("file", "");
    let mut ev = ev();
    let calls = Log::new();
    let (log, file) = (calls.clone(), path.clone());
    ev.stat(&path, ZERO, move |ev, e| {
        log.push(e.attr.size);
        if log.len() < 3 {
            append(&file, "x");
        }
        if log.len() == 3 {
            append(&file, "xxxx");
            assert_eq!(e.watcher.refresh(ev).size, 7);
        }
    })
    .start(&mut ev)
    .unwrap();
    append(&path, "x");
    run_until(&mut ev, |_| calls.len() == 3);
    settle(&mut ev);
    assert_eq!(calls.take(), [1, 2, 3]);
}

#[test]
fn a_fed_event_needs_no_change() {
    let scratch = Scratch::new();
    let path = scratch.file("file", "text");
    let mut ev = ev();
    let log = Log::new();
    let seen = log.clone();
    let watcher = ev.stat(&path, ZERO, move |_, e| {
        assert_eq!((e.prev, e.attr.size), (e.attr, 4));
        seen.push(e.ready);
    });
    watcher.start(&mut ev).unwrap();
    assert!(watcher.feed(&mut ev, Events::CUSTOM));
    assert!(watcher.is_pending(&ev));
    ev.run_mode(Run::NoWait).unwrap();
    assert!(watcher.feed_later(&mut ev, Events::STAT));
    ev.run_mode(Run::NoWait).unwrap();
    assert!(watcher.invoke(&mut ev, Events::NONE));
    assert_eq!(log.take(), [Events::CUSTOM, Events::STAT, Events::NONE]);
    watcher.feed(&mut ev, Events::STAT);
    assert_eq!(watcher.clear_pending(&mut ev), Events::STAT);
    ev.run_mode(Run::NoWait).unwrap();
    assert_eq!(log.len(), 0);
}

#[test]
fn what_changes_while_it_is_stopped_is_not_told() {
    let scratch = Scratch::new();
    let path = scratch.file("file", "one");
    let mut ev = ev();
    let (watcher, told) = watch(&mut ev, &path);
    assert!(watcher.stop(&mut ev) && !watcher.is_active(&ev));
    ev.verify();
    append(&path, "two");
    nothing_more(&mut ev, &told);
    assert_eq!(watcher.attr(&ev).size, 3, "what the last look has found");
    watcher.start(&mut ev).unwrap();
    nothing_more(&mut ev, &told);
    assert_eq!(watcher.attr(&ev).size, 6);
    append(&path, "three");
    assert_eq!(next(&mut ev, &told).0.size, 6);
    assert!(watcher.free(&mut ev) && !watcher.exists(&ev));
    assert!(!watcher.stop(&mut ev) && !watcher.free(&mut ev));
    append(&path, "four");
    nothing_more(&mut ev, &told);
}

#[test]
fn starting_a_started_watcher_changes_nothing() {
    let scratch = Scratch::new();
    let path = scratch.file("file", "one");
    let mut ev = ev();
    let (watcher, told) = watch(&mut ev, &path);
    append(&path, "two");
    watcher.start(&mut ev).unwrap();
    assert_eq!(watcher.attr(&ev).size, 3, "it did not look");
    assert_eq!(next(&mut ev, &told).1.size, 6);
}

#[test]
fn stopping_drops_the_event_that_was_found() {
    let scratch = Scratch::new();
    let path = scratch.file("file", "one");
    let mut ev = ev();
    let log = Log::new();
    let (second, told) = watch(&mut ev, &path);
    let seen = log.clone();
    ev.stat(&path, ZERO, move |ev, _| {
        assert!(second.is_pending(ev));
        second.stop(ev);
        assert!(!second.is_pending(ev));
        seen.push("first");
    })
    .set_priority(&mut ev, 1)
    .start(&mut ev)
    .unwrap();
    append(&path, "two");
    if HINTED {
        await_hints();
    }
    run_until(&mut ev, |_| log.len() > 0);
    nothing_more(&mut ev, &told);
    ev.verify();
}

#[test]
fn a_watcher_may_be_freed_in_its_own_callback() {
    let scratch = Scratch::new();
    let path = scratch.file("file", "one");
    let mut ev = ev();
    let (calls, alive) = (Count::new(), Rc::new(()));
    let (count, token) = (calls.clone(), Rc::clone(&alive));
    let file = path.clone();
    let watcher = ev.stat(&path, ZERO, move |ev, e| {
        assert!(e.watcher.free(ev));
        assert!(!e.watcher.exists(ev) && e.watcher.path(ev).is_none());
        // The event outlives the watcher.
        assert_eq!((e.path, e.attr.size), (&*file, 6));
        assert_eq!(Rc::strong_count(&token), 2, "the closure lives to the end of the call");
        count.up();
    });
    watcher.start(&mut ev).unwrap();
    append(&path, "two");
    run_until(&mut ev, |_| calls.get() > 0);
    assert_eq!(Rc::strong_count(&alive), 1);
    assert_eq!(watcher.attr(&ev), FileAttr::default(), "a stale key knows nothing");
    assert_eq!(watcher.start(&mut ev).unwrap_err().kind(), ErrorKind::Stale);
    assert_eq!(watcher.refresh(&mut ev), FileAttr::default());
    assert!(!ev.has_refs() && !ev.run().unwrap());
}

#[test]
fn a_callback_may_stop_and_start_its_watcher_and_make_others() {
    let scratch = Scratch::new();
    let (path, other) = (scratch.file("file", "one"), scratch.file("other", ""));
    let mut ev = ev();
    let log = Log::<u64>::new();
    let others = Told::new();
    let (seen, told, file) = (log.clone(), others.clone(), path.clone());
    let (second, third) = (other.clone(), other.clone());
    ev.stat(&path, ZERO, move |ev, e| {
        seen.push(e.attr.size);
        e.watcher.stop(ev);
        append(&file, "while stopped");
        e.watcher.start(ev).unwrap();
        if seen.len() == 1 {
            ev.stat(&second, ZERO, tells(&told)).start(ev).unwrap();
        }
        ev.verify();
    })
    .start(&mut ev)
    .unwrap();
    append(&path, "two");
    run_until(&mut ev, |_| log.len() > 0);
    append(&third, "x");
    assert_eq!(next(&mut ev, &others).1.size, 1);
    assert_eq!(log.take(), [6], "what was written while it was stopped is no news");
}

#[test]
fn the_callback_may_be_replaced_in_any_state() {
    let scratch = Scratch::new();
    let path = scratch.file("file", "");
    let mut ev = ev();
    let log = Log::new();
    let watcher = ev.stat(&path, ZERO, names(&log, "never"));
    assert!(watcher.set_callback(&mut ev, names(&log, "first")));
    watcher.start(&mut ev).unwrap();
    append(&path, "x");
    run_until(&mut ev, |_| log.len() > 0);
    let (seen, inner) = (log.clone(), log.clone());
    assert!(watcher.set_callback(&mut ev, move |ev, e| {
        seen.push("second");
        assert!(e.watcher.set_callback(ev, names(&inner, "third")));
        seen.push("still second");
    }));
    for _ in 0..2 {
        let before = log.len();
        append(&path, "x");
        run_until(&mut ev, |_| log.len() > before);
    }
    assert_eq!(log.take(), ["first", "second", "still second", "third"]);
    watcher.free(&mut ev);
    assert!(!watcher.set_callback(&mut ev, ignores));
}

#[test]
fn many_watchers_of_one_path_are_each_told_once() {
    let scratch = Scratch::new();
    let path = scratch.file("file", "");
    let mut ev = ev();
    let all: Vec<_> = (0..50).map(|_| watch(&mut ev, &path)).collect();
    append(&path, "x");
    run_until(&mut ev, |_| all.iter().all(|(_, told)| told.len() > 0));
    settle(&mut ev);
    for (_, told) in &all {
        assert_eq!(told.take().len(), 1);
    }
    // Every other one goes; the rest is told.
    for (watcher, _) in all.iter().step_by(2) {
        watcher.free(&mut ev);
    }
    append(&path, "x");
    run_until(&mut ev, |_| all.iter().skip(1).step_by(2).all(|(_, told)| told.len() > 0));
    settle(&mut ev);
    for (place, (_, told)) in all.iter().enumerate() {
        assert_eq!(told.len(), place % 2);
    }
}

#[test]
fn higher_priorities_are_told_first() {
    let scratch = Scratch::new();
    let path = scratch.file("file", "");
    let mut ev = ev();
    let log = Log::new();
    for (priority, name) in [(0, "middle"), (-2, "last"), (2, "first")] {
        let watcher = ev.stat(&path, ZERO, names(&log, name)).set_priority(&mut ev, priority);
        watcher.start(&mut ev).unwrap();
        assert_eq!(watcher.priority(&ev), priority);
    }
    append(&path, "x");
    if HINTED {
        await_hints();
    }
    run_until(&mut ev, |_| log.len() > 0);
    assert_eq!(log.take(), ["first", "middle", "last"], "all found by the same look around");
    settle(&mut ev);
    assert_eq!(log.len(), 0);
}

#[test]
fn a_panic_reaches_the_caller_of_run_and_the_watcher_goes_on() {
    let scratch = Scratch::new();
    let path = scratch.file("file", "");
    let mut ev = ev();
    let calls = Count::new();
    let count = calls.clone();
    let watcher = ev.stat(&path, ZERO, move |_, _| {
        assert!(count.up() != 1, "the first time");
    });
    watcher.set_priority(&mut ev, 1).start(&mut ev).unwrap();
    let (_, told) = watch(&mut ev, &path);
    append(&path, "x");
    let message = panic_of(|| run_until(&mut ev, |_| calls.get() > 0));
    assert_eq!(message.as_deref(), Some("the first time"));
    assert_eq!((ev.depth(), watcher.is_active(&ev)), (0, true));
    ev.verify();
    ev.run_mode(Run::NoWait).unwrap();
    assert_eq!(next(&mut ev, &told).1.size, 1, "the rest of the batch is not lost");
    append(&path, "x");
    run_until(&mut ev, |_| calls.get() == 2);
    assert_eq!(next(&mut ev, &told).1.size, 2);
}

#[test]
fn what_changes_in_a_nested_run_is_told_when_the_callback_returns() {
    let scratch = Scratch::new();
    let path = scratch.file("file", "");
    let mut ev = ev();
    let log = Log::<(u64, u64, u32)>::new();
    let (seen, file) = (log.clone(), path.clone());
    ev.stat(&path, ZERO, move |ev, e| {
        seen.push((e.prev.size, e.attr.size, ev.depth()));
        if seen.len() == 1 {
            append(&file, "x");
            settle(ev);
            append(&file, "x");
            settle(ev);
            assert_eq!(seen.len(), 1, "it is not entered again");
            assert_eq!(e.watcher.attr(ev).size, 3, "but it has looked");
        }
    })
    .start(&mut ev)
    .unwrap();
    let (_, others) = watch(&mut ev, &path);
    append(&path, "x");
    if HINTED {
        await_hints();
    }
    run_until(&mut ev, |_| log.len() > 1);
    assert_eq!(log.take(), [(0, 1, 1), (2, 3, 1)], "told of the last change, once");
    assert_eq!(others.take().len(), 3, "others were told in the nested runs");
}

#[test]
fn a_started_watcher_keeps_the_loop_running_unless_it_does_not_count() {
    let _dog = Watchdog::new(secs(60));
    let scratch = Scratch::new();
    let path = scratch.file("file", "");
    let mut ev = ev();
    let (watcher, told) = watch(&mut ev, &path);
    assert!(ev.has_refs());
    watcher.set_ref(&mut ev, false);
    assert!(!ev.has_refs() && !ev.run().unwrap());
    watcher.set_ref(&mut ev, true);
    let stopper = told.clone();
    watcher.set_callback(&mut ev, move |ev, e| {
        stopper.push((e.prev, e.attr));
        e.watcher.stop(ev);
    });
    append(&path, "x");
    assert!(!ev.run().unwrap(), "over when it is stopped");
    assert_eq!(told.take().len(), 1);
}

#[test]
fn it_is_listed_and_named_like_every_watcher() {
    let scratch = Scratch::new();
    let mut ev = ev();
    let (watcher, _) = watch(&mut ev, scratch.path("file"));
    assert_eq!(ev.watchers(), [AnyWatcher::Stat(watcher)]);
    assert_eq!((watcher.kind(), AnyWatcher::Stat(watcher).kind()), (Kind::Stat, Kind::Stat));
    assert!(AnyWatcher::Stat(watcher).stop(&mut ev));
    assert!(!watcher.is_active(&ev) && ev.watchers().is_empty());
}

#[test]
fn a_loop_may_be_dropped_with_watchers_started_and_pending() {
    let scratch = Scratch::new();
    let path = scratch.file("file", "");
    let (mut gone, mut stays) = (ev(), ev());
    let (watcher, _) = watch(&mut gone, &path);
    let (missing, _) = watch(&mut gone, scratch.path("missing/below"));
    let (_, told) = watch(&mut stays, &path);
    assert!(!watcher.exists(&stays) || !missing.exists(&stays), "keys of another loop");
    watcher.feed(&mut gone, Events::STAT);
    append(&path, "x");
    drop(gone);
    assert_eq!(next(&mut stays, &told).1.size, 1);
    append(&path, "x");
    assert_eq!(next(&mut stays, &told).1.size, 2);
}

#[test]
fn run_once_goes_on_waiting_where_a_look_finds_nothing() {
    let scratch = Scratch::new();
    let (path, missing) = (scratch.file("file", ""), scratch.path("missing"));
    let _dog = Watchdog::new(secs(60));
    let mut ev = ev();
    let looked = Told::new();
    for path in [&path, &missing] {
        ev.stat(path, ms(100), tells(&looked)).start(&mut ev).unwrap();
    }
    let rounds = Count::new();
    let (waits, fired) = (rounds.clone(), Count::new());
    ev.on_wait(
        move || {
            waits.up();
        },
        || (),
    );
    ev.after(ms(450), {
        let fired = fired.clone();
        move |_| {
            fired.up();
        }
    });
    // Opened for writing and closed again: a hint, and no change.
    drop(fs::File::options().write(true).open(&path).unwrap());
    ev.run_mode(Run::Once).unwrap();
    assert_eq!((fired.get(), ev.iteration()), (1, 1), "the timer has ended it, and nothing else");
    assert!(rounds.get() > 4, "the missing one is looked at every 100 ms");
    assert_eq!(looked.take(), []);
}

#[test]
fn what_is_refreshed_while_it_is_pending_is_still_not_what_was_before() {
    let scratch = Scratch::new();
    let path = scratch.path("file");
    let mut ev = ev();
    let (second, told) = watch(&mut ev, &path);
    let (log, file) = (Log::new(), path.clone());
    let seen = log.clone();
    ev.stat(&path, ZERO, move |ev, e| {
        if !e.attr.exists() {
            return;
        }
        // A change of one's own, swallowed; the other one had not been told yet of what it undoes.
        assert!(second.is_pending(ev));
        fs::remove_file(&file).unwrap();
        assert!(!second.refresh(ev).exists());
        seen.push("first");
    })
    .set_priority(&mut ev, 1)
    .start(&mut ev)
    .unwrap();
    scratch.file("file", "");
    if HINTED {
        await_hints();
    }
    run_until(&mut ev, |_| log.len() > 0);
    settle(&mut ev);
    assert!(told.take().iter().all(|(prev, attr)| prev != attr), "told of a change that is none");
}
