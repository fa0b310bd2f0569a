//! nginx as one process, which takes the place of this one. It cannot say where it listens, so the port is one that the
//! system has just given and taken back, and is told before anyone listens there.

use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::{env, fs, io};

use crate::Route;

/// Debian's libnginx-mod-http-echo. nginx itself has nothing that sends a body back.
const ECHO_MODULE: &str = "/usr/lib/nginx/modules/ngx_http_echo_module.so";

/// Debian puts it where only root's `PATH` leads.
const PLACES: [&str; 3] = ["/usr/sbin/nginx", "/usr/local/sbin/nginx", "/usr/bin/nginx"];

pub fn serve(route: Route) -> io::Result<()> {
    let Some(nginx) = PLACES.into_iter().find(|place| Path::new(place).exists()) else {
        crate::serving::unsupported("Debian's nginx-light is not installed");
        return Ok(());
    };
    let echoes = Path::new(ECHO_MODULE).exists();
    if route == Route::Echo && !echoes {
        crate::serving::unsupported("it echoes with Debian's libnginx-mod-http-echo only");
        return Ok(());
    }
    // Every server has the same place, and only one runs at a time; nothing is written there but this and empty folders.
    let prefix = env::temp_dir().join(format!("evloop-peers-nginx-{}", current_user()));
    fs::create_dir_all(&prefix)?;
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let file = prefix.join("nginx.conf");
    fs::write(&file, configuration(port, echoes))?;
    crate::serving::announce(port)?;
    let mut command = Command::new(nginx);
    command.arg("-p").arg(&prefix).arg("-c").arg(&file).args(["-e", "stderr"]);
    Err(command.exec())
}

fn current_user() -> u32 {
    // SAFETY: no preconditions.
    unsafe { libc::getuid() }
}

fn configuration(port: u16, echoes: bool) -> String {
    let (module, echo) = match echoes {
        true => (
            format!("load_module {ECHO_MODULE};"),
            "location = /echo { echo_read_request_body; echo_request_body; }",
        ),
        false => (String::new(), ""),
    };
    format!(
        "{module}
daemon off;
master_process off;
pid nginx.pid;
error_log stderr crit;
worker_rlimit_nofile 20000;
events {{ use epoll; worker_connections 16384; }}
http {{
    access_log off;
    default_type text/plain;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    keepalive_requests 1000000000;
    keepalive_timeout 3600s;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location = /plaintext {{ return 200 \"Hello, World!\"; }}
        {echo}
    }}
}}
"
    )
}
