//! Where paths lead, and that they are followed.

use std::os::unix::fs::symlink;

use super::*;
use crate::watch::hints::locality::{is_local, is_mounted_on};
use crate::watch::hints::route::{Id, Place};

#[test]
fn missing_parents_are_waited_for_one_by_one() {
    let scratch = Scratch::new("parents");
    let path = scratch.path("a/b/c/file");
    let mut it = scratch.subscribe(1, &path);
    for dir in ["a", "a/b", "a/b/c"] {
        assert_eq!(it.coverage(), Coverage::Partial);
        fs::create_dir(scratch.path(dir)).unwrap();
        scratch.wait(1);
        it.renew(&scratch.inbox, &path);
    }
    assert_eq!(it.coverage(), Coverage::Partial);
    assert_eq!((watches_of(&scratch.dir), watches_of(&scratch.path("a/b/c"))), (0, 1));
    fs::write(&path, "").unwrap();
    scratch.wait(1);
    it.renew(&scratch.inbox, &path);
    assert_eq!(it.coverage(), Coverage::Full);
    // And back again.
    fs::remove_dir_all(scratch.path("a")).unwrap();
    scratch.wait(1);
    it.renew(&scratch.inbox, &path);
    assert_eq!((it.coverage(), watches_of(&scratch.dir)), (Coverage::Partial, 1));
}

#[test]
fn parents_that_come_all_at_once_are_found_by_one_renewal() {
    let scratch = Scratch::new("at-once");
    let path = scratch.path("a/b/c/file");
    let mut it = scratch.subscribe(1, &path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, "").unwrap();
    scratch.wait(1);
    it.renew(&scratch.inbox, &path);
    assert_eq!(it.coverage(), Coverage::Full);
    scratch.settle();
    fs::write(&path, "text").unwrap();
    scratch.wait(1);
}

#[test]
fn a_directory_deleted_and_made_again_is_watched_again() {
    let scratch = Scratch::new("again");
    let path = scratch.path("dir/file");
    let other = scratch.path("dir/other");
    fs::create_dir(scratch.path("dir")).unwrap();
    scratch.file("dir/file");
    let mut it = scratch.subscribe(1, &path);
    for _ in 0..100 {
        fs::remove_dir_all(scratch.path("dir")).unwrap();
        fs::create_dir(scratch.path("dir")).unwrap();
        // Comes before, while, or after the deletion is told to notify.
        let mut late = scratch.subscribe(2, &other);
        scratch.file("dir/file");
        scratch.wait(1);
        // What else is hinted of the past may come until it leads to the new one.
        loop {
            it.renew(&scratch.inbox, &path);
            late.renew(&scratch.inbox, &other);
            if it.coverage() == Coverage::Full && scratch.settle().is_empty() {
                break;
            }
        }
        assert_eq!(watches_of(&scratch.path("dir")), 1);
        fs::write(&path, "text").unwrap();
        scratch.wait(1);
        fs::write(&other, "text").unwrap();
        scratch.wait(2);
    }
}

#[test]
fn a_directory_exchanged_for_another_is_followed_by_its_name() {
    let scratch = Scratch::new("exchange");
    let path = scratch.path("dir/file");
    for dir in ["dir", "new"] {
        fs::create_dir(scratch.path(dir)).unwrap();
        scratch.file(&format!("{dir}/file"));
    }
    let mut it = scratch.subscribe(1, &path);
    let mut was = scratch.subscribe(2, scratch.path("new/file"));
    fs::rename(scratch.path("dir"), scratch.path("old")).unwrap();
    fs::rename(scratch.path("new"), scratch.path("dir")).unwrap();
    let all = scratch.wait(1);
    if !all.contains(&2) {
        scratch.wait(2);
    }
    it.renew(&scratch.inbox, &path);
    was.renew(&scratch.inbox, &scratch.path("new/file"));
    assert_eq!((it.coverage(), was.coverage()), (Coverage::Full, Coverage::Partial));
    assert_eq!(watches_of(&scratch.path("old")), 0);
    assert_eq!(watches_of(&scratch.path("dir")), 1);
    scratch.settle();
    fs::write(&path, "text").unwrap();
    scratch.wait(1);
    scratch.settle();
    fs::create_dir(scratch.path("new")).unwrap();
    scratch.wait(2);
}

#[test]
fn a_directory_reached_by_two_paths_is_one_watch() {
    let scratch = Scratch::new("two-paths");
    let dir = scratch.path("dir");
    fs::create_dir(&dir).unwrap();
    symlink("dir", scratch.path("link")).unwrap();
    scratch.file("dir/file");
    let (straight, crooked) = (scratch.path("dir/file"), scratch.path("link/file"));
    let one = scratch.subscribe(1, &straight);
    let two = scratch.subscribe(2, &crooked);
    // That the link is exchanged would not be hinted.
    assert_eq!((one.coverage(), two.coverage()), (Coverage::Full, Coverage::Partial));
    assert_eq!(watches_of(&dir), 1);
    fs::write(&straight, "text").unwrap();
    scratch.wait(2);
    drop(one);
    scratch.settle();
    fs::write(&straight, "more").unwrap();
    scratch.wait(2);
    drop(two);
    assert_eq!(watches_of(&dir), 0);
}

#[test]
fn a_link_is_watched_itself() {
    let scratch = Scratch::new("link");
    let target = scratch.file("target");
    let link = scratch.path("link");
    symlink("target", &link).unwrap();
    let it = scratch.subscribe(1, &link);
    assert_eq!(it.coverage(), Coverage::Full);
    fs::write(&target, "text").unwrap();
    assert_eq!(scratch.settle(), []);
    fs::remove_file(&link).unwrap();
    symlink("nowhere", &link).unwrap();
    scratch.wait(1);
}

#[test]
fn odd_ends_of_paths_lead_where_lstat_goes() {
    let scratch = Scratch::new("odd");
    let dir = scratch.path("dir");
    fs::create_dir(&dir).unwrap();
    symlink("dir", scratch.path("link")).unwrap();
    let cases = [
        ("dir/", Coverage::Full),
        ("dir/.", Coverage::Full),
        ("dir//./", Coverage::Full),
        ("./dir", Coverage::Full),
        ("link", Coverage::Full),
        ("link/", Coverage::Partial),
        ("link/.", Coverage::Partial),
        ("missing/..", Coverage::Partial),
        ("missing/", Coverage::Partial),
    ];
    for (name, coverage) in cases {
        // `join` would tidy up.
        let path = PathBuf::from(format!("{}/{name}", scratch.dir.display()));
        let it = scratch.subscribe(1, &path);
        assert_eq!(it.coverage(), coverage, "{name}");
        let is_dir = fs::symlink_metadata(&path).is_ok_and(|file| file.is_dir());
        assert_eq!(watches_of(&dir), usize::from(is_dir), "{name}");
        if is_dir {
            scratch.file("dir/entry");
            scratch.wait(1);
            fs::remove_file(scratch.path("dir/entry")).unwrap();
        }
        drop(it);
        scratch.settle();
    }
    let up = scratch.subscribe(1, scratch.path("dir/.."));
    assert_eq!(up.coverage(), Coverage::Partial);
    scratch.file("entry");
    scratch.wait(1);

    assert_eq!(scratch.subscribe(2, "/").coverage(), Coverage::Full);
    for path in [".", "..", "Cargo.toml", "src/../Cargo.toml", "nothing/of/the/kind"] {
        assert_ne!(scratch.subscribe(2, path).coverage(), Coverage::None, "{path}");
    }
}

#[test]
fn what_others_may_change_unseen_is_polled() {
    let scratch = Scratch::new("unseen");
    let path = scratch.file("file");
    fs::hard_link(&path, scratch.path("second")).unwrap();
    assert_eq!(scratch.subscribe(1, &path).coverage(), Coverage::Partial);
    let proc = scratch.subscribe(2, "/proc/self/stat");
    assert_eq!(proc.coverage(), Coverage::Partial);
    assert!(is_local(&scratch.dir) && !is_local(Path::new("/proc")));
    let id = |path: &str| Scratch::id(Path::new(path));
    assert!(is_mounted_on(Path::new("/proc"), id("/proc"), id("/")));
    assert!(!is_mounted_on(&scratch.dir, id("/"), id("/")));
}

impl Scratch {
    fn id(path: &Path) -> Id {
        Place::of(path).unwrap().id
    }
}
