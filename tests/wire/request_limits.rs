//! Limits, and what time and memory a head may take.

use std::time::Duration;

use evloop::wire::{Fault, HeadLimits, RequestHead, RequestParser, Status};
use rustix::time::{ClockId, clock_gettime};

use super::request_ways::{Outcome, every_way, fault, head};

const START: &str = "GET / HTTP/1.1\r\nHost: a\r\n";

#[test]
fn four_empty_lines_are_skipped_and_a_fifth_is_refused() {
    for lines in 0..=4 {
        head(format!("{}{START}\r\n", "\r\n".repeat(lines)));
    }
    assert_eq!(fault(format!("{}{START}\r\n", "\r\n".repeat(5))), Some(Fault::TooManyEmptyLines));
    assert_eq!(fault(format!("\n{START}\r\n")), Some(Fault::BadLineEnd));
    assert_eq!(fault(format!("\r{START}\r\n")), Some(Fault::BadLineEnd));
    assert_eq!(fault(format!("\r\r\n{START}\r\n")), Some(Fault::BadLineEnd));

    let none = HeadLimits { empty_lines: 0, ..HeadLimits::default() };
    assert_eq!(every_way(b"\r\n", none), Outcome::Faulty(Fault::TooManyEmptyLines));
}

#[test]
fn empty_lines_do_not_begin_a_head() {
    let mut parser = RequestParser::new(HeadLimits::default());
    assert!(!parser.started());
    parser.feed(b"\r\n\r").unwrap();
    assert!(!parser.started());
    parser.feed(b"\nG").unwrap();
    assert!(parser.started());
    parser.reset();
    assert!(!parser.started());
}

#[test]
fn a_target_may_be_8192_bytes_long() {
    let request = |len: usize| format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(len - 1));
    assert_eq!(head(request(8192)).target().len(), 8192);
    assert_eq!(fault(request(8193)), Some(Fault::TargetTooLong));
    assert_eq!(Fault::TargetTooLong.status(), Status::URI_TOO_LONG);
    let endless = format!("GET /{}", "x".repeat(9000));
    assert_eq!(fault(endless), Some(Fault::TargetTooLong));
}

#[test]
fn a_head_may_be_65536_bytes_long() {
    let request = |len: usize| {
        let rest = len - START.len() - "X: \r\n\r\n".len();
        format!("{START}X: {}\r\n\r\n", "x".repeat(rest))
    };
    assert_eq!(head(request(65_536)).fields().len(), 2);
    assert_eq!(fault(request(65_537)), Some(Fault::HeadTooLong));
    assert_eq!(Fault::HeadTooLong.status(), Status::REQUEST_HEADER_FIELDS_TOO_LARGE);
    assert_eq!(fault(format!("{START}X: {}", "x".repeat(70_000))), Some(Fault::HeadTooLong));
    assert_eq!(fault(format!("{START}{}", "x".repeat(70_000))), Some(Fault::HeadTooLong));
    // What is before it does not count.
    head(format!("\r\n\r\n{}", request(65_536)));
}

#[test]
fn the_limit_of_a_head_is_the_same_wherever_it_falls() {
    let input =
        "\r\nPOST /path?query HTTP/1.1\r\nHost: a.b:1\r\nX-Y:  z \r\nContent-Length: 3\r\n\r\nabc";
    let len = input.len() - "\r\n".len() - "abc".len();
    for limit in 1..len {
        let limits = HeadLimits { head: limit, ..HeadLimits::default() };
        let outcome = every_way(input.as_bytes(), limits);
        assert_eq!(outcome, Outcome::Faulty(Fault::HeadTooLong), "{limit}");
    }
    for limit in len..len + 4 {
        let limits = HeadLimits { head: limit, ..HeadLimits::default() };
        let outcome = every_way(input.as_bytes(), limits);
        assert!(matches!(outcome, Outcome::Head(_, used) if used == len + 2), "{limit}");
    }
}

#[test]
fn a_hundred_fields_are_taken_and_one_more_is_refused() {
    let request = |fields: usize| format!("{START}{}\r\n", "X: y\r\n".repeat(fields - 1));
    assert_eq!(head(request(100)).fields().len(), 100);
    assert_eq!(fault(request(101)), Some(Fault::TooManyFields));
    assert_eq!(Fault::TooManyFields.status(), Status::REQUEST_HEADER_FIELDS_TOO_LARGE);
    let one = HeadLimits { fields: 0, ..HeadLimits::default() };
    assert_eq!(every_way(START.as_bytes(), one), Outcome::Faulty(Fault::TooManyFields));
}

#[test]
fn memory_is_bounded_whatever_is_sent() {
    for endless in ["X", "X: ", "X: y\r\n", "\r\n", "GET /"] {
        for piece in [1, 7, 1000, 1 << 20] {
            let mut parser = RequestParser::new(HeadLimits::default());
            parser.feed(START.as_bytes()).unwrap();
            let flood = endless.as_bytes().repeat(2 << 20 >> endless.len().ilog2());
            for part in flood.chunks(piece) {
                if !matches!(parser.feed(part), Ok(progress) if !progress.done) {
                    break;
                }
            }
            assert!(parser.head().memory() <= 160 * 1024, "{}", parser.head().memory());
        }
    }
}

#[test]
fn a_parser_that_was_used_allocates_no_more() {
    let mut parser = RequestParser::new(HeadLimits::default());
    let mut spare = RequestHead::default();
    let request = format!("{START}{}\r\n", "X-Name: value\r\n".repeat(20));
    let mut memory = Vec::new();
    for _ in 0..6 {
        assert!(parser.feed(request.as_bytes()).unwrap().done);
        parser.swap_head(&mut spare);
        memory.push(spare.memory());
    }
    assert_eq!(memory[2..4], memory[4..6]);
    assert_eq!(spare.fields().len(), 21);
    assert_eq!(parser.head().fields().len(), 0);
    assert_eq!(parser.head().target(), "");
}

#[test]
fn nothing_is_taken_behind_the_end_until_the_reset() {
    let input = format!("{START}\r\n{START}Connection: close\r\n\r\n");
    let mut parser = RequestParser::new(HeadLimits::default());
    let first = parser.feed(input.as_bytes()).unwrap();
    assert!(first.done);
    assert_eq!(first.used, START.len() + 2);
    let rest = &input.as_bytes()[first.used..];
    let again = parser.feed(rest).unwrap();
    assert_eq!((again.used, again.done), (0, true));
    parser.reset();
    let second = parser.feed(rest).unwrap();
    assert_eq!((second.used, second.done), (rest.len(), true));
    assert!(!parser.head().keeps_alive());
}

/// Processor time, the best of some runs: other programs run beside this one.
fn time(mut run: impl FnMut()) -> Duration {
    let now = || Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap();
    let measured = (0..5).map(|_| {
        let start = now();
        run();
        now() - start
    });
    measured.min().unwrap_or_default()
}

#[test]
fn time_is_linear_however_the_bytes_come() {
    let request = |size: usize| {
        let mut input = START.to_owned();
        input.push_str(&format!("Cookie: {}\r\n", "c".repeat(size / 4)));
        input.push_str(&"X: y\r\n".repeat(size / 12));
        input.push_str(&"n".repeat(size / 4));
        input
    };
    let limits = HeadLimits { head: usize::MAX, fields: usize::MAX, ..HeadLimits::default() };
    for piece in [1, 3, 64] {
        let take = |size| {
            let input = request(size);
            time(|| {
                let mut parser = RequestParser::new(limits);
                for part in input.as_bytes().chunks(piece) {
                    parser.feed(part).unwrap();
                }
            })
        };
        let (small, large) = (take(100_000), take(800_000));
        // Eight times as much; sixty-four times as much if it were quadratic.
        assert!(large < small * 24, "{small:?} {large:?} in pieces of {piece}");
    }
}
