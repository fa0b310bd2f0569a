//! Compressed messages (RFC 7692), and what peers could make of them that is none.

use super::deflate::{Agreed, DeflateOptions};
use super::*;

fn agree(offer: &str) -> Option<String> {
    agree_with(DeflateOptions::default(), offer)
}

fn agree_with(options: DeflateOptions, offer: &str) -> Option<String> {
    let fields = head(&[("Sec-WebSocket-Extensions", offer)]);
    options.agree(&fields).map(|agreed| agreed.answer())
}

const KEEPING: DeflateOptions = DeflateOptions {
    threshold: 0,
    level: 6,
    max_ratio: 200,
    server_no_context_takeover: false,
    client_no_context_takeover: false,
};

#[test]
fn offers_are_agreed_to_as_far_as_they_can_be_kept() {
    let plain = "permessage-deflate";
    let both = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
    assert_eq!(agree(plain).as_deref(), Some(both));
    assert_eq!(agree_with(KEEPING, plain).as_deref(), Some(plain));
    let bits = "permessage-deflate; client_max_window_bits";
    assert_eq!(agree_with(KEEPING, bits).as_deref(), Some(plain));
    let bits = "permessage-deflate; client_max_window_bits=\"9\"";
    assert_eq!(agree_with(KEEPING, bits).as_deref(), Some(plain));
    // A window that is not the largest cannot be kept to: that offer is declined, and the next taken.
    assert_eq!(agree("permessage-deflate; server_max_window_bits=10"), None);
    let two = "permessage-deflate; server_max_window_bits=10, permessage-deflate; \
        server_no_context_takeover";
    let answer = "permessage-deflate; server_no_context_takeover";
    assert_eq!(agree_with(KEEPING, two).as_deref(), Some(answer));
    let most = "permessage-deflate; server_max_window_bits=15";
    assert_eq!(agree_with(KEEPING, most).as_deref(), Some(most));
    for wrong in [
        "x-webkit-deflate-frame",
        "permessage-deflate; what",
        "permessage-deflate; server_no_context_takeover=1",
        "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
        "permessage-deflate; server_max_window_bits",
        "permessage-deflate; server_max_window_bits=7",
        "permessage-deflate; server_max_window_bits=16",
        "permessage-deflate; server_max_window_bits=015",
        "permessage-deflate; client_max_window_bits=+9",
        "permessage-deflate;",
    ] {
        assert_eq!(agree(wrong), None, "{wrong}");
    }
}

#[test]
fn a_client_takes_only_what_it_has_offered() {
    let options = DeflateOptions::default();
    let fields = |text: &str| head(&[("Sec-WebSocket-Extensions", text)]);
    let answer = |text: &str| options.agreed(&fields(text)).map(|agreed| agreed.is_some());
    assert_eq!(options.agreed(&Fields::default()), Ok(None));
    assert_eq!(answer(&options.offer()), Ok(true));
    assert_eq!(
        answer("permessage-deflate; server_no_context_takeover; server_max_window_bits=9"),
        Ok(true)
    );
    for wrong in [
        "permessage-deflate",
        "permessage-deflate; server_no_context_takeover; client_max_window_bits=15",
        "permessage-deflate; server_no_context_takeover; what",
        "other",
        "permessage-deflate; server_no_context_takeover, permessage-deflate",
    ] {
        assert_eq!(answer(wrong), Err(HandshakeFault::BadExtension), "{wrong}");
    }
    // What a server agrees to is what its client takes.
    let agreed = options.agree(&fields(&options.offer())).unwrap();
    assert!(options.agreed(&fields(&agreed.answer())).unwrap().is_some());
}

fn agreed(options: &DeflateOptions) -> Agreed {
    options.agree(&head(&[("Sec-WebSocket-Extensions", &options.offer())])).unwrap()
}

fn reader(options: &DeflateOptions, limits: DecoderLimits, fragments: bool) -> Decoder {
    let mut decoder = Decoder::new(Role::Server, limits);
    decoder.set_fragments(fragments);
    decoder.set_inflater(agreed(options).inflater(Role::Server, options));
    decoder
}

#[track_caller]
fn read(bytes: &[u8], options: &DeflateOptions, fragments: bool) -> Outcome {
    cuts::in_every_way(bytes, |pieces| {
        decode(reader(options, DecoderLimits::default(), fragments), pieces)
    })
}

#[test]
fn the_examples_of_the_rfc_are_read() {
    // RFC 7692 §7.2.3: one block, two frames, no compression, a last block, two blocks.
    let of = |bytes: &[u8]| from_client(0xC1, bytes);
    let hello = b"\xf2\x48\xcd\xc9\xc9\x07\x00";
    for bytes in [
        of(hello),
        all(&[from_client(0x41, &hello[..3]), from_client(0x80, &hello[3..])]),
        of(b"\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00"),
        of(b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00"),
        of(b"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00"),
    ] {
        assert_eq!(read(&bytes, &KEEPING, false), (vec![text("Hello")], None));
    }
    // With context takeover the second refers to the first, without it cannot.
    let two = all(&[of(hello), of(b"\xf2\x00\x11\x00\x00")]);
    assert_eq!(read(&two, &KEEPING, false), (vec![text("Hello"), text("Hello")], None));
    let (said, _) = read(&two, &DeflateOptions::default(), false);
    assert_ne!(said.get(1), Some(&text("Hello")));
}

#[test]
fn only_the_first_frame_of_a_data_message_may_say_that_it_is_compressed() {
    for bytes in [
        all(&[from_client(0x41, b""), from_client(0xC0, b"")]),
        from_client(0xC9, b""),
        from_client(0xC8, b""),
        from_client(0xA1, b""),
    ] {
        assert_eq!(read(&bytes, &KEEPING, false).1, Some(Wrong::ReservedBit));
    }
    let plain = from_client(0x81, b"as it is");
    assert_eq!(read(&plain, &KEEPING, false), (vec![text("as it is")], None));
}

fn compress(options: &DeflateOptions, messages: &[&[u8]]) -> Vec<u8> {
    let mut deflater = agreed(options).deflater(Role::Client, options);
    let mut bytes = Vec::new();
    for message in messages {
        let mut payload = Vec::new();
        assert!(deflater.message(&mut payload, message));
        bytes.extend(from_client(0xC2, &payload));
    }
    bytes
}

#[test]
fn what_is_compressed_is_inflated_with_context_takeover_and_without() {
    let long = "over and over again ".repeat(3000);
    let noise: Vec<u8> =
        (0..40_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let messages: [&[u8]; 5] = [b"short", long.as_bytes(), &noise, long.as_bytes(), b"x"];
    for options in [KEEPING, DeflateOptions::default()] {
        let bytes = compress(&options, &messages);
        assert!(bytes.len() < noise.len() + 2000);
        let (said, fault) = read(&bytes, &options, false);
        let expected: Vec<_> = messages.iter().map(|m| Said::Binary(m.to_vec())).collect();
        assert_eq!((said, fault), (expected, None));
    }
}

#[test]
fn a_message_is_whole_wherever_in_the_window_of_earlier_ones_it_ends() {
    // Few bytes stand for many, so that the window is full while nothing is left to be taken in.
    let messages: Vec<Vec<u8>> = (0..300).map(|n| vec![0; 1000 + n * 7]).collect();
    let all: Vec<&[u8]> = messages.iter().map(Vec::as_slice).collect();
    let bytes = compress(&KEEPING, &all);
    let (said, fault) = read(&bytes, &KEEPING, false);
    assert_eq!(fault, None);
    let lengths = |messages: &[Vec<u8>]| messages.iter().map(Vec::len).collect::<Vec<_>>();
    let said: Vec<Vec<u8>> = said
        .into_iter()
        .map(|each| match each {
            Said::Binary(bytes) => bytes,
            _ => Vec::new(),
        })
        .collect();
    assert_eq!(lengths(&said), lengths(&messages));
}

#[test]
fn compressed_fragments_are_delivered_inflated_with_control_frames_between() {
    let payload = b"\xf2\x48\xcd\xc9\xc9\x07\x00";
    let bytes = all(&[
        from_client(0x41, &payload[..4]),
        from_client(0x89, b"?"),
        from_client(0x00, &payload[4..6]),
        from_client(0x80, &payload[6..]),
    ]);
    let (said, fault) = read(&bytes, &KEEPING, true);
    assert_eq!(fault, None);
    let joined: Vec<u8> = said
        .iter()
        .flat_map(|each| match each {
            Said::Fragment(MessageKind::Text, bytes, _, _) => bytes.clone(),
            _ => Vec::new(),
        })
        .collect();
    assert_eq!((joined.as_slice(), said.len()), (&b"Hello"[..], 4));
    assert_eq!(read(&bytes, &KEEPING, false).0, [Said::Ping(b"?".to_vec()), text("Hello")]);
}

#[test]
fn a_bomb_is_cut_short_by_size_and_by_ratio() {
    let zeros = vec![0; 64 << 20];
    let options = DeflateOptions { max_ratio: 100_000, ..DeflateOptions::default() };
    let bytes = compress(&options, &[&zeros]);
    let limits = DecoderLimits::default();
    let mut decoder = reader(&options, limits, false);
    assert_eq!(decoder.next(&bytes), Err(Wrong::MessageTooBig));
    let limits = DecoderLimits { message: 128 << 20, ..limits };
    let mut decoder = reader(&DeflateOptions::default(), limits, false);
    assert_eq!(decoder.next(&bytes), Err(Wrong::RatioTooHigh));
    let mut decoder = reader(&options, limits, false);
    assert!(decoder.next(&bytes).unwrap().message.is_some());
    assert_eq!(Wrong::RatioTooHigh.close_code(), CloseCode::TOO_BIG);
}

#[test]
fn rubbish_and_wrong_text_inside_of_compression_are_refused() {
    assert_eq!(
        read(&from_client(0xC1, b"\xff\xff\xff\xff"), &KEEPING, false).1,
        Some(Wrong::BadCompression)
    );
    let mut payload = Vec::new();
    agreed(&KEEPING).deflater(Role::Client, &KEEPING).message(&mut payload, b"a\xff");
    assert_eq!(read(&from_client(0xC1, &payload), &KEEPING, false).1, Some(Wrong::BadUtf8));
    assert_eq!(read(&from_client(0xC2, &payload), &KEEPING, false).1, None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn any_compressed_payload_is_read_the_same_however_it_is_cut(
        payload in prop::collection::vec(any::<u8>(), 0..80),
    ) {
        read(&from_client(0xC2, &payload), &KEEPING, false);
    }
}

/// The payload of one compressed message.
fn squeezed(options: &DeflateOptions, message: &[u8]) -> Vec<u8> {
    let mut payload = Vec::new();
    assert!(agreed(options).deflater(Role::Client, options).message(&mut payload, message));
    payload
}

#[test]
fn a_message_that_was_cut_off_is_refused() {
    let text = "now and then, over and over, and then again ".repeat(20);
    let noise: Vec<u8> =
        (0..300_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    for message in [&b"Hello"[..], text.as_bytes(), &noise, &[b'a'; 40]] {
        let payload = squeezed(&KEEPING, message);
        for options in [KEEPING, DeflateOptions::default()] {
            for len in 1..payload.len() {
                if payload[..len] == [0] {
                    // That is how a message of nothing looks.
                    continue;
                }
                let (said, fault) = read(&from_client(0xC2, &payload[..len]), &options, false);
                assert_eq!((said, fault), (vec![], Some(Wrong::BadCompression)), "{len}");
            }
        }
    }
}

#[test]
fn nothing_and_what_ends_with_a_last_block_are_whole() {
    let hello = b"\xf2\x48\xcd\xc9\xc9\x07\x00";
    for ended in [&b"\xf3\x48\xcd\xc9\xc9\x07\x00"[..], b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00"] {
        let bytes = all(&[
            from_client(0xC1, b""),
            from_client(0xC1, ended),
            from_client(0xC1, b"\x00"),
            from_client(0x41, ended),
            from_client(0x80, b""),
            from_client(0x41, b""),
            from_client(0x80, hello),
        ]);
        for options in [KEEPING, DeflateOptions::default()] {
            let texts = ["", "Hello", "", "Hello", "Hello"].map(text);
            assert_eq!(read(&bytes, &options, false), (texts.to_vec(), None));
        }
    }
}

#[test]
fn a_last_block_does_not_end_what_later_messages_may_refer_to() {
    let ended = from_client(0xC1, b"\xf3\x48\xcd\xc9\xc9\x07\x00");
    let bytes = all(&[ended, from_client(0xC1, b"\xf2\x00\x11\x00\x00")]);
    assert_eq!(read(&bytes, &KEEPING, false), (vec![text("Hello"), text("Hello")], None));
}

#[test]
fn a_message_of_nothing_but_blocks_is_refused_early() {
    let many = |n: usize| [&b"\x03\x00".repeat(n)[..], b"\x00"].concat();
    for options in [KEEPING, DeflateOptions::default()] {
        assert_eq!(
            read(&from_client(0xC2, &many(10)), &options, false),
            (vec![Said::Binary(vec![])], None)
        );
        // Each of them would have tables made: of a frame of 1 MiB, half a million times.
        for blocks in [many(500_000), b"\x02\x08\x20\x80\x00".repeat(200_000)] {
            let bytes = from_client(0xC2, &blocks);
            let mut decoder = reader(&options, DecoderLimits::default(), false);
            assert_eq!(decoder.next(&bytes), Err(Wrong::BadCompression));
        }
        // In as many frames as there may be, each of them may have been flushed.
        let mut bytes = from_client(0x42, b"\x4a\x04\x00\x00\x00\xff\xff");
        bytes.extend(from_client(0x00, b"\x4a\x04\x00\x00\x00\xff\xff").repeat(1000));
        bytes.extend(from_client(0x80, b"\x00"));
        let decoder = reader(&options, DecoderLimits::default(), false);
        assert_eq!(
            decode(decoder, &mut bytes.chunks(1000)),
            (vec![Said::Binary(vec![b'a'; 1001])], None)
        );
    }
}

#[test]
fn what_is_compressed_is_whole_whatever_room_there_was_for_it() {
    let noise = |n: usize| -> Vec<u8> {
        (0..n as u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 11) as u8).collect()
    };
    for options in [KEEPING, DeflateOptions::default()] {
        let mut deflater = agreed(&options).deflater(Role::Client, &options);
        let mut decoder = reader(&options, DecoderLimits::default(), false);
        for n in 0..1500 {
            let message = if n % 3 == 0 { vec![b'a'; n * 11] } else { noise(n) };
            let mut payload = Vec::with_capacity(n % 97);
            payload.extend(std::iter::repeat_n(b'-', n % 31));
            assert!(deflater.message(&mut payload, &message));
            let bytes = from_client(0xC2, &payload[n % 31..]);
            let decoded = decoder.next(&bytes).unwrap();
            assert_eq!(decoded.used, bytes.len());
            assert!(decoded.message == Some(Message::Binary(&message)), "{n}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn damaged_messages_are_read_the_same_however_they_are_cut(
        words in prop::collection::vec("[a-z]{1,9}", 1..60),
        at in any::<prop::sample::Index>(),
        bit in 0..8_u8,
        fragments in any::<bool>(),
    ) {
        let message = words.join(" ");
        let payload = squeezed(&KEEPING, message.as_bytes());
        let half = payload.len() / 2;
        let mut bytes = all(&[
            from_client(0x41, &payload[..half]),
            from_client(0x80, &payload[half..]),
            from_client(0xC1, &payload),
        ]);
        let (said, fault) = read(&bytes, &KEEPING, false);
        prop_assert_eq!((said, fault), (vec![text(&message), text(&message)], None));
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        read(&bytes, &KEEPING, fragments);
    }
}
