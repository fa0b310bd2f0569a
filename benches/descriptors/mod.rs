//! Sockets for the benches: pairs, many of them, and the limit that allows so many.

// Every bench includes the whole file and uses a part of it.
#![allow(dead_code)]

use std::os::unix::net::UnixStream;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the soft limit of open descriptors to the hard one and returns it.
pub fn raise_limit() -> usize {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // Where it cannot be raised, the sockets that are missing will say so.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    getrlimit(Resource::Nofile)
        .current
        .map_or(usize::MAX, |n| usize::try_from(n).unwrap_or(usize::MAX))
}

/// Two connected stream sockets that never block.
pub fn pair() -> (UnixStream, UnixStream) {
    let (near, far) = UnixStream::pair().expect("a pair of sockets");
    near.set_nonblocking(true).expect("a socket that does not block");
    far.set_nonblocking(true).expect("a socket that does not block");
    (near, far)
}

/// An even number of sockets that are never readable as long as all of them stay open.
pub fn quiet(count: usize) -> Vec<UnixStream> {
    assert!(count % 2 == 0, "they come in pairs");
    (0..count / 2).flat_map(|_| <[_; 2]>::from(pair())).collect()
}
