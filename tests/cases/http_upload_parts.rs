// What has come of files that clients send in parts: how much of it waits for the rest, and for how long.

use std::fs;

use crate::talking::*;
use crate::tree::Tree;

fn taking(tree: &Tree) -> Upload {
    Upload::new(tree.root()).unwrap().resumable(true)
}

fn serving(ev: &mut EvLoop, upload: Upload) -> Client {
    one_client(ev, Routes::new().upload("/up", upload)).1
}

/// Some bytes of a file of ten, from there on.
fn part(name: &str, from: usize, body: &str) -> String {
    let fields =
        format!("Content-Length: {}\r\nContent-Range: bytes {from}-{}/10\r\n", body.len(), from + body.len() - 1);
    request("PUT", &format!("/up/{name}"), &fields, body)
}

#[test]
fn of_too_many_the_one_that_has_waited_longest_goes() {
    let (tree, mut ev) = (Tree::new(), ev());
    fs::create_dir(tree.path("d")).unwrap();
    let mut client = serving(&mut ev, taking(&tree).max_parts(2));
    for (name, from) in [("a", 0), ("d/b", 0), ("a", 3)] {
        assert_eq!(client.ask(&mut ev, part(name, from, "012")).status, 202, "{name}");
        pass(&mut ev, secs(1));
    }
    assert!(tree.path("d/.b.part").exists());
    assert_eq!(client.ask(&mut ev, part("c", 0, "012")).status, 202);
    assert_eq!(tree.names(), [".a.part", ".c.part", "d"]);
    assert!(!tree.path("d/.b.part").exists());
    // Its client is told, and begins again.
    let gap = client.ask(&mut ev, part("d/b", 3, "345"));
    assert_eq!((gap.status, gap.field("content-range")), (416, Some("bytes */0")));
    // What is complete does not wait.
    assert_eq!(client.ask(&mut ev, part("a", 6, "6789")).status, 201);
    assert_eq!(client.ask(&mut ev, part("d/b", 0, "012")).status, 202);
    assert_eq!(tree.names(), [".c.part", "a", "d"]);
    assert!(tree.path("d/.b.part").exists());
}

#[test]
fn many_that_are_broken_off_at_once_are_no_more_than_may_be() {
    let (tree, mut ev) = (Tree::new(), ev());
    let server = serve(&mut ev, Routes::new().upload("/up", taking(&tree).max_parts(3)));
    let mut clients: Vec<_> = (0..9).map(|_| Client::new(&mut ev, server)).collect();
    for (n, client) in clients.iter_mut().enumerate() {
        client.send(request("PUT", &format!("/up/{n}"), "Content-Length: 10\r\n", "012"));
    }
    until(&mut ev, |_| tree.names().len() == 9);
    drop(clients);
    until(&mut ev, |_| tree.names().len() == 3);
    settle(&mut ev);
    assert_eq!(tree.names().len(), 3);
}

#[test]
fn who_leaves_the_oldest_of_too_many_leaves_none() {
    let (tree, mut ev) = (Tree::new(), ev());
    let server = serve(&mut ev, Routes::new().upload("/up", taking(&tree).max_parts(1)));
    let mut slow: Vec<_> = (0..3).map(|_| Client::new(&mut ev, server)).collect();
    for (n, client) in slow.iter_mut().enumerate() {
        client.send(request("PUT", &format!("/up/{n}"), "Content-Length: 10\r\n", "012"));
    }
    until(&mut ev, |_| tree.names().len() == 3);
    pass(&mut ev, secs(1));
    let mut quick = Client::new(&mut ev, server);
    assert_eq!(quick.ask(&mut ev, part("a", 0, "012")).status, 202);
    drop(slow);
    until(&mut ev, |_| tree.names() == [".a.part"]);
}

#[test]
fn what_has_waited_too_long_goes_when_the_next_upload_begins() {
    let (tree, mut ev) = (Tree::new(), ev());
    let mut client = serving(&mut ev, taking(&tree).parts_age(secs(30)));
    client.ask(&mut ev, part("a", 0, "012"));
    client.ask(&mut ev, part("b", 0, "012"));
    pass(&mut ev, secs(20));
    assert_eq!(client.ask(&mut ev, part("b", 3, "345")).status, 202);
    pass(&mut ev, secs(9));
    assert_eq!(client.ask(&mut ev, part("c", 0, "0123456789")).status, 201);
    assert_eq!(tree.names(), [".a.part", ".b.part", "c"]);
    pass(&mut ev, secs(2));
    assert_eq!(client.ask(&mut ev, part("c", 0, "0123456789")).status, 204);
    assert_eq!(tree.names(), [".b.part", "c"]);
    pass(&mut ev, secs(20));
    let gap = client.ask(&mut ev, part("b", 6, "6789"));
    assert_eq!((gap.status, gap.field("content-range")), (416, Some("bytes */0")));
    assert_eq!(tree.names(), ["c"]);
}

#[test]
fn what_is_coming_does_not_wait() {
    let (tree, mut ev) = (Tree::new(), ev());
    let server = serve(&mut ev, Routes::new().upload("/up", taking(&tree).max_parts(1).parts_age(secs(5))));
    let mut other = Client::new(&mut ev, server);
    assert_eq!(other.ask(&mut ev, part("a", 0, "012")).status, 202);
    let mut slow = Client::new(&mut ev, server);
    let head = "Content-Length: 7\r\nContent-Range: bytes 3-9/10\r\n";
    slow.send(request("PUT", "/up/a", head, "345"));
    until(&mut ev, |_| fs::read(tree.path(".a.part")).is_ok_and(|text| text == b"012345"));
    pass(&mut ev, secs(8));
    assert_eq!(other.ask(&mut ev, part("b", 0, "012")).status, 202);
    assert_eq!(other.ask(&mut ev, part("c", 0, "012")).status, 202);
    assert_eq!(tree.names(), [".a.part", ".c.part"]);
    slow.send("6789");
    assert_eq!(slow.reply(&mut ev).status, 201);
    assert_eq!(fs::read(tree.path("a")).unwrap(), b"0123456789");
}

#[test]
fn what_another_loop_goes_on_with_is_left_to_it() {
    let (tree, mut ev) = (Tree::new(), ev());
    // Two servers of one directory, as threads have them.
    let mut one = serving(&mut ev, taking(&tree).parts_age(secs(5)));
    let mut other = serving(&mut ev, taking(&tree));
    assert_eq!(one.ask(&mut ev, part("a", 0, "012")).status, 202);
    assert_eq!(one.ask(&mut ev, part("b", 0, "012")).status, 202);
    let head = "Content-Length: 7\r\nContent-Range: bytes 3-9/10\r\n";
    assert_eq!(other.ask(&mut ev, part("b", 3, "345")).status, 202);
    other.send(request("PUT", "/up/a", head, ""));
    settle(&mut ev);
    pass(&mut ev, secs(6));
    assert_eq!(one.ask(&mut ev, part("c", 0, "0123456789")).status, 201);
    assert_eq!(tree.names(), [".a.part", ".b.part", "c"]);
    other.send("3456789");
    assert_eq!(other.reply(&mut ev).status, 201);
    assert_eq!(other.ask(&mut ev, part("b", 6, "6789")).status, 201);
    for name in ["a", "b"] {
        assert_eq!(fs::read(tree.path(name)).unwrap(), b"0123456789");
    }
}

#[test]
fn what_somebody_else_has_put_there_stays() {
    let (tree, mut ev) = (Tree::new(), ev());
    tree.file(".theirs.part", "theirs");
    let mut client = serving(&mut ev, taking(&tree).max_parts(1).parts_age(secs(5)));
    for (name, other) in [("a", "012"), ("b", "others")] {
        assert_eq!(client.ask(&mut ev, part(name, 0, "012")).status, 202);
        // Another file, of that name.
        let place = tree.path(&format!(".{name}.part"));
        fs::rename(&place, tree.path(&format!("{name}-kept"))).unwrap();
        fs::write(&place, other).unwrap();
    }
    assert_eq!(client.ask(&mut ev, part("c", 0, "012")).status, 202);
    fs::rename(tree.path(".c.part"), tree.path("c-kept")).unwrap();
    tree.link(".c.part", "c-kept");
    pass(&mut ev, secs(6));
    assert_eq!(client.ask(&mut ev, part("d", 0, "0123456789")).status, 201);
    let there = [".a.part", ".b.part", ".c.part", ".theirs.part", "a-kept", "b-kept", "c-kept", "d"];
    assert_eq!(tree.names(), there);
}

#[test]
fn who_sends_nothing_of_a_file_leaves_nothing() {
    let (tree, mut ev) = (Tree::new(), ev());
    let server = serve(&mut ev, Routes::new().upload("/up", taking(&tree)));
    let mut client = Client::new(&mut ev, server);
    client.send(request("PUT", "/up/a", "Content-Length: 10\r\n", ""));
    until(&mut ev, |_| tree.names() == [".a.part"]);
    client.reset();
    until(&mut ev, |_| tree.names().is_empty());
}
