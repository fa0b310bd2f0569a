//! Random heads, random damage, random splits: the outcome is the same.

use evloop::wire::{Fields, HeadLimits, Method, RequestParser, split_authority};
use proptest::prelude::*;

use super::request_ways::{Outcome, feed_parts};

fn split<'a>(input: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut cuts: Vec<_> = cuts.iter().map(|cut| cut % (input.len() + 1)).collect();
    cuts.sort_unstable();
    let mut parts = Vec::new();
    let mut from = 0;
    for cut in cuts {
        parts.push(&input[from..cut]);
        from = cut;
    }
    parts.push(&input[from..]);
    parts
}

fn line() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("Host: a:80".to_owned()),
        Just("Connection: close, upgrade".to_owned()),
        Just("Upgrade: websocket".to_owned()),
        Just("Content-Length: 12".to_owned()),
        Just("Transfer-Encoding: chunked".to_owned()),
        Just("Expect: 100-continue".to_owned()),
        Just("TE: trailers".to_owned()),
        "[A-Za-z-]{1,20}:[ \t]{0,2}[ -~]{0,60}[ \t]{0,2}",
        "[!#-'*+.^_`|~0-9a-z]{1,20}: [\t -~\u{80}-\u{ff}]{0,30}",
    ]
}

fn request() -> impl Strategy<Value = Vec<u8>> {
    let start = prop_oneof![
        "(GET|POST|HEAD|[A-Z]{1,34}) /[!-~]{0,40} HTTP/1\\.[01]",
        "(GET|OPTIONS|CONNECT) (http://a(:1)?(/x)?(\\?y)?|\\*|a:1|x) HTTP/1\\.1",
    ];
    let empty = prop::collection::vec(Just("\r\n"), 0..6);
    (empty, start, prop::collection::vec(line(), 0..12)).prop_map(|(empty, start, lines)| {
        let mut text = empty.concat();
        text.push_str(&start);
        text.push_str("\r\nHost: h\r\n");
        for line in lines {
            text.push_str(&line);
            text.push_str("\r\n");
        }
        text.push_str("\r\nbody");
        text.into_bytes()
    })
}

fn limits() -> impl Strategy<Value = HeadLimits> {
    let small = (1..60_usize, 1..400_usize, 0..12_usize, 0..5_usize);
    prop_oneof![
        3 => Just(HeadLimits::default()),
        1 => small.prop_map(|(target, head, fields, empty_lines)| HeadLimits {
            target,
            head,
            fields,
            empty_lines,
        }),
    ]
}

fn same(input: &[u8], cuts: &[usize], limits: HeadLimits) -> Outcome {
    let mut parser = RequestParser::new(limits);
    let whole = feed_parts(&mut parser, [input]);
    parser.reset();
    assert_eq!(feed_parts(&mut parser, split(input, cuts)), whole);
    parser.reset();
    assert_eq!(feed_parts(&mut parser, input.chunks(1)), whole);
    whole
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn sound_requests_come_to_the_same_in_any_splits(
        input in request(), cuts in prop::collection::vec(any::<usize>(), 0..8), limits in limits(),
    ) {
        prop_assert_ne!(same(&input, &cuts, limits), Outcome::Unfinished);
    }

    #[test]
    fn damaged_requests_come_to_the_same_in_any_splits(
        input in request(),
        damage in prop::collection::vec((any::<usize>(), any::<u8>(), 0..3_u8), 1..4),
        cuts in prop::collection::vec(any::<usize>(), 0..8),
        limits in limits(),
    ) {
        let mut input = input;
        for (at, byte, how) in damage {
            let at = at % input.len();
            match how {
                0 => input[at] = byte,
                1 => input.insert(at, byte),
                _ => drop(input.remove(at)),
            }
        }
        same(&input, &cuts, limits);
    }

    #[test]
    fn garbage_comes_to_the_same_in_any_splits(
        input in prop::collection::vec(any::<u8>(), 0..200),
        cuts in prop::collection::vec(any::<usize>(), 0..8),
    ) {
        same(&input, &cuts, HeadLimits::default());
    }

    #[test]
    fn what_is_pushed_is_found_again_or_was_refused(name in "\\PC{0,12}", value in any::<Vec<u8>>()) {
        let mut fields = Fields::new();
        let control = |b: &u8| (*b < 0x20 && *b != b'\t') || *b == 0x7F;
        match fields.push(&name, &value) {
            Ok(()) => {
                let found = fields.get(&name.to_ascii_uppercase()).unwrap();
                prop_assert!(!found.iter().any(control));
                prop_assert!(Method::from_bytes(name.as_bytes()).is_ok());
            }
            Err(_) => prop_assert!(fields.is_empty()),
        }
    }

    #[test]
    fn any_text_is_an_authority_or_not(text in "[\\[\\]:.a-f0-9%@/ ]{0,24}") {
        if let Some((host, port)) = split_authority(&text) {
            let tail = text.strip_prefix(host).unwrap();
            match port {
                Some(port) => prop_assert_eq!(tail[1..].parse(), Ok(port)),
                None => prop_assert!(tail.is_empty() || tail == ":"),
            }
        }
    }
}
