// Whoever looks at a server that runs: hooks that can be turned off, and what there is to know about connections.

use crate::talking::*;
use evloop::http::HookSwitch;

fn switched(ev: &mut EvLoop) -> (HookSwitch, Log<String>, Client) {
    let (switch, told) = (HookSwitch::new(), Log::new());
    let told_of = told.clone();
    let routes = Routes::new()
        .get("/", |ev, _, reply| reply.text(ev, "now"))
        .get("/later", |ev: &mut EvLoop, _, reply: Reply| {
            ev.after(secs(1), move |ev| reply.text(ev, "later").unwrap());
        })
        .on_completed_while(&switch, move |_, completed| {
            told_of.push(format!("{} {}", completed.request.target, completed.reason));
        });
    let (_, client) = one_client(ev, routes);
    (switch, told, client)
}

#[test]
fn a_hook_behind_a_switch_is_called_while_it_is_on() {
    let mut ev = ev();
    let (switch, told, mut client) = switched(&mut ev);
    for _ in 0..2 {
        assert!(!switch.is_on());
        assert_eq!(client.ask(&mut ev, get("/")).text(), "now");
        settle(&mut ev);
        assert_eq!(told.take().len(), 0);
        switch.set(true);
        assert!(switch.clone().is_on());
        assert_eq!(client.ask(&mut ev, get("/")).text(), "now");
        settle(&mut ev);
        assert_eq!(told.take(), ["/ ok"]);
        switch.set(false);
    }
}

#[test]
fn a_request_during_which_the_switch_is_turned_is_not_told() {
    for on_first in [true, false] {
        let mut ev = ev();
        let (switch, told, mut client) = switched(&mut ev);
        switch.set(on_first);
        client.send(get("/later"));
        settle(&mut ev);
        switch.set(!on_first);
        pass(&mut ev, secs(1));
        assert_eq!(client.reply(&mut ev).text(), "later");
        settle(&mut ev);
        assert_eq!(told.take().len(), 0);
        switch.set(true);
        assert_eq!(client.ask(&mut ev, get("/")).text(), "now");
        settle(&mut ev);
        assert_eq!(told.take(), ["/ ok"]);
    }
}

#[test]
fn hooks_without_a_switch_beside_one_are_always_called() {
    let mut ev = ev();
    let (switch, told) = (HookSwitch::new(), Log::new());
    let [always, sometimes] = [(); 2].map(|()| told.clone());
    let routes = Routes::new()
        .get("/", |ev, _, reply| reply.text(ev, "now"))
        .on_completed_while(&switch, move |_, _| sometimes.push("sometimes"))
        .on_completed(move |_, _| always.push("always"));
    let (_, mut client) = one_client(&mut ev, routes);
    for expected in [vec!["always"], vec!["sometimes", "always"], vec!["always"]] {
        client.ask(&mut ev, get("/"));
        settle(&mut ev);
        assert_eq!(told.take(), expected);
        switch.set(!switch.is_on());
    }
}

#[test]
fn a_connection_says_what_it_asks_for_and_how_often_it_has() {
    let mut ev = ev();
    let kept = Slot::new();
    let keeps = kept.clone();
    let routes = Routes::new()
        .get("/", |ev, _, reply| reply.text(ev, "now"))
        .any("/keep/*", move |_: &mut EvLoop, _, reply: Reply| keeps.put(reply));
    let (server, mut client) = one_client(&mut ev, routes);
    settle(&mut ev);
    let connection = server.connections(&ev)[0];
    let info = connection.info(&ev).unwrap();
    assert_eq!((info.requests, info.request), (0, None));
    for _ in 0..3 {
        client.ask(&mut ev, get("/"));
    }
    let info = connection.info(&ev).unwrap();
    assert_eq!((info.requests, info.request), (3, None));
    // Half a head is no request.
    client.send("POST /keep/it?now=1 HTTP/1.1\r\nHost: a\r\n");
    settle(&mut ev);
    assert_eq!(connection.info(&ev).unwrap().requests, 3);
    // One whose body is coming is one, and one whose handler has it.
    client.send("Content-Length: 2\r\n\r\n");
    for rest in ["", "ab"] {
        client.send(rest);
        settle(&mut ev);
        let info = connection.info(&ev).unwrap();
        let asked = Some((Method::POST, "/keep/it?now=1".to_owned()));
        assert_eq!((info.requests, info.request), (4, asked), "{rest:?}");
    }
    kept.take().text(&mut ev, "at last").unwrap();
    assert_eq!(client.reply(&mut ev).text(), "at last");
    assert_eq!(connection.info(&ev).unwrap().request, None);
    drop(client);
    until(&mut ev, |ev| server.connections(ev).is_empty());
    assert_eq!(connection.info(&ev), None);
}
