//! Allocations of another interface, mapped into this process.
//!
//! Two layouts are known. lavapipe's (`os_memory_fd.c` of Mesa): a file that begins with its own size
//! and the offset of the data (both `u64`), then 16 bytes of identity. Any other: data from byte 0.

use std::os::fd::BorrowedFd;

use memmap2::{MmapOptions, MmapRaw};
use rustix::fs::{SealFlags, fcntl_get_seals, fstat};
use rustix::io::pread;

/// What lavapipe writes before the data, without what it leaves unused.
const HEADER: usize = 32;

/// An imported allocation. Its bytes are reached by pointers alone: another mapping writes them too.
pub(crate) struct Allocation {
    map: MmapRaw,
    data: usize,
    pub(crate) bytes: u64,
}

impl Allocation {
    /// Maps `bytes` of it; the error says what the importer did wrong. `fd` stays the caller's.
    pub(crate) fn map(fd: BorrowedFd<'_>, bytes: u64) -> Result<Self, String> {
        let failed = |error| format!("the fd cannot be imported ({error})");
        let file = u64::try_from(fstat(fd).map_err(failed)?.st_size).unwrap_or(0);
        // A page that goes away under a mapping would kill the process.
        if !fcntl_get_seals(fd).map_err(failed)?.contains(SealFlags::SHRINK) {
            return Err("the fd's memory is not sealed, so it could shrink".to_owned());
        }
        let data = lavapipe_data(fd, file, bytes).unwrap_or(0);
        if bytes == 0 || data.checked_add(bytes).is_none_or(|end| end > file) {
            return Err(format!("{bytes} bytes of a file that has {file}"));
        }
        let map = MmapOptions::new().map_raw(&fd).map_err(|error| error.to_string())?;
        let data = usize::try_from(data).map_err(|error| error.to_string())?;
        Ok(Self { map, data, bytes })
    }

    /// Address of a byte, which the caller has checked to be one of `bytes`.
    pub(crate) fn at(&self, offset: u64) -> *mut u8 {
        self.map.as_mut_ptr().wrapping_add(self.data).wrapping_add(offset as usize)
    }
}

/// Where lavapipe's data begins, when the file begins as lavapipe's do.
fn lavapipe_data(fd: BorrowedFd<'_>, file: u64, bytes: u64) -> Option<u64> {
    let mut header = [0_u8; HEADER];
    if pread(fd, &mut header, 0).ok()? != HEADER {
        return None;
    }
    let word = |at: usize| header[at..at + 8].try_into().ok().map(u64::from_ne_bytes);
    let (size, data) = (word(0)?, word(8)?);
    let fits = data.checked_add(bytes).is_some_and(|end| end <= size);
    (size == file && data >= HEADER as u64 && fits).then_some(data)
}
