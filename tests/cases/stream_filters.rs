// Filters on streams: net-and-http-server.md 2.8.

use std::time::Duration;

use evloop::ErrorKind;
use evloop::net::{Direction, Filter, StreamEvent, StreamState};

use crate::streaming::{
    Broken, Bytes, Framed, Greets, Hex, Hoard, Link, Tape, World, Xor, calm, cases, noise, quiet,
    until,
};

cases!(every [
    two_filters_on_each_other_carry_everything_both_ways,
    a_filter_takes_over_a_live_stream_with_what_waits_on_both_sides,
    what_a_filter_makes_of_too_much_waits_for_room,
    a_filter_comes_off_and_leaves_what_it_had,
    a_filter_that_fails_is_an_error_and_closes,
    a_piece_that_is_cut_off_is_no_clean_end,
    a_filter_shakes_hands_before_anything_moves,
    a_filter_that_is_not_answered_at_the_end_fails,
    a_filter_that_hoards_gives_everything_out_in_the_end,
    a_filter_is_refused_where_a_direction_has_ended,
    a_stream_with_filters_is_not_taken_apart,
]);
cases!(plain[overhead_is_what_the_filters_add]);

fn stack(top: usize) -> Vec<Box<dyn Filter>> {
    let all: [fn() -> Box<dyn Filter>; 4] =
        [|| Box::new(Xor(0x5A)), || Box::new(Framed), || Box::new(Hex), || Box::<Hoard>::default()];
    vec![all[top / 4](), all[top % 4]()]
}

fn two_filters_on_each_other_carry_everything_both_ways(w: &World) {
    for kind in 0..16 {
        let mut ev = w.ev();
        let (near, far) = (Bytes::new(), Bytes::new());
        let Link { client, server } = w.open(&mut ev, near.gathers(), far.gathers());
        for stream in [client, server] {
            for filter in stack(kind) {
                stream.push_filter(&mut ev, filter).unwrap();
            }
        }
        assert_eq!(client.info(&ev).unwrap().filters, 2 + usize::from(w.is_tls()));
        client.write_owned(&mut ev, noise(200_000)).unwrap();
        server.write(&mut ev, noise(1000)).unwrap();
        until(&mut ev, |_| far.len() == 200_000 && near.len() == 1000);
        client.write(&mut ev, "the end").unwrap();
        client.close_after_flush(&mut ev);
        until(&mut ev, |ev| ev.stream_count() == 0);
        let expected = [&noise(200_000)[..], b"the end"].concat();
        assert!(far.get() == expected && near.get() == noise(1000), "{kind}");
    }
}

fn a_filter_takes_over_a_live_stream_with_what_waits_on_both_sides(w: &World) {
    let mut ev = w.ev();
    let Link { client, server } = w.open(&mut ev, quiet, quiet);
    // Plain, and what has not left when the filter comes stays plain.
    client.disable_write(&mut ev);
    client.write(&mut ev, "plain ").unwrap();
    client.push_filter(&mut ev, Box::new(Xor(1))).unwrap();
    client.write(&mut ev, "turned").unwrap();
    client.enable_write(&mut ev);
    until(&mut ev, |ev| server.input_len(ev) == 12);
    assert_eq!(server.take(&mut ev, 6), b"plain ");
    // What is in the input was meant for the filter.
    let tape = Tape::new();
    crate::streaming::replace(&mut ev, server, tape.tells());
    server.push_filter(&mut ev, Box::new(Xor(1))).unwrap();
    until(&mut ev, |_| tape.has("received 6"));
    assert_eq!(server.take_all(&mut ev), b"turned");
}

fn what_a_filter_makes_of_too_much_waits_for_room(w: &World) {
    for kind in 0..4 {
        let mut ev = w.ev();
        let Link { client, server } = w.open(&mut ev, quiet, quiet);
        for stream in [client, server] {
            stream.push_filter(&mut ev, stack(kind).pop().unwrap()).unwrap();
        }
        server.set_read_marks(&mut ev, 0, Some(100));
        client.write(&mut ev, noise(5_000)).unwrap();
        let mut came = Vec::new();
        while came.len() < 5_000 {
            let rest = 5_000 - came.len();
            until(&mut ev, |ev| server.input_len(ev) >= rest.min(100));
            calm(&mut ev);
            // A frame is not cut.
            assert!(server.input_len(&ev) <= 1100, "{}", server.input_len(&ev));
            came.extend(server.take_all(&mut ev));
        }
        assert!(came == noise(5_000));
    }
}

fn a_filter_comes_off_and_leaves_what_it_had(w: &World) {
    let mut ev = w.ev();
    let tape = Tape::new();
    let Link { client, server } = w.open(&mut ev, quiet, tape.tells());
    server.push_filter(&mut ev, Box::new(Framed)).unwrap();
    assert!(client.pop_filter(&mut ev).is_none() || w.is_tls());
    if w.is_tls() {
        // The one below is TLS: it is not for taking off in the middle.
        return;
    }
    client.write(&mut ev, [0, 3, b'a', b'b', b'c', 0, 200, b'x']).unwrap();
    until(&mut ev, |_| tape.has("received 3"));
    server.disable_write(&mut ev);
    server.write(&mut ev, "framed").unwrap();
    server.enable_write(&mut ev);
    calm(&mut ev);
    tape.take();
    assert!(server.pop_filter(&mut ev).is_some());
    assert!(server.pop_filter(&mut ev).is_none());
    calm(&mut ev);
    assert_eq!(server.take_all(&mut ev), [b'a', b'b', b'c', 0, 200, b'x']);
    assert!(tape.all().iter().any(|it| it.starts_with("received")), "{:?}", tape.all());
    server.write(&mut ev, "plain").unwrap();
    until(&mut ev, |ev| client.input_len(ev) == 13);
    assert_eq!(client.take_all(&mut ev), b"\0\x06framedplain");
    client.write(&mut ev, "plain").unwrap();
    until(&mut ev, |ev| server.input_len(ev) == 5);
}

fn a_filter_that_fails_is_an_error_and_closes(w: &World) {
    for direction in [Direction::Read, Direction::Write] {
        let mut ev = w.ev();
        let tape = Tape::new();
        let found = std::rc::Rc::new(std::cell::RefCell::new(None));
        let kept = std::rc::Rc::clone(&found);
        let keeps = tape.and(move |_, _, event| {
            if let StreamEvent::Error { error, direction } = event {
                *kept.borrow_mut() = Some((error, direction));
            }
        });
        let Link { client, server } = w.open(&mut ev, keeps, quiet);
        client.push_filter(&mut ev, Box::new(Broken(direction))).unwrap();
        calm(&mut ev);
        assert!(client.exists(&ev));
        server.write(&mut ev, "x").unwrap();
        client.write(&mut ev, "y").unwrap();
        until(&mut ev, |_| tape.is_closed());
        assert_eq!(tape.last(), "closed Failed");
        let (error, of) = found.take().unwrap();
        assert_eq!((error.kind(), of), (ErrorKind::Filter, Some(direction)));
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert!(source.contains("house"), "{source}");
    }
}

fn a_piece_that_is_cut_off_is_no_clean_end(w: &World) {
    for (bytes, end) in [(&[0, 2, b'o', b'k'][..], "eof"), (&[0, 2, b'o'], "unclean eof")] {
        let mut ev = w.ev();
        let tape = Tape::new();
        let Link { client, server } = w.open(&mut ev, quiet, tape.tells());
        server.push_filter(&mut ev, Box::new(Framed)).unwrap();
        client.write(&mut ev, bytes).unwrap();
        client.shutdown_write(&mut ev);
        until(&mut ev, |_| tape.last().ends_with("eof"));
        assert_eq!(tape.last(), end);
        assert!(server.exists(&ev));
        // Also for those above it.
        let tape = Tape::new();
        let Link { client, server } = w.open(&mut ev, quiet, tape.tells());
        server.push_filter(&mut ev, Box::new(Framed)).unwrap();
        server.push_filter(&mut ev, Box::new(Xor(3))).unwrap();
        client.write(&mut ev, bytes).unwrap();
        client.shutdown_write(&mut ev);
        until(&mut ev, |_| tape.last().ends_with("eof"));
        assert_eq!(tape.last(), end);
    }
}

fn a_filter_shakes_hands_before_anything_moves(w: &World) {
    let mut ev = w.ev();
    let (near, far) = (Tape::new(), Tape::new());
    let Link { client, server } = w.open(&mut ev, near.tells(), far.tells());
    near.take();
    far.take();
    client.push_filter(&mut ev, Box::<Greets>::default()).unwrap();
    client.write(&mut ev, "early").unwrap();
    // Whoever wants to read.
    client.disable_read(&mut ev);
    calm(&mut ev);
    assert_eq!(client.info(&ev).unwrap().state, StreamState::Handshaking);
    assert_eq!(server.take_all(&mut ev), b"!");
    assert_eq!(near.take(), [""; 0]);
    server.write(&mut ev, "!and more").unwrap();
    until(&mut ev, |ev| server.input_len(ev) == 5);
    assert_eq!(server.take_all(&mut ev), b"early");
    assert_eq!(near.take(), ["handshaked", "sent", "drained"]);
    client.enable_read(&mut ev);
    until(&mut ev, |_| near.has("received 8"));
    assert_eq!(client.take_all(&mut ev), b"and more");
}

fn a_filter_that_is_not_answered_at_the_end_fails(w: &World) {
    let mut ev = w.ev();
    let tape = Tape::new();
    let Link { client, server } = w.open(&mut ev, tape.tells(), quiet);
    client.push_filter_within(&mut ev, Box::<Greets>::default(), Duration::from_secs(60)).unwrap();
    client.write(&mut ev, "never").unwrap();
    calm(&mut ev);
    assert_eq!(server.take_all(&mut ev), b"!");
    server.shutdown_write(&mut ev);
    until(&mut ev, |_| tape.is_closed());
    let told = tape.gist();
    assert_eq!(told[told.len() - 2], "error Filter", "{told:?}");
}

fn a_filter_that_hoards_gives_everything_out_in_the_end(w: &World) {
    let mut ev = w.ev();
    let bytes = Bytes::new();
    let Link { client, server } = w.open(&mut ev, quiet, bytes.gathers());
    for stream in [client, server] {
        stream.push_filter(&mut ev, Box::<Hoard>::default()).unwrap();
        stream.set_transfer_limits(&mut ev, 1000, 1000);
    }
    client.write(&mut ev, noise(100_000)).unwrap();
    until(&mut ev, |_| bytes.len() == 100_000);
    assert!(bytes.get() == noise(100_000));
    client.write(&mut ev, noise(100_000)).unwrap();
    client.close_after_flush(&mut ev);
    until(&mut ev, |ev| ev.stream_count() == 0);
    assert_eq!(bytes.len(), 200_000);
}

fn a_filter_is_refused_where_a_direction_has_ended(w: &World) {
    let mut ev = w.ev();
    let tape = Tape::new();
    let Link { client, server } = w.open(&mut ev, quiet, tape.tells());
    client.shutdown_write(&mut ev);
    until(&mut ev, |_| tape.has("eof"));
    for stream in [client, server] {
        let error = stream.push_filter(&mut ev, Box::new(Xor(1))).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Closed);
    }
}

fn a_stream_with_filters_is_not_taken_apart(w: &World) {
    let mut ev = w.ev();
    let Link { client, .. } = w.open(&mut ev, quiet, quiet);
    client.push_filter(&mut ev, Box::new(Xor(1))).unwrap();
    assert_eq!(client.into_parts(&mut ev).unwrap_err().kind(), ErrorKind::Unsupported);
    assert!(client.exists(&ev));
}

fn overhead_is_what_the_filters_add(w: &World) {
    let mut ev = w.ev();
    let Link { client, server } = w.open(&mut ev, quiet, quiet);
    for stream in [client, server] {
        stream.push_filter(&mut ev, Box::new(Hex)).unwrap();
    }
    client.write(&mut ev, noise(1000)).unwrap();
    until(&mut ev, |ev| server.input_len(ev) == 1000);
    let (out, into) = (client.info(&ev).unwrap(), server.info(&ev).unwrap());
    assert_eq!((out.bytes_out, out.filter_overhead_out), (2000, 1000));
    assert_eq!((into.bytes_in, into.filter_overhead_in), (2000, 1000));
}
