//! gzip and deflate without sockets: packed and unpacked by the rules of RFC 1950–1952, against another reader and
//! another writer; reliability.md R1, R2 and the caps of §3a on what comes out.

#![allow(clippy::unwrap_used)]

use std::io::{Read, Write};

use evloop::ErrorKind;
use evloop::wire::coding::*;
use evloop::wire::{Fault, Status};
use proptest::prelude::*;

fn pack(coding: Coding, pieces: &[&[u8]]) -> Vec<u8> {
    let mut encoder = Encoder::new(coding, 6);
    let mut out = Vec::new();
    for piece in pieces {
        encoder.update(piece, &mut out);
    }
    encoder.finish(&mut out);
    out
}

/// What has come out, and the fault if there was one.
fn feed<'a>(
    decoder: &mut Decoder,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<u8>, Result<(), CodingFault>) {
    let mut out = Vec::new();
    for mut rest in pieces {
        loop {
            let before = out.len();
            match decoder.decode(rest, &mut out) {
                Ok(step) => {
                    assert!(out.len() - before <= 32 * 1024);
                    assert!(step.more || step.used == rest.len());
                    rest = &rest[step.used..];
                    if !step.more {
                        break;
                    }
                }
                Err(fault) => {
                    assert_eq!(decoder.decode(b"x", &mut out), Err(fault));
                    assert_eq!(decoder.finish(), Err(fault));
                    return (out, Err(fault));
                }
            }
        }
    }
    let end = decoder.finish();
    assert_eq!(end.is_ok(), decoder.is_done());
    (out, end)
}

fn unpack_with(
    coding: Coding,
    limits: DecodeLimits,
    packed: &[u8],
) -> (Vec<u8>, Result<(), CodingFault>) {
    let whole = feed(&mut Decoder::new(coding, limits), [packed]);
    let cut = feed(&mut Decoder::new(coding, limits), packed.chunks(1));
    if whole.1 != Err(CodingFault::TooDense) {
        assert_eq!(whole, cut, "byte by byte");
    }
    whole
}

fn unpack(coding: Coding, packed: &[u8]) -> (Vec<u8>, Result<(), CodingFault>) {
    unpack_with(coding, DecodeLimits::default(), packed)
}

fn fault(coding: Coding, packed: &[u8]) -> CodingFault {
    unpack(coding, packed).1.unwrap_err()
}

/// Text of this length that packs to about a third.
fn text(len: usize) -> Vec<u8> {
    let mut seed = 7_u32;
    let mut word = || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        format!("{:x} ", seed >> 20)
    };
    let mut out = String::new();
    while out.len() < len {
        out += &word();
    }
    out.truncate(len);
    out.into_bytes()
}

/// With no header and no checksum.
fn raw(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

// --- packed ---

#[test]
fn what_is_packed_another_reader_unpacks() {
    for len in [0, 1, 1000, 300_000] {
        let data = text(len);
        let mut out = Vec::new();
        let gzip = pack(Coding::Gzip, &[&data]);
        flate2::read::GzDecoder::new(&gzip[..]).read_to_end(&mut out).unwrap();
        assert_eq!(out, data);
        out.clear();
        let deflate = pack(Coding::Deflate, &[&data]);
        flate2::read::ZlibDecoder::new(&deflate[..]).read_to_end(&mut out).unwrap();
        assert_eq!(out, data);
        assert!(len < 1000 || gzip.len() < len * 2 / 3);
    }
}

#[test]
fn an_encoder_is_fit_for_the_next_body_after_the_end() {
    for coding in Coding::ALL {
        let mut encoder = Encoder::new(coding, 6);
        assert_eq!(encoder.coding(), coding);
        let mut all = Vec::new();
        for _ in 0..3 {
            let mut out = Vec::new();
            encoder.update(b"the same each time", &mut out);
            encoder.finish(&mut out);
            all.push(out);
        }
        assert!(all.iter().all(|out| *out == all[0]));
        assert_eq!(unpack(coding, &all[2]), (b"the same each time".to_vec(), Ok(())));
    }
}

#[test]
fn what_was_flushed_can_be_read() {
    for coding in Coding::ALL {
        let mut encoder = Encoder::new(coding, 6);
        let mut decoder = Decoder::new(coding, DecodeLimits::default());
        let mut seen = Vec::new();
        for n in 0..2000 {
            let mut out = Vec::new();
            encoder.update(format!("event {n}\n").as_bytes(), &mut out);
            encoder.flush(&mut out);
            let (came, end) = feed(&mut decoder, [&out[..]]);
            assert_eq!(came, format!("event {n}\n").into_bytes());
            assert_eq!(end, Err(CodingFault::Incomplete));
            // Once more says nothing more.
            seen.clear();
            encoder.flush(&mut seen);
            assert!(seen.len() <= 5);
            assert_eq!(feed(&mut decoder, [&seen[..]]).0, []);
        }
        let mut out = Vec::new();
        encoder.finish(&mut out);
        assert_eq!(feed(&mut decoder, [&out[..]]), (vec![], Ok(())));
    }
}

#[test]
fn a_flush_of_any_size_is_complete() {
    // Room that is just used up must not leave anything behind.
    let data: Vec<u8> =
        (0..20_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    for len in (1..5000).step_by(7) {
        let mut encoder = Encoder::new(Coding::Gzip, 1);
        let mut out = Vec::new();
        encoder.update(&data[..len], &mut out);
        encoder.flush(&mut out);
        let (came, _) = feed(&mut Decoder::new(Coding::Gzip, DecodeLimits::default()), [&out[..]]);
        assert_eq!(came.len(), len);
    }
}

#[test]
fn every_level_packs() {
    let data = text(50_000);
    for level in [0, 1, 6, 9, 100] {
        let mut encoder = Encoder::new(Coding::Gzip, level);
        let mut out = Vec::new();
        encoder.update(&data, &mut out);
        encoder.finish(&mut out);
        assert!(out.len() < data.len());
        assert_eq!(unpack(Coding::Gzip, &out), (data.clone(), Ok(())));
    }
}

// --- unpacked ---

#[test]
fn a_header_may_have_all_that_there_is() {
    let (name, comment) = ("a file's name", "what it is about");
    for (extra, with_names) in [(vec![], true), (vec![7; 500], true), (vec![1], false)] {
        let mut builder = flate2::GzBuilder::new().mtime(12345).operating_system(3);
        if with_names {
            builder = builder.filename(name).comment(comment);
        }
        if !extra.is_empty() {
            builder = builder.extra(extra);
        }
        let mut encoder = builder.write(Vec::new(), flate2::Compression::default());
        encoder.write_all(b"data").unwrap();
        let packed = encoder.finish().unwrap();
        assert_eq!(unpack(Coding::Gzip, &packed), (b"data".to_vec(), Ok(())));
    }
}

#[test]
fn a_header_s_own_checksum_is_looked_at() {
    let mut packed = pack(Coding::Gzip, &[b"data"]);
    packed[3] = 2;
    let mut crc = flate2::Crc::new();
    crc.update(&packed[..10]);
    let sum = (crc.sum() as u16).to_le_bytes();
    packed.splice(10..10, sum);
    assert_eq!(unpack(Coding::Gzip, &packed), (b"data".to_vec(), Ok(())));
    packed[10] ^= 1;
    assert_eq!(fault(Coding::Gzip, &packed), CodingFault::BadChecksum);
}

#[test]
fn an_extra_field_of_no_bytes_is_one() {
    let mut packed = pack(Coding::Gzip, &[b"data"]);
    packed[3] = 4;
    packed.splice(10..10, [0, 0]);
    assert_eq!(unpack(Coding::Gzip, &packed), (b"data".to_vec(), Ok(())));
}

#[test]
fn what_is_no_header_is_refused() {
    let packed = pack(Coding::Gzip, &[b"data"]);
    for (index, byte) in [(0, 0x1E), (1, 0), (2, 7), (3, 0x20), (3, 0x80)] {
        let mut wrong = packed.clone();
        wrong[index] = byte;
        assert_eq!(fault(Coding::Gzip, &wrong), CodingFault::BadHeader);
    }
    // A dictionary.
    assert_eq!(fault(Coding::Deflate, &[0x78, 0xBB, 0, 0, 0, 0]), CodingFault::BadHeader);
}

#[test]
fn a_header_that_does_not_end_is_refused() {
    let mut packed = pack(Coding::Gzip, &[b""])[..10].to_vec();
    packed[3] = 8;
    packed.resize(200_000, b'n');
    let whole = feed(&mut Decoder::new(Coding::Gzip, DecodeLimits::default()), [&packed[..]]);
    assert_eq!(whole, (vec![], Err(CodingFault::TooMuchFraming)));
}

#[test]
fn several_members_are_one_body() {
    let mut packed = pack(Coding::Gzip, &[b"one, "]);
    packed.extend(pack(Coding::Gzip, &[b""]));
    packed.extend(pack(Coding::Gzip, &[b"two"]));
    assert_eq!(unpack(Coding::Gzip, &packed), (b"one, two".to_vec(), Ok(())));
    assert_eq!(fault(Coding::Gzip, &packed[..packed.len() - 1]), CodingFault::Incomplete);
    let mut wrong = packed.clone();
    let last = wrong.len() - 6;
    wrong[last] ^= 1;
    assert_eq!(unpack(Coding::Gzip, &wrong), (b"one, two".to_vec(), Err(CodingFault::BadChecksum)));
    // zlib has no members.
    let twice = pack(Coding::Deflate, &[b"x"]).repeat(2);
    assert_eq!(fault(Coding::Deflate, &twice), CodingFault::TrailingData);
}

#[test]
fn members_of_nothing_come_to_an_end() {
    let empty = pack(Coding::Gzip, &[b""]);
    assert_eq!(unpack(Coding::Gzip, &empty.repeat(16)).1, Ok(()));
    assert_eq!(fault(Coding::Gzip, &empty.repeat(1000)), CodingFault::TooMuchFraming);
    let real = pack(Coding::Gzip, &[&text(2000)]);
    assert_eq!(unpack(Coding::Gzip, &real.repeat(200)).1, Ok(()));
}

#[test]
fn deflate_may_come_without_header_and_checksum() {
    for len in [0, 1, 5000, 100_000] {
        let data = text(len);
        assert_eq!(unpack(Coding::Deflate, &raw(&data)), (data.clone(), Ok(())));
        assert_eq!(unpack(Coding::Deflate, &pack(Coding::Deflate, &[&data])), (data, Ok(())));
    }
    let mut more = raw(b"x");
    more.push(0);
    assert_eq!(fault(Coding::Deflate, &more), CodingFault::TrailingData);
    assert_eq!(unpack(Coding::Deflate, &[3, 0]), (vec![], Ok(())));
    assert_eq!(fault(Coding::Deflate, &[3]), CodingFault::Incomplete);
}

#[test]
fn wrong_checksums_and_lengths_are_faults() {
    for coding in Coding::ALL {
        let packed = pack(coding, &[b"data"]);
        let trailer = if coding == Coding::Gzip { 8 } else { 4 };
        for back in 1..=trailer {
            let mut wrong = packed.clone();
            let at = wrong.len() - back;
            wrong[at] ^= 0x10;
            assert_eq!(unpack(coding, &wrong), (b"data".to_vec(), Err(CodingFault::BadChecksum)));
        }
    }
}

#[test]
fn what_is_cut_is_incomplete_wherever_it_is() {
    let data = text(3000);
    for coding in Coding::ALL {
        let packed = pack(coding, &[&data]);
        for len in 0..packed.len() {
            let (came, end) =
                feed(&mut Decoder::new(coding, DecodeLimits::default()), [&packed[..len]]);
            assert_eq!(end, Err(CodingFault::Incomplete), "{coding} {len}");
            assert!(data.starts_with(&came));
        }
    }
}

#[test]
fn what_has_come_out_of_what_has_gone_in_does_not_wait_inside() {
    // A window's end, 32 KiB, is met in the middle of what one byte stands for, and there the input is cut.
    let data = vec![0; 100_000];
    for coding in Coding::ALL {
        let packed = pack(coding, &[&data]);
        for len in 0..packed.len() {
            let (came, end) = unpack(coding, &packed[..len]);
            assert_eq!(end, Err(CodingFault::Incomplete), "{coding} {len}");
            assert!(data.starts_with(&came));
        }
    }
}

#[test]
fn what_came_before_a_fault_comes_out_wherever_it_is_cut() {
    for coding in Coding::ALL {
        // Less than a window, one, and a window's end that is met with some of the next one already in.
        for len in [1000, 32 * 1024, 40_000, 100_000] {
            let data = vec![0; len];
            let mut encoder = Encoder::new(coding, 6);
            let mut packed = Vec::new();
            encoder.update(&data, &mut packed);
            encoder.flush(&mut packed);
            // A block of the kind that does not exist.
            packed.push(7);
            for cut in 0..packed.len() {
                let (one, other) = packed.split_at(cut);
                let (came, end) =
                    feed(&mut Decoder::new(coding, DecodeLimits::default()), [one, other]);
                assert_eq!(end, Err(CodingFault::BadData), "{coding} {len} {cut}");
                assert!(came == data, "{coding} {len} {cut}: {} bytes", came.len());
            }
        }
    }
}

#[test]
fn blocks_that_stand_for_nothing_are_refused_early_and_flushes_are_not() {
    // Each of them has a code of its own, for which tables are made: ten bits, and thousands of entries.
    let empty = b"\x02\x08\x20\x80\x00".repeat(100_000);
    assert_eq!(unpack(Coding::Deflate, &empty), (vec![], Err(CodingFault::TooMuchFraming)));
    let gzip = [b"\x1f\x8b\x08\0\0\0\0\0\0\xff", &empty[..]].concat();
    assert_eq!(fault(Coding::Gzip, &gzip), CodingFault::TooMuchFraming);
    // What is said in single letters, each sent as it comes.
    let mut encoder = Encoder::new(Coding::Gzip, 6);
    let (mut packed, data) = (Vec::new(), text(5000));
    for letter in data.chunks(1) {
        encoder.update(letter, &mut packed);
        encoder.flush(&mut packed);
    }
    encoder.finish(&mut packed);
    assert_eq!(unpack(Coding::Gzip, &packed), (data, Ok(())));
}

#[test]
fn what_makes_no_sense_is_refused() {
    let mut packed = pack(Coding::Gzip, &[b"data"])[..10].to_vec();
    // A block of the kind that does not exist.
    packed.push(7);
    assert_eq!(fault(Coding::Gzip, &packed), CodingFault::BadData);
    // Codes with lengths that are no tree.
    packed.pop();
    packed.extend([0x05, 0xE0]);
    packed.extend([0xFF; 20]);
    assert_eq!(fault(Coding::Gzip, &packed), CodingFault::BadData);
}

#[test]
fn behind_the_end_there_is_nothing_unless_it_is_ignored() {
    for (behind, coding) in [
        (&b"x"[..], Coding::Gzip),
        (b"\0\0\0", Coding::Gzip),
        (b"\x1fx", Coding::Gzip),
        (b"x", Coding::Deflate),
    ] {
        let mut packed = pack(coding, &[b"data"]);
        packed.extend(behind);
        let wrong = unpack(coding, &packed);
        assert_eq!(wrong, (b"data".to_vec(), Err(CodingFault::TrailingData)));
        for size in [1, 1000] {
            let mut decoder = Decoder::new(coding, DecodeLimits::default()).ignore_trailing();
            assert_eq!(feed(&mut decoder, packed.chunks(size)), (b"data".to_vec(), Ok(())));
            assert_eq!(feed(&mut decoder, [&b"and more"[..]]), (vec![], Ok(())));
        }
    }
}

// --- caps ---

#[test]
fn no_more_comes_out_than_may() {
    let data = text(100_000);
    for coding in Coding::ALL {
        let packed = pack(coding, &[&data]);
        let limits = |size| DecodeLimits { size, ..DecodeLimits::default() };
        assert_eq!(unpack_with(coding, limits(100_000), &packed), (data.clone(), Ok(())));
        let (came, end) = unpack_with(coding, limits(99_999), &packed);
        assert_eq!((came.len(), end), (99_999, Err(CodingFault::TooLarge)));
        let (came, end) = unpack_with(coding, limits(0), &packed);
        assert_eq!((came.len(), end), (0, Err(CodingFault::TooLarge)));
        assert_eq!(unpack_with(coding, limits(0), &pack(coding, &[])), (vec![], Ok(())));
    }
}

#[test]
fn a_bomb_goes_off_at_the_ratio() {
    let mib = 1024 * 1024;
    let packed = pack(Coding::Gzip, &[&vec![0; 50 * mib]]);
    assert!(packed.len() < 60_000);
    let mut decoder = Decoder::new(Coding::Gzip, DecodeLimits::default());
    let (came, end) = feed(&mut decoder, [&packed[..]]);
    assert_eq!(end, Err(CodingFault::TooDense));
    assert!(came.len() <= mib + 32 * 1024, "{}", came.len());
    // Below a MiB anything goes.
    let small = pack(Coding::Gzip, &[&vec![0; mib]]);
    assert_eq!(unpack(Coding::Gzip, &small).1, Ok(()));
    // Behind much that was not dense it is noticed when all of it together is.
    let other = pack(Coding::Gzip, &[&text(mib)]);
    let (_, end) = feed(
        &mut Decoder::new(Coding::Gzip, DecodeLimits { size: u64::MAX, ..DecodeLimits::default() }),
        [&other[..], &packed.repeat(2)],
    );
    assert_eq!(end, Ok(()));
}

#[test]
fn faults_are_statuses_and_errors() {
    for (fault, status) in [
        (CodingFault::TooLarge, Status::CONTENT_TOO_LARGE),
        (CodingFault::TooDense, Status::CONTENT_TOO_LARGE),
        (CodingFault::BadData, Status::BAD_REQUEST),
        (CodingFault::Incomplete, Status::BAD_REQUEST),
    ] {
        assert_eq!(Fault::from(fault).status(), status);
        assert_eq!(evloop::Error::from(fault).kind(), ErrorKind::Protocol);
    }
}

#[test]
fn codings_have_names() {
    for coding in Coding::ALL {
        assert_eq!(Coding::named(coding.to_string().as_bytes()), Some(coding));
    }
    assert_eq!(Coding::named(b"X-GZip"), Some(Coding::Gzip));
    assert_eq!(Coding::named(b"identity"), None);
}

fn data() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..200),
        (any::<u8>(), 0usize..5000).prop_map(|(byte, len)| vec![byte; len]),
        (0usize..3000).prop_map(text),
    ];
    prop::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn what_is_packed_in_any_pieces_is_unpacked_in_any(
        data in data(),
        written in 1usize..2000,
        read in 1usize..300,
        flushes in any::<bool>(),
        coding in prop::sample::select(Coding::ALL.to_vec()),
    ) {
        let mut encoder = Encoder::new(coding, 6);
        let mut packed = Vec::new();
        for piece in data.chunks(written) {
            encoder.update(piece, &mut packed);
            if flushes {
                encoder.flush(&mut packed);
            }
        }
        encoder.finish(&mut packed);
        let mut decoder = Decoder::new(coding, DecodeLimits::default());
        prop_assert_eq!(feed(&mut decoder, packed.chunks(read)), (data, Ok(())));
    }

    #[test]
    fn damage_is_noticed_and_the_same_however_it_is_cut(
        data in data(),
        at in any::<prop::sample::Index>(),
        bit in 0u8..8,
        read in 1usize..50,
        coding in prop::sample::select(Coding::ALL.to_vec()),
    ) {
        let mut packed = pack(coding, &[&data]);
        let at = at.index(packed.len());
        packed[at] ^= 1 << bit;
        let whole = feed(&mut Decoder::new(coding, DecodeLimits::default()), [&packed[..]]);
        let cut = feed(&mut Decoder::new(coding, DecodeLimits::default()), packed.chunks(read));
        prop_assert_eq!(&whole, &cut);
        // The head has bits that mean nothing.
        let in_head = at < 10 || coding == Coding::Deflate && at < 2;
        // And so have the last bits before the checksum: with one of those it is what it was.
        prop_assert!(in_head || whole.1.is_err() || whole.0 == data);
    }
}
