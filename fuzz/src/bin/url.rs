//! Paths and authorities: what is decoded stays under the root, and is what a naive reading comes to.

#![no_main]

use evloop::wire::{self, Fault};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Ok(text) = std::str::from_utf8(input) else { return };
    path(text);
    authority(text);
});

fn path(raw: &str) {
    let read = wire::decode_path(raw);
    assert_eq!(read.as_deref(), naively(raw).as_deref(), "{raw:?}");
    let Ok(path) = read else { return };
    if raw == "*" {
        return;
    }
    assert!(path.starts_with('/'));
    assert!(!path.contains('\0') || raw.contains('\0'), "a zero byte came out of an escape");
    assert!(path.split('/').all(|segment| segment != "." && segment != ".."));
    // What is decoded and has no escape is decoded already.
    if !path.contains('%') {
        assert_eq!(wire::decode_path(&path).as_deref(), Ok(&*path));
    }
}

fn naively(raw: &str) -> Result<String, Fault> {
    if raw.is_empty() || raw == "*" {
        return Ok(if raw.is_empty() { "/".to_owned() } else { raw.to_owned() });
    }
    let segments = raw.strip_prefix('/').ok_or(Fault::BadTarget)?;
    let mut kept: Vec<Vec<u8>> = Vec::new();
    let count = segments.split('/').count();
    for (nth, segment) in segments.split('/').enumerate() {
        let segment = unescape(segment).ok_or(Fault::BadEscape)?;
        let last = nth + 1 == count;
        match segment.as_slice() {
            b"." => {}
            b".." => {
                kept.pop().ok_or(Fault::OutsideRoot)?;
            }
            _ => {
                kept.push(segment);
                continue;
            }
        }
        if last {
            kept.push(Vec::new());
        }
    }
    let path =
        kept.iter().fold(Vec::new(), |path, segment| [&path, b"/".as_slice(), segment].concat());
    String::from_utf8(path).map_err(|_| Fault::BadEscape)
}

/// A segment without its escapes, but for those of slashes.
fn unescape(segment: &str) -> Option<Vec<u8>> {
    let mut parts = segment.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let digits = part.as_bytes().get(..2)?;
        if !digits.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        match u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()? {
            0 => return None,
            b'/' => bytes.extend_from_slice(b"%2F"),
            byte => bytes.push(byte),
        }
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    Some(bytes)
}

fn authority(text: &str) {
    let Some((host, port)) = wire::split_authority(text) else { return };
    let behind = text.strip_prefix(host).expect("the host comes first");
    match port {
        Some(port) => {
            let digits = behind.strip_prefix(':').expect("a port has a colon");
            assert!(digits.bytes().all(|b| b.is_ascii_digit()));
            assert_eq!(digits.trim_start_matches('0').parse().unwrap_or(0), port);
            assert!(!host.is_empty());
        }
        None => assert!(behind.is_empty() || behind == ":"),
    }
    assert!(!host.chars().any(|c| " \t,/@?#\\\"<>".contains(c) || c.is_control() || !c.is_ascii()));
    if host.contains([':', '[', ']']) {
        let address = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        address.expect("brackets").parse::<std::net::Ipv6Addr>().expect("an address");
    }
}
