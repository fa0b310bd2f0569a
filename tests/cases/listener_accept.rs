// What is accepted, and when: batches, pauses, several sockets, sockets that break.

use std::os::fd::AsFd;

use evloop::net::{Accepted, AcceptError, Address, ListenOptions, ListenerPause, ListenerStats};
use rustix::net::sockopt;

use crate::listening::*;

fn stats(listener: net::Listener, ev: &mut EvLoop) -> ListenerStats {
    listener.stats(ev).unwrap()
}

#[test]
fn an_accepted_socket_never_blocks_is_not_inherited_and_does_not_wait_to_send() {
    let (mut ev, kept) = (live_ev(), Kept::default());
    let listener = ev.listen("127.0.0.1:0", keeps(&kept)).unwrap();
    let _client = connect(ip_of(listener, &mut ev));
    until(&mut ev, |_| !kept.borrow().is_empty());
    let accepted = kept.borrow_mut().remove(0);
    assert!(format!("{accepted:?}").contains("127.0.0.1"));
    let fd = accepted.into_fd();
    assert!(rustix::fs::fcntl_getfl(&fd).unwrap().contains(rustix::fs::OFlags::NONBLOCK));
    assert!(rustix::io::fcntl_getfd(&fd).unwrap().contains(rustix::io::FdFlags::CLOEXEC));
    assert!(sockopt::tcp_nodelay(&fd).unwrap());
}

#[test]
fn what_is_dropped_is_refused() {
    let mut ev = live_ev();
    let name = name();
    let _listener = ev.listen(&*name, nothing).unwrap();
    let client = call(&name);
    pass(&mut ev);
    assert!(is_ended(&client));
}

#[test]
fn a_paused_listener_lets_connections_wait() {
    let mut ev = live_ev();
    let (listener, name, kept) = keeper(&mut ev, &ListenOptions::new());
    assert!(listener.pause(&mut ev));
    let clients: Vec<_> = (0..3).map(|_| call(&name)).collect();
    pass(&mut ev);
    assert_eq!(kept.borrow().len(), 0);
    assert_eq!(stats(listener, &mut ev).paused, Some(ListenerPause::Asked));
    assert!(listener.pause(&mut ev), "twice is as good as once");
    assert!(listener.resume(&mut ev));
    assert_eq!(stats(listener, &mut ev).paused, None);
    pass(&mut ev);
    assert_eq!(kept.borrow().len(), 3);
    assert!(clients.iter().all(is_open));
}

#[test]
fn a_paused_listener_keeps_no_loop_running_and_one_that_goes_on_does() {
    let mut ev = live_ev();
    let (listener, name, kept) = keeper(&mut ev, &ListenOptions::new());
    assert!(ev.has_refs());
    listener.pause(&mut ev);
    assert!(!ev.run().unwrap());
    listener.resume(&mut ev);
    assert!(ev.has_refs());
    listener.set_ref(&mut ev, false);
    assert!(!ev.run().unwrap());
    // It still accepts.
    let _client = call(&name);
    pass(&mut ev);
    assert_eq!(kept.borrow().len(), 1);
    listener.pause(&mut ev);
    listener.set_ref(&mut ev, true);
    assert!(!ev.has_refs(), "paused it does not, whatever it was told");
}

#[test]
fn so_many_are_accepted_per_wake_up_and_no_more() {
    let mut ev = live_ev();
    let (listener, name, kept) = keeper(&mut ev, &ListenOptions::new());
    let _clients: Vec<_> = (0..150).map(|_| call(&name)).collect();
    for (expected, last) in [(64, 64), (128, 64), (150, 22)] {
        pass(&mut ev);
        assert_eq!(kept.borrow().len(), expected);
        assert_eq!(stats(listener, &mut ev).last_wakeup, last);
    }
    let stats = stats(listener, &mut ev);
    assert_eq!((stats.accepted, stats.most_per_wakeup, stats.wakeups), (150, 64, 3));
    assert_eq!((stats.errors, stats.refused, stats.shed, stats.connections), (0, 0, 0, 150));
    let few = ListenOptions::new().accepts_per_wakeup(0);
    let (listener, name, kept) = keeper(&mut ev, &few);
    let _clients = [call(&name), call(&name)];
    pass(&mut ev);
    assert_eq!(kept.borrow().len(), 1, "none is one");
    assert_eq!(listener.stats(&ev).unwrap().paused, None);
}

#[test]
fn several_sockets_share_the_accepts_of_a_wake_up() {
    let (mut ev, kept) = (live_ev(), Kept::default());
    let names = [name(), name(), name()];
    let options = ListenOptions::new().accepts_per_wakeup(10);
    let addresses: Vec<&str> = names.iter().map(String::as_str).collect();
    let listener = options.listen(&mut ev, addresses, keeps(&kept)).unwrap();
    let mut clients: Vec<_> = (0..20).map(|_| call(&names[0])).collect();
    pass(&mut ev);
    assert_eq!(kept.borrow().len(), 10, "one that is alone has them all");
    clients.extend((0..20).map(|_| call(&names[1])));
    kept.borrow_mut().clear();
    pass(&mut ev);
    let at = |name: &str| {
        let address: Address = name.parse().unwrap();
        kept.borrow().iter().filter(|accepted| accepted.local().as_ref() == Some(&address)).count()
    };
    assert_eq!([at(&names[0]), at(&names[1]), at(&names[2])], [5, 5, 0]);
    assert_eq!(stats(listener, &mut ev).last_wakeup, 10);
    // With less than one for each there is one for each.
    kept.borrow_mut().clear();
    let one = ListenOptions::new().accepts_per_wakeup(1);
    let (a, b) = (name(), name());
    let _other = one.listen(&mut ev, [&*a, &*b], keeps(&kept)).unwrap();
    listener.close(&mut ev);
    let _clients = [call(&a), call(&a), call(&b), call(&b)];
    pass(&mut ev);
    assert_eq!((at(&a), at(&b)), (1, 1));
}

#[test]
fn a_busy_neighbour_does_not_keep_a_listener_from_its_turn() {
    let mut ev = live_ev();
    let (_first, busy, _many) = keeper(&mut ev, &ListenOptions::new().accepts_per_wakeup(4));
    let (_second, quiet, few) = keeper(&mut ev, &ListenOptions::new());
    let _clients: Vec<_> = (0..100).map(|_| call(&busy)).collect();
    pass(&mut ev);
    let _client = call(&quiet);
    pass(&mut ev);
    assert_eq!(few.borrow().len(), 1);
}

#[test]
fn an_idle_listener_costs_no_wait() {
    let mut ev = ev();
    let (listener, name, kept) = keeper(&mut ev, &ListenOptions::new());
    let waits = Count::new();
    let up = waits.clone();
    ev.on_wait(move || {
 up.up();
 }, || {});
    let _client = call(&name);
    ev.after(secs(10), move |ev| {
        listener.close(ev);
    });
    ev.run().unwrap();
    assert_eq!(kept.borrow().len(), 1);
    assert!(waits.get() <= 3, "{}", waits.get());
}

#[test]
fn closing_leaves_what_was_accepted() {
    let mut ev = live_ev();
    let (listener, name, kept) = keeper(&mut ev, &ListenOptions::new());
    let (client, waiting) = (call(&name), |name: &str| call(name));
    pass(&mut ev);
    let late = waiting(&name);
    listener.close(&mut ev);
    assert!(is_open(&client));
    assert!(is_ended(&late), "who waited is told");
    kept.borrow_mut().clear();
    assert!(is_ended(&client));
}

#[test]
fn a_socket_that_listens_no_more_is_given_up_and_the_others_go_on() {
    let (mut ev, kept) = (live_ev(), Kept::default());
    let told: Log<(bool, Option<i32>, Option<Address>)> = Log::new();
    let other = name();
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = Address::from(socket.local_addr().unwrap());
    let twin = socket.try_clone().unwrap();
    let listener = ListenOptions::new().adopt(&mut ev, socket, keeps(&kept)).unwrap();
    listener.add(&mut ev, &*other).unwrap();
    let log = told.clone();
    listener.on_error(&mut ev, move |_, e: AcceptError| {
        assert_eq!((e.listener, e.error.kind()), (listener, ErrorKind::Listen));
        log.push((e.stopped, e.error.raw_os_error(), e.address));
    });
    rustix::net::shutdown(&twin, rustix::net::Shutdown::Both).unwrap();
    until(&mut ev, |_| told.len() > 0);
    pass(&mut ev);
    assert_eq!(told.take(), [(true, Some(libc::EINVAL), Some(address))]);
    assert_eq!(listener.addresses(&ev), [other.parse::<Address>().unwrap()]);
    let _client = call(&other);
    pass(&mut ev);
    assert_eq!(kept.borrow().len(), 1);
    assert_eq!(stats(listener, &mut ev).errors, 1);
}

#[test]
fn a_socket_that_breaks_with_nobody_told_ends_in_silence() {
    let mut ev = live_ev();
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let twin = socket.try_clone().unwrap();
    let _listener = ListenOptions::new().adopt(&mut ev, socket, nothing).unwrap();
    rustix::net::shutdown(&twin, rustix::net::Shutdown::Both).unwrap();
    // Nothing is left to wait for.
    assert!(!ev.run().unwrap());
}

#[test]
fn a_stale_key_does_nothing() {
    let (mut ev, mut other) = (live_ev(), live_ev());
    let closed = ev.listen(&*name(), nothing).unwrap();
    closed.close(&mut ev);
    let foreign = other.listen(&*name(), nothing).unwrap();
    for key in [closed, foreign] {
        assert!(!key.exists(&ev));
        assert!(!key.pause(&mut ev) && !key.resume(&mut ev));
        assert!(!key.set_callback(&mut ev, nothing) && !key.on_error(&mut ev, nothing));
        assert!(key.addresses(&ev).is_empty());
        assert!(key.stats(&ev).is_none());
        assert_eq!(key.add(&mut ev, &*name()).unwrap_err().kind(), ErrorKind::Stale);
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        assert_eq!(key.add_fd(&mut ev, socket).unwrap_err().kind(), ErrorKind::Stale);
        assert!(!key.remove(&mut ev, &"127.0.0.1:1".parse().unwrap()));
        assert!(!key.close(&mut ev));
        assert_eq!(key.set_ref(&mut ev, false), key);
    }
    assert!(foreign.exists(&other));
}

#[test]
fn options_of_an_accepted_socket_can_be_set() {
    let (mut ev, kept) = (live_ev(), Kept::default());
    let _listener = {
        let listener = ev.listen("127.0.0.1:0", keeps(&kept)).unwrap();
        connect(ip_of(listener, &mut ev))
    };
    until(&mut ev, |_| !kept.borrow().is_empty());
    let kept: Vec<Accepted> = kept.take();
    sockopt::set_socket_keepalive(kept[0].as_fd(), true).unwrap();
    assert!(sockopt::socket_keepalive(kept[0].as_fd()).unwrap());
}
