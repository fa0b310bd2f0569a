//! Scenario `pipeline_flood`, `others_served_during` (R2, R4): more requests at once than are good for
//! anybody.

use std::io::Write as _;
use std::time::Instant;

use crate::{Client, Server, get, ms, on_both, secs, until};

/// Requests with numbers that come back in the answers.
fn numbered(range: std::ops::Range<usize>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for n in range {
        write!(bytes, "GET /query?n={n} HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    }
    bytes
}

#[track_caller]
fn answers(client: &mut Client, range: std::ops::Range<usize>) {
    for n in range {
        let response = client.response();
        let text: String = response.text().split_whitespace().collect();
        assert_eq!((response.status, text), (200, format!("[[\"n\",\"{n}\"]]")));
    }
}

on_both! {
    fn a_flood_of_requests_is_answered_in_order_and_others_are_served_during_it(backend) {
        let server = Server::on(backend, &[]);
        let others = server.bystander();
        let address = server.address();
        let floods: Vec<_> = (0..3)
            .map(|_| {
                std::thread::spawn(move || {
                    let mut client = Client::connect(address).unwrap();
                    for start in (0..6000).step_by(500) {
                        client.send(numbered(start..start + 500));
                        answers(&mut client, start..start + 500);
                    }
                })
            })
            .collect();
        for flood in floods {
            flood.join().unwrap();
        }
        others.was_served();
        assert!(server.grown() < 8 * 1024, "{} KiB", server.grown());
        server.finish();
    }
}

on_both! {
    fn a_flood_that_reads_no_answers_is_no_longer_read(backend) {
        let server = Server::on(backend, &[]);
        let others = server.bystander();
        let block = numbered(0..2000);
        let mut clients: Vec<Client> = (0..4).map(|_| server.narrow_client()).collect();
        let mut sent = 0;
        for client in &mut clients {
            // Until nothing is taken any more. The system's own buffers are several megabytes.
            for round in 0.. {
                // The system alone may keep 32 megabytes for a connection that is not read.
                assert!(round < 1500, "the server takes everything: {sent} bytes");
                let grown = server.grown();
                assert!(grown < 16 * 1024, "{grown} KiB kept, after {sent} bytes");
                let took = client.offer_within(&block, ms(150)).unwrap();
                sent += took;
                if took < block.len() {
                    break;
                }
            }
        }
        let grown = server.grown();
        assert!(grown < 4 * 1024, "{grown} KiB for four clients, who sent {sent} bytes");
        others.was_served();
        // Nothing was lost: one of them begins to read.
        answers(&mut clients[0], 0..1500);
        drop(clients);
        server.finish();
    }
}

on_both! {
    /// Reading is held back too: what is sent faster than it is answered is not kept by the server.
    fn a_flood_that_is_faster_than_the_answers_is_held_back(backend) {
        let server = Server::on(backend, &[]);
        let others = server.bystander();
        let block = numbered(0..2000);
        let mut client = server.client();
        let (start, mut sent, mut most) = (Instant::now(), 0, 0);
        while start.elapsed() < ms(1000) {
            // On where it was held back.
            let rest = &block[sent % block.len()..];
            sent += client.offer_within(rest, ms(50)).unwrap();
            client.pump();
            most = most.max(server.grown());
        }
        assert!(most < 4 * 1024, "{most} KiB for one client, who sent {sent} bytes");
        others.was_served();
        client.reset();
        server.finish();
    }
}

/// Requests that came before the client left in order are answered; the one that is half there is not.
#[test]
fn a_flood_that_ends_with_half_a_request_is_answered_up_to_there() {
    let server = Server::start(&[]);
    let mut client = server.client();
    client.send([numbered(0..100), b"GET /query?n=100 HTTP/1.1\r\nHo".to_vec()].concat());
    client.half_close();
    answers(&mut client, 0..100);
    if let Ok(response) = client.try_response() {
        assert_eq!(response.status, 400);
    }
    client.ends_somehow();
    drop(client);
    server.finish();
}

/// Behind a reply that takes its time, requests are kept up to a cap, then they stay with the client.
#[test]
fn requests_behind_a_slow_one_are_not_hoarded() {
    let server = Server::start(&[]);
    let others = server.bystander();
    let mut clients: Vec<Client> = (0..10).map(|_| server.client()).collect();
    let mut whole = 0;
    let block = numbered(0..20_000);
    for client in &mut clients {
        client.send(get("/slow?ms=2500"));
        whole += client.offer_within(&block, ms(50)).unwrap();
    }
    until("they are being served", || server.stats().count("connections", "open") >= 10);
    let grown = server.grown();
    assert!(grown < 10 * 400 + 1024, "{grown} KiB, after {whole} bytes");
    for client in &mut clients {
        assert_eq!(client.response().status, 200);
        answers(client, 0..50);
    }
    drop(clients);
    others.was_served();
    server.finish();
}

/// More connections than the limit: those that are served, are served; the others wait or are told.
#[test]
fn beyond_the_limit_of_connections_nobody_who_is_served_notices() {
    let server = Server::start(&["--max-connections", "8"]);
    let mut served: Vec<Client> = (0..8).map(|_| server.client()).collect();
    for client in &mut served {
        assert_eq!(client.ask(get("/plaintext")).status, 200);
    }
    let mut late: Vec<Client> = (0..8).map(|_| server.client()).collect();
    for client in &mut late {
        let _ = client.offer(get("/plaintext"));
    }
    for client in &mut served {
        assert_eq!(client.ask(get("/plaintext")).status, 200);
    }
    drop(served);
    for client in &mut late {
        // In the queue until now, or told that there is no room.
        if let Ok(response) = client.try_response_to("GET", secs(5)) {
            assert!([200, 503].contains(&response.status), "{}", response.status);
        }
    }
    drop(late);
    server.finish();
}
