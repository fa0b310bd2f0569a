//! Starting: options that are wrong, addresses that are taken, listeners of all kinds.

use std::net::TcpListener;
use std::process::{ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use crate::folder::Folder;
use crate::server::{assert_no_panic, command};
use crate::{Client, PATIENCE, Server, get};

/// Runs to the end, which is expected soon.
#[track_caller]
fn run(options: &[&str]) -> Output {
    let mut child = command(options).spawn().unwrap();
    let start = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if start.elapsed() > PATIENCE {
            let _ = child.kill();
            let _ = child.wait();
            panic!("{options:?}: it runs");
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    child.wait_with_output().unwrap()
}

/// It ended with this code and one line on standard error.
#[track_caller]
fn one_line(output: &Output, code: i32, what: &str) -> String {
    let Output { status, stdout, stderr } = output;
    let status: &ExitStatus = status;
    let said = String::from_utf8(stderr.clone()).unwrap();
    assert_eq!(status.code(), Some(code), "{what}: {said}");
    assert_eq!(said.lines().count(), 1, "{what}: {said}");
    assert!(stdout.is_empty(), "{what}: something on standard output");
    assert_no_panic(&said);
    said
}

#[test]
fn wrong_options_are_told_in_one_line() {
    let rows: &[&[&str]] = &[
        &["--listen"],
        &["--listen", ""],
        &["--listen", "nowhere"],
        &["--listen", "127.0.0.1:65536"],
        &["--listen", "127.0.0.1:x"],
        &["--listen", "unix:"],
        &["--listen", "127.0.0.1:0", "--listen"],
        &["--threads"],
        &["--threads", "0"],
        &["--threads", "x"],
        &["--threads", "-1"],
        &["--backend"],
        &["--backend", "kqueue"],
        &["--header-timeout"],
        &["--header-timeout", "x"],
        &["--header-timeout", "-1"],
        &["--body-timeout", "1h"],
        &["--idle-timeout", "nan"],
        &["--write-timeout", "-0.5"],
        &["--drain-timeout", "99999999999999999999999999"],
        &["--max-connections", "many"],
        &["--max-connections", "-1"],
        &["--max-per-ip", "x"],
        &["--max-body", "1x"],
        &["--max-body", "99999999999999999999999"],
        &["--tls-cert", "/nonexistent/cert.pem"],
        &["--tls-cert", "/nonexistent/cert.pem", "--tls-key", "/nonexistent/key.pem"],
        &["--port", "80"],
        &["-x"],
        &["127.0.0.1:0"],
        &["--quiet", "more"],
    ];
    for options in rows {
        let mut all = options.to_vec();
        // If it is taken after all, it does not take somebody's port.
        if options.first() != Some(&"--listen") {
            all.splice(0..0, ["--listen", "127.0.0.1:0"]);
        }
        one_line(&run(&all), 2, &format!("{options:?}"));
    }
}

#[test]
fn an_address_that_is_taken_is_told_in_one_line() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for options in [&["--listen", &address][..], &["--listen", "127.0.0.1:0", "--listen", &address]]
    {
        let output = run(options);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(said.contains(&address), "which one? {said}");
        assert_no_panic(&said);
    }
    // One that is nobody's on this machine.
    one_line(&run(&["--listen", "192.0.2.1:0"]), 1, "192.0.2.1:0");
}

#[test]
fn an_output_that_cannot_be_written_is_an_error_and_no_panic() {
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let mut command = command(&["--listen", "127.0.0.1:0"]);
    let mut child = command.stdout(full).spawn().unwrap();
    let start = Instant::now();
    while child.try_wait().unwrap().is_none() && start.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(2));
    }
    let _ = child.kill();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert_no_panic(&said);
}

/// Standard error that takes nothing: the server does not care.
#[test]
fn a_full_standard_error_disturbs_nobody() {
    for place in ["2>/dev/full", "2>&-"] {
        let command = shell(&format!("exec \"$0\" \"$@\" {place}"));
        let server = Server::start_command(command, 1);
        let mut client = server.client();
        assert_eq!(client.ask(get("/plaintext")).status, 200);
        client.send("GET / HTTP/9.9\r\n\r\n");
        client.end_within(PATIENCE);
        drop(client);
        server.process.signal(rustix::process::Signal::HUP);
        server.finish();
    }
}

fn shell(script: &str) -> std::process::Command {
    let mut command = std::process::Command::new("sh");
    command.args(["-c", script]).arg(crate::server::program()).args(["--listen", "127.0.0.1:0"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[test]
fn a_unix_socket_is_a_listener_like_others() {
    let dir = Folder::new();
    let path = dir.path("socket");
    let address = format!("unix:{}", path.display());
    let server =
        Server::start_command(command(&["--listen", &address, "--listen", "127.0.0.1:0"]), 2);
    assert!(server.listening[0].contains(path.to_str().unwrap()), "{:?}", server.listening);
    assert!(server.listening[1].starts_with("http://127.0.0.1:"), "{:?}", server.listening);
    let mut client = Client::connect_unix(&path).unwrap();
    assert_eq!(client.ask(get("/plaintext")).body, b"Hello, World!");
    client.send(crate::post("/echo", &vec![b'x'; 300_000]));
    assert_eq!(client.response().body.len(), 300_000);
    client.send([get("/slow?ms=20"), get("/worker?ms=5"), get("/stream?n=3&ms=1")].concat());
    client.half_close();
    for _ in 0..3 {
        assert_eq!(client.response().status, 200);
    }
    client.ends();
    let mut client = Client::connect_unix(&path).unwrap();
    client.send("GET / HTTP/9.9\r\n\r\n");
    assert_eq!(client.response().status, 505);
    client.ends();
    drop(client);
    server.process.signal(rustix::process::Signal::TERM);
    assert_eq!(server.exit_within(PATIENCE).code(), Some(0));
    assert!(!path.exists(), "the socket's file is left");
}

#[test]
fn several_listeners_serve_side_by_side() {
    let listen = ["--listen", "127.0.0.1:0", "--listen", "127.0.0.1:0"];
    let server = Server::start_command(command(&listen), 2);
    for address in &server.listening {
        let address = address.strip_prefix("http://").unwrap().parse().unwrap();
        let mut client = Client::connect(address).unwrap();
        assert_eq!(client.ask(get("/plaintext")).status, 200);
    }
    assert_ne!(server.listening[0], server.listening[1]);
    server.finish();
}
