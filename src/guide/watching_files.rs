//! Watching files: reloading a configuration, and what the system can tell of changes. Feature `stat`.
//!
//! A [`Stat`](crate::Stat) watcher compares what `lstat` says about one path with what it said before. It is
//! not a stream of file system events; it answers the question most programs have: *is this still
//! the file I have read?*
//!
//! ```
//! use evloop::EvLoop;
//! use std::time::Duration;
//!
//! # let dir = std::env::temp_dir().join(format!("evloop-guide-{}", std::process::id()));
//! # std::fs::create_dir_all(&dir)?;
//! # let config = dir.join("app.conf");
//! # std::fs::write(&config, "colour = red")?;
//! let mut ev = EvLoop::new()?;
//! // Read after the start of the watcher, never before: what changes in between is told then.
//! let watcher = ev.stat(&config, Duration::ZERO, |ev, e| {
//!     if e.attr.exists() {
//!         assert_eq!(std::fs::read_to_string(e.path).unwrap(), "colour = blue");
//!     } // else keep what we have: whoever replaces it may have removed it first
//! #   e.watcher.stop(ev);
//! });
//! watcher.start(&mut ev)?;
//! let text = std::fs::read_to_string(&config)?;
//! # assert_eq!(text, "colour = red");
//! # // Renamed, so that nobody sees it half written.
//! # std::fs::write(dir.join("new"), "colour = blue")?;
//! # std::fs::rename(dir.join("new"), &config)?;
//! ev.run()?;
//! # std::fs::remove_dir_all(&dir)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is told
//!
//! The callback gets both sides of the change, [`attr`](crate::StatEvent::attr) and
//! [`prev`](crate::StatEvent::prev). Compare what you care about:
//!
//! * the file is new: `e.attr.exists() && !e.prev.exists()`; it is gone: the other way round;
//! * it was replaced: `(e.attr.dev, e.attr.ino)` differ;
//! * it was written to: `modified` or `size` differ;
//! * it has grown, which is all a follower of logs wants to know: `e.attr.size > e.prev.size`.
//!
//! A path that does not exist, or that may not be looked at, is a state like others. So a file can be
//! watched before there is one, and before there is a directory for it.
//!
//! # Wait until it is quiet
//!
//! Writing a file is several changes: it is created empty, then grows. Who writes with care writes another file
//! and renames it; not everybody does. Let a timer gather the changes of one go:
//!
//! ```
//! # use evloop::EvLoop;
//! # use std::time::Duration;
//! # let mut ev = EvLoop::new()?;
//! # let config = std::env::temp_dir().join(format!("evloop-guide-quiet-{}", std::process::id()));
//! let quiet = Duration::from_millis(100);
//! let reload = ev.timer(quiet, Duration::ZERO, |ev, _| {
//!     // nothing has changed for a tenth of a second: read it now
//! #   ev.break_loop(evloop::Break::All);
//! });
//! ev.stat(&config, Duration::ZERO, move |ev, _| {
//!     reload.restart(ev, quiet);
//! })
//! .start(&mut ev)?;
//! # std::fs::write(&config, "x")?;
//! # ev.run()?;
//! # std::fs::remove_file(&config)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! With a second and a bit instead of a tenth it also gets the better of file systems whose clock counts in
//! seconds, on which a second change within the same one cannot be seen.
//!
//! # Hinted or polled
//!
//! On local file systems the kernel hints when to look, through `inotify`: a change is told at once
//! and nothing is polled. A hint only makes the watcher look sooner; what it finds is the same. Everywhere
//! else it looks at its interval: on network, FUSE and pseudo file systems (`/proc`, `/sys`), when a limit of the
//! system is reached, and when hints are turned off. While the path is missing it does both.
//! [`is_hinted`](crate::Stat::is_hinted) says which it is.
//!
//! The interval is about 5 s if none is given. Where changes must be noticed sooner even without hints, give
//! one; it costs an `lstat` each time.
//!
//! Hints come through one thread, for all loops of the process. It is started with the first stat watcher
//! and ends with the last. [`Builder::stat_hints(false)`](crate::Builder::stat_hints) does without.
//!
//! # Changes of one's own
//!
//! A program that writes the file it watches would be told of it.
//! [`refresh`](crate::Stat::refresh) looks and keeps what it finds to itself: call it after writing.
//!
//! # Sharp edges
//!
//! * **One path, not a tree.** For directories with all that is in them, use the crate `notify` and
//!   [`post`](crate::Remote::post) what it says. A watched directory changes when entries come and go, not when
//!   its files do.
//! * **A symbolic link is looked at itself.** When what it points to changes, the link does not: watch
//!   both, or the target.
//! * **Reading may be a change**: [`accessed`](crate::FileAttr::accessed) is compared like the rest. It is never a
//!   reason for a hint, but a look for another reason finds it. Compare the fields you mean.
//! * **`lstat` blocks.** On a network file system whose server has gone, the loop stands still.
//! * **Between two looks** there is one change at most. A file removed and made again is another file
//!   in the same place, if it has got another number.
//! * **Limits** of `inotify` are per user: `fs.inotify.max_user_watches` and `max_user_instances`. All
//!   files of one directory share a watch, all loops one instance.
