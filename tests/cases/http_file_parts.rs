// Ranges of files.

use std::cell::RefCell;
use std::fs;
use std::path::Path;
use std::rc::Rc;

use evloop::net::Written;

use crate::talking::*;
use crate::tree::{Tree, bytes};

const LEN: usize = 200_000;

fn served(ev: &mut EvLoop, tree: &Tree) -> Client {
    tree.file("large.txt", bytes(LEN));
    tree.file("small.txt", bytes(1000));
    tree.file("empty", "");
    one_client(ev, Routes::new().files("/", tree.files())).1
}

fn ask(ev: &mut EvLoop, client: &mut Client, path: &str, range: &str) -> Answer {
    client.ask(ev, request("GET", path, &format!("Range: {range}\r\n"), ""))
}

#[test]
fn one_range_is_206() {
    let (tree, mut ev) = (Tree::new(), ev());
    let mut client = served(&mut ev, &tree);
    for (range, from, to) in [
        ("bytes=0-0", 0, 0),
        ("bytes=100-199", 100, 199),
        ("bytes=100000-", 100_000, LEN - 1),
        ("bytes=-7", LEN - 7, LEN - 1),
        ("bytes=5-99999999999999999999999999", 5, LEN - 1),
        ("bytes=0-9, 10-19, 5-6", 0, 19),
    ] {
        let answer = ask(&mut ev, &mut client, "/large.txt", range);
        assert_eq!(answer.status, 206, "{range}");
        assert!(answer.body == bytes(LEN)[from..=to]);
        let said = format!("bytes {from}-{to}/{LEN}");
        assert_eq!(answer.field("content-range"), Some(&*said));
        assert_eq!(answer.field("content-type"), Some("text/plain; charset=utf-8"));
        assert!(answer.field("etag").is_some());
    }
}

#[test]
fn what_is_not_there_is_416_and_says_how_much_is() {
    let (tree, mut ev) = (Tree::new(), ev());
    let mut client = served(&mut ev, &tree);
    for range in ["bytes=1000-", "bytes=-0", "bytes=5000-6000,7000-"] {
        let answer = ask(&mut ev, &mut client, "/small.txt", range);
        assert_eq!((answer.status, answer.field("content-range")), (416, Some("bytes */1000")));
    }
    let answer = ask(&mut ev, &mut client, "/empty", "bytes=0-");
    assert_eq!((answer.status, answer.field("content-range")), (416, Some("bytes */0")));
}

#[test]
fn what_makes_no_sense_is_answered_with_the_whole() {
    let (tree, mut ev) = (Tree::new(), ev());
    let mut client = served(&mut ev, &tree);
    let many = format!("bytes=0-0{}", ",2-2".repeat(1300));
    for range in ["bytes=2-1", "bytes=a", "lines=0-1", "bytes=", "bytes=0-1,x", &many] {
        let answer = ask(&mut ev, &mut client, "/small.txt", range);
        assert_eq!((answer.status, answer.body.len()), (200, 1000), "{range}");
        assert_eq!(answer.field("content-range"), None);
    }
}

#[test]
fn several_ranges_come_in_parts() {
    let (tree, mut ev) = (Tree::new(), ev());
    let mut client = served(&mut ev, &tree);
    for path in ["/large.txt", "/small.txt"] {
        let whole = client.ask(&mut ev, get(path)).body;
        let len = whole.len();
        let answer = ask(&mut ev, &mut client, path, "bytes=500-599, 0-9, -5");
        assert_eq!((answer.status, answer.is_whole), (206, true));
        assert_eq!(answer.field("content-range"), None);
        let kind = answer.field("content-type").unwrap();
        let boundary = kind.strip_prefix("multipart/byteranges; boundary=").unwrap();
        assert!(boundary.len() >= 32);
        let mut expected = Vec::new();
        for (from, to) in [(500, 599), (0, 9), (len - 5, len - 1)] {
            let head = format!(
                "\r\n--{boundary}\r\nContent-Type: text/plain; charset=utf-8\r\n\
                 Content-Range: bytes {from}-{to}/{len}\r\n\r\n"
            );
            expected.extend_from_slice(head.as_bytes());
            expected.extend_from_slice(&whole[from..=to]);
        }
        expected.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
        assert!(answer.body == expected, "{}", String::from_utf8_lossy(&answer.body));
        // The next reply is where it should be, with another boundary.
        let again = ask(&mut ev, &mut client, path, "bytes=500-599, 0-9, -5");
        assert_ne!(again.field("content-type"), answer.field("content-type"));
        client.send(request("HEAD", path, "", ""));
        assert_eq!(client.reply_to(&mut ev, "HEAD").status, 200);
    }
}

#[test]
fn sixteen_ranges_of_a_large_file_are_sent_whole() {
    let (tree, mut ev) = (Tree::new(), ev());
    let mut client = served(&mut ev, &tree);
    let ranges: Vec<_> = (0..16).map(|n| format!("{}-{}", n * 12_000, n * 12_000 + 9_999)).collect();
    let answer = ask(&mut ev, &mut client, "/large.txt", &format!("bytes={}", ranges.join(",")));
    assert_eq!((answer.status, answer.is_whole), (206, true));
    assert!(answer.body.len() > 160_000 && answer.body.len() < 163_000);
}

#[test]
fn a_range_of_something_else_is_the_whole() {
    let (tree, mut ev) = (Tree::new(), ev());
    let mut client = served(&mut ev, &tree);
    let tag = client.ask(&mut ev, get("/small.txt")).field("etag").unwrap().to_owned();
    for (condition, status) in [
        (tag.clone(), 206),
        (format!("W/{tag}"), 200),
        ("\"other\"".to_owned(), 200),
        ("Sun, 06 Nov 1994 08:49:37 GMT".to_owned(), 200),
        ("nonsense".to_owned(), 200),
    ] {
        let fields = format!("Range: bytes=0-9\r\nIf-Range: {condition}\r\n");
        let answer = client.ask(&mut ev, request("GET", "/small.txt", &fields, ""));
        assert_eq!(answer.status, status, "{condition}");
    }
    let fields = "Range: bytes=5000-\r\nIf-Range: \"other\"\r\n";
    assert_eq!(client.ask(&mut ev, request("GET", "/small.txt", fields, "")).status, 200);
}

#[test]
fn two_range_fields_are_none() {
    let (tree, mut ev) = (Tree::new(), ev());
    let mut client = served(&mut ev, &tree);
    let fields = "Range: bytes=0-1\r\nRange: bytes=0-1\r\n";
    assert_eq!(client.ask(&mut ev, request("GET", "/small.txt", fields, "")).status, 200);
}

/// A client that reads nothing gets what waits for it up to so many bytes, and must not have a descriptor for every few
/// of them.
#[test]
fn replies_that_wait_hold_few_descriptors_however_short_they_are() {
    let (tree, mut ev) = (Tree::new(), ev());
    tree.file("small.txt", bytes(1000));
    tree.file("medium.txt", bytes(20_000));
    let (own, streamed) = (tree.path("small.txt"), tree.path("small.txt"));
    let routes = Routes::new()
        .files("/", tree.files())
        .get("/own", move |ev: &mut EvLoop, _, reply: Reply| {
            reply.file(ev, "text/plain", fs::File::open(&own)?, 0, 10)?;
            Ok::<(), Box<dyn std::error::Error>>(())
        })
        .get("/streamed", move |ev: &mut EvLoop, _, reply: Reply| {
            let stream = reply.stream(ev, BodyLength::Unknown)?;
            stream.write_file(ev, fs::File::open(&streamed)?.into(), 0, 10)?;
            stream.end(ev)?;
            Ok::<(), Box<dyn std::error::Error>>(())
        });
    let server = serve(&mut ev, routes);
    let parts = request("GET", "/small.txt", "Range: bytes=0-0,2-2\r\n", "");
    for (asked, len) in
        [(parts, 2), (get("/own"), 10), (get("/medium.txt"), 20_000), (get("/streamed"), 10)]
    {
        let mut client = Client::new(&mut ev, server);
        let all = asked.repeat(20_000);
        let mut sent = 0;
        loop {
            let more = client.push(&all.as_bytes()[sent..]);
            sent += more;
            settle(&mut ev);
            if more == 0 {
                break;
            }
        }
        assert!(sent < all.len(), "it is not read any more");
        let open = open_below(&tree.root());
        assert!(open <= 8, "{open} for {asked:?}");
        // When it reads, all of them come.
        let (asks, mut got) = (sent / asked.len(), 0);
        until(&mut ev, |_| {
            got += client.skip(1024 * 1024);
            got >= asks * (80 + len) && open_below(&tree.root()) == 0
        });
    }
}

/// How many of our descriptors are of files in there.
fn open_below(root: &Path) -> usize {
    let listed = fs::read_dir("/proc/self/fd").unwrap();
    let files = listed.filter_map(|entry| fs::read_link(entry.unwrap().path()).ok());
    files.filter(|file| file != root && file.starts_with(root)).count()
}

/// One that makes a body of parts of files can stop in time.
#[test]
fn eight_parts_of_files_that_wait_are_as_many_as_may() {
    let (tree, mut ev) = (Tree::new(), ev());
    let path = tree.file("few", "0123456789");
    let seen = Rc::new(RefCell::new(Vec::new()));
    let list = Rc::clone(&seen);
    let routes = Routes::new().get("/", move |ev: &mut EvLoop, _: Request, reply: Reply| {
        let stream = reply.stream(ev, BodyLength::Unknown).unwrap();
        for _ in 0..8 {
            let file = fs::File::open(&path).unwrap().into();
            list.borrow_mut().push(stream.write_file(ev, file, 0, 10).unwrap());
        }
        let kept = Rc::new(RefCell::new(None));
        let ends = Rc::clone(&kept);
        stream.on_drained(move |ev| {
            let stream: Option<ReplyStream> = ends.take();
            assert!(stream.unwrap().end(ev).is_ok());
        });
        kept.replace(Some(stream));
    });
    let (_, mut client) = one_client(&mut ev, routes);
    let answer = client.ask(&mut ev, get("/"));
    assert_eq!((answer.text(), answer.is_whole), (&*"0123456789".repeat(8), true));
    let (seventh, eighth) = (seen.borrow()[6], seen.borrow()[7]);
    assert_eq!((seventh, eighth), (Written::Room, Written::Full));
}
