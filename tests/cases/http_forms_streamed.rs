// Forms in streamed bodies: where their parts go, and what becomes of those.

use std::fs::DirEntry;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::files::Folder;
use crate::talking::*;

const URLENCODED: &str = "application/x-www-form-urlencoded";
const MULTIPART: &str = "multipart/form-data; boundary=cut";

fn part(disposition: &str, data: &str) -> String {
    format!("--cut\r\nContent-Disposition: form-data; {disposition}\r\n\r\n{data}\r\n")
}

fn send(kind: &str, body: &str) -> String {
    let fields = format!("Content-Type: {kind}\r\nContent-Length: {}\r\n", body.len());
    request("POST", "/", &fields, body)
}

/// What is told of forms.
type Told = Rc<RefCell<Vec<String>>>;

/// Routes that receive a form, with a say in where each part goes, and give it to `done` with its reply.
fn receives(
    options: FormOptions,
    choose: impl Fn(&mut EvLoop, RequestBody, FormPart<'_>) + 'static,
    done: impl Fn(&mut EvLoop, Form) -> String + 'static,
) -> (Routes, Told) {
    let told = Told::default();
    let noted = Rc::clone(&told);
    let both = Rc::new((choose, done));
    let handler = move |ev: &mut EvLoop, request: Request, reply: Reply| {
        let (both, noted) = (Rc::clone(&both), Rc::clone(&noted));
        let mut reply = Some(reply);
        request.receive_form(ev, options.clone(), move |ev, body, event| match event {
            FormEvent::Part(part) => {
                noted.borrow_mut().push(format!("part {}", part.name()));
                both.0(ev, body, part);
            }
            FormEvent::Complete(form) => {
                noted.borrow_mut().push("complete".into());
                let text = both.1(ev, form);
                reply.take().unwrap().text(ev, text).ok();
            }
            FormEvent::Failed(error) => {
                noted.borrow_mut().push(format!("failed {error:?}"));
                reply.take().unwrap().error(ev, error.status()).ok();
            }
            other => panic!("{other:?}"),
        })?;
        Ok::<(), Error>(())
    };
    (Routes::new().streaming(Method::POST, "/", handler), told)
}

/// The same, with nothing to say.
fn receives_all(options: FormOptions) -> (Routes, Told) {
    receives(options, |_, _, _| {}, |_, form| said(&form))
}

fn said(form: &Form) -> String {
    let mut said = String::new();
    for field in form.fields() {
        said.push_str(&format!("{}={};", field.name(), field.text()));
    }
    for file in form.files() {
        let place = match file.content() {
            FormContent::Memory(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            FormContent::Stored(file) => {
                format!("@{}", std::fs::read_to_string(file.path()).unwrap())
            }
            FormContent::Taken => "taken".into(),
            FormContent::Discarded => "discarded".into(),
            other => panic!("{other:?}"),
        };
        said.push_str(&format!("{}:{}:{place};", file.name(), file.len()));
    }
    said
}

fn names_in(folder: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}

/// How many of our descriptors are of files in there.
fn open_in(folder: &Path) -> usize {
    let listed = std::fs::read_dir("/proc/self/fd").unwrap();
    let target = |entry: io::Result<DirEntry>| std::fs::read_link(entry.unwrap().path());
    listed.filter_map(|entry| target(entry).ok()).filter(|target| target.starts_with(folder)).count()
}

#[test]
fn a_form_is_received_however_it_comes() {
    let multipart = part("name=a", "1\r\n--cu")
        + &part("name=f; filename=x", "some\r\n-- text")
        + &part("name=a", "2")
        + "--cut--\r\n";
    let cases = [
        (MULTIPART, multipart.as_str(), "a=1\r\n--cu;a=2;f:13:some\r\n-- text;"),
        (URLENCODED, "a=1+%262&b=&a=3&&c", "a=1 &2;b=;a=3;c=;"),
        (URLENCODED, "", ""),
    ];
    for (kind, body, expected) in cases {
        let mut ev = ev();
        let (routes, _) = receives_all(FormOptions::new());
        let (_, mut client) = one_client(&mut ev, routes);
        assert_eq!(client.ask(&mut ev, send(kind, body)).text(), expected);
        for byte in send(kind, body).bytes() {
            client.send([byte]);
            turn(&mut ev);
        }
        assert_eq!(client.reply(&mut ev).text(), expected);
        let pieces: Vec<_> = body.split_inclusive(['=', '-']).collect();
        let chunked = chunks(&pieces) + "0\r\n\r\n";
        let head = format!("Content-Type: {kind}\r\nTransfer-Encoding: chunked\r\n");
        assert_eq!(client.ask(&mut ev, request("POST", "/", &head, &chunked)).text(), expected);
    }
}

#[test]
fn a_form_as_large_as_its_limit_is_written_to_disk() {
    let mut ev = ev();
    let folder = Folder::new();
    let limits = FormLimits { file: 3 << 20, total: 4 << 20, ..FormLimits::default() };
    let options = FormOptions::new().limits(limits).files_in(folder.path());
    let (routes, _) = receives(
        options,
        |_, _, _| {},
        |_, form| {
            let file = form.file("f").unwrap();
            let FormContent::Stored(stored) = file.content() else { panic!("{file:?}") };
            let bytes = std::fs::read(stored.path()).unwrap();
            assert!(bytes.iter().enumerate().all(|(at, byte)| *byte == b'a' + (at % 23) as u8));
            format!("{} {}", bytes.len(), file.len())
        },
    );
    let (_, mut client) = one_client(&mut ev, routes);
    let content: String = (0..3 << 20).map(|at| char::from(b'a' + (at % 23) as u8)).collect();
    let body = part("name=f; filename=x", &content) + "--cut--";
    client.upload(&mut ev, send(MULTIPART, &body).as_bytes());
    assert_eq!(client.reply(&mut ev).text(), "3145728 3145728");
    assert_eq!(names_in(folder.path()), [] as [PathBuf; 0], "it was not kept");

    let body = part("name=f; filename=x", &(content + "x")) + "--cut--";
    client.upload(&mut ev, send(MULTIPART, &body).as_bytes());
    assert_eq!(client.reply(&mut ev).status, 413);
    assert_eq!(names_in(folder.path()), [] as [PathBuf; 0]);
}

#[test]
fn a_stored_file_is_private_and_has_a_name_of_its_own() {
    use std::os::unix::fs::PermissionsExt;
    let mut ev = ev();
    let folder = Folder::new();
    let place = folder.path().to_owned();
    let (routes, _) = receives(
        FormOptions::new().files_in(folder.path()),
        |_, _, _| {},
        move |_, mut form| {
            let mut stored = form.take_files().into_iter().map(|file| file.into_stored().unwrap());
            let (first, second) = (stored.next().unwrap(), stored.next().unwrap());
            let mode = std::fs::metadata(first.path()).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
            assert!(first.path().starts_with(&place) && first.path() != second.path());
            assert!(!first.path().to_string_lossy().contains("passwd"));
            assert_eq!((first.len(), second.is_empty()), (5, true));
            first.persist(place.join("kept")).unwrap();
            let error = second.persist_new(place.join("kept")).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
            "done".into()
        },
    );
    let (_, mut client) = one_client(&mut ev, routes);
    let body = part("name=f; filename=\"../../etc/passwd\"", "hello")
        + &part("name=g; filename=\"/etc/passwd\"", "")
        + "--cut--";
    assert_eq!(client.ask(&mut ev, send(MULTIPART, &body)).text(), "done");
    assert_eq!(names_in(folder.path()), [folder.path().join("kept")]);
    assert_eq!(std::fs::read(folder.path().join("kept")).unwrap(), b"hello");
}

#[test]
fn each_part_goes_where_it_is_chosen_to_go() {
    let mut ev = ev();
    let folder = Folder::new();
    let place = folder.path().to_owned();
    let taken = Rc::new(RefCell::new(String::new()));
    let seen = Rc::clone(&taken);
    let choose = move |_: &mut EvLoop, _, part: FormPart<'_>| match part.name() {
        "memory" => part.keep_in_memory(),
        "disk" => part.store_in(&place),
        "nowhere" => part.discard(),
        "taken" => {
            let seen = Rc::clone(&seen);
            part.send_to(move |_, _, data| {
                match data {
                    PartData::Bytes(bytes) => {
                        seen.borrow_mut().push_str(std::str::from_utf8(bytes).unwrap())
                    }
                    _ => seen.borrow_mut().push('.'),
                }
                Ok(())
            });
        }
        _ => {}
    };
    let options = FormOptions::new().files_in("/nowhere/at/all");
    let (routes, told) = receives(options, choose, |_, form| said(&form));
    let (_, mut client) = one_client(&mut ev, routes);
    let body = ["memory", "disk", "nowhere", "taken"]
        .map(|name| part(&format!("name={name}; filename=x"), name))
        .concat()
        + &part("name=disk", "no file")
        + &part("name=else", "1")
        + "--cut--";
    let answer = client.ask(&mut ev, send(MULTIPART, &body));
    assert_eq!(
        answer.text(),
        "else=1;memory:6:memory;disk:4:@disk;nowhere:7:discarded;taken:5:taken;disk:7:@no file;"
    );
    assert_eq!(*taken.borrow(), "taken.");
    assert_eq!(told.borrow().len(), 7);
}

#[test]
fn who_is_behind_pauses_the_body() {
    let mut ev = ev();
    let body_key = Slot::new();
    let seen = Rc::new(Cell::new(0));
    let (key, bytes) = (body_key.clone(), Rc::clone(&seen));
    let choose = move |_: &mut EvLoop, _, part: FormPart<'_>| {
        let (key, bytes) = (key.clone(), Rc::clone(&bytes));
        part.send_to(move |ev, body, data| {
            if let PartData::Bytes(data) = data {
                bytes.set(bytes.get() + data.len());
                body.pause(ev);
                key.put(body);
            }
            Ok(())
        });
    };
    let limits = FormLimits { file: 8 << 20, ..FormLimits::default() };
    let (routes, _) = receives(FormOptions::new().limits(limits), choose, |_, form| said(&form));
    let (_, mut client) = one_client(&mut ev, routes);
    let size = 4 << 20;
    let asked = send(MULTIPART, &(part("name=f; filename=x", &"x".repeat(size)) + "--cut--"));
    let mut sent = client.push(asked.as_bytes());
    settle(&mut ev);
    sent += client.push(&asked.as_bytes()[sent..]);
    settle(&mut ev);
    // What the system holds and one portion: the rest is still the client's.
    assert!(seen.get() <= 128 * 1024 && sent < asked.len(), "{} {sent}", seen.get());
    until(&mut ev, |ev| {
        sent += client.push(&asked.as_bytes()[sent..]);
        if let Some(body) = body_key.get() {
            body.resume(ev);
        }
        seen.get() >= size
    });
    client.upload(&mut ev, &asked.as_bytes()[sent..]);
    if let Some(body) = body_key.get() {
        body.resume(&mut ev);
    }
    assert_eq!(client.reply(&mut ev).text(), format!("f:{size}:taken;"));
}

#[test]
fn what_is_wrong_is_told_once_with_its_status() {
    let malformed = "--cut\r\nContent-Disposition: form-data\r\n\r\n";
    let cases = [
        ("text/plain", "x", 415, "failed NotAForm"),
        (MULTIPART, malformed, 400, "failed Multipart(BadDisposition)"),
        (MULTIPART, "--cut", 400, "failed Multipart(Incomplete)"),
        (MULTIPART, "", 400, "failed Multipart(Incomplete)"),
        (URLENCODED, "a=1&b=2&c=3", 413, "failed TooLarge"),
    ];
    for (kind, body, status, told_of_it) in cases {
        let mut ev = ev();
        let limits = FormLimits { pairs: 2, ..FormLimits::default() };
        let (routes, told) = receives_all(FormOptions::new().limits(limits));
        let (_, mut client) = one_client(&mut ev, routes);
        assert_eq!(client.ask(&mut ev, send(kind, body)).status, status, "{kind} {body}");
        settle(&mut ev);
        assert_eq!(*told.borrow(), [told_of_it]);
        assert_eq!(client.ask(&mut ev, send(URLENCODED, "a=1")).text(), "a=1;", "it goes on");
    }
}

#[test]
fn what_will_be_refused_is_not_sent_by_a_client_that_waits() {
    for fields in [
        "Content-Type: text/plain\r\nContent-Length: 10\r\n",
        "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 99999999\r\n",
    ] {
        let mut ev = ev();
        let (routes, _) = receives_all(FormOptions::new());
        let (_, mut client) = one_client(&mut ev, routes);
        let head = format!("{fields}Expect: 100-continue\r\n");
        let status = client.ask(&mut ev, request("POST", "/", &head, "")).status;
        assert!([413, 415].contains(&status), "{status}");
    }
}

#[test]
fn a_part_may_be_refused() {
    let mut ev = ev();
    let choose = |_: &mut EvLoop, _, part: FormPart<'_>| {
        if part.content_type() != Some("image/png") {
            part.refuse(Status::UNSUPPORTED_MEDIA_TYPE);
        }
    };
    let (routes, told) = receives(FormOptions::new(), choose, |_, form| said(&form));
    let (_, mut client) = one_client(&mut ev, routes);
    let body = part("name=f; filename=x", "x") + "--cut--";
    assert_eq!(client.ask(&mut ev, send(MULTIPART, &body)).status, 415);
    assert_eq!(told.borrow().len(), 2);
}

#[test]
fn a_file_that_cannot_be_written_is_an_error_and_leaves_nothing() {
    let mut ev = ev();
    let (routes, told) = receives_all(FormOptions::new().files_in("/nowhere/at/all"));
    let (_, mut client) = one_client(&mut ev, routes);
    let body = part("name=f; filename=x", "x") + "--cut--";
    assert_eq!(client.ask(&mut ev, send(MULTIPART, &body)).status, 500);
    assert!(told.borrow()[1].starts_with("failed Io("), "{told:?}");
}

#[test]
fn a_disk_that_is_full_is_507_and_leaves_nothing() {
    let mut ev = ev();
    let folder = Folder::new();
    let mount = |name: &str, args: &[&str]| {
        let command =
            Command::new(name).args(args).arg(folder.path()).stderr(Stdio::null()).status();
        command.is_ok_and(|status| status.success())
    };
    if !mount("mount", &["-t", "tmpfs", "-o", "size=64k", "none"]) {
        println!("not tried: nothing can be mounted here");
        return;
    }
    let (routes, told) = receives_all(FormOptions::new().files_in(folder.path()));
    let (_, mut client) = one_client(&mut ev, routes);
    let body = part("name=f; filename=x", &"x".repeat(100_000)) + "--cut--";
    client.upload(&mut ev, send(MULTIPART, &body).as_bytes());
    let status = client.reply(&mut ev).status;
    let left = names_in(folder.path());
    assert!(mount("umount", &[]));
    assert_eq!((status, left.len()), (507, 0), "{told:?}");
}

#[test]
fn whoever_takes_a_part_may_fail() {
    for (error, status) in [(libc::ENOSPC, 507), (libc::EMFILE, 503), (libc::EIO, 500)] {
        let mut ev = ev();
        let choose = move |_: &mut EvLoop, _, part: FormPart<'_>| {
            part.send_to(move |_, _, _| Err(io::Error::from_raw_os_error(error)));
        };
        let (routes, told) = receives(FormOptions::new(), choose, |_, form| said(&form));
        let (_, mut client) = one_client(&mut ev, routes);
        let body = part("name=f; filename=x", "x") + "--cut--";
        assert_eq!(client.ask(&mut ev, send(MULTIPART, &body)).status, status);
        assert_eq!(told.borrow().len(), 2);
    }
}

/// Or a client could have as many as it has parts, for as long as the last of them takes.
#[test]
fn a_form_has_a_descriptor_for_the_file_that_is_coming_only() {
    let mut ev = ev();
    let folder = Folder::new();
    let place = folder.path().to_owned();
    let at_the_end = move |_: &mut EvLoop, form: Form| {
        let open = open_in(&place);
        format!("{} files, {open} open", form.files().len())
    };
    let options = FormOptions::new().files_in(folder.path());
    let (routes, _) = receives(options, |_, _, _| {}, at_the_end);
    let (_, mut client) = one_client(&mut ev, routes);
    let asked = send(MULTIPART, &(part("name=f; filename=x", "some").repeat(30) + "--cut--"));
    let (most, rest) = asked.split_at(asked.rfind("me").unwrap());
    client.send(most);
    until(&mut ev, |_| names_in(folder.path()).len() == 30);
    assert_eq!(open_in(folder.path()), 1);
    client.send(rest);
    assert_eq!(client.reply(&mut ev).text(), "30 files, 0 open");
}

#[test]
fn files_are_stored_up_to_their_number() {
    let mut ev = ev();
    let folder = Folder::new();
    let limits = FormLimits { stored: 2, ..FormLimits::default() };
    let options = FormOptions::new().limits(limits).files_in(folder.path());
    let place = folder.path().to_owned();
    let choose = move |_: &mut EvLoop, _, part: FormPart<'_>| match part.name() {
        "memory" => part.keep_in_memory(),
        "disk" => part.store_in(&place),
        _ => {}
    };
    let (routes, told) = receives(options, choose, |_, form| format!("{}", form.files().len()));
    let (_, mut client) = one_client(&mut ev, routes);
    let others = part("name=memory; filename=x", "x").repeat(3) + &part("name=a", "x").repeat(3);
    let two = part("name=f; filename=x", "x") + &part("name=disk", "x");
    let body = format!("{others}{two}--cut--");
    assert_eq!(client.ask(&mut ev, send(MULTIPART, &body)).text(), "5");
    for third in [part("name=f; filename=x", ""), part("name=disk", "")] {
        let body = format!("{two}{third}--cut--");
        assert_eq!(client.ask(&mut ev, send(MULTIPART, &body)).status, 413);
        assert_eq!(told.borrow().last().unwrap(), "failed TooLarge");
        assert_eq!(names_in(folder.path()), [] as [PathBuf; 0]);
    }
}

#[test]
fn a_stored_file_is_opened_by_whoever_wants_it() {
    let mut ev = ev();
    let folder = Folder::new();
    let done = |_: &mut EvLoop, mut form: Form| {
        let stored = form.take_files().remove(0).into_stored().unwrap();
        let mut said = String::new();
        stored.open().unwrap().read_to_string(&mut said).unwrap();
        // Of the two there is one file.
        stored.open().unwrap().write_all(b"S").unwrap();
        stored.open().unwrap().read_to_string(&mut said).unwrap();
        // Somebody else was here.
        std::fs::remove_file(stored.path()).unwrap();
        std::os::unix::fs::symlink("/dev/null", stored.path()).unwrap();
        assert!(stored.open().is_err());
        assert!(stored.persist("/nowhere/at/all").is_err());
        said
    };
    let (routes, _) = receives(FormOptions::new().files_in(folder.path()), |_, _, _| {}, done);
    let (_, mut client) = one_client(&mut ev, routes);
    let body = part("name=f; filename=x", "some") + "--cut--";
    assert_eq!(client.ask(&mut ev, send(MULTIPART, &body)).text(), "someSome");
    assert_eq!(names_in(folder.path()), [] as [PathBuf; 0]);
}

#[test]
fn a_client_that_leaves_in_the_middle_leaves_no_file() {
    let mut ev = ev();
    let folder = Folder::new();
    let (routes, told) = receives_all(FormOptions::new().files_in(folder.path()));
    let (_, mut client) = one_client(&mut ev, routes);
    let asked = send(MULTIPART, &(part("name=f; filename=x", &"x".repeat(1000)) + "--cut--"));
    client.send(&asked[..asked.len() - 100]);
    until(&mut ev, |_| names_in(folder.path()).len() == 1);
    client.reset();
    until(&mut ev, |_| told.borrow().len() == 2);
    assert!(told.borrow()[1].starts_with("failed Body(Over("), "{told:?}");
    assert_eq!(names_in(folder.path()), [] as [PathBuf; 0]);
}

#[test]
fn a_panic_in_the_middle_is_500_and_leaves_no_file() {
    let mut ev = ev();
    let folder = Folder::new();
    let choose = |_: &mut EvLoop, _, part: FormPart<'_>| {
        assert!(part.name() == "f", "no");
    };
    let (routes, _) =
        receives(FormOptions::new().files_in(folder.path()), choose, |_, form| said(&form));
    let (_, mut client) = one_client(&mut ev, routes);
    let body = part("name=f; filename=x", "x") + &part("name=g; filename=x", "x") + "--cut--";
    assert_eq!(client.ask(&mut ev, send(MULTIPART, &body)).status, 500);
    assert_eq!(names_in(folder.path()), [] as [PathBuf; 0]);
}

#[test]
fn a_gathered_body_is_not_received() {
    let mut ev = ev();
    let routes = Routes::new().post("/", |ev: &mut EvLoop, request: Request, reply: Reply| {
        let error = request.receive_form(ev, FormOptions::new(), |_, _, _| {}).unwrap_err();
        reply.text(ev, format!("{:?}", error.kind()))
    });
    let (_, mut client) = one_client(&mut ev, routes);
    assert_eq!(client.ask(&mut ev, send(URLENCODED, "a=1")).text(), "InvalidInput");
}

#[test]
fn curl_sends_forms() {
    let mut ev = live_ev();
    let folder = Folder::new();
    let (routes, _) = receives_all(FormOptions::new().files_in(folder.path()));
    let server = ev.http_server("127.0.0.1:0", routes).unwrap();
    let port = server.addresses(&ev)[0].port().unwrap();
    let file = folder.path().join("of\"curl.txt");
    std::fs::write(&file, "from a file").unwrap();
    let form = format!("f=@\"{}\";type=text/x", file.to_string_lossy().replace('"', "\\\""));
    let url = format!("http://127.0.0.1:{port}/");
    for (args, expected) in [
        (vec!["-F", "a=1 2", "-F", &form, "-F", "a=b;c"], "a=1 2;a=b;f:11:@from a file;"),
        (vec!["-d", "a=1", "--data-urlencode", "b=2 & 3"], "a=1;b=2 & 3;"),
    ] {
        let child = Command::new("curl")
            .args(["-s", "-S", "--noproxy", "*", "-m", "20"])
            .args(args)
            .arg(&url)
            .stdout(Stdio::piped())
            .spawn();
        let Ok(mut child) = child else {
            println!("not tried: there is no curl");
            return;
        };
        while child.try_wait().unwrap().is_none() {
            ev.turn(Some(ms(5))).unwrap();
        }
        let said = child.wait_with_output().unwrap().stdout;
        assert_eq!(String::from_utf8_lossy(&said), expected);
    }
}
