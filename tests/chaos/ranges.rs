//! Scenarios `ranges` and `conditionals` (R1, R2, R17): what is asked for in parts, or on conditions, that no
//! client would ask for.

use crate::folder::Folder;
use crate::{Response, Server, on_both};

const LENGTH: usize = 1000;

fn content(length: usize) -> Vec<u8> {
    (0..length).map(|n| (n % 251) as u8).collect()
}

fn asking(target: &str, fields: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: chaos\r\n{fields}\r\n")
}

/// What is there is what was asked for, or all of it; never much more.
#[track_caller]
fn is_right(response: &Response, content: &[u8], what: &str) {
    match response.status {
        200 => assert!(response.body == content, "{what}: {} bytes", response.body.len()),
        206 => match response.field("Content-Range") {
            Some(range) => {
                let (range, total) = range.strip_prefix("bytes ").unwrap().split_once('/').unwrap();
                let (first, last) = range.split_once('-').unwrap();
                let (first, last): (usize, usize) = (first.parse().unwrap(), last.parse().unwrap());
                assert_eq!(total, content.len().to_string(), "{what}");
                assert!(response.body == content[first..=last], "{what}: {range}");
            }
            None => {
                let kind = response.field("Content-Type").unwrap();
                assert!(kind.starts_with("multipart/byteranges; boundary="), "{what}: {kind}");
                let most = content.len() + 17 * 300;
                assert!(response.body.len() <= most, "{what}: {} bytes", response.body.len());
            }
        },
        416 => {
            let range = format!("bytes */{}", content.len());
            assert_eq!(response.field("Content-Range"), Some(range.as_str()), "{what}");
        }
        status => panic!("{what}: {status}"),
    }
}

on_both! {
    fn hostile_ranges_get_the_right_bytes_or_a_clear_no(backend) {
        let folder = Folder::new();
        let root = folder.folder("root");
        folder.write("root/file", content(LENGTH));
        folder.write("root/large", content(200_000));
        folder.write("root/empty", "");
        let server = Server::on(backend, &["--root", &root]);
        let mut client = server.client();
        let killer = format!("bytes={}", (0..700).map(|n| format!("{n}-,")).collect::<String>());
        let same = format!("bytes={}0-0", "0-,".repeat(2000));
        let apart = format!("bytes={}0-0", (1..200).map(|n| format!("{}-{},", n * 4, n * 4 + 1)).collect::<String>());
        let spaces = format!("bytes=0-0,{}1-1", " ,\t".repeat(1000));
        let digits = format!("bytes={}-{}", "0".repeat(3000), "9".repeat(3000));
        // 0 is "one of those that are right".
        let rows: &[(&str, u16)] = &[
            ("bytes=0-0", 206), ("bytes=-1", 206), ("bytes=999-", 206), ("bytes=0-", 206), ("bytes=-1000", 206),
            ("bytes=-1001", 206), ("bytes=0-1000000", 206), ("bytes=999-999", 206), ("BYTES=0-0", 0),
            ("bytes=1000-", 416), ("bytes=1000-1000", 416), ("bytes=-0", 416), ("bytes=5000-6000,7000-", 416),
            ("bytes=0-18446744073709551615", 0), ("bytes=0-18446744073709551616", 0),
            ("bytes=18446744073709551615-", 416), ("bytes=18446744073709551616-", 0), ("bytes=9223372036854775807-", 416),
            ("bytes=-18446744073709551615", 0), ("bytes=-18446744073709551616", 0),
            ("bytes=18446744073709551614-18446744073709551615", 416),
            ("bytes=5-2", 200), ("bytes=a-b", 200), ("bytes=", 200), ("bytes", 200), ("bytes=,", 200), ("bytes=-", 200),
            ("bytes=--1", 200), ("bytes=1--1", 200), ("bytes=+1-2", 200), ("bytes=0x0-0x5", 200), ("bytes=0-1;", 200),
            ("bytes = 0-1", 200), ("bytes=0 - 1", 200), ("bytes=1-2,x", 200), ("bytes=1-2,5-3", 200), ("bytes 0-1", 200),
            ("items=0-1", 200), ("=0-1", 200), ("bytes=0-1=", 200), ("bytes=0-1/1000", 200), ("\u{1}", 0),
            ("bytes=0-0,-1", 206), ("bytes=0-0, 500-501 ,-1", 206), ("bytes=,,0-0,,", 0),
            ("bytes=0-500,400-999", 206), ("bytes=0-999,0-999,0-999", 206),
            (&killer, 0), (&same, 0), (&apart, 0), (&spaces, 0), (&digits, 0),
        ];
        for (range, expected) in rows {
            let shown = &range[..range.len().min(60)];
            for (target, length) in [("/files/file", LENGTH), ("/files/large", 200_000), ("/files/empty", 0)] {
                let what = format!("{target} {shown:?}");
                client.send(asking(target, &format!("Range: {range}\r\n")));
                let response = client.response();
                if response.closes() {
                    assert_eq!(response.status, 400, "{what}");
                    client = server.client();
                    continue;
                }
                is_right(&response, &content(length), &what);
                if length == LENGTH && *expected != 0 {
                    assert_eq!(response.status, *expected, "{what}");
                }
            }
        }
        // Two fields are a list, or one of them, or none; never an error of framing.
        client.send(asking("/files/file", "Range: bytes=0-0\r\nRange: bytes=5-6\r\n"));
        is_right(&client.response(), &content(LENGTH), "two fields");
        for method in ["HEAD", "DELETE", "POST"] {
            client.send(format!("{method} /files/file HTTP/1.1\r\nHost: a\r\nRange: bytes=0-0\r\n\r\n"));
            let response = client.response_to(method);
            assert!([200, 405].contains(&response.status), "{method}: {}", response.status);
            if response.closes() {
                client = server.client();
            }
        }
        drop(client);
        server.finish();
    }
}

/// Many small parts of a large file, in many requests at once: no more memory, and others are served.
#[test]
fn parts_are_not_a_lever() {
    let folder = Folder::new();
    let root = folder.folder("root");
    folder.write("root/large", content(8 << 20));
    let server = Server::start(&["--root", &root]);
    let others = server.bystander();
    let parts: Vec<String> =
        (0..16).map(|n| format!("{}-{}", n << 19, (n << 19) + 300_000)).collect();
    let request = asking("/files/large", &format!("Range: bytes={}\r\n", parts.join(",")));
    let mut clients: Vec<_> = (0..10).map(|_| server.narrow_client()).collect();
    for client in &mut clients {
        client.send(request.repeat(10));
    }
    crate::until("the server rests", || {
        server.process.used_during(|| std::thread::sleep(crate::ms(100))).time < crate::ms(30)
    });
    assert!(server.grown() < 10 * 1024, "{} KiB for ten who do not read", server.grown());
    drop(clients);
    others.was_served();
    server.finish();
}

on_both! {
    fn hostile_conditions_are_judged_or_passed_over(backend) {
        let folder = Folder::new();
        let root = folder.folder("root");
        folder.write("root/file", content(LENGTH));
        let server = Server::on(backend, &["--root", &root]);
        let mut client = server.client();
        client.send(asking("/files/file", ""));
        let first = client.response();
        let (tag, modified) = (first.field("ETag").unwrap(), first.field("Last-Modified").unwrap());
        let many = format!("{}{tag}", "\"x\", ".repeat(1000));
        let weak = format!("W/{tag}");
        let rows: &[(&str, &str, u16)] = &[
            ("If-None-Match", tag, 304), ("If-None-Match", &weak, 304), ("If-None-Match", "*", 304), ("If-None-Match", &many, 304),
            ("If-None-Match", "\"other\"", 200), ("If-None-Match", "\"", 200), ("If-None-Match", "W/", 200),
            ("If-None-Match", "unquoted", 200), ("If-None-Match", ",,,,", 200), ("If-None-Match", "", 200),
            ("If-Match", tag, 200), ("If-Match", "*", 200), ("If-Match", &many, 200), ("If-Match", &weak, 412),
            ("If-Match", "\"other\"", 412),
            ("If-Modified-Since", modified, 304), ("If-Modified-Since", "Thu, 01 Jan 1970 00:00:00 GMT", 200),
            ("If-Modified-Since", "Thu, 32 Jan 2030 99:99:99 GMT", 200), ("If-Modified-Since", "yesterday", 200),
            ("If-Modified-Since", "Thu, 01 Jan 0000 00:00:00 GMT", 200), ("If-Modified-Since", "", 200),
            ("If-Unmodified-Since", "Thu, 01 Jan 1970 00:00:00 GMT", 412), ("If-Unmodified-Since", modified, 200),
            ("If-Unmodified-Since", "now", 200),
        ];
        for (name, value, expected) in rows {
            let what = format!("{name}: {}", &value[..value.len().min(60)]);
            client.send(asking("/files/file", &format!("{name}: {value}\r\n")));
            let response = client.response();
            assert_eq!(response.status, *expected, "{what}");
            assert!(!response.closes(), "{what}");
            if response.status == 200 {
                assert!(response.body == content(LENGTH), "{what}");
            }
        }
        // Weak tags and wrong dates are no reason to send parts of what may be another file.
        for condition in [weak.as_str(), "\"other\"", "yesterday", "Thu, 01 Jan 1970 00:00:00 GMT", "*", ""] {
            client.send(asking("/files/file", &format!("Range: bytes=0-4\r\nIf-Range: {condition}\r\n")));
            let response = client.response();
            assert!(response.status == 200 && response.body == content(LENGTH), "If-Range: {condition}: {}", response.status);
        }
        client.send(asking("/files/file", &format!("Range: bytes=0-4\r\nIf-Range: {tag}\r\n")));
        assert_eq!(client.response().status, 206);
        // Every combination has an answer.
        let names = ["If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since", "If-Range", "Range"];
        let values = [tag, "*", modified, "\"", "bytes=1-2"];
        for one in names {
            for other in names {
                for first in values {
                    for second in values {
                        client.send(asking("/files/file", &format!("{one}: {first}\r\n{other}: {second}\r\n")));
                        let response = client.response();
                        let status = response.status;
                        assert!([200, 206, 304, 412, 416].contains(&status), "{one}: {first}, {other}: {second}: {status}");
                    }
                }
            }
        }
        drop(client);
        server.finish();
    }
}
