//! Random histories against a reference made of naive lists: start, stop, free, feed, change
//! priority, nest and the rest, from outside and from inside callbacks, on every backend, with
//! `verify` and a comparison of all that can be asked after each step.

#![allow(clippy::unwrap_used)]

#[path = "model/reference.rs"]
mod reference;
#[path = "suite/sockets.rs"]
mod sockets;
mod suite;
#[path = "model/world.rs"]
mod world;

use proptest::prelude::*;
use proptest::test_runner::Config;

use world::{Op, history, operations};

/// What happens outside callbacks, and what each callback that is called does in turn.
fn histories() -> impl Strategy<Value = (Vec<Op>, Vec<Vec<Op>>)> {
    let outside = prop::collection::vec(operations(), 1..50);
    let inside = prop::collection::vec(prop::collection::vec(operations(), 0..4), 0..60);
    (outside, inside)
}

fn config() -> Config {
    // PROPTEST_CASES asks for more; a failure prints its shrunk history, keep it as a test.
    Config { failure_persistence: None, max_shrink_iters: 20_000, ..Config::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn any_history_is_the_same_on_epoll((outside, inside) in histories()) {
        let (ev, clock) = suite::epoll::ev_with_clock();
        history((ev, clock, None), &outside, inside);
    }

    #[test]
    fn any_history_is_the_same_on_poll((outside, inside) in histories()) {
        let (ev, clock) = suite::poll::ev_with_clock();
        history((ev, clock, None), &outside, inside);
    }

    #[test]
    fn any_history_is_the_same_on_the_scripted_backend((outside, inside) in histories()) {
        let (ev, clock, script) = suite::scripted::ev_with_script();
        history((ev, clock, Some(script)), &outside, inside);
    }
}

/// Shrunk histories that once went differently.
#[test]
fn histories_that_once_differed_are_the_same() {
    use evloop::{Events, Interest};
    use world::Op::*;
    let histories: [(Vec<Op>, Vec<Vec<Op>>); 4] = [
        (vec![Again(7), Start(5), Again(7), Advance(1), Run], vec![]),
        (
            vec![Start(9), Start(10), SetPriority(9, 1), SetPriority(9, 0), Run],
            vec![vec![Feed(0, Events::CUSTOM)]],
        ),
        (
            vec![Start(1), FeedLater(2), Run, Run],
            vec![vec![Start(13)], vec![], vec![Start(3)], vec![Nest]],
        ),
        (
            vec![Start(1), Start(2), SetInterest(2, Interest::WRITE), Run, Run],
            vec![vec![Feed(0, Events::NONE)], vec![Feed(0, Events::CUSTOM)]],
        ),
    ];
    for (outside, inside) in histories {
        for make in [suite::epoll::ev_with_clock, suite::poll::ev_with_clock] {
            let (ev, clock) = make();
            history((ev, clock, None), &outside, inside.clone());
        }
    }
}
