//! The byte queue: what a message costs on its way through, lines, and the move to another buffer.

use std::hint::black_box;
use std::io::IoSlice;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use evloop::net::{Buffer, Eol};

fn messages(c: &mut Criterion) {
    let mut group = c.benchmark_group("buffer, append and drain");
    for size in [64, 16 * 1024] {
        let message = vec![b'x'; size];
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_function(format!("{size} bytes"), |b| {
            let mut buffer = Buffer::new();
            b.iter(|| {
                buffer.append(black_box(&message));
                buffer.drain(size)
            });
        });
        group.bench_function(format!("{size} bytes, reserved, peeked at"), |b| {
            let mut buffer = Buffer::new();
            b.iter(|| {
                buffer.reserve(size).copy_from_slice(black_box(&message));
                buffer.commit(size);
                let mut slices = [IoSlice::new(&[]); 16];
                black_box(buffer.peek(usize::MAX, &mut slices));
                buffer.drain(size)
            });
        });
    }
    group.finish();
}

fn lines(c: &mut Criterion) {
    let mut group = c.benchmark_group("buffer, lines");
    for length in [30, 1000] {
        let text = format!("{}\r\n", "x".repeat(length)).repeat(64_000 / length);
        group.throughput(Throughput::Bytes(text.len() as u64));
        for (name, eol) in [("CRLF", Eol::CrLf), ("any", Eol::Any)] {
            group.bench_function(format!("{length} bytes each, {name}"), |b| {
                let mut buffer = Buffer::new();
                let mut line = Vec::new();
                b.iter(|| {
                    buffer.append(&text);
                    while let Ok(Some(_)) = buffer.take_line_into(eol, 8192, &mut line) {
                        line.clear();
                    }
                });
            });
        }
    }
    group.finish();
}

fn moves(c: &mut Criterion) {
    let mut group = c.benchmark_group("buffer, move to another and back");
    for segments in [1, 16] {
        let full = || {
            let mut buffer = Buffer::new();
            (0..segments).for_each(|_| buffer.append_owned(vec![b'x'; 16 * 1024]));
            (buffer, Buffer::new())
        };
        group.bench_function(format!("{segments} of 16 KiB"), |b| {
            let (mut one, mut other) = full();
            b.iter(|| {
                other.append_buffer(&mut one);
                one.append_buffer(&mut other);
            });
        });
        group.bench_function(
            format!("{segments} of 16 KiB, 64 bytes at a time, there only"),
            |b| {
                b.iter_batched(
                    full,
                    |(mut one, mut other)| {
                        while one.move_to(64, &mut other) > 0 {}
                        (one, other)
                    },
                    BatchSize::SmallInput,
                );
            },
        );
    }
    group.finish();
}

criterion_group!(benches, messages, lines, moves);
criterion_main!(benches);
