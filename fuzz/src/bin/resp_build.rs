//! What a program gives for a head: it is refused, or it reads the same at the other end. Nothing it gives can begin a
//! line or end the head.

#![no_main]

use evloop::wire::{self, Fields, HeadLimits, Method, RequestParser, ResponseParser, Status};
use evloop_fuzz::naive;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    // Two bytes of status; then lines that end in 0xFF, each name and value divided by 0xFE.
    let Some((code, rest)) = input.split_first_chunk::<2>() else { return };
    let code = 100 + u16::from_le_bytes(*code) % 900;
    let status = Status::from_code(code).expect("these are the codes");
    let mut out = Vec::new();
    let mut fields = Fields::new();
    let mut expected: naive::Fields = Vec::new();
    wire::status_line(&mut out, status);
    for line in naive::split(rest, &[0xFF]) {
        let mut parts = line.splitn(2, |b| *b == 0xFE);
        let name = String::from_utf8_lossy(parts.next().unwrap_or_default()).into_owned();
        let value = parts.next().unwrap_or_default();
        let good = naive::is_token(name.as_bytes()) && naive::is_text(value);
        let before = out.len();
        assert_eq!(wire::field(&mut out, &name, value).is_ok(), good);
        assert_eq!(fields.push(&name, value).is_ok(), good);
        if good {
            expected.push((name, naive::trim(value).to_owned()));
        } else {
            assert_eq!(out.len(), before, "what is refused is not begun");
        }
    }
    wire::end_of_head(&mut out);
    out.extend_from_slice(b"body");

    let pushed: naive::Fields = fields.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
    assert_eq!(pushed, expected);
    for (name, _) in &expected {
        assert_eq!(
            fields.get(&name.to_uppercase()),
            naive::values(&expected, &name.to_lowercase()).first().copied()
        );
    }

    let mut parser =
        ResponseParser::new(HeadLimits { fields: usize::MAX, ..ResponseParser::LIMITS });
    match parser.feed(&out) {
        Ok(progress) => {
            assert_eq!((progress.used, progress.done), (out.len() - 4, true));
            let head = parser.head();
            assert_eq!((head.status(), head.reason()), (status, status.reason().as_bytes()));
            let read: naive::Fields =
                head.fields().iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
            assert_eq!(read, expected);
        }
        // The lines are well-formed; what they say together may not be.
        Err(fault) => assert_eq!(naive::framing(&expected, false), None, "{fault}"),
    }

    request(rest);
});

/// A request line of a method and a target that are anything.
fn request(input: &[u8]) {
    let mut parts = input.splitn(2, |b| *b == 0xFE);
    let (method, target) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let Ok(target) = std::str::from_utf8(target) else { return };
    let method = match Method::from_bytes(method) {
        Ok(read) => {
            assert!(naive::is_token(method) && method.len() <= 32);
            assert_eq!(read.as_str().as_bytes(), method);
            read
        }
        Err(_) => {
            assert!(!naive::is_token(method) || method.len() > 32);
            Method::GET
        }
    };
    let mut out = Vec::new();
    let good = !target.is_empty() && target.bytes().all(|b| b.is_ascii_graphic());
    assert_eq!(wire::request_line(&mut out, &method, target).is_ok(), good);
    if !good {
        assert!(out.is_empty());
        return;
    }
    out.extend_from_slice(b"Host: a\r\n\r\nbody");
    let mut parser = RequestParser::new(HeadLimits::default());
    // It may be a target that is none, but not one that ends its line.
    if let Ok(progress) = parser.feed(&out) {
        assert_eq!((progress.used, progress.done), (out.len() - 4, true));
        assert_eq!((parser.head().target(), parser.head().method()), (target, &method));
    }
}
