//! The folder of the files that are served. Written once: later runs find it, and it in the page cache.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::PathBuf;

use crate::served::{PERIOD, SIZES, name, pattern};

pub fn path() -> io::Result<PathBuf> {
    let folder = super::own_folder("files")?;
    let pattern = pattern(0);
    for kib in SIZES {
        let (path, size) = (folder.join(name(kib)), kib * 1024);
        if fs::metadata(&path).is_ok_and(|there| there.len() == size) {
            continue;
        }
        let mut file = File::create(&path)?;
        let mut left = size as usize;
        while left > 0 {
            let part = left.min(PERIOD);
            file.write_all(&pattern[..part])?;
            left -= part;
        }
        file.sync_all()?;
    }
    Ok(folder)
}
