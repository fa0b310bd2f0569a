//! Scenario `traversal` (R17): whatever a path says, what is below the root is all there is, and of that only
//! regular files.

use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use rustix::fs::{CWD, FileType, Mode, RenameFlags, mknodat, renameat_with};

use crate::folder::Folder;
use crate::{Client, Response, Server, get, on_both, secs};

const SECRET: &str = "SECRET-OUTSIDE-THE-ROOT";

/// A root with files that may be had, and much around it that may not.
fn scene() -> Folder {
    let folder = Folder::new();
    folder.folder("root/sub");
    folder.write("secret.txt", SECRET);
    folder.folder("private");
    folder.write("private/secret.txt", SECRET);
    folder.write("root/inside.txt", "inside");
    folder.write("root/sub/deep.txt", "deep");
    // What is there, and has a name that means something elsewhere.
    for name in [".hidden", "sub/.git", "back\\slash", "line\nend", "c:drive", "tilde~"] {
        folder.write(&format!("root/{name}"), SECRET);
    }
    let root = folder.path("root");
    let links = [
        ("../secret.txt", "out"),
        ("..", "up"),
        ("../private", "beside"),
        ("sub/../../secret.txt", "sub_out"),
        ("/etc/passwd", "absolute"),
        ("/", "all"),
        ("/proc/self/root", "process"),
        ("/proc/self/environ", "environment"),
        ("/dev/zero", "zeros"),
        ("/dev/stdin", "input"),
        ("nowhere", "dangling"),
        ("circle", "circle"),
        ("inside.txt", "link_inside"),
        ("sub", "link_sub"),
    ];
    for (target, name) in links {
        symlink(target, root.join(name)).unwrap();
    }
    symlink(folder.path("secret.txt"), root.join("absolute_out")).unwrap();
    // Also one that only says where the file is that it stands beside.
    symlink(root.join("inside.txt"), root.join("absolute_inside")).unwrap();
    let mode = Mode::from_raw_mode(0o666);
    mknodat(CWD, root.join("fifo"), FileType::Fifo, mode, 0).unwrap();
    // Only some may make one.
    let zero = rustix::fs::makedev(1, 5);
    let _ = mknodat(CWD, root.join("device"), FileType::CharacterDevice, mode, zero);
    drop(UnixListener::bind(root.join("socket")).unwrap());
    folder
}

/// A client that comes back when it was sent away.
struct Asking<'a> {
    server: &'a Server,
    client: Client,
}

impl<'a> Asking<'a> {
    fn new(server: &'a Server) -> Self {
        Self { server, client: server.client() }
    }

    #[track_caller]
    fn ask(&mut self, request: &[u8]) -> Response {
        self.client.send(request);
        let response = self.client.response();
        if response.closes() {
            self.client = self.server.client();
        }
        response
    }

    /// Nothing is given away, and it is told clearly.
    #[track_caller]
    fn is_refused(&mut self, target: &str) {
        let request = [b"GET ", target.as_bytes(), b" HTTP/1.1\r\nHost: chaos\r\n\r\n"].concat();
        let response = self.ask(&request);
        let body = String::from_utf8_lossy(&response.body);
        assert!(!body.contains(SECRET) && !body.contains("root:"), "{target}: {body}");
        let status = response.status;
        assert!([400, 403, 404, 414].contains(&status), "{target}: {status} {body}");
    }
}

on_both! {
    fn what_is_below_the_root_and_no_file_is_not_there(backend) {
        let folder = scene();
        let server = Server::on(backend, &["--root", &folder.text("root")]);
        let others = server.bystander();
        let mut asking = Asking::new(&server);
        for (target, body) in [
            ("inside.txt", "inside"),
            ("%69nside.txt", "inside"),
            ("sub/deep.txt", "deep"),
            ("link_inside", "inside"),
            ("link_sub/deep.txt", "deep"),
        ] {
            assert_eq!(asking.ask(&get(&format!("/files/{target}"))).text(), body, "{target}");
        }
        let start = Instant::now();
        for name in [
            "out", "up/secret.txt", "up/", "up/root/inside.txt", "beside/secret.txt", "beside/", "sub_out", "absolute",
            "absolute_out", "absolute_inside", "all/etc/passwd", "all/", "process/etc/passwd", "environment", "zeros",
            "input", "dangling", "circle", "circle/x", "fifo", "device", "socket", "fifo/", "fifo/x", "inside.txt/",
            "inside.txt/x", ".hidden", "sub/.git", "sub/.git/config", "back%5cslash", "back\\slash", "line%0aend",
            "c:drive", "nothing",
        ] {
            asking.is_refused(&format!("/files/{name}"));
        }
        assert!(start.elapsed() < secs(5), "nobody waits for a FIFO: {:?}", start.elapsed());
        // What is listed is what could be had; links and devices are not followed for it.
        let listing = asking.ask(&get("/files/"));
        assert_eq!(listing.status, 200);
        assert!(!listing.text().contains("hidden") && !listing.text().contains(SECRET));
        drop(asking);
        others.was_served();
        server.finish();
    }
}

/// Every way to write "up" with every way to write a slash.
#[test]
fn no_spelling_of_a_path_leads_out() {
    let folder = scene();
    let server = Server::start(&["--root", &folder.text("root")]);
    let mut asking = Asking::new(&server);
    let ups = [
        "..",
        "%2e%2e",
        ".%2e",
        "%2E.",
        "%252e%252e",
        "%25252e.",
        "..;",
        "..;a=b",
        "..%00",
        "%00..",
        "..%20",
        "..%09",
        "...",
        "....",
        "%c0%ae%c0%ae",
        "%c0%2e.",
        "%e0%80%ae.",
        "%ef%bc%8e%ef%bc%8e",
        "%u002e%u002e",
        "\u{2025}",
        "sub/..",
        "sub%2f..",
        "link_sub/..",
        "up",
        ".",
        "%2e",
        "..%0d%0a",
        "..?",
        "..#",
        "\\..",
        "..\\",
    ];
    let slashes = [
        "/",
        "//",
        "/./",
        "%2f",
        "%2F",
        "%252f",
        "\\",
        "%5c",
        "%5C",
        "%c0%af",
        "%e2%88%95",
        "/%2e/",
        "%2f%2f",
    ];
    for up in ups {
        for slash in slashes {
            for depth in [1, 2, 6] {
                let path = format!("{up}{slash}").repeat(depth);
                for target in ["secret.txt", "etc/passwd"] {
                    is_harmless(&mut asking, &format!("/files/{path}{target}"));
                    is_harmless(&mut asking, &format!("/files{slash}{path}{target}"));
                }
            }
        }
    }
    drop(asking);
    server.finish();
}

/// Some of these have another meaning and an answer: that of another route, or a file that is there.
#[track_caller]
fn is_harmless(asking: &mut Asking<'_>, target: &str) {
    let response = asking.ask(format!("GET {target} HTTP/1.1\r\nHost: chaos\r\n\r\n").as_bytes());
    let body = String::from_utf8_lossy(&response.body);
    assert!(!body.contains(SECRET) && !body.contains("root:"), "{target}: {body}");
    let status = response.status;
    assert!([200, 301, 400, 403, 404].contains(&status), "{target}: {status}");
    if let Some(place) = response.field("Location") {
        assert!(place.starts_with("./") || place.starts_with("/files/"), "{target}: to {place}");
    }
}

#[test]
fn absolute_long_and_broken_paths_are_refused() {
    let folder = scene();
    let server = Server::start(&["--root", &folder.text("root")]);
    let mut asking = Asking::new(&server);
    let outside = folder.text("secret.txt");
    let mut targets = vec![
        format!("/files/{outside}"),
        format!("/files//{outside}"),
        format!("/files/%2f{}", outside.trim_start_matches('/')),
        format!("/files{}", outside.replace('/', "%2f")),
        format!("/files/file://{outside}"),
        format!("/files/{}", "a/".repeat(3000)),
        format!("/files/{}", "a".repeat(300)),
        format!("/files/{}", "%2e%2e/".repeat(1000)),
        format!("/files/{}inside.txt", "sub/../".repeat(1100)),
        format!("/files/{}", "%00".repeat(1000)),
    ];
    for plain in [
        "//files/inside.txt",
        "/files%2finside.txt",
        "/files%2f..%2fsecret.txt",
        "/FILES/inside.txt",
        "/files/CON",
        "/files/c:",
        "/files/c:%5cwindows",
        "/files/inside.txt%00",
        "/files/inside.txt%00.html",
        "/files/%00",
        "/files/inside.txt%20",
        "/files/inside.txt.",
        "/files/inside.txt::$DATA",
        "/files/inside.txt%2f",
        "/files/sub%5cdeep.txt",
        "/files/%",
        "/files/%2",
        "/files/%zz",
        "/files/%ff%fe",
        "/files/*",
        "/files/~root",
        "/files/$HOME",
        "/files/`id`",
        "/files/%7cid",
        "/files/-",
        "/files/--help",
        "/files/inside.txt%0d%0aX:y",
        "/files/sub/%2e%2e%2finside.txt",
    ] {
        targets.push(plain.to_owned());
    }
    for target in targets {
        is_harmless(&mut asking, &target);
    }
    for target in
        ["/files/%00", "/files/inside.txt%00", "/files/sub%2fdeep.txt%00", "/files/%2fetc/passwd"]
    {
        asking.is_refused(target);
    }
    drop(asking);
    server.finish();
}

/// A folder that is exchanged for a link to the outside, over and over, while files in it are asked for.
#[test]
fn no_race_leads_out() {
    let folder = scene();
    folder.folder("root/moving");
    folder.write("root/moving/secret.txt", "inside");
    symlink("../private", folder.path("root/trap")).unwrap();
    let server = Server::start(&["--root", &folder.text("root")]);
    let mut asking = Asking::new(&server);
    let done = AtomicBool::new(false);
    let (mut inside, mut missing) = (0, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (one, other) = (folder.path("root/moving"), folder.path("root/trap"));
            while !done.load(Ordering::Relaxed) {
                renameat_with(CWD, &one, CWD, &other, RenameFlags::EXCHANGE).unwrap();
            }
        });
        let start = Instant::now();
        while start.elapsed() < secs(1) {
            let response = asking.ask(&get("/files/moving/secret.txt"));
            match (response.status, response.text()) {
                (200, "inside") => inside += 1,
                (404 | 503, text) if !text.contains(SECRET) => missing += 1,
                (status, text) => {
                    done.store(true, Ordering::Relaxed);
                    panic!("{status}: {text}");
                }
            }
        }
        done.store(true, Ordering::Relaxed);
    });
    assert!(inside > 0 && missing > 0, "{inside} times it was there, {missing} times not");
    drop(asking);
    server.finish();
}
