// Files that change while they are sent.

use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use crate::talking::*;
use crate::tree::{Tree, bytes};

const LEN: usize = 8 << 20;

/// A large file whose sending has begun, and cannot go on.
fn begun(ev: &mut EvLoop, tree: &Tree) -> (Client, Reasons) {
    tree.file("large", bytes(LEN));
    let (routes, reasons) = noting(Routes::new().files("/", tree.files()));
    let (_, mut client) = one_client(ev, routes);
    client.send(get("/large"));
    settle(ev);
    (client, reasons)
}

#[test]
fn a_file_that_shrinks_is_cut_and_never_padded() {
    let (tree, mut ev) = (Tree::new(), ev());
    let (mut client, reasons) = begun(&mut ev, &tree);
    File::options().write(true).open(tree.path("large")).unwrap().set_len(5_000_000).unwrap();
    let (rest, _) = client.rest(&mut ev);
    let head = rest.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
    let body = &rest[head..];
    // What was under way before is as it was then.
    assert!(body.len() <= 5_000_000 && bytes(LEN).starts_with(body), "{}", body.len());
    settle(&mut ev);
    assert_eq!(reasons.borrow().len(), 1);
    assert_ne!(reasons.borrow()[0], CompletionReason::Ok);
}

#[test]
fn a_file_that_is_emptied_is_cut() {
    let (tree, mut ev) = (Tree::new(), ev());
    let (mut client, _) = begun(&mut ev, &tree);
    File::create(tree.path("large")).unwrap();
    let (rest, _) = client.rest(&mut ev);
    assert!(rest.len() < LEN);
}

#[test]
fn a_file_that_grows_is_sent_as_long_as_was_said() {
    let (tree, mut ev) = (Tree::new(), ev());
    let (mut client, reasons) = begun(&mut ev, &tree);
    let mut file = File::options().append(true).open(tree.path("large")).unwrap();
    std::io::Write::write_all(&mut file, b"more").unwrap();
    let answer = client.reply(&mut ev);
    assert!(answer.is_whole && answer.body == bytes(LEN));
    // The next one has all of it.
    assert_eq!(client.ask(&mut ev, get("/large")).body.len(), LEN + 4);
    settle(&mut ev);
    assert_eq!(*reasons.borrow(), [CompletionReason::Ok; 2]);
}

#[test]
fn a_file_that_is_replaced_or_removed_is_sent_as_it_was() {
    for replace in [true, false] {
        let (tree, mut ev) = (Tree::new(), ev());
        let (mut client, _) = begun(&mut ev, &tree);
        if replace {
            let new = tree.file("new", "new");
            fs::rename(new, tree.path("large")).unwrap();
        } else {
            fs::remove_file(tree.path("large")).unwrap();
        }
        assert!(client.reply(&mut ev).body == bytes(LEN));
        let next = client.ask(&mut ev, get("/large"));
        assert_eq!(next.status, if replace { 200 } else { 404 });
    }
}

#[test]
fn parts_of_a_file_that_shrinks_are_cut() {
    let (tree, mut ev) = (Tree::new(), ev());
    tree.file("large", bytes(LEN));
    let (_, mut client) = one_client(&mut ev, Routes::new().files("/", tree.files()));
    client.send(request("GET", "/large", "Range: bytes=0-3999999,4100000-\r\n", ""));
    settle(&mut ev);
    File::options().write(true).open(tree.path("large")).unwrap().set_len(4_200_000).unwrap();
    let (rest, _) = client.rest(&mut ev);
    assert!(rest.len() < 4_300_000);
}

/// It is read at once, since it is short; what is not there then is not sent later either.
#[test]
fn a_short_part_that_its_file_has_not_is_cut_and_never_padded() {
    let (tree, mut ev) = (Tree::new(), ev());
    tree.file("ten", "0123456789");
    let (ten, folder) = (tree.path("ten"), tree.root());
    let (socket, _other) = UnixStream::pair().unwrap();
    let cases = [
        (File::open(&ten).unwrap(), 4, "456789"),
        (File::open(&ten).unwrap(), 10, ""),
        (File::open(&ten).unwrap(), 1 << 40, ""),
        (File::open(&folder).unwrap(), 0, ""),
        // There is nothing in it to be waited for.
        (File::from(OwnedFd::from(socket)), 0, ""),
    ];
    for (file, offset, there) in cases {
        let mut file = Some(file);
        let routes = Routes::new().get("/", move |ev: &mut EvLoop, _, reply: Reply| {
            reply.file(ev, "text/plain", file.take().unwrap(), offset, 20)
        });
        let (routes, reasons) = noting(routes);
        let (_, mut client) = one_client(&mut ev, routes);
        client.send(get("/").repeat(2));
        let rest = String::from_utf8(client.rest(&mut ev).0).unwrap();
        let body = rest.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        assert!(there.starts_with(body), "{rest}");
        until(&mut ev, |_| !reasons.borrow().is_empty());
        assert_ne!(reasons.borrow()[0], CompletionReason::Ok, "{rest}");
    }
}

#[test]
fn others_are_served_while_a_large_file_waits() {
    let (tree, mut ev) = (Tree::new(), ev());
    tree.file("large", bytes(LEN));
    tree.file("small", "small");
    let server = serve(&mut ev, Routes::new().files("/", tree.files()));
    let (mut slow, mut quick) = (Client::new(&mut ev, server), Client::new(&mut ev, server));
    slow.send(get("/large"));
    for _ in 0..100 {
        assert_eq!(quick.ask(&mut ev, get("/small")).text(), "small");
    }
    assert!(slow.reply(&mut ev).body == bytes(LEN));
}

#[test]
fn a_client_that_leaves_in_the_middle_harms_nobody() {
    let (tree, mut ev) = (Tree::new(), ev());
    let (client, reasons) = begun(&mut ev, &tree);
    client.reset();
    until(&mut ev, |_| !reasons.borrow().is_empty());
    assert_ne!(reasons.borrow()[0], CompletionReason::Ok);
}

#[test]
fn small_files_that_change_all_the_time_are_never_padded() {
    let tree = Tree::new();
    let path = tree.file("a", "");
    let mut ev = live_ev();
    let _watch = Watchdog::new(secs(60));
    let (_, mut client) = one_client(&mut ev, Routes::new().files("/", tree.files()));
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let stopped = std::sync::Arc::clone(&stop);
    let writer = std::thread::spawn(move || {
        let text = vec![b'x'; 10_000];
        while !stopped.load(std::sync::atomic::Ordering::Relaxed) {
            for len in [10_000, 10, 5_000, 0] {
                // Truncated, then written.
                fs::write(&path, &text[..len]).unwrap();
            }
        }
    });
    let mut served = 0;
    for _ in 0..2_000 {
        let answer = client.ask(&mut ev, get("/a"));
        match answer.status {
            200 => {
                assert!(answer.body.iter().all(|byte| *byte == b'x'), "{:?}", answer.body);
                served += 1;
            }
            status => assert_eq!(status, 503),
        }
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    writer.join().unwrap();
    assert!(served > 1_000, "{served}");
}
