//! Whether all that happens at a path is told to this kernel's watches.
//!
//! In doubt it is not: a file system that is not in the list is polled.

use std::path::Path;

use rustix::fs::{AtFlags, CWD, StatxAttributes, StatxFlags, statfs, statx};

use super::route::Id;

/// Whether the path is a mount point. What happens to a mounted file happens, for inotify, in the
/// directory that it comes from.
pub(super) fn is_mounted_on(path: &Path, object: Id, base: Id) -> bool {
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
    match statx(CWD, path, flags, StatxFlags::empty()) {
        Ok(told) if told.stx_attributes_mask.contains(StatxAttributes::MOUNT_ROOT) => {
            told.stx_attributes.contains(StatxAttributes::MOUNT_ROOT)
        }
        // Before Linux 5.8. Mounts of the same device are not noticed.
        _ => object.0 != base.0,
    }
}

/// Whether all changes in a directory are made by this kernel, and so told to inotify.
pub(super) fn is_local(directory: &Path) -> bool {
    #[rustfmt::skip]
    const LOCAL: [u32; 26] = [
        0x0000_ef53, // ext2, ext3, ext4
        0x5846_5342, // xfs
        0x9123_683e, // btrfs
        0x0102_1994, // tmpfs, devtmpfs
        0x8584_58f6, // ramfs
        0x794c_7630, // overlayfs
        0xf2f5_2010, // f2fs
        0x2fc1_2fc1, // zfs
        0xca45_1a4e, // bcachefs
        0x5265_4973, // reiserfs
        0x3153_464a, // jfs
        0x0000_3434, // nilfs
        0x0000_72b6, // jffs2
        0x2405_1905, // ubifs
        0x0000_4d44, // fat
        0x2011_bab0, // exfat
        0x5346_544e, // ntfs
        0x7366_746e, // ntfs3
        0x0000_482b, // hfs+
        0x0000_4244, // hfs
        0x0000_9660, // iso9660
        0x1501_3346, // udf
        0x7371_7368, // squashfs
        0xe0f5_e1e2, // erofs
        0x28cd_3d45, // cramfs
        0x0000_f15f, // ecryptfs
    ];
    // The numbers are of 32 bits, whatever the width and the sign of the field.
    statfs(directory).is_ok_and(|told| LOCAL.contains(&(told.f_type as u32)))
}
