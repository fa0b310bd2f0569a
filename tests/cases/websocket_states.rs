// Every end, met in every state.

use crate::sockets::*;

#[derive(Clone, Copy, PartialEq, Debug)]
enum State {
    Idle,
    InHead,
    InMessage,
    Paused,
    /// Its output is full, and the answer to a ping waits.
    Held,
    /// The peer has ended its side, and nobody has read so far.
    PausedAndFinished,
    Closing,
    /// The peer was answered, and has not left.
    Answered,
    /// The peer was told what it did wrong.
    Faulty,
}

const STATES: [State; 9] = [
    State::Idle,
    State::InHead,
    State::InMessage,
    State::Paused,
    State::Held,
    State::PausedAndFinished,
    State::Closing,
    State::Answered,
    State::Faulty,
];

#[derive(Clone, Copy, PartialEq, Debug)]
enum Ending {
    Shutdown,
    Stop,
    Close,
    Cut,
    PeerCloses,
    PeerFinishes,
    PeerGoes,
    PeerBreaksRules,
    LoopEnds,
}

const ENDINGS: [Ending; 9] = [
    Ending::Shutdown,
    Ending::Stop,
    Ending::Close,
    Ending::Cut,
    Ending::PeerCloses,
    Ending::PeerFinishes,
    Ending::PeerGoes,
    Ending::PeerBreaksRules,
    Ending::LoopEnds,
];

fn enter(ev: &mut EvLoop, ws: WebSocket, raw: &mut Raw, state: State) {
    match state {
        State::Idle => {}
        State::InHead => raw.send([0x81]),
        State::InMessage => raw.frame(0x01, "half"),
        State::Paused => {
            assert!(ws.pause(ev));
            raw.text("waits");
        }
        State::Held => {
            while ws.stream().output_len(ev) < 512 * 1024 {
                ws.send_binary(ev, vec![9; 64 * 1024]).unwrap();
                turn(ev);
            }
            raw.frame(0x89, "?");
        }
        State::PausedAndFinished => {
            assert!(ws.pause(ev));
            raw.finish();
        }
        State::Closing => ws.close(ev, CloseCode::NORMAL, "").unwrap(),
        State::Answered => raw.close(1000, ""),
        State::Faulty => raw.frame(0xF1, "?"),
    }
    settle(ev);
}

#[test]
fn every_end_is_one_in_every_state() {
    for state in STATES {
        for ending in ENDINGS {
            let mut ev = ev();
            let (server, log) = echo(&mut ev, WebSocketOptions::new());
            let stopped = Rc::new(Cell::new(false));
            let tells = Rc::clone(&stopped);
            server.on_stopped(&mut ev, move |_| tells.set(true));
            let mut raw = Some(Raw::open(&mut ev, server));
            settle(&mut ev);
            let ws = ev.websockets()[0];
            enter(&mut ev, ws, raw.as_mut().unwrap(), state);
            let peer = raw.as_mut().unwrap();
            // Who has ended its side says nothing more.
            let is_mute = state == State::PausedAndFinished;
            match ending {
                Ending::Shutdown => server.shutdown(&mut ev, None),
                Ending::Stop => server.stop_now(&mut ev),
                Ending::Close => ws.close(&mut ev, CloseCode(4000), "enough").unwrap(),
                Ending::Cut => ws.close_now(&mut ev),
                Ending::PeerCloses if is_mute => {}
                Ending::PeerCloses => peer.close(1000, ""),
                Ending::PeerFinishes => peer.finish(),
                Ending::PeerGoes => drop(raw.take()),
                Ending::PeerBreaksRules if is_mute => {}
                Ending::PeerBreaksRules => drop(peer.push(&[0xFF; 100])),
                Ending::LoopEnds => {
                    drop(ev);
                    let told = said(&log);
                    let closed = told.iter().filter(|told| told.starts_with("closed")).count();
                    assert_eq!(closed, 1, "{state:?} {ending:?}: {told:?}");
                    continue;
                }
            }
            // What it takes for the other end to answer, or to read.
            pass(&mut ev, Duration::from_millis(3100));
            let ends_here =
                matches!(ending, Ending::Shutdown | Ending::Stop | Ending::Close | Ending::Cut);
            if ends_here {
                assert_eq!(ev.stream_count(), 0, "{state:?} {ending:?}");
                let stops = matches!(ending, Ending::Shutdown | Ending::Stop);
                assert_eq!(stopped.get(), stops, "{state:?} {ending:?}");
            } else if ev.stream_count() > 0 {
                // Nothing is read, or what came was a part of something.
                let reads_on = matches!(state, State::InHead | State::Paused | State::Held);
                assert!(reads_on || is_mute, "{state:?} {ending:?}: {:?}", log.borrow());
                ws.resume(&mut ev);
                pass(&mut ev, Duration::from_secs(31));
                if ev.stream_count() > 0 {
                    assert_eq!((state, ending), (State::InHead, Ending::PeerCloses));
                    ws.close_now(&mut ev);
                    settle(&mut ev);
                }
            }
            assert_eq!((ev.stream_count(), ev.websockets().len()), (0, 0));
            let told = said(&log);
            let closed = told.iter().filter(|told| told.starts_with("closed")).count();
            let is_last = told.last().is_some_and(|told| told.starts_with("closed"));
            assert!(closed == 1 && is_last, "{state:?} {ending:?}: {told:?}");
        }
    }
}
