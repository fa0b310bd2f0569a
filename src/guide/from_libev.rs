//! From libev: every function, macro and flag of `ev.h`, and what it is here.
//!
//! The words are libev's where it has them. What differs everywhere: a loop is a value, not a pointer or
//! a default; a watcher is made by the loop and named by a key, not a structure of yours with an address; times
//! are [`Duration`](std::time::Duration), [`Instant`](std::time::Instant) and
//! [`SystemTime`](std::time::SystemTime), not `double`; what the system may refuse returns a
//! [`Result`](crate::Result). In the tables, `ev` is the loop and `w` a watcher's key.
//!
//! # Loops
//!
//! | libev | here | different |
//! |---|---|---|
//! | `ev_default_loop`, `ev_default_loop_uc_`, `ev_default_loop_ptr`, `ev_is_default_loop`, `EV_DEFAULT`, `EV_DEFAULT_UC` | – | no loop is special: each may hold every kind of watcher |
//! | `ev_loop_new` | [`EvLoop::new`](crate::EvLoop::new), [`EvLoop::builder`](crate::EvLoop::builder) | options are methods, not flags |
//! | `ev_loop_destroy`, `ev_default_destroy` | dropping the loop | stops every watcher, calls the cleanup watchers, leaves signals to what was there before |
//! | `ev_loop_fork`, `ev_default_fork` | [`after_fork`](crate::EvLoop::after_fork) | acts at once and returns a `Result` |
//! | `ev_run(0)`, `ev_loop` | [`run`](crate::EvLoop::run) | returns errors; nothing aborts |
//! | `ev_run(EVRUN_ONCE)`, `EVLOOP_ONESHOT` | [`run_mode(Run::Once)`](crate::Run::Once) | never returns because of an interruption or the loop's own affairs |
//! | `ev_run(EVRUN_NOWAIT)`, `EVLOOP_NONBLOCK` | [`run_mode(Run::NoWait)`](crate::Run::NoWait) | |
//! | – | [`turn(max_wait)`](crate::EvLoop::turn) | one pass with a limit |
//! | `ev_break`, `ev_unloop` | [`break_loop`](crate::EvLoop::break_loop) | |
//! | `EVBREAK_CANCEL`, `EVBREAK_ONE`, `EVBREAK_ALL`, `EVUNLOOP_*` | [`Break::Cancel`](crate::Break::Cancel), [`One`](crate::Break::One), [`All`](crate::Break::All) | |
//! | `ev_ref`, `ev_unref` | [`w.set_ref(ev, bool)`](crate::Timer::set_ref) | a property of the watcher: cannot get out of balance, survives stop and start |
//! | `ev_iteration`, `ev_loop_count` | [`iteration`](crate::EvLoop::iteration) | 64 bits |
//! | `ev_depth`, `ev_loop_depth` | [`depth`](crate::EvLoop::depth) | right after a panic, too |
//! | `ev_pending_count` | [`pending_count`](crate::EvLoop::pending_count) | exact: neither the loop's own watchers nor those called off |
//! | `ev_invoke_pending` | [`invoke_pending`](crate::EvLoop::invoke_pending) | |
//! | `ev_set_invoke_pending_cb` | – | callbacks are called by the loop, on its thread |
//! | `ev_set_loop_release_cb` | [`on_wait`](crate::EvLoop::on_wait) | around the sleep of the io collect interval as well |
//! | `ev_set_userdata`, `ev_userdata` | captures; [`local`](crate::EvLoop::local) | one value per type and loop |
//! | `ev_set_io_collect_interval` | [`set_io_collect`](crate::EvLoop::set_io_collect) | |
//! | `ev_set_timeout_collect_interval` | [`set_timer_collect`](crate::EvLoop::set_timer_collect) | |
//! | `ev_suspend`, `ev_resume` | [`suspend`](crate::EvLoop::suspend), [`resume`](crate::EvLoop::resume) | runs in between are refused |
//! | `ev_walk` | [`watchers`](crate::EvLoop::watchers) | a list of keys; complete, and no watchers of other loops in it |
//! | `ev_verify`, `ev_loop_verify` | [`verify`](crate::EvLoop::verify) | |
//! | `ev_once` | [`once`](crate::EvLoop::once), [`after`](crate::EvLoop::after) | gives the source back; with neither descriptor nor time it cannot be written |
//! | – | [`defer`](crate::EvLoop::defer), [`fail`](crate::EvLoop::fail), [`remote`](crate::EvLoop::remote), [`metrics`](crate::EvLoop::metrics), [`on_stall`](crate::EvLoop::on_stall) | |
//!
//! # Flags, backends, the environment
//!
//! | libev | here | different |
//! |---|---|---|
//! | `EVFLAG_AUTO` | the builder untouched | |
//! | `EVFLAG_NOENV` | [`Builder::env(false)`](crate::Builder::env) | |
//! | `EVFLAG_FORKCHECK` | [`Builder::follow_fork(true)`](crate::Builder::follow_fork) | costs no system call. Without it a fork is an error, not undefined |
//! | `EVFLAG_NOINOTIFY` | [`Builder::stat_hints(false)`](crate::Builder::stat_hints) | |
//! | `EVFLAG_SIGNALFD`, `EVFLAG_NOSIGFD` | – | it would have to block the signal in every thread |
//! | `EVFLAG_NOSIGMASK` | [`Builder::unblock_signals(false)`](crate::Builder::unblock_signals) | means what libev's manual says, not what libev 4.33 does |
//! | `EVFLAG_NOTIMERFD` | [`Builder::watch_clock_jumps(false)`](crate::Builder::watch_clock_jumps) | |
//! | `EVBACKEND_EPOLL`, `EVBACKEND_POLL` | [`Backend::Epoll`](crate::Backend::Epoll), [`Backend::Poll`](crate::Backend::Poll) | |
//! | `EVBACKEND_SELECT`, `EVBACKEND_KQUEUE`, `EVBACKEND_DEVPOLL`, `EVBACKEND_PORT`, `EVBACKEND_LINUXAIO`, `EVBACKEND_IOURING` | – | |
//! | `EVBACKEND_ALL`, `EVBACKEND_MASK` | – | [`Builder::backend`](crate::Builder::backend) several times: tried in that order |
//! | `ev_backend` | [`backend`](crate::EvLoop::backend) | |
//! | `ev_supported_backends` | [`Backend::available`](crate::Backend::available) | |
//! | `ev_recommended_backends` | [`Backend::recommended`](crate::Backend::recommended) | |
//! | `ev_embeddable_backends` | [`Backend::embeddable`](crate::Backend::embeddable) | |
//! | `LIBEV_FLAGS` | `EVLOOP_FLAGS`: [`Builder::env`](crate::Builder::env) | names instead of a number; fills what was left open, never overrides |
//! | `ev_version_major`, `ev_version_minor`, `EV_VERSION_*` | the crate's version | |
//! | `ev_set_allocator` | the program's global allocator | |
//! | `ev_set_syserr_cb` | `Result`, and [`Events::ERROR`](crate::Events::ERROR) | nothing aborts |
//!
//! # Time
//!
//! | libev | here | different |
//! |---|---|---|
//! | `ev_time` | `SystemTime::now()` | |
//! | `ev_now`, `ev_rt_now` | [`wall_now`](crate::EvLoop::wall_now) | |
//! | (internal `mn_now`) | [`now`](crate::EvLoop::now) | what timers count by |
//! | `ev_now_update` | [`update_now`](crate::EvLoop::update_now) | |
//! | `ev_sleep` | `std::thread::sleep` | |
//! | `ev_tstamp`, `EV_TSTAMP_T`, `EV_TS_CONST` | `Duration`, `Instant`, `SystemTime` | whole nanoseconds; no negative and no NaN |
//!
//! # All watchers
//!
//! | libev | here | different |
//! |---|---|---|
//! | `ev_init`, `ev_TYPE_init` | `ev.timer(…)`, `ev.io(…)`, … | makes it and returns its key |
//! | `ev_TYPE_set` | a verb of the kind, below | legal in every state |
//! | `ev_TYPE_start` | [`w.start(ev)`](crate::Timer::start) | a `Result` where the system may refuse |
//! | `ev_TYPE_stop` | [`w.stop(ev)`](crate::Timer::stop) | |
//! | releasing the structure's memory | [`w.free(ev)`](crate::Timer::free) | legal in every state, also in its own callback |
//! | `ev_set_cb` | [`w.set_callback(ev, f)`](crate::Timer::set_callback) | in every state |
//! | `ev_cb` | – | a closure cannot be given out |
//! | `w->data` | captures | |
//! | `ev_is_active` | [`w.is_active(ev)`](crate::Timer::is_active) | |
//! | `ev_is_pending` | [`w.is_pending(ev)`](crate::Timer::is_pending) | |
//! | `ev_priority`, `ev_set_priority`, `EV_MINPRI`, `EV_MAXPRI` | [`w.priority(ev)`](crate::Timer::priority), [`w.set_priority(ev, p)`](crate::Timer::set_priority) | −2 to +2, clamped; in every state |
//! | `ev_feed_event` | [`w.feed(ev, events)`](crate::Timer::feed); [`w.feed_later`](crate::Timer::feed_later) for the next iteration | |
//! | `ev_invoke` | [`w.invoke(ev, events)`](crate::Timer::invoke) | not while its callback runs |
//! | `ev_clear_pending` | [`w.clear_pending(ev)`](crate::Timer::clear_pending) | |
//! | `ev_feed_fd_event` | [`feed_fd`](crate::EvLoop::feed_fd) | |
//! | `ev_feed_signal_event` | [`feed_signal`](crate::EvLoop::feed_signal) | |
//! | `ev_feed_signal` | – | in signal handlers: [`Notifier::notify`](crate::Notifier::notify) |
//! | `ev_watcher`, `ev_watcher_list`, `ev_watcher_time`, `ev_any_watcher` | [`Watcher`](crate::Watcher), [`AnyWatcher`](crate::AnyWatcher) | |
//!
//! # Kind by kind
//!
//! | libev | here | different |
//! |---|---|---|
//! | `ev_io_init` | [`EvLoop::io`](crate::EvLoop::io) | the watcher owns its source; a number will not do |
//! | `ev_io_set` | – | another file is another watcher |
//! | `ev_io_modify` | [`Io::set_interest`](crate::Io::set_interest) | needs no stop and start |
//! | `ev_io_start`, `ev_io_stop` | [`start`](crate::Io::start), [`stop`](crate::Io::stop) | a bad descriptor is an error at the start; one closed later is [`Events::ERROR`](crate::Events::ERROR) |
//! | `w->fd`, `w->events` | [`Io::fd`](crate::Io::fd), [`Io::interest`](crate::Io::interest) | |
//! | `ev_timer_init` | [`EvLoop::timer`](crate::EvLoop::timer), [`timer_at`](crate::EvLoop::timer_at) | equal times fire in the order of starting |
//! | `ev_timer_set` | [`Timer::set`](crate::Timer::set), [`restart`](crate::Timer::restart), [`set_repeat`](crate::Timer::set_repeat) | |
//! | `ev_timer_start`, `ev_timer_stop` | [`start`](crate::Timer::start), [`stop`](crate::Timer::stop); [`start_from_real_now`](crate::Timer::start_from_real_now) | |
//! | `ev_timer_again` | [`Timer::again`](crate::Timer::again) | to a later time it touches no heap |
//! | `ev_timer_remaining` | [`Timer::remaining`](crate::Timer::remaining) | never negative |
//! | `w->repeat` | [`Timer::repeat`](crate::Timer::repeat) | |
//! | `ev_periodic_init` | [`EvLoop::periodic`](crate::EvLoop::periodic) | a [`Schedule`](crate::Schedule): [`at`](crate::Schedule::at), [`every`](crate::Schedule::every) with [`offset`](crate::Schedule::offset), [`by`](crate::Schedule::by) a rule. Exact in whole nanoseconds for centuries |
//! | `ev_periodic_set` | [`Periodic::set`](crate::Periodic::set) | |
//! | `ev_periodic_start`, `ev_periodic_stop` | [`start`](crate::Periodic::start), [`stop`](crate::Periodic::stop) | |
//! | `ev_periodic_again` | [`Periodic::again`](crate::Periodic::again) | |
//! | `ev_periodic_at` | [`Periodic::due`](crate::Periodic::due) | `None` if it is stopped or never due |
//! | `reschedule_cb` | [`Schedule::by`](crate::Schedule::by) | has no loop in hand; the past counts as now, `None` is never |
//! | `w->offset`, `w->interval` | – | give it another schedule |
//! | `ev_signal_init` | [`EvLoop::signal`](crate::EvLoop::signal) | in any number of loops; `SIGILL`, `SIGFPE` and `SIGSEGV` are refused |
//! | `ev_signal_set` | – | another signal is another watcher |
//! | `ev_signal_start`, `ev_signal_stop` | [`start`](crate::Signal::start), [`stop`](crate::Signal::stop) | when nobody watches any more: not the default action but what was there before |
//! | `w->signum` | [`Signal::signum`](crate::Signal::signum), [`SignalEvent::signum`](crate::SignalEvent::signum) | |
//! | `ev_child_init` | [`EvLoop::child`](crate::EvLoop::child), [`child_pid`](crate::EvLoop::child_pid); pid 0: [`reap_any`](crate::EvLoop::reap_any) | in any loop; waits for its own process and no other; stopped after the end; priorities count |
//! | `ev_child_set` | [`Child::set_trace`](crate::Child::set_trace) | another process is another watcher |
//! | `ev_child_start`, `ev_child_stop` | [`start`](crate::Child::start), [`stop`](crate::Child::stop) | starting late loses nothing |
//! | `w->pid` | [`Child::pid`](crate::Child::pid) | |
//! | `w->rpid`, `w->rstatus` | [`ChildEvent::pid`](crate::ChildEvent::pid), [`ChildEvent::status`](crate::ChildEvent::status) | a decoded `ExitStatus`; `None` if somebody else has it |
//! | `kill` | [`Child::signal`](crate::Child::signal) | never reaches a stranger |
#![cfg_attr(
    feature = "stat",
    doc = "| `ev_stat_init` | [`EvLoop::stat`](crate::EvLoop::stat) | times to the nanosecond; feature `stat` |
| `ev_stat_set` | [`Stat::set_interval`](crate::Stat::set_interval) | another path is another watcher |
| `ev_stat_start`, `ev_stat_stop` | [`start`](crate::Stat::start), [`stop`](crate::Stat::stop) | |
| `ev_stat_stat` | [`Stat::refresh`](crate::Stat::refresh) | |
| `w->attr`, `w->prev`, `ev_statdata` | [`StatEvent::attr`](crate::StatEvent::attr), [`StatEvent::prev`](crate::StatEvent::prev), [`FileAttr`](crate::FileAttr) | all zero when missing |
| `w->path`, `w->interval` | [`Stat::path`](crate::Stat::path), [`Stat::interval`](crate::Stat::interval) | |"
)]
#![cfg_attr(
    not(feature = "stat"),
    doc = "| `ev_stat_*` | the feature `stat`, which is turned off here | |"
)]
//! | `ev_idle_init`, `ev_idle_set`, `ev_idle_start`, `ev_idle_stop` | [`EvLoop::idle`](crate::EvLoop::idle) | |
//! | `ev_prepare_init`, `ev_prepare_set`, `ev_prepare_start`, `ev_prepare_stop` | [`EvLoop::prepare`](crate::EvLoop::prepare) | the loop cannot be run from it |
//! | `ev_check_init`, `ev_check_set`, `ev_check_start`, `ev_check_stop` | [`EvLoop::check`](crate::EvLoop::check) | likewise |
//! | `ev_embed_init`, `ev_embed_set`, `ev_embed_start`, `ev_embed_stop`, `w->other` | [`backend_fd`](crate::EvLoop::backend_fd), [`next_deadline`](crate::EvLoop::next_deadline) | a loop as the guest of any other: [embedding](super::embedding) |
//! | `ev_embed_sweep` | [`turn(Some(Duration::ZERO))`](crate::EvLoop::turn) | timers and all |
//! | `ev_fork_init`, `ev_fork_set`, `ev_fork_start`, `ev_fork_stop` | [`EvLoop::on_fork`](crate::EvLoop::on_fork) | once per fork, never for other reasons |
//! | `ev_cleanup_init`, `ev_cleanup_set`, `ev_cleanup_start`, `ev_cleanup_stop` | [`EvLoop::on_close`](crate::EvLoop::on_close) | |
//! | `ev_async_init`, `ev_async_set`, `ev_async_start`, `ev_async_stop` | [`EvLoop::notifier`](crate::EvLoop::notifier), [`channel`](crate::EvLoop::channel) | a sending half that outlives watcher and loop |
//! | `ev_async_send` | [`Notifier::notify`](crate::Notifier::notify) | says whether anybody listens |
//! | `ev_async_pending` | [`Notifier::is_pending`](crate::Notifier::is_pending) | |
//!
//! # Events
//!
//! | libev | here |
//! |---|---|
//! | `EV_READ`, `EV_WRITE`, to ask | [`Interest::READ`](crate::Interest::READ), [`WRITE`](crate::Interest::WRITE); also `PRIORITY`, `PEER_CLOSE`, `EDGE` |
//! | `EV_READ`, `EV_WRITE`, as told | [`Events::READ`](crate::Events::READ), [`WRITE`](crate::Events::WRITE); also `PRIORITY`, `PEER_CLOSE` |
//! | `EV_NONE`, `EV_UNDEF` | [`Events::NONE`](crate::Events::NONE) |
//! | `EV_TIMER` (`EV_TIMEOUT`), `EV_PERIODIC`, `EV_SIGNAL`, `EV_CHILD`, `EV_STAT`, `EV_IDLE`, `EV_PREPARE`, `EV_CHECK`, `EV_FORK`, `EV_CLEANUP`, `EV_ASYNC` | constants of [`Events`](crate::Events) with these names |
//! | `EV_IO` and the others as types, in `ev_walk` | [`Kind`](crate::Kind) |
//! | `EV_EMBED` | – |
//! | `EV_CUSTOM` | [`Events::CUSTOM`](crate::Events::CUSTOM) |
//! | `EV_ERROR` | [`Events::ERROR`](crate::Events::ERROR); the watcher is stopped by then |
//!
//! The macros of the build, `EV_MULTIPLICITY`, `EV_P`, `EV_A`, `EV_COMMON`, `EV_FEATURES`, `EV_USE_*`,
//! `EV_*_ENABLE`, `EV_STANDALONE` and the like, have no counterpart: there is one build. Cargo's features are in the
//! [crate's documentation](crate#features).
//!
//! # Sharp edges
//!
//! What a port stumbles over:
//!
//! * **First in, first out.** libev calls what was queued last first. Programs that rely on that order are
//!   rare, and mostly do not know.
//! * **A timer is due at its time**, not only after it: with a delay of zero it fires in the next
//!   iteration, and never in the one that started it.
//! * **Breaks do not stick.** One that was asked for outside a run is forgotten, as in libev.
//! * **`ev_child` watchers took all statuses** of the process, so other code could not wait for its children.
//!   Here it can; who relied on the loop to collect zombies needs [`reap_any`](crate::EvLoop::reap_any).
//! * **A child watcher is stopped after the end of its process.** There is no second call, and nothing
//!   to stop in the callback.
//! * **`ev_ref` and `ev_unref` around a start** become `set_ref(false)`, once.
//! * **Freeing memory of an active watcher**, the classic crash, cannot be written. What remains of it is
//!   forgetting to free: the slot is kept until the loop goes.
