// Which paths can be watched, and what stands on the way to them: loop.md 3.6.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::Path;

#[test]
fn what_can_never_be_a_path_is_refused_and_the_watcher_stays_stopped() {
    let scratch = Scratch::new();
    let mut ev = ev();
    let too_long = scratch.path(&"n".repeat(300));
    let too_long_in_all = "a/".repeat(2048);
    let with_nul = Path::new(OsStr::from_bytes(b"a\0b"));
    for path in [Path::new(""), with_nul, &too_long, Path::new(&too_long_in_all)] {
        let watcher = ev.stat(path, ZERO, ignores);
        let error = watcher.start(&mut ev).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{path:?}");
        assert!(watcher.exists(&ev) && !watcher.is_active(&ev));
        assert_eq!(watcher.path(&ev).as_deref(), Some(path));
        assert!(watcher.start_or_free(&mut ev).is_err() && !watcher.exists(&ev));
    }
    assert!(!ev.has_refs() && ev.watchers().is_empty());
    ev.verify();
}

#[test]
fn a_name_that_is_no_text_is_a_name() {
    let scratch = Scratch::new();
    let path = scratch.0.join(OsStr::from_bytes(b"not \xff text\n"));
    let mut ev = ev();
    let (watcher, told) = watch(&mut ev, &path);
    assert_eq!(watcher.path(&ev).as_deref(), Some(&*path));
    fs::write(&path, "text").unwrap();
    assert_eq!(next(&mut ev, &told).1.size, 4);
    append(&path, "more");
    assert_eq!(next(&mut ev, &told).1.size, 8);
}

#[test]
fn names_that_only_begin_alike_are_others() {
    let scratch = Scratch::new();
    let path = scratch.file("file", "");
    let mut ev = ev();
    let (_, told) = watch(&mut ev, &path);
    scratch.file("file2", "x");
    scratch.file("fil", "x");
    fs::rename(scratch.path("fil"), scratch.path("FILE")).unwrap();
    scratch.dir("file.d");
    scratch.file("file.d/file", "x");
    nothing_more(&mut ev, &told);
}

#[test]
fn parents_may_be_created_later_one_by_one() {
    let scratch = Scratch::new();
    let path = scratch.path("a/b/c/file");
    let mut ev = ev();
    let (watcher, told) = watch(&mut ev, &path);
    for dir in ["a", "a/b", "a/b/c"] {
        scratch.dir(dir);
        nothing_more(&mut ev, &told);
        assert!(!watcher.is_hinted(&ev), "what is missing is polled");
    }
    fs::write(&path, "text").unwrap();
    let (prev, attr) = next(&mut ev, &told);
    assert_eq!((prev.exists(), attr.size), (false, 4));
    append(&path, "more");
    assert_eq!(next(&mut ev, &told).1.size, 8);
    assert_eq!(watcher.is_hinted(&ev), HINTED);
}

#[test]
fn parents_may_be_created_all_at_once() {
    let scratch = Scratch::new();
    let path = scratch.path("a/b/c/file");
    let mut ev = ev();
    let (_, told) = watch(&mut ev, &path);
    scratch.dir("a/b/c");
    fs::write(&path, "text").unwrap();
    assert_eq!(next(&mut ev, &told).1.size, 4);
    append(&path, "more");
    assert_eq!(next(&mut ev, &told).1.size, 8);
}

#[test]
fn a_whole_tree_may_be_moved_into_place() {
    let scratch = Scratch::new();
    let path = scratch.path("a/b/file");
    let mut ev = ev();
    let (_, told) = watch(&mut ev, &path);
    scratch.dir("prepared/b");
    scratch.file("prepared/b/file", "text");
    fs::rename(scratch.path("prepared"), scratch.path("a")).unwrap();
    assert_eq!(next(&mut ev, &told).1.size, 4);
    append(&path, "more");
    assert_eq!(next(&mut ev, &told).1.size, 8);
}

#[test]
fn a_parent_deleted_and_made_again_is_followed() {
    let scratch = Scratch::new();
    scratch.dir("dir");
    let path = scratch.file("dir/file", "");
    let mut ev = ev();
    let (watcher, told) = watch(&mut ev, &path);
    for size in 1..4 {
        fs::remove_dir_all(scratch.path("dir")).unwrap();
        assert!(!next(&mut ev, &told).1.exists());
        scratch.dir("dir");
        nothing_more(&mut ev, &told);
        scratch.file("dir/file", &"x".repeat(size));
        assert_eq!(next(&mut ev, &told).1.size, size as u64);
        append(&path, "more");
        assert_eq!(next(&mut ev, &told).1.size, size as u64 + 4);
    }
    // And all of it between two looks.
    fs::remove_dir_all(scratch.path("dir")).unwrap();
    scratch.dir("dir");
    scratch.file("dir/file", "again");
    let (prev, attr) = next(&mut ev, &told);
    assert_eq!((prev.size, attr.size), (7, 5));
    append(&path, "more");
    assert_eq!(next(&mut ev, &told).1.size, 9);
    assert_eq!(watcher.is_hinted(&ev), HINTED);
}

#[test]
fn a_parent_moved_away_takes_its_file_with_it() {
    let scratch = Scratch::new();
    scratch.dir("dir");
    let path = scratch.file("dir/file", "");
    let mut ev = ev();
    let (_, told) = watch(&mut ev, &path);
    fs::rename(scratch.path("dir"), scratch.path("away")).unwrap();
    assert!(!next(&mut ev, &told).1.exists());
    append(&scratch.path("away/file"), "not ours");
    nothing_more(&mut ev, &told);
    // Another one in its place.
    scratch.dir("other");
    scratch.file("other/file", "other");
    fs::rename(scratch.path("other"), scratch.path("dir")).unwrap();
    assert_eq!(next(&mut ev, &told).1.size, 5);
    append(&scratch.path("away/file"), "still not ours");
    nothing_more(&mut ev, &told);
    append(&path, "more");
    assert_eq!(next(&mut ev, &told).1.size, 9);
}

#[test]
fn two_directories_that_change_places_are_both_followed() {
    let scratch = Scratch::new();
    scratch.dir("one");
    scratch.dir("two");
    let (one, two) = (scratch.file("one/file", "1"), scratch.file("two/file", "22"));
    let mut ev = ev();
    let (_, first) = watch(&mut ev, &one);
    let (_, second) = watch(&mut ev, &two);
    for [a, b] in [[2, 1], [1, 2]] {
        fs::rename(scratch.path("one"), scratch.path("three")).unwrap();
        fs::rename(scratch.path("two"), scratch.path("one")).unwrap();
        fs::rename(scratch.path("three"), scratch.path("two")).unwrap();
        assert_eq!(next(&mut ev, &first).1.size, a);
        assert_eq!(next(&mut ev, &second).1.size, b);
    }
    append(&one, "x");
    assert_eq!(next(&mut ev, &first).1.size, 2);
    nothing_more(&mut ev, &second);
    append(&two, "x");
    assert_eq!(next(&mut ev, &second).1.size, 3);
    nothing_more(&mut ev, &first);
}

#[test]
fn a_directory_is_told_of_its_entries_but_not_of_what_is_in_them() {
    use std::os::unix::fs::PermissionsExt;
    let scratch = Scratch::new();
    let dir = scratch.dir("dir");
    let mut ev = ev();
    let (watcher, told) = watch(&mut ev, &dir);
    assert!(watcher.attr(&ev).is_dir());
    let path = scratch.file("dir/entry", "");
    let (prev, attr) = next(&mut ev, &told);
    assert!(attr.changed > prev.changed);
    append(&path, "text");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    nothing_more(&mut ev, &told);
    scratch.dir("dir/below");
    let (prev, attr) = next(&mut ev, &told);
    assert_eq!(attr.nlink, prev.nlink + 1, "of the new one's `..`");
    scratch.file("dir/below/file", "");
    nothing_more(&mut ev, &told);
    fs::remove_file(&path).unwrap();
    next(&mut ev, &told);
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(next(&mut ev, &told).1.permissions(), 0o700);
    fs::remove_dir_all(&dir).unwrap();
    assert!(!next(&mut ev, &told).1.exists());
    // A file now, and no more a directory.
    scratch.file("dir", "");
    let (_, attr) = next(&mut ev, &told);
    assert!(attr.is_file() && !attr.is_dir());
    append(&dir, "x");
    assert_eq!(next(&mut ev, &told).1.size, 1);
}

#[test]
fn a_symbolic_link_is_watched_itself_and_not_what_it_points_to() {
    let scratch = Scratch::new();
    let (target, link) = (scratch.file("target", ""), scratch.path("link"));
    symlink("target", &link).unwrap();
    let mut ev = ev();
    let (watcher, told) = watch(&mut ev, &link);
    assert!(watcher.attr(&ev).is_symlink());
    assert_eq!(watcher.attr(&ev).size, 6, "the length of the name it holds");
    append(&target, "text");
    fs::remove_file(&target).unwrap();
    nothing_more(&mut ev, &told);
    assert!(watcher.refresh(&mut ev).exists(), "also one to nowhere");
    symlink("elsewhere", scratch.path("new")).unwrap();
    fs::rename(scratch.path("new"), &link).unwrap();
    let (prev, attr) = next(&mut ev, &told);
    assert_eq!((prev.size, attr.size), (6, 9));
    fs::remove_file(&link).unwrap();
    assert!(!next(&mut ev, &told).1.exists());
    scratch.file("link", "a file");
    assert!(next(&mut ev, &told).1.is_file());
}

#[test]
fn what_is_below_a_file_or_in_a_circle_of_links_is_missing() {
    let scratch = Scratch::new();
    let file = scratch.file("file", "");
    let circle = scratch.path("circle");
    symlink("circle", &circle).unwrap();
    let mut ev = ev();
    let (below, told) = watch(&mut ev, file.join("below"));
    let (round, _) = watch(&mut ev, circle.join("below"));
    assert!(!below.attr(&ev).exists() && !round.attr(&ev).exists());
    // The file makes place for a directory.
    fs::remove_file(&file).unwrap();
    scratch.dir("file");
    scratch.file("file/below", "text");
    assert_eq!(next(&mut ev, &told).1.size, 4);
}

#[test]
fn sockets_pipes_and_devices_are_files_too() {
    let scratch = Scratch::new();
    let socket = scratch.path("socket");
    let mut ev = ev();
    let (_, told) = watch(&mut ev, &socket);
    let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let (_, attr) = next(&mut ev, &told);
    assert!(attr.exists() && !attr.is_file() && !attr.is_dir() && !attr.is_symlink());
    drop(listener);
    nothing_more(&mut ev, &told);
    fs::remove_file(&socket).unwrap();
    assert!(!next(&mut ev, &told).1.exists());
    let (null, _) = watch(&mut ev, "/dev/null");
    assert!(null.attr(&ev).rdev != 0);
}

#[test]
fn paths_with_dots_and_slashes_in_them_are_as_good_as_others() {
    let scratch = Scratch::new();
    scratch.dir("dir/below");
    let path = scratch.file("dir/file", "");
    for name in ["dir/./file", "dir//file", "dir/below/../file", "./dir/file"] {
        let mut ev = ev();
        let (_, told) = watch(&mut ev, format!("{}/{name}", scratch.0.display()));
        append(&path, "x");
        let (prev, attr) = next(&mut ev, &told);
        assert_eq!(attr.size, prev.size + 1, "{name}");
        fs::rename(scratch.file("new", "x"), &path).unwrap();
        assert_eq!(next(&mut ev, &told).1.size, 1, "{name}");
    }
}

#[test]
fn the_root_directory_can_be_watched() {
    let mut ev = ev();
    let (watcher, _) = watch(&mut ev, "/");
    assert!(watcher.attr(&ev).is_dir());
    settle(&mut ev);
    assert!(watcher.is_active(&ev));
}
