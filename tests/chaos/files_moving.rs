//! Scenarios `files_moving` and `growing_file` (R16, R17, §4): files that change while they are sent. What was
//! announced comes, or the connection visibly ends; nothing spins, and nobody else notices.

use std::fs::{self, File};
use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::folder::Folder;
use crate::random::Random;
use crate::{Client, Ending, PATIENCE, Server, get, ms, on_both, secs};

/// More than a connection holds while its client does not read.
const LARGE: usize = 24 << 20;

/// Bytes that tell where they belong.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|n| (n * 31 / 7 + n / 65_537) as u8).collect()
}

/// Asks for the file, and has read its head and a little of it when it returns.
fn begin(server: &Server, target: &str) -> Client {
    let mut client = server.client();
    client.send(get(target));
    let mut some = vec![0; 64 * 1024];
    client.read_exact(&mut some);
    client.put_back(some);
    client
}

/// The body so far, of a reply that was cut.
#[track_caller]
fn is_cut_short(mut client: Client, content: &[u8]) {
    let ending = match client.try_response() {
        Ok(response) => {
            panic!("a whole answer, {} with {} bytes", response.status, response.body.len())
        }
        Err(ending) => ending,
    };
    assert!(!ending.is_open(), "it is neither sent nor cut");
    let bytes = ending.bytes();
    let head = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("a head") + 4;
    let body = &bytes[head..];
    assert!(body.len() < content.len(), "{} bytes", body.len());
    // The system sends the pages of the file themselves: what is on its way when the file is cut may come as zeros.
    let wrong = body.iter().zip(content).position(|(byte, right)| byte != right && *byte != 0);
    assert_eq!(wrong, None, "a wrong byte among {}", body.len());
}

on_both! {
    fn a_file_that_shrinks_while_it_is_sent_cuts_the_connection(backend) {
        let folder = Folder::new();
        let root = folder.folder("root");
        let content = pattern(LARGE);
        let server = Server::on(backend, &["--root", &root]);
        let others = server.bystander();
        // To nothing, to less than was sent, and to the middle of what was not.
        for length in [0, 1000, LARGE as u64 - 1] {
            folder.write("root/file", &content);
            let client = begin(&server, "/files/file");
            let file = File::options().write(true).open(folder.path("root/file")).unwrap();
            file.set_len(length).unwrap();
            // It waits for the client, or has noticed: either costs nothing.
            let used = server.process.used_during(|| std::thread::sleep(ms(200)));
            assert!(used.time < ms(100), "{used:?} in 200 ms");
            is_cut_short(client, &content);
        }
        others.was_served();
        server.finish();
    }
}

on_both! {
    /// Who has a file open has it, whatever becomes of its name.
    fn a_file_that_is_replaced_or_deleted_is_sent_as_it_was(backend) {
        let folder = Folder::new();
        let root = folder.folder("root/sub");
        let content = pattern(LARGE);
        let server = Server::on(backend, &["--root", &folder.text("root")]);
        for change in 0..3 {
            folder.folder("root/sub");
            folder.write("root/sub/file", &content);
            let mut client = begin(&server, "/files/sub/file");
            match change {
                0 => {
                    folder.write("root/new", "short");
                    fs::rename(folder.path("root/new"), folder.path("root/sub/file")).unwrap();
                }
                1 => fs::remove_file(folder.path("root/sub/file")).unwrap(),
                _ => fs::remove_dir_all(&root).unwrap(),
            }
            let response = client.response();
            assert!(response.status == 200 && response.body == content, "change {change}");
            let after = client.ask(get("/files/sub/file"));
            match change {
                0 => assert_eq!(after.text(), "short"),
                _ => assert_eq!(after.status, 404),
            }
        }
        server.finish();
    }
}

on_both! {
    fn a_file_that_grows_is_sent_as_long_as_was_said(backend) {
        let folder = Folder::new();
        let root = folder.folder("root");
        let server = Server::on(backend, &["--root", &root]);
        for length in [100, 20_000, LARGE] {
            let content = pattern(length);
            folder.write("root/file", &content);
            let mut file = File::options().append(true).open(folder.path("root/file")).unwrap();
            let mut client = server.client();
            client.send(get("/files/file"));
            for _ in 0..50 {
                file.write_all(&[b'+'; 10_000]).unwrap();
            }
            let response = client.response();
            assert_eq!(response.status, 200);
            let announced: usize = response.field("Content-Length").unwrap().parse().unwrap();
            assert_eq!(response.body.len(), announced);
            assert!(announced >= length && response.body.starts_with(&content), "{announced} of {length}");
            // Nothing of the rest comes before the next answer.
            assert_eq!(client.ask(get("/plaintext")).body, b"Hello, World!");
        }
        server.finish();
    }
}

/// Whole versions follow each other by renaming: each answer is one of them, and a tag belongs to one.
#[test]
fn of_a_file_that_is_replaced_again_and_again_each_answer_is_one_version() {
    let folder = Folder::new();
    let root = folder.folder("root");
    // One kind is read, the other is sent by the system.
    let lengths = [900, 70_000];
    let put = |version: u32| {
        for (index, base) in lengths.into_iter().enumerate() {
            let length = base + version as usize % 97;
            let temporary = format!("root/.new{index}");
            folder.write(&temporary, vec![version as u8; length]);
            fs::rename(folder.path(&temporary), folder.path(&format!("root/file{index}"))).unwrap();
        }
    };
    put(0);
    let server = Server::start(&["--root", &root]);
    let done = AtomicBool::new(false);
    // The last version of which both files are there; of the next, one may be.
    let written = AtomicU32::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for version in 1.. {
                if done.load(Ordering::Relaxed) {
                    break;
                }
                put(version);
                written.store(version, Ordering::SeqCst);
            }
        });
        let ask = || {
            let mut client = server.client();
            let mut tags = std::collections::HashMap::new();
            let start = Instant::now();
            let mut seen = [0; 256];
            let versions = |seen: &[u32]| seen.iter().filter(|count| **count > 0).count();
            // Whoever writes may be kept from it for long, on a busy machine.
            while start.elapsed() < secs(1) || versions(&seen) <= 3 && start.elapsed() < PATIENCE {
                for index in 0..2 {
                    let oldest = written.load(Ordering::SeqCst);
                    let response = client.ask(get(&format!("/files/file{index}")));
                    let newest = written.load(Ordering::SeqCst) + 1;
                    assert_eq!(response.status, 200);
                    let first = response.body[0];
                    // The byte is the version's last.
                    let is_of_then = (oldest..=newest).any(|version| version as u8 == first);
                    assert!(is_of_then, "{first} is none of {oldest} to {newest}");
                    assert!(response.body.iter().all(|byte| *byte == first), "two versions in one");
                    seen[usize::from(first)] += 1;
                    let tag = response.field("ETag").unwrap().to_owned();
                    let before = tags.entry(tag.clone()).or_insert((index, first));
                    assert_eq!(*before, (index, first), "{tag} stands for two");
                }
            }
            versions(&seen)
        };
        let asked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(ask));
        done.store(true, Ordering::Relaxed);
        let versions = asked.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        assert!(versions > 3, "only {versions} versions were seen");
    });
    server.finish();
}

/// Files that are cut and written again in place. What comes is of the length that was said, or is cut.
#[test]
fn files_that_are_written_in_place_do_no_harm() {
    let folder = Folder::new();
    let root = folder.folder("root");
    folder.write("root/small", pattern(3000));
    folder.write("root/large", pattern(3_000_000));
    let server = Server::start(&["--root", &root]);
    let others = server.bystander();
    let done = AtomicBool::new(false);
    let (mut whole, mut cut) = (0, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut random = Random::fixed(1);
            while !done.load(Ordering::Relaxed) {
                for name in ["small", "large"] {
                    let Ok(mut file) = File::create(folder.path(&format!("root/{name}"))) else {
                        continue;
                    };
                    let length = random.below(if name == "small" { 20_000 } else { 4_000_000 });
                    let _ = file.write_all(&vec![b'x'; length]);
                }
            }
        });
        let start = Instant::now();
        let mut client = server.client();
        while start.elapsed() < ms(1500) {
            for target in ["/files/small", "/files/large", "/files/large?again"] {
                client.send(get(target));
                match client.try_response() {
                    // 503 is for who changes faster than it can be read.
                    Ok(response) if [200, 503].contains(&response.status) => whole += 1,
                    Ok(response) => {
                        done.store(true, Ordering::Relaxed);
                        panic!("{target}: {}", response.status);
                    }
                    Err(Ending::Open(bytes)) => {
                        done.store(true, Ordering::Relaxed);
                        panic!("{target}: stands still after {} bytes", bytes.len());
                    }
                    Err(_) => {
                        cut += 1;
                        client = server.client();
                    }
                }
            }
        }
        done.store(true, Ordering::Relaxed);
    });
    println!("{whole} whole answers, {cut} were cut");
    assert!(whole > 0);
    others.was_served();
    server.finish();
}

on_both! {
    /// Nobody reads, the file is gone, and then its client too: at the limit, or by leaving.
    fn a_stalled_download_of_a_file_that_is_gone_ends_at_the_limit(backend) {
        let folder = Folder::new();
        let root = folder.folder("root");
        folder.write("root/file", pattern(LARGE));
        let server = Server::on(backend, &["--root", &root, "--write-timeout", "1"]);
        let mut stalled: Vec<Client> = (0..5).map(|_| begin(&server, "/files/file")).collect();
        fs::remove_file(folder.path("root/file")).unwrap();
        // Three leave, the others are waited for.
        for client in stalled.drain(..3) {
            client.reset();
        }
        let start = Instant::now();
        server.await_descriptors_released();
        assert!(start.elapsed() < secs(6), "{:?}", start.elapsed());
        for client in &mut stalled {
            assert!(!client.end_within(PATIENCE).is_open());
        }
        assert!(server.grown() < 4096, "{} KiB", server.grown());
        let used = server.process.used_during(|| std::thread::sleep(ms(500)));
        assert!(used.time < Duration::from_millis(30), "{used:?} at rest");
        server.finish();
    }
}
