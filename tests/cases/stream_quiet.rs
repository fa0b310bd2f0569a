//! Streams that are quiet: what leaves at once is not told of, what has to wait is.

use std::cell::{Cell, RefCell};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::rc::Rc;

use evloop::net::{Stream, StreamEvent};

use crate::streaming::{World, calm, cases, until};

cases!(plain [
    what_leaves_at_once_is_not_told_of,
    what_has_to_wait_is_told_of_and_its_end_too,
    it_is_told_at_once_that_something_has_to_wait,
    a_stream_can_become_quiet_and_loud_again,
]);

cases!(pair[
    a_system_that_takes_nothing_at_all_is_told_of,
    what_waits_already_when_a_stream_becomes_quiet_is_told_of,
]);

/// What is told of sending, in order: numbers of bytes, and `None` for `Drained`.
type Told = Rc<RefCell<Vec<Option<usize>>>>;

/// A sender that notes what it is told, and a receiver that reads only when it may.
struct Ends {
    told: Told,
    reads: Rc<Cell<bool>>,
    got: Rc<Cell<usize>>,
    sender: Stream,
    receiver: Stream,
}

fn ends(world: &World, ev: &mut evloop::EvLoop) -> Ends {
    let (told, got, reads) = (Told::default(), Rc::new(Cell::new(0)), Rc::new(Cell::new(true)));
    let (notes, sum) = (Rc::clone(&told), Rc::clone(&got));
    let link = world.open(
        ev,
        move |_, _, event| match event {
            StreamEvent::Sent(n) => notes.borrow_mut().push(Some(n)),
            StreamEvent::Drained => notes.borrow_mut().push(None),
            _ => {}
        },
        move |ev, stream, event| {
            if let StreamEvent::Received(_) = event {
                let mut input = stream.input(ev);
                let len = input.len();
                sum.set(sum.get() + input.drain(len));
            }
        },
    );
    Ends { told, reads, got, sender: link.client, receiver: link.server }
}

impl Ends {
    fn hold(&self, ev: &mut evloop::EvLoop) {
        self.reads.set(false);
        self.receiver.disable_read(ev);
    }

    fn release(&self, ev: &mut evloop::EvLoop) {
        self.reads.set(true);
        self.receiver.enable_read(ev);
    }

    fn take(&self) -> Vec<Option<usize>> {
        self.told.take()
    }
}

/// More than anything between two ends holds.
const MUCH: usize = 20_000_000;

fn what_leaves_at_once_is_not_told_of(world: &World) {
    let mut ev = world.ev();
    let ends = ends(world, &mut ev);
    assert!(ends.sender.set_quiet(&mut ev, true));
    for n in 1..=10 {
        ends.sender.write(&mut ev, "hello").unwrap();
        until(&mut ev, |_| ends.got.get() == 5 * n);
        calm(&mut ev);
    }
    assert_eq!(ends.take(), []);
    ends.sender.close_now(&mut ev);
    ends.receiver.close_now(&mut ev);
    calm(&mut ev);
}

fn what_has_to_wait_is_told_of_and_its_end_too(world: &World) {
    let mut ev = world.ev();
    let ends = ends(world, &mut ev);
    ends.sender.set_quiet(&mut ev, true);
    for round in 1..=2 {
        ends.hold(&mut ev);
        ends.sender.write_owned(&mut ev, vec![b'x'; MUCH]).unwrap();
        calm(&mut ev);
        let told = ends.take();
        assert!(!told.is_empty() && !told.contains(&None), "{told:?}");
        ends.release(&mut ev);
        until(&mut ev, |_| ends.got.get() == round * MUCH);
        calm(&mut ev);
        let rest = ends.take();
        // The end is told once, last; and all bytes were told of.
        assert_eq!(rest.iter().filter(|of| of.is_none()).count(), 1);
        assert_eq!(rest.last(), Some(&None));
        let sum: usize = told.iter().chain(&rest).flatten().sum();
        assert_eq!(sum, MUCH);
        // Then it is as before.
        let before = ends.got.get();
        ends.sender.write(&mut ev, "hello").unwrap();
        until(&mut ev, |_| ends.got.get() == before + 5);
        calm(&mut ev);
        assert_eq!(ends.take(), []);
        ends.got.set(before);
    }
    ends.sender.close_now(&mut ev);
    ends.receiver.close_now(&mut ev);
    calm(&mut ev);
}

fn it_is_told_at_once_that_something_has_to_wait(world: &World) {
    let mut ev = world.ev();
    let ends = ends(world, &mut ev);
    ends.hold(&mut ev);
    // As full as it can be, with nobody to be told.
    ends.sender.write_owned(&mut ev, vec![b'x'; MUCH]).unwrap();
    calm(&mut ev);
    ends.release(&mut ev);
    until(&mut ev, |_| ends.got.get() == MUCH);
    calm(&mut ev);
    ends.take();
    ends.sender.set_quiet(&mut ev, true);
    ends.hold(&mut ev);
    ends.sender.write_owned(&mut ev, vec![b'x'; MUCH]).unwrap();
    until(&mut ev, |_| !ends.told.borrow().is_empty());
    assert!(ends.sender.output_len(&ev) > 0);
    // Nothing more is told when nothing more is taken.
    let mut told = Vec::new();
    until(&mut ev, |ev| {
        calm(ev);
        let more = ends.take();
        told.extend_from_slice(&more);
        more.is_empty()
    });
    assert!(!told.contains(&None));
    ends.sender.close_now(&mut ev);
    ends.receiver.close_now(&mut ev);
    calm(&mut ev);
}

fn a_stream_can_become_quiet_and_loud_again(world: &World) {
    let mut ev = world.ev();
    let ends = ends(world, &mut ev);
    let say = |ev: &mut evloop::EvLoop| {
        let before = ends.got.get();
        ends.sender.write(ev, "hello").unwrap();
        until(ev, |_| ends.got.get() == before + 5);
        calm(ev);
        ends.take()
    };
    assert_eq!(say(&mut ev), [Some(5), None]);
    ends.sender.set_quiet(&mut ev, true);
    assert_eq!(say(&mut ev), []);
    ends.sender.set_quiet(&mut ev, false);
    assert_eq!(say(&mut ev), [Some(5), None]);
    ends.sender.close_now(&mut ev);
    ends.receiver.close_now(&mut ev);
    calm(&mut ev);
}

/// A stream for which the system takes nothing at all, its other end, and what is told of it.
fn stuffed(ev: &mut evloop::EvLoop) -> (Stream, UnixStream, Told) {
    let (near, far) = UnixStream::pair().unwrap();
    near.set_nonblocking(true).unwrap();
    far.set_nonblocking(true).unwrap();
    while (&near).write(&[b'x'; 4096]).is_ok() {}
    while (&near).write(b"x").is_ok() {}
    let told = Told::default();
    let notes = Rc::clone(&told);
    let stream = ev
        .stream(near, move |_, _, event| match event {
            StreamEvent::Sent(n) => notes.borrow_mut().push(Some(n)),
            StreamEvent::Drained => notes.borrow_mut().push(None),
            _ => {}
        })
        .unwrap();
    calm(ev);
    (stream, far, told)
}

/// Reads until what was written has left.
fn read_on(ev: &mut evloop::EvLoop, far: &mut UnixStream, told: &Told) {
    let mut bytes = [0; 64 * 1024];
    until(ev, |_| {
        while far.read(&mut bytes).is_ok_and(|n| n > 0) {}
        told.borrow().contains(&None)
    });
}

fn a_system_that_takes_nothing_at_all_is_told_of(world: &World) {
    let mut ev = world.ev();
    let (stream, mut far, told) = stuffed(&mut ev);
    stream.set_quiet(&mut ev, true);
    stream.write(&mut ev, "hello").unwrap();
    calm(&mut ev);
    assert_eq!(told.take(), [Some(0)]);
    calm(&mut ev);
    assert_eq!(told.take(), []);
    read_on(&mut ev, &mut far, &told);
    assert_eq!(told.take(), [Some(5), None]);
    stream.close_now(&mut ev);
    calm(&mut ev);
}

fn what_waits_already_when_a_stream_becomes_quiet_is_told_of(world: &World) {
    let mut ev = world.ev();
    let (stream, mut far, told) = stuffed(&mut ev);
    stream.write(&mut ev, "hello").unwrap();
    calm(&mut ev);
    assert_eq!(told.take(), []);
    for _ in 0..2 {
        stream.set_quiet(&mut ev, true);
    }
    calm(&mut ev);
    assert_eq!(told.take(), [Some(0)]);
    read_on(&mut ev, &mut far, &told);
    assert_eq!(told.take(), [Some(5), None]);
    stream.close_now(&mut ev);
    calm(&mut ev);
}
