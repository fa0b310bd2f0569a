//! Scenario `smuggling` (R6): what is ambiguous is refused, the connection ends, and nothing after it is
//! taken for a request; and what is only unusual is served.

use crate::smuggling_tables::{Row, chunks, fields, framings, request_lines};
use crate::{Client, Ending, PATIENCE, Response, Server, client, get, on_both, secs};

/// What must never be answered.
const SECOND: &str = "GET /query?smuggled=1 HTTP/1.1\r\nHost: a\r\n\r\n";

#[derive(Clone, Copy, Debug)]
enum Sent {
    Whole,
    ByteByByte,
}

/// Sends it, whatever the server does meanwhile.
fn send(client: &mut Client, bytes: &[u8], how: Sent) {
    let step = match how {
        Sent::Whole => bytes.len(),
        // What is long is about a cap; its bytes are not all interesting.
        Sent::ByteByByte if bytes.len() > 2000 => 97,
        Sent::ByteByByte => 1,
    };
    for piece in bytes.chunks(step) {
        if client.offer(piece).is_err() {
            return;
        }
    }
}

/// One answer with one of the statuses, then the end.
fn check(server: &Server, raw: &[u8], statuses: &[u16], how: Sent) -> Result<(), String> {
    let mut client = server.client();
    send(&mut client, &[raw, SECOND.as_bytes()].concat(), how);
    let response = client.try_response().map_err(|ending| client::shown(&ending))?;
    let Response { status, .. } = response;
    if !statuses.contains(&status) {
        return Err(format!("answered {status}, not {statuses:?}"));
    }
    if !response.closes() {
        return Err(format!("answered {status} without Connection: close"));
    }
    let ending = client.end_within(PATIENCE);
    match (&ending, how) {
        (Ending::Eof(rest), _) | (Ending::Reset(rest), Sent::ByteByByte) if rest.is_empty() => {
            Ok(())
        }
        _ => Err(format!("after the {status}: {}", client::shown(&ending))),
    }
}

/// All rows, and then one message about all that failed.
#[track_caller]
fn refuses(backend: &str, rows: &[Row], whole: impl Fn(&[u8]) -> Vec<u8>) {
    let server = Server::on(backend, &[]);
    let others = server.bystander();
    let mut wrong = Vec::new();
    for row in rows {
        for how in [Sent::Whole, Sent::ByteByByte] {
            let raw = whole(&row.bytes);
            if let Err(what) = check(&server, &raw, row.statuses, how) {
                let shown = raw[..raw.len().min(200)].escape_ascii();
                wrong.push(format!("{how:?} \"{shown}\": {what}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), 2 * rows.len(), wrong.join("\n"));
    others.was_served();
    server.finish();
}

on_both! {
    fn request_lines_that_are_wrong_end_the_connection(backend) {
        refuses(backend, &request_lines(), <[u8]>::to_vec);
    }
}

on_both! {
    fn fields_that_are_wrong_end_the_connection(backend) {
        refuses(backend, &fields(), <[u8]>::to_vec);
    }
}

on_both! {
    fn framing_that_is_ambiguous_ends_the_connection(backend) {
        refuses(backend, &framings(), |head| {
            // Whatever a lenient server takes for the body, the second request comes behind it.
            [head, b"0\r\n\r\n"].concat()
        });
    }
}

on_both! {
    fn chunks_that_are_wrong_end_the_connection(backend) {
        refuses(backend, &chunks(), |body| {
            let head = "GET /query HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\n\
                Transfer-Encoding: chunked\r\n\r\n";
            [head.as_bytes(), body].concat()
        });
    }
}

/// Where the body is streamed, or of no interest, the answer may have begun before the fault is
/// seen: then it is cut short, but the second request is as dead.
#[test]
fn after_a_wrong_chunk_nothing_is_answered_on_any_route() {
    let server = Server::start(&[]);
    let fields = "Host: a\r\nTransfer-Encoding: chunked\r\n";
    for line in
        ["POST /echo", "POST /plaintext", "GET /plaintext", "HEAD /plaintext", "POST /nowhere"]
    {
        for row in chunks() {
            let head = format!("{line} HTTP/1.1\r\n{fields}\r\n");
            let mut client = server.client();
            let raw = [head.as_bytes(), &row.bytes, SECOND.as_bytes()].concat();
            send(&mut client, &raw, Sent::Whole);
            let method = line.split(' ').next().unwrap();
            let answer = client.try_response_to(method, PATIENCE);
            let ending = client.end_within(PATIENCE);
            let what = raw[..raw.len().min(200)].escape_ascii();
            assert!(!ending.is_open(), "\"{what}\": {}", client::shown(&ending));
            assert_eq!(ending.bytes(), b"", "\"{what}\": {}", client::shown(&ending));
            match answer {
                // A reply that was complete before, or the fault's own.
                Ok(Response { status, .. }) if line == "POST /echo" => {
                    assert_ne!(status, 200, "\"{what}\"")
                }
                Ok(Response { status, .. }) => {
                    assert!(
                        [200, 400, 404, 405, 413, 431].contains(&status),
                        "\"{what}\": {status}"
                    );
                }
                Err(cut) => {
                    let text = String::from_utf8_lossy(cut.bytes());
                    // Begun, and perhaps not even sent.
                    let begun = text.is_empty() || text.starts_with("HTTP/1.1 200 ");
                    assert!(line == "POST /echo" && begun, "\"{what}\": {text}");
                    assert!(!text.contains("smuggled"), "{text}");
                }
            }
        }
    }
    server.finish();
}

/// Unusual but unambiguous: served, and the connection goes on.
#[test]
fn what_is_only_unusual_is_served() {
    let server = Server::start(&[]);
    let good: &[&str] = &[
        "GET /plaintext HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /plaintext HTTP/1.2\r\nHost: a\r\n\r\n",
        "GET /plaintext HTTP/1.9\r\nHost: a\r\n\r\n",
        "\r\n\r\n\r\n\r\nGET /plaintext HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET http://b/plaintext HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET https://b:443/plaintext HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET HTTP://b/plaintext HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /plaintext?\"|{}^`\\ HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /x/../plaintext HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /%70laintext HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /plaintext HTTP/1.1\r\nHost:\r\n\r\n",
        "GET /plaintext HTTP/1.1\r\nHost:a\r\n\r\n",
        "GET /plaintext HTTP/1.1\r\nHost: \t a \t\r\n\r\n",
        "GET /plaintext HTTP/1.1\r\nhOsT: a:80\r\n\r\n",
        "GET /plaintext HTTP/1.1\r\nHost: [::1]:80\r\n\r\n",
        "GET /plaintext HTTP/1.1\r\nHost: a\r\nX:\r\nX: b\r\n!#$%&'*+-.^_`|~: \u{e9}\tc\r\n\r\n",
        "GET /plaintext HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
        "GET /plaintext HTTP/1.1\r\nHost: a\r\nContent-Length: 0000005\r\n\r\nhello",
        "GET /plaintext HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \t cHuNkEd \t\r\n\r\n0\r\n\r\n",
        "GET /plaintext HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0005\r\nhello\r\n000\r\n\r\n",
        "GET /plaintext HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
         A;a;b=c ; d = \"e;\\\"\t\"\r\n0123456789\r\n0;last\r\nTrailer-A: 1\r\nB:\r\n\r\n",
        "GET /plaintext HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
        "GET /plaintext HTTP/1.1\r\nHost: a\r\nConnection: closed, x-close\r\n\r\n",
        "GET /plaintext HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    ];
    let mut wrong = Vec::new();
    for raw in good {
        for how in [Sent::Whole, Sent::ByteByByte] {
            let mut client = server.client();
            send(&mut client, raw.as_bytes(), how);
            match client.try_response_to("GET", secs(5)) {
                Ok(response) if response.body == b"Hello, World!" && !response.closes() => {}
                Ok(response) => {
                    wrong.push(format!(
                        "{how:?} {raw:?}: {} {:?}",
                        response.status, response.fields
                    ));
                    continue;
                }
                Err(ending) => {
                    wrong.push(format!("{how:?} {raw:?}: {}", client::shown(&ending)));
                    continue;
                }
            }
            if client.ask(get("/query?next=1")).status != 200 {
                wrong.push(format!("{how:?} {raw:?}: the next request is not served"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    server.finish();
}

/// After `Connection: close`, and after HTTP/1.0, what follows is not parsed.
#[test]
fn nothing_is_answered_behind_a_request_that_closes() {
    let server = Server::start(&[]);
    let last: &[&str] = &[
        "GET /plaintext HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        "GET /plaintext HTTP/1.1\r\nHost: a\r\nConnection: x, ClOsE\r\n\r\n",
        "GET /plaintext HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\nConnection: close\r\n\r\n",
        "GET /plaintext HTTP/1.0\r\nHost: a\r\n\r\n",
        "GET /plaintext HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 13\r\nConnection: close\r\n\r\nHello, World!",
    ];
    for raw in last {
        let mut client = server.client();
        client.send([raw.as_bytes(), SECOND.as_bytes()].concat());
        let response = client.response();
        assert_eq!(
            (response.status, response.body.as_slice()),
            (200, &b"Hello, World!"[..]),
            "{raw:?}"
        );
        assert!(response.closes(), "{raw:?}");
        client.ends();
    }
    server.finish();
}
