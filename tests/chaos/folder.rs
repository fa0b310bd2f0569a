//! A folder for the files of one scenario, gone when the scenario is.

use std::fs;
use std::path::{Path, PathBuf};

use crate::names::temporary;

pub struct Folder(PathBuf);

impl Folder {
    #[track_caller]
    pub fn new() -> Self {
        let path = temporary("chaos");
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The path as an option takes it.
    pub fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// A folder in it.
    #[track_caller]
    pub fn folder(&self, name: &str) -> String {
        fs::create_dir_all(self.path(name)).unwrap();
        self.text(name)
    }

    #[track_caller]
    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.path(name), bytes).unwrap();
    }

    /// The names in a folder, hidden ones too.
    pub fn list(&self, name: &str) -> Vec<String> {
        names(&self.path(name))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn names(path: &Path) -> Vec<String> {
    let listed = fs::read_dir(path).unwrap();
    let mut names: Vec<String> =
        listed.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}
