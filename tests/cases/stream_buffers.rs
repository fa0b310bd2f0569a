// Buffers, marks and interest: net-and-http-server.md 2.1, 2.2, 2.10 (files).

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::net::{TcpListener, TcpStream};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use evloop::ErrorKind;
use evloop::net::{Buffer, Eol, Shared, StreamEvent, Written};

use crate::streaming::{Bytes, Link, Tape, World, calm, cases, noise, quiet, replace, until};
use crate::suite::temporary;

cases!(every [
    what_is_not_taken_stays,
    received_waits_for_the_low_mark_or_the_end,
    a_high_mark_holds_back_and_taking_goes_on_by_itself,
    a_high_mark_below_the_low_one_is_as_good_as_it,
    drained_comes_once_per_crossing_of_the_write_mark,
    above_the_soft_limit_write_says_full_and_beyond_the_hard_one_it_takes_nothing,
    what_is_handed_over_or_shared_does_not_count_itself,
    reading_can_be_stopped_and_goes_on_where_it_was,
    reading_can_be_stopped_inside_the_handler,
    the_end_waits_until_reading_is_enabled,
    writing_can_be_stopped_and_goes_on,
    a_trigger_regards_the_marks_or_does_not,
    a_new_handler_is_told_everything_from_the_next_event_on,
    a_handler_may_replace_itself_and_the_other_end,
    forwarding_stops_at_the_soft_limit_and_loses_nothing,
    a_stream_may_forward_to_itself,
    the_writer_writes_and_refuses_as_write_does,
    a_buffer_is_sent_whole_or_stays_as_it_is,
    lines_come_out_as_they_were_sent,
    a_file_is_sent_between_other_bytes,
    one_file_serves_many_streams,
    a_large_file_fills_segments_unless_the_owner_has_said_so_already,
    a_file_that_grows_is_sent_as_long_as_it_was_said_to_be,
    a_file_that_shrinks_is_an_error_and_nothing_else_is_sent,
    shared_bytes_are_released_when_they_were_sent,
    shared_bytes_are_released_when_the_stream_closes_without_them,
    without_direct_writes_output_leaves_all_the_same,
    one_byte_at_a_time_is_enough,
]);

fn what_is_not_taken_stays(w: &World) {
    let mut ev = w.ev();
    let tape = Tape::new();
    let Link { client, server } = w.open(&mut ev, quiet, tape.tells());
    client.write(&mut ev, "abc").unwrap();
    until(&mut ev, |ev| server.input_len(ev) == 3);
    assert_eq!(server.take(&mut ev, 1), b"a");
    client.write(&mut ev, "def").unwrap();
    until(&mut ev, |ev| server.input_len(ev) == 5);
    assert_eq!(server.input(&mut ev).drain(2), 2);
    assert_eq!(server.take_all(&mut ev), b"def");
    assert_eq!(server.take_all(&mut ev), b"");
    let received = |it: &String| it.starts_with("received");
    let told: Vec<_> = tape.all().into_iter().filter(received).collect();
    assert_eq!(told, ["received 3", "received 3"]);
}

fn received_waits_for_the_low_mark_or_the_end(w: &World) {
    let mut ev = w.ev();
    let tape = Tape::new();
    let Link { client, server } = w.open(&mut ev, Tape::new().closes(), tape.tells());
    server.set_read_marks(&mut ev, 10, None);
    tape.take();
    client.write(&mut ev, "1234567").unwrap();
    until(&mut ev, |ev| server.input_len(ev) == 7);
    calm(&mut ev);
    assert_eq!(tape.gist(), [""; 0]);
    client.write(&mut ev, "890ab").unwrap();
    until(&mut ev, |ev| server.input_len(ev) == 12);
    assert_eq!(tape.take(), ["received 12"]);
    server.take(&mut ev, 10);
    client.write(&mut ev, "c").unwrap();
    until(&mut ev, |ev| server.input_len(ev) == 3);
    assert_eq!(tape.take(), [""; 0]);
    client.shutdown_write(&mut ev);
    until(&mut ev, |_| tape.has("eof"));
    assert_eq!(tape.take(), ["received 1", "eof"]);
    assert_eq!(server.take_all(&mut ev), b"abc");
    // A rest that is older than the last event is told too.
    let tape = Tape::new();
    let Link { client, server } = w.open(&mut ev, Tape::new().closes(), tape.tells());
    server.set_read_marks(&mut ev, 4, None);
    client.write(&mut ev, "123456").unwrap();
    until(&mut ev, |_| tape.has("received 6"));
    server.take(&mut ev, 4);
    tape.take();
    client.shutdown_write(&mut ev);
    until(&mut ev, |_| tape.has("eof"));
    assert_eq!(tape.take(), ["received 0", "eof"]);
}

fn a_high_mark_holds_back_and_taking_goes_on_by_itself(w: &World) {
    let mut ev = w.ev();
    let Link { client, server } = w.open(&mut ev, quiet, quiet);
    server.set_read_marks(&mut ev, 0, Some(100));
    let sent = noise(5_000);
    client.write(&mut ev, &sent).unwrap();
    let mut came = Vec::new();
    while came.len() < sent.len() {
        let rest = sent.len() - came.len();
        until(&mut ev, |ev| server.input_len(ev) >= rest.min(100));
        calm(&mut ev);
        assert!(server.input_len(&ev) <= 100, "{}", server.input_len(&ev));
        assert_eq!(server.info(&ev).unwrap().is_held_back, rest >= 100);
        came.extend(server.take(&mut ev, 70));
    }
    assert_eq!(came, sent);
    // The end is not lost behind the mark either.
    let tape = Tape::new();
    replace(&mut ev, server, tape.tells());
    client.write(&mut ev, &sent[..150]).unwrap();
    client.shutdown_write(&mut ev);
    until(&mut ev, |ev| server.input_len(ev) == 100);
    calm(&mut ev);
    assert!(!tape.has("eof"));
    server.take_all(&mut ev);
    until(&mut ev, |_| tape.has("eof"));
    assert_eq!(server.input_len(&ev), 50);
}

fn a_high_mark_below_the_low_one_is_as_good_as_it(w: &World) {
    let mut ev = w.ev();
    let tape = Tape::new();
    let Link { client, server } = w.open(&mut ev, quiet, tape.tells());
    server.set_read_marks(&mut ev, 50, Some(20));
    client.write(&mut ev, noise(80)).unwrap();
    until(&mut ev, |_| tape.has("received 50"));
    server.take_all(&mut ev);
    until(&mut ev, |ev| server.input_len(ev) == 30);
}

fn drained_comes_once_per_crossing_of_the_write_mark(w: &World) {
    let mut ev = w.ev();
    let tape = Tape::new();
    let lens = Rc::new(RefCell::new(Vec::new()));
    let seen = Rc::clone(&lens);
    let watches = tape.and(move |ev, stream, event| {
        if let StreamEvent::Drained = event {
            seen.borrow_mut().push(stream.output_len(ev));
        }
    });
    let Link { client, server } = w.open(&mut ev, watches, quiet);
    client.set_write_mark(&mut ev, 1000);
    tape.take();
    lens.take();
    // Never above it, so it crosses nothing.
    client.write(&mut ev, noise(900)).unwrap();
    until(&mut ev, |ev| server.input_len(ev) == 900);
    assert_eq!(tape.count("drained"), 0);
    for n in 1..4 {
        client.write(&mut ev, noise(900_000)).unwrap();
        until(&mut ev, |ev| server.input_len(ev) == 900 + n * 900_000);
        calm(&mut ev);
        assert_eq!(tape.count("drained"), n, "{:?}", tape.all());
    }
    assert!(lens.borrow().iter().all(|&len| len <= 1000), "{lens:?}");
}

fn above_the_soft_limit_write_says_full_and_beyond_the_hard_one_it_takes_nothing(w: &World) {
    let mut ev = w.ev();
    let Link { client, server } = w.open(&mut ev, quiet, quiet);
    client.disable_write(&mut ev);
    client.set_write_limits(&mut ev, 100, 200);
    assert_eq!(client.write(&mut ev, noise(99)).unwrap(), Written::Room);
    assert!(!client.info(&ev).unwrap().is_full);
    assert_eq!(client.write(&mut ev, "x").unwrap(), Written::Full);
    assert!(client.info(&ev).unwrap().is_full);
    assert_eq!(client.write(&mut ev, noise(101)).unwrap_err().kind(), ErrorKind::Full);
    assert_eq!(client.output_len(&ev), 100);
    assert_eq!(client.write(&mut ev, noise(100)).unwrap(), Written::Full);
    assert_eq!(client.write(&mut ev, "x").unwrap_err().kind(), ErrorKind::Full);
    assert_eq!(client.write_owned(&mut ev, noise(9)).unwrap_err().kind(), ErrorKind::Full);
    let shared = Shared::from_static(b"shared");
    assert_eq!(client.write_shared(&mut ev, shared).unwrap_err().kind(), ErrorKind::Full);
    client.enable_write(&mut ev);
    until(&mut ev, |ev| server.input_len(ev) == 200);
    assert_eq!(client.write(&mut ev, noise(50)).unwrap(), Written::Room);
    // The defaults: 256 KiB and 1 MiB.
    let Link { client, .. } = w.open(&mut ev, quiet, quiet);
    client.disable_write(&mut ev);
    assert_eq!(client.write(&mut ev, noise((256 << 10) - 1)).unwrap(), Written::Room);
    assert_eq!(client.write(&mut ev, "x").unwrap(), Written::Full);
    assert_eq!(client.write(&mut ev, noise(768 << 10)).unwrap(), Written::Full);
    assert_eq!(client.write(&mut ev, "x").unwrap_err().kind(), ErrorKind::Full);
}

fn what_is_handed_over_or_shared_does_not_count_itself(w: &World) {
    let mut ev = w.ev();
    let bytes = Bytes::new();
    let Link { client, .. } = w.open(&mut ev, quiet, bytes.gathers());
    client.disable_write(&mut ev);
    client.set_write_limits(&mut ev, 1000, 2000);
    let shared = Shared::from(noise(100_000));
    for _ in 0..5 {
        // It says that much waits, and is not refused.
        assert_eq!(client.write_shared(&mut ev, shared.clone()).unwrap(), Written::Full);
    }
    // Whole, though it is larger than the limit; and then nothing more.
    assert_eq!(client.write_owned(&mut ev, noise(50_000)).unwrap(), Written::Full);
    assert_eq!(client.write_owned(&mut ev, noise(1)).unwrap_err().kind(), ErrorKind::Full);
    assert_eq!(client.write(&mut ev, "x").unwrap_err().kind(), ErrorKind::Full);
    client.enable_write(&mut ev);
    client.close_after_flush(&mut ev);
    until(&mut ev, |ev| ev.stream_count() == 0);
    let mut expected: Vec<u8> = std::iter::repeat_n(noise(100_000), 5).flatten().collect();
    expected.extend(noise(50_000));
    assert!(bytes.get() == expected);
}

fn reading_can_be_stopped_and_goes_on_where_it_was(w: &World) {
    let mut ev = w.ev();
    let tape = Tape::new();
    let Link { client, server } = w.open(&mut ev, quiet, tape.tells());
    client.write(&mut ev, "early").unwrap();
    until(&mut ev, |ev| server.input_len(ev) == 5);
    assert!(server.disable_read(&mut ev) && server.disable_read(&mut ev));
    tape.take();
    client.write(&mut ev, "late").unwrap();
    calm(&mut ev);
    // What was there before is there still, and nothing new is told.
    assert_eq!(server.take(&mut ev, 4), b"earl");
    assert_eq!(tape.take(), [""; 0]);
    assert!(server.enable_read(&mut ev) && server.enable_read(&mut ev));
    until(&mut ev, |ev| server.input_len(ev) == 5);
    assert_eq!(tape.take(), ["received 4"]);
    assert_eq!(server.take_all(&mut ev), b"ylate");
}

fn reading_can_be_stopped_inside_the_handler(w: &World) {
    let mut ev = w.ev();
    let tape = Tape::new();
    let stops = tape.and(|ev, stream, event| {
        if let StreamEvent::Received(_) = event {
            stream.take_all(ev);
            stream.disable_read(ev);
        }
    });
    let Link { client, server } = w.open(&mut ev, quiet, stops);
    tape.take();
    server.set_transfer_limits(&mut ev, 10, 10);
    client.write(&mut ev, noise(30)).unwrap();
    for _ in 0..3 {
        until(&mut ev, |_| tape.has("received 10"));
        calm(&mut ev);
        assert_eq!(tape.take(), ["received 10"]);
        server.enable_read(&mut ev);
    }
}

fn the_end_waits_until_reading_is_enabled(w: &World) {
    let mut ev = w.ev();
    let tape = Tape::new();
    let Link { client, server } = w.open(&mut ev, quiet, tape.tells());
    tape.take();
    server.disable_read(&mut ev);
    client.write(&mut ev, "last").unwrap();
    client.close_after_flush(&mut ev);
    until(&mut ev, |ev| !client.exists(ev));
    calm(&mut ev);
    assert_eq!(tape.take(), [""; 0]);
    server.enable_read(&mut ev);
    until(&mut ev, |_| tape.has("eof"));
    assert_eq!(tape.gist(), ["received 4", "eof"]);
}

fn writing_can_be_stopped_and_goes_on(w: &World) {
    let mut ev = w.ev();
    let tape = Tape::new();
    let Link { client, server } = w.open(&mut ev, tape.tells(), quiet);
    tape.take();
    assert!(client.disable_write(&mut ev) && client.disable_write(&mut ev));
    client.write(&mut ev, "held").unwrap();
    calm(&mut ev);
    assert_eq!((server.input_len(&ev), client.output_len(&ev)), (0, 4));
    assert_eq!(tape.take(), [""; 0]);
    client.enable_write(&mut ev);
    until(&mut ev, |ev| server.input_len(ev) == 4);
    assert_eq!(tape.take(), ["sent", "drained"]);
}

fn a_trigger_regards_the_marks_or_does_not(w: &World) {
    let mut ev = w.ev();
    let tape = Tape::new();
    let Link { client, server } = w.open(&mut ev, quiet, tape.tells());
    server.set_read_marks(&mut ev, 10, None);
    server.disable_write(&mut ev);
    server.write(&mut ev, "waits").unwrap();
    client.write(&mut ev, "short").unwrap();
    until(&mut ev, |ev| server.input_len(ev) == 5);
    tape.take();
    server.trigger_received(&mut ev, false);
    server.trigger_drained(&mut ev, false);
    calm(&mut ev);
    assert_eq!(tape.take(), [""; 0]);
    server.trigger_received(&mut ev, true);
    server.trigger_drained(&mut ev, true);
    calm(&mut ev);
    assert_eq!(tape.take(), ["received 5", "drained"]);
    server.trigger_received(&mut ev, true);
    calm(&mut ev);
    assert_eq!(tape.take(), ["received 0"]);
    server.set_read_marks(&mut ev, 3, None);
    server.set_write_mark(&mut ev, 5);
    server.trigger_received(&mut ev, false);
    server.trigger_drained(&mut ev, false);
    calm(&mut ev);
    assert_eq!(tape.take(), ["received 0", "drained"]);
}

fn a_new_handler_is_told_everything_from_the_next_event_on(w: &World) {
    let mut ev = w.ev();
    let (old, new) = (Tape::new(), Tape::new());
    // Not `link`: its handlers insist on being told of the end.
    let Link { client, server } = w.open(&mut ev, quiet, quiet);
    replace(&mut ev, server, old.tells());
    client.write(&mut ev, "one").unwrap();
    until(&mut ev, |_| old.has("received 3"));
    replace(&mut ev, server, new.tells());
    server.trigger_received(&mut ev, false);
    client.write(&mut ev, "two").unwrap();
    until(&mut ev, |ev| server.input_len(ev) == 6);
    server.close_now(&mut ev);
    until(&mut ev, |_| new.is_closed());
    assert_eq!(old.all(), ["received 3"]);
    assert_eq!(new.last(), "closed Local");
    assert!(new.all().len() >= 2, "{:?}", new.all());
}

fn a_handler_may_replace_itself_and_the_other_end(w: &World) {
    let mut ev = w.ev();
    let (first, second) = (Tape::new(), Tape::new());
    let Link { client, server } = w.open(&mut ev, quiet, quiet);
    let next = second.clone();
    // What the handler holds is dropped when it returns, not while it runs.
    let alive = Rc::new(Cell::new(true));
    struct Ends(Rc<Cell<bool>>);
    impl Drop for Ends {
        fn drop(&mut self) {
            self.0.set(false);
        }
    }
    let (held, seen) = (Ends(Rc::clone(&alive)), Rc::clone(&alive));
    let other = second.clone();
    let tape = first.clone();
    replace(&mut ev, server, move |ev, stream, event| {
        let _held = &held;
        tape.note(&event);
        replace(ev, stream, next.tells());
        replace(ev, client, other.tells());
        assert!(seen.get());
    });
    client.write(&mut ev, "x").unwrap();
    until(&mut ev, |_| first.has("received 1"));
    assert!(!alive.get());
    client.write(&mut ev, "y").unwrap();
    until(&mut ev, |_| second.has("received 1"));
    assert_eq!(first.all(), ["received 1"]);
}

fn forwarding_stops_at_the_soft_limit_and_loses_nothing(w: &World) {
    let mut ev = w.ev();
    let out = Bytes::new();
    let right = w.open(&mut ev, quiet, out.gathers());
    let to = right.client;
    to.set_write_limits(&mut ev, 1000, 1500);
    let left = w.open(&mut ev, quiet, quiet);
    let from = left.server;
    from.set_read_marks(&mut ev, 0, Some(4000));
    // The classic proxy: on each side, when there is something, when there is room.
    replace(&mut ev, from, move |ev, stream, event| match event {
        StreamEvent::Received(_) => {
            stream.forward(ev, to, usize::MAX);
            assert!(to.output_len(ev) <= 1500 + 600, "{}", to.output_len(ev));
        }
        StreamEvent::Eof { .. } if stream.input_len(ev) == 0 => to.close_after_flush(ev),
        _ => {}
    });
    replace(&mut ev, to, move |ev, stream, event| {
        if let StreamEvent::Drained = event {
            from.forward(ev, stream, usize::MAX);
            let ended = from.info(ev).is_some_and(|info| info.has_ended);
            if ended && from.input_len(ev) == 0 {
                stream.close_after_flush(ev);
            }
        }
    });
    to.disable_write(&mut ev);
    left.client.write(&mut ev, noise(100_000)).unwrap();
    left.client.shutdown_write(&mut ev);
    until(&mut ev, |ev| from.info(ev).unwrap().is_held_back);
    assert_eq!(to.output_len(&ev), 1000);
    assert_eq!(from.forward(&mut ev, to, 1), 0);
    to.enable_write(&mut ev);
    until(&mut ev, |_| out.len() == 100_000);
    assert!(out.get() == noise(100_000));
}

fn a_stream_may_forward_to_itself(w: &World) {
    let mut ev = w.ev();
    let bytes = Bytes::new();
    let Link { client, .. } = w.open(&mut ev, bytes.gathers(), |ev, stream, event| {
        if let StreamEvent::Received(_) | StreamEvent::Drained = event {
            stream.forward(ev, stream, usize::MAX);
        }
    });
    client.write(&mut ev, noise(600_000)).unwrap();
    until(&mut ev, |_| bytes.len() == 600_000);
    assert!(bytes.get() == noise(600_000));
}

fn the_writer_writes_and_refuses_as_write_does(w: &World) {
    let mut ev = w.ev();
    let Link { client, server } = w.open(&mut ev, quiet, quiet);
    write!(client.writer(&mut ev), "{} of {}", 3, 7).unwrap();
    {
        use std::fmt::Write as _;
        let mut writer = client.writer(&mut ev);
        std::fmt::Write::write_fmt(&mut writer, format_args!("; {:?}", "more")).unwrap();
        writer.write_char('!').unwrap();
    }
    until(&mut ev, |ev| server.input_len(ev) == 15);
    assert_eq!(server.take_all(&mut ev), b"3 of 7; \"more\"!");
    client.disable_write(&mut ev);
    client.set_write_limits(&mut ev, 5, 5);
    let error = client.writer(&mut ev).write_all(b"123456").unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::WriteZero);
    client.close_now(&mut ev);
    let error = client.writer(&mut ev).write_all(b"1").unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::NotConnected);
}

fn a_buffer_is_sent_whole_or_stays_as_it_is(w: &World) {
    let mut ev = w.ev();
    let Link { client, server } = w.open(&mut ev, quiet, quiet);
    client.set_write_limits(&mut ev, 50, 100);
    let mut buffer = Buffer::from("head ");
    buffer.append_shared(Shared::from_static(
        b"and a body that is shared and of no weight, \
        however long it is: this one is longer than the hard limit",
    ));
    let len = buffer.len();
    client.write_buffer(&mut ev, &mut buffer).unwrap();
    assert!(buffer.is_empty());
    buffer.append(noise(101));
    assert_eq!(client.write_buffer(&mut ev, &mut buffer).unwrap_err().kind(), ErrorKind::Full);
    assert_eq!(buffer.len(), 101);
    until(&mut ev, |ev| server.input_len(ev) == len);
}

fn lines_come_out_as_they_were_sent(w: &World) {
    let mut ev = w.ev();
    let lines = Rc::new(RefCell::new(Vec::new()));
    let seen = Rc::clone(&lines);
    let Link { client, server } = w.open(&mut ev, quiet, move |ev, stream, event| {
        if let StreamEvent::Received(_) = event {
            while let Ok(Some(line)) = stream.take_line(ev, Eol::Any, 20) {
                seen.borrow_mut().push(String::from_utf8(line).unwrap());
            }
        }
    });
    client.set_transfer_limits(&mut ev, 3, 3);
    client.write(&mut ev, "one\r\ntwo\n\nfour and a half").unwrap();
    until(&mut ev, |ev| client.output_len(ev) == 0 && server.input_len(ev) == 15);
    assert_eq!(*lines.borrow(), ["one", "two", ""]);
    client.write(&mut ev, " and more").unwrap();
    until(&mut ev, |ev| server.input_len(ev) == 24);
    assert!(server.take_line(&mut ev, Eol::Any, 20).is_err());
    assert_eq!(server.input_len(&ev), 24);
}

fn file_of(bytes: &[u8]) -> Arc<File> {
    let path = temporary("stream");
    let mut file =
        File::options().read(true).write(true).create_new(true).open(&path).expect("a file");
    std::fs::remove_file(&path).expect("a file that can be removed");
    file.write_all(bytes).unwrap();
    file.rewind().unwrap();
    Arc::new(file)
}

fn a_file_is_sent_between_other_bytes(w: &World) {
    let mut ev = w.ev();
    let bytes = Bytes::new();
    let Link { client, .. } = w.open(&mut ev, quiet, bytes.gathers());
    let content = noise(300_000);
    let file = file_of(&content);
    client.write(&mut ev, "head").unwrap();
    client.write_file(&mut ev, Arc::clone(&file), 100, 299_000).unwrap();
    client.write(&mut ev, "between").unwrap();
    client.write_file(&mut ev, Arc::clone(&file), 0, 0).unwrap();
    client.write_file(&mut ev, Arc::clone(&file), 299_999, 1).unwrap();
    client.write(&mut ev, "tail").unwrap();
    let far = client.write_file(&mut ev, file, u64::MAX, 2).unwrap_err();
    assert_eq!(far.kind(), ErrorKind::InvalidInput);
    client.close_after_flush(&mut ev);
    until(&mut ev, |ev| ev.stream_count() == 0);
    let expected =
        [b"head", &content[100..299_100], b"between", &content[299_999..], b"tail"].concat();
    assert!(bytes.get() == expected, "{} of {}", bytes.len(), expected.len());
}

fn one_file_serves_many_streams(w: &World) {
    let mut ev = w.ev();
    let content = noise(200_000);
    let file = file_of(&content);
    let all: Vec<Bytes> = (0..20).map(|_| Bytes::new()).collect();
    for bytes in &all {
        let Link { client, .. } = w.open(&mut ev, quiet, bytes.gathers());
        client.write_file(&mut ev, Arc::clone(&file), 0, 200_000).unwrap();
        client.close_after_flush(&mut ev);
    }
    until(&mut ev, |ev| ev.stream_count() == 0);
    assert!(all.iter().all(|bytes| bytes.get() == content));
    assert_eq!(Arc::strong_count(&file), 1);
}

fn a_large_file_fills_segments_unless_the_owner_has_said_so_already(w: &World) {
    const LARGE: usize = 16 << 20;
    if !w.is_tcp() {
        return;
    }
    let mut ev = w.ev();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (mut far, _) = listener.accept().unwrap();
    far.set_nonblocking(true).unwrap();
    let seen = socket.try_clone().unwrap();
    let is_corked = || rustix::net::sockopt::tcp_cork(&seen).unwrap();
    let stream = ev.stream(socket, quiet).unwrap();
    let file = file_of(b"");
    file.set_len(LARGE as u64).unwrap();
    let mut room = vec![0; 1 << 20];
    let mut came = 0;
    let mut take = |came: &mut usize| {
        while let Ok(n) = far.read(&mut room) {
            *came += n;
        }
    };
    stream.write(&mut ev, "head").unwrap();
    stream.write_file(&mut ev, Arc::clone(&file), 0, LARGE as u64).unwrap();
    // More than the system takes while nobody reads.
    until(&mut ev, |_| is_corked());
    until(&mut ev, |ev| {
        take(&mut came);
        stream.output_len(ev) == 0
    });
    assert!(!is_corked());
    until(&mut ev, |_| {
        take(&mut came);
        came == LARGE + 4
    });
    stream.set_cork(&mut ev, true).unwrap();
    stream.write_file(&mut ev, Arc::clone(&file), 0, 1 << 20).unwrap();
    until(&mut ev, |ev| {
        take(&mut came);
        stream.output_len(ev) == 0
    });
    assert!(is_corked());
    stream.set_cork(&mut ev, false).unwrap();
    until(&mut ev, |_| {
        take(&mut came);
        came == LARGE + 4 + (1 << 20)
    });
}

fn a_file_that_grows_is_sent_as_long_as_it_was_said_to_be(w: &World) {
    let mut ev = w.ev();
    let bytes = Bytes::new();
    let Link { client, .. } = w.open(&mut ev, quiet, bytes.gathers());
    let content = noise(100_000);
    let file = file_of(&content);
    client.write_file(&mut ev, Arc::clone(&file), 0, 100_000).unwrap();
    (&*file).seek(std::io::SeekFrom::End(0)).unwrap();
    (&*file).write_all(b"grown").unwrap();
    client.close_after_flush(&mut ev);
    until(&mut ev, |ev| ev.stream_count() == 0);
    assert!(bytes.get() == content);
}

fn a_file_that_shrinks_is_an_error_and_nothing_else_is_sent(w: &World) {
    let mut ev = w.ev();
    let (tape, bytes) = (Tape::new(), Bytes::new());
    let Link { client, .. } = w.open(&mut ev, tape.tells(), bytes.gathers());
    let content = noise(100_000);
    let file = file_of(&content);
    client.write_file(&mut ev, Arc::clone(&file), 0, 100_000).unwrap();
    client.write(&mut ev, "after").unwrap();
    file.set_len(30_000).unwrap();
    until(&mut ev, |_| tape.is_closed());
    assert_eq!(tape.gist()[tape.gist().len() - 2..], ["error Io", "closed Failed"]);
    until(&mut ev, |ev| ev.stream_count() == 0);
    assert!(content[..30_000].starts_with(&bytes.get()));
    // Where it is read, and not sent by the system, it is read in larger pieces.
    if !w.is_tls() && !w.is_pair() {
        assert_eq!(bytes.len(), 30_000);
    }
}

fn owned(len: usize, released: &Arc<AtomicUsize>) -> Shared {
    struct Block(Vec<u8>, Arc<AtomicUsize>);
    impl AsRef<[u8]> for Block {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }
    impl Drop for Block {
        fn drop(&mut self) {
            self.1.fetch_add(1, Ordering::Relaxed);
        }
    }
    Shared::from_owner(Block(noise(len), Arc::clone(released)))
}

fn shared_bytes_are_released_when_they_were_sent(w: &World) {
    let mut ev = w.ev();
    let released = Arc::new(AtomicUsize::new(0));
    let bytes = Bytes::new();
    let Link { client, .. } = w.open(&mut ev, quiet, bytes.gathers());
    client.disable_write(&mut ev);
    client.write_shared(&mut ev, owned(200_000, &released)).unwrap();
    client.write_shared(&mut ev, owned(10, &released)).unwrap();
    calm(&mut ev);
    assert_eq!(released.load(Ordering::Relaxed), 0);
    client.enable_write(&mut ev);
    until(&mut ev, |_| bytes.len() == 200_010);
    calm(&mut ev);
    assert_eq!(released.load(Ordering::Relaxed), 2);
}

fn shared_bytes_are_released_when_the_stream_closes_without_them(w: &World) {
    let released = Arc::new(AtomicUsize::new(0));
    let mut ev = w.ev();
    let Link { client, server } = w.open(&mut ev, quiet, quiet);
    client.disable_write(&mut ev);
    server.disable_write(&mut ev);
    client.write_shared(&mut ev, owned(200_000, &released)).unwrap();
    server.write_shared(&mut ev, owned(200_000, &released)).unwrap();
    client.close_now(&mut ev);
    until(&mut ev, |ev| !client.exists(ev));
    assert_eq!(released.load(Ordering::Relaxed), 1);
    drop(ev);
    assert_eq!(released.load(Ordering::Relaxed), 2);
}

fn without_direct_writes_output_leaves_all_the_same(w: &World) {
    let mut ev = w.ev();
    let bytes = Bytes::new();
    let Link { client, .. } = w.open(&mut ev, quiet, bytes.gathers());
    client.set_direct_write(&mut ev, false);
    client.write(&mut ev, "patience").unwrap();
    until(&mut ev, |_| bytes.len() == 8);
    client.write(&mut ev, noise(300_000)).unwrap();
    client.close_after_flush(&mut ev);
    until(&mut ev, |ev| ev.stream_count() == 0);
    assert_eq!(bytes.len(), 300_008);
}

fn one_byte_at_a_time_is_enough(w: &World) {
    // Each byte is a record of its own there.
    let count = if w.is_tls() { 300 } else { 3000 };
    let mut ev = w.ev();
    let echoed = Bytes::new();
    let Link { client, server } = w.open(&mut ev, echoed.gathers(), |ev, stream, event| {
        if let StreamEvent::Received(_) = event {
            let bytes = stream.take_all(ev);
            stream.write(ev, bytes).unwrap();
        }
    });
    for stream in [client, server] {
        stream.set_transfer_limits(&mut ev, 1, 1);
        if !w.is_pair() {
            stream.set_system_buffers(&mut ev, Some(1), Some(1)).unwrap();
        }
    }
    client.write(&mut ev, noise(count)).unwrap();
    until(&mut ev, |_| echoed.len() == count);
    assert!(echoed.get() == noise(count));
}

cases!(pair[a_pair_takes_what_fits_whatever_its_transfer_limit_is]);

fn a_pair_takes_what_fits_whatever_its_transfer_limit_is(w: &World) {
    // As a socket does, whose system keeps what nobody reads yet.
    let mut ev = w.ev();
    let tape = Tape::new();
    let Link { client, server } = w.open(&mut ev, tape.tells(), quiet);
    server.disable_read(&mut ev);
    client.set_transfer_limits(&mut ev, 1, 1);
    client.write(&mut ev, "ten bytes!").unwrap();
    client.close_after_flush(&mut ev);
    until(&mut ev, |_| tape.is_closed());
    assert_eq!(tape.last(), "closed Flushed");
    server.enable_read(&mut ev);
    until(&mut ev, |ev| server.input_len(ev) == 10);
}

cases!(unix [two_descriptors_are_a_stream_too, a_terminal_or_pipe_that_cannot_do_both_fails_when_used]);

fn two_descriptors_are_a_stream_too(w: &World) {
    let mut ev = w.ev();
    let (here_in, there_out) = rustix::pipe::pipe().unwrap();
    let (there_in, here_out) = rustix::pipe::pipe().unwrap();
    let (near, far, bytes) = (Tape::new(), Tape::new(), Bytes::new());
    let one = ev.stream_of_two(here_in, here_out, near.tells()).unwrap();
    let other = ev.stream_of_two(there_in, there_out, far.and(bytes.gathers())).unwrap();
    one.write(&mut ev, noise(300_000)).unwrap();
    other.write(&mut ev, "back").unwrap();
    until(&mut ev, |ev| bytes.len() == 300_000 && one.input_len(ev) == 4);
    // Half-closed: the other way goes on.
    one.shutdown_write(&mut ev);
    until(&mut ev, |_| far.is_closed());
    assert_eq!(far.last(), "closed Flushed");
    until(&mut ev, |_| near.is_closed());
    assert_eq!(near.last(), "closed PeerEof");
    assert!(bytes.get() == noise(300_000));
    // Who writes to a pipe nobody reads is told so, and lives.
    let (here_in, _there_out) = rustix::pipe::pipe().unwrap();
    let (there_in, here_out) = rustix::pipe::pipe().unwrap();
    let tape = Tape::new();
    let one = ev.stream_of_two(here_in, here_out, tape.tells()).unwrap();
    drop(there_in);
    one.write(&mut ev, "x").unwrap();
    until(&mut ev, |_| tape.is_closed());
    assert_eq!(tape.last(), "closed Reset");
}

fn a_terminal_or_pipe_that_cannot_do_both_fails_when_used(w: &World) {
    let mut ev = w.ev();
    let (reads, writes) = rustix::pipe::pipe().unwrap();
    let tape = Tape::new();
    let one = ev.stream(reads, tape.tells()).unwrap();
    rustix::io::write(&writes, b"in").unwrap();
    until(&mut ev, |ev| one.input_len(ev) == 2);
    one.write(&mut ev, "x").unwrap();
    until(&mut ev, |_| tape.is_closed());
    assert!(tape.has("error Io"), "{:?}", tape.all());
}
