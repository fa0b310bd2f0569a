use std::collections::HashMap;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::{Captures, Found, Table};
use crate::ErrorKind;
use crate::wire::Method;

fn table(patterns: &[&'static str]) -> Table<&'static str> {
    let mut table = Table::default();
    for &pattern in patterns {
        table.insert(Some(Method::GET), pattern, pattern).unwrap();
    }
    table
}

fn get(table: &Table<&'static str>, path: &str) -> Option<&'static str> {
    match table.find(&Method::GET, path, &mut Captures::default()) {
        Found::Route(found) => Some(*found),
        _ => None,
    }
}

/// What the wildcards took, or `None` if the path does not match.
fn captured<'p>(pattern: &str, path: &'p str) -> Option<Vec<&'p str>> {
    let mut table = Table::default();
    table.insert(None, pattern, ()).unwrap();
    let mut captures = Captures::default();
    match table.find(&Method::GET, path, &mut captures) {
        Found::Route(()) => Some(captures.iter(path).map(|(_, part)| part).collect()),
        _ => None,
    }
}

fn why(table: &mut Table<()>, method: Option<Method>, pattern: &str) -> String {
    let error = table.insert(method, pattern, ()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    std::error::Error::source(&error).unwrap().to_string()
}

#[test]
fn an_exact_path_wins_over_patterns_and_those_come_in_order() {
    let table = table(&["/x/{b}", "/#", "/{c}", "/a", "/x/y"]);
    assert_eq!(get(&table, "/a"), Some("/a"));
    assert_eq!(get(&table, "/b"), Some("/#"));
    assert_eq!(get(&table, "/x/y"), Some("/x/y"));
    assert_eq!(get(&table, "/x/z"), Some("/x/{b}"));
    assert_eq!(get(&table, "x"), None);
    assert_eq!(get(&table, ""), None);
    assert_eq!(get(&table, "*"), None);
}

#[test]
fn each_of_many_paths_is_found_and_no_other() {
    let mut table = Table::default();
    let paths: Vec<_> = (0..3000).map(|n| format!("/v1/{:x}/item/{n}", n * n % 37)).collect();
    for (n, path) in paths.iter().enumerate() {
        assert_eq!(table.find(&Method::GET, path, &mut Captures::default()), Found::None);
        table.insert(Some(Method::GET), path, n).unwrap();
    }
    for (n, path) in paths.iter().enumerate() {
        assert_eq!(table.find(&Method::GET, path, &mut Captures::default()), Found::Route(&n));
        let longer = format!("{path}/");
        assert_eq!(table.find(&Method::GET, &longer, &mut Captures::default()), Found::None);
    }
}

#[test]
fn short_paths_are_told_apart() {
    let table = table(&["/", "/a", "/b", "/ab", "/ba", "//", "/aaaaaa", "/aaaaaaa", "/aaaaaaaa"]);
    for path in ["/", "/a", "/b", "/ab", "/ba", "//", "/aaaaaa", "/aaaaaaa", "/aaaaaaaa"] {
        assert_eq!(get(&table, path), Some(path));
    }
    for path in ["", "/c", "/bb", "/aaaaaaaaa", "/aaaaa"] {
        assert_eq!(get(&table, path), None);
    }
}

#[test]
fn head_is_served_by_get_unless_it_has_a_route() {
    let mut table = Table::default();
    table.insert(Some(Method::GET), "/a", 1).unwrap();
    table.insert(None, "/a", 2).unwrap();
    table.insert(Some(Method::GET), "/b", 3).unwrap();
    table.insert(Some(Method::HEAD), "/b", 4).unwrap();
    let mut captures = Captures::default();
    assert_eq!(table.find(&Method::HEAD, "/a", &mut captures), Found::Route(&1));
    assert_eq!(table.find(&Method::HEAD, "/b", &mut captures), Found::Route(&4));
    assert_eq!(table.find(&Method::PUT, "/a", &mut captures), Found::Route(&2));
    assert_eq!(table.find(&Method::PUT, "/b", &mut captures), Found::WrongMethod);
}

#[test]
fn a_route_without_the_method_is_passed_over() {
    let mut table = Table::default();
    table.insert(Some(Method::GET), "/a", 1).unwrap();
    table.insert(Some(Method::PUT), "/{x}", 2).unwrap();
    table.insert(Some(Method::POST), "/#", 3).unwrap();
    let mut captures = Captures::default();
    assert_eq!(table.find(&Method::GET, "/a", &mut captures), Found::Route(&1));
    assert_eq!(table.find(&Method::PUT, "/a", &mut captures), Found::Route(&2));
    assert_eq!(captures.named("/a", "x"), Some("a"));
    assert_eq!(table.find(&Method::POST, "/a", &mut captures), Found::Route(&3));
    assert_eq!(captures.named("/a", "x"), None);
    assert_eq!(table.find(&Method::DELETE, "/a", &mut captures), Found::WrongMethod);
    assert!(captures.is_empty());
    assert_eq!(table.find(&Method::PUT, "/a/b", &mut captures), Found::WrongMethod);
    assert_eq!(table.find(&Method::PUT, "a", &mut captures), Found::None);
}

#[test]
fn patterns_keep_their_order_also_if_they_are_equal() {
    let mut table = Table::default();
    table.insert(Some(Method::GET), "/{x}", 1).unwrap();
    table.insert(Some(Method::PUT), "/{x}", 2).unwrap();
    table.insert(None, "/#", 3).unwrap();
    table.insert(Some(Method::POST), "/{x}", 4).unwrap();
    let mut captures = Captures::default();
    assert_eq!(table.find(&Method::PUT, "/a", &mut captures), Found::Route(&2));
    assert_eq!(table.find(&Method::POST, "/a", &mut captures), Found::Route(&3));
}

#[test]
fn the_names_are_those_of_the_route_that_was_found() {
    let mut table = Table::default();
    table.insert(Some(Method::GET), "/{x}", 1).unwrap();
    table.insert(Some(Method::PUT), "/{y}", 2).unwrap();
    let mut captures = Captures::default();
    assert_eq!(table.find(&Method::PUT, "/a", &mut captures), Found::Route(&2));
    assert_eq!((captures.named("/a", "x"), captures.named("/a", "y")), (None, Some("a")));
}

#[test]
fn allowed_lists_each_method_once() {
    let mut table = Table::default();
    assert!(table.allowed("/a").is_empty());
    table.insert(Some(Method::POST), "/a", ()).unwrap();
    table.insert(Some(Method::GET), "/#", ()).unwrap();
    table.insert(Some(Method::POST), "/{x}", ()).unwrap();
    assert_eq!(table.allowed("/a"), [Method::POST, Method::GET, Method::HEAD, Method::OPTIONS]);
    assert_eq!(table.allowed("/a/b"), [Method::GET, Method::HEAD, Method::OPTIONS]);
    assert!(table.allowed("a").is_empty());
    table.insert(None, "/a", ()).unwrap();
    assert_eq!(
        table.allowed("/a"),
        [
            Method::POST,
            Method::GET,
            Method::HEAD,
            Method::PUT,
            Method::DELETE,
            Method::PATCH,
            Method::OPTIONS
        ]
    );
}

#[test]
fn wildcards_match_what_they_say() {
    for (pattern, path, expected) in [
        ("/{x}", "/a", Some(&["a"][..])),
        ("/{x}", "/", None),
        ("/{x}", "/a/", None),
        ("/{x}/", "/a/", Some(&["a"])),
        ("/{x}/", "//", None),
        ("/{x}/{y}", "/a/b", Some(&["a", "b"])),
        ("/{x}/{y}", "/a//b", None),
        ("/a/{x}/b", "/a/ü/b", Some(&["ü"])),
        ("/*", "/", Some(&[""])),
        ("/*", "/ab", Some(&["ab"])),
        ("/*", "/a/b", None),
        ("/a*", "/a", Some(&[""])),
        ("/*.*", "/a.b.c", Some(&["a", "b.c"])),
        ("/*.css", "/a.css.css", Some(&["a.css"])),
        ("/*/b", "/a/b", Some(&["a"])),
        ("/*/b", "//b", Some(&[""])),
        ("/*/b", "/a/c/b", None),
        ("/#", "/", Some(&[""])),
        ("/#", "/a/b/", Some(&["a/b/"])),
        ("/a/#", "/a", None),
        ("/a/#", "/a/", Some(&[""])),
        ("/a#", "/a", Some(&[""])),
        ("#", "/a/b", Some(&["/a/b"])),
        ("#", "", Some(&[""])),
        ("#.png", "/a/b.png", Some(&["/a/b"])),
        ("#.png", "/a/b.pngs", None),
        ("/#/{x}", "/a/b/c", Some(&["a/b", "c"])),
        ("/#/{x}/#", "/a/b/c", Some(&["a", "b", "c"])),
        ("/#/{x}/#", "//a/b/c", Some(&["", "a", "b/c"])),
        ("/#/b/*", "/a/b/b/c", Some(&["a/b", "c"])),
        ("/#/b/*", "/a/b/c/d", None),
        ("/#a*b", "/a/b/aaab", Some(&["a/b/", "aa"])),
        ("/{x}/*-*/#z", "/a/b-c/dz/z", Some(&["a", "b", "c", "dz/"])),
    ] {
        assert_eq!(captured(pattern, path).as_deref(), expected, "{pattern} {path}");
    }
}

#[test]
fn captures_have_the_names_of_their_pattern() {
    let mut table = Table::default();
    table.insert(None, "/{user}/*/{post-id}/#", ()).unwrap();
    let path = "/anna/x/7/a/b";
    let mut captures = Captures::default();
    assert_eq!(table.find(&Method::GET, path, &mut captures), Found::Route(&()));
    assert_eq!(captures.len(), 4);
    assert_eq!(captures.named(path, "user"), Some("anna"));
    assert_eq!(captures.named(path, "post-id"), Some("7"));
    assert_eq!(captures.named(path, "post"), None);
    assert_eq!(captures.at(path, 1), Some("x"));
    assert_eq!(captures.at(path, 3), Some("a/b"));
    assert_eq!(captures.at(path, 4), None);
    assert_eq!(captures.at("/", 3), None, "of another path it is nothing, not a panic");
    let all: Vec<_> = captures.iter(path).collect();
    assert_eq!(all[..2], [(Some("user"), "anna"), (None, "x")]);
    captures.clear();
    assert!(captures.is_empty());
    assert_eq!(captures.named(path, "user"), None);
}

#[test]
fn a_pattern_that_is_none_is_refused_and_named() {
    let mut table = Table::default();
    for pattern in [
        "", "a", "*", "{x}", "/{", "/{x", "/}", "/x}", "/{}", "/{a b}", "/{a/b}", "/a{x}", "/{x}a",
        "/{x}{y}", "/{x}*", "/*{x}", "/**", "/*#", "/#*", "/##", "/{x}/{x}", "/a?b", "/{a{b}}",
    ] {
        let text = why(&mut table, None, pattern);
        assert!(text.contains(&format!("{pattern:?}")), "{text}");
    }
    assert_eq!(why(&mut table, None, "/{"), r#"the pattern "/{" has a { that is not closed"#);
    why(&mut table, None, &"/*".repeat(9));
    why(&mut table, None, &(0..17).map(|n| format!("/{{a{n}}}")).collect::<String>());
    why(&mut table, None, &format!("/{}", "a".repeat(1024)));
    table.insert(None, &"/*".repeat(8), ()).unwrap();
    assert_eq!(table.find(&Method::GET, "/{", &mut Captures::default()), Found::None);
}

#[test]
fn a_route_that_is_there_is_refused_and_named() {
    let mut table = Table::default();
    for pattern in ["/a", "/{x}", "/#/b"] {
        table.insert(None, pattern, ()).unwrap();
        table.insert(Some(Method::GET), pattern, ()).unwrap();
        table.insert(Some(Method::PUT), pattern, ()).unwrap();
        for method in [None, Some(Method::GET), Some(Method::PUT)] {
            assert_eq!(
                why(&mut table, method, pattern),
                format!("the pattern {pattern:?} is there already for this method")
            );
        }
    }
    why(&mut table, None, "/{y}");
    table.insert(None, "/*", ()).unwrap();
}

/// A matcher too simple to be wrong, and exponential without its memory.
fn reference(pattern: &[char], path: &[char], known: &mut HashMap<(usize, usize), bool>) -> bool {
    if let Some(&result) = known.get(&(pattern.len(), path.len())) {
        return result;
    }
    let result = match pattern.split_first() {
        None => path.is_empty(),
        Some((wildcard @ ('*' | '#'), rest)) => {
            reference(rest, path, known)
                || path.split_first().is_some_and(|(first, path)| {
                    (*wildcard == '#' || *first != '/') && reference(pattern, path, known)
                })
        }
        Some(('{', rest)) => {
            let after = rest.iter().position(|c| *c == '}').unwrap() + 1;
            let len = path.iter().position(|c| *c == '/').unwrap_or(path.len());
            len > 0 && reference(&rest[after..], &path[len..], known)
        }
        Some((literal, rest)) => {
            path.first() == Some(literal) && reference(rest, &path[1..], known)
        }
    };
    known.insert((pattern.len(), path.len()), result);
    result
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, ..ProptestConfig::default() })]

    #[test]
    fn matching_is_as_the_reference_has_it(
        parts in prop::collection::vec(prop::sample::select(&["*", "#", "/{}/", "/", "a", "b", "ab"][..]), 0..12),
        path in prop_oneof!["/[ab/]{0,12}", "/[aab]{0,16}"],
    ) {
        let mut pattern = "/".to_owned();
        for (n, part) in parts.iter().enumerate() {
            let glob = |text: &str| text.ends_with(['*', '#']);
            if !(glob(part) && glob(&pattern)) {
                pattern.push_str(&part.replace("{}", &format!("{{n{n}}}")));
            }
        }
        let mut table = Table::default();
        prop_assume!(table.insert(None, &pattern, ()).is_ok());
        let mut captures = Captures::default();
        let found = table.find(&Method::GET, &path, &mut captures) == Found::Route(&());
        let (pattern, chars): (Vec<_>, Vec<_>) = (pattern.chars().collect(), path.chars().collect());
        prop_assert_eq!(found, reference(&pattern, &chars, &mut HashMap::new()));
        if found {
            // The path is the pattern with what was captured in its place.
            let mut parts = captures.iter(&path).map(|(_, part)| part);
            let mut rebuilt = String::new();
            let mut pattern = pattern.iter();
            while let Some(c) = pattern.next() {
                match c {
                    '*' | '#' => {
                        let part = parts.next().unwrap();
                        prop_assert!(*c == '#' || !part.contains('/'));
                        rebuilt.push_str(part);
                    }
                    '{' => {
                        let part = parts.next().unwrap();
                        prop_assert!(!part.is_empty() && !part.contains('/'));
                        rebuilt.push_str(part);
                        pattern.by_ref().find(|c| **c == '}');
                    }
                    c => rebuilt.push(*c),
                }
            }
            prop_assert_eq!(&rebuilt, &path);
            prop_assert_eq!(parts.next(), None);
        }
    }
}

#[test]
fn hostile_paths_cost_linear_time() {
    for (pattern, path) in [
        ("/*a*a*a*b", "a"),
        ("/#a*a*a*b", "a"),
        ("/#a#a#a#b", "a"),
        ("/#a*a#a*a#a*a*b", "a"),
        ("/#a*b*c", "a"),
        ("/#aaaaaaaa*b", "a"),
        ("/#/{x}/{y}/b", "/a"),
        ("/#/*/{x}/*b", "/a"),
        ("/#/a*/a*/b", "/a"),
        ("/#a*/b*c#d", "a/b"),
    ] {
        let mut table = Table::default();
        table.insert(None, pattern, ()).unwrap();
        let path = format!("/{}", path.repeat(1 << 20));
        let start = Instant::now();
        let found = table.find(&Method::GET, &path, &mut Captures::default());
        assert_eq!(found, Found::None, "{pattern}");
        // Quadratic would be an hour.
        assert!(start.elapsed() < Duration::from_secs(20), "{pattern}");
    }
    // The first of two stars sees many bytes before one fits, each time anew if it is not noted.
    let path = format!("/{}{}", "a".repeat(1 << 20), "b".repeat(1 << 20));
    assert_eq!(captured("/#a*b*c", &path), None);
}

#[test]
fn finding_again_allocates_nothing() {
    let table = table(&["/{x}/*", "/a"]);
    let mut captures = Captures::default();
    assert_eq!(table.find(&Method::GET, "/b/c", &mut captures), Found::Route(&"/{x}/*"));
    let memory = captures.memory();
    for _ in 0..3 {
        table.find(&Method::GET, "/a", &mut captures);
        table.find(&Method::GET, "/b/d", &mut captures);
        assert_eq!(captures.memory(), memory);
    }
}
