//! Defects of streams that were found by reading, each as it showed itself.

#![allow(clippy::unwrap_used)]

use std::cell::{Cell, RefCell};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::{Duration, Instant};

use evloop::net::{
    Buffer, ConnectOptions, Direction, Filter, FilterError, Pass, Reason, Stream, StreamEvent,
    StreamState, Verdict,
};
use evloop::{ErrorKind, EvLoop, Run};

const SOON: Duration = Duration::from_millis(20);

/// Turns the loop until something holds, or three seconds have passed. Returns whether it holds.
fn turn_until(ev: &mut EvLoop, mut holds: impl FnMut(&mut EvLoop) -> bool) -> bool {
    let end = Instant::now() + Duration::from_secs(3);
    let tick = ev.timer(Duration::ZERO, Duration::from_millis(5), |_, _| {}).start(ev);
    while !holds(ev) && Instant::now() < end {
        ev.run_mode(Run::Once).unwrap();
    }
    tick.free(ev);
    holds(ev)
}

/// A handler that notes the names of the events, and then does something.
type Log = Rc<RefCell<Vec<String>>>;

fn noting(
    log: &Log,
    mut then: impl FnMut(&mut EvLoop, Stream, &StreamEvent) + 'static,
) -> impl FnMut(&mut EvLoop, Stream, StreamEvent) + 'static {
    let log = Rc::clone(log);
    move |ev, stream, event| {
        let text = format!("{event:?}");
        log.borrow_mut().push(text.chars().take(40).collect());
        then(ev, stream, &event);
    }
}

fn has(log: &Log, what: &str) -> bool {
    log.borrow().iter().any(|line| line.starts_with(what))
}

fn count(log: &Log, what: &str) -> usize {
    log.borrow().iter().filter(|line| line.starts_with(what)).count()
}

fn unheard(_: &mut EvLoop, _: Stream, _: StreamEvent) {}

// --- time ----------------------------------------------------------------------------------------

#[test]
fn reading_enabled_again_by_who_is_told_of_a_timeout_begins_a_new_wait() {
    let mut ev = EvLoop::new().unwrap();
    let (one, _peer) = UnixStream::pair().unwrap();
    let log = Log::default();
    let stream = ev
        .stream(
            one,
            noting(&log, |ev, stream, event| {
                if let StreamEvent::Timeout(_) = event {
                    assert!(stream.info(ev).is_some());
                    stream.enable_read(ev);
                    if stream.data::<Cell<u32>>(ev).map_or(0, |n| {
                        n.set(n.get() + 1);
                        n.get()
                    }) > 1000
                    {
                        stream.close_now(ev);
                    }
                }
            }),
        )
        .unwrap();
    stream.set_data(&mut ev, Cell::new(0_u32));
    stream.set_read_timeout(&mut ev, Some(Duration::from_millis(50)));
    let begin = Instant::now();
    turn_until(&mut ev, |_| begin.elapsed() > Duration::from_millis(180));
    let told = count(&log, "Timeout");
    assert!((2..=4).contains(&told), "{told} time-outs");
}

#[test]
fn a_timer_set_to_the_past_in_its_own_event_lets_the_others_have_their_turn() {
    let mut ev = EvLoop::new().unwrap();
    let (one, _peer) = UnixStream::pair().unwrap();
    let stop = Rc::new(Cell::new(0_u32));
    let stopped = Rc::clone(&stop);
    let stream = ev
        .stream(one, move |ev, stream, event| {
            if let StreamEvent::Timer = event {
                stop.set(stop.get() + 1);
                if stop.get() < 10_000 {
                    let now = ev.now();
                    stream.set_timer(ev, Some(now));
                }
            }
        })
        .unwrap();
    let now = ev.now();
    stream.set_timer(&mut ev, Some(now));
    ev.run_mode(Run::Once).unwrap();
    ev.run_mode(Run::NoWait).unwrap();
    ev.run_mode(Run::NoWait).unwrap();
    assert!(stopped.get() <= 3, "{}", stopped.get());
}

#[test]
fn a_streams_timer_keeps_the_loop_running_though_another_one_was_closed_before() {
    let mut ev = EvLoop::new().unwrap();
    let log = Log::default();
    let (first, _) = ev.stream_pair(unheard, unheard).unwrap();
    let (second, _) = ev.stream_pair(noting(&log, |_, _, _| {}), unheard).unwrap();
    let now = ev.now();
    first.set_timer(&mut ev, Some(now + SOON));
    ev.run_mode(Run::NoWait).unwrap();
    first.close_now(&mut ev);
    ev.run_mode(Run::NoWait).unwrap();
    let now = ev.now();
    second.set_timer(&mut ev, Some(now + 3 * SOON));
    ev.run().unwrap();
    assert!(has(&log, "Timer"));
}

#[test]
fn a_timer_that_was_cancelled_keeps_no_loop_running() {
    let mut ev = EvLoop::new().unwrap();
    let (one, _other) = ev.stream_pair(unheard, unheard).unwrap();
    let now = ev.now();
    one.set_timer(&mut ev, Some(now + Duration::from_secs(2)));
    ev.run_mode(Run::NoWait).unwrap();
    one.set_timer(&mut ev, None);
    let begin = Instant::now();
    ev.run().unwrap();
    assert!(begin.elapsed() < Duration::from_secs(1), "{:?}", begin.elapsed());
}

// --- pairs ---------------------------------------------------------------------------------------

#[test]
fn a_pairs_end_that_writes_when_ready_writes() {
    let mut ev = EvLoop::new().unwrap();
    let (one, other) = ev.stream_pair(unheard, unheard).unwrap();
    one.set_direct_write(&mut ev, false);
    for _ in 0..5 {
        ev.run_mode(Run::NoWait).unwrap();
    }
    one.write(&mut ev, "hello").unwrap();
    assert!(turn_until(&mut ev, |ev| other.input_len(ev) == 5));
}

#[test]
fn a_pairs_end_whose_writing_was_disabled_while_there_was_room_goes_on_when_enabled() {
    let mut ev = EvLoop::new().unwrap();
    let (one, other) = ev.stream_pair(unheard, unheard).unwrap();
    other.disable_read(&mut ev);
    one.write(&mut ev, vec![1; 200_000]).unwrap();
    for _ in 0..5 {
        ev.run_mode(Run::NoWait).unwrap();
    }
    one.disable_write(&mut ev);
    for _ in 0..5 {
        ev.run_mode(Run::NoWait).unwrap();
    }
    other.enable_read(&mut ev);
    for _ in 0..20 {
        ev.run_mode(Run::NoWait).unwrap();
    }
    one.enable_write(&mut ev);
    assert!(turn_until(&mut ev, |ev| other.input_len(ev) == 200_000), "{}", other.input_len(&ev));
}

#[test]
fn a_pairs_end_enabled_in_the_pass_that_found_it_disabled_reads() {
    let mut ev = EvLoop::new().unwrap();
    let log = Log::default();
    let (one, other) = ev
        .stream_pair(
            noting(&log, |ev, stream, event| {
                if let StreamEvent::Drained = event {
                    stream.enable_read(ev);
                }
            }),
            unheard,
        )
        .unwrap();
    for _ in 0..5 {
        ev.run_mode(Run::NoWait).unwrap();
    }
    other.write(&mut ev, "hello").unwrap();
    one.disable_read(&mut ev);
    one.trigger_drained(&mut ev, true);
    assert!(turn_until(&mut ev, |ev| one.input_len(ev) == 5));
}

#[test]
fn a_pairs_end_that_waits_for_room_learns_that_nobody_reads() {
    let mut ev = EvLoop::new().unwrap();
    let log = Log::default();
    let (one, other) = ev.stream_pair(noting(&log, |_, _, _| {}), unheard).unwrap();
    other.disable_read(&mut ev);
    one.write(&mut ev, vec![1; 200_000]).unwrap();
    for _ in 0..5 {
        ev.run_mode(Run::NoWait).unwrap();
    }
    other.shutdown_read(&mut ev);
    assert!(turn_until(&mut ev, |_| has(&log, "Closed")), "{log:?}");
}

#[test]
fn a_file_that_is_written_to_a_pair_can_be_taken_at_the_other_end() {
    let mut ev = EvLoop::new().unwrap();
    let log = Log::default();
    let (one, other) = ev.stream_pair(unheard, noting(&log, |_, _, _| {})).unwrap();
    let file = std::fs::File::open("Cargo.toml").unwrap();
    one.write(&mut ev, "head").unwrap();
    one.write_file(&mut ev, file.into(), 0, 9).unwrap();
    one.write(&mut ev, "tail").unwrap();
    assert!(turn_until(&mut ev, |ev| other.input_len(ev) == 17));
    assert_eq!(other.take_all(&mut ev), b"head[package]tail");
}

// --- pipes ---------------------------------------------------------------------------------------

#[test]
fn a_pipe_that_is_only_written_is_not_read() {
    let mut ev = EvLoop::new().unwrap();
    let log = Log::default();
    let (reader, writer) = rustix::pipe::pipe().unwrap();
    let stream = ev.stream(writer, noting(&log, |_, _, _| {})).unwrap();
    stream.write(&mut ev, "hello").unwrap();
    for _ in 0..5 {
        ev.run_mode(Run::NoWait).unwrap();
    }
    drop(reader);
    for _ in 0..5 {
        ev.run_mode(Run::NoWait).unwrap();
    }
    assert!(!has(&log, "Error"), "{log:?}");
    stream.write(&mut ev, "hello").unwrap();
    assert!(turn_until(&mut ev, |_| has(&log, "Closed(Reset)")), "{log:?}");
}

// --- keeping the loop running --------------------------------------------------------------------

#[test]
fn a_stream_that_reads_nothing_from_the_start_keeps_the_loop_running() {
    let mut ev = EvLoop::new().unwrap();
    let (one, _peer) = UnixStream::pair().unwrap();
    let stream = ev.stream(one, unheard).unwrap();
    stream.disable_read(&mut ev);
    let begin = Instant::now();
    let timer = ev
        .timer(3 * SOON, Duration::ZERO, |ev, _| ev.break_loop(evloop::Break::All))
        .start(&mut ev);
    timer.set_ref(&mut ev, false);
    ev.run().unwrap();
    assert!(begin.elapsed() >= 2 * SOON);
}

// --- events --------------------------------------------------------------------------------------

#[test]
fn nothing_but_closed_is_told_after_close_now() {
    let mut ev = EvLoop::new().unwrap();
    let (one, _peer) = UnixStream::pair().unwrap();
    let log = Log::default();
    let stream = ev.stream(one, noting(&log, |_, _, _| {})).unwrap();
    ev.run_mode(Run::NoWait).unwrap();
    log.borrow_mut().clear();
    let remote = ev.stream_remote();
    remote.post(stream, 1);
    stream.close_now(&mut ev);
    // The queue is worked off behind the message.
    assert!(turn_until(&mut ev, |_| has(&log, "Closed")));
    assert_eq!(*log.borrow(), ["Closed(Local)"]);
}

/// Gives out input a byte at a time, and tells of more.
struct Slow;

impl Filter for Slow {
    fn receive(
        &mut self,
        from: &mut Buffer,
        to: &mut Buffer,
        _: &Pass,
    ) -> Result<Verdict, FilterError> {
        from.move_to(1, to);
        Ok(if from.is_empty() { Verdict::Ok } else { Verdict::More })
    }

    fn send(
        &mut self,
        from: &mut Buffer,
        to: &mut Buffer,
        _: &Pass,
    ) -> Result<Verdict, FilterError> {
        to.append_buffer(from);
        Ok(Verdict::Ok)
    }
}

#[test]
fn what_a_filter_still_holds_is_not_received_by_who_is_closing() {
    let mut ev = EvLoop::new().unwrap();
    let (one, mut peer) = UnixStream::pair().unwrap();
    let log = Log::default();
    let stream = ev
        .stream(
            one,
            noting(&log, |ev, stream, event| {
                if let StreamEvent::Received(_) = event {
                    // More than the socket takes.
                    stream.set_write_limits(ev, 8 << 20, 8 << 20);
                    let _ = stream.write(ev, vec![0; 4 << 20]);
                    stream.close_after_flush(ev);
                }
            }),
        )
        .unwrap();
    stream.push_filter(&mut ev, Box::new(Slow)).unwrap();
    peer.write_all(b"0123456789").unwrap();
    let begin = Instant::now();
    turn_until(&mut ev, |_| begin.elapsed() > 3 * SOON);
    assert_eq!(count(&log, "Received"), 1, "{log:?}");
}

/// Ends where it sees a dot.
struct Dot;

impl Filter for Dot {
    fn receive(
        &mut self,
        from: &mut Buffer,
        to: &mut Buffer,
        _: &Pass,
    ) -> Result<Verdict, FilterError> {
        while let Some(byte) = from.byte_at(0) {
            from.drain(1);
            if byte == b'.' {
                return Ok(Verdict::Ended);
            }
            to.append([byte]);
        }
        Ok(Verdict::Ok)
    }

    fn send(
        &mut self,
        from: &mut Buffer,
        to: &mut Buffer,
        _: &Pass,
    ) -> Result<Verdict, FilterError> {
        to.append_buffer(from);
        Ok(Verdict::Ok)
    }
}

#[test]
fn what_comes_behind_the_end_that_a_filter_has_found_takes_no_memory() {
    let mut ev = EvLoop::new().unwrap();
    let (one, mut peer) = UnixStream::pair().unwrap();
    let stream = ev.stream(one, unheard).unwrap();
    stream.push_filter(&mut ev, Box::new(Dot)).unwrap();
    peer.write_all(b"hi.").unwrap();
    assert!(turn_until(&mut ev, |ev| stream.info(ev).unwrap().has_ended));
    peer.set_nonblocking(true).unwrap();
    for _ in 0..200 {
        let _ = peer.write(&[0; 65536]);
        ev.run_mode(Run::NoWait).unwrap();
    }
    let came = stream.info(&ev).unwrap().bytes_in;
    let filter = stream.pop_filter(&mut ev);
    assert!(filter.is_some());
    assert!(stream.input_len(&ev) < 100_000, "{} of {came}", stream.input_len(&ev));
}

// --- panics --------------------------------------------------------------------------------------

#[test]
fn a_trace_that_panics_ends_the_stream_and_no_byte_is_left_out_unseen() {
    let mut ev = EvLoop::new().unwrap();
    let (one, mut peer) = UnixStream::pair().unwrap();
    let log = Log::default();
    let text = Rc::new(RefCell::new(Vec::new()));
    let seen = Rc::clone(&text);
    let stream = ev
        .stream(
            one,
            noting(&log, move |ev, stream, _| {
                let bytes = stream.take_all(ev);
                seen.borrow_mut().extend(bytes);
            }),
        )
        .unwrap();
    let mut first = true;
    let trace = move |_: Direction, _: &[u8]| {
        if std::mem::take(&mut first) {
            panic!("as planned");
        }
    };
    stream.set_trace(&mut ev, trace);
    peer.write_all(b"first").unwrap();
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        turn_until(&mut ev, |ev| stream.input_len(ev) > 0)
    }));
    assert!(result.is_err());
    let _ = peer.write_all(b"second");
    turn_until(&mut ev, |_| has(&log, "Closed") || !text.borrow().is_empty());
    assert_ne!(*text.borrow(), b"second");
    assert!(has(&log, "Error") && has(&log, "Closed"), "{log:?}");
}

// --- deferred ------------------------------------------------------------------------------------

#[test]
fn a_lingering_stream_that_tells_late_closes_as_soon_as_the_peer_does() {
    let mut ev = EvLoop::new().unwrap();
    let (one, peer) = UnixStream::pair().unwrap();
    let log = Log::default();
    let stream = ev.stream(one, noting(&log, |_, _, _| {})).unwrap();
    stream.set_deferred(&mut ev, true);
    stream.close_lingering(&mut ev);
    for _ in 0..5 {
        ev.run_mode(Run::NoWait).unwrap();
    }
    assert!(!has(&log, "Closed"));
    drop(peer);
    let begin = Instant::now();
    assert!(turn_until(&mut ev, |_| has(&log, "Closed")));
    assert!(begin.elapsed() < Duration::from_millis(500), "{:?}", begin.elapsed());
}

#[test]
fn closing_again_when_flushed_does_not_begin_the_wait_again() {
    let mut ev = EvLoop::new().unwrap();
    let (one, mut peer) = UnixStream::pair().unwrap();
    let log = Log::default();
    let stream = ev.stream(one, noting(&log, |_, _, _| {})).unwrap();
    stream.set_write_limits(&mut ev, 8 << 20, 8 << 20);
    stream.write(&mut ev, vec![0; 4 << 20]).unwrap();
    stream.set_write_timeout(&mut ev, Some(Duration::from_millis(100)));
    stream.close_after_flush(&mut ev);
    let begin = Instant::now();
    turn_until(&mut ev, |ev| {
        stream.close_after_flush(ev);
        has(&log, "Closed") || begin.elapsed() > Duration::from_millis(600)
    });
    assert!(has(&log, "Closed(Timeout(Flush))"), "{log:?}");
    let mut rest = Vec::new();
    peer.read_to_end(&mut rest).unwrap();
    let _ = Reason::Local;
}

// --- handshakes ----------------------------------------------------------------------------------

/// Wants a bang from the peer, and says one, before anything else.
#[derive(Default)]
struct Bang {
    said: bool,
    heard: bool,
}

impl Filter for Bang {
    fn receive(
        &mut self,
        from: &mut Buffer,
        to: &mut Buffer,
        _: &Pass,
    ) -> Result<Verdict, FilterError> {
        if !self.heard && from.drain(1) == 1 {
            self.heard = true;
        }
        if self.heard {
            to.append_buffer(from);
        }
        Ok(if self.heard { Verdict::Ok } else { Verdict::NeedMore })
    }

    fn send(
        &mut self,
        from: &mut Buffer,
        to: &mut Buffer,
        _: &Pass,
    ) -> Result<Verdict, FilterError> {
        if !std::mem::replace(&mut self.said, true) {
            to.append(b"!");
        }
        if self.heard {
            to.append_buffer(from);
        }
        Ok(Verdict::Ok)
    }

    fn is_ready(&self) -> bool {
        self.heard
    }
}

#[test]
fn an_output_ended_before_the_handshake_is_over_does_not_end_that() {
    let mut ev = EvLoop::new().unwrap();
    let (one, mut peer) = UnixStream::pair().unwrap();
    let log = Log::default();
    let stream = ev.stream(one, noting(&log, |_, _, _| {})).unwrap();
    stream.push_filter(&mut ev, Box::new(Bang::default())).unwrap();
    stream.shutdown_write(&mut ev);
    for _ in 0..10 {
        ev.run_mode(Run::NoWait).unwrap();
    }
    peer.set_nonblocking(true).unwrap();
    let mut bytes = [0; 9];
    assert_eq!(peer.read(&mut bytes).unwrap(), 1);
    let then = peer.read(&mut bytes);
    assert!(then.is_err(), "{then:?}: the end came before the handshake was over");
    peer.write_all(b"!data").unwrap();
    assert!(turn_until(&mut ev, |ev| stream.input_len(ev) == 4));
    assert!(turn_until(&mut ev, |_| peer.read(&mut bytes).is_ok_and(|n| n == 0)));
}

// --- descriptors ---------------------------------------------------------------------------------

#[test]
fn descriptors_that_nobody_takes_do_not_pile_up() {
    let mut ev = EvLoop::new().unwrap();
    let (one, peer) = UnixStream::pair().unwrap();
    let stream = ev.stream(one, unheard).unwrap();
    stream.set_accept_fds(&mut ev, true);
    peer.set_nonblocking(true).unwrap();
    let mut sent = 0;
    for _ in 0..900 {
        use std::os::fd::AsFd;
        if evloop::net::send_with_fds(&peer, b"x", &[peer.as_fd()]).is_ok() {
            sent += 1;
        }
        ev.run_mode(Run::NoWait).unwrap();
    }
    let taken = stream.take_fds(&mut ev).len();
    assert!(taken < 300, "{taken} of {sent}");
    // What was held back comes when these are gone.
    let mut all = taken;
    assert!(turn_until(&mut ev, |ev| {
        all += stream.take_fds(ev).len();
        all == sent
    }));
}

#[test]
fn a_handler_that_panics_when_the_loop_ends_keeps_no_other_from_being_told() {
    let mut ev = EvLoop::new().unwrap();
    let told = Rc::new(Cell::new(0));
    for place in 0..3 {
        let told = Rc::clone(&told);
        let handler = move |_: &mut EvLoop, _: Stream, event: StreamEvent| {
            if let StreamEvent::Closed(_) = event {
                told.set(told.get() + 1);
                assert_ne!(place, 0, "as planned");
            }
        };
        ev.stream_pair(handler, unheard).unwrap();
    }
    ev.run_mode(Run::NoWait).unwrap();
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || drop(ev)));
    assert!(result.is_err());
    assert_eq!(told.get(), 3);
}

// --- states and settings -------------------------------------------------------------------------

#[test]
fn a_name_that_is_being_resolved_is_told_from_a_connection_that_is_being_made() {
    let mut ev = EvLoop::new().unwrap();
    let listener = ev
        .listen("127.0.0.1:0", |ev, accepted| {
            accepted.serve(ev, unheard);
        })
        .unwrap();
    let address = listener.addresses(&ev).remove(0);
    let state = |ev: &EvLoop, stream: Stream| stream.info(ev).unwrap().state;
    let by_number = ev.connect(address.clone(), unheard).unwrap();
    assert_eq!(state(&ev, by_number), StreamState::Connecting);

    let seen = Rc::new(RefCell::new(Vec::new()));
    let note = Rc::clone(&seen);
    let port = address.port().unwrap();
    let by_name = ConnectOptions::new()
        .hint("somewhere.example", ["127.0.0.1".parse().unwrap()])
        .connect(&mut ev, format!("somewhere.example:{port}"), move |ev, stream, event| {
            let state = state(ev, stream);
            match event {
                StreamEvent::Resolved => note.borrow_mut().push(("resolved", state)),
                StreamEvent::Connected => note.borrow_mut().push(("connected", state)),
                _ => {}
            }
        })
        .unwrap();
    assert_eq!(by_name.info(&ev).unwrap().state, StreamState::Resolving);
    assert!(turn_until(&mut ev, |_| seen.borrow().len() == 2));
    assert_eq!(
        *seen.borrow(),
        [("resolved", StreamState::Connecting), ("connected", StreamState::Open)]
    );
}

#[test]
fn a_socket_has_the_settings_that_its_stream_was_given() {
    use rustix::net::sockopt;
    let mut ev = EvLoop::new().unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let socket = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let same = socket.try_clone().unwrap();
    let stream = ev.stream(socket, unheard).unwrap();
    assert!(sockopt::tcp_nodelay(&same).unwrap());
    stream.set_nodelay(&mut ev, false).unwrap();
    assert!(!sockopt::tcp_nodelay(&same).unwrap());

    stream.set_cork(&mut ev, true).unwrap();
    assert!(sockopt::tcp_cork(&same).unwrap());

    let seconds = Duration::from_secs;
    stream.set_keepalive(&mut ev, Some((seconds(60), seconds(10), 6))).unwrap();
    assert!(sockopt::socket_keepalive(&same).unwrap());
    assert_eq!(sockopt::tcp_keepidle(&same).unwrap(), seconds(60));
    assert_eq!(sockopt::tcp_keepintvl(&same).unwrap(), seconds(10));
    assert_eq!(sockopt::tcp_keepcnt(&same).unwrap(), 6);
    stream.set_keepalive(&mut ev, None).unwrap();
    assert!(!sockopt::socket_keepalive(&same).unwrap());

    stream.set_linger(&mut ev, Some(Duration::ZERO)).unwrap();
    assert_eq!(sockopt::socket_linger(&same).unwrap(), Some(Duration::ZERO));
    let blocks = stream.set_linger(&mut ev, Some(seconds(1))).unwrap_err();
    assert_eq!(blocks.kind(), ErrorKind::InvalidInput);
    stream.set_linger(&mut ev, None).unwrap();
    assert_eq!(sockopt::socket_linger(&same).unwrap(), None);

    // The system doubles what it is told.
    stream.set_system_buffers(&mut ev, Some(20_000), None).unwrap();
    assert_eq!(sockopt::socket_recv_buffer_size(&same).unwrap(), 40_000);
    stream.set_system_buffers(&mut ev, None, Some(20_000)).unwrap();
    assert_eq!(sockopt::socket_send_buffer_size(&same).unwrap(), 40_000);
}

// --- TLS -----------------------------------------------------------------------------------------

#[cfg(feature = "tls")]
#[test]
fn what_a_tls_client_writes_before_it_closes_arrives_though_the_server_sends_tickets() {
    use evloop::net::{TlsClient, TlsIdentity, TlsServer};
    const MUCH: usize = 700_000;
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (certificate, key) = (own.cert.pem(), own.signing_key.serialize_pem());
    let identity = TlsIdentity::from_pem(&certificate, key).unwrap();
    let server = TlsServer::builder(identity).build().unwrap();
    let client = TlsClient::builder().roots_pem(certificate).build().unwrap();
    for _ in 0..5 {
        let mut ev = EvLoop::new().unwrap();
        let (got, log) = (Rc::new(Cell::new(0)), Log::default());
        let (sum, at_server, server) = (Rc::clone(&got), Rc::clone(&log), server.clone());
        let listener = ev
            .listen("127.0.0.1:0", move |ev, accepted| {
                let sum = Rc::clone(&sum);
                let handler = noting(&at_server, move |ev, stream, event| match event {
                    StreamEvent::Received(_) => {
                        sum.set(sum.get() + stream.take_all(ev).len());
                    }
                    StreamEvent::Eof { .. } => stream.close_after_flush(ev),
                    _ => {}
                });
                let stream = accepted.serve(ev, handler);
                stream.start_tls_server(ev, &server).unwrap();
            })
            .unwrap();
        let address = listener.addresses(&ev).remove(0);
        let stream = ev
            .connect(address, |ev, stream, event| {
                if let StreamEvent::Handshaked = event {
                    stream.write(ev, vec![1; MUCH]).unwrap();
                    stream.close_after_flush(ev);
                }
            })
            .unwrap();
        stream.start_tls_client(&mut ev, &client, "localhost").unwrap();
        assert!(turn_until(&mut ev, |_| has(&log, "Closed")));
        assert_eq!(got.get(), MUCH, "{log:?}");
        assert!(has(&log, "Eof { clean: true }"), "{log:?}");
    }
}

/// Cannot stand what it gets.
struct Bad;

impl Filter for Bad {
    fn receive(
        &mut self,
        _: &mut Buffer,
        _: &mut Buffer,
        _: &Pass,
    ) -> Result<Verdict, FilterError> {
        panic!("as planned");
    }

    fn send(&mut self, _: &mut Buffer, _: &mut Buffer, _: &Pass) -> Result<Verdict, FilterError> {
        Ok(Verdict::Ok)
    }

    fn is_ready(&self) -> bool {
        false
    }
}

#[test]
fn a_filter_that_panics_ends_a_stream_that_was_just_connected_and_is_not_the_callers_affair() {
    let mut ev = EvLoop::new().unwrap();
    let log = Log::default();
    let listener = ev.listen("127.0.0.1:0", |_, _| {}).unwrap();
    let address = listener.addresses(&ev).remove(0);
    let stream = ev.connect(address, noting(&log, |_, _, _| {})).unwrap();
    stream.push_filter(&mut ev, Box::new(Bad)).unwrap();
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        turn_until(&mut ev, |_| has(&log, "Closed"))
    }));
    assert!(result.is_err());
    assert!(turn_until(&mut ev, |_| has(&log, "Closed(Failed)")), "{log:?}");
}

#[cfg(feature = "tls")]
#[test]
fn who_speaks_no_tls_reads_the_alert_though_much_of_what_it_sent_was_not_read() {
    use evloop::net::{TlsIdentity, TlsServer};
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (certificate, key) = (own.cert.pem(), own.signing_key.serialize_pem());
    let identity = TlsIdentity::from_pem(&certificate, key).unwrap();
    let server = TlsServer::builder(identity).build().unwrap();
    let mut ev = EvLoop::new().unwrap();
    let log = Log::default();
    let at_server = Rc::clone(&log);
    let listener = ev
        .listen("127.0.0.1:0", move |ev, accepted| {
            accepted.serve_tls(ev, &server, noting(&at_server, |_, _, _| {}));
        })
        .unwrap();
    let port = listener.addresses(&ev)[0].port().unwrap();
    let peer = std::thread::spawn(move || {
        let mut peer = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
        // More than the server reads before it finds out what it is.
        let sent = peer.write_all(&[b'G'; 150_000]);
        let mut alert = Vec::new();
        (sent.is_ok(), peer.read_to_end(&mut alert).map_err(|error| error.kind()), alert)
    });
    assert!(turn_until(&mut ev, |_| has(&log, "Closed")));
    let (sent, read, alert) = peer.join().unwrap();
    assert_eq!((sent, read), (true, Ok(7)));
    assert_eq!(alert[..6], *b"\x15\x03\x03\x00\x02\x02", "an alert, and a fatal one");
    let told = log.borrow();
    assert_eq!(told[told.len() - 1], "Closed(Tls)");
    assert!(told[told.len() - 2].starts_with("Error"), "{told:?}");
}

/// Waits for the end of a piece that never ends.
struct Waits;

impl Filter for Waits {
    fn receive(
        &mut self,
        _: &mut Buffer,
        _: &mut Buffer,
        _: &Pass,
    ) -> Result<Verdict, FilterError> {
        Ok(Verdict::NeedMore)
    }

    fn send(
        &mut self,
        from: &mut Buffer,
        to: &mut Buffer,
        _: &Pass,
    ) -> Result<Verdict, FilterError> {
        to.append_buffer(from);
        Ok(Verdict::Ok)
    }
}

#[test]
fn what_filters_do_not_take_is_limited_whatever_the_peer_sends() {
    let mut ev = EvLoop::new().unwrap();
    let (log, came) = (Log::default(), Rc::new(Cell::new(0)));
    let most = Rc::clone(&came);
    let notes = noting(&log, move |ev, stream, _| {
        most.set(stream.info(ev).map_or(0, |info| info.bytes_in).max(most.get()));
    });
    let (sender, receiver) = ev.stream_pair(unheard, notes).unwrap();
    receiver.push_filter(&mut ev, Box::new(Waits)).unwrap();
    sender.write_owned(&mut ev, vec![0; 4 << 20]).unwrap();
    assert!(turn_until(&mut ev, |_| has(&log, "Closed")));
    assert_eq!(log.borrow().last().unwrap(), "Closed(Limit(Filter))");
    assert!((1 << 20..=(1 << 20) + (64 << 10)).contains(&came.get()), "{}", came.get());
}
