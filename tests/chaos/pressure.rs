//! Scenarios `never_read`, `giant_upload`, `slow_reader`, `claimed_length_not_allocated` (R2, R7):
//! much data, in both directions, and little memory.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Instant;

use crate::{Client, PATIENCE, Server, get, ms, on_both, until};

/// Bytes that repeat after a prime number of them, so that a lost or doubled block shows.
const PERIOD: usize = 65_521;

fn pattern() -> Vec<u8> {
    let once: Vec<u8> = (0..PERIOD).map(|n| (n * n / 7 + n) as u8).collect();
    once.iter().copied().cycle().take(3 * PERIOD).collect()
}

on_both! {
    fn who_never_reads_costs_the_caps_and_no_more(backend) {
        let server = Server::on(backend, &[]);
        let others = server.bystander();
        let mut clients: Vec<Client> = (0..10).map(|_| server.narrow_client()).collect();
        let block = [b"80000\r\n".as_slice(), &vec![b'x'; 0x80000], b"\r\n"].concat();
        for (n, client) in clients.iter_mut().enumerate() {
            if n % 2 == 0 {
                client.send(get("/stream?n=1000000000&ms=0"));
            } else {
                client.send("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
                let mut rounds = 0;
                while client.offer_within(&block, ms(100)).unwrap() == block.len() {
                    rounds += 1;
                    assert!(rounds < 200, "100 MB of a body are taken whose answer nobody reads");
                }
            }
        }
        // Until all that the system takes is full: then nothing moves.
        until("the server rests", || {
            server.process.used_during(|| std::thread::sleep(ms(100))).time < ms(30)
        });
        let grown = server.grown();
        assert!(grown < 10 * 1024 + 4096, "{grown} KiB for ten clients that do not read");
        drop(clients);
        others.was_served();
        server.finish();
    }
}

/// Sends `total` bytes of the pattern as a body and takes the same back at the same time.
fn echo(server: &Server, total: usize, chunked: bool) {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    let framing = if chunked {
        "Transfer-Encoding: chunked".into()
    } else {
        format!("Content-Length: {total}")
    };
    let head = format!("POST /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{framing}\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let mut sending = stream.try_clone().unwrap();
    let sender = std::thread::spawn(move || {
        let pattern = pattern();
        let mut at = 0;
        while at < total {
            let from = at % PERIOD;
            let length = (2 * PERIOD).min(total - at);
            if chunked {
                write!(sending, "{length:x}\r\n").unwrap();
            }
            sending.write_all(&pattern[from..from + length]).unwrap();
            if chunked {
                sending.write_all(b"\r\n").unwrap();
            }
            at += length;
        }
        if chunked {
            sending.write_all(b"0\r\n\r\n").unwrap();
        }
    });
    let got = receive(&mut stream, chunked);
    sender.join().unwrap();
    assert_eq!(got, total);
}

/// Reads a reply to its end, compares its body with the pattern, and returns its length.
fn receive(stream: &mut TcpStream, chunked: bool) -> usize {
    let pattern = pattern();
    let mut reader = std::io::BufReader::with_capacity(256 * 1024, stream);
    let mut line = Vec::new();
    let mut next_line = |reader: &mut std::io::BufReader<&mut TcpStream>| {
        line.clear();
        std::io::BufRead::read_until(reader, b'\n', &mut line).unwrap();
        String::from_utf8(line.clone()).unwrap()
    };
    assert!(next_line(&mut reader).starts_with("HTTP/1.1 200 "));
    let mut length = None;
    loop {
        let field = next_line(&mut reader);
        if field == "\r\n" {
            break;
        }
        let field = field.to_ascii_lowercase();
        if let Some(value) = field.strip_prefix("content-length:") {
            length = Some(value.trim().parse::<usize>().unwrap());
        }
        assert!(!chunked || !field.starts_with("content-length"), "chunked stays chunked");
    }
    assert!(chunked || length.is_some(), "a known length stays known");
    let mut at = 0;
    let mut block = vec![0; PERIOD];
    loop {
        let mut left = match length {
            Some(length) => length,
            None => {
                let size = next_line(&mut reader);
                usize::from_str_radix(size.trim_end(), 16).unwrap()
            }
        };
        let last = left == 0;
        while left > 0 {
            let target = &mut block[..left.min(PERIOD)];
            reader.read_exact(target).unwrap();
            let from = at % PERIOD;
            assert!(*target == pattern[from..from + target.len()], "wrong bytes at {at}");
            (at, left) = (at + target.len(), left - target.len());
        }
        if length.is_none() {
            assert_eq!(next_line(&mut reader), "\r\n");
        }
        if last || length.is_some() {
            let mut rest = Vec::new();
            reader.read_to_end(&mut rest).unwrap();
            assert_eq!(rest, b"");
            return at;
        }
    }
}

#[test]
fn two_hundred_megabytes_come_back_and_cost_no_memory() {
    let server = Server::start(&[]);
    let others = server.bystander();
    let done = AtomicBool::new(false);
    let most = std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut most = 0;
            while !done.load(Relaxed) {
                most = most.max(server.grown());
                std::thread::sleep(ms(5));
            }
            most
        });
        echo(&server, 150_000_000, false);
        echo(&server, 50_000_000, true);
        done.store(true, Relaxed);
        watch.join().unwrap()
    });
    assert!(most < 6 * 1024, "{most} KiB at the most");
    others.was_served();
    server.finish();
}

on_both! {
    /// Known to be too long: refused before it comes. Found to be too long: when it is.
    fn what_no_handler_wants_is_refused_and_the_connection_ends(backend) {
        let server = Server::on(backend, &["--max-body", "100000"]);
        let block = vec![b'x'; 0x4000];
        for target in ["/query", "/plaintext", "/slow?ms=1"] {
            for chunked in [false, true] {
                let framing = if chunked { "Transfer-Encoding: chunked" } else { "Content-Length: 200000000" };
                let kind = "Content-Type: application/x-www-form-urlencoded";
                let head = format!("GET {target} HTTP/1.1\r\nHost: a\r\n{kind}\r\n{framing}\r\n\r\n");
                let mut client = server.client();
                client.send(head);
                let start = Instant::now();
                let mut sent = 0;
                loop {
                    let piece = if chunked { [b"4000\r\n".as_slice(), &block, b"\r\n"].concat() } else { block.clone() };
                    if client.offer(piece).is_err() {
                        break;
                    }
                    sent += block.len();
                    assert!(sent < 200_000_000 && start.elapsed() < PATIENCE, "{target}: all of it is taken");
                }
                if let Ok(response) = client.try_response() {
                    assert_eq!(response.status, 413, "{target}");
                    assert!(response.closes(), "{target}");
                }
            }
        }
        // And the answer does arrive with one who looks before sending it all.
        let mut client = server.client();
        client.send("GET /query HTTP/1.1\r\nHost: a\r\nContent-Length: 100001\r\n\r\n");
        let response = client.response();
        assert_eq!(response.status, 413);
        assert!(response.closes());
        client.send(vec![b'x'; 100_001]);
        client.ends_somehow();
        drop(client);
        assert!(server.grown() < 4 * 1024, "{} KiB", server.grown());
        server.finish();
    }
}

on_both! {
    /// A chunk that alone is longer than the cap: there is no need to wait for it.
    fn a_chunk_that_cannot_be_kept_is_refused_when_it_is_announced(backend) {
        let server = Server::on(backend, &["--body-timeout", "2"]);
        let sizes = ["FFFFFFFFFFFFFFFF", "8000000000000000", "7FFFFFFFFFFFFFFF", "FFFFFFFFFFFFFFFB", "800001"];
        for size in sizes {
            let mut client = server.client();
            let head = "GET /query HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
            client.send(format!("{head}{size}\r\nhello\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"));
            let response = client.response();
            assert!([400, 413].contains(&response.status), "{size}: {}", response.status);
            assert!(response.closes(), "{size}");
            client.ends();
        }
        server.finish();
    }
}

/// R2: nothing is allocated because somebody says that much will come.
#[test]
fn lengths_that_are_only_claimed_cost_nothing() {
    let server = Server::start(&[]);
    let mut clients = Vec::new();
    for n in 0..150 {
        let mut client = server.client();
        client.send(match n % 4 {
            0 => "GET /query HTTP/1.1\r\nHost: a\r\nContent-Length: 8388608\r\n\r\na",
            1 => "GET /query HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n800000\r\na",
            2 => "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9223372036854775807\r\n\r\na",
            _ => "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n7fffffffffffffff\r\na",
        });
        clients.push(client);
    }
    assert_eq!(server.ask(get("/plaintext")).status, 200);
    assert!(server.grown() < 8 * 1024, "{} KiB for 150 claims", server.grown());
    drop(clients);
    server.finish();
}

on_both! {
    /// Scenario `slow_reader`: little by little, for longer than a write may stall, and all arrives.
    fn a_slow_reader_gets_every_byte(backend) {
        let server = Server::on(backend, &["--write-timeout", "1"]);
        let others = server.bystander();
        let lines = 200_000;
        let mut client = server.narrow_client();
        client.send(get(&format!("/stream?n={lines}&ms=0")));
        let start = Instant::now();
        let mut slowly = Vec::new();
        while start.elapsed() < ms(2500) {
            let mut some = [0; 3000];
            client.read_exact(&mut some);
            slowly.extend_from_slice(&some);
            std::thread::sleep(ms(20));
        }
        client.put_back(slowly);
        let response = client.response();
        assert_eq!(response.text().lines().count(), lines);
        assert_eq!(client.ask(get("/plaintext")).status, 200);
        others.was_served();
        drop(client);
        server.finish();
    }
}
