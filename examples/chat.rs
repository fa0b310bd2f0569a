//! A chat: what somebody says goes to everybody else, and every line of standard input to all. Some talk in lines over
//! TCP, others in a browser, over WebSockets.
//!
//! `chat [--listen ADDR] [--http ADDR]`, by default 127.0.0.1:8083 for lines and 127.0.0.1:8085 for browsers; also `:8083`
//! for all addresses of the machine, and `unix:/path`. Try it with `nc 127.0.0.1 8083` and with a browser at
//! <http://127.0.0.1:8085>. In the background of a terminal it is `chat </dev/null &`, since there standard input must
//! not be read.
//!
//! What is said is in memory once for all who talk in lines, and once, as a frame, for all WebSockets. Who does not read
//! is dropped when too much waits, and the others notice nothing but that.

use std::error::Error;
use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use evloop::http::{Reply, Request, Routes, Server, ServerOptions};
use evloop::net::{Address, Direction, Eol, Listener, Shared, Stream, StreamEvent};
use evloop::net::{Place, StreamRemote};
use evloop::websocket::{CloseCode, WebSocketRemote, broadcast, same_origin};
use evloop::websocket::{PreparedMessage, WebSocket, WebSocketEvent, WebSocketOptions};
use evloop::{Break, ErrorKind, EvLoop};
use libc::{SIGINT, SIGTERM};

/// The longest line, and the longest message.
const LONGEST: usize = 4096;

/// How much may wait for one who does not read, in bytes.
const MOST_BEHIND: usize = 256 * 1024;

const USAGE: &str = "usage: chat [--listen ADDR] [--http ADDR]";

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let (lines_at, http_at) = match arguments() {
        Ok(addresses) => addresses,
        Err(wrong) => {
            writeln!(io::stderr(), "chat: {wrong}; {USAGE}")?;
            return Ok(ExitCode::from(2));
        }
    };
    let mut ev = EvLoop::new()?;
    let opened = ev.listen(lines_at.clone(), |ev, accepted| {
        accepted.serve(ev, talk);
    });
    let listener = match opened {
        Ok(listener) => listener,
        Err(error) => return cannot_listen(&lines_at, &error),
    };
    let server = match ServerOptions::new().listen(&mut ev, &http_at, routes()) {
        Ok(server) => server,
        Err(error) => return cannot_listen(&http_at, &error),
    };
    for signum in [SIGINT, SIGTERM] {
        let end = ev.signal(signum, move |ev, _| end(ev, listener, server));
        end.set_ref(&mut ev, false).start(&mut ev)?;
    }
    let (lines, websockets) = (ev.stream_remote(), ev.websocket_remote());
    thread::Builder::new().name("console".into()).spawn(move || console(&lines, &websockets))?;

    for here in listener.addresses(&ev) {
        writeln!(io::stdout(), "listening on {here}")?;
    }
    for here in server.addresses(&ev) {
        let url = match here.place() {
            Place::Any(port) => format!("http://0.0.0.0:{port}"),
            Place::Socket(socket) => format!("http://{socket}"),
            _ => here.to_string(),
        };
        writeln!(io::stdout(), "listening on {url}")?;
    }
    let _ = writeln!(
        io::stderr(),
        "what is said goes to everybody, lines of standard input too; Ctrl-C ends it"
    );
    ev.run()?;
    Ok(ExitCode::SUCCESS)
}

// --- who talks in lines --------------------------------------------------------------------------

/// What is attached to the streams of those: the loop has others, which belong to the server.
struct Talker;

fn talk(ev: &mut EvLoop, stream: Stream, event: StreamEvent) {
    let id = stream.id();
    match event {
        StreamEvent::Opened => {
            // Who says nothing may stay. Who is no longer there is found out by the system, or when
            // nothing that is sent arrives.
            let _ = stream.set_keepalive(ev, Some((seconds(60), seconds(10), 6)));
            stream.set_write_timeout(ev, Some(seconds(30)));
            stream.set_data(ev, Talker);
            tell(ev, stream, &Said::new(&welcome(ev, id)).line);
            tell_others(ev, id, format!("* {id} has come"));
        }
        StreamEvent::Received(_) => loop {
            match stream.take_line(ev, Eol::Any, LONGEST) {
                Ok(Some(line)) => say(ev, id, &line),
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
                say(ev, id, &rest);
            }
            stream.close_after_flush(ev);
        }
        StreamEvent::Timeout(Direction::Write) => stream.reset(ev),
        StreamEvent::Closed(reason) => tell_others(ev, id, format!("* {id} has gone: {reason}")),
        _ => {}
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

// --- who talks in a browser ----------------------------------------------------------------------

fn routes() -> Routes {
    // No other page is to listen in, or to talk in the name of who looks at it.
    let options = WebSocketOptions::new()
        .max_message(LONGEST)
        .ping(seconds(60), seconds(20))
        .origin(same_origin);
    Routes::new().get("/", |ev, _, reply| reply.html(ev, PAGE)).get(
        "/ws",
        move |ev: &mut EvLoop, request: Request, reply: Reply| {
            // What is no such request was answered so.
            let _ = options.accept(ev, &request, reply, talk_web);
        },
    )
}

fn talk_web(ev: &mut EvLoop, ws: WebSocket, event: WebSocketEvent<'_>) {
    let id = ws.id();
    match event {
        WebSocketEvent::Opened => {
            let _ = ws.send_text(ev, welcome(ev, id));
            tell_others(ev, id, format!("* {id} has come"));
        }
        WebSocketEvent::Text(text) => say(ev, id, text.as_bytes()),
        WebSocketEvent::Binary(_) => {
            let _ = ws.close(ev, CloseCode::UNSUPPORTED, "only text");
        }
        WebSocketEvent::Closed(closed) => {
            tell_others(ev, id, format!("* {id} has gone: {}", closed.code));
        }
        _ => {}
    }
}

const PAGE: &str = r#"<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>chat</title>
<link rel="icon" href="data:,">
<style>
:root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif }
body { display: flex; flex-direction: column; gap: .75rem; box-sizing: border-box; max-width: 44rem; height: 100vh; height: 100dvh; margin: 0 auto; padding: 1rem }
h1 { font-size: 1.25rem; margin: 0 }
ol { flex: 1; overflow: auto; margin: 0; padding: .75rem; list-style: none; border: 1px solid #8886; border-radius: 8px; overflow-wrap: anywhere }
li.news { opacity: .7 }
form { display: flex; gap: .5rem }
input { flex: 1; min-width: 0 }
input, button { font: inherit; padding: .5rem .75rem; border: 1px solid #8888; border-radius: 8px }
</style>
<h1>chat</h1>
<ol role="log" aria-label="What was said" tabindex="0"></ol>
<form><input aria-label="A message" placeholder="A message" maxlength="1000" autocomplete="off" autofocus> <button>Say</button></form>
<script>
const log = document.querySelector('ol'), input = document.querySelector('input');
let socket;
function show(text) {
  const item = document.createElement('li');
  item.className = text.startsWith('* ') ? 'news' : '';
  item.textContent = text;
  while (log.children.length >= 1000) log.firstChild.remove();
  log.append(item);
  log.scrollTop = log.scrollHeight;
}
function connect() {
  socket = new WebSocket(location.origin.replace(/^http/, 'ws') + '/ws');
  socket.onmessage = event => show(event.data);
  socket.onclose = event => {
    show('* the connection is gone' + (event.reason ? ': ' + event.reason : ''));
    setTimeout(connect, 3000);
  };
}
document.querySelector('form').onsubmit = event => {
  event.preventDefault();
  if (!input.value) return;
  if (socket.readyState !== WebSocket.OPEN) return show('* not connected: what is written waits');
  socket.send(input.value);
  show('me: ' + input.value);
  input.value = '';
};
connect();
</script>
"#;

// --- what goes to both ---------------------------------------------------------------------------

/// Something that was said, in the two forms in which it is sent; each is made once.
struct Said {
    line: Shared,
    message: PreparedMessage,
}

impl Said {
    fn new(text: &str) -> Self {
        Self { line: format!("{text}\n").into(), message: PreparedMessage::text(text) }
    }
}

/// Passes on what somebody says, without what would move the others' cursors.
fn say(ev: &mut EvLoop, id: u64, said: &[u8]) {
    let mut text = String::from_utf8_lossy(said).into_owned();
    text.retain(|c| !c.is_control());
    tell_others(ev, id, format!("{id}: {text}"));
}

/// Tells everybody but one.
fn tell_others(ev: &mut EvLoop, id: u64, text: impl AsRef<str>) {
    let said = Said::new(text.as_ref());
    for stream in talkers(ev) {
        if stream.id() != id {
            tell(ev, stream, &said.line);
        }
    }
    let told = broadcast(ev, |_, ws| ws.id() != id, &said.message);
    for ws in told.refused {
        ws.close_now(ev);
    }
}

fn talkers(ev: &EvLoop) -> impl Iterator<Item = Stream> + use<> {
    let mut all = ev.streams();
    all.retain(|stream| stream.data::<Talker>(ev).is_some());
    all.into_iter()
}

fn welcome(ev: &EvLoop, id: u64) -> String {
    // While the chat ends, nobody is open any more.
    let others = (talkers(ev).count() + ev.websockets().len()).saturating_sub(1);
    format!("* you are {id}, others here: {others}")
}

/// Tells everybody what stands on standard input. On a thread of its own, which ends with the process.
fn console(lines: &StreamRemote, websockets: &WebSocketRemote) {
    for line in io::stdin().lines().map_while(Result::ok) {
        let said = Said::new(&format!("console: {line}"));
        // Which of them should get it is decided by the loop's thread.
        lines.broadcast(|ev, stream| stream.data::<Talker>(ev).is_some(), said.line);
        websockets.broadcast(|_, _| true, said.message);
        // Not the next one before this one has got there, or a long file would pile up on the way.
        let (told, wait) = mpsc::channel::<()>();
        lines.remote().post(move |_| drop(told));
        let _ = wait.recv();
    }
}

// --- the end, and the beginning ------------------------------------------------------------------

/// Says goodbye. The loop ends by itself when all are gone; the second time, or after a second, it is ended.
fn end(ev: &mut EvLoop, listener: Listener, server: Server) {
    if !listener.close(ev) {
        return ev.break_loop(Break::All);
    }
    let goodbye = Said::new("* the chat is over");
    for stream in talkers(ev) {
        tell(ev, stream, &goodbye.line);
        stream.close_after_flush(ev);
    }
    broadcast(ev, |_, _| true, &goodbye.message);
    // It closes the WebSockets.
    server.shutdown(ev, Some(seconds(1)));
    ev.after(seconds(1), |ev| ev.break_loop(Break::All)).set_ref(ev, false);
}

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn cannot_listen(address: &Address, error: &evloop::Error) -> Result<ExitCode, Box<dyn Error>> {
    writeln!(io::stderr(), "chat: {address}: {error:#}")?;
    // What cannot be listened on at all, or not now.
    let is_wrong = error.kind() == ErrorKind::InvalidInput;
    Ok(ExitCode::from(if is_wrong { 2 } else { 1 }))
}

fn arguments() -> Result<(Address, Address), String> {
    let mut lines = address("--listen", "127.0.0.1:8083")?;
    let mut http = address("--http", "127.0.0.1:8085")?;
    // `env::args` would panic.
    let given: Result<Vec<_>, _> = std::env::args_os().skip(1).map(OsString::into_string).collect();
    let given = given.map_err(|wrong| format!("not UTF-8: {}", wrong.to_string_lossy()))?;
    let mut arguments = given.into_iter();
    while let Some(argument) = arguments.next() {
        let place = match argument.as_str() {
            "--listen" => &mut lines,
            "--http" => &mut http,
            other => return Err(format!("unknown argument {other}")),
        };
        let text = arguments.next().ok_or(format!("{argument} needs an address"))?;
        *place = address(&argument, &text)?;
    }
    Ok((lines, http))
}

fn address(option: &str, text: &str) -> Result<Address, String> {
    text.parse().map_err(|error: evloop::Error| match error.source() {
        Some(why) => format!("{option} {text}: {why}"),
        None => format!("{option} {text}: {error}"),
    })
}
