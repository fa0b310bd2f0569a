// Remote on the loop's own thread: loop-api.md (e), loop.md 1.4, 1.5. Other threads: threads.rs.

#[test]
fn a_post_before_run_is_not_lost_and_holds_no_reference() {
    let mut ev = ev();
    assert!(ev.remote().post(|ev| trace(ev, "posted")));
    assert!(!ev.has_refs());
    assert!(!ev.run().unwrap(), "one non-blocking pass runs it");
    assert_eq!((traced(&mut ev), ev.iteration()), (vec!["posted"], 1));
}

#[test]
fn a_posted_closure_has_the_loop_and_may_start_what_keeps_it_running() {
    let (mut ev, clock) = ev_with_clock();
    ev.remote().post(|ev| {
        assert_eq!(ev.depth(), 1);
        ev.timer(ms(5), ZERO, |ev, _| trace(ev, "timer")).start(ev);
    });
    assert!(!ev.run().unwrap());
    assert_eq!((traced(&mut ev), clock.elapsed()), (vec!["timer"], ms(5)));
}

#[test]
fn a_key_may_be_sent_to_the_loop() {
    let (mut ev, clock) = ev_with_clock();
    let timer = anchor(&mut ev);
    ev.remote().post(move |ev| _ = timer.stop(ev));
    assert!(!ev.run().unwrap());
    assert_eq!(clock.elapsed(), ZERO);
}

#[test]
fn there_is_one_swap_per_iteration_so_a_poster_cannot_starve_the_rest() {
    fn repost(ev: &mut EvLoop) {
        let (seen, now) = (ev.local::<Cell<u64>>(), ev.iteration());
        assert!(seen.get() < now, "twice in iteration {now}");
        seen.set(now);
        assert!(ev.remote().post(repost));
    }
    let mut ev = ev();
    ev.remote().post(repost);
    ev.timer(ZERO, ZERO, |ev, _| trace(ev, "timer")).start(&mut ev);
    let low = ev.timer(ZERO, ZERO, |ev, _| {
        trace(ev, "low");
        ev.break_loop(Break::All);
    });
    low.set_priority(&mut ev, -2).start(&mut ev);
    ev.run().unwrap();
    assert_eq!(traced(&mut ev), ["timer", "low"]);
    assert_eq!(ev.iteration(), 1);
}

#[test]
fn posts_of_a_callback_wait_for_the_next_iteration_which_does_not_sleep() {
    let (mut ev, clock) = ev_with_clock();
    anchor(&mut ev);
    ev.timer(ZERO, ZERO, |ev, _| {
        ev.remote().post(|ev| {
            assert_eq!(ev.iteration(), 2);
            trace(ev, "posted");
        });
    })
    .start(&mut ev);
    ev.run_mode(Run::Once).unwrap();
    assert_eq!(traced(&mut ev), [""; 0]);
    ev.run_mode(Run::Once).unwrap();
    assert_eq!((traced(&mut ev), clock.elapsed()), (vec!["posted"], ZERO));
}

#[test]
fn a_break_sent_before_run_is_not_lost() {
    for how in [Break::One, Break::All] {
        let (mut ev, clock) = ev_with_clock();
        anchor(&mut ev);
        assert!(ev.remote().break_loop(how));
        assert!(ev.run().unwrap());
        assert_eq!(clock.elapsed(), ZERO);
        ev.timer(ms(1), ZERO, nothing).start(&mut ev);
        assert!(ev.run_mode(Run::Once).unwrap());
        assert_eq!(clock.elapsed(), ms(1), "the next run does not see it");
    }
}

#[test]
fn a_break_sent_and_cancelled_lets_the_loop_go_on() {
    let (mut ev, clock) = ev_with_clock();
    ev.timer(ms(5), ZERO, nothing).start(&mut ev);
    assert!(ev.remote().break_loop(Break::All));
    assert!(ev.remote().break_loop(Break::Cancel));
    assert!(!ev.run().unwrap());
    assert_eq!(clock.elapsed(), ms(5));
}

#[test]
fn a_break_sent_by_remote_completes_the_phase() {
    let mut ev = ev();
    ev.remote().break_loop(Break::One);
    ev.timer(ZERO, ZERO, |ev, _| trace(ev, "timer")).start(&mut ev);
    ev.check(|ev, _| trace(ev, "check")).start(&mut ev);
    assert!(ev.run().unwrap());
    assert_eq!(traced(&mut ev), ["check", "timer"]);
}

#[test]
fn a_posted_closure_is_a_batch_for_once() {
    let (mut ev, clock) = ev_with_clock();
    anchor(&mut ev);
    assert!(ev.remote().post(|ev| trace(ev, "posted")));
    assert!(ev.run_mode(Run::Once).unwrap());
    assert_eq!((traced(&mut ev), clock.elapsed()), (vec!["posted"], ZERO));
}

#[test]
fn a_wake_ends_one_wait_and_calls_nothing() {
    let (mut ev, clock) = ev_with_clock();
    let checks = Count::new();
    ev.check(checks.ups()).set_ref(&mut ev, false).start(&mut ev);
    ev.timer(secs(1), ZERO, nothing).start(&mut ev);
    assert!(ev.remote().wake() && ev.remote().wake());
    assert_eq!(ev.pending_count(), 0);
    assert!(!ev.run().unwrap());
    assert_eq!((checks.get(), clock.elapsed()), (2, secs(1)));
}

#[test]
fn after_the_loop_is_dropped_every_verb_says_so_and_closures_are_dropped_unrun() {
    let kept = std::sync::Arc::new(());
    let ev = ev();
    let remote = ev.remote();
    let captured = std::sync::Arc::clone(&kept);
    assert!(remote.post(move |_| {
        let _captured = captured;
        panic!("nobody runs this");
    }));
    drop(ev);
    assert_eq!(std::sync::Arc::strong_count(&kept), 1, "dropped with the loop");
    let captured = std::sync::Arc::clone(&kept);
    assert!(!remote.post(move |_| drop(captured)));
    assert_eq!(std::sync::Arc::strong_count(&kept), 1, "dropped with the refusal");
    assert!(!remote.wake() && !remote.clone().wake());
    for how in [Break::Cancel, Break::One, Break::All] {
        assert!(!remote.break_loop(how));
    }
}

#[test]
fn pending_count_counts_watchers_not_posted_closures() {
    let mut ev = ev();
    ev.remote().post(|_| ());
    assert_eq!(ev.pending_count(), 0);
    ev.run().unwrap();
    assert_eq!(ev.pending_count(), 0);
}
