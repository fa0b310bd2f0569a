// Where a filter of system calls, such as that of an old container, does not know the calls for many.

use crate::datagrams::*;
use evloop::net::*;

/// Has the system refuse these calls to this thread, and no others. Says whether it can.
fn refuse(calls: [libc::c_long; 2], errno: i32) -> bool {
    let (load, equal, answer) =
        ((libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16, (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16, (libc::BPF_RET | libc::BPF_K) as u16);
    let one = |code, k, jt, jf| libc::sock_filter { code, jt, jf, k };
    let mut steps = [
        // The number of the call is the first of what a filter sees.
        one(load, 0, 0, 0),
        one(equal, calls[0] as u32, 1, 0),
        one(equal, calls[1] as u32, 0, 1),
        one(answer, libc::SECCOMP_RET_ERRNO | errno as u32, 0, 0),
        one(answer, libc::SECCOMP_RET_ALLOW, 0, 0),
    ];
    let program = libc::sock_fprog { len: steps.len() as u16, filter: steps.as_mut_ptr() };
    // SAFETY: both calls concern this thread alone; the program and its steps outlive them.
    unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
            && libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) == 0
    }
}

fn without_the_calls_for_many(errno: i32) {
    let filtered = move || {
        if !refuse([libc::SYS_recvmmsg, libc::SYS_sendmmsg], errno) {
            return;
        }
        let mut ev = live_ev();
        let told = Told::new();
        let log = told.clone();
        let options = DatagramOptions::new().accept_fds(2);
        let (sender, receiver) = options
            .pair(&mut ev, tells(&told, "out"), move |_, _, event| log.push(text(&event)))
            .unwrap();
        receiver.pause(&mut ev);
        let (mut sent, stdin) = (0, std::io::stdin());
        while sender.queued(&ev).0 < 40 {
            let fds = [stdin.as_fd()];
            let fds = if sent % 7 == 0 { &fds[..] } else { &[] };
            let outcome = sender.send_fds(&mut ev, sent.to_string().as_bytes(), fds).unwrap();
            assert_ne!(outcome, Sent::Dropped);
            sent += 1;
        }
        receiver.resume(&mut ev);
        let mut all = until(&mut ev, &told, sent + 1);
        let drained = all.iter().position(|said| said == "out: drained").unwrap();
        all.remove(drained);
        let expected = |n: usize| match n % 7 {
            0 => format!("{n} with 1"),
            _ => n.to_string(),
        };
        assert_eq!(all, (0..sent).map(expected).collect::<Vec<_>>());
        assert_eq!(receiver.counters(&ev).unwrap().errors, 0);
        assert_eq!(sender.counters(&ev).unwrap().errors, 0);
    };
    // The filter goes with the thread.
    std::thread::spawn(filtered).join().unwrap();
}

#[test]
fn without_the_calls_for_many_datagrams_go_one_by_one() {
    without_the_calls_for_many(libc::ENOSYS);
}

#[test]
fn filters_that_say_it_otherwise_are_understood_too() {
    without_the_calls_for_many(libc::EPERM);
}
