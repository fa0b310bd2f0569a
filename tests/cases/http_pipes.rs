// Bodies of replies that come out of pipes.

use std::io::{Read, Write};
use std::os::fd::OwnedFd;

use rustix::pipe::{PipeFlags, pipe_with};

use crate::talking::*;

/// A server that answers `GET /` with what comes out of a pipe, and the end of it that is written.
fn piping(
    ev: &mut EvLoop,
    options: ServerOptions,
    length: BodyLength,
) -> (Server, Client, std::fs::File) {
    let (read, write) = pipe_with(PipeFlags::CLOEXEC).unwrap();
    let mut read = Some(read);
    let routes = hello().get("/pipe", move |ev: &mut EvLoop, _, reply: Reply| {
        reply.header("Content-Type", "a/b").pipe(ev, read.take().unwrap(), length)
    });
    let (server, client) = one_client_with(ev, options, routes);
    rustix::io::ioctl_fionbio(&write, true).unwrap();
    (server, client, write.into())
}

/// Whether nobody reads a pipe any more.
fn is_broken(pipe: &mut std::fs::File) -> bool {
    pipe.write(b"x").is_err_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

#[test]
fn what_comes_out_of_a_pipe_is_the_body() {
    let mut ev = ev();
    let (_, mut client, mut pipe) = piping(&mut ev, ServerOptions::new(), BodyLength::Unknown);
    client.send(get("/pipe"));
    assert!(client.seen(&mut ev).ends_with("Content-Type: a/b\r\nTransfer-Encoding: chunked\r\n\r\n"));
    pipe.write_all(b"one ").unwrap();
    assert!(client.seen(&mut ev).ends_with("4\r\none \r\n"));
    pipe.write_all(b"two").unwrap();
    settle(&mut ev);
    drop(pipe);
    assert_eq!(client.reply(&mut ev).text(), "one two");
    assert_eq!(client.ask(&mut ev, get("/")).text(), "hello");
}

#[test]
fn a_pipe_that_is_full_and_ended_already_is_the_body_as_well() {
    let mut ev = ev();
    let (_, mut client, mut pipe) = piping(&mut ev, ServerOptions::new(), BodyLength::Unknown);
    pipe.write_all(&[b'x'; 50_000]).unwrap();
    drop(pipe);
    client.send("GET /pipe HTTP/1.0\r\n\r\n");
    let (all, end) = client.rest(&mut ev);
    assert_eq!(end, End::Orderly);
    assert!(all.ends_with(&[b'x'; 50_000]), "{} bytes", all.len());
}

#[test]
fn of_a_known_length_no_more_is_taken_and_less_is_cut() {
    for (length, sent, ends) in [(5, "12345678", false), (0, "", false), (9, "1234", true)] {
        let mut ev = ev();
        let options = ServerOptions::new();
        let (_, mut client, mut pipe) = piping(&mut ev, options, BodyLength::Known(length));
        client.send(get("/pipe"));
        settle(&mut ev);
        let _ = pipe.write(sent.as_bytes());
        if !ends {
            let answer = client.reply(&mut ev);
            assert_eq!(answer.text(), &sent[..length as usize]);
            assert_eq!(answer.field("content-length"), Some(length.to_string().as_str()));
            until(&mut ev, |_| is_broken(&mut pipe));
            assert_eq!(client.ask(&mut ev, get("/")).text(), "hello");
        } else {
            drop(pipe);
            assert!(!client.reply(&mut ev).is_whole);
        }
    }
}

#[test]
fn who_writes_is_held_up_while_the_client_does_not_read_and_nothing_is_lost() {
    for (limits, length) in [
        (None, BodyLength::Unknown),
        (None, BodyLength::Known(8_000_000)),
        (Some((100, 200)), BodyLength::Unknown),
        (Some((100, 200)), BodyLength::Known(8_000_000)),
    ] {
        let mut ev = ev();
        let options = match limits {
            Some((soft, hard)) => ServerOptions::new().write_limits(soft, hard),
            None => ServerOptions::new(),
        };
        let (server, mut client, mut pipe) = piping(&mut ev, options, length);
        client.send(get("/pipe"));
        settle(&mut ev);
        let body: Vec<u8> = (0..8_000_000_u32).map(|n| (n % 251) as u8).collect();
        let mut sent = 0;
        // As much as goes, and that is not all of it.
        let mut idle = 0;
        while idle < 50 {
            let n = pipe.write(&body[sent..]).unwrap_or(0);
            sent += n;
            idle = if n == 0 { idle + 1 } else { 0 };
            turn(&mut ev);
        }
        assert!(sent < 2_000_000, "{sent} bytes wait somewhere");
        let stream = server.connections(&ev)[0].stream();
        assert!(stream.output_len(&ev) < 600_000, "{}", stream.output_len(&ev));
        // Somebody reads.
        until(&mut ev, |_| {
            sent += pipe.write(&body[sent..]).unwrap_or(0);
            client.waiting();
            sent == body.len()
        });
        drop(pipe);
        let answer = client.reply(&mut ev);
        assert!(answer.is_whole && answer.body == body, "{} bytes", answer.body.len());
    }
}

#[test]
fn a_client_that_leaves_is_the_end_of_the_pipe() {
    let mut ev = ev();
    let (server, mut client, mut pipe) = piping(&mut ev, ServerOptions::new(), BodyLength::Unknown);
    client.send(get("/pipe"));
    settle(&mut ev);
    pipe.write_all(b"some").unwrap();
    settle(&mut ev);
    client.reset();
    until(&mut ev, |_| is_broken(&mut pipe));
    assert_eq!(server.stats(&ev).connections, 0);
    assert_eq!(ev.stream_count(), 0);
}

#[test]
fn of_a_reply_to_head_the_pipe_is_closed_at_once() {
    let mut ev = ev();
    let (_, mut client, mut pipe) = piping(&mut ev, ServerOptions::new(), BodyLength::Unknown);
    client.send(request("HEAD", "/pipe", "", ""));
    assert_eq!(client.reply_to(&mut ev, "HEAD").status, 200);
    until(&mut ev, |_| is_broken(&mut pipe));
    assert_eq!(client.ask(&mut ev, get("/")).text(), "hello");
}

#[test]
fn a_server_that_stops_closes_its_pipes() {
    let mut ev = ev();
    let (server, mut client, mut pipe) = piping(&mut ev, ServerOptions::new(), BodyLength::Unknown);
    client.send(get("/pipe"));
    settle(&mut ev);
    server.stop_now(&mut ev);
    settle(&mut ev);
    assert!(is_broken(&mut pipe));
    assert_eq!(ev.stream_count(), 0);
}

#[test]
fn what_is_no_pipe_is_500() {
    let mut ev = ev();
    let routes = Routes::new().get("/", |ev: &mut EvLoop, _, reply: Reply| {
        let listens = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        reply.pipe(ev, OwnedFd::from(listens), BodyLength::Unknown)
    });
    let (_, mut client) = one_client(&mut ev, routes);
    assert_eq!(client.ask(&mut ev, get("/")).status, 500);
}

#[test]
fn a_socket_does_as_well() {
    let mut ev = ev();
    let (near, mut far) = std::os::unix::net::UnixStream::pair().unwrap();
    let mut near = Some(near);
    let routes = Routes::new().get("/", move |ev: &mut EvLoop, _, reply: Reply| {
        reply.pipe(ev, near.take().unwrap(), BodyLength::Unknown)
    });
    let (_, mut client) = one_client(&mut ev, routes);
    client.send(get("/"));
    settle(&mut ev);
    far.write_all(b"of a socket").unwrap();
    far.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(client.reply(&mut ev).text(), "of a socket");
    settle(&mut ev);
    assert_eq!(far.read(&mut [0]).unwrap(), 0);
}
