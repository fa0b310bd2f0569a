//! Scenario `access_log` (R7, R15): a log that cannot be written disturbs nobody, and one that is moved away loses
//! no line.

use std::fs;

use rustix::process::Signal;

use crate::folder::Folder;
use crate::{PATIENCE, Server, get, ms, on_both, until};

on_both! {
    fn a_log_on_a_full_disk_disturbs_nobody(backend) {
        let server = Server::on(backend, &["--access-log", "/dev/full"]);
        let others = server.bystander();
        let mut client = server.client();
        for _ in 0..2000 {
            assert_eq!(client.ask(get("/plaintext")).status, 200);
        }
        // It is said, and not for every line.
        until("it is said", || server.said().contains("access log"));
        let lines = server.said().lines().count();
        assert!(lines < 50, "{lines} lines about it");
        let grown = server.grown();
        assert!(grown < 2048, "{grown} KiB of lines that go nowhere");
        server.process.signal(Signal::HUP);
        assert_eq!(client.ask(get("/plaintext")).status, 200);
        drop(client);
        others.was_served();
        server.finish();
    }
}

/// A pipe that nobody reads, or whose reader has gone.
#[test]
fn a_pipe_that_takes_nothing_disturbs_nobody() {
    let folder = Folder::new();
    let path = folder.path("pipe");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &path,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o666),
        0,
    )
    .unwrap();
    let mut reader = fs::File::options().read(true).write(true).open(&path).ok();
    let server = Server::start(&["--access-log", path.to_str().unwrap()]);
    let others = server.bystander();
    let mut client = server.client();
    for round in 0..2 {
        for _ in 0..2000 {
            assert_eq!(client.ask(get("/plaintext")).status, 200);
        }
        if round == 0 {
            // No SIGPIPE ends the process.
            drop(reader.take());
        }
    }
    drop(client);
    others.was_served();
    server.finish();
}

on_both! {
    /// Moved away, over and over, under load: every request has one line in one of the files.
    fn rotation_loses_no_line(backend) {
        let folder = Folder::new();
        let path = folder.path("access.log");
        let server = Server::on(backend, &["--access-log", path.to_str().unwrap(), "--quiet"]);
        let asked = 3000;
        let mut client = server.client();
        let mut moved = 0;
        for n in 0..asked {
            assert_eq!(client.ask(get(&format!("/query?number={n}&"))).status, 200);
            if n % 300 == 299 {
                fs::rename(&path, folder.path(&format!("access.log.{moved}"))).unwrap();
                moved += 1;
                server.process.signal(Signal::HUP);
                if moved % 2 == 0 {
                    until("it is opened again", || path.exists());
                } else {
                    // While it has not looked yet, lines go where they went.
                    until("it is opened again, sooner or later", || {
                        client.ask(get("/plaintext"));
                        path.exists()
                    });
                }
            }
        }
        drop(client);
        server.process.signal(Signal::TERM);
        assert_eq!(server.exit_within(PATIENCE).code(), Some(0));
        let mut text = fs::read_to_string(&path).unwrap();
        for n in 0..moved {
            text += &fs::read_to_string(folder.path(&format!("access.log.{n}"))).unwrap();
        }
        let lines: Vec<&str> = text.lines().filter_map(|line| line.split("/query?number=").nth(1)).collect();
        let mut seen = vec![0; asked];
        for line in lines {
            seen[line.split('&').next().unwrap().parse::<usize>().unwrap()] += 1;
        }
        let wrong: Vec<usize> = (0..asked).filter(|n| seen[*n] != 1).collect();
        assert!(wrong.is_empty(), "not once: {wrong:?}");
    }
}

/// Whatever a client says, a line is a line, and says who, what and how it ended.
#[test]
fn nobody_writes_lines_of_his_own() {
    let folder = Folder::new();
    let path = folder.path("access.log");
    let server = Server::start(&["--access-log", path.to_str().unwrap()]);
    let before = || fs::read_to_string(&path).unwrap().lines().count();
    until("the first lines are there", || before() >= 5);
    let first = before();
    let requests: Vec<Vec<u8>> = vec![
        get("/plaintext?a%0d%0a127.0.0.1%20-%20-%20forged"),
        get("/nothing%0aforged\"quoted\\"),
        b"GET /plaintext HTTP/1.1\r\nHost: a\r\nUser-Agent: a\"b\\c\td\x7f\xff\x80forged\r\nReferer: \"\xe2\x80\xa8\"\r\n\r\n".to_vec(),
        b"GET /\x1b[31m HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n".to_vec(),
        format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(9000)).into_bytes(),
    ];
    let count = requests.len();
    for request in requests {
        let mut client = server.client();
        let _ = client.offer(&request);
        let _ = client.try_response();
    }
    // And one that leaves.
    let mut client = server.client();
    client.send(get("/slow?ms=60000&leaves"));
    assert_eq!(server.ask(get("/plaintext?mark")).status, 200);
    client.reset();
    until("the line of who has left is there", || {
        fs::read_to_string(&path).unwrap().contains("&leaves")
    });
    std::thread::sleep(ms(50));
    let text = fs::read(&path).unwrap();
    let bad = text.iter().find(|byte| (**byte < 0x20 && **byte != b'\n') || **byte == 0x7F);
    assert_eq!(bad, None, "{}", text.escape_ascii());
    let text = String::from_utf8(text).expect("text");
    let lines: Vec<&str> = text.lines().skip(first).collect();
    // Some that were never a request may have none.
    assert!(lines.len() <= count + 2, "{lines:#?}");
    assert!(lines.iter().all(|line| line.starts_with("127.0.0.1 ")), "{lines:#?}");
    server.finish();
}
