//! Memory that an X server copies pictures into (MIT-SHM 1.2, by file descriptor).
#![expect(unsafe_code, reason = "memory that another process writes; confined to this module")]

use std::fs::File;
use std::ops::Range;
use std::os::fd::OwnedFd;

use memmap2::{MmapMut, MmapOptions};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create};
use x11rb::connection::Connection as _;
use x11rb::protocol::shm::{ConnectionExt as _, Seg};

use super::link::{DisplayError, Link};

/// A segment that one connection has attached. It is detached by [`Segment::detach`] or with the connection.
pub(super) struct Segment {
    map: MmapMut,
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

    /// What the server wrote into these bytes, for whose requests its replies have come: it writes there only
    /// between a request and its reply.
    ///
    /// # Errors
    /// When there are fewer, which is our bug.
    pub(super) fn read(&self, bytes: Range<usize>) -> Result<&[u8], DisplayError> {
        self.map.get(bytes).ok_or_else(short)
    }

    /// Takes these bytes over from another segment, of which the server writes neither now.
    ///
    /// # Errors
    /// When one of them has fewer, which is our bug.
    pub(super) fn copy(&mut self, from: &Self, bytes: Range<usize>) -> Result<(), DisplayError> {
        let source = from.read(bytes.clone())?;
        self.map.get_mut(bytes).ok_or_else(short)?.copy_from_slice(source);
        Ok(())
    }
}

fn short() -> DisplayError {
    DisplayError::Protocol("the shared memory is too short".into())
}

fn create(bytes: usize) -> std::io::Result<(MmapMut, OwnedFd)> {
    let fd = memfd_create("nearlight-capture", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    ftruncate(&fd, bytes.max(1) as u64)?;
    fcntl_add_seals(&fd, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
    let file = File::from(fd);
    // SAFETY: the file is ours and its size is sealed before anyone else has it, so that no page goes away
    // under the mapping. A server writes to a part of it between our request for that part and its reply, when nothing
    // here reads or writes that. One that writes at other times spoils its own picture: bytes are colours and nothing
    // else. No index and no length is made of them, and no branch but for whether a picture is like the one before it.
    let map = unsafe { MmapOptions::new().populate().map_mut(&file)? };
    Ok((map, file.into()))
}
