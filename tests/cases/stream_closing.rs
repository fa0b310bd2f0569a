// How streams end: net-and-http-server.md 2.7.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use evloop::net::{RateLimit, Reason, Stream, StreamEvent};
use evloop::{ErrorKind, EvLoop};

use crate::streaming::{Bytes, Link, Tape, World, calm, cases, noise, pass, quiet, until, verb};

cases!(every [
    close_after_flush_sends_everything_first,
    half_close_goes_both_ways,
    a_peer_that_ended_still_gets_the_answer,
    close_on_eof_answers_first,
    shutting_the_input_tells_no_end_and_leaves_the_output,
    a_stronger_close_takes_over_and_a_weaker_one_changes_nothing,
    closing_is_legal_in_every_event,
    reset_is_told_to_the_peer,
    a_lingering_close_lets_the_peer_have_the_whole_reply,
    closing_before_the_connection_is_there_sends_what_was_written,
    closing_at_once_before_the_first_event_is_told_in_order,
    writing_while_it_closes_is_refused,
    an_end_and_output_on_both_sides_close_both,
]);

cases!(timed [
    a_peer_that_never_reads_is_closed_after_thirty_seconds,
    a_peer_that_never_reads_is_closed_whatever_times_are_set_while_it_closes,
    a_write_timeout_of_ones_own_takes_their_place,
    asking_again_to_close_does_not_put_it_off,
    a_peer_that_reads_slowly_is_waited_for,
    lingering_lasts_a_second_or_until_the_peer_ends_it,
    lingering_takes_a_quarter_of_a_megabyte_at_most,
    lingering_deferred_is_over_as_soon_as_the_peer_has_ended,
]);

fn drains(ev: &mut EvLoop, stream: Stream, event: StreamEvent) {
    if let StreamEvent::Received(_) = event {
        stream.take_all(ev);
    }
}

fn close_after_flush_sends_everything_first(w: &World) {
    let mut ev = w.ev();
    let (tape, bytes) = (Tape::new(), Bytes::new());
    let Link { client, .. } = w.open(&mut ev, tape.tells(), bytes.gathers());
    let content = noise(3_000_000);
    client.write_owned(&mut ev, content.clone()).unwrap();
    client.close_after_flush(&mut ev);
    until(&mut ev, |ev| ev.stream_count() == 0);
    assert!(bytes.get() == content);
    assert_eq!(tape.last(), "closed Flushed");
    assert!(!tape.has("eof"));
}

fn half_close_goes_both_ways(w: &World) {
    let mut ev = w.ev();
    let (near, far) = (Tape::new(), Tape::new());
    let Link { client, server } = w.open(&mut ev, near.tells(), far.tells());
    client.write(&mut ev, "question").unwrap();
    client.shutdown_write(&mut ev);
    client.shutdown_write(&mut ev);
    assert_eq!(client.write(&mut ev, "x").unwrap_err().kind(), ErrorKind::Closed);
    until(&mut ev, |_| far.has("eof"));
    assert_eq!(server.take_all(&mut ev), b"question");
    calm(&mut ev);
    assert!(client.exists(&ev) && server.exists(&ev));
    // The way back is open as long as it is wanted.
    for _ in 0..3 {
        server.write(&mut ev, noise(200_000)).unwrap();
        until(&mut ev, |ev| client.input_len(ev) == 200_000);
        client.take_all(&mut ev);
    }
    assert!(server.info(&ev).unwrap().has_ended && client.info(&ev).unwrap().is_shut);
    server.shutdown_write(&mut ev);
    until(&mut ev, |ev| ev.stream_count() == 0);
    assert_eq!(near.gist().last().unwrap(), "closed PeerEof");
    assert_eq!(far.gist().last().unwrap(), "closed PeerEof");
    assert_eq!((near.count("eof"), far.count("eof")), (1, 1));
}

fn a_peer_that_ended_still_gets_the_answer(w: &World) {
    let mut ev = w.ev();
    let bytes = Bytes::new();
    let Link { client, .. } = w.open(&mut ev, bytes.gathers(), |ev, stream, event| {
        if let StreamEvent::Eof { clean } = event {
            assert!(clean);
            let question = stream.take_all(ev);
            assert_eq!(question.len(), 70_000);
            stream.write(ev, question).unwrap();
            stream.close_after_flush(ev);
        }
    });
    client.write(&mut ev, noise(70_000)).unwrap();
    client.shutdown_write(&mut ev);
    until(&mut ev, |ev| ev.stream_count() == 0);
    assert_eq!(bytes.len(), 70_000);
}

fn close_on_eof_answers_first(w: &World) {
    let mut ev = w.ev();
    let (bytes, tape) = (Bytes::new(), Tape::new());
    let answers = tape.and(|ev, stream, event| {
        if let StreamEvent::Eof { .. } = event {
            stream.write(ev, noise(500_000)).unwrap();
        }
    });
    let Link { client, server } = w.open(&mut ev, bytes.gathers(), answers);
    server.set_close_on_eof(&mut ev, true);
    client.shutdown_write(&mut ev);
    until(&mut ev, |ev| ev.stream_count() == 0);
    assert_eq!(bytes.len(), 500_000);
    assert_eq!(tape.last(), "closed PeerEof");
}

fn shutting_the_input_tells_no_end_and_leaves_the_output(w: &World) {
    let mut ev = w.ev();
    let tape = Tape::new();
    let Link { client, server } = w.open(&mut ev, quiet, tape.tells());
    client.write(&mut ev, "before").unwrap();
    until(&mut ev, |ev| server.input_len(ev) == 6);
    server.shutdown_read(&mut ev);
    server.shutdown_read(&mut ev);
    calm(&mut ev);
    assert_eq!(server.take_all(&mut ev), b"before");
    server.write(&mut ev, "after").unwrap();
    until(&mut ev, |ev| client.input_len(ev) == 5);
    assert!(!tape.has("eof"));
    server.close_after_flush(&mut ev);
    until(&mut ev, |_| tape.is_closed());
    assert!(!tape.has("eof"));
    assert_eq!(tape.last(), "closed Flushed");
}

fn a_stronger_close_takes_over_and_a_weaker_one_changes_nothing(w: &World) {
    type Verb = fn(Stream, &mut EvLoop);
    let verbs: [Verb; 5] = [
        Stream::shutdown_write,
        Stream::close_after_flush,
        Stream::close_lingering,
        Stream::close_now,
        Stream::reset,
    ];
    let outcomes = [None, Some("Flushed"), Some("Flushed"), Some("Local"), Some("Local")];
    for first in 0..5 {
        for second in 0..5 {
            let mut ev = w.ev();
            let (tape, far) = (Tape::new(), Tape::new());
            let Link { client, server } = w.open(&mut ev, tape.tells(), far.and(drains));
            client.write(&mut ev, noise(200_000)).unwrap();
            for verb_of in [verbs[first], verbs[second], verbs[second], verbs[first]] {
                verb(|| verb_of(client, &mut ev));
            }
            let outcome = outcomes[first.max(second)];
            if outcome.is_none() || outcome == Some("Flushed") {
                until(&mut ev, |_| far.has("eof"));
                server.close_now(&mut ev);
            }
            if outcome.is_some() {
                until(&mut ev, |_| tape.is_closed());
            } else {
                calm(&mut ev);
                assert!(client.exists(&ev) || tape.last() == "closed PeerEof");
            }
            if let Some(outcome) = outcome {
                assert_eq!(tape.last(), format!("closed {outcome}"), "{first} {second}");
            }
            client.reset(&mut ev);
            server.close_now(&mut ev);
            until(&mut ev, |ev| ev.stream_count() == 0);
        }
    }
}

/// All events that a stream is told in the course of a life, as far as they are alike everywhere.
const EVENTS: [&str; 8] =
    ["opened", "connected", "received 4", "sent", "drained", "timer", "timeout read", "eof"];

fn closing_is_legal_in_every_event(w: &World) {
    type Verb = fn(Stream, &mut EvLoop);
    let verbs: [(Verb, Reason); 4] = [
        (Stream::close_now, Reason::Local),
        (Stream::reset, Reason::Local),
        (Stream::close_after_flush, Reason::Flushed),
        (Stream::close_lingering, Reason::Flushed),
    ];
    for (end, reason) in verbs {
        for event in EVENTS {
            let mut ev = w.ev();
            let tape = Tape::new();
            let closes = tape.and(move |ev, stream, told| {
                if crate::streaming::words(&told) == event {
                    end(stream, ev);
                    end(stream, ev);
                } else if let StreamEvent::Timeout(_) = told {
                    stream.enable_read(ev);
                }
            });
            let far = |ev: &mut EvLoop, stream: Stream, event: StreamEvent| match event {
                StreamEvent::Received(_) => {
                    let bytes = stream.take_all(ev);
                    let _ = stream.write(ev, bytes);
                }
                StreamEvent::Eof { .. } => stream.close_after_flush(ev),
                _ => {}
            };
            let Link { client, server } = w.link(&mut ev, closes, far);
            let _ = client.write(&mut ev, "ping");
            let soon = ev.now() + Duration::from_millis(1);
            client.set_timer(&mut ev, Some(soon));
            client.set_read_timeout(&mut ev, Some(Duration::from_millis(20)));
            if event == "eof" {
                until(&mut ev, |ev| client.input_len(ev) == 4);
                server.shutdown_write(&mut ev);
            }
            until(&mut ev, |_| tape.is_closed());
            assert_eq!(tape.last(), format!("closed {reason:?}"), "{event}: {:?}", tape.all());
            let told = tape.all();
            let at = told.iter().position(|it| it == event).unwrap();
            if reason == Reason::Local {
                assert_eq!(at + 2, told.len(), "nothing between: {told:?}");
            }
        }
    }
}

fn reset_is_told_to_the_peer(w: &World) {
    let mut ev = w.ev();
    let (near, far) = (Tape::new(), Tape::new());
    let Link { client, .. } = w.open(&mut ev, near.tells(), far.closes());
    client.write(&mut ev, noise(10)).unwrap();
    client.reset(&mut ev);
    until(&mut ev, |_| far.is_closed());
    assert_eq!(near.last(), "closed Local");
    // A Unix socket knows no reset, but for input that nobody has read.
    if w.is_tcp() || w.is_pair() {
        let told = far.all();
        assert_eq!(told[told.len() - 2..], ["error Io", "closed Reset"], "{told:?}");
    }
}

fn a_lingering_close_lets_the_peer_have_the_whole_reply(w: &World) {
    let mut ev = w.ev();
    let reply = noise(20_000);
    let tape = Tape::new();
    let bytes = Bytes::new();
    let gathered = bytes.clone();
    // Answers at the first byte, and reads no more of what keeps coming.
    let refuses = tape.and(|ev, stream, event| {
        if let StreamEvent::Received(_) = event {
            stream.take(ev, 1);
            stream.write(ev, noise(20_000)).unwrap();
            stream.close_lingering(ev);
        }
    });
    let stays = Tape::new();
    let reads_late = stays.and(move |ev, stream, event| match event {
        StreamEvent::Received(_) => gathered.take_from(ev, stream),
        StreamEvent::Eof { .. } => stream.close_after_flush(ev),
        _ => {}
    });
    let Link { client, server } = w.open(&mut ev, reads_late, refuses);
    server.set_transfer_limits(&mut ev, 1000, 65536);
    client.disable_read(&mut ev);
    client.write(&mut ev, noise(100_000)).unwrap();
    until(&mut ev, |ev| client.output_len(ev) == 0);
    client.enable_read(&mut ev);
    until(&mut ev, |ev| ev.stream_count() == 0);
    assert!(bytes.get() == reply, "{} {:?}", bytes.len(), stays.all());
    assert_eq!(tape.last(), "closed Flushed");
    assert!(!stays.all().iter().any(|it| it.starts_with("error")), "{:?}", stays.all());
}

fn closing_before_the_connection_is_there_sends_what_was_written(w: &World) {
    let mut ev = w.ev();
    let (near, bytes) = (Tape::new(), Bytes::new());
    let done = Rc::new(Cell::new(false));
    let seen = Rc::clone(&done);
    let closes = near.and(move |ev, stream, event| {
        if let (StreamEvent::Opened, false) = (event, seen.replace(true)) {
            stream.write(ev, "last words").unwrap();
            stream.close_after_flush(ev);
        }
    });
    w.link(&mut ev, closes, bytes.gathers());
    until(&mut ev, |ev| ev.stream_count() == 0);
    assert_eq!(bytes.get(), b"last words");
    assert_eq!(near.last(), "closed Flushed");
}

fn closing_at_once_before_the_first_event_is_told_in_order(w: &World) {
    let mut ev = w.ev();
    let tape = Tape::new();
    let (one, other) = if w.is_pair() {
        ev.stream_pair(tape.tells(), quiet).unwrap()
    } else {
        let listener = ev.listen("127.0.0.1:0", |_, _| {}).unwrap();
        let address = listener.addresses(&ev).remove(0);
        let one = ev.connect(address, tape.tells()).unwrap();
        (one, one)
    };
    verb(|| one.close_now(&mut ev));
    until(&mut ev, |_| tape.is_closed());
    assert_eq!(tape.all(), ["opened", "closed Local"]);
    other.close_now(&mut ev);
}

fn writing_while_it_closes_is_refused(w: &World) {
    let mut ev = w.ev();
    let Link { client, .. } = w.open(&mut ev, quiet, quiet);
    client.disable_write(&mut ev);
    client.write(&mut ev, "x").unwrap();
    client.close_after_flush(&mut ev);
    assert!(client.exists(&ev));
    assert_eq!(client.write(&mut ev, "x").unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(client.write_owned(&mut ev, "x").unwrap_err().kind(), ErrorKind::Closed);
    // Closing sends what waits, also where writing was disabled.
    until(&mut ev, |ev| !client.exists(ev));
}

fn an_end_and_output_on_both_sides_close_both(w: &World) {
    let mut ev = w.ev();
    let (near, far) = (Tape::new(), Tape::new());
    let Link { client, server } = w.open(&mut ev, near.and(drains), far.and(drains));
    for stream in [client, server] {
        stream.write(&mut ev, noise(1_000_000)).unwrap();
        stream.shutdown_write(&mut ev);
    }
    until(&mut ev, |ev| ev.stream_count() == 0);
    assert_eq!((near.last(), far.last()), ("closed PeerEof".into(), "closed PeerEof".into()));
}

/// More than any system keeps for one who does not read.
fn stuck(ev: &mut EvLoop, w: &World, tape: &Tape) -> Link {
    let link = w.open(ev, tape.tells(), quiet);
    link.server.disable_read(ev);
    link.client.write_owned(ev, noise(8_000_000)).unwrap();
    calm(ev);
    assert!(link.client.output_len(ev) > 0);
    link
}

fn a_peer_that_never_reads_is_closed_after_thirty_seconds(w: &World) {
    let (mut ev, clock) = w.mock();
    let tape = Tape::new();
    let Link { client, .. } = stuck(&mut ev, w, &tape);
    let begun = clock.elapsed();
    client.close_after_flush(&mut ev);
    pass(&mut ev, Duration::from_millis(29_990));
    assert!(client.exists(&ev), "{:?}", tape.all());
    until(&mut ev, |_| tape.is_closed());
    let took = clock.elapsed() - begun;
    assert!(took <= Duration::from_millis(30_020), "{took:?}");
    let told = tape.all();
    assert_eq!(told[told.len() - 2..], ["error TimedOut", "closed Timeout(Flush)"]);
}

type Verb<'a> = &'a dyn Fn(&mut EvLoop, Stream);

fn a_peer_that_never_reads_is_closed_whatever_times_are_set_while_it_closes(w: &World) {
    let hour = Duration::from_secs(3600);
    let rate = RateLimit::both(1 << 40, 1 << 40).unwrap();
    let sets: [Verb<'_>; 5] = [
        &|ev, stream| assert!(stream.set_timer_in(ev, hour).is_none()),
        &|ev, stream| assert!(stream.set_timer_every(ev, hour).is_none()),
        &|ev, stream| assert!(stream.set_deadline_in(ev, hour).is_none()),
        &|ev, stream| assert!(stream.set_rate(ev, Some(rate))),
        &|ev, stream| stream.close_lingering_within(ev, hour, 1),
    ];
    for (at, set) in sets.iter().enumerate() {
        let (mut ev, clock) = w.mock();
        let tape = Tape::new();
        let Link { client, .. } = stuck(&mut ev, w, &tape);
        let begun = clock.elapsed();
        client.close_after_flush(&mut ev);
        set(&mut ev, client);
        until(&mut ev, |_| tape.is_closed());
        let took = clock.elapsed() - begun;
        let (least, most) = (Duration::from_secs(30), Duration::from_millis(30_020));
        assert!(took >= least && took <= most, "{at}: {took:?}");
        assert_eq!(tape.last(), "closed Timeout(Flush)", "{at}");
    }
}

fn a_write_timeout_of_ones_own_takes_their_place(w: &World) {
    let (mut ev, clock) = w.mock();
    let tape = Tape::new();
    let Link { client, .. } = stuck(&mut ev, w, &tape);
    client.set_write_timeout(&mut ev, Some(Duration::from_secs(3)));
    let begun = clock.elapsed();
    client.close_after_flush(&mut ev);
    until(&mut ev, |_| tape.is_closed());
    let took = clock.elapsed() - begun;
    assert!(took >= Duration::from_secs(3) && took < Duration::from_millis(3050), "{took:?}");
    assert_eq!(tape.last(), "closed Timeout(Flush)");
}

fn asking_again_to_close_does_not_put_it_off(w: &World) {
    let (mut ev, clock) = w.mock();
    let tape = Tape::new();
    let Link { client, .. } = stuck(&mut ev, w, &tape);
    let begun = clock.elapsed();
    for _ in 0..10 {
        client.close_after_flush(&mut ev);
        pass(&mut ev, Duration::from_secs(5));
    }
    assert!(tape.is_closed(), "still there after {:?}", clock.elapsed() - begun);
}

fn a_peer_that_reads_slowly_is_waited_for(w: &World) {
    let (mut ev, _clock) = w.mock();
    let tape = Tape::new();
    let Link { client, server } = stuck(&mut ev, w, &tape);
    client.close_after_flush(&mut ev);
    let mut came = 0;
    while !tape.is_closed() {
        pass(&mut ev, Duration::from_secs(20));
        server.enable_read(&mut ev);
        until(&mut ev, |ev| {
            let n = server.take(ev, 1_000_000).len();
            came += n;
            n > 0 || tape.is_closed()
        });
        server.disable_read(&mut ev);
    }
    assert_eq!(tape.last(), "closed Flushed");
    assert!(came > 5_000_000);
}

fn lingering_lasts_a_second_or_until_the_peer_ends_it(w: &World) {
    let (mut ev, clock) = w.mock();
    for ends in [false, true] {
        let tape = Tape::new();
        let Link { client, server } = w.open(&mut ev, tape.tells(), quiet);
        let begun = clock.elapsed();
        client.write(&mut ev, "reply").unwrap();
        client.close_lingering(&mut ev);
        pass(&mut ev, Duration::from_millis(500));
        assert!(client.exists(&ev));
        if ends {
            server.close_now(&mut ev);
            calm(&mut ev);
        } else {
            until(&mut ev, |_| tape.is_closed());
            let took = clock.elapsed() - begun;
            assert!(took >= Duration::from_millis(1000), "{took:?}");
            assert!(took < Duration::from_millis(1050), "{took:?}");
            server.close_now(&mut ev);
        }
        assert_eq!(tape.last(), "closed Flushed");
    }
}

fn lingering_takes_a_quarter_of_a_megabyte_at_most(w: &World) {
    let (mut ev, clock) = w.mock();
    let tape = Tape::new();
    let Link { client, server } = w.open(&mut ev, tape.tells(), quiet);
    client.close_lingering(&mut ev);
    let begun = clock.elapsed();
    server.write_owned(&mut ev, noise(8_000_000)).unwrap();
    until(&mut ev, |_| tape.is_closed());
    assert!(clock.elapsed() - begun < Duration::from_millis(900));
    assert_eq!(tape.last(), "closed Flushed");
    assert!(client.info(&ev).is_none());
}

fn lingering_deferred_is_over_as_soon_as_the_peer_has_ended(w: &World) {
    let (mut ev, clock) = w.mock();
    let tape = Tape::new();
    let Link { client, server } = w.open(&mut ev, tape.tells(), quiet);
    client.set_deferred(&mut ev, true);
    client.close_lingering(&mut ev);
    calm(&mut ev);
    let begun = clock.elapsed();
    server.close_now(&mut ev);
    until(&mut ev, |_| tape.is_closed());
    assert!(clock.elapsed() - begun < Duration::from_millis(500));
}
