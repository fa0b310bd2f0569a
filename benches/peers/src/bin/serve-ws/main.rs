//! `serve-ws CONTENDER MODE`: a WebSocket server for `load-ws`, on a port of the system's choice, until SIGTERM.
//!
//! Asked to `echo`, it sends each message back; asked to `broadcast`, each message has it send one prepared message of a KiB to all
//! connections. It says `pid=N` and `port=N` on stdout once it listens, or `unsupported=WHY` where the contender
//! is not to be had. `compare` starts it.

#[path = "../../epoll.rs"]
mod epoll;
mod fastwebsockets;
mod floor;
mod ours;
#[path = "../../serving.rs"]
mod serving;
// Not each floor needs all of it.
#[allow(dead_code)]
#[path = "../../sockets.rs"]
mod sockets;
mod tungstenite;

use std::io;
use std::net::TcpListener;
use std::process::ExitCode;

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Echo,
    Broadcast,
}

/// What everybody gets of a broadcast.
pub const BROADCAST: [u8; 1024] = [b'b'; 1024];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let Some(served) = serve(&args) else {
        eprintln!(
            "usage: serve-ws floor|tungstenite|tungstenite-4k|fastwebsockets|ours echo|broadcast"
        );
        return ExitCode::from(2);
    };
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("serve-ws {}: {error}", args.join(" "));
            ExitCode::FAILURE
        }
    }
}

fn serve(args: &[String]) -> Option<io::Result<()>> {
    let [contender, mode] = args else { return None };
    let mode = match mode.as_str() {
        "echo" => Mode::Echo,
        "broadcast" => Mode::Broadcast,
        _ => return None,
    };
    let serve = match contender.as_str() {
        "floor" => floor::serve,
        "tungstenite" => tungstenite::serve,
        "tungstenite-4k" => tungstenite::serve_small,
        "fastwebsockets" => fastwebsockets::serve,
        "ours" => ours::serve,
        _ => return None,
    };
    Some(serving::prepare().and_then(|()| serve(mode)))
}

/// Takes connections from here on, as many at once as the system allows, and says where.
fn listen() -> io::Result<TcpListener> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    serving::announce(listener.local_addr()?.port())?;
    Ok(listener)
}
