//! Files: those of a directory, as browsers and download tools ask for them, and files that come in.
//!
//! ```
//! use evloop::EvLoop;
//! use evloop::http::{Files, Response, Routes};
//!
//! # let directory = std::env::temp_dir().join(format!("evloop-guide-files-{}", std::process::id()));
//! # std::fs::create_dir_all(&directory)?;
//! # std::fs::write(directory.join("index.html"), "<h1>hello</h1>")?;
//! # std::fs::write(directory.join("app.js"), "alert('hello')")?;
//! # std::fs::write(directory.join(".secret"), "hidden")?;
//! let mut ev = EvLoop::new()?;
//! # let site = Files::new(&directory)?
//! # /*
//! let site = Files::new("/srv/site")? // opened now: an error if it is not there
//! # */
//!     .precompressed(true)
//!     .cache_control("max-age=600")
//!     .not_found(|ev, _, reply| reply.send(ev, Response::html("<h1>Not here</h1>")));
//! let routes = Routes::new()
//!     .get("/status", |ev, _, reply| reply.text(ev, "fine")) // exact paths go first
//!     .files("/", site);
//! # let address = "127.0.0.1:0";
//! # /*
//! let server = ev.http_server("127.0.0.1:8080", routes)?;
//! # */ let server = ev.http_server(address, routes)?;
//! # let (remote, address) = (ev.remote(), server.addresses(&ev).remove(0).to_string());
//! # let client = std::thread::spawn(move || {
//! #     use std::io::{Read, Write};
//! #     let ask = |head: &str| {
//! #         let mut client = std::net::TcpStream::connect(&address).unwrap();
//! #         let request = format!("{head}\r\nHost: x\r\nConnection: close\r\n\r\n");
//! #         client.write_all(request.as_bytes()).unwrap();
//! #         let mut reply = String::new();
//! #         client.read_to_string(&mut reply).unwrap();
//! #         reply
//! #     };
//! #     let page = ask("GET / HTTP/1.1");
//! #     assert!(page.ends_with("<h1>hello</h1>") && page.contains("text/html; charset=utf-8"), "{page}");
//! #     assert!(page.contains("Vary: Accept-Encoding") && page.contains("Cache-Control: max-age=600"), "{page}");
//! #     let tag = page.lines().find(|line| line.starts_with("ETag: ")).unwrap()[6..].to_owned();
//! #     let again = ask(&format!("GET / HTTP/1.1\r\nIf-None-Match: {tag}"));
//! #     assert!(again.starts_with("HTTP/1.1 304"), "{again}");
//! #     let part = ask("GET /app.js HTTP/1.1\r\nRange: bytes=0-4");
//! #     assert!(part.starts_with("HTTP/1.1 206") && part.ends_with("\r\n\r\nalert"), "{part}");
//! #     assert!(ask("GET /.secret HTTP/1.1").starts_with("HTTP/1.1 404"));
//! #     let missing = ask("GET /none HTTP/1.1");
//! #     assert!(missing.starts_with("HTTP/1.1 404") && missing.ends_with("Not here</h1>"), "{missing}");
//! #     assert!(ask("GET /status HTTP/1.1").ends_with("fine"));
//! #     remote.post(move |ev| server.stop_now(ev));
//! # });
//! ev.run()?;
//! # client.join().unwrap();
//! # std::fs::remove_dir_all(&directory)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! ```sh
//! curl -I localhost:8080/                            # ETag, Last-Modified, Accept-Ranges
//! curl -r 0-99 localhost:8080/film.webm -o part      # 206
//! curl -C - -O localhost:8080/film.webm              # what is missing of it
//! ```
//!
//! `GET` and `HEAD`, directories with an `index.html`, types by extension, conditions, ranges: nothing of that has to
//! be asked for. [`Files`](crate::http::Files) says how each looks to the byte; here is what to think about.
//!
//! # The root
//!
//! **It is opened once**, and held by its descriptor. If somebody renames it and puts another in its place, which is
//! how sites are deployed, the old one is served until the program makes a new `Files`. Serve a directory that stays,
//! and change what is in it: with a link in it, `current -> releases/42`, and a handler that puts `current/` before the
//! path ([below](#one-file-or-one-by-another-name)), each request follows the link anew.
//!
//! **What leads out is not there**, whoever has led it out. The lookup is one system call that cannot leave the root
//! (`openat2` with `RESOLVE_BENEATH`, and step by step on kernels before 5.6), so there is no moment between a check
//! and an opening in which a link could be exchanged. What becomes of symbolic links is a matter of
//! [`symlinks`](crate::http::Files::symlinks):
//!
//! | | links that stay inside | links that lead out, or are absolute |
//! |---|---|---|
//! | [`Symlinks::Off`](crate::http::Symlinks::Off) | 404 | 404 |
//! | [`Inside`](crate::http::Symlinks::Inside), the default | followed | 404 |
//! | [`On`](crate::http::Symlinks::On) | followed | followed: only where nobody else can make links |
//!
//! What is never served, with any option: what is no regular file or directory (devices, FIFOs, sockets; opening them
//! waits for nobody), and paths with `..`, a backslash, a control byte, `%2F`, an empty segment or a drive
//! ([`FilePathFault`](crate::http::FilePathFault)). What begins with a dot is not there either, `.git` and `.env` above
//! all, unless [`hidden`](crate::http::Files::hidden) says so. All of these are 404, and look like any other;
//! a file that may not be *read* is 403.
//!
//! A **listing** of directories without an index is off until [`listing`](crate::http::Files::listing) says how many
//! entries it may have.
//!
//! # Caching
//!
//! Each file has a strong `ETag` of its time, size and number, and `Last-Modified`. A browser that has it asks whether
//! it is still good, and 304 costs no byte of the file. To have it not even ask, say for how long:
//!
//! * **What has its version in its name** (`app.3f9a1c.js`): `public, max-age=31536000, immutable`.
//! * **The rest, pages above all**: `no-cache`, which is *ask each time*, not *do not keep*. Without anything, browsers
//!   guess, by the age of the file.
//!
//! Those are two `Files` of the same directory with one [`cache_control`](crate::http::Files::cache_control) each; what
//! differs by more than a prefix is a handler that calls [`serve`](crate::http::Files::serve).
//!
//! **Replace files by renaming**, as `mv`, `rsync` and package managers do. Who is being sent the old one gets the old
//! one to its end. A file that is written *into* while it is sent is sent as it is at each moment, and one that shrinks
//! cuts the connection: the length was promised. Behind several machines the number in the tag differs from one to the
//! other; there [`Tags::Off`](crate::http::Tags::Off) leaves `Last-Modified` alone to decide, if the times are the
//! same.
//!
//! # Compressed beforehand
//!
//! With [`precompressed`](crate::http::Files::precompressed), `app.js.br`, `.zst` or `.gz` is sent in place of `app.js`
//! to whoever reads that: the one that the client likes best, in this order among equals. It costs a lookup per coding,
//! and no time for compressing, and unlike what is compressed on the way it has a length, ranges and a tag of its own.
//! Make them when the site is built:
//!
//! ```sh
//! find /srv/site -regex '.*\.\(html\|css\|js\|svg\|json\)' \
//!     -exec gzip -9kf {} + -exec brotli -f {} +
//! ```
//!
//! Nobody compares the two: who changes `app.js` and forgets `app.js.gz` serves both.
//! Compressing [on the way](super::deployment) is for what is made on the way.
//!
//! # What it costs
//!
//! Up to 16 KiB are read and leave with the head in one system call; what is larger is sent by the system itself
//! (`sendfile`), and never seen by the program. With TLS there is no `sendfile`: bytes are read and encrypted piece by
//! piece, at the client's pace.
//!
//! **Reading blocks the loop.** From memory that is microseconds; from a disk that sleeps, or a network file system
//! whose server is away, it is as long as it takes, for all clients of that loop. Give such files a loop of their own
//! ([several threads](super::deployment#several-threads)).
//!
//! # One file, or one by another name
//!
//! [`Reply::file`](crate::http::Reply::file) sends a part of an open file, without any of this. With all of it, and a
//! path of the program's choice, there is [`serve`](crate::http::Files::serve): for files of whoever is logged in, for
//! an application whose pages are all `index.html`:
//!
//! ```
//! use evloop::http::{Files, Routes};
//!
//! # let directory = std::env::temp_dir();
//! # let app = Files::new(&directory)?;
//! # /*
//! let app = Files::new("/srv/app")?;
//! # */
//! let routes = Routes::new().get("/#", move |ev, request, reply| {
//!     let path = request.capture(0).unwrap_or_default();
//!     let is_asset = path.rsplit('/').next().is_some_and(|name| name.contains('.'));
//!     app.serve(ev, &request, if is_asset { path } else { "index.html" }, reply)
//! });
//! # let _ = routes;
//! # Ok::<(), evloop::Error>(())
//! ```
//!
//! The path is one that was decoded once, as captures are; what is wrong with it is answered, not returned.
//! Whatever is not below the root cannot be reached this way either, but a name that a client has chosen can be another
//! client's: put a directory of the user's before it, not a prefix of a name.
//!
//! # Files that come in
//!
//! [`Upload`](crate::http::Upload) is the other direction: `PUT /incoming/photo.jpg` into a directory.
//!
//! ```
//! use evloop::http::{Method, Routes, Status, Upload};
//!
//! # let directory = std::env::temp_dir();
//! # let upload = Upload::new(&directory)?.max_size(100 << 20).replace(false);
//! # /*
//! let upload = Upload::new("/srv/incoming")?.max_size(100 << 20).replace(false);
//! # */
//! let pattern = "/incoming/{name}";
//! let routes = Routes::new().streaming(Method::PUT, pattern, move |ev, request, reply| {
//!     let name = request.param("name").unwrap_or_default();
//!     upload.receive_with(ev, &request, name, reply, |ev, result, reply| {
//!         let sent = match result {
//!             Ok(stored) => {
//!                 let text = format!("{} bytes\n", stored.size);
//!                 reply.status(Status::CREATED).text(ev, text)
//!             }
//!             Err(error) => reply.error(ev, error.status()),
//!         };
//!         let _ = sent; // an error: the client is gone
//!     })
//! });
//! # let _ = routes;
//! # Ok::<(), evloop::Error>(())
//! ```
//!
//! Where nothing has to be said about it, [`Routes::upload`](crate::http::Routes::upload) is that in one line:
//! `.upload("/incoming", upload)`. In both:
//!
//! * **Under the name there is all of it or what was there before**, never a half: it is written beside its place, and
//!   renamed when it is complete. A full disk is 507, a client that goes away leaves nothing.
//! * **Whoever may reach the route may write.** Put a [`before`](crate::http::Routes::before_at) in front of it that
//!   knows people, see [forms and uploads](super::forms_and_uploads#who-is-it).
//! * **Large ones over bad networks** come in parts with [`resumable`](crate::http::Upload::resumable).
//! * **Do not serve the directory** that strangers write into from the host that has the cookies: their HTML would be
//!   yours. Another host name, or `Content-Disposition: attachment` by [`header`](crate::http::Files::header).
//!
//! Files in HTML forms are [in the next chapter](super::forms_and_uploads).
