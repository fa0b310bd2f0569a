// Whole files, directories, and what is said of them.

use std::fs;

use crate::talking::*;
use crate::tree::{Tree, bytes};

fn served(ev: &mut EvLoop, files: Files) -> Client {
    one_client(ev, Routes::new().files("/f", files)).1
}

fn answer(files: Files, path: &str) -> Answer {
    let mut ev = ev();
    let mut client = served(&mut ev, files);
    client.ask(&mut ev, get(path))
}

fn answer_with(files: Files, path: &str, fields: &str) -> Answer {
    let mut ev = ev();
    let mut client = served(&mut ev, files);
    client.ask(&mut ev, request("GET", path, fields, ""))
}

#[test]
fn a_file_is_served_with_its_type_and_its_marks() {
    let tree = Tree::new();
    tree.file("a/b.css", "p {}");
    for files in tree.both() {
        let answer = answer(files, "/f/a/b.css");
        assert_eq!((answer.status, answer.text()), (200, "p {}"));
        assert_eq!(answer.field("content-type"), Some("text/css; charset=utf-8"));
        assert_eq!(answer.field("content-length"), Some("4"));
        assert_eq!(answer.field("accept-ranges"), Some("bytes"));
        assert_eq!(answer.field("x-content-type-options"), Some("nosniff"));
        assert!(answer.field("etag").unwrap().starts_with('"'));
        assert!(answer.field("last-modified").unwrap().ends_with(" GMT"));
        assert_eq!((answer.field("vary"), answer.field("cache-control")), (None, None));
    }
}

#[test]
fn files_of_every_size_arrive_as_they_are_one_after_the_other() {
    let tree = Tree::new();
    let sizes = [0, 1, 4096, 16 * 1024 - 1, 16 * 1024, 16 * 1024 + 1, 100_000, 3 << 20];
    for size in sizes {
        tree.file(&size.to_string(), bytes(size));
    }
    let mut ev = ev();
    let mut client = served(&mut ev, tree.files());
    client.send(sizes.map(|size| get(&format!("/f/{size}"))).concat());
    for size in sizes {
        let answer = client.reply(&mut ev);
        assert_eq!((answer.status, answer.is_whole), (200, true));
        assert!(answer.body == bytes(size), "{size}");
    }
    client.hears_nothing(&mut ev);
}

#[test]
fn many_slow_readers_of_large_files_each_get_their_own() {
    let tree = Tree::new();
    for name in 0..6_usize {
        tree.file(&name.to_string(), bytes((2 << 20) + name));
    }
    let mut ev = ev();
    let server = serve(&mut ev, Routes::new().files("/", tree.files()));
    let mut clients: Vec<_> = (0..6).map(|_| Client::new(&mut ev, server)).collect();
    for (name, client) in clients.iter_mut().enumerate() {
        client.send(get(&format!("/{name}")));
    }
    settle(&mut ev);
    for (name, client) in clients.iter_mut().enumerate().rev() {
        assert!(client.reply(&mut ev).body == bytes((2 << 20) + name));
    }
}

/// The fields in some order, without the time.
fn said(answer: &Answer) -> Vec<(String, String)> {
    let mut fields = answer.fields.clone();
    fields.retain(|(name, _)| name != "Date");
    fields.sort();
    fields
}

#[test]
fn head_says_what_get_does_without_the_body() {
    let tree = Tree::new();
    tree.file("small", "hello");
    tree.file("large", bytes(1 << 20));
    let mut ev = ev();
    let mut client = served(&mut ev, tree.files());
    for path in ["/f/small", "/f/large", "/f/none"] {
        let whole = client.ask(&mut ev, get(path));
        client.send(request("HEAD", path, "Range: bytes=0-1\r\n", ""));
        let head = client.reply_to(&mut ev, "HEAD");
        assert_eq!((head.status, said(&head)), (whole.status, said(&whole)));
        client.hears_nothing(&mut ev);
    }
}

#[test]
fn other_methods_are_refused() {
    let tree = Tree::new();
    tree.file("a", "a");
    let mut ev = ev();
    let files = tree.files();
    let routes = Routes::new().files("/f", tree.files()).any(
        "/any",
        move |ev: &mut EvLoop, request: Request, reply: Reply| {
            files.serve(ev, &request, "a", reply)
        },
    );
    let (_, mut client) = one_client(&mut ev, routes);
    for method in ["POST", "PUT", "DELETE", "PATCH"] {
        for path in ["/f/a", "/any"] {
            let answer = client.ask(&mut ev, request(method, path, "Content-Length: 0\r\n", ""));
            assert_eq!(answer.status, 405, "{method} {path}");
            assert!(answer.field("allow").unwrap().starts_with("GET, HEAD"));
        }
    }
    assert_eq!(client.ask(&mut ev, get("/any")).text(), "a");
}

#[test]
fn what_is_not_there_is_404() {
    let tree = Tree::new();
    tree.file("a", "a");
    for files in tree.both() {
        let mut ev = ev();
        let mut client = served(&mut ev, files);
        for path in ["/f/b", "/f/a/", "/f/a/b", "/f/", "/f/b/c/d", "/g"] {
            assert_eq!(client.ask(&mut ev, get(path)).status, 404, "{path}");
        }
    }
}

#[test]
fn a_directory_is_served_by_its_index() {
    let tree = Tree::new();
    tree.file("index.html", "<p>");
    tree.file("d/main.htm", "d");
    tree.file("e/index.html/deep", "");
    tree.file("e/main.htm", "e");
    for files in tree.both() {
        let mut ev = ev();
        let mut client = served(&mut ev, files.index(["index.html", "main.htm"]));
        let answer = client.ask(&mut ev, get("/f/"));
        assert_eq!((answer.status, answer.text()), (200, "<p>"));
        assert_eq!(answer.field("content-type"), Some("text/html; charset=utf-8"));
        assert_eq!(client.ask(&mut ev, get("/f/d/")).text(), "d");
        // A directory of that name is none.
        assert_eq!(client.ask(&mut ev, get("/f/e/")).text(), "e");
    }
}

#[test]
fn a_directory_without_its_slash_is_elsewhere() {
    let tree = Tree::new();
    tree.file("d/index.html", "d");
    tree.file("a:b/index.html", "d");
    tree.file("evil.example/index.html", "d");
    let mut ev = ev();
    let routes = Routes::new().files("/f", tree.files()).files("/", tree.files());
    let (_, mut client) = one_client(&mut ev, routes);
    for (path, location) in [
        ("/f/d", "./d/"),
        ("/f/d?x=1&y=//z", "./d/?x=1&y=//z"),
        ("/f", "./f/"),
        ("/f?q", "./f/?q"),
        ("/f/x/../d", "./d/"),
        ("/f/%64", "./%64/"),
        ("/evil.example", "./evil.example/"),
    ] {
        let answer = client.ask(&mut ev, get(path));
        assert_eq!((answer.status, answer.field("location")), (301, Some(location)), "{path}");
    }
    // Looks like a drive, and like another host.
    for path in ["/f/a:b", "//evil.example", "/f//evil.example", "/%5cevil.example", "/.//d"] {
        let answer = client.ask(&mut ev, get(path));
        assert_eq!((answer.status, answer.field("location")), (404, None), "{path}");
    }
}

#[test]
fn conditions_are_heard() {
    let tree = Tree::new();
    tree.file("a", "hello");
    let mut ev = ev();
    let mut client = served(&mut ev, tree.files().cache_control("no-cache"));
    let first = client.ask(&mut ev, get("/f/a"));
    let tag = first.field("etag").unwrap().to_owned();
    let date = first.field("last-modified").unwrap().to_owned();
    for fields in [
        format!("If-None-Match: {tag}\r\n"),
        format!("If-None-Match: \"x\", W/{tag}\r\n"),
        "If-None-Match: *\r\n".to_owned(),
        format!("If-Modified-Since: {date}\r\n"),
        format!("If-None-Match: {tag}\r\nRange: bytes=0-1\r\n"),
    ] {
        let answer = client.ask(&mut ev, request("GET", "/f/a", &fields, ""));
        assert_eq!((answer.status, answer.field("content-length")), (304, None), "{fields}");
        assert_eq!(answer.field("etag"), Some(&*tag));
        assert_eq!(answer.field("last-modified"), Some(&*date));
        assert_eq!(answer.field("cache-control"), Some("no-cache"));
        assert_eq!(answer.field("content-type"), None);
    }
    for fields in [
        "If-Match: \"x\"\r\n".to_owned(),
        format!("If-Match: W/{tag}\r\n"),
        "If-Unmodified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n".to_owned(),
    ] {
        let answer = client.ask(&mut ev, request("GET", "/f/a", &fields, ""));
        assert_eq!(answer.status, 412, "{fields}");
    }
    for fields in [
        format!("If-Match: {tag}\r\n"),
        "If-None-Match: \"x\"\r\n".to_owned(),
        format!("If-None-Match: \"x\"\r\nIf-Modified-Since: {date}\r\n"),
        "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n".to_owned(),
        "If-Modified-Since: once upon a time\r\n".to_owned(),
    ] {
        let answer = client.ask(&mut ev, request("GET", "/f/a", &fields, ""));
        assert_eq!((answer.status, answer.text()), (200, "hello"), "{fields}");
    }
    client.send(request("HEAD", "/f/a", &format!("If-None-Match: {tag}\r\n"), ""));
    assert_eq!(client.reply_to(&mut ev, "HEAD").status, 304);
}

#[test]
fn a_tag_changes_with_the_file_and_can_be_weak_or_none() {
    let tree = Tree::new();
    let path = tree.file("a", "hello");
    let mut ev = ev();
    let mut client = served(&mut ev, tree.files());
    let tag = |answer: Answer| answer.field("etag").map(str::to_owned);
    let before = tag(client.ask(&mut ev, get("/f/a"))).unwrap();
    assert_eq!(tag(client.ask(&mut ev, get("/f/a"))), Some(before.clone()));
    // The same name, size and time, and another file.
    let time = fs::metadata(&path).unwrap().modified().unwrap();
    let other = tree.file("b", "olleh");
    fs::File::options().write(true).open(&other).unwrap().set_modified(time).unwrap();
    fs::rename(&other, &path).unwrap();
    assert_ne!(tag(client.ask(&mut ev, get("/f/a"))), Some(before));
    let weak = tag(answer(tree.files().tags(Tags::Weak), "/f/a")).unwrap();
    assert!(weak.starts_with("W/\""));
    assert_eq!(tag(answer(tree.files().tags(Tags::Off), "/f/a")), None);
}

#[test]
fn a_time_to_come_is_not_told() {
    let tree = Tree::new();
    let path = tree.file("a", "hello");
    let file = fs::File::options().write(true).open(path).unwrap();
    file.set_modified(std::time::SystemTime::now() + secs(1_000_000)).unwrap();
    let told = answer(tree.files(), "/f/a");
    let date = wire::parse_http_date(told.field("last-modified").unwrap()).unwrap();
    assert!(date <= std::time::SystemTime::now() + secs(100_000));
}

#[test]
fn a_compressed_sibling_is_sent_to_who_reads_it() {
    let tree = Tree::new();
    tree.file("a.css", "plain");
    tree.file("a.css.gz", "gzipped");
    tree.file("a.css.br", "brotli");
    tree.file("b.css", "b");
    tree.file("only.js.zst", "zstd");
    tree.file("c.css", "c");
    tree.file("c.css.br/x", "a directory");
    tree.file("index.html", "i");
    tree.file("index.html.gz", "iz");
    for files in tree.both() {
        let mut ev = ev();
        let mut client = served(&mut ev, files.precompressed(true));
        let mut tags = Vec::new();
        for (path, accept, body, coding) in [
            ("/f/a.css", "gzip, br", "brotli", Some("br")),
            ("/f/a.css", "br;q=0.5, gzip", "gzipped", Some("gzip")),
            ("/f/a.css", "zstd", "plain", None),
            ("/f/b.css", "gzip, br", "b", None),
            ("/f/c.css", "gzip, br", "c", None),
            ("/f/only.js", "zstd", "zstd", Some("zstd")),
            ("/f/a.css.gz", "gzip", "gzipped", None),
            ("/f/", "gzip", "iz", Some("gzip")),
        ] {
            let fields = format!("Accept-Encoding: {accept}\r\n");
            let answer = client.ask(&mut ev, request("GET", path, &fields, ""));
            assert_eq!((answer.status, answer.text()), (200, body), "{path} {accept}");
            assert_eq!(answer.field("content-encoding"), coding);
            assert_eq!(answer.field("vary"), Some("Accept-Encoding"));
            if path == "/f/a.css" {
                assert_eq!(answer.field("content-type"), Some("text/css; charset=utf-8"));
                tags.push(answer.field("etag").unwrap().to_owned());
            }
        }
        tags.sort();
        tags.dedup();
        assert_eq!(tags.len(), 3, "each variant has a tag of its own");
        let plain = client.ask(&mut ev, get("/f/a.css"));
        assert_eq!((plain.text(), plain.field("vary")), ("plain", Some("Accept-Encoding")));
        assert_eq!(client.ask(&mut ev, get("/f/only.js")).status, 404);
    }
    let off = answer_with(tree.files(), "/f/a.css", "Accept-Encoding: br\r\n");
    assert_eq!((off.text(), off.field("content-encoding"), off.field("vary")), ("plain", None, None));
}

#[test]
fn types_fields_and_charsets_can_be_chosen() {
    let tree = Tree::new();
    for name in ["a.x", "a.html", "a"] {
        tree.file(name, "");
    }
    let files = || {
        tree.files().media_type(".X", "text/x").default_media_type("text/d").charset("").header("X-A", "b")
    };
    for (path, kind) in [("/f/a.x", "text/x"), ("/f/a.html", "text/html"), ("/f/a", "text/d")] {
        let answer = answer(files(), path);
        assert_eq!((answer.field("content-type"), answer.field("x-a")), (Some(kind), Some("b")));
    }
}

#[test]
fn a_field_that_cannot_be_is_an_error_of_listening() {
    let tree = Tree::new();
    let mut ev = ev();
    for (name, value) in [("X", "a\r\nSet-Cookie: b"), ("X Y", "a"), ("Transfer-Encoding", "chunked")] {
        let routes = Routes::new().files("/", tree.files().header(name, value));
        assert!(ServerOptions::new().unbound(&mut ev, routes).is_err());
    }
    let error = Files::new(tree.path("nowhere")).unwrap_err();
    assert_eq!((error.kind(), error.raw_os_error()), (ErrorKind::Io, Some(libc::ENOENT)));
    assert!(format!("{error:#}").contains("nowhere"), "{error:#}");
    tree.file("file", "");
    assert!(Files::new(tree.path("file")).is_err());
}

#[test]
fn a_hook_answers_for_what_is_not_there() {
    let tree = Tree::new();
    tree.file("404.html", "<p>not here");
    let pages = tree.files();
    let files = tree.files().not_found(move |ev, request, reply| {
        pages.serve(ev, request, "404.html", reply)
    });
    let mut ev = ev();
    let mut client = served(&mut ev, files);
    // A page of an error is whole, whatever is asked.
    for fields in ["", "Range: bytes=0-1\r\n", "If-None-Match: *\r\n"] {
        let answer = client.ask(&mut ev, request("GET", "/f/none", fields, ""));
        assert_eq!((answer.status, answer.text()), (404, "<p>not here"), "{fields}");
        assert_eq!(answer.field("content-type"), Some("text/html; charset=utf-8"));
    }
    assert_eq!(client.ask(&mut ev, get("/f/404.html")).status, 200);
    assert_eq!(client.ask(&mut ev, get("/f/.hidden")).status, 404);
}

#[test]
fn hooks_around_handlers_see_files_too() {
    let tree = Tree::new();
    tree.file("small", "hello");
    tree.file("large", bytes(1 << 20));
    let routes = Routes::new()
        .files("/f", tree.files())
        .before(|_: &mut EvLoop, _: &mut Request, reply: Reply| Some(reply.header("X-Before", "1")))
        .after(|_: &mut EvLoop, _: &Summary, response: &mut Response| {
            *response = std::mem::take(response).header("X-After", "1");
        });
    let (routes, reasons) = noting(routes);
    let mut ev = ev();
    let (_, mut client) = one_client(&mut ev, routes);
    for (path, fields, status) in [
        ("/f/small", "", 200),
        ("/f/large", "", 200),
        ("/f/large", "Range: bytes=0-1,5-6\r\n", 206),
        ("/f/small", "If-None-Match: *\r\n", 304),
        ("/f/none", "", 404),
    ] {
        let answer = client.ask(&mut ev, request("GET", path, fields, ""));
        assert_eq!(answer.status, status);
        assert_eq!((answer.field("x-before"), answer.field("x-after")), (Some("1"), Some("1")));
        assert!(answer.is_whole);
    }
    settle(&mut ev);
    assert_eq!(*reasons.borrow(), [CompletionReason::Ok; 5]);
}

#[test]
fn a_handler_maps_paths_as_it_likes() {
    let tree = Tree::new();
    tree.file("ann/public/a", "ann's");
    tree.file("d/index.html", "d");
    let files = tree.files();
    let routes = Routes::new()
        .get("/users/{name}/#", move |ev: &mut EvLoop, request: Request, reply: Reply| {
            let (name, rest) = (request.capture(0).unwrap(), request.capture(1).unwrap());
            files.serve(ev, &request, &format!("{name}/public/{rest}"), reply)
        })
        .files("/by/{any}/below", tree.files());
    let mut ev = ev();
    let (_, mut client) = one_client(&mut ev, routes);
    assert_eq!(client.ask(&mut ev, get("/users/ann/a")).text(), "ann's");
    assert_eq!(client.ask(&mut ev, get("/users/%2e%2e%2f/a")).status, 404);
    assert_eq!(client.ask(&mut ev, get("/by/x/below/d/")).text(), "d");
    assert_eq!(client.ask(&mut ev, get("/by/x/below/d")).field("location"), Some("./d/"));
}

// --- listings ---

#[test]
fn a_directory_is_listed_only_if_it_is_to_be() {
    let tree = Tree::new();
    tree.file("d/a", "");
    assert_eq!(answer(tree.files(), "/f/d/").status, 404);
    let listed = answer(tree.files().listing(100), "/f/d/");
    assert_eq!(listed.status, 200);
    assert_eq!(listed.field("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(listed.field("x-content-type-options"), Some("nosniff"));
    assert!(listed.text().contains("href=\"./a\"") && listed.text().contains("href=\"../\""));
    assert!(!answer(tree.files().listing(100), "/f/").text().contains("../"));
    assert_eq!(answer(tree.files().listing(100), "/f/d").status, 301);
    assert_eq!(answer(tree.files().listing(100), "/f/none/").status, 404);
    tree.file("d/index.html", "index");
    assert_eq!(answer(tree.files().listing(100), "/f/d/").text(), "index");
}

fn links(page: &str) -> Vec<&str> {
    let parts = page.split("<td><a href=\"").skip(1);
    parts.map(|part| part.split_once('"').unwrap().0).filter(|link| *link != "../").collect()
}

#[test]
fn names_are_escaped_in_a_listing_and_lead_where_they_should() {
    let tree = Tree::new();
    for name in ["<script>alert(1)<", "a&b\"c'd", "javascript:x", "50% off?#x", "ümlaut", " "] {
        tree.file(&format!("d<b>/{name}"), name);
    }
    let mut ev = ev();
    let mut client = served(&mut ev, tree.files().listing(100));
    let page = client.ask(&mut ev, get("/f/d%3Cb%3E/"));
    assert!(!page.text().contains("<script") && !page.text().contains("<b>"), "{}", page.text());
    let links: Vec<_> = links(page.text()).iter().map(|link| (*link).to_owned()).collect();
    assert_eq!(links.len(), 6);
    for link in links {
        let path = format!("/f/d%3Cb%3E/{}", link.strip_prefix("./").unwrap());
        let answer = client.ask(&mut ev, get(&path));
        let name = wire::urlencoded::percent_decode(&link[2..]).unwrap();
        assert_eq!((answer.status, answer.text()), (200, &*name), "{path}");
    }
}

#[test]
fn a_listing_is_sorted_as_is_asked() {
    let tree = Tree::new();
    for (name, len, time) in [("b", 1, 300), ("a", 3, 200), ("c", 2, 100)] {
        let path = tree.file(name, bytes(len));
        let time = std::time::UNIX_EPOCH + secs(time);
        fs::File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
    }
    tree.file("z/x", "");
    let mut ev = ev();
    let mut client = served(&mut ev, tree.files().listing(100));
    for (query, order) in [
        ("", "abc"),
        ("?sort=name&order=desc", "cba"),
        ("?sort=size", "bca"),
        ("?sort=size&order=desc", "acb"),
        ("?sort=time&order=asc", "cab"),
        ("?sort=time&order=desc", "bac"),
        ("?sort=nonsense&order=%00", "abc"),
    ] {
        let page = client.ask(&mut ev, get(&format!("/f/{query}")));
        let names: String = links(page.text()).iter().map(|link| link.trim_matches(['.', '/'])).collect();
        assert_eq!(names, format!("z{order}"), "{query}");
    }
}

#[test]
fn what_cannot_be_asked_for_is_not_listed_and_no_more_than_may_be() {
    use std::os::unix::ffi::OsStrExt;
    let tree = Tree::new();
    for name in ["a", ".hidden", "back\\slash", "new\nline", "c:d", "x%2fy"] {
        tree.file(name, "");
    }
    fs::write(tree.root().join(std::ffi::OsStr::from_bytes(b"not-\xff-utf8")), "").unwrap();
    tree.link("out", "../secret");
    tree.link("in", "a");
    tree.link("dangling", "none");
    let listed = |files: Files| {
        let page = answer(files, "/f/");
        links(page.text()).iter().map(|link| (*link).to_owned()).collect::<Vec<_>>()
    };
    for files in tree.both() {
        assert_eq!(listed(files.listing(100)), ["./a", "./in"]);
    }
    for files in tree.both() {
        assert_eq!(listed(files.listing(100).symlinks(Symlinks::Off)), ["./a"]);
    }
    assert_eq!(listed(tree.files().listing(100).symlinks(Symlinks::On)), ["./a", "./in", "./out"]);
    assert_eq!(listed(tree.files().listing(100).hidden(true)), ["./.hidden", "./a", "./in"]);
    let cut = answer(tree.files().listing(1), "/f/");
    assert!(links(cut.text()).len() <= 1 && cut.text().contains("There are more."));
}
