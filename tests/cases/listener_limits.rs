// How many: in all, per host, per second.

use std::io::Read;
use std::net::SocketAddr;

use evloop::net::{Accepted, ListenOptions, ListenerPause};

use crate::listening::*;

#[test]
fn with_as_many_as_may_be_it_rests_until_one_is_closed() {
    let mut ev = live_ev();
    let (listener, name, kept) = keeper(&mut ev, &ListenOptions::new().max_connections(2));
    let clients: Vec<_> = (0..5).map(|_| call(&name)).collect();
    pass(&mut ev);
    pass(&mut ev);
    assert_eq!(kept.borrow().len(), 2);
    let stats = listener.stats(&ev).unwrap();
    assert_eq!((stats.connections, stats.paused), (2, Some(ListenerPause::Connections)));
    assert!(ev.has_refs(), "it will go on");
    assert!(clients.iter().all(is_open), "the others wait");
    for expected in 3..=5 {
        drop(kept.borrow_mut().remove(0));
        until(&mut ev, |ev| listener.stats(ev).unwrap().accepted == expected);
        pass(&mut ev);
        assert_eq!(kept.borrow().len(), 2);
    }
    drop(kept.borrow_mut().remove(0));
    pass(&mut ev);
    assert_eq!(listener.stats(&ev).unwrap().paused, None);
}

#[test]
fn a_loop_asleep_hears_that_a_connection_was_given_back_by_another_thread() {
    let _limit = Watchdog::new(secs(20));
    let mut ev = live_ev();
    let name = name();
    let (send, receive) = std::sync::mpsc::channel::<Accepted>();
    let count = Count::new();
    let up = count.clone();
    let options = ListenOptions::new().max_connections(1);
    let _listener = options.listen(&mut ev, &*name, move |ev, accepted| {
        send.send(accepted).unwrap();
        if up.up() == 20 {
            ev.break_loop(Break::All);
        }
    });
    let thread = std::thread::spawn(move || {
        for accepted in receive {
            let (_socket, permit) = accepted.into_parts();
            drop(permit);
        }
    });
    let _clients: Vec<_> = (0..20).map(|_| call(&name)).collect();
    ev.run().unwrap();
    assert_eq!(count.get(), 20);
    drop(ev);
    thread.join().unwrap();
}

#[test]
fn a_permit_outlives_the_loop_and_the_listener() {
    let mut ev = live_ev();
    let (listener, name, kept) = keeper(&mut ev, &ListenOptions::new().max_connections(1));
    let _clients = [call(&name), call(&name)];
    pass(&mut ev);
    listener.close(&mut ev);
    let (_socket, permit) = kept.borrow_mut().remove(0).into_parts();
    drop(permit);
    pass(&mut ev);
    let (_listener, name, kept) = keeper(&mut ev, &ListenOptions::new().max_connections(1));
    let _clients = [call(&name), call(&name)];
    pass(&mut ev);
    drop(ev);
    kept.borrow_mut().clear();
}

#[test]
fn what_is_taken_out_counts_no_more_unless_the_permit_is_kept() {
    let mut ev = live_ev();
    let (listener, name, kept) = keeper(&mut ev, &ListenOptions::new());
    let _clients = [call(&name), call(&name)];
    pass(&mut ev);
    let connections = |ev: &mut EvLoop| listener.stats(ev).unwrap().connections;
    assert_eq!(connections(&mut ev), 2);
    let _socket = kept.borrow_mut().remove(0).into_fd();
    assert_eq!(connections(&mut ev), 1);
    let (socket, permit) = kept.borrow_mut().remove(0).into_parts();
    drop(socket);
    assert_eq!(connections(&mut ev), 1);
    drop(permit);
    assert_eq!(connections(&mut ev), 0);
}

#[test]
fn a_host_with_as_many_as_it_may_have_is_sent_away_and_others_are_not() {
    let (mut ev, kept) = (live_ev(), Kept::default());
    let options = ListenOptions::new().max_per_ip(2);
    let listener = options.listen(&mut ev, ":0", keeps(&kept)).unwrap();
    let port = ip_of(listener, &mut ev).port();
    let v4 = SocketAddr::new([127, 0, 0, 1].into(), port);
    let v6 = SocketAddr::new(std::net::Ipv6Addr::LOCALHOST.into(), port);
    let came = |ev: &mut EvLoop, n| {
        until(ev, |ev| {
            let stats = listener.stats(ev).unwrap();
            stats.accepted + stats.refused == n
        });
        let stats = listener.stats(ev).unwrap();
        (stats.accepted, stats.refused, stats.connections)
    };
    let mut clients: Vec<_> = (0..2).map(|_| connect(v4)).collect();
    assert_eq!(came(&mut ev, 2), (2, 0, 2));
    clients.push(connect(v4));
    assert_eq!(came(&mut ev, 3), (2, 1, 2));
    assert_eq!(clients[2].read(&mut [0]).unwrap(), 0, "it is told");
    clients.push(connect(v6));
    assert_eq!(came(&mut ev, 4), (3, 1, 3));
    drop(kept.borrow_mut().remove(0));
    clients.push(connect(v4));
    assert_eq!(came(&mut ev, 5), (4, 1, 3));
}

#[test]
fn unix_sockets_are_no_hosts() {
    let mut ev = live_ev();
    let (_listener, name, kept) = keeper(&mut ev, &ListenOptions::new().max_per_ip(1));
    let _clients = [call(&name), call(&name)];
    pass(&mut ev);
    assert_eq!(kept.borrow().len(), 2);
}

#[test]
fn so_many_are_accepted_per_second_and_the_others_wait() {
    let (mut ev, clock) = ev_with_clock();
    let options = ListenOptions::new().accept_rate(10, 3);
    let (listener, name, kept) = keeper(&mut ev, &options);
    let clients: Vec<_> = (0..6).map(|_| call(&name)).collect();
    pass(&mut ev);
    assert_eq!(kept.borrow().len(), 3);
    assert_eq!(listener.stats(&ev).unwrap().paused, Some(ListenerPause::Rate));
    assert!(clients.iter().all(is_open));
    for expected in 4..=6 {
        clock.advance(ms(99));
        pass(&mut ev);
        pass(&mut ev);
        assert_eq!(kept.borrow().len(), expected - 1);
        clock.advance(ms(1));
        pass(&mut ev);
        pass(&mut ev);
        assert_eq!(kept.borrow().len(), expected);
    }
    // It sleeps until it may go on, and the loop does not end meanwhile.
    let _client = call(&name);
    let count = kept.borrow().len();
    let keep = Rc::clone(&kept);
    ev.after(secs(5), move |ev| {
        assert_eq!(keep.borrow().len(), count + 1);
        ev.break_loop(Break::All);
    });
    ev.run().unwrap();
}

#[test]
fn a_pause_and_a_limit_do_not_undo_each_other() {
    let mut ev = live_ev();
    let (listener, name, kept) = keeper(&mut ev, &ListenOptions::new().max_connections(1));
    let _clients = [call(&name), call(&name)];
    pass(&mut ev);
    listener.pause(&mut ev);
    kept.borrow_mut().clear();
    pass(&mut ev);
    pass(&mut ev);
    assert_eq!(kept.borrow().len(), 0);
    listener.resume(&mut ev);
    pass(&mut ev);
    assert_eq!(kept.borrow().len(), 1);
    assert_eq!(listener.stats(&ev).unwrap().paused, Some(ListenerPause::Connections));
    listener.resume(&mut ev);
    assert_eq!(listener.stats(&ev).unwrap().paused, Some(ListenerPause::Connections));
}
