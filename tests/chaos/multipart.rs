//! Scenario `multipart` (R1, R2, R18): forms without end, with huge heads, with boundaries that play tricks, at
//! `/form`.

use crate::random::Random;
use crate::{Client, PATIENCE, Response, Server, get, ms, on_both, secs};

fn head(boundary: &str, length: Option<usize>) -> String {
    let framing = match length {
        Some(length) => format!("Content-Length: {length}"),
        None => "Transfer-Encoding: chunked".to_owned(),
    };
    format!(
        "POST /form HTTP/1.1\r\nHost: chaos\r\nContent-Type: multipart/form-data; boundary={boundary}\r\n{framing}\r\n\r\n"
    )
}

fn request(boundary: &str, body: &[u8]) -> Vec<u8> {
    [head(boundary, Some(body.len())).as_bytes(), body].concat()
}

fn part(fields: &str, body: &str) -> String {
    format!("--b\r\n{fields}\r\n\r\n{body}\r\n")
}

fn field(name: &str, body: &str) -> String {
    part(&format!("Content-Disposition: form-data; name=\"{name}\""), body)
}

/// Sends, and takes the answer, which may come before all was sent.
#[track_caller]
fn ask(client: &mut Client, request: &[u8]) -> Response {
    let _ = client.offer_within(request, ms(500));
    client.response()
}

on_both! {
    fn what_is_no_form_is_400_and_what_is_too_much_413(backend) {
        let server = Server::on(backend, &["--max-body", "1000000"]);
        let others = server.bystander();
        let file = "Content-Disposition: form-data; name=\"f\"; filename=\"x\"";
        let long = "x".repeat(70_000);
        let good = format!("{}--b--\r\n", field("a", "1"));
        let rows: Vec<(&str, String, String, u16)> = vec![
            ("good", "b".into(), good.clone(), 200),
            ("quoted", "\"b\"".into(), good.clone(), 200),
            ("before and behind", "b".into(), format!("before\r\n--bb\r\n{good}behind --b\r\n"), 0),
            ("nothing", "b".into(), String::new(), 400),
            ("no end", "b".into(), field("a", "1"), 400),
            ("no end of a part", "b".into(), "--b\r\nContent-Disposition: form-data; name=a\r\n\r\nabc".into(), 400),
            ("no end of a head", "b".into(), "--b\r\nContent-Disposition: form-data; name=a\r\n".into(), 400),
            ("half a boundary", "b".into(), format!("{}--b-", field("a", "1")), 400),
            ("another boundary", "c".into(), good.clone(), 400),
            ("no boundary", "".into(), good.clone(), 415),
            ("a boundary that is too long", "b".repeat(71), good.clone(), 400),
            ("a boundary with what it may not have", "\"b\tb\"".into(), good.clone(), 400),
            ("line feeds alone", "b".into(), good.replace("\r\n", "\n"), 400),
            ("no name", "b".into(), format!("{}--b--\r\n", part("Content-Disposition: form-data", "1")), 400),
            ("no disposition", "b".into(), format!("{}--b--\r\n", part("Content-Type: a/b", "1")), 400),
            ("two dispositions", "b".into(), format!("{}--b--\r\n", part("Content-Disposition: form-data; name=a\r\nContent-Disposition: form-data; name=b", "1")), 0),
            ("not a field", "b".into(), format!("{}--b--\r\n", part("no colon here", "1")), 400),
            ("NUL in a head", "b".into(), format!("{}--b--\r\n", part("Content-Disposition: form-data; name=\"a\0b\"", "1")), 400),
            ("folded", "b".into(), format!("{}--b--\r\n", part("Content-Disposition: form-data;\r\n name=\"a\"", "1")), 0),
            ("an endless quote", "b".into(), format!("{}--b--\r\n", part("Content-Disposition: form-data; name=\"a", "1")), 400),
            ("a huge head", "b".into(), format!("{}--b--\r\n", part(&format!("{file}\r\nX-Y: {long}"), "1")), 0),
            ("many fields", "b".into(), format!("{}--b--\r\n", part(&format!("{file}{}", "\r\nX: y".repeat(5000)), "1")), 0),
            ("a huge name", "b".into(), format!("{}--b--\r\n", field(&"n".repeat(9000), "1")), 0),
            ("a huge field", "b".into(), format!("{}--b--\r\n", field("a", &long)), 413),
            ("many parts", "b".into(), format!("{}--b--\r\n", field("a", "1").repeat(200)), 413),
            ("a huge file", "b".into(), format!("{}--b--\r\n", part(file, &"x".repeat(1_000_001))), 413),
            ("nested", "b".into(), format!("{}--b--\r\n", part("Content-Disposition: form-data; name=a\r\nContent-Type: multipart/mixed; boundary=b", &good)), 0),
        ];
        for (what, boundary, body, expected) in rows {
            for chunked in [false, true] {
                let mut client = server.client();
                let bytes = match chunked {
                    false => request(&boundary, body.as_bytes()),
                    true => format!("{}{:x}\r\n{body}\r\n0\r\n\r\n", head(&boundary, None), body.len()).into_bytes(),
                };
                // A last chunk of nothing is the end already.
                if chunked && body.is_empty() {
                    continue;
                }
                let response = ask(&mut client, &bytes);
                let status = response.status;
                match expected {
                    0 => assert!([200, 400, 413, 431].contains(&status), "{what}: {status} {}", response.text()),
                    _ => assert_eq!(status, expected, "{what}, chunked {chunked}: {}", response.text()),
                }
                if !response.closes() {
                    assert_eq!(client.ask(get("/plaintext")).body, b"Hello, World!", "{what}");
                }
            }
        }
        others.was_served();
        server.finish();
    }
}

/// What looks like a boundary and is none is content, however it is cut.
#[test]
fn what_looks_like_a_boundary_is_content() {
    let server = Server::start(&[]);
    let mut random = Random::seeded("multipart");
    let boundary = "-----aab-aab-";
    for tricks in [
        "\r\n--",
        "\r\n------aab-aab",
        "\r\n------aab-aa",
        "------aab-aab-",
        "\n------aab-aab-\r\n",
        "\r------aab-aab-",
        "\r\r\n\r\n-",
        "\r\n--\r\n-----aab-aab-",
        "\r\n------aab--aab-",
        "\r\n------AAB-AAB-\r\n",
        &"\r\n------aab-aab".repeat(50),
        &"\r".repeat(500),
        &"\r\n-".repeat(300),
        "-----aab-aab---",
    ] {
        let json: String = tricks
            .chars()
            .map(|c| match c {
                '\r' => "\\u000d".to_owned(),
                '\n' => "\\u000a".to_owned(),
                c => c.to_string(),
            })
            .collect();
        let body = format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"t\"\r\n\r\n{tricks}\r\n--{boundary}--\r\n"
        );
        for _ in 0..3 {
            let mut client = server.client();
            let bytes = request(boundary, body.as_bytes());
            for piece in random.cut(&bytes) {
                client.send(piece);
            }
            let response = client.response();
            assert_eq!(response.status, 200, "{tricks:?}: {}", response.text());
            assert!(
                response.text().contains(&format!("[\"t\",\"{json}\"]")),
                "{tricks:?}: {}",
                response.text()
            );
        }
    }
    server.finish();
}

on_both! {
    /// It comes and comes, in one file or in a head, and is not kept.
    fn a_form_without_end_costs_no_memory(backend) {
        let server = Server::on(backend, &["--max-body", "500000000"]);
        let others = server.bystander();
        let begin = "--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"x\"\r\n";
        let pieces: [(&str, &[u8], u64); 4] = [
            ("a file", b"\r\n", 0),
            ("a file of almost boundaries", b"\r\n", 1),
            ("a head", b"X: ", 0),
            ("before the first boundary", b"", 2),
        ];
        for (what, start, kind) in pieces {
            let mut client = server.client();
            client.send(head("b", None));
            let first = if kind == 2 { b"x".to_vec() } else { [begin.as_bytes(), start].concat() };
            client.send(format!("{:x}\r\n", first.len()));
            client.send([&first[..], b"\r\n"].concat());
            let content = if kind == 1 { b"\r\n--".repeat(15_000) } else { vec![b'x'; 60_000] };
            let chunk = [format!("{:x}\r\n", content.len()).as_bytes(), &content, b"\r\n"].concat();
            let before = server.process.used().time;
            let mut sent = 0;
            for _ in 0..150 {
                if client.offer(&chunk).is_err() || client.is_told(ms(0)) {
                    break;
                }
                sent += content.len();
            }
            let used = server.process.used().time - before;
            let grown = server.grown();
            assert!(grown < 3 * 1024, "{what}: {grown} KiB after {sent} bytes");
            assert!(used < secs(4), "{what}: {used:?} for {sent} bytes");
            if what == "a head" {
                // Far less is enough to say no.
                assert!(client.is_told(PATIENCE));
                assert!([400, 413, 431].contains(&client.response().status));
            }
            client.reset();
        }
        others.was_served();
        server.finish();
    }
}

on_both! {
    /// Cut anywhere: the end of the connection, or of the body.
    fn forms_that_end_anywhere_are_told_and_leave_nothing(backend) {
        let server = Server::on(backend, &[]);
        let body = format!(
            "before\r\n{}{}--b--\r\nbehind",
            field("a", "some text"),
            part("Content-Disposition: form-data; name=\"f\"; filename=\"x\"\r\nContent-Type: a/b", "\r\n--xytes"),
        );
        let end = body.find("--b--").unwrap() + 5;
        for cut in 0..body.len() {
            let mut client = server.client();
            if cut % 2 == 0 {
                client.send(request("b", &body.as_bytes()[..cut]));
                let status = client.response().status;
                assert_eq!(status, if cut >= end { 200 } else { 400 }, "{cut}");
            } else {
                let whole = request("b", body.as_bytes());
                client.send(&whole[..whole.len() - body.len() + cut]);
                client.half_close();
                let ending = client.end_within(PATIENCE);
                assert!(!ending.is_open(), "{cut}");
                assert!(!ending.bytes().starts_with(b"HTTP/1.1 200"), "{cut}: success");
            }
        }
        let mut random = Random::seeded(&format!("forms, {backend}"));
        for _ in 0..300 {
            let mut bytes = body.clone().into_bytes();
            for _ in 0..=random.below(4) {
                let at = random.below(bytes.len());
                match random.below(3) {
                    0 => bytes[at] = random.byte(),
                    1 => drop(bytes.drain(at..(at + 5).min(bytes.len()))),
                    _ => bytes.insert(at, random.byte()),
                }
            }
            let mut client = server.client();
            client.send(request("b", &bytes));
            let status = client.response().status;
            assert!([200, 400, 413].contains(&status), "{status}");
        }
        server.finish();
    }
}
