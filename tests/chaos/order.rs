//! Scenario `order_and_fairness` (R4, R7): each request is answered once, in order, and nobody waits for
//! another's slow one.

use std::time::{Duration, Instant};

use crate::{Client, Random, Server, get, ms, on_both, post, secs};

/// A request and what its answer must be.
type Asked = (Vec<u8>, &'static str, Expected);

#[derive(Clone)]
enum Expected {
    Body(Vec<u8>),
    Lines(usize),
    Any,
    Empty,
}

/// One at random. Numbers tell similar ones apart.
fn any(random: &mut Random, n: usize) -> Asked {
    let numbered = |n| Expected::Body(format!("[[\"n\",\"{n}\"]]").into_bytes());
    match random.below(9) {
        0 => (get(&format!("/slow?ms={}", random.below(30))), "GET", Expected::Any),
        1 => (get(&format!("/worker?ms={}", random.below(30))), "GET", Expected::Any),
        2 => {
            let lines = random.below(20);
            (
                get(&format!("/stream?n={lines}&ms={}", random.below(3))),
                "GET",
                Expected::Lines(lines),
            )
        }
        3 => (b"HEAD /plaintext HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(), "HEAD", Expected::Empty),
        4 => {
            let length = random.below(20_000);
            let body = random.bytes(length);
            (post("/echo", &body), "POST", Expected::Body(body))
        }
        5 => (get("/plaintext"), "GET", Expected::Body(b"Hello, World!".to_vec())),
        _ => (get(&format!("/query?n={n}")), "GET", numbered(n)),
    }
}

#[track_caller]
fn answered(client: &mut Client, asked: &Asked) {
    let response = client.response_to(asked.1);
    let shown = asked.0[..asked.0.len().min(60)].escape_ascii();
    assert_eq!(response.status, 200, "{shown}");
    let is_json = response.field("Content-Type").is_some_and(|kind| kind.contains("json"));
    let body: Vec<u8> = match is_json {
        true => response.body.into_iter().filter(|b| !b.is_ascii_whitespace()).collect(),
        false => response.body,
    };
    match &asked.2 {
        Expected::Body(expected) => assert!(body == *expected, "{shown}: another body"),
        Expected::Lines(lines) => {
            assert_eq!(body.iter().filter(|b| **b == b'\n').count(), *lines, "{shown}");
        }
        Expected::Empty => assert!(body.is_empty(), "{shown}"),
        Expected::Any => {}
    }
}

/// How long the smallest of answers takes.
#[track_caller]
fn asked_plainly(client: &mut Client) -> Duration {
    let start = Instant::now();
    assert_eq!(client.ask(get("/plaintext")).status, 200);
    start.elapsed()
}

on_both! {
    fn pipelined_requests_are_answered_once_each_in_order(backend) {
        let mut random = Random::seeded(&format!("order, {backend}"));
        let server = Server::on(backend, &[]);
        let others = server.bystander();
        let mut clients: Vec<Client> = (0..4).map(|_| server.client()).collect();
        for round in 0..3 {
            let mut all = Vec::new();
            for client in &mut clients {
                let asked: Vec<Asked> = (0..30).map(|n| any(&mut random, round * 100 + n)).collect();
                let bytes: Vec<u8> = asked.iter().flat_map(|(request, ..)| request.clone()).collect();
                for piece in random.cut(&bytes) {
                    client.send(piece);
                    client.pump();
                }
                all.push(asked);
            }
            for (client, asked) in clients.iter_mut().zip(&all) {
                asked.iter().for_each(|asked| answered(client, asked));
            }
        }
        drop(clients);
        others.was_served();
        server.finish();
    }
}

#[test]
fn a_slow_answer_holds_up_its_own_connection_alone() {
    let server = Server::start(&[]);
    let mut slow: Vec<Client> = (0..20).map(|_| server.client()).collect();
    let start = Instant::now();
    for client in &mut slow {
        client.send([get("/slow?ms=4500"), get("/query?n=1")].concat());
    }
    let mut client = server.client();
    let mut times: Vec<_> = (0..50).map(|_| asked_plainly(&mut client)).collect();
    assert!(start.elapsed() < ms(4200), "fast ones took {:?}", start.elapsed());
    times.sort();
    assert!(times[25] < ms(28), "the median of fast ones is {:?}", times[25]);
    assert!(!slow[0].is_told(ms(0)), "the second is not answered before the first");
    for client in &mut slow {
        assert_eq!(client.response().status, 200);
        assert_eq!(
            client.response().text().split_whitespace().collect::<String>(),
            "[[\"n\",\"1\"]]"
        );
    }
    let took = start.elapsed();
    assert!(took > ms(4490) && took < secs(9), "all at once, after {took:?}");
    drop((slow, client));
    server.finish();
}

/// Bulk in both directions on one connection: the others' small requests go between.
#[test]
fn bulk_does_not_hold_up_small_requests() {
    let server = Server::start(&[]);
    let address = server.address();
    let mut bulk = server.client();
    bulk.send(get("/stream?n=100000000&ms=0"));
    let reader = std::thread::spawn(move || {
        let start = Instant::now();
        let mut got = 0;
        while start.elapsed() < secs(1) {
            got += bulk.swallow(256 * 1024);
        }
        got
    });
    let mut client = Client::connect(address).unwrap();
    let mut times: Vec<_> = (0..200).map(|_| asked_plainly(&mut client)).collect();
    times.sort();
    assert!(times[100] < ms(100), "the median of small requests beside bulk is {:?}", times[100]);
    assert!(reader.join().unwrap() > 100_000, "and the bulk arrives");
    drop(client);
    server.finish();
}
