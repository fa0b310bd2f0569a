//! Server-sent events without sockets: what is written, and what is read, by the rules of WHATWG HTML §9.2.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use evloop::ErrorKind;
use evloop::wire::events::*;
use proptest::prelude::*;

fn encoded(event: &Event) -> String {
    let mut out = Vec::new();
    event.encode(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// What is read of a stream that comes in these pieces: (name, data, id).
fn read_all<'a>(
    decoder: &mut EventDecoder,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Vec<(String, String, String)>, EventFault> {
    let mut all = Vec::new();
    for mut piece in pieces {
        while !piece.is_empty() {
            let (used, received) = decoder.next(piece)?;
            assert!(used > 0 && (used == piece.len() || received.is_some()));
            all.extend(received.map(|event| (event.name, event.data, event.last_event_id)));
            piece = &piece[used..];
        }
    }
    Ok(all)
}

fn read(bytes: &[u8]) -> Vec<(String, String, String)> {
    read_all(&mut EventDecoder::new(EventLimits::default()), [bytes]).unwrap()
}

/// Only the data, in order.
fn data(bytes: &[u8]) -> Vec<String> {
    read(bytes).into_iter().map(|(_, data, _)| data).collect()
}

// --- written ---

#[test]
fn each_line_of_the_data_is_a_line() {
    assert_eq!(encoded(&Event::new("hello")), "data: hello\n\n");
    assert_eq!(encoded(&Event::new("a\nb\r\nc\rd")), "data: a\ndata: b\ndata: c\ndata: d\n\n");
    assert_eq!(encoded(&Event::new("a\n\n\r\r\n")), "data: a\ndata: \ndata: \ndata: \ndata: \n\n");
    assert_eq!(encoded(&Event::new("")), "data: \n\n");
}

#[test]
fn an_event_has_its_name_its_id_and_its_retry_time_before_the_data() {
    let event = Event::new("x").name("n").id("7").retry(Duration::from_millis(1500));
    assert_eq!(encoded(&event), "event: n\nid: 7\nretry: 1500\ndata: x\n\n");
    assert_eq!(encoded(&Event::silent()), "\n");
    assert_eq!(encoded(&Event::silent().id("")), "id: \n\n");
    let for_ever = encoded(&Event::silent().retry(Duration::MAX));
    assert_eq!(for_ever, format!("retry: {}\n\n", u64::MAX));
}

#[test]
fn names_and_ids_cannot_add_lines() {
    let mut out = b"before".to_vec();
    for name in ["a\nb", "a\r", "\r\n"] {
        assert_eq!(Event::new("").name(name).encode(&mut out), Err(EventFault::BadName));
    }
    for id in ["a\nb", "\r", "a\0"] {
        assert_eq!(Event::new("").id(id).encode(&mut out), Err(EventFault::BadId));
    }
    assert_eq!(out, b"before");
    assert_eq!(evloop::Error::from(EventFault::BadId).kind(), ErrorKind::InvalidInput);
    assert_eq!(evloop::Error::from(EventFault::LineTooLong).kind(), ErrorKind::Protocol);
}

#[test]
fn a_comment_is_one_in_each_of_its_lines() {
    let mut out = Vec::new();
    comment("a\r\nb\ndata: c", &mut out);
    assert_eq!(out, b": a\n: b\n: data: c\n\n");
    assert_eq!(read(&out), []);
    assert_eq!(read(HEARTBEAT), []);
}

// --- read ---

#[test]
fn the_examples_of_the_standard_are_read_as_it_says() {
    assert_eq!(data(b"data: YHOO\ndata: +2\ndata: 10\n\n"), ["YHOO\n+2\n10"]);
    let stream = b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n";
    let told = |data: &str, id: &str| ("message".to_owned(), data.to_owned(), id.to_owned());
    let all = [told("first event", "1"), told("second event", ""), told(" third event", "")];
    assert_eq!(read(stream), all);
    assert_eq!(data(b"data\n\ndata\ndata\n\ndata:"), ["", "\n"]);
    assert_eq!(data(b"data:test\n\ndata: test\n\n"), ["test", "test"]);
    assert_eq!(
        read(b"event: add\ndata: 73857293\n\ndata: x\n\n"),
        [
            ("add".to_owned(), "73857293".to_owned(), String::new()),
            // The name was that of one event.
            told("x", ""),
        ]
    );
}

#[test]
fn lines_end_with_cr_lf_or_both() {
    assert_eq!(data(b"data:a\rdata:b\r\rdata:c\r\n\r\ndata:d\n\n"), ["a\nb", "c", "d"]);
    // LF CR are two.
    assert_eq!(data(b"data:a\n\rdata:b\n\n"), ["a", "b"]);
    assert_eq!(data(b"data:a\r\r\n"), ["a"]);
}

#[test]
fn one_byte_order_mark_is_passed_over_at_the_beginning() {
    assert_eq!(data(b"\xef\xbb\xbfdata:a\n\n"), ["a"]);
    assert_eq!(data(b"\xef\xbb\xbf\xef\xbb\xbfdata:a\n\n"), [""; 0]);
    assert_eq!(data(b"\n\xef\xbb\xbfdata:a\n\n"), [""; 0]);
    assert_eq!(data(b"\xef\xbbdata:a\n\n"), [""; 0]);
}

#[test]
fn an_id_with_nul_is_ignored_and_others_stay_until_the_next() {
    let mut decoder = EventDecoder::new(EventLimits::default());
    let ids: Vec<_> = read_all(&mut decoder, [b"id:1\ndata\n\nid:a\0b\ndata\n\nid:2\n".as_slice()])
        .unwrap()
        .into_iter()
        .map(|(_, _, id)| id)
        .collect();
    assert_eq!(ids, ["1", "1"]);
    // Of an event that is not complete it does not count yet; of one without data it does.
    assert_eq!(decoder.last_event_id(), "1");
    read_all(&mut decoder, [b"\n".as_slice()]).unwrap();
    assert_eq!(decoder.last_event_id(), "2");
    read_all(&mut decoder, [b"id\n\n".as_slice()]).unwrap();
    assert_eq!(decoder.last_event_id(), "");
}

#[test]
fn a_retry_time_is_digits_and_nothing_else() {
    let retry = |bytes: &[u8]| {
        let mut decoder = EventDecoder::new(EventLimits::default());
        read_all(&mut decoder, [bytes]).unwrap();
        decoder.retry().map(|delay| delay.as_millis())
    };
    assert_eq!(retry(b"retry: 1500\n"), Some(1500));
    for no in [&b"retry:\n"[..], b"retry: +1\n", b"retry: 1s\n", b"retry:  1\n", b"retry: -1\n"] {
        assert_eq!(retry(no), None);
    }
    assert_eq!(retry(b"retry: 99999999999999999999999\n"), None);
    assert_eq!(retry(b"retry: 1\nretry: x\n"), Some(1));
}

#[test]
fn what_is_not_known_is_passed_over() {
    assert_eq!(data(b"Data: a\n datas: b\ndata : c\nfoo\ndata: d\n\n"), ["d"]);
    assert_eq!(read(b"event: x\n\n"), []);
}

#[test]
fn what_is_not_utf_8_is_replaced() {
    assert_eq!(data(b"data: a\xffb\xe2\x82\n\n"), ["a\u{fffd}b\u{fffd}"]);
}

#[test]
fn lines_and_events_have_limits_and_a_fault_stays() {
    let limits = EventLimits { line: 10, event: 12 };
    let mut decoder = EventDecoder::new(limits);
    assert_eq!(read_all(&mut decoder, [b"data:12345\n\n".as_slice()]).unwrap().len(), 1);
    for long in [&b"data:123456"[..], b"data:123456\n", b":comment is long"] {
        let mut decoder = decoder.clone();
        assert_eq!(decoder.next(long), Err(EventFault::LineTooLong));
        assert_eq!(decoder.next(b"\n"), Err(EventFault::LineTooLong));
    }
    // One byte at a time as well.
    let cut = b":comment is long".chunks(1);
    assert_eq!(read_all(&mut decoder.clone(), cut), Err(EventFault::LineTooLong));
    let two = b"data:12345\ndata:12345\n";
    assert_eq!(read_all(&mut decoder.clone(), [&two[..]]).unwrap(), []);
    let three = [&two[..], b"data:\n"];
    assert_eq!(read_all(&mut decoder.clone(), three), Err(EventFault::EventTooLarge));
    let named = [&two[..], b"event:x\n"];
    assert_eq!(read_all(&mut decoder, named), Err(EventFault::EventTooLarge));
}

/// The same rules, on the whole stream at once.
fn naively(bytes: &[u8]) -> Vec<(String, String, String)> {
    let text = String::from_utf8_lossy(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes));
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let mut all = Vec::new();
    let (mut name, mut data, mut id) = (String::new(), String::new(), String::new());
    let Some((complete, _)) = text.rsplit_once('\n') else { return all };
    for line in complete.split('\n') {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "" if line.is_empty() => {
                if !data.is_empty() {
                    let name = if name.is_empty() { "message".to_owned() } else { name.clone() };
                    all.push((name, data[..data.len() - 1].to_owned(), id.clone()));
                }
                (name, data) = (String::new(), String::new());
            }
            "data" => data += &format!("{value}\n"),
            "event" => name = value.to_owned(),
            "id" if !value.contains('\0') => id = value.to_owned(),
            _ => {}
        }
    }
    all
}

fn pieces_of_streams() -> impl Strategy<Value = Vec<u8>> {
    let word = prop::sample::select(vec![
        &b"data"[..],
        b"event",
        b"id",
        b"retry",
        b":",
        b": ",
        b" ",
        b"\n",
        b"\n",
        b"\r",
        b"\r\n",
        b"\n\n",
        b"\0",
        b"x",
        b"12",
        b"\xef\xbb\xbf",
        b"\xff",
        "ü".as_bytes(),
        b"\xe2\x82",
    ]);
    prop::collection::vec(word, 0..60).prop_map(|words| words.concat())
}

proptest! {
    #[test]
    fn what_is_read_does_not_depend_on_how_it_is_cut(
        stream in pieces_of_streams(),
        size in 1usize..7,
    ) {
        let whole = read(&stream);
        let mut decoder = EventDecoder::new(EventLimits::default());
        prop_assert_eq!(&read_all(&mut decoder, stream.chunks(size)).unwrap(), &whole);
        prop_assert_eq!(whole, naively(&stream));
    }

    #[test]
    fn what_is_written_is_read(
        text in "[ a:\\r\\n\u{feff}é]{0,20}",
        name in "[a: ]{0,5}",
        id in "[0-9: ]{0,5}",
    ) {
        let event = Event::new(&*text).name(&*name).id(&*id);
        let all = read(encoded(&event).as_bytes());
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        let name = if name.is_empty() { "message".to_owned() } else { name };
        prop_assert_eq!(all, [(name, text, id)]);
    }
}
