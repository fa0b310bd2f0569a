//! `serve-http CONTENDER ROUTE`: an HTTP server for `load-http`, on a port of the system's choice, until SIGTERM.
//!
//! All serve the same two routes: `GET /plaintext` is answered by thirteen bytes of text, `POST /echo` by the body it came
//! with; or files, or the first of these by HTTPS. Which of them will be asked for decides what is set up. It says `pid=N` and `port=N` on stdout once connections are taken (nginx: shortly before), or `unsupported=WHY` where the contender is not
//! to be had. libevent's and libmicrohttpd's are programs of their own in `c/`. `compare` starts them.

mod actix;
#[path = "../../epoll.rs"]
mod epoll;
mod floor;
mod floor_files;
mod floor_tls;
mod folder;
mod hyper;
#[cfg(feature = "tls")]
mod identity;
mod nginx;
mod ours;
#[path = "../../served.rs"]
mod served;
#[path = "../../serving.rs"]
mod serving;
// Not each floor needs all of it.
#[allow(dead_code)]
#[path = "../../sockets.rs"]
mod sockets;

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::ExitCode;
use std::{env, fs, io};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Route {
    Plaintext,
    Echo,
    /// `GET /files/NAME`, of a folder that is made before anything else.
    Files,
    /// `GET /plaintext` by HTTPS.
    Tls,
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let Some(served) = serve(&args) else {
        eprintln!("usage: serve-http floor|hyper|actix|nginx|ours plaintext|echo|files|tls");
        return ExitCode::from(2);
    };
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("serve-http {}: {error}", args.join(" "));
            ExitCode::FAILURE
        }
    }
}

fn serve(args: &[String]) -> Option<io::Result<()>> {
    let [contender, route] = args else { return None };
    let route = match route.as_str() {
        "plaintext" => Route::Plaintext,
        "echo" => Route::Echo,
        "files" => Route::Files,
        "tls" => Route::Tls,
        _ => return None,
    };
    let prepared = serving::prepare();
    Some(match contender.as_str() {
        "floor" => prepared.and_then(|()| match route {
            Route::Plaintext | Route::Echo => floor::serve(),
            Route::Files => floor_files::serve(),
            Route::Tls => floor_tls::serve(),
        }),
        "hyper" => prepared.and_then(|()| hyper::serve(route)),
        "actix" => prepared.and_then(|()| actix::serve(route)),
        "nginx" => prepared.and_then(|()| nginx::serve(route)),
        "ours" => prepared.and_then(|()| ours::serve(route)),
        _ => return None,
    })
}

/// Takes connections from here on, as many at once as the system allows, and says where.
fn listen() -> io::Result<TcpListener> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    serving::announce(listener.local_addr()?.port())?;
    Ok(listener)
}

/// A place for what a server needs as files. Every run has the same one, and only one runs at a time.
fn own_folder(what: &str) -> io::Result<PathBuf> {
    // SAFETY: no preconditions.
    let user = unsafe { libc::getuid() };
    let folder = env::temp_dir().join(format!("evloop-peers-{what}-{user}"));
    fs::create_dir_all(&folder)?;
    Ok(folder)
}
