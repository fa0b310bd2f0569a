//! Ranges, content ranges, tags, conditions and accepted codings: what is read agrees with a naive reading; ranges cover
//! what was asked for, each byte once; what is written reads the same.

#![no_main]

use evloop::wire::accept::encodings;
use evloop::wire::conditional::{Current, Verdict, evaluate};
use evloop::wire::range::{
    ByteRange, RANGES_MAX, Requested, content_range, parse, parse_content_range,
};
use evloop::wire::{EntityTag, Fields, Method, entity_tags};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((&len, value)) = input.split_first() else { return };
    for len in [u64::from(len), u64::from(len) << 20, u64::MAX] {
        ranges(value, len);
    }
    content(value);
    tags(value);
    codings(value);
});

fn trimmed(bytes: &[u8]) -> &[u8] {
    let blank = |byte: &u8| *byte == b' ' || *byte == b'\t';
    let from = bytes.iter().position(|byte| !blank(byte)).unwrap_or(bytes.len());
    let to = bytes.iter().rposition(|byte| !blank(byte)).map_or(from, |at| at + 1);
    &bytes[from..to]
}

/// Each range as first and last byte, before it is clamped; `None` if the value makes no sense.
fn naively(value: &[u8], len: u64) -> Option<Vec<Option<(u128, u128)>>> {
    let value = trimmed(value);
    let unit = value.get(..6)?;
    if unit.to_ascii_lowercase() != b"bytes=" {
        return None;
    }
    let len = u128::from(len);
    let mut all = Vec::new();
    for member in value[6..].split(|byte| *byte == b',').map(trimmed) {
        if member.is_empty() {
            continue;
        }
        let text = std::str::from_utf8(member).ok()?;
        let (first, last) = text.split_once('-')?;
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(first) || !digits(last) {
            return None;
        }
        // Beyond 38 digits numbers are compared as texts.
        let strip = |text: &str| text.trim_start_matches('0').to_owned();
        let (one, other) = (strip(first), strip(last));
        let number = |text: &str| text.parse::<u128>().unwrap_or(u128::MAX >> 1);
        let zero = |text: &str| if text.is_empty() { 0 } else { number(text) };
        all.push(match (first.is_empty(), last.is_empty()) {
            (true, true) => return None,
            (true, false) => {
                let n = zero(&other).min(len);
                (n > 0).then(|| (len - n, len - 1))
            }
            (false, true) => (zero(&one) < len).then(|| (zero(&one), len - 1)),
            (false, false) => {
                if (one.len(), &one) > (other.len(), &other) {
                    return None;
                }
                (zero(&one) < len).then(|| (zero(&one), zero(&other).min(len - 1)))
            }
        });
    }
    (!all.is_empty()).then_some(all)
}

fn ranges(value: &[u8], len: u64) {
    let found = parse(value, len);
    let Some(asked) = naively(value, len) else {
        assert_eq!(found, Requested::Ignored);
        return;
    };
    if asked.len() > RANGES_MAX {
        assert_eq!(found, Requested::Ignored);
        return;
    }
    let wanted: Vec<_> = asked.iter().flatten().copied().collect();
    let given = match &found {
        // The end of nothing is the whole of it.
        Requested::Ignored => {
            assert!(len == 0);
            return;
        }
        Requested::Unsatisfiable => {
            assert!(wanted.is_empty());
            return;
        }
        Requested::Ranges(ranges) => ranges.to_vec(),
        _ => unreachable!("there are three"),
    };
    assert!(!given.is_empty() && given.len() <= wanted.len());
    for (n, range) in given.iter().enumerate() {
        assert!(range.len > 0 && range.end() <= len);
        // They neither overlap nor touch.
        for other in &given[n + 1..] {
            assert!(range.end() < other.offset || other.end() < range.offset);
        }
        // Each begins and ends where one that was asked for does.
        let (first, last) = (u128::from(range.offset), u128::from(range.end() - 1));
        assert!(wanted.iter().any(|(from, _)| *from == first));
        assert!(wanted.iter().any(|(_, to)| *to == last));
        let mut out = Vec::new();
        content_range(&mut out, *range, len);
        assert_eq!(parse_content_range(&out), Some((*range, Some(len))));
    }
    let holds = |from: u128, to: u128, range: &ByteRange| {
        u128::from(range.offset) <= from && to < u128::from(range.end())
    };
    let mut places = Vec::new();
    for (from, to) in &wanted {
        let place = given.iter().position(|range| holds(*from, *to, range));
        places.push(place.expect("all that was asked for is given"));
    }
    // In the order in which they were first asked for.
    let mut order = Vec::new();
    for place in places {
        if !order.contains(&place) {
            order.push(place);
        }
    }
    assert!(order.is_sorted() && order.len() == given.len());
}

fn content(value: &[u8]) {
    let Some((range, total)) = parse_content_range(value) else { return };
    assert!(range.len > 0 && total.is_none_or(|total| range.end() <= total));
    if let Some(total) = total {
        let mut out = Vec::new();
        content_range(&mut out, range, total);
        assert_eq!(parse_content_range(&out), Some((range, Some(total))));
    }
}

fn tags(value: &[u8]) {
    let all: Vec<_> = entity_tags(value).collect();
    let mut written = Vec::new();
    for tag in &all {
        written.extend_from_slice(b" ,");
        tag.write(&mut written);
        let mut alone = Vec::new();
        tag.write(&mut alone);
        assert_eq!(EntityTag::parse(&alone), Some(*tag));
    }
    assert_eq!(entity_tags(&written).collect::<Vec<_>>(), all);

    let mut fields = Fields::new();
    if fields.push("If-None-Match", value).is_err() {
        return;
    }
    for tag in &all {
        let current = Current { tag: Some(*tag), ..Current::default() };
        assert_eq!(evaluate(&Method::GET, &fields, &current), Verdict::NotModified);
    }
    let missing = Current { missing: true, ..Current::default() };
    assert_ne!(evaluate(&Method::GET, &fields, &missing), Verdict::NotModified);
    let mut fields = Fields::new();
    fields.push("If-Match", value).expect("it was taken before");
    for tag in all.iter().filter(|tag| !tag.is_weak()) {
        let current = Current { tag: Some(*tag), ..Current::default() };
        assert_ne!(evaluate(&Method::GET, &fields, &current), Verdict::PreconditionFailed);
    }
    let mut fields = Fields::new();
    fields.push("If-Range", value).expect("it was taken before");
    fields.push("If-Modified-Since", value).expect("it was taken before");
    fields.push("If-Unmodified-Since", value).expect("it was taken before");
    let _ = evaluate(&Method::GET, &fields, &Current::default());
}

fn codings(value: &[u8]) {
    let mut fields = Fields::new();
    if fields.push("Accept-Encoding", value).is_err() {
        return;
    }
    let accepted = encodings(&fields);
    let offered = ["br", "zstd", "gzip"];
    match accepted.best(offered) {
        None => assert_eq!(accepted.weight("identity"), 0),
        Some(best) => {
            let weight = accepted.weight(best);
            assert!(weight > 0 && weight <= 1000);
            assert!(
                best == "identity" || offered.iter().all(|other| accepted.weight(other) <= weight)
            );
        }
    }
}
