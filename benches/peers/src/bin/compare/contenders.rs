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

/// Builds what can be built. The second part says what was left out, and why.
pub fn build_all() -> Result<(Vec<Contender>, Vec<String>), String> {
    let here = std::env::current_exe().map_err(|error| format!("own path: {error}"))?;
    let directory = here.parent().ok_or("own path has no parent")?;
    let peers = build_rust_peers(directory)?;
    let rust_peer = |name: &'static str| Contender {
        name,
        program: peers.clone(),
        prefix: Some(OsString::from(name)),
    };

    let mut notes = Vec::new();
    let mut contenders = vec![rust_peer("floor")];
    for peer in C_PEERS {
        if has_header(peer.header)? {
            contenders.push(build_c_peer(peer, directory)?);
        } else {
            notes.push(format!(
                "{} left out: Debian's {} is not installed",
                peer.name, peer.package
            ));
        }
    }
    contenders.extend(["mio", "polling", "calloop", "tokio"].map(rust_peer));
    if cfg!(feature = "ours") {
        contenders.push(rust_peer("ours"));
    } else {
        notes.push("ours left out: built without the feature `ours`".into());
    }
    for note in &notes {
        eprintln!("compare: {note}");
    }
    Ok((contenders, notes))
}

/// The other binary of this package. Running this one does not build that one, and a stale contender is worse than none.
fn build_rust_peers(directory: &Path) -> Result<PathBuf, String> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(env!("CARGO_MANIFEST_DIR")).args([
        "build",
        "--quiet",
        "--release",
        "--bin",
        "peers",
    ]);
    if !cfg!(feature = "ours") {
        cargo.arg("--no-default-features");
    }
    succeed(&mut cargo)?;
    let program = directory.join("peers");
    if cfg!(debug_assertions) || !program.exists() {
        return Err(
            "run me with --release: the contenders are optimised, and stand beside me".into()
        );
    }
    Ok(program)
}

fn build_c_peer(peer: &CPeer, directory: &Path) -> Result<Contender, String> {
    let source =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("c").join(peer.name).with_extension("c");
    let program = directory.join(format!("peer-{}", peer.name));
    let mut cc = Command::new(c_compiler());
    cc.args(["-O2", "-Wall", "-Wextra", "-pthread", "-o"])
        .arg(&program)
        .arg(source)
        .args(peer.libraries);
    succeed(&mut cc)?;
    Ok(Contender { name: peer.name, program, prefix: None })
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
