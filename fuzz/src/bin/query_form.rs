//! Queries, escapes, text for HTML and parameters of fields: what is written is read, what both ways of reading accept
//! is the same, and both agree with a naive one.

#![no_main]

use evloop::wire::urlencoded::{
    Form, PAIRS_MAX, encode, parse, parse_strict, percent_decode, percent_encode_component,
};
use evloop::wire::{Fault, html, parameters};
use evloop_fuzz::naive;
use libfuzzer_sys::fuzz_target;

type Pairs = Vec<(String, String)>;

fuzz_target!(|input: &[u8]| {
    query(input);
    let Ok(text) = std::str::from_utf8(input) else { return };
    escapes(text);
    escaped_for_html(text);
    field_parameters(text);
});

fn query(input: &[u8]) {
    let read: Pairs = parse(input).map(|(n, v)| (n.into_owned(), v.into_owned())).collect();
    let naively = naively(input);
    assert_eq!(read, naively[..naively.len().min(PAIRS_MAX)]);
    for limit in [0, 1, 2] {
        let mut pairs = parse(input).limit(limit);
        assert_eq!(pairs.by_ref().count(), limit.min(naively.len()));
        assert_eq!(pairs.is_cut(), naively.len() > limit);
    }
    match parse_strict(input) {
        Ok(strict) => assert_eq!(strict, read, "accepted by both"),
        Err(Fault::TooManyPairs) => assert!(input.len() >= PAIRS_MAX),
        Err(fault) => assert!(matches!(fault, Fault::BadQuery | Fault::BadEscape), "{fault}"),
    }

    // Written, and read again in both ways.
    let written = encode(read.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    // A pair of nothing is written as "=".
    assert_eq!(parse_strict(&written).as_deref(), Ok(read.as_slice()));
    let mut form = Form::new();
    form.read(&written).expect("it is within the limit");
    let kept: Pairs = form.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
    assert_eq!(kept, read);
}

fn naively(input: &[u8]) -> Pairs {
    let text = |bytes: &[u8]| {
        let mut plain = Vec::new();
        let mut at = 0;
        while let Some(byte) = bytes.get(at) {
            let digits = bytes.get(at + 1..at + 3).filter(|d| d.iter().all(u8::is_ascii_hexdigit));
            match (byte, digits) {
                (b'+', _) => plain.push(b' '),
                (b'%', Some(digits)) => {
                    let digits = std::str::from_utf8(digits).expect("ASCII");
                    plain.push(u8::from_str_radix(digits, 16).expect("digits"));
                    at += 2;
                }
                _ => plain.push(*byte),
            }
            at += 1;
        }
        String::from_utf8_lossy(&plain).into_owned()
    };
    naive::split(input, b"&")
        .into_iter()
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let mut parts = pair.splitn(2, |b| *b == b'=');
            let name = parts.next().unwrap_or_default();
            (text(name), text(parts.next().unwrap_or_default()))
        })
        .collect()
}

fn escapes(text: &str) {
    let escaped = percent_encode_component(text);
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~%".contains(&b);
    assert!(escaped.bytes().all(plain));
    assert_eq!(percent_decode(&escaped).as_deref(), Ok(text));
    if let Ok(decoded) = percent_decode(text) {
        assert_eq!(percent_decode(&percent_encode_component(&decoded)).as_deref(), Ok(&*decoded));
    }
}

fn escaped_for_html(text: &str) {
    let escaped = html::escape(text);
    assert!(!escaped.contains(['<', '>', '"', '\'']));
    let back = escaped
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&#39;", "'")
        .replace("&#x27;", "'")
        .replace("&amp;", "&");
    // One that had these in it reads as it was too, as its ampersands were escaped first.
    assert_eq!(back, text);
}

fn field_parameters(text: &str) {
    let (value, all) = parameters(text);
    assert!(text.trim_start_matches([' ', '\t']).starts_with(value));
    let Ok(read) = all.clone().collect::<Result<Vec<_>, _>>() else { return };
    let mut written = value.to_owned();
    for (name, value) in &read {
        assert!(naive::is_token(name.as_bytes()) && naive::is_text(value.as_bytes()));
        let quoted = value.replace('\\', "\\\\").replace('"', "\\\"");
        written.push_str(&format!("; {name}=\"{quoted}\""));
    }
    let (value_again, again) = parameters(&written);
    assert_eq!(value_again, value);
    assert_eq!(again.collect::<Result<Vec<_>, _>>(), Ok(read.clone()));
    for (name, value) in &read {
        let several = read.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name)).count() > 1;
        let named = all.clone().named(&name.to_uppercase());
        assert_eq!(named, if several { Err(Fault::BadParameter) } else { Ok(Some(value.clone())) });
    }
}
