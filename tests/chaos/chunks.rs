//! Scenario `tiny_chunks` (R18): bodies in the smallest pieces, cut anywhere.

use std::time::Duration;

use crate::{Client, Random, Server, get, on_both};

const HEAD: &[u8] = b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";

on_both! {
    /// `split_anywhere`: the same body, whatever two reads it comes in.
    fn a_chunked_body_may_be_split_anywhere(backend) {
        let server = Server::on(backend, &[]);
        let mut barrier = server.client();
        let body: &[u8] = b"5\r\nhello\r\n1;a=\"x\\\"\";b\r\n,\r\n00a\r\n 012345678\r\n0;end\r\nTrailer: one\r\nB: \r\n\r\n";
        let whole = [HEAD, body].concat();
        let mut client = server.client();
        for at in 0..=whole.len() {
            let (first, second) = whole.split_at(at);
            client.send_apart(&[first], &mut barrier);
            client.send(second);
            let response = client.response();
            assert_eq!((response.status, response.text()), (200, "hello, 012345678"), "split at {at}");
        }
        // And every byte alone.
        let pieces: Vec<&[u8]> = whole.chunks(1).collect();
        client.send_apart(&pieces, &mut barrier);
        assert_eq!(client.response().text(), "hello, 012345678");
        drop((client, barrier));
        server.finish();
    }
}

/// `in_linear_time`: by the server's own time, in one write and in many.
#[test]
fn four_times_the_chunks_take_four_times_the_time() {
    let server = Server::start(&["--max-body", "1000000"]);
    let kind = "Content-Type: application/x-www-form-urlencoded";
    let buffered =
        format!("GET /query HTTP/1.1\r\nHost: a\r\n{kind}\r\nTransfer-Encoding: chunked\r\n\r\n");
    for head in [HEAD, buffered.as_bytes()] {
        let cost = |count: usize| -> Duration {
            let bytes = [head, "1\r\nx\r\n".repeat(count).as_bytes(), b"0\r\n\r\n"].concat();
            let used = server.process.used_during(|| {
                let mut client = server.client();
                // The reply is read meanwhile: an echo of single bytes is six times as long.
                for piece in bytes.chunks(30_000) {
                    client.send(piece);
                    client.pump();
                }
                let response = client.response();
                assert_eq!(response.status, 200);
                if head == HEAD {
                    assert_eq!(response.body.len(), count);
                }
            });
            used.time
        };
        cost(500);
        let (once, four) = (cost(20_000), cost(80_000));
        let most = once * 8 + Duration::from_millis(20);
        assert!(four < most, "{once:?} for 20 000 chunks, {four:?} for 80 000");
    }
    server.finish();
}

/// Random bodies in random chunks in random reads, all come back.
#[test]
fn random_chunks_in_random_pieces_come_back() {
    let mut random = Random::seeded("chunks");
    let server = Server::start(&[]);
    let mut client: Client = server.client();
    for round in 0..60 {
        let length = *random.of(&[0, 1, 100, 5000]);
        let body = random.bytes(length);
        let mut bytes = HEAD.to_vec();
        for piece in random.cut(&body) {
            let zeros = "0".repeat(random.below(4));
            let extension = *random.of(&["", ";a", ";a=b", ";a=\"\\\"b\"", " ; a = b"]);
            bytes.extend_from_slice(format!("{zeros}{:x}{extension}\r\n", piece.len()).as_bytes());
            bytes.extend_from_slice(piece);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(random.of(&["0\r\n\r\n", "000;x\r\nA: b\r\n\r\n"]).as_bytes());
        for piece in random.cut(&bytes) {
            client.send(piece);
        }
        let response = client.response();
        assert_eq!(response.status, 200, "round {round}");
        assert!(response.body == body, "round {round}: another body");
    }
    assert_eq!(client.ask(get("/plaintext")).status, 200);
    drop(client);
    server.finish();
}
