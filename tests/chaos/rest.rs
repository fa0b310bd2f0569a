//! Scenario `idle_cpu` (R3): a server with nothing to do does nothing, whatever state its connections
//! are in.

use std::time::Duration;

use crate::{Client, Server, get, ms, on_both, secs, until_within};

/// So that on a slow machine, too, those that say nothing are still there when that is looked at.
const LONG: &[&str] = &[
    "--header-timeout",
    "600",
    "--body-timeout",
    "600",
    "--idle-timeout",
    "600",
    "--write-timeout",
    "600",
];

/// Nothing happens in two seconds: no thread wakes up more often than the odd timer, and no time is used. Where some are
/// just found to send too slowly, in the two seconds after that.
#[track_caller]
fn rests(server: &Server, what: &str) {
    until_within(secs(20), what, || {
        let used = server.process.used_during(|| std::thread::sleep(secs(2)));
        println!("{what}: {used:?} in two seconds");
        used.sleeps <= 6 && used.time < ms(20)
    });
}

/// Waits until it hardly does anything any more, for want of something to do: who has no time on a processor because
/// others have it all does not sleep. What it was sent is much, and has to be gone through first: that may take long, and
/// costs no more for that.
#[track_caller]
fn await_rest(server: &Server) {
    let before = server.process.used().time;
    until_within(secs(60), "it comes to rest", || {
        let used = server.process.used_during(|| std::thread::sleep(ms(200)));
        used.time < Duration::from_millis(2) && server.process.sleeps()
    });
    let used = server.process.used().time.saturating_sub(before);
    assert!(used < secs(10), "{used:?} on a processor before it came to rest");
}

on_both! {
    fn a_server_at_rest_makes_no_system_calls(backend) {
        let server = Server::on(backend, LONG);
        let mut clients: Vec<Client> = (0..20).map(|_| server.client()).collect();
        for (n, client) in clients.iter_mut().enumerate() {
            match n % 10 {
                0 => {}
                1 => assert_eq!(client.ask(get("/plaintext")).status, 200),
                2 => client.send("GET / HT"),
                3 => client.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc"),
                // Suspended, with more behind it than is parsed yet, and than is kept.
                4 => client.send(get("/slow?ms=60000")),
                5 => {
                    client.send(get("/slow?ms=60000"));
                    client.offer_within(&get("/plaintext").repeat(20_000), ms(30)).unwrap();
                }
                6 => {
                    client.send(get("/slow?ms=60000"));
                    client.half_close();
                }
                // Replies that nobody reads.
                7 => client.send(get("/stream?n=100000000&ms=0")),
                8 => {
                    let _ = client.offer_within(&get("/plaintext").repeat(100_000), ms(30));
                    client.half_close();
                }
                _ => {
                    client.send("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nfffff\r\n");
                    client.offer_within(&[b'x'; 0xfffff], ms(30)).unwrap();
                }
            }
        }
        // Lingering ones and full buffers have come to rest.
        await_rest(&server);
        rests(&server, "connections in every state");
        // Just to close is to end one side; a suspended request would go on.
        clients.into_iter().for_each(Client::reset);
        server.await_descriptors_released();
        // Timers that are no longer needed may still surface.
        rests(&server, "nobody there");
        server.finish();
    }
}

on_both! {
    /// Event streams and WebSockets that wait for something that takes its time.
    fn idle_event_streams_and_websockets_cost_nothing(backend) {
        let server = Server::on(backend, LONG);
        let mut streams: Vec<Client> = (0..20).map(|_| server.client()).collect();
        for client in &mut streams {
            client.send(get("/events?ms=3600000"));
            assert!(client.head().starts_with("HTTP/1.1 200 "));
        }
        #[cfg(feature = "websocket")]
        let sockets: Vec<crate::ws::Ws> = (0..100)
            .map(|n| {
                let mut ws = crate::ws::Ws::open(&server);
                match n % 4 {
                    0 => {}
                    1 => ws.echoes("hello"),
                    2 => ws.client.send(crate::ws::claimed(0x81, 100)),
                    _ => ws.send(crate::ws::TEXT, b"half a message"),
                }
                ws
            })
            .collect();
        await_rest(&server);
        rests(&server, "event streams and WebSockets");
        streams.into_iter().for_each(Client::reset);
        #[cfg(feature = "websocket")]
        drop(sockets);
        server.await_descriptors_released();
        server.finish();
    }
}

/// What is measured for those who look ends when they have gone, however seldom they wanted to know.
#[test]
fn a_server_whose_dashboards_were_closed_is_at_rest() {
    let servers = ["1", "2"].map(|threads| Server::start(&["--threads", threads]));
    for server in &servers {
        for every in ["100", "3600000"] {
            let mut client = server.client();
            client.send(get(&format!("/stats/events?ms={every}")));
            assert!(client.head().starts_with("HTTP/1.1 200 "));
        }
        server.await_descriptors_released();
    }
    for server in servers {
        rests(&server, "nobody looks any more");
        server.finish();
    }
}
