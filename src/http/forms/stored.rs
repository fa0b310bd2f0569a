//! Files that clients have sent, on disk.

use std::collections::hash_map::RandomState;
use std::fs::{self, File, OpenOptions};
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::{fmt, mem};

use crate::sys::close::close;

/// How often another name is tried.
const TRIES: usize = 16;

/// A file that a client has sent. It has a name of its own, which nobody can guess and no client has a say in; only its
/// owner may read it.
///
/// It is closed, so that a form with many of them takes no descriptors while the rest of it comes: [`open`](Self::open)
/// has one. Dropped it is removed, unless it was [kept](Self::persist) before.
pub struct StoredFile {
    /// Empty once it is somebody else's.
    path: PathBuf,
    len: u64,
}

impl StoredFile {
    /// A new one in a directory, and what is to be written to.
    pub(super) fn create(directory: &Path) -> io::Result<(Self, File)> {
        // So that it is the same one should the process go elsewhere.
        let directory = std::path::absolute(directory)?;
        for _ in 0..TRIES {
            // The keys of these are random; names are taken by whoever comes first in any case.
            let random = RandomState::new().build_hasher().finish();
            let path = directory.join(format!(".upload-{}-{random:016x}", std::process::id()));
            let mut options = OpenOptions::new();
            // O_CREAT, O_EXCL, which follows no link, and O_CLOEXEC.
            match options.write(true).create_new(true).mode(0o600).open(&path) {
                Ok(file) => return Ok((Self { path, len: 0 }, file)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    /// All of it is written: so many bytes. Some file systems say only when it is closed that there was no room.
    pub(super) fn complete(&mut self, file: File, len: u64) -> io::Result<()> {
        self.len = len;
        close(file)
    }

    /// Where it is, for now.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens it, at its beginning, to be read and written.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn open(&self) -> io::Result<File> {
        // It is a link only if somebody else was here.
        OpenOptions::new().read(true).write(true).custom_flags(libc::O_NOFOLLOW).open(&self.path)
    }

    /// How many bytes it had when it was sent.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Keeps it, under this name, in the same file system, in place of what has that name.
    ///
    /// The name is the program's: never make it of what the client [says](super::FormFile::filename). All bytes are on
    /// the disk when this returns, which takes as long as the disk takes; to have that happen elsewhere send the file
    /// to another thread (it is `Send`).
    ///
    /// # Errors
    ///
    /// The system's, and then it is removed.
    pub fn persist(mut self, to: impl AsRef<Path>) -> io::Result<()> {
        self.open()?.sync_all()?;
        fs::rename(&self.path, to)?;
        self.path = PathBuf::new();
        Ok(())
    }

    /// As [`persist`](Self::persist), but replaces nothing.
    ///
    /// # Errors
    ///
    /// Those, and `AlreadyExists` if something has that name.
    pub fn persist_new(self, to: impl AsRef<Path>) -> io::Result<()> {
        self.open()?.sync_all()?;
        // The name it has had until now goes when it is dropped.
        fs::hard_link(&self.path, to)
    }
}

impl Drop for StoredFile {
    fn drop(&mut self) {
        let path = mem::take(&mut self.path);
        if !path.as_os_str().is_empty() {
            // If it is gone already, or cannot be removed, nobody is left to be told.
            let _ = fs::remove_file(path);
        }
    }
}

impl fmt::Debug for StoredFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredFile").field("path", &self.path).field("len", &self.len).finish()
    }
}
