// Stale and foreign keys: every verb of every kind is a documented no-op: loop.md 1.10, 2.1.

use std::os::unix::net::UnixStream;

/// The verbs all kinds share, on a key that this loop must refuse; `live` is the watcher that must
/// not be hit: the next owner of the slot, or this loop's watcher under the same number.
macro_rules! refused {
    ($ev:ident, $key:ident, $live:ident) => {{
        let what = stringify!($key);
        $live.feed(&mut $ev, Events::CUSTOM);
        $live.set_priority(&mut $ev, 1);
        assert!(!$key.exists(&$ev), "{what}");
        assert!(!$key.is_active(&$ev) && !$key.is_pending(&$ev), "{what}");
        assert_eq!($key.priority(&$ev), 0, "{what}");
        assert!(!$key.stop(&mut $ev), "{what}: stop");
        assert!(!$key.free(&mut $ev), "{what}: free");
        assert!(!$key.feed(&mut $ev, Events::ERROR), "{what}: feed");
        assert!(!$key.feed_later(&mut $ev, Events::ERROR), "{what}: feed_later");
        assert!(!$key.invoke(&mut $ev, Events::ERROR), "{what}: invoke");
        assert_eq!($key.clear_pending(&mut $ev), Events::NONE, "{what}");
        assert_eq!($key.set_priority(&mut $ev, -2), $key);
        assert_eq!($key.set_ref(&mut $ev, false), $key);
        assert!($live.exists(&$ev) && $live.is_active(&$ev) && $live.is_pending(&$ev), "{what}");
        assert_eq!($live.priority(&$ev), 1, "{what}");
        assert!($ev.has_refs(), "{what}");
        assert_eq!($live.clear_pending(&mut $ev), Events::CUSTOM, "{what}");
        $ev.verify();
    }};
}

/// Both ways a key can be wrong. `$make` makes a watcher in the loop it is given; `$more` are the
/// verbs this kind has besides.
macro_rules! wrong_keys {
    ($test:ident, |$maker:ident| $make:expr, |$ev:ident, $key:ident| $more:block) => {
        #[test]
        fn $test() {
            let make = |$maker: &mut EvLoop| $make;
            // Freed, and the slot has a new owner.
            let mut $ev = ev();
            let $key = make(&mut $ev);
            assert!($key.free(&mut $ev));
            assert!(!$key.exists(&$ev) && !$key.stop(&mut $ev), "freed, no heir yet");
            let live = make(&mut $ev);
            let _ = live.start(&mut $ev);
            refused!($ev, $key, live);
            $more;
            refused!($ev, $key, live);
            // Of another loop, whose watcher has the same place.
            let (mut $ev, mut other) = (ev(), ev());
            let ($key, live) = (make(&mut other), make(&mut $ev));
            let _ = live.start(&mut $ev);
            refused!($ev, $key, live);
            $more;
            refused!($ev, $key, live);
            // Of a loop that is gone.
            drop(other);
            refused!($ev, $key, live);
            live.free(&mut $ev);
            assert!(!$ev.run().unwrap());
        }
    };
}

wrong_keys!(wrong_timer_keys_are_refused, |ev| ev.timer(secs(1), secs(2), nothing), |ev, key| {
    assert_eq!(key.start(&mut ev), key);
    assert_eq!(key.again(&mut ev), key);
    assert_eq!(key.restart(&mut ev, ms(1)), key);
    assert_eq!(key.set(&mut ev, ms(1), ms(1)), key);
    assert_eq!(key.set_repeat(&mut ev, ms(1)), key);
    assert_eq!(key.set_keep_phase(&mut ev, true), key);
    assert_eq!(key.start_from_real_now(&mut ev), key);
    assert_eq!((key.remaining(&ev), key.repeat(&ev), key.due(&ev)), (ZERO, ZERO, None));
    assert!(!key.set_callback(&mut ev, |_, _| panic!("not mine")));
    assert_eq!(ev.watchers().len(), 1);
    let AnyWatcher::Timer(live) = ev.watchers()[0] else { panic!("a timer was started") };
    assert_eq!((live.remaining(&ev), live.repeat(&ev)), (secs(1), secs(2)));
});

/// The kinds that have no verb beside the shared ones.
macro_rules! wrong_plain_keys {
    ($test:ident, |$maker:ident| $make:expr) => {
        wrong_keys!($test, |$maker| $make, |ev, key| {
            assert_eq!(key.start(&mut ev), key);
            assert!(!key.set_callback(&mut ev, |_, _| panic!("not mine")));
            assert_eq!(ev.watchers().len(), 1);
        });
    };
}

wrong_plain_keys!(wrong_idle_keys_are_refused, |ev| ev.idle(nothing));
wrong_plain_keys!(wrong_prepare_keys_are_refused, |ev| ev.prepare(nothing));
wrong_plain_keys!(wrong_check_keys_are_refused, |ev| ev.check(nothing));
wrong_plain_keys!(wrong_async_keys_are_refused, |ev| ev.notifier(nothing).0);

/// An io watcher whose peer stays open with it.
fn socket(ev: &mut EvLoop) -> Io {
    let (socket, peer) = UnixStream::pair().unwrap();
    ev.io(socket, Interest::READ, move |_, _| drop(peer.peer_addr()))
}

wrong_keys!(wrong_io_keys_are_refused, |ev| socket(ev), |ev, key| {
    assert_eq!(key.start(&mut ev).unwrap_err().kind(), ErrorKind::Stale);
    assert_eq!(key.start_or_free(&mut ev).unwrap_err().kind(), ErrorKind::Stale);
    assert_eq!(key.set_interest(&mut ev, Interest::WRITE).unwrap_err().kind(), ErrorKind::Stale);
    assert_eq!((key.interest(&ev), key.fd(&ev)), (Interest::NONE, None));
    assert!(key.into_source::<UnixStream>(&mut ev).is_none());
    assert!(!key.set_callback(&mut ev, |_, _: IoEvent<'_, UnixStream>| panic!("not mine")));
    let AnyWatcher::Io(live) = ev.watchers()[0] else { panic!("an io watcher was started") };
    assert_eq!(live.interest(&ev), Interest::READ);
});

#[test]
fn a_key_of_one_kind_says_nothing_about_another_kind_in_the_same_place() {
    let mut ev = ev();
    let (timer, idle) = (ev.timer(secs(1), ZERO, nothing), ev.idle(nothing));
    timer.start(&mut ev);
    idle.start(&mut ev);
    assert!(timer.free(&mut ev));
    assert!(idle.is_active(&ev) && ev.has_refs());
}

#[test]
fn keys_are_small_plain_values() {
    use std::fmt::Debug;
    use std::hash::Hash;
    fn plain<K: Copy + Eq + Hash + Debug + Send + Sync + Watcher + 'static>(key: K) {
        assert_eq!(size_of::<K>(), 8);
        assert!(!format!("{key:?}").is_empty());
    }
    let mut ev = ev();
    plain(ev.timer(ZERO, ZERO, nothing));
    plain(ev.idle(nothing));
    plain(ev.prepare(nothing));
    plain(ev.check(nothing));
    plain(ev.notifier(nothing).0);
    plain(socket(&mut ev));
}

#[test]
fn generic_code_reaches_the_shared_verbs() {
    fn exercise<W: Watcher>(key: W, ev: &mut EvLoop) {
        assert!(key.exists(ev) && !key.is_active(ev));
        assert!(key.feed(ev, Events::CUSTOM) && key.is_pending(ev));
        assert_eq!(key.clear_pending(ev), Events::CUSTOM);
        assert_eq!(key.set_priority(ev, 9).priority(ev), 2);
        assert!(key.stop(ev) && key.free(ev) && !key.exists(ev));
    }
    let mut ev = ev();
    let key = ev.timer(ZERO, ZERO, nothing);
    exercise(key, &mut ev);
    let key = ev.idle(nothing);
    exercise(key, &mut ev);
    let key = ev.prepare(nothing);
    exercise(key, &mut ev);
    let key = ev.check(nothing);
    exercise(key, &mut ev);
    let key = ev.notifier(nothing).0;
    exercise(key, &mut ev);
    let key = socket(&mut ev);
    exercise(key, &mut ev);
}

#[test]
fn the_loop_stays_on_its_thread() {
    // Compiles only while `EvLoop` is neither `Send` nor `Sync`: otherwise two impls would apply.
    trait Unless<A> {
        fn says() {}
    }
    struct IfSend;
    struct IfSync;
    impl<T: ?Sized> Unless<()> for T {}
    impl<T: ?Sized + Send> Unless<IfSend> for T {}
    impl<T: ?Sized + Sync> Unless<IfSync> for T {}
    <EvLoop as Unless<_>>::says();
}
