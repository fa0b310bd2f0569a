// Time-outs, the deadline and the timer, on a clock of ours: net-and-http-server.md 2.3.

use std::cell::{Cell, RefCell};
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::Duration;

use evloop::net::{ConnectOptions, Direction, RateLimit, StreamEvent};
use evloop::{EvLoop, Run};

use crate::streaming::{Bytes, Greets, Link, Tape, World, calm, cases, noise, pass, quiet, until};

const SECOND: Duration = Duration::from_secs(1);

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

cases!(timed [
    a_silent_peer_times_out_once_and_the_stream_is_intact,
    bytes_put_the_read_timeout_off,
    enabling_reading_starts_the_read_timeout_anew,
    enabling_inside_the_event_starts_it_anew_too,
    a_disabled_direction_does_not_time_out,
    a_stream_held_back_by_its_mark_does_not_time_out,
    a_stream_held_back_by_its_rate_does_not_time_out,
    a_peer_that_never_reads_times_out_writing,
    nothing_to_write_never_times_out,
    a_peer_that_reads_a_little_puts_the_write_timeout_off,
    enabling_writing_starts_the_write_timeout_anew,
    the_deadline_comes_whatever_the_peer_drips,
    moments_may_be_given_as_so_far_from_now,
    a_deadline_that_is_taken_back_does_not_come,
    the_timer_goes_off_once,
    the_timer_goes_off_again_and_again,
    a_timer_that_is_past_goes_off_in_the_next_iteration,
    setting_the_timer_tells_what_it_was_and_none_cancels,
    the_timer_may_be_set_again_inside_the_event,
    missed_ticks_are_made_up_for_by_one,
    a_timer_cancelled_in_another_event_of_the_pass_does_not_come,
    a_suspended_loop_moves_all_of_them,
    timeouts_of_zero_and_for_ever_do_no_harm,
    a_filter_that_nobody_answers_times_out,
    a_cancelled_timer_keeps_no_loop_running,
]);
cases!(unix[what_came_while_the_loop_was_held_up_counts]);
cases!(tcp[a_connection_that_is_not_made_times_out]);

fn a_silent_peer_times_out_once_and_the_stream_is_intact(w: &World) {
    let (mut ev, clock) = w.mock();
    let tape = Tape::new();
    let Link { client, server } = w.open(&mut ev, tape.tells(), quiet);
    tape.take();
    let begun = clock.elapsed();
    client.set_read_timeout(&mut ev, Some(secs(10)));
    pass(&mut ev, secs(9));
    assert_eq!(tape.take(), [""; 0]);
    until(&mut ev, |_| tape.has("timeout read"));
    assert_eq!(clock.elapsed() - begun, secs(10));
    assert!(!client.info(&ev).unwrap().read_enabled);
    pass(&mut ev, secs(100));
    assert_eq!(tape.take(), ["timeout read"]);
    // The other direction goes on, and this one when it is enabled.
    client.write(&mut ev, "x").unwrap();
    server.write(&mut ev, "y").unwrap();
    until(&mut ev, |ev| server.input_len(ev) == 1);
    assert_eq!(client.input_len(&ev), 0);
    client.enable_read(&mut ev);
    until(&mut ev, |ev| client.input_len(ev) == 1);
    assert_eq!(tape.gist(), ["received 1"]);
}

fn bytes_put_the_read_timeout_off(w: &World) {
    let (mut ev, _) = w.mock();
    let tape = Tape::new();
    let Link { client, server } = w.open(&mut ev, tape.tells(), quiet);
    client.set_read_timeout(&mut ev, Some(secs(10)));
    for _ in 0..10 {
        pass(&mut ev, secs(9));
        server.write(&mut ev, "x").unwrap();
        calm(&mut ev);
    }
    assert!(!tape.has("timeout read"));
    pass(&mut ev, secs(11));
    assert!(tape.has("timeout read"));
}

fn enabling_reading_starts_the_read_timeout_anew(w: &World) {
    let (mut ev, _) = w.mock();
    let tape = Tape::new();
    let Link { client, .. } = w.open(&mut ev, tape.tells(), quiet);
    client.set_read_timeout(&mut ev, Some(secs(10)));
    pass(&mut ev, secs(8));
    client.disable_read(&mut ev);
    pass(&mut ev, SECOND);
    client.enable_read(&mut ev);
    pass(&mut ev, secs(9));
    assert!(!tape.has("timeout read"));
    // Also where it was enabled.
    client.enable_read(&mut ev);
    pass(&mut ev, secs(9));
    assert!(!tape.has("timeout read"), "enabled again, it began anew");
    pass(&mut ev, secs(2));
    assert_eq!(tape.count("timeout read"), 1);
}

fn enabling_inside_the_event_starts_it_anew_too(w: &World) {
    let (mut ev, clock) = w.mock();
    let tape = Tape::new();
    let goes_on = tape.and(|ev, stream, event| match event {
        StreamEvent::Timeout(Direction::Read) => drop(stream.enable_read(ev)),
        StreamEvent::Timeout(Direction::Write) => drop(stream.enable_write(ev)),
        _ => {}
    });
    let Link { client, server } = w.open(&mut ev, goes_on, quiet);
    let begun = clock.elapsed();
    client.set_read_timeout(&mut ev, Some(secs(10)));
    for n in 1..4 {
        until(&mut ev, |_| tape.count("timeout read") >= n);
        assert_eq!((tape.count("timeout read"), clock.elapsed() - begun), (n, secs(10) * n as u32));
    }
    client.set_read_timeout(&mut ev, None);
    server.disable_read(&mut ev);
    client.set_write_timeout(&mut ev, Some(secs(10)));
    client.write_owned(&mut ev, noise(8_000_000)).unwrap();
    calm(&mut ev);
    let begun = clock.elapsed();
    for n in 1..4 {
        until(&mut ev, |_| tape.count("timeout write") >= n);
        let took = clock.elapsed() - begun;
        assert_eq!((tape.count("timeout write"), took), (n, secs(10) * n as u32));
    }
}

fn a_disabled_direction_does_not_time_out(w: &World) {
    let (mut ev, _) = w.mock();
    let tape = Tape::new();
    let Link { client, .. } = w.open(&mut ev, tape.tells(), quiet);
    client.set_read_timeout(&mut ev, Some(secs(10)));
    client.set_write_timeout(&mut ev, Some(secs(10)));
    client.disable_read(&mut ev);
    client.disable_write(&mut ev);
    client.write(&mut ev, "held").unwrap();
    tape.take();
    pass(&mut ev, secs(1000));
    assert_eq!(tape.take(), [""; 0]);
}

fn a_stream_held_back_by_its_mark_does_not_time_out(w: &World) {
    let (mut ev, _) = w.mock();
    let tape = Tape::new();
    let Link { client, server } = w.open(&mut ev, tape.tells(), quiet);
    client.set_read_marks(&mut ev, 0, Some(10));
    client.set_read_timeout(&mut ev, Some(secs(10)));
    server.write(&mut ev, noise(10)).unwrap();
    until(&mut ev, |ev| client.input_len(ev) == 10);
    pass(&mut ev, secs(100));
    assert!(!tape.has("timeout read"));
    client.take_all(&mut ev);
    pass(&mut ev, secs(9));
    assert!(!tape.has("timeout read"));
    pass(&mut ev, secs(2));
    assert!(tape.has("timeout read"));
}

fn a_stream_held_back_by_its_rate_does_not_time_out(w: &World) {
    let (mut ev, clock) = w.mock();
    let (tape, bytes) = (Tape::new(), Bytes::new());
    let Link { client, server } = w.open(&mut ev, tape.and(bytes.gathers()), quiet);
    // A byte in ten seconds, with time-outs of one.
    let tick = secs(60);
    let limit = RateLimit::both(1, 100).unwrap().tick(tick);
    client.set_rate(&mut ev, Some(limit));
    client.set_read_timeout(&mut ev, Some(SECOND));
    client.set_write_timeout(&mut ev, Some(SECOND));
    let begun = clock.elapsed();
    server.write(&mut ev, noise(1000)).unwrap();
    client.write(&mut ev, noise(1000)).unwrap();
    until(&mut ev, |ev| bytes.len() == 1000 && server.input_len(ev) == 1000);
    assert!(clock.elapsed() - begun >= secs(900), "{:?}", clock.elapsed() - begun);
    assert!(!tape.has("timeout read") && !tape.has("timeout write"), "{:?}", tape.gist());
}

fn a_peer_that_never_reads_times_out_writing(w: &World) {
    let (mut ev, clock) = w.mock();
    let tape = Tape::new();
    let Link { client, server } = w.open(&mut ev, tape.tells(), quiet);
    server.disable_read(&mut ev);
    client.set_write_timeout(&mut ev, Some(secs(10)));
    client.write_owned(&mut ev, noise(8_000_000)).unwrap();
    calm(&mut ev);
    let begun = clock.elapsed();
    until(&mut ev, |_| tape.has("timeout write"));
    assert_eq!(clock.elapsed() - begun, secs(10));
    assert!(!client.info(&ev).unwrap().write_enabled);
    pass(&mut ev, secs(100));
    assert_eq!(tape.count("timeout write"), 1);
    // Nothing is lost.
    client.enable_write(&mut ev);
    server.enable_read(&mut ev);
    until(&mut ev, |ev| server.input_len(ev) == 8_000_000);
    assert!(server.take_all(&mut ev) == noise(8_000_000));
}

fn nothing_to_write_never_times_out(w: &World) {
    let (mut ev, _) = w.mock();
    let tape = Tape::new();
    let Link { client, server } = w.open(&mut ev, tape.tells(), quiet);
    client.set_write_timeout(&mut ev, Some(SECOND));
    for n in 1..5 {
        pass(&mut ev, secs(10));
        client.write(&mut ev, "x").unwrap();
        until(&mut ev, |ev| server.input_len(ev) == n);
    }
    pass(&mut ev, secs(10));
    assert!(!tape.has("timeout write"));
}

fn a_peer_that_reads_a_little_puts_the_write_timeout_off(w: &World) {
    let (mut ev, _) = w.mock();
    let tape = Tape::new();
    let Link { client, server } = w.open(&mut ev, tape.tells(), quiet);
    server.disable_read(&mut ev);
    client.set_write_timeout(&mut ev, Some(secs(10)));
    client.write_owned(&mut ev, noise(8_000_000)).unwrap();
    for _ in 0..5 {
        pass(&mut ev, secs(9));
        server.enable_read(&mut ev);
        let before = client.output_len(&ev);
        until(&mut ev, |ev| {
            server.take_all(ev);
            client.output_len(ev) < before
        });
        server.disable_read(&mut ev);
        calm(&mut ev);
    }
    assert!(client.output_len(&ev) > 0);
    assert!(!tape.has("timeout write"));
    pass(&mut ev, secs(11));
    assert!(tape.has("timeout write"));
}

fn enabling_writing_starts_the_write_timeout_anew(w: &World) {
    let (mut ev, _) = w.mock();
    let tape = Tape::new();
    let Link { client, server } = w.open(&mut ev, tape.tells(), quiet);
    server.disable_read(&mut ev);
    client.set_write_timeout(&mut ev, Some(secs(10)));
    client.write_owned(&mut ev, noise(8_000_000)).unwrap();
    pass(&mut ev, secs(9));
    client.enable_write(&mut ev);
    pass(&mut ev, secs(9));
    assert!(!tape.has("timeout write"), "enabled again, it began anew");
    pass(&mut ev, secs(2));
    assert!(tape.has("timeout write"));
}

fn the_deadline_comes_whatever_the_peer_drips(w: &World) {
    let (mut ev, clock) = w.mock();
    let tape = Tape::new();
    let Link { client, server } = w.open(&mut ev, tape.tells(), quiet);
    client.set_read_timeout(&mut ev, Some(secs(10)));
    let begun = clock.elapsed();
    let moment = ev.now() + secs(60);
    assert_eq!(client.set_deadline(&mut ev, Some(moment)), None);
    while !tape.is_closed() {
        let _ = server.write(&mut ev, "x");
        pass(&mut ev, SECOND);
        assert!(clock.elapsed() - begun < secs(70));
    }
    assert!(clock.elapsed() - begun <= secs(61));
    let told = tape.gist();
    assert_eq!(told[told.len() - 2..], ["error TimedOut", "closed Timeout(Deadline)"]);
    assert!(tape.count("received 1") > 50);
}

fn a_deadline_that_is_taken_back_does_not_come(w: &World) {
    let (mut ev, _) = w.mock();
    let tape = Tape::new();
    let Link { client, .. } = w.open(&mut ev, tape.tells(), quiet);
    let moment = ev.now() + secs(60);
    client.set_deadline(&mut ev, Some(moment));
    let later = moment + secs(60);
    assert_eq!(client.set_deadline(&mut ev, Some(later)), Some(moment));
    pass(&mut ev, secs(100));
    assert_eq!(client.set_deadline(&mut ev, None), Some(later));
    pass(&mut ev, secs(1000));
    assert!(client.exists(&ev));
}

fn moments_may_be_given_as_so_far_from_now(w: &World) {
    let (mut ev, clock) = w.mock();
    let tape = Tape::new();
    let Link { client, .. } = w.open(&mut ev, tape.tells(), quiet);
    tape.take();
    let (now, begun) = (ev.now(), clock.elapsed());
    assert_eq!(client.set_timer_in(&mut ev, secs(5)), None);
    assert_eq!(client.set_deadline_in(&mut ev, secs(9)), None);
    assert_eq!(client.set_timer_in(&mut ev, secs(6)), Some(now + secs(5)));
    until(&mut ev, |_| tape.has("timer"));
    assert_eq!(clock.elapsed() - begun, secs(6));
    // Farther than time goes is never.
    client.set_timer_in(&mut ev, Duration::MAX);
    until(&mut ev, |_| tape.is_closed());
    assert_eq!(clock.elapsed() - begun, secs(9));
    assert_eq!(tape.last(), "closed Timeout(Deadline)");
}

fn the_timer_goes_off_once(w: &World) {
    let (mut ev, clock) = w.mock();
    let tape = Tape::new();
    let at = Rc::new(Cell::new(None));
    let seen = Rc::clone(&at);
    let notes = tape.and(move |ev: &mut EvLoop, _, event| {
        if let StreamEvent::Timer = event {
            seen.set(Some(ev.now()));
        }
    });
    let Link { client, .. } = w.open(&mut ev, notes, quiet);
    tape.take();
    let moment = ev.now() + secs(5);
    let begun = clock.elapsed();
    client.set_timer(&mut ev, Some(moment));
    until(&mut ev, |_| tape.has("timer"));
    assert_eq!(clock.elapsed() - begun, secs(5));
    assert_eq!(at.get(), Some(moment));
    pass(&mut ev, secs(100));
    assert_eq!(tape.take(), ["timer"]);
    assert_eq!(client.set_timer(&mut ev, None), None);
}

fn the_timer_goes_off_again_and_again(w: &World) {
    let (mut ev, _) = w.mock();
    let tape = Tape::new();
    let Link { client, .. } = w.open(&mut ev, tape.tells(), quiet);
    tape.take();
    let next = ev.now() + secs(3);
    assert_eq!(client.set_timer_every(&mut ev, secs(3)), None);
    pass(&mut ev, secs(10));
    assert_eq!(tape.take(), ["timer"; 3]);
    assert_eq!(client.set_timer_every(&mut ev, secs(5)), Some(next + secs(9)));
    pass(&mut ev, secs(11));
    assert_eq!(tape.take(), ["timer"; 2]);
    client.set_timer_every(&mut ev, Duration::ZERO);
    pass(&mut ev, secs(100));
    assert_eq!(tape.take(), [""; 0]);
}

fn a_timer_that_is_past_goes_off_in_the_next_iteration(w: &World) {
    let (mut ev, clock) = w.mock();
    let tape = Tape::new();
    let Link { client, .. } = w.open(&mut ev, tape.tells(), quiet);
    pass(&mut ev, secs(10));
    tape.take();
    let past = ev.now() - secs(5);
    let before = clock.elapsed();
    client.set_timer(&mut ev, Some(past));
    assert_eq!(tape.take(), [""; 0]);
    ev.turn(Some(Duration::ZERO)).unwrap();
    ev.turn(Some(Duration::ZERO)).unwrap();
    assert_eq!(tape.take(), ["timer"]);
    assert_eq!(clock.elapsed(), before);
}

fn setting_the_timer_tells_what_it_was_and_none_cancels(w: &World) {
    let (mut ev, _) = w.mock();
    let tape = Tape::new();
    let Link { client, .. } = w.open(&mut ev, tape.tells(), quiet);
    tape.take();
    let (one, two) = (ev.now() + secs(1), ev.now() + secs(2));
    assert_eq!(client.set_timer(&mut ev, Some(one)), None);
    assert_eq!(client.set_timer(&mut ev, Some(two)), Some(one));
    assert_eq!(client.set_timer(&mut ev, None), Some(two));
    pass(&mut ev, secs(10));
    assert_eq!(tape.take(), [""; 0]);
}

fn the_timer_may_be_set_again_inside_the_event(w: &World) {
    let (mut ev, clock) = w.mock();
    let tape = Tape::new();
    let again = tape.and(|ev, stream, event| {
        if let StreamEvent::Timer = event {
            let next = ev.now() + secs(2);
            assert_eq!(stream.set_timer(ev, Some(next)), None);
        }
    });
    let Link { client, .. } = w.open(&mut ev, again, quiet);
    let begun = clock.elapsed();
    let past = ev.now();
    client.set_timer(&mut ev, Some(past));
    until(&mut ev, |_| tape.count("timer") == 4);
    assert_eq!(clock.elapsed() - begun, secs(6));
}

fn missed_ticks_are_made_up_for_by_one(w: &World) {
    let (mut ev, clock) = w.mock();
    let tape = Tape::new();
    let Link { client, .. } = w.open(&mut ev, tape.tells(), quiet);
    client.set_timer_every(&mut ev, secs(1));
    clock.advance(secs(100));
    calm(&mut ev);
    assert!(tape.count("timer") <= 2, "{}", tape.count("timer"));
    tape.take();
    pass(&mut ev, secs(10));
    assert!((9..=11).contains(&tape.count("timer")), "{}", tape.count("timer"));
}

fn a_timer_cancelled_in_another_event_of_the_pass_does_not_come(w: &World) {
    let (mut ev, clock) = w.mock();
    let tape = Tape::new();
    let cancels = tape.and(|ev, stream, event| {
        if let StreamEvent::Received(_) | StreamEvent::Wakeup(_) = event {
            stream.set_timer(ev, None);
        }
    });
    let Link { client, .. } = w.open(&mut ev, cancels, quiet);
    let remote = ev.stream_remote();
    for _ in 0..5 {
        let moment = ev.now() + secs(5);
        client.set_timer(&mut ev, Some(moment));
        // Both are due when the loop looks next.
        clock.advance(secs(5));
        remote.post(client, ());
        client.trigger_received(&mut ev, true);
        until(&mut ev, |_| tape.has("wakeup") && tape.has("received 0"));
        calm(&mut ev);
        let told = tape.take();
        let cancelled = told.iter().position(|it| it == "received 0" || it == "wakeup").unwrap();
        assert!(!told[cancelled..].contains(&"timer".to_owned()), "{told:?}");
    }
}

fn a_suspended_loop_moves_all_of_them(w: &World) {
    let (mut ev, clock) = w.mock();
    let tape = Tape::new();
    let goes_on = tape.and(|ev, stream, event| {
        if let StreamEvent::Timeout(_) = event {
            stream.disable_read(ev);
        }
    });
    let Link { client, .. } = w.open(&mut ev, goes_on, quiet);
    tape.take();
    client.set_read_timeout(&mut ev, Some(secs(10)));
    let now = ev.now();
    client.set_timer(&mut ev, Some(now + secs(12)));
    client.set_deadline(&mut ev, Some(now + secs(14)));
    pass(&mut ev, secs(5));
    ev.suspend();
    clock.advance(secs(1000));
    ev.resume();
    pass(&mut ev, secs(4));
    assert_eq!(tape.take(), [""; 0]);
    pass(&mut ev, secs(2));
    assert_eq!(tape.take(), ["timeout read"]);
    pass(&mut ev, secs(2));
    assert_eq!(tape.take(), ["timer"]);
    pass(&mut ev, secs(2));
    assert_eq!(tape.take(), ["error TimedOut", "closed Timeout(Deadline)"]);
}

fn what_came_while_the_loop_was_held_up_counts(w: &World) {
    let (mut ev, clock) = w.mock();
    let (near, mut far) = UnixStream::pair().unwrap();
    let tape = Tape::new();
    let stream = ev.stream(near, tape.tells()).unwrap();
    stream.set_read_timeout(&mut ev, Some(secs(10)));
    calm(&mut ev);
    tape.take();
    for _ in 0..5 {
        far.write_all(b"x").unwrap();
        // Something else takes its time, and then the loop looks.
        clock.advance(secs(100));
        calm(&mut ev);
        assert_eq!(tape.take(), ["received 1"]);
    }
}

fn timeouts_of_zero_and_for_ever_do_no_harm(w: &World) {
    let (mut ev, _) = w.mock();
    let tape = Tape::new();
    let Link { client, .. } = w.open(&mut ev, tape.tells(), quiet);
    tape.take();
    client.set_read_timeout(&mut ev, Some(Duration::MAX));
    client.set_write_timeout(&mut ev, Some(Duration::MAX));
    client.set_timer_every(&mut ev, Duration::MAX);
    pass(&mut ev, secs(1_000_000));
    assert_eq!(tape.take(), [""; 0]);
    client.set_timer(&mut ev, None);
    client.set_read_timeout(&mut ev, Some(Duration::ZERO));
    calm(&mut ev);
    assert_eq!(tape.take(), ["timeout read"]);
    client.set_timer_every(&mut ev, Duration::from_nanos(1));
    pass(&mut ev, Duration::from_nanos(100));
    assert!(tape.count("timer") > 0);
    client.set_timer_every(&mut ev, Duration::ZERO);
}

fn a_filter_that_nobody_answers_times_out(w: &World) {
    let (mut ev, clock) = w.mock();
    let tape = Tape::new();
    let Link { client, server } = w.open(&mut ev, tape.tells(), quiet);
    tape.take();
    let begun = clock.elapsed();
    client.push_filter_within(&mut ev, Box::<Greets>::default(), secs(7)).unwrap();
    client.write(&mut ev, "waits for the greeting").unwrap();
    until(&mut ev, |_| tape.is_closed());
    assert_eq!(clock.elapsed() - begun, secs(7));
    assert_eq!(tape.gist(), ["error TimedOut", "closed Timeout(Handshake)"]);
    assert_eq!(server.take_all(&mut ev), b"!");
    // One that is answered does not, and goes on with what was written meanwhile.
    let Link { client, server } = w.open(&mut ev, tape.tells(), quiet);
    tape.take();
    client.push_filter_within(&mut ev, Box::<Greets>::default(), secs(7)).unwrap();
    client.write(&mut ev, "waits").unwrap();
    pass(&mut ev, secs(5));
    server.write(&mut ev, "!early").unwrap();
    pass(&mut ev, secs(50));
    assert_eq!(server.take_all(&mut ev), b"!waits");
    assert_eq!(client.take_all(&mut ev), b"early");
    assert_eq!(tape.gist(), ["handshaked", "received 5"]);
}

fn a_cancelled_timer_keeps_no_loop_running(w: &World) {
    let (mut ev, clock) = w.mock();
    let Link { client, server } = w.open(&mut ev, quiet, quiet);
    for stream in [client, server] {
        let far = ev.now() + secs(3600);
        stream.set_timer(&mut ev, Some(far));
        stream.set_deadline(&mut ev, Some(far));
        calm(&mut ev);
        stream.set_timer(&mut ev, None);
        stream.set_deadline(&mut ev, None);
        stream.set_ref(&mut ev, false);
    }
    let begun = clock.elapsed();
    ev.run().unwrap();
    assert!(clock.elapsed() - begun < secs(60), "{:?}", clock.elapsed() - begun);
    // And one that is set does, where the stream may.
    client.set_ref(&mut ev, true);
    let soon = ev.now() + secs(5);
    client.set_timer(&mut ev, Some(soon));
    ev.run_mode(Run::Once).unwrap();
    calm(&mut ev);
}

fn a_connection_that_is_not_made_times_out(w: &World) {
    use rustix::net::{AddressFamily, SocketType, bind, listen, socket};
    let (mut ev, clock) = w.mock();
    // A listener whose queue is full answers nobody.
    let deaf = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    let any: std::net::SocketAddr = "127.0.0.1:0".parse().unwrap();
    bind(&deaf, &any).unwrap();
    listen(&deaf, 0).unwrap();
    let name = rustix::net::getsockname(&deaf).unwrap();
    let address: std::net::SocketAddr = name.try_into().unwrap();
    let waiting = RefCell::new(Vec::new());
    for _ in 0..4 {
        let socket = rustix::net::socket_with(
            AddressFamily::INET,
            SocketType::STREAM,
            rustix::net::SocketFlags::NONBLOCK,
            None,
        )
        .unwrap();
        let _ = rustix::net::connect(&socket, &address);
        waiting.borrow_mut().push(socket);
    }
    let tape = Tape::new();
    let begun = clock.elapsed();
    let options = ConnectOptions::new().timeout(secs(5));
    let stream = options.connect(&mut ev, &*address.to_string(), tape.tells()).unwrap();
    stream.write(&mut ev, "never sent").unwrap();
    until(&mut ev, |_| tape.is_closed());
    assert_eq!(tape.all(), ["opened", "error TimedOut", "closed Timeout(Connect)"]);
    assert_eq!(clock.elapsed() - begun, secs(5));
}
