//! evloop's HTTP server as it comes, with all its limits and time-outs.

#[cfg(not(feature = "http"))]
pub fn serve(_route: crate::Route) -> std::io::Result<()> {
    crate::serving::unsupported("feature `http` of this package is off");
    Ok(())
}

#[cfg(feature = "http")]
pub use server::serve;

#[cfg(feature = "http")]
mod server {
    use std::io;

    use evloop::EvLoop;
    use evloop::http::{Files, Reply, Request, Routes, ServerOptions};

    use crate::Route;

    pub fn serve(route: Route) -> io::Result<()> {
        let mut ev = EvLoop::new()?;
        let mut options = ServerOptions::new();
        let mut routes = Routes::new();
        match route {
            Route::Plaintext | Route::Echo => {}
            Route::Files => routes = routes.files("/files", Files::new(crate::folder::path()?)?),
            #[cfg(feature = "tls")]
            Route::Tls => {
                let (certificate, key) = crate::identity::Identity::new()?.pem();
                options = options.tls(evloop::net::TlsServer::new(certificate, key)?);
            }
            #[cfg(not(feature = "tls"))]
            Route::Tls => {
                crate::serving::unsupported("feature `tls` of this package is off");
                return Ok(());
            }
        }
        let routes = routes
            .get("/plaintext", |ev: &mut EvLoop, _request: Request, reply: Reply| {
                reply.text(ev, "Hello, World!")
            })
            .post("/echo", |ev: &mut EvLoop, request: Request, reply: Reply| {
                reply.bytes(ev, "application/octet-stream", request.body())
            });
        let server = options.listen(&mut ev, "127.0.0.1:0", routes)?;
        let port = server.addresses(&ev).first().and_then(|address| address.port());
        crate::serving::announce(port.unwrap_or_default())?;
        ev.run()?;
        Ok(())
    }
}
