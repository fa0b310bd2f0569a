//! The tables of what is accepted and refused.

use evloop::wire::{Fault, Framing, Method, Status, TargetForm, Version};

use super::request_ways::{fault, fault_of, head, head_of};

#[track_caller]
fn refused(cases: &[(&str, Fault)]) {
    for (input, expected) in cases {
        assert_eq!(fault(input), Some(*expected), "{input:?}");
    }
}

#[track_caller]
fn lines_refused(cases: &[(&str, Fault)]) {
    for (lines, expected) in cases {
        assert_eq!(fault_of(lines), Some(*expected), "{lines:?}");
    }
}

#[test]
fn a_plain_request_is_read() {
    let head = head(
        "GET /plaintext?a=b?c HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nAccept:\t*/* \t\r\nx:\r\n\r\n",
    );
    assert_eq!(*head.method(), Method::GET);
    assert_eq!(head.target(), "/plaintext?a=b?c");
    assert_eq!(head.raw_path(), "/plaintext");
    assert_eq!(head.query(), Some("a=b?c"));
    assert_eq!(head.version(), Version::Http11);
    assert_eq!(head.form(), TargetForm::Origin);
    assert_eq!(head.authority(), Some("127.0.0.1:8080"));
    assert_eq!(head.scheme(), None);
    assert_eq!(head.framing(), Framing::None);
    assert!(head.keeps_alive());
    let fields: Vec<_> = head.fields().iter().collect();
    assert_eq!(
        fields,
        [("Host", &b"127.0.0.1:8080"[..]), ("Accept", &b"*/*"[..]), ("x", &b""[..])]
    );
}

#[test]
fn a_malformed_request_line_is_refused() {
    use Fault::*;
    refused(&[
        ("GET  / HTTP/1.1\r\n\r\n", BadRequestLine),
        (" GET / HTTP/1.1\r\n\r\n", BadRequestLine),
        ("\tGET / HTTP/1.1\r\n\r\n", BadRequestLine),
        ("GET\t/ HTTP/1.1\r\n\r\n", BadRequestLine),
        ("GET /\tHTTP/1.1\r\n\r\n", BadTarget),
        ("GET /  HTTP/1.1\r\n\r\n", BadVersion),
        ("GET / HTTP/1.1 \r\n\r\n", BadVersion),
        ("GET / HTTP/1.1 x\r\n\r\n", BadVersion),
        ("GET / x HTTP/1.1\r\n\r\n", BadVersion),
        ("G(T / HTTP/1.1\r\n\r\n", BadRequestLine),
        ("G\u{e9}T / HTTP/1.1\r\n\r\n", BadRequestLine),
        ("\"GET\" / HTTP/1.1\r\n\r\n", BadRequestLine),
        ("GET\r\n\r\n", BadRequestLine),
        ("GET \r\n\r\n", BadVersion),
        ("GET / HTTP/1.1\n\r\n", BadLineEnd),
        ("GET / HTTP/1.1\r\r\n", BadLineEnd),
        ("GET / HTTP/1.1\rHost: a\r\n\r\n", BadLineEnd),
        ("GET /\0 HTTP/1.1\r\n\r\n", ControlByte),
        ("G\0T / HTTP/1.1\r\n\r\n", ControlByte),
        ("GET / HTTP/1.1\0\r\n\r\n", ControlByte),
        ("\0", ControlByte),
        ("\x7f", ControlByte),
    ]);
}

#[test]
fn a_version_that_is_not_ours_is_refused() {
    use Fault::*;
    refused(&[
        ("GET /\r\n\r\n", BadVersion),
        ("GET / \r\n\r\n", BadVersion),
        ("GET / HTTP/1\r\n\r\n", BadVersion),
        ("GET / HTTP/1.\r\n\r\n", BadVersion),
        ("GET / HTTP/.1\r\n\r\n", BadVersion),
        ("GET / HTTP/1.10\r\n\r\n", BadVersion),
        ("GET / HTTP/01.1\r\n\r\n", BadVersion),
        ("GET / HTTP/1,1\r\n\r\n", BadVersion),
        ("GET / http/1.1\r\n\r\n", BadVersion),
        ("GET / HTTPS/1.1\r\n\r\n", BadVersion),
        ("GET / HTTP 1.1\r\n\r\n", BadVersion),
        ("GET / HTTP/1.x\r\n\r\n", BadVersion),
        ("GET / HTTP/+1.1\r\n\r\n", BadVersion),
        ("GET / ICY/1.1\r\n\r\n", BadVersion),
        ("GET / HTTP/0.9\r\n\r\n", UnsupportedVersion),
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", UnsupportedVersion),
        ("GET / HTTP/3.1\r\nHost: a\r\n\r\n", UnsupportedVersion),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", UnsupportedVersion),
    ]);
    assert_eq!(UnsupportedVersion.status(), Status::HTTP_VERSION_NOT_SUPPORTED);
    for version in ["HTTP/1.1", "HTTP/1.2", "HTTP/1.9"] {
        let head = head(format!("GET / {version}\r\nHost: a\r\n\r\n"));
        assert_eq!(head.version(), Version::Http11, "{version}");
    }
    assert_eq!(head("GET / HTTP/1.0\r\n\r\n").version(), Version::Http10);
}

#[test]
fn methods_are_tokens_of_at_most_32_bytes_and_case_counts() {
    for name in ["get", "BREW", "M-SEARCH", "!#$%&'*+-.^_`|~09azAZ", &"M".repeat(32)] {
        let head = head(format!("{name} / HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert_eq!(*head.method(), name);
        assert_ne!(*head.method(), Method::GET);
    }
    let long = format!("{} / HTTP/1.1\r\nHost: a\r\n\r\n", "M".repeat(33));
    assert_eq!(fault(long), Some(Fault::MethodTooLong));
    assert_eq!(Fault::MethodTooLong.status(), Status::NOT_IMPLEMENTED);
}

#[test]
fn the_hello_of_tls_is_refused_at_its_first_byte() {
    let hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
    assert_eq!(fault(hello), Some(Fault::ControlByte));
    assert_eq!(fault(&hello[..1]), Some(Fault::ControlByte));
}

#[test]
fn targets_of_each_form_are_told_apart() {
    let cases = [
        ("GET /", TargetForm::Origin, "/", None, Some("h")),
        ("GET //evil.example/x", TargetForm::Origin, "//evil.example/x", None, Some("h")),
        ("GET /?", TargetForm::Origin, "/", Some(""), Some("h")),
        ("GET /a?b?c=/%zz", TargetForm::Origin, "/a", Some("b?c=/%zz"), Some("h")),
        ("GET /\"|{}^`<>\\[]", TargetForm::Origin, "/\"|{}^`<>\\[]", None, Some("h")),
        ("GET http://t", TargetForm::Absolute, "/", None, Some("t")),
        ("GET http://t?q", TargetForm::Absolute, "/", Some("q"), Some("t")),
        ("GET HTTP://t:81/p?q", TargetForm::Absolute, "/p", Some("q"), Some("t:81")),
        ("OPTIONS http://t", TargetForm::Absolute, "/", None, Some("t")),
        ("GET https://[::1]:4/", TargetForm::Absolute, "/", None, Some("[::1]:4")),
        ("OPTIONS *", TargetForm::Asterisk, "*", None, Some("h")),
        ("CONNECT t:443", TargetForm::Authority, "", None, Some("t:443")),
        ("CONNECT [::1]:443", TargetForm::Authority, "", None, Some("[::1]:443")),
    ];
    for (start, form, path, query, authority) in cases {
        let head = head(format!("{start} HTTP/1.1\r\nHost: h\r\n\r\n"));
        assert_eq!(head.form(), form, "{start}");
        assert_eq!(head.raw_path(), path, "{start}");
        assert_eq!(head.query(), query, "{start}");
        assert_eq!(head.authority(), authority, "{start}");
        let scheme = if start.contains("https:") { "https" } else { "http" };
        assert_eq!(head.scheme(), (form == TargetForm::Absolute).then_some(scheme), "{start}");
        assert_eq!(start.split_once(' ').map(|(_, target)| target), Some(head.target()));
    }
}

#[test]
fn a_target_of_no_form_is_refused() {
    use Fault::*;
    let cases = [
        ("GET *", BadTarget),
        ("PRI *", BadTarget),
        ("OPTIONS **", BadTarget),
        ("OPTIONS *?a", BadTarget),
        ("GET x", BadTarget),
        ("GET ?a", BadTarget),
        ("GET t:80", BadTarget),
        ("GET ftp://t/", BadTarget),
        ("GET http:/t/", BadTarget),
        ("GET http:", BadTarget),
        ("GET http:///p", BadHost),
        ("GET http://", BadHost),
        ("GET http://?q", BadHost),
        ("GET http://:80/", BadHost),
        ("GET http://u@t/", BadHost),
        ("GET http://u:p@t/", BadHost),
        ("GET http://t:x/", BadHost),
        ("GET http://t:65536/", BadHost),
        ("GET http://t\\evil/", BadHost),
        ("GET http://[::1/", BadHost),
        ("CONNECT /", BadTarget),
        ("CONNECT t", BadTarget),
        ("CONNECT t:", BadTarget),
        ("CONNECT :1", BadTarget),
        ("CONNECT *", BadTarget),
        ("CONNECT http://t/", BadTarget),
        ("GET /a#b", BadTarget),
        ("GET #", BadTarget),
        ("GET /a?b#c", BadTarget),
        ("GET /\u{e9}", BadTarget),
        ("GET /\u{7f}", ControlByte),
        ("GET /\u{1}", ControlByte),
    ];
    for (start, expected) in cases {
        let input = format!("{start} HTTP/1.1\r\nHost: h\r\n\r\n");
        assert_eq!(fault(input), Some(expected), "{start}");
    }
}

#[test]
fn every_byte_that_cannot_be_in_a_target_is_refused_at_every_place_of_a_word() {
    for byte in 0..=255_u8 {
        let allowed = byte.is_ascii_graphic() && byte != b'#';
        for place in 1..10 {
            let mut input = b"GET /01234567890123 HTTP/1.1\r\nHost: h\r\n\r\n".to_vec();
            input[4 + place] = byte;
            assert_eq!(fault(&input).is_none(), allowed, "{}", input.escape_ascii());
        }
    }
}

#[test]
fn malformed_field_lines_are_refused() {
    use Fault::*;
    lines_refused(&[
        (": x", BadFieldName),
        ("X : x", BadFieldName),
        ("X\t: x", BadFieldName),
        ("X Y: x", BadFieldName),
        ("X(: x", BadFieldName),
        ("X\u{e9}: x", BadFieldName),
        ("\"X\": x", BadFieldName),
        ("X@Y: x", BadFieldName),
        ("X[: x", BadFieldName),
        ("X", MissingColon),
        ("X-Long-Name-Without-A-Colon", MissingColon),
        (" X: x", FoldedField),
        ("\tX: x", FoldedField),
        ("X: x\r\n y", FoldedField),
        ("X: x\r\n\ty", FoldedField),
        (" ", FoldedField),
        ("X: a\nY: b", BadLineEnd),
        ("X: a\rY: b", BadLineEnd),
        ("X: a\r\r\nY: b", BadLineEnd),
        ("X\n: a", BadLineEnd),
        ("X\r: a", MissingColon),
        ("\nX: a", BadLineEnd),
        ("X: a\0b", ControlByte),
        ("X: a\u{1}b", ControlByte),
        ("X: \u{7f}", ControlByte),
        ("X: \u{b}", ControlByte),
        ("X\0: a", ControlByte),
        ("\0: a", ControlByte),
    ]);
    // Also on the first line, and at the very end.
    refused(&[
        ("GET / HTTP/1.1\r\n Host: a\r\n\r\n", FoldedField),
        ("GET / HTTP/1.1\r\n\tHost: a\r\n\r\n", FoldedField),
        ("GET / HTTP/1.1\r\nHost: a\r\n\rx", BadLineEnd),
        ("GET / HTTP/1.1\r\nHost: a\r\n\n", BadLineEnd),
        ("GET / HTTP/1.1\r\n: a\r\n\r\n", BadFieldName),
    ]);
}

#[test]
fn every_byte_in_a_name_and_in_a_value_is_judged_at_every_place_of_a_word() {
    for byte in 0..=255_u8 {
        let token = byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        let text = byte == b'\t' || (byte >= 0x20 && byte != 0x7F);
        for place in 0..9 {
            let mut line = *b"0123456789abc: 0123456789abc";
            line[place] = byte;
            let name_ok = token || (byte == b':' && place > 0);
            let input = [b"GET / HTTP/1.1\r\nHost: h\r\n", &line[..], b"\r\n\r\n"].concat();
            assert_eq!(fault(&input).is_none(), name_ok, "{}", input.escape_ascii());

            let mut line = *b"0123456789abc: 0123456789abc";
            line[15 + place] = byte;
            let input = [b"GET / HTTP/1.1\r\nHost: h\r\n", &line[..], b"\r\n\r\n"].concat();
            assert_eq!(fault(&input).is_none(), text, "{}", input.escape_ascii());
        }
    }
}

#[test]
fn names_are_found_in_any_case_and_duplicates_keep_their_order() {
    let head = head_of("X-a: 1\r\nx-A: \t2\t 3 \t\r\nY: \u{e9}");
    let fields = head.fields();
    assert_eq!(fields.get("x-a"), Some(&b"1"[..]));
    assert_eq!(fields.get_all("X-A").collect::<Vec<_>>(), [&b"1"[..], b"2\t 3"]);
    assert_eq!(fields.get("y"), Some("\u{e9}".as_bytes()));
    assert_eq!(fields.get("z"), None);
    assert_eq!(fields.len(), 4);
}

#[test]
fn a_request_of_1_1_names_its_host_exactly_once() {
    use Fault::*;
    refused(&[
        ("GET / HTTP/1.1\r\n\r\n", MissingHost),
        ("GET / HTTP/1.1\r\nX: y\r\n\r\n", MissingHost),
        ("GET http://a/ HTTP/1.1\r\n\r\n", MissingHost),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", SeveralHosts),
        ("GET / HTTP/1.1\r\nHost: a\r\nhOST: a\r\n\r\n", SeveralHosts),
        ("GET / HTTP/1.1\r\nHost:\r\nHost:\r\n\r\n", SeveralHosts),
        ("GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", SeveralHosts),
        ("GET / HTTP/1.0\r\nHost: a/b\r\n\r\n", BadHost),
    ]);
    assert_eq!(head("GET / HTTP/1.0\r\n\r\n").authority(), None);
    assert_eq!(head("GET / HTTP/1.0\r\nHost: a\r\n\r\n").authority(), Some("a"));
    assert_eq!(head("GET / HTTP/1.1\r\nHost:\r\n\r\n").authority(), Some(""));
}

#[test]
fn a_host_is_a_name_or_an_address_with_or_without_a_port() {
    for host in [
        "a",
        "A.b-c_d~e",
        "a:0",
        "a:65535",
        "a:",
        "127.0.0.1:80",
        "[::1]",
        "[::1]:80",
        "%41b",
        "a!$&'()*+;=",
    ] {
        let head = head(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        assert_eq!(head.authority(), Some(host));
    }
    for host in [
        "a b",
        "a,b",
        "a, b",
        "u@a",
        "u:p@a",
        "a/",
        "/",
        "a/b",
        "a?b",
        "a#b",
        "http://a",
        "a:b",
        "a:+1",
        "a:-1",
        "a: 1",
        "a:1:2",
        "a:65536",
        "a:99999999999999999999",
        ":80",
        ":",
        "[::1",
        "::1",
        "[::g]",
        "[::1]x",
        "[::1]:x",
        "[]",
        "[fe80::1%25eth0]",
        "%4",
        "%",
        "a%zz",
        "\u{e9}",
        "a\\b",
        "\"a\"",
        "a\tb",
        "<a>",
        "{a}",
        "a|b",
        "a^b",
        "a`b",
    ] {
        let input = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert_eq!(fault(input), Some(Fault::BadHost), "{host}");
    }
}

#[test]
fn a_length_is_digits_and_nothing_else() {
    for (text, length) in [("0", 0), ("5", 5), ("007", 7), ("9223372036854775807", i64::MAX as u64)]
    {
        assert_eq!(head_of(&format!("Content-Length: {text}")).framing(), Framing::Length(length));
    }
    for text in [
        "",
        "+5",
        "-1",
        "-0",
        "0x5",
        "5x",
        "1e3",
        "5 5",
        "5, 5",
        "5,5",
        "5,",
        "\"5\"",
        "5.0",
        "five",
        "5;",
        "\u{663}",
        "5\t5",
        "0b1",
        "5_0",
        "99999999999999999999x",
    ] {
        assert_eq!(fault_of(&format!("Content-Length: {text}")), Some(Fault::BadLength), "{text}");
    }
    for text in ["9223372036854775808", "18446744073709551616", "99999999999999999999999"] {
        assert_eq!(
            fault_of(&format!("Content-Length: {text}")),
            Some(Fault::LengthTooLarge),
            "{text}"
        );
    }
    assert_eq!(Fault::LengthTooLarge.status(), Status::CONTENT_TOO_LARGE);
}

#[test]
fn a_second_length_is_refused_even_if_equal() {
    use Fault::*;
    lines_refused(&[
        ("Content-Length: 5\r\nContent-Length: 5", SeveralLengths),
        ("Content-Length: 5\r\ncontent-length: 6", SeveralLengths),
        ("Content-Length: 0\r\nX: y\r\nCONTENT-LENGTH: 0", SeveralLengths),
    ]);
}

#[test]
fn the_only_coding_is_chunked_alone() {
    for text in ["chunked", "Chunked", "CHUNKED", " chunked\t"] {
        let head = head_of(&format!("Transfer-Encoding:{text}"));
        assert_eq!(head.framing(), Framing::Chunked, "{text}");
    }
    for text in ["gzip, chunked", "identity, chunked", "gzip,deflate,chunked", "x-own , Chunked"] {
        let fault = fault_of(&format!("Transfer-Encoding: {text}"));
        assert_eq!(fault, Some(Fault::UnknownCoding), "{text}");
    }
    for text in [
        "",
        "gzip",
        "identity",
        "chunked, chunked",
        "chunked, gzip",
        "gzip, chunked, chunked",
        "chunked;q=1",
        "chunked; a=b",
        "gzip;q=1, chunked",
        "\"chunked\"",
        "'chunked'",
        "chunked,",
        ", chunked",
        ",",
        "xchunked",
        "chunkedx",
        "chunked chunked",
        "chunked\u{e9}",
        "gzip chunked",
        "chunk",
        "x, \"chunked\"",
    ] {
        let fault = fault_of(&format!("Transfer-Encoding: {text}"));
        assert_eq!(fault, Some(Fault::BadCoding), "{text}");
    }
    lines_refused(&[
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", Fault::BadCoding),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", Fault::BadCoding),
        ("Transfer-Encoding: chunked\r\ntransfer-encoding:", Fault::BadCoding),
        ("Transfer-Encoding: chunked\u{b}", Fault::ControlByte),
        ("Transfer-Encoding:\u{b}chunked", Fault::ControlByte),
        ("Transfer-Encoding : chunked", Fault::BadFieldName),
        ("Transfer-Encoding\r\n: chunked", Fault::MissingColon),
        (" Transfer-Encoding: chunked", Fault::FoldedField),
        ("Transfer-Encoding:\r\n chunked", Fault::BadCoding),
    ]);
    assert_eq!(Fault::UnknownCoding.status(), Status::NOT_IMPLEMENTED);
    assert_eq!(Fault::BadCoding.status(), Status::BAD_REQUEST);
}

#[test]
fn length_and_coding_together_are_refused_in_either_order() {
    use Fault::*;
    lines_refused(&[
        ("Content-Length: 5\r\nTransfer-Encoding: chunked", LengthAndCoding),
        ("Transfer-Encoding: chunked\r\nContent-Length: 5", LengthAndCoding),
        ("Transfer-Encoding: chunked\r\nContent-Length: x", LengthAndCoding),
        ("Content-Length: 5\r\nTransfer-Encoding: gzip, chunked", LengthAndCoding),
        ("Content-Length: 0\r\nTransfer-Encoding:", LengthAndCoding),
    ]);
    refused(&[
        ("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", CodingIn10),
        ("POST / HTTP/1.0\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", CodingIn10),
    ]);
}

#[test]
fn a_connection_lives_on_as_version_and_list_say() {
    let cases = [
        ("1.1", "", true),
        ("1.1", "Connection: close", false),
        ("1.1", "Connection: Close", false),
        ("1.1", "Connection: keep-alive", true),
        ("1.1", "Connection: keep-alive, close", false),
        ("1.1", "Connection: close, keep-alive", false),
        ("1.1", "Connection: foo ,\tCLOSE\t, bar", false),
        ("1.1", "Connection: keep-alive\r\nConnection: close", false),
        ("1.1", "Connection: close\r\nConnection: keep-alive", false),
        ("1.1", "Connection: closed", true),
        ("1.1", "Connection: not-close", true),
        ("1.1", "Connection: close x", true),
        ("1.1", "Connection: \"close\"", true),
        ("1.1", "Connection: \"a, close\"", true),
        ("1.1", "Connection:", true),
        ("1.1", "Connection: ,,", true),
        ("1.1", "Proxy-Connection: close", true),
        ("1.0", "X: y", false),
        ("1.0", "Connection: keep-alive", true),
        ("1.0", "Connection: Keep-Alive, x", true),
        ("1.0", "Connection: keep-alive, close", false),
        ("1.0", "Connection: keep-alives", false),
        ("1.0", "Keep-Alive: timeout=5", false),
    ];
    for (version, line, expected) in cases {
        let line = if line.is_empty() { String::new() } else { format!("{line}\r\n") };
        let head = head(format!("GET / HTTP/{version}\r\nHost: a\r\n{line}\r\n"));
        assert_eq!(head.keeps_alive(), expected, "{version} {line}");
    }
}

#[test]
fn an_expectation_counts_in_1_1_and_with_a_body() {
    let cases = [
        ("1.1", "Content-Length: 5\r\nExpect: 100-continue", true, false),
        ("1.1", "Expect: 100-Continue\r\nContent-Length: 5", true, false),
        ("1.1", "Expect: 100-continue\r\nTransfer-Encoding: chunked", true, false),
        ("1.1", "Expect: 100-continue", false, false),
        ("1.1", "Expect: 100-continue\r\nContent-Length: 0", false, false),
        ("1.1", "Content-Length: 5", false, false),
        ("1.1", "Expect: tea", false, true),
        ("1.1", "Expect: 100-continue=yes\r\nContent-Length: 5", false, true),
        ("1.1", "Expect: 100-continue, tea\r\nContent-Length: 5", true, true),
        ("1.1", "Expect:\r\nContent-Length: 5", false, false),
        ("1.0", "Content-Length: 5\r\nExpect: 100-continue", false, false),
        ("1.0", "Content-Length: 5\r\nExpect: tea", false, false),
    ];
    for (version, lines, continues, other) in cases {
        let head = head(format!("PUT / HTTP/{version}\r\nHost: a\r\n{lines}\r\n\r\n"));
        assert_eq!(head.expects_continue(), continues, "{version} {lines}");
        assert_eq!(head.has_other_expectation(), other, "{version} {lines}");
    }
}

#[test]
fn an_upgrade_needs_both_its_fields_and_1_1() {
    let both = "Upgrade: h2c, websocket\r\nConnection: keep-alive, Upgrade";
    assert_eq!(head_of(both).upgrade(), Some(&b"h2c, websocket"[..]));
    assert_eq!(
        head_of("Upgrade: a\r\nUpgrade: b\r\nConnection: upgrade").upgrade(),
        Some(&b"a"[..])
    );
    assert_eq!(head_of("Upgrade: websocket").upgrade(), None);
    assert_eq!(head_of("Connection: upgrade").upgrade(), None);
    assert_eq!(head_of("Upgrade: websocket\r\nConnection: upgraded").upgrade(), None);
    assert_eq!(head(format!("GET / HTTP/1.0\r\n{both}\r\n\r\n")).upgrade(), None);
}

#[test]
fn trailers_are_accepted_by_who_says_so() {
    assert!(head_of("TE: trailers").accepts_trailers());
    assert!(head_of("te: gzip;q=0.5, Trailers").accepts_trailers());
    assert!(!head_of("TE: gzip").accepts_trailers());
    assert!(!head_of("TE: trailers;q=1").accepts_trailers());
    assert!(!head_of("Trailer: X").accepts_trailers());
}
