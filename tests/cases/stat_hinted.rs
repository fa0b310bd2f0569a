// Looking when the system hints: loop.md 3.6. On the real clock, since hints come from another thread.

use std::fs;
use std::sync::mpsc;
use std::thread;

#[test]
fn is_hinted_says_whether_polling_is_needed() {
    let scratch = Scratch::new();
    let (path, missing) = (scratch.file("file", ""), scratch.path("missing"));
    let mut ev = ev();
    let watcher = ev.stat(&path, ZERO, ignores);
    assert!(!watcher.is_hinted(&ev), "not while it is stopped");
    watcher.start(&mut ev).unwrap();
    assert!(watcher.is_hinted(&ev));
    assert_eq!(ev.next_deadline(), None, "nothing is polled");
    watcher.stop(&mut ev);
    assert!(!watcher.is_hinted(&ev));
    watcher.free(&mut ev);
    assert!(!watcher.is_hinted(&ev));

    let (watcher, told) = watch(&mut ev, &missing);
    assert!(!watcher.is_hinted(&ev) && ev.next_deadline().is_some(), "missing: polled");
    scratch.file("missing", "");
    next(&mut ev, &told);
    // A further hint of the same change would be work to do now.
    settle(&mut ev);
    assert!(watcher.is_hinted(&ev));
    assert_eq!(ev.next_deadline(), None);
    fs::remove_file(&missing).unwrap();
    next(&mut ev, &told);
    assert!(!watcher.is_hinted(&ev) && ev.next_deadline().is_some());
    watcher.free(&mut ev);

    let mut polled = builder().stat_hints(false).build().unwrap();
    let (watcher, _) = watch(&mut polled, &path);
    assert!(!watcher.is_hinted(&polled) && polled.next_deadline().is_some());
}

#[test]
fn a_file_system_in_memory_is_hinted_as_well() {
    if rustix::fs::statfs("/dev/shm").map(|told| told.f_type).ok() != Some(0x0102_1994) {
        eprintln!("skipped: there is no tmpfs at /dev/shm");
        return;
    }
    let scratch = Scratch::below(std::path::Path::new("/dev/shm"));
    let path = scratch.file("file", "");
    let mut ev = ev();
    let (watcher, told) = watch(&mut ev, &path);
    assert!(watcher.is_hinted(&ev));
    append(&path, "x");
    assert_eq!(next(&mut ev, &told).1.size, 1);
}

#[test]
fn what_others_may_change_unseen_is_polled_at_the_interval() {
    let scratch = Scratch::new();
    let (path, second) = (scratch.file("file", ""), scratch.dir("other").join("second"));
    fs::hard_link(&path, &second).unwrap();
    let mut ev = ev();
    let told = Told::new();
    let watcher = ev.stat(&path, ms(100), tells(&told)).start(&mut ev).unwrap();
    assert!(!watcher.is_hinted(&ev));
    // By the name that nobody watches.
    append(&second, "x");
    assert_eq!(next(&mut ev, &told).1.size, 1);
    fs::remove_file(&second).unwrap();
    assert_eq!(next(&mut ev, &told).1.nlink, 1);
    assert!(watcher.is_hinted(&ev), "now that it has one name only");

    let (proc, _) = watch(&mut ev, "/proc/self/stat");
    assert!(!proc.is_hinted(&ev));
}

#[test]
fn what_is_not_known_to_be_hinted_is_looked_at_every_half_minute_if_nothing_else_was_said() {
    let scratch = Scratch::new();
    let mut ev = ev();
    let clock_before = ev.now();
    let (watcher, _) = watch(&mut ev, scratch.path("missing"));
    let due = ev.next_deadline().unwrap().duration_since(clock_before);
    assert!(due > secs(30) && due < secs(31), "{due:?}");
    watcher.set_interval(&mut ev, secs(3));
    let due = ev.next_deadline().unwrap().duration_since(clock_before);
    assert!(due >= secs(3) && due < secs(4), "{due:?}");
}

#[test]
fn a_swapped_link_on_the_way_is_found_by_polling() {
    let scratch = Scratch::new();
    scratch.dir("one");
    scratch.dir("two");
    scratch.file("one/file", "1");
    let real = scratch.file("two/file", "22");
    let link = scratch.path("current");
    std::os::unix::fs::symlink("one", &link).unwrap();
    let mut ev = ev();
    let told = Told::new();
    let watcher = ev.stat(link.join("file"), ms(100), tells(&told)).start(&mut ev).unwrap();
    assert!(!watcher.is_hinted(&ev));
    std::os::unix::fs::symlink("two", scratch.path("next")).unwrap();
    fs::rename(scratch.path("next"), &link).unwrap();
    assert_eq!(next(&mut ev, &told).1.size, 2);
    append(&real, "x");
    assert_eq!(next(&mut ev, &told).1.size, 3);
}

#[test]
fn a_hint_ends_a_wait_without_end() {
    let _dog = Watchdog::new(secs(60));
    let scratch = Scratch::new();
    let path = scratch.file("file", "");
    let mut ev = ev();
    let (waiting, waits) = mpsc::channel();
    ev.on_wait(
        move || {
            let _ = waiting.send(());
        },
        || (),
    );
    let told = Told::new();
    let log = told.clone();
    ev.stat(&path, ZERO, move |ev, e| {
        log.push((e.prev, e.attr));
        e.watcher.stop(ev);
    })
    .start(&mut ev)
    .unwrap();
    let writer = thread::spawn(move || {
        waits.recv().unwrap();
        append(&path, "from another thread");
    });
    assert!(!ev.run().unwrap());
    writer.join().unwrap();
    assert_eq!(told.take()[0].1.size, 19);
    assert_eq!(ev.iteration(), 1);
}

#[test]
fn what_another_process_does_is_hinted() {
    let scratch = Scratch::new();
    let path = scratch.path("file");
    let mut ev = ev();
    let (_, told) = watch(&mut ev, &path);
    let mut child = std::process::Command::new("sh")
        .args(["-c", "printf text >\"$0.new\" && mv \"$0.new\" \"$0\""])
        .arg(&path)
        .spawn()
        .unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(next(&mut ev, &told).1.size, 4);
}

#[test]
fn a_hint_without_a_change_is_not_told() {
    let scratch = Scratch::new();
    let path = scratch.file("file", "text");
    let mut ev = ev();
    let (_, told) = watch(&mut ev, &path);
    for _ in 0..5 {
        drop(fs::File::options().write(true).open(&path).unwrap());
        nothing_more(&mut ev, &told);
    }
    append(&path, "x");
    next(&mut ev, &told);
}

#[test]
fn at_rest_a_loop_with_hinted_watchers_does_not_wake_up() {
    let scratch = Scratch::new();
    let mut ev = ev();
    let all: Vec<_> =
        (0..100).map(|n| watch(&mut ev, scratch.file(&n.to_string(), ""))).collect();
    settle(&mut ev);
    let until = ev.now() + ms(300);
    let early = early_ends(&mut ev, until);
    let before = ev.iteration();
    ev.after(ms(300), |ev| ev.break_loop(Break::All));
    // Neighbours that nobody watches are written to meanwhile.
    for n in 0..100 {
        scratch.file(&format!("neighbour {n}"), "text");
    }
    assert!(ev.run().unwrap());
    assert_eq!((ev.iteration() - before, early.get()), (1, 0));
    assert!(all.iter().all(|(_, told)| told.len() == 0));
}

#[test]
fn two_loops_in_two_threads_are_both_told() {
    let _dog = Watchdog::new(secs(60));
    let scratch = Scratch::new();
    let path = scratch.file("file", "");
    let (ready, started) = mpsc::channel();
    let loops: Vec<_> = (0..2)
        .map(|n| {
            let (path, ready) = (path.clone(), ready.clone());
            thread::spawn(move || {
                let mut ev = ev();
                let home = thread::current().id();
                let sizes = Log::new();
                let seen = sizes.clone();
                let own = ready.clone();
                ev.stat(&path, ZERO, move |ev, e| {
                    assert_eq!(thread::current().id(), home);
                    seen.push((e.prev.size, e.attr.size));
                    // The first goes after one change, the other stays for another one.
                    if seen.len() > n {
                        e.watcher.stop(ev);
                    }
                    own.send(n).unwrap();
                })
                .start(&mut ev)
                .unwrap();
                ready.send(n).unwrap();
                assert!(!ev.run().unwrap());
                drop(ev);
                sizes.take()
            })
        })
        .collect();
    let wait_for_both = || {
        let mut names = [started.recv().unwrap(), started.recv().unwrap()];
        names.sort_unstable();
        assert_eq!(names, [0, 1]);
    };
    wait_for_both();
    append(&path, "x");
    wait_for_both();
    let mut loops = loops.into_iter();
    assert_eq!(loops.next().unwrap().join().unwrap(), [(0, 1)]);
    // The end of the one does not silence the other.
    append(&path, "x");
    assert_eq!(started.recv().unwrap(), 1);
    assert_eq!(loops.next().unwrap().join().unwrap(), [(0, 1), (1, 2)]);
}

#[test]
fn threads_that_start_and_drop_loops_do_not_silence_each_other() {
    let _dog = Watchdog::new(secs(120));
    let scratch = Scratch::new();
    let path = scratch.file("file", "");
    let (mut ev, other) = (ev(), path.clone());
    let (_, told) = watch(&mut ev, &path);
    let churn = thread::spawn(move || {
        for _ in 0..50 {
            let mut short = builder().build().unwrap();
            watch(&mut short, &other);
            watch(&mut short, other.join("../missing/below"));
        }
    });
    let mut size = 0;
    while !churn.is_finished() {
        append(&path, "x");
        size += 1;
        assert_eq!(next(&mut ev, &told).1.size, size);
    }
    churn.join().unwrap();
    append(&path, "x");
    assert_eq!(next(&mut ev, &told).1.size, size + 1);
}

#[test]
fn an_interval_does_not_matter_where_every_change_is_hinted() {
    let scratch = Scratch::new();
    let path = scratch.file("file", "");
    let mut ev = ev();
    let told = Told::new();
    let watcher = ev.stat(&path, ms(100), tells(&told)).start(&mut ev).unwrap();
    assert_eq!((watcher.is_hinted(&ev), ev.next_deadline()), (true, None));
    watcher.set_interval(&mut ev, ms(1));
    assert_eq!((watcher.interval(&ev), ev.next_deadline()), (ms(1), None));
    append(&path, "x");
    assert_eq!(next(&mut ev, &told).1.size, 1);
}

#[test]
fn word_of_a_hint_that_came_too_late_for_its_watcher_is_no_event() {
    let scratch = Scratch::new();
    let paths = ["one", "two"].map(|name| scratch.file(name, ""));
    let mut ev = ev();
    let (gone, told) = watch(&mut ev, &paths[0]);
    let (_, others) = watch(&mut ev, &paths[1]);
    append(&paths[0], "x");
    append(&paths[1], "x");
    gone.free(&mut ev);
    // In the slot of the one before.
    let (_, again) = watch(&mut ev, &paths[0]);
    assert_eq!(next(&mut ev, &others).1.size, 1);
    nothing_more(&mut ev, &again);
    assert_eq!(told.len(), 0);
}

#[test]
fn a_directory_and_what_is_in_it_may_be_watched_together() {
    let scratch = Scratch::new();
    let dir = scratch.dir("dir");
    let (one, two) = (scratch.file("dir/one", ""), scratch.path("dir/two"));
    let mut ev = ev();
    let (whole, of_whole) = watch(&mut ev, &dir);
    let (first, of_one) = watch(&mut ev, &one);
    let (_, of_two) = watch(&mut ev, &two);
    append(&one, "x");
    next(&mut ev, &of_one);
    nothing_more(&mut ev, &of_whole);
    scratch.file("dir/two", "");
    run_until(&mut ev, |_| of_two.len() > 0 && of_whole.len() > 0);
    assert_eq!((of_two.take().len(), of_whole.take().len()), (1, 1));
    // Each goes without taking the others with it.
    whole.free(&mut ev);
    append(&one, "x");
    next(&mut ev, &of_one);
    first.free(&mut ev);
    append(&two, "x");
    next(&mut ev, &of_two);
    nothing_more(&mut ev, &of_one);
    assert_eq!(of_whole.len(), 0);
}

#[test]
fn a_directory_known_by_two_names_serves_both() {
    let scratch = Scratch::new();
    scratch.dir("dir");
    let path = scratch.file("dir/file", "");
    std::os::unix::fs::symlink("dir", scratch.path("alias")).unwrap();
    let alias = scratch.path("alias/file");
    let mut ev = ev();
    for order in [[&path, &alias], [&alias, &path]] {
        let (first, of_first) = watch(&mut ev, order[0]);
        let (second, of_second) = watch(&mut ev, order[1]);
        append(&path, "x");
        run_until(&mut ev, |_| of_first.len() > 0 && of_second.len() > 0);
        assert_eq!((of_first.take().len(), of_second.take().len()), (1, 1));
        first.free(&mut ev);
        append(&path, "x");
        next(&mut ev, &of_second);
        nothing_more(&mut ev, &of_first);
        second.free(&mut ev);
    }
}

#[test]
fn the_tree_above_may_go_level_by_level_and_come_back() {
    let scratch = Scratch::new();
    scratch.dir("a/b/c");
    let path = scratch.file("a/b/c/file", "");
    let mut ev = ev();
    let (watcher, told) = watch(&mut ev, &path);
    // Watched as well, so that directories on the way are known for other reasons too.
    let dirs: Vec<_> =
        ["a", "a/b", "a/b/c"].iter().map(|dir| watch(&mut ev, scratch.path(dir))).collect();
    for size in 1..4 {
        fs::remove_dir_all(scratch.path("a")).unwrap();
        run_until(&mut ev, |_| told.len() > 0 && dirs.iter().all(|(_, told)| told.len() > 0));
        assert!(!watcher.attr(&ev).exists());
        settle(&mut ev);
        told.take();
        for (_, told) in &dirs {
            told.take();
        }
        scratch.dir("a/b/c");
        fs::write(&path, "x".repeat(size)).unwrap();
        run_until(&mut ev, |_| told.len() > 0 && dirs.iter().all(|(_, told)| told.len() > 0));
        assert_eq!(watcher.attr(&ev).size, size as u64);
        settle(&mut ev);
        told.take();
        for (dir, told) in &dirs {
            told.take();
            assert!(dir.is_hinted(&ev));
        }
    }
}

#[test]
fn random_changes_of_a_small_tree_leave_every_watcher_with_the_truth() {
    // What hints and renewals may miss shows as an attribute that is not what `lstat` says.
    let scratch = Scratch::new();
    let names = ["a", "b", "a/x", "a/y", "b/x", "a/x/f", "a/y/f", "b/x/f"];
    let mut ev = ev();
    let watchers: Vec<_> = names.iter().map(|name| watch(&mut ev, scratch.path(name)).0).collect();
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    for step in 0..400 {
        let (one, two) = (scratch.path(names[random(8)]), scratch.path(names[random(8)]));
        // What cannot be done is not done.
        match random(6) {
            0 => drop(fs::create_dir(&one)),
            1 => drop(fs::write(&one, "x".repeat(step))),
            2 => drop(fs::rename(&one, &two)),
            3 => drop(fs::remove_dir_all(&one)),
            4 => drop(fs::remove_file(&one)),
            _ => drop(fs::create_dir_all(&one)),
        }
        if random(3) == 0 {
            ev.run_mode(Run::NoWait).unwrap();
        }
        if step % 10 == 9 {
            settle(&mut ev);
            for (name, watcher) in names.iter().zip(&watchers) {
                let truth = fs::symlink_metadata(scratch.path(name));
                let truth = truth.map_or_else(|_| FileAttr::default(), |it| FileAttr::from(&it));
                assert_eq!(watcher.attr(&ev), truth, "{name} after step {step}");
            }
        }
    }
    ev.verify();
}

#[test]
fn a_further_link_in_the_same_directory_is_a_change_of_the_number_of_links() {
    let scratch = Scratch::new();
    let path = scratch.file("file", "");
    let mut ev = ev();
    let told = Told::new();
    ev.stat(&path, ms(100), tells(&told)).start(&mut ev).unwrap();
    fs::hard_link(&path, scratch.path("second")).unwrap();
    settle(&mut ev);
    assert_eq!(told.take().iter().map(|(_, attr)| attr.nlink).collect::<Vec<_>>(), [2]);
}
