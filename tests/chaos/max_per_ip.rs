//! Scenario `max_per_ip` (§3a): one address has so many connections, and gets them back.

use crate::{Client, Server, get, ms, on_both, until};

on_both! {
    fn more_than_so_many_of_one_address_are_sent_away(backend) {
        // The server's own warm-up is one, and gone.
        let server = Server::on(backend, &["--max-per-ip", "5"]);
        for round in 0..3 {
            let mut served: Vec<Client> = (0..5).map(|_| server.client()).collect();
            for client in &mut served {
                assert_eq!(client.ask(get("/plaintext")).status, 200);
            }
            let used = server.process.used_during(|| {
                for _ in 0..50 {
                    let mut client = server.client();
                    let _ = client.offer(get("/plaintext"));
                    if let Ok(response) = client.try_response() {
                        assert!([429, 503].contains(&response.status), "{}", response.status);
                    }
                    assert!(!client.end_within(crate::PATIENCE).is_open());
                }
            });
            assert!(used.time < ms(500), "{used:?}");
            for client in &mut served {
                assert_eq!(client.ask(get("/plaintext")).status, 200, "those who are in stay");
            }
            // Gone in any manner, there is room again.
            for (n, client) in served.into_iter().enumerate() {
                if n % 2 == round % 2 { client.reset() }
            }
            until("there is room again", || {
                let mut all: Vec<Client> = (0..5).map(|_| server.client()).collect();
                let all = all.iter_mut().map(|client| client.offer(get("/plaintext")).is_ok() && client.try_response().is_ok_and(|r| r.status == 200));
                all.filter(|served| *served).count() == 5
            });
        }
        until("there is room to look", || {
            let mut client = server.client();
            client.offer(get("/plaintext")).is_ok() && client.try_response().is_ok_and(|r| r.status == 200)
        });
        server.finish();
    }
}
