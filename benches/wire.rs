//! Heads of requests: ours, which does all of its checks, and `httparse` with the least that has to be
//! done behind it.

use std::hint::black_box;
use std::mem::MaybeUninit;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use evloop::wire::{HeadLimits, RequestHead, RequestParser};

const WRK: &str = "GET /plaintext HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n";

const BROWSER: &str = "GET /articles/2026/linear-time?page=2 HTTP/1.1\r\n\
    Host: www.example.org\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:142.0) Gecko/20100101 Firefox/142.0\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n\
    Accept-Language: en-GB,en;q=0.7,de;q=0.3\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\n\
    Connection: keep-alive\r\n\
    Cookie: session=0123456789abcdef\r\n\
    Upgrade-Insecure-Requests: 1\r\n\
    Sec-Fetch-Dest: document\r\n\
    Sec-Fetch-Mode: navigate\r\n\
    Sec-Fetch-Site: same-origin\r\n\
    Priority: u=0, i\r\n\r\n";

fn hundred() -> String {
    let fields: String = (1..100).map(|n| format!("X-Field-{n}: value {n}\r\n")).collect();
    format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n")
}

fn heads() -> [(&'static str, String); 3] {
    [("wrk's", WRK.to_owned()), ("a browser's", BROWSER.to_owned()), ("100 fields", hundred())]
}

fn whole(c: &mut Criterion) {
    for (name, input) in heads() {
        let mut group = c.benchmark_group(format!("request head, {name}"));
        group.throughput(Throughput::Bytes(input.len() as u64));
        group.bench_function("ours", |b| {
            let mut parser = RequestParser::new(HeadLimits::default());
            b.iter(|| {
                parser.reset();
                parser.feed(black_box(input.as_bytes()))
            });
        });
        group.bench_function("ours, taken out", |b| {
            let mut parser = RequestParser::new(HeadLimits::default());
            let mut head = RequestHead::default();
            b.iter(|| {
                let progress = parser.feed(black_box(input.as_bytes()));
                parser.swap_head(&mut head);
                progress
            });
        });
        group.bench_function("httparse", |b| {
            b.iter(|| {
                let mut fields = [const { MaybeUninit::uninit() }; 100];
                let mut request = httparse::Request::new(&mut []);
                let status =
                    request.parse_with_uninit_headers(black_box(input.as_bytes()), &mut fields);
                black_box(&request);
                status.is_ok()
            });
        });
        group.bench_function("httparse, checked and kept", |b| {
            let mut block = Vec::new();
            let mut lines = Vec::new();
            b.iter(|| strict(black_box(input.as_bytes()), &mut block, &mut lines));
        });
        group.finish();
    }
}

/// The least behind `httparse` that makes a head of ours: line ends, the fields that decide, the copy.
fn strict(input: &[u8], block: &mut Vec<u8>, lines: &mut Vec<[u32; 4]>) -> Option<u64> {
    block.clear();
    lines.clear();
    let mut fields = [const { MaybeUninit::uninit() }; 100];
    let mut request = httparse::Request::new(&mut []);
    let len = match request.parse_with_uninit_headers(input, &mut fields).ok()? {
        httparse::Status::Complete(len) => len,
        httparse::Status::Partial => return None,
    };
    let head = input.get(..len)?;
    // It takes a line feed alone for an end, which we must not.
    let mut before = 0;
    for byte in head {
        if *byte == b'\n' && before != b'\r' {
            return None;
        }
        before = *byte;
    }
    let target = request.path?;
    if !target.starts_with('/') || target.contains('#') {
        return None;
    }
    let (mut host, mut length) = (false, None);
    let start = input.as_ptr() as usize;
    for field in request.headers.iter() {
        match field.name.len() {
            4 if field.name.eq_ignore_ascii_case("host") => {
                let sound = |b: &u8| b.is_ascii_alphanumeric() || b".-_:[]".contains(b);
                if host || !field.value.iter().all(sound) {
                    return None;
                }
                host = true;
            }
            10 if field.name.eq_ignore_ascii_case("connection") => {
                black_box(field.value.eq_ignore_ascii_case(b"close"));
            }
            14 if field.name.eq_ignore_ascii_case("content-length") => {
                if length.is_some() {
                    return None;
                }
                length = Some(std::str::from_utf8(field.value).ok()?.parse::<u64>().ok()?);
            }
            17 if field.name.eq_ignore_ascii_case("transfer-encoding") => return None,
            _ => {}
        }
        let name = (field.name.as_ptr() as usize - start) as u32;
        let value = (field.value.as_ptr() as usize - start) as u32;
        lines.push([name, name + field.name.len() as u32, value, value + field.value.len() as u32]);
    }
    block.extend_from_slice(head);
    host.then_some(length.unwrap_or(0))
}

fn pieces(c: &mut Criterion) {
    let mut group = c.benchmark_group("request head, a browser's, in pieces");
    group.throughput(Throughput::Bytes(BROWSER.len() as u64));
    for size in [1, 16, 256] {
        group.bench_function(format!("{size} bytes each"), |b| {
            let mut parser = RequestParser::new(HeadLimits::default());
            b.iter(|| {
                parser.reset();
                for piece in BROWSER.as_bytes().chunks(size) {
                    black_box(parser.feed(black_box(piece)).is_ok());
                }
            });
        });
    }
    group.finish();
}

criterion_group!(benches, whole, pieces);
criterion_main!(benches);
