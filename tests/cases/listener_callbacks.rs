// What callbacks may do: everything.

use std::net::TcpListener;

use evloop::net::{Accepted, ListenOptions};

use crate::listening::*;

#[test]
fn who_closes_in_the_callback_gets_no_more_and_the_address_is_free() {
    let mut ev = live_ev();
    let count = Count::new();
    let up = count.clone();
    let listener = ev
        .listen("127.0.0.1:0", move |ev, accepted: Accepted| {
            up.up();
            let (listener, local) = (accepted.listener(), accepted.local().unwrap());
            assert!(listener.close(ev));
            assert!(!listener.exists(ev));
            // Not from the end of the callback on: now.
            ev.listen(&local, nothing).unwrap().close(ev);
        })
        .unwrap();
    let address = ip_of(listener, &mut ev);
    let _clients: Vec<_> = (0..5).map(|_| connect(address)).collect();
    ev.run().unwrap();
    assert_eq!(count.get(), 1);
}

#[test]
fn who_takes_the_sockets_in_the_callback_finds_those_who_wait_there() {
    let mut ev = live_ev();
    let name = name();
    let (count, kept) = (Count::new(), Kept::default());
    let (up, keep) = (count.clone(), Rc::clone(&kept));
    let _listener = ev.listen(&*name, move |ev, accepted: Accepted| {
        up.up();
        let mut fds = accepted.listener().into_fds(ev);
        assert_eq!(fds.len(), 1);
        ListenOptions::new().adopt(ev, fds.remove(0), keeps(&keep)).unwrap();
    });
    let _clients: Vec<_> = (0..5).map(|_| call(&name)).collect();
    pass(&mut ev);
    pass(&mut ev);
    assert_eq!((count.get(), kept.borrow().len()), (1, 4));
}

#[test]
fn who_pauses_in_the_callback_gets_no_more_until_it_goes_on() {
    let mut ev = live_ev();
    let name = name();
    let count = Count::new();
    let up = count.clone();
    let listener = ev
        .listen(&*name, move |ev, accepted: Accepted| {
            up.up();
            accepted.listener().pause(ev);
        })
        .unwrap();
    let _clients: Vec<_> = (0..3).map(|_| call(&name)).collect();
    for n in 1..=3 {
        pass(&mut ev);
        pass(&mut ev);
        assert_eq!(count.get(), n);
        listener.resume(&mut ev);
    }
}

#[test]
fn a_socket_removed_in_the_callback_gives_no_more() {
    let mut ev = live_ev();
    let (a, b) = (name(), name());
    let log = Log::new();
    let says = log.clone();
    let address: net::Address = a.parse().unwrap();
    let _listener = ev.listen([&*a, &*b], move |ev, accepted: Accepted| {
        says.push(accepted.local() == Some(address.clone()));
        accepted.listener().remove(ev, &address);
    });
    let _clients = [call(&a), call(&a), call(&b), call(&b)];
    pass(&mut ev);
    assert_eq!(log.take(), [true, false, false]);
}

#[test]
fn a_panic_reaches_whoever_runs_the_loop_and_the_rest_comes_later() {
    let mut ev = live_ev();
    let name = name();
    let kept = Kept::default();
    let mut keep = keeps(&kept);
    let first = Cell::new(true);
    let _listener = ev.listen(&*name, move |ev, accepted| {
        assert!(!first.replace(false), "the first is one too many");
        keep(ev, accepted);
    });
    let clients: Vec<_> = (0..3).map(|_| call(&name)).collect();
    let message = panic_of(|| ev.run_mode(Run::NoWait)).unwrap();
    assert!(message.contains("one too many"), "{message}");
    assert!(is_ended(&clients[0]));
    pass(&mut ev);
    assert_eq!(kept.borrow().len(), 2);
    assert!(clients[1..].iter().all(is_open));
}

#[test]
fn a_panic_after_closing_is_only_a_panic() {
    let mut ev = live_ev();
    let name = name();
    let _listener = ev.listen(&*name, move |ev, accepted: Accepted| {
        accepted.listener().close(ev);
        panic!("after it was closed");
    });
    let _client = call(&name);
    assert!(panic_of(|| ev.run()).is_some());
    assert!(!ev.run().unwrap());
}

#[test]
fn a_loop_run_inside_the_callback_serves_others_and_neither_enters_it_again_nor_spins() {
    let mut ev = ev();
    let (a, b) = (name(), name());
    let (_other, third, kept) = keeper(&mut ev, &ListenOptions::new());
    let (waits, calls) = (Count::new(), Count::new());
    let running = Cell::new(false);
    let up = waits.clone();
    ev.on_wait(move || {
 up.up();
 }, || {});
    let (spent, called) = (waits.clone(), calls.clone());
    let more = [a.clone(), b.clone()];
    let listener = ev
        .listen([&*a, &*b], move |ev, accepted: Accepted| {
            assert!(!running.replace(true), "it is not running already");
            if called.up() == 1 {
                let _clients = [call(&more[0]), call(&more[1]), call(&third)];
                let before = spent.get();
                ev.after(secs(1), |ev| ev.break_loop(Break::One));
                ev.run().unwrap();
                assert!(spent.get() - before <= 5, "{} waits", spent.get() - before);
            }
            drop(accepted);
            running.set(false);
        })
        .unwrap();
    let _client = call(&a);
    pass(&mut ev);
    assert_eq!(kept.borrow().len(), 1, "others were served");
    pass(&mut ev);
    pass(&mut ev);
    assert_eq!(calls.get(), 3, "and those who came meanwhile come then");
    listener.close(&mut ev);
}

#[test]
fn the_callback_can_be_replaced_also_by_itself() {
    let mut ev = live_ev();
    let name = name();
    let log = Log::new();
    let (first, second) = (log.clone(), log.clone());
    let held = Rc::new(());
    let dropped = Rc::clone(&held);
    let listener = ev
        .listen(&*name, move |ev, accepted: Accepted| {
            let _held = &held;
            first.push("first");
            assert!(accepted.listener().set_callback(ev, second.says("second")));
            first.push("still the first");
        })
        .unwrap();
    let _clients = [call(&name), call(&name)];
    pass(&mut ev);
    assert_eq!(log.take(), ["first", "still the first", "second"]);
    assert_eq!(Rc::strong_count(&dropped), 1);
    listener.set_callback(&mut ev, log.says("third"));
    let _client = call(&name);
    pass(&mut ev);
    assert_eq!(log.take(), ["third"]);
}

#[test]
fn what_callbacks_hold_is_dropped_when_the_listener_or_the_loop_goes() {
    let held = Rc::new(());
    let hold = || {
        let held = Rc::clone(&held);
        move |_: &mut EvLoop, accepted: Accepted| drop((Rc::clone(&held), accepted))
    };
    let mut ev = live_ev();
    let listener = ev.listen(&*name(), hold()).unwrap();
    let also = Rc::clone(&held);
    listener.on_error(&mut ev, move |_, _| drop(Rc::clone(&also)));
    assert_eq!(Rc::strong_count(&held), 3);
    listener.close(&mut ev);
    assert_eq!(Rc::strong_count(&held), 1);
    let _kept = ev.listen(&*name(), hold()).unwrap();
    drop(ev);
    assert_eq!(Rc::strong_count(&held), 1);
}

#[test]
fn a_callback_that_keeps_connections_lets_go_of_them_when_the_loop_goes() {
    let mut ev = live_ev();
    let name = name();
    let mut own = Vec::new();
    let _listener = ev.listen(&*name, move |_, accepted| own.push(accepted)).unwrap();
    let client = call(&name);
    pass(&mut ev);
    assert!(is_open(&client));
    drop(ev);
    assert!(is_ended(&client));
}

#[test]
fn the_error_callback_may_close_panic_and_add() {
    for case in 0..3 {
        let mut ev = live_ev();
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let twin = socket.try_clone().unwrap();
        let listener = ListenOptions::new().adopt(&mut ev, socket, nothing).unwrap();
        listener.on_error(&mut ev, move |ev, e| {
            assert!(e.stopped);
            match case {
                0 => assert!(e.listener.close(ev)),
                1 => panic!("no more sockets"),
                _ => e.listener.add(ev, "127.0.0.1:0").unwrap(),
            }
        });
        rustix::net::shutdown(&twin, rustix::net::Shutdown::Both).unwrap();
        let outcome = panic_of(|| until(&mut ev, |ev| {
            listener.stats(ev).is_none_or(|stats| stats.errors > 0)
        }));
        assert_eq!(outcome.is_some(), case == 1);
        assert_eq!(listener.exists(&ev), case != 0);
        assert_eq!(listener.addresses(&ev).len(), usize::from(case == 2));
    }
}

#[test]
fn a_listener_opened_in_a_callback_is_served() {
    let mut ev = live_ev();
    let (a, b) = (name(), name());
    let kept = Kept::default();
    let (keep, at) = (Rc::clone(&kept), b.clone());
    let _listener = ev.listen(&*a, move |ev, _| {
        ev.listen(&*at, keeps(&keep)).unwrap();
    });
    let _first = call(&a);
    pass(&mut ev);
    let _second = call(&b);
    pass(&mut ev);
    assert_eq!(kept.borrow().len(), 1);
}
