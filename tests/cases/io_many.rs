// The report starts at 64 events and grows (loop.md 1.4): nobody is lost, nobody starves.

use crate::sockets::*;
use std::os::unix::net::UnixStream;

type Rig = (Vec<(Io, UnixStream)>, Rc<RefCell<Vec<usize>>>);

/// `n` started readers, and how often each was told. They do not read.
fn readers(ev: &mut EvLoop, n: usize) -> Rig {
    let told = Rc::new(RefCell::new(vec![0; n]));
    let readers = (0..n).map(|i| {
        let (near, far) = pair();
        let told = Rc::clone(&told);
        let io = ev.io(near, Interest::READ, move |_, _| told.borrow_mut()[i] += 1);
        (io.start(ev).unwrap(), far)
    });
    (readers.collect(), told)
}

fn room_for(descriptors: u64) {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|now| now < descriptors) {
        limit.current = Some(limit.maximum.map_or(descriptors, |most| most.min(descriptors)));
        setrlimit(Resource::Nofile, limit).unwrap();
    }
}

#[test]
fn more_than_a_full_report_is_delivered_within_a_few_iterations() {
    room_for(6000);
    for n in [63, 64, 65, 200, 1000] {
        both_ways(ev, |ev| {
            let (readers, told) = readers(ev, n);
            for (_, far) in &readers {
                put(far);
            }
            let mut passes = 0;
            while told.borrow().contains(&0) {
                pass(ev);
                passes += 1;
                assert!(passes <= 6, "{n}: some are starved after {passes} passes");
            }
            // By now the report has grown: every pass tells all.
            told.borrow_mut().fill(0);
            pass(ev);
            pass(ev);
            assert_eq!(*told.borrow(), vec![2; n]);
            for (io, _) in readers {
                io.free(ev);
            }
        });
    }
}

#[test]
fn a_thousand_watchers_freed_by_the_first_of_their_batch_are_not_told() {
    room_for(6000);
    both_ways(ev, |ev| {
        let first = ready_pair();
        let peers: Rc<RefCell<Vec<Io>>> = Rc::default();
        let mine = Rc::clone(&peers);
        let io = ev.io(first.0, Interest::READ, move |ev, e| {
            drain(e.source);
            for io in mine.take() {
                assert!(io.free(ev));
            }
            assert_eq!(ev.pending_count(), 0);
            ev.verify();
        });
        io.start(ev).unwrap();
        let (readers, told) = readers(ev, 1000);
        for (io, far) in &readers {
            put(far);
            peers.borrow_mut().push(*io);
        }
        for _ in 0..3 {
            pass(ev);
        }
        assert!(told.borrow().iter().all(|n| *n <= 1));
        let lucky = told.borrow().iter().sum::<usize>();
        assert_eq!(lucky, 0, "the first was reported first");
    });
}

#[test]
fn a_token_goes_round_a_ring_of_a_thousand_pairs() {
    room_for(6000);
    let mut ev = ev();
    let _dog = Watchdog::new(secs(60));
    let n = 1000;
    let hops = Count::new();
    let pairs: Vec<_> = (0..n).map(|_| shared_pair()).collect();
    let fars: Rc<Vec<UnixStream>> =
        Rc::new(pairs.iter().map(|(_, far)| far.try_clone().unwrap()).collect());
    for (i, (near, _)) in pairs.iter().enumerate() {
        let (hops, fars) = (hops.clone(), Rc::clone(&fars));
        let io = ev.io(Rc::clone(near), Interest::READ, move |ev, e| {
            assert_eq!(drain(e.source), 1, "told only when there is something");
            if hops.up() == 3 * n {
                ev.break_loop(Break::All);
            } else {
                put(&fars[(i + 1) % n]);
            }
        });
        io.start(&mut ev).unwrap();
    }
    put(&fars[0]);
    assert!(ev.run().unwrap());
    assert_eq!(hops.get(), 3 * n);
    assert_eq!(ev.iteration(), 3 * n as u64, "one hop per wait");
}
