//! Bodies: what is data, where they end, and what is refused, however the bytes arrive.

#![allow(clippy::unwrap_used)]

#[path = "wire/cuts.rs"]
mod cuts;
#[path = "wire/linear.rs"]
mod linear;

use cuts::{in_every_way, pieces};
use evloop::wire::{
    self, BodyDecoder, CHUNK_END, CHUNK_HEAD, ChunkDecoder, ChunkLimits, Fault, Fields, Framing,
    LAST_CHUNK, Piece,
};
use linear::linear;
use proptest::collection::vec;
use proptest::prelude::*;

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// What became of a body.
#[derive(PartialEq, Debug)]
struct Outcome {
    data: Vec<u8>,
    trailers: Vec<(String, Vec<u8>)>,
    /// Where it ended, if it did.
    end: Result<Option<usize>, Fault>,
}

fn list(fields: &Fields) -> Vec<(String, Vec<u8>)> {
    fields.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// Feeds a decoder and checks what every one promises on the way.
fn drive(mut body: BodyDecoder, parts: &mut dyn Iterator<Item = &[u8]>) -> Outcome {
    let mut data = Vec::new();
    let mut used = 0;
    let mut end = Ok(None);
    'all: for mut rest in parts {
        loop {
            match body.next(rest) {
                Ok(Piece::More) => {
                    assert_eq!(rest, b"", "bytes that nobody looked at");
                    break;
                }
                Ok(Piece::Skip(n)) => {
                    assert!(n > 0);
                    rest = &rest[n..];
                    used += n;
                }
                Ok(Piece::Data(n)) => {
                    assert!(n > 0);
                    data.extend_from_slice(&rest[..n]);
                    rest = &rest[n..];
                    used += n;
                }
                Ok(Piece::End(n)) => {
                    assert!(n <= rest.len());
                    end = Ok(Some(used + n));
                    assert!(body.is_done());
                    assert_eq!(body.remaining(), Some(0));
                    assert_eq!(body.next(b"GET / HTTP/1.1\r\n"), Ok(Piece::End(0)));
                    assert_eq!(body.next(b""), Ok(Piece::End(0)));
                    assert_eq!(body.end_of_input(), Ok(()));
                    break 'all;
                }
                Err(fault) => {
                    assert_eq!(body.next(b"0\r\n\r\n"), Err(fault), "a fault is for good");
                    assert_eq!(body.next(b""), Err(fault));
                    assert_eq!(body.end_of_input(), Err(fault));
                    assert!(!body.is_done());
                    end = Err(fault);
                    break 'all;
                }
            }
        }
    }
    if end == Ok(None) {
        assert_eq!(body.end_of_input(), Err(Fault::Incomplete));
        assert_eq!(body.end_of_input(), Err(Fault::Incomplete));
        assert_eq!(body.next(b"0\r\n\r\n"), Err(Fault::Incomplete));
    }
    Outcome { data, trailers: list(&body.take_trailers()), end }
}

fn with(limits: ChunkLimits, bytes: &[u8]) -> Outcome {
    in_every_way(bytes, |parts| drive(BodyDecoder::chunked(limits), parts))
}

fn chunked(bytes: impl AsRef<[u8]>) -> Outcome {
    with(ChunkLimits::default(), bytes.as_ref())
}

/// The data of a body that ends with the input.
#[track_caller]
fn data(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let bytes = bytes.as_ref();
    let outcome = chunked(bytes);
    assert_eq!(outcome.end, Ok(Some(bytes.len())), "{}", bytes.escape_ascii());
    outcome.data
}

#[track_caller]
fn refused(bytes: impl AsRef<[u8]>, fault: Fault) {
    let bytes = bytes.as_ref();
    assert_eq!(chunked(bytes).end, Err(fault), "{}", bytes.escape_ascii());
}

// ---- sizes ----

#[test]
fn chunks_are_put_together() {
    assert_eq!(data("5\r\nhello\r\n0\r\n\r\n"), b"hello");
    assert_eq!(data("1\r\na\r\n2\r\nbc\r\n0\r\n\r\n"), b"abc");
    assert_eq!(data("0\r\n\r\n"), b"");
    assert_eq!(data("4\r\n\r\n\r\n\r\n0\r\n\r\n"), b"\r\n\r\n", "line ends are data there");
    assert_eq!(
        data("5\r\n0\r\n\r\n\r\n0\r\n\r\n"),
        b"0\r\n\r\n",
        "and so is what looks like the end"
    );
}

#[test]
fn sizes_are_hexadecimal_in_both_cases() {
    let text = "x".repeat(0xAF);
    for size in ["af", "AF", "aF", "00af", "000000000000000000000000000000AF"] {
        assert_eq!(data(format!("{size}\r\n{text}\r\n0\r\n\r\n")), text.as_bytes());
    }
    assert_eq!(data("0000\r\n\r\n"), b"", "zero however long");
}

#[test]
fn what_follows_the_end_is_left_alone() {
    let outcome = chunked("1\r\na\r\n0\r\n\r\nGET / HTTP/1.1\r\n");
    assert_eq!((outcome.data.as_slice(), outcome.end), (&b"a"[..], Ok(Some(11))));
    let outcome = chunked("0\r\n\r\n0\r\n\r\n");
    assert_eq!(outcome.end, Ok(Some(5)));
}

#[test]
fn a_size_is_digits_and_nothing_else() {
    for size in [
        "", " 5", "\t5", "+5", "-5", "-1", "0x5", "0X5", "x5", "5h", "g", "5 ", "5\t", "5 5",
        "5,5", "5.0", "5e+1", "\"5\"", "_5", "5_0", "five", "h5", "\u{665}", "5\u{a0}", "''", "#5",
        "5#",
    ] {
        refused(format!("{size}\r\nhello\r\n0\r\n\r\n"), Fault::BadChunkSize);
    }
    refused("\r\n5\r\nhello\r\n0\r\n\r\n", Fault::BadChunkSize);
    refused("\x005\r\nhello\r\n0\r\n\r\n", Fault::BadChunkSize);
    refused("5\0\r\nhello\r\n0\r\n\r\n", Fault::BadChunkSize);
    refused([b'5', 0x80, b'\r', b'\n'], Fault::BadChunkSize);
    refused("0 \r\n\r\n", Fault::BadChunkSize);
    refused("0x0\r\n\r\n", Fault::BadChunkSize);
}

#[test]
fn a_size_has_sixteen_digits_that_count() {
    let mut body = ChunkDecoder::new(ChunkLimits::default());
    let line = b"ffffffffffffffff\r\n";
    assert_eq!(body.next(line), Ok(Piece::Skip(line.len())));
    assert_eq!(body.next(b"abc"), Ok(Piece::Data(3)));

    assert_eq!(chunked("7fffffffffffffff\r\nabc").end, Ok(None));
    assert_eq!(chunked("000ffffffffffffffff\r\nabc").end, Ok(None));
    refused("10000000000000000\r\nabc", Fault::BadChunkSize);
    refused("10000000000000005\r\nhello\r\n0\r\n\r\n", Fault::BadChunkSize);
    refused("00010000000000000005\r\nhello\r\n0\r\n\r\n", Fault::BadChunkSize);
    refused("f".repeat(300), Fault::BadChunkSize);
}

#[test]
fn leading_zeros_count_to_the_length_of_the_line() {
    assert_eq!(data(format!("{}5\r\nhello\r\n0\r\n\r\n", "0".repeat(255))), b"hello");
    refused(format!("{}5\r\nhello\r\n0\r\n\r\n", "0".repeat(256)), Fault::ChunkLineTooLong);
    refused("0".repeat(257), Fault::ChunkLineTooLong);
    refused(format!("5\r\nhello\r\n{}\r\n\r\n", "0".repeat(257)), Fault::ChunkLineTooLong);
    let limits = ChunkLimits { line: 3, ..ChunkLimits::default() };
    assert_eq!(with(limits, b"001\r\na\r\n000\r\n\r\n").end, Ok(Some(15)));
    assert_eq!(with(limits, b"0001\r\na\r\n0\r\n\r\n").end, Err(Fault::ChunkLineTooLong));
}

// ---- line ends ----

#[test]
fn a_line_ends_in_crlf_and_nothing_else() {
    for bytes in [
        "5\nhello\r\n0\r\n\r\n",
        "5\rhello\r\n0\r\n\r\n",
        "5\r\rhello\r\n0\r\n\r\n",
        "5\r\r\nhello\r\n0\r\n\r\n",
        "5\r \nhello\r\n0\r\n\r\n",
        "5\r;a\r\nhello\r\n0\r\n\r\n",
        "5;a\nhello\r\n0\r\n\r\n",
        "5;a\rb\r\nhello\r\n0\r\n\r\n",
        "5;a\r\r\nhello\r\n0\r\n\r\n",
        "5;a=\"\n\"\r\nhello\r\n0\r\n\r\n",
        "5;a=\"\\\n\"\r\nhello\r\n0\r\n\r\n",
        "5;\nhello\r\n0\r\n\r\n",
        "5 \nhello\r\n0\r\n\r\n",
        "5\r\nhello\r\n0\n\r\n",
        "5\r\nhello\r\n0\r\r\n",
        "5\r\nhello\r\n0\r\n\n",
        "5\r\nhello\r\n0\r\n\r\r\n",
        "5\r\nhello\r\n0\r\n\rx",
        "5\r\nhello\r\n0\r\nA: b\n\r\n",
        "5\r\nhello\r\n0\r\nA: b\r\n\n",
        "5\r\nhello\r\n0\r\nA: b\rc\r\n\r\n",
        "5\r\nhello\r\n0\r\nA: b\r\r\n\r\n",
        "5\r\nhello\r\n0\r\nA\r: b\r\n\r\n",
    ] {
        refused(bytes, Fault::BadLineEnd);
    }
}

#[test]
fn data_is_followed_by_crlf_and_nothing_else() {
    for bytes in [
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhello\r0\r\n\r\n",
        "5\r\nhello\r\r\n0\r\n\r\n",
        "5\r\nhello \r\n0\r\n\r\n",
        "5\r\nhelloXX0\r\n\r\n",
        "5\r\nhello, world\r\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "5\r\nhello\n\r0\r\n\r\n",
    ] {
        refused(bytes, Fault::BadChunkEnd);
    }
    refused("5\r\nhel\r\n0\r\n\r\n", Fault::BadChunkEnd);
    refused("5\r\nhello\r\n\r\n0\r\n\r\n", Fault::BadChunkSize);
}

// ---- extensions ----

#[test]
fn extensions_are_passed_over() {
    for extension in [
        ";a",
        ";a=b",
        "; a",
        " ;a",
        "\t;\ta",
        ";a = b",
        ";a= b",
        ";a =b",
        ";a;b",
        ";a ; b",
        ";a=b;c=d",
        ";a=\"b\"",
        ";a=\"\"",
        ";a=\"b c;d=e\"",
        ";a=\"\\\"\"",
        ";a=\"\\\\\"",
        ";a=\"\\a\t\"",
        ";a=\"b\";c",
        ";a=\"b\" ;c",
        ";a=\"\u{fc}\"",
        ";!#$%&'*+-.^_`|~09=!#$%&'*+-.^_`|~09",
        ";0",
        ";5",
        ";a=\"\\\u{fc}\"",
    ] {
        let bytes = format!("5{extension}\r\nhello\r\n0{extension}\r\n\r\n");
        assert_eq!(data(&bytes), b"hello", "{extension:?}");
    }
}

#[test]
fn extensions_that_are_none_are_refused() {
    for extension in [
        ";",
        "; ",
        ";;",
        ";;a",
        ";a;",
        ";a; ",
        ";=",
        ";=b",
        "; =b",
        ";a=",
        ";a= ",
        ";a=;b",
        ";a==b",
        ";a=b=c",
        ";a b",
        ";a=b c",
        ";a ",
        ";a=b ",
        ";a=\"b\" ",
        ";a=\"",
        ";a=\"b",
        ";a=\"b\"c",
        ";a=\"b\\\"",
        ";a\"b\"",
        ";\"a\"",
        ";a=b\"c\"",
        ";a=(b)",
        ";a/b",
        ";a=b/c",
        ";a,b",
        ";\u{fc}",
        ";a=\u{fc}",
        ";a=\"b\"\"c\"",
        ";a=\"b\"=c",
        ";a=\"\r\"",
        ";a=\"\\\r\"",
        ";\ra",
        ";a=\rb",
        ";a \r;b",
    ] {
        refused(format!("5{extension}\r\nhello\r\n0\r\n\r\n"), Fault::BadExtension);
        refused(format!("0{extension}\r\n\r\n"), Fault::BadExtension);
    }
}

#[test]
fn control_bytes_are_refused_in_extensions() {
    for byte in (0..=31_u8).chain([127]).filter(|byte| !b"\t\r\n".contains(byte)) {
        for template in ["5;?", "5;a?", "5;a=?", "5;a=\"?\"", "5;a=\"\\?\"", "5;a ?", "5 ?"] {
            let mut bytes = template.as_bytes().to_vec();
            let at = bytes.iter().position(|b| *b == b'?').unwrap();
            bytes[at] = byte;
            bytes.extend_from_slice(b"\r\nhello\r\n0\r\n\r\n");
            refused(&bytes, Fault::ControlByte);
        }
    }
}

#[test]
fn white_space_after_a_bare_size_is_refused() {
    for bytes in
        ["5 \r\nhello\r\n0\r\n\r\n", "5\t\r\nhello\r\n0\r\n\r\n", "5 a\r\nhello\r\n0\r\n\r\n"]
    {
        refused(bytes, Fault::BadChunkSize);
    }
}

#[test]
fn the_extensions_of_a_body_are_counted_together() {
    // A separator and a name: so many bytes, of a chunk that pays for them with its data.
    let chunk = |extension: usize| {
        let text = "x".repeat(1024);
        format!("400;{}\r\n{text}\r\n", "a".repeat(extension - 1))
    };
    let half = chunk(8 * 1024);
    assert_eq!(data(format!("{half}{half}0\r\n\r\n")).len(), 2048);
    refused(format!("{half}{half}1;a"), Fault::ExtensionsTooLong);
    refused(format!("{half}{}", chunk(8 * 1024 + 1)), Fault::ExtensionsTooLong);
    refused(format!("{half}{half}1 "), Fault::ExtensionsTooLong);
    // One that never ends.
    refused(format!("400;{}", "a".repeat(16 * 1024)), Fault::ExtensionsTooLong);
    refused(format!("400;a=\"{}", "a".repeat(16 * 1024)), Fault::ExtensionsTooLong);
    refused(format!("400{}", " ".repeat(16 * 1024 + 1)), Fault::ExtensionsTooLong);
    // The digits are no extension.
    let limits = ChunkLimits { extensions: 2, ..ChunkLimits::default() };
    assert_eq!(with(limits, b"001;a\r\nx\r\n0\r\n\r\n").end, Ok(Some(15)));
    assert_eq!(with(limits, b"1;a\r\nx\r\n0;a\r\n\r\n").end, Err(Fault::ExtensionsTooLong));
}

// ---- framing ----

#[test]
fn tiny_chunks_are_fine_as_long_as_their_framing_is() {
    // Five bytes of framing for each of data, for ever.
    let bytes = format!("{}0\r\n\r\n", "1\r\na\r\n".repeat(20_000));
    assert_eq!(
        drive(BodyDecoder::chunked(ChunkLimits::default()), &mut bytes.as_bytes().chunks(7)).end,
        Ok(Some(bytes.len()))
    );
    // Sixteen, the size line being of 14.
    let bytes = format!("{}0\r\n\r\n", "000000000001\r\na\r\n".repeat(20_000));
    assert_eq!(
        drive(BodyDecoder::chunked(ChunkLimits::default()), &mut bytes.as_bytes().chunks(7))
            .data
            .len(),
        20_000
    );
}

#[test]
fn a_body_that_is_mostly_framing_is_refused() {
    // 116 bytes of framing, 100 of which the data does not pay for: 16 KiB last for 163 such chunks.
    let chunk = format!("{}1\r\na\r\n", "0".repeat(111));
    let outcome = chunked(chunk.repeat(170));
    assert_eq!(outcome.end, Err(Fault::TooMuchFraming));
    assert_eq!(outcome.data.len(), 163);
    assert_eq!(data(format!("{}0\r\n\r\n", chunk.repeat(163))).len(), 163);
    // As much as is allowed, and not a byte more: the 112 digits come before the data that would pay for them.
    for (framing, end) in [(112, Ok(None)), (111, Err(Fault::TooMuchFraming))] {
        let limits = ChunkLimits { framing, ..ChunkLimits::default() };
        let pieces = &mut chunk.as_bytes().chunks(7);
        assert_eq!(drive(BodyDecoder::chunked(limits), pieces).end, end);
    }
    // Zeros alone do it as well.
    refused(format!("1\r\na\r\n0{}", ";a=b".repeat(4097)), Fault::ExtensionsTooLong);
}

#[test]
fn data_pays_for_framing_when_its_size_is_known() {
    // A long extension of a chunk that is long enough.
    let extension = "a".repeat(16 * 1024 - 1);
    let text = "x".repeat(16);
    assert_eq!(data(format!("10;{extension}\r\n{text}\r\n0\r\n\r\n")), text.as_bytes());
    refused(format!("0;{extension}\r\n\r\n"), Fault::TooMuchFraming);
}

#[test]
fn many_one_byte_chunks_take_linear_time() {
    linear(10_000, |chunks| {
        let bytes = format!("{}0\r\n\r\n", "1\r\na\r\n".repeat(chunks));
        let body = BodyDecoder::chunked(ChunkLimits::default());
        assert_eq!(drive(body, &mut bytes.as_bytes().chunks(1)).data.len(), chunks);
    });
}

#[test]
fn a_trailer_line_byte_by_byte_takes_linear_time() {
    linear(40_000, |length| {
        let limits = ChunkLimits { trailers: usize::MAX, ..ChunkLimits::default() };
        let bytes = format!("0\r\nA: {}\r\n\r\n", "x".repeat(length));
        let outcome = drive(BodyDecoder::chunked(limits), &mut bytes.as_bytes().chunks(1));
        assert_eq!(outcome.end, Ok(Some(bytes.len())));
    });
}

// ---- trailers ----

#[test]
fn trailers_come_apart_from_the_data() {
    let outcome =
        chunked("5\r\nhello\r\n0\r\nDigest: abc\r\nX-Sum:\t 7 \t\r\nX-Empty:\r\n\r\nrest");
    let expected: [(&str, &[u8]); 3] = [("Digest", b"abc"), ("X-Sum", b"7"), ("X-Empty", b"")];
    assert_eq!(outcome.trailers, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    assert_eq!(outcome.data, b"hello");
    assert_eq!(outcome.end, Ok(Some(51)));
}

#[test]
fn trailers_keep_order_and_repeats_and_bytes_above_ascii() {
    let outcome = chunked(b"0\r\nB: 1\r\nA: 2\r\nb: \xff\x80\r\n\r\n");
    let expected: [(&str, &[u8]); 3] = [("B", b"1"), ("A", b"2"), ("b", b"\xff\x80")];
    assert_eq!(outcome.trailers, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
}

#[test]
fn trailers_obey_the_rules_of_fields() {
    for (line, fault) in [
        (&b"Digest"[..], Fault::MissingColon),
        (b": x", Fault::BadFieldName),
        (b"Digest : x", Fault::BadFieldName),
        (b"Dig est: x", Fault::BadFieldName),
        (b"Digest\t: x", Fault::BadFieldName),
        (b"Dig\0est: x", Fault::ControlByte),
        (b"Dig(est): x", Fault::BadFieldName),
        (b"Dig\xc3\xa4st: x", Fault::BadFieldName),
        (b" Digest: x", Fault::FoldedField),
        (b"\tDigest: x", Fault::FoldedField),
        (b" ", Fault::FoldedField),
        (b"A: b\r\n c", Fault::FoldedField),
        (b"A: \0", Fault::ControlByte),
        (b"A: b\x01c", Fault::ControlByte),
        (b"A: b\x7f", Fault::ControlByte),
        (b"Content-Length: \x0b5", Fault::ControlByte),
        (b"0", Fault::MissingColon),
    ] {
        refused([b"5\r\nhello\r\n0\r\n", line, b"\r\n\r\n"].concat(), fault);
    }
}

#[test]
fn trailers_that_would_decide_something_are_dropped() {
    for name in [
        "Transfer-Encoding",
        "content-length",
        "Host",
        "Connection",
        "TE",
        "Trailer",
        "Upgrade",
        "Keep-Alive",
        "Proxy-Connection",
        "Authorization",
        "Proxy-Authorization",
        "WWW-Authenticate",
        "Proxy-Authenticate",
        "Cookie",
        "Set-Cookie",
        "Content-Type",
        "CONTENT-ENCODING",
        "Content-Range",
        "Content-Location",
        "Content-Disposition",
        "Cache-Control",
        "Pragma",
        "Expect",
        "Max-Forwards",
        "Range",
        "If-Match",
        "If-None-Match",
        "If-Modified-Since",
        "If-Range",
        "Age",
        "Expires",
        "Date",
        "Location",
        "Retry-After",
        "Vary",
        "Forwarded",
        "X-Forwarded-For",
        "X-Forwarded-Host",
        "Origin",
        "Sec-WebSocket-Key",
        "Access-Control-Allow-Origin",
        "X-HTTP-Method-Override",
    ] {
        let outcome = chunked(format!("0\r\nA: 1\r\n{name}: chunked\r\nB: 2\r\n\r\n"));
        let names: Vec<_> = outcome.trailers.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["A", "B"], "{name}");
    }
    for name in
        ["Digest", "ETag", "Content-Digest", "Server-Timing", "Hosted", "Iffy", "X-Content-Sum"]
    {
        let outcome = chunked(format!("0\r\n{name}: x\r\n\r\n"));
        assert_eq!(outcome.trailers, [(name.to_owned(), b"x".to_vec())]);
    }
    // Dropped, but not unread.
    refused("0\r\nContent-Length: \x01\r\n\r\n", Fault::ControlByte);
}

#[test]
fn trailers_have_a_cap_in_bytes() {
    // "A: ", the value, and the line's end.
    let line = |bytes: usize| format!("A: {}\r\n", "x".repeat(bytes - 5));
    let full = line(16 * 1024);
    assert_eq!(chunked(format!("0\r\n{full}\r\n")).end, Ok(Some(3 + 16 * 1024 + 2)));
    refused(format!("0\r\n{}", line(16 * 1024 + 1)), Fault::TrailersTooLong);
    refused(format!("0\r\n{full}A"), Fault::TrailersTooLong);
    refused(format!("0\r\n{}", "x".repeat(16 * 1024 + 1)), Fault::TrailersTooLong);
    let half = line(8 * 1024);
    assert_eq!(chunked(format!("0\r\n{half}{half}\r\n")).trailers.len(), 2);
    refused(format!("0\r\n{half}{half}B: c\r\n\r\n"), Fault::TrailersTooLong);
    // What is dropped counts.
    let host = format!("Host: {}\r\n", "x".repeat(8 * 1024));
    refused(format!("0\r\n{host}{host}\r\n"), Fault::TrailersTooLong);
}

#[test]
fn trailers_have_a_cap_in_number() {
    let lines = |n: usize| format!("0\r\n{}\r\n", "A: b\r\n".repeat(n));
    assert_eq!(chunked(lines(100)).trailers.len(), 100);
    refused(lines(101), Fault::TooManyTrailers);
    refused(format!("0\r\n{}", "Host: b\r\n".repeat(101)), Fault::TooManyTrailers);
    let limits = ChunkLimits { trailer_fields: 0, ..ChunkLimits::default() };
    assert_eq!(with(limits, b"0\r\n\r\n").end, Ok(Some(5)));
    assert_eq!(with(limits, b"0\r\nA: b\r\n\r\n").end, Err(Fault::TooManyTrailers));
}

#[test]
fn faults_of_trailers_are_answered_with_431_and_others_with_400() {
    for fault in [Fault::TrailersTooLong, Fault::TooManyTrailers] {
        assert_eq!(fault.status().code(), 431);
    }
    for fault in [
        Fault::BadChunkSize,
        Fault::ChunkLineTooLong,
        Fault::BadExtension,
        Fault::ExtensionsTooLong,
        Fault::BadChunkEnd,
        Fault::TooMuchFraming,
        Fault::BadLineEnd,
        Fault::Incomplete,
    ] {
        assert_eq!(fault.status().code(), 400);
    }
}

// ---- the end of the input ----

#[test]
fn the_end_of_the_input_is_not_the_end_of_the_body() {
    let whole = b"5;a=\"b\"\r\nhello\r\n0\r\nA: b\r\n\r\n";
    for length in 0..whole.len() {
        assert_eq!(chunked(&whole[..length]).end, Ok(None), "{length}");
    }
    assert_eq!(chunked(whole).end, Ok(Some(whole.len())));
}

#[test]
fn a_length_is_that_many_bytes() {
    let body = |bytes: &[u8]| in_every_way(bytes, |parts| drive(BodyDecoder::length(5), parts));
    assert_eq!(body(b"helloGET").data, b"hello");
    assert_eq!(body(b"helloGET").end, Ok(Some(5)));
    assert_eq!(body(b"hell").end, Ok(None));
    let mut body = BodyDecoder::length(u64::MAX);
    assert_eq!(body.next(b"abc"), Ok(Piece::Data(3)));
    assert_eq!(body.remaining(), Some(u64::MAX - 3));
}

#[test]
fn no_body_is_complete_at_once() {
    for mut body in [
        BodyDecoder::none(),
        BodyDecoder::length(0),
        BodyDecoder::from_framing(Framing::None, ChunkLimits::default()),
    ] {
        assert!(body.is_done());
        assert_eq!(body.next(b""), Ok(Piece::End(0)));
        assert_eq!(body.next(b"GET"), Ok(Piece::End(0)));
        assert_eq!(body.end_of_input(), Ok(()));
    }
}

#[test]
fn a_body_until_the_end_ends_there() {
    let mut body = BodyDecoder::until_end();
    assert_eq!(body.next(b""), Ok(Piece::More));
    assert_eq!(body.next(b"0\r\n\r\n"), Ok(Piece::Data(5)));
    assert_eq!((body.is_done(), body.remaining()), (false, None));
    assert_eq!(body.end_of_input(), Ok(()));
    assert_eq!((body.is_done(), body.remaining()), (true, Some(0)));
    assert_eq!(body.next(b"more"), Ok(Piece::End(0)));
}

#[test]
fn framings_become_their_decoders() {
    let limits = ChunkLimits::default();
    let mut body = BodyDecoder::from_framing(Framing::Length(3), limits);
    assert_eq!((body.remaining(), body.next(b"abcd")), (Some(3), Ok(Piece::Data(3))));
    let mut body = BodyDecoder::from_framing(Framing::Chunked, limits);
    assert_eq!((body.remaining(), body.next(b"3\r\nabc")), (None, Ok(Piece::Skip(3))));
    assert!(size_of::<BodyDecoder>() <= 16);
}

// ---- writing ----

#[test]
fn sizes_are_written_without_leading_zeros() {
    for (size, line) in [
        (1, "1\r\n"),
        (9, "9\r\n"),
        (10, "a\r\n"),
        (16, "10\r\n"),
        (0xBEEF, "beef\r\n"),
        (65_536, "10000\r\n"),
        (usize::MAX, "ffffffffffffffff\r\n"),
    ] {
        let mut out = Vec::new();
        wire::chunk_head(size, &mut out);
        assert_eq!(out, line.as_bytes());
        assert!(out.len() <= CHUNK_HEAD);
    }
}

#[test]
fn a_chunk_of_nothing_is_nothing() {
    let mut out = Vec::new();
    wire::chunk_head(0, &mut out);
    wire::chunk(b"", &mut out);
    assert_eq!(out, b"");
}

#[test]
fn trailers_that_would_be_dropped_are_not_sent() {
    let mut trailers = Fields::default();
    for (name, value) in [("Content-Length", "5"), ("Digest", "x"), ("Set-Cookie", "a")] {
        trailers.push(name, value).unwrap();
    }
    let mut out = Vec::new();
    wire::last_chunk(&trailers, &mut out);
    assert_eq!(out, b"0\r\nDigest: x\r\n\r\n");
}

proptest! {
    #![proptest_config(cases(400))]

    #[test]
    fn what_is_encoded_is_decoded(
        writes in vec(vec(any::<u8>(), 0..300), 0..12),
        trailers in vec(("~[!#$%&'*+.^_`|~0-9a-zA-Z]{0,7}", vec(prop_oneof![Just(b'\t'), 32..=126_u8, 128..=255_u8], 0..20)), 0..5),
        lengths in vec(0..50_usize, 1..6),
        rest in vec(any::<u8>(), 0..9),
    ) {
        let mut fields = Fields::default();
        for (name, value) in &trailers {
            fields.push(name, value).unwrap();
        }
        let mut bytes = Vec::new();
        for (nth, data) in writes.iter().enumerate() {
            if nth % 2 == 0 {
                wire::chunk(data, &mut bytes);
            } else if !data.is_empty() {
                wire::chunk_head(data.len(), &mut bytes);
                bytes.extend_from_slice(data);
                bytes.extend_from_slice(CHUNK_END);
            }
        }
        if trailers.is_empty() {
            bytes.extend_from_slice(LAST_CHUNK);
        } else {
            wire::last_chunk(&fields, &mut bytes);
        }
        let end = bytes.len();
        bytes.extend_from_slice(&rest);
        let outcome = drive(
            BodyDecoder::chunked(ChunkLimits::default()),
            &mut pieces(&bytes, &lengths).into_iter(),
        );
        // Names here are never of those that are dropped, none of which begins with a tilde.
        prop_assert_eq!(outcome.data, writes.concat());
        prop_assert_eq!(outcome.trailers, list(&fields));
        prop_assert_eq!(outcome.end, Ok(Some(end)));
    }

    #[test]
    fn any_bytes_come_to_the_same_however_they_are_cut(
        parts in vec(prop_oneof![
            Just("5\r\nhello\r\n"), Just("0\r\n"), Just("\r\n"), Just(";a"), Just("=\"b\""), Just("A: b\r\n"),
            Just("1"), Just("\r"), Just("\n"), Just(" "), Just("hello"), Just("1\r\nx"), Just("\"\\\""),
        ], 0..12),
        lengths in vec(0..9_usize, 1..5),
    ) {
        let bytes = parts.concat();
        let limits = ChunkLimits {
            line: 4,
            extensions: 9,
            trailers: 14,
            trailer_fields: 2,
            ..ChunkLimits::default()
        };
        let whole = with(limits, bytes.as_bytes());
        let cut = drive(BodyDecoder::chunked(limits), &mut pieces(bytes.as_bytes(), &lengths).into_iter());
        prop_assert_eq!(cut, whole);
    }
}
