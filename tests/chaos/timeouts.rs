//! Scenario `timeouts` (R5, §3.8): everything that is waited for has an end.
//!
//! One server with short limits; the peers of a scenario wait side by side.

use std::time::{Duration, Instant};

use crate::{Client, PATIENCE, Server, client, get, ms, on_both, secs, until};

const SHORT: &[&str] = &[
    "--header-timeout",
    "1",
    "--body-timeout",
    "1",
    "--idle-timeout",
    "1",
    "--write-timeout",
    "1",
];

/// The pauses of a peer are far shorter, and add up to twice as much.
const LONGER: &[&str] = &[
    "--header-timeout",
    "3",
    "--body-timeout",
    "3",
    "--idle-timeout",
    "3",
    "--write-timeout",
    "3",
];

/// No other limit than for what is written.
const WRITE_ALONE: &[&str] = &[
    "--header-timeout",
    "600",
    "--body-timeout",
    "600",
    "--idle-timeout",
    "600",
    "--write-timeout",
    "1",
];

/// Not before the second is over (a clock may be read a little early), and not much later. Time-outs
/// that follow one another may add up to two seconds.
#[track_caller]
fn in_time(start: Instant) {
    let took = start.elapsed();
    assert!(took >= ms(900) && took < secs(5), "after {took:?}");
}

/// Waits for 408 and the end.
#[track_caller]
fn timed_out(client: &mut Client, start: Instant) {
    let response = client.response();
    in_time(start);
    assert_eq!(response.status, 408);
    assert!(response.closes());
    client.ends_somehow();
}

/// Sends a byte every now and then until the server says something or ends the connection.
fn drip(client: &mut Client, bytes: &[u8], pause: Duration) {
    for byte in bytes.iter().cycle().take(400) {
        if client.is_told(pause) || client.offer([*byte]).is_err() {
            break;
        }
    }
}

fn a_connection_that_says_nothing_is_closed_without_a_word(mut client: Client) {
    let start = Instant::now();
    client.ends();
    in_time(start);
}

fn a_head_that_stops_is_answered_408(mut client: Client) {
    let start = Instant::now();
    client.send("GET / HTTP/1.1\r\nHost: a\r\nX: ");
    timed_out(&mut client, start);
}

fn a_head_in_drips_is_answered_408_when_the_whole_time_is_over(mut client: Client) {
    let start = Instant::now();
    client.send("GET / HTTP/1.1\r\nHost: a\r\nX: ");
    drip(&mut client, b"y", ms(50));
    timed_out(&mut client, start);
}

fn single_bytes_from_the_start_do_not_help(mut client: Client) {
    let start = Instant::now();
    let head = format!("GET /{} HTTP/1.1\r\n", "x".repeat(400));
    drip(&mut client, head.as_bytes(), ms(70));
    timed_out(&mut client, start);
}

fn empty_lines_do_not_help(mut client: Client) {
    let start = Instant::now();
    drip(&mut client, b"\r\n", ms(250));
    match client.try_response() {
        Ok(response) => assert_eq!(response.status, 408),
        Err(ending) => assert!(!ending.is_open() && ending.bytes().is_empty()),
    }
    in_time(start);
}

fn a_second_head_in_drips_is_answered_408_too(mut client: Client) {
    assert_eq!(client.ask(get("/plaintext")).status, 200);
    let start = Instant::now();
    client.send("GET / HTTP/1.1\r\nHost: a\r\nX: ");
    drip(&mut client, b"y", ms(50));
    timed_out(&mut client, start);
}

fn an_idle_connection_is_closed_without_a_word(mut client: Client) {
    assert_eq!(client.ask(get("/plaintext")).status, 200);
    let start = Instant::now();
    client.ends();
    in_time(start);
}

fn who_asks_now_and_then_is_not_idle(mut client: Client) {
    for _ in 0..5 {
        assert_eq!(client.ask(get("/plaintext")).status, 200);
        assert!(!client.is_told(ms(1200)), "closed although it was not idle");
    }
}

const FORM: &str = "GET /query HTTP/1.1\r\nHost: a\r\n\
    Content-Type: application/x-www-form-urlencoded\r\n";

fn a_body_that_stops_is_answered_408(mut client: Client) {
    let start = Instant::now();
    client.send(format!("{FORM}Content-Length: 10\r\n\r\na=b"));
    timed_out(&mut client, start);
}

fn a_body_that_never_starts_is_answered_408(mut client: Client) {
    let start = Instant::now();
    client.send(format!("{FORM}Content-Length: 10\r\n\r\n"));
    timed_out(&mut client, start);
}

fn a_chunk_size_that_stops_is_answered_408(mut client: Client) {
    let start = Instant::now();
    client.send(format!("{FORM}Transfer-Encoding: chunked\r\n\r\n3\r\na=b\r\n1"));
    timed_out(&mut client, start);
}

/// The answer may have begun; then it is cut short.
fn a_streamed_body_that_stops_ends_the_connection(mut client: Client) {
    let start = Instant::now();
    client.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc");
    match client.try_response() {
        Ok(response) => assert_eq!(response.status, 408),
        Err(ending) => {
            assert!(!ending.is_open(), "{}", client::shown(&ending));
            assert!(!ending.bytes().ends_with(b"abcd"));
        }
    }
    in_time(start);
}

fn a_body_with_pauses_is_taken(mut client: Client) {
    client.send(format!("{FORM}Content-Length: 9\r\n\r\n"));
    for byte in b"a=bcdefgh".chunks(1) {
        assert!(!client.is_told(ms(700)), "ended although it goes on");
        client.send(byte);
    }
    assert_eq!(client.response().status, 200);
}

/// No time-out but the handler's own is for who waits for an answer.
fn an_answer_may_take_longer_than_all_of_them(mut client: Client) {
    assert_eq!(client.ask(get("/slow?ms=2500")).status, 200);
    assert_eq!(client.ask(get("/stream?n=5&ms=500")).body.split(|b| *b == b'\n').count(), 6);
}

on_both! {
    fn every_phase_has_an_end(backend) {
        let server = Server::on(backend, SHORT);
        let others = server.bystander();
        // Who goes on all the time is held up now and then all the same, on a busy machine: no second is enough for that.
        let patient = Server::on(backend, LONGER);
        let peers: [fn(Client); 12] = [
            a_connection_that_says_nothing_is_closed_without_a_word,
            a_head_that_stops_is_answered_408,
            a_head_in_drips_is_answered_408_when_the_whole_time_is_over,
            single_bytes_from_the_start_do_not_help,
            empty_lines_do_not_help,
            a_second_head_in_drips_is_answered_408_too,
            an_idle_connection_is_closed_without_a_word,
            a_body_that_stops_is_answered_408,
            a_body_that_never_starts_is_answered_408,
            a_chunk_size_that_stops_is_answered_408,
            a_streamed_body_that_stops_ends_the_connection,
            an_answer_may_take_longer_than_all_of_them,
        ];
        let who_go_on: [fn(Client); 2] = [who_asks_now_and_then_is_not_idle, a_body_with_pauses_is_taken];
        let start = |server: &Server, peer: fn(Client)| {
            let client = server.client();
            std::thread::spawn(move || peer(client))
        };
        let threads = peers.map(|peer| start(&server, peer));
        let more = who_go_on.map(|peer| start(&patient, peer));
        // All of them, so that each failure is shown.
        let failed = threads.into_iter().chain(more).filter_map(|thread| thread.join().err()).count();
        assert_eq!(failed, 0, "peers that failed, see above");
        others.was_served();
        server.finish();
        patient.finish();
    }
}

on_both! {
    /// Seen from outside: the connection's own end says nothing to a client that does not read.
    fn who_does_not_read_is_left_when_the_write_time_is_over(backend) {
        let server = Server::on(backend, WRITE_ALONE);
        let sends: [fn(&mut Client); 3] = [
            |client| client.send(get("/stream?n=100000000&ms=0")),
            |client| {
                client.send("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
                let chunk = [b"fffff\r\n".as_slice(), &[b'x'; 0xfffff], b"\r\n"].concat();
                let _ = client.offer_within(&chunk.repeat(40), ms(300));
            },
            |client| {
                // Not too small: many small ones are gone through for long before the replies are too much.
                let request = get(&format!("/query?n={}", "1".repeat(1000)));
                let _ = client.offer_within(&request.repeat(20_000), ms(300));
            },
        ];
        // One after the other: each has its time from when nothing more of it was taken. On a busy machine it may be over
        // before all is sent.
        for (n, send) in sends.into_iter().enumerate() {
            let before = server.stats();
            let mut client = server.narrow_client();
            let start = Instant::now();
            send(&mut client);
            let full = Instant::now();
            until("it is left", || server.stats().count("connections", "open") <= 1);
            let (whole, waited) = (start.elapsed(), full.elapsed());
            assert!(whole >= ms(900) && waited < secs(5), "{n}: after {whole:?}, {waited:?} of them full");
            let now = server.stats();
            let ended = |key| now.count("completions", key) - before.count("completions", key);
            let found = (ended("timeout"), ended("write-error"));
            assert!(found.0 + found.1 >= 1, "{n}: timeout and write-error: {found:?}");
            assert!(!client.end_within(PATIENCE).is_open());
        }
        server.finish();
    }
}

/// Takes more than ten seconds, so it is asked for by name or with all that are ignored.
#[test]
#[ignore = "takes a quarter of a minute"]
fn a_body_slower_than_the_least_rate_is_answered_408() {
    let server = Server::start(&[]);
    let mut client = server.client();
    let start = Instant::now();
    client.send(format!("{FORM}Content-Length: 10000\r\n\r\n"));
    while !client.is_told(ms(100)) && start.elapsed() < secs(25) {
        if client.offer("x").is_err() {
            break;
        }
    }
    assert_eq!(client.response().status, 408);
    assert!(start.elapsed() > secs(9));
    drop(client);
    server.finish();
}

/// The system of the server takes more only when about a megabyte has gone, which takes this client longer than it may
/// take nothing.
#[test]
#[ignore = "takes ten seconds"]
fn a_client_that_reads_slowly_is_not_cut_while_it_reads() {
    let folder = crate::folder::Folder::new();
    std::fs::File::create(folder.path("large")).and_then(|file| file.set_len(100 << 20)).unwrap();
    let root = folder.path("");
    let server = Server::start(&["--write-timeout", "4", "--root", root.to_str().unwrap()]);
    let mut client = server.client();
    client.send(get("/files/large"));
    let mut taken = 0;
    let start = Instant::now();
    while start.elapsed() < secs(10) {
        // Some 150 KB a second.
        taken += client.swallow(15_000);
        std::thread::sleep(ms(100));
    }
    assert_eq!(server.stats().count("connections", "open"), 2, "cut after {taken} bytes");
    client.reset();
    server.finish();
}
