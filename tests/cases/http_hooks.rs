// Hooks around handlers: before, after, error pages, request lines, connections.

use crate::talking::*;

fn says(text: &'static str) -> impl FnMut(&mut EvLoop, Request, Reply) -> Result<()> {
    move |ev, _, reply| reply.text(ev, text)
}

#[test]
fn hooks_are_called_in_order_around_the_handler() {
    let mut ev = ev();
    let told = Log::new();
    let [a, b, c, d, e, f] = [(); 6].map(|()| told.clone());
    let routes = Routes::new()
        .get("/", move |ev: &mut EvLoop, _, reply: Reply| {
            c.push("handler");
            reply.text(ev, "x")
        })
        .before(move |_, _, reply| {
            a.push("before 1");
            Some(reply)
        })
        .before(move |_, _, reply| {
            b.push("before 2");
            Some(reply)
        })
        .after(move |_, _, _| d.push("after 1"))
        .after(move |_, _, _| e.push("after 2"))
        .on_completed(move |_, _| f.push("completed"));
    let (_, mut client) = one_client(&mut ev, routes);
    client.ask(&mut ev, get("/"));
    settle(&mut ev);
    let all = ["before 1", "before 2", "handler", "after 1", "after 2", "completed"];
    assert_eq!(told.take(), all);
}

#[test]
fn a_before_hook_can_answer_instead_of_the_handler() {
    let mut ev = ev();
    let routes = Routes::new().get("/", says("handler")).get("/secret", says("secret")).before(
        |ev, request, reply| {
            if request.path() == "/secret" && request.header("authorization").is_none() {
                reply.status(Status::UNAUTHORIZED).text(ev, "who are you?").unwrap();
                return None;
            }
            Some(reply)
        },
    );
    let (_, mut client) = one_client(&mut ev, routes);
    assert_eq!(client.ask(&mut ev, get("/")).text(), "handler");
    let answer = client.ask(&mut ev, get("/secret"));
    assert_eq!((answer.status, answer.text()), (401, "who are you?"));
    let with = request("GET", "/secret", "Authorization: me\r\n", "");
    assert_eq!(client.ask(&mut ev, with).text(), "secret");
}

#[test]
fn a_before_hook_can_answer_later() {
    let mut ev = ev();
    let routes = Routes::new().get("/", says("handler")).before(|ev, _, reply| {
        ev.after(secs(1), move |ev| reply.text(ev, "hook").unwrap());
        None
    });
    let (_, mut client) = one_client(&mut ev, routes);
    client.send(get("/") + &get("/none"));
    client.hears_nothing(&mut ev);
    pass(&mut ev, secs(1));
    assert_eq!(client.reply(&mut ev).text(), "hook");
    pass(&mut ev, secs(1));
    assert_eq!(client.reply(&mut ev).text(), "hook");
}

#[test]
fn a_before_hook_that_drops_the_reply_is_500() {
    let mut ev = ev();
    let routes = Routes::new().get("/", says("handler")).before(|_, _, reply| {
        drop(reply);
        None
    });
    let (_, mut client) = one_client(&mut ev, routes);
    assert_eq!(client.ask(&mut ev, get("/")).status, 500);
}

#[test]
fn a_before_hook_can_add_fields() {
    let mut ev = ev();
    let routes = Routes::new()
        .get("/", says("handler"))
        .before(|_, _, reply| Some(reply.header("X-One", "1")))
        .before(|_, _, reply| Some(reply.header("X-Two", "2")));
    let (_, mut client) = one_client(&mut ev, routes);
    for (path, method) in [("/", "GET"), ("/none", "GET"), ("/", "DELETE"), ("/", "OPTIONS")] {
        let answer = client.ask(&mut ev, request(method, path, "", ""));
        assert_eq!((answer.field("x-one"), answer.field("x-two")), (Some("1"), Some("2")), "{method} {path}");
    }
    // What one request was given is not the next one's.
    assert_eq!(client.ask(&mut ev, get("/")).fields.len(), 5);
}

#[test]
fn a_before_hook_is_called_before_the_body_and_can_limit_it() {
    let mut ev = ev();
    let routes = Routes::new()
        .post("/", |ev: &mut EvLoop, request: Request, reply: Reply| {
            reply.text(ev, format!("{}", request.body().len()))
        })
        .before(|_, request, reply| {
            assert!(request.body().is_empty());
            let limit = request.header("x-limit").and_then(|limit| limit.parse().ok());
            request.set_max_body(limit.unwrap_or(4));
            Some(reply)
        });
    let (server, mut client) = one_client(&mut ev, routes);
    assert_eq!(client.ask(&mut ev, post("/", "four")).text(), "4");
    let more = request("POST", "/", "X-Limit: 5\r\nContent-Length: 5\r\n", "fiver");
    assert_eq!(client.ask(&mut ev, more).text(), "5");
    // Before a byte of the body has come.
    let answer = client.ask(&mut ev, request("POST", "/", "Content-Length: 5\r\n", ""));
    assert_eq!((answer.status, answer.closes()), (413, true));
    // A larger one than the server has for others.
    let options = ServerOptions::new().max_body(2);
    let routes = Routes::new()
        .post("/", |ev: &mut EvLoop, request: Request, reply: Reply| {
            reply.text(ev, format!("{}", request.body().len()))
        })
        .before(|_, request, reply| {
            request.set_max_body(10);
            Some(reply)
        });
    let (_, mut client) = one_client_with(&mut ev, options, routes);
    assert_eq!(client.ask(&mut ev, post("/", "0123456789")).text(), "10");
    assert!(server.exists(&ev));
}

#[test]
fn a_before_hook_can_take_the_body_in_place_of_the_handler() {
    let mut ev = ev();
    let taken = Log::new();
    let notes = taken.clone();
    let routes = Routes::new()
        .before(move |ev, request, reply| {
            request.set_max_body(10);
            if request.header("x-taken").is_some() {
                let notes = notes.clone();
                let told = request.receive(ev, move |_, _, event| match event {
                    BodyEvent::Data(data) => {
                        notes.push(format!("{} bytes", data.drain(usize::MAX)));
                    }
                    other => notes.push(format!("{other:?}")),
                });
                told.unwrap();
            }
            Some(reply)
        })
        .post("/", |ev: &mut EvLoop, request: Request, reply: Reply| {
            reply.text(ev, request.body().len().to_string())
        });
    let (_, mut client) = one_client(&mut ev, routes);
    client.send(request("POST", "/", "X-Taken: yes\r\nContent-Length: 6\r\n", "one"));
    assert_eq!(client.reply(&mut ev).text(), "0");
    client.send("two");
    settle(&mut ev);
    let told = taken.take();
    assert_eq!(told, ["3 bytes", "3 bytes", "End({})"].map(str::to_owned), "{told:?}");
    assert_eq!(client.ask(&mut ev, post("/", "gathered")).text(), "8");
    assert_eq!(taken.take(), [""; 0]);
    // Its limit is that of the request, and without a body there is an end all the same.
    client.send(request("POST", "/", "X-Taken: yes\r\n", ""));
    assert_eq!(client.reply(&mut ev).text(), "0");
    settle(&mut ev);
    assert_eq!(taken.take(), ["End({})"]);
    client.send(request("POST", "/", "X-Taken: yes\r\nContent-Length: 11\r\n", ""));
    assert_eq!(client.reply(&mut ev).status, 413);
    assert_eq!(taken.take(), ["Failed(Fault(BodyTooLarge))"]);
}

#[test]
fn whoever_waits_with_the_body_can_be_refused_before_it() {
    for (status, answers) in [(413, "too large"), (417, "no"), (401, "who?")] {
        let mut ev = ev();
        let routes = Routes::new().post("/", says("handler")).before(move |ev, _, reply| {
            reply.status(Status::from_code(status).unwrap()).text(ev, answers).unwrap();
            None
        });
        let (_, mut client) = one_client(&mut ev, routes);
        let fields = "Expect: 100-continue\r\nContent-Length: 1000\r\n";
        let answer = client.ask(&mut ev, request("POST", "/", fields, ""));
        // Not 100 first; and since nobody knows whether the body comes, it is over.
        assert_eq!((answer.status, answer.text(), answer.closes()), (status, answers, true));
        client.finish();
        client.ends(&mut ev);
    }
}

#[test]
fn an_after_hook_can_change_every_reply() {
    let mut ev = ev();
    let slot = Slot::new();
    let routes = keeps(&slot)
        .get("/a", says("handler"))
        .after(|_, summary, response| {
            let seen = format!("{} {}", summary.target, response.status_of().code());
            let old = std::mem::take(response);
            *response = old.header("X-After", seen);
        })
        .after(|_, _, response| {
            if response.status_of() == Status::NOT_FOUND {
                *response = Response::text("nowhere").status(Status::GONE);
            }
        });
    let (_, mut client) = one_client(&mut ev, routes);
    let answer = client.ask(&mut ev, get("/a"));
    assert_eq!((answer.text(), answer.field("x-after")), ("handler", Some("/a 200")));
    let answer = client.ask(&mut ev, get("/none"));
    assert_eq!((answer.status, answer.text()), (410, "nowhere"));
    client.send(get("/"));
    client.hears_nothing(&mut ev);
    slot.take().status(Status::CREATED).empty(&mut ev).unwrap();
    assert_eq!(client.reply(&mut ev).field("x-after"), Some("/ 201"));
    let answer = client.ask(&mut ev, request("OPTIONS", "/", "", ""));
    assert_eq!(answer.field("x-after"), Some("/ 204"));
}

#[test]
fn what_an_after_hook_spoils_is_500() {
    let mut ev = ev();
    for (name, value) in [("X", "a\r\nb"), ("Content-Length", "3")] {
        let routes = Routes::new().get("/", says("handler")).after(move |_, _, response| {
            *response = std::mem::take(response).header(name, value);
        });
        let (_, mut client) = one_client(&mut ev, routes);
        assert_eq!(client.ask(&mut ev, get("/")).status, 500, "{name}");
    }
}

#[test]
fn an_error_page_is_made_for_what_the_server_says_itself() {
    let mut ev = ev();
    let routes = hello()
        .get("/drop", |_: &mut EvLoop, _, reply: Reply| drop(reply))
        .get("/own", |ev: &mut EvLoop, _, reply: Reply| reply.status(Status::NOT_FOUND).text(ev, "own"))
        .error_page(|_, status, fault| {
            if status == Status::METHOD_NOT_ALLOWED {
                return None;
            }
            Some(Response::html(format!("<p>{} {}", status.code(), fault.is_some())))
        });
    let (server, mut client) = one_client(&mut ev, routes);
    let answer = client.ask(&mut ev, get("/none"));
    assert_eq!((answer.status, answer.text()), (404, "<p>404 false"));
    assert_eq!(answer.field("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(client.ask(&mut ev, get("/drop")).text(), "<p>500 false");
    assert_eq!(client.ask(&mut ev, get("/own")).text(), "own");
    let answer = client.ask(&mut ev, post("/", ""));
    assert_eq!((answer.status, answer.text()), (405, "405 Method Not Allowed\n"));
    let answer = client.ask(&mut ev, "GET / HTTP/1.1\r\n\r\n");
    assert_eq!((answer.status, answer.text(), answer.closes()), (400, "<p>400 true", true));
    let mut client = Client::new(&mut ev, server);
    assert_eq!(client.ask(&mut ev, "GET / HTTP/2.0\r\n\r\n").text(), "<p>505 true");
}

#[test]
fn an_error_page_has_no_say_in_the_end_of_the_connection() {
    let mut ev = ev();
    let routes = hello().error_page(|_, _, _| {
        Some(Response::text("fine").status(Status::OK).header("Connection", "keep-alive"))
    });
    let (_, mut client) = one_client(&mut ev, routes);
    let answer = client.ask(&mut ev, "nonsense\r\n\r\n");
    assert_eq!((answer.status, answer.closes()), (400, true));
    client.finish();
    client.ends(&mut ev);
}

#[test]
fn an_error_page_that_cannot_be_is_the_usual_one() {
    let mut ev = ev();
    let routes = hello().error_page(|_, _, _| Some(Response::text("x").header("X", "\r\n")));
    let (_, mut client) = one_client(&mut ev, routes);
    assert_eq!(client.ask(&mut ev, get("/none")).text(), "404 Not Found\n");
    assert_eq!(client.ask(&mut ev, "nonsense\r\n\r\n").text(), "400 Bad Request\n");
}

#[test]
fn the_request_line_is_told_when_it_has_come() {
    let mut ev = ev();
    let told = Log::new();
    let notes = told.clone();
    let routes = hello()
        .on_request_line(move |_, _, method, target| notes.push(format!("{method} {target}")));
    let (_, mut client) = one_client(&mut ev, routes);
    client.send("GET /?a HTTP/1.1\r\nHo");
    settle(&mut ev);
    assert_eq!(told.take(), ["GET /?a"]);
    client.send("st: here\r\n\r\n");
    assert_eq!(client.reply(&mut ev).text(), "hello");
    assert_eq!(told.take(), Vec::<String>::new());
    client.ask(&mut ev, get("/none"));
    assert_eq!(told.take(), ["GET /none"]);
}

#[test]
fn connections_are_told_when_they_come_and_go() {
    let mut ev = ev();
    let told = Log::new();
    let notes = told.clone();
    let routes = hello().on_connection(move |_, _, event| {
        notes.push(if event == ConnectionEvent::Opened { "opened" } else { "closed" });
    });
    let (_, mut client) = one_client(&mut ev, routes);
    assert_eq!(told.take(), ["opened"]);
    client.ask(&mut ev, get("/"));
    client.ask(&mut ev, get("/"));
    assert_eq!(told.take(), [""; 0]);
    drop(client);
    settle(&mut ev);
    assert_eq!(told.take(), ["closed"]);
}

#[test]
fn a_connection_has_data_that_outlives_requests() {
    let mut ev = ev();
    let routes = Routes::new()
        .get("/", |ev: &mut EvLoop, request: Request, reply: Reply| {
            assert_eq!(request.connection(), reply.connection());
            let count = request.connection().data::<Cell<u32>>(ev).unwrap();
            count.set(count.get() + 1);
            reply.text(ev, count.get().to_string())
        })
        .on_connection(|ev, connection, event| {
            if event == ConnectionEvent::Opened {
                connection.set_data(ev, Cell::new(0_u32));
            }
        });
    let (server, mut client) = one_client(&mut ev, routes);
    let mut other = Client::new(&mut ev, server);
    assert_eq!(client.ask(&mut ev, get("/")).text(), "1");
    assert_eq!(client.ask(&mut ev, get("/")).text(), "2");
    assert_eq!(other.ask(&mut ev, get("/")).text(), "1");
    assert_eq!(client.ask(&mut ev, get("/")).text(), "3");
}

#[test]
fn a_connection_can_be_closed_when_it_opens() {
    let mut ev = ev();
    let routes = hello().on_connection(|ev, connection, event| {
        if event == ConnectionEvent::Opened {
            connection.stream().close_now(ev);
        }
    });
    let server = ServerOptions::new().listen(&mut ev, "127.0.0.1:0", routes).unwrap();
    let mut client = Client::connect(server.addresses(&ev)[0].port().unwrap());
    client.ends(&mut ev);
    settle(&mut ev);
    assert_eq!(server.stats(&ev).connections, 0);
}

#[test]
fn what_a_hook_leaves_with_a_request_is_the_handlers_and_goes_with_it() {
    struct Note(Rc<Cell<u32>>, &'static str);
    impl Drop for Note {
        fn drop(&mut self) {
            self.0.set(self.0.get() + 1);
        }
    }
    let mut ev = ev();
    let dropped = Rc::new(Cell::new(0));
    let drops = Rc::clone(&dropped);
    let routes = Routes::new()
        .before(move |_, request, reply| {
            assert!(request.set_data(Note(Rc::clone(&drops), "first")).is_none());
            assert_eq!(request.set_data(Note(Rc::clone(&drops), "second")).unwrap().1, "first");
            request.set_data(7_u8);
            Some(reply)
        })
        .get("/", |ev: &mut EvLoop, mut request: Request, reply: Reply| {
            let number = request.take_data::<u8>();
            assert!(request.data::<u8>().is_none() && request.data::<u16>().is_none());
            let text = format!("{} {number:?}", request.data::<Note>().unwrap().1);
            reply.text(ev, text)
        });
    let (_, mut client) = one_client(&mut ev, routes);
    for count in 1..4 {
        assert_eq!(client.ask(&mut ev, get("/")).text(), "second Some(7)");
        settle(&mut ev);
        assert_eq!(dropped.get(), count * 2);
    }
    // Also where nobody is to have it.
    assert_eq!(client.ask(&mut ev, get("/nowhere")).status, 404);
    settle(&mut ev);
    assert_eq!(dropped.get(), 8);
}

#[test]
fn what_is_refused_while_the_hook_for_that_runs_the_loop_is_told_next() {
    let mut ev = ev();
    let told = Log::new();
    let telling = told.clone();
    let server = serve(
        &mut ev,
        hello().on_refused(move |ev, refused| {
            telling.push(format!("{} begins", refused.bytes_in));
            for _ in 0..5 {
                ev.turn(Some(Duration::ZERO)).unwrap();
            }
            telling.push(format!("{} ends", refused.bytes_in));
        }),
    );
    let mut clients: Vec<_> = (0..3).map(|_| Client::new(&mut ev, server)).collect();
    for (client, rubbish) in clients.iter_mut().zip(["\0", "\0\0", "\0\0\0"]) {
        client.send(rubbish);
    }
    settle(&mut ev);
    let mut told = told.take();
    // One after the other, whichever the first is.
    assert!(told.chunks(2).all(|pair| pair[0].replace("begins", "ends") == pair[1]), "{told:?}");
    told.sort();
    let all = ["1 begins", "1 ends", "2 begins", "2 ends", "3 begins", "3 ends"];
    assert_eq!(told, all);
}

#[test]
fn connections_that_come_and_go_while_their_hook_is_called_are_told_too() {
    let mut ev = ev();
    let (log, slot) = (Log::new(), Slot::<Server>::new());
    let (told, of) = (log.clone(), slot.clone());
    let routes = hello().on_connection(move |ev, connection, event| {
        told.push((connection.id(), event == ConnectionEvent::Opened));
        if let Some(server) = of.get() {
            drop(Client::new(ev, server));
            for _ in 0..10 {
                ev.turn(Some(ZERO)).unwrap();
            }
        }
    });
    let server = serve(&mut ev, routes);
    slot.put(server);
    let client = Client::new(&mut ev, server);
    settle(&mut ev);
    drop(client);
    settle(&mut ev);
    let told = log.take();
    let first = told[0].0;
    let of_first: Vec<bool> =
        told.iter().filter(|(id, _)| *id == first).map(|(_, opened)| *opened).collect();
    let of_second: Vec<bool> =
        told.iter().filter(|(id, _)| *id != first).map(|(_, opened)| *opened).collect();
    assert_eq!((of_first, of_second), (vec![true, false], vec![true, false]));
}

#[test]
fn nothing_leaves_past_an_after_hook_that_runs_the_loop() {
    let mut ev = ev();
    let nests = Rc::new(Cell::new(true));
    let routes = hello().after(move |ev, _, response| {
        if nests.replace(false) {
            for _ in 0..10 {
                ev.turn(Some(ZERO)).unwrap();
            }
        }
        *response = std::mem::take(response).header("X-Looked-At", "yes");
    });
    let (server, mut client) = one_client(&mut ev, routes);
    let mut other = Client::new(&mut ev, server);
    client.send(get("/"));
    other.send(get("/"));
    let mut statuses = [&mut client, &mut other].map(|client| {
        let answer = client.reply(&mut ev);
        (answer.status, answer.field("x-looked-at").is_some())
    });
    statuses.sort_unstable();
    assert_eq!(statuses, [(200, true), (500, false)]);
    assert!(other.ask(&mut ev, get("/")).field("x-looked-at").is_some());
}
