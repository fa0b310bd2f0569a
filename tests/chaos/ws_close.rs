//! Scenario `ws_close` (R3, R12): how WebSockets end when the server does, and when their peers do.

use std::time::Instant;

use rustix::process::Signal;

use crate::ws::{BINARY, CLOSE, FIN, TEXT, Ws, claimed, frame};
use crate::{PATIENCE, Server, ms, on_both, secs};

on_both! {
    fn sigterm_says_1001_and_ends_when_all_have_answered(backend) {
        let server = Server::on(backend, &["--drain-timeout", "20"]);
        let mut all: Vec<Ws> = (0..20).map(|_| Ws::open(&server)).collect();
        all[0].echoes("hello");
        // In the middle of a message.
        all[1].send(BINARY, b"");
        all[2].send(TEXT, b"half");
        // A large answer is on its way: it comes first.
        let large = vec![7; 4 << 20];
        all[3].send(FIN | BINARY, &large);
        assert!(all[3].client.is_told(PATIENCE));
        let mut reader = all.remove(3);
        let start = Instant::now();
        server.process.signal(Signal::TERM);
        // That takes its time, and nobody else waits for it.
        let reader = std::thread::spawn(move || {
            assert!(reader.frame().payload == large);
            reader.is_closed_with(1001, "the server ends, after a large answer");
        });
        for ws in &mut all {
            ws.is_closed_with(1001, "the server ends");
        }
        assert!(start.elapsed() < secs(2), "the others are closed after {:?}", start.elapsed());
        reader.join().unwrap();
        let start = Instant::now();
        assert_eq!(server.exit_within(secs(5)).code(), Some(0));
        assert!(start.elapsed() < secs(2), "{:?}", start.elapsed());
    }
}

on_both! {
    /// Three seconds are given for a goodbye.
    fn sigterm_does_not_wait_for_those_who_never_answer(backend) {
        let server = Server::on(backend, &["--drain-timeout", "30"]);
        let mut silent: Vec<Ws> = (0..5).map(|_| Ws::open(&server)).collect();
        silent[0].client.send(claimed(FIN | BINARY, 100_000));
        // It does not even read.
        let mut stuck = Ws::open_on(server.narrow_client(), "");
        let block = frame(FIN | BINARY, &[1; 60_000]);
        while stuck.client.offer_within(&block, ms(100)).unwrap() == block.len() {}
        let start = Instant::now();
        server.process.signal(Signal::TERM);
        assert_eq!(server.exit_within(secs(9)).code(), Some(0));
        let took = start.elapsed();
        assert!(took > ms(2500) && took < secs(8), "{took:?}");
        for ws in &mut silent {
            let frame = ws.frame();
            assert_eq!((frame.first, &frame.payload[..2]), (FIN | CLOSE, &[3, 233][..]));
            assert!(!ws.client.end_within(PATIENCE).is_open());
        }
    }
}

#[test]
fn a_second_signal_waits_for_nobody() {
    let server = Server::start(&["--drain-timeout", "60"]);
    let mut ws = Ws::open(&server);
    server.process.signal(Signal::TERM);
    assert_eq!(ws.frame().first, FIN | CLOSE);
    let start = Instant::now();
    server.process.signal(Signal::TERM);
    assert_eq!(server.exit_within(secs(3)).code(), Some(0));
    assert!(start.elapsed() < secs(2), "{:?}", start.elapsed());
}

#[test]
fn threads_say_goodbye_too() {
    let server = Server::start(&["--threads", "3", "--drain-timeout", "20"]);
    let mut all: Vec<Ws> = (0..12).map(|_| Ws::open(&server)).collect();
    for ws in &mut all {
        ws.echoes("hello");
    }
    server.process.signal(Signal::TERM);
    for ws in &mut all {
        ws.is_closed_with(1001, "the server ends");
    }
    assert_eq!(server.exit_within(secs(2)).code(), Some(0));
}

on_both! {
    /// RST, and FIN without a goodbye: while nothing happens, while much is sent, and while nothing is read.
    fn resets_and_ends_without_goodbye_cost_nothing(backend) {
        let server = Server::on(backend, &[]);
        for how in 0..3 {
            let mut all: Vec<Ws> = (0..10).map(|_| Ws::open_on(server.narrow_client(), "")).collect();
            let block = frame(FIN | BINARY, &[1; 60_000]);
            for (n, ws) in all.iter_mut().enumerate() {
                match n % 3 {
                    0 => {}
                    1 => ws.echoes("hello"),
                    _ => while ws.client.offer_within(&block, ms(50)).unwrap() == block.len() {},
                }
            }
            let used = server.process.used_during(|| {
                match how {
                    0 => all.into_iter().for_each(|ws| ws.client.reset()),
                    1 => drop(all),
                    // Those that read their echoes see the end of it; the others are cut at a limit.
                    _ => {
                        for ws in &mut all {
                            ws.client.half_close();
                        }
                        for ws in &mut all {
                            assert!(!ws.client.end_within(PATIENCE).is_open());
                        }
                    }
                }
                server.await_descriptors_released();
            });
            assert!(used.time < ms(700), "{used:?}, in manner {how}");
        }
        server.finish();
    }
}

on_both! {
    /// Who has said goodbye and stays is cut after three seconds.
    fn who_says_goodbye_and_stays_is_cut(backend) {
        let server = Server::on(backend, &[]);
        let mut ws = Ws::open(&server);
        ws.send(FIN | CLOSE, &[3, 232]);
        let start = Instant::now();
        assert_eq!(ws.frame().first, FIN | CLOSE);
        // More is not looked at.
        let _ = ws.client.offer(frame(FIN | TEXT, b"and another thing"));
        server.await_descriptors_released();
        assert!(start.elapsed() < secs(6), "{:?}", start.elapsed());
        server.finish();
    }
}
