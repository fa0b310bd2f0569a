//! Scenario `split_requests` (R7): however the bytes arrive, the answers are the same.

use crate::{Client, Random, Server, get, on_both, post};

/// Requests of all kinds in a row, and the method of each, which its answer depends on.
fn conversation() -> Vec<(Vec<u8>, &'static str)> {
    let raw = |text: &str| text.as_bytes().to_vec();
    let kind = "Content-Type: application/x-www-form-urlencoded";
    vec![
        (get("/plaintext"), "GET"),
        (raw("\r\n\r\nHEAD /json HTTP/1.1\r\nHost: a\r\n\r\n"), "HEAD"),
        (post("/echo", b"GET /plaintext HTTP/1.1\r\nHost: a\r\n\r\n"), "POST"),
        (
            raw(
                "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Type: a/b\r\nTransfer-Encoding: chunked\r\n\r\n\
            3\r\nabc\r\n10;x=\"\\\"y\"\r\n0123456789abcdef\r\n0\r\nA: b\r\n\r\n",
            ),
            "POST",
        ),
        (
            raw(&format!(
                "GET /query HTTP/1.1\r\nHost: a\r\n{kind}\r\nContent-Length: 11\r\n\r\na=b+c&d=%41"
            )),
            "POST",
        ),
        (get("/query?a=1&b=%20+&a=2&c"), "GET"),
        (raw("GET /nowhere HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"), "GET"),
        (raw("DELETE /plaintext HTTP/1.1\r\nHost: a\r\n\r\n"), "DELETE"),
        (raw("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"), "OPTIONS"),
        (raw("GET http://b/json HTTP/1.1\r\nHost: a\r\nX: \ty \r\n\r\n"), "GET"),
        (get("/stream?n=3&ms=0"), "GET"),
        (raw("GET /plaintext HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"), "GET"),
        (raw("GET /plaintext HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"), "GET"),
    ]
}

/// What must be equal.
fn answers(client: &mut Client) -> Vec<(u16, String)> {
    let all = conversation();
    let answers = all.iter().map(|(_, method)| {
        let response = client.response_to(method);
        (response.status, String::from_utf8(response.body).unwrap())
    });
    let answers = answers.collect();
    client.ends();
    answers
}

fn bytes() -> Vec<u8> {
    conversation().into_iter().flat_map(|(request, _)| request).collect()
}

on_both! {
    fn the_answers_do_not_depend_on_how_the_requests_arrive(backend) {
        let mut random = Random::seeded(&format!("splits, {backend}"));
        let server = Server::on(backend, &[]);
        let bytes = bytes();
        let mut whole = server.client();
        whole.send(&bytes);
        let expected = answers(&mut whole);
        assert_eq!(expected[2].1, "GET /plaintext HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(expected[3].1, "abc0123456789abcdef");
        let mut barrier = server.client();
        let mut apart = |pieces: &[&[u8]], what: &str| {
            let mut client = server.client();
            client.send_apart(pieces, &mut barrier);
            assert_eq!(answers(&mut client), expected, "{what}");
        };
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        apart(&single, "each byte alone");
        let pairs: Vec<&[u8]> = bytes.chunks(2).collect();
        apart(&pairs, "in pairs");
        for round in 0..15 {
            apart(&random.cut(&bytes), &format!("random pieces, round {round}"));
        }
        drop((whole, barrier));
        server.finish();
    }
}
