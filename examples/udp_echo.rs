//! Datagrams: each comes back to whoever has sent it.
//!
//! `udp_echo [--listen ADDR]`, by default 127.0.0.1:8082; also `[::]:8082`, `:8082` for all addresses of the
//! machine, and `unix:/path`. Try it with `nc -u 127.0.0.1 8082`.

use std::error::Error;
use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use evloop::net::{Address, DatagramEvent, DatagramOptions};
use evloop::{Break, ErrorKind, EvLoop};
use libc::{SIGINT, SIGTERM};

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let address = match arguments() {
        Ok(address) => address,
        Err(wrong) => {
            writeln!(io::stderr(), "udp_echo: {wrong}; usage: udp_echo [--listen ADDR]")?;
            return Ok(ExitCode::from(2));
        }
    };
    let mut ev = EvLoop::new()?;
    for signum in [SIGINT, SIGTERM] {
        ev.signal(signum, |ev, _| ev.break_loop(Break::All)).start(&mut ev)?;
    }

    let options = DatagramOptions::new().max_packet(65_535).unlink_stale(true);
    let opened = options.bind(&mut ev, address.clone(), |ev, socket, event| match event {
        // What cannot be sent is lost, as a datagram may be. One whose end was cut off is not its echo.
        DatagramEvent::Received(packet) if !packet.truncated && !packet.peer.is_unnamed() => {
            let _ = socket.send_to(ev, packet.bytes, packet.peer);
        }
        _ => {}
    });
    let socket = match opened {
        Ok(socket) => socket,
        Err(error) => {
            writeln!(io::stderr(), "udp_echo: {address}: {error:#}")?;
            // What cannot be listened on at all, or not now.
            let is_wrong = error.kind() == ErrorKind::InvalidInput;
            return Ok(ExitCode::from(if is_wrong { 2 } else { 1 }));
        }
    };

    // Not `println!`, which panics when nobody reads standard output any more.
    let here = socket.local(&ev).unwrap_or(address);
    writeln!(io::stdout(), "listening on {here}")?;
    let _ = writeln!(io::stderr(), "sends every datagram back; Ctrl-C ends it");
    ev.run()?;
    if let Some(counters) = socket.counters(&ev) {
        let (came, went) = (counters.packets_in, counters.packets_out);
        let _ = writeln!(io::stderr(), "{came} received, {went} sent back");
    }
    Ok(ExitCode::SUCCESS)
}

fn arguments() -> Result<Address, String> {
    let mut address = "127.0.0.1:8082".parse().map_err(|error: evloop::Error| error.to_string())?;
    // `env::args` would panic.
    let given: Result<Vec<_>, _> = std::env::args_os().skip(1).map(OsString::into_string).collect();
    let given = given.map_err(|wrong| format!("not UTF-8: {}", wrong.to_string_lossy()))?;
    let mut arguments = given.into_iter();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--listen" => {
                let text = arguments.next().ok_or("--listen needs an address")?;
                address = text.parse().map_err(|error: evloop::Error| match error.source() {
                    Some(why) => format!("--listen {text}: {why}"),
                    None => format!("--listen {text}: {error}"),
                })?;
            }
            other => return Err(format!("unknown argument {other}")),
        }
    }
    Ok(address)
}
