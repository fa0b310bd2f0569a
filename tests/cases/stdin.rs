// A pipe, a file, the null device and a closed descriptor as standard input.

use std::io::{Read, Write};
use std::process::{Command, Stdio};

/// In the child: what came before the end of standard input, through the loop.
fn read_to_the_end() -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    let mut ev = live_ev();
    let bytes = Rc::new(RefCell::new(Vec::new()));
    let sink = Rc::clone(&bytes);
    let input = ev.io(stdin()?, Interest::READ, move |ev, e| {
        let mut buffer = [0; 7];
        match (&*e.source).read(&mut buffer) {
            Ok(0) => {
                e.watcher.stop(ev);
            }
            Ok(n) => sink.borrow_mut().extend_from_slice(&buffer[..n]),
            Err(error) => ev.fail(error),
        }
    });
    input.start(&mut ev)?;
    ev.run()?;
    Ok(bytes.take())
}

/// Runs the named test of this module in a child with that standard input; its answer follows a
/// marker on its standard output.
fn child(test: &str, input: Stdio, bytes: &[u8]) -> String {
    let module = module_path!().split_once("::").unwrap().1;
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("{module}::{test}"), "--nocapture", "--test-threads=1"])
        .env("EVLOOP_TEST_CHILD", "1")
        .stdin(input)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    if let Some(mut pipe) = child.stdin.take() {
        pipe.write_all(bytes).unwrap();
    }
    let out = child.wait_with_output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let said = String::from_utf8(out.stdout).unwrap();
    let answer = said.split("<<").nth(1).and_then(|rest| rest.split(">>").next());
    answer.unwrap_or_else(|| panic!("no answer in {said}")).to_owned()
}

fn answer_if_child() -> bool {
    let child = std::env::var_os("EVLOOP_TEST_CHILD").is_some();
    if child {
        let text = match read_to_the_end() {
            Ok(bytes) => String::from_utf8(bytes).unwrap(),
            Err(error) => format!("error: {error}"),
        };
        println!("<<{text}>>");
    }
    child
}

#[test]
fn a_pipe_is_read_to_its_end() {
    if !answer_if_child() {
        let text = "a line\nand a longer one\n";
        assert_eq!(child("a_pipe_is_read_to_its_end", Stdio::piped(), text.as_bytes()), text);
    }
}

#[test]
fn a_file_is_read_to_its_end() {
    if !answer_if_child() {
        let path = temporary("stdin");
        std::fs::write(&path, "from a file").unwrap();
        let file = std::fs::File::open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(child("a_file_is_read_to_its_end", file.into(), b""), "from a file");
    }
}

#[test]
fn the_null_device_ends_at_once() {
    if !answer_if_child() {
        assert_eq!(child("the_null_device_ends_at_once", Stdio::null(), b""), "");
    }
}

#[test]
fn stdin_is_an_unbuffered_duplicate_that_leaves_the_flags_alone() {
    let file = stdin().unwrap();
    let flags = rustix::fs::fcntl_getfl(&file).unwrap();
    assert_eq!(flags, rustix::fs::fcntl_getfl(std::io::stdin()).unwrap());
    assert_ne!(std::os::fd::AsRawFd::as_raw_fd(&file), 0);
    let closes = rustix::io::fcntl_getfd(&file).unwrap();
    assert!(closes.contains(rustix::io::FdFlags::CLOEXEC));
}
