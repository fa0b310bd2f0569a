//! Scenario `fd_exhaustion` (R3, R9, §4): a full table costs nothing, hurts nobody who is served, and
//! ends.

use std::process::{Command, Stdio};

use crate::folder::Folder;
use crate::server::program;
use crate::{Client, PATIENCE, Server, get, ms, on_both, secs, until};

on_both! {
    fn without_descriptors_the_server_rests_and_recovers(backend) {
        let server = Server::on(backend, &[]);
        let mut served: Vec<Client> = (0..5).map(|_| server.client()).collect();
        for client in &mut served {
            assert_eq!(client.ask(get("/plaintext")).status, 200);
        }
        let slow = get("/slow?ms=600");
        served[0].send(&slow);
        server.process.limit_descriptors(server.process.descriptors() as u64 + 3);
        let mut others: Vec<Client> = (0..40).map(|_| server.client()).collect();
        for client in &mut others {
            let _ = client.offer(get("/plaintext"));
        }
        // Those that are in are served as ever, while the others wait or are sent away.
        assert_eq!(served[0].response().status, 200);
        let used = server.process.used_during(|| {
            for _ in 0..10 {
                for client in &mut served {
                    assert_eq!(client.ask(get("/plaintext")).status, 200);
                }
                std::thread::sleep(ms(50));
            }
        });
        assert!(used.time < ms(250), "{used:?} for 50 requests in half a second");
        drop(served);
        // Room again: each of the others is served, or was sent away.
        let mut got = 0;
        for mut client in others {
            match client.try_response() {
                Ok(response) if response.status == 200 => got += 1,
                Ok(response) => assert_eq!(response.status, 503),
                Err(ending) => assert!(!ending.is_open(), "neither served nor sent away"),
            }
        }
        assert!(got > 0, "nobody was served when there was room again");
        server.process.limit_descriptors(1000);
        server.finish();
    }
}

on_both! {
    fn a_full_table_with_clients_in_the_queue_does_not_make_the_loop_go_round(backend) {
        let server = Server::on(backend, &[]);
        server.process.limit_descriptors(server.process.descriptors() as u64);
        let clients: Vec<Client> = (0..100).map(|_| server.client()).collect();
        let used = server.process.used_during(|| std::thread::sleep(ms(1000)));
        assert!(used.time < ms(200) && used.sleeps < 250, "{used:?} in a second");
        drop(clients);
        server.process.limit_descriptors(1000);
        until("new clients are served", || {
            let mut client = server.client();
            client.offer(get("/plaintext")).is_ok() && client.try_response().is_ok_and(|r| r.status == 200)
        });
        server.finish();
    }
}

on_both! {
    /// It is no fault of the server's, nor of what was asked for: there will be room again.
    fn what_needs_a_descriptor_is_503_while_there_is_none(backend) {
        let folder = Folder::new();
        let (root, uploads) = (folder.folder("root"), folder.folder("uploads"));
        folder.write("root/small", "some");
        folder.write("root/large", vec![b'x'; 100_000]);
        let server = Server::on(backend, &["--root", &root, "--upload-dir", &uploads]);
        let put = |name: &str| {
            let head = format!("PUT /upload/{name} HTTP/1.1\r\nHost: a\r\n");
            format!("{head}Content-Length: 4\r\n\r\nsome").into_bytes()
        };
        let ranges = b"GET /files/small HTTP/1.1\r\nHost: a\r\nRange: bytes=0-0,2-2\r\n\r\n";
        let needy = [
            (get("/files/small"), 200),
            (get("/files/large"), 200),
            (ranges.to_vec(), 206),
            (get("/files/"), 200),
            (put("new"), 201),
        ];
        let mut client = server.client();
        assert_eq!(client.ask(get("/plaintext")).status, 200);
        server.process.leave_descriptors(0);
        for _ in 0..3 {
            for (asked, _) in &needy {
                let response = client.ask(asked);
                let shown = asked.escape_ascii();
                assert_eq!((response.status, response.field("Retry-After")), (503, Some("1")), "{shown}");
            }
            for target in ["/plaintext", "/slow?ms=1", "/worker?ms=1", "/stream?n=2&ms=1", "/"] {
                assert_eq!(client.ask(get(target)).status, 200, "{target}");
            }
        }
        assert_eq!(folder.list("uploads"), [] as [String; 0]);
        // One for the directory is not enough for the file in it.
        server.process.leave_descriptors(1);
        assert_eq!(client.ask(put("new")).status, 503);
        server.process.limit_descriptors(1000);
        for (asked, status) in &needy {
            assert_eq!(client.ask(asked).status, *status, "{}", asked.escape_ascii());
        }
        drop(client);
        server.finish();
    }
}

/// A small limit from the start: fewer connections are let in, not none, and not too many.
#[test]
fn a_small_limit_from_the_start_is_lived_with() {
    let mut shell = Command::new("sh");
    shell.args(["-c", "ulimit -n 100; exec \"$0\" \"$@\""]).arg(program());
    shell.args(["--listen", "127.0.0.1:0"]).stdin(Stdio::null());
    shell.stdout(Stdio::piped()).stderr(Stdio::piped());
    let server = Server::start_command(shell, 1);
    let mut clients: Vec<Client> = (0..150).map(|_| server.client()).collect();
    let mut served = 0;
    for client in &mut clients {
        let _ = client.offer(get("/plaintext"));
    }
    for client in &mut clients {
        if client.is_told(ms(if served == 0 { 5000 } else { 5 })) {
            served += 1;
        }
    }
    assert!(served > 10, "{served} of 150 are served with 100 descriptors");
    assert!(server.process.descriptors() < 100);
    let used = server.process.used_during(|| std::thread::sleep(ms(300)));
    assert!(used.time < ms(100), "{used:?}");
    drop(clients);
    let mut client = server.client();
    client.send(get("/plaintext"));
    assert_eq!(client.try_response_to("GET", PATIENCE).unwrap().status, 200);
    drop(client);
    server.finish();
}

/// Scenario `descriptors_released`: many come and go in every manner; the number is as at the start.
#[test]
fn two_thousand_connections_leave_no_descriptor() {
    let server = Server::start(&[]);
    for n in 0..2000 {
        let mut client = server.client();
        match n % 5 {
            0 => client.send(get("/plaintext")),
            1 => assert_eq!(client.ask(get("/plaintext")).status, 200),
            2 => client.send("GET / HT"),
            3 => client.half_close(),
            _ => client.reset(),
        }
    }
    server.await_descriptors_released();
    until("none is open", || server.stats().count("connections", "open") == 1);
    let stats = server.stats();
    assert!(stats.count("connections", "accepted") >= 2000);
    assert!(server.grown() < 4 * 1024, "{} KiB", server.grown());
    server.finish();
}

/// With threads the promises are the same.
#[test]
fn a_server_with_threads_serves_releases_and_ends() {
    let server = Server::start(&["--threads", "2"]);
    assert_eq!(server.stats().count("", "threads"), 2);
    let mut clients: Vec<Client> = (0..50).map(|_| server.client()).collect();
    for client in &mut clients {
        client.send([get("/slow?ms=50"), get("/worker?ms=5"), get("/plaintext")].concat());
    }
    for client in &mut clients {
        for _ in 0..3 {
            assert_eq!(client.response().status, 200);
        }
    }
    let used = server.process.used_during(|| std::thread::sleep(secs(1)));
    assert!(used.time < ms(20), "{used:?} at rest");
    drop(clients);
    server.finish();
}
