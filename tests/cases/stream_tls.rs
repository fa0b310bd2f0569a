// TLS on streams, against another stream and against what is none: net-and-http-server.md 2.8.

use std::cell::{Cell, RefCell};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use evloop::net::{
    ClientCertificates, Eol, RateLimit, Stream, StreamEvent, TlsClient, TlsFault, TlsInfo,
    TlsServer, TlsVersion,
};
use evloop::{ErrorKind, EvLoop};

use crate::streaming::{
    Bytes, Link, Tape, World, calm, cases, keys, noise, pass, quiet, replace, until,
};
use crate::tls::Authority;

cases!(plain [
    tls_begins_in_the_middle_of_a_protocol,
    both_ends_know_what_they_agreed_on,
    a_protocol_is_chosen,
    a_client_shows_its_certificate_or_is_refused,
    a_certificate_of_a_stranger_fails_on_both_ends,
    plaintext_to_a_tls_server_is_an_error,
    garbage_after_the_handshake_is_an_error,
    a_connection_cut_off_is_no_clean_end,
    a_connection_that_is_ended_is_a_clean_one,
    what_is_decrypted_counts_for_the_marks,
    tls_has_overhead_that_is_told,
    tls_over_a_user_filter_works,
    one_byte_at_a_time_makes_a_handshake_too,
]);
cases!(unix [a_silent_peer_fails_the_handshake_in_time, a_file_under_tls_is_encrypted]);
cases!(tcp[a_peer_cut_off_in_the_handshake_is_an_error]);

/// A client and a server that agree on TLS over the plain transport.
fn secured(
    ev: &mut EvLoop,
    w: &World,
    tls: (&TlsClient, &TlsServer),
    tapes: (&Tape, &Tape),
) -> Link {
    let link = w.open(ev, tapes.0.tells(), tapes.1.tells());
    tapes.0.take();
    tapes.1.take();
    link.server.start_tls_server(ev, tls.1).unwrap();
    link.client.start_tls_client(ev, tls.0, "localhost").unwrap();
    link
}

fn agreed(ev: &mut EvLoop, w: &World) -> (Link, Tape, Tape) {
    let (near, far) = (Tape::new(), Tape::new());
    let link = secured(ev, w, (&keys().0, &keys().1), (&near, &far));
    until(ev, |_| near.has("handshaked") && far.has("handshaked"));
    calm(ev);
    near.take();
    far.take();
    (link, near, far)
}

fn tls_begins_in_the_middle_of_a_protocol(w: &World) {
    let mut ev = w.ev();
    let lines: Rc<RefCell<Vec<String>>> = Rc::default();
    let seen = Rc::clone(&lines);
    let serves = |ev: &mut EvLoop, stream: Stream, event: StreamEvent| {
        if let StreamEvent::Received(_) = event {
            while let Ok(Some(line)) = stream.take_line(ev, Eol::Any, 100) {
                if line == b"STARTTLS" {
                    stream.write(ev, "go ahead\n").unwrap();
                    // What else is in the input was meant for TLS.
                    stream.start_tls_server(ev, &keys().1).unwrap();
                } else {
                    stream.write(ev, [&b"echo "[..], &line, b"\n"].concat()).unwrap();
                }
            }
        }
    };
    let asks = move |ev: &mut EvLoop, stream: Stream, event: StreamEvent| match event {
        StreamEvent::Received(_) => {
            while let Ok(Some(line)) = stream.take_line(ev, Eol::Any, 100) {
                let line = String::from_utf8(line).unwrap();
                if line == "go ahead" {
                    stream.start_tls_client(ev, &keys().0, "localhost").unwrap();
                    stream.write(ev, "secret\n").unwrap();
                }
                seen.borrow_mut().push(line);
            }
        }
        StreamEvent::Handshaked => seen.borrow_mut().push("handshaked".to_owned()),
        _ => {}
    };
    let wire: Rc<RefCell<Vec<u8>>> = Rc::default();
    let Link { client, server } = w.open(&mut ev, asks, serves);
    let taps = Rc::clone(&wire);
    let tap = move |_: evloop::net::Direction, bytes: &[u8]| taps.borrow_mut().extend(bytes);
    server.set_trace(&mut ev, tap);
    client.write(&mut ev, "hello\nSTARTTLS\n").unwrap();
    until(&mut ev, |_| lines.borrow().len() == 4);
    assert_eq!(*lines.borrow(), ["echo hello", "go ahead", "handshaked", "echo secret"]);
    let wire = wire.borrow();
    assert!(wire.windows(8).any(|it| it == b"STARTTLS"));
    assert!(!wire.windows(6).any(|it| it == b"secret"));
}

fn both_ends_know_what_they_agreed_on(w: &World) {
    for version in [TlsVersion::Tls12, TlsVersion::Tls13] {
        let mut ev = w.ev();
        let authority = Authority::new();
        let server = authority.server().max_version(version).build().unwrap();
        let client = authority.client().build().unwrap();
        let (near, far) = (Tape::new(), Tape::new());
        let link = secured(&mut ev, w, (&client, &server), (&near, &far));
        assert!(link.client.filter_info::<TlsInfo>(&ev).is_none());
        until(&mut ev, |_| near.has("handshaked") && far.has("handshaked"));
        assert_eq!((near.count("handshaked"), far.count("handshaked")), (1, 1));
        let info = link.client.filter_info::<TlsInfo>(&ev).unwrap();
        assert_eq!(info.version, version);
        assert_eq!(info.peer_certificates.len(), 1);
        let info = link.server.filter_info::<TlsInfo>(&ev).unwrap();
        assert_eq!(info.server_name.as_deref(), Some("localhost"));
    }
}

fn a_protocol_is_chosen(w: &World) {
    let mut ev = w.ev();
    let authority = Authority::new();
    let server = authority.server().alpn(["http/1.1"]).build().unwrap();
    let client = authority.client().alpn(["h2", "http/1.1"]).build().unwrap();
    let (near, far) = (Tape::new(), Tape::new());
    let link = secured(&mut ev, w, (&client, &server), (&near, &far));
    until(&mut ev, |_| near.has("handshaked") && far.has("handshaked"));
    for stream in [link.client, link.server] {
        let info = stream.filter_info::<TlsInfo>(&ev).unwrap();
        assert_eq!(info.alpn.as_deref(), Some(&b"http/1.1"[..]));
    }
    let other = authority.client().alpn(["smtp"]).build().unwrap();
    let (near, far) = (Tape::new(), Tape::new());
    secured(&mut ev, w, (&other, &server), (&near, &far));
    until(&mut ev, |_| near.is_closed() && far.is_closed());
    assert_eq!(near.gist(), ["error Tls", "closed Tls"]);
    assert_eq!(far.gist(), ["error Tls", "closed Tls"]);
}

fn a_client_shows_its_certificate_or_is_refused(w: &World) {
    let authority = Authority::new();
    let server = authority
        .server()
        .client_certificates(authority.pem(), ClientCertificates::Required)
        .build()
        .unwrap();
    let known = authority.client().identity(authority.person()).build().unwrap();
    let mut ev = w.ev();
    let (near, far) = (Tape::new(), Tape::new());
    let link = secured(&mut ev, w, (&known, &server), (&near, &far));
    until(&mut ev, |_| far.has("handshaked"));
    let info = link.server.filter_info::<TlsInfo>(&ev).unwrap();
    assert_eq!(info.peer_certificates.len(), 1);
    let nobody = authority.client().build().unwrap();
    let (near, far) = (Tape::new(), Tape::new());
    secured(&mut ev, w, (&nobody, &server), (&near, &far));
    until(&mut ev, |_| near.is_closed() && far.is_closed());
    assert_eq!(far.gist(), ["error Tls", "closed Tls"]);
    assert_eq!(near.last(), "closed Tls", "{:?}", near.all());
}

fn a_certificate_of_a_stranger_fails_on_both_ends(w: &World) {
    let mut ev = w.ev();
    let stranger = Authority::new().server().build().unwrap();
    let fault = Rc::new(RefCell::new(None));
    let kept = Rc::clone(&fault);
    let (near, far) = (Tape::new(), Tape::new());
    let keeps = near.and(move |_, _, event| {
        if let StreamEvent::Error { error, .. } = event {
            assert_eq!(error.kind(), ErrorKind::Tls);
            *kept.borrow_mut() = TlsFault::of(&error);
        }
    });
    let link = w.open(&mut ev, keeps, far.tells());
    link.server.start_tls_server(&mut ev, &stranger).unwrap();
    link.client.start_tls_client(&mut ev, &keys().0, "localhost").unwrap();
    link.client.write(&mut ev, "secret").unwrap();
    until(&mut ev, |_| near.is_closed() && far.is_closed());
    assert_eq!(*fault.borrow(), Some(TlsFault::UnknownIssuer));
    assert_eq!((near.last(), far.last()), ("closed Tls".into(), "closed Tls".into()));
    assert!(!near.has("handshaked") && !far.all().iter().any(|it| it.starts_with("received")));
}

fn plaintext_to_a_tls_server_is_an_error(w: &World) {
    let mut ev = w.ev();
    let (tape, answer) = (Tape::new(), Bytes::new());
    let link = w.open(&mut ev, answer.gathers(), tape.tells());
    link.server.start_tls_server(&mut ev, &keys().1).unwrap();
    link.client.write(&mut ev, "GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    until(&mut ev, |_| tape.is_closed());
    assert_eq!(tape.last(), "closed Tls");
    assert!(!tape.all().iter().any(|it| it.starts_with("received")));
    until(&mut ev, |ev| ev.stream_count() == 0);
    // An alert says why.
    assert_eq!(answer.get().first(), Some(&21));
}

fn garbage_after_the_handshake_is_an_error(w: &World) {
    let mut ev = w.ev();
    let (link, _near, far) = agreed(&mut ev, w);
    link.client.write(&mut ev, "right").unwrap();
    until(&mut ev, |ev| link.server.input_len(ev) == 5);
    // Past the filter, as somebody in between would.
    assert!(link.client.pop_filter(&mut ev).is_some());
    link.client.write(&mut ev, [&[23, 3, 3, 0, 40][..], &noise(40)].concat()).unwrap();
    until(&mut ev, |_| far.is_closed());
    assert_eq!(far.gist(), ["received 5", "error Tls", "closed Tls"]);
}

fn a_connection_cut_off_is_no_clean_end(w: &World) {
    let mut ev = w.ev();
    let (link, _near, far) = agreed(&mut ev, w);
    link.client.write(&mut ev, "cut").unwrap();
    until(&mut ev, |ev| link.server.input_len(ev) == 3);
    link.client.pop_filter(&mut ev);
    link.client.shutdown_write(&mut ev);
    until(&mut ev, |_| far.last().ends_with("eof"));
    assert_eq!(far.gist(), ["received 3", "unclean eof"]);
}

fn a_connection_that_is_ended_is_a_clean_one(w: &World) {
    let mut ev = w.ev();
    let (link, near, far) = agreed(&mut ev, w);
    link.client.write(&mut ev, "whole").unwrap();
    link.client.shutdown_write(&mut ev);
    until(&mut ev, |_| far.has("eof"));
    assert_eq!(far.gist(), ["received 5", "eof"]);
    link.server.write(&mut ev, "answer").unwrap();
    link.server.close_after_flush(&mut ev);
    until(&mut ev, |_| near.is_closed());
    assert_eq!(near.gist(), ["received 6", "eof", "closed PeerEof"]);
    assert_eq!(far.last(), "closed Flushed");
}

fn what_is_decrypted_counts_for_the_marks(w: &World) {
    let mut ev = w.ev();
    let (link, _near, _far) = agreed(&mut ev, w);
    let Link { client, server } = link;
    server.set_read_marks(&mut ev, 0, Some(1000));
    client.write(&mut ev, noise(10_000)).unwrap();
    let mut came = Vec::new();
    while came.len() < 10_000 {
        until(&mut ev, |ev| server.input_len(ev) >= 1000);
        calm(&mut ev);
        assert_eq!(server.input_len(&ev), 1000);
        // Nothing more comes from the wire: what is inside TLS counts as readable.
        came.extend(server.take_all(&mut ev));
    }
    assert!(came == noise(10_000));
    // Nor while reading is disabled.
    server.disable_read(&mut ev);
    client.write(&mut ev, "x").unwrap();
    calm(&mut ev);
    assert_eq!(server.input_len(&ev), 0);
    server.enable_read(&mut ev);
    until(&mut ev, |ev| server.input_len(ev) == 1);
}

fn tls_has_overhead_that_is_told(w: &World) {
    let mut ev = w.ev();
    let (Link { client, server }, ..) = agreed(&mut ev, w);
    client.write(&mut ev, noise(100_000)).unwrap();
    until(&mut ev, |ev| server.input_len(ev) == 100_000);
    let (out, into) = (client.info(&ev).unwrap(), server.info(&ev).unwrap());
    assert_eq!(out.bytes_out, into.bytes_in);
    assert_eq!(out.filter_overhead_out, into.filter_overhead_in);
    assert!((100..5000).contains(&out.filter_overhead_out), "{}", out.filter_overhead_out);
}

fn tls_over_a_user_filter_works(w: &World) {
    let mut ev = w.ev();
    let bytes = Bytes::new();
    let (near, far) = (Tape::new(), Tape::new());
    let link = w.open(&mut ev, near.tells(), quiet);
    for stream in [link.client, link.server] {
        stream.push_filter(&mut ev, Box::new(crate::streaming::Hex)).unwrap();
    }
    link.server.start_tls_server(&mut ev, &keys().1).unwrap();
    link.client.start_tls_client(&mut ev, &keys().0, "localhost").unwrap();
    for stream in [link.client, link.server] {
        stream.push_filter(&mut ev, Box::new(crate::streaming::Framed)).unwrap();
    }
    replace(&mut ev, link.server, far.and(bytes.gathers()));
    link.client.write(&mut ev, noise(50_000)).unwrap();
    link.client.close_after_flush(&mut ev);
    until(&mut ev, |ev| ev.stream_count() == 0);
    let told = (near.all(), far.all());
    assert!(bytes.get() == noise(50_000), "{}: {told:?}", bytes.len());
}

fn one_byte_at_a_time_makes_a_handshake_too(w: &World) {
    let mut ev = w.ev();
    let (near, far) = (Tape::new(), Tape::new());
    let link = w.open(&mut ev, near.tells(), far.tells());
    for stream in [link.client, link.server] {
        stream.set_transfer_limits(&mut ev, 1, 1);
    }
    link.server.start_tls_server(&mut ev, &keys().1).unwrap();
    link.client.start_tls_client(&mut ev, &keys().0, "localhost").unwrap();
    link.client.write(&mut ev, noise(300)).unwrap();
    until(&mut ev, |ev| link.server.input_len(ev) == 300);
    assert!(link.server.take_all(&mut ev) == noise(300));
}

fn a_silent_peer_fails_the_handshake_in_time(w: &World) {
    let (mut ev, clock) = w.mock();
    for drips in [false, true] {
        let (near, mut far) = UnixStream::pair().unwrap();
        let tape = Tape::new();
        let stream = ev.stream(near, tape.tells()).unwrap();
        stream.start_tls_server(&mut ev, &keys().1).unwrap();
        let begun = clock.elapsed();
        while !tape.is_closed() {
            if drips {
                // The beginning of a record that is long enough.
                let _ = far.write_all(if tape.all().len() == 2 { b"\x16" } else { b"\x03" });
            }
            pass(&mut ev, Duration::from_secs(1));
            assert!(clock.elapsed() - begun < Duration::from_secs(20));
            if drips && clock.elapsed() - begun > Duration::from_secs(3) {
                break;
            }
        }
        if !drips {
            assert!(clock.elapsed() - begun <= Duration::from_secs(11));
            let expected = ["error TimedOut", "closed Timeout(Handshake)"];
            assert_eq!(tape.all()[2..], expected);
        }
        stream.close_now(&mut ev);
        let mut rest = Vec::new();
        calm(&mut ev);
        let _ = far.read_to_end(&mut rest);
    }
}

fn a_file_under_tls_is_encrypted(w: &World) {
    let mut ev = w.ev();
    let (Link { client, server }, ..) = agreed(&mut ev, w);
    let wire = Rc::new(Cell::new(0));
    let count = Rc::clone(&wire);
    client.set_trace(&mut ev, move |_, bytes| count.set(count.get() + bytes.len()));
    let file = Arc::new(std::fs::File::open("/proc/self/exe").unwrap());
    client.set_rate(&mut ev, Some(RateLimit::both(1 << 40, 1 << 30).unwrap()));
    client.write_file(&mut ev, file, 0, 1_000_000).unwrap();
    until(&mut ev, |ev| server.input_len(ev) == 1_000_000);
    let mut expected = vec![0; 1_000_000];
    std::fs::File::open("/proc/self/exe").unwrap().read_exact(&mut expected).unwrap();
    assert!(server.take_all(&mut ev) == expected);
    assert!(wire.get() > 1_000_000);
}

fn a_peer_cut_off_in_the_handshake_is_an_error(w: &World) {
    let mut ev = w.ev();
    let tape = Tape::new();
    let Link { client, server } = w.open(&mut ev, tape.tells(), quiet);
    client.start_tls_client(&mut ev, &keys().0, "localhost").unwrap();
    calm(&mut ev);
    server.shutdown_write(&mut ev);
    until(&mut ev, |_| tape.is_closed());
    let told = tape.gist();
    assert!(told[told.len() - 2].starts_with("error"), "{told:?}");
}
