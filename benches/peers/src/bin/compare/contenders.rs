//! Who takes part, and how their programs are built.

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A program that takes a workload and prints figures.
pub struct Contender {
    pub name: &'static str,
    pub program: PathBuf,
    /// What comes before the workload's name.
    pub prefix: Option<OsString>,
}

struct CPeer {
    name: &'static str,
    header: &'static str,
    package: &'static str,
    libraries: &'static [&'static str],
}

const C_PEERS: &[CPeer] = &[
    CPeer { name: "libev", header: "ev.h", package: "libev-dev", libraries: &["-lev", "-lm"] },
    CPeer { name: "libuv", header: "uv.h", package: "libuv1-dev", libraries: &["-luv"] },
    CPeer {
        name: "libevent",
        header: "event2/event.h",
        package: "libevent-dev",
        libraries: &["-levent", "-levent_pthreads"],
    },
];

/// Builds what can be built. Notes say what was left out, and why.
pub fn build_all(notes: &mut Vec<String>) -> Result<Vec<Contender>, String> {
    let directory = own_directory()?;
    let peers = build_rust_program(&directory, "peers")?;
    let rust_peer = |name| rust_contender(&peers, name);

    let first_note = notes.len();
    let mut contenders = vec![rust_peer("floor")];
    for peer in C_PEERS {
        if has_header(peer.header)? {
            contenders.push(build_c_peer(peer, &directory)?);
        } else {
            notes.push(is_not_installed(peer.name, peer.package));
        }
    }
    contenders.extend(["mio", "polling", "calloop", "tokio"].map(rust_peer));
    if cfg!(feature = "ours") {
        contenders.push(rust_peer("ours"));
    } else {
        notes.push("ours left out: built without the feature `ours`".into());
    }
    for note in &notes[first_note..] {
        eprintln!("compare: {note}");
    }
    Ok(contenders)
}

/// Who takes part where a server and its load are two processes.
pub struct Servers {
    pub contenders: Vec<Contender>,
    pub load: PathBuf,
}

pub fn build_servers(notes: &mut Vec<String>) -> Result<Servers, String> {
    let directory = own_directory()?;
    let serve = build_rust_program(&directory, "serve")?;
    let load = build_rust_program(&directory, "load")?;
    let mut contenders = vec![rust_contender(&serve, "floor")];
    if has_header("event2/bufferevent.h")? {
        let program = directory.join("serve-libevent");
        build_c_program("serve-libevent", &program, &["-levent_core"])?;
        contenders.push(Contender { name: "libevent", program, prefix: None });
    } else {
        let note = is_not_installed("libevent's server", "libevent-dev");
        eprintln!("compare: {note}");
        notes.push(note);
    }
    contenders.push(rust_contender(&serve, "ours"));
    Ok(Servers { contenders, load })
}

/// The servers of libraries in C, one program for each.
const C_HTTP_SERVERS: &[CPeer] = &[
    CPeer {
        name: "evhttp",
        header: "event2/http.h",
        package: "libevent-dev",
        libraries: &["-levent_core", "-levent_extra"],
    },
    CPeer {
        name: "microhttpd",
        header: "microhttpd.h",
        package: "libmicrohttpd-dev",
        libraries: &["-lmicrohttpd"],
    },
];

/// Where they speak HTTP. Those in Rust and nginx say themselves whether they are there.
pub fn build_http_servers(notes: &mut Vec<String>) -> Result<Servers, String> {
    let directory = own_directory()?;
    let serve = build_rust_program(&directory, "serve-http")?;
    let load = build_rust_program(&directory, "load-http")?;
    let mut contenders: Vec<Contender> =
        ["floor", "hyper", "actix", "nginx"].map(|name| rust_contender(&serve, name)).into();
    for peer in C_HTTP_SERVERS {
        let source = format!("serve-{}", peer.name);
        if has_header(peer.header)? {
            let program = directory.join(&source);
            build_c_program(&source, &program, peer.libraries)?;
            contenders.push(Contender { name: peer.name, program, prefix: None });
        } else {
            let note = is_not_installed(peer.name, peer.package);
            eprintln!("compare: {note}");
            notes.push(note);
        }
    }
    contenders.push(rust_contender(&serve, "ours"));
    Ok(Servers { contenders, load })
}

/// Where they serve files or HTTPS: the same program, fewer of them.
fn build_some_http_servers(names: &[&'static str]) -> Result<Servers, String> {
    let directory = own_directory()?;
    let serve = build_rust_program(&directory, "serve-http")?;
    let load = build_rust_program(&directory, "load-http")?;
    let contenders = names.iter().map(|name| rust_contender(&serve, name)).collect();
    Ok(Servers { contenders, load })
}

pub fn build_file_servers(_notes: &mut Vec<String>) -> Result<Servers, String> {
    build_some_http_servers(&["floor", "nginx", "ours"])
}

pub fn build_https_servers(_notes: &mut Vec<String>) -> Result<Servers, String> {
    build_some_http_servers(&["floor", "hyper", "nginx", "ours"])
}

/// Where they speak WebSocket.
pub fn build_websocket_servers(_notes: &mut Vec<String>) -> Result<Servers, String> {
    let directory = own_directory()?;
    let serve = build_rust_program(&directory, "serve-ws")?;
    let load = build_rust_program(&directory, "load-ws")?;
    let names = ["floor", "tungstenite", "tungstenite-4k", "fastwebsockets", "ours"];
    let contenders = names.map(|name| rust_contender(&serve, name)).into();
    Ok(Servers { contenders, load })
}

fn own_directory() -> Result<PathBuf, String> {
    let mut here = std::env::current_exe().map_err(|error| format!("own path: {error}"))?;
    if here.pop() { Ok(here) } else { Err("own path has no parent".into()) }
}

fn rust_contender(program: &Path, name: &'static str) -> Contender {
    Contender { name, program: program.to_owned(), prefix: Some(OsString::from(name)) }
}

fn is_not_installed(name: &str, package: &str) -> String {
    format!("{name} left out: Debian's {package} is not installed")
}

/// Another binary of this package. Running this one does not build that one, and a stale contender is worse than none.
fn build_rust_program(directory: &Path, name: &str) -> Result<PathBuf, String> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
    cargo.args(["build", "--quiet", "--release", "--no-default-features", "--bin", name]);
    // The features this one was built with.
    for (is_on, feature) in [
        (cfg!(feature = "ours"), "ours"),
        (cfg!(feature = "streams"), "streams"),
        (cfg!(feature = "http"), "http"),
        (cfg!(feature = "hyper"), "hyper"),
        (cfg!(feature = "actix"), "actix"),
        (cfg!(feature = "tls"), "tls"),
        (cfg!(feature = "websocket"), "websocket"),
    ] {
        if is_on {
            cargo.args(["--features", feature]);
        }
    }
    succeed(&mut cargo)?;
    let program = directory.join(name);
    if cfg!(debug_assertions) || !program.exists() {
        return Err(
            "run me with --release: the contenders are optimised, and stand beside me".into()
        );
    }
    Ok(program)
}

fn build_c_peer(peer: &CPeer, directory: &Path) -> Result<Contender, String> {
    let program = directory.join(format!("peer-{}", peer.name));
    build_c_program(peer.name, &program, peer.libraries)?;
    Ok(Contender { name: peer.name, program, prefix: None })
}

fn build_c_program(source: &str, program: &Path, libraries: &[&str]) -> Result<(), String> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("c").join(source).with_extension("c");
    let mut cc = Command::new(c_compiler());
    cc.args(["-O2", "-Wall", "-Wextra", "-pthread", "-o"]).arg(program).arg(source).args(libraries);
    succeed(&mut cc)
}

/// Whether the compiler finds the header: what tells a missing package from a broken program.
fn has_header(header: &str) -> Result<bool, String> {
    let mut cc = Command::new(c_compiler());
    cc.args(["-fsyntax-only", "-x", "c", "-"]).stdin(Stdio::piped()).stderr(Stdio::null());
    let explain = |error| format!("{cc:?}: {error}", cc = c_compiler());
    let mut child = cc.spawn().map_err(explain)?;
    let mut source = child.stdin.take().ok_or("the compiler has no stdin")?;
    source.write_all(format!("#include <{header}>\n").as_bytes()).map_err(explain)?;
    drop(source);
    Ok(child.wait().map_err(explain)?.success())
}

fn c_compiler() -> OsString {
    std::env::var_os("CC").unwrap_or_else(|| "cc".into())
}

fn succeed(command: &mut Command) -> Result<(), String> {
    let status = command.status().map_err(|error| format!("{command:?}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{command:?}: {status}")) }
}
