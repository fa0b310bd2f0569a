// Pings, and peers that are silent.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::sockets::*;

fn pinging() -> WebSocketOptions {
    WebSocketOptions::new().ping(Duration::from_secs(30), Duration::from_secs(10))
}

#[test]
fn who_is_silent_is_pinged_and_stays_if_it_answers() {
    let mut ev = ev();
    let (server, log) = echo(&mut ev, pinging());
    let mut raw = Raw::open(&mut ev, server);
    for _ in 0..3 {
        pass(&mut ev, Duration::from_secs(29));
        raw.hears_nothing(&mut ev);
        pass(&mut ev, Duration::from_secs(1));
        raw.hears(&mut ev, 0x89, "");
        raw.frame(0x8A, "");
        settle(&mut ev);
        // The timer that waited for it goes off, and looks from when on it is silent.
        pass(&mut ev, Duration::ZERO);
    }
    assert_eq!(said(&log), ["opened", "pong ", "pong ", "pong "]);
}

#[test]
fn who_does_not_answer_a_ping_is_cut() {
    let mut ev = ev();
    let (server, log) = echo(&mut ev, pinging());
    let mut raw = Raw::open(&mut ev, server);
    pass(&mut ev, Duration::from_secs(30));
    raw.hears(&mut ev, 0x89, "");
    pass(&mut ev, Duration::from_secs(9));
    assert_eq!(said(&log), ["opened"]);
    pass(&mut ev, Duration::from_secs(2));
    assert_eq!(said(&log), ["closed 1006 \"\" unclean"]);
    raw.ends(&mut ev);
}

#[test]
fn who_speaks_is_not_pinged() {
    let mut ev = ev();
    let (server, _) = echo(&mut ev, pinging());
    let mut raw = Raw::open(&mut ev, server);
    for _ in 0..10 {
        pass(&mut ev, Duration::from_secs(20));
        raw.text("still here");
        raw.hears(&mut ev, 0x81, "still here");
    }
    raw.hears_nothing(&mut ev);
}

#[test]
fn while_the_loop_is_suspended_nobody_is_silent() {
    let (mut ev, clock) = ev_with_clock();
    let (server, _) = echo(&mut ev, pinging());
    let mut raw = Raw::open(&mut ev, server);
    pass(&mut ev, Duration::from_secs(20));
    raw.text("here");
    raw.hears(&mut ev, 0x81, "here");
    ev.suspend();
    clock.advance(Duration::from_secs(600));
    ev.resume();
    pass(&mut ev, Duration::from_secs(29));
    raw.hears_nothing(&mut ev);
    pass(&mut ev, Duration::from_secs(1));
    raw.hears(&mut ev, 0x89, "");
}

#[test]
fn while_nothing_is_read_nobody_is_judged() {
    let mut ev = ev();
    let (server, log) = echo(&mut ev, pinging().idle_timeout(Some(Duration::from_secs(60))));
    let mut raw = Raw::open(&mut ev, server);
    settle(&mut ev);
    let ws = ev.websockets()[0];
    ws.pause(&mut ev);
    pass(&mut ev, Duration::from_secs(300));
    raw.hears_nothing(&mut ev);
    ws.resume(&mut ev);
    raw.text("here");
    raw.hears(&mut ev, 0x81, "here");
    assert_eq!(said(&log), ["opened", "text here"]);
}

#[test]
fn who_is_idle_for_too_long_is_told_1001() {
    let mut ev = ev();
    let (server, log) = echo(&mut ev, WebSocketOptions::new().idle_timeout(Some(Duration::from_secs(60))));
    let mut raw = Raw::open(&mut ev, server);
    pass(&mut ev, Duration::from_secs(50));
    raw.frame(0x89, "");
    raw.hears(&mut ev, 0x8A, "");
    pass(&mut ev, Duration::from_secs(50));
    raw.hears_nothing(&mut ev);
    pass(&mut ev, Duration::from_secs(11));
    assert_eq!(raw.hears_close(&mut ev, 1001), "idle for too long");
    raw.close(1001, "");
    raw.ends(&mut ev);
    raw.finish();
    settle(&mut ev);
    assert_eq!(said(&log), ["opened", "ping ", "closed 1001 \"\" clean"]);
}

#[test]
fn without_either_an_idle_one_is_kept() {
    let mut ev = ev();
    let (server, log) = echo(&mut ev, WebSocketOptions::new());
    let mut raw = Raw::open(&mut ev, server);
    pass(&mut ev, Duration::from_secs(86_400));
    raw.text("good morning");
    raw.hears(&mut ev, 0x81, "good morning");
    assert_eq!(said(&log), ["opened", "text good morning"]);
}

#[test]
fn the_close_time_out_can_be_set() {
    let mut ev = ev();
    let (server, log) = echo(&mut ev, WebSocketOptions::new().close_timeout(Duration::from_millis(500)));
    let _raw = Raw::open(&mut ev, server);
    settle(&mut ev);
    ev.websockets()[0].close(&mut ev, CloseCode::NORMAL, "").unwrap();
    pass(&mut ev, Duration::from_millis(600));
    assert_eq!(said(&log), ["opened", "closed 1006 \"\" unclean"]);
}

#[test]
fn who_has_answered_while_nothing_was_read_is_not_cut_when_it_is_read_again() {
    let mut ev = ev();
    let (server, log) = echo(&mut ev, pinging());
    let mut raw = Raw::open(&mut ev, server);
    pass(&mut ev, Duration::from_secs(30));
    raw.hears(&mut ev, 0x89, "");
    let ws = ev.websockets()[0];
    assert!(ws.pause(&mut ev));
    raw.frame(0x8A, "");
    pass(&mut ev, Duration::from_secs(9));
    // The deadline of the ping comes with the resume, before anything is read.
    ev.after(Duration::from_secs(1), move |ev| assert!(ws.resume(ev)));
    pass(&mut ev, Duration::from_secs(1));
    settle(&mut ev);
    assert_eq!(said(&log), ["opened", "pong "]);
}

#[test]
fn pings_without_an_interval_leave_time_for_others() {
    let mut ev = ev();
    let (server, log) = echo(&mut ev, WebSocketOptions::new().ping(Duration::ZERO, Duration::ZERO));
    let mut raw = Raw::open(&mut ev, server);
    turn(&mut ev);
    let ws = ev.websockets()[0];
    assert!(ws.pause(&mut ev));
    // Nobody is judged; and time passes, though nothing happens.
    pass(&mut ev, Duration::from_millis(100));
    assert!(raw.is_open());
    assert_eq!(said(&log), ["opened"]);
}

#[test]
fn a_message_that_drips_in_is_cut_in_time() {
    let mut ev = ev();
    let options = WebSocketOptions::new().message_timeout(Some(Duration::from_secs(60)));
    let (server, log) = echo(&mut ev, options);
    let mut raw = Raw::open(&mut ev, server);
    // Whole ones may come as late as they like.
    pass(&mut ev, Duration::from_secs(300));
    raw.text("whole");
    raw.hears(&mut ev, 0x81, "whole");
    pass(&mut ev, Duration::from_secs(300));
    // The head of one of 100 bytes, and a byte every ten seconds.
    raw.send([0x81, 0x80 | 100, 0, 0, 0, 0]);
    for _ in 0..5 {
        pass(&mut ev, Duration::from_secs(10));
        raw.send("x");
    }
    settle(&mut ev);
    assert_eq!(said(&log), ["opened", "text whole"]);
    pass(&mut ev, Duration::from_secs(11));
    assert_eq!(said(&log).last().unwrap(), "closed 1006 \"\" unclean");
}

#[test]
fn while_nothing_is_read_a_message_has_time() {
    let mut ev = ev();
    let options = WebSocketOptions::new().message_timeout(Some(Duration::from_secs(60)));
    let (server, log) = echo(&mut ev, options);
    let mut raw = Raw::open(&mut ev, server);
    raw.send([0x81, 0x80 | 4, 0, 0, 0, 0, b'h']);
    settle(&mut ev);
    let ws = ev.websockets()[0];
    pass(&mut ev, Duration::from_secs(50));
    ws.pause(&mut ev);
    pass(&mut ev, Duration::from_secs(500));
    ws.resume(&mut ev);
    pass(&mut ev, Duration::from_secs(50));
    raw.send("alf");
    raw.hears(&mut ev, 0x81, "half");
    pass(&mut ev, Duration::from_secs(500));
    assert_eq!(said(&log), ["opened", "text half"]);
}

#[test]
fn each_message_has_the_time_also_where_reads_always_end_inside_of_one() {
    let mut ev = ev();
    let options = WebSocketOptions::new().message_timeout(Some(Duration::from_secs(60)));
    let (server, log) = echo(&mut ev, options);
    let mut raw = Raw::open(&mut ev, server);
    let message = frame(0x81, b"one of many", true);
    let (left, right) = message.split_at(9);
    raw.send(left);
    for _ in 0..10 {
        pass(&mut ev, Duration::from_secs(40));
        raw.send([right, left].concat());
        raw.hears(&mut ev, 0x81, "one of many");
    }
    // Pings in between are no messages, and give the one at hand no more time.
    pass(&mut ev, Duration::from_secs(40));
    raw.send([right, &frame(0x01, b"slow", true), &frame(0x89, b"?", true)[..3]].concat());
    raw.hears(&mut ev, 0x81, "one of many");
    for _ in 0..2 {
        pass(&mut ev, Duration::from_secs(29));
        raw.send([&frame(0x89, b"?", true)[3..], &frame(0x89, b"?", true)[..3]].concat());
        raw.hears(&mut ev, 0x8A, "?");
    }
    said(&log);
    pass(&mut ev, Duration::from_secs(3));
    assert_eq!(said(&log), ["closed 1006 \"\" unclean"]);
}

#[test]
fn a_message_that_is_complete_is_waited_for_no_longer_whatever_else_happens() {
    let mut ev = ev();
    let log = Told::default();
    let notes = Rc::clone(&log);
    let panics = Rc::new(Cell::new(false));
    let may = Rc::clone(&panics);
    let options = WebSocketOptions::new().message_timeout(Some(Duration::from_secs(60)));
    let routes = routes(options, move |_, _, event| {
        note(&notes, &event);
        assert!(!(may.get() && matches!(event, WebSocketEvent::Text(_))), "as it was told");
    });
    let options = ServerOptions::new().write_limits(4096, 8192);
    let server = options.unbound(&mut ev, routes).unwrap();
    let mut raw = Raw::open(&mut ev, server);
    let message = frame(0x81, b"half", true);
    // What is sent meanwhile is told to have left, and the other way round.
    raw.send(&message[..8]);
    settle(&mut ev);
    let ws = ev.websockets()[0];
    assert!(matches!(ws.send_binary(&mut ev, [9; 5000]), Ok(Written::Full)));
    settle(&mut ev);
    assert_eq!(said(&log), ["opened", "drained"]);
    assert_eq!(raw.next(&mut ev).1.len(), 5000);
    raw.send(&message[8..]);
    settle(&mut ev);
    pass(&mut ev, Duration::from_secs(600));
    assert_eq!(said(&log), ["text half"]);
    // A handler that panics has had its message too.
    raw.send(&message[..8]);
    settle(&mut ev);
    panics.set(true);
    raw.send(&message[8..]);
    let result = catch_unwind(AssertUnwindSafe(|| settle(&mut ev)));
    assert!(result.is_err());
    panics.set(false);
    settle(&mut ev);
    pass(&mut ev, Duration::from_secs(600));
    assert_eq!(said(&log), ["text half"]);
    raw.hears_nothing(&mut ev);
}

#[test]
fn who_has_spoken_while_the_loop_was_held_up_stays() {
    let (mut ev, clock) = ev_with_clock();
    let options = pinging().idle_timeout(Some(Duration::from_secs(60)));
    let (server, log) = echo(&mut ev, options);
    let mut raw = Raw::open(&mut ev, server);
    pass(&mut ev, Duration::from_secs(30));
    raw.hears(&mut ev, 0x89, "");
    raw.frame(0x8A, "");
    // Something else takes its time, longer than any of the others, and then the loop looks.
    clock.advance(Duration::from_secs(100));
    settle(&mut ev);
    assert_eq!(said(&log), ["opened", "pong "]);
    // The end of a message that has begun.
    raw.frame(0x01, "a");
    settle(&mut ev);
    raw.frame(0x80, "b");
    clock.advance(Duration::from_secs(200));
    settle(&mut ev);
    assert_eq!(said(&log), ["text ab"]);
    // The answer to a goodbye.
    ev.websockets()[0].close(&mut ev, CloseCode::NORMAL, "").unwrap();
    settle(&mut ev);
    raw.close(1000, "");
    raw.finish();
    clock.advance(Duration::from_secs(10));
    settle(&mut ev);
    assert_eq!(said(&log), ["closed 1000 \"\" clean"]);
}
