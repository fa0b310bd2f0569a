//! Scenario `drain` (R12): SIGTERM ends the idle at once, lets the others finish, and ends by itself.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::{Client, Ending, PATIENCE, Server, get, ms, on_both, secs};

on_both! {
    fn idle_connections_end_at_once_and_active_ones_finish(backend) {
        // Nobody else would end the idle ones.
        let options = ["--header-timeout", "600", "--idle-timeout", "600", "--drain-timeout", "60"];
        let server = Server::on(backend, &options);
        let address = server.address();
        let mut idle: Vec<Client> = (0..5).map(|_| server.client()).collect();
        for client in &mut idle[1..] {
            assert_eq!(client.ask(get("/plaintext")).status, 200);
        }
        let mut slow = server.client();
        let begun = Instant::now();
        slow.send(get("/slow?ms=4500"));
        let mut worker = server.client();
        worker.send(get("/worker?ms=4500"));
        let mut stream = server.client();
        stream.send(get("/stream?n=45&ms=100"));
        stream.is_told(PATIENCE);
        let mut upload = server.client();
        upload.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc");
        // All of them are known to the server now.
        assert_eq!(server.ask(get("/plaintext")).status, 200);
        let start = Instant::now();
        server.process.signal(Signal::TERM);
        for client in &mut idle {
            client.ends();
        }
        let waits = |client: &Client| !client.is_told(ms(0));
        assert!(waits(&slow) && waits(&worker), "the idle ones have waited for those who are served");
        assert!(Client::connect(address).is_err(), "somebody new is let in");
        upload.send("def");
        assert_eq!(upload.response().body, b"abcdef");
        upload.ends();
        let response = stream.response();
        assert_eq!(response.body.iter().filter(|b| **b == b'\n').count(), 45);
        stream.ends();
        for mut client in [slow, worker] {
            let response = client.response();
            assert_eq!(response.status, 200);
            assert!(response.closes(), "the last reply says that it is the last");
            client.ends();
        }
        let took = begun.elapsed();
        assert!(took >= ms(4500), "{took:?}");
        let status = server.exit_within(secs(3));
        assert_eq!(status.code(), Some(0));
        assert!(start.elapsed() < secs(20), "long before the limit");
    }
}

on_both! {
    fn at_the_limit_whoever_is_left_is_cut_off(backend) {
        let server = Server::on(backend, &["--drain-timeout", "1"]);
        let mut clients: Vec<Client> = (0..4).map(|_| server.client()).collect();
        clients[0].send(get("/slow?ms=600000"));
        clients[1].send(get("/stream?n=1000000&ms=20"));
        clients[2].send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nabc");
        clients[3].send("GET /plaintext HTTP/1.1\r\nHos");
        assert_eq!(server.ask(get("/plaintext")).status, 200);
        let start = Instant::now();
        server.process.signal(Signal::TERM);
        let status = server.exit_within(secs(5));
        assert_eq!(status.code(), Some(0));
        let took = start.elapsed();
        assert!(took > ms(900) && took < secs(4), "a second is given, it took {took:?}");
        for client in &mut clients {
            assert!(!matches!(client.end_within(PATIENCE), Ending::Open(_)));
        }
    }
}

#[test]
fn a_second_signal_ends_it_at_once() {
    for (first, second) in
        [(Signal::TERM, Signal::TERM), (Signal::INT, Signal::TERM), (Signal::TERM, Signal::INT)]
    {
        let server = Server::start(&["--drain-timeout", "60"]);
        let mut idle = server.client();
        assert_eq!(idle.ask(get("/plaintext")).status, 200);
        let mut slow = server.client();
        slow.send(get("/slow?ms=600000"));
        assert_eq!(server.ask(get("/plaintext")).status, 200);
        server.process.signal(first);
        idle.ends();
        let start = Instant::now();
        server.process.signal(second);
        let status = server.exit_within(secs(3));
        assert_eq!(status.code(), Some(0), "{status:?}");
        assert!(start.elapsed() < secs(2), "{:?}", start.elapsed());
    }
}

/// Requests that came before the signal are answered; the last answer says that it is the last.
#[test]
fn pipelined_requests_behind_an_active_one_are_answered_or_visibly_not() {
    let server = Server::start(&["--drain-timeout", "8"]);
    let mut client = server.client();
    client.send([get("/slow?ms=500"), get("/query?n=1"), get("/query?n=2")].concat());
    assert_eq!(server.ask(get("/plaintext")).status, 200);
    server.process.signal(Signal::TERM);
    let mut last = client.response();
    assert_eq!(last.status, 200);
    while !last.closes() {
        last = client.response();
    }
    assert_eq!(client.end_within(PATIENCE).bytes(), b"");
    assert_eq!(server.exit_within(secs(3)).code(), Some(0));
}

#[test]
fn an_end_with_nobody_there_takes_no_time() {
    for options in [&[][..], &["--threads", "3"]] {
        let server = Server::start(options);
        let start = Instant::now();
        server.process.signal(Signal::INT);
        let status = server.exit_within(secs(3));
        assert_eq!(status.code(), Some(0));
        assert!(start.elapsed() < Duration::from_millis(1500), "{:?}", start.elapsed());
    }
}

#[test]
fn threads_drain_like_one() {
    let server = Server::start(&["--threads", "3", "--drain-timeout", "8"]);
    let mut clients: Vec<Client> = (0..12).map(|_| server.client()).collect();
    for client in &mut clients {
        client.send(get("/slow?ms=600"));
    }
    let mut idle: Vec<Client> = (0..6).map(|_| server.client()).collect();
    for client in &mut idle {
        assert_eq!(client.ask(get("/plaintext")).status, 200);
    }
    server.process.signal(Signal::TERM);
    for client in &mut idle {
        client.ends();
    }
    for client in &mut clients {
        let response = client.response();
        assert!(response.status == 200 && response.closes());
        client.ends();
    }
    assert_eq!(server.exit_within(secs(4)).code(), Some(0));
}
