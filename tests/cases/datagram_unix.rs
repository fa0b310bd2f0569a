// Unix sockets: paths, abstract names, pairs, descriptors, credentials.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use crate::datagrams::*;
use evloop::net::*;

/// A file whose descriptors can be counted among those of other tests: it has no name.
fn marker() -> std::fs::File {
    let path = path();
    let file = std::fs::File::create_new(&path).unwrap();
    std::fs::remove_file(path).unwrap();
    file
}

/// How many descriptors of ours are it.
fn open_of(file: &std::fs::File) -> usize {
    use std::os::unix::fs::MetadataExt;
    let inode = file.metadata().unwrap().ino();
    let list = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
    list.filter(|entry| std::fs::metadata(entry.path()).is_ok_and(|found| found.ino() == inode)).count()
}

#[test]
fn peers_with_paths_answer_each_other() {
    let mut ev = live_ev();
    let (here, there) = (path(), path());
    let echo = ev
        .datagram(Address::unix(&here).unwrap(), |ev, socket, event| {
            if let DatagramEvent::Received(packet) = event {
                assert!(packet.peer.path().is_some());
                let _ = socket.send_to(ev, packet.bytes, packet.peer).unwrap();
            }
        })
        .unwrap();
    assert_eq!(echo.local(&ev), Some(Address::unix(&here).unwrap()));
    let outside = UnixDatagram::bind(&there).unwrap();
    outside.send_to(b"hello", &here).unwrap();
    settle(&mut ev);
    assert_eq!(take_all(&outside), ["hello"]);
    let told = Told::new();
    let client = path();
    let options = DatagramOptions::new().local(Peer::unix(&client).unwrap());
    let near = options.connect(&mut ev, Address::unix(&here).unwrap(), tells(&told, "in")).unwrap();
    let _ = near.send(&mut ev, b"again").unwrap();
    assert_eq!(until(&mut ev, &told, 1), ["in: again"]);
    for socket in [near, echo] {
        socket.close(&mut ev);
    }
    assert!(!here.exists() && !client.exists(), "paths go with what was bound to them");
    std::fs::remove_file(there).unwrap();
}

#[test]
fn a_path_is_left_alone_that_is_no_longer_ours_or_is_to_stay() {
    let mut ev = live_ev();
    let (kept, replaced) = (path(), path());
    let socket = DatagramOptions::new()
        .unlink_on_close(false)
        .bind(&mut ev, Address::unix(&kept).unwrap(), silent)
        .unwrap();
    socket.close(&mut ev);
    assert!(kept.exists());
    let socket = ev.datagram(Address::unix(&replaced).unwrap(), silent).unwrap();
    std::fs::remove_file(&replaced).unwrap();
    let _other = UnixDatagram::bind(&replaced).unwrap();
    socket.close(&mut ev);
    assert!(replaced.exists());
    for path in [kept, replaced] {
        std::fs::remove_file(path).unwrap();
    }
}

#[test]
fn a_path_that_nobody_serves_is_taken_over_if_asked_for_and_no_other() {
    let mut ev = live_ev();
    let options = DatagramOptions::new().unlink_stale(true);
    let stale = path();
    drop(UnixDatagram::bind(&stale).unwrap());
    let address = Address::unix(&stale).unwrap();
    assert_eq!(ev.datagram(address.clone(), silent).unwrap_err().kind(), ErrorKind::Listen);
    let socket = options.bind(&mut ev, address.clone(), silent).unwrap();
    // Now it is served, and also somebody else's.
    assert_eq!(options.bind(&mut ev, address, silent).unwrap_err().kind(), ErrorKind::Listen);
    socket.close(&mut ev);
    let file = path();
    std::fs::write(&file, "not a socket").unwrap();
    let error = options.bind(&mut ev, Address::unix(&file).unwrap(), silent).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EADDRINUSE));
    std::fs::remove_file(&file).unwrap();
    let _stream = std::os::unix::net::UnixListener::bind(&file).unwrap();
    assert!(options.bind(&mut ev, Address::unix(&file).unwrap(), silent).is_err());
    assert!(file.exists());
    std::fs::remove_file(&file).unwrap();
}

#[test]
fn abstract_names_and_none_at_all() {
    let mut ev = live_ev();
    let told = Told::new();
    let name = format!("unix:@evloop-datagram-{}-{NAME}", std::process::id());
    let log = told.clone();
    ev.datagram(name.as_str(), move |ev, socket, event| {
        let DatagramEvent::Received(packet) = event else { return };
        log.push(format!("{} {}", packet.peer, packet.peer.is_unnamed()));
        let answer = socket.send_to(ev, b"x", packet.peer);
        assert_eq!(answer.unwrap_err().kind(), ErrorKind::InvalidInput);
    })
    .unwrap();
    let client = DatagramOptions::new().connect(&mut ev, name.as_str(), silent).unwrap();
    assert_eq!(client.peer(&ev).unwrap().to_string(), name);
    let _ = client.send(&mut ev, b"x").unwrap();
    assert_eq!(until(&mut ev, &told, 1), ["unnamed true"]);
}

#[test]
fn two_of_a_pair_talk_to_each_other() {
    let mut ev = live_ev();
    let told = Told::new();
    let options = DatagramOptions::new();
    let (one, other) = options.pair(&mut ev, tells(&told, "one"), tells(&told, "other")).unwrap();
    let _ = one.send(&mut ev, b"from one").unwrap();
    let _ = other.send(&mut ev, b"").unwrap();
    let mut all = until(&mut ev, &told, 2);
    all.sort();
    assert_eq!(all, ["one: ", "other: from one"]);
    one.close(&mut ev);
    other.close(&mut ev);
    assert!(!ev.run().unwrap());
}

#[test]
fn descriptors_come_with_their_datagram_and_are_close_on_exec() {
    let mut ev = live_ev();
    let told = Told::new();
    let log = told.clone();
    let options = DatagramOptions::new().accept_fds(3);
    let receive = move |_: &mut EvLoop, _, event: DatagramEvent<'_>| {
        log.push(text(&event));
        let DatagramEvent::Received(packet) = event else { return };
        for fd in packet.fds {
            let flags = rustix::io::fcntl_getfd(&fd).unwrap();
            assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
            std::fs::File::from(fd).write_all(packet.bytes).unwrap();
        }
    };
    let (sender, _) = options.pair(&mut ev, silent, receive).unwrap();
    let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
    assert_eq!(sender.send_fds(&mut ev, b"one", &[writer.as_fd()]).unwrap(), Sent::Now);
    let _ = sender.send(&mut ev, b"none").unwrap();
    let _ = sender.send_fds(&mut ev, b"three", &[writer.as_fd(); 3]).unwrap();
    assert_eq!(until(&mut ev, &told, 3), ["one with 1", "none", "three with 3"]);
    drop(writer);
    let mut written = String::new();
    std::fs::File::from(reader).read_to_string(&mut written).unwrap();
    assert_eq!(written, "onethreethreethree");
}

#[test]
fn descriptors_that_wait_are_duplicates() {
    let mut ev = live_ev();
    let file = marker();
    let (socket, far) = half(&mut ev, &DatagramOptions::new(), |_, _, _| {});
    while socket.send(&mut ev, b"x").unwrap() == Sent::Now {}
    for _ in 0..2 {
        let passed = file.try_clone().unwrap();
        assert_eq!(socket.send_fds(&mut ev, b"y", &[passed.as_fd()]).unwrap(), Sent::Queued);
    }
    assert_eq!(open_of(&file), 3);
    take_all(&far);
    pass(&mut ev);
    assert_eq!(open_of(&file), 1, "they are under way");
    let (mut bytes, mut fds, mut count) = ([0; 8], Vec::new(), 0);
    while recv_with_fds(&far, &mut bytes, &mut fds).is_ok() {
        count += 1;
    }
    assert_eq!((count, fds.len(), open_of(&file)), (3, 2, 3));
}

#[test]
fn descriptors_that_nobody_asked_for_are_closed_and_that_is_told() {
    for (accepted, expected) in [(0, "x lost some"), (1, "x lost some"), (2, "x with 2"), (253, "x with 2")] {
        let mut ev = live_ev();
        let (file, told) = (marker(), Told::new());
        let options = DatagramOptions::new().accept_fds(accepted);
        let (_, far) = half(&mut ev, &options, tells(&told, "in"));
        send_with_fds(&far, b"x", &[file.as_fd(); 2]).unwrap();
        assert_eq!(until(&mut ev, &told, 1), [format!("in: {expected}")]);
        // Those that came were dropped by the handler, the others never given to it.
        assert_eq!(open_of(&file), 1);
    }
}

#[test]
fn descriptors_of_a_batch_that_is_dropped_are_closed() {
    let mut ev = live_ev();
    let file = marker();
    let options = DatagramOptions::new().accept_fds(4);
    let (_, far) = half(&mut ev, &options, |ev, socket, event| {
        // Those of the first are dropped with the event.
        drop(event);
        socket.close(ev);
    });
    for _ in 0..5 {
        send_with_fds(&far, b"x", &[file.as_fd()]).unwrap();
    }
    ev.run().unwrap();
    assert_eq!(open_of(&file), 1);
}

#[test]
fn descriptors_wait_with_what_they_came_with() {
    let mut ev = live_ev();
    let (file, told) = (marker(), Told::new());
    let log = told.clone();
    let options = DatagramOptions::new().accept_fds(4);
    let (socket, far) = half(&mut ev, &options, move |ev, socket, event| {
        log.push(text(&event));
        socket.pause(ev);
    });
    for count in [0, 1, 2] {
        send_with_fds(&far, b"x", &vec![file.as_fd(); count]).unwrap();
    }
    settle(&mut ev);
    assert_eq!(open_of(&file), 4);
    socket.resume(&mut ev);
    settle(&mut ev);
    assert_eq!(told.take(), ["x", "x with 1"]);
    socket.close(&mut ev);
    ev.run().unwrap();
    assert_eq!(open_of(&file), 1);
}

#[test]
fn too_many_descriptors_are_refused_before_anything_is_sent() {
    let mut ev = live_ev();
    let (socket, far) = half(&mut ev, &DatagramOptions::new(), silent);
    let error = socket.send_fds(&mut ev, b"x", &[far.as_fd(); 254]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    let error = send_with_fds(&far, b"x", &[far.as_fd(); 254]).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
}

#[test]
fn descriptors_go_over_streams_with_the_bytes_they_were_sent_with() {
    let (near, far) = UnixStream::pair().unwrap();
    let file = marker();
    assert_eq!(send_with_fds(&near, b"plain", &[]).unwrap(), 5);
    assert_eq!(send_with_fds(&near, b"with", &vec![file.as_fd(); 253]).unwrap(), 4);
    let error = send_with_fds(&near, b"", &[file.as_fd()]).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
    let (mut bytes, mut fds) = ([0; 64], Vec::new());
    assert_eq!(recv_with_fds(&far, &mut bytes[..5], &mut fds).unwrap(), (5, false));
    assert_eq!(fds.len(), 0);
    assert_eq!(recv_with_fds(&far, &mut bytes, &mut fds).unwrap(), (4, false));
    assert_eq!((fds.len(), open_of(&file)), (253, 254));
    drop(near);
    assert_eq!(recv_with_fds(&far, &mut bytes, &mut fds).unwrap(), (0, false));
    far.set_nonblocking(true).unwrap();
    drop(fds);
    let gone = send_with_fds(&far, b"x", &[file.as_fd()]).unwrap_err();
    assert_eq!(gone.kind(), std::io::ErrorKind::BrokenPipe);
}

#[test]
fn the_peer_of_a_unix_socket_is_known() {
    let (near, _far) = UnixStream::pair().unwrap();
    let (datagram, _other) = UnixDatagram::pair().unwrap();
    for found in [peer_credentials(&near).unwrap(), peer_credentials(&datagram).unwrap()] {
        assert_eq!(found.pid, Some(std::process::id()));
        assert_eq!(found.uid, rustix::process::geteuid().as_raw());
        assert_eq!(found.gid, rustix::process::getegid().as_raw());
    }
    let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    assert_eq!(peer_credentials(&tcp).unwrap_err().kind(), std::io::ErrorKind::NotConnected);
    let file = marker();
    assert_eq!(peer_credentials(&file).unwrap_err().raw_os_error(), Some(libc::ENOTSOCK));
}
