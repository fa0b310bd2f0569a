//! The byte queue: what each operation promises, and random histories of two buffers beside a `Vec`.

#![allow(clippy::unwrap_used)]

#[path = "suite/names.rs"]
mod names;

use std::fs::File;
use std::io::{self, BufRead, IoSlice, Read, Write};
use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use evloop::ErrorKind;
use evloop::net::{Buffer, Chunk, Eol, Line, LineTooLong, Shared};
use names::temporary;
use proptest::collection::vec;
use proptest::prelude::*;

/// All bytes of a buffer, those of files read.
fn contents(buffer: &Buffer) -> Vec<u8> {
    use std::os::unix::fs::FileExt;
    let mut all = Vec::new();
    for chunk in buffer.chunks() {
        match chunk {
            Chunk::Bytes(bytes) => {
                assert!(!bytes.is_empty());
                all.extend_from_slice(bytes);
            }
            Chunk::File(part) => {
                let mut bytes = vec![0; part.len];
                part.file.read_exact_at(&mut bytes, part.offset).unwrap();
                all.extend_from_slice(&bytes);
            }
            _ => unreachable!(),
        }
    }
    all
}

/// A file without a name and what stands in it.
fn file() -> (Arc<File>, Vec<u8>) {
    let bytes: Vec<u8> = (0..FILE).map(|n| ALPHABET[n * 7 % ALPHABET.len()]).collect();
    let path = temporary("buffer");
    std::fs::write(&path, &bytes).unwrap();
    let file = File::options().read(true).write(true).open(&path).unwrap();
    std::fs::remove_file(path).unwrap();
    (Arc::new(file), bytes)
}

const FILE: usize = 40_000;

/// Few letters, so that patterns are found and half found.
const ALPHABET: &[u8] = b"ab\r\n\0";

// ---- random histories ----

#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    Owned,
    Shared,
    File,
}

/// What a buffer should be.
#[derive(Default)]
struct Model {
    bytes: Vec<u8>,
    places: Vec<Place>,
}

impl Model {
    fn splice(&mut self, at: usize, bytes: &[u8], place: Place) {
        self.bytes.splice(at..at, bytes.iter().copied());
        self.places.splice(at..at, bytes.iter().map(|_| place));
    }

    fn push(&mut self, bytes: &[u8], place: Place) {
        self.splice(self.bytes.len(), bytes, place);
    }

    fn drain(&mut self, n: usize) -> Self {
        let n = n.min(self.bytes.len());
        Self { bytes: self.bytes.drain(..n).collect(), places: self.places.drain(..n).collect() }
    }

    fn append(&mut self, mut other: Self) {
        self.bytes.append(&mut other.bytes);
        self.places.append(&mut other.places);
    }

    fn memory(&self) -> &[u8] {
        let end = self.places.iter().position(|place| *place == Place::File);
        &self.bytes[..end.unwrap_or(self.bytes.len())]
    }

    fn count(&self, wanted: Place) -> usize {
        self.places.iter().filter(|place| **place == wanted).count()
    }

    fn search(&self, pattern: &[u8], range: Range<usize>) -> Option<usize> {
        let memory = self.memory();
        let to = range.end.min(memory.len());
        if pattern.is_empty() {
            let within = range.start <= range.end && range.start <= memory.len();
            return within.then_some(range.start);
        }
        let found =
            memory.get(range.start..to)?.windows(pattern.len()).position(|w| w == pattern)?;
        Some(range.start + found)
    }

    fn find_line(&self, eol: Eol, max: usize) -> Result<Option<Line>, LineTooLong> {
        let memory = self.memory();
        for len in 0..=memory.len() {
            if len > max {
                return Err(LineTooLong { max });
            }
            let end = match (eol, &memory[len..]) {
                (Eol::Lf | Eol::Any, [b'\n', ..]) | (Eol::Nul, [0, ..]) => 1,
                (Eol::CrLf | Eol::Any, [b'\r', b'\n', ..]) => 2,
                (Eol::Byte(byte), [first, ..]) if byte == *first => 1,
                // It may be an end, and this may be all that is allowed.
                (Eol::CrLf | Eol::Any, [b'\r']) => return Ok(None),
                _ => continue,
            };
            return Ok(Some(Line { len, end }));
        }
        Ok(None)
    }
}

#[derive(Clone, Debug)]
enum Op {
    Append(Vec<u8>),
    AppendOwned(Vec<u8>, usize),
    AppendShared(Vec<u8>),
    AppendStatic(Range<usize>),
    AppendFile(usize, usize),
    Prepend(Vec<u8>),
    Reserve(usize, usize),
    Commit(usize),
    Drain(usize),
    MoveTo(usize),
    AppendOther,
    PrependOther,
    Pullup(usize),
    Peek(usize, usize),
    CopyOut(usize, usize),
    Search(Vec<u8>, Range<usize>),
    FindLine(Eol, usize),
    TakeLine(Eol, usize),
    Read(usize),
    BufRead(usize),
    Load(usize),
    Write(Vec<Vec<u8>>),
    Clear,
    Shrink,
}

static STATIC: [u8; 64] =
    *b"abaab\r\nabab\n\0\r\nbbbb\rab\r\n\0aaaaaaaaaaaaaaab\r\n\r\n\nababababababab\r\nab";

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let letter = || proptest::sample::select(ALPHABET);
    prop_oneof![
        6 => vec(letter(), 0..8),
        2 => vec(letter(), 0..700),
        1 => (letter(), 0usize..70_000).prop_map(|(letter, n)| vec![letter; n]),
    ]
}

fn amount() -> impl Strategy<Value = usize> {
    prop_oneof![6 => 0usize..10, 4 => 0usize..1000, 2 => 0usize..100_000, 1 => Just(usize::MAX)]
}

fn eol() -> impl Strategy<Value = Eol> {
    let byte = proptest::sample::select(ALPHABET).prop_map(Eol::Byte);
    prop_oneof![Just(Eol::Lf), Just(Eol::CrLf), Just(Eol::Any), Just(Eol::Nul), byte]
}

fn op() -> impl Strategy<Value = Op> {
    use Op::*;
    let few = || vec(proptest::sample::select(ALPHABET), 0..5);
    prop_oneof![
        4 => bytes().prop_map(Append),
        2 => (bytes(), 0usize..9000).prop_map(|(b, room)| AppendOwned(b, room)),
        2 => bytes().prop_map(AppendShared),
        1 => (0usize..64, 0usize..64).prop_map(|(a, b)| AppendStatic(a.min(b)..a.max(b))),
        1 => (0usize..FILE, amount()).prop_map(|(a, n)| AppendFile(a, n.min(FILE - a))),
        3 => bytes().prop_map(Prepend),
        4 => (amount(), amount()).prop_map(|(n, used)| Reserve(n, used)),
        1 => amount().prop_map(Commit),
        4 => amount().prop_map(Drain),
        4 => amount().prop_map(MoveTo),
        1 => Just(AppendOther),
        1 => Just(PrependOther),
        2 => amount().prop_map(Pullup),
        2 => (amount(), 0usize..6).prop_map(|(n, slices)| Peek(n, slices)),
        1 => (amount(), 0usize..2000).prop_map(|(at, n)| CopyOut(at, n)),
        3 => (few(), amount(), amount()).prop_map(|(p, a, b)| Search(p, a..b)),
        3 => (eol(), amount()).prop_map(|(eol, max)| FindLine(eol, max)),
        4 => (eol(), amount()).prop_map(|(eol, max)| TakeLine(eol, max)),
        2 => (0usize..2000).prop_map(Read),
        2 => amount().prop_map(BufRead),
        1 => amount().prop_map(Load),
        1 => vec(few(), 0..4).prop_map(Write),
        1 => Just(Clear),
        1 => Just(Shrink),
    ]
}

/// One operation on the first buffer, with the second at hand, and on their models.
fn apply(
    op: Op,
    file: &(Arc<File>, Vec<u8>),
    pair: (&mut Buffer, &mut Buffer),
    models: (&mut Model, &mut Model),
) {
    let ((buffer, other), (model, other_model)) = (pair, models);
    match op {
        Op::Append(bytes) => {
            buffer.append(&bytes);
            model.push(&bytes, Place::Owned);
        }
        Op::AppendOwned(bytes, room) => {
            model.push(&bytes, Place::Owned);
            let mut owned = bytes;
            owned.reserve_exact(room);
            buffer.append_owned(owned);
        }
        Op::AppendShared(bytes) => {
            model.push(&bytes, Place::Shared);
            buffer.append_shared(bytes);
        }
        Op::AppendStatic(range) => {
            model.push(&STATIC[range.clone()], Place::Shared);
            buffer.append_shared(&STATIC[range]);
        }
        Op::AppendFile(at, n) => {
            buffer.append_file(Arc::clone(&file.0), at as u64, n as u64).unwrap();
            model.push(&file.1[at..at + n], Place::File);
        }
        Op::Prepend(bytes) => {
            buffer.prepend(&bytes);
            model.splice(0, &bytes, Place::Owned);
        }
        Op::Reserve(n, used) => {
            let room = buffer.reserve(n);
            assert_eq!(room.len(), n.min(1024 * 1024));
            let used = used.min(room.len());
            room[..used].fill(b'b');
            assert_eq!(buffer.commit(used), used);
            assert_eq!(buffer.commit(1), 0);
            model.push(&vec![b'b'; used], Place::Owned);
        }
        Op::Commit(n) => assert_eq!(buffer.commit(n), 0),
        Op::Drain(n) => assert_eq!(buffer.drain(n), model.drain(n).bytes.len()),
        Op::MoveTo(n) => {
            let moved = model.drain(n);
            assert_eq!(buffer.move_to(n, other), moved.bytes.len());
            other_model.append(moved);
        }
        Op::AppendOther => {
            buffer.append_buffer(other);
            model.append(other_model.drain(usize::MAX));
        }
        Op::PrependOther => {
            buffer.prepend_buffer(other);
            let mut front = other_model.drain(usize::MAX);
            front.append(model.drain(usize::MAX));
            *model = front;
        }
        Op::Pullup(n) => {
            let bytes = buffer.pullup(n);
            assert_eq!(bytes, model.memory().get(..n));
            if bytes.is_some() {
                // Whether shared bytes were copied depends on the segments: all of them, or none.
                let copied = buffer.owned_len() - model.count(Place::Owned);
                let shared = model.places[..n].iter_mut().filter(|p| **p == Place::Shared);
                if copied > 0 {
                    shared.for_each(|place| *place = Place::Owned);
                }
            }
        }
        Op::Peek(limit, count) => {
            let mut slices = [IoSlice::new(&[]); 8];
            let filled = buffer.peek(limit, &mut slices[..count]);
            let seen: Vec<u8> = slices[..filled].iter().flat_map(|s| s.iter().copied()).collect();
            assert!(seen.len() <= limit);
            assert!(model.memory().starts_with(&seen));
            let whole = seen.len() == limit.min(model.memory().len());
            assert!(whole || filled == count, "nothing is left out that had a place");
        }
        Op::CopyOut(at, n) => {
            let mut bytes = vec![0; n];
            let copied = buffer.copy_out(at, &mut bytes);
            let memory = model.memory();
            let from = at.min(memory.len());
            assert_eq!(&bytes[..copied], &memory[from..memory.len().min(from + n)]);
            assert_eq!(buffer.byte_at(at), memory.get(at).copied());
        }
        Op::Search(pattern, range) => {
            assert_eq!(
                buffer.search(&pattern, range.clone()),
                model.search(&pattern, range.clone())
            );
            assert_eq!(
                buffer.search(b"ab\r\nab", range.start..),
                model.search(b"ab\r\nab", range.start..usize::MAX)
            );
        }
        Op::FindLine(eol, max) => assert_eq!(buffer.find_line(eol, max), model.find_line(eol, max)),
        Op::TakeLine(eol, max) => {
            let expected = model.find_line(eol, max).map(|line| {
                let Line { len, end } = line?;
                let mut bytes = model.drain(len + end).bytes;
                bytes.truncate(len);
                Some(bytes)
            });
            assert_eq!(buffer.take_line(eol, max), expected);
        }
        Op::Read(n) => {
            let mut bytes = vec![0; n];
            let read = buffer.read(&mut bytes).unwrap();
            assert_eq!(read == 0, n == 0 || model.bytes.is_empty());
            assert_eq!(&bytes[..read], &model.drain(read).bytes);
        }
        Op::BufRead(n) => {
            let loaded = if model.places.first() == Some(&Place::File) { 16 * 1024 } else { 0 };
            load(model, loaded);
            let bytes = buffer.fill_buf().unwrap();
            assert_eq!(bytes.is_empty(), model.bytes.is_empty());
            assert!(model.bytes.starts_with(bytes));
            let n = n.min(bytes.len());
            buffer.consume(n);
            model.drain(n);
        }
        Op::Load(n) => assert_eq!(buffer.load(n).unwrap(), load(model, n)),
        Op::Write(parts) => {
            let slices: Vec<_> = parts.iter().map(|part| IoSlice::new(part)).collect();
            let written = buffer.write_vectored(&slices).unwrap();
            model.push(&parts.concat(), Place::Owned);
            assert_eq!(written, parts.concat().len());
        }
        Op::Clear => {
            buffer.clear();
            model.drain(usize::MAX);
        }
        Op::Shrink => buffer.shrink(),
    }
}

fn load(model: &mut Model, n: usize) -> usize {
    let n = n.min(model.places.len());
    let places = model.places[..n].iter_mut().filter(|place| **place == Place::File);
    places.map(|place| *place = Place::Owned).count()
}

#[test]
fn random_histories_of_two_buffers_are_those_of_two_vecs() {
    let file = file();
    let config = ProptestConfig { cases: 200, failure_persistence: None, ..Default::default() };
    proptest!(config, |(ops in vec((any::<bool>(), op()), 1..60), rule in eol())| {
        let (mut one, mut two) = (Buffer::new(), Buffer::new());
        let (mut model_one, mut model_two) = (Model::default(), Model::default());
        for (first, op) in ops {
            if first {
                apply(op, &file, (&mut one, &mut two), (&mut model_one, &mut model_two));
            } else {
                apply(op, &file, (&mut two, &mut one), (&mut model_two, &mut model_one));
            }
            // One rule all along, so that what was remembered of the last search counts.
            prop_assert_eq!(one.find_line(rule, 2000), model_one.find_line(rule, 2000));
            for (buffer, model) in [(&one, &model_one), (&two, &model_two)] {
                prop_assert_eq!(buffer.len(), model.bytes.len());
                prop_assert_eq!(buffer.is_empty(), model.bytes.is_empty());
                prop_assert_eq!(buffer.memory_len(), model.memory().len());
                prop_assert!(contents(buffer) == model.bytes);
                prop_assert_eq!(buffer.owned_len(), model.count(Place::Owned));
            }
        }
    });
}

// ---- what each promises ----

#[test]
fn bytes_handed_over_or_shared_are_not_copied() {
    let owned = vec![b'o'; 100_000];
    let shared = Shared::from(vec![b's'; 100_000]);
    let addresses = [owned.as_ptr(), shared.as_ptr()];
    let mut buffer = Buffer::new();
    buffer.append_owned(owned);
    buffer.append_shared(shared);
    let mut slices = [IoSlice::new(&[]); 4];
    assert_eq!(buffer.peek(usize::MAX, &mut slices), 2);
    assert_eq!([slices[0].as_ptr(), slices[1].as_ptr()], addresses);
}

#[test]
fn moving_between_buffers_copies_no_large_segment_not_even_a_cut_one() {
    let owned = vec![b'o'; 100_000];
    let address = owned.as_ptr();
    let (mut from, mut to) = (Buffer::from(owned), Buffer::new());
    assert_eq!(from.move_to(50_000, &mut to), 50_000);
    assert_eq!(to.pullup(50_000).unwrap().as_ptr(), address);
    assert_eq!(from.pullup(50_000).unwrap().as_ptr(), address.wrapping_add(50_000));
    assert_eq!((from.owned_len(), to.owned_len()), (50_000, 50_000));
    to.append_buffer(&mut from);
    assert!(from.is_empty());
    assert_eq!(to.len(), 100_000);
}

#[test]
fn few_bytes_moved_do_not_take_much_memory_along() {
    let (mut from, mut to) = (Buffer::new(), Buffer::new());
    for _ in 0..1000 {
        from.reserve(64 * 1024)[0] = b'x';
        from.commit(1);
        to.append_buffer(&mut from);
    }
    assert_eq!(to.len(), 1000);
    assert!(to.chunks().len() < 5, "{to:?}");
}

#[test]
fn the_owner_of_shared_bytes_is_dropped_with_the_last_of_them() {
    struct Owner(Vec<u8>, Sender<()>);
    impl AsRef<[u8]> for Owner {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }
    impl Drop for Owner {
        fn drop(&mut self) {
            self.1.send(()).unwrap();
        }
    }
    let (sender, drops): (_, Receiver<()>) = channel();
    let shared = Shared::from_owner(Owner(vec![0; 10], sender));
    let (mut one, mut two) = (Buffer::from(shared.clone()), Buffer::from(shared));
    one.clear();
    two.drain(9);
    assert!(drops.try_recv().is_err());
    two.drain(9);
    assert!(drops.try_recv().is_ok());
}

#[test]
fn an_owner_that_panics_when_dropped_leaves_the_buffer_as_it_should_be() {
    struct Owner;
    impl AsRef<[u8]> for Owner {
        fn as_ref(&self) -> &[u8] {
            b"abc"
        }
    }
    impl Drop for Owner {
        fn drop(&mut self) {
            panic!("on purpose");
        }
    }
    let mut buffer = Buffer::from(Shared::from_owner(Owner));
    buffer.append("def");
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| buffer.drain(4)));
    assert!(panicked.is_err());
    assert_eq!((buffer.len(), contents(&buffer)), (3, b"def".to_vec()));
}

#[test]
fn what_was_reserved_cannot_be_committed_after_a_change() {
    let changes: [fn(&mut Buffer); 5] = [
        |buffer| buffer.append("x"),
        |buffer| buffer.prepend("x"),
        |buffer| assert_eq!(buffer.drain(1), 1),
        |buffer| assert!(buffer.pullup(700).is_some()),
        Buffer::shrink,
    ];
    for change in changes {
        let mut buffer = Buffer::from(vec![b'a'; 600]);
        buffer.append_shared("a".repeat(600));
        buffer.reserve(10).fill(b'!');
        change(&mut buffer);
        assert_eq!(buffer.commit(10), 0);
        assert!(!contents(&buffer).contains(&b'!'));
    }
}

#[test]
fn an_absurd_reservation_is_cut_to_one_mebibyte() {
    assert_eq!(Buffer::new().reserve(usize::MAX).len(), 1 << 20);
    assert!(Buffer::new().reserve(0).is_empty());
}

#[test]
fn a_part_that_no_file_can_have_is_refused_and_lengths_do_not_overflow() {
    let (file, _) = file();
    let mut buffer = Buffer::new();
    for (offset, len) in [(u64::MAX, 1), (1, u64::MAX), (1, i64::MAX as u64), (1 << 63, 0)] {
        let error = buffer.append_file(Arc::clone(&file), offset, len).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
    assert!(buffer.is_empty());

    // Two of the longest can be counted, three cannot.
    let longest = i64::MAX as u64;
    let mut other = Buffer::from("x");
    for buffer in [&mut buffer, &mut other] {
        buffer.append_file(Arc::clone(&file), 0, longest).unwrap();
    }
    buffer.append_file(Arc::clone(&file), 0, longest).unwrap();
    assert!(buffer.append_file(Arc::clone(&file), 0, longest).is_err());
    assert_eq!(buffer.move_to(usize::MAX, &mut other), usize::MAX - (longest as usize + 1));
    assert_eq!(other.len(), usize::MAX);
    other.append("what cannot be counted");
    assert_eq!(other.len(), usize::MAX);
    other.prepend_buffer(&mut buffer);
    other.clear();
    assert!(other.is_empty());
}

#[test]
fn a_file_that_has_shrunk_is_an_error_and_never_padding() {
    let (file, bytes) = file();
    let mut buffer = Buffer::new();
    buffer.append_file(Arc::clone(&file), 0, FILE as u64).unwrap();
    file.set_len(10).unwrap();
    let mut read = Vec::new();
    let error = buffer.read_to_end(&mut read).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    assert_eq!((&read[..], buffer.len()), (&bytes[..10], FILE - 10));
    assert_eq!(buffer.load(1).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    assert_eq!(buffer.fill_buf().unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    assert_eq!((buffer.len(), buffer.owned_len()), (FILE - 10, 0));
    assert_eq!(buffer.drain(usize::MAX), FILE - 10);
}

#[test]
fn the_files_own_position_is_left_alone() {
    let (file, bytes) = file();
    let mut one = Buffer::new();
    let mut two = Buffer::new();
    one.append_file(Arc::clone(&file), 5, 100).unwrap();
    two.append_file(Arc::clone(&file), 50, 100).unwrap();
    let (mut read_one, mut read_two) = (Vec::new(), Vec::new());
    one.read_to_end(&mut read_one).unwrap();
    two.read_to_end(&mut read_two).unwrap();
    assert_eq!((&read_one[..], &read_two[..]), (&bytes[5..105], &bytes[50..150]));
    let mut first = [0; 3];
    (&*file).read_exact(&mut first).unwrap();
    assert_eq!(first, bytes[..3]);
}

#[test]
fn a_pattern_is_found_over_any_border_whatever_its_length() {
    let haystack =
        b"aaaaaaaaaabaaaaaaaaaabaaaaaaaaaacaaaaaaaaaabaaaaaaaaaabaaaaaaaaaadaaaaaaaaaabaaaaaaaaaab";
    for length in 1..haystack.len() {
        let pattern = &haystack[haystack.len() - length..];
        let expected = haystack.windows(length).position(|w| w == pattern);
        let mut buffer = Buffer::new();
        for byte in haystack.chunks(3) {
            buffer.append_shared(byte.to_vec());
        }
        assert_eq!(buffer.search(pattern, ..), expected);
        assert_eq!(buffer.search([pattern, b"x"].concat(), ..), None);
    }
}

#[test]
fn a_line_is_found_however_it_is_cut() {
    let text = b"one\r\ntwo\nthr\ree\r\r\n\r\n";
    let rules: [(Eol, &[&[u8]]); 3] = [
        (Eol::CrLf, &[b"one", b"two\nthr\ree\r", b""]),
        (Eol::Any, &[b"one", b"two", b"thr\ree\r", b""]),
        (Eol::Lf, &[b"one\r", b"two", b"thr\ree\r\r", b"\r"]),
    ];
    for (eol, expected) in rules {
        for size in 1..text.len() {
            let mut buffer = Buffer::new();
            let mut lines = Vec::new();
            for part in text.chunks(size) {
                buffer.append_shared(part.to_vec());
                while let Some(line) = buffer.take_line(eol, 100).unwrap() {
                    lines.push(line);
                }
            }
            assert_eq!(lines, expected, "{eol:?} in pieces of {size}");
            assert!(buffer.is_empty());
        }
    }
}

#[test]
fn a_line_of_the_allowed_length_is_a_line_and_one_byte_more_an_error_at_once() {
    for eol in [Eol::Lf, Eol::CrLf, Eol::Any, Eol::Nul, Eol::Byte(b';')] {
        let mut buffer = Buffer::from("12345");
        assert_eq!(buffer.find_line(eol, 5), Ok(None));
        assert_eq!(buffer.find_line(eol, 4), Err(LineTooLong { max: 4 }));
        buffer.append("6");
        assert_eq!(buffer.find_line(eol, 5), Err(LineTooLong { max: 5 }));
        assert_eq!(buffer.take_line(eol, 5), Err(LineTooLong { max: 5 }));
        assert_eq!(buffer.len(), 6);
        assert_eq!(buffer.find_line(eol, usize::MAX), Ok(None));
    }
    assert_eq!(LineTooLong { max: 5 }.to_string(), "a line has more than 5 bytes");
}

#[test]
fn what_was_searched_is_searched_again_when_something_is_prepended() {
    let mut buffer = Buffer::from("no end");
    assert_eq!(buffer.take_line(Eol::Lf, 80), Ok(None));
    buffer.prepend("an end\n");
    assert_eq!(buffer.take_line(Eol::Lf, 80).unwrap().unwrap(), b"an end");
    assert_eq!(buffer.take_line(Eol::Lf, 80), Ok(None));
    let mut front = Buffer::from("another\n");
    buffer.prepend_buffer(&mut front);
    assert_eq!(buffer.take_line(Eol::Lf, 80).unwrap().unwrap(), b"another");
}

#[test]
fn the_traits_of_std_read_lines_write_and_format() {
    let mut buffer = Buffer::new();
    std::fmt::Write::write_fmt(&mut buffer, format_args!("{}-{}\n", 1, 2)).unwrap();
    buffer.write_all(b"second\nthird").unwrap();
    buffer.flush().unwrap();
    let lines: Vec<_> = buffer.lines().map(Result::unwrap).collect();
    assert_eq!(lines, ["1-2", "second", "third"]);
    let collected: Buffer = b"abc".iter().copied().collect();
    assert_eq!(contents(&collected), b"abc");
}

#[test]
fn nothing_prints_the_bytes() {
    let mut buffer = Buffer::from("secret");
    buffer.append_shared("hidden");
    assert_eq!(format!("{buffer:?}"), "Buffer { len: 12, owned_len: 6, segments: 2, .. }");
    assert_eq!(format!("{:?}", buffer.chunks()), "[Bytes { len: 6 }, Bytes { len: 6 }]");
    assert_eq!(format!("{:?}", Shared::from("hidden")), "Shared { len: 6 }");
}

#[test]
fn a_buffer_is_small_and_can_be_sent_to_another_thread() {
    fn sent<T: Send + Sync + 'static>() {}
    sent::<Buffer>();
    sent::<Shared>();
    assert!(size_of::<Buffer>() <= 104);
}

/// The shortest of a few tries, in time of this thread on a processor: who else runs there says nothing.
fn shortest(mut act: impl FnMut()) -> Duration {
    let now = || {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
    };
    let time = |act: &mut dyn FnMut()| {
        let begin = now();
        act();
        now() - begin
    };
    (0..5).map(|_| time(&mut act)).min().unwrap()
}

/// Eight times the work takes less than 24 times as long: no looser than R18, by which each of three
/// doublings may take three times as long, 27 in all. Were it quadratic it would be 64 times. A few tries,
/// as others use the processor.
fn linear(work: impl Fn(usize)) {
    let ratio = || {
        let (once, eight_times) = (shortest(|| work(20_000)), shortest(|| work(160_000)));
        eight_times.as_secs_f64() / once.as_secs_f64()
    };
    assert!((0..5).any(|_| ratio() < 24.0), "more than linear");
}

#[test]
fn bytes_that_come_and_go_one_by_one_take_linear_time() {
    linear(|n| {
        let mut buffer = Buffer::new();
        (0..n).for_each(|_| buffer.append([b'x']));
        (0..n).for_each(|_| assert_eq!(buffer.drain(1), 1));
        assert!(buffer.is_empty());
    });
    linear(|n| {
        let mut buffer = Buffer::new();
        (0..n).for_each(|_| buffer.prepend([b'x']));
        assert_eq!(buffer.len(), n);
    });
    linear(|n| {
        let (mut from, mut to) = (Buffer::from(vec![b'x'; n]), Buffer::new());
        while from.move_to(1, &mut to) == 1 {}
        assert_eq!(to.len(), n);
    });
}

#[test]
fn a_line_that_comes_byte_by_byte_takes_linear_time_also_in_as_many_segments() {
    for eol in [Eol::Lf, Eol::CrLf, Eol::Any] {
        linear(|n| {
            let mut buffer = Buffer::new();
            for _ in 0..n {
                buffer.append_shared("\r");
                assert_eq!(buffer.find_line(eol, usize::MAX), Ok(None));
            }
        });
    }
}

#[test]
fn one_more_byte_pulled_up_each_time_takes_linear_time() {
    linear(|n| {
        let mut buffer = Buffer::new();
        (0..n).for_each(|_| buffer.append_shared("x"));
        (1..=n).for_each(|n| assert_eq!(buffer.pullup(n).unwrap().len(), n));
    });
}
