//! WebSocket frames: however they are cut, and at both ends, they are read as a naive reader does; what is written is
//! read; what is compressed is inflated, and nothing above the limits is.
//!
//! The first byte of the input says how: 1 a client reads, 2 fragments are wanted, 4 the limits are small, 8 the rest are
//! frames in short, 16 messages may be compressed.

#![no_main]

#[path = "../../../tests/wire/frames.rs"]
mod frames;

use evloop::wire::Fields;
use evloop::wire::websocket::deflate::DeflateOptions;
use evloop::wire::websocket::{Decoder, DecoderLimits, Role, mask};
use evloop_fuzz::cuts;
use frames::{decode, naively};
use libfuzzer_sys::fuzz_target;

/// Bytes, as frames: a first byte, a length, payload; so that more than the first head is right.
fn spelled_out(input: &[u8], role: Role) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = input;
    while let Some(([first, len], behind)) = rest.split_first_chunk::<2>() {
        let len = usize::from(*len).min(behind.len());
        let (payload, behind) = behind.split_at(len);
        rest = behind;
        let masked = if role == Role::Server { 0x80 } else { 0 };
        bytes.push(*first);
        match len {
            0..=125 => bytes.push(masked | len as u8),
            _ => bytes.extend([masked | 126, 0, len as u8]),
        }
        let key = [*first, len as u8, 7, 0xFF];
        let start = if role == Role::Server {
            bytes.extend(key);
            bytes.len()
        } else {
            bytes.len()
        };
        bytes.extend_from_slice(payload);
        if role == Role::Server {
            mask(&mut bytes[start..], key);
        }
    }
    bytes
}

fuzz_target!(|input: &[u8]| {
    let Some((how, rest)) = input.split_first() else { return };
    let role = if how & 1 == 0 { Role::Server } else { Role::Client };
    let fragments = how & 2 != 0;
    let limits = match how & 4 {
        0 => DecoderLimits::default(),
        _ => DecoderLimits { frame: 90, message: 120, fragments: 3 },
    };
    let spelled = if how & 8 == 0 { None } else { Some(spelled_out(rest, role)) };
    let bytes = spelled.as_deref().unwrap_or(rest);
    let compressed = how & 16 != 0;
    let outcome = cuts::in_every_way(bytes, |pieces| {
        let mut decoder = Decoder::new(role, limits);
        decoder.set_fragments(fragments);
        if compressed {
            let options =
                DeflateOptions { server_no_context_takeover: false, ..DeflateOptions::default() };
            let mut fields = Fields::new();
            fields.push("Sec-WebSocket-Extensions", options.offer()).expect("a field");
            let agreed = options.agree(&fields).expect("what was offered");
            decoder.set_inflater(agreed.inflater(role, &options));
        }
        decode(decoder, pieces)
    });
    if !compressed {
        assert_eq!(outcome, naively(bytes, role, limits, fragments));
    }
});
