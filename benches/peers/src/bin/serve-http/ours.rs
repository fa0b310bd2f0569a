//! evloop's HTTP server as it comes, with all its limits and time-outs.

#[cfg(not(feature = "http"))]
pub fn serve() -> std::io::Result<()> {
    crate::serving::unsupported("feature `http` of this package is off");
    Ok(())
}

#[cfg(feature = "http")]
pub use server::serve;

#[cfg(feature = "http")]
mod server {
    use std::io;

    use evloop::EvLoop;
    use evloop::http::{Reply, Request, Routes};

    pub fn serve() -> io::Result<()> {
        let mut ev = EvLoop::new()?;
        let routes = Routes::new()
            .get("/plaintext", |ev: &mut EvLoop, _request: Request, reply: Reply| {
                reply.text(ev, "Hello, World!")
            })
            .post("/echo", |ev: &mut EvLoop, request: Request, reply: Reply| {
                reply.bytes(ev, "application/octet-stream", request.body())
            });
        let server = ev.http_server("127.0.0.1:0", routes)?;
        let port = server.addresses(&ev).first().and_then(|address| address.port());
        crate::serving::announce(port.unwrap_or_default())?;
        ev.run()?;
        Ok(())
    }
}
