// Cookies of requests and of replies.

use crate::talking::*;

#[test]
fn the_cookies_of_a_request_are_read_from_all_its_fields() {
    let mut ev = ev();
    let routes = Routes::new().get("/", |ev: &mut EvLoop, request: Request, reply: Reply| {
        let all: Vec<_> =
            request.cookies().map(|(name, value)| format!("{name}={value}")).collect();
        reply.text(ev, format!("{} {:?}", all.join(","), request.cookie("b")))
    });
    let (_, mut client) = one_client(&mut ev, routes);
    let asked = request("GET", "/", "Cookie: a=1; b=2\r\ncookie: b=\"3\";c\r\n", "");
    assert_eq!(client.ask(&mut ev, asked).text(), "a=1,b=2,b=3,c= Some(\"2\")");
    assert_eq!(client.ask(&mut ev, get("/")).text(), " None");
}

#[test]
fn the_cookies_of_a_request_are_read_up_to_a_limit() {
    let mut ev = ev();
    let routes = Routes::new().get("/", |ev: &mut EvLoop, request: Request, reply: Reply| {
        reply.text(ev, request.cookies().count().to_string())
    });
    let (_, mut client) = one_client(&mut ev, routes);
    let many = format!("Cookie: {}\r\n", "a=1;".repeat(150)).repeat(2);
    let asked = request("GET", "/", &many, "");
    assert_eq!(client.ask(&mut ev, asked).text(), "100");
}

#[test]
fn replies_and_responses_set_cookies() {
    let mut ev = ev();
    let routes = Routes::new().get("/", |ev: &mut EvLoop, _, reply: Reply| {
        let response = Response::text("x").cookie(&SetCookie::new("b", "2").http_only());
        reply.cookie(&SetCookie::new("a", "1")).send(ev, response)
    });
    let (_, mut client) = one_client(&mut ev, routes);
    let answer = client.ask(&mut ev, get("/"));
    let set: Vec<_> = answer.fields.iter().filter(|(name, _)| name == "Set-Cookie").collect();
    let values: Vec<_> = set.iter().map(|(_, value)| value.as_str()).collect();
    assert_eq!(values, ["a=1", "b=2; HttpOnly"]);
}

#[test]
fn a_cookie_that_cannot_be_set_is_an_error_and_500() {
    let mut ev = ev();
    let errors = Rc::new(RefCell::new(Vec::new()));
    let noted = Rc::clone(&errors);
    let routes =
        Routes::new().get("/{how}", move |ev: &mut EvLoop, request: Request, reply: Reply| {
            let bad = SetCookie::new("a", "1\r\nX: y");
            let sent = match request.param("how") {
                Some("reply") => reply.cookie(&bad).text(ev, "x"),
                _ => reply.send(ev, Response::text("x").cookie(&bad)),
            };
            noted.borrow_mut().push(format!("{:#}", sent.unwrap_err()));
        });
    let (_, mut client) = one_client(&mut ev, routes);
    for path in ["/reply", "/response"] {
        let answer = client.ask(&mut ev, get(path));
        assert_eq!((answer.status, answer.field("set-cookie")), (500, None));
    }
    assert!(errors.borrow().iter().all(|error| error.contains("cookie's value")), "{errors:?}");
}
