//! hyper 1 on tokio's loop in one thread. It answers pipelined requests together (`pipeline_flush`), which is not its default,
//! and has no timer, so none of its time-outs is on.

#[cfg(not(feature = "hyper"))]
pub fn serve() -> std::io::Result<()> {
    crate::serving::unsupported("feature `hyper` of this package is off");
    Ok(())
}

#[cfg(feature = "hyper")]
pub use server::serve;

#[cfg(feature = "hyper")]
mod server {
    use std::io;

    use bytes::Bytes;
    use http_body_util::{BodyExt, Full};
    use hyper::body::Incoming;
    use hyper::header::{CONTENT_TYPE, HeaderValue};
    use hyper::server::conn::http1;
    use hyper::service::service_fn;
    use hyper::{Method, Request, Response, StatusCode};
    use hyper_util::rt::TokioIo;
    use tokio::net::TcpListener;

    pub fn serve() -> io::Result<()> {
        let listener = crate::listen()?;
        listener.set_nonblocking(true)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        let tasks = tokio::task::LocalSet::new();
        tasks.block_on(&runtime, accept(listener))
    }

    async fn accept(listener: std::net::TcpListener) -> io::Result<()> {
        let listener = TcpListener::from_std(listener)?;
        loop {
            let (socket, _) = listener.accept().await?;
            socket.set_nodelay(true)?;
            tokio::task::spawn_local(async move {
                // Peers may leave as they like.
                let _ = http1::Builder::new()
                    .pipeline_flush(true)
                    .serve_connection(TokioIo::new(socket), service_fn(respond))
                    .await;
            });
        }
    }

    async fn respond(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, hyper::Error> {
        let (kind, body) = match (request.method(), request.uri().path()) {
            (&Method::GET, "/plaintext") => ("text/plain", Bytes::from_static(b"Hello, World!")),
            (&Method::POST, "/echo") => {
                ("application/octet-stream", request.into_body().collect().await?.to_bytes())
            }
            _ => {
                let mut response = Response::new(Full::default());
                *response.status_mut() = StatusCode::NOT_FOUND;
                return Ok(response);
            }
        };
        let mut response = Response::new(Full::new(body));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        Ok(response)
    }
}
