//! The first page: what the server has done, and where to go from here.

use std::fmt::Write as _;

use evloop::http::{CompletionReason, ServerStats};

use crate::routes::Loop;

const HEAD: &str = r#"<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>evloop</title>
<style>
:root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif }
body { max-width: 40rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse }
th { text-align: left; font-weight: normal; padding: .1rem 2rem .1rem 0 }
td { text-align: right; font-variant-numeric: tabular-nums }
code { font-size: .95em }
</style>
<h1>evloop</h1>
<p>This is the demo of an HTTP server on one event loop.</p>
"#;

const LINKS: &str = r#"<h2>Routes</h2>
<ul>
<li><a href="/plaintext"><code>/plaintext</code></a> and <a href="/json"><code>/json</code></a>: the same few bytes for everybody
<li><code>POST /echo</code>: the body comes back, as it arrives
<li><a href="/query?a=1&amp;b=two%20words&amp;a=3"><code>/query?…</code></a>: the pairs of a query
<li><a href="/slow?ms=1000"><code>/slow?ms=N</code></a>: answered later, from a timer
<li><a href="/worker?ms=1000"><code>/worker?ms=N</code></a>: answered from another thread
<li><a href="/stream?n=10&amp;ms=300"><code>/stream?n=N&amp;ms=M</code></a>: N lines, one every M milliseconds
<li><a href="/stats"><code>/stats</code></a>: the figures above, as JSON
</ul>
"#;

pub fn html(stats: &ServerStats, here: &Loop, threads: usize) -> String {
    let mut page = String::with_capacity(4096);
    page.push_str(HEAD);
    page.push_str("<table>\n");
    let mut row = |name: &str, value: String| {
        let _ = writeln!(page, "<tr><th>{name}<td>{value}");
    };
    row("connections", stats.connections.to_string());
    row("accepted", stats.accepted.to_string());
    row("requests", stats.requests.to_string());
    row("bytes in", stats.bytes_in.to_string());
    row("bytes out", stats.bytes_out.to_string());
    for reason in CompletionReason::ALL {
        row(&format!("completed: {reason}"), stats.completed(reason).to_string());
    }
    row("iterations of this loop", here.iterations.to_string());
    row("its lag", format!("{:.3} ms", here.lag_ms));
    row("threads", threads.to_string());
    page.push_str("</table>\n");
    page.push_str(LINKS);
    page
}
