// One server on several threads.

use crate::talking::*;

const PATIENCE: Duration = secs(60);

/// A server on three threads, which say which they are.
fn servers(sharing: Sharing) -> ServerThreads {
    let backend = builder().build().unwrap().backend().expect("one of the kernel's");
    ThreadOptions::new(3)
        .sharing(sharing)
        .backend(backend)
        .listen(ServerOptions::new(), "127.0.0.1:0", |thread| {
            Routes::new()
                .get("/", move |ev: &mut EvLoop, _, reply: Reply| reply.text(ev, thread.to_string()))
                .get("/slow", |ev: &mut EvLoop, _, reply: Reply| {
                    ev.after(ms(50), move |ev| reply.text(ev, "slow").unwrap());
                })
        })
        .unwrap()
}

fn port(servers: &ServerThreads) -> u16 {
    assert_eq!(servers.addresses().len(), 1);
    servers.addresses()[0].port().unwrap()
}

/// Which thread answers one request of each of these clients. The loop is only there to be turned.
fn ask(ev: &mut EvLoop, clients: &mut [Client]) -> Vec<usize> {
    clients.iter_mut().for_each(|client| client.send(get("/")));
    clients.iter_mut().map(|client| client.reply(ev).text().parse().unwrap()).collect()
}

#[test]
fn every_connection_is_served_by_one_of_the_threads() {
    for sharing in [Sharing::ReusePort, Sharing::HandOff] {
        let _watch = Watchdog::new(PATIENCE);
        let mut ev = live_ev();
        let servers = servers(sharing);
        let mut clients: Vec<_> = (0..30).map(|_| Client::connect(port(&servers))).collect();
        let first = ask(&mut ev, &mut clients);
        // A connection stays where it is.
        assert_eq!(ask(&mut ev, &mut clients), first);
        if sharing == Sharing::HandOff {
            for thread in 0..3 {
                assert_eq!(first.iter().filter(|&&of| of == thread).count(), 10);
            }
        }
        let sum = Slot::new();
        let kept = sum.clone();
        servers.remote().stats(&mut ev, move |_, stats| kept.put(stats));
        until(&mut ev, |_| !sum.is_empty());
        let stats = sum.take();
        assert_eq!((stats.connections, stats.accepted, stats.requests), (30, 30, 60));
        assert_eq!(stats.completed(CompletionReason::Ok), 60);
        // Each has some of them.
        let (tell, told) = std::sync::mpsc::channel();
        servers.remote().each(move |ev, server| {
            let infos = server.connections(ev).into_iter().map(|one| one.info(ev).unwrap());
            tell.send(infos.map(|info| info.requests).sum::<u32>()).unwrap();
        });
        assert_eq!((0..3).map(|_| told.recv().unwrap()).sum::<u32>(), 60);
        assert!(told.recv().is_err());
        drop(servers);
    }
}

#[test]
fn a_shutdown_ends_all_threads() {
    for sharing in [Sharing::ReusePort, Sharing::HandOff] {
        let _watch = Watchdog::new(PATIENCE);
        let mut ev = live_ev();
        let servers = servers(sharing);
        let port = port(&servers);
        let mut clients: Vec<_> = (0..9).map(|_| Client::connect(port)).collect();
        ask(&mut ev, &mut clients);
        clients[0].send(get("/slow"));
        // It is being handled when nothing more can be told by its thread than that.
        servers.shutdown(Some(secs(30)));
        let (rest, end) = clients[0].rest(&mut ev);
        assert_eq!(end, End::Orderly);
        assert!(rest.is_empty() || rest.ends_with(b"slow"));
        for client in &mut clients[1..] {
            assert_eq!(client.ends(&mut ev), End::Orderly);
        }
        let remote = servers.remote();
        servers.join().unwrap();
        assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_err());
        // Nobody is there to be counted, and that is told too.
        let sum = Slot::new();
        let kept = sum.clone();
        remote.stats(&mut ev, move |_, stats| kept.put(stats));
        until(&mut ev, |_| !sum.is_empty());
        assert_eq!(sum.take().connections, 0);
    }
}

#[test]
fn threads_can_be_stopped_at_once_and_dropped() {
    for sharing in [Sharing::ReusePort, Sharing::HandOff] {
        for drops in [false, true] {
            let _watch = Watchdog::new(PATIENCE);
            let mut ev = live_ev();
            let servers = servers(sharing);
            let mut clients: Vec<_> = (0..6).map(|_| Client::connect(port(&servers))).collect();
            ask(&mut ev, &mut clients);
            if drops {
                drop(servers);
            } else {
                servers.stop_now();
                servers.join().unwrap();
            }
            clients.iter_mut().for_each(|client| _ = client.rest(&mut ev));
        }
    }
}

#[test]
fn threads_that_are_quiesced_serve_on() {
    for (sharing, count) in [(Sharing::ReusePort, 3), (Sharing::HandOff, 1)] {
        let _watch = Watchdog::new(PATIENCE);
        let mut ev = live_ev();
        let servers = servers(sharing);
        let mut clients: Vec<_> = (0..6).map(|_| Client::connect(port(&servers))).collect();
        let first = ask(&mut ev, &mut clients);
        assert_eq!(servers.quiesce().len(), count);
        assert_eq!(ask(&mut ev, &mut clients), first);
    }
}

#[test]
fn routes_that_cannot_be_are_an_error_and_leave_no_thread() {
    let result = ThreadOptions::new(2).listen(ServerOptions::new(), "127.0.0.1:0", |_| {
        Routes::new().get("no slash", |ev: &mut EvLoop, _, reply: Reply| reply.empty(ev))
    });
    assert_eq!(result.map(|_| ()).unwrap_err().kind(), ErrorKind::InvalidInput);
}

/// Two sockets that listen, and their ports: one of each kind of the loopback.
fn listening() -> (Vec<std::os::fd::OwnedFd>, Vec<u16>) {
    let sockets: Vec<_> =
        (0..2).map(|_| std::net::TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    let ports = sockets.iter().map(|socket| socket.local_addr().unwrap().port()).collect();
    (sockets.into_iter().map(Into::into).collect(), ports)
}

#[test]
fn sockets_that_were_passed_on_are_served_by_one_loop_or_by_all_threads() {
    let _watch = Watchdog::new(PATIENCE);
    let mut ev = live_ev();
    let (sockets, ports) = listening();
    let routes = || Routes::new().get("/", |ev, _, reply| reply.text(ev, "0"));
    let server = ServerOptions::new().adopt_all(&mut ev, sockets, routes()).unwrap();
    assert_eq!(server.addresses(&ev).len(), 2);
    for port in ports {
        assert_eq!(ask(&mut ev, &mut [Client::connect(port)]), [0]);
    }
    server.stop_now(&mut ev);

    let (sockets, ports) = listening();
    let options = ServerOptions::new();
    let servers = ThreadOptions::new(2)
        .adopt(options.clone(), sockets, |thread| {
            Routes::new().get("/", move |ev: &mut EvLoop, _, reply: Reply| {
                reply.text(ev, thread.to_string())
            })
        })
        .unwrap();
    assert_eq!(servers.addresses().len(), 2);
    let mut clients: Vec<_> =
        ports.iter().flat_map(|&port| [Client::connect(port), Client::connect(port)]).collect();
    let mut threads = ask(&mut ev, &mut clients);
    threads.sort_unstable();
    assert_eq!(threads, [0, 0, 1, 1]);
    drop(servers);

    let none = options.adopt_all(&mut ev, Vec::new(), routes()).unwrap_err();
    assert_eq!(none.kind(), ErrorKind::InvalidInput);
    let file = std::fs::File::open("/dev/null").unwrap();
    let refused = ThreadOptions::new(2).adopt(options, vec![file.into()], |_| Routes::new());
    assert!(refused.is_err());
}
