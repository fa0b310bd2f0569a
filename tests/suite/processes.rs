//! Cases that need a process of their own: signals and children belong to the whole process, so
//! what one case does would be there for the next one to find.
//!
//! A binary with `harness = false` calls [`main`] from a single thread. Each case runs in a forked child
//! of its own, once per [`Setting`], with everything it starts in a process group that is killed
//! afterwards. What a case writes is kept, and shown if it fails. The lines printed are libtest's.

// Every test binary includes the whole file and uses a part of it.
#![allow(dead_code, unused_imports, unused_macros, clippy::print_stdout)]

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitStatus;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use evloop::{Backend, Builder, EvLoop};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// How long a case may take before it counts as hanging: far more than any needs.
const LIMIT: Duration = Duration::from_secs(20);

/// What a case says that could not be run here.
const SKIPPED: i32 = 77;

/// What a case is run with.
#[derive(Clone, Copy)]
pub struct Setting {
    pub name: &'static str,
    pub backend: Backend,
    /// Whether the loop may use process descriptors.
    pub descriptors: bool,
}

static SETTING: OnceLock<Setting> = OnceLock::new();

/// The setting of the case that is running.
pub fn setting() -> Setting {
    *SETTING.get().expect("a case that is running")
}

/// A builder for the case's setting, deaf to the environment.
pub fn builder() -> Builder {
    let builder = EvLoop::builder().backend(setting().backend).env(false);
    if setting().descriptors { builder } else { builder.without_process_descriptors() }
}

/// A loop for the case's setting.
pub fn ev() -> EvLoop {
    builder().build().expect("a loop")
}

/// The list that [`main`] takes, from the names of the cases.
macro_rules! cases {
    ($($name:ident),+ $(,)?) => { &[$((stringify!($name), $name as fn())),+] };
}
pub(crate) use cases;

/// Runs the cases that the arguments ask for: a part of a name, or with `--exact` a whole one;
/// `--list` only says which there are.
pub fn main(settings: &[Setting], cases: &[(&str, fn())]) {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let has = |flag: &str| args.iter().any(|arg| arg == flag);
    let words: Vec<&String> = args.iter().filter(|arg| !arg.starts_with('-')).collect();
    let (mut passed, mut failed, mut skipped, mut filtered) = (0, Vec::new(), 0, 0);
    let begun = Instant::now();
    for setting in settings {
        for (case, run) in cases {
            let name = format!("{}::{case}", setting.name);
            let asked = |word: &&String| match has("--exact") {
                true => name == **word,
                false => name.contains(word.as_str()),
            };
            if !words.is_empty() && !words.iter().any(asked) {
                filtered += 1;
            } else if has("--list") {
                println!("{name}: test");
            } else {
                print!("test {name} ... ");
                match apart(*setting, *run) {
                    Outcome::Passed => {
                        passed += 1;
                        println!("ok");
                    }
                    Outcome::Skipped(reason) => {
                        skipped += 1;
                        println!("ignored, {reason}");
                    }
                    Outcome::Failed(why) => {
                        println!("FAILED");
                        failed.push((name, why));
                    }
                }
            }
        }
    }
    if has("--list") {
        return;
    }
    if !failed.is_empty() {
        println!("\nfailures:\n");
        for (name, why) in &failed {
            println!("---- {name} ----\n{}\n", why.trim_end());
        }
    }
    println!(
        "\ntest result: {}. {passed} passed; {} failed; {skipped} ignored; 0 measured; \
         {filtered} filtered out; finished in {:.2}s\n",
        if failed.is_empty() { "ok" } else { "FAILED" },
        failed.len(),
        begun.elapsed().as_secs_f64()
    );
    if !failed.is_empty() {
        std::process::exit(101);
    }
}

enum Outcome {
    Passed,
    Skipped(String),
    Failed(String),
}

/// Runs one case in a child of its own.
fn apart(setting: Setting, run: fn()) -> Outcome {
    // The child must not say again what waits to be written.
    std::io::stdout().flush().expect("a standard output");
    let output = memfd_create("output", MemfdFlags::CLOEXEC).expect("a file in memory");
    // SAFETY: the process has one thread, so the child may do whatever its parent may.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "fork");
    if pid == 0 {
        begin(setting, &output);
        end(run);
    }
    let case = Pid::from_raw(pid).expect("a child");
    // Either side may be the first to do it; the child has not executed anything, so both may.
    let _ = rustix::process::setpgid(Some(case), Some(case));
    let over = pidfd_open(case, PidfdFlags::empty()).expect("a process descriptor");
    let mut fds = [PollFd::new(&over, PollFlags::IN)];
    let limit = Timespec { tv_sec: LIMIT.as_secs() as i64, tv_nsec: 0 };
    let ended = poll(&mut fds, Some(&limit)).expect("a wait") > 0;
    // The case and whatever it left behind. It was not waited for, so the number is still its own.
    let _ = rustix::process::kill_process_group(case, rustix::process::Signal::KILL);
    let status = Process { pid }.wait();
    let mut file = File::from(output);
    let mut text = String::new();
    file.seek(SeekFrom::Start(0)).expect("what was written");
    file.read_to_string(&mut text).expect("what was written");
    match status.code() {
        Some(0) if ended => Outcome::Passed,
        Some(SKIPPED) => Outcome::Skipped(text.trim_end().lines().last().unwrap_or("").to_owned()),
        _ if !ended => Outcome::Failed(format!("{text}not over after {LIMIT:?}")),
        _ => Outcome::Failed(format!("{text}{status}")),
    }
}

/// In the child: nothing of the runner's is there for the case to find.
fn begin(setting: Setting, output: &OwnedFd) {
    let _ = rustix::process::setpgid(None, None);
    // SAFETY: takes integers. Should the runner be killed, nobody would end a case that hangs.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
    rustix::stdio::dup2_stdout(output).expect("a standard output");
    rustix::stdio::dup2_stderr(output).expect("a standard error");
    // SAFETY: the process has one thread, so nobody reads the environment meanwhile.
    unsafe { std::env::remove_var("EVLOOP_FLAGS") };
    let no_cores = libc::rlimit { rlim_cur: 0, ..core_limit() };
    // SAFETY: reads a local.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_CORE, &raw const no_cores) }, 0);
    change_mask(libc::SIG_SETMASK, &[]);
    default_dispositions();
    let _ = SETTING.set(setting);
}

/// Whoever has started the tests may have had signals ignored: `nohup` does, and shells for what they have in the
/// background. What is ignored stays so in everything that is started.
fn default_dispositions() {
    // That of SIGPIPE is what Rust's own beginning has made of it.
    for signum in (1..=libc::SIGRTMAX()).filter(|signum| *signum != libc::SIGPIPE) {
        let default = libc::SIG_DFL;
        // SAFETY: takes integers. Those that cannot be changed, or are the C library's own, are refused.
        unsafe { libc::signal(signum, default) };
    }
}

/// Runs `f` and ends the process: 0, or 101 for a panic.
fn end(f: impl FnOnce()) -> ! {
    let code = if catch_unwind(AssertUnwindSafe(f)).is_ok() { 0 } else { 101 };
    leave(code)
}

/// Ends the process without what the runner's process has registered for its own end.
pub fn leave(code: i32) -> ! {
    let _ = std::io::stdout().flush();
    // SAFETY: ends the process and touches nothing else.
    unsafe { libc::_exit(code) }
}

/// Ends the case: it cannot be run here.
pub fn skip(reason: &str) -> ! {
    println!("{reason}");
    leave(SKIPPED)
}

/// A child of this process, to be waited for or not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Process {
    pid: i32,
}

/// A child that does `f`: exit code 0, or 101 if that panics. Not from a process with other threads.
pub fn fork(f: impl FnOnce()) -> Process {
    let _ = std::io::stdout().flush();
    // SAFETY: cases that fork have one thread, so the child may do whatever its parent may.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "fork: {}", std::io::Error::last_os_error());
    if pid == 0 {
        end(f);
    }
    Process { pid }
}

/// A child that ends at once.
pub fn ends_with(code: i32) -> Process {
    fork(|| leave(code))
}

/// What keeps a child from ending.
pub struct Gate(File);

impl Gate {
    /// Lets the child go on.
    pub fn open(self) {
        (&self.0).write_all(b"x").expect("a child that reads");
    }
}

/// A child that does `f` once its gate is opened.
pub fn held(f: impl FnOnce()) -> (Process, Gate) {
    let (mut read, write) = pipe();
    let child = fork(|| {
        let mut byte = [0];
        // Several may hold the other end, so its end means nothing.
        read.read_exact(&mut byte).expect("somebody who opens the gate");
        f();
    });
    (child, Gate(write))
}

/// A child that ends with `code` once its gate is opened.
pub fn held_until(code: i32) -> (Process, Gate) {
    held(move || leave(code))
}

/// A pipe that programs executed later do not inherit.
pub fn pipe() -> (File, File) {
    let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).expect("a pipe");
    (File::from(read), File::from(write))
}

impl Process {
    pub fn of(child: &std::process::Child) -> Self {
        Self::with_pid(child.id())
    }

    pub fn with_pid(pid: u32) -> Self {
        Self { pid: pid.try_into().expect("the number of a process") }
    }

    pub fn pid(self) -> u32 {
        self.pid as u32
    }

    /// Sends it a signal; `false` if there is no such process.
    pub fn send(self, signum: i32) -> bool {
        // SAFETY: takes two integers.
        unsafe { libc::kill(self.pid, signum) == 0 }
    }

    /// Waits for its end.
    pub fn wait(self) -> ExitStatus {
        self.changed(0)
    }

    /// Waits for its end, a stop, or a continuation.
    pub fn wait_for_change(self) -> ExitStatus {
        self.changed(libc::WUNTRACED | libc::WCONTINUED)
    }

    fn changed(self, options: i32) -> ExitStatus {
        self.try_changed(options).unwrap_or_else(|e| panic!("waitpid({}): {e}", self.pid))
    }

    fn try_changed(self, options: i32) -> std::io::Result<ExitStatus> {
        loop {
            let mut status = 0;
            // SAFETY: writes to a local.
            if unsafe { libc::waitpid(self.pid, &raw mut status, options) } == self.pid {
                return Ok(ExitStatus::from_raw(status));
            }
            let e = std::io::Error::last_os_error();
            if e.kind() != std::io::ErrorKind::Interrupted {
                return Err(e);
            }
        }
    }

    /// Waits until it has ended, and leaves the status where it is.
    pub fn until_ended(self) {
        self.until(libc::WEXITED);
    }

    /// Waits until it has stopped, and leaves the status where it is.
    pub fn until_stopped(self) {
        self.until(libc::WSTOPPED);
    }

    /// Waits until it has been continued, and leaves the status where it is.
    pub fn until_continued(self) {
        self.until(libc::WCONTINUED);
    }

    fn until(self, what: i32) {
        loop {
            let mut info = std::mem::MaybeUninit::<libc::siginfo_t>::zeroed();
            let options = what | libc::WNOWAIT;
            // SAFETY: writes to a local.
            let done = unsafe { libc::waitid(libc::P_PID, self.pid(), info.as_mut_ptr(), options) };
            if done == 0 {
                return;
            }
            let e = std::io::Error::last_os_error();
            assert_eq!(e.kind(), std::io::ErrorKind::Interrupted, "waitid({}): {e}", self.pid);
        }
    }
}

/// Whether this process has a child that it has not waited for, ended or not.
pub fn has_children() -> bool {
    waits_for_any(libc::WEXITED) >= 0
}

/// The number of a child that has ended and was not waited for, if there is one.
pub fn zombie() -> Option<i32> {
    Some(waits_for_any(libc::WEXITED)).filter(|pid| *pid > 0)
}

/// The child of which there is something to be told, 0 for none of them, −1 if there are no children.
fn waits_for_any(what: i32) -> i32 {
    let mut info = std::mem::MaybeUninit::<libc::siginfo_t>::zeroed();
    let options = what | libc::WNOWAIT | libc::WNOHANG;
    // SAFETY: writes to a local, which zeros have made valid before; the field read is a child's.
    unsafe {
        match libc::waitid(libc::P_ALL, 0, info.as_mut_ptr(), options) {
            0 => info.assume_init().si_pid(),
            _ => -1,
        }
    }
}

/// Sends a signal to this thread; it was delivered, or is pending because it is blocked.
pub fn raise(signum: i32) {
    // SAFETY: takes an integer.
    assert_eq!(unsafe { libc::raise(signum) }, 0, "raise({signum})");
}

/// This process.
pub fn me() -> Process {
    Process::with_pid(std::process::id())
}

/// The system's number of this thread.
pub fn thread_number() -> u32 {
    // SAFETY: takes nothing and cannot fail.
    unsafe { libc::gettid() as u32 }
}

/// What the process does with a signal: `SIG_DFL`, `SIG_IGN`, or a handler's address.
pub fn disposition(signum: i32) -> usize {
    let mut now = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: a null new action changes nothing; writes to a local, which zeros have made valid.
    unsafe {
        assert_eq!(libc::sigaction(signum, std::ptr::null(), now.as_mut_ptr()), 0);
        now.assume_init().sa_sigaction
    }
}

/// Sets what the process does with a signal. A handler must be async-signal-safe.
pub fn set_disposition(signum: i32, disposition: usize) {
    // SAFETY: zeros are valid: no flags, an empty mask; the handlers of the cases touch atomics only.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = disposition;
        assert_eq!(libc::sigaction(signum, &raw const action, std::ptr::null_mut()), 0);
    }
}

/// Changes this thread's signal mask: `SIG_BLOCK`, `SIG_UNBLOCK`, `SIG_SETMASK`.
pub fn change_mask(how: i32, signums: &[i32]) {
    // SAFETY: the set is a local, which `sigemptyset` makes valid.
    unsafe {
        let mut set = std::mem::MaybeUninit::zeroed();
        libc::sigemptyset(set.as_mut_ptr());
        for signum in signums {
            assert_eq!(libc::sigaddset(set.as_mut_ptr(), *signum), 0);
        }
        assert_eq!(libc::pthread_sigmask(how, set.as_ptr(), std::ptr::null_mut()), 0);
    }
}

/// Whether this thread blocks a signal.
pub fn is_blocked(signum: i32) -> bool {
    // SAFETY: a null new set changes nothing; writes to a local.
    unsafe {
        let mut set = std::mem::MaybeUninit::zeroed();
        assert_eq!(libc::pthread_sigmask(libc::SIG_BLOCK, std::ptr::null(), set.as_mut_ptr()), 0);
        libc::sigismember(set.as_ptr(), signum) == 1
    }
}

/// How large a core may be.
pub fn core_limit() -> libc::rlimit {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: writes to a local.
    assert_eq!(unsafe { libc::getrlimit(libc::RLIMIT_CORE, &raw mut limit) }, 0);
    limit
}

/// Allows cores as large as this process may allow them.
pub fn allow_cores() {
    let limit = core_limit();
    let most = libc::rlimit { rlim_cur: limit.rlim_max, ..limit };
    // SAFETY: reads a local.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_CORE, &raw const most) }, 0);
}

/// Does `f` in another process as soon as this one's only thread sleeps.
pub fn when_asleep(f: impl FnOnce()) -> Process {
    let sleeper = me();
    fork(move || {
        await_sleep(sleeper);
        f();
    })
}

/// Waits until the first thread of a process sleeps. Nothing tells, so it is asked again and again.
pub fn await_sleep(sleeper: Process) {
    let path = format!("/proc/{0}/task/{0}/stat", sleeper.pid());
    loop {
        let stat = std::fs::read_to_string(&path).expect("a process");
        // `NUMBER (NAME) STATE …`, and there may be anything in the name.
        let state = stat.rsplit(')').next().and_then(|rest| rest.trim_start().chars().next());
        if state == Some('S') {
            return;
        }
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// How many descriptors this process has.
pub fn descriptors() -> usize {
    // That of the listing is closed again.
    std::fs::read_dir("/proc/self/fd").expect("a list").count() - 1
}

/// A number that forked processes share.
pub fn shared_number() -> &'static AtomicU32 {
    let (protection, flags) =
        (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
    let (nowhere, size) = (std::ptr::null_mut(), size_of::<AtomicU32>());
    // SAFETY: a new mapping at an address of the kernel's choice; it is zeros, aligned to a page, and
    // never unmapped, so it is a valid atomic for ever.
    unsafe {
        let memory = libc::mmap(nowhere, size, protection, flags, -1, 0);
        assert_ne!(memory, libc::MAP_FAILED);
        &*memory.cast::<AtomicU32>()
    }
}

/// Counts the waits of a loop.
pub fn count_waits(ev: &mut EvLoop) -> crate::suite::Count {
    let waits = crate::suite::Count::new();
    let count = waits.clone();
    ev.on_wait(
        move || {
            count.up();
        },
        || {},
    );
    waits
}

/// A callback that only writes something into a log, for events that borrow ([`Log`](crate::suite::Log)
/// makes the others).
macro_rules! says {
    ($log:expr, $entry:expr) => {{
        let log = $log.clone();
        move |_, _| log.push($entry)
    }};
}
pub(crate) use says;

/// Sets a shared number; for the other side to see at any time.
pub fn publish(number: &AtomicU32, value: u32) {
    number.store(value, Ordering::SeqCst);
}
