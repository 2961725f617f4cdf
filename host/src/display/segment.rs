//! Memory that an X server copies pictures into (MIT-SHM 1.2, by file descriptor).
#![expect(unsafe_code, reason = "memory that another process writes; confined to this module")]

use std::fs::File;
use std::os::fd::OwnedFd;

use memmap2::{Mmap, MmapOptions};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create};
use x11rb::connection::Connection as _;
use x11rb::protocol::shm::{ConnectionExt as _, Seg};

use super::link::{DisplayError, Link};

/// A segment that one connection has attached. It is detached by [`Segment::detach`] or with the connection.
pub(super) struct Segment {
    map: Mmap,
    id: Seg,
}

impl Segment {
    /// Zeroed memory of `bytes`, attached.
    pub(super) fn attach(link: &Link, bytes: usize) -> Result<Self, DisplayError> {
        let (map, file) = create(bytes).map_err(DisplayError::Memory)?;
        let x = link.x();
        let id = x.generate_id()?;
        x.shm_attach_fd(id, file, false)?.check()?;
        Ok(Self { map, id })
    }

    pub(super) fn detach(self, link: &Link) -> Result<(), DisplayError> {
        link.x().shm_detach(self.id)?;
        Ok(())
    }

    /// The server's name for it.
    pub(super) fn id(&self) -> Seg {
        self.id
    }

    /// How many bytes it has.
    pub(super) fn len(&self) -> usize {
        self.map.len()
    }

    /// What the server wrote into the first `bytes`, for whose requests its replies have come: it writes there only
    /// between a request and its reply.
    ///
    /// # Errors
    /// When there are fewer, which is our bug.
    pub(super) fn first(&self, bytes: usize) -> Result<&[u8], DisplayError> {
        let short = || DisplayError::Protocol("the shared memory is too short".into());
        self.map.get(..bytes).ok_or_else(short)
    }
}

fn create(bytes: usize) -> std::io::Result<(Mmap, OwnedFd)> {
    let fd = memfd_create("nearlight-capture", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    ftruncate(&fd, bytes.max(1) as u64)?;
    fcntl_add_seals(&fd, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
    let file = File::from(fd);
    // SAFETY: the file is ours and its size is sealed before anyone else has it, so that no page goes away
    // under the mapping. A server writes to a part of it between our request for that part and its reply, when nothing
    // here reads that. One that writes at other times spoils its own picture: bytes are colours and nothing else, and
    // no index, length or branch is made of them.
    let map = unsafe { MmapOptions::new().populate().map(&file)? };
    Ok((map, file.into()))
}
