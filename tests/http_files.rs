//! Files over HTTP, on both backends: net-and-http-server.md 3.11; reliability.md R16, R17 and the rows on served files
//! of §4. Whatever concerns how files are found is tried with `openat2` and without.

#![allow(clippy::unwrap_used)]

mod suite;
#[path = "suite/http.rs"]
mod talking;

suite::on!(epoll: http_files, http_file_parts, http_file_paths, http_file_changes, http_uploads, http_upload_parts);
suite::on!(poll: http_files, http_file_parts, http_file_paths, http_file_changes, http_uploads, http_upload_parts);

/// Directories of a case's own.
mod tree {
    use std::fs;
    use std::path::{Path, PathBuf};

    use evloop::http::Files;

    use crate::suite::temporary;

    /// A directory that is removed at the end, with another one in it that is served.
    pub struct Tree(PathBuf);

    impl Tree {
        pub fn new() -> Self {
            let tree = Self(temporary("files"));
            fs::create_dir_all(tree.root()).unwrap();
            fs::write(tree.0.join("secret"), "secret").unwrap();
            tree
        }

        /// What is beside the served directory.
        pub fn outside(&self) -> &Path {
            &self.0
        }

        pub fn root(&self) -> PathBuf {
            self.0.join("root")
        }

        pub fn path(&self, name: &str) -> PathBuf {
            self.root().join(name)
        }

        /// A file, and the directories on the way to it.
        pub fn file(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
            let path = self.path(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            path
        }

        pub fn link(&self, name: &str, target: &str) {
            std::os::unix::fs::symlink(target, self.path(name)).unwrap();
        }

        pub fn files(&self) -> Files {
            Files::new(self.root()).unwrap()
        }

        /// Found in either way.
        pub fn both(&self) -> [Files; 2] {
            [self.files(), self.files().without_openat2()]
        }

        /// The names in the served directory, in order.
        pub fn names(&self) -> Vec<String> {
            let all = fs::read_dir(self.root()).unwrap();
            let mut names: Vec<_> =
                all.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            names
        }
    }

    impl Drop for Tree {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    /// Bytes that differ from place to place.
    pub fn bytes(len: usize) -> Vec<u8> {
        (0..len).map(|n| (n % 251) as u8 ^ (n / 251) as u8).collect()
    }
}
