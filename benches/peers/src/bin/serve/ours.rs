//! evloop's streams.

#[cfg(not(feature = "streams"))]
pub fn serve(_mode: crate::Mode) -> std::io::Result<()> {
    crate::serving::unsupported("feature `streams` of this package is off");
    Ok(())
}

#[cfg(feature = "streams")]
pub use streams::serve;

#[cfg(feature = "streams")]
mod streams {
    use std::io;
    use std::time::Duration;

    use evloop::EvLoop;
    use evloop::net::{Stream, StreamEvent};

    use crate::Mode;

    const READ_TIMEOUT: Duration = Duration::from_secs(60);

    /// As `LIMIT` of `c/serve-libevent.c`.
    const MOST: usize = 256 * 1024;

    pub fn serve(mode: Mode) -> io::Result<()> {
        let mut ev = EvLoop::new()?;
        let listener = ev.listen("127.0.0.1:0", move |ev, accepted| {
            let stream = accepted.serve(ev, echo);
            match mode {
                Mode::IdleTimeout => drop(stream.set_read_timeout(ev, Some(READ_TIMEOUT))),
                Mode::Stream => drop(stream.set_read_marks(ev, 0, Some(MOST))),
                _ => {}
            }
        })?;
        let port = listener.addresses(&ev).first().and_then(|address| address.port());
        crate::serving::announce(port.unwrap_or_default())?;
        ev.run()?;
        Ok(())
    }

    fn echo(ev: &mut EvLoop, stream: Stream, event: StreamEvent) {
        match event {
            StreamEvent::Received(_) => drop(stream.forward(ev, stream, usize::MAX)),
            // What there was no room for.
            StreamEvent::Drained if stream.input_len(ev) > 0 => {
                stream.forward(ev, stream, usize::MAX);
            }
            StreamEvent::Eof { .. } => stream.close_after_flush(ev),
            StreamEvent::Timeout(_) => stream.close_now(ev),
            _ => {}
        }
    }
}
