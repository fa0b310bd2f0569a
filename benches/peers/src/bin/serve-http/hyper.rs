//! hyper 1 on tokio's loop in one thread. It answers pipelined requests together (`pipeline_flush`), which is not its default,
//! and has no timer, so none of its time-outs is on. HTTPS is tokio-rustls between the two.

#[cfg(not(feature = "hyper"))]
pub fn serve(_route: crate::Route) -> std::io::Result<()> {
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
    use tokio::io::{AsyncRead, AsyncWrite};
    use tokio::net::TcpListener;

    use crate::Route;

    pub fn serve(route: Route) -> io::Result<()> {
        let tls = match route {
            Route::Plaintext | Route::Echo => None,
            #[cfg(feature = "tls")]
            Route::Tls => {
                let config = crate::identity::Identity::new()?.config()?;
                Some(tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(config)))
            }
            _ => {
                crate::serving::unsupported("");
                return Ok(());
            }
        };
        let listener = crate::listen()?;
        listener.set_nonblocking(true)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        let tasks = tokio::task::LocalSet::new();
        tasks.block_on(&runtime, accept(listener, tls))
    }

    #[cfg(feature = "tls")]
    type Tls = tokio_rustls::TlsAcceptor;
    #[cfg(not(feature = "tls"))]
    type Tls = std::convert::Infallible;

    async fn accept(listener: std::net::TcpListener, tls: Option<Tls>) -> io::Result<()> {
        let listener = TcpListener::from_std(listener)?;
        loop {
            let (socket, _) = listener.accept().await?;
            socket.set_nodelay(true)?;
            match &tls {
                None => drop(tokio::task::spawn_local(talk(socket))),
                #[cfg(not(feature = "tls"))]
                Some(never) => match *never {},
                #[cfg(feature = "tls")]
                Some(tls) => {
                    let tls = tls.clone();
                    tokio::task::spawn_local(async move {
                        if let Ok(stream) = tls.accept(socket).await {
                            talk(stream).await;
                        }
                    });
                }
            }
        }
    }

    async fn talk(stream: impl AsyncRead + AsyncWrite + Unpin) {
        // Peers may leave as they like.
        let _ = http1::Builder::new()
            .pipeline_flush(true)
            .serve_connection(TokioIo::new(stream), service_fn(respond))
            .await;
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
