//! Scenario `half_close` (R8, R3): who has nothing more to say is answered all the same, and costs
//! nothing meanwhile.

use std::time::Duration;

use crate::{Server, get, ms, on_both, post};

on_both! {
    fn a_request_is_answered_after_the_client_ended_its_side(backend) {
        let server = Server::on(backend, &[]);
        let others = server.bystander();
        let asked: &[(Vec<u8>, &[u8])] = &[
            (get("/plaintext"), b"Hello, World!"),
            (get("/slow?ms=150"), b""),
            (get("/worker?ms=150"), b""),
            (get("/stream?n=5&ms=30"), b""),
            (post("/echo", b"some bytes"), b"some bytes"),
            (b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nso\r\n0\r\n\r\n".to_vec(), b"so"),
            (b"GET /plaintext HTTP/1.0\r\n\r\n".to_vec(), b"Hello, World!"),
        ];
        for (request, body) in asked {
            let mut client = server.client();
            client.send(request);
            client.half_close();
            let response = client.response();
            let shown = request.escape_ascii();
            assert_eq!(response.status, 200, "{shown}");
            assert!(body.is_empty() || response.body == *body, "{shown}");
            client.ends();
        }
        others.was_served();
        server.finish();
    }
}

on_both! {
    fn all_pipelined_requests_are_answered_after_it(backend) {
        let server = Server::on(backend, &[]);
        let mut client = server.client();
        let slow = get("/slow?ms=100");
        client.send([slow.clone(), get("/plaintext"), slow, post("/echo", b"a"), get("/plaintext")].concat());
        client.half_close();
        let bodies: Vec<Vec<u8>> = (0..5).map(|_| client.response().body).collect();
        assert_eq!(bodies[1], b"Hello, World!");
        assert_eq!(bodies[3], b"a");
        assert_eq!(bodies[4], b"Hello, World!");
        client.ends();
        drop(client);
        server.finish();
    }
}

on_both! {
    /// Half a request: nothing, or 400, and the end.
    fn what_was_not_finished_ends_at_once(backend) {
        let server = Server::on(backend, &[]);
        let form = "GET /query HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\n";
        let unfinished = [
            String::new(),
            "\r\n".into(),
            "G".into(),
            "GET / HTTP/1.1\r\nHost: a\r\n".into(),
            "GET / HTTP/1.1\r\nHost: a\r\n\r".into(),
            format!("{form}Content-Length: 10\r\n\r\n"),
            format!("{form}Content-Length: 10\r\n\r\na=b"),
            format!("{form}Transfer-Encoding: chunked\r\n\r\n"),
            format!("{form}Transfer-Encoding: chunked\r\n\r\n3\r\na=b\r\n"),
            format!("{form}Transfer-Encoding: chunked\r\n\r\n3\r\na=b\r\n0\r\n"),
            format!("{form}Transfer-Encoding: chunked\r\n\r\n3\r\na=b\r\n0\r\nA: b\r\n"),
        ];
        for request in unfinished {
            let mut client = server.client();
            client.send(&request);
            client.half_close();
            if let Ok(response) = client.try_response() {
                assert_eq!(response.status, 400, "{request:?}");
            }
            client.ends_somehow();
        }
        // Streamed: what came back is cut short, or refused.
        let mut client = server.client();
        client.send("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
        client.half_close();
        if let Ok(response) = client.try_response() {
            assert_eq!(response.status, 400, "success for half a body");
        }
        assert!(!client.end_within(crate::PATIENCE).is_open());
        drop(client);
        server.finish();
    }
}

on_both! {
    fn an_ended_side_does_not_make_the_loop_go_round(backend) {
        let server = Server::on(backend, &[]);
        let mut clients: Vec<_> = (0..20).map(|_| server.client()).collect();
        for (n, client) in clients.iter_mut().enumerate() {
            // Some with more behind it than is parsed yet.
            // None is answered before it was looked at.
            client.send(get("/slow?ms=2500").repeat(1 + n % 3));
            client.half_close();
        }
        assert_eq!(server.ask(get("/plaintext")).status, 200);
        let used = server.process.used_during(|| std::thread::sleep(ms(700)));
        assert!(used.time < Duration::from_millis(50) && used.sleeps < 20, "{used:?}");
        for client in &mut clients {
            assert_eq!(client.response().status, 200);
        }
        drop(clients);
        server.finish();
    }
}
