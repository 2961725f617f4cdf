//! Memory as a graphics driver exports it: a file descriptor that another API imports.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt as _;

use media::SharedMemory;

use crate::memfd::Memory;

/// Where lavapipe begins the data of an export.
const LAVAPIPE_DATA: usize = 0x1000;

/// An allocation that is exported, seen from the side that made it.
#[derive(Debug)]
pub struct Exported {
    memory: Memory,
    data: usize,
}

impl Exported {
    /// Data from the first byte of the file.
    ///
    /// # Errors
    /// When the system has no such memory left.
    pub fn plain(bytes: usize) -> io::Result<Self> {
        Ok(Self { memory: Memory::create(bytes)?, data: 0 })
    }

    /// As lavapipe does (`os_memory_fd.c` of Mesa): the size of the file and the offset of the data,
    /// 16 bytes of identity, and the data behind them.
    ///
    /// # Errors
    /// As [`Exported::plain`].
    pub fn lavapipe(bytes: usize) -> io::Result<Self> {
        let mut memory = Memory::create(LAVAPIPE_DATA + bytes)?;
        let header = memory.bytes_mut();
        let size = header.len() as u64;
        header[..8].copy_from_slice(&size.to_ne_bytes());
        header[8..16].copy_from_slice(&(LAVAPIPE_DATA as u64).to_ne_bytes());
        header[16..32].copy_from_slice(b"nearlight-export");
        Ok(Self { memory, data: LAVAPIPE_DATA })
    }

    /// A descriptor for one import, which may keep it.
    ///
    /// # Errors
    /// When the process has no more descriptors.
    pub fn fd(&self) -> io::Result<OwnedFd> {
        self.memory.file().as_fd().try_clone_to_owned()
    }

    /// The data. Nobody may write it through an import while it is borrowed.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.memory.bytes_mut()[self.data..]
    }
}

/// The first bytes of an allocation that lavapipe exported, as they are now: read through its
/// descriptor, which neither maps nor imports anything.
///
/// # Errors
/// When the descriptor is not one of lavapipe's, or the allocation is smaller.
pub fn read_exported(memory: &SharedMemory, bytes: usize) -> io::Result<Vec<u8>> {
    let file = File::from(memory.fd.try_clone()?);
    let mut header = [0; 16];
    file.read_exact_at(&mut header, 0)?;
    let mut words = header.chunks_exact(8).map(|word| {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(word);
        u64::from_ne_bytes(bytes)
    });
    let (size, data) = (words.next(), words.next().unwrap_or_default());
    if size != Some(file.metadata()?.len()) {
        return Err(io::Error::other("not a file of lavapipe"));
    }
    let mut pixels = vec![0; bytes];
    file.read_exact_at(&mut pixels, data)?;
    Ok(pixels)
}
