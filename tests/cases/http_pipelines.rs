// Many requests on one connection, in any order and cut anywhere: each is answered once, in its turn, by the handler it is
// for, and nobody is called behind the end.

use crate::talking::*;
use evloop::net::{Buffer, Chunk, Filter, FilterError, Pass, StreamEvent, Verdict};

/// Numbers that are as good as random, and the same each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from((self.0 >> 11) % n as u64).unwrap()
    }
}

/// What is asked, and what has to be answered: that is all a client knows.
struct Asked {
    bytes: String,
    method: &'static str,
    status: u16,
    body: String,
    /// Nothing is answered behind it.
    is_last: bool,
    /// A handler is called for it.
    is_told: bool,
}

impl Asked {
    fn any(dice: &mut Dice, number: usize) -> Self {
        let path = |place: &str| format!("/{place}?{number}");
        let mut body = number.to_string();
        let mut asked = Self {
            bytes: String::new(),
            method: "GET",
            status: 200,
            body: body.clone(),
            is_last: false,
            is_told: true,
        };
        match dice.below(34) {
            0..=5 => asked.bytes = get(&path("now")),
            6 => asked.bytes = get(&path("later")),
            7 => asked.bytes = get(&path("deferred")),
            8 => asked.bytes = get(&path("nested")),
            9 => asked.bytes = get(&path("streamed")),
            10 => asked.bytes = get(&path("of/any/pattern")),
            11 => {
                asked.method = "HEAD";
                asked.bytes = request("HEAD", &path("now"), "", "");
                asked.body = String::new();
            }
            12..=17 => {
                body = "b".repeat(dice.below(3) * dice.below(2000));
                asked.bytes = if dice.below(2) == 0 {
                    post(&path("echo"), &body)
                } else {
                    let (one, two) = body.split_at(dice.below(body.len() + 1));
                    let pieces: Vec<&str> = [one, two].into_iter().filter(|piece| !piece.is_empty()).collect();
                    let chunks = chunks(&pieces);
                    request("POST", &path("echo"), "Transfer-Encoding: chunked\r\n", &format!("{chunks}0\r\n\r\n"))
                };
                asked.body = body;
            }
            18 | 19 => {
                body = "e".repeat(1 + dice.below(100));
                let fields = format!("Expect: 100-continue\r\nContent-Length: {}\r\n", body.len());
                asked.bytes = request("POST", &path("echo"), &fields, &body);
                asked.body = body;
            }
            20 | 21 => asked.bytes = post(&path("ignored"), &"i".repeat(dice.below(3000))),
            22 | 23 => {
                body = "t".repeat(dice.below(3000));
                asked.bytes = post(&path("taken"), &body);
                asked.body = body;
            }
            24 => {
                asked.bytes = post(&path("nowhere"), &"n".repeat(dice.below(300)));
                (asked.status, asked.body, asked.is_told) = (404, "404 Not Found\n".to_owned(), false);
            }
            25 => {
                asked.bytes = request("DELETE", &path("now"), "", "");
                (asked.status, asked.body) = (405, "405 Method Not Allowed\n".to_owned());
                asked.is_told = false;
            }
            26 | 27 => {
                let place = if dice.below(2) == 0 { "panics" } else { "drops" };
                asked.bytes = get(&path(place));
                (asked.status, asked.body) = (500, "500 Internal Server Error\n".to_owned());
            }
            28 => asked.bytes = get(&path("answers_and_panics")),
            29 => asked.bytes = format!("\r\n{}", get(&path("now"))),
            30 => asked.bytes = get(&path("completed")),
            31 => {
                asked.bytes = request("GET", &path("now"), "Connection: close\r\n", "");
                asked.is_last = true;
            }
            32 => {
                asked.bytes = "NO REQUEST\r\n\r\n".to_owned();
                (asked.status, asked.body) = (400, "400 Bad Request\n".to_owned());
                (asked.is_last, asked.is_told) = (true, false);
            }
            _ => {
                asked.bytes = request("GET", &path("up"), "Connection: upgrade\r\nUpgrade: echo\r\n", "");
                (asked.status, asked.body, asked.is_last) = (101, String::new(), true);
            }
        }
        asked
    }
}

/// Panics without a word on the terminal.
fn fails() {
    std::panic::resume_unwind(Box::new("on purpose"));
}

/// All the ways to answer with what stands behind the `?`, each noted.
fn answering(told: &Log<String>, completed: &Rc<Cell<usize>>) -> Routes {
    let noting = |told: &Log<String>| {
        let told = told.clone();
        move |request: &Request| {
            let number = request.query().unwrap_or_default().to_owned();
            told.push(number.clone());
            number
        }
    };
    let mut routes = Routes::new();
    let note = noting(told);
    let now = move |ev: &mut EvLoop, request: Request, reply: Reply| reply.text(ev, note(&request));
    routes = routes.get("/now", now);
    let note = noting(told);
    let pattern = move |ev: &mut EvLoop, request: Request, reply: Reply| reply.text(ev, note(&request));
    routes = routes.get("/of/{what}/pattern", pattern);
    let note = noting(told);
    routes = routes.get("/later", move |ev: &mut EvLoop, request: Request, reply: Reply| {
        let number = note(&request);
        ev.after(Duration::ZERO, move |ev| reply.text(ev, number).unwrap());
    });
    let note = noting(told);
    routes = routes.get("/deferred", move |ev: &mut EvLoop, request: Request, reply: Reply| {
        let number = note(&request);
        ev.defer(move |ev| reply.text(ev, number).unwrap());
    });
    let note = noting(told);
    routes = routes.get("/nested", move |ev: &mut EvLoop, request: Request, reply: Reply| {
        let number = note(&request);
        turn(ev);
        reply.text(ev, number)?;
        turn(ev);
        Ok::<(), Error>(())
    });
    let note = noting(told);
    routes = routes.get("/streamed", move |ev: &mut EvLoop, request: Request, reply: Reply| {
        let number = note(&request);
        let stream = reply.stream(ev, BodyLength::Unknown)?;
        ev.defer(move |ev| {
            stream.write(ev, number).unwrap();
            stream.end(ev).unwrap();
        });
        Ok::<(), Error>(())
    });
    let note = noting(told);
    routes = routes.post("/echo", move |ev: &mut EvLoop, request: Request, reply: Reply| {
        note(&request);
        reply.text(ev, request.body())
    });
    let note = noting(told);
    let ignored = move |ev: &mut EvLoop, request: Request, reply: Reply| reply.text(ev, note(&request));
    routes = routes.streaming(Method::POST, "/ignored", ignored);
    let note = noting(told);
    routes = routes.streaming(
        Method::POST,
        "/taken",
        move |ev: &mut EvLoop, request: Request, reply: Reply| {
            note(&request);
            let (mut all, mut reply) = (Vec::new(), Some(reply));
            request.receive(ev, move |ev, _, event| match event {
                BodyEvent::Data(data) => {
                    for chunk in data.chunks() {
                        let Chunk::Bytes(bytes) = chunk else { panic!("bytes") };
                        all.extend_from_slice(bytes);
                    }
                    data.clear();
                }
                BodyEvent::End(_) => reply.take().unwrap().text(ev, &all).unwrap(),
                _ => panic!("the whole body comes"),
            })?;
            Ok::<(), Error>(())
        },
    );
    let note = noting(told);
    routes = routes.get("/panics", move |_: &mut EvLoop, request: Request, _: Reply| {
        note(&request);
        fails();
    });
    let note = noting(told);
    routes = routes.get("/drops", move |_: &mut EvLoop, request: Request, _: Reply| {
        note(&request);
    });
    let note = noting(told);
    routes = routes.get("/answers_and_panics", move |ev: &mut EvLoop, request: Request, reply: Reply| {
        reply.text(ev, note(&request)).unwrap();
        fails();
    });
    let note = noting(told);
    let count = Rc::clone(completed);
    routes = routes.get("/completed", move |ev: &mut EvLoop, request: Request, reply: Reply| {
        let count = Rc::clone(&count);
        reply.on_completed(move |_, _| count.set(count.get() + 1));
        reply.text(ev, note(&request))
    });
    let note = noting(told);
    routes.get("/up", move |ev: &mut EvLoop, request: Request, reply: Reply| {
        note(&request);
        let stream = reply.upgrade(ev, "echo")?;
        let (mut is_told, mut has_ended) = (false, false);
        stream.set_handler(ev, move |ev, stream, event| {
            is_told |= matches!(event, StreamEvent::Received(_));
            has_ended |= matches!(event, StreamEvent::Eof { .. });
            assert!(!has_ended || is_told || stream.input_len(ev) == 0);
            stream.forward(ev, stream, usize::MAX);
            if has_ended && stream.input_len(ev) == 0 {
                stream.close_after_flush(ev);
            }
        });
        Ok::<(), Error>(())
    })
}

/// One connection that asks for what the dice say, cut as they say.
fn one_sequence(ev: &mut EvLoop, server: Server, told: &Log<String>, dice: &mut Dice) {
    let count = 1 + dice.below(24);
    let mut asked: Vec<Asked> = (0..count).map(|number| Asked::any(dice, number)).collect();
    if let Some(last) = asked.iter().position(|asked| asked.is_last) {
        // What stands behind it is heard by nobody, or by whoever has taken over.
        asked.truncate(last + 2);
    }
    let bytes: String = asked.iter().map(|asked| asked.bytes.as_str()).collect();
    let mut client = Client::new(ev, server);
    let piece = if bytes.len() < 500 { 1 } else { [50, 200, 3000, 100_000][dice.below(4)] };
    let mut left = bytes.as_bytes();
    while !left.is_empty() && client.is_open() {
        let n = (1 + dice.below(piece)).min(left.len());
        left = &left[client.push(&left[..n])..];
        for _ in 0..dice.below(3) {
            turn(ev);
        }
    }
    let ends_early = dice.below(3) == 0;
    if ends_early {
        client.finish();
    }
    let mut expected = Vec::new();
    let mut is_over = false;
    for (number, this) in asked.iter().enumerate() {
        if this.is_told {
            expected.push(number.to_string());
        }
        let mut answer = client.reply_to(ev, this.method);
        while answer.status == 100 {
            assert!(this.bytes.contains("Expect"));
            answer = client.reply_to(ev, this.method);
        }
        let found = (answer.status, answer.text(), answer.is_whole);
        assert_eq!(found, (this.status, this.body.as_str(), true), "{number}: {}", this.bytes);
        if answer.status == 101 {
            if !ends_early {
                client.finish();
            }
            let behind: String = asked[number + 1..].iter().map(|asked| asked.bytes.as_str()).collect();
            let (rest, end) = client.rest(ev);
            assert_eq!((String::from_utf8(rest).unwrap(), end), (behind, End::Orderly));
        }
        is_over = this.is_last;
        assert_eq!(answer.closes(), is_over && answer.status != 101, "{number}: {}", this.bytes);
        if is_over {
            break;
        }
    }
    if is_over {
        client.ends(ev);
    } else if ends_early {
        assert_eq!(client.ends(ev), End::Orderly);
    } else {
        client.hears_nothing(ev);
    }
    drop(client);
    until(ev, |ev| ev.stream_count() == 0);
    assert_eq!(told.take(), expected);
}

/// A server that goes a way of its own.
struct Kind {
    options: ServerOptions,
    /// Hooks are called for each request.
    is_hooked: bool,
    /// There is a filter beneath.
    is_filtered: bool,
}

fn kinds() -> Vec<Kind> {
    let kind = |is_hooked, is_filtered, options| Kind { options, is_hooked, is_filtered };
    let options = ServerOptions::new;
    vec![
        kind(false, false, options()),
        kind(false, false, options().pipelined_per_turn(1)),
        kind(false, false, options().pipelined_per_turn(3).write_limits(1, 1 << 20)),
        kind(false, true, options()),
        kind(true, false, options()),
        kind(true, true, options().write_limits(1, 1 << 20)),
    ]
}

/// A filter through which all goes as it is.
struct Through;

impl Through {
    fn move_on(from: &mut Buffer, to: &mut Buffer, pass: &Pass) -> Verdict {
        from.move_to(pass.limit, to);
        if from.is_empty() { Verdict::Ok } else { Verdict::More }
    }
}

impl Filter for Through {
    fn receive(
        &mut self,
        from: &mut Buffer,
        to: &mut Buffer,
        pass: &Pass,
    ) -> std::result::Result<Verdict, FilterError> {
        Ok(Self::move_on(from, to, pass))
    }

    fn send(
        &mut self,
        from: &mut Buffer,
        to: &mut Buffer,
        pass: &Pass,
    ) -> std::result::Result<Verdict, FilterError> {
        Ok(Self::move_on(from, to, pass))
    }
}

#[test]
fn whatever_is_asked_in_whatever_order_and_pieces_is_answered_once_and_in_turn() {
    for (number, kind) in kinds().into_iter().enumerate() {
        let Kind { options, is_hooked, is_filtered } = kind;
        let mut ev = ev();
        let (told, completed) = (Log::new(), Rc::new(Cell::new(0)));
        let mut routes = answering(&told, &completed);
        let over = Rc::new(Cell::new(0));
        if is_hooked {
            let count = Rc::clone(&over);
            routes = routes
                .before(|_, _, reply| Some(reply))
                .on_completed(move |_, _| count.set(count.get() + 1));
        }
        if is_filtered {
            routes = routes.on_connection(|ev, connection, event| {
                if let ConnectionEvent::Opened = event {
                    connection.stream().push_filter(ev, Box::new(Through)).unwrap();
                }
            });
        }
        let server = serve_with(&mut ev, options, routes);
        for case in 0..CASES {
            let mut dice = Dice(0x9e37_79b9_7f4a_7c15 ^ (number as u64) << 32 ^ case << 7 | 1);
            one_sequence(&mut ev, server, &told, &mut dice);
        }
        ev.verify();
        let begun = server.stats(&ev).requests;
        if is_hooked {
            assert_eq!(over.get() as u64, begun);
        }
    }
}

/// How many connections each kind of server has.
const CASES: u64 = 50;

#[test]
fn many_at_once_are_answered_each_in_its_turn() {
    for (number, kind) in kinds().into_iter().enumerate() {
        let mut ev = ev();
        let (told, completed) = (Log::new(), Rc::new(Cell::new(0)));
        let mut routes = answering(&told, &completed);
        if kind.is_hooked {
            routes = routes.before(|_, _, reply| Some(reply));
        }
        let server = serve_with(&mut ev, kind.options, routes);
        let mut dice = Dice(0x2545_f491_4f6c_dd1d ^ number as u64);
        let mut clients: Vec<(Client, Vec<Asked>, Vec<u8>)> = Vec::new();
        for _ in 0..CROWD {
            let asked = (0..20).map(|number| Asked::any(&mut dice, number));
            let asked: Vec<Asked> = asked.filter(|asked| !asked.is_last).collect();
            let bytes = asked.iter().flat_map(|asked| asked.bytes.bytes()).collect();
            clients.push((Client::new(&mut ev, server), asked, bytes));
        }
        while clients.iter().any(|(_, _, left)| !left.is_empty()) {
            for (client, _, left) in &mut clients {
                let n = (1 + dice.below(2000)).min(left.len());
                let sent = client.push(&left[..n]);
                left.drain(..sent);
            }
            turn(&mut ev);
        }
        let mut expected = 0;
        for (client, asked, _) in &mut clients {
            for this in asked.iter() {
                expected += usize::from(this.is_told);
                let mut answer = client.reply_to(&mut ev, this.method);
                while answer.status == 100 {
                    answer = client.reply_to(&mut ev, this.method);
                }
                let found = (answer.status, answer.text(), answer.is_whole);
                assert_eq!(found, (this.status, this.body.as_str(), true), "{}", this.bytes);
            }
            client.hears_nothing(&mut ev);
        }
        assert_eq!((told.take().len(), server.stats(&ev).connections), (expected, CROWD));
    }
}

/// How many connections there are at once.
const CROWD: usize = 20;
