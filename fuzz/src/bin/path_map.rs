//! From the target of a request to the name of a file: what is accepted is a plain path below a directory however it is
//! looked at, and what is a plain path is accepted.

#![no_main]

use std::path::{Component, Path};

use evloop::http::{FilePath, FilePathFault};
use evloop::wire::decode_path;
use evloop::wire::urlencoded::percent_decode;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Ok(text) = std::str::from_utf8(input) else { return };
    check(text);
    // As a server does it.
    if let Ok(path) = decode_path(text) {
        if let Some(below) = path.strip_prefix('/') {
            check(below);
        }
    }
    // And whatever others may have decoded.
    if let Ok(path) = percent_decode(text) {
        check(&path);
    }
});

fn check(text: &str) {
    let strict = FilePath::parse(text, false);
    let loose = FilePath::parse(text, true);
    match (strict, loose) {
        (Ok(strict), Ok(loose)) => assert_eq!(strict, loose),
        (Err(FilePathFault::Hidden), Ok(path)) => {
            assert!(path.as_str().split('/').any(|segment| segment.starts_with('.')));
        }
        (Err(_), Err(fault)) => {
            assert_ne!(fault, FilePathFault::Hidden);
            assert!(!is_plain(text), "{text:?} is refused: {fault}");
        }
        (Err(fault), Ok(_)) => panic!("{text:?} is accepted with hidden files: {fault}"),
        (Ok(_), Err(_)) => panic!("{text:?} is accepted only without hidden files"),
    }
    let Ok(path) = loose else { return };
    assert!(is_plain(text), "{text:?} is accepted");
    let name = path.as_str();
    assert!(!name.ends_with('/') && name.len() <= text.len());
    assert_eq!(path.is_directory(), text.is_empty() || text.ends_with('/'));
    // The standard library sees nothing but names, as many as there are.
    let normal = Path::new(name).components().filter(|part| matches!(part, Component::Normal(_)));
    assert_eq!(normal.count(), if name.is_empty() { 0 } else { name.split('/').count() });
    // Nobody finds more in it who decodes again, or takes backslashes for slashes.
    let again = percent_decode(name).map_or(name.to_owned(), |again| again.into_owned());
    if !again.contains('\0') && !name.contains("%2") && !name.contains("%5") {
        assert_eq!(again.split(['/', '\\']).count(), name.split('/').count(), "{name:?}");
    }
    assert!(!name.contains("%2f") && !name.contains("%2F"));
    match path.split_last() {
        None => assert!(name.is_empty()),
        Some((parent, last)) => {
            assert!(!last.is_empty() && !last.contains('/'));
            let whole =
                if parent.is_empty() { last.to_owned() } else { format!("{parent}/{last}") };
            assert_eq!(whole, name);
        }
    }
}

/// The rules once more, hidden files allowed.
fn is_plain(text: &str) -> bool {
    let bad_char = |c: char| c.is_control() || c == '\\';
    let lower = text.to_ascii_lowercase();
    if text.len() > 4095 || text.chars().any(bad_char) || lower.contains("%2f") {
        return false;
    }
    if text.is_empty() {
        return true;
    }
    text.strip_suffix('/').unwrap_or(text).split('/').all(|segment| {
        let mut chars = segment.chars();
        let letter = chars.next().is_some_and(|first| first.is_ascii_alphabetic());
        let is_drive = letter && chars.next() == Some(':');
        !segment.is_empty()
            && segment != "."
            && segment != ".."
            && segment.len() <= 255
            && !is_drive
    })
}
