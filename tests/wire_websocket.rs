//! Frames, handshakes and compressed messages without sockets: net-and-http-server.md 3.13, reliability.md R1, R2, R18
//! and the rows of §6 on WebSockets.

#![allow(clippy::unwrap_used)]

#[cfg(feature = "compress")]
#[path = "wire/compressed.rs"]
mod compressed;
#[path = "wire/cuts.rs"]
mod cuts;
#[path = "wire/frames.rs"]
mod frames;
#[path = "wire/linear.rs"]
mod linear;

use evloop::wire::websocket::*;
use evloop::wire::{Fault, Fields, HeadLimits, Method, ResponseParser, Status, Version};
use frames::{Outcome, Said, decode, naively};
use proptest::prelude::*;

use WebSocketFault as Wrong;

const KEY: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];

/// A masked frame of a first byte and a payload.
fn from_client(first: u8, payload: &[u8]) -> Vec<u8> {
    raw(first, payload, Some(KEY))
}

fn raw(first: u8, payload: &[u8], key: Option<[u8; 4]>) -> Vec<u8> {
    let mut out = vec![first];
    let masked = if key.is_some() { 0x80 } else { 0 };
    match payload.len() {
        len @ 0..=125 => out.push(masked | len as u8),
        len @ 126..=0xFFFF => {
            out.push(masked | 126);
            out.extend_from_slice(&(len as u16).to_be_bytes());
        }
        len => {
            out.push(masked | 127);
            out.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    out.extend(key.iter().flatten());
    out.extend(payload.iter().enumerate().map(|(i, byte)| byte ^ key.map_or(0, |key| key[i % 4])));
    out
}

/// What a server makes of these bytes, cut in every way; the same as the naive reading of them.
#[track_caller]
fn of(bytes: &[u8]) -> Outcome {
    with(bytes, Role::Server, DecoderLimits::default(), false)
}

#[track_caller]
fn with(bytes: &[u8], role: Role, limits: DecoderLimits, fragments: bool) -> Outcome {
    let outcome = cuts::in_every_way(bytes, |pieces| {
        let mut decoder = Decoder::new(role, limits);
        decoder.set_fragments(fragments);
        decode(decoder, pieces)
    });
    assert_eq!(outcome, naively(bytes, role, limits, fragments));
    outcome
}

/// The bytes are refused for this reason, and nothing was said.
#[track_caller]
fn refused(bytes: &[u8], why: Wrong, code: u16) {
    assert_eq!(of(bytes), (Vec::new(), Some(why)));
    assert_eq!(why.close_code(), CloseCode(code));
}

fn text(of: &str) -> Said {
    Said::Text(of.to_owned())
}

fn all(parts: &[Vec<u8>]) -> Vec<u8> {
    parts.concat()
}

// --- what is read -------------------------------------------------------------------------------------

#[test]
fn the_examples_of_the_rfc_are_read() {
    // RFC 6455 §5.7
    let hello = b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
    assert_eq!(of(hello), (vec![text("Hello")], None));
    let ping = b"\x89\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
    assert_eq!(of(ping), (vec![Said::Ping(b"Hello".to_vec())], None));
    let client = |bytes: &[u8]| with(bytes, Role::Client, DecoderLimits::default(), false);
    assert_eq!(client(b"\x81\x05Hello"), (vec![text("Hello")], None));
    assert_eq!(client(b"\x01\x03Hel\x80\x02lo"), (vec![text("Hello")], None));
    assert_eq!(client(b"\x8a\x05Hello"), (vec![Said::Pong(b"Hello".to_vec())], None));
}

#[test]
fn every_form_of_length_is_read() {
    for len in [0, 1, 2, 3, 4, 5, 7, 8, 9, 16, 125, 126, 127, 1000, 0xFFFF, 0x10000, 70_000] {
        let payload: Vec<u8> = (0..len).map(|i| (i * 7) as u8).collect();
        let outcome = (vec![Said::Binary(payload.clone())], None);
        assert_eq!(of(&from_client(0x82, &payload)), outcome, "{len}");
        let bytes = raw(0x82, &payload, None);
        assert_eq!(with(&bytes, Role::Client, DecoderLimits::default(), false), outcome, "{len}");
    }
}

#[test]
fn fragments_make_a_message_and_control_frames_come_between_them() {
    let bytes = all(&[
        from_client(0x01, "h\u{e9}l".as_bytes()),
        from_client(0x89, b"are you there"),
        from_client(0x00, b""),
        from_client(0x8A, b""),
        from_client(0x80, b"lo"),
        from_client(0x82, b"next"),
    ]);
    let said = vec![
        Said::Ping(b"are you there".to_vec()),
        Said::Pong(Vec::new()),
        text("h\u{e9}llo"),
        Said::Binary(b"next".to_vec()),
    ];
    assert_eq!(of(&bytes), (said, None));
}

#[test]
fn fragments_are_delivered_one_by_one_if_wanted() {
    let euro = "\u{20ac}".as_bytes();
    let bytes = all(&[
        from_client(0x01, &euro[..1]),
        from_client(0x89, b"?"),
        from_client(0x00, &euro[1..2]),
        from_client(0x80, &euro[2..]),
        from_client(0x82, b"one"),
    ]);
    let part =
        |bytes: &[u8], first, last| Said::Fragment(MessageKind::Text, bytes.to_vec(), first, last);
    let said = vec![
        part(&euro[..1], true, false),
        Said::Ping(b"?".to_vec()),
        part(&euro[1..2], false, false),
        part(&euro[2..], false, true),
        Said::Fragment(MessageKind::Binary, b"one".to_vec(), true, true),
    ];
    assert_eq!(with(&bytes, Role::Server, DecoderLimits::default(), true), (said, None));
}

#[test]
fn a_close_frame_is_read_with_its_code_and_reason_and_is_the_last() {
    let close = |payload: &[u8]| of(&all(&[from_client(0x88, payload), b"anything".to_vec()]));
    assert_eq!(close(b""), (vec![Said::Close(None, String::new())], None));
    let said = Said::Close(Some(CloseCode(1001)), "bye".to_owned());
    assert_eq!(close(b"\x03\xe9bye"), (vec![said], None));
    for code in [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 4999]
    {
        let (said, fault) = close(&u16::to_be_bytes(code));
        assert_eq!((said.len(), fault), (1, None), "{code}");
        assert!(CloseCode(code).may_be_sent());
    }
}

// --- what is refused ----------------------------------------------------------------------------------

#[test]
fn a_frame_to_a_server_must_be_masked_and_one_to_a_client_must_not() {
    refused(b"\x81\x05Hello", Wrong::NotMasked, 1002);
    let masked = from_client(0x81, b"Hello");
    let outcome = with(&masked, Role::Client, DecoderLimits::default(), false);
    assert_eq!(outcome, (Vec::new(), Some(Wrong::Masked)));
}

#[test]
fn reserved_bits_and_opcodes_are_refused() {
    for bit in [0x40, 0x20, 0x10] {
        for opcode in [0x81, 0x82, 0x88, 0x89, 0x8A] {
            refused(&from_client(opcode | bit, b""), Wrong::ReservedBit, 1002);
        }
    }
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        refused(&from_client(0x80 | opcode, b""), Wrong::ReservedOpCode, 1002);
    }
}

#[test]
fn control_frames_are_short_and_whole() {
    for opcode in [8, 9, 10] {
        refused(&from_client(opcode, b""), Wrong::FragmentedControl, 1002);
        refused(&from_client(0x80 | opcode, &[b'a'; 126]), Wrong::ControlTooLong, 1002);
        refused(&[0x80 | opcode, 0xFF], Wrong::ControlTooLong, 1002);
    }
    let longest = from_client(0x89, &[b'a'; 125]);
    assert_eq!(of(&longest), (vec![Said::Ping(vec![b'a'; 125])], None));
}

#[test]
fn there_is_nothing_to_continue_and_no_message_in_a_message() {
    refused(&from_client(0x80, b"x"), Wrong::NothingToContinue, 1002);
    refused(&from_client(0x00, b"x"), Wrong::NothingToContinue, 1002);
    for second in [0x81, 0x82, 0x01, 0x02] {
        let bytes = all(&[from_client(0x01, b"x"), from_client(second, b"y")]);
        refused(&bytes, Wrong::MessageInMessage, 1002);
    }
    let bytes = all(&[from_client(0x81, b"x"), from_client(0x80, b"y")]);
    assert_eq!(of(&bytes), (vec![text("x")], Some(Wrong::NothingToContinue)));
}

#[test]
fn lengths_are_as_short_as_they_can_be_and_below_2_63() {
    let long = |len: &[u8]| [&[0x82, if len.len() == 2 { 0xFE } else { 0xFF }], len, &KEY].concat();
    refused(&long(&[0, 125]), Wrong::LongLength, 1002);
    refused(&long(&[0, 0]), Wrong::LongLength, 1002);
    refused(&long(&[0, 0, 0, 0, 0, 0, 0xFF, 0xFF]), Wrong::LongLength, 1002);
    refused(&long(&[0, 0, 0, 0, 0, 0, 0, 5]), Wrong::LongLength, 1002);
    refused(&long(&[0x80, 0, 0, 0, 0, 0, 0, 0]), Wrong::BadLength, 1002);
    refused(&long(&[0xFF; 8]), Wrong::BadLength, 1002);
}

#[test]
fn close_frames_with_half_a_code_or_a_wrong_one_are_refused() {
    refused(&from_client(0x88, b"\x03"), Wrong::BadClosePayload, 1002);
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 1999, 2000, 2999, 5000, 65535] {
        refused(&from_client(0x88, &u16::to_be_bytes(code)), Wrong::BadCloseCode, 1002);
    }
    refused(&from_client(0x88, b"\x03\xe8\xff"), Wrong::BadUtf8, 1007);
    refused(&from_client(0x88, b"\x03\xe8\xe2\x82"), Wrong::BadUtf8, 1007);
}

#[test]
fn a_text_that_is_not_utf_8_is_refused_at_its_first_wrong_byte() {
    for wrong in [&b"\xff"[..], b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"abc\xe2\x82"] {
        refused(&from_client(0x81, wrong), Wrong::BadUtf8, 1007);
        assert_eq!(of(&from_client(0x82, wrong)).1, None);
    }
    // Before the rest of the frame, or of the message, has come.
    let mut bytes = from_client(0x01, b"all is well \xed\xa0\x80 and so on");
    refused(&bytes, Wrong::BadUtf8, 1007);
    bytes.truncate(6 + 13);
    assert_eq!(of(&bytes), (Vec::new(), None));
    bytes.push(0xa0 ^ KEY[13 % 4]);
    refused(&bytes, Wrong::BadUtf8, 1007);
    let cut = all(&[from_client(0x01, b"\xe2\x82"), from_client(0x80, b"x")]);
    refused(&cut, Wrong::BadUtf8, 1007);
    let cut = all(&[from_client(0x01, b"\xe2\x82"), from_client(0x80, b"")]);
    refused(&cut, Wrong::BadUtf8, 1007);
}

#[test]
fn limits_are_looked_at_before_anything_is_allocated() {
    let limits = DecoderLimits { frame: 10, message: 15, fragments: 3 };
    let check = |bytes: &[u8]| with(bytes, Role::Server, limits, false);
    assert_eq!(check(&from_client(0x82, &[1; 10])).1, None);
    // The head alone is enough.
    assert_eq!(check(&from_client(0x82, &[1; 11])[..6]).1, Some(Wrong::FrameTooBig));
    let two =
        |second: usize| all(&[from_client(0x02, &[1; 10]), from_client(0x80, &vec![1; second])]);
    assert_eq!(check(&two(5)).1, None);
    assert_eq!(check(&two(6)).1, Some(Wrong::MessageTooBig));
    let empty = from_client(0x00, b"");
    let many = |n: usize| all(&[from_client(0x02, b""), empty.repeat(n), from_client(0x80, b"")]);
    assert_eq!(check(&many(1)).1, None);
    assert_eq!(check(&many(2)).1, Some(Wrong::TooManyFragments));
    for fault in [Wrong::FrameTooBig, Wrong::MessageTooBig, Wrong::TooManyFragments] {
        assert_eq!(fault.close_code(), CloseCode::TOO_BIG);
    }
    // A control frame is none of them.
    assert_eq!(check(&from_client(0x89, &[1; 100])).1, None);
    // A length that fills the memory of any machine.
    let huge = [&[0x82, 0xFF], &(1_u64 << 62).to_be_bytes()[..], &KEY].concat();
    refused(&huge, Wrong::FrameTooBig, 1009);
}

#[test]
fn an_announced_length_is_not_allocated() {
    let mut decoder = Decoder::new(
        Role::Server,
        DecoderLimits { frame: 1 << 31, message: 1 << 31, fragments: 1 },
    );
    let bytes = [&[0x82, 0xFF], &(1_u64 << 30).to_be_bytes()[..], &KEY, b"abc"].concat();
    assert_eq!(decoder.next(&bytes).unwrap().used, bytes.len());
    assert!(decoder.is_in_message());
    assert!(format!("{decoder:?}").len() < 4096);
}

#[test]
fn between_messages_no_large_memory_is_kept() {
    let mut decoder = Decoder::new(Role::Server, DecoderLimits::default());
    let bytes = from_client(0x82, &vec![7; 500_000]);
    assert!(decoder.next(&bytes).unwrap().message.is_some());
    assert!(!decoder.is_in_message());
    assert_eq!(decoder.take_memory().capacity(), 0);
    decoder.give_memory(Vec::with_capacity(100));
    assert!(decoder.next(&from_client(0x82, b"x")).unwrap().message.is_some());
    assert_eq!(decoder.take_memory().capacity(), 100);
    let used = decoder.next(&from_client(0x02, b"begun")).unwrap().used;
    assert_eq!((used, decoder.take_memory().capacity()), (11, 0));
    let decoded =
        decoder.next(&from_client(0x80, b"!")).unwrap().message == Some(Message::Binary(b"begun!"));
    assert!(decoded);
}

#[test]
fn work_is_linear_in_tiny_fragments_and_tiny_reads() {
    let limits = DecoderLimits { fragments: u32::MAX, ..DecoderLimits::default() };
    linear::linear(10_000, |n| {
        let mut bytes = from_client(0x01, "\u{e9}".as_bytes());
        for _ in 0..n {
            bytes.extend(from_client(0x00, b"a"));
        }
        bytes.extend(from_client(0x80, b""));
        let (said, fault) = decode(Decoder::new(Role::Server, limits), &mut bytes.chunks(1));
        assert_eq!((said.len(), fault), (1, None));
    });
    linear::linear(20_000, |n| {
        let bytes = from_client(0x81, &vec![b'a'; n]);
        let (said, _) = decode(Decoder::new(Role::Server, limits), &mut bytes.chunks(1));
        assert_eq!(said.len(), 1);
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_bytes_are_read_as_the_naive_reader_does(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        server in any::<bool>(),
        fragments in any::<bool>(),
    ) {
        let role = if server { Role::Server } else { Role::Client };
        with(&bytes, role, DecoderLimits { frame: 60, message: 100, fragments: 4 }, fragments);
    }

    #[test]
    fn any_frames_are_read_as_the_naive_reader_does(
        frames in prop::collection::vec(
            (prop::sample::select(vec![0x81_u8, 0x82, 1, 2, 0, 0x80, 0x89, 0x8A, 0x88, 0xC1]),
             prop::collection::vec(any::<u8>(), 0..40), any::<bool>(), any::<[u8; 4]>()), 0..8),
        server in any::<bool>(),
        fragments in any::<bool>(),
        lengths in prop::collection::vec(0_usize..30, 1..5),
    ) {
        let role = if server { Role::Server } else { Role::Client };
        let mut bytes = Vec::new();
        for (first, payload, is_text, key) in frames {
            let payload = if is_text { "a\u{20ac}".repeat(payload.len() / 4).into_bytes() } else { payload };
            bytes.extend(raw(first, &payload, server.then_some(key)));
        }
        let limits = DecoderLimits { frame: 60, message: 100, fragments: 4 };
        let outcome = with(&bytes, role, limits, fragments);
        let mut decoder = Decoder::new(role, limits);
        decoder.set_fragments(fragments);
        let pieces = cuts::pieces(&bytes, &lengths);
        prop_assert_eq!(decode(decoder, &mut pieces.into_iter()), outcome);
    }

    #[test]
    fn what_is_masked_is_unmasked(bytes in prop::collection::vec(any::<u8>(), 0..100), key in any::<[u8; 4]>()) {
        let mut masked = bytes.clone();
        mask(&mut masked, key);
        for (i, byte) in masked.iter().enumerate() {
            prop_assert_eq!(*byte, bytes[i] ^ key[i % 4]);
        }
    }
}

// --- what is written ----------------------------------------------------------------------------------

#[test]
fn what_is_written_is_read() {
    for len in [0, 1, 125, 126, 127, 0xFFFF, 0x10000] {
        for key in [None, Some(KEY)] {
            let mut out = Vec::new();
            let payload = vec![b'a'; len];
            frame(&mut out, Frame::BINARY, &payload, key).unwrap();
            assert_eq!(out, raw(0x82, &payload, key));
        }
    }
    let mut out = Vec::new();
    frame(&mut out, Frame::fragment(Some(MessageKind::Text), false), b"a", None).unwrap();
    frame(&mut out, Frame::PING, b"", None).unwrap();
    frame(&mut out, Frame::fragment(None, true), b"b", None).unwrap();
    close_frame(&mut out, Some(CloseCode(4000)), "done", None).unwrap();
    assert_eq!(out, b"\x01\x01a\x89\x00\x80\x01b\x88\x06\x0f\xa0done");
}

#[test]
fn what_must_not_be_sent_is_not_written() {
    let mut out = Vec::new();
    assert_eq!(frame(&mut out, Frame::PING, &[0; 126], None), Err(Wrong::ControlTooLong));
    let part = Frame { is_last: false, ..Frame::PONG };
    assert_eq!(frame(&mut out, part, b"", None), Err(Wrong::FragmentedControl));
    let squeezed = Frame { is_compressed: true, ..Frame::fragment(None, true) };
    assert_eq!(frame(&mut out, squeezed, b"", None), Err(Wrong::ReservedBit));
    for code in [0, 1004, 1005, 1006, 1015, 2000, 5000] {
        let result = close_frame(&mut out, Some(CloseCode(code)), "", None);
        assert_eq!(result, Err(Wrong::BadCloseCode), "{code}");
    }
    let long = "a".repeat(124);
    assert_eq!(
        close_frame(&mut out, Some(CloseCode::NORMAL), &long, None),
        Err(Wrong::ControlTooLong)
    );
    assert_eq!(out, b"");
}

// --- handshakes ---------------------------------------------------------------------------------------

fn head(lines: &[(&str, &str)]) -> Fields {
    let mut fields = Fields::default();
    for (name, value) in lines {
        fields.push(name, value).unwrap();
    }
    fields
}

const GOOD: [(&str, &str); 4] = [
    ("Upgrade", "WebSocket"),
    ("Connection", "keep-alive, upgrade"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ("Sec-WebSocket-Version", "13"),
];

fn check(lines: &[(&str, &str)]) -> Result<Vec<String>, HandshakeFault> {
    let fields = head(lines);
    let request = check_request(&Method::GET, Version::Http11, true, &fields)?;
    Ok(request.protocols.iter().map(|each| (*each).to_owned()).collect())
}

/// The good request with one field replaced, or left out.
fn but(name: &str, value: Option<&str>) -> Result<Vec<String>, HandshakeFault> {
    let mut lines = GOOD.to_vec();
    lines.retain(|(of, _)| *of != name);
    lines.extend(value.map(|value| (name, value)));
    check(&lines)
}

#[test]
fn a_request_that_keeps_the_rules_is_accepted() {
    assert_eq!(check(&GOOD), Ok(vec![]));
    assert_eq!(but("Upgrade", Some("h2c, websocket")), Ok(vec![]));
    let fields = head(&GOOD);
    let request = check_request(&Method::GET, Version::Http11, true, &fields).unwrap();
    assert_eq!(request.accept(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

#[test]
fn what_is_no_request_for_a_websocket_is_refused() {
    use HandshakeFault::*;
    let fields = head(&GOOD);
    let of = |method, version, host| check_request(method, version, host, &fields).err();
    assert_eq!(of(&Method::POST, Version::Http11, true), Some(NotGet));
    assert_eq!(of(&Method::GET, Version::Http10, true), Some(OldHttp));
    assert_eq!(of(&Method::GET, Version::Http11, false), Some(NoHost));
    assert_eq!(but("Upgrade", None), Err(NoUpgrade));
    assert_eq!(but("Upgrade", Some("h2c")), Err(NoUpgrade));
    assert_eq!(but("Connection", None), Err(NoConnection));
    assert_eq!(but("Connection", Some("upgraded")), Err(NoConnection));
    for version in [None, Some("8"), Some("013"), Some("13, 8"), Some("")] {
        assert_eq!(but("Sec-WebSocket-Version", version), Err(BadVersion), "{version:?}");
    }
    let too_short = "dGhlIHNhbXBsZSBub25jZQ=";
    for key in [
        None,
        Some(""),
        Some("abc"),
        Some(too_short),
        Some("dGhlIHNhbXBsZSBub25jZTEyMzQ="),
        Some("dGhlIHNhbXBsZSBub25jZ!=="),
        Some("dGhlIHNhbXBsZSBub25jZR=="),
    ] {
        assert_eq!(but("Sec-WebSocket-Key", key), Err(BadKey), "{key:?}");
    }
    let mut twice = GOOD.to_vec();
    twice.push(GOOD[2]);
    assert_eq!(check(&twice), Err(BadKey));
    let statuses = [
        (NotGet, 405),
        (OldHttp, 400),
        (NoHost, 400),
        (NoUpgrade, 426),
        (NoConnection, 400),
        (BadVersion, 426),
        (BadKey, 400),
        (BadField, 400),
        (BadOrigin, 403),
    ];
    for (fault, status) in statuses {
        assert_eq!(fault.status().code(), status);
    }
}

#[test]
fn offered_protocols_are_a_list_over_all_fields() {
    let mut lines = GOOD.to_vec();
    lines.extend([("Sec-WebSocket-Protocol", "a , b"), ("Sec-WebSocket-Protocol", "c")]);
    assert_eq!(check(&lines), Ok(vec!["a".into(), "b".into(), "c".into()]));
    for wrong in ["a b", "a, a", "a/b", "\"a\""] {
        assert_eq!(but("Sec-WebSocket-Protocol", Some(wrong)), Err(HandshakeFault::BadField));
    }
    let many = (0..70).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
    assert_eq!(but("Sec-WebSocket-Protocol", Some(&many)), Err(HandshakeFault::BadField));
}

#[test]
fn a_client_asks_as_a_server_understands() {
    let mut out = Vec::new();
    let fields = head(&[("Origin", "http://here")]);
    let accept =
        client_request(&mut out, "here:81", "/chat?x=1", [7; 16], &["a", "b"], &fields).unwrap();
    let mut parser = evloop::wire::RequestParser::new(HeadLimits::default());
    assert!(parser.feed(&out).unwrap().done);
    let head = parser.head();
    let request = check_request(head.method(), head.version(), true, head.fields()).unwrap();
    assert_eq!((request.accept(), request.protocols.as_slice()), (accept, &["a", "b"][..]));
    assert_eq!((head.target(), head.fields().get("host")), ("/chat?x=1", Some(&b"here:81"[..])));
    assert_eq!(head.fields().get("origin"), Some(&b"http://here"[..]));
    let wrong = client_request(&mut Vec::new(), "a\r\nb", "/", [0; 16], &[], &Fields::default());
    assert_eq!(wrong, Err(Fault::BadFieldValue));
    for protocols in [&["a, b"][..], &[""], &["a", "b", "a"]] {
        let wrong =
            client_request(&mut Vec::new(), "a", "/", [0; 16], protocols, &Fields::default());
        assert_eq!(wrong, Err(Fault::BadFieldValue));
    }
}

fn answer(text: &str) -> Result<Option<String>, HandshakeFault> {
    let mut parser = ResponseParser::new(HeadLimits::default());
    assert!(parser.feed(format!("HTTP/1.1 {text}\r\n\r\n").as_bytes()).unwrap().done);
    check_response(parser.head(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", &["a", "b"])
}

#[test]
fn an_answer_is_101_with_what_the_key_makes() {
    use HandshakeFault::*;
    let good = "101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
    assert_eq!(answer(good), Ok(None));
    assert_eq!(answer(&format!("{good}\r\nSec-WebSocket-Protocol: b")), Ok(Some("b".into())));
    for wrong in ["c", "a, b", "B", ""] {
        assert_eq!(answer(&format!("{good}\r\nSec-WebSocket-Protocol: {wrong}")), Err(BadProtocol));
    }
    let twice = format!("{good}\r\nSec-WebSocket-Protocol: a\r\nSec-WebSocket-Protocol: a");
    assert_eq!(answer(&twice), Err(BadProtocol));
    assert_eq!(answer("200 OK\r\nContent-Length: 0"), Err(Refused));
    assert_eq!(
        answer(&good.replace("Connection: Upgrade", "Connection: close")),
        Err(NoConnection)
    );
    assert_eq!(answer(&good.replace("s3p", "S3p")), Err(BadAccept));
    assert_eq!(answer(&good.replace("Sec-WebSocket-Accept", "X-Accept")), Err(BadAccept));
}

/// Whether an answer agrees, read the plain way.
fn agrees(text: &[u8]) -> bool {
    let Some(end) = text.windows(4).position(|four| four == b"\r\n\r\n") else { return false };
    let text = String::from_utf8_lossy(&text[..end]).into_owned();
    let mut lines = text.split("\r\n");
    let status = lines.next().unwrap();
    let (version, behind) = status.split_at(8.min(status.len()));
    let is_version =
        version.starts_with("HTTP/1.") && version.ends_with(|last: char| last.is_ascii_digit());
    if !is_version || !(behind == " 101" || behind.starts_with(" 101 ")) {
        return false;
    }
    let mut found = std::collections::HashMap::<String, Vec<String>>::new();
    for line in lines {
        let Some((name, value)) = line.split_once(':') else { return false };
        let value = value.trim_matches([' ', '\t']).to_owned();
        found.entry(name.to_ascii_lowercase()).or_default().push(value);
    }
    let of = |name: &str| found.get(name).map_or(&[][..], Vec::as_slice);
    let upgrades =
        |value: &String| value.split(',').any(|token| token.trim().eq_ignore_ascii_case("upgrade"));
    matches!(of("upgrade"), [only] if only.eq_ignore_ascii_case("websocket"))
        && of("connection").iter().any(upgrades)
        && of("sec-websocket-accept") == ["s3pPLMBiTxaQ9kYGzzhZRbK+xOo="]
        && matches!(of("sec-websocket-protocol"), [] | [_])
        && of("sec-websocket-protocol").iter().all(|chosen| chosen == "chat")
}

#[test]
fn an_answer_that_was_changed_in_any_byte_agrees_only_if_it_still_says_so() {
    let good = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: chat\r\n\r\n";
    let read = |pieces: &mut dyn Iterator<Item = &[u8]>| {
        let mut parser = ResponseParser::new(HeadLimits::default());
        for piece in pieces {
            match parser.feed(piece) {
                Ok(progress) if progress.done => {
                    let agreed =
                        check_response(parser.head(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", &["chat"]);
                    return Some(agreed.is_ok());
                }
                Ok(_) => {}
                Err(_) => return Some(false),
            }
        }
        None
    };
    assert!(agrees(good));
    let mut agreed = 0;
    for at in 0..good.len() {
        for byte in 0..=255 {
            let mut text = good.to_vec();
            text[at] = byte;
            let outcome = read(&mut std::iter::once(&text[..]));
            assert_eq!(read(&mut text.chunks(1)), outcome, "{}", text.escape_ascii());
            // What the naive reader takes may still be no head.
            let is_so = outcome == Some(true);
            assert!(!is_so || agrees(&text), "{}", text.escape_ascii());
            agreed += usize::from(is_so);
        }
        for end in [at, good.len()] {
            let text = [&good[..at], &good[(at + 1).min(end)..]].concat();
            let outcome = read(&mut std::iter::once(&text[..]));
            assert!(outcome != Some(true) || agrees(&text), "{}", text.escape_ascii());
        }
    }
    // The words behind the status may be any, letters of names may be large or small.
    assert!(agreed > 2000, "{agreed}");
}

#[test]
fn the_status_of_a_refusal_is_known() {
    assert_eq!(HandshakeFault::BadVersion.status(), Status::UPGRADE_REQUIRED);
}
