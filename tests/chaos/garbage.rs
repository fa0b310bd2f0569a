//! Scenario `garbage` (R1): bytes that were never meant as HTTP, and HTTP that was damaged.

use crate::{Client, Ending, Random, Server, client, get, on_both, post, secs};

/// Whatever the server answers is well formed, and the connection ends once we say that we have ended.
#[track_caller]
fn takes(client: &mut Client, bytes: &[u8]) {
    let _ = client.offer(bytes);
    client.half_close();
    let mut answers = 0;
    loop {
        match client.try_response_to("GET", secs(10)) {
            Ok(response) => {
                answers += 1;
                assert!((200..=599).contains(&response.status));
            }
            Err(Ending::Open(rest)) => {
                let shown = client::shown(&Ending::Open(rest));
                panic!("{shown} after {answers} answers to \"{}\"", bytes.escape_ascii());
            }
            Err(_) => return,
        }
    }
}

/// A TLS client's hello, as far as a server without TLS will look.
fn tls_hello(random: &mut Random) -> Vec<u8> {
    let mut hello = vec![0x16, 3, 1, 0x02, 0, 1, 0, 0x01, 0xfc, 3, 3];
    hello.extend(random.bytes(506));
    hello
}

on_both! {
    fn what_is_not_http_is_refused_or_dropped(backend) {
        let mut random = Random::seeded(&format!("what is not HTTP, {backend}"));
        let server = Server::on(backend, &[]);
        let others = server.bystander();
        let hello = tls_hello(&mut random);
        let ssh = b"SSH-2.0-OpenSSH_9.2\r\n".to_vec();
        let socks = vec![5, 1, 0];
        let redis = b"*1\r\n$4\r\nPING\r\n".to_vec();
        let smtp = b"EHLO a\r\nMAIL FROM:<a@b>\r\n".to_vec();
        let proxy = b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec();
        let zeros = vec![0; 100_000];
        for bytes in [hello, ssh, socks, redis, smtp, proxy, zeros, vec![b'\n'; 100_000], vec![b'A'; 300_000]] {
            takes(&mut server.client(), &bytes);
        }
        for _ in 0..100 {
            let length = *random.of(&[1, 10, 100, 1000, 70_000]);
            let length = 1 + random.below(length);
            takes(&mut server.client(), &random.bytes(length));
        }
        others.was_served();
        server.finish();
    }
}

/// Refusals say so in one answer and no more, and do not wait for a time-out.
#[test]
fn a_hello_of_tls_ends_the_connection_at_once() {
    let server = Server::start(&[]);
    let mut client = server.client();
    client.send(tls_hello(&mut Random::fixed(1)));
    match client.try_response() {
        Ok(response) => {
            assert_eq!(response.status, 400);
            client.ends_somehow();
        }
        Err(ending) => assert_eq!(ending.bytes(), b""),
    }
    drop(client);
    server.finish();
}

/// Requests in which something was flipped, doubled, lost or exchanged.
#[test]
fn damaged_requests_never_confuse_anybody_else() {
    let mut random = Random::seeded("damaged requests");
    let server = Server::start(&["--header-timeout", "3", "--body-timeout", "3"]);
    let others = server.bystander();
    let chunked = "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
        5;a=\"b\"\r\nhello\r\n6\r\n world\r\n0\r\nA: b\r\n\r\n";
    let form = "GET /query HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\n\
        Content-Length: 11\r\n\r\na=b&c=%20+d";
    let whole: Vec<Vec<u8>> = vec![
        get("/plaintext"),
        get("/query?a=b&c=%41+&&=x"),
        post("/echo", b"some bytes that come back"),
        chunked.into(),
        form.into(),
        b"GET http://b:80/json HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nCookie: a=b\r\n\r\n"
            .to_vec(),
    ];
    let words: &[&[u8]] = &[
        b"\r\n",
        b"\n",
        b"\r",
        b" ",
        b":",
        b"\0",
        b"\r\n\r\n",
        b"chunked",
        b"Content-Length: 3\r\n",
        b"0",
        b"Transfer-Encoding: chunked\r\n",
        b"-",
        b"%",
        b"\xff",
        b";",
        b"\"",
        b"HTTP/1.1",
        b"99999999999",
    ];
    for _ in 0..600 {
        let mut bytes = Vec::new();
        for _ in 0..1 + random.below(3) {
            bytes.extend_from_slice(random.of(&whole[..]).as_slice());
        }
        for _ in 0..1 + random.below(3) {
            let at = random.below(bytes.len());
            let to = (at + random.below(20)).min(bytes.len());
            match random.below(4) {
                0 => bytes[at] = random.byte(),
                1 => drop(bytes.drain(at..to)),
                2 => {
                    let again = bytes[at..to].to_vec();
                    bytes.splice(at..at, again);
                }
                _ => drop(bytes.splice(at..at, random.of(words).to_vec())),
            }
            if bytes.is_empty() {
                bytes.push(b'G');
            }
        }
        takes(&mut server.client(), &bytes);
    }
    others.was_served();
    server.finish();
}
