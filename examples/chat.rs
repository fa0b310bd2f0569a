//! A chat: every line that somebody sends goes to everybody else, and every line of standard input to all.
//!
//! `chat [--listen ADDR]`, by default 127.0.0.1:8083; also `:8083` for all addresses of the machine, and
//! `unix:/path`. Try it with `nc 127.0.0.1 8083`, in two terminals. In the background of a terminal it is
//! `chat </dev/null &`, since there standard input must not be read.
//!
//! A line is in memory once, however many it goes to. Who does not read is dropped when too much waits, and
//! the others notice nothing but that.

use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use evloop::net::{Address, Direction, Eol, Listener, Shared, Stream, StreamEvent, StreamRemote};
use evloop::{Break, ErrorKind, EvLoop};
use libc::{SIGINT, SIGTERM};

/// The longest line.
const LONGEST: usize = 4096;

/// How much may wait for one who does not read, in bytes.
const MOST_BEHIND: usize = 256 * 1024;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let address = match arguments() {
        Ok(address) => address,
        Err(wrong) => {
            writeln!(io::stderr(), "chat: {wrong}; usage: chat [--listen ADDR]")?;
            return Ok(ExitCode::from(2));
        }
    };
    let mut ev = EvLoop::new()?;
    let opened = ev.listen(address.clone(), |ev, accepted| {
        accepted.serve(ev, talk);
    });
    let listener = match opened {
        Ok(listener) => listener,
        Err(error) => {
            writeln!(io::stderr(), "chat: {address}: {error:#}")?;
            // What cannot be listened on at all, or not now.
            let is_wrong = error.kind() == ErrorKind::InvalidInput;
            return Ok(ExitCode::from(if is_wrong { 2 } else { 1 }));
        }
    };
    for signum in [SIGINT, SIGTERM] {
        let end = ev.signal(signum, move |ev, _| end(ev, listener));
        end.set_ref(&mut ev, false).start(&mut ev)?;
    }
    let everybody = ev.stream_remote();
    thread::Builder::new().name("console".into()).spawn(move || console(&everybody))?;

    for here in listener.addresses(&ev) {
        writeln!(io::stdout(), "listening on {here}")?;
    }
    let _ = writeln!(
        io::stderr(),
        "lines go to everybody, those of standard input too; Ctrl-C ends it"
    );
    ev.run()?;
    Ok(ExitCode::SUCCESS)
}

fn talk(ev: &mut EvLoop, stream: Stream, event: StreamEvent) {
    let id = stream.id();
    match event {
        StreamEvent::Opened => {
            // Who says nothing may stay. Who is no longer there is found out by the system, or when
            // nothing that is sent arrives.
            let _ = stream.set_keepalive(ev, Some((seconds(60), seconds(10), 6)));
            stream.set_write_timeout(ev, Some(seconds(30)));
            let others = ev.stream_count() - 1;
            tell(ev, stream, &format!("* you are {id}, others here: {others}\n").into());
            tell_others(ev, stream, format!("* {id} has come\n"));
        }
        StreamEvent::Received(_) => loop {
            match stream.take_line(ev, Eol::Any, LONGEST) {
                Ok(Some(line)) => say(ev, stream, line),
                Ok(None) => break,
                Err(_) => {
                    tell(ev, stream, &Shared::from_static(b"* that line is too long\n"));
                    return stream.close_lingering(ev);
                }
            }
        },
        // From the console. It is the same bytes for all.
        StreamEvent::Wakeup(message) => {
            if let Some(line) = message.downcast_ref::<Shared>() {
                tell(ev, stream, line);
            }
        }
        StreamEvent::Eof { .. } => {
            // A last line without an end.
            let rest = stream.take_all(ev);
            if !rest.is_empty() {
                say(ev, stream, rest);
            }
            stream.close_after_flush(ev);
        }
        StreamEvent::Timeout(Direction::Write) => stream.reset(ev),
        StreamEvent::Closed(reason) => {
            tell_others(ev, stream, format!("* {id} has gone: {reason}\n"));
        }
        _ => {}
    }
}

/// Passes on what somebody says, without what would move the others' cursors.
fn say(ev: &mut EvLoop, stream: Stream, mut line: Vec<u8>) {
    line.retain(|byte| !byte.is_ascii_control());
    let mut said = format!("{}: ", stream.id()).into_bytes();
    said.append(&mut line);
    said.push(b'\n');
    tell_others(ev, stream, said);
}

fn tell_others(ev: &mut EvLoop, stream: Stream, line: impl Into<Shared>) {
    let line = line.into();
    for other in ev.streams() {
        if other != stream {
            tell(ev, other, &line);
        }
    }
}

fn tell(ev: &mut EvLoop, stream: Stream, line: &Shared) {
    // What is shared is never refused: how long the queue may be is for us to say.
    if stream.output_len(ev) + line.len() > MOST_BEHIND {
        return stream.reset(ev);
    }
    // That it is closed already is for its own handler.
    let _ = stream.write_shared(ev, line.clone());
}

/// Tells everybody what stands on standard input. On a thread of its own, which ends with the process.
fn console(everybody: &StreamRemote) {
    for line in io::stdin().lines().map_while(Result::ok) {
        let line = Shared::from(format!("console: {line}\n"));
        // To be asked is to be sent: which of them should get it is decided by the loop's thread.
        everybody.broadcast(|_, _| true, line);
        // Not the next one before this one has got there, or a long file would pile up on the way.
        let (told, wait) = mpsc::channel::<()>();
        everybody.remote().post(move |_| drop(told));
        let _ = wait.recv();
    }
}

/// Says goodbye. The loop ends by itself when all are gone; the second time, or after a second, it is ended.
fn end(ev: &mut EvLoop, listener: Listener) {
    if !listener.close(ev) {
        return ev.break_loop(Break::All);
    }
    let goodbye = Shared::from_static(b"* the chat is over\n");
    for stream in ev.streams() {
        tell(ev, stream, &goodbye);
        stream.close_after_flush(ev);
    }
    ev.after(seconds(1), |ev| ev.break_loop(Break::All)).set_ref(ev, false);
}

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn arguments() -> Result<Address, String> {
    let mut address = "127.0.0.1:8083".parse().map_err(|error: evloop::Error| error.to_string())?;
    let mut arguments = std::env::args().skip(1);
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
