//! Streams of server-sent events: the outcome does not depend on how they arrive, it is that of the standard's rules
//! stated naively, and what is encoded is read as it was.

#![no_main]

use std::time::Duration;

use evloop::wire::events::{Event, EventDecoder, EventFault, EventLimits, comment};
use evloop_fuzz::cuts;
use libfuzzer_sys::fuzz_target;

type Told = (String, String, String);

#[derive(PartialEq, Debug)]
struct Outcome {
    told: Vec<Told>,
    last_id: String,
    retry: Option<Duration>,
    fault: Option<EventFault>,
}

fn read(limits: EventLimits, pieces: &mut dyn Iterator<Item = &[u8]>) -> Outcome {
    let mut decoder = EventDecoder::new(limits);
    let mut told = Vec::new();
    let mut fault = None;
    'all: for mut piece in pieces {
        while !piece.is_empty() {
            match decoder.next(piece) {
                Ok((used, received)) => {
                    assert!(used > 0, "no progress");
                    assert!(used == piece.len() || received.is_some(), "stopped without a reason");
                    told.extend(received.map(|of| (of.name, of.data, of.last_event_id)));
                    piece = &piece[used..];
                }
                Err(of) => {
                    assert_eq!(decoder.next(b"\n"), Err(of));
                    fault = Some(of);
                    break 'all;
                }
            }
        }
    }
    let (last_id, retry) = (decoder.last_event_id().to_owned(), decoder.retry());
    Outcome { told, last_id, retry, fault }
}

/// WHATWG HTML §9.2.6, on the whole stream at once and without limits.
fn naively(bytes: &[u8]) -> Outcome {
    let text = String::from_utf8_lossy(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes));
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let mut outcome = Outcome { told: vec![], last_id: String::new(), retry: None, fault: None };
    let (mut name, mut data, mut id) = (String::new(), String::new(), String::new());
    let complete = text.rsplit_once('\n').map(|(complete, _)| complete);
    for line in complete.iter().flat_map(|complete| complete.split('\n')) {
        if line.is_empty() {
            outcome.last_id.clone_from(&id);
            if let Some(data) = data.strip_suffix('\n') {
                let name = if name.is_empty() { "message" } else { &name };
                outcome.told.push((name.to_owned(), data.to_owned(), id.clone()));
            }
            name.clear();
            data.clear();
            continue;
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => data += &format!("{value}\n"),
            "event" => name = value.to_owned(),
            "id" if !value.contains('\0') => id = value.to_owned(),
            "retry" if value.bytes().all(|byte| byte.is_ascii_digit()) => {
                outcome.retry = value.parse().ok().map(Duration::from_millis).or(outcome.retry);
            }
            _ => {}
        }
    }
    outcome
}

fuzz_target!(|input: &[u8]| {
    let wide = EventLimits { line: usize::MAX, event: usize::MAX };
    let whole = read(wide, &mut std::iter::once(input));
    assert_eq!(whole, naively(input));
    for limits in [wide, EventLimits { line: 24, event: 40 }] {
        cuts::in_every_way(input, |pieces| read(limits, pieces));
    }

    // Any text is data, and nothing else.
    let text = String::from_utf8_lossy(input);
    let (name, rest) = text.split_once('|').unwrap_or(("", &text));
    let mut out = Vec::new();
    comment(rest, &mut out);
    match Event::new(rest).name(name).id("7").encode(&mut out) {
        Ok(()) => {
            let name = if name.is_empty() { "message" } else { name };
            let data = rest.replace("\r\n", "\n").replace('\r', "\n");
            let told = read(wide, &mut std::iter::once(&out[..])).told;
            assert_eq!(told, [(name.to_owned(), data, "7".to_owned())]);
        }
        Err(fault) => assert!(fault == EventFault::BadName && name.contains(['\r', '\n'])),
    }
});
