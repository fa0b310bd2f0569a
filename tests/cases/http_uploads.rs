// Files that clients send.

use std::fs;
use std::process::Command;

use crate::talking::*;
use crate::tree::{Tree, bytes};

fn upload(tree: &Tree) -> Upload {
    Upload::new(tree.root()).unwrap()
}

fn taking(ev: &mut EvLoop, upload: Upload) -> Client {
    one_client(ev, Routes::new().upload("/up", upload)).1
}

fn put(path: &str, fields: &str, body: &str) -> String {
    request("PUT", path, &format!("Content-Length: {}\r\n{fields}", body.len()), body)
}

#[test]
fn a_file_is_there_when_all_of_it_is() {
    let (tree, mut ev) = (Tree::new(), ev());
    let mut client = taking(&mut ev, upload(&tree).sync(true));
    let body = bytes(300_000);
    client.send(request("PUT", "/up/a", "Content-Length: 300000\r\n", ""));
    client.upload(&mut ev, &body[..299_999]);
    settle(&mut ev);
    assert!(!tree.path("a").exists());
    assert_eq!(tree.names().len(), 1);
    client.send(&body[299_999..]);
    assert_eq!(client.reply(&mut ev).status, 201);
    assert!(fs::read(tree.path("a")).unwrap() == body);
    assert_eq!(tree.names(), ["a"]);
    // The next one takes its place.
    assert_eq!(client.ask(&mut ev, put("/up/a", "", "new")).status, 204);
    assert_eq!(fs::read(tree.path("a")).unwrap(), b"new");
    assert_eq!(client.ask(&mut ev, put("/up/empty", "", "")).status, 201);
    assert_eq!(tree.names(), ["a", "empty"]);
}

#[test]
fn a_file_can_come_in_chunks_and_without_a_known_length() {
    let (tree, mut ev) = (Tree::new(), ev());
    let mut client = taking(&mut ev, upload(&tree));
    let body = chunks(&["one ", "two ", "three"]) + "0\r\n\r\n";
    client.send(request("PUT", "/up/a", "Transfer-Encoding: chunked\r\n", &body));
    assert_eq!(client.reply(&mut ev).status, 201);
    assert_eq!(fs::read(tree.path("a")).unwrap(), b"one two three");
}

#[test]
fn a_client_that_leaves_leaves_nothing() {
    let (tree, mut ev) = (Tree::new(), ev());
    tree.file("a", "old");
    for reset in [true, false] {
        let mut client = taking(&mut ev, upload(&tree));
        client.send(request("PUT", "/up/a", "Content-Length: 100\r\n", "half"));
        until(&mut ev, |_| tree.names().len() == 2);
        if reset {
            client.reset();
        } else {
            drop(client);
        }
        until(&mut ev, |_| tree.names() == ["a"]);
        assert_eq!(fs::read(tree.path("a")).unwrap(), b"old");
    }
}

#[test]
fn a_server_that_stops_leaves_nothing_half() {
    let (tree, mut ev) = (Tree::new(), ev());
    let (server, mut client) = one_client(&mut ev, Routes::new().upload("/up", upload(&tree)));
    client.send(request("PUT", "/up/a", "Content-Length: 100\r\n", "half"));
    until(&mut ev, |_| tree.names().len() == 1);
    server.stop_now(&mut ev);
    settle(&mut ev);
    assert_eq!(tree.names(), [""; 0]);
    let mut client = taking(&mut ev, upload(&tree));
    client.send(request("PUT", "/up/a", "Content-Length: 100\r\n", "half"));
    until(&mut ev, |_| tree.names().len() == 1);
    drop(ev);
    assert_eq!(tree.names(), [""; 0]);
}

#[test]
fn what_is_too_large_is_refused_before_or_while_it_comes() {
    let (tree, mut ev) = (Tree::new(), ev());
    let server = serve(&mut ev, Routes::new().upload("/up", upload(&tree).max_size(10)));
    let mut client = Client::new(&mut ev, server);
    assert_eq!(client.ask(&mut ev, put("/up/a", "", "0123456789")).status, 201);
    assert_eq!(client.ask(&mut ev, put("/up/b", "", "0123456789x")).status, 413);
    let mut client = Client::new(&mut ev, server);
    client.send(request("PUT", "/up/b", "Transfer-Encoding: chunked\r\n", &chunks(&["012345", "67890"])));
    assert_eq!(client.reply(&mut ev).status, 413);
    settle(&mut ev);
    assert_eq!(tree.names(), ["a"]);
    // Who asks first is told first.
    let mut client = Client::new(&mut ev, server);
    client.send(request("PUT", "/up/b", "Content-Length: 11\r\nExpect: 100-continue\r\n", ""));
    assert_eq!(client.reply(&mut ev).status, 413);
}

#[test]
fn names_are_those_that_are_served() {
    let (tree, mut ev) = (Tree::new(), ev());
    tree.file("d/x", "");
    tree.link("out", "..");
    tree.link("to-secret", "../secret");
    let server = serve(&mut ev, Routes::new().upload("/up", upload(&tree)));
    for (path, status) in [
        ("/up/.hidden", 404),
        ("/up/..%2fsecret", 404),
        ("/up/..%5csecret", 404),
        ("/up//etc/x", 404),
        ("/up/c:x", 404),
        ("/up/a%0ab", 404),
        ("/up/d", 409),
        ("/up/d/", 409),
        ("/up/", 409),
        ("/up/none/x", 409),
        ("/up/d/x/y", 409),
        ("/up/out/secret", 409),
        ("/up/to-secret", 204),
        ("/up/d/y", 201),
    ] {
        let mut client = Client::new(&mut ev, server);
        assert_eq!(client.ask(&mut ev, put(path, "", "new")).status, status, "{path}");
    }
    assert_eq!(fs::read(tree.outside().join("secret")).unwrap(), b"secret");
    assert!(tree.path("to-secret").symlink_metadata().unwrap().is_file());
}

#[test]
fn a_file_is_replaced_only_if_it_may_be() {
    let (tree, mut ev) = (Tree::new(), ev());
    tree.file("a", "old");
    let mut client = taking(&mut ev, upload(&tree).replace(false));
    assert_eq!(client.ask(&mut ev, put("/up/a", "", "new")).status, 409);
    assert_eq!(client.ask(&mut ev, put("/up/b", "", "new")).status, 201);
    let mut client = taking(&mut ev, upload(&tree));
    for (fields, path, status) in [
        ("If-None-Match: *\r\n", "/up/a", 412),
        ("If-None-Match: *\r\n", "/up/c", 201),
        ("If-None-Match: \"x\"\r\n", "/up/c", 204),
        ("If-Match: *\r\n", "/up/d", 412),
        ("If-Match: \"x\"\r\n", "/up/a", 412),
        ("If-Match: *\r\n", "/up/c", 204),
    ] {
        assert_eq!(client.ask(&mut ev, put(path, fields, "new")).status, status, "{fields} {path}");
    }
    assert_eq!(fs::read(tree.path("a")).unwrap(), b"old");
    assert_eq!(tree.names(), ["a", "b", "c"]);
}

#[test]
fn two_at_the_same_time_do_not_mix() {
    let (tree, mut ev) = (Tree::new(), ev());
    let server = serve(&mut ev, Routes::new().upload("/up", upload(&tree)));
    let (mut one, mut other) = (Client::new(&mut ev, server), Client::new(&mut ev, server));
    one.send(request("PUT", "/up/a", "Content-Length: 6\r\n", "one"));
    other.send(request("PUT", "/up/a", "Content-Length: 6\r\n", "two"));
    until(&mut ev, |_| tree.names().len() == 2);
    other.send("TWO");
    assert_eq!(other.reply(&mut ev).status, 201);
    one.send("ONE");
    one.reply(&mut ev);
    assert_eq!(fs::read(tree.path("a")).unwrap(), b"oneONE");
    assert_eq!(tree.names(), ["a"]);
}

#[test]
fn a_broken_upload_goes_on_where_it_ended() {
    let (tree, mut ev) = (Tree::new(), ev());
    let server = serve(&mut ev, Routes::new().upload("/up", upload(&tree).resumable(true)));
    let mut client = Client::new(&mut ev, server);
    client.send(request("PUT", "/up/a", "Content-Length: 10\r\n", "0123"));
    until(&mut ev, |_| fs::read(tree.path(".a.part")).is_ok_and(|text| text == b"0123"));
    // Nobody else can, meanwhile.
    let mut second = Client::new(&mut ev, server);
    assert_eq!(second.ask(&mut ev, put("/up/a", "", "x")).status, 409);
    client.reset();
    settle(&mut ev);
    assert_eq!(tree.names(), [".a.part"]);
    let part = |range: &str, body: &str| put("/up/a", &format!("Content-Range: {range}\r\n"), body);
    let gap = second.ask(&mut ev, part("bytes 5-6/10", "56"));
    assert_eq!((gap.status, gap.field("content-range")), (416, Some("bytes */4")));
    for (range, body) in
        [("bytes 4-6/10", "45"), ("bytes 4-6", "456"), ("lines 4-6/10", "456"), ("bytes 6-4/10", "456")]
    {
        assert_eq!(second.ask(&mut ev, part(range, body)).status, 400, "{range}");
    }
    assert_eq!(second.ask(&mut ev, part("bytes 4-5/*", "45")).status, 202);
    // What was sent twice is there once.
    assert_eq!(second.ask(&mut ev, part("bytes 5-7/10", "567")).status, 202);
    assert_eq!(tree.names(), [".a.part"]);
    assert_eq!(second.ask(&mut ev, part("bytes 8-9/10", "89")).status, 201);
    assert_eq!(tree.names(), ["a"]);
    assert_eq!(fs::read(tree.path("a")).unwrap(), b"0123456789");
}

/// Or whoever likes could fill a directory with files that have nothing in them.
#[test]
fn a_part_of_what_nobody_has_begun_leaves_nothing() {
    let (tree, mut ev) = (Tree::new(), ev());
    let mut client = taking(&mut ev, upload(&tree).resumable(true));
    let gap = client.ask(&mut ev, put("/up/a", "Content-Range: bytes 5-6/10\r\n", "56"));
    assert_eq!((gap.status, gap.field("content-range")), (416, Some("bytes */0")));
    assert_eq!(tree.names(), [""; 0]);
    assert_eq!(client.ask(&mut ev, put("/up/a", "Content-Range: bytes 0-1/2\r\n", "01")).status, 201);
    assert_eq!(tree.names(), ["a"]);
}

#[test]
fn parts_are_refused_where_they_are_not_taken() {
    let (tree, mut ev) = (Tree::new(), ev());
    let mut client = taking(&mut ev, upload(&tree));
    let answer = client.ask(&mut ev, put("/up/a", "Content-Range: bytes 0-3/4\r\n", "0123"));
    assert_eq!(answer.status, 400);
    assert_eq!(tree.names(), [""; 0]);
}

#[test]
fn an_offset_can_come_from_anywhere() {
    let (tree, mut ev) = (Tree::new(), ev());
    let taker = upload(&tree).resumable(true);
    let routes = Routes::new().streaming(
        Method::PUT,
        "/at/{offset}",
        move |ev: &mut EvLoop, request: Request, reply: Reply| {
            let offset = request.param("offset").unwrap().parse().unwrap();
            taker.receive_part(ev, &request, "a", offset, Some(6), reply, |ev, result, reply| {
                let text = match result {
                    Ok(stored) => format!("{} {}", stored.size, stored.complete),
                    Err(error) => error.to_string(),
                };
                reply.text(ev, text).unwrap();
            })
        },
    );
    let (_, mut client) = one_client(&mut ev, routes);
    assert_eq!(client.ask(&mut ev, put("/at/0", "", "abc")).text(), "3 false");
    let gap = client.ask(&mut ev, put("/at/4", "", "x"));
    assert_eq!(gap.text(), "the part does not begin where the file ends, at byte 3");
    assert_eq!(client.ask(&mut ev, put("/at/3", "", "defg")).text(), "the file is too large");
    assert_eq!(client.ask(&mut ev, put("/at/3", "", "def")).text(), "6 true");
    assert_eq!(fs::read(tree.path("a")).unwrap(), b"abcdef");
}

/// A file system of 64 KiB, where we may have one.
struct Small<'a>(&'a Tree);

impl<'a> Small<'a> {
    fn new(tree: &'a Tree) -> Option<Self> {
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=64k", "tmpfs"])
            .arg(tree.root())
            .stderr(std::process::Stdio::null())
            .status();
        mounted.is_ok_and(|status| status.success()).then_some(Self(tree))
    }
}

impl Drop for Small<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.root()).status();
    }
}

#[test]
fn a_full_disk_is_507_and_nothing_is_left() {
    let (tree, mut ev) = (Tree::new(), ev());
    let Some(_small) = Small::new(&tree) else { return };
    tree.file("a", "old");
    let server = serve(&mut ev, Routes::new().upload("/up", upload(&tree)));
    let mut client = Client::new(&mut ev, server);
    let body = String::from_utf8(vec![b'x'; 100_000]).unwrap();
    client.send(request("PUT", "/up/a", "Content-Length: 100000\r\n", ""));
    client.upload(&mut ev, body.as_bytes());
    assert_eq!(client.reply(&mut ev).status, 507);
    settle(&mut ev);
    assert_eq!(tree.names(), ["a"]);
    assert_eq!(fs::read(tree.path("a")).unwrap(), b"old");
    // There is room again, for smaller ones.
    let mut client = Client::new(&mut ev, server);
    assert_eq!(client.ask(&mut ev, put("/up/b", "", "small")).status, 201);
}

#[test]
fn what_others_have_changed_meanwhile_is_not_replaced() {
    let (tree, mut ev) = (Tree::new(), ev());
    fs::write(tree.path("a"), "old").unwrap();
    let routes = Routes::new()
        .upload("/up", upload(&tree))
        .files("/files", Files::new(tree.root()).unwrap());
    let server = serve(&mut ev, routes);
    let mut client = Client::new(&mut ev, server);
    let tag = client.ask(&mut ev, get("/files/a")).field("etag").unwrap().to_owned();
    let fields = format!("If-Match: {tag}\r\nContent-Length: 4\r\n");
    let mut slow = Client::new(&mut ev, server);
    slow.send(request("PUT", "/up/a", &fields, "mi"));
    settle(&mut ev);
    assert_eq!(client.ask(&mut ev, request("PUT", "/up/a", &fields, "mine")).status, 204);
    slow.send("ne");
    assert_eq!(slow.reply(&mut ev).status, 412);
    assert_eq!(fs::read(tree.path("a")).unwrap(), b"mine");
    assert_eq!(tree.names(), ["a"]);
}
