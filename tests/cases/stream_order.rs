// What a stream is told, and in which order: net-and-http-server.md 2.6.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use evloop::ErrorKind;
use evloop::net::{Direction, Eol, Reason, Stream, StreamEvent, StreamState};

use crate::streaming::{Bytes, Link, Tape, World, calm, cases, noise, quiet, until, verb};

cases!(every [
    a_short_talk_is_told_in_order,
    data_comes_before_the_end_also_byte_by_byte,
    what_is_written_before_the_connection_is_there_is_sent_then,
    received_comes_before_sent_and_drained_in_one_pass,
    closed_comes_once_and_last_however_it_ends,
    the_end_of_the_loop_closes_every_stream_and_opens_those_it_did_not_get_to,
    no_verb_calls_a_handler,
    a_stream_that_is_gone_does_nothing_and_says_so,
    a_stream_says_how_far_it_has_come,
    deferred_events_are_the_same,
    a_closed_stream_still_has_its_input_while_it_is_told,
    replies_of_one_iteration_leave_together,
]);

cases!(plain[an_error_comes_once_and_then_closed]);

fn a_short_talk_is_told_in_order(w: &World) {
    let mut ev = w.ev();
    let (client, server) = (Tape::new(), Tape::new());
    let talks = client.and(|ev, stream, event| match event {
        StreamEvent::Connected => drop(stream.write(ev, "ping")),
        StreamEvent::Received(_) => assert_eq!(stream.take_all(ev), b"pong!"),
        StreamEvent::Eof { .. } => stream.close_now(ev),
        _ => {}
    });
    let answers = server.and(|ev, stream, event| {
        if let StreamEvent::Received(_) = event {
            assert_eq!(stream.take_all(ev), b"ping");
            stream.write(ev, "pong!").unwrap();
            stream.close_after_flush(ev);
        }
    });
    w.link(&mut ev, talks, answers);
    until(&mut ev, |ev| ev.stream_count() == 0);
    let mut expected = vec!["opened", "connected", "received 5", "eof", "closed Local"];
    let begins = if w.is_pair() { "connected" } else { "accepted" };
    let mut of_server = vec!["opened", begins, "received 4", "closed Flushed"];
    if w.is_tls() {
        expected.insert(2, "handshaked");
        of_server.insert(2, "handshaked");
    } else {
        expected.splice(2..2, ["sent", "drained"]);
        of_server.splice(3..3, ["sent", "drained"]);
        assert_eq!(client.all(), expected);
        assert_eq!(server.all(), of_server);
        return;
    }
    assert_eq!(client.gist(), expected);
    assert_eq!(server.gist(), of_server);
}

fn data_comes_before_the_end_also_byte_by_byte(w: &World) {
    let mut ev = w.ev();
    for most in [1, 7, 65536] {
        let (tape, bytes) = (Tape::new(), Bytes::new());
        let Link { client, server } =
            w.open(&mut ev, Tape::new().closes(), tape.and(bytes.gathers()));
        server.set_transfer_limits(&mut ev, most, most);
        client.write(&mut ev, noise(500)).unwrap();
        client.shutdown_write(&mut ev);
        until(&mut ev, |_| tape.is_closed());
        assert_eq!(bytes.get(), noise(500));
        let told = tape.gist();
        let end = told.iter().position(|it| it == "eof").unwrap();
        assert!(told[end..].iter().all(|it| !it.starts_with("received")), "{told:?}");
        assert_eq!(tape.count("eof"), 1);
        until(&mut ev, |ev| ev.stream_count() == 0);
    }
}

fn what_is_written_before_the_connection_is_there_is_sent_then(w: &World) {
    let mut ev = w.ev();
    let bytes = Bytes::new();
    let link = w.link(&mut ev, quiet, bytes.gathers());
    link.client.write(&mut ev, "one ").unwrap();
    link.client.write(&mut ev, "two").unwrap();
    link.client.close_after_flush(&mut ev);
    until(&mut ev, |ev| ev.stream_count() == 0);
    assert_eq!(bytes.get(), b"one two");
}

fn received_comes_before_sent_and_drained_in_one_pass(w: &World) {
    let mut ev = w.ev();
    let tape = Tape::new();
    let echo = tape.and(|ev, stream, event| {
        if let StreamEvent::Received(_) = event {
            let bytes = stream.take_all(ev);
            stream.write(ev, bytes).unwrap();
        }
    });
    let Link { client, .. } = w.open(&mut ev, quiet, echo);
    tape.take();
    client.write(&mut ev, "x").unwrap();
    until(&mut ev, |_| tape.has("drained"));
    assert_eq!(tape.take(), ["received 1", "sent", "drained"]);
}

/// Every way to end, and what the stream and its peer are told last.
fn closed_comes_once_and_last_however_it_ends(w: &World) {
    type End = fn(&mut evloop::EvLoop, Stream, Stream);
    let ways: [(&str, Reason, End); 8] = [
        ("close_now", Reason::Local, |ev, stream, _| stream.close_now(ev)),
        ("reset", Reason::Local, |ev, stream, _| stream.reset(ev)),
        ("flush", Reason::Flushed, |ev, stream, _| {
            stream.write(ev, noise(300_000)).unwrap();
            stream.close_after_flush(ev);
        }),
        ("linger", Reason::Flushed, |ev, stream, peer| {
            stream.close_lingering(ev);
            peer.set_close_on_eof(ev, true);
        }),
        ("both", Reason::PeerEof, |ev, stream, peer| {
            stream.shutdown_write(ev);
            peer.shutdown_write(ev);
        }),
        ("on eof", Reason::PeerEof, |ev, stream, peer| {
            stream.set_close_on_eof(ev, true);
            peer.shutdown_write(ev);
        }),
        ("peer resets", Reason::Reset, |ev, _, peer| peer.reset(ev)),
        ("deadline", Reason::Timeout(evloop::net::Phase::Deadline), |ev, stream, _| {
            let soon = ev.now() + Duration::from_millis(5);
            stream.set_deadline(ev, Some(soon));
        }),
    ];
    for (name, reason, end) in ways {
        // A Unix socket knows no reset.
        if reason == Reason::Reset && !(w.is_tcp() || w.is_pair()) {
            continue;
        }
        let mut ev = w.ev();
        let (tape, far) = (Tape::new(), Tape::new());
        let drains = |ev: &mut evloop::EvLoop, stream: Stream, event: StreamEvent| {
            if let StreamEvent::Received(_) = event {
                stream.take_all(ev);
            }
        };
        let Link { client, server } = w.open(&mut ev, tape.tells(), far.and(drains));
        verb(|| end(&mut ev, client, server));
        until(&mut ev, |_| tape.is_closed());
        assert_eq!(tape.last(), format!("closed {reason:?}"), "{name}: {:?}", tape.all());
        let errors = tape.all().iter().filter(|it| it.starts_with("error")).count();
        let fails = matches!(reason, Reason::Reset | Reason::Timeout(_));
        assert_eq!(errors, usize::from(fails), "{name}: {:?}", tape.all());
        if fails {
            let told = tape.all();
            assert!(told[told.len() - 2].starts_with("error"), "{name}: {told:?}");
        }
        let before = tape.all().len();
        assert!(!client.exists(&ev));
        server.close_now(&mut ev);
        calm(&mut ev);
        assert_eq!(tape.all().len(), before, "{name}");
        assert_eq!(ev.stream_count(), 0);
    }
}

fn the_end_of_the_loop_closes_every_stream_and_opens_those_it_did_not_get_to(w: &World) {
    let tapes: Vec<Tape> = (0..6).map(|_| Tape::new()).collect();
    {
        let mut ev = w.ev();
        w.open(&mut ev, tapes[0].tells(), tapes[1].tells());
        let busy = w.open(&mut ev, tapes[2].tells(), tapes[3].tells());
        busy.client.write(&mut ev, noise(500_000)).unwrap();
        busy.client.close_after_flush(&mut ev);
        w.link(&mut ev, tapes[4].tells(), tapes[5].tells());
    }
    for tape in &tapes {
        assert_eq!(tape.all()[0], "opened", "{:?}", tape.all());
        assert_eq!(tape.all().iter().filter(|it| it.starts_with("closed")).count(), 1);
    }
    assert_eq!(tapes[0].last(), "closed LoopGone");
    assert_eq!(tapes[3].last(), "closed LoopGone");
    assert_eq!(tapes[5].last(), "closed LoopGone");
}

fn no_verb_calls_a_handler(w: &World) {
    let mut ev = w.ev();
    // From outside, and from inside of handlers of the other end.
    let peer = Rc::new(Cell::new(None::<Stream>));
    let other = Rc::clone(&peer);
    let meddles = move |ev: &mut evloop::EvLoop, stream: Stream, _: StreamEvent| {
        for stream in [Some(stream), other.get()].into_iter().flatten() {
            verb(|| every_harmless_verb(ev, stream));
        }
    };
    let Link { client, server } = w.link(&mut ev, meddles, quiet);
    peer.set(Some(server));
    for _ in 0..5 {
        for stream in [client, server] {
            verb(|| every_harmless_verb(&mut ev, stream));
        }
        ev.turn(Some(Duration::from_millis(1))).unwrap();
    }
    for end in [Stream::shutdown_write, Stream::close_after_flush, Stream::close_now, Stream::reset]
    {
        verb(|| end(client, &mut ev));
        verb(|| end(server, &mut ev));
    }
    until(&mut ev, |ev| ev.stream_count() == 0);
}

fn every_harmless_verb(ev: &mut evloop::EvLoop, stream: Stream) {
    let _ = stream.write(ev, "x");
    let _ = stream.write_owned(ev, vec![b'x'; 600]);
    let _ = stream.write_shared(ev, evloop::net::Shared::from_static(b"x"));
    stream.take(ev, 3);
    let _ = stream.take_line(ev, Eol::Any, 100);
    stream.disable_read(ev);
    stream.enable_read(ev);
    stream.disable_write(ev);
    stream.enable_write(ev);
    if stream.info(ev).is_some_and(|info| info.state == StreamState::Open) {
        stream.trigger_received(ev, true);
        stream.trigger_drained(ev, true);
    }
    stream.set_read_marks(ev, 0, Some(100_000));
    stream.set_write_mark(ev, 1);
    let past = ev.now();
    stream.set_timer(ev, Some(past));
    stream.set_read_timeout(ev, Some(Duration::from_secs(100)));
    stream.set_write_timeout(ev, Some(Duration::from_secs(100)));
    stream.forward(ev, stream, 1);
    let _ = ev.streams();
    let _ = stream.info(ev);
    stream.take_all(ev);
}

fn a_stream_that_is_gone_does_nothing_and_says_so(w: &World) {
    let mut ev = w.ev();
    let Link { client, server } = w.open(&mut ev, quiet, quiet);
    client.close_now(&mut ev);
    server.close_now(&mut ev);
    until(&mut ev, |ev| ev.stream_count() == 0);
    // Another takes its place.
    let next = w.open(&mut ev, quiet, quiet);
    assert!(!client.exists(&ev) && next.client.exists(&ev));
    assert_eq!(client.write(&mut ev, "x").unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(client.write_owned(&mut ev, "x").unwrap_err().kind(), ErrorKind::Closed);
    assert!(client.input(&mut ev).is_empty());
    assert_eq!(client.take_line(&mut ev, Eol::Any, 10).unwrap(), None);
    assert!(!client.enable_read(&mut ev) && !client.disable_write(&mut ev));
    assert!(!client.set_read_timeout(&mut ev, None));
    assert!(!client.set_handler(&mut ev, quiet));
    assert!(client.info(&ev).is_none() && client.peer(&ev).is_none() && client.fd(&ev).is_none());
    assert!(client.set_data(&mut ev, 1).is_none() && client.data::<i32>(&ev).is_none());
    let filter = Box::new(crate::streaming::Xor(1));
    assert_eq!(client.push_filter(&mut ev, filter).unwrap_err().kind(), ErrorKind::Closed);
    assert!(client.pop_filter(&mut ev).is_none());
    assert!(client.into_parts(&mut ev).is_err());
    assert!(ev.stream_by_id(client.id()).is_none());
    assert_eq!(client.forward(&mut ev, next.client, 10), 0);
    assert_eq!(next.client.forward(&mut ev, client, 10), 0);
    for verb in [Stream::close_now, Stream::reset, Stream::shutdown_write, Stream::shutdown_read] {
        verb(client, &mut ev);
    }
    calm(&mut ev);
    assert!(next.client.exists(&ev) && next.server.exists(&ev));
}

fn an_error_comes_once_and_then_closed(w: &World) {
    let mut ev = w.ev();
    let tape = Tape::new();
    let failed = Rc::new(RefCell::new(None));
    let kept = Rc::clone(&failed);
    let keeps = tape.and(move |ev, stream, event| {
        if let StreamEvent::Error { error, direction } = event {
            // It is over already: nothing of this has any effect.
            assert!(stream.write(ev, "x").is_err());
            stream.close_now(ev);
            stream.close_after_flush(ev);
            *kept.borrow_mut() = Some((error.kind(), direction));
        }
    });
    let Link { client, server } = w.open(&mut ev, keeps, quiet);
    // Input that nobody has read resets a Unix socket, too.
    server.disable_read(&mut ev);
    client.write(&mut ev, "question").unwrap();
    until(&mut ev, |ev| client.output_len(ev) == 0);
    server.reset(&mut ev);
    until(&mut ev, |_| tape.is_closed());
    assert_eq!(*failed.borrow(), Some((ErrorKind::Io, Some(Direction::Read))));
    assert_eq!(tape.last(), "closed Reset");
}

fn a_stream_says_how_far_it_has_come(w: &World) {
    let mut ev = w.ev();
    let states = Rc::new(RefCell::new(Vec::new()));
    let seen = Rc::clone(&states);
    let looks = move |ev: &mut evloop::EvLoop, stream: Stream, event: StreamEvent| {
        seen.borrow_mut().push((crate::streaming::words(&event), stream.info(ev).unwrap().state));
        if let StreamEvent::Received(_) = event {
            stream.close_after_flush(ev);
            assert_eq!(stream.info(ev).unwrap().state, StreamState::Closing);
        }
    };
    let Link { client, server } = w.open(&mut ev, looks, quiet);
    let info = client.info(&ev).unwrap();
    assert!(info.read_enabled && info.write_enabled && !info.is_accepted);
    assert_eq!(info.is_pair, w.is_pair());
    assert_eq!(info.filters, usize::from(w.is_tls()));
    assert_eq!(server.info(&ev).unwrap().is_accepted, !w.is_pair());
    assert_eq!(client.fd(&ev).is_some(), !w.is_pair());
    server.write(&mut ev, "x").unwrap();
    until(&mut ev, |ev| !client.exists(ev));
    let states = states.borrow();
    assert_eq!(states.last().unwrap().1, StreamState::Closed);
    if w.is_tls() {
        assert!(states.contains(&("connected".to_owned(), StreamState::Handshaking)));
    }
}

fn deferred_events_are_the_same(w: &World) {
    let mut ev = w.ev();
    let (client, server) = (Tape::new(), Tape::new());
    let link = w.open(
        &mut ev,
        client.tells(),
        server.and(|ev, stream, event| {
            if let StreamEvent::Received(_) = event {
                let bytes = stream.take_all(ev);
                stream.write(ev, bytes).unwrap();
                stream.close_after_flush(ev);
            }
        }),
    );
    client.take();
    server.take();
    link.client.set_deferred(&mut ev, true);
    link.server.set_deferred(&mut ev, true);
    link.client.write(&mut ev, "ping").unwrap();
    until(&mut ev, |_| client.has("eof") && server.is_closed());
    assert_eq!(server.gist(), ["received 4", "closed Flushed"]);
    assert_eq!(client.gist(), ["received 4", "eof"]);
    link.client.close_now(&mut ev);
    until(&mut ev, |_| client.is_closed());
}

fn a_closed_stream_still_has_its_input_while_it_is_told(w: &World) {
    let mut ev = w.ev();
    let rest = Rc::new(RefCell::new(Vec::new()));
    let kept = Rc::clone(&rest);
    let link = w.open(
        &mut ev,
        move |ev, stream, event| {
            if let StreamEvent::Closed(_) = event {
                *kept.borrow_mut() = stream.take_all(ev);
                assert!(!stream.exists(ev));
                assert!(stream.write(ev, "x").is_err());
                stream.close_now(ev);
            }
        },
        quiet,
    );
    link.server.write(&mut ev, "unread").unwrap();
    until(&mut ev, |ev| link.client.input_len(ev) == 6);
    link.client.close_now(&mut ev);
    until(&mut ev, |ev| !link.client.exists(ev));
    assert_eq!(*rest.borrow(), b"unread");
}

fn replies_of_one_iteration_leave_together(w: &World) {
    let mut ev = w.ev();
    let tape = Tape::new();
    let link = w.open(&mut ev, quiet, tape.tells());
    tape.take();
    for _ in 0..100 {
        link.client.write(&mut ev, "a piece ").unwrap();
    }
    until(&mut ev, |ev| link.server.input_len(ev) == 800);
    assert_eq!(tape.gist(), ["received 800"]);
}
