//! What `lstat` says about a path, in a form that two looks can be compared by.
//!
//! A path that cannot be looked at is not an error but a state of its own, *missing*: all fields
//! zero, [`FileAttr::default`]. An existing file is never in it, since its link count is forced to 1
//! where a file system says 0.

use std::ffi::OsStr;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// What is known about a file at one moment: `lstat`'s fields, or that it is missing.
///
/// Two are equal if nothing differs, the times compared to the nanosecond. What cannot be looked at,
/// for whatever reason, is missing: all fields zero, all times 1970, the [`default`](Self::default).
/// A symbolic link is described itself, not what it points to.
///
/// ```
/// use evloop::FileAttr;
/// use std::fs;
///
/// let path = std::env::temp_dir().join(format!("evloop-doc-attr-{}", std::process::id()));
/// assert!(!FileAttr::default().exists());
///
/// fs::write(&path, "four")?;
/// let before = FileAttr::from(&fs::symlink_metadata(&path)?);
/// assert!(before.exists() && before.is_file());
/// assert_eq!(before.size, 4);
///
/// fs::write(&path, "more than four")?;
/// let after = FileAttr::from(&fs::symlink_metadata(&path)?);
/// assert_ne!(before, after);
/// assert_eq!(before.ino, after.ino);
/// # fs::remove_file(&path)?;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Sharp edges
///
/// * **Times are as fine as the file system's clock**, which moves in steps: up to 10 ms where it is fine,
///   2 s on FAT. Two changes within one step that leave the size alone look like one.
/// * **Reading a file may change it**: `accessed` is one of the fields. Most systems update it
///   seldom (`relatime`).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub struct FileAttr {
    /// The device the file lies on.
    pub dev: u64,
    /// The inode number: with `dev`, which file it is. A replaced file has another one.
    pub ino: u64,
    /// The type and the permissions, as `st_mode`; 0 if it is missing.
    pub mode: u32,
    /// The number of hard links; 0 if it is missing, never 0 otherwise.
    pub nlink: u64,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// Which device this is, for device files.
    pub rdev: u64,
    /// The length in bytes.
    pub size: u64,
    /// When it was last read, as far as the file system keeps track of that.
    pub accessed: SystemTime,
    /// When its content was last written to.
    pub modified: SystemTime,
    /// When its content, or anything else but `accessed`, was last changed.
    pub changed: SystemTime,
}

impl FileAttr {
    /// Whether there is a file, of whatever type.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.nlink > 0
    }

    /// Whether it is a regular file.
    #[must_use]
    pub fn is_file(&self) -> bool {
        self.is_type(libc::S_IFREG)
    }

    /// Whether it is a directory.
    #[must_use]
    pub fn is_dir(&self) -> bool {
        self.is_type(libc::S_IFDIR)
    }

    /// Whether it is a symbolic link.
    #[must_use]
    pub fn is_symlink(&self) -> bool {
        self.is_type(libc::S_IFLNK)
    }

    /// The permissions: the last twelve bits of `mode`, as `chmod` takes them.
    #[must_use]
    pub fn permissions(&self) -> u32 {
        self.mode & 0o7777
    }

    fn is_type(&self, file_type: u32) -> bool {
        self.mode & libc::S_IFMT == file_type
    }
}

impl Default for FileAttr {
    /// A missing file.
    fn default() -> Self {
        let never = SystemTime::UNIX_EPOCH;
        Self {
            dev: 0,
            ino: 0,
            mode: 0,
            nlink: 0,
            uid: 0,
            gid: 0,
            rdev: 0,
            size: 0,
            accessed: never,
            modified: never,
            changed: never,
        }
    }
}

impl From<&Metadata> for FileAttr {
    /// From what [`symlink_metadata`](fs::symlink_metadata) says of an existing file.
    fn from(file: &Metadata) -> Self {
        Self {
            dev: file.dev(),
            ino: file.ino(),
            mode: file.mode(),
            // Some file systems do not count links, and 0 means missing here.
            nlink: file.nlink().max(1),
            uid: file.uid(),
            gid: file.gid(),
            rdev: file.rdev(),
            size: file.size(),
            accessed: time(file.atime(), file.atime_nsec()),
            modified: time(file.mtime(), file.mtime_nsec()),
            changed: time(file.ctime(), file.ctime_nsec()),
        }
    }
}

/// Looks at a path. Does not fail: what cannot be looked at is missing.
pub(crate) fn look(path: &Path) -> FileAttr {
    lstat(path).map_or_else(|_| FileAttr::default(), |file| FileAttr::from(&file))
}

/// Refuses what no file can ever be called: an empty path, one with a zero byte, one too long.
///
/// Whether a path is too long only the file system knows, since each limits the length of names as
/// it likes: it is asked, and one that is not there yet may turn out to be too long later. Such a
/// path is missing then.
pub(crate) fn check_path(path: &Path) -> io::Result<()> {
    let refuse = |why: &'static str| Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    let bytes = OsStr::as_bytes(path.as_os_str());
    if bytes.is_empty() {
        return refuse("the path is empty");
    }
    if bytes.contains(&0) {
        return refuse("the path contains a zero byte");
    }
    // PATH_MAX counts the zero byte at the end.
    let is_too_long = bytes.len() >= libc::PATH_MAX as usize
        || lstat(path).is_err_and(|e| e.raw_os_error() == Some(libc::ENAMETOOLONG));
    if is_too_long {
        return refuse("the path is too long");
    }
    Ok(())
}

/// Network and user-space file systems may be interrupted by a signal.
fn lstat(path: &Path) -> io::Result<Metadata> {
    loop {
        match fs::symlink_metadata(path) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// A file's time, which may lie before 1970; the nearest there is if it cannot be expressed.
fn time(seconds: i64, nanos: i64) -> SystemTime {
    // A damaged file system may say anything.
    let nanos = Duration::from_nanos(nanos.clamp(0, 999_999_999) as u64);
    let whole = Duration::from_secs(seconds.unsigned_abs());
    let epoch = SystemTime::UNIX_EPOCH;
    let second = if seconds < 0 { epoch.checked_sub(whole) } else { epoch.checked_add(whole) };
    // 64 bits of seconds are what a SystemTime holds too, so neither of these is ever missing.
    second.and_then(|second| second.checked_add(nanos)).or(second).unwrap_or(epoch)
}

#[cfg(test)]
mod tests {
    use std::collections::hash_map::RandomState;
    use std::hash::BuildHasher;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::PathBuf;

    use super::*;

    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let name = format!("evloop-attr-{name}-{:016x}", RandomState::new().hash_one(0));
            let path = std::env::temp_dir().join(name);
            fs::create_dir(&path).unwrap();
            Self(path)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn the_fields_are_those_of_lstat() {
        let dir = Scratch::new("fields");
        let path = dir.0.join("file");
        fs::write(&path, "12345").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o4640)).unwrap();
        let file = fs::symlink_metadata(&path).unwrap();
        let attr = look(&path);
        assert!(attr.exists() && attr.is_file() && !attr.is_dir() && !attr.is_symlink());
        assert_eq!((attr.dev, attr.ino), (file.dev(), file.ino()));
        assert_eq!((attr.uid, attr.gid, attr.rdev), (file.uid(), file.gid(), file.rdev()));
        assert_eq!((attr.size, attr.nlink, attr.permissions()), (5, 1, 0o4640));
        assert_eq!(attr.modified, file.modified().unwrap());
        assert_eq!(attr.accessed, file.accessed().unwrap());
        let changed = attr.changed.duration_since(SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(changed.as_secs() as i64, file.ctime());
        assert_eq!(i64::from(changed.subsec_nanos()), file.ctime_nsec());
    }

    #[test]
    fn a_link_is_described_itself_even_one_to_nowhere() {
        let dir = Scratch::new("link");
        let path = dir.0.join("link");
        symlink("nowhere", &path).unwrap();
        let attr = look(&path);
        assert!(attr.exists() && attr.is_symlink() && !attr.is_file());
        assert_eq!(attr.size, 7);
        assert!(look(&dir.0).is_dir());
    }

    #[test]
    fn what_cannot_be_looked_at_is_missing() {
        let dir = Scratch::new("missing");
        let file = dir.0.join("file");
        fs::write(&file, "").unwrap();
        symlink("circle", dir.0.join("circle")).unwrap();
        for path in [
            dir.0.join("nothing"),
            dir.0.join("nothing/below"),
            file.join("below a file"),
            dir.0.join("circle/below"),
            dir.0.join("n".repeat(300)),
            PathBuf::from("a\0zero"),
            PathBuf::new(),
        ] {
            assert_eq!(look(&path), FileAttr::default(), "{path:?}");
        }
        assert!(!FileAttr::default().exists());
        assert!(!FileAttr::default().is_file() && !FileAttr::default().is_symlink());
    }

    #[test]
    fn a_rewrite_of_the_same_size_within_a_second_is_a_difference() {
        let dir = Scratch::new("rewrite");
        let path = dir.0.join("file");
        fs::write(&path, "one").unwrap();
        let file = fs::File::options().write(true).open(&path).unwrap();
        let moment = SystemTime::UNIX_EPOCH + Duration::new(1_000_000_000, 1);
        file.set_modified(moment).unwrap();
        let before = look(&path);
        file.set_modified(moment + Duration::from_nanos(1)).unwrap();
        let after = look(&path);
        assert_ne!(before, after);
        assert_eq!(after.modified, moment + Duration::from_nanos(1));
    }

    #[test]
    fn times_before_1970_and_beyond_reason_are_told() {
        let epoch = SystemTime::UNIX_EPOCH;
        assert_eq!(time(0, 0), epoch);
        assert_eq!(time(5, 7), epoch + Duration::new(5, 7));
        assert_eq!(time(-1, 0), epoch - Duration::from_secs(1));
        assert_eq!(time(-1, 999_999_999), epoch - Duration::from_nanos(1));
        assert_eq!(time(3, -5), epoch + Duration::from_secs(3));
        assert_eq!(time(3, i64::MAX), epoch + Duration::new(3, 999_999_999));
        assert!(time(i64::MAX, i64::MAX) > time(i64::MAX - 1, 0));
        assert!(time(i64::MIN, 0) < time(i64::MIN, 1));

        let dir = Scratch::new("old");
        let path = dir.0.join("file");
        let file = fs::File::create(&path).unwrap();
        let before = epoch - Duration::from_millis(1500);
        file.set_modified(before).unwrap();
        assert_eq!(look(&path).modified, before);
    }

    #[test]
    fn only_what_no_file_can_be_called_is_refused() {
        let dir = Scratch::new("check");
        for path in [
            PathBuf::new(),
            PathBuf::from("a\0b"),
            dir.0.join("n".repeat(300)),
            PathBuf::from("a/".repeat(2048)),
        ] {
            let error = check_path(&path).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{path:?}");
        }
        for path in ["/", ".", "..", "missing", "missing/below", "trailing/", "/proc/self/stat"] {
            check_path(Path::new(path)).unwrap();
        }
        check_path(&dir.0.join("n".repeat(255))).unwrap();
    }
}
