//! Scenario `sse` (R2, R7, R12): event streams that nobody reads, that many read, and their end.

use rustix::process::Signal;

use crate::client::shown;
use crate::ws::Ws;
use crate::{Client, Ending, PATIENCE, Server, get, ms, on_both, secs, until};

/// Opens a stream and takes its head.
#[track_caller]
fn open(mut client: Client, target: &str, fields: &str) -> Client {
    client.send(format!("GET {target} HTTP/1.1\r\nHost: chaos\r\n{fields}\r\n"));
    let head = client.head();
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert!(head.to_ascii_lowercase().contains("content-type: text/event-stream"), "{head}");
    client
}

/// The numbers of the events in what came of a stream in chunks.
fn numbers(bytes: &[u8]) -> Vec<u64> {
    let text = String::from_utf8_lossy(bytes);
    let lines = text.lines().filter_map(|line| line.strip_prefix("data: event "));
    lines.map(|number| number.trim().parse().unwrap()).collect()
}

/// What comes until there are so many events of which there is nothing more to come.
#[track_caller]
fn listen_for(client: &mut Client, count: usize) -> Vec<u64> {
    let mut bytes = Vec::new();
    until("events", || {
        bytes.extend(listen(client, ms(5)));
        // Of the last line there may be more.
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        numbers(&bytes[..whole]).len() >= count
    });
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    numbers(&bytes[..whole])
}

/// What comes in that time.
#[track_caller]
fn listen(client: &mut Client, time: std::time::Duration) -> Vec<u8> {
    match client.end_within(time) {
        Ending::Open(bytes) => bytes,
        ending => panic!("the stream ended: {}", shown(&ending)),
    }
}

on_both! {
    fn many_streams_have_every_event_once_and_in_order(backend) {
        let server = Server::on(backend, &[]);
        let others = server.bystander();
        let mut all: Vec<Client> = (0..100).map(|_| open(server.client(), "/events?ms=50", "")).collect();
        for client in &mut all {
            let numbers = listen_for(client, 3);
            let expected: Vec<u64> = (1..=numbers.len() as u64).collect();
            assert_eq!(numbers, expected);
        }
        drop(all);
        others.was_served();
        server.finish();
    }
}

on_both! {
    /// Cut, or waited for, as the server likes; its memory is bounded, and its time.
    fn who_never_reads_costs_the_caps(backend) {
        let server = Server::on(backend, &["--write-timeout", "2"]);
        let others = server.bystander();
        let mut all: Vec<Client> = (0..20).map(|_| open(server.narrow_client(), "/events?ms=1", "")).collect();
        std::thread::sleep(ms(1500));
        assert!(server.grown() < 20 * 400, "{} KiB for twenty who do not read", server.grown());
        // Two leave each in their way, the others are cut off some time.
        all.pop().unwrap().reset();
        drop(all.pop());
        drop(all);
        others.was_served();
        server.await_descriptors_released();
        // Their timers are gone as well.
        until("the server rests", || {
            server.process.used_during(|| std::thread::sleep(ms(100))).time < ms(40)
        });
        let used = server.process.used_during(|| std::thread::sleep(ms(1000)));
        assert!(used.time < ms(20) && used.sleeps < 20, "{used:?} in a second at rest");
        server.finish();
    }
}

on_both! {
    fn streams_end_in_order_when_the_server_does(backend) {
        let server = Server::on(backend, &["--drain-timeout", "20"]);
        let mut all: Vec<Client> = Vec::new();
        for target in ["/events?ms=20", "/events?ms=60000", "/stats/events?ms=100"] {
            for _ in 0..5 {
                all.push(open(server.client(), target, ""));
            }
        }
        std::thread::sleep(ms(100));
        let start = std::time::Instant::now();
        server.process.signal(Signal::TERM);
        for client in &mut all {
            match client.end_within(PATIENCE) {
                // The last chunk was sent: it is an end, and not a cut.
                Ending::Eof(bytes) => assert!(bytes.ends_with(b"0\r\n\r\n"), "{}", bytes.escape_ascii()),
                ending => panic!("{}", shown(&ending)),
            }
        }
        assert_eq!(server.exit_within(secs(5)).code(), Some(0));
        assert!(start.elapsed() < secs(5), "{:?}", start.elapsed());
    }
}

/// One that does not read does not keep the server.
#[test]
fn a_stream_that_nobody_reads_does_not_hold_up_the_end() {
    let server = Server::start(&["--drain-timeout", "1"]);
    let stuck = open(server.narrow_client(), "/events?ms=1", "");
    std::thread::sleep(ms(700));
    server.process.signal(Signal::TERM);
    assert_eq!(server.exit_within(secs(5)).code(), Some(0));
    drop(stuck);
}

#[test]
fn who_comes_back_goes_on_where_it_was_and_nonsense_does_not_matter() {
    let server = Server::start(&[]);
    let mut client = open(server.client(), "/events?ms=10", "Last-Event-ID: 41\r\n");
    assert_eq!(listen_for(&mut client, 1).first(), Some(&42));
    let long = "9".repeat(7000);
    for id in [
        "",
        "x",
        "-1",
        "1.5",
        "18446744073709551614",
        "18446744073709551615",
        "18446744073709551616",
        &long,
        "\u{1F600}",
    ] {
        let mut client =
            open(server.client(), "/events?ms=10", &format!("Last-Event-ID: {id}\r\n"));
        let numbers = numbers(&listen(&mut client, ms(60)));
        assert!(numbers.iter().all(|number| *number > 0), "{id}: {numbers:?}");
    }
    for query in ["ms=0", "ms=-1", "ms=x", "ms=99999999999999999999"] {
        assert_eq!(server.ask(get(&format!("/events?{query}"))).status, 400, "{query}");
    }
    drop(client);
    server.finish();
}

/// The table of the dashboard is made when somebody looks: of all threads, whatever has become of their connections.
#[test]
fn who_looks_at_the_dashboard_sees_who_is_connected() {
    for threads in ["1", "2"] {
        let server = Server::start(&["--threads", threads]);
        let mut idle: Vec<Client> = (0..4).map(|_| server.client()).collect();
        for client in &mut idle {
            for _ in 0..3 {
                assert_eq!(client.ask(get("/plaintext")).status, 200);
            }
        }
        let ws = Ws::open(&server);
        let mut dashboard = open(server.client(), "/stats/events?ms=100", "");
        let mut last_rows = || {
            let text = String::from_utf8(listen(&mut dashboard, ms(150))).unwrap();
            let rows = text.rsplit("\"rows\":[").next().unwrap_or_default();
            rows.split("],\"all\"").next().unwrap_or_default().to_owned()
        };
        until("all are listed", || {
            let rows = last_rows();
            let is_listed = |what: &str, count| rows.matches(what).count() == count;
            is_listed("\"mine\":true", 1)
                && is_listed("GET /stats/events", 1)
                && is_listed("\"WebSocket\"", 1)
                && is_listed("\"mine\"", 6)
                // So many requests.
                && is_listed(",\"3\",", 4)
        });
        // What they ask for while somebody looks is seen.
        until("it is seen", || {
            assert_eq!(idle[0].ask(get("/json?secret")).status, 200);
            last_rows().contains("\"GET /json\"")
        });
        drop((ws, idle));
        until("who has gone is not listed", || {
            let rows = last_rows();
            rows.contains("GET /stats/events") && rows.matches("\"mine\"").count() == 1
        });
        drop(dashboard);
        server.finish();
    }
}

/// The samples of the dashboard's page: how many requests, and how long they took at most.
fn samples(server: &Server) -> Vec<(u64, Option<u64>)> {
    let page = String::from_utf8(server.ask(get("/")).body).unwrap();
    let all = page.split("let samples = [").nth(1).unwrap().split("]]").next().unwrap();
    let sample = |text: &str| {
        let mut numbers = text.trim_start_matches('[').split(',');
        let rate = numbers.next().unwrap().parse().unwrap();
        (rate, numbers.nth(1).unwrap().parse().ok())
    };
    all.split("],").map(sample).collect()
}

/// What nobody has looked at was not measured, and what is known of it is no figure of its last second.
#[test]
fn seconds_in_which_nobody_looks_have_their_average_and_no_times() {
    let servers = ["1", "2"].map(|threads| Server::start(&["--threads", threads]));
    std::thread::sleep(secs(4));
    for server in &servers {
        let before = samples(server);
        let rates = before.iter().map(|(rate, _)| rate);
        assert!(before.len() >= 4, "{before:?}");
        assert!(rates.clone().max().unwrap() - rates.min().unwrap() <= 1, "{before:?}");
        assert!(before.iter().all(|(_, took)| took.is_none()), "{before:?}");
        // This is looked at, and it is for five seconds more; then it is not.
        server.ask(get("/slow?ms=1"));
    }
    std::thread::sleep(secs(8));
    for server in servers {
        let after = samples(&server);
        let measured = after.iter().filter(|(_, took)| took.is_some()).count();
        assert!((5..=6).contains(&measured), "{after:?}");
        assert_eq!(after.last().map(|(_, took)| *took), Some(None), "{after:?}");
        // None is counted twice, and none is lost; who asks for this is one more.
        let sum: u64 = after.iter().map(|(rate, _)| rate).sum();
        let stats = server.ask(get("/stats"));
        let known = format!("\"requests\":{},", sum + 1);
        assert!(stats.text().contains(&known), "{} for {after:?}", stats.text());
        server.finish();
    }
}
