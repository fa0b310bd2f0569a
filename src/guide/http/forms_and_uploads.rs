//! Forms and uploads: what browsers send when somebody presses the button, cookies, and who it was.
//!
//! # A form
//!
//! HTML has two encodings for forms, and a handler need not know which it gets:
//!
//! ```
//! use evloop::EvLoop;
//! use evloop::http::{FormLimits, Routes, Status};
//! use evloop::wire::html;
//!
//! const PAGE: &str = "<form method=post enctype=multipart/form-data>\
//!     <input name=title> <input name=photo type=file multiple> <button>Send</button></form>";
//!
//! let routes = Routes::new()
//!     .get("/photos", |ev, _, reply| reply.html(ev, PAGE))
//!     .post("/photos", |ev, request, reply| {
//!         let form = match request.form(&FormLimits::default()) {
//!             Ok(form) => form,
//!             Err(error) => return reply.error(ev, error.status()), // 400, 413, 415
//!         };
//!         let Some(title) = form.get("title") else {
//!             return reply.error(ev, Status::UNPROCESSABLE_CONTENT);
//!         };
//!         let mut page = format!("<h1>{}</h1>", html::escape(title));
//!         for file in form.files() {
//!             // The client's word for it: to be shown, and no more.
//!             let name = file.filename().unwrap_or_default();
//!             page += &format!("<p>{}: {} bytes", html::escape(name), file.len());
//!         }
//!         reply.html(ev, page)
//!     });
//! # let mut ev = EvLoop::new()?;
//! # let server = ev.http_server("127.0.0.1:0", routes)?;
//! # let (remote, address) = (ev.remote(), server.addresses(&ev).remove(0).to_string());
//! # let client = std::thread::spawn(move || {
//! #     use std::io::{Read, Write};
//! #     let send = |kind: &str, body: &str| {
//! #         let mut client = std::net::TcpStream::connect(&address).unwrap();
//! #         let length = body.len();
//! #         write!(client, "POST /photos HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\
//! #             Connection: close\r\n\r\n{body}").unwrap();
//! #         let mut reply = String::new();
//! #         client.read_to_string(&mut reply).unwrap();
//! #         reply
//! #     };
//! #     let plain = send("application/x-www-form-urlencoded", "title=a+%3Cb%3E");
//! #     assert!(plain.ends_with("<h1>a &lt;b&gt;</h1>"), "{plain}");
//! #     let parts = "--x\r\nContent-Disposition: form-data; name=title\r\n\r\nsea\r\n--x\r\nContent-Disposition: \
//! #         form-data; name=photo; filename=\"<1>.png\"\r\nContent-Type: image/png\r\n\r\nPNG\r\n--x--\r\n";
//! #     let both = send("multipart/form-data; boundary=x", parts);
//! #     assert!(both.ends_with("<h1>sea</h1><p>&lt;1&gt;.png: 3 bytes"), "{both}");
//! #     let cut = send("multipart/form-data; boundary=x", &parts[..parts.len() - 6]);
//! #     assert!(cut.starts_with("HTTP/1.1 400"), "{cut}");
//! #     remote.post(move |ev| server.stop_now(ev));
//! # });
//! # ev.run()?;
//! # client.join().unwrap();
//! # Ok::<(), evloop::Error>(())
//! ```
//!
//! ```sh
//! curl -F title=sea -F photo=@sea.jpg localhost:8080/photos
//! curl --data-urlencode 'title=the sea' localhost:8080/photos
//! ```
//!
//! [`form`](crate::http::Request::form) reads the body that was [gathered](crate::http::Routes::post), so files are in
//! memory, and the whole is no larger than [`max_body`](crate::http::ServerOptions::max_body), 8 MiB. With a query in
//! front, it is [`form_with_query`](crate::http::Request::form_with_query). Order and repeats are kept, `a=1&a=2` are
//! two fields.
//!
//! * **A form is complete or an error.** A multipart body without its last line is 400, and not half a form.
//! * **[`FormLimits`](crate::http::FormLimits) bounds each measure**: parts, pairs, a field, a file, files on disk, memory,
//!   all of it.
//! * **What comes back in a page is escaped**: [`html::escape`](crate::wire::html::escape).
//!
//! # Large files
//!
//! What should not be held in memory is taken as it comes. A [`streaming`](crate::http::Routes::streaming) handler says
//! where files go, all of them or each, and gets the form when it is complete:
//!
//! ```
//! use evloop::EvLoop;
//! use evloop::http::{FormEvent, FormLimits, FormOptions, Method, Routes, Status};
//! # let directory = std::env::temp_dir().join(format!("evloop-guide-forms-{}", std::process::id()));
//! # std::fs::create_dir_all(&directory)?;
//! # let (into, kept) = (directory.clone(), directory.join("kept"));
//! # /*
//! let (into, kept) = ("/srv/incoming", "/srv/photos/latest");
//! # */
//!
//! let limits = FormLimits { file: 1 << 30, total: 2 << 30, ..FormLimits::default() };
//! let options = FormOptions::new().limits(limits).files_in(into);
//! let routes = Routes::new().streaming(Method::POST, "/photos", move |ev, request, reply| {
//!     let (mut reply, kept) = (Some(reply), kept.clone());
//!     request.receive_form(ev, options.clone(), move |ev, _, event| match event {
//!         FormEvent::Part(part) => {
//!             // Before a byte of it is stored; and the rest is not read.
//!             if part.content_type().is_some_and(|kind| !kind.starts_with("image/")) {
//!                 part.refuse(Status::UNSUPPORTED_MEDIA_TYPE);
//!             }
//!         }
//!         FormEvent::Complete(mut form) => {
//!             let Some(reply) = reply.take() else { return };
//!             for file in form.take_files() {
//!                 // Under a name of ours. Those that are not kept are removed when dropped.
//!                 if let Some(stored) = file.into_stored() {
//!                     if stored.persist(&kept).is_err() {
//!                         drop(reply.error(ev, Status::INTERNAL_SERVER_ERROR));
//!                         return;
//!                     }
//!                 }
//!             }
//!             drop(reply.status(Status::SEE_OTHER).redirect(ev, "/photos"));
//!         }
//!         FormEvent::Failed(error) => {
//!             drop(reply.take().map(|reply| reply.error(ev, error.status())));
//!         }
//!         _ => {}
//!     })?;
//!     Ok::<(), evloop::Error>(())
//! });
//! # let mut ev = EvLoop::new()?;
//! # let server = ev.http_server("127.0.0.1:0", routes)?;
//! # let (remote, address) = (ev.remote(), server.addresses(&ev).remove(0).to_string());
//! # let client = std::thread::spawn(move || {
//! #     use std::io::{Read, Write};
//! #     let send = |kind: &str| {
//! #         let body = format!("--x\r\nContent-Disposition: form-data; name=photo; filename=a\r\n\
//! #             Content-Type: {kind}\r\n\r\nPNG\r\n--x--\r\n");
//! #         let mut client = std::net::TcpStream::connect(&address).unwrap();
//! #         write!(client, "POST /photos HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=x\r\n\
//! #             Content-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len()).unwrap();
//! #         let mut reply = String::new();
//! #         client.read_to_string(&mut reply).unwrap();
//! #         reply
//! #     };
//! #     let refused = send("text/html");
//! #     assert!(refused.starts_with("HTTP/1.1 415"), "{refused}");
//! #     let taken = send("image/png");
//! #     assert!(taken.starts_with("HTTP/1.1 303") && taken.contains("Location: /photos"), "{taken}");
//! #     remote.post(move |ev| server.stop_now(ev));
//! # });
//! # ev.run()?;
//! # client.join().unwrap();
//! # assert_eq!(std::fs::read(directory.join("kept"))?, b"PNG");
//! # assert_eq!(std::fs::read_dir(&directory)?.count(), 1);
//! # std::fs::remove_dir_all(&directory)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! * **The name at the client is no path.** Stored files have names that nobody can guess, in a directory of the
//!   program's choice; [`persist`](crate::http::StoredFile::persist) gives them one of the program's choice.
//! * **A form has one descriptor at a time**, for the file that is coming, and at most
//!   [so many](crate::http::FormLimits::stored) files. [`open`](crate::http::StoredFile::open) reads what came.
//! * **What is not kept is removed**: when the form is dropped, when the client leaves, when anything fails. Only a
//!   process that is killed leaves files whose names begin with `.upload-`.
//! * **[`send_to`](crate::http::FormPart::send_to)** gives a part to the program as it comes, which may
//!   [pause](crate::http::RequestBody::pause) it: to hash it, to unpack it, to send it on. The part does not
//!   grow beyond its limit, and the client is not faster than whoever takes it.
//! * **Writing is the loop's own**, up to 64 KiB at a time, which mostly only fills the page cache. `persist` waits for
//!   the disk: a [`StoredFile`](crate::http::StoredFile) may be sent to the [work pool](crate::EvLoop::work) for that.
//! * **A redirect after a form** keeps *reload* from sending it again. 303 is the one for it.
//!
//! A whole body that is one file, as `curl -T` and scripts send it, is [an upload](super::files#files-that-come-in).
//!
//! # Cookies
//!
//! ```
//! use evloop::http::{Routes, SameSite, SetCookie};
//! use std::{cell::RefCell, collections::HashMap, rc::Rc, time::Duration};
//! use std::{fs::File, io::Read};
//!
//! fn session_id() -> String {
//!     // 128 bits that nobody can guess: of `getrandom`, or of the system, as here.
//!     let (mut bytes, mut random) = ([0; 16], File::open("/dev/urandom").unwrap());
//!     random.read_exact(&mut bytes).unwrap();
//!     bytes.iter().map(|byte| format!("{byte:02x}")).collect()
//! }
//!
//! let sessions: Rc<RefCell<HashMap<String, u32>>> = Rc::default();
//! let routes = Routes::new().get("/", move |ev, request, reply| {
//!     let mut sessions = sessions.borrow_mut();
//!     let known = request.cookie("__Host-session").filter(|id| sessions.contains_key(*id));
//!     let id = known.map_or_else(session_id, str::to_owned);
//!     let visits = sessions.entry(id.clone()).or_default();
//!     *visits += 1;
//!     let cookie = SetCookie::new("__Host-session", id)
//!         .path("/")
//!         .secure()
//!         .http_only()
//!         .same_site(SameSite::Lax)
//!         .max_age(Duration::from_secs(30 * 24 * 3600));
//!     reply.cookie(&cookie).text(ev, format!("visit {visits}"))
//! });
//! # let mut ev = evloop::EvLoop::new()?;
//! # let server = ev.http_server("127.0.0.1:0", routes)?;
//! # let (remote, address) = (ev.remote(), server.addresses(&ev).remove(0).to_string());
//! # let client = std::thread::spawn(move || {
//! #     use std::io::{Read, Write};
//! #     let ask = |cookie: &str| {
//! #         let mut client = std::net::TcpStream::connect(&address).unwrap();
//! #         write!(client, "GET / HTTP/1.1\r\nHost: x\r\nCookie: {cookie}\r\nConnection: close\r\n\r\n").unwrap();
//! #         let mut reply = String::new();
//! #         client.read_to_string(&mut reply).unwrap();
//! #         reply
//! #     };
//! #     let first = ask("a=b");
//! #     let cookie = first.split("Set-Cookie: ").nth(1).unwrap().split(';').next().unwrap().to_owned();
//! #     assert!(ask(&cookie).ends_with("visit 2"));
//! #     assert!(ask("__Host-session=guessed").ends_with("visit 1"));
//! #     remote.post(move |ev| server.stop_now(ev));
//! # });
//! # ev.run()?;
//! # client.join().unwrap();
//! # Ok::<(), evloop::Error>(())
//! ```
//!
//! (A program keeps them in a map with an end, and forgets those that have expired.)
//!
//! * **A cookie is what the client says.** An id that was not given out is nobody's, as above; anything else that must
//!   not be changed has to be signed.
//! * **`__Host-`** in front of a name has browsers refuse it unless it is secure, for `/`, and for this host alone; a
//!   [`SetCookie`](crate::http::SetCookie) that does not keep that promise is an error of the reply.
//! * **`SameSite=Lax`** keeps the forms of other sites from being sent with it. For what changes something that is
//!   the least; look at `Origin` as well where it matters.
//!
//! # Who is it
//!
//! Where people or programs have to say who they are, the feature `auth` has the three ways of HTTP. Each is a guard in
//! front of handlers; whoever passes is [`Request::user`](crate::http::Request::user), in handlers and in the [access
//! log](super::deployment#the-access-log):
//!
#![cfg_attr(feature = "auth", doc = "```")]
#![cfg_attr(not(feature = "auth"), doc = "```ignore (needs the feature auth)")]
//! use evloop::http::Routes;
//! use evloop::http::auth::{Basic, Bearer, same};
//!
//! let token = std::env::var("API_TOKEN").unwrap_or_else(|_| "0123456789abcdef".to_owned());
//! let owner = move |given: &str| same(given, &token).then(|| "robot".to_owned());
//! let people = [("ann", "correct horse"), ("bob", "battery staple")];
//! let routes = Routes::new()
//!     .before_at("/admin/#", Basic::users("admin", people).guard())
//!     .before_at("/api/#", Bearer::new("api", owner).guard())
//!     .get("/admin/who", |ev, request, reply| {
//!         reply.text(ev, format!("hello {}", request.user().unwrap_or("nobody")))
//!     })
//!     .get("/api/status", |ev, _, reply| reply.json(ev, "{}"));
//! # let mut ev = evloop::EvLoop::new()?;
//! # let server = ev.http_server("127.0.0.1:0", routes)?;
//! # let (remote, address) = (ev.remote(), server.addresses(&ev).remove(0).to_string());
//! # let client = std::thread::spawn(move || {
//! #     use std::io::{Read, Write};
//! #     let ask = |path: &str, credentials: &str| {
//! #         let mut client = std::net::TcpStream::connect(&address).unwrap();
//! #         write!(client, "GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: {credentials}\r\nConnection: close\r\n\r\n")
//! #             .unwrap();
//! #         let mut reply = String::new();
//! #         client.read_to_string(&mut reply).unwrap();
//! #         reply
//! #     };
//! #     assert!(ask("/admin/who", "Basic YW5uOmNvcnJlY3QgaG9yc2U=").ends_with("hello ann"));
//! #     assert!(ask("/admin/who", "Basic YW5uOndyb25n").starts_with("HTTP/1.1 401"));
//! #     assert!(ask("/api/status", "Bearer 0123456789abcdef").ends_with("{}"));
//! #     assert!(ask("/api/status", "Bearer 0").starts_with("HTTP/1.1 401"));
//! #     remote.post(move |ev| server.stop_now(ev));
//! # });
//! # ev.run()?;
//! # client.join().unwrap();
//! # Ok::<(), evloop::Error>(())
//! ```
//!
//! | | what is sent | for |
//! |---|---|---|
//! | `Basic` | name and password, at every request | people, over TLS |
//! | `Bearer` | a token | programs, over TLS |
//! | `Digest` | a proof of the password, good once (MD5, SHA-256, SHA-512/256) | devices without TLS, and who must have it |
//!
//! * **Passwords are not kept as text**: `Basic::new` takes a closure, for a hash that takes time, such as Argon2; and
//!   what takes time belongs to the [work pool](crate::EvLoop::work), whose end answers. A guard cannot wait: there
//!   such a check is the handler's, once, and a cookie from then on.
//! * **A guard is asked before the body is read**: strangers who wait to be told to go on send none.
//! * **Guessing is slowed down** by [`limit_rate`](crate::http::Routes::limit_rate) for the whole server, or for
//!   some paths by a [`RequestRate`](crate::http::RequestRate) of their own: its
//!   [`guard`](crate::http::RequestRate::guard) is a hook for `before_at`, added before that which asks for the password.
//! * **Certificates of clients** are the fourth way, and stronger than all of these: see the [chapters](super) for that
//!   on HTTPS.
