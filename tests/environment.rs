//! What comes from outside the process: `EVLOOP_FLAGS`, and standard streams that are not to be
//! written to. Each case runs itself again in a child process, because both belong to a process.
//!
//! loop.md 1.1, reliability.md R15.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod suite;

use std::fs::{File, OpenOptions};
use std::process::{Command, Output, Stdio};

use suite::*;

/// Set in the child only.
const CHILD: &str = "EVLOOP_TEST_CHILD";

/// Stands around what a child's case does, so that the harness's own lines can be cut off.
const MARK: &str = "=====";

/// Runs the test called `name` of this binary in a process of its own, with `CHILD` and `vars` set.
fn child(name: &str, vars: &[(&str, &str)], stderr: Stdio) -> Output {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env_remove("EVLOOP_FLAGS")
        .env(CHILD, "1")
        .envs(vars.iter().copied())
        .stdin(Stdio::null())
        .stderr(stderr)
        .output()
        .unwrap()
}

fn is_child() -> bool {
    std::env::var_os(CHILD).is_some()
}

/// What the child wrote between the marks.
fn between_marks(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout);
    let mut parts = text.split(MARK);
    let middle = parts.nth(1).unwrap_or_else(|| panic!("no marks: {output:?}"));
    assert!(parts.next().is_some(), "the case did not end: {output:?}");
    middle.to_owned()
}

#[test]
fn evloop_flags_fill_what_was_left_automatic() {
    if is_child() {
        let automatic = EvLoop::new().unwrap().backend().unwrap();
        let built = EvLoop::builder().build().unwrap().backend().unwrap();
        let chosen = EvLoop::builder().backend(Backend::Poll).build().unwrap().backend().unwrap();
        let deaf = EvLoop::builder().env(false).build().unwrap().backend().unwrap();
        println!("{MARK}{automatic} {built} {chosen} {deaf}{MARK}");
        return;
    }
    let best = Backend::recommended()[0].name();
    let table: &[(Option<&str>, &str)] = &[
        (None, best),
        (Some("poll"), "poll"),
        (Some("epoll"), "epoll"),
        (Some("poll,epoll"), "poll"),
        (Some("epoll,poll"), "epoll"),
        // Names that mean nothing to this build yet are names all the same.
        (Some("follow-fork,no-stat-hints,poll,no-unblock-signals,no-watch-clock-jumps"), "poll"),
        (Some(""), best),
        // What cannot be parsed is ignored as a whole.
        (Some("poll,nonsense"), best),
        (Some("select"), best),
        (Some("4"), best),
        (Some("POLL\u{1f980}"), best),
    ];
    for (value, automatic) in table {
        let vars: Vec<_> = value.iter().map(|value| ("EVLOOP_FLAGS", *value)).collect();
        let name = "evloop_flags_fill_what_was_left_automatic";
        let output = child(name, &vars, Stdio::piped());
        assert!(output.status.success(), "{value:?}: {output:?}");
        let expected = format!("{automatic} {automatic} poll {best}");
        assert_eq!(between_marks(&output), expected, "EVLOOP_FLAGS={value:?}");
    }
}

#[test]
fn the_library_prints_nothing() {
    if is_child() {
        print!("{MARK}");
        quiet_trouble();
        print!("{MARK}");
        return;
    }
    let name = "the_library_prints_nothing";
    let output = child(name, &[("EVLOOP_FLAGS", "nonsense")], Stdio::piped());
    assert!(output.status.success(), "{output:?}");
    assert_eq!(between_marks(&output), "");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    // And it does not try: a stderr that refuses every write changes nothing.
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = child(name, &[("EVLOOP_FLAGS", "nonsense")], full.into());
    assert!(output.status.success(), "{output:?}");
    assert_eq!(between_marks(&output), "");
}

/// As much trouble as fits: everything a library might be tempted to print about.
fn quiet_trouble() {
    for backend in Backend::available() {
        let mut ev = EvLoop::builder().backend(*backend).build().unwrap();
        let (watcher, notifier) = ev.notifier(nothing);
        watcher.start(&mut ev);
        notifier.notify();
        ev.prepare(|ev, e| {
            assert_eq!(ev.run().unwrap_err().kind(), ErrorKind::Nested);
            e.watcher.free(ev);
            assert!(!e.watcher.stop(ev));
        })
        .start(&mut ev);
        ev.timer(Duration::MAX, Duration::MAX, nothing).start(&mut ev);
        ev.timer(us(10), ZERO, |ev, _| ev.fail("trouble")).start(&mut ev);
        assert_eq!(ev.run().unwrap_err().kind(), ErrorKind::Callback);
        ev.suspend();
        assert_eq!(ev.run().unwrap_err().kind(), ErrorKind::Suspended);
        ev.resume();
        let key = ev.io(File::open("/dev/null").unwrap(), Interest::READ, |ev, e| {
            e.watcher.free(ev);
        });
        key.start(&mut ev).unwrap();
        assert!(ev.run_mode(Run::Once).unwrap());
        assert_eq!(key.start(&mut ev).unwrap_err().kind(), ErrorKind::Stale);
        ev.verify();
        let remote = ev.remote();
        remote.post(|_| ());
        drop(ev);
        assert!(!remote.wake() && !notifier.notify());
    }
    let (clock, script) = (MockClock::new(), Script::new());
    let mut ev = EvLoop::builder().mock_clock(&clock).script(&script).build().unwrap();
    anchor(&mut ev);
    script.fail_wait(5);
    assert_eq!(ev.run().unwrap_err().kind(), ErrorKind::Wait);
    script.fail_register(28);
    let key = ev.io(File::open("/dev/null").unwrap(), Interest::READ, |_, _| ());
    assert_eq!(key.start(&mut ev).unwrap_err().kind(), ErrorKind::Register);
}

#[test]
fn backends_can_be_asked_for_before_any_loop_exists() {
    let (available, recommended) = (Backend::available(), Backend::recommended());
    assert!(available.contains(&Backend::Epoll) && available.contains(&Backend::Poll));
    assert!(!recommended.is_empty());
    assert!(recommended.iter().all(|backend| available.contains(backend)));
    let embeddable = Backend::embeddable();
    assert!(embeddable.contains(&Backend::Epoll) && !embeddable.contains(&Backend::Poll));
    assert_eq!([Backend::Epoll, Backend::Poll].map(Backend::name), ["epoll", "poll"]);
    assert_eq!(Backend::Poll.to_string(), "poll");
    assert_eq!(available, Backend::available(), "constant");
}

#[test]
fn backends_are_tried_in_the_order_given() {
    let both = [Backend::Poll, Backend::Epoll];
    for order in [both, [both[1], both[0]]] {
        let builder = order.iter().fold(EvLoop::builder(), |builder, one| builder.backend(*one));
        assert_eq!(builder.build().unwrap().backend(), Some(order[0]));
    }
    let ev = EvLoop::builder().env(false).build().unwrap();
    assert_eq!(ev.backend(), Some(Backend::recommended()[0]));
}
