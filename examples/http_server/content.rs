//! Files: those of a folder, those in forms, and those that are put into a folder.

use std::cell::RefCell;
use std::rc::Rc;

use evloop::EvLoop;
use evloop::http::{
    Files, Form, FormEvent, FormLimits, FormOptions, FormPart, Method, PartData, Reply, Request,
    Routes, Upload,
};

use crate::note;
use crate::routes::{Setup, quote};

/// How many entries of a folder are listed.
const LISTED: usize = 10_000;

/// The routes for what there is.
pub fn all(mut routes: Routes, setup: &Setup) -> Routes {
    // The folders were there when the options were read. If one is gone since then, the others are served.
    if let Some(root) = &setup.root {
        match Files::new(root) {
            Ok(files) => routes = routes.files("/files", files.listing(LISTED)),
            Err(error) => note(&format!("{}: {error:#}", root.display())),
        }
    }
    if let Some(folder) = &setup.upload_dir {
        match Upload::new(folder) {
            Ok(upload) => routes = routes.upload("/upload", upload),
            Err(error) => note(&format!("{}: {error:#}", folder.display())),
        }
    }
    let mut limits = FormLimits::default();
    if let Some(bytes) = setup.max_body {
        limits.total = bytes;
    }
    limits.file = limits.total;
    routes.streaming(
        Method::POST,
        "/form",
        move |ev: &mut EvLoop, request: Request, reply: Reply| form(ev, &request, reply, limits),
    )
}

/// What is told of a file.
struct Seen {
    name: String,
    filename: String,
    kind: String,
    size: u64,
}

/// Answers with what is in a form. Its files are counted as they come, and not kept.
fn form(
    ev: &mut EvLoop,
    request: &Request,
    reply: Reply,
    limits: FormLimits,
) -> evloop::Result<()> {
    let mut reply = Some(reply);
    let files = Rc::<RefCell<Vec<Seen>>>::default();
    let options = FormOptions::new().limits(limits);
    request.receive_form(ev, options, move |ev, _, event| match event {
        FormEvent::Part(part) => count(part, &files),
        FormEvent::Complete(form) => {
            if let Some(reply) = reply.take() {
                reply.json(ev, json(&form, &files.borrow())).ok();
            }
        }
        FormEvent::Failed(error) => {
            if let Some(reply) = reply.take() {
                reply.error(ev, error.status()).ok();
            }
        }
        _ => {}
    })?;
    Ok(())
}

fn count(part: FormPart<'_>, files: &Rc<RefCell<Vec<Seen>>>) {
    let Some(filename) = part.filename() else { return };
    let mut list = files.borrow_mut();
    list.push(Seen {
        name: part.name().to_owned(),
        filename: filename.to_owned(),
        kind: part.content_type().unwrap_or_default().to_owned(),
        size: 0,
    });
    let (index, files) = (list.len() - 1, Rc::clone(files));
    part.send_to(move |_, _, data| {
        if let (PartData::Bytes(bytes), Some(file)) = (data, files.borrow_mut().get_mut(index)) {
            file.size += bytes.len() as u64;
        }
        Ok(())
    });
}

fn json(form: &Form, files: &[Seen]) -> String {
    let mut text = String::from(r#"{"fields":["#);
    for (index, field) in form.fields().iter().enumerate() {
        text.push_str(if index == 0 { "[" } else { ",[" });
        quote(&mut text, field.name());
        text.push(',');
        quote(&mut text, field.text());
        text.push(']');
    }
    text.push_str(r#"],"files":["#);
    for (index, file) in files.iter().enumerate() {
        text.push_str(if index == 0 { r#"{"name":"# } else { r#",{"name":"# });
        quote(&mut text, &file.name);
        text.push_str(r#","filename":"#);
        quote(&mut text, &file.filename);
        text.push_str(r#","type":"#);
        quote(&mut text, &file.kind);
        text.push_str(&format!(r#","size":{}}}"#, file.size));
    }
    text.push_str("]}");
    text
}
