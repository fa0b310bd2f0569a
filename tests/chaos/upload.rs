//! Scenario `upload` (R16, R17): what is put into a folder is there whole or not at all, and nowhere else.

use std::os::unix::fs::symlink;
use std::process::Command;

use crate::folder::Folder;
use crate::{Client, PATIENCE, Server, get, ms, on_both, secs, until};

fn put(name: &str, length: usize) -> String {
    format!("PUT /upload/{name} HTTP/1.1\r\nHost: chaos\r\nContent-Length: {length}\r\n\r\n")
}

on_both! {
    fn a_client_that_leaves_midway_leaves_nothing(backend) {
        let folder = Folder::new();
        let target = folder.folder("up");
        let server = Server::on(backend, &["--upload-dir", &target, "--body-timeout", "1"]);
        let others = server.bystander();
        folder.write("up/old", "as it was");
        let body = vec![b'x'; 300_000];
        for (n, name) in ["new", "old", "new", "old", "new", "old"].into_iter().enumerate() {
            let mut client = server.client();
            let chunked = n >= 3;
            match chunked {
                false => client.send(put(name, body.len() + 1)),
                true => {
                    let head = put(name, 0).replace("Content-Length: 0", "Transfer-Encoding: chunked");
                    client.send(format!("{head}{:x}\r\n", body.len() + 1));
                }
            }
            client.send(&body);
            // It has begun.
            until("a file is being written", || folder.list("up").iter().any(|name| name.ends_with(".part")));
            match n % 3 {
                0 => client.reset(),
                1 => {
                    client.half_close();
                    assert!(!client.end_within(PATIENCE).bytes().starts_with(b"HTTP/1.1 2"));
                }
                // It just says nothing more.
                _ => assert_eq!(client.response().status, 408),
            }
            until("what was written is gone", || folder.list("up") == ["old"]);
            assert_eq!(std::fs::read(folder.path("up/old")).unwrap(), b"as it was");
        }
        others.was_served();
        server.finish();
    }
}

#[test]
fn what_is_broken_on_the_way_is_not_stored() {
    let folder = Folder::new();
    let target = folder.folder("up");
    let server = Server::start(&["--upload-dir", &target]);
    let chunked = put("file", 0).replace("Content-Length: 0", "Transfer-Encoding: chunked");
    for body in [
        "5\r\nhello\r\nx\r\n",
        "5\r\nhelloworld",
        "5\r\nhello\r\n-1\r\n",
        "5\r\nhello\r\n0\r\nbad trailer\r\n\r\n",
    ] {
        let mut client = server.client();
        client.send(format!("{chunked}{body}"));
        assert_eq!(client.response().status, 400, "{body:?}");
        client.ends_somehow();
        until("nothing is there", || folder.list("up").is_empty());
    }
    server.finish();
}

on_both! {
    fn bad_names_are_refused_and_nothing_is_written_elsewhere(backend) {
        let folder = Folder::new();
        let target = folder.folder("up");
        folder.folder("outside");
        folder.write("outside/file", "as it was");
        folder.folder("up/sub");
        symlink("../outside", folder.path("up/out")).unwrap();
        symlink("../outside/file", folder.path("up/link")).unwrap();
        symlink("../outside/new", folder.path("up/dangling")).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, folder.path("up/fifo"), rustix::fs::FileType::Fifo, rustix::fs::Mode::from_raw_mode(0o666), 0).unwrap();
        let server = Server::on(backend, &["--upload-dir", &target]);
        let long = "n".repeat(256);
        let names = [
            "..", "../outside/file", "%2e%2e/outside/file", "..%2foutside%2ffile", "..%5coutside%5cfile", "%252e%252e/x", "/etc/x",
            "%2fetc%2fx", "a%00b", "a%0ab", "a\\b", "c:x", ".hidden", ".file.part", ".", "", "sub", "sub/", "sub/..",
            "nowhere/file", "out/file", "out/new", "%ff", "a%7f", &long, "sub//x", "link/x", "fifo/x",
        ];
        for name in names {
            let mut client = server.client();
            client.send([put(name, 4).as_bytes(), b"evil"].concat());
            let status = client.response().status;
            assert!([400, 403, 404, 405, 409, 414].contains(&status), "{name:?}: {status}");
        }
        assert_eq!(folder.list("outside"), ["file"]);
        assert_eq!(std::fs::read(folder.path("outside/file")).unwrap(), b"as it was");
        assert_eq!(folder.list("up"), ["dangling", "fifo", "link", "out", "sub"]);
        // A link or a FIFO is replaced by the file, and what it led to stays.
        for name in ["link", "dangling", "fifo"] {
            let mut client = server.client();
            client.send([put(name, 4).as_bytes(), b"mine"].concat());
            let status = client.response().status;
            assert!([201, 204].contains(&status), "{name}: {status}");
            assert_eq!(std::fs::read(folder.path(&format!("up/{name}"))).unwrap(), b"mine");
            assert!(std::fs::symlink_metadata(folder.path(&format!("up/{name}"))).unwrap().is_file());
        }
        assert_eq!(folder.list("outside"), ["file"]);
        assert_eq!(std::fs::read(folder.path("outside/file")).unwrap(), b"as it was");
        // Names that are only unusual.
        for (name, on_disk) in [("%20", " "), ("a%25b", "a%b"), ("%e2%82%ac", "\u{20ac}"), ("-rf", "-rf"), ("a;b=c", "a;b=c"), ("sub/x", "sub/x")] {
            let mut client = server.client();
            client.send([put(name, 4).as_bytes(), b"mine"].concat());
            assert_eq!(client.response().status, 201, "{name}");
            assert_eq!(std::fs::read(folder.path(&format!("up/{on_disk}"))).unwrap(), b"mine");
        }
        for method in ["GET", "POST", "DELETE", "MOVE"] {
            let mut client = server.client();
            client.send(put("link", 0).replacen("PUT", method, 1));
            let status = client.response().status;
            assert!([404, 405, 501].contains(&status), "{method}: {status}");
        }
        server.finish();
    }
}

/// Many send one name at a time: one of them is it, whole.
#[test]
fn of_many_uploads_of_one_name_one_is_there() {
    let folder = Folder::new();
    let target = folder.folder("up");
    let server = Server::start(&["--upload-dir", &target]);
    let length = 200_000;
    let mut clients: Vec<Client> = Vec::new();
    for n in 0..20_u8 {
        let mut client = server.client();
        client.send(put("same", length));
        client.send(vec![n; length / 2]);
        clients.push(client);
    }
    for (n, client) in clients.iter_mut().enumerate() {
        client.send(vec![n as u8; length / 2]);
        assert!([201, 204].contains(&client.response().status));
        let stored = std::fs::read(folder.path("up/same")).unwrap();
        assert!(stored.len() == length && stored.iter().all(|byte| *byte == stored[0]));
    }
    assert_eq!(folder.list("up"), ["same"]);
    drop(clients);
    server.finish();
}

/// A disk of its own, which is small.
struct SmallDisk(String);

impl SmallDisk {
    /// None where that is not allowed.
    fn mount(at: String) -> Option<Self> {
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=256k,nr_inodes=10", "chaos", &at])
            .output();
        mount.ok()?.status.success().then_some(Self(at))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").args(["-l", &self.0]).status();
    }
}

on_both! {
    fn a_full_disk_is_507_and_leaves_what_was_there(backend) {
        let folder = Folder::new();
        let target = folder.folder("up");
        let Some(disk) = SmallDisk::mount(target.clone()) else {
            println!("no small disk can be mounted here: nothing is tested");
            return;
        };
        folder.write("up/old", "as it was");
        let server = Server::on(backend, &["--upload-dir", &target, "--root", &target]);
        let others = server.bystander();
        for name in ["old", "new"] {
            for length in [300_000, 5_000_000] {
                let mut client = server.client();
                let _ = client.offer_within(&[put(name, length).as_bytes(), &vec![b'x'; length]].concat(), secs(2));
                match client.try_response() {
                    Ok(response) => assert_eq!(response.status, 507),
                    // It may be lost when much more is on its way than is passed over.
                    Err(ending) => assert!(length > 1_000_000 && !ending.is_open(), "{ending:?}"),
                }
                until("what was begun is gone", || folder.list("up") == ["old"]);
            }
        }
        assert_eq!(server.ask(get("/files/old")).text(), "as it was");
        let mut client = server.client();
        client.send([put("new", 4).as_bytes(), b"fits"].concat());
        assert_eq!(client.response().status, 201, "there is room again");
        drop(client);
        // No room for another name.
        for n in 0..12 {
            let _ = std::fs::File::create(folder.path(&format!("up/filler{n}")));
        }
        let mut client = server.client();
        client.send([put("other", 4).as_bytes(), b"none"].concat());
        assert_eq!(client.response().status, 507);
        drop(client);
        others.was_served();
        server.finish();
        std::thread::sleep(ms(0));
        drop(disk);
    }
}
