//! Scenario `tls` (R1, R2, R5, R9): handshakes that end at any byte, that are none, that take for ever; certificates that
//! are exchanged under load, and those that cannot be used.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use rustix::process::Signal;

use crate::folder::Folder;
use crate::random::Random;
use crate::secure::{Identity, Secure, SecureServer};
use crate::server::{assert_no_panic, command};
use crate::{Ending, PATIENCE, get, ms, on_both, secs, until};

on_both! {
    fn a_handshake_may_end_at_every_byte(backend) {
        let tls = SecureServer::on(backend, &[]);
        let hello = Secure::silent(tls.server.client(), &tls.config).take_output();
        for cut in 0..=hello.len() {
            let mut client = tls.server.client();
            client.send(&hello[..cut]);
            match cut % 3 {
                0 => client.reset(),
                1 => {
                    client.half_close();
                    assert!(!client.end_within(PATIENCE).is_open(), "{cut}");
                }
                _ => drop(client),
            }
        }
        // And of what comes after the server's part of it.
        let mut cut = 0;
        loop {
            let mut secure = Secure::silent(tls.server.client(), &tls.config);
            let hello = secure.take_output();
            secure.client.send(hello);
            while !secure.tls.wants_write() {
                secure.receive().expect("the server's part");
            }
            let rest = secure.take_output();
            if cut > rest.len() {
                break;
            }
            secure.client.send(&rest[..cut]);
            match cut % 3 {
                0 => secure.client.reset(),
                1 => {
                    secure.client.half_close();
                    assert!(!secure.client.end_within(PATIENCE).is_open(), "{cut}");
                }
                _ => drop(secure),
            }
            cut += 1;
        }
        assert!(hello.len() > 100 && cut > 50, "{} and {cut} bytes", hello.len());
        tls.server.await_descriptors_released();
        // Every byte alone makes a handshake as well.
        let mut secure = Secure::silent(tls.server.client(), &tls.config);
        while secure.tls.is_handshaking() || secure.tls.wants_write() {
            for byte in secure.take_output() {
                secure.client.send([byte]);
            }
            if secure.tls.is_handshaking() {
                secure.receive().expect("a handshake");
            }
        }
        assert_eq!(secure.ask(get("/plaintext")).status, 200);
        drop(secure);
        tls.finish();
    }
}

on_both! {
    fn what_is_no_tls_is_sent_away(backend) {
        let tls = SecureServer::on(backend, &["--header-timeout", "600"]);
        let hello = Secure::silent(tls.server.client(), &tls.config).take_output();
        let mut random = Random::seeded(&format!("tls, {backend}"));
        let mut garbage: Vec<Vec<u8>> = vec![
            // A record that is too long, of no kind, of an old version, empty ones, one that belongs to later.
            b"\x16\x03\x01\xff\xff".to_vec(),
            b"\x99\x03\x01\x00\x05hello".to_vec(),
            b"\x16\x02\x00\x00\x05hello".to_vec(),
            b"\x16\x03\x01\x00\x00".repeat(1000),
            b"\x14\x03\x03\x00\x01\x01".repeat(1000),
            [b"\x17\x03\x03\x40\x00".as_slice(), &[0; 0x4000]].concat(),
            b"\x15\x03\x03\x00\x02\x02\x28".to_vec(),
            b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10".to_vec(),
            // A hello of 16 MB, of which comes what comes.
            [b"\x16\x03\x01\x40\x00\x01\xff\xff\xff".as_slice(), &vec![0; 0x3FFC]].concat(),
            b"SSH-2.0-OpenSSH_9.9\r\n".to_vec(),
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
            b"\x05\x01\x00".to_vec(),
            vec![0; 100_000],
            hello.repeat(2),
        ];
        for _ in 0..100 {
            let mut changed = hello.clone();
            let at = random.below(changed.len());
            changed[at] ^= 1 << random.below(8);
            garbage.push(changed);
            let length = 1 + random.below(2000);
            garbage.push(random.bytes(length));
        }
        let mut open = Vec::new();
        for (n, bytes) in garbage.into_iter().enumerate() {
            let mut client = tls.server.client();
            let _ = client.offer_within(&bytes, ms(100));
            // What has more of a record to come, and what begins right, is looked at below.
            if n < 14 && ![3, 9, 10].contains(&n) {
                // A handshake that never ends would be cut after ten seconds.
                let ending = client.end_within(secs(5));
                assert!(!ending.is_open(), "{n}: {}", bytes[..bytes.len().min(50)].escape_ascii());
            }
            open.push(client);
        }
        // Some may become something, or so it looks: they would have their time.
        let mut left = 0;
        for client in &mut open {
            left += u32::from(client.end_within(ms(20)).is_open());
        }
        println!("{left} are waited for");
        assert!(tls.server.grown() < 8 * 1024, "{} KiB", tls.server.grown());
        drop(open);
        tls.finish();
    }
}

#[test]
fn plain_http_is_told_so() {
    let tls = SecureServer::on("epoll", &[]);
    for request in [
        get("/plaintext"),
        b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello".to_vec(),
        b"GET /plaintext HTTP/1.0\r\n\r\n".to_vec(),
        b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
        get(&format!("/{}", "x".repeat(20_000))),
    ] {
        let mut client = tls.server.client();
        let _ = client.offer(&request);
        let ending = client.end_within(PATIENCE);
        let text = String::from_utf8_lossy(ending.bytes()).into_owned();
        assert!(!ending.is_open(), "{text}");
        assert!(text.starts_with("HTTP/1.1 400 ") || text.starts_with("HTTP/1.1 414 "), "{text}");
        assert!(!text.contains("Hello, World!"), "it is not served in the clear");
    }
    tls.finish();
}

/// Ten seconds, however busy it looks.
#[test]
#[ignore = "takes ten seconds"]
fn a_handshake_that_never_ends_is_cut_at_its_limit() {
    let tls = SecureServer::on("epoll", &["--header-timeout", "30"]);
    let hello = Secure::silent(tls.server.client(), &tls.config).take_output();
    let start = Instant::now();
    let mut silent = tls.server.client();
    let mut slow = tls.server.client();
    let mut half = tls.server.client();
    half.send(&hello);
    let mut gone = 0;
    for byte in hello.iter().cycle() {
        // A byte at a time is no more than none.
        if slow.offer([*byte]).is_err() || start.elapsed() > secs(14) {
            break;
        }
        gone += 1;
        std::thread::sleep(ms(100));
    }
    let took = start.elapsed();
    assert!(took > secs(8) && took < secs(13), "{took:?}, {gone} bytes");
    assert!(!silent.end_within(secs(3)).is_open());
    assert!(!half.end_within(secs(3)).is_open());
    drop((silent, slow, half));
    tls.finish();
}

/// No request fails, and who connects after it sees the new one.
#[test]
fn certificates_are_exchanged_under_load() {
    let tls = SecureServer::on("epoll", &[]);
    let identities = [Identity::new(), Identity::new()];
    let configs: Vec<_> = identities.iter().map(Identity::trusted).collect();
    let done = AtomicBool::new(false);
    let mut asked = 0;
    // One connection lives through it all; its certificate is of no concern any more.
    let secure = tls.client();
    std::thread::scope(|scope| {
        let done = &done;
        let old = scope.spawn(move || {
            let mut secure = secure;
            let mut asked = 0;
            while !done.load(Ordering::Relaxed) {
                assert_eq!(secure.ask(get("/plaintext")).status, 200);
                asked += 1;
            }
            asked
        });
        let change = || {
            for round in 0..20 {
                let which = round % 2;
                tls.put(&identities[which]);
                tls.server.process.signal(Signal::HUP);
                until("it is told", || {
                    tls.server.said().matches("was read again").count() == round + 1
                });
                let mut secure = Secure::open(tls.server.client(), &configs[which]);
                assert_eq!(secure.ask(get("/plaintext")).status, 200);
            }
            // What cannot be read changes nothing.
            for bad in ["", "garbage", &identities[0].certificate[..200]] {
                std::fs::write(tls.path("cert.pem"), bad).unwrap();
                let before = tls.server.said().matches("stays as it is").count();
                tls.server.process.signal(Signal::HUP);
                until("it is told", || {
                    tls.server.said().matches("stays as it is").count() > before
                });
                let mut secure = Secure::open(tls.server.client(), &configs[1]);
                assert_eq!(secure.ask(get("/plaintext")).status, 200);
            }
        };
        let changed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(change));
        done.store(true, Ordering::Relaxed);
        asked += old.join().unwrap();
        changed.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
    assert!(asked > 20, "{asked} requests meanwhile");
    let tls = SecureServer { config: configs[1].clone(), ..tls };
    tls.finish();
}

#[test]
fn certificates_that_cannot_be_used_are_one_line_and_2() {
    let folder = Folder::new();
    let (one, other) = (Identity::new(), Identity::new());
    folder.write("cert", &one.certificate);
    folder.write("key", &one.key);
    folder.write("other", &other.key);
    folder.write("empty", "");
    folder.write("garbage", [0xFF; 1000]);
    folder.write(
        "text",
        "-----BEGIN CERTIFICATE-----\nbm90IGEgY2VydGlmaWNhdGU=\n-----END CERTIFICATE-----\n",
    );
    folder.write("half", &one.certificate[..one.certificate.len() / 2]);
    folder.write("half-key", &one.key[..one.key.len() / 2]);
    folder.folder("folder");
    let keys = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/keys/");
    let [certificate, key] = ["cert", "key"].map(|name| folder.text(name));
    let mut rows = vec![
        (key.clone(), certificate.clone()),
        (certificate.clone(), certificate.clone()),
        (key.clone(), key.clone()),
    ];
    for name in ["nothing", "empty", "garbage", "text", "half", "folder", "cert/x"] {
        rows.push((folder.text(name), key.clone()));
    }
    for name in ["nothing", "empty", "garbage", "text", "half-key", "other", "folder"] {
        rows.push((certificate.clone(), folder.text(name)));
    }
    for name in ["ec-encrypted.pem", "rsa-encrypted.pem", "rsa-pkcs1.pem"] {
        rows.push((certificate.clone(), format!("{keys}{name}")));
    }
    for (certificate, key) in rows {
        let mut command =
            command(&["--listen", "127.0.0.1:0", "--tls-cert", &certificate, "--tls-key", &key]);
        let mut child = command.spawn().unwrap();
        let start = Instant::now();
        while child.try_wait().unwrap().is_none() && start.elapsed() < PATIENCE {
            std::thread::sleep(ms(2));
        }
        let _ = child.kill();
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{certificate} {key}: {said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(said.contains(&certificate) || said.contains(&key), "which file? {said}");
        assert_no_panic(&said);
    }
}

on_both! {
    /// What is promised without TLS is kept with it.
    fn files_uploads_and_the_end_are_the_same_with_tls(backend) {
        let folder = Folder::new();
        let (root, up) = (folder.folder("root"), folder.folder("up"));
        let content: Vec<u8> = (0..5_000_000_u32).map(|n| (n * 31 / 7) as u8).collect();
        folder.write("root/file", &content);
        let tls = SecureServer::on(backend, &["--root", &root, "--upload-dir", &up, "--drain-timeout", "5"]);
        let mut secure = tls.client();
        assert!(secure.ask(get("/files/file")).body == content);
        secure.send(b"GET /files/file HTTP/1.1\r\nHost: a\r\nRange: bytes=4000000-4000099\r\n\r\n");
        assert!(secure.response().body == content[4_000_000..4_000_100]);
        let put = |length| format!("PUT /upload/file HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n");
        secure.send([put(content.len()).as_bytes(), &content].concat());
        assert_eq!(secure.response().status, 201);
        assert!(std::fs::read(folder.path("up/file")).unwrap() == content);
        // An end that TLS does not know of is none: what came is not the file.
        for orderly in [false, true] {
            let mut secure = tls.client();
            secure.send([put(1000).as_bytes(), b"half of it"].concat());
            until("it is being written", || folder.list("up").len() == 2);
            if orderly {
                secure.tls.send_close_notify();
                let out = secure.take_output();
                secure.client.send(out);
            }
            secure.client.half_close();
            assert!(!secure.client.end_within(PATIENCE).is_open());
            until("what was written is gone", || folder.list("up") == ["file"]);
        }
        // Who never reads a large file, and who leaves it.
        let mut stuck: Vec<Secure> = (0..5).map(|_| Secure::open(tls.server.narrow_client(), &tls.config)).collect();
        for secure in &mut stuck {
            secure.send(get("/files/file"));
        }
        until("the server rests", || {
            tls.server.process.used_during(|| std::thread::sleep(ms(100))).time < ms(20)
        });
        assert!(tls.server.grown() < 5 * 1024, "{} KiB for five who do not read", tls.server.grown());
        for secure in stuck {
            secure.client.reset();
        }
        // Keys that are changed all the time are no reason to stop.
        for _ in 0..200 {
            secure.tls.refresh_traffic_keys().unwrap();
            assert_eq!(secure.ask(get("/plaintext")).status, 200);
        }
        let mut slow = tls.client();
        slow.send(get("/slow?ms=300"));
        assert_eq!(secure.ask(get("/plaintext")).status, 200);
        tls.server.process.signal(Signal::TERM);
        assert_eq!(slow.response().status, 200);
        for secure in [&mut slow, &mut secure] {
            let (rest, in_order) = secure.end();
            assert!(rest.is_empty() && in_order, "close_notify {in_order}, and {} bytes", rest.len());
        }
        assert_eq!(tls.server.exit_within(PATIENCE).code(), Some(0));
    }
}

/// Nothing that has begun lasts without an end: idle after the handshake, or in the middle of a head.
#[test]
fn time_outs_are_the_same_with_tls() {
    let tls = SecureServer::on("epoll", &["--header-timeout", "1", "--idle-timeout", "1"]);
    let mut idle = tls.client();
    let mut asked = tls.client();
    assert_eq!(asked.ask(get("/plaintext")).status, 200);
    let mut half = tls.client();
    half.send("GET /plaintext HTTP/1.1\r\nHos");
    let start = Instant::now();
    assert_eq!(half.response().status, 408);
    for secure in [&mut idle, &mut asked, &mut half] {
        assert!(!matches!(secure.client.end_within(secs(4)), Ending::Open(_)));
    }
    assert!(start.elapsed() < secs(5), "{:?}", start.elapsed());
    drop((idle, asked, half));
    let used = tls.server.process.used_during(|| std::thread::sleep(ms(500)));
    assert!(used.time < ms(20), "{used:?} at rest");
    tls.finish();
}
