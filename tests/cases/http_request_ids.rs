// Names for requests.

use crate::talking::*;

fn says_id() -> Routes {
    Routes::new().get("/", |ev: &mut EvLoop, request: Request, reply: Reply| {
        reply.text(ev, request.id().unwrap_or("none"))
    })
}

fn with_id(id: &str) -> String {
    request("GET", "/", &format!("X-Request-Id: {id}\r\n"), "")
}

#[test]
fn each_request_has_an_id_of_its_own_and_is_told_it() {
    let mut ev = ev();
    let (_, mut client) = one_client(&mut ev, says_id().request_id(RequestIds::new()));
    let mut seen = std::collections::HashSet::new();
    for _ in 0..100 {
        let answer = client.ask(&mut ev, get("/"));
        let id = answer.text().to_owned();
        assert_eq!(answer.field("x-request-id"), Some(id.as_str()));
        assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
        assert!(seen.insert(id));
    }
    assert!(client.ask(&mut ev, get("/none")).field("x-request-id").is_some());
}

#[test]
fn without_them_there_is_none() {
    let mut ev = ev();
    let (_, mut client) = one_client(&mut ev, says_id());
    let answer = client.ask(&mut ev, with_id("abc"));
    assert_eq!((answer.text(), answer.field("x-request-id")), ("none", None));
}

#[test]
fn the_id_of_a_trusted_peer_is_taken() {
    let mut ev = ev();
    let ids = RequestIds::new().trust("127.0.0.0/8".parse().unwrap());
    let server =
        ServerOptions::new().listen(&mut ev, "127.0.0.1:0", says_id().request_id(ids)).unwrap();
    let mut client = Client::tcp(&mut ev, server);
    assert_eq!(client.ask(&mut ev, with_id("a-B_9.:+/=@")).text(), "a-B_9.:+/=@");
    let long = "x".repeat(128);
    assert_eq!(client.ask(&mut ev, with_id(&long)).text(), long);
    for bad in ["", "a b", "a\"b", "a,b", "\u{e4}", &"x".repeat(129), "a\r\nX-Request-Id: b"] {
        let answer = client.ask(&mut ev, with_id(bad));
        assert_eq!(answer.text().len(), 32, "{bad:?}");
        assert_eq!(answer.field("x-request-id"), Some(answer.text()));
    }
}

#[test]
fn the_id_of_anybody_else_is_not() {
    let mut ev = ev();
    let ids = RequestIds::new().trust("10.0.0.0/8".parse().unwrap());
    let server =
        ServerOptions::new().listen(&mut ev, "127.0.0.1:0", says_id().request_id(ids)).unwrap();
    let mut client = Client::tcp(&mut ev, server);
    assert_ne!(client.ask(&mut ev, with_id("mine")).text(), "mine");
}

#[test]
fn peers_on_unix_sockets_are_trusted_if_that_is_said() {
    let mut ev = ev();
    let (_, mut client) = one_client(&mut ev, says_id().request_id(RequestIds::new().trust_unix()));
    assert_eq!(client.ask(&mut ev, with_id("mine")).text(), "mine");
    let ids = RequestIds::new().trust("0.0.0.0/0".parse().unwrap());
    let (_, mut client) = one_client(&mut ev, says_id().request_id(ids));
    assert_ne!(client.ask(&mut ev, with_id("mine")).text(), "mine");
}

#[test]
fn the_field_can_have_another_name_and_need_not_be_told() {
    let mut ev = ev();
    let ids = RequestIds::new().field("Trace").trust_unix();
    let (_, mut client) = one_client(&mut ev, says_id().request_id(ids.clone()));
    let asked = request("GET", "/", "TRACE: t1\r\n", "");
    let answer = client.ask(&mut ev, &asked);
    assert_eq!((answer.text(), answer.field("trace")), ("t1", Some("t1")));
    let (_, mut client) = one_client(&mut ev, says_id().request_id(ids.untold()));
    let answer = client.ask(&mut ev, &asked);
    assert_eq!((answer.text(), answer.field("trace")), ("t1", None));
    let wrong = says_id().request_id(RequestIds::new().field("a b"));
    let error = ServerOptions::new().unbound(&mut ev, wrong).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

#[test]
fn hooks_at_the_end_know_the_id() {
    let mut ev = ev();
    let told = Log::new();
    let log = told.clone();
    let routes = says_id()
        .request_id(RequestIds::new().trust_unix())
        .on_completed(move |_, completed| log.push(completed.request.id.clone().unwrap()));
    let (_, mut client) = one_client(&mut ev, routes);
    client.ask(&mut ev, with_id("a1"));
    client.ask(&mut ev, with_id("a2"));
    settle(&mut ev);
    assert_eq!(told.take(), ["a1".into(), "a2".into()]);
}
