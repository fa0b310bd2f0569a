//! Scenarios `huge_headers` and endless heads (R2, §3a): caps are checked as bytes pass.

use std::time::Instant;

use crate::{Client, PATIENCE, Server, get, ms, on_both, secs};

/// One answer with this status, then the end.
#[track_caller]
fn refused(client: &mut Client, status: u16) {
    let response = client.response();
    assert_eq!(response.status, status);
    assert!(response.closes());
    client.ends_somehow();
}

fn target_of(length: usize) -> String {
    format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(length - 1))
}

/// A whole head of so many bytes.
fn head_of(length: usize) -> String {
    let start = "GET /plaintext HTTP/1.1\r\nHost: a\r\nX: ";
    format!("{start}{}\r\n\r\n", "y".repeat(length - start.len() - 4))
}

on_both! {
    fn what_is_just_within_the_caps_is_served_and_what_is_beyond_is_not(backend) {
        let server = Server::on(backend, &[]);
        let fields = |n: usize| {
            // With Host.
            format!("GET /plaintext HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(n - 1))
        };
        let mut client = server.client();
        assert_eq!(client.ask(target_of(8192)).status, 404);
        assert_eq!(client.ask(head_of(60_000)).status, 200);
        assert_eq!(client.ask(fields(100)).status, 200);
        refused(&mut { let mut c = server.client(); c.send(target_of(8193)); c }, 414);
        refused(&mut { let mut c = server.client(); c.send(head_of(66_000)); c }, 431);
        refused(&mut { let mut c = server.client(); c.send(fields(101)); c }, 431);
        assert_eq!(client.ask(get("/plaintext")).status, 200);
        drop(client);
        server.finish();
    }
}

/// Sends `first`, and `again` for ever, until the server ends the connection.
#[track_caller]
fn endless(server: &Server, first: &str, again: &str, statuses: &[u16]) {
    let block = again.repeat(1 + 16_000 / again.len());
    let mut client = server.client();
    let start = Instant::now();
    client.send(first);
    let mut sent = 0;
    // The server reads on for a while, so that its answer arrives; then it has had enough.
    while client.offer(&block).is_ok() {
        sent += block.len();
        assert!(
            start.elapsed() < PATIENCE,
            "{sent} bytes of {again:?} after {first:?}, still taken"
        );
    }
    let what = format!("{again:?} after {first:?}, {sent} bytes");
    match client.try_response() {
        Ok(response) => assert!(statuses.contains(&response.status), "{what}: {}", response.status),
        // It went away while we sent; what it said may be lost by then.
        Err(ending) => assert!(!ending.is_open(), "{what}"),
    }
}

on_both! {
    fn heads_without_end_are_refused_and_cost_little(backend) {
        let server = Server::on(backend, &[]);
        let others = server.bystander();
        let grown = server.process.used_during(|| {
            endless(&server, "", "A", &[400, 501]);
            endless(&server, "GET /", "x", &[414]);
            endless(&server, "GET http://", "x", &[400, 414]);
            endless(&server, "GET / HTTP/1.", "1", &[400]);
            endless(&server, "GET / HTTP/1.1\r\n", "X", &[431]);
            endless(&server, "GET / HTTP/1.1\r\nHost: ", "a", &[400, 431]);
            endless(&server, "GET / HTTP/1.1\r\nX: ", "y", &[431]);
            endless(&server, "GET / HTTP/1.1\r\nX: ", " ", &[431]);
            endless(&server, "GET / HTTP/1.1\r\nHost: a\r\n", "X: y\r\n", &[431]);
            endless(&server, "GET / HTTP/1.1\r\n", "Cookie: a=b; c=d\r\n", &[431]);
            endless(&server, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: ", "0", &[400, 413, 431]);
            endless(&server, "", "\r\n", &[400]);
            endless(&server, "GET /plaintext HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "\r\n", &[200]);
        });
        assert!(grown.time < secs(8), "{grown:?}");
        assert!(server.grown() < 4 * 1024, "{} KiB", server.grown());
        others.was_served();
        server.finish();
    }
}

/// Many at once, each with almost a whole head kept: the cap, times their number, and no more.
#[test]
fn heads_that_are_kept_cost_their_caps() {
    let server = Server::start(&[]);
    let head = head_of(60_000);
    let mut clients: Vec<Client> = (0..100).map(|_| server.client()).collect();
    for client in &mut clients {
        client.send(&head[..head.len() - 1]);
    }
    // All are read by now: this one came last.
    assert_eq!(server.ask(get("/plaintext")).status, 200);
    let grown = server.grown();
    assert!(grown < 100 * 160 + 1024, "{grown} KiB for a hundred heads of 60 kB");
    for client in &mut clients {
        assert_eq!(client.ask("\n").status, 200);
    }
    drop(clients);
    server.finish();
}

/// Linear (R18): twice the head in single bytes is twice the work, in the server's own time.
#[test]
fn a_head_in_single_bytes_takes_linear_time() {
    let server = Server::start(&[]);
    let cost = |length: usize| {
        let head = head_of(length);
        let used = server.process.used_during(|| {
            let mut client = server.client();
            for byte in head.as_bytes().chunks(1) {
                client.send(byte);
            }
            assert_eq!(client.response().status, 200);
        });
        used.time
    };
    cost(1000);
    let (once, twice) = (cost(15_000), cost(60_000));
    // Four times the bytes: 16 times the time if all of them were looked at again and again.
    // How many bytes are read at once is left to chance, so there is a margin.
    let most = once * 8 + ms(150);
    assert!(twice < most, "{once:?} for 15 kB, {twice:?} for 60 kB");
    server.finish();
}
