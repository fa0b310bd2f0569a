// Per-loop values of library code: loop.md 1.6, loop-api.md surface.

#[derive(Default)]
struct Metrics {
    seen: Cell<u32>,
}

#[derive(Default)]
struct Other(RefCell<Vec<u32>>);

#[test]
fn there_is_one_value_per_type_and_loop() {
    let (mut one, mut two) = (ev(), ev());
    one.local::<Metrics>().seen.set(7);
    one.local::<Other>().0.borrow_mut().push(1);
    assert!(Rc::ptr_eq(&one.local::<Metrics>(), &one.local::<Metrics>()));
    assert_eq!(one.local::<Metrics>().seen.get(), 7);
    assert_eq!(one.local::<Other>().0.take(), [1]);
    assert_eq!(two.local::<Metrics>().seen.get(), 0);
}

#[test]
fn a_value_is_reachable_from_callbacks() {
    let mut ev = ev();
    ev.timer(ZERO, ZERO, |ev, _| ev.local::<Metrics>().seen.set(3)).start(&mut ev);
    ev.run().unwrap();
    assert_eq!(ev.local::<Metrics>().seen.get(), 3);
}

#[test]
fn values_are_dropped_with_the_loop() {
    let mut ev = ev();
    let kept = Rc::downgrade(&ev.local::<Metrics>());
    assert!(kept.upgrade().is_some());
    drop(ev);
    assert!(kept.upgrade().is_none());
}

#[test]
fn a_value_may_reach_for_the_loop_while_it_is_made_elsewhere() {
    // `default` of one type may not borrow the table that holds the others.
    #[derive(Default)]
    struct Nested {
        inner: RefCell<Option<Rc<Metrics>>>,
    }
    let mut ev = ev();
    let nested = ev.local::<Nested>();
    *nested.inner.borrow_mut() = Some(ev.local::<Metrics>());
    assert!(Rc::ptr_eq(nested.inner.borrow().as_ref().unwrap(), &ev.local::<Metrics>()));
}
