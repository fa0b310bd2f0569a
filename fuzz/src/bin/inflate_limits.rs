//! Packed bodies: the outcome does not depend on how they arrive, never more comes out than may, what another reader takes is
//! taken with the same meaning, and what is packed is unpacked.

#![no_main]

use std::io::Read;

use evloop::wire::coding::{Coding, CodingFault, DecodeLimits, Decoder, Encoder};
use evloop_fuzz::cuts;
use flate2::read::{MultiGzDecoder, ZlibDecoder};
use libfuzzer_sys::fuzz_target;

const SIZE: u64 = 300_000;

#[derive(PartialEq, Debug)]
struct Outcome {
    data: Vec<u8>,
    end: Result<(), CodingFault>,
}

fn unpack(
    coding: Coding,
    limits: DecodeLimits,
    pieces: &mut dyn Iterator<Item = &[u8]>,
) -> Outcome {
    let mut decoder = Decoder::new(coding, limits);
    let mut data = Vec::new();
    for mut piece in pieces {
        loop {
            let before = data.len();
            match decoder.decode(piece, &mut data) {
                Ok(step) => {
                    assert!(data.len() - before <= 32 * 1024);
                    assert!(step.used > 0 || data.len() > before || !step.more, "no progress");
                    assert!(step.more || step.used == piece.len());
                    piece = &piece[step.used..];
                    if !step.more {
                        break;
                    }
                }
                Err(fault) => {
                    assert_eq!(decoder.decode(b"", &mut data), Err(fault));
                    assert!(data.len() as u64 <= limits.size);
                    return Outcome { data, end: Err(fault) };
                }
            }
        }
    }
    assert!(data.len() as u64 <= limits.size);
    assert_eq!(data.len() as u64, decoder.total_out());
    Outcome { data, end: decoder.finish() }
}

/// What another reader makes of it.
fn theirs(coding: Coding, input: &[u8]) -> Option<Vec<u8>> {
    let mut data = Vec::new();
    let read = match coding {
        Coding::Deflate => {
            let mut reader = ZlibDecoder::new(input);
            let read = (&mut reader).take(SIZE + 1).read_to_end(&mut data);
            // It does not look at what stands behind the end.
            read.map(|_| reader.total_in() == input.len() as u64)
        }
        _ => MultiGzDecoder::new(input).take(SIZE + 1).read_to_end(&mut data).map(|_| true),
    };
    (read.ok()? && data.len() as u64 <= SIZE).then_some(data)
}

fn both(coding: Coding, input: &[u8]) {
    let wide = DecodeLimits { size: SIZE, ratio: u32::MAX, ratio_from: u64::MAX };
    let ours = cuts::in_every_way(input, |pieces| unpack(coding, wide, pieces));
    if let Some(theirs) = theirs(coding, input) {
        match ours.end {
            // With `cfg(fuzzing)` the other reader does not look at zlib's checksum.
            Ok(()) | Err(CodingFault::BadChecksum) => assert_eq!(ours.data, theirs),
            Err(fault) => assert_eq!(fault, CodingFault::TooMuchFraming),
        }
        assert!(coding == Coding::Deflate || ours.end != Err(CodingFault::BadChecksum));
    }
    let narrow = DecodeLimits { size: 1000, ..wide };
    let cut = cuts::in_every_way(input, |pieces| unpack(coding, narrow, pieces));
    assert!(ours.data.starts_with(&cut.data));

    // Where exactly it becomes too dense depends on how it is cut, by a few bytes.
    let dense = DecodeLimits { size: SIZE, ratio: 20, ratio_from: 1000 };
    let ours = unpack(coding, dense, &mut std::iter::once(input));
    let most = (input.len() as u64 * 20).max(1000) + 32 * 1024;
    assert!(ours.data.len() as u64 <= most);
}

fuzz_target!(|input: &[u8]| {
    let Some((&how, rest)) = input.split_first() else { return };
    let coding = if how & 1 == 0 { Coding::Gzip } else { Coding::Deflate };
    if how & 2 == 0 {
        both(coding, rest);
        return;
    }
    // Packed first, and then damaged in one place.
    let mut encoder = Encoder::new(coding, u32::from(how >> 5));
    let mut packed = Vec::new();
    for (n, piece) in rest.split_inclusive(|&byte| byte == 0xAA).enumerate() {
        encoder.update(piece, &mut packed);
        if how & 4 != 0 && n % 2 == 0 {
            encoder.flush(&mut packed);
        }
    }
    encoder.finish(&mut packed);
    let limits = DecodeLimits { ratio: u32::MAX, ..DecodeLimits::default() };
    let ours = unpack(coding, limits, &mut std::iter::once(&packed[..]));
    assert_eq!(ours, Outcome { data: rest.to_vec(), end: Ok(()) });
    let at = rest.len() * usize::from(how) % packed.len();
    packed[at] ^= 1 << (how >> 5);
    both(coding, &packed);
});
