//! Hints where the whole process counts: each in one of its own.

use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::process::Command;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::thread;

use notify::event::Flag;
use notify::{EventHandler as _, EventKind};

use super::*;
use crate::watch::hints::handler::Handler;
use crate::watch::hints::hub::hub;

/// Runs the test again in a process of its own, by way of `wrapper`; `true` in that process.
///
/// For tests that count what the process has, or have everybody hinted: they share the hub.
fn is_alone(test: &str, wrapper: &[&str]) -> bool {
    if env::var_os("EVLOOP_ALONE").is_some() {
        return true;
    }
    let test = format!("watch::hints::tests::alone::{test}");
    let exe = env::current_exe().unwrap();
    let mut words = wrapper.iter().map(OsStr::new).chain([exe.as_os_str()]);
    let mut command = Command::new(words.next().unwrap());
    command.args(words).args(["--exact", &test, "--test-threads", "1"]);
    let output = command.env("EVLOOP_ALONE", "1").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{output:?}");
    false
}

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

#[test]
fn when_events_were_missed_everybody_is_hinted_and_watched_anew() {
    if !is_alone("when_events_were_missed_everybody_is_hinted_and_watched_anew", &[]) {
        return;
    }
    let scratch = Scratch::new("missed");
    let path = scratch.file("file");
    let mut one = scratch.subscribe(1, &path);
    let _two = scratch.subscribe(2, scratch.path("missing/file"));
    let (end, _running) = mpsc::channel();
    let mut handler = Handler { hub: one.hub, _end: end };
    handler.handle_event(Ok(notify::Event::new(EventKind::Other).set_flag(Flag::Rescan)));
    let mut keys = scratch.wait(2);
    keys.extend(scratch.settle());
    assert!(keys.contains(&1), "{keys:?}");
    one.renew(&scratch.inbox, &path);
    assert_eq!((one.coverage(), watches_of(&scratch.dir)), (Coverage::Full, 1));
    scratch.settle();
    handler.handle_event(Err(notify::Error::generic("test")));
    scratch.wait(1);
    one.renew(&scratch.inbox, &path);
    scratch.settle();
    fs::write(&path, "text").unwrap();
    scratch.wait(1);
}

#[test]
fn threads_may_subscribe_and_go_at_the_same_time() {
    if !is_alone("threads_may_subscribe_and_go_at_the_same_time", &[]) {
        return;
    }
    let scratch = Scratch::new("threads");
    thread::scope(|scope| {
        for n in 0..4 {
            let scratch = &scratch;
            scope.spawn(move || {
                let dir = scratch.path(&format!("dir {}", n % 2));
                let path = dir.join("file");
                for key in 0..200 {
                    let _ = fs::create_dir(&dir);
                    let mut it = scratch.subscribe(key, &path);
                    let _ = fs::write(&path, "");
                    it.renew(&scratch.inbox, &path);
                    let _ = fs::remove_dir_all(&dir);
                    it.renew(&scratch.inbox, &path);
                }
            });
        }
    });
    scratch.settle();
    assert_eq!(watches_of(&scratch.dir), 0);
}

#[test]
fn with_the_last_subscription_all_descriptors_go() {
    if !is_alone("with_the_last_subscription_all_descriptors_go", &[]) {
        return;
    }
    let scratch = Scratch::new("last");
    let path = scratch.file("file");
    let before = descriptors();
    for _ in 0..200 {
        let one = scratch.subscribe(1, &path);
        let two = scratch.subscribe(2, &scratch.dir);
        assert!(descriptors() > before);
        drop(one);
        assert!(descriptors() > before);
        fs::write(&path, "text").unwrap();
        drop(two);
        assert_eq!(descriptors(), before);
    }
    let _it = scratch.subscribe(1, &path);
    scratch.settle();
    fs::write(&path, "text").unwrap();
    scratch.wait(1);
}

#[test]
fn a_forked_child_starts_anew_and_leaves_the_parents_watches_alone() {
    if !is_alone("a_forked_child_starts_anew_and_leaves_the_parents_watches_alone", &[]) {
        return;
    }
    let mut scratch = Scratch::new("fork");
    let path = scratch.file("file");
    let mut kept = scratch.subscribe(1, &path);
    let dropped = scratch.subscribe(2, &path);
    let parents = kept.hub;
    // A thread of the parent held everything when it forked.
    let control = lock(&parents.control);
    let table = lock(&parents.table);
    let hinted = scratch.inbox.clone();
    let hinted = lock(&hinted.hinted);
    FORKS.fetch_add(1, Ordering::Relaxed);
    drop(dropped);
    assert_eq!(scratch.inbox.take(), []);
    scratch.inbox = Arc::new(Inbox::new(Arc::clone(&scratch.ear) as Arc<dyn Ring>));
    kept.renew(&scratch.inbox, &path);
    assert_eq!(kept.coverage(), Coverage::Full);
    assert_eq!(watches_of(&scratch.dir), 2, "the parent's, and the child's");
    fs::write(&path, "text").unwrap();
    scratch.wait(1);
    scratch.settle();
    drop(kept);
    assert_eq!(watches_of(&scratch.dir), 1);
    drop((control, table, hinted));
}

#[test]
fn without_descriptors_there_are_no_hints_and_no_error() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    if !is_alone("without_descriptors_there_are_no_hints_and_no_error", &[]) {
        return;
    }
    let scratch = Scratch::new("descriptors");
    let path = scratch.file("file");
    let limit = getrlimit(Resource::Nofile);
    // Fills the gaps: the limit is one of numbers.
    let files: Vec<_> = (0..50).map(|_| File::open("/dev/null").unwrap()).collect();
    let first_free = files[49].as_raw_fd() as u64 + 1;
    // From nothing to just not enough, whatever fails first.
    for spare in 0..3 {
        let before = descriptors();
        let current = Some(first_free + spare);
        setrlimit(Resource::Nofile, Rlimit { current, ..limit }).unwrap();
        let mut it = scratch.subscribe(1, &path);
        assert_eq!(it.coverage(), Coverage::None, "{spare}");
        setrlimit(Resource::Nofile, limit).unwrap();
        assert_eq!(descriptors(), before);
        it.renew(&scratch.inbox, &path);
        assert_eq!(it.coverage(), Coverage::None, "not asked again so soon");
        lock(&hub().control).refused = None;
        it.renew(&scratch.inbox, &path);
        assert_eq!(it.coverage(), Coverage::Full);
    }
}

#[test]
fn without_threads_there_are_no_hints_and_no_error() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    if !is_alone("without_threads_there_are_no_hints_and_no_error", &[]) {
        return;
    }
    let scratch = Scratch::new("no-threads");
    let path = scratch.file("file");
    let limit = getrlimit(Resource::Nproc);
    setrlimit(Resource::Nproc, Rlimit { current: Some(0), ..limit }).unwrap();
    if thread::Builder::new().spawn(|| ()).is_ok() {
        // Root may have as many as it likes.
        return;
    }
    let before = descriptors();
    let mut it = scratch.subscribe(1, &path);
    assert_eq!((it.coverage(), descriptors()), (Coverage::None, before));
    setrlimit(Resource::Nproc, limit).unwrap();
    lock(&hub().control).refused = None;
    it.renew(&scratch.inbox, &path);
    assert_eq!(it.coverage(), Coverage::Full);
}

#[test]
fn beyond_the_limit_of_watches_there_are_no_hints_until_one_is_free() {
    // Limits of a user namespace are the safe way to have few.
    let limit = "echo 2 >/proc/sys/user/max_inotify_watches && exec \"$0\" \"$@\"";
    let wrapper = ["unshare", "-U", "-r", "sh", "-c", limit];
    let alone = env::var_os("EVLOOP_ALONE").is_some();
    let try_out = ["-U", "-r", "test", "-w", "/proc/sys/user/max_inotify_watches"];
    if !alone && !Command::new("unshare").args(try_out).status().is_ok_and(|s| s.success()) {
        return;
    }
    let name = "beyond_the_limit_of_watches_there_are_no_hints_until_one_is_free";
    if !is_alone(name, &wrapper) {
        return;
    }
    let scratch = Scratch::new("limit");
    let path = |n: u64| scratch.path(&format!("{n}/file"));
    for n in 0..4 {
        fs::create_dir(scratch.path(&n.to_string())).unwrap();
        fs::write(path(n), "").unwrap();
    }
    let mut all: Vec<_> = (0..4).map(|n| scratch.subscribe(n, path(n))).collect();
    let coverages: Vec<_> = all.iter().map(Subscription::coverage).collect();
    let (full, none) = (Coverage::Full, Coverage::None);
    assert_eq!(coverages, [full, full, none, none]);
    drop(all.remove(0));
    all[1].renew(&scratch.inbox, &path(2));
    all[2].renew(&scratch.inbox, &path(3));
    assert_eq!((all[1].coverage(), all[2].coverage()), (full, none));
    fs::write(path(2), "text").unwrap();
    scratch.wait(2);
    // A directory that is watched may be exchanged all the same.
    fs::remove_dir_all(scratch.path("2")).unwrap();
    scratch.wait(2);
}
