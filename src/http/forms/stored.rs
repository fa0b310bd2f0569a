//! Files that clients have sent, on disk.

use std::collections::hash_map::RandomState;
use std::fs::{self, File, OpenOptions};
use std::hash::{BuildHasher, Hasher};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::{fmt, mem};

/// How often another name is tried.
const TRIES: usize = 16;

/// A file that a client has sent. It has a name of its own, which nobody can guess and no client has a say in; only its
/// owner may read it.
///
/// Dropped it is removed, unless it was [kept](Self::persist) before.
pub struct StoredFile {
    /// Empty once it is somebody else's.
    path: PathBuf,
    file: File,
    len: u64,
}

impl StoredFile {
    /// A new one in a directory.
    pub(super) fn create(directory: &Path) -> io::Result<Self> {
        // So that it is the same one should the process go elsewhere.
        let directory = std::path::absolute(directory)?;
        for _ in 0..TRIES {
            // The keys of these are random; names are taken by whoever comes first in any case.
            let random = RandomState::new().build_hasher().finish();
            let path = directory.join(format!(".upload-{}-{random:016x}", std::process::id()));
            let mut options = OpenOptions::new();
            // O_CREAT, O_EXCL, which follows no link, and O_CLOEXEC.
            match options.read(true).write(true).create_new(true).mode(0o600).open(&path) {
                Ok(file) => return Ok(Self { path, file, len: 0 }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.len += bytes.len() as u64;
        Ok(())
    }

    /// Where it is, for now.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file, at its end; open to be read and written.
    #[must_use]
    pub fn file(&self) -> &File {
        &self.file
    }

    /// How many bytes it has.
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
        self.file.sync_all()?;
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
        self.file.sync_all()?;
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
