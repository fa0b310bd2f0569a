// What handlers may do, and what peers may not: reliability.md R4, R10; net-and-http-server.md 1, 2.1.

use std::cell::{Cell, RefCell};
use std::hash::{DefaultHasher, Hasher};
use std::rc::Rc;
use std::time::Duration;

use evloop::net::{Direction, Stream, StreamEvent};
use evloop::{EvLoop, Run};

use crate::streaming::{
    Bytes, Link, Tape, World, calm, cases, noise, quiet, until, until_within, words,
};
use crate::suite::panic_of;

cases!(every [
    a_handler_may_close_everything_in_every_event,
    a_panic_in_any_event_loses_nothing,
    a_panic_at_the_end_of_input_still_closes_on_eof,
    data_that_comes_during_a_nested_run_is_neither_lost_nor_spun_on,
    a_stream_closed_in_a_nested_run_is_told_when_the_handler_is_back,
    others_are_served_in_a_nested_run,
    a_flooding_peer_does_not_starve_another,
    a_hundred_megabytes_arrive_as_they_were_sent,
    two_thousand_streams_talk_and_end,
    a_handler_may_open_streams_and_end_them_for_ever,
    a_peer_that_goes_in_the_middle_is_survived,
    an_idle_loop_sleeps,
]);

const EVENTS: [&str; 9] = [
    "opened",
    "connected",
    "wakeup",
    "received 4",
    "sent",
    "drained",
    "timer",
    "timeout read",
    "eof",
];

/// Has the client told every event there is, in time.
fn live(
    ev: &mut EvLoop,
    w: &World,
    client: Tape,
    act: impl FnMut(&mut EvLoop, Stream, &str) + 'static,
) -> Link {
    let mut act = act;
    let told = client.and(move |ev, stream, event| {
        if let StreamEvent::Timeout(Direction::Read) = event {
            stream.enable_read(ev);
        }
        act(ev, stream, &words(&event));
    });
    let echoes = |ev: &mut EvLoop, stream: Stream, event: StreamEvent| match event {
        StreamEvent::Received(_) => {
            let bytes = stream.take_all(ev);
            let _ = stream.write(ev, bytes);
        }
        StreamEvent::Eof { .. } => stream.close_after_flush(ev),
        _ => {}
    };
    let link = w.link(ev, told, echoes);
    let _ = link.client.write(ev, "ping");
    ev.stream_remote().post(link.client, ());
    let soon = ev.now() + Duration::from_millis(1);
    link.client.set_timer(ev, Some(soon));
    link.client.set_read_timeout(ev, Some(Duration::from_millis(15)));
    link
}

fn a_handler_may_close_everything_in_every_event(w: &World) {
    for event in EVENTS.into_iter().chain(["closed Local"]) {
        let mut ev = w.ev();
        let (tape, other) = (Tape::new(), Tape::new());
        let beside = w.open(&mut ev, other.tells(), quiet);
        let listener = ev.listen("127.0.0.1:0", |_, _| {}).unwrap();
        let link = live(&mut ev, w, tape.clone(), move |ev, _, told| {
            if told == event {
                for stream in ev.streams() {
                    stream.close_now(ev);
                    stream.write(ev, "too late").unwrap_err();
                }
                listener.close(ev);
            }
        });
        match event {
            "eof" => {
                until(&mut ev, |_| tape.has("received 4"));
                link.server.shutdown_write(&mut ev);
            }
            "closed Local" => link.client.close_now(&mut ev),
            _ => {}
        }
        until(&mut ev, |ev| ev.stream_count() == 0);
        assert_eq!((tape.last(), other.last()), ("closed Local".into(), "closed Local".into()));
        assert!(!beside.client.exists(&ev) && !listener.exists(&ev));
        calm(&mut ev);
    }
}

/// Turns the loop, and says how many panics came out of it.
fn turn(ev: &mut EvLoop) -> usize {
    usize::from(panic_of(|| ev.turn(Some(Duration::from_millis(2)))).is_some())
}

fn a_panic_in_any_event_loses_nothing(w: &World) {
    for event in EVENTS.into_iter().chain(["closed Flushed"]) {
        let mut ev = w.ev();
        let tape = Tape::new();
        let times = Rc::new(Cell::new(0));
        let count = Rc::clone(&times);
        let armed = Rc::new(Cell::new(false));
        let is_armed = Rc::clone(&armed);
        // Not while it is being linked, where nobody expects it.
        let mut pending = event == "opened" || event == "connected";
        let act = move |_: &mut EvLoop, _: Stream, told: &str| {
            if told == event && (is_armed.get() || !pending) && count.get() == 0 {
                count.set(1);
                pending = false;
                panic!("{told}");
            }
        };
        let mut panics = 0;
        let link = if event == "opened" || event == "connected" {
            // Those two are told while it is linked.
            armed.set(true);
            let made = linked_with_panics(&mut ev, w, tape.clone(), act, &mut panics);
            made.expect("a link")
        } else {
            live(&mut ev, w, tape.clone(), act)
        };
        let begun = std::time::Instant::now();
        let done = |tape: &Tape| {
            ["wakeup", "sent", "drained", "timer", "timeout read"].iter().all(|it| tape.has(it))
        };
        while !done(&tape) || link.client.input_len(&ev) < 4 {
            panics += turn(&mut ev);
            assert!(begun.elapsed() < Duration::from_secs(5), "{event}: {:?}", tape.all());
        }
        link.server.shutdown_write(&mut ev);
        while !tape.has("eof") {
            panics += turn(&mut ev);
            assert!(begun.elapsed() < Duration::from_secs(5), "{event}: {:?}", tape.all());
        }
        link.client.close_after_flush(&mut ev);
        while ev.stream_count() > 0 {
            panics += turn(&mut ev);
            assert!(begun.elapsed() < Duration::from_secs(5), "{event}: {:?}", tape.all());
        }
        assert_eq!(panics, 1, "{event}: {:?}", tape.all());
        assert_eq!(tape.last(), "closed Flushed");
        assert_eq!(tape.count("received 4"), 1);
    }
}

/// As `live`, where the first events panic.
fn linked_with_panics(
    ev: &mut EvLoop,
    w: &World,
    tape: Tape,
    act: impl FnMut(&mut EvLoop, Stream, &str) + 'static,
    panics: &mut usize,
) -> Option<Link> {
    // A descriptor that is there already is told of in the loop's own time.
    let mut act = act;
    let told = tape.and(move |ev, stream, event| {
        if let StreamEvent::Timeout(Direction::Read) = event {
            stream.enable_read(ev);
        }
        act(ev, stream, &words(&event));
    });
    let (one, other) = std::os::unix::net::UnixStream::pair().ok()?;
    let client = ev.stream(one, told).ok()?;
    let server = ev
        .stream(other, |ev, stream, event| {
            if let StreamEvent::Received(_) = event {
                let bytes = stream.take_all(ev);
                let _ = stream.write(ev, bytes);
            }
        })
        .ok()?;
    let _ = w;
    client.write(ev, "ping").ok()?;
    ev.stream_remote().post(client, ());
    let soon = ev.now() + Duration::from_millis(1);
    client.set_timer(ev, Some(soon));
    client.set_read_timeout(ev, Some(Duration::from_millis(15)));
    *panics += turn(ev);
    Some(Link { client, server })
}

fn a_panic_at_the_end_of_input_still_closes_on_eof(w: &World) {
    let mut ev = w.ev();
    let tape = Tape::new();
    let panics = tape.and(|_, _, event| {
        if let StreamEvent::Eof { .. } = event {
            panic!("at the end");
        }
    });
    let Link { client, server } = w.open(&mut ev, panics, quiet);
    client.set_close_on_eof(&mut ev, true);
    server.shutdown_write(&mut ev);
    let mut count = 0;
    let begun = std::time::Instant::now();
    while !tape.is_closed() {
        count += turn(&mut ev);
        assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", tape.all());
    }
    assert_eq!((count, tape.last()), (1, "closed PeerEof".into()));
}

fn data_that_comes_during_a_nested_run_is_neither_lost_nor_spun_on(w: &World) {
    let mut ev = w.ev();
    let peer = Rc::new(Cell::new(None::<Stream>));
    let sends = Rc::clone(&peer);
    let bytes = Bytes::new();
    let gathered = bytes.clone();
    let depth = Rc::new(Cell::new(0));
    let (deep, first) = (Rc::clone(&depth), Cell::new(true));
    let nests = move |ev: &mut EvLoop, stream: Stream, event: StreamEvent| {
        if let StreamEvent::Received(_) = event {
            assert_eq!(deep.replace(deep.get() + 1), 0, "called while it is being called");
            gathered.take_from(ev, stream);
            if first.replace(false) {
                // The other end sends more, and this one is called for none of it.
                let turns = Rc::new(Cell::new(0));
                let counted = Rc::clone(&turns);
                ev.on_wait(move || counted.set(counted.get() + 1), || {});
                sends.get().unwrap().write(ev, noise(100_000)).unwrap();
                ev.after(Duration::from_millis(60), |ev| ev.break_loop(evloop::Break::One));
                ev.run().unwrap();
                assert!(turns.get() < 60, "{} iterations", turns.get());
                assert!(stream.exists(ev));
            }
            deep.set(0);
        }
    };
    let Link { client, server } = w.open(&mut ev, quiet, nests);
    peer.set(Some(client));
    client.write(&mut ev, "first").unwrap();
    until(&mut ev, |_| bytes.len() == 100_005);
    server.close_now(&mut ev);
}

fn a_stream_closed_in_a_nested_run_is_told_when_the_handler_is_back(w: &World) {
    let mut ev = w.ev();
    let tape = Tape::new();
    let told = tape.clone();
    let nests = tape.and(move |ev, stream, event| {
        if let StreamEvent::Received(_) = event {
            ev.defer(move |ev| stream.close_now(ev));
            for _ in 0..3 {
                ev.turn(Some(Duration::ZERO)).unwrap();
            }
            assert!(!told.is_closed());
            assert!(stream.write(ev, "x").is_err());
        }
    });
    let Link { client, .. } = w.open(&mut ev, quiet, nests);
    client.write(&mut ev, "x").unwrap();
    until(&mut ev, |_| tape.is_closed());
    assert_eq!(tape.last(), "closed Local");
}

fn others_are_served_in_a_nested_run(w: &World) {
    let mut ev = w.ev();
    let other = Bytes::new();
    let seen = other.clone();
    let second = w.open(&mut ev, quiet, other.gathers());
    let nests = move |ev: &mut EvLoop, _: Stream, event: StreamEvent| {
        if let StreamEvent::Received(_) = event {
            second.client.write(ev, "nested").unwrap();
            let begun = std::time::Instant::now();
            while seen.len() < 6 {
                ev.turn(Some(Duration::from_millis(5))).unwrap();
                assert!(begun.elapsed() < Duration::from_secs(5));
            }
        }
    };
    let Link { client, .. } = w.open(&mut ev, quiet, nests);
    client.write(&mut ev, "x").unwrap();
    until(&mut ev, |_| other.len() == 6);
}

fn a_flooding_peer_does_not_starve_another(w: &World) {
    let mut ev = w.ev();
    let flood = Rc::new(Cell::new(0_usize));
    let count = Rc::clone(&flood);
    let floods = |ev: &mut EvLoop, stream: Stream, event: StreamEvent| {
        if let StreamEvent::Drained = event {
            let _ = stream.write_owned(ev, vec![7; 1 << 20]);
        }
    };
    let busy = w.open(&mut ev, floods, move |ev, stream, event| {
        if let StreamEvent::Received(n) = event {
            assert!(n <= 128 << 10, "{n} at a time");
            count.set(count.get() + n);
            stream.take_all(ev);
        }
    });
    busy.client.write_owned(&mut ev, vec![7; 1 << 20]).unwrap();
    let echoes = |ev: &mut EvLoop, stream: Stream, event: StreamEvent| {
        if let StreamEvent::Received(_) = event {
            let bytes = stream.take_all(ev);
            stream.write(ev, bytes).unwrap();
        }
    };
    let small = w.open(&mut ev, quiet, echoes);
    for _ in 0..20 {
        let before = flood.get();
        small.client.write(&mut ev, "x").unwrap();
        until(&mut ev, |ev| small.client.input_len(ev) > 0);
        small.client.take_all(&mut ev);
        // A few iterations of 64 KiB each: a pair has up to eight rounds in each.
        let meanwhile = flood.get() - before;
        assert!(meanwhile <= 4 << 20, "{meanwhile} bytes of the other");
    }
    assert!(flood.get() > 1 << 20);
}

fn a_hundred_megabytes_arrive_as_they_were_sent(w: &World) {
    const ALL: usize = 100 << 20;
    let mut ev = w.ev();
    let piece: Rc<[u8]> = noise((1 << 20) - 13).into();
    let sum = Rc::new(RefCell::new((DefaultHasher::new(), 0_usize)));
    let came = Rc::clone(&sum);
    // A source, one that forwards, and a sink.
    let right = w.open(&mut ev, quiet, move |ev, stream, event| {
        if let StreamEvent::Received(_) = event {
            let mut sum = came.borrow_mut();
            let mut input = stream.input(ev);
            let len = input.len();
            let bytes = input.pullup(len).unwrap();
            for byte in bytes.chunks(4096) {
                sum.1 += byte.len();
            }
            hash(&mut sum.0, bytes);
            input.drain(len);
        }
    });
    let to = right.client;
    let left = w.open(&mut ev, quiet, quiet);
    let from = left.server;
    from.set_read_marks(&mut ev, 0, Some(512 << 10));
    crate::streaming::replace(&mut ev, from, move |ev, stream, event| {
        if let StreamEvent::Received(_) = event {
            stream.forward(ev, to, usize::MAX);
        }
    });
    crate::streaming::replace(&mut ev, to, move |ev, stream, event| {
        if let StreamEvent::Drained = event {
            from.forward(ev, stream, usize::MAX);
        }
    });
    let mut sent = 0;
    let mut expected = DefaultHasher::new();
    let begun = std::time::Instant::now();
    while sum.borrow().1 < ALL {
        while sent < ALL && left.client.output_len(&ev) < 256 << 10 {
            let n = piece.len().min(ALL - sent);
            hash(&mut expected, &piece[..n]);
            left.client.write_owned(&mut ev, &piece[..n]).unwrap();
            sent += n;
        }
        ev.turn(Some(Duration::from_millis(10))).unwrap();
        assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", sum.borrow().1);
        assert!(from.input_len(&ev) <= 600 << 10 && to.output_len(&ev) <= 2 << 20);
    }
    assert_eq!(sum.borrow().0.finish(), expected.finish());
}

/// The same whatever the pieces.
fn hash(hasher: &mut DefaultHasher, bytes: &[u8]) {
    // `DefaultHasher::write` takes the bytes as a stream.
    hasher.write(bytes);
}

fn two_thousand_streams_talk_and_end(w: &World) {
    let count = if w.is_tls() { 100 } else { 1000 };
    let mut ev = w.ev();
    let closed = Rc::new(Cell::new(0));
    let mut links = Vec::new();
    for _ in 0..count {
        let (one, two) = (Rc::clone(&closed), Rc::clone(&closed));
        links.push(w.link(
            &mut ev,
            move |ev, stream, event| match event {
                StreamEvent::Received(_) => stream.close_after_flush(ev),
                StreamEvent::Closed(_) => one.set(one.get() + 1),
                _ => {}
            },
            move |ev, stream, event| match event {
                StreamEvent::Received(_) => {
                    let bytes = stream.take_all(ev);
                    stream.write(ev, bytes).unwrap();
                }
                StreamEvent::Eof { .. } => stream.close_after_flush(ev),
                StreamEvent::Closed(_) => two.set(two.get() + 1),
                _ => {}
            },
        ));
    }
    assert_eq!(ev.stream_count(), 2 * count);
    for link in &links {
        link.client.write(&mut ev, "hello").unwrap();
    }
    until_within(&mut ev, Duration::from_secs(30), |ev| ev.stream_count() == 0);
    assert_eq!(closed.get(), 2 * count);
}

fn a_handler_may_open_streams_and_end_them_for_ever(w: &World) {
    let mut ev = w.ev();
    fn next(ev: &mut EvLoop, left: Rc<Cell<u32>>) {
        let again = Rc::clone(&left);
        let (one, _) = ev
            .stream_pair(
                move |ev, _, event| {
                    if let StreamEvent::Closed(_) = event {
                        if left.get() > 0 {
                            left.set(left.get() - 1);
                            next(ev, Rc::clone(&left));
                        }
                    }
                },
                |ev, stream, event| {
                    if let StreamEvent::Eof { .. } = event {
                        stream.close_now(ev);
                    }
                },
            )
            .unwrap();
        one.close_now(ev);
        let _ = again;
    }
    let left = Rc::new(Cell::new(1000));
    next(&mut ev, Rc::clone(&left));
    let link = w.open(&mut ev, quiet, quiet);
    until(&mut ev, |_| left.get() == 0);
    link.client.close_now(&mut ev);
    link.server.close_now(&mut ev);
    until(&mut ev, |ev| ev.stream_count() == 0);
}

fn a_peer_that_goes_in_the_middle_is_survived(w: &World) {
    for reset in [false, true] {
        let mut ev = w.ev();
        let (tape, bytes) = (Tape::new(), Bytes::new());
        let gathered = bytes.clone();
        let goes_on = tape.and(move |ev, stream, event| match event {
            StreamEvent::Received(_) => gathered.take_from(ev, stream),
            StreamEvent::Drained => drop(stream.write(ev, noise(300_000))),
            _ => {}
        });
        let Link { client, server } = w.open(&mut ev, goes_on, quiet);
        server.write(&mut ev, "last words").unwrap();
        client.write(&mut ev, noise(900_000)).unwrap();
        until(&mut ev, |ev| server.input_len(ev) > 0);
        if reset {
            server.reset(&mut ev);
        } else {
            server.close_now(&mut ev);
        }
        until(&mut ev, |_| tape.is_closed());
        assert_eq!(tape.last(), "closed Reset", "{:?}", tape.gist());
        let told = tape.gist();
        assert_eq!(told[told.len() - 2], "error Io");
    }
}

fn an_idle_loop_sleeps(w: &World) {
    // Half closed, held back, full, disabled: whatever the state, nothing spins.
    let mut ev = w.ev();
    let mut links = Vec::new();
    for state in 0..6 {
        let link = w.open(&mut ev, quiet, quiet);
        let Link { client, server } = link;
        match state {
            0 => server.shutdown_write(&mut ev),
            1 => {
                client.set_read_marks(&mut ev, 0, Some(100));
                server.write(&mut ev, noise(1000)).unwrap();
            }
            2 => {
                server.disable_read(&mut ev);
                client.write_owned(&mut ev, noise(8_000_000)).unwrap();
            }
            3 => {
                client.disable_read(&mut ev);
                server.write(&mut ev, "x").unwrap();
                server.close_after_flush(&mut ev);
            }
            4 => {
                client.disable_write(&mut ev);
                client.write(&mut ev, "x").unwrap();
            }
            _ => {
                client.disable_read(&mut ev);
                server.reset(&mut ev);
            }
        }
        links.push(link);
    }
    for _ in 0..300 {
        ev.turn(Some(Duration::ZERO)).unwrap();
    }
    let waits = Rc::new(Cell::new(0));
    let count = Rc::clone(&waits);
    ev.on_wait(move || count.set(count.get() + 1), || {});
    ev.after(Duration::from_millis(50), |_| {});
    let begun = std::time::Instant::now();
    while begun.elapsed() < Duration::from_millis(50) {
        ev.run_mode(Run::Once).unwrap();
    }
    assert!(waits.get() <= 5, "{} iterations in which nothing happened", waits.get());
}
