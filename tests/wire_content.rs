//! Ranges, entity tags, conditions and accepted codings: what `wire` says of content (RFC 9110 §8.8, §12.5.3, §13, §14).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use evloop::wire::accept::{IDENTITY, encodings};
use evloop::wire::conditional::{Current, Verdict, evaluate};
use evloop::wire::range::{
    ByteRange, RANGES_MAX, Requested, content_range, parse, parse_content_range, requested,
    unsatisfied,
};
use evloop::wire::{EntityTag, Fields, Method, entity_tags, http_date};
use proptest::prelude::*;

fn fields(lines: &[(&str, &str)]) -> Fields {
    let mut fields = Fields::new();
    for (name, value) in lines {
        fields.push(name, value).unwrap();
    }
    fields
}

// --- ranges ---

fn parts(value: &str, len: u64) -> Vec<(u64, u64)> {
    match parse(value.as_bytes(), len) {
        Requested::Ranges(ranges) => ranges.iter().map(|part| (part.offset, part.len)).collect(),
        other => panic!("{value} is {other:?}"),
    }
}

fn ignored(values: &[&str]) {
    for value in values {
        assert_eq!(parse(value.as_bytes(), 100), Requested::Ignored, "{value}");
    }
}

#[test]
fn a_range_is_from_to_open_or_a_suffix() {
    assert_eq!(parts("bytes=0-0", 100), [(0, 1)]);
    assert_eq!(parts("bytes=10-19", 100), [(10, 10)]);
    assert_eq!(parts("bytes=90-", 100), [(90, 10)]);
    assert_eq!(parts("bytes=-10", 100), [(90, 10)]);
    assert_eq!(parts("bytes=-1000", 100), [(0, 100)]);
    assert_eq!(parts("bytes=99-2000", 100), [(99, 1)]);
    assert_eq!(parts("BYTES=0-", 100), [(0, 100)]);
}

#[test]
fn a_range_behind_the_end_is_unsatisfiable() {
    for value in ["bytes=100-", "bytes=100-200", "bytes=-0", "bytes=200-300,100-", "bytes=-000"] {
        assert_eq!(parse(value.as_bytes(), 100), Requested::Unsatisfiable, "{value}");
    }
    assert_eq!(parse(b"bytes=0-", 0), Requested::Unsatisfiable);
}

#[test]
fn the_end_of_nothing_is_the_whole_of_it() {
    assert_eq!(parse(b"bytes=-5", 0), Requested::Ignored);
    assert_eq!(parse(b"bytes=-0", 0), Requested::Unsatisfiable);
}

#[test]
fn what_is_unsatisfiable_beside_what_is_not_is_left_out() {
    assert_eq!(parts("bytes=100-, 5-6, -0", 100), [(5, 2)]);
}

#[test]
fn a_malformed_range_is_ignored() {
    ignored(&["", "bytes", "bytes=", "bytes= ", "bytes=,", "bytes=-", "bytes=a-b", "bytes=1"]);
    ignored(&["bytes=5-4", "bytes=1-2-3", "bytes=--1", "bytes=+1-2", "bytes=1 -2", "bytes=1- 2"]);
    ignored(&["bytes=0x1-2", "bytes =0-1", "bytes:0-1", "lines=0-1", "bytes=0-1;2-3", "0-1"]);
    ignored(&["bytes=0-1,x", "bytes=x,0-1", "bytes=0-1,5-4", "bytes=-1-2", "bytes=0-1\0"]);
}

#[test]
fn one_malformed_range_spoils_all_wherever_it_is() {
    let long = "0-1,".repeat(1000);
    ignored(&[&format!("bytes={long}x")]);
}

#[test]
fn white_space_and_nothing_between_commas_do_not_count() {
    assert_eq!(parts("bytes=0-1 ,\t5-6,,, ", 100), [(0, 2), (5, 2)]);
    assert_eq!(parts("bytes=,0-1", 100), [(0, 2)]);
}

#[test]
fn numbers_beyond_all_bounds_do_not_overflow() {
    let huge = "9".repeat(40);
    assert_eq!(parts(&format!("bytes=0-{huge}"), 100), [(0, 100)]);
    assert_eq!(parts(&format!("bytes=-{huge}"), 100), [(0, 100)]);
    assert_eq!(parse(format!("bytes={huge}-").as_bytes(), u64::MAX), Requested::Unsatisfiable);
    assert_eq!(parts("bytes=18446744073709551614-", u64::MAX), [(u64::MAX - 1, 1)]);
    assert_eq!(parts("bytes=0-18446744073709551615", u64::MAX), [(0, u64::MAX)]);
    // Compared as they are, not as they are clamped.
    let larger = format!("1{huge}");
    ignored(&[&format!("bytes={larger}-{huge}"), &format!("bytes={huge}-5")]);
    let value = format!("bytes={huge}-{larger}");
    assert_eq!(parse(value.as_bytes(), 100), Requested::Unsatisfiable);
    assert_eq!(parts("bytes=00000000000000000000000000000005-6", 100), [(5, 2)]);
}

#[test]
fn ranges_that_overlap_or_touch_are_joined() {
    assert_eq!(parts("bytes=0-9,5-14", 100), [(0, 15)]);
    assert_eq!(parts("bytes=0-9,10-19", 100), [(0, 20)]);
    assert_eq!(parts("bytes=0-9,11-19", 100), [(0, 10), (11, 9)]);
    assert_eq!(parts("bytes=0-99,3-4,-1,50-", 100), [(0, 100)]);
    assert_eq!(parts("bytes=5-6,5-6,5-6", 100), [(5, 2)]);
}

#[test]
fn ranges_come_in_the_order_in_which_they_were_asked_for() {
    assert_eq!(parts("bytes=50-59,0-9", 100), [(50, 10), (0, 10)]);
    assert_eq!(parts("bytes=50-59,0-9,20-29,55-64", 100), [(50, 15), (0, 10), (20, 10)]);
    assert_eq!(parts("bytes=20-29,50-59,0-9,10-19", 100), [(0, 30), (50, 10)]);
}

#[test]
fn more_ranges_than_may_be_are_ignored() {
    let of = |count: usize| {
        let all: Vec<_> = (0..count).map(|n| format!("{}-{}", n * 3, n * 3)).collect();
        format!("bytes={}", all.join(","))
    };
    assert_eq!(parts(&of(RANGES_MAX), 100_000).len(), RANGES_MAX);
    ignored(&[&of(RANGES_MAX + 1)]);
    // The attack on Apache: thousands that overlap.
    ignored(&[&format!("bytes=0-{}", ",5-".repeat(1300))]);
    ignored(&[&format!("bytes={}", vec!["0-"; RANGES_MAX + 1].join(","))]);
}

#[test]
fn two_range_fields_are_none() {
    let two = fields(&[("Range", "bytes=0-1"), ("Range", "bytes=0-1")]);
    assert_eq!(requested(&two, 100), Requested::Ignored);
    assert_eq!(requested(&fields(&[]), 100), Requested::Ignored);
    let one = requested(&fields(&[("range", "bytes=0-1")]), 100);
    assert!(matches!(one, Requested::Ranges(ranges) if ranges.len() == 1));
}

/// What this thread has spent on a processor.
fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

#[test]
fn a_range_is_read_in_linear_time() {
    let time = |n: usize| {
        let value = format!("bytes={}", "5-,".repeat(n));
        // On the processor: who else runs there says nothing about the parser.
        let begun = processor_time();
        for _ in 0..20 {
            assert_eq!(parse(value.as_bytes(), 100), Requested::Ignored);
        }
        processor_time() - begun
    };
    time(20_000);
    let (small, large) = (time(20_000), time(160_000));
    assert!(large < small * 24 + Duration::from_millis(5), "{small:?}, {large:?}");
}

#[test]
fn a_content_range_is_written_and_read() {
    let mut value = Vec::new();
    content_range(&mut value, ByteRange { offset: 5, len: 10 }, 1000);
    assert_eq!(value, b"bytes 5-14/1000");
    assert_eq!(parse_content_range(&value), Some((ByteRange { offset: 5, len: 10 }, Some(1000))));
    value.clear();
    unsatisfied(&mut value, 1000);
    assert_eq!(value, b"bytes */1000");
    for bad in [
        "bytes */1000",
        "bytes 5-4/10",
        "bytes 5-10/10",
        "bytes -5/10",
        "bytes 5-/10",
        "lines 0-1/2",
        "bytes 0-1",
        "bytes 0-1/",
        "bytes 0-1/x",
        "bytes 0-18446744073709551615/*",
        "bytes  0-1/2",
        "bytes 0-18446744073709551616/*",
        "bytes +0-1/2",
        "",
        "bytes",
        "bytes=0-1/2",
        "b\u{fc}tes 0-1/2",
    ] {
        assert_eq!(parse_content_range(bad.as_bytes()), None, "{bad}");
    }
}

proptest! {
    #[test]
    fn ranges_cover_what_was_asked_for_and_nothing_else(
        specs in prop::collection::vec((0_u64..80, 0_u64..80), 1..=RANGES_MAX),
        len in 1_u64..64,
    ) {
        let text: Vec<_> =
            specs.iter().map(|(a, n)| format!("{a}-{}", a + n)).collect();
        let mut wanted = vec![false; len as usize];
        for (from, n) in &specs {
            for byte in *from..=(from + n) {
                if let Some(place) = wanted.get_mut(byte as usize) { *place = true; }
            }
        }
        let mut given = vec![false; len as usize];
        match parse(format!("bytes={}", text.join(",")).as_bytes(), len) {
            Requested::Ranges(ranges) => for part in ranges.iter() {
                prop_assert!(part.len > 0 && part.end() <= len);
                // Neither twice, nor touching another.
                prop_assert!(part.offset == 0 || !given[part.offset as usize - 1]);
                for byte in part.offset..part.end() {
                    prop_assert!(!given[byte as usize]);
                    given[byte as usize] = true;
                }
                prop_assert!(given.get(part.end() as usize) != Some(&true));
            },
            Requested::Unsatisfiable => {}
            other => prop_assert!(false, "{other:?}"),
        }
        prop_assert_eq!(given, wanted);
    }
}

// --- entity tags ---

fn tags(list: &str) -> Vec<String> {
    entity_tags(list.as_bytes()).map(|tag| tag.to_string()).collect()
}

#[test]
fn entity_tags_are_read_as_they_are_written() {
    for text in ["\"\"", "\"a\"", "W/\"a\"", "\"!#~\u{fc}\"", r#""a\""#, "\"a,b\""] {
        let tag = EntityTag::parse(text.as_bytes()).unwrap();
        let mut out = Vec::new();
        tag.write(&mut out);
        assert_eq!((out.as_slice(), tag.to_string().as_str()), (text.as_bytes(), text));
    }
    for text in [
        "",
        "a",
        "\"",
        "\"a",
        "a\"",
        "w/\"a\"",
        "W/a",
        "\"a\"b",
        "\"a b\"",
        "*",
        "\"a\" \"b\"",
        "\"\u{7f}\"",
    ] {
        assert_eq!(EntityTag::parse(text.as_bytes()), None, "{text}");
    }
    assert!(EntityTag::strong("a\"b").is_err() && EntityTag::weak("a b").is_err());
    assert!(EntityTag::strong("a\r\n").is_err());
}

#[test]
fn a_list_of_tags_ends_at_what_is_none() {
    assert_eq!(tags(r#""a", W/"b"  ,"c""#), ["\"a\"", "W/\"b\"", "\"c\""]);
    assert_eq!(tags(r#" ,, "a" ,,"b","#), ["\"a\"", "\"b\""]);
    assert_eq!(tags(r#""a", b, "c""#), ["\"a\""]);
    assert_eq!(tags(r#""a" "b""#), [""; 0]);
    assert_eq!(tags("*"), [""; 0]);
    // A backslash takes nothing literally here.
    assert_eq!(tags(r#""a\", "b""#), [r#""a\""#, "\"b\""]);
}

#[test]
fn strong_and_weak_comparison_differ_as_in_the_rfc() {
    let tag = |text: &'static str| EntityTag::parse(text.as_bytes()).unwrap();
    for (one, other, same, like) in [
        ("W/\"1\"", "W/\"1\"", false, true),
        ("W/\"1\"", "W/\"2\"", false, false),
        ("W/\"1\"", "\"1\"", false, true),
        ("\"1\"", "\"1\"", true, true),
    ] {
        let (one, other) = (tag(one), tag(other));
        assert_eq!((one.is_same(&other), other.is_same(&one)), (same, same));
        assert_eq!((one.is_like(&other), other.is_like(&one)), (like, like));
    }
}

// --- conditions ---

const MODIFIED: u64 = 784_111_777;

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn date(seconds: u64) -> String {
    String::from_utf8(http_date(at(seconds)).to_vec()).unwrap()
}

fn verdict(method: &Method, lines: &[(&str, &str)]) -> Verdict {
    let current = Current {
        tag: EntityTag::strong("now").ok(),
        modified: Some(at(MODIFIED) + Duration::from_millis(700)),
        now: Some(at(MODIFIED + 100)),
        ..Current::default()
    };
    evaluate(method, &fields(lines), &current)
}

fn of_get(lines: &[(&str, &str)]) -> Verdict {
    verdict(&Method::GET, lines)
}

#[test]
fn without_conditions_ranges_count_for_get_alone() {
    assert_eq!(of_get(&[]), Verdict::Ranges);
    for method in [Method::HEAD, Method::POST, Method::PUT] {
        assert_eq!(verdict(&method, &[]), Verdict::Whole);
    }
}

#[test]
fn if_match_compares_strongly() {
    assert_eq!(of_get(&[("If-Match", "\"other\", \"now\"")]), Verdict::Ranges);
    assert_eq!(of_get(&[("If-Match", "*")]), Verdict::Ranges);
    for tags in ["\"other\"", "W/\"now\"", "", "now", "bad, \"now\"", "\"other\", *"] {
        assert_eq!(of_get(&[("If-Match", tags)]), Verdict::PreconditionFailed, "{tags}");
    }
    assert_eq!(of_get(&[("If-Match", "\"a\""), ("If-Match", "\"now\"")]), Verdict::Ranges);
    let missing = Current { missing: true, ..Current::default() };
    let any = fields(&[("If-Match", "*")]);
    assert_eq!(evaluate(&Method::PUT, &any, &missing), Verdict::PreconditionFailed);
}

#[test]
fn if_unmodified_since_is_asked_where_there_is_no_if_match() {
    let of = |seconds| of_get(&[("If-Unmodified-Since", &date(seconds))]);
    assert_eq!(of(MODIFIED - 1), Verdict::PreconditionFailed);
    assert_eq!((of(MODIFIED), of(MODIFIED + 1)), (Verdict::Ranges, Verdict::Ranges));
    let both = [("If-Match", "\"now\""), ("If-Unmodified-Since", &*date(0))];
    assert_eq!(of_get(&both), Verdict::Ranges);
    assert_eq!(of_get(&[("If-Unmodified-Since", "yesterday")]), Verdict::Ranges);
}

#[test]
fn if_none_match_compares_weakly() {
    for tags in ["\"now\"", "W/\"now\"", "*", "\"a\",\"now\""] {
        assert_eq!(of_get(&[("If-None-Match", tags)]), Verdict::NotModified, "{tags}");
        let head = verdict(&Method::HEAD, &[("If-None-Match", tags)]);
        assert_eq!(head, Verdict::NotModified);
        let put = verdict(&Method::PUT, &[("If-None-Match", tags)]);
        assert_eq!(put, Verdict::PreconditionFailed);
    }
    for tags in ["\"other\"", "", "now", "bad, \"now\""] {
        assert_eq!(of_get(&[("If-None-Match", tags)]), Verdict::Ranges, "{tags}");
    }
    let missing = Current { missing: true, ..Current::default() };
    let none = fields(&[("If-None-Match", "*")]);
    assert_eq!(evaluate(&Method::PUT, &none, &missing), Verdict::Whole);
}

#[test]
fn if_modified_since_is_asked_where_there_is_no_if_none_match() {
    let of = |seconds| of_get(&[("If-Modified-Since", &date(seconds))]);
    assert_eq!(of(MODIFIED - 1), Verdict::Ranges);
    assert_eq!((of(MODIFIED), of(MODIFIED + 1)), (Verdict::NotModified, Verdict::NotModified));
    let both = [("If-None-Match", "\"other\""), ("If-Modified-Since", &*date(MODIFIED))];
    assert_eq!(of_get(&both), Verdict::Ranges);
    assert_eq!(verdict(&Method::POST, &[("If-Modified-Since", &date(MODIFIED))]), Verdict::Whole);
    for bad in ["", "0", "Mon, 06 Nov 1994 08:49:37 GMT", "tomorrow"] {
        assert_eq!(of_get(&[("If-Modified-Since", bad)]), Verdict::Ranges);
    }
    let twice = [("If-Modified-Since", &*date(MODIFIED)), ("If-Modified-Since", &*date(MODIFIED))];
    assert_eq!(of_get(&twice), Verdict::Ranges);
}

#[test]
fn all_three_formats_of_dates_are_understood() {
    for text in ["Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"] {
        assert_eq!(of_get(&[("If-Modified-Since", text)]), Verdict::NotModified);
    }
}

#[test]
fn what_fails_first_decides() {
    let lines = [("If-None-Match", "\"now\""), ("If-Match", "\"other\"")];
    assert_eq!(of_get(&lines), Verdict::PreconditionFailed);
    let lines = [("If-Range", "\"now\""), ("If-None-Match", "\"now\"")];
    assert_eq!(of_get(&lines), Verdict::NotModified);
}

#[test]
fn if_range_takes_a_strong_tag_or_the_exact_date() {
    assert_eq!(of_get(&[("If-Range", "\"now\"")]), Verdict::Ranges);
    assert_eq!(of_get(&[("If-Range", &date(MODIFIED))]), Verdict::Ranges);
    for text in ["W/\"now\"", "\"other\"", "*", "", "now", "\"now\", \"other\""] {
        assert_eq!(of_get(&[("If-Range", text)]), Verdict::Whole, "{text}");
    }
    for seconds in [MODIFIED - 1, MODIFIED + 1] {
        assert_eq!(of_get(&[("If-Range", &date(seconds))]), Verdict::Whole);
    }
    assert_eq!(of_get(&[("If-Range", "\"now\""), ("If-Range", "\"now\"")]), Verdict::Whole);
}

#[test]
fn the_date_of_what_has_just_changed_is_no_condition_for_a_range() {
    let current = |now| Current { modified: Some(at(MODIFIED)), now, ..Current::default() };
    let lines = fields(&[("If-Range", &date(MODIFIED))]);
    let of = |now| evaluate(&Method::GET, &lines, &current(now));
    let just = at(MODIFIED) + Duration::from_millis(999);
    assert_eq!(of(Some(just)), Verdict::Whole);
    assert_eq!(of(Some(at(MODIFIED + 1))), Verdict::Ranges);
    assert_eq!(of(None), Verdict::Ranges);
}

// --- codings ---

fn best(accept: &str, offered: &[&'static str]) -> Option<&'static str> {
    encodings(&fields(&[("Accept-Encoding", accept)])).best(offered.iter().copied())
}

#[test]
fn the_most_welcome_coding_is_chosen_and_of_equals_the_first() {
    let all = &["br", "zstd", "gzip"];
    assert_eq!(best("gzip, deflate, br, zstd", all), Some("br"));
    assert_eq!(best("gzip;q=1.0, br;q=0.5", all), Some("gzip"));
    assert_eq!(best("GZIP", all), Some("gzip"));
    assert_eq!(best("x-gzip", all), Some("gzip"));
    assert_eq!(best("*", all), Some("br"));
    assert_eq!(best("*;q=0.1, zstd", all), Some("zstd"));
    assert_eq!(best("br;q=0, *", all), Some("zstd"));
}

#[test]
fn what_is_not_coded_is_welcome_unless_it_is_refused() {
    assert_eq!(best("", &["gzip"]), Some(IDENTITY));
    assert_eq!(best("deflate", &["gzip"]), Some(IDENTITY));
    assert_eq!(best("gzip;q=0", &["gzip"]), Some(IDENTITY));
    assert_eq!(best("identity, gzip;q=0.5", &["gzip"]), Some(IDENTITY));
    assert_eq!(best("identity;q=0", &["gzip"]), None);
    assert_eq!(best("*;q=0", &["gzip"]), None);
    assert_eq!(best("*;q=0, identity;q=0.1", &["gzip"]), Some(IDENTITY));
    assert_eq!(best("identity;q=0, gzip", &["gzip"]), Some("gzip"));
    assert_eq!(encodings(&Fields::new()).best(["gzip"]), Some(IDENTITY));
    assert!(!encodings(&Fields::new()).is_present());
}

#[test]
fn a_malformed_weight_makes_a_member_none() {
    for bad in ["2", "1.001", "0.1234", "-1", "a", "", "1.a", ".5", "0,5", "01", "1.0000"] {
        assert_ne!(best(&format!("gzip;q={bad}"), &["gzip"]), Some("gzip"), "{bad}");
    }
    for (text, weight) in
        [("0.5", 500), ("0.001", 1), ("1.000", 1000), ("1.", 1000), ("0", 0), ("0.", 0)]
    {
        let fields = fields(&[("Accept-Encoding", &format!("br, gzip ; q={text}"))]);
        assert_eq!(encodings(&fields).weight("gzip"), weight, "{text}");
    }
}

#[test]
fn fields_of_several_lines_are_one_list() {
    let two = fields(&[("Accept-Encoding", "br;q=0.1"), ("accept-encoding", "gzip")]);
    assert_eq!(encodings(&two).best(["br", "gzip"]), Some("gzip"));
}
