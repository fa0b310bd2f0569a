//! Scenarios `rst_mid` and disconnects (R3, R7, R9): clients that leave, in every phase, and that the
//! server notices it.

use std::time::Instant;

use crate::{Client, Random, Server, get, ms, on_both, post, secs, until};

/// A phase to leave in: what is sent, and whether to wait for the beginning of an answer.
const PHASES: &[(&str, bool)] = &[
    ("", false),
    ("G", false),
    ("GET / HTTP/1.1\r\nHost: a\r\n", false),
    ("GET /plaintext HTTP/1.1\r\nHost: a\r\n\r\n", false),
    ("GET /plaintext HTTP/1.1\r\nHost: a\r\n\r\n", true),
    ("GET /plaintext HTTP/1.1\r\nHost: a\r\n\r\nGET /pl", true),
    ("GET /query HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n", false),
    ("GET /query HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\na=b", false),
    ("GET /query HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\na", false),
    ("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nabc", true),
    ("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", true),
    ("POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n", true),
    ("GET /slow?ms=100000 HTTP/1.1\r\nHost: a\r\n\r\n", false),
    ("GET /slow?ms=100000 HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", false),
    ("GET /worker?ms=20 HTTP/1.1\r\nHost: a\r\n\r\n", false),
    ("GET /stream?n=100000&ms=1 HTTP/1.1\r\nHost: a\r\n\r\n", true),
    ("GET /stream?n=10000000&ms=0 HTTP/1.1\r\nHost: a\r\n\r\n", true),
    ("GET / HTTP/9.1\r\nHost: a\r\n\r\n", false),
    ("GET / HTTP/9.1\r\nHost: a\r\n\r\n", true),
];

on_both! {
    fn a_reset_in_any_phase_ends_one_connection_and_no_other(backend) {
        let mut random = Random::seeded(&format!("resets, {backend}"));
        let server = Server::on(backend, &[]);
        let others = server.bystander();
        for _ in 0..8 {
            for (bytes, told) in PHASES {
                let mut client = server.client();
                client.send(bytes);
                if *told {
                    assert!(client.is_told(secs(10)), "{bytes:?}");
                } else if random.one_in(2) {
                    // So that it was read.
                    server.ask(get("/plaintext"));
                }
                client.reset();
            }
        }
        others.was_served();
        server.await_descriptors_released();
        let used = server.process.used_during(|| std::thread::sleep(ms(300)));
        assert!(used.time < ms(50), "{used:?} after everybody has left");
        assert_eq!(server.stats().count("connections", "open"), 1);
        server.finish();
    }
}

/// Once the client is gone in order (FIN to everything it had, and nothing reads), the rest ends too.
#[test]
fn clients_that_just_close_leave_nothing_behind() {
    let server = Server::start(&[]);
    let others = server.bystander();
    for _ in 0..8 {
        for (bytes, told) in PHASES {
            // Half-closed clients are answered, so what never ends by itself is left out.
            if !bytes.contains("ms=100000") {
                let mut client = server.client();
                client.send(bytes);
                if *told {
                    client.is_told(secs(10));
                }
            }
        }
    }
    others.was_served();
    server.await_descriptors_released();
    server.finish();
}

/// How many more completions with this reason there are now.
#[track_caller]
fn until_completed(server: &Server, reason: &str, count: u64, within: std::time::Duration) {
    crate::until_within(within, &format!("{count} completions: {reason}"), || {
        server.stats().count("completions", reason) >= count
    });
}

on_both! {
    fn who_leaves_while_a_handler_works_is_noticed_at_once(backend) {
        let server = Server::on(backend, &[]);
        let before = server.stats().count("completions", "client-aborted");
        let mut clients: Vec<Client> = (0..6).map(|_| server.client()).collect();
        for client in &mut clients[..4] {
            client.send(get("/slow?ms=60000"));
        }
        clients[2].send(get("/plaintext").repeat(3));
        for client in &mut clients[4..] {
            client.send(get("/worker?ms=3000"));
        }
        server.ask(get("/plaintext"));
        let start = Instant::now();
        clients.into_iter().for_each(Client::reset);
        until_completed(&server, "client-aborted", before + 6, ms(2500));
        assert!(start.elapsed() < ms(2500));
        server.finish();
    }
}

on_both! {
    /// Or threads for an hour each would be had for a request each.
    fn threads_that_work_for_nobody_end(backend) {
        let server = Server::on(backend, &[]);
        server.ask(get("/plaintext"));
        let before = server.process.threads();
        for _ in 0..3 {
            let clients: Vec<Client> = (0..20).map(|_| server.client()).collect();
            for mut client in clients {
                client.send(get("/worker?ms=3600000"));
                server.ask(get("/plaintext"));
                client.reset();
            }
        }
        until("no thread that works for nobody", || server.process.threads() == before);
        server.finish();
    }
}

on_both! {
    /// Or there would be as many threads as connections.
    fn threads_that_work_are_64_and_further_requests_are_503(backend) {
        let server = Server::on(backend, &[]);
        server.ask(get("/plaintext"));
        let before = server.process.threads();
        let mut clients: Vec<Client> = (0..80).map(|_| server.client()).collect();
        for client in &mut clients {
            client.send(get("/worker?ms=3600000"));
            // So that they come in this order.
            server.ask(get("/plaintext"));
        }
        assert_eq!(server.process.threads(), before + 64);
        for client in &mut clients[64..] {
            let response = client.response();
            assert_eq!((response.status, response.field("Retry-After")), (503, Some("1")));
        }
        // Each that leaves makes room for another.
        let mut last = clients.pop().unwrap();
        clients.into_iter().for_each(Client::reset);
        until("no thread that works for nobody", || server.process.threads() == before);
        assert_eq!(last.ask(get("/worker?ms=1")).status, 200);
        drop(last);
        server.finish();
    }
}

/// Leaves with RST when a request waits; whatever else it has said, the completion comes at once.
#[track_caller]
fn noticed(backend: &str, prepare: impl FnOnce(&mut Client)) {
    let server = Server::on(backend, &[]);
    let before = server.stats().count("completions", "client-aborted");
    let mut client = server.client();
    client.send(get("/slow?ms=60000"));
    prepare(&mut client);
    server.ask(get("/plaintext"));
    client.reset();
    until_completed(&server, "client-aborted", before + 1, ms(2500));
    server.finish();
}

on_both! {
    /// Reading has paused by then, so only the hang-up is watched.
    fn who_leaves_with_many_requests_waiting_is_noticed_at_once(backend) {
        noticed(backend, |client| {
            client.offer_within(&get("/plaintext").repeat(20_000), ms(50)).unwrap();
        });
    }
}

on_both! {
    /// The end of its side was allowed; the reset behind it is another thing.
    fn who_leaves_after_ending_its_side_is_noticed_at_once(backend) {
        noticed(backend, |client| client.half_close());
    }
}

#[test]
fn who_leaves_during_a_stream_is_noticed() {
    let server = Server::start(&[]);
    let before = server.stats().failed();
    let mut clients: Vec<Client> = (0..3).map(|_| server.client()).collect();
    clients[0].send(get("/stream?n=1000000&ms=5"));
    clients[1].send(get("/stream?n=1000000&ms=5"));
    clients[2].send(get("/stream?n=1000000000&ms=0"));
    for client in &mut clients {
        client.is_told(secs(10));
    }
    // One with RST, two by closing with unread bytes, which is the same to the server.
    clients.remove(0).reset();
    drop(clients);
    until("three completions that are not ok", || server.stats().failed() == before + 3);
    server.finish();
}

#[test]
fn who_leaves_within_a_body_is_noticed_and_never_counted_as_served() {
    let server = Server::start(&[]);
    let before = (server.stats().failed(), server.stats().count("completions", "ok"));
    let heads = ["GET /query", "POST /echo"];
    let framings = ["Content-Length: 100\r\n\r\nabc", "Transfer-Encoding: chunked\r\n\r\n9\r\nabc"];
    let mut count = 0;
    for head in heads {
        for framing in framings {
            for reset in [false, true] {
                let mut client = server.client();
                client.send(format!("{head} HTTP/1.1\r\nHost: a\r\n{framing}"));
                server.ask(get("/plaintext"));
                if reset {
                    client.reset();
                }
                count += 1;
            }
        }
    }
    until("all of them completed, and not well", || server.stats().failed() == before.0 + count);
    server.finish();
}

/// Each request is completed exactly once, whatever happened to it.
#[test]
fn completions_add_up_to_requests() {
    let mut random = Random::seeded("completions");
    let server = Server::start(&[]);
    for _ in 0..150 {
        let mut client = server.client();
        let request = match random.below(6) {
            0 => get("/slow?ms=30"),
            1 => get("/worker?ms=10"),
            2 => post("/echo", &vec![b'x'; 50_000]),
            3 => get("/stream?n=100&ms=1"),
            4 => get("/nowhere"),
            _ => get("/plaintext"),
        };
        client.send(
            &request[..if random.one_in(4) { random.below(request.len()) } else { request.len() }],
        );
        match random.below(4) {
            0 => client.reset(),
            1 => drop(client),
            2 => {
                client.half_close();
                let _ = client.end_within(secs(5));
            }
            _ => {
                client.is_told(ms(20));
            }
        }
    }
    server.await_descriptors_released();
    let stats = server.stats();
    let completed = stats.failed() + stats.count("completions", "ok");
    let requests = stats.count("", "requests");
    // The question itself is a request, and not answered yet when it is counted.
    assert!(requests - completed <= 1, "{requests} requests, {completed} completions");
    server.finish();
}
