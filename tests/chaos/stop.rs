//! Scenarios `stop_and_continue` and `signal_storm` (§4): a process that was stopped for a while, and one
//! that is told things all the time.

use std::time::Instant;

use rustix::process::Signal;

use crate::{Client, Server, get, ms, on_both, secs};

on_both! {
    /// Overdue time-outs fire once, but what has arrived meanwhile is read before it is judged idle.
    fn who_spoke_while_the_process_was_stopped_is_not_timed_out(backend) {
        // Long enough for a busy machine to get to the stop.
        let limits = ["--header-timeout", "3", "--body-timeout", "3", "--idle-timeout", "3", "--write-timeout", "3"];
        let server = Server::on(backend, &limits);
        let mut idle: Vec<Client> = (0..10).map(|_| server.client()).collect();
        let mut silent: Vec<Client> = (0..3).map(|_| server.client()).collect();
        for client in idle.iter_mut().chain(&mut silent) {
            assert_eq!(client.ask(get("/plaintext")).status, 200);
        }
        let mut upload = server.client();
        upload.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc");
        let mut slow = server.client();
        slow.send(get("/slow?ms=500"));
        let mut stream = server.client();
        stream.send(get("/stream?n=5&ms=100"));
        stream.is_told(secs(5));
        assert_eq!(server.ask(get("/plaintext")).status, 200);
        server.process.signal(Signal::STOP);
        server.process.await_stopped();
        for client in &mut idle {
            client.send(get("/query?n=1"));
        }
        upload.send("def");
        // Longer than every limit.
        std::thread::sleep(ms(3600));
        server.process.signal(Signal::CONT);
        for client in &mut idle {
            assert_eq!(client.response().status, 200);
        }
        assert_eq!(upload.response().body, b"abcdef");
        assert_eq!(slow.response().status, 200);
        assert_eq!(stream.response().body.iter().filter(|b| **b == b'\n').count(), 5);
        // Those who said nothing have had their time.
        for client in &mut silent {
            client.ends();
        }
        drop((idle, upload, slow, stream));
        server.finish();
    }
}

/// Signals that end nothing come by the thousand, while requests are served.
#[test]
fn a_storm_of_signals_disturbs_nobody() {
    let server = Server::start(&[]);
    let others = server.bystander();
    let process = server.process;
    let storm = std::thread::spawn(move || {
        let start = Instant::now();
        let mut count = 0;
        while start.elapsed() < ms(1500) {
            for signal in
                [Signal::HUP, Signal::CHILD, Signal::CONT, Signal::WINCH, Signal::URG, Signal::HUP]
            {
                process.signal(signal);
                count += 1;
            }
            // Not so many that nothing else ever runs on a small machine.
            if count % 600 == 0 {
                std::thread::yield_now();
            }
        }
        count
    });
    let mut client = server.client();
    let mut served = 0;
    while !storm.is_finished() {
        client.send(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
        assert_eq!(client.response().body, b"hello");
        assert_eq!(client.ask(get("/slow?ms=5")).status, 200);
        assert_eq!(client.ask(get("/worker?ms=5")).status, 200);
        served += 3;
    }
    let count = storm.join().unwrap();
    assert!(served > 10, "{served} requests during {count} signals");
    others.was_served();
    drop(client);
    server.finish();
}
