//! Stat watchers and what belongs to the whole process: its thread, its descriptors, its limits, its
//! rights, its working directory, its forks. Each case runs itself again in a process of its own.
//!
//! loop.md 3.6, 1.9, design.md D9, reliability.md §4.

#![cfg(feature = "stat")]
#![allow(clippy::unwrap_used, clippy::print_stdout)]

#[path = "suite/files.rs"]
mod files;
mod suite;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use files::*;
use suite::*;

const BACKENDS: [Backend; 2] = [Backend::Epoll, Backend::Poll];

/// Set in the child only.
const CHILD: &str = "EVLOOP_TEST_CHILD";

/// Says, in the child, why there is nothing to see.
const SKIPPED: &str = "skipped: ";

fn builder(backend: Backend) -> Builder {
    EvLoop::builder().env(false).backend(backend)
}

fn ev(backend: Backend) -> EvLoop {
    builder(backend).build().unwrap()
}

/// Runs the test called `name` again in a process of its own, by way of `wrapper` and with
/// `EVLOOP_FLAGS` as given; in that process it returns a watchdog, else nothing.
fn alone_by(name: &str, wrapper: &[&str], flags: &str) -> Option<Watchdog> {
    if std::env::var_os(CHILD).is_some() {
        return Some(Watchdog::new(secs(90)));
    }
    let exe = std::env::current_exe().unwrap();
    let mut words = wrapper.iter().map(OsStr::new).chain([exe.as_os_str()]);
    let output = Command::new(words.next().unwrap())
        .args(words)
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(CHILD, "1")
        .env("EVLOOP_FLAGS", flags)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}\n{complaint}");
    if let Some(reason) = said.lines().find(|line| line.contains(SKIPPED)) {
        println!("{name}: {reason}");
    }
    None
}

fn alone(name: &str) -> Option<Watchdog> {
    alone_by(name, &[], "")
}

/// The same in a user namespace of its own, after `setup` in a shell; skipped where that cannot be.
fn alone_after(name: &str, unshare: &[&str], setup: &str) -> Option<Watchdog> {
    if std::env::var_os(CHILD).is_none() {
        let try_out = Command::new("unshare").args(unshare).args(["sh", "-c", setup]).output();
        if !try_out.as_ref().is_ok_and(|output| output.status.success()) {
            println!("{name}: {SKIPPED}unshare {unshare:?} and {setup:?} cannot be done here");
            return None;
        }
    }
    let script = format!("{setup} && exec \"$0\" \"$@\"");
    let mut wrapper = vec!["unshare"];
    wrapper.extend_from_slice(unshare);
    wrapper.extend_from_slice(&["sh", "-c", &script]);
    alone_by(name, &wrapper, "")
}

/// The names of the threads of this process, in order.
fn threads() -> Vec<String> {
    let tasks = fs::read_dir("/proc/self/task").unwrap().flatten();
    let mut names: Vec<_> = tasks
        .filter_map(|task| fs::read_to_string(task.path().join("comm")).ok())
        .map(|name| name.trim_end().to_owned())
        .collect();
    names.sort();
    names
}

/// The name of this thread.
fn thread_name() -> String {
    fs::read_to_string("/proc/thread-self/comm").unwrap().trim_end().to_owned()
}

/// Waits until there are these threads and no others: one that has been told to end needs a moment.
#[track_caller]
fn await_threads(expected: &[String]) {
    let end = Instant::now() + secs(10);
    while threads() != expected {
        assert!(Instant::now() < end, "{:?} instead of {expected:?}", threads());
        thread::yield_now();
    }
}

/// The numbers open in this process, without that of the listing itself.
fn descriptors() -> BTreeSet<i32> {
    let listed = fs::read_dir("/proc/self/fd").unwrap();
    let numbers: Vec<i32> =
        listed.map(|e| e.unwrap().file_name().to_str().unwrap().parse().unwrap()).collect();
    // SAFETY: a query of a flag.
    numbers.into_iter().filter(|n| unsafe { libc::fcntl(*n, libc::F_GETFD) } >= 0).collect()
}

/// The inodes that this process has inotify watches of, one entry per watch.
fn watches() -> Vec<u64> {
    let mut inodes = Vec::new();
    for entry in fs::read_dir("/proc/self/fdinfo").unwrap().flatten() {
        for line in fs::read_to_string(entry.path()).unwrap_or_default().lines() {
            let Some(line) = line.strip_prefix("inotify wd:") else { continue };
            let inode = line.split(' ').find_map(|word| word.strip_prefix("ino:")).unwrap();
            inodes.push(u64::from_str_radix(inode, 16).unwrap());
        }
    }
    inodes
}

/// Started with the shortest interval: for changes that nobody hints.
fn watch_often(ev: &mut EvLoop, path: impl AsRef<Path>) -> (Stat, Told) {
    let told = Told::new();
    (ev.stat(path, ms(100), tells(&told)).start(ev).unwrap(), told)
}

/// Runs the loop, which looks every 100 ms, until something has come about that is not an event.
#[track_caller]
fn look_until(ev: &mut EvLoop, over: impl Fn(&EvLoop) -> bool) {
    let end = Instant::now() + PATIENCE;
    while !over(ev) {
        assert!(Instant::now() < end, "it did not come in {PATIENCE:?}");
        ev.turn(Some(ms(20))).unwrap();
        ev.verify();
    }
}

// --- thread and descriptors ------------------------------------------------------------------------

#[test]
fn with_the_last_stat_watcher_of_the_process_its_thread_and_descriptors_go() {
    let name = "with_the_last_stat_watcher_of_the_process_its_thread_and_descriptors_go";
    let Some(_dog) = alone(name) else { return };
    let scratch = Scratch::new();
    let path = scratch.file("file", "");
    for backend in BACKENDS {
        let (mut one, mut two) = (ev(backend), ev(backend));
        let (before, quiet) = (descriptors(), threads());
        for round in 0..5 {
            let (first, told) = watch(&mut one, &path);
            let (second, _) = watch(&mut two, scratch.path("missing/file"));
            assert!(first.is_hinted(&one));
            let with = descriptors();
            assert!(with.len() > before.len());
            for number in with.difference(&before) {
                // SAFETY: a query of a flag.
                let flags = unsafe { libc::fcntl(*number, libc::F_GETFD) };
                assert!(flags & libc::FD_CLOEXEC != 0, "{number} stays open across exec");
            }
            assert_eq!(threads().len(), quiet.len() + 1, "one thread for all loops");
            append(&path, "x");
            next(&mut one, &told);
            if round % 2 == 0 {
                first.stop(&mut one);
            } else {
                first.free(&mut one);
            }
            assert_eq!(threads().len(), quiet.len() + 1, "the other loop needs it still");
            second.free(&mut two);
            assert_eq!(descriptors(), before, "round {round}");
            await_threads(&quiet);
        }
        // The end of a loop is the end of its watchers.
        watch(&mut one, &path);
        watch(&mut one, &path);
        drop(two);
        let with = threads().len();
        assert_eq!(with, quiet.len() + 1);
        drop(one);
        await_threads(&quiet);
        assert_eq!(watches(), []);
    }
}

#[test]
fn loops_in_many_threads_share_one_thread_for_hints() {
    let Some(_dog) = alone("loops_in_many_threads_share_one_thread_for_hints") else { return };
    let scratch = Scratch::new();
    let path = scratch.file("file", "");
    let quiet = threads();
    let barrier = Arc::new(std::sync::Barrier::new(4));
    let loops: Vec<_> = (0..3)
        .map(|_| {
            let (path, barrier) = (path.clone(), Arc::clone(&barrier));
            thread::spawn(move || {
                let mut ev = EvLoop::new().unwrap();
                let (_, told) = watch(&mut ev, &path);
                barrier.wait();
                barrier.wait();
                assert_eq!(next(&mut ev, &told).1.size, 1);
            })
        })
        .collect();
    barrier.wait();
    assert_eq!(threads().len(), quiet.len() + 3 + 1);
    assert_eq!(watches(), [inode(&scratch.0)]);
    append(&path, "x");
    barrier.wait();
    for one in loops {
        one.join().unwrap();
    }
    await_threads(&quiet);
}

#[test]
fn without_hints_there_is_no_thread_and_no_descriptor() {
    let Some(_dog) = alone("without_hints_there_is_no_thread_and_no_descriptor") else { return };
    let scratch = Scratch::new();
    let path = scratch.file("file", "");
    for backend in BACKENDS {
        let mut ev = builder(backend).stat_hints(false).build().unwrap();
        let (before, quiet) = (descriptors(), threads());
        let (watcher, told) = watch_often(&mut ev, &path);
        append(&path, "x");
        next(&mut ev, &told);
        assert_eq!((descriptors(), threads()), (before, quiet));
        assert!(watches().is_empty() && !watcher.is_hinted(&ev));
    }
}

#[test]
fn a_watcher_that_was_never_started_starts_no_thread() {
    let Some(_dog) = alone("a_watcher_that_was_never_started_starts_no_thread") else { return };
    let scratch = Scratch::new();
    let mut ev = EvLoop::new().unwrap();
    let (before, quiet) = (descriptors(), threads());
    let watcher = ev.stat(scratch.file("file", ""), ZERO, ignores);
    watcher.feed(&mut ev, Events::STAT);
    watcher.refresh(&mut ev);
    ev.run().unwrap();
    assert_eq!((descriptors(), threads()), (before, quiet));
}

#[test]
fn the_environment_may_turn_hints_off_where_the_builder_says_nothing() {
    let name = "the_environment_may_turn_hints_off_where_the_builder_says_nothing";
    let Some(_dog) = alone_by(name, &[], "no-stat-hints") else { return };
    let scratch = Scratch::new();
    let path = scratch.file("file", "");
    let quiet = threads();
    let mut ev = EvLoop::new().unwrap();
    let (watcher, told) = watch_often(&mut ev, &path);
    assert!(!watcher.is_hinted(&ev) && threads() == quiet);
    append(&path, "x");
    next(&mut ev, &told);
    for builder in [EvLoop::builder().stat_hints(true), EvLoop::builder().env(false)] {
        let mut ev = builder.build().unwrap();
        assert!(watch(&mut ev, &path).0.is_hinted(&ev));
    }
}

#[test]
fn the_thread_for_hints_has_a_name() {
    let Some(_dog) = alone("the_thread_for_hints_has_a_name") else { return };
    let scratch = Scratch::new();
    let quiet = threads();
    let mut ev = EvLoop::new().unwrap();
    watch(&mut ev, scratch.file("file", ""));
    let news: Vec<_> = threads().into_iter().filter(|name| !quiet.contains(name)).collect();
    // As much of it as the kernel keeps.
    assert_eq!(news, ["notify-rs inoti"]);
}

#[test]
fn ten_thousand_watchers_in_one_directory_are_one_watch_and_a_change_tells_one() {
    let name = "ten_thousand_watchers_in_one_directory_are_one_watch_and_a_change_tells_one";
    let Some(_dog) = alone(name) else { return };
    let scratch = Scratch::new();
    let mut ev = EvLoop::builder().env(false).build().unwrap();
    let told = Log::<usize>::new();
    let paths: Vec<_> = (0..10_000).map(|n| scratch.file(&n.to_string(), "")).collect();
    let watchers: Vec<_> = paths
        .iter()
        .enumerate()
        .map(|(n, path)| {
            let seen = told.clone();
            ev.stat(path, ZERO, move |_, _| seen.push(n)).start(&mut ev).unwrap()
        })
        .collect();
    assert!(watchers.iter().all(|watcher| watcher.is_hinted(&ev)));
    assert_eq!(watches(), [inode(&scratch.0)]);
    settle(&mut ev);
    assert_eq!(ev.next_deadline(), None);

    // At rest, but for what goes on beside them.
    let (before, cpu) = (ev.iteration(), cpu_time());
    for n in 0..100 {
        scratch.file(&format!("neighbour {n}"), "text");
    }
    ev.after(ms(300), |ev| ev.break_loop(Break::All));
    ev.run().unwrap();
    assert_eq!(ev.iteration() - before, 1, "nobody has woken the loop");
    let spent = cpu_time() - cpu;
    assert!(spent < ms(150), "{spent:?} in 300 ms of rest");

    let before = ev.iteration();
    append(&paths[7777], "x");
    run_until(&mut ev, |_| told.len() > 0);
    settle(&mut ev);
    assert_eq!(told.take(), [7777]);
    assert!(ev.iteration() - before < 20, "{} rounds for one change", ev.iteration() - before);

    for watcher in &watchers[1..] {
        watcher.free(&mut ev);
    }
    assert_eq!(watches(), [inode(&scratch.0)]);
    watchers[0].free(&mut ev);
    assert_eq!(watches(), []);
}

/// What all threads of the process have computed so far.
fn cpu_time() -> Duration {
    fs::read_dir("/proc/self/task")
        .unwrap()
        .flatten()
        .filter_map(|task| fs::read_to_string(task.path().join("schedstat")).ok())
        .map(|line| line.split(' ').next().unwrap().parse().unwrap())
        .map(Duration::from_nanos)
        .sum()
}

// --- working directory and rights ------------------------------------------------------------------

/// Two directories with a file of the same name.
fn two_places() -> Scratch {
    let scratch = Scratch::new();
    for (dir, text) in [("one", "1"), ("two", "22")] {
        scratch.dir(dir);
        scratch.file(&format!("{dir}/file"), text);
    }
    scratch
}

#[test]
fn a_relative_path_starts_at_the_working_directory_of_the_moment() {
    let name = "a_relative_path_starts_at_the_working_directory_of_the_moment";
    let Some(_dog) = alone(name) else { return };
    let scratch = two_places();
    std::env::set_current_dir(scratch.path("one")).unwrap();
    let clock = MockClock::new();
    let mut ev = builder(Backend::Epoll).mock_clock(&clock).stat_hints(false).build().unwrap();
    let (watcher, told) = watch(&mut ev, "file");
    assert_eq!(watcher.path(&ev).as_deref(), Some(Path::new("file")));
    std::env::set_current_dir(scratch.path("two")).unwrap();
    let (prev, attr) = next(&mut ev, &told);
    assert_eq!((prev.size, attr.size), (1, 2));
    append(&scratch.path("one/file"), "x");
    nothing_more(&mut ev, &told);
    std::env::set_current_dir("/").unwrap();
    assert!(!next(&mut ev, &told).1.exists());
}

#[test]
fn a_relative_path_that_is_hinted_follows_the_working_directory_too() {
    let name = "a_relative_path_that_is_hinted_follows_the_working_directory_too";
    let Some(_dog) = alone(name) else { return };
    let scratch = two_places();
    std::env::set_current_dir(scratch.path("one")).unwrap();
    let mut ev = ev(Backend::Epoll);
    let (_, told) = watch_often(&mut ev, "file");
    std::env::set_current_dir(scratch.path("two")).unwrap();
    let end = Instant::now() + secs(2);
    while told.len() == 0 && Instant::now() < end {
        ev.turn(Some(ms(100))).unwrap();
    }
    let sizes: Vec<_> = told.take().iter().map(|(prev, attr)| (prev.size, attr.size)).collect();
    assert_eq!(sizes, [(1, 2)]);
}

#[test]
fn the_name_of_the_thread_for_hints_is_documented() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files = ["watch/stat.rs", "lib.rs", "engine/builder.rs"];
    let documented = files.iter().any(|file| {
        let text = fs::read_to_string(source.join(file)).unwrap();
        let comments = text.lines().filter(|line| line.trim_start().starts_with("//"));
        comments.into_iter().any(|line| line.contains("notify-rs inotify"))
    });
    assert!(documented, "no comment of {files:?} says that it is `notify-rs inotify loop`");
}

#[test]
fn a_relative_path_is_hinted_from_where_it_starts() {
    let Some(_dog) = alone("a_relative_path_is_hinted_from_where_it_starts") else { return };
    let scratch = two_places();
    std::env::set_current_dir(scratch.path("one")).unwrap();
    let mut ev = ev(Backend::Epoll);
    for path in ["file", "./file"] {
        let (watcher, told) = watch(&mut ev, path);
        append(&scratch.path("one/file"), "x");
        next(&mut ev, &told);
        append(&scratch.path("two/file"), "x");
        nothing_more(&mut ev, &told);
        // A start finds out where it leads now, and hints follow.
        std::env::set_current_dir(scratch.path("two")).unwrap();
        watcher.stop(&mut ev);
        watcher.start(&mut ev).unwrap();
        append(&scratch.path("two/file"), "x");
        next(&mut ev, &told);
        std::env::set_current_dir(scratch.path("one")).unwrap();
        watcher.free(&mut ev);
    }
}

#[test]
fn a_working_directory_that_was_removed_makes_relative_paths_missing() {
    let name = "a_working_directory_that_was_removed_makes_relative_paths_missing";
    let Some(_dog) = alone(name) else { return };
    let scratch = Scratch::new();
    let here = scratch.dir("here");
    let path = scratch.file("here/file", "");
    std::env::set_current_dir(&here).unwrap();
    let mut ev = ev(Backend::Epoll);
    let (_, told) = watch_often(&mut ev, "file");
    fs::remove_file(&path).unwrap();
    fs::remove_dir(&here).unwrap();
    assert!(!next(&mut ev, &told).1.exists());
    let (late, late_told) = watch_often(&mut ev, "file");
    assert!(!late.attr(&ev).exists() && !late.is_hinted(&ev));
    std::env::set_current_dir(&scratch.0).unwrap();
    scratch.file("file", "text");
    run_until(&mut ev, |_| told.len() > 0 && late_told.len() > 0);
    assert_eq!(late.attr(&ev).size, 4);
}

/// Whom nothing belongs to.
const NOBODY: u32 = 65534;

/// Gives up the rights of root, if they are there.
fn become_nobody() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    // SAFETY: these change who the process is and touch no memory.
    let results = unsafe {
        [
            libc::setgroups(0, std::ptr::null()),
            libc::setresgid(NOBODY, NOBODY, NOBODY),
            libc::setresuid(NOBODY, NOBODY, NOBODY),
        ]
    };
    assert_eq!(results, [0; 3]);
    // The folder for temporary files may be root's own.
    let temporary = std::env::temp_dir();
    if rustix::fs::access(&temporary, rustix::fs::Access::WRITE_OK).is_err() {
        // SAFETY: this process runs one test, and its other threads wait for the end of it.
        unsafe { std::env::set_var("TMPDIR", "/tmp") };
    }
}

#[test]
fn what_may_not_be_looked_at_is_missing_until_it_may() {
    let Some(_dog) = alone("what_may_not_be_looked_at_is_missing_until_it_may") else { return };
    become_nobody();
    let scratch = Scratch::new();
    let (outer, dir) = (scratch.dir("outer"), scratch.dir("outer/dir"));
    let path = scratch.file("outer/dir/file", "");
    let allow = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    for backend in BACKENDS {
        for closed in [&dir, &outer] {
            allow(closed, 0);
            let mut ev = ev(backend);
            let (watcher, told) = watch_often(&mut ev, &path);
            assert!(!watcher.attr(&ev).exists() && !watcher.is_hinted(&ev));
            allow(closed, 0o700);
            assert!(next(&mut ev, &told).1.exists());
            append(&path, "x");
            next(&mut ev, &told);
            assert!(watcher.is_hinted(&ev));
            allow(closed, 0o600);
            if *closed == dir {
                assert!(!next(&mut ev, &told).1.exists());
                assert!(!watcher.is_hinted(&ev));
            }
            allow(closed, 0o700);
        }
    }
}

#[test]
fn a_directory_that_may_be_entered_but_not_read_is_polled() {
    let name = "a_directory_that_may_be_entered_but_not_read_is_polled";
    let Some(_dog) = alone(name) else { return };
    become_nobody();
    let scratch = Scratch::new();
    let (dir, path) = (scratch.dir("dir"), scratch.path("dir/file"));
    scratch.file("dir/file", "");
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o300)).unwrap();
    let mut ev = ev(Backend::Epoll);
    let (watcher, told) = watch_often(&mut ev, &path);
    assert!(watcher.attr(&ev).exists() && !watcher.is_hinted(&ev));
    append(&path, "x");
    assert_eq!(next(&mut ev, &told).1.size, 1);
    // Once it may be read, a look asks for hints again.
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o700)).unwrap();
    look_until(&mut ev, |ev| watcher.is_hinted(ev));
    nothing_more(&mut ev, &told);
    append(&path, "x");
    assert_eq!(next(&mut ev, &told).1.size, 2);
}

// --- limits ----------------------------------------------------------------------------------------

const USER: [&str; 2] = ["-U", "-r"];

#[test]
fn beyond_the_limit_of_inotify_watches_it_polls_until_one_is_free() {
    let name = "beyond_the_limit_of_inotify_watches_it_polls_until_one_is_free";
    let setup = "echo 2 >/proc/sys/user/max_inotify_watches";
    let Some(_dog) = alone_after(name, &USER, setup) else { return };
    let scratch = Scratch::new();
    let mut ev = ev(Backend::Epoll);
    let all: Vec<_> = (0..4)
        .map(|n| {
            scratch.dir(&n.to_string());
            let path = scratch.file(&format!("{n}/file"), "");
            let (watcher, told) = watch_often(&mut ev, &path);
            (path, watcher, told)
        })
        .collect();
    let hinted: Vec<_> = all.iter().map(|(_, watcher, _)| watcher.is_hinted(&ev)).collect();
    assert_eq!(hinted, [true, true, false, false], "the limit was reached");
    assert_eq!(watches().len(), 2);
    for (path, _, told) in &all {
        append(path, "x");
        assert_eq!(next(&mut ev, told).1.size, 1, "told all the same");
    }
    all[0].1.free(&mut ev);
    look_until(&mut ev, |ev| all[2].1.is_hinted(ev) || all[3].1.is_hinted(ev));
    assert_eq!(watches().len(), 2);
    for (path, _, told) in &all[1..] {
        append(path, "x");
        assert_eq!(next(&mut ev, told).1.size, 2);
    }
}

#[test]
fn without_inotify_instances_it_polls() {
    let setup = "echo 0 >/proc/sys/user/max_inotify_instances";
    let name = "without_inotify_instances_it_polls";
    let Some(_dog) = alone_after(name, &USER, setup) else { return };
    let scratch = Scratch::new();
    for backend in BACKENDS {
        let mut ev = ev(backend);
        let (before, quiet) = (descriptors(), threads());
        let path = scratch.file("file", "");
        let (watcher, told) = watch_often(&mut ev, &path);
        let (missing, other) = watch_often(&mut ev, scratch.path("missing/file"));
        assert!(!watcher.is_hinted(&ev) && !missing.is_hinted(&ev));
        append(&path, "x");
        assert_eq!(next(&mut ev, &told).1.size, 1);
        scratch.dir("missing");
        scratch.file("missing/file", "text");
        assert_eq!(next(&mut ev, &other).1.size, 4);
        assert_eq!(descriptors(), before, "nothing is left of the attempt");
        await_threads(&quiet);
        let by_default = ev.stat(&path, ZERO, ignores).start(&mut ev).unwrap();
        missing.free(&mut ev);
        watcher.free(&mut ev);
        let due = ev.next_deadline().unwrap().duration_since(ev.now());
        assert!(due > secs(4) && due < secs(6), "unhinted, about 5 s: {due:?}");
        assert!(!by_default.is_hinted(&ev));
        fs::remove_dir_all(scratch.path("missing")).unwrap();
    }
}

#[test]
fn without_threads_it_polls() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Some(_dog) = alone("without_threads_it_polls") else { return };
    become_nobody();
    let scratch = Scratch::new();
    let path = scratch.file("file", "");
    let limit = getrlimit(Resource::Nproc);
    setrlimit(Resource::Nproc, Rlimit { current: Some(0), ..limit }).unwrap();
    if thread::Builder::new().spawn(|| ()).is_ok() {
        println!("{SKIPPED}the limit of threads does not hold for this user");
        return;
    }
    let mut ev = ev(Backend::Epoll);
    let before = descriptors();
    let (watcher, told) = watch_often(&mut ev, &path);
    assert!(!watcher.is_hinted(&ev));
    append(&path, "x");
    assert_eq!(next(&mut ev, &told).1.size, 1);
    assert_eq!(descriptors(), before);
}

#[test]
fn files_on_an_overlay_are_hinted() {
    let name = "files_on_an_overlay_are_hinted";
    // Mounted upon, a folder shows nothing of what it had: not the one that this program is in.
    let program = std::env::current_exe().unwrap();
    let usable = |folder: &&str| Path::new(folder).is_dir() && !program.starts_with(folder);
    let Some(below) = ["/tmp", "/mnt", "/media", "/srv"].into_iter().find(usable) else {
        println!("{name}: {SKIPPED}there is no folder to mount upon");
        return;
    };
    let setup = format!(
        "mount -t tmpfs tmpfs {below} && cd {below} && mkdir lower upper work merged && \
         echo text >lower/file && mount -t overlay overlay \
         -o lowerdir=lower,upperdir=upper,workdir=work merged"
    );
    let Some(_dog) = alone_after(name, &["-U", "-r", "-m"], &setup) else { return };
    let merged = Path::new(below).join("merged");
    let path = merged.join("file");
    let mut ev = ev(Backend::Epoll);
    let (watcher, told) = watch(&mut ev, &path);
    let is_hinted = watcher.is_hinted(&ev);
    // The first write copies it up: another inode on some kernels, and yet the same path.
    append(&path, "more");
    run_until(&mut ev, |_| told.len() > 0);
    assert_eq!(watcher.attr(&ev).size, 9);
    told.take();
    append(&path, "more");
    run_until(&mut ev, |_| told.len() > 0);
    assert_eq!(watcher.attr(&ev).size, 13);
    assert!(is_hinted && watcher.is_hinted(&ev));
    fs::remove_file(&path).unwrap();
    run_until(&mut ev, |_| told.len() > 1);
    assert!(!watcher.attr(&ev).exists());
}

// --- queue overflow --------------------------------------------------------------------------------

#[test]
fn when_the_kernels_queue_runs_over_everybody_looks_again() {
    let Some(_dog) = alone("when_the_kernels_queue_runs_over_everybody_looks_again") else {
        return;
    };
    let queue = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
    let queue: usize = queue.trim().parse().unwrap();
    if queue > 100_000 {
        println!("{SKIPPED}the queue of inotify is too long to fill: {queue}");
        return;
    }
    let scratch = Scratch::new();
    scratch.dir("dir");
    let paths = [scratch.file("one", ""), scratch.file("dir/two", ""), scratch.path("three")];
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    let told_of = paths.clone();
    let child = fork(move || {
        let mut line = theirs;
        let mut ev = ev(Backend::Epoll);
        let all: Vec<_> = told_of.iter().map(|path| watch(&mut ev, path)).collect();
        settle(&mut ev);
        line.write_all(&hint_thread().to_le_bytes()).unwrap();
        line.read_exact(&mut [0]).unwrap();
        run_until(&mut ev, |_| all.iter().all(|(_, told)| told.len() > 0));
        let sizes = all.iter().map(|(watcher, _)| watcher.attr(&ev).size);
        assert_eq!(sizes.collect::<Vec<_>>(), [4, 5, 6]);
        settle(&mut ev);
        for (path, (watcher, told)) in told_of.iter().zip(&all) {
            assert_eq!(told.take().len(), 1, "{path:?}");
            assert!(watcher.is_hinted(&ev), "{path:?} is watched again");
            append(path, "x");
            next(&mut ev, told);
        }
    });
    let mut tid = [0; 4];
    ours.read_exact(&mut tid).unwrap();
    let Some(stopped) = Stopped::thread(i32::from_le_bytes(tid)) else {
        // SAFETY: a signal to our own child, which has not been waited for.
        unsafe { libc::kill(child.0, libc::SIGKILL) };
        println!("{SKIPPED}threads cannot be stopped here");
        return;
    };
    // Opened and closed: two events, and the kernel merges only equal neighbours.
    for n in 0..queue / 2 + 1000 {
        scratch.file(if n % 2 == 0 { "flood" } else { "inundation" }, "");
    }
    // Of all this nothing can be in the queue any more.
    append(&paths[0], "text");
    fs::remove_dir_all(scratch.path("dir")).unwrap();
    scratch.dir("dir");
    scratch.file("dir/two", "again");
    scratch.file("three", "appear");
    drop(stopped);
    ours.write_all(&[0]).unwrap();
    child.join();
}

/// The thread for hints of this process.
fn hint_thread() -> i32 {
    let tasks = fs::read_dir("/proc/self/task").unwrap().flatten();
    let is_it = |path: &Path| {
        fs::read_to_string(path.join("comm")).is_ok_and(|name| name.starts_with("notify"))
    };
    let task = tasks.map(|task| task.path()).find(|path| is_it(path)).unwrap();
    task.file_name().unwrap().to_str().unwrap().parse().unwrap()
}

/// A thread of a child that does not go on until this is dropped.
struct Stopped(i32);

impl Stopped {
    fn thread(tid: i32) -> Option<Self> {
        let nothing = std::ptr::null_mut::<libc::c_void>();
        // SAFETY: without options this touches no memory of ours.
        if unsafe { libc::ptrace(libc::PTRACE_SEIZE, tid, nothing, nothing) } != 0 {
            return None;
        }
        // SAFETY: as before.
        assert_eq!(unsafe { libc::ptrace(libc::PTRACE_INTERRUPT, tid, nothing, nothing) }, 0);
        let mut status = 0;
        // SAFETY: the pointer is to a local that outlives the call.
        assert_eq!(unsafe { libc::waitpid(tid, &raw mut status, libc::__WALL) }, tid);
        assert!(libc::WIFSTOPPED(status));
        Some(Self(tid))
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        let nothing = std::ptr::null_mut::<libc::c_void>();
        // SAFETY: without a signal this touches no memory of ours.
        unsafe { libc::ptrace(libc::PTRACE_DETACH, self.0, nothing, nothing) };
    }
}

// --- forks -----------------------------------------------------------------------------------------

struct Forked(i32);

/// Runs `f` in a forked child, which is over when it returns or panics, or after a minute.
fn fork(f: impl FnOnce()) -> Forked {
    // SAFETY: glibc's fork leaves the allocator usable in the child, and the child takes no other lock
    // that a thread of the parent's may hold: that the library does not is what is tested.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "fork");
    if pid == 0 {
        // SAFETY: sets a timer, touches no memory.
        unsafe { libc::alarm(60) };
        let passed = catch_unwind(AssertUnwindSafe(f)).is_ok();
        // SAFETY: ends the process and touches nothing else.
        unsafe { libc::_exit(i32::from(!passed)) };
    }
    Forked(pid)
}

impl Forked {
    #[track_caller]
    fn join(self) {
        let mut status = -1;
        // SAFETY: the pointer is to a local that outlives the call; the child is our own.
        assert_eq!(unsafe { libc::waitpid(self.0, &raw mut status, 0) }, self.0);
        assert_eq!(status, 0, "the child has failed or did not end");
    }
}

#[test]
fn a_forked_child_that_takes_over_has_hints_of_its_own() {
    let Some(_dog) = alone("a_forked_child_that_takes_over_has_hints_of_its_own") else { return };
    let scratch = Scratch::new();
    let path = scratch.file("file", "");
    for backend in BACKENDS {
        fs::write(&path, "").unwrap();
        let mut ev = ev(backend);
        let (watcher, told) = watch(&mut ev, &path);
        let (missing, _) = watch(&mut ev, scratch.path("missing/file"));
        fork(|| {
            ev.after_fork().unwrap();
            assert!(watcher.is_active(&ev) && watcher.is_hinted(&ev));
            assert_eq!(threads().len(), 2, "this one, and its own for hints");
            nothing_more(&mut ev, &told);
            append(&path, "child");
            assert_eq!(next(&mut ev, &told).1.size, 5);
            missing.free(&mut ev);
            watcher.stop(&mut ev);
            await_threads(&[thread_name()]);
            watcher.start(&mut ev).unwrap();
            append(&path, "again");
            assert_eq!(next(&mut ev, &told).1.size, 10);
        })
        .join();
        // What the child did is news here, and nothing of it has hurt.
        assert!(watcher.is_hinted(&ev));
        assert_eq!(next(&mut ev, &told).1.size, 10);
        append(&path, "parent");
        assert_eq!(next(&mut ev, &told).1.size, 16);
    }
}

#[test]
fn parent_and_child_are_both_told_while_both_live() {
    let Some(_dog) = alone("parent_and_child_are_both_told_while_both_live") else { return };
    let scratch = Scratch::new();
    let path = scratch.file("file", "");
    let mut ev = ev(Backend::Epoll);
    let (_, told) = watch(&mut ev, &path);
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    let child = fork(|| {
        let mut line = &theirs;
        ev.after_fork().unwrap();
        for size in 1..4 {
            line.write_all(b"x").unwrap();
            assert_eq!(next(&mut ev, &told).1.size, size);
        }
    });
    for size in 1..4 {
        ours.read_exact(&mut [0]).unwrap();
        append(&path, "x");
        assert_eq!(next(&mut ev, &told).1.size, size);
    }
    child.join();
}

#[test]
fn a_forked_child_that_does_not_take_over_drops_everything_and_hurts_nobody() {
    let name = "a_forked_child_that_does_not_take_over_drops_everything_and_hurts_nobody";
    let Some(_dog) = alone(name) else { return };
    let scratch = Scratch::new();
    let path = scratch.file("file", "");
    for backend in BACKENDS {
        let mut ev = ev(backend);
        let (watcher, told) = watch(&mut ev, &path);
        let (freed, _) = watch(&mut ev, scratch.path("missing/file"));
        let idle = ev.stat(&path, ZERO, ignores);
        let parents = watches().len();
        let mut childs = Some(ev);
        let child = fork(|| {
            let mut ev = childs.take().unwrap();
            assert_eq!(ev.run_mode(Run::NoWait).unwrap_err().kind(), ErrorKind::Forked);
            assert_eq!(idle.start(&mut ev).unwrap_err().kind(), ErrorKind::Forked);
            assert!(!idle.is_active(&ev));
            assert!(freed.free(&mut ev) && watcher.stop(&mut ev));
            drop(ev);
            assert_eq!(watches().len(), parents, "they are the parent's");
            // A loop of its own is another matter.
            let mut own = EvLoop::new().unwrap();
            let (own_watcher, own_told) = watch(&mut own, &path);
            assert!(own_watcher.is_hinted(&own));
            append(&path, "x");
            next(&mut own, &own_told);
        });
        child.join();
        let mut ev = childs.unwrap();
        assert!(watcher.is_hinted(&ev) && freed.is_active(&ev));
        next(&mut ev, &told);
        append(&path, "x");
        next(&mut ev, &told);
        nothing_more(&mut ev, &told);
    }
}

#[test]
fn what_changes_between_the_fork_and_taking_over_is_told() {
    let name = "what_changes_between_the_fork_and_taking_over_is_told";
    let Some(_dog) = alone(name) else { return };
    let scratch = Scratch::new();
    let (path, missing) = (scratch.file("file", ""), scratch.path("a/b/file"));
    for hints in [true, false] {
        let mut ev = builder(Backend::Epoll).stat_hints(hints).build().unwrap();
        let (_, told) = watch_often(&mut ev, &path);
        let (_, appeared) = watch_often(&mut ev, &missing);
        fork(|| {
            append(&path, "x");
            scratch.dir("a/b");
            fs::write(&missing, "text").unwrap();
            ev.after_fork().unwrap();
            ev.verify();
            run_until(&mut ev, |_| told.len() > 0 && appeared.len() > 0);
            assert_eq!(told.take().len(), 1);
            assert_eq!(appeared.take()[0].1.size, 4);
        })
        .join();
        fs::remove_dir_all(scratch.path("a")).unwrap();
    }
}

#[test]
fn what_taking_over_has_found_is_not_told_to_a_watcher_that_is_stopped_then() {
    let Some(_dog) =
        alone("what_taking_over_has_found_is_not_told_to_a_watcher_that_is_stopped_then")
    else {
        return;
    };
    let scratch = Scratch::new();
    let path = scratch.file("file", "");
    for backend in BACKENDS {
        let mut ev = ev(backend);
        let (watcher, told) = watch(&mut ev, &path);
        append(&path, "news");
        for start_again in [false, true] {
            fork(|| {
                ev.after_fork().unwrap();
                watcher.stop(&mut ev);
                if start_again {
                    watcher.start(&mut ev).unwrap();
                }
                assert!(!watcher.is_pending(&ev));
                nothing_more(&mut ev, &told);
            })
            .join();
        }
        assert!(next(&mut ev, &told).1.size > 0);
    }
}

#[test]
fn a_loop_that_follows_forks_has_its_hints_renewed_by_itself() {
    let name = "a_loop_that_follows_forks_has_its_hints_renewed_by_itself";
    let Some(_dog) = alone(name) else { return };
    let scratch = Scratch::new();
    let path = scratch.file("file", "");
    let mut ev = builder(Backend::Epoll).follow_fork(true).build().unwrap();
    let (watcher, told) = watch(&mut ev, &path);
    fork(|| {
        ev.run_mode(Run::NoWait).unwrap();
        assert!(watcher.is_hinted(&ev));
        append(&path, "x");
        assert_eq!(next(&mut ev, &told).1.size, 1);
        // And the child's child.
        fork(|| {
            append(&path, "x");
            assert_eq!(next(&mut ev, &told).1.size, 2);
        })
        .join();
        assert_eq!(next(&mut ev, &told).1.size, 2);
    })
    .join();
    assert_eq!(next(&mut ev, &told).1.size, 2);
}

#[test]
fn a_fork_while_other_threads_start_and_stop_watchers_does_not_lock_up_the_child() {
    let name = "a_fork_while_other_threads_start_and_stop_watchers_does_not_lock_up_the_child";
    let Some(_dog) = alone(name) else { return };
    let scratch = Scratch::new();
    let path = scratch.file("file", "");
    let mut ev = ev(Backend::Epoll);
    let (watcher, told) = watch(&mut ev, &path);
    let over = Arc::new(AtomicBool::new(false));
    let churn = {
        let (over, dir) = (Arc::clone(&over), scratch.dir("dir"));
        thread::spawn(move || {
            let mut ev = EvLoop::new().unwrap();
            while !over.load(Ordering::Relaxed) {
                let watcher = ev.stat(dir.join("file"), ZERO, ignores).start(&mut ev).unwrap();
                fs::write(dir.join("file"), "text").unwrap();
                watcher.free(&mut ev);
            }
        })
    };
    for size in 1..11 {
        fork(|| {
            ev.after_fork().unwrap();
            assert!(watcher.is_hinted(&ev));
            append(&path, "x");
            assert_eq!(next(&mut ev, &told).1.size, size);
        })
        .join();
        assert_eq!(next(&mut ev, &told).1.size, size);
    }
    over.store(true, Ordering::Relaxed);
    churn.join().unwrap();
}
