//! Dates: what is written is read, what is read is a time that is written.

#![no_main]

use std::time::{Duration, UNIX_EPOCH};

use evloop::wire::{self, DateCache};
use libfuzzer_sys::fuzz_target;

/// 1 January 10000.
const END: u64 = 253_402_300_800;

fuzz_target!(|input: &[u8]| {
    if let Some(seconds) = input.first_chunk::<8>() {
        let seconds = u64::from_le_bytes(*seconds);
        for seconds in [seconds, seconds % END] {
            // The system has no time for all of them.
            let Some(time) = UNIX_EPOCH.checked_add(Duration::from_secs(seconds)) else { continue };
            let date = wire::http_date(time);
            let text = std::str::from_utf8(&date).expect("ASCII");
            let nearest = UNIX_EPOCH + Duration::from_secs(seconds.min(END - 1));
            assert_eq!(wire::parse_http_date(text), Some(nearest));
            let mut cache = DateCache::new();
            assert_eq!(cache.at(time), &date);
            assert_eq!(cache.at(UNIX_EPOCH), b"Thu, 01 Jan 1970 00:00:00 GMT");
            assert_eq!(cache.at(time), &date);
        }
        if let Some(time) = UNIX_EPOCH.checked_sub(Duration::from_secs(seconds)) {
            assert_eq!(&wire::http_date(time), b"Thu, 01 Jan 1970 00:00:00 GMT");
        }
    }
    let Ok(text) = std::str::from_utf8(input) else { return };
    let Some(time) = wire::parse_http_date(text) else { return };
    let date = wire::http_date(time);
    let written = std::str::from_utf8(&date).expect("ASCII");
    assert_eq!(wire::parse_http_date(written), Some(time));
    let text = text.trim();
    match text.len() {
        // asctime: day, time and year are those of the other format.
        24 => {
            assert_eq!(text[..3], written[..3]);
            assert_eq!(text[4..7], written[8..11]);
            assert_eq!(text[8..10].replace(' ', "0"), written[5..7]);
            assert_eq!(text[11..19], written[17..25]);
            assert_eq!(text[20..], written[12..16]);
        }
        29 if text.as_bytes()[3] == b',' => assert_eq!(text, written),
        // RFC 850, with the name of the day in full.
        _ => {
            let (day, rest) = text.split_once(", ").expect("a comma");
            assert!(day.starts_with(&written[..3]));
            assert_eq!(rest[..2], written[5..7]);
            assert_eq!(rest[3..6], written[8..11]);
            assert_eq!(rest[7..9], written[14..16]);
            assert_eq!(rest[10..18], written[17..25]);
        }
    }
});
