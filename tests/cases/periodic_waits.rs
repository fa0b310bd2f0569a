// How long a loop with periodics would wait, and what ends the wait: loop.md 1.3, 1.4, 3.3. Scripted.

use std::time::SystemTime;

fn ev_on_the_hour() -> (EvLoop, MockClock, Script) {
    let (mut ev, clock, script) = ev_with_script();
    clock.set_wall(hour());
    ev.update_now();
    (ev, clock, script)
}

fn hour() -> SystemTime {
    SystemTime::UNIX_EPOCH + secs(1_000_000_800)
}

#[test]
fn the_wait_is_the_time_to_the_first_of_periodics_and_timers() {
    let (mut ev, _, script) = ev_on_the_hour();
    ev.periodic(Schedule::every(secs(60)), nothing).start(&mut ev);
    ev.timer(secs(100), ZERO, nothing).set_ref(&mut ev, false).start(&mut ev);
    for _ in 0..3 {
        ev.run_mode(Run::Once).unwrap();
    }
    assert_eq!(script.waits(), [60, 40, 20].map(|s| Some(secs(s))));
}

#[test]
fn the_wait_for_a_periodic_has_nanosecond_resolution_and_no_cap_under_a_mock_clock() {
    let (mut ev, _, script) = ev_on_the_hour();
    let far = secs(400 * 86_400) + Duration::from_nanos(1);
    ev.periodic(Schedule::at(hour() + far), nothing).start(&mut ev);
    assert!(!ev.run().unwrap());
    assert_eq!(script.waits(), [Some(far)]);
}

#[test]
fn a_parked_periodic_waits_without_end() {
    let (mut ev, _, script) = ev_on_the_hour();
    ev.periodic(Schedule::by(|_| None), nothing).start(&mut ev);
    assert_eq!(ev.run().unwrap_err().kind(), ErrorKind::Stuck);
    assert_eq!(script.waits(), [None]);
    ev.verify();
}

#[test]
fn an_overdue_periodic_makes_the_wait_zero() {
    let (mut ev, clock, script) = ev_on_the_hour();
    let calls = Count::new();
    ev.periodic(Schedule::every(secs(60)), calls.ups()).start(&mut ev);
    clock.advance(secs(61));
    ev.run_mode(Run::Once).unwrap();
    assert_eq!((calls.get(), script.waits()), (1, vec![Some(ZERO)]));
}

#[test]
fn a_jump_before_the_wait_is_in_its_length() {
    let (mut ev, clock, script) = ev_on_the_hour();
    ev.periodic(Schedule::every(secs(60)), nothing).start(&mut ev);
    clock.set_wall(hour() + secs(45));
    ev.run_mode(Run::Once).unwrap();
    clock.set_wall(hour() - secs(75));
    ev.run_mode(Run::Once).unwrap();
    assert_eq!(script.waits(), [15, 15].map(|s| Some(secs(s))));
}

#[test]
fn once_waits_on_when_it_was_interrupted() {
    let (mut ev, _, script) = ev_on_the_hour();
    let calls = Count::new();
    ev.periodic(Schedule::every(secs(60)), calls.ups()).start(&mut ev);
    script.interrupt();
    script.interrupt();
    ev.run_mode(Run::Once).unwrap();
    assert_eq!((calls.get(), script.waits()), (1, vec![Some(secs(60)); 3]));
}

#[test]
fn a_wait_that_fails_loses_no_periodic() {
    let (mut ev, clock, script) = ev_on_the_hour();
    let calls = Count::new();
    ev.periodic(Schedule::at(hour() + secs(60)), calls.ups()).start(&mut ev);
    script.fail_wait(5);
    assert_eq!(ev.run().unwrap_err().kind(), ErrorKind::Wait);
    assert!(!ev.run().unwrap());
    assert_eq!((calls.get(), clock.elapsed()), (1, secs(60)));
}
