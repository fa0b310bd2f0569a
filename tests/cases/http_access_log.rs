// Access logs: what they say, and that they harm nobody.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::cell::Cell;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::{Arc, Mutex};

use crate::talking::*;

/// A folder that is gone with this.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = temporary(name);
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_default()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A log that is kept in memory, each write by itself.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<String>>>);

impl Kept {
    fn log(&self) -> AccessLog {
        let kept = Arc::clone(&self.0);
        AccessLog::to(move |lines| {
            kept.lock().unwrap().push(String::from_utf8(lines.to_vec()).unwrap());
        })
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }

    #[track_caller]
    fn line(&self) -> String {
        let mut all = self.take();
        assert_eq!(all.len(), 1, "{all:?}");
        let line = all.remove(0);
        assert!(line.ends_with('\n') && line.matches('\n').count() == 1, "{line:?}");
        line.trim_end().to_owned()
    }
}

/// The line of one request that was answered.
#[track_caller]
fn line_of(ev: &mut EvLoop, client: &mut Client, kept: &Kept, asked: &str) -> String {
    client.ask(ev, asked);
    settle(ev);
    kept.line()
}

/// With its time, which is the real one, replaced.
fn timeless(line: &str) -> String {
    let (before, rest) = line.split_once('[').unwrap();
    let (time, after) = rest.split_once(']').unwrap();
    assert_eq!(time.len(), "06/Nov/1994:08:49:37 +0000".len());
    assert!(time.ends_with(" +0000"));
    format!("{before}[T]{after}")
}

#[test]
fn common_lines_are_as_everybody_knows_them() {
    let mut ev = ev();
    let kept = Kept::default();
    let routes = hello()
        .before(|_, request, reply| {
            if let Some(user) = request.header("x-user").map(str::to_owned) {
                request.set_user(&user);
            }
            Some(reply)
        })
        .access_log(kept.log().format(LogFormat::Common));
    let server = ServerOptions::new().date(false).listen(&mut ev, "127.0.0.1:0", routes).unwrap();
    let mut client = Client::tcp(&mut ev, server);
    let line = timeless(&line_of(&mut ev, &mut client, &kept, &get("/?a=b")));
    // The bytes of the body, as of everybody else's logs.
    assert_eq!(line, r#"127.0.0.1 - - [T] "GET /?a=b HTTP/1.1" 200 5"#);
    let asked = request("GET", "/none", "X-User: me \"and\" you\r\n", "");
    let line = timeless(&line_of(&mut ev, &mut client, &kept, &asked));
    let begin = r#"127.0.0.1 - me\x20\"and\"\x20you [T] "GET /none HTTP/1.1" 404 "#;
    assert!(line.starts_with(begin), "{line}");
}

#[test]
fn combined_lines_have_referer_and_user_agent() {
    let mut ev = ev();
    let kept = Kept::default();
    let (_, mut client) = one_client(&mut ev, hello().access_log(kept.log()));
    let fields = "Referer: http://a/\r\nUser-Agent: me \"1\\2\" \u{e4}\r\n";
    let line = line_of(&mut ev, &mut client, &kept, &request("GET", "/", fields, ""));
    assert!(line.starts_with("- - - ["), "{line}");
    assert!(line.ends_with(r#" "http://a/" "me \"1\\2\" \xc3\xa4""#), "{line}");
    let line = line_of(&mut ev, &mut client, &kept, &get("/"));
    assert!(line.ends_with(r#" "-" "-""#), "{line}");
}

#[test]
fn timings_and_reasons_are_added_where_that_is_wanted() {
    let mut ev = ev();
    let kept = Kept::default();
    let routes = Routes::new()
        .request_id(RequestIds::new().trust("127.0.0.1".parse().unwrap()))
        .get("/slow", |ev: &mut EvLoop, _, reply: Reply| {
            ev.after(ms(1250), move |ev| drop(reply.text(ev, "slow")));
        })
        .access_log(kept.log().format(LogFormat::Common).timings());
    let server = ServerOptions::new().listen(&mut ev, "127.0.0.1:0", routes).unwrap();
    let mut client = Client::tcp(&mut ev, server);
    let asked = request("GET", "/slow", "X-Request-Id: r1\r\n", "");
    client.send(&asked);
    pass(&mut ev, secs(2));
    client.reply(&mut ev);
    let line = kept.line();
    assert!(line.contains("\"GET /slow HTTP/1.1\" 200 "), "{line}");
    assert!(line.ends_with(&format!(" ok 1.250000 {} r1", asked.len())), "{line}");
    // One whose client does not wait.
    client.send(get("/slow"));
    settle(&mut ev);
    client.reset();
    settle(&mut ev);
    let line = kept.line();
    assert!(line.contains("\"GET /slow HTTP/1.1\" 0 0 client-aborted 0.000000 "), "{line}");
}

#[test]
fn lines_of_json_have_everything() {
    let mut ev = ev();
    let kept = Kept::default();
    let routes = hello()
        .request_id(RequestIds::new().trust("127.0.0.1".parse().unwrap()))
        .access_log(kept.log().format(LogFormat::Json));
    let server = ServerOptions::new().listen(&mut ev, "127.0.0.1:0", routes).unwrap();
    let mut client = Client::tcp(&mut ev, server);
    let fields = "X-Request-Id: r1\r\nReferer: \u{e4}\"\\\r\nUser-Agent: \u{1F600}\r\n";
    let asked = request("GET", "/?a", fields, "");
    let line = line_of(&mut ev, &mut client, &kept, &asked);
    let (head, rest) = line.split_once("\",\"client\"").unwrap();
    let time = head.strip_prefix("{\"time\":\"").unwrap();
    assert_eq!((time.len(), &time[10..11], &time[23..]), (24, "T", "Z"));
    assert!(rest.starts_with(":\"127.0.0.1\",\"peer\":\"127.0.0.1:"), "{rest}");
    let (_, rest) = rest.split_once("\",\"user\"").unwrap();
    assert!(
        rest.starts_with(
            r#":null,"id":"r1","method":"GET","target":"/?a","version":"HTTP/1.1","host":"here","referer":"\u00e4\"\\","user_agent":"\ud83d\ude00","reason":"ok","status":200,"duration_us":"#
        ),
        "{rest}"
    );
    assert!(rest.contains(&format!(",\"bytes_in\":{},\"bytes_out\":", asked.len())), "{rest}");
    assert!(rest.ends_with('}'));
}

#[test]
fn what_was_refused_before_it_was_a_request_has_a_line_too() {
    let mut ev = ev();
    let kept = Kept::default();
    let options = ServerOptions::new().header_timeout(Some(Duration::from_secs(5)));
    let routes = hello().access_log(kept.log().format(LogFormat::Common).timings());
    let server = serve_with(&mut ev, options, routes);
    for (head, line) in [
        ("GET / HTTP/1.1\r\nno field\r\n\r\n", r#""GET / HTTP/1.1" 400 16 protocol-error 0.000000 28 -"#),
        ("GET /a?b=c HTTP/1.0\r\nA : b\r\n", r#""GET /a?b=c HTTP/1.0" 400 16 protocol-error 0.000000 28 -"#),
        ("GET / HTTP/1.1\r\n\r\n", r#""GET / HTTP/1.1" 400 16 protocol-error 0.000000 18 -"#),
        ("\x16\x03\x01", r#""-" 400 16 protocol-error 0.000000 3 -"#),
        ("GET / HTTP/2.0\r\n\r\n", r#""-" 505 31 protocol-error 0.000000 18 -"#),
    ] {
        let mut client = Client::new(&mut ev, server);
        client.ask(&mut ev, head);
        settle(&mut ev);
        assert_eq!(timeless(&kept.line()), format!("- - - [T] {line}"), "{head:?}");
        // Byte by byte it is the same, but for what had come behind it.
        let mut client = Client::new(&mut ev, server);
        for byte in head.bytes() {
            if client.is_open() {
                client.send([byte]);
                settle(&mut ev);
            }
        }
        let seen = timeless(&kept.line());
        let asked = line.split(" 0.000000").next().unwrap();
        assert!(seen.starts_with(&format!("- - - [T] {asked}")), "{head:?}: {seen}");
    }
    // One that does not come to its end in time.
    let mut slow = Client::new(&mut ev, server);
    slow.send("GET /slow HTTP/1.1\r\nHo");
    pass(&mut ev, Duration::from_secs(6));
    assert_eq!(slow.reply(&mut ev).status, 408);
    let line = r#"- - - [T] "GET /slow HTTP/1.1" 408 20 timeout 0.000000 22 -"#;
    assert_eq!(timeless(&kept.line()), line);
    // Who has said nothing is told nothing, and is no line; nor is a request two of them.
    let quiet = Client::new(&mut ev, server);
    pass(&mut ev, Duration::from_secs(6));
    drop(quiet);
    settle(&mut ev);
    assert_eq!(kept.take(), [""; 0]);
    let mut client = Client::new(&mut ev, server);
    client.send(get("/") + "rubbish\0");
    settle(&mut ev);
    let lines = kept.take().concat();
    assert_eq!(lines.lines().count(), 2, "{lines}");
}

/// As in the logs of others, where it looks like a request that was refused: here nothing was answered.
#[test]
fn a_head_that_its_client_breaks_off_has_a_line_and_who_says_nothing_has_none() {
    let mut ev = live_ev();
    let (common, json) = (Kept::default(), Kept::default());
    let last = Rc::new(Cell::new(None));
    let newest = Rc::clone(&last);
    let routes = hello()
        .on_connection(move |_, connection, event| {
            if let ConnectionEvent::Opened = event {
                newest.set(Some(connection));
            }
        })
        .access_log(common.log().format(LogFormat::Common).timings())
        .access_log(json.log().format(LogFormat::Json));
    let server = ev.http_server("127.0.0.1:0", routes).unwrap();
    let served = get("/");
    for (sent, request, bytes) in [
        ("GET /a?b=c HTTP/1.1\r\nHost: a\r\nX", "GET /a?b=c HTTP/1.1", 31),
        ("GET /a", "-", 6),
        ("\r\nG", "-", 3),
    ] {
        for resets in [false, true] {
            let mut client = Client::tcp(&mut ev, server);
            // Behind a request that was served it is the same.
            client.ask(&mut ev, &served);
            until(&mut ev, |_| !common.take().is_empty());
            client.send(sent);
            let all = (served.len() + sent.len()) as u64;
            let stream = last.get().unwrap().stream();
            until(&mut ev, |ev| stream.info(ev).unwrap().bytes_in == all);
            if resets {
                client.reset();
            } else {
                drop(client);
            }
            let mut lines = Vec::new();
            until(&mut ev, |_| {
                lines.extend(common.take());
                !lines.is_empty()
            });
            let line = format!("127.0.0.1 - - [T] \"{request}\" 0 0 client-aborted 0.000000 {bytes} -");
            assert_eq!(timeless(lines.concat().trim_end()), line, "{sent:?}");
        }
    }
    let lines = json.take().concat();
    let broken: Vec<_> = lines.lines().filter(|line| line.contains("client-aborted")).collect();
    assert_eq!(broken.len(), 6, "{lines}");
    for part in [
        r#""client":"127.0.0.1","peer":"127.0.0.1:"#,
        r#""method":"GET","target":"/a?b=c","version":"HTTP/1.1""#,
        r#""reason":"client-aborted","status":null,"duration_us":0,"bytes_in":31,"bytes_out":0"#,
    ] {
        assert!(broken[0].contains(part), "{part} in {}", broken[0]);
    }
    for part in [r#""method":null,"target":null,"version":null"#, r#""status":null"#] {
        assert!(broken[2].contains(part), "{part} in {}", broken[2]);
    }
    // Empty lines are no beginning of anything.
    for sent in ["", "\r\n"] {
        let mut client = Client::tcp(&mut ev, server);
        until(&mut ev, |ev| server.stats(ev).connections == 1);
        client.send(sent);
        drop(client);
        until(&mut ev, |ev| server.stats(ev).connections == 0);
        settle(&mut ev);
        assert_eq!(common.take(), [""; 0], "{sent:?}");
    }
}

#[test]
fn a_head_that_has_begun_when_the_server_stops_has_a_line() {
    let mut ev = ev();
    let kept = Kept::default();
    let routes = hello().access_log(kept.log().format(LogFormat::Common).timings());
    let (server, mut client) = one_client(&mut ev, routes);
    client.send("GET / HTTP/1.1\r\nHo");
    settle(&mut ev);
    server.stop_now(&mut ev);
    settle(&mut ev);
    let line = r#"- - - [T] "GET / HTTP/1.1" 0 0 server-shutdown 0.000000 18 -"#;
    assert_eq!(timeless(&kept.line()), line);
}

#[test]
fn what_was_refused_is_null_in_json_where_nothing_is_known() {
    let mut ev = ev();
    let kept = Kept::default();
    let options = ServerOptions::new().refuse_connections_above(1);
    let routes = hello().access_log(kept.log().format(LogFormat::Json));
    let server = options.listen(&mut ev, "127.0.0.1:0", routes).expect("a server");
    let _first = Client::tcp(&mut ev, server);
    let mut second = Client::tcp(&mut ev, server);
    assert_eq!(second.reply(&mut ev).status, 503);
    settle(&mut ev);
    let line = kept.line();
    for part in [
        r#""client":"127.0.0.1","peer":"127.0.0.1:"#,
        r#""method":null,"target":null,"version":null"#,
        r#""reason":"protocol-error","status":503"#,
    ] {
        assert!(line.contains(part), "{part} in {line}");
    }
}

#[test]
fn behind_a_trusted_proxy_the_client_is_the_one_it_tells_of() {
    let mut ev = ev();
    let (common, json) = (Kept::default(), Kept::default());
    let routes = hello()
        .access_log(common.log().format(LogFormat::Common))
        .access_log(json.log().format(LogFormat::Json));
    let fields = wire::forwarded::ForwardedFields::Standard;
    let options = ServerOptions::new().trusted_proxies(["127.0.0.1".parse().unwrap()], fields);
    let server = options.listen(&mut ev, "127.0.0.1:0", routes).unwrap();
    let mut proxy = Client::tcp(&mut ev, server);
    let fields = "Forwarded: for=\"[2001:db8::7]:99\"\r\nX-Forwarded-For: 6.6.6.6\r\n";
    let line = line_of(&mut ev, &mut proxy, &common, &request("GET", "/", fields, ""));
    assert!(line.starts_with("2001:db8::7 - - ["), "{line}");
    let line = json.line();
    assert!(line.contains("\"client\":\"2001:db8::7\",\"peer\":\"127.0.0.1:"), "{line}");
    let fields = "Forwarded: for=_hidden\r\n";
    let line = line_of(&mut ev, &mut proxy, &common, &request("GET", "/", fields, ""));
    assert!(line.starts_with("- - - ["), "{line}");
    assert!(json.line().contains("\"client\":null,\"peer\":\"127.0.0.1:"));
}

#[test]
fn what_is_longer_than_a_line_may_be_is_cut() {
    for format in [LogFormat::Common, LogFormat::Combined, LogFormat::Json] {
        let mut ev = ev();
        let kept = Kept::default();
        let routes = hello()
            .before(|_, request, reply| {
                request.set_user(&"\u{1}".repeat(2000));
                request.set_id(&"\u{1}".repeat(2000));
                Some(reply)
            })
            .access_log(kept.log().format(format).timings());
        let (_, mut client) = one_client(&mut ev, routes);
        let long = "\u{e4}".repeat(1000);
        let host = "h".repeat(250);
        let asked = format!(
            "GET /{} HTTP/1.1\r\nHost: {host}\r\nReferer: {long}\r\nUser-Agent: {long}\r\n\r\n",
            "\"".repeat(4000)
        );
        let line = line_of(&mut ev, &mut client, &kept, &asked);
        assert!(line.len() < 4096 && line.contains("..."), "{}", line.len());
    }
}

#[test]
fn requests_of_one_batch_are_one_write() {
    let mut ev = ev();
    let kept = Kept::default();
    let (server, mut client) = one_client(&mut ev, hello().access_log(kept.log()));
    let mut others: Vec<_> = (0..9).map(|_| Client::new(&mut ev, server)).collect();
    settle(&mut ev);
    client.send(get("/").repeat(10));
    others.iter_mut().for_each(|other| other.send(get("/")));
    settle(&mut ev);
    let all = kept.take();
    assert_eq!(all.concat().lines().count(), 19);
    assert!(all.len() < 5, "{} writes", all.len());
}

#[test]
fn a_file_is_appended_to_and_for_its_owner_and_group() {
    let mut ev = ev();
    let folder = Folder::new("append");
    let path = folder.path("log");
    for lines in 1..3 {
        let log = AccessLog::file(&path).unwrap();
        let (_, mut client) = one_client(&mut ev, hello().access_log(log.clone()));
        client.ask(&mut ev, get("/"));
        settle(&mut ev);
        assert_eq!(folder.read("log").lines().count(), lines);
        assert_eq!((log.stats().written, log.stats().dropped, log.stats().failed), (1, 0, 0));
    }
    let mode = std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode & !0o640, 0, "{mode:o}");
    let path = folder.path("no/log");
    let error = AccessLog::file(&path).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
    assert!(format!("{error:#}").contains(path.to_str().unwrap()), "{error:#}");
}

#[test]
fn a_file_that_was_moved_away_is_opened_again() {
    let mut ev = ev();
    let folder = Folder::new("reopen");
    let log = AccessLog::file(folder.path("log")).unwrap();
    let (_, mut client) = one_client(&mut ev, hello().access_log(log.clone()));
    client.ask(&mut ev, get("/one"));
    settle(&mut ev);
    std::fs::rename(folder.path("log"), folder.path("log.1")).unwrap();
    client.ask(&mut ev, get("/two"));
    settle(&mut ev);
    log.reopen().unwrap();
    client.ask(&mut ev, get("/three"));
    settle(&mut ev);
    let has = |name: &str, what: &str| folder.read(name).contains(what);
    assert!(has("log.1", "/one") && has("log.1", "/two") && !has("log.1", "/three"));
    assert!(has("log", "/three") && !has("log", "/two"));
    // Where that fails the old one is written on.
    std::fs::remove_file(folder.path("log")).unwrap();
    std::fs::create_dir(folder.path("log")).unwrap();
    std::fs::hard_link(folder.path("log.1"), folder.path("other")).unwrap();
    assert_eq!(log.reopen().unwrap_err().kind(), ErrorKind::Io);
    client.ask(&mut ev, get("/four"));
    settle(&mut ev);
    assert_eq!(log.stats().written, 4);
}

#[test]
fn a_full_disk_stops_nobody_and_is_told_once_a_second() {
    let mut ev = ev();
    let told = Arc::new(Mutex::new(Vec::new()));
    let tell = Arc::clone(&told);
    let full = File::options().write(true).open("/dev/full").unwrap();
    let log = AccessLog::fd(full).unwrap().buffer(4096).on_error(move |error| {
        tell.lock().unwrap().push((error.error.raw_os_error(), error.dropped));
    });
    let (_, mut client) = one_client(&mut ev, hello().access_log(log.clone()));
    for _ in 0..500 {
        assert_eq!(client.ask(&mut ev, get("/")).text(), "hello");
    }
    settle(&mut ev);
    let stats = log.stats();
    assert_eq!((stats.written, stats.failed), (0, 1));
    assert!(stats.dropped > 400 && stats.dropped < 500, "{stats:?}");
    // 28 is ENOSPC.
    assert_eq!(std::mem::take(&mut *told.lock().unwrap()), [(Some(28), 0)]);
    pass(&mut ev, ms(3_500));
    assert_eq!(log.stats().failed, 4);
    let told = std::mem::take(&mut *told.lock().unwrap());
    assert_eq!(told, [(Some(28), stats.dropped), (Some(28), 0), (Some(28), 0)]);
}

#[test]
fn what_waits_for_a_slow_reader_comes_whole_or_not_at_all() {
    let mut ev = ev();
    let (reader, writer) = std::io::pipe().unwrap();
    // It is one that blocks: nobody waits for it all the same.
    let told = Arc::new(Mutex::new(0));
    let tell = Arc::clone(&told);
    let log = AccessLog::fd(OwnedFd::from(writer))
        .unwrap()
        .buffer(64 * 1024)
        .on_error(move |error| *tell.lock().unwrap() += error.dropped);
    let (server, mut client) = one_client(&mut ev, hello().access_log(log.clone()));
    let long = "x".repeat(1000);
    for n in 0..400 {
        assert_eq!(client.ask(&mut ev, get(&format!("/{n}/{long}"))).status, 404);
    }
    settle(&mut ev);
    let stats = log.stats();
    assert!(stats.dropped > 0 && stats.written > 0 && stats.failed == 0, "{stats:?}");
    // Now it reads on.
    rustix::io::ioctl_fionbio(reader.as_fd(), true).unwrap();
    let mut reader = reader;
    let mut read = Vec::new();
    for _ in 0..30 {
        let _ = reader.read_to_end(&mut read);
        pass(&mut ev, ms(60));
    }
    server.stop_now(&mut ev);
    settle(&mut ev);
    drop(ev);
    let _ = reader.read_to_end(&mut read);
    let text = String::from_utf8(read).unwrap();
    let mut last = None;
    for line in text.lines() {
        assert!(line.starts_with("- - - [") && line.ends_with(" \"-\" \"-\""), "{line}");
        let number: u32 = line.split('/').nth(3).unwrap().parse().unwrap();
        assert!(last < Some(number));
        last = Some(number);
    }
    let stats = log.stats();
    assert_eq!(text.lines().count() as u64, stats.written);
    assert_eq!(stats.written + stats.dropped, 400);
    assert_eq!(*told.lock().unwrap(), stats.dropped, "nothing is lost silently");
}

#[test]
fn a_socket_that_takes_half_a_line_gets_the_rest_first() {
    let mut ev = ev();
    let (mut reader, writer) = std::os::unix::net::UnixStream::pair().unwrap();
    let log = AccessLog::fd(OwnedFd::from(writer)).unwrap().buffer(1 << 20);
    let (_, mut client) = one_client(&mut ev, hello().access_log(log.clone()));
    let long = "x".repeat(1000);
    for n in 0..600 {
        client.ask(&mut ev, get(&format!("/{n}/{long}")));
    }
    reader.set_nonblocking(true).unwrap();
    let mut read = Vec::new();
    for _ in 0..60 {
        let mut some = [0; 30_000];
        while let Ok(n @ 1..) = reader.read(&mut some) {
            read.extend_from_slice(&some[..n]);
        }
        pass(&mut ev, ms(60));
    }
    let text = String::from_utf8(read).unwrap();
    assert_eq!(text.lines().count(), 600);
    for (n, line) in text.lines().enumerate() {
        assert!(line.starts_with("- - - [") && line.contains(&format!(" /{n}/x")), "{line}");
    }
    assert_eq!((log.stats().written, log.stats().dropped), (600, 0));
}

#[test]
fn a_reader_that_is_gone_harms_nobody() {
    let mut ev = ev();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let log = AccessLog::fd(OwnedFd::from(writer)).unwrap();
    let (_, mut client) = one_client(&mut ev, hello().access_log(log.clone()));
    for _ in 0..3 {
        assert_eq!(client.ask(&mut ev, get("/")).text(), "hello");
    }
    settle(&mut ev);
    assert_eq!((log.stats().written, log.stats().failed), (0, 1));
}

#[test]
fn what_is_left_is_written_when_the_server_stops_and_when_the_loop_goes() {
    let mut ev = ev();
    let kept = Kept::default();
    let lines = Log::new();
    let routes = || {
        Routes::new().get("/", |_: &mut EvLoop, _, reply: Reply| std::mem::forget(reply))
    };
    let (server, mut client) = one_client(&mut ev, routes().access_log(kept.log()));
    client.send(get("/"));
    settle(&mut ev);
    let (log, seen) = (lines.clone(), kept.clone());
    server.on_stopped(&mut ev, move |_| log.push(seen.take().concat().lines().count()));
    server.stop_now(&mut ev);
    settle(&mut ev);
    assert_eq!(lines.take(), [1]);
    // A loop that is dropped in the middle.
    let (_, mut client) = one_client(&mut ev, routes().access_log(kept.log()));
    client.send(get("/"));
    settle(&mut ev);
    drop(ev);
    assert!(kept.take().len() <= 1);
}

#[test]
fn a_closure_may_log_and_panic() {
    let mut ev = ev();
    let panics = Arc::new(Mutex::new(true));
    let count = Arc::new(Mutex::new(0));
    let (still, counted) = (Arc::clone(&panics), Arc::clone(&count));
    let log = AccessLog::to(move |lines| {
        *counted.lock().unwrap() += lines.iter().filter(|byte| **byte == b'\n').count();
        let now = std::mem::take(&mut *still.lock().unwrap());
        assert!(!now, "the log is closed today");
    });
    let (_, mut client) = one_client(&mut ev, hello().access_log(log));
    client.send(get("/"));
    let panic = panic_of(|| settle(&mut ev));
    assert_eq!(panic.as_deref(), Some("the log is closed today"));
    client.reply(&mut ev);
    client.ask(&mut ev, get("/"));
    settle(&mut ev);
    assert_eq!(*count.lock().unwrap(), 2);
}

#[test]
fn several_logs_are_several_lines() {
    let mut ev = ev();
    let (one, two) = (Kept::default(), Kept::default());
    let routes = hello().access_log(one.log()).access_log(two.log().format(LogFormat::Json));
    let (_, mut client) = one_client(&mut ev, routes);
    client.ask(&mut ev, get("/"));
    settle(&mut ev);
    assert!(one.line().starts_with('-') && two.line().starts_with('{'));
}

#[test]
fn details_are_there_for_those_who_want_them_and_for_nobody_else() {
    let mut ev = ev();
    for wanted in [false, true] {
        let told = Log::new();
        let log = told.clone();
        let routes = hello().on_completed(move |_, completed| {
            let details = completed.request.details.as_deref();
            log.push(details.map(|details| details.host.clone()));
        });
        let routes = if wanted { routes.with_details() } else { routes };
        let (_, mut client) = one_client(&mut ev, routes);
        client.ask(&mut ev, get("/"));
        settle(&mut ev);
        assert_eq!(told.take(), [wanted.then(|| Some("here".into()))]);
    }
}

#[test]
fn servers_on_several_threads_share_a_file() {
    let _watch = Watchdog::new(secs(60));
    let mut ev = live_ev();
    let folder = Folder::new("threads");
    let log = AccessLog::file(folder.path("log")).unwrap();
    let shared = log.clone();
    let backend = ev.backend().unwrap();
    let servers = ThreadOptions::new(3)
        .sharing(Sharing::HandOff)
        .backend(backend)
        .listen(ServerOptions::new(), "127.0.0.1:0", move |_| hello().access_log(shared.clone()))
        .unwrap();
    let port = servers.addresses()[0].port().unwrap();
    let mut clients: Vec<_> = (0..9).map(|_| Client::connect(port)).collect();
    for round in 0..20 {
        for client in &mut clients {
            client.send(get(&format!("/{round}")));
        }
        for client in &mut clients {
            client.reply(&mut ev);
        }
    }
    drop(servers);
    let text = folder.read("log");
    assert_eq!(text.lines().count(), 180);
    assert!(text.lines().all(|line| line.starts_with("127.0.0.1 - - [")));
    assert_eq!(log.stats().written, 180);
}

/// When the server gets to it, the socket does not know any more where it came from.
#[test]
fn who_has_left_with_a_reset_has_an_address_in_the_log() {
    use std::io::Write;
    let mut ev = live_ev();
    let kept = Kept::default();
    let server = ev.http_server("127.0.0.1:0", hello().access_log(kept.log())).unwrap();
    let address = server.addresses(&ev)[0].to_string();
    let mut client = std::net::TcpStream::connect(address).unwrap();
    client.write_all(b"GET /left HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    rustix::net::sockopt::set_socket_linger(&client, Some(secs(0))).unwrap();
    drop(client);
    let mut lines = Vec::new();
    until(&mut ev, |_| {
        lines.extend(kept.take());
        !lines.is_empty()
    });
    assert!(lines[0].starts_with("127.0.0.1 - - ["), "{lines:?}");
    assert!(lines[0].contains("\"GET /left HTTP/1.1\""), "{lines:?}");
}
