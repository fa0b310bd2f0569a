//! `serve-http CONTENDER ROUTE`: an HTTP server for `load-http`, on a port of the system's choice, until SIGTERM.
//!
//! All serve the same two routes: `GET /plaintext` is answered by thirteen bytes of text, `POST /echo` by the body it came
//! with. Which of them will be asked for is said only for those that have not both. It says `pid=N` and `port=N` on stdout once connections are taken (nginx: shortly before), or `unsupported=WHY` where the contender is not
//! to be had. libevent's and libmicrohttpd's are programs of their own in `c/`. `compare` starts them.

mod actix;
#[path = "../../epoll.rs"]
mod epoll;
mod floor;
mod hyper;
mod nginx;
mod ours;
#[path = "../../serving.rs"]
mod serving;

use std::io;
use std::net::TcpListener;
use std::process::ExitCode;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Route {
    Plaintext,
    Echo,
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let Some(served) = serve(&args) else {
        eprintln!("usage: serve-http floor|hyper|actix|nginx|ours plaintext|echo");
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
        _ => return None,
    };
    let prepared = serving::prepare();
    Some(match contender.as_str() {
        "floor" => prepared.and_then(|()| floor::serve()),
        "hyper" => prepared.and_then(|()| hyper::serve()),
        "actix" => prepared.and_then(|()| actix::serve()),
        "nginx" => prepared.and_then(|()| nginx::serve(route)),
        "ours" => prepared.and_then(|()| ours::serve()),
        _ => return None,
    })
}

/// Takes connections from here on, as many at once as the system allows, and says where.
fn listen() -> io::Result<TcpListener> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    serving::announce(listener.local_addr()?.port())?;
    Ok(listener)
}
