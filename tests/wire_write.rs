//! Heads and dates, written: what a program may put there, and that no more gets there.

#![allow(clippy::unwrap_used)]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use evloop::wire::{self, DateCache, Fault, Method, Status};
use proptest::prelude::*;

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

// ---- heads, written ----

#[test]
fn a_status_line_has_its_reason_or_none() {
    for (status, line) in [
        (Status::OK, "HTTP/1.1 200 OK\r\n"),
        (Status::NOT_FOUND, "HTTP/1.1 404 Not Found\r\n"),
        (Status::from_code(299).unwrap(), "HTTP/1.1 299 \r\n"),
        (Status::from_code(999).unwrap(), "HTTP/1.1 999 \r\n"),
    ] {
        let mut out = b"x".to_vec();
        wire::status_line(&mut out, status);
        assert_eq!(out, format!("x{line}").as_bytes());
    }
}

#[test]
fn numbers_are_written_in_decimal() {
    for number in [0, 1, 9, 10, 99, 100, 12_345, u64::MAX] {
        let mut out = Vec::new();
        wire::number_field(&mut out, "Content-Length", number).unwrap();
        assert_eq!(out, format!("Content-Length: {number}\r\n").as_bytes());
    }
    assert_eq!(wire::number_field(&mut Vec::new(), "a b", 1), Err(Fault::BadFieldName));
}

#[test]
fn no_value_of_a_program_ends_its_line() {
    let mut out = Vec::new();
    for byte in 0..=255_u8 {
        let value = [b'a', byte, b'b'];
        let allowed = byte == b'\t' || byte >= 32 && byte != 127;
        let expected = if allowed { Ok(()) } else { Err(Fault::BadFieldValue) };
        assert_eq!(wire::field(&mut out, "X", &value), expected, "{byte}");
        // Not at the ends either, where white space is left out.
        for value in [[byte, b'a'], [b'a', byte]] {
            assert_eq!(wire::field(&mut out, "X", &value), expected, "{byte}");
        }
        if byte < 128 {
            let name = format!("a{}b", char::from(byte));
            let token = byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
            let expected = if token { Ok(()) } else { Err(Fault::BadFieldName) };
            assert_eq!(wire::field(&mut out, &name, b"x"), expected, "{byte}");
            assert_eq!(wire::number_field(&mut out, &name, 1), expected, "{byte}");
            let target = format!("/{}b", char::from(byte));
            let expected = if byte.is_ascii_graphic() { Ok(()) } else { Err(Fault::BadTarget) };
            assert_eq!(wire::request_line(&mut out, &Method::GET, &target), expected, "{byte}");
        }
    }
    out.clear();
    assert_eq!(wire::field(&mut out, "", b"x"), Err(Fault::BadFieldName));
    assert_eq!(wire::field(&mut out, "\u{e4}", b"x"), Err(Fault::BadFieldName));
    assert_eq!(wire::field(&mut out, "X", b"a\r\nB: c"), Err(Fault::BadFieldValue));
    assert_eq!(wire::request_line(&mut out, &Method::GET, ""), Err(Fault::BadTarget));
    assert_eq!(wire::request_line(&mut out, &Method::GET, "/\u{e4}"), Err(Fault::BadTarget));
    assert_eq!(out, b"", "nothing of what is refused is written");
}

#[test]
fn white_space_around_a_value_is_not_written() {
    let mut out = Vec::new();
    wire::field(&mut out, "X", b" \ta b\t ").unwrap();
    wire::field(&mut out, "Y", b" ").unwrap();
    assert_eq!(out, b"X: a b\r\nY: \r\n");
}

// ---- dates ----

#[test]
fn dates_are_written_in_one_format_and_read_in_three() {
    let time = UNIX_EPOCH + Duration::from_secs(784_111_777);
    assert_eq!(&wire::http_date(time), b"Sun, 06 Nov 1994 08:49:37 GMT");
    for text in [
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
    ] {
        assert_eq!(wire::parse_http_date(text), Some(time));
    }
}

#[test]
fn dates_that_do_not_exist_are_refused() {
    for text in [
        "",
        "0",
        "-1",
        "now",
        "Mon, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 UTC",
        "Sun, 06 Nov 1994 08:49:37 +0000",
        "Sun, 06 Nov 1994 08:49:37",
        "Sun, 6 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:00:00 GMT",
        "Sun, 06 Nov 1994 08:60:37 GMT",
        "Sun, 06 Nov 1994 08:49:60 GMT",
        "Thu, 30 Feb 2012 08:49:37 GMT",
        "Thu, 00 Mar 2012 08:49:37 GMT",
        "Sun, 06 Foo 1994 08:49:37 GMT",
        "Wed, 31 Dec 1969 23:59:59 GMT",
        "Sun, 06 Nov 0000 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:3\u{664} GMT",
        "S\u{fc}n, 06 Nov 1994 08:49:37 GM",
        "Sunday, 06-Nov-1994 08:49:37 GMT",
        "Sun Nov 06 08:49:37 19940",
    ] {
        assert_eq!(wire::parse_http_date(text), None, "{text}");
    }
}

#[test]
fn times_beyond_four_digits_of_year_are_the_nearest_that_are_not() {
    assert_eq!(
        &wire::http_date(UNIX_EPOCH - Duration::from_secs(1)),
        b"Thu, 01 Jan 1970 00:00:00 GMT"
    );
    let far = UNIX_EPOCH + Duration::from_secs(1 << 50);
    assert_eq!(&wire::http_date(far), b"Fri, 31 Dec 9999 23:59:59 GMT");
}

#[test]
fn the_cache_says_what_is_formatted_anew() {
    let mut dates = DateCache::default();
    let mut at = |time: SystemTime| assert_eq!(dates.at(time), &wire::http_date(time));
    at(UNIX_EPOCH);
    for millis in [0, 999, 1000, 1001, 60_000, 59_999, 86_400_000, u64::MAX] {
        at(UNIX_EPOCH + Duration::from_millis(millis));
    }
    at(UNIX_EPOCH - Duration::from_secs(5));
    at(SystemTime::now());
}

proptest! {
    #![proptest_config(cases(2000))]

    #[test]
    fn a_date_that_is_written_is_read(second in 0..253_402_300_800_u64, nanos in 0..1_000_000_000_u32) {
        let time = UNIX_EPOCH + Duration::new(second, nanos);
        let text = wire::http_date(time);
        let read = wire::parse_http_date(std::str::from_utf8(&text).unwrap());
        prop_assert_eq!(read, Some(UNIX_EPOCH + Duration::from_secs(second)));
    }
}
