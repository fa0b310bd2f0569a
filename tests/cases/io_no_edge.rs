// Where the backend has no edge triggering it says so.

use crate::sockets::*;

#[test]
fn edge_triggering_is_refused_as_unsupported() {
    let mut ev = ev();
    let told = Told::new();
    let (near, _far) = ready_pair();
    let io = ev.io(near, Interest::READ | Interest::EDGE, tells(&told, "x"));
    assert_eq!(io.start(&mut ev).unwrap_err().kind(), ErrorKind::Unsupported);
    assert!(!io.is_active(&ev) && io.exists(&ev));
    io.set_interest(&mut ev, Interest::READ).unwrap();
    io.start(&mut ev).unwrap();
    let error = io.set_interest(&mut ev, Interest::READ | Interest::EDGE).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(io.is_active(&ev) && io.interest(&ev) == Interest::READ);
    pass(&mut ev);
    assert_eq!(told.take(), [("x", READ)]);
    ev.verify();
}
