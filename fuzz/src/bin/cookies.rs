//! Cookies: those that a naive reader finds, and what may be set is one line that is read as it was meant.

#![no_main]

use evloop::wire::cookie::{COOKIES_MAX, SetCookie, parse};
use evloop_fuzz::naive;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let read: Vec<_> = parse(input).collect();
    let all = naively(input);
    assert_eq!(read, all[..all.len().min(COOKIES_MAX)]);
    for limit in [0, 1, 2] {
        let mut cookies = parse(input).limit(limit);
        assert_eq!(cookies.by_ref().count(), limit.min(all.len()));
        assert_eq!(cookies.is_cut(), all.len() > limit);
    }

    let Ok(text) = std::str::from_utf8(input) else { return };
    let mut parts = text.splitn(4, '\n');
    let mut next = || parts.next().unwrap_or_default();
    let (name, value, path, domain) = (next(), next(), next(), next());
    let cookie = SetCookie::new(name, value).path(path).domain(domain).secure();
    let Ok(line) = cookie.to_value() else { return };
    assert!(line.bytes().all(|byte| (0x20..0x7F).contains(&byte)), "{line}");
    let pieces: Vec<_> = line.split("; ").collect();
    let expected = [
        format!("{name}={value}"),
        format!("Path={path}"),
        format!("Domain={domain}"),
        "Secure".into(),
    ];
    assert_eq!(pieces, expected);
    assert!(!name.to_ascii_lowercase().starts_with("__host-"), "it has a domain");
    let back: Vec<_> = parse(pieces[0].as_bytes()).collect();
    let plain = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
    assert_eq!(back, [(name, plain)]);
});

fn naively(input: &[u8]) -> Vec<(&str, &str)> {
    let text = |bytes| std::str::from_utf8(naive::trim(bytes)).ok();
    let mut all = Vec::new();
    for pair in naive::split(input, b";") {
        let at = naive::find(pair, b"=").unwrap_or(pair.len());
        let (Some(name), Some(mut value)) =
            (text(&pair[..at]), text(pair.get(at + 1..).unwrap_or_default()))
        else {
            continue;
        };
        if value.len() >= 2 && value.starts_with('"') && value.ends_with('"') {
            value = &value[1..value.len() - 1];
        }
        if !name.is_empty() {
            all.push((name, value));
        }
    }
    all
}
