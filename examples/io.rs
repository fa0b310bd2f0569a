//! Io: two ends of a socket pair on one loop, one writing, one reading until the other has closed.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;

use evloop::{EvLoop, Interest};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut ev = EvLoop::new()?;
    let (near, far) = UnixStream::pair()?;
    near.set_nonblocking(true)?;
    far.set_nonblocking(true)?;

    // Called as long as there is room. When all is written the watcher is freed, which closes its end.
    let text: Vec<u8> = b"all of this goes through a socket\n".repeat(20_000);
    let mut written = 0;
    ev.io(near, Interest::WRITE, move |ev, e| {
        let mut stream = e.source;
        match stream.write(&text[written..]) {
            Ok(n) => written += n,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => ev.fail(error),
        }
        if written == text.len() {
            e.watcher.free(ev);
        }
    })
    .start(&mut ev)?;

    // Called as long as there is something to read; nothing at all is the end.
    let mut total = 0;
    ev.io(far, Interest::READ, move |ev, e| {
        let mut bytes = [0; 16 * 1024];
        let mut stream = e.source;
        match stream.read(&mut bytes) {
            Ok(0) => {
                say(ev, &format!("read {total} bytes in {} iterations", ev.iteration()));
                e.watcher.free(ev);
            }
            Ok(n) => total += n,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => ev.fail(error),
        }
    })
    .start(&mut ev)?;

    ev.run()?; // until both watchers are gone
    Ok(())
}

/// Not `println!`, which panics when nobody reads standard output any more.
fn say(ev: &mut EvLoop, text: &str) {
    writeln!(io::stdout().lock(), "{text}").unwrap_or_else(|error| ev.fail(error));
}
