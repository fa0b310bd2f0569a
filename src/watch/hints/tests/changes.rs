//! What is hinted, to whom, and what is not.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::Ordering;

use super::*;

#[test]
fn an_inbox_rings_once_and_holds_each_key_once() {
    #[derive(Default)]
    struct Count(AtomicU32);
    impl Ring for Count {
        fn ring(&self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let count = Arc::new(Count::default());
    let inbox = Inbox::new(Arc::clone(&count) as Arc<dyn Ring>);
    for key in [7, 3, 7, 3, 9] {
        inbox.hint(key);
    }
    assert_eq!((inbox.take(), count.0.load(Ordering::Relaxed)), (vec![7, 3, 9], 1));
    assert_eq!(inbox.take(), []);
    inbox.hint(3);
    assert_eq!((inbox.take(), count.0.load(Ordering::Relaxed)), (vec![3], 2));
}

#[test]
fn every_kind_of_change_is_hinted() {
    let scratch = Scratch::new("kinds");
    let path = scratch.file("file");
    let mut it = scratch.subscribe(1, &path);
    assert_eq!(it.coverage(), Coverage::Full);

    fs::write(&path, "more").unwrap();
    scratch.wait(1);
    scratch.settle();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    scratch.wait(1);
    scratch.settle();
    File::options().write(true).open(&path).unwrap().set_len(0).unwrap();
    scratch.wait(1);
    scratch.settle();
    fs::remove_file(&path).unwrap();
    scratch.wait(1);
    it.renew(&scratch.inbox, &path);
    assert_eq!(it.coverage(), Coverage::Partial, "what is missing is polled");
    scratch.settle();
    scratch.file("file");
    scratch.wait(1);
    it.renew(&scratch.inbox, &path);
    assert_eq!(it.coverage(), Coverage::Full);
    scratch.settle();
    fs::rename(scratch.file("other"), &path).unwrap();
    scratch.wait(1);
    scratch.settle();
    // The one that came by renaming is watched as well.
    fs::write(&path, "again").unwrap();
    scratch.wait(1);
    scratch.settle();
    fs::rename(&path, scratch.path("away")).unwrap();
    scratch.wait(1);
    scratch.settle();
    fs::hard_link(scratch.path("away"), &path).unwrap();
    scratch.wait(1);
}

#[test]
fn names_of_others_are_not_hinted() {
    let scratch = Scratch::new("others");
    let path = scratch.file("file");
    let _it = scratch.subscribe(1, &path);
    scratch.file("file2");
    fs::write(scratch.path("fil"), "x").unwrap();
    fs::create_dir(scratch.path("below")).unwrap();
    scratch.file("below/file");
    fs::rename(scratch.path("fil"), scratch.path("FILE")).unwrap();
    fs::remove_file(scratch.path("FILE")).unwrap();
    assert_eq!(scratch.settle(), []);
    fs::write(&path, "x").unwrap();
    assert_eq!(scratch.wait(1), [1]);
}

#[test]
fn reading_is_not_hinted() {
    let scratch = Scratch::new("reading");
    let path = scratch.file("file");
    fs::write(&path, "text").unwrap();
    let _file = scratch.subscribe(1, &path);
    let _dir = scratch.subscribe(2, &scratch.dir);
    scratch.settle();
    let mut text = String::new();
    File::open(&path).unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(fs::read_dir(&scratch.dir).unwrap().count(), 2);
    // The mark is there already, so that the directory does not change.
    assert_eq!(scratch.settle(), []);
}

#[test]
fn a_directory_is_hinted_of_its_entries_but_not_of_what_is_written_into_them() {
    let scratch = Scratch::new("directory");
    let dir = scratch.path("dir");
    fs::create_dir(&dir).unwrap();
    let mut it = scratch.subscribe(1, &dir);
    assert_eq!(it.coverage(), Coverage::Full);
    assert_eq!((watches_of(&dir), watches_of(&scratch.dir)), (1, 1));
    let path = scratch.file("dir/entry");
    scratch.wait(1);
    scratch.settle();
    fs::write(&path, "text").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(scratch.settle(), []);
    fs::rename(&path, scratch.path("dir/renamed")).unwrap();
    scratch.wait(1);
    scratch.settle();
    fs::remove_file(scratch.path("dir/renamed")).unwrap();
    scratch.wait(1);
    scratch.settle();
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o700)).unwrap();
    scratch.wait(1);
    scratch.settle();
    fs::remove_dir(&dir).unwrap();
    scratch.wait(1);
    it.renew(&scratch.inbox, &dir);
    assert_eq!(it.coverage(), Coverage::Partial);
    // A file now, and no more a directory.
    scratch.file("dir");
    scratch.wait(1);
    it.renew(&scratch.inbox, &dir);
    assert_eq!((it.coverage(), watches_of(&dir)), (Coverage::Full, 0));
}

#[test]
fn ten_thousand_names_in_one_directory_are_one_watch() {
    let scratch = Scratch::new("many");
    let path = |n: u64| scratch.path(&format!("file {n}"));
    let before = watches_of(&scratch.dir);
    let many: Vec<_> = (0..10_000).map(|n| scratch.subscribe(n, path(n))).collect();
    assert_eq!((before, watches_of(&scratch.dir)), (0, 1));
    fs::write(path(7000), "").unwrap();
    assert_eq!(scratch.wait(7000), [7000]);
    drop(many);
    assert_eq!(watches_of(&scratch.dir), 0);
}

#[test]
fn subscriptions_of_one_path_are_independent() {
    let scratch = Scratch::new("same");
    let path = scratch.file("file");
    let mut all: Vec<_> = (0..1000).map(|key| Some(scratch.subscribe(key, &path))).collect();
    fs::write(&path, "text").unwrap();
    assert!(scratch.settle().into_iter().eq(0..1000));
    for it in all.iter_mut().step_by(2) {
        *it = None;
    }
    fs::write(&path, "more").unwrap();
    assert!(scratch.settle().into_iter().eq((1..1000).step_by(2)));
    drop(all);
    fs::write(&path, "still more").unwrap();
    assert_eq!(scratch.settle(), []);
    assert_eq!(watches_of(&scratch.dir), 0);
}

#[test]
fn loops_have_hints_of_their_own() {
    let (one, two) = (Scratch::new("loop-one"), Scratch::new("loop-two"));
    let path = one.file("file");
    let (first, _second) = (one.subscribe(1, &path), two.subscribe(1, &path));
    assert_eq!(watches_of(&one.dir), 1);
    fs::write(&path, "text").unwrap();
    one.wait(1);
    two.wait(1);
    // A write is two events; what is hinted before the drop may still be taken after it.
    one.settle();
    drop(first);
    fs::write(&path, "more").unwrap();
    two.wait(1);
    assert_eq!(one.settle(), []);
}

#[test]
fn renewing_what_has_not_changed_asks_notify_nothing() {
    let scratch = Scratch::new("renew");
    let path = scratch.file("file");
    let mut it = scratch.subscribe(1, &path);
    let hub = it.hub;
    // It would wait for this lock.
    let _control = lock(&hub.control);
    it.renew(&scratch.inbox, &path);
    assert_eq!(it.coverage(), Coverage::Full);
    fs::write(&path, "text").unwrap();
    scratch.wait(1);
    it.renew(&scratch.inbox, &path);
    assert_eq!(it.coverage(), Coverage::Full);
}
