//! Chunked bodies: the outcome does not depend on how they arrive, exactly those are accepted that the grammar allows,
//! and what is encoded is decoded.

#![no_main]

use evloop::wire::{self, BodyDecoder, ChunkLimits, Fault, Fields, Piece};
use evloop_fuzz::body::naively;
use evloop_fuzz::{cuts, naive};
use libfuzzer_sys::fuzz_target;

#[derive(PartialEq, Debug)]
struct Outcome {
    data: Vec<u8>,
    trailers: naive::Fields,
    /// Where it ended, `None` if it did not.
    end: Result<Option<usize>, Fault>,
}

fn decode(limits: ChunkLimits, pieces: &mut dyn Iterator<Item = &[u8]>) -> Outcome {
    let mut body = BodyDecoder::chunked(limits);
    let mut outcome = Outcome { data: Vec::new(), trailers: Vec::new(), end: Ok(None) };
    let mut used = 0;
    'all: for mut rest in pieces {
        loop {
            let taken = match body.next(rest) {
                Ok(Piece::More) => {
                    assert!(rest.is_empty());
                    break;
                }
                Ok(Piece::Skip(n)) => n,
                Ok(Piece::Data(n)) => {
                    outcome.data.extend_from_slice(&rest[..n]);
                    n
                }
                Ok(Piece::End(n)) => {
                    outcome.end = Ok(Some(used + n));
                    assert!(body.is_done());
                    assert_eq!(body.next(b"x"), Ok(Piece::End(0)));
                    break 'all;
                }
                Err(fault) => {
                    assert_eq!(body.next(b"0\r\n\r\n"), Err(fault));
                    outcome.end = Err(fault);
                    break 'all;
                }
            };
            assert!(taken > 0, "no progress");
            used += taken;
            rest = &rest[taken..];
        }
    }
    let whole = body.is_done();
    assert_eq!(body.end_of_input().is_ok(), whole);
    let trailers = body.take_trailers();
    outcome.trailers = trailers.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
    outcome
}

fn run(input: &[u8], limits: ChunkLimits) {
    let outcome = cuts::in_every_way(input, |pieces| decode(limits, pieces));
    let said = naively(input, limits);
    match (&outcome.end, said) {
        (Ok(Some(end)), Some((data, fields, said))) => {
            assert_eq!((*end, &outcome.data), (said, &data));
            // In order, though some of them may be missing.
            let mut left = fields.iter();
            assert!(outcome.trailers.iter().all(|each| left.any(|other| other == each)));
        }
        (Ok(Some(_)), None) => panic!("accepted: {outcome:?}"),
        (_, Some(said)) => panic!("{outcome:?}: {said:?}"),
        _ => {}
    }
}

/// What is encoded is decoded.
fn encoded(input: &[u8]) {
    let mut random = cuts::Random::from(input);
    let mut trailers = Fields::default();
    let mut bytes = Vec::new();
    for piece in cuts::pieces(input, &mut random, 300) {
        wire::chunk(piece, &mut bytes);
        if let Some((name, value)) = naive::field(piece) {
            trailers.push(&name, value).expect("naively it was one");
        }
    }
    wire::last_chunk(&trailers, &mut bytes);
    let limits =
        ChunkLimits { trailers: usize::MAX, trailer_fields: usize::MAX, ..ChunkLimits::default() };
    let outcome = decode(limits, &mut cuts::pieces(&bytes, &mut random, 90).into_iter());
    assert_eq!((outcome.end, outcome.data.as_slice()), (Ok(Some(bytes.len())), input));
    assert!(outcome.trailers.len() <= trailers.len());
}

fuzz_target!(|input: &[u8]| {
    run(input, ChunkLimits::default());
    run(
        input,
        ChunkLimits {
            line: 3,
            extensions: 8,
            trailers: 24,
            trailer_fields: 2,
            ..ChunkLimits::default()
        },
    );
    encoded(input);
});
