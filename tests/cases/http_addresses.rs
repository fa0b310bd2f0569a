// Who may ask, and how often.

use crate::talking::*;

fn served(ev: &mut EvLoop, routes: Routes) -> (Server, Client) {
    let server = ServerOptions::new().listen(ev, "127.0.0.1:0", routes).unwrap();
    let client = Client::tcp(ev, server);
    (server, client)
}

#[test]
fn who_is_not_let_in_is_403() {
    let mut ev = ev();
    let rules = IpRules::allow_all().deny("127.0.0.0/8".parse().unwrap());
    let (_server, mut client) = served(&mut ev, hello().ip_rules(rules));
    assert_eq!(client.ask(&mut ev, get("/")).status, 403);
    assert_eq!(client.ask(&mut ev, get("/none")).status, 403);
    let (_server, mut client) = served(
        &mut ev,
        hello().ip_rules(IpRules::deny_all().allow("127.0.0.1".parse().unwrap())),
    );
    assert_eq!(client.ask(&mut ev, get("/")).text(), "hello");
}

#[test]
fn a_body_is_refused_before_it_is_sent() {
    let mut ev = ev();
    let routes = hello().post("/", |ev: &mut EvLoop, _, reply: Reply| reply.text(ev, "taken"));
    let (_server, mut client) = served(&mut ev, routes.ip_rules(IpRules::deny_all()));
    let fields = "Content-Length: 100\r\nExpect: 100-continue\r\n";
    let answer = client.ask(&mut ev, request("POST", "/", fields, ""));
    assert_eq!((answer.status, answer.closes()), (403, true));
}

#[test]
fn who_comes_over_a_unix_socket_is_let_in() {
    let mut ev = ev();
    let routes = hello().ip_rules(IpRules::deny_all()).limit_rate(RequestRate::per_second(1, 1));
    let (_server, mut client) = one_client(&mut ev, routes);
    for _ in 0..3 {
        assert_eq!(client.ask(&mut ev, get("/")).text(), "hello");
    }
}

#[test]
fn who_asks_too_often_is_429_and_told_when_to_come_again() {
    let mut ev = ev();
    let routes = hello().limit_rate(RequestRate::per(secs(10), 1, 2));
    let (server, mut client) = served(&mut ev, routes);
    for _ in 0..2 {
        assert_eq!(client.ask(&mut ev, get("/")).text(), "hello");
    }
    let answer = client.ask(&mut ev, get("/"));
    assert_eq!((answer.status, answer.field("retry-after")), (429, Some("10")));
    // Whatever the connection.
    let mut other = Client::tcp(&mut ev, server);
    assert_eq!(other.ask(&mut ev, get("/")).status, 429);
    pass(&mut ev, ms(9_500));
    assert_eq!(client.ask(&mut ev, get("/")).field("retry-after"), Some("1"));
    pass(&mut ev, ms(600));
    assert_eq!(client.ask(&mut ev, get("/")).text(), "hello");
    assert_eq!(client.ask(&mut ev, get("/")).status, 429);
}

/// One who asks on behalf of somebody else.
fn of(client: &str) -> String {
    request("GET", "/", &format!("X-Forwarded-For: {client}\r\n"), "")
}

fn behind_a_proxy(ev: &mut EvLoop, routes: Routes) -> (Server, Client) {
    let networks = ["127.0.0.1".parse().unwrap()];
    let fields = wire::forwarded::ForwardedFields::XForwarded;
    let options = ServerOptions::new().trusted_proxies(networks, fields);
    let server = options.listen(ev, "127.0.0.1:0", routes).unwrap();
    let client = Client::tcp(ev, server);
    (server, client)
}

#[test]
fn behind_a_trusted_proxy_the_rules_are_about_its_clients() {
    let mut ev = ev();
    let rules = IpRules::deny_all().allow("127.0.0.0/8".parse().unwrap());
    let rules = rules.allow("192.0.2.0/24".parse().unwrap());
    let (_server, mut proxy) = behind_a_proxy(&mut ev, hello().ip_rules(rules));
    assert_eq!(proxy.ask(&mut ev, of("192.0.2.9")).status, 200);
    for denied in ["198.51.100.1", "192.0.2.9, 198.51.100.1", "unknown", "192.0.2.9, nonsense"] {
        assert_eq!(proxy.ask(&mut ev, of(denied)).status, 403, "{denied}");
    }
    // What it asks for itself.
    assert_eq!(proxy.ask(&mut ev, get("/")).status, 200);
}

#[test]
fn behind_a_trusted_proxy_each_client_is_counted_by_itself() {
    let mut ev = ev();
    let routes = hello().limit_rate(RequestRate::per_second(1, 1));
    let (_server, mut proxy) = behind_a_proxy(&mut ev, routes);
    for client in ["192.0.2.1", "192.0.2.2", "2001:db8::1", "[2001:db8:0:1::1]:99"] {
        assert_eq!(proxy.ask(&mut ev, of(client)).status, 200, "{client}");
    }
    for client in ["192.0.2.1", "1.1.1.1, 192.0.2.2:80", "2001:db8::2", "2001:db8:0:1::2"] {
        assert_eq!(proxy.ask(&mut ev, of(client)).status, 429, "{client}");
    }
}
