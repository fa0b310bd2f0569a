//! actix-web with one worker. Its own thread accepts, another one serves; a third waits for both.

#[cfg(not(feature = "actix"))]
pub fn serve(_route: crate::Route) -> std::io::Result<()> {
    crate::serving::unsupported("feature `actix` of this package is off");
    Ok(())
}

#[cfg(feature = "actix")]
pub use server::serve;

#[cfg(feature = "actix")]
mod server {
    use std::io;
    use std::time::Duration;

    use actix_web::http::header::ContentType;
    use actix_web::web::{self, Bytes};
    use actix_web::{App, HttpResponse, HttpServer};

    /// Longer than any measurement: with the usual five seconds the idle connections would go.
    const KEEP_ALIVE: Duration = Duration::from_secs(3600);

    use crate::Route;

    pub fn serve(route: Route) -> io::Result<()> {
        if !matches!(route, Route::Plaintext | Route::Echo) {
            crate::serving::unsupported("");
            return Ok(());
        }
        let listener = crate::listen()?;
        let app = || {
            App::new()
                .route("/plaintext", web::get().to(plaintext))
                .route("/echo", web::post().to(echo))
        };
        let server = HttpServer::new(app)
            .workers(1)
            .keep_alive(KEEP_ALIVE)
            // `serving::prepare` has said what is done at SIGTERM.
            .disable_signals()
            .listen(listener)?
            .run();
        actix_web::rt::System::new().block_on(server)
    }

    async fn plaintext() -> HttpResponse {
        HttpResponse::Ok().content_type(ContentType::plaintext()).body("Hello, World!")
    }

    async fn echo(body: Bytes) -> HttpResponse {
        HttpResponse::Ok().content_type(ContentType::octet_stream()).body(body)
    }
}
