//! Memory without a name in the file system (`memfd_create(2)`), which two sides map each for itself:
//! how a compositor or a virtual machine hands its display over.
#![expect(unsafe_code, reason = "memory that another mapping writes; confined to this module")]

use std::fs::File;
use std::io;

use memmap2::{Mmap, MmapMut};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};

/// The side that writes.
#[derive(Debug)]
pub(crate) struct Memory {
    file: File,
    map: MmapMut,
}

impl Memory {
    /// Zeroed memory of `bytes`, at least one; its size is sealed.
    pub(crate) fn create(bytes: usize) -> io::Result<Self> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let file = File::from(memfd_create("nearlight-display", flags)?);
        file.set_len(bytes.max(1) as u64)?;
        fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
        // SAFETY: the file is ours and its size is sealed, so that no page goes away under the mapping.
        // Bytes are touched through `Memory` and `View` alone, whose references live no longer than
        // the lock of the surface that their owner holds.
        let map = unsafe { MmapMut::map_mut(&file)? };
        Ok(Self { file, map })
    }

    /// The other side's mapping of the same memory.
    pub(crate) fn view(&self) -> io::Result<View> {
        // SAFETY: as in `create`.
        let map = unsafe { Mmap::map(&self.file)? };
        Ok(View { map })
    }

    /// The file, for whoever maps it by itself.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.map
    }
}

/// The side that reads.
#[derive(Debug)]
pub(crate) struct View {
    map: Mmap,
}

impl View {
    /// What was written. `_writer` is the other side, which nobody writes to meanwhile.
    pub(crate) fn bytes<'a>(&'a self, _writer: &'a Memory) -> &'a [u8] {
        &self.map
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_see_the_same_bytes() {
        let mut memory = Memory::create(10_000).unwrap();
        let view = memory.view().unwrap();
        memory.bytes_mut()[9_999] = 7;
        assert_eq!((view.bytes(&memory)[9_999], view.bytes(&memory).len()), (7, 10_000));
        assert!(memory.file.set_len(1).is_err(), "the size is sealed");
    }
}
