//! A file comes into being: beside its place, and there only when it is complete.

use std::collections::hash_map::RandomState;
use std::fs::File;
use std::hash::BuildHasher;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::time::Instant;
use std::{error, fmt};

use rustix::fs::{
    AtFlags, FileType, FlockOperation, Mode, OFlags, RenameFlags, flock, fstat, fsync, ftruncate,
    linkat, openat, renameat, renameat_with, statat, unlinkat,
};
use rustix::io::Errno;

use super::FilePathFault;
use super::marks::Attributes;
use super::root::{READ_DIRECTORY, retry};
use super::upload::{Conditions, Keeping, Upload};
use crate::http::{BodyError, Fault, Status};
use crate::net::{Buffer, Chunk};
use crate::sys::close::close;

/// What has become of an upload that went well.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Stored {
    /// Where it is, below the directory.
    pub path: String,
    /// How many bytes are there now.
    pub size: u64,
    /// Whether that is all of it. If not, the rest is to be sent with `Content-Range`.
    pub complete: bool,
    /// Whether there was nothing at that place before.
    pub created: bool,
}

/// Why a file was not stored. Under its name there is what was there before, or nothing.
#[derive(Debug)]
#[non_exhaustive]
pub enum UploadError {
    /// Its path is none that can be asked for.
    Path(FilePathFault),
    /// There is no such directory, or something else has its name.
    NoDirectory,
    /// There is a directory of that name.
    IsDirectory,
    /// There is a file of that name, and it is not to be replaced.
    Exists,
    /// A condition of the request (`If-Match` …) does not hold.
    Condition,
    /// It is larger than it may be.
    TooLarge,
    /// Another request is sending the same file.
    Busy,
    /// The part that was sent cannot be: it is malformed, has another length, or parts are not taken.
    BadPart,
    /// The part does not begin where the one before has ended; so many bytes are there.
    Gap {
        /// How many bytes are there.
        size: u64,
    },
    /// There is no room on the disk, or no more may be used of it.
    NoRoom(io::Error),
    /// It may not be written.
    Denied(io::Error),
    /// Something else is wrong: 503 if there was no descriptor or memory to be had just then (`EMFILE`, `ENFILE`,
    /// `ENOMEM`), else 500.
    Io(io::Error),
    /// The body did not come to its end. The client was answered, or is gone.
    Body(BodyError),
}

impl UploadError {
    /// The status to answer with.
    #[must_use]
    pub fn status(&self) -> Status {
        match self {
            Self::Path(_) => Status::NOT_FOUND,
            Self::NoDirectory | Self::IsDirectory | Self::Exists | Self::Busy => Status::CONFLICT,
            Self::Condition => Status::PRECONDITION_FAILED,
            Self::TooLarge => Status::CONTENT_TOO_LARGE,
            Self::BadPart => Status::BAD_REQUEST,
            Self::Gap { .. } => Status::RANGE_NOT_SATISFIABLE,
            Self::NoRoom(_) => Status::INSUFFICIENT_STORAGE,
            Self::Denied(_) => Status::FORBIDDEN,
            Self::Io(error) => match error.raw_os_error().map(Errno::from_raw_os_error) {
                Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM) => Status::SERVICE_UNAVAILABLE,
                _ => Status::INTERNAL_SERVER_ERROR,
            },
            Self::Body(BodyError::Fault(fault)) => fault.status(),
            Self::Body(_) => Status::BAD_REQUEST,
        }
    }

    pub(super) fn of(error: io::Error) -> Self {
        match error.raw_os_error().map(Errno::from_raw_os_error) {
            Some(Errno::NOSPC | Errno::DQUOT | Errno::FBIG) => Self::NoRoom(error),
            Some(Errno::ACCESS | Errno::PERM | Errno::ROFS) => Self::Denied(error),
            Some(Errno::NOENT | Errno::NOTDIR | Errno::XDEV | Errno::LOOP) => Self::NoDirectory,
            Some(Errno::ISDIR) => Self::IsDirectory,
            Some(Errno::EXIST) => Self::Exists,
            _ => Self::Io(error),
        }
    }
}

impl From<Errno> for UploadError {
    fn from(errno: Errno) -> Self {
        Self::of(errno.into())
    }
}

impl fmt::Display for UploadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Path(_) => "the path of the file is none",
            Self::NoDirectory => "there is no directory for the file",
            Self::IsDirectory => "there is a directory of that name",
            Self::Exists => "there is a file of that name already",
            Self::Condition => "a condition of the request does not hold",
            Self::TooLarge => "the file is too large",
            Self::Busy => "the file is being sent by another request",
            Self::BadPart => "the part of the file is none",
            Self::Gap { size } => {
                return write!(f, "the part does not begin where the file ends, at byte {size}");
            }
            Self::NoRoom(_) => "there is no room for the file",
            Self::Denied(_) => "the file may not be written",
            Self::Io(_) => "writing the file has failed",
            Self::Body(_) => "the file did not come to its end",
        })
    }
}

impl error::Error for UploadError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::NoRoom(error) | Self::Denied(error) | Self::Io(error) => Some(error),
            Self::Path(fault) => Some(fault),
            Self::Body(BodyError::Fault(fault)) => Some(fault as &Fault),
            _ => None,
        }
    }
}

/// Where a part of a file belongs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) offset: u64,
    /// Of this part, where that was said.
    pub(super) len: Option<u64>,
    /// Of the file, where that is known.
    pub(super) total: Option<u64>,
    /// It is the whole file.
    pub(super) is_whole: bool,
}

impl Place {
    pub(super) const WHOLE: Self = Self { offset: 0, len: None, total: None, is_whole: true };
}

/// A file that is not there yet.
// Invariant: while there is a `file`, there is one of the name `temporary`, which is ours.
pub(super) struct Storing {
    directory: OwnedFd,
    file: Option<File>,
    temporary: String,
    name: String,
    path: String,
    place: Place,
    /// How many bytes of this part were written.
    written: u64,
    max_size: u64,
    syncs: bool,
    /// Where what has come of it is left, if it does not come to its end.
    keeps: Option<Keeping>,
    /// When something of it came last.
    pub(super) touched: Instant,
    replaces: bool,
    created: bool,
    /// Looked at again when the file gets its name: others may have made it meanwhile.
    pub(super) conditions: Option<Conditions>,
}

/// To write to what is there. No link is followed, and no FIFO waited for.
pub(super) const WRITE: OFlags = OFlags::WRONLY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY)
    .union(OFlags::CLOEXEC);

/// The same, for what may have to be made.
const MAKE: OFlags = WRITE.union(OFlags::CREATE);

/// What a file's name may have of bytes, so that there is room for what is put around it.
const NAME_KEPT: usize = 200;

/// How often another name is tried.
const TRIES: usize = 8;

impl Storing {
    pub(super) fn begin(
        upload: &Upload,
        directory: OwnedFd,
        path: &str,
        name: &str,
        place: Place,
        replaces: bool,
        now: Instant,
    ) -> Result<Self, UploadError> {
        let created = match statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => match Attributes::from_stat(&stat).kind {
                FileType::Directory => return Err(UploadError::IsDirectory),
                _ if !replaces => return Err(UploadError::Exists),
                _ => false,
            },
            Err(Errno::NOENT) => true,
            Err(error) => return Err(error.into()),
        };
        let keeps = upload.keeping();
        let (temporary, file) = match &keeps {
            Some(keeping) => {
                let kept = kept_file(&directory, name, place.offset)?;
                keeping.waiting.take(path);
                kept
            }
            None => fresh_file(&directory, name)?,
        };
        Ok(Self {
            directory,
            file: Some(file),
            temporary,
            name: name.to_owned(),
            path: path.to_owned(),
            place,
            written: 0,
            max_size: upload.size_limit(),
            syncs: upload.syncs(),
            keeps,
            touched: now,
            replaces,
            created,
            conditions: None,
        })
    }

    /// Writes and drains all that is in a buffer.
    pub(super) fn write(&mut self, from: &mut Buffer) -> Result<(), UploadError> {
        let after = self.size().saturating_add(from.len() as u64);
        if after > self.max_size || self.place.total.is_some_and(|total| after > total) {
            return Err(UploadError::TooLarge);
        }
        let Some(file) = &mut self.file else { return Err(UploadError::BadPart) };
        let mut written = 0;
        let mut result = Ok(());
        for chunk in from.chunks() {
            // Nothing else comes from a connection.
            let Chunk::Bytes(bytes) = chunk else { continue };
            result = file.write_all(bytes);
            if result.is_err() {
                break;
            }
            written += bytes.len();
        }
        self.written += written as u64;
        from.drain(written);
        result.map_err(|error| self.failed(error))
    }

    /// How long the file is with what was written of this part.
    fn size(&self) -> u64 {
        self.place.offset.saturating_add(self.written)
    }

    /// The part is there: if it was the last one, so is the file.
    pub(super) fn finish(mut self) -> Result<Stored, UploadError> {
        if self.place.len.is_some_and(|len| len != self.written) {
            return Err(UploadError::BadPart);
        }
        let complete = self.place.is_whole || self.place.total == Some(self.size());
        let (size, created) = (self.size(), self.created);
        if let Some(conditions) = self.conditions.as_ref().filter(|_| complete) {
            let there = statat(&self.directory, &self.name, AtFlags::empty());
            conditions.check(there.ok().map(|stat| Attributes::from_stat(&stat)))?;
        }
        let synced = match &self.file {
            Some(file) if self.syncs => retry(|| fsync(file)),
            _ => Ok(()),
        };
        synced.map_err(|error| self.failed(error.into()))?;
        // The lock is kept until the file has its name: whoever got it before would begin its own in this one.
        let lock = match &self.file {
            Some(file) if self.keeps.is_some() => Some(file.try_clone().map_err(UploadError::of)?),
            _ => None,
        };
        // From here on it is not known whether there is anything to go on with.
        let Some(file) = self.file.take() else { return Err(UploadError::BadPart) };
        if let Err(error) = close(file) {
            self.remove();
            return Err(UploadError::of(error));
        }
        if complete {
            if let Err(error) = self.name_it() {
                self.remove();
                return Err(error.into());
            }
        } else if let Some(file) = &lock {
            self.leave(file);
        }
        drop(lock);
        let path = std::mem::take(&mut self.path);
        Ok(Stored { path, size, complete, created })
    }

    /// What a disk that fails has of it is nothing to go on with.
    fn failed(&mut self, error: io::Error) -> UploadError {
        let error = UploadError::of(error);
        if matches!(error, UploadError::Io(_)) {
            self.keeps = None;
        }
        error
    }

    fn name_it(&self) -> Result<(), Errno> {
        let (directory, temporary, name) = (&self.directory, &self.temporary, &self.name);
        if self.replaces {
            retry(|| renameat(directory, temporary, directory, name))?;
        } else {
            let only = RenameFlags::NOREPLACE;
            match retry(|| renameat_with(directory, temporary, directory, name, only)) {
                // Not all file systems can do that. A second name replaces nothing either.
                Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                    retry(|| linkat(directory, temporary, directory, name, AtFlags::empty()))?;
                    self.remove();
                }
                result => result?,
            }
        }
        if self.syncs {
            // The name is the directory's, which is written on its own.
            let directory = retry(|| openat(directory, ".", READ_DIRECTORY, Mode::empty()))?;
            retry(|| fsync(&directory))?;
        }
        Ok(())
    }

    /// What there is of it waits for the rest, if that may come. Nothing at all waits for nothing.
    fn leave(&self, file: &File) {
        let stays = match (&self.keeps, Attributes::of(file)) {
            (Some(keeping), Ok(attributes)) if self.size() > 0 => {
                let Keeping { waiting, most, links } = keeping;
                waiting.leave(&self.path, attributes, self.touched, *most, *links)
            }
            _ => false,
        };
        if !stays {
            self.remove();
        }
    }

    fn remove(&self) {
        // If it cannot be, it stays under a name that nobody is served.
        let _ = unlinkat(&self.directory, &self.temporary, AtFlags::empty());
    }
}

impl Drop for Storing {
    fn drop(&mut self) {
        if let Some(file) = &self.file {
            self.leave(file);
        }
    }
}

/// A file of a name that nobody can guess.
fn fresh_file(directory: &OwnedFd, name: &str) -> Result<(String, File), UploadError> {
    let mut end = name.len().min(NAME_KEPT);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    let kept = name.get(..end).unwrap_or_default();
    for _ in 0..TRIES {
        let random = RandomState::new().hash_one(0_u8);
        let temporary = format!(".{kept}.{random:016x}.part");
        let flags = MAKE.union(OFlags::EXCL);
        match retry(|| openat(directory, &temporary, flags, Mode::from_raw_mode(0o666))) {
            Ok(fd) => return Ok((temporary, File::from(fd))),
            Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Errno::EXIST.into())
}

/// The name of what has come of a file so far.
pub(super) fn part_of(name: &str) -> String {
    format!(".{name}.part")
}

/// The file in which what has come so far is kept, at the place where the next part begins.
fn kept_file(directory: &OwnedFd, name: &str, offset: u64) -> Result<(String, File), UploadError> {
    if name.len() > NAME_KEPT {
        return Err(UploadError::Path(FilePathFault::TooLong));
    }
    let temporary = part_of(name);
    for _ in 0..TRIES {
        let mode = Mode::from_raw_mode(0o666);
        let fd = retry(|| openat(directory, &temporary, MAKE, mode))?;
        match flock(&fd, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::AGAIN) => return Err(UploadError::Busy),
            Err(error) => return Err(error.into()),
        }
        let stat = fstat(&fd)?;
        // Whoever had the lock before may have given the file its name.
        let named = statat(directory, &temporary, AtFlags::SYMLINK_NOFOLLOW);
        if !named.is_ok_and(|named| (named.st_dev, named.st_ino) == (stat.st_dev, stat.st_ino)) {
            continue;
        }
        let attributes = Attributes::from_stat(&stat);
        if attributes.kind != FileType::RegularFile {
            return Err(UploadError::Exists);
        }
        if offset > attributes.len {
            if attributes.len == 0 {
                // Most likely it was made just now, and nobody could go on with it. It is ours as long as it is locked.
                let _ = unlinkat(directory, &temporary, AtFlags::empty());
            }
            return Err(UploadError::Gap { size: attributes.len });
        }
        // What was behind it is sent again.
        retry(|| ftruncate(&fd, offset))?;
        let mut file = File::from(fd);
        io::Seek::seek(&mut file, io::SeekFrom::Start(offset)).map_err(UploadError::of)?;
        return Ok((temporary, file));
    }
    Err(UploadError::Busy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::files::root::{NAME_IN, Root};
    use crate::http::files::{Symlinks, Upload};

    /// Whoever waits for the place where a file is kept must not get hold of the one that has just got its name.
    #[test]
    fn a_file_that_has_its_name_is_nobodys_part_any_more() {
        const LEN: usize = 1000;
        let place =
            format!("evloop-storing-{}-{:x}", std::process::id(), RandomState::new().hash_one(0));
        let directory = std::env::temp_dir().join(place);
        std::fs::create_dir(&directory).unwrap();
        let store = || {
            let upload = Upload::new(&directory).unwrap().resumable(true);
            let mut done = 0;
            while done < 300 {
                let within = Root::open(&directory).unwrap();
                let within = within.find("", Symlinks::Off, NAME_IN).unwrap();
                let now = Instant::now();
                match Storing::begin(&upload, within, "name", "name", Place::WHOLE, true, now) {
                    Ok(mut storing) => {
                        storing.write(&mut Buffer::from(vec![b'x'; LEN])).unwrap();
                        assert!(storing.finish().unwrap().complete);
                        done += 1;
                        let found = std::fs::metadata(directory.join("name")).unwrap();
                        assert_eq!(found.len(), LEN as u64);
                    }
                    Err(UploadError::Busy) => std::thread::yield_now(),
                    Err(error) => panic!("{error:?}"),
                }
            }
        };
        std::thread::scope(|scope| {
            let others: Vec<_> = (0..3).map(|_| scope.spawn(store)).collect();
            others.into_iter().for_each(|other| other.join().unwrap());
        });
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
