//! House rules that a machine can see: the library prints nothing (R15), unsafe code stands in
//! `src/sys` alone and says why it is sound (D16), and the doors of design.md §3 stay shut.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

/// The source files below a folder of `src`.
fn files(folder: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Whether a file is one of unit tests, which are called so or stand in a folder that is.
fn is_of_tests(path: &Path) -> bool {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    path.strip_prefix(src).unwrap().with_extension("").iter().any(|part| part == "tests")
}

/// The lines of code of a file with their numbers: no comments, no unit tests (which stand last, or in files
/// of their own).
fn code(path: &Path) -> Vec<(usize, String)> {
    if is_of_tests(path) {
        return Vec::new();
    }
    let text = std::fs::read_to_string(path).unwrap();
    let text = text.split("#[cfg(test)]\nmod ").next().unwrap();
    text.lines()
        .enumerate()
        .map(|(n, line)| (n + 1, line.split("//").next().unwrap().to_owned()))
        .filter(|(_, line)| !line.trim().is_empty())
        .collect()
}

/// Whether `word` stands in `line` with nothing of a name around it.
fn has_word(line: &str, word: &str) -> bool {
    let part_of_a_name = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        !line[..at].ends_with(part_of_a_name)
            && !line[at + word.len()..].starts_with(part_of_a_name)
    })
}

fn offences(folder: &str, what: impl Fn(&Path, &str) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    for path in files(folder) {
        for (n, line) in code(&path) {
            if what(&path, &line) {
                found.push(format!("{}:{n}: {}", path.display(), line.trim()));
            }
        }
    }
    found
}

fn assert_none(offences: Vec<String>) {
    assert!(offences.is_empty(), "\n{}", offences.join("\n"));
}

#[test]
fn there_is_something_to_look_at() {
    assert!(files("").len() > 10);
    assert!(files("").iter().map(|f| code(f).len()).sum::<usize>() > 1000);
}

#[test]
fn what_is_called_tests_is_built_for_tests_alone() {
    for path in files("") {
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let is_tests =
            |n: &usize| lines[*n].ends_with("mod tests;") || lines[*n].ends_with("mod tests {");
        for n in (0..lines.len()).filter(is_tests) {
            let mut above = lines[..n].iter().rev().take_while(|line| line.starts_with("#["));
            assert!(above.any(|line| *line == "#[cfg(test)]"), "{}: {}", path.display(), n + 1);
        }
    }
}

/// What is taken for unit tests by its path is nothing else by an attribute.
#[test]
fn no_module_stands_in_a_file_of_tests() {
    for path in files("") {
        let text = std::fs::read_to_string(&path).unwrap();
        for (n, line) in text.lines().enumerate() {
            for rest in line.split("path = \"").skip(1) {
                let target = Path::new(rest.split('"').next().unwrap());
                let leads_there = target.with_extension("").iter().any(|part| part == "tests");
                assert!(!leads_there, "{}:{}: {}", path.display(), n + 1, target.display());
            }
        }
    }
}

#[test]
fn the_library_prints_nothing() {
    let words =
        ["print!", "println!", "eprint!", "eprintln!", "dbg!", "stdout", "stderr", "Stderr"];
    assert_none(offences("", |path, line| {
        // A log goes where the program says, and takes a descriptor there.
        let is_log = path.components().any(|part| part.as_os_str() == "access_log");
        words.iter().any(|w| match w.strip_suffix('!') {
            Some(name) => has_word(line, name) && line.contains(w),
            None if is_log && *w == "stdout" => false,
            None => has_word(line, w),
        })
    }));
}

#[test]
fn the_library_never_aborts_or_leaves_the_process() {
    assert_none(offences("", |_, line| {
        line.contains("process::abort") || line.contains("process::exit") || line.contains("_exit(")
    }));
}

#[test]
fn nothing_is_left_to_be_done() {
    assert_none(offences("", |_, line| {
        line.contains("todo!(") || line.contains("unimplemented!(") || line.contains("#[ignore")
    }));
}

#[test]
fn unsafe_code_stands_in_sys_alone() {
    assert_none(offences("", |path, line| {
        let in_sys = path.components().any(|c| c.as_os_str() == "sys");
        // That is a word of browsers, about styles.
        !in_sys && has_word(&line.replace("'unsafe-inline'", ""), "unsafe")
    }));
}

#[test]
fn every_unsafe_block_says_why_it_is_sound() {
    let mut found = Vec::new();
    for path in files("sys") {
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        for (n, line) in lines.iter().enumerate() {
            let code = line.split("//").next().unwrap();
            let block = code.contains("unsafe {") || code.contains("unsafe impl");
            let near = &lines[n.saturating_sub(8)..=n];
            if block && !near.iter().any(|l| l.contains("SAFETY:")) {
                found.push(format!("{}:{}: {}", path.display(), n + 1, line.trim()));
            }
        }
    }
    assert_none(found);
}

#[test]
fn the_ground_floor_and_the_street_know_nothing_of_what_stands_above() {
    let above_sys = ["crate::backend", "crate::engine", "crate::watch", "crate::testing"];
    assert_none(offences("sys", |_, line| above_sys.iter().any(|door| line.contains(door))));
    let above_backend = ["crate::engine", "crate::watch", "crate::EvLoop"];
    assert_none(offences("backend", |_, line| above_backend.iter().any(|d| line.contains(d))));
}

#[test]
fn no_folder_is_called_utils_common_or_misc() {
    for path in files("") {
        let path = path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap();
        for name in ["utils", "util", "common", "misc", "helpers"] {
            assert!(!path.components().any(|c| c.as_os_str() == name), "{}", path.display());
            assert_ne!(path.file_stem().unwrap(), name, "{}", path.display());
        }
    }
}
