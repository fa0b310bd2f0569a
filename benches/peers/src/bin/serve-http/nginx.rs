//! nginx as one process, which takes the place of this one. It cannot say where it listens, so the port is one that the
//! system has just given and taken back, and is told before anyone listens there.

use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::{fs, io};

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
    let prefix = super::own_folder("nginx")?;
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let file = prefix.join("nginx.conf");
    fs::write(&file, configuration(route, port, echoes, &prefix)?)?;
    crate::serving::announce(port)?;
    let mut command = Command::new(nginx);
    command.arg("-p").arg(&prefix).arg("-c").arg(&file).args(["-e", "stderr"]);
    Err(command.exec())
}

fn configuration(route: Route, port: u16, echoes: bool, prefix: &Path) -> io::Result<String> {
    let (module, echo) = match echoes {
        true => (
            format!("load_module {ECHO_MODULE};"),
            "location = /echo { echo_read_request_body; echo_request_body; }",
        ),
        false => (String::new(), ""),
    };
    let (tls, more) = match route {
        Route::Plaintext | Route::Echo => ("", String::new()),
        // As it is advised for files: heads leave with the first piece of them.
        Route::Files => {
            let folder = crate::folder::path()?;
            let more = "sendfile on; tcp_nopush on; location /files/ { alias";
            ("", format!("{more} {}/; }}", folder.display()))
        }
        Route::Tls => (" ssl", certificate(prefix)?),
    };
    Ok(format!(
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
        listen 127.0.0.1:{port} backlog=4096{tls};
        location = /plaintext {{ return 200 \"Hello, World!\"; }}
        {echo}
        {more}
    }}
}}
"
    ))
}

#[cfg(not(feature = "tls"))]
fn certificate(_prefix: &Path) -> io::Result<String> {
    Err(io::Error::other("feature `tls` of this package is off"))
}

/// By OpenSSL, the only one here that is not built on rustls.
#[cfg(feature = "tls")]
fn certificate(prefix: &Path) -> io::Result<String> {
    let (certificate, key) = crate::identity::Identity::new()?.pem();
    let paths = [prefix.join("certificate.pem"), prefix.join("key.pem")];
    fs::write(&paths[0], certificate)?;
    fs::write(&paths[1], key)?;
    let [certificate, key] = paths.map(|path| path.display().to_string());
    Ok(format!("ssl_protocols TLSv1.3; ssl_certificate {certificate}; ssl_certificate_key {key};"))
}
