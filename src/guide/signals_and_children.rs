//! Signals and children: stopping cleanly, starting processes and hearing of their end.
//!
//! # Signals
//!
//! A signal handler in C may do next to nothing. A [`Signal`](crate::Signal) watcher is an ordinary
//! callback on the loop's thread, between other callbacks, and may do anything:
//!
//! ```
//! use evloop::{Break, EvLoop};
//! # use std::time::Duration;
//! # let send = |signum: i32| assert!(std::process::Command::new("kill")
//! #     .args([format!("-{signum}"), std::process::id().to_string()]).status().unwrap().success());
//!
//! let mut ev = EvLoop::new()?;
//! for signum in [libc::SIGTERM, libc::SIGINT] {
//!     ev.signal(signum, |ev, _| ev.break_loop(Break::All)).start(&mut ev)?;
//! }
//! ev.signal(libc::SIGHUP, |_, _| { /* read the configuration again */ }).start(&mut ev)?;
//! # send(libc::SIGHUP);
//! # send(libc::SIGTERM);
//! ev.run()?;
//! # Ok::<(), evloop::Error>(())
//! ```
//!
//! From the start on nothing is lost, whether or not the loop runs yet. Any number of watchers may share a
//! signal, in any number of loops on any threads: all are told.
//!
//! A started signal watcher keeps the loop running. That is right for a server, which runs until it is told
//! to stop. A program that ends when its work is done gives it [`set_ref(false)`](crate::Signal::set_ref).
//!
//! **Stop twice.** The first Ctrl-C should let the program finish what it does, the second should not be
//! argued with. Stop the watcher, and the second signal does what it does by default:
//!
//! ```
//! # use evloop::EvLoop;
//! # let mut ev = EvLoop::new()?;
//! ev.signal(libc::SIGINT, |ev, e| {
//!     // … begin to end: refuse new work, let the present work go on …
//!     e.watcher.stop(ev); // from now on Ctrl-C ends the process
//! })
//! .start(&mut ev)?;
//! # Ok::<(), evloop::Error>(())
//! ```
//!
//! While nobody watches a signal the process behaves as if nobody ever had: the default action is performed, an
//! ignored signal is ignored, a handler that was there before is called. (Such a handler is called
//! while somebody watches, too.)
//!
//! **What it cannot be**: `SIGKILL` and `SIGSTOP`, which nobody can catch, and `SIGILL`, `SIGFPE` and `SIGSEGV`, after
//! which nobody can go on. Starting a watcher of one of them fails.
//!
//! # Children
//!
//! Start a process with [`std::process::Command`] and give it to the loop. The watcher is called when the
//! process has ended, and is stopped by then, so it keeps the loop running for as long as its process
//! runs.
//!
//! What a child writes is not part of that: its pipes are descriptors, for [`Io`](crate::Io) watchers. Take
//! them out first.
//!
//! ```
//! use evloop::{EvLoop, Interest};
//! use std::fs::File;
//! use std::io::Read;
//! use std::os::fd::OwnedFd;
//! use std::process::{Command, Stdio};
//!
//! let mut ev = EvLoop::new()?;
//! let mut process = Command::new("sh")
//!     .args(["-c", "echo hello; exit 3"])
//!     .stdout(Stdio::piped())
//!     .spawn()?;
//!
//! // The standard library reads from a shared file, but not from a shared `ChildStdout`.
//! let pipe = process.stdout.take().map(OwnedFd::from).map(File::from);
//! let mut text = Vec::new();
//! ev.io(pipe.expect("it was asked for"), Interest::READ, move |ev, e| {
//!     let (mut bytes, mut pipe) = ([0; 4096], e.source);
//!     match pipe.read(&mut bytes) {
//!         Ok(0) => {
//!             assert_eq!(text, b"hello\n");
//!             e.watcher.free(ev);
//!         }
//!         Ok(n) => text.extend_from_slice(&bytes[..n]),
//!         Err(error) => ev.fail(error),
//!     }
//! })
//! .start(&mut ev)?;
//!
//! ev.child(process, |ev, e| {
//!     assert_eq!(e.status.and_then(|status| status.code()), Some(3));
//!     e.watcher.free(ev);
//! })
//! .start(&mut ev)?;
//! ev.run()?; // until the process has ended, and its output too
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! With the feature `net`, [`EvLoop::stream`](crate::EvLoop) takes such a pipe as it is, and has lines and time-outs.
//!
//! The end of the process and the end of its output are two events, and either may come first: a child of
//! the child may hold the pipe open. Who needs both waits for both, as above, where the run does.
//!
//! [`Child::signal`](crate::Child::signal) sends a signal. It goes through the process's descriptor, where the
//! kernel has those, so it cannot reach a stranger that has got the number. To be strict with a process
//! that will not stop, send `SIGTERM`, and `SIGKILL` from a timer that its end frees:
//!
//! ```
//! # use evloop::EvLoop;
//! # use std::process::Command;
//! # use std::time::Duration;
//! # let mut ev = EvLoop::new()?;
//! # let process = Command::new("sleep").arg("60").spawn()?;
//! let strict = ev.timer(Duration::from_secs(5), Duration::ZERO, |_, _| {});
//! let child = ev.child(process, move |ev, e| {
//!     strict.free(ev);
//!     e.watcher.free(ev);
//! });
//! strict.set_callback(&mut ev, move |ev, _| _ = child.signal(ev, libc::SIGKILL));
//! child.start(&mut ev)?;
//!
//! // Later, to end it:
//! child.signal(&mut ev, libc::SIGTERM)?;
//! strict.start(&mut ev);
//! # ev.run()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! **Stops and continuations** (Ctrl-Z, a debugger) are told after
//! [`set_trace(true)`](crate::Child::set_trace); the status is
//! [`stopped_signal`](std::os::unix::process::ExitStatusExt::stopped_signal) or
//! [`continued`](std::os::unix::process::ExitStatusExt::continued) then, and the watcher goes on.
//!
//! **Processes from elsewhere**, of which there is only a number, have
//! [`child_pid`](crate::EvLoop::child_pid). They must be children of this process.
//!
//! **Process 1** of a container inherits every orphan and has to wait for it.
//! [`reap_any`](crate::EvLoop::reap_any) does that, and it is the only watcher that does: all others wait for
//! their own process alone, so [`std::process::Child::wait`] elsewhere in the program works as always.
//!
//! # Sharp edges
//!
//! * **Deliveries of a signal coalesce.** A call says that it came, not how often. So `SIGCHLD` does not
//!   count children; child watchers miss none.
//! * **Handlers are not inherited by `exec`, ignored signals are**: the programs you start begin with
//!   the default action for every signal that is watched here, even one that was ignored when this program was
//!   started (`nohup`).
//! * **Ctrl-C goes to all processes of the terminal's foreground group**, so your children get it as well,
//!   before you can pass it on. Give them a group of their own
//!   ([`process_group`](std::os::unix::process::CommandExt::process_group)) if that is not wanted.
//! * **A signal blocked in all threads never comes.** Starting a watcher unblocks it in the thread that starts
//!   it. What your children have blocked they have from the thread that spawned them.
//! * **A panic in a callback** passes through `run`. Signals that came meanwhile are kept for the next run.
//! * **`SIGCHLD` found ignored** (some parents leave it so) makes the kernel forget the children's statuses
//!   until the first watcher has put a handler there. Where there are process descriptors a child watcher puts
//!   none, and tells of such an end with [`Events::ERROR`](crate::Events::ERROR) and no status.
//! * **Freeing a child watcher neither kills nor waits.** Take the process back with
//!   [`into_process`](crate::Child::into_process) if you want to wait for it yourself.
