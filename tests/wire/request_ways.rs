//! Feeding a parser in every way, which must all come to the same.

use evloop::wire::{Fault, HeadLimits, RequestHead, RequestParser};

/// The head and how many bytes it has, or the fault, or nothing yet.
#[derive(Debug, PartialEq)]
pub enum Outcome {
    Head(String, usize),
    Faulty(Fault),
    Unfinished,
}

/// Everything that can be asked of a head.
pub fn portrait(head: &RequestHead) -> String {
    let fields: Vec<_> = head.fields().iter().collect();
    format!(
        "{:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {} {} {} {} {:?} {fields:?}",
        head.method(),
        head.target(),
        head.version(),
        head.form(),
        head.scheme(),
        head.authority(),
        head.raw_path(),
        head.query(),
        head.framing(),
        head.keeps_alive(),
        head.expects_continue(),
        head.has_other_expectation(),
        head.accepts_trailers(),
        head.upgrade(),
    )
}

pub fn feed_parts<'a>(
    parser: &mut RequestParser,
    parts: impl IntoIterator<Item = &'a [u8]>,
) -> Outcome {
    let mut used = 0;
    for part in parts {
        match parser.feed(part) {
            Err(fault) => {
                assert_eq!(parser.feed(b"GET / HTTP/1.0\r\n\r\n"), Err(fault), "a fault stays");
                return Outcome::Faulty(fault);
            }
            Ok(progress) => {
                assert!(progress.used <= part.len());
                assert!(
                    progress.done || progress.used == part.len(),
                    "all is taken until it is done"
                );
                used += progress.used;
                if progress.done {
                    return Outcome::Head(portrait(parser.head()), used);
                }
            }
        }
    }
    Outcome::Unfinished
}

/// Feeds it whole, byte by byte, and split at every position; returns what all of them come to.
pub fn every_way(input: &[u8], limits: HeadLimits) -> Outcome {
    let mut parser = RequestParser::new(limits);
    let whole = feed_parts(&mut parser, [input]);

    // In a parser that has been used.
    parser.reset();
    let bytes = feed_parts(&mut parser, input.chunks(1));
    assert_eq!(bytes, whole, "byte by byte: {}", input.escape_ascii());

    let step = (input.len() / 500).max(1);
    for at in (0..=input.len()).step_by(step) {
        let (left, right) = input.split_at(at);
        parser.reset();
        let split = feed_parts(&mut parser, [left, right]);
        assert_eq!(split, whole, "split at {at}: {}", input.escape_ascii());
    }
    if input.len() <= 1000 {
        a_prefix_is_faulty_from_one_byte_on(input, limits);
    }
    whole
}

/// A fault is told at the byte that makes it, also if all bytes up to there come at once.
fn a_prefix_is_faulty_from_one_byte_on(input: &[u8], limits: HeadLimits) {
    let mut single = RequestParser::new(limits);
    let mut outcome = Ok(());
    for len in 1..=input.len() {
        if outcome.is_ok() {
            outcome = single.feed(&input[len - 1..len]).map(drop);
        }
        let whole = RequestParser::new(limits).feed(&input[..len]).map(drop);
        assert_eq!(whole, outcome, "{len} bytes of {}", input.escape_ascii());
    }
}

pub fn fault(input: impl AsRef<[u8]>) -> Option<Fault> {
    match every_way(input.as_ref(), HeadLimits::default()) {
        Outcome::Faulty(fault) => Some(fault),
        Outcome::Head(..) => None,
        Outcome::Unfinished => panic!("unfinished: {}", input.as_ref().escape_ascii()),
    }
}

/// The head of what is accepted in every way.
pub fn head(input: impl AsRef<[u8]>) -> RequestHead {
    let input = input.as_ref();
    assert_eq!(fault(input), None, "{}", input.escape_ascii());
    let mut parser = RequestParser::new(HeadLimits::default());
    parser.feed(input).unwrap();
    let mut head = RequestHead::default();
    parser.swap_head(&mut head);
    head
}

/// The fault of a request with these lines, `\r\n` behind each, under a good request line and `Host`.
pub fn fault_of(lines: &str) -> Option<Fault> {
    fault(format!("POST /x HTTP/1.1\r\nHost: a\r\n{lines}\r\n\r\n"))
}

pub fn head_of(lines: &str) -> RequestHead {
    head(format!("POST /x HTTP/1.1\r\nHost: a\r\n{lines}\r\n\r\n"))
}
