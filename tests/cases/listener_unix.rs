// Unix sockets: the file, and who removes it.

use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};

use evloop::net::{Address, ListenOptions, Place};

use crate::listening::*;

fn in_use(result: Result<net::Listener>) {
    let error = result.unwrap_err();
    assert_eq!((error.kind(), error.raw_os_error()), (ErrorKind::Listen, Some(libc::EADDRINUSE)));
}

#[test]
fn a_path_is_listened_on_and_removed_when_closed() {
    let (mut ev, room, kept) = (live_ev(), Room::new(), Kept::default());
    let (address, path) = (room.address("socket"), room.0.join("socket"));
    let listener = ev.listen(&address, keeps(&kept)).unwrap();
    assert_eq!(listener.addresses(&ev), [address.parse::<Address>().unwrap()]);
    let _client = UnixStream::connect(&path).unwrap();
    until(&mut ev, |_| kept.borrow().len() == 1);
    assert_eq!(kept.borrow()[0].peer(), None);
    assert_eq!(kept.borrow()[0].local(), Some(address.parse().unwrap()));
    listener.close(&mut ev);
    assert!(!path.exists());
}

#[test]
fn a_peer_that_is_bound_has_an_address() {
    let (mut ev, room) = (live_ev(), Room::new());
    let (_listener, at, kept) = keeper(&mut ev, &ListenOptions::new());
    let path = rustix::net::SocketAddrUnix::new(room.0.join("peer")).unwrap();
    let (family, kind) = (rustix::net::AddressFamily::UNIX, rustix::net::SocketType::STREAM);
    let client = rustix::net::socket(family, kind, None).unwrap();
    rustix::net::bind(&client, &path).unwrap();
    let server = rustix::net::SocketAddrUnix::new_abstract_name(&at.as_bytes()[6..]).unwrap();
    rustix::net::connect(&client, &server).unwrap();
    pass(&mut ev);
    let peer = kept.borrow()[0].peer().unwrap().clone();
    assert_eq!(peer.place(), &Place::Path(room.0.join("peer")));
}

#[test]
fn the_file_is_removed_with_the_loop() {
    let (mut ev, room) = (live_ev(), Room::new());
    let listener = ev.listen(room.address("socket"), nothing).unwrap();
    assert!(listener.exists(&ev) && room.0.join("socket").exists());
    drop(ev);
    assert!(!room.0.join("socket").exists());
}

#[test]
fn the_file_stays_if_told_so_and_when_the_socket_is_taken_out() {
    let (mut ev, room) = (live_ev(), Room::new());
    let stays = ListenOptions::new().remove_on_close(false);
    stays.listen(&mut ev, room.address("a"), nothing).unwrap().close(&mut ev);
    assert!(room.0.join("a").exists());
    let fds = ev.listen(room.address("b"), nothing).unwrap().into_fds(&mut ev);
    UnixStream::connect(room.0.join("b")).unwrap();
    drop(fds);
    assert!(room.0.join("b").exists());
}

#[test]
fn a_file_that_is_not_the_one_that_was_made_stays() {
    let (mut ev, room) = (live_ev(), Room::new());
    let path = room.0.join("socket");
    let listener = ev.listen(room.address("socket"), nothing).unwrap();
    std::fs::rename(&path, room.0.join("moved")).unwrap();
    let theirs = UnixListener::bind(&path).unwrap();
    listener.close(&mut ev);
    drop(UnixStream::connect(&path).unwrap());
    drop(theirs);
    std::fs::remove_file(&path).unwrap();
    let listener = ev.listen(room.address("socket"), nothing).unwrap();
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, "text").unwrap();
    listener.close(&mut ev);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "text");
}

#[test]
fn a_file_nobody_listens_at_gives_way() {
    let (mut ev, room) = (live_ev(), Room::new());
    let path = room.0.join("socket");
    drop(UnixListener::bind(&path).unwrap());
    let careful = ListenOptions::new().unlink_stale(false);
    in_use(careful.listen(&mut ev, room.address("socket"), nothing));
    let before = std::fs::symlink_metadata(&path).unwrap().ino();
    let (kept, address) = (Kept::default(), room.address("socket"));
    // The old inode cannot be given to the new file, so that the two can be told apart.
    std::fs::hard_link(&path, room.0.join("old")).unwrap();
    let _listener = ev.listen(address, keeps(&kept)).unwrap();
    assert_ne!(std::fs::symlink_metadata(&path).unwrap().ino(), before);
    let _client = UnixStream::connect(&path).unwrap();
    until(&mut ev, |_| kept.borrow().len() == 1);
}

#[test]
fn a_socket_that_answers_stays() {
    let (mut ev, room) = (live_ev(), Room::new());
    let (path, address) = (room.0.join("socket"), room.address("socket"));
    let live = UnixListener::bind(&path).unwrap();
    in_use(ev.listen(&address, nothing));
    drop(UnixStream::connect(&path).unwrap());
    // Also if its queue is full, and if it takes datagrams.
    rustix::net::listen(&live, 0).unwrap();
    while live.set_nonblocking(true).is_ok() && live.accept().is_ok() {}
    let _one = UnixStream::connect(&path).unwrap();
    in_use(ev.listen(&address, nothing));
    let datagrams = room.0.join("datagrams");
    let _live = UnixDatagram::bind(&datagrams).unwrap();
    in_use(ev.listen(room.address("datagrams"), nothing));
    assert!(path.exists() && datagrams.exists());
    // And one of our own.
    let ours = ev.listen(room.address("ours"), nothing).unwrap();
    in_use(ev.listen(room.address("ours"), nothing));
    assert!(ours.exists(&ev) && room.0.join("ours").exists());
}

#[test]
fn what_is_no_socket_stays() {
    let (mut ev, room) = (live_ev(), Room::new());
    std::fs::write(room.0.join("file"), "text").unwrap();
    std::fs::create_dir(room.0.join("directory")).unwrap();
    drop(UnixListener::bind(room.0.join("stale")).unwrap());
    std::os::unix::fs::symlink(room.0.join("stale"), room.0.join("link")).unwrap();
    for name in ["file", "directory", "link"] {
        in_use(ev.listen(room.address(name), nothing));
        assert!(room.0.join(name).symlink_metadata().is_ok(), "{name}");
    }
    assert!(room.0.join("stale").symlink_metadata().unwrap().file_type().is_socket());
}

#[test]
fn the_mode_is_what_was_asked_for() {
    let (mut ev, room) = (live_ev(), Room::new());
    for mode in [0o600, 0o660, 0o666, 0o777, 0o000] {
        let options = ListenOptions::new().mode(mode | 0o4000);
        let listener = options.listen(&mut ev, room.address("socket"), nothing).unwrap();
        let is = room.0.join("socket").metadata().unwrap().permissions().mode();
        assert_eq!(is & 0o7777, mode, "{mode:o}");
        listener.close(&mut ev);
    }
}

#[test]
fn abstract_names_leave_no_file_and_are_refused_twice() {
    let mut ev = live_ev();
    let name = name();
    let listener = ev.listen(&*name, nothing).unwrap();
    assert_eq!(listener.addresses(&ev), [name.parse::<Address>().unwrap()]);
    in_use(ev.listen(&*name, nothing));
    listener.close(&mut ev);
    ev.listen(&*name, nothing).unwrap();
}
