//! Response heads: the outcome does not depend on how they arrive, and exactly those are accepted that the rules allow.

#![no_main]

use evloop::wire::{Fault, HeadLimits, Method, ResponseFraming, ResponseParser, Version};
use evloop_fuzz::{cuts, naive};
use libfuzzer_sys::fuzz_target;

#[derive(PartialEq, Debug)]
struct Outcome {
    end: usize,
    code: u16,
    reason: Vec<u8>,
    version: Version,
    fields: naive::Fields,
    framing: [ResponseFraming; 3],
    keeps_alive: bool,
}

/// `Ok(None)` if the head is not complete.
fn parse(
    limits: HeadLimits,
    pieces: &mut dyn Iterator<Item = &[u8]>,
) -> Result<Option<Outcome>, Fault> {
    let mut parser = ResponseParser::new(limits);
    let mut end = 0;
    for piece in pieces {
        let progress = parser.feed(piece).inspect_err(|fault| {
            assert_eq!(parser.feed(b"HTTP/1.1 200 OK\r\n\r\n"), Err(*fault));
        })?;
        end += progress.used;
        if progress.done {
            let head = parser.head();
            let methods = [Method::GET, Method::HEAD, Method::CONNECT];
            return Ok(Some(Outcome {
                end,
                code: head.status().code(),
                reason: head.reason().to_owned(),
                version: head.version(),
                fields: head.fields().iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect(),
                framing: methods.map(|method| head.framing(&method)),
                keeps_alive: head.keeps_alive(),
            }));
        }
        assert_eq!(progress.used, piece.len());
    }
    Ok(None)
}

/// Version, code and reason of a first line.
fn status_line(line: &[u8]) -> Option<(bool, u16, &[u8])> {
    let (version, rest) = line.split_at_checked(8)?;
    let http_10 = match version {
        b"HTTP/1.0" => true,
        b"HTTP/1.1" => false,
        _ => return None,
    };
    let (code, reason) = rest.strip_prefix(b" ")?.split_at_checked(3)?;
    if !code.iter().all(u8::is_ascii_digit) || code[0] == b'0' {
        return None;
    }
    let code = std::str::from_utf8(code).ok()?.parse().ok()?;
    let reason = if reason.is_empty() { reason } else { reason.strip_prefix(b" ")? };
    Some((http_10, code, reason))
}

fn run(input: &[u8], limits: HeadLimits) {
    let read = cuts::in_every_way(input, |pieces| parse(limits, pieces));
    let bounds =
        naive::Limits { target: 0, head: limits.head, fields: limits.fields, empty_lines: 0 };
    let head = naive::head(input, bounds);
    let said = head.as_ref().and_then(|head| {
        let (http_10, code, reason) = status_line(&head.first)?;
        Some((http_10, code, reason, naive::framing(&head.fields, http_10)?))
    });
    let (read, head, (http_10, code, reason, framing)) = match (read, &head, said) {
        (Ok(Some(read)), Some(head), Some(said)) => (read, head, said),
        (Ok(Some(read)), ..) => panic!("accepted: {read:?}"),
        (other, Some(_), Some(said)) => panic!("{other:?}: {said:?}"),
        _ => return,
    };
    assert_eq!(read.end, head.end);
    assert_eq!((read.code, read.reason.as_slice()), (code, reason));
    assert_eq!(read.version == Version::Http10, http_10);
    assert_eq!(read.fields, head.fields);
    assert_eq!(read.keeps_alive, naive::keeps_alive(&head.fields, http_10));
    let said = match framing {
        naive::Framing::None => ResponseFraming::UntilEnd,
        naive::Framing::Length(length) => ResponseFraming::Length(length),
        naive::Framing::Chunked => ResponseFraming::Chunked,
    };
    let bodiless = code < 200 || code == 204 || code == 304;
    let expected = if bodiless { ResponseFraming::None } else { said };
    let tunnel = (200..300).contains(&code);
    let connected = if tunnel { ResponseFraming::None } else { expected };
    assert_eq!(read.framing, [expected, ResponseFraming::None, connected]);
}

fuzz_target!(|input: &[u8]| {
    run(input, ResponseParser::LIMITS);
    run(input, HeadLimits { head: 60, fields: 2, ..ResponseParser::LIMITS });
});
