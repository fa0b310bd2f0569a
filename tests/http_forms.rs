//! Forms and cookies of the HTTP server, on both backends: net-and-http-server.md 3.7 and 3.10; reliability.md R1, R2,
//! R16. Clients are in the same process, but for curl.

#![allow(clippy::unwrap_used)]

mod suite;
#[path = "suite/http.rs"]
mod talking;

suite::on!(epoll: http_forms, http_forms_streamed, http_cookies);
suite::on!(poll: http_forms, http_forms_streamed, http_cookies);

mod files {
    use std::path::{Path, PathBuf};

    use crate::suite::temporary;

    /// A directory of its own, which is removed at the end.
    pub struct Folder(PathBuf);

    impl Folder {
        pub fn new() -> Self {
            let path = temporary("forms");
            std::fs::create_dir(&path).expect("a directory of our own");
            Self(path)
        }

        pub fn path(&self) -> &Path {
            &self.0
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }
}
