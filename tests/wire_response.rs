//! Response heads: what they say, how their bodies end, and what is refused, however they arrive.

#![allow(clippy::unwrap_used)]

#[path = "wire/cuts.rs"]
mod cuts;
#[path = "wire/linear.rs"]
mod linear;

use cuts::{in_every_way, pieces};
use evloop::wire::{
    self, BodyDecoder, ChunkLimits, Fault, HeadLimits, Method, Piece, Progress, ResponseFraming,
    ResponseHead, ResponseParser, Status, Version,
};
use linear::linear;
use proptest::collection::vec;
use proptest::prelude::*;

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// What became of a head.
#[derive(PartialEq, Debug, Clone)]
struct Outcome {
    code: u16,
    reason: Vec<u8>,
    version: Version,
    fields: Vec<(String, Vec<u8>)>,
    framing: ResponseFraming,
    keeps_alive: bool,
    /// Where it ended.
    end: usize,
}

fn outcome(head: &ResponseHead, end: usize) -> Outcome {
    Outcome {
        code: head.status().code(),
        reason: head.reason().to_owned(),
        version: head.version(),
        fields: head
            .fields()
            .iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        framing: head.framing(&Method::GET),
        keeps_alive: head.keeps_alive(),
        end,
    }
}

/// Feeds a parser, and checks what it promises on the way. `Ok(None)` if the head is not complete.
fn drive(
    parser: &mut ResponseParser,
    parts: &mut dyn Iterator<Item = &[u8]>,
) -> Result<Option<Outcome>, Fault> {
    let mut end = 0;
    for part in parts {
        let fed = parser.feed(part);
        let Progress { used, done } = match fed {
            Ok(progress) => progress,
            Err(fault) => {
                assert_eq!(
                    parser.feed(b"HTTP/1.1 200 OK\r\n\r\n"),
                    Err(fault),
                    "a fault is for good"
                );
                assert_eq!(parser.feed(b""), Err(fault));
                return Err(fault);
            }
        };
        end += used;
        assert_eq!(parser.started(), end > 0);
        if done {
            assert_eq!(parser.feed(b"HTTP/1.1"), Ok(Progress { used: 0, done: true }));
            return Ok(Some(outcome(parser.head(), end)));
        }
        assert_eq!(used, part.len());
    }
    Ok(None)
}

fn with(limits: HeadLimits, bytes: &[u8]) -> Result<Option<Outcome>, Fault> {
    in_every_way(bytes, |parts| drive(&mut ResponseParser::new(limits), parts))
}

fn parse(bytes: impl AsRef<[u8]>) -> Result<Option<Outcome>, Fault> {
    with(ResponseParser::LIMITS, bytes.as_ref())
}

#[track_caller]
fn accepted(bytes: impl AsRef<[u8]>) -> Outcome {
    let bytes = bytes.as_ref();
    match parse(bytes) {
        Ok(Some(outcome)) => outcome,
        other => panic!("{}: {other:?}", bytes.escape_ascii()),
    }
}

#[track_caller]
fn refused(bytes: impl AsRef<[u8]>, fault: Fault) {
    let bytes = bytes.as_ref();
    assert_eq!(parse(bytes), Err(fault), "{}", bytes.escape_ascii());
}

/// A head with these field lines.
fn head(lines: &str) -> String {
    format!("HTTP/1.1 200 OK\r\n{lines}\r\n\r\n")
}

// ---- the status line ----

#[test]
fn a_status_line_is_version_status_and_reason() {
    let head = accepted("HTTP/1.1 200 OK\r\n\r\n");
    assert_eq!(
        (head.code, head.reason.as_slice(), head.version),
        (200, &b"OK"[..], Version::Http11)
    );
    let head = accepted("HTTP/1.0 404 Not Found\r\n\r\nbody");
    assert_eq!(
        (head.code, head.reason.as_slice(), head.version),
        (404, &b"Not Found"[..], Version::Http10)
    );
    assert_eq!(head.end, 26);
}

#[test]
fn a_reason_is_any_text_or_none() {
    for reason in
        [&b""[..], b" ", b"\t", b"OK then", b" two  spaces ", b"gr\xfc\xdfe", b"200 HTTP/1.1", b":"]
    {
        let head = accepted([b"HTTP/1.1 200 ", reason, b"\r\n\r\n"].concat());
        assert_eq!(head.reason, reason);
    }
    let head = accepted("HTTP/1.1 200\r\n\r\n");
    assert_eq!(head.reason, b"", "not even the space");
}

#[test]
fn a_status_is_three_digits() {
    for code in [100, 101, 199, 200, 404, 599, 600, 999] {
        assert_eq!(accepted(format!("HTTP/1.1 {code} x\r\n\r\n")).code, code);
    }
    for status in [
        "099", "000", "20", "2 0", "2000", "-20", "+20", "0x1", "2OO", " 200", "\t200", "20\u{b2}",
        "200x",
    ] {
        refused(format!("HTTP/1.1 {status} OK\r\n\r\n"), Fault::BadStatusLine);
    }
}

#[test]
fn what_is_no_status_line_is_refused() {
    for line in [
        "http/1.1 200 OK",
        "Http/1.1 200 OK",
        " HTTP/1.1 200 OK",
        "HTTP /1.1 200 OK",
        "ICY 200 OK",
        "SSH-2.0-OpenSSH",
        "200 OK",
        "HTTP/1.1\t200 OK",
        "HTTP/1.1  200 OK",
        "HTTP/1.1 200\tOK",
        "<html>",
        "GET / HTTP/1.1",
        "\0",
        "\x16\x03\x01",
        "\u{feff}HTTP/1.1 200 OK",
        "HTTP/1.10 200 OK",
        "HTTP/1.1.1 200 OK",
        "HTTP/1.1",
    ] {
        let fault = if line == "HTTP/1.1" { Fault::BadLineEnd } else { Fault::BadStatusLine };
        refused(format!("{line}\r\n\r\n"), fault);
    }
}

#[test]
fn other_protocols_are_refused_at_their_first_byte() {
    for bytes in [&b"\x16"[..], b"\0", b"I", b"<", b"h", b"\x80"] {
        refused(bytes, Fault::BadStatusLine);
    }
}

#[test]
fn other_versions_are_refused() {
    for version in ["HTTP/2.0", "HTTP/0.9", "HTTP/1.2", "HTTP/1.9", "HTTP/3.0"] {
        refused(format!("{version} 200 OK\r\n\r\n"), Fault::UnsupportedVersion);
    }
    for version in [
        "HTTP/2",
        "HTTP/1",
        "HTTP/11",
        "HTTP/.1",
        "HTTP/1,1",
        "HTTP/x.1",
        "HTTP/1.x",
        "HTTP/",
        "HTTP/ 1.1",
        "HTTP/+1.1",
    ] {
        refused(format!("{version} 200 OK\r\n\r\n"), Fault::BadVersion);
    }
}

#[test]
fn no_empty_line_comes_before_a_response() {
    refused("\r\nHTTP/1.1 200 OK\r\n\r\n", Fault::BadLineEnd);
    refused("\nHTTP/1.1 200 OK\r\n\r\n", Fault::BadLineEnd);
}

// ---- lines and fields ----

#[test]
fn a_line_ends_in_crlf_and_nothing_else() {
    for bytes in [
        "HTTP/1.1 200 OK\n\r\n",
        "HTTP/1.1 200 OK\r\r\n\r\n",
        "HTTP/1.1 200 OK\rA: b\r\n\r\n",
        "HTTP/1.1 200 O\rK\r\n\r\n",
        "HTTP/1.1 200\n\r\n",
        "HTTP/1.1 20\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\n",
        "HTTP/1.1 200 OK\r\n\r\r\n",
        "HTTP/1.1 200 OK\r\n\rA: b\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\r\n\n",
        "HTTP/1.1 200 OK\r\nA: b\rc\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\r\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA\r: b\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA:\r b\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\n c\r\n\r\n",
    ] {
        refused(bytes, Fault::BadLineEnd);
    }
}

#[test]
fn fields_keep_order_and_repeats_and_bytes() {
    let head = accepted(
        b"HTTP/1.1 200 OK\r\nB: 1\r\nA:2\r\nb:\t x y \t\r\nC:\r\nD: \xff:\x80\r\n\r\nrest",
    );
    let expected: [(&str, &[u8]); 5] =
        [("B", b"1"), ("A", b"2"), ("b", b"x y"), ("C", b""), ("D", b"\xff:\x80")];
    assert_eq!(head.fields, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
}

#[test]
fn malformed_fields_are_refused() {
    for (line, fault) in [
        ("A", Fault::MissingColon),
        (": b", Fault::BadFieldName),
        ("A : b", Fault::BadFieldName),
        ("A b: c", Fault::BadFieldName),
        ("A\t: b", Fault::BadFieldName),
        ("A(b): c", Fault::BadFieldName),
        ("A@: c", Fault::BadFieldName),
        ("\u{c4}: b", Fault::BadFieldName),
        (" A: b", Fault::FoldedField),
        ("\tA: b", Fault::FoldedField),
        ("A: b\r\n c: d", Fault::FoldedField),
        ("A: b\r\n ", Fault::FoldedField),
        ("A: \0", Fault::ControlByte),
        ("A: b\x01", Fault::ControlByte),
        ("A: b\x7fc", Fault::ControlByte),
        ("A: b\x0b", Fault::ControlByte),
        ("A\0: b", Fault::ControlByte),
        ("\x7f: b", Fault::ControlByte),
    ] {
        refused(head(line), fault);
    }
    refused("HTTP/1.1 200 O\0K\r\n\r\n", Fault::ControlByte);
    refused("HTTP/1.1 200 O\x7fK\r\n\r\n", Fault::ControlByte);
}

// ---- framing ----

#[test]
fn a_length_is_digits_and_nothing_else() {
    for (value, length) in
        [("0", 0), ("5", 5), ("0005", 5), (" 5 ", 5), ("9223372036854775807", i64::MAX as u64)]
    {
        let head = accepted(head(&format!("Content-Length:{value}")));
        assert_eq!(head.framing, ResponseFraming::Length(length), "{value}");
    }
    for value in [
        "", " ", "-1", "+5", "5 5", "5,5", "5, 5", "0x5", "5a", "\"5\"", "5.0", "five", "\u{665}",
        "5;a",
    ] {
        refused(head(&format!("content-length:{value}")), Fault::BadLength);
    }
    for value in ["9223372036854775808", "18446744073709551616", "99999999999999999999999999"] {
        refused(head(&format!("CONTENT-LENGTH: {value}")), Fault::LengthTooLarge);
    }
}

#[test]
fn a_second_length_is_refused_even_if_equal() {
    refused(head("Content-Length: 5\r\nContent-Length: 5"), Fault::SeveralLengths);
    refused(head("Content-Length: 5\r\ncontent-length: 6"), Fault::SeveralLengths);
}

#[test]
fn a_length_beside_a_coding_is_refused() {
    refused(head("Content-Length: 5\r\nTransfer-Encoding: chunked"), Fault::LengthAndCoding);
    refused(head("Transfer-Encoding: chunked\r\nContent-Length: 5"), Fault::LengthAndCoding);
}

#[test]
fn the_only_coding_is_chunked() {
    for value in ["chunked", "Chunked", "CHUNKED", "\tchunked "] {
        let head = accepted(head(&format!("Transfer-Encoding:{value}")));
        assert_eq!(head.framing, ResponseFraming::Chunked);
    }
    for value in ["gzip, chunked", "deflate,chunked", "x, gzip , chunked"] {
        refused(head(&format!("Transfer-Encoding: {value}")), Fault::UnknownCoding);
    }
    for value in [
        "",
        "identity",
        "gzip",
        "chunked, gzip",
        "chunked, chunked",
        "chunked;a=b",
        "\"chunked\"",
        "xchunked",
        "chunked\u{a0}",
        "chunke d",
    ] {
        refused(head(&format!("Transfer-Encoding: {value}")), Fault::BadCoding);
    }
    refused(head("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"), Fault::BadCoding);
    refused("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", Fault::CodingIn10);
}

#[test]
fn how_a_body_ends_depends_on_status_and_request() {
    use ResponseFraming::{Chunked, Length, None, UntilEnd};
    let framing = |code: u16, lines: &str, method: &Method| {
        let mut parser = ResponseParser::default();
        let text = format!("HTTP/1.1 {code} x\r\n{lines}\r\n");
        assert!(parser.feed(text.as_bytes()).unwrap().done);
        parser.head().framing(method)
    };
    let lines = ["", "Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n"];
    for (lines, said) in lines.iter().zip([UntilEnd, Length(5), Chunked]) {
        for method in [Method::GET, Method::POST, Method::OPTIONS, Method::PUT] {
            for code in [200, 201, 206, 301, 400, 404, 500, 205] {
                assert_eq!(framing(code, lines, &method), said, "{code} {lines}");
            }
            for code in [100, 101, 103, 199, 204, 304] {
                assert_eq!(framing(code, lines, &method), None, "{code} {lines}");
            }
        }
        for code in [100, 200, 204, 304, 404, 500] {
            assert_eq!(framing(code, lines, &Method::HEAD), None);
        }
        for code in [200, 204, 299] {
            assert_eq!(framing(code, lines, &Method::CONNECT), None);
        }
        for code in [300, 404, 407] {
            assert_eq!(framing(code, lines, &Method::CONNECT), said);
        }
    }
}

#[test]
fn connections_persist_as_the_versions_have_it() {
    for (version, lines, expected) in [
        ("1.1", "", true),
        ("1.1", "Connection: close\r\n", false),
        ("1.1", "Connection: keep-alive, CLOSE\r\n", false),
        ("1.1", "Connection: keep-alive\r\nConnection: close\r\n", false),
        ("1.1", "Connection: closed\r\n", true),
        ("1.1", "Connection: close-not\r\n", true),
        ("1.1", "Connection: upgrade\r\n", true),
        ("1.0", "", false),
        ("1.0", "Connection: Keep-Alive\r\n", true),
        ("1.0", "Connection: x, keep-alive\r\n", true),
        ("1.0", "Connection: keep-alive, close\r\n", false),
    ] {
        let head = accepted(format!("HTTP/{version} 200 OK\r\n{lines}\r\n"));
        assert_eq!(head.keeps_alive, expected, "{version} {lines}");
    }
}

#[test]
fn bodies_are_read_as_the_head_says() {
    let mut parser = ResponseParser::default();
    let mut bytes =
        &b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n"[..];
    bytes = &bytes[parser.feed(bytes).unwrap().used..];
    let mut body =
        BodyDecoder::from_response(parser.head().framing(&Method::GET), ChunkLimits::default());
    assert_eq!(body.next(bytes), Ok(Piece::Skip(3)));
    for (framing, remaining) in [
        (ResponseFraming::None, Some(0)),
        (ResponseFraming::Length(7), Some(7)),
        (ResponseFraming::UntilEnd, None),
    ] {
        let body = BodyDecoder::from_response(framing, ChunkLimits::default());
        assert_eq!(body.remaining(), remaining);
    }
}

// ---- limits ----

#[test]
fn a_head_has_a_cap_in_bytes() {
    let of = |bytes: usize| {
        let empty = "HTTP/1.1 200 OK\r\nA: \r\n\r\n".len();
        format!("HTTP/1.1 200 OK\r\nA: {}\r\n\r\n", "x".repeat(bytes - empty))
    };
    assert_eq!(accepted(of(64 * 1024)).end, 64 * 1024);
    refused(of(64 * 1024 + 1), Fault::HeadTooLong);
    // Wherever it is passed.
    let limits = |head: usize| HeadLimits { head, ..ResponseParser::LIMITS };
    let bytes = b"HTTP/1.1 200 OK\r\nA: b\r\nC: d\r\n\r\n";
    for cap in 0..bytes.len() {
        assert_eq!(with(limits(cap), bytes), Err(Fault::HeadTooLong), "{cap}");
        assert_eq!(with(limits(cap), &bytes[..cap]), Ok(None));
    }
    assert!(with(limits(bytes.len()), bytes).unwrap().is_some());
    // It never comes to an end.
    refused(format!("HTTP/1.1 200 {}", "x".repeat(64 * 1024)), Fault::HeadTooLong);
    refused(format!("HTTP/1.1 200 OK\r\n{}", "x".repeat(64 * 1024)), Fault::HeadTooLong);
}

#[test]
fn a_head_has_a_cap_in_fields() {
    let of = |fields: usize| format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(fields));
    assert_eq!(accepted(of(256)).fields.len(), 256);
    refused(of(257), Fault::TooManyFields);
    let limits = HeadLimits { fields: 0, ..ResponseParser::LIMITS };
    assert!(with(limits, b"HTTP/1.1 200 OK\r\n\r\n").unwrap().is_some());
    assert_eq!(with(limits, b"HTTP/1.1 200 OK\r\nA"), Err(Fault::TooManyFields));
}

#[test]
fn a_head_that_is_cut_is_not_complete() {
    let whole = b"HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 5\r\n\r\n";
    for length in 0..whole.len() {
        assert_eq!(parse(&whole[..length]), Ok(None), "{length}");
    }
    assert!(parse(whole).unwrap().is_some());
}

#[test]
fn one_head_after_the_other_in_the_same_memory() {
    let mut parser = ResponseParser::default();
    let first = b"HTTP/1.0 404 Not Found\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\n";
    let second = b"HTTP/1.1 200 \r\nB: c\r\n\r\n";
    drive(&mut parser, &mut first.chunks(3)).unwrap().unwrap();
    parser.reset();
    assert!(!parser.started());
    let fresh = accepted(second);
    assert_eq!(
        drive(&mut parser, &mut second.chunks(3)),
        Ok(Some(fresh.clone())),
        "nothing of the first is left"
    );

    let mut taken = ResponseHead::default();
    parser.swap_head(&mut taken);
    assert_eq!(outcome(&taken, fresh.end), fresh);
    assert_eq!(drive(&mut parser, &mut first.chunks(3)).unwrap().unwrap().code, 404);

    // After a fault, and in the middle of a head.
    assert!(parser.head().memory() > 0);
    parser.reset();
    parser.feed(b"x").unwrap_err();
    parser.reset();
    parser.feed(b"HTTP/1.1 500 x\r\nContent-Length: 7\r\nA").unwrap();
    parser.reset();
    assert_eq!(drive(&mut parser, &mut second.chunks(3)), Ok(Some(fresh)));
}

#[test]
fn a_head_byte_by_byte_takes_linear_time() {
    linear(20_000, |length| {
        let limits = HeadLimits { head: usize::MAX, fields: usize::MAX, ..ResponseParser::LIMITS };
        let long = "x".repeat(length);
        let lines = "A:\r\n".repeat(length / 4);
        let bytes = format!("HTTP/1.1 200 {long}\r\nA: {long}\r\n{lines}\r\n");
        drive(&mut ResponseParser::new(limits), &mut bytes.as_bytes().chunks(1)).unwrap().unwrap();
    });
}

// ---- written, and read again ----

const TOKEN: &str = "[!#$%&'*+.^_`|~0-9a-zA-Z-]{1,12}";

fn value() -> impl Strategy<Value = Vec<u8>> {
    vec(prop_oneof![Just(b'\t'), Just(b' '), 32..=126_u8, 128..=255_u8], 0..24)
}

fn trimmed(value: &[u8]) -> Vec<u8> {
    let text = value.iter().position(|byte| !b" \t".contains(byte));
    let end = value.iter().rposition(|byte| !b" \t".contains(byte));
    text.zip(end).map_or(Vec::new(), |(from, to)| value[from..=to].to_owned())
}

proptest! {
    #![proptest_config(cases(500))]

    #[test]
    fn a_response_that_is_written_is_read(
        code in 100..=999_u16,
        fields in vec((TOKEN, value()), 0..9),
        number in 0..=i64::MAX as u64,
        lengths in vec(0..30_usize, 1..6),
    ) {
        let status = Status::from_code(code).unwrap();
        let mut bytes = Vec::new();
        wire::status_line(&mut bytes, status);
        for (name, value) in &fields {
            wire::field(&mut bytes, &format!("X{name}"), value).unwrap();
        }
        wire::number_field(&mut bytes, "Content-Length", number).unwrap();
        wire::end_of_head(&mut bytes);
        let end = bytes.len();
        bytes.extend_from_slice(b"body");

        let read = drive(&mut ResponseParser::default(), &mut pieces(&bytes, &lengths).into_iter());
        let read = read.unwrap().unwrap();
        let mut expected: Vec<_> =
            fields.iter().map(|(name, value)| (format!("X{name}"), trimmed(value))).collect();
        expected.push(("Content-Length".to_owned(), number.to_string().into_bytes()));
        prop_assert_eq!(read.code, code);
        prop_assert_eq!(read.reason, status.reason().as_bytes());
        prop_assert_eq!(read.fields, expected);
        prop_assert_eq!(read.end, end);
        prop_assert!(read.keeps_alive);
    }

    #[test]
    fn a_line_end_or_nul_never_gets_into_a_head(
        name in TOKEN,
        before in value(),
        bad in prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'\0')],
        after in value(),
    ) {
        let value = [before.as_slice(), &[bad], &after].concat();
        let mut out = Vec::new();
        prop_assert_eq!(wire::field(&mut out, &name, &value), Err(Fault::BadFieldValue));
        let name = format!("{name}{}", char::from(bad));
        prop_assert_eq!(wire::field(&mut out, &name, &before), Err(Fault::BadFieldName));
        prop_assert_eq!(wire::number_field(&mut out, &name, 5), Err(Fault::BadFieldName));
        prop_assert_eq!(wire::request_line(&mut out, &Method::GET, &name), Err(Fault::BadTarget));
        prop_assert!(Method::from_bytes(name.as_bytes()).is_err());
        let mut fields = wire::Fields::new();
        prop_assert_eq!(fields.push(&name, &before), Err(Fault::BadFieldName));
        prop_assert_eq!(fields.push("A", &value), Err(Fault::BadFieldValue));
        prop_assert!(out.is_empty() && fields.is_empty());
    }

    #[test]
    fn any_bytes_come_to_the_same_however_they_are_cut(
        parts in vec(prop_oneof![
            Just("HTTP/1.1 200 OK\r\n"), Just("HTTP/1.0 204 \r\n"), Just("A: b\r\n"), Just("\r\n"), Just("\r"), Just("\n"),
            Just("Content-Length: 5\r\n"), Just("Transfer-Encoding: chunked\r\n"), Just(" "), Just(":"), Just("\0"), Just("x"),
        ], 0..9),
        start in prop_oneof![4 => Just("HTTP/1.1 200 OK\r\n"), 1 => Just("")],
        lengths in vec(0..9_usize, 1..5),
    ) {
        let bytes = format!("{start}{}", parts.concat());
        let limits = HeadLimits { head: 60, fields: 3, ..ResponseParser::LIMITS };
        let whole = with(limits, bytes.as_bytes());
        let cut = drive(&mut ResponseParser::new(limits), &mut pieces(bytes.as_bytes(), &lengths).into_iter());
        prop_assert_eq!(cut, whole);
    }
}
