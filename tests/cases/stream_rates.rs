// Rates of streams and of groups, on a clock of ours: net-and-http-server.md 2.8.

use std::time::Duration;

use evloop::net::{Direction, RateGroup, RateLimit};

use crate::streaming::{Link, Tape, World, cases, noise, pass, quiet, until};
use crate::suite::temporary;

cases!(timed [
    a_stream_reads_no_faster_than_its_rate_and_no_slower,
    a_stream_sends_no_faster_than_its_rate_and_no_slower,
    a_file_is_sent_no_faster_than_other_bytes,
    a_group_shares_its_rate_fairly,
    a_limit_that_is_lifted_holds_nothing_back,
    a_level_is_told_and_changed_by_hand,
    who_leaves_the_group_or_closes_makes_room,
]);

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Within a tenth; TLS counts bytes as they are on the wire.
#[track_caller]
fn about(came: usize, expected: usize) {
    assert!(came <= expected + expected / 10, "{came} is more than {expected}");
    assert!(came >= expected - expected / 10, "{came} is less than {expected}");
}

fn a_stream_reads_no_faster_than_its_rate_and_no_slower(w: &World) {
    let (mut ev, _) = w.mock();
    let Link { client, server } = w.open(&mut ev, quiet, quiet);
    server.set_rate(&mut ev, Some(RateLimit::new().read(10_000, 2_000).unwrap()));
    client.write_owned(&mut ev, noise(2_000_000)).unwrap();
    let before = server.info(&ev).unwrap().bytes_in;
    for n in 1..6 {
        pass(&mut ev, secs(10));
        let came = usize::try_from(server.info(&ev).unwrap().bytes_in - before).unwrap();
        about(came, 2_000 + n * 100_000);
    }
}

fn a_stream_sends_no_faster_than_its_rate_and_no_slower(w: &World) {
    let (mut ev, _) = w.mock();
    let tape = Tape::new();
    let Link { client, server } = w.open(&mut ev, tape.tells(), quiet);
    client.set_rate(&mut ev, Some(RateLimit::new().write(10_000, 2_000).unwrap()));
    client.write_owned(&mut ev, noise(2_000_000)).unwrap();
    let before = server.info(&ev).unwrap().bytes_in;
    for n in 1..6 {
        pass(&mut ev, secs(10));
        let came = usize::try_from(server.info(&ev).unwrap().bytes_in - before).unwrap();
        about(came, 2_000 + n * 100_000);
    }
    assert!(tape.count("sent") > 100);
}

fn a_file_is_sent_no_faster_than_other_bytes(w: &World) {
    let (mut ev, _) = w.mock();
    let Link { client, server } = w.open(&mut ev, quiet, quiet);
    client.set_rate(&mut ev, Some(RateLimit::new().write(10_000, 2_000).unwrap()));
    let path = temporary("rates");
    std::fs::write(&path, noise(2_000_000)).unwrap();
    let file = std::fs::File::open(&path).unwrap();
    std::fs::remove_file(path).unwrap();
    client.write(&mut ev, "before it").unwrap();
    client.write_file(&mut ev, file.into(), 0, 2_000_000).unwrap();
    let before = server.info(&ev).unwrap().bytes_in;
    for n in 1..4 {
        pass(&mut ev, secs(10));
        let came = usize::try_from(server.info(&ev).unwrap().bytes_in - before).unwrap();
        about(came, 2_000 + n * 100_000);
    }
}

fn a_group_shares_its_rate_fairly(w: &World) {
    let (mut ev, _) = w.mock();
    let group = RateGroup::new(RateLimit::new().read(40_000, 8_000).unwrap());
    let mut links = Vec::new();
    for _ in 0..4 {
        let link = w.open(&mut ev, quiet, quiet);
        link.server.set_rate_group(&mut ev, Some(&group));
        links.push(link);
    }
    for link in &links {
        link.client.write_owned(&mut ev, noise(3_000_000)).unwrap();
    }
    let before: Vec<u64> = links.iter().map(|it| it.server.info(&ev).unwrap().bytes_in).collect();
    pass(&mut ev, secs(30));
    let mut all = 0;
    for (link, before) in links.iter().zip(before) {
        let came = usize::try_from(link.server.info(&ev).unwrap().bytes_in - before).unwrap();
        about(came, 302_000);
        all += came;
    }
    about(all, 1_208_000);
    assert!(all <= 1_208_000, "{all}");
}

fn a_limit_that_is_lifted_holds_nothing_back(w: &World) {
    let (mut ev, _) = w.mock();
    let Link { client, server } = w.open(&mut ev, quiet, quiet);
    server.set_rate(&mut ev, Some(RateLimit::both(1, 1).unwrap()));
    client.set_rate(&mut ev, Some(RateLimit::both(1, 1).unwrap()));
    client.write(&mut ev, noise(10_000)).unwrap();
    pass(&mut ev, secs(5));
    assert!(server.input_len(&ev) < 10);
    assert_eq!(client.rate(&ev), Some(RateLimit::both(1, 1).unwrap()));
    client.set_rate(&mut ev, None);
    server.set_rate(&mut ev, None);
    assert_eq!(client.rate(&ev), None);
    pass(&mut ev, Duration::from_millis(5));
    until(&mut ev, |ev| server.input_len(ev) == 10_000);
}

fn a_level_is_told_and_changed_by_hand(w: &World) {
    let (mut ev, _) = w.mock();
    let Link { client, server } = w.open(&mut ev, quiet, quiet);
    assert_eq!(client.rate_level(&mut ev, Direction::Write), None);
    client.set_rate(&mut ev, Some(RateLimit::new().write(1, 1000).unwrap()));
    assert_eq!(client.rate_level(&mut ev, Direction::Write), Some(1000));
    assert_eq!(client.rate_level(&mut ev, Direction::Read), None);
    client.add_to_rate_level(&mut ev, Direction::Write, -990);
    client.write(&mut ev, noise(500)).unwrap();
    let before = server.info(&ev).unwrap().bytes_in;
    pass(&mut ev, Duration::from_millis(10));
    let came = server.info(&ev).unwrap().bytes_in - before;
    assert!((1..=10).contains(&came), "{came}");
    client.add_to_rate_level(&mut ev, Direction::Write, 900);
    pass(&mut ev, Duration::from_millis(10));
    until(&mut ev, |ev| server.input_len(ev) == 500);
}

fn who_leaves_the_group_or_closes_makes_room(w: &World) {
    let (mut ev, _) = w.mock();
    let group = RateGroup::new(RateLimit::new().read(10_000, 1_000).unwrap());
    let links: Vec<Link> = (0..3).map(|_| w.open(&mut ev, quiet, quiet)).collect();
    for link in &links {
        link.server.set_rate_group(&mut ev, Some(&group));
        link.client.write_owned(&mut ev, noise(1_000_000)).unwrap();
    }
    pass(&mut ev, secs(3));
    links[0].server.close_now(&mut ev);
    links[1].server.set_rate_group(&mut ev, None);
    pass(&mut ev, secs(2));
    let before = links[2].server.info(&ev).unwrap().bytes_in;
    pass(&mut ev, secs(20));
    let came = usize::try_from(links[2].server.info(&ev).unwrap().bytes_in - before).unwrap();
    about(came, 200_000);
    until(&mut ev, |ev| links[1].server.input_len(ev) == 1_000_000);
}
