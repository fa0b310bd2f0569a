// Names that should lead nowhere, and things that are no files.

use std::fs;
use std::os::unix::net::UnixListener;

use crate::talking::*;
use crate::tree::Tree;

fn populated() -> Tree {
    let tree = Tree::new();
    tree.file("a", "a");
    tree.file("d/b", "b");
    tree.file("d/e/c", "c");
    tree.file(".hidden", "hidden");
    tree.file(".git/config", "config");
    tree.file("d/.env", "env");
    tree
}

fn status_of(ev: &mut EvLoop, client: &mut Client, path: &str) -> u16 {
    let answer = client.ask(ev, get(path));
    assert!(!answer.text().contains("secret"), "{path}");
    answer.status
}

fn open(ev: &mut EvLoop, files: Files) -> Client {
    one_client(ev, Routes::new().files("/f", files)).1
}

#[test]
fn no_path_leads_out() {
    let tree = populated();
    for files in tree.both() {
        let mut ev = ev();
        let server = serve(&mut ev, Routes::new().files("/f", files));
        for path in [
            "/f/../secret",
            "/f/../../../../../../../../etc/passwd",
            "/f/d/../../secret",
            "/f/%2e%2e/secret",
            "/f/%2E%2e/%2e%2E/secret",
            "/f/.%2e/secret",
            "/f/..%2fsecret",
            "/f/..%2Fsecret",
            "/f/d%2f..%2f..%2fsecret",
            "/f/%2fetc%2fpasswd",
            "/f/%2Fetc/passwd",
            "/f//etc/passwd",
            "/f///etc/passwd",
            "/f/..%5csecret",
            "/f/..%5Csecret",
            "/f/..\\secret",
            "/f/d%5c..%5c..%5csecret",
            "/f/%252e%252e/secret",
            "/f/%252e%252e%252fsecret",
            "/f/..%252fsecret",
            "/f/..%c0%afsecret",
            "/f/%c0%ae%c0%ae/secret",
            "/f/%u002e%u002e/secret",
            "/f/..;/secret",
            "/f/.../secret",
            "/f/..%00/secret",
            "/f/a%00.html",
            "/f/a%00",
            "/f/a%0a",
            "/f/a%0d%0aSet-Cookie:%20x",
            "/f/a%7f",
            "/f/c:/secret",
            "/f/C:%5csecret",
            "/f/c:secret",
            "/f/%5c%5chost%5cshare",
            "/f/./../secret",
            "/f/d/./././../../secret",
            "/f/~root/.profile",
            "/f/a/../../secret",
            "/f/a/..%2f..%2fsecret",
        ] {
            // Some are refused before they are looked up, and end the connection.
            let mut client = Client::new(&mut ev, server);
            let status = status_of(&mut ev, &mut client, path);
            assert!([400, 404].contains(&status), "{path} is {status}");
        }
    }
}

#[test]
fn long_names_and_deep_paths_are_nowhere() {
    let tree = populated();
    for files in tree.both() {
        let mut ev = ev();
        let mut client = open(&mut ev, files);
        for path in [
            format!("/f/{}", "x".repeat(256)),
            format!("/f/{}", "x".repeat(5000)),
            format!("/f/{}", "d/".repeat(2000)),
            format!("/f/{}", "d/e/".repeat(1500)),
        ] {
            assert_eq!(status_of(&mut ev, &mut client, &path), 404);
        }
    }
}

#[test]
fn what_is_within_is_found_however_it_is_written() {
    let tree = populated();
    for files in tree.both() {
        let mut ev = ev();
        let mut client = open(&mut ev, files);
        for (path, text) in
            [("/f/a", "a"), ("/f/%61", "a"), ("/f/d/../a", "a"), ("/f/./d/e/c", "c"), ("/f/d/%2e/b", "b")]
        {
            assert_eq!(client.ask(&mut ev, get(path)).text(), text, "{path}");
        }
    }
}

#[test]
fn hidden_files_are_not_there_unless_they_are_to_be() {
    let tree = populated();
    for files in tree.both() {
        let mut ev = ev();
        let mut client = open(&mut ev, files);
        for path in ["/f/.hidden", "/f/.git/config", "/f/d/.env", "/f/%2ehidden", "/f/.git/"] {
            assert_eq!(status_of(&mut ev, &mut client, path), 404, "{path}");
        }
    }
    let mut ev = ev();
    let mut client = open(&mut ev, tree.files().hidden(true));
    assert_eq!(client.ask(&mut ev, get("/f/.git/config")).text(), "config");
    assert_eq!(status_of(&mut ev, &mut client, "/f/d/..%2f.hidden"), 404);
}

/// The status of each link with each policy: off, inside, on.
const LINKS: [(&str, &str, [u16; 3]); 17] = [
    ("plain", "a", [404, 200, 200]),
    ("down", "d/e/c", [404, 200, 200]),
    ("dotted", "./d/./../a", [404, 200, 200]),
    ("chain", "plain", [404, 200, 200]),
    ("dir", "d", [404, 301, 301]),
    ("dir/b", "", [404, 200, 200]),
    ("dir/e/c", "", [404, 200, 200]),
    ("d/up", "../a", [404, 200, 200]),
    ("out", "../secret", [404, 404, 200]),
    ("d/out", "../../secret", [404, 404, 200]),
    ("around", "../root/a", [404, 404, 200]),
    ("parent", "..", [404, 404, 301]),
    ("parent/secret", "", [404, 404, 200]),
    ("parent/root/a", "", [404, 404, 200]),
    ("loop", "loop", [404, 404, 404]),
    ("dangling", "none", [404, 404, 404]),
    ("self", ".", [404, 301, 301]),
];

#[test]
fn links_are_followed_as_far_as_they_may_be() {
    let tree = populated();
    for (name, target, _) in LINKS {
        if !target.is_empty() {
            tree.link(name, target);
        }
    }
    let absolute = tree.outside().join("secret");
    tree.link("absolute", absolute.to_str().unwrap());
    tree.link("home", tree.path("a").to_str().unwrap());
    for (policy, links) in [Symlinks::Off, Symlinks::Inside, Symlinks::On].into_iter().enumerate() {
        for files in tree.both() {
            let mut ev = ev();
            let mut client = open(&mut ev, files.symlinks(links));
            let mut of = |name: &str| client.ask(&mut ev, get(&format!("/f/{name}"))).status;
            for (name, _, statuses) in LINKS {
                assert_eq!(of(name), statuses[policy], "{name} with {links:?}");
            }
            for name in ["absolute", "home"] {
                assert_eq!(of(name), if links == Symlinks::On { 200 } else { 404 }, "{name} {links:?}");
            }
            assert_eq!(of("a"), 200);
        }
    }
}

#[test]
fn a_link_as_the_served_directory_is_followed() {
    let tree = populated();
    std::os::unix::fs::symlink("root", tree.outside().join("link")).unwrap();
    let files = Files::new(tree.outside().join("link")).unwrap().symlinks(Symlinks::Off);
    let mut ev = ev();
    let mut client = open(&mut ev, files);
    assert_eq!(client.ask(&mut ev, get("/f/a")).text(), "a");
}

#[test]
fn a_long_chain_of_links_ends() {
    let tree = Tree::new();
    tree.file("0", "zero");
    for n in 1..60 {
        tree.link(&n.to_string(), &(n - 1).to_string());
    }
    for files in tree.both() {
        let mut ev = ev();
        let mut client = open(&mut ev, files);
        assert_eq!(status_of(&mut ev, &mut client, "/f/40"), 200);
        assert_eq!(status_of(&mut ev, &mut client, "/f/41"), 404);
        assert_eq!(status_of(&mut ev, &mut client, "/f/59"), 404);
    }
}

#[test]
fn what_is_no_regular_file_is_not_there_and_holds_nobody_up() {
    let tree = Tree::new();
    let fifo = tree.path("fifo");
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    let _socket = UnixListener::bind(tree.path("socket")).unwrap();
    tree.link("zero", "/dev/zero");
    tree.link("full", "/dev/full");
    tree.link("tty", "/dev/tty");
    tree.link("mem", "/proc/self/fd/0");
    for files in tree.both() {
        let mut ev = ev();
        let mut client = open(&mut ev, files.symlinks(Symlinks::On));
        for path in ["/f/fifo", "/f/socket", "/f/zero", "/f/full", "/f/tty", "/f/fifo/", "/f/zero/x"] {
            assert_eq!(status_of(&mut ev, &mut client, path), 404, "{path}");
        }
    }
    for files in tree.both() {
        let mut ev = ev();
        let mut client = open(&mut ev, files);
        for path in ["/f/zero", "/f/mem", "/f/fifo"] {
            assert_eq!(status_of(&mut ev, &mut client, path), 404, "{path}");
        }
    }
}

#[test]
fn the_directory_stays_the_same_when_it_is_moved() {
    let tree = populated();
    for files in tree.both() {
        let mut ev = ev();
        let mut client = open(&mut ev, files);
        let aside = tree.outside().join("aside");
        fs::rename(tree.root(), &aside).unwrap();
        fs::create_dir(tree.root()).unwrap();
        fs::write(tree.path("a"), "another").unwrap();
        assert_eq!(client.ask(&mut ev, get("/f/a")).text(), "a");
        fs::remove_dir_all(tree.root()).unwrap();
        fs::rename(aside, tree.root()).unwrap();
    }
}

#[test]
fn nothing_is_left_open() {
    let tree = populated();
    tree.link("deep", "d/e/../e/c");
    let mut ev = ev();
    let server = serve(&mut ev, Routes::new().files("/", tree.files().without_openat2().listing(10)));
    let mut client = Client::new(&mut ev, server);
    let ask = |ev: &mut EvLoop, client: &mut Client| {
        for path in ["/a", "/d", "/d/", "/deep", "/none", "/d/none/x", "/.hidden"] {
            client.ask(ev, get(path));
        }
    };
    ask(&mut ev, &mut client);
    let count = || {
        let all = fs::read_dir("/proc/self/fd").unwrap().flatten();
        let root = tree.root();
        all.filter(|fd| fs::read_link(fd.path()).is_ok_and(|path| path.starts_with(&root))).count()
    };
    let before = count();
    ask(&mut ev, &mut client);
    assert_eq!((count(), before), (1, 1), "the directory itself");
}
