//! Scenarios `expect_continue` and `body_always_consumed` (R6, §3.2, §3.5): a body is a body, whoever
//! wants it.

use crate::{Ending, PATIENCE, Server, get, on_both, secs};

/// A body that is a request; it must not be answered.
const SMUGGLED: &str = "GET /query?smuggled=1 HTTP/1.1\r\nHost: a\r\n\r\n";

on_both! {
    fn a_body_is_never_taken_for_a_request(backend) {
        let server = Server::on(backend, &[]);
        let others = server.bystander();
        let methods = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND", "FOO"];
        for method in methods {
            for target in ["/plaintext", "/nowhere", "/query", "/slow?ms=5", "/worker?ms=5", "/stream?n=1&ms=0"] {
                // Within what is drained, and beyond.
                for repeat in [1, 5000] {
                    for chunked in [false, true] {
                        consumed(&server, method, target, repeat, chunked);
                    }
                }
            }
        }
        others.was_served();
        server.finish();
    }
}

#[track_caller]
fn consumed(server: &Server, method: &str, target: &str, repeat: usize, chunked: bool) {
    let body = SMUGGLED.repeat(repeat);
    let length = body.len();
    let (framing, body) = match chunked {
        true => {
            ("Transfer-Encoding: chunked".to_owned(), format!("{length:x}\r\n{body}\r\n0\r\n\r\n"))
        }
        false => (format!("Content-Length: {length}"), body),
    };
    let what = format!("{method} {target}, {framing}, {length} bytes");
    let mut client = server.client();
    let _ =
        client.offer(format!("{method} {target} HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n{body}"));
    let first = match client.try_response_to(method, PATIENCE) {
        Ok(response) => response,
        // The answer may be lost if much was on its way.
        Err(Ending::Reset(_)) if repeat > 1 => return,
        Err(ending) => panic!("{what}: {}", crate::client::shown(&ending)),
    };
    assert!(!String::from_utf8_lossy(&first.body).contains("smuggled"), "{what}");
    if first.closes() {
        client.ends_somehow();
        return;
    }
    match client.offer(get("/query?real=1")).map(|()| client.try_response()) {
        Ok(Ok(response)) => {
            let text = response.text().to_owned();
            assert!(text.contains("real"), "{what}: the next answer is {} {text}", response.status);
        }
        // How long the body is was not known when the answer was; it was too long to be passed over.
        Ok(Err(_)) | Err(_) if chunked && repeat > 1 => {}
        Ok(Err(ending)) => panic!("{what}: said to go on, then {}", crate::client::shown(&ending)),
        Err(error) => panic!("{what}: said to go on, then {error}"),
    }
}

#[test]
fn refusals_say_what_is_allowed() {
    let server = Server::start(&[]);
    let mut client = server.client();
    client.send("DELETE /plaintext HTTP/1.1\r\nHost: a\r\n\r\n");
    let response = client.response();
    assert_eq!(response.status, 405);
    let allow = response.field("Allow").expect("Allow");
    assert!(allow.contains("GET") && allow.contains("HEAD"), "{allow}");
    client.send("HEAD /plaintext HTTP/1.1\r\nHost: a\r\n\r\n");
    let head = client.response_to("HEAD");
    assert_eq!((head.status, head.field("Content-Length")), (200, Some("13")));
    let mut unknown = server.client();
    assert_eq!(unknown.ask("FOO /plaintext HTTP/1.1\r\nHost: a\r\n\r\n").status, 501);
    drop(unknown);
    for refused in
        ["TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n"]
    {
        let mut client = server.client();
        client.send(refused);
        let status = client.response().status;
        assert!([405, 501].contains(&status), "{refused:?}: {status}");
    }
    drop(client);
    server.finish();
}

on_both! {
    fn who_waits_for_100_gets_it_and_then_the_answer(backend) {
        let server = Server::on(backend, &[]);
        let kind = "Content-Type: application/x-www-form-urlencoded\r\n";
        for (target, framing, body) in [
            ("/echo", "Content-Length: 5", "hello"),
            ("/echo", "Transfer-Encoding: chunked", "5\r\nhello\r\n0\r\n\r\n"),
            ("/query", "Content-Length: 5", "a=b&c"),
            ("/query", "Transfer-Encoding: chunked", "3\r\na=b\r\n0\r\n\r\n"),
        ] {
            let mut client = server.client();
            for _ in 0..2 {
                let method = if target == "/echo" { "POST" } else { "GET" };
                client.send(format!("{method} {target} HTTP/1.1\r\nHost: a\r\n{kind}{framing}\r\nExpect: 100-Continue\r\n\r\n"));
                assert_eq!(client.interim(), 100, "{target} {framing}");
                client.send(body);
                let response = client.response();
                assert_eq!((response.status, response.interim.len()), (200, 0), "{target} {framing}");
            }
        }
        server.finish();
    }
}

#[test]
fn nobody_else_gets_100() {
    let server = Server::start(&[]);
    // HTTP/1.0, no body, a body that is there already: answered without it (the last may have it).
    let mut client = server.client();
    client.send("POST /echo HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    assert!(!client.is_told(crate::ms(100)), "100 for HTTP/1.0");
    client.send("ab");
    assert_eq!(client.response().interim, [0; 0]);
    let mut client = server.client();
    let response = client.ask("GET /plaintext HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!((response.status, response.interim.as_slice()), (200, &[][..]));
    let response = client.ask(
        "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nab",
    );
    assert_eq!((response.status, response.body.as_slice()), (200, &b"ab"[..]));
    assert!(response.interim.is_empty(), "100 although the body was there");
    assert_eq!(client.ask(get("/plaintext")).status, 200);
    drop(client);
    server.finish();
}

#[test]
fn a_refusal_comes_instead_of_100_and_ends_the_connection() {
    let server = Server::start(&["--max-body", "1000"]);
    let rows: &[(&str, &str, u16)] = &[
        ("GET /query", "Content-Length: 1001\r\nExpect: 100-continue", 413),
        ("POST /nowhere", "Content-Length: 10\r\nExpect: 100-continue", 404),
        ("POST /plaintext", "Content-Length: 10\r\nExpect: 100-continue", 405),
        ("POST /echo", "Content-Length: 10\r\nExpect: 200-ok", 417),
        ("POST /echo", "Content-Length: 10\r\nExpect: 100-continue, x", 417),
        ("GET /plaintext", "Expect: a=b", 417),
    ];
    for (line, fields, status) in rows {
        let mut client = server.client();
        client.send(format!("{line} HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n"));
        let response = client.response();
        assert_eq!((response.status, response.interim.len()), (*status, 0), "{line} {fields}");
        if *line != "GET /plaintext" {
            assert!(response.closes(), "{line} {fields}: the body may come or not");
            // Whichever the client decides, it is not parsed as a request.
            let _ = client.offer(get("/query?x"));
            assert_eq!(client.end_within(secs(5)).bytes(), b"", "{line} {fields}");
        }
    }
    server.finish();
}

/// Success is never said of a body that did not arrive; a stray CRLF behind one is no request.
#[test]
fn stray_line_ends_behind_a_body_are_passed_over() {
    let server = Server::start(&[]);
    let mut client = server.client();
    for _ in 0..3 {
        client.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab\r\n");
        assert_eq!(client.response().body, b"ab");
    }
    drop(client);
    server.finish();
}
